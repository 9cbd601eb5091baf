"""What others add to Pylons' commands. They are named in setup.py, and not here.

shell_console       (names) → the console of ``paster shell``
shell_ipython       (shell, names) → IPython's shell, prepared
controller_file     (template, vars) → the text of a file of ``paster controller``, or None for Pylons' own
controller_address  (package, name) → what ``paster controller`` says at its end, or None
controller_route    (package, folder, resource) → what ``paster restcontroller`` says at its end, or None
"""

from collections.abc import Callable
from importlib.metadata import entry_points
from typing import Any

GROUP = "simpycity_template.pylons_py3"


def plugin(name: str) -> Callable[..., Any] | None:
    """The function that is registered under a name; None where there is none."""
    for entry in entry_points(group=GROUP, name=name):
        function: Callable[..., Any] = entry.load()
        return function
    return None
