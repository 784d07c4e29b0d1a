//! Emits spans as fast as it can: `flood COUNT [THREADS]`. For filling a spool to measure its drain.

use argus_client::span;

fn main() {
    let mut arguments = std::env::args()
        .skip(1)
        .map(|text| text.parse().expect("a number"));
    let count: u64 = arguments.next().unwrap_or(1_000_000);
    let threads = arguments.next().unwrap_or(1);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                for number in 0..count / threads {
                    drop(span!("flood", number = number, twice = 2 * number));
                }
            });
        }
    });
    println!("{:?}", argus_client::stats());
}
