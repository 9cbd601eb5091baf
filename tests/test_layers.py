"""The package is built in floors: a module imports nothing from a floor above its own."""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "simpycity_template"

# Each floor may import from those after it. docs/inside.rst says what is on each.
FLOORS = [
    ["frameworks", "controllers", "middleware", "status_page", "paster", "schema"]
    + ["prometheus", "testing", "public_files", "request_check", "security_headers", "log_format"]
    + ["form_body"]
    # Imports of earlier versions.
    + ["commands", "handle", "holder", "sessions", "tag", "template"],
    ["functions", "monitoring", "sizing", "events", "metrics"],
    ["manager"],
    ["scopes"],
    ["pool"],
    ["simpycity_patches"],
    ["driver", "embedded"],
    ["process"],
    ["errors", "settings"],
]

FLOOR = {name: number for number, names in enumerate(FLOORS) for name in names}

# Tests of their own are about the first two; the third has the files of a template.
ON_NO_FLOOR = {"__init__.py", "pylons_py3", "project"}

MODULES = sorted(
    path.relative_to(PACKAGE).with_suffix("")
    for path in PACKAGE.rglob("*.py")
    if path.relative_to(PACKAGE).parts[0] not in ON_NO_FLOOR
)


def imported(path):
    """The modules of this package that a file imports, but for type checkers."""
    tree = ast.parse(path.read_text())
    for_types = {
        node
        for test in ast.walk(tree)
        if isinstance(test, ast.If) and "TYPE_CHECKING" in ast.dump(test.test)
        for node in ast.walk(test)
    }
    for node in ast.walk(tree):
        if node in for_types:
            continue
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(
            "simpycity_template"
        ):
            parts = (node.module or "").split(".")
            if len(parts) > 1:
                yield parts[1]
            else:
                yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.startswith("simpycity_template."):
                    yield alias.name.split(".")[1]


@pytest.mark.parametrize("module", MODULES, ids=str)
def test_a_module_imports_only_from_its_own_floor_and_those_below(module):
    assert module.parts[0] in FLOOR, f"{module} is on no floor: put it on one in FLOORS"
    own = FLOOR[module.parts[0]]
    above = {name for name in imported(PACKAGE / f"{module}.py") if FLOOR.get(name, own) < own}
    assert not above, f"{module} imports from above it: {', '.join(sorted(above))}"


def test_no_module_that_a_request_passes_through_is_longer_than_300_lines():
    heart = ["manager", "scopes", "pool", "simpycity_patches", "driver", "process"]
    for module in MODULES:
        lines = (PACKAGE / f"{module}.py").read_text().count("\n")
        assert lines <= 300 or module.parts[0] not in heart, f"{module} has {lines} lines"


def test_what_makes_pylons_run_stands_alone():
    for path in (PACKAGE / "pylons_py3").rglob("*.py"):
        others = set(imported(path)) - {"pylons_py3"}
        assert not others, f"{path.name} imports {', '.join(sorted(others))}"


@pytest.mark.process
def test_importing_the_package_loads_no_driver_and_corrects_nothing():
    import subprocess
    import sys

    program = (
        "import sys, simpycity_template\n"
        "assert not {'psycopg2', 'simpycity', 'simpycity.handle'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
