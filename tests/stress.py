"""Runs a command again and again while each processor is busy: python stress.py TIMES COMMAND...

It ends with the first run that fails, and with that run's status.
"""

import os
import subprocess
import sys
from multiprocessing import get_context


def spin(parent: int) -> None:
    """Keep a processor busy until the parent process is gone, however it ended."""
    while os.getppid() == parent:
        for _ in range(1_000_000):
            pass


def main(times: int, command: list[str]) -> int:
    """Run the command so many times; returns the status of the last run."""
    # Children of ours, also where Python has another process start them by default.
    start = get_context("fork").Process
    load = [start(target=spin, args=[os.getpid()]) for _ in range(os.cpu_count() or 1)]
    for process in load:
        process.start()
    try:
        for number in range(1, times + 1):
            print(f"--- run {number} of {times}, with {len(load)} processors busy", flush=True)
            if status := subprocess.run(command, check=False).returncode:
                return status
        return 0
    finally:
        for process in load:
            process.kill()
            process.join()


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), sys.argv[2:]))
