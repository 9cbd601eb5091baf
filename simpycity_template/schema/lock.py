"""The lock under which a schema is applied: one process at a time for each database."""

import logging
from collections.abc import Callable
from time import monotonic, sleep
from typing import Any, TypeVar

log = logging.getLogger("simpycity_template")

T = TypeVar("T")

LOCK = 0x51_3C_17_59
"""The advisory lock; any number will do that no one else takes."""

INTERVAL = 0.1
"""Seconds between two tries."""

SILENT = 1.0
"""Seconds of waiting after which it is logged for whom."""

_HOLDER = """
    SELECT activity.pid, activity.usename, coalesce(host(activity.client_addr), 'this machine'),
           extract(epoch FROM clock_timestamp() - activity.backend_start)::int
      FROM pg_locks JOIN pg_stat_activity AS activity USING (pid)
     WHERE locktype = 'advisory' AND classid = 0 AND objid = %s AND objsubid = 1 AND granted
       AND pg_locks.database = (SELECT oid FROM pg_database WHERE datname = current_database())
"""


def one_at_a_time(attempt: Callable[[], T | None], cursor: Any) -> T:
    """Try again and again until another process has let the lock go, and return what was done.

    It is tried, and not waited for: CREATE INDEX CONCURRENTLY waits for every statement that runs,
    and so for one that waits for the lock, which is held until the index is made.

    Arguments:
        attempt: tries to take the lock, and returns None where another process has it.
        cursor: of an autocommit connection or of one without a transaction, to ask who has it.
    """
    began, told = monotonic(), False
    while (done := attempt()) is None:
        if not told and monotonic() - began > SILENT:
            told = True
            log.warning("another process applies the schema; waiting for it: %s", _holder(cursor))
        sleep(INTERVAL)
    return done


def _holder(cursor: Any) -> str:
    cursor.execute(_HOLDER, [LOCK])
    found = cursor.fetchone()
    # psycopg2 has begun a transaction for it, and an open one would keep that process waiting.
    if not cursor.connection.autocommit:
        cursor.connection.rollback()
    if found is None:
        return "it is just ending"
    pid, user, client, age = found
    return f"session {pid} of role {user} on {client}, connected {age} s ago"
