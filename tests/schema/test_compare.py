"""A database that is not as its files say is told apart from them, thing by thing."""

import pytest
from psycopg2.extensions import make_dsn, parse_dsn

from simpycity_template.schema import Schema, SchemaError

TABLE = """
CREATE TYPE mood AS ENUM ('good', 'bad');
CREATE TABLE author (id int PRIMARY KEY);
CREATE TABLE note (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    author int NOT NULL REFERENCES author,
    title text NOT NULL CONSTRAINT short CHECK (length(title) < 100),
    mood mood DEFAULT 'good'
);
CREATE INDEX note_author ON note (author);
CREATE VIEW titles AS SELECT title FROM note;
"""
FUNCTIONS = """
CREATE OR REPLACE FUNCTION notes() RETURNS bigint LANGUAGE sql STABLE AS $$
    SELECT count(*) FROM note;
$$;
CREATE OR REPLACE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN RETURN new; END $$;
CREATE OR REPLACE TRIGGER touched BEFORE UPDATE ON note FOR EACH ROW EXECUTE FUNCTION touch();
"""
DATABASES = "SELECT datname::text FROM pg_database WHERE datname LIKE 'simpycity_check%'"


@pytest.fixture
def applied(schema, folder):
    """A schema that is in the database."""
    folder.migration("0001_note.sql", TABLE)
    folder.functions(FUNCTIONS)
    schema.apply()
    return schema


def test_a_database_that_was_made_by_its_files_is_the_same(applied, rows):
    assert applied.compare().differences == []
    assert rows(DATABASES) == []


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            "ALTER TABLE note ADD COLUMN extra text",
            ["only in the database: column note.extra text"],
        ),
        (
            "ALTER TABLE note DROP COLUMN mood",
            ["only in the files: column note.mood mood DEFAULT 'good'::mood"],
        ),
        (
            "ALTER TABLE note ALTER author TYPE bigint",
            [
                "different: column note.author\n"
                "  in the database: bigint NOT NULL\n  in the files:    integer NOT NULL"
            ],
        ),
        (
            "ALTER TABLE note DROP CONSTRAINT short",
            ["only in the files: constraint note.short CHECK (length(title) < 100)"],
        ),
        (
            "DROP INDEX note_author",
            [
                "only in the files: index note_author "
                "CREATE INDEX note_author ON public.note USING btree (author)"
            ],
        ),
        ("CREATE TABLE other ()", ["only in the database: table other"]),
        ("CREATE SEQUENCE other", ["only in the database: sequence other"]),
        ("DROP VIEW titles", ["only in the files: view titles"]),
        ("DROP TRIGGER touched ON note", ["only in the files: trigger note.touched CREATE"]),
        ("ALTER TYPE mood ADD VALUE 'so'", ["different: type mood\n  in the database: ENUM"]),
        (
            "CREATE DOMAIN pos AS int CHECK (value > 0)",
            ["only in the database: domain pos integer"],
        ),
        (
            "CREATE FUNCTION f(a int) RETURNS int RETURN 1",
            ["only in the database: function f(integer)"],
        ),
        ("DROP FUNCTION notes()", ["only in the files: function notes()"]),
        (
            FUNCTIONS.replace("count(*)", "0"),
            ["different: function notes()\n  --- in the database\n  +++ in the files"],
        ),
        (
            "ALTER TABLE note ENABLE ROW LEVEL SECURITY; CREATE POLICY own ON note USING (true)",
            ["only in the database: policy note.own", "different: table note"],
        ),
    ],
)
def test_a_difference_is_told_with_its_name(applied, rows, change, said):
    rows(change)
    found = applied.compare().differences
    assert len(found) == len(said)
    for difference, beginning in zip(found, said, strict=True):
        assert difference.startswith(beginning)
    assert rows(DATABASES) == []


def test_a_mistake_in_the_files_leaves_no_database_behind(applied, folder, rows):
    folder.functions(FUNCTIONS + "SELECT nix;")
    with pytest.raises(Exception, match=r'schema\.sql, line \d+: column "nix"'):
        applied.compare()
    assert rows(DATABASES) == []


def test_a_role_that_may_not_create_a_database_gets_the_functions_compared(
    make_manager, folder, rows, dsn
):
    name = parse_dsn(dsn)["dbname"]
    rows(f"CREATE ROLE {name}; ALTER DATABASE {name} OWNER TO {name}; ALTER ROLE {name} LOGIN")
    rows(f"GRANT ALL ON SCHEMA public TO {name}")
    schema = Schema(make_manager(dsn=make_dsn(dsn, user=name)), folder.path)
    folder.migration("0001_note.sql", TABLE)
    folder.functions(FUNCTIONS)
    schema.apply()
    same = schema.compare()
    assert same.differences == []
    assert same.unseen.startswith("Tables, types, constraints and indexes were not compared")
    assert "permission denied to create database" in same.unseen
    rows("CREATE FUNCTION f() RETURNS int RETURN 1")
    rows(f"SET ROLE {name};" + FUNCTIONS.replace("count(*)", "0"))
    differences = schema.compare().differences
    assert [difference.splitlines()[0] for difference in differences] == [
        "only in the database: function f()",
        "different: function notes()",
    ]
    # It was rolled back.
    assert rows("SELECT notes()") == [None]
    # Those of somebody else it cannot make again.
    rows("ALTER FUNCTION notes OWNER TO CURRENT_ROLE")
    with pytest.raises(SchemaError, match=r"(?s)Nothing was compared.*CREATEDB.*must be owner"):
        schema.compare()
