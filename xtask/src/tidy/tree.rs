//! The workspace's text: every file that people write, with its path.

use std::path::Path;

use anyhow::{Context, Result};

use super::rust_text::RustText;

/// Folders that hold what tools made.
const MADE_BY_TOOLS: &[&str] = &[
    ".git",
    ".bench",
    ".demo",
    ".venv",
    ".hypothesis",
    ".mypy_cache",
    ".pytest_cache",
    ".ruff_cache",
    "__pycache__",
    "dist",
    "node_modules",
    "target",
];

/// Endings of files that are text and written by people.
const TEXT: &[&str] = &[
    "css", "html", "js", "json", "md", "py", "pyi", "rs", "sh", "sql", "toml", "ts", "tsx", "txt",
    "yaml", "yml",
];

/// Lock files have such an ending too, but nobody writes them.
const LOCK_FILES: &[&str] = &["package-lock.json"];

/// One file.
pub(super) struct SourceFile {
    /// Relative to the workspace, with `/`.
    pub(super) path: String,
    pub(super) text: String,
    /// Present when it is Rust.
    pub(super) rust: Option<RustText>,
}

impl SourceFile {
    fn new(path: &str, text: String) -> Self {
        let rust = path.ends_with(".rs").then(|| RustText::split(&text));
        Self {
            path: path.to_owned(),
            text,
            rust,
        }
    }

    /// The lines with their numbers, counted from 1.
    pub(super) fn lines(&self) -> impl Iterator<Item = (usize, &str)> {
        (1..).zip(self.text.lines())
    }
}

/// All files, ordered by path.
pub(super) struct Tree {
    files: Vec<SourceFile>,
}

impl Tree {
    /// Reads the workspace below `root`.
    pub(super) fn read(root: &Path) -> Result<Self> {
        let mut files = Vec::new();
        read_folder(root, "", &mut files)?;
        files.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(Self { files })
    }

    /// A tree that exists only in a test.
    #[cfg(test)]
    pub(super) fn made_up(files: &[(&str, &str)]) -> Self {
        let files = files.iter();
        Self {
            files: files
                .map(|(path, text)| SourceFile::new(path, (*text).to_owned()))
                .collect(),
        }
    }

    pub(super) fn files(&self) -> &[SourceFile] {
        &self.files
    }

    /// The Rust files with their text split into code and literals.
    pub(super) fn rust(&self) -> impl Iterator<Item = (&SourceFile, &RustText)> {
        let files = self.files.iter();
        files.filter_map(|file| Some((file, file.rust.as_ref()?)))
    }

    pub(super) fn file(&self, path: &str) -> Option<&SourceFile> {
        self.files.iter().find(|file| file.path == path)
    }
}

fn read_folder(folder: &Path, inside: &str, files: &mut Vec<SourceFile>) -> Result<()> {
    let cannot_read = || format!("cannot read {}", folder.display());
    for entry in std::fs::read_dir(folder).with_context(cannot_read)? {
        let entry = entry.with_context(cannot_read)?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let path = entry.path();
        let kind = entry.file_type().with_context(cannot_read)?;
        if kind.is_dir() && !MADE_BY_TOOLS.contains(&name.as_str()) {
            read_folder(&path, &format!("{inside}{name}/"), files)?;
        } else if kind.is_file() && is_text(inside, &name) {
            let text = std::fs::read_to_string(&path)
                .with_context(|| format!("cannot read {}", path.display()))?;
            files.push(SourceFile::new(&format!("{inside}{name}"), text));
        }
    }
    Ok(())
}

fn is_text(inside: &str, name: &str) -> bool {
    let ending = name.rsplit_once('.').map(|(_, ending)| ending);
    let by_ending = ending.is_some_and(|ending| TEXT.contains(&ending));
    (by_ending || inside == ".ci/") && !LOCK_FILES.contains(&name)
}
