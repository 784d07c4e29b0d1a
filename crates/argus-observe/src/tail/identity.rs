//! Which file is meant, whatever its path and whatever has become of it.
//!
//! A file is told by device, inode and birth: an inode number is given away again the moment its file is
//! removed, the moment of birth is not. Where the file system does not know births, the head of the
//! content has to do. The head also finds a *copy* of a file that was emptied (`copytruncate`).

use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::FileExt;
use std::path::Path;

use rustix::fs::{AtFlags, CWD, Statx, StatxFlags, statx};

/// What makes a file this file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Identity {
    /// The file system's number: major and minor device number.
    pub device: u64,
    /// The file's number there.
    pub inode: u64,
    /// When it was made, in nanoseconds since the Unix epoch; 0 where that is not known.
    pub born_ns: i64,
}

/// Bytes of a file's head that are remembered at most.
pub(super) const HEAD_BYTES: usize = 256;

/// With fewer bytes than these, many files begin alike.
const TELLING_BYTES: u32 = 8;

/// The beginning of a file's content. Once taken it stays the same: files grow at their end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Head {
    /// How many bytes were looked at; 0 of a file that was empty, which tells nothing.
    pub bytes: u32,
    /// Their FNV-1a hash.
    pub hash: u64,
}

/// The content of a file: the file, and how it begins. Emptied and written anew it is another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Content {
    /// The file in which it was first met.
    pub file: Identity,
    /// How it begins.
    pub head: Head,
}

/// What a look at a file tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Look {
    pub(super) identity: Identity,
    pub(super) size: u64,
    pub(super) modified_ns: i64,
    pub(super) links: u32,
    pub(super) is_regular: bool,
}

impl Look {
    /// At whatever stands at the path now, links followed. One system call.
    pub(super) fn at(path: &Path) -> io::Result<Self> {
        Ok(Self::of(&statx(CWD, path, AtFlags::empty(), WANTED)?))
    }

    /// At an open file. One system call.
    pub(super) fn through(file: impl AsFd) -> io::Result<Self> {
        Ok(Self::of(&statx(file, c"", AtFlags::EMPTY_PATH, WANTED)?))
    }

    fn of(told: &Statx) -> Self {
        let nanos = |seconds: i64, nanos: u32| {
            seconds
                .saturating_mul(1_000_000_000)
                .saturating_add(nanos.into())
        };
        let knows_birth = told.stx_mask & StatxFlags::BTIME.bits() != 0;
        let born = told.stx_btime;
        Self {
            identity: Identity {
                device: u64::from(told.stx_dev_major) << 32 | u64::from(told.stx_dev_minor),
                inode: told.stx_ino,
                born_ns: if knows_birth {
                    nanos(born.tv_sec, born.tv_nsec)
                } else {
                    0
                },
            },
            size: told.stx_size,
            modified_ns: nanos(told.stx_mtime.tv_sec, told.stx_mtime.tv_nsec),
            links: told.stx_nlink,
            is_regular: u32::from(told.stx_mode) & libc::S_IFMT == libc::S_IFREG,
        }
    }
}

const WANTED: StatxFlags = StatxFlags::BASIC_STATS.union(StatxFlags::BTIME);

impl Head {
    /// Of what the file holds now. Reads 256 bytes at most.
    pub(super) fn of(file: &File) -> io::Result<Self> {
        let mut space = [0; HEAD_BYTES];
        let length = read_full(file, &mut space)?;
        Ok(Self::of_bytes(&space[..length]))
    }

    /// Whether the file begins like this. What is not known fits everything.
    pub(super) fn fits(&self, file: &File) -> bool {
        let mut space = [0; HEAD_BYTES];
        let wanted = (self.bytes as usize).min(HEAD_BYTES);
        read_full(file, &mut space[..wanted])
            .is_ok_and(|length| Self::of_bytes(&space[..length]) == *self)
    }

    /// Whether `other` may be a copy of the content that begins like this, `offset` bytes of which were
    /// read. A head of a few bytes fits many: then it must hold all that was read.
    pub(super) fn may_be_copied_to(&self, other: &File, offset: u64) -> bool {
        let holds_all = (1..=u64::from(self.bytes)).contains(&offset);
        (self.tells() || holds_all) && self.fits(other)
    }

    /// Whether few others begin like this.
    pub(super) fn tells(&self) -> bool {
        self.bytes >= TELLING_BYTES
    }

    /// Of a content that begins with these bytes, of which it takes no more than it needs.
    pub(super) fn of_bytes(bytes: &[u8]) -> Self {
        let bytes = &bytes[..bytes.len().min(HEAD_BYTES)];
        // Fowler, Noll and Vo: nobody forges a log file to be taken for its own copy.
        const OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
        const PRIME: u64 = 0x0100_0000_01b3;
        let mix = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(PRIME);
        Self {
            bytes: bytes.len() as u32,
            hash: if bytes.is_empty() {
                0
            } else {
                bytes.iter().fold(OFFSET, mix)
            },
        }
    }
}

impl Content {
    /// Whether this, read up to `offset`, is all that `file` holds. What was written between the copying and
    /// the emptying of a file may have been read, and is in no copy.
    pub(super) fn is_all_of(&self, offset: u64, file: &File, size: u64) -> bool {
        let tells_enough = self.head.bytes >= TELLING_BYTES;
        let is_all = offset == size || offset > size && tells_enough;
        is_all && size > 0 && self.head.fits(file)
    }
}

/// Whether two files hold the same, as far as both go: one may be a copy of the other, or of what the
/// other was. Their beginnings are compared, and the last bytes that both have.
pub(super) fn hold_the_same(one: &File, other: &File) -> bool {
    let size = |file| Look::through(file).map_or(0, |look| look.size);
    let both = size(one).min(size(other));
    let mut from_one = [0; HEAD_BYTES];
    let mut from_other = [0; HEAD_BYTES];
    let length = both.min(HEAD_BYTES as u64) as usize;
    let mut is_same = |from: u64| {
        let (one_bytes, other_bytes) = (&mut from_one[..length], &mut from_other[..length]);
        one.read_exact_at(one_bytes, from).is_ok()
            && other.read_exact_at(other_bytes, from).is_ok()
            && one_bytes == other_bytes
    };
    both > 0 && is_same(0) && is_same(both - length as u64)
}

/// Where reading stopped in this very file, of the places that are known, the newest first.
///
/// A head of a few bytes tells of a content that was short then. If what it had become is not there any
/// more, neither is it, however alike the new content begins.
pub(super) fn place_in(
    file: &File,
    look: &Look,
    places: impl Iterator<Item = (Content, u64)>,
) -> Option<usize> {
    let mut refuted = 0;
    for (index, (content, offset)) in places.enumerate() {
        if content.file != look.identity {
            continue;
        }
        let head = content.head;
        if offset > look.size || !head.fits(file) {
            refuted = refuted.max(head.bytes);
        } else if head.bytes >= refuted {
            return Some(index);
        }
    }
    None
}

/// Reads from the file's start until `space` is full or the file is over.
fn read_full(file: &File, space: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < space.len() {
        match file.read_at(&mut space[filled..], filled as u64) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

/// Whether this is the beginning of a compressed file (gzip, bzip2, xz, zstd, lz4, compress): its bytes
/// are no lines.
pub(super) fn is_compressed(file: &File) -> bool {
    const MAGIC: [&[u8]; 6] = [
        b"\x1f\x8b",
        b"BZh",
        b"\xfd7zXZ",
        b"\x28\xb5\x2f\xfd",
        b"\x04\x22\x4d\x18",
        b"\x1f\x9d",
    ];
    let mut space = [0; 5];
    let length = read_full(file, &mut space).unwrap_or(0);
    MAGIC.iter().any(|magic| space[..length].starts_with(magic))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Write;

    use super::*;

    #[test]
    fn a_file_that_has_the_inode_of_a_removed_one_is_another() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let mut seen = std::collections::HashSet::new();
        for _ in 0..20 {
            fs::write(&path, "x").unwrap();
            let look = Look::at(&path).unwrap();
            if look.identity.born_ns == 0 {
                eprintln!("skipped: this file system does not know births");
                return;
            }
            assert!(seen.insert(look.identity));
            fs::remove_file(&path).unwrap();
        }
    }

    #[test]
    fn a_head_fits_what_has_grown_and_not_what_was_written_anew() {
        let mut file = tempfile::tempfile().unwrap();
        let empty = Head::of(&file).unwrap();
        assert!(!empty.may_be_copied_to(&file, 0));
        file.write_all(b"fir").unwrap();
        let short = Head::of(&file).unwrap();
        assert!(short.may_be_copied_to(&file, 3) && !short.may_be_copied_to(&file, 9));
        file.write_all(b"st line\n").unwrap();
        let head = Head::of(&file).unwrap();
        file.write_all(&[b'x'; 1000]).unwrap();
        assert!(head.fits(&file) && empty.fits(&file));
        file.set_len(0).unwrap();
        assert!(!head.fits(&file));
        file.write_at(b"other line\n", 0).unwrap();
        assert!(!head.fits(&file));
    }

    #[test]
    fn a_descriptor_and_a_path_tell_the_same() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        fs::write(&path, "twelve bytes").unwrap();
        let look = Look::at(&path).unwrap();
        assert_eq!(look, Look::through(File::open(&path).unwrap()).unwrap());
        assert_eq!((look.size, look.links, look.is_regular), (12, 1, true));
        assert!(!Look::at(folder.path()).unwrap().is_regular);
    }

    #[test]
    fn compressed_files_are_known_by_their_first_bytes() {
        let mut file = tempfile::tempfile().unwrap();
        assert!(!is_compressed(&file));
        file.write_all(b"\x1f\x8b\x08\x00").unwrap();
        assert!(is_compressed(&file));
    }
}
