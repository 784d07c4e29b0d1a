"""The host notices nothing: no child, no descriptor, no signal, whatever it does with its own.

Each program here is the first to record into its database, so its first call starts the collector.
"""

from __future__ import annotations


def test_a_host_that_watches_its_children_sees_none_of_ours(run):
    done = run("""
        import argus, os, signal
        seen = []
        signal.signal(signal.SIGCHLD, lambda *_: seen.append("SIGCHLD"))
        @argus.monitor
        def work(n): return n
        work(1)
        assert argus.flush(30)
        try:
            print(os.waitpid(-1, os.WNOHANG))
        except ChildProcessError:
            print("no child")
        pid = os.fork()
        if pid == 0:
            work(2); os._exit(3)
        print(os.waitpid(-1, 0) == (pid, 3 << 8), seen)
        assert argus.flush(30)
    """)
    assert done.out.splitlines() == ["no child", "True ['SIGCHLD']"]
    assert len(done.store.query("SELECT 1 FROM producers")) >= 1


def test_a_host_that_ignores_its_children_still_gets_a_collector(run):
    done = run("""
        import argus, signal, subprocess
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)
        @argus.monitor
        def work(): pass
        work()
        assert argus.flush(30)
        print(subprocess.run(["true"]).returncode)
    """)
    assert done.out.split() == ["0"]
    assert len(done.store.spans("work")) == 1


def test_no_descriptor_is_kept_and_none_is_missed(run):
    done = run("""
        import argus, os
        def descriptors(): return sorted(os.listdir("/proc/self/fd"))
        before = descriptors()
        @argus.monitor
        def work(n): return n
        work(0)
        assert argus.flush(30)
        print(descriptors() == before)
        os.closerange(3, 1024)
        for n in range(1, 20_000): work(n)
        assert argus.flush(60)
        # Numbers that were ours for a moment are the host's own now.
        mine = os.open("/dev/null", os.O_RDWR)
        for n in range(20_000, 40_000): work(n)
        os.write(mine, b"x")
        assert argus.flush(60)
    """)
    assert done.out.split() == ["True"]
    assert len(done.store.spans("work")) == 40_000


def test_the_collector_holds_nothing_of_the_host(run):
    done = run("""
        import argus, os, socket
        listener = socket.create_server(("127.0.0.1", 0)); os.set_inheritable(listener.fileno(), True)
        @argus.monitor
        def work(): pass
        work()
        assert argus.flush(30)
        import sqlite3
        database = sqlite3.connect(f"file:{os.environ['ARGUS_DB']}?mode=ro", uri=True)
        (pid,) = database.execute("SELECT pid FROM collector").fetchone()
        held = {os.readlink(f"/proc/{pid}/fd/{fd}") for fd in os.listdir(f"/proc/{pid}/fd")}
        ours = os.readlink(f"/proc/self/fd/{listener.fileno()}")
        parent = open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()[1]
        print(ours in held, int(parent) == os.getpid(), os.getsid(pid) == os.getsid(0))
    """)
    assert done.out.split() == ["False", "False", "False"]


def test_a_host_without_a_place_to_write_runs_as_ever(run, tmp_path):
    blocked = tmp_path / "blocked"
    blocked.write_text("a file where a folder should be")
    done = run(
        """
        import argus
        @argus.monitor
        def work(n): return n * 2
        print(sum(work(n) for n in range(1_000)), argus.flush(0), argus.stats()["dropped"])
        """,
        ARGUS_DB=str(blocked / "argus.db"),
    )
    assert done.out.split() == ["999000", "False", "2000"]
    assert done.err == ""
