//! `cargo xtask tidy`: holds the promises of ARCHITECTURE.md and STYLE.md that a machine can hold.
//!
//! A rule is a function from the workspace's text to findings; it reads no file itself, so its
//! tests hand it a small tree made up for the occasion. `the_tree_is_tidy` runs all of
//! them on the real workspace, which makes `cargo test` enough to notice a breach.

mod arrows;
mod machine_paths;
mod manifest;
mod places;
mod rust_text;
mod shape;
mod tree;
mod unfinished;

use anyhow::{Result, bail};

use crate::step::counted;
use crate::tidy::tree::Tree;
use crate::workspace::Workspace;

pub(crate) const HELP: &str = "\
Checks what ARCHITECTURE.md and STYLE.md promise. Builds nothing, takes a second.

usage: cargo xtask tidy

  arrows         crates depend on each other only as the table in ARCHITECTURE.md allows
  places         unsafe, SQL and engine crates stand only where they may
  heads          every .rs file begins with a //! text
  length         no .rs file is longer than 600 lines, exceptions have a reason
  names          no module is called utils, common, helpers, misc or manager
  unfinished     no todo!, unimplemented!, or ignored test
  machine paths  no file names a folder of one person's machine

Every finding names file and line and says what to do about it.";

/// Something that breaks a promise, and the way out.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Finding {
    path: String,
    /// Counted from 1.
    line: usize,
    message: String,
}

impl Finding {
    fn new(path: &str, line: usize, message: impl Into<String>) -> Self {
        Self {
            path: path.to_owned(),
            line,
            message: message.into(),
        }
    }
}

impl std::fmt::Display for Finding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}: {}", self.path, self.line, self.message)
    }
}

type Rule = fn(&Tree) -> Vec<Finding>;

const RULES: &[Rule] = &[
    arrows::check,
    places::check_unsafe,
    places::check_sql,
    places::check_engines,
    shape::check_heads,
    shape::check_length,
    shape::check_names,
    unfinished::check,
    machine_paths::check,
];

pub(crate) fn run(workspace: &Workspace) -> Result<()> {
    let tree = Tree::read(workspace.root())?;
    let findings = all_findings(&tree);
    for finding in &findings {
        eprintln!("{finding}");
    }
    if !findings.is_empty() {
        bail!(
            "{} in {}",
            counted(findings.len(), "finding"),
            counted(tree.files().len(), "file")
        );
    }
    eprintln!("    {} are tidy", counted(tree.files().len(), "file"));
    Ok(())
}

fn all_findings(tree: &Tree) -> Vec<Finding> {
    let mut findings: Vec<Finding> = RULES.iter().flat_map(|rule| rule(tree)).collect();
    findings.sort();
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs a rule on files made up by a test; the findings come as lines.
    pub(super) fn found(rule: Rule, files: &[(&str, &str)]) -> Vec<String> {
        let mut findings = rule(&Tree::made_up(files));
        findings.sort();
        findings.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn the_tree_is_tidy() {
        let workspace = Workspace::find().expect("the tests run inside the workspace");
        let tree = Tree::read(workspace.root()).expect("the workspace can be read");
        assert!(tree.files().len() > 20, "the walk found too little");
        let findings = all_findings(&tree);
        let lines: Vec<String> = findings.iter().map(ToString::to_string).collect();
        assert!(lines.is_empty(), "\n{}\n", lines.join("\n"));
    }
}
