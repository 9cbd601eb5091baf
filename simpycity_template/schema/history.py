"""The table in which a database keeps which files were applied to it."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from simpycity_template.schema.script import Script

TABLE = "simpycity_migration"

_CREATE = f"""
    CREATE TABLE {TABLE} (
        name text PRIMARY KEY,
        checksum text NOT NULL,
        begun timestamptz NOT NULL DEFAULT clock_timestamp(),
        applied timestamptz
    )
"""


@dataclass(frozen=True)
class Entry:
    """What the database knows of a file.

    Arguments:
        checksum: the file's, when it was applied.
        begun: when it was begun to be applied.
        applied: when it was; None where that was interrupted, outside a transaction.
    """

    checksum: str
    begun: datetime
    applied: datetime | None

    @property
    def when(self) -> str:
        """The day and time, for people."""
        return f"{self.applied or self.begun:%Y-%m-%d %H:%M}"


def read(cursor: Any) -> dict[str, Entry]:
    """Return what was applied, by the names of the files; nothing where there is no table yet."""
    if not _exists(cursor):
        return {}
    cursor.execute(f"SELECT name, checksum, begun, applied FROM {TABLE}")
    return {name: Entry(*rest) for name, *rest in cursor.fetchall()}


def write(cursor: Any, script: Script, *, applied: bool) -> None:
    """Note that a file was begun, or was applied.

    Arguments:
        cursor: of the transaction that applies it, if one does.
        script: the file.
        applied: whether it is done.
    """
    if not _exists(cursor):
        cursor.execute(_CREATE)
    cursor.execute(
        f"INSERT INTO {TABLE} AS entry (name, checksum, applied)"
        " VALUES (%(name)s, %(checksum)s, CASE WHEN %(applied)s THEN clock_timestamp() END)"
        " ON CONFLICT (name) DO UPDATE SET checksum = excluded.checksum, applied = excluded.applied",
        {"name": script.name, "checksum": script.checksum, "applied": applied},
    )


def forget(cursor: Any, script: Script) -> None:
    """Take back that a file was begun."""
    cursor.execute(f"DELETE FROM {TABLE} WHERE name = %s AND applied IS NULL", [script.name])


def _exists(cursor: Any) -> bool:
    cursor.execute("SELECT to_regclass(%s)", [TABLE])
    return cursor.fetchone()[0] is not None
