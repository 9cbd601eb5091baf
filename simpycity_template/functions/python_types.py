"""Types of PostgreSQL as Python's, as they stand in a stub."""

import keyword
import re

from simpycity_template.functions.write import identifier
from simpycity_template.simpycity_patches.pg_types import JSON, PgTypes

# What is read; a stub imports the modules under these names, which its own cannot be.
_READ = {
    "boolean": "bool",
    "smallint": "int",
    "integer": "int",
    "bigint": "int",
    "oid": "int",
    "real": "float",
    "double precision": "float",
    "numeric": "_decimal.Decimal",
    "text": "str",
    "character varying": "str",
    "character": "str",
    "name": "str",
    '"char"': "str",
    "citext": "str",
    "xml": "str",
    "bytea": "bytes",
    "date": "_datetime.date",
    "time without time zone": "_datetime.time",
    "time with time zone": "_datetime.time",
    "timestamp without time zone": "_datetime.datetime",
    "timestamp with time zone": "_datetime.datetime",
    "interval": "_datetime.timedelta",
    "uuid": "_uuid.UUID",
    "cidr": "_ipaddress.IPv4Network | _ipaddress.IPv6Network",
    "inet": "_ipaddress.IPv4Address | _ipaddress.IPv6Address",
    "int4range": "_extras.NumericRange",
    "int8range": "_extras.NumericRange",
    "numrange": "_extras.NumericRange",
    "daterange": "_extras.DateRange",
    "tsrange": "_extras.DateTimeRange",
    "tstzrange": "_extras.DateTimeTZRange",
}
# What is given, where that is more than what is read.
_GIVEN = {
    "real": "float | _decimal.Decimal",
    "double precision": "float | _decimal.Decimal",
    "numeric": "_decimal.Decimal | float",
    "bytea": "bytes | bytearray | memoryview",
    "uuid": "_uuid.UUID | str",
    "cidr": "_ipaddress.IPv4Network | _ipaddress.IPv6Network | str",
    "inet": "_ipaddress.IPv4Address | _ipaddress.IPv6Address | str",
}
IMPORTS = [
    "import datetime as _datetime",
    "import decimal as _decimal",
    "import enum as _enum",
    "import ipaddress as _ipaddress",
    "import uuid as _uuid",
    "from collections.abc import Sequence as _Sequence",
    "from typing import Any as _Any, Literal as _Literal, overload as _overload",
    "from psycopg2 import extras as _extras",
    "from simpycity import core as _core",
    "from simpycity.handle import Cursor as _Cursor, TypedCursor as _TypedCursor, "
    "TypedRow as _TypedRow",
    "from simpycity.model import SimpleModel as _SimpleModel",
    "from simpycity_template.simpycity_patches.composite import Composite as _Composite",
]


class PythonTypes:
    """How the types of a database stand in one stub.

    Attributes:
        composites: the classes for composite values that it needs, by their names.
    """

    def __init__(self, types: PgTypes) -> None:
        self._types = types
        self.composites: dict[str, list[str]] = {}

    def given(self, oid: int) -> str:
        """What may be given for a parameter."""
        known = self._types.get(oid)
        if known is None or known.kind == "p" or oid in JSON:
            return "_Any"
        cannot_be_null = known.kind == "d" and known.not_null
        return self._given(oid) if cannot_be_null else f"{self._given(oid)} | None"

    def _given(self, oid: int) -> str:
        known = self._types[oid]
        if known.kind == "d":
            return self._given(known.base)
        if oid in JSON or known.kind == "p":
            return "_Any"
        if known.element:
            return f"_Sequence[{self.given(known.element)}]"
        if known.kind == "c":
            return "dict[str, _Any] | _Composite | tuple[_Any, ...] | _SimpleModel"
        if known.kind == "e":
            return "str | _enum.Enum"
        return _GIVEN.get(known.name) or _READ.get(known.name, "_Any")

    def read(self, oid: int, not_null: bool = False) -> str:
        """What a column has."""
        known = self._types.get(oid)
        if known is not None and known.kind == "d" and known.not_null:
            not_null = True
        text = self._read(oid)
        return text if not_null or text == "_Any" else f"{text} | None"

    def _read(self, oid: int) -> str:
        known = self._types.get(oid)
        if known is None or known.kind == "p" or oid in JSON:
            return "_Any"
        if known.kind == "d":
            return self._read(known.base)
        if known.element:
            return f"list[{self._read(known.element)}]"
        if known.kind == "e":
            return "str"
        if known.kind == "c":
            return self._composite(oid)
        return _READ.get(known.name, "_Any")

    def _composite(self, oid: int) -> str:
        known = self._types[oid]
        name = f"_{class_name(known.name)}"
        if name not in self.composites:
            # First, because a composite type may have arrays of itself inside.
            self.composites[name] = []
            self.composites[name] = [
                f"    {field}: {self.read(number, field in known.not_null)}"
                for field, number in known.fields
                if is_identifier(field)
            ]
        return name


def is_identifier(name: str) -> bool:
    """Whether Python can have the name."""
    return name.isidentifier() and not keyword.iskeyword(name)


def class_name(name: str) -> str:
    """``note_add`` as ``NoteAdd``."""
    words = re.sub(r"\W|_", " ", name).split()
    return identifier("".join(word[:1].upper() + word[1:] for word in words) or "Value")
