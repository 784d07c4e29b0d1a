//! Fuzz targets: the codec, and the reader of spools.
//!
//! A target is a function of some bytes that panics when a promise is broken. This binary has two
//! forms. As a test it feeds each target the committed corpus and then, for a second, mutations of
//! it (see `feed`). Built with `--cfg fuzzing` it is a libFuzzer program, guided by coverage, which
//! is what `cargo xtask fuzz` builds and runs; the stable toolchain is enough.
//!
//! What is promised stands at the head of each target.

#![cfg_attr(fuzzing, no_main)]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod codec;
#[allow(
    dead_code,
    reason = "one form of the binary does not use what the other does"
)]
mod feed;
mod paper;
mod reader;

use feed::Target;

const TARGETS: [Target; 2] = [
    Target {
        name: "codec",
        check: codec::check,
    },
    Target {
        name: "reader",
        check: reader::check,
    },
];

#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    feed::chosen(&TARGETS)(input);
});

#[test]
fn what_was_decoded_survives_its_bytes_and_no_bytes_make_the_codec_panic() {
    feed::short_form(&TARGETS[0]);
}

#[test]
fn a_reader_yields_what_was_written_and_bears_what_a_hostile_program_writes() {
    feed::short_form(&TARGETS[1]);
}
