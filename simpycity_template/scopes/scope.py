"""A scope: everything that one thread opened for one unit of work."""

import weakref
from typing import Any

from simpycity_template.errors import TransactionLost
from simpycity_template.pool.lost_writes import Outcome
from simpycity_template.scopes.checkout import Checkout


class Scope:
    """The connections of one unit of work.

    Attributes:
        label: what the unit of work is called, ``"GET /notes/7"`` for example.
        begun: whether somebody began it; False where a thread's first use did.
        ended: whether it was left for good, perhaps by another thread.
        outcome: how it ends, where whoever began it learns that from an answer or a result.
        checkouts: its connections, by a weak reference to their handle.
    """

    __slots__ = ("begun", "checkouts", "ended", "label", "outcome")

    def __init__(self, label: str, begun: bool = True) -> None:
        self.label = label
        self.begun = begun
        self.ended = False
        self.outcome: Outcome | None = None
        self.checkouts: dict[weakref.ref[Any], Checkout] = {}

    def close(self, only: weakref.ref[Any] | None = None) -> None:
        """ROLLBACK, and give everything back; the scope can be used again.

        Arguments:
            only: the key of a handle whose connection alone is given back.
        """
        checkouts = self.checkouts
        try:
            for key, checkout in [*checkouts.items()]:
                if only is None or key is only:
                    checkout.pool.release(checkout)
                    # Unless a signal's handler has used the handle again.
                    if checkout.released:
                        checkouts.pop(key, None)
        except BaseException:
            # Ctrl-C, or the timeout of a greenlet: what is left is released all the same.
            self.close(only)
            raise

    def release_dropped(self) -> None:
        """ROLLBACK, and give back what handles had that nobody has any more."""
        for key, checkout in [*self.checkouts.items()]:
            # A transaction() block may outlive its handle.
            if key() is None and not checkout.depth:
                self.close(key)

    def end(self) -> None:
        """Close it for good. Work that still goes on in it gets ``TransactionLost``.

        Where something interrupts that, whoever calls it calls it once more.
        """
        self.ended = True
        if self.checkouts:
            self.close()

    def ends_elsewhere(self) -> None:
        """Note that it is about to be ended in a thread that is not in it."""
        for checkout in list(self.checkouts.values()):
            checkout.ended_elsewhere = True

    def ended_error(self) -> TransactionLost:
        """Return the error that work gets in a scope which was ended in another thread."""
        return TransactionLost(
            f"scope {self.label!r} was ended in another thread while this one is still in it, and "
            "its transaction was rolled back: end a scope in the thread that began it, or call "
            "cleanup() here to begin anew"
        )

    def forget(self) -> None:
        """In a child process: leave to the parent what is the parent's."""
        for checkout in list(self.checkouts.values()):
            checkout.released = True
        self.checkouts.clear()
