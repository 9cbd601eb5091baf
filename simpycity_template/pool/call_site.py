"""Which line of the application asked for a connection."""

import contextlib
import os
from types import CodeType, FrameType

import simpycity

from simpycity_template import settings

# Frames of these are on the way from the application to the pool, never its own code.
_OURS = (contextlib.__file__,) + tuple(
    os.path.dirname(os.path.abspath(module)) + os.sep
    for module in (settings.__file__, simpycity.__file__)
)

# A look-up in this set costs less than to compare how a name begins.
_our_files: set[str] = set()

Line = tuple[CodeType, int]


def application_line(frame: FrameType) -> Line:
    """The innermost line from ``frame`` on that is not Simpycity's or this package's.

    Most are never shown, so even the line's number is found out later, by ``described()``.
    """
    while (file := frame.f_code.co_filename) in _our_files or is_ours(file):
        caller = frame.f_back
        if caller is None:
            break
        frame = caller
    return frame.f_code, frame.f_lasti


def is_ours(file: str) -> bool:
    """Whether code of this file is Simpycity's or this package's."""
    if not file.startswith(_OURS):
        return False
    _our_files.add(file)
    return True


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
