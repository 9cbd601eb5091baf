"""A TCP proxy before PostgreSQL that can fail at any message boundary of the protocol.

It knows just enough of the protocol to tell where a message ends: a type byte, which the first
message of a client does not have, and four bytes of length.

It runs in a process of its own, because psycopg2 keeps the interpreter locked while it cancels.
"""

import select
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from multiprocessing import get_context
from multiprocessing.managers import BaseManager

DELAY = 0.02  # seconds


class Proxy:
    """Forwards messages one by one, and fails instead of forwarding the one it is told."""

    def __init__(self, path: str, address: str = "127.0.0.1") -> None:
        """
        Arguments:
            path: the server's socket.
            address: where it listens.
        """
        self._path = path
        self._lock = threading.Lock()
        self._sockets: list[socket.socket] = []
        self._armed = 0
        self.arm()
        self._listener = socket.create_server((address, 0))
        threading.Thread(target=self._accept, daemon=True).start()

    def arm(self, at: int | None = None, action: str = "cut") -> None:
        """Begin to count anew, the messages of connections that are yet to come.

        Arguments:
            at: the number of the message at which to fail, from 0; None is never.
            action: ``cut`` the connection before the message; ``reset`` it, so that also what
                was sent already may be lost; ``drop`` the message; ``half-open`` the connection:
                nothing is forwarded any more; ``delay`` the message.
        """
        with self._lock:
            self._count, self._at, self._action = 0, at, action
            self._armed += 1
            self._fired = False

    def port(self) -> int:
        """The port on which it listens."""
        return self._listener.getsockname()[1]

    def count(self) -> int:
        """How many messages came since ``arm()``, in both directions."""
        return self._count

    def fired(self) -> bool:
        """Whether it has failed since ``arm()``, as it was told."""
        return self._fired

    def forget(self) -> None:
        """Close the connections there have been."""
        with self._lock:
            sockets, self._sockets = self._sockets, []
        for one in sockets:
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
                # Else each message would wait until the client has acknowledged the one before.
                client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                server = socket.socket(socket.AF_UNIX)
                server.connect(self._path)
            except OSError:
                client.close()
                continue
            with self._lock:
                self._sockets += [client, server]
                link = _Link(client, server, self._armed)
            for pump in (
                lambda link=link: self._pump(link, link.client, link.server, first_untyped=True),
                lambda link=link: self._pump(link, link.server, link.client, first_untyped=False),
            ):
                threading.Thread(target=pump, daemon=True).start()

    def _pump(
        self, link: "_Link", source: socket.socket, target: socket.socket, first_untyped: bool
    ) -> None:
        with suppress(OSError):
            for message in _messages(source, first_untyped):
                if link.silent or self._fails(link):
                    continue
                target.sendall(message)
            if not link.silent:
                target.shutdown(socket.SHUT_WR)

    def _fails(self, link: "_Link") -> bool:
        """Whether the message that has come must not be forwarded."""
        with self._lock:
            if link.armed != self._armed:
                # The goodbye of a connection from before.
                return False
            due = self._count == self._at
            self._count += 1
            action = self._action
        if not due:
            return False
        if action == "delay":
            time.sleep(DELAY)
        elif action == "half-open":
            link.silent = True
        elif action in ("cut", "reset"):
            link.cut(hard=action == "reset")
        self._fired = True
        return action != "delay"


class TlsFront:
    """Lets clients speak TLS with a server that cannot, as the embedded one cannot."""

    def __init__(self, path: str, certificate: str) -> None:
        """
        Arguments:
            path: the server's socket.
            certificate: the file of a certificate and its key.
        """
        self._path = path
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(certificate)
        self._listener = socket.create_server(("127.0.0.1", 0))
        threading.Thread(target=self._accept, daemon=True).start()

    def port(self) -> int:
        """Where it listens, on 127.0.0.1."""
        return self._listener.getsockname()[1]

    def _accept(self) -> None:
        while True:
            client, _ = self._listener.accept()
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with suppress(OSError), client, socket.socket(socket.AF_UNIX) as server:
            # The question whether there is TLS has eight bytes, and "S" is yes.
            client.recv(8, socket.MSG_WAITALL)
            client.sendall(b"S")
            server.connect(self._path)
            with self._context.wrap_socket(client, server_side=True) as secure:
                others = {secure: server, server: secure}
                while True:
                    ready = select.select(list(others), [], [])[0]
                    for source in ready:
                        piece = source.recv(65536)
                        if not piece:
                            return
                        others[source].sendall(piece)


class ProxyProcess(BaseManager):
    """Runs proxies in another process: ``with ProxyProcess.new() as process: process.Proxy(…)``."""

    @classmethod
    def new(cls) -> "ProxyProcess":
        """One that is not forked, and so has nothing of this process."""
        return cls(ctx=get_context("spawn"))


ProxyProcess.register("Proxy", Proxy)
ProxyProcess.register("TlsFront", TlsFront)


class _Link:
    """One client's connection to the server."""

    def __init__(self, client: socket.socket, server: socket.socket, armed: int) -> None:
        self.client, self.server, self.armed = client, server, armed
        self.silent = False

    def cut(self, hard: bool) -> None:
        self.silent = True
        if hard:
            # To linger for no second is to reset the connection.
            linger = b"\1\0\0\0\0\0\0\0"
            self.client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        for one in (self.client, self.server):
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
        if hard:
            self.client.close()


def _messages(source: socket.socket, first_untyped: bool) -> Iterator[bytes]:
    """The messages that come from ``source``, each whole, until it ends."""
    received = b""
    header = 0 if first_untyped else 1
    while True:
        while len(received) >= header + 4:
            length = header + int.from_bytes(received[header : header + 4], "big")
            if len(received) < length:
                break
            yield received[:length]
            received = received[length:]
            header = 1
        piece = source.recv(65536)
        if not piece:
            return
        received += piece
