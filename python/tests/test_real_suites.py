"""The test suite of a real package, everything in it instrumented: the same results as without.

Takes minutes and gigabytes, so it is left out unless `ARGUS_REAL_SUITES` is set. A share of the traces is
recorded, since the suite makes tens of millions of calls; `ARGUS_REAL_SUITES=all` records all of them.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import xml.etree.ElementTree as tree
from pathlib import Path

import pytest

ASKED = os.environ.get("ARGUS_REAL_SUITES", "")
pytestmark = pytest.mark.skipif(not ASKED, reason="ARGUS_REAL_SUITES is not set")

ARGUS = os.environ.get("ARGUS_BIN") or str(Path(sys.executable).with_name("argus"))
PARTS = {
    "core": "arit basic cache containers count_ops diff equal eval expr facts kind logic numbers "
    "operations parameters priority singleton sorting subs symbol sympify traversal truediv var",
    "polys": "densearith densebasic densetools euclidtools monomials orderings polyutils polyoptions "
    "injections rings polyclasses galoistools pythonrational dispersion",
    "combinatorics": "permutations partitions subsets prufer graycode",
    "sets": "sets fancysets",
}
# Each of these takes seconds.
SLOW = "issue_21034 or round or diff_nth_derivative"


def results(folder: Path, name: str, *before: str, **environment: str) -> dict[str, str]:
    """What became of each test."""
    sympy = Path(pytest.importorskip("sympy").__file__).parent
    files = [
        str(sympy / part / "tests" / f"test_{file}.py")
        for part, names in PARTS.items()
        for file in names.split()
    ]
    report = folder / f"{name}.xml"
    options = ["-q", "-p", "no:cacheprovider", "-k", f"not ({SLOW})", f"--junitxml={report}"]
    subprocess.run(
        [*before, sys.executable, "-m", "pytest", *options, *files],
        cwd=folder,
        env={**os.environ, "PYTHONHASHSEED": "0", **environment},
        stdout=subprocess.DEVNULL,
        timeout=3600,
        check=False,
    )
    return {
        f"{case.get('classname')}.{case.get('name')}": next((child.tag for child in case), "passed")
        for case in tree.parse(report).iter("testcase")
    }


def test_sympy_has_the_same_results_instrumented(tmp_path):
    database = tmp_path / "suite.db"
    plain = results(tmp_path, "plain")
    run = [ARGUS, "run", "--db", str(database), "--no-autopsy", "--instrument", "sympy.*"]
    rate = "1" if ASKED == "all" else "0.02"
    instrumented = results(
        tmp_path, "instrumented", *run, "--instrument", "mpmath.*", "--", ARGUS_SAMPLE_RATE=rate
    )
    assert len(plain) >= 1_000
    assert instrumented == plain
    told = subprocess.run(
        [ARGUS, "status", "--db", str(database), "--json"], capture_output=True, check=True
    )
    for process in json.loads(told.stdout)["ledger"]:
        print(process)
        lost = process["lost_normal"] + process["lost_errors"]
        assert process["emitted"] == process["stored"] + lost
