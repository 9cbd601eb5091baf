"""Sphinx configuration."""

import gc
import re

from paste.script.command import Command
from paste.script.templates import Template
from sphinx.util.docutils import SphinxDirective

from simpycity_template.pylons_py3 import moving

# What is garbage meanwhile fits into memory, and to look for it takes a tenth of the time.
gc.disable()

project = "simpycity_template"
extensions = ["sphinx.ext.autodoc", "sphinx.ext.napoleon"]
html_theme = "furo"
html_title = "simpycity_template"
html_static_path = ["style"]
html_css_files = ["docs.css"]
html_show_copyright = False
python_maximum_signature_line_length = 100
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
autoclass_content = "both"
napoleon_google_docstring = True
exclude_patterns = ["_build"]

# A reference that leads nowhere is an error, but for what others document.
nitpicky = True
nitpick_ignore_regex = [
    (
        "py:.*",
        r"(collections\.abc|contextlib|flask|ipaddress|opentelemetry|os|pathlib|psycopg2|pyramid|simpycity|threading)\..*"
        # What the names of the reference are made of, and is documented in its own place.
        r"|simpycity_template\.(driver|scopes|simpycity_patches)\..*"
        "|ConfigurationError|Flask",
    )
]


def add_usage(app, what, name, documented, options, lines):
    """Write into the reference what ``--help`` says of a command, and what a template asks."""
    if not isinstance(documented, type):
        return
    if issubclass(documented, Command):
        lines += ["", "::", "", *_indented(documented.parser.format_option_help())]
    if issubclass(documented, Template):
        for variable in documented.vars:
            lines += ["", f"``{variable.name}={variable.default}``", f"    {variable.description}"]


def _indented(text):
    return [f"    {line}" for line in text.splitlines()]


class Advices(SphinxDirective):
    """A table of what to change in an application of Python 2, from the list that is searched for."""

    required_arguments = 1

    def run(self):
        """Return the table."""
        rows = {
            "code": [one for one in moving.IN_CODE if not one.early],
            "early": [one for one in moving.IN_CODE if one.early],
            "templates": moving.IN_TEMPLATES,
            "requirements": [
                moving.Advice(name, instead, "") for name, instead in moving.REQUIREMENTS.items()
            ],
        }[self.arguments[0]]
        lines = [".. list-table::", "   :header-rows: 1", "   :widths: 50 50", ""]
        lines += ["   * - in the application", "     - instead"]
        for row in rows:
            instead = re.sub(r"([\\*`_|])", r"\\\1", row.instead)
            lines += [f"   * - ``{row.seen}``", f"     - {instead}"]
        return self.parse_text_to_nodes("\n".join(lines))


def setup(app):
    app.add_directive("advices", Advices)
    app.connect("autodoc-process-docstring", add_usage)
