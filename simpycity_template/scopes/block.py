"""``manager.scope()``: a unit of work outside a request, as a ``with`` block or a decorator."""

import inspect
import sys
from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

from simpycity_template.pool.tracebacks import end_at_application
from simpycity_template.scopes.scope import Scope
from simpycity_template.scopes.stack import Stacks

P = ParamSpec("P")
R = TypeVar("R")


class ScopeBlock:
    """What ``manager.scope()`` returns: a ``with`` block or a decorator."""

    __slots__ = ("_begun", "_label", "_stacks")

    # Not made with contextlib, whose generators cost more than all the rest of a scope.
    def __init__(self, stacks: Stacks, label: str) -> None:
        self._stacks = stacks
        self._label = label
        # More than one where the block is used within itself, or by several threads.
        self._begun: list[Scope] = []

    def __enter__(self) -> None:
        scope = Scope(self._label)
        self._begun.append(scope)
        self.__class__ = _EnteredBlock
        try:
            self._stacks.enter(scope)
        except BaseException:
            # Ctrl-C or a task's time limit; Python does not call __exit__() then.
            self._stacks.end_innermost([scope])
            raise

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        ended = None
        try:
            ended = self._stacks.end_innermost(self._begun)
        except BaseException:
            # The same, anywhere in there: it ends all the same.
            ended = self._stacks.end_innermost(self._begun)
            raise
        finally:
            if ended is not None:
                self._begun.remove(ended)
                if not self._begun:
                    self.__class__ = ScopeBlock
        if error is not None:
            end_at_application(error)

    def __call__(self, function: Callable[P, R]) -> Callable[P, R]:
        """Give each call of ``function`` a scope of its own.

        Raises:
            TypeError: it is a generator function or a coroutine function.
        """
        _refuse_what_runs_later(function, self._label)

        @wraps(function)
        def in_scope(*args: P.args, **kwargs: P.kwargs) -> R:
            with ScopeBlock(self._stacks, self._label):
                return function(*args, **kwargs)

        return in_scope


class _EnteredBlock(ScopeBlock):
    """A block that is entered, and ends its scopes where it is dropped without its ``__exit__()``.

    What a signal raises may come before the first instruction of that. A block that was left has no
    destructor, because Python drops what a signal raises in one.
    """

    __slots__ = ()

    def __del__(self) -> None:
        while self._begun and not sys.is_finalizing():
            self._stacks.end_innermost(self._begun)
            del self._begun[-1]


def _refuse_what_runs_later(function: Callable[..., object], label: str) -> None:
    if inspect.isgeneratorfunction(function):
        instead = f"put 'with manager.scope({label!r}):' around the loop that uses it"
    elif inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function):
        instead = "decorate a plain function, and await it with asyncio.to_thread()"
    else:
        return
    raise TypeError(
        f"scope({label!r}) cannot decorate {getattr(function, '__qualname__', function)}, whose body "
        f"runs after its call has returned and the scope has ended: {instead}"
    )
