//! Text as JSON has it: what records carry as attributes, and what the store keeps of values.

use std::fmt::Write as _;

/// Appends a text with its quotes. Costs a look at its bytes where nothing is to be escaped.
pub fn text(out: &mut String, text: &str) {
    out.push('"');
    escaped(out, text);
    out.push('"');
}

/// Appends the inside of a text.
pub fn escaped(out: &mut String, text: &str) {
    // Without a way out of the loop the compiler looks at many bytes at once.
    let special = |byte: u8| (byte < 0x20) | (byte == b'"') | (byte == b'\\');
    if !text.bytes().fold(false, |any, byte| any | special(byte)) {
        out.push_str(text);
        return;
    }
    let mut plain = 0;
    for (index, byte) in text.bytes().enumerate() {
        let escape = match byte {
            b'"' => "\\\"",
            b'\\' => "\\\\",
            b'\n' => "\\n",
            b'\r' => "\\r",
            b'\t' => "\\t",
            0..0x20 => "",
            _ => continue,
        };
        out.push_str(&text[plain..index]);
        if escape.is_empty() {
            let _ = write!(out, "\\u{byte:04x}");
        } else {
            out.push_str(escape);
        }
        plain = index + 1;
    }
    out.push_str(&text[plain..]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_escaped_where_it_must_be() {
        let check = |given: &str, expected: &str| {
            let mut out = String::new();
            text(&mut out, given);
            assert_eq!(out, expected);
        };
        check("a\"b\\c\n\u{1}é", "\"a\\\"b\\\\c\\n\\u0001é\"");
        check("nothing to do, é", "\"nothing to do, é\"");
        check("", "\"\"");
    }
}
