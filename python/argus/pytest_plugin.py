"""A pytest plugin: a trace for every test, told when the test fails or hangs.

Off unless asked for, by ``pytest --argus`` or ``argus = true`` in the configuration file. Then each test
is a root span, named by its node id, that fails when the test does; what the test calls stands inside.
A test that fails has a section ``argus`` in its report: what is open in the process, and what took
longest in the test. ``--argus-hang SECONDS`` prints the same to standard error for a test that takes
longer than that, while it goes on (with a thread of its own; a test that never lets go of the
interpreter's lock cannot be told). Works in the workers of pytest-xdist.

Nothing that goes wrong here fails a test: where the trace cannot be read, the section says why.
"""

from __future__ import annotations

from typing import Any


def pytest_addoption(parser: Any) -> None:
    """Adds ``--argus``, ``--argus-hang`` and the setting ``argus``."""
    group = parser.getgroup("argus", "flight recorder")
    group.addoption(
        "--argus", action="store_true", help="record a trace for each test, tell it on failure"
    )
    group.addoption(
        "--argus-hang",
        type=float,
        metavar="SECONDS",
        help="with a trace for each test: tell it for a test that takes longer than this",
    )
    parser.addini("argus", "record a trace for each test, tell it on failure", "bool", False)


def pytest_configure(config: Any) -> None:
    """Loads what does the work, if it is wanted."""
    hang = config.getoption("argus_hang")
    if config.getoption("argus") or config.getini("argus") or hang is not None:
        from argus import _pytest

        _pytest.enable(config, hang)
