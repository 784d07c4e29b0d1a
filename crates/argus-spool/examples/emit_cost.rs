//! What an emit costs: spans opened and ended in a loop, in nanoseconds, on re-used chunks.
//!
//! A thread of its own plays the collector and releases every sealed chunk at once, so that the
//! figure is that of resident pages. `cargo run --release -p argus-spool --example emit_cost`

use std::time::{Duration, Instant};

use argus_model::record::{OutcomeHead, encode_parameter_key};
use argus_model::value::encode_int;
use argus_model::{NameKind, NameText};
use argus_spool::read::{ChunkReader, Producer, chunks, producers};
use argus_spool::{Current, Weight, define, place, span_end, span_start};

fn release_everything() {
    let place = place::from_environment().expect("a place is set");
    let Ok(found) = producers(&place.spool()) else {
        return;
    };
    for (id, directory) in found {
        for (_, path) in chunks(&directory).unwrap_or_default() {
            if let Ok(Some(mut reader)) = ChunkReader::open(&path, id)
                && let Ok(argus_spool::read::Progress::Ended) =
                    reader.read(Producer::Living, u32::MAX, |_| ())
            {
                let _ = reader.write_released();
            }
        }
    }
}

fn main() {
    let name = define(NameText::plain(NameKind::Function, "bench.call"));
    std::thread::spawn(|| {
        loop {
            release_everything();
            std::thread::sleep(Duration::from_millis(1));
        }
    });
    const CALLS: u32 = 20_000;
    for round in 0..12_i64 {
        let start = Instant::now();
        for call in 0..i64::from(CALLS) {
            let span = span_start(name, Current::NONE, |out| {
                encode_parameter_key(out, 0)?;
                encode_int(out, call)?;
                encode_parameter_key(out, 1)?;
                encode_int(out, round)
            });
            let head = OutcomeHead {
                result: true,
                ..OutcomeHead::default()
            };
            span_end(span, head, Weight::Normal, |out| encode_int(out, call));
        }
        let taken = start.elapsed();
        println!(
            "{:6.1} ns a span",
            taken.as_nanos() as f64 / f64::from(CALLS)
        );
        std::thread::sleep(Duration::from_millis(100));
    }
    println!("{:?}", argus_spool::stats());
}
