//! What every report asks of the books: which days, which calls, on whose clock.

use clap::Args;

use crate::command::desk;
use crate::command::outside::now_ms;
use crate::domain::failure::{ErrorClass, Failure};
use crate::domain::spend::filter::Filter;
use crate::domain::spend::period::{self, Period};
use crate::domain::spend::{Dimension, Question};
use crate::domain::window::Zone;

#[derive(Debug, Clone, Default, Args)]
pub struct AskedArgs {
    /// today, yesterday, 7d, week, last-week, month, last-month, year, 2026-11-22, 2026-11, 2026, A..B or all
    #[arg(value_name = "PERIOD")]
    pub period: Option<String>,
    /// Only calls that fit: 'model~sonnet project=pay cost>0.1'; every clause must hold
    #[arg(long = "where", value_name = "FILTER")]
    pub filter: Option<String>,
    /// The zone whose days are meant: Europe/Berlin, UTC (else LLMX_ZONE, else this machine's)
    #[arg(short, long, value_name = "ZONE")]
    pub zone: Option<String>,
}

impl AskedArgs {
    /// The question, with the period that is meant where none is given.
    ///
    /// # Errors
    /// `config` for a period, a filter or a zone that is none.
    pub fn question(&self, default: &str, by: &[Dimension]) -> Result<Question, Failure> {
        let period = self.period(self.period.as_deref().unwrap_or(default))?;
        Ok(Question { period, by: by.to_vec(), filter: self.filter()? })
    }

    /// A period as it is written on the command line, in the zone that is asked for.
    ///
    /// # Errors
    /// `config` for a period or a zone that is none.
    pub fn period(&self, text: &str) -> Result<Period, Failure> {
        Period::parse(text, now_ms(), &self.zone()?).map_err(|wrong| {
            let told = wrong.contains(period::FORMS);
            let failure = Failure::new(ErrorClass::Config, wrong);
            match grouping(text) {
                Some(by) => failure.advise(format!("llmx usage month --by {by}")),
                None if told => failure,
                None => failure.advise(format!("a period is {}", period::FORMS)),
            }
        })
    }

    /// # Errors
    /// `config` for a filter that is none, with the place.
    pub fn filter(&self) -> Result<Filter, Failure> {
        let text = self.filter.as_deref().unwrap_or_default();
        Filter::parse(text).map_err(|wrong| {
            let message = format!("--where: {} (character {} of {text:?})", wrong.message, wrong.at);
            Failure::new(ErrorClass::Config, message).advise(wrong.advice)
        })
    }

    /// # Errors
    /// `config` for a zone that nobody knows.
    pub fn zone(&self) -> Result<Zone, Failure> {
        desk::zone(self.zone.as_deref())
    }
}

/// What was meant to be a group, as other tools spell it in a period's place: `daily`, `session`, `projects`.
fn grouping(text: &str) -> Option<Dimension> {
    match text {
        "daily" => Some(Dimension::Day),
        "weekly" => Some(Dimension::Week),
        "monthly" => Some(Dimension::Month),
        _ => Dimension::parse(text).or_else(|| Dimension::parse(text.strip_suffix('s')?)),
    }
}
