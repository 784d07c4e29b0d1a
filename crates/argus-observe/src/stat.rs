//! `/proc/PID/stat` and `/proc/PID/statm`: text to numbers, nothing else.
//!
//! The second field of `stat` is the process's name in parentheses, chosen by the process: it may
//! hold spaces, parentheses, and line breaks. Fields are therefore counted from the last closing
//! parenthesis. Whatever does not parse is `None`; the kernel's numbers are not argued with.

/// More than the kernel ever writes into `stat`: 51 numbers of at most 20 digits, and a name.
pub(crate) const MAX_BYTES: usize = 1200;

/// What `/proc/PID/stat` says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Stat {
    /// The kernel's name for it, at most 15 bytes.
    pub(crate) name: String,
    /// `R`unning, `S`leeping, `Z`ombie, …
    pub(crate) state: u8,
    /// Ticks spent in user and kernel mode.
    pub(crate) cpu_ticks: u64,
    /// Page faults, of ended threads too, that needed no storage.
    pub(crate) minor_faults: u64,
    /// Page faults, of ended threads too, that waited for storage.
    pub(crate) major_faults: u64,
    /// Number of threads.
    pub(crate) threads: u32,
    /// Start time in ticks since boot.
    pub(crate) start_ticks: u64,
}

impl Stat {
    /// Whether the process has ended and only waits to be collected. A first thread that has ended
    /// before the others looks the same but for their number.
    pub(crate) fn has_ended(&self) -> bool {
        self.first_thread_has_ended() && self.threads <= 1
    }

    /// Whether the first thread, which is what most of `/proc/PID` speaks of, has ended.
    pub(crate) fn first_thread_has_ended(&self) -> bool {
        matches!(self.state, b'Z' | b'X')
    }
}

/// Reads `stat`.
pub(crate) fn parse(bytes: &[u8]) -> Option<Stat> {
    let (name, rest) = split_name(bytes)?;
    let mut fields = rest.split_ascii_whitespace();
    let state = *fields.next()?.as_bytes().first()?;
    // From here on field `n` of proc(5) is number `n - 4`.
    let mut fields = fields.map(str::parse::<i64>).map(Result::ok);
    let minor_faults = fields.nth(10 - 4)??;
    let major_faults = fields.nth(12 - 11)??;
    let user = fields.nth(14 - 13)??;
    let system = fields.next()??;
    let threads = fields.nth(20 - 16)??;
    let start = fields.nth(22 - 21)??;
    Some(Stat {
        name,
        state,
        cpu_ticks: u64::try_from(user + system).ok()?,
        minor_faults: u64::try_from(minor_faults).ok()?,
        major_faults: u64::try_from(major_faults).ok()?,
        threads: u32::try_from(threads).ok()?,
        start_ticks: u64::try_from(start).ok()?,
    })
}

/// Whose child a process is, and whose company it keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Kin {
    /// Its parent now; 0 for one outside of our pid namespace, and for none.
    pub(crate) parent: u32,
    /// The leader of its process group.
    pub(crate) group: u32,
    /// The leader of its session.
    pub(crate) session: u32,
    /// Whether it is a part of the kernel.
    pub(crate) is_kernel_thread: bool,
    /// Where its arguments begin, another place after every `exec`; 0 for whoever may not trace it.
    pub(crate) arguments_at: u64,
}

/// Reads of `stat` what concerns other processes.
pub(crate) fn parse_kin(bytes: &[u8]) -> Option<Kin> {
    /// `PF_KTHREAD`.
    const KERNEL_THREAD: i64 = 0x0020_0000;
    let (_, rest) = split_name(bytes)?;
    let mut fields = rest.split_ascii_whitespace().skip(1);
    // From here on field `n` of proc(5) is number `n - 4`.
    let mut id = || u32::try_from(fields.next()?.parse::<i64>().ok()?).ok();
    let (parent, group, session) = (id()?, id()?, id()?);
    let flags: i64 = fields.nth(9 - 7)?.parse().ok()?;
    let arguments_at = fields.nth(48 - 10).and_then(|field| field.parse().ok());
    Some(Kin {
        parent,
        group,
        session,
        is_kernel_thread: flags & KERNEL_THREAD != 0,
        arguments_at: arguments_at.unwrap_or(0),
    })
}

/// The wait status, the last field, if this is the `stat` of a zombie.
pub(crate) fn zombie_wait_status(bytes: &[u8]) -> Option<i32> {
    let (_, rest) = split_name(bytes)?;
    let mut fields = rest.split_ascii_whitespace();
    if fields.next()? != "Z" {
        return None;
    }
    fields.nth(52 - 4)?.parse().ok()
}

/// Resident pages, from `statm`.
pub(crate) fn parse_resident_pages(bytes: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(bytes).ok()?;
    text.split_ascii_whitespace().nth(1)?.parse().ok()
}

fn split_name(bytes: &[u8]) -> Option<(String, &str)> {
    let open = bytes.iter().position(|byte| *byte == b'(')?;
    let close = bytes.iter().rposition(|byte| *byte == b')')?;
    let name = bytes.get(open + 1..close)?;
    let rest = std::str::from_utf8(bytes.get(close + 1..)?).ok()?;
    Some((String::from_utf8_lossy(name).into_owned(), rest))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LINE: &str = "4711 (NAME) S 1 4711 4711 0 -1 4194304 900 20 6 8 250 75 3 4 20 0 12 0 \
        998877 30000000 640 18446744073709551615 1 1 0 0 0 0 0 4096 0 0 0 0 17 1 0 0 0 0 0 0 0 0 \
        0 0 0 0 1792\n";

    fn line(name: &str) -> Vec<u8> {
        LINE.replace("NAME", name).into_bytes()
    }

    #[test]
    fn the_numbers_are_found_behind_any_name() {
        for name in ["terrain_sim", "a) S 1 (b", "with space", "(", ")", ""] {
            let stat = parse(&line(name)).unwrap();
            let expected = Stat {
                name: name.to_owned(),
                state: b'S',
                cpu_ticks: 325,
                minor_faults: 900,
                major_faults: 6,
                threads: 12,
                start_ticks: 998_877,
            };
            assert_eq!(stat, expected);
        }
    }

    #[test]
    fn kin_and_where_the_arguments_begin_are_found_behind_any_name() {
        let text = "4711 (NAME) S 1 4700 4600 0 -1 4194304 900 20 0 0 250 75 3 4 20 0 12 0 998877 \
            30000000 640 18446744073709551615 1 1 0 0 0 0 0 4096 0 0 0 0 17 1 0 0 0 0 0 45 46 47 \
            48 49 50 51 1792\n";
        for name in ["x", ") S 1 2 3 ("] {
            let kin = parse_kin(text.replace("NAME", name).as_bytes()).unwrap();
            let expected = Kin {
                parent: 1,
                group: 4700,
                session: 4600,
                is_kernel_thread: false,
                arguments_at: 48,
            };
            assert_eq!(kin, expected);
        }
    }

    #[test]
    fn only_a_zombie_has_a_wait_status() {
        assert_eq!(zombie_wait_status(&line("x")), None);
        let zombie = LINE.replace(" S ", " Z ");
        assert_eq!(zombie_wait_status(zombie.as_bytes()), Some(7 << 8));
    }

    #[test]
    fn resident_pages_are_the_second_number() {
        assert_eq!(parse_resident_pages(b"7324 640 500 3 0 900 0\n"), Some(640));
        assert_eq!(parse_resident_pages(b"7324"), None);
    }

    #[test]
    fn this_process_can_be_read() {
        let stat = parse(&std::fs::read("/proc/self/stat").unwrap()).unwrap();
        assert!(stat.threads >= 1 && stat.start_ticks > 0 && !stat.has_ended());
    }

    proptest! {
        #[test]
        fn foreign_bytes_never_panic(bytes: Vec<u8>) {
            parse(&bytes);
            parse_kin(&bytes);
            zombie_wait_status(&bytes);
            parse_resident_pages(&bytes);
        }
    }
}
