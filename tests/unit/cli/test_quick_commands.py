"""Every command loads its own module only."""

from __future__ import annotations

from undula.cli.application import build
from undula.cli.main import MODULES, QUICK


def test_each_command_is_found_in_the_one_module_that_has_it() -> None:
    found = {}
    for module in MODULES:
        app = build((module,))
        names = [c.name or getattr(c.callback, "__name__", "") for c in app.registered_commands]
        names += [str(g.name) for g in app.registered_groups]
        found.update(dict.fromkeys(names, module))
    assert found == QUICK
