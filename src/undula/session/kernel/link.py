"""One line to the kernel, in Jupyter's protocol, on an asyncio loop.

In: calls. Out: replies as futures, everything that the kernel publishes as callbacks. The kernel's
death is seen at once (pidfd), also when it is restarted in the same breath: what was under way then
ends with `KernelDiedError`, nothing is sent again. Not here: what the messages mean.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from typing import Any

import zmq
import zmq.asyncio
from jupyter_client.session import Session

from undula.core.errors import ServiceError, TimeoutUndulaError
from undula.core.log import get_logger
from undula.core.procs import ProcessId
from undula.session.kernel.places import KernelPlaces

Message = dict[str, Any]
ANSWER_TIMEOUT_S = 10.0
SUBSHELL_TIMEOUT_S = 30.0
"""A kernel that has just begun makes one when its imports and start-up file are done."""
LOOK_EVERY_S = 0.1


class KernelDiedError(ServiceError):
    """The kernel ended while something was under way: nobody knows how far it came."""


class KernelLink:
    """Made on the loop that it is used on.

    Args:
        places: the kernel's files.
        username: who speaks, in Jupyter's headers: all others see it, e.g. `terminal:anna`.
        published: called with each message of the iopub channel.
        asked: called with each question of a cell that this link sent (`input`, `getpass`).
        changed: called with True when a kernel is there, with False when it has ended.
    """

    def __init__(
        self,
        places: KernelPlaces,
        username: str,
        *,
        published: Callable[[Message], None],
        asked: Callable[[Message], None] | None = None,
        changed: Callable[[bool], None] | None = None,
    ) -> None:
        self._places = places
        self._published, self._asked, self._changed = published, asked, changed
        info = places.connection_info()
        self.session = Session(key=str(info["key"]).encode(), username=username)
        self._context = zmq.asyncio.Context()
        base = f"ipc://{info['ip']}-"
        self._shell = self._dealer(f"{base}{info['shell_port']}")
        self._control = self._dealer(f"{base}{info['control_port']}")
        self._stdin = self._dealer(f"{base}{info['stdin_port']}")
        self._iopub = self._context.socket(zmq.SUB)
        self._iopub.setsockopt(zmq.SUBSCRIBE, b"")
        self._iopub.rcvhwm = 0  # a slow front end loses no line; the kernel is never slowed
        self._iopub.reconnect_ivl = 20
        self._iopub.connect(f"{base}{info['iopub_port']}")
        self._waiting: dict[str, asyncio.Future[Message]] = {}
        self.me = _this_process()
        self._tasks: list[asyncio.Task[None]] = []
        self._subshell: str | None = None
        self._opening = asyncio.Lock()
        self._kernel: ProcessId | None = None
        self._ended_pid = 0
        self._heard = asyncio.Event()

    def _dealer(self, address: str) -> Any:
        made = self._context.socket(zmq.DEALER)
        made.identity = self.session.bsession
        made.linger = 0
        made.immediate = True  # nothing waits in a queue for a kernel that is not there
        made.reconnect_ivl = 20
        made.connect(address)
        return made

    # ---- life ------------------------------------------------------------------------------

    async def open(self, timeout_s: float = 30.0) -> None:
        """Wait for the kernel, and until nothing that it publishes is missed.

        Raises: TimeoutUndulaError.
        """
        start = asyncio.create_task
        self._tasks = [
            start(self._receive(self._shell, self._replied)),
            start(self._receive(self._control, self._replied)),
            start(self._receive(self._iopub, self._told)),
            start(self._receive(self._stdin, self._ask)),
            start(self._watch()),
        ]
        deadline = asyncio.get_running_loop().time() + timeout_s
        while True:
            try:
                await self.request("kernel_info_request", {}, on="control", timeout_s=1.0)
                if self._heard.is_set():
                    return
            except (TimeoutUndulaError, ServiceError):
                pass
            if asyncio.get_running_loop().time() > deadline:
                raise TimeoutUndulaError(
                    f"the shared prompt does not answer within {timeout_s:g} s",
                    remedy="see undula status, or restart it: undula restart kernel",
                )
            await asyncio.sleep(0.02)

    async def close(self) -> None:
        """End the line; the kernel goes on."""
        if self._subshell is not None:
            self._put(self._control, "delete_subshell_request", {"subshell_id": self._subshell})
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._fail_all()
        for made in (self._shell, self._control, self._stdin, self._iopub):
            made.close(linger=200)
        self._context.term()

    @property
    def alive(self) -> bool:
        """Whether there is a kernel."""
        return self._kernel is not None

    async def _watch(self) -> None:
        """See the kernel end, also when the next one comes before anybody looks."""
        loop = asyncio.get_running_loop()
        while True:
            found = self._places.holder()
            descriptor = found.open() if found is not None else None
            if found is None or descriptor is None:
                await asyncio.sleep(LOOK_EVERY_S)
                continue
            self._kernel = found
            if found.pid == self._ended_pid:  # used again
                self._ended_pid = 0
            self._say(True)
            ended = asyncio.Event()
            loop.add_reader(descriptor, ended.set)
            try:
                await ended.wait()
            finally:
                loop.remove_reader(descriptor)
                os.close(descriptor)
            self._kernel, self._subshell, self._ended_pid = None, None, found.pid
            self._fail_all()
            self._say(False)

    def _say(self, alive: bool) -> None:
        if self._changed is None:
            return
        try:
            self._changed(alive)
        except Exception:  # a listener's fault must not end the line for good
            get_logger().exception("kernel_change_not_taken", alive=alive)

    def _fail_all(self) -> None:
        waiting, self._waiting = self._waiting, {}
        for future in waiting.values():
            if not future.done():
                future.set_exception(
                    KernelDiedError(
                        "the shared prompt's process ended before it answered",
                        remedy="it is restarted by itself; its variables are lost, scans go on",
                    )
                )

    # ---- what comes ------------------------------------------------------------------------

    async def _receive(self, made: Any, take: Callable[[Message], None]) -> None:
        while True:
            frames = await made.recv_multipart()
            await asyncio.sleep(0)  # where there is always a next one, keys are read all the same
            try:
                _, rest = self.session.feed_identities(frames)
                message = self.session.deserialize(rest)
            except (ValueError, KeyError, TypeError):
                continue  # not signed with this kernel's key, or no message of Jupyter's
            try:
                take(message)
            except Exception:  # a listener's fault must not end the line for good
                get_logger().exception(
                    "kernel_message_not_taken", kind=message["header"].get("msg_type")
                )

    def _replied(self, message: Message) -> None:
        future = self._waiting.pop(message["parent_header"].get("msg_id", ""), None)
        if future is not None and not future.done():
            future.set_result(message)

    def _told(self, message: Message) -> None:
        if _maker(message) == self._ended_pid:
            return  # it was still on its way when its kernel ended: nothing would ever end it
        self._heard.set()
        self._published(message)

    def _ask(self, message: Message) -> None:
        if self._asked is not None:
            self._asked(message)

    # ---- what goes -------------------------------------------------------------------------

    def _put(
        self,
        made: Any,
        kind: str,
        content: dict[str, Any],
        header: dict[str, Any] | None = None,
        metadata: dict[str, Any] | None = None,
    ) -> Message:
        message: Message = self.session.msg(kind, content, metadata=metadata)
        message["header"].update(header or {})
        _send(made, self.session.serialize(message))
        return message

    def post(
        self,
        kind: str,
        content: dict[str, Any],
        *,
        on: str = "shell",
        header: dict[str, Any] | None = None,
        metadata: dict[str, Any] | None = None,
    ) -> tuple[str, asyncio.Future[Message]]:
        """Send; the message's id, and its reply to come.

        Raises: ServiceError when there is no kernel; the future raises KernelDiedError.
        """
        made = self._control if on == "control" else self._shell
        future: asyncio.Future[Message] = asyncio.get_running_loop().create_future()
        message = self._put(made, kind, content, header, metadata)
        identity = str(message["header"]["msg_id"])
        self._waiting[identity] = future
        return identity, future

    async def request(
        self,
        kind: str,
        content: dict[str, Any],
        *,
        on: str = "shell",
        header: dict[str, Any] | None = None,
        metadata: dict[str, Any] | None = None,
        timeout_s: float = ANSWER_TIMEOUT_S,
    ) -> dict[str, Any]:
        """The content of the reply. Raises: ServiceError, KernelDiedError, TimeoutUndulaError."""
        identity, future = self.post(kind, content, on=on, header=header, metadata=metadata)
        try:
            message = await asyncio.wait_for(future, timeout_s)
        except TimeoutError as exc:
            self._waiting.pop(identity, None)
            raise TimeoutUndulaError(
                f"the shared prompt did not answer ({kind}) within {timeout_s:g} s",
                remedy="see undula status",
            ) from exc
        return dict(message["content"])

    async def subshell(self) -> str:
        """Id of this link's subshell: what is sent there runs beside the cells."""
        async with self._opening:
            if self._subshell is None:
                reply = await self.request(
                    "create_subshell_request",
                    {},
                    on="control",
                    metadata={"undula": self.me},
                    timeout_s=SUBSHELL_TIMEOUT_S,
                )
                self._subshell = str(reply["subshell_id"])
            return self._subshell

    async def beside(
        self,
        kind: str,
        content: dict[str, Any],
        timeout_s: float = ANSWER_TIMEOUT_S,
        metadata: dict[str, Any] | None = None,
    ) -> dict[str, Any]:
        """As `request`, answered also while a cell runs: in a subshell of this link."""
        header = {"subshell_id": await self.subshell()}
        return await self.request(
            kind, content, header=header, metadata=metadata, timeout_s=timeout_s
        )

    async def interrupt(self) -> None:
        """Ctrl-C for the cell that runs."""
        await self.request("interrupt_request", {}, on="control")

    def answer(self, question: Message, text: str) -> None:
        """The answer to a question of a cell."""
        message = self.session.msg("input_reply", {"value": text}, parent=question)
        _send(self._stdin, self.session.serialize(message))


def _this_process() -> dict[str, int]:
    """For whom the kernel does something: it ends with this process."""
    me = ProcessId.of(os.getpid())
    return {"pid": me.pid, "ticks": me.ticks} if me is not None else {}


def _maker(message: Message) -> int:
    """The process that made a message: Jupyter's ids are SESSION_PID_NUMBER; -1 for others."""
    pid = str(message["header"].get("msg_id", "")).rpartition("_")[0].rpartition("_")[2]
    return int(pid) if pid.isdecimal() else -1


def _send(made: Any, frames: list[bytes]) -> None:
    """Now or never. Raises: ServiceError when nobody is connected."""
    sent = made.send_multipart(frames, flags=zmq.NOBLOCK)  # done at once, as it may not wait
    if sent.done() and isinstance(sent.exception(), zmq.Again):
        raise ServiceError(
            "the shared prompt is not there", remedy="it is restarted by itself: try again"
        ) from sent.exception()
