//! Patterns of paths: `*`, `?`, `[…]`, and `**` for any number of folders.

use std::path::{Path, PathBuf};

use super::TailWarning;
use super::identity::Look;
use super::notices::Notices;
use super::place::folder_of;

/// The sources of notices behind those of files: far beyond any number of them.
const FIRST_SOURCE: usize = 1 << 40;

/// Files that a pattern may match.
const MOST_MATCHES: usize = 4096;

/// A pattern.
#[derive(Debug)]
pub(super) struct Pattern {
    text: String,
    folder: PathBuf,
}

/// A file that a pattern matches.
#[derive(Debug)]
pub(super) struct Match {
    pub(super) path: PathBuf,
    pub(super) look: Look,
}

/// Whether a path is a pattern: it holds `*`, `?` or `[`, and there is no file of that very name.
pub fn is_pattern(path: &Path) -> bool {
    let text = path.to_string_lossy();
    text.contains(['*', '?', '[']) && !path.exists()
}

impl Pattern {
    pub(super) fn new(path: &Path) -> Result<Self, TailWarning> {
        let text = path.to_string_lossy().into_owned();
        if let Err(error) = glob::Pattern::new(&text) {
            let (pattern, why) = (text, error.msg);
            return Err(TailWarning::BadPattern { pattern, why });
        }
        let mut folder = folder_of(path);
        while is_pattern(folder) {
            folder = folder_of(folder);
        }
        Ok(Self {
            folder: folder.to_owned(),
            text,
        })
    }

    /// Asks to be told of new files in the first folder; those in folders that are matched themselves
    /// are found by regular looks.
    pub(super) fn watch(&self, notices: &mut Notices, index: usize) {
        notices.watch_folder(&self.folder, FIRST_SOURCE + index);
    }

    /// The regular files that match now, in the order of their paths.
    pub(super) fn matches(&self) -> Vec<Match> {
        let options = glob::MatchOptions {
            require_literal_leading_dot: true,
            require_literal_separator: true,
            ..glob::MatchOptions::new()
        };
        let Ok(paths) = glob::glob_with(&self.text, options) else {
            return Vec::new();
        };
        let found = paths.filter_map(Result::ok).filter_map(|path| {
            let look = Look::at(&path).ok().filter(|look| look.is_regular)?;
            Some(Match { path, look })
        });
        found.take(MOST_MATCHES).collect()
    }
}
