//! Shared mappings of allocated files.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::ptr::NonNull;
use std::sync::atomic::AtomicU64;

/// `chattr +C`: overwrite in place.
const FS_NOCOW_FL: libc::c_int = 0x0080_0000;

/// A file's bytes in memory, shared with every process that maps or reads the file.
///
/// It is never unmapped by dropping: threads of the host may still hold its address. Whoever knows
/// that nobody does calls [`Mapping::unmap`].
#[derive(Debug, Clone, Copy)]
pub(crate) struct Mapping {
    start: NonNull<u8>,
    length: usize,
}

// SAFETY: a mapping is an address range of the process. Who may write to which part of it, and when,
// is the rule of `chunk` (one owner at a time) and of `control` (atomics only).
unsafe impl Send for Mapping {}
// SAFETY: as above.
unsafe impl Sync for Mapping {}

/// How a file to be mapped comes to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Create {
    /// It must not exist.
    Exclusively,
    /// It may exist.
    IfMissing,
}

impl Mapping {
    /// Creates a file of `length` bytes, every byte backed by storage, and maps it. The descriptor
    /// is closed before this returns. A file made exclusively is removed again on failure.
    pub(crate) fn create(path: &Path, length: usize, create: Create) -> io::Result<Self> {
        let name = CString::new(path.as_os_str().as_bytes())?;
        let exclusive = if create == Create::Exclusively {
            libc::O_EXCL
        } else {
            0
        };
        let flags = libc::O_RDWR | libc::O_CREAT | libc::O_CLOEXEC | libc::O_NOFOLLOW | exclusive;
        // SAFETY: `name` is a NUL-terminated string that outlives the call.
        let fd = unsafe { libc::open(name.as_ptr(), flags, 0o600) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: `fd` was just opened and nobody else owns it.
        let file = unsafe { OwnedFd::from_raw_fd(fd) };
        write_in_place(&file);
        let mapped = allocate(&file, length).and_then(|()| Self::of(&file, length));
        if mapped.is_err() && create == Create::Exclusively {
            // SAFETY: as for `open`.
            unsafe { libc::unlink(name.as_ptr()) };
        }
        mapped
    }

    fn of(file: &OwnedFd, length: usize) -> io::Result<Self> {
        // SAFETY: a new mapping at an address of the kernel's choice touches no memory of ours.
        let start = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                length,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED,
                file.as_raw_fd(),
                0,
            )
        };
        if start == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let start = NonNull::new(start.cast()).ok_or_else(io::Error::last_os_error)?;
        Ok(Self { start, length })
    }

    /// Makes the pages of the first `length` bytes present, so that the first writes do not fault
    /// one by one. Does nothing where the kernel cannot (before 5.14).
    pub(crate) fn populate(self, length: usize) {
        // SAFETY: the range lies in the mapping; populating changes no byte.
        unsafe {
            libc::madvise(
                self.start.as_ptr().cast(),
                length.min(self.length),
                libc::MADV_POPULATE_WRITE,
            );
        }
    }

    /// Gives the address range back.
    ///
    /// # Safety
    /// No thread uses the mapping any more.
    pub(crate) unsafe fn unmap(self) {
        // SAFETY: the range is a mapping of ours, unused by the caller's promise.
        unsafe { libc::munmap(self.start.as_ptr().cast(), self.length) };
    }

    /// The mapping's length in bytes.
    pub(crate) fn length(self) -> usize {
        self.length
    }

    /// The address of the byte at `offset`.
    pub(crate) fn at(self, offset: u32) -> *mut u8 {
        assert!(
            (offset as usize) < self.length,
            "an offset lies in its mapping"
        );
        // SAFETY: the offset lies in the mapping, as just asserted.
        unsafe { self.start.as_ptr().add(offset as usize) }
    }

    /// The word at `offset`, which must be a multiple of 8.
    pub(crate) fn word(self, offset: u32) -> &'static AtomicU64 {
        assert!(offset.is_multiple_of(8) && offset as usize + 8 <= self.length);
        // SAFETY: aligned and inside the mapping, which stays mapped while anyone uses it (see
        // `unmap`); every access to this word in any process goes through atomics or the kernel.
        unsafe { AtomicU64::from_ptr(self.at(offset).cast()) }
    }

    /// Copies bytes to `offset`.
    ///
    /// # Safety
    /// The caller owns this part of the mapping and nobody reads it concurrently as anything but
    /// bytes that may be torn.
    pub(crate) unsafe fn write(self, offset: u32, bytes: &[u8]) {
        assert!(offset as usize + bytes.len() <= self.length);
        // SAFETY: inside the mapping as just asserted; owned by the caller.
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), self.at(offset), bytes.len()) };
    }
}

/// On btrfs, makes a new file one that is written in place (`NOCOW`). Else a page that was written
/// back needs new room when it is written to again, and where there is none the host dies of
/// `SIGBUS`. What cannot be had is not asked for twice: a file with contents keeps its way.
fn write_in_place(file: &OwnedFd) {
    // SAFETY: plain memory that the kernel fills; a zeroed one names no file system.
    let mut system: libc::statfs = unsafe { std::mem::zeroed() };
    // SAFETY: a descriptor that is open, and a valid place to write to.
    let told = unsafe { libc::fstatfs(file.as_raw_fd(), &raw mut system) };
    if told != 0 || system.f_type != libc::BTRFS_SUPER_MAGIC {
        return;
    }
    let mut flags: libc::c_int = 0;
    // SAFETY: both requests read or write one integer (the size in their names is a historic
    // mistake) at a valid place.
    unsafe {
        if libc::ioctl(file.as_raw_fd(), libc::FS_IOC_GETFLAGS, &raw mut flags) == 0 {
            flags |= FS_NOCOW_FL;
            libc::ioctl(file.as_raw_fd(), libc::FS_IOC_SETFLAGS, &raw const flags);
        }
    }
}

/// `fallocate(2)` itself: glibc's `posix_fallocate` falls back to writing in silence.
fn allocate(file: &OwnedFd, length: usize) -> io::Result<()> {
    if !may_grow_to(length) {
        return Err(io::Error::from_raw_os_error(libc::EFBIG));
    }
    let length = libc::off_t::try_from(length).map_err(io::Error::other)?;
    loop {
        // SAFETY: a system call on a descriptor that is open.
        if unsafe { libc::fallocate(file.as_raw_fd(), 0, 0, length) } == 0 {
            return Ok(());
        }
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
    }
}

/// Whether the host's limit on the size of its files allows this one. Beyond it the kernel would not
/// only refuse: it would send `SIGXFSZ`, which kills.
fn may_grow_to(length: usize) -> bool {
    let mut limit = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: `limit` is a valid place to write to.
    let told = unsafe { libc::getrlimit(libc::RLIMIT_FSIZE, &raw mut limit) };
    told != 0 || length as u64 <= limit.rlim_cur
}
