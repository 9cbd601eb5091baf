"""Stops an embedded PostgreSQL server when the last process that used it has ended.

Run by the package beside it as a program of its own: python keeper.py KEEPER_LOCK HOME PG_CTL.
It leaves its terminal and its parent behind, so neither Ctrl-C nor the end of the process that
happened to start it touches it.
"""

import fcntl
import os
import sys


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
    users = os.open(path, os.O_RDONLY)
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
            start = os.open(os.path.join(home, "start.lock"), os.O_RDONLY)
            fcntl.flock(start, fcntl.LOCK_EX)
            stop(os.path.join(home, "cluster"), pg_ctl)
    finally:
        # Before users.lock: its next holder has to find that there is no keeper any more.
        os.close(int(keeper_lock))


def stop(cluster: str, pg_ctl: str) -> None:
    """Stop the server of ``cluster``, and remove the folder made for its socket if there is one."""
    try:
        with open(os.path.join(cluster, "postmaster.pid")) as file:
            folder = file.read().splitlines()[4]
    except FileNotFoundError:
        return  # it did not start
    if os.geteuid() == 0:
        owner = os.stat(cluster)
        os.setgroups([])
        os.setgid(owner.st_gid)
        os.setuid(owner.st_uid)
    # The next user waits for the lock already, so clients that are no users are not waited for.
    os.spawnl(
        os.P_WAIT, pg_ctl, "pg_ctl", "stop", "--pgdata", cluster, "--mode", "fast", "--silent"
    )
    remove_socket_folder(folder)


def remove_socket_folder(folder: str) -> None:
    """Remove the folder ``folder`` if it was made for a socket, with what a killed server left."""
    if not os.path.isabs(folder):
        return
    try:
        for name in os.listdir(folder):
            os.unlink(os.path.join(folder, name))
        os.rmdir(folder)
    except OSError:
        pass  # somebody has cleared /tmp, or the folder is not ours: nothing depends on it


if __name__ == "__main__":
    main(*sys.argv[1:])
