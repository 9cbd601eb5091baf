"""Lets a monitoring agent see the statements that are sent by cursors of another class than its own.

OpenTelemetry and others see statements through the class of a connection's cursors: they derive one
from what ``psycopg2.connect()`` was given, and the connection makes its own cursors of it. So they are
given ``Traceable``, whose methods send through ``send()``; a class of ours that derives from the
agent's has that send as ours does, below what the agent does and sees.
"""

from collections.abc import Callable
from functools import lru_cache
from typing import TYPE_CHECKING, Any, TypeVar

from psycopg2 import extensions

if TYPE_CHECKING:
    from simpycity_template.driver.connection import Connection

C = TypeVar("C", bound="Connection")


class Traceable(extensions.cursor):
    """What agents derive their class from; by itself a cursor of psycopg2's."""

    send: Any = extensions.cursor.execute
    send_many: Any = extensions.cursor.executemany

    def execute(self, query: Any, vars: Any = None) -> Any:
        """Execute a statement."""
        return self.send(query, vars)

    def executemany(self, query: Any, vars_list: Any) -> Any:
        """Execute a statement for each of several sets of values."""
        return self.send_many(query, vars_list)


def connect_traced(connect: Callable[..., Any], dsn: str | None, kind: type[C], name: str) -> C:
    """Open a connection that an agent may see.

    Arguments:
        connect: as ``psycopg2.connect()``.
        dsn: of another database than the manager's; None for that.
        kind: the class of the connection.
        name: its ``application_name`` where the DSN gives none.
    """
    made: list[C] = []

    def factory(*args: Any, **kwargs: Any) -> C:
        made.append(kind(*args, **kwargs))
        return made[0]

    opened = connect(
        dsn, connection_factory=factory, cursor_factory=Traceable, fallback_application_name=name
    )
    connection = made[0]
    if opened is not connection:
        # The agent has replaced psycopg2.connect().
        connection.proxy = opened
    connection.tracer = _tracer_of(connection)
    return connection


def _tracer_of(connection: extensions.connection) -> Any:
    """Return the class that an agent has derived for a new connection, or None where there is none."""
    factory: Any = connection.cursor_factory
    if factory is Traceable:
        # psycopg2's own again.
        connection.cursor_factory = None  # type: ignore[assignment]
        return None
    # A function, or a class of something else, cannot be joined with ours.
    return factory if isinstance(factory, type) and issubclass(factory, Traceable) else None


@lru_cache(100)
def traced(factory: Any, tracer: Any) -> Any:
    """Return a class of cursors that sends as ``factory`` does, and is seen by an agent.

    Arguments:
        factory: a class of ours.
        tracer: the agent's, which the connection has.
    """
    methods = {"send": factory.execute, "send_many": factory.executemany}
    return type(factory.__name__, (tracer, factory), methods)
