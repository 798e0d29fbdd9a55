"""Room: the command line `undula ...`, thin.

In: arguments. Out: text or JSON, exit codes. Imports: any room below. Not here: logic that a
gateway would have to repeat.
"""

from undula.cli.main import main

__all__ = ["main"]
