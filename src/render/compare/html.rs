//! A comparison as one web page that can be mailed: it loads nothing, and nothing but our own script can run in it.

use std::ops::Range;

use super::{Shown, View, matrix, order, shown, tell};
use crate::domain::comparison::spread::Spread;
use crate::domain::comparison::{Comparison, Lane, Run};
use crate::domain::money::Usd;
use crate::domain::untrusted::{one_line, visible};
use crate::domain::usage::{Meter, Usage};
use crate::render::page::{Page, escaped, heading};

/// What its style adds to that of every page.
const STYLE: &str = include_str!("page.css");

/// Units of a plot's width, and of what one bar with its label takes of its height.
const PLOT_WIDTH: u64 = 640;
const BAR_ROW: usize = 46;

/// The page. Of `view` only the order, the marks and the exit code count.
#[must_use]
pub fn page(comparison: &Comparison, view: &View) -> String {
    let prompt = visible(&comparison.prompt);
    let title = prompt.lines().next().filter(|line| !line.is_empty()).unwrap_or("llmx compare");
    let mut body = head(comparison, view, &prompt);
    if comparison.cases.is_empty() {
        body.push_str(&figures(comparison, view));
        body.push_str(&plots(comparison, view));
    } else {
        body.push_str(&cases(comparison));
    }
    body.push_str(&list("What failed", &failures(comparison)));
    body.push_str(&list("Assertions that do not hold", &checks(comparison)));
    body.push_str(&judgement(comparison));
    body.push_str(&answers(comparison, view));
    body.push_str(&format!(
        "<footer>Made by llmx compare. Group {} of the ledger.</footer>\n",
        escaped(&one_line(&comparison.group))
    ));
    Page { title, style: STYLE, script: "", body: &body }.html()
}

fn head(comparison: &Comparison, view: &View, prompt: &str) -> String {
    let said = if prompt.is_empty() { format!("{} prompts", comparison.cases.len()) } else { prompt.to_owned() };
    let verdict = tell::verdict(comparison, view.exit).replace("    ", " · ");
    let (answered, rest) = verdict.split_once(" answered").unwrap_or((&verdict, ""));
    format!(
        "<h1>Comparison of {} models</h1>\n<p class=\"prompt\" dir=\"auto\">{}</p>\n<p class=\"sum\"><strong>{}</strong> answered{}</p>\n",
        comparison.lanes.len(),
        escaped(&said),
        escaped(answered),
        escaped(rest)
    )
}

/// A cell of the figures.
struct Cell {
    said: String,
    /// A second, smaller line.
    below: Option<String>,
    /// The number that it is sorted by.
    value: Option<i128>,
}

impl Cell {
    fn of(said: String, below: Option<String>, value: Option<i128>) -> Cell {
        Cell { said, below, value }
    }
}

fn figures(comparison: &Comparison, view: &View) -> String {
    let told = |of: fn(&Usage) -> Option<u64>| {
        let runs = comparison.lanes.iter().flat_map(|lane| &lane.runs).filter_map(Run::report);
        runs.filter_map(|report| report.outcome.usage()).any(|usage| of(usage).is_some_and(|count| count > 0))
    };
    let input = if told(|usage| usage.get(Meter::CacheRead)) { "in (cached)" } else { "in" };
    let output = if told(|usage| usage.reasoning) { "out (reasoning)" } else { "out" };
    let heads = ["first token", "total", "tokens/s", input, output, "cost", "checks"];
    let checked = comparison.lanes.iter().flat_map(|lane| &lane.runs).any(|run| !run.checks.is_empty());
    let count = if checked { heads.len() } else { heads.len() - 1 };
    let mut text = "<h2>Figures</h2>\n<div class=\"scroll\"><table class=\"sortable\" id=\"figures\">\n".to_owned();
    text.push_str(&format!("<caption>{}</caption>\n<thead><tr>", caption(comparison)));
    text.push_str(&heading("model", false));
    text.push_str(&heading("status", false));
    text.extend(heads[..count].iter().map(|head| heading(head, true)));
    text.push_str("</tr></thead>\n<tbody>\n");
    let (fastest, cheapest) = (comparison.fastest(), comparison.cheapest());
    for at in order(comparison, view.sort) {
        let lane = &comparison.lanes[at];
        let class = if lane.whole() { "good" } else { "bad" };
        text.push_str(&format!("<tr><th scope=\"row\">{}</th>", escaped(&one_line(&lane.label))));
        text.push_str(&format!("<td class=\"{class}\">{}</td>", escaped(&tell::status(lane))));
        let best = [None, fastest[at].then_some("fastest"), None, None, None, cheapest[at].then_some("cheapest"), None];
        for (cell, best) in cells(lane).into_iter().zip(best).take(count) {
            let value = cell.value.map(|value| value.to_string()).unwrap_or_default();
            let below = cell.below.map(|below| format!("<small>{}</small>", escaped(&below))).unwrap_or_default();
            let best = best.map(|word| format!("<small class=\"good\">{word}</small>")).unwrap_or_default();
            let said = escaped(&cell.said);
            text.push_str(&format!("<td class=\"number\" data-value=\"{value}\">{said}{below}{best}</td>"));
        }
        text.push_str("</tr>\n");
    }
    text.push_str("</tbody>\n</table></div>\n");
    text
}

fn caption(comparison: &Comparison) -> &'static str {
    if comparison.repeated() {
        "Medians of the answers, with p10–p90 from five runs on. A heading sorts the rows."
    } else {
        "Times from sending to the first token and to the end. A heading sorts the rows."
    }
}

fn cells(lane: &Lane) -> [Cell; 7] {
    let none = || Cell::of(tell::NONE.to_owned(), None, None);
    let times = |spread: Option<Spread<u64>>| {
        spread.map_or_else(none, |spread| {
            Cell::of(tell::seconds(spread.median), tell::range(&spread), Some(i128::from(spread.median)))
        })
    };
    let counts = |of: fn(&Usage) -> Option<u64>, part: fn(&Usage) -> Option<u64>| {
        let usages = || lane.runs.iter().filter_map(Run::report).filter_map(|report| report.outcome.usage());
        let middle =
            |of: fn(&Usage) -> Option<u64>| Spread::of(usages().filter_map(of).collect()).map(|spread| spread.median);
        middle(of).map_or_else(none, |count| {
            let part = middle(part).filter(|part| *part > 0).map(|part| format!(" ({part})")).unwrap_or_default();
            Cell::of(format!("{count}{part}"), None, Some(i128::from(count)))
        })
    };
    let checks = || lane.runs.iter().flat_map(|run| &run.checks);
    let passed = checks().filter(|check| check.passed).count();
    let all = checks().count();
    let speed = lane.speed().map(|speed| speed.median);
    [
        times(lane.first()),
        times(lane.total()),
        speed.map_or_else(none, |speed| Cell::of(speed.to_string(), None, Some(i128::from(speed)))),
        counts(Usage::prompt_total, |usage| usage.get(Meter::CacheRead)),
        counts(|usage| usage.get(Meter::Output), |usage| usage.reasoning),
        Cell::of(tell::cost(lane), None, lane.cost().map(|cost| i128::from(cost.median.picos))),
        if all == 0 { none() } else { Cell::of(format!("{passed}/{all}"), None, i128::try_from(passed).ok()) },
    ]
}

/// One bar: whose, what it says, its parts in units of the longest, and the reach of several runs.
struct Bar {
    label: String,
    said: String,
    parts: Vec<(&'static str, u64)>,
    reach: Option<(u64, u64)>,
}

fn plots(comparison: &Comparison, view: &View) -> String {
    let lanes: Vec<&Lane> = order(comparison, view.sort).into_iter().map(|at| &comparison.lanes[at]).collect();
    let times = lanes.iter().filter_map(|lane| {
        let total = lane.total()?;
        let first = lane.first().map_or(0, |first| first.median.min(total.median));
        Some(Bar {
            label: one_line(&lane.label),
            said: tell::seconds(total.median),
            parts: vec![("first", first), ("rest", total.median - first)],
            reach: total.p10.zip(total.p90),
        })
    });
    let costs = lanes.iter().filter_map(|lane| {
        let cost = lane.cost()?;
        let picos = |usd: Usd| usd.picos.max(0).unsigned_abs();
        Some(Bar {
            label: one_line(&lane.label),
            said: tell::cost(lane),
            parts: vec![("money", picos(cost.median))],
            reach: cost.p10.map(picos).zip(cost.p90.map(picos)),
        })
    });
    let (times, costs): (Vec<Bar>, Vec<Bar>) = (times.collect(), costs.collect());
    if times.is_empty() && costs.is_empty() {
        return String::new();
    }
    let key = "<span class=\"key first\"></span>to the first token<span class=\"key rest\"></span>to the end";
    format!(
        "<h2>Time and cost</h2>\n<div class=\"plots\">\n{}{}</div>\n",
        plot("Seconds", key, &times),
        plot("Cost of one answer", "USD for one answer", &costs)
    )
}

fn plot(name: &str, caption: &str, bars: &[Bar]) -> String {
    let ends = bars.iter().map(|bar| {
        let length: u64 = bar.parts.iter().map(|(_, part)| part).sum();
        length.max(bar.reach.map_or(0, |(_, high)| high))
    });
    let Some(longest) = ends.max().map(|longest| longest.max(1)) else { return String::new() };
    let scaled =
        |value: u64| u64::try_from(u128::from(value) * u128::from(PLOT_WIDTH) / u128::from(longest)).unwrap_or(0);
    let told: Vec<String> = bars.iter().map(|bar| format!("{} {}", bar.label, bar.said)).collect();
    let mut text = format!(
        "<figure><figcaption>{caption}</figcaption>\n<svg viewBox=\"0 0 {PLOT_WIDTH} {}\" role=\"img\" aria-label=\"{}: {}\">\n",
        bars.len() * BAR_ROW,
        escaped(name),
        escaped(&told.join("; "))
    );
    for (row, bar) in bars.iter().enumerate() {
        let top = row * BAR_ROW;
        let (words, bars) = (top + 15, top + 23);
        text.push_str(&format!(
            "<text x=\"0\" y=\"{words}\">{}</text><text x=\"{PLOT_WIDTH}\" y=\"{words}\" text-anchor=\"end\">{}</text>\n",
            escaped(&bar.label),
            escaped(&bar.said)
        ));
        text.push_str(&format!(
            "<rect class=\"track\" x=\"0\" y=\"{}\" width=\"{PLOT_WIDTH}\" height=\"2\"/>",
            bars + 4
        ));
        let mut from = 0;
        for (class, part) in &bar.parts {
            let (left, right) = (scaled(from), scaled(from + part));
            from += part;
            // What is not nothing is seen.
            let wide = (right - left).max(u64::from(*part > 0) * 2);
            text.push_str(&format!(
                "<rect class=\"{class}\" x=\"{left}\" y=\"{bars}\" width=\"{wide}\" height=\"10\"/>"
            ));
        }
        if let Some((low, high)) = bar.reach {
            let (low, high, middle) = (scaled(low), scaled(high), bars + 5);
            text.push_str(&format!(
                "<path class=\"reach\" d=\"M{low} {middle}H{high}M{low} {bars}v10M{high} {bars}v10\" fill=\"none\"/>"
            ));
        }
        text.push('\n');
    }
    text.push_str("</svg></figure>\n");
    text
}

fn cases(comparison: &Comparison) -> String {
    let mut text = "<h2>Prompts and models</h2>\n<div class=\"scroll\"><table class=\"sortable\" id=\"figures\">\n<caption>Whether each answer came and fulfilled what was asserted, and its cost. A heading sorts the rows.</caption>\n<thead><tr>".to_owned();
    text.push_str(&heading("prompt", false));
    text.extend(comparison.lanes.iter().map(|lane| heading(&one_line(&lane.label), false)));
    text.push_str("</tr></thead>\n<tbody>\n");
    for (case, prompt) in comparison.cases.iter().enumerate() {
        let prompt = escaped(&one_line(prompt));
        text.push_str(&format!("<tr><th scope=\"row\" dir=\"auto\" data-value=\"{case}\">{prompt}</th>"));
        for lane in &comparison.lanes {
            let mut runs = lane.runs.iter().filter(|run| run.case == Some(case)).peekable();
            let class = if runs.peek().is_some() && runs.all(matrix::passed) { "good" } else { "bad" };
            text.push_str(&format!("<td class=\"{class}\">{}</td>", escaped(&matrix::cell(lane, case))));
        }
        text.push_str("</tr>\n");
    }
    text.push_str("</tbody>\n</table></div>\n");
    text
}

fn failures(comparison: &Comparison) -> Vec<String> {
    let told = super::table::failures(comparison);
    told.iter()
        .map(|failure| match failure.split_once("\ntry: ") {
            Some((what, advice)) => format!("{}<span class=\"try\">try: {}</span>", escaped(what), escaped(advice)),
            None => escaped(failure),
        })
        .collect()
}

fn checks(comparison: &Comparison) -> Vec<String> {
    let mut said = Vec::new();
    for lane in &comparison.lanes {
        for check in lane.runs.iter().flat_map(|run| &run.checks).filter(|check| !check.passed) {
            let (label, what, because) =
                (escaped(&one_line(&lane.label)), escaped(&one_line(&check.what)), escaped(&one_line(&check.because)));
            said.push(format!("<strong>{label}</strong>: {what}<span class=\"try\">{because}</span>"));
        }
    }
    said
}

fn list(title: &str, items: &[String]) -> String {
    if items.is_empty() {
        return String::new();
    }
    let items: String = items.iter().map(|item| format!("<li>{item}</li>\n")).collect();
    format!("<h2>{title}</h2>\n<ul class=\"list\">\n{items}</ul>\n")
}

fn judgement(comparison: &Comparison) -> String {
    let Some(judged) = &comparison.judged else { return String::new() };
    let mut text = format!(
        "<h2>Judged by {}</h2>\n<div class=\"scroll\"><table class=\"sortable\">\n<caption>Criteria: {}. Names were not shown, and each pair was judged in both orders; {}.</caption>\n<thead><tr>",
        escaped(&one_line(&judged.model)),
        escaped(&one_line(&judged.criteria)),
        escaped(&tell::judging(judged.cost))
    );
    text.extend(["model", "wins", "ties", "losses"].map(|head| heading(head, head != "model")));
    text.push_str("</tr></thead>\n<tbody>\n");
    for (lane, score) in comparison.lanes.iter().zip(&judged.scores) {
        text.push_str(&format!("<tr><th scope=\"row\">{}</th>", escaped(&one_line(&lane.label))));
        for count in [score.wins, score.ties, score.losses] {
            text.push_str(&format!("<td class=\"number\" data-value=\"{count}\">{count}</td>"));
        }
        text.push_str("</tr>\n");
    }
    text.push_str("</tbody>\n</table></div>\n");
    let notes: Vec<String> = judged.notes.iter().map(|note| escaped(&one_line(note))).collect();
    text.push_str(&notes.iter().map(|note| format!("<p class=\"remark\">{note}</p>\n")).collect::<String>());
    text
}

fn answers(comparison: &Comparison, view: &View) -> String {
    let mut articles = String::new();
    if comparison.cases.is_empty() {
        for answer in shown(comparison, view.diff) {
            let figures = [answer.lane.total().map(|total| tell::seconds(total.median)), Some(tell::cost(answer.lane))];
            let figures: Vec<String> = figures.into_iter().flatten().filter(|said| said != tell::NONE).collect();
            articles.push_str(&article(&one_line(&answer.lane.label), &figures.join(" · "), &answer));
        }
    } else {
        for (case, prompt) in comparison.cases.iter().enumerate() {
            for lane in &comparison.lanes {
                for run in lane.runs.iter().filter(|run| run.case == Some(case) && run.report().is_some()) {
                    let text = visible(&run.text()).into_owned();
                    let remark = tell::remark(run, &text);
                    let answer = Shown { lane, text, remark, marks: None };
                    articles.push_str(&article(&one_line(&lane.label), &one_line(prompt), &answer));
                }
            }
        }
    }
    if articles.is_empty() {
        return String::new();
    }
    format!("<h2>Answers</h2>\n<div class=\"answers\">\n{articles}</div>\n")
}

fn article(label: &str, below: &str, answer: &Shown<'_>) -> String {
    let label = escaped(label);
    let said = match &answer.marks {
        Some(marks) => format!("<div>{}</div>", marked(&answer.text, marks)),
        None => said(&answer.text),
    };
    let remark = answer.remark.as_ref().map(|remark| format!("<p class=\"remark\">{}</p>", escaped(remark)));
    format!(
        "<article><header><h3>{label}</h3><p>{}</p></header>\n<div class=\"said\" dir=\"auto\" tabindex=\"0\" role=\"region\" aria-label=\"Answer of {label}\">{said}{}</div></article>\n",
        escaped(below),
        remark.unwrap_or_default()
    )
}

/// Text as it is, and fenced code in a face of its own.
fn said(text: &str) -> String {
    let mut out = String::new();
    let (mut part, mut fence): (Vec<&str>, Option<&str>) = (Vec::new(), None);
    let close = |part: &mut Vec<&str>, code: bool, out: &mut String| {
        let lines = std::mem::take(part).join("\n");
        if code {
            out.push_str(&format!("<pre><code>{}</code></pre>", escaped(&lines)));
        } else if !lines.trim().is_empty() {
            out.push_str(&format!("<div>{}</div>", escaped(lines.trim_matches('\n'))));
        }
    };
    for line in text.lines() {
        let marks = line.trim_start();
        let ticks = &marks[..marks.len() - marks.trim_start_matches('`').len()];
        match fence {
            None if ticks.len() >= 3 && !marks[ticks.len()..].contains('`') => {
                close(&mut part, false, &mut out);
                fence = Some(ticks);
            }
            Some(open) if ticks.len() >= open.len() && marks.trim_end() == ticks => {
                close(&mut part, true, &mut out);
                fence = None;
            }
            None | Some(_) => part.push(line),
        }
    }
    close(&mut part, fence.is_some(), &mut out);
    out
}

fn marked(text: &str, marks: &[Range<usize>]) -> String {
    let mut out = String::new();
    let mut at = 0;
    for mark in marks {
        out.push_str(&escaped(&text[at..mark.start]));
        out.push_str(&format!("<mark>{}</mark>", escaped(&text[mark.clone()])));
        at = mark.end;
    }
    out.push_str(&escaped(&text[at..]));
    out
}
