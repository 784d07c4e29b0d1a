"""Measures the sources of Python's own standard library.

    python examples/measure_stdlib --limit 200

A program like many: it reads real files, works in child processes and threads, calls another
program and waits for it, writes a log, and meets input that it cannot handle. All it does for
being watched is to import `argus`, decorate some functions, and name a few numbers and stretches of
work; its output is the same whether anyone watches or not.
"""

from __future__ import annotations

import argparse
import json
import logging
import multiprocessing
import pathlib
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import argus

import bytecode
import doctests
import imports
import logfile
import measure
import report
import sources

log = logging.getLogger("measure_stdlib")


def main() -> int:
    """Measures, reports, and returns the exit code."""
    options = parse_arguments()
    logfile.append_to(options.log)
    started = time.monotonic()
    paths = sources.find_sources(options.limit)
    if not paths:
        print(f"no Python sources below {sources.ROOT}", file=sys.stderr)
        return 1
    print(f"{len(paths):,} files below {sources.ROOT}", flush=True)
    log.info("found %d files below %s", len(paths), sources.ROOT)

    # The children are forked before the first thread starts: a fork would copy only one of them.
    with (
        multiprocessing.Pool(options.jobs, logfile.append_to, (options.log,)) as children,
        tempfile.TemporaryDirectory(prefix="measure_stdlib-") as scratch,
        ThreadPoolExecutor(2 + options.jobs, thread_name_prefix="worker") as threads,
    ):
        # After the fork, because a child must end at once when it is told to.
        signal.signal(signal.SIGTERM, stop)
        compiled = threads.submit(bytecode.compile_sources, paths, pathlib.Path(scratch))
        modules, refused = measure_in(children, paths)
        examples: Counter[str] = Counter()
        for found in threads.map(check_examples, modules):
            examples.update(found)
        with argus.span("import graph", modules=len(modules)):
            graph = imports.build_graph(modules)
            cycles = imports.find_cycles(graph)
        print("waiting for the compiler ...", flush=True)
        code_bytes = compiled.result()

    seconds = time.monotonic() - started
    argus.metric("files_per_second", len(paths) / seconds)
    log.info("measured %d files in %.1f s", len(paths), seconds)
    print(report.summary(modules, refused, examples, graph, cycles, code_bytes, seconds))
    if options.summary:
        numbers = {"measured": len(paths), "refused": len(refused), "seconds": round(seconds, 1)}
        options.summary.write_text(json.dumps(numbers) + "\n")
    return 0


def stop(number: int, _frame: object) -> None:
    """Ends the program in order: without it the children would wait for work for ever."""
    log.warning("stopped by signal %d", number)
    sys.exit(128 + number)


def measure_in(
    children: multiprocessing.pool.Pool, paths: Sequence[pathlib.Path]
) -> tuple[list[measure.Module], list[measure.Refusal]]:
    """Measures every file in the child processes, and says how far it is."""
    modules: list[measure.Module] = []
    refused: list[measure.Refusal] = []
    for done, answer in enumerate(children.imap_unordered(measure.try_file, paths, 8), start=1):
        if isinstance(answer, measure.Refusal):
            refused.append(answer)
            log.warning("cannot parse %s: %s", answer.path, answer.reason)
        else:
            modules.append(answer)
        if done % 200 == 0 or done == len(paths):
            argus.metric("files_measured", done)
            log.info("%d of %d files measured", done, len(paths))
            print(f"  measured {done:,} of {len(paths):,}", flush=True)
    return sorted(modules, key=lambda module: module.name), refused


def check_examples(module: measure.Module) -> Counter[str]:
    """Counts the examples in a module's documentation, and those that are no Python."""
    counts: Counter[str] = Counter()
    for text in module.documentation:
        try:
            counts["fine"] += doctests.parse_examples(module.name, text)
        except (SyntaxError, ValueError) as error:
            counts["broken"] += 1
            log.warning("%s documents an example that is no Python: %s", module.name, error)
    return counts


def parse_arguments() -> argparse.Namespace:
    """The command line; ends the program when it is wrong."""
    parser = argparse.ArgumentParser(
        prog="measure_stdlib", description="Measures the sources of Python's own standard library."
    )
    parser.add_argument(
        "--limit", type=positive, metavar="N", help="measure about N files, spread over all"
    )
    parser.add_argument(
        "--jobs", type=positive, default=2, metavar="N", help="child processes (default: 2)"
    )
    parser.add_argument(
        "--log",
        type=pathlib.Path,
        default=pathlib.Path(tempfile.gettempdir()) / "measure_stdlib.log",
        metavar="FILE",
        help="where to log (default: %(default)s)",
    )
    parser.add_argument(
        "--summary", type=pathlib.Path, metavar="FILE", help="write the main numbers as JSON"
    )
    return parser.parse_args()


def positive(text: str) -> int:
    """A whole number above 0."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return number


if __name__ == "__main__":
    sys.exit(main())
