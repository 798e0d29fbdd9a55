"""Frames that an IOC writes into files of its own: where they go, which are a point's, how many.

In: the path of the run's file, the counters of a file plugin. Out: the frame file's place, stream
documents that name the one frame of each point, and an error when frames are missing. Works with
any areaDetector of ophyd-async (`cameras`). Needs the extra `epics`.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePath
from typing import Any

import h5py
from ophyd_async.core import PathInfo, StreamResourceDataProvider
from ophyd_async.epics.adcore import ADHDFDataLogic

from undula.core.errors import DeviceError

MAX_SUFFIX = 1000
LOOK_EVERY_S = 0.1


@dataclass
class FramePlace:
    """Where the frame file of the next run goes: beside the run's file, named like it.

    Args:
        at_ioc: folder here to folder as the IOC's computer sees it, where they differ.
    """

    at_ioc: Mapping[str, str] = field(default_factory=dict)
    run: Path | None = None
    file: Path | None = None

    def __call__(self, device_name: str | None = None) -> PathInfo:
        """The place of a new file, never that of an old one. Raises: DeviceError without a run."""
        if self.run is None:
            raise DeviceError(
                "it does not know where its frames should go",
                remedy="take frames in a scan, or set its run path first",
                device=device_name,
            )
        stem = f"{self.run.stem}_{device_name}"
        for number in range(MAX_SUFFIX):
            name = f"{stem}_{number}" if number else stem
            self.file = self.run.parent / f"{name}.h5"
            if not os.path.lexists(self.file):
                break
        folder = str(self.run.parent)
        for here, there in self.at_ioc.items():
            if self.run.parent.is_relative_to(here):
                folder = str(PurePath(there) / self.run.parent.relative_to(here))
        return PathInfo(
            directory_path=folder,
            filename=name,
            directory_uri=f"{self.run.parent.as_uri().replace('file:///', 'file://localhost/')}/",
        )


class FrameDocuments(StreamResourceDataProvider):
    """Names the newest frame of each point; a frame that was spoiled before it stays unnamed."""

    named: int = 0
    """Frames that the file must hold for the points named so far."""

    async def make_stream_docs(
        self, collections_written: int, collections_per_event: int
    ) -> AsyncIterator[Any]:
        """The documents of one point; nothing when no frame came since the last one."""
        if self.flush_signal:
            await self.flush_signal.set(True)
        written = collections_written // collections_per_event
        if written <= self.named:
            return
        first, self.named = self.named == 0, written
        for bundle in self.bundles:
            if first:
                yield "stream_resource", bundle.stream_resource_doc
            datum = bundle.compose_stream_datum({"start": written - 1, "stop": written})
            yield "stream_datum", datum


class FrameLogic(ADHDFDataLogic):
    """The HDF5 plugin, with documents for points that may be taken again."""

    documents: FrameDocuments | None = None
    files: tuple[tuple[Path, FrameDocuments], ...] = ()
    """Of this run, the newest last: a second one after the IOC was started anew."""

    async def prepare_unbounded(self, datakey_name: str) -> FrameDocuments:
        """Open a new file for a run."""
        plain = await super().prepare_unbounded(datakey_name)
        self.documents = FrameDocuments(
            plain.uri,
            plain.resources,
            "application/x-hdf5",
            plain.collections_written_signal,
            plain.flush_signal,
        )
        self.files = (*self.files, (self.path_provider.file, self.documents))
        return self.documents


def count_frames(path: Path, dataset: str) -> int | None:
    """Frames in a closed or a growing file; None when there is no such file or dataset."""
    for swmr in (False, True):
        try:
            with h5py.File(path, "r", swmr=swmr, locking=False) as file:
                return int(file[dataset].shape[0])
        except (OSError, KeyError, ValueError):
            continue
    return None


async def wait_for_frames(path: Path, dataset: str, expected: int, timeout_s: float) -> int | None:
    """Frames in the file once it has the expected number, or after `timeout_s` whatever it has."""
    end = time.monotonic() + timeout_s
    while True:
        found = await asyncio.to_thread(count_frames, path, dataset)
        if (found is not None and found >= expected) or time.monotonic() > end:
            return found
        await asyncio.sleep(LOOK_EVERY_S)


def missing_frames(device: str, path: Path, expected: int, found: int | None) -> DeviceError:
    """The error of a file that is not there, or holds fewer frames than were triggered."""
    if found is None:
        return DeviceError(
            f"its frame file is missing: expected {expected} frames in {path}, found no file",
            remedy="see whether the IOC may write to that folder and its file plugin is enabled",
            device=device,
        )
    return DeviceError(
        f"frames are missing: expected {expected} frames in {path}, found {found}",
        remedy="look at the dropped-frame counters of its plugins, then take the points again",
        device=device,
    )
