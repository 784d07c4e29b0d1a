//! A reader that never ends its transaction: the collector goes on as long as the WAL may grow, then
//! leaves everything in the spools and says who is in the way.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::bed::{Bed, Guarded};
use super::host::{OWN_CODE, SAID};
use super::ledger::{Ledger, Said};
use super::rounds;

const MOST_WAL: u64 = 128 << 20;
/// A collector that commits nothing for this long while it has something holds back.
const WITHOUT_PROGRESS: Duration = Duration::from_secs(10);

#[test]
fn a_stopped_reader_stops_nobody_and_the_wal_stays_bounded() {
    let bed = Bed::new();
    bed.drain();
    let script = "import sqlite3, sys, time\n\
                  database = sqlite3.connect('file:' + sys.argv[1] + '?mode=ro', uri=True)\n\
                  database.execute('BEGIN')\n\
                  database.execute('SELECT count(*) FROM producers').fetchall()\n\
                  print('reading', flush=True)\n\
                  time.sleep(3600)";
    let mut reader = Command::new("python3");
    reader.args(["-c", script]).arg(bed.data().database());
    let mut reader = Guarded(reader.stdout(Stdio::piped()).spawn().unwrap());
    let mut line = String::new();
    let stdout = reader.0.stdout.take().unwrap();
    BufReader::new(stdout).read_line(&mut line).unwrap();
    assert_eq!(line, "reading\n");

    let collector = Guarded(
        bed.argus(&["collector", "--idle-exit", "never"])
            .spawn()
            .unwrap(),
    );
    let (said, records) = (bed.path("said"), rounds(10) * 10_000);
    let mut host = bed.host(&format!("lanes:1:{records}"));
    let mut host = host.env(SAID, &said).spawn().unwrap();
    let wal = bed.data().database().with_extension("db-wal");
    let mut most = 0;
    let mut look = || {
        most = most.max(std::fs::metadata(&wal).map_or(0, |data| data.len()));
        std::thread::sleep(Duration::from_millis(10));
    };
    let status = loop {
        look();
        if let Some(status) = host.try_wait().unwrap() {
            break status;
        }
    };
    assert_eq!(status.code(), Some(OWN_CODE));
    // Until it has done everything, or holds back because of the reader.
    let (mut stored, mut since) = (-1, Instant::now());
    while stored < i64::from(records) && since.elapsed() < WITHOUT_PROGRESS {
        look();
        let now = bed.number("SELECT count(*) FROM metrics");
        if now != stored {
            (stored, since) = (now, Instant::now());
        }
    }
    if stored < i64::from(records) {
        let status = bed.argus(&["status", "--json"]).output().unwrap();
        let status: serde_json::Value = serde_json::from_slice(&status.stdout).unwrap();
        let named = &status["collector"]["held"]["reader"];
        assert_eq!(*named, reader.0.id(), "it says who is in the way");
        assert_eq!(status["collector"]["alive"], true);
    }
    println!(
        "reader-stall: at most {} MiB of WAL, {stored} stored beside the reader",
        most >> 20
    );
    drop(reader);
    drop(collector);
    bed.drain();
    Ledger::of_lanes(&bed, Said::read(&said)).settle("reader-stall");
    assert!(most <= MOST_WAL, "{} MiB of WAL", most >> 20);
}
