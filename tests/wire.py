"""The wire between psycopg2 and the server: counts round trips, keeps statements, adds delay.

As a program it does so in a process of its own: ``python wire.py SECONDS HOST PORT`` prints the
port that it listens on, and ends with its standard input.
"""

import heapq
import select
import socket
import sys
import threading
from contextlib import contextmanager
from itertools import count
from time import monotonic

from psycopg2.extensions import make_dsn, parse_dsn


class Messages:
    """Takes the stream of one direction apart into the messages of PostgreSQL's protocol."""

    def __init__(self, has_startup):
        # The first message of a client has no type.
        self._head = 0 if has_startup else 1
        self._buffer = bytearray()

    def feed(self, data):
        """Yield (type, body) of each message that ``data`` completes."""
        self._buffer += data
        while len(self._buffer) >= self._head + 4:
            end = self._head + int.from_bytes(self._buffer[self._head : self._head + 4], "big")
            if len(self._buffer) < end:
                return
            yield bytes(self._buffer[: self._head]), bytes(self._buffer[self._head + 4 : end])
            del self._buffer[:end]
            self._head = 1


class Wire:
    """A proxy on 127.0.0.1 in front of the server of ``dsn``.

    Attributes:
        dsn: how to reach the same database through it.
        statements: what was sent with the simple protocol, in order.
        round_trips: how often the server said that it is ready for the next request.
        linger: seconds between the last bytes of one side and the end of its line.
    """

    def __init__(self, dsn, delay=0.0):
        """
        Arguments:
            delay: seconds added to each round trip.
        """
        parts = parse_dsn(dsn)
        self._host, self._port = parts["host"], int(parts.get("port") or 5432)
        self._delay = delay / 2
        self.linger = 0.0
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=1000)
        self._peers = {}
        self._pending = []
        self._order = count()
        self._stopped = False
        self.port = self._listener.getsockname()[1]
        self.dsn = make_dsn(
            dsn, host="127.0.0.1", port=self.port, sslmode="disable", gssencmode="disable"
        )
        self.clear()

    def clear(self):
        """Forget what was counted and kept."""
        self.statements = []
        self.round_trips = 0

    def run(self):
        """Carry bytes until ``stop()``."""
        while not self._stopped:
            self._wait()
            while self._pending and self._pending[0][0] <= monotonic():
                _, _, end, target, data = heapq.heappop(self._pending)
                self._send(end, target, data)
        for end in [self._listener, *self._peers]:
            end.close()

    def stop(self):
        """Close all connections."""
        self._stopped = True

    def _wait(self):
        pause = min(0.05, max(0.0, self._pending[0][0] - monotonic())) if self._pending else 0.05
        readable, _, _ = select.select([self._listener, *self._peers], [], [], pause)
        for end in readable:
            if end is self._listener:
                self._accept()
            elif end in self._peers:
                self._receive(end)

    def _accept(self):
        client, _ = self._listener.accept()
        if self._host.startswith("/"):
            server = socket.socket(socket.AF_UNIX)
            server.connect(f"{self._host}/.s.PGSQL.{self._port}")
        else:
            server = socket.create_connection((self._host, self._port))
            server.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._peers[client] = (server, Messages(has_startup=True))
        self._peers[server] = (client, Messages(has_startup=False))

    def _receive(self, end):
        try:
            data = end.recv(65536)
        except OSError:
            data = b""
        target, messages = self._peers[end]
        for kind, body in messages.feed(data):
            if kind == b"Q":
                self.statements.append(body.rstrip(b"\0").decode())
            elif kind == b"Z":
                self.round_trips += 1
        delay = self._delay
        if not data:
            del self._peers[end]
            delay += self.linger
        if delay:
            due = monotonic() + delay
            heapq.heappush(self._pending, (due, next(self._order), end, target, data))
        else:
            self._send(end, target, data)

    def _send(self, end, target, data):
        try:
            if data:
                return target.sendall(data)
        except OSError:
            pass
        for side in (end, target):
            self._peers.pop(side, None)
            side.close()


@contextmanager
def wire(dsn):
    """A ``Wire`` that is carried by a thread of this process."""
    proxy = Wire(dsn)
    thread = threading.Thread(target=proxy.run, daemon=True)
    thread.start()
    try:
        yield proxy
    finally:
        proxy.stop()
        thread.join(10)


def main():
    """Carry bytes with delay until standard input ends."""
    delay, host, port = sys.argv[1:]
    proxy = Wire(make_dsn(host=host, port=port), float(delay))
    print(proxy.port, flush=True)
    threading.Thread(target=lambda: (sys.stdin.read(), proxy.stop()), daemon=True).start()
    proxy.run()


if __name__ == "__main__":
    main()
