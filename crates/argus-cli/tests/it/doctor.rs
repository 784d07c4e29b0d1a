//! `argus doctor`: what it finds on places that work, places that do not, and what it leaves alone.

use std::fs;

use argus_model::paths::DataDir;
use argus_spool::control::ControlPage;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::observed::eventually;
use crate::recording::{Answer, Recording, command};

struct Diagnosis {
    code: i32,
    report: Value,
}

impl Diagnosis {
    fn of(recording: &Recording) -> Self {
        Self::read(&recording.argus(&["doctor", "--json"]))
    }

    fn read(answer: &Answer) -> Self {
        assert_eq!(answer.stderr, "");
        Self {
            code: answer.code,
            report: serde_json::from_str(&answer.stdout).unwrap(),
        }
    }

    /// The verdicts on a subject, and what was found.
    fn about(&self, subject: &str) -> Vec<(&str, &str)> {
        let sections = self.report["sections"].as_array().unwrap().iter();
        sections
            .flat_map(|section| section["findings"].as_array().unwrap())
            .filter(|finding| finding["subject"] == subject)
            .map(|finding| {
                let text = |key: &str| finding[key].as_str().unwrap();
                (text("verdict"), text("found"))
            })
            .collect()
    }

    /// The one problem is about this subject.
    fn assert_problem(&self, subject: &str, words: &str) {
        let (verdict, found) = self.about(subject)[0];
        assert_eq!((verdict, self.code), ("problem", 1), "{found}");
        assert!(found.contains(words), "{found}");
        assert_eq!(self.report["works"], false);
    }
}

fn data(recording: &Recording) -> DataDir {
    DataDir::of(recording.database())
}

#[test]
fn a_place_without_a_recording_works_and_is_left_alone() {
    let recording = Recording::missing();
    let diagnosis = Diagnosis::of(&recording);
    assert_eq!(diagnosis.code, 0, "{}", diagnosis.report);
    assert_eq!(diagnosis.report["works"], true);
    assert_eq!(diagnosis.about("database")[0].0, "ok");
    assert!(!data(&recording).folder().exists());
    assert!(!recording.database().exists());
}

#[test]
fn a_recording_is_described_and_waiting_spools_are_counted() {
    let recording = Recording::sample();
    assert_eq!(recording.argus(&["run", "--", "true"]).code, 0);
    let diagnosis = Diagnosis::of(&recording);
    assert_eq!(diagnosis.code, 0, "{}", diagnosis.report);
    assert!(diagnosis.about("database")[0].1.contains("schema "));
    let (verdict, found) = diagnosis.about("spools")[0];
    assert_eq!(verdict, "off");
    assert!(found.starts_with("of 1 program, "), "{found}");
    assert!(found.ends_with("; 1 ended"), "{found}");
    let files = fs::read_dir(data(&recording).spool()).unwrap().count();
    assert_eq!(files, 1, "the spool that was there, and nothing else");
}

#[test]
fn people_get_aligned_lines_with_advice() {
    let answer = Recording::sample().argus(&["doctor"]);
    assert_eq!((answer.code, answer.stderr.as_str()), (0, ""));
    for title in ["Data\n", "Collector\n", "Machine\n", "Installation\n"] {
        assert!(answer.stdout.contains(title), "{title}: {}", answer.stdout);
    }
    assert!(
        answer
            .stdout
            .contains("\noff      environment     ARGUS_COLLECTOR=off")
    );
    assert!(
        answer
            .stdout
            .contains("\n                         → unset ARGUS_COLLECTOR\n")
    );
    let last = answer.stdout.lines().last().unwrap();
    assert!(last.starts_with("Recording works; "), "{last}");
}

#[test]
fn a_program_that_may_not_record_is_a_problem() {
    let recording = Recording::missing();
    let mut command = command(&recording.database());
    let output = command.args(["doctor", "--json"]).env("ARGUS_DISABLE", "1");
    let output = output.output().unwrap();
    let diagnosis = Diagnosis::read(&Answer {
        code: output.status.code().unwrap(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    });
    let environment = diagnosis.about("environment");
    assert!(environment.iter().any(|(verdict, _)| *verdict == "problem"));
    assert_eq!(diagnosis.code, 1);
}

#[test]
fn a_database_that_is_none_is_a_problem() {
    let recording = Recording::missing();
    fs::write(recording.database(), "no database at all, but long enough").unwrap();
    Diagnosis::of(&recording).assert_problem("database", "not an Argus store");
    let answer = recording.argus(&["doctor"]);
    assert!(
        answer
            .stdout
            .ends_with("Recording does not work: 1 problem.\n")
    );
}

#[test]
fn a_used_up_budget_is_a_problem() {
    let recording = Recording::sample();
    argus_spool::place::prepare(&data(&recording)).unwrap();
    let control = ControlPage::open(&data(&recording).control()).unwrap();
    control.set_budget(1 << 20);
    control.set_allocated(1 << 20);
    Diagnosis::of(&recording).assert_problem("disk budget", "every new record is lost");
}

#[test]
fn the_budget_is_what_a_collector_was_last_told() {
    let recording = Recording::sample();
    for (arguments, found) in [
        (&["--spool-budget", "2M"][..], "of 2.00 MiB used"),
        (&[], "of 2.00 MiB used"),
        (&["--spool-budget", "3GiB"], "of 3.00 GiB used"),
    ] {
        let collect = [&["collector", "--idle-exit", "0"], arguments].concat();
        assert_eq!(recording.argus(&collect).code, 0);
        let diagnosis = Diagnosis::of(&recording);
        let (verdict, budget) = diagnosis.about("disk budget")[0];
        assert_eq!(verdict, "ok");
        assert!(budget.contains(found), "{arguments:?}: {budget}");
    }
    let refused = recording.argus(&["collector", "--spool-budget", "1000"]);
    assert_eq!(refused.code, 2);
    assert!(
        refused.stderr.contains("a size of at least 1M"),
        "{}",
        refused.stderr
    );
}

#[test]
fn a_living_collector_is_shown_and_a_stopped_one_is_a_problem() {
    let recording = Recording::missing();
    let mut collector = command(&recording.database());
    let mut collector = collector
        .args(["collector", "--idle-exit", "never"])
        .spawn()
        .unwrap();
    let control = eventually("a collector", || {
        let path = data(&recording).control();
        let control = path.exists().then(|| ControlPage::open(&path).unwrap())?;
        control.living_collector().map(|_| control)
    });
    let at_work = format!("process {} at work", collector.id());
    let diagnosis = Diagnosis::of(&recording);
    assert_eq!(diagnosis.code, 0, "{}", diagnosis.report);
    let (verdict, found) = diagnosis.about("collector")[0];
    assert_eq!(verdict, "ok");
    assert!(found.starts_with(&at_work), "{found}");

    let pid = Pid::from_child(&collector);
    kill_process(pid, Signal::STOP).unwrap();
    eventually("its heartbeat is over", || {
        control.living_collector().is_none().then_some(())
    });
    let holds = format!("process {} holds the lock", collector.id());
    Diagnosis::of(&recording).assert_problem("collector", &holds);
    collector.kill().unwrap();
    collector.wait().unwrap();
}
