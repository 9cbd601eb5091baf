"""Values in both directions: what a call is given reaches the database, and comes back the same."""

import copy
import enum
import pickle
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from ipaddress import ip_address, ip_interface, ip_network
from uuid import UUID

import psycopg2
import pytest
from psycopg2 import extensions
from psycopg2.extras import DateRange, DateTimeTZRange, Json, NumericRange
from simpycity.core import Function, FunctionSingle, Query, Raw
from simpycity.model import SimpleModel
from wire import wire

SCHEMA = """
CREATE TYPE mood AS ENUM ('happy', 'so so');
CREATE DOMAIN code AS text CHECK (VALUE ~ '^[A-Z]+$');
CREATE DOMAIN payload AS jsonb;
CREATE TYPE point2 AS (x int, "Why" numeric);
CREATE TYPE shape AS (name code, corners point2[], extra jsonb, made timestamptz);
CREATE TYPE pace AS RANGE (subtype = float8);
CREATE FUNCTION same(value anyelement) RETURNS anyelement LANGUAGE sql AS $$ SELECT value $$;
CREATE FUNCTION type_of(payload jsonb) RETURNS text LANGUAGE sql AS
$$ SELECT jsonb_typeof(payload) $$;
CREATE FUNCTION a_shape(s shape) RETURNS shape LANGUAGE sql AS $$ SELECT s $$;
CREATE FUNCTION a_point(p point2) RETURNS TABLE (p point2, mood mood)
LANGUAGE sql AS $$ SELECT p, 'so so'::mood $$;
CREATE FUNCTION either(v int[]) RETURNS text LANGUAGE sql AS $$ SELECT 'array' $$;
CREATE FUNCTION either(v text) RETURNS text LANGUAGE sql AS $$ SELECT 'text' $$;
"""
TYPES = [
    "jsonb", "json", "uuid", "mood", "code", "inet", "cidr", "int4range", "daterange", "tstzrange",
    "interval", "numeric", "date", "time", "timestamp", "timestamptz", "bytea", "int", "text",
    "boolean", "point2", "shape", "pace", "payload",
]  # fmt: skip


class Mood(enum.Enum):
    happy = "happy"
    so_so = "so so"


class Level(enum.IntEnum):
    high = 3


class Point(SimpleModel):
    table = ["x", "Why"]


class TypedPoint(Point):
    pg_type = ("public", "point2")


UTC = timezone.utc
ID = UUID("907dac34-2572-45a0-943c-7c370f1f4273")
NOW = datetime(2026, 11, 27, 12, 30, 15, 123456, UTC)

# The type of the parameter, what is given, and what comes back where that is something else.
VALUES = [
    ("jsonb", {"a": [1, None, "%s'\\"]}),
    ("jsonb", [1, {"b": 2}]),
    ("jsonb", []),
    ("json", {"price": Decimal("1.10"), "on": date(2026, 1, 2)}, {"price": 1.1, "on": "2026-01-02"}),
    ("jsonb[]", [{"a": 1}, [2], {}]),
    ("jsonb", {"mood": Mood.happy, "id": ID, "at": Point(x=1)},
     {"mood": "happy", "id": str(ID), "at": {"x": 1, "Why": None}}),
    ("payload", {"a": [1]}),
    ("uuid", ID),
    ("uuid[]", [ID, None]),
    ("mood", Mood.so_so, "so so"),
    ("mood[]", [Mood.happy, Mood.so_so], ["happy", "so so"]),
    ("mood[]", []),
    ("int", Level.high, 3),
    ("code", "ABC"),
    ("code[]", ["ABC", "D"]),
    ("inet", ip_address("10.0.0.1")),
    ("inet", ip_interface("10.0.0.1/8")),
    ("inet", ip_address("::1")),
    ("cidr", ip_network("10.0.0.0/8")),
    ("inet[]", [ip_address("10.0.0.1")]),
    ("cidr[]", [ip_network("::/8")]),
    ("int4range", NumericRange(1, 3)),
    ("daterange", DateRange(date(2026, 1, 1), None)),
    ("tstzrange", DateTimeTZRange(NOW, NOW + timedelta(1))),
    ("int4range[]", [NumericRange(1, 3)]),
    ("interval", timedelta(days=-3, microseconds=5)),
    ("interval[]", [timedelta(1)]),
    ("numeric", Decimal("0.1000")),
    ("numeric", Decimal("Infinity")),
    ("numeric", Decimal("-Infinity")),
    ("numeric[]", [Decimal("1.5"), Decimal("Infinity")]),
    ("date", date(2026, 1, 2)),
    ("date", date.max),
    ("date", date.min),
    ("date[]", [date.max, date(2026, 1, 2)]),
    ("timestamp", datetime.max),
    ("timestamp", datetime(2026, 1, 2, 3)),
    ("timestamptz", datetime.max.replace(tzinfo=UTC)),
    ("timestamptz", datetime.min.replace(tzinfo=UTC)),
    ("timestamptz", NOW),
    ("timestamptz", NOW.astimezone(timezone(timedelta(hours=5, minutes=30)))),
    ("timestamptz[]", [NOW]),
    ("time", time(12, 30)),
    ("bytea", b"\x00\xff%s'"),
    ("bytea", bytearray(b"x"), b"x"),
    ("bytea[]", [b"\x00", b""]),
    ("int[]", [[1, 2], [3, 4]]),
    ("int[]", []),
    ("text[]", ["a", "NULL", None, '"', "{}"]),
    ("boolean[]", [True, False]),
    ("text", None),
    ("jsonb", None),
    ("point2", {"x": 1, "Why": Decimal("2.5")}, (1, Decimal("2.5"))),
    ("point2", {"x": 1}, (1, None)),
    ("point2", (1, Decimal("2.5"))),
    ("point2", Point(x=1, Why=Decimal("2")), (1, Decimal("2"))),
    ("point2[]", [{"x": 1}, (2, Decimal("3")), None, Point(x=4)],
     [(1, None), (2, Decimal("3")), None, (4, None)]),
    ("shape", {"name": "BOX", "corners": [{"x": 1}], "extra": {"a": [1]}, "made": NOW},
     ("BOX", [(1, None)], {"a": [1]}, NOW)),
    ("shape", {"corners": []}, (None, [], None, None)),
]  # fmt: skip


@pytest.fixture
def manager(make_manager):
    manager = make_manager()
    with manager.transaction():
        manager.handle().execute(SCHEMA)
        manager.handle().execute(
            "".join(
                f"CREATE FUNCTION keep_{name}{suffix}(value {kind}) RETURNS TABLE (value {kind})"
                " LANGUAGE sql AS $$ SELECT value $$;"
                for name in TYPES
                for kind, suffix in ((name, ""), (name + "[]", "_array"))
            )
        )
    return manager


def keep(kind):
    return FunctionSingle("keep_" + kind.replace("[]", "_array"), ["value"], direct=True)


def test_a_value_comes_back_as_it_was_given(manager):
    # In one test, because a database for each would take a minute.
    for kind, given, *other in VALUES:
        expected = other[0] if other else given
        (found,) = keep(kind)(given)
        again = keep(kind)(value=found)
        assert (kind, found, again) == (kind, expected, [expected])
        if expected is not None:
            assert isinstance(found, type(expected)), kind


def test_a_value_of_a_range_of_the_schema_comes_back(manager):
    (found,) = Raw("SELECT pace(1, 2.5)")().fetchone()
    assert (found.lower, found.upper, found.lower_inc) == (1.0, 2.5, True)


def test_a_list_is_json_or_an_array_as_the_parameter_says(manager):
    assert FunctionSingle("type_of", ["payload"])([1]) == ["array"]
    assert FunctionSingle("either", ["v"])([1]) == ["array"]
    assert FunctionSingle("either", ["v"])("{1}") == ["text"]
    assert keep("int[]")([1]) == [[1]]


def test_the_types_are_looked_up_once(manager, make_manager, dsn):
    function = keep("jsonb")
    function({"a": 1})
    with wire(dsn) as line:
        make_manager(dsn=line.dsn)
        function({"a": 1})
        line.clear()
        function({"a": 1})
        assert line.round_trips == 1


def test_a_function_that_was_changed_meanwhile_is_looked_up_again(manager):
    function = keep("jsonb")
    function([1])
    with manager.transaction():
        manager.handle().execute(
            "DROP FUNCTION keep_jsonb;"
            "CREATE FUNCTION keep_jsonb(value int[]) RETURNS int[] LANGUAGE sql AS 'SELECT value'"
        )
    with pytest.raises(psycopg2.errors.UndefinedFunction):
        function([1])
    manager.rollback()
    assert function([1]) == [[1]]


def test_a_composite_type_that_was_changed_meanwhile_is_looked_up_again(manager):
    point = Raw("SELECT row(1, 2)::point2 AS p")
    assert point().fetchone()["p"].x == 1
    manager.commit()
    with manager.transaction():
        manager.handle().execute("ALTER TYPE point2 ADD ATTRIBUTE z int CASCADE")
    longer = Raw("SELECT row(1, 2, 3)::point2 AS p")
    with pytest.raises(psycopg2.DataError, match="point2 has 3 columns now, where it had 2"):
        longer().fetchone()
    assert longer().fetchone()["p"].z == 3


def test_a_dictionary_with_a_column_that_there_is_not_is_a_type_error(manager):
    with pytest.raises(TypeError, match="point2 has no column 'z': it has x, Why"):
        keep("point2")({"x": 1, "z": 2})
    with pytest.raises(TypeError, match=r"point2 has 2 columns \(x, Why\), got 3 values"):
        keep("point2")((1, 2, 3))


def test_a_row_that_was_read_can_be_given_as_a_composite_value(manager):
    row = Raw('SELECT 2 AS "Why", 1 AS x')().fetchone()
    assert keep("point2")(row) == [(1, Decimal(2))]


def test_values_reach_queries_and_statements_written_by_hand(manager):
    with manager.transaction():
        manager.handle().execute("CREATE TABLE kept (id uuid, mood mood, doc jsonb)")
    insert = Raw("INSERT INTO kept VALUES (%s, %s, %s)", ["id", "mood", "doc"])
    insert(ID, Mood.happy, {"a": 1})
    cursor = manager.handle().cursor()
    named = {"id": ID, "mood": Mood.so_so, "doc": {"b": 2}}
    cursor.execute("INSERT INTO kept VALUES (%(id)s, %(mood)s, %(doc)s)", named)
    cursor.executemany("INSERT INTO kept VALUES (%s)", [(ID,), (ID,)])
    assert cursor.mogrify("%s", (ID,)) == f"'{ID}'::uuid".encode()
    assert len(Query("kept", ["id"])(ID).fetchall()) == 4
    assert Query("kept", ["mood"])(Mood.so_so).fetchone()["doc"] == {"b": 2}
    assert Raw("SELECT 1 WHERE 2 IN %s", ["n"])((1, 2)).fetchone() == [1]


def test_a_server_side_cursor_reads_the_same(manager):
    cursor = manager.handle().cursor("some")
    cursor.execute("SELECT row(1, 2)::point2 AS p, %s AS id", (ID,))
    assert [dict(row) for row in cursor] == [{"p": (1, Decimal(2)), "id": ID}]


def test_callproc_reads_its_own_rows_and_not_as_those_of_the_statement_before(manager):
    cursor = manager.handle().cursor()
    cursor.execute("SELECT row(1, 2)::point2 AS p")
    cursor.callproc("upper", ["a"])
    assert [dict(row) for row in cursor] == [{"upper": "A"}]
    cursor.callproc("a_point", ["(1,2)"])
    assert cursor.fetchone()["p"].x == 1


def test_a_composite_value_is_read_by_place_and_by_name(manager):
    row = Function("a_point", ["p"])({"x": 1, "Why": Decimal("2")}).fetchone()
    point = row["p"]
    assert (point[0], point.x, point["x"], point["Why"]) == (1, 1, 1, Decimal(2))
    assert (row["mood"], point._asdict()) == ("so so", {"x": 1, "Why": Decimal(2)})
    assert repr(point) == "Composite(x=1, Why=Decimal('2'))"
    with pytest.raises(KeyError):
        point["z"]
    with pytest.raises(AttributeError, match="no column 'z': it has x, Why"):
        getattr(point, "z")  # noqa: B009


def test_rows_and_composite_values_can_be_pickled_and_copied(manager):
    row = keep("shape")({"name": "BOX", "corners": [{"x": 1}]})
    for other in (pickle.loads(pickle.dumps(row)), copy.copy(row), copy.deepcopy(row)):
        assert other == row
        assert other[0]["corners"][0].x == 1


def test_nothing_is_registered_for_other_connections(manager, dsn):
    adapters, casts = dict(extensions.adapters), dict(extensions.string_types)
    keep("shape")({"name": "BOX", "corners": [{"x": 1}]})
    keep("uuid")(ID)
    assert (extensions.adapters, extensions.string_types) == (adapters, casts)
    other = psycopg2.connect(dsn)
    with other.cursor() as cursor:
        cursor.execute(f"SELECT '{ID}'::uuid, row(1, 2)::point2")
        assert cursor.fetchone() == (str(ID), "(1,2)")
        with pytest.raises(psycopg2.ProgrammingError, match="can't adapt type 'UUID'"):
            cursor.execute("SELECT %s", (ID,))
    other.close()
    plain = manager.handle().conn.cursor()
    plain.execute(f"SELECT '{ID}'::uuid")
    assert plain.fetchone() == (str(ID),)


def test_what_an_application_has_registered_goes_first(manager, monkeypatch):
    monkeypatch.setitem(
        extensions.adapters,
        (dict, extensions.ISQLQuote),
        lambda value: extensions.QuotedString("d"),
    )
    assert Raw("SELECT %s", ["v"])({"a": 1}).fetchone() == ["d"]
    as_text = extensions.new_type((2950,), "TEXT_UUID", lambda value, cursor: f"text {value}")
    monkeypatch.setitem(extensions.string_types, 2950, as_text)
    assert keep("uuid")(ID) == [f"text {ID}"]


def test_what_is_registered_for_the_connection_goes_first(make_manager, manager):
    as_text = extensions.new_type((2950,), "TEXT_UUID", lambda value, cursor: f"text {value}")
    extensions.register_type(as_text, manager.handle().conn)
    assert Raw("SELECT %s", ["v"])(ID).fetchone() == [f"text {ID}"]


def test_a_model_with_a_type_is_a_value_of_it_where_no_type_is_known(manager):
    assert Raw("SELECT (%s).x", ["p"])(TypedPoint(x=3)).fetchone() == [3]
    assert Raw("SELECT (%s::point2).x", ["p"])(Point(x=4)).fetchone() == [4]


def test_what_has_no_form_in_json_is_a_type_error(manager):
    with pytest.raises(TypeError, match="a NumericRange has no form in JSON"):
        keep("jsonb")({"a": NumericRange(1, 3)})


def test_json_can_be_given_where_no_type_is_known(manager):
    assert Raw("SELECT %s::jsonb", ["v"])(Json([1])).fetchone() == [[1]]
