"""The files of a schema: numbered migrations, and one file of functions beside their folder."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from simpycity_template.schema.history import Entry
from simpycity_template.schema.script import SchemaError, Script

_NAME = re.compile(r"(\d+)[_-].*\.sql")


@dataclass(frozen=True)
class Files:
    """What a folder of SQL files says the schema is.

    Arguments:
        folder: the folder of the migrations.
        migrations: the scripts, in the order of their numbers.
        functions: the script that is run after them, whenever the schema is applied.
    """

    folder: Path
    migrations: list[Script]
    functions: Script | None

    @classmethod
    def read(cls, folder: Path) -> "Files":
        """Read ``migrations/*.sql`` and ``schema.sql`` of a folder; either may be missing.

        Raises:
            SchemaError: a file cannot be read, has no number, or has that of another.
        """
        migrations = folder / "migrations"
        numbered: dict[int, Path] = {}
        for path in sorted(migrations.glob("*.sql")):
            number = number_of(path.name)
            if number is None:
                raise SchemaError(
                    f"{path}: the name of a migration begins with its number, as in 0001_notes.sql"
                )
            if number in numbered:
                raise SchemaError(
                    f"{numbered[number]} and {path.name} have one number: "
                    "give the newer one the next free number"
                )
            numbered[number] = path
        functions = folder / "schema.sql"
        if not numbered and not functions.exists():
            raise SchemaError(f"{folder}: there is neither schema.sql nor migrations/*.sql")
        return cls(
            migrations,
            [Script.read(numbered[number]) for number in sorted(numbered)],
            Script.read(functions) if functions.exists() else None,
        )

    def pending(self, history: Mapping[str, Entry]) -> list[Script]:
        """The migrations that are still to be applied, in their order.

        Arguments:
            history: what was applied, by the names of the files.

        Raises:
            SchemaError: a file that was applied has changed or is missing, or a new one has a lower
                number than one that was applied.
        """
        known = {script.name: script for script in self.migrations}
        applied = sorted(name for name in history if number_of(name) is not None)
        for name in applied:
            script, entry = known.get(name), history[name]
            if script is None:
                raise SchemaError(
                    f"{self.folder / name} is missing; it was applied on {entry.when}. Put the "
                    "file back: a database that is made anew needs it"
                )
            if script.checksum != entry.checksum:
                raise SchemaError(
                    f"{script.path} was changed after it was applied on {entry.when}. Put its old "
                    "text back, and write what is to change into a new migration"
                )
        pending = [
            script
            for script in self.migrations
            if script.name not in history or not history[script.name].applied
        ]
        done = [name for name in applied if history[name].applied]
        newest = max(done, key=_order, default=None)
        for script in pending:
            if newest is not None and _order(script.name) < _order(newest):
                raise SchemaError(
                    f"{script.path} is new, but {newest} was applied before it: "
                    f"give it a number above {number_of(newest)}"
                )
        return pending


def number_of(name: str) -> int | None:
    """The number that the name of a migration begins with; None where it is no such name."""
    found = _NAME.fullmatch(name)
    return int(found[1]) if found else None


def _order(name: str) -> int:
    return number_of(name) or 0
