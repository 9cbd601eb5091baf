"""Names as SQL writes them, with a schema and quotes or without."""

import re

_PART = re.compile(r'\s*(?:"((?:[^"]|"")+)"|([^\W\d][\w$]*))\s*')
_PLAIN = re.compile(r"[a-z_][a-z0-9_$]*\Z")


def parts(name: str) -> tuple[str, ...] | None:
    """The parts of a name as the catalogue has them, ``("api", "note_add")``; None for no name."""
    found, position = [], 0
    while part := _PART.match(name, position):
        quoted, plain = part.groups()
        found.append(quoted.replace('""', '"') if quoted else plain.lower())
        position = part.end()
        if position == len(name):
            return tuple(found)
        if name[position] != ".":
            return None
        position += 1
    return None


def quoted(name: str, keywords: frozenset[str] = frozenset()) -> str:
    """A part of a name as SQL writes it, in quotes where they are needed.

    Arguments:
        name: as the catalogue has it.
        keywords: of the server, which no function can be called by without quotes.
    """
    if _PLAIN.match(name) and name not in keywords:
        return name
    doubled = name.replace('"', '""')
    return f'"{doubled}"'
