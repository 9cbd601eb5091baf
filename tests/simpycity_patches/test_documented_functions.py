"""The page functions.rst of the documentation: its code runs, and each line of its tables is true."""

import enum
import inspect
import re
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from ipaddress import ip_address, ip_interface, ip_network
from pathlib import Path
from uuid import UUID

import pytest
from pages import blocks
from psycopg2.extras import DateRange, NumericRange
from simpycity.core import Function, FunctionSingle, FunctionTyped, meta_query
from simpycity.model import Construct, SimpleModel

from simpycity_template.simpycity_patches.composite import Composite

CALL = re.compile(r"^``(add\(.+?\))`` +``(.+?)``(?:: (.+))?$", re.MULTILINE)
PAGE = Path(__file__).parents[2] / "docs" / "functions.rst"
REFERENCE = PAGE.with_name("reference.rst")
CLASS = re.compile(r"^\.\. py:class:: simpycity\.(?:core|model)\.(\w+)\((.+)\)$", re.MULTILINE)
ROW = re.compile(r"^   \* - (.+)\n     - ``(.+)``\n     - ``(.+)``$", re.MULTILINE)


class Mood(enum.Enum):
    happy = "happy"
    sad = "sad"


class Place(SimpleModel):
    table = ["city", "height"]


NAMES = {
    value.__name__: value
    for value in (
        *(date, datetime, time, timedelta, timezone, Decimal, UUID, DateRange, NumericRange),
        *(ip_address, ip_interface, ip_network, Composite, Mood, Place),
    )
}


def test_each_value_of_the_documented_table_comes_back_as_it_says(make_manager):
    manager = make_manager()
    rows = ROW.findall(PAGE.read_text())
    assert len(rows) == PAGE.read_text().count("   * - ") - 1 > 20
    handle = manager.handle()
    handle.execute("CREATE TYPE mood AS ENUM ('happy', 'sad')")
    handle.execute("CREATE TYPE place AS (city text, height integer)")
    for number, (described, given, returned) in enumerate(rows):
        kind, _, value = described.partition(", ")
        handle.execute(
            f"CREATE FUNCTION f{number}(v {kind}) RETURNS {kind} LANGUAGE sql AS 'SELECT v'"
        )
        same = FunctionSingle(f"f{number}", ["v"], direct=True)
        (found,) = same(eval(given, NAMES))
        expected = eval(returned, NAMES)
        assert (described, found, type(found)) == (described, expected, type(expected))
        if isinstance(found, Composite):
            assert found._fields == expected._fields
        if value.startswith("``"):
            as_text = FunctionSingle(f"f{number}", ["v"])(value.strip("`"))
            assert as_text == [expected]


def test_the_documented_calls_send_what_the_page_says(make_manager):
    manager = make_manager()
    for block in blocks("docs/functions.rst", "postgresql"):
        manager.handle().execute(block.text)
    manager.commit()
    names = {"manager": manager}
    for block in blocks("docs/functions.rst", "python"):
        exec(block.text, names)
    names["add"]("Milk")
    assert eval('Note("Milk").copy(title="Tea")', names) == ["Tea", "", 1]
    assert [type(note) for note in eval("notes()", names)] == [names["Note"]] * 2
    names["add"] = Function("note_add", ["title", "body", "pages"])
    calls = CALL.findall(PAGE.read_text())
    assert len(calls) == 7
    for call, expected, why in calls:
        if expected == "TypeError":
            with pytest.raises(TypeError, match=why.split("``")[1]):
                eval(call, names)
            manager.rollback()
        else:
            assert eval(call, names).query.decode() == expected


def subclasses(kind):
    return {kind}.union(*map(subclasses, kind.__subclasses__()))


def parameters(kind):
    """The names of the parameters of a class of queries."""
    options = set(inspect.signature(meta_query.__init__).parameters) - {"self"}
    if issubclass(kind, Function):
        keywords = inspect.signature(Function.__init__).parameters.values()
        options |= {one.name for one in keywords if one.kind is one.KEYWORD_ONLY}
    # Its call is always a direct one.
    return options - {"direct"} if issubclass(kind, FunctionTyped) else options


def test_the_reference_has_each_class_of_simpycity_with_its_options():
    entries = {
        name: set(re.findall(r"(\w+)(?==|,|$)", re.sub(r"=[^,]*(?=,|$)", "", signature)))
        for name, signature in CLASS.findall(REFERENCE.read_text())
    }
    assert entries.pop("SimpleModel") == {"args", "config", "handle", "kwargs"}
    of_simpycity = [kind for kind in subclasses(meta_query) if kind.__module__ == "simpycity.core"]
    assert entries == {
        kind.__name__: parameters(kind) for kind in of_simpycity if kind is not meta_query
    }


def test_the_reference_has_each_attribute_of_a_model():
    text = REFERENCE.read_text().split("simpycity.model.SimpleModel")[1]
    public = {name for name in {*vars(Construct), *vars(SimpleModel)} if not name.startswith("_")}
    assert len(public) > 5
    named = set(re.findall(r"(?:``|:: )(\w+)", text))
    assert public <= named
