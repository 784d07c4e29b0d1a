//! What it costs to find the template of a log line that has one, in nanoseconds, as JSON.
//!
//! A thousand templates are mined first; then lines of 100 bytes that differ from them in times,
//! numbers, addresses and names are placed. `spread` has twenty templates a logger, `crowded` as
//! many as a leaf of the tree can hold.
//! `cargo run --release -p argus-drain --example template_cost`

use std::hint::black_box;
use std::time::Instant;

use argus_drain::templates::{Change, MAX_CHILDREN, Miner};
use serde_json::{Value, json};

const TEMPLATES: usize = 1000;
const LINE_BYTES: usize = 100;
const ROUNDS: usize = 41;

const USERS: [&str; 5] = ["alice", "bob", "carol", "dave", "erin"];

/// The line of one template that `turn` gives its variable parts.
fn line(template: usize, per_logger: usize, turn: usize) -> String {
    let logger = letters(template / per_logger);
    let [first, then, last] = [31, 57, 83].map(|factor| letters(template * factor));
    let (second, user) = (turn % 60, USERS[turn % 5]);
    let mut line = format!(
        "2024-05-04 12:00:{second:02},{:03} INFO [pool-{turn}] app.{logger} - {first}ing {then} {last} {user} \
         from 10.0.3.{}:{} ",
        turn % 1000,
        turn % 256,
        40_000 + turn
    );
    while line.len() < LINE_BYTES {
        line.push('7');
    }
    line.truncate(LINE_BYTES);
    line
}

/// A number as a word.
fn letters(mut number: usize) -> String {
    let mut word = String::new();
    for _ in 0..3 {
        word.push(char::from(b'a' + (number % 26) as u8));
        number /= 26;
    }
    word
}

fn measure(per_logger: usize) -> Value {
    let mut miner = Miner::default();
    for turn in 0..USERS.len() {
        for template in 0..TEMPLATES {
            miner.place(&line(template, per_logger, turn));
        }
    }
    let lines: Vec<_> = (0..4 * TEMPLATES)
        .map(|at| line(at * 7 % TEMPLATES, per_logger, at))
        .collect();
    let known = lines
        .iter()
        .all(|line| miner.place(line).change == Change::Known);
    assert!(known, "all lines fit known templates");
    let mut rounds: Vec<f64> = (0..ROUNDS)
        .map(|_| {
            let start = Instant::now();
            for line in &lines {
                black_box(miner.place(black_box(line)));
            }
            start.elapsed().as_nanos() as f64 / lines.len() as f64
        })
        .collect();
    rounds.sort_by(f64::total_cmp);
    json!({
        "templates": miner.patterns().len(),
        "median_ns_a_line": rounds[ROUNDS / 2].round(),
        "best_ns_a_line": rounds[0].round(),
    })
}

fn main() {
    let report = json!({
        "line_bytes": LINE_BYTES,
        "spread": measure(20),
        "crowded": measure(MAX_CHILDREN),
    });
    println!("{report:#}");
}
