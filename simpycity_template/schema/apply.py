"""Applies the files of a schema: all of them or none, in one process at a time.

Everything that can be is in one transaction. A migration that PostgreSQL runs only outside of one
comes alone: what stands before it is committed, it is run by itself, and then the rest.
"""

import logging
import sys
from contextlib import closing
from typing import TYPE_CHECKING, Any

import psycopg2
from psycopg2 import errors

from simpycity_template.schema import history
from simpycity_template.schema.concurrent_index import ConcurrentIndex
from simpycity_template.schema.files import Files
from simpycity_template.schema.lock import LOCK, one_at_a_time
from simpycity_template.schema.lock_watch import naming_lock_holders
from simpycity_template.schema.overloads import left_behind
from simpycity_template.schema.script import SchemaError, Script, in_words

if TYPE_CHECKING:
    from simpycity_template.manager import Manager

NOTICES_DEAD_CLIENTS = 140000
"""The version of PostgreSQL that can look whether a client is there still, as it waits for it."""

log = logging.getLogger("simpycity_template")


class Run:
    """One run that applies the files of a schema to the database of a manager."""

    def __init__(self, manager: "Manager", files: Files) -> None:
        self._manager = manager
        self._files = files
        self._began: Any = None
        self._search_path = ""
        self._lock_timeout = lock_timeout(manager)
        self._connection: Any = None

    def apply(self) -> None:
        """Apply what is new.

        Raises:
            SchemaError: a file cannot be applied; nothing of it was, nor of those after it.
        """
        self._connection = connection_of(self._manager)
        # The scripts may change settings of the session, so nobody else gets it.
        with closing(self._connection):
            cursor = self._connection.cursor()
            cursor.execute("SELECT clock_timestamp(), current_setting('search_path')")
            self._began, self._search_path = cursor.fetchone()
            self._connection.rollback()
            while alone := one_at_a_time(self._transaction, cursor):
                self._run_alone(alone[0])

    def _transaction(self) -> list[Script] | None:
        """Apply as much as one transaction can.

        Returns:
            the migration that has to be run by itself, if there is one; None where another process
            has the lock.
        """
        script: Script | None = None
        try:
            with (
                naming_lock_holders(self._manager, self._connection, self._lock_timeout),
                self._manager.transaction(),
            ):
                cursor = self._connection.cursor()
                # Another one sees, after the lock, only what was there when its transaction began.
                cursor.execute("SET TRANSACTION ISOLATION LEVEL READ COMMITTED")
                cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [LOCK])
                if not cursor.fetchone()[0]:
                    return None
                self._prepare(cursor)
                known = history.read(cursor)
                for script in self._files.pending(known):
                    if script.name in known or not self._applied(cursor, script):
                        return [script]
                self._apply_functions(cursor, known.get("schema.sql"))
        except psycopg2.Error as error:
            # A COMMIT that failed, of which no file is to blame.
            raise SchemaError(f"{self._files.folder.parent}: {in_words(error)}") from error
        return []

    def _applied(self, cursor: Any, script: Script) -> bool:
        """Apply a migration; False where PostgreSQL runs it only outside of a transaction."""
        cursor.execute("SAVEPOINT migration")
        history.write(cursor, script, applied=True)
        try:
            script.run(cursor)
        except SchemaError as error:
            if not isinstance(error.__cause__, errors.ActiveSqlTransaction):
                raise
            if len(script.places) > 1:
                raise SchemaError(
                    f"{error}\n  Such a statement is alone in its migration: it cannot be taken "
                    "back where another one of the file fails"
                ) from error.__cause__
            cursor.execute("ROLLBACK TO SAVEPOINT migration")
            return False
        self._prepare(cursor)
        cursor.execute("RELEASE SAVEPOINT migration")
        log.info("applied %s", script.path)
        return True

    def _apply_functions(self, cursor: Any, entry: history.Entry | None) -> None:
        script = self._files.functions
        if script is None:
            return
        if (
            entry is not None
            and entry.applied
            and entry.applied > self._began
            and entry.checksum == script.checksum
        ):
            log.info("another process has just applied %s", script.path)
            return
        history.write(cursor, script, applied=True)
        script.run(cursor)
        self._prepare(cursor)
        if found := left_behind(cursor):
            raise SchemaError("\n".join([f"{script.path}: {found[0]}", *found[1:]]))
        log.info("applied %s", script.path)

    def _prepare(self, cursor: Any) -> None:
        """Set what a script may have changed, as one that pg_dump wrote does."""
        cursor.execute(
            "SELECT set_config('search_path', %s, false)",
            [self._search_path],
        )
        limit_waits(cursor, self._lock_timeout)

    def _run_alone(self, script: Script) -> None:
        log.info("%s cannot run in a transaction; it is run by itself", script.path)
        handle = self._manager.open(isolation_level=0)
        # With it goes the lock, whatever happens.
        with closing(handle.conn) as connection:
            cursor = connection.cursor()
            self._prepare(cursor)
            one_at_a_time(lambda: self._locked(cursor), cursor)
            entry = history.read(cursor).get(script.name)
            if entry is None or not entry.applied:
                with naming_lock_holders(self._manager, connection, self._lock_timeout):
                    self._run_under_lock(cursor, script, interrupted=entry is not None)

    def _locked(self, cursor: Any) -> bool | None:
        cursor.execute("SELECT pg_try_advisory_lock(%s)", [LOCK])
        return cursor.fetchone()[0] or None

    def _run_under_lock(self, cursor: Any, script: Script, *, interrupted: bool) -> None:
        ((start, end),) = script.places
        index = ConcurrentIndex.of(script.text[start:end])
        if index is not None and index.name is None:
            raise SchemaError(
                f"{script.path}: give the index a name, so that it is found again where its "
                "creation was interrupted"
            )
        history.write(cursor, script, applied=False)
        try:
            if index is not None:
                index.drop_invalid(cursor)
            if index is None or not interrupted or not index.is_valid(cursor):
                script.run(cursor)
        except BaseException:
            if not cursor.connection.closed:
                if index is not None:
                    index.drop_invalid(cursor)
                history.forget(cursor, script)
            raise
        history.write(cursor, script, applied=True)
        log.info("applied %s", script.path)


def limit_waits(cursor: Any, seconds: float) -> None:
    """Let the session wait for no lock longer than this, and for none where this process is gone."""
    cursor.execute("SELECT set_config('lock_timeout', %s, false)", [f"{seconds * 1000:.0f}"])
    if cursor.connection.server_version >= NOTICES_DEAD_CLIENTS and sys.platform != "win32":
        # Where this process is killed, nothing of it waits in the server for a lock.
        cursor.execute("SET client_connection_check_interval = 1000")


def lock_timeout(manager: "Manager") -> float:
    """The seconds for which the schema of a manager waits for a lock; 0 is for ever."""
    return manager.settings.schema_lock_timeout if manager.settings else 0.0


def connection_of(manager: "Manager") -> Any:
    """The connection of the manager's current scope, as psycopg2 knows it.

    Raises:
        SchemaError: the database cannot be reached.
    """
    try:
        return manager.handle().conn
    except (psycopg2.Error, RuntimeError) as error:
        # RuntimeError: there is no embedded server, or no setting that says where it is.
        raise SchemaError(
            f"manager {manager.name!r} has no connection to its database: {str(error).strip()}"
        ) from error
