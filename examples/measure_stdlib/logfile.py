"""The log that all processes of the program share."""

from __future__ import annotations

import logging
import pathlib


def append_to(path: pathlib.Path) -> None:
    """Sends this process's log to `path`; a line is one write, so that processes do not mix.

    What the parser warns about goes there as well: the sources are not ours to repair.
    """
    logging.basicConfig(
        filename=path,
        level=logging.INFO,
        format="%(asctime)s %(levelname)s %(processName)s %(threadName)s %(message)s",
        force=True,
    )
    logging.captureWarnings(True)
