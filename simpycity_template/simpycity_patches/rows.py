"""Corrects how Simpycity's cursors read: rows, models, or what a callback returns, of psycopg2's tuples.

Rows are what they always were, psycopg2's ``DictRow``. But they are made of whole tuples: where
psycopg2 makes them itself it calls a method written in Python for each value of each row.
"""

from collections.abc import Iterable
from typing import Any

from psycopg2 import extensions
from psycopg2.extras import DictRow
from simpycity import config as simpycity_config
from simpycity.handle import Cursor, TypedCursor
from simpycity.model import SimpleModel

from simpycity_template.simpycity_patches.corrects import corrects
from simpycity_template.simpycity_patches.cursor import describe, locked

# psycopg2's cursor beneath its DictCursor.
_plain = extensions.cursor
_fetchall: Any = _plain.fetchall

# Makes a row without its __init__, which fills it with None first.
_new_row: Any = DictRow.__new__


def make_rows(cursor: Any, fetched: Iterable[Any]) -> list[Any]:
    """What the callback of a cursor makes of the tuples that were fetched; without one, rows."""
    if cursor.index is None:
        # Only now known, where the cursor is a server-side one.
        describe(cursor)
    callback, index = cursor.callback, cursor.index
    if casts := cursor.casts:
        fetched = [_cast(casts, values, cursor) for values in fetched]
    if callback and is_model(callback):
        return _models(callback, index, fetched)
    rows = []
    for values in fetched:
        row = _new_row(DictRow)
        row.extend(values)
        row._index = index
        rows.append(callback(row) if callback else row)
    return rows


def _cast(casts: dict[int, Any], values: Iterable[Any], cursor: Any) -> list[Any]:
    """The values of a row, those read whose types are of the database's schema."""
    values = list(values)
    for place, cast in casts.items():
        # Not a text: SimpleModel.register_composite() has made a model of it.
        if type(values[place]) is str:
            values[place] = cast(values[place], cursor)
    return values


def is_model(callback: Any) -> bool:
    """Whether a callback for rows is a model's class, which is filled from each row.

    One with a constructor of its own gets the row, as any other callback does.
    """
    return getattr(callback, "__init__", None) is SimpleModel.__init__


def _models(model: Any, index: dict[str, int], rows: Iterable[Any]) -> list[Any]:
    """Make a model of each row, without calling its constructor, whose ``__load__`` would query.

    Arguments:
        model: the class.
        index: the place of each column in a row, by its name.
        rows: their values.
    """
    columns = [*model.table, "base_"]
    places = [(name, index[name]) for name in columns if name in index]
    others = dict.fromkeys(name for name in model.table if name not in index)
    # Where a column is missing, __lazyload__ has something to load.
    state = {**others, "init_handle": None, "_loaded": "base_" in index or not others}
    if not model.config:
        state["config"] = simpycity_config
    made = []
    for values in rows:
        one = model.__new__(model)
        attributes = {name: values[place] for name, place in places}
        attributes.update(state)
        if "base_" in attributes:
            SimpleModel.merge_base_attrs(attributes)
        one.__dict__ = attributes
        made.append(one)
    return made


def _fetched(cursor: Any, own: Any, *args: Any) -> Any:
    """Call psycopg2's method ``own``, which reads rows.

    Those of a client-side cursor are here already, and can be read after its scope as well.
    """
    return locked(cursor, own, *args) if cursor.name else own(cursor, *args)


@corrects(Cursor)
class Fetching:
    """How rows are read."""

    def fetchone(self: Any) -> Any:
        """The next row, or None."""
        values = _fetched(self, _plain.fetchone)
        if values is not None:
            return make_rows(self, [values])[0]
        # Simpycity calls it with None, too, when there are no more rows.
        return self.callback(None) if self.callback and not is_model(self.callback) else None

    def fetchmany(self: Any, size: int | None = None) -> list[Any]:
        """The next rows, ``size`` at most; by default as many as ``arraysize`` says."""
        return make_rows(self, _fetched(self, _plain.fetchmany, size))

    def fetchall(self: Any) -> list[Any]:
        """All rows that are left."""
        return make_rows(self, locked(self, _fetchall) if self.name else _fetchall(self))

    def scroll(self: Any, value: int, mode: str = "relative") -> None:
        """Move within the rows."""
        _fetched(self, _plain.scroll, value, mode)

    def __iter__(self: Any) -> Any:
        """Iterate; Simpycity's raises RuntimeError after the last row on Python 3.7 and later."""
        return self

    def __next__(self: Any) -> Any:
        return make_rows(self, [_fetched(self, _plain.__next__)])[0]


@corrects(TypedCursor)
class ScopedTypedCursor:
    """The methods of a cursor whose rows are single values."""

    def __iter__(self: Any) -> Any:
        """Iterate; Simpycity's raises RuntimeError after the last row on Python 3.7 and later."""
        return self

    def __next__(self: Any) -> Any:
        row = Cursor.__next__(self)
        return row[0] if row else row
