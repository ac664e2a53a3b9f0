//! The conditions of a rule: each that is set must hold.

use std::collections::BTreeMap;
use std::fmt;

use regex::Regex;
use serde::Deserialize;

use super::super::window::Zone;
use super::features::{Features, Language, is_spaced};

/// Which requests a rule is for. A condition that is not set says nothing.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct When {
    /// Bounds of the estimated input, in tokens.
    pub input_tokens_min: Option<u64>,
    pub input_tokens_max: Option<u64>,
    /// Bounds of the context window that is needed: the estimated input and the answer that is asked for, in tokens.
    pub context_tokens_min: Option<u64>,
    pub context_tokens_max: Option<u64>,
    pub attachments: Option<bool>,
    pub tools: Option<bool>,
    pub schema: Option<bool>,
    pub code: Option<bool>,
    /// One of these.
    pub language: OneOrMany<Language>,
    /// One of these occurs, as whole words; upper and lower case are the same.
    pub keywords: OneOrMany<String>,
    /// It matches somewhere in the text.
    pub regex: Option<Pattern>,
    /// One of these.
    pub template: OneOrMany<String>,
    /// All of these.
    pub tag: BTreeMap<String, String>,
    /// The clock of `zone` shows a time in these.
    pub hours: Option<Hours>,
    /// One of these, in `zone`.
    pub weekday: OneOrMany<Weekday>,
    /// Of `hours` and `weekday`. Default: UTC.
    pub zone: ZoneName,
    /// At most this percent of the tightest budget is left. Where there is no budget it does not hold.
    pub budget_left_max: Option<u64>,
}

impl When {
    /// Whether every condition that is set holds.
    ///
    /// # Errors
    /// The first one that does not, in words.
    pub fn holds(&self, features: &Features) -> Result<(), String> {
        let input = features.input_tokens;
        within(input, self.input_tokens_min, self.input_tokens_max, "input tokens")?;
        within(features.context_tokens(), self.context_tokens_min, self.context_tokens_max, "tokens of context")?;
        is(self.attachments, features.attachments > 0, ["nothing is attached", "something is attached"])?;
        is(self.tools, features.tools, ["no tools are offered", "tools are offered"])?;
        is(self.schema, features.schema, ["there is no schema", "there is a schema"])?;
        is(self.code, features.code, ["there is no code", "there is code"])?;
        self.language.holds(Some(&features.language), "the language is", |language| language.as_str().to_owned())?;
        self.template.holds(features.template.as_ref(), "the template is", String::clone)?;
        if !self.keywords.is_empty() && !self.keywords.iter().any(|word| occurs(word, &features.text)) {
            return Err("none of its keywords occurs".into());
        }
        if let Some(pattern) = &self.regex
            && !pattern.0.is_match(&features.text)
        {
            return Err("its regex does not match".into());
        }
        if let Some((key, value)) = self.tag.iter().find(|(key, value)| features.tags.get(*key) != Some(value)) {
            return Err(format!("the tag {key}={value} is not set"));
        }
        self.holds_now(features.now_ms)?;
        match (self.budget_left_max, features.budget_left) {
            (Some(_), None) => Err("there is no budget here".into()),
            (Some(most), Some(left)) if left > most => Err(format!("{left} % of the budget is left")),
            _ => Ok(()),
        }
    }

    fn holds_now(&self, now_ms: i64) -> Result<(), String> {
        if self.hours.is_none() && self.weekday.is_empty() {
            return Ok(());
        }
        let (day, minute) = self.zone.0.clock(now_ms).ok_or("the clock cannot be read")?;
        if let Some(hours) = &self.hours
            && !hours.hold(minute)
        {
            return Err(format!("it is {} in {}", clock(minute), self.zone.0.name()));
        }
        self.weekday.holds(Weekday::ALL.get(day), "the day is", |day| day.as_str().to_owned())
    }

    /// The conditions that are set, in words; none: every request.
    #[must_use]
    pub fn words(&self) -> Vec<String> {
        let mut words = Vec::new();
        let bounds = [
            (self.input_tokens_min, self.input_tokens_max, "input"),
            (self.context_tokens_min, self.context_tokens_max, "context"),
        ];
        for (least, most, what) in bounds {
            words.extend(least.map(|least| format!("{what} ≥ {least}")));
            words.extend(most.map(|most| format!("{what} ≤ {most}")));
        }
        let flags =
            [(self.attachments, "attachments"), (self.tools, "tools"), (self.schema, "schema"), (self.code, "code")];
        let flag =
            |(wanted, what): (Option<bool>, &str)| Some(if wanted? { what.to_owned() } else { format!("no {what}") });
        words.extend(flags.into_iter().filter_map(flag));
        words.extend(self.language.words("language", |language| language.as_str().to_owned()));
        words.extend(self.keywords.words("keywords", String::clone));
        words.extend(self.regex.as_ref().map(|pattern| format!("regex {pattern}")));
        words.extend(self.template.words("template", String::clone));
        words.extend(self.tag.iter().map(|(key, value)| format!("tag {key}={value}")));
        let zone = self.zone.0.name();
        words.extend(self.hours.as_ref().map(|hours| format!("{hours} {zone}")));
        words.extend(self.weekday.words("on", |day| day.as_str().to_owned()));
        words.extend(self.budget_left_max.map(|most| format!("budget left ≤ {most} %")));
        words
    }
}

fn within(count: u64, least: Option<u64>, most: Option<u64>, what: &str) -> Result<(), String> {
    match (least, most) {
        (Some(least), _) if count < least => Err(format!("about {count} {what}, fewer than {least}")),
        (_, Some(most)) if count > most => Err(format!("about {count} {what}, more than {most}")),
        _ => Ok(()),
    }
}

/// `said`: what is said where it is not so, and where it is.
fn is(wanted: Option<bool>, has: bool, said: [&str; 2]) -> Result<(), String> {
    match wanted {
        Some(wanted) if wanted != has => Err(said[usize::from(has)].to_owned()),
        _ => Ok(()),
    }
}

/// Whether `word` occurs in `text` and is no part of a longer word. Scripts that are written without spaces have no such
/// borders.
fn occurs(word: &str, text: &str) -> bool {
    let (word, text) = (word.to_lowercase(), text.to_lowercase());
    let goes_on = |edge: Option<char>, next: Option<char>| {
        edge.zip(next).is_some_and(|(edge, next)| {
            edge.is_alphanumeric() && next.is_alphanumeric() && is_spaced(edge) && is_spaced(next)
        })
    };
    !word.is_empty()
        && text.match_indices(&word).any(|(at, found)| {
            let (before, after) = (text[..at].chars().next_back(), text[at + found.len()..].chars().next());
            !goes_on(word.chars().next(), before) && !goes_on(word.chars().next_back(), after)
        })
}

/// A value or an array of values.
#[derive(Debug, Clone, PartialEq)]
pub struct OneOrMany<T>(Vec<T>);

impl<T> Default for OneOrMany<T> {
    fn default() -> Self {
        OneOrMany(Vec::new())
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for OneOrMany<T> {
    fn deserialize<D: serde::Deserializer<'de>>(value: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Either<T> {
            One(T),
            Many(Vec<T>),
        }
        Ok(match Either::deserialize(value)? {
            Either::One(one) => OneOrMany(vec![one]),
            Either::Many(many) => OneOrMany(many),
        })
    }
}

impl<T: PartialEq> OneOrMany<T> {
    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn iter(&self) -> impl Iterator<Item = &T> {
        self.0.iter()
    }

    /// Whether nothing is asked for, or one of the values is what there is.
    fn holds(&self, has: Option<&T>, what: &str, word: impl Fn(&T) -> String) -> Result<(), String> {
        match has {
            _ if self.is_empty() => Ok(()),
            Some(has) if self.0.contains(has) => Ok(()),
            Some(has) => Err(format!("{what} {}", word(has))),
            None => Err(format!("{what} none")),
        }
    }

    fn words(&self, what: &str, word: impl Fn(&T) -> String) -> Option<String> {
        let words: Vec<String> = self.iter().map(word).collect();
        (!words.is_empty()).then(|| format!("{what} {}", words.join("|")))
    }
}

/// A regular expression in the syntax of the `regex` crate: it takes linear time whatever the text is.
#[derive(Debug, Clone, Deserialize)]
#[serde(try_from = "String")]
pub struct Pattern(pub Regex);

impl TryFrom<String> for Pattern {
    type Error = String;

    fn try_from(text: String) -> Result<Pattern, String> {
        // The crate's message repeats the expression over several lines: its last one says what is wrong.
        Regex::new(&text).map(Pattern).map_err(|error| {
            let said = error.to_string();
            format!("regex: {}", said.lines().last().unwrap_or_default().trim_start_matches("error: "))
        })
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Pattern) -> bool {
        self.0.as_str() == other.0.as_str()
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "/{}/", self.0.as_str())
    }
}

/// From one minute of the day up to, and without, another; over midnight where the second is earlier.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Hours {
    from: u32,
    to: u32,
}

impl Hours {
    fn hold(self, minute: u32) -> bool {
        if self.from < self.to {
            (self.from..self.to).contains(&minute)
        } else {
            minute >= self.from || minute < self.to
        }
    }
}

impl TryFrom<String> for Hours {
    type Error = String;

    fn try_from(text: String) -> Result<Hours, String> {
        let minute = |text: &str| {
            let (hour, minute) = text.trim().split_once(':')?;
            let digits = |text: &str| (text.len() == 2).then(|| text.parse::<u32>().ok()).flatten();
            let (hour, minute) = (digits(hour)?, digits(minute).filter(|minute| *minute < 60)?);
            Some(hour * 60 + minute).filter(|minute| *minute <= 24 * 60)
        };
        let hours = text.split_once('-').and_then(|(from, to)| Some(Hours { from: minute(from)?, to: minute(to)? }));
        hours.filter(|hours| hours.from != hours.to).ok_or_else(|| "hours are written as \"08:00-18:00\"".to_owned())
    }
}

fn clock(minute: u32) -> String {
    format!("{:02}:{:02}", minute / 60, minute % 60)
}

impl fmt::Display for Hours {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}-{}", clock(self.from), clock(self.to))
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Weekday {
    Mon,
    Tue,
    Wed,
    Thu,
    Fri,
    Sat,
    Sun,
}

impl Weekday {
    const ALL: [Weekday; 7] =
        [Weekday::Mon, Weekday::Tue, Weekday::Wed, Weekday::Thu, Weekday::Fri, Weekday::Sat, Weekday::Sun];

    fn as_str(self) -> &'static str {
        match self {
            Weekday::Mon => "mon",
            Weekday::Tue => "tue",
            Weekday::Wed => "wed",
            Weekday::Thu => "thu",
            Weekday::Fri => "fri",
            Weekday::Sat => "sat",
            Weekday::Sun => "sun",
        }
    }
}

/// A time zone of the IANA database by its name.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct ZoneName(Zone);

impl TryFrom<String> for ZoneName {
    type Error = String;

    fn try_from(name: String) -> Result<ZoneName, String> {
        Zone::named(&name).map(ZoneName).ok_or_else(|| "no such time zone: it is named as Europe/Berlin".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::{Features, Language, When};

    /// Whether a condition, as a configuration file writes it, holds.
    fn holds(when: &str, features: &Features) -> bool {
        let when: When = toml::from_str(when).unwrap_or_else(|error| panic!("{when}: {error}"));
        when.holds(features).is_ok()
    }

    fn asked(text: &str) -> Features {
        Features { text: text.to_owned(), ..Features::default() }
    }

    #[test]
    fn each_condition_holds_for_its_requests_and_for_no_others() {
        let large = Features { input_tokens: 500, output_cap: Some(100), ..Features::default() };
        let attached = Features { attachments: 1, ..Features::default() };
        let tooled = Features { tools: true, ..Features::default() };
        let schema = Features { schema: true, ..Features::default() };
        let code = Features { code: true, ..Features::default() };
        let japanese = Features { language: Language::Ja, ..Features::default() };
        let templated = Features { template: Some("review".into()), ..Features::default() };
        let tagged = Features { tags: [("env".to_owned(), "ci".to_owned())].into(), ..Features::default() };
        let poor = Features { budget_left: Some(10), ..Features::default() };
        let rich = Features { budget_left: Some(11), ..Features::default() };
        let plain = Features::default();
        for (when, holds_for, not_for) in [
            ("input_tokens_max = 500", &large, &Features { input_tokens: 501, ..Features::default() }),
            ("input_tokens_min = 500", &large, &Features { input_tokens: 499, ..Features::default() }),
            ("context_tokens_min = 600", &large, &plain),
            ("context_tokens_max = 599", &plain, &large),
            ("attachments = true", &attached, &plain),
            ("attachments = false", &plain, &attached),
            ("tools = true", &tooled, &plain),
            ("schema = false", &plain, &schema),
            ("schema = true", &schema, &plain),
            ("code = true", &code, &plain),
            ("code = false", &plain, &code),
            ("language = \"ja\"", &japanese, &plain),
            ("language = [\"zh\", \"latin\"]", &plain, &japanese),
            ("template = [\"sum\", \"review\"]", &templated, &plain),
            ("tag = { env = \"ci\" }", &tagged, &plain),
            ("budget_left_max = 10", &poor, &rich),
            ("budget_left_max = 10", &poor, &plain),
            ("schema = true\ncode = false", &schema, &Features { schema: true, code: true, ..Features::default() }),
        ] {
            assert!(holds(when, holds_for), "{when}");
            assert!(!holds(when, not_for), "{when}");
        }
        assert!(holds("", &plain), "no condition: every request");
    }

    #[test]
    fn keywords_are_whole_words_where_words_have_borders() {
        for (text, has) in [
            ("Write SQL for it", true),
            ("sql?", true),
            ("mysql is slow", false),
            ("sqlite", false),
            ("MySQL and sql", true),
            ("", false),
        ] {
            assert_eq!(holds("keywords = [\"sql\"]", &asked(text)), has, "{text}");
        }
        assert!(holds("keywords = \"合同\"", &asked("请看这份合同的内容")));
        assert!(holds("keywords = \"pull request\"", &asked("this Pull Request, please")));
        assert!(holds("regex = \"(?i)^fix\\\\b\"", &asked("Fix the test")));
        assert!(!holds("regex = \"^fix\"", &asked("prefix")));
    }

    #[test]
    fn hours_and_weekdays_are_those_of_the_named_zone() {
        // 2026-11-22 is a Sunday; Tokyo is nine hours ahead of UTC.
        let at = |text: &str| Features {
            now_ms: text.parse::<jiff::Timestamp>().expect("an instant").as_millisecond(),
            ..Features::default()
        };
        for (when, instant, expected) in [
            ("hours = \"08:00-18:00\"", "2026-11-22T08:00:00Z", true),
            ("hours = \"08:00-18:00\"", "2026-11-22T18:00:00Z", false),
            ("hours = \"22:00-06:00\"", "2026-11-22T23:30:00Z", true),
            ("hours = \"22:00-06:00\"", "2026-11-22T05:59:59Z", true),
            ("hours = \"22:00-06:00\"", "2026-11-22T06:00:00Z", false),
            ("hours = \"18:00-24:00\"", "2026-11-22T23:59:59Z", true),
            ("hours = \"08:00-18:00\"\nzone = \"Asia/Tokyo\"", "2026-11-22T23:30:00Z", true),
            ("weekday = \"sun\"", "2026-11-22T23:30:00Z", true),
            ("weekday = [\"mon\", \"tue\"]\nzone = \"Asia/Tokyo\"", "2026-11-22T23:30:00Z", true),
            ("weekday = \"mon\"", "2026-11-22T23:30:00Z", false),
        ] {
            assert_eq!(holds(when, &at(instant)), expected, "{when} {instant}");
        }
    }

    #[test]
    fn a_condition_that_cannot_be_read_is_refused() {
        for wrong in [
            "input_token_max = 5",
            "language = \"klingon\"",
            "regex = \"(\"",
            "hours = \"8-18\"",
            "hours = \"08:00-08:00\"",
            "hours = \"08:00-24:01\"",
            "weekday = \"sunday\"",
            "zone = \"Mars/Olympus\"",
            "code = \"yes\"",
        ] {
            assert!(toml::from_str::<When>(wrong).is_err(), "{wrong}");
        }
    }
}
