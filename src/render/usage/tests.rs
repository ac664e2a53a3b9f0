//! Reports as they are shown: the screens at each width, the files, and what no figure may become.

use std::sync::Arc;

use unicode_width::UnicodeWidthStr as _;

use super::{View, csv, json, markdown, table};
use crate::domain::money::Usd;
use crate::domain::record::Price;
use crate::domain::spend::currency::Currency;
use crate::domain::spend::period::Period;
use crate::domain::spend::report::{Before, Frame, Month, Monthly, Order, Report, regrouped, rows};
use crate::domain::spend::{Dimension, Group, Key, Tally};
use crate::domain::untrusted::json_line;
use crate::domain::window::Zone;
use crate::render::terminal::Screen;

fn at(columns: usize) -> View {
    View { screen: Screen { terminal: true, colour: false, width: Some(columns), dumb: false }, drawn: false }
}

fn piped() -> View {
    View { screen: Screen { terminal: false, colour: false, width: None, dumb: true }, drawn: false }
}

fn usd(text: &str) -> i128 {
    Usd::parse(text).expect("an amount").picos.into()
}

/// 2026-11-22, 23:00 UTC.
const NOW: i64 = 1_795_388_400_000;

/// Day of November, model, calls, fresh, read, written, output, dollars.
type Sums = (i8, &'static str, u64, u64, u64, u64, u64, &'static str);

/// A week of four models, made so that its sums by day are those of the documented screens.
const WEEK: [Sums; 16] = [
    (17, "anthropic/claude-opus-4-5", 19, 37_750, 4_287_892, 253_978, 70_553, "3.270"),
    (17, "anthropic/claude-sonnet-4-5", 1, 0, 0, 0, 0, "0.000"),
    (17, "anthropic/claude-haiku-4-5", 1, 0, 0, 0, 0, "0.000"),
    (19, "anthropic/claude-opus-4-5", 75, 191_864, 18_930_262, 1_285_690, 242_597, "19.360"),
    (19, "anthropic/claude-sonnet-4-5", 27, 18_340, 4_503_235, 313_654, 41_676, "0.000"),
    (19, "anthropic/claude-haiku-4-5", 1, 0, 0, 0, 0, "0.000"),
    (20, "anthropic/claude-opus-4-5", 1, 0, 0, 0, 0, "6.300"),
    (20, "anthropic/claude-sonnet-4-5", 104, 261_548, 21_816_425, 1_446_163, 326_914, "12.990"),
    (20, "anthropic/claude-haiku-4-5", 1, 0, 0, 0, 0, "0.000"),
    (20, "openai/gpt-5.2-codex", 20, 10_000, 70_000, 20_000, 10_933, "0.280"),
    (21, "anthropic/claude-opus-4-5", 1, 0, 0, 0, 0, "0.000"),
    (21, "anthropic/claude-sonnet-4-5", 20, 30_768, 4_496_265, 323_265, 55_085, "8.204"),
    (21, "anthropic/claude-haiku-4-5", 21, 46_669, 5_128_768, 288_866, 76_711, "0.000"),
    (22, "anthropic/claude-opus-4-5", 1, 0, 0, 0, 0, "0.000"),
    (22, "anthropic/claude-sonnet-4-5", 1, 0, 29_000, 0, 0, "3.796"),
    (22, "anthropic/claude-haiku-4-5", 40, 88_398, 8_204_049, 616_821, 107_495, "3.530"),
];

fn week() -> Vec<Group> {
    let mut groups: Vec<Group> = WEEK
        .iter()
        .map(|(day, model, calls, input, cache_read, cache_write, output, dollars)| Group {
            keys: vec![Key::Date(jiff::civil::date(2026, 11, *day)), Key::Text((*model).to_owned())],
            tally: Tally {
                calls: *calls,
                input: *input,
                cache_read: *cache_read,
                cache_write: *cache_write,
                output: *output,
                picos: usd(dollars),
                at_most: usd(dollars),
                ..Tally::default()
            },
            price: Some(Arc::new(Price {
                table: "bundled".to_owned(),
                version: "1".to_owned(),
                sha256: String::new(),
                entry: (*model).to_owned(),
                row_from: None,
                checked: Some("2026-11-20".to_owned()),
            })),
        })
        .collect();
    groups.sort_by(|one, other| one.keys.cmp(&other.keys));
    groups[0].tally.failed = 3;
    groups[0].tally.failed_free = 3;
    groups
}

fn report(days: Vec<Group>, by: &[Dimension]) -> Report {
    let period = Period::parse("2026-11-16..2026-11-22", NOW, &Zone::utc()).expect("a period");
    let frame = Frame { period: &period, now_ms: NOW, fills: true, before: None };
    let places: Vec<usize> = by.iter().map(|one| usize::from(*one != Dimension::Day)).collect();
    let total = days.iter().fold(Tally::default(), |sum, group| sum.plus(group.tally));
    Report {
        made_ms: NOW,
        filter: String::new(),
        by: by.to_vec(),
        rows: rows(&regrouped(&days, &places), by, &frame, None, None),
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

/// The report of the documented screens.
fn documented() -> Report {
    let mut report = report(week(), &[Dimension::Day]);
    let before = Tally { calls: 90, picos: usd("23.66"), at_most: usd("23.66"), ..Tally::default() };
    let period = report.period.previous().expect("days");
    report.before = Some(Before { period, total: before, asked: false });
    let to_date = Tally { calls: 500, picos: usd("90.88"), at_most: usd("90.88"), ..Tally::default() };
    let november = Period::parse("2026-11", NOW, &Zone::utc()).expect("a month");
    let budget = Monthly { name: "all".to_owned(), limit: Usd::parse("150").expect("an amount"), zone: Zone::utc() };
    report.month = Some(Month::of(november, to_date, NOW, Some(budget)));
    report
}

#[test]
fn what_nobody_knows_has_no_share_and_no_rate() {
    let mut days = week();
    for group in days.iter_mut().filter(|group| group.keys[1] == Key::Text("openai/gpt-5.2-codex".to_owned())) {
        group.tally = Tally { unpriced: group.tally.calls, picos: 0, at_most: 0, ..group.tally };
    }
    let shown = table::page(&report(days, &[Dimension::Model]), &piped());
    let row = shown.lines().find(|line| line.starts_with("openai/gpt-5.2-codex")).expect("a row");
    assert!(row.contains("unknown") && !row.contains(" 0%") && !row.contains("0.000"), "{row}");
}

#[test]
fn a_meter_without_an_amount_makes_no_known_sum_uncertain() {
    let mut days = week();
    for group in &mut days {
        let calls = group.tally.calls;
        group.keys = vec![group.keys[1].clone(), Key::Text("input".to_owned())];
        group.tally = Tally { calls, unpriced: calls, units: 7, ..Tally::default() };
    }
    let charged = |group: Group| Group { keys: vec![group.keys[1].clone(), Key::Text(String::new())], ..group };
    days.extend(week().into_iter().map(charged));
    let by = [Dimension::Model, Dimension::Meter];
    let mut report = report(week(), &[Dimension::Model]);
    let frame = Frame { period: &report.period, now_ms: NOW, fills: true, before: None };
    report.rows = rows(&regrouped(&days, &[0, 1]), &by, &frame, None, None);
    report.by = by.to_vec();
    let shown = table::page(&report, &piped());
    assert!(shown.contains("36.53") || shown.contains("28.93"), "{shown}");
    assert!(!shown.contains('+'), "{shown}");
}

#[test]
fn screens_are_as_documented_at_each_width() {
    let report = documented();
    for columns in [60, 80, 120, 200] {
        let page = table::page(&report, &at(columns));
        assert!(page.lines().all(|line| line.width() <= columns), "{page}");
        insta::assert_snapshot!(format!("at_{columns}_columns"), page);
    }
    insta::assert_snapshot!("piped", table::page(&report, &piped()));
}

/// Every run of digits with its points and letters: what a figure is made of.
fn figures(text: &str) -> Vec<String> {
    let is_part = |character: char| character.is_ascii_digit() || ".,KM".contains(character);
    let words =
        text.split(|character: char| !is_part(character)).filter(|word| word.contains(|c: char| c.is_ascii_digit()));
    words.map(str::to_owned).collect()
}

#[test]
fn no_figure_is_cut_at_any_width() {
    let mut days = week();
    days[0].keys[1] =
        Key::Text("a-provider-of-a-long-name/日本語のモデル-with-a-name-that-goes-on-and-on-v2".to_owned());
    for by in [
        &[Dimension::Day][..],
        &[Dimension::Model],
        &[Dimension::Day, Dimension::Model],
        &[Dimension::Model, Dimension::Day],
    ] {
        let report = Report { ..report(days.clone(), by) };
        for columns in 8..=220 {
            let page = table::page(&report, &at(columns));
            assert!(columns < 30 || page.lines().all(|line| line.width() <= columns), "{columns}: {page}");
            for cost in ["57.73", "19.36", "8.20", "3.27"] {
                let shown = by[0] != Dimension::Day || figures(&page).contains(&cost.to_owned());
                assert!(shown, "{cost} at {columns}: {page}");
            }
            assert!(figures(&page).contains(&"57.73".to_owned()), "{columns}: {page}");
            assert!(!page.contains('\u{1b}'));
        }
    }
}

#[test]
fn groups_come_by_cost_with_their_shares_and_two_dimensions_one_below_the_other() {
    insta::assert_snapshot!("by_model", table::page(&report(week(), &[Dimension::Model]), &at(120)));
    insta::assert_snapshot!(
        "by_day_and_model",
        table::page(&report(week(), &[Dimension::Day, Dimension::Model]), &at(80))
    );
    insta::assert_snapshot!(
        "by_model_and_day",
        table::page(&report(week(), &[Dimension::Model, Dimension::Day]), &at(120))
    );
}

#[test]
fn what_is_not_known_or_not_certain_stands_beside_every_sum() {
    let mut days = week();
    days[0].tally.unpriced = 2;
    days[2].tally.uncertain = 1;
    days[2].tally.at_most = days[2].tally.picos + usd("0.5");
    days[3].tally = Tally { calls: 3, unpriced: 3, open: 2, open_unknown: 1, held: usd("0.75"), ..Tally::default() };
    days[4].tally.simulated = 4;
    days[4].tally.simulated_picos = usd("0.02");
    days[5].tally.failed = 2;
    let mut report = report(days, &[Dimension::Day]);
    report.imported = Tally { calls: 7, picos: usd("1.5"), at_most: usd("1.5"), ..Tally::default() };
    insta::assert_snapshot!("uncertain", table::page(&report, &at(100)));
    let object = json::object(&report);
    assert_eq!(object["total"]["at_most_usd"], serde_json::Value::Null);
    assert_eq!(object["total"]["held_usd"], serde_json::Value::Null);
}

#[test]
fn an_estimate_is_bounded_on_both_sides() {
    let mut days = week();
    days[2].tally.uncertain = 1;
    days[2].tally.at_most += usd("0.5");
    let page = table::page(&report(days, &[Dimension::Day]), &at(120));
    assert!(page.starts_with("Spend at least $57.73, at most $58.23   "), "{page}");
    assert!(page.contains("Estimated: 1 (~ at most $58.23)"), "{page}");
}

#[test]
fn a_small_amount_is_never_shown_as_nothing() {
    let mut days = week();
    days.truncate(2);
    days[0].tally.picos = 1_234;
    days[1].tally.picos = usd("0.05");
    days[1].keys[0] = Key::Date(jiff::civil::date(2026, 11, 18));
    let report = report(days, &[Dimension::Day]);
    let page = table::page(&report, &at(80));
    assert!(page.contains("0.0000000012") && page.contains("0.0500000000"), "{page}");
    assert_eq!(json::object(&report)["groups"][1]["usd"], "0.000000001234");
}

#[test]
fn beside_whole_dollars_the_least_amounts_are_told_to_be_less() {
    let mut days = week();
    days[0].tally.picos = 1_234;
    days[0].keys[1] = Key::Text("tiny".to_owned());
    let page = table::page(&report(days, &[Dimension::Model]), &at(80));
    assert!(page.contains(" <0.000001") && page.contains(" 0.280000"), "{page}");
}

#[test]
fn a_breached_budget_alone_is_told_in_colour() {
    let mut report = documented();
    let colour = |report: &Report| {
        let screen = Screen { colour: true, ..at(80).screen };
        table::page(report, &View { screen, drawn: false })
    };
    assert!(!colour(&report).contains("\u{1b}[91m"));
    if let Some(budget) = report.month.as_mut().and_then(|month| month.budget.as_mut()) {
        budget.limit = Usd::parse("90").expect("an amount");
    }
    let page = colour(&report);
    assert!(page.contains("\u{1b}[91mMonth to date $90.88 of $90.00 (101%), over budget all"), "{page}");
    assert!(page.contains("\u{1b}[36m█"), "{page}");
}

#[test]
fn another_currency_says_its_rate_and_dollars_stay_in_json() {
    let mut report = documented();
    report.currency = Currency::parse("EUR@0.92").expect("a rate");
    let page = table::page(&report, &at(120));
    assert!(page.starts_with("Spend 53.11 EUR   ") && page.contains("EUR at 0.92 for $1"), "{page}");
    assert!(page.contains("Month to date 83.61 EUR of 138.00 EUR (61%)"), "{page}");
    assert!(!page.contains("$/"), "{page}");
    let object = json::object(&report);
    assert_eq!(object["total"]["usd"], "57.73");
    assert_eq!(object["currency"]["rate"], "0.92");
}

#[test]
fn the_others_are_one_row_and_the_sum_stays_whole() {
    let mut report = report(week(), &[Dimension::Model]);
    let frame = Frame { period: &report.period, now_ms: NOW, fills: true, before: None };
    report.rows = rows(&regrouped(&report.days, &[1]), &report.by, &frame, Some(Order::Cost), Some(1));
    let page = table::page(&report, &at(80));
    assert!(page.contains("3 others") && page.contains("57.73"), "{page}");
    let sum: i128 = report.rows.iter().map(|row| row.tally.picos).sum();
    assert_eq!(sum, report.total.picos);
}

#[test]
fn a_comparison_says_what_is_new_and_what_is_gone() {
    let mut report = report(week(), &[Dimension::Model]);
    let group = |name: &str, dollars| Group {
        keys: vec![Key::Text(name.to_owned())],
        tally: Tally { calls: 1, picos: usd(dollars), at_most: usd(dollars), ..Tally::default() },
        price: None,
    };
    let earlier = [group("anthropic/claude-opus-4-5", "14.465"), group("openai/gpt-4.1", "5")];
    let frame = Frame { period: &report.period, now_ms: NOW, fills: true, before: Some(&earlier) };
    report.rows = rows(&regrouped(&report.days, &[1]), &report.by, &frame, None, None);
    let total = earlier.iter().fold(Tally::default(), |sum, group| sum.plus(group.tally));
    report.before = report.period.previous().map(|period| Before { period, total, asked: true });
    insta::assert_snapshot!("compared", table::page(&report, &at(120)));
}

#[test]
fn names_from_outside_steer_nothing_in_any_format() {
    let hostile = "=cmd|' /C calc'!A0\u{1b}[2J,\"x\"<b>|\n\u{202e}y";
    let mut days = week();
    for group in &mut days {
        group.keys[1] = Key::Text(hostile.to_owned());
    }
    let mut report = report(days, &[Dimension::Model]);
    report.filter = "model~\u{1b}[2J".to_owned();
    let shown = [
        table::page(&report, &at(120)),
        table::page(&report, &piped()),
        markdown::text(&report),
        json_line(&json::object(&report)),
    ];
    for text in shown {
        assert!(!text.contains(['\u{1b}', '\u{202e}']), "{text}");
    }
    assert!(markdown::text(&report).contains("&lt;b&gt;\\|"), "{}", markdown::text(&report));
    let text = csv::text(&report);
    let mut reader = ::csv::Reader::from_reader(text.as_bytes());
    let row = reader.records().next().expect("a row").expect("CSV");
    assert_eq!(row.get(0), Some(format!("'{hostile}").as_str()));
    assert_eq!(row.get(13), Some("57.73"));
}

#[test]
fn files_hold_every_group_exactly() {
    let report = report(week(), &[Dimension::Day, Dimension::Model]);
    insta::assert_snapshot!("csv", csv::text(&report).replace("\r\n", "\n"));
    insta::assert_snapshot!("markdown", markdown::text(&documented()));
    insta::assert_snapshot!(
        "json",
        serde_json::to_string_pretty(&json::object(&Report { days: Vec::new(), ..documented() })).expect("JSON")
    );
}

#[test]
fn nothing_says_what_to_do() {
    let empty = report(Vec::new(), &[Dimension::Day]);
    let page = table::page(&empty, &at(80));
    assert!(page.contains("Spend $0.00") && page.contains("llmx chat -m sim/echo"), "{page}");
    let later = Report { known: Some((NOW - 40 * 86_400_000, NOW - 30 * 86_400_000)), ..empty };
    let page = table::page(&later, &at(80));
    assert!(page.contains("llmx usage 2026-10-13..2026-10-23"), "{page}");
    let object = json::object(&later);
    assert_eq!((&object["total"]["calls"], &object["total"]["usd"]), (&0.into(), &"0".into()));
}

#[test]
fn meters_add_up_in_amounts_and_not_in_calls() {
    let mut report = report(Vec::new(), &[Dimension::Meter]);
    let group = |name: &str, units, dollars| Group {
        keys: vec![Key::Text(name.to_owned())],
        tally: Tally { calls: 5, units, picos: usd(dollars), at_most: usd(dollars), ..Tally::default() },
        price: None,
    };
    let groups = [group("", 0, "0.25"), group("input", 1_234_567, "1.5"), group("output", 89_000, "2.25")];
    let frame = Frame { period: &report.period, now_ms: NOW, fills: true, before: None };
    report.rows = rows(&groups, &report.by, &frame, None, None);
    report.total = Tally { calls: 5, picos: usd("4"), at_most: usd("4"), ..Tally::default() };
    insta::assert_snapshot!("by_meter", table::page(&report, &at(80)));
    assert_eq!(json::object(&report)["groups"][0]["calls"], serde_json::Value::Null);
}
