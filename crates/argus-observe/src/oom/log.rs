//! What the kernel's log says of out-of-memory kills, to those who may read it.

use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::time::Duration;

use argus_model::Monotonic;

/// The log's clock is not corrected as the monotonic one is: they drift apart by some parts in a
/// hundred thousand, which is a minute in a month.
const DRIFT: Duration = Duration::from_secs(60);

/// No record is longer.
const RECORD_BYTES: usize = 8192;

/// The pid namespace in which the log's process ids are meant.
const FIRST_NAMESPACE: &str = "pid:[4026531836]";

/// Whether the kernel says that it has killed this process for want of memory, after that moment.
/// No where the log may not be read. Costs a system call for each record the kernel keeps.
pub(super) fn names(pid: u32, after: Monotonic) -> bool {
    let namespace = fs::read_link("/proc/self/ns/pid");
    if !namespace.is_ok_and(|here| here.as_os_str() == FIRST_NAMESPACE) {
        return false;
    }
    let mut options = OpenOptions::new();
    options.read(true).custom_flags(libc::O_NONBLOCK);
    let Ok(mut records) = options.open("/dev/kmsg") else {
        return false;
    };
    let after = after.nanos().saturating_sub(nanos(DRIFT));
    let mut record = [0; RECORD_BYTES];
    loop {
        match records.read(&mut record) {
            Ok(0) => return false,
            Ok(length) => {
                let text = String::from_utf8_lossy(&record[..length]);
                if says_killed(&text, pid, after) {
                    return true;
                }
            }
            // Overwritten while it was read: the next one follows.
            Err(error) if error.kind() == ErrorKind::BrokenPipe => {}
            Err(_) => return false,
        }
    }
}

/// `3,1021,24365728971,-;Memory cgroup out of memory: Killed process 4711 (python3) total-vm:…`:
/// level and facility, number, microseconds, flags, text.
fn says_killed(record: &str, pid: u32, after: u64) -> bool {
    let Some((head, text)) = record.split_once(';') else {
        return false;
    };
    let mut head = head.split(',').map(str::parse::<u64>);
    let (Some(Ok(level)), Some(Ok(micros))) = (head.next(), head.nth(1)) else {
        return false;
    };
    // Anybody with the right to may write to the log, but not as facility 0, the kernel.
    let is_kernels = level >> 3 == 0;
    let is_later = micros.saturating_mul(1_000) >= after;
    let victim = format!("Killed process {pid} (");
    is_kernels && is_later && text.contains("ut of memory: ") && text.contains(&victim)
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_victim_is_named_by_the_kernel_at_that_time() {
        let check =
            |record: &str, expected| assert_eq!(says_killed(record, 4711, 2_000_000), expected);
        let group = "Memory cgroup out of memory: Killed process 4711 (python3) total-vm:49400kB";
        check(&format!("3,1021,2500,-;{group}"), true);
        check(
            "3,9,2000,-;Out of memory: Killed process 4711 (a) b) total-vm:1kB",
            true,
        );
        check(&format!("3,1021,1999,-;{group}"), false);
        check(&format!("11,1021,2500,-;{group}"), false);
        check(
            "3,9,2500,-;Out of memory: Killed process 47110 (a) total-vm",
            false,
        );
        check("3,9,2500,-;Killed process 4711 (a) by me", false);
        check("nonsense", false);
        check("", false);
    }
}
