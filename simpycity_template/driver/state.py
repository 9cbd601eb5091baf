"""Who has begun the transaction of a connection."""

from enum import Enum

from psycopg2 import extensions


class State(Enum):
    """Who has begun the transaction of a connection, or begins the next one."""

    READY = "none is open; BEGIN goes along with the next statement"
    MERGED = "one is open that began so, and psycopg2 does not know of it"
    PSYCOPG2 = "psycopg2 begins and ends them, and its status tells whether one is open"
    BY_HAND = "one is open that began with a BEGIN written as SQL in autocommit mode"
    UNKNOWN = "the connection broke during a COMMIT, and nobody knows whether it was executed"


READY, MERGED, PSYCOPG2, BY_HAND, UNKNOWN = State

# What libpq knows of the transaction, as the server said with its last answer.
IDLE = extensions.TRANSACTION_STATUS_IDLE
ACTIVE = extensions.TRANSACTION_STATUS_ACTIVE
IN_TRANSACTION = extensions.TRANSACTION_STATUS_INTRANS
FAILED = extensions.TRANSACTION_STATUS_INERROR
