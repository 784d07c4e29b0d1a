//! Some things may stand in few places only: `unsafe`, SQL, and the crates that bring an engine
//! or an async runtime.

use super::Finding;
use super::manifest::{self, Purpose};
use super::rust_text::{RustText, words};
use super::tree::{SourceFile, Tree};

/// Beginnings of paths where `unsafe` may stand.
const UNSAFE: &[&str] = &[
    "crates/argus-spool/",
    "crates/argus-python/",
    "crates/argus-observe/src/platform.rs",
    "crates/argus-observe/src/platform/",
];

/// Beginnings of paths where SQL may stand: the benches hold the peers' statements, the demo asks
/// what a user of `argus query` would ask.
const SQL: &[&str] = &[
    "crates/argus-store/",
    "xtask/examples/",
    "xtask/src/bench",
    "xtask/src/demo.rs",
];

/// Crates that only these may depend on, tests excepted.
const HOMES: &[(&str, &[&str])] = &[
    ("rusqlite", &["crates/argus-store/", "xtask/"]),
    ("sled", &["crates/argus-store/"]),
    ("clickhouse", &["crates/argus-store/"]),
    ("tokio", &["crates/argus-store/", "crates/argus-server/"]),
    ("pyo3", &["crates/argus-python/"]),
];

/// How a statement begins: all words of one entry, in this order.
const STATEMENTS: &[&[&str]] = &[
    &["SELECT"],
    &["INSERT", "INTO"],
    &["INSERT", "OR"],
    &["REPLACE", "INTO"],
    &["UPDATE"],
    &["DELETE", "FROM"],
    &["CREATE"],
    &["ALTER", "TABLE"],
    &["DROP"],
    &["PRAGMA"],
    &["BEGIN", "IMMEDIATE"],
    &["WITH"],
    &["VACUUM"],
];

pub(super) fn check_unsafe(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (file, rust) in tree.rust() {
        if stands_in(file, UNSAFE) {
            continue;
        }
        for (line, code) in rust.lines() {
            if words(code).any(|word| word == "unsafe") {
                let message = "`unsafe` stands only in argus-spool, argus-python and the platform \
                               module of argus-observe; move this there or do without";
                findings.push(Finding::new(&file.path, line, message));
            }
        }
    }
    findings
}

/// Tests may type SQL, as users of `argus query` do.
pub(super) fn check_sql(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (file, rust) in tree.rust() {
        if stands_in(file, SQL) || is_test_file(&file.path) {
            continue;
        }
        let tests_begin = first_test_line(rust);
        let literals = rust.literals.iter();
        for literal in literals.filter(|literal| literal.line < tests_begin) {
            if is_statement(&literal.text) {
                let message = "SQL stands only in argus-store; add a question to its traits and \
                               ask that";
                findings.push(Finding::new(&file.path, literal.line, message));
            }
        }
    }
    findings
}

pub(super) fn check_engines(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    let files = tree.files().iter();
    for file in files.filter(|file| file.path.ends_with("/Cargo.toml")) {
        for found in manifest::dependencies(&file.text) {
            let home = HOMES.iter().find(|(name, _)| *name == found.name);
            if let Some((name, homes)) = home
                && found.purpose == Purpose::Build
                && !stands_in(file, homes)
            {
                let message = format!("{name} may be used only in {}", homes.join(" and "));
                findings.push(Finding::new(&file.path, found.line, message));
            }
        }
    }
    findings
}

fn stands_in(file: &SourceFile, places: &[&str]) -> bool {
    places.iter().any(|place| file.path.starts_with(place))
}

fn is_test_file(path: &str) -> bool {
    path.contains("/tests/") || path.ends_with("/tests.rs")
}

/// Unit tests stand last in a file.
fn first_test_line(rust: &RustText) -> usize {
    let mut lines = rust.lines();
    lines
        .find(|(_, code)| code.contains("#[cfg(test)]"))
        .map_or(usize::MAX, |(line, _)| line)
}

/// Capitals tell a statement from a sentence that begins with the same word.
fn is_statement(text: &str) -> bool {
    let found: Vec<&str> = text.split_whitespace().take(2).collect();
    found.len() == 2 && STATEMENTS.iter().any(|words| found.starts_with(words))
}

#[cfg(test)]
mod tests {
    use super::super::tests::found;
    use super::*;

    #[test]
    fn unsafe_is_found_as_code_only() {
        let text =
            "//! Not unsafe.\n#![forbid(unsafe_code)]\nfn f() { unsafe { g(\"unsafe\") } }\n";
        let seen = found(check_unsafe, &[("crates/argus-read/src/lib.rs", text)]);
        assert_eq!(seen.len(), 1);
        assert!(seen[0].starts_with("crates/argus-read/src/lib.rs:3: `unsafe` stands only in"));
    }

    #[test]
    fn unsafe_is_allowed_in_its_three_places() {
        for path in [
            "crates/argus-spool/src/map.rs",
            "crates/argus-python/src/lib.rs",
            "crates/argus-observe/src/platform.rs",
            "crates/argus-observe/src/platform/linux.rs",
        ] {
            assert!(found(check_unsafe, &[(path, "unsafe {}")]).is_empty());
        }
        let elsewhere = [("crates/argus-observe/src/lib.rs", "unsafe {}")];
        assert_eq!(found(check_unsafe, &elsewhere).len(), 1);
    }

    #[test]
    fn sql_is_found_outside_the_store() {
        let text = "const Q: &str =\n    \"\\\n    SELECT id FROM spans\";\n".replace("\\\n", "");
        let seen = found(check_sql, &[("crates/argus-read/src/page.rs", &text)]);
        assert_eq!(seen.len(), 1);
        assert!(seen[0].starts_with("crates/argus-read/src/page.rs:2: SQL stands only in"));
        assert!(found(check_sql, &[("crates/argus-store/src/page.rs", &text)]).is_empty());
    }

    #[test]
    fn a_sentence_or_an_example_is_not_sql() {
        let text = r#"f("Select a row", "argus query 'SELECT 1 + 1'", "UPDATE", "WITHOUT ROWID")"#;
        assert!(found(check_sql, &[("crates/argus-cli/src/main.rs", text)]).is_empty());
    }

    #[test]
    fn tests_may_type_sql() {
        let text = "#[cfg(test)]\nmod tests { const Q: &str = \"SELECT 1 FROM x\"; }";
        assert!(found(check_sql, &[("crates/argus-cli/src/query.rs", text)]).is_empty());
        let text = "const Q: &str = \"SELECT 1 FROM x\";";
        assert!(found(check_sql, &[("crates/argus-cli/tests/it/main.rs", text)]).is_empty());
    }

    #[test]
    fn an_engine_stays_at_home() {
        let manifest = "[dependencies]\nrusqlite.workspace = true\n";
        assert_eq!(
            found(check_engines, &[("crates/argus-cli/Cargo.toml", manifest)]),
            [
                "crates/argus-cli/Cargo.toml:2: rusqlite may be used only in \
              crates/argus-store/ and xtask/"
            ]
        );
        assert!(
            found(
                check_engines,
                &[("crates/argus-store/Cargo.toml", manifest)]
            )
            .is_empty()
        );
        let in_tests = "[dev-dependencies]\nrusqlite.workspace = true\n";
        assert!(found(check_engines, &[("crates/argus-cli/Cargo.toml", in_tests)]).is_empty());
    }
}
