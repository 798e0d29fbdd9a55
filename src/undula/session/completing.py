"""What Tab may look into: IPython evaluates nothing that it does not know to be harmless.

In: an IPython. Out: its completer also looks up graphs, their nodes and parameters, which asks the
engine and changes nothing. An IPython that has no such setting completes as before.
"""

from __future__ import annotations

from typing import Any

ITEMS = (
    ("undula.client.pipes", "Pipes"),
    ("undula.client.pipes", "PipesOfGraph"),
    ("undula.client.pipe_node", "Parts"),
)
"""Module and class of what is looked up by `[...]`."""
ATTRIBUTES = (("undula.client.pipe_node", "NodeView"), ("undula.client.pipe_node", "Parts"))
"""Module and class of what has names behind a dot that only it knows."""


def complete_graphs(ipython: Any) -> None:
    """Complete `pipes["cam"]["roi"].rois.beam` at each of its steps."""
    from IPython.core import guarded_eval

    completer = ipython.Completer
    if not completer.has_trait("policy_overrides"):
        return
    usual = guarded_eval.EVALUATION_POLICIES["limited"]
    completer.policy_overrides = {
        **completer.policy_overrides,
        "allowed_getitem_external": {*usual.allowed_getitem_external, *ITEMS},
        "allowed_getattr_external": {*usual.allowed_getattr_external, *ATTRIBUTES},
    }
