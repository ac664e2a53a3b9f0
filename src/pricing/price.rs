//! The price of a model at an instant and in a context: the rules of its entry, one after another.

use std::collections::BTreeMap;

use super::Prices;
use super::decimal::Decimal;
use super::entry::{Entry, Mode, Number, Rates, Rules, Sheet, Tier, Window};
use super::moment::Moment;
use super::place::Which;
use super::resolve::{Found, unreadable};
use crate::domain::bill::PriceSource;
use crate::domain::model::ModelName;
use crate::domain::usage::Meter;

/// What decides a price beside the tokens, as words:
///
/// | name | words |
/// |---|---|
/// | `service_tier` | the tier that was served, in the provider's own word: `flex`, `priority`, `ON_DEMAND_PRIORITY` … |
/// | `processing` | `batch` |
/// | `speed` | `fast` (Anthropic) |
/// | `inference_geo` | `us`, `global` (Anthropic) |
/// | `data_residency` | `us`, `eu` (OpenAI) |
/// | `location` | Vertex's location; the region of the model's name where it is not given |
/// | `endpoint` | `us` (xAI) |
///
/// Any other name may be used by `times` of a table; names that no rule mentions change nothing.
pub type Context = BTreeMap<String, String>;

/// Longest chain of `like`.
const LIKE_MAX: usize = 8;

/// Rates that stay as they are where a tier or window does not name them.
const MODALITY: [Meter; 5] = [Meter::AudioIn, Meter::AudioOut, Meter::CacheReadAudio, Meter::ImageIn, Meter::ImageOut];

/// What the tables say of a model.
#[derive(Debug, Clone)]
pub enum Priced {
    Sheet(Box<Price>),
    /// Written down as free.
    Free(Box<PriceSource>),
    /// Why there is no price.
    Unpriced(String),
}

/// The rates that hold, before a call's prompt total picks its tier.
#[derive(Debug, Clone)]
pub struct Price {
    pub source: PriceSource,
    /// The page that says it.
    pub page: Option<String>,
    pub rates: Rates,
    pub tiers: Vec<Tier>,
    pub ratio: Rates,
    /// USD per 1,000 uses.
    pub fees: BTreeMap<String, Number>,
    /// The factors on every token price, each with the rule that it comes from.
    pub factors: Vec<(String, Number)>,
    /// Their product.
    pub factor: Decimal,
    pub unbounded: Option<String>,
    pub max_output: Option<u64>,
    pub notes: Vec<String>,
}

/// One rate of a price, after every factor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rate {
    /// USD per 1M tokens.
    pub usd: Decimal,
    /// The number of the table that it was made from.
    pub origin: Number,
    /// What was done for want of a rate of its own.
    pub note: Option<String>,
}

/// An entry with what it inherits.
#[derive(Debug, Clone, Default)]
struct Tariff {
    price: Vec<Sheet>,
    ratio: Rates,
    /// Of the providers in the chain, then of the entries: the nearer replaces the farther.
    provider_fees: BTreeMap<String, Number>,
    fees: BTreeMap<String, Number>,
    scales: Vec<(String, Number)>,
    page: Option<String>,
    checked: Option<String>,
    note: Option<String>,
    unbounded: Option<String>,
    max_output: Option<u64>,
}

impl Prices {
    /// The price of a model at the instant at which a call began.
    #[must_use]
    pub fn price(&self, name: &ModelName, at: Moment, context: &Context) -> Priced {
        let priced = self.find(name).and_then(|found| match (&found.entry.unpriced, found.entry.free) {
            (Some(reason), _) => Err(reason.clone()),
            (None, true) => Ok(Priced::Free(Box::new(self.source(&found, None, found.entry.checked.clone())))),
            (None, false) => self.sheet(name, &found, at, context).map(|price| Priced::Sheet(Box::new(price))),
        });
        priced.unwrap_or_else(Priced::Unpriced)
    }

    fn source(&self, found: &Found, from: Option<Moment>, checked: Option<String>) -> PriceSource {
        let table = match (found.table, &self.user) {
            (Which::User, Some(user)) => user,
            _ => &self.bundled,
        };
        PriceSource {
            table: table.name().to_owned(),
            version: table.version(),
            sha256: table.sha256().to_owned(),
            entry: found.entry.key.clone(),
            row_from: from.map(|from| from.to_string()),
            checked,
        }
    }

    /// Row by instant, then window, mode, `times`, `scale`; the tier waits for the prompt total.
    fn sheet(&self, name: &ModelName, found: &Found, at: Moment, context: &Context) -> Result<Price, String> {
        let entry = &found.entry;
        let tariff = self.tariff(entry, found.table, 0)?;
        let rules = self.rules(provider(&entry.key))?.unwrap_or_default();
        let mut notes = found.notes.clone();
        let mut factors = tariff.scales;
        factors.extend(found.profile.clone());

        let (sheets, mode_factor) = mode(entry, &rules, &tariff.price, context)?;
        let row = sheets.iter().rev().find(|sheet| sheet.from.is_none_or(|from| from <= at));
        let Some(row) = row else {
            let first = sheets.first().and_then(|sheet| sheet.from).map(|from| from.to_string()).unwrap_or_default();
            return Err(format!("the price of {} is known only from {first} on", entry.key));
        };
        let rates = self.in_window(row, at, &mut notes)?;
        factors.extend(mode_factor);
        factors.extend(times(entry, &rules, name, context, &mut notes));
        factors
            .extend(rules.discount.map(|discount| (format!("provider.{}.discount", provider(&entry.key)), discount)));
        notes.extend(row.note.clone().or(tariff.note));

        let factor = factors.iter().try_fold(Decimal::ONE, |all, (_, factor)| all.checked_mul(factor.value));
        let mut fees = tariff.provider_fees;
        fees.extend(rules.fees.clone());
        fees.extend(tariff.fees);
        Ok(Price {
            source: self.source(found, row.from, tariff.checked),
            page: tariff.page,
            rates,
            tiers: row.tiers.clone(),
            ratio: tariff.ratio,
            fees,
            factors,
            factor: factor.ok_or("the factors of the price are too many")?,
            unbounded: tariff.unbounded.or_else(|| rules.unbounded.clone()),
            max_output: tariff.max_output,
            notes,
        })
    }

    /// An entry laid over what it is `like`.
    fn tariff(&self, entry: &Entry, table: Which, depth: usize) -> Result<Tariff, String> {
        let own = self.rules(provider(&entry.key))?.unwrap_or_default();
        let mut tariff = match &entry.like {
            None => Tariff { ratio: own.ratio, provider_fees: own.fees, ..Tariff::default() },
            Some(_) if depth >= LIKE_MAX => return Err(format!("{} is like itself", entry.key)),
            Some(like) => {
                let (base, table) = self.liked(like, table, entry)?;
                self.tariff(&base, table, depth + 1)?
            }
        };
        if !entry.price.is_empty() {
            tariff.price.clone_from(&entry.price);
        }
        tariff.ratio.extend(entry.ratio.clone());
        tariff.fees.extend(entry.fees.clone());
        tariff.scales.extend(entry.scale.map(|scale| (format!("model.\"{}\".scale", entry.key), scale)));
        tariff.page = entry.source.clone().or(tariff.page).or(own.source);
        tariff.checked = entry.checked.clone().or(tariff.checked).or(own.checked);
        tariff.note = entry.note.clone().or(tariff.note);
        tariff.unbounded = entry.unbounded.clone().or(tariff.unbounded);
        tariff.max_output = entry.max_output.or(tariff.max_output);
        Ok(tariff)
    }

    /// The entry that another is like. A bundled one never follows into the user's file.
    fn liked(&self, like: &str, table: Which, entry: &Entry) -> Result<(Entry, Which), String> {
        let (key, table) = match like.strip_prefix("bundled:") {
            Some(key) => (key, Which::Bundled),
            None => (like, table),
        };
        let own = self.user.as_ref().filter(|_| table == Which::User && key != entry.key);
        for table in own.into_iter().chain([&self.bundled]) {
            if let Some(base) = table.model(key).map_err(unreadable)? {
                return Ok((base, table.which()));
            }
        }
        Err(format!("{} is like {key}, which no table has", entry.key))
    }

    /// The row's rates with those of the first window that holds laid over them.
    fn in_window(&self, row: &Sheet, at: Moment, notes: &mut Vec<String>) -> Result<Rates, String> {
        let mut rates = row.rates.clone();
        for window in &row.windows {
            if self.is_open(window, at, notes)? {
                rates.extend(window.rates.clone());
                break;
            }
        }
        Ok(rates)
    }

    fn is_open(&self, window: &Window, at: Moment, notes: &mut Vec<String>) -> Result<bool, String> {
        let minute = at.minute_of_day();
        let hour =
            window.hours.as_ref().is_none_or(|hours| hours.iter().any(|(from, to)| (*from..*to).contains(&minute)));
        let day = window.days.as_ref().is_none_or(|days| days.contains(&at.weekday()));
        if !(hour && day) {
            return Ok(false);
        }
        let Some(name) = &window.holidays else {
            return Ok(true);
        };
        let calendar = self.calendar(name)?.ok_or_else(|| format!("no table has [calendar.{name}]"))?;
        if !calendar.years.contains(&at.year()) {
            notes.push(format!("the holidays of {} are not in [calendar.{name}]: none is assumed", at.year()));
        }
        Ok(calendar.dates.contains(&at.date()))
    }
}

/// The provider's id in a key.
pub(super) fn provider(key: &str) -> &str {
    key.split('/').next().unwrap_or(key)
}

/// The sheets that hold in the mode that served the call, and its factor.
type InMode<'a> = (&'a [Sheet], Option<(String, Number)>);

fn mode<'a>(entry: &'a Entry, rules: &'a Rules, price: &'a [Sheet], context: &Context) -> Result<InMode<'a>, String> {
    let known = |word: &str| entry.mode.get(word).or_else(|| rules.mode.get(word));
    let mut words: Vec<String> = Vec::new();
    for name in ["processing", "service_tier"] {
        if let Some(word) = context.get(name).and_then(|word| mode_word(word)) {
            words.push(word);
        }
    }
    // A speed is a factor of `times`, or where there is none, a mode.
    if let Some(speed) = context.get("speed").and_then(|word| mode_word(word))
        && factor_of(entry, rules, "speed", &speed).is_none()
    {
        words.push(speed);
    }
    words.sort_unstable();
    words.dedup();
    match words.as_slice() {
        [] => Ok((price, None)),
        [word] if word == "provisioned_throughput" => Err("provisioned throughput is billed by the hour".into()),
        [word] => match known(word) {
            Some(Mode::Factor(factor)) => Ok((price, Some((format!("mode.{word}"), *factor)))),
            Some(Mode::Sheets(sheets)) => Ok((sheets, None)),
            None => Err(format!("no price is known for {} in the mode \"{word}\"", entry.key)),
        },
        several => Err(format!("no price is known for {} in the modes {} at once", entry.key, several.join(" and "))),
    }
}

/// A tier's or a way of processing's name as the tables write it, or `None` where it is the plain one. Vertex's words:
/// cloud.google.com/vertex-ai/generative-ai/docs/reference/rest/v1/GenerateContentResponse#TrafficType, read 2026-11-22.
#[must_use]
pub fn mode_word(word: &str) -> Option<String> {
    let word = word.trim().to_ascii_lowercase().replace('-', "_");
    let word = word.strip_prefix("on_demand_").unwrap_or(&word);
    let plain =
        ["", "default", "standard", "auto", "on_demand", "traffic_type_unspecified", "unspecified", "standard_only"];
    (!plain.contains(&word)).then(|| word.to_owned())
}

/// The factor of an attribute, and the rule's name: the entry's word, the provider's word, then `*` of either.
fn factor_of(entry: &Entry, rules: &Rules, name: &str, value: &str) -> Option<(String, Number)> {
    let keys = [format!("{name}:{value}"), format!("{name}:*")];
    keys.into_iter().find_map(|key| {
        let factor = entry.times.get(&key).or_else(|| rules.times.get(&key))?;
        Some((format!("times.\"{key}\""), *factor))
    })
}

/// The factors of everything that is known of a call.
fn times(
    entry: &Entry,
    rules: &Rules,
    name: &ModelName,
    context: &Context,
    notes: &mut Vec<String>,
) -> Vec<(String, Number)> {
    let mut attributes: BTreeMap<&str, &str> =
        context.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    if let Some(region) = &name.region {
        attributes.entry("location").or_insert(region);
    }
    // A rule that asks for a word that the call does not have is not passed over in silence.
    let asked = entry.times.keys().chain(rules.times.keys()).filter_map(|key| key.strip_suffix(":*"));
    for missing in asked.filter(|asked| !attributes.contains_key(asked)) {
        notes.push(format!("the {missing} is not known: its price factor is not applied"));
    }
    attributes.into_iter().filter_map(|(name, value)| factor_of(entry, rules, name, value)).collect()
}

impl Price {
    /// The rates of the tier that a prompt total falls into. Rates by modality that a tier does not name carry over.
    #[must_use]
    pub fn tier(&self, prompt_total: u64) -> Rates {
        let Some(tier) = self.tiers.iter().rev().find(|tier| tier.from.holds(prompt_total)) else {
            return self.rates.clone();
        };
        let kept = self.rates.iter().filter(|(meter, _)| MODALITY.contains(meter));
        let mut rates: Rates = kept.map(|(meter, rate)| (*meter, *rate)).collect();
        rates.extend(tier.rates.clone());
        rates
    }

    /// The rate of a meter on a sheet: its own, by ratio to the input, or the documented fallback.
    ///
    /// # Errors
    /// Why there is none: a one-hour cache write, generated audio and images have no fallback, for a guess is wrong by
    /// a lot.
    pub fn rate(&self, rates: &Rates, meter: Meter) -> Result<Rate, String> {
        let scaled = |value: Decimal| value.checked_mul(self.factor).ok_or_else(|| "a rate is too large".to_owned());
        if let Some(origin) = rates.get(&meter) {
            return Ok(Rate { usd: scaled(origin.value)?, origin: *origin, note: None });
        }
        if let (Some(ratio), Some(input)) = (self.ratio.get(&meter), rates.get(&Meter::Input)) {
            let rate = input.value.checked_mul(ratio.value).ok_or("a rate is too large")?;
            return Ok(Rate { usd: scaled(rate)?, origin: *ratio, note: None });
        }
        let instead = match meter {
            Meter::CacheRead | Meter::CacheWrite5m | Meter::AudioIn | Meter::ImageIn | Meter::Citation => Meter::Input,
            Meter::CacheReadAudio => Meter::CacheRead,
            Meter::ReasoningOut => Meter::Output,
            _ => return Err(format!("{} has no price for {}", self.source.entry, meter.key())),
        };
        let mut rate = self.rate(rates, instead)?;
        rate.note = Some(format!("{} has no rate of its own: billed as {}", meter.key(), instead.key()));
        Ok(rate)
    }
}
