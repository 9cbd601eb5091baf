"""Types of ``simpycity.handle``."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, Generic

from psycopg2.extensions import connection
from psycopg2.extras import DictCursor, DictRow
from typing_extensions import TypeVar

Row = TypeVar("Row", default=Any)

class TypedRow(DictRow):
    """What the row classes in stubs of `paster functions --stubs` have in common; there alone."""

    def items(self) -> list[tuple[str, Any]]: ...  # type: ignore[override]
    def values(self) -> list[Any]: ...  # type: ignore[override]
    def get(self, x: str, default: Any = None) -> Any: ...

class Cursor(DictCursor, Generic[Row]):
    """Rows of a query; ``Row`` is what each of them is."""

    callback: Callable[[Any], Any] | None
    def __init__(
        self, connection: Any, name: str | None = None, callback: Callable[[Any], Any] | None = None
    ) -> None: ...
    def execute(
        self, query: Any, vars: Sequence[Any] | Mapping[str, Any] | None = None
    ) -> None: ...
    def fetchone(self) -> Row | None: ...  # type: ignore[override]
    def fetchmany(self, size: int | None = None) -> list[Row]: ...  # type: ignore[override]
    def fetchall(self) -> list[Row]: ...  # type: ignore[override]
    def __iter__(self) -> Iterator[Row]: ...  # type: ignore[override]
    def __next__(self) -> Row: ...  # type: ignore[override]

class TypedCursor(Cursor[Row]): ...

class Handle:
    """A name for the connection of the scope that uses it."""

    config: Any
    dsn: str | None
    isolation_level: Any
    manager: Any
    key: Any
    taken: Any
    conn: connection
    def __init__(
        self, dsn: str | None = None, config: Any = None, isolation_level: int | str | None = None
    ) -> None: ...
    @property
    def open(self) -> bool: ...
    @property
    def autocommit(self) -> bool: ...
    def cursor(self, *args: Any, **kwargs: Any) -> Any: ...
    def execute(
        self, query: Any, vars: Sequence[Any] | Mapping[str, Any] | None = None
    ) -> None: ...
    def begin(self) -> None: ...
    def commit(self) -> None: ...
    def rollback(self) -> None: ...
    def transaction(self) -> AbstractContextManager[None]: ...
    def close(self, *args: Any, **kwargs: Any) -> None: ...
