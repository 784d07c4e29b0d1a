//! Which traces are recorded, when not all are.
//!
//! The decision falls once, where a trace begins; everything inside follows it. It does not depend on
//! chance: the n-th root of a sampler is recorded or not, always the same, spread evenly enough that
//! a loop with a rhythm of its own does not meet only one kind.

use std::sync::atomic::{AtomicU64, Ordering};

/// Decides for the traces that begin at one place.
#[derive(Debug)]
pub struct Sampler {
    /// Roots whose hash is below are recorded.
    threshold: u64,
    roots: AtomicU64,
}

impl Sampler {
    /// A sampler that records this share of all traces, from 0 (none) to 1 (all).
    pub fn new(rate: f64) -> Self {
        let rate = if rate.is_nan() {
            1.0
        } else {
            rate.clamp(0.0, 1.0)
        };
        // 2^64 saturates to the largest number, which stands for "all".
        let threshold = (rate * 18_446_744_073_709_551_616.0) as u64;
        Self {
            threshold,
            roots: AtomicU64::new(0),
        }
    }

    /// Whether every trace is recorded.
    #[inline]
    pub fn records_all(&self) -> bool {
        self.threshold == u64::MAX
    }

    /// Whether the next trace is recorded.
    #[inline]
    pub fn next_is_recorded(&self) -> bool {
        self.records_all() || hash(self.roots.fetch_add(1, Ordering::Relaxed)) < self.threshold
    }
}

/// What `ARGUS_SAMPLE_RATE` says; everything where it is unset or makes no sense.
pub fn rate_of_environment() -> f64 {
    let named = std::env::var("ARGUS_SAMPLE_RATE").ok();
    named.and_then(|rate| rate.parse().ok()).unwrap_or(1.0)
}

/// Multiplying by the golden ratio spreads consecutive numbers as evenly as can be.
fn hash(number: u64) -> u64 {
    number.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recorded(rate: f64, roots: usize) -> usize {
        let sampler = Sampler::new(rate);
        (0..roots).filter(|_| sampler.next_is_recorded()).count()
    }

    #[test]
    fn the_share_is_kept_closely() {
        for rate in [0.01, 0.1, 0.25, 0.5, 0.9] {
            let share = recorded(rate, 10_000) as f64 / 10_000.0;
            assert!((share - rate).abs() < 0.002, "{rate} gave {share}");
        }
    }

    #[test]
    fn the_ends_are_exact() {
        assert_eq!(recorded(0.0, 1_000), 0);
        assert_eq!(recorded(1.0, 1_000), 1_000);
        assert_eq!(recorded(7.0, 1_000), 1_000);
        assert_eq!(recorded(f64::NAN, 1_000), 1_000);
    }

    #[test]
    fn every_second_root_is_no_trap() {
        let sampler = Sampler::new(0.5);
        let even = (0..2_000)
            .filter(|index| sampler.next_is_recorded() && index % 2 == 0)
            .count();
        assert!((400..600).contains(&even), "{even}");
    }
}
