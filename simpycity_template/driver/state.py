"""Who begins the transactions of a connection: this package, psycopg2 or the application."""

from enum import Enum

from psycopg2 import extensions


class State(Enum):
    """Who has begun the transaction of a connection, or begins the next one.

    A new connection is in PSYCOPG2. Once it is prepared it is in READY, unless its session has an
    isolation level or the like, which a plain BEGIN does not set. The first statement of a transaction
    takes it from READY to MERGED, and the end of the transaction takes it back. It goes to PSYCOPG2
    for good when the application gets it, and until the end of the scope for a handle with an isolation
    level. In autocommit mode a BEGIN takes it from PSYCOPG2 to BY_HAND, and the end of the transaction
    takes it back. Where it breaks during a COMMIT it ends in UNKNOWN.
    """

    READY = "none is open; BEGIN goes along with the next statement"
    MERGED = "one is open that began so, and psycopg2 does not know of it"
    PSYCOPG2 = "psycopg2 begins and ends them, and its status tells whether one is open"
    BY_HAND = "one is open that began with a BEGIN written as SQL in autocommit mode"
    UNKNOWN = "the connection broke during a COMMIT, and nobody knows whether it was executed"


READY, MERGED, PSYCOPG2, BY_HAND, UNKNOWN = State

# What the server said of the transaction with its last answer.
IDLE = extensions.TRANSACTION_STATUS_IDLE
ACTIVE = extensions.TRANSACTION_STATUS_ACTIVE
IN_TRANSACTION = extensions.TRANSACTION_STATUS_INTRANS
FAILED = extensions.TRANSACTION_STATUS_INERROR
