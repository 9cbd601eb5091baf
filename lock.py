"""`make lock`: writes down which version of each package is installed from a checkout.

`constraints.txt` holds one version of all that setup.py asks for, extras included, and of all
that those need in turn: for each Python from 3.10 to 3.14, on any system. `psycopg2-from-binary`
is set to the version of psycopg2 that stands there.

It has no hashes: pip then refuses folders, which the checkout and psycopg2-from-binary are, and
machines whose index serves builds of its own would not install at all.
"""

import argparse
import itertools
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parent
BINARIES = "psycopg2-from-binary/pyproject.toml"
PYTHONS = ("3.10", "3.11", "3.12", "3.13", "3.14")
WITHOUT_WHEELS = ("psycogreen", "psycopg2", "weberror", "webhelpers")
"""Only psycopg2 needs a compiler, and psycopg2-from-binary takes its place; the others are pure."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path, help="where to write; . for the checkout")
    parser.add_argument("--extras", nargs="+", help="lock these alone (default: all)")
    parser.add_argument("--oldest", action="store_true", help="the oldest that setup.py allows")
    parser.add_argument("--keep", action="store_true", help="keep what is locked, add what is not")
    given = parser.parse_args()
    extras = [f"--extra={extra}" for extra in given.extras or ()] or ["--all-extras"]
    resolution = f"--resolution={'lowest-direct' if given.oldest else 'highest'}"
    # The oldest have no wheels for the newest Pythons, so they are for the one that runs this.
    pythons = ("{}.{}".format(*sys.version_info),) if given.oldest else PYTHONS
    with tempfile.TemporaryDirectory() as name:
        new = Path(name)
        if given.keep:
            # uv changes what stands there only where it must.
            shutil.copy(given.folder / "constraints.txt", new)
        write(new, [*extras, resolution], pythons)
        check_wheels(new, pythons)
        for file in ("constraints.txt", BINARIES):
            put(new / file, given.folder / file)


def write(folder: Path, options: list[str], pythons: Sequence[str]) -> None:
    """Write both files into a folder."""
    constraints = folder / "constraints.txt"
    command = [
        *options, "--universal", f"--python-version={pythons[0]}", "--no-annotate",
        "--custom-compile-command=make lock", f"--output-file={constraints}", "setup.py",
    ]  # fmt: skip
    resolve(*command)
    (version,) = re.findall(r"(?m)^psycopg2==(\S+)", constraints.read_text())
    binaries = folder / BINARIES
    binaries.parent.mkdir()
    text = (CHECKOUT / BINARIES).read_text()
    binaries.write_text(re.sub(r'(version = "|psycopg2-binary==)[\d.]+', rf"\g<1>{version}", text))
    resolve(*command, str(binaries))


def check_wheels(folder: Path, pythons: Sequence[str]) -> None:
    """End unless all can be installed without a compiler; on ARM, what the demo needs."""
    everything, demo = folder / "constraints.txt", folder / "demo.txt"
    resolve("--universal", f"--python-version={pythons[0]}", "--extra=embedded", "setup.py",
            f"--constraint={everything}", f"--output-file={demo}")  # fmt: skip
    for file, platforms in {
        everything: ["x86_64-unknown-linux-gnu"],
        demo: ["aarch64-unknown-linux-gnu", "aarch64-apple-darwin"],
    }.items():
        binary = folder / "binary.txt"
        binary.write_text(re.sub(rf"(?m)^({'|'.join(WITHOUT_WHEELS)})==.*\n", "", file.read_text()))
        for python, platform in itertools.product(pythons, platforms):
            # Offline, because the index has been read: what it lists is in uv's cache.
            resolve("--offline", "--no-deps", "--only-binary=:all:", f"--python-version={python}",
                    f"--python-platform={platform}", str(binary))  # fmt: skip


def resolve(*arguments: str) -> None:
    """Run `uv pip compile`, also for pip itself; end the program where it fails."""
    uv = Path(sys.executable).with_name("uv")
    done = subprocess.run(
        # Any Python will do to build with; uv would look at each that is there.
        [uv, "pip", "compile", "--quiet", f"--python={sys.executable}", *arguments, "-"],
        cwd=CHECKOUT,
        input="pip>=25.3\n",
        stdout=subprocess.DEVNULL,
        text=True,
        check=False,
    )
    if done.returncode:
        sys.exit(f"Nothing was written: uv pip compile {shlex.join(arguments)} failed.")


def put(new: Path, place: Path) -> None:
    """Put a file where it belongs, whole or not at all."""
    place.parent.mkdir(parents=True, exist_ok=True)
    beside = place.with_name(place.name + ".new")
    shutil.copy(new, beside)
    os.replace(beside, place)


if __name__ == "__main__":
    main()
