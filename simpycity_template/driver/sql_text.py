"""The one lexer of SQL text: what is a word of a statement, and what is a value, a name or a remark.

    tokens(text)        the pieces of a text, each with its kind; they cover all of it
    statements(text)    where each statement starts and ends
    may_commit(sql)     whether a statement of the text is a COMMIT; as bytes, too, as psycopg2 sends it

It reads as PostgreSQL does: comments inside comments, E'' and texts that go on in the next line,
U&'', $tag$ bodies, BEGIN ATOMIC … END. What is not closed goes to the end of the text, as it does in a
statement that was cut off. The text may be a visitor's: each character is looked at a bounded
number of times, whatever it is.
"""

import re
from collections.abc import Iterator
from typing import Literal, NamedTuple

Kind = Literal[
    "space", "comment", "string", "dollar", "name", "word", "number", "semicolon", "other"
]


class Token(NamedTuple):
    """A piece of a text.

    Arguments:
        kind: ``space`` between tokens; ``comment`` of either sort; ``string`` and ``dollar``, the
            quoted values; ``name``, in double quotes; ``word``, a keyword or a name; ``number``;
            ``semicolon``; ``other``: one parenthesis, a parameter, or a piece of an operator.
        start: where it starts.
        end: where it ends.
    """

    kind: Kind
    start: int
    end: int


_SPACE = r"[ \t\n\r\f\v]"
# All but the rest of ASCII: to compile a set that reaches to the last character takes 3 ms.
_LETTER = r"[^\0-@\[-^`{-\x7f]"
_IN_WORD = r"[^\0-/:-@\[-^`{-\x7f]"
_IN_WORD_OR_DOLLAR = r"[^\0-#%-/:-@\[-^`{-\x7f]"
_IN_NUMBER = r"[^\0-\-/:-@\[-^`{-\x7f]"
_OF_OPERATOR = r"[\0-\x08\x0e-\x1f!#%&*+,:<=>?@\[\\\]^`{|}~\x7f]"
_PLAIN = r"'[^']*(?:''[^']*)*'?"
# A text goes on after a line break, and a backslash escapes in there, too.
_ESCAPED = r"(?:[^'\\]+|\\.?|'')*"
_NEXT_LINE = rf"[ \t\f\v]*(?:--[^\n\r]*)?[\n\r](?:{_SPACE}|--[^\n\r]*[\n\r])*"
_ESCAPING = rf"'{_ESCAPED}(?:'{_NEXT_LINE}'{_ESCAPED})*'?"


def _compiled(plain: str) -> re.Pattern[str]:
    return re.compile(
        rf"(?P<space>{_SPACE}+)"
        r"|(?P<comment>--[^\n\r]*|/\*)"
        rf"|(?P<string>[eE]{_ESCAPING}|[uU]&{_PLAIN}|[bBxXnN]?{plain})"
        r"|(?P<dollar>\$(?:" + _LETTER + _IN_WORD + r"*)?\$)"
        r'|(?P<name>(?:[uU]&)?"[^"]*(?:""[^"]*)*"?)'
        rf"|(?P<word>{_LETTER}{_IN_WORD_OR_DOLLAR}*)"
        rf"|(?P<number>\.?[0-9]{_IN_NUMBER}*)"
        r"|(?P<semicolon>;)"
        rf"|(?P<other>\$[0-9]+|{_OF_OPERATOR}+|.)",
        re.DOTALL,
    )


_TOKEN = _compiled(_PLAIN)
# With standard_conforming_strings = off, where each text is as with an E.
_TOKEN_OF_OLD = _compiled(_ESCAPING)
_COMMENT_EDGE = re.compile(r"/\*|\*/")


def tokens(text: str, standard_conforming_strings: bool = True) -> Iterator[Token]:
    """Yield the pieces of a text, in order; together they are all of it.

    Arguments:
        text: SQL, of any length and of any origin.
        standard_conforming_strings: as the session has it; without it a backslash escapes in
            plain texts, too.
    """
    match = (_TOKEN if standard_conforming_strings else _TOKEN_OF_OLD).match
    position = 0
    while found := match(text, position):
        start, end = found.span()
        kind: Kind = found.lastgroup  # type: ignore[assignment]
        if kind == "comment" and text[start] == "/":
            end = _end_of_comment(text, start)
        elif kind == "dollar":
            closed = text.find(found.group(), end)
            end = len(text) if closed < 0 else closed + end - start
        yield Token(kind, start, end)
        position = end


def _end_of_comment(text: str, start: int) -> int:
    depth = 0
    for edge in _COMMENT_EDGE.finditer(text, start):
        depth += 1 if edge.group() == "/*" else -1
        if not depth:
            return edge.end()
    return len(text)


def ends_alike(text: str, string: Token) -> bool:
    """Tell whether a ``string`` of ``text`` ends there whatever standard_conforming_strings is."""
    found = _TOKEN_OF_OLD.match(text, string.start)
    # With an E a backslash escapes in any case; with U& and in bits it never does.
    depends = text[string.start] in "'nN"
    return found is not None and (found.end() == string.end or not depends)


def statements(text: str, standard_conforming_strings: bool = True) -> Iterator[tuple[int, int]]:
    """Yield where each statement starts and ends, its semicolon left out."""
    for start, end, _ in _statements(text, standard_conforming_strings):
        yield start, end


def _statements(text: str, conforming: bool) -> Iterator[tuple[int, int, list[str]]]:
    """Yield where each statement starts and ends, and its first words."""
    start, end = None, 0
    parentheses, block = 0, _Block()
    for token in tokens(text, conforming):
        if token.kind in ("space", "comment"):
            continue
        if token.kind == "semicolon" and not parentheses and not block.depth:
            if start is not None:
                yield start, token.start, block.head
            start, block = None, _Block()
            continue
        if start is None:
            start = token.start
        # A comment behind the last one is left in: it does no harm.
        end = token.end
        if token.kind == "word" and not parentheses:
            block.add(text[token.start : token.end].upper())
        elif token.kind == "other":
            shape = text[token.start]
            parentheses = max(0, parentheses + (shape == "(") - (shape == ")"))
    if start is not None:
        yield start, end, block.head


class _Block:
    """How deep the words of a statement are in the SQL body of a function.

    There, BEGIN ATOMIC … END, a semicolon does not end the CREATE FUNCTION.
    """

    def __init__(self) -> None:
        self.head: list[str] = []
        self.depth = 0
        self._last = ""
        self._atomic = False

    def add(self, word: str) -> None:
        """Take the next word, in capital letters."""
        if len(self.head) < 4:
            self.head.append(word)
        if self.head[0] == "CREATE" and ("FUNCTION" in self.head or "PROCEDURE" in self.head):
            if (self._last, word) == ("BEGIN", "ATOMIC"):
                self._atomic = True
                self.depth += 1
            elif self._atomic:
                self.depth = max(0, self.depth + {"CASE": 1, "END": -1}.get(word, 0))
        self._last = word


_WORD_OF_COMMIT = re.compile(r"\b(?:commit|end|prepare)\b", re.IGNORECASE)


def may_commit(sql: str | bytes, standard_conforming_strings: bool = True) -> bool:
    """Tell whether one of the statements is a COMMIT, an END, or a PREPARE TRANSACTION.

    Arguments:
        sql: the text; as bytes in the client's encoding, such as ``cursor.query`` has it.
        standard_conforming_strings: as the session has it.
    """
    # In the encodings that PostgreSQL takes, what matters here is ASCII.
    text = sql.decode("latin-1") if isinstance(sql, bytes) else sql
    if not _WORD_OF_COMMIT.search(text):
        return False
    return any(
        head[:1] in (["COMMIT"], ["END"]) or head[:2] == ["PREPARE", "TRANSACTION"]
        for _, _, head in _statements(text, standard_conforming_strings)
    )
