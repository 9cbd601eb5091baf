"""What a database says of its types: composite types, arrays, domains, enums and ranges.

psycopg2 knows PostgreSQL's own types by their numbers. Those of a schema have other numbers in each
database, so they are looked up where one is met first, once in a process.
"""

from typing import Any, NamedTuple

from simpycity.handle import Cursor

FIRST_OF_USERS = 16384
"""Types with a lower number are PostgreSQL's own."""

JSON = frozenset({114, 3802})


class PgType(NamedTuple):
    """A type of one database.

    Attributes:
        name: as SQL writes it, ``numeric`` or ``api.address[]``.
        kind: ``b`` base, ``c`` composite, ``d`` domain, ``e`` enum, ``p`` pseudo, ``r`` range.
        element: of an array, the number of its elements' type; else 0.
        base: of a domain, the number of the type beneath it; of a range, of its bounds' type.
        fields: of a composite type, the names and types of its columns.
    """

    name: str
    kind: str
    element: int
    base: int
    fields: tuple[tuple[str, int], ...]


# A type, and all that it is made of.
_LOOK_UP = """
WITH RECURSIVE needed(oid) AS (
    SELECT unnest(%s::oid[])
    UNION
    SELECT part.oid
    FROM needed JOIN pg_catalog.pg_type t ON t.oid = needed.oid, LATERAL (
        SELECT t.typelem UNION ALL SELECT t.typbasetype
        UNION ALL SELECT rngsubtype FROM pg_catalog.pg_range WHERE rngtypid = t.oid
        UNION ALL SELECT atttypid FROM pg_catalog.pg_attribute
        WHERE attrelid = t.typrelid AND attnum > 0 AND NOT attisdropped
    ) part(oid)
    WHERE part.oid <> 0
)
SELECT t.oid::int8, pg_catalog.format_type(t.oid, NULL), t.typtype,
    CASE WHEN t.typcategory = 'A' AND t.typtype = 'b' THEN t.typelem ELSE 0 END::int8,
    coalesce(r.rngsubtype, t.typbasetype)::int8,
    ARRAY(
        SELECT attname::text FROM pg_catalog.pg_attribute
        WHERE attrelid = t.typrelid AND attnum > 0 AND NOT attisdropped ORDER BY attnum
    ),
    ARRAY(
        SELECT atttypid::int8 FROM pg_catalog.pg_attribute
        WHERE attrelid = t.typrelid AND attnum > 0 AND NOT attisdropped ORDER BY attnum
    )
FROM needed JOIN pg_catalog.pg_type t ON t.oid = needed.oid
LEFT JOIN pg_catalog.pg_range r ON r.rngtypid = t.oid
"""


class PgTypes(dict[int, PgType]):
    """The types of one database that are known, by their numbers.

    Attributes:
        casts: what reads their values, where that was made already.
    """

    def __init__(self) -> None:
        self.casts: dict[int, Any] = {}

    def learn(self, connection: Any, oids: list[int]) -> None:
        """Look up those of ``oids`` that are not known yet, and all that they are made of."""
        missing = [oid for oid in oids if oid not in self]
        if missing:
            for oid, name, kind, element, base, names, types in look_up(
                connection, _LOOK_UP, (missing,)
            ):
                fields = tuple(zip(names, types, strict=True))
                self[oid] = PgType(name, kind, element, base, fields)

    def forget(self) -> None:
        """Look everything up anew: a type has changed."""
        self.clear()
        self.casts.clear()


_by_database: dict[str, PgTypes] = {}


def pg_types(connection: Any) -> PgTypes:
    """The types of the connection's database."""
    return _by_database.setdefault(connection.dsn, PgTypes())


def look_up(connection: Any, sql: str, values: Any) -> list[tuple[Any, ...]]:
    """Ask the catalogue, in the transaction that there is."""
    with Cursor(connection) as cursor:
        cursor.execute(sql, values)
        return [tuple(row) for row in cursor.fetchall()]
