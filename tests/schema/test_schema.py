"""A file of SQL is applied whole or not at all, and a mistake in it is found by file and line."""

import threading

import pytest

from simpycity_template import schema
from simpycity_template.driver.sql_text import statements
from simpycity_template.schema import SchemaError

TABLE = "CREATE TABLE IF NOT EXISTS thing (id int PRIMARY KEY);\n"


@pytest.fixture
def apply(manager, tmp_path):
    """Applies a text, as a file."""

    def apply(text):
        path = tmp_path / "schema.sql"
        path.write_text(text)
        schema.apply(manager, path)

    return apply


@pytest.fixture
def fails(apply):
    """Applies a text that cannot be, and returns what is said of it."""

    def fails(text):
        with pytest.raises(SchemaError) as refused:
            apply(text)
        return str(refused.value)

    return fails


@pytest.fixture
def value(manager):
    """Asks the database for one value."""

    def value(query):
        with manager.scope("test"):
            cursor = manager.handle().cursor()
            cursor.execute(query)
            return cursor.fetchone()[0]

    return value


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", []),
        (" -- nothing\n ; ;", []),
        ("SELECT 1; SELECT 2", ["SELECT 1", "SELECT 2"]),
        ("/* a; /* b; */ c; */ SELECT 1;", ["SELECT 1"]),
        ("SELECT ';' , E'\\';' , 'it''s;' ;", ["SELECT ';' , E'\\';' , 'it''s;' "]),
        ('SELECT 1 AS "a;""b" ;', ['SELECT 1 AS "a;""b" ']),
        ("DO $$ BEGIN; END $$; SELECT 1", ["DO $$ BEGIN; END $$", "SELECT 1"]),
        ("DO $a$ ; $b$ ; $$ ; $a$; SELECT $1", ["DO $a$ ; $b$ ; $$ ; $a$", "SELECT $1"]),
        ("CREATE RULE r AS ON INSERT TO t DO (SELECT 1; SELECT 2); SELECT 3", 2),
        ("CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT 1; SELECT 2; END; SELECT 3", 2),
        (
            "CREATE OR REPLACE PROCEDURE p() BEGIN ATOMIC SELECT CASE WHEN true THEN 1 END;"
            + " SELECT 2; END; SELECT 3",
            2,
        ),
        ("CREATE TABLE begin_atomic (id int); SELECT 1", 2),
    ],
)
def test_a_text_is_taken_apart_into_its_statements(text, found):
    found_statements = [text[start:end] for start, end in statements(text)]
    assert found in (found_statements, len(found_statements))


def test_a_file_is_applied(apply, value):
    apply(TABLE + "INSERT INTO thing VALUES (1); -- 100 %\n")
    assert value("SELECT count(*) FROM thing") == 1


def test_applying_it_twice_is_harmless_where_its_statements_are(apply, value):
    for _ in range(2):
        apply(TABLE + "CREATE OR REPLACE FUNCTION f() RETURNS int RETURN 1;")
    assert value("SELECT f()") == 1


@pytest.mark.parametrize(
    ("mistake", "line", "said"),
    [
        ("SELECT\n  1,\n  nix;", 4, 'column "nix" does not exist'),
        ("SELEKT 1;", 2, 'syntax error at or near "SELEKT"'),
        # PostgreSQL names no place in these; the statement's first line is named.
        ("/* more */\nCREATE TABLE\n thing ();", 3, 'relation "thing" already exists'),
        ("SELECT 1;\n\nSELECT 1 / (SELECT 0);", 4, "division by zero"),
        ("CREATE FUNCTION f() RETURNS int\nLANGUAGE sql AS $$\n SELECT nix $$;", 4, '"nix"'),
        ("SELECT 'ä', nix;", 2, '"nix"'),
        ("SELECT 'open;\n", 2, "unterminated quoted string"),
        ("VACUUM;", 2, "cannot run inside a transaction block"),
    ],
)
def test_a_mistake_is_told_with_file_line_and_postgresqls_words(fails, value, mistake, line, said):
    first = fails(TABLE + mistake).splitlines()[0]
    assert f"schema.sql, line {line}: " in first
    assert said in first
    assert value("SELECT to_regclass('thing')") is None


def test_a_mistake_is_told_with_postgresqls_hint(apply, fails):
    apply("CREATE FUNCTION f() RETURNS int RETURN 1;")
    said = fails("CREATE OR REPLACE FUNCTION f() RETURNS text RETURN '1';")
    assert "Use DROP FUNCTION f() first." in said


def test_a_mistake_found_at_commit_is_told_too(fails, value):
    said = fails(
        "CREATE TABLE thing (id int PRIMARY KEY, other int REFERENCES thing"
        " DEFERRABLE INITIALLY DEFERRED);\nINSERT INTO thing VALUES (1, 2);"
    )
    assert "schema.sql: " in said
    assert "violates foreign key constraint" in said
    assert value("SELECT to_regclass('thing')") is None


@pytest.mark.parametrize("control", ["BEGIN", "commit", "ROLLBACK", "START TRANSACTION", "END"])
def test_a_statement_that_would_end_the_one_transaction_is_refused(fails, value, control):
    assert f"line 2: {control}: " in fails(TABLE + f"{control};")
    assert value("SELECT to_regclass('thing')") is None


def test_a_file_that_is_not_there_is_told(manager, tmp_path):
    with pytest.raises(SchemaError, match=r"nix\.sql"):
        schema.apply(manager, tmp_path / "nix.sql")


def test_a_file_that_is_not_utf_8_is_told(manager, tmp_path):
    (tmp_path / "latin.sql").write_bytes("SELECT 1;\nSELECT 'ä'".encode("latin-1"))
    with pytest.raises(SchemaError, match=r"latin\.sql, line 2: this is not UTF-8"):
        schema.apply(manager, tmp_path / "latin.sql")


def test_a_server_that_is_not_there_is_told(make_manager, tmp_path):
    (tmp_path / "schema.sql").write_text(TABLE)
    manager = make_manager(dsn=f"host={tmp_path} connect_timeout=2")
    with pytest.raises(SchemaError, match="No such file or directory") as error:
        schema.apply(manager, tmp_path / "schema.sql")
    assert str(error.value).startswith(f"manager {manager.name!r} has no connection")
    assert "schema.sql" not in str(error.value)


def test_several_at_once_do_it_one_after_the_other(apply, value):
    # Without the lock, PostgreSQL fails one of two that replace a function at the same time.
    text = TABLE + "CREATE OR REPLACE FUNCTION f() RETURNS int RETURN 1; SELECT pg_sleep(0.05);"
    start, problems = threading.Barrier(4), []

    def work():
        start.wait()
        for _ in range(3):
            try:
                apply(text)
            except SchemaError as error:
                problems.append(str(error))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert problems == []
    assert value("SELECT f()") == 1


def test_a_letter_that_the_databases_encoding_lacks_is_found_by_its_line(
    make_manager, dsn, tmp_path
):
    path = tmp_path / "schema.sql"
    path.write_text(TABLE + "-- ü\nSELECT 'ü',\n  '€'", encoding="utf-8")
    with pytest.raises(SchemaError, match="schema.sql, line 4: '€' is not in the encoding"):
        schema.apply(make_manager(dsn=f"{dsn} client_encoding=LATIN1"), path)
