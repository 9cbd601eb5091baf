"""A primary with two standbys, and the managers of the page on databases."""

from contextlib import ExitStack

import psycopg2
import pytest
import servers
from serving import on_page
from simpycity.core import Raw

pytestmark = pytest.mark.process


@pytest.fixture(scope="module")
def cluster():
    """A primary with the database of the page, and two standbys."""
    # Not the server of this run: a standby would copy the databases of all the tests before.
    with servers.own_server() as primary, servers.folder() as home, ExitStack() as stack:
        primary.query("CREATE DATABASE helloworld")
        standbys = [servers.OwnServer(home / name) for name in ("first", "second")]
        for standby in standbys:
            standby.copy(primary)
            standby.start()
            stack.callback(standby.stop, "immediate")
        yield [primary, *standbys]


@pytest.fixture
def page(cluster, monkeypatch):
    """The names that the page defines, on these servers."""
    monkeypatch.setenv("PGHOST", ",".join("127.0.0.1" for _ in cluster))
    monkeypatch.setenv("PGPORT", ",".join(str(server.port) for server in cluster))
    monkeypatch.setenv("PGUSER", "postgres")
    names = {}
    start = "from simpycity.model import SimpleModel\nfrom simpycity_template import get_manager\n"
    exec(start + on_page("standbys", "databases.rst"), names)
    exec(on_page("readers", "databases.rst"), names)
    yield names
    for manager in (names["reads"], names["writes"]):
        manager.cleanup()
        manager.dispose()


def test_one_manager_writes_to_the_primary_and_another_reads_from_a_standby(page):
    reads, writes = page["reads"], page["writes"]
    with reads.scope("test"), writes.scope("test"):
        assert page["there"]().fetchone()[0] is True
        assert page["here"]().fetchone()[0] is False
        assert page["Setting"](name="transaction_read_only").current_setting == "on"
        writes.handle().execute("CREATE TABLE note (title text)")
        writes.commit()
    with reads.scope("test"), pytest.raises(psycopg2.errors.ReadOnlySqlTransaction):
        reads.handle().execute("CREATE TABLE other (title text)")
    # A standby is meant to be read-only: its connections are kept.
    assert [entry.state for entry in reads.status()] == ["idle"]


def test_two_databases_have_transactions_of_their_own(make_manager, server):
    both = make_manager(), make_manager(dsn=server.create_database(), default=False)
    for manager in both:
        manager.handle().execute("CREATE TABLE seen (n int)")
        manager.commit()
    for manager in both:
        manager.handle().execute("INSERT INTO seen VALUES (1)")
    both[1].commit()
    for manager in both:
        manager.cleanup()
    seen = Raw("SELECT count(*) AS n FROM seen")
    rows = [seen(options={"handle": manager.handle()}).fetchone()["n"] for manager in both]
    assert rows == [0, 1]


def test_readers_go_on_when_their_standby_is_lost(page, cluster):
    reads, there = page["reads"], page["there"]
    address = Raw("SELECT inet_server_port() AS port", handle=reads.handle())

    def used():
        with reads.scope("test"):
            assert there().fetchone()[0] is True
            return address().fetchone()["port"]

    lost = used()
    (standby,) = [server for server in cluster if server.port == lost]
    # At once, as if its power were cut.
    standby.stop("immediate")
    try:
        assert used() != lost
    finally:
        standby.start()
