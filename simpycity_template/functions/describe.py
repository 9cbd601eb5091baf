"""Has the server say what columns a statement returns, without executing it."""

from typing import Any, NamedTuple

import psycopg2
from psycopg2.extensions import connection as psycopg2_connection

from simpycity_template.driver.sql_text import statements, tokens
from simpycity_template.functions.prepare import with_parameters

# Where one of these stands, a column that is NOT NULL in its table may be NULL in a row.
_MAKE_NULL = {"left", "right", "full", "rollup", "cube", "grouping"}
_NOT_NULL = (
    "SELECT attrelid::int8, attnum FROM pg_attribute WHERE attnotnull AND attrelid = ANY(%s)"
)


class Described(NamedTuple):
    """A statement as the server knows it.

    Attributes:
        parameters: the numbers of the types of its parameters.
        columns: of each its name, the number of its type, and whether it cannot be NULL.
    """

    parameters: list[int]
    columns: list[tuple[str, int, bool]]


def described(link: psycopg2_connection, query: Any) -> Described | None:
    """What a ``Query`` or ``Raw`` takes and returns; None where it reads no rows, or is wrong.

    Arguments:
        link: a connection in a transaction, which is rolled back to where it was.
        query: the declaration.
    """
    text = query.form_query("*")
    single = list(statements(text))
    if len(single) != 1:
        return None
    text = text[slice(*single[0])]
    with link.cursor() as cursor:
        cursor.execute("SAVEPOINT simpycity_describe")
        try:
            return _described(cursor, text, len(query.args))
        except psycopg2.Error:
            if link.closed:
                raise
            return None
        finally:
            if not link.closed:
                cursor.execute("ROLLBACK TO SAVEPOINT simpycity_describe")


def _described(cursor: Any, text: str, number: int) -> Described:
    prepared = with_parameters(text, [f"${place}" for place in range(1, number + 1)])
    cursor.execute(f"PREPARE simpycity_describe AS {prepared}")
    cursor.execute(
        "SELECT parameter_types::oid[]::int8[], parameter_types::text[] FROM pg_prepared_statements"
        " WHERE name = 'simpycity_describe'"
    )
    ((numbers, names),) = cursor.fetchall()
    cursor.execute("DEALLOCATE simpycity_describe")
    # A cursor takes no parameters; of no row nothing is evaluated.
    filled = with_parameters(text, [f"NULL::{name}" for name in names])
    cursor.execute(f"DECLARE simpycity_describe NO SCROLL CURSOR FOR {filled}")
    cursor.execute("FETCH FORWARD 0 FROM simpycity_describe")
    columns = cursor.description
    words = {text[one.start : one.end].lower() for one in tokens(text) if one.kind == "word"}
    required = set()
    if not words & _MAKE_NULL:
        cursor.execute(_NOT_NULL, ([one.table_oid for one in columns if one.table_oid],))
        required = set(cursor.fetchall())
    return Described(
        numbers,
        [
            (one.name, one.type_code, (one.table_oid, one.table_column) in required)
            for one in columns
        ],
    )
