"""A network that is cut while a statement is under way: an error, and not a wait without end."""

import os
import shutil
import subprocess
import sys
from contextlib import ExitStack

import pytest
from proxy import Proxy
from psycopg2.extensions import make_dsn, parse_dsn
from support import PATIENCE, until

pytestmark = pytest.mark.process

PROGRAM = """
import sys
import psycopg2
from simpycity.core import Raw
from simpycity_template import get_manager

manager = get_manager("cut")
manager.configure({"simpycity.dsn": sys.argv[1], "simpycity.pool_size": 1, "simpycity.max_overflow": 0})
with manager.scope("before"):
    Raw("SELECT 1")()
    if sys.argv[2] == "before it is sent":
        print("connected", flush=True)
        sys.stdin.readline()
    try:
        Raw("SELECT pg_sleep(1000)")()
    except psycopg2.OperationalError:
        print("broken", flush=True)
print(manager.status(), flush=True)
sys.stdin.readline()
with manager.scope("after"):
    print(Raw("SELECT 'works' AS it")().fetchone()["it"])
"""


REACH = "import socket, sys; socket.create_connection(sys.argv[1:], 5).close()"

# As the defaults, but sooner.
SOONER = {
    "keepalives_idle": 1,
    "keepalives_interval": 1,
    "keepalives_count": 1,
    "tcp_user_timeout": 2000,
}


def is_active(witness, database):
    with witness.cursor() as cursor:
        cursor.execute(
            "SELECT FROM pg_stat_activity WHERE datname = %s AND query LIKE '%%pg_sleep(1000)%%'"
            " AND state = 'active' AND pid <> pg_backend_pid()",
            [database],
        )
        return cursor.fetchall()


@pytest.fixture
def network():
    """A network namespace, and the address of ours in the network between the two."""
    if os.geteuid() or not shutil.which("ip"):
        pytest.skip("needs root and Debian's package iproute2")
    name, number = f"simpycity{os.getpid()}", os.getpid() % 16_000
    ours, theirs = (f"10.213.{number // 64}.{number % 64 * 4 + end}" for end in (1, 2))

    def ip(*command):
        subprocess.run(["ip", *command], check=True, capture_output=True, text=True)

    with ExitStack() as made:
        try:
            ip("netns", "add", name)
            made.callback(ip, "netns", "delete", name)
            link = f"cut{os.getpid()}"
            ip("link", "add", link, "type", "veth", "peer", "name", "there", "netns", name)
            ip("address", "add", f"{ours}/30", "dev", link)
            ip("link", "set", link, "up")
            ip("-n", name, "address", "add", f"{theirs}/30", "dev", "there")
            ip("-n", name, "link", "set", "there", "up")
        except subprocess.CalledProcessError as error:
            pytest.skip(f"network namespaces do not work here: {error.stderr.strip()}")

        class Network:
            address = ours

            def set(self, state):
                ip("link", "set", link, state)

            def command(self, *program):
                return ["ip", "netns", "exec", name, sys.executable, "-c", *program]

        yield Network()


@pytest.mark.parametrize("when", ["before it is sent", "while it waits"])
def test_a_statement_whose_network_is_cut_ends_and_the_next_scope_works(
    network, dsn, witness, when
):
    parts = parse_dsn(dsn)
    proxy = Proxy(f"{parts['host']}/.s.PGSQL.{parts.get('port', 5432)}", network.address)
    through = make_dsn(dsn, host=network.address, port=proxy.port(), sslmode="disable", **SOONER)
    program = subprocess.Popen(
        network.command(PROGRAM, through, when),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        if when == "before it is sent":
            assert program.stdout.readline() == "connected\n"
            network.set("down")
            program.stdin.write("go on\n")
            program.stdin.flush()
        else:
            until(lambda: is_active(witness, parts["dbname"]))
            network.set("down")
        assert program.stdout.readline() == "broken\n"
        assert program.stdout.readline() == "[]\n"
        network.set("up")
        reach = network.command(REACH, network.address, str(proxy.port()))
        until(lambda: not subprocess.run(reach, capture_output=True).returncode)
        out, err = program.communicate("go on\n", timeout=PATIENCE)
        assert (program.returncode, out) == (0, "works\n"), err
    finally:
        program.kill()
        program.communicate()
        proxy.forget()
