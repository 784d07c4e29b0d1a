//! Which TCP sockets a process has open.

use std::collections::HashMap;
use std::fs::File;
use std::io;

use rustix::fs::{Dir, Mode, OFlags};

use crate::sample::kernel_counts_descriptors;

/// The descriptors of one process.
#[derive(Debug)]
pub(super) struct Descriptors {
    folder: File,
    /// Of the sockets that were open at the last listing, whether they are TCP.
    known: HashMap<u32, bool>,
}

impl Descriptors {
    /// One descriptor, as long as the process is looked at.
    pub(super) fn open(pid: u32) -> io::Result<Self> {
        let how = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let folder = rustix::fs::open(format!("/proc/{pid}/fd"), how, Mode::empty())?;
        Ok(Self {
            folder: folder.into(),
            known: HashMap::new(),
        })
    }

    /// How many there are, where the kernel counts them without being made to list them.
    pub(super) fn count(&self) -> Option<u64> {
        let told = rustix::fs::fstat(&self.folder).ok()?;
        u64::try_from(told.st_size)
            .ok()
            .filter(|_| kernel_counts_descriptors())
    }

    /// Lists all descriptors: a system call for each, another for each new socket. The inodes of
    /// those that are TCP.
    pub(super) fn tcp_sockets(&mut self) -> io::Result<Vec<u32>> {
        let mut known = HashMap::new();
        for entry in Dir::read_from(&self.folder)? {
            let entry = entry?;
            let name = entry.file_name();
            let mut space = [0_u8; 64];
            let Ok(length) = rustix::fs::readlinkat_raw(&self.folder, name, &mut space[..]) else {
                continue; // Closed meanwhile, or one of the folder's own two entries.
            };
            if let Some(inode) = socket_inode(&space[..length]) {
                let is_tcp = match self.known.get(&inode) {
                    Some(is_tcp) => *is_tcp,
                    None => self.is_tcp(&name.to_string_lossy()),
                };
                known.insert(inode, is_tcp);
            }
        }
        self.known = known;
        let tcp = self.known.iter().filter(|(_, is_tcp)| **is_tcp);
        Ok(tcp.map(|(inode, _)| *inode).collect())
    }

    /// The kernel tells a socket's protocol as an attribute of its file. One that it does not tell
    /// may be anything.
    fn is_tcp(&self, descriptor: &str) -> bool {
        use std::os::fd::AsRawFd;
        let path = format!("/proc/self/fd/{}/{descriptor}", self.folder.as_raw_fd());
        let mut name = [0_u8; 32];
        match rustix::fs::getxattr(path, "system.sockprotoname", &mut name[..]) {
            Ok(length) => {
                let name = &name[..length];
                // The parts of an MPTCP connection are TCP sockets with its inode.
                name.starts_with(b"TCP") || name.starts_with(b"MPTCP")
            }
            Err(_) => true,
        }
    }
}

/// From `socket:[4711]`.
fn socket_inode(target: &[u8]) -> Option<u32> {
    let number = target.strip_prefix(b"socket:[")?.strip_suffix(b"]")?;
    std::str::from_utf8(number).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tcp_sockets_are_told_from_all_others() {
        let mut descriptors = Descriptors::open(std::process::id()).unwrap();
        let before = descriptors.tcp_sockets().unwrap().len();
        let _udp = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let _pair = std::os::unix::net::UnixStream::pair().unwrap();
        let _tcp = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        assert_eq!(descriptors.tcp_sockets().unwrap().len(), before + 1);
    }

    #[test]
    fn only_a_socket_has_a_sockets_inode() {
        assert_eq!(socket_inode(b"socket:[4711]"), Some(4711));
        assert_eq!(socket_inode(b"/tmp/socket:[4711]"), None);
        assert_eq!(socket_inode(b"pipe:[4711]"), None);
        assert_eq!(socket_inode(b"socket:[x]"), None);
    }
}
