"""Starts servers with the probe application in them."""

import os
from collections.abc import Callable
from contextlib import AbstractContextManager, contextmanager

import psycopg2
import pytest
from projects import free_port
from serving import HERE, Probe, running


@pytest.fixture(scope="session")
def serve(server, tmp_path_factory) -> Callable[..., AbstractContextManager[Probe]]:
    """Serves the probe, on a database of its own, while a block lasts.

    The arguments are the command and the files that it finds in its folder, by name; ``{port}``
    in either is where the server is to listen.
    """

    @contextmanager
    def start(command, files=(), environment=()):
        folder, port, dsn = tmp_path_factory.mktemp("server"), free_port(), server.create_database()
        for name, text in dict(files).items():
            (folder / name).write_text(text.replace("{port}", str(port)))
        witness = server.connect(psycopg2.extensions.parse_dsn(dsn)["dbname"])
        with witness.cursor() as cursor:
            cursor.execute("CREATE TABLE visit (page text); CREATE TABLE arrival (round text)")
        probe = Probe(port, dsn, witness)
        path = os.pathsep.join([str(folder), str(HERE)])
        environment = {"PROBE_DSN": dsn, "PYTHONPATH": path, **dict(environment)}
        command = [part.replace("{port}", str(port)) for part in command]
        try:
            with running(command, folder, probe.answers, environment):
                yield probe
        finally:
            witness.close()

    return start
