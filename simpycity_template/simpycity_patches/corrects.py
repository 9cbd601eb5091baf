"""Puts corrected methods into classes of an installed package, which itself stays unchanged."""

from collections.abc import Callable

_NOT_METHODS = {"__module__", "__qualname__", "__doc__", "__dict__", "__weakref__"}
_NOT_METHODS |= {"__annotations__", "__firstlineno__", "__static_attributes__"}


def corrects(target: type) -> Callable[[type], type]:
    """Class decorator: each method of the class takes the place of the one in ``target``.

    In place, because applications have imported ``target`` already, and subclass it.
    """

    def install(replacements: type) -> type:
        for name, replacement in vars(replacements).items():
            if name not in _NOT_METHODS:
                setattr(target, name, replacement)
        return replacements

    return install
