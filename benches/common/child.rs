//! A process run to its end, and what it took.

use std::io::Read as _;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use wait4::Wait4 as _;

/// What one run of a process took.
#[derive(Debug, Clone, Copy)]
pub struct Sample {
    /// From before the process was made until it was reaped.
    pub wall: Duration,
    /// From before the process was made until the first byte on its standard output.
    pub first_byte: Duration,
    /// User and system time of the process, as the kernel accounts it.
    pub cpu: Duration,
    /// The most resident memory, in bytes. The kernel lets a process inherit the peak of the one that made it, so nothing
    /// smaller than this benchmark itself (about the static hello's figure) can be seen.
    pub peak_bytes: u64,
}

/// Runs `command` once, with nothing on its standard input.
///
/// # Errors
/// A line that says why it did not run, or a line of its standard error where it failed.
pub fn run(command: &mut Command) -> Result<Sample, String> {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let began = Instant::now();
    let mut child = command.spawn().map_err(|error| error.to_string())?;
    let (Some(mut stdout), Some(mut stderr)) = (child.stdout.take(), child.stderr.take()) else {
        return Err("its streams are not ours".into());
    };
    let mut bytes = [0; 16 << 10];
    let mut first_byte = None;
    while stdout.read(&mut bytes).map_err(|error| error.to_string())? > 0 {
        first_byte.get_or_insert_with(|| began.elapsed());
    }
    let used = child.wait4().map_err(|error| error.to_string())?;
    let wall = began.elapsed();
    if !used.status.success() {
        let mut said = String::new();
        let _ = stderr.read_to_string(&mut said);
        return Err(reason(&said).unwrap_or("it failed without a word").to_owned());
    }
    Ok(Sample {
        wall,
        first_byte: first_byte.unwrap_or(wall),
        cpu: used.rusage.utime + used.rusage.stime,
        peak_bytes: used.rusage.maxrss,
    })
}

/// The first line, but of a trace of Python's the last.
fn reason(said: &str) -> Option<&str> {
    let first = said.lines().next()?;
    if first.starts_with("Traceback") { said.lines().next_back() } else { Some(first) }
}
