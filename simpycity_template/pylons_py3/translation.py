"""Turns the Python 2 source of a module into Python 3, each line in its place.

The corrections of the module come first; they are written against the installed text. Then
fissix, the kept fork of 2to3, translates what is left of Python 2.
"""

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from importlib.util import decode_source
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Lock

import fissix

from simpycity_template.pylons_py3 import corrections

# What Pylons and WebHelpers need, of fissix's list; the others only take time.
FIXERS = tuple(
    f"fissix.fixes.fix_{name}"
    for name in (
        "basestring dict except exec has_key imports isinstance itertools long map nonzero print "
        "raise renames types unicode urllib xrange"
    ).split()
)


def translate(data: bytes, name: str) -> str:
    """Translate a module.

    Args:
        data: the installed source.
        name: the module's full name.

    Returns:
        The source as Python 3, line by line.

    Raises:
        ImportError: where a correction does not fit the installed source.
    """
    installed = decode_source(data)
    source = corrections.correct(installed, name)
    if corrections.is_translated(name):
        source = to_python3(source, name)
    if source.count("\n") != installed.count("\n"):
        raise ImportError(f"The translation of {name} moved its lines.", name=name)
    return source


def to_python3(source: str, name: str, fixers: tuple[str, ...] = FIXERS) -> str:
    """Return Python 2 source as Python 3, without any corrections."""
    # The tool keeps its state in itself, and threads may import different modules.
    with _one_at_a_time:
        # The line break is for sources that lack one at their end.
        return str(_tool(fixers).refactor_string(source + "\n", name))[:-1]


_one_at_a_time = Lock()


@lru_cache
def _tool(fixers: tuple[str, ...]):
    logging.getLogger("fissix").setLevel(logging.WARNING)
    with TemporaryDirectory() as folder, _quiet():
        if not _can_write(fissix.CACHE_DIR):
            # fissix keeps its grammar there, and does not start where it cannot.
            fissix.CACHE_DIR = Path(folder)
        from fissix.refactor import RefactoringTool

        return RefactoringTool(fixers)


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep what fissix tells the root logger of its grammar out of the application's log."""
    root, own = logging.getLogger(), os.path.dirname(fissix.__file__)

    def of_others(record: logging.LogRecord) -> bool:
        return not record.pathname.startswith(own)

    root.addFilter(of_others)
    try:
        yield
    finally:
        root.removeFilter(of_others)


def _can_write(folder: Path) -> bool:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return False
    return os.access(folder, os.W_OK)
