"""What happens to connections can be listened to and counted, and neither breaks anything."""

import ctypes
import gc
import io
import logging
import os
import signal
import sys
import threading
from time import monotonic, sleep

import psycopg2
import pytest
from psycopg2.sql import SQL, Identifier
from simpycity.core import Raw
from support import PATIENCE, end_session, in_use, until

from simpycity_template import PoolTimeout
from simpycity_template.pool.events import EVENTS, HOLD_BUCKETS
from simpycity_template.testing import rolled_back

one = Raw("SELECT 1 AS one")


def recorded(manager, *names):
    """The events of these names, as they come."""
    heard = []
    for name in names:
        manager.listen(name, heard.append)
    return heard


def lose(manager, witness):
    """End the session of the scope's connection on the server."""
    end_session(witness, manager.handle().conn.get_backend_pid())


def test_a_request_tells_connect_checkout_and_checkin_with_its_holder(manager):
    heard = recorded(manager, *(name for name in EVENTS if name not in ("begin", "statement")))
    with manager.scope("GET /notes/7"):
        one()
        sleep(0.01)
    assert [event.name for event in heard] == ["connect", "checkout", "checkin"]
    assert {event.holder.label for event in heard} == {"GET /notes/7"}
    assert heard[2].holder.last_sql == "SELECT 1 AS one"
    assert "test_events.py" in heard[2].holder.place
    assert heard[2].seconds >= 0.01
    assert heard[2].connection is None

    heard.clear()
    with manager.scope("GET /notes/8"):
        one()
    assert [event.name for event in heard] == ["checkout", "checkin"]


def test_what_a_listener_commits_at_connect_lasts_and_the_rest_is_rolled_back(manager):
    def prepare(event):
        with event.connection.cursor() as cursor:
            cursor.execute("SET search_path TO wiki, public")
            event.connection.commit()
            cursor.execute("SET search_path TO nowhere")

    manager.listen("connect", prepare)
    for _ in range(2):
        assert Raw("SHOW search_path")().fetchone()[0] == "wiki, public"
        manager.cleanup()


def test_so_does_what_it_commits_with_a_statement(manager):
    def prepare(event):
        event.execute("SET search_path TO wiki, public")
        event.execute("COMMIT")

    manager.listen("connect", prepare)
    assert Raw("SHOW search_path")().fetchone()[0] == "wiki, public"


def test_what_a_listener_does_at_checkout_belongs_to_the_transaction(manager):
    def tell_who(event):
        with event.connection.cursor() as cursor:
            cursor.execute("SELECT set_config('wiki.who', %s, true)", [event.holder.label])

    manager.listen("checkout", tell_who)
    who = Raw("SELECT current_setting('wiki.who', true)")
    with manager.scope("GET /"):
        assert who().fetchone()[0] == "GET /"
    manager.unlisten("checkout", tell_who)
    with manager.scope("GET /"):
        assert not who().fetchone()[0]


@pytest.mark.parametrize("level", ["autocommit", "read committed", "serializable"])
def test_what_a_listener_does_at_checkout_belongs_to_a_transaction_with_its_own_level(
    manager, level
):
    levels = []

    def tell_who(event):
        with event.connection.cursor() as cursor:
            cursor.execute("SELECT set_config('wiki.who', 'alice', %s)", [level != "autocommit"])
            cursor.execute("SHOW transaction_isolation")
            levels.append(cursor.fetchone()[0])

    manager.listen("checkout", tell_who)
    handle = manager.open(level)
    cursor = handle.cursor()
    cursor.execute("SELECT current_setting('wiki.who'), current_setting('transaction_isolation')")
    assert cursor.fetchone() == ["alice", *levels]
    assert levels == ["read committed" if level == "autocommit" else level]
    manager.unlisten("checkout", tell_who)
    handle.close()
    assert Raw("SHOW transaction_isolation")().fetchone()[0] == "read committed"
    assert not manager.handle().conn.autocommit


@pytest.mark.parametrize("level", ["read committed", "serializable"])
@pytest.mark.parametrize("event", ["connect", "checkout"])
def test_a_connection_whose_listener_is_interrupted_is_used_by_nobody(make_manager, event, level):
    manager = make_manager(pool_size=1, max_overflow=0)

    def interrupt(event):
        event.connection.autocommit = True
        with event.connection.cursor() as cursor:
            cursor.execute("SET search_path TO nowhere")
        raise KeyboardInterrupt

    manager.listen(event, interrupt)
    with pytest.raises(KeyboardInterrupt):
        manager.open(level)
    manager.unlisten(event, interrupt)
    assert manager.status() == []
    manager.cleanup()
    assert Raw("SHOW search_path")().fetchone()[0] == '"$user", public'
    assert Raw("SHOW transaction_isolation")().fetchone()[0] == "read committed"


@pytest.mark.parametrize("event", ["connect", "checkout", "checkin"])
def test_a_time_limit_that_arrives_while_a_listener_works_goes_on(manager, event):
    class TimeLimit(Exception):
        pass

    def limit(number, frame):
        raise TimeLimit

    before = signal.signal(signal.SIGTERM, limit)
    manager.listen(event, lambda event: signal.raise_signal(signal.SIGTERM))
    try:
        with pytest.raises(TimeLimit), manager.scope("task"):
            one()
    finally:
        signal.signal(signal.SIGTERM, before)
    assert in_use(manager) == []


@pytest.mark.parametrize("event", ["connect", "checkout", "checkin", "begin", "statement"])
def test_so_does_one_that_another_thread_throws_as_dramatiq_does(manager, event, caplog):
    class Interrupt(BaseException):
        pass

    def listener(event):
        thread = ctypes.c_ulong(threading.get_ident())
        ctypes.pythonapi.PyThreadState_SetAsyncExc(thread, ctypes.py_object(Interrupt))
        for _ in range(1000):
            pass

    manager.listen(event, listener)
    with pytest.raises(Interrupt), manager.scope("task"):
        one()
    assert in_use(manager) == []
    assert caplog.messages == []


def test_a_listener_that_fails_is_logged_and_stops_nothing(manager, caplog):
    heard = []

    def spoil(event):
        if event.connection:
            event.connection.cursor().execute("SELECT 1 / 0")
        raise RuntimeError("broken listener")

    for name in ("connect", "checkout", "checkin"):
        manager.listen(name, spoil)
        manager.listen(name, heard.append)
    with manager.scope("GET /"):
        assert one().fetchone()["one"] == 1
    assert [event.name for event in heard] == ["connect", "checkout", "checkin"]
    assert [record.levelname for record in caplog.records] == ["ERROR"] * 3
    assert manager.metrics().in_use == 0


def test_a_listener_may_ask_the_manager_also_when_the_garbage_collector_gives_back(make_manager):
    manager = make_manager(pool_size=1, max_overflow=1)
    manager.listen("checkin", lambda event: manager.metrics() and manager.status())

    class Knot:
        def __init__(self):
            self.myself = self
            self.handle = manager.open()

    gc.freeze()  # what is older is not looked at, which would take long
    try:
        for _ in range(50):
            Knot()
            # In the middle of the pool's own work, as any allocation could bring it about.
            with manager.current.pool._lock:
                gc.collect()
            manager.waiting()
    finally:
        gc.unfreeze()
    assert manager.metrics().in_use <= 2


def test_an_unknown_event_is_refused_with_the_one_that_was_meant(manager):
    with pytest.raises(ValueError, match="there is no event 'chekout': did you mean 'checkout'?"):
        manager.listen("chekout", print)
    with pytest.raises(ValueError, match="does not listen to 'checkin'"):
        manager.unlisten("checkin", print)


def test_a_wait_is_told_with_its_seconds_and_shown_while_it_lasts(make_manager):
    manager = make_manager(pool_size=1, max_overflow=0, pool_timeout=PATIENCE)
    heard = recorded(manager, "wait", "timeout")

    def patient():
        with manager.scope("patient"):
            one()

    one()
    thread = threading.Thread(target=patient)
    thread.start()
    until(lambda: manager.metrics().waiting == 1)
    assert [holder.label for holder in manager.waiting()] == ["patient"]
    sleep(0.05)
    manager.cleanup()
    thread.join(PATIENCE)
    assert [(event.name, event.holder.label) for event in heard] == [("wait", "patient")]
    assert heard[0].seconds >= 0.05
    assert manager.waiting() == []
    assert (manager.metrics().waits, manager.metrics().wait_seconds) == (1, heard[0].seconds)


def test_a_timeout_is_told_with_its_seconds(make_manager):
    manager = make_manager(pool_size=1, max_overflow=0, pool_timeout=0.1)
    heard = recorded(manager, "wait", "timeout")
    one()
    with manager.scope("impatient"), pytest.raises(PoolTimeout):
        one()
    assert [(event.name, event.holder.label) for event in heard] == [("timeout", "impatient")]
    assert heard[0].seconds >= 0.1
    assert manager.metrics().timeouts == 1


def test_a_holder_is_as_old_as_its_hold_not_as_its_wait(make_manager):
    manager = make_manager(pool_size=1, max_overflow=0, pool_timeout=PATIENCE)
    starts = []

    def patient():
        with manager.scope("patient"):
            one()
            (holder,) = manager.current.pool.owners()
            starts.append(holder.since)

    one()
    thread = threading.Thread(target=patient)
    thread.start()
    until(lambda: manager.waiting())
    released = monotonic()
    manager.cleanup()
    thread.join(PATIENCE)
    assert starts[0] >= released


def test_a_transaction_that_breaks_is_lost_and_one_that_had_not_begun_is_reconnected(
    manager, witness
):
    heard = recorded(manager, "lost", "reconnect")
    with manager.scope("unlucky"):
        one()
        lose(manager, witness)
        with pytest.raises(psycopg2.OperationalError):
            one()
    assert [(event.name, event.holder.label) for event in heard] == [("lost", "unlucky")]

    heard.clear()
    with manager.scope("lucky"):
        lose(manager, witness)
    with manager.scope("lucky"):
        one()
    manager.cleanup()
    assert "lost" not in [event.name for event in heard]
    assert manager.metrics().lost == 1


def test_a_transaction_is_lost_once_also_where_its_scope_goes_on(manager, witness):
    heard = recorded(manager, "lost", "checkin")
    with manager.scope("unlucky"):
        one()
        lose(manager, witness)
        with pytest.raises(psycopg2.OperationalError):
            one()
        manager.rollback()
        one()
        manager.commit()
    assert [event.name for event in heard] == ["lost", "checkin", "checkin"]
    broken, good = heard[1:]
    assert broken.seconds > 0 and good.seconds > 0
    assert manager.metrics().lost == 1


def test_an_idle_connection_that_broke_counts_as_reconnect(manager, witness):
    one()
    pid = manager.status()[0].backend_pid
    manager.cleanup()
    end_session(witness, pid)
    one()
    assert manager.metrics().reconnects == 1
    assert manager.metrics().connects == 2


def test_a_hold_warning_is_told(make_manager):
    manager = make_manager(hold_warning=0.05)
    heard = recorded(manager, "hold_warning")
    with manager.scope("slow"):
        one()
        until(lambda: heard)
    assert heard[0].holder.label == "slow" and heard[0].seconds >= 0.05
    assert manager.metrics().hold_warnings == 1


def test_metrics_are_the_connections_now_and_the_histogram_of_their_holds(make_manager):
    manager = make_manager(pool_size=1, max_overflow=2)
    assert (manager.metrics().in_use, manager.metrics().max_size) == (0, 3)
    with manager.scope("fast"):
        one()
    with manager.scope("slow"):
        one()
        sleep(0.11)
        with manager.scope("another"):
            one()
            metrics = manager.metrics()
            assert (metrics.in_use, metrics.idle, metrics.opening) == (2, 0, 0)
    metrics = manager.metrics()
    assert (metrics.in_use, metrics.idle, metrics.waiting, metrics.max_size) == (0, 1, 0, 3)
    assert (metrics.connects, metrics.checkouts, metrics.checkins) == (2, 3, 3)
    holds = metrics.hold_seconds
    assert [bound for bound, _ in holds.buckets] == [*HOLD_BUCKETS, float("inf")]
    assert holds.count == 3 and holds.sum >= 0.11
    up_to = dict(holds.buckets)
    assert up_to[0.1] <= 2 and up_to[300.0] == 3


def test_counts_are_exact_with_many_threads(make_manager):
    manager = make_manager(pool_size=4, max_overflow=0, pool_timeout=PATIENCE)
    # Four hold a connection at the same time, which is all that there may be.
    all_taken = threading.Barrier(4)

    def take():
        with manager.scope("first"):
            manager.handle().conn  # noqa: B018
            all_taken.wait(PATIENCE)

    def work():
        for _ in range(200):
            with manager.scope("busy"):
                manager.handle().conn  # noqa: B018

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        for target, number in ((take, 4), (work, 8)):
            threads = [threading.Thread(target=target) for _ in range(number)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join(PATIENCE)
    finally:
        sys.setswitchinterval(interval)
    metrics = manager.metrics()
    assert metrics.checkouts == metrics.checkins == metrics.hold_seconds.count == 4 + 8 * 200
    assert metrics.connects == 4


def test_a_child_process_counts_from_zero(manager):
    one()
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        os.write(writer, b"%d" % manager.metrics().checkouts)
        os._exit(0)
    os.waitpid(child, 0)
    assert os.read(reader, 9) == b"0"
    assert manager.metrics().checkouts == 1


def test_health_is_silent(make_manager, caplog):
    caplog.set_level(logging.INFO, "simpycity_template")
    manager = make_manager(hold_warning=30, pool_size=1)
    for _ in range(3):
        with manager.scope("GET /"):
            one()
            manager.commit()
            with manager.transaction():
                one()
    manager.dispose()
    assert caplog.records == []


class TestBegin:
    """The event of a transaction that begins."""

    tenant = Raw("SELECT current_setting('app.tenant', true)")

    @pytest.fixture
    def heard(self, manager):
        heard = []

        def prepare(event):
            heard.append(event.holder.label)
            event.execute("SELECT set_config('app.tenant', %s, true)", [event.holder.label])

        manager.listen("begin", prepare)
        return heard

    def now(self):
        return self.tenant().fetchone()[0]

    def test_prepares_each_transaction_of_a_scope(self, manager, heard):
        for label in ("a", "b"):
            with manager.scope(label):
                assert [self.now(), self.now()] == [label, label]
                manager.commit()
                assert self.now() == label
                manager.rollback()
                manager.handle().cursor().executemany("SELECT %s", [(1,)])
                with manager.transaction():
                    assert self.now() == label
        # The block is in the transaction that executemany() has begun.
        assert heard == ["a"] * 3 + ["b"] * 3

    def test_comes_where_psycopg2_begins_too(self, manager, heard):
        with manager.scope("handed out"):
            manager.handle().conn  # noqa: B018
            assert self.now() == "handed out"
            manager.commit()
            assert self.now() == "handed out"
        assert len(heard) == 2

    def test_does_not_come_in_autocommit_mode(self, manager, heard):
        handle = manager.open(isolation_level=0)
        handle.execute("SELECT 1")
        assert heard == []

    def test_prepares_a_transaction_that_a_checkout_listener_has_begun(self, manager, heard):
        manager.listen("checkout", lambda event: event.connection.cursor().execute("SELECT 1"))
        with manager.scope("tenant"):
            assert [self.now(), self.now()] == ["tenant", "tenant"]
            assert heard == ["tenant"]

    def test_prepares_a_transaction_that_a_cursor_of_psycopg2_has_begun(self, manager, heard):
        with manager.scope("tenant"):
            for end in (manager.commit, manager.rollback):
                with manager.handle().conn.cursor() as cursor:
                    cursor.execute("SELECT 1")
                assert [self.now(), self.now()] == ["tenant", "tenant"]
                end()
        assert heard == ["tenant", "tenant"]

    def test_prepares_what_follows_a_commit_written_as_sql(self, manager, heard):
        with manager.scope("tenant"):
            assert self.now() == "tenant"
            Raw("COMMIT")()
            assert self.now() == "tenant"
        assert heard == ["tenant", "tenant"]

    def test_prepares_the_transactions_of_a_test_that_is_rolled_back(self, manager, heard):
        with rolled_back(manager):
            for label in ("a", "b"):
                with manager.scope(label):
                    assert [self.now(), self.now()] == [label, label]
                    for end in (manager.commit, manager.rollback):
                        end()
                        assert self.now() == label
        assert heard == ["a"] * 3 + ["b"] * 3

    def test_the_error_of_a_listener_is_not_hidden_by_that_of_the_rollback(self, manager, witness):
        def fail(event):
            pid = event._connection.backend_pid
            terminated = witness.cursor()
            terminated.execute("SELECT pg_terminate_backend(%s, 60000)", (pid,))
            raise LookupError("no tenant")

        manager.listen("begin", fail)
        with manager.scope("x"), pytest.raises(LookupError, match="no tenant"):
            one()

    def test_a_listener_that_fails_lets_nothing_be_executed(self, manager):
        def fail(event):
            event.execute("SELECT set_config('app.tenant', 'half', true)")
            raise LookupError("no tenant")

        manager.listen("begin", fail)
        with manager.scope("x"):
            with pytest.raises(LookupError, match="no tenant"):
                one()
            assert manager.status()[0].transaction == "idle"
            manager.unlisten("begin", fail)
            assert one().fetchone()["one"] == 1

    def test_goes_along_with_no_statement_where_nobody_listens(self, manager, heard):
        (listener,) = manager.current.events.listeners["begin"]
        manager.unlisten("begin", listener)
        with manager.scope("x"):
            one()
            assert manager.current.pool.owners()[0].connection.statements is None


class TestStatement:
    """The event of each statement."""

    def test_has_the_text_as_written_the_rows_the_time_and_the_error(self, make_manager):
        manager = make_manager(tag_statements="true")
        heard = recorded(manager, "statement")
        with manager.scope("GET /"):
            Raw("SELECT n FROM generate_series(1, %s) AS n", ["many"])(3)
            with pytest.raises(psycopg2.errors.UndefinedColumn):
                Raw("SELECT nothing")()
        first, second = heard
        assert (first.sql, first.rows) == ("SELECT n FROM generate_series(1, %s) AS n", 3)
        assert first.error is None and first.seconds > 0 and first.holder.label == "GET /"
        assert (second.sql, second.rows) == ("SELECT nothing", -1)
        assert isinstance(second.error, psycopg2.errors.UndefinedColumn)

    def test_comes_for_each_way_to_send_one(self, manager):
        heard = recorded(manager, "statement")
        with manager.scope("x"), manager.handle().cursor() as cursor:
            cursor.execute(SQL("CREATE TABLE {} (n int)").format(Identifier("t")))
            cursor.executemany("INSERT INTO t VALUES (%s)", [(1,), (2,)])
            assert cursor.callproc("abs", (-1,)) == (-1,)
            cursor.copy_expert("COPY t TO STDOUT", io.StringIO())
            cursor.copy_from(io.StringIO("3\n"), "t")
            cursor.copy_to(io.StringIO(), "t")
            assert manager.status()[0].last_sql == "t"
        assert [(event.sql, event.rows) for event in heard[1:]] == [
            ("INSERT INTO t VALUES (%s)", 2),
            ("abs", 1),
            ("COPY t TO STDOUT", 2),
            ("t", 1),
            ("t", 3),
        ]

    def test_an_event_without_a_connection_cannot_execute(self, manager):
        heard = recorded(manager, "statement")
        with manager.scope("x"):
            one()
        with pytest.raises(RuntimeError, match="'statement' has no connection to execute on"):
            heard[0].execute("SELECT 1")
