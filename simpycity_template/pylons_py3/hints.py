"""What an application's libraries know of an error: the debugger shows it above the traceback."""

from collections.abc import Callable

Hint = Callable[[BaseException, str], "str | None"]
"""Called with an error and the INI file that is served; returns a sentence, or None."""

_hints: list[Hint] = []


def add(hint: Hint) -> None:
    """Ask ``hint`` about each error that the debugger shows."""
    if hint not in _hints:
        _hints.append(hint)


def of(error: BaseException, ini: str) -> str:
    """What is known of ``error``; empty where that is nothing."""
    return " ".join(filter(None, (hint(error, ini) for hint in _hints)))
