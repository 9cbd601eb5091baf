"""No framework is imported unless it is asked for, and a missing one is told."""

import subprocess
import sys

import pytest

pytestmark = pytest.mark.process

FRAMEWORKS = ["celery", "django", "flask", "pyramid"]


# A machine on which one package is not installed.
WITHOUT = """
import sys

class Without:
    def find_spec(self, name, path=None, target=None):
        if name == {package!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Without())
import {module}
"""


def python(program):
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)


def test_the_middleware_imports_no_framework():
    program = (
        "import sys, simpycity_template.frameworks, simpycity_template.middleware\n"
        f"print([name for name in {FRAMEWORKS} if name in sys.modules])"
    )
    run = python(program)
    assert run.stdout == "[]\n", run.stderr


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_a_framework_that_is_not_installed_is_told_with_its_extra(framework):
    module = f"simpycity_template.frameworks.{framework}"
    run = python(WITHOUT.format(package=framework, module=module))
    assert run.stderr.splitlines()[-1] == (
        f"ImportError: {module} needs {framework}, which is not installed: "
        f"pip install 'simpycity_template[{framework}]'"
    )


def test_an_import_that_fails_inside_a_framework_is_not_called_a_missing_framework():
    run = python(WITHOUT.format(package="blinker", module="simpycity_template.frameworks.flask"))
    assert run.stderr.splitlines()[-1] == "ModuleNotFoundError: No module named 'blinker'"
