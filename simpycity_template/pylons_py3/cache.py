"""Keeps translated modules, so that each is translated once.

Like Python's own byte code they lie in ``__pycache__``, under a tag of their own; or below the
user's cache directory where that cannot be written.
"""

import os
import stat
import sys
import warnings
from collections.abc import Iterator
from contextlib import suppress
from functools import lru_cache
from importlib.util import MAGIC_NUMBER, cache_from_source, source_hash
from marshal import dumps, loads
from types import CodeType

HERE = os.path.dirname(__file__)

# The parts of this package that a translation depends on.
PARTS = (
    "corrections/__init__.py",
    "corrections/entry.py",
    "corrections/of_paste.py",
    "corrections/of_pylons.py",
    "corrections/of_templates.py",
    "corrections/of_webhelpers.py",
    "translation.py",
)


class Translated:
    """A translated module, as it is kept: byte code, and the source that it was made from."""

    def __init__(self, code: bytes, source: bytes) -> None:
        self._code = code
        self._source = source

    @classmethod
    def compiled(cls, source: str, path: str) -> "Translated":
        """Compile the translation of an installed file."""
        with warnings.catch_warnings():
            # Of escapes like \* in plain strings, which are not the application's to mend.
            warnings.simplefilter("ignore")
            code = compile(source, path, "exec", dont_inherit=True)
        return cls(dumps(code), source.encode("utf-8"))

    @property
    def code(self) -> CodeType:
        """What runs."""
        return loads(self._code)

    @property
    def source(self) -> str:
        """What tools show of it."""
        return self._source.decode("utf-8")

    def to_bytes(self) -> bytes:
        """Return both, with a checksum in front."""
        body = len(self._code).to_bytes(4, "little") + self._code + self._source
        return source_hash(body) + body

    @classmethod
    def from_bytes(cls, data: bytes) -> "Translated":
        """Return what `to_bytes` gave.

        Raises:
            ValueError: where it was cut short or damaged. It must not reach the interpreter.
        """
        checksum, body = data[:8], data[8:]
        if checksum != source_hash(body):
            raise ValueError("The checksum is another one.")
        end = 4 + int.from_bytes(body[:4], "little")
        return cls(body[4:end], body[end:])


def read(path: str, state: bytes) -> Translated | None:
    """Return the translation of a source file, or None where it is not there or out of date.

    Arguments:
        path: the source file.
        state: bytes that change with the source.
    """
    header = MAGIC_NUMBER + _fingerprint() + state
    for place in _places(path):
        with suppress(OSError, ValueError), open(place, "rb") as file:
            if _is_trusted(file.fileno(), path) and file.read(len(header)) == header:
                return Translated.from_bytes(file.read())
    return None


def _is_trusted(descriptor: int, path: str) -> bool:
    """Whether nobody can have written an open file but who might have written the source, too."""
    if not hasattr(os, "geteuid"):
        return True
    status = os.fstat(descriptor)
    owners = {0, os.geteuid()}
    # In an archive it has no owner of its own.
    with suppress(OSError):
        owners.add(os.stat(path).st_uid)
    return status.st_uid in owners and not status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)


def _for_owner(path: str, flags: int) -> int:
    """Open a file that its owner alone may change, whatever the umask is."""
    return os.open(path, flags, 0o644)


def write(path: str, state: bytes, module: Translated) -> bool:
    """Keep the translation of a source file where that is possible and wanted, and return whether it was."""
    if sys.dont_write_bytecode:
        return False
    data = MAGIC_NUMBER + _fingerprint() + state + module.to_bytes()
    for place in _places(path):
        # Another process may be writing the same: each writes a file of its own, whole, and
        # puts it in place in one step.
        partial = f"{place}.{os.getpid()}"
        try:
            os.makedirs(os.path.dirname(place), exist_ok=True)
            with open(partial, "xb", opener=_for_owner) as file:
                file.write(data)
            os.replace(partial, place)
            return True
        except OSError:
            with suppress(OSError):
                os.unlink(partial)
    return False


def _places(path: str) -> Iterator[str]:
    """List where the translation of a source file may be, the preferred place first."""
    beside = cache_from_source(path, optimization=f"pylonspy3{sys.flags.optimize or ''}")
    yield beside
    home = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    if os.path.isabs(home):
        below = os.path.splitdrive(os.path.abspath(beside))[1].lstrip(os.sep)
        yield os.path.join(home, "pylons_py3", below)


@lru_cache
def _fingerprint() -> bytes:
    """Stand for the version of this package, so that no translation of another is used."""
    get_data = __spec__.loader.get_data  # type: ignore[union-attr]
    return source_hash(b"".join(get_data(os.path.join(HERE, part)) for part in PARTS))
