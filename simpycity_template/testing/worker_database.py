"""A database for each worker of ``pytest -n``, so that they do not wait for each other."""

import os
from collections.abc import MutableMapping
from contextlib import closing

import psycopg2
from psycopg2 import errors, sql
from psycopg2.extensions import make_dsn

from simpycity_template.settings import EMBEDDED, Settings


def use_database_of_worker(config: MutableMapping[str, str], prefix: str = "simpycity.") -> None:
    """Give each worker of pytest-xdist a database of its own, which is made where it is not there.

    Without ``pytest -n`` nothing is changed.

    Arguments:
        config: the settings of the application, as in its INI file. Its ``database`` gets the name
            of the worker, as in ``helloworld_test_gw0``.
        prefix: what the keys begin with.

    Raises:
        KeyError: no setting names the database of the tests.
        psycopg2.Error: the database cannot be made.
    """
    worker = os.environ.get("PYTEST_XDIST_WORKER")
    if worker is None:
        return
    name = config[f"{prefix}database"] = f"{config[f'{prefix}database']}_{worker}"
    dsn = Settings.from_config(config, prefix).dsn
    # An embedded server makes its databases by itself.
    if not dsn.startswith(EMBEDDED):
        _create(dsn, name)


def _create(dsn: str, name: str) -> None:
    try:
        psycopg2.connect(dsn).close()
    except psycopg2.OperationalError as error:
        # It has no code: it comes while the session begins.
        if f'"{name}" does not exist' not in str(error):
            raise
        with closing(psycopg2.connect(make_dsn(dsn, dbname="postgres"))) as link:
            link.autocommit = True
            try:
                link.cursor().execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
            except errors.DuplicateDatabase:
                pass
