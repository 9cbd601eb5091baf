"""Corrects how Simpycity's query objects run: what is sent again, what ``%`` means, what they tell."""

from functools import lru_cache
from typing import Any

from simpycity import ProgrammingError
from simpycity import config as simpycity_config
from simpycity.core import Function, FunctionSingle, QuerySingle, meta_query
from simpycity.handle import Cursor

from simpycity_template.simpycity_patches import declarations
from simpycity_template.simpycity_patches.arguments import (
    Sent,
    bind,
    call_text,
    called,
    column_list,
)
from simpycity_template.simpycity_patches.corrects import corrects
from simpycity_template.simpycity_patches.cursor import execute
from simpycity_template.simpycity_patches.no_such_function import (
    NO_SUCH_FUNCTION,
    refuse_left_out,
    say_which,
)
from simpycity_template.simpycity_patches.parameters import by_parameters, forget_parameters
from simpycity_template.simpycity_patches.to_sql import PLAIN


@corrects(meta_query)
class Query:
    """What ``Function``, ``Query`` and ``Raw`` have in common: how they are called and run.

    Attributes:
        args: the names of its arguments.
        declared_at: file and line.
        takes_all: whether each argument must be given; those of a function may have a default.
        variadic: whether the last argument is a function's VARIADIC one.
    """

    takes_all = True
    variadic = False

    def __init__(
        self: Any, name: str, args: Any = (), handle: Any = None, callback: Any = None
    ) -> None:
        """Declare a query.

        Arguments:
            name: of the function or table; of ``Raw``, the SQL text.
            args: the names of its arguments.
            handle: to run it on; by default the one of the scope that calls it.
            callback: each row is passed to it, and what it returns takes the row's place; of a
                model's class, a model with the row's columns does.

        Raises:
            TypeError: ``args`` is not a list of names.
        """
        if isinstance(args, str) or not all(isinstance(one, str) for one in args):
            raise TypeError(
                f"the arguments of {name!r} are {args!r}: give a list of their names, "
                "as in ['id', 'title']"
            )
        self.query_base = name
        self.args = list(args)
        self.cursor_factory = Cursor
        self.__attr__ = {"handle": handle, "callback": callback}
        declarations.note(self)

    def __call__(self: Any, *args: Any, **named: Any) -> Any:
        """Run the query and return its cursor.

        Arguments:
            args, named: the query's arguments, in their order or by their names. One of a function
                that is not given is not sent, so its default applies.
            options: a dictionary: ``columns`` to select, a list of names; ``handle`` to use,
                ``callback`` for the rows, and whatever else ``form_query`` takes.

        Raises:
            TypeError: an argument is unknown, given twice, one too many, or missing.
            ValueError: a column is not a name.
        """
        if simpycity_config.debug:
            print(f"{called(self)} is called with {args!r} and {named!r}")
        columns, options = "*", {}
        handle, callback = self.__attr__["handle"], self.__attr__["callback"]
        if named:
            options = dict(named.pop("options", None) or {})
            if given := options.pop("columns", None):
                columns = column_list(given)
            handle = options.pop("handle", None) or handle
            callback = options.pop("callback", callback)
        if named or self.variadic or len(args) != len(self.args):
            call_list, sent = bind(self, args, named)
            if len(call_list) != len(self.args) or sent.variadic:
                options["sent"] = sent
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
            handle = simpycity_config.handle_factory()
            if handle.manager is None:
                # As Simpycity does, which makes a new connection for each of its own.
                self.__attr__["handle"] = handle
        manager, checkout = getattr(handle, "manager", None), None
        if manager is not None:
            checkout = manager.checkout(handle)
            if call_list and not self.takes_all:
                for value in call_list:
                    if type(value) not in PLAIN:
                        sent = (extra_opt or {}).get("sent") or Sent(len(call_list))
                        arguments = by_parameters(self, checkout.link, call_list, sent)
                        # Its connection may have broken.
                        checkout = manager.checkout(handle)
                        break
        try:
            return execute(handle, checkout, query, arguments, self.cursor_factory, callback)
        except NO_SUCH_FUNCTION as error:
            forget_parameters(self)
            say_which(self, error, handle)
            refuse_left_out(self, error, extra_opt)
            raise

    def commit(self: Any) -> None:
        """Commit the transaction that the query runs in."""
        _handle(self).commit()

    def rollback(self: Any) -> None:
        """Roll back the transaction that the query runs in."""
        _handle(self).rollback()


@corrects(Function)
class Call:
    """A function of PostgreSQL, or a procedure.

    Attributes:
        direct: whether its call is written ``SELECT f()``, where ``SELECT * FROM f()`` is the rule.
        procedure: whether it is a procedure, which is called with ``CALL``.
        variadic: whether its last argument is VARIADIC.
    """

    takes_all = False
    direct = procedure = False

    def __init__(
        self: Any,
        *args: Any,
        direct: bool = False,
        variadic: bool = False,
        procedure: bool = False,
        **kwargs: Any,
    ) -> None:
        """Declare a function.

        Arguments:
            args, kwargs: its name, the names of its arguments, ``handle`` and ``callback``.
            direct: call it with ``SELECT f()``, where ``SELECT * FROM f()`` is the rule.
            variadic: its last argument is VARIADIC: a call may give any number of values for it,
                or a list by its name.
            procedure: it is a procedure, which is called with ``CALL``. Its OUT arguments are named
                as well, and called with None.
        """
        meta_query.__init__(self, *args, **kwargs)
        if variadic and not self.args:
            raise TypeError(f"{called(self)} is variadic: name at least one argument")
        self.direct, self.variadic, self.procedure = direct, variadic, procedure

    def form_query(self: Any, columns: str, options: dict[str, Any] | None = None) -> str:
        """The text of the statement.

        Arguments:
            columns: to select, separated by commas; ``*`` for all.
            options: ``direct`` as in the declaration.

        Raises:
            psycopg2.ProgrammingError: columns are selected where a call has none to select from.
        """
        if not (options or self.direct or self.procedure):
            return _whole_call(columns, self.query_base, len(self.args))
        options = options or {}
        direct = options.get("direct", self.direct)
        form = "call" if self.procedure else "direct" if direct else "from"
        if columns != "*" and form != "from":
            raise ProgrammingError(
                f"{called(self)}: columns cannot be selected of a direct call or a CALL"
            )
        return call_text(
            columns, self.query_base, options.get("sent") or Sent(len(self.args)), form
        )


@lru_cache(1000)
def _whole_call(columns: str, function: str, arguments: int) -> str:
    return call_text(columns, function, Sent(arguments), "from")


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


def _handle(query: Any) -> Any:
    """The query's own handle, or the one to use now."""
    return query.__attr__["handle"] or simpycity_config.handle_factory()


def _no_arguments(query: Any) -> list[Any] | None:
    """Without arguments a ``%`` is only a ``%``; one that is doubled stays what it always was."""
    return None if isinstance(query, str) and "%" in query.replace("%%", "") else []
