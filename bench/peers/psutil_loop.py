"""Watches processes as a script around psutil does: `psutil_loop.py SECONDS PID...`.

Every so many seconds it reads CPU, memory and threads of each, keeps the last reading, and prints
nothing: what a script would do with its readings is not counted against psutil.
"""

import sys
import time

import psutil


def watch(seconds: float, pids: list[int]) -> None:
    """Reads all of them, again and again, until it is killed."""
    watched = [psutil.Process(pid) for pid in pids]
    latest: dict[int, tuple[float, int, int]] = {}
    due = time.monotonic()
    while True:
        for process in watched:
            with process.oneshot():
                latest[process.pid] = (
                    process.cpu_percent(),
                    process.memory_info().rss,
                    process.num_threads(),
                )
        due += seconds
        time.sleep(max(0.0, due - time.monotonic()))


if __name__ == "__main__":
    watch(float(sys.argv[1]), [int(pid) for pid in sys.argv[2:]])
