"""Knows every declared query of the process, and where it is declared.

A query object is made once, at import as a rule, so this costs a call nothing.
"""

import sys
import weakref
from typing import Any

_declared: "weakref.WeakSet[Any]" = weakref.WeakSet()


def note(query: Any) -> None:
    """Remember ``query``, and the code line that made it as its ``declared_at``."""
    frame = sys._getframe(1)
    # The constructors, also those of an application's subclasses.
    while frame.f_back and frame.f_locals.get("self") is query:
        frame = frame.f_back
    query.declared_at = (frame.f_code.co_filename, frame.f_lineno)
    _declared.add(query)


def all_declared() -> list[Any]:
    """Every query object that there is now, in the order of file and line."""
    return sorted(_declared, key=lambda query: query.declared_at)
