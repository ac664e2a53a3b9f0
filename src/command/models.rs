//! `llmx models`: what models cost, where a price comes from, what to mend in a table, and what usage amounts to.

mod access;

use std::io::BufRead as _;
use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use clap::{Args, Subcommand};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::command::desk::Desk;
use crate::command::logs::note;
use crate::command::outside::env;
use crate::command::{GlobalArgs, colour, config};
use crate::domain::bill::Outcome;
use crate::domain::failure::{ErrorClass, Failure};
use crate::domain::model::ModelName;
use crate::domain::report::Stop;
use crate::domain::usage::{Meter, Usage};
use crate::pricing::check::Weight;
use crate::pricing::entry::{Number, TOKENS};
use crate::pricing::place::Which;
use crate::pricing::price::Rate;
use crate::pricing::table::Table;
use crate::pricing::{Called, Context, Moment, Price, Priced, Prices};
use crate::provider::catalog::Row;
use crate::render::models::{self as face, Detail, Group, Line, Sheet};
use crate::render::terminal::{Terminal, Written};
use crate::wire::contract::Dialect;
use crate::wire::quirks::Quirks;

#[derive(Debug, Clone, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct ModelsArgs {
    #[command(subcommand)]
    pub action: Option<Action>,
    #[command(flatten)]
    pub list: ListArgs,
}

#[derive(Debug, Clone, Subcommand)]
pub enum Action {
    /// Show the price of a model, with the file and line of every number and the rules that made it
    Show(ShowArgs),
    /// Say what is wrong in a price table (default: your own pricing.toml and the bundled one)
    Check(CheckArgs),
    /// Read usage objects as JSON lines and print what each costs
    #[command(after_help = BILL_HELP)]
    Bill(BillArgs),
}

const BILL_HELP: &str = "\
One JSON object per line on stdin; unknown keys are ignored:
  {\"provider\": \"anthropic\", \"api\": \"messages\", \"model\": \"claude-opus-5-5\",
   \"request_date\": \"2026-11-22T10:00:00Z\", \"context\": {\"processing\": \"batch\"},
   \"usage\": {…as received…}}

context: service_tier, processing, speed, inference_geo, data_residency,
location, region, endpoint, stream

A line that cannot be read gives {\"error\": …, \"line\": n}, and the exit code 1
at the end.";

#[derive(Debug, Clone, Args)]
pub struct ListArgs {
    #[command(flatten)]
    pub global: GlobalArgs,
    /// Only models whose names hold all of these
    pub text: Vec<String>,
    /// Only those that the last `llmx test-access` found to work here, with the age of that
    #[arg(long, conflicts_with = "remote")]
    pub usable: bool,
    /// What this provider's own listing says now (free)
    #[arg(long, value_name = "PROVIDER")]
    pub remote: Option<String>,
    /// Print JSON
    #[arg(short, long)]
    pub json: bool,
}

#[derive(Debug, Clone, Args)]
pub struct ShowArgs {
    #[command(flatten)]
    pub global: GlobalArgs,
    /// provider/model, provider@region/model, or an alias
    pub model: String,
    /// The price at this instant (RFC 3339) instead of now
    #[arg(long, value_name = "INSTANT")]
    pub at: Option<String>,
    /// What is known of the call: service_tier=flex, processing=batch, location=eu …
    #[arg(long, value_name = "NAME=WORD")]
    pub with: Vec<String>,
    /// Print JSON
    #[arg(short, long)]
    pub json: bool,
}

#[derive(Debug, Clone, Args)]
pub struct CheckArgs {
    #[command(flatten)]
    pub global: GlobalArgs,
    pub file: Option<PathBuf>,
}

#[derive(Debug, Clone, Args)]
pub struct BillArgs {
    #[command(flatten)]
    pub global: GlobalArgs,
}

/// # Errors
/// `config` for a configuration or a table that cannot be read, `not-found` for a model that nobody knows.
pub fn run(args: &ModelsArgs) -> Result<u8, Failure> {
    match &args.action {
        None if args.list.usable => access::usable(&args.list),
        None => match &args.list.remote {
            Some(provider) => access::remote(&args.list, provider),
            None => list(&args.list),
        },
        Some(Action::Show(args)) => show(args),
        Some(Action::Check(args)) => check(args),
        Some(Action::Bill(args)) => bill(args),
    }
}

fn now() -> Moment {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Moment::from_ms(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

fn print(global: &GlobalArgs, text: &str, code: u8) -> Result<u8, Failure> {
    let mut terminal = Terminal::new(colour(global.color), global.quiet, env);
    match terminal.answer(text) {
        Ok(Written::All) => Ok(code),
        Ok(Written::Closed) => Ok(Stop::ClosedPipe.exit_code()),
        Err(error) => Err(Failure::new(ErrorClass::InvalidRequest, error.to_string())),
    }
}

fn list(args: &ListArgs) -> Result<u8, Failure> {
    let prices = config::prices(&env)?;
    let wanted: Vec<String> = args.text.iter().map(|text| text.to_ascii_lowercase()).collect();
    let mut lines = Vec::new();
    for table in prices.tables() {
        for key in table.models() {
            let own = table.which() == Which::Bundled
                && prices.tables().any(|other| other.which() == Which::User && other.models().any(|mine| mine == key));
            let lower = key.to_ascii_lowercase();
            if !own && wanted.iter().all(|text| lower.contains(text)) {
                lines.push(line(&prices, table, key));
            }
        }
    }
    if lines.is_empty() && !args.json {
        let words = args.text.join(" ");
        note(&format!("no model in the price table has \"{words}\" in its name; -m takes others, too"), &args.global);
        return Ok(0);
    }
    let text = if args.json { format!("{}\n", face::list(&lines)) } else { face::table(&lines) };
    print(&args.global, &text, 0)
}

fn line(prices: &Prices, table: &Table, key: &str) -> Line {
    let entry = table.model(key).ok().flatten();
    let mut line = Line { model: key.to_owned(), context: entry.and_then(|entry| entry.context), ..Line::default() };
    match prices.price(&split(key), now(), &Context::new()) {
        Priced::Sheet(price) => {
            let rate = |meter| price.rate(&price.rates, meter).ok().map(|rate| rate.usd.to_string());
            (line.input, line.output) = (rate(Meter::Input), rate(Meter::Output));
            let has_cache = price.rates.contains_key(&Meter::CacheRead) || price.ratio.contains_key(&Meter::CacheRead);
            line.cache_read = rate(Meter::CacheRead).filter(|_| has_cache);
            line.checked.clone_from(&price.source.checked);
        }
        Priced::Free(source) => (line.free, line.checked) = (true, source.checked),
        Priced::Unpriced(reason) => line.unpriced = Some(reason),
    }
    line
}

/// `provider/model` as it stands in a table.
fn split(key: &str) -> ModelName {
    let (provider, model) = key.split_once('/').unwrap_or((key, ""));
    ModelName { provider: provider.to_owned(), region: None, model: model.to_owned() }
}

fn show(args: &ShowArgs) -> Result<u8, Failure> {
    let desk = Desk::open(&args.global, None)?;
    let prices = config::prices(&env)?;
    let at = match &args.at {
        None => now(),
        Some(text) => {
            Moment::parse(text).ok_or_else(|| wrong(format!("\"{text}\" is no instant: 2026-11-22T10:00:00Z")))?
        }
    };
    let mut context = Context::new();
    for pair in &args.with {
        let (name, word) = pair.split_once('=').ok_or_else(|| wrong(format!("\"{pair}\" is no NAME=WORD")))?;
        context.insert(name.to_owned(), word.to_owned());
    }
    let named = desk.config.alias.get(&args.model).unwrap_or(&args.model);
    // A key of a table is taken as it stands, also where the catalog has no such provider.
    let known = prices.find(&split(named)).is_ok();
    let name = if known { split(named) } else { desk.catalog.model(named)? };
    let sheet = resolved(&prices, &name, at, &context);
    let text = if args.json { format!("{}\n", face::sheet_object(&sheet)) } else { face::sheet(&sheet) };
    print(&args.global, &text, if sheet.unpriced.is_some() { ErrorClass::NotFound.exit_code() } else { 0 })
}

fn wrong(message: String) -> Failure {
    Failure::new(ErrorClass::Config, message)
}

fn resolved(prices: &Prices, name: &ModelName, at: Moment, context: &Context) -> Sheet {
    let mut sheet = Sheet {
        model: name.to_string(),
        source: None,
        page: None,
        groups: Vec::new(),
        notes: Vec::new(),
        free: false,
        unpriced: None,
    };
    match prices.price(name, at, context) {
        Priced::Unpriced(reason) => sheet.unpriced = Some(reason),
        Priced::Free(source) => (sheet.free, sheet.source) = (true, Some(*source)),
        Priced::Sheet(price) => {
            sheet.groups.push(rates(prices, &price, 0, "USD per 1M tokens"));
            for tier in &price.tiers {
                let title = format!("USD per 1M tokens, prompts of {} tokens and more", tier.from.least());
                sheet.groups.push(rates(prices, &price, tier.from.least(), &title));
            }
            let number = |(name, number): (&String, &Number)| Detail {
                what: name.clone(),
                value: number.value.to_string(),
                from: prices.at(number.place),
                note: None,
            };
            let fees: Vec<Detail> = price.fees.iter().map(number).collect();
            let factors: Vec<Detail> = price.factors.iter().map(|(name, value)| number((name, value))).collect();
            for (title, details) in [("USD per 1,000 uses", fees), ("factors, applied above", factors)] {
                if !details.is_empty() {
                    sheet.groups.push(Group { title: title.into(), details });
                }
            }
            (sheet.source, sheet.page, sheet.notes) = (Some(price.source), price.page, price.notes);
        }
    }
    sheet
}

/// The rates of one tier that the table gives, by itself or by ratio.
fn rates(prices: &Prices, price: &Price, prompt_total: u64, title: &str) -> Group {
    let rates = price.tier(prompt_total);
    let given = |meter: &Meter| rates.contains_key(meter) || price.ratio.contains_key(meter);
    let detail = |meter: Meter, rate: Rate| {
        let by_ratio = !rates.contains_key(&meter);
        Detail {
            what: meter.key().to_owned(),
            value: rate.usd.to_string(),
            from: prices.at(rate.origin.place),
            note: by_ratio.then(|| format!("{} × input", rate.origin.value)),
        }
    };
    let known = TOKENS.into_iter().filter(given);
    let details = known.filter_map(|meter| price.rate(&rates, meter).ok().map(|rate| detail(meter, rate))).collect();
    Group { title: title.to_owned(), details }
}

fn check(args: &CheckArgs) -> Result<u8, Failure> {
    let (prices, only) = match &args.file {
        None => (config::prices(&env)?, None),
        Some(path) => {
            let name = path.display().to_string();
            let text = config::text(path)?.ok_or_else(|| wrong(format!("{name}: no such file")))?;
            match Prices::with(&name, text.clone()) {
                Ok(prices) => (prices, Some(Which::User)),
                // What keeps a file from being read is all that can be said of it.
                Err(_) => {
                    let problems = Table::new(Which::User, &name, text).problems();
                    let text: String = problems.iter().map(|problem| format!("{problem}\n")).collect();
                    return print(&args.global, &text, 1);
                }
            }
        }
    };
    let tables = prices.tables().filter(|table| only.is_none_or(|only| table.which() == only));
    let (mut text, mut errors, mut models) = (String::new(), 0, 0);
    for table in tables {
        models += table.models().count();
        for finding in prices.check(table, now()) {
            let word = match finding.weight {
                Weight::Error => "error",
                Weight::Warning => "warning",
            };
            errors += usize::from(finding.weight == Weight::Error);
            text.push_str(&format!("{}: {word}\n", finding.at));
        }
    }
    text.push_str(&format!("{models} models, {errors} errors\n"));
    print(&args.global, &text, u8::from(errors > 0))
}

/// One line of `models bill`.
#[derive(Debug, Deserialize)]
struct Asked {
    provider: String,
    api: String,
    model: String,
    /// The model that the response names.
    #[serde(default)]
    model_served: Option<String>,
    request_date: String,
    #[serde(default)]
    context: Map<String, Value>,
    usage: Value,
}

fn bill(args: &BillArgs) -> Result<u8, Failure> {
    let desk = Desk::open(&args.global, None)?;
    let prices = config::prices(&env)?;
    let mut terminal = Terminal::new(colour(args.global.color), args.global.quiet, env);
    let mut code = 0;
    for (number, read) in (1..).zip(std::io::stdin().lock().split(b'\n')) {
        let read = read.map_err(|error| Failure::new(ErrorClass::InvalidRequest, format!("stdin: {error}")))?;
        if read.trim_ascii().is_empty() {
            continue;
        }
        let object = billed(&desk, &prices, &read).unwrap_or_else(|reason| {
            code = 1;
            json!({"error": reason, "line": number})
        });
        match terminal.answer(&format!("{object}\n")) {
            Ok(Written::All) => {}
            Ok(Written::Closed) => return Ok(Stop::ClosedPipe.exit_code()),
            Err(error) => return Err(Failure::new(ErrorClass::InvalidRequest, error.to_string())),
        }
    }
    Ok(code)
}

/// The bill of one line.
///
/// # Errors
/// What is wrong with the line.
fn billed(desk: &Desk, prices: &Prices, line: &[u8]) -> Result<Value, String> {
    let asked: Asked = serde_json::from_slice(line).map_err(|error| error.to_string())?;
    let at = Moment::parse(&asked.request_date)
        .ok_or_else(|| format!("request_date \"{}\" is no instant", asked.request_date))?;
    let context = words(&asked.context)?;
    let row = desk.catalog.row(&asked.provider).ok();
    let dialect =
        dialect(&asked.api, row.as_ref()).ok_or_else(|| format!("api \"{}\" is none that is known", asked.api))?;
    let mut name = match &row {
        Some(_) => desk.catalog.model(&format!("{}/{}", asked.provider, asked.model)).map_err(|error| error.message)?,
        None => ModelName { provider: asked.provider, region: None, model: asked.model },
    };
    name.region = name.region.or_else(|| context.get("region").cloned());
    let quirks = row.map_or_else(Quirks::default, |row| row.quirks);
    let streamed = context.get("stream").is_some_and(|word| word == "true");
    let usage = dialect.usage(&asked.usage, &quirks, &name.model, streamed);
    let called = Called {
        name: &name,
        served: asked.model_served.as_deref(),
        at,
        context: &context,
        quote: None,
        request_bytes: None,
        answer_bytes: 0,
        simulated: false,
    };
    let outcome = outcome(usage);
    let bill = prices.bill(&called, &outcome);
    Ok(face::bill(&bill, outcome.usage()))
}

/// Counts that cannot be trusted are no final usage.
fn outcome(usage: Option<Usage>) -> Outcome {
    match usage {
        Some(usage) if !usage.rejected => Outcome::Reported(usage),
        seen => Outcome::Unconfirmed { seen },
    }
}

/// The context's values as words.
fn words(context: &Map<String, Value>) -> Result<Context, String> {
    let mut words = Context::new();
    for (name, value) in context {
        let word = match value {
            Value::Null => continue,
            Value::String(word) => word.clone(),
            Value::Bool(_) | Value::Number(_) => value.to_string(),
            Value::Array(_) | Value::Object(_) => return Err(format!("context.{name} must be a word")),
        };
        words.insert(name.clone(), word);
    }
    Ok(words)
}

/// The dialect that an API's name means: ours, the provider's own, or one whose usage has the same shape.
fn dialect(api: &str, row: Option<&Row>) -> Option<Dialect> {
    let word = api.trim().to_ascii_lowercase().replace(['_', ' '], "-");
    let named = Dialect::ALL.into_iter().find(|dialect| dialect.as_str() == word);
    named.or(match word.as_str() {
        "chat-completions" | "completions" | "embeddings" => Some(Dialect::Chat),
        "generatecontent" | "streamgeneratecontent" | "embedcontent" => Some(Dialect::GenerateContent),
        "invoke" => Some(Dialect::Messages),
        "conversestream" | "converse-stream" => Some(Dialect::Converse),
        "" => row.and_then(|row| row.api.first().copied()),
        _ => None,
    })
}
