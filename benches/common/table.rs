//! The table of a run, `target/bench/table.md`: each benchmark owns sections, and renews its own alone.

use std::fs;
use std::io;
use std::path::Path;
use std::process::Command;

use super::figure::{Figure, millionths, times};

const FILE: &str = "table.md";
const HEAD: &str = "# Benchmarks of llmx\n\n\
    Written by `cargo bench`; `cargo bench --bench NAME` renews its own sections and leaves the others. Every figure of llmx\n\
    stands beside a baseline of the same run; the ratio is llmx ÷ baseline, so less is better. Absolute times hold on no\n\
    other machine.\n";
const COLUMNS: &str = "| path | llmx | beside | ratio | goal | |\n|---|---|---|---|---|---|\n";

/// What llmx must keep to.
#[derive(Debug, Clone, Copy)]
pub enum Goal {
    /// At most so many hundredths of the baseline.
    Times(u64),
    /// At most so much.
    Most(Figure),
    /// At most so many percent more than the baseline, and so much on top.
    Beyond(u64, Figure),
}

/// What was measured on one path.
pub struct Row {
    path: String,
    /// Or why there is none.
    ours: Result<Figure, String>,
    beside: Option<(String, Result<Figure, String>)>,
    /// In millionths.
    ratio: Option<u64>,
    goal: Option<Goal>,
}

impl Row {
    pub fn new(path: &str, ours: Result<Figure, String>) -> Row {
        Row { path: path.to_owned(), ours, beside: None, ratio: None, goal: None }
    }

    /// The baseline and its figure, or why it has none.
    pub fn beside(mut self, name: &str, theirs: Result<Figure, String>) -> Row {
        if let (Ok(ours), Ok(theirs)) = (&self.ours, &theirs) {
            self.ratio = Some(millionths(ours.value, theirs.value));
        }
        self.beside = Some((name.to_owned(), theirs));
        self
    }

    /// In millionths, where it is not that of the two figures; counts only where both are there.
    pub fn ratio(mut self, ratio: u64) -> Row {
        self.ratio = self.ratio.map(|_| ratio);
        self
    }

    pub fn goal(mut self, goal: Option<Goal>) -> Row {
        self.goal = goal;
        self
    }

    /// Whether the goal was met, where both can be told.
    fn met(&self) -> Option<bool> {
        let ours = self.ours.as_ref().ok()?.value;
        let theirs = self.beside.as_ref().and_then(|(_, theirs)| theirs.as_ref().ok()).map(|theirs| theirs.value);
        match self.goal? {
            Goal::Times(hundredths) => Some(self.ratio? <= hundredths * 10_000),
            Goal::Most(most) => Some(ours <= most.value),
            Goal::Beyond(percent, more) => Some(ours <= theirs? + theirs? * percent / 100 + more.value),
        }
    }

    fn shown(&self) -> String {
        let shown = |figure: &Result<Figure, String>| match figure {
            Ok(figure) => figure.to_string(),
            Err(reason) => reason.replace('|', "/"),
        };
        let beside = self.beside.as_ref().map(|(name, theirs)| match theirs {
            Ok(figure) => format!("{name} {figure}"),
            Err(reason) => format!("{name}: {}", reason.replace('|', "/")),
        });
        let goal = self.goal.map(|goal| match goal {
            Goal::Times(hundredths) => format!("≤ {}", times(hundredths * 10_000)),
            Goal::Most(most) => format!("≤ {most}"),
            Goal::Beyond(0, more) => format!("≤ baseline + {more}"),
            Goal::Beyond(percent, more) => format!("≤ baseline + {percent} % + {more}"),
        });
        let met = match (self.goal, self.met()) {
            (None, _) => "",
            (_, Some(true)) => "met",
            (_, Some(false)) => "**missed**",
            (_, None) => "not measured",
        };
        let none = || "–".to_owned();
        format!(
            "| {} | {} | {} | {} | {} | {met} |\n",
            self.path,
            shown(&self.ours),
            beside.unwrap_or_else(none),
            self.ratio.map_or_else(none, times),
            goal.unwrap_or_else(none)
        )
    }
}

/// One section of the table.
pub struct Table {
    name: String,
    head: String,
    rows: Vec<Row>,
}

impl Table {
    /// Opens a section, which says that it was not finished until it is.
    ///
    /// # Errors
    /// Where the file cannot be written.
    pub fn begin(name: &str) -> io::Result<Table> {
        let head = format!("{}; load {} before", machine(), load());
        renew(name, &format!("{head}. Not finished: it runs, or has failed.\n"))?;
        Ok(Table { name: name.to_owned(), head, rows: Vec::new() })
    }

    pub fn add(&mut self, row: Row) {
        self.rows.push(row);
    }

    /// Writes what was measured.
    ///
    /// # Errors
    /// Where the file cannot be written.
    pub fn finish(self) -> io::Result<()> {
        let rows: String = self.rows.iter().map(Row::shown).collect();
        renew(&self.name, &format!("{}, {} after.\n\n{COLUMNS}{rows}", self.head, load()))
    }
}

/// Puts a section in the place of its elder, or at the end.
fn renew(name: &str, text: &str) -> io::Result<()> {
    let path = super::folder().join(FILE);
    let before = fs::read_to_string(&path).unwrap_or_default();
    let draft = path.with_extension("draft");
    fs::write(&draft, with_section(&before, name, text))?;
    fs::rename(draft, path)
}

fn with_section(before: &str, name: &str, text: &str) -> String {
    let ours = format!("{name}\n\n{text}");
    // What stands before the first heading is written anew.
    let mut sections: Vec<&str> = before.split("\n## ").skip(1).collect();
    match sections.iter_mut().find(|section| section.lines().next() == Some(name)) {
        Some(section) => *section = &ours,
        None => sections.push(&ours),
    }
    [HEAD.to_owned()].into_iter().chain(sections.iter().map(|section| format!("\n## {section}"))).collect()
}

/// What was measured, where and when, in one line.
pub fn machine() -> String {
    let cores = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
    let known = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let all = known.lines().filter(|line| line.starts_with("processor")).count().max(cores);
    let model = known.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or_default();
    let model = model.trim_matches([':', '\t', ' ']);
    format!(
        "llmx {}, {}, {}-{}{}{model}, {cores} of {all} cores; {}",
        env!("CARGO_PKG_VERSION"),
        commit(),
        std::env::consts::OS,
        std::env::consts::ARCH,
        if model.is_empty() { "" } else { ", " },
        jiff::Timestamp::now().strftime("%Y-%m-%d %H:%M UTC"),
    )
}

fn commit() -> String {
    let git = |words: &[&str]| {
        let done = Command::new("git").args(words).current_dir(Path::new(env!("CARGO_MANIFEST_DIR"))).output().ok()?;
        done.status.success().then(|| String::from_utf8_lossy(&done.stdout).trim().to_owned())
    };
    match (git(&["rev-parse", "--short", "HEAD"]), git(&["status", "--porcelain"])) {
        (Some(commit), Some(changes)) if changes.is_empty() => format!("commit {commit}"),
        (Some(commit), _) => format!("commit {commit} with changes"),
        (None, _) => "commit not known".into(),
    }
}

/// The load averages over 1, 5 and 15 minutes.
pub fn load() -> String {
    fs::read_to_string("/proc/loadavg")
        .map_or_else(|_| "not known".to_owned(), |text| text.split(' ').take(3).collect::<Vec<_>>().join(" "))
}
