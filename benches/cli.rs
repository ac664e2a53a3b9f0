//! What llmx costs beside what it could cost: `cargo bench --bench cli`.
//!
//! Every figure stands beside baselines that ran in turn with it, on the same machine in the same minute. Only the ratios
//! mean anything elsewhere. A ratio is the median of the rounds' own ratios, llmx over the baseline. Nothing is asserted:
//! the goals are printed for the reader.
//!
//! Without Bedrock: `cargo bench --bench cli --no-default-features`.

mod common;
#[path = "cli/floor.rs"]
mod floor;
#[path = "cli/loopback.rs"]
mod loopback;
#[path = "cli/peers.rs"]
mod peers;

use std::error::Error;
use std::fs;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::Command;

use common::figure::{Figure, Unit};
use common::folder;
use common::race::{CPU, FIRST_BYTE, PEAK, Race, Runner, WALL};
use common::table::{Goal, Row, Table, load, machine};
use peers::{AICHAT, LITELLM, LLM};

const LLMX: &str = env!("CARGO_BIN_EXE_llmx");
const CHAT: &str = "llmx chat";
const BEDROCK: &str = "llmx chat, Bedrock";
const HYPER: &str = "bare hyper client";
const CURL: &str = "curl";
const HELLO: &str = "static hello";
/// The peers that a round of takes seconds, apart from the one that is quick.
const SLOW: [&str; 2] = [LLM, LITELLM];

fn main() -> Result<(), Box<dyn Error>> {
    match common::words().iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["--role", "client", url] => floor::ask(url),
        _ if common::asked() => bench(),
        _ => Ok(()),
    }
}

fn bench() -> Result<(), Box<dyn Error>> {
    let port = loopback::start()?;
    peers::configure(port)?;
    // The books begin empty in every run, and the first call makes them.
    let _ = fs::remove_dir_all(home());
    fs::create_dir_all(home())?;
    say(&format!("{}\nload before: {}\n", machine(), load()))?;
    let mut table = Table::begin("cli")?;
    start_up(&mut table)?;
    one_shot(port, &mut table)?;
    long_stream(port, &mut table)?;
    size(&mut table)?;
    table.finish()?;
    say(&format!("\nload after: {}\n", load()))
}

fn start_up(table: &mut Table) -> Result<(), Box<dyn Error>> {
    let hello = hello()?;
    // The last two read the price table: a single entry of it, and all of it.
    let plain: [(&[&str], Option<Goal>); 4] = [
        (&["--version"], Some(Goal::Times(200))),
        (&["--help"], Some(Goal::Times(200))),
        (&["models", "show", "openai/gpt-5.2"], None),
        (&["models"], None),
    ];
    for (words, goal) in plain {
        let name = format!("llmx {}", words.join(" "));
        let mut race = Race::of(vec![Runner::new(&name, llmx(words)), Runner::new(HELLO, Command::new(&hello))]);
        race.run(if words.len() == 1 && words[0] == "models" { 20 } else { 200 })?;
        let told = if goal.is_some() { "≤ 2× static hello" } else { "none" };
        say(&race.shown("start and end", told, WALL))?;
        say(&race.shown("peak memory", "none", PEAK))?;
        table.add(race.row(&format!("`{name}`, start to end"), &name, HELLO, WALL, goal));
    }
    let ours = "llmx --version";
    for (peers, rounds) in [(&[AICHAT][..], 100), (&SLOW, 5)] {
        let theirs = peers.iter().map(|peer| Runner::peer(peer, peers::version(peer)));
        let mut race = Race::of([Runner::new(ours, llmx(&["--version"]))].into_iter().chain(theirs).collect());
        race.run(rounds)?;
        say(&race.shown("--version, start and end", "none", WALL))?;
        for peer in peers {
            table.add(race.row("`--version`, start to end", ours, peer, WALL, None));
        }
    }
    Ok(())
}

fn one_shot(port: u16, table: &mut Table) -> Result<(), Box<dyn Error>> {
    let url = format!("http://127.0.0.1:{port}/short");
    let mut race = Race::of(vec![
        Runner::new(CHAT, chat(&url)),
        Runner::new(HYPER, client(&url)?),
        Runner::new(CURL, curl(&url)),
        Runner::peer(BEDROCK, bedrock(port)),
    ]);
    race.run(100)?;
    let title = format!("one-shot chat, {} chunks", loopback::SHORT);
    say(&race.shown(&title, "≤ 0.6× curl; Bedrock ≤ 6 ms over llmx chat", WALL))?;
    say(&race.shown("process start → first byte", "≤ 0.5× curl", FIRST_BYTE))?;
    say(&race.shown("one-shot CPU", "none", CPU))?;
    say(&race.shown("one-shot peak memory", "≤ 10 MiB, with Bedrock ≤ 15 MiB", PEAK))?;

    let (whole, first_byte) = ("one-shot chat, ledger on", "process start → first byte");
    table.add(race.row(whole, CHAT, CURL, WALL, Some(Goal::Times(60))));
    table.add(race.row(whole, CHAT, HYPER, WALL, None));
    table.add(race.row("one Bedrock call", BEDROCK, CHAT, WALL, Some(Goal::Beyond(0, Figure::millis(6)))));
    table.add(race.row(first_byte, CHAT, CURL, FIRST_BYTE, Some(Goal::Times(50))));
    table.add(race.row(first_byte, CHAT, HYPER, FIRST_BYTE, None));
    let memory = "one-shot peak memory";
    table.add(race.row(memory, CHAT, CURL, PEAK, Some(Goal::Most(Figure::mib(10)))));
    table.add(race.row("one Bedrock call, peak memory", BEDROCK, CHAT, PEAK, Some(Goal::Most(Figure::mib(15)))));

    for (peers, rounds) in [(&[AICHAT][..], 40), (&SLOW, 5)] {
        let theirs = peers.iter().map(|peer| Runner::peer(peer, peers::chat(peer, "short", port)));
        let mut race = Race::of([Runner::new(CHAT, chat(&url))].into_iter().chain(theirs).collect());
        race.run(rounds)?;
        say(&race.shown(&title, "≤ 0.35× aichat", WALL))?;
        say(&race.shown("process start → first byte", "none", FIRST_BYTE))?;
        say(&race.shown("one-shot peak memory", "none", PEAK))?;
        for peer in peers {
            let goal = (*peer == AICHAT).then_some(Goal::Times(35));
            table.add(race.row(whole, CHAT, peer, WALL, goal));
            table.add(race.row(first_byte, CHAT, peer, FIRST_BYTE, None));
            table.add(race.row(memory, CHAT, peer, PEAK, None));
        }
    }
    Ok(())
}

fn long_stream(port: u16, table: &mut Table) -> Result<(), Box<dyn Error>> {
    let url = format!("http://127.0.0.1:{port}/long");
    let mut race =
        Race::of(vec![Runner::new(CHAT, chat(&url)), Runner::new(HYPER, client(&url)?), Runner::new(CURL, curl(&url))]);
    race.run(60)?;
    let title = format!("stream of {} chunks, CPU", loopback::LONG);
    say(&race.shown(&title, "≤ 2× bare client", CPU))?;
    say(&race.shown("the same, wall", "none", WALL))?;
    say(&race.shown("the same, peak memory", "≤ 10 MiB", PEAK))?;
    table.add(race.row(&title, CHAT, HYPER, CPU, Some(Goal::Times(200))));
    table.add(race.row(&title, CHAT, CURL, CPU, None));
    let memory = format!("stream of {} chunks, peak memory", loopback::LONG);
    table.add(race.row(&memory, CHAT, HYPER, PEAK, Some(Goal::Most(Figure::mib(10)))));

    for (peers, rounds) in [(&[AICHAT][..], 20), (&SLOW, 3)] {
        let theirs = peers.iter().map(|peer| Runner::peer(peer, peers::chat(peer, "long", port)));
        let mut race = Race::of([Runner::new(CHAT, chat(&url))].into_iter().chain(theirs).collect());
        race.run(rounds)?;
        say(&race.shown(&title, "none", CPU))?;
        say(&race.shown("the same, wall", "none", WALL))?;
        say(&race.shown("the same, peak memory", "none", PEAK))?;
        for peer in peers {
            table.add(race.row(&title, CHAT, peer, CPU, None));
            table.add(race.row(&memory, CHAT, peer, PEAK, None));
        }
    }
    Ok(())
}

/// llmx with an environment of its own: no configuration, no key, no proxy of the user's.
fn llmx(arguments: &[&str]) -> Command {
    let mut command = Command::new(LLMX);
    command.args(arguments).env_clear().env("HOME", home()).current_dir(home());
    command
}

fn home() -> PathBuf {
    folder().join("home")
}

fn chat(url: &str) -> Command {
    llmx(&["chat", "-m", "openai/gpt-4o-mini", "--base-url", url, "Hi"])
}

/// With keys that open nothing.
fn bedrock(port: u16) -> Result<Command, String> {
    if !cfg!(feature = "bedrock") {
        return Err("built without Bedrock".into());
    }
    let mut command = llmx(&["chat", "-m", "bedrock/anthropic.claude-x", "--region", "us-east-1", "--no-stream", "Hi"]);
    command
        .env("AWS_ENDPOINT_URL_BEDROCK_RUNTIME", format!("http://127.0.0.1:{port}"))
        .envs([("AWS_ACCESS_KEY_ID", "bench"), ("AWS_SECRET_ACCESS_KEY", "bench")])
        .env("AWS_EC2_METADATA_DISABLED", "true");
    Ok(command)
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

/// The binary's size, and how many crates it is made of.
fn size(table: &mut Table) -> Result<(), Box<dyn Error>> {
    let bytes = Figure { value: fs::metadata(LLMX)?.len(), unit: Unit::MB };
    let build = if cfg!(feature = "bedrock") { "with" } else { "without" };
    let (all, fewest) = (crates(&["--all-features"])?, crates(&["--no-default-features"])?);
    say(&format!(
        "\nrelease binary, {build} Bedrock: {bytes} (goal: ≤ 15 MB)\ncrates: {all} with Bedrock, {fewest} without\n"
    ))?;
    let goal = Goal::Most(Figure { value: 15_000_000, unit: Unit::MB });
    table.add(Row::new(&format!("release binary, {build} Bedrock"), Ok(bytes)).goal(Some(goal)));
    Ok(())
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

fn say(text: &str) -> Result<(), Box<dyn Error>> {
    Ok(std::io::stdout().write_all(text.as_bytes())?)
}
