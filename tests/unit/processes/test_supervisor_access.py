"""Who may take services down, where people log in."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from undula.core.access import Access
from undula.core.errors import AccessError
from undula.core.kept_token import KeptToken, token_file
from undula.core.passwords import Cost
from undula.core.paths import BeamlinePaths
from undula.core.roles import Role
from undula.core.users import Users
from undula.processes.supervisor_access import proof, raise_refusal, refusal_for

OTHER = os.geteuid() + 4242
STOP = {"do": "stop"}


@pytest.fixture
def paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> BeamlinePaths:
    monkeypatch.setenv("UNDULA_TOKEN_FILE", str(tmp_path / "own" / "token"))
    return BeamlinePaths("test", tmp_path / "state", tmp_path / "run")


@pytest.fixture
def access(paths: BeamlinePaths) -> Access:
    made = Access(paths.access, users=Users(paths.access, Cost(log_n=10)))
    for role in Role:
        made.users.add(str(role), "open sesame 7", role)
    return made


def test_without_users_everybody_of_the_group_may(paths: BeamlinePaths) -> None:
    assert refusal_for(paths, STOP, OTHER) is None


@pytest.mark.usefixtures("access")
def test_the_account_of_the_services_may_always(paths: BeamlinePaths) -> None:
    assert refusal_for(paths, STOP, os.geteuid()) is None


@pytest.mark.usefixtures("access")
@pytest.mark.parametrize("word", ["ping", "status", "dance"])
def test_looking_needs_nothing(paths: BeamlinePaths, word: str) -> None:
    assert refusal_for(paths, {"do": word}, OTHER) is None


@pytest.mark.parametrize("role", list(Role))
@pytest.mark.parametrize("word", ["stop", "restart"])
def test_ending_services_needs_the_role_user(
    paths: BeamlinePaths, access: Access, role: Role, word: str
) -> None:
    KeptToken(token_file(paths)).keep(access.login(str(role), "open sesame 7"))
    request = {"do": word, "name": "writer"}
    answer = refusal_for(paths, request | proof(paths, request), OTHER)
    if role >= Role.USER:
        assert answer is None
    else:
        assert answer is not None
        with pytest.raises(AccessError, match=r"is an observer, but .* needs the role user"):
            raise_refusal(answer)


@pytest.mark.usefixtures("access")
@pytest.mark.parametrize("token", [None, "", "nonsense", 5, ["und1.a.b"]])
def test_whoever_shows_no_log_in_is_refused(paths: BeamlinePaths, token: object) -> None:
    answer = refusal_for(paths, {"do": "stop", "token": token}, OTHER)
    assert answer is not None
    assert answer["category"] == "access"


@pytest.mark.usefixtures("access")
def test_a_token_goes_along_only_where_it_is_needed(paths: BeamlinePaths, access: Access) -> None:
    KeptToken(token_file(paths)).keep(access.login("user", "open sesame 7"))
    assert proof(paths, {"do": "status"}) == {}
    assert set(proof(paths, STOP)) == {"token"}
