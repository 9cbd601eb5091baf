"""Behind PgBouncer: many threads, few connections of the server."""

import configparser
import json
import os
import pwd
import shutil
import subprocess
import sys
import threading
from contextlib import ExitStack, contextmanager
from pathlib import Path

import psycopg2
import pytest
from apache import folder_for_all
from psycopg2.extensions import make_dsn, parse_dsn
from serving import HERE, Probe, on_page, running, with_changes
from support import free_port

from simpycity_template import get_manager

PGBOUNCER = shutil.which("pgbouncer", path="/usr/sbin:/usr/bin:/usr/local/bin")

pytestmark = pytest.mark.skipif(not PGBOUNCER, reason="Debian's package pgbouncer is missing")

SERVER_CONNECTIONS = 10  # what the page says, too
PROCESSES, THREADS = 5, 100


def settings_on_page(name):
    """The settings of a block of the page, as a program gives them."""
    parser = configparser.ConfigParser()
    parser.read_string("[app:main]\n" + on_page(name))
    return dict(parser["app:main"])


@contextmanager
def bouncer(server, mode):
    """A PgBouncer in front of a new database."""
    dsn = server.create_database()
    where = parse_dsn(dsn)
    witness = server.connect(where["dbname"])
    with witness.cursor() as cursor:
        cursor.execute("CREATE TABLE visit (page text)")
    probe = Probe(free_port(), dsn, witness)
    with folder_for_all() as folder:
        (folder / "userlist.txt").write_text('"postgres" ""\n')
        changes = {
            "host=/var/run/postgresql dbname=helloworld": f"host={where['host']} "
            f"port={where['port']} user=postgres dbname={where['dbname']}",
            "6432": str(probe.port),
            "/etc/pgbouncer/userlist.txt": str(folder / "userlist.txt"),
            "pool_mode = transaction": f"pool_mode = {mode}",
        }
        # Its socket would be in /tmp.
        configuration = with_changes(on_page("pgbouncer.ini"), changes) + "unix_socket_dir =\n"
        assert f"default_pool_size = {SERVER_CONNECTIONS}\n" in configuration
        (folder / "pgbouncer.ini").write_text(configuration)
        # It refuses to be root, and has to get at the embedded server's socket.
        owner = pwd.getpwuid(Path(where["host"]).stat().st_uid).pw_name
        account = ["--user", owner] if os.geteuid() == 0 else []
        with running([PGBOUNCER, *account, "pgbouncer.ini"], folder, probe.answers, {}):
            yield probe
    witness.close()


def settings_for(probe, *blocks):
    """What the page says for the application, with the port and the user of the test."""
    settings = settings_on_page("behind_pgbouncer.ini")
    for block in blocks:
        settings.update(settings_on_page(block))
    settings["simpycity.dsn"] = make_dsn(
        settings["simpycity.dsn"], port=probe.port, user="postgres"
    )
    return settings


def crowd(probe, settings, scopes):
    """Let several processes with many threads work; returns the most sessions there ever were."""
    command = [
        sys.executable,
        str(HERE / "crowd.py"),
        json.dumps(settings),
        str(THREADS),
        str(scopes),
    ]
    most, done = [0], threading.Event()

    def watch(witness=probe.witness):
        # At least once at the end, when those that worked are connected still.
        while True:
            ended = done.wait(0.05)
            most[0] = max(most[0], len(probe.sessions()))
            if ended:
                break

    with ExitStack() as stack:
        watcher = threading.Thread(target=watch)
        processes = []
        for _ in range(PROCESSES):
            pipe = subprocess.PIPE
            process = subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True)
            stack.callback(process.wait)
            stack.callback(process.kill)
            processes.append(process)
        watcher.start()
        stack.callback(watcher.join)
        stack.callback(done.set)
        for process in processes:
            assert json.loads(process.stdout.readline()) == []
        probe.wait_for_quiet(at_most=SERVER_CONNECTIONS)
    return most[0]


def test_five_hundred_threads_share_ten_connections_a_transaction_at_a_time(server):
    with bouncer(server, "transaction") as probe:
        most = crowd(probe, settings_for(probe), scopes=2)
        assert 1 < most <= SERVER_CONNECTIONS
        assert probe.rows() == {"kept": PROCESSES * THREADS}


def test_five_hundred_threads_share_ten_connections_a_scope_at_a_time(server):
    with bouncer(server, "session") as probe:
        most = crowd(probe, settings_for(probe, "pgbouncer_session.ini"), scopes=2)
        assert 1 < most <= SERVER_CONNECTIONS
        assert probe.rows() == {"kept": PROCESSES * THREADS}


def test_isolation_levels_and_autocommit_are_not_left_to_the_next_transaction(server):
    with bouncer(server, "transaction") as probe:
        manager = get_manager("bounced")
        manager.configure(
            settings_for(probe) | {"simpycity.isolation_level": "serializable"}, default=False
        )

        def level(handle):
            cursor = handle.cursor()
            cursor.execute("SELECT current_setting('transaction_isolation')")
            return cursor.fetchone()[0]

        try:
            with manager.scope("test"):
                assert level(manager.handle()) == "serializable"
                assert level(manager.open(isolation_level=0)) == "read committed"
                manager.open(isolation_level=0).execute("INSERT INTO visit VALUES ('kept')")
            assert probe.rows() == {"kept": 1}
            probe.wait_for_quiet(at_most=SERVER_CONNECTIONS)
        finally:
            manager.dispose()


def test_options_in_the_dsn_are_refused_with_a_word_on_why(server):
    with bouncer(server, "transaction") as probe:
        manager = get_manager("refused")
        settings = settings_for(probe)
        settings["simpycity.dsn"] += " options='-c statement_timeout=1s'"
        manager.configure(settings, default=False)
        with pytest.raises(
            psycopg2.OperationalError, match="unsupported startup parameter: options"
        ):
            manager.open()
        manager.cleanup()
