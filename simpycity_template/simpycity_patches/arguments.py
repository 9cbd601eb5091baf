"""How a call's arguments are written as SQL: in their order, by name after a gap, or as a CALL.

An argument that is not given is not sent, so the default of the database applies. What can be
decided once is decided once: the text of a call is made for each set of arguments that is used.
"""

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Any, NamedTuple

from psycopg2.sql import SQL

_NAME = r"""(?:[^\W\d][\w$]*|"(?:[^"%\0]|"")+")"""
_COLUMN = re.compile(rf"(?:{_NAME}\.)*(?:{_NAME}|\*)")


class Sent(NamedTuple):
    """Which arguments of a declaration a call sends.

    Attributes:
        positional: how many of the first ones.
        named: those after the first gap, which are sent by name.
        variadic: whether the last one that is sent is an array of VARIADIC arguments.
    """

    positional: int
    named: tuple[str, ...] = ()
    variadic: bool = False


def bind(query: Any, args: tuple[Any, ...], given: dict[str, Any]) -> tuple[list[Any], Sent]:
    """What a call sends: the values in the order of the declaration, and which arguments they are.

    Raises:
        TypeError: an argument is given twice, is unknown, or there are too many; or one of a query
            that is no function is missing.
    """
    names = query.args
    values = dict(zip(names, args, strict=False))
    if query.variadic:
        # As in Python: what comes after the other arguments is gathered.
        gathered = list(args[len(names) - 1 :])
        if gathered:
            values[names[-1]] = gathered
    elif len(args) > len(names):
        raise _wrong(query, f"takes {_counted(names)}, but {len(args)} were given")
    for name in given:
        if name not in names:
            raise _wrong(query, f"has no argument {name!r}: it has {', '.join(names) or 'none'}")
        if name in values:
            raise _wrong(query, f"got {name!r} twice: by its place and by its name")
    values |= given
    sent = [name for name in names if name in values]
    if query.takes_all and len(sent) < len(names):
        missing = ", ".join(repr(name) for name in names if name not in values)
        raise _wrong(query, f"takes {_counted(names)}, and was called without {missing}")
    in_place = 0
    while in_place < len(sent) and sent[in_place] == names[in_place]:
        in_place += 1
    is_variadic = bool(query.variadic and names[-1] in values)
    return [values[name] for name in sent], Sent(in_place, tuple(sent[in_place:]), is_variadic)


def _counted(names: list[str]) -> str:
    if not names:
        return "no arguments"
    return f"{len(names)} argument{'s' * (len(names) != 1)} ({', '.join(names)})"


def _wrong(query: Any, what: str) -> TypeError:
    return TypeError(f"{called(query)} {what}{declared(query)}")


def called(query: Any) -> str:
    """What a query is called in messages."""
    return f"{query.query_base}()" if hasattr(query, "procedure") else repr(query.query_base)


def declared(query: Any) -> str:
    """Where a query is declared, as the end of a sentence; empty where that is not known."""
    place = query.__dict__.get("declared_at")
    return f" (declared at {place[0]}:{place[1]})" if place else ""


def column_list(columns: Iterable[str | SQL]) -> str:
    """The text that selects columns, which a visitor may have named.

    Arguments:
        columns: their names, as SQL writes them, also ``*`` and ``t.*``; other SQL as
            ``psycopg2.sql.SQL("count(*)")``.

    Raises:
        TypeError: ``columns`` is a string.
        ValueError: one is not a name.
    """
    if isinstance(columns, str):
        raise TypeError(f"columns is {columns!r}: give a list of names, as in ['id', 'title']")
    texts = []
    for column in columns:
        if isinstance(column, SQL):
            texts.append(column.string)
        elif _COLUMN.fullmatch(column):
            texts.append(column)
        else:
            raise ValueError(
                f"{column!r} in columns is not the name of a column: give names, in double quotes "
                "where SQL needs them, and other SQL as psycopg2.sql.SQL('count(*)')"
            )
    return ",".join(texts)


# Most applications write the same few again and again.
@lru_cache(1000)
def call_text(columns: str, function: str, sent: Sent, form: str) -> str:
    """The text of a call.

    Arguments:
        columns: to select, separated by commas; ``*`` for all.
        function: its name as SQL writes it.
        sent: which arguments.
        form: ``from`` for ``SELECT … FROM f()``, ``direct`` for ``SELECT f()``, ``call`` for
            ``CALL f()``.
    """
    written = ["%s"] * sent.positional
    written += [f"{_quoted(name)} => %s" for name in sent.named]
    if written:
        # psycopg2 reads the text for its %s only where there are arguments.
        function = function.replace("%", "%%")
    if sent.variadic:
        written[-1] = f"VARIADIC {written[-1]}"
    call = f"{function}({','.join(written)})"
    return {
        "from": f"SELECT {columns} FROM {call}",
        "direct": f"SELECT {call}",
        "call": f"CALL {call}",
    }[form]


def _quoted(name: str) -> str:
    doubled = name.replace('"', '""').replace("%", "%%")
    return f'"{doubled}"'
