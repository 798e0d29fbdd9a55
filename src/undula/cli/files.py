"""Commands about files: `undula files [list | check | repair FILE ...]`.

In: the beamline's folder; files of frames. Out: the layouts there are, or every fault of
`file_fields.yaml`, `file_layouts/*.yaml` and `metadata_schema.yaml` with its line; files that any
program opens, though their writer was killed. No service needs to run.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

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


@kind
def repair(
    files: Annotated[list[Path], typer.Argument(help="HDF5 files, e.g. *_cam_0001.h5.")],
    force: Annotated[
        bool, typer.Option("--force", help="Also those of IOCs, which nobody writes any more.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Let every program open files whose writer was killed, or whose machine lost its power.

    Such a file says "already open for write"; its frames are whole up to the last that was told to
    be safe. One that somebody still writes is left as it is, and named.

    Example: undula files repair 00012_scan_cam_0001.h5
    """
    from undula.core.errors import BusyError, InputError
    from undula.files.frame_file import has_lock
    from undula.files.repair import clear_writing_mark, let_readers_in, marked, truncated

    done: dict[str, str] = {}
    for path in files:
        foreign = marked(path) and not truncated(path) and not has_lock(path)
        if foreign and not force:
            raise InputError(
                f"{path} is not from a graph: nobody can tell whether it is still written",
                remedy="look whether its IOC or program has ended, then repeat it with --force",
            )
        repaired = clear_writing_mark(path) if foreign else let_readers_in(path)
        if not repaired and marked(path):
            raise BusyError(
                f"{path} is still being written",
                remedy="wait until its scan has ended; where no process writes it, its file system "
                "has no locks: copy it to a local disk and repair the copy",
            )
        done[str(path)] = "repaired" if repaired else "nothing to repair"
        if not as_json:
            print(f"{path}: {done[str(path)]}")
    if as_json:
        print_json({"files": done})


def register(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(
        help="How files are laid out by technique; files of killed writers.",
        invoke_without_command=True,
        epilog=EXIT_HELP,
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
    group.command("repair", epilog=EXIT_HELP)(repair)
    app.add_typer(group, name="files")
