//! Captured arguments, short: `(book='EURUSD', depth=10)`.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};

use crate::sanitize::fit;

/// The inputs of a captured value; everything else in it is passed over.
#[derive(Deserialize)]
struct Captured {
    #[serde(default, rename = "i")]
    inputs: Pairs,
}

/// A JSON object in its own order: arguments are read in the order of the signature.
#[derive(Default)]
struct Pairs(Vec<(String, String)>);

impl<'de> Deserialize<'de> for Pairs {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct InOrder;

        impl<'de> Visitor<'de> for InOrder {
            type Value = Pairs;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object with text leaves")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Pairs, A::Error> {
                let mut pairs = Vec::new();
                while let Some(pair) = map.next_entry()? {
                    pairs.push(pair);
                }
                Ok(Pairs(pairs))
            }
        }

        deserializer.deserialize_map(InOrder)
    }
}

/// The arguments in at most `width` columns; empty when there are none or they cannot be read.
pub(super) fn short(captured: Option<&str>, width: usize) -> String {
    let parsed = captured.and_then(|text| serde_json::from_str::<Captured>(text).ok());
    let pairs = parsed.map(|captured| captured.inputs.0).unwrap_or_default();
    if pairs.is_empty() || width < 4 {
        return String::new();
    }
    let mut out = String::new();
    for (name, value) in &pairs {
        let comma = if out.is_empty() { "" } else { ", " };
        out.extend([comma, name, "=", value]);
        if out.len() > 4 * width {
            break;
        }
    }
    format!("({})", fit(&out, width - 2))
}

#[cfg(test)]
mod tests {
    use super::*;

    const CAPTURED: &str = r#"{"i": {"zone": "'EU'", "a": "1"}, "o": {"result": "2"}}"#;

    #[test]
    fn arguments_keep_the_order_of_the_signature() {
        assert_eq!(short(Some(CAPTURED), 40), "(zone='EU', a=1)");
    }

    #[test]
    fn arguments_are_cut_to_the_width() {
        assert_eq!(short(Some(CAPTURED), 12), "(zone='EU'…)");
        assert_eq!(short(Some(CAPTURED), 3), "");
    }

    #[test]
    fn what_cannot_be_read_shows_nothing() {
        for text in ["", "{", "[]", r#"{"i": 3}"#, "{}", r#"{"i": {}}"#] {
            assert_eq!(short(Some(text), 40), "", "{text}");
        }
        assert_eq!(short(None, 40), "");
    }
}
