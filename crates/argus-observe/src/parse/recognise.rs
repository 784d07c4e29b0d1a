//! Which format a source writes: guessed from its first lines, kept while it holds, guessed again
//! when it does not.

use super::Format;

/// So many lines decide.
const LEARN: u32 = 8;

/// So many lines of other formats in a row, and the guess was wrong or holds no more.
const DOUBT: u32 = 32;

/// The same where the guess was that there is no format: a program that says hello before it logs.
const PLAIN_DOUBT: u32 = 3;

/// What is known of a source's format.
#[derive(Debug, Default)]
pub(super) struct Recognised {
    format: Option<Format>,
    /// Its lines begin with a time, so that what does not belongs to the line before.
    timed: bool,
    /// How often each format was seen while learning.
    seen: [u32; Format::ALL.len()],
    lines: u32,
    others: u32,
}

impl Recognised {
    /// The format to try first.
    pub(super) const fn format(&self) -> Option<Format> {
        self.format
    }

    /// Its lines begin with a time.
    pub(super) const fn timed(&self) -> bool {
        self.timed
    }

    /// Too few lines have been seen for more than a first guess.
    pub(super) const fn is_learning(&self) -> bool {
        self.lines < LEARN
    }

    /// Takes what a line that begins an event was, and whether it began with a time.
    pub(super) fn learn(&mut self, format: Format, timed: bool) {
        if !self.is_learning() {
            if self.format == Some(format) {
                self.others = 0;
                return;
            }
            self.others += 1;
            let plain = self.format == Some(Format::Plain);
            if self.others < if plain { PLAIN_DOUBT } else { DOUBT } {
                return;
            }
            *self = Self::default();
        }
        self.lines += 1;
        self.seen[format as usize] += 1;
        // Plain is what no format is, so that any other of the first lines is preferred to it.
        let weight = |it: Format, seen: u32| if it == Format::Plain { 0 } else { seen };
        let best = self
            .format
            .map_or(0, |it| weight(it, self.seen[it as usize]));
        if self.format.is_none() || weight(format, self.seen[format as usize]) > best {
            self.format = Some(format);
        }
        if self.format == Some(format) {
            self.timed = timed && format.leads_with_time();
        }
    }

    /// No line of the format has come for very long.
    pub(super) fn forget(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(formats: &[(Format, usize)]) -> Recognised {
        let mut recognised = Recognised::default();
        for (format, times) in formats {
            for _ in 0..*times {
                recognised.learn(*format, *format != Format::Plain);
            }
        }
        recognised
    }

    #[test]
    fn the_commonest_of_the_first_lines_is_the_format() {
        let recognised = after(&[(Format::Go, 1), (Format::Redis, 2)]);
        assert_eq!(
            (recognised.format(), recognised.timed()),
            (Some(Format::Redis), true)
        );
        let recognised = after(&[(Format::Plain, 6), (Format::Json, 1)]);
        assert_eq!(
            (recognised.format(), recognised.timed()),
            (Some(Format::Json), false)
        );
    }

    #[test]
    fn it_is_kept_until_many_lines_in_a_row_are_of_another() {
        let few = after(&[
            (Format::Json, 20),
            (Format::Go, 31),
            (Format::Json, 1),
            (Format::Go, 31),
        ]);
        assert_eq!(few.format(), Some(Format::Json));
        let hello = after(&[(Format::Plain, 20), (Format::Go, 3)]);
        assert_eq!((hello.format(), hello.timed()), (Some(Format::Go), true));
        let many = after(&[(Format::Json, 20), (Format::Go, 32)]);
        assert_eq!(many.format(), Some(Format::Go));
    }
}
