"""The sessions of an application, as PostgreSQL sees them: of every process, on every host."""

from dataclasses import dataclass
from typing import Any

import psycopg2
from psycopg2.extensions import connection as psycopg2_connection
from psycopg2.extras import NamedTupleCursor

from simpycity_template.driver import sql_comment as tag
from simpycity_template.driver.conninfo import defaults, given_parameters
from simpycity_template.driver.sql_text import ends_alike, tokens
from simpycity_template.pool.call_site import from_here

CONNECT_TIMEOUT = 5
"""Seconds, where the DSN says nothing."""

IDLE_IN_TRANSACTION = ("idle in transaction", "idle in transaction (aborted)")

# A role that may not see the sessions of another gets NULL as their state.
_SESSION = """
    SELECT activity.pid,
           activity.application_name AS application,
           activity.usename,
           coalesce(host(activity.client_addr) || ':' || activity.client_port, 'local') AS client,
           activity.state,
           extract(epoch FROM clock_timestamp() - activity.state_change)::float AS state_age,
           extract(epoch FROM clock_timestamp() - activity.xact_start)::float AS transaction_age,
           activity.wait_event_type,
           activity.wait_event,
           waits.lock,
           pg_blocking_pids(activity.pid) AS blocked_by,
           activity.query
      FROM pg_stat_activity AS activity
      LEFT JOIN LATERAL (
           SELECT locktype || coalesce(' ' || relation::regclass, '') || ', ' || mode AS lock
             FROM pg_locks
            WHERE pid = activity.pid AND NOT granted
            LIMIT 1
           ) AS waits ON true
"""

_OF_APPLICATION = """
     WHERE activity.datname = current_database()
       AND activity.application_name = %s
       AND activity.pid <> pg_backend_pid()
"""

_BLOCKERS = "WHERE activity.pid = ANY(pg_blocking_pids(%s))"

_STRANGERS = """
    SELECT pid, coalesce(nullif(application_name, ''), 'no name') AS name, usename
      FROM pg_stat_activity
     WHERE pid = ANY(%s)
"""


@dataclass(frozen=True)
class Session:
    """One session of the application.

    Arguments:
        pid: the process of the server.
        client: ``HOST:PORT`` of the other end, or ``local``.
        state: as ``pg_stat_activity`` has it; None where this role is not allowed to see it.
        state_age: seconds since the state began.
        transaction_age: seconds since the transaction began; None where there is none.
        waits_for: the lock or the event it waits for, if any.
        blocked_by: who keeps it waiting: process and name, of other applications as well.
        user: the role that is logged in.
        sql: the last statement, with ``?`` in place of every value.
        holder: who runs it, where the statement says so.
    """

    pid: int
    client: str
    state: str | None
    state_age: float | None
    transaction_age: float | None
    waits_for: str | None
    blocked_by: tuple[str, ...]
    user: str
    sql: str
    holder: tag.Tag | None

    @property
    def hidden(self) -> bool:
        """Whether this role is not allowed to see what the session does."""
        return self.state is None

    @property
    def idle_in_transaction(self) -> float:
        """Seconds for which it has been idle in a transaction; 0 where it is not."""
        return (self.state_age or 0.0) if self.state in IDLE_IN_TRANSACTION else 0.0


def connect(dsn: str) -> psycopg2_connection:
    """An autocommit connection of one's own, which is none of the application's."""
    options: dict[str, Any] = {"application_name": "simpycity_template sessions"}
    options.update(defaults(dsn, CONNECT_TIMEOUT))
    link = psycopg2.connect(dsn, **options)
    link.autocommit = True
    return link


def application_name(dsn: str, name: str) -> str:
    """What the sessions of a manager are called: as libpq chooses, or else as the manager."""
    return given_parameters(dsn).get("application_name") or name


def sessions(link: psycopg2_connection, application_name: str) -> list[Session]:
    """List the sessions of an application in one database; the oldest idle in transaction first.

    Arguments:
        link: an autocommit connection to the database; its own session is left out.
        application_name: of the sessions.

    Raises:
        psycopg2.Error: the server does not answer, or not this.
    """
    name = as_the_server_has_it(link, application_name)
    with link.cursor(cursor_factory=NamedTupleCursor) as cursor:
        cursor.execute(_SESSION + _OF_APPLICATION, [name])
        rows: list[Any] = cursor.fetchall()
        cursor.execute(_STRANGERS, [sorted({pid for row in rows for pid in row.blocked_by})])
        blockers: list[Any] = cursor.fetchall()
    names = {row.pid: f"{row.pid} ({row.name}, {row.usename})" for row in blockers}
    return sorted((_session(row, names) for row in rows), key=_by_urgency)


def blockers(link: psycopg2_connection, pid: int) -> list[str]:
    """Say who keeps a session waiting for a lock, each in a sentence of its own.

    Arguments:
        link: an autocommit connection to the database.
        pid: the server's process that may wait.

    Raises:
        psycopg2.Error: the server does not answer, or not this.
    """
    with link.cursor(cursor_factory=NamedTupleCursor) as cursor:
        cursor.execute(_SESSION + _BLOCKERS, [pid])
        rows: list[Any] = cursor.fetchall()
        cursor.execute("SELECT 0 = ANY(pg_blocking_pids(%s))", [pid])
        (prepared,) = cursor.fetchone() or (False,)
    said = [_blocker(row.application or "no name", _session(row, {})) for row in rows]
    return [*said, "a prepared transaction: see pg_prepared_xacts"] if prepared else said


def _blocker(application: str, session: Session) -> str:
    """A session in a sentence, with all that is known of it."""
    said = f"session {session.pid} of {application!r}, role {session.user}"
    if session.hidden:
        return f"{said}; this role may not see what it does"
    parts = [f"{said}, {session.state} for {seconds(session.state_age)}"]
    if session.transaction_age is not None:
        parts.append(f"in a transaction for {seconds(session.transaction_age)}")
    if session.holder is not None:
        parts.append(held_by(session))
    return f"{', '.join(parts)}; last statement: {session.sql}"


def held_by(session: Session) -> str:
    """Who works in a session, where its statements say so."""
    holder = session.holder
    if holder is None or session.state == "idle":
        return ""
    # Work outside a scope is called as its thread.
    label = "" if holder.label == holder.thread else f"{holder.label}, "
    return f"{label}thread {holder.thread} of {holder.process}, {from_here(holder.place)}"


def seconds(age: float | None) -> str:
    """An age for people."""
    if age is None:
        return ""
    if age < 100:
        return f"{age:.1f} s"
    minutes, rest = divmod(int(age), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02} min" if hours else f"{minutes} min {rest:02} s"


def as_the_server_has_it(link: psycopg2_connection, application_name: str) -> str:
    """A name as the server writes it: it shortens long ones and replaces what is not ASCII."""
    with link.cursor() as cursor:
        cursor.execute("SHOW application_name")
        (own,) = cursor.fetchone() or ("",)
        cursor.execute("SELECT set_config('application_name', %s, false)", [application_name])
        (name,) = cursor.fetchone() or ("",)
        cursor.execute("SELECT set_config('application_name', %s, false)", [own])
    return str(name)


def masked(sql: str) -> str:
    """A statement on one line, with ``?`` in place of every value that stands in it.

    psycopg2 puts the parameters into the statement before it is sent, so what PostgreSQL shows
    has the data of users in it. The server may have cut it off in the middle of a text.
    """
    shown = []
    for token in tokens(sql):
        if token.kind in ("string", "dollar", "number"):
            shown.append("?")
            # With standard_conforming_strings = off, which only the session knows, it may go on.
            if token.kind == "string" and not ends_alike(sql, token):
                break
        elif token.kind == "comment":
            shown.append(" ")
        else:
            shown.append(sql[token.start : token.end])
    return " ".join("".join(shown).split())


def _session(row: Any, names: dict[int, str]) -> Session:
    holder, sql = tag.split(row.query or "")
    waits_for = None
    if row.state == "active" and row.wait_event_type not in (None, "Client"):
        waits_for = row.lock or f"{row.wait_event_type}: {row.wait_event}"
    return Session(
        pid=row.pid,
        client=row.client,
        state=row.state,
        state_age=row.state_age,
        transaction_age=row.transaction_age,
        waits_for=waits_for,
        # 0 stands for a prepared transaction, which has no process.
        blocked_by=tuple(
            names.get(pid, str(pid)) if pid else "a prepared transaction" for pid in row.blocked_by
        ),
        user=row.usename,
        sql=masked(sql) if row.state is not None else "",
        holder=holder,
    )


def _by_urgency(session: Session) -> tuple[float, float, int]:
    return (-session.idle_in_transaction, -(session.transaction_age or 0.0), session.pid)
