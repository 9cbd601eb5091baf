"""``/_connections``: a live page for development that shows where the connections are.

It needs no connection of the pool, so it answers when the pool is exhausted. What PostgreSQL knows
of other processes it asks on a connection of its own, opened for each look. Nothing of a user's
data is shown: statements come without their values, and the page's script writes texts, never HTML.
"""

import json
import secrets
from collections.abc import Callable, Iterable
from dataclasses import asdict
from functools import cache
from importlib.resources import files
from time import monotonic, time
from typing import Any

import psycopg2

from simpycity_template.manager import Manager
from simpycity_template.monitoring.history import MINUTES, History, history_of
from simpycity_template.monitoring.pg_sessions import application_name, connect, masked, sessions
from simpycity_template.pool.call_site import from_here
from simpycity_template.pylons_py3.restricted import why_not

PATH = "/_connections"

Response = tuple[str, str, bytes, str]


class StatusPage:
    """WSGI middleware: shows the page where ``simpycity.status_page`` is on, to whom it says.

    Put it outermost: it must not wait for what it shows.
    """

    def __init__(self, application: Callable[..., Iterable[bytes]], manager: Manager) -> None:
        """
        Arguments:
            application: everything else goes there.
            manager: whose connections are shown; it must have been configured.

        Raises:
            RuntimeError: it was not.
        """
        if manager.settings is None:
            raise RuntimeError(
                f"StatusPage was given manager {manager.name!r} before its configure(config)"
            )
        self.application = application
        self.manager = manager
        self._networks = manager.settings.status_page
        self._history = history_of(manager) if self._networks else None

    def __call__(
        self, environ: dict[str, Any], start_response: Callable[..., Any]
    ) -> Iterable[bytes]:
        """The WSGI call."""
        path = environ.get("PATH_INFO", "")
        if self._history is None or path not in (PATH, f"{PATH}.json"):
            return self.application(environ, start_response)
        status, kind, body, policy = self._respond(environ, path, self._history)
        headers = [
            ("Content-Type", f"{kind}; charset=utf-8"),
            ("Content-Length", str(len(body))),
            ("Content-Security-Policy", policy),
            ("Cache-Control", "no-store"),
            ("X-Content-Type-Options", "nosniff"),
            ("Referrer-Policy", "no-referrer"),
        ]
        start_response(status, headers)
        return [] if environ["REQUEST_METHOD"] == "HEAD" else [body]

    def _respond(self, environ: dict[str, Any], path: str, history: History) -> Response:
        nothing = "default-src 'none'"
        if environ["REQUEST_METHOD"] not in ("GET", "HEAD"):
            return "405 Method Not Allowed", "text/plain", b"This page can only be read.\n", nothing
        refusal = why_not(environ, self._networks, "simpycity.status_page", any_name=True)
        if refusal:
            return "403 Forbidden", "text/plain", f"{refusal}\n".encode(), nothing
        if path == PATH:
            nonce = secrets.token_urlsafe(16)
            policy = (
                f"{nothing}; script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'; "
                "connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; "
                "frame-ancestors 'none'"
            )
            page = _page().replace("NONCE", nonce)
            # As JSON has it, but for what would end the element that it stands in.
            first = json.dumps(snapshot(self.manager, history)).replace("<", "\\u003c")
            return "200 OK", "text/html", page.replace("FIRST", first).encode(), policy
        document = json.dumps(snapshot(self.manager, history))
        return "200 OK", "application/json", document.encode(), nothing


def snapshot(manager: Manager, history: History) -> dict[str, Any]:
    """All that the page shows, as JSON has it; times in seconds."""
    now = monotonic()
    metrics = asdict(manager.metrics())
    del metrics["hold_seconds"]
    connections = [asdict(entry) for entry in manager.status()]
    for entry in connections:
        if entry["state"] == "in use":
            entry["place"] = from_here(entry["place"])
            entry["now_at"] = from_here(entry["now_at"] or "")
            entry["last_sql"] = masked(entry["last_sql"] or "")
    return {
        "name": manager.name,
        "time": time(),
        "metrics": metrics,
        "connections": connections,
        "waiting": [
            {
                "label": holder.label,
                "thread": holder.thread,
                "place": from_here(holder.place),
                "seconds": now - holder.since,
            }
            for holder in manager.waiting()
        ],
        "waits": [{**asdict(wait), "place": from_here(wait.place)} for wait in history.waits()],
        "minutes": MINUTES,
        "seconds": history.seconds(),
        **_elsewhere(manager, {entry["backend_pid"] for entry in connections}),
    }


def _elsewhere(manager: Manager, ours: set[int]) -> dict[str, Any]:
    """What PostgreSQL knows: of our sessions who blocks them, and the sessions of others."""
    try:
        dsn = manager.dsn()
        link = connect(dsn)
        try:
            found = sessions(link, application_name(dsn, manager.name))
        finally:
            link.close()
    except (psycopg2.Error, RuntimeError) as error:
        # The embedded server may not start.
        return {"problem": f"PostgreSQL does not answer: {str(error).strip()}", "sessions": []}
    entries = [
        {**asdict(session), "here": session.pid in ours, "hidden": session.hidden}
        for session in found
    ]
    for entry in entries:
        if entry["holder"]:
            entry["holder"]["place"] = from_here(entry["holder"]["place"])
    return {"problem": None, "sessions": entries}


@cache
def _page() -> str:
    return (
        files("simpycity_template.monitoring")
        .joinpath("status_page.html")
        .read_text(encoding="utf-8")
    )
