"""A generated application under gunicorn's gevent worker, whose database's host is silent for a while."""

import os
import shutil
import signal
from concurrent.futures import ThreadPoolExecutor

import pytest
from configurations import gunicorn
from projects import Visitor, answers, change, paster
from proxy import ProxyProcess
from psycopg2.extensions import make_dsn, parse_dsn
from serving import on_page, running
from support import free_port, until

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not hasattr(signal, "SIGSTOP"), reason="this system stops no process"),
]

LIMIT = 3
SETTINGS = f"""
simpycity.pool_size = 1
simpycity.max_overflow = {LIMIT - 1}
"""

WORK = """
from gevent import Timeout
from simpycity.core import Raw
from simpycity_template.driver import terminate

from helloworld.lib.base import BaseController

# Seconds for a cancellation that nobody answers.
terminate.TERMINATE_TIMEOUT = 1

sleep = Raw("SELECT pg_sleep(1000)")
meet = Raw("SELECT pg_advisory_xact_lock_shared(1)")


class WorkController(BaseController):
    def limited(self):
        with Timeout(0.3, False):
            sleep()
        return "ended"

    def together(self):
        meet()
        return "met"
"""


class Host:
    """The database's host: a proxy in a process that can be stopped. It refuses nobody meanwhile."""

    def __init__(self, process, path):
        self._process = process._process.pid
        self.port = process.Proxy(path).port()

    def fall_silent(self):
        os.kill(self._process, signal.SIGSTOP)

    def answer(self):
        os.kill(self._process, signal.SIGCONT)


@pytest.fixture
def host(server):
    """The database's host."""
    where = parse_dsn(server.admin_dsn)
    with ProxyProcess.new() as process:
        host = Host(process, f"{where['host']}/.s.PGSQL.{where.get('port', 5432)}")
        yield host
        host.answer()


@pytest.fixture
def get(made, tmp_path, dsn, host):
    """Asks a generated application under gunicorn's gevent worker for a page."""
    pytest.importorskip("psycogreen", reason="needs PyPI's psycogreen and gevent")
    project = shutil.copytree(made, tmp_path / "HelloWorld")
    (project / "helloworld" / "controllers" / "work.py").write_text(WORK)
    assert paster("make-config", "HelloWorld", "production.ini", cwd=project).returncode == 0
    (_, _, looking) = on_page("check_interval").strip().partition(" = ")
    through = make_dsn(
        dsn, host="127.0.0.1", port=host.port, connect_timeout=2, sslmode="disable",
        options=parse_dsn(looking)["options"],
    )  # fmt: skip
    change(project / "production.ini", "simpycity.dsn", through + SETTINGS)
    (project / "wsgi.py").write_text(on_page("wsgi.py"))
    worker = gunicorn("gunicorn_gevent.conf.py", {"workers = 2": "workers = 1"})
    port = free_port()
    for name, text in worker.files.items():
        (project / name).write_text(text.replace("{port}", str(port)))
    address = f"http://127.0.0.1:{port}"

    with running(worker.command, project, lambda: answers(address), {}):
        yield lambda path: Visitor(address).get(path)


def test_a_worker_recovers_when_its_frozen_server_answers_again(get, host, dsn, witness):
    def ask(sql, *arguments):
        with witness.cursor() as cursor:
            cursor.execute(sql, arguments)
            return cursor.fetchone()[0]

    def sessions(condition):
        count = f"SELECT count(*) FROM pg_stat_activity WHERE datname = %s AND {condition}"
        return ask(count, parse_dsn(dsn)["dbname"])

    def all_work_together(threads):
        """Whether as many requests as may have a connection have one, at the same time."""
        ask("SELECT pg_advisory_lock(1)")
        try:
            requests = [threads.submit(get, "/work/together") for _ in range(LIMIT)]
            until(
                lambda: (
                    sessions("wait_event = 'advisory'") == LIMIT
                    or any(request.done() for request in requests)
                )
            )
        finally:
            ask("SELECT pg_advisory_unlock(1)")
        return all(request.result() == "met" for request in requests)

    with ThreadPoolExecutor(3 * LIMIT) as threads:
        # Timeouts end greenlets, and their statements with them.
        requests = [threads.submit(get, "/work/limited") for _ in range(3 * LIMIT)]
        most = 0
        while not all(request.done() for request in requests):
            most = max(most, sessions("state = 'active'"))
        assert {request.result() for request in requests} == {"ended"}
        assert most <= LIMIT
        assert sessions("state = 'active'") == 0
        # Each of these ends while the server is silent: by its timeout, or because none connects.
        requests = [threads.submit(get, "/work/limited") for _ in range(LIMIT)]
        until(lambda: sessions("state = 'active'") or all(request.done() for request in requests))
        host.fall_silent()
        requests += [threads.submit(get, "/work/together") for _ in range(LIMIT)]
        assert "met" not in {request.result() for request in requests}
        host.answer()
        until(lambda: all_work_together(threads))
        until(lambda: sessions("true") <= LIMIT)
