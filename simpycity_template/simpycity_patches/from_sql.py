"""Values of the database as Python's, for the cursors of a manager alone.

psycopg2 reads numbers, texts, dates, ranges and JSON by itself. What an application has registered
with psycopg2 goes before what is here.
"""

import ipaddress
from collections.abc import Callable
from typing import Any
from uuid import UUID

import psycopg2
from psycopg2 import extensions
from psycopg2.extras import CompositeCaster, Range, RangeCaster
from simpycity.handle import Cursor

from simpycity_template.simpycity_patches.composite import Composite
from simpycity_template.simpycity_patches.pg_types import FIRST_OF_USERS, PgType, PgTypes, pg_types

Cast = Callable[[Any, Any], Any]
"""Makes a value of its text; the second argument is the cursor."""

_registered_by_psycopg2 = dict(extensions.string_types)


def _unless_registered(oid: int, cast: Cast) -> Cast:
    def own(text: Any, cursor: Any) -> Any:
        registered = extensions.string_types.get(oid)
        if registered is not _registered_by_psycopg2.get(oid):
            return registered(text, cursor)  # type: ignore[misc]
        return cast(text, cursor)

    return own


def _of_text(make: Callable[[str], Any]) -> Cast:
    return lambda text, cursor: None if text is None else make(text)


def _network(text: str) -> Any:
    return ipaddress.ip_network(text)


def _address(text: str) -> Any:
    # The type inet has both.
    return ipaddress.ip_interface(text) if "/" in text else ipaddress.ip_address(text)


def _bytes(text: Any, cursor: Any) -> bytes | None:
    value = psycopg2.BINARY(text, cursor)
    return None if value is None else bytes(value)


# Number of the type and of its arrays.
_OWN: dict[tuple[int, int], Cast] = {
    (2950, 2951): _of_text(UUID),
    (869, 1041): _of_text(_address),
    (650, 651): _of_text(_network),
    (17, 1001): _bytes,
}

# psycopg2 reads infinite ones, but not in its arrays.
_DATES = {1082: 1182, 1114: 1115, 1184: 1185}


def _casters() -> dict[int, Any]:
    casters: dict[int, Any] = {}
    for (oid, array), cast in _OWN.items():
        casters[oid] = extensions.new_type((oid,), f"type_{oid}", _unless_registered(oid, cast))
        casters[array] = _array(oid, array, cast)
    for oid, array in _DATES.items():
        casters[array] = _array(oid, array, _as_psycopg2(oid))
    return casters


def _array(oid: int, array: int, cast: Cast) -> Any:
    element = extensions.new_type((oid,), f"type_{oid}", cast)
    arrays = extensions.new_array_type((array,), f"type_{array}", element)
    return extensions.new_type((array,), f"type_{array}", _unless_registered(array, arrays))


def _as_psycopg2(oid: int) -> Cast:
    return lambda text, cursor: cursor.cast(oid, text)


CASTERS = _casters()
"""What a manager's cursor has as its ``string_types``."""


def casts_of(connection: Any, columns: Any) -> dict[int, Cast]:
    """What makes Python values of the columns whose types are of the database's schema.

    Arguments:
        connection: of the cursor; types that are met for the first time are looked up with it.
        columns: the cursor's description.

    Returns:
        by the number of the column.
    """
    places = {
        place: column.type_code
        for place, column in enumerate(columns)
        if column.type_code >= FIRST_OF_USERS
    }
    types = pg_types(connection)
    if not types.keys() >= set(places.values()):
        types.learn(Cursor(connection), list(places.values()))
    casts = {place: _cast(oid, types) for place, oid in places.items()}
    return {place: cast for place, cast in casts.items() if cast is not None}


def _cast(oid: int, types: PgTypes) -> Cast | None:
    """What reads a type of the schema; None where it is a text."""
    if oid not in types.casts:
        types.casts[oid] = _new_cast(oid, types)
    cast: Cast | None = types.casts[oid]
    return cast


def _new_cast(oid: int, types: PgTypes) -> Cast | None:
    known = types.get(oid)
    if known is None:
        return None
    if known.element:
        element = _cast(known.element, types) or _as_psycopg2(known.element)
        base = extensions.new_type((known.element,), "simpycity_element", element)
        return extensions.new_array_type((oid,), "simpycity_array", base)
    if known.kind == "d":
        return _cast(known.base, types) or _as_psycopg2(known.base)
    if known.kind == "c":
        return _composite(known, types)
    if known.kind == "r":
        range_type = type("SchemaRange", (Range,), {"__module__": __name__})
        caster = RangeCaster(known.name, range_type, oid, known.base)
        return caster.parse
    return None


def _composite(known: PgType, types: PgTypes) -> Cast:
    names = tuple(name for name, _ in known.fields)
    casts: list[Cast] = [
        (_cast(field, types) if field >= FIRST_OF_USERS else None) or _as_psycopg2(field)
        for _, field in known.fields
    ]

    def cast(text: Any, cursor: Any) -> Any:
        if text is None:
            return None
        values = CompositeCaster.tokenize(text)
        if len(values) != len(names):
            types.forget()
            raise psycopg2.DataError(
                f"{known.name} has {len(values)} columns now, where it had {len(names)}: "
                "its type was changed while the application ran; run the query again"
            )
        return Composite(
            names, [make(value, cursor) for make, value in zip(casts, values, strict=True)]
        )

    return cast
