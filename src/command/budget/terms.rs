//! The terms of a budget as they are written, in a flag or in a file, and the budget that they make.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{Deserializer, Error as _, MapAccess, Visitor};
use serde::{Deserialize, de};

use crate::command::labels;
use crate::domain::budget::{Account, Budget, OnUnknownPrice, Origin, Scope};
use crate::domain::failure::{ErrorClass, Failure};
use crate::domain::money::Usd;
use crate::domain::window::{Window, Zone};

/// Percents of the limit at which a budget warns unless it is told otherwise.
const WARN: [u32; 3] = [50, 80, 100];

/// Highest percent at which a budget may warn: one that is soft can be passed.
const WARN_MAX: u32 = 1_000;

/// Longest name, in bytes.
const NAME_MAX: usize = 64;

/// `[budget.NAME]` of a configuration file; the flags of `budget set` say the same.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Terms {
    #[serde(deserialize_with = "limit_of")]
    pub limit: Limit,
    #[serde(default, deserialize_with = "label_of")]
    pub project: Option<String>,
    #[serde(default, deserialize_with = "label_of")]
    pub user: Option<String>,
    #[serde(default, deserialize_with = "label_of")]
    pub team: Option<String>,
    #[serde(default, deserialize_with = "tags_of")]
    pub tags: BTreeMap<String, String>,
    #[serde(default, deserialize_with = "label_of")]
    pub model: Option<String>,
    #[serde(default, deserialize_with = "label_of")]
    pub provider: Option<String>,
    #[serde(default, deserialize_with = "label_of")]
    pub session: Option<String>,
    #[serde(default, deserialize_with = "zone_of")]
    pub zone: Zone,
    #[serde(default)]
    pub soft: bool,
    #[serde(default = "default_warn", deserialize_with = "warn_of")]
    pub warn: Vec<u32>,
    #[serde(default, deserialize_with = "on_unknown_price_of")]
    pub on_unknown_price: OnUnknownPrice,
    #[serde(default)]
    pub allow_unbounded: bool,
    #[serde(default = "yes")]
    pub clip: bool,
}

/// `50/day`: an amount and the period in which it may be spent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit {
    pub amount: Usd,
    pub window: Window,
}

impl Terms {
    /// A hard budget over every call.
    #[must_use]
    pub fn of(limit: Limit) -> Terms {
        Terms {
            limit,
            project: None,
            user: None,
            team: None,
            tags: BTreeMap::new(),
            model: None,
            provider: None,
            session: None,
            zone: Zone::default(),
            soft: false,
            warn: default_warn(),
            on_unknown_price: OnUnknownPrice::default(),
            allow_unbounded: false,
            clip: true,
        }
    }

    #[must_use]
    pub fn budget(self, name: String, origin: Origin) -> Budget {
        let scope = Scope {
            project: self.project,
            user: self.user,
            team: self.team,
            tags: self.tags,
            model: self.model,
            provider: self.provider,
            session: self.session,
        };
        Budget {
            name,
            limit: self.limit.amount,
            account: Account { scope, window: self.limit.window, zone: self.zone },
            hard: !self.soft,
            warn: self.warn,
            on_unknown_price: self.on_unknown_price,
            allow_unbounded: self.allow_unbounded,
            clip: self.clip,
            origin,
        }
    }
}

fn wrong(what: String, advice: impl Into<String>) -> Failure {
    Failure::new(ErrorClass::Config, what).advise(advice)
}

/// Reads `50/day`, `$20/7d`, `50/month@15`, `100` (in all).
///
/// # Errors
/// `config` with what would be one.
pub fn limit(text: &str) -> Result<Limit, Failure> {
    let (amount, window) = text.trim().split_once('/').unwrap_or((text.trim(), "total"));
    match (self::amount(amount), Window::parse(window)) {
        (Some(amount), Some(window)) => Ok(Limit { amount, window }),
        (None, _) => Err(wrong(
            format!("{text}: no limit: its amount is none"),
            "an amount in USD and a period, such as 50/day, 0.25/hour, 50/month@15, 20/7d or 100/total",
        )),
        (Some(_), None) => Err(wrong(
            format!("{text}: no limit: its period is none"),
            "hour, day, week, month, month@15, 7d, 12h or total, such as 50/day",
        )),
    }
}

/// An amount of money that is not below zero and has no part of a picodollar: `50`, `$0.25`.
#[must_use]
pub fn amount(text: &str) -> Option<Usd> {
    let digits = text.strip_prefix('$').unwrap_or(text);
    let fraction = digits.split_once('.').map_or(0, |(_, fraction)| fraction.len());
    let plain = digits.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.') && fraction <= 12;
    plain.then(|| Usd::parse(digits)).flatten()
}

/// A budget's name.
///
/// # Errors
/// `config` with what would be one.
pub fn name(text: &str) -> Result<String, Failure> {
    let mut bytes = text.bytes();
    let begins = bytes.next().is_some_and(|byte| byte.is_ascii_alphanumeric());
    if begins && text.len() <= NAME_MAX && bytes.all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte)) {
        return Ok(text.to_owned());
    }
    Err(wrong(format!("{text}: no name of a budget"), NAME_ADVICE))
}

const NAME_ADVICE: &str = "a letter or digit, then at most 63 letters, digits and . _ -, such as eng-a";

/// Reads `50,80,100`, or `none`.
///
/// # Errors
/// `config` with what would be percents.
pub fn warn(text: &str) -> Result<Vec<u32>, Failure> {
    if text.trim() == "none" {
        return Ok(Vec::new());
    }
    let percents: Option<Vec<u32>> =
        text.split(',').map(|percent| percent.trim().trim_end_matches('%').parse().ok()).collect();
    percents
        .and_then(percents_in_order)
        .ok_or_else(|| wrong(format!("--warn {text}: no percents"), "write none, or whole percents such as 50,80,100"))
}

fn percents_in_order(mut percents: Vec<u32>) -> Option<Vec<u32>> {
    percents.sort_unstable();
    percents.dedup();
    percents.iter().all(|percent| (1..=WARN_MAX).contains(percent)).then_some(percents)
}

/// # Errors
/// `config` where the database has no such zone.
pub fn zone(text: &str) -> Result<Zone, Failure> {
    Zone::named(text.trim()).ok_or_else(|| {
        wrong(format!("{text}: no time zone"), "a name of the IANA database, such as Europe/Berlin or UTC")
    })
}

/// Reads `deny`, `allow`, `assume:0.50`.
///
/// # Errors
/// `config` with what can be said.
pub fn on_unknown_price(text: &str) -> Result<OnUnknownPrice, Failure> {
    match text.trim() {
        "deny" => Ok(OnUnknownPrice::Deny),
        "allow" => Ok(OnUnknownPrice::Allow),
        other => other.strip_prefix("assume:").and_then(amount).map(OnUnknownPrice::Assume).ok_or_else(|| {
            wrong(format!("--on-unknown-price {text}: not known"), "deny, allow, or an amount in USD: assume:0.50")
        }),
    }
}

fn default_warn() -> Vec<u32> {
    WARN.to_vec()
}

fn yes() -> bool {
    true
}

/// The text of a file, read as a flag would be. Only the advice is told: a value may be a secret.
fn read<'de, D: Deserializer<'de>, T>(from: D, read: impl Fn(&str) -> Result<T, Failure>) -> Result<T, D::Error> {
    let text = String::deserialize(from)?;
    read(&text).map_err(expected)
}

fn expected<E: de::Error>(failure: Failure) -> E {
    E::custom(format!("wrong value, expected {}", failure.advice.unwrap_or(failure.message)))
}

fn limit_of<'de, D: Deserializer<'de>>(from: D) -> Result<Limit, D::Error> {
    read(from, limit)
}

fn zone_of<'de, D: Deserializer<'de>>(from: D) -> Result<Zone, D::Error> {
    read(from, zone)
}

fn on_unknown_price_of<'de, D: Deserializer<'de>>(from: D) -> Result<OnUnknownPrice, D::Error> {
    read(from, on_unknown_price)
}

/// A name of who is spending.
///
/// # Errors
/// Where it can be none.
pub fn label_of<'de, D: Deserializer<'de>>(from: D) -> Result<Option<String>, D::Error> {
    read(from, |text| labels::label("", text)).map(Some)
}

/// Tags, bounded and clean.
///
/// # Errors
/// Where one of them can be none.
pub fn tags_of<'de, D: Deserializer<'de>>(from: D) -> Result<BTreeMap<String, String>, D::Error> {
    let tags = BTreeMap::<String, String>::deserialize(from)?;
    let read = |(key, value): (String, String)| Ok((labels::key("", &key)?, labels::label("", &value)?));
    let tags: Result<BTreeMap<_, _>, Failure> = tags.into_iter().map(read).collect();
    tags.and_then(labels::bounded).map_err(expected)
}

fn warn_of<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<u32>, D::Error> {
    let percents = Vec::<u32>::deserialize(from)?;
    percents_in_order(percents).ok_or_else(|| D::Error::custom("wrong value, expected whole percents such as [50, 80]"))
}

/// The budgets of a file, as if they stood in the ledger: where they are from is for the reader of the file to say.
///
/// # Errors
/// Where a name or a term can be none.
pub fn budgets_of<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<Budget>, D::Error> {
    struct Budgets;

    impl<'de> Visitor<'de> for Budgets {
        type Value = Vec<Budget>;

        fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
            out.write_str("tables of the form [budget.NAME]")
        }

        fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Vec<Budget>, M::Error> {
            let mut budgets = Vec::new();
            while let Some((Name(name), terms)) = map.next_entry::<Name, Terms>()? {
                budgets.push(terms.budget(name, Origin::default()));
            }
            Ok(budgets)
        }
    }

    from.deserialize_map(Budgets)
}

/// A key that is a budget's name.
struct Name(String);

impl<'de> Deserialize<'de> for Name {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Name, D::Error> {
        let text = String::deserialize(from)?;
        name(&text).map(Name).map_err(|_| D::Error::custom(format!("a budget's name is {NAME_ADVICE}")))
    }
}

#[cfg(test)]
mod tests {
    use super::{amount, limit, name, on_unknown_price, warn};
    use crate::domain::budget::OnUnknownPrice;
    use crate::domain::money::Usd;

    #[test]
    fn a_limit_is_an_amount_and_a_period() {
        for (text, usd, window) in [
            ("50/day", "50", "day"),
            ("$0.25/hour", "0.25", "hour"),
            ("50/month@15", "50", "month@15"),
            ("20/7d", "20", "7d"),
            ("100", "100", "total"),
            ("0/total", "0", "total"),
            ("0.000000000001/week", "0.000000000001", "week"),
        ] {
            let read = limit(text).expect(text);
            assert_eq!((Some(read.amount), read.window.to_string().as_str()), (Usd::parse(usd), window), "{text}");
        }
        for wrong in [
            "",
            "-5/day",
            "fifty/day",
            "50/fortnight",
            "50/",
            "/day",
            "1e3/day",
            "+5",
            "NaN",
            "5/month@32",
            "$$5",
            "5/0d",
        ] {
            let failure = limit(wrong).expect_err(wrong);
            assert!(failure.advice.is_some_and(|advice| advice.contains("50/day")), "{wrong}");
        }
        assert_eq!(amount("0.0000000000001"), None, "a part of a picodollar");
        assert_eq!(amount("99999999999"), None, "more than can be counted");
    }

    #[test]
    fn names_are_plain() {
        for good in ["eng-a", "7", "A.b_c-d", &"x".repeat(64)] {
            assert!(name(good).is_ok(), "{good}");
        }
        for wrong in ["", ".", "..", "-a", "../x", "a b", "é", "a/b", "a\n", &"x".repeat(65)] {
            assert!(name(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn percents_come_in_order_and_once() {
        assert_eq!(warn("100, 50%,80,50").expect("percents"), [50, 80, 100]);
        assert_eq!(warn("none").expect("none"), [0; 0]);
        for wrong in ["", "0", "a", "50;80", "1001", "-5"] {
            assert!(warn(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn an_unknown_price_is_denied_allowed_or_assumed() {
        assert_eq!(on_unknown_price("deny").expect("known"), OnUnknownPrice::Deny);
        let half = Usd::parse("0.5").expect("an amount");
        assert_eq!(on_unknown_price("assume:$0.50").expect("known"), OnUnknownPrice::Assume(half));
        for wrong in ["assume", "assume:", "assume:-1", "maybe", ""] {
            assert!(on_unknown_price(wrong).is_err(), "{wrong}");
        }
    }
}
