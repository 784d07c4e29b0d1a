//! What a process can be called by, and how well a name fits.
//!
//! A name matches what the kernel calls the process (15 bytes at most, so a longer name is compared
//! with the program's full name as well), or the base name of its first argument or its executable:
//! `python3` finds the interpreter behind `./server.py`.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// The longest name the kernel keeps for a process.
pub(super) const KERNEL_NAME_BYTES: usize = 15;

/// How well a name fits; the better is the smaller.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Likeness {
    KernelName,
    FullName,
    Program,
}

/// What a process can be called by.
pub(super) struct Identity<'a> {
    pub(super) kernel_name: &'a str,
    pub(super) argument: Option<&'a [u8]>,
    pub(super) exe: Option<&'a Path>,
}

impl Identity<'_> {
    pub(super) fn likeness(&self, name: &str) -> Option<Likeness> {
        if self.kernel_name == name {
            Some(Likeness::KernelName)
        } else if self.full_name() == name {
            Some(Likeness::FullName)
        } else if self.programs().any(|program| program == name) {
            Some(Likeness::Program)
        } else {
            None
        }
    }

    /// The kernel's name, completed from the program's where the kernel had to cut it.
    pub(super) fn full_name(&self) -> String {
        let cut = self.kernel_name;
        if cut.len() < KERNEL_NAME_BYTES {
            return cut.to_owned();
        }
        self.programs()
            .find(|program| program.starts_with(cut))
            .unwrap_or_else(|| cut.to_owned())
    }

    /// Base names of the first argument and of the executable.
    fn programs(&self) -> impl Iterator<Item = String> {
        let base = |path: &Path| Some(path.file_name()?.to_string_lossy().into_owned());
        let argument = self
            .argument
            .map(|bytes| Path::new(OsStr::from_bytes(bytes)));
        let exe = self.exe.and_then(base).map(|name| {
            // What the kernel appends once the file was replaced or removed.
            name.strip_suffix(" (deleted)").unwrap_or(&name).to_owned()
        });
        argument.and_then(base).into_iter().chain(exe)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(kernel_name: &str, argument: &str, exe: &str, name: &str) -> Option<Likeness> {
        let identity = Identity {
            kernel_name,
            argument: Some(argument.as_bytes()).filter(|bytes| !bytes.is_empty()),
            exe: Some(Path::new(exe)).filter(|path| !path.as_os_str().is_empty()),
        };
        identity.likeness(name)
    }

    #[test]
    fn a_process_is_found_by_the_names_people_use() {
        use Likeness::{FullName, KernelName, Program};
        assert_eq!(
            check("nginx", "nginx: master process", "", "nginx"),
            Some(KernelName)
        );
        assert_eq!(
            check(
                "server.py",
                "/usr/bin/python3",
                "/usr/bin/python3.11",
                "python3"
            ),
            Some(Program)
        );
        assert_eq!(
            check(
                "server.py",
                "/usr/bin/python3",
                "/usr/bin/python3.11",
                "python3.11"
            ),
            Some(Program)
        );
        assert_eq!(
            check(
                "terrain_simulat",
                "./terrain_simulator",
                "",
                "terrain_simulator"
            ),
            Some(FullName)
        );
        assert_eq!(
            check(
                "terrain_simulat",
                "./terrain_simulator",
                "",
                "terrain_simulat"
            ),
            Some(KernelName)
        );
        assert_eq!(
            check("app", "", "/opt/tool (deleted)", "tool"),
            Some(Program)
        );
        assert_eq!(
            check("kworker/0:1", "", "", "kworker/0:1"),
            Some(KernelName)
        );
        assert_eq!(check("nginx", "nginx", "/usr/sbin/nginx", "ngin"), None);
        assert_eq!(check("x", "", "", ""), None);
    }

    #[test]
    fn a_cut_name_is_completed_from_the_program() {
        let identity = Identity {
            kernel_name: "terrain_simulat",
            argument: Some(b"-login"),
            exe: Some(Path::new("/opt/terrain_simulator")),
        };
        assert_eq!(identity.full_name(), "terrain_simulator");
    }
}
