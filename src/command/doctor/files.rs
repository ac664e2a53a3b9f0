//! Files and folders: whether they are there, whether they can be read, and by whom else.

use std::path::Path;

use crate::command::GlobalArgs;
use crate::command::config::{project_file, user_file};
use crate::command::desk::{NO_PLACE, ledger_path};
use crate::command::outside::env;
use crate::domain::failure::Failure;
use crate::domain::instant::utc;
use crate::ledger::{Glimpse, Ledger, LedgerError};
use crate::render::doctor::Finding;

/// A clock that is further behind the latest call than this is wrong, in milliseconds.
const CLOCK_SLACK_MS: i64 = 60_000;

/// The user's and the project's file, and whether they say something that is understood.
pub fn configuration(global: &GlobalArgs, folder: &Path, failure: Option<&Failure>) -> Vec<Finding> {
    let mut findings = Vec::new();
    if let Some(failure) = failure {
        let advice = failure.advice.clone().unwrap_or_else(|| "mend the file".into());
        findings.push(Finding::problem("config", failure.message.clone(), advice));
    }
    match global.config.clone().or_else(|| user_file(&env)) {
        None => {
            let home = if cfg!(windows) { "APPDATA" } else { "HOME" };
            let advice = format!("set {home} or XDG_CONFIG_HOME");
            findings.push(Finding::warning("config", "no place for it is known", advice));
        }
        Some(path) if !path.exists() => findings.push(Finding::ok("config", format!("none at {}", path.display()))),
        // A key stands in no such file, so that others may read it; who may write it can move where keys go.
        Some(path) => findings.push(owned("config", &path, 0o022, "may be written by others")),
    }
    findings.push(match project_file(folder) {
        Some(path) => Finding::ok("project", path.display().to_string()),
        None => Finding::ok("project", "no .llmx.toml above this folder"),
    });
    findings
}

/// The ledger, what lies beside it, and the clock against its last call.
pub fn books(global: &GlobalArgs, full: bool, now_ms: i64) -> Vec<Finding> {
    let Some(path) = ledger_path(global) else {
        let said = format!("no place for it is known: {NO_PLACE}");
        return vec![Finding::problem("ledger", said, "give one with --db FILE or LLMX_DB")];
    };
    let seen = match Ledger::glimpse(&path, full) {
        Ok(None) => return vec![Finding::ok("ledger", format!("none yet at {}", path.display())), folder_of(&path)],
        Ok(Some(seen)) => seen,
        Err(error) => return vec![unreadable(&error), owned("ledger", &path, 0o077, OTHERS_READ)],
    };
    let mut findings = vec![owned("ledger", &path, 0o077, OTHERS_READ), folder_of(&path), state(&seen, full)];
    if seen.waiting > 0 {
        let said = format!("settlements of ended calls wait beside it to be booked: {} file(s)", seen.waiting);
        findings.push(Finding::warning("ledger", said, "`llmx ledger check` books them, or says why one cannot be"));
    }
    if seen.open > 0 {
        let said = format!("{} call(s) without a settlement: each counts at its ceiling", seen.open);
        findings.push(Finding::warning(
            "ledger",
            said,
            "`llmx ledger open` lists them, `llmx ledger resolve` settles one",
        ));
    }
    if seen.remote {
        let said = "on a network file system, whose locks cannot be trusted: hard budgets are refused";
        findings.push(Finding::problem("ledger", said, "give a local file with --db or LLMX_DB"));
    }
    findings.push(match &seen.copy {
        Some((copy, at_ms)) => Finding::ok("backup", format!("{} of {}", copy.display(), utc(*at_ms))),
        None => Finding::ok("backup", "none beside the ledger; `llmx ledger backup FILE` makes one"),
    });
    findings.extend(clock(&seen, now_ms));
    findings
}

const OTHERS_READ: &str = "may be read or written by others";

fn unreadable(error: &LedgerError) -> Finding {
    Finding::problem(
        "ledger",
        error.to_string(),
        "see what the line says, or choose another place with --db or LLMX_DB",
    )
}

fn state(seen: &Glimpse, full: bool) -> Finding {
    let size = format!("schema {}, {} KiB, {} call(s)", seen.schema, seen.bytes.div_ceil(1024), seen.calls);
    if seen.schema > seen.known {
        let said =
            format!("schema {} of a newer llmx, this build knows {}; it was not touched", seen.schema, seen.known);
        return Finding::problem("ledger", said, "use the newer llmx, or another ledger with --db");
    }
    if !seen.wrong.is_empty() {
        let advice = "keep a copy of the file; `llmx ledger check --rebuild` makes its sums anew";
        return Finding::problem("ledger", format!("{size}; {}", seen.wrong.join("; ")), advice);
    }
    match (full, seen.schema == seen.known) {
        (_, false) => Finding::ok("ledger", format!("{size}; the next call brings it to schema {}", seen.known)),
        (true, true) => Finding::ok("ledger", format!("{size}; whole, and its sums agree")),
        (false, true) => Finding::ok("ledger", format!("{size}; read, not checked (--full checks it)")),
    }
}

fn clock(seen: &Glimpse, now_ms: i64) -> Option<Finding> {
    let last = seen.last_opened_ms?;
    let behind = last.saturating_sub(now_ms);
    Some(if behind > CLOCK_SLACK_MS {
        let said = format!("{} s behind the latest call in the ledger, which is of {}", behind / 1000, utc(last));
        Finding::problem("clock", said, "set the clock: signatures and budget periods depend on it")
    } else {
        Finding::ok("clock", format!("{}; the latest call is of {}", utc(now_ms), utc(last)))
    })
}

/// The ledger's folder, or the nearest above it that is there.
fn folder_of(path: &Path) -> Finding {
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let own = absolute.parent().unwrap_or(Path::new("/")).to_owned();
    match own.ancestors().find(|folder| folder.exists()) {
        Some(folder) if folder == own => owned("ledger", folder, 0o022, "may be written by others"),
        Some(folder) => writable(folder, &own),
        None => Finding::problem("ledger", format!("{} is not there", own.display()), "choose a place with --db"),
    }
}

/// A folder that is not there yet, and the nearest one above it.
fn writable(above: &Path, wanted: &Path) -> Finding {
    if may_write(above) {
        Finding::ok("ledger", format!("{} is made by the first call", wanted.display()))
    } else {
        let said = format!("{} cannot be made: {} may not be written", wanted.display(), above.display());
        Finding::problem("ledger", said, "choose a place that you may write with --db or LLMX_DB")
    }
}

#[cfg(unix)]
fn may_write(folder: &Path) -> bool {
    rustix::fs::access(folder, rustix::fs::Access::WRITE_OK).is_ok()
}

#[cfg(not(unix))]
fn may_write(folder: &Path) -> bool {
    folder.metadata().is_ok_and(|about| !about.permissions().readonly())
}

/// A file or folder with its rights; `excess`: the bits that it should not have, and what they mean.
#[cfg(unix)]
pub fn owned(topic: &'static str, path: &Path, excess: u32, meaning: &str) -> Finding {
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
    let about = match path.metadata() {
        Ok(about) => about,
        Err(error) => {
            return Finding::problem(topic, format!("{}: {error}", path.display()), "check its rights and its owner");
        }
    };
    let mode = about.permissions().mode() & 0o7777;
    let said = format!("{}, {mode:04o}", path.display());
    // In a folder such as /tmp nobody can replace what is another's.
    let sticky = about.is_dir() && mode & 0o1000 != 0;
    if about.uid() != rustix::process::geteuid().as_raw() && !sticky && about.uid() != 0 {
        return Finding::warning(topic, format!("{said}: it belongs to another user"), "choose a place of your own");
    }
    if mode & excess != 0 && !sticky {
        let right = if about.is_dir() { "700" } else { "600" };
        return Finding::problem(topic, format!("{said}: it {meaning}"), format!("chmod {right} {}", path.display()));
    }
    Finding::ok(topic, said)
}

#[cfg(not(unix))]
pub fn owned(topic: &'static str, path: &Path, _: u32, _: &str) -> Finding {
    match path.metadata() {
        Ok(_) => Finding::ok(topic, path.display().to_string()),
        Err(error) => Finding::problem(topic, format!("{}: {error}", path.display()), "check its rights and its owner"),
    }
}
