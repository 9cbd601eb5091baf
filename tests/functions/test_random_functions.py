"""Functions at random: what is written is accepted by the check, and a call reaches each argument."""

import sys

import psycopg2
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from projects import run
from simpycity.core import Function, FunctionSingle

from simpycity_template.functions.catalogue import Catalogue
from simpycity_template.functions.check import check
from simpycity_template.functions.names import quoted
from simpycity_template.functions.stubs import stub
from simpycity_template.functions.write import declarations

pytestmark = pytest.mark.slow

# A type, and values of it.
VALUES = {
    "integer": st.integers(-(2**31), 2**31 - 1),
    "text": st.text(st.characters(blacklist_characters="\0", blacklist_categories=["Cs"])),
    "boolean": st.booleans(),
    "integer[]": st.lists(st.integers(-9, 9), max_size=3),
    "jsonb": st.dictionaries(st.sampled_from("ab"), st.integers(-9, 9)),
    "numeric": st.decimals(allow_nan=False, allow_infinity=False, places=2, max_value=10**6),
}
LETTERS = st.characters(
    blacklist_characters="\0", blacklist_categories=["Cs", "Cc", "Zl", "Zp"], max_codepoint=0x2FF
)
# Also what Python and SQL keep for themselves.
NAMES = st.sampled_from(["class", "select", "1st", "def", "Mixed", "a b", 'a"b', "50%", "options_"])
NAMES |= st.text(LETTERS, min_size=1, max_size=12)


@st.composite
def functions(draw):
    """A name and parameters: each a name, a type, a value that is given, and one that is its default.

    Those with a default come last, as PostgreSQL demands.
    """
    names = draw(st.lists(NAMES.filter(lambda name: name != "options"), unique=True, max_size=5))
    first_default = draw(st.integers(0, len(names)))
    parameters = []
    for place, name in enumerate(names):
        kind = draw(st.sampled_from(sorted(VALUES)))
        default = draw(VALUES[kind]) if place >= first_default else None
        parameters.append((name, kind, draw(VALUES[kind]), default, place >= first_default))
    given_by_name = [
        name for name, *_, has_default in parameters if not has_default or draw(st.booleans())
    ]
    return draw(NAMES), parameters, given_by_name


@pytest.fixture(scope="module")
def link(create_database):
    link = psycopg2.connect(create_database())
    yield link
    link.close()


@pytest.fixture
def reached(make_manager, link):
    """A manager of the database that the functions are made in."""
    return make_manager(dsn=link.dsn)


def create(cursor, name, parameters):
    def literal(kind, value):
        return cursor.mogrify(
            "%s", (psycopg2.extras.Json(value) if kind == "jsonb" else value,)
        ).decode()

    written = ", ".join(
        f"{quoted(one, EVERY)} {kind}"
        + (f" DEFAULT {literal(kind, default)}::{kind}" if has_default else "")
        for one, kind, _, default, has_default in parameters
    )
    results = ", ".join(f"out{place} {kind}" for place, (_, kind, *_) in enumerate(parameters))
    returns = f"TABLE ({results})" if results else "SETOF integer"
    values = ", ".join(f"${place}" for place in range(1, len(parameters) + 1)) or "7"
    cursor.execute(
        f"DROP SCHEMA public CASCADE; CREATE SCHEMA public;"
        f"CREATE FUNCTION {quoted(name, EVERY)}({written}) RETURNS {returns} LANGUAGE sql AS "
        f"$body$ SELECT {values} $body$"
    )


class Everything(frozenset):
    def __contains__(self, one):
        return True


EVERY = Everything()


def test_what_is_written_is_right_and_typed_and_a_call_reaches_each_argument(
    link, reached, tmp_path, tmp_path_factory
):
    @settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
    @given(function=functions())
    def try_one(function):
        query, text = reaches_each_argument(link, reached, function)
        number = len(list(tmp_path.glob("*.pyi")))
        path = tmp_path / f"written{number}.py"
        made = type(psycopg2)(path.stem)
        made.__file__ = str(path)
        path.write_text(text)
        exec(compile(text, str(path), "exec"), vars(made))
        catalogue = Catalogue(link, [query.query_base])
        path.with_suffix(".pyi").write_text(stub(made, link, catalogue))

    try_one()
    pytest.importorskip("mypy", reason="needs PyPI's mypy")
    stubs = sorted(path.name for path in tmp_path.glob("*.pyi"))
    assert len(stubs) >= 25
    # What it knows of the standard library serves both databases.
    cache = f"--cache-dir={tmp_path_factory.getbasetemp() / 'mypy'}"
    done = run(sys.executable, "-m", "mypy", "--strict", cache, *stubs, cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr


def reaches_each_argument(link, reached, function):
    """Declare a function as it is written, check that, and call it; returns the declaration."""
    name, parameters, by_name = function
    with link, link.cursor() as cursor:
        create(cursor, name, parameters)
    text = declarations(Catalogue(link))
    module: dict[str, object] = {}
    exec(compile(text, "written.py", "exec"), module)
    (query,) = [value for value in module.values() if hasattr(value, "declared_at")]
    assert isinstance(query, Function)
    assert not isinstance(query, FunctionSingle)
    report = check(link, [query])
    assert (report.findings, report.undeclared) == ([], [])
    # By place, all of them.
    everything = [value for _, _, value, *_ in parameters]
    expected = everything or [7]
    assert list(query(*everything).fetchone()) == expected
    # By name, those that were chosen; the others have their defaults.
    chosen = {one: value for one, _, value, *_ in parameters if one in by_name}
    row = query(**chosen).fetchone()
    wanted = [value if one in by_name else default for one, _, value, default, _ in parameters] or [
        7
    ]
    assert list(row) == wanted
    reached.cleanup()
    return query, text
