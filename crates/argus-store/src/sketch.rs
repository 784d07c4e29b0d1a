//! A small mergeable picture of many durations, from which percentiles are read.
//!
//! The design is DDSketch's: a duration falls into the bucket `⌈ln(d) / ln(γ)⌉`, and the middle of
//! a bucket is within [`ACCURACY`] of everything in it, whatever the durations are. Merging adds
//! counts, so sketches of minutes add up to the sketch of a day without loss. One function's minute
//! rarely touches more than thirty buckets, about seventy bytes.
//!
//! # Bytes
//!
//! A version byte ([`VERSION`]), then for each bucket that is not empty, in rising order: the
//! distance to the bucket before as a varint (the first: its index), and its count as a varint.
//! The format is stored in rollups; a change needs a new version byte and must still read this one.
//!
//! Of our own making because the published crates serialise either dense arrays or through serde;
//! this is a hundred lines.

use argus_model::codec::{Decoder, Encoder, Malformed};

/// A percentile is off by at most this share of its value.
const ACCURACY: f64 = 0.01;
/// Ratio of neighbouring bucket borders.
const GAMMA: f64 = (1.0 + ACCURACY) / (1.0 - ACCURACY);
/// First byte of the serialised form.
const VERSION: u8 = 1;
/// Varints of at most three and ten bytes.
const BUCKET_BYTES: usize = 13;

/// How many durations fell into which bucket. Equal contents are equal values.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Sketch {
    /// (index, count), sorted by index, no count zero.
    buckets: Vec<(u16, u64)>,
}

impl Sketch {
    /// Counts one duration. Cost: a logarithm and a binary search.
    pub(crate) fn add(&mut self, duration_ns: u64) {
        self.add_count(bucket_of(duration_ns), 1);
    }

    /// Counts everything that `other` counted. Cost: one pass over both.
    pub(crate) fn merge(&mut self, other: &Self) {
        let mine = std::mem::take(&mut self.buckets);
        self.buckets.reserve(mine.len().max(other.buckets.len()));
        let mut theirs = other.buckets.iter().copied().peekable();
        for (index, count) in mine {
            while let Some(before) = theirs.next_if(|&(at, _)| at < index) {
                self.buckets.push(before);
            }
            let same = theirs.next_if(|&(at, _)| at == index);
            let more = same.map_or(0, |(_, more)| more);
            self.buckets.push((index, count.saturating_add(more)));
        }
        self.buckets.extend(theirs);
    }

    /// Takes back what `other` counted and this one did too. Cost: a search per bucket of `other`.
    pub(crate) fn take(&mut self, other: &Self) {
        for &(index, count) in &other.buckets {
            if let Ok(found) = self.buckets.binary_search_by_key(&index, |&(at, _)| at) {
                self.buckets[found].1 = self.buckets[found].1.saturating_sub(count);
            }
        }
        self.buckets.retain(|&(_, count)| count > 0);
    }

    /// The duration that a `share` (0 to 1) of all durations does not exceed, by nearest rank;
    /// 0 when nothing was counted.
    pub(crate) fn percentile(&self, share: f64) -> u64 {
        let counts = self.buckets.iter().map(|&(_, count)| count);
        let total = counts.fold(0, u64::saturating_add);
        let rank = ((total as f64 * share).ceil() as u64).clamp(1, total.max(1));
        let mut seen = 0_u64;
        for &(index, count) in &self.buckets {
            seen = count.saturating_add(seen);
            if seen >= rank {
                return middle_of(index);
            }
        }
        0
    }

    /// The serialised form.
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let mut space = vec![0; 1 + self.buckets.len() * BUCKET_BYTES];
        let mut out = Encoder::new(&mut space);
        self.encode(&mut out)
            .expect("space was reckoned for the largest buckets");
        let used = out.used();
        space.truncate(used);
        space
    }

    /// Reads the serialised form.
    pub(crate) fn from_bytes(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut input = Decoder::new(bytes);
        if input.u8()? != VERSION {
            return Err(Malformed);
        }
        let mut sketch = Self::default();
        let mut index = 0_u64;
        while !input.is_empty() {
            index = index.checked_add(input.varint()?).ok_or(Malformed)?;
            let bucket = u16::try_from(index).map_err(|_| Malformed)?;
            sketch.add_count(bucket, input.varint()?);
        }
        Ok(sketch)
    }

    fn encode(&self, out: &mut Encoder<'_>) -> Result<(), argus_model::codec::Full> {
        out.u8(VERSION)?;
        let mut before = 0;
        for &(index, count) in &self.buckets {
            out.varint((index - before).into())?;
            out.varint(count)?;
            before = index;
        }
        Ok(())
    }

    fn add_count(&mut self, index: u16, count: u64) {
        if self.buckets.last().is_none_or(|&(last, _)| last < index) {
            self.buckets.push((index, count));
            return;
        }
        match self.buckets.binary_search_by_key(&index, |&(at, _)| at) {
            Ok(found) => self.buckets[found].1 = self.buckets[found].1.saturating_add(count),
            Err(place) => self.buckets.insert(place, (index, count)),
        }
    }
}

/// Adds up stored sketches, thousands of them: without one allocation, or one search, for each.
#[derive(Debug, Default)]
pub(crate) struct Pile {
    /// The bucket of the first count.
    first: usize,
    counts: Vec<u64>,
}

impl Pile {
    /// Adds a sketch in its serialised form. What precedes malformed bytes is added.
    pub(crate) fn add(&mut self, bytes: &[u8]) -> Result<(), Malformed> {
        let [VERSION, buckets @ ..] = bytes else {
            return Err(Malformed);
        };
        let mut index = 0_usize;
        let mut rest = buckets;
        while !rest.is_empty() {
            let step = varint(&mut rest)?;
            let count = varint(&mut rest)?;
            index = usize::try_from(step)
                .ok()
                .and_then(|step| index.checked_add(step))
                .filter(|&index| index <= usize::from(u16::MAX))
                .ok_or(Malformed)?;
            let place = self.place(index);
            *place = place.saturating_add(count);
        }
        Ok(())
    }

    /// The sum as a sketch.
    pub(crate) fn into_sketch(self) -> Sketch {
        let indexes = (self.first..).filter_map(|index| u16::try_from(index).ok());
        let all = indexes.zip(self.counts);
        Sketch {
            buckets: all.filter(|&(_, count)| count > 0).collect(),
        }
    }

    fn place(&mut self, index: usize) -> &mut u64 {
        if self.counts.is_empty() {
            self.first = index;
        }
        if index < self.first {
            let missing = self.first - index;
            self.counts.splice(..0, std::iter::repeat_n(0, missing));
            self.first = index;
        }
        let offset = index - self.first;
        if offset >= self.counts.len() {
            self.counts.resize(offset + 1, 0);
        }
        &mut self.counts[offset]
    }
}

/// Reads one varint; nearly all have one byte.
#[inline]
fn varint(rest: &mut &[u8]) -> Result<u64, Malformed> {
    if let [byte @ 0..0x80, after @ ..] = *rest {
        *rest = after;
        return Ok(u64::from(*byte));
    }
    let mut input = Decoder::new(rest);
    let value = input.varint()?;
    *rest = input.rest();
    Ok(value)
}

/// Bucket 0 holds zero alone; bucket `i` holds `γ^(i-2) < d ≤ γ^(i-1)`.
fn bucket_of(duration_ns: u64) -> u16 {
    if duration_ns == 0 {
        return 0;
    }
    // At most ln(2^64) / ln(γ) + 1 = 2219.
    1 + ((duration_ns as f64).ln() / GAMMA.ln()).ceil() as u16
}

fn middle_of(index: u16) -> u64 {
    if index == 0 {
        return 0;
    }
    let upper = GAMMA.powi(i32::from(index) - 1);
    (2.0 * upper / (GAMMA + 1.0)).round() as u64
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sketch_of(durations: &[u64]) -> Sketch {
        let mut sketch = Sketch::default();
        for &duration in durations {
            sketch.add(duration);
        }
        sketch
    }

    proptest! {
        #[test]
        fn percentiles_are_within_two_percent(
            mut durations in prop::collection::vec(
                prop_oneof![0_u64..100, 1_000_u64..1_000_000, any::<u64>()], 1..400),
            share in 0.0..=1.0,
        ) {
            let estimate = sketch_of(&durations).percentile(share) as f64;
            durations.sort_unstable();
            let rank = ((durations.len() as f64 * share).ceil() as usize).max(1);
            let exact = durations[rank - 1] as f64;
            // Half a nanosecond of rounding is all that may come on top.
            prop_assert!((estimate - exact).abs() <= exact * 0.02 + 0.5, "{estimate} for {exact}");
        }

        #[test]
        fn merging_equals_counting_everything_in_one(a: Vec<u64>, b: Vec<u64>) {
            let mut merged = sketch_of(&a);
            merged.merge(&sketch_of(&b));
            prop_assert_eq!(merged, sketch_of(&[a, b].concat()));
        }

        #[test]
        fn a_pile_is_what_merging_makes(parts: Vec<Vec<u64>>) {
            let mut pile = Pile::default();
            let mut merged = Sketch::default();
            for part in &parts {
                pile.add(&sketch_of(part).to_bytes()).unwrap();
                merged.merge(&sketch_of(part));
            }
            prop_assert_eq!(pile.into_sketch(), merged);
        }

        #[test]
        fn a_sketch_survives_its_bytes(durations: Vec<u64>) {
            let sketch = sketch_of(&durations);
            prop_assert_eq!(Sketch::from_bytes(&sketch.to_bytes()), Ok(sketch));
        }

        #[test]
        fn foreign_bytes_never_panic(bytes: Vec<u8>) {
            let _ = Sketch::from_bytes(&bytes).map(|sketch| sketch.percentile(0.5));
            let mut pile = Pile::default();
            let sound = pile.add(&bytes).is_ok();
            prop_assert_eq!(sound, Sketch::from_bytes(&bytes).is_ok());
        }
    }

    #[test]
    fn a_usual_minute_fits_a_hundred_bytes() {
        let durations: Vec<u64> = (0..6_000).map(|n| 1_000_000 + n * 50).collect();
        assert!(sketch_of(&durations).to_bytes().len() < 100);
    }

    #[test]
    fn nothing_counted_has_percentile_zero() {
        assert_eq!(Sketch::default().percentile(0.5), 0);
    }
}
