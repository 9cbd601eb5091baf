"""Behind a proxy everybody has the proxy's address, so what is for this machine is for nobody."""

import os
import signal
import subprocess
from contextlib import contextmanager
from pathlib import Path

import pytest
from production import ask
from projects import answers, change, served
from support import PATIENCE, free_port, until

HTTPD = Path("/usr/sbin/apache2")
MODULES = Path("/usr/lib/apache2/modules")

APACHE = """
ServerRoot {folder}
DefaultRuntimeDir {folder}
PidFile {folder}/httpd.pid
ServerName localhost
Listen 127.0.0.1:{port}
ErrorLog /dev/stderr
LoadModule mpm_event_module {modules}/mod_mpm_event.so
LoadModule authz_core_module {modules}/mod_authz_core.so
LoadModule proxy_module {modules}/mod_proxy.so
LoadModule proxy_http_module {modules}/mod_proxy_http.so
ProxyPass / {address}/
"""


@contextmanager
def apache(folder, address):
    """The address of an Apache that passes all on, with nothing said but that."""
    port = free_port()
    file = folder / "httpd.conf"
    folder.mkdir()
    file.write_text(APACHE.format(folder=folder, port=port, modules=MODULES, address=address))
    process = subprocess.Popen([HTTPD, "-f", str(file), "-DFOREGROUND"])
    front = f"http://127.0.0.1:{port}"
    try:
        until(lambda: answers(front) or process.poll() is not None)
        assert process.poll() is None
        yield front
    finally:
        os.kill(process.pid, signal.SIGTERM)
        process.wait(PATIENCE)


needs_apache = pytest.mark.skipif(
    not HTTPD.exists() or not (MODULES / "mod_proxy_http.so").exists(),
    reason="Debian's package apache2 is missing",
)


@needs_apache
@pytest.mark.parametrize("cleared", ["true", "false"])
def test_nothing_for_developers_is_shown_through_apache(project, tmp_path, cleared):
    # A project that was made before has no such line; Apache says more than waitress removes.
    change(project / "development.ini", "clear_untrusted_proxy_headers", cleared)
    with served(project) as address, apache(tmp_path / "apache", address) as front:
        for path in ("/_connections", "/_connections.json"):
            assert ask(address, path)[0] == 200
            status, _, text = ask(front, path)
            assert status == 403
            assert "not shown through a proxy" in text
        status, _, page = ask(front, "/failing/number?text=geheim")
        assert status == 500
        assert "not shown through a proxy" in page
        assert "geheim" not in page and "SECRET" not in page


@pytest.mark.parametrize("header", ["X_Forwarded_For", "Forwarded"])
def test_what_waitress_would_remove_is_seen_with_our_development_ini(project, header):
    change(project / "development.ini", "clear_untrusted_proxy_headers", "false")
    with served(project) as address:
        assert ask(address, "/_connections", **{header: "for=127.0.0.1"})[0] == 403
        assert ask(address, "/_connections")[0] == 200


def test_a_front_server_that_is_trusted_says_who_asks(project):
    ini = project / "trusted.ini"
    text = (project / "development.ini").read_text()
    trusted = "trusted_proxy = 127.0.0.1\ntrusted_proxy_headers = x-forwarded-for\n"
    ini.write_text(text.replace("[server:main]\n", f"[server:main]\n{trusted}"))
    with served(project, ini.name) as address:
        assert ask(address, "/_connections", X_Forwarded_For="192.0.2.7")[0] == 403
