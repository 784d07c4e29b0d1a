//! nginx, asked thousands of times a second: its access log and its error log, rotated by logrotate.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::RwLock;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::account::{Beyond, LogFile, balance, count};
use super::follow::{End, Following, Kills, Row};
use crate::bed::{Bed, Guarded, until};
use crate::programs::installed;
use crate::programs::traffic::{Connection, free_port, until_it_listens};
use crate::rounds;

/// How long a storm lasts.
const TIME: Duration = Duration::from_secs(2);

/// Clients at the same time, and requests that each sends in one go.
const CLIENTS: u64 = 2;
const BATCH: u64 = 20;

/// How often a client sends them: 5,000 requests a second of both.
const EVERY: Duration = Duration::from_millis(8);

/// Requests between two rotations, at least.
const BETWEEN_ROTATIONS: u64 = 200;

/// How logs are rotated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// Renamed, and made anew; nginx is told by a signal.
    Create,
    /// Copied and emptied, while nothing is written.
    CopyTruncate,
    /// Copied and emptied, while nginx writes on: logrotate loses what comes in between.
    CopyTruncateUnderLoad,
}

/// A server with two logs, in a folder of its own.
struct Server {
    folder: PathBuf,
    port: u16,
    nginx: Guarded,
}

/// What is asked of it.
struct Load {
    port: u16,
    asked: AtomicU64,
    /// Held for writing while nothing may be asked.
    pause: RwLock<()>,
    is_over: AtomicBool,
}

fn storms(name: &str, way: Way, kills: Kills) {
    let (Some(nginx), Some(logrotate)) = (installed("nginx", true), installed("logrotate", true))
    else {
        return;
    };
    for seed in 1..=u64::from(rounds(1)) {
        let bed = Bed::new();
        let server = Server::start(&nginx, bed.path("logs"));
        let (state, rules) = (bed.path("state"), bed.path("rotate.conf"));
        std::fs::write(&rules, server.rules(way)).unwrap();
        let mut rotate = Command::new(&logrotate);
        rotate.arg("-f").arg("-s").arg(state).arg(rules);
        let logs = [server.log("access.log"), server.log("error.log")];
        let mut following = Following::start(bed, server.nginx.0.id(), &logs, &logs);
        let load = Load::on(server.port);
        let rotations = following.through(seed, kills, || load.storm(&server, way, &mut rotate));
        let asked = load.asked.into_inner();
        println!("real logs, {name}, seed {seed}: {asked} requests, {rotations} rotations");
        if way != Way::CopyTruncateUnderLoad {
            until("nginx has written what it was asked", || {
                count(&server.files("access.log")) == asked
            });
        }
        following.until_stored(server.written());
        server.quit();
        following.end(End::ByItself);
        following.until_stored(server.written());
        server.settle(name, way, &following);
    }
}

impl Server {
    fn start(nginx: &Path, folder: PathBuf) -> Self {
        std::fs::create_dir(&folder).unwrap();
        let port = free_port();
        let configuration = folder.join("nginx.conf");
        std::fs::write(&configuration, configuration_of(&folder, port)).unwrap();
        let mut command = Command::new(nginx);
        command.arg("-e").arg(folder.join("error.log"));
        command.arg("-c").arg(&configuration).arg("-p").arg(&folder);
        command.stdin(Stdio::null()).stderr(Stdio::null());
        let nginx = Guarded(command.spawn().unwrap());
        until_it_listens(port);
        Self {
            folder,
            port,
            nginx,
        }
    }

    fn log(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    fn files(&self, name: &str) -> Vec<LogFile> {
        LogFile::all_of(&self.folder, name)
    }

    /// Lines in all logs.
    fn written(&self) -> u64 {
        count(&self.files("access.log")) + count(&self.files("error.log"))
    }

    /// What logrotate is to do.
    fn rules(&self, way: Way) -> String {
        let folder = self.folder.display();
        let way = match way {
            Way::Create => {
                let pid = self.nginx.0.id();
                format!("create\n sharedscripts\n postrotate\n kill -USR1 {pid}\n endscript\n")
            }
            Way::CopyTruncate | Way::CopyTruncateUnderLoad => "copytruncate\n".into(),
        };
        format!(
            "\"{folder}/access.log\" \"{folder}/error.log\" {{\n rotate 10000\n nocompress\n {way}}}\n"
        )
    }

    fn quit(&self) {
        kill_process(Pid::from_child(&self.nginx.0), Signal::QUIT).unwrap();
    }

    /// Compares the files with the store.
    fn settle(&self, name: &str, way: Way, following: &Following) {
        let beyond = match way {
            Way::CopyTruncateUnderLoad => Beyond::WhatRotationLost,
            Way::Create | Way::CopyTruncate => Beyond::Nothing,
        };
        for (log, check) in [
            ("access.log", check_request as fn(&Row)),
            ("error.log", check_complaint),
        ] {
            let (files, rows) = (self.files(log), following.rows(&self.log(log)));
            let name = format!("nginx, {name}, {log}");
            balance(&name, following, &files, &rows, beyond);
            let is_torn = |row: &&Row| files.iter().any(|it| it.torn() == Some(&row.line));
            rows.iter().filter(|row| !is_torn(row)).for_each(check);
        }
        if beyond == Beyond::Nothing {
            assert!(following.gaps().is_empty(), "{}", following.story());
        }
    }
}

impl Drop for Server {
    /// A test that failed leaves no workers behind.
    fn drop(&mut self) {
        if matches!(self.nginx.0.try_wait(), Ok(None)) {
            let _ = kill_process(Pid::from_child(&self.nginx.0), Signal::TERM);
            let _ = self.nginx.0.wait();
        }
    }
}

fn configuration_of(folder: &Path, port: u16) -> String {
    let folder = folder.display();
    // Its workers open the logs anew, in a folder that is closed to others.
    let user = if rustix::process::geteuid().is_root() {
        "user root;"
    } else {
        ""
    };
    format!(
        "daemon off; worker_processes 2; pid {folder}/pid; {user}
         error_log {folder}/error.log notice;
         events {{ worker_connections 64; }}
         http {{
            access_log {folder}/access.log combined;
            keepalive_requests 1000000;
            client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
            fastcgi_temp_path {folder}/fastcgi; uwsgi_temp_path {folder}/uwsgi;
            scgi_temp_path {folder}/scgi;
            server {{
                listen 127.0.0.1:{port};
                location /found {{ return 200 \"a page\"; }}
                location /missing {{ root {folder}/nothing; }}
                location /broken {{ return 503; }}
            }}
         }}"
    )
}

/// The request of this number: method, path, status, level.
fn request(number: u64) -> (&'static str, String, u64, &'static str) {
    let path = |what: &str| format!("/{what}/{number}");
    match number % 20 {
        3 | 13 => ("GET", path("missing"), 404, "WARN"),
        7 => ("POST", path("broken"), 503, "ERROR"),
        11 => ("POST", path("found"), 200, "INFO"),
        _ => ("GET", path("found"), 200, "INFO"),
    }
}

impl Load {
    fn on(port: u16) -> Self {
        Self {
            port,
            asked: AtomicU64::new(0),
            pause: RwLock::new(()),
            is_over: AtomicBool::new(false),
        }
    }

    /// Asks and rotates for a while; how many rotations there were.
    fn storm(&self, server: &Server, way: Way, rotate: &mut Command) -> u32 {
        thread::scope(|scope| {
            let clients: Vec<_> = (0..CLIENTS).map(|_| scope.spawn(|| self.ask())).collect();
            let (begun, mut rotations) = (Instant::now(), 0);
            while begun.elapsed() < TIME {
                let due = self.asked.load(Ordering::Relaxed) + BETWEEN_ROTATIONS;
                until("there is something to rotate", || {
                    self.asked.load(Ordering::Relaxed) >= due
                });
                let pause = (way == Way::CopyTruncate).then(|| self.pause(server));
                assert!(rotate.status().unwrap().success(), "logrotate");
                drop(pause);
                rotations += 1;
            }
            self.is_over.store(true, Ordering::Relaxed);
            clients.into_iter().for_each(|it| it.join().unwrap());
            rotations
        })
    }

    /// Sends batches until it is over.
    fn ask(&self) {
        let mut connection = Connection::open(self.port);
        let mut due = Instant::now();
        while !self.is_over.load(Ordering::Relaxed) {
            let running = self.pause.read().unwrap();
            let first = self.asked.fetch_add(BATCH, Ordering::Relaxed);
            let mut batch = String::new();
            for number in first..first + BATCH {
                let (method, path, ..) = request(number);
                batch += &format!(
                    "{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\
                     User-Agent: a \"quoted\" é\\ [{number}]\r\n\r\n"
                );
            }
            connection.send(batch.as_bytes());
            (0..BATCH).for_each(|_| connection.receive_answer());
            drop(running);
            due += EVERY;
            thread::sleep(due.saturating_duration_since(Instant::now()));
        }
    }

    /// Asks nothing more, and waits until nginx has written what it was asked: it answers first.
    fn pause(&self, server: &Server) -> impl Drop {
        let pause = self.pause.write().unwrap();
        let asked = self.asked.load(Ordering::Relaxed);
        until("nginx has written what it was asked", || {
            count(&server.files("access.log")) == asked
        });
        pause
    }
}

/// What a line of the access log means.
fn check_request(row: &Row) {
    let (_, number) = row.line.split_once(" HTTP/1.1\" ").unwrap();
    let number = number.rsplit_once('[').unwrap().1;
    let number = number.trim_end_matches("]\"").parse().unwrap();
    let (method, path, status, level) = request(number);
    let field = |name: &str| &row.attributes[name];
    assert_eq!(row.message, format!("{method} {path} HTTP/1.1"), "{row:?}");
    assert_eq!(row.level, level, "{row:?}");
    assert_eq!(
        (field("method"), field("path")),
        (&method.into(), &path.into())
    );
    assert_eq!(field("status"), status, "{row:?}");
    assert_eq!(field("remote_addr"), "127.0.0.1", "{row:?}");
    assert_eq!(row.continues, None, "{row:?}");
}

/// What a line of the error log means.
fn check_complaint(row: &Row) {
    let level = if row.line.contains(" [error] ") {
        assert!(row.message.starts_with("open() \"/"), "{row:?}");
        assert!(row.attributes["connection"].is_u64(), "{row:?}");
        "ERROR"
    } else {
        "INFO"
    };
    assert_eq!(
        (row.level.as_str(), row.continues),
        (level, None),
        "{row:?}"
    );
    assert!(row.attributes["pid"].is_u64(), "{row:?}");
    assert!(!row.message.is_empty() && row.line.ends_with(&row.message));
}

#[test]
fn nginx_told_to_open_its_logs_anew() {
    storms("create", Way::Create, Kills::None);
}

#[test]
fn nginx_told_to_open_its_logs_anew_while_gaze_dies() {
    storms("create, with kills", Way::Create, Kills::Random);
}

#[test]
fn nginx_whose_logs_are_copied_and_emptied() {
    storms("copytruncate", Way::CopyTruncate, Kills::None);
}

#[test]
fn nginx_whose_logs_are_copied_and_emptied_while_gaze_dies() {
    storms("copytruncate, with kills", Way::CopyTruncate, Kills::Random);
}

#[test]
fn nginx_whose_logs_are_emptied_under_its_hands() {
    storms(
        "copytruncate under load",
        Way::CopyTruncateUnderLoad,
        Kills::None,
    );
}
