"""Files before an application: what Paste's cascade answers, and no more work than there is."""

from pathlib import Path

import pytest
from paste.cascade import Cascade
from paste.urlparser import StaticURLParser
from webtest import TestApp

from simpycity_template.public_files import PublicFiles


def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [
        f"the application at {environ['SCRIPT_NAME']!r} {environ['PATH_INFO']!r} was sent ".encode(),
        environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0)),
    ]


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "secret").write_text("not public")
    public = tmp_path / "public"
    (public / "with" / "index").mkdir(parents=True)
    (public / "without").mkdir()
    (public / "style.css").write_text("body {}")
    (public / "with" / "index.html").write_text("the index")
    return str(public)


@pytest.mark.parametrize("index", [True, False], ids=["an index", "no index"])
@pytest.mark.parametrize(
    "path",
    [
        "/", "//", "/style.css", "/style.css/", "/style.css/more", "//style.css", "/missing.css",
        "/rows/index", "/with/", "/with/index.html", "/without/", "/../secret",
        "/with/../../secret", "/nul\0", "/caf\xc3\xa9",
    ],
)  # fmt: skip
@pytest.mark.parametrize("method", ["GET", "HEAD", "POST"])
@pytest.mark.parametrize("autorefresh", [True, False], ids=["development", "production"])
def test_it_answers_as_pastes_cascade(folder, autorefresh, method, path, index):
    if index:
        with open(f"{folder}/index.html", "w") as file:
            file.write("the front page")
    environ = {"PATH_INFO": path}
    if method == "POST":
        environ |= {"CONTENT_LENGTH": "2"}

    def answer(app):
        done = TestApp(app, lint=False).request(
            "/", method=method, body=b"12" if method == "POST" else b"", environ=environ, status="*"
        )
        return done.status, sorted(done.headerlist), done.body

    theirs = answer(Cascade([StaticURLParser(folder), application]))
    assert answer(PublicFiles(application, folder, autorefresh)) == theirs


@pytest.mark.parametrize("path", ["/with", "//with"])
def test_a_folder_is_asked_for_with_its_slash_on_the_same_host(folder, path):
    app = TestApp(PublicFiles(application, folder), extra_environ={"SCRIPT_NAME": "/at"})
    answer = app.get(path, status=301)
    assert answer.headers["Location"] == "/at/with/"


@pytest.mark.parametrize(
    "path", ["/./style.css", "/.hidden", "/with/.hidden", "/out", "/away/file"]
)
def test_dotfiles_and_links_out_of_the_folder_are_none_of_it(folder, tmp_path, path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "file").write_text("not for you")
    (Path(folder) / ".hidden").write_text("not for you")
    (Path(folder) / "with" / ".hidden").write_text("not for you")
    (Path(folder) / "out").symlink_to(tmp_path / "elsewhere" / "file")
    (Path(folder) / "away").symlink_to(tmp_path / "elsewhere")
    app = TestApp(PublicFiles(application, folder))
    assert app.get(path).text.startswith("the application")


def test_it_is_mounted_as_pastes_cascade(folder):
    app = TestApp(PublicFiles(application, folder), extra_environ={"SCRIPT_NAME": "/at"})
    assert app.get("/style.css").text == "body {}"
    app.get("/rows").mustcontain("the application at '/at' '/rows'")


def test_the_application_is_asked_alone_where_there_is_no_file(folder, monkeypatch):
    def asked(self, environ, start_response):
        raise AssertionError("Paste was asked")

    monkeypatch.setattr(StaticURLParser, "__call__", asked)
    app = TestApp(PublicFiles(application, folder))
    for path in ("/", "/rows/index"):
        assert app.get(path).text.startswith("the application")


def test_in_production_the_application_is_asked_with_no_look_at_the_files(folder, monkeypatch):
    app = TestApp(PublicFiles(application, folder, autorefresh=False))

    def looked(path):
        raise AssertionError(path)

    with monkeypatch.context() as patch:
        patch.setattr("simpycity_template.public_files.os.path.exists", looked)
        for path in ("/", "/rows/index", "/rows/style.css"):
            assert app.get(path).text.startswith("the application")


def test_a_file_that_is_added_is_found_at_once_or_after_a_restart(folder):
    development = TestApp(PublicFiles(application, folder))
    production = TestApp(PublicFiles(application, folder, autorefresh=False))
    for name in ("new.txt", "without/new.txt"):
        with open(f"{folder}/{name}", "w") as file:
            file.write("new")
        assert development.get(f"/{name}").text == "new"
    assert production.get("/new.txt").text.startswith("the application")
    assert production.get("/without/new.txt").text == "new"
    restarted = TestApp(PublicFiles(application, folder, autorefresh=False))
    assert restarted.get("/new.txt").text == "new"


def test_in_production_the_folder_need_not_be_there(tmp_path):
    app = TestApp(PublicFiles(application, str(tmp_path / "none"), autorefresh=False))
    assert app.get("/style.css").text.startswith("the application")
