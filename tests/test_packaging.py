"""What is built and installed: every way of it, in environments of their own."""

import email
import os
import re
import shutil
import subprocess
import sys
import tarfile
import venv
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pip
import pytest
from checkout import copy_checkout
from packaging.requirements import Requirement
from pages import block, blocks, typed
from projects import create
from support import free_port

from simpycity_template.pylons_py3 import startup

pytestmark = pytest.mark.process

START_UP = "simpycity_template_pylons_py3.pth"


def run(*command: str | Path, **options) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, check=False, capture_output=True, text=True, stdin=subprocess.DEVNULL, **options
    )


def build(kind: str, source: Path, out: Path) -> Path:
    """Build a "wheel", "sdist" or "editable" of ``source`` with the build backend."""
    program = f"import setuptools.build_meta as b, sys; print(b.build_{kind}(sys.argv[1]))"
    # Not as pip or uv build, where one of them runs the tests.
    environment = {k: v for k, v in os.environ.items() if k not in ("UV", "PIP_BUILD_TRACKER")}
    done = run(sys.executable, "-c", program, out, cwd=source, env=environment)
    assert done.returncode == 0, done.stderr
    return out / done.stdout.splitlines()[-1]


def files_in(folder: Path) -> set[str]:
    """Return the files below ``folder``, as a builder should see them."""
    return {
        str(path.relative_to(folder))
        for path in folder.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


def installed_names(names: list[str]) -> set[str]:
    """Return the names of a wheel's files without its metadata."""
    return {name for name in names if ".dist-info/" not in name}


@pytest.fixture(scope="session")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the checkout, so that building leaves nothing in it; with stale byte code."""
    copy = tmp_path_factory.mktemp("packaging") / "checkout"
    copy_checkout(copy)
    for folder in ("+package+", "simpycity_template/project"):
        (copy / folder / "__pycache__").mkdir()
        (copy / folder / "__pycache__" / "stale.cpython-311.pyc").touch()
        (copy / folder / ".hidden").touch()
    return copy


@pytest.fixture(scope="session")
def expected(checkout: Path) -> set[str]:
    """The files that every installation has."""
    names = {
        f"{package}/{name}"
        for package in ("simpycity_template", "simpycity-stubs")
        for name in files_in(checkout / package)
    }
    skeleton = "simpycity_template/project/+package+"
    return {START_UP} | names | {f"{skeleton}/{name}" for name in files_in(checkout / "+package+")}


@pytest.fixture(scope="session")
def wheel(checkout: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build("wheel", checkout, tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="session")
def sdist(checkout: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build("sdist", checkout, tmp_path_factory.mktemp("sdist"))


@pytest.fixture
def environment(tmp_path: Path) -> Iterator[Path]:
    """A new virtual environment that borrows what we depend on from the one of the tests.

    Lines of a .pth file are not followed any further, so it does not borrow us.
    """
    venv.create(tmp_path / "environment", symlinks=True)
    site_packages = site_packages_of(tmp_path / "environment")
    borrowed = Path(pytest.__file__).parent.parent
    (site_packages / "borrowed.pth").write_text(f"{borrowed}\n")
    yield tmp_path / "environment"


def site_packages_of(environment: Path) -> Path:
    return next((environment / "lib").glob("python3*")) / "site-packages"


def install(environment: Path, wheel: Path) -> None:
    """Unpack a wheel, which is all that installing one does where there are no scripts."""
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site_packages_of(environment))


def python(environment: Path, program: str) -> subprocess.CompletedProcess[str]:
    return run(environment / "bin" / "python", "-c", program, cwd=environment)


# What is in them


def test_a_wheel_has_the_package_the_template_and_the_start_up_file(wheel, expected):
    with zipfile.ZipFile(wheel) as archive:
        assert installed_names(archive.namelist()) == expected


def test_an_sdist_has_all_that_a_wheel_is_built_from(sdist, expected, tmp_path):
    with tarfile.open(sdist) as archive:
        archive.extractall(tmp_path)
    (source,) = tmp_path.iterdir()
    rebuilt = build("wheel", source, tmp_path)
    with zipfile.ZipFile(rebuilt) as archive:
        assert installed_names(archive.namelist()) == expected


def test_an_sdist_has_the_tests_and_what_make_needs(sdist, checkout):
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {f"tests/{name}" for name in files_in(checkout / "tests")} <= names
    assert {"Makefile", "README.txt", "LICENSE.txt", "demo.py", START_UP} <= names
    assert {"constraints.txt", "lock.py", "tox.ini"} <= names
    assert "psycopg2-from-binary/pyproject.toml" in names


def test_an_editable_install_leads_to_the_checkout_and_has_the_start_up_file(
    checkout, environment, tmp_path
):
    install(environment, build("editable", checkout, tmp_path))
    done = python(environment, "import simpycity_template; print(simpycity_template.__file__)")
    assert done.stdout == f"{checkout}/simpycity_template/__init__.py\n", done.stderr
    assert python(environment, "import pylons; print(pylons.__name__)").stdout == "pylons\n"


def required_psycopg2(wheel: Path) -> str:
    """Return the requirement of psycopg2 in a wheel."""
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith("/METADATA"))
        required = email.message_from_bytes(archive.read(name)).get_all("Requires-Dist")
    (line,) = (line for line in required if line.startswith("psycopg2"))
    return line


def test_a_wheel_names_a_psycopg2_that_can_be_had_anywhere(wheel):
    assert required_psycopg2(wheel) == "psycopg2>=2.9.10"


def test_uv_takes_ready_made_binaries_of_psycopg2_where_nothing_can_be_compiled(
    checkout, environment, tmp_path
):
    uv, python = Path(sys.executable).with_name("uv"), environment / "bin" / "python"
    nothing_else = {"PATH": str(tmp_path), "HOME": str(tmp_path)}
    options = ("--offline", "--no-build-isolation", "--python", python, "--out-dir", tmp_path)
    done = run(uv, "build", "--wheel", *options, checkout, env=nothing_else)
    assert done.returncode == 0, done.stderr
    (wheel,) = tmp_path.glob("*.whl")
    stand_in = (checkout / "psycopg2-from-binary").as_uri()
    assert required_psycopg2(wheel).replace(" ", "") == f"psycopg2@{stand_in}"


def test_pipx_and_uv_find_paster_among_our_own_programs(wheel):
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith("/entry_points.txt"))
        points = archive.read(name).decode()
    assert "[console_scripts]\npaster = paste.script.command:run\n" in points


def test_poetry_and_pdm_find_in_a_project_what_the_page_adds_to_it(checkout, tmp_path):
    page = "docs/deployment.rst"
    table, source = block(page, "project_table"), block(page, "poetry_source")
    project = create(tmp_path, "HelloWorld", "example=False")
    table = table.replace("file:///srv/simpycity_template", checkout.as_uri())
    with open(project / "pyproject.toml", "a") as file:
        file.write(f"\n{table}\n{source}")
    setup = project / "setup.py"
    names = "name=.*|version=.*|python_requires=.*|install_requires=\\[(?s:.*?)\n    \\],"
    setup.write_text(re.sub(f"(?m)^    ({names})\n", "", setup.read_text()))
    with zipfile.ZipFile(build("wheel", project, tmp_path)) as archive:
        (folder,) = {name.partition("/")[0] for name in archive.namelist() if "dist-info" in name}
        metadata = email.message_from_bytes(archive.read(f"{folder}/METADATA"))
        plugins = archive.read(f"{folder}/paster_plugins.txt").decode()
        points = archive.read(f"{folder}/entry_points.txt").decode()
    assert metadata.get("Dynamic") is None
    assert metadata["Requires-Python"] == ">=3.10"
    required = [Requirement(line) for line in metadata.get_all("Requires-Dist")]
    assert [one.name for one in required] == ["simpycity_template", "psycopg2"]
    assert [
        Path(one.url.removeprefix("file://"), "pyproject.toml").is_file() for one in required
    ] == [True, True]
    assert plugins.split() == ["PasteScript", "Pylons"]
    assert "main = helloworld.config.middleware:make_app" in points


# What the start-up file does


def test_a_start_of_python_loads_nothing_more(environment, wheel):
    program = "import sys; print(*sys.modules)"
    before = python(environment, program).stdout
    install(environment, wheel)
    assert (site_packages_of(environment) / START_UP).exists()
    assert python(environment, program).stdout == before


@pytest.mark.parametrize("name", [*sorted(startup.PACKAGES), "json"])
def test_the_packages_that_need_it_load_the_import_hook_and_no_others(environment, wheel, name):
    install(environment, wheel)
    program = (
        f"import sys, importlib.util; importlib.util.find_spec('{name}'); "
        f"print('{startup.__name__}' in sys.modules)"
    )
    done = python(environment, program)
    assert done.stdout == f"{name in startup.PACKAGES}\n", done.stderr


@pytest.mark.parametrize("accident", ["the package is gone", "the package is broken"])
def test_after_an_accident_python_still_starts_in_silence(environment, wheel, accident):
    install(environment, wheel)
    package = site_packages_of(environment) / "simpycity_template"
    if accident == "the package is gone":
        shutil.rmtree(package)
    else:
        (package / "__init__.py").write_text("this is no Python\n")
    done = python(environment, "print('started')")
    assert (done.stdout, done.stderr) == ("started\n", "")


def test_without_the_package_the_start_up_file_is_in_nobodys_way(environment, wheel):
    install(environment, wheel)
    shutil.rmtree(site_packages_of(environment) / "simpycity_template")
    done = python(environment, "import paste.deploy; print(paste.deploy.__name__)")
    assert (done.stdout, done.stderr) == ("paste.deploy\n", "")


# The Makefile


def make(*arguments: str, cwd: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run make as by hand, also if a make runs these tests; with environment variables of its own."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    return run("make", *arguments, cwd=cwd, env=env | variables)


def test_make_without_python_says_what_to_install(checkout):
    done = make("demo", "PYTHON=no-such-python", cwd=checkout)
    assert done.returncode != 0
    assert done.stdout == "There is no no-such-python: install Python 3.10 or later.\n"
    assert not (checkout / ".venv").exists()


def test_make_installs_from_the_index_of_pip_and_says_what_to_do_where_that_fails(
    checkout, tmp_path
):
    # An environment with uv, and with pip for the Makefile alone, so all has to be installed.
    environment = tmp_path / "venv"
    venv.create(environment)
    (environment / "bin/uv").symlink_to(Path(sys.executable).with_name("uv"))
    (environment / "made").touch()
    index = f"http://127.0.0.1:{free_port()}/simple"
    done = make(
        f"VENV={environment}", f"{environment}/demo.done", cwd=checkout,
        PIP_INDEX_URL=index, UV_DEFAULT_INDEX="", UV_HTTP_RETRIES="0", UV_NO_CACHE="1",
        PYTHONPATH=str(Path(pip.__file__).parents[1]),
    )  # fmt: skip
    assert done.returncode != 0
    assert index in done.stderr
    assert done.stdout.splitlines()[-1].startswith(
        "The installation failed; the reason stands above."
    )
    assert not (environment / "demo.done").exists()


def test_make_lists_its_targets(checkout):
    lines = make(cwd=checkout).stdout.splitlines()
    assert {line.partition(":")[0] for line in lines} >= {"make demo", "make test", "make lint"}


def test_the_page_for_contributors_names_targets_of_the_makefile(checkout):
    targets = {
        line.partition(":")[0].split()[-1] for line in make(cwd=checkout).stdout.splitlines()
    }
    commands = [
        line for one in blocks("docs/contributing.rst", "console") for line in typed(one.text)
    ]
    assert len(commands) > 3
    variables = set(re.findall(r"\$\(if \$\((\w+)\)", (checkout / "Makefile").read_text()))
    for command in commands:
        program, *words = command.split()
        named = {word.partition("=")[0] for word in words}
        assert program == "make" and named <= targets | variables, command
