"""Where the results of a benchmark go: to the screen, and into the documentation."""

import os
import platform
from pathlib import Path

import psycopg2

DOCS = Path(__file__).parent.parent / "docs"


def conditions():
    """What a figure depends on beside the code, in one line."""
    return (
        f"{os.cpu_count()} cores, Python {platform.python_version()}, "
        f"psycopg2 {psycopg2.__version__.split()[0]}, "
        f"libpq {psycopg2.extensions.libpq_version() // 10000}, {platform.system()}"
    )


def publish(name, text):
    """Print ``text``, and put it into the documentation as the results called ``name``."""
    text = f"{text}\n\n({conditions()})\n"
    print(text)
    (DOCS / f"speed_{name}.txt").write_text(text)
