"""What Pylons on Python 3 costs: at the start of Python, at the first import, at later ones.

Each figure is the median of several new processes, all of one run. What is compared:

- the start of Python in this environment, and with the start-up file's work taken out;
- the import of all of Pylons when nothing is cached, and when it is, from a copy of the
  installed files; and the import of its translation as plain modules, with Python's own cache.
  The packages that Pylons imports are loaded before, in all of them. This is processor time.

Run it where the distribution is installed:

    python benchmarks/pylons_py3_import.py [RUNS]
"""

import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import time
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from statistics import median

SITE = Path(sysconfig.get_path("purelib"))

PREPARE = """
import warnings
warnings.simplefilter("ignore")
import builtins, importlib, linecache, sys, time
import backlash.wsgi, backlash.tracing.reporters.mail, beaker.middleware, cProfile, code
import decorator, formencode, mako.exceptions, mako.lookup, pkg_resources, simplejson, tempita
import paste.config, paste.deploy, paste.fixture, paste.registry, paste.response, paste.urlparser
import paste.script.appinstall, paste.script.filemaker, paste.script.templates
import routes.middleware, webob.acceptparse, webob.exc, markupsafe, xmlrpc.client
from formencode import htmlfill, variabledecode
from simpycity_template.pylons_py3 import corrections, errors, runtime, startup
"""
# The plain modules get what the import would have given them.
PLAIN = """
sys.meta_path.remove(startup.Finder)
builtins._py3 = runtime
for module, by, _ in corrections.REPLACEMENTS:
    if not by.startswith("webhelpers."):
        sys.modules[module] = importlib.import_module(by)
"""
IMPORT = """
started = time.process_time()
import pylons.commands, pylons.decorators.cache, pylons.decorators.rest
import pylons.decorators.secure, pylons.error, pylons.log, pylons.middleware, pylons.templating
import pylons.testutil, pylons.wsgiapp
print(time.process_time() - started)
"""
EMPTY = "print(0)"
# What the start-up file does, undone and done again.
START = """
import sys, time
for name in [name for name in sys.modules if name.startswith("simpycity_template")]:
    del sys.modules[name]
started = time.process_time()
import simpycity_template.pylons_py3.startup
print(time.process_time() - started)
"""


def run(code: str, site: Path | None = None) -> float:
    """Run code in a new process that sees a folder first, and return the seconds it prints."""
    environ = {**os.environ, "PYTHONPATH": str(site or "")}
    environ.pop("PYTHONDONTWRITEBYTECODE", None)
    done = subprocess.run(
        [sys.executable, "-c", code], env=environ, check=True, text=True, stdout=subprocess.PIPE
    )
    return float(done.stdout)


def whole(code: str) -> float:
    """Return the seconds that a new process takes from its start to its end."""
    started = time.perf_counter()
    run(code)
    return time.perf_counter() - started


def copy_installed(folder: Path) -> None:
    """Copy Pylons and WebHelpers as they are installed, without byte code."""
    for package in ("pylons", "webhelpers"):
        ignore = shutil.ignore_patterns("__pycache__")
        shutil.copytree(SITE / package, folder / package, ignore=ignore)


def write_plain(folder: Path) -> None:
    """Copy them, and put the translation in the place of each source."""
    copy_installed(folder)
    for path in folder.rglob("*.py"):
        name = ".".join(path.relative_to(folder).with_suffix("").parts)
        # Some modules are not carried, and some are taken from elsewhere.
        with suppress(ImportError, AttributeError):
            spec = find_spec(name.removesuffix(".__init__"))
            path.write_text(spec.loader.get_source(spec.name), encoding="utf-8")


def forget(folder: Path) -> None:
    """Remove the cached translations of a copy."""
    for path in folder.rglob("*pylonspy3*"):
        path.unlink()


def main(runs: int) -> None:
    """Measure, and print a table."""
    with tempfile.TemporaryDirectory() as name:
        installed, plain = Path(name, "installed"), Path(name, "plain")
        copy_installed(installed)
        write_plain(plain)
        run(PREPARE + PLAIN + IMPORT, plain)
        figures: dict[str, list[float]] = {}
        for _ in range(runs):
            forget(installed)
            for label, seconds in (
                ("Python starts and ends", whole(EMPTY)),
                ("  of this, the start-up file", run(START)),
                ("all of Pylons, the first time", run(PREPARE + IMPORT, installed)),
                ("all of Pylons, later", run(PREPARE + IMPORT, installed)),
                ("the same as plain modules", run(PREPARE + PLAIN + IMPORT, plain)),
            ):
                figures.setdefault(label, []).append(seconds)
        for label, seconds_of in figures.items():
            print(f"{label:32} {median(seconds_of) * 1000:8.2f} ms")
        share = median(figures["all of Pylons, later"])
        share /= median(figures["the same as plain modules"])
        print(f"{'later, as a share of plain':32} {share:8.2f}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 15)
