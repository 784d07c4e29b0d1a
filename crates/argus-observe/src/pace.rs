//! How often a process is worth a sample: seldom while it idles, often while something moves.
//!
//! A full sample is dear, to take and to keep; a [`Probe`] (CPU time, resident memory, errors) costs
//! less than 2 µs. So a process is probed at the pace that a step of load must be answered with, and sampled at
//! the interval in force:
//!
//! - [`Bounds::fastest`] from the probe on at which something moved,
//! - twice as long after every sample before which nothing moved, up to [`Bounds::normal`],
//! - and on to [`Bounds::slowest`] if the process does next to nothing.
//!
//! Two probes are half of `fastest` apart. A step that is too small in its first, partial window fills
//! the next one, so that it is answered, by a sample and by the fastest pace, within `fastest` of its
//! beginning, however slow the pace was. The CPU share of that sample is the mean since the sample before; the next, `fastest`
//! later, shows the new load alone.
//!
//! Something moves when it leaves the band around its value at the last sample: a floor, a share of
//! the value, and three times its usual deviation, so a load that always flickers is no movement.
//!
//! Nothing here reads a clock or a process; that is [`Prober`]'s part.

mod probe;

use std::time::Duration;

use argus_model::Monotonic;

pub use probe::Prober;

/// No sampling faster than this is asked for, unless the normal interval is shorter.
const FASTEST_EVER: Duration = Duration::from_millis(10);

/// Below this share of a core, a process idles.
const IDLE_CORES: f64 = 0.01;

/// The least that counts as movement, and the least share of the value.
const CPU: Band = Band {
    floor: 0.05,
    share: 0.1,
};
const MEMORY: Band = Band {
    floor: 1_048_576.0,
    share: 0.02,
};
const ERRORS: Band = Band {
    floor: 0.0,
    share: 0.5,
};

/// Between which intervals the pace moves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// While something moves.
    pub fastest: Duration,
    /// While the process works steadily.
    pub normal: Duration,
    /// While it idles.
    pub slowest: Duration,
}

impl Bounds {
    /// From a tenth of an interval to six times of it.
    pub fn around(interval: Duration) -> Self {
        Self {
            fastest: (interval / 10).max(FASTEST_EVER.min(interval)),
            normal: interval,
            slowest: 6 * interval,
        }
    }

    /// The time between two probes.
    pub fn probe_interval(&self) -> Duration {
        self.fastest / 2
    }
}

/// A quick look at a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Probe {
    /// When.
    pub at: Monotonic,
    /// CPU time used so far.
    pub cpu_time: Duration,
    /// Resident memory in bytes.
    pub rss_bytes: u64,
    /// Errors seen so far, whatever the caller counts as such; 0 when it counts none.
    pub errors: u64,
}

/// What to do after a probe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verdict {
    /// Take a sample now. The interval is the one in force from here on, to be recorded with it: the
    /// next sample follows after that time, or earlier if something moves.
    pub sample: Option<Duration>,
    /// When to probe next.
    pub due: Monotonic,
}

/// The pace at which one process is sampled.
#[derive(Debug, Clone)]
pub struct Pace {
    bounds: Bounds,
    interval: Duration,
    last: Probe,
    sampled_at: Monotonic,
    due: Monotonic,
    /// Whether something moved since the last sample.
    is_moving: bool,
    cores: Track,
    memory: Track,
    errors: Track,
}

impl Pace {
    /// Begins at the normal interval with a first probe, taken along with a first sample.
    pub fn begin(bounds: Bounds, first: Probe) -> Self {
        Self {
            bounds,
            interval: bounds.normal,
            last: first,
            sampled_at: first.at,
            due: later(first.at, bounds.probe_interval()),
            is_moving: false,
            cores: Track::new(CPU),
            memory: Track::new(MEMORY),
            errors: Track::new(ERRORS),
        }
    }

    /// The interval in force.
    pub fn interval(&self) -> Duration {
        self.interval
    }

    /// When the next probe is due.
    pub fn due(&self) -> Monotonic {
        self.due
    }

    /// Takes a probe in. One that comes late is made the best of: what was missed is left out.
    pub fn probe(&mut self, probe: Probe) -> Verdict {
        let elapsed = probe.at.since(self.last.at).as_secs_f64();
        if elapsed > 0.0 {
            self.weigh(&probe, elapsed);
            self.last = probe;
        }
        let step = self.bounds.probe_interval();
        // A probe that is a little early must not cost a whole further step.
        let is_due = probe.at.since(self.sampled_at) + step / 4 >= self.interval;
        let sample = is_due.then(|| self.sampled(probe.at));
        self.due = next(self.due, step, probe.at);
        Verdict {
            sample,
            due: self.due,
        }
    }

    fn weigh(&mut self, probe: &Probe, elapsed: f64) {
        let cpu_time = probe.cpu_time.saturating_sub(self.last.cpu_time);
        let errors = probe.errors.saturating_sub(self.last.errors);
        let moves = [
            self.cores.follow(cpu_time.as_secs_f64() / elapsed),
            self.memory.follow(number(probe.rss_bytes)),
            self.errors.follow(number(errors) / elapsed),
        ];
        if moves.contains(&true) {
            self.is_moving = true;
            self.interval = self.bounds.fastest;
        }
    }

    /// Slows down, if nothing moved; the interval from here on.
    fn sampled(&mut self, now: Monotonic) -> Duration {
        let ceiling = if self.cores.mean() < IDLE_CORES {
            self.bounds.slowest
        } else {
            self.bounds.normal
        };
        if !self.is_moving {
            self.interval = (2 * self.interval).min(ceiling);
        }
        self.is_moving = false;
        self.sampled_at = now;
        for track in [&mut self.cores, &mut self.memory, &mut self.errors] {
            track.settle();
        }
        self.interval
    }
}

/// What counts as movement.
#[derive(Debug, Clone, Copy)]
struct Band {
    floor: f64,
    share: f64,
}

/// One number over time.
#[derive(Debug, Clone)]
struct Track {
    band: Band,
    /// Mean and usual deviation of late, and what the last sample saw; `None` before the first.
    known: Option<Known>,
}

#[derive(Debug, Clone, Copy)]
struct Known {
    reference: f64,
    mean: f64,
    /// Without the latest value, which may hold the beginning of a movement.
    mean_before: f64,
    deviation: f64,
}

impl Track {
    fn new(band: Band) -> Self {
        Self { band, known: None }
    }

    fn mean(&self) -> f64 {
        self.known.map_or(0.0, |known| known.mean)
    }

    /// Takes a value in; whether it is a movement.
    fn follow(&mut self, value: f64) -> bool {
        let Some(known) = &mut self.known else {
            self.known = Some(Known {
                reference: value,
                mean: value,
                mean_before: value,
                deviation: 0.0,
            });
            return false;
        };
        let width = (self.band.share * known.reference.abs())
            .max(self.band.floor)
            .max(3.0 * known.deviation);
        let moves = (value - known.reference).abs() > width;
        known.deviation += ((value - known.mean).abs() - known.deviation) / 16.0;
        if moves {
            (known.mean, known.mean_before) = (value, value);
        } else {
            known.mean_before = known.mean;
            known.mean += (value - known.mean) / 4.0;
        }
        moves
    }

    /// Measures movement from here on.
    fn settle(&mut self) {
        if let Some(known) = &mut self.known {
            known.reference = known.mean_before;
        }
    }
}

/// The first of the moments `step` apart that is after `now`.
fn next(due: Monotonic, step: Duration, now: Monotonic) -> Monotonic {
    let late = now.since(due).as_nanos() / step.as_nanos().max(1);
    let steps = u32::try_from(late).unwrap_or(u32::MAX).saturating_add(1);
    if now < due {
        return due;
    }
    later(due, step.saturating_mul(steps))
}

fn later(moment: Monotonic, pause: Duration) -> Monotonic {
    let pause = u64::try_from(pause.as_nanos()).unwrap_or(u64::MAX);
    Monotonic::from_nanos(moment.nanos().saturating_add(pause))
}

#[expect(
    clippy::cast_precision_loss,
    reason = "exact up to eight pebibytes, and used to compare"
)]
fn number(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests;
