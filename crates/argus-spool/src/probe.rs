//! What the recorder needs of the machine, asked by trying it. For commands that explain why
//! something is not recorded; a program that records never calls this.
//!
//! Nothing is left behind: mappings are given back, the file that is tried is removed.

use std::io;
use std::path::Path;
use std::sync::atomic::AtomicU32;

use crate::futex::{self, Reach};
use crate::map::{Create, Mapping};

/// Something that newer kernels can do, or that a sandbox may forbid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Feature {
    /// `MADV_WIPEONFORK` (4.14): a forked child knows that it has no spool yet. Nothing is recorded
    /// without.
    WipeOnFork,
    /// `MADV_POPULATE_WRITE` (5.14): fresh pages come at once, not fault by fault.
    PopulateWrite,
    /// `membarrier` (4.3): the collector sleeps without missing a record.
    Membarrier,
    /// `close_range` (5.9): the collector is started without the host's descriptors, in one call.
    CloseRange,
    /// Wake-ups between processes.
    Futex,
}

/// Tries a feature. Costs microseconds, `membarrier` milliseconds.
///
/// # Errors
/// What the system says where it cannot or must not.
pub fn try_feature(feature: Feature) -> io::Result<()> {
    match feature {
        Feature::WipeOnFork => try_advice(libc::MADV_WIPEONFORK),
        Feature::PopulateWrite => try_advice(libc::MADV_POPULATE_WRITE),
        // SAFETY: a system call without pointers.
        Feature::Membarrier => checked(unsafe {
            libc::syscall(libc::SYS_membarrier, libc::MEMBARRIER_CMD_GLOBAL, 0, 0)
        }),
        Feature::CloseRange => {
            // SAFETY: closes the descriptor of the highest number, which no process can have.
            let answer = unsafe { libc::syscall(libc::SYS_close_range, u32::MAX, u32::MAX, 0) };
            checked(answer)
        }
        Feature::Futex => futex::try_wake(&AtomicU32::new(0), Reach::Machine),
    }
}

/// Does in `folder` what a recording program does first: allocates a file, maps it, writes to it.
/// The file is removed again.
///
/// # Errors
/// What the system says: no room, no permission, a file system without allocation or shared mappings.
pub fn try_folder(folder: &Path) -> io::Result<()> {
    const LENGTH: usize = 64 * 1024;
    let path = folder.join(format!("probe-{}", std::process::id()));
    let mapping = Mapping::create(&path, LENGTH, Create::Exclusively)?;
    mapping
        .word(0)
        .store(1, std::sync::atomic::Ordering::Relaxed);
    // SAFETY: nobody else knows the mapping.
    unsafe { mapping.unmap() };
    std::fs::remove_file(path)
}

fn try_advice(advice: libc::c_int) -> io::Result<()> {
    const LENGTH: usize = 4096;
    let protection = libc::PROT_READ | libc::PROT_WRITE;
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
    // SAFETY: a new anonymous mapping; advice and unmapping concern that mapping only.
    unsafe {
        let start = libc::mmap(std::ptr::null_mut(), LENGTH, protection, flags, -1, 0);
        if start == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let advised = checked(libc::madvise(start, LENGTH, advice).into());
        libc::munmap(start, LENGTH);
        advised
    }
}

fn checked(answer: libc::c_long) -> io::Result<()> {
    if answer == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_every_supported_kernel_has_is_found() {
        try_feature(Feature::WipeOnFork).unwrap();
        try_feature(Feature::Futex).unwrap();
    }

    #[test]
    fn a_folder_is_tried_without_a_trace() {
        let folder = std::env::temp_dir().join(format!("argus-probe-{}", std::process::id()));
        std::fs::create_dir(&folder).unwrap();
        try_folder(&folder).unwrap();
        // Succeeds on an empty folder only.
        std::fs::remove_dir(&folder).unwrap();
        let missing = try_folder(&folder).unwrap_err();
        assert_eq!(missing.kind(), io::ErrorKind::NotFound);
    }
}
