//! From rows to the books: each gets its price and is booked once, some thousand in one transaction.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::{Path, PathBuf};

use serde_json::json;

use super::report::{Counts, Problem, Report};
use super::row::{Booked, Found, Kind, Row};
use crate::command::labels::{found, git_root};
use crate::domain::bill::{Basis, Bill, Outcome};
use crate::domain::failure::Failure;
use crate::domain::model::ModelName;
use crate::domain::money::Usd;
use crate::domain::record::{NewCall, Settlement};
use crate::domain::report::CallReport;
use crate::domain::usage::{Charge, Meter};
use crate::ledger::{ALL_MODELS, Elsewhere, Fate, Ledger, Sum, ToImport, reading};
use crate::pricing::{Called, Moment, Prices, bill};

/// So many rows are booked in one transaction: others wait for about as long as they take, some ten milliseconds.
const BATCH: usize = 2_000;

/// A call whose log does not say that it has ended may still grow for so long.
const GROWS_MS: i64 = 600_000;

/// So many broken lines are shown; all are counted.
const PROBLEMS_MAX: usize = 10;

/// Longest reason that is shown, in characters: it may repeat what stands in the file.
const WHY_MAX: usize = 200;

/// What a row without a name of its provider is booked under, and one without a model.
const UNKNOWN: &str = "unknown";

/// First parties, asked in this order for a model whose provider the source does not say.
const FIRST_PARTIES: [&str; 10] =
    ["openai", "anthropic", "gemini", "mistral", "deepseek", "xai", "cohere", "moonshot", "zai", "perplexity"];

/// How rows are booked.
#[derive(Debug, Clone, Copy)]
pub struct How {
    pub now_ms: i64,
    pub dry: bool,
    /// Also sums over calls that stand in the books, and calls within sums that do.
    pub overlaps: bool,
}

/// Takes what readers find.
#[derive(Debug)]
pub struct Booker<'a> {
    books: &'a mut Ledger,
    prices: &'a Prices,
    elsewhere: Elsewhere,
    how: How,
    batch: Vec<ToImport>,
    /// The keys of sums in the batch.
    pending: HashSet<String>,
    /// How often a sum's key came in the file that is read.
    met: HashMap<String, u32>,
    projects: HashMap<String, Option<String>>,
    providers: HashMap<String, Option<&'static str>>,
    report: Report,
}

impl<'a> Booker<'a> {
    /// # Errors
    /// `ledger` where the books cannot be read.
    pub fn new(books: &'a mut Ledger, prices: &'a Prices, how: How) -> Result<Self, Failure> {
        let elsewhere = books.elsewhere()?;
        Ok(Booker {
            books,
            prices,
            elsewhere,
            how,
            batch: Vec::with_capacity(BATCH),
            pending: HashSet::new(),
            met: HashMap::new(),
            projects: HashMap::new(),
            providers: HashMap::new(),
            report: Report { dry: how.dry, ..Report::default() },
        })
    }

    /// A file begins.
    pub fn begin(&mut self, source: &'static str) {
        self.met.clear();
        self.report.sources.entry(source).or_default().files += 1;
    }

    /// # Errors
    /// `ledger` where the books cannot be written.
    pub fn take(&mut self, path: &Path, source: &'static str, found: Found) -> Result<(), Failure> {
        match found {
            Found::Broken(at, why) => {
                self.counts(source).broken += 1;
                if self.report.problems.len() < PROBLEMS_MAX {
                    let why = why.chars().take(WHY_MAX).collect();
                    self.report.problems.push(Problem { file: path.to_owned(), at, why });
                }
                Ok(())
            }
            Found::Row(row) => self.row(*row),
            Found::Booked(booked) => self.booked(*booked),
        }
    }

    /// Books what is left.
    ///
    /// # Errors
    /// `ledger` where the books cannot be written.
    pub fn end(mut self) -> Result<Report, Failure> {
        self.flush()?;
        Ok(self.report)
    }

    fn counts(&mut self, source: &'static str) -> &mut Counts {
        self.report.sources.entry(source).or_default()
    }

    fn row(&mut self, row: Row) -> Result<(), Failure> {
        self.counts(row.source).read += 1;
        if row.opened_ms > self.how.now_ms {
            self.counts(row.source).future += 1;
            return Ok(());
        }
        if row.growing && self.how.now_ms - row.opened_ms < GROWS_MS {
            self.counts(row.source).growing += 1;
            return Ok(());
        }
        match row.kind {
            Kind::Call => self.push(row),
            Kind::Usage | Kind::Cost => self.sum(row),
        }
    }

    /// A call of other books: it may have been open when it was read before, and corrected since.
    fn booked(&mut self, Booked { call, open, corrected }: Booked) -> Result<(), Failure> {
        self.counts(call.source).read += 1;
        if call.opened_ms > self.how.now_ms {
            self.counts(call.source).future += 1;
            return Ok(());
        }
        if open {
            self.counts(call.source).growing += 1;
            return Ok(());
        }
        if let (true, Some(now)) = (corrected, call.settlement.total)
            && let Some(before) = self.books.imported_sum(call.source, &call.key)?
        {
            return self.stated(call.source, &call.key, before.total, now);
        }
        self.add(call)
    }

    /// An amount that may not be the one that is booked.
    fn stated(&mut self, source: &'static str, key: &str, before: Option<Usd>, now: Usd) -> Result<(), Failure> {
        if before == Some(now) {
            self.counts(source).there += 1;
            return Ok(());
        }
        if !self.how.dry {
            self.books.restate_imported(source, key, now, self.how.now_ms)?;
        }
        let counts = self.counts(source);
        counts.restated += 1;
        counts.picos += i128::from(now.picos) - before.map_or(0, |before| i128::from(before.picos));
        Ok(())
    }

    /// A sum may have been read before, when it was smaller: what it has grown by is booked beside it.
    fn sum(&mut self, mut row: Row) -> Result<(), Failure> {
        let times = self.met.entry(row.key.clone()).or_default();
        *times += 1;
        if *times > 1 {
            row.key = format!("{}#{times}", row.key);
        }
        if self.pending.contains(&row.key) {
            self.flush()?;
        }
        let Some(before) = self.books.imported_sum(row.source, &row.key)? else {
            self.pending.insert(row.key.clone());
            return self.push(row);
        };
        if row.kind == Kind::Cost {
            let now = row.usage.charge.as_ref().map(|charge| charge.usd).unwrap_or_default();
            return self.stated(row.source, &row.key, before.total, now);
        }
        match growth(&row, &before.quantities) {
            Growth::None => self.counts(row.source).there += 1,
            Growth::Shrunk => self.counts(row.source).shrunk += 1,
            Growth::By(quantities) => {
                row.key = reading(&row.key, before.readings);
                row.requests = row.requests.saturating_sub(before.requests).max(1);
                row.usage.reasoning = row.usage.reasoning.map(|all| all.saturating_sub(before.reasoning));
                row.usage.quantities = quantities;
                row.notes.push("what a sum has grown by since it was read before".into());
                self.counts(row.source).grown += 1;
                self.pending.insert(row.key.clone());
                return self.push(row);
            }
        }
        Ok(())
    }

    fn push(&mut self, row: Row) -> Result<(), Failure> {
        let row = self.priced(row);
        self.add(row)
    }

    fn add(&mut self, row: ToImport) -> Result<(), Failure> {
        self.batch.push(row);
        if self.batch.len() >= BATCH { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> Result<(), Failure> {
        let rows = std::mem::replace(&mut self.batch, Vec::with_capacity(BATCH));
        self.pending.clear();
        let fates = self.books.import(&rows, &mut self.elsewhere, self.how.overlaps, self.how.dry)?;
        for (row, fate) in rows.iter().zip(fates) {
            let counts = self.counts(row.source);
            match fate {
                Fate::There => counts.there += 1,
                Fate::Own => counts.own += 1,
                Fate::Overlaps => counts.overlaps += 1,
                Fate::New => {
                    counts.new += 1;
                    counts.requests = counts.requests.saturating_add(row.requests);
                    match row.settlement.total {
                        Some(total) => counts.picos += i128::from(total.picos),
                        None => {
                            counts.unpriced += 1;
                            let name = format!("{}/{}", row.call.provider, row.call.model);
                            *self.report.unpriced.entry(name).or_default() += 1;
                        }
                    }
                }
            }
        }
        Ok(())
    }

    /// The row as the books hold it.
    fn priced(&mut self, row: Row) -> ToImport {
        let provider = row.provider.clone().or_else(|| self.first_party(&row.model).map(str::to_owned));
        let project = row.project.clone().or_else(|| self.project(row.folder.as_deref()));
        let model = match (row.model.as_str(), row.kind) {
            ("", Kind::Call) => UNKNOWN.to_owned(),
            ("", Kind::Usage | Kind::Cost) => ALL_MODELS.to_owned(),
            (model, _) => model.to_owned(),
        };
        let name =
            ModelName { provider: provider.unwrap_or_else(|| UNKNOWN.to_owned()), region: row.region.clone(), model };
        let finished_ms = row.finished_ms.unwrap_or(row.opened_ms).max(row.opened_ms);
        let settlement = self.settlement(&row, &name);
        let sum = sum(&row, &name, finished_ms);
        let long = row.usage.attributes.contains_key("prompt_total");
        let parameters = sum.as_ref().map_or_else(
            || json!({}),
            |sum| json!({"sum": {"model": sum.model, "shape": sum.shape, "long": long, "until_ms": finished_ms}}),
        );
        let clean = |text: Option<String>| text.and_then(|text| found(&text));
        let call = NewCall {
            id: id(row.opened_ms),
            command: "import".into(),
            provider: name.provider,
            region: name.region,
            model: name.model,
            tier: row.usage.service_tier.clone(),
            project: clean(project),
            user: clean(row.user),
            team: clean(row.team),
            session: clean(row.session),
            tags: row.tags,
            parameters,
            ..NewCall::default()
        };
        ToImport {
            source: row.source,
            key: row.key,
            opened_ms: row.opened_ms,
            finished_ms,
            requests: row.requests.max(1),
            sum,
            call,
            settlement,
        }
    }

    fn settlement(&self, row: &Row, name: &ModelName) -> Settlement {
        let counted = row.usage.quantities.values().any(|count| *count > 0);
        let outcome = if row.error.is_some() && !counted && !is_charged(row.usage.charge.as_ref()) {
            Outcome::NeverSent
        } else {
            let mut usage = row.usage.clone();
            if row.kind == Kind::Usage {
                // Which of its calls were long is not known, unless the reader says so.
                usage.attributes.entry("prompt_total".into()).or_insert_with(|| "summed".into());
            }
            Outcome::Reported(usage)
        };
        let mut bill = match row.kind {
            Kind::Cost => bill(&outcome, false),
            Kind::Call | Kind::Usage => self.prices.bill(
                &Called {
                    name,
                    served: row.model_served.as_deref(),
                    at: Moment::from_ms(row.opened_ms),
                    context: &BTreeMap::new(),
                    quote: None,
                    request_bytes: None,
                    answer_bytes: 0,
                    simulated: false,
                },
                &outcome,
            ),
        };
        if bill.basis == Basis::Unpriced {
            // Some of its meters may have a price: the counts of all are kept.
            bill.lines.clear();
        }
        said_by_the_source(&mut bill, row.source);
        bill.notes.extend(row.notes.iter().cloned());
        let mut report = CallReport::of(name.clone(), outcome, bill);
        report.request_id.clone_from(&row.request_id);
        report.failure.clone_from(&row.error);
        let mut settlement = Settlement::of(&report, false);
        settlement.response_id.clone_from(&row.response_id);
        settlement.model_served.clone_from(&row.model_served);
        settlement.usage_source = settlement.usage_source.map(|_| "imported".to_owned());
        settlement
    }

    /// The name of the git root in which the tool ran; of a folder that is not here any more, its own name.
    fn project(&mut self, folder: Option<&str>) -> Option<String> {
        let folder = folder?;
        let known = self.projects.entry(folder.to_owned());
        known
            .or_insert_with(|| {
                let path = PathBuf::from(folder);
                let last = || folder.rsplit(['/', '\\']).find(|part| !part.is_empty()).and_then(found);
                git_root(&path).filter(|_| path.is_absolute()).or_else(last)
            })
            .clone()
    }

    /// Who makes the model, where a table of prices knows it by exactly this name.
    fn first_party(&mut self, model: &str) -> Option<&'static str> {
        if let Some(known) = self.providers.get(model) {
            return *known;
        }
        let makes = |provider: &&str| {
            let name = ModelName { provider: (*provider).to_owned(), region: None, model: model.to_owned() };
            self.prices.find(&name).is_ok()
        };
        let found = FIRST_PARTIES.into_iter().find(|provider| !model.is_empty() && makes(provider));
        self.providers.insert(model.to_owned(), found);
        found
    }
}

/// What a row adds up, where it does. Money is of all models: how a bill names one is its own affair.
fn sum(row: &Row, name: &ModelName, finished_ms: i64) -> Option<Sum> {
    let model = match row.kind {
        Kind::Call => return None,
        Kind::Usage => name.model.clone(),
        Kind::Cost => ALL_MODELS.to_owned(),
    };
    let cut = if name.model == ALL_MODELS { "whole" } else { "by model" };
    Some(Sum { model, shape: format!("{} s {cut} {}", (finished_ms - row.opened_ms) / 1000, row.cut) })
}

fn is_charged(charge: Option<&Charge>) -> bool {
    charge.is_some_and(|charge| charge.usd != Usd::default())
}

enum Growth {
    None,
    By(BTreeMap<Meter, u64>),
    Shrunk,
}

/// What a sum has grown by.
fn growth(row: &Row, before: &BTreeMap<String, u64>) -> Growth {
    let booked = |meter: Meter| before.get(meter.key()).copied().unwrap_or_default();
    let now = |meter: Meter| row.usage.get(meter).unwrap_or_default();
    if Meter::ALL.into_iter().any(|meter| now(meter) < booked(meter)) {
        return Growth::Shrunk;
    }
    let grown = Meter::ALL.into_iter().map(|meter| (meter, now(meter) - booked(meter)));
    let grown: BTreeMap<Meter, u64> = grown.filter(|(_, quantity)| *quantity > 0).collect();
    if grown.is_empty() { Growth::None } else { Growth::By(grown) }
}

/// An amount that stands in a log is not one of the response's.
fn said_by_the_source(bill: &mut Bill, source: &str) {
    for note in &mut bill.notes {
        if let Some(rest) = note.strip_prefix("the response states ") {
            *note = format!("{source} states {rest}");
        }
    }
}

/// A UUID that sorts by the time of the call.
fn id(opened_ms: i64) -> String {
    let ms = u64::try_from(opened_ms).unwrap_or_default();
    let nanos = u32::try_from(ms % 1000).unwrap_or_default() * 1_000_000;
    uuid::Uuid::new_v7(uuid::Timestamp::from_unix(uuid::NoContext, ms / 1000, nanos)).to_string()
}

#[cfg(test)]
mod tests {
    use super::{Growth, growth};
    use crate::command::usage::import::row::Row;
    use crate::domain::usage::{Meter, Usage};

    #[test]
    fn a_sum_grows_meter_by_meter_and_never_shrinks() {
        let mut usage = Usage::default();
        usage.set(Meter::Input, 10);
        usage.set(Meter::Output, 5);
        let row = Row { usage, ..Row::default() };
        let booked = |input: u64, output: u64| [("input".to_owned(), input), ("output".to_owned(), output)].into();
        assert!(matches!(growth(&row, &booked(10, 5)), Growth::None));
        assert!(matches!(growth(&row, &booked(11, 5)), Growth::Shrunk));
        let Growth::By(grown) = growth(&row, &booked(10, 2)) else { panic!("it grew") };
        assert_eq!(grown, [(Meter::Output, 3)].into());
    }
}
