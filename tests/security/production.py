"""Generated projects as they are served in production."""

import http.client
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from projects import change, create, paster, set_up
from support import PATIENCE

# Reads what visitors send in each way that an action may.
ECHO = """
from pylons import request, session

from helloworld.lib.base import BaseController


class EchoController(BaseController):
    def index(self):
        session["text"] = request.params.get("title", "")
        session.save()
        sent = [request.GET, request.POST, request.params, request.cookies, request.languages]
        return repr([list(part) for part in sent]) + (request.referer or "") + request.path

    def login(self):
        session.invalidate()
        session["user"] = "Eve"
        session.save()
        return session.id

    def user(self):
        return session.get("user", "nobody") + session.get("text", "")
"""


def production(folder: Path, server: Any, *variables: str) -> Path:
    """A project with a production.ini and its schema."""
    project = create(folder, "HelloWorld", *variables)
    (project / "helloworld" / "controllers" / "echo.py").write_text(ECHO)
    done = paster("make-config", "HelloWorld", "production.ini", cwd=project)
    assert done.returncode == 0, done.stderr
    change(project / "production.ini", "simpycity.dsn", server.create_database())
    set_up(project, "production.ini")
    return project


def ask(
    address: str, path: str, method: str = "GET", body: bytes | None = None, **headers: str
) -> tuple[int, Any, str]:
    """The status, the headers and the text of an answer; with headers of our own, Host too."""
    connection = http.client.HTTPConnection(urlsplit(address).netloc, timeout=PATIENCE)
    try:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request(method, path, body, named)
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read().decode("utf-8", "replace")
    finally:
        connection.close()
