"""Corrects Simpycity, whose installed package stays unchanged.

``install()`` puts everything into place; nothing is corrected before it is called, and it can be
called again.
"""


def install() -> None:
    """Correct Simpycity's handles, cursors, query objects and models in this process."""
    # Each module corrects what it is named after, in place, because applications have imported
    # Simpycity's classes already, and subclass them.
    from simpycity_template.simpycity_patches import cursor, handle, model, query  # noqa: F401
