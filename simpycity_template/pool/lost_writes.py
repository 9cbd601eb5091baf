"""Logs a scope that ends by ROLLBACK although its statements changed rows: a forgotten commit.

PostgreSQL itself is asked, because a SELECT that calls a function can change rows too. The question
goes along with the ROLLBACK in one message, and its answer comes back as a message of the level INFO,
which a session cannot switch off. An open transaction alone is asked about; one that has committed or
rolled back is not.

Where the work was answered with an error, such as the page of a 404, or failed as a task, somebody
has raised, and nothing is logged. That may be known only after the ROLLBACK: see ``Outcome``.
"""

import json
import logging
import secrets
import sys
from contextlib import suppress
from weakref import WeakKeyDictionary

import psycopg2

from simpycity_template.driver.connection import Connection
from simpycity_template.driver.state import IDLE, IN_TRANSACTION
from simpycity_template.pool.call_site import Line, application_line, described, from_here
from simpycity_template.pool.owner import Owner, scope_named

log = logging.getLogger("simpycity_template")

# PostgreSQL's counts may still have what the session did in the transactions of the last second, unless
# those have flushed it, which is possible since version 15.
FLUSH = "SELECT pg_catalog.pg_stat_force_next_flush()"
FLUSHES = 150000

# No message of the application can begin so, with a visitor's text or without.
_MARK = f"simpycity_template {secrets.token_hex(8)} changed "

# So only tables count that this transaction has locked for writing, and one that has written nothing,
# and so has no number yet, is not asked further.
_COUNT = f"""DO $$
DECLARE changed json;
BEGIN
    IF pg_catalog.txid_current_if_assigned() IS NULL THEN
        RETURN;
    END IF;
    SELECT pg_catalog.json_object_agg(
        s.relid::pg_catalog.regclass, s.n_tup_ins + s.n_tup_upd + s.n_tup_del
    ) INTO changed
    FROM pg_catalog.pg_stat_xact_user_tables AS s JOIN pg_catalog.pg_class AS c ON c.oid = s.relid
    WHERE s.n_tup_ins + s.n_tup_upd + s.n_tup_del > 0 AND c.relpersistence <> 't' AND EXISTS (
        SELECT FROM pg_catalog.pg_locks AS l
        WHERE l.pid = pg_catalog.pg_backend_pid() AND l.relation = s.relid
        AND l.mode = 'RowExclusiveLock'
    );
    IF changed IS NOT NULL THEN
        RAISE INFO '{_MARK}%', changed;
    END IF;
END $$"""

LINES_SHOWN = 5


class Outcome:
    """How a unit of work ended, where that is known later than what it has lost."""

    def __init__(self) -> None:
        self._failed: bool | None = None
        self._held: list[str] = []

    def known(self, failed: bool) -> None:
        """Log what was lost, now and from now on, or where the work ``failed`` nothing of it.

        What has failed once has failed for good.
        """
        self._failed = failed or self._failed is True
        held, self._held = self._held, []
        for sentence in held:
            self.log(sentence)

    def log(self, sentence: str) -> None:
        """Log a sentence, as soon as it is known that the work did not fail."""
        if self._failed is None:
            self._held.append(sentence)
        elif not self._failed:
            log.warning("%s", sentence)


class LostWrites:
    """What the log says of the transactions of a manager."""

    def __init__(self) -> None:
        # The code lines of the statements of each open transaction, in order.
        self._lines: WeakKeyDictionary[Connection, dict[Line, None]] = WeakKeyDictionary()

    def note(self, connection: Connection) -> None:
        """Remember the code line of a statement that is about to be sent."""
        if connection.get_transaction_status() == IDLE:
            self._lines.pop(connection, None)
        self._lines.setdefault(connection, {})[application_line(sys._getframe(1))] = None

    def look(self, owner: Owner, connection: Connection) -> None:
        """Log what a scope has changed in a transaction that is about to be rolled back.

        Raises:
            BaseException: what interrupts it, such as Ctrl-C; no error of the database.
        """
        lines = self._lines.pop(connection, {})
        if connection.get_transaction_status() != IN_TRANSACTION or _is_raising():
            return
        # What psycopg2 itself has begun it has to end itself: one round trip more.
        end = "ROLLBACK" if connection.autocommit else ""
        with suppress(psycopg2.Error), connection.lock:
            if connection.owner is not None:
                # Another thread has given it back already, and this is the work of the next owner.
                return
            connection.run(f"{_COUNT};\n{flushing(connection, end)}")
        for notice in reversed(connection.notices):
            _, _, changed = notice.partition(_MARK)
            if changed:
                sentence = _sentence(owner, json.loads(changed), lines)
                if owner.outcome is None:
                    log.warning("%s", sentence)
                else:
                    owner.outcome.log(sentence)
                break


def flushing(connection: Connection, end: str) -> str:
    """The end of a transaction, COMMIT or ROLLBACK, after which the counts begin anew."""
    return f"{FLUSH}; {end}" if connection.server_version >= FLUSHES else end


def _is_raising() -> bool:
    """Whether the scope ends by an exception; StopIteration is the end of a stream."""
    raised = sys.exc_info()[0]
    return raised is not None and raised is not StopIteration


def _sentence(owner: Owner, changed: dict[str, int], lines: dict[Line, None]) -> str:
    rows = ", ".join(
        f"{number} row{'s' * (number != 1)} of {table}" for table, number in sorted(changed.items())
    )
    places = [from_here(described(line)) for line in lines] or [from_here(owner.place)]
    if len(places) > LINES_SHOWN:
        places[LINES_SHOWN:] = [f"{len(places) - LINES_SHOWN} more"]
    return (
        f"{scope_named(owner.label, owner.thread)} changed {rows} and was rolled back, because "
        f"nobody called commit(): its statements are at {', '.join(places)} (call rollback() where "
        "nothing is to be kept)"
    )
