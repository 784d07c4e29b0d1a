"""Instruments modules as they are imported, as ``argus run --instrument`` asks for.

``ARGUS_INSTRUMENT`` names modules, ``ARGUS_INSTRUMENT_EXCLUDE`` texts in the names of what is left out;
both are lists with commas. ``a.b`` is that module, ``a.*`` the package ``a`` with all below it, ``*``
everything but the standard library, ``__main__`` the program itself. `argus.pth`, which lies beside the
package, makes every Python with that variable begin with this, children included: no path, no argument
and no module of the program's changes, and a Python without the variable takes no notice.

Modules with a source are compiled anew (see `_marks`), so that every function in them is recorded,
nested ones and lambdas included; nothing is written to a ``__pycache__``. Of others, what
`auto_instrument_module` finds once they are loaded is recorded. A module's loader is the one it would
have had, and is so again as soon as the module is loaded.
"""

from __future__ import annotations

import functools
import os
import sys
import threading
from collections.abc import Callable
from importlib.machinery import ModuleSpec, SourceFileLoader
from types import CodeType, ModuleType
from typing import Any

from argus import _auto, _marks, _native, _options
from argus._loader import Afterwards

_MAIN = "__main__"
_STANDARD: frozenset[str] = getattr(sys, "stdlib_module_names", frozenset())


def install() -> None:
    """Begins to instrument what the environment asks for; the first time it is called."""
    patterns = _list("ARGUS_INSTRUMENT")
    if not patterns or any(type(finder) is _Finder for finder in sys.meta_path):
        return
    finder = _Finder(_Choice(patterns, _list("ARGUS_INSTRUMENT_EXCLUDE")))
    sys.meta_path.insert(0, finder)
    if _MAIN in patterns:
        finder.prepare_scripts()


def _list(variable: str) -> list[str]:
    texts = os.environ.get(variable, "").split(",")
    return [text.strip() for text in texts if text.strip()]


class _Choice:
    """What is to be instrumented."""

    def __init__(self, patterns: list[str], excluded: list[str]) -> None:
        self._patterns, self._excluded = patterns, excluded

    def is_module(self, name: str) -> bool:
        top = name.partition(".")[0]
        if top == "argus" or not self.is_wanted(name):
            return False
        return any(_matches(pattern, name, top) for pattern in self._patterns)

    def is_wanted(self, name: str) -> bool:
        return not any(text in name for text in self._excluded)

    def within(self, module: str) -> Callable[[str], bool]:
        """Whether a function with this qualified name in the module is wanted."""
        return lambda qualname: self.is_wanted(f"{module}.{qualname}")


def _matches(pattern: str, name: str, top: str) -> bool:
    if pattern == "*":
        return top not in _STANDARD
    exact = pattern[:-2] if pattern.endswith(".*") else pattern
    if name == exact:
        return True
    if not any(character in exact for character in "*?["):
        return exact is not pattern and name.startswith(f"{exact}.")
    import fnmatch

    return fnmatch.fnmatchcase(name, pattern)


class _Finder:
    """Finds what the other finders find, with a loader that instruments."""

    def __init__(self, choice: _Choice) -> None:
        self._choice = choice
        self._recipe = _auto.Recipe(_options.settle())
        self._decorator = _native.instrument(self._recipe)
        self._asking = threading.local()
        self._has_begun = False

    def find_spec(
        self, fullname: str, path: Any = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """The spec of a module that is to be instrumented; of others, nothing."""
        if not self._choice.is_module(fullname) and not self._is_program(fullname):
            return None
        asking = self._asking.__dict__
        if fullname in asking:
            return None
        asking[fullname] = True
        try:
            spec = self._ask_others(fullname, path, target)
        finally:
            del asking[fullname]
        if spec is not None and spec.loader is not None:
            self._prepare(spec)
        return spec

    def _is_program(self, fullname: str) -> bool:
        """Whether it is the module that ``python -m`` is about to run, and that is wanted."""
        if not self._choice.is_module(_MAIN):
            return False
        if fullname == _MAIN:
            return True
        program = _program()
        return program is not None and fullname in (program, f"{program}.{_MAIN}")

    def _ask_others(self, fullname: str, path: Any, target: Any) -> ModuleSpec | None:
        for finder in list(sys.meta_path):
            if finder is not self and hasattr(finder, "find_spec"):
                spec = finder.find_spec(fullname, path, target)
                if spec is not None:
                    return spec
        return None

    def _prepare(self, spec: ModuleSpec) -> None:
        # Any, since a loader need not inherit from `importlib.abc.Loader`.
        found: Any = spec
        loader = found.loader
        if type(loader) is SourceFileLoader:
            # Of the instance, and only until it was called: whoever asks finds the loader as ever.
            loader.__dict__["get_code"] = functools.partial(self._code, loader)
        elif hasattr(loader, "exec_module"):
            found.loader = Afterwards(loader, self._instrument_whole)
        else:
            _auto.tell_unwrapped(spec.name, f"loaded by {type(loader).__name__}")

    def _code(self, loader: Any, fullname: str) -> CodeType:
        loader.__dict__.pop("get_code", None)
        try:
            path = loader.get_filename(fullname)
            return self._marked(loader.get_data(path), path, fullname)
        except Exception as error:
            reason = str(error)
        # If it does not compile at all, this raises, and there is nothing to tell.
        code: CodeType = loader.get_code(fullname)
        _auto.tell_unwrapped(fullname, f"cannot be compiled anew: {reason}")
        return code

    def _marked(self, source: bytes, path: str, module: str) -> CodeType:
        code = _marks.compile_marked(source, path, self._decorator, self._choice.within(module))
        self._begin(module)
        return code

    def _begin(self, module: str) -> None:
        if not self._has_begun:
            self._has_begun = True
            _auto.tell_begun(module)

    def _instrument_whole(self, module: ModuleType) -> None:
        """Of a module without a source, what it shows."""
        self._begin(module.__name__)
        kind = type(module.__loader__).__name__
        _auto.tell_unwrapped(module.__name__, f"no source ({kind}): nested functions are not seen")
        self._recipe.instrument_module(module, self._choice.within(module.__name__))

    # ---- the program itself ----

    def prepare_scripts(self) -> None:
        """Has the script instrumented, and the copy of it that spawned children import."""
        import runpy

        read: Any = runpy._get_code_from_file  # type: ignore[attr-defined]

        @functools.wraps(read)
        def read_marked(*arguments: Any) -> Any:
            # Before Python 3.13 the path comes last, and back with the code.
            found = read(*arguments)
            code = self._script(arguments[-1])
            if code is None:
                return found
            return (code, *found[1:]) if isinstance(found, tuple) else code

        runpy._get_code_from_file = read_marked  # type: ignore[attr-defined]
        # What is asked for afterwards would come after the end that is made of it.
        if not (sys.flags.inspect or sys.flags.interactive):
            _native.instead_of_script(self._script)

    def _script(self, path: str) -> CodeType | None:
        try:
            with open(path, "rb") as file:
                return self._marked(file.read(), path, _MAIN)
        except Exception as error:
            # A script with an error in it is to be told so by the interpreter itself.
            if not isinstance(error, SyntaxError):
                _auto.tell_unwrapped(_MAIN, f"cannot be compiled anew: {error}")
            return None


def _program() -> str | None:
    """The module's name after ``-m``, while the interpreter looks for it."""
    if not sys.argv or sys.argv[0] != "-m":
        return None
    arguments = getattr(sys, "orig_argv", [])
    for index, argument in enumerate(arguments[1:], 1):
        if argument.startswith("-") and not argument.startswith("--") and "m" in argument:
            attached = argument.partition("m")[2]
            return attached or (arguments[index + 1] if index + 1 < len(arguments) else None)
    return None
