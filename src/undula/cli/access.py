"""Commands of people: users, login, logout, whoami. A password is never an argument.

In: names, and passwords typed unseen or on standard input. Out: who may what, in words.
"""

from __future__ import annotations

import getpass
import sys
import time
from typing import Annotated

import typer

from undula.cli.output import EXIT_HELP, BeamlineOption, JsonOption, kind, print_json, table
from undula.client import login as door
from undula.core.access import Access
from undula.core.errors import InputError
from undula.core.paths import BeamlinePaths, beamline_paths, default_beamline
from undula.core.roles import Role
from undula.core.secret import Secret
from undula.core.tokens import Claims

MAX_STDIN = 4096

Name = Annotated[str, typer.Argument(help="Name of the person, as it will stand in the files.")]
RoleOption = Annotated[str, typer.Option("--role", help="observer, user or staff.")]
StdinOption = Annotated[
    bool, typer.Option("--password-stdin", help="Take the password from standard input.")
]


def _paths(beamline: str | None) -> BeamlinePaths:
    return beamline_paths(beamline or default_beamline())


def _typed(prompt: str) -> Secret:
    try:
        return Secret(getpass.getpass(prompt))
    except EOFError:
        raise InputError(
            "there is no terminal to type a password at", remedy="use --password-stdin"
        ) from None


def read_password(from_stdin: bool, prompt: str = "Password: ") -> Secret:
    """The password, typed unseen or from standard input. Raises: InputError."""
    if not from_stdin:
        return _typed(prompt)
    line = sys.stdin.readline(MAX_STDIN).rstrip("\n")
    if not line:
        raise InputError("standard input holds no password", remedy="write it as one line")
    return Secret(line)


def new_password(from_stdin: bool) -> Secret:
    """A new password, typed twice. Raises: InputError."""
    first = read_password(from_stdin, "New password: ")
    if not from_stdin and first != _typed("The same again: "):
        raise InputError("the two passwords differ", remedy="type them again")
    return first


def _until(stamp: float) -> str:
    return time.strftime("%H:%M on %d %b", time.localtime(stamp))


def _show(claims: Claims | None, as_json: bool, paths: BeamlinePaths) -> None:
    if as_json:
        fields = {"user": claims.user, "role": str(claims.role)} if claims else {}
        expires = claims.expires if claims else None
        print_json({"required": claims is not None, **fields, "expires": expires})
    elif claims is None:
        print(f"nobody has to log in at {paths.name}: there are no users")
    else:
        print(f"{claims.user}, {claims.role}, until {_until(claims.expires)}")


@kind
def login(
    name: Annotated[str | None, typer.Argument(help="Your name; none: you are asked.")] = None,
    password_stdin: StdinOption = False,
    as_json: JsonOption = False,
    beamline: BeamlineOption = None,
) -> None:
    """Log in, for all later commands and shells of this account. Example: undula login eva"""
    paths = _paths(beamline)
    name = name or ask_name()
    _show(door.login(paths, name, read_password(password_stdin)), as_json, paths)


def ask_name() -> str:
    """The name, typed. Raises: InputError."""
    try:
        name = input("User: ").strip()
    except EOFError:
        name = ""
    if not name:
        raise InputError("no name was given", remedy="undula login NAME")
    return name


@kind
def logout(as_json: JsonOption = False, beamline: BeamlineOption = None) -> None:
    """Log out: what was given out at the log in ends now. Example: undula logout"""
    claims = door.logout(_paths(beamline))
    if as_json:
        print_json({"user": claims.user if claims else None})
    else:
        print(f"{claims.user} is logged out" if claims else "nobody was logged in")


@kind
def whoami(as_json: JsonOption = False, beamline: BeamlineOption = None) -> None:
    """Whom the beamline knows you as, and until when. Example: undula whoami"""
    paths = _paths(beamline)
    _show(door.whoami(paths), as_json, paths)


@kind
def add(
    name: Name,
    role: RoleOption = "user",
    password_stdin: StdinOption = False,
    beamline: BeamlineOption = None,
) -> None:
    """Let somebody in. Example: undula users add eva --role user

    With the first one everybody has to log in.
    """
    paths = _paths(beamline)
    users, wanted = Access(paths.access).users, Role.of(role)
    first = not users.exist
    users.add(name, new_password(password_stdin), wanted)
    print(f"{name} is {wanted.phrase} of {paths.name} now")
    if first:
        print("from now on whoever moves or changes something has to log in: undula login NAME")


@kind
def show(as_json: JsonOption = False, beamline: BeamlineOption = None) -> None:
    """Who may what. Example: undula users list"""
    found = Access(_paths(beamline).access).users.all()
    if as_json:
        print_json([{"name": u.name, "role": str(u.role), "changed": u.changed} for u in found])
    elif found:
        print(
            table(
                ["name", "role", "changed"],
                [[u.name, str(u.role), _until(u.changed)] for u in found],
            )
        )
    else:
        print("there are no users: nobody has to log in")


@kind
def remove(name: Name, beamline: BeamlineOption = None) -> None:
    """Let somebody in no more, from now on. Example: undula users remove eva"""
    paths = _paths(beamline)
    some_left = Access(paths.access).users.remove(name)
    print(f"{name} is no user of {paths.name} any more")
    if not some_left:
        print("that was the last one: from now on nobody has to log in")


@kind
def role(
    name: Name,
    new: Annotated[str, typer.Argument(metavar="ROLE", help="observer, user or staff.")],
    beamline: BeamlineOption = None,
) -> None:
    """Give another role; who is logged in does it again. Example: undula users role eva staff"""
    wanted = Role.of(new)
    Access(_paths(beamline).access).users.set_role(name, wanted)
    print(f"{name} is {wanted.phrase} now")


@kind
def password(
    name: Name,
    own: Annotated[bool, typer.Option("--own", help="Yours: the old one is asked.")] = False,
    password_stdin: StdinOption = False,
    beamline: BeamlineOption = None,
) -> None:
    """Give another password. Example: undula users password eva

    Staff do it under the account that runs the services, without the old password; everybody does
    it for themselves with --own (standard input: the old one, then the new one).
    """
    paths = _paths(beamline)
    if own:
        old = read_password(password_stdin, "Old password: ")
        door.change_password(paths, name, old, new_password(password_stdin))
    else:
        Access(paths.access).users.set_password(name, new_password(password_stdin))
    print(f"{name} has a new password, and logs in again with it")


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command(epilog=EXIT_HELP)(login)
    app.command(epilog=EXIT_HELP)(logout)
    app.command(epilog=EXIT_HELP)(whoami)
    group = typer.Typer(help="Who may what at the beamline: observer, user, staff.")
    group.command("add", epilog=EXIT_HELP)(add)
    group.command("list", epilog=EXIT_HELP)(show)
    group.command("remove", epilog=EXIT_HELP)(remove)
    group.command("role", epilog=EXIT_HELP)(role)
    group.command("password", epilog=EXIT_HELP)(password)
    app.add_typer(group, name="users")
