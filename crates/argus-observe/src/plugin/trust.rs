//! Whether a file may be run: nobody else may be able to change what it says.
//!
//! A plugin runs with all the rights of whoever observes, so a file that others may write to would
//! give those rights to them. The file must belong to the observer or to the superuser and must
//! not be writable by its group or by others; the same holds for every folder above it, where the
//! file could be exchanged, unless its sticky bit prevents that, as in `/tmp`.

use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::argv::Argv;

/// Why a plugin is not run, and what to do; it goes on from "plugin X is not run: ".
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// There is no such file.
    #[error("{0} is not there: give its path")]
    Missing(String),
    /// It is there and cannot be executed.
    #[error("{} is not executable: chmod +x {}", .0.display(), .0.display())]
    NotExecutable(PathBuf),
    /// It cannot be looked at.
    #[error("{} cannot be looked at", .path.display())]
    Unreadable {
        /// The plugin, or a folder above it.
        path: PathBuf,
        /// The operating system's reason.
        source: io::Error,
    },
    /// Others could change it.
    #[error("others may write to {}: chmod go-w {}", .0.display(), .0.display())]
    Writable(PathBuf),
    /// Another user could change it.
    #[error("{} belongs to another user ({owner}): keep a copy of your own", .path.display())]
    Foreign {
        /// The plugin, or a folder above it.
        path: PathBuf,
        /// Its owner.
        owner: u32,
    },
}

/// How a plugin is started, and what must not change meanwhile.
#[derive(Debug, Clone)]
pub(super) struct Launch {
    pub(super) program: PathBuf,
    pub(super) arguments: Vec<String>,
    /// The program, and the script that it is to read.
    files: Vec<PathBuf>,
}

impl Launch {
    /// Finds the file that the user means. Does not look yet whether it may be run.
    pub(super) fn find(argv: &Argv) -> Result<Self, Refused> {
        let file = find(argv.program())?;
        let mode = look(&file)?.mode();
        let is_executable = mode & 0o111 != 0;
        let mut arguments = argv.arguments().to_vec();
        let mut files = vec![file.clone()];
        let program = if is_executable {
            let script = arguments.first().filter(|word| !word.starts_with('-'));
            let script = script.map(|word| absolute(Path::new(word)));
            files.extend(script.filter(|path| path.is_file()));
            file
        } else if is_python(argv.program()) {
            arguments.insert(0, file.to_string_lossy().into_owned());
            let python = find("python3")?;
            files.push(python.clone());
            python
        } else {
            return Err(Refused::NotExecutable(file));
        };
        Ok(Self {
            program,
            arguments,
            files,
        })
    }

    /// Whether nobody else can change what would run. A few system calls; asked before every start.
    pub(super) fn check(&self) -> Result<(), Refused> {
        let me = rustix::process::geteuid().as_raw();
        for file in &self.files {
            judge(file, &look(file)?, me)?;
            let real = fs::canonicalize(file).map_err(|source| Refused::Unreadable {
                path: file.clone(),
                source,
            })?;
            // Where a link lies counts as much as what it points to.
            let folders = real.ancestors().skip(1).chain(file.ancestors().skip(1));
            for folder in folders {
                judge(folder, &look(folder)?, me)?;
            }
        }
        Ok(())
    }
}

fn is_python(program: &str) -> bool {
    Path::new(program).extension().is_some_and(|it| it == "py")
}

/// The file of this name: a path, a Python file in the current folder, or a program on the `PATH`.
fn find(program: &str) -> Result<PathBuf, Refused> {
    let direct = absolute(Path::new(program));
    if program.contains('/') || (is_python(program) && direct.is_file()) {
        return match direct.is_dir() {
            true => Err(Refused::NotExecutable(direct)),
            false => Ok(direct),
        };
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let is_program = |file: &PathBuf| {
        fs::metadata(file).is_ok_and(|about| about.is_file() && about.mode() & 0o111 != 0)
    };
    std::env::split_paths(&path)
        .map(|folder| absolute(&folder.join(program)))
        .find(is_program)
        .ok_or_else(|| Refused::Missing(program.to_owned()))
}

fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

fn look(path: &Path) -> Result<Metadata, Refused> {
    fs::metadata(path).map_err(|source| match source.kind() {
        io::ErrorKind::NotFound => Refused::Missing(path.to_string_lossy().into_owned()),
        _ => Refused::Unreadable {
            path: path.to_owned(),
            source,
        },
    })
}

fn judge(path: &Path, about: &Metadata, me: u32) -> Result<(), Refused> {
    match fault(about.mode(), about.uid(), about.is_dir(), me) {
        None => Ok(()),
        Some(Fault::Owner) => Err(Refused::Foreign {
            path: path.to_owned(),
            owner: about.uid(),
        }),
        Some(Fault::Mode) => Err(Refused::Writable(path.to_owned())),
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Fault {
    Owner,
    Mode,
}

fn fault(mode: u32, owner: u32, is_folder: bool, me: u32) -> Option<Fault> {
    const STICKY: u32 = 0o1000;
    const OTHERS_WRITE: u32 = 0o022;
    if owner != 0 && owner != me {
        Some(Fault::Owner)
    } else if mode & OTHERS_WRITE != 0 && !(is_folder && mode & STICKY != 0) {
        Some(Fault::Mode)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    #[test]
    fn whoever_else_could_write_is_a_fault() {
        let me = 1000;
        let check = |mode, owner, is_folder, expected: Option<Fault>| {
            assert_eq!(
                fault(mode, owner, is_folder, me),
                expected,
                "{mode:o} {owner}"
            );
        };
        check(0o100_755, me, false, None);
        check(0o100_755, 0, false, None);
        check(0o100_755, 1001, false, Some(Fault::Owner));
        check(0o100_775, me, false, Some(Fault::Mode));
        check(0o100_757, 0, false, Some(Fault::Mode));
        check(0o101_777, me, false, Some(Fault::Mode));
        check(0o040_755, me, true, None);
        check(0o041_777, 0, true, None);
        check(0o040_777, 0, true, Some(Fault::Mode));
        check(0o042_775, 0, true, Some(Fault::Mode));
        check(0o041_777, 1001, true, Some(Fault::Owner));
    }

    fn set_mode(path: &Path, mode: u32) {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    fn argv(path: &Path) -> Argv {
        vec![path.to_str().unwrap().to_owned()].try_into().unwrap()
    }

    fn checked(argv: &Argv) -> Result<Launch, Refused> {
        let launch = Launch::find(argv)?;
        launch.check()?;
        Ok(launch)
    }

    #[test]
    fn real_files_and_folders_are_judged() {
        let folder = tempfile::tempdir().unwrap();
        let inner = folder.path().join("plugins");
        fs::create_dir(&inner).unwrap();
        set_mode(&inner, 0o755);
        let file = inner.join("depth");
        fs::write(&file, "#!/bin/sh\n").unwrap();
        set_mode(&file, 0o644);
        assert!(matches!(checked(&argv(&file)), Err(Refused::NotExecutable(path)) if path == file));
        set_mode(&file, 0o755);
        checked(&argv(&file)).unwrap();
        set_mode(&file, 0o775);
        assert_eq!(
            checked(&argv(&file)).unwrap_err().to_string(),
            format!("others may write to {0}: chmod go-w {0}", file.display())
        );
        set_mode(&file, 0o755);
        set_mode(&inner, 0o777);
        assert!(matches!(checked(&argv(&file)), Err(Refused::Writable(path)) if path == inner));
        set_mode(&inner, 0o1777);
        checked(&argv(&file)).unwrap();
    }

    #[test]
    fn a_link_in_an_open_folder_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let open = folder.path().join("open");
        fs::create_dir(&open).unwrap();
        set_mode(&open, 0o777);
        let link = open.join("depth");
        symlink("/bin/sh", &link).unwrap();
        assert!(matches!(checked(&argv(&link)), Err(Refused::Writable(path)) if path == open));
    }

    #[test]
    fn a_python_file_is_run_with_python_and_a_script_is_judged_like_its_reader() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("depth.py");
        fs::write(&file, "print('x 1')\n").unwrap();
        set_mode(&file, 0o644);
        let launch = checked(&argv(&file)).unwrap();
        assert!(launch.program.ends_with("python3"), "{launch:?}");
        assert_eq!(launch.arguments, [file.to_str().unwrap()]);
        let read_by = |reader: &str| {
            let words = vec![reader.to_owned(), file.to_str().unwrap().to_owned()];
            words.try_into().unwrap()
        };
        checked(&read_by("sh")).unwrap();
        set_mode(&file, 0o666);
        for argv in [argv(&file), read_by("sh")] {
            assert!(matches!(checked(&argv), Err(Refused::Writable(path)) if path == file));
        }
    }

    #[test]
    fn what_is_not_there_is_said_so() {
        let error = checked(&"no-such-plugin-anywhere".parse().unwrap()).unwrap_err();
        assert_eq!(
            error.to_string(),
            "no-such-plugin-anywhere is not there: give its path"
        );
        assert!(matches!(
            checked(&"/nowhere/plugin.py".parse().unwrap()),
            Err(Refused::Missing(_))
        ));
        assert!(matches!(
            checked(&"/usr".parse().unwrap()),
            Err(Refused::NotExecutable(_))
        ));
    }
}
