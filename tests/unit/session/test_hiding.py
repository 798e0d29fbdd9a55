"""What is hidden of a line, also of a long and hostile one."""

from __future__ import annotations

import time

import pytest

from undula.session.bridge.hiding import hidden


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ('connect(password=f"my own")', "connect(password='<hidden>')"),
        ('connect(password="""my own""", n=1)', "connect(password='<hidden>', n=1)"),
        ('os.environ["DB_PASSWORD"] = "my own"', "os.environ[\"DB_PASSWORD\"] = '<hidden>'"),
        ("connect(pwd='my own')", "connect(pwd='<hidden>')"),
        ("password: str = 'my own'", "password: str = '<hidden>'"),
        ("known = password == 'my own'", "known = password == '<hidden>'"),
        (r'loads("{\"token\": \"my own\"}")', 'loads("{\\"token\\": \'<hidden>\'}")'),
        ("login(name, 'my own')", "login(name, '<hidden>')"),
        ("login('a', r'my own')", "login('a', '<hidden>')"),
    ],
)
def test_secrets_are_hidden_however_they_are_written(line: str, shown: str) -> None:
    assert hidden(line) == shown


@pytest.mark.parametrize(
    "part", ["token", "token ", "token=", 'token="""', 'login("""', "login('", "token:a", "login( "]
)
def test_a_long_line_is_looked_through_in_time_that_grows_with_its_length(part: str) -> None:
    line = part * (200_000 // len(part))
    began = time.process_time()
    hidden(line)
    assert time.process_time() - began < 2.0
