"""A child process leaves its parent's connections alone, with no call by anybody."""

import gc
import multiprocessing
import os
import socket
import sys
import threading
import weakref
from contextlib import ExitStack

import psutil
import psycopg2
import pytest
from simpycity.core import Raw
from support import PATIENCE, backend, fork, in_child, until

from simpycity_template import Manager, TransactionLost

insert = Raw("INSERT INTO seen VALUES (%s)", ["n"])


pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")


def test_a_child_opens_connections_of_its_own(manager):
    mine = backend()

    def work():
        assert manager.status() == []
        assert backend() != mine
        manager.cleanup()
        manager.dispose()

    assert in_child(work)
    assert backend() == mine


def test_the_parents_transaction_goes_on(manager):
    Raw("CREATE TABLE seen (n int)")()
    manager.commit()
    insert(1)
    assert in_child(lambda: (manager.rollback(), insert(2), manager.commit()))
    insert(3)
    manager.commit()
    assert sorted(row["n"] for row in Raw("SELECT n FROM seen")()) == [1, 2, 3]


def test_the_transaction_of_another_thread_goes_on(manager):
    """In the child that thread's stack of scopes is freed before any hook of the fork is called."""
    Raw("CREATE TABLE seen (n int)")()
    manager.commit()
    begun, forked = threading.Event(), threading.Event()

    def work():
        with manager.scope("the other thread's"):
            insert(1)
            begun.set()
            forked.wait(PATIENCE)
            insert(2)
            manager.commit()

    thread = threading.Thread(target=work)
    thread.start()
    assert begun.wait(PATIENCE)
    try:
        assert in_child(lambda: None)
    finally:
        forked.set()
        thread.join(PATIENCE)
    assert sorted(row["n"] for row in Raw("SELECT n FROM seen")()) == [1, 2]


def test_idle_connections_stay_the_parents(manager):
    with manager.scope("before"):
        idle = backend()

    def work():
        assert backend() != idle

    assert in_child(work)
    assert backend() == idle


def test_idle_connections_of_the_parent_are_freed_in_the_child(manager):
    with manager.scope("before"):
        backend()
        idle = weakref.ref(manager.checkout(manager.handle()).link)
    gc.disable()
    try:
        assert in_child(lambda: idle() is None or 1 / 0)
    finally:
        gc.enable()
    assert idle() is not None


def test_a_raw_connection_of_the_parent_is_cut_off_in_the_child(manager):
    connection = manager.handle().conn

    def work():
        with pytest.raises(Exception):  # noqa: B017
            connection.cursor().execute("SELECT 1")
        connection.close()

    assert in_child(work)
    connection.cursor().execute("SELECT 1")


def test_forking_while_other_threads_hold_and_wait(make_manager):
    manager = make_manager(pool_size=1, max_overflow=1)
    hold, release = threading.Event(), threading.Event()

    def holder():
        backend()
        hold.set()
        release.wait(PATIENCE)
        backend()
        manager.cleanup()

    def waiter():
        backend()
        manager.cleanup()

    backend()
    threads = [threading.Thread(target=holder)]
    threads[0].start()
    hold.wait(PATIENCE)
    threads.append(threading.Thread(target=waiter))
    threads[1].start()
    until(manager.waiting)
    assert in_child(lambda: (backend(), manager.cleanup()))
    release.set()
    manager.cleanup()
    for thread in threads:
        thread.join(PATIENCE)
    assert [entry.state for entry in manager.status()] == ["idle"]


def test_a_block_that_began_in_the_parent_commits_nothing_in_the_child(manager):
    Raw("CREATE TABLE seen (n int)")()
    manager.commit()

    def child_commits():
        block.__exit__(None, None, None)

    def work():
        with pytest.raises(TransactionLost):
            child_commits()

    block = manager.transaction()
    block.__enter__()
    insert(1)
    assert in_child(work)
    block.__exit__(None, None, None)
    assert Raw("SELECT count(*) AS n FROM seen")().fetchone()["n"] == 1


def test_a_manager_made_without_get_manager_is_known_too(dsn):
    manager = Manager("direct")
    manager.configure({"simpycity.dsn": dsn}, default=False)
    mine = manager.handle().conn.backend_pid
    assert in_child(lambda: manager.handle().conn.backend_pid != mine or 1 / 0)
    assert manager.handle().conn.backend_pid == mine
    manager.dispose()


@pytest.mark.parametrize("over", ["TCP", "a Unix socket"])
def test_a_child_forked_while_a_thread_connects_keeps_no_session_open(make_manager, over, tmp_path):
    with ExitStack() as opened:
        if over == "TCP":
            server = opened.enter_context(socket.create_server(("127.0.0.1", 0)))
            address = f"host=127.0.0.1 port={server.getsockname()[1]}"
        else:
            server = opened.enter_context(socket.socket(socket.AF_UNIX))
            server.bind(str(tmp_path / ".s.PGSQL.5432"))
            server.listen()
            address = f"host={tmp_path}"
        manager = make_manager(dsn=f"{address} sslmode=disable gssencmode=disable")

        def connect():
            with manager.scope("connects"), pytest.raises(psycopg2.OperationalError):
                backend()

        thread = threading.Thread(target=connect)
        thread.start()
        session, _ = server.accept()
        opened.enter_context(session)
        # The message in which libpq says what it wants, so it waits for an answer now.
        assert session.recv(1000)
        reading, writing = os.pipe()
        child = fork(lambda: os.read(reading, 1))
        # Refused: the thread's own copy of the session is closed.
        session.sendall(b"E\0\0\0\x0bSFATAL\0\0")
        thread.join(PATIENCE)
        session.settimeout(PATIENCE)
        assert session.recv(1000) in (b"", b"X\0\0\0\4")
        assert os.waitpid(child, os.WNOHANG) == (0, 0)
        os.write(writing, b"x")
        os.waitpid(child, 0)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="other systems refuse at once")
def test_a_child_forked_during_the_handshake_has_no_copy_of_its_socket(make_manager):
    def in_handshake():
        connections = psutil.Process().net_connections("tcp")
        return {one.fd for one in connections if one.status == psutil.CONN_SYN_SENT}

    with ExitStack() as opened:
        server = opened.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        # Its queue is full after the first.
        for _ in range(3):
            client = opened.enter_context(socket.socket())
            client.setblocking(False)
            client.connect_ex(server.getsockname())
        others = in_handshake()
        manager = make_manager(dsn=f"host=127.0.0.1 port={server.getsockname()[1]}")

        def connect():
            with manager.scope("connects"), pytest.raises(psycopg2.OperationalError):
                backend()

        thread = threading.Thread(target=connect)
        thread.start()
        until(lambda: in_handshake() > others)
        assert in_child(lambda: in_handshake() == others or 1 / 0)
    # Its next try is refused.
    thread.join(PATIENCE)


def _pooled(manager_name, dsn):
    from simpycity_template import get_manager

    manager = get_manager(manager_name)
    manager.configure({"simpycity.dsn": dsn})
    try:
        return backend()
    finally:
        manager.cleanup()


@pytest.mark.parametrize("method", multiprocessing.get_all_start_methods())
def test_multiprocessing_in_every_way(manager, dsn, method):
    mine = backend()
    context = multiprocessing.get_context(method)
    with context.Pool(2) as workers:
        theirs = workers.starmap(_pooled, [("child", dsn)] * 4)
    assert mine not in theirs
    assert backend() == mine
