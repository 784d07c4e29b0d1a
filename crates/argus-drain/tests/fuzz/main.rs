//! The fuzz target of the drain: from records to rows in a store. See `argus-spool/tests/fuzz`.

#![cfg_attr(fuzzing, no_main)]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[allow(
    dead_code,
    reason = "one form of the binary does not use what the other does"
)]
#[path = "../../../argus-spool/tests/fuzz/feed.rs"]
mod feed;
mod fold;

use feed::Target;

const TARGETS: [Target; 1] = [Target {
    name: "fold",
    check: fold::check,
}];

#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    feed::chosen(&TARGETS)(input);
});

#[test]
fn whatever_a_producer_says_can_be_stored() {
    feed::short_form(&TARGETS[0]);
}
