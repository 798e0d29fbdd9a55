"""Words that the kernel and its listeners share."""

RUNS_MESSAGE = "undula_runs"
"""On iopub at the end of a cell: `{"numbers": [...]}`, the runs it made. Others ignore it."""
