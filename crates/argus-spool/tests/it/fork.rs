//! A child of a fork writes its own spool, however it was forked.

use super::roles::{Home, emit, metric, run};
use super::spool::metric_values;

/// Emits, forks by libc and by bare system call, emits on both sides.
pub(crate) fn host() {
    let name = metric();
    emit(name, 1.0);
    for value in [2.0, 3.0] {
        // SAFETY: the child emits and leaves; it runs no code that needs other threads.
        let pid = unsafe {
            if value == 2.0 {
                i64::from(libc::fork())
            } else {
                libc::syscall(libc::SYS_fork)
            }
        };
        if pid == 0 {
            for _ in 0..1000 {
                emit(name, value);
            }
            // SAFETY: leaves at once, as a host may.
            unsafe { libc::_exit(0) };
        }
        emit(name, 1.0);
        let mut status = 0;
        // SAFETY: waits for the child made above.
        unsafe { libc::waitpid(pid as i32, &raw mut status, 0) };
        assert_eq!(status, 0);
        emit(name, 1.0);
    }
}

#[test]
fn a_forked_child_writes_a_spool_of_its_own() {
    let home = Home::new("fork");
    run("fork", &home.0);
    let mut found: Vec<Vec<f64>> = metric_values(&home.0)
        .into_iter()
        .map(|(_, values)| values)
        .collect();
    found.sort_by(|a, b| a[0].total_cmp(&b[0]));
    assert_eq!(found, [vec![1.0; 5], vec![2.0; 1000], vec![3.0; 1000]]);
}
