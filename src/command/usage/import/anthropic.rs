//! Usage and cost exports of Anthropic: sums by minute, hour or day, in UTC.
//!
//! Shape (platform.claude.com/docs/en/api/admin/usage_report and …/cost_report, read 2026-11-22): `data` is a list of buckets
//! `{starting_at, ending_at, results}`. Usage: the classes of tokens are disjoint; how many requests there were is not said.
//! Costs: `amount` is a decimal text in **cents**. The Console's CSV is in other words and, for costs, in dollars (headers
//! seen in public tools that read them, 2026-11-22): `usage_date_utc, model_version, api_key, workspace, usage_type,
//! context_window, usage_input_tokens_no_cache, …_cache_write_5m, …_cache_write_1h, …_cache_read, usage_output_tokens,
//! web_search_count, inference_geo, speed` and `usage_date_utc, model, workspace, api_key, usage_type, context_window,
//! token_type, cost_usd, list_price_usd, cost_type, inference_geo, speed`.

use std::path::Path;

use serde_json::Value;

use super::row::{Found, Kind, Row, Take, count, hand, instant, instant_of, number_of, set_some, text};
use super::stream::{self, Record};
use crate::domain::failure::Failure;
use crate::domain::money::Usd;
use crate::domain::usage::{Charge, Meter, Usage};

pub const USAGE: &str = "anthropic-usage";
pub const COST: &str = "anthropic-cost";

/// Whose exports these are, in the catalog.
const PROVIDER: &str = "anthropic";

const DAY_MS: i64 = 86_400_000;

/// The Console names keys and workspaces where the API has their ids: the two are different cuts of the same calls.
const CONSOLE: &str = "console";

/// # Errors
/// Where the file cannot be read, or what `take` returns.
pub fn usage_json(path: &Path, take: Take<'_>) -> Result<(), Failure> {
    buckets(path, usage, take)
}

/// # Errors
/// Where the file cannot be read, or what `take` returns.
pub fn cost_json(path: &Path, take: Take<'_>) -> Result<(), Failure> {
    buckets(path, cost, take)
}

/// # Errors
/// Where the file cannot be read, or what `take` returns.
pub fn usage_csv(path: &Path, take: Take<'_>) -> Result<(), Failure> {
    table(path, console_usage, take)
}

/// # Errors
/// Where the file cannot be read, or what `take` returns.
pub fn cost_csv(path: &Path, take: Take<'_>) -> Result<(), Failure> {
    table(path, console_cost, take)
}

type ReadResult = fn(&Value) -> Result<Option<Row>, String>;
type ReadRecord = fn(&Record<'_>) -> Result<Option<Row>, String>;

fn buckets(path: &Path, read: ReadResult, take: Take<'_>) -> Result<(), Failure> {
    stream::elements(path, |number, bucket| {
        let bucket = match bucket {
            Ok(bucket) => bucket,
            Err(why) => return take(Found::Broken(number, why)),
        };
        let times = (instant_of(&bucket["starting_at"]), instant_of(&bucket["ending_at"]));
        let (Some(from), Some(to), Some(results)) = (times.0, times.1, bucket["results"].as_array()) else {
            return take(Found::Broken(number, "no bucket with starting_at, ending_at and results".into()));
        };
        for result in results {
            let found = read(result).map(|row| row.map(|row| within(row, from, to)));
            hand(found, number, take)?;
        }
        Ok(())
    })
}

fn table(path: &Path, read: ReadRecord, take: Take<'_>) -> Result<(), Failure> {
    stream::records(path, |line, record| {
        let found = record.and_then(|record| {
            let day = record.get("usage_date_utc").ok_or("the row has no usage_date_utc")?;
            let from = instant(day).ok_or_else(|| format!("{day:?} is no day"))?;
            let row = read(&record)?;
            Ok(row.map(|row| Row { cut: CONSOLE, ..within(row, from, from + DAY_MS) }))
        });
        hand(found, line, take)
    })
}

/// The row in its time, which is a part of what makes it one.
fn within(row: Row, from: i64, to: i64) -> Row {
    Row {
        key: format!("{from}|{to}|{}", row.key),
        opened_ms: from,
        finished_ms: Some(to),
        provider: Some(PROVIDER.into()),
        requests: 1,
        ..row
    }
}

/// The classes of tokens, and what else decides their price.
#[derive(Debug, Default)]
struct Counted {
    input: u64,
    cache_read: u64,
    short: u64,
    long: u64,
    output: u64,
    searches: u64,
    tier: Option<String>,
    context: Option<String>,
    geo: Option<String>,
    speed: Option<String>,
}

impl Counted {
    /// `None`: nothing was used.
    fn usage(self) -> Option<Usage> {
        let counts = [self.input, self.cache_read, self.short, self.long, self.output, self.searches];
        if counts.iter().all(|count| *count == 0) {
            return None;
        }
        let mut usage = Usage::default();
        usage.set(Meter::Input, self.input);
        usage.set(Meter::Output, self.output);
        for (meter, quantity) in [
            (Meter::CacheRead, self.cache_read),
            (Meter::CacheWrite5m, self.short),
            (Meter::CacheWrite1h, self.long),
            (Meter::WebSearch, self.searches),
        ] {
            set_some(&mut usage, meter, quantity);
        }
        usage.service_tier = self.tier;
        // "200k-1M" and "> 200k": each of its calls was long.
        if self.context.is_some_and(|context| context.starts_with("200k-") || context.starts_with('>')) {
            usage.attributes.insert("prompt_total".into(), "each is long".into());
        }
        let words = [("inference_geo", self.geo), ("speed", self.speed)];
        let words = words.into_iter().filter_map(|(name, word)| Some((name.to_owned(), word?)));
        usage.attributes.extend(words.filter(|(_, word)| word != "not_available"));
        Some(usage)
    }
}

fn usage(result: &Value) -> Result<Option<Row>, String> {
    let number = |path: &str| {
        let found = result.pointer(path).unwrap_or(&Value::Null);
        count(found).map(Option::unwrap_or_default).map_err(|why| format!("{path}: {why}"))
    };
    let word = |name: &str| text(&result[name]);
    let counted = Counted {
        input: number("/uncached_input_tokens")?,
        cache_read: number("/cache_read_input_tokens")?,
        short: number("/cache_creation/ephemeral_5m_input_tokens")?,
        long: number("/cache_creation/ephemeral_1h_input_tokens")?,
        output: number("/output_tokens")?,
        searches: number("/server_tool_use/web_search_requests")?,
        tier: word("service_tier"),
        context: word("context_window"),
        geo: word("inference_geo"),
        speed: word("speed"),
    };
    let by = ["model", "workspace_id", "api_key_id", "account_id", "service_account_id"].into_iter().chain([
        "service_tier",
        "context_window",
        "inference_geo",
        "speed",
    ]);
    let key = by.map(|name| word(name).unwrap_or_default()).collect::<Vec<_>>().join("|");
    Ok(counted.usage().map(|usage| Row {
        source: USAGE,
        kind: Kind::Usage,
        key,
        model: word("model").unwrap_or_default(),
        usage,
        project: word("workspace_id"),
        user: word("account_id"),
        tags: word("api_key_id").map(|id| ("api-key-id".to_owned(), id)).into_iter().collect(),
        ..Row::default()
    }))
}

fn console_usage(record: &Record<'_>) -> Result<Option<Row>, String> {
    let number = |columns: &[&str]| record.first(columns).map_or(Ok(0), number_of);
    let word = |column: &str| record.get(column).map(str::to_owned);
    let counted = Counted {
        input: number(&["usage_input_tokens_no_cache"])?,
        cache_read: number(&["usage_input_tokens_cache_read"])?,
        // Until there were two lifetimes, there was one column.
        short: number(&["usage_input_tokens_cache_write_5m", "usage_input_tokens_cache_write"])?,
        long: number(&["usage_input_tokens_cache_write_1h"])?,
        output: number(&["usage_output_tokens"])?,
        searches: number(&["web_search_count"])?,
        tier: word("usage_type"),
        context: word("context_window"),
        geo: word("inference_geo"),
        speed: word("speed"),
    };
    let by = ["model_version", "workspace", "api_key", "usage_type", "context_window", "inference_geo", "speed"];
    let key = by.map(|column| record.get(column).unwrap_or_default()).join("|");
    Ok(counted.usage().map(|usage| Row {
        source: USAGE,
        kind: Kind::Usage,
        key,
        model: word("model_version").unwrap_or_default(),
        usage,
        project: word("workspace"),
        tags: word("api_key").map(|name| ("api-key".to_owned(), name)).into_iter().collect(),
        ..Row::default()
    }))
}

fn cost(result: &Value) -> Result<Option<Row>, String> {
    let word = |name: &str| text(&result[name]);
    let cents = match &result["amount"] {
        Value::Null => return Ok(None),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let currency = word("currency").unwrap_or_default();
    if !currency.is_empty() && !currency.eq_ignore_ascii_case("usd") {
        return Err(format!("an amount in {currency} is not converted"));
    }
    // A cent is 10^10 picodollars.
    let usd = booked(Usd::parse_scaled(&cents, 10), &cents)?;
    let by = ["workspace_id", "description", "cost_type", "model", "token_type", "service_tier", "context_window"]
        .into_iter()
        .chain(["inference_geo", "speed"]);
    let key = by.map(|name| word(name).unwrap_or_default()).collect::<Vec<_>>().join("|");
    Ok(Some(Row {
        source: COST,
        kind: Kind::Cost,
        key,
        model: word("model").or_else(|| word("cost_type")).unwrap_or_default(),
        usage: charged(usd),
        project: word("workspace_id"),
        notes: word("description").into_iter().collect(),
        ..Row::default()
    }))
}

fn console_cost(record: &Record<'_>) -> Result<Option<Row>, String> {
    let Some(dollars) = record.get("cost_usd") else {
        return Ok(None);
    };
    let usd = booked(Usd::parse(dollars.trim_start_matches('$')), dollars)?;
    let by = ["model", "workspace", "api_key", "usage_type", "context_window", "token_type", "cost_type"]
        .into_iter()
        .chain(["inference_geo", "speed"]);
    let key = by.map(|column| record.get(column).unwrap_or_default()).collect::<Vec<_>>().join("|");
    let word = |column: &str| record.get(column).map(str::to_owned);
    Ok(Some(Row {
        source: COST,
        kind: Kind::Cost,
        key,
        model: word("model").or_else(|| word("cost_type")).unwrap_or_default(),
        usage: charged(usd),
        project: word("workspace"),
        tags: word("api_key").map(|name| ("api-key".to_owned(), name)).into_iter().collect(),
        notes: word("token_type").into_iter().collect(),
        ..Row::default()
    }))
}

fn booked(usd: Option<Usd>, text: &str) -> Result<Usd, String> {
    match usd {
        None => Err(format!("{text:?} is no amount")),
        Some(usd) if usd.picos < 0 => Err(format!("a credit of {usd} USD is not booked")),
        Some(usd) => Ok(usd),
    }
}

fn charged(usd: Usd) -> Usage {
    Usage { charge: Some(Charge { usd, upstream: None }), ..Usage::default() }
}
