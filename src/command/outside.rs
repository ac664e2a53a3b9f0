//! What the process finds around it: its environment, its folder, the programs beside it, the clock.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use crate::domain::secret::Secret;

/// A variable of the environment; blank counts as unset.
#[must_use]
pub fn env(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.trim().is_empty())
}

/// What stands in variables whose names say that it is secret.
#[must_use]
pub fn secrets() -> Vec<Secret> {
    const SECRET: [&str; 6] = ["KEY", "TOKEN", "SECRET", "PASSWORD", "PASSWD", "CREDENTIAL"];
    // A path, a number or a word stands in other texts by accident.
    const SHORTEST: usize = 8;
    let named = |name: &str| SECRET.iter().any(|word| name.to_uppercase().contains(word));
    std::env::vars_os()
        .filter(|(name, _)| name.to_str().is_some_and(named))
        .filter_map(|(_, value)| Secret::new(value.to_str()?))
        .filter(|secret| secret.expose().len() >= SHORTEST && !Path::new(secret.expose()).is_absolute())
        .collect()
}

/// The words of the command line after the program's name.
pub fn words() -> impl Iterator<Item = OsString> {
    std::env::args_os().skip(1)
}

/// The folder in which llmx was started.
#[must_use]
pub fn folder() -> PathBuf {
    std::env::current_dir().unwrap_or_default()
}

/// The program that runs, with its links resolved.
#[must_use]
pub fn program() -> Option<PathBuf> {
    std::env::current_exe().ok()?.canonicalize().ok()
}

/// Every program of this name in the folders of `PATH`, in their order, with its links resolved, each once.
#[must_use]
pub fn programs(name: &str) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = Vec::new();
    for folder in std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()) {
        if let Ok(program) = folder.join(name).canonicalize()
            && program.is_file()
            && !found.contains(&program)
        {
            found.push(program);
        }
    }
    found
}

/// The system and the processor that this build is for.
#[must_use]
pub fn machine() -> String {
    format!("{} {}", std::env::consts::OS, std::env::consts::ARCH)
}

/// UTC milliseconds since 1970.
#[must_use]
pub fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
