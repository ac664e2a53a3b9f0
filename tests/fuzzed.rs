//! The targets of `fuzz/` without a fuzzer: every seed of the corpus, seeds that were damaged, and random bytes. Some seconds
//! by default; `LLMX_FUZZ_CASES` sets how many inputs each target gets, and each run with it draws others.

#[path = "fuzzed/damage.rs"]
mod damage;
#[path = "fuzzed/targets.rs"]
mod targets;

use std::fs;
use std::path::{Path, PathBuf};

use proptest::prelude::{Strategy, any};
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

use damage::{Damage, Input};
use targets::{TARGETS, Target};

/// Inputs for each target, where nothing else is asked for.
const CASES: u32 = 96;

/// Longest input, in bytes.
const INPUT_MAX: usize = 16 << 10;

fn fuzz() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz")
}

/// The seeds of a target: those files that are kept, which have an ending.
fn seeds(target: &Target) -> Vec<(PathBuf, Vec<u8>)> {
    let folder = fuzz().join("corpus").join(target.name);
    let entries = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.expect("an entry").path()).collect();
    files.retain(|path| path.extension().is_some());
    files.sort();
    assert!(!files.is_empty(), "{} has no seeds", target.name);
    files.into_iter().map(|path| (path.clone(), fs::read(path).expect("readable"))).collect()
}

fn runner() -> TestRunner {
    let asked = std::env::var("LLMX_FUZZ_CASES").ok().map(|cases| cases.parse().expect("LLMX_FUZZ_CASES is a number"));
    let config = Config { cases: asked.unwrap_or(CASES), failure_persistence: None, ..Config::default() };
    match asked {
        Some(_) => TestRunner::new(config),
        None => TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha)),
    }
}

/// Runs every target on inputs of its own kind, each on a thread of its own.
fn each_target<S: Strategy<Value = Input>>(inputs: impl Fn(&Target) -> S + Sync) {
    let check = |target: &Target| {
        let run = |Input(bytes): Input| {
            (target.run)(&bytes);
            Ok(())
        };
        runner().run(&inputs(target), run).map_err(|error| format!("{}: {error}", target.name))
    };
    let wrong: Vec<String> = std::thread::scope(|scope| {
        let check = &check;
        let threads: Vec<_> = TARGETS.iter().map(|target| scope.spawn(move || check(target))).collect();
        threads.into_iter().filter_map(|thread| thread.join().expect("a runner catches panics").err()).collect()
    });
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

#[test]
fn every_seed_keeps_the_promises_of_its_target() {
    let seeds = TARGETS.iter().flat_map(|target| seeds(target).into_iter().map(move |seed| (target, seed)));
    let broken = seeds.filter(|(target, (_, bytes))| std::panic::catch_unwind(|| (target.run)(bytes)).is_err());
    let broken: Vec<PathBuf> = broken.map(|(_, (path, _))| path).collect();
    assert!(broken.is_empty(), "these break a promise of their target, as is told above: {broken:#?}");
}

#[test]
fn damaged_seeds_keep_the_promises_of_their_target() {
    each_target(|target| {
        let seeds: Vec<Vec<u8>> = seeds(target).into_iter().map(|(_, bytes)| bytes).collect();
        let damages = proptest::collection::vec(any::<Damage>(), 1..6);
        (any::<proptest::sample::Index>(), damages).prop_map(move |(seed, damages)| {
            let mut bytes = seed.get(&seeds).clone();
            for damage in &damages {
                damage.inflict(&mut bytes, &seeds);
                bytes.truncate(INPUT_MAX);
            }
            Input(bytes)
        })
    });
}

#[test]
fn random_bytes_keep_the_promises_of_every_target() {
    each_target(|_| proptest::collection::vec(any::<u8>(), 0..256).prop_map(Input));
}

#[test]
fn cargo_fuzz_knows_every_target() {
    let manifest = fs::read_to_string(fuzz().join("Cargo.toml")).expect("readable");
    let manifest: toml::Table = manifest.parse().expect("TOML");
    let known: Vec<&str> =
        manifest["bin"].as_array().expect("an array").iter().filter_map(|bin| bin["name"].as_str()).collect();
    let ours: Vec<&str> = TARGETS.iter().map(|target| target.name).collect();
    assert_eq!(known, ours, "fuzz/Cargo.toml and TARGETS name the same targets in the same order");
}
