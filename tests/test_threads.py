"""Threads that wait, die, share and reload: nobody is forgotten, and nobody gets another's work."""

import importlib
import logging
import multiprocessing
import os
import subprocess
import sys
import textwrap
import threading
from concurrent.futures import ThreadPoolExecutor

import psycopg2
import pytest
from proxy import ProxyProcess
from psycopg2.extensions import make_dsn, parse_dsn
from simpycity.core import FunctionTyped, Raw
from simpycity.model import SimpleModel
from support import PATIENCE, backend, end_session, fork, in_child, in_thread, in_use, until

from simpycity_template import PoolTimeout, get_manager

# Of nobody and for nothing but the tests: CN=localhost, signed by itself.
KEY = """\
-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQg6kSvc98A9PLrf/hG
OMFpYZysxge6QzTuGUpajQrqlD2hRANCAAQ5d0Xv323TMAf4fYW+uhmqQfugx1mJ
2HKrCdYVnhbmijAidOWFNYEIpkWAJ8Tv+BFdlnAfcBF4EhaP9ruCdIQw
-----END PRIVATE KEY-----
"""
CERTIFICATE = """\
-----BEGIN CERTIFICATE-----
MIIBgDCCASWgAwIBAgIUX/wtS3kue2WXItYXy4VkOOAEsQEwCgYIKoZIzj0EAwIw
FDESMBAGA1UEAwwJbG9jYWxob3N0MCAXDTI2MTEyMTA5MjkwOVoYDzIxMjYxMDI4
MDkyOTA5WjAUMRIwEAYDVQQDDAlsb2NhbGhvc3QwWTATBgcqhkjOPQIBBggqhkjO
PQMBBwNCAAQ5d0Xv323TMAf4fYW+uhmqQfugx1mJ2HKrCdYVnhbmijAidOWFNYEI
pkWAJ8Tv+BFdlnAfcBF4EhaP9ruCdIQwo1MwUTAdBgNVHQ4EFgQUBch8oqFjXF0R
I9+mlLPkMHxqPdIwHwYDVR0jBBgwFoAUBch8oqFjXF0RI9+mlLPkMHxqPdIwDwYD
VR0TAQH/BAUwAwEB/zAKBggqhkjOPQQDAgNJADBGAiEAgxfSG3G47l4BGrNmuHNP
fzBIfUoFQklNw1hx6z4LRFwCIQD5tlbJDU586ZY9NopzpyNOsVr9bA2SkwimujK+
dL6hJg==
-----END CERTIFICATE-----
"""


class TestThreadsThatDie:
    @pytest.mark.parametrize("end", ["return", "exception", "sys.exit"])
    def test_however_it_ends_its_connection_is_back_and_its_work_undone(
        self, manager, end, caplog, monkeypatch
    ):
        Raw("CREATE TABLE seen (n int)")()
        manager.commit()
        manager.cleanup()
        monkeypatch.setattr(threading, "excepthook", lambda told: None)

        def work():
            Raw("INSERT INTO seen VALUES (1)")()
            if end == "exception":
                raise ZeroDivisionError
            if end == "sys.exit":
                sys.exit(1)

        with caplog.at_level(logging.WARNING, "simpycity_template"):
            thread = threading.Thread(target=work, name="the one that dies")
            thread.start()
            thread.join()
        assert in_use(manager) == []
        assert Raw("SELECT count(*) FROM seen")().fetchone()[0] == 0
        (message,) = caplog.messages
        assert "the one that dies" in message and "test_threads.py:" in message

    def test_a_waiting_request_takes_the_connection_of_a_thread_that_dies(self, make_manager):
        manager = make_manager(pool_size=1, max_overflow=0, pool_timeout=PATIENCE)
        holding, die = threading.Event(), threading.Event()

        def work():
            backend()
            holding.set()
            die.wait(PATIENCE)

        holder = threading.Thread(target=work)
        holder.start()
        holding.wait(PATIENCE)
        served = []
        waiter = threading.Thread(target=lambda: (served.append(backend()), manager.cleanup()))
        waiter.start()
        pool = manager.current.pool
        until(lambda: pool.waiting())
        die.set()
        waiter.join(PATIENCE)
        assert served
        assert in_use(manager) == []

    def test_a_hundred_threads_that_die_at_once_leave_none_behind(self, make_manager):
        manager = make_manager(pool_size=2, max_overflow=3, pool_timeout=PATIENCE)
        sessions = []
        # Five have a connection at the same time, which is all that there may be.
        all_taken = threading.Barrier(5)

        def work():
            sessions.append(backend())
            all_taken.wait(PATIENCE)

        threads = [threading.Thread(target=work) for _ in range(100)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(sessions) == 100 and len(set(sessions)) >= 5
        assert in_use(manager) == []
        assert len(manager.status()) <= 2


class TestBlocks:
    def test_threads_that_share_one_scope_block_have_a_scope_each(self, manager):
        Raw("CREATE TABLE seen (who text)")()
        manager.commit()
        manager.cleanup()
        insert = Raw("INSERT INTO seen VALUES (%s)", ["who"])
        job = manager.scope("job")
        inside, left = threading.Barrier(2), threading.Event()

        def begins_first_and_leaves_first():
            with job:
                insert("never committed")
                inside.wait(PATIENCE)
                inside.wait(PATIENCE)
            assert manager.scopes.current() is None
            left.set()

        def goes_on():
            inside.wait(PATIENCE)
            with job:
                insert("one")
                inside.wait(PATIENCE)
                assert left.wait(PATIENCE)
                insert("two")
                manager.commit()
            assert manager.scopes.current() is None

        with ThreadPoolExecutor(2) as threads:
            first, second = map(threads.submit, (begins_first_and_leaves_first, goes_on))
            first.result(PATIENCE)
            second.result(PATIENCE)
        assert [row["who"] for row in Raw("SELECT who FROM seen")()] == ["one", "two"]
        manager.cleanup()
        assert in_use(manager) == []


class TestExhaustion:
    def test_the_error_names_every_holder_of_a_real_program(self, make_manager):
        manager = make_manager(pool_size=1, max_overflow=1, pool_timeout=0.05)

        def hold(label, sql):
            with manager.scope(label):
                Raw(sql)()
                holding.wait()
                release.wait(PATIENCE)

        holding, release = threading.Barrier(3), threading.Event()
        threads = [
            threading.Thread(target=hold, args=("GET /slow", "SELECT 'slow'"), name="worker-1"),
            threading.Thread(target=hold, args=("backup", "SELECT 'backup'"), name="worker-2"),
        ]
        for thread in threads:
            thread.start()
        holding.wait(PATIENCE)
        with pytest.raises(PoolTimeout) as error:
            backend()
        release.set()
        for thread in threads:
            thread.join()
        message = str(error.value)
        for said in ("worker-1", "GET /slow", "SELECT 'slow'", "worker-2", "backup", "in hold"):
            assert said in message
        assert message.count("in transaction") == 2
        assert message.count("test_threads.py:") == 2
        assert "no scope" not in message and "manager.scope(" not in message
        assert backend()

    def test_the_error_says_which_work_is_in_no_scope_and_what_to_do(self, make_manager):
        manager = make_manager(pool_size=1, max_overflow=0, pool_timeout=0.05)
        backend()
        with manager.scope("GET /unlucky"), pytest.raises(PoolTimeout) as error:
            backend()
        held, what_to_do = str(error.value).splitlines()[1:]
        assert "thread 'MainThread', in no scope, taken" in held
        assert "manager.scope(" in what_to_do

    def test_nobody_who_waits_is_forgotten(self, make_manager):
        manager = make_manager(pool_size=1, max_overflow=1, pool_timeout=PATIENCE)
        done = []

        def work(number):
            for _ in range(25):
                with manager.scope(str(number)):
                    backend()
            done.append(number)

        threads = [threading.Thread(target=work, args=(n,)) for n in range(12)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(PATIENCE)
        assert sorted(done) == list(range(12))
        assert in_use(manager) == []


class TestSessionState:
    LEFT = Raw("""
        SELECT current_setting('statement_timeout') AS timeout, current_user AS role,
            to_regclass('pg_temp.mine') IS NULL AS no_table,
            (SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'
                AND pid = pg_backend_pid()) AS locks,
            (SELECT count(*) FROM pg_listening_channels()) AS channels,
            (SELECT count(*) FROM pg_prepared_statements) AS statements,
            (SELECT count(*) FROM pg_cursors WHERE is_holdable) AS cursors
    """)

    def leave_all_behind(self, manager):
        session = backend()
        for sql in (
            "CREATE TEMPORARY TABLE mine ()",
            "SET statement_timeout = 12345",
            "SELECT pg_advisory_lock(7)",
            "LISTEN news",
            "PREPARE statement AS SELECT 1",
            "DECLARE kept CURSOR WITH HOLD FOR SELECT 1",
            "SET ROLE pg_monitor",
        ):
            Raw(sql)()
        manager.commit()
        manager.cleanup()
        left = dict(self.LEFT().fetchone())
        assert backend() == session
        return left

    def test_with_discard_nothing_of_a_session_survives(self, make_manager):
        fresh = dict(timeout="0", role="postgres", no_table=True)
        left = self.leave_all_behind(make_manager(pool_reset="discard"))
        assert left == {**fresh, "locks": 0, "channels": 0, "statements": 0, "cursors": 0}

    def test_with_the_default_what_was_committed_survives_as_the_pages_say(self, make_manager):
        left = self.leave_all_behind(make_manager())
        kept = dict(timeout="12345ms", role="pg_monitor", no_table=False)
        assert left == {**kept, "locks": 1, "channels": 1, "statements": 1, "cursors": 1}

    def test_with_the_default_what_was_not_committed_does_not(self, manager):
        for sql in (
            "CREATE TEMPORARY TABLE mine ()",
            "SET statement_timeout = 12345",
            "LISTEN news",
            "DECLARE kept CURSOR WITH HOLD FOR SELECT 1",
            "SET ROLE pg_monitor",
        ):
            Raw(sql)()
        manager.cleanup()
        left = dict(self.LEFT().fetchone())
        fresh = dict(timeout="0", role="postgres", no_table=True)
        assert left == {**fresh, "locks": 0, "channels": 0, "statements": 0, "cursors": 0}

    def test_with_the_default_what_a_rollback_does_not_end_survives_as_the_pages_say(self, manager):
        for sql in ("SELECT pg_advisory_lock(7)", "PREPARE statement AS SELECT 1"):
            Raw(sql)()
        manager.cleanup()
        left = self.LEFT().fetchone()
        assert (left["locks"], left["statements"]) == (1, 1)


class TestForks:
    def transfer(self, number):
        Raw("INSERT INTO seen VALUES (%s)", ["n"])(number)

    @pytest.fixture
    def seen(self, manager):
        Raw("CREATE TABLE seen (n int)")()
        manager.commit()
        manager.cleanup()

        def seen():
            with manager.scope("look"):
                return sorted(row["n"] for row in Raw("SELECT n FROM seen")())

        return seen

    def test_both_sides_work_at_once(self, manager, seen):
        self.transfer(0)  # in a transaction when it forks

        def work(first):
            for n in range(first, first + 50):
                self.transfer(n)
                manager.commit()

        children = [fork(lambda first=first: work(first)) for first in (100, 200)]
        work(1)
        for child in children:
            assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert seen() == [*range(51), *range(100, 150), *range(200, 250)]

    def test_forking_from_a_thread_and_in_a_child_again(self, manager, seen):
        def grandchild():
            self.transfer(3)
            manager.commit()

        def child():
            self.transfer(2)
            assert in_child(grandchild)
            manager.commit()

        def work():
            self.transfer(1)
            assert in_child(child)
            manager.commit()
            manager.cleanup()

        session = backend()
        in_thread(work)
        assert backend() == session
        assert seen() == [1, 2, 3]

    def test_a_child_that_is_killed_takes_nothing_with_it(self, manager, seen):
        self.transfer(1)
        child = fork(lambda: (self.transfer(2), os.kill(os.getpid(), 9)))
        os.waitpid(child, 0)
        manager.commit()
        assert seen() == [1]

    def test_over_tls(self, make_manager, tls_dsn):
        manager = make_manager(dsn=tls_dsn)
        mine = backend()
        with manager.scope("idle"):
            idle = backend()
        assert manager.handle().conn.info.ssl_in_use

        def child():
            assert manager.handle().conn.info.ssl_in_use
            assert backend() not in (mine, idle)
            manager.cleanup()

        for _ in range(3):
            assert in_child(child)
            assert backend() == mine
        manager.cleanup()
        assert backend() in (mine, idle)

    @pytest.fixture
    def tls_dsn(self, server, tmp_path):
        (tmp_path / "pem").write_text(KEY + CERTIFICATE)
        where = parse_dsn(server.admin_dsn)
        with ProxyProcess.new() as process:
            path = f"{where['host']}/.s.PGSQL.{where.get('port', 5432)}"
            front = process.TlsFront(path, str(tmp_path / "pem"))
            address = {"host": "127.0.0.1", "port": front.port(), "sslmode": "require"}
            yield make_dsn(dbname="postgres", user="postgres", gssencmode="disable", **address)

    def test_multiprocessing_while_both_sides_work(self, manager, seen, dsn):
        processes = []
        for n, method in enumerate(multiprocessing.get_all_start_methods()):
            context = multiprocessing.get_context(method)
            processes.append(context.Process(target=_insert_in_process, args=(dsn, n)))
            processes[-1].start()
        self.transfer(10)
        for process in processes:
            process.join(PATIENCE)
            assert process.exitcode == 0
        manager.commit()
        assert seen() == [*range(len(processes)), 10]


def _insert_in_process(dsn, n):
    manager = get_manager("multiprocessing")
    manager.configure({"simpycity.dsn": dsn})
    with manager.transaction():
        Raw("INSERT INTO seen VALUES (%s)", ["n"])(n)
    manager.cleanup()


class TestReloading:
    def test_model_modules_are_reloaded_while_requests_run(self, make_manager, dsn, tmp_path,
                                                           monkeypatch):  # fmt: skip
        module = textwrap.dedent("""
            from simpycity.core import Function, Raw
            from simpycity_template import get_manager
            manager = get_manager("reloaded")
            manager.configure({"simpycity.dsn": %r, "simpycity.pool_size": 3})
            now = Function("now")
            pid = Raw("SELECT pg_backend_pid()")
        """)
        make_manager()  # puts Simpycity's handle factory back in the end
        (tmp_path / "reloaded_model.py").write_text(module % dsn)
        monkeypatch.syspath_prepend(tmp_path)
        import reloaded_model as model

        manager = get_manager("reloaded")
        stop, errors, served = threading.Event(), [], []

        def serve():
            while not stop.is_set():
                try:
                    with manager.scope("request"):
                        model.now()
                        served.append(model.pid().fetchone()[0])
                except Exception as error:
                    errors.append(error)

        threads = [threading.Thread(target=serve) for _ in range(3)]
        for thread in threads:
            thread.start()
        for _ in range(30):
            importlib.reload(model)
            # As mod_python does: the same file in a namespace of its own.
            exec((tmp_path / "reloaded_model.py").read_text(), {"__name__": "fresh"})
        until(lambda: len(served) > 100)
        stop.set()
        for thread in threads:
            thread.join()
        assert errors == []
        assert model.manager is manager
        assert len(manager.status()) <= 3
        assert len(set(served)) <= 3
        manager.dispose()
        del sys.modules["reloaded_model"]

    @pytest.mark.process
    def test_importing_needs_no_database(self):
        program = (
            "from simpycity_template import get_manager; from simpycity.core import Function\n"
            "manager = get_manager('x'); manager.configure({'simpycity.dsn': 'host=192.0.2.1'})\n"
            "Function('now'); manager.handle(); manager.status(); manager.cleanup()\n"
        )
        subprocess.run([sys.executable, "-c", program], check=True, timeout=PATIENCE)


class TestCompositeTypes:
    def test_they_are_known_in_all_threads_and_after_a_reconnect(self, manager, witness):
        for sql in (
            "CREATE TYPE point2 AS (x int, y int)",
            "CREATE FUNCTION origin(x int, y int) RETURNS point2 LANGUAGE sql AS 'SELECT (x, y)'",
        ):
            Raw(sql)()
        manager.commit()

        class Point(SimpleModel):
            pg_type = ("public", "point2")
            table = []  # noqa: RUF012

        caster = Point.register_composite("point2")
        origin = FunctionTyped("origin", ["x", "y"])

        def point():
            (found,) = origin(1, 2).fetchall()
            manager.cleanup()
            return type(found), found.x, found.y

        try:
            assert point() == (Point, 1, 2)
            manager.cleanup()
            assert [in_thread(point) for _ in range(3)] == [(Point, 1, 2)] * 3
            for entry in manager.status():
                end_session(witness, entry.backend_pid)
            assert point() == (Point, 1, 2)
            assert in_thread(point) == (Point, 1, 2)
        finally:
            for known in (caster.typecaster, caster.array_typecaster):
                for oid in known.values if known else ():
                    psycopg2.extensions.string_types.pop(oid, None)
