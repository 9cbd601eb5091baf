"""A wrong declaration is seen without being asked for: in the log at the start, and in the error."""

import logging
import sys

import psycopg2
import pytest
from simpycity.core import FunctionSingle

from simpycity_template.functions.startup import check_functions
from simpycity_template.simpycity_patches import no_such_function

SCHEMA = """
CREATE FUNCTION note_add(title text, pages int DEFAULT 1) RETURNS text
LANGUAGE sql AS $$ SELECT title $$;
CREATE FUNCTION twice(a int) RETURNS int LANGUAGE sql AS $$ SELECT a $$;
CREATE FUNCTION twice(a int, b int DEFAULT 1) RETURNS int LANGUAGE sql AS $$ SELECT a $$;
CREATE PROCEDURE archive(n int) LANGUAGE sql AS $$ SELECT 1 $$;
"""
MODEL = """
from simpycity.core import FunctionSingle
add = FunctionSingle("note_ad", ["title"])
"""


@pytest.fixture
def make_checked(make_manager, dsn, monkeypatch):
    link = psycopg2.connect(dsn)
    with link, link.cursor() as cursor:
        cursor.execute(SCHEMA)
    link.close()
    monkeypatch.setattr(no_such_function, "_explainers", [])
    return make_manager


@pytest.fixture
def package(tmp_path, monkeypatch):
    (tmp_path / "at_start").mkdir()
    (tmp_path / "at_start/__init__.py").write_text("")
    (tmp_path / "at_start/notes.py").write_text(MODEL)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    yield tmp_path / "at_start"
    for name in [name for name in sys.modules if name.partition(".")[0] == "at_start"]:
        del sys.modules[name]


def messages(caplog):
    return [
        (record.levelname, record.getMessage())
        for record in caplog.records
        if record.name.startswith("simpycity_template.functions")
    ]


def test_each_mismatch_is_a_warning_when_the_application_starts(make_checked, package, caplog):
    check_functions(make_checked(check_functions="true"), "at_start")
    assert messages(caplog) == [
        (
            "WARNING",
            'at_start/notes.py:3: FunctionSingle("note_ad", ["title"]): there is no function '
            'note_ad; did you mean note_add? (instead: FunctionSingle("note_add", ["title"]))',
        )
    ]


def test_without_the_setting_nothing_is_compared(make_checked, package, caplog):
    check_functions(make_checked(), "at_start")
    assert (messages(caplog), "at_start" in sys.modules) == ([], False)


def test_a_model_that_cannot_be_imported_is_one_warning_and_a_server_that_is_away_none(
    make_checked, make_manager, package, caplog
):
    (package / "broken.py").write_text("1 / 0")
    check_functions(make_checked(check_functions="true"), "at_start")
    check_functions(make_manager(check_functions="true", dsn="host=/nowhere"), "at_start")
    (package / "broken.py").unlink()
    sys.modules.pop("at_start.broken", None)
    check_functions(make_manager(check_functions="true", dsn="host=/nowhere"), "at_start")
    first, second = messages(caplog)
    said = "the declared functions were not compared with the database: "
    assert first[1] == (
        f"{said}at_start.broken cannot be imported "
        "(ZeroDivisionError: division by zero, at_start/broken.py:1)"
    )
    assert second == first


@pytest.mark.parametrize(
    ("call", "kind", "sentences"),
    [
        (lambda: FunctionSingle("note_ad", ["title"])("a"), psycopg2.errors.UndefinedFunction,
         ["there is no function note_ad; did you mean note_add?",
          'Write instead: FunctionSingle("note_add", ["title"])']),
        (lambda: FunctionSingle("twice", ["a"])(1), psycopg2.errors.AmbiguousFunction,
         ["a call does not say which of these functions is meant: twice(a integer); twice("]),
        (lambda: FunctionSingle("archive", ["n"])(1), psycopg2.errors.WrongObjectType,
         ["archive is a procedure, and declared as a function",
          'Write instead: Function("archive", ["n"], procedure=True)']),
        (lambda: FunctionSingle("note_add", ["title", "pages"])("a", b"x"),
         psycopg2.errors.UndefinedFunction,
         ["The database has\n    note_add(title text, pages integer DEFAULT …)\nwhich the values"]),
        (lambda: FunctionSingle("note_add", ["title", "pages"])(pages=1), TypeError,
         ["note_add() was called without 'title'", "The database has\n    note_add(title text"]),
    ],
)  # fmt: skip
def test_the_error_of_a_call_says_what_the_database_has(
    make_checked, package, caplog, call, kind, sentences
):
    check_functions(make_checked(check_functions="true"), "at_start")
    with pytest.raises(kind) as error:
        call()
    for sentence in [f"(declared at {__file__}:", *sentences]:
        assert sentence in str(error.value)
    caplog.clear()
    logging.getLogger("application").error("failed", exc_info=error.value)
    assert sentences[0].splitlines()[0] in caplog.text


def test_without_the_setting_the_error_says_where_the_declaration_is(make_checked):
    make_checked()
    with pytest.raises(psycopg2.errors.UndefinedFunction) as error:
        FunctionSingle("note_ad", ["title"])("a")
    shown = str(error.value)
    assert shown.startswith("function note_ad(unknown) does not exist")
    assert shown.splitlines()[-1].startswith(f"note_ad() is called (declared at {__file__}:")


def test_what_the_database_says_while_it_cannot_be_asked_is_kept(
    make_checked, package, monkeypatch
):
    manager = make_checked(check_functions="true")
    check_functions(manager, "at_start")
    manager.handle().execute("SELECT 1")
    monkeypatch.setattr(type(manager), "dsn", lambda self: "host=/nowhere")
    with pytest.raises(psycopg2.errors.UndefinedFunction, match="note_ad.. is called"):
        FunctionSingle("note_ad", ["title"])("a")
