"""Celery: real workers, prefork and threads, with a broker on disk."""

import json
from contextlib import contextmanager

import psycopg2
import pytest
from celery import Celery
from celery.signals import task_postrun, task_prerun
from pages import block, typed
from simpycity.core import Raw
from support import backend, in_use
from waiting import eventually

from simpycity_template.frameworks.celery import scope_tasks

pytestmark = pytest.mark.slow(seconds=20)

PAGE = "docs/frameworks/celery.rst"

# SQLite's patience with the other processes, where the machine is busy.
PATIENT = """
broker_transport_options = {"connect_args": {"timeout": 300}}
result_backend += "?timeout=300"
broker_connection_retry_on_startup = True
"""

# What the page's tasks do not do, and others do.
ROUGH = """
import time
from celery import Task
from notes import *

pid = Raw("SELECT pg_backend_pid()")

class Failing(Task):
    def on_failure(self, *args):
        add("never committed")

@app.task(base=Failing)
def fails():
    add("never committed")
    1 / 0

# Without a result: Celery may store that of an earlier attempt after that of the last.
@app.task(bind=True, max_retries=2, ignore_result=True)
def retries(self):
    if self.request.retries < 2:
        add("never committed")
        raise self.retry(countdown=0.1)
    with manager.transaction():
        add("retried")

@app.task
def unfinished():
    add("never committed")
    return Raw("SELECT count(*) FROM note WHERE body <> 'retried'")().fetchone()[0]

@app.task
def label():
    pid()
    return [entry.label for entry in manager.status() if entry.state == "in use"]

@app.task(soft_time_limit=1)
def limited():
    while True:
        add("never committed")

@app.task
def hangs():
    add("never committed")
    open("hanging", "w").close()
    time.sleep(1000)

# Before the workers are forked.
count()
manager.cleanup()
"""

CLIENT = """
import json, time, rough

notes = rough.Raw("SELECT body, count(*) FROM note GROUP BY body")

def results(sent):
    return [repr(result.get(timeout=300, interval=0.05, propagate=False)) for result in sent]

@rough.manager.scope("look")
def stored():
    return dict(map(tuple, notes()))

def work():
    created = results([rough.create.delay("milk") for _ in range(6)])
    for _ in range(6):
        rough.retries.delay()
    ended = {
        task.__name__: results([task.delay() for _ in range(6)])
        for task in (rough.fails, rough.unfinished)
    }
    deadline = time.monotonic() + 300
    while stored().get("retried") != 6 and time.monotonic() < deadline:
        time.sleep(0.05)
    label = rough.label.delay()
    ended["labelled"] = f"rough.label[{label.id}]" in label.get(timeout=300)
    ended["created"] = max(map(int, created))
    ended["stored"] = stored()
    print(json.dumps(ended), flush=True)

if __name__ == "__main__":
    work()
"""

# Afterwards, the limit of a task that goes on for ever.
LIMIT = """
before = stored()
(ended,) = results([rough.limited.delay()])
print(ended, stored() == before)
"""

# The threads pool, with its broker and its results in memory: all in one process. Such a broker is
# asked for new tasks by the clock; once a second is not often enough here.
THREADS = """
import rough
from celery.contrib.testing.worker import start_worker
from client import work

rough.app.conf.update(
    broker_url="memory://", broker_transport_options={"polling_interval": 0.05},
    result_backend="cache+memory://",
)
with start_worker(rough.app, pool="threads", concurrency=4, perform_ping_check=False):
    work()
    input()
"""

# Revoking needs a broker that can tell all workers, so this one is in memory. A prefork worker
# reads it in its parent process.
REVOKE = """
import os, time, rough
from celery import uuid
from celery.contrib.testing.worker import start_worker

rough.app.conf.update(
    broker_url="memory://", broker_transport_options={"polling_interval": 0.05}
)
with start_worker(
    rough.app, pool="prefork", concurrency=2, perform_ping_check=False, shutdown_timeout=300
):
    hanging = rough.hangs.delay()
    while not os.path.exists("hanging"):
        time.sleep(0.05)
    # The worker knows that it is revoked before it gets it.
    revoked = uuid()
    rough.app.control.revoke(
        [hanging.id, revoked], terminate=True, reply=True, limit=1, timeout=300
    )
    later = rough.create.apply_async(("never stored",), task_id=revoked)
    for result in (hanging, later):
        print(type(result.get(timeout=300, interval=0.05, propagate=False)).__name__)
    print(rough.unfinished.delay().get(timeout=300, interval=0.05, disable_sync_subtasks=False))
"""


@pytest.fixture
def project(make_project, note):
    project = make_project("celery")
    project.write("celeryconfig.py", project.read("celeryconfig.py") + PATIENT)
    project.write("rough.py", ROUGH)
    return project


@contextmanager
def worker(project, name="celery_worker", *options):
    # Celery asks root, who runs the tests in a container, whether that is meant.
    project.environment["C_FORCE_ROOT"] = "true"
    (command,) = typed(block(PAGE, name))
    celery = ["-m", *command.replace("notes", "rough").split(), "--loglevel=INFO", *options]
    celery += ["--without-gossip", "--without-mingle", "--without-heartbeat"]
    with project.start(*celery) as (process, log):
        eventually(lambda: " ready." in log.read_text() or process.poll() is not None)
        assert process.poll() is None, log.read_text()
        yield log


def check(ended):
    # Each saw the six that were committed, its own, and nobody else's.
    assert ended == {
        "created": 6,
        "labelled": True,
        "fails": ["ZeroDivisionError('division by zero')"] * 6,
        "unfinished": ["7"] * 6,
        "stored": {"milk": 6, "retried": 6},
    }


def test_no_task_of_the_prefork_pool_leaves_a_session_behind(project, sessions):
    project.write("client.py", CLIENT + LIMIT)
    with worker(project, "celery_worker", "--pool=prefork", "--concurrency=4") as log:
        ended, limited = project.run("client.py").splitlines()[-2:]
        check(json.loads(ended))
        assert limited == "SoftTimeLimitExceeded() True"
        assert sessions.are_free()
        assert sessions.are_kept(5), log.read_text()
        assert "without cleanup()" not in log.read_text()
    assert sessions.are_gone()


def test_no_task_of_the_gevent_pool_leaves_a_session_behind(project, sessions):
    pytest.importorskip("psycogreen", reason="needs PyPI's psycogreen and gevent")
    project.write("client.py", CLIENT)
    project.write("rough.py", ROUGH + block(PAGE, "celery_gevent"))
    # gevent changes modules as they are loaded.
    loaded, project.loaded = project.loaded, None
    with worker(project, "celery_gevent_worker") as log:
        project.loaded = loaded
        check(json.loads(project.run("client.py").splitlines()[-1]))
        assert sessions.are_free()
        assert "without cleanup()" not in log.read_text()
    assert sessions.are_gone()


def test_no_task_of_the_threads_pool_leaves_a_session_behind(project, sessions):
    project.write("client.py", CLIENT)
    project.write("threads.py", THREADS)
    with project.start("threads.py") as (process, log):
        eventually(lambda: "created" in log.read_text() or process.poll() is not None)
        printed = [line for line in log.read_text().splitlines() if line.startswith("{")]
        assert printed, log.read_text()
        check(json.loads(printed[0]))
        assert sessions.are_free()
        assert sessions.are_kept(5), log.read_text()
        assert "without cleanup()" not in log.read_text()
        process.kill()
    assert sessions.are_gone()


def test_a_task_ends_with_the_block_that_a_generator_of_it_is_in(manager):
    scope_tasks(manager)
    app = Celery("generators")
    kept = []

    def rows():
        with manager.scope("rows"):
            yield backend()

    @app.task
    def begins():
        kept.append(rows())
        return next(kept[0])

    assert begins.apply().get()
    assert (manager.scopes.current(), in_use(manager)) == (None, [])


def test_a_task_whose_end_was_interrupted_ends_before_the_next_one(manager):
    scope_tasks(manager)
    task = Celery("interrupted", set_as_current=False).task(backend)
    task_prerun.send(sender=task, task=task, task_id="1")
    task()
    # Celery's own receivers, and a time limit may come between any two of them.
    task_prerun.send(sender=task, task=task, task_id="2")
    assert manager.scopes.current().label.endswith("[2]")
    assert in_use(manager) == []
    task_postrun.send(sender=task, task=task, task_id="2")
    assert manager.scopes.current() is None


def test_a_task_whose_beginning_was_interrupted_leaves_nothing_in_use(manager):
    scope_tasks(manager)
    task = Celery("interrupted", set_as_current=False).task(backend)
    # Celery logs what a receiver of its signals raises, and runs the task all the same.
    task()
    task_postrun.send(sender=task, task=task, task_id="1")
    assert in_use(manager) == []


def test_a_lost_write_is_told_of_a_task_that_succeeds_and_of_no_other(make_manager, caplog):
    manager = make_manager(log_lost_writes="true")
    scope_tasks(manager)
    app = Celery("losing")
    with manager.transaction():
        manager.handle().execute("CREATE TABLE note (body text)")

    @app.task
    def write(then):
        manager.handle().execute("INSERT INTO note VALUES ('Milk')")
        if then == "fail":
            raise ZeroDivisionError

    for then in ("fail", "forget"):
        write.apply([then], task_id=then)
    (said,) = [one.getMessage() for one in caplog.records if one.name == "simpycity_template"]
    assert "write[forget]' changed 1 row of note" in said


def test_a_revoked_task_leaves_no_session_behind(project, sessions):
    project.write("revoke.py", REVOKE)
    printed = project.run("revoke.py")
    assert printed.splitlines()[:3] == ["TaskRevokedError", "TaskRevokedError", "1"], printed
    assert sessions.are_gone()


def test_an_eager_task_that_follows_the_page_sees_what_its_caller_has_committed(project):
    project.write("eager.py", "from rough import *\n" + block(PAGE, "celery_eager"))
    project.run("eager.py")


def test_an_eager_task_that_waits_for_its_callers_row_gets_an_error(make_manager):
    manager = make_manager()
    app = Celery("waiting", set_as_current=False)
    app.conf.update(task_always_eager=True, task_eager_propagates=True)
    scope_tasks(manager)
    change = Raw("UPDATE counted SET n = n + 1")

    @app.task
    def work():
        change()

    with manager.scope("caller"):
        Raw("CREATE TABLE counted AS SELECT 0 AS n")()
        manager.commit()
        change()
        with pytest.raises(psycopg2.errors.DeadlockDetected, match="its own thread holds"):
            work.delay()
        manager.commit()
        assert Raw("SELECT n FROM counted")().fetchone()["n"] == 1


def test_an_eager_task_has_a_scope_inside_its_callers(make_manager):
    manager = make_manager()
    app = Celery("eager", set_as_current=False)
    app.conf.update(task_always_eager=True, task_eager_propagates=True)
    for _ in range(2):
        scope_tasks(manager)

    @app.task
    def work(fail):
        manager.handle().execute("SELECT 1")
        seen.append([entry.label for entry in manager.status() if entry.state == "in use"])
        return 1 / (not fail)

    seen = []
    with manager.scope("caller"):
        before = manager.handle().conn.backend_pid
        task = work.delay(fail=False)
        with pytest.raises(ZeroDivisionError):
            work.delay(fail=True)
        assert manager.handle().conn.backend_pid == before
    assert seen[0] == ["caller", f"{work.name}[{task.id}]"]
    assert manager.scopes.current() is None
