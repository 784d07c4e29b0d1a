//! Where the data lies: the folder, its file system, the database.

use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use argus_model::paths::DataDir;
use argus_spool::probe;
use argus_store::OpenError;
use argus_tui::format;
use rustix::fs::{Access, access, statvfs};
use rustix::process::geteuid;

use super::finding::{Finding, Section};

/// A WAL beyond this means that a reader holds it back, or no collector was there to fold it in.
const LARGE_WAL: u64 = 128 << 20;
/// Less free space than this may not last until somebody looks.
const LITTLE_SPACE: u64 = 1 << 30;
const ELSEWHERE: &str = "argus doctor --db FILE   (name a database elsewhere)";

/// All checks of this section.
pub(super) fn check(data: &DataDir) -> Section {
    let mut findings = vec![folder(data), file_system(data), database(data)];
    if data.spool().is_dir() {
        findings.push(spool(&data.spool()));
    }
    Section::new("Data", findings)
}

fn folder(data: &DataDir) -> Finding {
    let folder = data.folder();
    match fs::metadata(&folder) {
        Ok(metadata) => existing_folder(&folder, &metadata, geteuid().as_raw()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let parent = nearest_folder(&folder);
            match access(&parent, Access::WRITE_OK | Access::EXEC_OK) {
                Ok(()) => Finding::ok(
                    "folder",
                    format!("{}: made by the first recording", folder.display()),
                ),
                Err(error) => Finding::problem(
                    "folder",
                    format!(
                        "{} cannot be made in {}: {error}",
                        folder.display(),
                        parent.display()
                    ),
                    ELSEWHERE,
                ),
            }
        }
        Err(error) => Finding::problem(
            "folder",
            format!("{}: {error}", folder.display()),
            format!("ls -ld {}", folder.display()),
        ),
    }
}

fn existing_folder(folder: &Path, metadata: &Metadata, user: u32) -> Finding {
    let path = folder.display();
    let mode = metadata.permissions().mode() & 0o777;
    let found = format!("{path}, mode {mode:04o}");
    if !metadata.is_dir() {
        return Finding::problem("folder", format!("{path} is no folder"), ELSEWHERE);
    }
    if metadata.uid() != user {
        let found = format!("{path} belongs to user {}, not to you", metadata.uid());
        return Finding::problem("folder", found, ELSEWHERE);
    }
    if mode & 0o077 != 0 {
        let advice = format!("chmod 700 {path}   (others may look in)");
        return Finding::off("folder", found, advice);
    }
    Finding::ok("folder", format!("{found}, yours"))
}

/// The folder itself, or the nearest one above it that exists.
fn nearest_folder(folder: &Path) -> PathBuf {
    let existing = folder.ancestors().find(|folder| folder.is_dir());
    existing.unwrap_or(Path::new("/")).to_owned()
}

fn file_system(data: &DataDir) -> Finding {
    let parent = nearest_folder(data.database().parent().unwrap_or(Path::new("/")));
    let refused = argus_store::check_place(&parent.join("any"));
    if let Err(OpenError::Network { kind, .. }) = refused {
        let found = format!("{kind}, a network file system: it cannot keep a store");
        return Finding::problem("file system", found, ELSEWHERE);
    }
    if let Err(OpenError::NotOurs(path)) = refused {
        let found = format!("{} belongs to another user", path.display());
        return Finding::problem("file system", found, ELSEWHERE);
    }
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let path = parent.canonicalize().unwrap_or(parent);
    let free = statvfs(&path).map(|status| status.f_bavail * status.f_frsize);
    judge_file_system(
        kind_at(&mounts, &path).unwrap_or("unknown"),
        free.unwrap_or(0),
    )
}

fn judge_file_system(kind: &str, free: u64) -> Finding {
    let found = format!("{kind}, {} free", format::bytes(free));
    if matches!(kind, "btrfs" | "bcachefs" | "zfs") {
        return Finding::off(
            "file system",
            format!("{found}; it copies on write, so a full disk could stop a recording program"),
            "keep some space free, or name a database on ext4, xfs or tmpfs with --db",
        );
    }
    if free < LITTLE_SPACE {
        let advice = "free some space; a full disk stops the recording, never a program";
        return Finding::off("file system", found, advice);
    }
    Finding::ok("file system", found)
}

/// The kind of the file system that holds a path, by the text of `/proc/self/mountinfo`.
fn kind_at<'a>(mounts: &'a str, path: &Path) -> Option<&'a str> {
    let mount = |line: &'a str| {
        let (before, after) = line.split_once(" - ")?;
        // Spaces in a mount point are told as \040.
        let point = before.split(' ').nth(4)?.replace("\\040", " ");
        let length = path.starts_with(&point).then_some(point.len())?;
        Some((length, after.split(' ').next()?))
    };
    // Of mounts at the same point the last one is seen.
    let mounts = mounts.lines().filter_map(mount);
    mounts
        .max_by_key(|(length, _)| *length)
        .map(|(_, kind)| kind)
}

fn spool(folder: &Path) -> Finding {
    match probe::try_folder(folder) {
        Ok(()) => Finding::ok("spool", "a file was allocated, mapped, and removed again"),
        Err(error) => Finding::problem(
            "spool",
            format!(
                "no file can be allocated and mapped in {}: {error}",
                folder.display()
            ),
            format!("df {0}; ls -ld {0}", folder.display()),
        ),
    }
}

fn database(data: &DataDir) -> Finding {
    let path = data.database();
    let version = match argus_store::schema_version(path) {
        Ok(version) => version,
        Err(OpenError::Missing(_)) => {
            let found = format!("{}: made by the first recording", path.display());
            return Finding::ok("database", found);
        }
        Err(error) => return refused(path, &error),
    };
    let length = |suffix: &str| {
        let mut name = path.as_os_str().to_owned();
        name.push(suffix);
        fs::metadata(PathBuf::from(name)).map_or(0, |metadata| metadata.len())
    };
    let wal = length("-wal");
    let found = format!(
        "{}, {}, WAL {}, schema {version}",
        path.display(),
        format::bytes(length("")),
        format::bytes(wal)
    );
    if wal > LARGE_WAL {
        let advice = "a program that reads the database holds it back: fuser -v on the file tells";
        return Finding::off("database", found, advice);
    }
    Finding::ok("database", found)
}

fn refused(path: &Path, error: &OpenError) -> Finding {
    let advice = match error {
        OpenError::Newer { .. } => {
            "use that newer Argus, or name another database with --db".into()
        }
        OpenError::Damaged { .. } => {
            format!(
                "mv {0} {0}.damaged   (keeps it; the next recording makes a new one)",
                path.display()
            )
        }
        _ => ELSEWHERE.to_owned(),
    };
    let mut found = error.to_string();
    if let Some(source) = std::error::Error::source(error) {
        found.push_str(&format!(": {source}"));
    }
    Finding::problem("database", found, advice)
}

#[cfg(test)]
mod tests {
    use super::super::finding::Verdict;
    use super::*;

    #[test]
    fn the_innermost_mount_holds_a_path() {
        let mounts = "21 1 8:1 / / rw - ext4 /dev/sda1 rw\n\
                      22 21 0:20 / /home rw,nosuid shared:1 - btrfs /dev/sdb rw\n\
                      23 21 0:21 / /mnt/my\\040disk rw - xfs /dev/sdc rw\n\
                      24 21 0:22 / /home rw - zfs pool rw\n";
        let check = |path: &str, kind| assert_eq!(kind_at(mounts, Path::new(path)), Some(kind));
        check("/var/lib", "ext4");
        check("/home/user", "zfs");
        check("/homeless", "ext4");
        check("/mnt/my disk/x", "xfs");
    }

    #[test]
    fn copying_file_systems_and_full_ones_are_told() {
        assert_eq!(judge_file_system("ext4", 5 << 30).verdict, Verdict::Ok);
        assert_eq!(judge_file_system("ext4", 5 << 20).verdict, Verdict::Off);
        assert_eq!(judge_file_system("btrfs", 5 << 30).verdict, Verdict::Off);
    }

    #[test]
    fn a_folder_open_to_others_works_and_another_users_does_not() {
        let folder = tempfile::tempdir().unwrap();
        let metadata = |mode| {
            fs::set_permissions(folder.path(), fs::Permissions::from_mode(mode)).unwrap();
            fs::metadata(folder.path()).unwrap()
        };
        let user = geteuid().as_raw();
        let check = |mode, user| existing_folder(folder.path(), &metadata(mode), user).verdict;
        assert_eq!(check(0o700, user), Verdict::Ok);
        assert_eq!(check(0o755, user), Verdict::Off);
        assert_eq!(check(0o700, user + 1), Verdict::Problem);
    }
}
