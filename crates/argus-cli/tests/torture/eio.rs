//! The device breaks down under a running program.
//!
//! The file system is shut down as a pulled-out disk shuts it down: from then on whatever needs the
//! device fails with EIO. Files that must not grow (`RLIMIT_FSIZE`) are a test of `argus-spool`.

use std::os::unix::process::ExitStatusExt;

use super::alone::{Own, alone};
use super::bed::{Guarded, until};
use super::disk::{Disk, Kind};
use super::host::{OWN_CODE, SAID};
use super::ledger::Said;

const SIGBUS: i32 = 7;

#[test]
fn a_program_outlives_the_device_that_it_records_to() {
    let name = "eio::a_program_outlives_the_device_that_it_records_to";
    alone(name, Own::Mounts, || {
        for disk in Kind::ON_A_DEVICE.into_iter().filter_map(Disk::mount) {
            let bed = &disk.bed;
            let (signals, said) = (bed.path(""), bed.path("said"));
            let _collector = Guarded(
                bed.argus(&["collector", "--idle-exit", "never"])
                    .spawn()
                    .unwrap(),
            );
            let mut host = bed.host(&format!("through-a-breakdown:{}", signals.display()));
            let mut host = Guarded(host.env(SAID, &said).spawn().unwrap());
            until("the program emits", || signals.join("flowing").exists());
            let broken = disk.break_down();
            std::thread::sleep(std::time::Duration::from_secs(2));
            std::fs::write(signals.join("over"), "").unwrap();
            let status = host.0.wait().unwrap();
            let how = if broken { "broken" } else { "cannot be broken" };
            println!("{}: {how}, the host: {status}", disk.name());
            // Wrong today: a page that was written back cannot be written to again, and the kernel
            // says so by SIGBUS. Only a handler of ours in the host, or `pwrite`, could avert it.
            let killed = status.signal() == Some(SIGBUS);
            assert!(killed || status.code() == Some(OWN_CODE), "{status}");
            if killed {
                continue;
            }
            let said = Said::read(&said);
            println!(
                "{}: accepted {}, refused {}",
                disk.name(),
                said.accepted,
                said.refused_normal
            );
        }
    });
}
