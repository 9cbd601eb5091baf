"""What a wait callback waits for has an end, on the server too, whichever callback it is."""

import json
import select
import socket
import subprocess
import sys
import threading

import psycopg2
import pytest
from psycopg2 import extensions
from simpycity.core import Raw
from support import PATIENCE, until

from simpycity_template.driver.terminate import cancel

sleep = Raw("SELECT pg_sleep(1000)")


class Interrupted(Exception):
    """What ends a wait, as the timeout of a greenlet does."""


class Limit(TimeoutError):
    """An error that a call could raise, too."""


class Callback:
    """Waits as a framework's callback does, until it is interrupted."""

    def __init__(self):
        self.interrupts = []

    def __call__(self, connection):
        while True:
            state = connection.poll()
            if state == extensions.POLL_OK:
                return
            descriptor = [connection.fileno()]
            reads = descriptor if state == extensions.POLL_READ else []
            while not any(select.select(reads, [] if reads else descriptor, [], 0.01)):
                if self.interrupts:
                    raise self.interrupts.pop()


@pytest.fixture
def callback():
    """psycopg2's wait callback."""
    callback = Callback()
    extensions.set_wait_callback(callback)
    yield callback
    extensions.set_wait_callback(None)


@pytest.fixture
def active(witness):
    """How many statements of a database are under way."""

    def active(dsn):
        with witness.cursor() as cursor:
            cursor.execute(
                "SELECT count(*) FROM pg_stat_activity WHERE datname = %s AND state = 'active'",
                [extensions.parse_dsn(dsn)["dbname"]],
            )
            return cursor.fetchone()[0]

    return active


@pytest.mark.parametrize("handed_out", [False, True])
def test_a_statement_whose_wait_is_interrupted_ends_on_the_server(
    make_manager, callback, active, dsn, handed_out
):
    manager = make_manager(pool_size=1, max_overflow=0)

    def interrupt():
        until(lambda: active(dsn))
        callback.interrupts.append(Interrupted())

    thread = threading.Thread(target=interrupt)
    with manager.scope("greenlet"):
        cursor = (manager.handle().conn if handed_out else manager.handle()).cursor()
        thread.start()
        with pytest.raises(Interrupted):
            cursor.execute("SELECT pg_sleep(1000)")
        # Now, and not at some time.
        assert active(dsn) == 0
    thread.join()
    with manager.scope("next"):
        assert Raw("SELECT 1 AS one")().fetchone()["one"] == 1


def test_so_it_does_where_a_second_interrupt_comes_meanwhile_and_that_goes_on(
    make_manager, callback, active, dsn, monkeypatch
):
    def late(*args):
        until(lambda: not callback.interrupts)
        return cancel(*args)

    monkeypatch.setattr("simpycity_template.driver.green.cancel", late)
    with make_manager().scope("greenlet"):
        Raw("SELECT 1")()
        callback.interrupts = [Limit(), Interrupted()]
        with pytest.raises(Limit):
            sleep()
        assert active(dsn) == 0


def test_where_the_server_does_not_answer_either_the_wait_ends_all_the_same(
    make_manager, callback, monkeypatch
):
    monkeypatch.setattr("simpycity_template.driver.green.cancel", lambda *args: False)
    manager = make_manager()
    with manager.scope("greenlet"):
        Raw("SELECT 1")()
        callback.interrupts.append(Interrupted())
        with pytest.raises(Interrupted):
            sleep()


def test_a_connect_to_a_silent_server_ends_after_connect_timeout(make_manager, callback):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        manager = make_manager(dsn=f"host=127.0.0.1 port={port} connect_timeout=1 sslmode=disable")
        with pytest.raises(
            psycopg2.OperationalError, match="within 1 s .connect_timeout.: timeout"
        ):
            manager.open()
    assert manager.status() == []


@pytest.fixture(params=["accepts nobody", "is silent"])
def unreachable(request):
    """A port on which nobody is served: its queue is full, or nobody reads what clients send."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listener:
        clients = []
        for _ in range(4 if request.param == "accepts nobody" else 0):
            client = socket.socket()
            client.setblocking(False)
            client.connect_ex(listener.getsockname())
            clients.append(client)
        yield listener.getsockname()[1]
        for client in clients:
            client.close()


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="other systems refuse at once")
def test_after_a_host_that_serves_nobody_the_next_one_is_tried(
    make_manager, callback, dsn, unreachable
):
    parts = extensions.parse_dsn(dsn)
    parts["host"] = f"127.0.0.1,{parts['host']}"
    parts["port"] = f"{unreachable},{parts.get('port', 5432)}"
    parts["hostaddr"] = ","
    manager = make_manager(dsn=extensions.make_dsn(**parts, connect_timeout=3))
    with manager.scope("greenlet"):
        assert Raw("SELECT 1 AS one")().fetchone()["one"] == 1


GREENLETS = """
import gevent.monkey
gevent.monkey.patch_all()
import gevent, json, sys
from psycogreen.gevent import patch_psycopg
patch_psycopg()
from simpycity.core import Raw
from simpycity_template import get_manager

manager = get_manager("greenlets")
settings = {"dsn": sys.argv[1], "pool_size": 1, "max_overflow": 1, "pool_timeout": 600}
manager.configure({f"simpycity.{name}": value for name, value in settings.items()})
sessions = Raw("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'greenlets'")
ended = []

def work():
    try:
        with manager.scope("work"):
            Raw("SELECT 1")()
            with gevent.Timeout(0.05):
                Raw("SELECT pg_sleep(1000)")()
    except gevent.Timeout:
        with manager.scope("look"):
            ended.append(sessions().fetchone()[0])

gevent.joinall([gevent.spawn(work) for _ in range(20)])
print(json.dumps(ended))
"""


@pytest.mark.process
def test_greenlets_that_timeouts_kill_never_have_more_sessions_than_the_limit(dsn):
    pytest.importorskip("psycogreen", reason="needs PyPI's psycogreen and gevent")
    done = subprocess.run(
        [sys.executable, "-c", GREENLETS, dsn], capture_output=True, text=True, timeout=PATIENCE
    )
    assert done.returncode == 0, done.stderr
    ended = json.loads(done.stdout)
    assert (len(ended), max(ended)) == (20, 2)
