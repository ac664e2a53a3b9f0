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

mod side;

use std::collections::{BTreeMap, BTreeSet};

use super::ratio::divided;
pub use side::{Carried, Carrier, Side, Sums};
use side::{Cell, Cells, Class, Size};

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

#[cfg(test)]
mod tests;
