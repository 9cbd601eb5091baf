"""What is written is Python, is what the database has, and stays the same until that changes."""

import os
from pathlib import Path

import psycopg2
import pytest

from simpycity_template.functions.catalogue import Catalogue
from simpycity_template.functions.check import check
from simpycity_template.functions.write import MARK, WriteError, declarations, identifier, write

SCHEMA = """
CREATE TABLE note (id int, title text);
CREATE FUNCTION note_add(title text, body text DEFAULT '') RETURNS note
LANGUAGE sql AS $$ SELECT 1, title $$;
COMMENT ON FUNCTION note_add IS E'Writes a note.\\nAnd returns it.';
CREATE FUNCTION notes() RETURNS SETOF note LANGUAGE sql AS $$ SELECT * FROM note $$;
CREATE FUNCTION "class"("1st" int, "def" int) RETURNS int LANGUAGE sql AS $$ SELECT 1 $$;
CREATE FUNCTION "1st"() RETURNS int LANGUAGE sql AS $$ SELECT 1 $$;
CREATE FUNCTION "ünïcode"() RETURNS int LANGUAGE sql AS $$ SELECT 1 $$;
CREATE FUNCTION "Function"() RETURNS int LANGUAGE sql AS $$ SELECT 1 $$;
CREATE FUNCTION "a-b"() RETURNS int LANGUAGE sql AS $$ SELECT 1 $$;
CREATE FUNCTION "a b"() RETURNS int LANGUAGE sql AS $$ SELECT 1 $$;
CREATE FUNCTION "select"() RETURNS int LANGUAGE sql AS $$ SELECT 1 $$;
CREATE FUNCTION many(a int, b int) RETURNS int LANGUAGE sql AS $$ SELECT 1 $$;
CREATE FUNCTION many(a int) RETURNS int LANGUAGE sql AS $$ SELECT 1 $$;
CREATE FUNCTION many(a text) RETURNS int LANGUAGE sql AS $$ SELECT 1 $$;
CREATE FUNCTION twice(a int) RETURNS int LANGUAGE sql AS $$ SELECT 1 $$;
CREATE FUNCTION twice(a int, b int DEFAULT 1) RETURNS int LANGUAGE sql AS $$ SELECT 1 $$;
CREATE PROCEDURE archive(before date) LANGUAGE plpgsql AS $$ BEGIN END $$;
CREATE FUNCTION joined(VARIADIC parts text[]) RETURNS text LANGUAGE sql AS $$ SELECT '' $$;
CREATE FUNCTION a_function_whose_arguments_need_more_than_a_line(
    the_first_argument int, the_second_argument int, the_third_argument int, the_fourth_one int
) RETURNS int LANGUAGE sql AS $$ SELECT 1 $$;
CREATE FUNCTION changed() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$;
CREATE SCHEMA api;
CREATE FUNCTION api.hello(name text) RETURNS text LANGUAGE sql AS $$ SELECT name $$;
"""
WRITTEN = '''"""The functions of the schema public, each declared in a line."""

# Written by `paster functions --write`.
# A change in this file is lost when it is written again.

from simpycity.core import Function, FunctionSingle

_1st = FunctionSingle('"1st"')

Function_ = FunctionSingle('"Function"')

a_b = FunctionSingle('"a b"')

a_b_2 = FunctionSingle('"a-b"')

a_function_whose_arguments_need_more_than_a_line = FunctionSingle(
    "a_function_whose_arguments_need_more_than_a_line",
    [
        "the_first_argument",
        "the_second_argument",
        "the_third_argument",
        "the_fourth_one",
    ],
)

archive = Function("archive", ["before"], procedure=True)

class_ = FunctionSingle("class", ["1st", "def"])

joined = FunctionSingle("joined", ["parts"], variadic=True)

many = FunctionSingle("many", ["a"])

many_a = FunctionSingle("many", ["a"])

many_a_b = FunctionSingle("many", ["a", "b"])

# Writes a note.
# And returns it.
note_add = FunctionSingle("note_add", ["title", "body"])

notes = Function("notes")

select = FunctionSingle('"select"')

# twice(a integer): a call of it cannot be told from one of twice(a integer, b integer DEFAULT …)

twice = FunctionSingle("twice", ["a", "b"])

ünïcode = FunctionSingle('"ünïcode"')
'''


@pytest.fixture
def link(dsn):
    link = psycopg2.connect(dsn)
    with link, link.cursor() as cursor:
        cursor.execute(SCHEMA)
    yield link
    link.close()


def test_each_function_is_declared_in_the_order_of_the_names(link):
    assert declarations(Catalogue(link)) == WRITTEN


def test_what_is_written_is_python_that_the_check_accepts(link):
    names = {}
    exec(compile(declarations(Catalogue(link)), "db.py", "exec"), names)
    queries = [value for value in names.values() if hasattr(value, "declared_at")]
    assert len(queries) == 16
    report = check(link, queries)
    assert report.findings == []
    assert report.undeclared == [
        'FunctionSingle("api.hello", ["name"])',
        'FunctionSingle("twice", ["a"])',
    ]


def test_a_schema_can_be_chosen(link):
    text = declarations(Catalogue(link), "api")
    assert text.splitlines()[-1] == 'hello = FunctionSingle("api.hello", ["name"])'
    with pytest.raises(WriteError, match="there is no schema 'apo' in .*: did you mean api"):
        declarations(Catalogue(link), "apo")


def test_a_file_that_was_written_by_hand_is_not_touched(tmp_path):
    file = tmp_path / "db.py"
    file.write_text("mine = 1\n")
    with pytest.raises(WriteError, match=r"db\.py was not written by this command: name another"):
        write(file, "new")
    assert file.read_text() == "mine = 1\n"


def test_a_file_is_replaced_in_one_step(tmp_path, monkeypatch):
    file = tmp_path / "db.py"
    write(file, MARK)
    os.chmod(file, 0o640)
    inode = file.stat().st_ino
    write(file, MARK + "\nmore")
    assert (file.read_text(), file.stat().st_mode & 0o777) == (MARK + "\nmore", 0o640)
    assert file.stat().st_ino != inode

    def no_space(*names):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", no_space)
    with pytest.raises(WriteError, match="cannot be written: No space left on device"):
        write(file, "new")
    assert file.read_text() == MARK + "\nmore"
    assert os.listdir(tmp_path) == ["db.py"]


def test_a_folder_that_there_is_not_is_told(tmp_path):
    with pytest.raises(WriteError, match="cannot be written: No such file or directory"):
        write(tmp_path / "nowhere" / "db.py", "new")
    with pytest.raises(WriteError, match="cannot be read"):
        write(Path(tmp_path), "new")


@pytest.mark.parametrize(
    ("name", "expected"),
    [("class", "class_"), ("1st", "_1st"), ("ﬁx", "fix"), ("", "_"), ("٣", "_٣")],
)
def test_names_are_those_that_python_can_have(name, expected):
    assert identifier(name) == expected
    assert identifier(name).isidentifier()
