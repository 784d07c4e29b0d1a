"""Logs numbered lines through a rotating handler, two thousand a second, and prints how many."""

import logging
import logging.handlers
import sys
import time


def main() -> None:
    path, kind, seconds = sys.argv[1], sys.argv[2], float(sys.argv[3])
    if kind == "size":
        # Two hundred lines or so.
        handler: logging.Handler = logging.handlers.RotatingFileHandler(
            path, maxBytes=20_000, backupCount=10_000
        )
    else:
        # Twice within a second it would rename onto the same name.
        handler = logging.handlers.TimedRotatingFileHandler(path, when="S", backupCount=10_000)
    handler.setFormatter(logging.Formatter("%(message)s"))
    logger = logging.getLogger("storm")
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    begun = time.monotonic()
    number = 0
    while time.monotonic() - begun < seconds:
        length = number * 7_919 % 160 + (4_000 if number % 199 == 7 else 0)
        logger.info("%s 0 %s", number, "x" * length)
        number += 1
        time.sleep(max(0.0, begun + number * 0.0005 - time.monotonic()))
    print(number)


main()
