"""`undula md`, `undula newproposal` ...: the metadata of every further run; shown, set, removed.

In: words. Out: the keys with their values, or JSON. What may be said is the engine's to check.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from undula.cli import parsing
from undula.cli.output import EXIT_HELP, BeamlineOption, JsonOption, connected, kind, print_json
from undula.client.experiment import LEVELS, begin, end_proposal
from undula.core.errors import InputError
from undula.core.suggest import near

if TYPE_CHECKING:
    from undula.client import Client


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


Name = Annotated[
    str, typer.Argument(help="Letters, digits, '-', '_' and '.': it becomes a folder.")
]


def _begin(level: str, name: str, as_json: bool, beamline: str | None) -> None:
    with connected(beamline) as client:
        _told(begin(client.metadata, level, name), client, as_json)


def _told(text: str, client: Client, as_json: bool) -> None:
    if as_json:
        known = dict(client.metadata)
        now = {level: known.get(level) for level in LEVELS}
        print_json(now | {"next_file": client.metadata.next_file})
    else:
        print(text)


@kind
def newproposal(name: Name, as_json: JsonOption = False, beamline: BeamlineOption = None) -> None:
    """Say whose measurement it is from now on; sample and data set begin anew.

    Example: undula newproposal p12345
    """
    _begin("proposal", name, as_json, beamline)


@kind
def newsample(name: Name, as_json: JsonOption = False, beamline: BeamlineOption = None) -> None:
    """Say what is measured from now on; the data set begins anew.

    Example: undula newsample Fe2O3
    """
    _begin("sample", name, as_json, beamline)


@kind
def newdataset(name: Name, as_json: JsonOption = False, beamline: BeamlineOption = None) -> None:
    """Name what belongs together, of the same sample.

    Example: undula newdataset map1
    """
    _begin("dataset", name, as_json, beamline)


@kind
def endproposal(as_json: JsonOption = False, beamline: BeamlineOption = None) -> None:
    """End the proposal: further runs are of no proposal, sample or data set.

    Example: undula endproposal
    """
    with connected(beamline) as client:
        _told(end_proposal(client.metadata), client, as_json)


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("md", epilog=EXIT_HELP)(md)
    for command in (newproposal, newsample, newdataset, endproposal):
        app.command(command.__name__, epilog=EXIT_HELP)(command)
