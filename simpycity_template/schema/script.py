"""One file of SQL: read, and run statement by statement, so that an error has its line."""

import re
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import Any

import psycopg2

from simpycity_template.driver.sql_text import statements

_TRANSACTION_CONTROL = {"ABORT", "BEGIN", "COMMIT", "END", "ROLLBACK", "START"}


class SchemaError(Exception):
    """A file of SQL could not be applied, and nothing of it was; the message says where and why.

    Attributes:
        is_sentence: `paster` prints the message, and no traceback.
    """

    is_sentence = True


@dataclass(frozen=True)
class Script:
    """A file of SQL.

    Arguments:
        path: where it is.
        text: what is in it.
    """

    path: Path
    text: str

    @classmethod
    def read(cls, path: str | Path) -> "Script":
        """Read a file.

        Arguments:
            path: the file, in UTF-8.

        Raises:
            SchemaError: it is not there, is not UTF-8, or would end the transaction that it is
                run in.
        """
        try:
            script = cls(Path(path), Path(path).read_text(encoding="utf-8-sig"))
        except OSError as error:
            raise SchemaError(f"{path}: {error.strerror}") from error
        except UnicodeDecodeError as error:
            line = error.object.count(b"\n", 0, error.start) + 1
            raise SchemaError(
                f"{path}, line {line}: this is not UTF-8; save the file as UTF-8"
            ) from error
        script._refuse_transaction_control()
        return script

    @property
    def name(self) -> str:
        """The name of the file, without its folder."""
        return self.path.name

    @cached_property
    def checksum(self) -> str:
        """The SHA-256 of the text; how a line ends makes no difference."""
        return sha256(self.text.encode()).hexdigest()

    @cached_property
    def places(self) -> list[tuple[int, int]]:
        """Where each statement starts and ends."""
        return list(statements(self.text))

    def run(self, cursor: Any) -> None:
        """Execute each statement.

        Arguments:
            cursor: psycopg2's own; with another, what goes along with a statement would move the
                places of errors.

        Raises:
            SchemaError: PostgreSQL refused one. Psycopg2's error is its cause.
        """
        for start, end in self.places:
            try:
                cursor.execute(self.text[start:end])
            except psycopg2.Error as error:
                raise SchemaError(self.explain(error, start)) from error
            except UnicodeEncodeError as error:
                line = line_of(self.text, start + error.start)
                raise SchemaError(
                    f"{self.path}, line {line}: {error.object[error.start]!r} is not in the "
                    "encoding of the database, or else of the DSN; make the database with "
                    "ENCODING 'UTF8'"
                ) from error

    def explain(self, error: psycopg2.Error, start: int | None = None) -> str:
        """Return the file, the line and PostgreSQL's words, with its detail and its hint.

        Arguments:
            error: what PostgreSQL said.
            start: where the statement starts; None where no statement is to blame.
        """
        where = str(self.path)
        if start is not None:
            if error.diag.statement_position:
                start += int(error.diag.statement_position) - 1
            where += f", line {line_of(self.text, start)}"
        return f"{where}: {in_words(error)}"

    def _refuse_transaction_control(self) -> None:
        for start, end in self.places:
            statement = self.text[start:end]
            if re.split(r"\W", statement.upper())[0] in _TRANSACTION_CONTROL:
                raise SchemaError(
                    f"{self.path}, line {line_of(self.text, start)}: {statement}: the file is run "
                    "in one transaction of its own; take this line out"
                )


def line_of(text: str, position: int) -> int:
    """Return the line of a position in a text, from 1."""
    return text.count("\n", 0, position) + 1


def in_words(error: psycopg2.Error) -> str:
    """What PostgreSQL said, with its detail, its hint and its context, each on a line."""
    diag = error.diag
    said = diag.message_primary or str(error).strip()
    more = [part for part in (diag.message_detail, diag.message_hint, diag.context) if part]
    return "\n  ".join([said, *more])
