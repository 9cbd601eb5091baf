"""What the manager promises: handles, scopes and transactions on a real PostgreSQL."""

import gc
import io
import logging
import select
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial

import psycopg2
import psycopg2.extras
import pytest
import simpycity.config
from psycopg2 import errors, extensions, sql
from psycopg2.extensions import make_dsn, parse_dsn
from simpycity.core import Function, FunctionTyped, Query, Raw
from simpycity.handle import Handle
from simpycity.model import SimpleModel
from support import PATIENCE, backend, end_session, in_thread, in_use, pid, until

from simpycity_template import TransactionLost, embedded, get_manager
from simpycity_template.driver import disconnect as last_words
from simpycity_template.driver import merged_begin as merging
from simpycity_template.driver import terminate
from simpycity_template.pool.pool import Pool
from simpycity_template.scopes.scope import Scope


@pytest.fixture
def notes(witness_in):
    witness_in("CREATE TABLE notes (id int PRIMARY KEY, body text)")
    return lambda: [row[0] for row in witness_in("SELECT id FROM notes ORDER BY id")]


@pytest.fixture
def witness_in(dsn):
    """Runs SQL in the fresh database from outside the manager."""
    link = psycopg2.connect(dsn)
    link.autocommit = True

    def run(sql, *arguments):
        with link.cursor() as cursor:
            cursor.execute(sql, arguments or None)
            return cursor.fetchall() if cursor.description else []

    yield run
    link.close()


@pytest.fixture
def kill(witness):
    """Ends a session on the server."""
    return partial(end_session, witness)


@pytest.fixture
def gone(witness_in):
    """Waits for the server to end a session by itself."""

    def gone(backend_pid):
        session = "SELECT 1 FROM pg_stat_activity WHERE pid = %s"
        until(lambda: not witness_in(session, backend_pid))

    return gone


insert = Raw("INSERT INTO notes VALUES (%s, 'text')", ["id"])


def at_commit(witness_in, work):
    """Have the server do ``work`` in a COMMIT that follows an INSERT."""
    witness_in(
        "CREATE FUNCTION work() RETURNS trigger LANGUAGE plpgsql AS"
        f" 'BEGIN PERFORM {work}; RETURN NULL; END';"
        "CREATE CONSTRAINT TRIGGER work AFTER INSERT ON notes DEFERRABLE INITIALLY DEFERRED"
        " FOR EACH ROW EXECUTE FUNCTION work()"
    )


@pytest.fixture
def interrupt_greenlet():
    """A block in which the wait for the server is interrupted, as by a greenlet's timeout."""

    class Timeout(BaseException):
        pass

    def wait(link):
        while (state := link.poll()) != extensions.POLL_OK:
            if state == extensions.POLL_READ:
                raise Timeout
            select.select([], [link], [])

    @contextmanager
    def interrupt():
        extensions.set_wait_callback(wait)
        try:
            with pytest.raises(Timeout):
                yield
        finally:
            extensions.set_wait_callback(None)

    return interrupt


@contextmanager
def read_late(session, gone):
    """A block in which an answer of ``session`` is read when the server has ended that."""

    def wait(link):
        while link.poll() != extensions.POLL_OK:
            select.select([link], [], [])
            if link.info.backend_pid == session:
                gone(session)

    extensions.set_wait_callback(wait)
    try:
        yield
    finally:
        extensions.set_wait_callback(None)


class TestNames:
    def test_the_same_name_is_the_same_manager(self):
        assert get_manager("one") is get_manager("one")
        assert get_manager("one") is not get_manager("two")

    @pytest.mark.parametrize("name", ["", " ", None, 7])
    def test_a_name_is_a_text(self, name):
        with pytest.raises(ValueError, match="a manager's name is"):
            get_manager(name)

    def test_a_manager_without_settings_says_what_to_call(self):
        with pytest.raises(RuntimeError, match=r"no settings yet: call its configure\(config\)"):
            get_manager("unconfigured").open()

    def test_configuring_connects_to_nothing(self):
        get_manager("nowhere").configure({"simpycity.dsn": "host=192.0.2.1"}, default=False)

    def test_configuring_again_with_the_same_settings_keeps_the_connections(self, manager, dsn):
        before = backend()
        manager.configure({"simpycity.dsn": dsn, "simpycity.pool_timeout": PATIENCE})
        assert backend() == before

    def test_other_settings_close_what_the_old_ones_opened(self, manager, dsn, witness_in):
        before = backend()
        manager.cleanup()
        manager.configure({"simpycity.dsn": dsn, "simpycity.pool_size": 1})
        assert backend() != before
        until(lambda: not witness_in("SELECT 1 FROM pg_stat_activity WHERE pid = %s", before))

    def test_where_only_the_login_is_another_what_is_under_way_finishes(self, make_manager, dsn):
        manager = make_manager(pool_size=1, max_overflow=1)
        with manager.scope("idle"), manager.scope("in use"):
            before = backend()
            assert backend(manager.open()) != before
        with manager.scope("request"):
            before = backend()
            make_manager(manager.name, dsn=f"{dsn} connect_timeout=9", pool_size=1, max_overflow=1)
            with manager.scope("next"):
                # The limit counts those of before, too.
                assert backend() not in (before, None)
                assert manager.metrics().in_use == 2
            assert backend() == before
        with manager.scope("later"):
            assert backend() != before
            assert "connect_timeout=9" in manager.handle().conn.dsn
        assert before not in [entry.backend_pid for entry in manager.status()]

    def test_a_connection_that_is_opened_meanwhile_is_used_once(self, make_manager, dsn):
        manager = make_manager()
        manager.listen(
            "connect",
            lambda event: make_manager(manager.name, dsn=f"{dsn} connect_timeout=9"),
        )
        with manager.scope("first"):
            before = backend()
        with manager.scope("second"):
            assert backend() != before

    def test_another_database_is_a_warning(self, make_manager, server, caplog):
        manager = make_manager()
        other = server.create_database()
        make_manager(manager.name, dsn=other)
        (record,) = caplog.records
        assert f"manager '{manager.name}' now uses the database " in record.message
        assert f"dbname={parse_dsn(other)['dbname']} " in record.message
        assert "two applications of one name" in record.message

    def test_another_database_after_dispose_is_none(self, make_manager, server, caplog):
        manager = make_manager()
        backend()
        manager.dispose()
        make_manager(manager.name, dsn=server.create_database())
        assert caplog.records == []

    def test_settings_that_come_while_an_embedded_server_starts_count(
        self, make_manager, dsn, monkeypatch
    ):
        starts, configured = threading.Event(), threading.Event()

        def start(directory, database):
            starts.set()
            configured.wait(PATIENCE)
            return make_dsn(dsn, dbname="postgres")

        monkeypatch.setattr(embedded, "dsn", start)
        manager = make_manager(dsn="embedded:/started")
        with ThreadPoolExecutor(1) as threads:
            started = threads.submit(manager.dsn)
            starts.wait(PATIENCE)
            manager.configure({"simpycity.dsn": dsn})
            configured.set()
            started.result(PATIENCE)
        assert manager.dsn() == dsn
        assert manager.handle().conn.info.dbname == parse_dsn(dsn)["dbname"]

    def test_a_second_manager_leaves_simpycitys_factory_alone(self, make_manager):
        first = make_manager()
        make_manager(default=False)
        assert simpycity.config.handle_factory == first.config.handle_factory


class TestHandles:
    def test_a_handle_that_cannot_be_made_leaves_no_noise(self, manager, capsys):
        backend()
        with pytest.raises(ValueError, match="isolation_level is 'snapshot'"):
            manager.open(isolation_level="snapshot")
        assert "Exception ignored" not in capsys.readouterr().err

    def test_all_queries_of_a_scope_share_one_transaction(self, manager, notes):
        class Note(SimpleModel):
            table = ["id", "body"]
            load = Query("notes", ["id"])

        insert(1)
        assert Raw("SELECT id FROM notes")().fetchone()["id"] == 1
        assert Note(id=1).load().fetchone()["body"] == "text"
        assert notes() == []
        assert len(manager.status()) == 1

    def test_a_module_level_query_has_another_connection_in_each_thread(self, manager):
        assert backend() != in_thread(backend)

    def test_a_handle_made_directly_is_freed_with_the_scope(self, manager):
        direct = Handle()
        assert backend(direct) != backend()
        assert len(in_use(manager)) == 2
        manager.cleanup()
        assert in_use(manager) == []

    def test_a_handle_of_another_database_is_known_and_closed(self, manager, server, witness_in):
        elsewhere = Handle(dsn=server.create_database())
        foreign = backend(elsewhere)
        assert foreign in [entry.backend_pid for entry in in_use(manager)]
        manager.cleanup()
        until(lambda: not witness_in("SELECT 1 FROM pg_stat_activity WHERE pid = %s", foreign))

    def test_a_handle_can_be_used_in_the_next_scope_and_in_another_thread(self, manager):
        kept = manager.open()
        assert kept.conn is kept.conn
        other = in_thread(lambda: backend(kept))
        assert backend(kept) != other
        manager.cleanup()
        assert backend(kept)

    def test_a_model_that_outlives_its_request_is_freed_and_works_again(self, manager):
        class Session(SimpleModel):
            pid = Raw("SELECT pg_backend_pid() AS pid")

        kept = Session()
        assert kept.pid().fetchone()
        manager.cleanup()
        assert in_use(manager) == []
        assert kept.pid().fetchone()

    def test_an_opened_handle_has_its_own_transaction(self, manager, notes):
        autonomous = manager.open(isolation_level=0)
        insert(1)
        insert(2, options={"handle": autonomous})
        manager.cleanup()
        assert notes() == [2]

    def test_a_dropped_handle_gives_its_connection_back_when_another_is_taken(self, make_manager):
        manager = make_manager(pool_size=1, max_overflow=0)
        gc.disable()
        try:
            for _ in range(100):
                Handle().execute("SELECT 1")
            with manager.scope("within"):
                Raw("SELECT 1")()
        finally:
            gc.enable()
        assert len(manager.status()) == 1

    def test_a_transaction_block_outlives_its_handle(self, manager, notes):
        handle = manager.open()
        block = handle.transaction()
        block.__enter__()
        insert(1, options={"handle": handle})
        del handle
        manager.open()
        block.__exit__(None, None, None)
        assert notes() == [1]

    def test_closing_a_handle_rolls_back_and_gives_the_connection_back(self, manager, notes):
        handle = manager.open()
        insert(1, options={"handle": handle})
        handle.close()
        assert in_use(manager) == []
        handle.commit()
        assert notes() == []

    def test_its_repr_takes_no_connection(self, manager):
        assert "no connection now" in repr(manager.handle())
        assert manager.status() == []
        assert f"session {backend()}" in repr(manager.handle())

    def test_a_wrong_isolation_level_is_told(self, manager):
        with pytest.raises(ValueError, match="isolation_level is 'snapshot': it must be one of"):
            manager.open(isolation_level="snapshot")

    def test_a_second_database_by_config(self, make_manager, server):
        make_manager()
        second = make_manager(default=False, dsn=server.create_database())

        class Place(SimpleModel):
            config = second.config
            name = Raw("SELECT current_database() AS name")

        here = Raw("SELECT current_database() AS name")
        there = Raw("SELECT current_database() AS name", handle=second.handle())
        name = Place().name().fetchone()["name"]
        assert name == there().fetchone()["name"] != here().fetchone()["name"]
        second.cleanup()
        assert in_use(second) == []


class TestCleanup:
    def test_it_rolls_back_and_never_commits(self, manager, notes):
        insert(1)
        manager.cleanup()
        assert notes() == []

    def test_what_was_committed_stays(self, manager, notes):
        insert(1)
        manager.commit()
        insert(2)
        manager.cleanup()
        assert notes() == [1]

    def test_it_leaves_no_session_in_a_transaction(self, manager, witness_in):
        session = backend()
        manager.cleanup()
        state = witness_in("SELECT state FROM pg_stat_activity WHERE pid = %s", session)
        assert state == [("idle",)]

    def test_it_frees_only_its_own_threads_scope(self, manager):
        mine = backend()
        in_thread(manager.cleanup)
        assert backend() == mine

    def test_what_was_set_on_the_psycopg2_connection_does_not_reach_the_next_scope(self, manager):
        connection = manager.handle().conn
        connection.set_client_encoding("LATIN1")
        connection.cursor_factory = psycopg2.extras.NamedTupleCursor
        number = psycopg2.extensions.new_type((23,), "NUMBER", lambda value, cursor: "a number")
        psycopg2.extensions.register_type(number, connection)
        manager.cleanup()
        again = manager.handle().conn
        assert again is connection
        assert (again.encoding, again.cursor_factory) == ("UTF8", None)
        assert Raw("SELECT 1 AS n, 'é' AS e")().fetchone() == [1, "é"]

    def test_ctrl_c_while_one_connection_comes_back_keeps_none_of_the_others(self, manager):
        def interrupt(event):
            manager.unlisten("checkin", interrupt)
            raise KeyboardInterrupt

        handles = [manager.open() for _ in range(3)]
        manager.listen("checkin", interrupt)
        with pytest.raises(KeyboardInterrupt):
            manager.cleanup()
        assert in_use(manager) == []
        del handles

    def test_it_can_be_called_at_any_time(self, manager):
        manager.cleanup()
        manager.cleanup()
        get_manager("never configured").cleanup()

    def test_it_throws_a_broken_connection_away_in_silence(self, manager, kill):
        session = backend()
        kill(session)
        manager.cleanup()
        assert backend() != session

    def test_it_does_not_hide_the_exception_in_flight(self, manager, kill):
        with pytest.raises(ZeroDivisionError):
            try:
                kill(backend())
                1 / 0  # noqa: B018
            finally:
                manager.cleanup()

    def test_it_rolls_a_failed_copy_back(self, manager, notes):
        cursor = manager.handle().cursor()
        with pytest.raises(errors.QueryCanceled, match="ZeroDivisionError"):
            cursor.copy_expert("COPY notes FROM STDIN", BrokenFile())
        manager.cleanup()
        assert notes() == []
        assert backend()

    def test_it_does_not_wait_for_a_copy_that_nobody_reads_to_its_end(
        self, manager, witness_in, monkeypatch
    ):
        # It would wait until then.
        monkeypatch.setattr(terminate, "TERMINATE_TIMEOUT", 3600)
        cursor, session = manager.handle().cursor(), backend()
        with pytest.raises(ZeroDivisionError):
            cursor.copy_expert("COPY (SELECT generate_series(1, 1000000)) TO STDOUT", BrokenFile())
        manager.cleanup()
        assert in_use(manager) == []
        until(lambda: not witness_in("SELECT 1 FROM pg_stat_activity WHERE pid = %s", session))

    @pytest.mark.parametrize("set_it", [
        lambda handle: handle.conn.set_session(isolation_level="SERIALIZABLE", readonly=True),
        lambda handle: handle.conn.set_session(autocommit=True, readonly=True),
        lambda handle: handle.conn.set_isolation_level(3),
        lambda handle: setattr(handle.conn, "autocommit", True),
        lambda handle: setattr(handle.conn, "deferrable", True),
    ])  # fmt: skip
    def test_session_settings_do_not_reach_the_next_scope(self, manager, set_it):
        show = Raw(
            "SELECT pg_backend_pid() AS pid, current_setting('transaction_isolation') AS level,"
            " current_setting('transaction_read_only') AS read_only"
        )
        before = dict(show().fetchone())
        manager.cleanup()
        set_it(manager.handle())
        show()
        manager.cleanup()
        assert not manager.handle().conn.autocommit
        assert manager.handle().conn.deferrable is None
        assert dict(show().fetchone()) == before

    def test_with_discard_nothing_of_a_session_survives(self, make_manager):
        manager = make_manager(pool_reset="discard", pool_size=1)
        before = backend()
        Raw("SET statement_timeout = 12345")()
        Raw("CREATE TEMPORARY TABLE mine ()")()
        Raw("SELECT pg_advisory_lock(7)")()
        manager.commit()
        manager.cleanup()
        assert backend() == before
        left = Raw(
            "SELECT current_setting('statement_timeout') AS timeout, to_regclass('mine') AS mine,"
            " (SELECT count(*) FROM pg_locks WHERE locktype = 'advisory') AS locks"
        )
        assert dict(left().fetchone()) == {"timeout": "0", "mine": None, "locks": 0}

    def test_a_begin_by_hand_in_autocommit_mode_is_rolled_back(self, manager, notes):
        handle = manager.open(isolation_level=0)
        handle.execute("BEGIN")
        insert(1, options={"handle": handle})
        manager.cleanup()
        assert notes() == []


class BrokenFile:
    def read(self, size=-1):
        raise ZeroDivisionError

    def write(self, piece):
        raise ZeroDivisionError


class TestTransactions:
    def test_a_block_commits_at_its_end(self, manager, notes):
        with manager.transaction():
            insert(1)
        assert notes() == [1]

    def test_a_block_rolls_back_on_an_exception(self, manager, notes):
        with pytest.raises(ZeroDivisionError), manager.transaction():
            insert(1)
            1 / 0  # noqa: B018
        manager.commit()
        assert notes() == []

    def test_an_inner_block_is_a_savepoint(self, manager, notes):
        with manager.transaction():
            insert(1)
            with pytest.raises(errors.UniqueViolation), manager.transaction():
                insert(2)
                insert(1)
            with manager.transaction():
                insert(3)
            assert notes() == []
        assert notes() == [1, 3]

    def test_a_block_works_in_autocommit_mode(self, manager, notes):
        handle = manager.open(isolation_level="autocommit")
        with pytest.raises(ZeroDivisionError), handle.transaction():
            insert(1, options={"handle": handle})
            1 / 0  # noqa: B018
        with handle.transaction():
            insert(2, options={"handle": handle})
        insert(3, options={"handle": handle})
        assert notes() == [2, 3]

    @pytest.mark.parametrize("end", ["commit", "rollback"])
    def test_a_block_cannot_be_ended_from_inside(self, manager, notes, end):
        with manager.transaction():
            insert(1)
            with pytest.raises(psycopg2.ProgrammingError, match=rf"{end}\(\) inside a transaction"):
                getattr(manager, end)()
        assert notes() == [1]

    def test_a_cleanup_inside_a_block_is_told_at_its_end(self, manager, notes):
        with pytest.raises(TransactionLost, match="nothing was committed"), manager.transaction():
            insert(1)
            manager.cleanup()
            insert(2)
        manager.cleanup()
        assert notes() == []

    @pytest.mark.parametrize("isolation_level", [None, 0])
    def test_a_block_that_outlives_its_connection_leaves_the_next_holder_alone(
        self, make_manager, notes, isolation_level
    ):
        manager = make_manager(pool_size=1, max_overflow=0)
        handle = manager.open(isolation_level=isolation_level)
        other = Scope("other")
        with pytest.raises(TransactionLost), handle.transaction():
            manager.cleanup()
            manager.scopes.enter(other)
            insert(2)
            manager.scopes.leave(other)
        manager.scopes.enter(other)
        manager.commit()
        manager.scopes.leave(other)
        other.close()
        assert notes() == [2]

    def test_a_block_that_begins_after_its_connection_went_is_told(self, manager):
        block = manager.transaction()
        manager.cleanup()
        with pytest.raises(TransactionLost, match="given back before"), block:
            pass

    def test_committing_a_failed_transaction_is_an_error(self, manager, notes):
        insert(1)
        with pytest.raises(errors.UniqueViolation):
            insert(1)
        with pytest.raises(errors.InFailedSqlTransaction, match="cannot be committed"):
            manager.commit()
        manager.rollback()
        insert(2)
        manager.commit()
        assert notes() == [2]

    def test_an_error_that_a_block_swallowed_is_told_at_its_end(self, manager, notes):
        with pytest.raises(errors.InFailedSqlTransaction), manager.transaction():
            insert(1)
            with pytest.raises(errors.UniqueViolation):
                insert(1)
        assert notes() == []

    def test_simpycitys_own_block_rolls_back_and_logs_it(self, manager, notes, caplog):
        with manager.handle().transaction():
            insert(1)
            with pytest.raises(errors.UniqueViolation):
                insert(1)
        assert "nothing was committed (at" in caplog.text and "test_manager.py:" in caplog.text
        manager.commit()
        assert notes() == []

    def test_commit_written_as_sql_does_not_turn_on_autocommit(self, manager, notes):
        insert(1)
        Raw("COMMIT")()
        insert(2)
        manager.cleanup()
        assert notes() == [1]

    def test_nothing_begun_is_nothing_to_commit(self, manager):
        manager.commit()
        manager.rollback()
        assert manager.status() == []


class TestLostConnections:
    def test_the_second_half_never_runs_alone(self, manager, notes, kill):
        insert(1)
        kill(backend())
        with pytest.raises(psycopg2.OperationalError) as first:
            insert(2)
        assert not isinstance(first.value, TransactionLost)
        for attempt in (
            lambda: insert(3),
            manager.commit,
            lambda: manager.open().conn and insert(4),
        ):
            with pytest.raises(TransactionLost):
                attempt()
        manager.rollback()
        insert(5)
        manager.commit()
        assert notes() == [5]

    def test_each_later_statement_is_told_also_those_of_a_cursor_that_was_kept(
        self, manager, notes, kill
    ):
        handle = manager.handle()
        cursor, named = handle.cursor(), handle.cursor(name="numbers")
        named.execute("SELECT 1")
        kill(backend())
        with pytest.raises(errors.AdminShutdown):
            cursor.execute("SELECT 1")
        for speak in (
            lambda: cursor.execute("SELECT 1"),
            lambda: cursor.executemany("SELECT %s", [(1,)]),
            lambda: cursor.callproc("now"),
            lambda: cursor.copy_from(io.StringIO(), "notes"),
            named.fetchone,
            backend,
        ):
            with pytest.raises(TransactionLost, match="all of that transaction is gone"):
                speak()
        manager.rollback()
        with pytest.raises(psycopg2.InterfaceError, match="call the query again"):
            cursor.execute("SELECT 1")
        assert backend()

    def test_cleanup_makes_a_lost_scope_usable(self, manager, notes, kill):
        insert(1)
        kill(backend())
        with pytest.raises(psycopg2.OperationalError):
            insert(2)
        manager.cleanup()
        insert(3)
        manager.commit()
        assert notes() == [3]

    def test_a_block_whose_connection_broke_is_gone_as_a_whole(self, manager, notes, kill):
        with pytest.raises(psycopg2.OperationalError), manager.transaction():
            with manager.transaction():
                insert(1)
            kill(backend())
            insert(2)
        assert notes() == []
        with manager.transaction():
            insert(3)
        assert notes() == [3]

    def test_an_error_caught_inside_the_block_does_not_save_it(self, manager, notes, kill):
        with pytest.raises(TransactionLost), manager.transaction():
            insert(1)
            kill(backend())
            with pytest.raises(psycopg2.OperationalError):
                insert(2)
        assert notes() == []

    def test_a_commit_without_an_answer_says_that_the_outcome_is_unknown(
        self, manager, notes, witness_in
    ):
        at_commit(witness_in, "pg_terminate_backend(pg_backend_pid())")
        insert(1)
        with pytest.raises(errors.TransactionResolutionUnknown, match="is unknown"):
            manager.commit()
        with pytest.raises(TransactionLost, match="broke during COMMIT"):
            insert(2)
        manager.rollback()
        witness_in("DROP FUNCTION work CASCADE")
        insert(3)
        manager.commit()
        assert notes() == [3]

    @pytest.mark.parametrize("level", [None, 0, 1])
    @pytest.mark.parametrize("commit", [
        lambda handle: handle.commit(),
        lambda handle: handle.conn.commit(),
    ])  # fmt: skip
    def test_a_commit_is_not_sent_where_the_server_has_ended_the_session(
        self, manager, notes, kill, level, commit
    ):
        handle = manager.open(isolation_level=level)
        handle.begin()
        insert(1, options={"handle": handle})
        kill(backend(handle))
        with pytest.raises(TransactionLost, match="due to administrator command") as told:
            commit(handle)
        assert isinstance(told.value.__cause__, errors.AdminShutdown)
        with pytest.raises(TransactionLost, match="is gone"):
            insert(2, options={"handle": handle})
        handle.rollback()
        insert(3, options={"handle": handle})
        commit(handle)
        assert notes() == [3]

    @pytest.mark.parametrize("end", ["tpc_commit", "tpc_prepare"])
    def test_a_two_phase_commit_without_an_answer_leaves_the_outcome_unknown(
        self, manager, kill, end
    ):
        link = manager.handle().conn
        link.tpc_begin(link.xid(1, "one", "two"))
        kill(backend())
        with pytest.raises(errors.TransactionResolutionUnknown, match="is unknown"):
            getattr(link, end)()
        with pytest.raises(TransactionLost, match="broke during COMMIT"):
            backend()

    def test_what_psycopg2_refuses_to_commit_breaks_nothing(self, manager):
        link = manager.handle().conn
        link.tpc_begin(link.xid(1, "one", "two"))
        with pytest.raises(psycopg2.ProgrammingError, match="during a two-phase transaction"):
            manager.commit()
        link.tpc_commit()

    @pytest.mark.parametrize("end", [
        lambda manager: manager.commit,
        lambda manager: manager.handle().conn.commit,
        lambda manager: Raw("COMMIT"),
    ])  # fmt: skip
    def test_a_commit_that_is_interrupted_leaves_the_outcome_unknown(
        self, manager, notes, witness_in, interrupt_greenlet, end
    ):
        at_commit(witness_in, "pg_sleep(1)")
        insert(1)
        commit = end(manager)
        with interrupt_greenlet():
            commit()
        with pytest.raises(TransactionLost, match="broke during COMMIT"):
            insert(2)
        with pytest.raises(TransactionLost, match="broke during COMMIT"):
            manager.commit()
        manager.rollback()
        assert manager.metrics().lost == 1
        assert Raw("SELECT 1")()

    def test_a_statement_that_is_interrupted_loses_its_transaction(
        self, manager, notes, interrupt_greenlet
    ):
        insert(1)
        with interrupt_greenlet():
            Raw("SELECT pg_sleep(1)")()
        with pytest.raises(TransactionLost, match="is gone"):
            insert(2)
        manager.rollback()
        assert notes() == []

    def test_a_stale_idle_connection_is_replaced_before_its_use(self, manager, kill):
        session = backend()
        manager.cleanup()
        kill(session)
        assert backend() != session

    def test_a_statement_that_was_never_sent_is_sent_again(self, manager, kill):
        kill(manager.handle().conn.backend_pid)
        with manager.transaction():
            assert backend()

    @pytest.mark.parametrize("fresh", [0, 60])
    def test_a_statement_of_a_handle_that_was_never_sent_is_sent_again(
        self, manager, kill, monkeypatch, fresh
    ):
        monkeypatch.setattr(merging, "ALIVE_BYPASS_WINDOW", fresh)
        session = backend()
        manager.commit()
        kill(session)
        manager.handle().execute("SELECT 1")
        assert backend() != session

    @pytest.mark.parametrize("ask", [backend, lambda handle: handle.execute("SELECT 1")])
    def test_in_autocommit_mode_nothing_is_sent_twice(self, manager, kill, ask):
        handle = manager.open(isolation_level=0)
        kill(handle.conn.backend_pid)
        with pytest.raises(psycopg2.OperationalError):
            ask(handle)
        assert backend(handle)


class TestCommitAsSql:
    """Is known by what was sent, where the connection broke."""

    @pytest.mark.parametrize("text", [
        "COMMIT", b"COMMIT", sql.SQL("COMMIT"), "commit;", "END", "COMMIT AND CHAIN",
        "/* it's done */ COMMIT", "-- it's done\n\n-- now\nCOMMIT", "SELECT 'it''s'; COMMIT",
        r"SELECT E'\\', E'\';'; COMMIT", "DO $a$ BEGIN PERFORM $$;$$; END $a$; COMMIT",
    ])  # fmt: skip
    def test_without_an_answer_says_that_the_outcome_is_unknown(
        self, manager, notes, witness_in, text
    ):
        at_commit(witness_in, "pg_terminate_backend(pg_backend_pid())")
        insert(1)
        with pytest.raises(errors.TransactionResolutionUnknown, match="is unknown"):
            manager.handle().execute(text)
        with pytest.raises(TransactionLost, match="broke during COMMIT"):
            insert(2)

    def test_in_a_text_with_backslashes_of_old_says_so_too(self, manager, notes, witness_in):
        at_commit(witness_in, "pg_terminate_backend(pg_backend_pid())")
        manager.handle().execute("SET standard_conforming_strings = off")
        insert(1)
        with pytest.raises(errors.TransactionResolutionUnknown, match="is unknown"):
            manager.handle().execute(r"SELECT '\''; COMMIT; --'")

    NONE = (
        "SELECT 1", "SELECT '; COMMIT'", "SELECT 'it''s; ', '; COMMIT'", 'SELECT 1 AS "; END"',
        r"SELECT E'\'; COMMIT; ''; END'", "SELECT 1 /* ; COMMIT */ -- ; END", "SELECT 1 AS endless",
        "DO $$ BEGIN PERFORM 1; END $$", "DO $a$ BEGIN PERFORM $$;$$; END; $a$",
    )  # fmt: skip

    @pytest.mark.parametrize("text", NONE)
    def test_is_nothing_that_only_looks_like_it(self, manager, notes, kill, text):
        insert(1)
        kill(backend())
        with pytest.raises(errors.AdminShutdown):
            manager.handle().execute(text)
        with pytest.raises(TransactionLost, match="all of that transaction is gone"):
            insert(2)

    @pytest.mark.parametrize("fresh", [0, 60])
    @pytest.mark.parametrize("text", [*NONE, "COMMIT", "SELECT 1; COMMIT"])
    def test_that_was_never_sent_is_sent_again(self, manager, kill, monkeypatch, fresh, text):
        monkeypatch.setattr(merging, "ALIVE_BYPASS_WINDOW", fresh)
        session = backend()
        manager.commit()
        kill(session)
        Raw(text)()
        assert backend() != session

    def test_whose_values_psycopg2_refuses_breaks_nothing(self, manager, notes):
        insert(1)
        with pytest.raises(psycopg2.ProgrammingError, match="can't adapt type 'object'"):
            Raw("INSERT INTO notes VALUES (%s); COMMIT", ["id"])(object())
        manager.commit()
        assert notes() == [1]


class TestFirstErrors:
    """The first error of a transaction keeps its class and message; the next ones are others."""

    @staticmethod
    def fails(work, error, message, then=errors.InFailedSqlTransaction):
        """``work`` fails with ``error``, what follows in its transaction with ``then``."""
        with pytest.raises(error, match=message):
            work()
        with pytest.raises(then):
            pid()

    @pytest.fixture
    def other(self, dsn):
        """Somebody else's session in the same database, in a transaction."""
        link = psycopg2.connect(dsn)
        yield link.cursor()
        link.close()

    def test_a_statement_timeout(self, manager):
        Raw("SET LOCAL statement_timeout = 10")()
        self.fails(Raw("SELECT pg_sleep(1000)"), errors.QueryCanceled, "statement timeout")

    def test_a_lock_timeout(self, manager, notes, other):
        other.execute("LOCK notes")
        Raw("SET LOCAL lock_timeout = 10")()
        self.fails(lambda: insert(1), errors.LockNotAvailable, "lock timeout")

    def test_a_deadlock(self, manager, other, witness_in):
        other.execute("SET deadlock_timeout = '1min'")  # the victim is the one who looks first
        other.execute("SELECT pg_advisory_xact_lock(1)")
        Raw("SET LOCAL deadlock_timeout = 10")()
        Raw("SELECT pg_advisory_xact_lock(2)")()
        waits = threading.Thread(target=other.execute, args=["SELECT pg_advisory_xact_lock(2)"])
        waits.start()
        until(lambda: witness_in("SELECT 1 FROM pg_locks WHERE NOT granted"))
        self.fails(Raw("SELECT pg_advisory_xact_lock(1)"), errors.DeadlockDetected, "deadlock")
        manager.cleanup()
        waits.join(PATIENCE)

    def test_a_serialization_failure(self, make_manager, notes, other):
        make_manager(isolation_level="REPEATABLE READ")
        Raw("SELECT * FROM notes")()
        other.execute("INSERT INTO notes VALUES (1, 'theirs')")
        other.connection.commit()
        update = Raw("INSERT INTO notes VALUES (1) ON CONFLICT (id) DO UPDATE SET body = 'mine'")
        self.fails(update, errors.SerializationFailure, "could not serialize")

    # Its own session, so that the statement is under way.
    TERMINATE = Raw("SELECT pg_terminate_backend(pg_backend_pid()), pg_sleep(1000)")
    SHUTDOWN = (errors.AdminShutdown, "FATAL:  terminating connection due to administrator command")

    def test_an_administrators_command(self, manager):
        backend()
        self.fails(self.TERMINATE, *self.SHUTDOWN, then=TransactionLost)

    def test_an_administrators_command_between_two_statements(self, manager, kill):
        kill(backend())
        self.fails(pid, *self.SHUTDOWN, then=TransactionLost)

    def test_an_administrators_command_in_a_server_side_cursor(self, manager, kill):
        session = backend()
        rows = manager.handle().cursor(name="numbers")
        rows.execute("SELECT generate_series(1, 10)")
        kill(session)
        self.fails(rows.fetchone, *self.SHUTDOWN, then=TransactionLost)

    def test_an_administrators_command_has_its_code(self, manager):
        with pytest.raises(psycopg2.OperationalError) as told:
            self.TERMINATE()
        assert told.value.pgcode == "57P01"
        assert told.value.pgerror == str(told.value)

    def test_an_administrators_command_in_another_language_keeps_its_message(
        self, manager, monkeypatch
    ):
        monkeypatch.setattr(last_words, "_CODES", {"Verbindung wird abgebrochen": "57P01"})
        backend()
        self.fails(self.TERMINATE, psycopg2.OperationalError, self.SHUTDOWN[1], TransactionLost)

    def test_the_servers_patience_with_a_transaction(self, manager, gone):
        session = backend()
        Raw("SET LOCAL idle_in_transaction_session_timeout = 10")()
        gone(session)
        error = errors.IdleInTransactionSessionTimeout
        self.fails(pid, error, "due to idle-in-transaction timeout", then=TransactionLost)

    def test_the_servers_patience_with_a_transaction_that_is_committed_too_late(
        self, manager, notes, gone
    ):
        lost = pytest.raises(TransactionLost, match="due to idle-in-transaction timeout")
        with lost, manager.transaction():
            insert(1)
            session = backend()
            Raw("SET LOCAL idle_in_transaction_session_timeout = 10")()
            gone(session)
        assert notes() == []

    def test_the_servers_limit_for_a_transaction(self, manager):
        # In one message: the limit could pass before the next.
        sleep = Raw("SET LOCAL transaction_timeout = 10; SELECT pg_sleep(1000)")
        error = errors.TransactionTimeout
        self.fails(sleep, error, "due to transaction timeout", then=TransactionLost)

    def test_the_servers_patience_with_an_idle_session(self, manager, gone):
        handle = manager.open(isolation_level=0)
        session = backend(handle)
        Raw("SET idle_session_timeout = 10")(options={"handle": handle})
        gone(session)
        with pytest.raises(errors.IdleSessionTimeout, match="due to idle-session timeout"):
            backend(handle)
        # No transaction is lost.
        assert backend(handle)

    @pytest.mark.parametrize(
        ("limit", "isolation_level", "error"),
        [
            ("idle_in_transaction_session_timeout", None, errors.IdleInTransactionSessionTimeout),
            ("idle_session_timeout", 0, errors.IdleSessionTimeout),
        ],
    )
    def test_a_reason_that_comes_together_with_an_answer(
        self, manager, gone, limit, isolation_level, error
    ):
        handle = manager.open(isolation_level=isolation_level)
        session = backend(handle)
        with read_late(session, gone):
            Raw(f"SET {limit} = 10")(options={"handle": handle})
        with pytest.raises(error, match="terminating connection due to idle-"):
            backend(handle)

    def test_a_reason_that_comes_together_with_the_answer_before_a_commit(self, manager, gone):
        session = backend()
        with (
            pytest.raises(TransactionLost, match="due to idle-in-transaction timeout"),
            manager.transaction(),
            read_late(session, gone),
        ):
            Raw("SET idle_in_transaction_session_timeout = 10")()

    def test_a_block_tells_the_error_that_ended_it(self, manager, notes):
        told = pytest.raises(errors.AdminShutdown, match="due to administrator command")
        with told, manager.transaction():
            insert(1)
            with manager.transaction():
                self.TERMINATE()
        with pytest.raises(errors.LockNotAvailable), manager.transaction():
            Raw("DO $$BEGIN RAISE lock_not_available; END$$")()


class TestScopes:
    def test_a_scope_has_its_own_connection_and_frees_it(self, manager, notes):
        outer = backend()
        with manager.scope("nightly backup"):
            insert(1)
            assert backend() != outer
            assert [entry.label for entry in in_use(manager)] == ["MainThread", "nightly backup"]
        assert len(in_use(manager)) == 1
        assert backend() == outer
        assert notes() == []

    def test_a_generators_scope_may_end_in_another_thread(self, manager):
        def rows():
            with manager.scope("export"):
                yield backend()
                yield backend()

        mine = backend()
        generator = rows()
        exported = next(generator)

        def finish():
            theirs = backend()
            generator.close()
            assert backend() == theirs
            manager.cleanup()

        in_thread(finish)
        assert exported != mine
        with pytest.raises(TransactionLost, match="scope 'export' was ended in another thread"):
            backend()
        with pytest.raises(TransactionLost, match="scope 'export' was ended in another thread"):
            manager.commit()
        manager.cleanup()
        assert backend() == mine
        manager.cleanup()
        assert in_use(manager) == []

    def test_scopes_of_generators_may_end_in_any_order(self, manager):
        def rows(label):
            with manager.scope(label):
                while True:
                    yield backend()

        mine = backend()
        first, second = rows("first"), rows("second")
        assert len({next(first), next(second), mine}) == 3
        first.close()
        second.close()
        assert backend() == mine
        assert [entry.label for entry in in_use(manager)] == ["MainThread"]

    def test_a_scope_refuses_to_decorate_what_runs_after_its_end(self, manager):
        def rows(count=1):
            yield backend()

        async def look():
            return backend()

        async def look_on():
            yield backend()

        cannot = r"scope\('job'\) cannot decorate .*{}.* the scope has ended: {}"
        for function, advice in (
            (rows, r"put 'with manager.scope\('job'\):' around the loop that uses it"),
            (partial(rows, 2), "put 'with"),
            (look, r"decorate a plain function, and await it with asyncio.to_thread\(\)"),
            (look_on, "decorate a plain function"),
        ):
            name = getattr(function, "__name__", "rows")
            with pytest.raises(TypeError, match=cannot.format(name, advice)):
                manager.scope("job")(function)

    def test_a_scope_decorates_a_function(self, manager):
        @manager.scope("job")
        def job(depth):
            assert in_use(manager)[-1].label == "job" if backend() else None
            return depth and job(depth - 1)

        job(2)
        in_thread(lambda: job(0))
        assert in_use(manager) == []

    def test_a_unit_of_work_can_be_told_from_a_mere_query(self, manager):
        pid()
        assert not manager.scopes.current().begun
        with manager.scope("work"):
            assert manager.scopes.current().begun

    def test_an_exception_leaves_the_scope_clean(self, manager):
        with pytest.raises(ZeroDivisionError), manager.scope("job"):
            backend()
            1 / 0  # noqa: B018
        assert in_use(manager) == []

    def test_a_scope_without_a_label_is_told(self, manager):
        with pytest.raises(TypeError, match="the label of a scope is <function"):

            @manager.scope
            def job():
                pass

            job()

    def test_a_thread_that_dies_gives_its_connection_back_at_once(self, manager, notes, caplog):
        gc.disable()
        try:
            with caplog.at_level(logging.WARNING, "simpycity_template"):
                in_thread(lambda: insert(1) and None)
        finally:
            gc.enable()
        assert in_use(manager) == []
        assert len(manager.status()) == 1
        assert notes() == []
        assert "without cleanup()" in caplog.text
        assert "test_manager.py:" in caplog.text

    def test_a_thread_that_dies_gives_it_back_where_somebody_keeps_its_exception(
        self, manager, notes, kill
    ):
        kept = []

        def work():
            insert(1)
            kill(backend())
            for _ in range(2):
                with pytest.raises(psycopg2.OperationalError) as error:
                    insert(2)
                kept.append(error.value)

        in_thread(work)
        assert isinstance(kept[1], TransactionLost)
        assert in_use(manager) == []

    def test_a_cursor_that_outlives_its_scope_sends_nothing(self, manager):
        kept = pid()
        server_side = manager.handle().cursor(name="kept")
        server_side.execute("SELECT generate_series(1, 1000)")
        manager.cleanup()
        assert kept.fetchone()["pid"]
        assert backend()
        for speak in (
            lambda: kept.execute("SELECT 1"),
            lambda: kept.executemany("SELECT %s", [(1,)]),
            server_side.fetchone,
            lambda: list(server_side),
        ):
            with pytest.raises(psycopg2.InterfaceError, match="scope of this cursor has ended"):
                speak()
        server_side.close()
        assert manager.handle().conn.get_transaction_status() == 2

    USES = (
        lambda handle: partial(handle.cursor().execute, "INSERT INTO notes VALUES (1)"),
        lambda handle: partial(
            handle.cursor().executemany, "INSERT INTO notes VALUES (%s)", [(1,)]
        ),
        lambda handle: partial(handle.cursor().copy_from, io.StringIO("1\ttext\n"), "notes"),
        lambda handle: handle.cursor(name="numbers").fetchone,
    )

    @pytest.mark.parametrize("cursor", USES)
    def test_a_cursor_whose_scope_ends_while_it_waits_for_the_lock_sends_nothing(
        self, make_manager, notes, cursor
    ):
        manager = make_manager(pool_size=1, max_overflow=0)
        use = cursor(manager.handle())
        connection = manager.checkout(manager.handle()).link
        lock = connection.lock

        class Late:
            def __enter__(self):
                connection.lock = lock
                manager.cleanup()
                lock.acquire()

            def __exit__(self, *error):
                lock.release()

        connection.lock = Late()
        with pytest.raises(psycopg2.InterfaceError, match="scope of this cursor has ended"):
            use()
        insert(2)
        manager.commit()
        assert notes() == [2]

    @pytest.mark.parametrize("cursor", USES)
    def test_a_cursor_sends_nothing_between_the_rollback_and_the_next_scope(
        self, make_manager, notes, cursor, monkeypatch
    ):
        manager = make_manager(pool_size=1, max_overflow=0)
        use, drain = cursor(manager.handle()), Pool._drain

        def late(pool, owner):
            with pytest.raises(psycopg2.InterfaceError, match="scope of this cursor has ended"):
                use()
            drain(pool, owner)

        monkeypatch.setattr(Pool, "_drain", late)
        manager.cleanup()
        monkeypatch.undo()
        insert(2)
        manager.commit()
        assert notes() == [2]


class TestStatus:
    def test_it_says_who_holds_what(self, manager):
        with manager.scope("GET /notes/7"):
            session = pid(options={}).fetchone()["pid"]
            (entry,) = manager.status()
        assert (entry.backend_pid, entry.state, entry.label) == (session, "in use", "GET /notes/7")
        assert entry.thread == "MainThread"
        assert "test_manager.py:" in entry.place and "test_it_says_who_holds_what" in entry.place
        assert entry.transaction == "in transaction"
        assert entry.last_sql == pid.query_base
        assert str(session) in str(entry)

    def test_idle_connections_are_listed_without_a_holder(self, manager):
        backend()
        manager.cleanup()
        (entry,) = manager.status()
        assert (entry.state, entry.thread, entry.last_sql) == ("idle", None, None)

    def test_sessions_carry_the_managers_name(self, manager, witness_in):
        name = "SELECT application_name FROM pg_stat_activity WHERE pid = %s"
        assert witness_in(name, backend()) == [(manager.name,)]


class TestDispose:
    def test_it_closes_idle_and_used_connections(self, manager, witness_in):
        with manager.scope("busy"):
            sessions = [backend()]
            with manager.scope("idle"):
                sessions.append(backend())
            manager.dispose()
            assert manager.status() == []
            gone = "SELECT count(*) FROM pg_stat_activity WHERE pid = ANY(%s)"
            until(lambda: witness_in(gone, sessions) == [(0,)])
        assert backend() not in sessions

    def test_it_interrupts_a_running_statement(self, manager):
        running = threading.Event()

        def sleep():
            manager.handle().execute("SELECT 1")
            running.set()
            Raw("SELECT pg_sleep(1000)")()

        def dispose():
            running.wait(PATIENCE)
            manager.dispose()

        disposer = threading.Thread(target=dispose)
        disposer.start()
        with pytest.raises(psycopg2.Error):
            in_thread(sleep)
        disposer.join()


class TestSimpycitysBugs:
    def test_a_cursor_can_be_iterated(self, manager):
        assert [row[0] for row in Raw("SELECT generate_series(1, 3)")()] == [1, 2, 3]

    def test_rows_pass_through_the_callback_while_iterating(self, manager):
        double = Raw("SELECT generate_series(1, 3) AS n", callback=lambda row: row["n"] * 2)
        assert list(double()) == [2, 4, 6]

    def test_a_typed_cursor_can_be_iterated(self, manager):
        assert list(FunctionTyped("generate_series", ["a", "b"])(1, 3)) == [1, 2, 3]

    @pytest.mark.parametrize("sql", ["SELECT '50%' AS rate", "SELECT '50%%' AS rate"])
    def test_a_percent_sign_in_a_raw_query_is_a_percent_sign(self, manager, sql):
        assert Raw(sql)().fetchone()["rate"] == "50%"

    def test_the_seeds_function_leaves_nothing_behind(self, manager, witness_in):
        def foo():
            return Function("now")()

        foo()
        manager.cleanup()
        assert in_use(manager) == []
