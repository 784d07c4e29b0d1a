"""How these tests record and read back.

Each test module's recordings go to one database in a temporary folder, which the process opens with
its first record; a test finds its own by the names of its functions. Where a test needs another
process (forks, environment variables), `run` starts one with a database of its own.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import textwrap
import types
from collections import Counter
from pathlib import Path

import pytest

# Before `argus` is imported anywhere: the first record decides which database is used.
_FOLDER = Path(tempfile.mkdtemp(prefix="argus-tests-"))
os.environ["ARGUS_DB"] = str(_FOLDER / "tests.db")
for _name in ("ARGUS_DISABLE", "ARGUS_COLLECTOR", "ARGUS_SAMPLE_RATE", "ARGUS_APP_NAME"):
    os.environ.pop(_name, None)

import argus

ARGUS = os.environ.get("ARGUS_BIN") or str(Path(sys.executable).with_name("argus"))


def pytest_sessionfinish():
    """The collector leaves by itself; what it wrote is not kept."""
    shutil.rmtree(_FOLDER, ignore_errors=True)


class Store:
    """A database, read the way a user would."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def query(self, sql: str, *parameters: object, **named: object) -> list[sqlite3.Row]:
        """Rows of a query."""
        database = sqlite3.connect(f"file:{self.path}?mode=ro", uri=True)
        try:
            database.row_factory = sqlite3.Row
            return database.execute(sql, named or parameters).fetchall()
        finally:
            database.close()

    def spans(self, name: str) -> list[types.SimpleNamespace]:
        """The spans of the functions with this name, in order of their beginning."""
        where = "WHERE process = :name OR process LIKE '%.' || :name"
        rows = self.query(
            f"SELECT * FROM process_trace {where} ORDER BY producer_id, span", name=name
        )
        spans = [types.SimpleNamespace(**row, arguments={}, locals={}, result=None) for row in rows]
        by_id = {span.id: span for span in spans}
        for row in self.query(
            f"SELECT id, data, data_type, data_value FROM data_trace {where}", name=name
        ):
            span = by_id[row["id"]]
            if row["data_type"] == "OUTPUT":
                span.result = row["data_value"]
            else:
                values = span.arguments if row["data_type"] == "INPUT" else span.locals
                values[row["data"]] = row["data_value"]
        return spans

    def span(self, name: str) -> types.SimpleNamespace:
        """The one span of the function with this name."""
        (span,) = self.spans(name)
        return span


@pytest.fixture
def store() -> Store:
    """This process's database; `recorded` waits for it."""
    return Store(Path(os.environ["ARGUS_DB"]))


@pytest.fixture
def store_at() -> type[Store]:
    """Makes the reader of another database."""
    return Store


@pytest.fixture
def recorded(store):
    """Waits until everything is stored, then answers the spans of a name."""

    def read(name):
        assert argus.flush(30), argus.stats()
        return store.spans(name)

    return read


@pytest.fixture
def run(tmp_path):
    """Runs a program in a Python of its own; answers its output and its database."""

    def start(program: str, **environment: str):
        path = tmp_path / "run.db"
        script = tmp_path / "program.py"
        script.write_text(textwrap.dedent(program))
        done = subprocess.run(
            [sys.executable, str(script)],
            env={**os.environ, "ARGUS_DB": str(path), **environment},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return types.SimpleNamespace(out=done.stdout, err=done.stderr, store=Store(path))

    return start


@pytest.fixture
def place(tmp_path, store_at):
    """A folder with a program's files, and ways to run it there."""

    class Place:
        argus = ARGUS
        path = tmp_path / "program"
        store = store_at(tmp_path / "run.db")

        def write(self, **files: str) -> None:
            for name, text in files.items():
                file = self.path / name.replace("__in__", "/")
                file = file.with_name(f"{file.name}.py")
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text(textwrap.dedent(text))

        def run(self, *command: str, **environment: str) -> types.SimpleNamespace:
            done = subprocess.run(
                command,
                cwd=self.path,
                env={
                    **os.environ,
                    "PYTHONHASHSEED": "0",
                    "PYTHONDONTWRITEBYTECODE": "",
                    **environment,
                },
                capture_output=True,
                text=True,
                timeout=300,
                check=False,
            )
            return types.SimpleNamespace(code=done.returncode, out=done.stdout, err=done.stderr)

        def plain(self, *arguments: str) -> types.SimpleNamespace:
            return self.run(sys.executable, *arguments)

        def instrumented(self, modules: str, *arguments: str, **environment: str):
            asked = [part for name in modules.split() for part in ("--instrument", name)]
            options = ["--db", str(self.store.path), "--no-autopsy", *asked]
            return self.run(ARGUS, "run", *options, "--", sys.executable, *arguments, **environment)

        def same(self, modules: str, *arguments: str) -> types.SimpleNamespace:
            """Runs it both ways; the two must not differ."""
            plain = self.plain(*arguments)
            instrumented = self.instrumented(modules, *arguments)
            assert instrumented == plain
            return instrumented

        def calls(self) -> Counter[str]:
            rows = self.store.query("SELECT process, count(*) AS n FROM process_trace GROUP BY 1")
            return Counter({row["process"]: row["n"] for row in rows})

    Place.path.mkdir()
    return Place()
