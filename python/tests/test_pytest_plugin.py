"""The pytest plugin, in runs of pytest of its own."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import textwrap
import time

import pytest

SHOP = """
    import argus, pytest, sys, threading, time

    @argus.monitor
    def sell(number, token="secret"):
        time.sleep(number / 1000)
        return number

    @argus.monitor
    def break_down():
        raise ValueError("no \\x1b[31mstock")

    def test_passes():
        sell(1)

    def test_fails():
        sell(1); sell(30, token="s3")
        with argus.span("order", number=7):
            break_down()

    @pytest.fixture
    def broken():
        sell(3)
        raise KeyError("setup")

    def test_has_no_setup(broken):
        pass

    @pytest.mark.xfail
    def test_is_expected_to_fail():
        assert 0

    def test_is_skipped():
        pytest.skip("not today")
"""

HANGS = """
    import argus, time
    def test_hangs():
        with argus.span("warm_up"): time.sleep(0.01)
        with argus.span("waiting", what="stock"): time.sleep(1.5)
    def test_is_quick(): pass
"""


@pytest.fixture
def pytest_run(tmp_path, store_at):
    """Runs pytest on a file of tests; answers what it printed, its exit code, and the store."""

    def start(tests, *options, ini="", **environment):
        (tmp_path / "test_shop.py").write_text(textwrap.dedent(tests))
        (tmp_path / "pytest.ini").write_text("[pytest]\n" + ini)
        store = store_at(tmp_path / "run.db")
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *options],
            cwd=tmp_path,
            env={**os.environ, "ARGUS_DB": str(store.path), **environment},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        return done, store

    return start


def traces(store, count):
    """Outcome and status of every test's trace; the last ones are stored a moment after the run."""
    deadline = time.monotonic() + 30
    while True:
        rows = store.query(
            "SELECT process, status, process_group, (SELECT data_value FROM data_trace d"
            " WHERE d.id = p.id AND data = 'outcome') AS outcome"
            " FROM process_trace p WHERE parent IS NULL"
        )
        if len(rows) >= count or time.monotonic() > deadline:
            break
        time.sleep(0.02)
    assert {row["process_group"] for row in rows} <= {"pytest"}
    return {row["process"]: (row["outcome"], row["status"]) for row in rows}


def sections(output):
    """What stands in each section called argus."""
    return re.findall(r"^-+ argus -+\n(.*?)(?=^[-=_]{5,})", output, re.MULTILINE | re.DOTALL)


def test_without_being_asked_it_is_silent_and_imports_nothing(pytest_run):
    tests = """
        import sys
        def test_a(): assert not {"argus._pytest", "argus._trace", "argus._profiler"} & set(sys.modules)
        def test_b(): assert 0
    """
    done, store = pytest_run(tests)
    assert "1 failed, 1 passed" in done.stdout
    assert sections(done.stdout) == []
    assert "argus" not in done.stderr
    assert not store.path.exists()
    assert not store.path.with_name("run.db.d").exists()


def test_each_test_is_a_trace_with_its_outcome(pytest_run):
    done, store = pytest_run(SHOP, "--argus")
    assert done.returncode == 1
    assert "1 failed, 1 passed, 1 skipped, 1 xfailed, 1 error" in done.stdout
    file = "test_shop.py::test_"
    assert traces(store, 5) == {
        f"{file}passes": ("'passed'", "OK"),
        f"{file}fails": ("'failed'", "ERR"),
        f"{file}has_no_setup": ("'failed'", "ERR"),
        f"{file}is_expected_to_fail": ("'xfailed'", "OK"),
        f"{file}is_skipped": ("'skipped'", "OK"),
    }
    (root,) = store.spans(f"{file}fails")
    assert root.exception.rstrip().endswith("stock")
    assert [span.parent for span in store.spans("sell")].count(root.span) == 2


def test_a_failing_test_tells_its_slowest_and_open_spans(pytest_run):
    done, _ = pytest_run(SHOP, "--argus")
    setup, failed = sections(done.stdout)
    assert "sell(number=3)" in setup
    lines = failed.splitlines()
    assert lines[:2] == ["OPEN: nothing", "SLOWEST"]
    assert "sell(number=30, token=***)" in lines[2]
    assert "order(number=7) ✗ ValueError: no  [31mstock" in failed
    assert "\x1b" not in failed


def test_open_spans_of_other_threads_are_told(pytest_run):
    tests = """
        import argus, threading
        opened, go, handles = threading.Event(), threading.Event(), []
        def work():
            with argus.span("in_a_thread"):
                opened.set()
                go.wait()
        def test_fails():
            threading.Thread(target=work).start()
            opened.wait()
            handles.append(argus.Profiler("p").start("left_open"))
            assert 0
        def test_ends_them():
            go.set()
            handles[0].end()
    """
    done, _ = pytest_run(tests, "--argus")
    (failed,) = sections(done.stdout)
    assert re.search(r"^OPEN\n.* in_a_thread\n.* left_open\n", failed)


def test_the_setting_turns_it_on(pytest_run):
    _, store = pytest_run("def test_a(): assert 0", ini="argus = true")
    assert traces(store, 1) == {"test_shop.py::test_a": ("'failed'", "ERR")}


def test_a_hung_test_is_told_while_it_goes_on(pytest_run):
    done, _ = pytest_run(HANGS, "--argus-hang", "0.3", "-rP")
    assert done.returncode == 0
    assert "argus: test_shop.py::test_hangs takes longer than 0.3 s" in done.stderr
    assert re.search(r"OPEN\n.* waiting\(what='stock'\)\nSLOWEST\n.* warm_up\n", done.stderr)
    (section,) = sections(done.stdout)
    assert "waiting(what='stock')" in section
    assert "test_is_quick takes" not in done.stderr


def test_it_works_in_the_workers_of_xdist(pytest_run):
    tests = "import argus, pytest\n" + "".join(
        f"def test_{n}():\n    with argus.span('work', n={n}): assert {n} != 5\n" for n in range(12)
    )
    done, store = pytest_run(tests, "--argus", "-n", "2")
    assert "1 failed, 11 passed" in done.stdout, done.stdout + done.stderr
    (failed,) = sections(done.stdout)
    assert "work(n=5) ✗ AssertionError" in failed
    assert set(traces(store, 12)) == {f"test_shop.py::test_{n}" for n in range(12)}
    assert len(store.query("SELECT DISTINCT producer_id FROM process_trace")) == 2


def test_a_hung_test_of_a_worker_is_told(pytest_run):
    done, _ = pytest_run(HANGS, "--argus-hang", "0.3", "-n", "1")
    assert done.returncode == 0
    assert "test_hangs takes longer than 0.3 s" in done.stderr + done.stdout


def test_where_nothing_can_be_read_back_it_says_so(pytest_run):
    done, _ = pytest_run(SHOP, "--argus", ARGUS_COLLECTOR="off")
    assert "1 failed, 1 passed, 1 skipped, 1 xfailed, 1 error" in done.stdout
    sentence = "no collector has stored the trace in time, see `argus doctor`\n"
    assert sections(done.stdout) == [sentence, sentence]


def test_where_recording_is_off_it_does_nothing(pytest_run):
    done, store = pytest_run(SHOP, "--argus", "--argus-hang", "1", ARGUS_DISABLE="1")
    assert "1 failed, 1 passed, 1 skipped, 1 xfailed, 1 error" in done.stdout
    assert sections(done.stdout) == []
    assert not store.path.exists()


def test_a_limit_that_is_none_is_refused(pytest_run):
    done, _ = pytest_run(SHOP, "--argus-hang", "0")
    assert done.returncode == 4
    assert "--argus-hang needs a number of seconds above 0" in done.stderr
