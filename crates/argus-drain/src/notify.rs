//! Telling followers that something was committed.
//!
//! Each follower has a datagram socket in `<database>.d/followers/`, named after its pid. It is sent
//! one byte after every commit, without waiting: a full socket has news enough.

use std::io;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// The followers' sockets.
#[derive(Debug)]
pub struct Followers {
    folder: PathBuf,
    socket: Option<UnixDatagram>,
    listed: Vec<PathBuf>,
    listed_at: Option<SystemTime>,
}

impl Followers {
    /// The followers that announce themselves in `folder`.
    pub fn new(folder: PathBuf) -> Self {
        let socket = UnixDatagram::unbound().and_then(|socket| {
            socket.set_nonblocking(true)?;
            Ok(socket)
        });
        Self {
            folder,
            socket: socket.ok(),
            listed: Vec::new(),
            listed_at: None,
        }
    }

    /// Sends every follower a byte; removes the sockets of those that are gone.
    pub fn notify(&mut self) {
        self.look();
        let Some(socket) = &self.socket else { return };
        self.listed.retain(|path| match socket.send_to(b"c", path) {
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                // Nobody has it open any more, so nobody misses it.
                let _ = std::fs::remove_file(path);
                false
            }
            Err(error) => error.kind() != io::ErrorKind::NotFound,
            Ok(_) => true,
        });
    }

    /// Whether anybody follows.
    pub fn any(&mut self) -> bool {
        self.look();
        self.listed.retain(|path| is_alive(path));
        !self.listed.is_empty()
    }

    fn look(&mut self) {
        let modified = std::fs::metadata(&self.folder)
            .and_then(|data| data.modified())
            .ok();
        // Within one tick of the file system's clock a change does not show.
        let settled = modified
            .and_then(|at| at.elapsed().ok())
            .is_some_and(|age| age.as_millis() > 50);
        if settled && modified == self.listed_at {
            return;
        }
        // What comes within the same tick as the last change does not show later, either.
        self.listed_at = modified.filter(|_| settled);
        self.listed.clear();
        if let Ok(entries) = self.folder.read_dir() {
            let sockets = entries.flatten().map(|entry| entry.path());
            self.listed
                .extend(sockets.filter(|path| path.extension().is_some_and(|e| e == "sock")));
        }
    }
}

/// Whether the process that the socket is named after exists.
fn is_alive(socket: &Path) -> bool {
    let name = socket
        .file_stem()
        .and_then(|name| name.to_str())
        .unwrap_or_default();
    let pid = name
        .split('-')
        .next()
        .and_then(|pid| pid.parse::<u32>().ok());
    pid.is_some_and(|pid| Path::new(&format!("/proc/{pid}")).exists())
}
