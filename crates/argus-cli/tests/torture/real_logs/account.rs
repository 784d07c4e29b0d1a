//! What stands in log files beside what is stored of them.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

use super::follow::{Following, Row};

/// A log file as it is in the end: its lines, each with the offset behind it.
pub(super) struct LogFile {
    path: PathBuf,
    lines: Vec<(String, i64)>,
    /// What stands behind the last line: of a copy that was made while a line was written, its beginning.
    torn: Option<String>,
    /// The lines stood there themselves, and not in a file like it.
    is_place: bool,
}

impl LogFile {
    pub(super) fn read(path: PathBuf) -> Self {
        let bytes = std::fs::read(&path).unwrap();
        let last = bytes.iter().rposition(|byte| *byte == b'\n');
        let (bytes, torn) = bytes.split_at(last.map_or(0, |last| last + 1));
        let torn = (!torn.is_empty()).then(|| String::from_utf8_lossy(torn).into_owned());
        let mut end = 0;
        let lines = bytes.split_inclusive(|byte| *byte == b'\n').map(|line| {
            end += i64::try_from(line.len()).unwrap();
            let line = line.strip_suffix(b"\n").unwrap_or(line);
            (String::from_utf8_lossy(line).into_owned(), end)
        });
        Self {
            lines: lines.collect(),
            torn,
            path,
            is_place: true,
        }
    }

    /// A file that holds the lines of others, some of which are gone.
    pub(super) fn record_of_others(path: PathBuf) -> Self {
        Self {
            is_place: false,
            ..Self::read(path)
        }
    }

    /// The file of this name and all that it was renamed or copied to.
    pub(super) fn all_of(folder: &Path, name: &str) -> Vec<Self> {
        let entries = std::fs::read_dir(folder).unwrap().map(Result::unwrap);
        let is_its = |path: &PathBuf| {
            let candidate = path.file_name().unwrap().to_string_lossy();
            candidate.starts_with(name)
        };
        let mut paths: Vec<_> = entries.map(|it| it.path()).filter(is_its).collect();
        paths.sort();
        paths.into_iter().map(Self::read).collect()
    }

    pub(super) fn torn(&self) -> Option<&str> {
        self.torn.as_deref()
    }

    pub(super) fn lines(&self) -> impl Iterator<Item = &str> {
        self.lines.iter().map(|(line, _)| line.as_str())
    }
}

/// Lines of all these files.
pub(super) fn count(files: &[LogFile]) -> u64 {
    files.iter().map(|file| file.lines.len() as u64).sum()
}

/// Whether there may be stored lines that stand in no file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Beyond {
    /// None.
    Nothing,
    /// Those that were read before their file was emptied, and written after it was copied.
    WhatRotationLost,
}

/// What is wrong, by examples.
#[derive(Debug, Default)]
struct Wrong<'a> {
    lost: Vec<&'a str>,
    doubled: Vec<&'a str>,
    in_no_file: Vec<&'a str>,
    out_of_order: Vec<&'a str>,
    misplaced: Vec<&'a str>,
}

/// Prints the account of one log and fails unless it balances: every line of the files is stored once,
/// those of a file in its order, each with its offset.
pub(super) fn balance(
    name: &str,
    following: &Following,
    files: &[LogFile],
    rows: &[Row],
    beyond: Beyond,
) {
    let mut wrong = Wrong::default();
    count_each(files, rows, &mut wrong);
    order(files, rows, &mut wrong);
    println!(
        "real logs, {name}: {} kills, {} files; written {}, stored {}, lost {}, doubled {}, in no file {}, \
         out of order {}, misplaced {}",
        following.kills,
        files.len(),
        count(files),
        rows.len(),
        wrong.lost.len(),
        wrong.doubled.len(),
        wrong.in_no_file.len(),
        wrong.out_of_order.len(),
        wrong.misplaced.len(),
    );
    match beyond {
        Beyond::WhatRotationLost => wrong.in_no_file.clear(),
        Beyond::Nothing => wrong.lost.extend(files.iter().filter_map(LogFile::torn)),
    }
    let is_right = [
        &mut wrong.lost,
        &mut wrong.doubled,
        &mut wrong.in_no_file,
        &mut wrong.out_of_order,
        &mut wrong.misplaced,
    ]
    .into_iter()
    .all(|lines| {
        let is_empty = lines.is_empty();
        lines.truncate(3);
        is_empty
    });
    assert!(is_right, "{name}: {wrong:#?}; {}", following.story());
}

/// Lines may be alike: what is compared is how often they stand.
fn count_each<'a>(files: &'a [LogFile], rows: &'a [Row], wrong: &mut Wrong<'a>) {
    let mut left: HashMap<&str, i64> = HashMap::new();
    for line in files.iter().flat_map(LogFile::lines) {
        *left.entry(line).or_default() += 1;
    }
    let mut others = HashSet::new();
    for row in rows {
        match left.get_mut(row.line.as_str()) {
            None if others.insert(&row.line) => wrong.in_no_file.push(&row.line),
            None => wrong.doubled.push(&row.line),
            Some(left) if *left == 0 => wrong.doubled.push(&row.line),
            Some(left) => *left -= 1,
        }
    }
    let lost = left.into_iter().filter(|(_, left)| *left > 0);
    wrong.lost.extend(lost.map(|(line, _)| line));
}

/// Only lines that stand once in all files tell where they come from.
fn order<'a>(files: &[LogFile], rows: &'a [Row], wrong: &mut Wrong<'a>) {
    let mut places: HashMap<&str, Option<(&LogFile, i64)>> = HashMap::new();
    for file in files {
        for (line, end) in &file.lines {
            let place = Some((file, *end));
            let entry = places.entry(line.as_str());
            entry.and_modify(|it| *it = None).or_insert(place);
        }
    }
    let mut last: HashMap<&Path, i64> = HashMap::new();
    for row in rows {
        let Some(Some((file, end))) = places.get(row.line.as_str()) else {
            continue;
        };
        if file.is_place && row.offset != Some(*end) {
            wrong.misplaced.push(&row.line);
        }
        if last
            .insert(&file.path, *end)
            .is_some_and(|before| before > *end)
        {
            wrong.out_of_order.push(&row.line);
        }
    }
}
