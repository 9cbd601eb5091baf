"""`paster shell` leaves no transaction open, and shows rows as a table."""

import os
from pathlib import Path
from tempfile import TemporaryFile

import pytest
from packages import installed
from projects import PASTER, create, set_up, start
from psycopg2.extensions import parse_dsn
from support import PATIENCE, until


@pytest.fixture(scope="module")
def project(tmp_path_factory, server):
    made = create(tmp_path_factory.mktemp("shell"), "HelloWorld", f"dsn={server.create_database()}")
    set_up(made)
    return made


@pytest.fixture
def rows(project, server):
    """Asks the project's database, beside the project."""
    ini = (project / "development.ini").read_text()
    (dsn,) = [line for line in ini.splitlines() if line.startswith("simpycity.dsn")]
    name = parse_dsn(dsn.partition(" = ")[2])["dbname"]

    def rows(query):
        link = server.connect(name)
        try:
            with link.cursor() as cursor:
                cursor.execute(query)
                return [row[0] for row in cursor.fetchall()] if cursor.description else []
        finally:
            link.close()

    rows("TRUNCATE note")
    return rows


class Shell:
    """A shell in which lines are typed."""

    def __init__(self, project, **environment):
        self.screen = TemporaryFile("w+")
        reading, writing = os.pipe()
        self.keyboard = open(writing, "w")
        command = [PASTER, "shell", "development.ini"]
        env = {**os.environ, **environment}
        with open(reading) as lines:
            self.process = start(*command, cwd=project, input=lines, output=self.screen, env=env)
        self.type("from helloworld.model import notes", "from helloworld.model.meta import manager")

    def type(self, *lines):
        self.keyboard.write("".join(f"{line}\n" for line in lines))
        self.keyboard.flush()

    def end(self):
        """What was printed, at the end of the input."""
        self.keyboard.close()
        self.process.wait(PATIENCE)
        self.screen.seek(0)
        return self.screen.read()


@pytest.fixture
def shell(project):
    made = Shell(project)
    yield made
    made.process.kill()


OPEN = (
    "SELECT count(*) FROM pg_stat_activity"
    " WHERE datname = current_database() AND state LIKE 'idle in transaction%'"
)
SHELL = (
    "SELECT state FROM pg_stat_activity"
    " WHERE datname = current_database() AND application_name = 'helloworld'"
)


def test_a_prompt_leaves_no_transaction_open_and_that_is_said_once(shell, rows):
    shell.type("notes.add('Milk', '')['id'] > 0", "notes.latest(5)", "print('typed')")
    until(lambda: rows(SHELL) == ["idle"])
    shown = shell.end()
    assert shown.count("Rolled back, as after each prompt. begin() keeps") == 1
    assert rows("SELECT title FROM note") == []


def test_a_prompt_that_commits_keeps_what_it_wrote(shell, rows):
    shell.type("x = notes.add('Milk', ''); manager.commit()")
    assert "Rolled back" not in shell.end()
    assert rows("SELECT title FROM note") == ["Milk"]


def test_a_transaction_that_was_begun_lasts_until_it_is_ended(shell, rows):
    shell.type("begin()", "x = notes.add('Milk', '')")
    until(lambda: rows(OPEN) == [1])
    shell.type("x = notes.add('Bread', '')", "commit()", "begin()", "x = notes.add('Eggs', '')")
    until(lambda: rows("SELECT title FROM note ORDER BY id") == ["Milk", "Bread"])
    shell.type("rollback()", "x = notes.add('Salt', '')")
    shown = shell.end()
    assert shown.count("Rolled back") == 1
    assert rows("SELECT title FROM note ORDER BY id") == ["Milk", "Bread"]


def test_an_error_leaves_no_failed_transaction(shell, rows):
    shell.type("notes.add('', '')", "len(notes.latest(5).fetchall())", "")
    shown = shell.end()
    assert "violates check constraint" in shown
    assert "current transaction is aborted" not in shown
    # The traceback ends with the line that was typed. Some versions of Python begin it before.
    assert shown.split("  File ")[-1].startswith('"<console>", line 1, in <module>\n')


def test_rows_are_a_table_and_can_be_read_again(shell, rows):
    rows("INSERT INTO note (title, body) VALUES ('[b]Milk', 'two'), ('Bread', 'one')")
    shell.type("found = notes.latest(5)", "found", "found.fetchall()", "notes.latest(1).fetchone()")
    shown = shell.end()
    assert shown.count("[b]Milk") == 2
    assert shown.count("Bread") == 3
    assert shown.count("title") == 3
    assert "DictRow" not in shown


def test_with_ipython_it_is_the_same(project, rows, tmp_path):
    packages = installed(Path(__file__).parent / "ipython" / "requirements.txt")
    # Without a terminal it has a simple prompt.
    shell = Shell(project, PYTHONPATH=str(packages), IPYTHONDIR=str(tmp_path))
    try:
        shell.type("notes.add('Milk', '')['id'] > 0")
        until(lambda: rows(SHELL) == ["idle"])
        shell.type("begin()", "x = notes.add('Bread', '')")
        until(lambda: rows(OPEN) == [1])
        shell.type("commit()", "found = notes.latest(5)", "found", "found.fetchall()", "[1, 2]")
        shell.type("notes.add('', '')")
        shown = shell.end()
    finally:
        shell.process.kill()
    assert "IPython" in shown
    assert shown.count("Rolled back, as after each prompt. begin() keeps") == 1
    assert shown.count("Bread") == 2 and "DictRow" not in shown
    assert "[1, 2]" in shown
    assert "violates check constraint" in shown and "simpycity_patches" not in shown
    assert rows("SELECT title FROM note") == ["Bread"]
