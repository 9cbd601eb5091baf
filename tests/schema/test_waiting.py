"""What applies a schema waits for no lock blindly, and leaves nothing behind where it is ended."""

import os
import signal
import subprocess
import threading

import pytest
from projects import PASTER, change, create, paster
from psycopg2.extensions import parse_dsn
from simpycity.core import Raw
from support import PATIENCE, fork, until

from simpycity_template.monitoring import pg_sessions
from simpycity_template.schema import Schema, SchemaError, apply
from simpycity_template.schema.lock_watch import LockWatch

pytestmark = pytest.mark.slow

NOTE = "CREATE TABLE note (id int PRIMARY KEY, title text);\n"
BODY = "ALTER TABLE note ADD COLUMN body text;"
COLUMNS = "SELECT attname::text FROM pg_attribute WHERE attrelid = 'note'::regclass AND attnum > 0"
WAITING = (
    "SELECT pid FROM pg_stat_activity"
    " WHERE datname = current_database() AND wait_event_type = 'Lock'"
)


@pytest.fixture
def reader(make_manager, dsn):
    """Another application, which has read the table and holds its transaction open."""
    manager = make_manager(name="reader", dsn=dsn, tag_statements="true")
    entered, leave = threading.Event(), threading.Event()

    def read():
        with manager.scope("GET /notes"):
            Raw("SELECT title FROM note WHERE title = 'secret'", handle=manager.handle())()
            entered.set()
            leave.wait()

    thread = threading.Thread(target=read, name="a reader")

    def start():
        thread.start()
        assert entered.wait(PATIENCE)
        return next(one.backend_pid for one in manager.status() if one.state == "in use")

    yield start
    leave.set()
    if thread.ident:
        thread.join()


def test_a_lock_that_is_not_to_be_had_is_told_with_its_holder(make_manager, folder, rows, reader):
    schema = Schema(make_manager(name="impatient", schema_lock_timeout=2), folder.path)
    folder.migration("0001_note.sql", NOTE)
    schema.apply()
    pid = reader()
    folder.migration("0002_change.sql", BODY)
    with pytest.raises(SchemaError) as error:
        schema.apply()
    said = str(error.value)
    assert "0002_change.sql, line 1: canceling statement due to lock timeout" in said
    assert "(simpycity.schema_lock_timeout = 2 s)" in said
    assert f"session {pid} of 'reader', role postgres, idle in transaction for" in said
    assert "GET /notes, thread a reader of " in said
    assert f"{os.path.relpath(__file__)}:" in said
    assert "SELECT title FROM note WHERE title = ?" in said
    assert "secret" not in said
    assert rows(COLUMNS) == ["id", "title"]


def test_a_single_file_does_not_wait_blindly_either(make_manager, tmp_path, rows, reader):
    manager = make_manager(name="impatient", schema_lock_timeout=2)
    file = tmp_path / "schema.sql"
    file.write_text(NOTE)
    apply(manager, file)
    pid = reader()
    file.write_text(BODY)
    with pytest.raises(SchemaError, match=f"held by\n  session {pid} of 'reader', role"):
        apply(manager, file)
    assert rows(COLUMNS) == ["id", "title"]


def test_a_lock_that_a_concurrent_index_waits_for_is_told_with_its_holder(
    make_manager, folder, rows, server
):
    schema = Schema(make_manager(schema_lock_timeout=2), folder.path)
    folder.migration("0001_note.sql", NOTE)
    schema.apply()
    folder.migration("0002_title.sql", "CREATE INDEX CONCURRENTLY note_title ON note (title)")
    link = server.connect(rows("SELECT current_database()")[0])
    try:
        with link.cursor() as cursor:
            cursor.execute("BEGIN; LOCK note")
            with pytest.raises(SchemaError, match=f"held by\n  session {link.info.backend_pid} "):
                schema.apply()
            cursor.execute("ROLLBACK")
    finally:
        link.close()
    assert rows("SELECT name FROM simpycity_migration") == ["0001_note.sql"]
    schema.apply()
    assert rows("SELECT indisvalid FROM pg_index WHERE indexrelid = 'note_title'::regclass") == [
        True
    ]


def test_who_held_a_lock_is_still_known_when_the_wait_has_ended(
    make_manager, rows, server, monkeypatch
):
    manager, name = make_manager(), rows("SELECT current_database()")[0]
    holder, waiter = server.connect(name), server.connect(name)
    answers = []

    def blockers(*args, ask=pg_sessions.blockers):
        answers.append(ask(*args))
        return answers[-1]

    monkeypatch.setattr(pg_sessions, "blockers", blockers)
    with holder.cursor() as cursor, LockWatch(manager, waiter.info.backend_pid, 0.04) as watch:
        cursor.execute("SELECT pg_advisory_lock(1)")
        thread = threading.Thread(
            target=waiter.cursor().execute, args=["SELECT pg_advisory_lock(1)"]
        )
        thread.start()
        until(lambda: answers and answers[-1])
        cursor.execute("SELECT pg_advisory_unlock(1)")
        thread.join(PATIENCE)
        until(lambda: answers[-1] == [])
        (found,) = watch.found
    assert found.startswith(f"session {holder.info.backend_pid} ")
    holder.close()
    waiter.close()


def test_without_a_timeout_the_holder_is_logged_while_it_waits(
    make_manager, folder, rows, reader, caplog
):
    schema = Schema(make_manager(schema_lock_timeout=0), folder.path)
    folder.migration("0001_note.sql", NOTE)
    schema.apply()
    pid = reader()
    folder.migration("0002_change.sql", BODY)
    thread = threading.Thread(target=schema.apply)
    thread.start()
    try:
        until(lambda: f"waiting for a lock; it is held by session {pid} of 'reader'" in caplog.text)
    finally:
        rows(f"SELECT pg_terminate_backend({pid})")
        thread.join()
    assert rows(COLUMNS) == ["id", "title", "body"]


# --- ended from outside ---


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    return create(tmp_path_factory.mktemp("waiting"), "HelloWorld", "example=False")


def in_the_background():
    """In a child process: be as what a shell starts with ``&``."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


@pytest.mark.parametrize(
    ("ending", "status", "begin"),
    [
        pytest.param(signal.SIGINT, -2, None, id="SIGINT"),
        pytest.param(signal.SIGTERM, 143, in_the_background, id="SIGTERM"),
        pytest.param(signal.SIGKILL, -9, None, id="SIGKILL"),
    ],
)
def test_setup_app_that_is_ended_leaves_nothing_in_the_server(
    project, dsn, rows, server, ending, status, begin
):
    migrations = project / "helloworld" / "model" / "migrations"
    migrations.mkdir(exist_ok=True)
    (migrations / "0002_body.sql").unlink(missing_ok=True)
    (migrations / "0001_note.sql").write_text(NOTE)
    ini = project / "development.ini"
    change(ini, "simpycity.dsn", f"{dsn}\nsimpycity.schema_lock_timeout = 0")
    try:
        done = paster("setup-app", "development.ini", cwd=project)
        assert done.returncode == 0, done.stderr
        (migrations / "0002_body.sql").write_text(BODY)
        link = server.connect(parse_dsn(dsn)["dbname"])
        with link.cursor() as cursor:
            cursor.execute("BEGIN; LOCK note IN ACCESS SHARE MODE")
            process = subprocess.Popen(
                [PASTER, "setup-app", "development.ini"],
                cwd=project,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                preexec_fn=begin,
            )
            until(lambda: rows(WAITING))
            process.send_signal(ending)
            _, told = process.communicate(timeout=PATIENCE)
            assert process.returncode == status, told
            assert "Traceback" not in told
            # The lock is held all the time, and nobody waits for it any more.
            until(lambda: rows(WAITING) == [])
        link.close()
        assert rows(COLUMNS) == ["id", "title"]
        assert paster("setup-app", "development.ini", cwd=project).returncode == 0
        assert rows(COLUMNS) == ["id", "title", "body"]
    finally:
        ini.write_text(ini.read_text().replace("\nsimpycity.schema_lock_timeout = 0", ""))


GATES = 7


def gate(number, statement):
    """A statement that waits while the test has the lock of this number."""
    return f"SELECT pg_advisory_xact_lock_shared({number});\n{statement}\n"


@pytest.mark.parametrize("stop", range(1, GATES + 1))
def test_ten_at_once_that_are_killed_at_a_statement_leave_the_schema_as_it_was(
    make_manager, folder, rows, server, stop
):
    folder.migration("0001_note.sql", NOTE)
    folder.functions("CREATE OR REPLACE FUNCTION f() RETURNS int RETURN 1;")
    first = make_manager(schema_lock_timeout=0)
    Schema(first, folder.path).apply()
    first.dispose()
    rows("INSERT INTO note VALUES (1, 'kept'); CREATE SEQUENCE runs")
    folder.migration(
        "0002_body.sql",
        gate(1, BODY) + gate(2, "UPDATE note SET body = title;"),
    )
    folder.migration(
        "0003_title.sql",
        gate(3, "ALTER TABLE note DROP COLUMN title;") + gate(4, "SELECT nextval('runs');"),
    )
    folder.functions(
        gate(5, "DROP FUNCTION IF EXISTS f();")
        + gate(6, "CREATE OR REPLACE FUNCTION f(a int = 2) RETURNS int RETURN a;")
        + gate(7, "SELECT nextval('runs');")
    )

    def setup():
        Schema(first, folder.path).apply()

    def at_gate():
        return rows(f"{WAITING} AND query LIKE '%pg_advisory_xact_lock_shared%'")

    def state():
        return rows("SELECT f()"), rows(COLUMNS), rows("SELECT * FROM note")

    before = state()
    link = server.connect(rows("SELECT current_database()")[0])
    with link.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_lock(%s)", [stop])
        children = [fork(setup) for _ in range(10)]
        until(at_gate)
        for child in children:
            os.kill(child, signal.SIGKILL)
        for child in children:
            os.waitpid(child, 0)
        # Their sessions end by themselves, though what they wait for is not to be had.
        until(lambda: rows(
            "SELECT count(*) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        ) == [1])  # fmt: skip
        assert state() == before
        cursor.execute("SELECT pg_advisory_unlock(%s)", [stop])
    link.close()
    children = [fork(setup) for _ in range(10)]
    assert [os.waitpid(child, 0)[1] for child in children] == [0] * 10
    assert rows("SELECT f()") == [2]
    assert "title" not in rows(COLUMNS)
    assert rows("SELECT body FROM note") == ["kept"]
