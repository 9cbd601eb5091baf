"""The schema of an application, as files of SQL, and what is in the database.

``Schema(manager, folder)`` has numbered migrations and the functions; ``apply(manager, path)``
applies one file.
"""

from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg2

from simpycity_template.process.interrupt import terminable
from simpycity_template.pylons_py3 import hints
from simpycity_template.schema import history
from simpycity_template.schema.apply import Run, connection_of, limit_waits, lock_timeout
from simpycity_template.schema.compare import Comparison, compare
from simpycity_template.schema.development import hint, is_reloaded, restart_on_change
from simpycity_template.schema.files import Files
from simpycity_template.schema.lock import LOCK, one_at_a_time
from simpycity_template.schema.lock_watch import naming_lock_holders
from simpycity_template.schema.script import SchemaError, Script, in_words

if TYPE_CHECKING:
    from simpycity_template.manager import Manager

__all__ = ["Comparison", "Schema", "SchemaError", "apply", "schemas"]

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
        hints.add(_hint)
        restart_on_change(self)

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

    def apply_if_reloaded(self) -> None:
        """``apply()`` where ``paster serve --reload`` runs, if ``simpycity.apply_schema`` is true.

        Raises:
            SchemaError: as ``apply()``.
        """
        settings = self.manager.settings
        if settings is not None and settings.apply_schema and is_reloaded():
            self.apply()

    def plan(self) -> "Plan":
        """What ``apply()`` would do. Nothing is changed.

        Raises:
            SchemaError: it would refuse the files.
            psycopg2.Error: the database cannot be reached.
        """
        files = Files.read(self.folder)
        with self.manager.scope(f"schema {self.folder}"):
            known = history.read(self.manager.handle().conn.cursor())
        return Plan(files, known, files.pending(known))

    def compare(self) -> Comparison:
        """Compare the database with one that the files make, which is dropped again.

        Raises:
            SchemaError: the files cannot be applied to an empty database.
            psycopg2.Error: the database cannot be reached.
        """
        with terminable():
            return compare(self.manager, Files.read(self.folder))


@dataclass(frozen=True)
class Plan:
    """What ``Schema.apply()`` would do.

    Arguments:
        files: of the schema.
        history: what was applied, by the names of the files.
        new: the migrations that would be applied.
    """

    files: Files
    history: dict[str, history.Entry]
    new: list[Script]

    @property
    def is_new(self) -> bool:
        """Whether there is a new migration, or a new or changed ``schema.sql``."""
        script = self.files.functions
        entry = self.history.get(script.name) if script else None
        changed = script is not None and (entry is None or entry.checksum != script.checksum)
        return bool(self.new) or changed

    @property
    def applied(self) -> list[Script]:
        """The migrations that were applied."""
        return [script for script in self.files.migrations if script not in self.new]

    @property
    def functions(self) -> Script | None:
        """``schema.sql``, which would be run in any case."""
        return self.files.functions

    @property
    def state_of_functions(self) -> str:
        """Whether ``schema.sql`` is as it was run last."""
        script = self.files.functions
        entry = self.history.get(script.name) if script else None
        if script is None or entry is None:
            return "new"
        return f"applied {entry.when}" if entry.checksum == script.checksum else "changed"


def _hint(error: BaseException, ini: str) -> str | None:
    """What the debugger says of an error where the database is behind its files."""
    return hint(error, list(schemas().values()), ini)


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
        SchemaError: the file cannot be read, the database cannot be reached, PostgreSQL does not
            take the file, or a lock was not to be had in ``schema_lock_timeout`` seconds; nothing is
            changed.
    """
    script = Script.read(path)
    timeout = lock_timeout(manager)
    with terminable(), manager.scope(f"schema {path}"):
        connection = connection_of(manager)
        # The file may change settings of the session, so nobody else gets it.
        with closing(connection):
            cursor = connection.cursor()

            def attempt() -> bool | None:
                with naming_lock_holders(manager, connection, timeout), manager.transaction():
                    cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [LOCK])
                    if not cursor.fetchone()[0]:
                        return None
                    limit_waits(cursor, timeout)
                    script.run(cursor)
                return True

            try:
                one_at_a_time(attempt, cursor)
            except psycopg2.Error as error:
                # What fails here is the COMMIT, of which no line is to blame.
                raise SchemaError(f"{path}: {in_words(error)}") from error
