//! The file that a process holds locked while it has calls open: its lease, and room for what the ledger cannot take.

use std::fs::{File, TryLockError};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use super::files::{Place, open_private};

/// Set aside on the disk, so that a settlement finds room where the disk is full.
#[cfg(unix)]
const ROOM: u64 = 64 << 10;
/// How many leases of others one process looks at, to clear away the abandoned ones.
const LOOKED_AT_MAX: usize = 8;

/// A locked file. Without a line in it, it is removed at the end; with one, it waits for the next start.
#[derive(Debug)]
pub(super) struct Lease {
    file: File,
    path: PathBuf,
}

impl Lease {
    /// Makes and locks a file whose name is `mark` and a number, in a folder that is there.
    pub(super) fn take(folder: &Path, mark: &str) -> io::Result<Lease> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        loop {
            let path = folder.join(format!("{mark}-{}", COUNT.fetch_add(1, Ordering::Relaxed)));
            let file = open_private(&path)?;
            file.lock()?;
            // Between making and locking it, another process may have taken it for abandoned and removed it.
            let lease = Lease { file, path };
            if lease.stands() && lease.file.metadata()?.len() == 0 {
                set_aside(&lease.file)?;
                clear(folder, &lease.path);
                return Ok(lease);
            }
        }
    }

    /// Whether the file still is where others look for it: the ledger's folder may have been deleted.
    pub(super) fn stands(&self) -> bool {
        Place::of(&self.path).is_some() && Place::of(&self.path) == Place::of_file(&self.file)
    }

    /// Writes one line, durably.
    pub(super) fn write(&mut self, line: &str) -> io::Result<&Path> {
        self.file.write_all(format!("{line}\n").as_bytes())?;
        self.file.sync_all()?;
        Ok(&self.path)
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if self.file.metadata().is_ok_and(|about| about.len() == 0) {
            // What stays behind is cleared by a later process.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

/// Blocks beyond the end of the file: it stays empty, and what is appended finds its place.
#[cfg(target_os = "linux")]
fn set_aside(file: &File) -> io::Result<()> {
    use rustix::fs::{FallocateFlags, fallocate};
    use rustix::io::Errno;
    match fallocate(file, FallocateFlags::KEEP_SIZE, 0, ROOM) {
        // Not every file system can: there the line is written as it comes.
        Ok(()) | Err(Errno::OPNOTSUPP | Errno::NOSYS) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Elsewhere it is only known that there was room.
#[cfg(all(unix, not(target_os = "linux")))]
fn set_aside(file: &File) -> io::Result<()> {
    file.set_len(ROOM)?;
    file.set_len(0)
}

/// A handle that appends may not set a length: it lacks `FILE_WRITE_DATA` (std::fs::OpenOptions::append, read 2026-11-22).
#[cfg(not(unix))]
fn set_aside(_: &File) -> io::Result<()> {
    Ok(())
}

/// Whether a living process holds a lease of this mark.
pub(super) fn is_held(folder: &Path, mark: &str) -> bool {
    leases(folder).any(|(path, _)| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.rsplit_once('-').is_some_and(|(start, _)| start == mark)
            && File::open(&path).is_ok_and(|file| matches!(file.try_lock(), Err(TryLockError::WouldBlock)))
    })
}

/// What dead processes left behind, locked so that no other reader takes it: the file and its text.
pub(super) fn left_behind(folder: &Path) -> Vec<(PathBuf, File, String)> {
    leases(folder)
        .filter(|(_, length)| *length > 0)
        .filter_map(|(path, _)| {
            let mut file = abandoned(&path)?;
            // Through the handle that holds the lock: Windows keeps every other one from reading.
            let mut text = Vec::new();
            file.read_to_end(&mut text).ok()?;
            Some((path, file, String::from_utf8_lossy(&text).into_owned()))
        })
        .collect()
}

/// Removes empty leases of dead processes, a few at a time.
fn clear(folder: &Path, own: &Path) {
    for (path, length) in leases(folder).take(LOOKED_AT_MAX) {
        if length == 0
            && path != own
            && let Some(_locked) = abandoned(&path)
            && path.metadata().is_ok_and(|about| about.len() == 0)
        {
            let _ = std::fs::remove_file(&path);
        }
    }
}

/// The file, locked, where nobody holds it and it still is the one at its path.
fn abandoned(path: &Path) -> Option<File> {
    let file = File::open(path).ok()?;
    file.try_lock().ok()?;
    (Place::of(path).is_some() && Place::of(path) == Place::of_file(&file)).then_some(file)
}

fn leases(folder: &Path) -> impl Iterator<Item = (PathBuf, u64)> {
    std::fs::read_dir(folder).into_iter().flatten().filter_map(|entry| {
        let entry = entry.ok()?;
        let about = entry.metadata().ok().filter(std::fs::Metadata::is_file)?;
        Some((entry.path(), about.len()))
    })
}

#[cfg(test)]
mod tests {
    use super::{Lease, is_held, left_behind};

    #[test]
    fn an_empty_lease_is_gone_at_the_end_and_a_written_one_waits() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut lease = Lease::take(folder.path(), "1-2-3").expect("taken");
        assert!(is_held(folder.path(), "1-2-3") && !is_held(folder.path(), "1-2"));
        lease.write("{}").expect("written");
        assert!(left_behind(folder.path()).is_empty(), "its owner lives");
        drop(lease);
        let left = left_behind(folder.path());
        assert_eq!(left.len(), 1);
        assert_eq!(left[0].2, "{}\n");
        drop(Lease::take(folder.path(), "4-5-6").expect("taken"));
        assert_eq!(std::fs::read_dir(folder.path()).expect("read").count(), 1);
    }
}
