//! Threads, against programs that know what theirs do.

use argus_observe::process::AttachError;
use argus_observe::threads::{Look, State, Threads};
use rustix::process::Signal;

use crate::stranger::{Program, Stranger, eventually};

/// Names a thread as the kernel shows it.
const NAMES: &str = "import ctypes, threading
PR_SET_NAME = 15
libc = ctypes.CDLL(None)
def begin(name, work):
    def run():
        libc.prctl(PR_SET_NAME, name.encode())
        named.release()
        work()
    threading.Thread(target=run, daemon=True).start()
    named.acquire()
named = threading.Semaphore(0)
rest = threading.Event()
";

fn look(threads: &mut Threads) -> Look {
    threads.look().unwrap().unwrap()
}

#[test]
fn each_thread_is_told_with_its_name_and_share() {
    let program = Program::start(&format!(
        "{NAMES}\n\
         def work():\n\
         \x20   while not rest.is_set(): pass\n\
         begin('busy ) R 1', work)\n\
         begin('idle', rest.wait)\n\
         step()\n\
         time.sleep(0.3)\n\
         step()\n"
    ));
    let mut threads = Threads::attach(&program.stranger.target()).unwrap();
    let first = look(&mut threads);
    assert_eq!((first.threads.len(), first.more), (3, 0));
    assert!(
        first
            .threads
            .iter()
            .all(|thread| thread.cpu_percent.is_none())
    );
    let states = first.threads.iter().map(|thread| thread.state);
    assert!(
        states.into_iter().any(|state| state == State::Stopped),
        "{first:?}"
    );
    program.step();
    let second = look(&mut threads);
    assert_eq!(second.threads[0].tid, program.stranger.pid);
    let share = |name: &str| {
        let mut named = second.threads.iter().filter(|thread| thread.name == name);
        named.next().unwrap().cpu_percent.unwrap()
    };
    // Others may want the CPU as well, so only the proportion is certain.
    assert!(share("busy ) R 1") > 5.0, "{second:?}");
    assert!(share("idle") * 4.0 < share("busy ) R 1"), "{second:?}");
}

#[test]
fn a_thread_that_is_new_has_no_share_and_one_that_has_ended_is_gone() {
    let program = Program::start(&format!(
        "{NAMES}\n\
         begin('old', rest.wait)\n\
         step()\n\
         old = threading.enumerate()[1]\n\
         rest.set(); old.join(); rest.clear()\n\
         begin('new', rest.wait)\n\
         while len(os.listdir('/proc/self/task')) > 2: pass\n\
         step()\n"
    ));
    let mut threads = Threads::attach(&program.stranger.target()).unwrap();
    assert_eq!(look(&mut threads).threads[1].name, "old");
    program.step();
    let look = look(&mut threads);
    let told: Vec<_> = look
        .threads
        .iter()
        .map(|thread| (thread.name.as_str(), thread.cpu_percent.is_some()))
        .collect();
    assert_eq!(told, [("python3", true), ("new", false)]);
}

#[test]
fn a_thousand_threads_are_looked_at() {
    let program = Program::start(&format!(
        "{NAMES}\n\
         threading.stack_size(65536)\n\
         for _ in range(1000): threading.Thread(target=rest.wait, daemon=True).start()\n\
         step()\n"
    ));
    let mut threads = Threads::attach(&program.stranger.target()).unwrap();
    assert_eq!(look(&mut threads).threads.len(), 1001);
}

#[test]
fn a_process_that_has_ended_has_no_threads() {
    let stranger = Stranger::asleep();
    let target = stranger.target();
    let mut threads = Threads::attach(&target).unwrap();
    assert_eq!(look(&mut threads).threads[0].name, "sleep");
    stranger.kill(Signal::KILL);
    eventually("it is dead", || {
        threads.look().unwrap().is_none().then_some(())
    });
    let again = Threads::attach(&target);
    assert!(matches!(again, Err(AttachError::EndedMeanwhile(_))));
}
