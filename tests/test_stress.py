"""The program behind `make test-stress`."""

import subprocess
import sys
from pathlib import Path

import psutil
import pytest
from support import until

pytestmark = pytest.mark.process

STRESS = [sys.executable, str(Path(__file__).with_name("stress.py"))]


def test_it_runs_so_many_times_while_the_processors_are_busy(tmp_path):
    program = (
        "import os, psutil; from pathlib import Path\n"
        "load = psutil.Process(os.getppid()).children()\n"
        "assert len(load) == os.cpu_count() + 1, load\n"
        f"with Path({str(tmp_path / 'runs')!r}).open('a') as runs: runs.write('.')"
    )
    run = subprocess.run([*STRESS, "3", sys.executable, "-c", program], check=False)
    assert (run.returncode, (tmp_path / "runs").read_text()) == (0, "...")


def test_it_ends_with_the_first_run_that_fails():
    command = [sys.executable, "-c", "raise SystemExit(3)"]
    run = subprocess.run([*STRESS, "5", *command], stdout=subprocess.PIPE, text=True, check=False)
    assert (run.returncode, run.stdout.count("--- run")) == (3, 1)


def test_no_processor_is_kept_busy_by_one_that_was_killed():
    command = [sys.executable, "-c", "print('begun', flush=True); input()"]
    stress = subprocess.Popen(
        [*STRESS, "1", *command], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    while stress.stdout.readline() != "begun\n":
        pass
    load = psutil.Process(stress.pid).children()
    stress.kill()
    stress.communicate()
    until(lambda: not any(map(is_busy, load)))


def is_busy(process):
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
