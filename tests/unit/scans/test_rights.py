"""Which role each request needs, and who is let in."""

from __future__ import annotations

import typing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from undula.bus.codec import decode, encode
from undula.bus.endpoints import ENDPOINTS
from undula.bus.signing import signed, signed_content
from undula.core.access import Access
from undula.core.errors import AccessError
from undula.core.passwords import Cost
from undula.core.roles import Role
from undula.core.secret import Secret
from undula.core.users import Users
from undula.messages import (
    AlarmRequest,
    ConfigRequest,
    MotorRequest,
    MoveRequest,
    PlanSource,
    QueueRequest,
    ReadRequest,
    Request,
    ScanRequest,
)
from undula.scans.rights import RIGHTS, Guard, key_of, right_of

HEAD: dict[str, Any] = {"request_id": "r1", "user": "somebody", "deadline": 2e9}
PASSWORD = "open sesame 7"
MINE = PlanSource(name="mine", call="mine()")
MOVE = MoveRequest(**HEAD, targets={"samx": 1.0})


@pytest.fixture
def access(tmp_path: Path) -> Access:
    folder = tmp_path / "access"
    made = Access(folder, users=Users(folder, Cost(log_n=10)))
    for role in Role:
        made.users.add(str(role), PASSWORD, role)
    return made


def _by(access: Access, role: Role, request: Request) -> Request:
    return signed(request, access.login(str(role), PASSWORD))


def _examples() -> list[Request]:
    """One of every kind of request and action that there is."""
    needed = {
        "plan": "scan", "targets": {"samx": 1.0}, "devices": ["samx"], "device": "samx",
    }  # fmt: skip
    found = []
    for endpoint in ENDPOINTS:
        if endpoint.delivery != "request":
            continue
        kind = endpoint.message
        fields = {
            n: needed[n] for n, f in kind.model_fields.items() if f.is_required() and n in needed
        }
        action = kind.model_fields.get("action")
        for word in typing.get_args(action.annotation) if action else [None]:
            chosen = {} if word is None else {"action": word}
            found.append(kind(**HEAD, **fields, **chosen))
    return found


def test_only_staff_lift_the_lock_of_somebody_else_or_approve() -> None:
    mine = QueueRequest(**HEAD, action="unlock")
    other = QueueRequest(**HEAD, action="unlock", owner="ann")
    approval = QueueRequest(**HEAD, action="approve", item_id="a")
    assert [right_of(r).role for r in (mine, other, approval)] == [
        Role.USER, Role.STAFF, Role.STAFF
    ]  # fmt: skip


@pytest.mark.parametrize(
    "request_", _examples(), ids=lambda r: f"{r.tag} {getattr(r, 'action', '')}"
)
def test_every_request_and_action_has_a_row_in_the_table(request_: Request) -> None:
    assert key_of(request_) in RIGHTS, "write a row for it into undula.scans.rights"


def test_the_table_in_the_documentation_is_this_one() -> None:
    page = (Path(__file__).parents[3] / "docs" / "reference" / "roles.md").read_text()
    rows = [f"| {r.doing} | {r.key} | {r.role} |" for r in RIGHTS.values()]
    assert [line for line in page.splitlines() if line.startswith("| ")][2:] == rows


def test_what_nobody_thought_of_needs_staff() -> None:
    class NewRequest(Request):
        """A kind of request without a row."""

    assert right_of(NewRequest(**HEAD)).role is Role.STAFF


@pytest.mark.parametrize(
    ("request_", "role"),
    [
        (MOVE, Role.USER),
        (ScanRequest(**HEAD, plan="scan"), Role.USER),
        (ScanRequest(**HEAD, plan="scan", dry_run=True), Role.OBSERVER),
        (ScanRequest(**HEAD, plan="count", dry_run=True), Role.OBSERVER),
        (ScanRequest(**HEAD, plan="mine", source=MINE, dry_run=True), Role.USER),
        (ScanRequest(**HEAD, plan="of_a_plan_file", dry_run=True), Role.USER),
        (ReadRequest(**HEAD, devices=["samx"]), Role.OBSERVER),
        (MotorRequest(**HEAD, device="samx", action="set", parameter="position"), Role.USER),
        (MotorRequest(**HEAD, device="samx", action="set", parameter="limits"), Role.STAFF),
        (MotorRequest(**HEAD, device="samx", action="home"), Role.USER),
        (ConfigRequest(**HEAD, action="load", path="/a.yaml"), Role.STAFF),
        (ConfigRequest(**HEAD, action="load", path="/a.yaml", dry_run=True), Role.USER),
        (ConfigRequest(**HEAD, action="show", dry_run=True), Role.OBSERVER),
        (ConfigRequest(**HEAD, action="update", devices={"a": {"enabled": False}}), Role.USER),
        (ConfigRequest(**HEAD, action="update", devices={"a": {"enabled": 1, "other": "x"}}),
         Role.STAFF),
        (ConfigRequest(**HEAD, action="update", devices={"a": {"deviceConfig": {"state": 1}}}),
         Role.STAFF),
        (AlarmRequest(**HEAD, action="acknowledge"), Role.USER),
        (QueueRequest(**HEAD, action="list"), Role.OBSERVER),
        (QueueRequest(**HEAD, action="abort"), Role.USER),
    ],
)  # fmt: skip
def test_each_role_may_what_the_table_says_and_nothing_above_it(
    access: Access, request_: Request, role: Role
) -> None:
    assert right_of(request_).role is role
    guard = Guard(access)
    for asking in Role:
        if asking >= role:
            guard.admit(_by(access, asking, request_))
        else:
            with pytest.raises(AccessError, match=f"needs the role {role}"):
                guard.admit(_by(access, asking, request_))


def test_what_is_let_in_has_the_attested_name_and_no_pass(access: Access) -> None:
    admitted = Guard(access).admit(_by(access, Role.USER, MOVE))
    assert (admitted.user, admitted.token) == ("user", "")
    assert admitted.targets == MOVE.targets  # type: ignore[attr-defined]  # a move as it came


def test_without_log_in_nothing_moves_and_everything_can_be_seen(access: Access) -> None:
    guard = Guard(access)
    with pytest.raises(AccessError, match="somebody is not logged in, but moving needs the role"):
        guard.admit(MOVE)
    guard.admit(ReadRequest(**HEAD, devices=["samx"]))


def test_without_users_everybody_is_let_in_and_passes_are_not_kept(tmp_path: Path) -> None:
    guard = Guard(Access(tmp_path / "none"))
    assert guard.admit(MOVE) == MOVE
    assert guard.admit(MOVE.model_copy(update={"token": "anything"})).token == ""


@pytest.mark.parametrize(
    "change",
    [
        {"targets": {"samx": 1.5}}, {"targets": {"samy": 1.0}}, {"relative": True},
        {"request_id": "r2"}, {"deadline": 3e9}, {"sent": 1.0}, {"user": "staff"},
    ],
)  # fmt: skip
def test_a_pass_taken_from_another_request_is_refused(
    access: Access, change: dict[str, Any]
) -> None:
    stolen = _by(access, Role.USER, MOVE).model_copy(update=change)
    with pytest.raises(AccessError, match="not known here"):
        Guard(access).admit(stolen)


def test_a_token_in_place_of_a_pass_is_refused(access: Access) -> None:
    token = access.login("user", PASSWORD).reveal()
    with pytest.raises(AccessError):
        Guard(access).admit(MOVE.model_copy(update={"token": token}))


def test_who_has_logged_out_moves_nothing_any_more(access: Access) -> None:
    token = access.login("user", PASSWORD)
    guard = Guard(access)
    guard.admit(signed(MOVE, token))
    access.logout(token)
    with pytest.raises(AccessError, match="user has logged out"):
        guard.admit(signed(MOVE, token))


def test_a_damaged_users_file_lets_nobody_move(access: Access, tmp_path: Path) -> None:
    move = _by(access, Role.STAFF, MOVE)
    (tmp_path / "access" / "users.json").write_text("{")
    with pytest.raises(AccessError, match="damaged"):
        Guard(access).admit(move)


def test_a_request_with_a_pass_shows_it_to_nobody(access: Access) -> None:
    move = _by(access, Role.USER, MOVE)
    assert move.token not in repr(move)
    assert move.token not in str(move)


_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4)
    | st.tuples(inner, inner)
    | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)  # fmt: skip


@settings(max_examples=300)
@given(args=st.lists(_VALUES, max_size=4), kwargs=st.dictionaries(st.text(max_size=8), _VALUES))
def test_both_sides_sign_the_same_bytes(args: list[Any], kwargs: dict[str, Any]) -> None:
    request = ScanRequest(**HEAD, plan="scan", args=args, kwargs=kwargs, count_time_s=1)
    assert signed_content(decode(encode(request), ScanRequest)) == signed_content(request)


@given(
    targets=st.dictionaries(
        st.text(max_size=8),
        st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(-1e9, 1e9) | st.text(),
        min_size=1,
    )
)
def test_both_sides_sign_the_same_targets(targets: dict[str, Any]) -> None:
    request = MoveRequest(**HEAD, targets=targets)
    assert signed_content(decode(encode(request), MoveRequest)) == signed_content(request)


def test_no_token_is_no_pass() -> None:
    with pytest.raises(AccessError):
        signed(MOVE, Secret("nonsense"))
