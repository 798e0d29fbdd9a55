"""Commands about how files are laid out: `undula files [list | check]`. They read YAML only.

In: the beamline's folder. Out: the layouts there are, or every fault of `file_fields.yaml`,
`file_layouts/*.yaml` and `metadata_schema.yaml` with its line. No service needs to run.
"""

from __future__ import annotations

import typer

from undula.cli.output import EXIT_HELP, BeamlineOption, JsonOption, kind, print_json, table
from undula.core.paths import beamline_paths, default_beamline


@kind
def list_layouts(as_json: JsonOption = False, beamline: BeamlineOption = None) -> None:
    """The layouts of files by technique. Example: undula files"""
    from undula.scans.file_layouts import FileLayouts

    state = beamline_paths(beamline or default_beamline()).state
    layouts = FileLayouts(state)
    known = layouts.known()
    if as_json:
        print_json([layout.model_dump(by_alias=True, exclude_defaults=True) for layout in known])
        return
    rows = [[x.name, x.definition, ", ".join(x.technique), x.description] for x in known]
    print(table(["layout", "definition", "technique", "what"], rows))
    print(f"own fields: {len(layouts.fields().fields)}, in {state / 'file_fields.yaml'}")


@kind
def check(as_json: JsonOption = False, beamline: BeamlineOption = None) -> None:
    """Every fault of the YAML about files and metadata. Example: undula files check"""
    from undula.scans.beamline_files import check_files

    check_files(beamline_paths(beamline or default_beamline()).state)
    print_json({"faults": []}) if as_json else print("no faults")


def register(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(
        help="How files are laid out by technique.", invoke_without_command=True, epilog=EXIT_HELP
    )

    @group.callback()
    @kind
    def default(
        context: typer.Context, as_json: JsonOption = False, beamline: BeamlineOption = None
    ) -> None:
        if context.invoked_subcommand is None:
            list_layouts(as_json=as_json, beamline=beamline)

    group.command("list", epilog=EXIT_HELP)(list_layouts)
    group.command("check", epilog=EXIT_HELP)(check)
    app.add_typer(group, name="files")
