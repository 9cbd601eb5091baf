"""A primary with two standbys, and the managers of the page on databases."""

import os
import pwd
import subprocess
import tempfile
from contextlib import ExitStack
from pathlib import Path

import psycopg2
import pytest
from psycopg2.extensions import parse_dsn
from serving import on_page
from simpycity.core import Raw

from simpycity_template import embedded


class Standby:
    """A server that follows the embedded one."""

    def __init__(self, primary, folder, account):
        self.folder, self.account = folder, account
        self.programs = embedded._find_programs()
        data = str(folder / "data")
        self._run("pg_basebackup", "-h", primary["host"], "-p", primary["port"], "-U", "postgres",
                  "-D", data, "-R", "--checkpoint=fast", "--no-sync")  # fmt: skip
        options = f"-p 5432 -k {folder} -c listen_addresses= -c fsync=off"
        self._run(
            "pg_ctl", "start", "-w", "-s", "-D", data, "-l", str(folder / "log"), "-o", options
        )

    def _run(self, program, *arguments):
        done = subprocess.run(
            [self.programs / program, *arguments],
            cwd="/", stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
            text=True, check=False, **self.account,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr

    def stop(self):
        """At once, as if its power were cut; harmless where that was done."""
        if not (self.folder / "data" / "postmaster.pid").exists():
            return
        self._run("pg_ctl", "stop", "-s", "-m", "immediate", "-D", str(self.folder / "data"))


@pytest.fixture(scope="module")
def cluster(server):
    """The primary's DSN, and two standbys."""
    dsn = server.create_database()
    primary = parse_dsn(dsn)
    account = {}
    if os.geteuid() == 0:
        # PostgreSQL refuses to be root.
        owner = pwd.getpwuid(Path(primary["host"]).stat().st_uid)
        account = {"user": owner.pw_uid, "group": owner.pw_gid, "extra_groups": []}
    with ExitStack() as stack:
        standbys = []
        for _ in range(2):
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="standby-")))
            if account:
                os.chown(folder, account["user"], account["group"])
            standby = Standby(primary, folder, account)
            stack.callback(standby.stop)
            standbys.append(standby)
        yield dsn, standbys


def hosts(cluster):
    """What libpq is told: all three servers."""
    dsn, standbys = cluster
    folders = [parse_dsn(dsn)["host"], *(str(standby.folder) for standby in standbys)]
    return {"PGHOST": ",".join(folders), "PGPORT": "5432", "PGUSER": "postgres"}


@pytest.fixture
def page(cluster, monkeypatch):
    """The names that the page defines, on these servers."""
    for name, value in hosts(cluster).items():
        monkeypatch.setenv(name, value)
    database = parse_dsn(cluster[0])["dbname"]
    names = {}
    start = "from simpycity.model import SimpleModel\nfrom simpycity_template import get_manager\n"
    exec(start + on_page("standbys", "databases.rst").replace("helloworld", database), names)
    exec(on_page("readers", "databases.rst"), names)
    yield names
    for manager in (names["reads"], names["writes"]):
        manager.cleanup()
        manager.dispose()


def test_one_manager_writes_to_the_primary_and_another_reads_from_a_standby(page):
    reads, writes = page["reads"], page["writes"]
    with reads.scope("test"), writes.scope("test"):
        assert page["there"]().fetchone()[0] is True
        assert page["here"]().fetchone()[0] is False
        assert page["Setting"](name="transaction_read_only").current_setting == "on"
        writes.handle().execute("CREATE TABLE note (title text)")
        writes.commit()
    with reads.scope("test"), pytest.raises(psycopg2.errors.ReadOnlySqlTransaction):
        reads.handle().execute("CREATE TABLE other (title text)")
    # A standby is meant to be read-only: its connections are kept.
    assert [entry.state for entry in reads.status()] == ["idle"]


def test_two_databases_have_transactions_of_their_own(make_manager, server):
    both = make_manager(), make_manager(dsn=server.create_database(), default=False)
    for manager in both:
        manager.handle().execute("CREATE TABLE seen (n int)")
        manager.commit()
    for manager in both:
        manager.handle().execute("INSERT INTO seen VALUES (1)")
    both[1].commit()
    for manager in both:
        manager.cleanup()
    seen = Raw("SELECT count(*) AS n FROM seen")
    rows = [seen(options={"handle": manager.handle()}).fetchone()["n"] for manager in both]
    assert rows == [0, 1]


def test_readers_go_on_when_their_standby_is_lost(page, cluster):
    reads, there = page["reads"], page["there"]
    address = Raw("SELECT current_setting('data_directory') AS folder", handle=reads.handle())

    def used():
        with reads.scope("test"):
            assert there().fetchone()[0] is True
            return Path(address().fetchone()["folder"]).parent

    lost = used()
    (standby,) = [standby for standby in cluster[1] if standby.folder == lost]
    standby.stop()
    assert used() != lost
