"""Who is let in: hashes, users, tokens, passes."""

from __future__ import annotations

import base64
import json
import os
import pickle
import stat
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from undula.core import log
from undula.core.access import Access, need
from undula.core.errors import AccessError, InputError, UndulaError
from undula.core.passwords import CURRENT, Cost, cost_of, fits, hashed
from undula.core.roles import Role
from undula.core.secret import HIDDEN, Secret, redact
from undula.core.tokens import LONGEST_LIFETIME_S, Tokens, claims_of, pass_for
from undula.core.users import FREE_TRIES, LONGEST_WAIT_S, Users

QUICK = Cost(log_n=10)
PASSWORD = "open sesame 7"


class Clock:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.time = 1_000_000.0

    def __call__(self) -> float:
        return self.time


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def access(tmp_path: Path, clock: Clock) -> Access:
    folder = tmp_path / "access"
    made = Access(folder, users=Users(folder, QUICK, clock), tokens=Tokens(folder, clock))
    made.users.add("eva", PASSWORD, Role.USER)
    clock.time += 1.0
    return made


# ---- hashes --------------------------------------------------------------------------------


def test_a_hash_has_the_parameters_that_are_recommended_today() -> None:
    kept = hashed(Secret(PASSWORD))
    assert kept.startswith("scrypt$17$8$1$")
    assert cost_of(kept) == CURRENT
    assert fits(Secret(PASSWORD), kept)
    assert not fits(Secret(PASSWORD + "x"), kept)


def test_two_hashes_of_one_password_differ() -> None:
    assert hashed(Secret(PASSWORD), QUICK) != hashed(Secret(PASSWORD), QUICK)


def test_a_password_typed_with_combining_accents_is_the_same_password() -> None:
    assert fits(Secret("Schlu\u0308ssel1"), hashed(Secret("Schl\u00fcssel1"), QUICK))


@pytest.mark.parametrize(
    "kept",
    ["", "scrypt", "md5$1$2$3$a$b", "scrypt$30$8$1$YQ==$YQ==", "scrypt$17$8$1$!!$YQ==",
     "scrypt$10$8$1$YQ==$YQ==", "scrypt$24$64$16$YQ==$YQ=="],
)  # fmt: skip
def test_a_damaged_hash_lets_nobody_in_and_takes_no_memory(kept: str) -> None:
    with pytest.raises(AccessError, match="damaged"):
        fits(Secret(PASSWORD), kept)


# ---- users ---------------------------------------------------------------------------------


def test_the_users_file_is_private_and_holds_no_password(access: Access, tmp_path: Path) -> None:
    folder = tmp_path / "access"
    access.login("eva", PASSWORD)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    for path in folder.iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path
        assert PASSWORD.encode() not in path.read_bytes()


@pytest.mark.parametrize(("name", "password"), [("eva", "wrong one"), ("eve", PASSWORD), ("", "")])
def test_wrong_name_and_wrong_password_are_refused_alike(
    access: Access, name: str, password: str
) -> None:
    with pytest.raises(AccessError, match="user name or password is wrong"):
        access.users.verify(name, password)


def test_failures_make_the_next_try_wait_even_with_the_right_password(
    access: Access, clock: Clock
) -> None:
    for _ in range(FREE_TRIES):
        with pytest.raises(AccessError, match="is wrong"):
            access.users.verify("eva", "wrong one")
    with pytest.raises(AccessError, match="wait 1 s"):
        access.users.verify("eva", PASSWORD)
    clock.time += 1.1
    assert access.users.verify("eva", PASSWORD) is Role.USER
    access.users.verify("eva", PASSWORD)  # and the count is forgotten


def test_waits_grow_to_a_minute_and_no_further(access: Access, clock: Clock) -> None:
    waits = []
    for _ in range(40):
        with pytest.raises(AccessError) as caught:
            access.users.verify("eva", "wrong one")
        words = caught.value.remedy.split()
        if words[0] == "wait":
            waits.append(float(words[1]))
            clock.time += waits[-1]
    assert waits[:7] == [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, LONGEST_WAIT_S]
    assert set(waits[7:]) == {LONGEST_WAIT_S}


def test_waits_of_one_name_hold_for_another_process_and_for_no_other_name(
    access: Access, tmp_path: Path, clock: Clock
) -> None:
    access.users.add("ben", PASSWORD, Role.STAFF)
    for _ in range(FREE_TRIES):
        with pytest.raises(AccessError):
            access.users.verify("eva", "wrong one")
    with pytest.raises(AccessError, match="several wrong"):
        Users(tmp_path / "access", QUICK, clock).verify("eva", PASSWORD)
    assert access.users.verify("ben", PASSWORD) is Role.STAFF


def test_tries_at_the_same_time_do_not_pass_the_count(access: Access) -> None:
    said: list[str] = []

    def attempt() -> None:
        try:
            access.users.verify("eva", "wrong one")
        except AccessError as error:
            said.append(error.what)

    threads = [threading.Thread(target=attempt) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum("is wrong" in text for text in said) == FREE_TRIES


def test_names_that_do_not_exist_do_not_fill_the_file(access: Access, tmp_path: Path) -> None:
    for number in range(30):
        with pytest.raises(AccessError):
            access.users.verify(f"nobody{number}" + "x" * 5000, PASSWORD)
    assert (tmp_path / "access" / "failures.json").stat().st_size < 10_000


def test_a_password_typed_as_a_name_is_not_kept(access: Access, tmp_path: Path) -> None:
    for _ in range(FREE_TRIES + 1):
        with pytest.raises(AccessError) as caught:
            access.users.verify(PASSWORD, "eva")
        assert PASSWORD not in str(caught.value)
    assert "several" in caught.value.what  # counted all the same
    for path in (tmp_path / "access").iterdir():
        assert PASSWORD not in path.read_text("latin-1"), path


def test_old_parameters_are_replaced_at_the_next_log_in(tmp_path: Path, clock: Clock) -> None:
    Users(tmp_path, QUICK, clock).add("eva", PASSWORD, Role.USER)
    newer = Users(tmp_path, Cost(log_n=11), clock)
    newer.verify("eva", PASSWORD)
    assert "scrypt$11$" in (tmp_path / "users.json").read_text()
    assert newer.verify("eva", PASSWORD) is Role.USER


@pytest.mark.parametrize("password", ["short", "x" * 300, "with\nnewline", "with\x00nul00"])
def test_a_password_that_is_refused_is_not_quoted(access: Access, password: str) -> None:
    with pytest.raises(InputError) as caught:
        access.users.add("ben", password, Role.USER)
    assert password not in str(caught.value)


@pytest.mark.parametrize("content", ["", "[]", "{", '{"eva": {"role": "king"}}', "\x00"])
def test_a_damaged_users_file_lets_nobody_in(access: Access, tmp_path: Path, content: str) -> None:
    token = access.login("eva", PASSWORD)
    (tmp_path / "access" / "users.json").write_text(content)
    assert access.required
    with pytest.raises(AccessError):
        access.claims(token)
    with pytest.raises(AccessError):
        access.login("eva", PASSWORD)


def test_a_users_file_that_others_may_write_lets_nobody_in(access: Access, tmp_path: Path) -> None:
    token = access.login("eva", PASSWORD)
    (tmp_path / "access" / "users.json").chmod(0o660)
    for call in (lambda: access.required, lambda: access.claims(token)):
        with pytest.raises(AccessError, match="by others"):
            call()


def test_without_users_nobody_has_to_log_in(tmp_path: Path) -> None:
    access = Access(tmp_path / "none")
    assert not access.required
    assert not (tmp_path / "none").exists()
    with pytest.raises(AccessError, match="nobody has to"):
        access.login("eva", PASSWORD)


def test_with_the_last_user_log_in_is_off(access: Access) -> None:
    access.users.add("ben", PASSWORD, Role.STAFF)
    assert access.users.remove("eva")
    assert access.required
    assert not access.users.remove("ben")
    assert not access.required


# ---- tokens --------------------------------------------------------------------------------


def test_a_token_says_who_and_until_when(access: Access, clock: Clock) -> None:
    claims = access.claims(access.login("eva", PASSWORD, "rpc"))
    assert (claims.user, claims.role, claims.issued_by) == ("eva", Role.USER, "rpc")
    assert claims.expires == clock.time + 12 * 3600.0


def test_a_token_ends_by_itself(access: Access, clock: Clock) -> None:
    token = access.login("eva", PASSWORD)
    clock.time += 12 * 3600.0
    with pytest.raises(AccessError, match="the log in of eva has expired"):
        access.claims(token)


def test_who_has_logged_out_is_refused_at_once_by_every_process(
    access: Access, tmp_path: Path, clock: Clock
) -> None:
    token, other = access.login("eva", PASSWORD), access.login("eva", PASSWORD)
    engine = Tokens(tmp_path / "access", clock)
    engine.check(token)
    access.logout(token)
    with pytest.raises(AccessError, match="eva has logged out"):
        engine.check(token)
    assert engine.check(other).user == "eva"


def test_tokens_that_would_have_ended_are_not_remembered(
    access: Access, tmp_path: Path, clock: Clock
) -> None:
    access.logout(access.login("eva", PASSWORD))
    clock.time += LONGEST_LIFETIME_S + 60
    access.logout(access.login("eva", PASSWORD))
    assert len(json.loads((tmp_path / "access" / "revoked.json").read_text())) == 1


def test_a_token_of_another_beamline_is_refused(access: Access, tmp_path: Path) -> None:
    with pytest.raises(AccessError, match="not known here"):
        access.claims(Tokens(tmp_path / "other").issue("eva", Role.STAFF, "login"))


def test_claims_cannot_be_changed(access: Access) -> None:
    mark, payload, signature = access.login("eva", PASSWORD).reveal().split(".")
    raw = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    raw["r"] = "staff"
    forged = base64.urlsafe_b64encode(json.dumps(raw).encode()).rstrip(b"=").decode()
    with pytest.raises(AccessError, match="not known here"):
        access.claims(f"{mark}.{forged}.{signature}")


@given(st.text(max_size=300) | st.binary(max_size=300).map(lambda b: b.decode("latin-1")))
def test_no_other_text_is_a_token(text: str) -> None:
    tokens = Tokens(Path(FOLDER))
    for candidate in (text, f"und1.{text}", f"und1.{text}.{text}", VALID[:40] + text):
        with pytest.raises(AccessError):
            tokens.check(candidate)
        with pytest.raises(AccessError):
            tokens.check_pass(candidate.replace("und1", "undp1"), b"")


@given(st.integers(min_value=0), st.characters(codec="ascii"))
def test_a_token_with_one_other_character_is_none(place: int, character: str) -> None:
    place %= len(VALID)
    changed = VALID[:place] + character + VALID[place + 1 :]
    if changed != VALID:
        with pytest.raises(AccessError):
            Tokens(Path(FOLDER)).check(changed)


@pytest.fixture(scope="module", autouse=True)
def _one_token(tmp_path_factory: pytest.TempPathFactory) -> None:
    global FOLDER, VALID
    FOLDER = str(tmp_path_factory.mktemp("tokens") / "access")
    VALID = Tokens(Path(FOLDER)).issue("eva", Role.USER, "login").reveal()


FOLDER = VALID = ""


def test_a_key_that_others_may_read_is_not_trusted(access: Access, tmp_path: Path) -> None:
    token = access.login("eva", PASSWORD)
    (tmp_path / "access" / "token.key").chmod(0o644)
    with pytest.raises(AccessError, match="by others"):
        access.claims(token)


def test_removing_the_key_logs_everybody_out(access: Access, tmp_path: Path) -> None:
    token = access.login("eva", PASSWORD)
    (tmp_path / "access" / "token.key").unlink()
    with pytest.raises(AccessError, match="not known here"):
        access.claims(token)
    assert access.claims(access.login("eva", PASSWORD)).user == "eva"


def test_two_processes_make_one_key(tmp_path: Path) -> None:
    made: list[Secret] = []
    threads = [
        threading.Thread(
            target=lambda: made.append(Tokens(tmp_path / "a").issue("eva", Role.USER, "login"))
        )
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(Tokens(tmp_path / "a").check(token).user == "eva" for token in made)
    assert len(made) == 8


@pytest.mark.parametrize(
    "change",
    [
        lambda users: users.set_role("eva", Role.OBSERVER),
        lambda users: users.set_password("eva", "another one 8"),
        lambda users: users.remove("eva"),
    ],
    ids=["role", "password", "removed"],
)
def test_a_changed_person_logs_in_again(
    access: Access, clock: Clock, change: Callable[[Users], object]
) -> None:
    access.users.add("ben", PASSWORD, Role.STAFF)
    token = access.login("eva", PASSWORD)
    clock.time += 1.0
    change(access.users)
    with pytest.raises(AccessError):
        access.claims(token)


def test_a_derived_token_ends_with_its_own_at_the_latest(access: Access, clock: Clock) -> None:
    token = access.login("eva", PASSWORD)
    clock.time += 12 * 3600.0 - 60.0
    claims = access.claims(access.derive(token, "kernel"))
    assert (claims.user, claims.issued_by) == ("eva", "kernel")
    assert claims.expires == pytest.approx(clock.time + 60.0)


@pytest.mark.parametrize("lifetime_s", [0.0, -1.0, float("nan"), LONGEST_LIFETIME_S * 2])
def test_a_token_lives_less_than_the_outcomes_of_requests(
    access: Access, lifetime_s: float
) -> None:
    with pytest.raises(InputError):
        access.tokens.issue("eva", Role.USER, "login", lifetime_s)


# ---- passes --------------------------------------------------------------------------------


def test_a_pass_is_for_one_content_only(access: Access) -> None:
    given_ = pass_for(access.login("eva", PASSWORD), b"move samx")
    assert access.pass_claims(given_, b"move samx").user == "eva"
    with pytest.raises(AccessError, match="not known here"):
        access.pass_claims(given_, b"move samy")


def test_a_pass_is_no_token_and_gives_none_away(access: Access) -> None:
    token = access.login("eva", PASSWORD)
    given_ = pass_for(token, b"move samx")
    assert token.reveal().split(".")[2] not in given_
    with pytest.raises(AccessError):
        access.claims(given_)
    with pytest.raises(AccessError):
        pass_for(given_, b"move samy")


# ---- roles and secrets ---------------------------------------------------------------------


def test_a_refusal_names_person_role_and_remedy(access: Access) -> None:
    claims = access.claims(access.login("eva", PASSWORD))
    need(claims, Role.USER, "moving samx")
    with pytest.raises(AccessError) as caught:
        need(claims, Role.STAFF, "changing limits")
    assert str(caught.value) == (
        "eva is a user, but changing limits needs the role staff. "
        "Remedy: log in as somebody with the role staff: undula login NAME."
    )
    assert caught.value.category == "access"


def test_roles_are_read_by_their_words() -> None:
    assert [str(Role.of(word)) for word in ("observer", "user", "staff")] == [str(r) for r in Role]
    with pytest.raises(InputError):
        Role.of("king")


def test_a_secret_shows_itself_to_nobody_by_accident() -> None:
    secret = Secret(PASSWORD)
    for shown in (repr(secret), str(secret), f"{secret}", f"{[secret]}", repr(vars)):
        assert PASSWORD not in shown
    with pytest.raises(TypeError):
        pickle.dumps(secret)
    with pytest.raises(TypeError):
        json.dumps(secret)


def test_tokens_and_passwords_are_blacked_out_of_text(access: Access) -> None:
    token = access.login("eva", PASSWORD).reveal()
    for text in (
        f"sent {token}.",
        pass_for(token, b"x"),
        json.dumps({"token": token, "password": PASSWORD}),
        f"login('eva', password='{PASSWORD}')",
    ):
        assert PASSWORD not in redact(text)
        assert token.split(".")[1] not in redact(text)
        assert HIDDEN in redact(text)
    assert redact("mv(samx, 3)") == "mv(samx, 3)"


def test_a_log_keeps_no_secret_whoever_hands_it_over(access: Access, tmp_path: Path) -> None:
    token = access.login("eva", PASSWORD).reveal()
    log.configure("test", tmp_path)
    try:
        try:
            raise RuntimeError(f"refused: {token}")
        except RuntimeError:
            log.get_logger().exception(
                "odd", password=PASSWORD, fields={"token": token}, line=f"x(password='{PASSWORD}')"
            )
    finally:
        log.configure("test", None)
    text = (tmp_path / "test.jsonl").read_text()
    assert json.loads(text)["fields"] == {"token": HIDDEN}
    assert PASSWORD not in text
    assert token.split(".")[2] not in text


def test_what_a_token_says_of_itself_can_be_shown(access: Access) -> None:
    assert claims_of(access.login("eva", PASSWORD)).user == "eva"


def test_a_folder_of_another_account_is_not_used(tmp_path: Path) -> None:
    folder = tmp_path / "access"
    folder.symlink_to(tmp_path)
    with pytest.raises(UndulaError, match="another account"):
        Users(folder, QUICK).add("eva", PASSWORD, Role.USER)
    assert os.listdir(tmp_path) == ["access"]
