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
