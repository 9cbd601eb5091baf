"""What `paster` says of a mistake that is not one of the application's code.

One sentence on stderr, in place of a traceback that leads through PasteScript.
"""

import sys
from collections.abc import Callable
from functools import wraps
from typing import Any

import pkg_resources


def told(run: Callable[[Any], Any]) -> Callable[..., Any]:
    """Decorator of PasteScript's ``run``: a known mistake ends it with a sentence and status 1."""

    @wraps(run)
    def run_and_tell(args=None):
        try:
            return run(args)
        except Exception as error:
            said = sentence(error)
            if said is None:
                raise
            sys.exit(said)

    return run_and_tell


def sentence(error: Exception) -> str | None:
    """Return what to tell of a mistake, or None of an error that needs its traceback."""
    if isinstance(error, pkg_resources.DistributionNotFound):
        return _missing(error.req, error.requirers)
    if isinstance(error, pkg_resources.VersionConflict):
        needing = getattr(error, "required_by", ())
        return (
            f"{_needs(error.req, needing)}, and {error.dist.version} is installed{_cure(error.req)}"
        )
    return None


def _missing(requirement, needing) -> str:
    if not needing:
        return f"{requirement} is not installed here."
    return f"{_needs(requirement, needing)}, which is not installed{_cure(requirement)}"


def _needs(requirement, needing) -> str:
    return f"{' and '.join(sorted(needing)) or 'This'} needs {requirement}"


def _cure(requirement) -> str:
    return f': pip install "{requirement}"'
