"""PostgreSQL servers that a test may stop, restart, promote and reconfigure."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg2
from support import PATIENCE, free_port, in_memory

from simpycity_template import embedded

ACCOUNT = {"user": "nobody", "group": "nogroup", "extra_groups": []} if os.geteuid() == 0 else {}
PROGRAMS = embedded.find_programs()


class OwnServer:
    """A server of one test."""

    def __init__(self, folder: Path, options: str = "", programs: Path = PROGRAMS) -> None:
        """
        Arguments:
            folder: where its cluster is, or will be.
            options: settings for its configuration file.
            programs: the folder of PostgreSQL's programs.
        """
        self.programs = programs
        self.cluster = folder / "cluster"
        self.port = free_port()
        self.options = options
        self.dsn = f"host=127.0.0.1 port={self.port} user=postgres dbname=postgres sslmode=prefer"

    def run(self, program: str, *arguments: str) -> None:
        """Run one of PostgreSQL's programs; its output is the error where it fails."""
        done = subprocess.run(
            [self.programs / program, *arguments],
            # Without PGPORT and its like, by which a test may tell clients where its servers are.
            env={"LC_ALL": "C", "PGCTLTIMEOUT": str(int(PATIENCE))},
            cwd="/", stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
            **ACCOUNT,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout

    def init(self) -> None:
        """Make its cluster."""
        self.run(
            "initdb", "-D", str(self.cluster), "-U", "postgres", "-A", "trust", "--no-sync",
            "--encoding=UTF8", "--locale=C", "--no-instructions",
        )  # fmt: skip

    def copy(self, primary: "OwnServer") -> None:
        """Make its cluster as that of a standby, which follows ``primary`` once it is started."""
        self.run(
            "pg_basebackup", "-R", "-c", "fast", "--no-sync", "-D", str(self.cluster),
            "-h", "127.0.0.1", "-p", str(primary.port), "-U", "postgres",
        )  # fmt: skip
        self.options = f"primary_conninfo = 'host=127.0.0.1 port={primary.port} user=postgres'"

    def start(self) -> None:
        """Start it; its configuration may have changed meanwhile."""
        (self.cluster / "postgresql.auto.conf").write_text(
            f"port = {self.port}\nlisten_addresses = '127.0.0.1'\nunix_socket_directories = ''\n"
            f"fsync = off\nwal_receiver_status_interval = 1\n{self.options}\n"
        )
        log = str(self.cluster / "log")
        self.run("pg_ctl", "start", "-w", "-s", "-D", str(self.cluster), "-l", log)

    def stop(self, mode: str = "fast") -> None:
        """Stop it; ``immediate`` is a crash."""
        self.run("pg_ctl", "stop", "-w", "-s", "-D", str(self.cluster), "-m", mode)

    def restart(self) -> None:
        """Stop it and start it again."""
        self.stop()
        self.start()

    def promote(self) -> None:
        """Make a primary of a standby."""
        self.run("pg_ctl", "promote", "-w", "-s", "-D", str(self.cluster))

    def query(self, sql: str) -> list[tuple[object, ...]]:
        """Run SQL in a session of its own."""
        link = psycopg2.connect(self.dsn)
        link.autocommit = True
        try:
            with link.cursor() as cursor:
                cursor.execute(sql)
                return cursor.fetchall() if cursor.description else []
        finally:
            link.close()


@contextmanager
def folder() -> Iterator[Path]:
    """A folder in which servers may run, also those of root's."""
    with tempfile.TemporaryDirectory(prefix="simpycity-servers-", dir=in_memory()) as name:
        if ACCOUNT:
            shutil.chown(name, ACCOUNT["user"], ACCOUNT["group"])
        yield Path(name)


@contextmanager
def own_server(options: str = "", programs: Path = PROGRAMS) -> Iterator[OwnServer]:
    """A server that runs until the end of the block."""
    with folder() as home:
        server = OwnServer(home, options, programs)
        server.init()
        server.start()
        try:
            yield server
        finally:
            server.stop("immediate")
