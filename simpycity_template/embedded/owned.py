"""Files in the directory of an embedded server, as root may touch them.

Root's server runs as an account without privileges, which owns the directory and can put into it what
it likes: a link in the place of a lock, of a file or of the cluster. So nothing is followed here, and
what is neither root's nor the account's own is refused.
"""

import os
import stat
from errno import ELOOP, EPERM
from pathlib import Path

# What the directory has in it; a folder of root's with more than that is not taken for one.
NAMES = {"cluster", "cluster.new", "keeper.lock", "log", "start.lock", "users.lock"}


def open_file(path: Path, flags: int = os.O_RDONLY, owner: int | None = None) -> int:
    """Open a regular file, and return its descriptor.

    Arguments:
        path: the file.
        flags: as ``os.open`` has them; a file that is made can be read by all.
        owner: besides root, whose it may be; None where we are not root, and look at no owner.

    Raises:
        OSError: it is not there, is a link, is no file, or is somebody else's.
    """
    # O_NONBLOCK: a named pipe would be waited for.
    descriptor = os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, 0o644)
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode) or status.st_nlink > 1:
            raise PermissionError(EPERM, "it is not a file of its own", str(path))
        _check_owner(status, path, owner)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def read(path: Path, owner: int | None = None) -> bytes:
    """Return what is in a file; raises as ``open_file`` does."""
    with open(open_file(path, owner=owner), "rb") as file:
        return file.read()


def check_folder(path: Path, owner: int | None = None) -> None:
    """Refuse a link in the place of a folder, and somebody else's folder.

    Raises:
        OSError: it is one of these, or is not there.
    """
    status = os.lstat(path)
    if owner is not None and not stat.S_ISDIR(status.st_mode):
        raise NotADirectoryError(ELOOP, "it is not a folder itself", str(path))
    _check_owner(status, path, owner)


def refuse_links(home: Path) -> None:
    """Refuse links of others than root on the way to a directory that may not exist yet.

    Raises:
        OSError: there is one.
    """
    for folder in (home, *home.parents):
        if folder.is_symlink() and os.lstat(folder).st_uid != 0:
            raise PermissionError(EPERM, "it is a link that is not root's", str(folder))


def take(home: Path, owner: int, group: int) -> None:
    """Give root's new directory to the account of the server.

    Raises:
        OSError: it is somebody else's, or it is root's and has files that are not a server's.
    """
    descriptor = os.open(home.resolve(), os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        status = os.fstat(descriptor)
        _check_owner(status, home, owner)
        if status.st_uid == 0:
            if not NAMES.issuperset(os.listdir(descriptor)):
                raise PermissionError(EPERM, "it is root's, and has other files in it", str(home))
            os.fchown(descriptor, owner, group)
    finally:
        os.close(descriptor)


def _check_owner(status: os.stat_result, path: Path, owner: int | None) -> None:
    if owner is not None and status.st_uid not in (0, owner):
        raise PermissionError(EPERM, "it belongs to another account", str(path))
