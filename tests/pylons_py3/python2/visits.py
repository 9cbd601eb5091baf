"""Requests of the application `features` that are put to Python 2.7 and to ours."""

import json
import re
import xmlrpc.client
from pathlib import Path

CONTROLLERS = Path(__file__).with_name("features") / "controllers"
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
JSON = {"Content-Type": "application/json"}
BOUNDARY = "BOUND"
MULTIPART = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}

PATHS = """/ /named/1 /old/%C3%B6 /old/a /older/x%20y /older/%E2%82%AC /nope /hello /hello/ /%C3%B6 /%FF
/plain.txt /%C3%B6%20%C3%A4.txt /../x /hello/show/%FF /hello/abort_/401 /hello/abort_/403
/hello/abort_/500 /hello/abort_/410 /items /items/1 /items/new /items/1/edit /items.json
/items/1.json /hello/_private /error/document?code=404&message=x //hello/show/1 /hello//show
/HELLO/show /named/%3Cb%3E /named/a%2Fb /hello/show/a%00b /items/1;edit""".split()
LANGUAGES = ["de", "de-AT, en;q=0.8", "*", "en", "fr;q=0", "x" * 30, "en-us,de;q=0.2,fr;q=0.9"]
TYPES = [
    "text/html", "application/json", "*/*", "text/*;q=0.3, application/json", "image/png",
    "text/html;q=0.1,application/json;q=0.1",
]  # fmt: skip
COOKIES = [
    "a=b", "a=b; c=d", 'a="q\\303\\266"', "a", "a=b;a=c", "\xf6=1", "a=%C3%B6", 'a="x y"', "s=abc",
    "k=forged",
]  # fmt: skip
QUERIES = [
    "a=1&a=2", "a", "a=", "=b", "%C3%B6=%E2%82%AC", "a=%FF", "a=%F6", "a=b;c=d", "a+b=c+d", "a=%00",
    "a=<script>", "\xf6=\xe4", "a=%u1234", "&&", "a=1&b=2&a=3",
]  # fmt: skip
BODIES = [
    "a=1", "a=%C3%B6&a=2", "name=", "name=Bob", "name=B%C3%B6b&age=x", "name=&age=",
    "name-1=a&name=b", "age=5", "name=\xc3\xb6", 'name=<b>"',
]  # fmt: skip
PARTS = [
    [('name="a"', "1")],
    [('name="f"; filename="x.txt"\r\nContent-Type: text/plain', "file")],
    [('name="f"; filename="\xc3\xb6.bin"\r\nContent-Type: application/octet-stream', "\x00\xff")],
    [('name="a"', "\xc3\xb6"), ('name="f"; filename=""', "")],
    [('name="name"', "Bob")],
]
SESSIONS = ["memory", "file", "dbm", "cookie", "database"]
XML_RPC = [
    ("add", (1, 2)), ("add", (1,)), ("add", ("a", "b")), ("nope", ()), ("text", ("\xe4",)),
    ("fail", ()), ("system.listMethods", ()), ("system.methodSignature", ("add",)),
    ("system.methodHelp", ("add",)),
]  # fmt: skip
JSON_RPC = [
    ("add", [1, 2]), ("add", [1]), ("add", [1, 2, 3]), ("type_error", []), ("inner", [1]),
    ("nope", []), ("text", ["\xe4"]), ("fail", []), ("add", {"a": 1, "b": 2}), ("_private", []),
    ("add", ["a", "b"]),
]  # fmt: skip


def requests():
    """Yield all requests: dictionaries with the arguments of `request`."""
    yield from of_controller("hello")
    for path in PATHS:
        yield request(path)
        yield request(path, method="POST")
        yield request(f"{path}?x=1&y=%C3%B6", headers={"Accept-Language": "de,en;q=0.5"})
    yield from methods()
    yield from headers()
    for query in QUERIES:
        for action in ("params", "get_", "req", "page", "iso", "bcached", "url_"):
            yield request(f"/hello/{action}?{query}")
    yield from forms()
    yield from states()
    yield from calls()
    yield from of_controller("more")
    yield from languages()
    for sessions in SESSIONS:
        yield from of_sessions(sessions)
    yield from more_forms()


def of_controller(name):
    """Yield the requests that are made of each action of a controller."""
    for action in re.findall(r"    def (\w+)\(self", (CONTROLLERS / f"{name}.py").read_text()):
        if not action.startswith("__"):
            yield from of_action(f"/{name}/{action}")


def request(url, **more):
    """Make a request.

    Arguments:
        url: the path and the query, quoted.
        more: method, headers, body (each character is a byte), and jar: whose cookies it has.
    """
    return {"url": url, **more}


def of_action(path):
    """Yield the requests that are made of each action."""
    yield request(path)
    yield request(f"{path}/x%20y")
    yield request(f"{path}/%C3%B6")
    yield request(f"{path}?q=%C3%B6&v=<b>&name=N&k=1&a=%F6")
    yield request(path, method="POST", body="name=Bob&age=5&x=%C3%B6&_method=PUT", headers=FORM)
    yield request(path, method="HEAD")
    yield request(path, headers={"Accept": "text/html"})


def methods():
    """Yield requests by other methods, and by forms that name one."""
    for method in ("PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "FOO"):
        for path in ("/items/1", "/hello/method", "/hello/only_post", "/hello/disp"):
            yield request(path, method=method)
    for body in ("_method=PUT", "_method=DELETE", "_method=delete&x=1", "x=%C3%B6"):
        yield request("/items/1", method="POST", body=body, headers=FORM)
        yield request("/items", method="POST", body=body, headers=FORM)


def headers():
    """Yield requests with what browsers say of themselves."""
    for accepted in LANGUAGES:
        yield request("/hello/langs", headers={"Accept-Language": accepted})
    for accepted in TYPES:
        yield request("/hello/best", headers={"Accept": accepted})
        yield request("/hello/match", headers={"Accept": accepted, "Accept-Charset": "utf-8"})
    for cookie in COOKIES:
        for action in ("cookies", "signed", "ses"):
            yield request(f"/hello/{action}", headers={"Cookie": cookie})
    for etag in ('"abc"', '"x"', "*", "abc"):
        yield request("/hello/etag", headers={"If-None-Match": etag})


def forms():
    """Yield forms, with and without files."""
    actions = "post_ params save bsave vsave dsave body_ auth disp only_post".split()
    for body in BODIES:
        for action in actions:
            yield request(f"/hello/{action}", method="POST", body=body, headers=FORM)
    for parts in PARTS:
        body = "".join(
            f"--{BOUNDARY}\r\nContent-Disposition: form-data; {head}\r\n\r\n{value}\r\n"
            for head, value in parts
        )
        body += f"--{BOUNDARY}--\r\n"
        for action in ("post_", "params", "save"):
            yield request(f"/hello/{action}", method="POST", body=body, headers=MULTIPART)


def states():
    """Yield requests that depend on those before them."""
    for number in range(4):
        yield request("/hello/ses", jar="session")
        yield request(f"/hello/bcached/1?q={number % 2}")
        yield request(f"/hello/bcached2/{number % 2}")
        yield request(f"/hello/cached?k={number % 2}")
    for action in ("sesdel", "ses", "signed", "signed"):
        yield request(f"/hello/{action}", jar="session")


def calls():
    """Yield remote calls."""
    for name, arguments in XML_RPC:
        body = xmlrpc.client.dumps(arguments, name).encode("utf-8").decode("latin-1")
        yield request("/rpc", method="POST", body=body, headers={"Content-Type": "text/xml"})
    for name, arguments in JSON_RPC:
        body = json.dumps({"method": name, "params": arguments, "id": 1})
        yield request("/jrpc", method="POST", body=body, headers=JSON)
    for path in ("/rpc", "/jrpc"):
        yield request(path)
        yield request(path, method="POST", body="garbage", headers={"Content-Type": "text/xml"})


def languages():
    """Yield requests in several languages."""
    for language in ("de", "pl", "xx", "de_AT", "en", "%C3%B6", "../de"):
        for action in ("lang", "plural", "plural_plain", "plain", "fallback"):
            yield request(f"/more/{action}/{language}")
    for accepted in LANGUAGES:
        yield request("/more/lang_of", headers={"Accept-Language": accepted})


def of_sessions(kind):
    """Yield requests whose sessions are kept in one way."""
    steps = """ses_read ses_types ses_read ses_keys ses_unsaved ses_unsaved ses_revert ses_dict ses_keys
        ses_missing flash_ flashed flashed ses_pop ses_read ses_invalidate ses_keys secure_form_"""
    for action in ("/hello/ses", "/hello/ses", *(f"/more/{step}" for step in steps.split())):
        yield request(action, jar=kind, sessions=kind)
    for action in ("sesdel", "ses", "ses"):
        yield request(f"/hello/{action}", jar=kind, sessions=kind)
    for cookie in ("k=forged", "k=", 'k="x"', "k=" + "a" * 40, "k=%C3%B6", "other=1"):
        yield request("/hello/ses", headers={"Cookie": cookie}, sessions=kind)


def more_forms():
    """Yield forms with several fields, lists and mistakes."""
    for body in (
        "name=Bob&email=a@example.com&ages-0=5&ages-1=6", "name=&email=x&ages-0=y", "name=toolong",
        "name=B&email=&ages-0=", "name=%C3%B6&text=%3Cb%3E&box=y&r=b", "n=5&t=01/02/2010",
        "n=2&t=nope", "n=x", "n=&t=", "name=B&name=C",
    ):  # fmt: skip
        for action in ("person", "person_get", "person_text", "person_ignored", "numbers"):
            yield request(f"/more/{action}", method="POST", body=body, headers=FORM)
            yield request(f"/more/{action}?{body}")


if __name__ == "__main__":
    print(json.dumps(list(requests())))
