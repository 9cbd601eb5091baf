"""Calls of functions: each argument reaches the parameter that is meant, or the call is refused."""

import subprocess
import sys

import psycopg2
import pytest
from psycopg2.sql import SQL
from simpycity.core import Function, FunctionSingle, FunctionTypedSingle, Query, Raw
from support import PATIENCE

from simpycity_template.simpycity_patches.declarations import all_declared

SCHEMA = """
CREATE FUNCTION note(title text, body text DEFAULT 'no body', pages int DEFAULT 1)
RETURNS text LANGUAGE sql AS $$ SELECT concat_ws('|', title, body, pages) $$;
CREATE FUNCTION middle(a int DEFAULT 1, "Mixed" int DEFAULT 2, c int DEFAULT 3)
RETURNS text LANGUAGE sql AS $$ SELECT concat_ws('|', a, "Mixed", c) $$;
CREATE FUNCTION joined(separator text, VARIADIC parts text[] DEFAULT '{nothing}')
RETURNS text LANGUAGE sql AS $$ SELECT array_to_string(parts, separator) $$;
CREATE FUNCTION broken() RETURNS text LANGUAGE plpgsql AS $$ BEGIN RETURN frob(1); END $$;
CREATE FUNCTION calls_broken(a int DEFAULT 1) RETURNS text LANGUAGE sql AS $$ SELECT broken() $$;
CREATE FUNCTION doubled(INOUT a int, OUT twice int) LANGUAGE sql AS $$ SELECT a, a * 2 $$;
CREATE FUNCTION numbered(int, int) RETURNS int LANGUAGE sql AS $$ SELECT $1 - $2 $$;
CREATE FUNCTION pairs(n int) RETURNS TABLE (i int, square int)
LANGUAGE sql AS $$ SELECT i, i * i FROM generate_series(1, n) i $$;
CREATE TABLE kept (n int);
CREATE PROCEDURE keep(n int, INOUT kept int DEFAULT NULL) LANGUAGE plpgsql AS $$
BEGIN INSERT INTO kept VALUES (n); kept := n + 1; END $$;
CREATE PROCEDURE keep_and_commit(n int) LANGUAGE plpgsql AS $$
BEGIN INSERT INTO kept VALUES (n); COMMIT; END $$;
CREATE SCHEMA "Api";
CREATE FUNCTION "Api"."AddOne"(n int) RETURNS int LANGUAGE sql AS $$ SELECT n + 1 $$;
CREATE FUNCTION "50%"(n int) RETURNS int LANGUAGE sql AS $$ SELECT n / 2 $$;
"""

note = FunctionSingle("note", ["title", "body", "pages"])
middle = FunctionSingle("middle", ["a", "Mixed", "c"])
joined = FunctionSingle("joined", ["separator", "parts"], variadic=True)


@pytest.fixture
def manager(make_manager):
    manager = make_manager()
    with manager.transaction():
        manager.handle().execute(SCHEMA)
    return manager


@pytest.mark.parametrize(
    ("call", "result"),
    [
        (lambda: note("T", "B", 2), "T|B|2"),
        (lambda: note("T"), "T|no body|1"),
        (lambda: note("T", pages=5), "T|no body|5"),
        (lambda: note(title="T"), "T|no body|1"),
        (lambda: note(pages=5, title="T", body="B"), "T|B|5"),
        (lambda: note(body="B", title="T"), "T|B|1"),
        (lambda: note("T", None), "T|1"),
        (lambda: note("T", ""), "T||1"),
        (lambda: middle(), "1|2|3"),
        (lambda: middle(c=9), "1|2|9"),
        (lambda: middle(Mixed=8), "1|8|3"),
        (lambda: middle(7, c=9), "7|2|9"),
        (lambda: joined(","), "nothing"),
        (lambda: joined(",", "a"), "a"),
        (lambda: joined(",", "a", "b", "c"), "a,b,c"),
        (lambda: joined(",", parts=["a", "b"]), "a,b"),
        (lambda: joined(",", parts=[]), ""),
        (lambda: joined(parts=["a", "b"], separator="-"), "a-b"),
    ],
)
def test_an_argument_that_is_not_given_has_the_default_of_the_database(manager, call, result):
    assert call() == [result]


@pytest.mark.parametrize("form", [FunctionSingle, FunctionTypedSingle])
def test_arguments_can_be_left_out_whichever_way_the_call_is_written(manager, form):
    found = form("middle", ["a", "Mixed", "c"])(Mixed=5)
    assert found in (["1|5|3"], "1|5|3")


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: note("T", title="U"), "note() got 'title' twice: by its place and by its name"),
        (lambda: note("T", "B", 1, 2), "note() takes 3 arguments (title, body, pages), but 4 were"),
        (lambda: note(name="T"), "note() has no argument 'name': it has title, body, pages"),
        (lambda: note(), "note() was called without 'title', 'body', 'pages'"),
        (lambda: note(body="B"), "note() was called without 'title', 'pages'"),
        (lambda: joined(), "joined() was called without 'separator', 'parts'"),
        (lambda: joined(",", "a", parts=[]), "joined() got 'parts' twice"),
        (lambda: Query("kept", ["n", "m"])(n=1), "'kept' takes 2 arguments (n, m), and was called wi"),
        (lambda: Raw("SELECT %s", ["n"])(), "'SELECT %s' takes 1 argument (n), and was called without"),
        (lambda: Raw("SELECT 1")(1), "'SELECT 1' takes no arguments, but 1 were given"),
    ],
)  # fmt: skip
def test_a_call_that_cannot_be_meant_is_a_type_error(manager, call, sentence):
    with pytest.raises(TypeError) as error:
        call()
    assert str(error.value).startswith(sentence)
    assert f"(declared at {__file__}:" in str(error.value)


def test_the_arguments_of_a_declaration_are_a_list_of_names():
    for arguments in ("id", [1], [None]):
        with pytest.raises(TypeError, match="give a list of their names"):
            Function("f", arguments)
    with pytest.raises(TypeError, match="is variadic: name at least one argument"):
        Function("f", variadic=True)


def test_what_is_missing_inside_a_functions_body_stays_what_it_is(manager):
    with pytest.raises(psycopg2.errors.UndefinedFunction, match="frob"):
        FunctionSingle("calls_broken", ["a"])()
    manager.rollback()
    with pytest.raises(psycopg2.errors.UndefinedFunction, match="frob"):
        Function("frob", ["a"])(1)


def test_parameters_without_names_are_reached_by_name_in_the_order_of_the_declaration(manager):
    assert FunctionSingle("numbered", ["whole", "part"])(part=2, whole=9) == [7]


def test_what_a_function_returns_has_the_names_of_its_out_parameters(manager):
    assert dict(FunctionSingle("doubled", ["a"])(4)) == {"a": 4, "twice": 8}
    assert [dict(row) for row in Function("pairs", ["n"])(2)] == [
        {"i": 1, "square": 1},
        {"i": 2, "square": 4},
    ]


def test_a_procedure_is_called_in_the_scopes_transaction(manager):
    assert FunctionSingle("keep", ["n", "kept"], procedure=True)(5, None) == [6]
    assert dict(FunctionSingle("keep", ["n", "kept"], procedure=True)(n=6)) == {"kept": 7}
    assert Query("kept")().fetchall() == [[5], [6]]
    manager.rollback()
    assert Query("kept")().fetchall() == []


def test_a_procedure_that_commits_is_called_in_autocommit_mode(manager):
    keep = Function("keep_and_commit", ["n"], procedure=True)
    keep(7, options={"handle": manager.open(isolation_level=0)})
    assert Query("kept")().fetchall() == [[7]]
    with pytest.raises(psycopg2.errors.InvalidTransactionTermination):
        keep(8)


def test_columns_cannot_be_selected_of_a_procedure(manager):
    keep = Function("keep", ["n"], procedure=True)
    with pytest.raises(psycopg2.ProgrammingError, match="keep\\(\\): columns cannot be selected"):
        keep(1, options={"columns": ["kept"]})


@pytest.mark.parametrize(
    "columns", [["i"], ["pairs.i"], ['"i"'], ["*"], ["pairs.*"], [SQL("i + 1 AS i")], []]
)
def test_columns_are_selected_by_their_names(manager, columns):
    rows = Function("pairs", ["n"])(2, options={"columns": columns}).fetchall()
    assert len(rows) == 2


@pytest.mark.parametrize(
    "column",
    ["i FROM pairs(1); DROP TABLE kept --", "(SELECT 1)", "i, i", "", "i--", '"i""', "i\0", "1"],
)
def test_a_column_that_is_no_name_is_refused(manager, column):
    with pytest.raises(ValueError, match="in columns is not the name of a column: give names, "):
        Function("pairs", ["n"])(2, options={"columns": ["i", column]})


def test_columns_that_are_no_list_are_refused(manager):
    with pytest.raises(TypeError, match="columns is 'id': give a list of names, as in "):
        Function("pairs", ["n"])(2, options={"columns": "id"})


def test_a_name_is_written_as_in_sql(manager):
    assert FunctionSingle('"Api"."AddOne"', ["n"])(1) == [2]
    assert FunctionSingle('"Api"."AddOne"', ["n"])(n=1) == [2]
    assert FunctionSingle('"50%"', ["n"])(8) == [4]
    assert FunctionSingle("pg_catalog.lower", ["text"])("A") == ["a"]


def test_the_sent_statement_reads_as_before(manager):
    assert note.query_base == "note"
    assert Function("pairs", ["n"])(2).query == b"SELECT * FROM pairs(2)"
    assert Function("pairs", ["n"])(2, options={"columns": ["i"]}).query == (
        b"SELECT i FROM pairs(2)"
    )


def test_simpycitys_debug_changes_no_call(manager, monkeypatch, capsys):
    monkeypatch.setattr("simpycity.config.debug", True)
    assert note("T", pages=5) == ["T|no body|5"]
    assert "note() is called with ('T',) and {'pages': 5}" in capsys.readouterr().out


class Mine(Function):
    def __init__(self, name):
        super().__init__(name, ["n"])


def test_each_declaration_knows_its_file_and_line():
    line = sys._getframe().f_lineno
    here = [Function("f"), Mine("f"), Query("t"), FunctionTypedSingle("f", ["n"])]
    assert [one.declared_at for one in here] == [(__file__, line + 1)] * 4
    assert set(here) <= set(all_declared())


EARLY = """
from simpycity.core import Function, Raw

function = Function("f", ["a"])

class Note:
    __load__ = Raw(
        "SELECT 1")

import simpycity_template.manager
from simpycity_template.simpycity_patches.declarations import all_declared

late = Function("late")
print([(one.query_base, *one.declared_at) for one in all_declared()])
"""


@pytest.mark.process
def test_a_declaration_that_was_made_before_simpycity_was_corrected_is_known_as_well(tmp_path):
    file = tmp_path / "early.py"
    file.write_text(EARLY)
    run = subprocess.run([sys.executable, file], capture_output=True, text=True, timeout=PATIENCE)
    expected = [("f", str(file), 4), ("SELECT 1", str(file), 7), ("late", str(file), 13)]
    assert run.stdout == f"{expected}\n", run.stderr
