//! Signal handlers emit too, in the middle of an emit of their own thread.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use argus_model::Record;
use argus_spool::control::ControlPage;
use argus_spool::read::{ChunkReader, chunks};
use argus_spool::{Definition, place};

use super::roles::{Home, emit, metric, run};
use super::spool::{all_producers, read_all};

static NAME: OnceLock<&'static Definition> = OnceLock::new();
static HANDLED: AtomicU64 = AtomicU64::new(0);
const INTERRUPTIONS: u64 = 20_000;

extern "C" fn handle(_: libc::c_int) {
    if let Some(name) = NAME.get() {
        emit(name, -1.0);
        HANDLED.fetch_add(1, Ordering::Release);
    }
}

/// Emits beyond its budget, so that it often holds the lock, while another thread interrupts it.
pub(crate) fn host(said: &str) {
    NAME.set(metric()).unwrap();
    let place = place::from_environment().unwrap();
    place::prepare(&place).unwrap();
    let control = ControlPage::open(&place.control()).unwrap();
    control.set_budget(1 << 20);
    // SAFETY: the handler only emits and counts; a thread knows itself.
    let target = unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = handle as *const () as usize;
        libc::sigaction(libc::SIGUSR1, &raw const action, std::ptr::null_mut());
        libc::pthread_self()
    };
    let done = AtomicBool::new(false);
    let mut emitted = 0;
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let deadline = Instant::now() + Duration::from_secs(30);
            for sent in 1..=INTERRUPTIONS {
                // SAFETY: the target waits for this thread before it ends.
                unsafe { libc::pthread_kill(target, libc::SIGUSR1) };
                while HANDLED.load(Ordering::Acquire) < sent {
                    if Instant::now() > deadline {
                        // The target hangs, so nobody could join it.
                        std::process::abort();
                    }
                    std::hint::spin_loop();
                }
            }
            done.store(true, Ordering::Release);
        });
        while !done.load(Ordering::Acquire) {
            emit(NAME.get().unwrap(), 1.0);
            emitted += 1;
        }
    });
    let stats = argus_spool::stats();
    assert_eq!(stats.emitted, emitted + INTERRUPTIONS);
    assert!(stats.lost_normal > 0);
    std::fs::write(said, stats.emitted.to_string()).unwrap();
}

/// Records read back, and losses that the spool itself tells of.
fn accounts(home: &Home) -> (u64, u64) {
    let (id, directory) = all_producers(&home.0).remove(0);
    let (mut read, mut lost) = (0, 0);
    read_all(id, &directory, &mut |_, record| match record {
        Record::Metric { .. } => read += 1,
        Record::Gap(gap) => lost += gap.normal,
        _ => {}
    });
    let (_, path) = chunks(&directory).unwrap().remove(0);
    let reader = ChunkReader::open(&path, id).unwrap().unwrap();
    let running = reader.running_gap().unwrap();
    (read, lost + running.map_or(0, |gap| gap.normal))
}

#[test]
fn a_handler_that_interrupts_an_emit_neither_blocks_nor_vanishes() {
    let home = Home::new("signals");
    let said = home.0.join("said");
    run(&format!("signals:{}", said.display()), &home.0);
    let emitted: u64 = std::fs::read_to_string(said).unwrap().parse().unwrap();
    let (read, lost) = accounts(&home);
    assert_eq!(read + lost, emitted, "stored and lost");
}
