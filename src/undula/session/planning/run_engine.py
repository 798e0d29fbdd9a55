"""`RE` at the prompt: Bluesky's RunEngine as people call it, for the one in the engine.

In: plans. Out: the uids of their runs, the live table, documents for subscribers. The scan queue is
the same for everybody: `RE(...)` waits for its turn.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from undula.client import Accepted, ScanHandle
from undula.core.errors import InputError, UndulaError

if TYPE_CHECKING:
    from undula.session.planning.prompt import Follows, Prompt

Callback = Callable[[str, dict[str, Any]], None]
NAMES = ("all", "start", "descriptor", "event", "stop")


class RunEngineHere:
    """Runs plans: RE(bp.scan([D.diode], M.samx, -1, 1, 21)), RE(myplan(5), purpose="x").

    It shows the scan live, waits for its end, and gives back the uids of its runs. Keyword
    arguments and RE.md go into the start document. Ctrl-C stops motion and pauses: RE.resume()
    goes on, RE.abort() ends it; a second Ctrl-C aborts.

        RE.md               a dict for the start document of every run from here
        RE.state            'idle', 'running', 'paused' ...: the queue's, whoever runs a scan
        RE.check(plan)      check only: nothing is queued, nothing moves
        RE.subscribe(f)     call f(name, document) for what runs from here; RE.unsubscribe(token)
    """

    def __init__(self, prompt: Prompt, shell: Follows) -> None:
        self._prompt, self._shell = prompt, shell
        self.md: dict[str, Any] = {}
        self._callbacks: dict[int, tuple[str, Callback]] = {}
        self._tokens = 0
        self._last: ScanHandle | None = None

    def __call__(self, plan: Any = None, subs: Any = None, /, **metadata: Any) -> tuple[str, ...]:
        """Run a plan to its end. Returns: the uids of its runs.

        Args:
            plan: bp.scan(...), bps.mv(...), or a call of a plan of yours.
            subs: callbacks for this plan: one, a list, or {"event": one, ...}.
            metadata: goes into the start documents.
        Raises: UndulaError when it is refused, fails, is aborted, or is left paused.
        """
        own = dict(_subscriptions(subs))

        def send() -> ScanHandle:
            handle = self._prompt.submit(plan, metadata={**self.md, **metadata})
            self._prompt.warn(handle)
            self._last = handle
            return handle

        return self._result(self._shell.ask(send, self._listener(own)))

    def _listener(self, own: Mapping[str, list[Callback]]) -> Callback:
        def listen(name: str, doc: dict[str, Any]) -> None:
            wanted = [f for kind, f in self._callbacks.values() if kind in ("all", name)]
            for callback in (*wanted, *own.get("all", ()), *own.get(name, ())):
                callback(name, doc)

        return lambda name, doc: _as_events(name, doc, listen)

    def _result(self, handle: ScanHandle) -> tuple[str, ...]:
        if handle.status in ("pausing", "paused"):
            raise UndulaError(
                "the plan is paused", remedy="RE.resume() goes on, RE.abort() ends it"
            )
        if handle.finished is None:
            raise UndulaError("the plan goes on in the engine", remedy="see queue")
        self._shell.ended(handle)
        return tuple(handle.finished.run_uids)

    def check(self, plan: Any) -> Accepted:
        """Check a plan and run nothing; prints what is known of it beforehand."""
        found = self._prompt.check(plan)
        points = "not known beforehand" if found.num_points is None else str(found.num_points)
        time = "" if found.estimate_s is None else f", about {found.estimate_s:.0f} s"
        used = ", ".join([*found.axes, *found.detectors]) or "none"
        lines = [found.command, f"  points  {points}{time}", f"  uses    {used}"]
        lines += [f"  note    {warning}" for warning in found.warnings]
        sys.stdout.write("\n".join(lines) + "\n")
        return found

    # -- steering ---------------------------------------------------------------------------

    @property
    def state(self) -> str:
        """What the engine does now, as the queue shows it."""
        return self._shell.client.queue.list().state

    def pause(self, defer: bool = False) -> None:
        """Pause now; with `defer` at the next checkpoint."""
        queue = self._shell.client.queue
        _ = queue.pause_at_point() if defer else queue.pause()

    request_pause = pause

    def resume(self) -> tuple[str, ...]:
        """Go on with what is paused; live again when RE began it. Returns: the uids of its runs."""
        queue, last = self._shell.client.queue, self._last
        running = queue.list().running
        queue.resume()
        mine = last is not None and running is not None and running.item_id == last.item_id
        if not mine or last is None:
            return ()
        return self._result(self._shell.follow(last, self._listener({})))

    def abort(self, reason: str = "") -> tuple[str, ...]:
        """End the running or paused plan, with its clean-up. Returns: the uids of its runs."""
        self._shell.client.queue.abort(reason or "aborted by RE.abort()")
        return self._uids()

    def stop(self) -> tuple[str, ...]:
        """End the running or paused plan as good, at its next checkpoint or now while paused.

        Returns: the uids of its runs.
        """
        self._shell.client.queue.complete()
        return self._uids()

    def halt(self) -> tuple[str, ...]:
        """As abort: the clean-up is never left out."""
        return self.abort("ended by RE.halt()")

    def _uids(self) -> tuple[str, ...]:
        handle = self._last
        if handle is None:
            return ()
        handle.wait(60.0, check=False)
        return tuple(handle.finished.run_uids) if handle.finished is not None else ()

    # -- documents --------------------------------------------------------------------------

    def subscribe(self, func: Callback, name: str = "all") -> int:
        """Call func(name, document) for what runs from here. Returns: a token to unsubscribe.

        Args:
            name: of the documents wanted: all, start, descriptor, event, stop.
        """
        self._tokens += 1
        self._callbacks[self._tokens] = (_known(name), func)
        return self._tokens

    def unsubscribe(self, token: int) -> None:
        """No more calls for that subscription; an unknown one is ignored."""
        self._callbacks.pop(token, None)

    def __repr__(self) -> str:
        return f"<RE: {self.state}; RE? tells how>"


def _known(name: str) -> str:
    if name not in NAMES:
        raise InputError(f"there are no documents {name!r}", remedy=f"one of {', '.join(NAMES)}")
    return name


def _subscriptions(subs: Any) -> Iterator[tuple[str, list[Callback]]]:
    if subs is None:
        return
    given = subs if isinstance(subs, Mapping) else {"all": subs}
    for name, functions in given.items():
        found = list(functions) if isinstance(functions, Iterable) else [functions]
        if not all(callable(f) for f in found):
            raise InputError(
                f"{found!r} cannot be called", remedy="metadata is given by name: purpose='x'"
            )
        yield _known(name), found


def _as_events(name: str, doc: dict[str, Any], tell: Callback) -> None:
    """A page as the events that Bluesky's callbacks expect."""
    if name != "event_page":
        tell(name, doc)
        return
    for i, seq_num in enumerate(doc["seq_num"]):
        event = {
            "uid": doc["uid"][i],
            "descriptor": doc["descriptor"],
            "seq_num": seq_num,
            "time": doc["time"][i],
            "filled": {k: v[i] for k, v in (doc.get("filled") or {}).items()},
            "data": {k: v[i] for k, v in doc["data"].items()},
            "timestamps": {k: v[i] for k, v in doc["timestamps"].items()},
        }
        tell("event", event)
