"""The errors that this package adds to psycopg2's own."""

import psycopg2


class PoolTimeout(psycopg2.OperationalError):
    """No connection became free within ``pool_timeout`` seconds.

    The message names, for every connection of the pool, who holds it.

    Attributes:
        is_busy: the application is not broken, and the same request may succeed later; its answer
            is 503 where debug is off.
    """

    is_busy = True


class TransactionLost(psycopg2.OperationalError):
    """The connection broke inside a transaction, so all of the transaction is gone.

    Every statement of the scope gets this error until the scope is rolled back or
    cleaned up: otherwise the second half of the transaction could be committed alone.
    """
