"""The old decorators, and `python -m argus.migrate`, which rewrites programs that use them."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import textwrap
import warnings

import pytest

import argus
import argus.legacy
from argus import _rewrite


def check(before: str, after: str, *notes: str) -> None:
    """Rewriting gives this text, these notes, and the second time nothing more."""
    text, told = _rewrite.rewrite(textwrap.dedent(before))
    assert text == textwrap.dedent(after)
    assert [note.text for note in told] == list(notes)
    assert _rewrite.rewrite(text) == (text, told)


def test_imports_of_monitor_become_those_of_argus():
    check(
        """
        from lib.monitoring.decorators import monitor  # why
        from lib.monitoring.decorators.monitor import monitor as watched
        from lib.monitoring import (
            monitor,  # spec
        )
        import os

        @monitor(process_group="trading.actant",   sample_rate=1.0)
        def f(): pass
        """,
        """
        from argus import monitor  # why
        from argus import monitor as watched
        from argus import (
            monitor,  # spec
        )
        import os

        @monitor(process_group="trading.actant",   sample_rate=1.0)
        def f(): pass
        """,
    )


def test_the_helper_for_whole_modules_is_known():
    check(
        """
        from lib.monitoring import auto_instrument_module
        auto_instrument_module(module=pnl, include_regex=r"^process_", exclude=("test_",))
        """,
        """
        from argus import auto_instrument_module
        auto_instrument_module(module=pnl, include_regex=r"^process_", exclude=("test_",))
        """,
    )


def test_old_decorators_become_monitor_with_their_group():
    check(
        """
        from lib.monitoring.decorators import TraceTime

        @TraceTime
        def bare(): pass

        @TraceTime()
        def empty(): pass

        @TraceTime(sample_rate=0.5,  # half
                   max_repr=10)
        def options(): pass

        @TraceTime("mine")
        def named(): pass

        @TraceTime(process_group="mine")
        def named_too(): pass

        called = TraceTime(bare)
        """,
        """
        from argus import monitor

        @monitor(process_group="legacy.time")
        def bare(): pass

        @monitor(process_group="legacy.time")
        def empty(): pass

        @monitor(process_group="legacy.time", sample_rate=0.5,  # half
                   max_repr=10)
        def options(): pass

        @monitor("mine")
        def named(): pass

        @monitor(process_group="mine")
        def named_too(): pass

        called = monitor(bare, process_group="legacy.time")
        """,
    )


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("monitor, TraceTime", "monitor"),
        ("TraceTime, monitor", "monitor"),
        ("monitor as m, TraceTime as t", "monitor as m"),
        ("(\n    monitor,  # a\n    TraceTime,  # b\n)", "(\n    monitor,  # a\n    # b\n)"),
    ],
)
def test_what_is_imported_already_is_not_imported_twice(before, after):
    old, new = ("t", "m") if " as " in before else ("TraceTime", "monitor")
    check(
        f"from lib.monitoring.decorators import {before}\n@{old}\ndef f(): pass\n",
        f'from argus import {after}\n@{new}(process_group="legacy.time")\ndef f(): pass\n',
    )


def test_an_old_decorator_that_is_more_than_that_stays_as_a_shim():
    check(
        "from lib.monitoring.decorators import TraceTime\ndecorators = [TraceTime]\n",
        "from argus import TraceTime\ndecorators = [TraceTime]\n",
        "TraceTime is used in other ways than as a decorator, and stays",
    )
    check(
        "from lib.monitoring.decorators import TraceTime\nmonitor = 1\n@TraceTime\ndef f(): pass\n",
        "from argus import TraceTime\nmonitor = 1\n@TraceTime\ndef f(): pass\n",
        "TraceTime is used in other ways than as a decorator, and stays",
    )


def test_modules_are_followed_through_their_attributes():
    check(
        """
        import os, lib.monitoring.decorators
        import lib.monitoring.decorators.monitor as deco
        from lib import monitoring

        @lib.monitoring.decorators.monitor("a")
        @lib.monitoring.decorators.TraceTime
        @deco.monitor
        @monitoring.decorators.monitor(process_group="b")
        def f(): pass
        """,
        """
        import os, argus
        import argus as deco
        import argus as monitoring

        @argus.monitor("a")
        @argus.monitor(process_group="legacy.time")
        @deco.monitor
        @monitoring.monitor(process_group="b")
        def f(): pass
        """,
    )


def test_what_has_no_counterpart_is_left_and_told():
    check(
        """
        if True:
            from lib.monitoring.decorators import monitor, TraceTime, other
        from lib.monitoring.serializers.smart import SmartSerializer
        import lib.monitoring
        lib.elsewhere()
        @TraceTime
        def f(): pass
        """,
        """
        if True:
            from argus import monitor
            from lib.monitoring.decorators import other
        from lib.monitoring.serializers.smart import SmartSerializer
        import lib.monitoring
        lib.elsewhere()
        @monitor(process_group="legacy.time")
        def f(): pass
        """,
        "other of lib.monitoring.decorators has no counterpart",
        "lib.monitoring.serializers.smart has no counterpart",
        "lib is used in other ways, and stays",
    )


def test_places_are_bytes_of_lines_of_any_kind():
    before = 'x = "äöü€𝄞"; from lib.monitoring import monitor\r\n\f\n"""\x0b\u2028"""; import lib.monitoring as ä\r@ä.monitor\rdef f(): pass\r'
    text, notes = _rewrite.rewrite(before)
    assert text == before.replace("lib.monitoring", "argus")
    assert notes == []


def test_other_programs_are_left_alone():
    for text in (
        "",
        "x = 1\n",
        "from libx.monitoring import monitor\n",
        "from .lib import monitoring",
    ):
        check(text, text)


def command(*arguments: object, cwd: object = None) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-m", "argus.migrate", *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        cwd=cwd,
    )


OLD = "from lib.monitoring.decorators import monitor\n"
NEW = "from argus import monitor\n"


@pytest.fixture
def tree(tmp_path):
    """A folder with sources of many kinds."""
    files = {
        "a.py": OLD.encode(),
        "sub/b.py": b"\xef\xbb\xbf" + OLD.replace("\n", "\r\n").encode(),
        "sub/c.py": b"# -*- coding: latin-1 -*-\n# \xe4\n" + OLD.encode(),
        "broken.py": b"def f(:\n",
        "nul.py": b"x = '\0'\n",
        "text.txt": OLD.encode(),
        ".hidden/d.py": OLD.encode(),
        "venv/pyvenv.cfg": b"",
        "venv/e.py": OLD.encode(),
    }
    for name, content in files.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)
    return tmp_path


def test_the_command_rewrites_what_it_can_and_tells_the_rest(tree):
    os.chmod(tree / "a.py", 0o750)
    os.symlink("a.py", tree / "link.py")
    done = command(".", cwd=tree)
    assert done.returncode == 3
    assert done.stdout.splitlines() == ["rewrote a.py", "rewrote sub/b.py", "rewrote sub/c.py"]
    broken, nul = done.stderr.splitlines()
    assert broken.startswith("argus.migrate: broken.py: does not parse: ")
    assert broken.endswith("(line 1)")
    assert nul.startswith("argus.migrate: nul.py: does not parse: ")
    assert (tree / "a.py").read_text() == NEW
    assert stat.S_IMODE((tree / "a.py").stat().st_mode) == 0o750
    assert (tree / "link.py").is_symlink()
    assert (tree / "sub/b.py").read_bytes() == b"\xef\xbb\xbf" + NEW.replace("\n", "\r\n").encode()
    assert b"\xe4" in (tree / "sub/c.py").read_bytes()
    for untouched in ("text.txt", ".hidden/d.py", "venv/e.py"):
        assert (tree / untouched).read_text() == OLD
    assert not [name for name in os.listdir(tree) if name.startswith(".a.py")]


def test_check_and_diff_write_nothing(tree):
    for option, code in (("--check", 1), ("--diff", 0)):
        done = command(option, "a.py", "sub", cwd=tree)
        assert done.returncode == code
        assert "-" + OLD in done.stdout
        assert "+" + NEW in done.stdout
    assert (tree / "a.py").read_text() == OLD
    assert command("a.py", cwd=tree).returncode == 0
    done = command("--check", "a.py", cwd=tree)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_wrong_use_and_missing_files_have_their_own_codes(tree):
    assert command().returncode == 2
    assert command("--check", "--diff", "a.py", cwd=tree).returncode == 2
    done = command("missing.py", cwd=tree)
    assert done.returncode == 3
    assert done.stderr == "argus.migrate: missing.py: No such file or directory\n"


def test_the_shim_records_in_its_group_and_warns_once(recorded):
    argus.legacy._warned.clear()
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")

        @argus.TraceTime
        def shim_bare():
            return 1

        @argus.TraceTime(process_group="mine", capture={"result": False})
        def shim_with_options():
            return 2

    (warning,) = told
    assert warning.category is DeprecationWarning
    assert 'use argus.monitor(process_group="legacy.time")' in str(warning.message)
    assert warning.filename == __file__
    assert (shim_bare(), shim_with_options()) == (1, 2)
    assert recorded("shim_bare")[0].process_group == "legacy.time"
    assert recorded("shim_with_options")[0].process_group == "mine"
