//! `argus stack` and `argus gaze --stacks` with real Python programs, and with what is none.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::observed::{Home, Running, Stranger, eventually};
use crate::pty::Terminal;
use rustix::process::Signal;

const SHOP: &str = "\
import threading, time

def price():
    while True:
        pass

def wait():
    open('ready', 'w').close()
    time.sleep(60)

threading.Thread(target=price, name='pri\\x1b[2Jcing', daemon=True).start()
wait()
";

/// A Python program at work in this home.
fn shop(home: &Home) -> Stranger {
    fs::write(home.path("shop.py"), SHOP).unwrap();
    let stranger = Stranger::run(&home.path(""), "exec python3 shop.py");
    eventually("it is at work", || {
        home.path("ready").exists().then_some(())
    });
    stranger
}

/// What `argus stack` answers: code, standard output, standard error.
fn stack(home: &Home, arguments: &[&str]) -> (i32, String, String) {
    answer(&mut home.command(&[&["stack"], arguments].concat()))
}

fn answer(command: &mut Command) -> (i32, String, String) {
    let output = command.output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (
        output.status.code().unwrap(),
        text(output.stdout),
        text(output.stderr),
    )
}

#[test]
fn every_thread_of_a_program_that_knows_nothing_of_argus_is_shown() {
    let home = Home::new();
    let shop = shop(&home);
    let pid = shop.pid.to_string();
    let text = eventually("the main thread waits", || {
        let (code, text, error) = stack(&home, &["--pid", &pid]);
        assert_eq!((code, error.as_str()), (0, ""));
        text.contains("  wait (").then_some(text)
    });
    let lines: Vec<&str> = text.lines().collect();
    assert!(lines[0].starts_with(&format!("python3 {pid}  ")), "{text}");
    assert!(
        lines[2].starts_with(&format!("MainThread {pid}  ")),
        "{text}"
    );
    // The folder stands before the file where Python is new enough.
    let reads = |line: &str, function: &str, file: &str| {
        line.starts_with(&format!("  {function} (")) && line.contains(file)
    };
    assert!(reads(lines[3], "wait", "shop.py:"), "{text}");
    assert!(reads(lines[4], "<module>", "shop.py:12)"), "{text}");
    assert!(lines[6].starts_with("pri[2Jcing "), "{text}");
    assert!(reads(lines[7], "price", "shop.py:"), "{text}");
    assert!(!home.data().folder().exists(), "nothing was made");
}

#[test]
fn json_tells_the_same() {
    let home = Home::new();
    let shop = shop(&home);
    let (code, text, _) = stack(&home, &["--pid", &shop.pid.to_string(), "--json"]);
    assert_eq!(code, 0);
    let told: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(told["pid"], shop.pid);
    let [main, worker] = &told["threads"].as_array().unwrap()[..] else {
        panic!("{text}");
    };
    assert_eq!(main["tid"], shop.pid);
    assert_eq!(main["name"], "MainThread");
    assert!(main["gil"].is_boolean());
    let outermost = main["frames"].as_array().unwrap().last().unwrap();
    assert_eq!(outermost["function"], "<module>");
    assert!(outermost["file"].as_str().unwrap().ends_with("shop.py"));
    assert_eq!(outermost["line"], 12);
    assert_eq!(worker["name"], "pri\u{1b}[2Jcing");
    assert_eq!(worker["frames"][0]["function"], "price");
    assert_eq!(
        (&worker["frames_left_out"], &told["threads_left_out"]),
        (&0.into(), &0.into())
    );
}

#[test]
fn a_program_is_found_by_its_name() {
    let home = Home::new();
    let folder = home.path("bin");
    fs::create_dir(&folder).unwrap();
    fs::write(home.path("shop.py"), SHOP).unwrap();
    // The interpreter behind whatever the path holds for it.
    let found = "import os, sys; print(os.path.realpath(sys.executable))";
    let found = Command::new("python3")
        .args(["-c", found])
        .output()
        .unwrap();
    let python = String::from_utf8(found.stdout).unwrap();
    std::os::unix::fs::symlink(python.trim(), folder.join("argus-shop-python")).unwrap();
    let _shop = Stranger::run(&home.path(""), "exec bin/argus-shop-python shop.py");
    eventually("it is at work", || {
        home.path("ready").exists().then_some(())
    });
    let (code, text, error) = stack(&home, &["--process", "argus-shop-python"]);
    assert_eq!((code, error.as_str()), (0, ""));
    assert!(text.contains("\nMainThread "), "{text}");
}

#[test]
fn what_cannot_be_shown_is_refused_in_a_sentence() {
    let home = Home::new();
    let refused = |arguments: &[&str], code: i32, sentence: &str| {
        let (found, said, error) = stack(&home, arguments);
        assert_eq!((found, said.as_str()), (code, ""), "{arguments:?}: {error}");
        assert!(error.contains(sentence), "{arguments:?}: {error}");
    };
    let sleeping = Stranger::sleeping(&home.path(""));
    let pid = sleeping.pid.to_string();
    refused(&["--pid", &pid], 2, "is not a Python program");
    refused(&["--pid", "2147483647"], 1, "no process with id");
    refused(&["--process", "argus-no-such"], 1, "no process named");
    refused(&[], 2, "--pid <PID>|--process <NAME>");
    refused(&["--pid", "1", "--process", "x"], 2, "cannot be used with");
}

#[test]
fn another_users_program_is_refused_with_a_hint() {
    let home = Home::new();
    let shop = shop(&home);
    let pid = shop.pid.to_string();
    let (code, said, error) = if rustix::process::geteuid().is_root() {
        // Root may read everything, so somebody else has to try, from where anybody may look.
        let argus = home.path("argus");
        fs::copy(env!("CARGO_BIN_EXE_argus"), &argus).unwrap();
        open(&home.path(""));
        open(&argus);
        let mut nobody = Command::new("setpriv");
        nobody.args(["--reuid=65534", "--regid=65534", "--clear-groups"]);
        answer(
            nobody
                .arg(argus)
                .args(["stack", "--pid", &pid])
                .env("HOME", home.path("")),
        )
    } else {
        stack(&home, &["--pid", "1"])
    };
    assert_eq!((code, said.as_str()), (2, ""), "{error}");
    let told = "may not be read: it runs as another user (uid 0)\nhint: ";
    assert!(error.contains(told), "{error}");
}

fn open(path: &Path) {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

/// Gazes at its stacks ten times a second.
fn gaze(home: &Home, stranger: &Stranger) -> Running {
    let pid = stranger.pid.to_string();
    Running::start(home.collected(&["gaze", "--pid", &pid, "--interval", "1", "--stacks", "10"]))
}

#[test]
fn stacks_are_recorded_when_they_change_and_the_rest_goes_on() {
    let home = Home::new();
    let program = "\
import os, sys, threading, time

def brief():
    while not os.path.exists('enough'):
        time.sleep(0.01)

def hang():
    threading.Thread(target=brief, name='brief').start()
    open('ready', 'w').close()
    while not os.path.exists('go'):
        time.sleep(60)

hang()
";
    fs::write(home.path("shop.py"), program).unwrap();
    let shop = Stranger::run(&home.path(""), "exec python3 shop.py");
    eventually("it is at work", || {
        home.path("ready").exists().then_some(())
    });
    let mut gaze = gaze(&home, &shop);
    let rows = |state: &str| {
        let rows = home.rows("SELECT tid, thread, state, frames FROM stack_trace ORDER BY id");
        let is_it = |row: &Value| row["thread"] == "brief" && row["state"] == state;
        rows.iter().any(is_it).then_some(rows)
    };
    eventually("the brief thread was seen", || {
        rows("idle").or_else(|| rows("active"))
    });
    fs::write(home.path("enough"), "").unwrap();
    let rows = eventually("the brief thread has ended", || rows("ended"));
    gaze.signal(Signal::INT);
    let (code, said, error) = gaze.finish();
    assert_eq!((code, error.as_str()), (0, ""), "{said}");
    let of = |thread: &str| -> Vec<&Value> {
        rows.iter().filter(|row| row["thread"] == thread).collect()
    };
    let (main, brief) = (of("MainThread"), of("brief"));
    let frames: Vec<&str> = main[0]["frames"].as_str().unwrap().lines().collect();
    assert!(frames[0].starts_with("hang ("), "{frames:?}");
    assert!(frames[1].starts_with("<module> (") && frames[1].ends_with("shop.py:13)"));
    assert_eq!(main[0]["tid"], shop.pid);
    assert_eq!(main.len(), 1, "nothing has changed: {main:?}");
    assert!(brief[0]["frames"].as_str().unwrap().starts_with("brief ("));
    assert_eq!(brief.last().unwrap()["frames"], Value::Null);
    assert!(!home.rows("SELECT id FROM performance_metrics").is_empty());
    let verified = home.command(&["verify"]).output().unwrap();
    assert_eq!(verified.status.code(), Some(0), "{verified:?}");
}

#[test]
fn what_is_sampled_stands_on_the_live_screen() {
    let home = Home::new();
    let shop = shop(&home);
    let gaze = gaze(&home, &shop);
    let mut terminal = Terminal::start(&home.command(&["watch"]));
    let words = [
        "MainThread",
        "sampled, idle",
        "~ <module> (",
        "~ wait (",
        "~ price (",
    ];
    terminal.wait_for("both threads, the main one waiting", |screen| {
        let text = screen.contents();
        words.iter().all(|word| text.contains(word))
    });
    // It is gone with the program.
    shop.kill(Signal::KILL);
    terminal.wait_for("no stack of the dead", |screen| {
        let text = screen.contents();
        text.contains("killed by signal 9") && !text.contains("~ wait (")
    });
    terminal.press("q");
    assert_eq!(terminal.wait_for_exit().code(), Some(0));
    drop(gaze);
}

#[test]
fn where_stacks_cannot_be_read_it_is_said_once_and_the_rest_goes_on() {
    let home = Home::new();
    let sleeping = Stranger::sleeping(&home.path(""));
    // As another user than the program's: it may be measured, but its memory may not be read.
    let pid = match rustix::process::geteuid().is_root() {
        true => sleeping.pid.to_string(),
        false => "1".to_owned(),
    };
    let mut gaze = if rustix::process::geteuid().is_root() {
        let argus = home.path("argus");
        fs::copy(env!("CARGO_BIN_EXE_argus"), &argus).unwrap();
        open(&argus);
        let theirs = home.path("theirs");
        fs::create_dir(&theirs).unwrap();
        std::os::unix::fs::chown(&theirs, Some(65_534), Some(65_534)).unwrap();
        open(&home.path(""));
        let mut nobody = Command::new("setpriv");
        nobody.args(["--reuid=65534", "--regid=65534", "--clear-groups"]);
        nobody
            .arg(argus)
            .args(["gaze", "--pid", &pid, "--interval=0.05", "--stacks=10"]);
        nobody
            .env("ARGUS_HOME", theirs)
            .env("ARGUS_COLLECTOR", "off");
        Running::start(nobody)
    } else {
        home.start(&["gaze", "--pid", &pid, "--interval=0.05", "--stacks=10"])
    };
    for _ in 0..10 {
        gaze.wait_for("Metrics: CPU=");
    }
    gaze.signal(Signal::INT);
    let (code, said, error) = gaze.finish();
    assert_eq!(code, 0, "{said}");
    let told = "stacks are not recorded: the memory of process";
    assert_eq!(error.matches(told).count(), 1, "{error}");
    assert!(
        error.contains("it runs as another user (uid 0); run this as"),
        "{error}"
    );
}

#[test]
fn a_pace_that_makes_no_sense_is_refused() {
    let home = Home::new();
    for pace in ["0", "11", "often"] {
        let option = format!("--stacks={pace}");
        let (code, _, error) = home.start(&["gaze", "--pid", "1", &option]).finish();
        assert_eq!(code, 2, "{error}");
        assert!(error.contains("times a second"), "{error}");
    }
}
