"""What a check finds."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Finding:
    """A declaration that is not as the database is, or a body that is wrong.

    Attributes:
        file, line: of the declaration; without a file, it is a line of a function's body.
        declaration: as it stands there, or the function.
        problem: one sentence.
        instead: what to write in its place; empty where that is not known.
    """

    file: str
    line: int
    declaration: str
    problem: str
    instead: str = ""


Problem = tuple[str, str]
"""A sentence, and what to write instead."""
