//! Files that a command writes beside its output: looked at before anything is sent, and written whole or not at all.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use crate::domain::failure::{ErrorClass, Failure};

/// Looks whether a file can be written there. Nothing is left behind.
///
/// # Errors
/// `config` where its folder is not there or cannot be written into, or where it is a folder itself.
pub fn check(path: &Path) -> Result<(), Failure> {
    let wrong = |reason: &str, advice: &str| {
        let said = format!("-o {}: {reason}; nothing was sent", path.display());
        Failure::new(ErrorClass::Config, said).advise(advice)
    };
    if !folder(path).is_dir() {
        return Err(wrong("there is no such folder", "make it first"));
    }
    if path.is_dir() {
        return Err(wrong("this is a folder", "name a file in it"));
    }
    let tried = draft(path).and_then(|(draft, _)| fs::remove_file(draft));
    tried.map_err(|error| wrong(&format!("nothing can be written there: {error}"), "choose another folder"))
}

/// Writes the file for its owner alone: what models answer may be confidential.
///
/// # Errors
/// `invalid-request` where it cannot be written; what was there before is there still.
pub fn write(path: &Path, text: &str) -> Result<(), Failure> {
    write_bytes(path, text.as_bytes())
}

/// As [`write`], for a format that is no text.
///
/// # Errors
/// As [`write`].
pub fn write_bytes(path: &Path, content: &[u8]) -> Result<(), Failure> {
    let put = || {
        let (draft, mut file) = draft(path)?;
        let done = file.write_all(content).and_then(|()| file.sync_all()).and_then(|()| fs::rename(&draft, path));
        if done.is_err() {
            let _ = fs::remove_file(&draft);
        }
        done
    };
    put().map_err(|error| unwritten(path, &error))
}

/// A file that grows: it gets its name when it is whole, and nothing stays of it where it never was.
#[derive(Debug)]
pub struct Growing {
    path: PathBuf,
    draft: PathBuf,
    file: BufWriter<File>,
    whole: bool,
}

impl Growing {
    /// Begins one, for its owner alone.
    ///
    /// # Errors
    /// `config` as [`check`].
    pub fn begin(path: &Path) -> Result<Growing, Failure> {
        check(path)?;
        let (draft, file) = draft(path).map_err(|error| unwritten(path, &error))?;
        Ok(Growing { path: path.to_owned(), draft, file: BufWriter::new(file), whole: false })
    }

    /// Gives it its name; what was there before is replaced.
    ///
    /// # Errors
    /// `invalid-request` where it cannot be written; what was there before is there still.
    pub fn end(mut self) -> Result<(), Failure> {
        let ended = self.file.flush().and_then(|()| self.file.get_ref().sync_all());
        ended.and_then(|()| fs::rename(&self.draft, &self.path)).map_err(|error| unwritten(&self.path, &error))?;
        self.whole = true;
        Ok(())
    }
}

impl Write for Growing {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Drop for Growing {
    fn drop(&mut self) {
        if !self.whole {
            let _ = fs::remove_file(&self.draft);
        }
    }
}

/// What is said of a file that cannot be written.
pub fn unwritten(path: &Path, error: &io::Error) -> Failure {
    Failure::new(ErrorClass::InvalidRequest, format!("{} cannot be written: {error}", path.display()))
}

/// A new file beside the one that is meant: nobody ever reads half of that one.
fn draft(path: &Path) -> io::Result<(PathBuf, File)> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let draft = folder(path).join(format!(".{name}.{}", uuid::Uuid::now_v7().simple()));
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let file = options.open(&draft)?;
    Ok((draft, file))
}

fn folder(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Write as _;

    use super::Growing;

    #[test]
    fn what_was_not_ended_leaves_nothing_and_what_was_there_stays() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("rows.csv");
        let names = || fs::read_dir(folder.path()).expect("a folder").count();
        for (end, content, count) in [(false, None, 0), (true, Some("new"), 1), (false, Some("new"), 1)] {
            let mut file = Growing::begin(&path).expect("begins");
            file.write_all(b"new").expect("written");
            assert_eq!(names(), usize::from(path.exists()) + 1, "a draft stands beside it");
            if end {
                file.end().expect("ends");
            } else {
                drop(file);
            }
            assert_eq!((fs::read_to_string(&path).ok().as_deref(), names()), (content, count));
        }
    }
}
