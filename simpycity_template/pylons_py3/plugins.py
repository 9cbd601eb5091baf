"""What others add to ``paster shell``. They are named in setup.py, and not here.

shell_console   (names) → the console of ``paster shell``
shell_ipython   (shell, names) → IPython's shell, prepared
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
