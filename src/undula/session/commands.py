"""The names that a person has in `undula shell`: plans, moves, readings, queue, peak statistics.

In: a client. Out: a namespace of functions that show what they do. Nothing here decides; `client`
does.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from typing import Any

from undula.analysis.statistics import MapStats
from undula.analysis.view import RunView
from undula.client import (
    Background,
    Client,
    PeakStats,
    ScanHandle,
    StopReport,
    main_value,
)
from undula.client.arguments import targets
from undula.client.metadata import scan_group
from undula.client.moving import MoveProgress
from undula.core.errors import BusyError, InputError
from undula.core.shown import counted
from undula.messages import QueueStatus, Readback
from undula.session.access import People
from undula.session.completing import complete_graphs
from undula.session.display import TextDisplay, wants_colour
from undula.session.follow import Held, follow, held_ctrl_c, wait_for_move
from undula.session.groups import Group
from undula.session.planning.prompt import Prompt
from undula.session.plans import PLANS, ROOT, Scans, make_plan
from undula.session.trajectory import drawn, limits_of
from undula.session.words.experiment import experiment_words
from undula.session.words.fitting import Fitting
from undula.session.words.following import DeviceNames
from undula.session.words.guide import guide
from undula.session.words.keeping import Kept
from undula.session.words.macros import LoggedCommands, Macros, OwnCommands
from undula.session.words.selecting import Selecting
from undula.session.words.startup import SHARED_LIMIT_S, run_startup
from undula.session.words.typed import TypingHelper


class Shell:
    """What the shell knows: the client, the last scan, and the functions a person types."""

    def __init__(
        self, client: Client, plot: bool = True, leave_when_paused: bool | None = None
    ) -> None:
        self.client = client
        self.plot = plot
        self.view: RunView | None = None
        self._paused: ScanHandle | None = None
        self._interrupted = ""
        self._runs: list[int] = []
        self.show_progress = _rewrite_line if sys.stdout.isatty() else None
        """What is redrawn in place while something moves; None where nothing can be."""
        self._leave = sys.stdin.isatty() if leave_when_paused is None else leave_when_paused
        self.prompt = Prompt(self)
        self.devices = DeviceNames(client, self.here)
        self.typed = TypingHelper(self._is_word)
        self.selecting = Selecting(client)
        models = client.paths.models if client.paths else None
        self.fitting = Fitting(self._shown, _signal, self._goto, models)
        self._words: dict[str, Any] = {}
        self._own: dict[str, Any] = {}

    # -- scans ------------------------------------------------------------------------------

    def run(self, plan: str, *args: Any, **options: Any) -> ScanHandle:
        """Run any plan by name, live: run("spiral", samx, samy, ...).

        Raises: UndulaError when it ended in any other way than success; KeyboardInterrupt after a
            Ctrl-C: whatever stands behind it in the cell does not run.
        """

        def send() -> ScanHandle:
            handle = self.client.submit(plan, *args, **options)
            for warning in handle.accepted.warnings:
                _say(f"warning: {warning}")
            return handle

        return self.ended(self.ask(send))

    def ask(
        self,
        send: Callable[[], ScanHandle],
        listener: Callable[[str, dict[str, Any]], None] | None = None,
    ) -> ScanHandle:
        """Send a scan and follow it.

        Raises: BusyError while another one is paused: it would wait, and nobody could go on here.
        """
        status = self.client.queue.last
        if self._leave and status is not None and status.state in ("pausing", "paused"):
            paused = status.running.command if status.running is not None else "a scan"
            raise BusyError(
                f"{paused} is paused, and this would wait behind it",
                remedy="resume() or abort() first; queue.add(...) puts it into the queue",
            )
        with held_ctrl_c() as held:
            return self.follow(send(), listener, held)

    def ended(self, handle: ScanHandle) -> ScanHandle:
        """A scan that was followed here, if it has ended well; see `run`."""
        interrupted, self._interrupted = self._interrupted, ""
        if interrupted and self._leave:
            raise KeyboardInterrupt(interrupted)
        handle.check()
        return handle

    def show(self, plan: Any, *args: Any, **options: Any) -> None:
        """show(scan, samx, -1, 1, 21): draw where a scan would go, in the limits; move nothing.

        For any plan by name or as a function; with its points, time, size and warnings.
        """
        plan = getattr(plan, "plan_name", plan)
        options.pop("metadata", None)
        checked = self.prompt.check(plan, *args, **options)
        width = shutil.get_terminal_size().columns
        limits = limits_of(checked, self.client.devices.info)
        _say("\n".join(drawn(checked, limits, width, colour=wants_colour(sys.stdout))))

    def follow(
        self,
        handle: ScanHandle,
        listener: Callable[[str, dict[str, Any]], None] | None = None,
        held: Held | None = None,
    ) -> ScanHandle:
        """Show a scan until it has ended or was left paused.

        Args:
            listener: gets the documents of its runs.
            held: a Ctrl-C that came before.
        """
        display = TextDisplay(plot=self.plot, listener=listener)
        try:
            found = follow(self.client, handle, display, self._leave, held)
        finally:
            self._runs += [view.number for view in display.views if view.number is not None]
        self.view = display.view or self.view
        self._paused = None if found.ended else handle
        self._interrupted = found.interrupted
        return handle

    def take_runs(self) -> list[int]:
        """Numbers of the runs that were followed since this was asked last."""
        numbers, self._runs = self._runs, []
        return list(dict.fromkeys(numbers))

    def pause(self) -> QueueStatus:
        """Pause the running scan now."""
        return self.client.queue.pause()

    def resume(self) -> None:
        """Go on with the paused scan, live again when it was started here."""
        self.client.queue.resume()
        if self._paused is not None:
            self.ended(self.follow(self._paused))

    def skip(self) -> None:
        """skip(): leave out the point under way, or the next one while paused, and go on."""
        self._steered(self.client.queue.skip())

    def retake(self, point: int | None = None) -> None:
        """retake(), retake(12): take the last point, or that one, again, and go on."""
        self._steered(self.client.queue.retake(point))

    def complete(self) -> None:
        """complete(): end the running scan early and count it as good."""
        self._steered(self.client.queue.complete())

    def _steered(self, status: QueueStatus) -> None:
        _say(status.did)
        if self._paused is not None:
            self.ended(self.follow(self._paused))

    def abort(self, reason: str = "") -> None:
        """End the running or paused scan, with clean-up."""
        self.client.queue.abort(reason or "aborted in the shell")
        if self._paused is not None:
            self.follow(self._paused)

    def stop(self) -> StopReport:
        """Stop motion, whatever is queued or busy."""
        return self.client.stop()

    # -- moves and readings -----------------------------------------------------------------

    def _move(self, to: dict[str, Any], relative: bool, show: bool) -> None:
        self._wait(self.client.start_move(to, relative, self._progress() if show else None), show)

    def _progress(self) -> MoveProgress | None:
        show = self.show_progress
        return None if show is None else lambda readback: show(_readback_text(readback))

    def _wait(self, move: Background, shown: bool) -> None:
        readbacks = wait_for_move(self.client, move, _say)
        if shown and self.show_progress is _rewrite_line:
            _rewrite_line("")
        for name, entry in readbacks.items():
            _say(f"{name} {_number(entry['value'])} {entry.get('unit') or ''}".rstrip())

    def _bec_move(self, *args: Any, relative: bool, show: bool) -> None:
        self._move(targets(args, {}), relative, show)

    def mv(self, *args: Any, **axes: Any) -> None:
        """mv(samx, 3) or mv(samx=3, samy=4): move, wait, say where it is; Ctrl-C stops."""
        self._move(targets(args, axes), relative=False, show=False)

    def mvr(self, *args: Any, **axes: Any) -> None:
        """mvr(samx, 0.1): move by a distance and wait; Ctrl-C stops."""
        self._move(targets(args, axes), relative=True, show=False)

    def umv(self, *args: Any, **axes: Any) -> None:
        """Move and show the readback on the way."""
        self._move(targets(args, axes), relative=False, show=True)

    def umvr(self, *args: Any, **axes: Any) -> None:
        """Move by a distance and show the readback on the way."""
        self._move(targets(args, axes), relative=True, show=True)

    def read(self, *devices: Any) -> None:
        """read(samx, diode): read now and show values with units."""
        readings, flags = self.client.read_flagged(*devices)
        for device, reading in readings.items():
            for key, entry in reading.items():
                place = key if key == device else f"{device}  {key}"
                _say(f"{place:<24}{_number(entry['value']):>12} {entry.get('unit') or ''}".rstrip())
        for flag in flags:
            _say(f"flag: {flag}")

    def wm(self, *axes: Any) -> None:
        """wm(samx, samy): where they are, and their limits."""
        names = [str(axis) for axis in axes]
        if not names:
            raise InputError("no axis was named", remedy="wm(samx), or wa() for all")
        readings = self.client.read(*names)
        _say(f"{'axis':<20}{'position':>12} {'low':>10} {'high':>10}  unit")
        for name in names:
            info = self.client.devices.info(name)
            low, high = info.limits if info.limits is not None else (None, None)
            position = _number(main_value(name, readings[info.name]))
            ends = f"{_number(low):>10} {_number(high):>10}"
            _say(f"{info.path:<20}{position:>12} {ends}  {info.unit}".rstrip())

    def wa(self) -> None:
        """Where all positioners are."""
        table = self.client.devices.table()
        axes = [i.name for i in table if i.kind == "positioner" and i.enabled and i.connected]
        self.wm(*axes)

    def set_position(self, axis: Any, position: float) -> None:
        """set_position(samx, 0): call the present place so, without moving; SPEC's `set`."""
        self.client.motors.set_position(str(axis), position)
        self.wm(axis)

    def set_lm(self, axis: Any, low: float, high: float) -> None:
        """set_lm(samx, -5, 5): soft limits."""
        self.client.motors.set_limits(str(axis), low, high)
        self.wm(axis)

    def home(self, axis: Any, direction: str = "forward") -> None:
        """home(samx): search for home and wait, where the motor can."""
        self.client.motors.home(str(axis), direction)
        self.wm(axis)

    def jog(self, axis: Any, direction: str, velocity: float | None = None) -> None:
        """jog(samx, "+"), jog(samx, "-", 0.5): go until Ctrl-C or the soft limit; velocity."""
        move = self.client.motors.start_jog(str(axis), direction, velocity, self._progress())
        self._wait(move, True)

    def tw(self, axis: Any, step: float) -> None:
        """tw(samx, 0.1): step by keys: + or p, - or n, a number for another step, q ends."""
        while True:
            answer = input(f"{axis} step {step:g}  [p n number q]: ").strip()
            if answer in ("q", ""):
                return
            if answer in ("p", "+", "n", "-"):
                self.umvr(axis, step if answer in ("p", "+") else -step)
                continue
            try:
                step = float(answer)
            except ValueError:
                _say(f"{answer!r} is no number; p or n steps, q ends")

    # -- the last scan ----------------------------------------------------------------------

    def _shown(self) -> RunView | None:
        """The view of the last scan, with the signals first that count first now."""
        if self.view is not None:
            self.view.first = self.selecting.selected or None
        return self.view

    def _stats(self, signal: Any = None) -> PeakStats:
        stats = None
        if self.view is not None:
            self.view.first = self.selecting.selected or None
            stats = self.view.stats(_signal(self.view, signal))
        if stats is None:
            raise InputError("there is no peak yet", remedy="scan an axis against a detector first")
        return stats

    def _on_map(self, signal: Any = None) -> MapStats | None:
        """Statistics when the last scan is a map."""
        view = self._shown()
        return None if view is None else view.map_stats(_signal(view, signal))

    def _defined(self, name: str, signal: Any = None) -> float | tuple[float, ...]:
        on_map = self._on_map(signal)
        value = getattr(self._stats(signal) if on_map is None else on_map, name)
        if value is None:
            raise InputError(
                f"{name} is not defined for the last scan",
                remedy="scan over the whole peak, with points enough",
            )
        return value if isinstance(value, tuple) else float(value)

    def cen(self, signal: Any = None) -> float | tuple[float, ...]:
        """cen(), cen(i0): middle between the half heights of the last scan, in the axis's unit.

        Of a map (slow, fast): the centre of mass of what is above half the height.
        """
        return self._defined("cen", signal)

    def com(self, signal: Any = None) -> float | tuple[float, ...]:
        """com(), com(i0): centre of mass of the last scan; of a map (slow, fast).

        It counts what is above the lowest value.
        """
        return self._defined("com", signal)

    def fwhm(self, signal: Any = None) -> float | tuple[float, ...]:
        """fwhm(), fwhm(i0): full width at half maximum of the last scan, in the axis's unit.

        Of a map (slow, fast): how far what is above half the height reaches along each axis.
        """
        return self._defined("fwhm", signal)

    def peak(self, signal: Any = None) -> float | tuple[float, ...]:
        """peak(), peak(i0): place of the highest point of the last scan; of a map (slow, fast)."""
        on_map = self._on_map(signal)
        if on_map is not None:
            return on_map.peak
        return self._stats(signal).peak[0]

    def _goto(self, position: float | tuple[float, ...]) -> None:
        view = self.view
        names = list(view.start.get("motors") or []) if view is not None else []
        places = position if isinstance(position, tuple) else (position,)
        if len(names) != len(places):
            moved = counted(len(names), "axis")
            raise InputError(f"the last scan moved {moved}", remedy="move them with mv")
        axes = [self.client.devices[name] for name in names]
        pairs = list(zip(axes, places, strict=True))
        _say(f"umv({', '.join(f'{axis.device_path}, {place:g}' for axis, place in pairs)})")
        self.umv(*(part for pair in pairs for part in pair))

    def _goto_found(self, position: float | tuple[float, ...], signal: Any) -> None:
        """Move there, unless the curve or map is noise: then the place is a chance."""
        view = self.view
        if view is not None and view.signals:
            from undula.analysis.noise import noise_of, noise_of_map

            key = _signal(view, signal) or view.signals[0]
            values, axes = view.values(key), view.map_keys
            if axes is None:
                why = noise_of(view.x[2], values)
            else:
                x, y = map(view.values, axes)
                why = noise_of_map(x, y, values)
            if why:
                raise InputError(
                    f"{key} shows no peak: {why}",
                    remedy="count longer, or scan where it is; mv goes to a place of yours",
                )
        self._goto(position)

    def goto_peak(self, signal: Any = None) -> None:
        """goto_peak(), goto_peak(i0): go to the highest point of the last scan; on a map both axes.

        Refused, as goto_cen and goto_com, when the curve or map is noise without a peak.
        """
        self._goto_found(self.peak(signal), signal)

    def lineup(
        self, axis: Any, start: float, stop: float, intervals: int, time: float, *counters: Any,
        **options: Any,
    ) -> None:  # fmt: skip
        """lineup(samx, -1, 1, 20, 0.1, diode): scan around the present place, go to the peak.

        BLISS's: a `dscan`, then `goto_peak` of the first counter. Where there is no peak it is
        refused, and the axis stays where it was.
        """
        self.run("dscan", axis, start, stop, intervals, time, *counters, **options)
        self.goto_peak(counters[0] if counters else None)

    def goto_cen(self, signal: Any = None) -> None:
        """Move to the middle between the half heights of the last scan; on a map both axes."""
        self._goto_found(self.cen(signal), signal)

    def goto_com(self, signal: Any = None) -> None:
        """Move to the centre of mass of the last scan; on a map both axes."""
        self._goto_found(self.com(signal), signal)

    # -- the names --------------------------------------------------------------------------

    def namespace(self) -> dict[str, Any]:
        """Every name of the shell. Devices are there by name where no other name is hidden."""
        people = People(self.client)
        names: dict[str, Any] = {
            "client": self.client,
            "devices": self.client.devices,
            "runs": self.client.runs,
            "config": self.client.config,
            "alarms": self.client.alarms,
            "pipes": self.client.pipes,
            "dev": Group(self.client, "dev"),
            "login": people.login,
            "logout": people.logout,
            "whoami": people.whoami,
        }
        names.update({name: make_plan(name, self.run) for name in PLANS})
        names[ROOT] = Scans(self.run, self._bec_move)
        for name in (
            "mv", "mvr", "umv", "umvr", "wm", "wa", "set_position",
            "set_lm", "home", "jog", "tw", "read", "stop", "pause", "resume", "abort",
            "skip", "retake", "complete",
            "show", "cen", "com", "peak", "fwhm", "goto_peak", "goto_cen", "goto_com",
            "lineup",
        ):  # fmt: skip
            names[name] = getattr(self, name)
        for name in ("fit", "goto_fit", "edge", "goto_edge"):
            names[name] = getattr(self.fitting, name)
        names.update(experiment_words(self.client))
        names["md"] = self.client.metadata
        names["scan_group"] = scan_group
        names["lsdev"], names["plotselect"] = self.selecting.lsdev, self.selecting.plotselect
        names["help"] = guide
        names["typing_helper"] = self.typed.typing_helper
        self.prompt.install(names)
        self._own = dict(names)
        self._words = {n: v for n, v in names.items() if callable(v)}
        self.devices.update()
        self.prompt.packages.update()
        return names

    def here(self) -> dict[str, Any]:
        """The names of the prompt as they are now."""
        return self.prompt.here()

    def _is_word(self, name: str) -> bool:
        """A function of the beamline that has kept its meaning here."""
        here = self.here()
        prompt = self.prompt
        known = self._words.get(name) or prompt.folder.functions.get(name)
        known = known or prompt.packages.given.get(name)
        return known is not None and here.get(name) is known

    def live_in(self, ipython: Any, *, shared: bool = False) -> str:
        """Serve an IPython: names follow the devices, lines may be typed as in SPEC.

        It ends with the beamline's start-up file. Returns: the fault of that; "" without one.
        """
        paths, here = self.client.paths, ipython.user_ns
        ipython.input_transformer_manager.cleanup_transforms.append(self.typed)
        complete_graphs(ipython)
        self.devices.follow()
        self.prompt.packages.live_in(ipython)
        ipython.show_usage = guide  # what a lone ? shows
        log = LoggedCommands(paths.commands) if shared and paths else OwnCommands(ipython)
        macros = Macros(log, self.prompt.folder.place)
        ipython.register_magic_function(macros.magic, "line", "script")
        here["script"] = self._words["script"] = self._own["script"] = macros.script
        self._own.update({word: here[word] for word in ("exit", "quit") if word in here})
        fault = run_startup(paths, here, SHARED_LIMIT_S if shared else None)
        kept = Kept(self._given, self.here)
        kept.accept()
        ipython.events.register("post_run_cell", lambda _: _tell(kept.look()))
        return fault

    def _given(self) -> dict[str, Any]:
        """The names that the beamline gives this prompt now."""
        return {**self._own, **self.devices.given, **self.prompt.folder.functions}


def _signal(view: RunView, signal: Any) -> str | None:
    if signal is None:
        return None
    found = [key for key in view.keys_of(str(signal)) if key in view.signals]
    if not found:
        raise InputError(
            f"{signal} was not measured by the last scan",
            remedy=f"it measured {', '.join(view.signals)}",
        )
    return found[0]


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def _tell(text: str) -> None:
    if text:
        sys.stderr.write(f"{text}\n")


def _number(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, int | float) else "" if value is None else str(value)


def _readback_text(readback: Readback) -> str:
    return "   ".join(f"{k} {_number(v)}" for k, v in readback.values.items())


def _rewrite_line(text: str) -> None:
    sys.stdout.write(f"\r\x1b[K{text}")
    sys.stdout.flush()
