//! This program again, as many processes at once, and the bare SQLite that each of them commits to beside the ledger.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rusqlite::Connection;

/// This program, with words that say which part it plays.
pub fn play(words: &[&str]) -> Command {
    let mut command = Command::new(std::env::current_exe().expect("this binary"));
    command.args(words);
    command
}

/// Starts so many of it.
pub fn start(count: usize, command: impl Fn(usize) -> Command) -> Vec<Child> {
    (0..count).map(|n| command(n).stdout(Stdio::piped()).spawn().expect("starts")).collect()
}

/// What they all printed.
pub fn lines(children: Vec<Child>) -> Vec<String> {
    let said = children.into_iter().flat_map(|child| {
        let output = child.wait_with_output().expect("it ends");
        assert!(output.status.success(), "a process failed");
        String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect::<Vec<_>>()
    });
    said.collect()
}

/// The floor of a commit: one table, with the ledger's care for the disk.
pub fn bare(path: &Path, table: &str) -> Connection {
    let bare = Connection::open(path).expect("opens");
    bare.busy_timeout(Duration::from_secs(30)).expect("set");
    bare.query_row("PRAGMA journal_mode = WAL", [], |_| Ok(())).expect("set");
    bare.execute_batch(&format!("PRAGMA synchronous = FULL; CREATE TABLE IF NOT EXISTS {table}")).expect("made");
    bare
}
