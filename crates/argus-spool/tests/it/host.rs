//! The host keeps what is its own: descriptors, threads, signals.

use super::roles::{Home, emit, metric, run};
use super::spool::metric_values;

fn count(folder: &str) -> usize {
    std::fs::read_dir(folder).unwrap().count()
}

pub(crate) fn host() {
    let descriptors = count("/proc/self/fd");
    let threads = count("/proc/self/task");
    let name = metric();
    emit(name, 0.0);
    assert_eq!(count("/proc/self/fd"), descriptors, "no descriptor is kept");
    assert_eq!(count("/proc/self/task"), threads, "no thread is started");
    for descriptor in 3..64 {
        // SAFETY: the host closes what it does not need, as daemons do.
        unsafe { libc::close(descriptor) };
    }
    std::env::set_current_dir("/").unwrap();
    for value in 1..50_000 {
        emit(name, f64::from(value));
    }
    assert_eq!(argus_spool::stats().lost_normal, 0);
}

#[test]
fn a_host_that_closes_everything_and_moves_is_recorded_whole() {
    let home = Home::new("host");
    run("host", &home.0);
    assert_eq!(metric_values(&home.0)[0].1.len(), 50_000);
}

/// Limits the size of its files, as shells and services do, below a chunk's.
pub(crate) fn small_files() {
    let limit = libc::rlimit {
        rlim_cur: 32 * 1024,
        rlim_max: 32 * 1024,
    };
    // SAFETY: sets a limit of this process only.
    let set = unsafe { libc::setrlimit(libc::RLIMIT_FSIZE, &raw const limit) };
    assert_eq!(set, 0);
    let name = metric();
    for value in 0..10 {
        assert_eq!(emit(name, f64::from(value)), argus_spool::Appended::Lost);
    }
    assert_eq!(argus_spool::stats().lost_normal, 10);
}

#[test]
fn a_host_whose_files_must_be_small_is_not_killed() {
    run("small-files", &Home::new("small").0);
}
