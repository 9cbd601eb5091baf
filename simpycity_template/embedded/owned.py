"""Files in the directory of an embedded server, as root may touch them.

Root's server runs as an account without privileges, which owns the directory and can put into it, at
any time, what it likes: a link in the place of a lock, of a file or of the cluster. So everything is
opened below the descriptor of the directory, nothing is followed, and what is neither root's nor the
account's own is refused. What is not root, as most users are, is no more careful than other programs.
"""

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from errno import EPERM
from pathlib import Path
from types import TracebackType


class Folder:
    """An open folder. As a context manager it closes itself."""

    def __init__(self, descriptor: int, path: Path, owner: int | None = None) -> None:
        """Take over a descriptor.

        Arguments:
            descriptor: the folder; it is closed with this object.
            path: its path, for messages.
            owner: besides root, whose the files in it may be; None where we are not root, and
                look at no owner.
        """
        self.descriptor = descriptor
        self.path = path
        self.owner = owner

    def __enter__(self) -> "Folder":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        os.close(self.descriptor)

    def file(self, name: str) -> int:
        """Open a regular file for reading, and return its descriptor.

        Raises:
            OSError: it is not there, is a link, is no file, or is somebody else's.
        """
        # O_NONBLOCK: a named pipe would be waited for.
        descriptor = self._open(name, os.O_NOFOLLOW | os.O_NONBLOCK)
        try:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode) or status.st_nlink > 1:
                raise PermissionError(EPERM, "it is not a file of its own", str(self.path / name))
            self._check_owner(status, name)
        except BaseException:
            os.close(descriptor)
            raise
        return descriptor

    def made_file(self, name: str) -> int:
        """Open a regular file as ``file`` does; if it is not there it is made, for its owner alone."""
        try:
            # Others who could open it could lock it, and have us wait.
            descriptor = self._open(name, os.O_CREAT | os.O_EXCL)
        except FileExistsError:
            return self.file(name)
        if self.owner is not None:
            os.fchown(descriptor, self.owner, -1)
        return descriptor

    def folder(self, name: str) -> "Folder":
        """Open a folder in this one.

        Raises:
            OSError: it is not there, is no folder, or, where we are root, is a link or somebody else's.
        """
        follow = os.O_NOFOLLOW if self.owner is not None else 0
        folder = Folder(self._open(name, os.O_DIRECTORY | follow), self.path / name, self.owner)
        try:
            self._check_owner(os.fstat(folder.descriptor), name)
        except BaseException:
            os.close(folder.descriptor)
            raise
        return folder

    def read(self, name: str) -> bytes:
        """Return what is in a file; raises as ``file`` does."""
        with open(self.file(name), "rb") as file:
            return file.read()

    def has(self, name: str) -> bool:
        """Tell whether there is anything with a name, also a link that leads nowhere."""
        try:
            os.stat(name, dir_fd=self.descriptor, follow_symlinks=False)
        except FileNotFoundError:
            return False
        return True

    def rename(self, name: str, new: str) -> None:
        """Give what is in the folder another name there."""
        os.rename(name, new, src_dir_fd=self.descriptor, dst_dir_fd=self.descriptor)

    def _open(self, name: str, flags: int) -> int:
        with named(self.path / name):
            return os.open(name, os.O_RDONLY | os.O_CLOEXEC | flags, 0o600, dir_fd=self.descriptor)

    def _check_owner(self, status: os.stat_result, name: str) -> None:
        if self.owner is not None and status.st_uid not in (0, self.owner):
            raise PermissionError(EPERM, "it belongs to another account", str(self.path / name))


@contextmanager
def named(path: Path) -> Iterator[None]:
    """Let an error name the whole path, where the call that raises it has a part of it."""
    try:
        yield
    except OSError as error:
        error.filename = str(path)
        raise
