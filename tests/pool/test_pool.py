"""The pool: its limit holds, nobody waits for ever, and nothing that comes back is lost."""

import gc
import logging
import os
import random
import select
import sys
import threading
import weakref
from contextlib import contextmanager
from dataclasses import replace
from itertools import count
from math import inf
from time import monotonic
from types import SimpleNamespace

import psycopg2
import pytest
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    invariant,
    rule,
    run_state_machine_as_test,
)
from psycopg2.extensions import (
    POLL_READ,
    TRANSACTION_STATUS_ACTIVE,
    TRANSACTION_STATUS_IDLE,
    set_wait_callback,
)
from simpycity.handle import Cursor
from support import PATIENCE, in_thread, until

import simpycity_template
from simpycity_template import PoolTimeout
from simpycity_template.pool.database import Database
from simpycity_template.pool.owner import Owner
from simpycity_template.pool.pool import Pool
from simpycity_template.scopes.checkout import Checkout
from simpycity_template.scopes.scope import Scope
from simpycity_template.settings import Settings
from simpycity_template.simpycity_patches.cursor import open_cursor

PACKAGE = os.path.dirname(simpycity_template.__file__)


@pytest.fixture
def make_pool(dsn):
    made = []

    def make(**values):
        settings = Settings(dsn=dsn, **{"pool_timeout": PATIENCE, **values})
        made.append(Pool("test pool", settings, Database(settings, "test pool").connect))
        return made[-1]

    yield make
    for pool in made:
        pool.close()


def acquire(pool, owner):
    """What a checkout does."""
    try:
        return pool.acquire(owner)
    except BaseException:
        pool.release(owner)
        raise


def give_back(pool, connection):
    """What a scope does at its end."""
    if connection.owner is not None:
        pool.release(connection.owner)


@pytest.fixture
def sessions(dsn):
    """The backends of the pool, as the server sees them."""
    link = psycopg2.connect(dsn, application_name="sessions")
    link.autocommit = True

    def sessions():
        with link.cursor() as cursor:
            cursor.execute(
                "SELECT pid FROM pg_stat_activity WHERE application_name = 'test pool'"
                " AND datname = current_database()"
            )
            return {pid for (pid,) in cursor}

    yield sessions
    link.close()


@contextmanager
def waiting(pool, count=1):
    """Threads that wait for a connection; yields what they got, in the order they got it."""
    got = []

    def wait(number):
        try:
            got.append((number, acquire(pool, Owner(f"waiter {number}"))))
        except psycopg2.Error as error:
            got.append((number, error))

    threads = []
    for number in range(count):
        threads.append(threading.Thread(target=wait, args=(number,)))
        threads[-1].start()
        until(lambda n=number: len(pool._queue) == n + 1)
    yield got
    for thread in threads:
        thread.join(PATIENCE)
    for _, connection in got:
        if not isinstance(connection, Exception):
            give_back(pool, connection)


def test_the_most_recently_used_connection_is_given_first(make_pool):
    pool = make_pool()
    first, second = acquire(pool, Owner("a")), acquire(pool, Owner("b"))
    give_back(pool, first)
    give_back(pool, second)
    assert acquire(pool, Owner("c")) is second


def test_what_a_burst_opened_stays_while_it_goes_on(make_pool, sessions):
    pool = make_pool(pool_size=2, max_overflow=2)
    taken = [acquire(pool, Owner(str(n))) for n in range(4)]
    before = set(sessions())
    for _ in range(3):
        for connection in taken[2:]:
            give_back(pool, connection)
        assert set(taken[2:]) == {acquire(pool, Owner("next")) for _ in range(2)}
    assert set(sessions()) == before
    for connection in taken[:2]:
        give_back(pool, connection)
    assert pool.now().idle == 2
    give_back(pool, taken[2])
    assert (pool.now().idle, taken[0].closed, taken[1].closed) == (2, True, False)


def test_more_than_pool_size_are_closed_when_all_come_back(make_pool, sessions):
    pool = make_pool(pool_size=1, max_overflow=2)
    taken = [acquire(pool, Owner(str(n))) for n in range(3)]
    assert len(sessions()) == 3
    for connection in taken:
        give_back(pool, connection)
    until(lambda: len(sessions()) == 1)
    assert [entry.state for entry in pool.status()] == ["idle"]


def test_a_connection_whose_preparation_was_interrupted_is_given_to_nobody(make_pool, monkeypatch):
    pool = make_pool()
    owner = Owner("interrupted")

    def interrupt(connection):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(pool, "_prepared", interrupt)
        with pytest.raises(KeyboardInterrupt):
            pool.acquire(owner)
    unprepared = owner.connection
    pool.release(owner)
    assert unprepared.closed
    assert pool.status() == []


def test_with_pool_size_0_each_is_closed(make_pool, sessions):
    pool = make_pool(pool_size=0, max_overflow=1)
    for _ in range(3):
        give_back(pool, acquire(pool, Owner("a")))
    until(lambda: not sessions())


def test_an_old_connection_is_replaced_when_it_comes_back(make_pool):
    pool = make_pool(pool_recycle=0)
    first = acquire(pool, Owner("a"))
    give_back(pool, first)
    assert first.closed
    assert not acquire(pool, Owner("b")).closed


def test_pool_recycle_never_keeps_a_connection(make_pool):
    pool = make_pool(pool_recycle=-1)
    first = acquire(pool, Owner("a"))
    assert first.expires == inf
    give_back(pool, first)
    assert acquire(pool, Owner("b")) is first


def test_first_come_first_served(make_pool):
    pool = make_pool(pool_size=1, max_overflow=0)
    connection = acquire(pool, Owner("first"))
    with waiting(pool, 3) as got:
        for served in range(1, 4):
            give_back(pool, connection)
            until(lambda n=served: len(got) == n)
            connection = got[-1][1]
    assert [number for number, _ in got] == [0, 1, 2]


def test_a_closed_connection_makes_room_for_the_next_in_the_queue(make_pool, sessions):
    pool = make_pool(pool_size=1, max_overflow=0)
    connection = acquire(pool, Owner("first"))
    with waiting(pool) as got:
        connection.close()
        give_back(pool, connection)
        until(lambda: got)
        assert got[0][1] is not connection
        until(lambda: len(sessions()) == 1)


def test_exhaustion_names_every_holder(make_pool):
    pool = make_pool(pool_size=1, max_overflow=1, pool_timeout=0.01)
    for label in ("GET /slow", "nightly backup"):
        holder = Owner(label)
        acquire(pool, holder).cursor().execute("SELECT 1")
        holder.last_sql = f"SELECT 'of {label}'"
    with pytest.raises(PoolTimeout) as error:
        acquire(pool, Owner("late"))
    message = str(error.value)
    assert "became free within 0.01 s: all 2 (pool_size 1 + max_overflow 1)" in message
    for entry in pool.status():
        assert f"session {entry.backend_pid}" in message
        assert entry.place in message and "test_pool.py" in entry.place
    for said in ("GET /slow", "nightly backup", "MainThread", "in transaction", "of GET /slow"):
        assert said in message


def test_in_the_error_holders_of_one_line_and_statement_are_one_line(make_pool):
    pool = make_pool(pool_size=4, max_overflow=0, pool_timeout=0)
    for label in ("GET /notes", "GET /notes", "GET /notes", "nightly"):
        acquire(pool, Owner(label))
    with pytest.raises(PoolTimeout) as error:
        acquire(pool, Owner("late"))
    _, notes, nightly = str(error.value).splitlines()
    sessions = [str(entry.backend_pid) for entry in pool.status()]
    assert notes.startswith(
        f"  session {', '.join(sessions[:3])} (× 3): thread 'MainThread', scope"
    )
    assert nightly.startswith(
        f"  session {sessions[3]}: thread 'MainThread', scope 'nightly', taken"
    )


def test_a_timeout_leaves_the_queue(make_pool):
    pool = make_pool(pool_size=1, max_overflow=0, pool_timeout=0)
    connection = acquire(pool, Owner("first"))
    with pytest.raises(PoolTimeout):
        acquire(pool, Owner("late"))
    give_back(pool, connection)
    assert acquire(pool, Owner("next")) is connection


def test_who_cannot_connect_leaves_the_room_to_others(dsn):
    def connect(_, **options):
        raise psycopg2.OperationalError("the server is down")

    pool = Pool("down", Settings(dsn=dsn, pool_size=1, max_overflow=0, pool_timeout=0), connect)
    for _ in range(3):
        with pytest.raises(psycopg2.OperationalError, match="the server is down"):
            acquire(pool, Owner("a"))


def test_a_waiter_that_is_interrupted_gives_on_what_it_was_handed(make_pool, monkeypatch):
    pool = make_pool(pool_size=1, max_overflow=0)
    connection = acquire(pool, Owner("first"))

    def interrupted(owner, served):
        # Served, and interrupted before it knows.
        give_back(pool, connection)
        assert not served.locked()
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(pool, "_wait", interrupted)
        with pytest.raises(KeyboardInterrupt):
            acquire(pool, Owner("second"))
    assert acquire(pool, Owner("third")) is connection


def test_a_connection_can_come_back_while_the_lock_is_held(make_pool):
    """As from the garbage collector, in the middle of the bookkeeping of the same thread."""
    pool = make_pool(pool_size=1, max_overflow=0)
    connection = acquire(pool, Owner("first"))
    with pool._lock:
        give_back(pool, connection)
        assert not pool._idle
    # Whoever has edited the tables looks afterwards what came back meanwhile.
    second = acquire(pool, Owner("second"))
    assert second is connection


def test_the_garbage_collector_may_return_connections_at_any_time(make_pool):
    pool = make_pool(pool_size=2, max_overflow=0)

    class Cycle:
        def __init__(self, connection):
            self.me, self.connection = self, connection

        def __del__(self):
            give_back(pool, self.connection)

    threshold = gc.get_threshold()
    gc.set_threshold(1)
    try:
        for _ in range(300):
            Cycle(acquire(pool, Owner("a")))
    finally:
        gc.set_threshold(*threshold)


@pytest.mark.parametrize("level", ["notice", "debug5"])
def test_notifications_do_not_cost_a_connection(make_pool, dsn, level):
    pool = make_pool()
    connection = acquire(pool, Owner("a"))
    connection.hand_out().autocommit = True
    connection.cursor().execute(f"SET client_min_messages = {level}")
    connection.cursor().execute("LISTEN news")
    give_back(pool, connection)
    other = psycopg2.connect(dsn)
    other.autocommit = True
    other.cursor().execute("NOTIFY news")
    other.close()
    until(lambda: select.select([connection], [], [], 0)[0])
    assert acquire(pool, Owner("b")) is connection


def test_after_a_restart_of_the_server_no_checkout_fails(make_pool, dsn):
    pool = make_pool()
    for connection in [acquire(pool, Owner(str(n))) for n in range(5)]:
        give_back(pool, connection)
    link = psycopg2.connect(dsn)
    link.cursor().execute(
        "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
        " WHERE application_name = 'test pool' AND datname = current_database()"
    )
    link.close()
    for connection in [acquire(pool, Owner(str(n))) for n in range(5)]:
        connection.cursor().execute("SELECT 1")
        give_back(pool, connection)


def test_a_long_hold_is_logged_once_while_it_lasts(make_pool, caplog):
    pool = make_pool(hold_warning=0.02)
    holder = Owner("GET /slow")
    holder.last_sql = "SELECT pg_sleep(60)"
    with caplog.at_level(logging.WARNING, "simpycity_template"):
        connection = acquire(pool, holder)
        until(lambda: caplog.records)
        give_back(pool, acquire(pool, Owner("quick")))
        second = acquire(pool, Owner("GET /slower"))
        until(lambda: "'GET /slower'" in caplog.text)
    # On a busy machine the quick one may be held for as long.
    (told,) = [message for message in caplog.messages if "'GET /slow'" in message]
    assert "test_pool.py" in told and "pg_sleep" in told
    give_back(pool, connection)
    give_back(pool, second)


def test_a_closed_pool_keeps_nothing_and_hands_nothing_out(make_pool, sessions):
    pool = make_pool()
    held, idle = acquire(pool, Owner("in use")), acquire(pool, Owner("idle"))
    give_back(pool, idle)
    pool.close()
    give_back(pool, held)
    with pytest.raises(psycopg2.InterfaceError, match="were closed by dispose()"):
        acquire(pool, Owner("late"))
    assert pool.status() == []
    until(lambda: not sessions())


def test_closing_wakes_who_waits(make_pool):
    pool = make_pool(pool_size=1, max_overflow=0)
    connection = acquire(pool, Owner("first"))
    with waiting(pool, 2) as got:
        pool.close()
        until(lambda: len(got) == 2)
        assert all(isinstance(error, psycopg2.InterfaceError) for _, error in got)
    give_back(pool, connection)


def test_a_connection_that_opens_while_the_pool_is_closed_is_closed_too(dsn, sessions):
    def connect(_, **options):
        connection = psycopg2.connect(dsn, **options)
        closing.start()
        until(lambda: pool._closed)
        closing.join(0.2)
        assert closing.is_alive(), "at exit nobody would close this one"
        return connection

    pool = Pool("test pool", Settings(dsn=dsn), connect)
    closing = threading.Thread(target=pool.close)
    with pytest.raises(psycopg2.InterfaceError):
        acquire(pool, Owner("a"))
    closing.join()
    until(lambda: not sessions())


handle = SimpleNamespace(key=object())


def check_out(pool, scope):
    """What the manager does at the first use of a connection in a scope."""
    checkout = Checkout(scope.label)
    checkout.acquire(pool, scope, handle)
    return checkout


def test_ctrl_c_at_any_line_of_taking_a_connection_gives_it_back(make_pool):
    pool = make_pool(pool_size=1, max_overflow=0)

    def interrupted(at):
        lines = count()

        def at_line(frame, event, arg):
            if event == "line" and next(lines) == at:
                raise KeyboardInterrupt
            return at_line

        before = sys.gettrace()
        taking = Checkout.acquire.__code__
        sys.settrace(lambda frame, event, arg: at_line if frame.f_code is taking else None)
        try:
            pool.release(check_out(pool, Scope("taken")))
        except KeyboardInterrupt:
            return True
        finally:
            sys.settrace(before)
        return False

    at = 0
    while interrupted(at):
        now = pool.now()
        assert (now.in_use, now.opening) == (0, 0)
        at += 1
    assert at > 3


@pytest.mark.parametrize("pool_size", [0, 1])
def test_ctrl_c_at_any_call_keeps_no_room(make_pool, pool_size):
    pool = make_pool(pool_size=pool_size, max_overflow=1 - pool_size)

    def interrupted(at):
        calls = count()

        def profile(frame, event, argument):
            # Where Python looks for Ctrl-C: as a function begins, and as a built-in one has ended.
            # Some versions tell of what a with statement calls, too, but do not look there.
            if (
                (event == "call" or (event == "c_return" and argument.__name__ != "__enter__"))
                and frame.f_code.co_filename.startswith(PACKAGE)
                and next(calls) == at
            ):
                raise KeyboardInterrupt

        scope = Scope("taken and given back")
        # In a destructor that the garbage collector runs it would come to nothing.
        gc.disable()
        sys.setprofile(profile)
        try:
            checkout = check_out(pool, scope)
            checkout.link.run("BEGIN")
            scope.close()
        except KeyboardInterrupt:
            return True
        finally:
            sys.setprofile(None)
            gc.enable()
            # As the block around it does.
            scope.close()
        return False

    at = 0
    while interrupted(at):
        now = pool.now()
        assert (now.in_use, now.opening) == (0, 0), at
        # Nor does it keep the lock.
        in_thread(lambda: give_back(pool, acquire(pool, Owner("next"))))
        at += 1
    assert at > 20


def test_what_comes_back_in_a_transaction_serves_nobody_else(make_pool):
    pool = make_pool()
    connection = acquire(pool, Owner("interrupted before its ROLLBACK"))
    connection.cursor().execute("SELECT 1")
    pool._drain(connection.owner)
    assert connection.closed
    assert acquire(pool, Owner("next")).get_transaction_status() == TRANSACTION_STATUS_IDLE


@pytest.mark.parametrize("why", ["it is in use", "it is old", "the login is renewed"])
def test_a_statement_on_an_idle_connection_holds_nobody_up(make_pool, why):
    pool = make_pool()
    connection = acquire(pool, Owner("keeps a cursor"))
    cursor = connection.cursor()
    give_back(pool, connection)
    outcome = []

    def wait():
        try:
            outcome.append(cursor.execute("SELECT pg_sleep(1000)"))
        except psycopg2.Error as error:
            outcome.append(error)

    thread = threading.Thread(target=wait)
    thread.start()
    until(lambda: connection.get_transaction_status() == TRANSACTION_STATUS_ACTIVE)
    if why == "it is old":
        connection.expires = 0.0
    elif why == "the login is renewed":
        pool.renew(pool.settings)
    assert acquire(pool, Owner("next")) is not connection
    thread.join()
    assert isinstance(outcome[0], psycopg2.Error)


def test_an_interrupted_connect_leaves_the_room_to_others(dsn):
    def connect(_, **options):
        raise KeyboardInterrupt

    pool = Pool("down", Settings(dsn=dsn, pool_size=1, max_overflow=0, pool_timeout=0), connect)
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            acquire(pool, Owner("a"))


def test_a_connect_that_is_interrupted_at_its_end_leaves_no_session(dsn, sessions):
    def connect(_, **options):
        _link = psycopg2.connect(dsn, **options)
        assert sessions()
        raise KeyboardInterrupt

    pool = Pool("test pool", Settings(dsn=dsn), connect)
    gc.disable()
    try:
        with pytest.raises(KeyboardInterrupt):
            acquire(pool, Owner("a"))
        until(lambda: not sessions())
    finally:
        gc.enable()


def test_a_closed_connection_is_freed_without_the_garbage_collector(make_pool):
    pool = make_pool(pool_size=0)
    connection = acquire(pool, Owner("a"))
    connection.run("SELECT 1")
    kept = weakref.ref(connection)
    gc.disable()
    try:
        give_back(pool, connection)
        del connection
        assert kept() is None
    finally:
        gc.enable()


def test_a_connect_that_is_interrupted_on_its_way_leaves_no_session(make_pool, sessions):
    """As by the timeout of a greenlet; also where somebody keeps that."""
    pool = make_pool()

    def interrupt(link):
        while link.poll() != POLL_READ:
            select.select([], [link], [])
        select.select([link], [], [])
        raise KeyboardInterrupt

    set_wait_callback(interrupt)
    try:
        with pytest.raises(KeyboardInterrupt) as _kept:
            acquire(pool, Owner("a"))
    finally:
        set_wait_callback(None)
    until(lambda: not sessions())


def test_a_timeout_names_who_is_still_connecting(dsn):
    connecting, go_on = threading.Event(), threading.Event()

    def connect(_, **options):
        connecting.set()
        go_on.wait(PATIENCE)
        return psycopg2.connect(dsn, **options)

    pool = Pool("slow", Settings(dsn=dsn, pool_size=1, max_overflow=0, pool_timeout=0.01), connect)
    thread = threading.Thread(target=lambda: give_back(pool, acquire(pool, Owner("GET /slow"))))
    thread.start()
    connecting.wait(PATIENCE)
    with pytest.raises(PoolTimeout, match="scope 'GET /slow', has been connecting"):
        acquire(pool, Owner("late"))
    go_on.set()
    thread.join(PATIENCE)
    pool.close()


def test_coming_back_twice_is_coming_back_once(make_pool):
    pool = make_pool()
    owner = Owner("a")
    connection = acquire(pool, owner)
    pool.release(owner)
    pool.release(owner)
    assert acquire(pool, Owner("b")) is connection
    pool.release(owner)
    assert acquire(pool, Owner("c")) is not connection
    assert not connection.closed


def test_who_queries_in_the_middle_of_the_bookkeeping_gets_an_error(make_pool):
    pool = make_pool()
    with pool._lock:
        with pytest.raises(psycopg2.InterfaceError, match="do not query there"):
            acquire(pool, Owner("destructor or signal handler"))
    give_back(pool, acquire(pool, Owner("after")))


def test_a_server_that_became_read_only_is_not_handed_out_again(make_pool, dsn):
    pool = make_pool()
    connection = acquire(pool, Owner("a"))
    Cursor(connection).execute("SET default_transaction_read_only = on")
    connection.commit()
    give_back(pool, connection)
    assert connection.closed
    assert not acquire(pool, Owner("b")).closed


def test_a_server_that_was_read_only_from_the_start_is_kept(make_pool, dsn, monkeypatch):
    monkeypatch.setenv("PGOPTIONS", "-c default_transaction_read_only=on")
    pool = make_pool()
    connection = acquire(pool, Owner("a"))
    Cursor(connection).execute("SELECT 1")
    connection.rollback()
    give_back(pool, connection)
    assert acquire(pool, Owner("b")) is connection


def test_the_age_of_a_hold_does_not_count_the_wait(make_pool):
    pool = make_pool(pool_size=1, max_overflow=0)
    connection = acquire(pool, Owner("first"))
    late = Owner("late")
    thread = threading.Thread(target=lambda: give_back(pool, acquire(pool, late)))
    thread.start()
    until(lambda: pool._queue)
    late.since -= 100
    give_back(pool, connection)
    thread.join(PATIENCE)
    assert monotonic() - late.since < 50


class PoolMachine(RuleBasedStateMachine):
    """Random use of a pool, held against two numbers: how many are out, how many are kept."""

    taken = Bundle("taken")

    def __init__(self, make):
        super().__init__()
        self.pool = make(pool_size=2, max_overflow=2, pool_timeout=0)
        self.out = set()
        self.kept = 0

    @rule(target=taken, label=st.text())
    def checkout(self, label):
        if len(self.out) == 4:
            with pytest.raises(PoolTimeout):
                acquire(self.pool, Owner(label))
            return None
        connection = acquire(self.pool, Owner(label))
        assert connection not in self.out and not connection.closed
        self.out.add(connection)
        self.kept = max(self.kept - 1, 0)
        return connection

    @rule(connection=consumes(taken), broken=st.booleans())
    def checkin(self, connection, broken):
        if connection is None:
            return
        if broken:
            connection.close()
        give_back(self.pool, connection)
        self.out.remove(connection)
        if not broken:
            self.kept += 1
        if len(self.out) < 2:
            # The burst is over.
            self.kept = min(self.kept, 2)

    def teardown(self):
        # The server allows fewer connections than all examples together would leave open.
        self.pool.close()

    @invariant()
    def it_counts_right(self):
        states = [entry.state for entry in self.pool.status()]
        assert states == ["in use"] * len(self.out) + ["idle"] * self.kept
        assert len(states) <= 4


def test_any_sequence_of_checkouts_and_checkins_keeps_the_count(make_pool):
    run_state_machine_as_test(
        lambda: PoolMachine(make_pool),
        settings=hypothesis_settings(
            max_examples=30,
            stateful_step_count=30,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )


def test_a_connection_that_grew_old_while_idle_is_not_handed_out(make_pool):
    pool = make_pool(pool_recycle=3600)
    connection = acquire(pool, Owner("a"))
    give_back(pool, connection)
    connection.expires = monotonic() - 1
    assert acquire(pool, Owner("b")) is not connection
    assert connection.closed


def test_connections_that_were_opened_together_do_not_end_together(make_pool):
    pool = make_pool(pool_size=5, pool_recycle=3600)
    lives = [
        connection.expires - connection.answered
        for connection in [acquire(pool, Owner(str(n))) for n in range(5)]
    ]
    assert len(set(lives)) == 5
    assert all(3240 <= life <= 3600 for life in lives)


def test_who_waits_gets_what_comes_back_in_the_middle_of_the_bookkeeping(make_pool):
    """As from the garbage collector, while the same thread is editing the tables."""
    pool = make_pool(pool_size=1, max_overflow=0)
    first = Owner("first")
    connection = pool.acquire(first)

    class Table(set):
        def discard(self, owner):
            # The first comes back while it is found out what the second has.
            set.discard(self, owner)
            if owner is not first and first.connection is not None:
                pool.release(first)
                assert first.connection is not None, "it is put into its place afterwards"

    pool._owners = Table(pool._owners)
    with waiting(pool) as got:
        pool.release(Owner("has nothing"))
        until(lambda: got)
    assert got[0][1] is connection


def test_what_an_agent_returns_for_a_connection_makes_the_cursors(dsn):
    seen = []

    class Proxy:
        def __init__(self, connection):
            self.__dict__["wrapped"] = connection

        def __getattr__(self, name):
            return getattr(self.wrapped, name)

        def cursor(self, *args, **kwargs):
            seen.append(kwargs.get("cursor_factory"))
            return self.wrapped.cursor(*args, **kwargs)

    def connect(_, **options):
        return Proxy(psycopg2.connect(dsn, **options))

    pool = Pool("test pool", Settings(dsn=dsn), connect)
    owner = Checkout("a")
    connection = owner.link = pool.acquire(owner)
    with open_cursor(owner, Cursor) as cursor:
        cursor.execute("SELECT 1")
    assert seen == [Cursor]
    assert not connection.handed_out
    assert isinstance(connection.hand_out(), Proxy)
    pool.release(owner)
    pool.close()
    assert connection.proxy is None


def test_status_keeps_no_frame_of_its_callers(make_pool):
    pool = make_pool()
    owner = Owner("a")
    pool.acquire(owner)

    class Kept:
        pass

    def look():
        kept = Kept()
        assert pool.status()
        return weakref.ref(kept)

    gc.disable()
    try:
        assert look()() is None
    finally:
        gc.enable()


def test_a_login_that_is_renewed_while_one_connects_is_kept_no_longer_than_its_scope(
    make_pool, monkeypatch
):
    pool = make_pool()

    def renewed():
        monkeypatch.undo()
        pool.renew(replace(pool.settings, dsn=f"{pool.settings.dsn} password=new"))
        return 0.0

    monkeypatch.setattr(random, "random", renewed)
    give_back(pool, acquire(pool, Owner("connects")))
    assert pool.status() == []
