"""A time limit that a signal raises at any moment reaches the work, and nothing is left behind.

Celery's soft limit, RQ's and dramatiq's are such: plain exceptions. Python raises them between any two of
its instructions, also in those that end a scope, and drops what is raised in a destructor.
"""

import json
import signal
import subprocess
import sys

import pytest
from support import PATIENCE

pytestmark = [
    pytest.mark.process,
    pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="this system has no such timer"),
]

SCOPES = 2000

PROGRAM = """
import json, random, signal, sys
from time import perf_counter, sleep
from simpycity.core import Raw
from simpycity_template import get_manager

class SoftTimeLimit(Exception):
    pass

def limit(number, frame):
    global raised
    raised += 1
    raise SoftTimeLimit

def look():
    # A handle that nobody has any more when its function returns.
    manager.open(isolation_level=0).execute("SELECT 1")

def work(commits):
    with manager.scope("task"):
        add(1)
        look()
        if commits:
            with manager.transaction():
                add(2)
        else:
            with manager.scope("nested"):
                add(3)

def under_limit(seconds, commits):
    global caught
    try:
        signal.setitimer(signal.ITIMER_REAL, seconds)
        work(commits)
        signal.setitimer(signal.ITIMER_REAL, 0)
        # One that is already on its way arrives here at the latest.
        for _ in range(3):
            pass
    except SoftTimeLimit:
        caught += 1
        # As a worker does after each task: the limit may come before a block has begun to end.
        manager.cleanup()

dsn, scopes, seed = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
raised = caught = 0
dropped = []
sys.unraisablehook = lambda unraisable: dropped.append(repr(unraisable))
manager = get_manager("limits")
settings = {"dsn": dsn, "pool_size": 2, "max_overflow": 0, "pool_timeout": 60}
manager.configure({f"simpycity.{name}": value for name, value in settings.items()})
add = Raw("INSERT INTO seen VALUES (%s)", ["n"])
with manager.scope("set-up"):
    Raw("CREATE TABLE seen (n int)")()
    manager.commit()
quickest = 1000
for number in range(100):
    began = perf_counter()
    work(number % 2)
    quickest = min(quickest, perf_counter() - began)
signal.signal(signal.SIGALRM, limit)
chance = random.Random(seed)
for number in range(scopes):
    # No shorter than the time to begin, and often later than the end; but a third comes before
    # the end also of a scope that nothing else on the machine holds up.
    under_limit(chance.uniform(1e-6, 3 * quickest), number % 2)
sessions = Raw(
    "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'limits'"
    " AND pid <> pg_backend_pid()"
)

def others():
    with manager.scope("look"):
        return sessions().fetchone()[0]

# The server takes a moment to end those that were closed.
deadline = perf_counter() + 120
while others() > 1 and perf_counter() < deadline:
    sleep(0.05)
with manager.scope("look"):
    # What was committed without its block would be an odd number of rows.
    alone = Raw("SELECT count(*) FILTER (WHERE n = 1) - count(*) FILTER (WHERE n = 2) FROM seen")
    alone = alone().fetchone()[0]
left = others()
now = manager.metrics()
print(json.dumps({
    "raised": raised, "caught": caught, "dropped": dropped, "sessions": left, "alone": alone,
    "left": [now.in_use, now.opening, now.waiting],
}))
"""


def test_no_limit_at_random_moments_is_dropped_and_no_connection_is_left(dsn):
    seed = 20261127
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", PROGRAM, dsn, str(SCOPES), str(seed)],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["raised"] > SCOPES / 10
    # At most one besides that which looked.
    assert found["sessions"] <= 1
    assert found == {
        "raised": found["raised"],
        "caught": found["raised"],
        "dropped": [],
        "sessions": found["sessions"],
        "alone": 0,
        "left": [0, 0, 0],
    }
    assert done.stderr == ""
