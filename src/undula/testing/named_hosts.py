"""Room: testing. Several hosts that are names for this one: keys, ports and links are real.

In: a folder for their keys. Out: a placement that starts the processes of a graph on them.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from undula.pipes.link.keys import load_keys, trust
from undula.pipes.runner.placement import LocalProcess, Site


class NamedHosts:
    """Hosts, each with keys of its own, which know each other.

    Args:
        folder: for their keys.
        names: of the hosts; an empty one is where the runner is.
    """

    def __init__(self, folder: Path, names: tuple[str, ...] = ("", "near", "far")) -> None:
        self._sites = {name: Site(keys=folder / (name or "here")) for name in names}
        keys = {name: load_keys(folder / (name or "here")) for name in names}
        for name in names:
            for other in filter(None, names):
                if other != name:
                    trust(folder / (name or "here"), other, keys[other].public.decode())
            if name:
                trust(folder / name, "control", keys[""].public.decode())

    def sites(self) -> Mapping[str, Site]:
        """All of them."""
        return self._sites

    def start(self, process: str, host: str) -> LocalProcess:
        """A process of this host, under that name."""
        if host not in self._sites:
            raise AssertionError(f"{process} is to run on {host}")
        return LocalProcess()
