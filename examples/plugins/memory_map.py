"""What a process's memory is made of: a plugin that goes on running, and prints when it likes.

argus gaze --process NAME --plugin ./memory_map.py
"""

import os
import sys
import time
from pathlib import Path

EVERY_SECONDS = 5.0
SHOWN = {
    "Pss_Anon": "anonymous",
    "Pss_File": "file",
    "Pss_Shmem": "shared",
    "SwapPss": "swapped",
}


def main() -> int:
    """Prints until the process has ended."""
    pid = os.environ["ARGUS_PID"]
    rollup = Path("/proc", pid, "smaps_rollup")
    print("# HELP memory_bytes Proportional share of memory, by what it holds.")
    print("# TYPE memory_bytes gauge")
    rounds = 0
    while True:
        try:
            text = rollup.read_text()
        except (FileNotFoundError, ProcessLookupError):
            if rounds == 0:
                print(f"no process {pid}", file=sys.stderr)
            return 0 if rounds else 1
        for line in text.splitlines():
            name, _, value = line.partition(":")
            if name in SHOWN:
                kilobytes = int(value.split()[0])
                print(f'memory_bytes{{kind="{SHOWN[name]}"}} {kilobytes * 1024}')
        # A pipe is not a terminal: without this, the values would wait for more of them.
        sys.stdout.flush()
        rounds += 1
        time.sleep(EVERY_SECONDS)


if __name__ == "__main__":
    sys.exit(main())
