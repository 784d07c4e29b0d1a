"""Parents across threads and processes of one program, without a word from the program.

A thread that is started, a task of an executor, a child process: what they call hangs on the call that
asked for them. The standard library has a single place for each of these, which is made to take the
caller's place along; outside of any trace it does what it always did.

Modules that the program has not imported are left alone until it does.
"""

from __future__ import annotations

import functools
import importlib.machinery
import sys
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any

from argus import _native
from argus._loader import Afterwards

# Of an object on its way: where it was started.
_PLACE = "_argus_place"
_PARENT = "_argus_parent"


# What executors and pools run in their threads and processes. These begin when a task needs one more and
# serve others later: their tasks say themselves where they belong.
_WORKERS = {
    ("concurrent.futures.thread", "_worker"),
    ("concurrent.futures.process", "_process_worker"),
    ("multiprocessing.pool", "worker"),
}


def _is_worker(started: Any) -> bool:
    target = getattr(started, "_target", None)
    return (getattr(target, "__module__", None), getattr(target, "__name__", None)) in _WORKERS


def _threading(module: ModuleType) -> None:
    thread = module.Thread
    start, bootstrap = thread.start, thread._bootstrap_inner

    @functools.wraps(start)
    def start_here(self: Any) -> Any:
        place = _native.here()
        if place is not None and not _is_worker(self):
            self.__dict__[_PLACE] = place
        return start(self)

    @functools.wraps(bootstrap)
    def begin_there(self: Any) -> Any:
        place = self.__dict__.pop(_PLACE, None)
        if place is not None:
            place.settle()
        return bootstrap(self)

    thread.start, thread._bootstrap_inner = start_here, begin_there


def _thread_pool(module: ModuleType) -> None:
    executor = module.ThreadPoolExecutor
    submit = executor.submit

    @functools.wraps(submit)
    def submit_here(self: Any, fn: Any, /, *args: Any, **kwargs: Any) -> Any:
        place = _native.here()
        if place is None:
            return submit(self, fn, *args, **kwargs)
        return submit(self, place.run, fn, *args, **kwargs)

    executor.submit = submit_here


def _elsewhere(function: Any) -> Any:
    place = _native.here()
    return function if place is None else functools.partial(place.run, function)


class Away:
    """A function that is called in another process, below the call that sent it there."""

    __slots__ = ("_function", "_parent")

    def __init__(self, parent: str, function: Callable[..., Any]) -> None:
        """Of a function, and the ``traceparent`` of who sends it."""
        self._parent = parent
        self._function = function

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Calls it."""
        with _native.Below(self._parent):
            return self._function(*args, **kwargs)

    def __reduce__(self) -> Any:
        """Both parts travel."""
        return Away, (self._parent, self._function)


def _away(function: Any) -> Any:
    parent = _native.traceparent()
    return function if parent is None else Away(parent, function)


def _process_pool(module: ModuleType) -> None:
    executor = module.ProcessPoolExecutor
    submit = executor.submit

    @functools.wraps(submit)
    def submit_here(self: Any, fn: Any, /, *args: Any, **kwargs: Any) -> Any:
        return submit(self, _away(fn), *args, **kwargs)

    executor.submit = submit_here


def _pool(module: ModuleType) -> None:
    for name in ("apply_async", "_map_async", "imap", "imap_unordered"):
        _send_away(module.Pool, module.ThreadPool, name)


def _send_away(pool: Any, thread_pool: Any, name: str) -> None:
    method = getattr(pool, name)

    @functools.wraps(method)
    def method_here(self: Any, func: Any, *args: Any, **kwargs: Any) -> Any:
        sent = _elsewhere(func) if isinstance(self, thread_pool) else _away(func)
        return method(self, sent, *args, **kwargs)

    setattr(pool, name, method_here)


def _process(module: ModuleType) -> None:
    process = module.BaseProcess
    start, bootstrap = process.start, process._bootstrap

    @functools.wraps(start)
    def start_here(self: Any) -> Any:
        parent = _native.traceparent()
        if parent is not None and not _is_worker(self):
            self.__dict__[_PARENT] = parent
        return start(self)

    @functools.wraps(bootstrap)
    def begin_there(self: Any, *args: Any, **kwargs: Any) -> Any:
        # A forked child is where its parent was, until it is told otherwise.
        _native.leave()
        parent = self.__dict__.pop(_PARENT, None)
        if parent is not None:
            _native.Below(parent).settle()
        return bootstrap(self, *args, **kwargs)

    process.start, process._bootstrap = start_here, begin_there


_WAYS: dict[str, Callable[[ModuleType], None]] = {
    "threading": _threading,
    "concurrent.futures.thread": _thread_pool,
    "concurrent.futures.process": _process_pool,
    "multiprocessing.pool": _pool,
    "multiprocessing.process": _process,
}


def install() -> None:
    """Prepares the modules that are there, and those to come as they come."""
    to_come = {}
    for name, prepare in _WAYS.items():
        module = sys.modules.get(name)
        if module is None:
            to_come[name] = prepare
        else:
            _prepare(prepare, module)
    if to_come:
        sys.meta_path.insert(0, _Finder(to_come))


def _prepare(prepare: Callable[[ModuleType], None], module: ModuleType) -> None:
    try:
        prepare(module)
    except AttributeError:
        # A standard library that is built otherwise: its threads and processes begin traces of their own.
        return


class _Finder:
    """Finds modules that are to be prepared, each once."""

    def __init__(self, to_come: dict[str, Callable[[ModuleType], None]]) -> None:
        self._to_come = to_come

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> Any:
        prepare = self._to_come.pop(fullname, None)
        if prepare is None:
            return None
        if not self._to_come and self in sys.meta_path:
            sys.meta_path.remove(self)
        # Any, since a loader need not inherit from `importlib.abc.Loader`.
        spec: Any = importlib.machinery.PathFinder.find_spec(fullname, path, target)
        if spec is not None and spec.loader is not None:
            spec.loader = Afterwards(spec.loader, functools.partial(_prepare, prepare))
        return spec
