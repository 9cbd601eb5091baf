"""What takes long to get, kept for all checkouts, and packages that only a few tests may have."""

import fcntl
import os
import subprocess
import sys
from pathlib import Path
from zlib import crc32

import pytest

# It takes a tenth of pip's time.
UV = [str(Path(sys.executable).with_name("uv")), "pip", "install", "--quiet", "--no-deps"]
UV += ["--python", sys.executable]


def kept(name: str) -> Path:
    """A folder that the tests of all checkouts share."""
    caches = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = caches / "simpycity_template" / "tests" / name
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def installed(requirements: Path, python2: str | None = None) -> Path:
    """A folder, for PYTHONPATH, with the packages of a file; installed once for all checkouts.

    Arguments:
        requirements: the file.
        python2: the program of a Python 2.7, where they are for that.
    """
    python = "python2" if python2 else sys.implementation.cache_tag
    folder = kept(f"{requirements.parent.name}-{python}-{crc32(requirements.read_bytes())}")
    with (folder / "lock").open("w") as lock:
        # Another worker may be installing them.
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "installed").exists():
            if python2:
                pip = [python2, "-m", "pip", "install", "--quiet"]
                _install(pip, folder, "-r", str(requirements))
            else:
                install(folder, "--only-binary=:all:", "-r", str(requirements))
            (folder / "installed").touch()
    return folder


def install(folder: Path, *wanted: str) -> None:
    """Install packages into a folder, or skip the test."""
    _install(UV, folder, *wanted)


def _install(installer: list[str], folder: Path, *wanted: str) -> None:
    command = [*installer, "--target", str(folder), *wanted]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"{wanted[-1]} cannot be installed here: {done.stderr.strip()[-200:]}")
