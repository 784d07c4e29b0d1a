//! The device breaks down under a running program.
//!
//! The file system is shut down as a pulled-out disk shuts it down: from then on whatever needs the
//! device fails with EIO. Files that must not grow (`RLIMIT_FSIZE`) are a test of `argus-spool`.

use std::fs::File;
use std::io::Write;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, Stdio};

use super::alone::{Own, alone};
use super::bed::{Bed, Guarded, until};
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

/// What cannot be read is said to be so, once, and the logs on other devices are followed.
#[test]
fn a_log_on_a_device_that_is_gone_is_said_once_and_the_others_are_read() {
    let name = "eio::a_log_on_a_device_that_is_gone_is_said_once_and_the_others_are_read";
    alone(name, Own::Mounts, || {
        for disk in Kind::ON_A_DEVICE.into_iter().filter_map(Disk::mount) {
            let lost = disk.bed.path("disk/lost.log");
            let mut file = File::create(&lost).unwrap();
            file.write_all(&b"a line\n".repeat(1 << 20)).unwrap();
            file.sync_all().unwrap();
            // Else it would be read from memory.
            let mut forget = Command::new("dd");
            forget.arg(format!("if={}", lost.display()));
            forget.args(["iflag=nocache", "count=0"]);
            let is_forgotten = forget.stderr(Stdio::null()).status().unwrap().success();
            if !(is_forgotten && disk.break_down()) {
                println!("{}: cannot be broken", disk.name());
                continue;
            }
            let said = follow_beside(&lost);
            println!("{}: {}", disk.name(), said.trim());
            assert_eq!(said.lines().count(), 1, "{said}");
            assert!(said.contains("Input/output error"), "{said}");
        }
    });
}

/// Follows a good log beside one that is lost, for several looks at each; what gaze says of it.
fn follow_beside(lost: &Path) -> String {
    let bed = Bed::new();
    let (path, said) = (bed.path("good.log"), bed.path("said"));
    let mut good = File::create(&path).unwrap();
    let mut collector = bed.argus(&["collector", "--idle-exit", "never"]);
    let _collector = Guarded(collector.spawn().unwrap());
    let pid = std::process::id().to_string();
    let mut gaze = bed.argus(&[
        "gaze",
        "--pid",
        &pid,
        "--from",
        "start",
        "--interval",
        "0.5",
    ]);
    gaze.arg("--logfile").arg(lost).arg("--logfile").arg(path);
    gaze.stderr(File::create(&said).unwrap());
    let _gaze = Guarded(gaze.stdout(Stdio::null()).spawn().unwrap());
    for number in 1..=3 {
        good.write_all(b"a good line\n").unwrap();
        until("the line is stored", || {
            bed.number("SELECT count(*) FROM log_entries WHERE log_line = 'a good line'") == number
        });
        // It looks as often as it measures.
        let measured = || bed.number("SELECT count(*) FROM performance_metrics");
        let before = measured();
        until("gaze has looked once more", || measured() > before + 1);
    }
    std::fs::read_to_string(said).unwrap()
}
