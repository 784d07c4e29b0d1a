"""A module loaded as it would have been, and looked at when it is there.

Inherits from nothing of `importlib.abc`, which takes as long to import as all of this package.
"""

from __future__ import annotations

from types import ModuleType
from typing import Any, Callable


class Afterwards:
    """Around the loader of a module that is found; the module knows only its own."""

    def __init__(self, loader: Any, look: Callable[[ModuleType], None]) -> None:
        """``look`` is called with the module once it is executed."""
        self._loader, self._look = loader, look

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loader, name)

    def create_module(self, spec: Any) -> ModuleType | None:
        """As the loader does it."""
        module: ModuleType | None = self._loader.create_module(spec)
        return module

    def exec_module(self, module: ModuleType) -> None:
        """As the loader does it; then the module is looked at."""
        if module.__spec__ is not None:
            module.__spec__.loader = self._loader
        module.__loader__ = self._loader
        self._loader.exec_module(module)
        self._look(module)
