"""The scopes that a thread is in, and which of them ends when."""

import threading
from collections.abc import Callable

from simpycity_template.process.thread_local import PerThread
from simpycity_template.scopes.checkout import Checkout
from simpycity_template.scopes.scope import Scope


class Stack(list[Scope]):
    """The scopes that one thread is in, the current one last.

    Only the thread refers to this list. So the list is freed when the thread ends, and gives the
    connections back. A scope could not do that: the traceback of an exception may refer to the scope,
    and somebody may keep the exception.

    Attributes:
        thread: whose it is.
    """

    __slots__ = ("thread",)

    def __init__(self) -> None:
        self.thread = threading.current_thread()

    def begin(self) -> Scope:
        """Begin a scope where the first use of a connection comes outside of one."""
        scope = Scope(self.thread.name, begun=False)
        # A destructor or a signal's handler may have begun one meanwhile.
        if not self:
            self.append(scope)
        return self[-1]

    def forget_ended(self) -> None:
        """Keep only the last of the scopes that were ended elsewhere; work in it gets an error."""
        while len(self) > 1 and self[-1].ended and self[-2].ended:
            del self[-2]

    def __del__(self) -> None:
        for scope in self:
            for checkout in list(scope.checkouts.values()):
                checkout.abandon()


class Stacks(PerThread[Stack]):
    """The scopes of a manager: of each thread, or of each greenlet, its own.

    A frame that may raise must not have a stack in a variable, hence each ``del stack``: an exception
    refers to its frames, so somebody who keeps it would keep the scopes of a thread that has ended.

    Attributes:
        name: the manager's.
    """

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        super().__init__(Stack)
        self.name = name

    def current(self) -> Scope | None:
        """The current scope of this thread, if there is one.

        Raises:
            TransactionLost: it was ended in another thread.
        """
        stack = self.get()
        scope = stack[-1] if stack else None
        del stack
        if scope is not None and scope.ended:
            raise scope.ended_error()
        return scope

    def owners(self) -> list[Checkout]:
        """What this thread has, in all of its scopes."""
        return [one for scope in self.get() for one in list(scope.checkouts.values())]

    def release_dropped(self) -> None:
        """Give back what this thread's handles had that nobody has any more."""
        for scope in self.get():
            scope.release_dropped()

    def enter(self, scope: Scope) -> None:
        """Make ``scope`` the current one of this thread; the one before it waits."""
        stack = self.get()
        if stack and stack[-1].ended:
            stack.forget_ended()
        stack.append(scope)

    def close_current(self) -> None:
        """Close the current scope of this thread, and leave it where it was ended elsewhere."""
        stack = self.get()
        try:
            if stack:
                stack[-1].close()
                if stack[-1].ended:
                    # Work in it has got an error since.
                    del stack[-1]
        finally:
            del stack

    def is_in(self, scope: Scope) -> bool:
        """Whether this thread is in ``scope``."""
        return scope in self.get()

    def leave(self, scope: Scope) -> list[Scope]:
        """Make the scope that waited for ``scope`` the current one again.

        Returns:
            what this thread has left: ``scope``, and the scopes that were begun inside it and not
            left, as that of a block which a generator is in. Nothing where it was not in it.
        """
        stack = self.get()
        for index in reversed(range(len(stack))):
            if stack[index] is scope:
                left = stack[index:]
                del stack[index:]
                return left
        return []

    def end_innermost(self, begun: list[Scope]) -> Scope:
        """End the innermost of the scopes ``begun`` that this thread is in, and return it.

        A scope in a generator may end out of order, or in another thread than it began in: where
        this thread is in none of them, it is the last one begun that ends here.
        """
        stack = self.get()
        try:
            for scope in reversed(stack):
                if scope in begun:
                    break
            else:
                scope = begun[-1]
                scope.ends_elsewhere()
            # First, so that what interrupts it leaves the scope for another attempt.
            scope.end()
            if stack and stack[-1] is scope:
                del stack[-1]
            elif scope in stack:
                del stack[stack.index(scope)]
        finally:
            del stack
        return scope

    def end(self, meant: Callable[[Scope], bool], failed: bool = False) -> bool:
        """End the innermost scope of this thread for which ``meant`` is true, if there is one.

        With it ends what was begun inside it and not left.

        Arguments:
            meant: which scope.
            failed: whether its work ended by an exception that was caught meanwhile.

        Returns:
            whether there was one.
        """
        stack = self.get()
        for index in reversed(range(len(stack))):
            scope = stack[index]
            if not scope.ended and meant(scope):
                if scope.outcome is not None:
                    scope.outcome.known(failed)
                try:
                    _end_all(stack[index:])
                except BaseException:
                    # Ctrl-C or a task's time limit, anywhere in there: they end all the same.
                    _end_all(stack[index:])
                    raise
                finally:
                    del stack[index:], stack
                return True
        return False

    def forked(self) -> None:
        """In a child process: leave to the parent what is the parent's."""
        for scope in self.get():
            scope.forget()


def _end_all(scopes: list[Scope]) -> None:
    """End scopes, the innermost first."""
    for scope in reversed(scopes):
        scope.end()
