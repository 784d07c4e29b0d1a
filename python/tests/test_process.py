"""The package and the process it lives in: switches, forks, spawns, threads of ours, death."""

from __future__ import annotations


def test_disabled_answers_the_function_itself(run):
    done = run(
        """
        import argus, os
        def f(): return 1
        print(argus.monitor(f) is f, argus.monitor("group")(f) is f)
        with argus.span("x"): pass
        argus.metric("m", 1); argus.event("e")
        print(argus.flush(0), argus.stats()["emitted"], os.path.exists(os.environ["ARGUS_DB"] + ".d"))
        """,
        ARGUS_DISABLE="1",
    )
    assert done.out.split() == ["True", "True", "True", "0", "False"]


def test_a_forked_child_records_for_itself(run):
    done = run("""
        import argus, os
        @argus.monitor
        def before(): 
            pid = os.fork()
            if pid == 0:
                after("child"); assert argus.flush(30)
                os._exit(0)
            os.waitpid(pid, 0)
            after("parent")
        @argus.monitor
        def after(who): return os.getpid()
        before()
        assert argus.flush(30)
        print(os.getpid())
    """)
    parent = int(done.out)
    before = done.store.span("before")
    child_span, parent_span = sorted(done.store.spans("after"), key=lambda s: s.arguments["who"])
    assert before.pid == parent_span.pid == parent
    assert parent_span.parent == before.span
    assert (child_span.parent, child_span.result) == (None, str(child_span.pid))
    assert child_span.pid != parent


def test_a_child_forked_inside_a_call_does_not_end_the_parents_span(run):
    done = run("""
        import argus, os, sys
        @argus.monitor
        def forks():
            return os.fork()
        pid = forks()
        if pid == 0:
            forks_again = argus.monitor(lambda: None); forks_again()
            argus.flush(30); os._exit(0)
        os.waitpid(pid, 0)
        with argus.span("forked_span"):
            pid = os.fork()
            if pid == 0: pass
            else: os.waitpid(pid, 0)
        argus.flush(30)
    """)
    assert len(done.store.spans("forks")) == 1
    assert len(done.store.spans("forked_span")) == 1


def test_pools_of_processes_record_in_both_ways_of_starting(run):
    for method in ("fork", "spawn"):
        done = run(f"""
            import argus, multiprocessing
            @argus.monitor
            def square(n): return n * n
            @argus.monitor
            def main_{method}():
                with multiprocessing.get_context({method!r}).Pool(2) as pool:
                    print(pool.map(square, range(20)))
                    pool.close(); pool.join()
            if __name__ == "__main__":
                main_{method}()
                assert argus.flush(30)
        """)
        assert done.out.strip() == str([n * n for n in range(20)])
    assert done.store.span("main_spawn").status == "OK"


def test_importing_and_recording_start_no_thread(run):
    done = run(
        """
        import argus, os
        @argus.monitor
        def f(): return len(os.listdir("/proc/self/task"))
        print(f(), len(os.listdir("/proc/self/task")))
        """,
        ARGUS_COLLECTOR="off",
    )
    assert done.out.split() == ["1", "1"]


def test_without_a_collector_flush_says_so_and_nothing_is_lost(run):
    done = run(
        """
        import argus
        @argus.monitor
        def f(): return 1
        for _ in range(100): f()
        print(argus.flush(0.05), argus.stats()["emitted"], argus.stats()["depth"])
        """,
        ARGUS_COLLECTOR="off",
    )
    assert done.out.split() == ["False", "200", "200"]


def test_a_long_queue_warns_once_through_logging(run):
    done = run(
        """
        import argus, logging
        logging.basicConfig(format="%(name)s %(levelname)s")
        @argus.monitor(queue_warning_threshold=100)
        def f(): return 1
        for _ in range(20_000): f()
        stats = argus.stats()
        print(stats["overflowed"] > 0, stats["recovered"], stats["dropped"])
        """,
        ARGUS_COLLECTOR="off",
    )
    assert done.out.split() == ["True", "0", "0"]
    assert done.err.split() == ["argus", "WARNING"]


def test_the_sample_rate_of_the_environment_is_the_default(run):
    done = run(
        """
        import argus
        @argus.monitor
        def f(): return 1
        for _ in range(100): f()
        print(argus.stats()["emitted"])
        """,
        ARGUS_COLLECTOR="off",
        ARGUS_SAMPLE_RATE="0",
    )
    assert done.out.split() == ["0"]


def test_the_interrupt_of_a_user_reaches_the_program_through_a_serializer(run):
    done = run("""
        import argus, signal, time
        def serializer(value):
            signal.raise_signal(signal.SIGINT)
            return "never"
        @argus.monitor(serializer=serializer, capture={"result": False})
        def f(x): return x
        try:
            f(1)
            time.sleep(10)
        except KeyboardInterrupt:
            print("interrupted")
    """)
    assert done.out.split() == ["interrupted"]


def test_everything_a_killed_program_recorded_is_stored(run, tmp_path):
    done = run("""
        import argus, os, signal, subprocess, sys, textwrap
        victim = '''
        import argus, os, signal
        @argus.monitor
        def done(n): return n
        @argus.monitor
        def open_when_killed():
            for n in range(1_000): done(n)
            os.kill(os.getpid(), signal.SIGKILL)
        open_when_killed()
        '''
        subprocess.run([sys.executable, "-c", textwrap.dedent(victim)])
        @argus.monitor
        def witness(): pass
        witness(); assert argus.flush(30)
    """)
    import time

    deadline = time.monotonic() + 30
    while not done.store.spans("open_when_killed") and time.monotonic() < deadline:
        time.sleep(0.05)
    assert len(done.store.spans("done")) == 1_000
    assert done.store.span("open_when_killed").exception.startswith("interrupted:")
