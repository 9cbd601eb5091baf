"""SQL text is read as PostgreSQL reads it, in a time that grows with its length alone."""

from itertools import pairwise
from time import process_time

import psycopg2
import pytest
from hypothesis import given
from hypothesis import strategies as st
from psycopg2.extensions import TRANSACTION_STATUS_IDLE, adapt

from simpycity_template.driver import sql_comment
from simpycity_template.driver.sql_text import may_commit, statements, tokens
from simpycity_template.monitoring.pg_sessions import masked

LENGTH = 250_000

HOSTILE = {
    "an unclosed comment": "/*",
    "comments in comments": "/* ",
    "closed comments": "/**/",
    "ends of comments": "*/",
    "remarks": "--\n",
    "line breaks after an escaping text": "E'' \n",
    "quotes": "'",
    "closed texts": "'' ",
    "escaping texts": "E'\\' ",
    "backslashes": "\\",
    "unicode texts": "U&'\\",
    "names": '"" "',
    "dollars": "$",
    "bodies": "$$ $a$",
    "the beginning of a tag": "/* simpycity: ",
    "parts of a tag": " | ",
    "semicolons": ";",
    "parentheses": "(",
    "words": "commit ",
    "one word": "e",
    "a number": "1",
    "spaces": " ",
    "line breaks": "\n",
    "cases of a function": "CREATE FUNCTION BEGIN ATOMIC CASE ",
}
SHAPES = {name: text * (LENGTH // len(text)) for name, text in HOSTILE.items()} | {
    "distinct tags, unclosed": "".join(f"$t{n}$" for n in range(LENGTH // 8)),
    "a comment with parts of a tag": "/* simpycity: " + " | " * (LENGTH // 3),
    "a text over many lines": "E'a'" + "\n'b'" * (LENGTH // 4),
    "a text and line breaks": "E'a'" + "\n \t" * (LENGTH // 3),
    "a text and remarks": "E'a'" + "\n--" * (LENGTH // 3),
    "words of a function": "CREATE FUNCTION f() BEGIN ATOMIC " + "SELECT x " * (LENGTH // 9),
}


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.slow
def test_a_long_text_of_a_hostile_shape_is_read_in_a_second_or_two(shape):
    whole = SHAPES[shape] + "'commit"
    part = whole[:100_000]
    for read, text in (
        (statements, whole),
        (lambda text: tokens(text, standard_conforming_strings=False), part),
        (lambda text: [may_commit(text.encode())], part),
        (masked, part),
        (lambda text: [sql_comment.split(text)], part),
    ):
        began = process_time()
        for _ in read(text):
            pass
        # Where a pattern looks at all that is left from each place, it is half a minute.
        assert process_time() - began < 5


@given(
    st.text(st.sampled_from("aeEuU&'\"\\$;-/*() \n1é\0") | st.characters(), max_size=60),
    st.booleans(),
)
def test_the_tokens_are_all_of_the_text(text, conforming):
    found = list(tokens(text, conforming))
    assert all(token.start < token.end for token in found)
    assert all(one.end == next.start for one, next in pairwise(found))
    assert [found[0].start, found[-1].end] == [0, len(text)] if text else found == []


KINDS = [
    ("/* a /* b */ ; */x", ["comment", "word"]),
    ("/* a /* b */ ;", ["comment"]),
    ("--a\rb", ["comment", "space", "word"]),
    ("E'a\\'b' 'c'", ["string", "space", "string"]),
    ("E'a'\n  --b\n'c\\'d'", ["string"]),
    ("E'a' 'c\\'d", ["string", "space", "string", "word"]),
    ("e'a\\", ["string"]),
    ("'a\\' x", ["string", "space", "word"]),
    ("U&'a\\' u&\"b\" N'c' X'1f' B'0'", ["string", "space", "name"] + ["space", "string"] * 3),
    ("fee'a'", ["word", "string"]),
    ("$a$ $b$ $a$ $$ $$", ["dollar", "space", "dollar"]),
    ("$a$ $b$ $A$ x", ["dollar"]),
    ("a$b$c$b$ $1", ["word", "space", "other"]),
    ("é$é$ü", ["word"]),
    ("a\u00a0b", ["word"]),
    ("1.5e3,.5", ["number", "other", "number"]),
    ('"a;""b";', ["name", "semicolon"]),
]


@pytest.mark.parametrize(("text", "kinds"), KINDS)
def test_each_piece_has_its_kind(text, kinds):
    assert [token.kind for token in tokens(text)] == kinds


def test_without_standard_conforming_strings_a_backslash_escapes_in_plain_texts():
    text = "'a\\'; commit; --'"
    assert may_commit(text)
    assert not may_commit(text, standard_conforming_strings=False)


# What may stand where a value may, with a word in it that would be a COMMIT elsewhere.
VALUES = [
    "'commit'", "'; commit;'", "E'\\'; commit; --'", "E'a'\n'; \\' commit;'", "U&'; commit;'",
    "N'; end;'", "$$; commit; $$", "$a$; $b$ commit; $a$", '1 AS "; commit; "', "'\\'", "'it''s;'",
    "CASE WHEN true THEN 1 END",
]  # fmt: skip
BETWEEN = [" ", "\n", "/* ; commit; */", "/* a /* b */ ; commit; */", "-- ; commit;\n", "/***/"]
STATEMENTS = [
    "SELECT {}", "SELECT {}, (SELECT {})", "COMMIT", "cOmmit", "END", "COMMIT AND NO CHAIN",
    "PREPARE TRANSACTION 'x'", "SAVEPOINT end_", "PREPARE p AS SELECT 1", "",
    "CREATE FUNCTION pg_temp.{name}() RETURNS int LANGUAGE sql BEGIN ATOMIC SELECT 1; END",
]  # fmt: skip


@st.composite
def texts(draw):
    """Statements with remarks around each."""
    parts = []
    for number in range(draw(st.integers(1, 4))):
        statement = draw(st.sampled_from(STATEMENTS)).replace("{name}", f"f{number}")
        values = [draw(st.sampled_from(VALUES)) for _ in range(statement.count("{}"))]
        gap = draw(st.sampled_from(BETWEEN))
        parts.append(gap + statement.format(*values) + draw(st.sampled_from(BETWEEN)))
    return ";".join(parts)


@pytest.fixture(scope="module")
def link(server):
    link = psycopg2.connect(server.create_database())
    link.autocommit = True
    yield link
    link.close()


@given(text=texts())
def test_it_finds_a_commit_where_postgresql_does(link, text):
    with link.cursor() as cursor:
        cursor.execute("BEGIN")
        try:
            cursor.execute(text)
        except psycopg2.Error:
            # PREPARE TRANSACTION is not allowed, a name is taken twice, or it is no statement.
            ended = None
        else:
            ended = link.get_transaction_status() == TRANSACTION_STATUS_IDLE
        cursor.execute("ROLLBACK")
        cursor.execute("DEALLOCATE ALL")
    if ended is not None:
        assert may_commit(text) is may_commit(text.encode()) is ended


@given(
    value=st.text(st.characters(codec="utf-8", exclude_characters="\0")), conforming=st.booleans()
)
def test_nothing_of_a_value_that_psycopg2_quotes_is_shown(link, value, conforming):
    with link.cursor() as cursor:
        cursor.execute(f"SET standard_conforming_strings = {'on' if conforming else 'off'}")
    adapted = adapt(value)
    adapted.prepare(link)
    quoted = adapted.getquoted().decode("utf-8")
    assert masked(f"SELECT {quoted}, name") in ("SELECT ?, name", "SELECT ?")
    # The server cuts statements off.
    for length in range(len(quoted)):
        assert masked(f"SELECT {quoted[: length + 1]}") in ("SELECT ?", "SELECT E", "SELECT ")


def test_a_tag_counts_in_front_alone():
    tag = "/* simpycity: GET / | main | 1@host | a.py:1 */"
    assert sql_comment.split(f"BEGIN;\n{tag}\nSELECT 1")[1] == "BEGIN;\nSELECT 1"
    assert sql_comment.split(f"/* traced */ {tag} SELECT 1")[0] is not None
    for text in (
        f"SELECT '{tag}'",
        f"SELECT $${tag}$$",
        f"/* {tag} */ SELECT 1",
        f"-- {tag}\nSELECT 1",
    ):
        assert sql_comment.split(text) == (None, text)
