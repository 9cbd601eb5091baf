"""Corrects how Simpycity's query objects run: what is sent again, what ``%`` means, what they tell."""

from functools import lru_cache
from typing import Any

import psycopg2
from simpycity import config as simpycity_config
from simpycity.core import Function, FunctionSingle, QuerySingle, meta_query

from simpycity_template.simpycity_patches.corrects import corrects
from simpycity_template.simpycity_patches.cursor import was_never_sent

_stock = dict(vars(meta_query))
_stock_call: Any = Function.form_query


@corrects(meta_query)
class Query:
    """What ``Function``, ``Query`` and ``Raw`` have in common: how they are called and run."""

    def __call__(self: Any, *args: Any, **named: Any) -> Any:
        """Run the query and return its cursor.

        Simpycity's own puts eleven lines of debug text together in each call, also where nobody
        reads them; so it is called only where Simpycity's ``debug`` is on.

        Arguments:
            args, named: the query's arguments, in their order or by their names.
            options: a dictionary: ``columns`` to select, ``handle`` to use, ``callback`` for the
                rows, and whatever else ``form_query`` takes.

        Raises:
            TypeError: arguments are missing, too many or unknown.
        """
        if simpycity_config.debug:
            return _stock["__call__"](self, *args, **named)
        columns, options = "*", {}
        handle, callback = self.__attr__["handle"], self.__attr__["callback"]
        if named:
            options = dict(named.pop("options", None) or {})
            columns = ",".join(options.pop("columns", None) or "*")
            handle = options.pop("handle", handle)
            callback = options.pop("callback", callback)
        if named or len(args) != len(self.args):
            call_list = _in_order(self.args, args, named)
        else:
            call_list = list(args)
        return self.__execute__(columns, call_list, handle, callback, options)

    def __execute__(
        self: Any,
        columns: str,
        call_list: list[Any],
        handle: Any = None,
        callback: Any = None,
        extra_opt: dict[str, Any] | None = None,
    ) -> Any:
        """Run the query and return its cursor.

        Simpycity runs a statement again after any OperationalError: that hides the first error,
        calls a function twice in autocommit mode, and finishes on a new connection a transaction
        whose first half died with the old one. Here it is sent again only where it was never sent.
        """
        query = self.form_query(columns, options=extra_opt or {})
        arguments = call_list or _no_arguments(query)
        if handle is None:
            handle = _handle(self)
        cursor = handle.cursor(cursor_factory=self.cursor_factory, callback=callback)
        try:
            cursor.execute(query, arguments)
        except psycopg2.OperationalError:
            if not was_never_sent(cursor):
                raise
            cursor = handle.cursor(cursor_factory=self.cursor_factory, callback=callback)
            cursor.execute(query, arguments)
        return cursor

    def commit(self: Any) -> None:
        """Commit the transaction that the query runs in."""
        _handle(self).commit()

    def rollback(self: Any) -> None:
        """Roll back the transaction that the query runs in."""
        _handle(self).rollback()


@corrects(Function)
class Call:
    """How the call of a function is written."""

    def form_query(self: Any, columns: str, options: dict[str, Any] | None = None) -> str:
        """The text of the statement.

        Arguments:
            columns: to select, separated by commas; ``*`` for all.
            options: ``direct`` for ``SELECT f()``, where ``SELECT * FROM f()`` is the rule.
        """
        if self.direct or options:
            return _stock_call(self, columns, options or {})
        return _call(columns, self.query_base, len(self.args))


# Most applications write the same few again and again.
@lru_cache(1000)
def _call(columns: str, function: str, arguments: int) -> str:
    return f"SELECT {columns} FROM {function}({','.join(['%s'] * arguments)})"


def _of_one_row(single: type) -> Any:
    """The method ``__call__`` of a class of queries that return one row."""

    def __call__(self: Any, *args: Any, **named: Any) -> Any:
        """Run the query and return its row.

        Raises:
            Exception: it has none, or more than one; the message names the query and how many.
                (Simpycity has no class of its own for it.)
        """
        stock: Any = super(single, self)
        cursor = stock.__call__(*args, **named)
        if cursor.rowcount != 1:
            raise Exception(
                f"{type(self).__name__} {self.query_base!r} found {cursor.rowcount} rows, "
                "where exactly one is expected"
            )
        return cursor.fetchone()

    return __call__


@corrects(FunctionSingle)
class SingleCall:
    """What a function returns that returns one row."""

    __call__ = _of_one_row(FunctionSingle)


@corrects(QuerySingle)
class SingleQuery:
    """What a query returns that returns one row."""

    __call__ = _of_one_row(QuerySingle)


def _in_order(names: list[str], args: tuple[Any, ...], named: dict[str, Any]) -> list[Any]:
    """All arguments in the order of ``names``; one that is not given is an empty text.

    That is Simpycity's way where arguments are given by name, and models rely on it. Elsewhere one
    that is missing is a mistake.
    """
    given = len(args) + len(named)
    if (args or not named) and given != len(names):
        arguments = "argument" if len(names) == 1 else "arguments"
        raise TypeError(
            f"the query takes {len(names)} {arguments} ({', '.join(names)}), got {given}"
        )
    for name in named:
        if name not in names:
            raise TypeError(f"the query has no argument {name!r}: it has {', '.join(names)}")
    return [*args, *(named.get(name, "") for name in names[len(args) :])]


def _handle(query: Any) -> Any:
    """The query's own handle, or the one to use now.

    Simpycity keeps the first handle it was given for ever, which is right only for its own: a
    connection that nobody else knows.
    """
    handle = query.__attr__["handle"]
    if handle is None:
        handle = simpycity_config.handle_factory()
        if handle.manager is None:
            query.__attr__["handle"] = handle
    return handle


def _no_arguments(query: Any) -> list[Any] | None:
    """Without arguments a ``%`` is only a ``%``; one that is doubled stays what it always was."""
    return None if isinstance(query, str) and "%" in query.replace("%%", "") else []
