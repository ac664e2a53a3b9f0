//! The report of `llmx usage` itself: what was spent in a period, in groups.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};

use super::absent::absent;
use super::asked::AskedArgs;
use super::face::{self, Face};
use super::{page, sums, watch};
use crate::command::args::usd;
use crate::command::desk::config;
use crate::command::logs::{note, opened};
use crate::command::outside::{env, now_ms};
use crate::command::{GlobalArgs, colour, written};
use crate::domain::budget::{Budget, Scope};
use crate::domain::failure::{ErrorClass, Failure};
use crate::domain::money::Usd;
use crate::domain::report::Stop;
use crate::domain::spend::currency::Currency;
use crate::domain::spend::filter::{Clause, Filter, TextField};
use crate::domain::spend::period::Period;
use crate::domain::spend::report::{self, Before, Frame, Month, Monthly, Order, Report};
use crate::domain::spend::{Dimension, Question, Spend, Tally};
use crate::domain::window::Window;
use crate::ledger::Ledger;
use crate::render::terminal::{Terminal, Written};
use crate::render::usage::View;

/// What `usage --help` says after the options.
pub const AFTER_HELP: &str = "\
Examples:
  llmx usage                                   the last seven days, by day
  llmx usage month --by model                  this month, the dearest model first
  llmx usage 2026-10 --by project,model -n 5   who spent it, and on what
  llmx usage 7d --by model,day                 each model with its course over the days
  llmx usage --where 'project=pay cost>0.1'    only calls that fit
  llmx usage last-month --compare prev         beside each group what it came to before
  llmx usage month -o spend.csv                a file; also .json, .md
  llmx usage today --fail-over 20 -q           for scripts: exit 10 above $20

Exit codes:
  0 ok, also where there is nothing to report
  2 wrong usage: a period, a filter or a dimension that is none
  10 --fail-over is passed, or --unpriced fail found a call without an amount
  1 other failures; 130, 143 signals; 141 the reader went away";

#[derive(Debug, Clone, Args)]
pub struct ReportArgs {
    #[command(flatten)]
    pub asked: AskedArgs,
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
    /// How to show it (else what -o ends with, else a table)
    #[arg(long, value_enum, value_name = "FORMAT", conflicts_with = "json")]
    format: Option<Face>,
    /// Show how the sum was made: every line as quantity × rate; of one call or group with its ID
    #[arg(long, value_name = "CALL|GROUP", num_args = 0..=1, require_equals = true, default_missing_value = "",
        conflicts_with_all = ["number", "sort", "compare", "currency", "format", "output", "watch", "fail_over"])]
    explain: Option<String>,
    /// Print JSON
    #[arg(short, long)]
    json: bool,
    /// Write to a file whose ending says the format: .csv, .md, .json, .html, .parquet, .txt
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Exit with 10 when the sum, or the most that it can be, is above an amount in USD
    #[arg(long, value_name = "USD", value_parser = usd)]
    fail_over: Option<Usd>,
    /// What calls without a known amount do: they are counted beside the sums, or also exit with 10
    #[arg(long, value_enum, value_name = "WHAT", default_value = "show")]
    unpriced: UnpricedArg,
    /// Draw it anew every few seconds, until q or Ctrl-C
    #[arg(long, value_name = "SECONDS", num_args = 0..=1, require_equals = true, default_missing_value = "2",
        value_parser = clap::value_parser!(u64).range(1..=86400), conflicts_with_all = ["json", "output"])]
    watch: Option<u64>,
    #[command(flatten)]
    global: GlobalArgs,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum UnpricedArg {
    Show,
    Fail,
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

/// What `--fail-over` and `--unpriced fail` end with.
const FAILED: u8 = 10;

/// # Errors
/// `config` for a flag that cannot be, `ledger` where the books cannot be read.
pub fn run(args: &ReportArgs) -> Result<u8, Failure> {
    if let Some(which) = &args.explain {
        return sums::run(&args.asked, which, args.json, &args.global);
    }
    let asked = Asked::of(args)?;
    let face = face(args)?;
    let mut terminal = Terminal::new(colour(args.global.color), args.global.quiet, env);
    if args.watch.is_some() && (face != Face::Table || !terminal.out.terminal || terminal.out.dumb) {
        let said = "--watch draws a table on a terminal, and standard output is none that can be drawn on";
        return Err(
            Failure::new(ErrorClass::Config, said).advise("leave --watch out: a file or a pipe gets one report")
        );
    }
    let budgets = config(&args.global)?.budgets;
    let mut books = opened(&args.global)?;
    if let Some(seconds) = args.watch {
        return watch::watch(&mut terminal, Duration::from_secs(seconds), || asked.report(&mut books, &budgets));
    }
    let report = asked.report(&mut books, &budgets)?;
    let view = View { screen: terminal.out, drawn: args.format == Some(Face::Table) };
    let view = if args.output.is_some() { View { screen: face::FILE, drawn: true } } else { view };
    let bytes = face::bytes(face, &report, &view, |report| page::page(&mut books, &asked.question, report))?;
    let shown = match &args.output {
        Some(path) => {
            written::write_bytes(path, &bytes)?;
            note(&format!("{} written", path.display()), &args.global);
            0
        }
        None => match face::show(&mut terminal, face, &bytes)? {
            Written::All => 0,
            Written::Closed => Stop::ClosedPipe.exit_code(),
        },
    };
    let failures = failures(args, &report);
    for failure in &failures {
        let _ = terminal.note(&format!("llmx: {failure}\n"));
    }
    Ok(if failures.is_empty() { shown } else { FAILED })
}

/// The format: that which is named, else the ending of the file's name.
fn face(args: &ReportArgs) -> Result<Face, Failure> {
    let of_file = args.output.as_ref().map(|path| {
        written::check(path)?;
        args.format.or_else(|| Face::of(path)).ok_or_else(|| {
            let said = format!("-o {}: its ending says no format", path.display());
            Failure::new(ErrorClass::Config, said)
                .advise("end it with .csv, .md, .json, .html, .parquet or .txt, or name a --format")
        })
    });
    match of_file {
        Some(face) => face,
        None if args.json => Ok(Face::Json),
        None => Ok(args.format.unwrap_or(Face::Table)),
    }
}

/// Why a script should stop, a sentence each.
fn failures(args: &ReportArgs, report: &Report) -> Vec<String> {
    let total = &report.total;
    let exact = |picos: i128| format!("${}", Currency::default().exact(picos));
    let mut said = Vec::new();
    if let Some(limit) = args.fail_over {
        if total.picos > limit.picos.into() {
            said.push(format!("{} were spent, more than ${limit} (--fail-over)", exact(total.picos)));
        } else if total.at_most > limit.picos.into() {
            let (least, most) = (exact(total.picos), exact(total.at_most));
            said.push(format!(
                "at least {least} and at most {most} were spent, which may be more than ${limit} (--fail-over)"
            ));
        }
    }
    if args.unpriced == UnpricedArg::Fail && total.unpriced > 0 {
        let calls =
            if total.unpriced == 1 { "1 call has".to_owned() } else { format!("{} calls have", total.unpriced) };
        said.push(format!("{calls} no known amount, so the sum is too low (--unpriced fail)"));
    }
    said
}

/// What a report is to be about, read from the flags.
struct Asked {
    question: Question,
    filter: String,
    compare: Option<CompareArg>,
    order: Option<Order>,
    top: Option<usize>,
    currency: Currency,
    /// It begins with the ledger.
    from_the_first: bool,
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
            from_the_first: args.asked.period.as_deref().is_some_and(|text| text == "all" || text.starts_with("..")),
        })
    }

    /// Asks the books. All sums are from the same state of them.
    fn report(&self, books: &mut Ledger, budgets: &[Budget]) -> Result<Report, Failure> {
        let now_ms = now_ms();
        let known = books.opened_between()?;
        let Question { period, by, filter } = &self.question;
        let period = &known.filter(|_| self.from_the_first).map_or(period.clone(), |(first, _)| since(period, first));
        let ask = |period: &Period, by: &[Dimension]| Question {
            period: period.clone(),
            by: by.to_vec(),
            filter: filter.clone(),
        };
        let earlier = match self.compare {
            // Before the first call there was none.
            _ if self.from_the_first => None,
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
        // Days have no day before them with the same name, models have.
        let compared = match (self.compare, by.first()) {
            (Some(_), Some(first)) if first.is_time() => vec![Dimension::Model],
            (Some(_), Some(first)) => vec![first.clone()],
            _ => Vec::new(),
        };
        let before = put(earlier.as_ref().map(|earlier| ask(earlier, &compared)));
        let monthly = put(month.as_ref().map(|month| ask(month, &[])));
        let at_any_cost =
            put(filter.without_cost().map(|filter| Question { period: period.clone(), by: Vec::new(), filter }));
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
        let of_models = Frame { before: before_groups.filter(|_| compared == [Dimension::Model]), ..frame };
        let absent = match total == Tally::default() {
            true => absent(books, period, filter)?,
            false => None,
        };
        let budgets: Vec<Budget> = budgets.iter().cloned().chain(books.budgets()?).collect();
        Ok(Report {
            made_ms: now_ms,
            period: period.clone(),
            filter: self.filter.clone(),
            by: by.clone(),
            rows: report::rows(&groups, by, &frame, self.order, self.top),
            total,
            models: report::rows(&by_model, &[Dimension::Model], &of_models, None, self.top),
            days,
            imported: books.imported(&ask(period, &[]))?,
            before: earlier.zip(answer(before)).map(|(period, spend)| Before {
                period,
                total: spend.total,
                asked: self.compare.is_some(),
            }),
            month: month
                .zip(answer(monthly))
                .map(|(period, spend)| Month::of(period, spend.total, now_ms, budget(&budgets, filter))),
            currency: self.currency.clone(),
            known,
            absent,
            left_out: answer(at_any_cost).map_or(0, |spend| spend.total.unpriced.saturating_sub(total.unpriced)),
        })
    }
}

/// A period without the days before the first call.
fn since(period: &Period, first_ms: i64) -> Period {
    let first = period.zone.date(first_ms).filter(|first| (period.first..period.after).contains(first));
    first.and_then(|first| Period::of(first, period.after, &period.zone)).unwrap_or_else(|| period.clone())
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

#[cfg(test)]
mod tests {
    use super::{budget, dimensions};
    use crate::domain::budget::{Account, Budget, OnUnknownPrice, Origin, Scope};
    use crate::domain::money::Usd;
    use crate::domain::spend::filter::Filter;
    use crate::domain::window::{Window, Zone};

    fn limit(name: &str, usd: &str, window: &str, project: Option<&str>) -> Budget {
        let scope = Scope { project: project.map(str::to_owned), ..Scope::default() };
        Budget {
            name: name.to_owned(),
            limit: Usd::parse(usd).expect("an amount"),
            account: Account { scope, window: Window::parse(window).expect("a window"), zone: Zone::utc() },
            hard: false,
            warn: Vec::new(),
            on_unknown_price: OnUnknownPrice::Deny,
            allow_unbounded: false,
            clip: false,
            origin: Origin::Ledger,
        }
    }

    #[test]
    fn the_budget_of_a_report_counts_the_same_calls_by_calendar_month_and_is_the_tightest() {
        let budgets = [
            limit("day", "1", "day", None),
            limit("fifteenth", "2", "month@15", None),
            limit("wide", "200", "month", None),
            limit("tight", "150", "month", None),
            limit("pay", "20", "month", Some("pay")),
        ];
        let applies = |filter: &str| {
            let filter = Filter::parse(filter).expect("a filter");
            budget(&budgets, &filter).map(|budget| budget.name)
        };
        assert_eq!(applies("").as_deref(), Some("tight"));
        assert_eq!(applies("project=pay").as_deref(), Some("pay"));
        for other in
            ["project=web", "project=pay,web", "project!=pay", "project~pay", "project=pay cost>1", "status=ok"]
        {
            assert_eq!(applies(other), None, "{other}");
        }
    }

    #[test]
    fn a_dimension_that_is_none_says_which_are() {
        let wrong = dimensions("day,projct").expect_err("no dimension");
        assert!(wrong.advice.as_deref().is_some_and(|advice| advice.starts_with("did you mean project?")), "{wrong:?}");
        assert_eq!(dimensions("tag:env, week").expect("two").len(), 2);
    }
}
