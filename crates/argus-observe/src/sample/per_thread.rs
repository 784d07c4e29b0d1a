//! What the kernel tells of single threads only, added up.

use std::fs::File;
use std::io;

use argus_model::measure::{Measure, Measures};
use rustix::fs::{Mode, OFlags};

use super::detail::permitted;
use super::{open, read_at_start};
use crate::threads;

/// The files of a process's first thread, kept open: most processes have no other.
#[derive(Debug)]
pub(super) struct Files {
    status: Option<File>,
    schedstat: Option<File>,
    children: Option<File>,
}

impl Files {
    pub(super) fn open(pid: u32) -> io::Result<Self> {
        let open = |name: &str| permitted(open(pid, name, OFlags::RDONLY));
        Ok(Self {
            status: open("status")?,
            schedstat: open("schedstat")?,
            children: open(&format!("task/{pid}/children"))?,
        })
    }

    fn open_at(task: &File, tid: u32) -> Self {
        let open = |name: &str| {
            let path = format!("{tid}/{name}");
            let how = OFlags::RDONLY | OFlags::CLOEXEC;
            let file = rustix::fs::openat(task, path.as_str(), how, Mode::empty());
            file.ok().map(File::from)
        };
        Self {
            status: open("status"),
            schedstat: open("schedstat"),
            children: open("children"),
        }
    }

    /// What is cheap to ask.
    pub(super) fn read_cheap(&self) -> PerThread {
        let mut space = [0; 128];
        PerThread {
            wait_nanos: read(self.schedstat.as_ref(), &mut space).and_then(parse_wait),
            children: self.children.as_ref().and_then(count_children),
            ..PerThread::default()
        }
    }

    /// Everything.
    fn read(&self) -> PerThread {
        let cheap = self.read_cheap();
        PerThread {
            wait_nanos: cheap.wait_nanos,
            children: cheap.children,
            ..self.read_dear()
        }
    }

    /// What is dear to ask.
    pub(super) fn read_dear(&self) -> PerThread {
        let mut space = [0; 4096];
        let status = read(self.status.as_ref(), &mut space).map(Status::parse);
        let status = status.unwrap_or_default();
        PerThread {
            voluntary: status.voluntary,
            involuntary: status.involuntary,
            cpus_allowed: status.cpus_allowed,
            ..PerThread::default()
        }
    }
}

fn read<'a>(file: Option<&File>, space: &'a mut [u8]) -> Option<&'a [u8]> {
    read_at_start(file?, space).ok()?
}

/// What is known of one thread, or of all that live now. A part that is not known of one of them is
/// not known of all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct PerThread {
    voluntary: Option<u64>,
    involuntary: Option<u64>,
    wait_nanos: Option<u64>,
    children: Option<u64>,
    pub(super) cpus_allowed: Option<u32>,
}

impl PerThread {
    /// Looks at every thread. One that ends meanwhile is left out.
    pub(super) fn over_all(task: &File) -> Self {
        let mut sum = None;
        for tid in threads::ids(task).unwrap_or_default() {
            let one = Files::open_at(task, tid).read();
            let has_ended = one == Self::default();
            if !has_ended {
                sum = Some(sum.map_or(one, |sum: Self| sum.plus(one)));
            }
        }
        sum.unwrap_or_default()
    }

    fn plus(self, other: Self) -> Self {
        let both = |a: Option<u64>, b: Option<u64>| Some(a?.saturating_add(b?));
        Self {
            voluntary: both(self.voluntary, other.voluntary),
            involuntary: both(self.involuntary, other.involuntary),
            wait_nanos: both(self.wait_nanos, other.wait_nanos),
            children: both(self.children, other.children),
            cpus_allowed: self.cpus_allowed.max(other.cpus_allowed),
        }
    }

    pub(super) fn tell(self, measures: &mut Measures) {
        let counts = [
            (Measure::VoluntarySwitches, self.voluntary),
            (Measure::InvoluntarySwitches, self.involuntary),
            (Measure::Children, self.children),
        ];
        for (measure, count) in counts {
            if let Some(count) = count {
                measures.set_count(measure, count);
            }
        }
        if let Some(nanos) = self.wait_nanos {
            measures.set(Measure::RunQueueWait, nanos as f64 / 1e6);
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Status {
    voluntary: Option<u64>,
    involuntary: Option<u64>,
    cpus_allowed: Option<u32>,
}

impl Status {
    /// Lines of `name:`, a tab, and a value; a line break in the process's name is escaped.
    fn parse(bytes: &[u8]) -> Self {
        let mut status = Self::default();
        for line in bytes.split(|byte| *byte == b'\n').rev() {
            let Ok(line) = std::str::from_utf8(line) else {
                continue;
            };
            let Some((name, value)) = line.split_once(":\t") else {
                continue;
            };
            match name {
                "nonvoluntary_ctxt_switches" => status.involuntary = value.parse().ok(),
                "voluntary_ctxt_switches" => status.voluntary = value.parse().ok(),
                "Cpus_allowed" => {
                    status.cpus_allowed = count_cpus(value);
                    break; // The last of those that are wanted, seen from the end.
                }
                _ => {}
            }
        }
        status
    }
}

/// Bits of a mask in hexadecimal groups, such as `ff,ffffffff`.
fn count_cpus(mask: &str) -> Option<u32> {
    let digits = mask.chars().filter(|digit| *digit != ',');
    let bits: Option<u32> = digits
        .map(|digit| digit.to_digit(16).map(u32::count_ones))
        .sum();
    bits.filter(|bits| *bits > 0)
}

/// The second number of `schedstat`. Where a kernel does not keep the account it writes three zeros,
/// which a thread that has run at all cannot have.
fn parse_wait(bytes: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(bytes).ok()?;
    let mut numbers = text.split_ascii_whitespace().map(str::parse::<u64>);
    let ran = numbers.next()?.ok()?;
    let waited = numbers.next()?.ok()?;
    let times = numbers.next()?.ok()?;
    (ran > 0 || times > 0).then_some(waited)
}

/// A space follows each id.
fn count_children(file: &File) -> Option<u64> {
    use std::os::unix::fs::FileExt;
    let mut space = [0; 4096];
    let (mut count, mut offset) = (0, 0);
    loop {
        let length = file.read_at(&mut space, offset).ok()?;
        if length == 0 {
            return Some(count);
        }
        count += space[..length].iter().filter(|byte| **byte == b' ').count() as u64;
        offset += length as u64;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn switches_and_allowed_cpus_are_read_from_status() {
        let text = "Name:\tx\nThreads:\t1\nCpus_allowed:\tf0,00000003\nCpus_allowed_list:\t0-1\n\
            voluntary_ctxt_switches:\t150\nnonvoluntary_ctxt_switches:\t545\n";
        let status = Status {
            voluntary: Some(150),
            involuntary: Some(545),
            cpus_allowed: Some(6),
        };
        assert_eq!(Status::parse(text.as_bytes()), status);
        assert_eq!(Status::parse(b"Name:\tx\n"), Status::default());
    }

    #[test]
    fn an_account_that_is_not_kept_is_not_zero() {
        assert_eq!(parse_wait(b"882620 512 1\n"), Some(512));
        assert_eq!(parse_wait(b"882620 0 1\n"), Some(0));
        assert_eq!(parse_wait(b"0 0 0\n"), None);
    }

    #[test]
    fn what_is_not_known_of_one_thread_is_not_known_of_all() {
        let one = PerThread {
            voluntary: Some(2),
            involuntary: Some(3),
            wait_nanos: Some(5),
            children: None,
            cpus_allowed: Some(1),
        };
        let other = PerThread {
            wait_nanos: None,
            cpus_allowed: Some(2),
            ..one
        };
        let sum = PerThread {
            voluntary: Some(4),
            involuntary: Some(6),
            wait_nanos: None,
            children: None,
            cpus_allowed: Some(2),
        };
        assert_eq!(one.plus(other), sum);
    }

    proptest! {
        #[test]
        fn foreign_bytes_never_panic(bytes: Vec<u8>) {
            Status::parse(&bytes);
            parse_wait(&bytes);
        }
    }
}
