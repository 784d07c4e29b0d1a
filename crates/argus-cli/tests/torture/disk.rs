//! Small file systems that can be filled, broken, and thrown away. Only for a test that is alone.

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::bed::Bed;

/// What a file system is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Memory,
    Ext4,
    Xfs,
    Btrfs,
}

impl Kind {
    pub(crate) const ALL: [Self; 4] = [Self::Memory, Self::Ext4, Self::Xfs, Self::Btrfs];
    pub(crate) const ON_A_DEVICE: [Self; 3] = [Self::Ext4, Self::Xfs, Self::Btrfs];

    /// The least that its maker accepts, or enough.
    fn megabytes(self) -> u64 {
        match self {
            Self::Memory => 64,
            Self::Ext4 => 96,
            Self::Xfs => 320,
            Self::Btrfs => 160,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Memory => "tmpfs",
            Self::Ext4 => "ext4",
            Self::Xfs => "xfs",
            Self::Btrfs => "btrfs",
        }
    }
}

/// A file system that is mounted where a bed keeps its data.
pub(crate) struct Disk {
    kind: Kind,
    folder: PathBuf,
    pub(crate) bed: Bed,
}

impl Disk {
    /// Nothing where the tools or the rights are missing, which is said.
    pub(crate) fn mount(kind: Kind) -> Option<Self> {
        let bed = Bed::at("disk");
        let folder = bed.path("disk");
        std::fs::create_dir(&folder).unwrap();
        let mounted = if kind == Kind::Memory {
            let size = format!("size={}m,mode=700", kind.megabytes());
            run("mount", &["-t", "tmpfs", "-o", &size, "torture"], &folder)
        } else {
            let image = bed.path("image");
            let file = File::create(&image).unwrap();
            file.set_len(kind.megabytes() << 20).unwrap();
            run(&format!("mkfs.{}", kind.name()), &["-q"], &image)
                && run("mount", &["-o", "loop", image.to_str().unwrap()], &folder)
        };
        if !mounted {
            println!("{}: not tried, it cannot be mounted here", kind.name());
            return None;
        }
        Some(Self { kind, folder, bed })
    }

    pub(crate) fn name(&self) -> &'static str {
        self.kind.name()
    }

    /// A file that leaves `room` bytes free.
    pub(crate) fn fill(&self, room: u64) -> PathBuf {
        let ballast = self.folder.join("ballast");
        let free = self.free();
        let size = free.saturating_sub(room).to_string();
        assert!(run("fallocate", &["-l", &size], &ballast), "{free} free");
        ballast
    }

    /// A file that leaves nothing free.
    pub(crate) fn fill_up(&self) -> PathBuf {
        let ballast = self.folder.join("ballast");
        let mut file = File::create(&ballast).unwrap();
        // What could be written may have been promised only; syncing tells how much was kept.
        for block in [1 << 20, 1 << 16, 1 << 12] {
            let block = vec![1; block];
            while file.write_all(&block).is_ok() {}
            let _ = file.sync_all();
        }
        ballast
    }

    fn free(&self) -> u64 {
        let data = rustix::fs::statvfs(&self.folder).unwrap();
        data.f_bavail * data.f_frsize
    }

    /// Mounts it anew with these options.
    pub(crate) fn remount(&self, options: &str) -> bool {
        let options = format!("remount,{options}");
        run("mount", &["-o", &options], &self.folder)
    }

    /// From now on every access that needs the device fails with EIO, as when it was pulled out.
    pub(crate) fn break_down(&self) -> bool {
        let script = "import fcntl, os, struct, sys\n\
                      fcntl.ioctl(os.open(sys.argv[1], 0), 0x8004587D, struct.pack('I', 2))";
        run("python3", &["-c", script], &self.folder)
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        run("umount", &["--lazy"], &self.folder);
    }
}

fn run(program: &str, arguments: &[&str], last: &Path) -> bool {
    let output = Command::new(program).args(arguments).arg(last).output();
    let done = output.as_ref().is_ok_and(|output| output.status.success());
    if let Ok(output) = output
        && !done
    {
        println!(
            "{program}: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        );
    }
    done
}
