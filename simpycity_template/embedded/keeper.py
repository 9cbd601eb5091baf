"""Stops an embedded PostgreSQL server when the last process that used it has ended.

Run by the package beside it as a program of its own: python keeper.py KEEPER_LOCK HOME PG_CTL.
It leaves its terminal and its parent behind, so neither Ctrl-C nor the end of the process that
happened to start it touches it.
"""

import fcntl
import os
import re
import stat
import sys

# As tempfile.mkdtemp names those that are made for sockets.
SOCKET_FOLDER = re.compile(r"/tmp/simpycity-[a-z0-9_]+")


def is_file(descriptor: int, path: "str | os.PathLike[str]") -> bool:
    """Tell whether ``descriptor`` is the file that is now at ``path``."""
    try:
        return os.path.samestat(os.fstat(descriptor), os.stat(path))
    except OSError:
        return False


def main(keeper_lock: str, home: str, pg_ctl: str) -> None:
    """Wait until nobody uses the server of ``home``, then stop it.

    ``keeper_lock`` is the descriptor of keeper.lock, which we were given locked.
    """
    path = os.path.join(home, "users.lock")
    users = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    if os.fork():
        os._exit(0)
    os.setsid()
    os.chdir("/")
    fcntl.flock(users, fcntl.LOCK_EX)
    try:
        # If the directory was deleted, its server ends by itself, and the server of a new
        # directory with the same name is another keeper's.
        if is_file(users, path):
            # A pg_ctl may still be starting the server for a user that was killed.
            start = os.open(os.path.join(home, "start.lock"), os.O_RDONLY | os.O_NOFOLLOW)
            fcntl.flock(start, fcntl.LOCK_EX)
            stop(os.path.join(home, "cluster"), pg_ctl)
    finally:
        # Before users.lock: its next holder has to find that there is no keeper any more.
        os.close(int(keeper_lock))


def stop(cluster: str, pg_ctl: str) -> None:
    """Stop the server of ``cluster``, and remove the folder made for its socket if there is one."""
    if os.geteuid() == 0:
        # First of all: what is in the cluster is the account's, and may be anything.
        owner = os.lstat(cluster)
        if not stat.S_ISDIR(owner.st_mode) or owner.st_uid == 0:
            return
        os.setgroups([])
        os.setgid(owner.st_gid)
        os.setuid(owner.st_uid)
    try:
        with open(os.path.join(cluster, "postmaster.pid")) as file:
            folder = file.read().splitlines()[4]
    except FileNotFoundError:
        return  # it did not start
    # The next user waits for the lock already, so clients that are no users are not waited for.
    os.spawnl(
        os.P_WAIT, pg_ctl, "pg_ctl", "stop", "--pgdata", cluster, "--mode", "fast", "--silent"
    )
    remove_socket_folder(folder)


def remove_socket_folder(folder: str, owner: "int | None" = None) -> None:
    """Remove a folder if it was made for a socket, with what a killed server left in it.

    Arguments:
        folder: a path that the server's account has written, and that may be any.
        owner: that account, where we are root.
    """
    if not SOCKET_FOLDER.fullmatch(folder):
        return
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError:
        return  # somebody has cleared /tmp, or it is a link
    try:
        if os.fstat(descriptor).st_uid == (os.geteuid() if owner is None else owner):
            for name in os.listdir(descriptor):
                if name.startswith(".s.PGSQL."):
                    os.unlink(name, dir_fd=descriptor)
            os.rmdir(folder)
    except OSError:
        pass  # there are other files in it, or it is gone: nothing depends on it
    finally:
        os.close(descriptor)


if __name__ == "__main__":
    main(*sys.argv[1:])
