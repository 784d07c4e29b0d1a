"""``argus.auto_instrument_module``: whatever a module defines, recorded without a decorator.

Plain functions are recorded in place: they stay the objects they are, and who has imported one already
calls the recorded one. Coroutine functions and generators are replaced where they are defined. What
cannot be recorded is logged with the reason, by the logger ``argus.instrument``; ``argus doctor
--instrumented`` lists it.
"""

from __future__ import annotations

import functools
import re
import time
import types
from collections.abc import Callable, Iterator
from typing import Any

from argus import _native, _options, _serializers, _wrap

LOGGER = "argus.instrument"
_INFO, _WARNING = 20, 30
_CALLABLE: tuple[type, ...] = (
    types.FunctionType,
    types.BuiltinFunctionType,
    types.MethodDescriptorType,
    type(functools.lru_cache(len)),
)
_unwrapped: dict[str, str] = {}


def auto_instrument_module(
    module: types.ModuleType,
    include_regex: str | None = None,
    exclude: tuple[str, ...] = (),
    process_group: str | None = None,
    **monitor_options: Any,
) -> list[str]:
    """Records every call of what ``module`` defines itself; answers the names of what is recorded now.

    That is its functions, and of its classes the methods, class methods and static methods, in classes
    within classes as well. Properties are left out, and so is what was imported from elsewhere or is
    recorded already. ``include_regex`` is searched in the function's own name; a function is left out
    when one of the texts of ``exclude`` is part of its qualified name. The other options are those of
    ``argus.monitor``.

    Behind decorators that say what they wrap, the function itself is recorded: of a cached one the
    calls that compute. With ``ARGUS_DISABLE=1`` this does nothing.
    """
    if not isinstance(module, types.ModuleType):
        raise TypeError(f"auto_instrument_module needs a module, not {type(module).__name__!r}")
    wanted = re.compile(include_regex or "")
    excluded = (exclude,) if isinstance(exclude, str) else tuple(exclude)
    recipe = Recipe(_options.settle(process_group=process_group, **monitor_options))
    if _native.disabled():
        return []
    return recipe.instrument_module(
        module,
        lambda name: not any(text in name for text in excluded),
        lambda name: wanted.search(name) is not None,
    )


class _Place:
    """Where a function is found: in a module or class, under a name."""

    __slots__ = ("member", "name", "owner", "qualname")

    def __init__(self, owner: Any, name: str, qualname: str, member: Any) -> None:
        self.owner, self.name, self.qualname, self.member = owner, name, qualname, member

    @property
    def callable(self) -> Any:
        """What is called, without the method that it may be."""
        if isinstance(self.member, (classmethod, staticmethod)):
            return self.member.__func__
        return self.member

    def replace(self, new: Any) -> None:
        """Puts something in the place of what is called."""
        if isinstance(self.member, (classmethod, staticmethod)):
            new = type(self.member)(new)
        setattr(self.owner, self.name, new)


def _places(module: types.ModuleType) -> Iterator[_Place]:
    """What the module defines itself, and can be called."""
    to_do: list[tuple[Any, str]] = [(module, "")]
    seen = set()
    while to_do:
        owner, prefix = to_do.pop(0)
        for name, member in list(vars(owner).items()):
            place = _Place(owner, name, prefix + name, member)
            # Of objects that may answer anything, only the type is asked.
            if issubclass(type(member), type):
                own = getattr(member, "__module__", None) == module.__name__
                if own and id(member) not in seen:
                    seen.add(id(member))
                    to_do.append((member, f"{place.qualname}."))
            elif _is_function_of(place.callable, module.__name__):
                yield place


def _is_function_of(member: Any, module: str) -> bool:
    if not issubclass(type(member), _CALLABLE) and not _native.is_monitored(member):
        return False
    return bool(getattr(member, "__module__", module) == module)


class Recipe:
    """The options by which functions are recorded that nobody has decorated."""

    def __init__(self, options: dict[str, Any]) -> None:
        """Of options that `_options.settle` has checked."""
        self._options = options

    def options_of(self, function: Any, module: str, qualname: str) -> dict[str, Any]:
        """How a function is recorded; asked once for a code, when it is called first. By then
        decorators may have given it another name than it was made with."""
        code = function.__code__
        return {
            **self._options,
            **_options.parameters(function),
            "name": f"{module}.{qualname}",
            "file": code.co_filename,
            "line": code.co_firstlineno,
        }

    def stepping(self, function: Any) -> Any:
        """What stands for a function that runs in steps."""
        native = _native.monitored_of(function, self)
        return _wrap.for_kind(function, functools.update_wrapper(native, function))

    def instrument_module(
        self,
        module: types.ModuleType,
        is_wanted: Callable[[str], bool],
        is_included: Callable[[str], bool] = bool,
    ) -> list[str]:
        """Records what the module defines, if its qualified name is wanted and its own included."""
        places = list(_places(module))
        # A function that is recorded under one name would be recorded twice by way of another.
        done = {id(_innermost(place.callable)) for place in places if _is_recorded(place.callable)}
        recorded = []
        for place in places:
            name = f"{module.__name__}.{place.qualname}"
            function = _innermost(place.callable)
            if not is_included(place.name) or not is_wanted(place.qualname) or id(function) in done:
                continue
            done.add(id(function))
            if self._instrument(place, function):
                recorded.append(name)
        return recorded

    def _instrument(self, place: _Place, function: Any) -> bool:
        """Records what is found there; answers whether that was possible."""
        name = f"{getattr(function, '__module__', None)}.{place.qualname}"
        try:
            if isinstance(function, types.FunctionType):
                new = self._recorded(function)
            else:
                new = self._monitored(function)
            if new is not function:
                if place.callable is not function:
                    raise TypeError("runs in steps, behind another decorator")
                place.replace(new)
        except Exception as error:
            tell_unwrapped(name, _reason(error))
            return False
        return True

    def _recorded(self, function: types.FunctionType) -> Any:
        if function.__code__.co_flags & _wrap.STEPPING:
            return self.stepping(function)
        _native.attach(function, self)
        return function

    def _monitored(self, function: Any) -> Any:
        native = _native.monitor(function, {**self._options, **_options.describe(function)})
        return functools.update_wrapper(native, function)


def _is_recorded(member: Any) -> bool:
    if _native.is_monitored(member) or _wrap.is_wrapper(member):
        return True
    return bool(_native.is_attached(_innermost(member)))


def _innermost(function: Any) -> Any:
    """The function behind its decorators, where they say what they wrap."""
    try:
        return _options._unwrapped(function)
    except ValueError:
        return function


def _reason(error: Exception) -> str:
    return str(error) or type(error).__name__


def tell_unwrapped(name: str, reason: str) -> None:
    """Remembers, and records once, that something cannot be instrumented."""
    if name in _unwrapped:
        return
    _unwrapped[name] = reason
    tell(_WARNING, f"{name}: {reason}", {"name": name, "reason": reason})


def tell_begun(name: str) -> None:
    """Records that this process instruments modules from here on, beginning with ``name``."""
    tell(_INFO, f"instrumenting, beginning with {name}", {"name": name})


def tell(level: int, text: str, attributes: dict[str, Any]) -> None:
    """Records a line of the instrumentation's own log."""
    _native.log(level, time.time(), LOGGER, text, text, (_serializers.as_json(attributes), []))
