"""Children made in every way that Python has, each with a spool of its own.

`ARGUS_TORTURE_ROUNDS` says how many; `cargo xtask torture fork` makes ten thousand.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

CHILDREN = int(os.environ.get("ARGUS_TORTURE_ROUNDS", "60"))
EACH = 20
PATIENCE = 60

PROGRAM = '''
import argus, ctypes, multiprocessing, os, sys

CHILDREN, EACH, SAID = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
AT_ONCE = 6
libc = ctypes.PyDLL(None)


def say():
    """What this process counted of its own emits."""
    told = argus.stats()
    line = f"{told['emitted']} {told['dropped'] + told['errors_dropped']}\\n"
    with open(SAID, "a") as file:
        file.write(line)


@argus.monitor
def life(child):
    """Never returns: the process leaves in the middle of it."""
    for number in range(EACH):
        argus.metric("lane", child * 2**32 + number)
    say()
    os._exit(0)


def started_by(method):
    context = multiprocessing.get_context(method)

    def start(child):
        process = context.Process(target=life, args=(child,))
        process.start()

        def wait():
            process.join()
            assert process.exitcode == 0, (method, child, process.exitcode)

        return wait

    return start


def forked_by(fork):
    def start(child):
        pid = fork()
        if pid == 0:
            life(child)

        def wait():
            assert os.waitpid(pid, 0) == (pid, 0), child

        return wait

    return start


WAYS = [
    started_by("fork"),
    started_by("forkserver"),
    started_by("spawn"),
    forked_by(os.fork),
    forked_by(libc.fork),
    forked_by(lambda: libc.syscall(57)),
]

if __name__ == "__main__":
    for first in range(0, CHILDREN, AT_ONCE):
        last = min(first + AT_ONCE, CHILDREN)
        waits = []
        for child in range(first, last):
            argus.metric("lane", child)
            waits.append(WAYS[child % len(WAYS)](child + 1))
        for wait in waits:
            wait()
    assert argus.flush(60), argus.stats()
    say()
'''


def started(program: list[str], place: Path) -> None:
    done = subprocess.run(
        program,
        env={**os.environ, "ARGUS_DB": str(place)},
        capture_output=True,
        text=True,
        timeout=PATIENCE + CHILDREN,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_children_of_every_way_are_recorded_whole(tmp_path, store_at):
    script, said = tmp_path / "program.py", tmp_path / "said"
    script.write_text(PROGRAM)
    store = store_at(tmp_path / "run.db")
    started([sys.executable, str(script), str(CHILDREN), str(EACH), str(said)], store.path)

    def number(sql):
        return store.query(sql)[0][0]

    ended = "SELECT count(*) FROM producers WHERE ended_at_ns IS NOT NULL"
    deadline = time.monotonic() + PATIENCE
    while number(ended) < CHILDREN + 1:
        assert time.monotonic() < deadline, number(ended)
        time.sleep(0.01)

    counts = [tuple(map(int, line.split())) for line in said.read_text().splitlines()]
    assert len(counts) == CHILDREN + 1, "everybody had its say"
    emitted, lost = map(sum, zip(*counts, strict=True))
    stored = number("SELECT sum(stored) FROM producers")
    counted = number("SELECT coalesce(sum(normal + errors), 0) FROM gaps")
    damaged, unknown = store.query("SELECT sum(damaged), sum(unknown) FROM producers")[0]
    lanes = "FROM metrics WHERE name = 'lane'"
    doubled = number(f"SELECT count(*) - count(DISTINCT CAST(value AS INTEGER)) {lanes}")
    backwards = number(
        "SELECT count(*) FROM (SELECT value < lag(value) OVER ("
        f"PARTITION BY run_id ORDER BY id) AS back {lanes}) WHERE back"
    )
    print(
        f"fork, {CHILDREN} children of Python: accepted {emitted - lost}, stored {stored}, damaged "
        f"{damaged}; refused {lost}, counted as lost {counted}; doubled {doubled}, out of order "
        f"{backwards}, unknown {unknown}"
    )
    assert (stored, damaged) == (emitted - lost, 0)
    assert (counted, doubled, backwards, unknown) == (lost, 0, 0, 0)
    assert number(f"SELECT count(*) {lanes}") == CHILDREN * (EACH + 1), "every child was heard"
    lives = "FROM process_trace WHERE process LIKE '%life' AND exception LIKE 'interrupted:%'"
    assert number(f"SELECT count(*) {lives}") == CHILDREN, "each left in the middle of its life"
    assert number("SELECT count(*) FROM open_spans") == 0
