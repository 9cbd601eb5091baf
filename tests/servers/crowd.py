"""One of several processes with many threads: python crowd.py SETTINGS THREADS SCOPES.

SETTINGS is JSON, THREADS how many work at the same time, SCOPES what each does one after the other.
Every second one commits its row, the others leave theirs. Prints how many failed in some way.
"""

import json
import sys
import threading
import traceback

from simpycity.core import Raw

from simpycity_template import get_manager

settings, threads, scopes = json.loads(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
manager = get_manager("crowd")
manager.configure(settings)
session = Raw("SELECT pg_backend_pid() AS pid")
insert = Raw("INSERT INTO visit (page) VALUES (%s)", ["page"])
set_name = Raw("SELECT set_config('application_name', %s, true)", ["name"])
name = Raw("SELECT current_setting('application_name') AS name")
failures = []


def work():
    for number in range(scopes):
        try:
            with manager.scope("crowd"):
                # One transaction is one session, and what it set locally is its own.
                mine = f"{threading.get_ident()} {number}"
                set_name(mine)
                first = session().fetchone()["pid"]
                insert("kept" if number % 2 else "forgotten")
                assert session().fetchone()["pid"] == first
                assert name().fetchone()["name"] == mine
                if number % 2:
                    manager.commit()
                    assert name().fetchone()["name"] != mine
        except Exception:
            failures.append(traceback.format_exc())


crowd = [threading.Thread(target=work) for _ in range(threads)]
for thread in crowd:
    thread.start()
for thread in crowd:
    thread.join()
print(json.dumps(failures[:3]), flush=True)
# Idle now, and connected still, until the witness has looked.
sys.stdin.read()
