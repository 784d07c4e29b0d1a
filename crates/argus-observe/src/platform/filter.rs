//! A socket filter in the kernel's old packet language, as far as it is needed here.

use std::io;
use std::mem;
use std::os::fd::{AsFd, AsRawFd};

/// One step of a filter. A jump counts the steps that are left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FilterStep {
    /// Loads the word at this place of the message; a message without it is dropped.
    Load(usize),
    /// Keeps what was loaded, for [`FilterStep::JumpIfKept`].
    Keep,
    /// Jumps by whether what was loaded is this word, in the machine's byte order.
    Jump { equal: u32, then: u8, otherwise: u8 },
    /// Jumps by whether what was loaded is what was kept.
    JumpIfKept { then: u8, otherwise: u8 },
    /// Drops the message.
    Drop,
    /// Lets the message through.
    Accept,
}

impl FilterStep {
    /// The kernel's form. It takes words for big-endian ones, so a word to compare with is turned
    /// round where the machine's are not.
    fn instruction(self) -> libc::sock_filter {
        let (code, jt, jf, k) = match self {
            Self::Load(at) => (
                libc::BPF_LD | libc::BPF_W | libc::BPF_ABS,
                0,
                0,
                u32::try_from(at).unwrap_or(u32::MAX),
            ),
            Self::Keep => (libc::BPF_MISC | libc::BPF_TAX, 0, 0, 0),
            Self::Jump {
                equal,
                then,
                otherwise,
            } => (
                libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K,
                then,
                otherwise,
                equal.to_be(),
            ),
            Self::JumpIfKept { then, otherwise } => (
                libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_X,
                then,
                otherwise,
                0,
            ),
            Self::Drop => (libc::BPF_RET | libc::BPF_K, 0, 0, 0),
            Self::Accept => (libc::BPF_RET | libc::BPF_K, 0, 0, u32::MAX),
        };
        let code = u16::try_from(code).unwrap_or(u16::MAX);
        libc::sock_filter { code, jt, jf, k }
    }
}

/// Lets only those messages into a socket that this filter accepts.
///
/// # Errors
/// When the kernel takes the filter for wrong, or knows no filters.
pub(crate) fn attach_filter(socket: &impl AsFd, steps: &[FilterStep]) -> io::Result<()> {
    let mut instructions: Vec<_> = steps.iter().map(|step| step.instruction()).collect();
    let program = libc::sock_fprog {
        len: u16::try_from(instructions.len()).map_err(|_| io::ErrorKind::InvalidInput)?,
        filter: instructions.as_mut_ptr(),
    };
    let size = libc::socklen_t::try_from(mem::size_of::<libc::sock_fprog>());
    let size = size.map_err(|_| io::ErrorKind::InvalidInput)?;
    // SAFETY: the program points to as many instructions as it says, all alive until the call
    // returns; the kernel copies and checks them.
    let answer = unsafe {
        libc::setsockopt(
            socket.as_fd().as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_ATTACH_FILTER,
            (&raw const program).cast(),
            size,
        )
    };
    if answer != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}
