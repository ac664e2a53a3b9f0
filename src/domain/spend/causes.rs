//! Why spend changed: the calls of two periods, and an exact split of the difference into what made it.
//!
//! Every project is split for itself, and within it every model and meter, against what the calls of before would have cost:
//!
//! 1. *calls*: all of it, times the calls that were wanted now over those of before;
//! 2. *failures*: what failed attempts cost beyond that, and the answers that were lost to them (or no longer are);
//! 3. *sizes* (input, output, reasoning, tools, and charges that no line carries): units per call beyond those of before at the rates of before;
//! 4. *cache*: prompt tokens that changed their class at the same length, at the rates of before;
//! 5. *price*: the units of now at the rates of now less those of before;
//! 6. *unknown*: calls without a known price count at the rates that their model has elsewhere, and what that makes is taken
//!    off again;
//! 7. *mix*: what is left, which is what other models (in other regions) took over.
//!
//! A call that goes to another model takes its tokens along, be they many or few: what one model lost and another gained is no
//! change of size. So a size counts as changed only where both the average of the model and the sum over the models say so,
//! beyond what the calls that came and went can have carried.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::domain::record::{Record, RecordLine, Settlement};

/// What a difference is split into, in the order in which it is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Cause {
    /// More or fewer calls.
    Calls,
    /// Calls went to other models or regions.
    Mix,
    /// Longer or shorter prompts.
    Input,
    /// Longer or shorter answers, thinking apart.
    Output,
    /// More or less thinking.
    Reasoning,
    /// Prompt tokens that a cache served, kept, or no longer.
    Cache,
    /// Searches and what else is charged by use.
    Fees,
    /// Other rates for the same.
    Price,
    /// Failed attempts that were billed, answers of models that stood in, and answers that were lost.
    Failures,
    /// Amounts that no line carries: what providers stated beyond the table, corrections, ceilings.
    Charges,
    /// Calls whose price is not known took the place of calls whose price is, or the reverse.
    Unknown,
}

impl Cause {
    pub const ALL: [Cause; 11] = [
        Cause::Calls,
        Cause::Mix,
        Cause::Input,
        Cause::Output,
        Cause::Reasoning,
        Cause::Cache,
        Cause::Fees,
        Cause::Price,
        Cause::Failures,
        Cause::Charges,
        Cause::Unknown,
    ];

    /// Its word in JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Cause::Calls => "calls",
            Cause::Mix => "model-mix",
            Cause::Input => "input-size",
            Cause::Output => "output-size",
            Cause::Reasoning => "reasoning",
            Cause::Cache => "cache-hits",
            Cause::Fees => "tools-and-fees",
            Cause::Price => "price",
            Cause::Failures => "failures",
            Cause::Charges => "other-charges",
            Cause::Unknown => "unknown-price",
        }
    }
}

/// What of a call has a size of its own.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Size {
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

    fn cause(&self) -> Cause {
        match self {
            Size::Prompt | Size::PromptAudio | Size::PromptImage => Cause::Input,
            Size::Answer | Size::AnswerAudio | Size::AnswerImage => Cause::Output,
            Size::Thinking => Cause::Reasoning,
            Size::Fee(_) => Cause::Fees,
            Size::Charge => Cause::Charges,
        }
    }

    /// Why units of it are of another class than before.
    fn cause_of_class(&self) -> Cause {
        match self {
            Size::Prompt | Size::PromptAudio => Cause::Cache,
            other => other.cause(),
        }
    }
}

/// The class of a unit: of which size it is a part, and the meter that counted it.
type Class = (Size, String);

/// The units of one class.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Units {
    quantity: i128,
    picos: i128,
    /// Units of calls whose price is not known.
    silent: i128,
    /// The most of one call.
    most: i128,
}

/// The calls of one model in one project.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Cell {
    /// Those that ended as they should, whether their price is known or not.
    calls: i128,
    failed: i128,
    /// What failed attempts cost, and the calls that stood in for them.
    fallen: i128,
    classes: BTreeMap<Class, Units>,
}

impl Cell {
    fn picos(&self) -> i128 {
        self.classes.values().map(|units| units.picos).sum()
    }

    fn units(&self, class: &Class) -> Units {
        self.classes.get(class).copied().unwrap_or_default()
    }
}

type Cells = BTreeMap<String, Cell>;

/// The calls of one period, added up as far as a split needs them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Side {
    projects: BTreeMap<String, Cells>,
    /// Failed attempts by their id, with the model: a call of another one that repeats them stands in for it.
    attempts: HashMap<String, String>,
    pub sums: Sums,
    carried: BTreeMap<Carrier, BTreeMap<String, Carried>>,
    tagged: BTreeSet<String>,
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
    fn carried(&self, carrier: &Carrier) -> BTreeMap<String, Carried> {
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

/// How two periods differ, and why. The parts add up to the difference, and so do the changes of each carrier.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Split {
    /// Picodollars that each cause made, every cause once.
    pub parts: BTreeMap<Cause, i128>,
    /// The same of each project; without a name: the calls of none, and those of projects that took each other's place.
    pub projects: Vec<(String, BTreeMap<Cause, i128>)>,
    pub carriers: Vec<(Carrier, Vec<Change>)>,
    /// The rates that changed, those that made the most first.
    pub rates: Vec<RateChange>,
}

/// How much the calls of one value differ.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Empty: the calls that have none.
    pub value: String,
    pub before: Carried,
    pub now: Carried,
}

impl Change {
    #[must_use]
    pub fn picos(&self) -> i128 {
        self.now.picos - self.before.picos
    }
}

/// A meter whose average rate is another one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RateChange {
    pub model: String,
    pub meter: String,
    /// Picodollars per million units, rounded half to even.
    pub before: i128,
    pub now: i128,
    /// What it made of the difference.
    pub picos: i128,
}

/// Splits the difference between two periods.
#[must_use]
pub fn split(before: &Side, now: &Side) -> Split {
    let none = Cells::new();
    let names: BTreeSet<&String> = before.projects.keys().chain(now.projects.keys()).collect();
    let (mut gone, mut came) = (Cells::new(), Cells::new());
    let mut alone = Vec::new();
    let mut splits = Vec::new();
    for name in names {
        let cells = (before.projects.get(name).unwrap_or(&none), now.projects.get(name).unwrap_or(&none));
        match (wanted(cells.0), wanted(cells.1)) {
            (0, 0) => splits.push((name.clone(), split_project(cells.0, cells.1))),
            (0, _) | (_, 0) => {
                merge(&mut gone, cells.0);
                merge(&mut came, cells.1);
                alone.push((name.clone(), split_project(cells.0, cells.1)));
            }
            (_, _) => splits.push((name.clone(), split_project(cells.0, cells.1))),
        }
    }
    // About as many calls under other names: they were renamed, or each run has a name of its own.
    let (one, two) = (wanted(&gone), wanted(&came));
    if one > 0 && two > 0 && one <= two * 2 && two <= one * 2 {
        splits.push((String::new(), split_project(&gone, &came)));
    } else {
        splits.extend(alone);
    }
    let mut parts: BTreeMap<Cause, i128> = Cause::ALL.into_iter().map(|cause| (cause, 0)).collect();
    let mut rates: BTreeMap<(String, String), i128> = BTreeMap::new();
    for (_, project) in &splits {
        for (cause, picos) in &project.parts {
            *parts.entry(*cause).or_default() += picos;
        }
        for (key, picos) in &project.rates {
            *rates.entry(key.clone()).or_default() += picos;
        }
    }
    Split {
        parts,
        projects: splits.into_iter().map(|(name, project)| (name, project.parts)).collect(),
        carriers: carriers(before, now),
        rates: rate_changes(before, now, rates),
    }
}

fn merge(all: &mut Cells, cells: &Cells) {
    for (model, cell) in cells {
        let sum = all.entry(model.clone()).or_default();
        sum.calls += cell.calls;
        sum.failed += cell.failed;
        sum.fallen += cell.fallen;
        for (class, units) in &cell.classes {
            let one = sum.classes.entry(class.clone()).or_default();
            one.quantity += units.quantity;
            one.picos += units.picos;
            one.silent += units.silent;
            one.most = one.most.max(units.most);
        }
    }
}

fn wanted(cells: &Cells) -> i128 {
    cells.values().map(|cell| cell.calls).sum()
}

#[derive(Debug, Default)]
struct ProjectSplit {
    /// Calls that were wanted before and now.
    wanted: (i128, i128),
    parts: BTreeMap<Cause, i128>,
    /// What the rate of a model's meter made.
    rates: BTreeMap<(String, String), i128>,
}

impl ProjectSplit {
    fn add(&mut self, cause: Cause, picos: i128) {
        *self.parts.entry(cause).or_default() += picos;
    }
}

/// One model on both sides.
struct Pair<'a> {
    model: &'a str,
    before: &'a Cell,
    now: &'a Cell,
    /// Calls that ended well before and fail now; negative: the reverse.
    lost: i128,
    /// Calls that other models took over, times the calls that were wanted before; negative: that it took over.
    moved: i128,
}

impl Pair<'_> {
    fn is_known(&self) -> bool {
        self.before.calls > 0
    }

    /// A class's amount and units where it has a rate: before, else now.
    fn rate(&self, class: &Class) -> (i128, i128) {
        let units = [self.before.units(class), self.now.units(class)];
        units.into_iter().find(|units| units.quantity != 0).map_or((0, 1), |units| (units.picos, units.quantity))
    }

    /// What so many billionths of a unit cost.
    fn value(&self, class: &Class, billionths: i128) -> i128 {
        let (picos, quantity) = self.rate(class);
        divided(billionths, picos, quantity.saturating_mul(BILLION))
    }
}

/// Averages are kept in billionths of a unit.
const BILLION: i128 = 1_000_000_000;

/// As if every price was known; what is so is taken off again.
fn split_project(before: &Cells, now: &Cells) -> ProjectSplit {
    let (mut before, mut now) = (before.clone(), now.clone());
    let (worth_before, worth_now) = impute(&mut before, &mut now);
    let mut split = split_priced(&before, &now);
    let (wanted_before, wanted_now) = split.wanted;
    // At as many calls more, as many more of them have no known price.
    let again = if wanted_before == 0 { worth_before } else { divided(worth_before, wanted_now, wanted_before) };
    split.add(Cause::Calls, worth_before - again);
    split.add(Cause::Unknown, again - worth_now);
    split
}

fn split_priced(before: &Cells, now: &Cells) -> ProjectSplit {
    let mut split = ProjectSplit::default();
    let none = Cell::default();
    let sum = |cells: &Cells| cells.values().map(|cell| cell.picos() + cell.fallen).sum::<i128>();
    let (sum_before, sum_now) = (sum(before), sum(now));
    let models: BTreeSet<&String> = before.keys().chain(now.keys()).collect();
    let mut pairs: Vec<Pair<'_>> = models
        .into_iter()
        .map(|model| {
            let (before, now) = (before.get(model).unwrap_or(&none), now.get(model).unwrap_or(&none));
            Pair { model, before, now, lost: lost(before, now), moved: 0 }
        })
        .collect();
    let wanted_before = wanted(before);
    let wanted_now = pairs.iter().map(|pair| pair.now.calls + pair.lost).sum::<i128>();
    split.wanted = (wanted_before, wanted_now);
    let (failed_before, fallen_before) = attempts(before);
    let (failed_now, fallen_now) = attempts(now);
    if wanted_before == 0 {
        // Where no call ended well, as many attempts more are as many calls more.
        let again = if wanted(now) == 0 { divided(fallen_before, failed_now, failed_before) } else { fallen_before };
        let answers = sum_now - fallen_now;
        // The others failed before.
        let more = divided(answers, wanted_now, wanted(now));
        split.add(Cause::Failures, fallen_now - again + answers - more);
        split.add(Cause::Calls, more + again - fallen_before);
        return split;
    }
    for pair in &mut pairs {
        pair.moved = pair.before.calls * wanted_now - (pair.now.calls + pair.lost) * wanted_before;
    }
    split.add(Cause::Calls, divided(sum_before, wanted_now, wanted_before) - sum_before);
    split.add(Cause::Failures, fallen_now - divided(fallen_before, wanted_now, wanted_before));
    sizes(&pairs, wanted_before, wanted_now, &mut split);
    for pair in pairs.iter().filter(|pair| pair.is_known()) {
        rates(pair, &mut split);
    }
    let rest = sum_now - sum_before - split.parts.values().sum::<i128>();
    // No call went elsewhere: what is left is what rounding left, and no mix.
    let stayed = pairs.iter().all(|pair| pair.moved == 0);
    let largest = split.parts.iter().max_by_key(|(_, picos)| picos.unsigned_abs()).map(|(cause, _)| *cause);
    split.add(largest.filter(|_| stayed).unwrap_or(Cause::Mix), rest);
    split
}

/// The attempts that failed, and what they and those that stood in for them cost.
fn attempts(cells: &Cells) -> (i128, i128) {
    cells.values().fold((0, 0), |(failed, fallen), cell| (failed + cell.failed, fallen + cell.fallen))
}

/// Calls that failures took: as many ended well less as failed more; negative: the reverse.
fn lost(before: &Cell, now: &Cell) -> i128 {
    let (well, failed) = (now.calls - before.calls, now.failed - before.failed);
    if well < 0 && failed > 0 {
        failed.min(-well)
    } else if well > 0 && failed < 0 {
        failed.max(-well)
    } else {
        0
    }
}

/// Sizes, classes and what was lost to failures.
fn sizes(pairs: &[Pair<'_>], wanted_before: i128, wanted_now: i128, split: &mut ProjectSplit) {
    let classes: BTreeSet<&Class> =
        pairs.iter().flat_map(|pair| pair.before.classes.keys().chain(pair.now.classes.keys())).collect();
    let mut changed: Vec<BTreeMap<&Class, i128>> = pairs.iter().map(|_| BTreeMap::new()).collect();
    for class in classes {
        // What models lost and gained with calls that came and went, as far as it can be so, and what cannot.
        let (mut movable, mut certain) = (Vec::with_capacity(pairs.len()), Vec::with_capacity(pairs.len()));
        let (mut sum_before, mut sum_now) = (0, 0);
        for pair in pairs {
            let (before, now) = (pair.before.units(class), pair.now.units(class));
            sum_before += before.quantity * BILLION;
            sum_now += now.quantity * BILLION;
            if !pair.is_known() {
                // Of a model that only failed before, answers came back.
                let back = divided(now.quantity * BILLION, pair.lost, pair.now.calls);
                split.add(Cause::Failures, -pair.value(class, back));
                sum_now += back;
                movable.push(0);
                certain.push(0);
                continue;
            }
            let most = before.most.max(now.most);
            let each = |calls: i128| divided(calls * BILLION, before.quantity, pair.before.calls);
            let beyond = now.quantity * BILLION - each(pair.now.calls);
            // The calls that failures took had between none and the most of it.
            let (average, bound) = (each(pair.lost), pair.lost.saturating_mul(most).saturating_mul(BILLION));
            let untypical = beyond.clamp(average.min(average - bound), average.max(average - bound));
            split.add(Cause::Failures, -pair.value(class, average - untypical));
            sum_now += average - untypical;
            let bound = divided(pair.moved.abs() * BILLION, most, wanted_before);
            let moved = (beyond - untypical).clamp(-bound, bound);
            movable.push(moved);
            certain.push(beyond - untypical - moved);
        }
        let beyond = sum_now - divided(sum_before, wanted_now, wanted_before);
        let said = agreed(movable.iter().sum(), beyond - certain.iter().sum::<i128>());
        let sized = scaled(&movable, said);
        for ((changed, certain), sized) in changed.iter_mut().zip(certain).zip(sized) {
            changed.insert(class, certain + sized);
        }
    }
    for (pair, changed) in pairs.iter().zip(&changed) {
        let sizes: BTreeSet<&Size> = changed.keys().map(|class| &class.0).collect();
        for size in sizes {
            let of_size: Vec<(&Class, i128)> =
                changed.iter().filter(|(class, _)| class.0 == *size).map(|(class, units)| (*class, *units)).collect();
            let units: Vec<i128> = of_size.iter().map(|(_, units)| *units).collect();
            // Tokens that one class lost and another gained changed their class, not the length.
            let longer = scaled(&units, units.iter().sum());
            for ((class, units), longer) in of_size.iter().zip(longer) {
                split.add(size.cause(), pair.value(class, longer));
                split.add(size.cause_of_class(), pair.value(class, units - longer));
            }
        }
    }
}

/// The nearer to zero, where both have the same sign; else nothing.
fn agreed(one: i128, other: i128) -> i128 {
    match (one.signum(), other.signum()) {
        (1, 1) => one.min(other),
        (-1, -1) => one.max(other),
        _ => 0,
    }
}

/// `sum`, laid on the values of its sign by how large they are.
fn scaled(values: &[i128], sum: i128) -> Vec<i128> {
    let all: i128 = values.iter().filter(|value| value.signum() == sum.signum()).sum();
    let share = |value: i128| {
        if sum == 0 || value.signum() != sum.signum() { 0 } else { divided(value, sum, all) }
    };
    values.iter().map(|value| share(*value)).collect()
}

/// The units of now at the rates of now less those of before.
fn rates(pair: &Pair<'_>, split: &mut ProjectSplit) {
    for (class, now) in &pair.now.classes {
        let before = pair.before.units(class);
        if before.quantity == 0 || now.quantity == 0 {
            continue;
        }
        let picos = now.picos - divided(now.quantity, before.picos, before.quantity);
        split.add(Cause::Price, picos);
        *split.rates.entry((pair.model.to_owned(), class.1.clone())).or_default() += picos;
    }
}

/// What calls without a known price would cost at the rates that their model has elsewhere, before or now, else at those of
/// all models; it is added to the cells. Of both sides, how much it is.
fn impute(before: &mut Cells, now: &mut Cells) -> (i128, i128) {
    let mut rates: BTreeMap<(Option<String>, Class), (i128, i128)> = BTreeMap::new();
    for cells in [&*before, &*now] {
        let mut known: BTreeMap<(Option<String>, Class), (i128, i128)> = BTreeMap::new();
        for (model, cell) in cells {
            for (class, units) in cell.classes.iter().filter(|(_, units)| units.quantity != 0) {
                for model in [Some(model.clone()), None] {
                    let rate = known.entry((model, class.clone())).or_default();
                    *rate = (rate.0 + units.picos, rate.1 + units.quantity);
                }
            }
        }
        for (key, rate) in known {
            rates.entry(key).or_insert(rate);
        }
    }
    let fill = |cells: &mut Cells| {
        let mut sum = 0;
        for (model, cell) in cells {
            for (class, units) in cell.classes.iter_mut().filter(|(_, units)| units.silent != 0) {
                let of = |model: Option<&String>| rates.get(&(model.cloned(), class.clone()));
                let (picos, quantity) = of(Some(model)).or_else(|| of(None)).copied().unwrap_or_default();
                let worth = divided(units.silent, picos, quantity);
                sum += worth;
                units.picos += worth;
                units.quantity += std::mem::take(&mut units.silent);
            }
        }
        sum
    };
    (fill(before), fill(now))
}

fn carriers(before: &Side, now: &Side) -> Vec<(Carrier, Vec<Change>)> {
    let found: BTreeSet<&Carrier> = before.carried.keys().chain(now.carried.keys()).collect();
    found
        .into_iter()
        .map(|carrier| {
            let (before, now) = (before.carried(carrier), now.carried(carrier));
            let values: BTreeSet<&String> = before.keys().chain(now.keys()).collect();
            let of = |side: &BTreeMap<String, Carried>, value: &String| side.get(value).copied().unwrap_or_default();
            let mut changes: Vec<Change> = values
                .into_iter()
                .map(|value| Change { value: value.clone(), before: of(&before, value), now: of(&now, value) })
                .collect();
            changes.sort_by_key(|change| std::cmp::Reverse(change.picos().unsigned_abs()));
            (carrier.clone(), changes)
        })
        // A field that no call has tells nothing.
        .filter(|(_, changes)| changes.iter().any(|change| !change.value.is_empty()))
        .collect()
}

fn rate_changes(before: &Side, now: &Side, made: BTreeMap<(String, String), i128>) -> Vec<RateChange> {
    let rate = |side: &Side, model: &str, meter: &str| {
        let cells = side.projects.values().filter_map(|cells| cells.get(model));
        let units =
            cells.flat_map(|cell| &cell.classes).filter(|((size, name), _)| *size != Size::Charge && name == meter);
        let (quantity, picos) =
            units.fold((0, 0), |(quantity, picos), (_, units)| (quantity + units.quantity, picos + units.picos));
        (quantity > 0).then(|| divided(picos, 1_000_000, quantity))
    };
    let mut changes: Vec<RateChange> = made
        .into_iter()
        .filter_map(|((model, meter), picos)| {
            let (before, now) = (rate(before, &model, &meter)?, rate(now, &model, &meter)?);
            (before != now && picos != 0).then_some(RateChange { model, meter, before, now, picos })
        })
        .collect();
    changes.sort_by_key(|change| std::cmp::Reverse(change.picos.unsigned_abs()));
    changes
}

/// `one × two ÷ divisor`, exact until it is rounded half to even; of nothing nothing. Beyond what fits, the largest that does.
#[must_use]
pub fn divided(one: i128, two: i128, divisor: i128) -> i128 {
    if divisor == 0 {
        return 0;
    }
    let negative = (one < 0) ^ (two < 0) ^ (divisor < 0);
    let (high, low) = product(one.unsigned_abs(), two.unsigned_abs());
    let divisor = divisor.unsigned_abs();
    let (quotient, rest) = match high {
        0 => (low / divisor, low % divisor),
        _ if high >= divisor => (u128::MAX >> 1, 0),
        _ => long_division(high, low, divisor),
    };
    let up = match rest.cmp(&(divisor - rest)) {
        std::cmp::Ordering::Less => 0,
        std::cmp::Ordering::Equal => quotient & 1,
        std::cmp::Ordering::Greater => 1,
    };
    let rounded = i128::try_from(quotient.saturating_add(up)).unwrap_or(i128::MAX);
    if negative { -rounded } else { rounded }
}

/// The product of two numbers, its upper and its lower half.
fn product(one: u128, two: u128) -> (u128, u128) {
    const HALF: u128 = u64::MAX as u128;
    if let Some(small) = one.checked_mul(two) {
        return (0, small);
    }
    let (a, b, c, d) = (one >> 64, one & HALF, two >> 64, two & HALF);
    let middle = (b * d >> 64) + (a * d & HALF) + (b * c & HALF);
    (a * c + (a * d >> 64) + (b * c >> 64) + (middle >> 64), (middle << 64) | (b * d & HALF))
}

/// Quotient and rest of a number in two halves; `high` is less than the divisor, and that less than half of what fits.
fn long_division(high: u128, low: u128, divisor: u128) -> (u128, u128) {
    let (mut rest, mut quotient) = (high, 0_u128);
    for bit in (0..128).rev() {
        rest = (rest << 1) | (low >> bit & 1);
        quotient <<= 1;
        if rest >= divisor {
            rest -= divisor;
            quotient |= 1;
        }
    }
    (quotient, rest)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{
        Just, ProptestConfig, Strategy, TestCaseError, any, prop_assert, prop_assert_eq, prop_oneof, proptest,
    };

    use super::{Carrier, Cause, Side, Split, divided, split};
    use crate::domain::money::Usd;
    use crate::domain::record::{NewCall, Record, RecordLine, Settled, Settlement};

    /// A call as a person would write it down.
    #[derive(Debug, Clone)]
    struct Made {
        model: usize,
        project: usize,
        fresh: u64,
        read: u64,
        written: u64,
        answer: u64,
        thinking: u64,
        searches: u64,
        /// The provider's charge beyond the table.
        beyond: i64,
        failed: bool,
        unpriced: bool,
        /// A failed call that was billed.
        billed: bool,
        retry_of: Option<usize>,
    }

    /// Cents per million tokens: fresh, read, written, answered; and per thousand searches.
    type Rates = [[i64; 5]; 4];

    const RATES: Rates = [
        [300, 30, 375, 1_500, 1_000],
        [1_500, 150, 1_875, 7_500, 1_000],
        [25, 3, 25, 200, 500],
        [110, 110, 110, 440, 700],
    ];

    fn record(id: usize, made: &Made, rates: &Rates) -> Record {
        let rate = rates[made.model];
        let counted = [
            ("input", made.fresh, 1_000_000, rate[0]),
            ("cache_read", made.read, 1_000_000, rate[1]),
            ("cache_write", made.written, 1_000_000, rate[2]),
            ("output", made.answer + made.thinking, 1_000_000, rate[3]),
            ("web_search", made.searches, 1_000, rate[4]),
        ];
        let lines: Vec<RecordLine> = counted
            .into_iter()
            .filter(|(_, quantity, ..)| *quantity > 0)
            .map(|(meter, quantity, per, cents)| {
                let picos = i64::try_from(quantity).expect("small") * cents * (10_000_000_000 / i64::from(per));
                let amount = (!made.unpriced).then(|| Usd::from_picos(picos));
                RecordLine { meter: meter.into(), quantity, per, amount, ..RecordLine::default() }
            })
            .collect();
        let free = made.failed && !made.billed;
        let sum: i64 = lines.iter().filter_map(|line| line.amount).map(|amount| amount.picos).sum();
        let total = (!made.unpriced || free).then(|| if free { 0 } else { sum + made.beyond });
        let settlement = Settlement {
            basis: if free { "nothing" } else { "table" }.into(),
            total: total.map(Usd::from_picos),
            reasoning: Some(made.thinking),
            error_class: made.failed.then(|| "overloaded".into()),
            lines: if free { Vec::new() } else { lines },
            ..Settlement::default()
        };
        let call = NewCall {
            id: id.to_string(),
            provider: "p".into(),
            model: ["one", "two", "three", "four"][made.model].into(),
            project: made.project.checked_sub(1).map(|project| format!("project {project}")),
            tags: [("env".to_owned(), format!("{}", id % 2))].into(),
            retry_of: made.retry_of.map(|id| id.to_string()),
            ..NewCall::default()
        };
        let settled = Some(Settled { finished_ms: 1, settlement });
        Record { opened_ms: 0, call, settled, corrections: Vec::new(), said: None, source: None, requests: 1 }
    }

    fn side(calls: &[Made], rates: &Rates) -> Side {
        let mut side = Side::default();
        for (id, made) in calls.iter().enumerate() {
            side.add(&record(id, made, rates));
        }
        side
    }

    /// The split, which must add up in every way in which it is told.
    fn whole(before: &Side, now: &Side) -> Split {
        let split = split(before, now);
        let difference = now.sums.picos - before.sums.picos;
        assert_eq!(split.parts.values().sum::<i128>(), difference);
        assert_eq!(split.projects.iter().flat_map(|(_, parts)| parts.values()).sum::<i128>(), difference);
        for (carrier, changes) in &split.carriers {
            assert_eq!(changes.iter().map(super::Change::picos).sum::<i128>(), difference, "{carrier:?}");
            let calls = |of: fn(&super::Change) -> u64| changes.iter().map(of).sum::<u64>();
            assert_eq!(calls(|change| change.now.calls), now.sums.calls, "{carrier:?}");
            assert_eq!(calls(|change| change.before.calls), before.sums.calls, "{carrier:?}");
        }
        split
    }

    /// All of the difference has this cause; rounding may leave a few picodollars elsewhere.
    fn is_alone(before: &[Made], now: &[Made], rates: &Rates, cause: Cause) -> Result<i128, TestCaseError> {
        let split = whole(&side(before, &RATES), &side(now, rates));
        let others: i128 = split.parts.iter().filter(|(one, _)| **one != cause).map(|(_, picos)| picos.abs()).sum();
        // Half a picodollar for each rounding: of each class, model and project on both sides, and of thinking in each call.
        let dust = 200 + before.len() as i128 + now.len() as i128;
        if others > dust {
            return Err(TestCaseError::fail(format!("{others} beside {cause:?}: {:?}", split.parts)));
        }
        Ok(split.parts[&cause])
    }

    fn made() -> impl Strategy<Value = Made> {
        let size = || prop_oneof![Just(0_u64), 1_u64..200, 1_u64..40_000, 1_u64..900_000];
        let tokens = (1_u64..40_000, size(), size(), 1_u64..9_000, size());
        let kind = (0_usize..3, 0_usize..3, prop_oneof![9 => Just(0_u64), 1 => 1_u64..4], 0_u8..20, any::<bool>());
        (tokens, kind).prop_map(
            |((fresh, read, written, answer, thinking), (model, project, searches, end, billed))| {
                let failed = end == 0;
                Made {
                    model,
                    project,
                    fresh,
                    read,
                    written,
                    answer,
                    thinking,
                    searches,
                    beyond: if end == 1 { 7_000_003 } else { 0 },
                    failed,
                    unpriced: end == 2,
                    billed,
                    retry_of: None,
                }
            },
        )
    }

    fn calls() -> impl Strategy<Value = Vec<Made>> {
        proptest::collection::vec(made(), 1..60)
    }

    fn ends_well(made: &Made) -> bool {
        !made.failed && !made.unpriced
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn the_parts_of_any_change_add_up(before in calls(), now in calls(), factor in 1_i64..5) {
            let rates = RATES.map(|rates| rates.map(|rate| rate * factor));
            whole(&side(&before, &RATES), &side(&now, &rates));
            whole(&side(&[], &RATES), &side(&now, &rates));
            whole(&side(&before, &RATES), &side(&[], &rates));
        }

        #[test]
        fn as_many_calls_again_are_more_calls(before in calls(), times in 2_usize..6) {
            let now: Vec<Made> = before.iter().cycle().take(before.len() * times).cloned().collect();
            is_alone(&before, &now, &RATES, Cause::Calls)?;
            is_alone(&now, &before, &RATES, Cause::Calls)?;
        }

        #[test]
        fn the_same_calls_by_other_models_are_another_mix(
            before in calls(), to in 0_usize..4, which in any::<proptest::sample::Selector>(),
        ) {
            let mut now = before.clone();
            let chosen = which.select(0..before.len());
            for made in now.iter_mut().enumerate().filter(|(n, made)| ends_well(made) && n % 3 == chosen % 3).map(|(_, made)| made) {
                made.model = to;
            }
            is_alone(&before, &now, &RATES, Cause::Mix)?;
        }

        #[test]
        fn longer_prompts_and_answers_and_more_thinking_are_told_apart(
            before in calls(), part in 1_usize..4, more in 1_u64..90_000,
        ) {
            let change = |of: fn(&mut Made, u64)| {
                let mut now = before.clone();
                now.iter_mut().enumerate().filter(|(n, made)| n % part == 0 && ends_well(made)).for_each(|(_, made)| of(made, more));
                now
            };
            is_alone(&before, &change(|made, more| made.fresh += more), &RATES, Cause::Input)?;
            is_alone(&before, &change(|made, more| made.answer += more), &RATES, Cause::Output)?;
            is_alone(&before, &change(|made, _| made.answer = 1), &RATES, Cause::Output)?;
            is_alone(&before, &change(|made, _| made.searches += 2), &RATES, Cause::Fees)?;
            is_alone(&before, &change(|made, _| made.beyond += 5_000_000), &RATES, Cause::Charges)?;
            let longer = change(|made, more| {
                (made.fresh, made.read, made.written) = (made.fresh * more, made.read * more, made.written * more);
            });
            is_alone(&before, &longer, &RATES, Cause::Input)?;
            is_alone(&longer, &before, &RATES, Cause::Input)?;
            is_alone(&before, &change(|made, more| made.thinking += more), &RATES, Cause::Reasoning)?;
            is_alone(&before, &change(|made, _| made.thinking = 0), &RATES, Cause::Reasoning)?;
        }

        #[test]
        fn a_cache_that_is_switched_off_or_on_is_the_cause(before in calls()) {
            let mut off = before.clone();
            for made in &mut off {
                (made.fresh, made.read, made.written) = (made.fresh + made.read + made.written, 0, 0);
            }
            let ends_well: Vec<Made> = off.iter().filter(|made| ends_well(made)).cloned().collect();
            let with_cache: Vec<Made> = before.iter().filter(|made| super::tests::ends_well(made)).cloned().collect();
            is_alone(&with_cache, &ends_well, &RATES, Cause::Cache)?;
            is_alone(&ends_well, &with_cache, &RATES, Cause::Cache)?;
        }

        #[test]
        fn other_rates_are_a_price_change(before in calls(), factor in 2_i64..9) {
            let well: Vec<Made> = before.into_iter().filter(ends_well).collect();
            let rates = RATES.map(|rates| rates.map(|rate| rate * factor));
            let picos = is_alone(&well, &well, &rates, Cause::Price)?;
            let booked: i128 = side(&well, &RATES).sums.picos;
            let beyond: i128 = well.iter().map(|made| i128::from(made.beyond)).sum();
            prop_assert_eq!(picos, (booked - beyond) * (i128::from(factor) - 1));
        }

        #[test]
        fn failures_are_the_cause_of_what_they_cost_and_of_answers_that_did_not_come(
            before in calls(), every in 2_usize..5,
        ) {
            let fails = |n: usize| n % every == 0;
            // They fail and nothing is owed; the reverse brings the answers back.
            let mut free = before.clone();
            for (_, made) in free.iter_mut().enumerate().filter(|(n, made)| fails(*n) && ends_well(made)) {
                (made.failed, made.billed) = (true, false);
            }
            is_alone(&before, &free, &RATES, Cause::Failures)?;
            is_alone(&free, &before, &RATES, Cause::Failures)?;
            // Attempts that fail and are billed before the one that succeeds.
            let mut now = Vec::new();
            for (n, made) in before.iter().enumerate() {
                if fails(n) && ends_well(made) {
                    now.push(Made { failed: true, billed: true, ..made.clone() });
                    now.push(Made { retry_of: Some(now.len() - 1), ..made.clone() });
                } else {
                    now.push(made.clone());
                }
            }
            if before.iter().any(|made| !made.failed) {
                is_alone(&before, &now, &RATES, Cause::Failures)?;
                is_alone(&now, &before, &RATES, Cause::Failures)?;
            }
        }

        #[test]
        fn a_price_that_is_not_known_any_more_is_the_cause(before in calls(), every in 2_usize..5) {
            // One call of each model and project keeps its price.
            let first = |n: usize| !before[..n].iter().any(|one| {
                (one.model, one.project) == (before[n].model, before[n].project) && ends_well(one)
            });
            let priced: Vec<Made> = before.iter().cloned().map(|made| Made { beyond: 0, ..made }).collect();
            let mut now = priced.clone();
            for (n, made) in now.iter_mut().enumerate().filter(|(n, made)| n % every == 0 && !made.failed && !first(*n)) {
                made.unpriced = n % every == 0;
            }
            let kept = |made: &Made, meter: fn(&Made) -> u64| {
                now.iter().any(|one| ends_well(one) && one.model == made.model && one.project == made.project && meter(one) > 0)
            };
            let meters: [fn(&Made) -> u64; 4] = [|one| one.read, |one| one.written, |one| one.thinking, |one| one.searches];
            // A meter that no priced call of the model has has no rate to be counted at.
            if now.iter().all(|made| meters.iter().all(|meter| meter(made) == 0 || kept(made, *meter))) {
                is_alone(&priced, &now, &RATES, Cause::Unknown)?;
                is_alone(&now, &priced, &RATES, Cause::Unknown)?;
            }
        }

        #[test]
        fn a_model_that_stands_in_for_one_that_fails_is_no_other_mix(before in calls(), every in 2_usize..5) {
            let mut now = Vec::new();
            for (n, made) in before.iter().enumerate() {
                if n % every == 0 && ends_well(made) {
                    now.push(Made { failed: true, billed: false, ..made.clone() });
                    now.push(Made { model: 3, retry_of: Some(now.len() - 1), ..made.clone() });
                } else {
                    now.push(made.clone());
                }
            }
            is_alone(&before, &now, &RATES, Cause::Failures)?;
        }

        #[test]
        fn a_product_is_divided_exactly_however_large(one in any::<i64>(), two in any::<i64>(), divisor in 1_i64..) {
            let (large, factor) = (i128::from(one) << 60, 1_i128 << 60);
            let plain = divided(i128::from(one), i128::from(two), i128::from(divisor));
            prop_assert_eq!(divided(large, i128::from(two), i128::from(divisor) * factor), plain);
            prop_assert_eq!(divided(large, i128::from(two) << 60, i128::from(divisor) << 60), divided(large, i128::from(two), i128::from(divisor)));
            prop_assert!((plain * i128::from(divisor) - i128::from(one) * i128::from(two)).abs() * 2 <= i128::from(divisor));
        }
    }

    #[test]
    fn what_has_no_price_takes_the_place_of_what_has() {
        let made = Made {
            model: 0,
            project: 1,
            fresh: 1_000,
            read: 0,
            written: 0,
            answer: 100,
            thinking: 0,
            searches: 0,
            beyond: 0,
            failed: false,
            unpriced: false,
            billed: false,
            retry_of: None,
        };
        let before = vec![made.clone(); 10];
        let mut now = before.clone();
        now[..4].iter_mut().for_each(|made| made.unpriced = true);
        // 1,000 at $3 and 100 at $15 a million are $0.0045, four times.
        assert_eq!(is_alone(&before, &now, &RATES, Cause::Unknown).expect("alone"), -18_000_000_000);
        assert_eq!(is_alone(&now, &before, &RATES, Cause::Unknown).expect("alone"), 18_000_000_000);
    }

    #[test]
    fn a_project_that_calls_more_is_more_calls_however_dear_its_calls_are() {
        let made = |project, answer| Made {
            model: 1,
            project,
            fresh: 10,
            read: 0,
            written: 0,
            answer,
            thinking: 0,
            searches: 0,
            beyond: 0,
            failed: false,
            unpriced: false,
            billed: false,
            retry_of: None,
        };
        let before: Vec<Made> = (0..20).map(|n| made(n % 2 + 1, if n % 2 == 0 { 10 } else { 90_000 })).collect();
        let more = before.iter().filter(|made| made.project == 2).cloned();
        let now: Vec<Made> = before.iter().cloned().chain(more).collect();
        is_alone(&before, &now, &RATES, Cause::Calls).expect("more calls alone");
        let split = whole(&side(&before, &RATES), &side(&now, &RATES));
        let (carrier, changes) = &split.carriers[0];
        assert_eq!((carrier, changes[0].value.as_str()), (&Carrier::Project, "project 1"));
        // A project under another name is the same calls, and one that is new is more of them.
        let renamed: Vec<Made> = before.iter().map(|made| Made { project: made.project + 2, ..made.clone() }).collect();
        is_alone(&before, &renamed, &RATES, Cause::Calls).expect("nothing changed");
        let grown: Vec<Made> = before.iter().cloned().chain(vec![made(9, 5)]).collect();
        is_alone(&before, &grown, &RATES, Cause::Calls).expect("a new project's calls");
    }
}
