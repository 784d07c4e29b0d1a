//! The dependencies that a `Cargo.toml` declares, with their lines.
//!
//! Reads the plain forms that our manifests use (and complains about nothing else): one dependency
//! a line, or a table of its own.

/// What a dependency is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// The crate itself or its build script.
    Build,
    /// Tests, examples and benches only.
    Development,
}

/// One declared dependency.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Dependency {
    pub(super) name: String,
    pub(super) purpose: Purpose,
    /// Counted from 1.
    pub(super) line: usize,
}

/// The dependencies of a manifest in their order.
pub(super) fn dependencies(manifest: &str) -> Vec<Dependency> {
    let mut found = Vec::new();
    let mut section = None;
    for (line, text) in (1..).zip(manifest.lines()) {
        let text = text.trim();
        if let Some(header) = text.strip_prefix('[') {
            let header = header.trim_end_matches(']');
            section = dependency_section(header);
            if let Some((purpose, Some(name))) = section {
                found.push(Dependency {
                    name: unquoted(name),
                    purpose,
                    line,
                });
            }
        } else if let Some((purpose, None)) = section
            && let Some((key, value)) = text.split_once('=')
            && !text.starts_with('#')
        {
            found.push(Dependency {
                name: renamed_from(value).unwrap_or_else(|| first_part(key)),
                purpose,
                line,
            });
        }
    }
    found
}

/// `dependencies`, `target.'cfg(unix)'.dev-dependencies`, `dependencies.serde`.
fn dependency_section(header: &str) -> Option<(Purpose, Option<&str>)> {
    let kinds = [
        ("dev-dependencies", Purpose::Development),
        ("build-dependencies", Purpose::Build),
        ("dependencies", Purpose::Build),
    ];
    if header.starts_with("workspace.") {
        return None;
    }
    for (kind, purpose) in kinds {
        if header == kind || header.ends_with(&format!(".{kind}")) {
            return Some((purpose, None));
        }
        if let Some(name) = header.strip_prefix(&format!("{kind}.")) {
            return Some((purpose, Some(name)));
        }
    }
    None
}

/// `x = { package = "argus-model", … }` depends on argus-model.
fn renamed_from(value: &str) -> Option<String> {
    let (_, after) = value.split_once("package")?;
    let mut parts = after.trim_start().strip_prefix('=')?.split('"');
    parts.nth(1).map(str::to_owned)
}

fn first_part(key: &str) -> String {
    unquoted(key.split('.').next().unwrap_or(key))
}

fn unquoted(key: &str) -> String {
    key.trim().trim_matches('"').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_in_use_is_understood() {
        let manifest = "\
[package]
name = \"x\"

[dependencies]
# tokio = \"1\"
a.workspace = true
b = { version = \"1\", features = [
    \"f\",
] }
other = { package = \"c\", path = \"../c\" }

[target.'cfg(unix)'.dependencies]
d = \"1\"

[dependencies.e]
version = \"1\"

[dev-dependencies]
g = \"1\"

[features]
h = [\"i\"]
";
        let seen: Vec<_> = dependencies(manifest)
            .into_iter()
            .map(|found| (found.name, found.purpose, found.line))
            .collect();
        let expected = [
            ("a", Purpose::Build, 6),
            ("b", Purpose::Build, 7),
            ("c", Purpose::Build, 10),
            ("d", Purpose::Build, 13),
            ("e", Purpose::Build, 15),
            ("g", Purpose::Development, 19),
        ];
        assert_eq!(seen, expected.map(|(n, p, l)| (n.to_owned(), p, l)));
    }
}
