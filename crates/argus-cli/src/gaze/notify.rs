//! Telling the service manager how far we are, by the protocol of `sd_notify(3)`.
//!
//! A manager that wants to know names a datagram socket in `NOTIFY_SOCKET`. Lines of `KEY=value` are
//! sent there and nothing comes back. Without the variable nothing is sent, so that gaze says the
//! same things wherever it was started. Nothing here waits: what the manager cannot take at once
//! is not said.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};

use argus_model::Monotonic;

/// A service manager cannot be told anything.
#[derive(Debug, thiserror::Error)]
#[error("cannot tell the service manager at {}", .address.display())]
pub(crate) struct NotTold {
    address: OsString,
    source: io::Error,
}

/// The way to the service manager, if there is one.
#[derive(Debug, Default)]
pub(crate) struct Notifier {
    manager: Option<Manager>,
}

#[derive(Debug)]
struct Manager {
    address: OsString,
    socket: UnixDatagram,
}

impl Notifier {
    /// As `NOTIFY_SOCKET` says; one that says nothing to nobody where it is not set.
    ///
    /// # Errors
    /// When it names something that cannot be reached.
    pub(crate) fn from_environment() -> Result<Self, NotTold> {
        match std::env::var_os("NOTIFY_SOCKET") {
            Some(address) if !address.is_empty() => Self::to(&address),
            _ => Ok(Self::default()),
        }
    }

    fn to(address: &OsStr) -> Result<Self, NotTold> {
        let socket = connect(address).map_err(|source| NotTold {
            address: address.to_owned(),
            source,
        })?;
        let address = address.to_owned();
        Ok(Self {
            manager: Some(Manager { address, socket }),
        })
    }

    /// Everything is being watched; `status` says what. Also ends a reload.
    ///
    /// # Errors
    /// When the manager does not take it.
    pub(crate) fn ready(&self, status: &str) -> Result<(), NotTold> {
        self.tell(&format!("READY=1\n{}", status_line(status)))
    }

    /// The configuration is being read again, since `now`; [`Notifier::ready`] follows.
    ///
    /// # Errors
    /// When the manager does not take it.
    pub(crate) fn reloading(&self, now: Monotonic) -> Result<(), NotTold> {
        let micros = now.nanos() / 1000;
        self.tell(&format!("RELOADING=1\nMONOTONIC_USEC={micros}\n"))
    }

    /// The end has begun.
    ///
    /// # Errors
    /// When the manager does not take it.
    pub(crate) fn stopping(&self) -> Result<(), NotTold> {
        self.tell("STOPPING=1\n")
    }

    fn tell(&self, lines: &str) -> Result<(), NotTold> {
        let Some(manager) = &self.manager else {
            return Ok(());
        };
        match manager.socket.send(lines.as_bytes()) {
            Ok(_) => Ok(()),
            Err(source) => Err(NotTold {
                address: manager.address.clone(),
                source,
            }),
        }
    }
}

/// A line break in it would begin another variable.
fn status_line(status: &str) -> String {
    let status: String = status
        .chars()
        .map(|it| if it.is_control() { ' ' } else { it })
        .collect();
    format!("STATUS={status}\n")
}

fn connect(address: &OsStr) -> io::Result<UnixDatagram> {
    let bytes = address.as_bytes();
    let to = match bytes.split_first() {
        Some((b'/', _)) => SocketAddr::from_pathname(address)?,
        Some((b'@', name)) => SocketAddr::from_abstract_name(name)?,
        _ => return Err(io::ErrorKind::Unsupported.into()),
    };
    let socket = UnixDatagram::unbound()?;
    socket.set_nonblocking(true)?;
    socket.connect_addr(&to)?;
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard(manager: &UnixDatagram) -> String {
        let mut space = [0; 512];
        let length = manager.recv(&mut space).unwrap();
        String::from_utf8(space[..length].to_vec()).unwrap()
    }

    fn check_all(notifier: &Notifier, manager: &UnixDatagram) {
        notifier.ready("watching 3 programs").unwrap();
        assert_eq!(heard(manager), "READY=1\nSTATUS=watching 3 programs\n");
        let now = Monotonic::from_nanos(1_234_567_890);
        notifier.reloading(now).unwrap();
        assert_eq!(heard(manager), "RELOADING=1\nMONOTONIC_USEC=1234567\n");
        notifier.ready("two\nREADY=1").unwrap();
        assert_eq!(heard(manager), "READY=1\nSTATUS=two READY=1\n");
        notifier.stopping().unwrap();
        assert_eq!(heard(manager), "STOPPING=1\n");
    }

    #[test]
    fn a_manager_at_a_path_hears_everything() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let manager = UnixDatagram::bind(&path).unwrap();
        check_all(&Notifier::to(path.as_os_str()).unwrap(), &manager);
    }

    #[test]
    fn a_manager_with_an_abstract_name_hears_everything() {
        let name = format!("argus-test-{}", std::process::id());
        let address = SocketAddr::from_abstract_name(&name).unwrap();
        let manager = UnixDatagram::bind_addr(&address).unwrap();
        let notifier = Notifier::to(OsStr::new(&format!("@{name}"))).unwrap();
        check_all(&notifier, &manager);
    }

    #[test]
    fn without_a_manager_nothing_is_wrong() {
        Notifier::default().ready("x").unwrap();
    }

    #[test]
    fn a_manager_that_cannot_be_reached_is_said() {
        for address in ["vsock:2:1234", "relative", "/nowhere/notify"] {
            let error = Notifier::to(OsStr::new(address)).unwrap_err();
            let expected = format!("cannot tell the service manager at {address}");
            assert_eq!(error.to_string(), expected);
        }
    }

    #[test]
    fn a_manager_that_does_not_listen_keeps_nobody() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let _manager = UnixDatagram::bind(&path).unwrap();
        let notifier = Notifier::to(path.as_os_str()).unwrap();
        let full = (0..100_000).find(|_| notifier.ready("x").is_err());
        assert!(full.is_some());
    }
}
