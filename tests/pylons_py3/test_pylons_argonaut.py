"""An application that others wrote, moved to Python 3: Argonaut 0.3.4, a blog.

It was written for Pylons 1.0 with SQLAlchemy, repoze.what and TurboMail, and is fetched from PyPI.
The last two are gone: what it needs of them is written out below.
"""

import pytest
from moved import Change, load, move, of_error_controller, set_up

pytestmark = pytest.mark.process

AUTHENTICATION = '''\
"""Who is logged in, and what they may do."""

from decorator import decorator
from pylons import session
from pylons.controllers.util import abort

from argonaut.model.auth import User
from argonaut.model.meta import Session


def _user(name):
    return Session.query(User).filter(User.username == name).first()


def log_in(name, password):
    user = _user(name)
    if user and user.validate_password(password):
        session["user"] = name
        session.save()


def get_logged_user():
    return session.get("user")


def get_logged_identity():
    user = get_logged_user()
    return user and {"repoze.who.userid": user}


def has_permission(name):
    user = _user(get_logged_user())
    groups = user.groups if user else []
    return name in [one.name for group in groups for one in group.permissions]


def requires(permission):
    def check(action, *args, **kw):
        if not has_permission(permission):
            abort(401)
        return action(*args, **kw)

    return decorator(check)
'''

MAILER = """\
import smtplib
from email.message import EmailMessage


def send_mail(sender, to, subject, body):
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = sender, to, subject
    message.set_content(body, subtype="html")
    try:
        with smtplib.SMTP("localhost", timeout=10) as server:
            server.send_message(message)
    except OSError:
        pass
"""

ACCOUNT = """
    def login_handler(self):
        authentication.log_in(request.POST['login'], request.POST['password'])
        redirect(url('/'))

    def logout(self):
        session.delete()
        redirect(url('/'))

    def login(self):"""

IDENTITY = "request.environ.get('repoze.who.identity')"
LOGGED_IN = "authentication.get_logged_identity()"

CHANGES = [
    *(
        Change("It is gone, or part of Python.", "setup.py", f'        "{name}",\n', "")
        for name in ("repoze.what-pylons", "repoze.what-quickstart", "hashlib", "TurboMail")
    ),
    Change("It was imported, and not used.", "setup.py", '        "sqlalchemy-migrate>=0.6"\n', ""),
    *(
        Change("It was imported, and not used.", "argonaut/config/environment.py", old, "")
        for old in (
            "from migrate.versioning.util import load_model\n",
            "from migrate.versioning import exceptions, genmodel, schemadiff, schema\n",
        )
    ),
    *of_error_controller("argonaut"),
    Change("repoze.what is gone.", "argonaut/lib/authentication.py", "", AUTHENTICATION),
    *(
        Change("repoze.what is gone.", "argonaut/config/middleware.py", old, "")
        for old in (
            "from argonaut.lib.authentication import add_auth\n",
            "    app = add_auth(app, config)\n",
        )
    ),
    *(
        Change("repoze.what is gone.", f"argonaut/controllers/{file}.py", old, new)
        for file, predicates in (
            ("account", "not_anonymous, has_permission"),
            ("admin", "not_anonymous, has_permission"),
            ("blog", "has_permission"),
        )
        for old, new in (
            (f"from repoze.what.predicates import {predicates}\n", ""),
            (
                "from repoze.what.plugins.pylonshq import ActionProtector\n",
                "from argonaut.lib import authentication\n",
            ),
        )
    ),
    *(
        Change("repoze.what is gone.", "argonaut/controllers/account.py", old, new)
        for old, new in (
            ("\n    def login(self):", ACCOUNT),
            ("request.environ['repoze.who.logins'] + 1", "1"),
            (IDENTITY, LOGGED_IN),
            ("@ActionProtector(not_anonymous())", "@authentication.requires('Edit post')"),
            (
                "@ActionProtector(has_permission('Write post'))",
                "@authentication.requires('Write post')",
            ),
        )
    ),
    Change("repoze.what is gone.", "argonaut/controllers/blog.py", IDENTITY, LOGGED_IN),
    Change(
        "repoze.what is gone.",
        "argonaut/controllers/blog.py",
        "@ActionProtector(has_permission('Write post'))",
        "@authentication.requires('Write post')",
    ),
    Change("TurboMail is gone.", "argonaut/lib/mailer.py", "", MAILER),
    *(
        Change("TurboMail is gone.", "argonaut/lib/app_globals.py", old, "")
        for old in (
            "from turbomail import interface\n",
            "from turbomail.adapters import tm_pylons\n",
            "        atexit.register(tm_pylons.shutdown_extension)\n",
            "        interface.start(tm_pylons.FakeConfigObj(config))\n",
        )
    ),
    *(
        Change("A hash is made of bytes.", "argonaut/model/auth.py", old, new)
        for old, new in (
            ("password_8bit + salt.hexdigest()", "password_8bit + salt.hexdigest().encode()"),
            (
                "hashed_pass.update(password + self.password[:40])",
                "hashed_pass.update((password + self.password[:40]).encode('utf-8'))",
            ),
        )
    ),
    Change("SQLAlchemy 2 has another name.", "argonaut/model/auth.py", "relation", "relationship"),
    Change(
        "SQLAlchemy 2 selects in another way.",
        "argonaut/model/tag_post.py",
        "select([Tag.name, func.count(Tag_Post.tag_id)], Tag.id == Tag_Post.tag_id)",
        "select(Tag.name, func.count(Tag_Post.tag_id).label('count_1'))"
        ".where(Tag.id == Tag_Post.tag_id)",
    ),
    Change("Text is no bytes.", "argonaut/model/page.py", ".name.encode('utf8'))", ".name)"),
    Change(
        "A dictionary has no has_key.",
        "argonaut/templates/base.mako",
        "session.has_key('flash')",
        "'flash' in session",
    ),
]


@pytest.fixture
def argonaut(tmp_path, monkeypatch):
    """The application, moved to Python 3 and set up."""
    folder = move("Argonaut-0.3.4", "argonaut", CHANGES, tmp_path)
    # A mistake of its own: its pages had no types, and only the first could be opened.
    data = folder / "argonaut" / "model" / "initial_data" / "page_data.py"
    data.write_text(data.read_text().replace("page.type =", "page.page_type_id ="))
    set_up(folder, "#arg")
    return load(folder, monkeypatch)


def test_a_post_is_written_tagged_found_commented_and_fed(argonaut):
    assert argonaut.get("/").follow().html.title.text.strip() == "Blog [Argonaut]"
    assert argonaut.get("/blog/write", status=401)
    login = argonaut.get("/blog/latest").forms[1]
    login["login"], login["password"] = "admin", "admin"
    home = login.submit().follow().follow()
    editor = home.click("Write a new post").forms["editor_form"]
    editor["subject"], editor["body"], editor["tags"] = "Grüße & <Küsse>", "<b>Hallö</b>", "Ä;b"
    post = editor.submit().follow()
    assert "Post successfully saved." in post and "<b>Hallö</b>" in post
    assert "Grüße &amp; &lt;Küsse&gt;" in post
    assert "Post successfully saved." not in argonaut.get("/blog/latest")
    assert "Grüße" in argonaut.get("/tag/show_all").click("ä", index=0)
    found = argonaut.get("/blog/archives", {"filter": "Küsse"})
    assert found.html.find("input", id="filter")["value"] == "Küsse" and "Grüße" in found
    comment = post.click("Grüße").forms[0]
    comment["author"], comment["body"], comment["antiSpam"] = (
        "Zoë",
        "see http://a.example/ <i>",
        "3",
    )
    assert "Comment successfully saved." in comment.submit().follow()
    comments = argonaut.get("/comment/get_all/1")
    assert "Zoë" in comments and 'href="http://a.example/"' in comments and "&lt;i&gt;" in comments
    feed = argonaut.get("/feed/posts")
    assert feed.content_type == "application/rss+xml"
    assert feed.xml.findtext(".//item/title") == "Grüße & <Küsse>"
