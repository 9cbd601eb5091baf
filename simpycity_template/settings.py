"""The ``simpycity.*`` settings of an INI file, checked.

A wrong setting is a ``ValueError`` while the application starts, not a puzzle at
three in the morning. A password is never part of a message.
"""

import re
import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from math import inf, isfinite
from typing import Any

import psycopg2
from psycopg2 import extensions

from simpycity_template.pylons_py3.restricted import TRUTH, Network, networks

ISOLATION_LEVELS = {
    "autocommit": extensions.ISOLATION_LEVEL_AUTOCOMMIT,
    "read uncommitted": extensions.ISOLATION_LEVEL_READ_UNCOMMITTED,
    "read committed": extensions.ISOLATION_LEVEL_READ_COMMITTED,
    "repeatable read": extensions.ISOLATION_LEVEL_REPEATABLE_READ,
    "serializable": extensions.ISOLATION_LEVEL_SERIALIZABLE,
}

EMBEDDED = "embedded:"

PORT_MAX = 65535
SECONDS_MAX = 2**31 - 1
"""What libpq takes as connect_timeout at most; Python's own waits allow a little more."""

NEVER = -1
"""As ``pool_recycle``: a connection is kept however old it is."""

# Simpycity's own names for the parts of a DSN, and libpq's.
_PARTS = {
    "host": "host",
    "port": "port",
    "database": "dbname",
    "user": "user",
    "password": "password",
}

# Those of libpq's keywords that a DSN is mostly made of, to say which one was meant.
_KEYWORDS = [
    *_PARTS.values(),
    *("application_name", "connect_timeout", "hostaddr", "options", "passfile", "service"),
    *("sslcert", "sslkey", "sslmode", "sslrootcert", "target_session_attrs"),
]


@dataclass(frozen=True)
class Settings:
    """What a manager was told in the INI file.

    Arguments:
        dsn: a libpq DSN or URI, or ``embedded:DIRECTORY``.
        database: with ``embedded:``, the database's name; by default the manager's.
        password_command: prints the password of each new connection, without a shell; or a function
            that returns it. None where the DSN, ``~/.pgpass`` or the environment has it.
        pool_size: idle connections kept; 0 closes each at the end of its scope.
        max_overflow: how many more than ``pool_size`` may be open at once.
        pool_timeout: seconds to wait for a free connection.
        pool_recycle: age in seconds at which a connection is replaced when it comes
            back; -1 for never.
        pool_reset: ``rollback``, or ``discard`` for ``DISCARD ALL`` as well.
        isolation_level: one of psycopg2's ``ISOLATION_LEVEL_*``; None is the server's own.
        hold_warning: seconds after which a held connection is logged; 0 is never.
        log_lost_writes: whether a scope is logged that changed rows and did not commit them.
        schema_lock_timeout: seconds for which ``setup-app`` waits for a lock in the database; 0 is
            for ever.
        apply_schema: whether ``paster serve --reload`` applies migrations and functions first.
        check_functions: whether the declared functions are compared with the database when the
            application starts, and in the error of a call without one.
        tag_statements: whether each statement begins with a comment that names its holder.
        status_page: who may see the page ``/_connections``, as networks; none is nobody.
        default: whether queries that name no manager use this one.
    """

    dsn: str = field(repr=False)
    database: str | None = None
    password_command: str | Callable[[], str] | None = field(default=None, repr=False)
    pool_size: int = 5
    max_overflow: int = 10
    pool_timeout: float = 30.0
    pool_recycle: float = 3600.0
    pool_reset: str = "rollback"
    isolation_level: int | None = None
    hold_warning: float = 0.0
    log_lost_writes: bool = False
    schema_lock_timeout: float = 5.0
    apply_schema: bool = False
    check_functions: bool = False
    tag_statements: bool = False
    status_page: tuple[Network, ...] = ()
    default: bool = True

    @property
    def max_size(self) -> int:
        """The number of connections that may be open at once."""
        return self.pool_size + self.max_overflow

    @classmethod
    def from_config(cls, config: Mapping[str, Any], prefix: str = "simpycity.") -> "Settings":
        """Read and check the keys of ``config`` that begin with ``prefix``.

        Arguments:
            config: an INI section, or any mapping; values may be text or Python values.
            prefix: what the keys begin with, ``"simpycity."`` for example.

        Raises:
            ValueError: a key is unknown, or its value is wrong or missing; the message
                names the key and the value, and for a misspelt key the one that was meant.
            TypeError: ``config`` is no mapping, or ``prefix`` no text.
        """
        # pylons.config is a proxy of a mapping, and so not a Mapping by its type.
        if not hasattr(config, "items"):
            raise TypeError(
                f"the settings are of type {type(config).__name__}: they must be a mapping, such "
                "as a section of an INI file"
            )
        if not isinstance(prefix, str):
            raise TypeError(
                f"the prefix is of type {type(prefix).__name__}: it must be a text such as "
                "'simpycity.'"
            )
        given = {
            key.removeprefix(prefix): value
            for key, value in config.items()
            if isinstance(key, str) and key.startswith(prefix)
        }
        if prefix[-1:] not in ("", ".") and any(key.startswith(".") for key in given):
            raise ValueError(f"the prefix is {prefix!r}: write it with its dot, {prefix + '.'!r}")
        known = ["dsn", *_PARTS, *_PARSERS]
        for key in given:
            if key not in known:
                raise ValueError(f"{prefix}{key} is not a setting{_meant(key, known, prefix)}")
        values: dict[str, Any] = _address(given, prefix)
        values |= {
            key: parse(f"{prefix}{key}", given[key])
            for key, parse in _PARSERS.items()
            if key in given
        }
        settings = cls(**values)
        if settings.password_command and settings.dsn.startswith(EMBEDDED):
            raise ValueError(
                f"{prefix}password_command is set, and an embedded server asks for no password"
            )
        if settings.password_command and extensions.parse_dsn(settings.dsn).get("password"):
            raise ValueError(f"{prefix}password_command is set, and a password as well: keep one")
        if settings.max_size < 1:
            raise ValueError(
                f"{prefix}pool_size and {prefix}max_overflow are both 0, "
                "so no connection could ever be opened: one of them must be 1 or more"
            )
        return settings


def _meant(key: str, known: list[str], prefix: str) -> str:
    close = get_close_matches(key, known, n=1)
    if close:
        return f": did you mean {prefix}{close[0]}?"
    return f"; the settings are {', '.join(prefix + name for name in known)}"


def _address(given: Mapping[str, Any], prefix: str) -> dict[str, str]:
    """The ``dsn`` (and the ``database`` of an embedded server) out of what was given."""
    for key in ("dsn", *_PARTS):
        if "\0" in str(given.get(key, "")):
            raise ValueError(f"{prefix}{key} has a NUL character in it, which libpq cannot take")
    parts = {key: str(given[key]) for key in _PARTS if given.get(key) not in (None, "")}
    # A password may begin or end with a space.
    parts = {key: text if key == "password" else text.strip() for key, text in parts.items()}
    dsn = str(given.get("dsn") or "").strip()
    if not dsn and not parts:
        raise ValueError(
            f"{prefix}dsn is not set: give a libpq DSN such as "
            f"'host=localhost dbname=mine', or '{EMBEDDED}DIRECTORY'"
        )
    if not dsn:
        if not _are_ports(parts.get("port", "")):
            raise ValueError(
                f"{prefix}port is {parts['port']!r}: it must be a number from 1 to {PORT_MAX}"
            )
        return {"dsn": extensions.make_dsn(**_libpq(parts))}
    if others := [key for key in parts if key != "database"]:
        raise ValueError(
            f"{prefix}dsn and {prefix}{others[0]} are both set, "
            "and both say where the database is: keep one"
        )
    if dsn.startswith(EMBEDDED):
        if not dsn.removeprefix(EMBEDDED).strip():
            raise ValueError(f"{prefix}dsn is '{dsn}': name the directory, '{EMBEDDED}DIRECTORY'")
        return {"dsn": dsn, **parts}
    dsn = _checked(dsn, f"{prefix}dsn")
    # Beside a DSN it stands for another database of that server: that of the tests, for example.
    return {"dsn": extensions.make_dsn(dsn, **_libpq(parts)) if parts else dsn}


def _libpq(parts: Mapping[str, str]) -> dict[str, str]:
    return {_PARTS[key]: value for key, value in parts.items()}


def _checked(dsn: str, key: str) -> str:
    try:
        parts = extensions.parse_dsn(dsn)
    except psycopg2.Error as error:
        raise ValueError(
            f"{key} {_fault(dsn, str(error))}: "
            "write 'host=... dbname=...' or 'postgresql://user@host/database'"
        ) from None
    if "@" in parts.get("host", ""):
        # libpq takes what follows the first one for the host, and would say it in errors.
        raise ValueError(f"{key} has an @ in its password: write it %40 (and %%40 in an INI file)")
    if not _are_ports(parts.get("port", "")):
        # Not shown: in postgresql://me:secret/notes, where @host is missing, it is the password.
        raise ValueError(f"{key} has a port in it that is no number from 1 to {PORT_MAX}")
    return dsn


def _fault(dsn: str, reason: str) -> str:
    """What is wrong with a DSN, in words that cannot be a password or a piece of it.

    Where libpq cannot parse the text, nobody knows which part of it is the password.

    Arguments:
        dsn: the text.
        reason: what libpq says; it quotes what it stumbled over.
    """
    if re.fullmatch(r"[\w.-]+", dsn):
        return f"is '{dsn}', which libpq cannot parse"
    if found := re.search(r'invalid (?:connection option|URI query parameter:) "(\w+)"', reason):
        word = found[1]
        if meant := get_close_matches(word, _KEYWORDS, n=1):
            return f"has {word!r} in it, which libpq does not know (did you mean {meant[0]}?)"
        # After a password, it can be the rest of one with a space in it.
        if "@" not in dsn and "pass" not in dsn.partition(word)[0].lower():
            return f"has {word!r} in it, which libpq does not know"
    return "is a text (not shown, as a password may be in it) which libpq cannot parse"


def _are_ports(text: str) -> bool:
    """Whether libpq takes it for a port, or for one of each host; a blank one is the default."""
    ports = [port.strip() for port in text.split(",")]
    return all(
        not port or (port.isascii() and port.isdecimal() and 1 <= int(port) <= PORT_MAX)
        for port in ports
    )


def _number(
    kind: type, unit: str, least: float, most: float = inf, also: tuple[float, ...] = ()
) -> Callable[[str, Any], Any]:
    def parse(key: str, value: Any) -> Any:
        try:
            number = kind(value.strip() if isinstance(value, str) else value)
            valid = number == float(value) and isfinite(number) and not isinstance(value, bool)
        except (TypeError, ValueError, OverflowError):
            valid = False
        if not valid or not (least <= number <= most or number in also):
            extra = "" if most == inf else f", {most} at most"
            extra += "".join(f", or {other}" for other in also)
            raise ValueError(f"{key} is {value!r}: it must be {unit}, {least} or more{extra}")
        return number

    return parse


def _one_of(names: Mapping[str, Any]) -> Callable[[str, Any], Any]:
    def parse(key: str, value: Any) -> Any:
        name = " ".join(str(value).lower().replace("_", " ").split())
        if name not in names:
            raise ValueError(f"{key} is {value!r}: it must be one of {', '.join(names)}")
        return names[name]

    return parse


def _command(key: str, value: Any) -> Any:
    if callable(value) or value is None:
        return value
    try:
        if shlex.split(str(value)):
            return str(value).strip()
    except ValueError as error:
        raise ValueError(f"{key} is {value!r}: it must be a command ({error})") from None
    return None


def isolation_level(key: str, value: Any) -> int | None:
    """One of psycopg2's ``ISOLATION_LEVEL_*``, from its number or its name; None is the server's.

    Raises:
        ValueError: there is no such level; the message names ``key``.
    """
    if value is None or value == "":
        return None
    if value in ISOLATION_LEVELS.values() and not isinstance(value, bool):
        return int(value)
    return int(_one_of(ISOLATION_LEVELS)(key, value))


_PARSERS: dict[str, Callable[[str, Any], Any]] = {
    "password_command": _command,
    "pool_size": _number(int, "a whole number of connections", 0),
    "max_overflow": _number(int, "a whole number of connections", 0),
    "pool_timeout": _number(float, "a number of seconds", 0, SECONDS_MAX),
    "pool_recycle": _number(float, "a number of seconds", 0, also=(NEVER,)),
    "pool_reset": _one_of({"rollback": "rollback", "discard": "discard"}),
    "isolation_level": isolation_level,
    "hold_warning": _number(float, "a number of seconds", 0, SECONDS_MAX),
    "log_lost_writes": _one_of(TRUTH),
    "schema_lock_timeout": _number(float, "a number of seconds", 0, SECONDS_MAX / 1000),
    "apply_schema": _one_of(TRUTH),
    "check_functions": _one_of(TRUTH),
    "tag_statements": _one_of(TRUTH),
    "status_page": networks,
    "default": _one_of(TRUTH),
}
