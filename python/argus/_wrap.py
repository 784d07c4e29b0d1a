"""Functions that run in steps, as the functions that they are.

``inspect.iscoroutinefunction`` and its like look at a function's code, so these are real ``async def``
and generator functions. Each opens the span with its first step and hands the body's steps to the
native module.
"""

from __future__ import annotations

import functools
import sys
import types
from typing import Any, Callable

from argus import _native

# Flags of a function's code, as the interpreter has them. The module `inspect` names them too, but takes
# half as long to import as all of this package.
VARARGS = 0x04
_GENERATOR = 0x20
_COROUTINE = 0x80
_ASYNC_GENERATOR = 0x200
STEPPING = _GENERATOR | _COROUTINE | _ASYNC_GENERATOR


def _flags(function: Any) -> int:
    if isinstance(function, types.MethodType):
        function = function.__func__
    while isinstance(function, functools.partial):
        function = function.func
    if isinstance(function, types.MethodType):
        function = function.__func__
    code = getattr(function, "__code__", None)
    return code.co_flags if isinstance(code, types.CodeType) else 0


def _is_marked(function: Any) -> bool:
    """Whether the program says that it is a coroutine function; to do so it has imported ``inspect``."""
    inspect = sys.modules.get("inspect")
    return inspect is not None and bool(inspect.iscoroutinefunction(function))


def for_kind(function: Callable[..., Any], native: Any) -> Any:
    """What stands for ``function`` in the program: ``native`` itself when it runs in one go."""
    flags = _flags(function)
    if flags & _COROUTINE or _is_marked(function):
        wrap = _coroutine
    elif flags & _ASYNC_GENERATOR:
        wrap = _async_generator
    elif flags & _GENERATOR:
        wrap = _generator
    else:
        return native
    return functools.wraps(function)(wrap(function, native))


def _coroutine(function: Callable[..., Any], native: Any) -> Callable[..., Any]:
    open_span, steps = _native.OpenSpan, _native.Steps

    async def monitored(*args: Any, **kwargs: Any) -> Any:
        span = open_span(native, args, kwargs)
        return await steps(span, function(*args, **kwargs), "coroutine")

    return monitored


def _generator(function: Callable[..., Any], native: Any) -> Callable[..., Any]:
    open_span, steps = _native.OpenSpan, _native.Steps

    def monitored(*args: Any, **kwargs: Any) -> Any:
        span = open_span(native, args, kwargs)
        return (yield from steps(span, function(*args, **kwargs), "generator"))

    return monitored


def _async_generator(function: Callable[..., Any], native: Any) -> Callable[..., Any]:
    open_span, steps = _native.OpenSpan, _native.Steps

    async def monitored(*args: Any, **kwargs: Any) -> Any:
        span = open_span(native, args, kwargs)
        body = function(*args, **kwargs)
        try:
            value = await steps(span, body.__anext__(), "piece")
            while True:
                span.yielded(value)
                try:
                    sent = yield value
                except GeneratorExit:
                    await steps(span, body.aclose().__await__(), "piece")
                    raise
                except BaseException as error:
                    value = await steps(span, body.athrow(error).__await__(), "piece")
                else:
                    value = await steps(span, body.asend(sent).__await__(), "piece")
        except StopAsyncIteration:
            span.finish()
        except BaseException as error:
            span.fail(error)
            raise

    return monitored


_CODES = frozenset(
    code
    for make in (_coroutine, _generator, _async_generator)
    for code in make.__code__.co_consts
    if isinstance(code, types.CodeType)
)


def is_wrapper(function: Any) -> bool:
    """Whether it is one of the functions that are made here."""
    return isinstance(function, types.FunctionType) and function.__code__ in _CODES
