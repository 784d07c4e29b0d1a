"""Finds the standard library's sources."""

from __future__ import annotations

import pathlib
import sysconfig

import argus

ROOT = pathlib.Path(sysconfig.get_path("stdlib"))

# Installed beside the standard library, but not part of it.
FOREIGN = {"site-packages", "dist-packages"}


@argus.monitor
def find_sources(limit: int | None) -> list[pathlib.Path]:
    """All sources in a stable order, or about `limit` of them, spread evenly."""
    paths = sorted(path for path in ROOT.rglob("*.py") if not FOREIGN.intersection(path.parts))
    if limit is None or limit >= len(paths):
        return paths
    step = len(paths) / limit
    return [paths[int(number * step)] for number in range(limit)]


def module_name(path: pathlib.Path) -> str:
    """The name under which a source is imported: `email.mime.base`."""
    parts = list(path.relative_to(ROOT).with_suffix("").parts)
    if parts[-1] == "__init__" and len(parts) > 1:
        parts.pop()
    return ".".join(parts)
