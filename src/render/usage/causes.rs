//! Why spend changed: the cause in a sentence, the split, and who carries the change.

use serde_json::{Map, Value, json};

use super::lay::{calls, exact, fitting, fixed, grouped, rows, sentence};
use crate::domain::spend::causes::{Carrier, Cause, Change, RateChange, Split, Sums};
use crate::domain::spend::percent;
use crate::domain::spend::ratio::divided;
use crate::domain::untrusted::one_line;

/// Two periods, what they came to, and why they differ.
#[derive(Debug, Clone, PartialEq)]
pub struct Changed {
    pub before: Told,
    pub now: Told,
    pub split: Split,
    /// The zone whose days are meant.
    pub zone: String,
    /// The period of now is not over: its last day.
    pub unfinished: Option<String>,
}

/// One period.
#[derive(Debug, Clone, PartialEq)]
pub struct Told {
    pub label: String,
    pub first: String,
    pub last: String,
    pub days: i64,
    pub sums: Sums,
}

impl Changed {
    fn difference(&self) -> i128 {
        self.now.sums.picos - self.before.sums.picos
    }
}

/// Values of a dimension that are shown before the others are added up.
const TOP: usize = 5;

/// Rates that are shown.
const RATES: usize = 3;

/// The whole explanation. `top`: so many values of each dimension.
#[must_use]
pub fn page(changed: &Changed, top: Option<usize>, width: Option<usize>) -> String {
    let money = Money::of(changed);
    let mut text = sentence(&first_sentence(changed, &money), 0, width);
    for said in warnings(changed) {
        text.push_str(&sentence(&said, 0, width));
    }
    text.push('\n');
    text.push_str(&rows(&periods(changed, &money), &[1, 2], width));
    if changed.difference() != 0 || changed.split.parts.values().any(|picos| *picos != 0) {
        text.push('\n');
        text.push_str(&laid(&parts(changed, &money), width));
    }
    for (carrier, changes) in changed.split.carriers.iter().filter(|(_, changes)| changes.len() > 1) {
        text.push('\n');
        text.push_str(&rows(&carried(carrier, changes, top.unwrap_or(TOP), &money), &[1, 2, 3, 4], width));
    }
    text
}

/// How amounts are rounded so that they are short, and still add up: each is the difference of two rounded sums.
struct Money {
    /// Digits after the point.
    places: usize,
    /// Picodollars of the last digit.
    step: i128,
}

impl Money {
    fn of(changed: &Changed) -> Money {
        let largest = changed.split.parts.values().map(|picos| picos.abs()).max().unwrap_or(0);
        let amount = changed.difference().abs().max(largest).max(if changed.difference() == 0 {
            changed.now.sums.picos
        } else {
            0
        });
        // Three digits that count, and at least cents.
        let places = (2..12).find(|places| amount >= 100 * ten(12 - places)).unwrap_or(12);
        Money { places: usize::try_from(places).unwrap_or(12), step: ten(12 - places) }
    }

    fn rounded(&self, picos: i128) -> i128 {
        divided(picos, 1, self.step) * self.step
    }

    fn shown(&self, rounded: i128) -> String {
        let sign = if rounded < 0 { "-" } else { "" };
        format!("{sign}${}", fixed(rounded.abs(), self.places))
    }

    fn amount(&self, picos: i128) -> String {
        self.shown(self.rounded(picos))
    }

    fn signed(&self, rounded: i128) -> String {
        let sign = if rounded > 0 { "+" } else { "" };
        format!("{sign}{}", self.shown(rounded))
    }

    /// The parts, rounded so that they lead from one rounded sum to the other.
    fn steps(&self, from: i128, parts: impl Iterator<Item = i128>) -> Vec<i128> {
        let mut sum = from;
        parts
            .map(|part| {
                let before = self.rounded(sum);
                sum += part;
                self.rounded(sum) - before
            })
            .collect()
    }
}

fn ten(power: u32) -> i128 {
    10_i128.pow(power)
}

/// Every part that is not nothing, as it is shown, the largest first.
fn shown_parts(changed: &Changed, money: &Money) -> Vec<(Cause, i128)> {
    let mut parts: Vec<(Cause, i128)> =
        changed.split.parts.iter().filter(|(_, picos)| **picos != 0).map(|(cause, picos)| (*cause, *picos)).collect();
    parts.sort_by_key(|(cause, picos)| (std::cmp::Reverse(picos.abs()), *cause));
    let steps = money.steps(changed.before.sums.picos, parts.iter().map(|(_, picos)| *picos));
    parts.iter().zip(steps).map(|((cause, _), shown)| (*cause, shown)).collect()
}

fn first_sentence(changed: &Changed, money: &Money) -> String {
    let (before, now) = (&changed.before.sums, &changed.now.sums);
    let difference = money.rounded(now.picos) - money.rounded(before.picos);
    let all = money.amount(now.picos);
    if before.calls + now.calls == 0 {
        return "Nothing was called in either period.".to_owned();
    }
    if before.calls == 0 {
        return format!("Spend is {all}: there was no call in the period before, so all of it is new.");
    }
    if now.calls == 0 {
        return format!("Spend fell by {} to nothing: no call was made.", money.shown(-difference));
    }
    let largest = changed.split.parts.iter().max_by_key(|(cause, picos)| (picos.abs(), std::cmp::Reverse(**cause)));
    if changed.difference() == 0 {
        return match largest.filter(|(_, picos)| **picos != 0) {
            None => format!("Spend is the same: {all} in both periods."),
            Some((cause, _)) => {
                format!("Spend is the same, {all} in both periods; {} was made up for.", label(*cause, changed))
            }
        };
    }
    let parts = shown_parts(changed, money);
    let way = changed.difference().signum();
    let cause = changed.main_cause();
    let shown = |wanted: Cause| parts.iter().find(|(one, _)| *one == wanted).map_or(0, |(_, shown)| *shown);
    let percent = percent(changed.difference().unsigned_abs(), before.picos.unsigned_abs())
        .map(|percent| format!(" ({}{percent} %)", if way > 0 { "+" } else { "−" }))
        .filter(|_| before.picos > 0)
        .unwrap_or_default();
    let verb = if way > 0 { "rose" } else { "fell" };
    let mut text = format!("Spend {verb} by {}{percent}", money.shown(difference.abs()));
    if let Some(cause) = cause {
        text.push_str(&format!(
            ", mostly {} ({}){}",
            label(cause, changed),
            money.signed(shown(cause)),
            whose(changed, cause)
        ));
    }
    // What works against it is worth a word where it is large.
    let against =
        changed.split.parts.iter().filter(|(_, picos)| picos.signum() == -way).max_by_key(|(_, picos)| picos.abs());
    if let Some((other, picos)) = against
        && picos.abs() * 4 >= changed.difference().abs()
    {
        text.push_str(&format!(", against {} ({})", label(*other, changed), money.signed(shown(*other))));
    }
    text + "."
}

impl Changed {
    /// The cause that made the most of the difference, in its direction.
    #[must_use]
    pub fn main_cause(&self) -> Option<Cause> {
        let way = self.difference().signum();
        let with = self.split.parts.iter().filter(|(_, picos)| way != 0 && picos.signum() == way);
        with.max_by_key(|(cause, picos)| (picos.abs(), std::cmp::Reverse(**cause))).map(|(cause, _)| *cause)
    }
}

/// The project or model that made most of a cause, where one did.
fn whose(changed: &Changed, cause: Cause) -> String {
    let all = changed.split.parts.get(&cause).copied().unwrap_or_default();
    let most = |picos: i128| picos.signum() == all.signum() && picos.abs() * 10 >= all.abs() * 6;
    if cause == Cause::Price
        && let Some(rate) = changed.split.rates.first()
    {
        let of_model: i128 =
            changed.split.rates.iter().filter(|other| other.model == rate.model).map(|other| other.picos).sum();
        if most(of_model) {
            return format!(" of {}", one_line(&rate.model));
        }
    }
    if changed.split.projects.len() < 2 {
        return String::new();
    }
    let made = |parts: &std::collections::BTreeMap<Cause, i128>| parts.get(&cause).copied().unwrap_or_default();
    let project = changed.split.projects.iter().max_by_key(|(_, parts)| made(parts) * all.signum());
    project
        .filter(|(name, parts)| !name.is_empty() && most(made(parts)))
        .map_or(String::new(), |(name, _)| format!(" of project {}", one_line(name)))
}

/// What is to be known before the figures are believed.
fn warnings(changed: &Changed) -> Vec<String> {
    let mut said = Vec::new();
    let (before, now) = (changed.before.sums.unpriced, changed.now.sums.unpriced);
    let each = format!("{} now, {before} before", calls(now));
    match (before, now) {
        (0, 0) => {}
        (0, _) => said.push(format!("No price is known of {each}: it is at least so much now.")),
        (_, 0) => said.push(format!("No price is known of {each}: it was at least so much before.")),
        (_, _) => said.push(format!("No price is known of {each}: both sums are at least so much.")),
    }
    if changed.now.days != changed.before.days {
        said.push(format!(
            "The periods differ in length: {} days now, {} before.",
            changed.now.days, changed.before.days
        ));
    }
    said.extend(changed.unfinished.as_ref().map(|day| format!("{day} is not over.")));
    let open = changed.now.sums.open + changed.before.sums.open;
    if open > 0 {
        said.push(format!("{} open: in no sum.", calls(open)));
    }
    said
}

fn periods(changed: &Changed, money: &Money) -> Vec<[String; 4]> {
    let of = |name: &str, told: &Told| {
        let unpriced = if told.sums.unpriced > 0 { "+" } else { "" };
        let label = format!("{name}  {} ({})", told.label, one_line(&changed.zone));
        [label, format!("{}{unpriced}", money.amount(told.sums.picos)), calls(told.sums.calls), String::new()]
    };
    let mut table = vec![of("now   ", &changed.now), of("before", &changed.before)];
    if changed.now.days != changed.before.days {
        let daily = |told: &Told| divided(told.sums.picos, 1, told.days.into());
        for (row, told) in table.iter_mut().zip([&changed.now, &changed.before]) {
            row[3] = format!("{} a day", money.amount(daily(told)));
        }
    }
    table
}

fn parts(changed: &Changed, money: &Money) -> Vec<[String; 3]> {
    let mut table = Vec::new();
    for (cause, shown) in shown_parts(changed, money) {
        table.push([label(cause, changed).to_owned(), money.signed(shown), measure(cause, changed)]);
    }
    let difference = money.rounded(changed.now.sums.picos) - money.rounded(changed.before.sums.picos);
    table.push(["difference".to_owned(), money.signed(difference), String::new()]);
    table
}

/// Causes with their amounts and figures; figures that do not fit stand below.
fn laid(parts: &[[String; 3]], width: Option<usize>) -> String {
    if let Some(text) = fitting(parts, &[1], width) {
        return text;
    }
    let amounts: Vec<[String; 2]> = parts.iter().map(|[label, amount, _]| [label.clone(), amount.clone()]).collect();
    let mut text = String::new();
    for (line, [_, _, figures]) in rows(&amounts, &[1], None).lines().zip(parts) {
        text.push_str(&format!("{line}\n"));
        if !figures.is_empty() {
            text.push_str(&sentence(&format!("    {figures}"), 4, width));
        }
    }
    text
}

/// What the cause is called in its direction.
fn label(cause: Cause, changed: &Changed) -> &'static str {
    let (before, now) = (&changed.before.sums, &changed.now.sums);
    let picos = changed.split.parts.get(&cause).copied().unwrap_or_default();
    let by_sign = |more: &'static str, less: &'static str| if picos < 0 { less } else { more };
    match cause {
        Cause::Calls if picos > 0 && now.calls < before.calls => "more calls where calls are dear",
        Cause::Calls if picos < 0 && now.calls > before.calls => "fewer calls where calls are dear",
        Cause::Calls => by_sign("more calls", "fewer calls"),
        Cause::Mix => by_sign("dearer models", "cheaper models"),
        Cause::Input => by_sign("longer prompts", "shorter prompts"),
        Cause::Output => by_sign("longer answers", "shorter answers"),
        Cause::Reasoning => by_sign("more thinking", "less thinking"),
        Cause::Cache => {
            let share = |sums: &Sums| percent_of(sums.cache_read, sums.prompt());
            match (picos > 0, share(now) > share(before)) {
                (true, true) => "more cache writes",
                (true, false) => "fewer cache hits",
                (false, true) => "more cache hits",
                (false, false) => "fewer cache writes",
            }
        }
        Cause::Fees => by_sign("more tools and fees", "fewer tools and fees"),
        Cause::Price => by_sign("higher prices", "lower prices"),
        Cause::Failures if now.failed > before.failed => by_sign("failures", "answers lost to failures"),
        Cause::Failures => by_sign("answers that fail no more", "fewer failures"),
        Cause::Charges => by_sign("higher charges that no line carries", "lower charges that no line carries"),
        Cause::Unknown => by_sign("calls that have a known price now", "calls without a known price"),
    }
}

/// The figures that changed with it.
fn measure(cause: Cause, changed: &Changed) -> String {
    let (before, now) = (&changed.before.sums, &changed.now.sums);
    let counts = |of: fn(&Sums) -> u64, what: &str| format!("{} → {} {what}", number(of(before)), number(of(now)));
    let each = |of: fn(&Sums) -> u64, what: &str| {
        let each = |sums: &Sums| divided(of(sums).into(), 1, i128::from(sums.calls).max(1));
        format!("{} → {} {what} a call", grouped(each(before)), grouped(each(now)))
    };
    match cause {
        Cause::Calls => counts(|sums| sums.calls, "calls"),
        Cause::Mix => shifted(before, now),
        Cause::Input => each(Sums::prompt, "prompt tokens"),
        Cause::Output => each(|sums| sums.output.saturating_sub(sums.reasoning), "tokens"),
        Cause::Reasoning => each(|sums| sums.reasoning, "tokens"),
        Cause::Cache => {
            let share = |sums: &Sums| percent_of(sums.cache_read, sums.prompt());
            format!("{} % → {} % of the prompt tokens from caches", share(before), share(now))
        }
        Cause::Fees => fees(before, now),
        Cause::Price => {
            let rates: Vec<String> = changed.split.rates.iter().take(RATES).map(rate).collect();
            let others = changed.split.rates.len().saturating_sub(RATES);
            rates.join("; ") + &if others > 0 { format!("; {others} others") } else { String::new() }
        }
        Cause::Failures => {
            let billed = |sums: &Sums| exact(sums.failed_picos);
            format!("{}, billed ${} → ${}", counts(|sums| sums.failed, "failed"), billed(before), billed(now))
        }
        Cause::Charges => "providers' own charges beyond the table, corrections, ceilings".to_owned(),
        Cause::Unknown => counts(|sums| sums.unpriced, "unpriced"),
    }
}

fn number(number: u64) -> String {
    grouped(number.into())
}

fn percent_of(part: u64, whole: u64) -> u64 {
    percent(part.into(), whole.into()).unwrap_or(0)
}

/// The model whose share of the calls changed the most.
fn shifted(before: &Sums, now: &Sums) -> String {
    let share =
        |sums: &Sums, model: &String| percent_of(sums.models.get(model).copied().unwrap_or_default(), sums.calls);
    let models = before.models.keys().chain(now.models.keys());
    let most = models.max_by_key(|model| share(before, model).abs_diff(share(now, model)));
    most.map_or(String::new(), |model| {
        format!("{} {} % → {} % of the calls", one_line(model), share(before, model), share(now, model))
    })
}

fn fees(before: &Sums, now: &Sums) -> String {
    let names: std::collections::BTreeSet<&String> = before.fees.keys().chain(now.fees.keys()).collect();
    let of = |sums: &Sums, name: &String| number(sums.fees.get(name).copied().unwrap_or_default());
    let fees: Vec<String> =
        names.into_iter().map(|name| format!("{} → {} {}", of(before, name), of(now, name), one_line(name))).collect();
    fees.join(", ")
}

fn rate(change: &RateChange) -> String {
    let (before, now) = (exact(change.before), exact(change.now));
    format!("{} {} ${before} → ${now} / 1,000,000", one_line(&change.model), one_line(&change.meter))
}

/// The values that changed the most, and the others together.
fn carried(carrier: &Carrier, changes: &[Change], top: usize, money: &Money) -> Vec<[String; 5]> {
    let head =
        [format!("by {}", one_line(&carrier.name())), "now".into(), "before".into(), "change".into(), "calls".into()];
    // One more is shown rather than called "1 other".
    let shown = if changes.len() == top + 1 { changes.len() } else { top.min(changes.len()) };
    let (first, others) = changes.split_at(shown);
    let mut all: Vec<(String, Change)> = first.iter().map(|change| (name(&change.value), change.clone())).collect();
    if !others.is_empty() {
        let mut sum = Change { value: String::new(), before: Default::default(), now: Default::default() };
        for change in others {
            sum.before.picos += change.before.picos;
            sum.now.picos += change.now.picos;
            sum.before.calls = sum.before.calls.saturating_add(change.before.calls);
            sum.now.calls = sum.now.calls.saturating_add(change.now.calls);
        }
        all.push((format!("{} others", others.len()), sum));
    }
    let now = money.steps(0, all.iter().map(|(_, change)| change.now.picos));
    let before = money.steps(0, all.iter().map(|(_, change)| change.before.picos));
    let rows = all.iter().zip(now.iter().zip(before)).map(|((name, change), (now, before))| {
        [
            format!("  {name}"),
            money.shown(*now),
            money.shown(before),
            money.signed(now - before),
            format!("{} → {}", number(change.before.calls), number(change.now.calls)),
        ]
    });
    std::iter::once(head).chain(rows).collect()
}

fn name(value: &str) -> String {
    if value.is_empty() { "(none)".to_owned() } else { one_line(value) }
}

/// The same as JSON, every amount exact.
#[must_use]
pub fn object(changed: &Changed) -> Value {
    let told = |told: &Told| {
        let sums = &told.sums;
        json!({"from": told.first, "to": told.last, "days": told.days, "usd": exact(sums.picos),
            "usd_per_day": exact(divided(sums.picos, 1, told.days.into())), "calls": sums.calls, "failed": sums.failed,
            "failed_usd": exact(sums.failed_picos), "unpriced": sums.unpriced, "open": sums.open, "input": sums.fresh,
            "cache_read": sums.cache_read, "cache_write": sums.cache_write, "output": sums.output,
            "reasoning": sums.reasoning, "fees": sums.fees})
    };
    let causes = |parts: &std::collections::BTreeMap<Cause, i128>| -> Map<String, Value> {
        parts.iter().map(|(cause, picos)| (cause.as_str().to_owned(), exact(*picos).into())).collect()
    };
    let projects: Vec<Value> = changed
        .split
        .projects
        .iter()
        .map(|(name, parts)| json!({"project": (!name.is_empty()).then_some(name), "parts": causes(parts)}))
        .collect();
    let carriers: Map<String, Value> = changed
        .split
        .carriers
        .iter()
        .map(|(carrier, changes)| (carrier.name(), changes.iter().map(change).collect()))
        .collect();
    let rates: Vec<Value> = changed
        .split
        .rates
        .iter()
        .map(|rate| {
            json!({"model": rate.model, "meter": rate.meter, "before_usd_per_million": exact(rate.before),
                "now_usd_per_million": exact(rate.now), "usd": exact(rate.picos)})
        })
        .collect();
    json!({
        "schema": 1,
        "zone": changed.zone,
        "now": told(&changed.now),
        "before": told(&changed.before),
        "difference_usd": exact(changed.difference()),
        "cause": changed.main_cause().map(Cause::as_str),
        "said": first_sentence(changed, &Money::of(changed)),
        "parts": causes(&changed.split.parts),
        "projects": projects,
        "rates": rates,
        "carried_by": carriers,
    })
}

fn change(change: &Change) -> Value {
    json!({"value": (!change.value.is_empty()).then_some(&change.value), "usd": exact(change.picos()),
        "now_usd": exact(change.now.picos), "before_usd": exact(change.before.picos), "now_calls": change.now.calls,
        "before_calls": change.before.calls})
}
