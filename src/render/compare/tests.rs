//! What a comparison looks like, at each width and in each file; and what never happens at any width.

use proptest::prelude::{ProptestConfig, prop};
use proptest::{prop_assert, proptest};

use super::lay::columns as wide;
use super::{Layout, Sort, View, csv, html, json, junit, markdown, page};
use crate::domain::bill::{Basis, Bill, Outcome};
use crate::domain::chat::ChatEvent;
use crate::domain::comparison::tests::{answered, comparison, counted, estimated, lane, unpriced};
use crate::domain::comparison::{Check, Comparison, Judgement, Require, Score, verdict};
use crate::domain::failure::{ErrorClass, Failure};
use crate::domain::money::Usd;
use crate::domain::usage::Meter;
use crate::render::terminal::Screen;

fn view(comparison: &Comparison, width: Option<usize>) -> View {
    let screen = Screen { terminal: width.is_some(), colour: false, width, dumb: false };
    View { screen, sort: None, diff: false, exit: verdict(comparison, Require::All) }
}

fn shown(comparison: &Comparison, width: Option<usize>) -> String {
    let view = view(comparison, width);
    page(comparison, &view, Layout::for_screen(&view.screen))
}

/// Three that answered and one that may not.
fn four() -> Comparison {
    let denied = Failure::new(ErrorClass::Permission, "the account has no access to the model")
        .advise("ask for access in the console of Amazon Bedrock, region eu-west-1");
    let mut failed = answered("", 0, 180, "0");
    failed.answer = crate::domain::answer::Answer::default();
    failed.bill = Bill::of(Basis::Nothing, Some(Usd::default()));
    failed.outcome = Outcome::NeverSent;
    failed.timing.first_token_ms = None;
    failed.region = Some("eu-west-1".into());
    failed.failure = Some(denied);
    let sonnet = "Use a B-tree index when you need range scans or ORDER BY on the indexed column. A hash index only answers equality lookups, and in PostgreSQL it is rarely faster in practice.\n\n```sql\nCREATE INDEX ON orders (created_at);\n```\n\nSwitch to BRIN for append-only tables over ~100 GB.";
    let gpt = "B-tree, unless every query is an exact match.\n\n```sql\nCREATE INDEX ON orders (created_at);\n```\n\nHash indexes cannot serve ranges.";
    let gemini =
        "A B-tree keeps keys sorted, so it serves <, >, BETWEEN and ORDER BY as well as =. A hash index serves = only.";
    let mut all = comparison(vec![
        lane("bedrock/claude-sonnet-4-5", vec![Ok(counted(answered(sonnet, 610, 2840, "0.00133"), 42, 80))]),
        lane("openai/gpt-4.1", vec![Ok(counted(answered(gpt, 340, 1120, "0.00044"), 38, 46))]),
        lane("vertex/gemini-2.5-flash", vec![Ok(counted(answered(gemini, 290, 710, "0.00009"), 40, 33))]),
        lane("bedrock/llama-4-scout", vec![Ok(failed)]),
    ]);
    all.prompt = "B-tree or hash index in PostgreSQL?".into();
    all
}

/// What is hard to measure and what would steer a terminal.
fn strange() -> Comparison {
    let chinese = "索引用B树还是哈希？范围查询只能用B树，哈希索引只支持等值查询。👩‍👩‍👧 两列宽的字符不会被切开。";
    let tabs = "a\tb\tc\n日\tb\tc\n\u{1b}[2J\u{1b}]0;stolen title\u{7}gone?\r\nsecond\rline \u{202e}reversed\u{9b}31m";
    let mut tools = answered("", 200, 900, "0.002");
    tools.answer.add(ChatEvent::ToolCall(crate::domain::chat::ToolCall {
        id: "t1".into(),
        name: "get_\u{1b}weather".into(),
        arguments: "{}".into(),
        ..Default::default()
    }));
    let mut cut = estimated("Half an ans", 100, 30_000, "0.0004", "0.0123");
    cut.failure = Some(
        Failure::new(ErrorClass::Network, "the connection broke \u{1b}[31mhere").maybe_billed().advise("try again"),
    );
    let mut cached = counted(answered(tabs, 50, 400, "0.000000000001"), 12, 5);
    if let Outcome::Reported(usage) = &mut cached.outcome {
        usage.set(Meter::CacheRead, 4096);
        usage.reasoning = Some(3);
    }
    comparison(vec![
        lane("qwen/通义千问-max", vec![Ok(unpriced(chinese, 700, 1500))]),
        lane("sim/tabs", vec![Ok(cached)]),
        lane("sim/tools", vec![Ok(tools)]),
        lane("sim/cut", vec![Ok(cut)]),
    ])
}

fn bands() -> Comparison {
    let lanes = (1..=5).map(|at| {
        let text = format!("Answer {at}: {}", "words that fill the column ".repeat(at));
        lane(&format!("provider-{at}/model"), vec![Ok(counted(answered(&text, 100, 1000 + at as u64, "0.01"), 5, 50))])
    });
    comparison(lanes.collect())
}

fn runs() -> Comparison {
    let times = |from: u64| {
        (0..6).map(move |at| Ok(counted(answered("The answer.", from + at * 7, from * 4 + at * 31, "0.0012"), 20, 60)))
    };
    let mut late: Vec<_> = times(400).collect();
    late[3] = Err(Failure::new(ErrorClass::RateLimit, "too many requests").advise("wait a minute"));
    comparison(vec![lane("fast/one", times(100).collect()), lane("slow/one", late)])
}

fn judged() -> Comparison {
    let mut all = four();
    all.judged = Some(Judgement {
        criteria: "correct, short".into(),
        model: "anthropic/claude-opus-4-5".into(),
        scores: vec![
            Score { wins: 2, ties: 1, losses: 1 },
            Score { wins: 3, ties: 1, losses: 0 },
            Score { wins: 0, ties: 0, losses: 4 },
            Score::default(),
        ],
        cost: Usd::parse("0.0211"),
        notes: vec!["bedrock/llama-4-scout was not judged: it did not answer".into()],
    });
    all.lanes[1].runs[0].checks.push(Check {
        what: "contains:BRIN".into(),
        passed: false,
        because: "it is not there".into(),
    });
    all.lanes[0].runs[0].checks.push(Check {
        what: "contains:BRIN".into(),
        passed: true,
        because: "it is there".into(),
    });
    all
}

fn matrix() -> Comparison {
    let mut all = comparison(vec![
        lane("openai/gpt-4.1", vec![Ok(answered("4", 100, 300, "0.001")), Ok(answered("Lima", 90, 310, "0.002"))]),
        lane(
            "sim/echo",
            vec![Ok(answered("5", 10, 30, "0.0005")), Err(Failure::new(ErrorClass::Timeout, "no answer in 120 s"))],
        ),
    ]);
    all.prompt = String::new();
    all.cases = vec![
        "What is 2+2?".into(),
        "Name the capital of the country that lies west of Brazil and south of Ecuador, 1234567890 words".into(),
    ];
    for lane in &mut all.lanes {
        for (case, run) in lane.runs.iter_mut().enumerate() {
            run.case = Some(case);
        }
    }
    all.lanes[1].runs[0].checks.push(Check {
        what: "contains:4".into(),
        passed: false,
        because: "it is not there".into(),
    });
    all
}

fn samples() -> [(&'static str, Comparison); 6] {
    [
        ("four", four()),
        ("strange", strange()),
        ("bands", bands()),
        ("runs", runs()),
        ("judged", judged()),
        ("matrix", matrix()),
    ]
}

#[test]
fn each_comparison_at_each_width_and_piped() {
    for (name, comparison) in samples() {
        for width in [40, 80, 120, 200] {
            insta::assert_snapshot!(format!("{name}_at_{width}"), shown(&comparison, Some(width)));
        }
        insta::assert_snapshot!(format!("{name}_piped"), shown(&comparison, None));
    }
}

#[test]
fn words_that_only_one_answer_has_are_marked() {
    let four = four();
    let diff = |width, colour| {
        let mut view = View { diff: true, ..view(&four, width) };
        view.screen.colour = colour;
        page(&four, &view, Layout::for_screen(&view.screen))
    };
    insta::assert_snapshot!("diff_at_120", diff(Some(120), false));
    insta::assert_snapshot!("diff_piped", diff(None, false));
    insta::assert_snapshot!("diff_in_colour", diff(Some(120), true).replace('\u{1b}', "␛"));
}

#[test]
fn rows_are_sorted_as_asked_and_the_failed_come_last() {
    let four = four();
    let first = |sort| {
        let text = page(&four, &View { sort: Some(sort), ..view(&four, Some(120)) }, Layout::Table);
        text.lines()
            .skip(1)
            .take(4)
            .map(|line| line.split(['/', ' ']).next().unwrap_or("").to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(first(Sort::Time), ["vertex", "openai", "bedrock", "bedrock"]);
    assert_eq!(first(Sort::Cost), ["vertex", "openai", "bedrock", "bedrock"]);
    let text = page(&four, &View { sort: Some(Sort::First), ..view(&four, Some(120)) }, Layout::Table);
    assert!(text.lines().nth(4).is_some_and(|line| line.contains("llama")), "{text}");
}

#[test]
fn nothing_that_an_answer_holds_steers_the_terminal() {
    for width in [None, Some(30), Some(80), Some(200)] {
        let text = shown(&strange(), width);
        assert!(!text.contains(|one: char| one.is_control() && one != '\n' && one != '\t'), "{text:?}");
        assert!(!text.contains('\u{202e}'), "{text:?}");
    }
    let mut coloured = view(&strange(), Some(100));
    coloured.screen.colour = true;
    let text = page(&strange(), &coloured, Layout::Columns);
    let rest = ["\u{1b}[0m", "\u{1b}[1m", "\u{1b}[2m"].iter().fold(text, |text, ours| text.replace(ours, ""));
    assert!(!rest.contains('\u{1b}'), "{rest:?}");
}

#[test]
fn a_pipe_gets_the_answer_as_it_came() {
    let text = "# Title\n\n  indented  \n\n| a | b |\n|---|---|\n\n\ttab\n\n\nend";
    let one = comparison(vec![lane("sim/echo", vec![Ok(answered(text, 1, 2, "1"))])]);
    assert!(shown(&one, None).starts_with(&format!("== sim/echo\n{text}\n\n")), "{}", shown(&one, None));
}

#[test]
fn ten_thousand_lines_are_all_shown() {
    let text: String = (1..=10_000).map(|at| format!("{at}. 行 line\n")).collect();
    let long = comparison(vec![
        lane("sim/a", vec![Ok(answered(&text, 1, 2, "1"))]),
        lane("sim/b", vec![Ok(answered("short", 1, 2, "1"))]),
    ]);
    let page = shown(&long, Some(80));
    let firsts: Vec<&str> =
        page.lines().filter_map(|line| line.trim_start().split_once(". 行")).map(|(at, _)| at).collect();
    assert_eq!(firsts, (1..=10_000).map(|at: u32| at.to_string()).collect::<Vec<_>>());
    assert!(page.lines().all(|line| wide(line) <= 80));
}

#[test]
fn the_json_has_the_calls_and_what_follows_from_them() {
    let object = json::object(&judged(), 9);
    assert_eq!(object["schema"], 1);
    assert_eq!(object["calls"].as_array().map(Vec::len), Some(4));
    assert_eq!(object["calls"][0]["group"], "g1");
    assert_eq!(object["calls"][1]["checks"][0]["passed"], false);
    assert_eq!(object["calls"][3]["error"]["class"], "permission");
    insta::assert_snapshot!("summary_json", format!("{:#}", object["summary"]));
    let runs = json::object(&runs(), 9);
    assert_eq!(runs["calls"][9]["error"]["class"], "rate-limit");
    assert_eq!(runs["summary"]["by_model"][0]["total_ms"]["median"], 462);
    assert_eq!(json::object(&strange(), 0)["summary"]["cost"]["at_most_usd"], serde_json::Value::Null);
}

#[test]
fn files_for_other_programs() {
    for (name, comparison) in samples() {
        insta::assert_snapshot!(
            format!("{name}.csv"),
            csv::text(&comparison).replace('\r', "␍").replace('\u{1b}', "␛").replace('\u{7}', "␇")
        );
        insta::assert_snapshot!(format!("{name}.md"), markdown::text(&comparison, &view(&comparison, None)));
        insta::assert_snapshot!(format!("{name}.junit.xml"), junit::text(&comparison));
    }
}

#[test]
fn a_spreadsheet_runs_no_answer() {
    for start in ['=', '+', '-', '@', '\t', '\r', '\0'] {
        let text = format!("{start}HYPERLINK(\"x\",1)");
        let row = csv::text(&comparison(vec![lane("sim/a", vec![Ok(answered(&text, 1, 2, "1"))])]));
        assert!(row.contains(&format!("\"'{}\"\r\n", text.replace('"', "\"\""))), "{row:?}");
    }
}

#[test]
fn the_page_runs_nothing_that_it_is_told_and_loads_nothing() {
    let evil = "</div><script>alert(1)</script><img src=x onerror=alert(1)> \" onload='x' ]]> & \u{1b}[2J";
    let mut all = comparison(vec![
        lane("sim/<b>", vec![Ok(answered(evil, 1, 2, "1"))]),
        lane("sim/b\"", vec![Err(Failure::new(ErrorClass::Config, evil).advise(evil))]),
    ]);
    all.prompt = evil.into();
    all.group = evil.into();
    for diff in [false, true] {
        let page = html::page(&all, &View { diff, ..view(&all, None) });
        assert_eq!(page.matches("<script>").count(), 1, "only our own");
        assert!(!page.contains("<img") && !page.contains("<b>") && !page.contains('\u{1b}'));
        assert!(page.contains("default-src 'none'; style-src 'sha256-"));
        let loads = ["src=", "href=", "url(", "@import", "http:", "https:", "//"];
        let own = page.replace("src=x onerror", "");
        assert_eq!(loads.iter().find(|what| own.contains(**what)), None);
    }
    let xml = junit::text(&all);
    assert!(!xml.contains(|one: char| one.is_control() && one != '\n') && !xml.contains("<script"), "{xml}");
}

/// These snapshots are what `.ci/html` opens in a browser.
#[test]
fn each_comparison_is_one_page() {
    for (name, comparison) in samples() {
        let view = View { diff: name == "bands", ..view(&comparison, None) };
        insta::assert_snapshot!(format!("{name}.html"), html::page(&comparison, &view));
    }
}

/// Every figure of the narrowest table: each must stand whole on the screen.
fn figures(comparison: &Comparison) -> Vec<String> {
    let mut figures = Vec::new();
    for report in comparison.lanes.iter().flat_map(|lane| lane.answers()) {
        figures.push(super::tell::seconds(report.timing.total_ms));
        figures.extend(report.timing.first_token_ms.map(super::tell::seconds));
        figures.extend(report.bill.total.map(|usd| format!("${usd}")));
        figures
            .extend(report.outcome.usage().and_then(|usage| usage.get(Meter::Output)).map(|count| count.to_string()));
    }
    figures
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]
    #[test]
    fn no_line_is_too_wide_and_no_number_is_cut(
        width in 20usize..=240,
        lanes in prop::collection::vec(("[a-z]{1,12}", "[a-zé日-]{1,40}", 0u64..99_999, 0u64..9_999_999, 0i64..99_000_000_000_000, 0u64..9_999_999), 1..7),
    ) {
        let lanes = lanes.into_iter().enumerate().map(|(at, (provider, model, first, more, picos, tokens))| {
            let usd = Usd::from_picos(picos).to_string();
            let report = counted(answered("An answer with 日本語 and words.", first, first + more, &usd), 7, tokens);
            let failure = Failure::new(ErrorClass::Quota, "no more today").advise("wait");
            lane(&format!("{provider}/{model}"), vec![if at % 4 == 3 { Err(failure) } else { Ok(report) }])
        });
        let comparison = comparison(lanes.collect());
        let text = shown(&comparison, Some(width));
        let too_wide = text.lines().find(|line| wide(line) > width && line.trim().contains(' '));
        prop_assert!(too_wide.is_none(), "{width}: {too_wide:?}\n{text}");
        for figure in figures(&comparison) {
            let whole = text.split_whitespace().any(|word| word.trim_end_matches(',') == figure);
            prop_assert!(whole, "{width}: {figure} in\n{text}");
        }
    }
}
