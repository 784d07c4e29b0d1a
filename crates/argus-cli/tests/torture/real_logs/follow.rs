//! The gaze that follows the logs of a program, and what came of it.

use std::fs::{File, OpenOptions};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use argus_store::query::Cell;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::bed::{Bed, Chance, Guarded, until};

/// How long nothing more may be stored before that counts as all there is.
const STANDSTILL: Duration = Duration::from_secs(20);

/// How long a gaze lives at most where it is killed.
const LIFE_MS: u64 = 500;

/// Whether gaze is killed while it follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kills {
    None,
    Random,
}

/// How gaze ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// Its program has ended.
    ByItself,
    /// It is asked to.
    Asked,
}

/// A gaze on a program's logs.
pub(super) struct Following {
    gaze: Option<Guarded>,
    pub(super) kills: u32,
    pid: String,
    logs: Vec<PathBuf>,
    _collector: Guarded,
    bed: Bed,
}

/// A stored line.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) path: String,
    pub(super) line: String,
    pub(super) level: String,
    /// Empty where it is the whole line.
    pub(super) message: String,
    pub(super) logger: String,
    pub(super) attributes: Value,
    /// How many lines stand between it and the first of its event, and one.
    pub(super) continues: Option<i64>,
    /// Behind it in its file.
    pub(super) offset: Option<i64>,
}

impl Following {
    /// Begins to follow from the files' beginnings, and waits until every one of `files` is read.
    pub(super) fn start(bed: Bed, pid: u32, logs: &[PathBuf], files: &[PathBuf]) -> Self {
        let mut collector = bed.argus(&["collector", "--idle-exit", "never"]);
        let collector = Guarded(collector.spawn().unwrap());
        let mut following = Self {
            gaze: None,
            kills: 0,
            pid: pid.to_string(),
            logs: logs.to_vec(),
            _collector: collector,
            bed,
        };
        following.begin("start");
        until("gaze reads the logs", || {
            let known = |file: &PathBuf| following.knows(file);
            files.iter().all(known)
        });
        following
    }

    fn begin(&mut self, from: &str) {
        let arguments = ["gaze", "--pid", &self.pid, "--parse-logs", "--from", from];
        let mut gaze = self.bed.argus(&arguments);
        // It waits for the collector, which it would start if there were none.
        gaze.env_remove("ARGUS_COLLECTOR");
        for log in &self.logs {
            gaze.arg("--logfile").arg(log);
        }
        let mut options = OpenOptions::new();
        let said = options.create(true).append(true);
        let said: File = said.open(self.bed.path("gaze-said")).unwrap();
        gaze.stdout(Stdio::null()).stderr(said);
        self.gaze = Some(Guarded(gaze.spawn().unwrap()));
    }

    fn knows(&self, file: &Path) -> bool {
        let file = file.display();
        let query = format!("SELECT count(*) FROM log_files WHERE path = '{file}'");
        self.bed.number(&query) > 0
    }

    /// Does something, while gaze is killed and goes on where it stopped.
    pub(super) fn through<T: Send>(
        &mut self,
        seed: u64,
        kills: Kills,
        work: impl FnOnce() -> T + Send,
    ) -> T {
        let mut chance = Chance(seed.wrapping_mul(0xbf58_476d_1ce4_e5b9) | 1);
        std::thread::scope(|scope| {
            let work = scope.spawn(work);
            while kills == Kills::Random && !work.is_finished() {
                let death = Instant::now() + Duration::from_millis(chance.below(LIFE_MS));
                while !work.is_finished() && Instant::now() < death {
                    std::thread::sleep(Duration::from_millis(1));
                }
                if !work.is_finished() {
                    self.gaze = None;
                    self.kills += 1;
                    self.begin("resume");
                }
            }
            work.join().unwrap()
        })
    }

    /// Waits until so many lines are stored, or nothing more comes.
    pub(super) fn until_stored(&self, due: u64) {
        let (mut before, mut since) = (self.stored(), Instant::now());
        while before < due && since.elapsed() < STANDSTILL {
            std::thread::sleep(Duration::from_millis(20));
            let now = self.stored();
            if now != before {
                (before, since) = (now, Instant::now());
            }
        }
    }

    pub(super) fn stored(&self) -> u64 {
        let stored = self.bed.number("SELECT count(*) FROM log_entries");
        u64::try_from(stored).unwrap()
    }

    /// The furthest offset up to which lines are stored.
    pub(super) fn furthest(&self) -> u64 {
        let offset = self.bed.number("SELECT max(offset) FROM log_files");
        u64::try_from(offset).unwrap()
    }

    /// The memory of gaze that no file stands behind.
    pub(super) fn anonymous_bytes(&self) -> u64 {
        let pid = self.gaze.as_ref().unwrap().0.id();
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        let mut lines = status.lines();
        let kilobytes = lines
            .find_map(|line| line.strip_prefix("RssAnon:"))
            .unwrap();
        let kilobytes = kilobytes.trim().trim_end_matches(" kB");
        kilobytes.parse::<u64>().unwrap() * 1024
    }

    /// Waits for the end of gaze, which reads to the files' ends before it leaves: all that it has to tell
    /// is told by then.
    pub(super) fn end(&mut self, end: End) {
        let mut gaze = self.gaze.take().unwrap();
        if end == End::Asked {
            kill_process(Pid::from_child(&gaze.0), Signal::INT).unwrap();
        }
        assert!(gaze.0.wait().unwrap().success());
    }

    /// How often gaze was killed, what it said of itself, and the gaps that it recorded.
    pub(super) fn story(&self) -> String {
        let said = std::fs::read_to_string(self.bed.path("gaze-said")).unwrap();
        format!(
            "{} kills; gaps {:#?}; gaze said:\n{said}",
            self.kills,
            self.gaps()
        )
    }

    /// What was told about lines that cannot be had.
    pub(super) fn gaps(&self) -> Vec<String> {
        let query = "SELECT detail FROM process_events WHERE event_type = 'log_gap' ORDER BY id";
        let table = self.bed.store().query(query, 100_000).unwrap();
        table.rows.iter().map(|row| text(&row[0])).collect()
    }

    /// The lines stored for paths with this beginning, in the order of the store.
    pub(super) fn rows(&self, path: &Path) -> Vec<Row> {
        let query = format!(
            "SELECT logfile_path, log_line, level, message, logger, attributes, continues, file_offset
             FROM log_entries WHERE logfile_path GLOB '{}*' ORDER BY id",
            path.display()
        );
        let table = self.bed.store().query(&query, 10_000_000).unwrap();
        table.rows.iter().map(|row| Row::read(row)).collect()
    }
}

impl Row {
    fn read(cells: &[Cell]) -> Self {
        Self {
            path: text(&cells[0]),
            line: text(&cells[1]),
            level: text(&cells[2]),
            message: text(&cells[3]),
            logger: text(&cells[4]),
            attributes: match text(&cells[5]).as_str() {
                "" => Value::Null,
                object => serde_json::from_str(object).unwrap(),
            },
            continues: number(&cells[6]),
            offset: number(&cells[7]),
        }
    }
}

fn text(cell: &Cell) -> String {
    match cell {
        Cell::Text(text) => text.clone(),
        Cell::Null => String::new(),
        other => panic!("{other:?}"),
    }
}

fn number(cell: &Cell) -> Option<i64> {
    match cell {
        Cell::Int(number) => Some(*number),
        Cell::Null => None,
        other => panic!("{other:?}"),
    }
}
