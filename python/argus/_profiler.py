"""``argus.Profiler``: spans started and ended by hand, for programs written in that style."""

from __future__ import annotations

import functools
import inspect
from types import TracebackType
from typing import Any, Callable, TypeVar, cast

from argus import _native

_Function = TypeVar("_Function", bound=Callable[..., Any])


class Profiler:
    """A source of spans with one name and one process group.

        profiler = argus.Profiler("import", process_group="warehouse")

        with profiler:                                   # a span of its own, called "import"
            with profiler.measure("parse", path=path):   # a span inside it
                ...
            rows = profiler.start("rows")                # open from here on
            ...
            rows.end(count=10)

    Every start is visible to ``argus watch`` at once. Costs about a microsecond a span.
    With ``ARGUS_DISABLE=1``, and in traces that are not recorded, nothing is.
    """

    def __init__(self, name: str, process_group: str | None = None) -> None:
        """``process_group`` stands beside the names of all its spans in every listing."""
        if not isinstance(name, str):
            raise TypeError(f"name must be a text, not {type(name).__name__!r}")
        if not isinstance(process_group, (str, type(None))):
            raise TypeError(f"process_group must be a text, not {type(process_group).__name__!r}")
        self.name = name
        self.process_group = process_group
        self._span = _native.span_of_group(name, process_group, None)

    def start(self, name: str, /, **fields: Any) -> _native.SpanHandle:
        """Opens a span and answers its handle; ``end(**fields)`` or ``fail(error, **fields)`` ends it.

        The span stands inside the current one, and is the current one of this thread or task until it
        ends. Handles end in any order and in any thread. The first ``end`` or ``fail`` counts and
        answers ``True``; a later one answers ``False`` and records nothing, as does one in a forked
        child, where the span is its parent's. ``error`` is an exception or a text; the fields that an
        end is given stand in ``data_trace`` as ``LOCAL``. A handle that is dropped before its end ends
        its span as failed; one that is open when the program ends leaves it interrupted.

        From its first use on, every monitored call of the process also looks at a context variable.
        """
        return cast(
            "_native.SpanHandle",
            _native.start(name, self.process_group, fields if fields else None),
        )

    def measure(self, name: str, /, **fields: Any) -> Measure:
        """A span around a ``with`` block, or, as a decorator, around every call of a function.

        An exception that leaves the block is recorded and passed on.
        """
        return Measure(name, self.process_group, fields)

    def __enter__(self) -> Profiler:
        self._span.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._span.__exit__(kind, error, traceback)


class Measure:
    """What ``Profiler.measure`` answers. Can be entered again, and in several threads and tasks at once."""

    def __init__(self, name: str, process_group: str | None, fields: dict[str, Any]) -> None:
        """A span of this name and group, with these fields, each time it is entered."""
        self._span = _native.span_of_group(name, process_group, fields if fields else None)

    def __enter__(self) -> Measure:
        self._span.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._span.__exit__(kind, error, traceback)

    def __call__(self, function: _Function) -> _Function:
        """Puts the span around every call of a function or coroutine function.

        For generators use ``argus.monitor``, which knows when they run.
        """
        if _native.disabled():
            return function
        if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
            raise TypeError("measure cannot decorate generators; argus.monitor can")
        if not inspect.isroutine(function):
            raise TypeError(f"measure decorates functions, not {type(function).__name__!r}")
        span = self._span
        if inspect.iscoroutinefunction(function):

            @functools.wraps(function)
            async def measured(*args: Any, **kwargs: Any) -> Any:
                with span:
                    return await function(*args, **kwargs)
        else:

            @functools.wraps(function)
            def measured(*args: Any, **kwargs: Any) -> Any:
                with span:
                    return function(*args, **kwargs)

        return cast("_Function", measured)
