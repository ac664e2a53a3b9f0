//! The web page of a report: what it says, that it is well-formed, and that nothing from outside becomes a part of it.

use std::collections::{BTreeMap, BTreeSet};

use jiff::civil::Date;
use llmx::domain::money::Usd;
use llmx::domain::record::{NewCall, Price, Record, RecordLine, Settled, Settlement};
use llmx::domain::spend::currency::Currency;
use llmx::domain::spend::forecast::Ahead;
use llmx::domain::spend::period::Period;
use llmx::domain::spend::report::{Before, Frame, Month, Monthly, Report, Row, regrouped, rows};
use llmx::domain::spend::{Dimension, Group, Key, Tally};
use llmx::domain::window::Zone;
use llmx::render::usage::html::{Beside, page};

/// 2026-11-22, 18:00 UTC: 19:00 in Berlin.
const NOW: i64 = 1_795_370_400_000;
const PICOS: i128 = 1_000_000_000_000;

const MODELS: [&str; 8] = [
    "anthropic/claude-opus-4-5",
    "anthropic/claude-sonnet-4-5",
    "bedrock/eu.anthropic.claude-sonnet-4-5-20250929-v1:0",
    "openai/gpt-5.2-codex",
    "google/gemini-3-pro",
    "anthropic/claude-haiku-4-5",
    "mistral/mistral-large-2512",
    "deepseek/deepseek-chat",
];

/// What breaks out of markup, where it can.
const WICKED: &str =
    "</script><script>alert(1)</script>\"'><img src=x onerror=alert(2)>&amp;\u{202e}evil\u{2066}\u{7}\u{1b}[31m";

fn berlin() -> Zone {
    Zone::named("Europe/Berlin").expect("a zone")
}

fn price(model: &str) -> Price {
    Price {
        table: "bundled".into(),
        version: "2026.11.20".into(),
        entry: model.into(),
        row_from: Some("2026-03-01".into()),
        checked: Some("2026-11-20".into()),
        ..Price::default()
    }
}

/// Sums of each day of a period and of each model, made up without a pattern that a chart would hide.
fn days(period: &Period, models: &[&str]) -> Vec<Group> {
    let mut groups = Vec::new();
    let today = period.zone.date(NOW).expect("a day");
    for (at, day) in period.days().take_while(|day| *day <= today).enumerate() {
        let weekend = day.weekday().to_monday_zero_offset() > 4;
        let mut models: Vec<(usize, &&str)> = models.iter().enumerate().collect();
        models.sort_by_key(|(_, model)| **model);
        for (place, model) in models {
            let size = u64::try_from((at * 37 + place * 53) % 29 + 3).expect("small");
            if weekend || (at + place) % 5 == 4 {
                continue;
            }
            let calls = size * 2 / (u64::try_from(place).expect("small") + 1) + 1;
            let picos = i128::from(calls) * PICOS / (i128::try_from(place).expect("small") + 2);
            let tally = Tally {
                calls,
                input: calls * 2_113,
                cache_read: calls * 17_400,
                cache_write: calls * 950,
                output: calls * 730,
                reasoning: calls * 210,
                picos,
                at_most: picos,
                ..Tally::default()
            };
            groups.push(Group { keys: vec![Key::Date(day), text(model)], tally, price: Some(price(model).into()) });
        }
    }
    groups
}

fn text(text: &str) -> Key {
    Key::Text(text.to_owned())
}

fn report(period: Period, days: Vec<Group>, by: &[Dimension], groups: &[Group]) -> Report {
    let frame = Frame { period: &period, now_ms: NOW, fills: true, before: None };
    let total = days.iter().fold(Tally::default(), |sum, group| sum.plus(group.tally));
    Report {
        made_ms: NOW,
        filter: String::new(),
        by: by.to_vec(),
        rows: rows(groups, by, &frame, None, None),
        total,
        models: rows(&regrouped(&days, &[1]), &[Dimension::Model], &frame, None, None),
        days,
        imported: Tally::default(),
        before: None,
        month: None,
        currency: Currency::default(),
        known: None,
        absent: None,
        left_out: 0,
        period,
    }
}

fn month(report: &Report, budget: &str, dollars: i64) -> Month {
    let period = Period::parse("2026-11", NOW, &report.period.zone).expect("a month");
    let limit = Usd::from_picos(dollars * 1_000_000_000_000);
    Month::of(period, report.total, NOW, Some(Monthly { name: budget.to_owned(), limit, zone: berlin() }))
}

/// From today's sum on, with a band that widens.
fn ahead(sum: i128) -> Vec<Ahead> {
    (22..=30)
        .map(|day| {
            let days = i128::from(day - 21);
            let expected = sum + days * 21 * PICOS;
            let day = jiff::civil::date(2026, 11, day);
            Ahead { day, low: expected - days * 6 * PICOS, expected, high: expected + days * 9 * PICOS }
        })
        .collect()
}

fn projects(report: &Report, names: &[&str]) -> Vec<Row> {
    let left = |at: usize| report.total.picos >> (at + 1);
    let groups: Vec<Group> = names
        .iter()
        .enumerate()
        .map(|(at, name)| {
            let tally =
                Tally { calls: report.total.calls >> (at + 1), picos: left(at), at_most: left(at), ..Tally::default() };
            Group { keys: vec![text(name)], tally, price: None }
        })
        .collect();
    let frame = Frame { period: &report.period, now_ms: NOW, fills: false, before: None };
    rows(&groups, &[Dimension::Project], &frame, None, None)
}

fn call(at: i64, model: &str, project: &str, settlement: Option<Settlement>) -> Record {
    let (provider, model) = model.split_once('/').expect("provider/model");
    Record {
        opened_ms: NOW - at * 4_321_000,
        call: NewCall {
            id: format!("019ab{at:03}-7c1e-7f00-8000-0000000000{at:02}"),
            provider: provider.into(),
            model: model.into(),
            project: Some(project.into()),
            user: Some("ana".into()),
            ceiling: Some(Usd::from_picos(4_500_000_000_000)),
            ..NewCall::default()
        },
        settled: settlement.map(|settlement| Settled { finished_ms: NOW, settlement }),
        corrections: Vec::new(),
        said: Some("never on the page".into()),
        source: None,
        requests: 1,
    }
}

fn ended(picos: i64, basis: &str) -> Settlement {
    let line = |meter: &str, quantity| RecordLine { meter: meter.into(), quantity, ..RecordLine::default() };
    Settlement {
        basis: basis.into(),
        total: Some(Usd::from_picos(picos)),
        at_most: (basis == "estimated").then_some(Usd::from_picos(picos * 2)),
        stop_reason: Some("stop".into()),
        lines: vec![line("input", 48_211), line("cache_read", 612_004), line("output", 7_020)],
        ..Settlement::default()
    }
}

/// A month with everything: a budget, a forecast, projects, the dearest calls, a comparison.
fn november() -> String {
    let period = Period::parse("month", NOW, &berlin()).expect("a month");
    let mut days = days(&period, &MODELS);
    days[3].tally.failed = 4;
    days[3].tally.failed_free = 3;
    days[7].tally.unpriced = 2;
    days[9].tally.uncertain = 1;
    days[9].tally.at_most += 2 * PICOS;
    let groups = days.clone();
    let mut report = report(period, days, &[Dimension::Day, Dimension::Model], &groups);
    report.total.open = 1;
    report.total.held = 450_000_000_000;
    let before = Tally { calls: 900, picos: 241 * PICOS, at_most: 241 * PICOS, ..Tally::default() };
    let prior = report.period.previous().expect("days");
    report.before = Some(Before { period: prior, total: before, asked: false });
    report.month = Some(month(&report, "platform", 600));
    let dearest = [
        call(1, MODELS[0], "checkout", Some(ended(3_120_000_000_000, "table"))),
        call(2, MODELS[2], "search", Some(ended(2_050_500_000_000, "estimated"))),
        call(3, MODELS[3], "checkout", Some(ended(1_999_000_000_000, "reported"))),
        call(4, MODELS[1], "support-bot", None),
    ];
    let (ahead, projects) = (ahead(report.total.picos), projects(&report, &["checkout", "search", "support-bot", ""]));
    page(&report, &Beside { ahead: &ahead, projects: &projects, dearest: &dearest, ..Beside::default() })
}

/// The default: seven days by day, two models, the month known only as a sum.
fn week() -> String {
    let period = Period::parse("7d", NOW, &berlin()).expect("days");
    let days = days(&period, &MODELS[..2]);
    let groups = regrouped(&days, &[0]);
    let mut report = report(period, days, &[Dimension::Day], &groups);
    report.month = Some(month(&report, "all", 40));
    page(&report, &Beside::default())
}

/// More days than bars, by month, in another currency.
fn year() -> String {
    let period = Period::parse("2026-01-01..2026-11-22", NOW, &berlin()).expect("days");
    let days = days(&period, &MODELS[..4]);
    let mut sums: BTreeMap<Date, Group> = BTreeMap::new();
    for group in &days {
        let Key::Date(day) = &group.keys[0] else { panic!("a day") };
        let sum = sums.entry(day.first_of_month()).or_default();
        *sum = Group { keys: vec![Key::Date(day.first_of_month())], tally: sum.tally.plus(group.tally), price: None };
    }
    let groups: Vec<Group> = sums.into_values().collect();
    let mut report = report(period, days, &[Dimension::Month], &groups);
    report.currency = Currency::parse("EUR@0.92").expect("a rate");
    page(&report, &Beside::default())
}

/// Names that would like to be more than names.
fn strange() -> String {
    let period = Period::parse("2026-11-20..2026-11-22", NOW, &berlin()).expect("days");
    let wicked = format!("{WICKED}/{WICKED}");
    let mut days = days(&period, &[&wicked]);
    let mut unknown = days[0].clone();
    unknown.keys[1] = text("אבג/דהו");
    unknown.tally = Tally { calls: 3, unpriced: 3, ..Tally::default() };
    days.push(unknown);
    days.sort_by(|one, other| one.keys.cmp(&other.keys));
    let tag = Dimension::Tag(WICKED.to_owned());
    let groups: Vec<Group> = days.iter().map(|group| Group { keys: vec![text(WICKED)], ..group.clone() }).collect();
    let mut report = report(period, days, &[tag], &groups);
    report.filter = format!("project=\"{WICKED}\"");
    report.month = Some(month(&report, WICKED, 1));
    let mut stopped = ended(5, WICKED);
    stopped.error_class = Some(WICKED.into());
    let mut record = call(1, &format!("x/{WICKED}"), WICKED, Some(stopped));
    record.call.id = WICKED.into();
    record.call.region = Some(WICKED.into());
    let beside_days: Vec<(Date, i128)> = report.by_day().into_iter().map(|(day, tally)| (day, tally.picos)).collect();
    let projects = projects(&report, &[WICKED, "two"]);
    page(&report, &Beside { month_days: &beside_days, projects: &projects, dearest: &[record], ..Beside::default() })
}

fn empty() -> String {
    let period = Period::parse("7d", NOW, &berlin()).expect("days");
    page(&report(period, Vec::new(), &[Dimension::Day], &[]), &Beside::default())
}

fn pages() -> [(&'static str, String); 5] {
    [("november", november()), ("week", week()), ("year", year()), ("strange", strange()), ("empty", empty())]
}

#[test]
fn each_page_is_as_it_was() {
    for (name, page) in pages() {
        insta::assert_snapshot!(format!("{name}.html"), page);
    }
}

/// An element that has begun, or ended.
#[derive(Debug)]
enum Tag {
    Begin(String, Vec<(String, String)>),
    End(String),
}

const VOID: [&str; 4] = ["meta", "br", "img", "link"];

/// The tags of a page, with a panic where one is not written as XML wants it too: quoted attributes, no bare `<` or `&`.
fn tags(page: &str) -> Vec<Tag> {
    let mut tags = Vec::new();
    let mut rest = page.strip_prefix("<!doctype html>").expect("a document type");
    while let Some(at) = rest.find('<') {
        entities(&rest[..at]);
        let inside = &rest[at + 1..];
        let end = inside.find('>').expect("a tag ends");
        let (mut tag, after) = (&inside[..end], &inside[end + 1..]);
        rest = after;
        if let Some(name) = tag.strip_prefix('/') {
            tags.push(Tag::End(name.to_owned()));
            continue;
        }
        let alone = tag.ends_with('/');
        tag = tag.trim_end_matches('/');
        let (name, mut words) = tag.split_once(' ').unwrap_or((tag, ""));
        assert!(!name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric()), "<{tag}>");
        let mut attributes = Vec::new();
        while !words.is_empty() {
            let (key, value) = words.split_once("=\"").unwrap_or_else(|| panic!("<{tag}>: a bare attribute"));
            let (value, more) = value.split_once('"').expect("a value ends");
            entities(value);
            assert!(more.is_empty() || more.starts_with(' '), "<{tag}>");
            attributes.push((key.to_owned(), value.to_owned()));
            words = more.trim_start();
        }
        tags.push(Tag::Begin(name.to_owned(), attributes));
        if alone || VOID.contains(&name) {
            tags.push(Tag::End(name.to_owned()));
        }
        // What stands in these is no markup.
        if name == "style" || name == "script" {
            rest = &rest[rest.find(&format!("</{name}>")).expect("it ends")..];
        }
    }
    tags
}

fn entities(text: &str) {
    for part in text.split('&').skip(1) {
        let known = ["amp;", "lt;", "gt;", "quot;", "#39;"].iter().any(|entity| part.starts_with(entity));
        assert!(known, "a bare & before {part}");
    }
}

#[test]
fn every_page_is_well_formed_and_every_reference_has_its_end() {
    for (name, page) in pages() {
        let (mut open, mut ids, mut wanted) = (Vec::new(), BTreeSet::new(), BTreeSet::new());
        for tag in tags(&page) {
            match tag {
                Tag::End(end) => assert_eq!(open.pop(), Some(end.clone()), "{name}: </{end}>"),
                Tag::Begin(begun, attributes) => {
                    for (key, value) in attributes {
                        match key.as_str() {
                            "id" => assert!(ids.insert(value.clone()), "{name}: two have the id {value}"),
                            "aria-labelledby" => wanted.extend(value.split(' ').map(str::to_owned)),
                            "href" => assert!(wanted.insert(value.strip_prefix('#').expect("on the page").to_owned())),
                            "fill" => {
                                let id = value.strip_prefix("url(#").and_then(|id| id.strip_suffix(')'));
                                wanted.insert(id.expect("a pattern").to_owned());
                            }
                            _ => assert!(!key.starts_with("on") && !["src", "style", "action"].contains(&key.as_str())),
                        }
                    }
                    open.push(begun);
                }
            }
        }
        assert!(open.is_empty(), "{name}: {open:?} never end");
        assert!(wanted.is_subset(&ids), "{name}: {:?}", wanted.difference(&ids).collect::<Vec<_>>());
    }
}

#[test]
fn nothing_from_outside_becomes_a_part_of_the_page() {
    let honest = tags(&november());
    let scripts =
        |tags: &[Tag]| tags.iter().filter(|tag| matches!(tag, Tag::Begin(name, _) if name == "script")).count();
    let page = strange();
    let found = tags(&page);
    assert_eq!((scripts(&found), scripts(&honest)), (1, 1));
    assert!(!found.iter().any(|tag| matches!(tag, Tag::Begin(name, _) if name == "img")));
    for steering in ['\u{202e}', '\u{2066}', '\u{7}', '\u{1b}'] {
        assert!(!page.contains(steering), "{steering:?}");
    }
    assert!(page.contains("&lt;/script&gt;&lt;script&gt;alert(1)") && page.contains("<bdi>אבג/דהו</bdi>"));
    assert!(page.contains("default-src 'none'") && !page.contains("http://") && !page.contains("https://"));
    assert!(!november().contains("never on the page"), "prompts stay in the ledger");
}

/// The text of a page without its tags, style and script.
fn words(page: &str) -> String {
    let body = page.split_once("<body>").expect("a body").1;
    let body = body.split_once("<script>").map_or(body, |(body, _)| body);
    let parts = body.split('<').map(|part| part.split_once('>').map_or(part, |(_, text)| text));
    parts.collect::<Vec<_>>().join(" ").split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn what_is_not_in_a_sum_stands_beside_it() {
    let said = words(&november());
    for part in [
        "at least $",
        "Unpriced 2 in no sum: each is “at least”",
        "Failed, not billed 3",
        "Failed, billed 1",
        "Estimated 1",
        "Open 1 held at most $0.45, in no sum",
        "at least: 2 unpriced",
        "1 estimated, at most $",
        "4 failed, 1 billed",
        "(Europe/Berlin)",
        "list 2026-11-20",
        "from 2026-03-01",
        "four ends of five lie in the band",
        "of $600.00 (62%) · forecast $",
        "budget platform $600.00",
        "open held at most $4.50",
        "Days are those of Europe/Berlin",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
    let said = words(&strange());
    assert!(said.contains("3 unpriced unknown –") && said.contains("over budget"), "{said}");
    assert!(words(&year()).contains("Spend by week") && words(&year()).contains("EUR at 0.92 for $1"));
    assert!(words(&empty()).contains("The ledger is empty."));
}

#[test]
fn every_chart_has_a_name_and_a_table_behind_it() {
    let page = november();
    let charts = page.matches("class=\"area").count();
    assert_eq!((charts, page.matches("<details>").count(), page.matches("<desc ").count()), (2, 2, 2));
    let bars = tags(&page).into_iter().filter_map(|tag| match tag {
        Tag::Begin(name, attributes) if name == "g" => attributes.into_iter().find(|(key, _)| key == "aria-label"),
        Tag::Begin(..) | Tag::End(_) => None,
    });
    let told: Vec<String> = bars.map(|(_, told)| told).collect();
    assert_eq!(told.len(), 22, "each day can be focused");
    assert!(
        told[0].contains("Sun 1 Nov: nothing") && told[1].starts_with("Mon 2 Nov: $") && told[1].contains("claude"),
        "{told:?}"
    );
}
