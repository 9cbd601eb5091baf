"""Random use of a manager by several threads, held against a simple model of what must come out.

Never two scopes on one connection, never a committed row that nobody committed, never a lost one
that somebody did, never more connections than allowed, and none left at the end. Every connection is as
the listeners prepared it, none is older than allowed, and no time limit is lost. In some runs a monitoring
agent has a proxy around each connection, and in some a listener hands them out.

`make test` takes 10,000 steps; `make soak` goes on for as many minutes as it is told.
"""

import gc
import logging
import os
import queue
import signal
import threading
import traceback
from contextlib import nullcontext, suppress
from encodings import utf_8
from itertools import count
from time import monotonic, sleep

import psycopg2
import pytest
from hypothesis import HealthCheck, Phase
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)
from psycopg2 import extensions
from simpycity.core import Raw
from support import PATIENCE, end_session, fork, in_use, until

import simpycity_template
from simpycity_template import PoolTimeout, TransactionLost, get_manager
from simpycity_template.middleware import ManagerMiddleware

pytestmark = pytest.mark.slow(seconds=30)

PACKAGE = os.path.dirname(simpycity_template.__file__)

STEPS = 10_000
STEPS_PER_RUN = 50
SOAK_MINUTES = float(os.environ.get("SOAK_MINUTES", 0))

insert = Raw(
    "INSERT INTO kept VALUES (%s, %s) RETURNING pg_backend_pid(), true,"
    " current_setting('machine.prepared', true), current_setting('machine.tenant', true)",
    ["run", "n"],
)

BOOLEAN = 16
PREPARED = extensions.new_type((BOOLEAN,), "PREPARED", lambda value, cursor: "prepared")
SPOILT = extensions.new_type((BOOLEAN,), "SPOILT", lambda value, cursor: "spoilt")


class Proxy:
    """What a monitoring agent's ``psycopg2.connect()`` returns."""

    connect = staticmethod(psycopg2.connect)

    def __init__(self, *args, **kwargs):
        self.__dict__["wrapped"] = self.connect(*args, **kwargs)

    def __getattr__(self, name):
        return getattr(self.wrapped, name)

    def __setattr__(self, name, value):
        setattr(self.wrapped, name, value)


class Limit(Exception):
    """A time limit, which a signal raises."""


def under_limit(seconds, work):
    """Do ``work`` in the main thread, with a limit that raises ``Limit`` in it or after it."""
    arrived = []

    def limit(number, frame):
        if drops_what_is_raised(frame):
            signal.setitimer(signal.ITIMER_REAL, 0.001)
        else:
            arrived.append("".join(traceback.format_stack(frame)))
            raise Limit

    handler = signal.signal(signal.SIGALRM, limit)
    # That of pytest-timeout, as a rule.
    timer = signal.getitimer(signal.ITIMER_REAL)
    try:
        signal.setitimer(signal.ITIMER_REAL, seconds)
        work()
        while not arrived:
            sleep(0.001)
        raise AssertionError(f"a limit was dropped:\n{arrived[0]}")
    finally:
        signal.signal(signal.SIGALRM, handler)
        signal.setitimer(signal.ITIMER_REAL, *timer)


def drops_what_is_raised(frame):
    """Whether somebody else drops what a signal raises in a frame.

    psycopg2 does while it decodes a notice of the server, and Python in a destructor, of which none of
    ours may run here.
    """
    while frame is not None:
        file, name = frame.f_code.co_filename, frame.f_code.co_name
        if file == utf_8.__file__ or (name == "__del__" and not file.startswith(PACKAGE)):
            return True
        frame = frame.f_back
    return False


class Worker:
    """A thread that does what it is told, and the model of its scopes."""

    def __init__(self):
        self.tasks = queue.SimpleQueue()
        self.thread = threading.Thread(target=self.work)
        self.thread.start()
        self.scopes = [Expected()]
        self.streams = []

    def work(self):
        while True:
            task, outcome = self.tasks.get()
            if task is None:
                return
            try:
                outcome.put((task(), None))
            except SystemExit:
                raise
            except BaseException as error:
                outcome.put((None, error.with_traceback(None)))
            # What a thread still refers to when it ends is no concern of a dead thread's scope.
            del task, outcome

    def entered(self):
        """Note that its thread enters a scope, and keeps one of those that ended elsewhere."""
        while self.scopes[-1].ended and self.scopes[-2].ended:
            del self.scopes[-2]

    def innermost_block(self):
        """The innermost of its scopes that are blocks which nobody has ended; None where none is."""
        return next((expected for expected in reversed(self.scopes) if expected.block), None)

    def do(self, task):
        outcome = queue.SimpleQueue()
        self.tasks.put((task, outcome))
        result, error = outcome.get(timeout=PATIENCE)
        try:
            if error is not None:
                raise error
            return result
        finally:
            del error  # its traceback refers to this frame

    def end(self):
        self.tasks.put((None, None))
        self.thread.join()


class Expected:
    """What is expected of one scope."""

    def __init__(self, block=None):
        self.block = block
        self.ended = False  # in another thread
        self.freed()

    def freed(self):
        self.pool = None  # the one that it has a connection of
        self.session = None
        self.pending = []
        self.killed = False  # and nobody has noticed
        self.lost = False
        self.spoilt = False


class Stream:
    def __init__(self, expected):
        self.expected = expected
        self.body = None


class ManagerMachine(RuleBasedStateMachine):
    runs = count(1)

    def __init__(self, manager, dsn, link):
        super().__init__()
        self.manager, self.dsn, self.link = manager, dsn, link
        self.run, self.numbers = next(self.runs), count(1)
        self.committed = set()
        self.pool = 0
        self.settings = count()
        self.aged = set()
        self.workers = [Worker() for _ in range(3)]
        self.begins = self.hands_out = False
        manager.listen("connect", self.prepare)
        self.configure(2, 2)

    # --- what listens ---

    @initialize(agent=st.booleans(), begins=st.booleans(), hands_out=st.booleans())
    def listen(self, agent, begins, hands_out):
        self.begins, self.hands_out = begins, hands_out
        if begins:
            self.manager.listen("begin", self.prepare_transaction)
        if agent:
            psycopg2.connect = Proxy

    def prepare(self, event):
        event.execute("SET machine.prepared = 'yes'")
        event.execute("COMMIT")
        if self.hands_out:
            event.connection.string_types[BOOLEAN] = PREPARED

    def prepare_transaction(self, event):
        event.execute("SELECT set_config('machine.tenant', %s, true)", [str(self.run)])

    def prepared(self, expected):
        """What a row of ``insert`` has to say of a connection, after the session."""
        boolean = "prepared" if self.hands_out else True
        tenant = str(self.run) if self.begins else None
        return ["spoilt" if expected.spoilt else boolean, "yes", tenant]

    # --- the model ---

    def all_expected(self):
        for worker in self.workers:
            yield from worker.scopes
            yield from (stream.expected for stream in worker.streams)

    def taken(self):
        return [expected for expected in self.all_expected() if expected.pool == self.pool]

    def configure(self, pool_size, max_overflow):
        given = {"pool_size": pool_size, "max_overflow": max_overflow, "pool_timeout": 0}
        number = next(self.settings)
        given |= {"dsn": self.dsn, "hold_warning": number % 2}
        given["pool_reset"] = ["rollback", "discard"][number // 2 % 2]
        self.manager.configure({f"simpycity.{key}": given[key] for key in given})
        self.limit = pool_size + max_overflow
        self.all_closed()

    def all_closed(self):
        self.pool += 1
        for expected in self.all_expected():
            if expected.pending:
                expected.lost = True
            elif not expected.lost:
                expected.freed()

    def insert(self, expected, do):
        """``do(n)`` inserts in the scope of ``expected``; see that it ends as it must."""
        n = next(self.numbers)
        if expected.lost or expected.ended:
            with pytest.raises(TransactionLost):
                do(n)
        elif expected.pool is None and len(self.taken()) == self.limit:
            with pytest.raises(PoolTimeout):
                do(n)
        elif expected.killed and expected.pending:
            with pytest.raises(psycopg2.OperationalError) as error:
                do(n)
            assert not isinstance(error.value, TransactionLost)
            # Its traceback refers to this frame, and without the garbage collector for ever.
            del error
            expected.lost = True
        else:
            if expected.killed:
                # It gets another connection.
                expected.spoilt = False
            expected.session, *prepared = do(n)
            assert prepared == self.prepared(expected)
            assert expected.session not in self.aged
            expected.pool, expected.killed = self.pool, False
            expected.pending.append(n)

    def commit(self, expected, do):
        if expected.ended:
            with pytest.raises(TransactionLost):
                do()
        elif expected.lost or (expected.killed and expected.pending):
            with pytest.raises(TransactionLost):
                do()
            expected.lost = True
        else:
            do()
            self.committed |= set(expected.pending)
            expected.pending = []

    def in_scope(self, n):
        return insert(self.run, n).fetchone()

    # --- what may happen ---

    workers_ = st.integers(0, 2)

    @rule(worker=workers_)
    def insert_a_row(self, worker):
        worker = self.workers[worker]
        self.insert(worker.scopes[-1], lambda n: worker.do(lambda: self.in_scope(n)))

    @rule(worker=workers_)
    def commit_the_scope(self, worker):
        worker = self.workers[worker]
        self.commit(worker.scopes[-1], lambda: worker.do(self.manager.commit))

    @rule(worker=workers_, fails=st.booleans())
    def insert_in_a_block(self, worker, fails):
        worker = self.workers[worker]
        expected = worker.scopes[-1]
        was_lost = expected.lost

        def block(n):
            with suppress(ZeroDivisionError), self.manager.transaction():
                row = self.in_scope(n)
                if fails:
                    raise ZeroDivisionError
            return row

        self.insert(expected, lambda n: worker.do(lambda: block(n)))
        if expected.lost and not was_lost:
            # The block has told it, and rolled back.
            expected.freed()
        elif expected.pool == self.pool and not expected.lost:
            if not fails:
                self.committed |= set(expected.pending)
            expected.pending = []

    @rule(worker=workers_)
    def roll_the_scope_back(self, worker):
        worker = self.workers[worker]
        expected = worker.scopes[-1]
        if expected.ended:
            with pytest.raises(TransactionLost):
                worker.do(self.manager.rollback)
            return
        worker.do(self.manager.rollback)
        if expected.lost or (expected.killed and expected.pending):
            expected.freed()
        expected.pending = []

    @rule(worker=workers_)
    def clean_up(self, worker):
        worker = self.workers[worker]
        worker.do(self.manager.cleanup)
        if worker.scopes[-1].ended:
            worker.scopes.pop()
        else:
            worker.scopes[-1].freed()

    @rule(worker=workers_, label=st.text(max_size=5))
    def begin_a_scope(self, worker, label):
        worker = self.workers[worker]
        block = self.manager.scope(label)
        worker.do(block.__enter__)
        worker.entered()
        worker.scopes.append(Expected(block))

    @rule(worker=workers_)
    def end_a_scope(self, worker):
        worker = self.workers[worker]
        expected = worker.innermost_block()
        if expected:
            worker.do(lambda: expected.block.__exit__(None, None, None))
            worker.scopes.remove(expected)

    @rule(worker=workers_, other=workers_)
    def end_a_scope_in_another_thread(self, worker, other):
        expected = self.workers[worker].innermost_block()
        if expected and other != worker:
            self.workers[other].do(lambda: expected.block.__exit__(None, None, None))
            expected.freed()
            expected.block, expected.ended = None, True

    @rule(worker=workers_)
    def change_the_connection(self, worker):
        worker = self.workers[worker]
        expected = worker.scopes[-1]

        def change():
            self.manager.handle().conn.string_types[BOOLEAN] = SPOILT

        if expected.pool == self.pool and not expected.lost and not expected.killed:
            worker.do(change)
            expected.spoilt = True

    @rule()
    def let_the_idle_connections_grow_old(self):
        pool = self.manager.current.pool
        for connection in list(pool._idle) if pool else ():
            connection.expires = 0.0
            self.aged.add(connection.backend_pid)

    @rule(delay=st.floats(1e-6, 0.003), commits=st.booleans())
    def a_limit_at_any_moment(self, delay, commits):
        numbers = next(self.numbers), next(self.numbers)

        def work():
            with suppress(PoolTimeout), self.manager.scope("limited"):
                with self.manager.transaction() if commits else nullcontext():
                    for number in numbers:
                        self.in_scope(number)

        with pytest.raises(Limit):
            under_limit(delay, work)
        # It may have come before a block has begun to end.
        self.manager.cleanup()
        found = "SELECT n FROM kept WHERE run = %s AND n IN %s"
        rows = {n for (n,) in self.ask(found, self.run, numbers)}
        assert rows in (set(), set(numbers) if commits else set())
        self.committed |= rows

    @rule(worker=workers_, thirds=st.integers(0, 2))
    def end_a_thread(self, worker, thirds):
        if thirds == 0:
            self.workers[worker].end()
            # A thread's streams can live on elsewhere; here they go with it.
            self.workers[worker].streams.clear()
            self.workers[worker] = Worker()

    @rule(number=st.integers(0, 20))
    def kill_a_session_in_use(self, number):
        taken = [expected for expected in self.taken() if not expected.lost]
        if taken:
            expected = taken[number % len(taken)]
            self.kill(expected.session)
            expected.killed = True

    @rule(number=st.integers(0, 20))
    def kill_an_idle_session(self, number):
        idle = [entry for entry in self.manager.status() if entry.state == "idle"]
        if idle:
            self.kill(idle[number % len(idle)].backend_pid)

    def kill(self, session):
        end_session(self.link, session)

    @rule(worker=workers_)
    def begin_a_stream(self, worker):
        worker = self.workers[worker]

        def application(environ, start_response):
            command = yield
            while True:
                command = yield command()

        def begin():
            # What the server of this thread has forgotten to close is closed now.
            environ = {"REQUEST_METHOD": "GET", "PATH_INFO": "/"}
            return ManagerMiddleware(application, self.manager)(environ, None)

        stream = Stream(Expected())
        for forgotten in worker.streams:
            forgotten.expected.freed()
        worker.streams = [stream]
        worker.entered()
        stream.body = worker.do(begin)
        worker.do(lambda: next(stream.body))

    @rule(worker=workers_, finish=st.booleans())
    def send_a_piece(self, worker, finish):
        worker = self.workers[worker]
        if worker.streams:
            (stream,) = worker.streams

            def send(command):
                # As its next(), with a word to the generator.
                generator = stream.body._body

                class Told:
                    def __iter__(self):
                        return self

                    def __next__(self):
                        return generator.send(command)

                stream.body._iterator = Told()
                return next(stream.body)

            worker.entered()
            try:
                self.insert(
                    stream.expected,
                    lambda n: worker.do(lambda: send(lambda: self.in_scope(n))),
                )
                if finish and not stream.expected.lost and stream.expected.pool:
                    self.commit(
                        stream.expected, lambda: worker.do(lambda: send(self.manager.commit))
                    )
            finally:
                if stream.expected.lost or stream.expected.pool is None:
                    # It raised, so nothing more of it will be sent.
                    worker.streams = []

    @rule(worker=workers_, elsewhere=st.booleans())
    def drop_a_stream(self, worker, elsewhere):
        worker = self.workers[worker]
        if worker.streams:
            stream = worker.streams.pop()
            if elsewhere:
                del stream.body
            else:
                worker.entered()
                worker.do(stream.body.close)

    @rule(worker=workers_, commits=st.booleans(), thirds=st.integers(0, 2))
    def fork(self, worker, commits, thirds):
        worker, n = self.workers[worker], next(self.numbers)
        # It takes ten times as long as another step.
        if worker.scopes[-1].ended or thirds:
            return
        reader, writer = os.pipe()

        def child():
            os.close(writer)
            assert self.manager.status() == []
            self.in_scope(n)
            os.read(reader, 1)  # until the parent has spoken, too
            if commits:
                self.manager.commit()

        child_pid = worker.do(lambda: fork(child))
        try:
            self.insert(worker.scopes[-1], lambda n: worker.do(lambda: self.in_scope(n)))
        finally:
            os.close(writer)
            os.close(reader)
            _, status = os.waitpid(child_pid, 0)
        assert status == 0
        if commits:
            self.committed.add(n)

    @rule(pool_size=st.integers(0, 3), max_overflow=st.integers(1, 2), sixth=st.integers(0, 5))
    def change_the_pool(self, pool_size, max_overflow, sixth):
        if sixth == 0:
            self.configure(pool_size, max_overflow)

    @rule(sixth=st.integers(0, 5))
    def dispose(self, sixth):
        if sixth == 0:
            self.manager.dispose()
            self.all_closed()

    # --- what must hold ---

    @invariant()
    def nobody_shares_a_connection_and_the_limit_holds(self):
        entries = self.manager.status()
        assert len(in_use(self.manager)) == len(self.taken())
        assert len(entries) <= self.limit
        assert len({entry.backend_pid for entry in entries}) == len(entries)
        sessions = [e.session for e in self.taken()]
        assert len(set(sessions)) == len(sessions)

    def ask(self, sql, *arguments):
        with self.link.cursor() as cursor:
            cursor.execute(sql, arguments)
            return cursor.fetchall()

    def teardown(self):
        psycopg2.connect = Proxy.connect
        self.manager.unlisten("connect", self.prepare)
        if self.begins:
            self.manager.unlisten("begin", self.prepare_transaction)
        for worker in self.workers:
            worker.streams.clear()
            worker.end()
        rows = self.ask("SELECT n FROM kept WHERE run = %s", self.run)
        assert sorted(n for (n,) in rows) == sorted(self.committed)
        assert in_use(self.manager) == []
        self.manager.dispose()
        left = "SELECT 1 FROM pg_stat_activity WHERE application_name = 'machine'"
        until(lambda: not self.ask(left))


# A failure is told in the fewest steps that show it, and to find these takes minutes.
@pytest.mark.timeout(0 if SOAK_MINUTES else 900)
def test_any_use_of_a_manager_comes_out_as_the_model_says(dsn, caplog):
    caplog.set_level(logging.CRITICAL, "simpycity_template")
    manager = get_manager("machine")
    link = psycopg2.connect(dsn)
    link.autocommit = True
    link.cursor().execute("CREATE TABLE kept (run int, n int)")
    gc.disable()  # nothing of this is left to the garbage collector
    end = monotonic() + SOAK_MINUTES * 60
    try:
        while True:
            run_state_machine_as_test(
                lambda: ManagerMachine(manager, dsn, link),
                settings=hypothesis_settings(
                    max_examples=STEPS // STEPS_PER_RUN,
                    stateful_step_count=STEPS_PER_RUN,
                    deadline=None,
                    phases=[Phase.generate, Phase.shrink],
                    database=None,
                    suppress_health_check=list(HealthCheck),
                ),
            )
            if monotonic() >= end:
                break
    finally:
        gc.enable()
        link.close()
        manager.dispose()
