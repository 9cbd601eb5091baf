"""What libpq is told of a connection, and with what it is opened."""

from pathlib import Path

import psycopg2
import pytest
from psycopg2.extensions import parse_dsn

from simpycity_template.driver import conninfo
from simpycity_template.driver.conninfo import KEEPALIVES, USER_TIMEOUT, defaults, given_parameters

BOTH = {**KEEPALIVES, **USER_TIMEOUT}

SERVICE = """\
[wiki]
dbname={dbname}
user={user}
host={host}
application_name=of the service
connect_timeout=7
password=a%b=c

[alive]
keepalives_idle=5
"""


@pytest.fixture
def service_file(tmp_path, monkeypatch, dsn):
    """A service file, which the environment names."""
    file = tmp_path / "pg_service.conf"
    file.write_text(SERVICE.format(**parse_dsn(dsn)))
    monkeypatch.setenv("PGSERVICEFILE", str(file))
    for name in ("PGSERVICE", "PGAPPNAME", "PGCONNECT_TIMEOUT"):
        monkeypatch.delenv(name, raising=False)
    return file


def test_the_dsn_comes_before_the_service_and_that_before_the_environment(
    service_file, monkeypatch
):
    monkeypatch.setenv("PGAPPNAME", "of the environment")
    assert given_parameters("dbname=x")["application_name"] == "of the environment"
    assert given_parameters("service=wiki")["application_name"] == "of the service"
    assert given_parameters("service=wiki")["password"] == "a%b=c"
    assert given_parameters("service=wiki application_name=mine")["application_name"] == "mine"
    monkeypatch.setenv("PGSERVICE", "wiki")
    assert given_parameters("dbname=x")["application_name"] == "of the service"
    assert given_parameters("dbname=x")["dbname"] == "x"


def test_the_systems_service_file_is_read_where_libpq_looks_for_it(
    service_file, tmp_path, monkeypatch
):
    monkeypatch.setenv("PGSERVICEFILE", str(tmp_path / "none"))
    monkeypatch.delenv("PGSYSCONFDIR", raising=False)
    monkeypatch.setattr(conninfo, "SYSTEM_FOLDERS", (str(tmp_path / "none"), str(tmp_path)))
    assert given_parameters("service=wiki")["application_name"] == "of the service"
    monkeypatch.setenv("PGSYSCONFDIR", str(tmp_path / "none"))
    assert given_parameters("service=wiki") == {"service": "wiki"}


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="needs Linux's /proc")
def test_the_folder_that_psycopg2s_libpq_was_built_with_is_known():
    maps = Path("/proc/self/maps").read_text().split()
    built = [Path(word).read_bytes() for word in set(maps) if Path(word).name.startswith("libpq")]
    known = [folder.encode() + b"\0" for folder in conninfo.SYSTEM_FOLDERS]
    assert built and all(any(folder in libpq for folder in known) for libpq in built)


@pytest.mark.parametrize("text", ["", "no section\n", "[other]\ndbname=x\n", "\0\xff"])
def test_a_file_without_the_service_tells_nothing(service_file, text):
    service_file.write_text(text)
    assert given_parameters("service=wiki") == {"service": "wiki"}


def test_a_connection_is_opened_with_limits_where_nothing_says_otherwise(service_file, monkeypatch):
    assert defaults("dbname=x", 30) == {"connect_timeout": 30, **BOTH}
    assert defaults("dbname=x", 0)["connect_timeout"] == 2
    assert defaults("service=wiki", 30) == BOTH
    assert defaults("service=alive", 30) == {"connect_timeout": 30, **USER_TIMEOUT}
    assert defaults("dbname=x tcp_user_timeout=1000", 30) == {"connect_timeout": 30, **KEEPALIVES}
    assert defaults("dbname=x keepalives=0", 30) == {"connect_timeout": 30, **USER_TIMEOUT}
    monkeypatch.setenv("PGCONNECT_TIMEOUT", "3")
    assert defaults("dbname=x", 30) == BOTH


def test_the_connections_of_a_manager_have_them(make_manager, dsn, service_file):
    told = make_manager(dsn=dsn).handle().conn.info.dsn_parameters
    assert {name: int(told[name]) for name in BOTH} == BOTH
    manager = make_manager(dsn="service=wiki")
    info = manager.handle().conn.info.dsn_parameters
    assert (info["application_name"], info["connect_timeout"]) == ("of the service", "7")


def test_sessions_are_found_by_the_name_in_the_service_file(make_manager, service_file):
    from simpycity_template.monitoring.pg_sessions import application_name, connect, sessions

    manager = make_manager(dsn="service=wiki")
    pid = manager.handle().conn.info.backend_pid
    link = connect(manager.dsn())
    found = sessions(link, application_name(manager.dsn(), manager.name))
    assert [session.pid for session in found] == [pid]
    assert (
        psycopg2.extensions.parse_dsn(link.dsn)["application_name"] == "simpycity_template sessions"
    )
    link.close()
