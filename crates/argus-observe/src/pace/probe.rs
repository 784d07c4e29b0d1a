//! The quick look that decides whether a full sample is worth it.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use super::Probe;
use crate::platform;
use crate::process::{AttachError, Instance, explain, look};
use crate::stat;

/// Probes one process, again and again: two system calls, less than 2 µs, through a descriptor that
/// stays open.
#[derive(Debug)]
pub struct Prober {
    pid: u32,
    statm: File,
}

impl Prober {
    /// Begins to probe a process.
    ///
    /// # Errors
    /// When it has ended meanwhile, even if another process has its id now, or when its CPU clock may
    /// not be read: then there is nothing to set a pace by.
    pub fn attach(instance: Instance) -> Result<Self, AttachError> {
        let pid = instance.pid;
        let statm = File::open(format!("/proc/{pid}/statm")).map_err(|e| explain(pid, e))?;
        let seen = look(pid).map_err(|e| explain(pid, e))?;
        if seen.stat.start_ticks != instance.start_ticks {
            return Err(AttachError::EndedMeanwhile(pid));
        }
        platform::process_cpu_time(pid).map_err(|e| explain(pid, e))?;
        Ok(Self { pid, statm })
    }

    /// Probes now. `errors` is how many the caller has seen so far. `None` once the process is gone.
    ///
    /// # Errors
    /// When the kernel refuses to read what it let us open.
    pub fn take(&self, errors: u64) -> io::Result<Option<Probe>> {
        let Ok(cpu_time) = platform::process_cpu_time(self.pid) else {
            return Ok(None);
        };
        let at = platform::monotonic_now();
        // Read after the clock: it fails if the id was no longer this process's.
        let mut space = [0; 256];
        let length = match self.statm.read_at(&mut space, 0) {
            Ok(length) => length,
            Err(error) if error.raw_os_error() == Some(libc::ESRCH) => return Ok(None),
            Err(error) => return Err(error),
        };
        let pages = stat::parse_resident_pages(&space[..length]);
        Ok(pages.map(|pages| Probe {
            at,
            cpu_time,
            rss_bytes: pages * platform::page_size(),
            errors,
        }))
    }
}
