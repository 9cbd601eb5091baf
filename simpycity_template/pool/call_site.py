"""Which line of the application asked for a connection."""

import contextlib
import os
from types import CodeType, FrameType

import psycopg2
import simpycity

from simpycity_template import settings

# Frames of these are on the way from the application to the pool, never its own code.
_OURS = (contextlib.__file__,) + tuple(
    os.path.dirname(os.path.abspath(module)) + os.sep
    for module in (settings.__file__, simpycity.__file__, psycopg2.__file__)
)


class _Ours(dict[str, bool]):
    """Whether code of a file is ours, by its name: to look that up costs less than to compare it."""

    def __missing__(self, file: str) -> bool:
        self[file] = ours = file.startswith(_OURS)
        return ours


_ours = _Ours()

Line = tuple[CodeType, int]


def application_line(frame: FrameType) -> Line:
    """The innermost line from ``frame`` on that is not psycopg2's, Simpycity's or this package's.

    Most are never shown, so even the line's number is found out later, by ``described()``.
    """
    while _ours[frame.f_code.co_filename]:
        caller = frame.f_back
        if caller is None:
            break
        frame = caller
    return frame.f_code, frame.f_lasti


def is_ours(file: str) -> bool:
    """Whether code of this file is psycopg2's, Simpycity's or this package's."""
    return _ours[file]


def described(line: Line) -> str:
    """``FILE:LINE in FUNCTION``."""
    code, instruction = line
    number = code.co_firstlineno
    for start, end, at in code.co_lines():
        if start <= instruction < end:
            number = at or number
    return f"{code.co_filename}:{number} in {code.co_name}"


def from_here(place: str) -> str:
    """A code line with its file as one would name it in this process's folder."""
    try:
        return place.removeprefix(os.getcwd() + os.sep)
    except FileNotFoundError:
        # The folder is gone.
        return place
