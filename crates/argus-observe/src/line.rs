//! Bytes to lines, in constant memory.
//!
//! A line is what stands before a line break (`\n` or `\r\n`); nothing else of its formatting is
//! touched. What does not end in a line break waits for the rest, until the stream is over. Bytes
//! that are not UTF-8 become U+FFFD, of a line beyond [`MAX_BYTES`] the rest is skipped: both are
//! flagged, so that nobody takes the copy for the original.

use std::borrow::Cow;
use std::mem;

/// The longest line kept whole.
pub const MAX_BYTES: usize = 1 << 20;

/// A complete line, without its line break.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line<'a> {
    /// Its text.
    pub text: Cow<'a, str>,
    /// Some of its bytes were replaced or cut.
    pub altered: bool,
}

/// What became of a line that was offered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taken {
    /// It is safe.
    Yes,
    /// There is no room for it now: it must be offered again.
    NoRoom,
}

/// Splits one stream into lines.
#[derive(Debug)]
pub struct Splitter {
    max_bytes: usize,
    /// The beginning of a line whose end has not been seen, and a byte more of one that is too long.
    beginning: Vec<u8>,
}

impl Default for Splitter {
    fn default() -> Self {
        Self::up_to(MAX_BYTES)
    }
}

impl Splitter {
    /// Keeps so many bytes of a line, instead of [`MAX_BYTES`]; at least four, the longest character.
    pub fn up_to(max_bytes: usize) -> Self {
        Self {
            max_bytes: max_bytes.max(4),
            beginning: Vec::new(),
        }
    }

    /// Takes the stream's next bytes and hands every line they complete to `each`.
    pub fn push(&mut self, bytes: &[u8], mut each: impl FnMut(Line<'_>)) {
        self.offer(bytes, |line, _| {
            each(line);
            Taken::Yes
        });
    }

    /// Takes the stream's next bytes and offers every line they complete to `each`, with the number of
    /// these bytes up to behind its line break. After a refusal nothing is kept: the stream is to be
    /// offered again from behind the last line that was taken.
    ///
    /// Cost: a search for line breaks, a check for UTF-8, and no copy of a line that arrives whole.
    pub fn offer(&mut self, bytes: &[u8], mut each: impl FnMut(Line<'_>, usize) -> Taken) -> Taken {
        let mut from = 0;
        for end in memchr::memchr_iter(b'\n', bytes) {
            let taken = each(self.complete(&bytes[from..end]), end + 1);
            self.clear();
            if taken == Taken::NoRoom {
                return Taken::NoRoom;
            }
            from = end + 1;
        }
        self.keep(&bytes[from..]);
        Taken::Yes
    }

    /// The stream is over, or begins anew: hands out an unfinished line.
    pub fn finish(&mut self, mut each: impl FnMut(Line<'_>)) {
        self.offer_last(|line| {
            each(line);
            Taken::Yes
        });
    }

    /// Offers an unfinished line, which is kept if there is no room for it.
    pub fn offer_last(&mut self, mut each: impl FnMut(Line<'_>) -> Taken) -> Taken {
        if self.beginning.is_empty() {
            return Taken::Yes;
        }
        let taken = each(whole_or_cut(&self.beginning, self.max_bytes));
        if taken == Taken::Yes {
            self.clear();
        }
        taken
    }

    /// Forgets the beginning of a line.
    pub fn clear(&mut self) {
        // A long line must not keep its memory for the short ones after it.
        if self.beginning.capacity() > 64 * 1024 {
            mem::take(&mut self.beginning);
        } else {
            self.beginning.clear();
        }
    }

    /// The line that ends with these bytes.
    fn complete<'a>(&'a mut self, bytes: &'a [u8]) -> Line<'a> {
        if self.beginning.is_empty() {
            return whole_or_cut(bytes, self.max_bytes);
        }
        self.keep(bytes);
        whole_or_cut(&self.beginning, self.max_bytes)
    }

    /// The byte behind the longest line shows that it is too long, and whether a cut there would split
    /// a character.
    fn keep(&mut self, bytes: &[u8]) {
        let room = self.max_bytes + 1 - self.beginning.len();
        self.beginning
            .extend_from_slice(&bytes[..bytes.len().min(room)]);
    }
}

fn whole_or_cut(bytes: &[u8], max_bytes: usize) -> Line<'_> {
    let is_whole = bytes.len() <= max_bytes;
    if is_whole {
        whole(bytes)
    } else {
        cut(bytes, max_bytes)
    }
}

fn whole(bytes: &[u8]) -> Line<'_> {
    let bytes = bytes.strip_suffix(b"\r").unwrap_or(bytes);
    match std::str::from_utf8(bytes) {
        Ok(text) => Line {
            text: Cow::Borrowed(text),
            altered: false,
        },
        Err(_) => Line {
            text: String::from_utf8_lossy(bytes),
            altered: true,
        },
    }
}

/// The first `max_bytes` of `bytes`, which is longer, less a character that would be split.
fn cut(bytes: &[u8], max_bytes: usize) -> Line<'_> {
    let is_inside = |at: usize| bytes[at] & 0b1100_0000 == 0b1000_0000;
    let end = (max_bytes - 3..=max_bytes)
        .rev()
        .find(|at| !is_inside(*at))
        .unwrap_or(max_bytes);
    Line {
        text: String::from_utf8_lossy(&bytes[..end]),
        altered: true,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn split(pieces: &[&[u8]]) -> Vec<(String, bool)> {
        let mut splitter = Splitter::default();
        let mut lines = Vec::new();
        for piece in pieces {
            splitter.push(piece, |line| {
                lines.push((line.text.into_owned(), line.altered));
            });
        }
        splitter.finish(|line| lines.push((line.text.into_owned(), line.altered)));
        lines
    }

    fn check(pieces: &[&str], expected: &[&str]) {
        let pieces: Vec<_> = pieces.iter().map(|piece| piece.as_bytes()).collect();
        let expected: Vec<_> = expected
            .iter()
            .map(|text| ((*text).to_owned(), false))
            .collect();
        assert_eq!(split(&pieces), expected);
    }

    #[test]
    fn lines_are_kept_as_they_were() {
        check(&["a\nb\n"], &["a", "b"]);
        check(&["  tab\t \n\n"], &["  tab\t ", ""]);
        check(&["dos\r\n", "r\rr\n"], &["dos", "r\rr"]);
        check(&["é\n"], &["é"]);
    }

    #[test]
    fn an_unfinished_line_waits_for_its_end() {
        check(&["par", "ti", "al\nnext"], &["partial", "next"]);
        let mut splitter = Splitter::default();
        splitter.push(b"half", |_| unreachable!("it is not complete yet"));
        assert_eq!(splitter.beginning, b"half");
    }

    #[test]
    fn bytes_that_are_no_text_are_replaced_and_flagged() {
        let lines = split(&[b"ok\nbad \xff\n"]);
        assert_eq!(lines, [("ok".into(), false), ("bad \u{fffd}".into(), true)]);
    }

    #[test]
    fn an_endless_line_is_cut_once_and_the_next_is_whole() {
        let long = vec![b'x'; MAX_BYTES + 5];
        let lines = split(&[&long[..700], &long[700..], b"more\nnext\n"]);
        assert_eq!(lines.len(), 2);
        assert_eq!((lines[0].0.len(), lines[0].1), (MAX_BYTES, true));
        assert_eq!(lines[1], ("next".into(), false));
    }

    #[test]
    fn a_line_of_just_the_limit_is_whole() {
        let mut long = vec![b'x'; MAX_BYTES];
        long.push(b'\n');
        let lines = split(&[&long]);
        assert_eq!(
            (lines[0].0.len(), lines[0].1, lines.len()),
            (MAX_BYTES, false, 1)
        );
    }

    #[test]
    fn a_cut_splits_no_character() {
        let mut long = vec![b'x'; MAX_BYTES - 1];
        long.extend_from_slice("é and more\n".as_bytes());
        let lines = split(&[&long]);
        assert_eq!((lines[0].0.len(), lines[0].1), (MAX_BYTES - 1, true));
        assert!(lines[0].0.bytes().all(|byte| byte == b'x'));
    }

    #[test]
    fn what_was_refused_and_all_behind_it_is_offered_again() {
        let bytes = b"one\ntwo\nthree\n";
        let mut splitter = Splitter::default();
        let (mut taken, mut from, mut refusals) = (Vec::new(), 0, 0);
        while from < bytes.len() {
            let base = from;
            splitter.offer(&bytes[base..], |line, end| {
                refusals += 1;
                if refusals % 2 == 1 {
                    return Taken::NoRoom;
                }
                taken.push(line.text.into_owned());
                from = base + end;
                Taken::Yes
            });
        }
        assert_eq!(taken, ["one", "two", "three"]);
    }

    proptest! {
        #[test]
        fn where_the_stream_is_torn_changes_nothing(
            text in "[a\n\r\u{e9}]{0,60}", tears in prop::collection::vec(0_usize..61, 0..6)
        ) {
            let bytes = text.as_bytes();
            let mut tears: Vec<_> = tears.into_iter().map(|at| at.min(bytes.len())).collect();
            tears.extend([0, bytes.len()]);
            tears.sort_unstable();
            let pieces: Vec<_> = tears.windows(2).map(|pair| &bytes[pair[0]..pair[1]]).collect();
            prop_assert_eq!(split(&pieces), split(&[bytes]));
        }
    }
}
