//! Folders that cannot be written: the program runs as if Argus were not there, and counts.

use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use super::alone::{Own, alone};
use super::bed::{Bed, Guarded, until};
use super::disk::{Disk, Kind};
use super::host::{OWN_CODE, OWN_WORDS, SAID};
use super::ledger::{Ledger, Said};

const EACH: u32 = 500;

/// The host ends as it would have, having refused everything.
fn check(name: &str, mut host: Command, said: &std::path::Path) {
    let host = host.env(SAID, said).stdout(std::process::Stdio::piped());
    let output = host.output().unwrap();
    assert_eq!(output.status.code(), Some(OWN_CODE), "{name}");
    let words = String::from_utf8(output.stdout).unwrap();
    assert!(words.ends_with(&format!("{OWN_WORDS}\n")), "{words}");
    let said = Said::read(said);
    println!(
        "{name}: accepted {}, refused {}",
        said.accepted, said.refused_normal
    );
    assert_eq!((said.accepted, said.refused_normal), (0, EACH.into()));
}

#[test]
fn on_a_read_only_file_system_the_host_is_left_alone() {
    let name = "read_only::on_a_read_only_file_system_the_host_is_left_alone";
    alone(name, Own::Mounts, || {
        for disk in Kind::ALL.into_iter().filter_map(Disk::mount) {
            if disk.remount("ro") {
                let host = disk.bed.host(&format!("lanes:1:{EACH}"));
                check(disk.name(), host, &disk.bed.path("said"));
            }
        }
    });
}

#[test]
fn a_collector_whose_store_became_read_only_goes_on_when_it_can() {
    let name = "read_only::a_collector_whose_store_became_read_only_goes_on_when_it_can";
    alone(name, Own::Mounts, || {
        let Some(disk) = Disk::mount(Kind::Ext4) else {
            return;
        };
        let (bed, said) = (&disk.bed, disk.bed.path("said"));
        let mut host = bed.host(&format!("lanes:10:{EACH}"));
        assert_eq!(
            host.env(SAID, &said).status().unwrap().code(),
            Some(OWN_CODE)
        );
        assert!(disk.remount("ro"), "nobody has it open");
        let refused = bed.collector().output().unwrap();
        assert!(!refused.status.success());
        let sentence = String::from_utf8(refused.stderr).unwrap();
        assert!(sentence.starts_with("argus: "), "{sentence}");
        assert!(disk.remount("rw"));
        bed.drain();
        Ledger::of_lanes(bed, Said::read(&said)).settle("read-only, then writable");
    });
}

#[test]
fn a_folder_that_must_not_be_written_leaves_the_host_alone() {
    let bed = Bed::at("home");
    std::fs::create_dir(bed.path("home")).unwrap();
    let mode = std::fs::Permissions::from_mode(0o500);
    std::fs::set_permissions(bed.path("home"), mode).unwrap();
    let said = bed.path("said");
    let host = bed.host(&format!("lanes:1:{EACH}"));
    if !rustix::process::geteuid().is_root() {
        return check("mode 0500", host, &said);
    }
    // Root may write everywhere, so somebody else has to try.
    let mut nobody = Command::new("setpriv");
    nobody.args(["--reuid=65534", "--regid=65534", "--clear-groups"]);
    nobody.arg(host.get_program()).args(host.get_args());
    for (name, value) in host.get_envs() {
        if let Some(value) = value {
            nobody.env(name, value);
        }
    }
    for path in [bed.path(""), bed.path("home")] {
        let open = std::fs::Permissions::from_mode(0o777);
        std::fs::set_permissions(path, open).unwrap();
    }
    let closed = std::fs::Permissions::from_mode(0o555);
    std::fs::set_permissions(bed.path("home"), closed).unwrap();
    check("another user, mode 0555", nobody, &said);
}

#[test]
fn a_spool_that_becomes_unwritable_while_a_program_runs_costs_only_what_is_counted() {
    let bed = Bed::new();
    let (signals, said) = (bed.path(""), bed.path("said"));
    let mut host = bed.host(&format!("through-a-breakdown:{}", signals.display()));
    let mut host = Guarded(host.env(SAID, &said).spawn().unwrap());
    until("the program emits", || signals.join("flowing").exists());
    // New chunks cannot be made in a folder that is gone; those it has stay mapped.
    for entry in std::fs::read_dir(bed.data().spool()).unwrap() {
        std::fs::remove_dir_all(entry.unwrap().path()).unwrap();
    }
    std::fs::write(signals.join("over"), "").unwrap();
    assert_eq!(host.0.wait().unwrap().code(), Some(OWN_CODE));
    bed.drain();
}
