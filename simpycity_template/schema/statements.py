"""Takes a file of SQL apart into its statements.

PostgreSQL says at which character of a statement it stumbled, or nothing at all; to name the line
of the file, the file is taken apart.
"""

import re
from collections.abc import Iterator

_TOKEN = re.compile(
    r"""
      (?P<space>      \s+ | --[^\n]* )
    | (?P<comment>    /\* )
    | (?P<quoted>     [eE]'(?:[^'\\]|\\.|'')*' | '(?:[^']|'')*' | "(?:[^"]|"")*" )
    | (?P<dollar>     \$(?P<tag>[^\W\d]\w*)?\$ .*? \$(?(tag)(?P=tag))\$ )
    | (?P<word>       [^\W\d][\w$]* )
    | (?P<semicolon>  ; )
    | (?P<other>      \d[\w.]* | . )
    """,
    re.VERBOSE | re.DOTALL,
)
_COMMENT_EDGE = re.compile(r"/\*|\*/")


def statements(text: str) -> Iterator[tuple[int, int]]:
    """Yield where each statement of a file of SQL starts and ends, its semicolon left out."""
    start = None
    parentheses = blocks = 0
    words: list[str] = []
    position = 0
    while position < len(text):
        token = _TOKEN.match(text, position)
        assert token is not None
        kind, here = token.lastgroup, position
        position = token.end()
        if kind == "comment":
            position = end_of_comment(text, here)
        if kind in ("space", "comment"):
            continue
        if kind == "semicolon" and not parentheses and not blocks:
            if start is not None:
                yield start, here
            start, words = None, []
            continue
        if start is None:
            start = here
        if token["other"] in ("(", ")"):
            parentheses = max(0, parentheses + (1 if token["other"] == "(" else -1))
        elif token["word"] and not parentheses:
            words.append(token["word"].upper())
            blocks = max(0, blocks + _block(words))
    if start is not None:
        yield start, len(text.rstrip())


def _block(words: list[str]) -> int:
    """Tell whether the last word opens (1) or closes (-1) a block of a function's SQL body.

    There, BEGIN ATOMIC … END, a semicolon does not end the CREATE FUNCTION.
    """
    if words[0] != "CREATE" or not {"FUNCTION", "PROCEDURE"} & set(words[:4]):
        return 0
    if words[-2:] == ["BEGIN", "ATOMIC"]:
        return 1
    if "ATOMIC" not in words:
        return 0
    return {"CASE": 1, "END": -1}.get(words[-1], 0)


def end_of_comment(text: str, start: int) -> int:
    """Return where a comment ends that may have others inside."""
    depth = 0
    for edge in _COMMENT_EDGE.finditer(text, start):
        depth += 1 if edge.group() == "/*" else -1
        if not depth:
            return edge.end()
    return len(text)


def line_of(text: str, position: int) -> int:
    return text.count("\n", 0, position) + 1
