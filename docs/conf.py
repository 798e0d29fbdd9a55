"""How the documentation is built: sphinx, Markdown by myst, furo; a warning is an error."""

from undula import __version__

project = "Undula"
author = "the Undula authors"
copyright = "2026, the Undula authors"
version = release = __version__
extensions = ["myst_parser"]
myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3
source_suffix = {".md": "markdown"}
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = f"Undula {__version__}"
nitpicky = True
