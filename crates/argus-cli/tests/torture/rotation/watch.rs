//! The gaze that follows the log, and dies.

use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::{Duration, Instant};

use argus_store::query::Cell;
use rustix::process::{Pid, Signal, kill_process};

use super::account::{Account, Row};
use crate::bed::{Bed, Chance, Guarded, until};

/// Whether gaze is killed while it follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kills {
    None,
    Random,
}

/// How long a gaze lives at most.
const LIFE_MS: u64 = 500;
/// How long nothing may come of a gaze that lives before that counts as all it has to tell.
const STANDSTILL: Duration = Duration::from_secs(20);

pub(super) struct Watch {
    pub(super) bed: Bed,
    gaze: Option<Guarded>,
    /// How many rows were stored at each kill.
    deaths: Vec<i64>,
    collector: Guarded,
}

impl Watch {
    pub(super) fn start() -> Self {
        let bed = Bed::new();
        let mut collector = bed.argus(&["collector", "--idle-exit", "never"]);
        let collector = Guarded(collector.spawn().unwrap());
        let mut watch = Self {
            bed,
            gaze: None,
            deaths: Vec::new(),
            collector,
        };
        std::fs::create_dir(watch.folder()).unwrap();
        watch.begin();
        watch
    }

    pub(super) fn folder(&self) -> PathBuf {
        self.bed.path("logs")
    }

    pub(super) fn path(&self) -> PathBuf {
        self.folder().join("app.log")
    }

    /// Starts a gaze, which goes on where the one before was killed.
    pub(super) fn begin(&mut self) {
        let pid = std::process::id().to_string();
        let mut gaze = self.bed.argus(&["gaze", "--pid", &pid, "--from", "resume"]);
        // It waits for the collector, which it would start if there were none.
        gaze.env_remove("ARGUS_COLLECTOR");
        gaze.arg("--logfile").arg(self.path());
        let mut options = OpenOptions::new();
        let said = options.create(true).append(true);
        let said: File = said.open(self.bed.path("gaze-said")).unwrap();
        gaze.stdout(Stdio::null()).stderr(said);
        self.gaze = Some(Guarded(gaze.spawn().unwrap()));
    }

    /// SIGKILL.
    pub(super) fn kill(&mut self) {
        self.gaze = None;
        self.deaths.push(self.stored());
    }

    /// The collector, which may be stopped for a while.
    pub(super) fn signal_collector(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.collector.0), signal).unwrap();
    }

    /// Writes lines that do not count until one is stored: who was never there knows nothing that
    /// could be resumed.
    pub(super) fn until_it_follows(&self) {
        let mut options = OpenOptions::new();
        let mut log = options.append(true).open(self.path()).unwrap();
        let mut due = Instant::now();
        until("gaze follows the log", || {
            if Instant::now() >= due {
                log.write_all(b"probe\n").unwrap();
                due = Instant::now() + Duration::from_millis(50);
            }
            self.stored() > 0
        });
    }

    /// How many lines are stored, the probes among them.
    pub(super) fn stored(&self) -> i64 {
        self.bed.number("SELECT count(*) FROM log_entries")
    }

    /// Kills gaze while something is written; what the writer says at its end.
    pub(super) fn through<T: Send>(
        &mut self,
        seed: u64,
        kills: Kills,
        write: impl FnOnce() -> T + Send,
    ) -> T {
        let mut chance = Chance(seed.wrapping_mul(0xbf58_476d_1ce4_e5b9) | 1);
        std::thread::scope(|scope| {
            let writer = scope.spawn(write);
            let is_over = || writer.is_finished();
            while kills == Kills::Random && !is_over() {
                let life = Duration::from_millis(chance.below(LIFE_MS));
                self.live(life, chance.below(2) == 0, &is_over);
                if !is_over() {
                    self.kill();
                    self.begin();
                }
            }
            writer.join().unwrap()
        })
    }

    /// Every other gaze lives until it has told something, and then for a while; the others may die
    /// before they have said a word.
    fn live(&self, life: Duration, is_heard: bool, is_over: &dyn Fn() -> bool) {
        let stored = self.stored();
        while is_heard && !is_over() && self.stored() == stored {
            std::thread::sleep(Duration::from_millis(5));
        }
        let death = Instant::now() + life;
        while !is_over() && Instant::now() < death {
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Waits until everything is stored, or nothing more comes.
    pub(super) fn until_stored(&self, written: u64) {
        let (mut before, mut since) = (self.stored(), Instant::now());
        while self.distinct() < written && since.elapsed() < STANDSTILL {
            std::thread::sleep(Duration::from_millis(20));
            let now = self.stored();
            if now != before {
                (before, since) = (now, Instant::now());
            }
        }
    }

    fn distinct(&self) -> u64 {
        let query = "SELECT count(DISTINCT log_line) FROM log_entries WHERE log_line != 'probe'";
        u64::try_from(self.bed.number(query)).unwrap()
    }

    /// What is in the store of the lines that were written, `unreachable` of which cannot be had. Waits for
    /// the others, and then for gaze, which reads to the files' ends before it leaves: whoever tells a line
    /// twice has done so by then.
    pub(super) fn settle(&mut self, written: u64, unreachable: u64) -> Account {
        self.until_stored(written - unreachable);
        let mut gaze = self.gaze.take().unwrap();
        kill_process(Pid::from_child(&gaze.0), Signal::INT).unwrap();
        gaze.0.wait().unwrap();
        Account {
            written,
            deaths: self.deaths.clone(),
            rows: self.rows(),
            gaps: self.gaps(),
            said: std::fs::read_to_string(self.bed.path("gaze-said")).unwrap_or_default(),
        }
    }

    fn rows(&self) -> Vec<Row> {
        let query = "SELECT log_line FROM log_entries WHERE log_line != 'probe' ORDER BY id";
        let table = self.bed.store().query(query, 10_000_000).unwrap();
        let lines = table.rows.iter().map(|row| Row::read(text(&row[0])));
        lines.collect()
    }

    /// What was told about lines that cannot be had.
    pub(super) fn gaps(&self) -> Vec<String> {
        let query = "SELECT detail FROM process_events WHERE event_type = 'log_gap' ORDER BY id";
        let table = self.bed.store().query(query, 100_000).unwrap();
        table
            .rows
            .iter()
            .map(|row| text(&row[0]).to_owned())
            .collect()
    }
}

fn text(cell: &Cell) -> &str {
    match cell {
        Cell::Text(text) => text,
        other => panic!("{other:?}"),
    }
}
