//! Lines as programs write them, and the templates they should have.

use super::*;

/// Places the lines and compares all patterns there are with the expected ones.
fn check(lines: &[&str], expected: &[&str]) {
    let mut miner = Miner::default();
    for line in lines {
        miner.place(line);
    }
    let patterns: Vec<_> = miner.patterns().map(|(_, pattern)| pattern).collect();
    assert_eq!(patterns, expected);
    places_as_before(&mut miner, lines);
}

/// A miner that recalls the patterns places the lines as the one that made them.
fn places_as_before(miner: &mut Miner, lines: &[impl AsRef<str>]) {
    let mut recalled = Miner::recall(miner.patterns());
    for line in lines {
        let line = line.as_ref();
        assert_eq!(recalled.place(line), miner.place(line), "{line}");
    }
    assert!(recalled.patterns().eq(miner.patterns()));
}

fn changes(lines: &[&str]) -> Vec<(u64, Change)> {
    let mut miner = Miner::default();
    let places = lines.iter().map(|line| miner.place(line));
    places.map(|placed| (placed.id.0, placed.change)).collect()
}

#[test]
fn lines_of_sshd() {
    check(
        &[
            "Dec 10 06:55:46 LabSZ sshd[24200]: Invalid user webmaster from 173.234.31.186",
            "Dec 10 06:55:48 LabSZ sshd[24200]: Failed password for root from 173.234.31.186 port 38926 ssh2",
            "Dec 10 07:02:47 LabSZ sshd[24203]: Connection closed by 212.47.254.145 [preauth]",
            "Dec  9 07:07:38 LabSZ sshd[206]: Invalid user test9 from 52.80.34.196",
            "Jan  1 07:08:30 LabSZ sshd[24208]: Invalid user pgadmin from 173.234.31.186",
            "Dec 10 07:13:43 LabSZ sshd[24227]: Failed password for admin from 5.36.59.76 port 42393 ssh2",
            "Dec 10 09:32:20 LabSZ sshd[24680]: Accepted password for fztu from 119.137.62.142 port 49116 ssh2",
        ],
        &[
            "<*> <*> <*> LabSZ sshd[<*>]: Invalid user <*> from <*>",
            "<*> <*> <*> LabSZ sshd[<*>]: Failed password for <*> from <*> port <*> <*>",
            "<*> <*> <*> LabSZ sshd[<*>]: Connection closed by <*> [preauth]",
            "<*> <*> <*> LabSZ sshd[<*>]: Accepted password for fztu from <*> port <*> <*>",
        ],
    );
}

#[test]
fn lines_of_nginx() {
    check(
        &[
            r#"2024/03/01 10:00:01 [error] 31#31: *5 open() "/srv/www/a.css" failed (2: No such file or directory), client: 10.0.0.1, server: _, request: "GET /a.css HTTP/1.1", host: "a.example""#,
            r#"2024/03/02 23:10:44 [error] 9#9: *77 open() "/srv/www/b/c.js" failed (2: No such file or directory), client: 10.9.0.1, server: _, request: "GET /b/c.js HTTP/1.1", host: "b.example""#,
            "2024/03/02 23:10:45 [warn] 9#9: *78 upstream server temporarily disabled while connecting to upstream",
            "2024/03/02 23:10:46 [notice] 1#1: signal 29 (SIGIO) received",
            "2024/03/02 23:10:46 [notice] 1#1: signal 17 (SIGCHLD) received",
        ],
        &[
            r#"<*> <*> [error] <*>: <*> open() "<*>" failed (<*>: No such file or directory), client: <*>, server: _, request: "<*>", host: "<*>""#,
            "<*> <*> [warn] <*>: <*> upstream server temporarily disabled while connecting to upstream",
            "<*> <*> [notice] <*>: signal <*> (SIGIO) received",
            "<*> <*> [notice] <*>: signal <*> (SIGCHLD) received",
        ],
    );
}

#[test]
fn lines_of_java() {
    check(
        &[
            "2024-05-04 12:00:00,001 INFO  [main] o.e.Server - Starting connector on port 8080",
            "2024-05-04 12:00:00,731 INFO  [main] o.e.Server - Stopping worker at address 10.0.0.1:80",
            "2024-05-05 01:10:00,000 INFO  [main] o.e.Server - Starting connector on port 8443",
            "2024-05-05 01:10:02,000 ERROR [http-nio-8080-exec-3] o.e.Pool - Connection refused: db-1:5432",
            "2024-05-05 01:10:09,300 ERROR [http-nio-8080-exec-12] o.e.Pool - Connection refused: db-2:5432",
            "\tat org.example.Pool.take(Pool.java:117)",
            "\tat org.example.Pool.take(Pool.java:98)",
            "Caused by: java.net.ConnectException: Connection refused",
        ],
        &[
            "<*> <*> INFO [main] o.e.Server - Starting connector on port <*>",
            "<*> <*> INFO [main] o.e.Server - Stopping worker at address <*>",
            "<*> <*> ERROR [<*>] o.e.Pool - Connection refused: <*>",
            "at org.example.Pool.take(Pool.java:<*>)",
            "Caused by: java.net.ConnectException: Connection refused",
        ],
    );
}

#[test]
fn lines_of_hdfs() {
    check(
        &[
            "081109 203518 143 INFO dfs.DataNode$DataXceiver: Receiving block blk_-1608999687919862906 src: /10.250.19.102:54106 dest: /10.250.19.102:50010",
            "081109 203519 145 INFO dfs.DataNode$PacketResponder: PacketResponder 1 for block blk_38865049064139660 terminating",
            "081109 203519 29 INFO dfs.FSNamesystem: BLOCK* NameSystem.allocateBlock: /mnt/hadoop/job_200811092030_0001/part-00590. blk_-1608999687919862906",
            "081109 203521 143 INFO dfs.DataNode$DataXceiver: Receiving block blk_7503483334202473044 src: /10.251.215.16:55695 dest: /10.250.19.102:50010",
            "081109 203521 143 INFO dfs.DataNode$DataXceiver: Received block blk_-1608999687919862906 of size 91178 from /10.250.14.224",
            "081109 204005 35 INFO dfs.FSNamesystem: BLOCK* NameSystem.allocateBlock: /mnt/hadoop/job_200811092030_0001/part-00721. blk_7503483334202473044",
            "081109 203522 2 INFO dfs.DataNode$PacketResponder: PacketResponder 0 for block blk_-6952295868487656571 terminating",
        ],
        &[
            "<*> <*> <*> INFO dfs.DataNode$DataXceiver: Receiving block <*> src: <*> dest: <*>",
            "<*> <*> <*> INFO dfs.DataNode$PacketResponder: PacketResponder <*> for block <*> terminating",
            "<*> <*> <*> INFO dfs.FSNamesystem: BLOCK* NameSystem.allocateBlock: <*>. <*>",
            "<*> <*> <*> INFO dfs.DataNode$DataXceiver: Received block <*> of size <*> from <*>",
        ],
    );
}

#[test]
fn lines_of_postgresql() {
    check(
        &[
            "2024-01-05 10:11:12.345 UTC [812] LOG:  checkpoint starting: time",
            r#"2024-01-05 10:11:13.000 UTC [901] ERROR:  relation "users" does not exist at character 15"#,
            "2024-01-05 10:16:12.345 UTC [812] LOG:  checkpoint starting: time",
            r#"2024-01-06 00:00:13.000 UTC [44] ERROR:  relation "order_lines" does not exist at character 27"#,
            "2024-01-06 00:00:14.000 UTC [44] LOG:  duration: 1204.551 ms",
            "2024-01-06 00:00:15.000 UTC [45] LOG:  duration: 7.1 ms",
            r#"2024-01-06 00:00:16.000 UTC [45] FATAL:  password authentication failed for user "ann""#,
        ],
        &[
            "<*> <*> UTC [<*>] LOG: checkpoint starting: time",
            r#"<*> <*> UTC [<*>] ERROR: relation "<*>" does not exist at character <*>"#,
            "<*> <*> UTC [<*>] LOG: duration: <*> ms",
            r#"<*> <*> UTC [<*>] FATAL: password authentication failed for user "<*>""#,
        ],
    );
}

#[test]
fn lines_of_python() {
    check(
        &[
            "INFO:root:loaded 12 rows in 0.31s",
            "INFO:root:loaded 7 rows in 1.02s",
            "WARNING:app.cache:key 'user:17' not found",
            "WARNING:app.cache:key 'session:a' not found",
            r#"  File "/srv/app/main.py", line 12, in <module>"#,
            r#"  File "/srv/app/jobs.py", line 177, in <module>"#,
            "KeyError: 'alice'",
            "KeyError: 'bob'",
            "Traceback (most recent call last):",
            "<Task pending name='Task-1' coro=<main() running at main.py:4>>",
            "<Task pending name='Task-9' coro=<main() running at main.py:71>>",
        ],
        &[
            "INFO:root:loaded <*> rows in <*>",
            "WARNING:app.cache:key '<*>' not found",
            r#"File "<*>", line <*>, in <module>"#,
            "KeyError: '<*>'",
            "Traceback (most recent call last):",
            "<Task pending name='<*>' coro=<main() running at main.py:<*>>>",
        ],
    );
}

#[test]
fn lines_as_objects_and_as_pairs() {
    check(
        &[
            r#"{"ts":"2024-01-01T00:00:00Z","level":"info","msg":"user alice logged in","id":17}"#,
            r#"{"ts":"2024-01-01T00:00:09Z","level":"info","msg":"user bob logged in","id":18}"#,
            r#"{"ts":"2024-01-01T00:00:09Z","level":"info","msg":"disk is almost full","id":18}"#,
            r#"time=2024-01-01T00:00:00Z level=warn msg="slow query" took=120ms"#,
            r#"time=2024-01-01T00:07:00Z level=warn msg="slow query" took=91ms"#,
            r#"time=2024-01-01T00:07:00Z level=warn msg="lost leader" took=91ms"#,
        ],
        &[
            r#"{"ts":"<*>","level":"info","msg":"user <*> logged in","id":<*>}"#,
            r#"{"ts":"<*>","level":"info","msg":"disk is almost full","id":<*>}"#,
            r#"time=<*> level=warn msg="slow query" took=<*>"#,
            r#"time=<*> level=warn msg="lost leader" took=<*>"#,
        ],
    );
}

#[test]
fn a_line_widens_the_template_it_is_like() {
    let lines = [
        "user alice logged in",
        "user bob logged in",
        "user carol logged in",
        "user alice went away",
    ];
    check(&lines, &["user <*> logged in", "user alice went away"]);
    let expected = [
        (1, Change::New),
        (1, Change::Widened),
        (1, Change::Known),
        (2, Change::New),
    ];
    assert_eq!(changes(&lines), expected);
}

#[test]
fn half_of_the_words_are_not_enough() {
    check(
        &[
            "server has started",
            "server has stopped",
            "server gone",
            "server back",
        ],
        &[
            "server has started",
            "server has stopped",
            "server gone",
            "server back",
        ],
    );
}

#[test]
fn a_template_is_not_worn_down() {
    check(
        &["a b c d e", "a b c x e", "a b y x e", "a w y q e"],
        &["a b c <*> e", "a b y x e", "a w y q e"],
    );
}

#[test]
fn a_template_of_variables_takes_no_words() {
    check(
        &["a 1 2 3 e", "a b c d e"],
        &["a <*> <*> <*> e", "a b c d e"],
    );
}

#[test]
fn levels_are_told_apart() {
    check(
        &[
            "10:00 INFO disk is full",
            "10:01 ERROR disk is full",
            "10:02 INFO disk is full",
        ],
        &["<*> INFO disk is full", "<*> ERROR disk is full"],
    );
}

#[test]
fn a_level_stays_where_it_is() {
    let lines = ["INFO - user a b c d e", "- INFO user a b c d e"];
    check(&lines, &lines);
}

#[test]
fn a_number_in_brackets_is_no_program() {
    check(
        &["[17]: user alice logged in", "[18]: user bob logged in"],
        &["[<*>]: user <*> logged in"],
    );
}

#[test]
fn a_single_variable_and_nothing_are_lines_too() {
    let expected = [
        (1, Change::New),
        (2, Change::New),
        (1, Change::Known),
        (2, Change::Known),
        (1, Change::Known),
    ];
    assert_eq!(changes(&["17", "", "18", "  ", "<*>"]), expected);
    check(&["", "17"], &["", "<*>"]);
}

#[test]
fn recalled_ids_are_not_given_again() {
    let patterns = [
        (TemplateId(9), "a b"),
        (TemplateId(4), "c d"),
        (TemplateId(9), "x"),
    ];
    let mut miner = Miner::recall(patterns);
    assert_eq!(miner.place("c d").id, TemplateId(4));
    assert_eq!(miner.place("e f").id, TemplateId(10));
    assert_eq!(miner.pattern(TemplateId(9)), Some("a b"));
    assert_eq!(miner.pattern(TemplateId(5)), None);
}

#[test]
fn words_beyond_the_children_of_a_node_are_variable() {
    let name = |n: usize| {
        format!(
            "{}x",
            ["a", "b", "c", "d", "e", "f", "g", "h"].map(|letter| { letter.repeat(1 + n) })[n % 8]
        )
    };
    let lines: Vec<_> = (0..70).map(|n| format!("{} has left", name(n))).collect();
    let mut miner = Miner::default();
    for line in &lines {
        miner.place(line);
    }
    assert_eq!(miner.patterns().len(), MAX_CHILDREN + 1);
    assert_eq!(miner.pattern(TemplateId(65)), Some("<*> has left"));
    places_as_before(&mut miner, &lines);
}

#[test]
fn templates_beyond_those_of_a_leaf_are_widened() {
    let lines: Vec<_> = (1..=70)
        .map(|n| format!("hello {}", "x".repeat(n)))
        .collect();
    let mut miner = Miner::default();
    for line in &lines {
        miner.place(line);
    }
    assert_eq!(miner.patterns().len(), MAX_CHILDREN);
    assert_eq!(miner.pattern(TemplateId(1)), Some("hello <*>"));
    places_as_before(&mut miner, &lines);
}

#[test]
fn a_full_leaf_prefers_the_template_that_need_not_change() {
    let mut miner = Miner::default();
    miner.place("hello you");
    let number = miner.place("hello 17");
    for n in 2..MAX_CHILDREN {
        miner.place(&format!("hello {}", "x".repeat(n)));
    }
    let change = Change::Known;
    assert_eq!(miner.place("hello me"), Placed { change, ..number });
}

#[test]
fn only_the_beginning_of_a_line_counts() {
    let long = "word ".repeat(MAX_TOKENS);
    let lines = [&*long, &format!("{long} and more"), &format!("{long} 17")];
    check(&lines, &[long.trim_end()]);
    let wide = "x".repeat(LINE_LIMIT);
    check(&[&wide, &format!("{wide}y")], &[&wide[..3840]]);
}

/// Numbers that look like chance (splitmix64), the same in every run.
struct Chance(u64);

impl Chance {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ mixed >> 31) % bound as u64) as usize
    }

    fn pick<'a>(&mut self, from: &[&'a str]) -> &'a str {
        from[self.below(from.len())]
    }

    fn line(&mut self, parts: &[&str], longest: usize) -> String {
        (0..self.below(longest + 1))
            .map(|_| self.pick(parts))
            .collect()
    }
}

const WORDS: &[&str] = &[
    "a",
    "user",
    "logged ",
    "in ",
    "INFO ",
    "[error] ",
    "17",
    "<*>",
    " ",
    " ",
    " ",
    "- ",
    "key=",
    "\"",
    "'",
    "\\",
    ":",
    "::",
    "::1",
    "fe80",
    "Jan ",
    "Mon, ",
    "PM",
    ", ",
    "[",
    "(",
    "{\"msg\":",
    "\u{e4}\u{f6}",
    "\u{1f980}",
    "\x1b",
    "\x1b[3",
    "m",
    "\0",
    "=",
    ".",
    "/",
    "deadbeef",
    "\u{a0}",
];

/// What holds after any lines whatever.
fn assert_bounds(miner: &Miner, lines: usize) {
    assert!(miner.patterns().len() <= MAX_TEMPLATES.min(lines));
    for (_, pattern) in miner.patterns() {
        assert!(pattern.len() <= PATTERN_LIMIT);
        assert!(pattern.split(' ').count() <= MAX_TOKENS);
        assert_eq!(pattern.trim_matches(' '), pattern);
    }
}

#[test]
fn bounds_and_recall_hold_for_random_lines() {
    let mut chance = Chance(1);
    for longest in [3, 8, 20, 60, 3000] {
        let count = if longest > 100 { 300 } else { 8000 };
        let lines: Vec<_> = (0..count).map(|_| chance.line(WORDS, longest)).collect();
        let mut miner = Miner::default();
        let mut stored = std::collections::BTreeMap::new();
        for line in &lines {
            let placed = miner.place(line);
            if placed.change != Change::Known {
                let pattern = miner.pattern(placed.id).unwrap();
                stored.insert(placed.id, pattern.to_owned());
            }
            let (id, change) = (placed.id, Change::Known);
            assert_eq!(miner.place(line), Placed { id, change }, "{line}");
        }
        assert_bounds(&miner, count);
        let seen = stored.iter().map(|(id, pattern)| (*id, pattern.as_str()));
        assert!(seen.eq(miner.patterns()), "what was told is what there is");
        places_as_before(&mut miner, &lines);
    }
}

#[test]
fn a_restart_at_any_line_changes_no_placement() {
    let mut chance = Chance(3);
    for longest in [4, 8, 16] {
        let lines: Vec<_> = (0..3000).map(|_| chance.line(WORDS, longest)).collect();
        let mut lasting = Miner::default();
        let mut restarted = Miner::default();
        for line in &lines {
            if chance.below(100) == 0 {
                restarted = Miner::recall(restarted.patterns());
            }
            assert_eq!(restarted.place(line), lasting.place(line), "{line}");
        }
        assert!(restarted.patterns().eq(lasting.patterns()));
    }
}

#[test]
fn beyond_the_last_template_all_is_one() {
    let letters = ["k", "l", "m", "n", "o", "p", "q", "r"];
    let mut chance = Chance(2);
    let mut miner = Miner::default();
    let lines: Vec<_> = (0..8_000)
        .map(|at| {
            let word = |chance: &mut Chance| chance.line(&letters, 5) + "z";
            let words: Vec<_> = (0..2 + at % 90).map(|_| word(&mut chance)).collect();
            words.join(" ")
        })
        .collect();
    for line in &lines {
        miner.place(line);
    }
    assert_eq!(miner.patterns().len(), MAX_TEMPLATES);
    let last = TemplateId(MAX_TEMPLATES as u64);
    assert_eq!(miner.pattern(last), Some(VARIABLE));
    assert_eq!(miner.place("never seen before").id, last);
    places_as_before(&mut miner, &lines);
}
