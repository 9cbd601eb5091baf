"""Migrations are applied once each, in their order, and with the functions whole or not at all."""

import threading

import pytest
from support import until

from simpycity_template.schema import Schema, SchemaError

NOTE = "CREATE TABLE note (id int PRIMARY KEY, title text);\n"
COUNT = """CREATE OR REPLACE FUNCTION notes() RETURNS bigint LANGUAGE sql STABLE AS $$
SELECT count(*) FROM note $$;
"""
APPLIED = "SELECT name FROM simpycity_migration WHERE applied IS NOT NULL ORDER BY name"
TABLES = "SELECT relname::text FROM pg_class WHERE relnamespace = 'public'::regnamespace"


@pytest.fixture
def refused(schema):
    """Applies a schema that cannot be, and returns what is said of it."""

    def refused():
        with pytest.raises(SchemaError) as error:
            schema.apply()
        return str(error.value)

    return refused


def test_migrations_are_applied_in_the_order_of_their_numbers_and_then_the_functions(
    schema, folder, rows
):
    folder.migration("10_body.sql", "ALTER TABLE note ADD COLUMN body text;")
    folder.migration("9_note.sql", NOTE)
    folder.functions(COUNT)
    schema.apply()
    assert rows(APPLIED) == ["10_body.sql", "9_note.sql", "schema.sql"]
    assert rows("SELECT notes()") == [0]


def test_a_migration_is_applied_once_and_the_functions_each_time(schema, folder, rows):
    folder.migration("0001_note.sql", NOTE)
    folder.functions(COUNT + "INSERT INTO note VALUES ((SELECT 1 + count(*) FROM note), '');")
    schema.apply()
    folder.migration("0002_body.sql", "ALTER TABLE note ADD COLUMN body text;")
    schema.apply()
    assert rows("SELECT count(body) + count(*) FROM note") == [2]


@pytest.mark.parametrize("where", ["migration", "functions"])
def test_a_mistake_takes_back_all_files_of_the_run(schema, folder, rows, refused, where):
    folder.migration("0001_note.sql", NOTE)
    folder.migration("0002_body.sql", "SELECT 1;\nSELECT nix;" if where == "migration" else "")
    folder.functions(COUNT + ("\nSELECT nix;" if where == "functions" else ""))
    name = {"migration": "0002_body.sql, line 2", "functions": "schema.sql, line 4"}[where]
    assert f'{name}: column "nix" does not exist' in refused()
    assert rows(TABLES) == []


def test_a_mistake_that_postgresql_finds_at_commit_takes_back_all(folder, rows, refused):
    folder.migration("0001_note.sql", NOTE)
    folder.migration(
        "0002_parent.sql",
        "ALTER TABLE note ADD COLUMN parent int REFERENCES note DEFERRABLE INITIALLY DEFERRED;"
        "INSERT INTO note VALUES (1, '', 2);",
    )
    assert "violates foreign key constraint" in refused()
    assert rows(TABLES) == []


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            lambda folder: folder.migration("0001_note.sql", NOTE + "-- more"),
            "0001_note.sql was changed after it was applied on 20",
        ),
        (
            lambda folder: (folder.path / "migrations" / "0001_note.sql").unlink(),
            "0001_note.sql is missing; it was applied on 20",
        ),
        (
            lambda folder: folder.migration("1_again.sql", "SELECT 1"),
            "0001_note.sql and 1_again.sql have one number: give the newer one the next free",
        ),
        (
            lambda folder: folder.migration("0000_late.sql", "SELECT 1"),
            "0000_late.sql is new, but 0001_note.sql was applied before it: give it a number above",
        ),
        (
            lambda folder: folder.migration("body.sql", "SELECT 1"),
            "body.sql: the name of a migration begins with its number, as in 0001_notes.sql",
        ),
        (
            lambda folder: folder.migration("0002_body.sql", "SELECT 1;\nCOMMIT;"),
            "0002_body.sql, line 2: COMMIT: the file is run in one transaction",
        ),
    ],
)
def test_files_that_do_not_fit_the_database_are_refused(
    schema, folder, rows, refused, change, said
):
    folder.migration("0001_note.sql", NOTE)
    folder.functions(COUNT)
    schema.apply()
    folder.functions("CREATE TABLE never ();")
    change(folder)
    assert said in refused()
    assert "never" not in rows(TABLES)


def test_a_folder_without_any_file_is_refused(refused, folder):
    assert f"{folder.path}: there is neither schema.sql nor migrations/*.sql" in refused()


def test_the_line_ends_of_another_system_are_no_change(schema, folder):
    path = folder.migration("0001_note.sql", NOTE)
    schema.apply()
    path.write_bytes(NOTE.replace("\n", "\r\n").encode())
    schema.apply()


def test_a_migration_may_set_what_a_dump_of_postgresql_sets(schema, folder, rows, manager):
    folder.migration(
        "0001_dump.sql",
        "SET lock_timeout = 0; SELECT pg_catalog.set_config('search_path', '', false);"
        "CREATE TABLE public.note (id int, title text);",
    )
    folder.functions(COUNT)
    schema.apply()
    schema.apply()
    assert rows(APPLIED) == ["0001_dump.sql", "schema.sql"]
    with manager.scope("look"), manager.handle().cursor() as cursor:
        cursor.execute("SHOW search_path")
        assert cursor.fetchone()[0] == '"$user", public'


# --- functions that are left behind ---


def test_a_function_that_got_one_more_argument_is_told_with_the_line_that_drops_the_old_one(
    schema, folder, rows, refused
):
    folder.functions("CREATE OR REPLACE FUNCTION f(a int) RETURNS int RETURN 1;")
    schema.apply()
    new = "CREATE OR REPLACE FUNCTION f(a int, b int = 0) RETURNS int RETURN 2;"
    folder.functions(new)
    said = refused()
    assert "schema.sql: f(integer) is left behind beside f(integer,integer)" in said
    drop = said.splitlines()[-1].strip()
    assert drop == "DROP FUNCTION IF EXISTS f(integer);"
    assert rows("SELECT f(1)") == [1]
    folder.functions(f"{drop}\n{new}")
    schema.apply()
    schema.apply()
    assert rows("SELECT f(1)") == [2]


def test_functions_of_one_name_that_the_file_makes_all_may_stay(schema, folder):
    folder.functions(
        "CREATE OR REPLACE FUNCTION f(a int) RETURNS int RETURN 1;"
        "CREATE OR REPLACE FUNCTION f(a text) RETURNS int RETURN 2;"
    )
    schema.apply()
    schema.apply()


# --- statements that cannot run in a transaction ---

INDEX = "CREATE UNIQUE INDEX CONCURRENTLY note_title ON note (title);\n"
VALID = "SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass('note_title')"


@pytest.fixture
def with_index(folder):
    """A folder with a migration that cannot run in a transaction, between others."""
    folder.migration("0001_note.sql", NOTE)
    folder.migration("0002_title.sql", INDEX)
    folder.migration("0003_body.sql", "ALTER TABLE note ADD COLUMN body text;")
    folder.functions(COUNT)
    return folder


def test_an_index_is_made_concurrently_by_itself_and_that_is_logged(
    schema, with_index, rows, caplog
):
    caplog.set_level("INFO")
    schema.apply()
    assert "0002_title.sql cannot run in a transaction; it is run by itself" in caplog.text
    assert rows(VALID) == [True]
    assert len(rows(APPLIED)) == 4


def test_a_concurrent_index_that_fails_leaves_nothing_and_is_made_when_it_can_be(
    schema, with_index, rows, refused
):
    with_index.migration("0001_note.sql", NOTE + "INSERT INTO note VALUES (1, 'a'), (2, 'a');")
    assert "0002_title.sql, line 1: could not create unique index" in refused()
    assert rows(VALID) == []
    assert rows(APPLIED) == ["0001_note.sql"]
    rows("DELETE FROM note")
    schema.apply()
    assert rows(VALID) == [True]
    assert len(rows(APPLIED)) == 4


@pytest.mark.parametrize("valid", [True, False])
def test_a_concurrent_index_that_was_interrupted_is_made_again_or_kept(
    schema, with_index, rows, valid
):
    # As a process leaves it that was killed while the index was made, or just after.
    (with_index.path / "migrations" / "0002_title.sql").rename(with_index.path / "later")
    (with_index.path / "migrations" / "0003_body.sql").unlink()
    schema.apply()
    rows(INDEX)
    rows(f"UPDATE pg_index SET indisvalid = {valid} WHERE indexrelid = 'note_title'::regclass")
    with_index.migration("0002_title.sql", INDEX)
    from simpycity_template.schema.script import Script

    script = Script.read(with_index.path / "migrations" / "0002_title.sql")
    rows(f"INSERT INTO simpycity_migration VALUES ('0002_title.sql', '{script.checksum}')")
    before = rows("SELECT 'note_title'::regclass::oid")
    schema.apply()
    assert rows(VALID) == [True]
    assert (rows("SELECT 'note_title'::regclass::oid") == before) is valid


def test_a_statement_that_needs_to_be_alone_is_refused_beside_others(schema, folder, rows, refused):
    folder.migration("0001_note.sql", NOTE + INDEX)
    said = refused()
    assert "0001_note.sql, line 2: CREATE INDEX CONCURRENTLY cannot run inside" in said
    assert "Such a statement is alone in its migration" in said
    assert rows(TABLES) == []


def test_a_concurrent_index_without_a_name_is_refused(folder, refused):
    folder.migration("0001_note.sql", NOTE)
    folder.migration("0002_title.sql", "CREATE INDEX CONCURRENTLY ON note (title)")
    assert "0002_title.sql: give the index a name" in refused()


# --- several at once ---


def test_several_at_once_apply_each_file_once(make_manager, with_index, rows, server):
    # The sequence counts also where the transaction is taken back.
    rows("CREATE SEQUENCE runs")
    with_index.functions(COUNT + "SELECT nextval('runs');")
    managers = [make_manager(name=f"at once {number}") for number in range(6)]
    start, problems = threading.Barrier(len(managers)), []

    def work(manager):
        schema = Schema(manager, with_index.path)
        start.wait()
        try:
            schema.apply()
        except Exception as error:
            problems.append(error)

    threads = [threading.Thread(target=work, args=[manager]) for manager in managers]
    # All of them have begun before the first can do anything.
    link = server.connect(rows("SELECT current_database()")[0])
    with link.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_lock(%s)", [0x51_3C_17_59])
        for thread in threads:
            thread.start()
        until(lambda: rows(
            "SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'at once %'"
        ) == [len(managers)])  # fmt: skip
    link.close()
    for thread in threads:
        thread.join()
    assert problems == []
    assert rows("SELECT last_value FROM runs") == [1]
    assert len(rows(APPLIED)) == 4


def test_one_that_waits_for_another_process_logs_for_whom(schema, folder, rows, server, caplog):
    folder.functions(COUNT.replace("note $$", "pg_class $$"))
    link = server.connect(rows("SELECT current_database()")[0])
    thread = threading.Thread(target=schema.apply)
    try:
        with link.cursor() as cursor:
            cursor.execute("SELECT pg_backend_pid(), pg_advisory_lock(%s)", [0x51_3C_17_59])
            pid = cursor.fetchone()[0]
        thread.start()
        until(lambda: f"waiting for it: session {pid} of role" in caplog.text)
    finally:
        link.close()
        thread.join()
    assert rows("SELECT notes() > 0") == [True]


def test_a_failed_statement_outside_of_a_transaction_lets_the_lock_go(
    schema, with_index, refused, rows
):
    with_index.migration("0001_note.sql", NOTE + "INSERT INTO note VALUES (1, 'a'), (2, 'a');")
    refused()
    locks = (
        "SELECT count(*) FROM pg_locks JOIN pg_database ON pg_database.oid = database "
        "WHERE locktype = 'advisory' AND datname = current_database()"
    )
    # A session that was closed may end a moment later.
    until(lambda: rows(locks) == [0])
