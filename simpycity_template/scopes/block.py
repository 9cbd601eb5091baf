"""``manager.scope()``: a unit of work outside a request, as a ``with`` block or a decorator."""

import inspect
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
        self._stacks.enter(scope)

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        scope = self._begun.pop()
        try:
            if not self._stacks.leave_current(scope):
                # It ends out of order, or in another thread than it began in.
                self._begun.append(scope)
                scope = self._stacks.leave_innermost(self._begun)
                self._begun.remove(scope)
            scope.end()
        except BaseException:
            # Ctrl-C or a task's time limit, anywhere in there: it ends all the same.
            self._stacks.leave(scope)
            scope.end()
            raise
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
