//! From a model's name to its entry: exact keys, aliases, dates and profiles; never a pattern.

use std::collections::BTreeMap;

use super::Prices;
use super::entry::{Calendar, Entry, Number, Rules};
use super::place::{TableError, Which};
use super::table::Table;
use crate::domain::model::ModelName;

/// The entry that a name means.
#[derive(Debug, Clone)]
pub struct Found {
    pub entry: Entry,
    pub table: Which,
    /// The factor of the profile prefix, and how the table calls it.
    pub profile: Option<(String, Number)>,
    pub notes: Vec<String>,
}

impl Prices {
    /// The entry of a model: the user's mapping of a deployment or profile; then the user's and the bundled file, each by
    /// exact key and by alias; then an entry that takes dated names; then the profile prefix of an entry with `profiles`;
    /// then the provider that this one is `like`.
    ///
    /// # Errors
    /// Why there is none, in a sentence.
    pub fn find(&self, name: &ModelName) -> Result<Found, String> {
        let asked = format!("{}/{}", name.provider, name.model);
        if let Some(target) = self.first(|table| table.deployment(&asked))? {
            let (provider, model) = target.split_once('/').unwrap_or((&name.provider, &target));
            let mut found = self.find_at(provider, None, model)?;
            found.notes.push(format!("{asked} stands for {target}"));
            return Ok(found);
        }
        self.find_at(&name.provider, name.region.as_deref(), named_in_arn(&name.model)?)
    }

    fn find_at(&self, provider: &str, region: Option<&str>, model: &str) -> Result<Found, String> {
        if let Some((entry, table)) = self.plain(provider, region, model)? {
            let profile = self.profile(&entry, "none", "a bare id")?;
            return Ok(Found { entry, table, profile, notes: Vec::new() });
        }
        if let Some((prefix, rest)) = model.split_once('.')
            && let Some((entry, table)) = self.plain(provider, region, rest)?
            && entry.profiles.is_some()
        {
            let profile = self.profile(&entry, prefix, &format!("the profile \"{prefix}.\""))?;
            return Ok(Found { entry, table, profile, notes: Vec::new() });
        }
        let other = self.rules(provider)?.and_then(|rules| rules.like).filter(|other| other != provider);
        match other {
            Some(other) => self.find_at(&other, region, model),
            None => Err(format!("no price is known for {provider}/{model}")),
        }
    }

    /// The entry of a name as it stands, with the region before it, or without its date.
    fn plain(&self, provider: &str, region: Option<&str>, model: &str) -> Result<Option<(Entry, Which)>, String> {
        if let Some(region) = region
            && let Some(found) = self.keyed(provider, &format!("{region}/{model}"))?
        {
            return Ok(Some(found));
        }
        if let Some(found) = self.keyed(provider, model)? {
            return Ok(Some(found));
        }
        let Some((base, date)) = undated(model) else {
            return Ok(None);
        };
        let takes = |entry: &Entry| entry.dated && !entry.except.iter().any(|except| except.replace('-', "") == date);
        Ok(self.keyed(provider, base)?.filter(|(entry, _)| takes(entry)))
    }

    /// The user's file before the bundled one, in each the key before the alias.
    fn keyed(&self, provider: &str, model: &str) -> Result<Option<(Entry, Which)>, String> {
        let key = format!("{provider}/{model}");
        for table in self.tables() {
            let found = match table.model(&key).map_err(unreadable)? {
                Some(entry) => Some(entry),
                None => table.alias(provider, model).map_err(unreadable)?,
            };
            if let Some(entry) = found {
                return Ok(Some((entry, table.which())));
            }
        }
        Ok(None)
    }

    fn profile(&self, entry: &Entry, prefix: &str, what: &str) -> Result<Option<(String, Number)>, String> {
        let Some(set) = &entry.profiles else {
            return Ok(None);
        };
        let factors: BTreeMap<String, Number> = self.first(|table| table.profiles(set))?.unwrap_or_default();
        match factors.get(prefix) {
            Some(factor) => Ok(Some((format!("profiles.{set}.{prefix}"), *factor))),
            None => Err(format!("{what} of {} is not in [profiles.{set}]", entry.key)),
        }
    }

    /// The rules of a provider: the user's replace the bundled ones, except that a `discount` alone is laid over them.
    pub(super) fn rules(&self, provider: &str) -> Result<Option<Rules>, String> {
        let own = match &self.user {
            Some(user) => user.rules(provider).map_err(unreadable)?,
            None => None,
        };
        let Some(own) = own else {
            return self.bundled.rules(provider).map_err(unreadable);
        };
        let only_discount = Rules { discount: own.discount, note: own.note.clone(), ..Rules::default() };
        if own == only_discount {
            let bundled = self.bundled.rules(provider).map_err(unreadable)?.unwrap_or_default();
            return Ok(Some(Rules { discount: own.discount, ..bundled }));
        }
        Ok(Some(own))
    }

    pub(super) fn calendar(&self, name: &str) -> Result<Option<Calendar>, String> {
        self.first(|table| table.calendar(name))
    }

    /// What the first of the tables that knows it says.
    fn first<T>(&self, ask: impl Fn(&Table) -> Result<Option<T>, TableError>) -> Result<Option<T>, String> {
        for table in self.tables() {
            if let Some(found) = ask(table).map_err(unreadable)? {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }
}

pub(super) fn unreadable(error: TableError) -> String {
    format!("the price table cannot be read: {error}")
}

/// The model's id inside an ARN of Amazon Bedrock, or the id as it is.
fn named_in_arn(model: &str) -> Result<&str, String> {
    if !model.starts_with("arn:") {
        return Ok(model);
    }
    let resource = model.splitn(6, ':').nth(5).unwrap_or_default();
    match resource.split_once('/') {
        Some(("inference-profile" | "foundation-model", id)) => Ok(id),
        Some(("provisioned-model", _)) => Err("provisioned throughput is billed by the hour".into()),
        Some(("application-inference-profile", _)) => Err(format!(
            "the profile does not say its model: write [deployment.\"bedrock/{model}\"] into your pricing.toml"
        )),
        _ => Err(format!("no price is known for {model}")),
    }
}

/// A name without its date suffix, and the date's digits: `-YYYY-MM-DD`, `-YYYYMMDD`, `@YYYYMMDD`.
#[must_use]
pub fn undated(model: &str) -> Option<(&str, String)> {
    let split = |length: usize, separators: &[char]| {
        let at = model.len().checked_sub(length + 1)?;
        let (base, suffix) = (model.get(..at)?, model.get(at..)?);
        let date = suffix.strip_prefix(separators)?;
        (!base.is_empty()).then_some((base, date))
    };
    let long = split(10, &['-']).filter(|(_, date)| {
        date.bytes().enumerate().all(|(place, byte)| match place {
            4 | 7 => byte == b'-',
            _ => byte.is_ascii_digit(),
        })
    });
    let short = split(8, &['-', '@']).filter(|(_, date)| date.bytes().all(|byte| byte.is_ascii_digit()));
    let (base, date) = long.or(short)?;
    let date = date.replace('-', "");
    let month = date.get(4..6).and_then(|month| month.parse::<u8>().ok()).unwrap_or(0);
    let day = date.get(6..).and_then(|day| day.parse::<u8>().ok()).unwrap_or(0);
    (date.starts_with("20") && (1..=12).contains(&month) && (1..=31).contains(&day)).then_some((base, date))
}

/// A name without what does not change the model: a path or vendor before it, a profile prefix, a date, a version of the
/// host, and case.
fn bare(model: &str) -> String {
    let last = model.rsplit('/').next().unwrap_or(model).to_ascii_lowercase();
    let (last, versioned) = match last.rsplit_once(':') {
        Some((head, tail)) if tail.bytes().all(|byte| byte.is_ascii_digit()) => (head.to_owned(), true),
        _ => (last, false),
    };
    // `-v1` of Bedrock's ids, before `:0` or after a date.
    let last = match last.rsplit_once("-v") {
        Some((head, tail)) if tail.len() == 1 && (versioned || undated(head).is_some()) => head.to_owned(),
        _ => last,
    };
    let last = undated(&last).map_or(last.clone(), |(base, _)| base.to_owned());
    // `us.anthropic.claude-…`: words of letters before a dot; `gpt-5.4` has a digit before its dot.
    let mut rest = last.as_str();
    while let Some((head, tail)) = rest.split_once('.') {
        let word = head.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-');
        if !word || tail.starts_with(|first: char| first.is_ascii_digit()) {
            break;
        }
        rest = tail;
    }
    rest.to_owned()
}

/// Whether two names mean one model.
#[must_use]
pub fn same(one: &str, two: &str) -> bool {
    one == two || bare(one) == bare(two)
}

/// Whether `served` says more exactly what `sent` says: a pinned version of it.
#[must_use]
pub fn pins(served: &str, sent: &str) -> bool {
    let (served, sent) = (bare(served), bare(sent));
    let sent = sent.strip_suffix("-latest").unwrap_or(&sent);
    served.strip_prefix(sent).is_some_and(|rest| rest.starts_with(['-', '@', ':']))
}

#[cfg(test)]
mod tests {
    use super::{named_in_arn, pins, same, undated};

    #[test]
    fn a_date_suffix_is_a_date_and_nothing_else() {
        for (name, wanted) in [
            ("gpt-4o-2024-08-06", Some(("gpt-4o", "20240806"))),
            ("claude-opus-5-5-20260918", Some(("claude-opus-5-5", "20260918"))),
            ("claude-sonnet-4-5@20250929", Some(("claude-sonnet-4-5", "20250929"))),
            ("gpt-4o-mini", None),
            ("model-12345678", None),
            ("gpt-4o@2024-08-06", None),
            ("-20240806", None),
        ] {
            let got = undated(name);
            assert_eq!(got.as_ref().map(|(base, date)| (*base, date.as_str())), wanted, "{name}");
        }
    }

    #[test]
    fn names_that_differ_in_dress_mean_one_model() {
        for (one, two) in [
            ("gpt-4o", "gpt-4o-2024-08-06"),
            ("eu/gpt-4.1", "gpt-4.1-2025-04-14"),
            ("us.anthropic.claude-sonnet-4-5-20250929-v1:0", "claude-sonnet-4-5-20250929"),
            ("claude-sonnet-4-5@20250929", "claude-sonnet-4-5-20250929"),
            ("models/gemini-2.5-flash", "gemini-2.5-flash"),
        ] {
            assert!(same(one, two), "{one} {two}");
        }
        for (one, two) in [("gpt-4o", "gpt-4o-mini"), ("gpt-5.4", "gpt-5.5"), ("claude-opus-5", "claude-opus-5-5")] {
            assert!(!same(one, two), "{one} {two}");
        }
        assert!(pins("kimi-k2-0905", "kimi-k2") && pins("mistral-large-2512", "mistral-large-latest"));
        assert!(!pins("gpt-5", "gpt-5.4") && !pins("kimi-k2", "kimi-k2-0905"));
    }

    #[test]
    fn an_arn_names_its_model_or_says_why_not() {
        let arn = "arn:aws:bedrock:us-east-1:123456789012:";
        assert_eq!(
            named_in_arn(&format!("{arn}inference-profile/us.amazon.nova-pro-v1:0")),
            Ok("us.amazon.nova-pro-v1:0")
        );
        assert_eq!(
            named_in_arn("arn:aws-us-gov:bedrock:us-gov-west-1::foundation-model/amazon.nova-pro-v1:0"),
            Ok("amazon.nova-pro-v1:0")
        );
        for (kind, word) in [
            ("provisioned-model/abc", "hour"),
            ("application-inference-profile/abc", "[deployment."),
            ("x/y", "no price"),
        ] {
            let reason = named_in_arn(&format!("{arn}{kind}")).map(str::to_owned).expect_err(kind);
            assert!(reason.contains(word), "{reason}");
        }
    }
}
