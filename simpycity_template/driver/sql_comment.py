"""Statements that say who runs them, where ``simpycity.tag_statements`` is on.

PostgreSQL shows the last statement of each session to whoever may look, from any host. A comment
in front of it is the one thing that tells, across processes and with no round trip more, which
request and which line of code a session works for.
"""

import os
import re
import socket
from dataclasses import dataclass

from simpycity_template.pool.owner import Holder, from_here

# Written as "?": what could end the comment, could be a parameter of psycopg2, or is not ASCII.
_UNSAFE = re.compile(r"[^\w ./:<>()@-]", re.ASCII)
_TAG = re.compile(r"/\* simpycity: (.*?) \| (.*?) \| (.*?) \| (.*?) \*/\s*")
# PostgreSQL keeps 1024 characters of a statement, and some must be left for the statement itself.
_LONGEST = 120


@dataclass(frozen=True)
class Tag:
    """Who runs a statement.

    Arguments:
        label: of the scope.
        thread: its name.
        process: ``PID@HOST`` of the application.
        place: the code line that took the connection, its file as named in the process's folder.
    """

    label: str
    thread: str
    process: str
    place: str


def comment(holder: Holder) -> str:
    """The comment that names ``holder``, to stand before its statements."""
    process = f"{os.getpid()}@{socket.gethostname()}"
    words = [
        _UNSAFE.sub("?", word)[-_LONGEST:]
        for word in (holder.label[:_LONGEST], holder.thread, process, from_here(holder.place))
    ]
    # On a line of its own: PostgreSQL's errors show the line that they are in.
    return f"/* simpycity: {' | '.join(words)} */\n"


def split(sql: str) -> tuple[Tag | None, str]:
    """Take a statement apart into who runs it, where it says so, and the rest."""
    found = _TAG.search(sql)
    if found is None:
        return None, sql
    return Tag(*found.groups()), sql[: found.start()] + sql[found.end() :]
