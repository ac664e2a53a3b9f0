//! What llmx costs beside what it could cost: `cargo bench --bench cli`.
//!
//! Every figure stands beside baselines that ran in turn with it, on the same machine in the same minute. Only the ratios
//! mean anything elsewhere. A ratio is the median of the rounds' own ratios, llmx over the baseline. Nothing is asserted:
//! the goals are printed for the reader.
//!
//! Without Bedrock: `cargo bench --bench cli --no-default-features`.

#[path = "cli/child.rs"]
mod child;
#[path = "cli/floor.rs"]
mod floor;
#[path = "cli/loopback.rs"]
mod loopback;

use std::error::Error;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use child::Sample;

const LLMX: &str = env!("CARGO_BIN_EXE_llmx");

fn main() -> Result<(), Box<dyn Error>> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    match words.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["--role", "client", url] => floor::ask(url),
        words if words.contains(&"--bench") => bench(),
        // `cargo test --benches` measures nothing.
        _ => Ok(()),
    }
}

fn bench() -> Result<(), Box<dyn Error>> {
    let port = loopback::start()?;
    say(&format!("{}\nload before: {}\n", machine(), load()))?;
    start_up()?;
    one_shot(port)?;
    long_stream(port)?;
    say(&size()?)?;
    say(&format!("\nload after: {}\n", load()))
}

fn start_up() -> Result<(), Box<dyn Error>> {
    let hello = hello()?;
    // The last two read the price table: a single entry of it, and all of it.
    let plain: [(&[&str], &str); 4] = [
        (&["--version"], "≤ 2× static hello"),
        (&["--help"], "≤ 2× static hello"),
        (&["models", "show", "openai/gpt-5.2"], "none"),
        (&["models"], "none"),
    ];
    for (words, goal) in plain {
        let mut race = Race::of(vec![
            Runner::new(&format!("llmx {}", words.join(" ")), llmx(words)),
            Runner::new("static hello", Command::new(&hello)),
        ]);
        race.run(if words.len() == 1 && words[0] == "models" { 20 } else { 200 })?;
        say(&race.table("start and end", goal, Unit::Millis, |sample| nanos(sample.wall)))?;
        say(&race.table("peak memory", "none", Unit::MiB, |sample| sample.peak_bytes))?;
    }
    Ok(())
}

fn one_shot(port: u16) -> Result<(), Box<dyn Error>> {
    let url = format!("http://127.0.0.1:{port}/short");
    let mut race = Race::of(vec![
        Runner::new("llmx chat", chat(&url)),
        Runner::new("bare hyper client", client(&url)?),
        Runner::new("curl", curl(&url)),
        Runner::new("llmx chat, Bedrock", bedrock(port)),
    ]);
    race.run(100)?;
    let title = format!("one-shot chat, {} chunks", loopback::SHORT);
    let goal = "≤ 0.6× curl; Bedrock ≤ 6 ms over llmx chat";
    say(&race.table(&title, goal, Unit::Millis, |sample| nanos(sample.wall)))?;
    say(&race.table("process start → first byte", "≤ 0.5× curl", Unit::Millis, |sample| nanos(sample.first_byte)))?;
    say(&race.table("one-shot CPU", "none", Unit::Millis, |sample| nanos(sample.cpu)))?;
    let goal = "≤ 10 MiB, with Bedrock ≤ 15 MiB";
    say(&race.table("one-shot peak memory", goal, Unit::MiB, |sample| sample.peak_bytes))
}

fn long_stream(port: u16) -> Result<(), Box<dyn Error>> {
    let url = format!("http://127.0.0.1:{port}/long");
    let mut race = Race::of(vec![
        Runner::new("llmx chat", chat(&url)),
        Runner::new("bare hyper client", client(&url)?),
        Runner::new("curl", curl(&url)),
    ]);
    race.run(60)?;
    let title = format!("stream of {} chunks, CPU", loopback::LONG);
    say(&race.table(&title, "≤ 2× bare client", Unit::Millis, |sample| nanos(sample.cpu)))?;
    say(&race.table("the same, wall", "none", Unit::Millis, |sample| nanos(sample.wall)))?;
    say(&race.table("the same, peak memory", "≤ 10 MiB", Unit::MiB, |sample| sample.peak_bytes))
}

/// llmx with an environment of its own: no configuration, no key, no proxy of the user's.
fn llmx(arguments: &[&str]) -> Command {
    let mut command = Command::new(LLMX);
    command.args(arguments).env_clear().env("HOME", folder()).current_dir(folder());
    command
}

fn chat(url: &str) -> Command {
    llmx(&["chat", "-m", "openai/gpt-4o-mini", "--base-url", url, "Hi"])
}

/// With keys that open nothing.
fn bedrock(port: u16) -> Command {
    let mut command = llmx(&["chat", "-m", "bedrock/anthropic.claude-x", "--region", "us-east-1", "--no-stream", "Hi"]);
    command
        .env("AWS_ENDPOINT_URL_BEDROCK_RUNTIME", format!("http://127.0.0.1:{port}"))
        .envs([("AWS_ACCESS_KEY_ID", "bench"), ("AWS_SECRET_ACCESS_KEY", "bench")])
        .env("AWS_EC2_METADATA_DISABLED", "true");
    command
}

/// This program in the role of [`floor`].
fn client(url: &str) -> Result<Command, Box<dyn Error>> {
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["--role", "client", &format!("{url}/chat/completions")]).env_clear();
    Ok(command)
}

fn curl(url: &str) -> Command {
    let mut command = Command::new("curl");
    command.args(["-q", "-sS", "-N", "--noproxy", "*", "-H", "content-type: application/json"]);
    command.args(["-d", floor::BODY, &format!("{url}/chat/completions")]);
    command
}

/// The smallest program: built here, linked statically where the toolchain can.
fn hello() -> Result<PathBuf, Box<dyn Error>> {
    let (source, program) = (folder().join("hello.rs"), folder().join("hello"));
    fs::write(&source, "fn main() { println!(\"hello\"); }\n")?;
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let built = Command::new(rustc)
        .args(["-O", "-C", "panic=abort", "-C", "strip=symbols", "-C", "target-feature=+crt-static", "-o"])
        .args([&program, &source])
        .status()?;
    if built.success() { Ok(program) } else { Err("the static hello could not be built".into()) }
}

/// Where the bench keeps what it makes: `target/bench`.
fn folder() -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("bench");
    // Where it cannot be made, the first use of it says so.
    let _ = fs::create_dir_all(&folder);
    folder
}

/// A command and what its runs took.
struct Runner {
    name: String,
    command: Command,
    samples: Vec<Sample>,
    /// Why it does not take part.
    absent: Option<String>,
}

impl Runner {
    fn new(name: &str, command: Command) -> Runner {
        Runner { name: name.to_owned(), command, samples: Vec::new(), absent: None }
    }
}

/// Commands that run in turn; the first is measured against the others.
struct Race {
    runners: Vec<Runner>,
}

impl Race {
    fn of(runners: Vec<Runner>) -> Race {
        Race { runners }
    }

    /// One run each that is not counted, then the rounds; who begins changes from round to round.
    fn run(&mut self, rounds: usize) -> Result<(), String> {
        for runner in &mut self.runners {
            runner.absent = child::run(&mut runner.command).err();
        }
        let mut present: Vec<&mut Runner> = self.runners.iter_mut().filter(|runner| runner.absent.is_none()).collect();
        let count = present.len();
        for round in 0..rounds {
            for turn in 0..count {
                let runner = &mut present[(round + turn) % count];
                let sample = child::run(&mut runner.command).map_err(|error| format!("{}: {error}", runner.name))?;
                runner.samples.push(sample);
            }
        }
        Ok(())
    }

    /// One line for each runner: min, median and max of a figure, and the first runner's ratio to it.
    fn table(&self, title: &str, goal: &str, unit: Unit, figure: impl Fn(&Sample) -> u64) -> String {
        let figures = |runner: &Runner| -> Vec<u64> { runner.samples.iter().map(&figure).collect() };
        let ours = self.runners.first().map(figures).unwrap_or_default();
        let mut text = format!("\n{title}, {} rounds (goal: {goal})\n", ours.len());
        text.push_str(&format!("  {:<22}{:>10}{:>10}{:>10}\n", unit.name(), "min", "median", "max"));
        for (at, runner) in self.runners.iter().enumerate() {
            if let Some(reason) = &runner.absent {
                text.push_str(&format!("  {:<22}did not run: {reason}\n", runner.name));
                continue;
            }
            let theirs = figures(runner);
            text.push_str(&format!("  {:<22}", runner.name));
            for value in spread(&theirs) {
                text.push_str(&format!("{:>10}", unit.show(value)));
            }
            if at > 0 && !ours.is_empty() {
                let ratios: Vec<u64> =
                    ours.iter().zip(&theirs).map(|(ours, theirs)| hundredths(*ours, *theirs)).collect();
                let [_, ratio, _] = spread(&ratios);
                text.push_str(&format!("   {} is {}.{:02}×", self.runners[0].name, ratio / 100, ratio % 100));
            }
            text.push('\n');
        }
        text
    }
}

#[derive(Debug, Clone, Copy)]
enum Unit {
    /// Of nanoseconds.
    Millis,
    /// Of bytes.
    MiB,
}

impl Unit {
    fn name(self) -> &'static str {
        match self {
            Unit::Millis => "ms",
            Unit::MiB => "MiB",
        }
    }

    fn show(self, value: u64) -> String {
        let one = match self {
            Unit::Millis => 1_000_000,
            Unit::MiB => 1 << 20,
        };
        let hundredths = hundredths(value, one);
        format!("{}.{:02}", hundredths / 100, hundredths % 100)
    }
}

/// Least, middle and most.
fn spread(values: &[u64]) -> [u64; 3] {
    let mut sorted = values.to_vec();
    sorted.sort_unstable();
    let at = |place: usize| sorted.get(place).copied().unwrap_or_default();
    [at(0), at(sorted.len() / 2), at(sorted.len().saturating_sub(1))]
}

fn hundredths(value: u64, of: u64) -> u64 {
    (value * 100 + of / 2) / of.max(1)
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// The binary's size, and how many crates it is made of.
fn size() -> Result<String, Box<dyn Error>> {
    let bytes = fs::metadata(LLMX)?.len();
    let build = if cfg!(feature = "bedrock") { "with" } else { "without" };
    let megabytes = hundredths(bytes, 1_000_000);
    Ok(format!(
        "\nrelease binary, {build} Bedrock: {}.{:02} MB (goal: ≤ 15 MB)\ncrates: {} with Bedrock, {} without\n",
        megabytes / 100,
        megabytes % 100,
        crates(&["--all-features"])?,
        crates(&["--no-default-features"])?,
    ))
}

/// How many crates a build links or runs, itself counted: `cargo tree -e normal`.
fn crates(features: &[&str]) -> Result<usize, Box<dyn Error>> {
    let tree = Command::new(env!("CARGO"))
        .args(["tree", "--offline", "--locked", "--edges", "normal", "--prefix", "none", "--format", "{p}"])
        .args(features)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()?;
    let text = String::from_utf8(tree.stdout)?;
    let mut names: Vec<&str> = text.lines().map(|line| line.trim_end_matches(" (*)")).collect();
    names.sort_unstable();
    names.dedup();
    Ok(names.len())
}

fn machine() -> String {
    let cores = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
    format!("llmx {} on {}-{}, {cores} cores", env!("CARGO_PKG_VERSION"), std::env::consts::OS, std::env::consts::ARCH)
}

/// The load averages over 1, 5 and 15 minutes.
fn load() -> String {
    fs::read_to_string("/proc/loadavg")
        .map_or_else(|_| "not known here".to_owned(), |text| text.split(' ').take(3).collect::<Vec<_>>().join(" "))
}

fn say(text: &str) -> Result<(), Box<dyn Error>> {
    Ok(std::io::stdout().write_all(text.as_bytes())?)
}
