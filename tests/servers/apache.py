"""Starts Apache with a configuration of its own; the system's is not touched."""

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from checkout import copy_checkout
from psycopg2.extensions import parse_dsn
from serving import Probe, running
from support import free_port

HTTPD = "/usr/sbin/apache2"
MODULES = Path("/usr/lib/apache2/modules")

# What every Apache needs that is not a part of the page.
SERVER = """
ServerRoot {folder}
DefaultRuntimeDir {folder}
PidFile {folder}/httpd.pid
ServerName localhost
Listen 127.0.0.1:{port}
ErrorLog /dev/stderr
LogLevel warn
LoadModule mpm_{mpm}_module {modules}/mod_mpm_{mpm}.so
LoadModule authz_core_module {modules}/mod_authz_core.so
LoadModule {module}_module {modules}/mod_{module}.so
<IfModule wsgi_module>
    WSGISocketPrefix {folder}/wsgi
</IfModule>
{account}
"""

# mod_wsgi's Apache passes requests on to Python's processes. mod_python's is those processes.
MPM = {"wsgi": "event", "python": "prefork"}


def needs(module: str) -> pytest.MarkDecorator:
    """Skips where Debian's package of an Apache module is not installed."""
    package = {"wsgi": "libapache2-mod-wsgi-py3", "python": "libapache2-mod-python"}[module]
    missing = not Path(HTTPD).exists() or not (MODULES / f"mod_{module}.so").exists()
    return pytest.mark.skipif(
        missing, reason=f"Debian's packages apache2 and {package} are missing"
    )


@contextmanager
def folder_for_all() -> Iterator[Path]:
    """A new folder that Apache's processes can read, who are not root as the tests may be."""
    with tempfile.TemporaryDirectory(prefix="simpycity-apache-") as name:
        folder = Path(name).resolve()
        folder.chmod(0o755)
        yield folder


def environment_for_debian(folder: Path) -> Path:
    """A virtual environment of the Python that Apache's modules are built for, with our package."""
    source, environment = folder / "checkout", folder / "venv"
    copy_checkout(source, "tests")
    for command in (
        ["/usr/bin/python3", "-m", "venv", "--without-pip", str(environment)],
        # It takes a fraction of pip's time.
        [str(Path(sys.executable).with_name("uv")), "pip", "install", "--quiet",
         "--python", str(environment / "bin" / "python"),
         "--constraint", str(source / "constraints.txt"), str(source)],
    ):  # fmt: skip
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
    return environment


def account_of(dsn: str) -> os.stat_result:
    """Whose the embedded server's socket is: what Apache's processes run as, where we are root."""
    return Path(parse_dsn(dsn)["host"]).stat()


def give_to_apache(file: Path, dsn: str) -> None:
    """Let Apache's processes read a file that its owner alone may read."""
    if os.geteuid() == 0:
        os.chown(file, account_of(dsn).st_uid, -1)


@contextmanager
def apache(module: str, configuration: str, folder: Path, probe: Probe) -> Iterator[int]:
    """Run Apache while the block lasts, as the account that may use the embedded server's socket."""
    owner = account_of(probe.dsn)
    account = f"User #{owner.st_uid}\nGroup #{owner.st_gid}" if os.geteuid() == 0 else ""
    file = folder / "httpd.conf"
    file.write_text(
        SERVER.format(
            folder=folder,
            port=probe.port,
            modules=MODULES,
            mpm=MPM[module],
            module=module,
            account=account,
        )
        + configuration
    )
    command = [HTTPD, "-f", str(file), "-DFOREGROUND"]
    # The Python inside looks for its library by the python3 that is first on the PATH, which must
    # not be that of our own virtual environment.
    environment = {"PROBE_DSN": probe.dsn, "PATH": os.defpath}
    with running(command, folder, probe.answers, environment) as process:
        yield process.pid


def restart_gracefully(pid: int) -> None:
    """What ``apachectl graceful`` does."""
    os.kill(pid, signal.SIGUSR1)


__all__ = [
    "apache",
    "environment_for_debian",
    "folder_for_all",
    "free_port",
    "give_to_apache",
    "needs",
]
