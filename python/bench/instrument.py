"""What `@argus.monitor` adds to a call, in nanoseconds.

    python python/bench/instrument.py [--runs 300] [--calls 1000]

Runs are interleaved (undecorated, decorated without capture, decorated with arguments and result), so
that a change of the machine's pace meets all of them; the median over the runs is printed, wall and
CPU time of the calling thread. It waits after every run until the collector has everything and sleeps
a little, so that chunks come back at the pace at which they are filled: the sustained state, after a
warm-up of some seconds. With `ARGUS_COLLECTOR=off`, or with `--burst`, every run meets fresh pages.

Records go to a temporary database of its own.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import statistics
import tempfile
import time

# The collector gives chunks back once a second.
WARM_UP_SECONDS = 4
PAUSE_PER_CALL_SECONDS = 5e-6


def _cases(argus):
    def plain(x, y):
        return x + y

    async def plain_async(x, y):
        return x + y

    nothing = {"args": False, "result": False}
    return (
        ("sync", call, plain, {
            "no capture": argus.monitor(capture=nothing)(plain),
            "args + result": argus.monitor(plain),
        }),
        ("async", await_each, plain_async, {
            "no capture": argus.monitor(capture=nothing)(plain_async),
            "args + result": argus.monitor(plain_async),
        }),
    )  # fmt: skip


def call(function, calls):
    """Wall and CPU nanoseconds of one call, of so many."""
    wall, cpu = time.perf_counter_ns(), time.thread_time_ns()
    for number in range(calls):
        function(number, 2)
    return _per_call(wall, cpu, calls)


def await_each(function, calls):
    """The same for a coroutine function, awaited one after the other."""

    async def loop():
        wall, cpu = time.perf_counter_ns(), time.thread_time_ns()
        for number in range(calls):
            await function(number, 2)
        return _per_call(wall, cpu, calls)

    return asyncio.run(loop())


def _per_call(wall, cpu, calls):
    cpu, wall = time.thread_time_ns() - cpu, time.perf_counter_ns() - wall
    return wall / calls, cpu / calls


def _measure(argus, run, plain, decorated, options):
    functions = {"undecorated": plain, **decorated}
    times = {name: [] for name in functions}
    warm_from = time.monotonic() + (0 if options.burst else WARM_UP_SECONDS)
    while len(times["undecorated"]) < options.runs:
        for name, function in functions.items():
            measured = run(function, options.calls)
            if not options.burst:
                argus.flush(30.0)
                time.sleep(options.calls * PAUSE_PER_CALL_SECONDS)
            if time.monotonic() >= warm_from:
                times[name].append(measured)
    return {
        name: [statistics.median(column) for column in zip(*rows)] for name, rows in times.items()
    }


def main() -> None:
    """Measures and prints one table."""
    parser = argparse.ArgumentParser(description="What @argus.monitor adds to a call.")
    parser.add_argument("--runs", type=int, default=300)
    parser.add_argument("--calls", type=int, default=1_000)
    parser.add_argument("--burst", action="store_true", help="do not wait between the runs")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        os.environ["ARGUS_DB"] = os.path.join(folder, "bench.db")
        import argus

        if os.environ.get("ARGUS_COLLECTOR") == "off":
            options.burst = True
        print(f"{'':8}{'':16}{'wall ns':>10}{'CPU ns':>10}{'added wall':>12}{'added CPU':>12}")
        for kind, run, plain, decorated in _cases(argus):
            medians = _measure(argus, run, plain, decorated, options)
            base_wall, base_cpu = medians["undecorated"]
            for name, (wall, cpu) in medians.items():
                added = f"{wall - base_wall:12.1f}{cpu - base_cpu:12.1f}"
                print(f"{kind:8}{name:16}{wall:10.1f}{cpu:10.1f}{added}")
        stats = argus.stats()
        print(f"emitted {stats['emitted']}, waiting {stats['depth']}, dropped {stats['dropped']}")


if __name__ == "__main__":
    main()
