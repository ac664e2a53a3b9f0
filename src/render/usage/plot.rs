//! Charts of a page as inline SVG: stacked bars, and lines with a band. Widths are percentages and heights are units of the
//! screen, so that a narrow screen squeezes the bars and not their names.

use std::fmt::Write as _;

use crate::domain::spend::currency::Currency;
use crate::render::page::escaped;

/// Heights: above the plot for what a bar tells, of the plot, and below it for the names of the bars.
const ABOVE: i64 = 40;
const PLOT: i64 = 220;
const BELOW: i64 = 42;
const FLOOR: i64 = ABOVE + PLOT;

/// A chart has room for so many bars, though it has fewer: one bar alone is no wall.
const SLOTS_MIN: usize = 7;

/// With more bars than this only some have their names below them, and none its amount above it.
const NAMED_MAX: usize = 14;

/// Names below a chart of many bars.
const NAMES: usize = 6;

/// The fills of the series: each has a weave of its own beside its colour.
pub(super) const PATTERNS: &str = "<svg class=\"none\" aria-hidden=\"true\" focusable=\"false\"><defs>\n\
<pattern id=\"p0\" width=\"8\" height=\"8\" patternUnits=\"userSpaceOnUse\"><rect class=\"f0\" width=\"8\" height=\"8\"/></pattern>\n\
<pattern id=\"p1\" width=\"8\" height=\"8\" patternUnits=\"userSpaceOnUse\"><rect class=\"f1\" width=\"8\" height=\"8\"/><path class=\"weave\" d=\"M-2 2L2 -2M0 8L8 0M6 10L10 6\"/></pattern>\n\
<pattern id=\"p2\" width=\"7\" height=\"7\" patternUnits=\"userSpaceOnUse\"><rect class=\"f2\" width=\"7\" height=\"7\"/><circle class=\"weave dot\" cx=\"3.5\" cy=\"3.5\" r=\"1.2\"/></pattern>\n\
<pattern id=\"p3\" width=\"6\" height=\"6\" patternUnits=\"userSpaceOnUse\"><rect class=\"f3\" width=\"6\" height=\"6\"/><path class=\"weave\" d=\"M0 3H6\"/></pattern>\n\
<pattern id=\"p4\" width=\"8\" height=\"8\" patternUnits=\"userSpaceOnUse\"><rect class=\"f4\" width=\"8\" height=\"8\"/><path class=\"weave\" d=\"M-2 6L2 10M0 0L8 8M6 -2L10 2\"/></pattern>\n\
<pattern id=\"p5\" width=\"6\" height=\"6\" patternUnits=\"userSpaceOnUse\"><rect class=\"f5\" width=\"6\" height=\"6\"/><path class=\"weave\" d=\"M3 0V6\"/></pattern>\n\
<pattern id=\"p6\" width=\"8\" height=\"8\" patternUnits=\"userSpaceOnUse\"><rect class=\"f6\" width=\"8\" height=\"8\"/><path class=\"weave\" d=\"M0 4H8M4 0V8\"/></pattern>\n\
</defs></svg>\n";

/// The square that says which fill is whose.
pub(super) fn swatch(fill: usize) -> String {
    format!(
        "<svg class=\"swatch\" aria-hidden=\"true\" viewBox=\"0 0 14 14\"><rect width=\"14\" height=\"14\" fill=\"url(#p{fill})\"/></svg>"
    )
}

/// A bar that lies, as long as its share.
pub(super) fn length(part: i128, whole: i128, fill: usize) -> String {
    format!(
        "<svg class=\"length\" aria-hidden=\"true\"><rect class=\"track\" width=\"100%\" height=\"6\"/><rect fill=\"url(#p{fill})\" width=\"{}\" height=\"6\"/></svg>",
        percent(thousandths(part, whole))
    )
}

/// Of `whole`, rounded half up; 0 of nothing, and never beyond the whole.
pub(super) fn thousandths(part: i128, whole: i128) -> i64 {
    let share =
        part.saturating_mul(2000).saturating_add(whole).checked_div(whole.saturating_mul(2)).unwrap_or_default();
    i64::try_from(share.clamp(0, 1000)).unwrap_or_default()
}

/// `43.2%`.
fn percent(thousandths: i64) -> String {
    format!("{}.{}%", thousandths / 10, thousandths % 10)
}

/// Amounts from nothing to the top of a chart, in round steps.
pub(super) struct Axis {
    /// Picodollars.
    top: i128,
    /// From nothing up: thousandths of the height, and what stands there.
    ticks: Vec<(i64, String)>,
}

impl Axis {
    /// That an amount of picodollars is on, with steps that are round in what is shown.
    pub(super) fn of(highest: i128, currency: &Currency) -> Axis {
        const STEPS: i128 = 4;
        const ONE: i128 = 1_000_000_000_000;
        // In 1e-12 of the currency.
        let shown = currency.shown(highest, 12).replace('.', "").parse().unwrap_or(highest);
        let least = shown.max(1).div_euclid(STEPS).max(1);
        let mut unit: i128 = 1;
        let step = loop {
            match [1, 2, 5].into_iter().map(|times| unit.saturating_mul(times)).find(|step| *step >= least) {
                Some(step) => break step,
                None => unit = unit.saturating_mul(10),
            }
        };
        let step = if shown <= 0 { ONE } else { step };
        let count = shown.max(step).saturating_add(step - 1).div_euclid(step);
        let top = step.saturating_mul(count);
        let places = (0..12).find(|places| step.rem_euclid(10_i128.pow(12 - places)) == 0).unwrap_or(12);
        let name = |at: i128| {
            let amount = Currency::default().told(at.saturating_mul(step), places);
            match (at, &currency.foreign) {
                (0, _) => "0".to_owned(),
                (_, None) => amount,
                (_, Some(foreign)) => format!("{} {}", amount.trim_start_matches('$'), foreign.code),
            }
        };
        let ticks = (0..=count).map(|at| (thousandths(at, count), name(at))).collect();
        let top = if shown > 0 { top.saturating_mul(highest).div_euclid(shown) } else { top };
        Axis { top: top.max(1), ticks }
    }

    /// Units from the top of the drawing.
    fn y(&self, amount: i128) -> i64 {
        FLOOR - thousandths(amount, self.top) * PLOT / 1000
    }

    /// What the steps are, left of the plot.
    fn names(&self) -> String {
        let longest = self.ticks.iter().map(|(_, name)| name.chars().count()).max().unwrap_or_default();
        let width = longest * 7 + 12;
        let mut text =
            format!("<svg class=\"axis\" width=\"{width}\" height=\"{}\" aria-hidden=\"true\">", FLOOR + BELOW);
        for (height, name) in &self.ticks {
            let y = FLOOR - height * PLOT / 1000 + 4;
            let _ = write!(text, "<text x=\"{}\" y=\"{y}\" text-anchor=\"end\">{}</text>", width - 9, escaped(name));
        }
        text.push_str("</svg>\n");
        text
    }

    fn grid(&self) -> String {
        let lines = self.ticks.iter().enumerate().map(|(at, (height, _))| {
            let (y, class) = (FLOOR - height * PLOT / 1000, if at == 0 { "floor" } else { "grid" });
            format!("<line class=\"{class}\" x1=\"0\" x2=\"100%\" y1=\"{y}\" y2=\"{y}\"/>")
        });
        format!("{}\n", lines.collect::<String>())
    }
}

/// A bar: its name, its parts in picodollars, one for each series, and what it tells.
pub(super) struct Column<'a> {
    pub(super) label: Label,
    pub(super) parts: &'a [i128],
    pub(super) told: Told,
}

/// The name of a bar: in two lines where every bar has one, or alone where only some have.
#[derive(Default)]
pub(super) struct Label {
    pub(super) first: String,
    pub(super) second: String,
    pub(super) alone: String,
    /// One of those that have a name where only some have: a Monday, a January.
    pub(super) anchor: bool,
}

pub(super) struct Told {
    /// Above the bar.
    pub(super) value: String,
    /// Above the chart, while the bar is pointed at or focused.
    pub(super) tip: String,
    /// The parts in words.
    pub(super) parts: Vec<String>,
}

/// Bars beside one another, each stacked of its parts. Every bar can be focused and tells what it is.
pub(super) fn bars(id: &str, title: &str, about: &str, axis: &Axis, columns: &[Column<'_>]) -> String {
    let slots = i128::try_from(columns.len().max(SLOTS_MIN)).unwrap_or(1);
    let at = |slot: usize, tenths: i128| {
        let slot = i128::try_from(slot).unwrap_or_default();
        percent(thousandths(slot * 10 + tenths, slots * 10))
    };
    let (named, many) = (columns.len() <= NAMED_MAX, columns.len() > SLOTS_MIN);
    let mut text = format!(
        "<div class=\"plot{}\">\n{}<svg class=\"area bars\" width=\"100%\" height=\"{}\" role=\"group\" aria-labelledby=\"t-{id} d-{id}\">\n<title id=\"t-{id}\">{}</title><desc id=\"d-{id}\">{} Arrow keys go from bar to bar.</desc>\n{}",
        if many { " many" } else { "" },
        axis.names(),
        FLOOR + BELOW,
        escaped(title),
        escaped(about),
        axis.grid()
    );
    let wide = thousandths(8, slots * 10);
    for (slot, column) in columns.iter().enumerate() {
        let Told { value, tip, parts } = &column.told;
        let said: Vec<&str> = std::iter::once(tip.as_str()).chain(parts.iter().map(String::as_str)).collect();
        let _ = write!(
            text,
            "<g class=\"bar\" tabindex=\"0\" role=\"img\" aria-label=\"{}\"><rect class=\"hit\" x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\"/>",
            escaped(&said.join("; ")),
            at(slot, 0),
            ABOVE - 20,
            percent(thousandths(1, slots)),
            PLOT + 20
        );
        let mut sum = 0_i128;
        for (fill, part) in column.parts.iter().enumerate().filter(|(_, part)| **part > 0) {
            let foot = axis.y(sum);
            sum = sum.saturating_add(*part);
            // What is not nothing is seen.
            let head = axis.y(sum).min(foot - 1);
            let _ = write!(
                text,
                "<rect class=\"part\" x=\"{}\" y=\"{head}\" width=\"{}\" height=\"{}\" fill=\"url(#p{fill})\"/>",
                at(slot, 1),
                percent(wide),
                foot - head
            );
        }
        if named && !value.is_empty() {
            let (x, y) = (at(slot, 5), axis.y(sum) - 6);
            let _ = write!(
                text,
                "<text class=\"value\" x=\"{x}\" y=\"{y}\" text-anchor=\"middle\">{}</text>",
                escaped(value)
            );
        }
        let (x, anchor) = if slot * 2 < columns.len() { ("0", "start") } else { ("100%", "end") };
        let _ = writeln!(
            text,
            "<text class=\"tip\" x=\"{x}\" y=\"14\" text-anchor=\"{anchor}\">{}</text></g>",
            escaped(tip)
        );
    }
    text.push_str("<g aria-hidden=\"true\">");
    let anchors: Vec<usize> = (0..columns.len()).filter(|slot| named || columns[*slot].label.anchor).collect();
    let every = if named { 1 } else { anchors.len().div_ceil(NAMES).max(1) };
    for slot in anchors.into_iter().step_by(every) {
        let Label { first, second, alone, .. } = &columns[slot].label;
        let lines: &[&String] = if named { &[first, second] } else { &[alone] };
        for (line, y) in lines.iter().zip([FLOOR + 18, FLOOR + 34]) {
            let class = if y == FLOOR + 18 { "" } else { " class=\"faint\"" };
            let _ = write!(
                text,
                "<text{class} x=\"{}\" y=\"{y}\" text-anchor=\"middle\">{}</text>",
                at(slot, 5),
                escaped(line)
            );
        }
    }
    text.push_str("</g>\n</svg>\n</div>\n");
    text
}

/// Lines over a stretch of time, drawn one over the other. A point is thousandths of the stretch, and picodollars.
pub(super) struct Area<'a> {
    axis: &'a Axis,
    drawn: String,
    words: String,
}

type Point = (i64, i128);

impl<'a> Area<'a> {
    pub(super) fn of(axis: &'a Axis) -> Area<'a> {
        Area { axis, drawn: String::new(), words: String::new() }
    }

    /// Thousandths from the left and from the top.
    fn path(&self, points: impl Iterator<Item = Point>) -> String {
        let mut path = String::new();
        for (at, (x, amount)) in points.enumerate() {
            let _ =
                write!(path, "{}{x} {}", if at == 0 { 'M' } else { 'L' }, 1000 - thousandths(amount, self.axis.top));
        }
        path
    }

    pub(super) fn line(&mut self, class: &str, points: &[Point]) {
        let path = self.path(points.iter().copied());
        let _ = writeln!(self.drawn, "<path class=\"{class}\" vector-effect=\"non-scaling-stroke\" d=\"{path}\"/>");
    }

    /// The space between two lines over the same stretch.
    pub(super) fn band(&mut self, low: &[Point], high: &[Point]) {
        let path = self.path(high.iter().chain(low.iter().rev()).copied());
        let _ = writeln!(self.drawn, "<path class=\"reach\" d=\"{path}Z\"/>");
    }

    /// The space below a line.
    pub(super) fn under(&mut self, points: &[Point]) {
        let end = points.last().map_or(0, |(x, _)| *x);
        let path = self.path(points.iter().copied().chain([(end, 0), (0, 0)]));
        let _ = writeln!(self.drawn, "<path class=\"under\" d=\"{path}Z\"/>");
    }

    /// An amount that should not be passed.
    pub(super) fn limit(&mut self, amount: i128, name: &str) {
        self.line("limit", &[(0, amount), (1000, amount)]);
        let y = self.axis.y(amount) - 6;
        let _ = writeln!(self.words, "<text class=\"limit-name\" x=\"0\" dx=\"4\" y=\"{y}\">{}</text>", escaped(name));
    }

    /// The instant at which it was drawn.
    pub(super) fn now(&mut self, at: i64) {
        self.line("now", &[(at, 0), (at, self.axis.top)]);
        let anchor = if at < 900 { "middle" } else { "end" };
        let y = ABOVE - 8;
        let _ = writeln!(
            self.words,
            "<text class=\"faint\" x=\"{}\" y=\"{y}\" text-anchor=\"{anchor}\">now</text>",
            percent(at)
        );
    }

    /// The drawing, with names below some instants.
    pub(super) fn chart(&self, id: &str, title: &str, about: &str, ticks: &[(i64, String)]) -> String {
        let names = ticks.iter().map(|(at, name)| {
            let anchor = if *at >= 980 { "end" } else { "middle" };
            format!(
                "<text x=\"{}\" y=\"{}\" text-anchor=\"{anchor}\">{}</text>",
                percent(*at),
                FLOOR + 18,
                escaped(name)
            )
        });
        format!(
            "<div class=\"plot\">\n{}<svg class=\"area\" width=\"100%\" height=\"{}\" role=\"img\" aria-labelledby=\"t-{id} d-{id}\">\n<title id=\"t-{id}\">{}</title><desc id=\"d-{id}\">{}</desc>\n{}<svg y=\"{ABOVE}\" width=\"100%\" height=\"{PLOT}\" viewBox=\"0 0 1000 1000\" preserveAspectRatio=\"none\">\n{}</svg>\n{}{}\n</svg>\n</div>\n",
            self.axis.names(),
            FLOOR + BELOW - 16,
            escaped(title),
            escaped(about),
            self.axis.grid(),
            self.drawn,
            self.words,
            names.collect::<String>()
        )
    }
}

#[cfg(test)]
mod tests {
    use super::{Axis, thousandths};
    use crate::domain::spend::currency::Currency;

    fn names(picos: i128) -> Vec<String> {
        Axis::of(picos, &Currency::default()).ticks.into_iter().map(|(_, name)| name).collect()
    }

    #[test]
    fn an_axis_has_a_few_round_steps_and_holds_the_highest_amount() {
        assert_eq!(names(19_570_000_000_000), ["0", "$5", "$10", "$15", "$20"]);
        assert_eq!(names(150_000_000_000_000), ["0", "$50", "$100", "$150"]);
        assert_eq!(names(210_000_000), ["0", "$0.0001", "$0.0002", "$0.0003"]);
        assert_eq!(names(0), ["0", "$1"]);
        let euro = Currency::parse("EUR@0.92").expect("a rate");
        let axis = Axis::of(150_000_000_000_000, &euro);
        let names: Vec<&str> = axis.ticks.iter().map(|(_, name)| name.as_str()).collect();
        assert_eq!(names, ["0", "50 EUR", "100 EUR", "150 EUR"]);
        // 150 / 0.92
        assert_eq!(axis.top, 163_043_478_260_869);
        for picos in [1, 2, 3, 999, 1_000_000_000_001, 123_456_789_012_345, i128::from(i64::MAX)] {
            let axis = Axis::of(picos, &Currency::default());
            assert!(axis.top >= picos && (2..=6).contains(&axis.ticks.len()), "{picos}: {:?}", axis.ticks);
        }
    }

    #[test]
    fn a_share_never_leaves_the_whole() {
        assert_eq!([thousandths(1, 3), thousandths(5, 3), thousandths(-1, 3), thousandths(1, 0)], [333, 1000, 0, 0]);
    }
}
