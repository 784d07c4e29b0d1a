//! Captured values as the JSON text that the store keeps: `{"i":{…},"o":{"result":…},"l":{…}}`.
//!
//! Written by hand, straight into one string: it is made for every span.

use argus_model::json::text;
use argus_model::record::{FieldKey, Fields};
use argus_model::{NameText, Value};

const INPUT: &str = r#""i":{"#;
/// Its only pair's key with it.
const OUTPUT: &str = r#""o":{"result":"#;
const LOCAL: &str = r#""l":{"#;

/// The arguments' part, `{"i":{…}`, not yet closed; empty when there are none.
pub(crate) fn arguments(fields: Fields<'_>, name: &NameText) -> String {
    // Room for a few names, digits and the result, so that it need not grow step by step.
    let room = if fields.0.is_empty() {
        0
    } else {
        64 + 2 * fields.0.len()
    };
    let mut out = String::with_capacity(room);
    object(&mut out, INPUT, fields, name);
    out
}

/// Closes what [`arguments`] began, for a span that is still open.
pub(crate) fn closed(arguments: &str) -> Option<String> {
    (!arguments.is_empty()).then(|| format!("{arguments}}}"))
}

/// Adds result and local variables to the arguments; nothing when there is nothing at all.
pub(crate) fn complete(
    mut arguments: String,
    result: Option<&Value>,
    locals: Fields<'_>,
    name: &NameText,
) -> Option<String> {
    if let Some(result) = result {
        begin(&mut arguments, OUTPUT);
        leaf(&mut arguments, result, &mut String::new());
        arguments.push('}');
    }
    object(&mut arguments, LOCAL, locals, name);
    if arguments.is_empty() {
        return None;
    }
    arguments.push('}');
    Some(arguments)
}

/// Merges fields that became known later into the arguments' part.
pub(crate) fn add(arguments: &mut String, fields: Fields<'_>, name: &NameText) {
    let mut more = String::new();
    object(&mut more, INPUT, fields, name);
    if arguments.is_empty() {
        *arguments = more;
    } else if let Some(pairs) = more.strip_prefix("{\"i\":{")
        // Neither side may hold any: their bytes may be those of a newer Argus.
        && pairs != "}"
    {
        arguments.pop();
        if !arguments.ends_with('{') {
            arguments.push(',');
        }
        arguments.push_str(pairs);
    }
}

/// Merges fields that became known later into what is complete already.
pub(crate) fn add_closed(captured: &mut Option<String>, fields: Fields<'_>, name: &NameText) {
    let mut arguments = String::new();
    object(&mut arguments, INPUT, fields, name);
    let Some(more) = arguments.strip_suffix('}') else {
        return;
    };
    let whole = captured.take().unwrap_or_else(|| "{}".to_owned());
    *captured = Some(match whole.strip_prefix("{\"i\":{") {
        Some(rest) if rest.starts_with('}') => format!("{more}{rest}"),
        // Both sides may be empty: their bytes may be those of a newer Argus.
        Some(_) if more.ends_with('{') => whole,
        Some(rest) => format!("{more},{rest}"),
        None if whole == "{}" => format!("{more}}}}}"),
        None => format!("{more}}},{}", &whole[1..]),
    });
}

/// Attributes as one flat object; nothing when there are none.
pub(crate) fn attributes(fields: Fields<'_>) -> Option<String> {
    let mut out = String::new();
    pairs(&mut out, fields, &NameText::default());
    (!out.is_empty()).then(|| format!("{{{out}}}"))
}

fn object(out: &mut String, part: &str, fields: Fields<'_>, name: &NameText) {
    if fields.0.is_empty() {
        return;
    }
    begin(out, part);
    pairs(out, fields, name);
    out.push('}');
}

fn begin(out: &mut String, part: &str) {
    out.push(if out.is_empty() { '{' } else { ',' });
    out.push_str(part);
}

fn pairs(out: &mut String, fields: Fields<'_>, name: &NameText) {
    let mut rendered = String::new();
    for (index, (key, value)) in fields.iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        match key {
            FieldKey::Text(key) => text(out, key),
            FieldKey::Parameter(index) => match name.parameters.get(index as usize) {
                Some(key) => text(out, key),
                None => text(out, &format!("?{index}")),
            },
        }
        out.push(':');
        leaf(out, &value, &mut rendered);
    }
}

/// A value as quoted text. What never needs an escape is rendered where it belongs.
fn leaf(out: &mut String, value: &Value, rendered: &mut String) {
    match value {
        Value::None | Value::Bool(_) | Value::Int(_) | Value::Float(_) | Value::Masked => {
            out.push('"');
            value.render_into(out);
            out.push('"');
        }
        _ => {
            rendered.clear();
            value.render_into(rendered);
            text(out, rendered);
        }
    }
}

#[cfg(test)]
mod tests {
    use argus_model::codec::Encoder;
    use argus_model::record::{encode_parameter_key, encode_text_key};

    use super::*;

    fn fields(pairs: &[(Option<&str>, Value)]) -> Vec<u8> {
        let mut space = vec![0; 1024];
        let mut out = Encoder::new(&mut space);
        for (index, (key, value)) in pairs.iter().enumerate() {
            match key {
                Some(key) => encode_text_key(&mut out, key).unwrap(),
                None => encode_parameter_key(&mut out, index as u32).unwrap(),
            }
            value.encode(&mut out).unwrap();
        }
        let used = out.used();
        space.truncate(used);
        space
    }

    #[test]
    fn values_become_one_json_object() {
        let name = NameText {
            parameters: vec!["x".into()],
            ..NameText::default()
        };
        let bytes = fields(&[
            (None, Value::Int(1)),
            (Some("q\"\u{1}"), Value::Text("a\n".into())),
        ]);
        let open = arguments(Fields(&bytes), &name);
        let inputs = r#"{"i":{"x":"1","q\"\u0001":"'a\\n'"}"#;
        assert_eq!(open, inputs);
        assert_eq!(closed(&open).unwrap(), format!("{inputs}}}"));
        let whole = complete(open, Some(&Value::None), Fields::default(), &name).unwrap();
        assert_eq!(whole, format!(r#"{inputs},"o":{{"result":"None"}}}}"#));
        let locals = fields(&[(Some("y"), Value::Bool(true))]);
        let whole = complete(String::new(), None, Fields(&locals), &name).unwrap();
        assert_eq!(whole, r#"{"l":{"y":"True"}}"#);
        assert_eq!(
            complete(String::new(), None, Fields::default(), &name),
            None
        );
    }

    #[test]
    fn late_fields_join_the_early_ones() {
        let name = NameText::default();
        let (a, b) = (
            fields(&[(Some("a"), Value::Int(1))]),
            fields(&[(Some("b"), Value::Int(2))]),
        );
        let mut open = arguments(Fields(&a), &name);
        add(&mut open, Fields(&b), &name);
        assert_eq!(closed(&open).unwrap(), r#"{"i":{"a":"1","b":"2"}}"#);
        let mut empty = String::new();
        add(&mut empty, Fields(&b), &name);
        assert_eq!(closed(&empty).unwrap(), r#"{"i":{"b":"2"}}"#);
        let closed_with = |captured: Option<&str>| {
            let mut captured = captured.map(str::to_owned);
            add_closed(&mut captured, Fields(&b), &name);
            captured.unwrap()
        };
        assert_eq!(closed_with(None), r#"{"i":{"b":"2"}}"#);
        assert_eq!(
            closed_with(Some(r#"{"i":{"a":"1"},"o":{}}"#)),
            r#"{"i":{"b":"2","a":"1"},"o":{}}"#
        );
        assert_eq!(
            closed_with(Some(r#"{"o":{}}"#)),
            r#"{"i":{"b":"2"},"o":{}}"#
        );
        let unknown = [0xff; 3];
        let mut open = arguments(Fields(&unknown), &name);
        add(&mut open, Fields(&unknown), &name);
        assert_eq!(closed(&open).unwrap(), r#"{"i":{}}"#);
        add(&mut open, Fields(&b), &name);
        add(&mut open, Fields(&unknown), &name);
        assert_eq!(closed(&open).unwrap(), r#"{"i":{"b":"2"}}"#);
    }
}
