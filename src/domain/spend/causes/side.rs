//! The calls of one period, added up by project, model and meter, and by who carries them.

use std::collections::{BTreeMap, HashMap};

use super::Cause;
use crate::domain::record::{Record, RecordLine, Settlement};
use crate::domain::spend::ratio::divided;

/// What of a call has a size of its own.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Size {
    Prompt,
    PromptAudio,
    PromptImage,
    Answer,
    AnswerAudio,
    AnswerImage,
    Thinking,
    Fee(String),
    /// What no line carries, counted in picodollars.
    Charge,
}

impl Size {
    fn of(line: &RecordLine) -> Size {
        match line.meter.as_str() {
            "input" | "cache_read" | "cache_write" | "cache_write_1h" => Size::Prompt,
            "input_audio" | "cache_read_audio" => Size::PromptAudio,
            "input_image" => Size::PromptImage,
            "output" => Size::Answer,
            "output_audio" => Size::AnswerAudio,
            "output_image" => Size::AnswerImage,
            "reasoning" => Size::Thinking,
            other => Size::Fee(other.to_owned()),
        }
    }

    pub(super) fn cause(&self) -> Cause {
        match self {
            Size::Prompt | Size::PromptAudio | Size::PromptImage => Cause::Input,
            Size::Answer | Size::AnswerAudio | Size::AnswerImage => Cause::Output,
            Size::Thinking => Cause::Reasoning,
            Size::Fee(_) => Cause::Fees,
            Size::Charge => Cause::Charges,
        }
    }

    /// Why units of it are of another class than before.
    pub(super) fn cause_of_class(&self) -> Cause {
        match self {
            Size::Prompt | Size::PromptAudio => Cause::Cache,
            other => other.cause(),
        }
    }
}

/// The class of a unit: of which size it is a part, and the meter that counted it.
pub(super) type Class = (Size, String);

/// The units of one class.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Units {
    pub(super) quantity: i128,
    pub(super) picos: i128,
    /// Units of calls whose price is not known.
    pub(super) silent: i128,
    /// The most of one call.
    pub(super) most: i128,
}

/// The calls of one model in one project.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Cell {
    /// Those that ended as they should, whether their price is known or not.
    pub(super) calls: i128,
    pub(super) failed: i128,
    /// What failed attempts cost, and the calls that stood in for them.
    pub(super) fallen: i128,
    pub(super) classes: BTreeMap<Class, Units>,
}

impl Cell {
    pub(super) fn picos(&self) -> i128 {
        self.classes.values().map(|units| units.picos).sum()
    }

    pub(super) fn units(&self, class: &Class) -> Units {
        self.classes.get(class).copied().unwrap_or_default()
    }
}

pub(super) type Cells = BTreeMap<String, Cell>;

/// The calls of one period, added up as far as a split needs them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Side {
    pub(super) projects: BTreeMap<String, Cells>,
    /// Failed attempts by their id, with the model: a call of another one that repeats them stands in for it.
    attempts: HashMap<String, String>,
    pub sums: Sums,
    pub(super) carried: BTreeMap<Carrier, BTreeMap<String, Carried>>,
}

/// What a period's calls have in all. Open calls are in none but `open`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sums {
    pub picos: i128,
    pub calls: u64,
    pub failed: u64,
    /// What the failed were charged.
    pub failed_picos: i128,
    /// Without a known amount: in no sum.
    pub unpriced: u64,
    pub open: u64,
    pub fresh: u64,
    pub cache_read: u64,
    pub cache_write: u64,
    pub output: u64,
    /// A part of `output` where it is counted there.
    pub reasoning: u64,
    pub fees: BTreeMap<String, u64>,
    pub models: BTreeMap<String, u64>,
}

impl Sums {
    /// Prompt tokens, cached or not.
    #[must_use]
    pub fn prompt(&self) -> u64 {
        self.fresh.saturating_add(self.cache_read).saturating_add(self.cache_write)
    }
}

/// By what the calls that carry a change are told.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Carrier {
    Project,
    User,
    Team,
    Model,
    Tag(String),
}

impl Carrier {
    /// As `--by` calls it.
    #[must_use]
    pub fn name(&self) -> String {
        match self {
            Carrier::Project => "project".to_owned(),
            Carrier::User => "user".to_owned(),
            Carrier::Team => "team".to_owned(),
            Carrier::Model => "model".to_owned(),
            Carrier::Tag(key) => format!("tag:{key}"),
        }
    }
}

/// The calls that have one value.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Carried {
    pub calls: u64,
    pub picos: i128,
}

impl Side {
    /// Adds a call. Calls must come in the order in which they were opened.
    pub fn add(&mut self, record: &Record) {
        let Some(settled) = &record.settled else {
            self.sums.open = self.sums.open.saturating_add(1);
            return;
        };
        let (call, settlement) = (&record.call, &settled.settlement);
        let model = match &call.region {
            Some(region) => format!("{}@{region}/{}", call.provider, call.model),
            None => format!("{}/{}", call.provider, call.model),
        };
        let total = record.total().map(|total| i128::from(total.picos));
        let failed = settlement.error_class.is_some();
        self.sum(record, settlement, total, failed);
        self.carry(record, total.unwrap_or_default());
        if failed && self.attempts.len() < ATTEMPTS_MAX {
            self.attempts.insert(call.id.clone(), model.clone());
        }
        let first = call.retry_of.as_ref().and_then(|id| self.attempts.get(id));
        let stands_in = !failed && first.is_some_and(|first| *first != model);
        let cells = self.projects.entry(call.project.clone().unwrap_or_default()).or_default();
        let requests = i128::from(record.requests);
        if failed || stands_in {
            let cell = cells.entry(model).or_default();
            cell.failed += if failed { requests } else { 0 };
            cell.fallen += total.unwrap_or_default();
            return;
        }
        let cell = cells.entry(model).or_default();
        cell.calls += requests;
        let mut carried = 0;
        for (class, quantity, picos) in classes(settlement) {
            let units = cell.classes.entry(class).or_default();
            match (total, picos) {
                (Some(_), Some(picos)) => {
                    units.quantity += quantity;
                    units.picos += picos;
                    carried += picos;
                }
                // The charge that no line carries is theirs.
                (Some(_), None) => continue,
                (None, _) => units.silent += quantity,
            }
            units.most = units.most.max(divided(quantity, 1, requests.max(1)) + 1);
        }
        let rest = total.unwrap_or_default() - carried;
        if rest != 0 {
            let sign = if rest < 0 { "less" } else { "more" };
            let units = cell.classes.entry((Size::Charge, sign.to_owned())).or_default();
            units.quantity += rest.abs();
            units.picos += rest;
            units.most = units.most.max(divided(rest.abs(), 1, requests.max(1)) + 1);
        }
    }

    fn sum(&mut self, record: &Record, settlement: &Settlement, total: Option<i128>, failed: bool) {
        let sums = &mut self.sums;
        sums.calls = sums.calls.saturating_add(record.requests);
        sums.picos += total.unwrap_or_default();
        if total.is_none() {
            sums.unpriced = sums.unpriced.saturating_add(record.requests);
        }
        if failed {
            sums.failed = sums.failed.saturating_add(record.requests);
            sums.failed_picos += total.unwrap_or_default();
        }
        let model = format!("{}/{}", record.call.provider, record.call.model);
        let calls = sums.models.entry(model).or_default();
        *calls = calls.saturating_add(record.requests);
        sums.reasoning = sums.reasoning.saturating_add(settlement.reasoning.unwrap_or_default());
        for line in &settlement.lines {
            let sum = match line.meter.as_str() {
                "input" | "input_audio" | "input_image" => &mut sums.fresh,
                "cache_read" | "cache_read_audio" => &mut sums.cache_read,
                "cache_write" | "cache_write_1h" => &mut sums.cache_write,
                "output" | "output_audio" | "output_image" => &mut sums.output,
                "reasoning" => &mut sums.reasoning,
                other => sums.fees.entry(other.to_owned()).or_default(),
            };
            *sum = sum.saturating_add(line.quantity);
        }
    }

    fn carry(&mut self, record: &Record, picos: i128) {
        let call = &record.call;
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        let tags = call.tags.iter().map(|(key, value)| (Carrier::Tag(key.clone()), value.clone()));
        let values = [
            (Carrier::Project, text(&call.project)),
            (Carrier::User, text(&call.user)),
            (Carrier::Team, text(&call.team)),
            (Carrier::Model, format!("{}/{}", call.provider, call.model)),
        ];
        for (carrier, value) in values.into_iter().chain(tags) {
            let carried = self.carried.entry(carrier).or_default().entry(value).or_default();
            carried.calls = carried.calls.saturating_add(record.requests);
            carried.picos += picos;
        }
    }

    /// What the calls with this value carry. Those without a tag's key are all that have none of its values.
    pub(super) fn carried(&self, carrier: &Carrier) -> BTreeMap<String, Carried> {
        let mut values = self.carried.get(carrier).cloned().unwrap_or_default();
        let (calls, picos) = values
            .values()
            .fold((0_u64, 0), |(calls, picos), one| (calls.saturating_add(one.calls), picos + one.picos));
        let rest = Carried { calls: self.sums.calls.saturating_sub(calls), picos: self.sums.picos - picos };
        if rest != Carried::default() {
            let none = values.entry(String::new()).or_default();
            *none = Carried { calls: none.calls.saturating_add(rest.calls), picos: none.picos + rest.picos };
        }
        values
    }
}

/// So many failed attempts are remembered; beyond them a call that stands in counts as one of its own.
const ATTEMPTS_MAX: usize = 100_000;

/// The lines of a call by their class, thinking apart from the answer.
fn classes(settlement: &Settlement) -> Vec<(Class, i128, Option<i128>)> {
    let mut thinking = i128::from(settlement.reasoning.unwrap_or_default());
    let mut classes = Vec::with_capacity(settlement.lines.len() + 1);
    for line in &settlement.lines {
        let (size, quantity) = (Size::of(line), i128::from(line.quantity));
        let picos = line.amount.map(|amount| i128::from(amount.picos));
        let thought = if size == Size::Answer { thinking.min(quantity) } else { 0 };
        if thought > 0 {
            thinking -= thought;
            let part = picos.map(|picos| divided(picos, thought, quantity));
            classes.push(((Size::Thinking, line.meter.clone()), thought, part));
            classes.push((
                (size, line.meter.clone()),
                quantity - thought,
                picos.zip(part).map(|(all, part)| all - part),
            ));
        } else {
            classes.push(((size, line.meter.clone()), quantity, picos));
        }
    }
    classes
}
