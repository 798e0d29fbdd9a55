"""`undula md`: the metadata that every further run has; shown, set, removed.

In: words. Out: the keys with their values, or JSON. What may be said is the engine's to check.
"""

from __future__ import annotations

from typing import Annotated

import typer

from undula.cli import parsing
from undula.cli.output import EXIT_HELP, BeamlineOption, JsonOption, connected, kind, print_json
from undula.core.errors import InputError
from undula.core.suggest import near


@kind
def md(
    words: Annotated[
        list[str] | None,
        typer.Argument(help="KEY=VALUE sets it, KEY alone shows it; nothing shows all."),
    ] = None,
    remove: Annotated[
        list[str] | None, typer.Option("--remove", help="Remove this key; may be repeated.")
    ] = None,
    as_json: JsonOption = False,
    beamline: BeamlineOption = None,
) -> None:
    """Metadata of all further runs: show, set, remove.

    Example: undula md sample=Fe2O3 temperature_K=12.5

    Example: undula md --remove temperature_K
    """
    given = [word for word in words or [] if "=" in word]
    asked = [word for word in words or [] if "=" not in word]
    gone = tuple(remove or ())
    with connected(beamline) as client:
        now = dict(client.metadata)
        for key in (*asked, *gone):
            if key not in now:
                meant = near(key, now)
                raise InputError(
                    f"the metadata has no {key!r}",
                    remedy=f"did you mean {meant}?" if meant else "undula md shows what it has",
                )
        values = parsing.metadata(given)
        if values or gone:
            client.metadata.change(values or {}, gone)
        if as_json:
            found = dict(client.metadata)
            print_json({key: found[key] for key in asked} if asked else found)
        elif asked:
            for key in asked:
                print(f"{key}  {now[key]!r}")
        else:
            print(client.metadata)


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("md", epilog=EXIT_HELP)(md)
