"""Packages that a few tests need, and that must not be in the environment of the others."""

import fcntl
import subprocess
import sys
from pathlib import Path
from zlib import crc32

import pytest


def installed(config: pytest.Config, requirements: Path) -> Path:
    """A folder, for PYTHONPATH, with the packages of a file; installed once."""
    name = f"{requirements.parent.name}-{crc32(requirements.read_bytes())}"
    folder = Path(config.cache.mkdir(name))  # type: ignore[union-attr]
    with (folder / "lock").open("w") as lock:
        # Another worker may be installing them.
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "installed").exists():
            install(folder, "--only-binary=:all:", "-r", str(requirements))
            (folder / "installed").touch()
    return folder


def install(folder: Path, *wanted: str) -> None:
    """Install packages into a folder, or skip the test."""
    # It takes a tenth of pip's time.
    uv = [Path(sys.executable).with_name("uv"), "pip", "install", "--quiet", "--no-deps"]
    uv += ["--python", sys.executable, "--target", str(folder)]
    done = subprocess.run([*uv, *wanted], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"{wanted[-1]} cannot be installed here: {done.stderr.strip()[-200:]}")
