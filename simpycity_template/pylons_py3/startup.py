"""Hooks into ``import``; the whole cost of this package where Pylons is not used.

A ``.pth`` file, which every interpreter of the environment reads, imports this module with the
first import of a package that is named here. It loads nothing else, and leaves the work to
``importer``.
"""

import sys

# The top-level packages of which modules are translated, corrected or replaced.
PACKAGES = frozenset({"pylons", "webhelpers", "weberror", "paste", "routes", "nose"})


class Finder:
    """A meta path finder that knows only `PACKAGES`."""

    @staticmethod
    def find_spec(fullname, path=None, target=None):
        """Return the spec of a module that needs us, or None for any other."""
        if fullname.partition(".")[0] not in PACKAGES:
            return None
        from simpycity_template.pylons_py3 import importer

        return importer.find_spec(fullname, path, target)


def install() -> None:
    """Put the finder before the ordinary ones, once."""
    if Finder not in sys.meta_path:
        sys.meta_path.insert(0, Finder)


install()
