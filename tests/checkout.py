"""Copies the checkout."""

import shutil
from pathlib import Path

from pages import ROOT

# What is made in it. Other processes may be writing byte code there at this moment.
MADE = (".*", "__pycache__", "build", "dist", "*.egg-info", "_build")


def copy_checkout(folder: Path, *without: str) -> None:
    """Copy the checkout to a folder that is not there yet, but for what was made in it.

    Arguments:
        folder: where the copy is.
        without: patterns of further names that are left out.
    """
    shutil.copytree(ROOT, folder, ignore=shutil.ignore_patterns(*MADE, *without))
