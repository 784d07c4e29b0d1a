"""What a log record costs with `argus.logging.Handler`, beside a `StreamHandler` that writes to nowhere.

    python python/bench/logging_cost.py [RUNS]

Both take turns in one process, with one logger each; a run is 2,000 records. Prints the median of wall
time per record, in nanoseconds, the cost of `logger.info` itself (a handler that does nothing) included
and beside it.
"""

from __future__ import annotations

import logging
import os
import statistics
import sys
import tempfile
import time

os.environ.setdefault("ARGUS_DB", os.path.join(tempfile.mkdtemp(), "bench.db"))

import argus
import argus.logging

RECORDS = 2_000
CALLS = {
    "plain message": lambda logger: logger.info("the cache is warm"),
    "two arguments": lambda logger: logger.info("order %d of %s", 7, "ann"),
    "two extras": lambda logger: logger.info("order", extra={"number": 7, "user": "ann"}),
}


def _logger(handler: logging.Handler) -> logging.Logger:
    logger = logging.Logger("bench")
    logger.addHandler(handler)
    return logger


def _run(logger: logging.Logger, call: object) -> float:
    began = time.perf_counter_ns()
    for _ in range(RECORDS):
        call(logger)
    return (time.perf_counter_ns() - began) / RECORDS


def main(runs: int) -> None:
    """Prints a line for each kind of record."""
    nowhere = open(os.devnull, "w")  # noqa: SIM115
    loggers = {
        "no handler": _logger(logging.NullHandler()),
        "StreamHandler": _logger(logging.StreamHandler(nowhere)),
        "argus": _logger(argus.logging.Handler()),
    }
    for name, call in CALLS.items():
        took = {subject: [] for subject in loggers}
        for _ in range(runs):
            for subject, logger in loggers.items():
                took[subject].append(_run(logger, call))
                # Nobody's collector runs while another is measured.
                argus.flush(30)
        told = (f"{subject} {statistics.median(times):,.0f}" for subject, times in took.items())
        print(f"{name}: {', '.join(told)} ns")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 30)
