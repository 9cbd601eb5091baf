"""A script and a generated application under each monitoring agent: the promises hold, and it sees SQL.

The agents are the real ones, and reach no server of theirs.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import psycopg2
import pytest
from packages import install, installed
from projects import change, create, set_up

pytestmark = [pytest.mark.process, pytest.mark.slow(seconds=25)]

AGENTS = Path(__file__).with_name("agents")

SEEING = [
    "opentelemetry", "opentelemetry_with_comments", "opentelemetry_by_itself", "appsignal", "elastic",
    "newrelic", "ddtrace", "aikido",
]  # fmt: skip
# These trace SQL in other libraries only.
OTHERS = ["sentry", "scout"]

STATEMENTS = [
    "SELECT * FROM get_row(%s)",
    "INSERT INTO kept VALUES (1)",
    "SELECT count(*) FROM kept",
    "SELECT * FROM get_row(%s)",
    "INSERT INTO kept VALUES (2)",
    "SELECT count(*) FROM kept",
]

STATEMENT_OF_PAGE = "SELECT * FROM notes_latest(%s)"

SCHEMA = """
CREATE FUNCTION get_row(i int) RETURNS TABLE (n int) LANGUAGE sql AS 'SELECT i';
CREATE TABLE kept (n int);
"""


@pytest.fixture(scope="module")
def packages():
    """Where the agents are installed: together they need versions that nothing else does."""
    return installed(AGENTS / "requirements.txt")


@pytest.fixture(params=SEEING + OTHERS)
def agent(request):
    """An agent's name."""
    return request.param


@pytest.fixture(scope="module")
def project(server, tmp_path_factory):
    """A generated project with a note in its database."""
    dsn = server.create_database()
    project = create(tmp_path_factory.mktemp("agents"), "HelloWorld", f"dsn={dsn}")
    change(project / "development.ini", "simpycity.check_functions", "false")
    set_up(project)
    link = psycopg2.connect(dsn)
    with link, link.cursor() as cursor:
        cursor.execute("SELECT note_add('Under an agent', '')")
    link.close()
    return project


@pytest.fixture
def under(agent, packages, dsn, project, tmp_path):
    """What an agent saw of the application, and what held."""
    if agent == "aikido" and not any(packages.glob("pytricia*.so")):
        # It has to be compiled.
        install(packages, "pytricia==1.3.0")
    link = psycopg2.connect(dsn)
    with link, link.cursor() as cursor:
        cursor.execute(SCHEMA)
    link.close()
    done = subprocess.run(
        [sys.executable, str(AGENTS / "run.py"), agent, dsn, str(project)],
        env={**os.environ, "PYTHONPATH": str(packages)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_the_promises_hold_and_the_agent_sees_the_statements(agent, under):
    assert under["held"] == {
        "row": 1,
        "transaction": "in transaction",
        "uncommitted": 0,
        "of conn": [[2]],
        "limit": "held",
        "committed": 1,
        "transaction by itself": "in transaction",
        "in use": ["idle"],
    }
    assert under["page"] == [200, True, ["idle"]]
    # Without BEGIN, and without the comment that says who sends them.
    assert under["seen"] == (STATEMENTS if agent in SEEING else None)
    assert under["seen of the page"] == ([STATEMENT_OF_PAGE] if agent in SEEING else None)
