//! Makes `pricing.toml` from a merged price snapshot and the hand-written rulings, in an order that diffs well.
//!
//! `cargo run --example pricing_table -- SNAPSHOT.json examples/pricing_rulings.toml > pricing.toml`
//!
//! What two sources agree on is taken; what one says alone only from the seller's own page; what they dispute waits for
//! a ruling. It stops at a contradiction instead of choosing.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::io::Write as _;

use toml::Table;

#[path = "pricing/entry.rs"]
mod entry;
#[path = "pricing/figures.rs"]
mod figures;
#[path = "pricing/names.rs"]
mod names;
#[path = "pricing/read.rs"]
mod read;
#[path = "pricing/write.rs"]
mod write;

use entry::limits;
use figures::{Sheet, thousandths};
use names::{base_of, key, stands_alone};
use read::{Entry, Like, Rulings, Seller, Snapshot};
use write::{Model, about, bare, field, ordered, quoted};

/// What an update prints beside the table: one count per way an entry went.
pub type Counts = BTreeMap<String, usize>;

#[allow(dead_code, reason = "the test that includes this file calls `table` alone")]
fn main() -> Result<(), String> {
    let paths: Vec<String> = std::env::args().skip(1).collect();
    let [snapshot, rulings] = paths.as_slice() else {
        return Err("usage: pricing_table SNAPSHOT.json RULINGS.toml".to_owned());
    };
    let read = |path: &String| std::fs::read_to_string(path).map_err(|error| format!("{path}: {error}"));
    let (table, counts) = table(&read(snapshot)?, &read(rulings)?)?;
    let mut report = String::new();
    for (way, count) in counts {
        let _ = writeln!(report, "{count:5}  {way}");
    }
    std::io::stderr().write_all(report.as_bytes()).map_err(|error| error.to_string())?;
    std::io::stdout().write_all(table.as_bytes()).map_err(|error| error.to_string())
}

/// The text of `pricing.toml`.
///
/// # Errors
/// A sentence that names the entry: a contradiction, an unknown field, an undecided entry, a ruling without its entry.
pub fn table(snapshot: &str, rulings: &str) -> Result<(String, Counts), String> {
    let snapshot: Snapshot = serde_json::from_str(snapshot).map_err(|error| format!("snapshot: {error}"))?;
    let rulings: Rulings = toml::from_str(rulings).map_err(|error| format!("rulings: {error}"))?;
    let mut maker = Maker {
        rulings: &rulings,
        models: BTreeMap::new(),
        counts: Counts::new(),
        used: BTreeSet::new(),
        left: BTreeMap::new(),
    };
    maker.add_hand_written();
    for (seller, rules) in &rulings.seller {
        maker.add_seller(seller, rules, &snapshot.entries)?;
    }
    let known = |entry: &&Entry| rulings.seller.0.iter().any(|(seller, _)| *seller == entry.provider);
    for entry in snapshot.entries.iter().filter(|entry| !known(entry)) {
        maker.count(&format!("{}: left out, {} is not in the catalog", entry.agreement_flag, entry.provider));
    }
    maker.add_mirrors()?;
    maker.check_rulings()?;
    Ok((maker.print()?, maker.counts))
}

/// The table while it is made.
struct Maker<'a> {
    rulings: &'a Rulings,
    models: BTreeMap<String, Model>,
    counts: Counts,
    /// Rulings that met their entry.
    used: BTreeSet<String>,
    /// Entries that are not shipped.
    left: BTreeMap<String, &'a Entry>,
}

impl<'a> Maker<'a> {
    fn add_hand_written(&mut self) {
        for (key, fields) in &self.rulings.model {
            let mut model = Model::default();
            for (name, value) in fields.as_table().into_iter().flatten() {
                model.set(name, field(name, value));
            }
            self.count("shipped: by hand");
            self.models.insert(key.clone(), model);
        }
    }

    /// Every row of a seller: left out with a reason, folded into profiles, or an entry.
    fn add_seller(&mut self, seller: &str, rules: &Seller, entries: &'a [Entry]) -> Result<(), String> {
        let mut own: Vec<&Entry> = entries.iter().filter(|entry| entry.provider == seller).collect();
        // Zones after what they are like.
        own.sort_by_key(|entry| (entry.id.contains('/'), entry.id.as_str()));
        let mut sellable = Vec::new();
        for entry in own {
            let key = key(rules, entry);
            if let Some(model) = self.rulings.model.get(&key) {
                if model.as_table().is_none_or(Table::is_empty) {
                    return Err(format!("{key}: a hand-written entry is empty"));
                }
                self.count(&format!("{}: replaced by hand", entry.agreement_flag));
                continue;
            }
            if self.covered_by_hand(&key, rules) {
                self.count(&format!("{}: shipped in profiles", entry.agreement_flag));
                continue;
            }
            if let Err(reason) = self.may_ship(&key, entry, rules)? {
                self.count(&format!("{}: left out, {reason}", entry.agreement_flag));
                self.left.insert(key, entry);
                continue;
            }
            sellable.push((key, entry));
        }
        let folded = self.fold_profiles(rules, &sellable).map_err(|error| format!("{seller}: {error}"))?;
        for (key, entry) in sellable {
            if let Some(way) = folded.get(&key) {
                self.count(&format!("{}: {way}", entry.agreement_flag));
                continue;
            }
            let model = self.model(&key, entry, rules).map_err(|error| format!("{key}: {error}"))?;
            self.count(&format!("{}: shipped", entry.agreement_flag));
            self.models.insert(key, model);
        }
        Ok(())
    }

    /// Whether a hand-written entry with `profiles` stands for this cross-region id.
    fn covered_by_hand(&self, key: &str, rules: &Seller) -> bool {
        let (Some(base), _) = base_of(key, rules) else { return false };
        self.rulings.model.get(&base).is_some_and(|model| model.get("profiles").is_some())
    }

    /// `Ok(Err(reason))` leaves it out; an entry in dispute without a ruling is an error.
    fn may_ship(&mut self, key: &str, entry: &Entry, rules: &Seller) -> Result<Result<(), &'static str>, String> {
        if self.rulings.leave.contains_key(key) {
            self.used.insert(key.to_owned());
            return Ok(Err("by ruling"));
        }
        if self.rulings.take.contains_key(key) {
            self.used.insert(key.to_owned());
            return Ok(Ok(()));
        }
        let disputed = match (entry.agreement_flag.as_str(), entry.zero_unconfirmed, entry.lint.is_empty()) {
            ("conflict", _, _) => Some("its sources differ"),
            _ if entry.agreement.values().any(|agreement| agreement.starts_with("conflict")) => {
                Some("its sources differ")
            }
            (_, true, _) => Some("one source says that it costs nothing"),
            (_, _, false) => Some("its figures contradict each other"),
            _ => None,
        };
        if entry.free {
            return Ok(Ok(()));
        }
        if disputed.is_none() && entry.rates.get("input").is_none_or(|input| input == "0") {
            return Ok(Err("no price for its input tokens"));
        }
        Ok(match (disputed, entry.agreement_flag.as_str()) {
            // A router books the charge that its answers state: its price is only a check.
            (Some(_), "conflict") if rules.places.is_some() => Err("a router's price in dispute"),
            (Some(why), _) => return Err(format!("{key}: {why}, and no ruling says what to do")),
            (None, "single") if !stands_alone(entry, rules) => Err("one source without the seller's page"),
            (None, "single" | "agree2" | "agree3" | "majority" | "resolved") => Ok(()),
            (None, flag) => return Err(format!("{key}: unknown agreement_flag {flag:?}")),
        })
    }

    /// Cross-region ids whose every figure is another entry's × their profile's factor: one entry with `profiles`.
    fn fold_profiles(
        &mut self,
        rules: &Seller,
        entries: &[(String, &Entry)],
    ) -> Result<BTreeMap<String, &'static str>, String> {
        let mut groups: BTreeMap<String, Vec<(&str, &str, &Entry)>> = BTreeMap::new();
        for (key, entry) in entries {
            let (base, prefix) = base_of(key, rules);
            groups.entry(base.unwrap_or(key.clone())).or_default().push((prefix, key, entry));
        }
        let mut folded = BTreeMap::new();
        for (base, members) in groups {
            let Some((target, like)) = self.like(rules, &base, |like| !like.profiles.is_empty()) else { continue };
            let Some(set) = self.set_of(&members, &target, like, rules)? else { continue };
            let fullest = members.iter().max_by_key(|(prefix, _, entry)| (entry.modes.len(), *prefix == "none"));
            let Some((_, _, entry)) = fullest else { continue };
            let other = &self.models[&target];
            let mut made = Model { sheet: other.sheet.clone(), has_dates: other.has_dates, ..Model::default() };
            made.set("like", quoted(&target));
            made.set("profiles", quoted(set));
            limits(&mut made, entry);
            self.modes(&mut made, &base, entry, rules).map_err(|error| format!("{base}: {error}"))?;
            self.finish(&mut made, &base)?;
            self.models.insert(base, made);
            let listed = &self.rulings.profiles[set];
            for (prefix, key, _) in members {
                if listed.get(prefix).is_some() {
                    folded.insert(key.to_owned(), "shipped in profiles");
                } else if rules.unproven_profiles.iter().any(|unproven| unproven == prefix) {
                    folded.insert(key.to_owned(), "left out, a profile that nobody has seen");
                }
            }
        }
        Ok(folded)
    }

    /// The first set whose factors lead from the target to every member that it lists.
    fn set_of<'r>(
        &self,
        members: &[(&str, &str, &Entry)],
        target: &str,
        like: &'r Like,
        rules: &Seller,
    ) -> Result<Option<&'r str>, String> {
        let Some(sheet) = &self.models[target].sheet else { return Ok(None) };
        for set in &like.profiles {
            let factors = self.rulings.profiles.get(set).ok_or(format!("no profiles.{set}"))?;
            let mut listed = 0;
            let mut follow = true;
            for (prefix, key, entry) in members {
                let Some(factor) = factors.get(prefix).and_then(thousandths) else { continue };
                let own = Sheet::read(&entry.rates, entry.tiers.as_deref().unwrap_or(&[]), rules.places);
                listed += 1;
                follow &= own.map_err(|error| format!("{key}: {error}"))?.follows(sheet, factor);
            }
            if listed > 0 && follow {
                return Ok(Some(set));
            }
        }
        Ok(None)
    }

    /// The same entries under the ids of other rows of the catalog.
    fn add_mirrors(&mut self) -> Result<(), String> {
        for mirror in &self.rulings.mirror {
            let start = format!("{}/{}", mirror.of, mirror.starts);
            let found: Vec<(String, Model)> = self
                .models
                .iter()
                .filter(|(key, _)| key.starts_with(&start))
                .map(|(key, model)| (key.clone(), model.clone()))
                .collect();
            if found.is_empty() {
                return Err(format!("mirror of {start}: nothing is there"));
            }
            for (of, model) in found {
                let key = format!("{}{}", mirror.provider, &of[mirror.of.len()..]);
                let mut copy = Model { fields: Vec::new(), ..model.clone() };
                if model.get("price").is_some() {
                    copy.set("like", quoted(&of));
                }
                let inherited = ["price", "fees", "note", "source"];
                for (name, value) in model.fields.iter().filter(|(name, _)| !inherited.contains(&name.as_str())) {
                    copy.set(name, value.clone());
                }
                self.count("shipped: called through another row of the catalog");
                self.models.entry(key).or_insert(copy);
            }
        }
        Ok(())
    }

    /// A ruling that met nothing is out of date.
    fn check_rulings(&self) -> Result<(), String> {
        let rulings = self.rulings.take.keys().chain(self.rulings.leave.keys()).chain(self.rulings.change.keys());
        match rulings.into_iter().find(|key| !self.used.contains(*key)) {
            Some(key) => Err(format!("a ruling on {key:?} met no entry: it is gone, or another ruling came first")),
            None => Ok(()),
        }
    }

    fn print(&self) -> Result<String, String> {
        let rulings = self.rulings;
        let mut text = String::new();
        for line in rulings.header.lines() {
            let _ = writeln!(text, "{}", format!("# {line}").trim_end());
        }
        let _ = writeln!(text, "schema  = {}\nversion = {}", rulings.schema, quoted(&rulings.version));
        for (name, rules) in &rulings.provider {
            let _ = writeln!(text, "\n[provider.{name}]");
            for (key, value) in rules.as_table().into_iter().flatten().filter(|(key, _)| *key != "about") {
                let _ = writeln!(text, "{key} = {}", field(key, value));
            }
            let _ = writeln!(text, "checked = {}", rulings.checked);
        }
        for (kind, sets) in [("profiles", &rulings.profiles), ("calendar", &rulings.calendar)] {
            for (name, set) in sets {
                let _ = writeln!(text, "\n{}[{kind}.{name}]", about(set));
                for (key, value) in set.as_table().into_iter().flatten().filter(|(key, _)| *key != "about") {
                    let _ = writeln!(text, "{} = {}", bare(key), field(key, value));
                }
            }
        }
        let mut left: BTreeSet<&str> = self.models.keys().map(String::as_str).collect();
        for (name, rules) in &rulings.provider {
            let start = format!("{name}/");
            let own: Vec<(&String, &Model)> = self.models.iter().filter(|(key, _)| key.starts_with(&start)).collect();
            if own.is_empty() {
                return Err(format!("provider.{name} has no entry"));
            }
            let _ = write!(text, "\n# ---- {name} ----\n{}", about(rules));
            for (key, model) in own {
                left.remove(key.as_str());
                let _ = writeln!(text, "\n[model.{}]", quoted(key));
                for (name, value) in ordered(&model.fields) {
                    let _ = writeln!(text, "{name} = {value}");
                }
            }
        }
        match left.first() {
            Some(key) => Err(format!("{key}: no provider rules for it")),
            None => Ok(text),
        }
    }

    fn count(&mut self, way: &str) {
        *self.counts.entry(way.to_owned()).or_default() += 1;
    }
}
