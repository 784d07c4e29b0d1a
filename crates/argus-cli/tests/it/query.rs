//! `argus query`: answers, their JSON, and that nothing can be changed.

use serde_json::json;

use crate::recording::Recording;

#[test]
fn an_answer_is_an_array_of_objects_in_the_order_of_the_columns() {
    let recording = Recording::sample();
    let answer = recording.argus(&[
        "query",
        "SELECT 2 AS z, 'x' AS a, NULL AS n, 1.5 AS f, x'00ff' AS b, 3 AS z",
        "--json",
    ]);
    assert_eq!(
        answer.stdout,
        "[\n{\"z\":2,\"a\":\"x\",\"n\":null,\"f\":1.5,\"b\":\"00ff\",\"z_2\":3}\n]\n"
    );
}

#[test]
fn an_answer_without_rows_is_an_empty_array() {
    let recording = Recording::sample();
    assert_eq!(recording.json(&["query", "SELECT 1 WHERE 0"]), json!([]));
}

#[test]
fn the_views_of_the_monitor_decorator_answer() {
    let recording = Recording::sample();
    let sql = "SELECT process, status FROM process_trace ORDER BY id";
    assert_eq!(
        recording.json(&["query", sql]),
        json!([
            {"process": "prices.load", "status": "OK"},
            {"process": "prices.all", "status": "OK"},
            {"process": "prices.load", "status": "ERR"},
        ])
    );
}

#[test]
fn a_table_aligns_numbers_to_the_right() {
    let recording = Recording::sample();
    let answer = recording.argus(&[
        "query",
        "SELECT 'oil' AS name, 5 AS n UNION SELECT 'salt', 10",
    ]);
    assert_eq!(answer.stdout, "name   n\noil    5\nsalt  10\n");
}

#[test]
fn a_cut_answer_says_so() {
    let recording = Recording::sample();
    let answer = recording.argus(&[
        "query",
        "SELECT process FROM process_trace",
        "--limit",
        "2",
        "--json",
    ]);
    assert_eq!(answer.code, 0);
    assert_eq!(answer.stderr, "the first 2 rows; --limit N shows more\n");
}

#[test]
fn bad_sql_is_usage_and_says_why() {
    let recording = Recording::sample();
    for (sql, reason) in [
        ("SELEC 1", "syntax error"),
        ("SELECT x FROM nowhere", "no such table"),
    ] {
        let answer = recording.argus(&["query", sql]);
        assert_eq!(answer.code, 2, "{answer:?}");
        assert!(
            answer.stderr.starts_with("argus: the query is not valid: "),
            "{answer:?}"
        );
        assert!(answer.stderr.contains(reason), "{answer:?}");
        assert!(
            answer.stderr.contains("\nhint: argus query --help"),
            "{answer:?}"
        );
    }
}

#[test]
fn a_query_cannot_change_anything() {
    let recording = Recording::sample();
    let before = std::fs::read(recording.database()).unwrap();
    for sql in [
        "DELETE FROM log_entries",
        "INSERT INTO log_entries(log_line) VALUES ('x')",
        "DROP TABLE log_entries",
        "PRAGMA user_version = 99",
        "PRAGMA journal_mode = DELETE",
        "ATTACH DATABASE 'other.db' AS other",
        "VACUUM",
        "BEGIN IMMEDIATE",
        "SELECT 1; DELETE FROM log_entries",
    ] {
        let answer = recording.argus(&["query", sql]);
        assert_eq!(answer.code, 2, "{sql}: {answer:?}");
        assert_eq!(answer.stdout, "", "{sql}");
    }
    assert_eq!(std::fs::read(recording.database()).unwrap(), before);
}
