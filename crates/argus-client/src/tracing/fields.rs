//! The fields of a span, as its records have them.
//!
//! Short ones are packed on the stack while they are visited. The first that does not fit, or of which
//! only foreign code can tell the text, moves all of them to buffers that the thread keeps for this; so
//! a span with a few numbers, truth values and short texts allocates nothing, and no value is asked
//! twice.

use std::borrow::Cow;
use std::cell::Cell;
use std::error::Error;
use std::fmt::{self, Debug};

use argus_model::codec::{Encoder, Full, Small};
use argus_model::record::{encode_parameter_key, packed_parameter_key};
use argus_model::value::{encode_masked, packed_masked, push_int};
use tracing_core::field::{Field, Visit};

use super::callsites::Callsite;
use crate::capture::{Capture, Captured, MOST_BYTES, format_into};

/// Room for one value with its key and its length.
const ROOM: usize = MOST_BYTES + 64;
/// Buffers that grew beyond this are not kept.
const MOST_KEPT: usize = 16_384;

thread_local! {
    static SPARE: Cell<Option<Box<Long>>> = const { Cell::new(None) };
}

/// Fields that are not short.
#[derive(Debug, Default)]
struct Long {
    bytes: Vec<u8>,
    /// What a value says of itself.
    text: String,
}

/// Collects the values of a span.
pub(super) struct Collected<'a> {
    callsite: &'a Callsite,
    small: Small,
    /// How far `small` holds whole fields.
    whole: usize,
    long: Option<Box<Long>>,
}

/// What was collected.
pub(super) enum Bytes<'a> {
    Small(&'a Small),
    Long(&'a [u8]),
}

impl<'a> Collected<'a> {
    #[inline]
    pub(super) fn new(callsite: &'a Callsite) -> Self {
        Self {
            callsite,
            small: Small::new(),
            whole: 0,
            long: None,
        }
    }

    /// The fields, encoded.
    #[inline]
    pub(super) fn bytes(&self) -> Bytes<'_> {
        match &self.long {
            None => Bytes::Small(&self.small),
            Some(long) => Bytes::Long(&long.bytes),
        }
    }

    fn take(&mut self, field: &Field, value: &Captured<'_>) {
        let index = field.index();
        let is_masked = self.callsite.masks(index);
        if self.long.is_none()
            && let Some(key) = packed_parameter_key(index)
        {
            let pushed = if is_masked {
                self.small.push(key.then(packed_masked()))
            } else {
                value.push(&mut self.small, key)
            };
            if pushed.is_some() {
                self.whole = self.small.length();
                return;
            }
        }
        self.take_long(index, |out| {
            if is_masked {
                encode_masked(out)
            } else {
                value.encode(out)
            }
        });
    }

    /// Most fields are integers: these need not be looked at as anything else.
    #[inline]
    fn take_int(&mut self, field: &Field, value: i64) {
        let index = field.index();
        if self.long.is_none()
            && !self.callsite.masks(index)
            && let Some(key) = packed_parameter_key(index)
            && push_int(&mut self.small, key, value).is_some()
        {
            self.whole = self.small.length();
            return;
        }
        self.take(field, &Captured::Int(value));
    }

    #[cold]
    fn take_long(
        &mut self,
        index: usize,
        value: impl FnOnce(&mut Encoder<'_>) -> Result<(), Full>,
    ) {
        let index = u32::try_from(index).unwrap_or(u32::MAX - 1);
        let long = self.long();
        let before = long.bytes.len();
        long.bytes.resize(before + ROOM, 0);
        let mut out = Encoder::new(&mut long.bytes[before..]);
        let written = encode_parameter_key(&mut out, index).and_then(|()| value(&mut out));
        let used = if written.is_ok() { out.used() } else { 0 };
        long.bytes.truncate(before + used);
    }

    fn long(&mut self) -> &mut Long {
        let packed = &self.small.bytes()[..self.whole];
        self.long.get_or_insert_with(|| {
            let mut long = SPARE
                .try_with(Cell::take)
                .ok()
                .flatten()
                .unwrap_or_default();
            long.bytes.extend_from_slice(packed);
            long
        })
    }

    #[cold]
    fn take_formatted(&mut self, field: &Field, text: fmt::Arguments<'_>) {
        if self.callsite.masks(field.index()) {
            return self.take(field, &Captured::None);
        }
        // Taken out, because what is formatted may itself open a span.
        let mut said = std::mem::take(&mut self.long().text);
        format_into(&mut said, text);
        self.take(field, &Captured::Verbatim(Cow::Borrowed(&said)));
        self.long().text = said;
    }
}

impl Drop for Collected<'_> {
    #[inline]
    fn drop(&mut self) {
        if let Some(mut long) = self.long.take() {
            long.bytes.clear();
            if long.bytes.capacity() <= MOST_KEPT {
                let _ = SPARE.try_with(|spare| spare.set(Some(long)));
            }
        }
    }
}

impl Visit for Collected<'_> {
    #[inline]
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.take(field, &value.capture());
    }

    #[inline]
    fn record_i64(&mut self, field: &Field, value: i64) {
        self.take_int(field, value);
    }

    #[inline]
    fn record_u64(&mut self, field: &Field, value: u64) {
        match i64::try_from(value) {
            Ok(value) => self.take_int(field, value),
            Err(_) => self.take(field, &value.capture()),
        }
    }

    fn record_i128(&mut self, field: &Field, value: i128) {
        self.take(field, &value.capture());
    }

    fn record_u128(&mut self, field: &Field, value: u128) {
        self.take(field, &value.capture());
    }

    #[inline]
    fn record_bool(&mut self, field: &Field, value: bool) {
        self.take(field, &value.capture());
    }

    #[inline]
    fn record_str(&mut self, field: &Field, value: &str) {
        self.take(field, &value.capture());
    }

    fn record_error(&mut self, field: &Field, value: &(dyn Error + 'static)) {
        self.take_formatted(field, format_args!("{}", Chain(value)));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.take_formatted(field, format_args!("{value:?}"));
    }
}

/// An error with what caused it.
pub(super) struct Chain<'a>(pub(super) &'a (dyn Error + 'static));

impl fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)?;
        let mut source = self.0.source();
        while let Some(cause) = source {
            write!(f, ": {cause}")?;
            source = cause.source();
        }
        Ok(())
    }
}
