"""Starts servers with the probe application in them."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager

import psycopg2
import pytest
from configurations import PRODUCTION_INI, Server
from serving import HERE, Probe, on_page, running
from support import free_port


@pytest.fixture(scope="session")
def serve(server, tmp_path_factory) -> Callable[..., AbstractContextManager[Probe]]:
    """Serves the probe, on a database of its own, while a block lasts."""

    @contextmanager
    def start(configuration: Server, **environment: str) -> Iterator[Probe]:
        folder, port, dsn = tmp_path_factory.mktemp("server"), free_port(), server.create_database()
        files = {"wsgi.py": on_page("wsgi.py"), "production.ini": PRODUCTION_INI}
        for name, text in (files | configuration.files).items():
            (folder / name).write_text(text.replace("{port}", str(port)))
        command = [part.replace("{port}", str(port)) for part in configuration.command]
        environment = {"PROBE_DSN": dsn, "PYTHONPATH": str(HERE), **environment}
        with closing(server.connect(psycopg2.extensions.parse_dsn(dsn)["dbname"])) as witness:
            with witness.cursor() as cursor:
                cursor.execute("CREATE TABLE visit (page text); CREATE TABLE arrival (round text)")
            probe = Probe(port, dsn, witness)
            with running(command, folder, probe.answers, environment):
                yield probe

    return start
