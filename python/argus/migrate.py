"""Rewrites programs that use ``lib.monitoring`` and its decorators to use ``argus``.

    python -m argus.migrate PATH...            rewrites files, and the *.py below folders
    python -m argus.migrate --diff PATH...     shows what it would do
    python -m argus.migrate --check PATH...    the same; the exit code is 1 if there is anything to do

Comments and formatting stay. What cannot be rewritten with certainty is left as it is and told on
standard error, with file and line. Running it again changes nothing.

Exit codes: 0 all is well, 1 ``--check`` found something to do, 2 wrong usage, 3 some files could not be
read, parsed or written (the others are done).
"""

from __future__ import annotations

import argparse
import difflib
import io
import os
import shutil
import sys
import tempfile
import tokenize
from collections.abc import Iterator
from pathlib import Path

from argus import _rewrite

_OTHERS = {"__pycache__", "node_modules", "site-packages"}


def main(arguments: list[str] | None = None) -> int:
    """Runs the command with these arguments, ``sys.argv`` by default; answers its exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m argus.migrate",
        description="Rewrites programs that use lib.monitoring to use argus.",
        epilog="exit codes: 0 all is well, 1 --check found something to do, 2 wrong usage, "
        "3 some files could not be read, parsed or written",
    )
    mode = parser.add_mutually_exclusive_group()
    mode.add_argument("--check", action="store_true", help="write nothing; exit code 1 if needed")
    mode.add_argument("--diff", action="store_true", help="write nothing, show the differences")
    parser.add_argument("paths", nargs="+", type=Path, metavar="PATH", help="a file or a folder")
    options = parser.parse_args(arguments)
    changed = failed = 0
    for path in _files(options.paths):
        try:
            was_changed = _migrate(path, write=not (options.check or options.diff))
        except (OSError, SyntaxError, ValueError, RecursionError) as error:
            print(f"argus.migrate: {path}: {_reason(error)}", file=sys.stderr)
            failed += 1
        else:
            changed += was_changed
    if failed:
        return 3
    return 1 if options.check and changed else 0


def _files(paths: list[Path]) -> Iterator[Path]:
    """The files that are meant; of folders, the sources that are the user's own."""
    for path in paths:
        if not path.is_dir():
            yield path
            continue
        for folder, folders, names in os.walk(path):
            folders[:] = sorted(
                name
                for name in folders
                if not name.startswith(".")
                and name not in _OTHERS
                and not os.path.exists(os.path.join(folder, name, "pyvenv.cfg"))
            )
            yield from (Path(folder, name) for name in sorted(names) if name.endswith(".py"))


def _migrate(path: Path, *, write: bool) -> bool:
    """Rewrites one file; answers whether there was anything to do."""
    content = path.read_bytes()
    encoding, _ = tokenize.detect_encoding(io.BytesIO(content).readline)
    text = content.decode(encoding)
    new, notes = _rewrite.rewrite(text)
    for note in notes:
        print(f"{path}:{note.line}: left as it is: {note.text}", file=sys.stderr)
    if new == text:
        return False
    if write:
        _replace(path, new.encode(encoding))
        print(f"rewrote {path}")
    else:
        before, after = text.splitlines(keepends=True), new.splitlines(keepends=True)
        sys.stdout.writelines(difflib.unified_diff(before, after, str(path), str(path)))
    return True


def _replace(path: Path, content: bytes) -> None:
    """Puts the new content in the place of the old one at once, so that nothing is left half written."""
    path = path.resolve()
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with open(descriptor, "wb") as file:
            file.write(content)
        shutil.copymode(path, name)
        os.replace(name, path)
    except BaseException:
        os.unlink(name)
        raise


def _reason(error: Exception) -> str:
    if isinstance(error, SyntaxError):
        where = f" (line {error.lineno})" if error.lineno else ""
        return f"does not parse: {error.msg}{where}"
    if isinstance(error, OSError):
        return error.strerror or str(error)
    return f"does not parse: {error}"


if __name__ == "__main__":
    sys.exit(main())
