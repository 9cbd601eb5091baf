"""`paster functions`: the declarations of an application beside its database."""

import json
import os
import pty
import subprocess
import sys

import projects
import psycopg2
import pytest
from projects import PASTER
from support import PATIENCE, without_reader

INIT = """
from simpycity_template import get_manager

def make_app(global_conf, **config):
    get_manager("rough").configure(config)
    return lambda environ, start_response: []
"""
DB = """
from simpycity.core import Function, FunctionSingle, Raw
from simpycity.model import SimpleModel

add = FunctionSingle("note_add", ["title"])
swapped = FunctionSingle("note_add", ["body", "title"])

class Note(SimpleModel):
    table = ["id", "title"]
    __load__ = FunctionSingle("note_ad", ["title"])

def make():
    return [Raw("SELECT frob")]

made = make()
"""
INI = """
[app:main]
paste.app_factory = rough:make_app
simpycity.dsn = {dsn}
"""
SCHEMA = """
CREATE TABLE note (id int, title text);
CREATE FUNCTION note_add(title text, body text DEFAULT '') RETURNS note
LANGUAGE sql AS $$ SELECT 1, title $$;
CREATE FUNCTION notes() RETURNS SETOF note LANGUAGE sql AS $$ SELECT * FROM note $$;
"""


@pytest.fixture
def project(tmp_path, dsn):
    model = tmp_path / "rough" / "model"
    model.mkdir(parents=True)
    (tmp_path / "rough" / "__init__.py").write_text(INIT)
    (tmp_path / "rough" / "tests").mkdir()
    (tmp_path / "rough" / "tests" / "__init__.py").write_text("raise SystemError('not imported')")
    (model / "__init__.py").write_text("")
    (model / "db.py").write_text(DB)
    (tmp_path / "rough.ini").write_text(INI.format(dsn=dsn))
    link = psycopg2.connect(dsn)
    with link, link.cursor() as cursor:
        cursor.execute(SCHEMA)
    link.close()
    return tmp_path


def environment(project):
    return {**os.environ, "PYTHONPATH": str(project), "COLUMNS": "200"}


def paster(project, *options):
    done = projects.paster(
        "functions", *options, "rough.ini", cwd=project, env=environment(project)
    )
    return done.returncode, done.stdout, done.stderr


def test_each_mistake_is_told_with_its_line_and_what_to_write_instead(project):
    status, shown, told = paster(project)
    assert (status, told) == (1, "")
    assert shown.splitlines() == [
        "rough: 4 declarations, 3 wrong",
        'rough/model/db.py:6: FunctionSingle("note_add", ["body", "title"]): the arguments are in '
        "another order than in note_add(title text, body text DEFAULT …)",
        '    instead: FunctionSingle("note_add", ["title", "body"])',
        'rough/model/db.py:10: FunctionSingle("note_ad", ["title"]): there is no function note_ad; '
        "did you mean note_add?",
        '    instead: FunctionSingle("note_add", ["title"])',
        'rough/model/db.py:13: Raw("SELECT frob"): PostgreSQL says: column "frob" does not exist',
        "In the database and not declared:",
        '    Function("notes")',
    ]


def test_json_has_the_same_for_scripts(project):
    status, shown, _ = paster(project, "--json")
    (found,) = json.loads(shown)
    assert (status, found["manager"], found["checked"]) == (1, "rough", 4)
    assert found["undeclared"] == ['Function("notes")']
    first = found["findings"][0]
    assert (first["line"], first["instead"]) == (6, 'FunctionSingle("note_add", ["title", "body"])')


def test_in_a_terminal_it_is_a_table(project):
    terminal, output = pty.openpty()
    command = subprocess.Popen(
        [sys.executable, PASTER, "functions", "rough.ini"],
        cwd=project,
        env=environment(project),
        stdout=output,
        stderr=output,
    )
    os.close(output)
    shown = b""
    try:
        while piece := os.read(terminal, 10000):
            shown += piece
    except OSError:
        # The other end is closed.
        pass
    os.close(terminal)
    assert command.wait(PATIENCE) == 1
    assert "Instead" in shown.decode()
    assert "┃" in shown.decode()


def test_nothing_wrong_is_status_0_also_where_nobody_reads_it(project):
    (project / "rough/model/db.py").write_text(
        "from simpycity.core import Function\nnotes = Function('notes')\n"
    )
    status, shown, told = paster(project)
    assert (status, told) == (0, "")
    assert shown.startswith("rough: 1 declaration, none is wrong\nIn the database and not declared")
    done = without_reader(
        [sys.executable, PASTER, "functions", "rough.ini"], cwd=project, env=environment(project)
    )
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    ("file", "text", "sentence"),
    [
        ("rough/model/db.py", "x = (", "rough.model.db cannot be imported (SyntaxError: "),
        ("rough/model/db.py", "\nx = 1 / 0", "(ZeroDivisionError: division by zero, rough/model/db.py:2)"),
        ("rough/model/__init__.py", "1 / 0", "(ZeroDivisionError: division by zero, rough/model/__init"),
        ("rough.ini", INI.format(dsn="host=/nowhere"), "does not tell about the functions of 'rough': "),
    ],
)  # fmt: skip
def test_what_cannot_be_checked_is_one_sentence_and_status_2(project, file, text, sentence):
    (project / file).write_text(text)
    status, shown, told = paster(project)
    assert (status, told) == (2, "")
    assert sentence in shown
    assert "Traceback" not in shown


def test_declarations_are_written_and_checked(project):
    file = project / "rough/model/written.py"
    write = ("--write", "rough/model/written.py")
    assert paster(project, *write, "--check") == (
        1, "rough/model/written.py is not as the database is: write it again without --check\n", ""
    )  # fmt: skip
    assert not file.exists()
    assert paster(project, *write) == (0, "rough/model/written.py is written\n", "")
    assert 'note_add = FunctionSingle("note_add", ["title", "body"])' in file.read_text()
    assert paster(project, *write, "--check") == (
        0, "rough/model/written.py is as the database is\n", ""
    )  # fmt: skip
    status, shown, _ = paster(project, *write, "--schema", "apo")
    assert (status, shown.strip().startswith("there is no schema 'apo'")) == (2, True)
    status, shown, _ = paster(project, "--schema", "public")
    assert (status, shown.strip()) == (2, "--schema belongs to --write FILE")


def test_stubs_are_written_beside_the_modules_and_checked(project):
    stub = project / "rough/model/db.pyi"
    status, shown, told = paster(project, "--stubs", "--check")
    assert (status, told, stub.exists()) == (1, "", False)
    assert shown == "rough/model/db.pyi is not as the database is: write it again without --check\n"
    assert paster(project, "--stubs") == (0, "rough/model/db.pyi is written\n", "")
    assert "class _Call_add(_core.FunctionSingle):" in stub.read_text()
    assert paster(project, "--stubs", "--check")[0] == 0
    stub.write_text("mine: int\n")
    status, shown, _ = paster(project, "--stubs")
    assert (status, "db.pyi was not written by this command" in shown) == (2, True)
