"""What the error of a call says where PostgreSQL has no such function."""

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import psycopg2

from simpycity_template.simpycity_patches.arguments import called, declared

NO_SUCH_FUNCTION = (
    psycopg2.errors.UndefinedFunction,
    psycopg2.errors.AmbiguousFunction,
    psycopg2.errors.WrongObjectType,
)

UNDEFINED_FUNCTION = "42883"

_explainers: list[Callable[[Any, Any], str]] = []


def explain_with(explain: Callable[[Any, Any], str]) -> None:
    """Add to the error of a call without a function what ``explain(query, manager)`` returns."""
    _explainers[:] = [explain]


def say_which(query: Any, error: psycopg2.Error, handle: Any) -> None:
    """Say in an error of PostgreSQL's which declaration it is about."""
    # Where it is of the function's body, there is a context.
    if query.takes_all or error.diag.context:
        return
    said = [str(error).rstrip(), f"{called(query)} is called{declared(query)}"]
    manager = getattr(handle, "manager", None)
    for explain in _explainers if manager else ():
        with suppress(psycopg2.Error, RuntimeError):
            said.append(explain(query, manager))
    error.args = ("\n".join(filter(None, said)),)


def refuse_left_out(query: Any, error: psycopg2.Error, options: dict[str, Any] | None) -> None:
    """Raise a TypeError where arguments were left out and no function can be called without them."""
    sent = (options or {}).get("sent")
    if sent is None or error.diag.context or error.pgcode != UNDEFINED_FUNCTION:
        return
    given = [*query.args[: sent.positional], *sent.named]
    missing = [name for name in query.args if name not in given]
    if missing:
        raise TypeError(
            f"{called(query)} was called without {', '.join(map(repr, missing))}, and PostgreSQL "
            f"has no such function that can be called with the rest alone{declared(query)}: "
            f"{str(error).strip()}"
        ) from error
