"""``@argus.monitor``: its options, and what of Python it can be put on."""

from __future__ import annotations

import functools
import os
import types
from typing import Any, Callable

from argus import _native, _serializers, _wrap

_CAPTURE = {"args": True, "result": True, "locals": False}


def monitor(
    function: Any = None,
    /,
    *,
    process_group: str | None = None,
    sample_rate: float | None = None,
    capture: dict[str, bool] | None = None,
    serializer: str | Callable[[Any], str] = "smart",
    max_repr: int = 1_000,
    sensitive_fields: tuple[str, ...] = _serializers.SENSITIVE,
    queue_warning_threshold: int = 8_000,
) -> Any:
    """Records every call of a function.

    Use it bare (``@argus.monitor``), with a process group (``@argus.monitor("trading.actant")``), or
    with options:

    - ``process_group``: stands beside the function's name in every listing.
    - ``sample_rate``: the share of traces that are recorded, 0 to 1; decided where a trace begins and
      followed by all inside. A call that raises is recorded in any case. ``ARGUS_SAMPLE_RATE`` is the
      default.
    - ``capture``: which of ``args``, ``result``, and ``locals`` (only when a call raises) to record.
    - ``serializer``: ``"smart"``, ``"repr"``, ``"json"``, or a function from a value to its text.
    - ``max_repr``: the most characters of one value.
    - ``sensitive_fields``: parameters and keys whose values are replaced by ``***``: these names, and
      names that end in one of them after an underscore.
    - ``queue_warning_threshold``: warn when this many records wait for the collector.

    Works on functions, coroutine functions, generators and async generators, and on class methods and
    static methods in either order. With ``ARGUS_DISABLE=1`` it answers the function itself.
    """
    if isinstance(function, str):
        function, process_group = None, function
    options = settle(
        process_group=process_group,
        sample_rate=sample_rate,
        capture=capture,
        serializer=serializer,
        max_repr=max_repr,
        sensitive_fields=sensitive_fields,
        queue_warning_threshold=queue_warning_threshold,
    )
    if function is None:
        return functools.partial(_decorate, options)
    return _decorate(options, function)


def settle(
    *,
    process_group: str | None = None,
    sample_rate: float | None = None,
    capture: dict[str, bool] | None = None,
    serializer: str | Callable[[Any], str] = "smart",
    max_repr: int = 1_000,
    sensitive_fields: tuple[str, ...] = _serializers.SENSITIVE,
    queue_warning_threshold: int = 8_000,
) -> dict[str, Any]:
    """The options of `monitor`, checked, as the native module reads them."""
    options: dict[str, Any] = {
        "process_group": process_group,
        "sample_rate": _sample_rate(sample_rate),
        "serializer": _serializers.choose(serializer, tuple(sensitive_fields)),
        "max_repr": int(max_repr),
        "sensitive_fields": list(sensitive_fields),
        "queue_warning_threshold": int(queue_warning_threshold),
        **_capture(capture),
    }
    if options["max_repr"] < 1:
        raise ValueError("max_repr must be at least 1")
    return options


def _decorate(options: dict[str, Any], function: Any) -> Any:
    if _native.disabled():
        return function
    if isinstance(function, (classmethod, staticmethod)):
        return type(function)(_decorate(options, function.__func__))
    if isinstance(function, type) or not callable(function):
        raise TypeError(f"argus.monitor needs a function, not {type(function).__name__!r}")
    function = _released(function)
    native = _native.monitor(function, {**options, **describe(function)})
    return _wrap.for_kind(function, functools.update_wrapper(native, function))


def _released(function: Any) -> Any:
    """The function without what auto-instrumentation has made of it: a call is recorded once, and by
    the options that stand in the program."""
    if _wrap.is_wrapper(function) and _native.is_planned(function.__wrapped__):
        function = function.__wrapped__
    _native.detach(function)
    return function


def describe(function: Callable[..., Any]) -> dict[str, Any]:
    """Name, place, and parameters of a function."""
    kind = type(function)
    module = getattr(function, "__module__", None) or kind.__module__
    name = getattr(function, "__qualname__", None) or kind.__qualname__
    code = getattr(_unwrapped(function), "__code__", None)
    described = {"name": f"{module}.{name}", "file": None, "line": 0}
    if isinstance(code, types.CodeType):
        described.update(file=code.co_filename, line=code.co_firstlineno)
    return {**described, **parameters(function)}


def _unwrapped(function: Any) -> Any:
    """What decorators have been put around, as ``inspect.unwrap`` finds it."""
    seen = {id(function)}
    while hasattr(function, "__wrapped__"):
        function = function.__wrapped__
        if id(function) in seen:
            raise ValueError("a decorated function wraps itself")
        seen.add(id(function))
    return function


def parameters(function: Callable[..., Any]) -> dict[str, Any]:
    """The names of the parameters: positional ones, then keyword-only ones, then ``*args``."""
    code = getattr(function, "__code__", None)
    if not isinstance(code, types.CodeType):
        return {"parameters": [], "positional": 0, "rest": None}
    positional = code.co_argcount
    named = positional + code.co_kwonlyargcount
    rest = named if code.co_flags & _wrap.VARARGS else None
    count = named if rest is None else named + 1
    return {"parameters": list(code.co_varnames[:count]), "positional": positional, "rest": rest}


def _capture(capture: dict[str, bool] | None) -> dict[str, bool]:
    capture = {} if capture is None else dict(capture)
    unknown = capture.keys() - _CAPTURE.keys()
    if unknown:
        raise ValueError(f"capture knows args, result and locals, not {', '.join(sorted(unknown))}")
    return {name: bool(capture.get(name, default)) for name, default in _CAPTURE.items()}


def _sample_rate(rate: float | None) -> float:
    if rate is None:
        return _environment_rate()
    rate = float(rate)
    if not 0.0 <= rate <= 1.0:
        raise ValueError(f"sample_rate must be between 0 and 1, not {rate}")
    return rate


def _environment_rate() -> float:
    """``ARGUS_SAMPLE_RATE``; everything where it is unset or makes no sense."""
    try:
        rate = float(os.environ.get("ARGUS_SAMPLE_RATE", "1"))
    except ValueError:
        return 1.0
    return rate if 0.0 <= rate <= 1.0 else 1.0
