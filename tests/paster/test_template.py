"""`paster create -t simpycity`: what it writes, what it refuses, and that nothing is left half."""

import ast
import configparser
import fcntl
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from projects import ENGINES, PASTER, create, paster, run
from psycopg2.extensions import parse_dsn
from support import PATIENCE, until

from simpycity_template.paster.template import NewFolder
from simpycity_template.settings import Settings

pytestmark = [pytest.mark.process, pytest.mark.slow(seconds=20)]

CREATE = ("create", "-t", "simpycity")
SITE = "sitecustomize.py"
# Root can read and write everywhere, unless these rights of its are taken away.
BOUND = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"] if os.geteuid() == 0 else []


@pytest.fixture(scope="module")
def created(tmp_path_factory):
    """One project for each choice, with the choices as keys."""
    folder = tmp_path_factory.mktemp("created")
    choices = [(engine, example) for engine in ENGINES for example in (True, False)]
    return {
        (engine, example): create(
            folder, f"With-{engine}{example}", f"template_engine={engine}", f"example={example}"
        )
        for engine, example in choices
    }


def files(project):
    return {
        str(path.relative_to(project))
        for path in project.rglob("*")
        if path.is_file() and ".egg-info" not in str(path)
    }


def settings(ini, section="app:main"):
    parser = configparser.RawConfigParser()
    parser.read(ini)
    return dict(parser[section])


def refusal(folder, *arguments, through=()):
    """Return the one sentence with which paster refuses, having written nothing."""
    before = sorted(folder.rglob("*"))
    command = [*CREATE, "--no-interactive", *arguments]
    done = run(*through, PASTER, *command, cwd=folder) if through else paster(*command, cwd=folder)
    assert done.returncode not in (0, None)
    assert sorted(folder.rglob("*")) == before
    assert re.fullmatch(r"paster create: [^\n]+\n", done.stderr)
    return done.stderr


# --- what is written ---


def test_a_project_mirrors_the_files_of_pylons_own_template(created):
    package = "withmakofalse"
    assert files(created["mako", False]) == {
        ".gitignore",
        "MANIFEST.in",
        "README.txt",
        "development.ini",
        "pyproject.toml",
        "setup.cfg",
        "setup.py",
        "test.ini",
        *(
            f"{package}/{name}"
            for name in (
                "__init__.py",
                "config/__init__.py",
                "config/deployment.ini_tmpl",
                "config/environment.py",
                "config/middleware.py",
                "config/routing.py",
                "controllers/__init__.py",
                "controllers/error.py",
                "controllers/welcome.py",
                "lib/__init__.py",
                "lib/app_globals.py",
                "lib/base.py",
                "lib/helpers.py",
                "model/__init__.py",
                "model/meta.py",
                "model/schema.sql",
                "public/favicon.svg",
                "public/style.css",
                "templates/base.mako",
                "templates/error.mako",
                "templates/welcome.mako",
                "tests/__init__.py",
                "tests/functional/__init__.py",
                "tests/functional/test_welcome.py",
                "tests/test_models.py",
                "websetup.py",
            )
        ),
    }


def test_the_example_adds_a_controller_a_model_a_page_and_a_test(created):
    package = "withmako"
    example = {name.replace(f"{package}true", package) for name in files(created["mako", True])}
    plain = {name.replace(f"{package}false", package) for name in files(created["mako", False])}
    assert example - plain == {
        f"{package}/controllers/notebook.py",
        f"{package}/model/migrations/0001_note.sql",
        f"{package}/model/notes.py",
        f"{package}/templates/notes.mako",
        f"{package}/tests/functional/test_notebook.py",
    }
    assert plain <= example


@pytest.mark.parametrize("engine", ENGINES)
def test_without_the_example_no_word_of_it_is_left(created, engine):
    project = created[engine, False]
    for name in files(project):
        assert "note" not in (project / name).read_text().lower(), name


@pytest.mark.parametrize(
    ("engine", "suffix"), [("mako", ".mako"), ("jinja2", ".jinja2"), ("genshi", ".html")]
)
def test_only_the_pages_of_the_chosen_engine_are_written(created, engine, suffix):
    pages = [Path(name) for name in files(created[engine, True]) if "/templates/" in name]
    assert sorted(page.stem for page in pages) == ["base", "error", "notes", "welcome"]
    assert {page.suffix for page in pages} == {suffix}


@pytest.mark.parametrize("example", [True, False])
@pytest.mark.parametrize("engine", ENGINES)
def test_every_file_opens_with_a_line_that_says_what_it_is_for(created, engine, example):
    project = created[engine, example]
    for name in files(project) - {"README.txt"}:
        text = (project / name).read_text()
        assert "{{py" not in text and "[[" not in text.replace("[[[", ""), name
        if name.endswith(".py"):
            assert ast.get_docstring(ast.parse(text)), name
        elif not name.endswith(".svg"):
            # Genshi's own comments come after the document type.
            assert re.match(r"(<!DOCTYPE html>\n)?\s*(#|/\*|--|<!--!|\{#)", text), name


@pytest.mark.parametrize("example", [True, False])
@pytest.mark.parametrize("engine", ENGINES)
def test_no_code_is_wrong_where_the_package_is_called_like_a_variable(created, engine, example):
    project = created[engine, example]
    package = f"with{engine}{example}".lower()
    for module in (project / package).rglob("*.py"):
        used = {getattr(node, "id", "") for node in ast.walk(ast.parse(module.read_text()))}
        assert package not in used, module


def test_base_controller_cleans_up_in_its_call(created):
    tree = ast.parse((created["mako", True] / "withmakotrue/lib/base.py").read_text())
    call = next(node for node in ast.walk(tree) if getattr(node, "name", "") == "__call__")
    guarded = call.body[-1]
    assert isinstance(guarded, ast.Try)
    assert ast.unparse(guarded.finalbody[0]) == "manager.cleanup()"


def test_each_project_has_a_session_secret_of_its_own(created):
    secrets = {
        settings(project / "development.ini")["beaker.session.secret"]
        for project in created.values()
    }
    assert len(secrets) == len(created)
    assert all(len(secret) >= 40 for secret in secrets)


def test_sessions_are_json_and_not_pickle(created):
    for ini in ("development.ini", "withmakotrue/config/deployment.ini_tmpl"):
        of_app = settings(created["mako", True] / ini)
        assert of_app["beaker.session.data_serializer"] == "json"
        # Beaker's files would be pickles around the JSON.
        assert of_app["beaker.session.type"] == "cookie"
        assert of_app["beaker.session.httponly"] == "true"


def test_a_configuration_for_production_and_a_wheel_are_not_for_git(created):
    ignored = (created["mako", True] / ".gitignore").read_text().splitlines()
    assert {"/production.ini", "*.whl"} <= set(ignored)


def test_only_development_has_the_debugger_and_it_listens_on_loopback(created):
    project = created["mako", True]
    assert settings(project / "development.ini", "DEFAULT")["debug"] == "true"
    assert settings(project / "development.ini", "server:main")["host"] == "127.0.0.1"
    assert settings(project / "test.ini")["set debug"] == "false"
    deployment = project / "withmakotrue/config/deployment.ini_tmpl"
    assert settings(deployment, "DEFAULT")["debug"] == "false"


def test_the_server_is_waitress(created):
    project = created["mako", True]
    for ini in ("development.ini", "withmakotrue/config/deployment.ini_tmpl"):
        assert settings(project / ini, "server:main")["use"] == "egg:waitress#main"


def test_the_database_is_embedded_unless_another_is_given(created):
    of_app = settings(created["mako", True] / "development.ini")
    assert of_app["simpycity.dsn"] == "embedded:%(here)s/data/postgres"


@pytest.mark.parametrize(
    ("dsn", "of_tests"),
    [
        ("postgresql://me:50%25@db/mine", {"dbname": "mine_test", "password": "50%"}),
        ("dbname=mine sslrootcert=%(here)s/ca", {"dbname": "mine_test", "sslrootcert": "HERE/ca"}),
        ("host=db", {"host": "db", "dbname": "elsewhere_test"}),
    ],
)
def test_a_dsn_is_written_so_that_the_ini_file_gives_it_back(tmp_path, dsn, of_tests):
    project = create(tmp_path, "Elsewhere", f"dsn={dsn}")
    parser = configparser.ConfigParser(defaults={"here": "HERE"})
    parser.read(project / "development.ini")
    assert parser["app:main"]["simpycity.dsn"] == dsn.replace("%(here)s", "HERE")
    # The settings of the tests come on top of those of development.
    parser.read(project / "test.ini")
    assert parse_dsn(Settings.from_config(parser["app:main"]).dsn).items() >= of_tests.items()


def test_no_interaction_writes_what_the_defaults_say(tmp_path):
    done = paster(*CREATE, "--no-interactive", "HelloWorld", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / "HelloWorld/helloworld/templates/notes.mako").exists()
    assert "paster setup-app development.ini" in done.stdout


def test_an_empty_folder_is_filled(tmp_path):
    (tmp_path / "HelloWorld").mkdir()
    create(tmp_path, "HelloWorld")


def test_the_package_can_have_another_name(tmp_path):
    project = create(tmp_path, "HelloWorld", "package=hello")
    assert (project / "hello/model/meta.py").exists()


def test_simulation_writes_nothing(tmp_path):
    done = paster(*CREATE, "--simulate", "--no-interactive", "HelloWorld", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert not list(tmp_path.iterdir())


# --- what it tells of itself ---


def test_the_template_is_listed_without_a_warning(tmp_path):
    done = paster("create", "--list-templates", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert re.search(r"(?m)^  simpycity: +\w", done.stdout)
    assert "arning" not in done.stdout


def test_the_variables_are_explained(tmp_path):
    done = paster(*CREATE, "--list-variables", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    for name in ("template_engine", "example", "dsn"):
        assert re.search(rf"(?m)^ *{name} +\w.*\n +default: ", done.stdout)


# --- what it refuses ---


@pytest.mark.parametrize(
    "name",
    ["", "1abc", "../x", "a/b", "/x", "a b", "x.y", "x-", "_x", "café", "x\ny", "__init__"],
)
def test_a_name_that_cannot_become_a_package_is_refused(tmp_path, name):
    assert repr(name) in refusal(tmp_path, "--", name)


@pytest.mark.parametrize("name", ["class", "Class", "import"])
def test_a_word_of_python_is_refused(tmp_path, name):
    assert "Python cannot import" in refusal(tmp_path, name)


@pytest.mark.parametrize("name", ["pylons", "simpycity", "json", "JSON", "Py-lons", "Test"])
def test_a_name_that_hides_an_installed_module_is_refused(tmp_path, name):
    assert "hide the installed module" in refusal(tmp_path, name)


def test_the_name_of_an_installed_distribution_is_refused(tmp_path):
    assert "a distribution of that name" in refusal(tmp_path, "PasteScript")


@pytest.mark.parametrize("name", ["data", "Build", "dist"])
def test_a_name_of_a_folder_that_the_project_needs_is_refused(tmp_path, name):
    assert "needs for itself" in refusal(tmp_path, name)


@pytest.mark.parametrize("package", ["json", "1abc", "a/b"])
def test_a_package_that_cannot_be_imported_is_refused(tmp_path, package):
    said = refusal(tmp_path, "HelloWorld", f"package={package}")
    assert f"the package of 'HelloWorld' would be called {package!r}, " in said


def test_an_unknown_template_engine_is_refused(tmp_path):
    sentence = refusal(tmp_path, "HelloWorld", "template_engine=kid")
    assert "'kid'" in sentence
    assert "mako, jinja2, genshi" in sentence


def test_an_example_that_is_neither_true_nor_false_is_refused(tmp_path):
    assert "'maybe'" in refusal(tmp_path, "HelloWorld", "example=maybe")


def test_a_misspelt_variable_is_refused_with_the_one_that_was_meant(tmp_path):
    assert "did you mean template_engine?" in refusal(tmp_path, "HelloWorld", "template_engin=mako")


def test_a_variable_that_resembles_none_is_refused_with_all_there_are(tmp_path):
    assert "template_engine, example, dsn" in refusal(tmp_path, "HelloWorld", "zzz=1")


@pytest.mark.parametrize("dsn", ["", "embedded:", "nonsense", "host=a password=geheim sheim x"])
def test_a_dsn_that_cannot_be_parsed_is_refused_without_its_password(tmp_path, dsn):
    sentence = refusal(tmp_path, "HelloWorld", f"dsn={dsn}")
    assert "dsn" in sentence
    assert "heim" not in sentence


def test_a_name_with_a_folder_in_it_is_refused_with_the_option_for_that(tmp_path):
    assert "is given with -o." in refusal(tmp_path, "sub/HelloWorld")
    assert "-o" not in refusal(tmp_path, "Hello.World")


def test_a_folder_with_a_percent_sign_is_refused_as_no_ini_file_can_be_read_there(tmp_path):
    (tmp_path / "100%").mkdir()
    assert "100%/HelloWorld has a '%' in it" in refusal(tmp_path / "100%", "HelloWorld")


def test_the_next_steps_can_be_typed_also_where_a_folder_has_a_space_in_its_name(tmp_path):
    done = paster(*CREATE, "--no-interactive", "-o", "my work", "HelloWorld", cwd=tmp_path)
    assert "\n    cd 'my work/HelloWorld'\n" in done.stdout


def test_a_folder_with_files_in_it_is_refused(tmp_path):
    (tmp_path / "HelloWorld").mkdir()
    (tmp_path / "HelloWorld/mine.txt").touch()
    assert "has files in it" in refusal(tmp_path, "HelloWorld")


def test_a_file_of_that_name_is_refused(tmp_path):
    (tmp_path / "HelloWorld").touch()
    assert "is not a folder" in refusal(tmp_path, "HelloWorld")


@pytest.mark.skipif(BOUND and not shutil.which("setpriv"), reason="root needs setpriv for it")
def test_a_folder_that_is_not_writable_is_refused(tmp_path):
    tmp_path.chmod(0o500)
    assert "not writable" in refusal(tmp_path, "HelloWorld", through=BOUND)


@pytest.mark.skipif(BOUND and not shutil.which("setpriv"), reason="root needs setpriv for it")
def test_a_folder_that_may_not_be_listed_is_refused(tmp_path):
    (tmp_path / "HelloWorld").mkdir(0o300)
    assert "not readable" in refusal(tmp_path, "HelloWorld", through=BOUND)


def test_a_place_where_no_folder_can_be_made_is_refused(tmp_path):
    assert "could not be written" in refusal(tmp_path, "-o", "/proc/nowhere", "HelloWorld")


# --- what is not left behind ---


def test_a_full_disk_leaves_nothing_behind(tmp_path):
    done = paster(
        *CREATE,
        "--no-interactive",
        "-o",
        "new/folder",
        "HelloWorld",
        cwd=tmp_path,
        # The style sheet is larger than this, the files before it are not.
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (4200, 4200)),
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
    )
    assert done.returncode == 1
    assert "style.css" in done.stdout
    assert re.fullmatch(r"paster create: .*File too large.*\n", done.stderr)
    assert not list(tmp_path.iterdir())


def test_a_full_disk_empties_a_folder_that_was_there(tmp_path):
    (tmp_path / "HelloWorld").mkdir()
    done = paster(
        *CREATE,
        "--no-interactive",
        "HelloWorld",
        cwd=tmp_path,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (4200, 4200)),
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
    )
    assert done.returncode == 1
    assert list(tmp_path.rglob("*")) == [tmp_path / "HelloWorld"]


def with_site(folder, code):
    """Return an environment in which each `setup.py egg_info` begins with this code."""
    folder.mkdir()
    (folder / SITE).write_text(f"import sys\nif 'egg_info' in sys.orig_argv:\n    {code}\n")
    return {**os.environ, "PYTHONPATH": str(folder)}


def test_a_failing_egg_info_leaves_nothing_behind(tmp_path):
    environment = with_site(tmp_path / "site", "import os; os.write(2, b'broken\\n'); os._exit(3)")
    done = paster(*CREATE, "--no-interactive", "HelloWorld", cwd=tmp_path, env=environment)
    assert done.returncode == 1
    assert re.fullmatch(r"paster create: .*egg_info failed with broken.*\n", done.stderr)
    assert not (tmp_path / "HelloWorld").exists()


def test_a_project_that_cannot_be_finished_leaves_another_beside_it(tmp_path):
    failing, other = (NewFolder(str(tmp_path / "new" / name)) for name in ("Failing", "Other"))
    with pytest.raises(SystemExit), failing:
        (tmp_path / "new/Failing").mkdir(parents=True)
        with other:
            (tmp_path / "new/Other").mkdir()
        raise OSError("the disk is full")
    assert sorted(tmp_path.rglob("*")) == [tmp_path / "new", tmp_path / "new/Other"]


def interrupted_in_egg_info(tmp_path, ending):
    """Create a project, send a signal meanwhile, and return the exit code and the last words."""
    reached = tmp_path / "reached"
    environment = with_site(
        tmp_path / "site", f"import time; open({str(reached)!r}, 'w'); time.sleep(1000)"
    )
    process = subprocess.Popen(
        [PASTER, *CREATE, "--no-interactive", "HelloWorld"],
        cwd=tmp_path,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        # Where nohup has started us, it is ignored.
        preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_DFL),
    )
    until(reached.exists)
    assert (tmp_path / "HelloWorld/setup.py").exists()
    process.send_signal(ending)
    _, said = process.communicate(timeout=PATIENCE)
    assert not (tmp_path / "HelloWorld").exists()
    return process.returncode, said


def test_ctrl_c_in_egg_info_leaves_nothing_behind(tmp_path):
    said = "\npaster create: interrupted, and nothing was left behind.\n"
    assert interrupted_in_egg_info(tmp_path, signal.SIGINT) == (-signal.SIGINT, said)


@pytest.mark.parametrize("ending", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_that_ends_it_leaves_nothing_behind(tmp_path, ending):
    said = f"paster create: ended by {ending.name}, and nothing was left behind.\n"
    assert interrupted_in_egg_info(tmp_path, ending) == (1, said)


def test_ctrl_c_among_the_files_leaves_nothing_behind(tmp_path):
    reading, writing = os.pipe()
    # paster stops at its next line of output once the pipe is full, here among the files.
    fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, 4096)
    os.write(writing, b"." * (4096 - 1500))
    process = subprocess.Popen(
        [PASTER, *CREATE, "--no-interactive", "HelloWorld"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
        stdout=writing,
        stderr=subprocess.PIPE,
        text=True,
    )
    os.close(writing)
    until((tmp_path / "HelloWorld/setup.py").exists)
    process.send_signal(signal.SIGINT)
    # The last words may wait for room in the pipe.
    with open(reading, "rb") as output:
        output.read()
    _, said = process.communicate(timeout=PATIENCE)
    assert process.returncode == -signal.SIGINT
    assert said == "\npaster create: interrupted, and nothing was left behind.\n"
    assert not list(tmp_path.iterdir())


class Terminal:
    """paster at a terminal of its own, whose keyboard and screen are ours."""

    RELAY = "import os, pty, sys; sys.exit(os.waitstatus_to_exitcode(pty.spawn(sys.argv[1:])))"

    def __init__(self, *arguments, cwd):
        self.process = subprocess.Popen(
            [sys.executable, "-c", self.RELAY, PASTER, *arguments],
            cwd=cwd,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            bufsize=0,
        )
        self.screen = ""

    def read_until(self, text):
        deadline = time.monotonic() + PATIENCE
        while text not in self.screen:
            piece = os.read(self.process.stdout.fileno(), 1000)
            assert piece and time.monotonic() < deadline, self.screen
            self.screen += piece.decode().replace("\r\n", "\n")

    def type(self, keys):
        # A Ctrl-C between the prompt and the wait for an answer is seen by CPython with the next key.
        paster = psutil.Process(self.process.pid).children()[0]
        until(lambda: paster.status() == psutil.STATUS_SLEEPING)
        self.process.stdin.write(keys.encode())

    def read_to_end(self):
        while piece := os.read(self.process.stdout.fileno(), 1000):
            self.screen += piece.decode().replace("\r\n", "\n")
        return self.process.wait(PATIENCE)


@pytest.mark.parametrize("arguments", [[], ["HelloWorld"]])
def test_ctrl_c_at_a_prompt_leaves_nothing_behind(tmp_path, arguments):
    terminal = Terminal(*CREATE, *arguments, cwd=tmp_path)
    terminal.read_until("]: " if arguments else "Enter project name: ")
    terminal.type("\x03")
    assert terminal.read_to_end() != 0
    assert terminal.screen.endswith("paster create: interrupted, and nothing was left behind.\n")
    assert "Traceback" not in terminal.screen
    assert not list(tmp_path.iterdir())


def test_it_asks_for_what_it_needs_and_asks_again_after_a_wrong_answer(tmp_path):
    terminal = Terminal(*CREATE, "HelloWorld", cwd=tmp_path)
    terminal.read_until("Enter template_engine")
    terminal.type("kid\n")
    terminal.read_until("it must be one of")
    terminal.type("jinja2\n")
    terminal.read_until("Enter example")
    terminal.type("no\n")
    terminal.read_until("Enter dsn")
    terminal.type("\n")
    assert terminal.read_to_end() == 0
    assert (tmp_path / "HelloWorld/helloworld/templates/welcome.jinja2").exists()
    assert not (tmp_path / "HelloWorld/helloworld/model/notes.py").exists()


def test_a_prompt_that_no_one_can_answer_is_told_so(tmp_path):
    done = run(PASTER, *CREATE, "HelloWorld", cwd=tmp_path)
    assert done.returncode == 1
    assert "--no-interactive" in done.stderr
    assert "Traceback" not in done.stderr
    assert not list(tmp_path.iterdir())
