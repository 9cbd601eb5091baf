"""Corrects Simpycity, whose installed package stays unchanged.

``install()`` puts everything into place; nothing is corrected before it is called, and it can be
called again.
"""

import sys


def install() -> None:
    """Correct Simpycity's handles, cursors, query objects and models in this process."""
    # Each module corrects what it is named after, in place, because applications have imported
    # Simpycity's classes already, and subclass them.
    earlier = "simpycity.core" in sys.modules
    from simpycity_template.simpycity_patches import (  # noqa: F401
        cursor,
        declarations,
        handle,
        model,
        query,
        rows,
    )

    if earlier:
        # An application may have imported it, and made queries, before it made its manager.
        declarations.note_earlier(sys.modules["simpycity.core"].meta_query)
