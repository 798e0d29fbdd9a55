"""Room: the message bus. Become another program while holding a lock: `lockexec LOCK PROGRAM ...`.

The lock belongs to the open file, which the program inherits, so it ends with the program however
that ends. Exit 75: somebody else holds it. Imports the standard library only.
"""

from __future__ import annotations

import fcntl
import os
import sys

EXIT_IN_USE = 75


def main(argv: list[str]) -> int:
    """Lock `argv[0]`, then become `argv[1:]`; returns only when that is refused."""
    lock, *command = argv
    descriptor = os.open(lock, os.O_RDWR | os.O_CREAT, 0o660)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        sys.stderr.write(f"{lock} is locked: another broker uses this folder\n")
        return EXIT_IN_USE
    os.set_inheritable(descriptor, True)
    return os.execv(command[0], command)  # noqa: S606  # our own command, no shell


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
