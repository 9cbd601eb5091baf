"""Passwords, sessions and byte code: what is whose, and who gets to see it."""

import os
import sys

import psycopg2
import pytest
from mails import smtp_server
from production import ask, production
from projects import create, paster, served

from simpycity_template.pylons_py3 import cache
from simpycity_template.settings import Settings

FAILING = """
from helloworld.lib.base import BaseController


class FailingController(BaseController):
    def index(self):
        raise ValueError("boom")
"""


def test_a_mail_of_an_error_has_no_credentials_and_no_query(tmp_path, server):
    project = production(tmp_path, server)
    (project / "helloworld" / "controllers" / "failing.py").write_text(FAILING)
    ini = project / "production.ini"
    with smtp_server() as mails:
        where = f"email_to = a@b.example\nsmtp_server = 127.0.0.1:{mails.port}\n"
        ini.write_text(ini.read_text().replace("[DEFAULT]\n", f"[DEFAULT]\n{where}"))
        with served(project, ini.name) as address:
            status, _, page = ask(
                address,
                "/failing/index?token=geheim1",
                Authorization="Bearer geheim2",
                Cookie="helloworld=geheim3",
                Referer="http://a.example/?geheim4",
                X_Api_Key="geheim5",
            )
        (mail,) = mails.handler.box
    assert status == 500 and "boom" not in page
    text = mail.get_payload()[0].get_payload(decode=True).decode()
    assert "ValueError: boom" in text and "/failing/index" in text
    assert "geheim" not in text
    assert "geheim" not in (project / "serve.log").read_text()


@pytest.mark.process
def test_create_shows_no_password(tmp_path):
    dsn = "postgresql://u:hunter2@db.example/x"
    done = paster(
        "create", "-t", "simpycity", "--no-interactive", "Wiki", f"dsn={dsn}", cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    assert "hunter2" not in done.stdout + done.stderr
    assert f"simpycity.dsn = {dsn}" in (tmp_path / "Wiki" / "development.ini").read_text()


@pytest.mark.process
def test_an_ini_file_can_be_read_by_its_owner_alone(tmp_path):
    project = create(tmp_path, "HelloWorld")
    done = paster("make-config", "HelloWorld", "production.ini", cwd=project)
    assert done.returncode == 0, done.stderr
    modes = {file.name: file.stat().st_mode & 0o777 for file in project.rglob("*.ini")}
    assert modes == dict.fromkeys(["development.ini", "test.ini", "production.ini"], 0o600)
    # What a front server gives to everybody it reads itself.
    assert (project / "helloworld" / "public" / "style.css").stat().st_mode & 0o044 == 0o044


@pytest.mark.parametrize(
    "dsn",
    ["postgresql://u:hun@ter2@localhost/x", "postgresql://u:hun@ter2@[::1]:5/x?sslmode=require"],
)
def test_nothing_of_a_password_with_an_at_sign_is_told(dsn):
    with pytest.raises(ValueError, match="write it %40") as refused:
        Settings.from_config({"dsn": dsn}, prefix="")
    assert "hun" not in str(refused.value) and "ter2" not in str(refused.value)
    settings = Settings.from_config({"dsn": dsn.replace("hun@", "hun%40")}, prefix="")
    assert psycopg2.extensions.parse_dsn(settings.dsn)["password"] == "hun@ter2"


def test_byte_code_that_somebody_else_may_have_written_is_not_loaded(tmp_path, monkeypatch):
    source = tmp_path / "module.py"
    source.write_text("value = 1\n")
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    umask = os.umask(0)
    try:
        cache.write(str(source), b"state", cache.Translated.compiled("value = 1\n", str(source)))
    finally:
        os.umask(umask)
    assert cache.read(str(source), b"state") is not None
    (kept,) = (tmp_path / "__pycache__").iterdir()
    for mode in (0o666, 0o664, 0o646):
        kept.chmod(mode)
        assert cache.read(str(source), b"state") is None
    kept.chmod(0o644)
    assert cache.read(str(source), b"state") is not None
    if os.geteuid() == 0:
        os.chown(kept, 65534, 65534)
        assert cache.read(str(source), b"state") is None
