"""Argus: a flight recorder for programs.

    import argus

    @argus.monitor
    def price(book, *, token): ...

Every call is recorded with its arguments, its result or exception, its duration, thread, and parent,
and is visible to ``argus watch`` from the moment it begins. What was recorded survives any death of the
program. ``ARGUS_DISABLE=1`` turns everything off.
"""

from __future__ import annotations

import importlib as _importlib
import os as _os
import sys as _sys

from argus import _carry, _native
from argus._options import monitor
from argus._session import event, session
from argus.propagation import continue_trace, inject, traceparent

__all__ = [
    "Profiler",
    "auto_instrument_module",
    "continue_trace",
    "event",
    "flush",
    "inject",
    "metric",
    "monitor",
    "session",
    "span",
    "stats",
    "traceparent",
]
__version__ = "0.1.0"

span = _native.span
metric = _native.metric
stats = _native.stats


def flush(timeout: float = 5.0) -> bool:
    """Waits until everything that this process has emitted so far is in the store.

    Answers whether it is; after ``timeout`` seconds it answers ``False``, and nothing is lost: the
    records wait for a collector.
    """
    return _native.flush(timeout)


# Few programs want these, and every one pays for what is imported.
_LATER = {
    "Profiler": "argus._profiler",
    "TraceTime": "argus.legacy",
    "auto_instrument_module": "argus._auto",
}


def __getattr__(name: str) -> object:
    """Loads what is not needed by every program when it is first asked for."""
    if name not in _LATER:
        raise AttributeError(f"module 'argus' has no attribute {name!r}")
    value = getattr(_importlib.import_module(_LATER[name]), name)
    globals()[name] = value
    return value


def _command() -> str | None:
    """The ``argus`` command that came with this package: where its installer puts commands."""
    package = _os.path.dirname(_os.path.abspath(__file__))
    parts = (("..", "..", "..", "..", "bin"), ("..", "bin"))
    paths = (_os.path.normpath(_os.path.join(package, *part, "argus")) for part in parts)
    return next((path for path in paths if _os.access(path, _os.X_OK)), None)


_native.configure(f"python {_sys.version.split()[0]}", _command())
if not _native.disabled():
    _carry.install()
    if _os.environ.get("ARGUS_INSTRUMENT"):
        _importlib.import_module("argus._hook").install()
