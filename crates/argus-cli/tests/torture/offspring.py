"""A program with many short-lived children: `offspring.py COUNT LEDGER`.

It prints a line, waits for one, and then makes children, some dozens at a time: forked, forked and executed, children of
children, and such as outlive their parent. Each writes a line into LEDGER before it lives: its pid, its
parent's, how it will end (an exit code, or minus a signal's number), and for how many milliseconds
it lives at least from then on. Ends with code 0 when all are collected.
"""

import os
import signal
import sys
import time

AT_A_TIME = 24
LIVES_MS = [1, 10, 25, 50, 60, 90, 120]
SIGNALS = [signal.SIGKILL, signal.SIGTERM, signal.SIGUSR1]


def say(ledger: int, maker: int, way: int, lives_ms: int) -> None:
    """What this process is going to do. Whoever made it may have ended by now, so it was told."""
    line = f"{os.getpid()} {maker} {way} {lives_ms}\n"
    os.write(ledger, line.encode())


def end(way: int) -> None:
    """An exit code, or minus a signal's number."""
    if way < 0:
        os.kill(os.getpid(), -way)
    os._exit(way)


def live(ledger: int, maker: int, way: int, lives_ms: int) -> None:
    """Forked, and no more."""
    say(ledger, maker, way, lives_ms)
    time.sleep(lives_ms / 1000)
    end(way)


def execute(ledger: int, maker: int, lives_ms: int) -> None:
    """Another program in the same process."""
    say(ledger, maker, 0, lives_ms)
    os.execv("/bin/sleep", ["sleep", str(lives_ms / 1000)])


def nest(ledger: int, maker: int, way: int, lives_ms: int) -> None:
    """A child that waits for a child of its own."""
    say(ledger, maker, 0, lives_ms)
    here = os.getpid()
    pid = os.fork()
    if pid == 0:
        live(ledger, here, way, lives_ms)
    os.waitpid(pid, 0)
    end(0)


def leave_an_orphan(ledger: int, maker: int, way: int, lives_ms: int) -> None:
    """A child whose own child is alive when it ends."""
    say(ledger, maker, 5, 60)
    here = os.getpid()
    if os.fork() == 0:
        live(ledger, here, way, 60 + lives_ms)
    time.sleep(0.06)
    end(5)


def child(number: int, ledger: int, maker: int) -> None:
    """Of ten children, seven are plain, and three are of a kind of their own."""
    lives_ms = LIVES_MS[number % len(LIVES_MS)]
    way = -SIGNALS[number // 4 % 3] if number % 4 == 3 else number * 7 % 256
    kind = number % 10
    if kind == 7:
        execute(ledger, maker, lives_ms)
    elif kind == 8:
        nest(ledger, maker, way, lives_ms)
    elif kind == 9:
        leave_an_orphan(ledger, maker, way, lives_ms)
    else:
        live(ledger, maker, way, lives_ms)


def main() -> None:
    """Makes all of them and collects those that are its own."""
    count, here = int(sys.argv[1]), os.getpid()
    ledger = os.open(sys.argv[2], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    print("ready", flush=True)
    sys.stdin.readline()
    alive = 0
    for number in range(count):
        if alive == AT_A_TIME:
            os.wait()
            alive -= 1
        if os.fork() == 0:
            child(number, ledger, here)
        alive += 1
    for _ in range(alive):
        os.wait()


main()
