//! A collector that is short of something, or whose predecessor was.

use argus_model::paths::DataDir;
use argus_spool::read::{chunks, producers};

use super::bed::Bed;

fn bytes_on_disk(data: &DataDir) -> u64 {
    let mut bytes = 0;
    for (_, directory) in producers(&data.spool()).unwrap() {
        for (_, path) in chunks(&directory).unwrap() {
            bytes += std::fs::metadata(path).unwrap().len();
        }
    }
    bytes
}

#[test]
fn a_collector_short_of_descriptors_loses_nothing() {
    let bed = Bed::new();
    for _ in 0..30 {
        assert!(bed.host("spans:2000").status().unwrap().success());
    }
    let collector = bed.collector();
    let mut short = std::process::Command::new("timeout");
    short.args(["30", "sh", "-c", "ulimit -n 40; exec \"$0\" \"$@\""]);
    short
        .arg(collector.get_program())
        .args(collector.get_args());
    for (name, value) in collector.get_envs() {
        if let Some(value) = value {
            short.env(name, value);
        }
    }
    let ended = short.status().unwrap();
    assert!(ended.success(), "{ended}");
    bed.drain();
    assert_eq!(bed.number("SELECT count(*) FROM spans"), 60_000);
    bed.assert_spools_are_gone();
}

#[test]
fn a_new_collector_knows_what_the_spools_take() {
    let bed = Bed::new();
    assert!(bed.host("spans:20000").status().unwrap().success());
    let mut collector = bed.collector();
    collector.env("ARGUS_FAILPOINT", "after-read");
    assert!(!collector.status().unwrap().success());
    assert!(bytes_on_disk(&bed.data()) > 1 << 20);
    assert_eq!(bed.control().usage().0, bytes_on_disk(&bed.data()));
}

#[test]
fn a_command_reads_all_that_one_thread_left_behind() {
    let bed = Bed::new();
    assert!(bed.host("spans:60000").status().unwrap().success());
    let mut query = bed.argus(&["query", "--json", "SELECT count(*) AS n FROM spans"]);
    let said = query.env_remove("ARGUS_COLLECTOR").output().unwrap();
    let said = String::from_utf8(said.stdout).unwrap();
    assert!(said.contains("60000"), "{said}");
}
