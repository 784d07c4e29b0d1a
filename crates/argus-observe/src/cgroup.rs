//! Where the kernel shows the control groups of a process: from the tables of `/proc` to folders.

use std::path::{Component, Path, PathBuf};

/// A group as a folder, and the folder of the topmost group that can be seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) root: PathBuf,
    pub(crate) folder: PathBuf,
}

/// The path behind a controller, from lines of `number:controllers:path`; version 2 names none.
pub(crate) fn group_of<'a>(groups: &'a str, controller: &str) -> Option<&'a Path> {
    groups.lines().find_map(|line| {
        let (_, rest) = line.split_once(':')?;
        let (controllers, path) = rest.split_once(':')?;
        let is_meant = controllers.split(',').any(|name| name == controller);
        is_meant.then(|| Path::new(path))
    })
}

/// Where the kernel shows this group, from the lines of `mountinfo`: `… root place … - type … options`.
/// A group outside of what is mounted (seen from within a container), or one that is gone, is shown
/// nowhere.
pub(crate) fn mount_of(mounts: &str, controller: Option<&str>, group: &Path) -> Option<Place> {
    let is_removed = group.as_os_str().to_string_lossy().ends_with(" (deleted)");
    if is_removed || group.components().any(|part| part == Component::ParentDir) {
        return None;
    }
    mounts.lines().find_map(|line| {
        let (front, back) = line.split_once(" - ")?;
        let mut back = back.split(' ');
        let is_meant = match (back.next()?, controller) {
            ("cgroup2", None) => true,
            ("cgroup", Some(controller)) => back
                .nth(1)
                .is_some_and(|options| options.split(',').any(|option| option == controller)),
            _ => false,
        };
        let mut front = front.split(' ').skip(3);
        let (root, place) = (unescaped(front.next()?), unescaped(front.next()?));
        let inside = group.strip_prefix(root).ok()?;
        is_meant.then(|| Place {
            folder: place.join(inside),
            root: place,
        })
    })
}

/// A path as the table of mounts writes it: spaces and the like in octal.
fn unescaped(text: &str) -> PathBuf {
    let codes = [("\\040", " "), ("\\011", "\t"), ("\\012", "\n")];
    let plain = codes.iter().fold(text.to_owned(), |text, (code, plain)| {
        text.replace(code, plain)
    });
    plain.replace("\\134", "\\").into()
}
