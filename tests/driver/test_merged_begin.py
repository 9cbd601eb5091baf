"""BEGIN goes in one message with the first statement, and nobody can tell but by the speed."""

import copy
import io
import os
import pickle
import select
import socket
from collections import deque

import psycopg2
import pytest
from psycopg2 import errors, extensions, sql
from psycopg2.extras import DictCursor, DictRow, RealDictCursor
from simpycity.core import Function, FunctionTyped, Raw
from support import calls_of, end_session, until
from wire import wire

from simpycity_template import TransactionLost
from simpycity_template.driver import merged_begin as merging

READY, BEGUN = extensions.STATUS_READY, extensions.STATUS_BEGIN
IDLE, IN_TRANSACTION = 0, 2


@pytest.fixture(scope="module")
def dsn(server):
    """One database for all: making one takes longer than a test."""
    return server.create_database()


@pytest.fixture(scope="module")
def module_line(dsn):
    with wire(dsn) as line:
        yield line


@pytest.fixture
def line(module_line, monkeypatch):
    # A machine under load may take longer than that for a few lines.
    monkeypatch.setattr(merging, "ALIVE_BYPASS_WINDOW", 60)
    return module_line


@pytest.fixture
def connect(make_manager, line):
    """Makes managers behind the wire, with one connection that is ready."""

    def connect(**settings):
        manager = make_manager(dsn=line.dsn, **settings)
        manager.handle().execute("SELECT 1")
        manager.cleanup()
        line.clear()
        return manager

    return connect


@pytest.fixture
def manager(connect):
    return connect()


@pytest.fixture
def notes(manager, line):
    """Ids of the committed notes, looked up by another connection."""
    manager.handle().execute(
        "DROP TABLE IF EXISTS notes; CREATE TABLE notes (id int PRIMARY KEY, body text)"
    )
    manager.commit()
    manager.cleanup()
    line.clear()

    def ids():
        with manager.scope("look"):
            return [row["id"] for row in Raw("SELECT id FROM notes ORDER BY id")()]

    return ids


insert = Raw("INSERT INTO notes VALUES (%s, 'text')", ["id"])


class TestMessages:
    def test_one_call_is_two_round_trips(self, manager, line):
        Function("upper", ["text"])("a")
        manager.cleanup()
        assert line.statements == ["BEGIN;\nSELECT * FROM upper('a')", "ROLLBACK"]
        assert line.round_trips == 2

    def test_each_further_call_is_one_more(self, manager, line):
        for number in range(3):
            Raw(f"SELECT {number}")()
        manager.commit()
        manager.cleanup()
        assert line.statements == ["BEGIN;\nSELECT 0", "SELECT 1", "SELECT 2", "COMMIT"]

    def test_each_transaction_of_a_scope_begins_so(self, manager, line):
        for _ in range(2):
            with manager.transaction():
                Raw("SELECT 1")()
        manager.cleanup()
        assert line.statements == ["BEGIN;\nSELECT 1", "COMMIT"] * 2

    def test_a_scope_without_a_query_sends_nothing(self, manager, line):
        with manager.scope("empty"):
            assert manager.handle().conn
        assert line.statements == []

    def test_in_autocommit_mode_a_read_is_one_round_trip(self, manager, line):
        with manager.scope("read"):
            handle = manager.open(isolation_level=0)
            Raw("SELECT 1")(options={"handle": handle})
        assert line.statements == ["SELECT 1"]

    @pytest.mark.parametrize("text", ["SELECT 1; SELECT 2", "SELECT ';'", " -- nothing\nSELECT 1"])
    def test_what_may_not_be_one_statement_goes_after_begin(self, manager, line, text):
        manager.handle().execute(text)
        assert line.statements == ["BEGIN", text]

    def test_a_comment_before_it_goes_along(self, connect, line):
        connect(tag_statements=True)
        Raw("SELECT 1")()
        assert line.statements[0].startswith("BEGIN;\n/* simpycity: ")
        assert line.round_trips == 1

    def test_a_block_in_a_block_begins_too(self, manager, line):
        with manager.transaction(), manager.transaction():
            Raw("SELECT 1")()
        savepoint = "simpycity_template_1"
        assert line.statements == [
            "BEGIN", f"SAVEPOINT {savepoint}", "SELECT 1", f"RELEASE {savepoint}", "COMMIT",
        ]  # fmt: skip

    def test_a_comment_alone_is_no_statement(self, manager, line):
        with pytest.raises(psycopg2.ProgrammingError, match="can't execute an empty query"):
            manager.handle().execute("/* nothing */")
        assert line.statements == ["BEGIN", "/* nothing */"]

    def test_a_connection_without_a_recent_answer_is_tested_by_begin(
        self, manager, line, monkeypatch
    ):
        monkeypatch.setattr(merging, "ALIVE_BYPASS_WINDOW", 0)
        manager.handle().execute("SELECT 1")
        assert line.statements == ["BEGIN", "SELECT 1"]

    @pytest.mark.parametrize("linger", [0, 0.05, 60])
    @pytest.mark.parametrize("idle", [False, True])
    @pytest.mark.parametrize("ask", [
        lambda manager: Raw("SELECT 1")(),
        lambda manager: manager.handle().execute("SELECT 1"),
    ])  # fmt: skip
    def test_nothing_is_sent_on_one_whose_server_went_away(
        self, manager, line, witness, monkeypatch, linger, idle, ask
    ):
        """Nor on one whose server says that it will, and takes its time to go."""
        monkeypatch.setattr(line, "linger", linger)
        link = manager.checkout(manager.handle()).link
        if idle:
            manager.cleanup()
        end_session(witness, link.backend_pid)
        until(lambda: select.select([link], [], [], 0)[0])
        ask(manager)
        assert manager.checkout(manager.handle()).link is not link
        assert line.statements == ["BEGIN;\nSELECT 1"]

    def test_who_has_a_cursor_of_it_is_told_what_the_server_said(
        self, manager, line, witness, monkeypatch
    ):
        monkeypatch.setattr(line, "linger", 60)
        link, cursor = manager.checkout(manager.handle()).link, manager.handle().cursor()
        end_session(witness, link.backend_pid)
        until(lambda: select.select([link], [], [], 0)[0])
        with pytest.raises(errors.AdminShutdown, match="terminating connection"):
            cursor.execute("SELECT 1")
        assert line.statements == []

    def test_no_commit_is_sent_when_the_server_has_said_that_it_ends_the_session(
        self, manager, line, witness, monkeypatch
    ):
        """Also where it has not closed the socket yet."""
        monkeypatch.setattr(line, "linger", 60)
        Raw("SELECT 1")()
        link = manager.checkout(manager.handle()).link
        end_session(witness, link.backend_pid)
        until(lambda: select.select([link], [], [], 0)[0])
        with pytest.raises(TransactionLost, match="terminating connection"):
            manager.commit()
        assert line.statements == ["BEGIN;\nSELECT 1"]

    def test_nor_where_it_has_said_so_together_with_its_last_answer(
        self, manager, line, witness, monkeypatch
    ):
        monkeypatch.setattr(line, "linger", 60)
        connection = manager.checkout(manager.handle()).link

        def wait(link):
            while link.poll() != extensions.POLL_OK:
                select.select([link], [], [])
                if link is connection:
                    end_session(witness, connection.backend_pid)
                    until(lambda: b"FATAL" in arrived(connection))

        extensions.set_wait_callback(wait)
        try:
            Raw("SELECT 1")()
        finally:
            extensions.set_wait_callback(None)
        with pytest.raises(TransactionLost, match="terminating connection"):
            manager.commit()
        assert line.statements == ["BEGIN;\nSELECT 1"]


def arrived(connection):
    """What a connection has not read yet."""
    with socket.socket(fileno=os.dup(connection.fileno())) as copy:
        return copy.recv(65536, socket.MSG_PEEK)


class Printer:
    """Has what psycopg2 asks for of whoever is to hear notices, and no more of a list."""

    def __init__(self):
        self._said = []
        self.append = self._said.append

    def __iter__(self):
        return iter(self._said)


class TestTheConnectionShowsATransaction:
    def test_to_those_who_ask_its_attributes(self, manager):
        link = manager.handle().conn
        assert (link.status, link.autocommit) == (READY, False)
        Raw("SELECT 1")()
        assert (link.status, link.autocommit, link.isolation_level) == (BEGUN, False, None)
        assert link.get_transaction_status() == IN_TRANSACTION
        link.rollback()
        assert (link.status, link.autocommit) == (READY, False)
        assert link.get_transaction_status() == IDLE

    @pytest.mark.parametrize("change", [
        lambda link: setattr(link, "autocommit", True),
        lambda link: setattr(link, "isolation_level", "SERIALIZABLE"),
        lambda link: setattr(link, "readonly", True),
        lambda link: setattr(link, "deferrable", True),
        lambda link: link.set_session(readonly=True),
        lambda link: link.tpc_begin("transaction"),
    ])  # fmt: skip
    def test_to_those_who_would_change_it(self, manager, line, change):
        Raw("SELECT 1")()
        with pytest.raises(psycopg2.ProgrammingError, match="inside a transaction"):
            change(manager.handle().conn)
        manager.cleanup()
        # psycopg2 has begun it once more, which changes nothing, and does so only once.
        assert line.statements == ["BEGIN;\nSELECT 1", "BEGIN", "SELECT 1", "ROLLBACK"]

    @pytest.mark.parametrize("change", [
        lambda link: link.set_isolation_level(extensions.ISOLATION_LEVEL_SERIALIZABLE),
        lambda link: link.set_client_encoding("LATIN1"),
        lambda link: link.reset(),
    ])  # fmt: skip
    def test_to_what_rolls_back(self, manager, notes, change):
        insert(1)
        change(manager.handle().conn)
        insert(2)
        manager.commit()
        assert notes() == [2]

    def test_to_a_server_side_cursor(self, manager, line):
        Raw("SELECT 1")()
        cursor = manager.handle().cursor(name="numbers")
        cursor.execute("SELECT generate_series(1, 3)")
        assert [row[0] for row in cursor] == [1, 2, 3]
        assert manager.handle().conn.notices == []
        manager.commit()
        with pytest.raises(psycopg2.ProgrammingError, match="isn't valid anymore"):
            cursor.fetchone()

    def test_to_a_server_side_cursor_that_comes_first(self, manager, line):
        cursor = manager.handle().conn.cursor("numbers", cursor_factory=RealDictCursor)
        cursor.execute("SELECT generate_series(1, 3) AS n")
        assert [row["n"] for row in cursor] == [1, 2, 3]
        assert line.statements[0] == "BEGIN"

    def test_to_a_large_object(self, manager):
        Raw("SELECT 1")()
        large = manager.handle().conn.lobject(mode="w")
        large.write("text")
        manager.commit()
        assert manager.handle().conn.lobject(large.oid, "r").read() == "text"

    @pytest.mark.parametrize("kind", [deque, Printer])
    def test_to_whatever_somebody_lets_hear_its_notices(self, manager, monkeypatch, kind):
        monkeypatch.setattr(merging, "LOOK_BYPASS_WINDOW", -1)
        notices = manager.handle().conn.notices = kind()
        for _ in range(2):
            Raw("SELECT 1")()
            manager.handle().cursor(name="numbers")
            Raw("DO $$ BEGIN RAISE NOTICE 'heard'; END $$")()
            manager.commit()
        assert list(notices) == ["NOTICE:  heard\n"] * 2

    def test_to_a_with_block_of_the_connection(self, manager, notes):
        with manager.handle().conn as link:
            insert(1)
        with pytest.raises(ZeroDivisionError), link:
            insert(2)
            1 / 0  # noqa: B018
        insert(3)
        with link:
            insert(4)
        manager.cleanup()
        assert notes() == [1, 3, 4]

    def test_to_other_cursors_of_the_connection(self, manager, notes):
        insert(1)
        with manager.handle().conn.cursor() as plain:
            plain.execute("INSERT INTO notes VALUES (2)")
        manager.cleanup()
        with manager.handle().conn.cursor() as plain:
            plain.execute("INSERT INTO notes VALUES (3)")
        insert(4)
        manager.handle().conn.rollback()
        assert notes() == []

    def test_to_commit_on_the_connection(self, manager, notes):
        insert(1)
        manager.handle().conn.commit()
        insert(2)
        manager.cleanup()
        assert notes() == [1]

    def test_to_copy_and_executemany(self, manager, notes):
        cursor = manager.handle().cursor()
        cursor.copy_expert("COPY notes FROM STDIN", io.StringIO("1\tone\n"))
        cursor.executemany("INSERT INTO notes VALUES (%s)", [(2,), (3,)])
        manager.rollback()
        insert(4)
        cursor.copy_from(io.StringIO("5\tfive\n"), "notes")
        manager.rollback()
        assert notes() == []

    def test_to_two_phase_commit(self, manager):
        link = manager.handle().conn
        link.tpc_begin(link.xid(1, "one", "two"))
        Raw("SELECT 1")()
        link.tpc_rollback()


class TestATransactionThatPsycopg2Began:
    """Allows what psycopg2 allows."""

    @pytest.fixture(params=["cursor", "statement", "listener"])
    def begun(self, request, manager, notes, monkeypatch):
        """The connection, in a transaction that psycopg2 has begun and that has a note."""
        note = "INSERT INTO notes VALUES (1)"

        def leave_open(event):
            event.connection.cursor().execute(note)

        if request.param == "listener":
            manager.listen("checkout", leave_open)
        link = manager.handle().conn
        if request.param == "listener":
            manager.unlisten("checkout", leave_open)
        if request.param == "cursor":
            extensions.cursor(link).execute(note)
        if request.param == "statement":
            # As where the server has not answered for a while, so that BEGIN goes alone.
            monkeypatch.setattr(merging, "ALIVE_BYPASS_WINDOW", 0)
            manager.handle().execute(note)
        return link

    @pytest.mark.parametrize("open_one", [
        lambda handle: handle.cursor(name="numbers"),
        lambda handle: handle.conn.cursor("numbers"),
    ])  # fmt: skip
    def test_a_server_side_cursor(self, manager, begun, open_one):
        cursor = open_one(manager.handle())
        cursor.execute("SELECT id FROM notes")
        assert [row[0] for row in cursor] == [1]

    def test_a_large_object(self, manager, begun):
        large = begun.lobject(mode="w")
        large.write("text")
        manager.rollback()
        with pytest.raises(psycopg2.OperationalError, match="does not exist"):
            begun.lobject(large.oid)

    def test_a_with_block_that_commits_it(self, notes, begun):
        with begun as link:
            link.cursor().execute("INSERT INTO notes VALUES (2)")
        begun.rollback()
        assert 2 in notes()

    @pytest.mark.parametrize("change", [
        lambda link: link.set_isolation_level(extensions.ISOLATION_LEVEL_SERIALIZABLE),
        lambda link: link.set_client_encoding("LATIN1"),
        lambda link: link.reset(),
    ])  # fmt: skip
    def test_what_rolls_it_back(self, notes, begun, change):
        change(begun)
        assert begun.status == READY
        begun.commit()
        assert 1 not in notes()

    @pytest.mark.parametrize("change", [
        lambda link: setattr(link, "autocommit", True),
        lambda link: link.set_session(readonly=True),
        lambda link: link.tpc_begin("transaction"),
    ])  # fmt: skip
    def test_and_refuses_what_psycopg2_refuses(self, begun, change):
        with pytest.raises(psycopg2.ProgrammingError, match="(in|out)side a transaction"):
            change(begun)
        assert begun.status == BEGUN

    def test_two_phase_commit_after_it(self, manager, begun):
        begun.rollback()
        begun.tpc_begin(begun.xid(1, "one", "two"))
        manager.handle().execute("SELECT 1")
        begun.tpc_rollback()


class TestWhoeverIsShownTheConnection:
    """May use it at any time, and psycopg2 begins for what this package does not see."""

    @pytest.fixture(params=["handle", "cursor", "factory", "listener"])
    def shown(self, request, manager):
        """The connection of the current scope, as somebody else gets hold of it."""
        if request.param == "handle":
            return manager.handle().conn
        if request.param == "cursor":
            return Raw("SELECT 1")().connection
        if request.param == "factory":
            return manager.handle().cursor(cursor_factory=RealDictCursor).connection
        kept = []
        manager.listen("checkout", lambda event: kept.append(event.connection))
        manager.handle().execute("SELECT 1")
        return kept[0]

    def test_commits_nothing_after_the_scope_has_ended(self, manager, notes, shown, line):
        # Around everything that could be told of it.
        kept = extensions.cursor(shown)
        manager.cleanup()
        kept.execute("INSERT INTO notes VALUES (1)")
        assert line.statements[-2:] == ["BEGIN", "INSERT INTO notes VALUES (1)"]
        shown.rollback()
        assert notes() == []

    def test_leaves_nothing_to_the_next_scope_to_commit(self, manager, notes, shown):
        kept = extensions.cursor(shown)
        manager.cleanup()
        kept.execute("INSERT INTO notes VALUES (1)")
        insert(2)
        manager.commit()
        assert notes() == [2]

    def test_commits_nothing_that_comes_first_either(self, manager, notes):
        extensions.cursor(manager.handle().conn).execute("INSERT INTO notes VALUES (1)")
        manager.cleanup()
        assert notes() == []

    def test_is_in_the_transaction_that_is_open(self, manager, notes, shown):
        insert(1)
        extensions.cursor(shown).execute("INSERT INTO notes VALUES (2)")
        manager.commit()
        extensions.cursor(shown).execute("INSERT INTO notes VALUES (3)")
        manager.cleanup()
        assert notes() == [1, 2]

    def test_costs_one_round_trip_for_each_later_transaction(self, manager, shown, line):
        manager.cleanup()
        for _ in range(2):
            line.clear()
            Raw("SELECT 1")()
            manager.cleanup()
            assert line.statements == ["BEGIN", "SELECT 1", "ROLLBACK"]

    @pytest.mark.parametrize("event", ["connect", "checkout"])
    def test_a_listener_that_does_not_ask_for_the_connection_costs_nothing(
        self, make_manager, line, event
    ):
        manager = make_manager(dsn=line.dsn)
        manager.listen(event, lambda event: event.holder.place)
        with manager.scope("first"):
            Raw("SELECT 1")()
        line.clear()
        with manager.scope("second"):
            Raw("SELECT 1")()
        assert line.statements == ["BEGIN;\nSELECT 1", "ROLLBACK"]


def _named(cursor):
    named = cursor.connection.cursor("numbers")
    named.execute("SELECT 1 FROM note(1)")
    named.fetchall()


def _with_block(cursor):
    with pytest.raises(ZeroDivisionError), cursor.connection as link:
        extensions.cursor(link).execute("SELECT note(1)")
        1 / 0  # noqa: B018


WAYS = {
    "execute": lambda cursor: cursor.execute("SELECT note(1)"),
    "executemany": lambda cursor: cursor.executemany("SELECT note(%s)", [(1,)]),
    "callproc": lambda cursor: cursor.callproc("note", [1]),
    "copy_from": lambda cursor: cursor.copy_from(io.StringIO("1\tone\n"), "notes"),
    "copy_expert": lambda cursor: cursor.copy_expert(
        "COPY notes FROM STDIN", io.StringIO("1\t1\n")
    ),
    "named cursor": _named,
    "with block": _with_block,
    "psycopg2's cursor": lambda cursor: cursor.connection.cursor().execute("SELECT note(1)"),
}
"""How a statement can get to the server."""


class TestAfterATransactionThatWasEndedAsSql:
    """psycopg2 believes that it goes on; the server would commit each statement by itself."""

    @pytest.fixture
    def handle(self, request, dsn, line, make_manager, witness):
        with psycopg2.connect(dsn) as link:
            link.cursor().execute(
                "CREATE OR REPLACE FUNCTION note(id int) RETURNS int LANGUAGE sql AS"
                " 'INSERT INTO notes VALUES (id) RETURNING id'"
            )
        link.close()
        settings = {"isolation_level": "serializable"} if request.param == "setting" else {}
        manager = make_manager(dsn=line.dsn, **settings)
        if request.param == "opened":
            return manager.open("repeatable read")
        if request.param == "shown":
            manager.handle().conn  # noqa: B018
        return manager.handle()

    @pytest.mark.parametrize("handle", ["default", "shown", "setting", "opened"], indirect=True)
    @pytest.mark.parametrize("end", ["COMMIT", "ROLLBACK", "COMMIT; SELECT 1"])
    @pytest.mark.parametrize("way", WAYS)
    def test_nothing_is_committed_that_nobody_committed(self, notes, handle, end, way):
        cursor = handle.cursor()
        cursor.execute("SELECT 1")
        cursor.execute(end)
        WAYS[way](cursor)
        handle.close()
        assert notes() == []

    @pytest.mark.parametrize("handle", ["default", "shown", "setting", "opened"], indirect=True)
    def test_no_large_object_is_kept_that_nobody_committed(self, notes, handle):
        handle.execute("COMMIT")
        large = handle.conn.lobject(mode="w")
        handle.rollback()
        with pytest.raises(psycopg2.OperationalError, match="does not exist"):
            handle.conn.lobject(large.oid)

    @pytest.mark.parametrize("handle", ["default", "shown", "setting", "opened"], indirect=True)
    @pytest.mark.parametrize("kept", [extensions.cursor, DictCursor])
    def test_nothing_is_committed_by_a_cursor_of_psycopg2_that_somebody_kept(
        self, notes, handle, kept
    ):
        cursor = kept(handle.conn)
        for end in ("COMMIT", "ROLLBACK"):
            handle.execute("SELECT 1")
            handle.execute(end)
            cursor.execute("SELECT note(1)")
            handle.rollback()
        assert notes() == []

    @pytest.mark.parametrize("handle", ["default", "shown", "setting", "opened"], indirect=True)
    def test_what_psycopg2_refuses_inside_one_is_not_refused(self, notes, handle):
        handle.execute("COMMIT")
        handle.conn.set_session(readonly=True)
        with pytest.raises(errors.ReadOnlySqlTransaction):
            handle.execute("SELECT note(1)")

    @pytest.mark.parametrize("handle", ["default", "shown", "setting", "opened"], indirect=True)
    def test_a_block_in_a_block_begins_another(self, notes, handle):
        with handle.transaction():
            handle.execute("COMMIT")
            with handle.transaction():
                handle.execute("SELECT note(1)")
            handle.conn.rollback()
        assert notes() == []


class TestCursors:
    def test_a_cursor_shows_the_statement_alone(self, manager):
        cursor = Raw("SELECT %s::int", ["n"])(1)
        assert cursor.query == b"SELECT 1::int"
        assert cursor.mogrify("SELECT %s", [2]) == b"SELECT 2"
        assert (cursor.rowcount, cursor.statusmessage) == (1, "SELECT 1")

    def test_a_composed_statement_is_one(self, manager, line):
        manager.handle().execute(sql.SQL("SELECT {}").format(sql.Literal(1)))
        assert line.statements == ["BEGIN;\nSELECT 1"]

    def test_a_typed_cursor_begins_too(self, manager, line):
        assert list(FunctionTyped("generate_series", ["a", "b"])(1, 2)) == [1, 2]
        assert line.statements == ["BEGIN;\nSELECT generate_series(1,2)"]

    def test_a_closed_cursor_sends_nothing(self, manager, line):
        cursor = manager.handle().cursor()
        cursor.close()
        with pytest.raises(psycopg2.InterfaceError, match="cursor already closed"):
            cursor.execute("SELECT 1")
        assert manager.handle().conn.status == READY
        assert line.statements == []


class TestRows:
    """What cursors return is psycopg2's DictRow, though not psycopg2 makes it."""

    @pytest.fixture
    def rows(self, manager, dsn):
        """The same rows, of psycopg2's own cursor and of Simpycity's."""
        text = "SELECT n, n * 2 AS double, 'x' AS n FROM generate_series(1, 3) AS n"
        with psycopg2.connect(dsn) as plain:
            cursor = plain.cursor(cursor_factory=DictCursor)
            cursor.execute(text)
            return cursor.fetchall(), Raw(text)()

    @pytest.mark.parametrize("fetch", [
        lambda cursor: cursor.fetchall(),
        lambda cursor: cursor.fetchmany(2) + cursor.fetchmany(2) + cursor.fetchmany(),
        lambda cursor: [cursor.fetchone(), next(cursor), *cursor],
        list,
    ])  # fmt: skip
    def test_they_are_the_same_however_they_are_fetched(self, rows, fetch):
        expected, cursor = rows
        got = fetch(cursor)
        assert got == expected
        for ours, theirs in zip(got, expected, strict=True):
            assert type(ours) is DictRow
            assert dict(ours) == dict(theirs) == {"n": "x", "double": ours[1]}
            assert pickle.loads(pickle.dumps(ours)) == copy.copy(ours) == theirs
        assert cursor.fetchone() is None
        assert cursor.fetchall() == []
        with pytest.raises(StopIteration):
            next(cursor)

    def test_the_columns_are_those_of_the_last_statement(self, manager):
        cursor = manager.handle().cursor()
        for name in ("a", "b"):
            cursor.execute(f"SELECT 1 AS {name}")
            assert dict(cursor.fetchone()) == {name: 1}
        cursor.callproc("upper", ["text"])
        assert dict(cursor.fetchone()) == {"upper": "TEXT"}

    def test_a_statement_without_rows_has_none_to_fetch(self, manager):
        cursor = Raw("SET LOCAL work_mem = '1MB'")()
        for fetch in (cursor.fetchone, cursor.fetchmany, cursor.fetchall):
            with pytest.raises(psycopg2.ProgrammingError, match="no results to fetch"):
                fetch()

    def test_each_value_costs_no_call(self, manager):
        def calls(columns):
            cursor = Raw("SELECT " + ", ".join(map(str, range(columns))))()
            return calls_of(cursor.fetchall)

        assert calls(1) == calls(50)


class TestErrorsInTheFirstStatement:
    @pytest.mark.parametrize("text, error", [
        ("SELEC 1", errors.SyntaxError),
        ("SELECT nope", errors.UndefinedColumn),
        ("SELECT 1 / 0", errors.DivisionByZero),
        ("VACUUM", errors.ActiveSqlTransaction),
        ("SELECT %s", errors.SyntaxError),
    ])  # fmt: skip
    def test_they_fail_the_transaction(self, manager, notes, text, error):
        with pytest.raises(error) as caught:
            manager.handle().execute(text)
        assert "BEGIN" not in str(caught.value)
        with pytest.raises(errors.InFailedSqlTransaction):
            insert(1)
        with pytest.raises(errors.InFailedSqlTransaction, match="cannot be committed"):
            manager.commit()
        manager.rollback()
        insert(2)
        manager.commit()
        assert notes() == [2]

    def test_only_a_statement_that_was_refused_for_its_text_is_sent_again(self, manager, line):
        for text in ("SELECT 1 / 0", "SELEC 1", "SELECT nope"):
            with pytest.raises(psycopg2.Error):
                manager.handle().execute(text)
            manager.rollback()
        assert line.statements == [
            "BEGIN;\nSELECT 1 / 0", "ROLLBACK",
            "BEGIN;\nSELEC 1", "BEGIN", "SELEC 1", "ROLLBACK",
            "BEGIN;\nSELECT nope", "ROLLBACK", "BEGIN", "SELECT nope", "ROLLBACK",
        ]  # fmt: skip

    @pytest.mark.parametrize("text", ["SELEC 1", "SELECT nope", "SELECT 1,\n  nope"])
    def test_the_error_points_to_the_place_in_the_statement(self, manager, dsn, text):
        with psycopg2.connect(dsn) as plain, pytest.raises(psycopg2.Error) as expected:
            plain.cursor().execute(text)
        with pytest.raises(psycopg2.Error) as caught:
            manager.handle().execute(text)
        assert str(caught.value) == str(expected.value)
        assert caught.value.diag.statement_position == expected.value.diag.statement_position

    def test_a_commit_that_fails_leaves_no_transaction(self, manager, notes):
        manager.handle().execute(
            "ALTER TABLE notes ADD FOREIGN KEY (id) REFERENCES notes DEFERRABLE, "
            "ADD parent int REFERENCES notes DEFERRABLE INITIALLY DEFERRED"
        )
        manager.commit()
        Raw("INSERT INTO notes VALUES (1, '', 7)")()
        with pytest.raises(errors.ForeignKeyViolation):
            manager.commit()
        insert(2)
        manager.commit()
        assert notes() == [2]

    def test_a_rollback_written_as_sql_ends_it(self, manager, notes):
        insert(1)
        Raw("ROLLBACK")()
        insert(2)
        manager.commit()
        assert notes() == [2]

    def test_a_connection_that_breaks_under_it_breaks_the_transaction(self, manager, notes, line):
        with pytest.raises(psycopg2.OperationalError):
            Raw("SELECT pg_terminate_backend(pg_backend_pid())")()
        assert len(line.statements) == 1
        with pytest.raises(TransactionLost):
            insert(1)
        manager.rollback()
        insert(2)
        manager.commit()
        assert notes() == [2]

    @pytest.mark.parametrize("ask", [
        lambda handle: handle.cursor(name="numbers"),
        lambda handle: handle.conn.lobject(),
    ])  # fmt: skip
    def test_a_connection_that_breaks_as_psycopg2_takes_over_breaks_it_too(
        self, manager, notes, witness, ask
    ):
        insert(1)
        end_session(witness, manager.checkout(manager.handle()).link.backend_pid)
        with pytest.raises(psycopg2.OperationalError):
            ask(manager.handle())
        with pytest.raises(TransactionLost):
            insert(2)
        manager.rollback()
        assert notes() == []


class TestOtherTransactions:
    @pytest.mark.parametrize("level", ["serializable", "repeatable read"])
    def test_those_with_a_level_begin_as_psycopg2_does(self, connect, line, level):
        manager = connect(isolation_level=level)
        assert Raw("SHOW transaction_isolation")().fetchone()[0] == level
        manager.cleanup()
        assert line.statements[0] == f"BEGIN ISOLATION LEVEL {level.upper()}"

    def test_what_a_scope_set_lasts_as_long_as_the_scope(self, manager, line):
        with manager.scope("first"):
            manager.handle().conn.readonly = True
            assert Raw("SHOW transaction_read_only")().fetchone()[0] == "on"
        assert line.statements[0] == "BEGIN READ ONLY"
        with manager.scope("second"):
            assert Raw("SHOW transaction_read_only")().fetchone()[0] == "off"
        assert line.statements[-2:] == ["SHOW transaction_read_only", "ROLLBACK"]

    def test_reset_by_discard_all_too(self, connect, line):
        manager = connect(pool_reset="discard")
        Raw("SELECT 1")()
        manager.cleanup()
        assert line.statements == ["BEGIN;\nSELECT 1", "ROLLBACK", "DISCARD ALL"]
