//! Files written and read past the cache of the system, so that what was moved is known.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::process::Stdio;

use rustix::process::Signal;

use super::Watched;
use crate::bed::{Bed, until};
use crate::rounds;

const MIB: u64 = 1 << 20;
/// What a page needs that goes to a device without a copy.
const ALIGNMENT: usize = 4096;
/// What the file system may write about files beside what is written into them.
const ABOUT_FILES: u64 = MIB;

#[test]
fn a_program_moves_to_disk_and_from_it_what_gaze_says() {
    let (bed, mebibytes) = (Bed::new(), rounds(16));
    let mut host = bed.host(&format!("disk:{mebibytes}:{}", bed.path("").display()));
    let go = bed.path("go");
    let mut watched = Watched::start(bed, host.stdout(Stdio::piped()), || {});
    std::fs::write(go, "").unwrap();
    let said = BufReader::new(watched.program.0.stdout.take().unwrap());
    let Some((written, read)) = accounted(said) else {
        println!("programs, disk: not run, the file system takes no direct writes");
        return;
    };
    let seen = || {
        let written = watched.total("disk_written_bytes");
        (written, watched.total("disk_read_bytes"))
    };
    until("gaze says what the kernel told the program itself", || {
        seen() == (written, read)
    });
    let moved = u64::from(mebibytes) * MIB;
    println!(
        "programs, disk: {moved} bytes written and {} read by the program, {written} and {read} by gaze",
        moved / 2
    );
    assert!((moved..moved + ABOUT_FILES).contains(&written));
    assert!((moved / 2..moved / 2 + ABOUT_FILES).contains(&read));
    let ends = watched.end(Signal::TERM);
    assert_eq!((ends.processes, ends.unknown), (1, 0), "{ends:?}");
}

/// What a program was told of itself: bytes written and read.
fn accounted(said: impl BufRead) -> Option<(u64, u64)> {
    let (mut written, mut read) = (None, None);
    for line in said.lines() {
        let line = line.unwrap();
        let value = |key| {
            line.strip_prefix(key)
                .map(|value: &str| value.trim().parse().unwrap())
        };
        read = read.or(value("read_bytes:"));
        written = written.or(value("write_bytes:"));
        if line.starts_with("cannot") || (read.is_some() && written.is_some()) {
            break;
        }
    }
    Some((written?, read?))
}

/// Writes so many MiB, reads half of them, says what the kernel has counted, and stays. It is said
/// into a pipe: to write it into a file would be counted, too.
pub(crate) fn host(mebibytes: u32, folder: &Path) {
    until("somebody watches", || folder.join("go").exists());
    match moved(mebibytes, &folder.join("moved")) {
        Ok(()) => print!("{}", std::fs::read_to_string("/proc/self/io").unwrap()),
        Err(error) => println!("cannot move: {error}"),
    }
    std::io::stdout().flush().unwrap();
    loop {
        std::thread::park();
    }
}

fn moved(mebibytes: u32, file: &Path) -> std::io::Result<()> {
    let mut space = vec![7; MIB as usize + ALIGNMENT];
    let begin = space.as_ptr().align_offset(ALIGNMENT);
    let page = &mut space[begin..begin + MIB as usize];
    let mut direct = File::options();
    direct.custom_flags(libc::O_DIRECT);
    let mut out = direct.clone().write(true).create(true).open(file)?;
    for _ in 0..mebibytes {
        out.write_all(page)?;
    }
    out.sync_all()?;
    let mut back = direct.read(true).open(file)?;
    for _ in 0..mebibytes / 2 {
        back.read_exact(page)?;
    }
    Ok(())
}
