"""A connection may die at any message of the protocol: a transaction is whole or gone.

Every boundary is tried, not sampled: a first run through the proxy counts the messages, and then
one run fails at each. Afterwards the table is compared with what the client was told.
"""

import threading

import psycopg2
import pytest
from proxy import ProxyProcess
from psycopg2.errors import TransactionResolutionUnknown
from psycopg2.extensions import make_dsn, parse_dsn
from simpycity.core import Function, Query, Raw
from simpycity.model import SimpleModel
from support import until

from simpycity_template import get_manager
from simpycity_template.driver import merged_begin as merging
from simpycity_template.driver import terminate

pytestmark = pytest.mark.slow

SCHEMA = """
CREATE TABLE kept (run int, n int);
CREATE FUNCTION keep(run int, n int) RETURNS int LANGUAGE sql
    AS 'INSERT INTO kept VALUES (run, n) RETURNING n';
"""

keep = Function("keep", ["run", "n"])
manager = get_manager("proxied")


@pytest.fixture(scope="module")
def proxy(server):
    where = parse_dsn(server.admin_dsn)
    with ProxyProcess.new() as process:
        yield process.Proxy(f"{where['host']}/.s.PGSQL.{where.get('port', 5432)}")


@pytest.fixture(scope="module")
def table(server):
    """The rows of a run, read when the server has ended all that the client had."""
    link = psycopg2.connect(server.create_database(), application_name="table")
    link.autocommit = True
    cursor = link.cursor()
    cursor.execute(SCHEMA)

    def rows(run):
        def sessions():
            cursor.execute(
                "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'proxied'"
                " AND state <> 'idle' AND datname = current_database()"
            )
            return cursor.fetchone()[0]

        until(lambda: not sessions())
        cursor.execute("SELECT n FROM kept WHERE run = %s ORDER BY n", (run,))
        return [n for (n,) in cursor]

    rows.dsn = link.dsn
    yield rows
    link.close()


@pytest.fixture(autouse=True)
def proxied(proxy, table, monkeypatch):
    # The first run, which counts the messages, and the others take the same way.
    monkeypatch.setattr(merging, "ALIVE_BYPASS_WINDOW", 3600)
    monkeypatch.setattr(terminate, "TERMINATE_TIMEOUT", 0.05)
    database = parse_dsn(table.dsn)["dbname"]
    address = {"host": "127.0.0.1", "port": proxy.port(), "sslmode": "disable"}
    dsn = make_dsn(dbname=database, user="postgres", gssencmode="disable", **address)
    manager.configure({"simpycity.dsn": dsn, "simpycity.pool_timeout": 60})
    yield
    proxy.arm()
    manager.cleanup()
    manager.dispose()
    proxy.forget()


class Model(SimpleModel):
    table = ["run", "n"]  # noqa: RUF012
    keep = keep


def by_function(run, told):
    for n in (1, 2):
        keep(run, n)
        told.append(n)
    manager.commit()


def by_model(run, told):
    for n in (1, 2):
        model = Model(run=run, n=n)
        model.keep()
        told.append(n)
    model.commit()


def by_query_and_raw(run, told):
    Query("kept", ["run"])(run).fetchall()
    insert = Raw("INSERT INTO kept VALUES (%s, %s)", ["run", "n"])
    insert(run, 1)
    told.append(1)
    insert.commit()


def by_block(run, told):
    with manager.transaction():
        keep(run, 1)
        told.append(1)
        with manager.transaction():
            keep(run, 2)
            told.append(2)


def by_handles_block(run, told):
    with manager.handle().transaction():
        for n in (1, 2):
            keep(run, n)
            told.append(n)


def by_commit_as_sql(run, told):
    keep(run, 1)
    told.append(1)
    Raw("COMMIT")()


def by_server_side_cursor(run, told):
    cursor = manager.handle().cursor(name="numbers")
    cursor.execute("SELECT generate_series(1, 3)")
    cursor.itersize = 1
    for (n,) in cursor:
        keep(run, n)
        told.append(n)
    manager.commit()


def stubbornly(run, told):
    """Goes on after each error, as a program that logs them all and hopes."""
    for n in (1, 2, 3):
        try:
            keep(run, n)
            told.append(n)
        except psycopg2.Error:
            pass
    manager.commit()


def stubbornly_in_autocommit(run, told):
    """With a BEGIN by hand, of which psycopg2 knows nothing."""
    handle = manager.open(isolation_level=0)
    begun = False
    for n, sql in enumerate(["BEGIN", "SELECT keep(%s, 1)", "SELECT keep(%s, 2)"]):
        try:
            handle.cursor().execute(sql, (run,))
            begun = begun or sql == "BEGIN"
        except psycopg2.Error:
            continue
        if n:
            told.append(n)
    if begun:
        handle.cursor().execute("COMMIT")


TRANSACTIONS = [
    by_function, by_model, by_query_and_raw, by_block, by_handles_block, by_commit_as_sql,
    by_server_side_cursor, stubbornly,
]  # fmt: skip

runs = iter(range(1, 10**6))


def attempt(work):
    """Run ``work`` in a scope; returns its run, what it was told to be done, and its error."""
    run, told = next(runs), []
    try:
        with manager.scope("proxied"):
            work(run, told)
    except psycopg2.Error as error:
        return run, told, error
    return run, told, None


def messages(proxy, work):
    """How many messages ``work`` takes, from connecting to the end of its scope."""
    manager.dispose()
    proxy.arm()
    assert attempt(work)[2] is None
    return proxy.count()


def attempt_with_failure(proxy, work, at, action):
    manager.dispose()
    proxy.forget()
    proxy.arm(at, action)
    if action in ("cut", "reset", "delay"):
        return attempt(work)
    # Nobody would ever answer: the operator disposes of the connections.
    outcome = []
    thread = threading.Thread(target=lambda: outcome.append(attempt(work)))
    thread.start()
    until(lambda: proxy.fired() or not thread.is_alive())
    while thread.is_alive():
        manager.dispose()
        proxy.forget()
        thread.join(0.02)
    return outcome[0]


def check(table, run, told, error):
    rows = table(run)
    if error is None:
        assert rows == told
    elif isinstance(error, TransactionResolutionUnknown):
        assert rows in ([], told)
    else:
        assert rows == []


def connecting(run, told):
    """The messages of a new connection, which are the same whatever comes after."""
    assert manager.handle().open


def test_a_cut_while_connecting_is_one_clear_error(proxy, table):
    for at in range(messages(proxy, connecting)):
        run, told, error = attempt_with_failure(proxy, by_function, at, "cut")
        assert isinstance(error, psycopg2.OperationalError)
        check(table, run, told, error)
        assert attempt(by_function)[2] is None


@pytest.mark.parametrize("work", TRANSACTIONS, ids=lambda work: work.__name__)
@pytest.mark.parametrize("fresh", [3600, 0], ids=["BEGIN merged", "BEGIN alone"])
def test_a_cut_at_any_message_leaves_the_transaction_whole_or_gone(
    proxy, table, work, fresh, monkeypatch
):
    monkeypatch.setattr(merging, "ALIVE_BYPASS_WINDOW", fresh)
    unknown = 0
    for at in range(messages(proxy, connecting), messages(proxy, work)):
        run, told, error = attempt_with_failure(proxy, work, at, "cut")
        check(table, run, told, error)
        unknown += isinstance(error, TransactionResolutionUnknown)
        # The next request works.
        assert attempt(connecting)[2] is None
    # Lost are the COMMIT, its answer, and the server's word that it is ready again.
    assert unknown == 3


@pytest.mark.parametrize("action", ["reset", "drop", "half-open", "delay"])
def test_any_other_failure_at_any_message_does_so_too(proxy, table, action):
    for at in range(messages(proxy, by_function)):
        run, told, error = attempt_with_failure(proxy, by_function, at, action)
        check(table, run, told, error)
        assert action != "delay" or error is None
        assert attempt(connecting)[2] is None


def test_begin_by_hand_in_autocommit_mode_is_no_exception(proxy, table):
    for at in range(messages(proxy, connecting), messages(proxy, stubbornly_in_autocommit)):
        run, told, error = attempt_with_failure(proxy, stubbornly_in_autocommit, at, "cut")
        check(table, run, told, error)


def test_in_autocommit_mode_a_statement_is_never_executed_twice(proxy, table):
    def work(run, told):
        handle = manager.open(isolation_level=0)
        for n in (1, 2):
            try:
                keep(run, n, options={"handle": handle})
                told.append(n)
            except psycopg2.OperationalError:
                pass

    for at in range(messages(proxy, connecting), messages(proxy, work)):
        run, told, _ = attempt_with_failure(proxy, work, at, "cut")
        rows = table(run)
        assert set(told) <= set(rows)
        assert len(rows) == len(set(rows))
