"""Follows a log file as a script around pygtail does: `pygtail_loop.py FILE OFFSETS OUT`.

Twenty times a second it appends what is new to OUT, whole lines only, and goes on when the file is
just being rotated.
"""

import sys
import time

from pygtail import Pygtail


def follow(path: str, offsets: str, out: str) -> None:
    """Copies lines until it is killed."""
    with open(out, "a", buffering=1) as copy:
        while True:
            try:
                for line in Pygtail(path, offset_file=offsets, full_lines=True):
                    copy.write(line)
            except OSError:
                # Moved away, with no successor yet.
                pass
            time.sleep(0.05)


if __name__ == "__main__":
    follow(*sys.argv[1:4])
