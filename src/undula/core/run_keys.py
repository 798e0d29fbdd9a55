"""Room: core. Which keys of a start document a run says itself: nobody else may give them.

In: metadata that somebody gives. Out: nothing, or an `InputError` before anything moves. Asked of
what holds for all runs (`md`), of each scan (whoever sends it), of `defaults.yaml`, and of what a
plan, a hook or a preprocessor gives its runs. Not here: what event-model allows beside
(`scans.start_check`).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

from undula.core.errors import InputError

IDENTITY = frozenset({"uid", "time", "scan_id"})
"""Which run it is, and when: no plan gives these either, `md=` of Bluesky's plans included."""
OF_A_GROUP = frozenset({"scan_group"})
"""Given with the scans of a `scan_group`, not for all further runs."""
OF_THE_RUN = IDENTITY | {
    "plan_name", "command", "user", "beamline", "motors", "detectors", "baseline_devices",
    "detectors_left_out",
    "expects_streams", "versions", "devices", "count_time_s", "num_points", "num_intervals",
    "shape", "extents", "snaking", "axes_values", "hints", "file_layout", "continues", "part",
    "parts", "plan_declared",
}  # fmt: skip
"""What a run did: never given beforehand. A plan of one's own may say those beside `IDENTITY`."""


def refuse_taken(keys: Iterable[str], taken: Collection[str] = OF_THE_RUN) -> None:
    """Raise InputError for a key that a run says itself.

    >>> refuse_taken(["sample", "temperature_K"])
    >>> refuse_taken({"uid": 5})
    Traceback (most recent call last):
        ...
    undula.core.errors.InputError: each run says its uid itself. Remedy: leave it out of the \
metadata, or choose another name for it.
    """
    if found := sorted(set(keys) & set(taken)):
        raise InputError(
            f"each run says its {found[0]} itself",
            remedy="leave it out of the metadata, or choose another name for it",
        )
