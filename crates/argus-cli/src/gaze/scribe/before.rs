//! The lines that stand in a file before the place where reading goes on.

use std::fs::File;
use std::os::unix::fs::FileExt;

use argus_observe::line::{Line, Splitter};

/// As much as is looked at: a stack trace is shorter.
const MOST_BYTES: u64 = 64 * 1024;

/// Hands out the last lines before `offset`, in their order. Nothing when they cannot be read.
pub(super) fn each_line(file: &File, offset: u64, each: impl FnMut(Line<'_>)) {
    let from = offset.saturating_sub(MOST_BYTES);
    let mut bytes = vec![0; (offset - from) as usize];
    if file.read_exact_at(&mut bytes, from).is_err() {
        return;
    }
    // The first may be the rest of a line.
    let begin = match from {
        0 => Some(0),
        _ => bytes
            .iter()
            .position(|byte| *byte == b'\n')
            .map(|at| at + 1),
    };
    if let Some(begin) = begin {
        Splitter::default().push(&bytes[begin..], each);
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn lines(text: &[u8], offset: u64) -> Vec<String> {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(text).unwrap();
        let mut lines = Vec::new();
        each_line(&file, offset, |line| lines.push(line.text.into_owned()));
        lines
    }

    #[test]
    fn all_lines_of_a_short_file_are_before() {
        assert_eq!(lines(b"one\ntwo\nthree\n", 8), ["one", "two"]);
        assert!(lines(b"one\n", 0).is_empty());
        assert!(lines(b"one\n", 400).is_empty(), "it was emptied");
    }

    #[test]
    fn of_a_long_file_the_last_whole_lines_are_before() {
        let mut text = vec![b'x'; MOST_BYTES as usize];
        text.extend_from_slice(b"\nlast\n");
        let end = text.len() as u64;
        assert_eq!(lines(&text, end), ["last"]);
        assert!(lines(&text, MOST_BYTES + 2).is_empty());
    }
}
