//! What the generator reads: the price snapshot, and the rulings of a person.

use std::collections::BTreeMap;

use serde::Deserialize;
use toml::{Table, Value};

#[derive(Deserialize)]
pub struct Snapshot {
    pub entries: Vec<Entry>,
}

/// One row of the snapshot: the fields that a price is made from.
#[derive(Deserialize)]
pub struct Entry {
    pub provider: String,
    pub id: String,
    pub mode: String,
    pub context_window: Option<u64>,
    pub max_output: Option<u64>,
    pub rates: BTreeMap<String, String>,
    #[serde(default)]
    pub tiers: Option<Vec<RawTier>>,
    #[serde(default)]
    pub modes: BTreeMap<String, RawSheet>,
    #[serde(default)]
    pub multipliers: BTreeMap<String, String>,
    #[serde(default)]
    pub fees_per_1k: BTreeMap<String, String>,
    #[serde(default)]
    pub history: Vec<RawSheet>,
    #[serde(default)]
    pub future: Vec<RawSheet>,
    #[serde(default)]
    pub time_of_day_note: Option<String>,
    #[serde(default)]
    pub lint: Vec<String>,
    #[serde(default)]
    pub conflicts: BTreeMap<String, BTreeMap<String, serde_json::Value>>,
    pub agreement: BTreeMap<String, String>,
    #[serde(default)]
    pub agreement_modes: BTreeMap<String, String>,
    pub agreement_flag: String,
    pub free: bool,
    #[serde(default)]
    pub zero_unconfirmed: bool,
    #[serde(default)]
    pub resolution: Option<Resolution>,
    pub aliases: Vec<String>,
    pub sources: Sources,
}

#[derive(Deserialize)]
pub struct RawTier {
    pub threshold: u64,
    pub op: String,
    pub rates: BTreeMap<String, String>,
}

#[derive(Deserialize)]
pub struct RawSheet {
    #[serde(default)]
    pub effective_from: Option<String>,
    pub base: BTreeMap<String, String>,
    #[serde(default)]
    pub tiers: Vec<RawTier>,
}

#[derive(Deserialize)]
pub struct Resolution {
    pub why: String,
}

#[derive(Deserialize)]
pub struct Sources {
    pub litellm: Option<Litellm>,
    pub genai: Option<Genai>,
}

#[derive(Deserialize)]
pub struct Litellm {
    pub source_url: Option<String>,
}

#[derive(Deserialize)]
pub struct Genai {
    pub note: Option<String>,
}

/// The hand-written half.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rulings {
    pub schema: i64,
    pub version: String,
    /// Copied to the top of the table.
    pub header: String,
    /// The day on which the rows were checked, written once per provider.
    pub checked: toml::value::Datetime,
    /// Copied, in this order.
    pub provider: Table,
    pub profiles: Table,
    pub calendar: Table,
    /// Whole entries that stand instead of the snapshot's.
    pub model: Table,
    /// How each seller's rows are read, in an order in which `like` finds what is already there.
    pub seller: OrderedSellers,
    #[serde(default)]
    pub mirror: Vec<Mirror>,
    /// An entry in dispute that is taken after all, with the evidence.
    pub take: BTreeMap<String, String>,
    /// An entry that is not shipped, with the reason.
    pub leave: BTreeMap<String, String>,
    /// Fields that replace what the snapshot gives, with `why`.
    pub change: BTreeMap<String, Table>,
}

/// Sellers in the order of the file.
pub struct OrderedSellers(pub Vec<(String, Seller)>);

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
pub struct Seller {
    /// Hosts of the seller's own pages: a single source that cites one is taken.
    #[serde(default)]
    pub pages: Vec<String>,
    /// genai-prices alone is taken: its file for this seller is read from the seller's price page.
    #[serde(default)]
    pub genai_reads_the_page: bool,
    /// Every id may carry a date.
    #[serde(default)]
    pub dated: bool,
    /// What a cached token costs in a mode whose list names no cached price.
    #[serde(default)]
    pub cached_in_mode: CachedInMode,
    /// The seller's history in the snapshot is its own.
    #[serde(default = "yes")]
    pub own_dates: bool,
    /// A mode that is another name for an attribute of the request.
    #[serde(default)]
    pub mode_is: BTreeMap<String, String>,
    /// Attributes of the snapshot under the table's names; the provider's factor is switched off where they are absent.
    #[serde(default)]
    pub attribute: BTreeMap<String, String>,
    /// Rounds longer rates (thirds of a cent) to this many places.
    pub places: Option<usize>,
    /// Ids that are called through another row of the catalog.
    #[serde(default)]
    pub moves: Vec<Move>,
    #[serde(default)]
    pub like: Vec<Like>,
    /// Prefixes of cross-region ids, folded into `like` and `profiles` where every figure follows.
    #[serde(default)]
    pub profile_prefixes: Vec<String>,
    /// Prefixes that price maps list and the cloud does not, where the set of a model leaves them out.
    #[serde(default)]
    pub unproven_profiles: Vec<String>,
}

fn yes() -> bool {
    true
}

#[derive(Deserialize, Default, Clone, Copy, PartialEq)]
#[serde(rename_all = "kebab-case")]
pub enum CachedInMode {
    #[default]
    Factor,
    Standard,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Move {
    pub contains: String,
    /// Cut from the front of the id.
    #[serde(default)]
    pub cut: String,
    pub provider: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Like {
    /// `provider/` and the start of the id.
    pub starts: String,
    /// What stands in its place.
    pub of: String,
    #[serde(default)]
    pub scale: Option<f64>,
    /// Sets to try, in this order.
    #[serde(default)]
    pub profiles: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mirror {
    pub provider: String,
    pub of: String,
    pub starts: String,
}
