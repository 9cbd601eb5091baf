"""Knows who keeps a session waiting for a lock, also when its wait has ended.

PostgreSQL's error says that a lock was not to be had in time, and not who has it. When the error
is there nobody waits any more, so it is asked meanwhile, from another session.
"""

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import psycopg2
from psycopg2 import errors

from simpycity_template.monitoring import pg_sessions
from simpycity_template.schema.script import SchemaError

if TYPE_CHECKING:
    from simpycity_template.manager import Manager

log = logging.getLogger("simpycity_template")

INTERVAL = 1.0
"""Seconds between two questions, where the timeout is not short."""


class LockWatch:
    """A block in which a thread asks now and then who keeps a session waiting.

    Attributes:
        found: who did so at the last wait of which it knows, each in a sentence of its own. It stays when
            that has ended: the error of a wait comes later than the end.
    """

    def __init__(self, manager: "Manager", pid: int, timeout: float) -> None:
        """
        Arguments:
            manager: of the database.
            pid: the server's process that is watched.
            timeout: seconds for which the session waits for a lock; 0 is for ever.
        """
        self.found: list[str] = []
        self._manager = manager
        self._pid = pid
        self._interval = min(INTERVAL, timeout / 4) if timeout else INTERVAL
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="simpycity lock watch", daemon=True)

    def __enter__(self) -> "LockWatch":
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._stopped.set()
        self._thread.join()

    def _run(self) -> None:
        link: Any = None
        now: list[str] = []
        while not self._stopped.wait(self._interval):
            try:
                link = link or pg_sessions.connect(self._manager.dsn())
                before, now = now, pg_sessions.blockers(link, self._pid)
            except (psycopg2.Error, RuntimeError) as error:
                log.warning("who holds the lock cannot be found out: %s", str(error).strip())
                break
            self.found = now or self.found
            for blocker in now if not before else ():
                log.warning("waiting for a lock; it is held by %s", blocker)
        if link is not None:
            link.close()


@contextmanager
def naming_lock_holders(manager: "Manager", connection: Any, timeout: float) -> Iterator[None]:
    """A block whose error names who holds a lock that was not to be had in time.

    Arguments:
        manager: of the database.
        connection: that waits for locks in the block.
        timeout: seconds for which it does so; 0 is for ever.

    Raises:
        SchemaError: one of the block, with those who hold the lock where it is about one.
    """
    with LockWatch(manager, connection.get_backend_pid(), timeout) as watch:
        try:
            yield
        except SchemaError as error:
            if not isinstance(error.__cause__, errors.LockNotAvailable):
                raise
            who = "\n  ".join(watch.found) or "nobody any more"
            raise SchemaError(
                f"{error} (simpycity.schema_lock_timeout = {timeout:g} s).\n"
                f"The lock is held by\n  {who}\n"
                "End that session's work, and run this again."
            ) from error.__cause__
