"""Pages of the documentation that the code writes: compared with it, or written anew.

In: paths, and what makes their texts. Out: files, or a line for each that differs. Called by: the
modules that make such pages, as `python -m MODULE [--write]`, and tests.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping
from pathlib import Path


def compare_or_write(
    module: str, about: str, pages: Mapping[Path, Callable[[], str]], argv: list[str] | None
) -> int:
    """Compare the pages with the code, or write them with `--write`.

    Args:
        module: the name of the one that makes them, for the remedy.
        about: what they are, for `--help`.
        argv: the arguments of the command; None: those of this process.
    Returns: the exit code, 0 equal or written, 1 different.
    """
    parser = argparse.ArgumentParser(prog=f"python -m {module}", description=about)
    parser.add_argument("--write", action="store_true", help="write the pages anew")
    write = parser.parse_args(argv).write
    different = 0
    for path, text in pages.items():
        if write:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text(), encoding="utf-8")
        elif not path.exists() or path.read_text(encoding="utf-8") != text():
            sys.stderr.write(f"{path} differs: run python -m {module} --write\n")
            different = 1
    return different
