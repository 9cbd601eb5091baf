"""``transaction()`` blocks: a transaction, and inside one a savepoint."""

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import psycopg2

from simpycity_template.driver.merged_begin import ensure_transaction
from simpycity_template.pool.call_site import application_line, described
from simpycity_template.scopes.checkout import Checkout

log = logging.getLogger("simpycity_template")


@contextmanager
def transaction(checkout: Checkout, forgiving: bool = False) -> Iterator[None]:
    """Commit at the end, ROLLBACK on an exception; inside another one, a savepoint.

    Arguments:
        checkout: whose transaction it is.
        forgiving: where a statement failed and the block went on all the same, roll back and log
            it, as Simpycity's users are used to; otherwise that is an error.
    """
    depth = checkout.depth
    with _savepoint(checkout) if depth else _whole(checkout, forgiving):
        checkout.depth = depth + 1
        try:
            yield
        finally:
            checkout.depth = depth


@contextmanager
def _whole(checkout: Checkout, forgiving: bool) -> Iterator[None]:
    checkout.begin()
    try:
        yield
        checkout.check_not_released()
        if forgiving and checkout.failed():
            log.warning(
                "a statement failed inside a transaction() block that went on and ended as if "
                "it had not: nothing was committed (at %s)",
                described(application_line(sys._getframe(1))),
            )
            checkout.rollback()
        else:
            checkout.commit()
    except BaseException:
        # Twice, because a task's time limit may interrupt the first before it has begun.
        try:
            checkout.rollback()
        finally:
            checkout.rollback()
        raise


@contextmanager
def _savepoint(checkout: Checkout) -> Iterator[None]:
    savepoint = f"simpycity_template_{checkout.depth}"
    with checkout.link.lock:
        checkout.check_not_released()
        ensure_transaction(checkout.link)
        checkout.run(f"SAVEPOINT {savepoint}")
    try:
        yield
        checkout.check_not_released()
        checkout.check()
        checkout.run(f"RELEASE {savepoint}")
    except BaseException:
        if checkout.connection is not None and not checkout.released:
            try:
                _roll_back_to(checkout, savepoint)
            except BaseException:
                _roll_back_to(checkout, savepoint)
                raise
        raise


def _roll_back_to(checkout: Checkout, savepoint: str) -> None:
    # Where the connection broke, check() raises in the outer blocks.
    with suppress(psycopg2.Error):
        checkout.run(f"ROLLBACK TO {savepoint}")
