"""What is wrong with a declaration is found before a user meets it."""

import os
from pathlib import Path

import psycopg2
import pytest
from psycopg2.extensions import make_dsn
from simpycity.core import Function, FunctionSingle, FunctionTypedSingle, Query, QuerySingle, Raw
from simpycity.model import SimpleModel
from wire import wire

from simpycity_template.functions.application import place
from simpycity_template.functions.check import check

SCHEMA = """
CREATE TABLE note (id int NOT NULL, title text);
CREATE FUNCTION note_add(title text, body text DEFAULT '', pages int DEFAULT 1) RETURNS note
LANGUAGE sql AS $$ SELECT 1, title $$;
CREATE FUNCTION notes() RETURNS SETOF note LANGUAGE sql AS $$ SELECT * FROM note $$;
CREATE FUNCTION half(int, int) RETURNS int LANGUAGE sql AS $$ SELECT $1 / $2 $$;
CREATE FUNCTION joined(separator text, VARIADIC parts text[]) RETURNS text
LANGUAGE sql AS $$ SELECT array_to_string(parts, separator) $$;
CREATE FUNCTION twice(a int) RETURNS int LANGUAGE sql AS $$ SELECT a $$;
CREATE FUNCTION twice(a int, b int DEFAULT 1) RETURNS int LANGUAGE sql AS $$ SELECT a $$;
CREATE FUNCTION "Mixed"(a int) RETURNS int LANGUAGE sql AS $$ SELECT a $$;
CREATE PROCEDURE archive(before date, INOUT moved int) LANGUAGE plpgsql AS $$ BEGIN END $$;
CREATE AGGREGATE total(int) (SFUNC = int4pl, STYPE = int);
CREATE SCHEMA api;
CREATE FUNCTION api.hello(name text) RETURNS text LANGUAGE sql AS $$ SELECT name $$;
CREATE FUNCTION changed() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$;
"""


def connected(dsn):
    link = psycopg2.connect(dsn)
    with link, link.cursor() as cursor:
        cursor.execute(SCHEMA)
    return link


@pytest.fixture
def link(dsn):
    link = connected(dsn)
    yield link
    link.close()


@pytest.fixture(scope="module")
def unchanged(create_database):
    """A connection to a database that no test changes."""
    link = connected(create_database())
    yield link
    link.close()


def problems(link, *queries):
    return [finding.problem for finding in check(link, list(queries)).findings]


class Note(SimpleModel):
    table = ["id", "title"]
    __load__ = FunctionSingle("note_add", ["title"])


class Other(SimpleModel):
    table = ["id", "name"]
    __load__ = FunctionSingle("note_add", ["title"])


class Lazy(SimpleModel):
    table = ["id", "written"]
    __lazyload__ = FunctionSingle("note_add", ["title"])


class OfTable(SimpleModel):
    table = ["id", "name"]
    __load__ = QuerySingle("note", ["id"])


class OfText(SimpleModel):
    table = ["id", "name"]
    __lazyload__ = Raw("SELECT id, title FROM note WHERE id = %s AND title LIKE %s", ["id", "like"])


RIGHT = [
    FunctionSingle("note_add", ["title"]),
    FunctionSingle("note_add", ["title", "body", "pages"]),
    Function("notes"),
    FunctionTypedSingle("half", ["a", "b"]),
    FunctionSingle("joined", ["separator", "parts"], variadic=True),
    FunctionSingle("joined", ["separator", "one", "two"]),
    FunctionSingle("twice", ["a", "b"]),
    FunctionSingle('"Mixed"', ["a"]),
    Function("archive", ["before", "moved"], procedure=True),
    FunctionSingle("api.hello", ["name"]),
    FunctionSingle("lower", ["text"]),
    FunctionSingle("pg_catalog.lower", ["text"]),
    Query("note", ["id"]),
    QuerySingle("api.hello('x')"),
    Raw("SELECT * FROM note WHERE id IN %s AND title LIKE 'a%%'", ["ids"]),
    Raw("SELECT 'a%s'"),
    Raw("SELECT %s + %s, %s", ["a", "b", "c"]),
    Raw("INSERT INTO note VALUES (%s, %s);", ["id", "title"]),
    Note.__dict__["__load__"],
    Function("notes", callback=Note),
]

WRONG = [
    (Function("note_ad", ["title"]), "there is no function note_ad; did you mean note_add?",
     'FunctionSingle("note_add", ["title"])'),
    (Function("frobnicate"), "there is no function frobnicate", ""),
    (FunctionSingle("hello", ["name"]), "there is no function hello in the schemas of the search "
     "path, but there is api.hello", 'FunctionSingle("api.hello", ["name"])'),
    (FunctionSingle("api.note_add", ["title"]), "there is no function api.note_add, but there is "
     "note_add", 'FunctionSingle("note_add", ["title"])'),
    (FunctionSingle("apii.hello", ["name"]), "there is no schema apii; did you mean api?",
     'FunctionSingle("api.hello", ["name"])'),
    (FunctionSingle("Mixed", ["a"]), 'there is no function Mixed in the schemas of the search path, '
     'but there is "Mixed"', "FunctionSingle('\"Mixed\"', [\"a\"])"),
    (Function("note add"), "note add is no name of SQL", ""),
    (Function("archive", ["before", "moved"]), "archive is a procedure, and declared as a function",
     'FunctionSingle("archive", ["before", "moved"], procedure=True)'),
    (Function("notes", procedure=True), "notes is a function, and declared as a procedure",
     'Function("notes")'),
    (Function("total", ["n"]), "total is an aggregate function, which has no rows of its own to "
     "return", 'Raw("SELECT total(…) FROM …")'),
    (FunctionSingle("note_add", ["title", "body", "pages", "size"]), "it names 4 arguments, and the "
     "function has 3", 'FunctionSingle("note_add", ["title", "body", "pages"])'),
    (FunctionSingle("note_add", ["name"]), "there is no argument 'name' in note_add(title text,",
     'FunctionSingle("note_add", ["title", "body", "pages"])'),
    (FunctionSingle("note_add", ["body", "title"]), "the arguments are in another order than in "
     "note_add(", 'FunctionSingle("note_add", ["title", "body", "pages"])'),
    (FunctionSingle("note_add", ["title", "pages"]), "the arguments are in another order than in ",
     'FunctionSingle("note_add", ["title", "body", "pages"])'),
    (FunctionSingle("note_add"), "the argument 'title' has no default, and is never given",
     'FunctionSingle("note_add", ["title", "body", "pages"])'),
    (FunctionSingle("half", ["a"]), "the argument number 2 has no default, and is never given",
     'FunctionSingle("half", ["arg1", "arg2"])'),
    (FunctionSingle("twice", ["a"]), "a call does not say which of these functions is meant: "
     "twice(a integer); twice(a integer, b integer DEFAULT …)", "in the database: functions of "
     "different names, or fewer defaults"),
    (FunctionSingle("notes"), "it returns a set of rows, and is declared as FunctionSingle",
     'Function("notes")'),
    (Function("note_add", ["title"]), "it returns one row, and is declared as Function",
     'FunctionSingle("note_add", ["title"])'),
    (FunctionSingle("joined", ["separator", "parts"]), "its last argument is VARIADIC, so that a "
     "call cannot pass a list", 'FunctionSingle("joined", ["separator", "parts"], variadic=True)'),
    (FunctionSingle("note_add", ["title"], variadic=True), "it is declared as variadic, and "
     "note_add(", 'FunctionSingle("note_add", ["title"])'),
    (Other.__dict__["__load__"], "the table of Other names 'name', and the result has the columns "
     "id, title", "table = ['id', 'title']"),
    (Lazy.__dict__["__lazyload__"], "the table of Lazy names 'written', and the result has the "
     "columns id, title", "table = ['id', 'title']"),
    (OfTable.__dict__["__load__"], "the table of OfTable names 'name', and the result has the columns "
     "id, title", "table = ['id', 'title']"),
    (OfText.__dict__["__lazyload__"], "the table of OfText names 'name', and the result has the "
     "columns id, title", "table = ['id', 'title']"),
    (Query("nota"), 'PostgreSQL says: relation "nota" does not exist', ""),
    (Query("note", ["name"]), 'PostgreSQL says: column "name" does not exist', ""),
    (Raw("SELECT * FROM note WHERE"), "PostgreSQL says: syntax error at end of input", ""),
    (Raw("SELECT * FROM note WHERE id = %s", ["id", "title"]), "its text has 1 placeholder %s, and "
     "it names 2 arguments", ""),
    (Raw("SELECT frob(%s)", ["a"]), "PostgreSQL says: function frob(", ""),
]  # fmt: skip


def test_nothing_is_found_where_all_is_right(unchanged):
    report = check(unchanged, RIGHT)
    assert (report.findings, report.remarks, report.checked) == ([], [], len(RIGHT))
    assert report.undeclared == ['FunctionSingle("twice", ["a"])']


@pytest.mark.parametrize("wrong", WRONG, ids=lambda one: one[1][:50])
def test_a_mistake_is_found_with_its_line_and_what_to_write(unchanged, wrong):
    query, problem, instead = wrong
    (finding,) = check(unchanged, [query]).findings
    assert finding.problem.startswith(problem)
    assert finding.instead == instead
    assert finding.file == __file__
    line = Path(__file__).read_text().splitlines()[finding.line - 1]
    assert type(query).__name__ in line


def test_what_is_written_instead_of_a_mistake_is_right(unchanged):
    names = {
        "Function": Function,
        "FunctionSingle": FunctionSingle,
    }
    lines = [instead for _, _, instead in WRONG if instead.startswith("Function")]
    assert len(lines) > 10
    assert problems(unchanged, *(eval(line, names) for line in lines)) == []


def test_a_statement_is_read_and_not_executed(link):
    with link, link.cursor() as cursor:
        cursor.execute("CREATE TABLE seen (n int)")
    queries = [
        Raw("INSERT INTO seen VALUES (1)"),
        Raw("SELECT 1; INSERT INTO seen VALUES (2)"),
        Raw("COMMIT; INSERT INTO seen VALUES (3)"),
        Raw("INSERT INTO seen VALUES (4) RETURNING n;"),
        Raw("TRUNCATE note"),
    ]
    report = check(link, queries)
    assert report.findings == []
    assert [remark.split(": ")[1] for remark in report.remarks] == [
        "it is not one statement, so it was not checked",
        "it is not one statement, so it was not checked",
        "only SELECT, INSERT, UPDATE, DELETE, MERGE and VALUES can be checked",
    ]
    with link, link.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM seen")
        assert cursor.fetchone() == (0,)


def test_what_another_session_has_locked_is_not_waited_for(link, dsn):
    other = psycopg2.connect(dsn)
    with other.cursor() as cursor:
        cursor.execute("LOCK TABLE note")
    report = check(link, [Query("note"), FunctionSingle("lower", ["text"])])
    other.close()
    assert report.findings == []
    assert "another session has locked what it uses" in report.remarks[0]


def test_what_is_not_declared_is_listed_as_the_lines_to_write(unchanged):
    report = check(unchanged, [FunctionSingle("note_add", ["title"])])
    assert report.undeclared == [
        'FunctionSingle("api.hello", ["name"])',
        'FunctionSingle(\'"Mixed"\', ["a"])',
        'FunctionSingle("archive", ["before", "moved"], procedure=True)',
        'FunctionSingle("half", ["arg1", "arg2"])',
        'FunctionSingle("joined", ["separator", "parts"], variadic=True)',
        'Function("notes")',
        'FunctionSingle("twice", ["a"])',
        'FunctionSingle("twice", ["a", "b"])',
    ]


def test_declarations_of_parameters_without_names_have_to_agree(unchanged):
    one, other = (
        FunctionSingle("half", ["whole", "part"]),
        FunctionSingle("half", ["part", "whole"]),
    )
    (problem,) = problems(unchanged, one, other)
    line = one.declared_at[1]
    assert problem == f"it is declared at {__file__}:{line}, too, with the arguments whole, part"


def test_what_a_role_may_not_execute_or_see_is_told(link, dsn):
    with link, link.cursor() as cursor:
        cursor.execute(
            "DROP ROLE IF EXISTS guest; CREATE ROLE guest LOGIN;"
            "REVOKE EXECUTE ON FUNCTION notes() FROM PUBLIC; GRANT SELECT ON note TO guest"
        )
    guest = psycopg2.connect(make_dsn(dsn, user="guest"))
    try:
        report = check(
            guest, [Function("notes"), Query("note"), FunctionSingle("api.hello", ["name"])]
        )
    finally:
        guest.close()
        with link, link.cursor() as cursor:
            cursor.execute("DROP OWNED BY guest; DROP ROLE guest")
    told = [(finding.problem, finding.instead) for finding in report.findings]
    assert told == [
        (
            "the role guest has no privilege to execute notes()",
            "in the database: GRANT EXECUTE ON FUNCTION notes TO guest",
        ),
        (
            "the role guest has no privilege to execute api.hello(name text)",
            "in the database: GRANT USAGE ON SCHEMA api TO guest",
        ),
    ]
    assert report.remarks == [
        "The role guest may not use the schemas api: what they have is not listed."
    ]


def test_a_thousand_functions_are_checked_in_as_many_queries_as_one(link, dsn):
    with link, link.cursor() as cursor:
        cursor.execute(
            "DO $$ BEGIN FOR i IN 1..1000 LOOP EXECUTE format("
            "'CREATE FUNCTION f%s(a int, b text DEFAULT '''') RETURNS note LANGUAGE sql AS "
            "''SELECT * FROM note''', i); END LOOP; END $$"
        )
    queries = [FunctionSingle(f"f{number}", ["a"]) for number in range(1, 1001)]
    trips = []
    with wire(dsn) as line:
        for some in (queries[:1], queries):
            through = psycopg2.connect(line.dsn)
            line.clear()
            assert check(through, some).findings == []
            trips.append(line.round_trips)
            through.close()
    assert trips[0] == trips[1] < 10


def test_a_file_below_the_current_folder_is_shown_from_there(monkeypatch):
    monkeypatch.chdir(Path(__file__).parent)
    assert place(__file__, 3) == f"{Path(__file__).name}:3"
    assert place(os.sep + "elsewhere.py", 3) == "/elsewhere.py:3"
