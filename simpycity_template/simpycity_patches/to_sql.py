"""Python's values as SQL, for the cursors of a manager alone: nothing is registered with psycopg2.

psycopg2 writes numbers, texts, dates and lists by itself. What an application has registered with
psycopg2 goes before what is here.
"""

import ipaddress
from collections.abc import Callable, Mapping
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from typing import Any
from uuid import UUID

import simplejson
from psycopg2 import extensions
from psycopg2.extras import DictRow, Json
from simpycity.model import SimpleModel

from simpycity_template.simpycity_patches.composite import Composite
from simpycity_template.simpycity_patches.pg_types import JSON, PgType

PLAIN = frozenset({str, int, float, bool, type(None), bytes, bytearray, time, timedelta})
"""Types whose values psycopg2 writes as they should be; most values are of these."""

_registered_by_psycopg2 = dict(extensions.adapters)
_QUOTE = extensions.ISQLQuote


class Written:
    """A value that writes itself as SQL: what psycopg2 calls an adapter."""

    _connection: Any = None

    def __conform__(self, protocol: Any) -> "Written":
        return self

    def prepare(self, connection: Any) -> None:
        """Take the connection, whose encoding texts are written in."""
        self._connection = connection

    def quoted(self, value: Any) -> bytes:
        """A value that psycopg2 can write."""
        adapter: Any = extensions.adapt(value)
        if hasattr(adapter, "prepare"):
            adapter.prepare(self._connection)
        quoted: bytes = adapter.getquoted()
        return quoted


class Typed(Written):
    """A value with a cast to its type."""

    def __init__(self, value: Any, type_name: str) -> None:
        self.value, self.type_name = value, type_name

    def getquoted(self) -> bytes:
        """As SQL."""
        encoding = extensions.encodings[self._connection.encoding]
        return self.quoted(self.value) + b"::" + self.type_name.encode(encoding)


class Row(Written):
    """The value of a composite type."""

    def __init__(self, values: list[Any]) -> None:
        self.values = values

    def getquoted(self) -> bytes:
        """As SQL."""
        return b"ROW(" + b",".join(self.quoted(value) for value in self.values) + b")"


def to_sql(value: Any) -> Any:
    """What psycopg2 writes as SQL for ``value``: itself, where psycopg2 knows how."""
    kind = type(value)
    if kind in PLAIN or hasattr(value, "__conform__"):
        return value
    if extensions.adapters.get((kind, _QUOTE)) is not _registered_by_psycopg2.get((kind, _QUOTE)):
        return value
    for base in kind.__mro__:
        if base in _WRITERS:
            return _WRITERS[base](value)
    return value


def all_to_sql(values: Any) -> Any:
    """The same for the arguments of a statement, in a sequence or by name."""
    if isinstance(values, Mapping):
        return {name: to_sql(value) for name, value in values.items()}
    return [to_sql(value) for value in values]


def json_text(value: Any) -> str:
    """A document for a parameter of the type json or jsonb; a Decimal keeps all its digits."""
    return str(simplejson.dumps(value, default=_in_json, use_decimal=True, ensure_ascii=False))


def _in_json(value: Any) -> Any:
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, SimpleModel):
        return columns_of(value)
    if isinstance(value, UUID | ipaddress._IPAddressBase):
        return str(value)
    raise TypeError(f"a {type(value).__name__} has no form in JSON: {value!r}")


def _date(value: date) -> Any:
    # What psycopg2 returns for an infinite date.
    infinite = {date.max: "infinity", date.min: "-infinity"}.get(value)
    return Typed(infinite, "date") if infinite else value


def _datetime(value: datetime) -> Any:
    infinite = {datetime.max: "infinity", datetime.min: "-infinity"}.get(value.replace(tzinfo=None))
    if infinite is None:
        return value
    return Typed(infinite, "timestamptz" if value.tzinfo else "timestamp")


def _decimal(value: Decimal) -> Any:
    # psycopg2 writes an infinite one as NaN.
    return Typed(str(value), "numeric") if value.is_infinite() else value


def _list(value: Any) -> Any:
    written = [to_sql(one) for one in value]
    return value if all(map(_same, written, value)) else written


def _tuple(value: Any) -> Any:
    return tuple(to_sql(one) for one in value)


def _same(one: Any, other: Any) -> bool:
    return one is other


def _model(value: SimpleModel) -> Any:
    row = Row([to_sql(one) for one in columns_of(value).values()])
    pg_type = value.pg_type
    return Typed(row, ".".join(map(_identifier, pg_type))) if pg_type else row


def columns_of(model: SimpleModel) -> dict[str, Any]:
    """The columns of a model, without loading any."""
    return {name: model.__dict__.get(name) for name in model.table}


def _identifier(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


_WRITERS: dict[type, Callable[[Any], Any]] = {
    Enum: lambda member: to_sql(member.value),
    UUID: lambda value: Typed(str(value), "uuid"),
    dict: lambda value: Json(value, json_text),
    list: _list,
    tuple: _tuple,
    datetime: _datetime,
    date: _date,
    Decimal: _decimal,
    SimpleModel: _model,
    Composite: lambda value: Row([to_sql(one) for one in value]),
    # An interface is an address as well, by its class.
    ipaddress.IPv4Interface: lambda value: Typed(str(value), "inet"),
    ipaddress.IPv6Interface: lambda value: Typed(str(value), "inet"),
    ipaddress.IPv4Address: lambda value: Typed(str(value), "inet"),
    ipaddress.IPv6Address: lambda value: Typed(str(value), "inet"),
    ipaddress.IPv4Network: lambda value: Typed(str(value), "cidr"),
    ipaddress.IPv6Network: lambda value: Typed(str(value), "cidr"),
}


# --- where the type of the parameter is known ---

STRUCTURED = (dict, list, tuple, SimpleModel)
"""Types whose values are written by the type of the parameter: a list may be an array or JSON."""


def to_type(value: Any, oid: int, types: Mapping[int, PgType]) -> Any:
    """What psycopg2 writes as SQL for ``value`` as a parameter of a type.

    Raises:
        TypeError: a dictionary has other names than the composite type, or a sequence another
            number of values.
    """
    known = types.get(oid)
    if known is None or not isinstance(value, STRUCTURED) or hasattr(value, "__conform__"):
        return to_sql(value)
    if known.kind == "d":
        return Typed(to_type(value, known.base, types), known.name)
    if oid in JSON:
        return Typed(Json(value, json_text), known.name)
    if known.element and isinstance(value, list | tuple):
        return Typed(_elements(value, oid, types), known.name)
    if known.kind == "c":
        return Typed(Row(_fields(value, known, types)), known.name)
    return to_sql(value)


def _elements(values: Any, oid: int, types: Mapping[int, PgType]) -> list[Any]:
    element = types[oid].element
    base = element
    while types[base].kind == "d":
        base = types[base].base
    # A list in a list of numbers is one more dimension.
    is_value = base in JSON or types[base].kind == "c"
    return [
        _elements(value, oid, types)
        if isinstance(value, list) and not is_value
        else to_type(value, element, types)
        for value in values
    ]


def _fields(value: Any, known: PgType, types: Mapping[int, PgType]) -> list[Any]:
    names = [name for name, _ in known.fields]
    if isinstance(value, DictRow):
        value = dict(value)
    if isinstance(value, SimpleModel):
        value = value.__dict__
    elif isinstance(value, dict):
        unknown = ", ".join(repr(name) for name in value if name not in names)
        if unknown:
            raise TypeError(f"{known.name} has no column {unknown}: it has {', '.join(names)}")
    elif len(value) != len(names):
        raise TypeError(
            f"{known.name} has {len(names)} columns ({', '.join(names)}), got {len(value)} values"
        )
    else:
        value = dict(zip(names, value, strict=True))
    return [to_type(value.get(name), oid, types) for name, oid in known.fields]
