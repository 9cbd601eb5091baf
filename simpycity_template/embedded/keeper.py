"""Stops an embedded PostgreSQL server when the last process that used it has ended.

Run by the package beside it as a program of its own, as its last line shows. It leaves its terminal
and its parent behind, so neither Ctrl-C nor the end of the process that happened to start it touches it.
"""

import fcntl
import os
import re
import sys

# As tempfile.mkdtemp names those that are made for sockets.
SOCKET_FOLDER = re.compile(r"/tmp/simpycity-[a-z0-9_]+")


def is_file(descriptor: int, name: str, folder: "int | None" = None) -> bool:
    """Tell whether ``descriptor`` is the file that has now this name in an open folder, or in ours."""
    try:
        return os.path.samestat(os.fstat(descriptor), os.stat(name, dir_fd=folder))
    except OSError:
        return False


def main(
    pg_ctl: str, home: int, keeper_lock: int, users_lock: int, start_lock: int, uid: int, gid: int
) -> None:
    """Wait until nobody uses the server of a directory, then stop it.

    Arguments:
        pg_ctl: the path of PostgreSQL's program.
        home: a descriptor of the directory.
        keeper_lock: a descriptor of keeper.lock, which we were given locked.
        users_lock: one of users.lock, of our own.
        start_lock: one of start.lock, of our own.
        uid: the account of the server.
        gid: the group of that account.
    """
    os.fchdir(home)
    if os.geteuid() == 0:
        # What is in the directory is the account's, and may be anything.
        os.setgroups([])
        os.setgid(gid)
        os.setuid(uid)
    if os.fork():
        os._exit(0)
    os.setsid()
    fcntl.flock(users_lock, fcntl.LOCK_EX)
    try:
        # If the directory was deleted, its server ends by itself.
        if is_file(users_lock, "users.lock"):
            # A pg_ctl may still be starting the server for a user that was killed.
            fcntl.flock(start_lock, fcntl.LOCK_EX)
            stop(pg_ctl)
    finally:
        # Before users.lock: its next holder has to find that there is no keeper any more.
        os.close(keeper_lock)


def stop(pg_ctl: str) -> None:
    """Stop the server, and remove the folder made for its socket if there is one."""
    try:
        with open("cluster/postmaster.pid") as file:
            folder = file.read().splitlines()[4]
    except FileNotFoundError:
        return  # it did not start
    # The next user waits for the lock already, so clients that are no users are not waited for.
    os.spawnl(os.P_WAIT, pg_ctl, "pg_ctl", "stop", "--pgdata=cluster", "--mode=fast", "--silent")
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
    # The first argument is the path of the directory, for who reads a list of processes.
    main(sys.argv[2], *map(int, sys.argv[3:]))
