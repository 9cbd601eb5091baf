"""Root's embedded server runs as an account; who has that account cannot use root through it."""

import fcntl
import os
import pwd
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

pytestmark = [
    pytest.mark.process,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs to be root"),
]

USE = "import sys; from simpycity_template import embedded; print(embedded.dsn(sys.argv[1], 'x'))"


def use(home):
    """Use the server of a directory as root, and wait until it has stopped again."""
    done = subprocess.run(
        [sys.executable, "-c", USE, str(home)], capture_output=True, text=True, timeout=120
    )
    lock = home / "keeper.lock"
    if done.returncode == 0:
        with lock.open() as held:
            fcntl.flock(held, fcntl.LOCK_EX)
    return done


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
    assert "it is a link that is not root's" in refused(folder / "linked")
    assert "it is a link that is not root's" in refused(folder / "linked" / "deeper")
    assert untouched(private)


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
