"""Closes, in a child process, the sessions that its parent was opening at the moment of the fork.

The child has a copy of their sockets, and the server keeps a session for as long as anybody has one. But
libpq tells of its socket only when the connection is made. So whoever connects notes which sockets there
are before: what is new in the child, and leads to that server, is the half-made session.
"""

import os
import socket
import stat
from collections.abc import Iterator
from contextlib import contextmanager

from simpycity_template.driver.conninfo import given_parameters
from simpycity_template.process import fork
from simpycity_template.process.signals import suppress_own

_DESCRIPTORS = "/dev/fd"
_TCP_TABLES = "/proc/self/net/tcp", "/proc/self/net/tcp6"
_SYN_SENT = "02"

# For each connect under way: the sockets that there were before, and the ports that it may lead to.
_under_way: dict[object, tuple[dict[int, int], set[str]]] = {}


@contextmanager
def half_made(dsn: str) -> Iterator[None]:
    """A block that opens a connection; a child that is forked meanwhile closes its copy.

    Arguments:
        dsn: of the server.
    """
    key = object()
    ports = given_parameters(dsn).get("port") or os.environ.get("PGPORT") or "5432"
    _under_way[key] = _sockets(), {port.strip() or "5432" for port in ports.split(",")}
    try:
        yield
    finally:
        _under_way.pop(key, None)


def _sockets() -> dict[int, int]:
    """The sockets of this process: what each is, by its descriptor."""
    found = {}
    with suppress_own(OSError):
        for name in os.listdir(_DESCRIPTORS):
            # That of the listing itself is gone.
            with suppress_own(OSError):
                status = os.fstat(int(name))
                if stat.S_ISSOCK(status.st_mode):
                    found[int(name)] = status.st_ino
    return found


def _leads_to(descriptor: int, ports: set[str]) -> bool:
    """Whether a socket is connected to PostgreSQL on one of ``ports``, or about to be."""
    with suppress_own(OSError), socket.socket(fileno=os.dup(descriptor)) as copy:
        try:
            peer = copy.getpeername()
        except OSError:
            return _port_in_handshake(descriptor) in ports
        if copy.family in (socket.AF_INET, socket.AF_INET6):
            return str(peer[1]) in ports
        return str(peer).rpartition(".s.PGSQL.")[2] in ports
    return False


def _port_in_handshake(descriptor: int) -> str | None:
    """The port to which a TCP socket is being connected, where the system tells (Linux)."""
    inode = str(os.fstat(descriptor).st_ino)
    for table in _TCP_TABLES:
        with suppress_own(OSError), open(table, encoding="ascii") as lines:
            for line in lines:
                fields = line.split()
                if fields[3] == _SYN_SENT and fields[9] == inode:
                    return str(int(fields[2].rpartition(":")[2], 16))
    return None


def _close_in_child() -> None:
    connects, now = list(_under_way.values()), _sockets() if _under_way else {}
    _under_way.clear()
    for before, ports in connects:
        for descriptor, socket_of in now.items():
            if before.get(descriptor) != socket_of and _leads_to(descriptor, ports):
                # Not closed: libpq's own state in this process still has the number.
                null = os.open(os.devnull, os.O_RDWR)
                os.dup2(null, descriptor)
                os.close(null)


fork.after_in_child(_close_in_child)
