"""What the supervisor decides without touching a process."""

from pathlib import Path

import pytest

from undula.core.errors import ConfigError
from undula.core.paths import BeamlinePaths
from undula.processes import supervisor_model as model
from undula.processes.supervisor_model import Backoff, ServiceSpec, start_order
from undula.processes.supervisor_service import Service


def spec(name: str, *needs: str) -> ServiceSpec:
    return ServiceSpec(name, ("true",), needs=needs)


def test_services_start_after_what_they_need_and_otherwise_as_listed() -> None:
    listed = [spec("engine", "publisher"), spec("writer", "broker"), spec("broker")]
    ordered = start_order([*listed, spec("publisher", "broker")])
    assert [one.name for one in ordered] == ["broker", "writer", "publisher", "engine"]


@pytest.mark.parametrize(
    "wrong",
    [[spec("a", "b"), spec("b", "a")], [spec("a", "absent")], [spec("a"), spec("a")]],
    ids=["circle", "unknown", "twice"],
)
def test_services_that_cannot_be_ordered_are_refused(wrong: list[ServiceSpec]) -> None:
    with pytest.raises(ConfigError):
        start_order(wrong)


def test_the_first_restart_waits_a_fifth_of_a_second_and_no_restart_more_than_ten() -> None:
    backoff = Backoff()
    delays = [backoff.delay_s(alive_s=0.1) for _ in range(10)]
    assert delays[0] == 0.2
    assert delays == sorted(delays)
    assert delays[-1] == 10.0


def test_a_service_that_lived_half_a_minute_is_restarted_at_once_again() -> None:
    backoff = Backoff()
    for _ in range(5):
        backoff.delay_s(alive_s=0.1)
    assert backoff.delay_s(alive_s=31.0) == 0.2


def test_specs_survive_the_file_they_are_kept_in(tmp_path: Path) -> None:
    paths = BeamlinePaths("x", tmp_path, tmp_path)
    specs = [spec("broker"), ServiceSpec("engine", ("a", "b"), {"K": "v"}, needs=("broker",))]
    model.save_specs(paths, specs)
    assert model.load_specs(paths) == specs
    assert model.same_boot(paths)


def test_a_damaged_state_file_means_that_nothing_is_known(tmp_path: Path) -> None:
    damaged = tmp_path / "services.json"
    damaged.write_text('{"services": {"broker"')
    assert model.read_json(damaged) == {}


def test_an_end_with_a_code_is_final_on_the_first_start_and_a_signal_is_not() -> None:
    service = Service(spec("a"), attempts=1)
    assert service.dies_for_good(1)
    assert not service.dies_for_good(-9)
    service.attempts = 3
    assert service.dies_for_good(-9)
