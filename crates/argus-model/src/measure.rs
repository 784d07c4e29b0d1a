//! What can be measured of a process beyond CPU, memory and threads.
//!
//! One table ([`Measure::ALL`]) says what there is; the spool, the store's columns, the listings and
//! the screens are made from it. A measure that is not known (not permitted, not asked for, not
//! counted by this kernel) is absent from its [`Measures`], which is never the same as zero.

use crate::codec::{Decoder, Encoder, Full, Malformed};

/// Something that is measured of a process. The numbers on disk never change their meaning; new ones
/// are added at the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Measure {
    /// The interval in force when this was measured, in seconds.
    Interval = 0,
    /// CPU as a share of all the CPUs that the process may use, in percent.
    CpuNormalized = 1,
    /// Bytes that storage had to deliver since the process began.
    DiskRead = 2,
    /// Bytes that the process made storage write since it began.
    DiskWritten = 3,
    /// Bytes per second that storage delivered since this was measured before.
    DiskReadRate = 4,
    /// Bytes per second that the process made storage write since this was measured before.
    DiskWriteRate = 5,
    /// Bytes received over TCP since the process is observed. The last totals, this and
    /// [`Measure::NetworkSent`], are known after its end only, and recorded as metrics of their names.
    NetworkReceived = 6,
    /// Bytes sent over TCP since the process is observed, however often they had to be sent.
    NetworkSent = 7,
    /// Bytes per second received over TCP since this was measured before.
    NetworkReceiveRate = 8,
    /// Bytes per second sent over TCP since this was measured before.
    NetworkSendRate = 9,
    /// Open descriptors.
    Descriptors = 10,
    /// Children, those included that have ended and were not collected yet.
    Children = 11,
    /// Page faults since the process began that needed no storage.
    MinorFaults = 12,
    /// Page faults since the process began that waited for storage.
    MajorFaults = 13,
    /// Times that a thread gave up its CPU by itself, over all threads that live now.
    VoluntarySwitches = 14,
    /// Times that a thread was made to give up its CPU, over all threads that live now.
    InvoluntarySwitches = 15,
    /// Milliseconds that threads could have run and waited for a CPU, over all threads that live now.
    RunQueueWait = 16,
    /// Memory in MiB, where a page shared by n processes counts as an n-th.
    Pss = 17,
}

impl Measure {
    /// Every measure, in the order of its number.
    pub const ALL: [Self; 18] = [
        Self::Interval,
        Self::CpuNormalized,
        Self::DiskRead,
        Self::DiskWritten,
        Self::DiskReadRate,
        Self::DiskWriteRate,
        Self::NetworkReceived,
        Self::NetworkSent,
        Self::NetworkReceiveRate,
        Self::NetworkSendRate,
        Self::Descriptors,
        Self::Children,
        Self::MinorFaults,
        Self::MajorFaults,
        Self::VoluntarySwitches,
        Self::InvoluntarySwitches,
        Self::RunQueueWait,
        Self::Pss,
    ];

    /// Its name in the store and in JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Interval => "interval_seconds",
            Self::CpuNormalized => "cpu_normalized_percent",
            Self::DiskRead => "disk_read_bytes",
            Self::DiskWritten => "disk_written_bytes",
            Self::DiskReadRate => "disk_read_bytes_per_second",
            Self::DiskWriteRate => "disk_written_bytes_per_second",
            Self::NetworkReceived => "network_received_bytes",
            Self::NetworkSent => "network_sent_bytes",
            Self::NetworkReceiveRate => "network_received_bytes_per_second",
            Self::NetworkSendRate => "network_sent_bytes_per_second",
            Self::Descriptors => "open_descriptors",
            Self::Children => "children",
            Self::MinorFaults => "minor_faults",
            Self::MajorFaults => "major_faults",
            Self::VoluntarySwitches => "voluntary_switches",
            Self::InvoluntarySwitches => "involuntary_switches",
            Self::RunQueueWait => "run_queue_wait_ms",
            Self::Pss => "pss_mb",
        }
    }

    /// Whether it counts whole things, so that it has no fraction.
    pub const fn is_count(self) -> bool {
        !matches!(
            self,
            Self::Interval
                | Self::CpuNormalized
                | Self::DiskReadRate
                | Self::DiskWriteRate
                | Self::NetworkReceiveRate
                | Self::NetworkSendRate
                | Self::RunQueueWait
                | Self::Pss
        )
    }

    const fn bit(self) -> u32 {
        1 << self as u8
    }
}

/// What was measured, and what not.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Measures {
    present: u32,
    values: [f64; Measure::ALL.len()],
}

impl Measures {
    /// Nothing measured.
    pub const NONE: Self = Self {
        present: 0,
        values: [0.0; Measure::ALL.len()],
    };

    /// The value, if it is known.
    pub fn get(&self, measure: Measure) -> Option<f64> {
        (self.present & measure.bit() != 0).then(|| self.values[measure as usize])
    }

    /// Says what a measure's value is. What is no number is not known.
    pub fn set(&mut self, measure: Measure, value: f64) {
        if value.is_finite() {
            self.present |= measure.bit();
            self.values[measure as usize] = value;
        }
    }

    /// Says what a count is.
    #[expect(
        clippy::cast_precision_loss,
        reason = "exact up to eight pebibytes, beyond which nobody counts single bytes"
    )]
    pub fn set_count(&mut self, measure: Measure, count: u64) {
        self.set(measure, count as f64);
    }

    /// Takes in what is known in `newer`; what is not known there stays.
    pub fn update(&mut self, newer: &Self) {
        for (measure, value) in newer.iter() {
            self.set(measure, value);
        }
    }

    /// Those that are known, in the order of [`Measure::ALL`].
    pub fn iter(&self) -> impl Iterator<Item = (Measure, f64)> {
        let known = |measure: Measure| Some((measure, self.get(measure)?));
        Measure::ALL.into_iter().filter_map(known)
    }

    /// Whether nothing is known.
    pub fn is_empty(&self) -> bool {
        self.present == 0
    }

    pub(crate) fn encode(&self, out: &mut Encoder<'_>) -> Result<(), Full> {
        out.varint(self.present.into())?;
        for (measure, value) in self.iter() {
            if measure.is_count() {
                out.varint(whole(value))?;
            } else {
                out.f64(value)?;
            }
        }
        Ok(())
    }

    /// Reads what [`Measures::encode`] wrote, perhaps by a later version: its measures come last and
    /// are left out. Where nothing is left to read, an earlier version wrote nothing.
    pub(crate) fn decode(input: &mut Decoder<'_>) -> Result<Self, Malformed> {
        let mut measures = Self::NONE;
        if input.is_empty() {
            return Ok(measures);
        }
        let present = input.varint_u32()?;
        for measure in Measure::ALL {
            if present & measure.bit() == 0 {
                continue;
            }
            if measure.is_count() {
                measures.set_count(measure, input.varint()?);
            } else {
                measures.set(measure, input.f64()?);
            }
        }
        Ok(measures)
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the cast saturates, and a count is whole and not negative"
)]
fn whole(value: f64) -> u64 {
    value as u64
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn through_bytes(measures: &Measures) -> Measures {
        let mut space = [0; 256];
        let mut out = Encoder::new(&mut space);
        measures.encode(&mut out).unwrap();
        let length = out.used();
        Measures::decode(&mut Decoder::new(&space[..length])).unwrap()
    }

    #[test]
    fn numbers_and_names_are_unique_and_in_order() {
        for (index, measure) in Measure::ALL.into_iter().enumerate() {
            assert_eq!(measure as usize, index);
            let others = Measure::ALL.into_iter().filter(|other| *other != measure);
            assert!(others.map(Measure::name).all(|name| name != measure.name()));
        }
    }

    #[test]
    fn what_is_not_known_is_not_zero() {
        let mut measures = Measures::NONE;
        measures.set_count(Measure::Descriptors, 0);
        measures.set(Measure::Pss, f64::NAN);
        let measures = through_bytes(&measures);
        assert_eq!(measures.get(Measure::Descriptors), Some(0.0));
        assert_eq!(measures.get(Measure::Pss), None);
        assert_eq!(measures.get(Measure::Children), None);
    }

    #[test]
    fn measures_of_a_later_version_are_left_out() {
        let mut space = [0; 64];
        let mut out = Encoder::new(&mut space);
        let later = 1 << 30;
        out.varint(u64::from(Measure::Children.bit() | later))
            .unwrap();
        out.varint(3).unwrap();
        out.f64(7.0).unwrap();
        let length = out.used();
        let measures = Measures::decode(&mut Decoder::new(&space[..length])).unwrap();
        let known: Vec<_> = measures.iter().collect();
        assert_eq!(known, [(Measure::Children, 3.0)]);
    }

    proptest! {
        #[test]
        fn what_is_encoded_is_decoded(
            values in proptest::collection::vec(
                proptest::option::of(0_u64..1 << 53),
                Measure::ALL.len(),
            ),
        ) {
            let mut measures = Measures::NONE;
            for (measure, value) in Measure::ALL.into_iter().zip(values) {
                if let Some(value) = value {
                    measures.set_count(measure, value);
                }
            }
            prop_assert_eq!(through_bytes(&measures), measures);
        }
    }
}
