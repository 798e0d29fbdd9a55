"""Room: what a person at a prompt meets: IPython names, live table, plots, Ctrl-C.

In: keys and journals. Out: text. Imports: `client`. Not here: the command line (`cli`).
"""

from undula.session.display import QuietDisplay, TextDisplay
from undula.session.follow import follow, wait_for_move
from undula.session.live import RunView

__all__ = ["QuietDisplay", "RunView", "TextDisplay", "follow", "wait_for_move"]
