"""The directory of an embedded server: opened, made if it does not exist, and for root with an account.

PostgreSQL refuses to run as root, so root's server runs as another account. That account, or another
one, may own a folder on the way to the directory, and can then put anything in the place of what is
below it while root goes that way. So root looks at each folder by its descriptor, after it was opened
below the one before, and keeps in mind who can have put it there:

- a link is followed only where nobody but root can have made it;
- a folder of root's becomes the account's only where root alone can have put it there;
- a folder is opened to the account (chmod o+x) only where nobody but its owner and root can.

A folder that root makes in a place where others put things has, until it is done, a mode that no other
folder has. So it is known from all other folders of root's.
"""

import logging
import os
import pwd
import stat
from collections.abc import Iterable
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from errno import EACCES, ELOOP, EPERM
from pathlib import Path, PurePath

from simpycity_template.embedded.owned import Folder, named

log = logging.getLogger("simpycity_template.embedded")

# What the directory has in it; a folder of root's with more than that is not taken for one.
NAMES = {"cluster", "cluster.new", "keeper.lock", "log", "start.lock", "users.lock"}

BEING_MADE = 0o300  # mode of a folder that root is making
MADE = 0o755
LINKS = 40  # on one way; Linux allows as many
ANYBODY = -1  # in place of a user's number
OPEN = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


def open_home(home: Path, programs: Path) -> tuple[Folder, "pwd.struct_passwd | None"]:
    """Open the directory of a server, and choose the account of the server's processes.

    It is None where we are not root, and the server runs as we do. Root's server runs as the owner of
    the directory or, where that is root, too, of the nearest folder around it that is somebody's; else
    as nobody. It may pass through the folders around its directory and its programs then.

    Arguments:
        home: the directory, absolute; it is made if it does not exist, with those around it.
        programs: the folder of PostgreSQL's programs.

    Raises:
        OSError: it cannot be made, or is none that root gives to an account.
    """
    if os.geteuid() != 0:
        home.mkdir(parents=True, exist_ok=True)
        return Folder(os.open(home, OPEN), home), None
    with ExitStack() as opened:
        way = _walk(home, opened, make=True)
        account = _choose_account(reversed(way))
        way[-1].give(account)
        for step in way[:-1]:
            step.let_in(account)
        # Not looked at for links: whoever may put them there may change what root runs from there, too.
        for step in _walk(programs.resolve(), opened):
            step.let_in(account)
        return Folder(os.dup(way[-1].descriptor), home, account.pw_uid), account


@dataclass
class _Step:
    """A folder on the way, open."""

    path: Path
    descriptor: int
    status: os.stat_result
    movers: frozenset[int]  # who may have put it there, besides root

    @property
    def being_made(self) -> bool:
        return self.status.st_uid == 0 and self.unfinished

    @property
    def unfinished(self) -> bool:
        # S_ISGID is as the folder around has it.
        return stat.S_IMODE(self.status.st_mode) & ~stat.S_ISGID == BEING_MADE

    @property
    def is_shared(self) -> bool:
        """Whether others than its owner may put files and folders into it."""
        return bool(self.status.st_mode & (stat.S_IWGRP | stat.S_IWOTH))

    @property
    def is_in_place(self) -> bool:
        """Whether nobody but root and its owner can have put it there."""
        return self.being_made or self.movers <= {self.status.st_uid}

    def link(self, name: str) -> "PurePath | None":
        """Return where a link in this folder leads; None if there is no link of that name."""
        try:
            status = os.stat(name, dir_fd=self.descriptor, follow_symlinks=False)
        except FileNotFoundError:
            return None
        if not stat.S_ISLNK(status.st_mode):
            return None
        # Whoever may put files into a folder may move a link of root's into it, also into /tmp.
        if status.st_uid != 0 or self.status.st_uid != 0 or self.movers or self.is_shared:
            raise _refusal("it is a link, and others than root can have put it there", self, name)
        return PurePath(os.readlink(name, dir_fd=self.descriptor))

    def enter(self, name: str, make: bool) -> "_Step":
        """Open a folder in this one; it is made if it does not exist."""
        with named(self.path / name):
            with suppress(FileExistsError):
                if make:
                    os.mkdir(name, BEING_MADE, dir_fd=self.descriptor)
            descriptor = os.open(name, OPEN | os.O_NOFOLLOW, dir_fd=self.descriptor)
        movers = self.movers | ({self.status.st_uid} - {0})
        if self.is_shared and not self.status.st_mode & stat.S_ISVTX:
            movers |= {ANYBODY}
        return _Step(self.path / name, descriptor, os.fstat(descriptor), movers)

    def let_in(self, account: pwd.struct_passwd) -> None:
        """Let an account pass through the folder, without seeing what is in it."""
        mode = stat.S_IMODE(self.status.st_mode)
        if self.being_made:
            self._finish()
        elif self.status.st_uid != account.pw_uid and not mode & stat.S_IXOTH:
            if not self.is_in_place:
                reason = f"it is closed to {account.pw_name}, and others can have put it there"
                raise PermissionError(EACCES, reason, str(self.path))
            os.fchmod(self.descriptor, mode | stat.S_IXOTH)
            log.warning(
                "PostgreSQL, which runs as %s because it refuses to run as root, may now pass "
                "through %s (chmod o+x)",
                account.pw_name,
                self.path,
            )

    def give(self, account: pwd.struct_passwd) -> None:
        """Give the folder to an account, if it is not the account's yet."""
        if self.status.st_uid == 0:
            if not self.is_in_place:
                raise _refusal("it is root's, and others can have put it there", self)
            if not NAMES.issuperset(os.listdir(self.descriptor)):
                raise _refusal("it is root's, and has other files in it", self)
            os.fchown(self.descriptor, account.pw_uid, account.pw_gid)
        elif self.status.st_uid != account.pw_uid:
            raise _refusal("it belongs to another account", self)
        if self.unfinished:
            self._finish()

    def _finish(self) -> None:
        os.fchmod(self.descriptor, MADE | self.status.st_mode & stat.S_ISGID)


def _walk(path: Path, opened: ExitStack, make: bool = False) -> list[_Step]:
    """Open all folders on the way to ``path``, which is the last."""

    def add(step: _Step) -> None:
        opened.callback(os.close, step.descriptor)
        way.append(step)

    def begin() -> None:
        root = os.open("/", OPEN)
        add(_Step(Path("/"), root, os.fstat(root), frozenset()))

    way: list[_Step] = []
    begin()
    names = list(path.parts[:0:-1])
    links = 0
    while names:
        name = names.pop()
        target = way[-1].link(name)
        if target is None:
            add(way[-1].enter(name, make))
            continue
        links += 1
        if links > LINKS:
            raise OSError(ELOOP, os.strerror(ELOOP), str(path))
        if target.is_absolute():
            begin()
        names += [part for part in reversed(target.parts) if part != target.anchor]
    return way


def _choose_account(way: Iterable[_Step]) -> pwd.struct_passwd:
    """Return the first account among the owners of the folders, or nobody."""
    for step in way:
        if step.status.st_uid != 0:
            with suppress(KeyError):
                return pwd.getpwuid(step.status.st_uid)
    return pwd.getpwnam("nobody")


def _refusal(reason: str, step: _Step, *name: str) -> PermissionError:
    return PermissionError(EPERM, reason, str(step.path.joinpath(*name)))
