"""Root's embedded server runs as an account; who has that account cannot use root through it."""

import fcntl
import os
import pwd
import shutil
import socket
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from projects import python

from simpycity_template import embedded
from simpycity_template.embedded.home import open_home

pytestmark = [
    pytest.mark.process,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs to be root"),
]

USE = "import sys; from simpycity_template import embedded; print(embedded.dsn(sys.argv[1], 'x'))"

# Runs the start of a server once for each call of the system in it, and exchanges a folder just before.
EXCHANGE = """
import os, pathlib, stat, sys, tempfile
from simpycity_template import embedded

STEPS = {"open", "os.mkdir", "os.chmod", "os.chown", "os.listdir", "os.rename", "fcntl.flock"}
# Empty folders of root's.
CLOSED = ("linked", "account/other/postgres", "account/project/empty")
kind, account = sys.argv[1], int(sys.argv[2])


def stage(top):
    top.chmod(0o755)
    for name in ("account", "account/project", "account/other"):
        (top / name).mkdir()
        (top / name).chmod(0o755)
    for name in CLOSED:
        (top / name).mkdir(mode=0o700)
    for name in ("account", "account/project"):
        os.chown(top / name, account, account)


def exchange(top):
    "Do what the account may do in its folder."
    project = top / "account" / "project"
    home = project / "postgres"
    what = home if kind.endswith("directory") else project
    if os.path.lexists(what):
        what.rename(top / "account" / "away")
    if kind.startswith("a link"):
        what.symlink_to(top / "linked")
    elif kind == "a folder for the directory":
        (project / "empty").rename(what)
    else:
        (top / "account" / "other").rename(what)


def start(top, number):
    "Start a server in a child, exchange before its step of that number, and end before its first program."
    if pid := os.fork():
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    count, inside = 0, False

    def hook(event, arguments):
        nonlocal count, inside
        if event == "subprocess.Popen":
            os._exit(0 if count > number else 3)
        if event in STEPS and not inside:
            inside = True
            if count == number:
                exchange(top)
            count, inside = count + 1, False

    sys.addaudithook(hook)
    try:
        embedded.dsn(top / "account" / "project" / "postgres", "x")
    except embedded.EmbeddedServerError:
        os._exit(0 if count > number else 4)
    os._exit(5)


def look(descriptors):
    return [
        (name, status.st_uid, stat.S_IMODE(status.st_mode), os.listdir(descriptor))
        for name, descriptor in descriptors.items()
        for status in [os.fstat(descriptor)]
    ]


code, number = 0, 0
while code == 0:
    with tempfile.TemporaryDirectory(prefix="simpycity-tests-", dir="/tmp") as top:
        top = pathlib.Path(top)
        stage(top)
        descriptors = {name: os.open(top / name, os.O_RDONLY) for name in CLOSED}
        before = look(descriptors)
        code = start(top, number)
        if look(descriptors) != before:
            sys.exit(f"exchanged before step {number}: {look(descriptors)}")
        for descriptor in descriptors.values():
            os.close(descriptor)
        number += 1
print(code, number)
"""


def use(home):
    """Use the server of a directory as root, and wait until it has stopped again."""
    done = python("-c", USE, str(home), cwd=Path("/"))
    lock = home / "keeper.lock"
    if done.returncode == 0:
        with lock.open() as held:
            fcntl.flock(held, fcntl.LOCK_EX)
    return done


def opened(home):
    """What root opens of a directory, before it starts anything."""
    return open_home(home, embedded.find_programs())[0]


def refused(home):
    """The last line of what is said where the directory is refused."""
    done = use(home)
    assert done.returncode != 0, done.stdout
    return done.stderr.splitlines()[-1]


@pytest.fixture
def folder():
    """A folder of the account's."""
    folder = Path(tempfile.mkdtemp(prefix="simpycity-tests-", dir="/tmp")).resolve()
    account(folder)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def home(folder):
    """The directory of a server, which is the account's."""
    home = folder / "postgres"
    home.mkdir()
    return account(home)


@pytest.fixture
def private(tmp_path):
    """A folder of root's, with files that the account must not touch."""
    private = tmp_path / "private"
    private.mkdir(mode=0o700)
    for name in ("precious", "postmaster.pid", ".s.PGSQL.5432"):
        (private / name).write_text("1\n" * 8)
    return private


def account(path):
    """Give a path to the account, and return it."""
    entry = pwd.getpwnam("nobody")
    os.chown(path, entry.pw_uid, entry.pw_gid, follow_symlinks=False)
    return path


def link(path, target):
    path.symlink_to(target)
    account(path)


def untouched(private):
    names = sorted(path.name for path in private.iterdir())
    return names == [".s.PGSQL.5432", "postmaster.pid", "precious"] and private.stat().st_uid == 0


@pytest.mark.parametrize("name", ["users.lock", "start.lock", "keeper.lock"])
def test_a_link_in_place_of_a_lock_makes_no_file(home, private, name):
    link(home / name, private / "made")
    assert f"cannot use {home / name}" in refused(home)
    assert untouched(private)


def test_a_pipe_in_place_of_a_lock_is_not_waited_for(home):
    os.mkfifo(home / "users.lock")
    account(home / "users.lock")
    assert "it is not a file of its own" in refused(home)


@pytest.mark.parametrize("name", ["cluster", "cluster.new"])
def test_a_link_in_place_of_the_cluster_leads_nowhere(home, private, name):
    link(home / name, private)
    use(home)
    assert untouched(private)


def test_a_link_in_place_of_the_directory_gives_nothing_away(folder, private):
    link(folder / "linked", private)
    assert "it is a link, and others than root can have" in refused(folder / "linked")
    assert "it is a link, and others than root can have" in refused(folder / "linked" / "deeper")
    assert untouched(private)


@pytest.mark.parametrize(
    "kind",
    [
        "a link for the directory",
        "a link for its parent",
        "a folder for the directory",
        "a folder for its parent",
    ],
)
def test_a_folder_exchanged_before_any_step_of_root_gives_no_folder_of_roots_away(kind):
    uid = pwd.getpwnam("nobody").pw_uid
    done = subprocess.run(
        [sys.executable, "-c", EXCHANGE, kind, str(uid)],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    code, steps = map(int, done.stdout.split())
    assert code == 3  # the last one came to the first program before the exchange
    assert steps > 10


def test_a_link_of_roots_is_followed_only_where_root_alone_can_have_put_it(folder, tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "linked").symlink_to("data")
    with opened(tmp_path / "linked" / "postgres"):
        assert (tmp_path / "data" / "postgres").stat().st_uid == pwd.getpwnam("nobody").pw_uid
    moved = folder.with_name(f"{folder.name}-link")
    moved.symlink_to(tmp_path / "data")
    try:
        for link in (folder / "linked", moved):
            if link != moved:
                link.symlink_to(tmp_path / "data")
            with pytest.raises(PermissionError, match="it is a link") as refusal:
                opened(link / "other")
            assert refusal.value.filename == str(link)
    finally:
        moved.unlink()
    assert not (tmp_path / "data" / "other").exists()


def test_a_folder_of_roots_in_one_of_the_accounts_is_neither_given_away_nor_opened(folder, private):
    (folder / "closed").mkdir(mode=0o700)
    (folder / "empty").mkdir()
    with pytest.raises(PermissionError, match="it is root's, and others can have put it there"):
        opened(folder / "empty")
    with pytest.raises(PermissionError, match="it is closed to nobody"):
        opened(folder / "closed" / "postgres")
    assert stat.S_IMODE((folder / "closed").stat().st_mode) == 0o700
    assert (folder / "empty").stat().st_uid == 0


def test_a_folder_of_roots_in_one_of_the_accounts_may_have_the_directory_in_it(folder):
    (folder / "project").mkdir(mode=0o755)
    home = folder / "project" / "data" / "postgres"
    for _ in range(2):
        with opened(home):
            assert home.stat().st_uid == pwd.getpwnam("nobody").pw_uid
            assert stat.S_IMODE(home.stat().st_mode) == 0o755


def test_others_can_lock_no_lock_of_the_server(home):
    with opened(home) as held:
        os.close(held.made_file("users.lock"))
    lock = (home / "users.lock").stat()
    assert (stat.S_IMODE(lock.st_mode), lock.st_uid) == (0o600, pwd.getpwnam("nobody").pw_uid)


def test_root_sends_nothing_to_a_server_that_another_account_runs(home, private):
    assert use(home).returncode == 0
    (private / ".s.PGSQL.5432").unlink()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(private / ".s.PGSQL.5432"))
        listener.listen()
        pid_file = home / "cluster" / "postmaster.pid"
        pid_file.write_text(f"99999999\n{home}/cluster\n0\n5432\n{private}\n\n")
        account(pid_file)
        assert use(home).returncode == 0
        listener.settimeout(0)
        link, _ = listener.accept()
        with link:
            assert link.recv(1) == b""


def test_a_program_of_the_servers_has_neither_roots_terminal_nor_its_environment(home, tmp_path):
    program = tmp_path / "bin" / "initdb"
    program.parent.mkdir()
    program.write_text(
        "#!/bin/sh\n"
        "[ $(cut -d' ' -f6 /proc/$$/stat) = $$ ] && session='of its own'\n"
        "echo session $session, user $(id -u), groups $(id -G), $(env | cut -d= -f1) >&2\n"
        "exit 1\n"
    )
    program.chmod(0o755)
    script = (
        "import pathlib, sys; from simpycity_template import embedded;"
        "embedded.find_programs = lambda: pathlib.Path(sys.argv[2]);"
        "embedded.dsn(sys.argv[1], 'x')"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(home), str(program.parent)],
        env={**os.environ, "AWS_SECRET_ACCESS_KEY": "geheim"},
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    entry = pwd.getpwnam("nobody")
    sentence = done.stderr.splitlines()[-1]
    wanted = f"session of its own, user {entry.pw_uid}, groups {entry.pw_gid}, "
    assert wanted in sentence and "LC_ALL" in sentence
    assert "AWS" not in sentence


def test_a_folder_of_roots_with_other_files_is_not_taken(private):
    assert "it is root's, and has other files in it" in refused(private)
    assert untouched(private)


def test_a_postmaster_pid_has_no_folder_deleted_but_one_made_for_a_socket(home, private):
    assert use(home).returncode == 0
    foreign = Path(tempfile.mkdtemp(prefix="simpycity-", dir="/tmp"))
    (foreign / ".s.PGSQL.5432").touch()
    own = account(Path(tempfile.mkdtemp(prefix="simpycity-", dir="/tmp")))
    (own / ".s.PGSQL.5432").touch()
    linked = Path(f"{own}x")
    link(linked, private)
    try:
        for named in (private, foreign, linked, f"{own}/../{foreign.name}", own):
            pid_file = home / "cluster" / "postmaster.pid"
            pid_file.write_text(f"99999999\n{home}/cluster\n0\n5432\n{named}\n\n")
            account(pid_file)
            done = use(home)
            assert done.returncode == 0, done.stderr
        assert untouched(private)
        assert list(foreign.iterdir()) == [foreign / ".s.PGSQL.5432"]
        assert not own.exists()
    finally:
        linked.unlink()
        shutil.rmtree(foreign)
        shutil.rmtree(own, ignore_errors=True)
