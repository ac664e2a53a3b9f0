//! The report of `llmx usage` itself: what was spent in a period, in groups.

use clap::{Args, ValueEnum};
use serde_json::json;

use super::asked::AskedArgs;
use crate::command::GlobalArgs;
use crate::command::desk::{config, now_ms};
use crate::command::logs::{opened, print};
use crate::domain::budget::{Budget, Scope};
use crate::domain::failure::{ErrorClass, Failure};
use crate::domain::spend::currency::Currency;
use crate::domain::spend::filter::{Clause, Filter, TextField};
use crate::domain::spend::period::Period;
use crate::domain::spend::report::{self, Before, Frame, Month, Monthly, Order, Report};
use crate::domain::spend::{Dimension, Question, Spend, Tally};
use crate::domain::window::Window;
use crate::ledger::Ledger;

#[derive(Debug, Clone, Args)]
pub struct ReportArgs {
    #[command(flatten)]
    asked: AskedArgs,
    /// What to group by, one or two: day, model, project, tag:KEY, …
    #[arg(short, long, value_name = "DIMENSION[,SECOND]", default_value = "day")]
    by: String,
    /// The most groups; the others are summed in one row
    #[arg(short, long, value_name = "TOP", value_parser = clap::value_parser!(u32).range(1..))]
    number: Option<u32>,
    /// The order of the rows (of times: time, of others: cost)
    #[arg(long, value_enum, value_name = "WHAT")]
    sort: Option<SortArg>,
    /// Say beside each group what it came to in the period before, or in the same days of the month before
    #[arg(long, value_enum, value_name = "WITH")]
    compare: Option<CompareArg>,
    /// Show amounts in another currency, at a rate per US dollar: EUR@0.92
    #[arg(long, value_name = "CODE@RATE", value_parser = Currency::parse)]
    currency: Option<Currency>,
    #[command(flatten)]
    global: GlobalArgs,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum SortArg {
    Cost,
    Name,
    Calls,
    Tokens,
    Time,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum CompareArg {
    Prev,
    SameLastMonth,
}

/// # Errors
/// `config` for a flag that cannot be, `ledger` where the books cannot be read.
pub fn run(args: &ReportArgs) -> Result<u8, Failure> {
    let asked = Asked::of(args)?;
    let report = asked.report(&mut opened(&args.global)?, config(&args.global)?.budgets)?;
    print(&format!("{}\n", json!({"calls": report.total.calls, "picos": report.total.picos.to_string()})), &args.global)
}

/// What a report is to be about, read from the flags.
struct Asked {
    question: Question,
    filter: String,
    compare: Option<CompareArg>,
    order: Option<Order>,
    top: Option<usize>,
    currency: Currency,
}

impl Asked {
    fn of(args: &ReportArgs) -> Result<Asked, Failure> {
        let by = dimensions(&args.by)?;
        let order = args.sort.map(|sort| match sort {
            SortArg::Cost => Order::Cost,
            SortArg::Name => Order::Name,
            SortArg::Calls => Order::Calls,
            SortArg::Tokens => Order::Tokens,
            SortArg::Time => Order::Time,
        });
        if order == Some(Order::Time) && !by.iter().any(Dimension::is_time) {
            let said = format!("--sort time: {} has no time", args.by);
            return Err(Failure::new(ErrorClass::Config, said).advise("group by hour, day, week or month"));
        }
        Ok(Asked {
            question: args.asked.question("7d", &by)?,
            filter: args.asked.filter.clone().unwrap_or_default().trim().to_owned(),
            compare: args.compare,
            order,
            top: args.number.and_then(|top| usize::try_from(top).ok()),
            currency: args.currency.clone().unwrap_or_default(),
        })
    }

    /// Asks the books. All sums are from the same state of them.
    fn report(&self, books: &mut Ledger, mut budgets: Vec<Budget>) -> Result<Report, Failure> {
        let now_ms = now_ms();
        let Question { period, by, filter } = &self.question;
        let ask = |period: &Period, by: &[Dimension]| Question {
            period: period.clone(),
            by: by.to_vec(),
            filter: filter.clone(),
        };
        let earlier = match self.compare {
            None | Some(CompareArg::Prev) => period.previous(),
            Some(CompareArg::SameLastMonth) => period.month_before(),
        };
        let today = period.zone.date(now_ms);
        let month = today
            .filter(|today| (period.first..period.after).contains(today))
            .and_then(|today| Period::month(today, &period.zone));

        // The places of the dimensions among those of the sums by day and model, where these can tell.
        let daily = [Dimension::Day, Dimension::Model];
        let places: Option<Vec<usize>> = by.iter().map(|one| daily.iter().position(|other| one == other)).collect();
        let mut questions = vec![ask(period, &daily)];
        let mut put = |question: Option<Question>| {
            question.map(|question| {
                questions.push(question);
                questions.len() - 1
            })
        };
        let grouped = put(places.is_none().then(|| ask(period, by)));
        let compared = if self.compare.is_some() { by.get(..1).unwrap_or_default() } else { &[] };
        let before = put(earlier.as_ref().map(|earlier| ask(earlier, compared)));
        let monthly = put(month.as_ref().map(|month| ask(month, &[])));
        let answers = books.spends(&questions)?;
        let answer = |place: Option<usize>| place.and_then(|place| answers.get(place));

        let Spend { groups: days, total } = answers.first().cloned().unwrap_or_default();
        let groups = match (answer(grouped), &places) {
            (Some(spend), _) => spend.groups.clone(),
            (None, Some(places)) => report::regrouped(&days, places),
            (None, None) => Vec::new(),
        };
        let before_groups = answer(before).filter(|_| self.compare.is_some()).map(|spend| spend.groups.as_slice());
        let frame = Frame { period, now_ms, fills: true, before: before_groups };
        let by_model = report::regrouped(&days, &[1]);
        let own = Frame { before: before_groups.filter(|_| by.first() == Some(&Dimension::Model)), ..frame };
        budgets.extend(books.budgets()?);
        Ok(Report {
            made_ms: now_ms,
            period: period.clone(),
            filter: self.filter.clone(),
            by: by.clone(),
            rows: report::rows(&groups, by, &frame, self.order, self.top),
            total,
            models: report::rows(&by_model, &[Dimension::Model], &own, None, self.top),
            days,
            imported: self.imported(books)?,
            before: earlier.zip(answer(before)).map(|(period, spend)| Before {
                period,
                total: spend.total,
                asked: self.compare.is_some(),
            }),
            month: month
                .zip(answer(monthly))
                .map(|(period, spend)| Month::of(period, spend.total, now_ms, budget(&budgets, filter))),
            currency: self.currency.clone(),
            known: books.opened_between()?,
        })
    }

    fn imported(&self, books: &Ledger) -> Result<Tally, Failure> {
        Ok(books.imported(&Question { by: Vec::new(), ..self.question.clone() })?)
    }
}

/// One or two dimensions.
fn dimensions(text: &str) -> Result<Vec<Dimension>, Failure> {
    let names: Vec<String> = Dimension::NAMED.iter().map(ToString::to_string).chain(["tag:KEY".to_owned()]).collect();
    let list = format!("the dimensions are {}", names.join(", "));
    let wrong = |said: String, advice: String| Failure::new(ErrorClass::Config, format!("--by {said}")).advise(advice);
    let mut by: Vec<Dimension> = Vec::new();
    for name in text.split(',').map(str::trim) {
        let Some(dimension) = Dimension::parse(name) else {
            let nearest = names.iter().min_by_key(|known| strsim::damerau_levenshtein(known, &name.to_lowercase()));
            let near = nearest
                .filter(|known| strsim::damerau_levenshtein(known, &name.to_lowercase()) <= name.len().div_ceil(3));
            let meant = near.map(|known| format!("did you mean {known}? ")).unwrap_or_default();
            return Err(wrong(format!("{text}: nothing is grouped by \"{name}\""), format!("{meant}{list}")));
        };
        if by.contains(&dimension) {
            return Err(wrong(format!("{text}: {name} twice"), "name two different ones".to_owned()));
        }
        by.push(dimension);
    }
    if by.len() > 2 {
        return Err(wrong(format!("{text}: at most two"), "filter by the others: --where project=pay".to_owned()));
    }
    Ok(by)
}

/// The tightest budget by calendar month over exactly the calls that a filter lets through.
fn budget(budgets: &[Budget], filter: &Filter) -> Option<Monthly> {
    let scope = scope(filter)?;
    let fits = |budget: &&Budget| budget.account.window == Window::Month { anchor: 1 } && budget.account.scope == scope;
    let tightest = budgets.iter().filter(fits).min_by_key(|budget| budget.limit)?;
    Some(Monthly { name: tightest.name.clone(), limit: tightest.limit, zone: tightest.account.zone.clone() })
}

/// A filter as the scope of a budget; `None`: no budget can say the same.
fn scope(filter: &Filter) -> Option<Scope> {
    let mut scope = Scope::default();
    for clause in &filter.clauses {
        let Clause::Text { field, part: false, not: false, values } = clause else { return None };
        let [value] = values.as_slice() else { return None };
        let taken = match field {
            TextField::Project => scope.project.replace(value.clone()),
            TextField::User => scope.user.replace(value.clone()),
            TextField::Team => scope.team.replace(value.clone()),
            TextField::Provider => scope.provider.replace(value.clone()),
            TextField::Model => scope.model.replace(value.clone()),
            TextField::Session => scope.session.replace(value.clone()),
            TextField::Tag(key) => scope.tags.insert(key.clone(), value.clone()),
            _ => return None,
        };
        if taken.is_some() {
            return None;
        }
    }
    Some(scope)
}
