//! Who follows a log: gaze, and its peers, which copy what they read to a file.

use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::Result;
use serde_json::Value;

use super::{gaze, is_there};
use crate::bench::meter::Meter;
use crate::bench::programs::{Folder, Guarded, Programs, guarded};
use crate::python::Environment;

const PYGTAIL: &str = "bench/peers/pygtail_loop.py";
/// `FILE OFFSETS OUT`. What is being rotated is not there for a moment.
const LOGTAIL: &str =
    "while :; do logtail2 -f \"$0\" -o \"$1\" >> \"$2\" 2>/dev/null; sleep 0.05; done";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reader {
    Gaze,
    Tail,
    Rsyslog,
    Pygtail,
    Logtail,
}

pub(super) const READERS: [Reader; 5] = [
    Reader::Gaze,
    Reader::Tail,
    Reader::Rsyslog,
    Reader::Pygtail,
    Reader::Logtail,
];

/// A reader at work.
pub(super) struct Running<'a> {
    programs: &'a Programs<'a>,
    folder: &'a Folder,
    reader: Reader,
    child: Guarded,
    _collector: Option<Guarded>,
}

impl Reader {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Gaze => "gaze",
            Self::Tail => "tail -F",
            Self::Rsyslog => "rsyslog imfile",
            Self::Pygtail => "pygtail",
            Self::Logtail => "logtail2",
        }
    }

    /// Whether it can be had; told if not.
    pub(super) fn is_there(self) -> bool {
        match self {
            // The bench's environment has it.
            Self::Gaze | Self::Pygtail => true,
            Self::Tail => is_there("tail", "coreutils"),
            Self::Rsyslog => is_there("rsyslogd", "rsyslog"),
            Self::Logtail => is_there("logtail2", "logtail"),
        }
    }

    pub(super) fn start<'a>(
        self,
        programs: &'a Programs<'a>,
        environment: &Environment<'_>,
        folder: &'a Folder,
        log: &Path,
    ) -> Result<Running<'a>> {
        let (out, offsets) = (folder.path("out"), folder.path("offsets"));
        let mut collector = None;
        let child = match self {
            Self::Gaze => {
                collector = Some(programs.collector(folder)?);
                gaze(programs, folder, "end", &[log])?
            }
            Self::Tail => {
                let mut tail = Command::new("tail");
                tail.args(["-n", "0", "-F"]).arg(log);
                let copy = std::fs::File::create(&out)?;
                tail.stdin(Stdio::null()).stdout(copy).stderr(Stdio::null());
                Guarded::start(&mut tail)?
            }
            Self::Rsyslog => {
                std::fs::create_dir(folder.path("work"))?;
                let configuration = folder.path("rsyslog.conf");
                std::fs::write(&configuration, rsyslog_conf(folder, log))?;
                let mut rsyslog = Command::new("rsyslogd");
                rsyslog.arg("-n").arg("-f").arg(configuration);
                rsyslog.arg("-i").arg(folder.path("rsyslog.pid"));
                guarded(&mut rsyslog)?
            }
            Self::Pygtail => {
                let mut python = environment.command("python");
                python.arg(PYGTAIL).arg(log).arg(offsets).arg(&out);
                guarded(&mut python)?
            }
            Self::Logtail => {
                let mut shell = Command::new("sh");
                shell.args(["-c", LOGTAIL]).arg(log).arg(offsets).arg(&out);
                guarded(&mut shell)?
            }
        };
        Ok(Running {
            programs,
            folder,
            reader: self,
            child,
            _collector: collector,
        })
    }
}

fn rsyslog_conf(folder: &Folder, log: &Path) -> String {
    let (work, log, out) = (folder.path("work"), log.display(), folder.path("out"));
    let (work, out) = (work.display(), out.display());
    format!(
        "global(workDirectory=\"{work}\")\n\
         module(load=\"imfile\")\n\
         template(name=\"bare\" type=\"string\" string=\"%msg%\\n\")\n\
         input(type=\"imfile\" File=\"{log}\" Tag=\"storm\" ruleset=\"copy\" reopenOnTruncate=\"on\")\n\
         ruleset(name=\"copy\") {{ action(type=\"omfile\" file=\"{out}\" template=\"bare\") }}\n"
    )
}

impl Running<'_> {
    /// All lines that it has told so far.
    pub(super) fn told(&self) -> Result<String> {
        if self.reader != Reader::Gaze {
            let told = std::fs::read(self.folder.path("out")).unwrap_or_default();
            return Ok(String::from_utf8_lossy(&told).into_owned());
        }
        let lines = "SELECT log_line FROM log_entries ORDER BY id";
        let query = ["query", "--json", "--limit", "10000000", lines];
        let answer = self.programs.argus(self.folder, &query).output()?;
        // At first there is no store.
        let answer: Value = serde_json::from_slice(&answer.stdout).unwrap_or_default();
        let rows = answer.as_array().map_or(&[][..], Vec::as_slice);
        let line = |row: &Value| row["log_line"].as_str().map(|line| format!("{line}\n"));
        Ok(rows.iter().filter_map(line).collect())
    }

    pub(super) fn cpu_seconds(&self) -> Result<f64> {
        let meter = Meter::of(self.child.pid());
        match self.reader {
            Reader::Logtail => meter.family_seconds(),
            _ => meter.cpu_seconds(),
        }
    }
}
