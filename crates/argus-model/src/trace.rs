//! Traces across programs: W3C Trace Context.
//!
//! A span is known by its producer and its number; others know it by a trace id and a span id. Both
//! follow from what is known anyway, so telling them costs no record: the span id is a mixture of the
//! producer's nonce and the number, the trace id the same of the trace's root. Whoever knows the nonce
//! gets the number back, so a parent in another program of ours is found without a table of ids.
//!
//! The format of [`TraceContext`] is that of the header `traceparent`
//! (<https://www.w3.org/TR/trace-context/>), version 00.

use std::fmt;
use std::str::FromStr;

use crate::SpanNumber;

/// Where a trace goes on: the parent of what begins in another program.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TraceContext {
    /// The trace's id; never zero.
    pub trace: u128,
    /// The parent's id within it; never zero.
    pub span: u64,
    /// Whether the trace is recorded.
    pub recorded: bool,
}

/// A text that is no `traceparent`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected a traceparent, such as 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")]
pub struct NotATraceparent;

impl fmt::Display for TraceContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let flags = u8::from(self.recorded);
        write!(f, "00-{:032x}-{:016x}-{flags:02x}", self.trace, self.span)
    }
}

impl FromStr for TraceContext {
    type Err = NotATraceparent;

    /// Takes versions to come as well, of which the beginning is the same; unknown flags are left out.
    fn from_str(text: &str) -> Result<Self, NotATraceparent> {
        let mut parts = text.trim().split('-');
        let mut part = |digits: usize| {
            let part = parts.next().ok_or(NotATraceparent)?;
            let is_hex = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
            if part.len() != digits || !part.bytes().all(is_hex) {
                return Err(NotATraceparent);
            }
            u128::from_str_radix(part, 16).map_err(|_| NotATraceparent)
        };
        let (version, trace, span, flags) = (part(2)?, part(32)?, part(16)?, part(2)?);
        let goes_on = parts.next().is_some();
        if version == 0xff || trace == 0 || span == 0 || (version == 0 && goes_on) {
            return Err(NotATraceparent);
        }
        Ok(Self {
            trace,
            span: span as u64,
            recorded: flags & 1 == 1,
        })
    }
}

/// Keeps the halves of a trace id apart.
const OF_TRACE: u64 = 0x6172_6775_735f_7472;

/// The id of a span, by its producer's nonce.
pub const fn span_id(nonce: u64, number: SpanNumber) -> u64 {
    mix(number.0.wrapping_add(nonce))
}

/// The number of the span with this id, if it is one of the producer with this nonce.
pub const fn span_number(nonce: u64, id: u64) -> SpanNumber {
    SpanNumber(unmix(id).wrapping_sub(nonce))
}

/// The id of the trace that begins with this span.
pub const fn trace_id(nonce: u64, root: SpanNumber) -> u128 {
    let high = mix(nonce ^ OF_TRACE);
    (high as u128) << 64 | span_id(nonce, root) as u128
}

/// The nonce of the producer that a trace began in, and the number of its root, if it began in one of
/// ours. Ids of others give a nonce that nobody has.
pub const fn trace_root(trace: u128) -> (u64, SpanNumber) {
    let nonce = unmix((trace >> 64) as u64) ^ OF_TRACE;
    (nonce, span_number(nonce, trace as u64))
}

const FIRST: u64 = 0xbf58_476d_1ce4_e5b9;
const SECOND: u64 = 0x94d0_49bb_1331_11eb;

/// The finalizer of SplitMix64 (G. Steele, D. Lea, C. Flood: "Fast Splittable Pseudorandom Number
/// Generators", OOPSLA 2014): different numbers stay different, and look random.
const fn mix(number: u64) -> u64 {
    let number = (number ^ (number >> 30)).wrapping_mul(FIRST);
    let number = (number ^ (number >> 27)).wrapping_mul(SECOND);
    number ^ (number >> 31)
}

const fn unmix(number: u64) -> u64 {
    let number = unshift(number, 31).wrapping_mul(inverse(SECOND));
    let number = unshift(number, 27).wrapping_mul(inverse(FIRST));
    unshift(number, 30)
}

/// The number of which this is the exclusive or with itself, shifted right.
const fn unshift(number: u64, by: u32) -> u64 {
    number ^ (number >> by) ^ (number >> (2 * by))
}

/// The number by which an odd one is multiplied to give 1: each step of Newton's method doubles the
/// bits that are right, of which three are at first.
const fn inverse(odd: u64) -> u64 {
    let (mut inverse, mut step) = (odd, 0);
    while step < 5 {
        inverse = inverse.wrapping_mul(2_u64.wrapping_sub(odd.wrapping_mul(inverse)));
        step += 1;
    }
    inverse
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn ids_lead_back_to_their_spans(nonce: u64, number: u64) {
            let number = SpanNumber(number);
            prop_assert_eq!(span_number(nonce, span_id(nonce, number)), number);
            prop_assert_eq!(trace_root(trace_id(nonce, number)), (nonce, number));
        }

        #[test]
        fn a_context_survives_its_text(trace in 1_u128.., span in 1_u64.., recorded: bool) {
            let context = TraceContext { trace, span, recorded };
            prop_assert_eq!(context.to_string().parse(), Ok(context));
        }

        #[test]
        fn foreign_text_is_refused_and_never_panics(text in "\\PC{0,60}") {
            let _ = text.parse::<TraceContext>();
        }
    }

    #[test]
    fn the_text_is_that_of_the_recommendation() {
        let text = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        let context: TraceContext = text.parse().unwrap();
        assert_eq!(context.trace, 0x0af7_6519_16cd_43dd_8448_eb21_1c80_319c);
        assert_eq!(
            (context.span, context.recorded),
            (0xb7ad_6b71_6920_3331, true)
        );
        assert_eq!(context.to_string(), text);
        // A later version may say more; unknown flags are nobody's.
        let later = "cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-09-what-comes";
        assert_eq!(later.parse(), Ok(context));
        for refused in [
            "",
            "00",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more",
            "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
            "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-+1",
        ] {
            assert_eq!(
                refused.parse::<TraceContext>(),
                Err(NotATraceparent),
                "{refused}"
            );
        }
    }
}
