"""What helps while the schema is being written: restarts, and a word where the database is behind."""

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg2
from psycopg2 import errors

from simpycity_template.schema.script import SchemaError

if TYPE_CHECKING:
    from simpycity_template.schema import Schema

# PasteScript sets it in the process that `paster serve --reload` starts again and again.
_RELOADED = "PYTHON_RELOADER_SHOULD_RUN"

_UNDEFINED = (
    errors.UndefinedColumn,
    errors.UndefinedFunction,
    errors.UndefinedObject,
    errors.UndefinedTable,
)


def restart_on_change(schema: "Schema") -> None:
    """Have ``paster serve --reload`` restart where a file of the schema changes, or one is added."""
    reloader = sys.modules.get("paste.reloader")
    if reloader is not None:
        reloader.add_file_callback(lambda: _watched(schema.folder))


def is_reloaded() -> bool:
    """Whether ``paster serve --reload`` runs this process."""
    return bool(os.environ.get(_RELOADED))


def hint(error: BaseException, schemas: "list[Schema]", ini: str) -> str | None:
    """What to do where the database lacks something that the files have; None where it does not.

    Arguments:
        error: of a request.
        schemas: of the application.
        ini: the INI file that is served.
    """
    if not isinstance(error, _UNDEFINED):
        return None
    for schema in schemas:
        try:
            is_behind = schema.plan().is_new
        except (SchemaError, psycopg2.Error, RuntimeError):
            continue
        if is_behind:
            return f"The database is behind its files: paster setup-app {ini}"
    return None


def _watched(folder: Path) -> list[str]:
    migrations = folder / "migrations"
    # A folder changes when a file is added.
    paths = [folder / "schema.sql", migrations, *migrations.glob("*.sql")]
    return [str(path) for path in paths if path.exists()]
