"""Decorators of before, for programs that still use them.

Each is what ``argus.monitor`` does with options of its own, and says once what to write instead;
``python -m argus.migrate`` writes it. Also reachable as ``argus.TraceTime``.
"""

from __future__ import annotations

import warnings
from typing import Any, Callable, TypeVar, overload

from argus._options import monitor

__all__ = ["TraceTime"]

_Function = TypeVar("_Function", bound=Callable[..., Any])
_warned: set[str] = set()


@overload
def TraceTime(function: _Function, /) -> _Function: ...
@overload
def TraceTime(*group: str, **options: Any) -> Callable[[_Function], _Function]: ...


def TraceTime(*args: Any, **options: Any) -> Any:
    """``argus.monitor`` in the process group ``legacy.time``; takes the same options.

    Deprecated: write ``@argus.monitor(process_group="legacy.time")``, or better a group of your own.
    """
    _warn("TraceTime", 'argus.monitor(process_group="legacy.time")')
    return monitor(*args, **{"process_group": "legacy.time", **options})


def _warn(name: str, replacement: str) -> None:
    if name not in _warned:
        _warned.add(name)
        warnings.warn(
            f"{name} is deprecated: use {replacement}; `python -m argus.migrate` rewrites it",
            DeprecationWarning,
            stacklevel=3,
        )
