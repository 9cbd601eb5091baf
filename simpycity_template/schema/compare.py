"""Compares a database with what its files make."""

import difflib
import secrets
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from psycopg2 import errors, sql
from psycopg2.extensions import make_dsn

from simpycity_template.monitoring import pg_sessions
from simpycity_template.schema import catalog
from simpycity_template.schema.apply import Run
from simpycity_template.schema.catalog import Catalog
from simpycity_template.schema.files import Files
from simpycity_template.schema.lock import LOCK
from simpycity_template.schema.script import SchemaError, in_words

if TYPE_CHECKING:
    from simpycity_template.manager import Manager


@dataclass(frozen=True)
class Comparison:
    """What is different.

    Arguments:
        differences: each in a text of one line or more; none where both are the same.
        unseen: what could not be compared, and why; empty where all was.
    """

    differences: list[str]
    unseen: str = ""


def compare(manager: "Manager", files: Files) -> Comparison:
    """Compare the database of a manager with one that the files make, which is dropped again.

    A role that may not create a database gets the functions compared, in a transaction that is
    rolled back.

    Raises:
        SchemaError: the files cannot be applied to an empty database, or the role may not make the
            functions either, so that nothing was compared.
        psycopg2.Error: the database cannot be reached.
    """
    with closing(pg_sessions.connect(manager.dsn())) as link, link.cursor() as cursor:
        try:
            with _scratch(manager, cursor) as scratch:
                Run(scratch, files).apply()
                with closing(pg_sessions.connect(scratch.dsn())) as other:
                    wanted = _everything(other.cursor(), _search_path(cursor))
        except errors.InsufficientPrivilege as error:
            needed = (
                f"that needs a database to make them in, and {in_words(error)}. "
                "ALTER ROLE … CREATEDB allows it."
            )
            return Comparison(
                _functions_of_a_role(cursor, files, needed),
                f"Tables, types, constraints and indexes were not compared: {needed}",
            )
        return Comparison(_apart(catalog.everything(cursor), wanted))


@contextmanager
def _scratch(manager: "Manager", cursor: Any) -> Iterator["Manager"]:
    """A manager of an empty database beside that of ``manager``, for as long as the block runs."""
    name = f"simpycity_check_{secrets.token_hex(4)}"
    cursor.execute(
        "SELECT pg_encoding_to_char(encoding), datcollate, datctype FROM pg_database"
        " WHERE datname = current_database()"
    )
    create = sql.SQL(
        "CREATE DATABASE {} TEMPLATE template0 ENCODING {} LC_COLLATE {} LC_CTYPE {}"
    ).format(sql.Identifier(name), *map(sql.Literal, cursor.fetchone()))
    cursor.execute(create)
    scratch = type(manager)(f"{manager.name} check")
    try:
        scratch.configure({"dsn": make_dsn(manager.dsn(), dbname=name)}, prefix="", default=False)
        with scratch.scope("check"):
            yield scratch
    finally:
        scratch.dispose()
        cursor.execute(sql.SQL("DROP DATABASE {}").format(sql.Identifier(name)))


def _search_path(cursor: Any) -> str:
    cursor.execute("SHOW search_path")
    return str(cursor.fetchone()[0])


def _everything(cursor: Any, search_path: str) -> Catalog:
    # Names are written as one would write them there.
    cursor.execute("SELECT set_config('search_path', %s, false)", [search_path])
    return catalog.everything(cursor)


def _functions_of_a_role(cursor: Any, files: Files, needed: str) -> list[str]:
    """As ``_functions_apart()``, for a role that may not create a database."""
    try:
        return _functions_apart(cursor, files)
    except SchemaError as error:
        if not isinstance(error.__cause__, errors.InsufficientPrivilege):
            raise
        raise SchemaError(
            f"Nothing was compared: {needed} Nor may this role make the functions of this "
            f"database again, which compares them at least: {error}"
        ) from error.__cause__


def _functions_apart(cursor: Any, files: Files) -> list[str]:
    """Compare the functions with those that schema.sql makes, in a transaction that is undone."""
    found = catalog.functions(cursor)
    if files.functions is None:
        return _apart(found, {})
    cursor.execute("BEGIN")
    try:
        cursor.execute("SET LOCAL lock_timeout = '5s'")
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [LOCK])
        files.functions.run(cursor)
        made = catalog.functions(cursor)
        cursor.execute(
            "SELECT oid::regprocedure::text FROM pg_proc"
            " WHERE xmin::text <> (txid_current() % (2::bigint ^ 32)::bigint)::text"
        )
        others = {name for (name,) in cursor.fetchall()}
    finally:
        cursor.execute("ROLLBACK")
    return _apart(found, {key: text for key, text in made.items() if key[1] not in others})


def _apart(found: Catalog, wanted: Catalog) -> list[str]:
    """What is in one and not in the other, or differs."""
    said = []
    for key in sorted({*found, *wanted}):
        name = " ".join(key)
        if key not in wanted:
            said.append(f"only in the database: {_one(name, found[key])}")
        elif key not in found:
            said.append(f"only in the files: {_one(name, wanted[key])}")
        elif found[key] != wanted[key]:
            said.append(f"different: {_two(name, found[key], wanted[key])}")
    return said


def _one(name: str, definition: str) -> str:
    # A function or a view is too long.
    return name if "\n" in definition else f"{name} {definition}".strip()


def _two(name: str, found: str, wanted: str) -> str:
    if "\n" not in found + wanted:
        return f"{name}\n  in the database: {found}\n  in the files:    {wanted}"
    lines = difflib.unified_diff(
        found.splitlines(), wanted.splitlines(), "in the database", "in the files", lineterm=""
    )
    return "\n".join([name, *(f"  {line}" for line in lines)])
