"""The page functions.rst of the documentation: its code runs, and each line of its tables is true."""

import enum
import re
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from ipaddress import ip_address, ip_interface, ip_network
from pathlib import Path
from uuid import UUID

import pytest
from pages import blocks
from psycopg2.extras import DateRange, NumericRange
from simpycity.core import Function, FunctionSingle
from simpycity.model import SimpleModel

from simpycity_template.simpycity_patches.composite import Composite

CALL = re.compile(r"^``(add\(.+?\))`` +``(.+?)``(?:: (.+))?$", re.MULTILINE)
PAGE = Path(__file__).parents[2] / "docs" / "functions.rst"
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
