//! Commands that run in turn, so that whatever slows the machine slows them all.

use std::process::Command;

use super::child::{self, Sample};
use super::figure::{Figure, Unit, millionths, nanos, spread, times};
use super::table::{Goal, Row};

/// A command and what its runs took.
pub struct Runner {
    name: String,
    /// Or why it does not take part.
    command: Result<Command, String>,
    samples: Vec<Sample>,
}

impl Runner {
    pub fn new(name: &str, command: Command) -> Runner {
        Runner::peer(name, Ok(command))
    }

    /// One that may be missing.
    pub fn peer(name: &str, command: Result<Command, String>) -> Runner {
        Runner { name: name.to_owned(), command, samples: Vec::new() }
    }
}

/// One figure of a run.
#[derive(Debug, Clone, Copy)]
pub struct Measure(Unit, fn(&Sample) -> u64);

pub const WALL: Measure = Measure(Unit::Millis, |sample| nanos(sample.wall));
pub const FIRST_BYTE: Measure = Measure(Unit::Millis, |sample| nanos(sample.first_byte));
pub const CPU: Measure = Measure(Unit::Millis, |sample| nanos(sample.cpu));
pub const PEAK: Measure = Measure(Unit::MiB, |sample| sample.peak_bytes);

/// Commands that run in turn; the first is measured against the others.
pub struct Race {
    runners: Vec<Runner>,
}

impl Race {
    pub fn of(runners: Vec<Runner>) -> Race {
        Race { runners }
    }

    /// One run each that is not counted, then the rounds; who begins changes from round to round.
    ///
    /// # Errors
    /// A line that says who failed, and why, after its first run had succeeded.
    pub fn run(&mut self, rounds: usize) -> Result<(), String> {
        for runner in &mut self.runners {
            let failed = runner.command.as_mut().ok().and_then(|command| child::run(command).err());
            runner.command = match failed {
                Some(reason) => Err(format!("did not run: {reason}")),
                None => std::mem::replace(&mut runner.command, Err(String::new())),
            };
        }
        let present = self.runners.iter_mut().filter_map(|runner| {
            let Runner { name, command, samples } = runner;
            command.as_mut().ok().map(|command| (name, command, samples))
        });
        let mut present: Vec<_> = present.collect();
        let count = present.len();
        for round in 0..rounds {
            for turn in 0..count {
                let (name, command, samples) = &mut present[(round + turn) % count];
                samples.push(child::run(command).map_err(|error| format!("{name}: {error}"))?);
            }
        }
        Ok(())
    }

    /// One line for each runner: min, median and max of a figure, and the first runner's ratio to it.
    pub fn shown(&self, title: &str, goal: &str, measure: Measure) -> String {
        let Some(first) = self.runners.first() else { return String::new() };
        let Measure(unit, figure) = measure;
        let mut text = format!("\n{title}, {} rounds (goal: {goal})\n", first.samples.len());
        text.push_str(&format!("  {:<22}{:>10}{:>10}{:>10}\n", unit.name(), "min", "median", "max"));
        for (at, runner) in self.runners.iter().enumerate() {
            if let Err(reason) = &runner.command {
                text.push_str(&format!("  {:<22}{reason}\n", runner.name));
                continue;
            }
            text.push_str(&format!("  {:<22}", runner.name));
            for value in spread(&runner.samples.iter().map(figure).collect::<Vec<_>>()) {
                text.push_str(&format!("{:>10}", unit.show(value)));
            }
            if at > 0 && !first.samples.is_empty() {
                text.push_str(&format!("   {} is {}", first.name, times(ratio(first, runner, measure))));
            }
            text.push('\n');
        }
        text
    }

    /// A row of the table: a figure of one runner beside the same of another.
    pub fn row(&self, path: &str, ours: &str, beside: &str, measure: Measure, goal: Option<Goal>) -> Row {
        let named = |name: &str| self.runners.iter().find(|runner| runner.name == name);
        let median = |runner: Option<&Runner>| {
            let runner = runner.ok_or("not in this race")?;
            runner.command.as_ref().map_err(Clone::clone)?;
            let Measure(unit, figure) = measure;
            let [_, value, _] = spread(&runner.samples.iter().map(figure).collect::<Vec<_>>());
            Ok(Figure { value, unit })
        };
        let (first, other) = (named(ours), named(beside));
        let mut row = Row::new(path, median(first)).beside(beside, median(other)).goal(goal);
        if let (Some(first), Some(other)) = (first, other) {
            row = row.ratio(ratio(first, other, measure));
        }
        row
    }
}

/// The median of the rounds' own ratios, in millionths.
fn ratio(ours: &Runner, theirs: &Runner, Measure(_, figure): Measure) -> u64 {
    let rounds = ours.samples.iter().zip(&theirs.samples);
    let [_, ratio, _] =
        spread(&rounds.map(|(ours, theirs)| millionths(figure(ours), figure(theirs))).collect::<Vec<_>>());
    ratio
}
