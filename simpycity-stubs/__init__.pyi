"""Types of Simpycity 2.0.1, as simpycity_template corrects it."""

from psycopg2 import (
    DatabaseError as DatabaseError,
)
from psycopg2 import (
    DataError as DataError,
)
from psycopg2 import (
    IntegrityError as IntegrityError,
)
from psycopg2 import (
    InterfaceError as InterfaceError,
)
from psycopg2 import (
    InternalError as InternalError,
)
from psycopg2 import (
    NotSupportedError as NotSupportedError,
)
from psycopg2 import (
    OperationalError as OperationalError,
)
from psycopg2 import (
    ProgrammingError as ProgrammingError,
)

class PermissionError(InternalError): ...
class UnknownUserError(PermissionError): ...
class NotFoundError(InternalError): ...
class CannotSave(InternalError): ...
