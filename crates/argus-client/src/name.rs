//! Names and their numbers.
//!
//! A name is defined once per process and never forgotten, so it must come from the program's text,
//! not from its data. Names made at run time are given numbers up to a limit; beyond it they share one
//! number, so that a program that puts an id into a name does not grow without end.

use std::collections::HashMap;
use std::sync::{Mutex, OnceLock, PoisonError};

use argus_model::{NameKind, NameText};
use argus_spool::{Definition, define};

/// How many names made at run time get numbers of their own.
const MOST_NAMES: usize = 10_000;
/// What the names beyond the limit are called.
const BEYOND: &str = "(more names)";

/// A name that stands in the program's text; the macros make one per place of use.
#[derive(Debug)]
pub struct StaticName {
    text: &'static str,
    file: &'static str,
    line: u32,
    keys: &'static [&'static str],
    definition: OnceLock<&'static Definition>,
}

impl StaticName {
    /// A span's name, where it stands, and the keys of its fields.
    pub const fn new(
        text: &'static str,
        file: &'static str,
        line: u32,
        keys: &'static [&'static str],
    ) -> Self {
        Self {
            text,
            file,
            line,
            keys,
            definition: OnceLock::new(),
        }
    }

    /// The definition, made at the first call.
    #[inline]
    pub fn definition(&self) -> &'static Definition {
        self.definition.get_or_init(|| {
            define(NameText {
                kind: NameKind::Span,
                text: self.text.to_owned(),
                group: None,
                file: Some(self.file.to_owned()),
                line: self.line,
                parameters: self.keys.iter().map(|key| (*key).to_owned()).collect(),
            })
        })
    }
}

/// The definition of a name made at run time: the same text has the same definition. Takes a lock and
/// hashes the name.
pub fn interned(name: &NameText) -> &'static Definition {
    static NAMES: OnceLock<Mutex<HashMap<NameText, &'static Definition>>> = OnceLock::new();
    let names = NAMES.get_or_init(Mutex::default);
    let mut names = names.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(known) = names.get(name) {
        return known;
    }
    let name = if names.len() < MOST_NAMES {
        name.clone()
    } else {
        NameText::plain(name.kind, BEYOND)
    };
    names
        .entry(name)
        .or_insert_with_key(|name| define(name.clone()))
}

/// The definition of a name of which only the text is known.
pub fn plain(kind: NameKind, text: &str) -> &'static Definition {
    interned(&NameText::plain(kind, text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_name_has_one_definition() {
        let first = plain(NameKind::Metric, "depth");
        assert!(std::ptr::eq(first, plain(NameKind::Metric, "depth")));
        assert!(!std::ptr::eq(first, plain(NameKind::Span, "depth")));
    }
}
