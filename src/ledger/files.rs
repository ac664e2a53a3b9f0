//! Folders and files that only their owner may read, whatever the umask, and never through a symbolic link.

use std::fs::{File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

use super::error::LedgerError;

/// Which file a path led to, so that a deleted or replaced one is noticed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    device: u64,
    inode: u64,
}

impl Place {
    /// `None` where there is no file.
    pub(super) fn of(path: &Path) -> Option<Place> {
        path.symlink_metadata().ok().map(|about| Place::at(&about))
    }

    #[cfg(unix)]
    fn at(about: &std::fs::Metadata) -> Place {
        use std::os::unix::fs::MetadataExt as _;
        Place { device: about.dev(), inode: about.ino() }
    }

    /// Where the system tells no identity, a file that is there is taken for the same.
    #[cfg(not(unix))]
    fn at(_: &std::fs::Metadata) -> Place {
        Place { device: 0, inode: 0 }
    }

    pub(super) fn of_file(file: &File) -> Option<Place> {
        file.metadata().ok().map(|about| Place::at(&about))
    }
}

/// Makes the folder and those above it that are missing, each 0700. What is there already stays as it is.
pub(super) fn make_folder(path: &Path) -> Result<(), LedgerError> {
    let place = |source| LedgerError::Place { path: path.to_owned(), source };
    if path.is_dir() {
        return Ok(());
    }
    if let Some(above) = path.parent().filter(|above| !above.as_os_str().is_empty()) {
        make_folder(above)?;
    }
    match private_folder(path) {
        Ok(()) => Ok(()),
        // Another first run was faster.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => Ok(()),
        Err(error) => Err(place(error)),
    }
}

/// The path with its folder's links resolved: the file's own name must be no link.
pub(super) fn resolved(path: &Path) -> Result<PathBuf, LedgerError> {
    let place = |source| LedgerError::Place { path: path.to_owned(), source };
    let name = path.file_name().ok_or_else(|| LedgerError::NotAFile { path: path.to_owned() })?;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    Ok(folder.canonicalize().map_err(place)?.join(name))
}

/// Makes an empty file 0600 where there is none; true where it did. A file that is there must be plain and ours, and loses
/// what others may do with it.
///
/// An existing file is not opened: closing it again would drop the locks that SQLite holds on it in this process.
pub(super) fn make_file(path: &Path) -> Result<bool, LedgerError> {
    let place = |source| LedgerError::Place { path: path.to_owned(), source };
    match path.symlink_metadata() {
        Ok(about) => {
            check(path, &about)?;
            Ok(false)
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => match private().create_new(true).open(path) {
            Ok(file) => {
                tighten(&file).map_err(place)?;
                Ok(true)
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => make_file(path),
            Err(error) => Err(place(error)),
        },
        Err(error) => Err(place(error)),
    }
}

/// Opens or makes a file 0600 for reading and appending.
pub(super) fn open_private(path: &Path) -> io::Result<File> {
    let file = private().read(true).append(true).create(true).open(path)?;
    tighten(&file)?;
    Ok(file)
}

#[cfg(unix)]
fn private() -> OpenOptions {
    use std::os::unix::fs::OpenOptionsExt as _;
    let mut options = OpenOptions::new();
    let nofollow = i32::try_from(rustix::fs::OFlags::NOFOLLOW.bits()).unwrap_or_default();
    options.write(true).mode(0o600).custom_flags(nofollow);
    options
}

#[cfg(not(unix))]
fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true);
    options
}

#[cfg(unix)]
fn private_folder(path: &Path) -> io::Result<()> {
    use std::fs::{DirBuilder, Permissions, set_permissions};
    use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
    DirBuilder::new().mode(0o700).create(path)?;
    // A umask may have taken away even the owner's rights.
    set_permissions(path, Permissions::from_mode(0o700))
}

#[cfg(not(unix))]
fn private_folder(path: &Path) -> io::Result<()> {
    std::fs::create_dir(path)
}

#[cfg(unix)]
fn tighten(file: &File) -> io::Result<()> {
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt as _;
    if file.metadata()?.permissions().mode() & 0o777 == 0o600 {
        return Ok(());
    }
    file.set_permissions(Permissions::from_mode(0o600))
}

#[cfg(not(unix))]
fn tighten(_: &File) -> io::Result<()> {
    Ok(())
}

#[cfg(unix)]
fn check(path: &Path, about: &std::fs::Metadata) -> Result<(), LedgerError> {
    use std::fs::{Permissions, set_permissions};
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
    if !about.is_file() {
        return Err(LedgerError::NotAFile { path: path.to_owned() });
    }
    if about.uid() != rustix::process::geteuid().as_raw() {
        return Err(LedgerError::NotYours { path: path.to_owned() });
    }
    if about.permissions().mode() & 0o077 != 0 {
        set_permissions(path, Permissions::from_mode(0o600))
            .map_err(|source| LedgerError::Place { path: path.to_owned(), source })?;
    }
    Ok(())
}

#[cfg(not(unix))]
fn check(path: &Path, about: &std::fs::Metadata) -> Result<(), LedgerError> {
    if about.is_file() { Ok(()) } else { Err(LedgerError::NotAFile { path: path.to_owned() }) }
}

/// Whether the file lies where locks and shared memory cannot be trusted: a network or FUSE file system.
#[cfg(target_os = "linux")]
pub(super) fn is_remote(path: &Path) -> bool {
    // Magic numbers of statfs(2), read 2026-11-22: NFS, SMB, CIFS, SMB2, 9P, FUSE, CephFS, AFS, Coda.
    const REMOTE: [u32; 9] =
        [0x6969, 0x517B, 0xFF53_4D42, 0xFE53_4D42, 0x0102_1997, 0x6573_5546, 0x00C3_6400, 0x5346_414F, 0x7375_7245];
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a magic number has 32 bits")]
    rustix::fs::statfs(path).is_ok_and(|about| REMOTE.contains(&(about.f_type as u32)))
}

/// What is not stored locally, FUSE among it.
#[cfg(target_os = "macos")]
pub(super) fn is_remote(path: &Path) -> bool {
    // `MNT_LOCAL` of Apple's sys/mount.h, from the crate libc, read 2026-11-23.
    const LOCAL: u32 = 0x1000;
    rustix::fs::statfs(path).is_ok_and(|about| about.f_flags & LOCAL == 0)
}

/// A share, or a drive that stands for one: a path is resolved before it is asked for here, and then names the share
/// (docs.rs/simple-unc, read 2026-11-23).
#[cfg(windows)]
pub(super) fn is_remote(path: &Path) -> bool {
    use std::path::{Component, Prefix};
    let Some(Component::Prefix(prefix)) = path.components().next() else { return false };
    matches!(prefix.kind(), Prefix::UNC(..) | Prefix::VerbatimUNC(..))
}

/// Elsewhere nobody can say.
#[cfg(not(any(target_os = "linux", target_os = "macos", windows)))]
pub(super) fn is_remote(_: &Path) -> bool {
    false
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::{make_file, make_folder};
    use crate::ledger::LedgerError;

    #[test]
    fn folders_and_files_are_their_owners_alone() {
        let home = tempfile::tempdir().expect("a folder");
        let folder = home.path().join("a/b");
        make_folder(&folder).expect("made");
        let file = folder.join("x.db");
        assert!(make_file(&file).expect("made") && !make_file(&file).expect("there"));
        let mode = |path: &std::path::Path| path.metadata().expect("there").permissions().mode() & 0o777;
        assert_eq!((mode(&folder), mode(&file)), (0o700, 0o600));
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).expect("loosened");
        make_file(&file).expect("ours");
        assert_eq!(mode(&file), 0o600);
        let link = folder.join("link.db");
        symlink(&file, &link).expect("linked");
        assert!(matches!(make_file(&link), Err(LedgerError::NotAFile { .. })));
    }
}

#[cfg(all(test, windows))]
mod shares {
    use std::path::Path;

    use super::is_remote;

    #[test]
    fn a_share_is_remote_and_a_drive_is_not() {
        for (path, remote) in [
            (r"\\server\share\ledger.db", true),
            (r"\\?\UNC\server\share\ledger.db", true),
            (r"\\?\C:\llmx\ledger.db", false),
            (r"C:\llmx\ledger.db", false),
        ] {
            assert_eq!(is_remote(Path::new(path)), remote, "{path}");
        }
    }
}
