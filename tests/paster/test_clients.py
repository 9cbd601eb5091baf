"""`paster psql` and `paster dsn`."""

import os
import signal
import subprocess
import sys

import psycopg2
import pytest
import sqlalchemy
from projects import PASTER, create, paster
from psycopg2.extensions import parse_dsn

from simpycity_template.paster.clients import service_file, url

pytestmark = pytest.mark.process


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A project on its embedded server, which no process uses yet."""
    return create(tmp_path_factory.mktemp("clients"), "HelloWorld")


@pytest.fixture(scope="module")
def outside(tmp_path_factory, server):
    """A project on a server that is up."""
    dsn = server.create_database()
    return create(tmp_path_factory.mktemp("clients"), "HelloWorld", f"dsn={dsn}", "example=False")


def test_psql_opens_the_applications_database(project):
    done = paster("psql", "development.ini", "-Atc", "SELECT current_database()", cwd=project)
    assert (done.returncode, done.stdout.strip()) == (0, "helloworld"), done.stderr


def test_psql_alone_reads_statements(outside):
    done = paster("psql", "development.ini", cwd=outside, input="\\conninfo\nSELECT 6 * 7;\n")
    assert done.returncode == 0 and " 42\n" in done.stdout, done.stdout + done.stderr


def test_pg_dump_and_sqlalchemy_find_the_database(project):
    assert paster("setup-app", "development.ini", cwd=project).returncode == 0
    done = paster("psql", "development.ini", "pg_dump", "--schema-only", cwd=project)
    assert "CREATE TABLE public.note" in done.stdout, done.stderr
    script = (
        "import os, sqlalchemy; link = sqlalchemy.create_engine(os.environ['DATABASE_URL']).connect();"
        "print(link.execute(sqlalchemy.text('SELECT count(*) FROM note')).scalar())"
    )
    done = paster("psql", "development.ini", sys.executable, "-c", script, cwd=project)
    assert (done.returncode, done.stdout) == (0, "0\n"), done.stderr


def test_the_exit_status_is_that_of_the_client(outside):
    done = paster("psql", "development.ini", sys.executable, "-c", "exit(7)", cwd=outside)
    assert done.returncode == 7


ENDED = """
import os, signal, sys
# One that comes before it is waited for stays until then.
signals = {signal.SIGINT, signal.SIGTERM}
signal.pthread_sigmask(signal.SIG_BLOCK, signals)
print(os.environ["PGSERVICEFILE"], flush=True)
number = None
while number != signal.SIGTERM:
    number = signal.sigwait(signals)
    print(signal.Signals(number).name, flush=True)
sys.exit(9)
"""


def test_a_client_goes_on_after_ctrl_c_and_ends_with_paster(outside):
    command = [PASTER, "psql", "development.ini", sys.executable, "-c", ENDED]
    with subprocess.Popen(
        command, cwd=outside, stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as running:
        file = running.stdout.readline().strip()
        # As a terminal does, to both.
        for _ in range(2):
            os.killpg(running.pid, signal.SIGINT)
            assert running.stdout.readline() == "SIGINT\n"
        assert os.path.exists(file)
        running.terminate()
        assert running.stdout.readline() == "SIGTERM\n"
        assert running.wait() == 143
    assert not os.path.exists(file)


def test_the_password_is_in_the_environment_of_the_client_alone(outside):
    script = (
        "import os; print(os.environ['PGPASSWORD'], open(os.environ['PGSERVICEFILE']).read(), flush=True);"
        "os.system(f'ps -o args= -p {os.getppid()}')"
    )
    ini = outside / "password.ini"
    text = (outside / "development.ini").read_text()
    ini.write_text(text.replace("simpycity.dsn = ", "simpycity.dsn = password='hun ter2 ' "))
    done = paster("psql", ini.name, sys.executable, "-c", script, cwd=outside)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("hun ter2  [paster]")
    assert done.stdout.count("hun") == 1


def test_a_client_that_is_not_there_is_named(outside):
    done = paster("psql", "development.ini", "no-such-client", cwd=outside)
    assert done.returncode == 2
    assert "There is no program no-such-client; install it" in done.stdout + done.stderr


def test_the_dsn_leads_to_the_database_while_the_command_stays(project):
    for option in ([], ["--url"]):
        command = [PASTER, "dsn", "--keep", *option, "development.ini"]
        with subprocess.Popen(
            command, cwd=project, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as running:
            link = psycopg2.connect(running.stdout.readline().strip().replace("+psycopg2", ""))
            assert link.info.dbname == "helloworld"
            link.close()
            running.stdin.close()
            assert running.wait() == 0


def test_a_manager_that_there_is_not_is_refused(outside):
    done = paster("dsn", "--manager=other", "development.ini", cwd=outside)
    assert done.returncode == 2
    assert "has no manager 'other', but helloworld" in done.stdout + done.stderr


@pytest.mark.parametrize(
    ("dsn", "expected"),
    [
        ("dbname=x", "postgresql+psycopg2:///x"),
        (
            "host=h port=1 user=u password='p@/:' dbname=x",
            "postgresql+psycopg2://u:p%40%2F%3A@h:1/x",
        ),
        ("host=/tmp/a dbname=x", "postgresql+psycopg2:///x?host=%2Ftmp%2Fa"),
        ("host=::1 dbname='a b'", "postgresql+psycopg2://[::1]/?dbname=a%20b"),
        ("host=a,b port=1,2 dbname=x", "postgresql+psycopg2:///x?host=a%2Cb&port=1%2C2"),
        ("host=h dbname=x sslmode=require", "postgresql+psycopg2://h/x?sslmode=require"),
    ],
)
def test_a_dsn_as_a_url_says_the_same(dsn, expected):
    assert url(dsn) == expected
    assert parse_dsn(url(dsn).replace("+psycopg2", "")) == parse_dsn(dsn)
    engine = sqlalchemy.create_engine(url(dsn))
    _, arguments = engine.dialect.create_connect_args(engine.url)
    assert arguments["dbname"] == parse_dsn(dsn)["dbname"]


def test_a_service_file_has_what_another_one_says(tmp_path, monkeypatch):
    other = tmp_path / "other.conf"
    other.write_text("[wiki]\nhost=h\npassword=p w\n")
    monkeypatch.setenv("PGSERVICEFILE", os.fspath(other))
    for name in ("PGSERVICE", "PGAPPNAME", "PGCONNECT_TIMEOUT"):
        monkeypatch.delenv(name, raising=False)
    assert service_file("service=wiki dbname=x") == "[paster]\nhost=h\ndbname=x\n"
