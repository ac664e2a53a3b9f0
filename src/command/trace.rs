//! `-v`, `-vv` and `LLMX_LOG`: what happens around each call, a line for each event on standard error, and no secret in it.

use std::fmt::{self, Write as _};
use std::sync::LazyLock;
use std::time::Instant;

use regex::{Captures, Regex};
use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::span::{Attributes, Id};
use tracing::{Event, Metadata, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::{Context, SubscriberExt as _};
use tracing_subscriber::registry::{LookupSpan, Registry};

use crate::command::outside::{env, secrets};
use crate::command::{GlobalArgs, colour};
use crate::domain::untrusted::one_line;
use crate::provider::key;
use crate::render::terminal::{self, Terminal};

/// Longest message of a library that is shown, in characters.
const OTHERS_MAX: usize = 200;

/// Listens from now on, where `-v` or `LLMX_LOG` asks for it; else nothing is set up. The first one to ask decides.
pub fn begin(global: &GlobalArgs) {
    let directives = env("LLMX_LOG");
    if !global.is_verbose() && directives.is_none() {
        return;
    }
    let mut terminal = Terminal::new(colour(global.color), global.quiet, env);
    let ours = if global.verbose > 1 { LevelFilter::DEBUG } else { LevelFilter::INFO };
    let wanted = match directives.map(|directives| Wanted::read(&directives)) {
        None => Wanted::ours(ours),
        Some(Ok(wanted)) => wanted,
        Some(Err(word)) => {
            let _ = terminal.note(&format!(
                "llmx: LLMX_LOG: {} is no level (off, error, warn, info, debug) and no target=level: it is not used\n",
                one_line(&word)
            ));
            Wanted::ours(if global.is_verbose() { ours } else { LevelFilter::OFF })
        }
    };
    let lines = Lines { began: Instant::now(), wanted, colour: terminal.err.colour };
    if tracing::subscriber::set_global_default(Registry::default().with(lines)).is_ok() {
        terminal::listen();
        secrets().iter().for_each(key::remember);
    }
}

/// Which events are told.
#[derive(Debug, PartialEq, Eq)]
struct Wanted {
    /// A target (`llmx`, `h2::proto`) and how much of it, and of all below it; the longest that fits counts.
    targets: Vec<(String, LevelFilter)>,
    /// Of every other one.
    others: LevelFilter,
}

impl Wanted {
    fn ours(level: LevelFilter) -> Wanted {
        Wanted { targets: vec![("llmx".to_owned(), level)], others: LevelFilter::OFF }
    }

    /// `debug`, or `llmx=debug,h2=info`; the error is the word that is neither. Nothing below debug is told: libraries
    /// print there what is sent.
    fn read(directives: &str) -> Result<Wanted, String> {
        let mut wanted = Wanted { targets: Vec::new(), others: LevelFilter::OFF };
        for word in directives.split(',').map(str::trim).filter(|word| !word.is_empty()) {
            let (target, level) = word.split_once('=').map_or((None, word), |(target, level)| (Some(target), level));
            let level: LevelFilter = level.trim().parse().map_err(|_| word.to_owned())?;
            let level = level.min(LevelFilter::DEBUG);
            match target {
                None => wanted.others = level,
                Some(target) => wanted.targets.push((target.trim().to_owned(), level)),
            }
        }
        wanted.targets.sort_by_key(|(target, _)| std::cmp::Reverse(target.len()));
        Ok(wanted)
    }

    fn level(&self, target: &str) -> LevelFilter {
        let below =
            |known: &str| target.strip_prefix(known).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"));
        self.targets.iter().find(|(known, _)| below(known)).map_or(self.others, |(_, level)| *level)
    }

    fn most(&self) -> LevelFilter {
        self.targets.iter().map(|(_, level)| *level).fold(self.others, LevelFilter::max)
    }
}

/// A line for each event: milliseconds since the start, level, the span's fields, the message and its fields.
struct Lines {
    began: Instant,
    wanted: Wanted,
    colour: bool,
}

/// A span as it stands in a line.
struct Said(String);

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Lines {
    fn enabled(&self, metadata: &Metadata<'_>, _: Context<'_, S>) -> bool {
        *metadata.level() <= self.wanted.level(metadata.target())
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(self.wanted.most())
    }

    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        // A library's span holds what it was called with, and that may be anything.
        if !is_ours(attributes.metadata()) {
            return;
        }
        let mut fields = Fields::default();
        attributes.record(&mut fields);
        if let Some(span) = context.span(id) {
            span.extensions_mut().insert(Said(format!("{}{{{}}} ", span.name(), fields.named.trim_start())));
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let after_ms = self.began.elapsed().as_millis();
        let metadata = event.metadata();
        let mut spans = String::new();
        for span in context.event_scope(event).into_iter().flat_map(|scope| scope.from_root()) {
            spans.extend(span.extensions().get::<Said>().map(|said| said.0.as_str()));
        }
        let mut fields = Fields::default();
        event.record(&mut fields);
        let told = if is_ours(metadata) {
            format!("{}{}", fields.message, fields.named)
        } else {
            let message: String = without_secrets(&fields.message).chars().take(OTHERS_MAX).collect();
            format!("{}: {message}", metadata.target())
        };
        let (dim, plain) = if self.colour { ("\u{1b}[2m", "\u{1b}[0m") } else { ("", "") };
        let (spans, told) = (one_line(&key::unsaid(&spans)), one_line(&key::unsaid(&told)));
        terminal::tell_aside(&format!("{dim}{after_ms:>6} ms {:<5} {spans}{plain}{told}\n", metadata.level()));
    }
}

fn is_ours(metadata: &Metadata<'_>) -> bool {
    metadata.target().split("::").next() == Some("llmx")
}

/// The message of an event, and the others of its fields as ` name=value`.
#[derive(Default)]
struct Fields {
    message: String,
    named: String,
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.put(field, &format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field, value);
    }
}

impl Fields {
    fn put(&mut self, field: &Field, value: &str) {
        // Writing to a String cannot fail.
        let _ = match field.name() {
            "message" => write!(self.message, "{value}"),
            name if value.is_empty() || value.contains([' ', '"', '=']) => write!(self.named, " {name}={value:?}"),
            name => write!(self.named, " {name}={value}"),
        };
    }
}

/// What a library says without what looks like a secret: queries, user names in addresses, credentials in headers.
fn without_secrets(text: &str) -> String {
    static SECRET: LazyLock<Option<Regex>> = LazyLock::new(|| {
        const NAMES: &str =
            r"[\w-]*(?:authorization|cookie|api[-_]?key|token|secret|password|signature|credential)[\w-]*";
        Regex::new(&format!(
            r#"(?i)(?<keep>\b{NAMES}["']?\s*[:=]\s*|\b(?:bearer|basic)\s+|://|\?)(?:"[^"]*"|'[^']*'|(?:bearer|basic)\s+[^\s"',]+|[^\s"'/@]*@|[^\s"',;)]+)"#
        ))
        .ok()
    });
    // Without its pattern nothing is shown.
    let Some(secret) = SECRET.as_ref() else { return "[redacted]".to_owned() };
    let replaced = secret.replace_all(text, |found: &Captures<'_>| match &found["keep"] {
        // An address is kept, its user name and password are not.
        "://" if !found[0].ends_with('@') => without_query(&found[0]),
        "://" => "://[redacted]@".to_owned(),
        keep => format!("{keep}[redacted]"),
    });
    replaced.into_owned()
}

fn without_query(address: &str) -> String {
    match address.split_once('?') {
        Some((before, _)) => format!("{before}?[redacted]"),
        None => address.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use tracing::level_filters::LevelFilter;

    use super::{Wanted, without_secrets};

    #[test]
    fn a_directive_names_a_level_or_a_target_and_never_more_than_debug() {
        let wanted = Wanted::read("warn, llmx=debug,h2::proto=trace,h2=off").expect("directives");
        for (target, level) in [
            ("llmx::call", LevelFilter::DEBUG),
            ("llmxx", LevelFilter::WARN),
            ("h2::proto::streams", LevelFilter::DEBUG),
            ("h2::client", LevelFilter::OFF),
            ("reqwest", LevelFilter::WARN),
        ] {
            assert_eq!(wanted.level(target), level, "{target}");
        }
        assert_eq!(Wanted::read("trace").expect("a level").most(), LevelFilter::DEBUG);
        assert_eq!(Wanted::read("llmx=loud"), Err("llmx=loud".to_owned()));
        assert_eq!(Wanted::read("loud"), Err("loud".to_owned()));
    }

    #[test]
    fn what_looks_like_a_secret_is_taken_out_of_a_librarys_words() {
        for (text, shown) in [
            ("connecting to https://u:CANARY@h.example:1/p", "connecting to https://[redacted]@h.example:1/p"),
            ("GET https://h.example/p?key=CANARY&x=1 done", "GET https://h.example/p?[redacted] done"),
            ("GET /p?sig=CANARY done", "GET /p?[redacted] done"),
            ("authorization: Bearer CANARY, x", "authorization: [redacted], x"),
            (r#"{"x-api-key": "CANARY", "a": 1}"#, r#"{"x-api-key": [redacted], "a": 1}"#),
            ("Set-Cookie: id=CANARY; Path=/", "Set-Cookie: [redacted]; Path=/"),
            ("aws_session_token=CANARY", "aws_session_token=[redacted]"),
            ("uses bearer CANARY", "uses bearer [redacted]"),
            ("starting new connection: https://api.openai.com/", "starting new connection: https://api.openai.com/"),
        ] {
            assert_eq!(without_secrets(text), shown);
        }
    }
}
