"""Servers that restart, fail over, refuse or change: clear errors, and recovery by itself."""

import socket
import threading

import psycopg2
import pytest
import servers
from psycopg2.extensions import make_dsn
from simpycity.core import Raw
from support import PATIENCE, backend, in_use, until

from simpycity_template import get_manager

pytestmark = pytest.mark.process

insert = Raw("INSERT INTO seen VALUES (%s)", ["n"])
MAX_CONNECTIONS, RESERVED_CONNECTIONS = 12, 3


@pytest.fixture(scope="module")
def own_server():
    limits = (
        f"max_connections = {MAX_CONNECTIONS}\n"
        f"superuser_reserved_connections = {RESERVED_CONNECTIONS}"
    )
    with servers.own_server(limits) as server:
        server.query("CREATE ROLE app LOGIN PASSWORD 'first'")
        server.query("GRANT ALL ON SCHEMA public TO app")
        yield server


@pytest.fixture
def manage():
    made = []

    def manage(dsn, **settings):
        manager = get_manager("failover")
        given = {"dsn": dsn, "pool_timeout": PATIENCE, **settings}
        manager.configure({f"simpycity.{key}": value for key, value in given.items()})
        made.append(manager)
        return manager

    yield manage
    for manager in made:
        manager.cleanup()
        manager.dispose()


def fill(manager, count):
    """Leave ``count`` idle connections in the pool."""
    for _ in [manager.open().conn for _ in range(count)]:
        pass
    manager.cleanup()


def request(manager):
    """What one request gets: its session, or its error."""
    try:
        return backend()
    except psycopg2.OperationalError as error:
        return error
    finally:
        manager.cleanup()


def requests(manager, threads=8, each=3):
    """What each of many requests at once gets."""
    results = []

    def work():
        results.extend(request(manager) for _ in range(each))

    workers = [threading.Thread(target=work) for _ in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert len(results) == threads * each
    return results


def errors(results):
    return [result for result in results if isinstance(result, Exception)]


def test_after_a_restart_every_request_succeeds(own_server, manage):
    manager = manage(own_server.dsn, pool_size=5, max_overflow=0)
    handles = [manager.open() for _ in range(5)]
    for handle in handles:
        assert backend(handle)
    manager.cleanup()
    own_server.restart()
    assert errors(requests(manager)) == []


@pytest.mark.parametrize("mode", ["fast", "immediate"])
def test_while_the_server_is_down_errors_are_fast_and_recovery_is_by_itself(
    own_server, manage, mode
):
    manager = manage(own_server.dsn, pool_size=2, max_overflow=0)
    assert not isinstance(request(manager), Exception)
    own_server.stop(mode)
    try:
        results = requests(manager)
        assert len(errors(results)) == len(results)
        assert all("refused" in str(error) for error in results)
    finally:
        own_server.start()
    assert errors(requests(manager)) == []


def test_too_many_clients_is_told_at_once_and_passes(own_server, manage):
    manager = manage(make_dsn(own_server.dsn, user="app"), pool_size=2, max_overflow=20)

    def connect():
        try:
            return psycopg2.connect(own_server.dsn, user="app")
        except psycopg2.OperationalError:
            # A session that was closed before may end a moment later.
            return None

    others = [until(connect) for _ in range(MAX_CONNECTIONS - RESERVED_CONNECTIONS)]
    (error,) = errors([request(manager)])
    assert "clients" in str(error) or "remaining connection slots" in str(error)
    for other in others:
        other.close()
    until(lambda: not errors([request(manager)]))


def test_a_changed_password_leaves_open_connections_alone_and_is_told_for_new_ones(
    own_server, manage
):
    hba = own_server.cluster / "pg_hba.conf"
    trusting = hba.read_text()
    hba.write_text("host all app 127.0.0.1/32 scram-sha-256\n" + trusting)
    own_server.query("SELECT pg_reload_conf()")
    secret = make_dsn(own_server.dsn, user="app", password="first")
    try:
        until(lambda: not isinstance(request(manage(secret)), Exception))
        manager = manage(secret)
        assert request(manager) == request(manager)
        own_server.query("ALTER ROLE app PASSWORD 'second'")
        assert not isinstance(request(manager), Exception)
        with manager.scope("one"):
            assert backend()
            with manager.scope("another"):
                with pytest.raises(psycopg2.OperationalError, match="authentication") as told:
                    backend()
        assert "first" not in str(told.value)
        own_server.query("ALTER ROLE app PASSWORD 'first'")
        assert errors(requests(manager)) == []
    finally:
        hba.write_text(trusting)
        own_server.query("SELECT pg_reload_conf()")


def test_a_connection_whose_server_became_read_only_is_not_handed_out_again(own_server, manage):
    manager = manage(own_server.dsn)
    before = request(manager)
    own_server.query("ALTER SYSTEM SET default_transaction_read_only = on")
    own_server.query("SELECT pg_reload_conf()")
    try:

        def reported():
            # The server reports it with the first answer after the change.
            backend()
            status = manager.handle().conn.get_parameter_status("default_transaction_read_only")
            manager.rollback()
            return status == "on"

        until(reported)
        manager.cleanup()
        assert request(manager) != before
    finally:
        own_server.query("ALTER SYSTEM RESET default_transaction_read_only")
        own_server.query("SELECT pg_reload_conf()")


def test_a_connection_that_takes_no_writes_since_it_was_opened_fails_one_request(
    own_server, manage
):
    own_server.query("ALTER ROLE postgres SET default_transaction_read_only = on")
    manager = manage(own_server.dsn)
    try:
        before = request(manager)
    finally:
        own_server.query("BEGIN READ WRITE; ALTER ROLE postgres RESET ALL; COMMIT")
    # Who only reads can go on with it.
    assert request(manager) == before
    with manager.scope("a write"), pytest.raises(psycopg2.errors.ReadOnlySqlTransaction):
        manager.handle().execute("CREATE TABLE written (n int)")
    with manager.scope("a write"):
        manager.handle().execute("CREATE TABLE written (n int)")


def test_a_server_that_does_not_answer_does_not_hold_a_thread_up_for_minutes(manage):
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        port = deaf.getsockname()[1]
        manager = manage(f"host=127.0.0.1 port={port} dbname=x sslmode=disable", pool_timeout=1)
        (error,) = errors([request(manager)])
        assert "timeout expired" in str(error)


def test_after_a_failover_requests_run_on_the_new_primary(manage):
    """Primary and standby, then the standby is promoted and the old primary comes back."""
    with servers.folder() as home:
        first = servers.OwnServer(home / "first", "wal_level = replica")
        second = servers.OwnServer(home / "second")
        first.init()
        first.start()
        second.copy(first)
        second.start()
        try:
            first.query("CREATE TABLE seen (n int)")
            dsn = (
                f"host=127.0.0.1,127.0.0.1 port={first.port},{second.port} user=postgres"
                " dbname=postgres target_session_attrs=read-write"
            )
            manager = manage(dsn, pool_size=4)
            fill(manager, 4)
            with manager.scope("in flight"):
                insert(1)
                until(lambda: second.query("SELECT to_regclass('seen')") == [("seen",)])
                first.stop("immediate")
                # In flight: a clear error, and all of the transaction is gone.
                with pytest.raises(psycopg2.OperationalError):
                    insert(2)
            second.promote()
            with manager.scope("after"):
                insert(3)
                manager.commit()
            # The old primary comes back as a standby of the new one.
            (first.cluster / "standby.signal").touch()
            first.options = f"primary_conninfo = 'host=127.0.0.1 port={second.port} user=postgres'"
            first.start()
            assert first.query("SELECT pg_is_in_recovery()") == [(True,)]
            fill(manager, 4)
            for n in range(4, 12):
                with manager.scope("later"):
                    insert(n)
                    manager.commit()
            assert second.query("SELECT count(*), min(n) FROM seen") == [(9, 3)]
            assert in_use(manager) == []
        finally:
            for server in (first, second):
                server.run("pg_ctl", "stop", "-s", "-m", "immediate", "-D", str(server.cluster))
