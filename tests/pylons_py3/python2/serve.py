"""Answers requests by the application `features`, on Python 2 and 3: reads a JSON list, and writes one.

What changes with each run (times, random numbers) and what the two Pythons write in different
ways is the same in an answer.
"""

import json
import os
import re
import sys
import tempfile
import warnings
from io import BytesIO

warnings.simplefilter("ignore")
PYTHON_2 = sys.version_info[0] == 2
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
if PYTHON_2:
    import site
    from urllib import unquote as unquote_to_bytes

    # So that packages in packages are found.
    for folder in os.environ["PYTHONPATH"].split(os.pathsep):
        site.addsitedir(folder)
else:
    from urllib.parse import unquote_to_bytes

# Their values are other ones each time.
CHANGING = ("date", "etag", "expires", "last-modified", "set-cookie")


def native(data):
    """Return bytes as WSGI has them."""
    return data if PYTHON_2 else data.decode("latin-1")


def make_environ(request):
    """Return the environment of a request."""
    path, _, query = request["url"].partition("?")
    body = request.get("body", "").encode("latin-1")
    environ = {
        "REQUEST_METHOD": str(request.get("method", "GET")),
        "SCRIPT_NAME": "",
        "PATH_INFO": native(unquote_to_bytes(path.encode("latin-1"))),
        "QUERY_STRING": native(query.encode("utf-8")),
        "SERVER_NAME": "localhost",
        "SERVER_PORT": "80",
        "HTTP_HOST": "localhost",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": "127.0.0.1",
        "CONTENT_LENGTH": str(len(body)) if body else "",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": BytesIO(body),
        "wsgi.errors": open(os.devnull, "w"),
        "wsgi.multithread": False,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
    }
    for name, value in request.get("headers", {}).items():
        key = str(name.upper().replace("-", "_"))
        key = key if key == "CONTENT_TYPE" else "HTTP_" + key
        environ[key] = native(value.encode("utf-8"))
    return environ


def call(application, request, cookies):
    """Return the answer to a request."""
    jar = request.get("jar")
    environ = make_environ(request)
    if jar in cookies:
        environ["HTTP_COOKIE"] = cookies[jar]
    started = []
    try:
        body = application(environ, lambda *start: started.append(start))
        # Of text on Python 2, a server writes what is ASCII.
        data = bytes(b"".join(body))
        if hasattr(body, "close"):
            body.close()
    except Exception as error:
        return {"raised": type(error).__name__}
    status, headers = started[-1][:2]
    for name, value in headers:
        if jar and name.lower() == "set-cookie":
            cookies[jar] = value.split(";")[0]
    text = data.decode("latin-1")
    if "Server Error" in text:
        # Its page is another one.
        return {"status": status, "error": True}
    names = sorted([name.lower(), changeless(name.lower(), value)] for name, value in headers)
    return {
        "status": status,
        "headers": [one for one in names if one[0] not in ("content-length", "server")],
        "body": same(text),
    }


def changeless(name, value):
    """Return a header's value, but for what changes."""
    if name in CHANGING:
        return "..."
    return value.decode("latin-1") if isinstance(value, bytes) else value


def same(text):
    """Return a body as both Pythons would write it."""
    try:
        return json.loads(text)
    except ValueError:
        return re.sub(r"\bu('[\w.]*')", r"\1", text)


# How Beaker keeps sessions; the others are in memory.
SESSIONS = {
    "memory": {"type": "memory"},
    "file": {"type": "file"},
    "dbm": {"type": "dbm"},
    "cookie": {"type": "cookie", "validate_key": "valid"},
    "database": {"type": "ext:database", "url": "sqlite:///sessions.db"},
}


def make_application(sessions="memory", full_stack="true"):
    """Return the application.

    Arguments:
        sessions: how its sessions are kept, one of SESSIONS.
        full_stack: whether it answers errors with pages.
    """
    from features.config.middleware import make_app

    folder = tempfile.mkdtemp()
    options = {
        "cache_dir": folder,
        "beaker.session.key": "k",
        "beaker.session.secret": "secret",
        "beaker.cache.type": "memory",
        "full_stack": full_stack,
    }
    for name, value in SESSIONS[sessions].items():
        options["beaker.session." + name] = value.replace("///", "///" + folder + "/")
    return make_app({"debug": "false", "__file__": "/nowhere.ini", "here": folder}, **options)


def answers(requests):
    """Return the answers to requests, one after the other."""
    applications = {}
    cookies = {}
    answered = []
    for request in requests:
        sessions = request.get("sessions", "memory")
        if sessions not in applications:
            applications[sessions] = make_application(sessions)
        answered.append(call(applications[sessions], request, cookies))
    return answered


if __name__ == "__main__":
    read = sys.stdin.read()
    json.dump(answers(json.loads(read.decode("utf-8") if PYTHON_2 else read)), sys.stdout)
