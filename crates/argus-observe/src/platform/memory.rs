//! Another process's memory, read while it runs.
//!
//! `process_vm_readv(2)` copies and does nothing else: it stops nobody, attaches to nobody, and
//! leaves no trace in the process that is read. What it finds may change while it is copied.

use std::io;

/// Fills `space` from the memory of a process.
///
/// # Errors
/// `EPERM` when this user may not, `ESRCH` when the process has ended or has no memory (a zombie, a
/// kernel thread), `EFAULT` when nothing, or less than this, stands at the address, `ENOSYS` where a
/// sandbox has no such call.
pub(crate) fn read_memory(pid: u32, address: u64, space: &mut [u8]) -> io::Result<()> {
    let pid = super::raw_pid(pid).ok_or(rustix::io::Errno::SRCH)?;
    let address = usize::try_from(address).map_err(|_| rustix::io::Errno::FAULT)?;
    let here = libc::iovec {
        iov_base: space.as_mut_ptr().cast(),
        iov_len: space.len(),
    };
    let there = libc::iovec {
        iov_base: std::ptr::without_provenance_mut(address),
        iov_len: space.len(),
    };
    // SAFETY: the kernel writes at most `iov_len` bytes through `iov_base`, which is the length and
    // the start of a live exclusive slice. The other address is never dereferenced on this side.
    let copied = unsafe {
        libc::process_vm_readv(
            pid.as_raw_nonzero().get(),
            &raw const here,
            1,
            &raw const there,
            1,
            0,
        )
    };
    match usize::try_from(copied) {
        Ok(copied) if copied == space.len() => Ok(()),
        Ok(_) => Err(rustix::io::Errno::FAULT.into()),
        Err(_) => Err(io::Error::last_os_error()),
    }
}

/// Whether this user may read a process's memory.
///
/// # Errors
/// As [`read_memory`], `EFAULT` left out.
pub(crate) fn may_read_memory(pid: u32) -> io::Result<()> {
    // Nothing is ever mapped there, and permission is checked before the address is.
    match read_memory(pid, 1, &mut [0]) {
        Err(error) if error.raw_os_error() == Some(libc::EFAULT) => Ok(()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_in_memory_is_read() {
        let there = 0x1122_3344_5566_7788_u64;
        let mut space = [0; 8];
        let address = &raw const there as u64;
        read_memory(std::process::id(), address, &mut space).unwrap();
        assert_eq!(u64::from_ne_bytes(space), there);
    }

    #[test]
    fn what_does_not_stand_there_is_an_error() {
        let error = read_memory(std::process::id(), 1, &mut [0]).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::EFAULT));
        let error = may_read_memory(i32::MAX.unsigned_abs()).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::ESRCH));
        may_read_memory(std::process::id()).unwrap();
    }
}
