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

# What belongs to a server.
OF_SERVER = ("connection", "content-length", "server", "transfer-encoding", "via")


def native(data):
    """Return bytes as WSGI has them."""
    return data if PYTHON_2 else data.decode("latin-1")


def make_environ(request, cookies):
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
    for name, value in headers_of(request, cookies):
        key = str(name.upper().replace("-", "_"))
        key = key if key == "CONTENT_TYPE" else "HTTP_" + key
        environ[key] = native(value if isinstance(value, bytes) else value.encode("utf-8"))
    return environ


def headers_of(request, cookies):
    """Return the names and values of a request's headers."""
    headers = dict(request.get("headers", {}))
    if request.get("jar") in cookies:
        headers["Cookie"] = cookies[request["jar"]]
    if "sessions" in request:
        headers["Sessions"] = request["sessions"]
    return headers.items()


def call(application, request, cookies):
    """Return the answer to a request."""
    environ = make_environ(request, cookies)
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
    keep(cookies, request.get("jar"), headers)
    return as_answer(status, headers, data)


def keep(cookies, jar, headers):
    """Keep the cookies of an answer in a jar, if there is one."""
    for name, value in headers:
        if jar and name.lower() == "set-cookie":
            cookies[jar] = value.split(";")[0]


def as_answer(status, headers, data):
    """Return an answer as it is recorded."""
    text = data.decode("latin-1")
    if "Server Error" in text:
        # Its page is another one.
        return {"status": status, "error": True}
    names = sorted([name.lower(), changeless(name.lower(), value)] for name, value in headers)
    return {
        "status": status,
        "headers": [one for one in names if one[0] not in OF_SERVER],
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


def make_applications():
    """Return an application that hands each request to the one that keeps its sessions as it asks."""
    applications = {}

    def application(environ, start_response):
        sessions = environ.pop("HTTP_SESSIONS", "memory")
        if sessions not in applications:
            applications[sessions] = make_application(sessions)
        return applications[sessions](environ, start_response)

    return application


def answers(requests):
    """Return the answers to requests, one after the other."""
    application = make_applications()
    cookies = {}
    return [call(application, request, cookies) for request in requests]


def listen(name):
    """Serve the application by Paste's server or by waitress, and print the port."""
    application = make_applications()
    if name == "paste":
        from paste.httpserver import serve

        server = serve(application, port=0, start_loop=False)
        port, run = server.server_port, server.serve_forever
    else:
        from waitress import create_server

        server = create_server(application, host="127.0.0.1", port=0, threads=1)
        port, run = server.effective_port, server.run
    sys.stdout.write(str(port) + "\n")
    sys.stdout.flush()
    run()


if __name__ == "__main__" and sys.argv[1:]:
    listen(sys.argv[1])
elif __name__ == "__main__":
    read = sys.stdin.read()
    json.dump(answers(json.loads(read.decode("utf-8") if PYTHON_2 else read)), sys.stdout)
