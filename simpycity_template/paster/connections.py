"""``paster connections``: where the connections of an application are, from every process and host."""

import json
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict
from datetime import datetime
from typing import Any, ClassVar

import psycopg2
from paste.script.command import BadCommand, Command
from psycopg2.extensions import connection as psycopg2_connection

from simpycity_template.manager import Manager
from simpycity_template.monitoring.pg_sessions import (
    Session,
    application_name,
    connect,
    held_by,
    seconds,
    sessions,
)
from simpycity_template.paster.application import managers_of
from simpycity_template.pool.owner import ENDS_WITH_SCOPE
from simpycity_template.process.pipes import reader_may_leave

PAUSE = 1.0
"""Seconds between two looks of ``--watch``."""


class ConnectionsCommand(Command):
    """What ``paster`` runs; one call of ``command()`` is one command line."""

    summary = "Show where the application's PostgreSQL connections are, and who holds them"
    description = """\
    Lists the application's sessions in PostgreSQL, of every process and host: those that are idle
    in a transaction first, the oldest at the top. With simpycity.tag_statements = true it shows
    for each the request, thread, process and code line that it works for.

    Exit status: 0; 1 with --max-idle where a session has been idle in a transaction for longer;
    2 where it could not be found out."""
    usage = "CONFIG_FILE"
    group_name = "simpycity"
    min_args = max_args = 1
    min_args_error = "Name the application's INI file: paster connections development.ini"
    max_args_error = "Name one INI file: paster connections development.ini"

    parser = Command.standard_parser(verbose=False)
    parser.add_option("--watch", action="store_true", help="look again each second, until Ctrl-C")
    parser.add_option("--json", action="store_true", help="print one JSON document, for scripts")
    parser.add_option(
        "--max-idle",
        type="float",
        metavar="SECONDS",
        help="exit with status 1 where a session is idle in a transaction for longer",
    )

    options: ClassVar[Any]
    args: ClassVar[Any]

    def command(self) -> int:
        """Look, once or again and again."""
        if self.options.watch and self.options.json:
            raise BadCommand("--watch is for people and --json for scripts: choose one")
        looks = [Look(manager) for manager in managers_of(self.args[0])]
        with suppress(KeyboardInterrupt), reader_may_leave():
            if self.options.watch:
                watch(looks)
            found = [look.again() for look in looks]
            if self.options.json:
                print(json.dumps([as_json(look) for look in found], indent=2))
            else:
                show(found)
        return self._status([session for look in looks for session in look.sessions])

    def _status(self, found: list[Session]) -> int:
        limit = self.options.max_idle
        if limit is None:
            return 0
        hidden = sum(session.hidden for session in found)
        if hidden:
            print(f"--max-idle could not judge {hidden} of the sessions.", file=sys.stderr)
        if any(session.idle_in_transaction > limit for session in found):
            return 1
        return 2 if hidden else 0


class Look:
    """What is seen of one manager's database, through one connection that is kept.

    Attributes:
        name: the manager's.
        application_name: what its sessions are called.
        max_size: how many connections each process may have.
        sessions: what was seen last.
    """

    def __init__(self, manager: Manager) -> None:
        self.name = manager.name
        self.max_size = manager.metrics().max_size
        self.sessions: list[Session] = []
        self.application_name = manager.name
        self._manager = manager
        self._link: psycopg2_connection | None = None

    def again(self) -> "Look":
        """Look once more; returns itself.

        Raises:
            BadCommand: the server cannot be reached, or does not tell.
        """
        try:
            if self._link is None or self._link.closed:
                dsn = self._manager.dsn()
                self.application_name = application_name(dsn, self._manager.name)
                self._link = connect(dsn)
            # What the application opens here, where it was only loaded, is not looked for. Its
            # threads may open more at this moment.
            ours = self._own()
            found = sessions(self._link, self.application_name)
            ours |= self._own()
            self.sessions = [session for session in found if session.pid not in ours]
        except (psycopg2.Error, RuntimeError) as error:
            raise BadCommand(
                f"PostgreSQL does not tell about the connections of {self.name!r}: "
                f"{str(error).strip()}"
            ) from None
        return self

    def _own(self) -> set[int]:
        return {entry.backend_pid for entry in self._manager.status()}


# --- output ---


def as_json(look: Look) -> dict[str, Any]:
    """A look as JSON has it; ages in seconds."""
    return {
        "manager": look.name,
        "application_name": look.application_name,
        "max_size_per_process": look.max_size,
        "sessions": [{**asdict(session), "hidden": session.hidden} for session in look.sessions],
    }


HEADINGS = ("Session", "Client", "State", "Transaction", "Waits for", "Held by", "Last statement")


def cells(session: Session) -> tuple[str, ...]:
    """A session as a row of the table."""
    waits = session.waits_for or ""
    if session.blocked_by:
        waits = f"{waits or 'a lock'}; blocked by {', '.join(session.blocked_by)}"
    if session.state is None:
        return (str(session.pid), "", f"hidden: role {session.user}", "", "", "", "")
    return (
        str(session.pid),
        session.client,
        f"{session.state} {seconds(session.state_age)}",
        seconds(session.transaction_age),
        waits,
        held_by(session),
        session.sql,
    )


def summary(look: Look) -> str:
    """One line that says how many sessions there are, and of what kind."""
    found = look.sessions
    stuck = sum(session.idle_in_transaction > 0 for session in found)
    return (
        f"{look.application_name}: {len(found)} session{'s' * (len(found) != 1)}, "
        f"{stuck} idle in transaction, "
        f"{sum(bool(session.blocked_by) for session in found)} blocked "
        f"(each process may have {look.max_size})"
    )


def verdict(look: Look) -> str:
    """What to look at first; empty where no session is idle in a transaction for long."""
    worst = look.sessions[0] if look.sessions else None
    if worst is None or worst.idle_in_transaction <= 1:
        return ""
    idle = f"Session {worst.pid} has been idle in a transaction for {seconds(worst.state_age)}"
    return f"{idle}: {held_by(worst) or f'client {worst.client}'}"


def remarks(look: Look) -> list[str]:
    """What else the reader should know."""
    said = []
    if verdict(look):
        said.append(ENDS_WITH_SCOPE)
    hidden = sorted({session.user for session in look.sessions if session.hidden})
    if hidden:
        said.append(
            f"This role may not see what the sessions of {', '.join(hidden)} do: "
            "GRANT pg_read_all_stats TO it."
        )
    busy = [s for s in look.sessions if s.state not in (None, "idle")]
    if busy and not any(session.holder for session in busy):
        said.append(
            "Who holds a connection is shown where simpycity.tag_statements = true; "
            "otherwise only the application's own log and /_connections know."
        )
    return said


def show(looks: list[Look]) -> None:
    """Print tables to a terminal, and text without colours or frames to a pipe."""
    if sys.stdout.isatty():
        from rich.console import Console

        console = Console()
        for look in looks:
            console.print(_picture(look))
        return
    for look in looks:
        print(summary(look))
        if verdict(look):
            print(verdict(look))
        rows = [HEADINGS, *(cells(session) for session in look.sessions)]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        for row in rows if look.sessions else []:
            print("  ".join(map(str.ljust, row, widths)).rstrip())
        for remark in remarks(look):
            print(remark)


def watch(looks: list[Look], pause: Callable[[float], None] = time.sleep) -> None:
    """Look again and again, until Ctrl-C; a server that went away is waited for."""
    if not sys.stdout.isatty():
        while True:
            show([look.again() for look in looks])
            print(flush=True)
            pause(PAUSE)
    from rich.console import Group
    from rich.live import Live
    from rich.text import Text

    with Live(auto_refresh=False, screen=True) as live:
        while True:
            try:
                pictures = [_picture(look.again()) for look in looks]
            except BadCommand as error:
                pictures = [Text(error.message, style="bold red")]
            clock = Text(f"{datetime.now():%H:%M:%S}   Ctrl-C ends", style="dim")
            live.update(Group(*pictures, clock), refresh=True)
            pause(PAUSE)


def _picture(look: Look) -> Any:
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    table = Table("Session", "State", "Held by, and the last statement", expand=True)
    table.columns[1].ratio, table.columns[2].ratio = 2, 3
    for session in look.sessions:
        pid, client, state, transaction, waits, holder, sql = cells(session)
        stacked = (
            (pid, client),
            (state, transaction and f"transaction {transaction}", waits and f"waits for {waits}"),
            (holder, sql),
        )
        # Texts, not strings: in those rich would take [brackets] for markup.
        row = (Text("\n".join(filter(None, lines)), overflow="fold") for lines in stacked)
        table.add_row(*row, style=_colour(session))
    return Group(
        Text(summary(look), style="bold"),
        Text(verdict(look), style="bold red"),
        table if look.sessions else Text(""),
        *(Text(remark, style="yellow") for remark in remarks(look)),
    )


def _colour(session: Session) -> str:
    if session.idle_in_transaction:
        return "bold red" if session.idle_in_transaction > 1 else "yellow"
    if session.blocked_by:
        return "magenta"
    return "green" if session.state == "active" else "dim"
