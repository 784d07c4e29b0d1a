//! The shape of files: a head that explains them, a length one can read, a name that says something.

use super::Finding;
use super::tree::Tree;

/// Longer files have a second subject.
const MOST_LINES: usize = 600;

/// Files that may be longer, each with its reason.
const LONG_FILES: &[(&str, &str)] = &[];

/// Names that say nothing about what a module is for.
const EMPTY_NAMES: &[&str] = &[
    "common", "helper", "helpers", "manager", "misc", "util", "utils",
];

pub(super) fn check_heads(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (file, _) in tree.rust() {
        let mut lines = file.lines();
        if !lines.any(|(line, text)| line == 1 && text.starts_with("//!")) {
            let message = "begins without a //! text; say what the file does and promises";
            findings.push(Finding::new(&file.path, 1, message));
        }
    }
    findings
}

pub(super) fn check_length(tree: &Tree) -> Vec<Finding> {
    length_findings(tree, LONG_FILES)
}

fn length_findings(tree: &Tree, exceptions: &[(&str, &str)]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (file, _) in tree.rust() {
        let lines = file.text.lines().count();
        let excepted = exceptions.iter().any(|(path, _)| *path == file.path);
        if lines > MOST_LINES && !excepted {
            let message = format!(
                "{lines} lines, {MOST_LINES} are allowed; find the second subject and move it out, \
                 or give a reason in xtask/src/tidy/shape.rs"
            );
            findings.push(Finding::new(&file.path, MOST_LINES + 1, message));
        } else if lines <= MOST_LINES && excepted {
            let message = "is short enough; remove its exception from xtask/src/tidy/shape.rs";
            findings.push(Finding::new(&file.path, lines, message));
        }
    }
    for (path, _) in exceptions {
        if tree.file(path).is_none() {
            let message = "does not exist; remove its exception from xtask/src/tidy/shape.rs";
            findings.push(Finding::new(path, 1, message));
        }
    }
    findings
}

pub(super) fn check_names(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    let is_code = |path: &str| path.ends_with(".rs") || path.ends_with(".py");
    for file in tree.files().iter().filter(|file| is_code(&file.path)) {
        for part in file.path.split('/') {
            let stem = part.split('.').next().unwrap_or(part);
            let words = stem.split(['-', '_']);
            if let Some(name) = words.into_iter().find(|word| EMPTY_NAMES.contains(word)) {
                let message = format!("`{name}` names nothing; name the thing or the act it holds");
                findings.push(Finding::new(&file.path, 1, message));
            }
        }
    }
    for (file, rust) in tree.rust() {
        for (line, code) in rust.lines() {
            let mut words = super::rust_text::words(code).skip_while(|word| *word != "mod");
            if let Some(name) = words.nth(1)
                && EMPTY_NAMES.contains(&name)
            {
                let message = format!("`{name}` names nothing; name the thing or the act it holds");
                findings.push(Finding::new(&file.path, line, message));
            }
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::super::tests::found;
    use super::*;

    #[test]
    fn a_file_without_a_head_is_named() {
        let files = [
            ("a.rs", "//! Does a.\nfn a() {}\n"),
            ("b.rs", "// Does b.\n"),
            ("c.rs", "\n//! Does c.\n"),
            ("d.rs", ""),
        ];
        let seen = found(check_heads, &files);
        let text = "begins without a //! text; say what the file does and promises";
        assert_eq!(seen, ["b", "c", "d"].map(|f| format!("{f}.rs:1: {text}")));
    }

    #[test]
    fn a_long_file_is_named() {
        let (fits, long) = ("x\n".repeat(600), "x\n".repeat(601));
        let seen = found(check_length, &[("a.rs", &fits), ("b.rs", &long)]);
        assert_eq!(seen.len(), 1);
        assert!(seen[0].starts_with("b.rs:601: 601 lines, 600 are allowed"));
    }

    #[test]
    fn an_exception_lasts_as_long_as_its_reason() {
        let exceptions = [("a.rs", "a table"), ("gone.rs", "was a table")];
        let lines = |count: usize| {
            let text = "x\n".repeat(count);
            let findings = length_findings(&Tree::made_up(&[("a.rs", &text)]), &exceptions);
            findings.iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        let advice = "remove its exception from xtask/src/tidy/shape.rs";
        let gone = format!("gone.rs:1: does not exist; {advice}");
        let short = format!("a.rs:3: is short enough; {advice}");
        assert_eq!(lines(700), std::slice::from_ref(&gone));
        assert_eq!(lines(3), [short, gone]);
    }

    #[test]
    fn every_exception_has_a_reason() {
        for (path, reason) in LONG_FILES {
            assert!(reason.len() > 10, "{path} has no reason");
        }
    }

    #[test]
    fn a_name_that_says_nothing_is_named() {
        let files = [
            ("crates/argus-read/src/utils.rs", ""),
            ("crates/argus-common/src/lib.rs", ""),
            ("python/argus/string_helpers.py", ""),
            (
                "crates/argus-read/src/lib.rs",
                "pub mod page;\npub(crate) mod misc {}\n",
            ),
            ("crates/argus-read/src/utilization.rs", "use other::common;"),
        ];
        let seen = found(check_names, &files);
        let places: Vec<&str> = seen.iter().filter_map(|s| s.split(": ").next()).collect();
        assert_eq!(
            places,
            [
                "crates/argus-common/src/lib.rs:1",
                "crates/argus-read/src/lib.rs:2",
                "crates/argus-read/src/utils.rs:1",
                "python/argus/string_helpers.py:1",
            ]
        );
    }
}
