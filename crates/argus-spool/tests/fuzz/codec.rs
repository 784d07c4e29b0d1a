//! The codec. The first byte of the input says which kind of record the others are.
//!
//! - No bytes make the decoder panic, or read behind their end.
//! - What was decoded survives its bytes: encoding and decoding it again changes nothing.
//! - Space that is too small is refused; what fits is never more than the space.
//! - The fields of a record are read to their end and put into words, whatever they hold.

use argus_model::codec::{Decoder, Encoder, Full};
use argus_model::record::{FieldKey, Fields};
use argus_model::{Kind, Record, Value};

pub(crate) fn check(input: &[u8]) {
    let Some((kind, payload)) = input.split_first() else {
        return;
    };
    match Kind::from_byte(*kind) {
        Some(kind) => check_record(kind, payload),
        None => check_value(payload),
    }
}

fn check_record(kind: Kind, payload: &[u8]) {
    let Ok(record) = Record::decode(kind, payload) else {
        return;
    };
    assert_eq!(record.kind(), kind);
    put_into_words(&record);
    let encode = |record: &Record<'_>, space: &mut [u8]| {
        let mut out = Encoder::new(space);
        record.encode(&mut out).map(|()| out.used())
    };
    let bytes = written(payload.len(), |space| encode(&record, space));
    let again = Record::decode(kind, &bytes).expect("what was encoded can be decoded");
    // By their debug text, for which a NaN equals itself.
    assert_eq!(format!("{again:?}"), format!("{record:?}"));
    assert_eq!(written(bytes.len(), |space| encode(&again, space)), bytes);
}

fn check_value(payload: &[u8]) {
    let mut input = Decoder::new(payload);
    let Ok(value) = Value::decode(&mut input) else {
        return;
    };
    value.render();
    let encode = |value: &Value, space: &mut [u8]| {
        let mut out = Encoder::new(space);
        value.encode(&mut out).map(|()| out.used())
    };
    let bytes = written(payload.len(), |space| encode(&value, space));
    let mut input = Decoder::new(&bytes);
    let again = Value::decode(&mut input).expect("what was encoded can be decoded");
    assert!(input.is_empty(), "all of it is the value");
    assert_eq!(format!("{again:?}"), format!("{value:?}"));
    assert_eq!(written(bytes.len(), |space| encode(&again, space)), bytes);
}

/// What `encode` writes, which is as long as it says and is refused where there is less space.
fn written(decoded_from: usize, encode: impl Fn(&mut [u8]) -> Result<usize, Full>) -> Vec<u8> {
    // What has a short form as well is spelled out longer, by a few bytes for each of its own.
    let mut space = vec![0; 16 * decoded_from + 64];
    let used = encode(&mut space).expect("what was decoded is not much longer than its bytes");
    for less in [0, used / 2, used.saturating_sub(1)] {
        let fits = encode(&mut vec![0; less]).is_ok();
        assert_eq!(fits, less >= used, "{less} of {used} bytes");
    }
    space.truncate(used);
    space
}

/// Reads what the drain reads of a record.
pub(crate) fn put_into_words(record: &Record<'_>) {
    let say = |fields: Fields<'_>| {
        for (key, value) in fields.iter() {
            if let FieldKey::Text(key) = key {
                assert!(key.len() <= fields.0.len());
            }
            value.render();
        }
    };
    match record {
        Record::SpanStart { fields, .. } | Record::SpanFields { fields, .. } => say(*fields),
        Record::Metric { attributes, .. } => say(*attributes),
        Record::SpanEnd {
            outcome, locals, ..
        } => {
            say(*locals);
            outcome.result.as_ref().map(Value::render);
        }
        _ => {}
    }
}
