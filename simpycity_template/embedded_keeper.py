"""Stops an embedded PostgreSQL server when the last process that used it has ended.

Run by embedded.py as a program of its own: python embedded_keeper.py USERS_LOCK CLUSTER PG_CTL.
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


def main(users_lock: str, cluster: str, pg_ctl: str) -> None:
    """Wait until nobody holds ``users_lock``, then stop the server of ``cluster``."""
    descriptor = os.open(users_lock, os.O_RDONLY)
    if os.fork():
        os._exit(0)
    os.setsid()
    os.chdir("/")
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    # If the directory was deleted, its server ends by itself, and the server of a new directory
    # with the same name is another keeper's.
    if is_file(descriptor, users_lock):
        stop(cluster, pg_ctl)


def stop(cluster: str, pg_ctl: str) -> None:
    """Stop the server of ``cluster``, and remove the folder made for its socket if there is one."""
    owner = os.stat(cluster)
    if os.geteuid() == 0:
        os.setgroups([])
        os.setgid(owner.st_gid)
        os.setuid(owner.st_uid)
    try:
        with open(os.path.join(cluster, "postmaster.pid")) as file:
            folder = file.read().splitlines()[4]
    except (FileNotFoundError, IndexError):
        folder = ""  # it did not start, or only just does
    # The next user waits for the lock already, so clients that are no users are not waited for.
    os.spawnl(
        os.P_WAIT, pg_ctl, "pg_ctl", "stop", "--pgdata", cluster, "--mode", "fast", "--silent"
    )
    if os.path.isabs(folder):
        os.rmdir(folder)


if __name__ == "__main__":
    main(*sys.argv[1:])
