"""Builds the wheel: maturin's, with the `argus` and `gaze` commands in it, and `argus.pth`.

The command line program is Rust and stands in the wheel as it is, so that `argus` starts in a
millisecond and works without Python. It is built first and put into the wheel's `data/scripts`, which
installers copy to where `python` stands. The Python package looks for it there. `argus.pth` is put
beside the package, where every Python finds it that starts (see `argus/_hook.py`).

`ARGUS_BUILD_PROFILE` names another cargo profile than `release`.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import maturin

ROOT = Path(__file__).resolve().parents[2]
DATA = ROOT / "target" / "wheel.data"
STAGE = DATA / "scripts"

GAZE = """#!/bin/sh
exec "$(dirname -- "$0")/argus" gaze "$@"
"""


def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    """Builds the command, then the wheel around it."""
    _stage_commands()
    return maturin.build_wheel(wheel_directory, config_settings, metadata_directory)


def build_editable(wheel_directory, config_settings=None, metadata_directory=None):
    """Builds the command, then a wheel that points to the sources."""
    _stage_commands()
    return maturin.build_editable(wheel_directory, config_settings, metadata_directory)


build_sdist = maturin.build_sdist
get_requires_for_build_wheel = maturin.get_requires_for_build_wheel
get_requires_for_build_editable = maturin.get_requires_for_build_editable
get_requires_for_build_sdist = maturin.get_requires_for_build_sdist


def prepare_metadata_for_build_wheel(metadata_directory, config_settings=None):
    """Answers with maturin's metadata, for which the folder of commands must exist."""
    STAGE.mkdir(parents=True, exist_ok=True)
    return maturin.prepare_metadata_for_build_wheel(metadata_directory, config_settings)


prepare_metadata_for_build_editable = prepare_metadata_for_build_wheel


def _stage_commands() -> None:
    shutil.rmtree(DATA, ignore_errors=True)
    STAGE.mkdir(parents=True)
    (DATA / "platlib").mkdir()
    shutil.copy2(ROOT / "python" / "argus.pth", DATA / "platlib")
    shutil.copy2(_build_command(), STAGE / "argus")
    gaze = STAGE / "gaze"
    gaze.write_text(GAZE)
    gaze.chmod(0o755)


def _build_command() -> Path:
    """The freshly built command, as cargo says."""
    profile = os.environ.get("ARGUS_BUILD_PROFILE") or "release"
    if "ARGUS_BUILD_PROFILE" in os.environ:
        os.environ["MATURIN_PEP517_ARGS"] = f"--profile {profile}"
    cargo = os.environ.get("CARGO", "cargo")
    command = [cargo, "build", "--locked", "-p", "argus-cli", "--profile", profile]
    command += ["--message-format", "json-render-diagnostics"]
    built = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, check=True, text=True)
    for line in built.stdout.splitlines():
        message = json.loads(line)
        if message.get("executable") and message["target"]["name"] == "argus":
            return Path(message["executable"])
    raise RuntimeError("cargo built no `argus`")
