//! The control page outlives its writers, and a boot.

use std::fs::OpenOptions;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::time::Duration;

use argus_spool::control::{ControlPage, DEFAULT_BUDGET};
use argus_spool::monotonic_now;

use super::roles::Home;

fn page(home: &Home) -> (ControlPage, PathBuf) {
    let path = home.0.join("control");
    (ControlPage::open(&path).unwrap(), path)
}

fn write(path: &PathBuf, offset: u64, word: u64) {
    let file = OpenOptions::new().write(true).open(path).unwrap();
    file.write_all_at(&word.to_le_bytes(), offset).unwrap();
}

#[test]
fn a_heartbeat_of_an_earlier_boot_is_none() {
    let home = Home::new("boot");
    let (control, path) = page(&home);
    control.beat(7);
    assert_eq!(control.living_collector(), Some(7));
    let after_a_long_uptime = monotonic_now().nanos() + Duration::from_hours(240).as_nanos() as u64;
    write(&path, 72, after_a_long_uptime);
    assert_eq!(control.living_collector(), None);
}

#[test]
fn a_page_whose_maker_was_killed_has_a_budget() {
    let home = Home::new("maker");
    let (control, path) = page(&home);
    write(&path, 200, 0);
    assert_eq!(control.usage().1, 0);
    let (control, _) = page(&home);
    assert_eq!(control.usage().1, DEFAULT_BUDGET);
}
