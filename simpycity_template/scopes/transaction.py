"""``transaction()`` blocks: a transaction, and inside one a savepoint."""

import logging
import sys
from contextlib import suppress

import psycopg2

from simpycity_template.driver.merged_begin import ensure_transaction
from simpycity_template.pool.call_site import application_line, described
from simpycity_template.scopes.checkout import Checkout

log = logging.getLogger("simpycity_template")


class TransactionBlock:
    """A block that commits at its end, and rolls back on an exception; inside another, a savepoint."""

    __slots__ = ("_checkout", "_depth", "_forgiving", "_releasing")

    # Not made with contextlib: a time limit between two steps of its own leaves the block open.
    def __init__(self, checkout: Checkout, forgiving: bool) -> None:
        """
        Arguments:
            checkout: whose transaction it is.
            forgiving: where a statement failed and the block went on all the same, roll back and
                log it, as Simpycity's users are used to; otherwise that is an error.
        """
        self._checkout = checkout
        self._forgiving = forgiving

    def __enter__(self) -> None:
        checkout = self._checkout
        self._depth = checkout.depth
        self._releasing = False
        if self._depth:
            self._set_savepoint()
        else:
            try:
                checkout.begin()
            except BaseException:
                checkout.rollback()
                raise
        self.__class__ = _EnteredBlock
        checkout.depth = self._depth + 1

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        self._checkout.depth = self._depth
        try:
            if kind is not None:
                self._roll_back()
            elif self._depth:
                self._release()
            else:
                self._commit()
        except BaseException:
            # Twice, because a task's time limit may interrupt the first before it has begun.
            try:
                self._roll_back()
            finally:
                self._roll_back()
            raise
        finally:
            self.__class__ = TransactionBlock

    @property
    def _savepoint(self) -> str:
        return f"simpycity_template_{self._depth}"

    def _set_savepoint(self) -> None:
        checkout = self._checkout
        with checkout.link.lock:
            checkout.check_not_released()
            ensure_transaction(checkout.link)
            checkout.run(f"SAVEPOINT {self._savepoint}")

    def _release(self) -> None:
        checkout = self._checkout
        checkout.check_not_released()
        checkout.check_not_lost()
        # From here on its work is kept, whatever interrupts this: the server may have done it.
        self._releasing = True
        try:
            checkout.run(f"RELEASE {self._savepoint}")
        except psycopg2.Error:
            self._releasing = False
            raise

    def _commit(self) -> None:
        checkout = self._checkout
        checkout.check_not_released()
        if self._forgiving and checkout.failed():
            log.warning(
                "a statement failed inside a transaction() block that went on and ended as if "
                "it had not: nothing was committed (at %s)",
                described(application_line(sys._getframe(1))),
            )
            checkout.rollback()
        else:
            checkout.commit()

    def _roll_back(self) -> None:
        checkout = self._checkout
        if not self._depth:
            checkout.rollback()
        elif checkout.connection is not None and not checkout.released and not self._releasing:
            # Where the connection broke, check() raises in the outer blocks.
            with suppress(psycopg2.Error):
                checkout.run(f"ROLLBACK TO {self._savepoint}")


class _EnteredBlock(TransactionBlock):
    """A block that is entered, and rolls back where it is dropped without its ``__exit__()``.

    What a signal raises may come before the first instruction of that. A block that was left has no
    destructor, because Python drops what a signal raises in one.
    """

    __slots__ = ()

    def __del__(self) -> None:
        if self._checkout.depth == self._depth + 1 and not sys.is_finalizing():
            self.__exit__(GeneratorExit, None, None)
