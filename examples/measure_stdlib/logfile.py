"""The log that all processes of the program share."""

from __future__ import annotations

import logging
import pathlib


def append_to(path: pathlib.Path) -> None:
    """Sends this process's log to `path`; a line is one write, so that processes do not mix."""
    logging.basicConfig(
        filename=path,
        level=logging.INFO,
        format="%(asctime)s %(levelname)s %(processName)s %(threadName)s %(message)s",
        force=True,
    )
