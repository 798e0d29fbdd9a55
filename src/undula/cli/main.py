"""The door: one `undula` command, in modules that each add their commands.

In: arguments. Out: exit codes. A command of `QUICK` loads its own module only: motion stops before
the rest would even be imported. Nothing is imported here, so that Ctrl-C is quiet from the start.
"""

from __future__ import annotations

import sys

MODULES = (
    "services", "logs", "doctor", "stop", "scans", "devices", "motors", "config", "alarms", "queue",
    "plans", "runs", "demo", "shell", "access", "command_log", "pipes", "files",
    "metadata",
)  # fmt: skip
QUICK = {
    "stop": "stop", "up": "services", "down": "services", "restart": "services",
    "status": "services", "logs": "logs", "doctor": "doctor", "demo": "demo", "shell": "shell",
    "attach": "shell",
    "devices": "devices", "read": "devices", "mv": "devices", "mvr": "devices",
    "umv": "devices", "umvr": "devices",
    "motor": "motors", "set": "motors", "set-lm": "motors", "home": "motors", "wm": "motors",
    "wa": "motors", "jog": "motors",
    "plans": "plans",
    "config": "config", "alarms": "alarms", "queue": "queue", "runs": "runs",
    "scan": "scans", "plan": "scans", "count": "scans", "grid": "scans", "list-scan": "scans",
    "ascan": "scans", "dscan": "scans", "mesh": "scans", "ct": "scans", "timescan": "scans",
    "commands": "command_log", "pipes": "pipes", "files": "files",
    "md": "metadata", "newproposal": "metadata", "newsample": "metadata",
    "newdataset": "metadata", "endproposal": "metadata",
    "login": "access", "logout": "access", "whoami": "access", "users": "access",
}  # fmt: skip
INTERRUPTED = 130
"""Exit code after Ctrl-C, as a shell expects it: 128 and the number of the signal."""


def main() -> None:
    """Entry point of the `undula` script."""
    try:
        from undula.cli.application import build

        quick = QUICK.get(sys.argv[1] if len(sys.argv) > 1 else "")
        build((quick,) if quick else MODULES)(prog_name="undula")
    except KeyboardInterrupt:
        raise SystemExit(INTERRUPTED) from None
