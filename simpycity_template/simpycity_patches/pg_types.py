"""What a database says of its types: composite types, arrays, domains, enums and ranges.

psycopg2 knows PostgreSQL's own types by their numbers. Those of a schema have other numbers in each
database, so they are looked up where one is met first, once in a process.
"""

from typing import Any, NamedTuple

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
        not_null: the names of those that cannot be NULL; of a domain that cannot, its own.
    """

    name: str
    kind: str
    element: int
    base: int
    fields: tuple[tuple[str, int], ...]
    not_null: frozenset[str] = frozenset()


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
    ),
    ARRAY(
        SELECT attname::text
        FROM pg_catalog.pg_attribute JOIN pg_catalog.pg_type f ON f.oid = atttypid
        WHERE attrelid = t.typrelid AND attnum > 0 AND NOT attisdropped
            AND (attnotnull OR f.typnotnull)
        UNION ALL SELECT t.typname::text WHERE t.typnotnull
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

    def learn(self, cursor: Any, oids: list[int]) -> None:
        """Look up those of ``oids`` that are not known yet, and all that they are made of.

        Arguments:
            cursor: one of the database.
            oids: the types' numbers.
        """
        missing = [oid for oid in oids if oid not in self]
        if missing:
            cursor.execute(_LOOK_UP, (missing,))
            for oid, name, kind, element, base, names, types, not_null in cursor.fetchall():
                fields = tuple(zip(names, types, strict=True))
                self[oid] = PgType(name, kind, element, base, fields, frozenset(not_null))

    def forget(self) -> None:
        """Look everything up anew: a type has changed."""
        self.clear()
        self.casts.clear()


_by_database: dict[str, PgTypes] = {}


def pg_types(connection: Any) -> PgTypes:
    """The types of the connection's database."""
    return _by_database.setdefault(connection.dsn, PgTypes())
