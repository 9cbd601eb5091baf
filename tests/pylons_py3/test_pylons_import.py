"""How modules of Pylons are found, translated, cached and shown to tools."""

import cProfile
import inspect
import json
import linecache
import os
import pstats
import re
import shutil
import subprocess
import sys
import traceback
import zipfile
from importlib.util import find_spec
from itertools import cycle
from pathlib import Path
from trace import Trace
from types import CodeType

import pylons
import pytest
from pages import block

pytestmark = [pytest.mark.process, pytest.mark.slow(seconds=25)]

SITE = Path(pylons.__file__).parents[1]
SOURCES = sorted((SITE / "pylons").rglob("*.py"))

IMPORT = """
import sys, pylons
print("translated" if "fissix" in sys.modules else "from the cache")
"""


class Environment:
    """A copy of the installed Pylons, which processes see before the installed one."""

    def __init__(self, folder: Path) -> None:
        self.site = folder / "site"
        self.user = folder / "user"
        self.path = str(self.site)

    def fill(self) -> None:
        """Copy Pylons as it was installed, without translations."""
        self.site.mkdir()
        ignore = shutil.ignore_patterns("__pycache__")
        shutil.copytree(SITE / "pylons", self.site / "pylons", ignore=ignore)
        shutil.copytree(SITE / "Pylons-1.0.3.dist-info", self.site / "Pylons-1.0.3.dist-info")

    def start(self, code: str = IMPORT, *options: str) -> subprocess.Popen:
        """Start Python with some code."""
        environ = {**os.environ, "PYTHONPATH": self.path, "XDG_CACHE_HOME": str(self.user)}
        environ.pop("PYTHONDONTWRITEBYTECODE", None)
        return subprocess.Popen(
            [sys.executable, *options, "-c", code],
            env=environ,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )

    def run(self, code: str = IMPORT, *options: str) -> str:
        """Run some code, and return what it printed."""
        return self.start(code, *options).communicate()[0].strip()

    def cached(self) -> list[Path]:
        """List the cached translations beside the sources."""
        return sorted((self.site / "pylons").rglob("*pylonspy3*"))


@pytest.fixture
def environment(tmp_path) -> Environment:
    """One in which nothing is translated yet."""
    environment = Environment(tmp_path)
    environment.fill()
    return environment


@pytest.fixture(scope="module")
def translated_once(tmp_path_factory) -> Path:
    environment = Environment(tmp_path_factory.mktemp("translated"))
    environment.fill()
    assert environment.run() == "translated"
    return environment.site


@pytest.fixture
def translated(translated_once, tmp_path) -> Environment:
    """One whose translations are cached."""
    environment = Environment(tmp_path)
    shutil.copytree(translated_once, environment.site)
    return environment


def test_start_up_loads_nothing_but_itself():
    root = Path(find_spec("simpycity_template").origin).parents[1]
    code = f"""
import sys
sys.path.insert(0, {str(root)!r})
before = set(sys.modules)
import simpycity_template.pylons_py3.startup
print(*sorted(set(sys.modules) - before))
"""
    run = [sys.executable, "-I", "-S", "-c", code]
    loaded = subprocess.run(run, text=True, stdout=subprocess.PIPE, check=True).stdout.split()
    assert loaded == [
        "simpycity_template",
        "simpycity_template.pylons_py3",
        "simpycity_template.pylons_py3.startup",
    ]


def _functions(code: CodeType):
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield constant
            yield from _functions(constant)


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(SITE)))
def test_each_definition_keeps_its_line(path):
    name = ".".join(path.relative_to(SITE).with_suffix("").parts).removesuffix(".__init__")
    installed = path.read_text(encoding="utf-8").split("\n")
    for code in _functions(find_spec(name).loader.get_code(name)):
        if code.co_name.isidentifier():
            # Decorators stand before the definition.
            lines = "\n".join(installed[code.co_firstlineno - 1 :])
            assert re.match(rf"(\s*@.*\n)*\s*(def|class) {code.co_name}\b", lines)


def test_tracebacks_lead_to_the_installed_file_and_show_what_runs():
    from pylons.controllers.util import abort

    with pytest.raises(Exception) as caught:
        abort(404)
    frame = traceback.extract_tb(caught.tb)[-1]
    assert frame.filename == str(SITE / "pylons" / "controllers" / "util.py")
    assert frame.line == "raise exc"
    assert Path(frame.filename).read_text().split("\n")[frame.lineno - 1].strip() == "raise exc"


def test_inspect_finds_the_source_of_functions_and_classes():
    from pylons.controllers import WSGIController

    assert inspect.getsource(WSGIController).startswith("class WSGIController(object):")
    assert "except HTTPException as httpe:" in inspect.getsource(WSGIController._inspect_call)


def test_profilers_and_tracers_count_the_installed_lines():
    from pylons.util import class_name_from_module_name as traced

    path = str(SITE / "pylons" / "util.py")
    first = next(
        number
        for number, line in enumerate(Path(path).read_text().split("\n"), 1)
        if line.startswith("def class_name_from_module_name(")
    )
    profile = cProfile.Profile()
    profile.runcall(traced, "two_words")
    assert (path, first, traced.__name__) in pstats.Stats(profile).stats
    counter = Trace(trace=False)
    counter.runfunc(traced, "two_words")
    counted = {line for name, line in counter.results().counts if name == path}
    assert counted and min(counted) > first
    assert all(re.match("    (words|return) ", linecache.getline(path, line)) for line in counted)


def test_coverage_reports_on_the_lines_that_run(tmp_path):
    (tmp_path / ".coveragerc").write_text(block("docs/moving.rst", "coverage"))
    (tmp_path / "program.py").write_text(
        "from pylons.util import class_name_from_module_name\n"
        "class_name_from_module_name('two_words')\n"
    )
    for command in (["run", "program.py"], ["json", "-q"], ["html", "-q"]):
        run = [sys.executable, "-m", "coverage", *command]
        done = subprocess.run(run, cwd=tmp_path, capture_output=True, text=True, check=True)
        assert (done.stdout, done.stderr) == ("", "")
    files = json.loads((tmp_path / "coverage.json").read_text())["files"]
    # All, also those that were not imported and that Python 3 cannot parse.
    assert set(files) == {str(path) for path in SOURCES if path.name != "ez_setup.py"}
    util = SITE / "pylons" / "util.py"
    lines = util.read_text().split("\n")

    def numbers(function):
        start = next(n for n, line in enumerate(lines, 1) if line.startswith(f"def {function}("))
        end = next(n for n in range(start + 1, len(lines)) if re.match(r"\S", lines[n - 1]))
        return set(range(start + 1, end))

    ran, missed = (set(files[str(util)][f"{key}_lines"]) for key in ("executed", "missing"))
    assert numbers("class_name_from_module_name") & ran
    assert not numbers("class_name_from_module_name") & missed
    assert numbers("call_wsgi_application") & missed
    assert not numbers("call_wsgi_application") & ran


def test_modules_are_translated_once(environment):
    assert environment.run() == "translated"
    assert environment.run() == "from the cache"
    assert environment.cached()


def test_installed_files_stay_as_they_are(translated_once):
    for path in SOURCES:
        assert (translated_once / path.relative_to(SITE)).read_bytes() == path.read_bytes()


def test_a_changed_source_is_translated_again(translated):
    with open(translated.site / "pylons" / "configuration.py", "a") as file:
        file.write("\nchanged = True\n")
    assert translated.run() == "translated"


def test_another_version_of_the_corrections_translates_again(translated):
    other = (
        "from simpycity_template.pylons_py3 import cache; cache._fingerprint = lambda: b'8' * 8\n"
    )
    # Nothing is written: the packages below Pylons are cached for all tests in one place.
    assert translated.run(other + IMPORT, "-B") == "translated"


def test_a_damaged_cache_is_made_again(translated):
    damages = (
        lambda data: data[: len(data) // 2],
        lambda data: data[:-9] + b"\0" + data[-8:],
        lambda _: b"",
    )
    damaged = {
        path: damage(path.read_bytes())
        for path, damage in zip(translated.cached(), cycle(damages), strict=False)
    }
    assert len(damaged) > len(damages)
    for path, data in damaged.items():
        path.write_bytes(data)
    assert translated.run() == "translated"
    assert all(path.read_bytes() != data for path, data in damaged.items())
    assert translated.run() == "from the cache"


def test_optimised_byte_code_is_kept_apart(translated):
    assert translated.run(IMPORT, "-O") == "translated"
    assert translated.run(IMPORT, "-O") == "from the cache"
    assert translated.run() == "from the cache"


def test_where_python_is_to_write_nothing_each_module_is_translated_once_in_a_process(environment):
    code = "import pylons; from simpycity_template.pylons_py3 import translation; translation.translate = None"
    code += "; print(len(pylons.__loader__.get_source('pylons')) > 0)"
    assert environment.run(code, "-B") == "True"
    assert not environment.cached()
    assert not (environment.user / "pylons_py3").exists()


def test_a_folder_that_cannot_be_written_is_cached_for_the_user(environment):
    # Also root cannot make a folder where a file is.
    for folder in {path.parent for path in (environment.site / "pylons").rglob("*.py")}:
        (folder / "__pycache__").write_text("")
    assert environment.run() == "translated"
    assert environment.run() == "from the cache"


def test_nowhere_to_cache_is_no_problem(environment):
    for folder in {path.parent for path in (environment.site / "pylons").rglob("*.py")}:
        (folder / "__pycache__").write_text("")
    environment.user.write_text("")
    assert environment.run() == "translated"
    assert not environment.cached() and environment.user.read_text() == ""


def test_processes_that_start_at_once_do_not_disturb_each_other(environment):
    processes = [environment.start() for _ in range(4)]
    assert {process.communicate()[0].strip() for process in processes} <= {
        "translated",
        "from the cache",
    }
    assert all(path.suffix == ".pyc" for path in environment.cached())
    assert environment.run() == "from the cache"


def test_threads_that_import_at_once_do_not_disturb_each_other(environment):
    code = """
from importlib import import_module
from concurrent.futures import ThreadPoolExecutor
# Its own import is circular, so that on Python 3.14 no other thread may import a part of it yet.
import pylons
names = ["error", "log", "templating", "util", "decorators", "i18n.translation"]
with ThreadPoolExecutor(6) as pool:
    print(*(module.__name__ for module in pool.map(import_module, ["pylons." + n for n in names])))
"""
    assert environment.run(code).split() == [
        f"pylons.{name}"
        for name in ("error", "log", "templating", "util", "decorators", "i18n.translation")
    ]


def test_threads_that_make_the_first_imports_at_once_both_find_the_translation(environment):
    code = """
import sys
from threading import Event, Thread, current_thread

class Finders(list):
    def __iter__(self):
        for finder in super().__iter__():
            if finder is hook and current_thread() is second:
                # The import system has it in hand, and waits for its lock.
                chosen.set()
                gone.wait()
            yield finder

hook = next(f for f in sys.meta_path if getattr(f, "__name__", "") == "PylonsHook")
sys.meta_path = Finders(sys.meta_path)
chosen, gone, second = Event(), Event(), Thread(target=__import__, args=["pylons"])
second.start()
chosen.wait()
import paste.reloader
gone.set()
second.join()
import pylons
print(type(pylons.__loader__).__name__)
"""
    assert environment.run(code) == "FileLoader"


def test_pylons_in_a_zip_archive_is_translated_and_cached(environment):
    environment.path = str(environment.site / "bundle.zip")
    with zipfile.ZipFile(environment.path, "w") as archive:
        for path in (environment.site / "pylons").rglob("*.*"):
            archive.write(path, path.relative_to(environment.site))
    shutil.rmtree(environment.site / "pylons")
    assert environment.run() == "translated"
    assert environment.run() == "from the cache"
    code = (
        "import pylons.util as u, inspect; print(u.__file__, inspect.getsource(u.resolve_dotted))"
    )
    shown = environment.run(code)
    assert "bundle.zip/pylons/util.py" in shown
    assert "def resolve_dotted(name):" in shown


def test_another_pylons_is_refused_in_one_sentence(environment):
    metadata = environment.site / "Pylons-1.0.3.dist-info"
    metadata.rename(environment.site / "Pylons-1.0.2.dist-info")
    assert environment.run().split("\n")[-1] == (
        "ImportError: Pylons 1.0.2 cannot be imported: only Pylons 1.0.3 is corrected for "
        'Python 3; install it with: pip install "Pylons==1.0.3"'
    )


def test_a_pylons_with_another_text_is_refused_in_one_sentence(environment):
    source = environment.site / "pylons" / "controllers" / "util.py"
    source.write_text(source.read_text().replace("str_cookies", "cookies"))
    assert (
        environment.run()
        .split("\n")[-1]
        .startswith("ImportError: pylons.controllers.util cannot be corrected for Python 3: ")
    )


def test_the_first_translation_on_a_machine_says_and_leaves_nothing(tmp_path):
    program = (
        "import logging; logging.basicConfig(level=logging.DEBUG)\n"
        "from simpycity_template.pylons_py3.cache import Translated\n"
        "from simpycity_template.pylons_py3.translation import to_python3\n"
        "Translated.compiled(to_python3(r\"print '\\*'\", 'some.module'), 'module.py')\n"
    )
    # Where fissix would keep its grammar.
    environment = {**os.environ, "HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path)}
    run = subprocess.run(
        [sys.executable, "-W", "default", "-c", program],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (run.returncode, run.stdout, run.stderr) == (0, "", "")
    assert not list(tmp_path.iterdir())
