//! `llmx usage` as its users run it: what was spent, by anything, in every format, with the exit code that a script needs.

mod common;

#[path = "usage/books.rs"]
mod books;
#[cfg(unix)]
#[path = "usage/screens.rs"]
mod screens;

use books::{Books, NIGHT};
use common::binary::Llmx;
use serde_json::Value;

/// Picodollars of a decimal string.
fn picos(amount: &Value) -> i128 {
    let text = amount.as_str().expect("money is a string");
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    format!("{whole}{fraction:0<12}").parse().expect("a decimal")
}

#[test]
fn a_list_without_calls_says_whether_there_are_any() {
    let logs = Llmx::new(&["logs"]).run().exits(0).prints("");
    logs.says(&["no call was made yet: `llmx chat -m sim/echo hello`"]);
    Llmx::new(&["logs", "--failed"]).run().exits(0).prints("").says(&["no call in the ledger fits"]);
}

#[test]
fn a_group_in_the_place_of_a_period_is_told_how_it_is_asked_for() {
    for (word, by) in [("daily", "day"), ("monthly", "month"), ("session", "session"), ("projects", "project")] {
        let done = Llmx::new(&["usage", word]).run().exits(2).prints("");
        done.says(&["no period", &format!("try: llmx usage month --by {by}")]);
    }
    let done = Llmx::new(&["usage", "blocks"]).run().exits(2);
    assert!(!done.err.contains("--by"), "{}", done.err);
}

#[test]
fn groups_of_every_dimension_add_up_to_the_total() {
    let books = Books::filled();
    let total = books.report(&["-j"]).json()["total"].clone();
    assert_eq!((picos(&total["usd"]), &total["calls"]), (57_123_000_001_000, &13.into()));
    for by in [
        "hour",
        "day",
        "week",
        "month",
        "provider",
        "model",
        "region",
        "project",
        "user",
        "team",
        "tag:env",
        "session",
        "command",
        "credential",
        "status",
        "source",
        "day,model",
        "model,day",
        "project,tag:env",
        "hour,project",
    ] {
        for top in [&[][..], &["-n", "1"]] {
            let report = books.report(&[&["-j", "--by", by], top].concat()).json();
            let groups = report["groups"].as_array().expect("groups").clone();
            let sum: i128 =
                groups.iter().filter(|group| !group["usd"].is_null()).map(|group| picos(&group["usd"])).sum();
            let calls: u64 = groups.iter().filter_map(|group| group["calls"].as_u64()).sum();
            assert_eq!((sum, calls), (picos(&total["usd"]), 13), "{by}: {groups:?}");
            assert_eq!(report["total"], total, "{by}");
        }
    }
    let meters = books.report(&["-j", "--by", "meter"]).json();
    let sum: i128 = meters["groups"]
        .as_array()
        .expect("groups")
        .iter()
        .filter(|group| !group["usd"].is_null())
        .map(|group| picos(&group["usd"]))
        .sum();
    assert_eq!(sum, picos(&total["usd"]));
    assert!(meters["groups"].as_array().expect("groups").iter().all(|group| group["calls"].is_null()));
}

#[test]
fn days_and_hours_are_those_of_the_zone() {
    let books = Books::new();
    // 23:30 in London, 00:30 of the next day in Berlin.
    books.call("late", NIGHT).cost("1").make();
    let day = |zone: &str| {
        let report = books.usage(&["2025-10", "-j", "-z", zone]).run().exits(0).json();
        let days: Vec<Value> =
            report["groups"].as_array().expect("groups").iter().filter(|group| group["calls"] == 1).cloned().collect();
        days[0]["keys"]["day"].as_str().expect("a day").to_owned()
    };
    assert_eq!((day("Europe/London"), day("Europe/Berlin")), ("2025-10-14".to_owned(), "2025-10-15".to_owned()));
    let hours = books.usage(&["2025-10-26", "-j", "-z", "Europe/Berlin", "--by", "hour"]).run().exits(0).json();
    let keys: Vec<&str> =
        hours["groups"].as_array().expect("groups").iter().filter_map(|group| group["keys"]["hour"].as_str()).collect();
    assert_eq!(keys.len(), 25);
    assert!(keys.contains(&"2025-10-26T02:00:00+02:00") && keys.contains(&"2025-10-26T02:00:00+01:00"), "{keys:?}");
}

#[test]
fn empty_days_are_kept_and_an_empty_period_says_where_the_calls_are() {
    let books = Books::filled();
    let report = books.report(&["-j"]).json();
    assert_eq!(report["groups"].as_array().expect("groups").len(), 7);
    let empty = books.usage(&["2025-01", "-z", "UTC"]).run().exits(0);
    assert!(
        empty.text().contains("No call was made in these days")
            && empty.text().contains("llmx usage 2025-10-06..2025-10-18"),
        "{}",
        empty.text()
    );
    let zeros = books.usage(&["2025-01", "-z", "UTC", "-j"]).run().exits(0).json();
    assert_eq!((&zeros["total"]["usd"], &zeros["total"]["calls"]), (&"0".into(), &0.into()));
    let none = Books::new().usage(&[]).run().exits(0);
    assert!(none.text().contains("The ledger is empty"), "{}", none.text());
    let filtered = books.report(&["--where", "cost>1000"]);
    assert!(filtered.text().contains("No call of these days fits the filter"), "{}", filtered.text());
}

#[test]
fn calls_without_an_amount_that_a_comparison_of_cost_leaves_out_are_counted() {
    let books = Books::filled();
    let unpriced = books.report(&["-j", "--where", "project=pay"]).json()["total"]["unpriced"].clone();
    assert_ne!(unpriced, 0, "else this test shows nothing");
    assert_eq!(books.report(&["-j", "--where", "project=pay"]).json()["left_out"], 0);
    for filter in ["project=pay cost>1", "project=pay cost>1000", "cost<=0 project=pay cost>1"] {
        let report = books.report(&["-j", "--where", filter]).json();
        assert_eq!((&report["left_out"], &report["total"]["unpriced"]), (&unpriced, &0.into()), "{filter}");
        let told = books.report(&["--where", filter]);
        let line = "Left out by the comparison of cost: ";
        assert!(told.text().contains(line), "{}", told.text());
    }
}

#[test]
fn work_that_stands_behind_a_flag_is_told_where_it_belongs() {
    let books = Books::new();
    books.usage(&["-z", "UTC", "explain", "today"]).run().exits(2);
    books.usage(&["-z", "UTC", "forecast"]).run().exits(2).says(&["llmx usage forecast …"]);
}

#[test]
fn a_value_that_no_call_has_is_named_with_what_is_near_to_it() {
    let books = Books::filled();
    let said = |filter: &str| books.report(&["--where", filter]).text().to_owned();
    let lines = |filter: &str| said(filter).lines().skip(2).take(2).map(str::to_owned).collect::<Vec<_>>();
    let [no, advice] = &lines("status=opne")[..] else { panic!("{}", said("status=opne")) };
    assert_eq!(no, "No call of these days has status opne.");
    assert!(advice.starts_with("try: did you mean open? their status is ok, "), "{advice}");
    let [no, advice] = &lines("cost>0 model=gpt-5.3")[..] else { panic!("{}", said("model=gpt-5.3")) };
    assert_eq!(no, "No call of these days has model gpt-5.3.");
    assert!(advice.starts_with("try: their model is anthropic/claude-opus-4-5, openai/gpt-5.2"), "{advice}");
    // Each is there, but never together.
    assert!(said("model=gpt-5.2 provider=anthropic").contains("No call of these days fits the filter"));
}

#[test]
fn all_begins_with_the_first_call() {
    let report = Books::filled().usage(&["all", "-j", "-z", "UTC", "--by", "month"]).run().exits(0).json();
    assert_eq!(report["period"]["first"], "2025-10-06");
    assert_eq!(report["before"], Value::Null);
}

#[test]
fn a_filter_lets_through_what_it_says_and_a_wrong_one_says_where() {
    let books = Books::filled();
    let report = books.report(&["-j", "--where", "project=pay cost>1"]).json();
    assert_eq!((&report["total"]["calls"], &report["where"]), (&4.into(), &"project=pay cost>1".into()));
    books.usage(&["2025-10", "--where", "modle~x"]).run().exits(2).says(&["character 1", "did you mean model"]);
    books.usage(&["2025-10", "--where", "project=x' OR 1=1 --"]).run().exits(2).says(&["--where"]);
}

#[test]
fn a_dimension_that_is_none_names_the_nearest_and_all() {
    let books = Books::new();
    books.usage(&["--by", "modle"]).run().exits(2).says(&["did you mean model?", "credential", "tag:KEY"]);
    books.usage(&["--by", "day,model,user"]).run().exits(2).says(&["at most two"]);
    books.usage(&["--by", "day,day"]).run().exits(2).says(&["twice"]);
    books.usage(&["--by", "model", "--sort", "time"]).run().exits(2).says(&["has no time"]);
    books.usage(&["fortnight"]).run().exits(2).says(&["last-week"]);
}

#[test]
fn rows_come_in_the_order_that_is_asked_for_and_the_others_are_summed() {
    let books = Books::filled();
    let names = |args: &[&str]| -> Vec<String> {
        let report = books.report(&[&["-j", "--by", "project"], args].concat()).json();
        let name = |group: &Value| match group["others"].as_u64() {
            Some(count) => format!("{count} others"),
            None => group["keys"]["project"].as_str().unwrap_or("(none)").to_owned(),
        };
        report["groups"].as_array().expect("groups").iter().map(name).collect()
    };
    assert_eq!(names(&[]), ["pay", "search", "(none)"]);
    assert_eq!(names(&["--sort", "name"]), ["(none)", "pay", "search"]);
    assert_eq!(names(&["--sort", "calls"]), ["search", "pay", "(none)"]);
    assert_eq!(names(&["-n", "1"]), ["pay", "2 others"]);
}

#[test]
fn a_comparison_is_with_the_days_before_or_with_those_of_the_month_before() {
    let books = Books::filled();
    let report = books.report(&["-j"]).json();
    assert_eq!(
        (&report["before"]["period"]["first"], &report["before"]["total"]["usd"]),
        (&"2025-10-06".into(), &"23.5".into())
    );
    assert_eq!(report["before"]["change"], "+143%");
    let report = books.report(&["-j", "--compare", "prev", "--by", "project"]).json();
    assert_eq!(report["groups"][0]["before_usd"], "23.5");
    let report = books.report(&["-j", "--compare", "same-last-month"]).json();
    assert_eq!(report["before"]["period"]["first"], "2025-09-13");
}

#[test]
fn a_script_learns_from_the_exit_code() {
    let books = Books::filled();
    books.report(&["--fail-over", "60"]);
    let over =
        |args: &[&str]| books.usage(&[&["2025-10-13..2025-10-19", "-z", "UTC", "-q"], args].concat()).run().exits(10);
    over(&["--fail-over", "57"]).says(&["$57.123000001 were spent", "--fail-over"]);
    over(&["--fail-over", "$57.2"]).says(&["at most $57.623000001"]);
    over(&["--unpriced", "fail"]).says(&["1 call has no known amount"]);
    books.usage(&["--fail-over", "much"]).run().exits(2);
}

#[test]
fn a_file_has_the_format_of_its_name() {
    let books = Books::filled();
    for (name, begins) in
        [("s.csv", "day,calls,"), ("s.json", "{\"schema\":1,"), ("s.md", "# Spend"), ("s.txt", "Spend at least")]
    {
        let path = books.folder().join(name);
        let done = books.report(&["-o", path.to_str().expect("a path")]).says(&["written"]);
        assert_eq!(done.text(), "");
        let text = std::fs::read_to_string(&path).expect("written");
        assert!(text.starts_with(begins), "{name}: {text}");
    }
    let path = books.folder().join("s.pdf");
    books.usage(&["-o", path.to_str().expect("a path")]).run().exits(2).says(&["its ending says no format"]);
    assert!(!path.exists());
}

#[test]
fn json_and_csv_say_the_same_as_each_other() {
    let books = Books::filled();
    let report = books.report(&["-j", "--by", "day,model"]).json();
    let text = books.report(&["--format", "csv", "--by", "day,model"]);
    let rows: Vec<csv::StringRecord> =
        csv::Reader::from_reader(text.text().as_bytes()).records().map(|row| row.expect("CSV")).collect();
    let groups = report["groups"].as_array().expect("groups");
    assert_eq!(rows.len(), groups.len());
    for (row, group) in rows.iter().zip(groups) {
        let same = |at: usize, key: &str| {
            let json = &group[key];
            let json = if json.is_null() { String::new() } else { json.to_string().trim_matches('"').to_owned() };
            assert_eq!(row.get(at), Some(json.as_str()), "{key}: {group}");
        };
        for (at, key) in [(2, "calls"), (5, "unpriced"), (9, "input"), (12, "output"), (14, "usd"), (15, "at_most_usd")]
        {
            same(at, key);
        }
    }
}

#[test]
fn another_currency_is_shown_and_a_rate_that_is_none_is_refused() {
    let books = Books::filled();
    let shown = books.report(&["--currency", "EUR@0.92"]);
    assert!(shown.text().starts_with("Spend at least 52.55 EUR"), "{}", shown.text());
    for wrong in ["EUR", "EUR@x", "EUR@0", "eur@1"] {
        books.usage(&["--currency", wrong]).run().exits(2);
    }
}

#[test]
fn a_pipe_gets_every_column_and_no_line_to_look_at() {
    let books = Books::filled();
    let text = books.report(&[]);
    assert!(!text.text().contains(['─', '█', '\u{1b}', '…']), "{}", text.text());
    insta::assert_snapshot!("usage_piped", text.text());
    insta::assert_snapshot!(
        "usage_by_project_and_model",
        books.report(&["--by", "project,model", "--format", "table"]).text()
    );
    insta::assert_snapshot!("usage_by_meter", books.report(&["--by", "meter"]).text());
}

#[test]
fn what_is_watched_needs_a_terminal() {
    let books = Books::new();
    books.usage(&["--watch"]).run().exits(2).says(&["--watch draws a table on a terminal"]);
    books.usage(&["--watch", "-j"]).run().exits(2);
}

#[test]
fn help_has_examples_and_exit_codes() {
    let help = Books::new().usage(&["--help"]).run().exits(0);
    for word in ["Examples:", "Exit codes:", "--by", "--where", "--fail-over", "same-last-month"] {
        assert!(help.text().contains(word), "{word}: {}", help.text());
    }
}
