"""Compiles sources with the interpreter's own compiler, in a process of its own."""

from __future__ import annotations

import logging
import os
import pathlib
import subprocess
import sys
from collections.abc import Sequence

import argus

log = logging.getLogger("measure_stdlib")

# Enough to wait a few seconds for; all of them would take longer than everything else together.
MOST_FILES = 300


@argus.monitor
def compile_sources(paths: Sequence[pathlib.Path], scratch: pathlib.Path) -> int:
    """Bytes of code that the first sources compile to.

    The library itself stays untouched: the compiler writes below `scratch`.
    """
    chosen = paths[:MOST_FILES]
    log.info("compiling %d files", len(chosen))
    with argus.span("compiler", files=len(chosen)):
        # Exit code 1 says that some file did not compile, which some must not.
        subprocess.run(
            [sys.executable, "-W", "ignore", "-m", "compileall", "-q", "-f", "-i", "-"],
            input="\n".join(map(str, chosen)),
            env=os.environ | {"PYTHONPYCACHEPREFIX": str(scratch)},
            stdout=subprocess.DEVNULL,
            text=True,
            check=False,
        )
    return sum(path.stat().st_size for path in scratch.rglob("*.pyc"))
