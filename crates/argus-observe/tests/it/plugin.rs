//! Plugins as real programs: good ones, and every way of misbehaving.
//!
//! Time is what the plugin is told it is: a test moves it on instead of waiting.

use std::fs;
use std::os::fd::AsFd;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use argus_model::Monotonic;
use argus_observe::argv::Argv;
use argus_observe::platform;
use argus_observe::plugin::{Counts, LONGEST_PAUSE, MAX_LINES, MAX_METRICS, Plan, Plugin, Told};
use argus_observe::process::find_by_pid;
use argus_observe::wake::wait_any;
use tempfile::TempDir;

use crate::stranger::eventually;

const INTERVAL: Duration = Duration::from_secs(5);
const TIMEOUT: Duration = Duration::from_secs(10);

/// A plugin with its caller.
struct Bed {
    folder: TempDir,
    plugin: Plugin,
    /// How far time was moved on.
    ahead: Duration,
    values: Vec<String>,
    troubles: Vec<String>,
}

impl Bed {
    /// A plugin that is this shell script. `$DIR` is a folder of its own.
    fn shell(script: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("plugin");
        let dir = folder.path().display();
        fs::write(&file, format!("#!/bin/sh\nDIR='{dir}'\n{script}\n")).unwrap();
        set_mode(&file, 0o755);
        Self::with(folder, &file)
    }

    fn with(folder: TempDir, file: &Path) -> Self {
        Self::about(4321, folder, file)
    }

    fn about(pid: u32, folder: TempDir, file: &Path) -> Self {
        let words = vec![file.to_str().unwrap().to_owned()];
        let argv: Argv = words.try_into().unwrap();
        let plan = Plan {
            argv,
            pid,
            app_name: "My App".into(),
            interval: INTERVAL,
            timeout: TIMEOUT,
        };
        Self {
            folder,
            plugin: Plugin::new(plan).unwrap(),
            ahead: Duration::ZERO,
            values: Vec::new(),
            troubles: Vec::new(),
        }
    }

    fn now(&self) -> Monotonic {
        let nanos = platform::monotonic_now().nanos() + self.ahead.as_nanos() as u64;
        Monotonic::from_nanos(nanos)
    }

    fn pass(&mut self, time: Duration) {
        self.ahead += time;
    }

    fn advance(&mut self) {
        let now = self.now();
        let (values, troubles) = (&mut self.values, &mut self.troubles);
        self.plugin.advance(now, |told| match told {
            Told::Value(metric) => {
                let labels: String = metric
                    .labels
                    .iter()
                    .map(|(key, value)| format!("[{key}={value}]"))
                    .collect();
                values.push(format!("{}{labels} {}", metric.name, metric.value));
            }
            Told::Trouble(trouble) => troubles.push(trouble.to_string()),
        });
    }

    /// Waits as a loop would, until the condition holds.
    fn until(&mut self, what: &str, condition: impl Fn(&Self) -> bool) {
        eventually(what, || {
            self.advance();
            if condition(self) {
                return Some(());
            }
            let due = self.plugin.next_due().since(self.now());
            let longest = due.min(Duration::from_millis(20));
            wait_any([self.plugin.as_fd()], Some(longest)).unwrap();
            None
        });
    }

    fn until_values(&mut self, expected: &[&str]) {
        let count = expected.len();
        self.until(&expected.join(", "), |bed| bed.values.len() >= count);
        assert_eq!(self.values, expected);
    }

    fn until_trouble(&mut self, expected: &str) {
        self.until(expected, |bed| !bed.troubles.is_empty());
        assert_eq!(std::mem::take(&mut self.troubles), [expected]);
    }

    fn counts(&self) -> Counts {
        self.plugin.counts()
    }
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

fn assert_gone(pid: u32) {
    eventually("the end of a process", || find_by_pid(pid).err());
}

#[test]
fn one_that_ends_is_asked_again_at_the_next_interval() {
    let mut bed = Bed::shell(r#"printf 'pid %s\nx{app="%s"} 2' "$ARGUS_PID" "$ARGUS_APP_NAME""#);
    bed.until_values(&["pid 4321", "x[app=My App] 2"]);
    bed.until("its end", |bed| {
        bed.plugin.next_due() > bed.now() && bed.counts().values == 2
    });
    bed.pass(INTERVAL - Duration::from_secs(1));
    bed.advance();
    assert_eq!(bed.counts().runs, 1);
    bed.pass(Duration::from_secs(1));
    bed.until("a second run", |bed| bed.values.len() == 4);
    assert_eq!(bed.counts().runs, 2);
    assert!(bed.troubles.is_empty(), "{:?}", bed.troubles);
}

#[test]
fn one_that_goes_on_may_be_silent_for_as_long_as_it_likes() {
    let mut bed = Bed::shell("echo a 1; exec sleep 1000");
    bed.until_values(&["a 1"]);
    for _ in 0..100 {
        bed.pass(Duration::from_secs(3600));
        bed.advance();
    }
    let counts = bed.counts();
    assert_eq!((counts.runs, counts.failures), (1, 0));
    assert!(bed.troubles.is_empty(), "{:?}", bed.troubles);
}

#[test]
fn garbage_is_said_once_and_counted_and_the_rest_goes_on() {
    let mut bed =
        Bed::shell("echo hello world; echo x 1; echo; echo 'What?'; echo y NaN; echo z 2");
    bed.until_values(&["x 1", "z 2"]);
    let counts = bed.counts();
    assert_eq!((counts.garbage, counts.no_numbers), (2, 1));
    assert_eq!(
        bed.troubles,
        [
            "printed a line that is no metric (\"hello world\"; expected: name value); \
          such lines are left out"
        ]
    );
}

#[test]
fn binary_garbage_is_only_garbage() {
    let mut bed = Bed::shell("head -c 200000 /dev/urandom; echo; echo x 1");
    bed.until("the value", |bed| bed.values.contains(&"x 1".into()));
    assert!(bed.counts().garbage > 0);
    let is_clean = |text: &String| !text.contains(char::is_control);
    assert!(bed.values.iter().chain(&bed.troubles).all(is_clean));
}

#[test]
fn one_that_says_nothing_is_stopped_and_tried_again_later() {
    let mut bed = Bed::shell("echo $$ >$DIR/pid; exec sleep 1000");
    let file = bed.folder.path().join("pid");
    bed.until("its pid", |_| {
        fs::read_to_string(&file).is_ok_and(|text| text.ends_with('\n'))
    });
    let pid: u32 = fs::read_to_string(&file).unwrap().trim().parse().unwrap();
    bed.pass(TIMEOUT);
    bed.until_trouble("took longer than 10 s; stopped, and tried again later");
    bed.until("its end", |bed| bed.counts().failures == 1);
    assert_gone(pid);
    bed.pass(INTERVAL);
    bed.until("a second run", |bed| bed.counts().runs == 2);
    assert!(bed.troubles.is_empty(), "said twice");
}

#[test]
fn one_that_does_not_listen_is_killed_with_all_it_has_started() {
    let mut bed =
        Bed::shell("trap '' TERM; sleep 1000 & echo $! >$DIR/pid; wait; wait; sleep 1000");
    let file = bed.folder.path().join("pid");
    bed.until("its pid", |_| {
        fs::read_to_string(&file).is_ok_and(|text| text.ends_with('\n'))
    });
    let child: u32 = fs::read_to_string(&file).unwrap().trim().parse().unwrap();
    bed.pass(TIMEOUT);
    bed.until_trouble("took longer than 10 s; stopped, and tried again later");
    assert_eq!(bed.counts().failures, 0, "not ended yet");
    bed.pass(Duration::from_secs(2));
    bed.until("its end", |bed| bed.counts().failures == 1);
    assert_gone(child);
}

#[test]
fn one_that_is_known_to_end_is_stopped_when_it_does_not_although_it_prints() {
    let mut bed = Bed::shell("echo a 1; [ -e $DIR/again ] && exec sleep 1000; touch $DIR/again");
    bed.until("its end", |bed| {
        bed.values.len() == 1 && bed.plugin.next_due() > bed.now()
    });
    bed.until("the end of the first run", |bed| {
        bed.folder.path().join("again").exists()
    });
    bed.pass(INTERVAL);
    bed.until("the second run", |bed| bed.values.len() == 2);
    bed.pass(TIMEOUT);
    bed.until_trouble("took longer than 10 s; stopped, and tried again later");
}

#[test]
fn one_that_closes_its_output_must_end() {
    let mut bed = Bed::shell("echo a 1; exec sleep 1000 >&-");
    bed.until_values(&["a 1"]);
    eventually("the closed output is noticed", || {
        bed.advance();
        bed.pass(TIMEOUT);
        (!bed.troubles.is_empty()).then_some(())
    });
    bed.until("its end", |bed| bed.counts().failures == 1);
}

#[test]
fn one_that_prints_without_end_is_read_so_much_an_interval_and_then_waits() {
    let mut bed = Bed::shell("exec yes x 1");
    bed.until_trouble("prints more than 5000 lines an interval; it is read more slowly");
    let read = bed.values.len();
    assert!(read <= MAX_LINES, "{read}");
    let [is_ready] = wait_any([bed.plugin.as_fd()], Some(Duration::from_millis(100))).unwrap();
    assert!(!is_ready, "a loop would spin");
    bed.advance();
    assert_eq!(bed.values.len(), read);
    bed.pass(INTERVAL);
    bed.until("more", |bed| bed.values.len() > read);
    assert!(bed.values.len() <= 2 * MAX_LINES);
    assert!(bed.troubles.is_empty(), "said twice");
}

#[test]
fn one_that_had_to_wait_is_heard_again() {
    let mut bed = Bed::shell(
        "yes x 1 | head -6000; while [ ! -e $DIR/go ]; do sleep 0.01; done; echo y 1; exec sleep 1000",
    );
    bed.until_trouble("prints more than 5000 lines an interval; it is read more slowly");
    bed.pass(INTERVAL);
    bed.until("the rest", |bed| {
        bed.values.len() as u64 + bed.counts().left_out == 6000
    });
    fs::write(bed.folder.path().join("go"), "").unwrap();
    let [is_ready] = wait_any([bed.plugin.as_fd()], Some(Duration::from_secs(10))).unwrap();
    assert!(is_ready, "only the next interval would read it");
    bed.advance();
    assert_eq!(bed.values.last().unwrap(), "y 1");
}

#[test]
fn garbage_without_end_is_stopped() {
    let mut bed = Bed::shell("exec yes");
    bed.until("two kinds of trouble", |bed| bed.troubles.len() == 2);
    bed.pass(TIMEOUT);
    bed.until("its end", |bed| bed.counts().failures == 1);
    assert_eq!(bed.values.len(), 0);
}

#[test]
fn an_endless_line_takes_no_memory_and_is_one_piece_of_garbage() {
    let mut bed = Bed::shell("head -c 300000 /dev/zero | tr '\\0' a; echo ' 1'; echo x 1");
    bed.until_values(&["x 1"]);
    assert_eq!(bed.counts().garbage, 1);
}

#[test]
fn metrics_beyond_the_limit_are_left_out_the_known_ones_go_on() {
    let mut bed = Bed::shell(
        "for i in $(seq 1500); do echo \"x{n=\\\"$i\\\"} 1\"; done; echo 'x{n=\"1\"} 2'",
    );
    bed.until("the last", |bed| {
        bed.values.last().is_some_and(|it| it == "x[n=1] 2")
    });
    assert_eq!(bed.values.len(), MAX_METRICS + 1);
    assert_eq!(bed.counts().left_out, 500);
    assert_eq!(
        bed.troubles,
        ["has more than 1000 different metrics; the others are left out"]
    );
}

#[test]
fn a_grandchild_that_keeps_the_pipe_open_keeps_nobody() {
    let mut bed = Bed::shell("sleep 1000 & echo pid $!");
    bed.until("its pid", |bed| bed.values.len() == 1);
    let pid = bed.values[0].strip_prefix("pid ").unwrap().parse().unwrap();
    bed.until("the grandchild's end", |_| find_by_pid(pid).is_err());
    bed.pass(INTERVAL);
    bed.until("a second run", |bed| bed.counts().runs == 2);
    assert!(bed.troubles.is_empty(), "{:?}", bed.troubles);
}

#[test]
fn failures_are_said_once_and_tried_less_and_less_often() {
    let mut bed = Bed::shell("echo x 1; echo 'no such queue' >&2; exit 3");
    bed.until_trouble("failed with exit code 3 (\"no such queue\"); tried again later");
    let mut pauses = Vec::new();
    for run in 1..10 {
        bed.until("a failure", |bed| bed.counts().failures == run);
        let pause = bed.plugin.next_due().since(bed.now());
        pauses.push(pause.as_secs_f64().round() as u64);
        bed.pass(pause);
    }
    assert_eq!(pauses, [5, 10, 20, 40, 80, 160, 300, 300, 300]);
    assert_eq!(LONGEST_PAUSE, Duration::from_secs(300));
    assert!(bed.troubles.is_empty(), "said twice");
    assert_eq!(bed.values.len() as u64, bed.counts().values);
}

#[test]
fn one_that_is_killed_is_said_so() {
    let mut bed = Bed::shell("kill -9 $$");
    bed.until_trouble("was killed by signal 9; tried again later");
}

#[test]
fn one_that_ends_well_without_a_value_is_said_so() {
    let mut bed = Bed::shell("echo '# nothing yet'");
    bed.until_trouble("has ended without printing a value");
    assert_eq!(bed.counts().failures, 0);
}

#[test]
fn one_that_cannot_be_started_is_said_so() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("plugin");
    fs::write(&file, "#!/nowhere/interpreter\n").unwrap();
    set_mode(&file, 0o755);
    let mut bed = Bed::with(folder, &file);
    bed.until_trouble(
        "cannot be started (No such file or directory (os error 2)); tried again later",
    );
}

#[test]
fn one_that_others_may_write_to_meanwhile_is_not_started_again() {
    let mut bed = Bed::shell("echo a 1");
    bed.until_values(&["a 1"]);
    let file = bed.folder.path().join("plugin");
    set_mode(&file, 0o777);
    bed.until("its end", |bed| bed.plugin.next_due() > bed.now());
    bed.pass(INTERVAL);
    let file = file.display();
    bed.until_trouble(&format!(
        "is not run: others may write to {file}: chmod go-w {file}"
    ));
    assert_eq!(bed.values.len(), 1);
}

#[test]
fn dropping_it_leaves_nobody_behind() {
    let mut bed = Bed::shell("sleep 1000 & echo pid $!; echo pid $$; wait");
    bed.until("both", |bed| bed.values.len() == 2);
    let values = std::mem::take(&mut bed.values);
    drop(bed);
    for value in values {
        assert_gone(value.strip_prefix("pid ").unwrap().parse().unwrap());
    }
}

#[test]
fn one_in_python_that_never_flushes_is_heard_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("plugin.py");
    fs::write(&file, "import time\nprint('x', 1)\ntime.sleep(1000)\n").unwrap();
    set_mode(&file, 0o644);
    Bed::with(folder, &file).until_values(&["x 1"]);
}

#[test]
fn one_whose_caller_is_gone_ends() {
    let bed = std::thread::spawn(|| {
        let mut bed = Bed::shell("echo pid $$; exec sleep 1000");
        bed.until("its pid", |bed| bed.values.len() == 1);
        bed
    });
    let mut bed = bed.join().unwrap();
    bed.until_trouble("was killed by signal 15; tried again later");
}

/// A plugin of `examples/plugins`, copied to where its folder is surely ours.
fn example(name: &str, mode: u32, pid: u32) -> Bed {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join(name);
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/plugins");
    fs::copy(examples.join(name), &file).unwrap();
    set_mode(&file, mode);
    Bed::about(pid, folder, &file)
}

const NOBODY: u32 = 1 << 30;

#[test]
fn the_example_in_shell_counts_what_a_process_has_open() {
    let mut bed = example("descriptors.sh", 0o755, std::process::id());
    bed.until("its values", |bed| bed.values.len() == 4);
    assert!(bed.values[0].starts_with("descriptors[kind=socket] "));
    let files = bed.values[3].strip_prefix("descriptors[kind=file] ");
    assert!(files.unwrap().parse::<u32>().unwrap() > 0);
    bed.until("its end", |bed| bed.plugin.next_due() > bed.now());
    bed.pass(INTERVAL);
    bed.until("a second run", |bed| bed.values.len() == 8);
    assert!(bed.troubles.is_empty(), "{:?}", bed.troubles);

    let mut bed = example("descriptors.sh", 0o755, NOBODY);
    bed.until_trouble(&format!(
        "failed with exit code 1 (\"cannot look into /proc/{NOBODY}/fd: no such process, \
         or another user's\"); tried again later"
    ));
}

#[test]
fn the_example_in_python_shows_what_memory_is_made_of() {
    let mut bed = example("memory_map.py", 0o644, std::process::id());
    bed.until("its values", |bed| bed.values.len() == 4);
    let anonymous = bed.values[0].strip_prefix("memory_bytes[kind=anonymous] ");
    assert!(anonymous.unwrap().parse::<u64>().unwrap() > 100_000);
    assert_eq!(bed.counts().garbage, 0);
    assert!(bed.troubles.is_empty(), "{:?}", bed.troubles);

    let mut bed = example("memory_map.py", 0o644, NOBODY);
    bed.until_trouble(&format!(
        "failed with exit code 1 (\"no process {NOBODY}\"); tried again later"
    ));
}
