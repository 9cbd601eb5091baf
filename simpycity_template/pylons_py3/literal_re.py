"""`re` as WebHelpers knew it: what it finds in a literal, and makes of one, is a literal.

On Python 2 re kept the class of a text. Its pieces were literals, and what was put between them was
escaped unless it was one. On Python 3 they are plain text, so a helper that marks its result as HTML
would let any replacement through, and one that does not would have it escaped twice.
"""

import re

import markupsafe

# What stands for itself, or for a group, in a replacement.
_REFERENCE = re.compile(r"(\\\\|\\g<[^<>]*>)")


def __getattr__(name):
    return getattr(re, name)


def compile(pattern, flags=0):
    """Return a pattern."""
    return Pattern(re.compile(pattern, flags))


def sub(pattern, replacement, text, count=0, flags=0):
    """Return a text with its matches replaced; of a literal, as a literal."""
    if isinstance(pattern, Pattern):
        pattern = pattern.pattern
    if not hasattr(text, "__html__"):
        return re.sub(pattern, replacement, text, count=count, flags=flags)
    # Of a literal itself re would escape some pieces again.
    replaced = re.sub(
        pattern, _escaped(replacement, type(text)), str(text), count=count, flags=flags
    )
    return type(text)(replaced)


def _escaped(replacement, kind):
    """Return what replaces a match in a literal, for `re.sub`."""
    if callable(replacement):
        return lambda match: markupsafe.escape(replacement(Match(match, kind)))
    if hasattr(replacement, "__html__"):
        return str(replacement)
    return "".join(
        piece if _REFERENCE.fullmatch(piece) else str(markupsafe.escape(piece))
        for piece in _REFERENCE.split(replacement)
    )


class Pattern:
    """A compiled pattern."""

    def __init__(self, pattern):
        self.pattern = pattern

    def __getattr__(self, name):
        return getattr(self.pattern, name)

    def sub(self, replacement, text, count=0):
        """Return a text with its matches replaced; of a literal, as a literal."""
        return sub(self.pattern, replacement, text, count)

    def split(self, text):
        """Return the pieces between the matches; those of a literal are literals."""
        if not hasattr(text, "__html__"):
            return self.pattern.split(text)
        return list(map(type(text), self.pattern.split(str(text))))

    def search(self, text):
        """Return the first match, or None; the groups of one in a literal are literals."""
        found = self.pattern.search(text)
        return Match(found, type(text)) if found and hasattr(text, "__html__") else found


class Match:
    """A match in a literal, whose groups are literals, too."""

    def __init__(self, match, kind):
        self._match = match
        self._kind = kind

    def __getattr__(self, name):
        return getattr(self._match, name)

    def __getitem__(self, group):
        return self.group(group)

    def _literal(self, found):
        return self._kind(found) if isinstance(found, str) else found

    def group(self, *groups):
        """Return one group, or a tuple of several."""
        found = self._match.group(*groups)
        return (
            tuple(map(self._literal, found)) if isinstance(found, tuple) else self._literal(found)
        )

    def groups(self, default=None):
        """Return all groups."""
        return tuple(map(self._literal, self._match.groups(default)))

    def groupdict(self, default=None):
        """Return the groups that have names."""
        return {k: self._literal(v) for k, v in self._match.groupdict(default).items()}
