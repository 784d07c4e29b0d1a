//! PostgreSQL that logs every statement, through its own collector of logs, and rotates.
//!
//! Statements of several lines, and the lines that belong to an error, are one event with their first line,
//! whatever they look like.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::account::{Beyond, LogFile, balance, count};
use super::events::{Part, check_events};
use super::follow::{End, Following, Kills};
use crate::bed::{Bed, Guarded, until};
use crate::nobody::Nobody;
use crate::programs::installed;
use crate::programs::postgres::{self, Answered};
use crate::programs::traffic::{Connection, free_port};
use crate::rounds;

/// How long a storm lasts: where files are named by the second, no two rotations fall into one.
const TIME: Duration = Duration::from_millis(2_500);

/// Sessions at the same time, and how often each asks.
const SESSIONS: u64 = 2;
const EVERY: Duration = Duration::from_millis(2);

/// Statements between two rotations, at least.
const BETWEEN_ROTATIONS: u64 = 100;

/// Who rotates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// The server begins a new file, named by the second, when it is told to or the file is large.
    Itself,
    /// logrotate renames the one file; then the server is told.
    Logrotate,
}

/// A server, which keeps its logs in a folder of its own.
struct Server {
    nobody: Nobody,
    port: u16,
    postgres: Guarded,
}

fn storms(name: &str, way: Way, kills: Kills) {
    for seed in 1..=u64::from(rounds(1)) {
        let Some(server) = Server::start(way) else {
            return;
        };
        let mut rotate = match way {
            Way::Itself => None,
            Way::Logrotate => match server.logrotate() {
                Some(rotate) => Some(rotate),
                None => return,
            },
        };
        let present = server.paths();
        let pid = server.postgres.0.id();
        let pattern = server.nobody.path("logs/*.log");
        let mut following = Following::start(Bed::new(), pid, &[pattern], &present);
        let (asked, rotations) = following.through(seed, kills, || server.storm(rotate.as_mut()));
        println!("real logs, {name}, seed {seed}: {asked} statements, {rotations} rotations");
        until("the server has written what it was asked", || {
            server.statements() == asked
        });
        following.until_stored(count(&server.files()));
        following.end(End::Asked);
        server.settle(name, way, &following);
    }
}

impl Server {
    fn start(way: Way) -> Option<Self> {
        let (nobody, port) = (Nobody::new(), free_port());
        let mut command = postgres::command(&nobody, port)?;
        let file = match way {
            Way::Itself => "postgresql-%H%M%S.log",
            Way::Logrotate => "postgresql.log",
        };
        for setting in [
            "logging_collector=on",
            "log_statement=all",
            "log_rotation_size=64kB",
            "log_line_prefix=%m [%p] %q%u@%d ",
            &format!("log_directory={}", nobody.path("logs").display()),
            &format!("log_filename={file}"),
        ] {
            command.args(["-c", setting]);
        }
        let server = Self {
            postgres: Guarded(command.stderr(Stdio::null()).spawn().unwrap()),
            nobody,
            port,
        };
        until("the server is ready", || {
            let logs = server.files();
            let mut lines = logs.iter().flat_map(LogFile::lines);
            lines.any(|line| line.ends_with("ready to accept connections"))
        });
        Some(server)
    }

    fn paths(&self) -> Vec<PathBuf> {
        let Ok(entries) = fs::read_dir(self.nobody.path("logs")) else {
            return Vec::new();
        };
        entries.map(|entry| entry.unwrap().path()).collect()
    }

    fn files(&self) -> Vec<LogFile> {
        self.paths().into_iter().map(LogFile::read).collect()
    }

    /// How many statements are logged.
    fn statements(&self) -> u64 {
        let files = self.files();
        let lines = files.iter().flat_map(LogFile::lines);
        lines
            .filter(|line| line.contains(" LOG:  statement: "))
            .count() as u64
    }

    fn logrotate(&self) -> Option<Command> {
        let logrotate = installed("logrotate", true)?;
        let (rules, state) = (self.nobody.path("rules"), self.nobody.path("state"));
        let log = self.nobody.path("logs/postgresql.log");
        let text = format!(
            "\"{}\" {{\n rotate 10000\n nocompress\n create\n}}\n",
            log.display()
        );
        fs::write(&rules, text).unwrap();
        let mut command = self.nobody.command(logrotate);
        command.arg("-f").arg("-s").arg(state).arg(rules);
        Some(command)
    }

    fn session(&self) -> Connection {
        let mut connection = Connection::open(self.port);
        postgres::greet(&mut connection);
        connection
    }

    /// Asks and rotates for a while; how many statements and rotations there were.
    fn storm(&self, mut rotate: Option<&mut Command>) -> (u64, u64) {
        let (asked, rotations) = (AtomicU64::new(0), AtomicU64::new(0));
        let begun = Instant::now();
        let is_over = || begun.elapsed() >= TIME;
        thread::scope(|scope| {
            for _ in 0..SESSIONS {
                scope.spawn(|| {
                    let mut session = self.session();
                    let mut due = Instant::now();
                    while !is_over() {
                        let (query, answer) = statement(asked.fetch_add(1, Ordering::Relaxed));
                        assert_eq!(postgres::ask(&mut session, &query), answer, "{query}");
                        due += EVERY;
                        thread::sleep(due.saturating_duration_since(Instant::now()));
                    }
                });
            }
            let mut session = self.session();
            while !is_over() {
                let due = asked.load(Ordering::Relaxed) + BETWEEN_ROTATIONS;
                until("there is something to rotate", || {
                    is_over() || asked.load(Ordering::Relaxed) >= due
                });
                if let Some(rotate) = &mut rotate {
                    assert!(rotate.status().unwrap().success(), "logrotate");
                }
                let answer = postgres::ask(&mut session, "SELECT pg_rotate_logfile()");
                assert_eq!(answer, Answered::Well);
                rotations.fetch_add(1, Ordering::Relaxed);
            }
        });
        let rotations = rotations.into_inner();
        (asked.into_inner() + rotations, rotations)
    }

    fn settle(&self, name: &str, way: Way, following: &Following) {
        let name = format!("postgresql, {name}");
        let logs = self.nobody.path("logs/");
        let (files, rows) = (self.files(), following.rows(&logs));
        balance(&name, following, &files, &rows, Beyond::Nothing);
        assert!(following.gaps().is_empty(), "{}", following.story());
        let mut paths: Vec<_> = rows.iter().map(|row| row.path.as_str()).collect();
        paths.sort_unstable();
        paths.dedup();
        let due = match way {
            Way::Itself => {
                // The last may have been begun for nothing.
                let is_written = |it: &&LogFile| it.lines().next().is_some();
                files.iter().filter(is_written).count()
            }
            Way::Logrotate => 1,
        };
        assert_eq!(paths.len(), due, "{paths:?}");
        let mut totals = (0, 0);
        for path in paths {
            let of_path = |row: &&super::follow::Row| row.path == path;
            let rows: Vec<_> = rows.iter().filter(of_path).collect();
            let (events, others) = check_events(rows.iter().copied(), part);
            totals = (totals.0 + events, totals.1 + others);
        }
        println!(
            "real logs, {name}: {} events, {} lines continue one",
            totals.0, totals.1
        );
        for row in rows.iter().filter(|row| row.continues.is_none()) {
            assert!(row.attributes["pid"].is_u64(), "{row:?}");
            if row.line.contains(" statement: ") {
                assert_eq!(row.attributes["user"], "argus", "{row:?}");
                assert!(row.message.starts_with("statement: "), "{row:?}");
            }
        }
    }
}

impl Drop for Server {
    /// Its children end with it.
    fn drop(&mut self) {
        let _ = kill_process(Pid::from_child(&self.postgres.0), Signal::INT);
        let _ = self.postgres.0.wait();
    }
}

/// The statement of this number, and what comes of it.
fn statement(number: u64) -> (String, Answered) {
    let well = |text: String| (text, Answered::Well);
    match number % 10 {
        2 => well(format!(
            "SELECT {number} AS one_{number},\n\n    'é' AS two_{number},\n3 AS three_{number}"
        )),
        4 => well(format!(
            "SELECT '\n2026-01-27 14:23:45.123 UTC [7] argus@postgres PANIC:  no line of {number}'"
        )),
        5 => {
            let text = format!("SELECT 1 /\n    0 AS never_{number}\n-- {number}");
            (text, Answered::WithAnError)
        }
        6 => (format!("SELECT missing_{number}()"), Answered::WithAnError),
        _ => well(format!("SELECT {number}")),
    }
}

/// The server begins what continues with a tab, or says what it is to the line before.
fn part(line: &str) -> Part {
    const BELONGS: [&str; 3] = [" HINT:  ", " STATEMENT:  ", " DETAIL:  "];
    if line.starts_with('\t') || BELONGS.iter().any(|mark| line.contains(mark)) {
        Part::Continues
    } else if line.contains(" ERROR:  ") {
        Part::Begins("ERROR")
    } else {
        Part::Begins("INFO")
    }
}

#[test]
fn postgresql_that_rotates_its_logs_itself() {
    storms("its own rotation", Way::Itself, Kills::None);
}

#[test]
fn postgresql_that_rotates_its_logs_itself_while_gaze_dies() {
    storms("its own rotation, with kills", Way::Itself, Kills::Random);
}

#[test]
fn postgresql_whose_log_is_renamed() {
    storms("logrotate", Way::Logrotate, Kills::None);
}
