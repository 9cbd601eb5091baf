"""The parameters that libpq gets for a connection: of the DSN, a service file, or the environment."""

import os
from configparser import ConfigParser, Error
from pathlib import Path
from typing import Any

from psycopg2.extensions import parse_dsn

from simpycity_template.process.signals import raised_by_handler

KEEPALIVES = {"keepalives_idle": 30, "keepalives_interval": 10, "keepalives_count": 3}
"""A connection whose network went away breaks after a minute (30 s, and three probes of 10 s), where the
system's own default is two hours. So it does while a statement waits for its answer."""

USER_TIMEOUT = {"tcp_user_timeout": 60_000}
"""Milliseconds for a statement to reach the server: while that is not acknowledged, no probes are sent. The
system's own default is a quarter of an hour."""

SYSTEM_FOLDERS = ("/etc/postgresql-common", "/etc/sysconfig/pgsql", "/etc/postgresql", "/etc")
"""Where a libpq looks for the system's service file, as it was built: Debian's and that of
psycopg2-binary, Fedora's, and others. A libpq that does not find the service refuses it."""

_FROM_ENVIRONMENT = {"PGAPPNAME": "application_name", "PGCONNECT_TIMEOUT": "connect_timeout"}


def given_parameters(dsn: str) -> dict[str, str]:
    """Return the parameters that libpq gets for a connection, without its own defaults.

    Arguments:
        dsn: a DSN or URI.

    Returns:
        The parameters of the DSN, of the service that it or ``PGSERVICE`` names, and the name and
        the time limit that the environment says.
    """
    given = parse_dsn(dsn)
    service = given.get("service") or os.environ.get("PGSERVICE")
    environment = {
        parameter: os.environ[name]
        for name, parameter in _FROM_ENVIRONMENT.items()
        if os.environ.get(name)
    }
    return {**environment, **(of_service(service) if service else {}), **given}


def of_service(name: str) -> dict[str, str]:
    """Return the parameters of a service; none where no file that can be read has it.

    libpq looks into the file that ``PGSERVICEFILE`` names, or the user's, and then into the system's.
    It says itself what is wrong with one.
    """
    own = os.environ.get("PGSERVICEFILE") or Path.home() / ".pg_service.conf"
    named = os.environ.get("PGSYSCONFDIR")
    folders = SYSTEM_FOLDERS if named is None else (named,)
    for file in (Path(own), *(Path(folder, "pg_service.conf") for folder in folders)):
        parser = ConfigParser(interpolation=None, strict=False, delimiters=("=",))
        try:
            parser.read(file, encoding="utf-8")
        except (OSError, Error, UnicodeError) as error:
            if raised_by_handler(error):
                raise
            continue
        if parser.has_section(name):
            return dict(parser.items(name))
    return {}


def defaults(dsn: str, connect_timeout: int) -> dict[str, Any]:
    """Return the parameters that a connection is opened with where nothing says otherwise.

    Arguments:
        dsn: a DSN or URI.
        connect_timeout: in seconds; libpq's least is 2.
    """
    given = given_parameters(dsn)
    ours = {"connect_timeout": max(2, connect_timeout)}
    ours |= USER_TIMEOUT
    if not any(name.startswith("keepalives") for name in given):
        ours |= KEEPALIVES
    return {name: value for name, value in ours.items() if name not in given}
