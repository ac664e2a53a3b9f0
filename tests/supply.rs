//! What may come into the tree: `deny.toml` held against the lock file and what cargo knows of the crates, without any database.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use serde_json::Value;

fn read(name: &str) -> toml::Table {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(name);
    toml::from_str(&std::fs::read_to_string(&path).expect("readable")).expect("TOML")
}

/// The texts of a list in the policy.
fn policy(table: &str, list: &str) -> BTreeSet<String> {
    let policy = read("deny.toml");
    let table = table.split('.').fold(&toml::Value::Table(policy), |value, key| value.get(key).expect("there")).clone();
    let list = table.get(list).and_then(toml::Value::as_array).expect("a list");
    list.iter().map(|item| item.as_str().or_else(|| item.get("crate")?.as_str()).expect("a text").to_owned()).collect()
}

/// Every package of the lock file: its name, its version, where it comes from and its checksum.
fn locked() -> Vec<(String, String, Option<String>, bool)> {
    let lock = read("Cargo.lock");
    let packages = lock.get("package").and_then(toml::Value::as_array).expect("packages");
    let text = |package: &toml::Value, key: &str| package.get(key).and_then(toml::Value::as_str).map(str::to_owned);
    packages
        .iter()
        .map(|package| {
            let (name, version) =
                (text(package, "name").expect("a name"), text(package, "version").expect("a version"));
            (name, version, text(package, "source"), package.get("checksum").is_some())
        })
        .collect()
}

/// What cargo knows of the crates that are built here: those of other systems may not be on this machine.
fn built_here() -> Vec<Value> {
    let tell = |program: &str, arguments: &[&str]| {
        let told =
            Command::new(program).args(arguments).current_dir(env!("CARGO_MANIFEST_DIR")).output().expect("runs");
        assert!(told.status.success(), "{program}: {}", String::from_utf8_lossy(&told.stderr));
        String::from_utf8(told.stdout).expect("text")
    };
    let rustc = tell("rustc", &["-vV"]);
    let host = rustc.lines().find_map(|line| line.strip_prefix("host: ")).expect("a host").to_owned();
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let told =
        tell(&cargo, &["metadata", "--locked", "--offline", "--format-version", "1", "--filter-platform", &host]);
    let told: Value = serde_json::from_str(&told).expect("JSON");
    let nodes: BTreeSet<&str> =
        told["resolve"]["nodes"].as_array().expect("nodes").iter().filter_map(|node| node["id"].as_str()).collect();
    let packages = told["packages"].as_array().expect("packages");
    packages.iter().filter(|package| nodes.contains(package["id"].as_str().expect("an id"))).cloned().collect()
}

#[test]
fn every_crate_comes_from_the_one_registry_with_its_checksum() {
    let registries = policy("sources", "allow-registry");
    for (name, version, source, checksum) in locked().iter().filter(|(name, ..)| name != env!("CARGO_PKG_NAME")) {
        let source = source.as_deref().unwrap_or("a folder");
        let known = registries.iter().any(|registry| source == format!("registry+{registry}"));
        assert!(known && *checksum, "{name} {version} comes from {source}");
    }
}

#[test]
fn no_crate_is_banned_and_a_second_version_is_argued() {
    let (banned, skipped) = (policy("bans", "deny"), policy("bans", "skip"));
    let mut versions: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (name, version, ..) in locked() {
        assert!(!banned.contains(&name), "{name} is banned in deny.toml");
        versions.entry(name).or_default().push(version);
    }
    for (name, versions) in &versions {
        let argued = versions.iter().filter(|version| skipped.contains(&format!("{name}@{version}"))).count();
        assert!(
            argued + 1 >= versions.len(),
            "{name} is there as {versions:?}: argue it in deny.toml, or bring them together"
        );
    }
    for skip in &skipped {
        let there = skip.split_once('@').is_some_and(|(name, version)| {
            versions.get(name).is_some_and(|versions| versions.len() > 1 && versions.iter().any(|one| one == version))
        });
        assert!(there, "deny.toml argues {skip}, which is no second version any more");
    }
}

#[test]
fn every_licence_is_one_that_the_policy_allows() {
    let allowed = policy("licenses", "allow");
    for package in built_here() {
        let licence = package["license"].as_str().unwrap_or_default().replace('/', " OR ");
        // `A AND (B OR C)`: each part needs one that is allowed.
        let fits = licence
            .replace(['(', ')'], "")
            .split(" AND ")
            .all(|part| part.split(" OR ").any(|one| allowed.contains(one.trim())));
        assert!(fits, "{} is under {licence:?}", package["name"]);
    }
}

#[test]
fn only_known_crates_run_something_when_they_are_built() {
    let known = policy("bans.build", "allow-build-scripts");
    for package in built_here() {
        let targets = package["targets"].as_array().expect("targets");
        let runs =
            targets.iter().any(|target| target["kind"].as_array().expect("kinds").contains(&"custom-build".into()));
        let name = package["name"].as_str().expect("a name");
        assert!(!runs || known.contains(name), "{name} has a build script: look at it, then list it in deny.toml");
    }
}
