//! Rates, sheets and factors in exact decimals.

use std::collections::BTreeMap;

use toml::Value;

use super::read::{CachedInMode, RawTier};
use super::write::grouped;

/// USD per 1,000,000 tokens (or per 1,000 uses), in billionths.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Usd(pub i128);

pub const PLACES: usize = 9;

impl Usd {
    pub fn parse(text: &str, places: Option<usize>) -> Result<Usd, String> {
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
    pub fn times(self, thousandths: i128) -> Option<Usd> {
        (self.0 * thousandths % 1000 == 0).then(|| Usd(self.0 * thousandths / 1000))
    }

    /// The factor that makes it from another rate, in thousandths, where it is exact.
    pub fn over(self, other: Usd) -> Option<i128> {
        (other.0 != 0 && self.0 * 1000 % other.0 == 0).then(|| self.0 * 1000 / other.0)
    }

    pub fn text(self) -> String {
        let (whole, fraction) = (self.0 / 1_000_000_000, self.0 % 1_000_000_000);
        let fraction = format!("{fraction:09}");
        match fraction.trim_end_matches('0') {
            "" => whole.to_string(),
            fraction => format!("{whole}.{fraction}"),
        }
    }
}

/// The text of a factor in thousandths.
pub fn factor_text(thousandths: i128) -> String {
    Usd(thousandths * 1_000_000).text()
}

/// A TOML number as thousandths.
pub fn thousandths(value: &Value) -> Option<i128> {
    let text = match value {
        Value::Integer(number) => number.to_string(),
        Value::Float(number) => number.to_string(),
        _ => return None,
    };
    Usd::parse(&text, None).ok().and_then(|usd| usd.over(Usd(1_000_000_000)))
}

/// Rates that a meter reads, in the order in which they are written.
pub const RATES: [&str; 12] = [
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
pub const OTHER_UNITS: [&str; 2] = ["input_mchars", "image_in_each"];

pub type Rates = BTreeMap<usize, Usd>;

pub const INPUT: usize = 0;

pub const OUTPUT: usize = 1;

#[derive(Clone, PartialEq)]
pub struct Tier {
    pub threshold: u64,
    pub at_least: bool,
    pub rates: Rates,
}

/// A base and its tiers.
#[derive(Clone, PartialEq)]
pub struct Sheet {
    pub base: Rates,
    pub tiers: Vec<Tier>,
}

impl Sheet {
    pub fn read(base: &BTreeMap<String, String>, tiers: &[RawTier], places: Option<usize>) -> Result<Sheet, String> {
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
    pub fn with(&self, ratio: &Rates) -> Sheet {
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
    pub fn follows(&self, other: &Sheet, factor: i128) -> bool {
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
    pub fn rounds(&self, other: &Sheet) -> bool {
        let near = |own: &Rates, other: &Rates| {
            own.iter().all(|(dimension, usd)| other.get(dimension).is_some_and(|it| (it.0 - usd.0).abs() <= 5_000_000))
        };
        near(&self.base, &other.base)
            && self.tiers.iter().zip(&other.tiers).all(|(own, other)| near(&own.rates, &other.rates))
    }

    /// Each figure in the order of `base`, then of the tiers, beside the other's; the other must have the same shape.
    pub fn factor_of(&self, other: &Sheet) -> Option<i128> {
        let factor = self.base.get(&INPUT)?.over(*other.base.get(&INPUT)?)?;
        (self.follows(other, factor) && self.base.len() == other.base.len()).then_some(factor)
    }

    /// The sheet without what the provider's ratios say, as an inline table's inside.
    pub fn text(&self, ratio: &Rates) -> String {
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
pub fn rates(raw: &BTreeMap<String, String>, places: Option<usize>) -> Result<Rates, String> {
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

pub fn scaled(sheet: &Sheet, factor: i128) -> Sheet {
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
pub fn unscaled(sheet: &Sheet, scale: i128) -> Option<Sheet> {
    let unscale = |rates: &Rates| -> Option<Rates> {
        let exact = |usd: &Usd| (usd.0 * 1000 % scale == 0).then(|| Usd(usd.0 * 1000 / scale));
        rates.iter().map(|(dimension, usd)| Some((*dimension, exact(usd)?))).collect()
    };
    let tiers = sheet.tiers.iter().map(|tier| Some(Tier { rates: unscale(&tier.rates)?, ..tier.clone() }));
    Some(Sheet { base: unscale(&sheet.base)?, tiers: tiers.collect::<Option<_>>()? })
}

/// A mode's list with what it does not name: from the sheet of the entry that it is like, else in proportion.
pub fn completed(
    listed: &Sheet,
    standard: &Sheet,
    like: Option<&Sheet>,
    cached: CachedInMode,
) -> Result<Sheet, String> {
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
