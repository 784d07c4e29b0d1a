//! Killed at any moment, a program loses no accepted record.

use std::os::unix::process::ExitStatusExt;
use std::time::{Duration, Instant};

use super::roles::{Home, emit, metric, run, start};
use super::spool::metric_values;

#[test]
fn records_are_read_back_in_the_order_they_were_emitted() {
    let home = Home::new("order");
    run("emit:10000", &home.0);
    let found = metric_values(&home.0);
    assert_eq!(found.len(), 1);
    let expected: Vec<f64> = (0..10_000).map(f64::from).collect();
    assert!(found[0].1 == expected, "{} values", found[0].1.len());
}

#[test]
fn a_process_killed_at_random_loses_no_accepted_record() {
    let mut random = 0x2545_f491_4f6c_dd1d_u64;
    for round in 0..100 {
        let home = Home::new(&format!("kill-{round}"));
        let progress = home.0.join("progress");
        let mut child = start(
            &format!("emit-until-killed:{}", progress.display()),
            &home.0,
        );
        let deadline = Instant::now() + Duration::from_secs(20);
        while std::fs::metadata(&progress).map_or(0, |data| data.len()) < 8 {
            assert!(Instant::now() < deadline, "the program emits");
            std::thread::yield_now();
        }
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        let delay = Instant::now() + Duration::from_micros(random % 5_000);
        while Instant::now() < delay {
            std::hint::spin_loop();
        }
        child.kill().unwrap();
        assert_eq!(child.wait().unwrap().signal(), Some(9));
        let said = u64::from_le_bytes(std::fs::read(&progress).unwrap().try_into().unwrap());
        let found = metric_values(&home.0);
        let values = &found[0].1;
        let expected: Vec<f64> = (0..values.len()).map(|value| value as f64).collect();
        assert!(values == &expected, "none doubled, none out of order");
        let accepted = values.len() as u64;
        assert!(
            accepted == said || accepted == said + 1,
            "said {said}, found {accepted}"
        );
    }
}

pub(crate) fn emit_from_threads(each: u32) {
    let name = metric();
    std::thread::scope(|scope| {
        for thread in 0..8_u32 {
            scope.spawn(move || {
                for value in 0..each {
                    emit(name, f64::from(thread * each + value));
                }
            });
        }
    });
    assert_eq!(argus_spool::stats().emitted, u64::from(8 * each));
}

#[test]
fn threads_do_not_disturb_each_other() {
    let home = Home::new("threads");
    run("threads:20000", &home.0);
    let mut values = metric_values(&home.0).remove(0).1;
    values.sort_by(f64::total_cmp);
    let expected: Vec<f64> = (0..160_000).map(f64::from).collect();
    assert!(values == expected, "{} values", values.len());
}
