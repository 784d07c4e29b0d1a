"""What `@argus.monitor` and its peers add to a call. `cargo xtask bench instrument` starts this.

    python bench/peers/compare.py [--runs 150] [--calls 1000] [--burst]

All subjects take turns in one process; after each run a subject settles (its queue is written, its batch
is exported, the collector has committed), so that no one's threads run while another is measured. Prints
as JSON what each adds to the undecorated call, in nanoseconds: medians of wall time, CPU time of the
calling thread, and CPU time of the whole process until the subject has settled.

With ``--burst`` only Argus is measured, and does not wait.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass
from typing import Any, Callable

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "..", "python", "bench")]

import instrument  # noqa: E402

import argus  # noqa: E402


def add(x, y):
    """What is measured."""
    return x + y


async def add_async(x, y):
    """The same as a coroutine function."""
    return x + y


def _nothing():
    pass


@dataclass
class Subject:
    """One way to instrument the function."""

    name: str
    function: Any
    run: Callable = instrument.call
    begin: Callable = _nothing
    end: Callable = _nothing
    settle: Callable = _nothing


def argus_subjects(burst):
    """Argus, sync and async."""

    def settle():
        argus.flush(30.0)

    nothing = {"args": False, "result": False}
    unmoved = _nothing if burst else settle
    coroutine = {"run": instrument.await_each, "settle": unmoved}
    return [
        Subject("argus, args + result", argus.monitor(add), settle=unmoved),
        Subject("argus, no capture", argus.monitor(capture=nothing)(add), settle=unmoved),
        Subject("argus, async, args + result", argus.monitor(add_async), **coroutine),
        Subject("argus, async, no capture", argus.monitor(capture=nothing)(add_async), **coroutine),
    ]


def plain_subjects(folder):
    """The decorator of document 4 in Python."""
    from plain_decorator import Monitoring

    monitoring = Monitoring(os.path.join(folder, "plain.db"))
    return [Subject("plain decorator", monitoring.monitor(add), settle=monitoring.settle)]


def opentelemetry_subjects():
    """OpenTelemetry's SDK and logfire, which is built on it; spans are batched and thrown away."""
    import logfire
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import (
        BatchSpanProcessor,
        SpanExporter,
        SpanExportResult,
    )

    class Nowhere(SpanExporter):
        def export(self, spans):
            return SpanExportResult.SUCCESS

    provider = TracerProvider()
    provider.add_span_processor(BatchSpanProcessor(Nowhere()))
    tracer = provider.get_tracer("bench")

    def bare(x, y):
        with tracer.start_as_current_span("compare.add"):
            return add(x, y)

    def with_attributes(x, y):
        with tracer.start_as_current_span("compare.add") as span:
            span.set_attribute("x", x)
            span.set_attribute("y", y)
            result = add(x, y)
            span.set_attribute("result", result)
            return result

    logfire.configure(
        send_to_logfire=False,
        console=False,
        metrics=False,
        inspect_arguments=False,
        additional_span_processors=[BatchSpanProcessor(Nowhere())],
    )
    decorated = logfire.instrument("compare.add", record_return=True)(add)
    return [
        Subject("OpenTelemetry, batch, no attributes", bare, settle=provider.force_flush),
        Subject("OpenTelemetry, batch + attributes", with_attributes, settle=provider.force_flush),
        Subject("logfire", decorated, settle=logfire.force_flush),
    ]


def viztracer_subjects():
    """viztracer traces every call between start and stop, decorated or not."""
    from viztracer import VizTracer

    tracer = VizTracer(verbose=0)
    return [Subject("viztracer", add, begin=tracer.start, end=tracer.stop, settle=tracer.clear)]


def measure_once(subject, calls):
    """Wall, CPU of the thread, and CPU of the process to the end of settling, for one call."""
    process = time.process_time_ns()
    subject.begin()
    wall, thread = subject.run(subject.function, calls)
    subject.end()
    subject.settle()
    return wall, thread, (time.process_time_ns() - process) / calls


def measure(subjects, options):
    """The medians of every subject, by name."""
    rows = {subject.name: [] for subject in subjects}
    pause = 0 if options.burst else options.calls * instrument.PAUSE_PER_CALL_SECONDS
    warm_from = time.monotonic() + (0 if options.burst else instrument.WARM_UP_SECONDS)
    while min(map(len, rows.values())) < options.runs:
        warm = time.monotonic() >= warm_from
        for subject in subjects:
            row = measure_once(subject, options.calls)
            time.sleep(pause)
            if warm:
                rows[subject.name].append(row)
    return {
        name: [statistics.median(column) for column in zip(*kept)] for name, kept in rows.items()
    }


def main() -> None:
    """Measures and prints one JSON object."""
    parser = argparse.ArgumentParser(description="What instrumentation adds to a call.")
    parser.add_argument("--runs", type=int, default=150)
    parser.add_argument("--calls", type=int, default=1_000)
    parser.add_argument("--burst", action="store_true", help="only Argus, without waiting")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        sync = Subject("undecorated", add)
        coroutine = Subject("undecorated, async", add_async, run=instrument.await_each)
        subjects = [sync, coroutine, *argus_subjects(options.burst)]
        if not options.burst:
            subjects += plain_subjects(folder) + opentelemetry_subjects() + viztracer_subjects()
        medians = measure(subjects, options)
        added = {}
        for subject in subjects[2:]:
            base = sync if subject.run is instrument.call else coroutine
            pairs = zip(medians[subject.name], medians[base.name])
            keys = ("wall_ns", "thread_cpu_ns", "process_cpu_ns")
            added[subject.name] = dict(zip(keys, (cost - less for cost, less in pairs)))
        stats = argus.stats()
        print(f"    argus: {stats}", file=sys.stderr)
        print(json.dumps({"undecorated_ns": medians["undecorated"], "added": added}))


if __name__ == "__main__":
    main()
