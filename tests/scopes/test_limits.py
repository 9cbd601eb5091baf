"""A time limit that a signal raises goes on at each moment of what opens, ends and closes, whatever its class.

A ``TimeoutError`` is an ``OSError``, and an application's limit may be any other error that a call could
raise, too. What is under way is finished first.
"""

import ctypes
import signal
import socket
import sys
import threading
from contextlib import nullcontext, suppress
from functools import partial
from itertools import count, islice
from queue import SimpleQueue
from types import SimpleNamespace

import psycopg2
import pytest
from limits import Limit, arrive, at_each_moment, limit, limit_at, limits
from simpycity.core import Raw
from support import PATIENCE, backend, end_session, in_use, until

from simpycity_template import PoolTimeout, embedded
from simpycity_template.driver import conninfo
from simpycity_template.driver.state import ACTIVE
from simpycity_template.driver.terminate import terminate
from simpycity_template.middleware import respond_in_scope
from simpycity_template.pool.password import password_of
from simpycity_template.process.signals import suppress_own
from simpycity_template.scopes.scope import Scope


class Callable:
    def __call__(self, number, frame):
        limit(number, frame)

    def method(self, number, frame):
        limit(number, frame)


HANDLERS = {
    "a function": limit,
    "an object": Callable(),
    "a method": Callable().method,
    "a partial": partial(limit),
}


@pytest.fixture(autouse=True)
def limited():
    with limits():
        yield


@pytest.fixture
def is_gone(witness):
    """Whether a session is."""

    def is_gone(session):
        with witness.cursor() as cursor:
            cursor.execute("SELECT FROM pg_stat_activity WHERE pid = %s", [session])
            return cursor.rowcount == 0

    return is_gone


def test_while_a_broken_connection_is_closed_at_the_end_of_its_scope(manager, witness):
    def work(block):
        with manager.scope("task"):
            end_session(witness, backend())
            scope = manager.scopes.current()
            with block():
                scope.close()

    for _ in at_each_moment(work, "terminate.py", "pool.py", "tables.py", "scope.py", "signals.py"):
        assert manager.status() == []


def test_while_a_broken_idle_connection_is_replaced(make_manager, witness):
    manager = make_manager(pool_size=1, max_overflow=0, pool_timeout=0)

    def work(block):
        with manager.scope("before"):
            session = backend()
        end_session(witness, session)
        with manager.scope("task"), block():
            Raw("SELECT 1")()

    files = "terminate.py", "half_made.py", "pool.py", "check_socket.py"
    for _ in at_each_moment(work, *files):
        assert in_use(manager) == []


def test_while_a_connection_is_closed_that_another_thread_uses(manager, is_gone):
    connections = SimpleQueue()

    def use():
        with manager.scope("other"), pytest.raises(psycopg2.Error):
            backend()
            connections.put(manager.checked_out(manager.handle()).link)
            Raw("SELECT pg_sleep(1000)")()

    def work(block):
        thread = threading.Thread(target=use)
        thread.start()
        connection = connections.get(timeout=PATIENCE)
        sessions.append(connection.backend_pid)
        until(lambda: connection.get_transaction_status() == ACTIVE)
        try:
            with block():
                terminate(connection)
        finally:
            thread.join(PATIENCE)
            assert not thread.is_alive()

    sessions = []
    # Before that nothing was begun, and whoever calls it does that again.
    for _ in at_each_moment(work, "terminate.py", since="_terminate"):
        # Its server goes on with nothing.
        until(lambda: is_gone(sessions[-1]))


@pytest.mark.parametrize(
    "since, files",
    [
        ("_wait", ["pool.py", "threading.py"]),
        ("timeout_error", ["checkout.py", "pool.py", "tables.py", "signals.py"]),
    ],
    ids=["stops waiting", "leaves the queue"],
)
def test_while_who_waited_in_vain(make_manager, since, files):
    manager = make_manager(pool_size=1, max_overflow=0, pool_timeout=0)

    def work(block):
        with manager.scope("first"):
            backend()
            with manager.scope("second"), block(), suppress(PoolTimeout):
                backend()

    for _ in at_each_moment(work, *files, since=since):
        assert manager.waiting() == in_use(manager) == []


def test_while_a_handle_is_closed_which_can_be_used_again(manager):
    def work(block):
        with manager.scope("task"):
            handle = manager.open()
            backend(handle)
            try:
                with block():
                    handle.close()
            finally:
                assert backend(handle)

    for _ in at_each_moment(work, "checkouts.py", "pool.py", "tables.py"):
        assert in_use(manager) == []


@pytest.mark.parametrize("is_begun", [True, False])
def test_a_handler_that_queries_at_any_moment_of_a_checkout_leaks_nothing(make_manager, is_begun):
    manager = make_manager(pool_size=2)
    scopes = manager.scopes.get()

    def query(number, frame):
        # Where the pool itself is under way that is an error.
        with suppress(psycopg2.InterfaceError):
            Raw("SELECT 1")()

    files = "checkouts.py", "checkout.py", "stack.py", "scope.py", "pool.py", "tables.py"
    signal.signal(signal.SIGUSR1, query)
    for number in count():
        arrived = []
        # Where none is begun the first use of a connection begins one.
        scopes.clear()
        if is_begun:
            manager.scopes.enter(Scope("task"))
        with limit_at(number, files, "", arrived):
            backend()
        manager.cleanup()
        assert in_use(manager) == [], arrived
        if not arrived:
            break
    assert number > 3


@pytest.mark.parametrize("takes", ["another connection", "the connection again"])
def test_a_handler_that_queries_at_any_moment_of_a_cleanup_leaks_nothing(manager, takes):
    def take(number, frame):
        # Where the pool itself is under way that is an error.
        with suppress(psycopg2.InterfaceError):
            handles.append(manager.open() if takes == "another connection" else backend())

    handles = []
    files = "checkouts.py", "stack.py", "scope.py", "pool.py", "tables.py", "events.py"
    signal.signal(signal.SIGUSR1, take)
    for number in count():
        backend()
        arrived = []
        with limit_at(number, files, "", arrived):
            manager.cleanup()
        # What the handler took last is still the thread's.
        manager.cleanup()
        assert in_use(manager) == [], arrived
        if not arrived:
            break
    assert len(handles) > 3


def leaves_nothing(manager):
    """Whether nothing is in use, and the thread is in no scope."""
    return in_use(manager) == [] and manager.scopes.current() is None


def test_while_a_scope_block_begins_and_ends(manager):
    def work(block):
        with block(), manager.scope("task"):
            backend()

    for _ in at_each_moment(work, "block.py", "stack.py", "scope.py"):
        assert leaves_nothing(manager)


def test_while_a_scope_block_ends_out_of_order(manager):
    def session():
        with manager.scope("in a generator"):
            yield backend()

    def work(block):
        with block():
            generator = session()
            next(generator)
            with manager.scope("task"):
                backend()
                generator.close()

    for _ in at_each_moment(work, "block.py", "stack.py", "scope.py"):
        assert leaves_nothing(manager)


def stream(environ, start_response):
    return (b"%d" % backend() for _ in "ab")


def frees_what_a_server_forgets(manager):
    """Whether the thread's next request frees what a stream has that is never closed."""
    forgotten = respond_in_scope(manager, stream, {}, None)
    next(forgotten)
    assert len(in_use(manager)) == 1
    respond_in_scope(manager, lambda *_: [b""], {}, None)
    return in_use(manager) == []


def test_while_a_thread_frees_what_a_server_has_forgotten(manager):
    def work(block):
        forgotten.append(respond_in_scope(manager, stream, {}, None))
        next(forgotten[-1])
        with block():
            respond_in_scope(manager, lambda *_: [b""], {}, None)

    forgotten = []
    for _ in at_each_moment(work, "middleware.py", "request.py"):
        assert frees_what_a_server_forgets(manager)


def test_while_a_unit_of_work_is_cleaned_up(manager):
    def work(block):
        backend()
        with block():
            manager.cleanup()

    for _ in at_each_moment(work, "checkouts.py", "stack.py", "scope.py", since="close_current"):
        assert in_use(manager) == []


@pytest.mark.parametrize("fails", [False, True])
def test_while_a_request_ends(manager, fails):
    def application(environ, start_response):
        session = backend()
        if fails:
            raise ZeroDivisionError
        return [b"%d" % session]

    def work(block):
        with block(), suppress(ZeroDivisionError):
            respond_in_scope(manager, application, {}, None)
        assert manager.scopes.current() is None

    files = "middleware.py", "request.py", "scope.py", "pool.py", "tables.py"
    for _ in at_each_moment(work, *files, since="__exit__"):
        assert in_use(manager) == []
        assert frees_what_a_server_forgets(manager)


def test_while_a_receiver_ends_the_scope_that_another_began(manager):
    def end():
        return manager.scopes.end(lambda scope: scope.label == "unit")

    def work(block):
        manager.scopes.enter(Scope("unit"))
        backend()
        with block():
            end()

    for _ in at_each_moment(work, "stack.py", "scope.py", "pool.py", since="end"):
        # Who begins the next one ends what is left.
        end()
        assert leaves_nothing(manager)


def test_while_a_request_begins(manager):
    def work(block):
        with block():
            respond_in_scope(manager, lambda *_: [b""], {}, None)

    for _ in at_each_moment(work, "request.py", "stack.py", since="__enter__"):
        assert frees_what_a_server_forgets(manager)


@pytest.mark.parametrize("pieces", [1, 2])
def test_while_a_streamed_body_is_sent(manager, pieces):
    def work(block):
        bodies.append(respond_in_scope(manager, stream, {}, None))
        with block():
            assert len(list(islice(bodies[-1], pieces))) == pieces
        bodies[-1].close()

    # Of a server that forgets to close them.
    bodies = []
    for _ in at_each_moment(work, "scope.py", "request.py", "stack.py", since="__next__"):
        assert frees_what_a_server_forgets(manager)


def test_while_a_streamed_body_is_closed(manager):
    def work(block):
        body = respond_in_scope(manager, stream, {}, None)
        next(body)
        with block():
            body.close()

    for _ in at_each_moment(work, "scope.py", "request.py", "stack.py", since="__exit__"):
        assert in_use(manager) == []
        assert manager.scopes.current() is None
        assert frees_what_a_server_forgets(manager)


@pytest.fixture
def add(manager):
    Raw("CREATE TABLE added (n int)")()
    manager.commit()
    manager.cleanup()
    return Raw("INSERT INTO added VALUES (%s)", ["n"])


added = Raw("SELECT array_agg(n) FROM added")


BLOCK = "transaction.py", "contextlib.py", "checkout.py", "checkouts.py", "transactions.py"


@pytest.mark.parametrize("inside", [False, True], ids=["a transaction", "a savepoint"])
def test_while_a_transaction_block_begins_and_ends(manager, add, inside):
    def work(block):
        limited = False
        with manager.scope("task"), manager.transaction() if inside else nullcontext():
            try:
                with block(), manager.transaction():
                    add(1)
                    add(2)
            except Limit:
                limited = True
            with manager.transaction():
                add(3)
        if limited:
            raise Limit

    for _ in at_each_moment(work, *BLOCK):
        assert added().fetchone()[0] in ([3], [1, 2, 3])
        Raw("TRUNCATE added")()
        manager.commit()
        manager.cleanup()


def test_while_a_transaction_block_is_rolled_back_of_which_nothing_is_committed_later(manager, add):
    def work(block):
        with manager.scope("task"):
            try:
                with block(), suppress(ZeroDivisionError), manager.transaction():
                    add(1)
                    raise ZeroDivisionError
            finally:
                manager.commit()

    for _ in at_each_moment(
        work, "transaction.py", "checkout.py", "transactions.py", "signals.py", since="rollback"
    ):
        assert added().fetchone()[0] is None


def test_while_a_savepoint_is_rolled_back_of_which_nothing_is_committed_later(manager, add):
    def work(block):
        with manager.transaction():
            try:
                with block(), suppress(ZeroDivisionError), manager.transaction():
                    add(1)
                    raise ZeroDivisionError
            except Limit as error:
                goes_on = error
            else:
                goes_on = None
        if goes_on:
            raise goes_on

    for _ in at_each_moment(work, "transaction.py", "transactions.py", since="_roll_back"):
        assert added().fetchone()[0] is None


@pytest.mark.parametrize("change", ["dispose", "pool_size", "password"])
def test_while_connections_are_closed_whose_settings_are_no_longer_those(manager, dsn, change):
    numbers = count(1)

    def make_change():
        number = next(numbers)
        if change == "dispose":
            manager.dispose()
        elif change == "pool_size":
            manager.configure({"simpycity.dsn": dsn, "simpycity.pool_size": number})
        else:
            manager.configure({"simpycity.dsn": f"{dsn} password={number}"})

    def link():
        backend()
        return manager.checked_out(manager.handle()).link

    def work(block):
        with manager.scope("in use"):
            links[:] = [link()]
            with manager.scope("idle later"):
                links.append(link())
            with block():
                make_change()

    links = []
    for _ in at_each_moment(
        work, "pool/current.py", "pool/pool.py", "signals.py", since=make_change.__name__
    ):
        # All of them, or it has not begun and they are used again.
        assert all(one.closed for one in links) or len(manager.status()) == 2


def test_while_the_thread_is_started_that_logs_long_holds(make_manager):
    manager = make_manager(hold_warning=0.001)
    seen = threading.Event()
    manager.listen("hold_warning", lambda event: seen.set())

    def work(block):
        manager.dispose()
        with manager.scope("task"), block():
            backend()

    for _ in at_each_moment(work, "leak_detector.py"):
        seen.clear()
        manager.dispose()
        with manager.scope("held"):
            backend()
            assert seen.wait(PATIENCE)


@pytest.mark.parametrize("handler", HANDLERS.values(), ids=HANDLERS)
def test_whatever_the_handler_is(handler):
    signal.signal(signal.SIGUSR1, handler)
    with pytest.raises(Limit), suppress_own(OSError):
        arrive()


def test_and_one_that_another_thread_throws():
    thread = ctypes.c_ulong(threading.get_ident())
    with pytest.raises(TimeoutError), suppress_own(OSError):
        ctypes.pythonapi.PyThreadState_SetAsyncExc(thread, ctypes.py_object(TimeoutError))
        for _ in range(1000):
            pass


def test_but_no_error_of_the_call_itself():
    with suppress_own(OSError), socket.socket() as one, socket.socket() as other:
        one.bind(("127.0.0.1", 0))
        other.settimeout(0.001)
        other.bind(one.getsockname())


def test_while_a_service_file_is_read(tmp_path, monkeypatch):
    (tmp_path / "services").write_text("[wiki]\nhost=here\n")
    monkeypatch.setenv("PGSERVICEFILE", str(tmp_path / "services"))
    monkeypatch.setattr(conninfo.ConfigParser, "read", lambda *args, **named: arrive())
    with pytest.raises(Limit):
        conninfo.of_service("wiki")


def test_while_an_embedded_server_is_looked_for(tmp_path, monkeypatch):
    monkeypatch.setattr(embedded, "open_home", lambda *_: arrive())
    with pytest.raises(Limit):
        embedded.dsn(tmp_path, "wiki")


def test_while_what_a_killed_server_has_left_is_looked_for(tmp_path):
    left = SimpleNamespace(name=arrive)
    with pytest.raises(Limit):
        embedded._Server(tmp_path, tmp_path)._is_of_cluster(left)


def test_while_a_password_is_asked_for():
    with pytest.raises(Limit):
        password_of(arrive, 60)


@pytest.mark.process
def test_while_the_command_runs_that_prints_it():
    killer = (
        f"{sys.executable} -c 'import os, signal; os.kill(os.getppid(), signal.SIGUSR1); input()'"
    )
    with pytest.raises(Limit):
        password_of(killer, 60)
