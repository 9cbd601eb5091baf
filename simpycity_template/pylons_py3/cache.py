"""Keeps translated modules, so that each is translated once.

Like Python's own it lies in ``__pycache__``, under a tag of its own; or below the user's cache
directory where that cannot be written.
"""

import os
import sys
from contextlib import suppress
from functools import lru_cache
from importlib.util import MAGIC_NUMBER, cache_from_source, source_hash
from marshal import dumps, loads
from types import CodeType
from typing import NamedTuple


class Translated(NamedTuple):
    """A translated module: what runs, and what tools show of it."""

    code: CodeType
    source: str


HERE = os.path.dirname(__file__)

# The parts of this package that a translation depends on.
PARTS = ("corrections.py", "translation.py")


def read(path: str, state: bytes) -> Translated | None:
    """Return the translation of a source file, or None where it is not there or out of date.

    Args:
        path: the source file.
        state: bytes that change with the source.
    """
    header = MAGIC_NUMBER + _fingerprint() + state
    for place in _places(path):
        with suppress(OSError, ValueError, EOFError, TypeError):
            with open(place, "rb") as file:
                data = file.read()
            body = data[len(header) + 8 :]
            # What was cut short or damaged must not reach the interpreter.
            if data[: len(header) + 8] == header + source_hash(body):
                return Translated(*loads(body))
    return None


def write(path: str, state: bytes, module: Translated) -> None:
    """Keep the translation of a source file where that is possible and wanted."""
    if sys.dont_write_bytecode:
        return
    body = dumps(tuple(module))
    data = MAGIC_NUMBER + _fingerprint() + state + source_hash(body) + body
    for place in _places(path):
        # Another process may be writing the same: each writes a file of its own, whole, and
        # puts it in place in one step.
        partial = f"{place}.{os.getpid()}"
        try:
            os.makedirs(os.path.dirname(place), exist_ok=True)
            with open(partial, "xb") as file:
                file.write(data)
            os.replace(partial, place)
            return
        except OSError:
            with suppress(OSError):
                os.unlink(partial)


def _places(path: str) -> list[str]:
    """List where the translation of a source file may be, the preferred place first."""
    beside = cache_from_source(path, optimization=f"pylonspy3{sys.flags.optimize or ''}")
    home = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    if not os.path.isabs(home):
        return [beside]
    below = os.path.splitdrive(os.path.abspath(beside))[1].lstrip(os.sep)
    return [beside, os.path.join(home, "pylons_py3", below)]


@lru_cache
def _fingerprint() -> bytes:
    """Stand for the version of this package, so that no translation of another is used."""
    get_data = __spec__.loader.get_data  # type: ignore[union-attr]
    return source_hash(b"".join(get_data(os.path.join(HERE, part)) for part in PARTS))
