//! Facts about this process and machine, as the kernel tells them.

use std::os::unix::fs::MetadataExt;
use std::{fs, io};

use argus_model::ProducerId;

/// The identity of the calling process, with a fresh nonce. Reads some files of `/proc`.
pub fn producer_id() -> ProducerId {
    ProducerId {
        machine: machine(),
        boot: boot(),
        pid_namespace: pid_namespace(),
        pid: std::process::id(),
        start_ticks: start_ticks(std::process::id()).ok().flatten().unwrap_or(0),
        nonce: nonce(),
    }
}

/// A hash of the machine's id; the id itself is confidential. 0 where there is none.
pub fn machine() -> u64 {
    let id = fs::read_to_string("/etc/machine-id").unwrap_or_default();
    // FNV-1a, 64 bits: spreads well, and this is no secret worth a cryptographic hash.
    id.trim()
        .bytes()
        .chain(*b"argus")
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
        })
}

/// The first half of the kernel's boot id; 0 where there is none.
pub fn boot() -> u64 {
    let text = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    let digits: String = text
        .chars()
        .filter(char::is_ascii_hexdigit)
        .take(16)
        .collect();
    u64::from_str_radix(&digits, 16).unwrap_or(0)
}

/// The inode of the calling process's pid namespace; 0 where `/proc` is missing.
pub fn pid_namespace() -> u64 {
    fs::metadata("/proc/self/ns/pid").map_or(0, |data| data.ino())
}

/// When the process with this pid started, in clock ticks since boot; nothing when there is none.
///
/// # Errors
/// When that cannot be told, which says nothing about the process: the caller may be out of
/// descriptors.
pub fn start_ticks(pid: u32) -> io::Result<Option<u64>> {
    let text = match stat(pid) {
        Ok(text) => text,
        // It may also end between opening and reading.
        Err(error)
            if error.kind() == io::ErrorKind::NotFound
                || error.raw_os_error() == Some(libc::ESRCH) =>
        {
            return Ok(None);
        }
        Err(error) => return Err(error),
    };
    number_in_stat(&text, 22)
        .map(Some)
        .ok_or_else(|| io::ErrorKind::InvalidData.into())
}

/// Where the stack of the program begins that the process with this pid runs: elsewhere after an
/// `exec`. 0 where that must not be seen, nothing when there is no such process.
pub fn stack_start(pid: u32) -> Option<u64> {
    number_in_stat(&stat(pid).ok()?, 28)
}

fn stat(pid: u32) -> io::Result<String> {
    fs::read_to_string(format!("/proc/{pid}/stat"))
}

/// The field with this number, counted from 1 as in `proc(5)`; one behind the name.
fn number_in_stat(text: &str, field: usize) -> Option<u64> {
    // The name in parentheses may itself hold parentheses and spaces; what follows does not.
    let (_, rest) = text.rsplit_once(')')?;
    rest.split_ascii_whitespace().nth(field - 3)?.parse().ok()
}

/// The name the kernel gives the process.
pub fn process_name() -> String {
    fs::read_to_string("/proc/self/comm").map_or_else(|_| String::new(), |s| s.trim_end().into())
}

/// The process's arguments, joined by spaces.
pub fn command_line() -> String {
    let bytes = fs::read("/proc/self/cmdline").unwrap_or_default();
    let parts: Vec<_> = bytes
        .split(|b| *b == 0)
        .filter(|p| !p.is_empty())
        .map(String::from_utf8_lossy)
        .collect();
    parts.join(" ")
}

/// The machine's name.
pub fn hostname() -> String {
    fs::read_to_string("/proc/sys/kernel/hostname")
        .map_or_else(|_| String::new(), |s| s.trim_end().into())
}

/// The calling thread's kernel id.
pub fn thread_id() -> u32 {
    // SAFETY: a system call without arguments.
    let tid = unsafe { libc::gettid() };
    tid.cast_unsigned()
}

/// The calling thread's name, zero-padded (the kernel keeps 15 bytes).
pub(crate) fn thread_name() -> [u8; 24] {
    let mut name = [0; 24];
    // SAFETY: the kernel writes at most 16 bytes, including the final zero.
    unsafe { libc::prctl(libc::PR_GET_NAME, name.as_mut_ptr()) };
    name
}

fn nonce() -> u64 {
    let mut bytes = [0; 8];
    // SAFETY: `bytes` is a valid place for eight bytes.
    let got =
        unsafe { libc::getrandom(bytes.as_mut_ptr().cast(), bytes.len(), libc::GRND_NONBLOCK) };
    if got == 8 {
        return u64::from_ne_bytes(bytes);
    }
    // Early in boot there may be no randomness; time and thread still tell `exec`s apart.
    crate::monotonic_now().nanos() ^ u64::from(thread_id()) << 48
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_knows_itself() {
        let id = producer_id();
        assert_eq!(id.pid, std::process::id());
        assert_ne!(id.boot, 0);
        assert_ne!(id.pid_namespace, 0);
        assert!(id.start_ticks > 0);
        assert!(stack_start(id.pid).is_some_and(|stack| stack > 0));
        assert_ne!(id.nonce, producer_id().nonce);
        assert!(!process_name().is_empty());
        assert!(!command_line().is_empty());
    }
}
