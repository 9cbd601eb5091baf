"""A command or a function says the password of each new connection."""

import sys

import psycopg2
import pytest
from psycopg2.extensions import parse_dsn
from support import backend

from simpycity_template.pool.password import password_of

PYTHON = f"'{sys.executable}' -c"


def test_a_function_is_asked_for_each_connection_and_for_none_that_is_open(make_manager):
    asked = []

    def token():
        asked.append(f"token {len(asked)}")
        return asked[-1]

    manager = make_manager(password_command=token)
    for _ in range(2):
        with manager.scope("first"):
            first = backend()
    assert asked == ["token 0"]
    with manager.scope("outer"), manager.scope("inner"):
        assert backend() == first
        second, third = manager.open(), manager.open()
        assert backend(second) != first
        assert "token" not in third.conn.dsn
    assert asked == ["token 0", "token 1", "token 2"]
    assert parse_dsn(manager.dsn())["password"] == "token 3"


@pytest.mark.process
def test_a_command_prints_it():
    assert (
        password_of(f"{PYTHON} 'print(\" a secret with spaces \")'", 60) == " a secret with spaces "
    )


@pytest.mark.process
@pytest.mark.parametrize(
    "command, timeout, message",
    [
        ("no-such-command", 60, "cannot be run: .*No such file or directory: 'no-such-command'"),
        (f"{PYTHON} 'exit(\"log in first\")'", 60, "ended with 1: log in first$"),
        (f"{PYTHON} 'exit(3)'", 60, "ended with 3: no message$"),
        (f"{PYTHON} 'print(1); print(2)'", 60, "gave 2 lines, and a password is one$"),
        (f"{PYTHON} ''", 60, "gave 0 lines, and a password is one$"),
        (f"{PYTHON} 'input()'", 60, "ended with 1: EOFError"),
        (
            f"{PYTHON} 'import time; time.sleep(1000)'",
            0.1,
            r"took longer than 0.1 s .pool_timeout.$",
        ),
    ],
)
def test_a_command_that_fails_is_one_sentence(command, timeout, message):
    with pytest.raises(psycopg2.OperationalError, match=f"password_command {message}"):
        password_of(command, timeout)


@pytest.mark.parametrize(
    "function, message",
    [
        (lambda: 1 / 0, "raised ZeroDivisionError: division by zero"),
        (lambda: b"bytes", "returned a value of type bytes instead of a text"),
        (lambda: "", "gave 0 lines"),
    ],
)
def test_a_function_that_fails_is_one_sentence(make_manager, function, message):
    manager = make_manager(password_command=function)
    with manager.scope("x"), pytest.raises(psycopg2.OperationalError, match=message):
        backend()
    assert manager.status() == []
