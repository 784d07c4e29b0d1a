//! Texts and what they come to.

use std::time::Duration;

use argus_observe::argv::Argv;

use super::*;

fn parse(text: &str) -> Result<Config, ConfigError> {
    Config::parse(text, Path::new("/etc/argus"))
}

fn parsed(text: &str) -> Config {
    parse(text).unwrap()
}

/// A text that is refused with this sentence.
fn refused(text: &str, expected: &str) {
    assert_eq!(parse(text).unwrap_err().to_string(), expected, "{text}");
}

fn argv(words: &[&str]) -> Argv {
    let words: Vec<_> = words.iter().map(ToString::to_string).collect();
    words.try_into().unwrap()
}

#[test]
fn the_example_says_what_it_means() {
    let config = parsed(include_str!("../../../../../examples/gaze.toml"));
    let [shop, prices] = &config.targets[..] else {
        panic!("{config:?}");
    };
    let threshold = |value: f64| Some(Threshold::try_from(value).unwrap());
    let command = argv(&["/usr/bin/logger", "--tag", "argus", "an alert has changed"]);
    let rate = LineRate {
        lines: 3,
        within: Duration::from_secs(30),
    };
    let expected = Plan {
        app_name: Some("Shop".into()),
        whom: Whom::Name("nginx".into()),
        units: Vec::new(),
        reading: Reading {
            from: From::Resume,
            parse: true,
            mask: Some(vec!["session_key".into()]),
            ids: vec!["order_id=order ([0-9]+)".parse().unwrap()],
            lines_per_second: None,
            alert: Wanted {
                patterns: vec!["payment .* refused".into()],
                level: Some(Level::Error),
            },
        },
        logfiles: vec![
            "/var/log/nginx/access.log".into(),
            "/var/log/nginx/error*.log".into(),
        ],
        interval: "5".parse().unwrap(),
        adaptive: true,
        follow_children: true,
        follow_restarts: true,
        alerts: Rules {
            cpu_percent: threshold(80.0),
            memory_mb: threshold(1024.0),
            silence_seconds: threshold(60.0),
            log: Some(rate),
            log_level: Some(rate),
            hold: Some("30".parse().unwrap()),
        },
        alert_command: Some(command.clone()),
        plugins: Vec::new(),
        stacks: None,
        pss: false,
        threads: false,
    };
    assert_eq!(*shop, expected);
    let expected = Plan {
        app_name: Some("Prices".into()),
        whom: Whom::CommandLine("python3 -m shop.prices".into()),
        logfiles: Vec::new(),
        units: Vec::new(),
        reading: Reading::default(),
        interval: "0.5".parse().unwrap(),
        adaptive: false,
        follow_children: false,
        follow_restarts: true,
        alerts: Rules {
            hold: Some("30".parse().unwrap()),
            ..Rules::default()
        },
        alert_command: Some(command),
        plugins: vec![
            argv(&["/etc/argus/./plugins/descriptors.sh"]),
            argv(&["/etc/argus/./plugins/memory_map.py"]),
        ],
        stacks: Some("5".parse().unwrap()),
        pss: false,
        threads: true,
    };
    assert_eq!(*prices, expected);
    assert!((prices.stacks.unwrap().hertz() - 5.0).abs() < f64::EPSILON);
}

#[test]
fn the_least_is_a_name_and_a_process() {
    let config = parsed("[[target]]\nname = 'X'\npid = 12");
    let [target] = &config.targets[..] else {
        panic!("{config:?}");
    };
    assert_eq!(target.whom, Whom::Pid(12));
    assert_eq!(target.interval, "5".parse().unwrap());
    assert_eq!(target.alerts, Rules::default());
    assert!(!target.adaptive && !target.follow_children && !target.follow_restarts);
}

#[test]
fn relative_paths_are_meant_from_the_files_folder_and_names_are_not() {
    let config = parsed(
        "[[target]]\nname = 'X'\npid = 12\nlogfiles = ['x.log', '/y.log']\n\
         plugins = ['depth --fast', ['./d e', '$x']]",
    );
    let target = &config.targets[0];
    assert_eq!(
        target.logfiles,
        [Path::new("/etc/argus/x.log"), Path::new("/y.log")]
    );
    assert_eq!(
        target.plugins,
        [
            argv(&["depth", "--fast"]),
            argv(&["/etc/argus/./d e", "$x"])
        ]
    );
}

#[test]
fn what_is_wrong_is_said_with_its_line_and_what_to_do() {
    refused(
        "",
        "line 1: no [[target]] is given: add one with a name and a process",
    );
    refused(
        "intervall = 5\n[[target]]\nname = 'X'\npid = 12",
        "line 1: unknown key `intervall`, expected one of `interval`, `adaptive`, \
         `follow_children`, `follow_restarts`, `stacks`, `from`, `parse_logs`, `mask`, `mask_names`, \
         `correlate`, `lines_per_second`, `pss`, `threads`, `alerts`, `target`",
    );
    refused(
        "[[target]]\nname = 'X'\npid = 12\n\n[target.alerts]\ndisk = 5",
        "line 6: unknown key `disk`, expected one of `cpu`, `memory`, `silence`, \
         `log`, `level`, `lines`, `within`, `for`, `command`",
    );
    refused(
        "[[target]]\nname = 'X'\npid = 12\n\n[[target]]\nname = 'X'\npid = 13",
        "line 6: target \"X\" is there already, on line 2: give each another name",
    );
    refused(
        "[[target]]\n\nname = 'X'",
        "line 3: target \"X\" means no process: add process, pid or command_line",
    );
    refused(
        "[[target]]\nname = 'X'\nprocess = 'x'\npid = 12",
        "line 2: target \"X\" has more than one of process, pid and command_line: keep one",
    );
    refused(
        "[[target]]\nname = 'X'\nprocess = ''",
        "line 2: target \"X\" means no process: give it a process that is not empty",
    );
    refused(
        "[[target]]\nname = ' '\npid = 12",
        "line 2: a target has an empty name: give it one",
    );
    refused(
        "[[target]]\npid = 12",
        "line 1: a target has no name: add one",
    );
}

#[test]
fn wrong_values_are_said_with_their_line_and_what_is_right() {
    let check = |value: &str, expected: &str| {
        refused(
            &format!("[[target]]\nname = 'X'\npid = 12\n{value}"),
            &format!("line 4: {expected}"),
        );
    };
    check(
        "interval = 'often'",
        "invalid type: string \"often\", expected a number",
    );
    check(
        "interval = 0",
        "expected a number of seconds above 0, at most 86400 (a day), such as 5 or 0.5",
    );
    check(
        "adaptive = 1",
        "invalid type: integer `1`, expected true or false",
    );
    check(
        "stacks = 50",
        "expected a number of times a second above 0, at most 10",
    );
    check(
        "alerts = { cpu = -1 }",
        "expected a number above 0, such as 80 or 1.5",
    );
    check(
        "alerts = { cpu = nan }",
        "expected a number above 0, such as 80 or 1.5",
    );
    check(
        "alerts = { for = -1 }",
        "expected a number of seconds from 0 to 86400 (a day), such as 30 or 0.5",
    );
    check(
        "alerts = { log = ['['] }",
        "not a regular expression: unclosed character class",
    );
    check(
        "alerts = { level = 'loud' }",
        "expected trace, debug, info, warn, error or fatal",
    );
    check(
        "alerts = { lines = 0 }",
        "invalid value: integer `0`, expected a nonzero u32",
    );
    check(
        "correlate = { order_id = '(' }",
        "the pattern of order_id: not a regular expression: unclosed group",
    );
    check(
        "alerts = { command = 'mail | cat' }",
        "| means something to a shell only, and none runs here: quote it, or write sh -c '...'",
    );
    check(
        "alerts = { command = [] }",
        "no program is named: give its path",
    );
    check(
        "plugins = [5]",
        "invalid type: integer `5`, expected a command: one text, or an array of its words",
    );
    check(
        "logfiles = 'x.log'",
        "invalid type: string \"x.log\", expected an array, such as [\"one\", \"two\"]",
    );
    check("pid = 13", "this key is there already: take one out");
    check(
        "interval =",
        "string values must be quoted, expected literal string",
    );
}

#[test]
fn a_reload_says_what_is_new_gone_different_and_the_same() {
    let target = |name: &str, rest: &str| format!("[[target]]\nname = '{name}'\n{rest}\n");
    let before = [
        target("same", "pid = 1"),
        target("gone", "pid = 2"),
        target("other", "pid = 3"),
    ];
    let after = [
        target("new", "pid = 4"),
        target("other", "pid = 3\nalerts = { cpu = 80 }"),
        target("same", "pid = 1"),
    ];
    let (before, after) = (parsed(&before.concat()), parsed(&after.concat()));
    let changes = after.changes_from(&before);
    assert_eq!(changes.added, [&after.targets[0]]);
    assert_eq!(changes.removed, [&before.targets[1]]);
    assert_eq!(changes.changed, [(&before.targets[2], &after.targets[1])]);
    assert_eq!(changes.kept, [&after.targets[2]]);
}

#[test]
fn a_default_that_changes_changes_those_that_have_it() {
    let text = |interval: &str| {
        format!(
            "interval = {interval}\n[[target]]\nname = 'a'\npid = 1\n\
             [[target]]\nname = 'b'\npid = 2\ninterval = 1"
        )
    };
    let (before, after) = (parsed(&text("5")), parsed(&text("6")));
    let changes = after.changes_from(&before);
    assert_eq!(changes.changed.len(), 1);
    assert_eq!(changes.kept, [&after.targets[1]]);
}
