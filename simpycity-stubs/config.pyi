"""Types of ``simpycity.config``."""

from typing import Any

port: Any
host: Any
database: Any
user: Any
password: Any
debug: bool

def dsn() -> str: ...

handle_factory: Any
