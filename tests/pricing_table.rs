//! The price table as a file: what it must hold, and that the generator makes it.

use std::collections::BTreeSet;
use std::path::Path;

use toml::{Table, Value};

#[path = "../examples/pricing_table.rs"]
mod pricing_table;

const TABLE: &str = include_str!("../pricing.toml");
const CATALOG: &str = include_str!("../src/provider/catalog.toml");

fn part(name: &str) -> Table {
    let table: Table = TABLE.parse().expect("pricing.toml is TOML");
    table[name].as_table().expect("a table of tables").clone()
}

fn provider_of(key: &str) -> &str {
    key.split('/').next().unwrap_or_default()
}

/// Keys for which a rule does not hold.
fn exceptions(holds: impl Fn(&str, &Value) -> bool) -> Vec<String> {
    part("model").iter().filter(|(key, model)| !holds(key, model)).map(|(key, _)| key.clone()).collect()
}

/// Every number below a value, with the key that it stands under.
fn numbers<'v>(name: &'v str, value: &'v Value, found: &mut Vec<(&'v str, String)>) {
    match value {
        Value::Integer(number) => found.push((name, number.to_string())),
        Value::Float(number) => found.push((name, number.to_string())),
        Value::Array(items) => items.iter().for_each(|item| numbers(name, item, found)),
        Value::Table(table) => table.iter().for_each(|(name, value)| numbers(name, value, found)),
        Value::String(_) | Value::Boolean(_) | Value::Datetime(_) => {}
    }
}

#[test]
fn it_prices_a_thousand_models_of_twenty_two_providers_of_the_catalog() {
    let models = part("model");
    let providers: BTreeSet<&str> = models.keys().map(|key| provider_of(key)).collect();
    assert!(models.len() >= 1000, "{} models", models.len());
    assert!(providers.len() >= 22, "{} providers", providers.len());
    let catalog: Table = CATALOG.parse().expect("catalog.toml is TOML");
    let unknown: Vec<_> = providers.iter().filter(|provider| !catalog.contains_key(**provider)).collect();
    assert!(unknown.is_empty(), "not in the catalog: {unknown:?}");
}

#[test]
fn every_entry_has_a_price_or_says_why_not() {
    let sources = ["price", "like", "free", "unpriced"];
    let without = exceptions(|_, model| sources.iter().filter(|source| model.get(source).is_some()).count() == 1);
    assert!(without.is_empty(), "{without:?}");
}

#[test]
fn every_key_is_one_that_the_header_explains() {
    let known = [
        "dated",
        "except",
        "alias",
        "kind",
        "free",
        "unpriced",
        "like",
        "scale",
        "profiles",
        "price",
        "mode",
        "times",
        "fees",
        "context",
        "max_output",
        "note",
        "source",
        "checked",
    ];
    let odd = exceptions(|_, model| {
        model.as_table().expect("a model is a table").keys().all(|key| known.contains(&key.as_str()))
    });
    assert!(odd.is_empty(), "{odd:?}");
    let header: String = TABLE.lines().take_while(|line| line.starts_with('#')).collect();
    let unexplained: Vec<_> = known.iter().filter(|key| !header.contains(*key)).collect();
    assert!(unexplained.is_empty(), "{unexplained:?}");
}

#[test]
fn whatever_an_entry_names_is_there() {
    let (models, profiles, calendars) = (part("model"), part("profiles"), part("calendar"));
    let missing = exceptions(|_, model| {
        let named = |key: &str, among: &Table| {
            model.get(key).is_none_or(|name| among.contains_key(name.as_str().expect("a name")))
        };
        let windows = model.get("price").and_then(Value::as_array).into_iter().flatten();
        let windows = windows.filter_map(|row| row.get("window")).filter_map(Value::as_array).flatten();
        let mut holidays = windows.filter_map(|window| window.get("holidays")).filter_map(Value::as_str);
        named("like", &models) && named("profiles", &profiles) && holidays.all(|name| calendars.contains_key(name))
    });
    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
fn what_an_entry_is_like_ends_at_a_price() {
    let models = part("model");
    let endless = exceptions(|key, _| {
        let mut name = key.to_owned();
        for _ in 0..8 {
            match models[&name].get("like").and_then(Value::as_str) {
                Some(next) => name = next.to_owned(),
                None => return models[key].get("like").is_none() || models[&name].get("price").is_some(),
            }
        }
        false
    });
    assert!(endless.is_empty(), "{endless:?}");
}

#[test]
fn a_name_means_one_entry() {
    let models = part("model");
    let mut names: Vec<String> = models.keys().cloned().collect();
    for (key, model) in &models {
        for alias in model.get("alias").and_then(Value::as_array).into_iter().flatten() {
            names.push(format!("{}/{}", provider_of(key), alias.as_str().expect("an alias is a name")));
        }
    }
    let count = names.len();
    let distinct: BTreeSet<String> = names.into_iter().collect();
    assert_eq!(distinct.len(), count, "an alias is also another entry's name");
}

#[test]
fn nothing_costs_nothing_unless_it_says_so() {
    let zeros = exceptions(|_, model| {
        let mut found = Vec::new();
        ["price", "mode", "fees", "times", "scale"].iter().filter_map(|key| model.get(key)).for_each(|value| {
            numbers("", value, &mut found);
        });
        found.iter().all(|(_, number)| number != "0" && !number.starts_with('-'))
            && model.get("free").is_none_or(|free| free.as_bool() == Some(true))
    });
    assert!(zeros.is_empty(), "{zeros:?}");
}

#[test]
fn every_figure_is_a_plain_decimal_of_at_most_nine_places() {
    let long = exceptions(|_, model| {
        let mut found = Vec::new();
        numbers("", model, &mut found);
        found.iter().all(|(_, number)| {
            number.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.')
                && number.split('.').nth(1).is_none_or(|places| places.len() <= 9)
        })
    });
    assert!(long.is_empty(), "{long:?}");
}

#[test]
fn every_tier_is_a_whole_sheet_and_every_row_follows_the_one_before() {
    let broken = exceptions(|_, model| {
        let Some(price) = model.get("price") else { return true };
        let rows = price.as_array().cloned().unwrap_or_else(|| vec![price.clone()]);
        let from = |row: &Value| row.get("from").map(ToString::to_string).unwrap_or_default();
        let modes = model.get("mode").and_then(Value::as_table).cloned().unwrap_or_default();
        let sheets: Vec<&Value> = rows.iter().chain(modes.values().filter(|mode| mode.is_table())).collect();
        rows.is_sorted_by(|one, other| from(one) < from(other))
            && sheets.iter().all(|sheet| sheet.get("input").is_some())
            && sheets.iter().filter_map(|sheet| sheet.get("tier")).filter_map(Value::as_array).flatten().all(|tier| {
                tier.get("input").is_some() && (tier.get("above").is_some() != tier.get("at_least").is_some())
            })
    });
    assert!(broken.is_empty(), "{broken:?}");
}

#[test]
fn fast_is_a_mode_or_an_attribute_and_never_both() {
    let both = exceptions(|_, model| {
        let named = |table: &str, key: &str| model.get(table).is_some_and(|table| table.get(key).is_some());
        !(named("mode", "fast") && named("times", "speed:fast"))
    });
    assert!(both.is_empty(), "{both:?}");
}

#[test]
fn every_price_has_a_page_and_a_day() {
    let providers = part("provider");
    let lacking = exceptions(|key, model| {
        let provider = providers.get(provider_of(key));
        let has = |field: &str| model.get(field).or_else(|| provider.and_then(|rules| rules.get(field))).is_some();
        has("source") && has("checked")
    });
    assert!(lacking.is_empty(), "{lacking:?}");
}

#[test]
fn the_generator_makes_the_table_byte_for_byte() {
    let snapshot = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/prices/snapshot.json");
    let Ok(snapshot) = std::fs::read_to_string(snapshot) else { return };
    let rulings = include_str!("../examples/pricing_rulings.toml");
    let (table, _) = pricing_table::table(&snapshot, rulings).expect("no contradiction");
    let different = table.lines().zip(TABLE.lines()).enumerate().find(|(_, (made, kept))| made != kept);
    assert!(table == TABLE, "run the example again; the first difference: {different:?}");
}

/// The smallest snapshot and rulings of one seller.
fn small(entry: &str, rulings: &str) -> Result<String, String> {
    let entry = entry
        .replace("ENTRY", r#""provider":"openai","id":"m","mode":"chat","aliases":[],"free":false,"agreement":{}"#);
    let snapshot = format!(r#"{{"entries":[{{{entry}}}]}}"#);
    let rulings = format!(
        "schema = 1\nversion = \"v\"\nheader = \"\"\nchecked = 2026-11-22\n[provider.openai]\nmode = {{ batch = 0.5 }}\n\
         source = \"https://example.com\"\n[profiles]\n[calendar]\n[model]\n[take]\n[leave]\n[change]\n[seller.openai]\n\
         pages = [\"example.com\"]\n{rulings}"
    );
    pricing_table::table(&snapshot, &rulings).map(|(table, _)| table)
}

const AGREED: &str = r#""agreement_flag":"agree2","sources":{"litellm":null,"genai":null}"#;

#[test]
fn a_mode_at_the_providers_factor_is_not_repeated() {
    let modes =
        r#""modes":{"batch":{"base":{"input":"1","output":"4"}},"flex":{"base":{"input":"1","output":"3.99"}}}"#;
    let table = small(&format!(r#"ENTRY,"rates":{{"input":"2","output":"8"}},{modes},{AGREED}"#), "").expect("a table");
    assert!(
        table.contains("\nprice = { input = 2, output = 8 }\nmode.flex = { input = 1, output = 3.99 }\n"),
        "{table}"
    );
}

#[test]
fn a_dispute_without_a_ruling_stops_the_generator() {
    let conflict = AGREED.replace("agree2", "conflict");
    let entry = format!(r#"ENTRY,"rates":{{"input":"2","output":"8"}},{conflict}"#);
    let error = small(&entry, "").expect_err("nobody decided");
    assert_eq!(error, "openai/m: its sources differ, and no ruling says what to do");
}

#[test]
fn a_ruling_whose_entry_is_gone_stops_the_generator() {
    let entry = format!(r#"ENTRY,"rates":{{"input":"2","output":"8"}},{AGREED}"#);
    let error =
        small(&entry, "[[mirror]]\nprovider = \"azure\"\nof = \"openai\"\nstarts = \"gone\"").expect_err("gone");
    assert_eq!(error, "mirror of openai/gone: nothing is there");
}

#[test]
fn one_source_is_taken_from_the_sellers_page_only() {
    let entry = |url: &str| {
        format!(
            r#"ENTRY,"rates":{{"input":"2","output":"8"}},"agreement_flag":"single","sources":{{"litellm":{{"source_url":"{url}"}},"genai":null}}"#
        )
    };
    assert!(small(&entry("https://example.com/prices"), "").is_ok_and(|table| table.contains("openai/m")));
    assert!(small(&entry("https://example.org/prices"), "").is_err_and(|error| error.contains("has no entry")));
}

#[test]
fn a_figure_that_no_decimal_holds_stops_the_generator() {
    for (rates, reason) in [
        (r#""input":"0.0833333333333333","output":"1""#, "more than 9 places"),
        (r#""input":"-1","output":"1""#, "not a plain decimal"),
        (r#""input":"1","output":"0.5","shoes":"1""#, "unknown rate \"shoes\""),
    ] {
        let error = small(&format!(r#"ENTRY,"rates":{{{rates}}},{AGREED}"#), "").expect_err(reason);
        assert!(error.contains(reason), "{error}");
    }
    let tier = r#""tiers":[{"threshold":200000,"op":">","rates":{"output":"2"}}]"#;
    let error =
        small(&format!(r#"ENTRY,"rates":{{"input":"1","output":"1"}},{tier},{AGREED}"#), "").expect_err("half a tier");
    assert!(error.contains("a tier has no input"), "{error}");
}
