//! No file names a folder of one person's machine: it would be wrong on every other.

use super::Finding;
use super::tree::Tree;

/// Where systems keep people's folders. Pieces, so that this file passes its own rule.
const HOMES: &[&str] = &[
    concat!("/", "home/"),
    concat!("/", "Users/"),
    concat!("/", "root/"),
    concat!("C:\\", "Users\\"),
];

/// Names that stand for anyone, as manuals use them.
const ANYONE: &[&str] = &["user", "username", "you"];

pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in tree.files() {
        for (line, text) in file.lines() {
            if let Some(path) = HOMES.iter().find_map(|home| machine_path(text, home)) {
                let message = format!(
                    "`{path}` exists on one machine only; use a path relative to the workspace, \
                     a temporary folder, or a made-up one such as /srv/app"
                );
                findings.push(Finding::new(&file.path, line, message));
            }
        }
    }
    findings
}

/// The path in `text` that stands below `home`; a placeholder like `<you>` or `$USER` is none.
fn machine_path<'a>(text: &'a str, home: &str) -> Option<&'a str> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || "_-./\\".contains(c);
    for (at, _) in text.match_indices(home) {
        let begins = !text[..at].ends_with(|c: char| c.is_ascii_alphanumeric() || c == '.');
        let below = &text[at + home.len()..];
        let (path, _) = below.split_at(below.find(|c| !is_part(c)).unwrap_or(below.len()));
        let name = path.split(['/', '\\']).next().unwrap_or(path);
        if begins && !name.is_empty() && !ANYONE.contains(&name) {
            return Some(&text[at..at + home.len() + path.len()]);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::super::tests::found;
    use super::*;

    fn is_found(text: &str) -> bool {
        !found(super::check, &[("README.md", text)]).is_empty()
    }

    #[test]
    fn a_path_of_one_machine_is_named_with_its_line() {
        let text = format!("first\nsee {}ada/project for more\n", HOMES[0]);
        let expected = format!(
            "README.md:2: `{}ada/project` exists on one machine",
            HOMES[0]
        );
        let seen = found(super::check, &[("README.md", &text)]);
        assert!(seen[0].starts_with(&expected), "{seen:?}");
    }

    #[test]
    fn every_system_is_known() {
        for home in HOMES {
            assert!(is_found(&format!("\"{home}x\"")));
        }
    }

    #[test]
    fn placeholders_and_other_paths_are_fine() {
        assert!(!is_found(&format!("{}<you>/x", HOMES[0])));
        assert!(!is_found(&format!("{}$USER", HOMES[0])));
        assert!(!is_found(&format!(
            "[Gaze] Log file: {}user/app.log",
            HOMES[0]
        )));
        assert!(!is_found(
            "/srv/app and https://example.org/home/page and ~/.argus"
        ));
    }
}
