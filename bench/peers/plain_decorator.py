"""The monitor decorator as its specification (document 4) sketches it, in plain Python.

Smart serializer, error-first queue with overflow ring, and a writer thread that wakes ten times a second
and inserts batches of 100 (larger ones under pressure, its strategy 3) into the two trace tables with
their keys and indexes. WAL is on, and `synchronous` is NORMAL, which is kind to it. A row that meets its
primary key again is dropped, as that schema has it.
"""

from __future__ import annotations

import functools
import inspect
import queue
import sqlite3
import threading
import time
import traceback
from collections import deque
from datetime import datetime, timezone

SCHEMA = """
CREATE TABLE process_trace (
    ts TEXT NOT NULL, process TEXT NOT NULL, status TEXT NOT NULL,
    duration_ms REAL NOT NULL, exception TEXT, PRIMARY KEY (ts, process));
CREATE TABLE data_trace (
    ts TEXT NOT NULL, process TEXT NOT NULL, data TEXT NOT NULL, data_type TEXT NOT NULL,
    data_value TEXT NOT NULL, status TEXT NOT NULL, exception TEXT,
    PRIMARY KEY (ts, process, data, data_type));
CREATE INDEX idx_process_ts ON process_trace(process, ts DESC);
CREATE INDEX idx_data_process ON data_trace(process);
CREATE INDEX idx_ts_window ON process_trace(ts);
"""
SENSITIVE = ("password", "api_key", "token")
MAX_REPR = 1_000
BATCH = 100
PERIOD_SECONDS = 0.1


def serialize(name, value):
    """The smart serializer: primitives by repr, containers shallow, objects by class."""
    if any(word in name for word in SENSITIVE):
        return "***"
    if value is None or isinstance(value, (bool, int, float, str, bytes)):
        return repr(value)[:MAX_REPR]
    if isinstance(value, dict):
        shown = ", ".join(f"{key!r}: ..." for key in list(value)[:2])
        return f"{{{shown}, +{max(0, len(value) - 2)} more}}"
    if isinstance(value, (list, tuple, set)):
        return f"{type(value).__name__}[{len(value)}]"
    return f"<{type(value).__name__} at {id(value):#x}>"


class ErrorFirstQueue:
    """Errors always get in, other records overflow into a ring."""

    def __init__(self):
        """Nothing waits."""
        self.errors = queue.Queue()
        self.normal = queue.Queue(maxsize=10_000)
        self.overflow = deque(maxlen=50_000)

    def put(self, record):
        """Takes one record."""
        if record["status"] == "ERR":
            self.errors.put(record)
            return
        try:
            self.normal.put_nowait(record)
        except queue.Full:
            self.overflow.append(record)

    def depth(self):
        """Records that wait."""
        return self.errors.qsize() + self.normal.qsize() + len(self.overflow)

    def drain(self, most):
        """At most this many records, errors first; refills from the ring."""
        batch = []
        while not self.errors.empty() and len(batch) < most:
            batch.append(self.errors.get())
        while not self.normal.empty() and len(batch) < most:
            batch.append(self.normal.get())
        while self.overflow and not self.normal.full():
            self.normal.put(self.overflow.popleft())
        return batch


class BatchWriter(threading.Thread):
    """Ten times a second: what waits, in one transaction."""

    def __init__(self, records, path):
        """Writes these records into a database of its own."""
        super().__init__(name="BatchWriter", daemon=True)
        self.records = records
        self.path = path
        self.written = 0

    def run(self):
        """Runs until the process ends."""
        database = sqlite3.connect(self.path)
        database.execute("PRAGMA journal_mode=WAL")
        database.execute("PRAGMA synchronous=NORMAL")
        database.executescript(SCHEMA)
        while True:
            depth = self.records.depth()
            batch = self.records.drain(BATCH if depth < 10 * BATCH else depth)
            if batch:
                self.insert(database, batch)
                self.written += len(batch)
            time.sleep(PERIOD_SECONDS)

    @staticmethod
    def insert(database, batch):
        """One transaction for both tables."""
        calls, values = [], []
        for record in batch:
            ts, process, status = record["ts"], record["process"], record["status"]
            exception = record["exception"]
            calls.append((ts, process, status, record["duration_ms"], exception))
            for name, kind, value in record["data"]:
                values.append((ts, process, name, kind, value, status, exception))
        with database:
            database.executemany("INSERT OR IGNORE INTO process_trace VALUES (?,?,?,?,?)", calls)
            database.executemany("INSERT OR IGNORE INTO data_trace VALUES (?,?,?,?,?,?,?)", values)


class Monitoring:
    """A queue, its writer, and the decorator that feeds them."""

    def __init__(self, path):
        """Starts the writer."""
        self.records = ErrorFirstQueue()
        self.writer = BatchWriter(self.records, path)
        self.emitted = 0
        self.writer.start()

    def settle(self):
        """Waits until everything is written."""
        while self.writer.written < self.emitted:
            time.sleep(0.005)

    def monitor(self, function):
        """The decorator, with arguments and result."""
        process = f"{function.__module__}.{function.__qualname__}"
        signature = inspect.signature(function)

        @functools.wraps(function)
        def wrapper(*args, **kwargs):
            bound = signature.bind(*args, **kwargs)
            bound.apply_defaults()
            data = [(n, "INPUT", serialize(n, v)) for n, v in bound.arguments.items()]
            started = time.perf_counter()
            status, exception = "OK", None
            try:
                result = function(*args, **kwargs)
                data.append(("result", "OUTPUT", serialize("result", result)))
                return result
            except BaseException:
                status, exception = "ERR", traceback.format_exc()
                raise
            finally:
                self.emitted += 1
                self.records.put({
                    "ts": datetime.now(timezone.utc).isoformat(),
                    "process": process,
                    "status": status,
                    "duration_ms": (time.perf_counter() - started) * 1_000,
                    "exception": exception,
                    "data": data,
                })  # fmt: skip

        return wrapper
