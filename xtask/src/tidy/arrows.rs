//! Crates depend on each other only as ARCHITECTURE.md says.
//!
//! The table there is the only copy of the rule: this reads it, so the map cannot drift from what
//! is checked. A row reads `` | `argus-read` | one line | model, store | ``; the last cell is `–`
//! for nothing, a list of crates without their `argus-`, `any`, or `all but` such a list.
//! Dependencies of tests may go further.

use super::Finding;
use super::manifest::{self, Purpose};
use super::tree::{SourceFile, Tree};

const MAP: &str = "ARCHITECTURE.md";

pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let Some(map) = tree.file(MAP) else {
        return vec![Finding::new(
            MAP,
            1,
            "missing; it holds the table of crates",
        )];
    };
    let rows = rows(map);
    let mut findings = Vec::new();
    for file in tree.files() {
        if let Some(name) = crate_of(&file.path) {
            match rows.iter().find(|row| row.name == name) {
                Some(row) => findings.extend(forbidden(file, row)),
                None => findings.push(Finding::new(
                    &file.path,
                    1,
                    format!("{name} is not in the table of {MAP}; add its row there"),
                )),
            }
        }
    }
    let exists = |name: &str| {
        let mut files = tree.files().iter();
        files.any(|file| crate_of(&file.path) == Some(name))
    };
    for row in rows.iter().filter(|row| !exists(&row.name)) {
        let message = format!("there is no crate {}; remove its row", row.name);
        findings.push(Finding::new(MAP, row.line, message));
    }
    findings
}

fn forbidden(manifest: &SourceFile, row: &Row) -> Vec<Finding> {
    manifest::dependencies(&manifest.text)
        .into_iter()
        .filter(|found| found.purpose == Purpose::Build)
        .filter(|found| found.name.starts_with("argus-") && !row.allows(&found.name))
        .map(|found| {
            let message = format!(
                "{} may not depend on {}; see the table in {MAP} for where this belongs",
                row.name, found.name
            );
            Finding::new(&manifest.path, found.line, message)
        })
        .collect()
}

/// The crate whose manifest stands at `path`.
fn crate_of(path: &str) -> Option<&str> {
    let folder = path.strip_suffix("/Cargo.toml")?;
    let name = folder.strip_prefix("crates/").unwrap_or(folder);
    (!name.contains('/')).then_some(name)
}

/// One crate's row of the table.
struct Row {
    name: String,
    line: usize,
    allowed: Allowed,
}

enum Allowed {
    Only(Vec<String>),
    AllBut(Vec<String>),
}

impl Row {
    fn allows(&self, name: &str) -> bool {
        match &self.allowed {
            Allowed::Only(names) => names.iter().any(|allowed| allowed == name),
            Allowed::AllBut(names) => names.iter().all(|excluded| excluded != name),
        }
    }
}

fn rows(map: &SourceFile) -> Vec<Row> {
    let mut rows = Vec::new();
    for (line, text) in map.lines() {
        let cells: Vec<&str> = text.split('|').map(str::trim).collect();
        if let ["", name, _, allowed, ""] = cells[..]
            && let Some(name) = crate_name(name)
        {
            rows.push(Row {
                name: name.to_owned(),
                line,
                allowed: parse_allowed(allowed),
            });
        }
    }
    rows
}

fn crate_name(cell: &str) -> Option<&str> {
    let name = cell.strip_prefix('`')?.strip_suffix('`')?;
    (name.starts_with("argus-") || name == "xtask").then_some(name)
}

fn parse_allowed(cell: &str) -> Allowed {
    let names = |list: &str| {
        let names = list.split(',').map(str::trim);
        names
            .filter(|name| !name.is_empty() && *name != "–")
            .map(|name| format!("argus-{name}"))
            .collect()
    };
    match cell.strip_prefix("all but") {
        Some(list) => Allowed::AllBut(names(list)),
        None if cell == "any" => Allowed::AllBut(Vec::new()),
        None => Allowed::Only(names(cell)),
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::found;
    use super::*;

    const TABLE: &str = "\
| crate | one line | may depend on (ours) |
|---|---|---|
| `argus-model` | words | – |
| `argus-read` | reads | model, store |
| `argus-cli` | wires | all but client, python |
";

    fn check_manifest(name: &str, manifest: &str) -> Vec<String> {
        let others = ["argus-model", "argus-read", "argus-cli"];
        let path = |name: &str| format!("crates/{name}/Cargo.toml");
        let mut files = vec![(MAP.to_owned(), TABLE), (path(name), manifest)];
        for other in others.into_iter().filter(|other| *other != name) {
            files.push((path(other), ""));
        }
        let files: Vec<_> = files.iter().map(|(path, text)| (&**path, *text)).collect();
        found(super::check, &files)
    }

    #[test]
    fn an_arrow_of_the_table_is_allowed() {
        let manifest = "[dependencies]\nargus-model.workspace = true\nserde = \"1\"\n";
        assert!(check_manifest("argus-read", manifest).is_empty());
        assert!(check_manifest("argus-cli", manifest).is_empty());
    }

    #[test]
    fn another_arrow_is_named_with_its_line() {
        let manifest = "[dependencies]\nargus-spool.workspace = true\n";
        assert_eq!(
            check_manifest("argus-read", manifest),
            [
                "crates/argus-read/Cargo.toml:2: argus-read may not depend on argus-spool; \
              see the table in ARCHITECTURE.md for where this belongs"
            ]
        );
        assert_eq!(check_manifest("argus-model", manifest).len(), 1);
        assert!(check_manifest("argus-cli", manifest).is_empty());
        let guest = "[dependencies]\nargus-client = { path = \"../argus-client\" }\n";
        assert_eq!(check_manifest("argus-cli", guest).len(), 1);
    }

    #[test]
    fn tests_may_depend_on_more() {
        let manifest = "[dev-dependencies]\nargus-spool.workspace = true\n";
        assert!(check_manifest("argus-read", manifest).is_empty());
    }

    #[test]
    fn a_crate_without_a_row_is_named() {
        assert_eq!(
            check_manifest("argus-new", ""),
            [
                "crates/argus-new/Cargo.toml:1: argus-new is not in the table of \
              ARCHITECTURE.md; add its row there"
            ]
        );
    }

    #[test]
    fn a_row_without_a_crate_is_named() {
        let files = [(MAP, "| `argus-gone` | was | – |\n")];
        assert_eq!(
            found(super::check, &files),
            ["ARCHITECTURE.md:1: there is no crate argus-gone; remove its row"]
        );
    }
}
