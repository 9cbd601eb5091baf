"""A scope is its unit's alone, whichever thread ends it."""

import threading

import psycopg2
import pytest
from psycopg2.extensions import make_dsn
from simpycity.core import Raw
from simpycity.handle import Handle
from support import PATIENCE, in_thread, in_use, until

from simpycity_template import PoolTimeout, TransactionLost

put = Raw("INSERT INTO parts VALUES (%s)", ["part"])


@pytest.fixture
def parts(manager, dsn):
    """The parts that were committed."""
    link = psycopg2.connect(dsn)
    link.autocommit = True
    link.cursor().execute("CREATE TABLE parts (part int)")

    def parts():
        with link.cursor() as cursor:
            cursor.execute("SELECT part FROM parts ORDER BY part")
            return [part for (part,) in cursor]

    yield parts
    link.close()


def generator(manager, label="A"):
    """A unit of work whose two halves may run in two threads."""
    with manager.scope(label):
        yield


class TestAScopeThatIsEndedInAnotherThread:
    def test_gives_an_error_to_each_later_statement(self, manager, parts):
        unit = generator(manager)
        next(unit)
        put(1)
        in_thread(unit.close)
        for _ in range(2):
            with pytest.raises(TransactionLost, match="scope 'A' was ended in another thread"):
                put(2)
        with pytest.raises(TransactionLost, match="scope 'A' was ended in another thread"):
            manager.commit()
        manager.cleanup()
        put(3)
        manager.commit()
        assert parts() == [3]

    def test_gives_an_error_at_the_end_of_a_transaction_block(self, manager, parts):
        unit = generator(manager)
        next(unit)
        with pytest.raises(TransactionLost):
            with manager.transaction():
                put(1)
                in_thread(unit.close)
        manager.cleanup()
        assert parts() == []

    def test_gives_an_error_to_a_cursor_that_was_opened_before(self, manager, parts):
        unit = generator(manager)
        next(unit)
        cursor = put(1)
        in_thread(unit.close)
        with pytest.raises(TransactionLost, match="was ended in another thread"):
            cursor.execute("INSERT INTO parts VALUES (2)")
        manager.cleanup()
        assert parts() == []

    def test_does_so_after_a_scope_within_it_as_well(self, manager, parts):
        unit = generator(manager)
        next(unit)
        put(1)
        in_thread(unit.close)
        with manager.scope("within"):
            put(2)
            manager.commit()
        with pytest.raises(TransactionLost):
            put(3)
        manager.cleanup()
        assert parts() == [2]

    def test_leaves_no_more_than_one_behind_in_a_thread(self, manager):
        for _ in range(100):
            unit = generator(manager)
            next(unit)
            in_thread(unit.close)
        assert len(manager.scopes.get()) <= 2
        manager.cleanup()

    def test_ends_the_statement_that_is_under_way(self, manager, parts):
        outcome, begun = [], threading.Event()
        units = []

        def work():
            unit = generator(manager)
            units.append(unit)
            next(unit)
            put(1)
            begun.set()
            try:
                outcome.append(Raw("SELECT pg_sleep(1000)")())
            except psycopg2.Error as error:
                outcome.append(error)

        thread = threading.Thread(target=work)
        thread.start()
        begun.wait(PATIENCE)
        until(lambda: [entry.transaction for entry in in_use(manager)] == ["active"])
        in_thread(units[0].close)
        thread.join(PATIENCE)
        assert isinstance(outcome[0], psycopg2.Error)
        assert parts() == [] and in_use(manager) == []


class TestAHandleOfOpen:
    def test_commits_in_its_own_scope_alone(self, manager, parts):
        with manager.scope("main"):
            handle = manager.open()
            put(1, options={"handle": handle})
            for end in (handle.commit, handle.rollback):
                with pytest.raises(
                    psycopg2.InterfaceError, match="in scope 'main' of thread"
                ) as error:
                    in_thread(end)
                assert "test_stack.py:" in str(error.value)
            handle.commit()
        assert parts() == [1]

    def test_has_nothing_to_commit_anywhere_after_its_scope(self, manager):
        with manager.scope("main"):
            handle = manager.open()
        handle.commit()
        in_thread(handle.commit)


def test_handles_of_other_databases_share_the_limit(make_manager, dsn, server):
    manager = make_manager(pool_size=1, max_overflow=1, pool_timeout=0)
    others = [make_dsn(server.create_database(), application_name="other") for _ in range(3)]
    with manager.scope("idle"):
        Raw("SELECT 1")()
    first, second = (Handle(other) for other in others[:2])
    with manager.scope("both"):
        for handle in (first, second):
            handle.execute("SELECT 1")
        assert len(manager.status()) == 2
        with pytest.raises(PoolTimeout):
            Handle(others[2]).execute("SELECT 1")
        with pytest.raises(PoolTimeout):
            Raw("SELECT 1")()
    assert manager.status() == []
