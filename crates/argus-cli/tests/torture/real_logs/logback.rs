//! A program of Java that logs through logback, which rotates by size or by time.
//!
//! logback keeps twenty of the small files at most, so every line goes to a file that stays, too.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{ChildStdin, ChildStdout, Command, Stdio};

use super::account::{Beyond, LogFile, balance, count};
use super::events::{Part, check_events};
use super::follow::{End, Following, Kills};
use crate::bed::{Bed, Guarded};
use crate::programs::installed;
use crate::rounds;

const PROGRAM: &str = include_str!("Storm.java");

/// Where Debian's `liblogback-java` puts it.
const JARS: [&str; 3] = ["logback-classic.jar", "logback-core.jar", "slf4j-api.jar"];
const SHELF: &str = "/usr/share/java";

/// How long a storm lasts, in seconds.
const TIME: &str = "2.5";

/// `app.log` becomes `app.log.1`, which becomes `app.log.2`, and so on.
const BY_SIZE: &str = r#"
    <rollingPolicy class="ch.qos.logback.core.rolling.FixedWindowRollingPolicy">
      <fileNamePattern>${logs}/app.log.%i</fileNamePattern>
      <minIndex>1</minIndex><maxIndex>20</maxIndex>
    </rollingPolicy>
    <triggeringPolicy class="ch.qos.logback.core.rolling.SizeBasedTriggeringPolicy">
      <maxFileSize>4KB</maxFileSize>
    </triggeringPolicy>"#;

/// `app.log` becomes `app.2026-01-27_14-23-45.log`.
const BY_TIME: &str = r#"
    <rollingPolicy class="ch.qos.logback.core.rolling.TimeBasedRollingPolicy">
      <fileNamePattern>${logs}/app.%d{yyyy-MM-dd_HH-mm-ss}.log</fileNamePattern>
    </rollingPolicy>"#;

/// The program, in a folder of its own.
struct Program {
    java: Guarded,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

fn storms(name: &str, policy: &str, pattern: &str, kills: Kills) {
    let Some((java, jars)) = found() else {
        return;
    };
    for seed in 1..=u64::from(rounds(1)) {
        let bed = Bed::new();
        let (logs, all) = (bed.path("logs"), bed.path("all.log"));
        let mut program = Program::start(&java, &jars, &bed, policy);
        let (pid, log) = (program.java.0.id(), logs.join("app.log"));
        let mut following = Following::start(bed, pid, &[logs.join(pattern)], &[log]);
        following.through(seed, kills, || program.storm());
        let written = LogFile::record_of_others(all);
        following.until_stored(written.lines().count() as u64);
        program.leave();
        following.end(End::ByItself);
        let name = format!("logback, {name}, seed {seed}");
        let rows = following.rows(&logs);
        balance(&name, &following, &[written], &rows, Beyond::Nothing);
        assert!(following.gaps().is_empty(), "{}", following.story());
        let (events, others) = check_events(&rows, part);
        let files = LogFile::all_of(&logs, "app");
        println!(
            "real logs, {name}: {} small files left, with {} lines; {events} events, {others} lines \
             continue one",
            files.len(),
            count(&files),
        );
        assert!(files.len() > 2, "it rotates");
        for row in rows.iter().filter(|row| row.continues.is_none()) {
            assert_eq!(row.logger, "shop.storm.Till", "{row:?}");
            assert_eq!(row.attributes["thread"], "main", "{row:?}");
            assert!(row.line.ends_with(&row.message), "{row:?}");
        }
    }
}

/// Java, and what it needs for logback; said where that is not installed.
fn found() -> Option<(PathBuf, String)> {
    let java = installed("java", false)?;
    let jars = JARS.map(|jar| Path::new(SHELF).join(jar));
    if let Some(missing) = jars.iter().find(|jar| !jar.exists()) {
        let missing = missing.display();
        println!("logback: what needs it is not run, {missing} is not installed here");
        return None;
    }
    let jars = jars.map(|jar| jar.display().to_string());
    Some((java, jars.join(":")))
}

impl Program {
    /// Starts it and waits until it is ready.
    fn start(java: &Path, jars: &str, bed: &Bed, policy: &str) -> Self {
        let (source, configuration) = (bed.path("Storm.java"), bed.path("logback.xml"));
        std::fs::write(&source, PROGRAM).unwrap();
        std::fs::write(&configuration, configuration_of(bed, policy)).unwrap();
        let mut command = Command::new(java);
        let configuration = configuration.display();
        command.arg(format!("-Dlogback.configurationFile={configuration}"));
        command.args(["-cp", jars]).arg(source).arg(TIME);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut java = Guarded(command.spawn().unwrap());
        let input = java.0.stdin.take().unwrap();
        let output = BufReader::new(java.0.stdout.take().unwrap());
        let mut program = Self {
            java,
            input,
            output,
        };
        program.wait_for("ready");
        program
    }

    fn wait_for(&mut self, word: &str) {
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        assert_eq!(line.trim_end(), word);
    }

    fn storm(&mut self) {
        self.input.write_all(b"\n").unwrap();
        self.wait_for("done");
    }

    fn leave(&mut self) {
        self.input.write_all(b"\n").unwrap();
        assert!(self.java.0.wait().unwrap().success());
    }
}

fn configuration_of(bed: &Bed, policy: &str) -> String {
    const LAYOUT: &str = "<encoder><charset>UTF-8</charset><pattern>\
                          %d{yyyy-MM-dd HH:mm:ss.SSS} [%thread] %-5level %logger - %msg%n\
                          </pattern></encoder>";
    let policy = policy.replace("${logs}", &bed.path("logs").display().to_string());
    let (log, all) = (bed.path("logs/app.log"), bed.path("all.log"));
    format!(
        r#"<configuration>
  <appender name="ROLLING" class="ch.qos.logback.core.rolling.RollingFileAppender">
    <file>{}</file>{policy}
    {LAYOUT}
  </appender>
  <appender name="ALL" class="ch.qos.logback.core.FileAppender">
    <file>{}</file>
    {LAYOUT}
  </appender>
  <root level="DEBUG"><appender-ref ref="ROLLING"/><appender-ref ref="ALL"/></root>
</configuration>"#,
        log.display(),
        all.display(),
    )
}

/// A line with its time in front begins an event; what stands behind it is a stack trace, or more of the
/// message.
fn part(line: &str) -> Part {
    if !line.starts_with("20") {
        return Part::Continues;
    }
    let level = line.split("] ").nth(1).unwrap();
    let levels = ["DEBUG", "INFO", "WARN", "ERROR"];
    let level = levels.into_iter().find(|it| level.starts_with(it));
    Part::Begins(level.unwrap())
}

#[test]
fn logback_that_rotates_by_size() {
    storms("by size", BY_SIZE, "app.log", Kills::None);
}

#[test]
fn logback_that_rotates_by_size_while_gaze_dies() {
    storms("by size, with kills", BY_SIZE, "app.log", Kills::Random);
}

/// What a file is renamed to matches the pattern, too.
#[test]
fn logback_that_rotates_by_time_within_a_pattern() {
    storms("by time", BY_TIME, "*.log", Kills::None);
}

#[test]
fn logback_that_rotates_by_time_within_a_pattern_while_gaze_dies() {
    storms("by time, with kills", BY_TIME, "*.log", Kills::Random);
}
