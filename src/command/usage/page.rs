//! What the web page of a report shows beside it: the month by days with its forecast, the projects, the dearest calls.

use std::ops::ControlFlow;

use jiff::civil::Date;

use super::forecast::{Calls, History};
use crate::domain::budget::Scope;
use crate::domain::failure::Failure;
use crate::domain::record::Record;
use crate::domain::spend::forecast::Ahead;
use crate::domain::spend::report::{self, Frame, Report, Row};
use crate::domain::spend::{Dimension, Key, Question};
use crate::ledger::Ledger;
use crate::render::usage::html::{self, Beside};

/// So many calls are named.
const DEAREST: usize = 20;

/// The page of a report, with what the books say of the same calls beside it.
///
/// # Errors
/// `ledger` where the books cannot be read.
pub(super) fn page(books: &mut Ledger, question: &Question, report: &Report) -> Result<String, Failure> {
    let (month_days, ahead) = month(books, question, report)?;
    let (projects, dearest) = (projects(books, question, report)?, dearest(books, question)?);
    let beside = Beside { month_days: &month_days, ahead: &ahead, projects: &projects, dearest: &dearest };
    Ok(html::page(report, &beside))
}

/// Picodollars of each day, and what the days to come may bring.
type Days = (Vec<(Date, i128)>, Vec<Ahead>);

/// What each day of the running month has cost, and where it may end; empty where the report is about another time.
fn month(books: &mut Ledger, question: &Question, report: &Report) -> Result<Days, Failure> {
    let Some(month) = &report.month else {
        return Ok((Vec::new(), Vec::new()));
    };
    let (period, filter) = (month.period.clone(), question.filter.clone());
    let spend = books.spend(&Question { period: period.clone(), by: vec![Dimension::Day], filter: filter.clone() })?;
    let days = spend.groups.iter().filter_map(|group| match group.keys.first() {
        Some(Key::Date(day)) => Some((*day, group.tally.picos)),
        _ => None,
    });
    let calls = Calls { filter, scope: Scope::default() };
    let history = History::read(books, &calls, &period.zone, report.made_ms)?;
    let ahead = history.past.forecast(&period).map(|forecast| forecast.days).unwrap_or_default();
    Ok((days.collect(), ahead))
}

fn projects(books: &mut Ledger, question: &Question, report: &Report) -> Result<Vec<Row>, Failure> {
    let by = [Dimension::Project];
    let spend = books.spend(&Question { period: report.period.clone(), by: by.to_vec(), ..question.clone() })?;
    let frame = Frame { period: &report.period, now_ms: report.made_ms, fills: false, before: None };
    Ok(report::rows(&spend.groups, &by, &frame, None, None))
}

/// The calls with the largest amounts, the largest first.
fn dearest(books: &Ledger, question: &Question) -> Result<Vec<Record>, Failure> {
    let mut dearest: Vec<Record> = Vec::new();
    books.walk(question, |call| {
        let place = dearest.partition_point(|other| other.total() >= call.total());
        if place < DEAREST && call.total().is_some() {
            dearest.insert(place, call);
            dearest.truncate(DEAREST);
        }
        ControlFlow::Continue(())
    })?;
    Ok(dearest)
}
