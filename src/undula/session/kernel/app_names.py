"""Words that the kernel and its listeners share: messages of our own on its iopub channel.

Front ends of others ignore them.
"""

RUNS_MESSAGE = "undula_runs"
"""At the end of a cell: `{"numbers": [...]}`, the runs it made."""

PROGRESS_MESSAGE = "undula_progress"
"""While a cell runs: `{"text": "samx 0.5"}`, what it would redraw in place."""
