"""The interactive debugger and the error handler, in the place of WebError's.

Both catch what the application raises, and answer in its place. Tracebacks, the debugger's
pages and the mail are backlash's.
"""

import os
from collections import deque
from html import escape
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qs

from backlash.debugger import DebuggerCore
from backlash.tbtools import Traceback, get_current_traceback
from backlash.utils import RequestContext
from paste.registry import restorer
from paste.util.converters import asbool

from simpycity_template.pylons_py3 import debugger_page, hints
from simpycity_template.pylons_py3.error_mail import MAILED, Mail, addresses
from simpycity_template.pylons_py3.guard import PAGE, Guard, log
from simpycity_template.pylons_py3.restricted import networks, why_not

# As many failed requests the debugger keeps with all their frames; the oldest are forgotten.
KEPT_FAILURES = 20

# Seconds after which to ask again where there was no connection for the request.
RETRY_AFTER = 10

REFUSED = "<p>An error occurred; its traceback is in the log.</p><p>{}</p>"


class EvalException(Guard, DebuggerCore):
    """The debugger: shows the traceback, and evaluates expressions in its frames.

    Only for development: who can see the page can run any code. It is shown to this machine, or to
    those whom ``debug_from`` names; others get a short page, and the log the traceback.

    Arguments:
        application: what is watched.
        global_conf: Paste's, of which ``debug_from`` is read: the addresses and networks, separated
            by spaces, that the debugger is shown to.
        templating_formatters: functions that turn an exception of a template engine into HTML,
            or return None for any other.
        others: WebError's own, for its page.
    """

    def __init__(self, application, global_conf=None, templating_formatters=(), **others):
        # No console that is not tied to an error: its address could be guessed.
        super().__init__(application, console_path=None)
        self.networks = networks("debug_from", (global_conf or {}).get("debug_from", "true"))
        self.formatters = templating_formatters
        self.ini = os.path.basename((global_conf or {}).get("__file__", "development.ini"))
        self.requests = {}
        self.failures: deque[tuple[Traceback, Any]] = deque()

    def __call__(self, environ, start_response):
        # Paste's registry keeps the globals of a failed request where it finds this.
        environ["paste.evalexception"] = environ["weberror.evalexception"] = self
        # What asks the debugger itself, for a frame's source or to evaluate something.
        query = {
            key: values[0] for key, values in parse_qs(environ.get("QUERY_STRING", "")).items()
        }
        response = None
        if "__debugger__" in query and not self.why_not(environ):
            response = self.debugger_response(environ.get("PATH_INFO", ""), query)
        if response is None:
            return self.guarded(environ, start_response)
        status, kind, body = response
        headers = [("Content-Type", kind), ("Content-Length", str(len(body)))]
        start_response(
            f"{status} {HTTPStatus(status).phrase}", [*headers, *debugger_page.headers()]
        )
        return [body]

    def why_not(self, environ):
        """Return why the debugger is not for who asks; empty where it is."""
        return why_not(environ, self.networks, "debug_from in [DEFAULT]")

    def report(self, environ):
        traceback = self.save_traceback(RequestContext({"environ": dict(environ)}))
        log(traceback, environ, environ["wsgi.errors"])
        traceback.hint = hints.of(traceback.exc_value, self.ini)
        if traceback.hint:
            environ["wsgi.errors"].write(f"{traceback.hint}\n")
        restorer.save_registry_state(environ)
        request = restorer.get_request_id(environ)
        self.requests.update((frame.id, request) for frame in traceback.frames)
        self.failures.append((traceback, request))
        if len(self.failures) > KEPT_FAILURES:
            self.forget(*self.failures.popleft())
        return traceback

    def forget(self, traceback, request):
        """Let go of all that is kept of a failed request."""
        for frame in traceback.frames:
            del self.frames[frame.id], self.requests[frame.id]
        del self.tracebacks[traceback.id]
        # Another failure of the same request may have been forgotten before.
        restorer.saved_registry_states.pop(request, None)

    def page(self, traceback, environ):
        refusal = self.why_not(environ)
        if refusal:
            return PAGE.format(REFUSED.format(escape(refusal))), debugger_page.headers()
        formatted = (formatter(traceback.exc_value) for formatter in self.formatters)
        return debugger_page.render(traceback, self.secret, filter(None, formatted), traceback.hint)

    def execute_command(self, command, frame):
        """Evaluate in a frame, with the globals of its request (``request``, ``session``)."""
        request = self.requests.get(frame.id)
        if request in restorer.saved_registry_states:
            restorer.restoration_begin(request)
        try:
            return super().execute_command(command, frame)
        finally:
            restorer.restoration_end()


class ErrorMiddleware(Guard):
    """Answers errors with a short page; the traceback goes to the log, and by mail.

    Arguments:
        application: what is watched.
        global_conf: Paste's, where settings are looked up that are not passed.
        debug: show the traceback on the page.
        error_log: the file to which tracebacks are appended.
        error_message: the text of the page, as HTML.
        error_email: addresses that get the traceback by mail; without any, no mail is sent.
        from_address, smtp_server, smtp_username, smtp_password, smtp_use_tls,
            error_subject_prefix: how the mail is sent.
        others: WebError's own, for its page.
    """

    def __init__(
        self,
        application,
        global_conf=None,
        debug=False,
        error_log=None,
        error_message=None,
        error_email=None,
        from_address=None,
        smtp_server=None,
        smtp_username=None,
        smtp_password=None,
        smtp_use_tls=False,
        error_subject_prefix="",
        **others,
    ):
        conf = global_conf or {}
        self.app = application
        self.debug = asbool(debug)
        self.error_log = error_log
        self.message = error_message or conf.get("error_message") or "An error occurred."
        recipients = addresses(error_email or conf.get("error_email"))
        self.mail = recipients and Mail(
            smtp_server=smtp_server or conf.get("smtp_server") or "localhost",
            from_address=from_address or conf.get("error_from_address") or recipients[0],
            error_email=recipients,
            smtp_username=smtp_username or conf.get("smtp_username"),
            smtp_password=smtp_password or conf.get("smtp_password"),
            smtp_use_tls=asbool(smtp_use_tls or conf.get("smtp_use_tls")),
            error_subject_prefix=error_subject_prefix or "",
        )

    def __call__(self, environ, start_response):
        return self.guarded(environ, start_response)

    def report(self, environ):
        mailed = {key: environ[key] for key in MAILED if key in environ}
        traceback = get_current_traceback(skip=1, context=RequestContext({"environ": mailed}))
        errors = environ["wsgi.errors"]
        log(traceback, environ, errors)
        try:
            if self.error_log:
                with open(self.error_log, "a", encoding="utf-8") as file:
                    log(traceback, environ, file)
            if self.mail:
                self.mail.report(traceback)
        except Exception as error:
            # The visitor gets the answer all the same.
            errors.write(f"The error above could not be reported: {error}\n")
        return traceback

    def page(self, traceback, environ):
        text = f"<p>{self.message}</p>"
        page = PAGE.format(f"<pre>{escape(traceback.plaintext)}</pre>" if self.debug else text)
        return page, []

    def status(self, error):
        if getattr(error, "is_busy", False) and not self.debug:
            # It is not broken but busy, which load balancers and crawlers treat otherwise.
            return "503 Service Unavailable", [("Retry-After", str(RETRY_AFTER))]
        return super().status(error)


def make_eval_exception(app, global_conf, **options):
    """Wrap an application in the debugger; ``egg:WebError#evalerror``."""
    return EvalException(app, global_conf, **options)


def make_error_middleware(app, global_conf, **options):
    """Wrap an application in the error handler; ``egg:WebError#error_catcher``."""
    return ErrorMiddleware(app, global_conf, **options)


def make_general_exception(app, global_conf, interactive=False, **options):
    """Wrap an application in the one or the other; ``egg:WebError#main``."""
    make = make_eval_exception if asbool(interactive) else make_error_middleware
    return make(app, global_conf, **options)
