"""The beamline's start-up file: run with the names of a prompt when that begins.

In: the file that the settings name, or `startup.py` in the state folder. Out: its names at the
prompt; a fault as text, for the prompt works nevertheless. A file of which a prompt's process died
is left out at the next start.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from undula.core.errors import ConfigError, UndulaError
from undula.core.paths import BeamlinePaths
from undula.core.settings import load_settings
from undula.session.planning.files import execute, text_of
from undula.session.time_limit import at_most
from undula.session.words.begun import begun, died_of

NAME = "startup.py"
SHARED_LIMIT_S = 15.0
"""The shared prompt is for everybody: its start waits no longer than this."""


def startup_file(paths: BeamlinePaths) -> Path | None:
    """The file to run; None when there is none. Raises: ConfigError for wrong settings."""
    chosen = load_settings(paths.config).startup
    usual = paths.state / NAME
    return chosen or (usual if usual.exists() else None)


def run_startup(
    paths: BeamlinePaths | None, names: dict[str, Any], limit_s: float | None = None
) -> str:
    """Run the start-up file in `names`. Returns: what went wrong, with file and line, or ''.

    Args:
        limit_s: give up after so many seconds; None: never. In the main thread only.
    """
    if paths is None:
        return ""
    try:
        file = startup_file(paths)
        if file is None:
            return ""
        text = text_of(file)
        if died_of(paths.state, text):
            raise ConfigError(
                "a prompt ended in the middle of it, and begins without it now",
                remedy="correct the file, then begin anew: undula restart kernel",
                where=file.name,
            )
        with begun(paths.state, text, limit_s), at_most(limit_s):
            execute(file, names, text)
    except UndulaError as error:
        return f"start-up file: {error}"
    except KeyboardInterrupt:
        return "start-up file: interrupted. Remedy: load it again with load_script"
    return ""
