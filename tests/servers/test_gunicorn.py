"""What only gunicorn does."""

import json

from configurations import SERVERS, gunicorn
from psycopg2.extensions import parse_dsn
from serving import on_page
from support import until


def test_a_hundred_greenlets_share_fifteen_connections(serve):
    one_worker = gunicorn("gunicorn_gevent.conf.py", {"workers = 2": "workers = 1"})
    with serve(one_worker) as probe:
        # The hundredth tells what became of the others.
        with probe.under_way("wait", 99, sessions=15) as requests:
            until(lambda: json.loads(probe.get("waiting")) == 99 - 15)
            assert not any(request.done() for request in requests)
        assert {request.result() for request in requests} == {b"waited"}
        # And the one that the master opened.
        probe.wait_for_quiet(at_most=5 + 1)


def test_a_long_statement_ends_with_its_worker_where_the_server_looks(serve):
    (_, _, dsn) = on_page("check_interval").strip().partition(" = ")
    # libpq's other way to say it: the database is another here.
    with serve(SERVERS["gunicorn sync"], PGOPTIONS=parse_dsn(dsn)["options"]) as probe:
        with probe.killed_in_a_request() as session:
            until(lambda: session not in probe.sessions())


def test_gunicorn_goes_on_to_log_when_it_has_loaded_the_application(serve, tmp_path):
    log = tmp_path / "log"
    preload = "preload_app = True\n"
    with serve(gunicorn("gunicorn.conf.py", {preload: f'{preload}errorlog = "{log}"\n'})):
        until(lambda: "Booting worker" in log.read_text())
