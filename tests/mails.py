"""A mail server of one test."""

from collections.abc import Iterator
from contextlib import contextmanager
from email.message import Message

from aiosmtpd import handlers
from aiosmtpd.controller import Controller
from support import PATIENCE, free_port


class Box(handlers.Message):
    """Keeps the mail that arrives."""

    def __init__(self) -> None:
        super().__init__()
        self.box: list[Message] = []

    def handle_message(self, message: Message) -> None:
        self.box.append(message)


@contextmanager
def smtp_server() -> Iterator[Controller]:
    """Run a mail server on loopback, whose handler keeps what it gets in ``box``."""
    server = Controller(Box(), hostname="127.0.0.1", port=free_port(), ready_timeout=PATIENCE)
    server.start()
    try:
        yield server
    finally:
        server.stop()
