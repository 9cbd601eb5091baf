"""``paster shell`` with a database: no prompt leaves a transaction open, and rows are a table."""

import code
import sys
from collections.abc import Callable, Mapping
from itertools import islice
from typing import Any

import psycopg2
from psycopg2.extras import DictRow
from simpycity.handle import Cursor

from simpycity_template.manager import Manager, configured_managers
from simpycity_template.pool.tracebacks import end_at_application

ROWS = 50
"""How many rows are shown at most."""

SAID = (
    "Rolled back, as after each prompt. begin() keeps the transaction open over several prompts, "
    "until commit() or rollback()."
)


class Transaction:
    """The transaction of a prompt, or of several where it was begun on purpose."""

    def __init__(self, managers: Callable[[], list[Manager]] = configured_managers) -> None:
        """
        Arguments:
            managers: returns those whose transactions end.
        """
        self._managers = managers
        self._begun = self._said = False

    def begin(self) -> None:
        """Keep the transaction open over several prompts, until commit() or rollback()."""
        self._begun = True

    def commit(self) -> None:
        """Commit what was written, and end each prompt with a ROLLBACK again."""
        self._begun = False
        for manager in self._managers():
            manager.commit()

    def rollback(self) -> None:
        """Roll back what was written, and end each prompt with a ROLLBACK again."""
        self._begun = False
        for manager in self._managers():
            manager.rollback()

    def prompt_ended(self) -> None:
        """Roll back what is open, unless begin() was called; say so the first time."""
        if self._begun:
            return
        open_ones = [manager for manager in self._managers() if _is_open(manager)]
        for manager in open_ones:
            manager.rollback()
        if open_ones and not self._said:
            self._said = True
            print(SAID, file=sys.stderr)

    def names(self) -> dict[str, Callable[[], None]]:
        """What can be called at a prompt."""
        return {"begin": self.begin, "commit": self.commit, "rollback": self.rollback}


class Console(code.InteractiveConsole):
    """Python's console, in which each prompt is a transaction."""

    def __init__(self, names: dict[str, Any], transaction: Transaction) -> None:
        # What the application calls so is the application's.
        super().__init__({**transaction.names(), **names})
        self._transaction = transaction

    def interact(self, *arguments: Any, **options: Any) -> None:
        """Read and run, until the end of the input."""
        before, sys.displayhook = sys.displayhook, show
        try:
            super().interact(*arguments, **options)
        finally:
            sys.displayhook = before

    def showtraceback(self) -> None:
        """Print a traceback; that of an SQL error ends with the line that was typed."""
        error = sys.exc_info()[1]
        if error is not None:
            end_at_application(error)
        super().showtraceback()

    def runcode(self, code: Any) -> None:
        """Run what was typed, and end its transaction."""
        super().runcode(code)
        self._transaction.prompt_ended()


def console(names: dict[str, Any]) -> Console:
    """The console of ``paster shell``."""
    return Console(names, Transaction())


def with_ipython(shell: Any, names: dict[str, Any]) -> Any:
    """Let IPython end each prompt so, too; returns its shell."""
    transaction = Transaction()
    for name, function in transaction.names().items():
        names.setdefault(name, function)
    shell.events.register("post_run_cell", lambda *result: transaction.prompt_ended())
    for kind in (Cursor, DictRow, list):
        shell.display_formatter.ipython_display_formatter.for_type(kind, _show_in_ipython)
    shell.set_custom_exc((psycopg2.Error,), _show_error_in_ipython)
    return shell


def _show_error_in_ipython(
    shell: Any, kind: Any, error: Any, trace: Any, tb_offset: int | None = None
) -> None:
    end_at_application(error)
    shell.showtraceback((kind, error, trace), tb_offset=tb_offset)


def _show_in_ipython(value: Any) -> None:
    found = _rows_of(value)
    if found is None:
        # Then IPython itself shows it.
        raise NotImplementedError
    # Below its "Out[1]: ".
    print()
    _print_table(*found)


def show(value: Any) -> None:
    """Print the value of a prompt: rows as a table, anything else as Python does."""
    found = _rows_of(value)
    if found is None:
        sys.__displayhook__(value)
    else:
        _print_table(*found)


def _rows_of(value: Any) -> tuple[list[str], Any] | None:
    """The names of the columns and the rows, where a value is rows."""
    if isinstance(value, Cursor) and value.description and value.name is None:
        rows = value.fetchmany(ROWS + 1)
        # So it can be read again.
        value.scroll(-len(rows), "relative")
        return [column.name for column in value.description], rows
    if _is_rows(value):
        return list(value[0].keys()), value
    if isinstance(value, DictRow):
        return list(value.keys()), [value]
    return None


def _is_rows(value: Any) -> bool:
    return (
        isinstance(value, list) and bool(value) and all(isinstance(row, DictRow) for row in value)
    )


def _print_table(names: list[str], rows: Any) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(*names)
    for row in islice(rows, ROWS):
        values = row.values() if isinstance(row, Mapping) else row
        # Texts, because in a string rich would take [brackets] for markup.
        table.add_row(*(Text("NULL", "dim") if v is None else Text(str(v)) for v in values))
    Console().print(table)
    if len(rows) > ROWS:
        print(f"… and more than these {ROWS} rows")


def _is_open(manager: Manager) -> bool:
    return any(entry.transaction.startswith("in ") for entry in manager.status())
