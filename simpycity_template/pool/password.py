"""The password of a new connection, where a command or a function says it: tokens that live for minutes."""

import shlex
import subprocess
from collections.abc import Callable

import psycopg2

from simpycity_template.process.signals import raised_by_handler


def password_of(command: str | Callable[[], str], timeout: float) -> str:
    """Ask for the password of a connection that is about to be opened.

    Arguments:
        command: a command that prints it, or a function that returns it.
        timeout: seconds for a command to end.

    Raises:
        psycopg2.OperationalError: there is none to be had; the message says why.
    """
    answer = _printed(command, timeout) if isinstance(command, str) else _returned(command)
    if not answer or len(answer.splitlines()) != 1:
        # Not shown: part of it may be the password.
        raise _failed(f"gave {len(answer.splitlines())} lines, and a password is one")
    return answer


def _printed(command: str, timeout: float) -> str:
    try:
        # As it is in an INI file, and with no shell between.
        done = subprocess.run(
            shlex.split(command),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout,
        )
    except subprocess.TimeoutExpired:
        raise _failed(f"took longer than {timeout:g} s (pool_timeout)") from None
    except (OSError, ValueError) as error:
        if raised_by_handler(error):
            raise
        raise _failed(f"cannot be run: {error}") from None
    if done.returncode:
        said = done.stderr.strip().splitlines()
        raise _failed(f"ended with {done.returncode}: {said[-1] if said else 'no message'}")
    return done.stdout.removesuffix("\n").removesuffix("\r")


def _returned(function: Callable[[], str]) -> str:
    try:
        answer = function()
    except Exception as error:
        if raised_by_handler(error):
            raise
        raise _failed(f"raised {type(error).__name__}: {error}") from error
    if not isinstance(answer, str):
        raise _failed(f"returned a value of type {type(answer).__name__} instead of a text")
    return answer


def _failed(what: str) -> psycopg2.OperationalError:
    return psycopg2.OperationalError(f"no connection was opened: password_command {what}")
