"""What Pylons' documentation tells its reader to type runs: the chapters after the tutorials.

Each snippet is typed where its chapter says, or is left out for a reason that is told. Python 2
syntax is translated by fissix; the rules are what a reader changes besides: for Python 3, for
today's releases of other libraries, and where the documentation itself slips.
"""

import re
from importlib import import_module
from xmlrpc.client import dumps, loads

import pytest
import sqlalchemy
from chapters import AS_BEFORE_1_0, OF_THE_REQUEST, PLAIN, WITH_SQLALCHEMY, Reader, Rule
from projects import served
from webhelpers.paginate import Page, PageURL

pytestmark = pytest.mark.slow

SAMPLE = "controllers/sample.py"

CACHING = [
    Rule("No memcached runs here.",
         "ext:memcached\nbeaker.cache.short_term.url = 127.0.0.1:11211", "memory"),
    Rule("No MySQL runs here.", "mysql://dbuser:dbpass@127.0.0.1/cache_db",
         "sqlite:///%(here)s/cache.db"),
    Rule("A quote is missing.", "render('/index.html)", "render('/index.html')"),
    Rule("Mako asks for the parentheses of a function.", '"mycomp"', '"mycomp()"'),
]  # fmt: skip


def test_caching(read):
    reader = read("caching", "cached", *CACHING)
    make_a_project_with_regions(reader)
    cache_a_function(reader)
    let_browsers_cache(reader)
    cache_actions(reader)
    cache_templates(reader)
    reader.chapter.end({})


def make_a_project_with_regions(reader):
    reader.run("$ paster create -t pylons cached\n$ cd cached", input=PLAIN)
    reader.run("$ paster controller search\n$ paster controller sample")
    reader.replace("../development.ini", r"(?<=\[app:main\]\n)", 1)
    for name in ("index.html", "show.html", "feed.html", "home.html", "show.myt", "home.myt"):
        reader.write(f"templates/{name}", CHANGING_TEMPLATE)


def cache_a_function(reader):
    reader.prepend("controllers/search.py", SEARCH)
    reader.replace("controllers/search.py", "(?=class )", 0)
    reader.replace(
        "controllers/search.py", r"return 'Hello World'", "return get_results('gophers')"
    )
    app = reader.app()
    first = app.get("/search/index").text
    assert first.startswith("gophers") and app.get("/search/index").text == first
    # The same again, and forgetting it.
    reader.replace("controllers/search.py", r"(?s)@cache_region.*?(?=class )", 8)
    forget = "search_param = 'gophers'\n"
    reader.action("search", "forget(self)", 9, before=forget)
    app = reader.app()
    assert app.get("/search/index").text == first
    app.get("/search/forget")
    assert app.get("/search/index").text != first
    reader.replace("controllers/search.py", "'short_term'(?=, 'search_func')", "'long_term'")
    assert reader.app().get("/search/index").text.startswith("gophers")


def let_browsers_cache(reader):
    reader.replace(SAMPLE, "(?s)class .*", 2)
    headers = reader.app().get("/sample/index").headers
    assert "Pragma" not in headers and "Cache-Control" not in headers
    reader.replace(SAMPLE, "(?s)class .*", 3)
    control = reader.app().get("/sample/index").cache_control
    assert (control.max_age, control.public) == (30, True)
    reader.replace(SAMPLE, "(?s)# Set the cache-control.*")
    page = reader.app().get("/sample/index")
    assert page.cache_control.max_age == 30 and page.expires

    reader.prepend(SAMPLE, "from pylons.controllers.util import etag_cache\n")
    reader.append(SAMPLE, 4, indent=4)
    tagged = reader.app().get("/sample/my_action")
    same = {"If-None-Match": tagged.headers["ETag"]}
    assert reader.app().get("/sample/my_action", headers=same).status_int == 304
    reader.append(SAMPLE, 5, indent=4)
    assert reader.app().get("/sample/my_action").content_type == "text/plain"


def cache_actions(reader):
    reader.prepend(SAMPLE, EXPENSIVE_CALL)
    reader.replace(SAMPLE, "(?s)class .*", 6)
    app = reader.app()
    assert app.get("/sample/home").text == app.get("/sample/home").text
    one, other, again = (app.get("/sample/show/7", {"q": q}).text for q in "aba")
    assert one == again != other


def cache_templates(reader):
    reader.replace(SAMPLE, "(?s)class .*", 7)
    home = "map.connect('/sample/home/{user}', controller='sample', action='home')\n"
    reader.replace("config/routing.py", r"# CUSTOM ROUTES HERE\n", home)
    for path in ("index", "show/1", "feed", "home/fred"):
        app = reader.app()
        assert len({app.get(f"/sample/{path}").text for _ in range(3)}) == 1

    reader.write("templates/fragment.mako", 10, CHANGING_TEMPLATE, "${mycomp()}")
    reader.append(SAMPLE, "def part(self):\n    return render('/fragment.mako')\n", indent=4)
    assert "other text" in reader.app().get("/sample/part")


# Each time that it is run it shows something else.
CHANGING_TEMPLATE = "<%! from uuid import uuid4 %>${uuid4()}"

SEARCH = """
from uuid import uuid4

from beaker.cache import cache_region, region_invalidate


def get_data(word):
    return "%s %s" % (word, uuid4())
"""

EXPENSIVE_CALL = """
def expensive_call(id=None):
    return id
"""


HELLO, FORM = "controllers/hello.py", "templates/form.mako"
# Where the form and its actions are in it.
ACTIONS = "(?s)    # in the controller.*"

FORMS = [
    Rule("The example's own controller is meant.", "controller='home'", "controller='hello'"),
    OF_THE_REQUEST._replace(old="h.url(", new="url.current("),
    Rule("Its name in WebHelpers 1.3.", "h.file_field(", "h.file("),
    Rule("Its name in WebHelpers 1.3.", "h.text_field(", "h.text("),
    Rule("A button has a name, too.", "h.submit('Submit')", "h.submit('submit', 'Submit')"),
    Rule("A folder of the project.", "'/uploads/'", "config['app_conf']['cache_dir']"),
    Rule("What is uploaded is bytes.", "'w')", "'wb')"),
    Rule("By its name the controller is found.", "class Uploader(", "class UploaderController("),
    Rule("The name that FormEncode 1.3 gave it.", "_to_python(self", "_convert_to_python(self"),
]  # fmt: skip


def test_forms(read):
    reader = read("forms", "helloworld", *FORMS)
    send_a_form(reader)
    upload_files(reader)
    validate_the_quick_way(reader)
    validate_the_long_way(reader)
    show_what_is_wrong(reader)
    reader.chapter.end({
        "FormBuild's releases are for Python 2.": [20],
    })  # fmt: skip


def send_a_form(reader):
    reader.run("$ paster create -t pylons helloworld\n$ cd helloworld", input=PLAIN)
    reader.run("$ paster controller hello\n$ paster controller uploader")
    reader.append(HELLO, 0, indent=4)
    reader.write(FORM, 1)
    assert "is: test@example.com" in send(reader, "test@example.com")
    reader.replace(FORM, "GET", "POST")
    assert "is: test@example.com" in send(reader, "test@example.com")
    reader.replace(HELLO, ACTIONS, 2, indent=4)
    assert "submitted" in send(reader, "x").follow()
    reader.replace(HELLO, ACTIONS, 0, indent=4)
    reader.write("lib/helpers.py", 4)
    reader.write(FORM, 3)
    assert "is: test@example.com" in send(reader, "test@example.com")


def upload_files(reader):
    upload = "templates/upload.mako"
    show = "def shown(self):\n    return render('/upload.mako')\n"
    reader.write(upload, 5)
    reader.append(HELLO, show, indent=4)
    assert '<input id="myfile" name="myfile" type="file" />' in reader.app().get("/hello/shown")
    reader.write(upload, 6)
    reader.append(HELLO, 7, indent=4)
    sent = send_file(reader, "/hello/shown")
    assert "a.bin, size: 3, description: mine" in sent
    uploader = "controllers/uploader.py"
    reader.prepend(uploader, "import os, shutil\nfrom pylons import config\n")
    reader.replace(uploader, "(?s)class .*", 8)
    # These lines belong into the action.
    lines = re.search(r"(?ms)^    shutil.*", reader.path(uploader).read_text())[0]
    reader.replace(uploader, r"(?ms)^    shutil.*", lines, indent=4)
    reader.append(uploader, show, indent=4)
    assert "a.bin, description: mine" in send_file(reader, "/uploader/shown")
    assert (reader.folder / "data" / "a.bin").read_bytes() == b"\0\xff\n"


def validate_the_quick_way(reader):
    reader.write("model/form.py", 9)
    reader.append("lib/base.py", 10)
    reader.prepend(HELLO, "import formencode\nfrom helloworld.model.form import EmailForm\n")
    reader.replace(HELLO, "(?<=import BaseController, render)", ", validate")
    reader.replace(HELLO, ACTIONS, 11, indent=4)
    reader.replace(FORM, r".*h\.form\(.*\n", 12)
    page = send(reader, "nobody")
    assert "An email address must contain a single @" in page
    page.form["email"] = "test@example.com"
    assert "is: test@example.com" in page.form.submit()


def validate_the_long_way(reader):
    reader.replace(HELLO, r"(?s)    @validate.*", 13, indent=4)
    assert "Invalid: email: An email address" in send(reader, "nobody")
    reader.replace(HELLO, r" *form_result = schema.to_python\(request.params\)\n", 14, indent=12)
    reader.replace("model/form.py", "(?=class )", 15)
    reader.replace("model/form.py", " *email = .*\n", 16, indent=4)
    assert "Email addresses must end in: example.com" in send(reader, "test@example.org")
    assert "is: test@example.com" in send(reader, "test@example.com")


def show_what_is_wrong(reader):
    reader.replace("config/environment.py", "(?=    return config)", AS_BEFORE_1_0, indent=4)
    reader.replace(HELLO, " *" + re.escape(reader.chapter[17]), 18, indent=12)
    reader.write(FORM, 19)
    app = reader.app()
    assert "Enter Email Address" in app.get("/hello/form")
    page = send(reader, "test@example.org")
    assert "Please correct the errors" in page and "must end in: example.com" in page


def send(reader: Reader, email: str):
    """Fill in the form as it is now, and return the answer."""
    form = reader.app().get("/hello/form").form
    form["email"] = email
    return form.submit()


def send_file(reader: Reader, page: str):
    """Send a file with the form of a page, and return the answer."""
    form = reader.app().get(page).form
    form["myfile"] = ("a.bin", b"\0\xff\n")
    form["description"] = "mine"
    return form.submit()


def test_helpers(read):
    reader = read(
        "helpers",
        "staff",
        Rule("Outside a request nobody knows the address.", "Page(items, page=2, ",
             "Page(items, url=webhelpers.paginate.PageURL('/content', {}), page=2, "),
        Rule("Python's prompt before the lines that go on.", "\n        employee_query,\n"
             "        page=2,\n        items_per_page=10)",
             "\n...     employee_query, page=2, items_per_page=10)"),
        Rule("The same.", "\n        selection,\n        page=2,\n        items_per_page=10,\n"
             "        sqlalchemy_session=model.Session)", "\n...     selection, page=2, "
             "items_per_page=10, sqlalchemy_session=model.Session)"),
        Rule("SQLAlchemy 2 takes columns, and no list of them.",
             "select([Employee.c.first_name])", "select(Employee.first_name)"),
        Rule("Mako imports what it is told to.", "<html>\n    <head>",
             "<%! import webhelpers.html.tags %><html>\n    <head>"),
    )  # fmt: skip
    reader.run("$ paster create -t pylons staff\n$ cd staff", input=WITH_SQLALCHEMY)
    reader.append("model/__init__.py", EMPLOYEE)
    reader.run("$ paster setup-app development.ini\n$ paster controller employees")
    reader.prepend(
        "controllers/employees.py", "import webhelpers.paginate\nfrom staff import model\n"
    )
    app = reader.app()
    model = import_module("staff.model")
    for number in range(1, 24):
        model.Session.add(model.Employee(first_name=f"First{number:02}", last_name="Last"))
    model.Session.commit()

    pages = Page(range(200), page=10, items_per_page=10, url=PageURL("/content", {}))
    names = {"page": pages, "model": model, "sqlalchemy": sqlalchemy, "Session": model.Session}
    names |= {"Employee": model.Employee}
    for number in range(5):
        reader.session(number, names)
    assert [row.first_name for row in names["page2"]] == [f"First{n}" for n in range(11, 21)]

    listing = reader.path("controllers/employees.py").read_text()
    reader.append("controllers/employees.py", 5, indent=4)
    reader.write("templates/employees/list.mako", 6)
    page = reader.app().get("/employees/list", {"page": "2"})
    assert "First06 Last" in page and "First11" not in page
    reader.path("controllers/employees.py").write_text(listing)
    reader.append("controllers/employees.py", 7, indent=4)
    reader.write("templates/employees/list-full.mako", 8)
    reader.write("templates/employees/list-partial.mako", 9)
    app = reader.app()
    page = app.get("/employees/list", {"page": "2"})
    assert '<script src="/public/jQuery.js"' in page and "partial=1" in page
    assert "First06 Last" in page
    part = app.get("/employees/list", {"page": "3", "partial": "1"})
    assert "<html>" not in part and "First11 Last" in part

    reader.chapter.end({"A pattern, with names for what is meant.": [10]})


EMPLOYEE = """
from sqlalchemy import Column, Integer, Unicode


class Employee(Base):
    __tablename__ = "employees"
    id = Column(Integer, primary_key=True)
    first_name = Column(Unicode(40))
    last_name = Column(Unicode(40))
"""


def test_testing(read):
    plugin = "-p simpycity_template.pylons_py3.pytest_plugin"
    reader = read(
        "testing",
        "testexample",
        Rule("nose cannot be imported on Python 3.12.", "nosetests --with-pylons",
             f"$ python -m pytest {plugin} --with-pylons"),
        Rule("Pylons 0.9 had the name in lib/base.py.", "from testexample.lib.base import *",
             "from pylons import session\nfrom testexample.lib.base import *"),
        Rule("Pylons 1.0 completes no route.", "controller='/comments')",
             "controller='comments', action='index')"),
        Rule("Names have no slash in front.", "controller='/comments'", "controller='comments'"),
        Rule("A page of this project.", "'/some/url'", "'/comments/sess'"),
        Rule("What the page stores.", "['var'] == 4", "['name'] == 'Joe Smith'"),
        Rule("A page of this project.", "url(controller='/')",
             "url(controller='comments', action='index')"),
    )  # fmt: skip
    test = "tests/functional/test_comments.py"
    reader.run(4, input=PLAIN)
    reader.write("controllers/comments.py", 5)
    reader.write(test, 6)
    reader.run(1)
    for number, complaint in (
        (8, "AssertionError"),
        (10, "address not found"),
        (12, "False != True"),
    ):
        reader.write(test, 6)
        reader.append(test, number, indent=8)
        with pytest.raises(AssertionError, match=complaint):
            reader.run(1)
    reader.write(test, 6)
    reader.append(test, "def test_more(self):\n    app = self.app\n", indent=4)
    reader.append(test, 14, 15, "assert app_globals.cache", indent=8)
    base, functional = re.split("(?m)^# testexample/tests.*\n", reader.chapter[16])
    reader.write("lib/base.py", "class MyCustomEmailObj:\n    pass\n", base)
    reader.write("tests/functional/test_controller.py", functional)
    reader.run(1)

    reader.chapter.end({
        "pytest is in its place; what it prints of the three failures is looked at.":
            [0, 2, 3, 7, 9, 11, 13],
    })  # fmt: skip


def test_controllers(read):
    reader = read(
        "controllers",
        "helloworld",
        Rule("Pylons 1.0 has no redirect_to.", "abort, redirect_to", "abort, redirect"),
        Rule("The project's name.", "YOURPROJ", "helloworld"),
        Rule("The module's name in Python 3.", "xmlrpclib", "xmlrpc.client"),
        Rule("An empty line, for doctest.", "\n\nMethod sig", "\n<BLANKLINE>\nMethod sig"),
        Rule("It shows three classes of an application.", "class MyXML(",
             "from pylons.controllers import XMLRPCController\nclass MyxmlController("),
    )  # fmt: skip
    reader.run("$ paster create -t pylons helloworld\n$ cd helloworld", input=PLAIN)
    reader.run("$ paster controller user")
    reader.replace("controllers/user.py", "(?s)class .*", 0)
    reader.action("user", "scan_again(self)", 1)
    app = reader.app()
    assert "index" in app.get("/user/index")
    assert app.get("/user/_edit_generic", status=404)
    app.get("/user/scan_again")
    reader.write("controllers/hello.py", 2)
    reader.run(3)
    reader.write("controllers/wsgiapp.py", 4)
    reader.replace("config/routing.py", r"    # CUSTOM ROUTES HERE\n", 5, indent=4)
    app = reader.app()
    assert app.get("/hello/index").text == "Hello World"
    assert app.get("/wsgiapp/any/where").text == "Hello World"
    for number in (6, 7, 8):
        reader.run(number)
    assert reader.path("controllers/admin/trackbacks.py").exists()
    reader.write("controllers/myxml.py", LOOK_UP_USER, 10)
    reader.write("controllers/rpctest.py", 12)
    app = reader.app()
    assert call(app, "/myxml/index", "userinfo", "fred", 11) == {"username": "fred", "age": 11}
    assert call(app, "/myxml/index", "userstatus") == "basic string"
    with served(reader.folder) as address:
        example = Rule(
            "The server's address, and a route of this project.",
            "http://example.com/rpctest/",
            f"{address}/rpctest/index",
        )
        reader.chapter.rules.append(example)
        reader.session(13)

    reader.chapter.end({
        "It shows how others wrote one for a model of SQLAlchemy 0.3.": [9],
        "The head of a function of Pylons.": [11],
    })  # fmt: skip


LOOK_UP_USER = """
from types import SimpleNamespace


def LookUpUser(name):
    return SimpleNamespace(name=name)
"""


def call(app, path: str, method: str, *arguments):
    """Call a method by XML-RPC."""
    answer = app.post(path, dumps(arguments, method).encode(), content_type="text/xml")
    return loads(answer.body)[0][0]
