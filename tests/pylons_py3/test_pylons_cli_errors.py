"""What `paster` says of mistakes: one sentence, and no traceback."""

import socket
import sys
from importlib.metadata import entry_points
from types import ModuleType

import pytest
from paste.deploy import appconfig
from paste.reloader import Monitor
from projects import answers, change, create, paster, served
from support import until

from simpycity_template.pylons_py3.cli_errors import sentence

pytestmark = [pytest.mark.process, pytest.mark.slow]


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A project that no test changes for good, and for which no test needs its database."""
    return create(tmp_path_factory.mktemp("mistakes"), "HelloWorld", "dsn=dbname=none")


@pytest.fixture
def requirements(project):
    """The file of what the project needs, as it was again after the test."""
    file = project / "HelloWorld.egg-info" / "requires.txt"
    before = file.read_text()
    yield file
    file.write_text(before)


def refusal(folder, *arguments):
    """Return the one sentence with which paster refuses."""
    done = paster(*arguments, cwd=folder)
    assert done.returncode == 1, done.stdout + done.stderr
    assert done.stderr.count("\n") == 1
    return done.stderr.strip()


# --- what is not installed ---


def test_a_requirement_that_is_not_installed_is_named(project, requirements):
    requirements.write_text("nothing-of-that-name>=2\n" + requirements.read_text())
    assert refusal(project, "routes") == (
        "HelloWorld needs nothing-of-that-name>=2, which is not installed: "
        'pip install "nothing-of-that-name>=2"'
    )


def test_a_requirement_of_another_version_is_named(project, requirements):
    requirements.write_text("Pylons>=2\n" + requirements.read_text())
    assert refusal(project, "routes") == (
        'HelloWorld needs Pylons>=2, and 1.0.3 is installed: pip install "Pylons>=2"'
    )


def test_make_config_names_a_distribution_that_is_not_installed(project):
    said = refusal(project, "make-config", "HelloWorl", "other.ini")
    assert said == "HelloWorl is not installed here."


# --- the command line ---


def test_a_misspelt_template_is_refused_with_those_there_are(tmp_path):
    done = paster("create", "-t", "simpicity", "HelloWorld", cwd=tmp_path)
    (said,) = done.stdout.splitlines()
    assert (done.returncode, done.stderr) == (2, "")
    assert said.startswith("There is no template 'simpicity', but ")
    for template in entry_points(group="paste.paster_create_template"):
        assert template.name in said


@pytest.mark.parametrize("command", ["serve", "setup-app", "shell"])
def test_a_misspelt_ini_file_is_refused_with_the_one_that_was_meant(project, command):
    assert refusal(project, command, "developmnt.ini") == (
        f"There is no file {project}/developmnt.ini; is development.ini meant?"
    )


def test_an_address_that_another_server_has_is_named(project):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        change(project / "development.ini", "port", str(port))
        assert refusal(project, "serve", "development.ini") == (
            f"The server cannot listen (host = 127.0.0.1, port = {port}): Address already in use"
        )


def with_server(project, text):
    """Write an INI file with another server."""
    head, _, server = (project / "development.ini").read_text().partition("[server:main]\n")
    _, mark, application = server.partition("[app:main]\n")
    (project / "server.ini").write_text(f"{head}[server:main]\n{text}\n{mark}{application}")


@pytest.mark.parametrize(
    "server",
    [
        "use = egg:Paste#http\nhost = nowhere.invalid\nport = 0",
        "use = egg:waitress#main\nunix_socket = /nowhere/socket",
    ],
)
def test_an_address_that_there_is_not_is_named(project, server):
    with_server(project, server)
    given = ", ".join(server.splitlines()[1:])
    said = refusal(project, "serve", "server.ini")
    assert said.startswith(f"The server cannot listen ({given}): ")


@pytest.mark.parametrize(
    ("program", "settings", "told"),
    [
        ("waitress", "host = localhost, port = www", "invalid literal for int()"),
        ("waitress", "host = nowhere.invalid, port = 0", "Invalid host/port"),
        ("waitress", "host = localhost, port = 0\nhots = db", "Unknown adjustment 'hots'"),
        ("waitress", "port = 99999", "a port is a number from 0 to 65535"),
        ("waitress", "listen = 127.0.0.1:0 [::1]:65536", "a port is a number from 0 to 65535"),
        ("Paste#http", "port = -1", "a port is a number from 0 to 65535"),
        ("Paste#http", "port = http", "invalid literal for int()"),
        ("Paste#http", "port = 0\nthreads = 8", "serve() got an unexpected keyword argument"),
    ],
)
def test_a_setting_that_the_server_does_not_take_is_told(project, program, settings, told):
    with_server(project, f"use = egg:{program}\n" + settings.replace(", ", "\n"))
    said = refusal(project, "serve", "server.ini")
    address = settings.partition("\n")[0]
    assert said.startswith(
        f"{project}/server.ini: the server does not take its settings ({address}): {told}"
    )


def test_a_host_that_ends_like_a_port_is_one(project):
    with_server(project, "use = egg:waitress\nlisten = node99999.invalid")
    assert "Invalid host/port" in refusal(project, "serve", "server.ini")


def test_serve_with_reload_fails_where_its_server_does(project):
    with socket.create_server(("127.0.0.1", 0)) as other:
        change(project / "development.ini", "port", str(other.getsockname()[1]))
        done = paster("serve", "--reload", "development.ini", cwd=project)
    assert "The server cannot listen" in done.stderr
    assert done.returncode == 1


def test_a_name_that_no_controller_can_have_is_refused(project):
    done = paster("controller", "2bad", cwd=project)
    assert (done.returncode, done.stderr) == (2, "")
    assert "name of a controller: letters, digits and _, beginning with a letter." in done.stdout
    assert not (project / "helloworld/controllers/2bad.py").exists()


def test_make_config_asks_for_the_name_of_the_file(project):
    done = paster("make-config", "HelloWorld", cwd=project)
    assert (done.returncode, done.stderr) == (2, "")
    assert done.stdout.endswith("You must give a configuration filename\n")


# --- INI files ---


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("debug = true", "{ini}, line 1: neither a [section], nor a `name = value` below one."),
        (
            "[app:main]\nuse = egg:X\ndsn geheim",
            "{ini}, line 3: neither a [section], nor a `name = value` below one.",
        ),
        ("[app:main]\na = 1\na = 2", "{ini}, line 3: [app:main] has a already."),
        ("[app:main]\n[app:main]", "{ini}, line 2: there is a [app:main] already."),
        ("[app:main]\nuse = egg:Nobodys", "{ini}: Nobodys is not installed; "),
        ("[app:main]\nuse = egg:Pylons#none", "{ini}: Entry point 'none' not found in egg"),
        ("[app:main]\nuse = call:nobodys:app", "{ini}: No module named 'nobodys'"),
        ("[app:main]\ndebug = true", "{ini}: No loader given in section 'app:main'"),
        ("[app:other]\nuse = egg:X", "No section 'main' (prefixed by 'app' or "),
        ("[app:main]\nuse = config:none.ini", "There is no file {folder}/none.ini"),
        (
            "[app:main]\ndsn = geheim%40",
            "{ini}: [app:main] dsn: write %% for a % that stands for itself; ",
        ),
        ("[app:main]\ndsn = geheim%(b)s", "{ini}: [app:main] dsn: write %% for a % that stands"),
    ],
)
def test_a_mistake_in_an_ini_file_is_told(tmp_path, text, told):
    ini = tmp_path / "its.ini"
    ini.write_text(f"{text}\n")
    with pytest.raises(Exception) as caught:
        appconfig(f"config:{ini}")
    said = sentence(caught.value)
    assert said.startswith(told.format(ini=ini, folder=tmp_path))
    assert "geheim" not in said


def test_a_mistake_in_an_ini_file_is_told_by_paster(tmp_path):
    (tmp_path / "its.ini").write_text("[app:main]\nuse egg\n")
    for command in ("serve", "setup-app"):
        assert refusal(tmp_path, command, "its.ini").startswith(f"{tmp_path}/its.ini, line 2: ")


@pytest.mark.parametrize(
    ("setting", "value", "told"),
    [
        ("debug", "perhaps", "'perhaps' stands where only true or false can."),
        (
            "args",
            "(sys.stdrr,)",
            "logging cannot be set up like this: AttributeError: module 'sys'",
        ),
        ("formatter", "plain", "logging cannot be set up like this: KeyError: 'plain'"),
    ],
)
def test_a_setting_that_has_a_wrong_value_is_told(project, setting, value, told):
    ini = project / "wrong.ini"
    ini.write_text((project / "development.ini").read_text())
    change(ini, setting, value)
    assert refusal(project, "serve", "wrong.ini").startswith(f"{ini}: {told}")


def test_a_file_that_cannot_be_read_is_told(project):
    (project / "latin.ini").write_bytes("[app:main]\n# ä".encode("latin-1"))
    for command in ("serve", "setup-app"):
        said = refusal(project, command, "latin.ini")
        assert said == f"{project}/latin.ini: this is not UTF-8; save the file as UTF-8."
    assert refusal(project, "serve", "helloworld") == f"{project}/helloworld: Is a directory"


def test_a_folder_with_a_percent_sign_is_told(tmp_path):
    folder = tmp_path / "100%"
    folder.mkdir()
    (folder / "its.ini").write_text("[app:main]\nuse = egg:X\n")
    told = f"{folder}/its.ini: INI files cannot be read in a folder with a % in its name."
    assert refusal(folder, "setup-app", "its.ini") == told


@pytest.mark.parametrize("kind", [LookupError, FileNotFoundError, ModuleNotFoundError])
def test_an_error_of_the_application_keeps_its_traceback(tmp_path, monkeypatch, kind):
    (tmp_path / "broken_application.py").write_text(f"raise {kind.__name__}('none')\n")
    (tmp_path / "its.ini").write_text("[app:main]\nuse = call:broken_application:app\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(kind) as caught:
        appconfig(f"config:{tmp_path}/its.ini")
    assert sentence(caught.value) is None


def test_an_error_of_generated_code_keeps_its_traceback(tmp_path, monkeypatch):
    # Code like that has no module.
    (tmp_path / "generated_application.py").write_text("exec('raise LookupError(1)', {})\n")
    (tmp_path / "its.ini").write_text("[app:main]\nuse = call:generated_application:app\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(LookupError) as caught:
        appconfig(f"config:{tmp_path}/its.ini")
    assert sentence(caught.value) is None


# --- questions ---


def test_a_question_that_no_one_can_answer_is_told_so(project):
    (project / "live.ini").write_text("changed\n")
    done = paster("make-config", "HelloWorld", "live.ini", cwd=project)
    assert (done.returncode, done.stderr) == (1, "\nNo one answers here; add --no-interactive.\n")
    assert (project / "live.ini").read_text() == "changed\n"


# --- serve --reload ---


def test_the_reloader_survives_an_import_while_it_looks(monkeypatch):
    class Lazy(ModuleType):
        @property
        def __file__(self):
            monkeypatch.setitem(sys.modules, "imported_meanwhile", self)
            return __file__

    monkeypatch.setitem(sys.modules, "lazy", Lazy("lazy"))
    assert Monitor(poll_interval=1).check_reload()


def test_serve_with_reload_waits_until_a_mistake_is_mended(project):
    ini, helpers = project / "development.ini", project / "helloworld/lib/helpers.py"
    log, right = project / "serve.log", helpers.read_text()
    with served(project, "development.ini", "--reload") as address:
        change(ini, "simpycity.hold_warning", "soon")
        # Until the reloader has seen a file once, it takes a change for its beginning.
        until(lambda: ini.touch() or f"{ini} changed" in log.read_text())
        # A sentence; the last line of a traceback begins with the class.
        until(lambda: f"\n{ini}: simpycity.hold_warning" in log.read_text())
        helpers.write_text(f"{right}\nnot_there\n")
        change(ini, "simpycity.hold_warning", "10")
        until(lambda: "NameError: " in log.read_text())
        helpers.write_text(right)
        until(lambda: answers(address))
