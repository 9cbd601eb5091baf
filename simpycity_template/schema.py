"""Applies a file of SQL, all of it or nothing of it.

PostgreSQL says at which character of a statement it stumbled, or nothing at all; to name the line
of the file, the file is taken apart into its statements.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg2

if TYPE_CHECKING:
    from simpycity_template.manager import Manager

# Any number will do that no one else takes for an advisory lock.
LOCK = 0x51_3C_17_59

_TOKEN = re.compile(
    r"""
      (?P<space>      \s+ | --[^\n]* )
    | (?P<comment>    /\* )
    | (?P<quoted>     [eE]'(?:[^'\\]|\\.|'')*' | '(?:[^']|'')*' | "(?:[^"]|"")*" )
    | (?P<dollar>     \$(?P<tag>[^\W\d]\w*)?\$ .*? \$(?(tag)(?P=tag))\$ )
    | (?P<word>       [^\W\d][\w$]* )
    | (?P<semicolon>  ; )
    | (?P<other>      \d[\w.]* | . )
    """,
    re.VERBOSE | re.DOTALL,
)
_COMMENT_EDGE = re.compile(r"/\*|\*/")
_TRANSACTION_CONTROL = {"ABORT", "BEGIN", "COMMIT", "END", "ROLLBACK", "START"}


class SchemaError(Exception):
    """A file of SQL could not be applied, and nothing of it was; the message says where and why."""


def apply(manager: "Manager", path: str | Path) -> None:
    """Run the statements of a file in one transaction.

    Two processes that do it at the same time do it one after the other.

    Arguments:
        manager: whose database it is.
        path: the file, in UTF-8.

    Raises:
        SchemaError: the file cannot be read, the database cannot be reached, or PostgreSQL does
            not take the file; nothing is changed.
    """
    text = _read(path)
    found = list(statements(text))
    _refuse_transaction_control(path, text, found)
    with manager.scope(f"schema {path}"):
        try:
            # psycopg2's own: what else goes along with a statement would move the places of errors.
            connection = manager.handle().conn
        except (psycopg2.Error, RuntimeError) as error:
            # RuntimeError: there is no embedded server, or no setting that says where it is.
            raise SchemaError(
                f"manager {manager.name!r} has no connection to its database: {str(error).strip()}"
            ) from error
        at: int | None = None
        try:
            with manager.transaction():
                cursor = connection.cursor()
                cursor.execute("SELECT pg_advisory_xact_lock(%s)", [LOCK])
                for start, end in found:
                    at = start
                    cursor.execute(text[start:end])
                # What fails now is the COMMIT, of which no line is to blame.
                at = None
        except psycopg2.Error as error:
            raise SchemaError(_explain(error, path, text, at)) from error
        except UnicodeEncodeError as error:
            line = _line(text, (at or 0) + error.start)
            raise SchemaError(
                f"{path}, line {line}: {error.object[error.start]!r} is not in the encoding of the "
                "database, or else of the DSN; make the database with ENCODING 'UTF8'"
            ) from error


def _read(path: str | Path) -> str:
    try:
        return Path(path).read_text(encoding="utf-8-sig")
    except OSError as error:
        raise SchemaError(f"{path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise SchemaError(
            f"{path}, line {line}: this is not UTF-8; save the file as UTF-8"
        ) from error


def _refuse_transaction_control(path: str | Path, text: str, found: list[tuple[int, int]]) -> None:
    for start, end in found:
        if re.split(r"\W", text[start:end].upper())[0] in _TRANSACTION_CONTROL:
            raise SchemaError(
                f"{path}, line {_line(text, start)}: {text[start:end]}: the file is run in one "
                "transaction of its own; take this line out"
            )


def statements(text: str) -> Iterator[tuple[int, int]]:
    """Yield where each statement of a file of SQL starts and ends, its semicolon left out."""
    start = None
    parentheses = blocks = 0
    words: list[str] = []
    position = 0
    while position < len(text):
        token = _TOKEN.match(text, position)
        assert token is not None
        kind, here = token.lastgroup, position
        position = token.end()
        if kind == "comment":
            position = end_of_comment(text, here)
        if kind in ("space", "comment"):
            continue
        if kind == "semicolon" and not parentheses and not blocks:
            if start is not None:
                yield start, here
            start, words = None, []
            continue
        if start is None:
            start = here
        if token["other"] in ("(", ")"):
            parentheses = max(0, parentheses + (1 if token["other"] == "(" else -1))
        elif token["word"] and not parentheses:
            words.append(token["word"].upper())
            blocks = max(0, blocks + _block(words))
    if start is not None:
        yield start, len(text.rstrip())


def _block(words: list[str]) -> int:
    """Tell whether the last word opens (1) or closes (-1) a block of a function's SQL body.

    There, BEGIN ATOMIC … END, a semicolon does not end the CREATE FUNCTION.
    """
    if words[0] != "CREATE" or not {"FUNCTION", "PROCEDURE"} & set(words[:4]):
        return 0
    if words[-2:] == ["BEGIN", "ATOMIC"]:
        return 1
    if "ATOMIC" not in words:
        return 0
    return {"CASE": 1, "END": -1}.get(words[-1], 0)


def end_of_comment(text: str, start: int) -> int:
    """Return where a comment ends that may have others inside."""
    depth = 0
    for edge in _COMMENT_EDGE.finditer(text, start):
        depth += 1 if edge.group() == "/*" else -1
        if not depth:
            return edge.end()
    return len(text)


def _line(text: str, position: int) -> int:
    return text.count("\n", 0, position) + 1


def _explain(error: psycopg2.Error, path: str | Path, text: str, start: int | None) -> str:
    """Return the file, the line and PostgreSQL's words, with its detail and its hint."""
    diag = error.diag
    where = str(path)
    if start is not None:
        if diag.statement_position:
            start += int(diag.statement_position) - 1
        where += f", line {_line(text, start)}"
    said = diag.message_primary or str(error).strip()
    more = [part for part in (diag.message_detail, diag.message_hint, diag.context) if part]
    return "\n  ".join([f"{where}: {said}", *more])
