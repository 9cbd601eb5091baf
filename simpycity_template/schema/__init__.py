"""The schema of an application, as files of SQL, and what is in the database.

``Schema(manager, folder)`` has numbered migrations and the functions; ``apply(manager, path)``
applies one file.
"""

from pathlib import Path
from typing import TYPE_CHECKING

import psycopg2

from simpycity_template.process.interrupt import terminable
from simpycity_template.schema.apply import Run, connection_of
from simpycity_template.schema.files import Files
from simpycity_template.schema.lock import LOCK
from simpycity_template.schema.script import SchemaError, Script, in_words

if TYPE_CHECKING:
    from simpycity_template.manager import Manager

__all__ = ["Schema", "SchemaError", "apply", "schemas"]

# By the names of the managers: what is imported again says it again.
_schemas: dict[str, "Schema"] = {}


class Schema:
    """The schema of an application: its migrations, which change tables, and its functions.

    Attributes:
        manager: whose database it is in.
        folder: where ``migrations/`` and ``schema.sql`` are.
    """

    def __init__(self, manager: "Manager", folder: str | Path) -> None:
        """
        Arguments:
            manager: whose database it is in.
            folder: has ``migrations/``, whose files are named as ``0001_notes.sql`` and are applied
                once each, and ``schema.sql``, which is applied after them, each time. Either may
                be missing.
        """
        self.manager = manager
        self.folder = Path(folder)
        _schemas[manager.name] = self

    def apply(self) -> None:
        """Apply the migrations that are new, and then ``schema.sql``, in one transaction.

        Processes that do it at the same time do it one after the other, and those that find
        nothing new do nothing. A migration that cannot run in a transaction is run by itself,
        between what stands before it and what comes after.

        Raises:
            SchemaError: a file cannot be read or applied, was changed after it was applied, or is
                missing, or the database cannot be reached. Nothing is changed, but for what stands
                before a migration that cannot run in a transaction.
        """
        files = Files.read(self.folder)
        with terminable(), self.manager.scope(f"schema {self.folder}"):
            Run(self.manager, files).apply()


def schemas() -> dict[str, Schema]:
    """The schemas of this process, by the names of their managers."""
    return dict(_schemas)


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
    script = Script.read(path)
    with manager.scope(f"schema {path}"):
        connection = connection_of(manager)
        try:
            with manager.transaction():
                cursor = connection.cursor()
                cursor.execute("SELECT pg_advisory_xact_lock(%s)", [LOCK])
                script.run(cursor)
        except psycopg2.Error as error:
            # What fails here is the COMMIT, of which no line is to blame.
            raise SchemaError(f"{path}: {in_words(error)}") from error
