"""Every public name of the installed Pylons, WebHelpers and WebError can be imported."""

import ast
import importlib
from pathlib import Path

import pylons
import pytest

from simpycity_template.pylons_py3.corrections import MISSING, REPLACEMENTS
from simpycity_template.pylons_py3.translation import to_python3

SITE = Path(pylons.__file__).parents[1]

# Those that are left out: inner parts of what another package does now.
LEFT_OUT = {
    "webhelpers.textile": "ENCODING OUTPUT VALIDATE HEAD_OFFSET itex2mml SANITIZE DEBUGLEVEL "
    "amazon_associate_id AMAZON parameters res preg_replace html_replace",
    "weberror.errormiddleware": "NoDefault ResponseStartChecker CatchingIter Supplement "
    "handle_exception send_report error_template doc_lines",
    "weberror.evalexception": "limit html_quote preserve_whitespace simplecatcher wsgiapp "
    "get_debug_info check_csrf_token debug_counter csrf_secret get_debug_count InvalidTemplate "
    "DebugInfo EvalHTMLFormatter make_table table_template pprint_format format_eval_html "
    "make_repost_button input_form",
    # It was set by a program, where the file is one.
    "webhelpers.markdown": "options",
}
NOT_CARRIED = [module for module, _ in MISSING]
NOT_CARRIED += ["pylons.url"]  # It needs repoze.bfg on Python 2, too.


def modules():
    for package in ("pylons", "webhelpers", "weberror"):
        for file in sorted((SITE / package).rglob("*.py")):
            name = ".".join(file.relative_to(SITE).with_suffix("").parts)
            name = name.removesuffix(".__init__")
            carried = not any(f"{name}.".startswith(f"{module}.") for module in NOT_CARRIED)
            if carried and "templates" not in name:
                yield pytest.param(name, file, id=name)


def public_names(nodes):
    """The names that a module's own text defines, also below an if or a try."""
    for node in nodes:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.Assign):
            targets = [found for target in node.targets for found in ast.walk(target)]
            stored = [one for one in targets if isinstance(getattr(one, "ctx", None), ast.Store)]
            yield from (one.id for one in stored if isinstance(one, ast.Name))
        elif isinstance(node, ast.If | ast.Try):
            yield from public_names(node.body + node.orelse)


@pytest.mark.parametrize(("name", "file"), list(modules()))
def test_all_public_names_are_there(name, file):
    text = to_python3(file.read_text("latin-1"), name)
    names = {one for one in public_names(ast.parse(text).body) if not one.startswith("_")}
    module = importlib.import_module(name)
    missing = {one for one in names if not hasattr(module, one)}
    assert missing == set(LEFT_OUT.get(name, "").split())


def test_a_module_that_is_replaced_is_among_them():
    names = {parameter.values[0] for parameter in modules()}
    assert {one.module for one in REPLACEMENTS} - {"webhelpers.html.secure_form", "nose"} <= names
