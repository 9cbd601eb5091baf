"""Statements that say who runs them, where ``simpycity.tag_statements`` is on.

PostgreSQL shows the last statement of each session to whoever may look, from any host. A comment
in front of it is the one thing that tells, across processes and with no round trip more, which
request and which line of code a session works for.
"""

import os
import re
import socket
from dataclasses import dataclass

from simpycity_template.driver.sql_text import tokens

# Written as "?": what could end the comment, could be a parameter of psycopg2, or is not ASCII.
_UNSAFE = re.compile(r"[^\w ./:<>()@-]", re.ASCII)
_BEGINNING, _BETWEEN, _END = "/* simpycity: ", " | ", " */"
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


def comment(label: str, thread: str, place: str) -> str:
    """The comment that says who runs a statement, to stand before it.

    Arguments:
        label: of the scope.
        thread: its name.
        place: the code line that took the connection.
    """
    process = f"{os.getpid()}@{socket.gethostname()}"
    words = [
        _UNSAFE.sub("?", word)[-_LONGEST:] for word in (label[:_LONGEST], thread, process, place)
    ]
    # On a line of its own: PostgreSQL's errors show the line that they are in.
    return f"{_BEGINNING}{_BETWEEN.join(words)}{_END}\n"


def split(sql: str) -> tuple[Tag | None, str]:
    """Take a statement apart into who runs it, where it says so, and the rest.

    Only a comment in front counts, behind a BEGIN perhaps: further on a text may be a visitor's.
    """
    for token in tokens(sql):
        if token.kind == "comment":
            tag = _read(sql[token.start : token.end])
            if tag:
                return tag, sql[: token.start] + sql[token.end :].lstrip()
        elif token.kind not in ("space", "word", "semicolon"):
            break
    return None, sql


def _read(comment: str) -> Tag | None:
    if not (comment.startswith(_BEGINNING) and comment.endswith(_END)):
        return None
    words = comment[len(_BEGINNING) : -len(_END)].split(_BETWEEN)
    return Tag(*words) if len(words) == 4 else None
