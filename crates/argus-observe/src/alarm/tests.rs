//! Whole targets: rules together, silence, the end, and what is written about it.

use super::*;

fn at(seconds: f64) -> Monotonic {
    Monotonic::from_nanos(0).plus(Duration::from_secs_f64(seconds))
}

fn threshold(value: f64) -> Option<Threshold> {
    Some(Threshold::try_from(value).unwrap())
}

fn silence(seconds: f64) -> Rules {
    Rules {
        silence_seconds: threshold(seconds),
        ..Rules::default()
    }
}

fn measured(seconds: f64, cpu_percent: Option<f64>, memory_mb: Option<f64>) -> Measured {
    Measured {
        at: at(seconds),
        interval: Duration::from_secs(5),
        cpu_percent,
        memory_mb,
    }
}

/// Alarms, and what they said, as a person would read it.
struct Told {
    alarms: Alarms,
    lines: Vec<String>,
}

impl Told {
    fn new(rules: &Rules, hears: Hears) -> Self {
        Self {
            alarms: Alarms::new(rules, hears, at(0.0)),
            lines: Vec::new(),
        }
    }

    fn measure(&mut self, measured: &Measured) {
        let lines = &mut self.lines;
        self.alarms
            .reading(measured, |told| lines.push(told.to_string()));
    }

    fn line(&mut self, seconds: f64) {
        let lines = &mut self.lines;
        self.alarms
            .line(at(seconds), |told| lines.push(told.to_string()));
    }

    fn tick(&mut self, seconds: f64) {
        let lines = &mut self.lines;
        self.alarms
            .tick(at(seconds), |told| lines.push(told.to_string()));
    }

    fn end(&mut self, seconds: f64, because: Over) {
        let lines = &mut self.lines;
        self.alarms
            .end(at(seconds), because, |told| lines.push(told.to_string()));
    }

    /// What was said since the last time.
    fn said(&mut self) -> String {
        std::mem::take(&mut self.lines).join(" | ")
    }
}

#[test]
fn memory_speaks_at_once_and_cpu_after_ten_seconds() {
    let rules = Rules {
        cpu_percent: threshold(80.0),
        memory_mb: threshold(1024.0),
        ..Rules::default()
    };
    let mut told = Told::new(&rules, Hears::Logs);
    told.measure(&measured(0.0, Some(99.0), Some(1030.5)));
    assert_eq!(told.said(), "memory 1030.5 MB above 1024 MB");
    told.measure(&measured(5.0, Some(99.0), Some(1030.5)));
    assert_eq!(told.said(), "");
    told.measure(&measured(10.0, Some(93.46), Some(512.0)));
    assert_eq!(
        told.said(),
        "CPU 93.5 % above 80 % for 10 s | memory 512.0 MB again, memory alert over after 10 s"
    );
}

#[test]
fn a_hold_is_for_both_levels() {
    let rules = Rules {
        cpu_percent: threshold(80.0),
        memory_mb: threshold(1024.0),
        hold: Some("5".parse().unwrap()),
        ..Rules::default()
    };
    let mut told = Told::new(&rules, Hears::Logs);
    told.measure(&measured(0.0, Some(99.0), Some(1030.0)));
    assert_eq!(told.said(), "");
    told.measure(&measured(5.0, Some(99.0), Some(1030.0)));
    assert_eq!(
        told.said(),
        "CPU 99.0 % above 80 % for 5 s | memory 1030.0 MB above 1024 MB for 5 s"
    );
}

#[test]
fn what_is_not_known_is_not_low() {
    let rules = Rules {
        memory_mb: threshold(1024.0),
        ..Rules::default()
    };
    let mut told = Told::new(&rules, Hears::Cpu);
    told.measure(&measured(0.0, None, Some(2000.0)));
    told.said();
    told.measure(&measured(5.0, None, None));
    told.measure(&measured(10.0, Some(0.0), Some(f64::NAN)));
    assert_eq!(told.said(), "");
    told.end(12.0, Over::Ended);
    assert_eq!(told.said(), "process ended, memory alert over after 12 s");
}

#[test]
fn silence_is_told_when_due_and_over_with_the_next_line() {
    let mut told = Told::new(&silence(60.0), Hears::Logs);
    assert_eq!(told.alarms.next_due(), Some(at(60.0)));
    told.line(30.0);
    assert_eq!(told.alarms.next_due(), Some(at(90.0)));
    told.tick(89.999);
    assert_eq!(told.said(), "");
    told.tick(90.0);
    assert_eq!(told.said(), "no log line for 60 s");
    assert_eq!(told.alarms.next_due(), None);
    told.tick(100.0);
    assert_eq!(told.said(), "");
    told.line(105.0);
    assert_eq!(told.said(), "log line again, silence alert over after 15 s");
    assert_eq!(told.alarms.next_due(), Some(at(165.0)));
}

#[test]
fn a_silence_noticed_late_waits_for_what_has_not_been_read() {
    let mut told = Told::new(&silence(10.0), Hears::Logs);
    told.tick(500.0);
    assert_eq!(told.said(), "");
    assert_eq!(told.alarms.next_due(), Some(at(501.0)));
    let mut quiet = Told {
        alarms: told.alarms.clone(),
        lines: Vec::new(),
    };
    told.line(500.5);
    told.tick(501.0);
    assert_eq!(told.said(), "");
    quiet.tick(700.0);
    assert_eq!(quiet.said(), "no log line for 700 s");
}

#[test]
fn a_line_older_than_the_last_does_not_make_it_older() {
    let mut told = Told::new(&silence(10.0), Hears::Logs);
    told.line(8.0);
    told.line(3.0);
    assert_eq!(told.alarms.next_due(), Some(at(18.0)));
}

#[test]
fn where_no_log_is_followed_silence_is_no_cpu_at_all() {
    let mut told = Told::new(&silence(10.0), Hears::Cpu);
    assert_eq!(told.alarms.next_due(), None);
    told.tick(100.0);
    told.measure(&measured(5.0, Some(0.01), None));
    told.measure(&measured(10.0, Some(0.0), None));
    told.measure(&measured(14.9, Some(f64::NAN), None));
    told.measure(&measured(20.0, None, None));
    told.line(20.0);
    assert_eq!(told.said(), "");
    told.measure(&measured(20.0, Some(0.0), None));
    assert_eq!(told.said(), "no CPU used for 15 s");
    told.measure(&measured(25.0, Some(0.2), None));
    assert_eq!(told.said(), "CPU used again, silence alert over after 5 s");
}

#[test]
fn cpu_does_not_break_the_silence_of_a_log() {
    let mut told = Told::new(&silence(10.0), Hears::Logs);
    told.measure(&measured(9.0, Some(100.0), None));
    told.tick(10.0);
    assert_eq!(told.said(), "no log line for 10 s");
}

#[test]
fn whatever_fires_is_over_with_the_target_and_nothing_fires_afterwards() {
    let rules = Rules {
        cpu_percent: threshold(80.0),
        memory_mb: threshold(10.0),
        silence_seconds: threshold(1.0),
        hold: Some("1".parse().unwrap()),
        ..Rules::default()
    };
    let mut told = Told::new(&rules, Hears::Logs);
    told.measure(&measured(0.0, Some(99.0), Some(5.0)));
    told.tick(1.0);
    told.measure(&measured(2.0, Some(99.0), Some(50.0)));
    told.said();
    told.end(4.0, Over::Unwatched);
    assert_eq!(
        told.said(),
        "not watched any more, cpu alert over after 2 s | \
         not watched any more, silence alert over after 3 s"
    );
    told.measure(&measured(9.0, Some(99.0), Some(50.0)));
    told.tick(99.0);
    told.end(99.0, Over::Ended);
    assert_eq!(told.said(), "");
    assert_eq!(told.alarms.next_due(), None);
}

#[test]
fn the_detail_is_json_with_numbers() {
    let fired = Transition {
        rule: Rule::Cpu,
        threshold: 80.0,
        value: 93.456_789,
        at: at(12.5),
        turn: Turn::Fired { since: at(2.0) },
    };
    assert_eq!(fired.event_type(), "alert_fired");
    assert_eq!(
        fired.detail(),
        r#"{"rule":"cpu","value":93.457,"threshold":80,"for_ms":10500}"#
    );
    let cleared = Transition {
        rule: Rule::Silence(Hears::Logs),
        turn: Turn::Cleared {
            fired: at(12.0),
            because: Over::Ended,
        },
        ..fired
    };
    assert_eq!(cleared.event_type(), "alert_cleared");
    assert_eq!(
        cleared.detail(),
        r#"{"rule":"silence","value":93.457,"threshold":80,"for_ms":500,"because":"ended"}"#
    );
}
