"""The settings of one beamline, kept in `beamline.yaml` in its state folder.

Written by `undula up`, read by every process of the beamline. Unknown keys are refused.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from undula.core.errors import ConfigError


class RpcSettings(BaseModel):
    """What programs may do at the shared prompt, and which namespaces others add."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    code: list[str] = Field(
        default=["user"],
        description="who may send code, beside staff: names, or user for all of that role",
        examples=[["uwe", "user"]],
    )
    raw: bool = Field(
        default=False,
        description="open rpc-keys.sock, where staff may type raw text",
        examples=[True],
    )
    plugins: list[str] = Field(
        default_factory=list,
        description="namespaces of verbs that others wrote: NAMESPACE=module:factory",
        examples=[["hello=my_module:make"]],
    )


class QueueSettings(BaseModel):
    """How the scan queue goes on by itself."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    after_abort: Literal["next", "wait"] = Field(
        default="next",
        description="after an aborted scan: start the next one, or wait for resume",
        examples=["wait"],
    )
    after_fail: Literal["next", "wait"] = Field(
        default="next",
        description="after a failed scan: start the next one, or wait for resume",
        examples=["wait"],
    )
    after_restart: Literal["wait", "go_on"] = Field(
        default="wait",
        description="with what waits when the beamline is brought up: wait for resume, or go on",
        examples=["go_on"],
    )
    approval: bool = Field(
        default=False, description="every scan waits until somebody approves it", examples=[True]
    )


class WatchdogSettings(BaseModel):
    """What happens when an operation of a scan takes longer than computed."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    action: Literal["warn", "stop", "abort"] = Field(
        default="warn",
        description="warn: say so; stop: stop the motion and pause the scan; abort: end the scan",
        examples=["stop"],
    )
    factor: float = Field(
        default=1.5,
        ge=1,
        description="overdue after so many times what it should take",
        examples=[2.0],
    )
    margin_s: float = Field(
        default=3.0, ge=0, description="and so many seconds more", examples=[5.0]
    )
    stage_s: float = Field(
        default=30.0,
        gt=0,
        description="what it takes to get all devices ready, seconds",
        examples=[60.0],
    )
    scan_margin_s: float = Field(
        default=60.0,
        ge=0,
        description="seconds more before a whole scan is overdue",
        examples=[120.0],
    )


class BeamlineSettings(BaseModel):
    """What `undula up` was told, and what a beamline may set for good."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(description="name of the beamline", examples=["x07mb"])
    devices: Path | None = Field(
        default=None,
        description="device file (YAML); None: the simulated beamline",
        examples=["/etc/undula/x07mb_devices.yaml"],
    )
    data: Path = Field(
        description="folder under which the data files are written", examples=["/data/x07mb"]
    )
    template: str = Field(
        default="{proposal}/{sample}/{dataset}/{number:05d}_{plan}.nxs",
        description="path of a run's file below `data`; fields: proposal, sample, dataset, number, "
        "plan, beamline, date",
        examples=["{proposal}/{date}/{number:05d}_{plan}.nxs"],
    )
    broker_url: str | None = Field(
        default=None,
        description="an existing Valkey/Redis server; None: the embedded one",
        examples=["redis://localhost:6379/0"],
    )
    broker_limit_bytes: int = Field(
        default=1_000_000_000,
        ge=0,
        description="memory bound of the embedded broker; 0: none",
        examples=[4_000_000_000],
    )
    file_group: str | None = Field(
        default=None, description="Unix group of the data files", examples=["p12345"]
    )
    file_mode: int = Field(
        default=0o440, description="mode of a data file after it is closed", examples=[0o440]
    )
    min_free_bytes: int = Field(
        default=500_000_000,
        ge=0,
        description="a scan is refused when the disk has less",
        examples=[10_000_000_000],
    )
    watchdog: WatchdogSettings = Field(
        default_factory=WatchdogSettings, description="operations of a scan that take too long"
    )
    lost_deadline_s: float = Field(
        default=300.0,
        gt=0,
        description="a scan waits so long for a device that is out of reach",
        examples=[600.0],
    )
    login_lifetime_s: float = Field(
        default=12 * 3600.0,
        gt=0,
        le=20 * 3600.0,
        description="a log in ends after so many seconds (where there are users)",
        examples=[28800.0],
    )
    run_every_plan: bool = Field(
        default=True, description="allow any plan of bluesky.plans by its name", examples=[False]
    )
    status_bar: list[str] = Field(
        default=["ring_current"],
        description="devices whose values stand in the status bar of terminals, e.g. the beam",
        examples=[["ring_current", "energy"]],
    )
    queue: QueueSettings = Field(
        default_factory=QueueSettings, description="what the scan queue does by itself"
    )
    fits: dict[str, str] = Field(
        default_factory=dict,
        description="plan name to the model that is fitted to its runs, e.g. scan: gaussian",
        examples=[{"scan": "gaussian + linear"}],
    )
    startup: Path | None = Field(
        default=None,
        description="Python file that is run when a prompt begins; None: startup.py in the state "
        "folder, if it is there",
        examples=["/etc/undula/x07mb_startup.py"],
    )
    plans: Path | None = Field(
        default=None,
        description="folder of plan files, hooks.py and defaults.yaml; None: plans in the state "
        "folder",
        examples=["/etc/undula/x07mb_plans"],
    )
    preprocessors: list[str] = Field(
        default_factory=list,
        description="functions plan -> plan that go around every plan, as module:name; the first "
        "is the outermost",
        examples=[["my_beamline.wrappers:marked"]],
    )
    rpc: RpcSettings = Field(
        default_factory=RpcSettings, description="requests of programs to the session"
    )


def load_settings(path: Path) -> BeamlineSettings:
    """Read `beamline.yaml`. Raises: ConfigError naming the file and the field."""
    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
        return BeamlineSettings.model_validate(data)
    except FileNotFoundError as exc:
        raise ConfigError(
            f"there is no {path}", remedy="start the beamline first: undula up"
        ) from exc
    except (ValidationError, yaml.YAMLError) as exc:
        raise ConfigError(str(exc), remedy="correct the file, or run undula up again") from exc


def save_settings(settings: BeamlineSettings, path: Path) -> None:
    """Write `beamline.yaml` by rename, so that a reader never sees half a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".tmp")
    text = yaml.safe_dump(settings.model_dump(mode="json"), sort_keys=False)
    temporary.write_text(text, encoding="utf-8")
    temporary.replace(path)
