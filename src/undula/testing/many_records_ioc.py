"""An IOC of many records, for tests and benchmarks of large beamlines: 10 motors, 180 values.

In: `--prefix`, `--interfaces`. Out: PVs `{prefix}m0` to `m9` (motor records that do not move by
themselves) and `{prefix}v0` to `v179`. Run as a process of its own.
"""

from __future__ import annotations

import sys

from caproto.server import PVGroup, ioc_arg_parser, pvproperty, run

MOTORS, VALUES = 10, 180


def group() -> type[PVGroup]:
    """The records, as a class that caproto serves."""
    records = {f"m{i}": pvproperty(value=0.0, name=f"m{i}", record="motor") for i in range(MOTORS)}
    values = {f"v{i}": pvproperty(value=float(i), name=f"v{i}") for i in range(VALUES)}
    return type("ManyRecords", (PVGroup,), {**records, **values})


def main(argv: list[str]) -> None:
    """Serve until the process is ended."""
    options, run_options = ioc_arg_parser(
        default_prefix="many:", desc="Many records for tests.", argv=argv
    )
    run(group()(**options).pvdb, **run_options)


if __name__ == "__main__":
    main(sys.argv[1:])
