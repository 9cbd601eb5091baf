"""A python3 for the PATH that makes virtual environments in a twentieth of the time."""

import ensurepip
import shlex
import sys
import sysconfig
from pathlib import Path

# ensurepip unpacks pip, has it import itself from an archive, and compiles it: 7 seconds of a processor.
SCRIPT = """\
#!/bin/sh
if [ "$1 $2" = "-m venv" ]; then
    for folder; do :; done
    {python} "$@" --without-pip &&
        exec {uv} pip install --quiet --python "$folder" {wanted}
    exit 1
fi
exec {python} "$@"
"""

_wheels = sysconfig.get_config_var("WHEEL_PKG_DIR") or Path(ensurepip.__file__, "..", "_bundled")
# As ensurepip does: the pip that Python brings, because it is the one that a new user has.
_wanted = ["--no-index", f"--find-links={_wheels}", "pip"]
_wanted += ["setuptools"] if sys.version_info < (3, 12) else []


def put_python(folder: Path) -> None:
    """Write a python3 into a folder, which exists."""
    python = folder / "python3"
    uv = Path(sys.executable).with_name("uv")
    python.write_text(
        SCRIPT.format(
            python=shlex.quote(sys.executable), uv=shlex.quote(str(uv)), wanted=shlex.join(_wanted)
        )
    )
    python.chmod(0o755)
