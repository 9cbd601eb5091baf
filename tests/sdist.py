"""Fetches the source distributions that tests read, once for all checkouts."""

import os
import subprocess
import sys
import tarfile
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from packages import kept


def unpack(name: str, version: str, folder: Path) -> Path:
    """Unpack a source distribution of PyPI below a folder, and return where it is."""
    archive = kept("sdists") / f"{name}-{version}.tar.gz"
    if not archive.exists():
        # Another process may be fetching it, too: each puts its own in place, whole.
        with TemporaryDirectory(dir=archive.parent) as fetched:
            pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
            pip += ["--no-binary", ":all:", "--no-build-isolation", "--dest", fetched]
            done = subprocess.run([*pip, f"{name}=={version}"], stderr=subprocess.PIPE, text=True)
            if done.returncode and not os.environ.get("CI"):
                pytest.skip(f"{name} {version} cannot be fetched: {done.stderr[-200:]}")
            assert done.returncode == 0, done.stderr
            os.replace(Path(fetched, archive.name), archive)
    with tarfile.open(archive) as file:
        file.extractall(folder)
    return folder / f"{name}-{version}"
