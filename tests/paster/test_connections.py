"""`paster connections` and what it asks: which session, who holds it, and what it waits for."""

import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
import threading
from contextlib import contextmanager

import projects
import psycopg2
import pytest
from projects import PASTER
from psycopg2.extensions import make_dsn
from simpycity.core import Raw
from support import PATIENCE, in_use, until, without_reader

from simpycity_template.driver import sql_comment as tag
from simpycity_template.monitoring.pg_sessions import connect, masked, sessions
from simpycity_template.pool.call_site import from_here

APPLICATION = """
from simpycity_template import get_manager

def make_app(global_conf, **config):
    get_manager({name!r}).configure(config)
    return lambda environ, start_response: []
"""

INI = """
[app:main]
paste.app_factory = rough:make_app
simpycity.dsn = {dsn}
"""


@pytest.fixture
def ini(tmp_path, manager, dsn):
    """The INI file of an application whose manager is called as the one of this process."""
    (tmp_path / "rough.py").write_text(APPLICATION.format(name=manager.name))
    file = tmp_path / "rough.ini"
    file.write_text(INI.format(dsn=dsn))
    return file


def paster(ini, *options, **more):
    environment = {**os.environ, "PYTHONPATH": str(ini.parent), "COLUMNS": "200"}
    return projects.paster(
        "connections", ini.name, *options, cwd=ini.parent, env=environment, **more
    )


@contextmanager
def terminal(ini, *options):
    """`paster connections` in a terminal: its process, and a function that reads the screen."""
    master, slave = pty.openpty()
    environment = {
        **os.environ, "PYTHONPATH": str(ini.parent), "TERM": "xterm-256color", "COLUMNS": "80",
        "LINES": "50",
    }  # fmt: skip
    process = subprocess.Popen(
        [sys.executable, PASTER, "connections", ini.name, *options],
        cwd=ini.parent,
        env=environment,
        stdin=slave,
        stdout=slave,
        stderr=slave,
        start_new_session=True,
    )
    os.close(slave)
    shown = []

    def screen():
        if select.select([master], [], [], 0.05)[0]:
            try:
                shown.append(os.read(master, 65536).decode(errors="replace"))
            except OSError:
                pass
        return "".join(shown)

    try:
        yield process, screen
    finally:
        if process.poll() is None:
            process.kill()
        process.wait(PATIENCE)
        os.close(master)


@pytest.fixture
def idle_in_transaction(make_manager, manager, dsn):
    """A tagged session that is idle in its transaction, and holds a lock."""
    manager.configure({"simpycity.dsn": dsn, "simpycity.tag_statements": "true"})
    with manager.scope("GET /notes/7"):
        Raw("CREATE TABLE stuck (id int)")()
        manager.commit()
        Raw("LOCK TABLE stuck")()
        Raw("SELECT 'a secret of a user' AS a, %s", ["b"])("another one")
        yield in_use(manager)[0].backend_pid


@contextmanager
def blocked(dsn, application_name):
    """A session that waits for the lock."""
    link = psycopg2.connect(dsn, application_name=application_name)

    def wait():
        with pytest.raises(psycopg2.Error), link.cursor() as cursor:
            cursor.execute("SELECT * FROM stuck")

    thread = threading.Thread(target=wait)
    thread.start()
    try:
        until(lambda: link.info.transaction_status == 1)
        yield link.info.backend_pid
    finally:
        link.cancel()
        thread.join(PATIENCE)
        link.close()


def test_the_session_that_is_idle_in_transaction_comes_first_with_its_holder(
    ini, dsn, manager, idle_in_transaction
):
    with blocked(dsn, manager.name) as waiter:
        until(lambda: _find(dsn, manager.name, waiter).blocked_by)
        done = paster(ini, "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    (look,) = json.loads(done.stdout)
    first, second = look["sessions"]
    assert first["pid"] == idle_in_transaction
    assert first["state"] == "idle in transaction"
    assert first["transaction_age"] >= first["state_age"] > 0
    assert first["holder"]["label"] == "GET /notes/7"
    assert first["holder"]["thread"] == "MainThread"
    assert first["holder"]["process"].startswith(f"{os.getpid()}@")
    assert re.search(r"test_connections\.py:\d+ in idle_in_transaction$", first["holder"]["place"])
    assert first["sql"] == "SELECT ? AS a, ?"
    assert second["pid"] == waiter
    assert second["waits_for"] == "relation stuck, AccessShareLock"
    assert second["blocked_by"] == [f"{first['pid']} ({manager.name}, postgres)"]
    assert "secret" not in done.stdout


def test_of_those_idle_in_transaction_the_oldest_comes_first(dsn):
    # Connected in another order than that in which they begin.
    at_rest, younger, older = (psycopg2.connect(dsn, application_name="in order") for _ in range(3))
    for link in (older, younger):
        link.cursor().execute("SELECT 1")
    look = connect(dsn)
    found = [session.pid for session in sessions(look, "in order")]
    assert found == [link.info.backend_pid for link in (older, younger, at_rest)]
    for link in (at_rest, younger, older, look):
        link.close()


def test_a_transaction_that_begins_at_this_moment_has_no_age_below_0(dsn):
    look, young = connect(dsn), psycopg2.connect(dsn, application_name="young")
    # For PostgreSQL's now() the moment is that of this BEGIN.
    look.cursor().execute("BEGIN")
    young.cursor().execute("SELECT 1")
    (found,) = sessions(look, "young")
    assert found.transaction_age >= 0 and found.state_age >= 0
    for link in (look, young):
        link.close()


def _find(dsn, name, pid):
    link = connect(dsn)
    try:
        (found,) = [session for session in sessions(link, name) if session.pid == pid]
    finally:
        link.close()
    return found


def test_in_a_pipe_it_is_plain_text(ini, idle_in_transaction, manager, dsn):
    until(lambda: _find(dsn, manager.name, idle_in_transaction).idle_in_transaction > 1)
    done = paster(ini)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.isascii()
    assert "\x1b" not in done.stdout
    summary, verdict, headings, session, advice = done.stdout.splitlines()
    assert summary.startswith(f"{manager.name}: 1 session, 1 idle in transaction, 0 blocked")
    assert headings.split("  ")[0] == "Session"
    assert session.startswith(str(idle_in_transaction))
    assert "GET /notes/7, thread MainThread of" in session
    assert verdict.startswith(f"Session {idle_in_transaction} has been idle in a transaction for ")
    assert "GET /notes/7, thread MainThread of" in verdict
    assert "manager.scope" in advice


@pytest.mark.parametrize(("limit", "status"), [("0", 1), ("3600", 0)])
def test_a_monitor_gets_its_exit_status(ini, idle_in_transaction, limit, status):
    assert paster(ini, "--max-idle", limit).returncode == status


def test_what_the_application_leaves_open_while_it_is_loaded_is_not_counted(ini, manager):
    application = ini.parent / "rough.py"
    left = "    from simpycity.core import Raw\n    Raw('SELECT 1')()\n    return lambda"
    application.write_text(application.read_text().replace("    return lambda", left))
    done = paster(ini, "--max-idle", "0")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"{manager.name}: 0 sessions, 0 idle in transaction")


def test_without_tags_it_says_where_holders_are_known(ini, manager):
    with manager.scope("GET /"):
        Raw("SELECT 1")()
        assert "simpycity.tag_statements = true" in paster(ini).stdout


def test_what_this_role_may_not_see_is_said(ini, manager, server, dsn, idle_in_transaction):
    with server.connect() as link, link.cursor() as cursor:
        cursor.execute("DROP ROLE IF EXISTS onlooker")
        cursor.execute("CREATE ROLE onlooker LOGIN")
    link.close()
    ini.write_text(INI.format(dsn=make_dsn(dsn, user="onlooker")))
    done = paster(ini, "--max-idle", "0")
    assert done.returncode == 2, done.stdout + done.stderr
    assert "hidden: role postgres" in done.stdout
    assert "This role may not see what the sessions of postgres do" in done.stdout
    assert "--max-idle could not judge 1 of the sessions." in done.stderr
    assert "GET /notes/7" not in done.stdout


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ("port=1 host=127.0.0.1 dbname=x", "PostgreSQL does not tell about the connections of"),
        ("nonsense", "the application could not be loaded (ValueError: simpycity.dsn is"),
    ],
)
def test_what_is_wrong_is_one_sentence_and_status_2(ini, wrong, sentence):
    ini.write_text(INI.format(dsn=wrong))
    done = paster(ini)
    assert done.returncode == 2
    assert sentence in done.stdout
    assert "Traceback" not in done.stdout + done.stderr


@pytest.mark.process
def test_a_file_that_is_not_there_is_named(tmp_path):
    done = paster(tmp_path / "nowhere.ini")
    assert (done.returncode, done.stderr) == (2, "")
    assert "There is no file nowhere.ini" in done.stdout


@pytest.mark.process
def test_of_an_application_that_is_not_installed_it_says_what_to_do(tmp_path):
    elsewhere = tmp_path / "development.ini"
    elsewhere.write_text("[app:main]\nuse = egg:NoSuchProject\n")
    done = paster(elsewhere)
    assert (done.returncode, done.stderr) == (2, "")
    assert done.stdout == (
        f"{elsewhere}: NoSuchProject is not installed; "
        "where that is its project: pip install --editable .\n"
    )


@pytest.mark.parametrize("option", ["--max-idle=0", "--json", "--watch"])
def test_a_reader_of_a_pipe_may_have_had_enough(ini, idle_in_transaction, option):
    command = [sys.executable, PASTER, "connections", ini.name, "--max-idle=0", option]
    environment = {**os.environ, "PYTHONPATH": str(ini.parent)}
    done = without_reader(command, cwd=ini.parent, env=environment)
    # The monitor's answer does not depend on who reads the table.
    assert (done.returncode, done.stderr) == (1, "")


def without_colours(shown):
    return re.sub(r"\x1b\[[\d;?]*\w", "", shown)


def test_a_terminal_has_a_table_that_is_live_until_ctrl_c(ini, manager, idle_in_transaction, dsn):
    with terminal(ini, "--watch") as (process, screen):
        until(lambda: "GET /notes/7" in screen())
        assert "\x1b[" in screen()
        assert "│" in screen() or "┃" in screen()
        with blocked(dsn, manager.name) as waiter:
            until(lambda: str(waiter) in screen())
            # In 80 columns it is still told in one line who it is.
            seen = len(screen())
            until(lambda: "│ GET /notes/7, thread MainThread" in without_colours(screen()[seen:]))
        os.killpg(process.pid, signal.SIGINT)
        # It does not end before all that it writes is read.
        until(lambda: (screen(), process.poll() is not None)[1])
        assert process.returncode == 0
        assert "Traceback" not in screen()


def test_a_tag_cannot_end_its_comment_or_be_a_parameter():
    comment = tag.comment("GET /*/ %s 'Ä\0; DROP TABLE notes | --", "MainThread", "page.py:5")
    assert comment.count("*/") == comment.count("/*") == 1
    assert comment.isascii()
    assert "%" not in comment and "'" not in comment
    found, rest = tag.split("BEGIN;\n" + comment + "SELECT 1")
    assert found.thread == "MainThread"
    assert rest == "BEGIN;\nSELECT 1"


def test_the_code_line_of_a_tag_is_whole_however_deep_the_application_lies(tmp_path, monkeypatch):
    folder = tmp_path / ("deep" * 40)
    (folder / "wiki").mkdir(parents=True)
    monkeypatch.chdir(folder)
    place = f"{folder}/wiki/page.py:55 in count"
    found, _ = tag.split(tag.comment("GET /", "MainThread", from_here(place)))
    assert found.place == "wiki/page.py:55 in count"
    # A folder that is gone is no reason to fail.
    (folder / "wiki").rmdir()
    folder.rmdir()
    found, _ = tag.split(tag.comment("GET /", "MainThread", from_here(place)))
    assert found.place.endswith("/wiki/page.py:55 in count")


def test_a_tagged_statement_does_what_it_says(make_manager):
    manager = make_manager(tag_statements="true")
    with manager.scope("GET /%s/100%"):
        assert Raw("SELECT 7 %% 4 AS three, %s AS given", ["x"])("y").fetchone() == [3, "y"]
        assert manager.status()[0].last_sql == "SELECT 7 %% 4 AS three, %s AS given"
        assert Raw("SELECT 7 % 4 AS three")().fetchone() == [3]


def test_an_error_in_a_tagged_statement_shows_the_statement_and_not_the_tag(make_manager):
    manager = make_manager(tag_statements="true")
    with manager.scope("GET /"), pytest.raises(psycopg2.Error) as error:
        Raw("SELECT missing")()
    assert re.search(r"(?m)^LINE \d+: SELECT missing$", str(error.value))


@pytest.mark.parametrize(
    ("sql", "shown"),
    [
        ("SELECT * FROM get_row(1)", "SELECT * FROM get_row(?)"),
        ("SELECT 'it''s', E'a\\'b', $$c$$, $x$d$x$, B'01', 1.5e3", "SELECT ?, ?, ?, ?, ?, ?"),
        ("SELECT \"it's\" FROM t2 -- 'a secret", 'SELECT "it\'s" FROM t2'),
        ("SELECT 1 /* ' */ , 'x'", "SELECT ? , ?"),
        ("SELECT 'cut off in the midd", "SELECT ?"),
        ("SELECT $$cut off in the midd", "SELECT ?"),
        ("SELECT E'cut off at \\", "SELECT ?"),
        ("INSERT\n  INTO t\tVALUES (%s, %(a)s)", "INSERT INTO t VALUES (%s, %(a)s)"),
        ("SELECT U&'d\\0061t'", "SELECT ?"),
        ("SELECT /* a /* b */ secret */ 1 /* /* cut off */ secret", "SELECT ?"),
        ("SELECT date'2026-01-01', $1, a$b$c$b$", "SELECT date?, $1, a$b$c$b$"),
        ("SELECT E'it\\'s' -- a\n 'a \\' secret', 2", "SELECT ?, ?"),
        # With standard_conforming_strings = off the first is one text up to the comma.
        ("SELECT 'it\\'s secret', 'another'", "SELECT ?"),
        ("SELECT 'C:\\\\', name", "SELECT ?, name"),
        ("SELECT N'it\\'s secret', 'another'", "SELECT ?"),
    ],
)
def test_values_are_taken_out_of_a_statement(sql, shown):
    assert masked(sql) == shown
