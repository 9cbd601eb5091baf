"""Turns the Python 2 source of a module into Python 3, each line in its place.

The corrections of the module come first; they are written against the installed text. Then
fissix, the kept fork of 2to3, translates what is left of Python 2.
"""

import logging
from functools import lru_cache, partial
from importlib.util import decode_source
from threading import Lock

from fissix.pgen2 import driver

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

    Arguments:
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
    # The tool's own; an application that logs all there is is not interested.
    logger = logging.getLogger("RefactoringTool")
    logger.setLevel(logging.WARNING)
    load = driver.load_grammar
    # It would keep its grammar in a file, not start where it can write none, and tell all that
    # to the root logger.
    driver.load_grammar = partial(load, gp="", save=False, logger=logger)
    try:
        from fissix.refactor import RefactoringTool
    finally:
        driver.load_grammar = load
    return RefactoringTool(fixers)
