"""Objects that are known for as long as somebody else has them."""

import weakref
from collections.abc import Iterator
from contextlib import suppress
from typing import Generic, TypeVar

T = TypeVar("T")

_ROOM = 64


class WeakList(Generic[T]):
    """As ``weakref.WeakSet``, which has Python code called where an object is freed.

    Python drops what a signal raises in there, a task's time limit for example.
    """

    def __init__(self) -> None:
        self._references: list[weakref.ref[T]] = []
        self._room = _ROOM

    def add(self, one: T) -> None:
        """Know ``one`` from now on."""
        self._references.append(weakref.ref(one))
        if len(self._references) > self._room:
            self._forget_freed()

    def _forget_freed(self) -> None:
        for reference in list(self._references):
            if reference() is None:
                # Another thread may do the same.
                with suppress(ValueError):
                    self._references.remove(reference)
        self._room = 2 * len(self._references) + _ROOM

    def clear(self) -> None:
        """Know none any more."""
        self._references.clear()

    def __iter__(self) -> Iterator[T]:
        for reference in list(self._references):
            one = reference()
            if one is not None:
                yield one
