//! Values of the file as the types that the command line uses, checked where they are read, so that
//! whatever is wrong is said with its line.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use argus_model::Level;
use argus_observe::alarm::LinePatterns;
use argus_observe::argv::Argv;
use serde::de::{Deserialize, Deserializer, Error, SeqAccess, Visitor};

use crate::gaze::observers::Interval;
use crate::gaze::reading::{self, IdPattern};

/// A number, with or without a fraction.
pub(super) struct Number(f64);

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        struct Any;
        impl Visitor<'_> for Any {
            type Value = Number;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number")
            }

            fn visit_f64<E: Error>(self, value: f64) -> Result<Number, E> {
                Ok(Number(value))
            }

            #[expect(
                clippy::cast_precision_loss,
                reason = "nobody writes seconds, percents or megabytes beyond 2^53"
            )]
            fn visit_i64<E: Error>(self, value: i64) -> Result<Number, E> {
                Ok(Number(value as f64))
            }
        }
        input.deserialize_any(Any)
    }
}

/// A number that some type accepts.
pub(super) fn typed<'de, T, D>(input: D) -> Result<Option<T>, D::Error>
where
    T: TryFrom<f64, Error: fmt::Display>,
    D: Deserializer<'de>,
{
    let number = Number::deserialize(input)?;
    T::try_from(number.0).map(Some).map_err(Error::custom)
}

/// An interval in seconds.
pub(super) fn interval<'de, D>(input: D) -> Result<Option<Interval>, D::Error>
where
    D: Deserializer<'de>,
{
    let number = Number::deserialize(input)?;
    let interval = number.0.to_string().parse();
    interval.map(Some).map_err(Error::custom)
}

/// A level's word.
pub(super) fn level<'de, D>(input: D) -> Result<Option<Level>, D::Error>
where
    D: Deserializer<'de>,
{
    let word = String::deserialize(input)?;
    reading::level(&word).map(Some).map_err(Error::custom)
}

/// Regular expressions: one text, or an array of them.
pub(super) struct Patterns(pub(super) Vec<String>);

impl<'de> Deserialize<'de> for Patterns {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        struct Any;
        impl<'de> Visitor<'de> for Any {
            type Value = Patterns;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a regular expression, or an array of them")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Patterns, E> {
                let pattern = reading::pattern(text).map_err(E::custom)?;
                Ok(Patterns(vec![pattern]))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut input: A) -> Result<Patterns, A::Error> {
                let mut patterns = Vec::new();
                while let Some(text) = input.next_element::<String>()? {
                    patterns.push(reading::pattern(&text).map_err(A::Error::custom)?);
                }
                // Each may be small enough, and all together too large.
                LinePatterns::new(&patterns).map_err(A::Error::custom)?;
                Ok(Patterns(patterns))
            }
        }
        input.deserialize_any(Any)
    }
}

/// A table of ids: each name with the regular expression that finds it.
pub(super) struct Correlate(pub(super) Vec<IdPattern>);

impl<'de> Deserialize<'de> for Correlate {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        let table = BTreeMap::<String, String>::deserialize(input)?;
        let patterns = table
            .into_iter()
            .map(|(name, expression)| IdPattern::new(&name, &expression).map_err(Error::custom));
        patterns.collect::<Result<_, _>>().map(Self)
    }
}

/// A command: one text, split as on the command line, or its words.
pub(super) struct Words(Vec<String>);

impl Words {
    /// With a program that is named by a relative path meant from `folder`.
    pub(super) fn argv(&self, folder: &Path) -> Argv {
        let mut words = self.0.clone();
        if let Some(program) = words.first_mut()
            && program.contains('/')
        {
            *program = folder.join(&*program).to_string_lossy().into_owned();
        }
        Argv::try_from(words).expect("the words were accepted when they were read")
    }
}

impl<'de> Deserialize<'de> for Words {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        struct Any;
        impl<'de> Visitor<'de> for Any {
            type Value = Argv;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a command: one text, or an array of its words")
            }

            fn visit_str<E: Error>(self, line: &str) -> Result<Argv, E> {
                line.parse().map_err(E::custom)
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut input: A) -> Result<Argv, A::Error> {
                let mut words: Vec<String> = Vec::new();
                while let Some(word) = input.next_element()? {
                    words.push(word);
                }
                Argv::try_from(words).map_err(A::Error::custom)
            }
        }
        let argv = input.deserialize_any(Any)?;
        let program = std::iter::once(argv.program().to_owned());
        Ok(Self(
            program.chain(argv.arguments().iter().cloned()).collect(),
        ))
    }
}
