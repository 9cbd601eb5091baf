"""Knows every declared query of the process, and where it is declared.

A query object is made once, at import as a rule, so this costs a call nothing.
"""

import inspect
import re
import sys
from collections.abc import Iterator
from types import ModuleType
from typing import Any

from simpycity_template.process.weak_list import WeakList

_declared: WeakList[Any] = WeakList()


def note(query: Any) -> None:
    """Remember ``query``, and the code line that made it as its ``declared_at``."""
    frame = sys._getframe(1)
    # The constructors, also those of an application's subclasses.
    while frame.f_back and frame.f_locals.get("self") is query:
        frame = frame.f_back
    _remember(query, frame.f_code.co_filename, frame.f_lineno)


def note_earlier(kind: type) -> None:
    """Remember the queries of modules and their classes that were made before Simpycity was corrected.

    Arguments:
        kind: the class of all queries.
    """
    for module in list(sys.modules.values()):
        file = isinstance(module, ModuleType) and vars(module).get("__file__")
        if file and file.endswith(".py"):
            for name, value in _names(module):
                # Not isinstance(), which proxies answer as what they stand for, or with an error.
                if issubclass(type(value), kind) and "declared_at" not in vars(value):
                    _remember(value, file, _line(module, name))


def _remember(query: Any, file: str, line: int) -> None:
    query.declared_at = (file, line)
    _declared.add(query)


def _names(module: ModuleType) -> Iterator[tuple[str, Any]]:
    for name, value in list(vars(module).items()):
        yield name, value
        if issubclass(type(value), type) and value.__module__ == module.__name__:
            yield from list(vars(value).items())


def _line(module: ModuleType, name: str) -> int:
    """The first line of a module that gives a name its value; 1 where its source has none."""
    try:
        source = inspect.getsource(module)
    except (OSError, TypeError):
        return 1
    found = re.search(rf"(?m)^[ \t]*{re.escape(name)}\b[^=\n]*=", source)
    return source.count("\n", 0, found.start()) + 1 if found else 1


def all_declared() -> list[Any]:
    """Every query object that there is now, in the order of file and line."""
    return sorted(_declared, key=lambda query: query.declared_at)
