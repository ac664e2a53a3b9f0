//! Makes `pricing.toml` from a merged price snapshot and the hand-written rulings, in an order that diffs well.
//!
//! `cargo run --example pricing_table -- SNAPSHOT.json examples/pricing_rulings.toml > pricing.toml`
//!
//! What two sources agree on is taken; what one says alone only from the seller's own page; what they dispute waits for
//! a ruling. It stops at a contradiction instead of choosing.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::io::Write as _;

use serde::Deserialize;
use toml::{Table, Value};

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
    maker.add_mirrors()?;
    maker.check_rulings()?;
    Ok((maker.print()?, maker.counts))
}

// ---- What is read ----

#[derive(Deserialize)]
struct Snapshot {
    entries: Vec<Entry>,
}

/// One row of the snapshot: the fields that a price is made from.
#[derive(Deserialize)]
struct Entry {
    provider: String,
    id: String,
    mode: String,
    context_window: Option<u64>,
    max_output: Option<u64>,
    rates: BTreeMap<String, String>,
    #[serde(default)]
    tiers: Option<Vec<RawTier>>,
    #[serde(default)]
    modes: BTreeMap<String, RawSheet>,
    #[serde(default)]
    multipliers: BTreeMap<String, String>,
    #[serde(default)]
    fees_per_1k: BTreeMap<String, String>,
    #[serde(default)]
    history: Vec<RawSheet>,
    #[serde(default)]
    future: Vec<RawSheet>,
    #[serde(default)]
    time_of_day_note: Option<String>,
    #[serde(default)]
    lint: Vec<String>,
    #[serde(default)]
    conflicts: BTreeMap<String, BTreeMap<String, serde_json::Value>>,
    agreement: BTreeMap<String, String>,
    #[serde(default)]
    agreement_modes: BTreeMap<String, String>,
    agreement_flag: String,
    free: bool,
    #[serde(default)]
    zero_unconfirmed: bool,
    #[serde(default)]
    resolution: Option<Resolution>,
    aliases: Vec<String>,
    sources: Sources,
}

#[derive(Deserialize)]
struct RawTier {
    threshold: u64,
    op: String,
    rates: BTreeMap<String, String>,
}

#[derive(Deserialize)]
struct RawSheet {
    #[serde(default)]
    effective_from: Option<String>,
    base: BTreeMap<String, String>,
    #[serde(default)]
    tiers: Vec<RawTier>,
}

#[derive(Deserialize)]
struct Resolution {
    why: String,
}

#[derive(Deserialize)]
struct Sources {
    litellm: Option<Litellm>,
    genai: Option<Genai>,
}

#[derive(Deserialize)]
struct Litellm {
    source_url: Option<String>,
}

#[derive(Deserialize)]
struct Genai {
    note: Option<String>,
}

/// The hand-written half.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Rulings {
    schema: i64,
    version: String,
    /// Copied to the top of the table.
    header: String,
    /// The day on which the rows were checked, written once per provider.
    checked: toml::value::Datetime,
    /// Copied, in this order.
    provider: Table,
    profiles: Table,
    calendar: Table,
    /// Whole entries that stand instead of the snapshot's.
    model: Table,
    /// How each seller's rows are read, in an order in which `like` finds what is already there.
    seller: OrderedSellers,
    #[serde(default)]
    mirror: Vec<Mirror>,
    /// An entry in dispute that is taken after all, with the evidence.
    take: BTreeMap<String, String>,
    /// An entry that is not shipped, with the reason.
    leave: BTreeMap<String, String>,
    /// Fields that replace what the snapshot gives, with `why`.
    change: BTreeMap<String, Table>,
}

/// Sellers in the order of the file.
struct OrderedSellers(Vec<(String, Seller)>);

impl<'a> IntoIterator for &'a OrderedSellers {
    type Item = (&'a String, &'a Seller);
    type IntoIter = std::iter::Map<std::slice::Iter<'a, (String, Seller)>, fn(&(String, Seller)) -> (&String, &Seller)>;
    fn into_iter(self) -> Self::IntoIter {
        self.0.iter().map(|(name, seller)| (name, seller))
    }
}

impl<'de> Deserialize<'de> for OrderedSellers {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<OrderedSellers, D::Error> {
        let sellers = Table::deserialize(deserializer)?;
        let read = |(name, rules): (String, Value)| match rules.try_into() {
            Ok(rules) => Ok((name, rules)),
            Err(error) => Err(serde::de::Error::custom(format!("seller.{name}: {error}"))),
        };
        Ok(OrderedSellers(sellers.into_iter().map(read).collect::<Result<_, _>>()?))
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Seller {
    /// Hosts of the seller's own pages: a single source that cites one is taken.
    #[serde(default)]
    pages: Vec<String>,
    /// genai-prices alone is taken: its file for this seller is read from the seller's price page.
    #[serde(default)]
    genai_reads_the_page: bool,
    /// Every id may carry a date.
    #[serde(default)]
    dated: bool,
    /// What a cached token costs in a mode whose list names no cached price.
    #[serde(default)]
    cached_in_mode: CachedInMode,
    /// The seller's history in the snapshot is its own.
    #[serde(default = "yes")]
    own_dates: bool,
    /// A mode that is another name for an attribute of the request.
    #[serde(default)]
    mode_is: BTreeMap<String, String>,
    /// Attributes of the snapshot under the table's names; the provider's factor is switched off where they are absent.
    #[serde(default)]
    attribute: BTreeMap<String, String>,
    /// Rounds longer rates (thirds of a cent) to this many places.
    places: Option<usize>,
    /// Ids that are called through another row of the catalog.
    #[serde(default)]
    moves: Vec<Move>,
    #[serde(default)]
    like: Vec<Like>,
    /// Prefixes of cross-region ids, folded into `like` and `profiles` where every figure follows.
    #[serde(default)]
    profile_prefixes: Vec<String>,
    /// Prefixes that price maps list and the cloud does not, where the set of a model leaves them out.
    #[serde(default)]
    unproven_profiles: Vec<String>,
}

fn yes() -> bool {
    true
}

#[derive(Deserialize, Default, Clone, Copy, PartialEq)]
#[serde(rename_all = "kebab-case")]
enum CachedInMode {
    #[default]
    Factor,
    Standard,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Move {
    contains: String,
    /// Cut from the front of the id.
    #[serde(default)]
    cut: String,
    provider: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Like {
    /// `provider/` and the start of the id.
    starts: String,
    /// What stands in its place.
    of: String,
    #[serde(default)]
    scale: Option<f64>,
    /// Sets to try, in this order.
    #[serde(default)]
    profiles: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Mirror {
    provider: String,
    of: String,
    starts: String,
}

// ---- Figures ----

/// USD per 1,000,000 tokens (or per 1,000 uses), in billionths.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Usd(i128);

const PLACES: usize = 9;

impl Usd {
    fn parse(text: &str, places: Option<usize>) -> Result<Usd, String> {
        let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
        let digits = |text: &str| match text {
            "" => Ok(0),
            text if text.bytes().all(|byte| byte.is_ascii_digit()) => text.parse::<i128>().map_err(|_| ()),
            _ => Err(()),
        };
        let wrong = |()| format!("{text:?} is not a plain decimal of zero or more");
        let kept = places.unwrap_or(PLACES);
        let shown = if fraction.len() > PLACES && places.is_some() { &fraction[..kept] } else { fraction };
        if shown.len() > PLACES {
            return Err(format!("{text:?} has more than {PLACES} places"));
        }
        let mut value = digits(whole).map_err(wrong)? * 1_000_000_000;
        value += digits(&format!("{shown:0<PLACES$}")).map_err(wrong)?;
        if fraction.len() > shown.len() && fraction.as_bytes()[kept] >= b'5' {
            value += 10_i128.pow(u32::try_from(PLACES - kept).unwrap_or(0));
        }
        Ok(Usd(value))
    }

    /// × thousandths, where that is exact.
    fn times(self, thousandths: i128) -> Option<Usd> {
        (self.0 * thousandths % 1000 == 0).then(|| Usd(self.0 * thousandths / 1000))
    }

    /// The factor that makes it from another rate, in thousandths, where it is exact.
    fn over(self, other: Usd) -> Option<i128> {
        (other.0 != 0 && self.0 * 1000 % other.0 == 0).then(|| self.0 * 1000 / other.0)
    }

    fn text(self) -> String {
        let (whole, fraction) = (self.0 / 1_000_000_000, self.0 % 1_000_000_000);
        let fraction = format!("{fraction:09}");
        match fraction.trim_end_matches('0') {
            "" => whole.to_string(),
            fraction => format!("{whole}.{fraction}"),
        }
    }
}

/// The text of a factor in thousandths.
fn factor_text(thousandths: i128) -> String {
    Usd(thousandths * 1_000_000).text()
}

/// A TOML number as thousandths.
fn thousandths(value: &Value) -> Option<i128> {
    let text = match value {
        Value::Integer(number) => number.to_string(),
        Value::Float(number) => number.to_string(),
        _ => return None,
    };
    Usd::parse(&text, None).ok().and_then(|usd| usd.over(Usd(1_000_000_000)))
}

/// Rates that a meter reads, in the order in which they are written.
const RATES: [&str; 12] = [
    "input",
    "output",
    "cache_read",
    "cache_write",
    "cache_write_1h",
    "input_audio",
    "output_audio",
    "cache_read_audio",
    "input_image",
    "output_image",
    "reasoning",
    "citation",
];

/// Units that no meter counts, beside a token price that stands for the same thing.
const OTHER_UNITS: [&str; 2] = ["input_mchars", "image_in_each"];

type Rates = BTreeMap<usize, Usd>;

const INPUT: usize = 0;
const OUTPUT: usize = 1;

#[derive(Clone, PartialEq)]
struct Tier {
    threshold: u64,
    at_least: bool,
    rates: Rates,
}

/// A base and its tiers.
#[derive(Clone, PartialEq)]
struct Sheet {
    base: Rates,
    tiers: Vec<Tier>,
}

impl Sheet {
    fn read(base: &BTreeMap<String, String>, tiers: &[RawTier], places: Option<usize>) -> Result<Sheet, String> {
        let base = rates(base, places)?;
        let tiers = tiers
            .iter()
            .map(|tier| {
                let at_least = match tier.op.as_str() {
                    ">" => false,
                    ">=" => true,
                    op => return Err(format!("a tier has the operator {op:?}")),
                };
                let rates = rates(&tier.rates, places)?;
                if !rates.contains_key(&INPUT) {
                    return Err("a tier has no input".to_owned());
                }
                Ok(Tier { threshold: tier.threshold, at_least, rates })
            })
            .collect::<Result<_, String>>()?;
        Ok(Sheet { base, tiers })
    }

    /// What is missing follows from the input, where the provider has a ratio.
    fn with(&self, ratio: &Rates) -> Sheet {
        let fill = |rates: &Rates| {
            let mut rates = rates.clone();
            for (dimension, thousandths) in ratio {
                let Some(usd) = rates.get(&INPUT).and_then(|input| input.times(thousandths.0)) else { continue };
                rates.entry(*dimension).or_insert(usd);
            }
            rates
        };
        let tiers = self.tiers.iter().map(|tier| Tier { rates: fill(&tier.rates), ..tier.clone() }).collect();
        Sheet { base: fill(&self.base), tiers }
    }

    /// Every figure of this sheet is the other's × a factor in thousandths; the other may have more dimensions.
    fn follows(&self, other: &Sheet, factor: i128) -> bool {
        let follow = |own: &Rates, other: &Rates| {
            own.iter().all(|(dimension, usd)| other.get(dimension).and_then(|usd| usd.times(factor)) == Some(*usd))
        };
        follow(&self.base, &other.base)
            && self.tiers.len() == other.tiers.len()
            && self.tiers.iter().zip(&other.tiers).all(|(own, other)| {
                own.threshold == other.threshold && own.at_least == other.at_least && follow(&own.rates, &other.rates)
            })
    }

    /// Every figure is within half a cent of the other's.
    fn rounds(&self, other: &Sheet) -> bool {
        let near = |own: &Rates, other: &Rates| {
            own.iter().all(|(dimension, usd)| other.get(dimension).is_some_and(|it| (it.0 - usd.0).abs() <= 5_000_000))
        };
        near(&self.base, &other.base)
            && self.tiers.iter().zip(&other.tiers).all(|(own, other)| near(&own.rates, &other.rates))
    }

    /// Each figure in the order of `base`, then of the tiers, beside the other's; the other must have the same shape.
    fn factor_of(&self, other: &Sheet) -> Option<i128> {
        let factor = self.base.get(&INPUT)?.over(*other.base.get(&INPUT)?)?;
        (self.follows(other, factor) && self.base.len() == other.base.len()).then_some(factor)
    }

    /// The sheet without what the provider's ratios say, as an inline table's inside.
    fn text(&self, ratio: &Rates) -> String {
        let implied = |dimension: &usize| {
            ratio.get(dimension).is_some_and(|thousandths| {
                let holds = |rates: &Rates| {
                    let input = rates.get(&INPUT).and_then(|input| input.times(thousandths.0));
                    rates.get(dimension).is_none_or(|usd| Some(*usd) == input)
                };
                holds(&self.base) && self.tiers.iter().all(|tier| holds(&tier.rates))
            })
        };
        let write = |rates: &Rates| {
            let named = rates.iter().filter(|(dimension, _)| !implied(dimension));
            named.map(|(dimension, usd)| format!("{} = {}", RATES[*dimension], usd.text())).collect::<Vec<_>>()
        };
        let mut parts = write(&self.base);
        if !self.tiers.is_empty() {
            let tiers = self.tiers.iter().map(|tier| {
                let bound = if tier.at_least { "at_least" } else { "above" };
                let mut parts = vec![format!("{bound} = {}", grouped(tier.threshold))];
                parts.extend(write(&tier.rates));
                format!("{{ {} }}", parts.join(", "))
            });
            parts.push(format!("tier = [{}]", tiers.collect::<Vec<_>>().join(", ")));
        }
        parts.join(", ")
    }
}

/// Known rates without noise: thinking at the output's price, audio and images at the input's, zeros beside prices.
fn rates(raw: &BTreeMap<String, String>, places: Option<usize>) -> Result<Rates, String> {
    let mut rates = Rates::new();
    for (name, text) in raw {
        if OTHER_UNITS.contains(&name.as_str()) || name.ends_with("_video") {
            continue;
        }
        let dimension = RATES.iter().position(|known| known == name).ok_or(format!("unknown rate {name:?}"))?;
        rates.insert(dimension, Usd::parse(text, places).map_err(|error| format!("{name}: {error}"))?);
    }
    let same = |rates: &Rates, one: &str, other: usize| {
        let one = RATES.iter().position(|known| *known == one).unwrap_or(OUTPUT);
        (one != other && rates.contains_key(&other) && rates.get(&one) == rates.get(&other)).then_some(one)
    };
    let noise = [("reasoning", OUTPUT), ("input_audio", INPUT), ("input_image", INPUT)];
    for dimension in noise.into_iter().filter_map(|(one, other)| same(&rates, one, other)).collect::<Vec<_>>() {
        rates.remove(&dimension);
    }
    rates.retain(|dimension, usd| *dimension <= OUTPUT || usd.0 != 0);
    // An embedding has nothing to put out.
    if rates.get(&OUTPUT) == Some(&Usd(0)) && rates.get(&INPUT).is_some_and(|input| input.0 != 0) {
        rates.remove(&OUTPUT);
    }
    Ok(rates)
}

fn grouped(number: u64) -> String {
    let digits = number.to_string();
    if digits.len() < 5 {
        return digits;
    }
    let first = match digits.len() % 3 {
        0 => 3,
        rest => rest,
    };
    let (first, rest) = digits.split_at(first);
    let groups = rest.as_bytes().chunks(3).map(|chunk| String::from_utf8_lossy(chunk).into_owned());
    std::iter::once(first.to_owned()).chain(groups).collect::<Vec<_>>().join("_")
}

// ---- From the one to the other ----

/// An entry of the table, its fields already written, and what others may inherit from it.
#[derive(Clone, Default)]
struct Model {
    fields: Vec<(String, String)>,
    /// The current row with the provider's ratios applied; `None` for a hand-written entry.
    sheet: Option<Sheet>,
    modes: BTreeMap<String, Sheet>,
    fees: BTreeMap<String, Usd>,
    has_dates: bool,
}

impl Model {
    fn set(&mut self, key: &str, value: String) {
        match self.fields.iter_mut().find(|(name, _)| name == key) {
            Some((_, old)) => *old = value,
            None => self.fields.push((key.to_owned(), value)),
        }
    }

    fn get(&self, key: &str) -> Option<&str> {
        self.fields.iter().find(|(name, _)| name == key).map(|(_, value)| value.as_str())
    }
}

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
            let model = &self.models[&target];
            let Some(sheet) = model.sheet.clone() else { continue };
            for set in &like.profiles {
                let factors = self.rulings.profiles.get(set).and_then(Value::as_table);
                let factors = factors.ok_or(format!("no profiles.{set}"))?;
                let follows = |prefix: &str, entry: &Entry| -> Result<Option<bool>, String> {
                    let own = Sheet::read(&entry.rates, entry.tiers.as_deref().unwrap_or(&[]), rules.places)?;
                    let Some(factor) = factors.get(prefix).and_then(thousandths) else { return Ok(None) };
                    Ok(Some(own.follows(&sheet, factor)))
                };
                let verdicts = members
                    .iter()
                    .map(|(prefix, key, entry)| {
                        follows(prefix, entry).map(|verdict| (*key, verdict)).map_err(|error| format!("{key}: {error}"))
                    })
                    .collect::<Result<Vec<_>, String>>()?;
                let known: Vec<_> = verdicts.iter().filter(|(_, verdict)| verdict.is_some()).collect();
                if known.is_empty() || known.iter().any(|(_, verdict)| *verdict == Some(false)) {
                    continue;
                }
                let fullest = members.iter().max_by_key(|(prefix, _, entry)| (entry.modes.len(), *prefix == "none"));
                let Some((_, _, entry)) = fullest else { continue };
                let mut made = Model { sheet: Some(sheet.clone()), has_dates: model.has_dates, ..Model::default() };
                made.set("like", quoted(&target));
                made.set("profiles", quoted(set));
                self.modes(&mut made, &base, entry, rules).map_err(|error| format!("{base}: {error}"))?;
                limits(&mut made, entry);
                self.finish(&mut made, &base)?;
                self.models.insert(base.clone(), made);
                for (prefix, key, _) in &members {
                    if factors.contains_key(*prefix) {
                        folded.insert((*key).to_owned(), "shipped in profiles");
                    } else if rules.unproven_profiles.iter().any(|unproven| unproven == prefix) {
                        folded.insert((*key).to_owned(), "left out, a profile that nobody has seen");
                    }
                }
                break;
            }
        }
        Ok(folded)
    }

    fn model(&mut self, key: &str, entry: &Entry, rules: &Seller) -> Result<Model, String> {
        let mut model = Model::default();
        names(&mut model, key, entry, rules, &self.left);
        if entry.mode == "embedding" {
            model.set("kind", quoted("embedding"));
        }
        if entry.free {
            model.set("free", "true".to_owned());
            limits(&mut model, entry);
            self.finish(&mut model, key)?;
            return Ok(model);
        }
        if let Some(video) = entry.rates.keys().find(|name| name.ends_with("_video")) {
            model.set(
                "unpriced",
                quoted(&format!("video tokens have a rate of their own ({video}) and no count of their own")),
            );
            self.finish(&mut model, key)?;
            return Ok(model);
        }
        let sheet = Sheet::read(&entry.rates, entry.tiers.as_deref().unwrap_or(&[]), rules.places)?;
        let rows = self.rows(entry, rules, &sheet)?;
        model.has_dates = rows.len() > 1;
        model.fees = fees(entry)?;
        let changed = self.rulings.change.get(key);
        let replaced = |field: &str| changed.is_some_and(|change| change.contains_key(field));
        let like = self.like(rules, key, |like| like.profiles.is_empty()).and_then(|(target, like)| {
            let scale = like.scale.map_or(Some(1000), |scale| thousandths(&Value::Float(scale)))?;
            let other = &self.models[&target];
            let fees_follow = model.fees.iter().all(|(name, fee)| self.fee(&target, name) == Some(*fee));
            let dates_follow = !other.has_dates || rules.own_dates;
            let follows = other.sheet.as_ref().is_some_and(|other| sheet.follows(other, scale));
            (follows && fees_follow && dates_follow && !replaced("price")).then_some((target, scale))
        });
        let mut made = match &like {
            Some((target, scale)) => self.inheriting(&model, target, *scale),
            None => self.with_price(&model, key, entry, &rows)?,
        };
        let mut inherits = like.is_some();
        if !self.modes(&mut made, key, entry, rules)? {
            inherits = false;
            made = self.with_price(&model, key, entry, &rows)?;
            self.modes(&mut made, key, entry, rules)?;
        }
        let mut model = made;
        limits(&mut model, entry);
        if let Some(note) = self.note(key, entry) {
            model.set("note", quoted(&note));
        }
        let alone = entry.agreement_flag == "single" && !inherits;
        if let Some(source) = self.source(key, entry, rules).filter(|_| alone) {
            model.set("source", quoted(&source));
        }
        self.finish(&mut model, key)?;
        Ok(model)
    }

    fn inheriting(&self, model: &Model, target: &str, scale: i128) -> Model {
        let mut model = model.clone();
        let other = &self.models[target];
        model.set("like", quoted(target));
        if scale != 1000 {
            model.set("scale", factor_text(scale));
        }
        model.sheet = other.sheet.as_ref().map(|sheet| scaled(sheet, scale));
        model.has_dates = other.has_dates;
        model
    }

    fn with_price(
        &self,
        model: &Model,
        key: &str,
        entry: &Entry,
        rows: &[(Option<String>, Sheet)],
    ) -> Result<Model, String> {
        let mut model = model.clone();
        let today = rows.iter().rev().find(|(from, _)| from.as_ref().is_none_or(|from| !self.announced(from)));
        let (_, sheet) = today.ok_or("no price holds today")?;
        if sheet.base.values().any(|usd| usd.0 == 0) {
            return Err("a zero that nobody confirmed".to_owned());
        }
        if entry.mode == "chat" && !sheet.base.contains_key(&OUTPUT) {
            return Err("a chat model without a price for its output".to_owned());
        }
        let ratio = self.ratio(key);
        model.set("price", price(rows, &ratio));
        model.sheet = Some(sheet.with(&ratio));
        let provider = self.provider(key, "fees");
        let own = model.fees.iter().filter(|(name, fee)| provider.get(*name) != Some(*fee));
        let own: Vec<String> = own.map(|(name, fee)| format!("{} = {}", bare(name), fee.text())).collect();
        if !own.is_empty() {
            model.set("fees", format!("{{ {} }}", own.join(", ")));
        }
        Ok(model)
    }

    /// Whether an instant is after the day on which the table was checked.
    fn announced(&self, from: &str) -> bool {
        *from > *self.rulings.checked.to_string()
    }

    /// The dated rows, oldest first; the last is the sheet of today or one that is announced.
    fn rows(&self, entry: &Entry, rules: &Seller, today: &Sheet) -> Result<Vec<(Option<String>, Sheet)>, String> {
        if entry.time_of_day_note.is_some() {
            return Err("prices by the hour are written by hand".to_owned());
        }
        let read = |row: &RawSheet| -> Result<(Option<String>, Sheet), String> {
            let from = row.effective_from.as_ref().map(|day| format!("{day}T00:00:00Z"));
            Ok((from, Sheet::read(&row.base, &row.tiers, rules.places)?))
        };
        let mut rows = match entry.history.last() {
            Some(last) if rules.own_dates && read(last)?.1 == *today => {
                entry.history.iter().map(read).collect::<Result<Vec<_>, _>>()?
            }
            _ => vec![(None, today.clone())],
        };
        if rules.own_dates {
            rows.extend(entry.future.iter().map(read).collect::<Result<Vec<_>, _>>()?);
        }
        rows.dedup_by(|later, earlier| later.1 == earlier.1);
        if !rows.is_sorted_by(|one, other| one.0 < other.0) {
            return Err("its rows are not in the order of their dates".to_owned());
        }
        Ok(rows)
    }

    /// Own factors and sheets of modes, and the factors of attributes. `false`: the entry's `scale`, which a sheet of a
    /// mode is multiplied by, too, does not lead to the figures of one.
    fn modes(&self, model: &mut Model, key: &str, entry: &Entry, rules: &Seller) -> Result<bool, String> {
        let Some(standard) = model.sheet.clone() else { return Ok(true) };
        let own = Sheet::read(&entry.rates, entry.tiers.as_deref().unwrap_or(&[]), rules.places)?;
        let like = model.get("like").map(|like| like.trim_matches('"').to_owned());
        let scale = model.get("scale").map_or(Ok(Usd(1_000_000_000)), |scale| Usd::parse(scale, None))?.0 / 1_000_000;
        let provider = self.provider_factors(key, "mode");
        let ratio = self.ratio(like.as_deref().unwrap_or(key));
        let mut times: BTreeMap<String, i128> = BTreeMap::new();
        let mut written: Vec<(String, String)> = Vec::new();
        for (name, mode) in entry.modes.iter().filter(|(name, _)| SERVED.contains(&name.as_str())) {
            let disputed = entry.agreement_modes.get(name).is_some_and(|agreement| agreement.starts_with("conflict"));
            if disputed && !self.rulings.take.contains_key(key) {
                continue;
            }
            let listed = Sheet::read(&mode.base, &mode.tiers, rules.places)?;
            let target = like.as_ref().and_then(|like| self.models.get(like)).and_then(|like| like.modes.get(name));
            let target = target.filter(|_| model.get("profiles").is_none()).map(|sheet| scaled(sheet, scale));
            // A sheet would not follow the dates: only a factor does.
            let cached = if model.has_dates { CachedInMode::Factor } else { rules.cached_in_mode };
            let sheet =
                completed(&listed, &own, target.as_ref(), cached).map_err(|error| format!("{name}: {error}"))?;
            let sheet = match sheet.factor_of(&own) {
                // Whatever the standard sheet has beside, such as what a ratio gives, follows the factor.
                Some(factor) => scaled(&standard, factor),
                None => sheet.with(&ratio),
            };
            let factor = sheet.factor_of(&standard);
            if let Some(attribute) = rules.mode_is.get(name) {
                let factor = factor.ok_or(format!("{name} is no factor, and stands for {attribute}"))?;
                if entry.multipliers.get(attribute).is_some_and(|other| *other != factor_text(factor)) {
                    return Err(format!("{name} and {attribute} contradict each other"));
                }
                times.insert(attribute.clone(), factor);
                continue;
            }
            match factor {
                Some(factor) if provider.get(name) == Some(&factor) => {}
                Some(factor) => written.push((name.clone(), factor_text(factor))),
                // A list that rounds the provider's factor to cents: the factor is what outlives a change of price.
                None if model.has_dates
                    && provider.get(name).is_some_and(|it| sheet.rounds(&scaled(&standard, *it))) => {}
                None if model.has_dates => return Err(format!("{name} is a sheet of today beside dated prices")),
                None if model.get("profiles").is_some() => return Err(format!("{name} is a sheet of one profile")),
                None => match unscaled(&sheet, scale) {
                    Some(sheet) => written.push((name.clone(), format!("{{ {} }}", sheet.text(&ratio)))),
                    None => return Ok(false),
                },
            }
            model.modes.insert(name.clone(), sheet);
        }
        if written.iter().all(|(_, text)| !text.starts_with('{')) && !written.is_empty() {
            let parts: Vec<String> = written.iter().map(|(name, text)| format!("{name} = {text}")).collect();
            model.set("mode", format!("{{ {} }}", parts.join(", ")));
        } else {
            for (name, text) in written {
                model.set(&format!("mode.{name}"), text);
            }
        }
        for (name, factor) in &entry.multipliers {
            let factor = Usd::parse(factor, None)?.over(Usd(1_000_000_000)).ok_or(format!("{name} is too fine"))?;
            times.insert(rules.attribute.get(name).unwrap_or(name).clone(), factor);
        }
        let provider = self.provider_factors(key, "times");
        for name in rules.attribute.values() {
            if !times.contains_key(name) && provider.contains_key(name) {
                times.insert(name.clone(), 1000);
            }
        }
        times.retain(|name, factor| provider.get(name) != Some(factor));
        if !times.is_empty() {
            let parts: Vec<String> =
                times.iter().map(|(name, factor)| format!("{} = {}", quoted(name), factor_text(*factor))).collect();
            model.set("times", format!("{{ {} }}", parts.join(", ")));
        }
        Ok(true)
    }

    /// The first `like` that fits a key and whose target is there: as it stands, or without its version or date.
    fn like<'r>(&self, rules: &'r Seller, key: &str, wanted: impl Fn(&Like) -> bool) -> Option<(String, &'r Like)> {
        rules.like.iter().filter(|like| wanted(like)).find_map(|like| {
            let target = format!("{}{}", like.of, key.strip_prefix(&like.starts)?);
            shortened(&target)
                .into_iter()
                .find(|target| target != key && self.models.contains_key(target))
                .map(|it| (it, like))
        })
    }

    fn note(&self, key: &str, entry: &Entry) -> Option<String> {
        if let Some(why) = self.rulings.take.get(key) {
            return Some(why.clone());
        }
        match entry.agreement_flag.as_str() {
            "resolved" => entry.resolution.as_ref().map(|resolution| resolution.why.clone()),
            "majority" => {
                let mut outvoted: BTreeMap<&str, Vec<String>> = BTreeMap::new();
                for (dimension, says) in &entry.conflicts {
                    let taken = entry.rates.get(dimension)?;
                    for (source, said) in says {
                        let said = said.as_str().unwrap_or_default();
                        if said != taken {
                            outvoted.entry(source).or_default().push(dimension.clone());
                        }
                    }
                }
                let (source, _) = outvoted.iter().next()?;
                let named = [("litellm", "LiteLLM"), ("genai", "genai-prices"), ("modelsdev", "models.dev")];
                let (others, alone): (Vec<_>, Vec<_>) = named.into_iter().partition(|(name, _)| name != source);
                let others: Vec<&str> = others.into_iter().map(|(_, name)| name).collect();
                Some(format!("{}, against {}", others.join(" and "), alone.first()?.1))
            }
            _ => None,
        }
    }

    fn source(&self, key: &str, entry: &Entry, rules: &Seller) -> Option<String> {
        let url = entry.sources.litellm.as_ref().and_then(|litellm| litellm.source_url.clone())?;
        if !rules.pages.iter().any(|page| host(&url) == page) {
            return None;
        }
        let provider = key.split('/').next()?;
        let known = self.rulings.provider.get(provider)?.get("source")?.as_str()?;
        (!url.starts_with(known)).then_some(url)
    }

    /// A ruling's changes last, so that it wins; an empty table takes a field away.
    fn finish(&mut self, model: &mut Model, key: &str) -> Result<(), String> {
        let Some(change) = self.rulings.change.get(key) else { return Ok(()) };
        self.used.insert(key.to_owned());
        let why = change.get("why").and_then(Value::as_str).ok_or(format!("change.{key:?} has no why"))?;
        for (name, value) in change.iter().filter(|(name, _)| name.as_str() != "why") {
            match value.as_table().is_some_and(Table::is_empty) {
                true => model.fields.retain(|(field, _)| field != name),
                false => model.set(name, field(name, value)),
            }
        }
        model.set("note", quoted(why));
        Ok(())
    }

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

    fn provider(&self, key: &str, rule: &str) -> BTreeMap<String, Usd> {
        let provider = key.split('/').next().unwrap_or_default();
        let rules = self.rulings.provider.get(provider).and_then(|rules| rules.get(rule)).and_then(Value::as_table);
        let usd = |value: &Value| thousandths(value).map(|thousandths| Usd(thousandths * 1_000_000));
        rules.into_iter().flatten().filter_map(|(name, value)| Some((name.clone(), usd(value)?))).collect()
    }

    fn provider_factors(&self, key: &str, rule: &str) -> BTreeMap<String, i128> {
        self.provider(key, rule).into_iter().map(|(name, usd)| (name, usd.0 / 1_000_000)).collect()
    }

    /// Ratios by dimension, in thousandths.
    fn ratio(&self, key: &str) -> Rates {
        let ratio = self.provider_factors(key, "ratio").into_iter();
        ratio.filter_map(|(name, it)| Some((RATES.iter().position(|known| *known == name)?, Usd(it)))).collect()
    }

    /// A fee as it resolves: the entry's, or its provider's.
    fn fee(&self, key: &str, name: &str) -> Option<Usd> {
        self.models[key].fees.get(name).copied().or_else(|| self.provider(key, "fees").get(name).copied())
    }

    fn count(&mut self, way: &str) {
        *self.counts.entry(way.to_owned()).or_default() += 1;
    }
}

/// Modes that a response names. The others are products of their own (`decisions`) or a router's route.
const SERVED: [&str; 5] = ["batch", "flex", "priority", "fast", "ultrafast"];

/// `provider/id`, through the row of the catalog by which it is called.
fn key(rules: &Seller, entry: &Entry) -> String {
    match rules.moves.iter().find(|it| entry.id.contains(&it.contains)) {
        Some(it) => format!("{}/{}", it.provider, entry.id.strip_prefix(&it.cut).unwrap_or(&entry.id)),
        None => format!("{}/{}", entry.provider, entry.id),
    }
}

/// The key without its cross-region prefix, where it has one, and that prefix.
fn base_of<'r>(key: &str, rules: &'r Seller) -> (Option<String>, &'r str) {
    let found = key.split_once('/').and_then(|(provider, id)| {
        rules.profile_prefixes.iter().find_map(|prefix| {
            let rest = id.strip_prefix(prefix.as_str())?.strip_prefix('.')?;
            Some((format!("{provider}/{rest}"), prefix.as_str()))
        })
    });
    found.map_or((None, "none"), |(base, prefix)| (Some(base), prefix))
}

fn host(url: &str) -> &str {
    url.split("://").nth(1).and_then(|rest| rest.split('/').next()).unwrap_or_default()
}

/// Whether a single source is the seller's own word.
fn stands_alone(entry: &Entry, rules: &Seller) -> bool {
    let cites = |text: &str| rules.pages.iter().any(|page| text.contains(&format!("://{page}/")));
    let litellm = entry.sources.litellm.as_ref().and_then(|litellm| litellm.source_url.as_deref()).is_some_and(cites);
    let genai = entry.sources.genai.as_ref();
    let noted = genai.and_then(|genai| genai.note.as_deref()).is_some_and(cites);
    litellm || noted || (genai.is_some() && rules.genai_reads_the_page)
}

/// The name itself, then without a `@version`, a Bedrock version, a date.
fn shortened(name: &str) -> Vec<String> {
    let mut names = vec![name.to_owned()];
    let mut push = |name: &str| {
        if !names.iter().any(|known| known == name) {
            names.push(name.to_owned());
        }
    };
    let plain = name.split('@').next().unwrap_or(name);
    push(plain);
    let versionless = match plain.rsplit_once("-v") {
        Some((start, version)) if version.bytes().all(|byte| byte.is_ascii_digit() || byte == b':') => start,
        _ => plain,
    };
    push(versionless);
    if let Some((start, _)) = versionless.rsplit_once('-').filter(|(_, date)| is_day(date)) {
        push(start);
    }
    names
}

fn ends_in_a_date(id: &str) -> bool {
    ["-0000-00-00", "-00000000", "@00000000"].iter().any(|shape| {
        let cut = id.len().saturating_sub(shape.len());
        id.get(..cut).and_then(|base| date_of(id, base)).is_some()
    })
}

fn is_day(text: &str) -> bool {
    text.len() == 8 && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// The date of a dated name: `base` and `-YYYY-MM-DD`, `-YYYYMMDD` or `@YYYYMMDD`.
fn date_of<'n>(name: &'n str, base: &str) -> Option<&'n str> {
    let rest = name.strip_prefix(base)?;
    let date = rest.strip_prefix('-').or_else(|| rest.strip_prefix('@'))?;
    let shape: String = date.chars().map(|it| if it.is_ascii_digit() { '0' } else { it }).collect();
    (shape == "00000000" || shape == "0000-00-00" && rest.starts_with('-')).then_some(date)
}

/// Aliases: a date is `dated`, and a dated name that is left out for another price is an exception.
fn names(model: &mut Model, key: &str, entry: &Entry, rules: &Seller, left: &BTreeMap<String, &Entry>) {
    let is_alias = |alias: &&String| date_of(alias, &entry.id).is_none();
    let dated_here = ends_in_a_date(&entry.id);
    let may_be_dated = rules.dated && !dated_here && !entry.id.ends_with("-latest");
    if may_be_dated || !entry.aliases.iter().all(|alias| is_alias(&alias)) {
        model.set("dated", "true".to_owned());
        let other = left.iter().filter(|(_, other)| other.rates != entry.rates);
        let except: Vec<String> = other.filter_map(|(name, _)| date_of(name, key)).map(quoted).collect();
        if !except.is_empty() {
            model.set("except", format!("[{}]", except.join(", ")));
        }
    }
    let aliases: Vec<String> = entry.aliases.iter().filter(is_alias).map(|alias| quoted(alias)).collect();
    if !aliases.is_empty() {
        model.set("alias", format!("[{}]", aliases.join(", ")));
    }
}

fn limits(model: &mut Model, entry: &Entry) {
    let known = |number: Option<u64>| number.filter(|number| *number > 0);
    if let Some(context) = known(entry.context_window) {
        model.set("context", grouped(context));
    }
    if let Some(max_output) = known(entry.max_output).filter(|_| entry.mode != "embedding") {
        model.set("max_output", grouped(max_output));
    }
}

/// Fees that are prices: a unit is none, and Sonar's `request` repeats its dearest search.
fn fees(entry: &Entry) -> Result<BTreeMap<String, Usd>, String> {
    let mut fees = BTreeMap::new();
    for (name, fee) in &entry.fees_per_1k {
        let name = match name.as_str() {
            "web_search_unit" => continue,
            "request" if entry.fees_per_1k.contains_key("web_search:high") => continue,
            "maps_grounding" => "maps",
            name => name,
        };
        fees.insert(name.to_owned(), Usd::parse(fee, None).map_err(|error| format!("{name}: {error}"))?);
    }
    Ok(fees)
}

fn scaled(sheet: &Sheet, factor: i128) -> Sheet {
    // A rate that the factor does not reach exactly is left to the engine, which keeps factors apart from rates.
    let scale = |rates: &Rates| {
        rates
            .iter()
            .map(|(dimension, usd)| (*dimension, usd.times(factor).unwrap_or(Usd(usd.0 * factor / 1000))))
            .collect()
    };
    let tiers = sheet.tiers.iter().map(|tier| Tier { rates: scale(&tier.rates), ..tier.clone() }).collect();
    Sheet { base: scale(&sheet.base), tiers }
}

/// The sheet that a scale leads to this one from, where one does.
fn unscaled(sheet: &Sheet, scale: i128) -> Option<Sheet> {
    let unscale = |rates: &Rates| -> Option<Rates> {
        let exact = |usd: &Usd| (usd.0 * 1000 % scale == 0).then(|| Usd(usd.0 * 1000 / scale));
        rates.iter().map(|(dimension, usd)| Some((*dimension, exact(usd)?))).collect()
    };
    let tiers = sheet.tiers.iter().map(|tier| Some(Tier { rates: unscale(&tier.rates)?, ..tier.clone() }));
    Some(Sheet { base: unscale(&sheet.base)?, tiers: tiers.collect::<Option<_>>()? })
}

/// A mode's list with what it does not name: from the sheet of the entry that it is like, else in proportion.
fn completed(listed: &Sheet, standard: &Sheet, like: Option<&Sheet>, cached: CachedInMode) -> Result<Sheet, String> {
    let cache_read = RATES.iter().position(|name| *name == "cache_read").unwrap_or(INPUT);
    let proportion = |usd: Usd, of: usize| -> Result<Usd, String> {
        let both = |of: &usize| Some((listed.base.get(of)?, standard.base.get(of)?));
        let (part, whole) = both(&of).or_else(|| both(&INPUT)).ok_or("no input")?;
        match usd.0 * part.0 % whole.0 {
            0 => Ok(Usd(usd.0 * part.0 / whole.0)),
            _ => Err(format!("{} does not divide in proportion", usd.text())),
        }
    };
    let mut base = Rates::new();
    for (dimension, usd) in &standard.base {
        let name = RATES[*dimension];
        let named = listed.base.get(dimension).or_else(|| like.and_then(|like| like.base.get(dimension)));
        let value = match named {
            Some(value) => *value,
            None if name.starts_with("cache_read") && listed.base.contains_key(&cache_read) => {
                proportion(*usd, cache_read)?
            }
            None if name.starts_with("cache_read") && cached == CachedInMode::Standard => *usd,
            None if name.starts_with("output") || name == "reasoning" => proportion(*usd, OUTPUT)?,
            None => proportion(*usd, INPUT)?,
        };
        base.insert(*dimension, value);
    }
    let mut tiers = Vec::new();
    for (place, tier) in standard.tiers.iter().enumerate() {
        let like = like.and_then(|like| like.tiers.get(place)).map(|tier| &tier.rates);
        let own = listed.tiers.iter().find(|own| own.threshold == tier.threshold && own.at_least == tier.at_least);
        let own = own.map(|own| &own.rates);
        let mut rates = Rates::new();
        for (dimension, usd) in &tier.rates {
            let named = own.and_then(|own| own.get(dimension)).or(like.and_then(|like| like.get(dimension)));
            // What the list does not name above the threshold moves as it does below.
            let moved = || Some(Usd(usd.0 * base.get(dimension)?.0 / standard.base.get(dimension)?.0));
            let value =
                named.copied().or_else(moved).ok_or(format!("{} is above a threshold only", RATES[*dimension]))?;
            rates.insert(*dimension, value);
        }
        tiers.push(Tier { rates, ..tier.clone() });
    }
    Ok(Sheet { base, tiers })
}

// ---- What is written ----

fn price(rows: &[(Option<String>, Sheet)], ratio: &Rates) -> String {
    if let [(None, sheet)] = rows {
        return format!("{{ {} }}", sheet.text(ratio));
    }
    let mut text = "[\n".to_owned();
    for (from, sheet) in rows {
        let from = from.as_ref().map(|from| format!("from = {from}, ")).unwrap_or_default();
        let _ = writeln!(text, "  {{ {from}{} }},", sheet.text(ratio));
    }
    text + "]"
}

/// A rule's `about` as comment lines.
fn about(rules: &Value) -> String {
    let about = rules.get("about").and_then(Value::as_str).unwrap_or_default();
    about.lines().map(|line| format!("# {line}\n")).collect()
}

/// Fields as a reader wants them: what it is called, what it costs, what else is known.
fn ordered(fields: &[(String, String)]) -> Vec<(&str, &str)> {
    const ORDER: [&str; 18] = [
        "dated",
        "except",
        "alias",
        "kind",
        "free",
        "unpriced",
        "like",
        "scale",
        "profiles",
        "price",
        "mode",
        "times",
        "fees",
        "context",
        "max_output",
        "note",
        "source",
        "checked",
    ];
    let place = |name: &str| {
        let name = name.split('.').next().unwrap_or(name);
        ORDER.iter().position(|known| *known == name).unwrap_or(ORDER.len())
    };
    let mut fields: Vec<(&str, &str)> = fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    fields.sort_by_key(|(name, _)| place(name));
    fields
}

/// A hand-written value in the style of the table: `price` one row per line, the rest on one.
fn field(name: &str, value: &Value) -> String {
    match value {
        Value::Array(rows) if rows.iter().any(Value::is_table) && (name == "price" || name == "window") => {
            let rows = rows.iter().map(|row| format!("  {},\n", field("", row))).collect::<String>();
            format!("[\n{rows}]")
        }
        Value::Array(items) if items.len() > 8 => {
            let lines = items
                .chunks(8)
                .map(|line| format!("  {},\n", line.iter().map(|item| field("", item)).collect::<Vec<_>>().join(", ")));
            format!("[\n{}]", lines.collect::<String>())
        }
        Value::Array(items) => {
            format!("[{}]", items.iter().map(|item| field("", item)).collect::<Vec<_>>().join(", "))
        }
        Value::Table(table) => {
            let inside = table.iter().map(|(name, value)| format!("{} = {}", bare(name), field(name, value)));
            format!("{{ {} }}", inside.collect::<Vec<_>>().join(", "))
        }
        Value::String(text) => quoted(text),
        Value::Integer(number) => u64::try_from(*number).map_or(number.to_string(), grouped),
        Value::Float(number) => number.to_string(),
        Value::Boolean(boolean) => boolean.to_string(),
        Value::Datetime(datetime) => datetime.to_string(),
    }
}

fn bare(name: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    if name.bytes().all(plain) { name.to_owned() } else { quoted(name) }
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}
