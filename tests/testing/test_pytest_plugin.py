"""The fixture of pytest, and a database for each worker of `pytest -n`."""

import sys

import pytest
from projects import run
from psycopg2.extensions import make_dsn, parse_dsn

from simpycity_template.testing import use_database_of_worker

PLUGIN = ["-p", "simpycity_template.testing.pytest_plugin", "-p", "no:cacheprovider"]

CONFTEST = """
import pytest
from simpycity_template import get_manager

get_manager("plugin").configure({{"simpycity.dsn": {dsn!r}}})

@pytest.fixture(autouse=True)
def transaction(rolled_back):
    pass
"""
TESTS = """
import pytest
from simpycity.core import Raw
from simpycity_template import get_manager

@pytest.mark.parametrize("run", [1, 2])
def test_it(run):
    Raw("INSERT INTO note VALUES ('a')")()
    get_manager("plugin").commit()
    assert Raw("SELECT count(*) FROM note")().fetchone()[0] == 1

def test_that_fails():
    Raw("SELECT nothing")()
"""


def test_the_fixture_rolls_back_what_each_test_committed(server, dsn, tmp_path):
    link = server.connect(parse_dsn(dsn)["dbname"])
    with link.cursor() as cursor:
        cursor.execute("CREATE TABLE note (title text)")
        (tmp_path / "conftest.py").write_text(CONFTEST.format(dsn=dsn))
        (tmp_path / "test_it.py").write_text(TESTS)
        done = run(sys.executable, "-m", "pytest", "-q", *PLUGIN, cwd=tmp_path)
        assert "1 failed, 2 passed" in done.stdout, done.stdout
        # The traceback ends with the line of the test.
        assert "test_it.py:13: UndefinedColumn" in done.stdout
        assert "simpycity_patches" not in done.stdout
        cursor.execute("SELECT count(*) FROM note")
        assert cursor.fetchone()[0] == 0
    link.close()


@pytest.fixture
def worker(monkeypatch):
    """Lets this process be a worker of pytest-xdist, or none."""

    def worker(name):
        if name is None:
            monkeypatch.delenv("PYTEST_XDIST_WORKER", raising=False)
        else:
            monkeypatch.setenv("PYTEST_XDIST_WORKER", name)

    return worker


def test_without_workers_nothing_is_changed(worker):
    worker(None)
    config = {"simpycity.dsn": "dbname=nowhere", "simpycity.database": "tests"}
    use_database_of_worker(config)
    assert config == {"simpycity.dsn": "dbname=nowhere", "simpycity.database": "tests"}


def test_a_worker_gets_a_database_that_is_made_where_it_is_not_there(worker, server, dsn):
    worker("gw7")
    name = parse_dsn(dsn)["dbname"]
    for _ in range(2):
        config = {"simpycity.dsn": dsn, "simpycity.database": name}
        use_database_of_worker(config)
        assert config["simpycity.database"] == f"{name}_gw7"
    link = server.connect(f"{name}_gw7")
    link.close()


def test_a_database_that_cannot_be_reached_is_an_error(worker, dsn):
    worker("gw7")
    config = {
        "simpycity.dsn": make_dsn(dsn, host="/nowhere"),
        "simpycity.database": "tests",
    }
    with pytest.raises(Exception, match="/nowhere"):
        use_database_of_worker(config)
