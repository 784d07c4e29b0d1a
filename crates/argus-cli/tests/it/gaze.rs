//! `argus gaze` as spec/1 tests it: arguments, attaching, measuring, following, the end.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::observed::{Home, Running, Stranger, eventually};

fn append(path: &Path, text: &str) {
    let mut options = OpenOptions::new();
    let mut file = options.append(true).create(true).open(path).unwrap();
    file.write_all(text.as_bytes()).unwrap();
}

/// The text with every number replaced, so that only its form remains.
fn form(text: &str) -> String {
    let mut out = String::new();
    for character in text.chars() {
        if !character.is_ascii_digit() {
            out.push(character);
        } else if !out.ends_with('N') {
            out.push('N');
        }
    }
    out.replace("N.N", "N")
}

/// Gazes at this process, and returns when its first measurement is on the screen.
fn gaze(home: &Home, stranger: &Stranger, options: &[&str]) -> Running {
    let pid = stranger.pid.to_string();
    let arguments = [&["gaze", "--pid", &pid], options].concat();
    let mut gaze = home.start(&arguments);
    gaze.wait_for("Metrics: CPU=");
    gaze
}

// Argument parsing validation.

/// Bad arguments get one clear sentence and exit code 2 (or the one given).
fn refused(arguments: &[&str], code: i32, sentence: &str) {
    let home = Home::new();
    let arguments = [&["gaze"], arguments].concat();
    let (found, said, error) = home.start(&arguments).finish();
    assert_eq!((found, said.as_str()), (code, ""), "{arguments:?}: {error}");
    assert!(error.contains(sentence), "{arguments:?}: {error}");
    assert!(!home.data().folder().exists(), "nothing was made");
}

#[test]
fn arguments_that_make_no_sense_are_refused() {
    refused(&[], 2, "no process named");
    refused(&["--pid", "1", "--process", "x"], 2, "exclude each other");
    refused(&["--pid", "none"], 2, "invalid value 'none'");
    refused(
        &["--pid", "1", "--server", "http://localhost:8000"],
        2,
        "--server",
    );
    for interval in ["0", "-1", "often", "nan", "inf"] {
        let option = format!("--interval={interval}");
        refused(&["--pid", "1", &option], 2, "number of seconds");
    }
}

#[test]
fn handles_a_non_existent_process_gracefully() {
    refused(
        &["--process", "argus-no-such-process"],
        1,
        "no process named",
    );
    refused(&["--pid", "2147483647"], 1, "no process with id 2147483647");
}

// Console output.

#[test]
fn the_console_shows_the_lines_of_the_specification() {
    let home = Home::new();
    let log = home.path("terrain_sim.log");
    fs::write(&log, "").unwrap();
    let stranger = Stranger::sleeping(&home.path(""));
    let options = [
        "--logfile",
        log.to_str().unwrap(),
        "--app-name",
        "TerrainSimulation",
    ];
    let mut gaze = gaze(&home, &stranger, &options);
    append(&log, "[INFO] Terrain generation started\n");
    gaze.wait_for("Log: ");
    stranger.kill(Signal::TERM);
    let (code, said, _) = gaze.finish();
    assert_eq!(code, 0);
    let expected = format!(
        "\
[Gaze] Starting monitoring: TerrainSimulation
[Gaze] Process: sleep (PID: {})
[Gaze] Log file: {}
[Gaze] Collection interval: 5 seconds
[Gaze] Timestamp: 2026-01-27 14:23:40

[Gaze] Metrics: CPU=45.2% | Memory=256.8MB | Threads=4
[Gaze] Log: [INFO] Terrain generation started

[Gaze] Process terminated (exit code: -15)
[Gaze] Total monitoring time: 45.6 seconds
[Gaze] Metrics collected: 1
[Gaze] Log entries captured: 1",
        stranger.pid,
        log.display()
    );
    assert_eq!(form(&said), form(&expected));
}

#[test]
fn verbose_mode_tells_what_gaze_does() {
    let home = Home::new();
    let log = home.path("app.log");
    fs::write(&log, "").unwrap();
    let stranger = Stranger::sleeping(&home.path(""));
    let options = ["--logfile", log.to_str().unwrap(), "--verbose"];
    let mut gaze = gaze(&home, &stranger, &options);
    append(&log, "[INFO] Terrain generation started\n");
    gaze.wait_for("[Gaze] Log: ");
    gaze.signal(Signal::INT);
    let (_, said, _) = gaze.finish();
    let database = format!("[Gaze] Database path: {}", home.data().database().display());
    let expected = [
        "[Gaze] Verbose mode enabled",
        "[Gaze] Argus version: 0.1.0",
        "[Gaze] Kernel: ",
        &database,
        "[Gaze] Detected application name: sleep (from process name)",
        "[Gaze] Starting monitoring: sleep",
        "[Gaze] Starting metrics collection thread...",
        "[Gaze] Starting log tailing thread...",
        "[Gaze] Both threads started successfully",
        "[Gaze] [Metrics Thread] Collecting data...",
        "[Gaze] [Metrics Thread] CPU: ",
        "[Gaze] [Metrics Thread] Recorded (#",
        "[Gaze] [Log Thread] New line detected: [INFO] Terrain generation started",
        "[Gaze] [Log Thread] Recorded (#",
    ];
    let mut lines = said.lines();
    for beginning in expected {
        let found = lines.any(|line| line.starts_with(beginning));
        assert!(found, "{beginning:?} is missing or too early in\n{said}");
    }
}

#[test]
fn the_command_answers_to_the_name_gaze() {
    let home = Home::new();
    let link = home.path("gaze");
    symlink(env!("CARGO_BIN_EXE_argus"), &link).unwrap();
    let mut command = std::process::Command::new(link);
    command.args(["--process", "argus-no-such-process"]);
    let (code, _, error) = Running::start(command).finish();
    assert_eq!(code, 1);
    assert!(
        error.starts_with("argus: there is no process named"),
        "{error}"
    );
}

// Attaching.

#[test]
fn attaches_to_a_running_process_by_name_and_warns_of_others() {
    let home = Home::new();
    let program = home.path("argus-twins");
    fs::copy("/bin/sleep", &program).unwrap();
    let command = format!("{} 60", program.display());
    let mut pids = [0; 2];
    let twins = [(); 2].map(|()| Stranger::run(&home.path(""), &command));
    for (pid, twin) in pids.iter_mut().zip(&twins) {
        *pid = twin.pid;
        twin.wait_for_name("argus-twins");
    }
    pids.sort_unstable();
    let mut gaze = home.start(&["gaze", "--process", "argus-twins"]);
    gaze.wait_for(&format!("[Gaze] Process: argus-twins (PID: {})", pids[0]));
    gaze.signal(Signal::TERM);
    let (code, _, error) = gaze.finish();
    assert_eq!(code, 0);
    assert!(
        error.contains("2 processes are named argus-twins"),
        "{error}"
    );
    assert!(error.contains(&pids[1].to_string()), "{error}");
}

#[test]
fn attaches_to_a_process_by_pid() {
    let home = Home::new();
    let stranger = Stranger::sleeping(&home.path(""));
    let mut gaze = gaze(&home, &stranger, &["--app-name", "SnakeGame"]);
    gaze.signal(Signal::TERM);
    assert_eq!(gaze.finish().0, 0);
    let recorded = home.recorded();
    let expected = (stranger.pid, "SnakeGame".to_owned(), "sleep".to_owned());
    assert_eq!(recorded.subject, expected);
}

// Measuring.

#[test]
fn thirty_seconds_give_at_least_six_measurements() {
    let home = Home::new();
    let stranger = Stranger::run(&home.path(""), "sleep 30");
    let pid = stranger.pid.to_string();
    let mut gaze = home.start(&["gaze", "--pid", &pid, "--interval", "5"]);
    for _ in 0..6 {
        gaze.wait_for("Metrics: CPU=");
    }
    let (code, said, _) = gaze.finish();
    assert_eq!(code, 0, "{said}");
    assert!(said.contains("Process terminated (exit code: 0)"), "{said}");
    assert!(home.recorded().samples.len() >= 6, "{said}");
}

#[test]
fn a_process_with_high_cpu_load_is_never_shown_idle() {
    let home = Home::new();
    // Busy from its first moment, unlike an interpreter that has to be loaded.
    let stranger = Stranger::run(&home.path(""), "while :; do :; done");
    let mut gaze = gaze(&home, &stranger, &["--interval", "0.5"]);
    gaze.wait_for("Metrics: CPU=");
    gaze.wait_for("Metrics: CPU=");
    gaze.signal(Signal::INT);
    gaze.finish();
    let samples = home.recorded().samples;
    assert!(samples.len() >= 3);
    // The first one as well: it is measured, not made up.
    assert!(samples.iter().all(|(cpu, ..)| *cpu > 1.0), "{samples:?}");
}

#[test]
fn a_process_that_spawns_children_is_watched_to_its_own_end() {
    let home = Home::new();
    let stranger = Stranger::run(
        &home.path(""),
        "sh -c 'for i in 1 2 3; do true & sleep 0.1; done; wait; exit 4'",
    );
    let (code, said, _) = gaze(&home, &stranger, &["--interval", "0.1"]).finish();
    assert_eq!(code, 0);
    assert!(said.contains("Process terminated (exit code: 4)"), "{said}");
}

// Following.

#[test]
fn ten_log_lines_of_a_python_application_are_ten_entries_within_a_second() {
    let home = Home::new();
    let log = home.path("app.log");
    fs::write(&log, "from before\n").unwrap();
    let program = "import logging, sys\n\
        logging.basicConfig(filename='app.log', level='INFO')\n\
        sys.stdin.readline()\n\
        for n in range(10): logging.info('step %d', n)\n\
        sys.stdin.readline()";
    fs::write(home.path("app.py"), program).unwrap();
    fs::write(home.path("go"), "").unwrap();
    // The program waits for a line, which `tail` gives it as soon as it stands in the file.
    let command =
        "(tail -n +1 -f go --pid $$ | exec python3 app.py) & python=$!; wait $python; true";
    let stranger = Stranger::run(&home.path(""), &format!("sh -c '{command}'"));
    let mut gaze = gaze(&home, &stranger, &["--logfile", log.to_str().unwrap()]);
    append(&home.path("go"), "now\n");
    let first = gaze.wait_for("Log: ");
    assert_eq!(first, "[Gaze] Log: INFO:root:step 0");
    let started = Instant::now();
    for number in 1..10 {
        gaze.wait_for(&format!("Log: INFO:root:step {number}"));
    }
    assert!(started.elapsed() < Duration::from_secs(1));
    append(&home.path("go"), "end\n");
    gaze.signal(Signal::INT);
    gaze.finish();
    let recorded = home.recorded();
    assert_eq!(recorded.lines.len(), 10);
    assert_eq!(recorded.lines[9].0, "File");
    assert_eq!(Path::new(&recorded.lines[9].1), log);
    assert_eq!(recorded.lines[9].2, "INFO:root:step 9");
}

#[test]
fn handles_a_non_existent_log_file_gracefully() {
    let home = Home::new();
    let (log, folder) = (home.path("later.log"), home.path("a-folder"));
    fs::create_dir(&folder).unwrap();
    let stranger = Stranger::sleeping(&home.path(""));
    let options = [
        "--logfile",
        log.to_str().unwrap(),
        "--logfile",
        folder.to_str().unwrap(),
    ];
    let mut gaze = gaze(&home, &stranger, &options);
    append(&log, "here at last\n");
    gaze.wait_for("[Gaze] Log: here at last");
    gaze.signal(Signal::INT);
    let (code, _, error) = gaze.finish();
    assert_eq!(code, 0);
    assert!(error.contains("Warning: log file not found"), "{error}");
    assert!(error.contains("Warning: not a regular file"), "{error}");
}

#[test]
fn the_last_words_of_a_process_are_kept_unfinished_or_not() {
    let home = Home::new();
    let log = home.path("app.log");
    fs::write(&log, "").unwrap();
    let command = "sh -c 'sleep 0.3; printf \"one\\ntwo\" >> app.log; exit 1'";
    let stranger = Stranger::run(&home.path(""), command);
    let options = ["--logfile", log.to_str().unwrap(), "--interval", "0.1"];
    let (_, said, _) = gaze(&home, &stranger, &options).finish();
    assert!(said.contains("Log entries captured: 2"), "{said}");
    assert_eq!(home.recorded().texts(), ["one", "two"]);
}

// The end.

#[test]
fn detects_process_termination_at_once_and_leaves_with_zero() {
    let home = Home::new();
    let stranger = Stranger::sleeping(&home.path(""));
    let mut gaze = gaze(&home, &stranger, &[]);
    let killed = Instant::now();
    stranger.kill(Signal::KILL);
    let (code, said, _) = gaze.finish();
    assert!(killed.elapsed() < Duration::from_secs(5));
    assert_eq!(code, 0);
    assert!(
        said.contains("[Gaze] Process terminated (exit code: -9)"),
        "{said}"
    );
    let events = home.recorded().events;
    let expected = [("monitoring_started", None), ("terminated", Some(-9))];
    assert_eq!(
        events,
        expected.map(|(event, code)| (event.to_owned(), code))
    );
}

#[test]
fn a_signal_ends_the_watching_not_the_process() {
    for signal in [Signal::INT, Signal::TERM, Signal::HUP] {
        let home = Home::new();
        let stranger = Stranger::sleeping(&home.path(""));
        let mut gaze = gaze(&home, &stranger, &[]);
        gaze.signal(signal);
        let (code, said, _) = gaze.finish();
        assert_eq!(code, 0);
        assert!(said.contains("[Gaze] Monitoring stopped"), "{said}");
        assert!(said.contains("[Gaze] Metrics collected: 1"), "{said}");
        let events = home.recorded().events;
        assert_eq!(events[1], ("monitoring_stopped".to_owned(), None));
        stranger.kill(Signal::CONT); // Fails if it were gone.
    }
}

#[test]
fn without_a_collector_the_records_wait_and_the_user_is_told() {
    let home = Home::new();
    let stranger = Stranger::sleeping(&home.path(""));
    let mut gaze = gaze(&home, &stranger, &[]);
    gaze.signal(Signal::INT);
    let (code, said, error) = gaze.finish();
    assert_eq!(code, 0);
    assert!(!said.contains("Data saved"), "{said}");
    assert!(error.contains("not in the store yet"), "{error}");
}

#[test]
fn when_nobody_reads_any_more_the_watching_ends() {
    let home = Home::new();
    let stranger = Stranger::sleeping(&home.path(""));
    let pid = stranger.pid.to_string();
    let argus = env!("CARGO_BIN_EXE_argus");
    let script = format!("{argus} gaze --pid {pid} --interval 0.05 | head -n 7");
    let mut command = std::process::Command::new("sh");
    command
        .args(["-c", &script])
        .env("ARGUS_HOME", home.path(""))
        .env("ARGUS_COLLECTOR", "off");
    let (code, said, _) = Running::start(command).finish();
    assert_eq!((code, said.lines().count()), (0, 7), "{said}");
    eventually("gaze has noticed", || {
        let events = home.recorded().events;
        (events.last()?.0 == "monitoring_stopped").then_some(())
    });
}

#[test]
fn a_database_that_cannot_be_used_is_refused_unchanged() {
    let home = Home::new();
    fs::write(
        home.data().database(),
        "this is no database, but it is long enough",
    )
    .unwrap();
    let pid = std::process::id().to_string();
    let (code, said, error) = home.start(&["gaze", "--pid", &pid]).finish();
    assert_eq!((code, said.as_str()), (3, ""), "{error}");
    let content = fs::read_to_string(home.data().database()).unwrap();
    assert_eq!(content, "this is no database, but it is long enough");
}
