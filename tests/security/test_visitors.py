"""What a visitor sends to an application in production is answered, and no more than was meant."""

import json
import pickle
from base64 import b64encode

import pytest
from production import ask, production
from projects import Visitor, served


@pytest.fixture(scope="module")
def project(tmp_path_factory, server):
    project = production(tmp_path_factory.mktemp("visitors"), server)
    public = project / "helloworld" / "public"
    (public / ".secret").write_text("not for you")
    (public / ".well-known").mkdir()
    (public / ".well-known" / "security.txt").write_text("Contact: us")
    (public / "sub" / ".git").mkdir(parents=True)
    (public / "sub" / ".git" / "config").write_text("not for you")
    (public / "sub" / "index.html").write_text("an index")
    (public / "out").symlink_to(project / "production.ini")
    (public / "away").symlink_to(project)
    (public / "within").symlink_to(public / "style.css")
    (project / "helloworld" / "public_too").mkdir()
    (project / "helloworld" / "public_too" / "file").write_text("not for you")
    return project


@pytest.fixture(scope="module")
def address(project):
    with served(project, "production.ini") as address:
        yield address


FORM = "application/x-www-form-urlencoded"


@pytest.mark.parametrize("path", ["/echo/index?title=%ff", "/echo/index?%ff=1", "/notes?a=%c3%28"])
def test_a_query_that_is_not_utf8_is_a_bad_request(address, project, path):
    status, _, page = ask(address, path)
    assert status == 400
    # The page is the application's.
    assert 'class="brand"' in page
    assert "Traceback" not in (project / "serve.log").read_text()


@pytest.mark.parametrize(
    "kind",
    [
        "multipart/form-data",
        "multipart/form-data; boundary=",
        "multipart/mixed;boundary",
        f"{FORM}; charset=none",
        f"{FORM}; charset=\x01",
        f"{FORM}; charset=utf-8\x00x",
        f"{FORM}; charset=utf-16",
        f"{FORM}; charset=none; charset=utf-8",
        "text/plain; charset=hex",
        "multipart/form-data; boundary=\xe9",
        "multipart/form-data; boundary*=utf-8''x",
        FORM + ";" * 2000,
    ],
)
def test_a_body_that_nobody_can_read_is_a_bad_request(address, project, kind):
    assert ask(address, "/echo/index", "POST", b"title=x", Content_Type=kind)[0] == 400
    assert "Traceback" not in (project / "serve.log").read_text()


PART = b'--x\r\nContent-Disposition: form-data; name="title"'


@pytest.mark.parametrize(
    "body",
    [
        b"--x\r\n" + b"X: y\r\n" * 2000,
        PART + b"; a=b" * 2000,
        PART + b"\r\nContent-Type: multipart/mixed; boundary=y\r\n\r\n--y\r\n" + b"X: y\r\n" * 2000,
        (PART + b"\r\n\r\n1\r\n") * 1001,
    ],
    ids=["many headers", "a long header", "parts in a part", "many parts"],
)
def test_a_form_that_takes_long_to_read_is_a_bad_request(address, project, body):
    kind = "multipart/form-data; boundary=x"
    # Without the limits 1 MB of headers keeps the process busy for a quarter of a minute.
    for path in ("/echo/index", "/nowhere"):
        status, _, page = ask(address, path, "POST", body, Content_Type=kind)
        assert status == 400
        assert 'class="brand"' in page
    assert "Traceback" not in (project / "serve.log").read_text()


def test_a_form_has_a_thousand_fields_at_most(address):
    fields = b"&".join([b"a=1"] * 1000)
    assert ask(address, "/echo/index", "POST", fields, Content_Type=FORM)[0] == 200
    assert ask(address, "/echo/index", "POST", fields + b"&a=1", Content_Type=FORM)[0] == 400


@pytest.mark.parametrize(
    "kind", [FORM, f"{FORM}; charset=UTF-8", "multipart/form-data; boundary=x", "text/plain"]
)
def test_what_browsers_send_is_read(address, kind):
    assert ask(address, "/echo/index", "POST", b"title=x", Content_Type=kind)[0] == 200
    assert ask(address, "/echo/index?title=%C3%A9&x=%25")[0] == 200


@pytest.mark.parametrize(
    "path",
    [
        "/.secret", "/sub/.git/config", "/out", "/away/production.ini", "/../public_too/file",
        "/%2e%2e/public_too/file", "/sub/../../public_too/file", "/..%2fpublic_too/file",
        "/style.css%00", "/%2e/style.css",
    ],
)  # fmt: skip
def test_only_what_lies_in_public_itself_is_served(address, path):
    status, _, text = ask(address, path)
    assert status == 404
    assert "not for you" not in text and "secret =" not in text


@pytest.mark.parametrize("path", ["/style.css", "/within", "/.well-known/security.txt", "/sub/"])
def test_what_lies_there_is_served(address, path):
    assert ask(address, path)[0] == 200


@pytest.mark.parametrize("date", ["Thu, 99 Foo 2026 25:61:61 GMT", "yesterday", "1" * 40])
def test_a_date_that_makes_no_sense_is_passed_over(address, date):
    assert ask(address, "/style.css", If_Modified_Since=date)[0] == 200


def test_a_date_that_makes_sense_is_heeded(address):
    changed = ask(address, "/style.css")[1]["Last-Modified"]
    assert ask(address, "/style.css", If_Modified_Since=changed)[0] == 304


@pytest.mark.parametrize(
    ("asked", "status"),
    [
        ("bytes=0-4", 206), ("bytes=-5", 206), ("bytes=5-", 206), ("bytes=9-1", 416),
        ("bytes=-", 200), ("bytes=0-0,5-", 200), ("pages=1", 200), ("bytes=a-b", 200),
        ("bytes=99999999999-", 416),
    ],
)  # fmt: skip
def test_a_range_is_heeded_where_it_makes_sense(address, asked, status):
    assert ask(address, "/style.css", Range=asked)[0] == status


@pytest.mark.parametrize("path", ["/sub", "//evil.example/sub", "//sub"])
def test_a_redirect_to_a_folder_leads_to_no_other_host(address, path):
    _, headers, _ = ask(address, path, Host="evil.example")
    assert headers.get("Location", "/sub/") == "/sub/"


class Attack:
    def __reduce__(self):
        return (print, ("run by a pickle",))


@pytest.mark.parametrize(
    "session",
    [
        "x", "A" * 200, "%00", b64encode(pickle.dumps(Attack())).decode(),
        "0" * 40 + b64encode(pickle.dumps(Attack())).decode(),
        "0" * 40 + b64encode(json.dumps({"text": "forged"}).encode()).decode(),
    ],
)  # fmt: skip
def test_a_session_that_the_application_did_not_sign_is_dropped(address, project, session):
    assert ask(address, "/echo/index", Cookie=f"helloworld={session}")[0] == 200
    log = (project / "serve.log").read_text()
    assert "run by a pickle" not in log and "Traceback" not in log


def test_a_session_that_somebody_prepared_is_gone_after_the_login(address):
    visitor = Visitor(address)
    visitor.get("/echo/index?title=prepared")
    visitor.get("/notes")
    before = visitor.token()
    assert visitor.get("/echo/user") == "nobodyprepared"
    visitor.get("/echo/login")
    assert visitor.get("/echo/user") == "Eve"
    visitor.post("/notes", title="Forged", **before)
    assert visitor.status == 403
    visitor.get("/notes")
    assert visitor.token() != before


def test_a_form_without_the_token_of_its_session_is_refused(address):
    visitor = Visitor(address)
    visitor.get("/notes")
    visitor.post("/notes", title="Forged", _authentication_token="0" * 40)
    assert visitor.status == 403
    assert "Forged" not in visitor.get("/notes")


def test_a_line_break_in_an_address_makes_no_header(address):
    for path in ("/notes%0d%0aSet-Cookie:%20a=b", "/sub%0d%0aSet-Cookie:%20a=b"):
        assert "a=b" not in str(ask(address, path)[1])
