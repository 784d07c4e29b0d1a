//! Search in captured values, which are stored as JSON.

use serde_json::Value;

/// Whether a captured value (a leaf, not a key) contains `text`. What is not JSON contains nothing.
pub(super) fn captured_contains(captured: &str, text: &str) -> bool {
    // Most rows are ruled out without parsing; only such text stands in JSON as it is.
    let plain = |c: char| c.is_ascii_alphanumeric() || " _.-".contains(c);
    if text.chars().all(plain) && !captured.contains(text) {
        return false;
    }
    serde_json::from_str(captured).is_ok_and(|value: Value| leaf_contains(&value, text))
}

fn leaf_contains(value: &Value, text: &str) -> bool {
    match value {
        Value::String(leaf) => leaf.contains(text),
        Value::Object(members) => members.values().any(|member| leaf_contains(member, text)),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_searched_and_keys_are_not() {
        let captured = r#"{"i":{"book":"'say \"hi\"'"},"o":{"result":"42"}}"#;
        for (text, found) in [
            ("42", true),
            ("say \"hi\"", true),
            ("book", false),
            ("result", false),
            ("o", false),
            ("", true),
        ] {
            assert_eq!(captured_contains(captured, text), found, "{text:?}");
        }
        assert!(!captured_contains("{42", "42"));
    }
}
