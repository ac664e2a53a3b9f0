//! What the benchmarks share.

#![allow(dead_code, reason = "each benchmark uses its own part of this")]

pub mod child;
pub mod figure;
pub mod race;
pub mod rivals;
pub mod table;

use std::fs;
use std::path::{Path, PathBuf};

/// The arguments of this process.
pub fn words() -> Vec<String> {
    std::env::args().skip(1).collect()
}

/// The word that stands behind `flag`.
pub fn after(flag: &str) -> Option<String> {
    let words = words();
    words.iter().position(|word| word == flag).and_then(|place| words.get(place + 1)).cloned()
}

/// Whether `cargo bench` asks. `cargo test --benches` measures nothing.
pub fn asked() -> bool {
    words().iter().any(|word| word == "--bench")
}

/// Where the benchmarks keep what they make, on the disk of the build: `target/bench`.
pub fn folder() -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("bench");
    // Where it cannot be made, the first use of it says so.
    let _ = fs::create_dir_all(&folder);
    folder
}

/// A file that `.ci/peers` installs, or why the peer does not take part.
///
/// # Errors
/// A line for the table, where the file is not there.
pub fn peer(file: &str) -> Result<PathBuf, String> {
    let path = folder().join("peers").join(file);
    if path.is_file() { Ok(path) } else { Err("not installed (.ci/peers installs it)".into()) }
}
