"""What is corrected in the files that `paster create -t pylons` and `paster controller` write.

They are named by their path in the package of Pylons.
"""

from simpycity_template.pylons_py3.corrections.entry import Correction

CORRECTIONS = [
    Correction(
        "the page of a controller",
        "templates/controller.py_tmpl",
        why="Its name is whole.",
        old="{{tmpl_name}}.mako",
        new="{{tmpl_name}}",
    ),
    Correction(
        "where declarative_base is",
        "templates/default_project/+package+/model/meta.py_tmpl",
        why="SQLAlchemy 2 warns of the old place.",
        old="from sqlalchemy.ext.declarative import",
        new="from sqlalchemy.orm import",
    ),
    Correction(
        "where escape is",
        "templates/default_project/+package+/controllers/error.py_tmpl",
        why="cgi.escape was removed in Python 3.8, and cgi itself in 3.13.",
        old="import cgi",
        new="from html import escape",
    ),
    Correction(
        "escaping what an error document shows",
        "templates/default_project/+package+/controllers/error.py_tmpl",
        why="cgi.escape was removed in Python 3.8.",
        old="cgi.escape(",
        new="escape(",
        times=2,
    ),
    Correction(
        "the page that an error document shows",
        "templates/default_project/+package+/controllers/error.py_tmpl",
        why="A body is bytes, and the page is text.",
        old="literal(resp.body)",
        new="literal(resp.text)",
    ),
]
