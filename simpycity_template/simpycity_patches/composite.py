"""Values of composite types."""

from typing import TYPE_CHECKING, Any


class Composite(tuple[Any, ...]):
    """A value of a composite type: a tuple, whose values are found by name as well.

    As an attribute, ``address.city``, or as in a row, ``address["city"]``.
    """

    _fields: tuple[str, ...]

    def __new__(cls, fields: tuple[str, ...], values: Any) -> "Composite":
        """Make one of the names of the columns and their values."""
        made = super().__new__(cls, values)
        made._fields = fields
        return made

    def __getitem__(self, key: Any) -> Any:
        """The value at a place, or of a column."""
        if isinstance(key, str):
            if key not in self._fields:
                raise KeyError(key)
            key = self._fields.index(key)
        return super().__getitem__(key)

    if not TYPE_CHECKING:
        # A stub has a class for each type, with its columns.
        def __getattr__(self, name: str) -> Any:
            """The value of a column."""
            if name.startswith("_") or name not in self._fields:
                raise AttributeError(
                    f"the value has no column {name!r}: it has {', '.join(self._fields)}"
                )
            return self[name]

    def __getnewargs__(self) -> tuple[Any, ...]:
        """What a copy is made of."""
        return self._fields, tuple(self)

    def _asdict(self) -> dict[str, Any]:
        return dict(zip(self._fields, self, strict=True))

    def __repr__(self) -> str:
        """The names and the values."""
        shown = ", ".join(f"{name}={value!r}" for name, value in self._asdict().items())
        return f"Composite({shown})"
