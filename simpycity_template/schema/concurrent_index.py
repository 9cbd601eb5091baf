"""What CREATE INDEX CONCURRENTLY leaves behind where it fails or is interrupted.

It cannot run in a transaction, so PostgreSQL cannot take it back: an index stays that costs time
at each INSERT and answers no query.
"""

import re
from typing import Any

_INDEX = re.compile(
    r"""
    CREATE \s+ (?: UNIQUE \s+ )? INDEX \s+ CONCURRENTLY \s+
    (?: IF \s+ NOT \s+ EXISTS \s+ )?
    (?: (?P<name> "(?:[^"]|"")+" | (?!ON\b) [^\W\d][\w$]* ) \s+ )?
    ON \s+ (?: ONLY \s+ )?
    (?P<table> (?: "(?:[^"]|"")+" | [\w$]+ ) (?: \s* \. \s* (?: "(?:[^"]|"")+" | [\w$]+ ) )? )
    """,
    re.VERBOSE | re.IGNORECASE,
)


class ConcurrentIndex:
    """The index that a statement makes.

    Attributes:
        name: its name; None where PostgreSQL is to choose one.
    """

    def __init__(self, name: str | None, table: str) -> None:
        self.name = name
        self._table = table

    @classmethod
    def of(cls, statement: str) -> "ConcurrentIndex | None":
        """The index that ``statement`` makes; None where it is another statement."""
        found = _INDEX.match(statement)
        return cls(found["name"], found["table"]) if found else None

    def is_valid(self, cursor: Any) -> bool | None:
        """Whether it is complete; None where there is no index of this name."""
        cursor.execute(
            "SELECT index.indisvalid"
            " FROM pg_class AS name JOIN pg_index AS index ON index.indexrelid = name.oid"
            " WHERE index.indrelid = to_regclass(%s) AND name.relname = (parse_ident(%s))[1]",
            [self._table, self.name],
        )
        found = cursor.fetchone()
        return found[0] if found else None

    def drop_invalid(self, cursor: Any) -> None:
        """Drop what is there of it, if it is not complete."""
        if self.is_valid(cursor) is False:
            schema, dot, _ = self._table.rpartition(".")
            cursor.execute(f"DROP INDEX CONCURRENTLY {schema}{dot}{self.name}")
