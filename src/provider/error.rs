//! Why there is no answer, what to do about it, and whether it may have cost money all the same.

use std::error::Error;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use reqwest::StatusCode;
use reqwest::header::HeaderMap;

use super::catalog::Row;
use super::certificate;
use super::connect::{Stalled, Step};
use super::departure::Departure;
use super::wait;
use crate::domain::failure::{ErrorClass, Failure, Repeat, Replace};
use crate::domain::instant;
use crate::domain::refusal::duration;
use crate::wire::contract::{ApiError, DecodeError};
use crate::wire::errors::html_title;

/// Whose call failed: what advice needs to know.
#[derive(Debug, Clone, Copy)]
pub struct Caller<'a> {
    pub row: &'a Row,
    pub model: &'a str,
    /// Where the credential was found.
    pub key_origin: Option<&'a str>,
    /// Host and port, as the user would recognise them.
    pub host: &'a str,
    /// Bytes of the request's body, where that matters.
    pub sent: Option<usize>,
}

/// A time limit on the answer, by its setting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limit {
    /// The head of a streamed answer.
    Head,
    /// The head of an answer that is asked for at once.
    Whole,
    /// Bytes of the body.
    Idle,
    /// Bytes that mean anything.
    Content,
}

impl Limit {
    fn what(self) -> &'static str {
        match self {
            Limit::Head | Limit::Whole => "no answer",
            Limit::Idle => "no byte",
            Limit::Content => "nothing but empty data",
        }
    }

    fn setting(self) -> &'static str {
        match self {
            Limit::Head => "limits.head_ms",
            Limit::Whole => "limits.whole_ms",
            Limit::Idle => "limits.idle_ms",
            Limit::Content => "limits.content_ms",
        }
    }
}

/// A provider's error in an answer's head or body.
#[must_use]
pub fn refused(error: ApiError, status: Option<u16>, headers: Option<&HeaderMap>, caller: &Caller<'_>) -> Failure {
    let words = first_line(&error.message);
    let message = match (status, words.is_empty()) {
        (Some(status), true) => format!("HTTP {status}{}", reason(status)),
        (_, false) => words,
        (None, true) => "the provider reports an error without words".into(),
    };
    let mut failure = Failure::new(error.class, message);
    failure.advice = advice(error.class, status, caller);
    failure.provider_message = Some(error.message);
    failure.provider_type = error.kind.or(error.code);
    failure.status = status;
    failure.request_id = headers.and_then(request_id);
    failure.retry_after_ms = headers.and_then(|headers| wait::asked_ms(headers, now_ms())).or(error.retry_after_ms);
    if let Some(when) = failure.retry_after_ms.and_then(|wait| when(wait, now_ms())) {
        failure.advice = match error.class {
            ErrorClass::RateLimit | ErrorClass::Overloaded => Some(format!("call again {when}, or use another model")),
            ErrorClass::Quota => {
                Some(format!("add credit or raise the limit at {}, or call again {when}", caller.row.name))
            }
            _ => failure.advice,
        };
    }
    ruled(failure, headers)
}

/// Where status and headers depart from the rule of the class.
fn ruled(failure: Failure, headers: Option<&HeaderMap>) -> Failure {
    // The provider (504) or a proxy before it (524) gave up waiting: the model may have gone on.
    if matches!(failure.status, Some(504 | 524)) {
        return failure.maybe_billed().replaces(Replace::Always);
    }
    let failure = if failure.status == Some(408) { failure.repeats(Repeat::Often) } else { failure };
    // The provider's own word on it, which the SDKs of OpenAI and Anthropic obey as well.
    let should_retry = headers.and_then(|headers| headers.get("x-should-retry")?.to_str().ok());
    let repeat = match (should_retry, failure.status) {
        (Some("false"), _) => Repeat::Never,
        (Some("true"), Some(400..=499)) => failure.repeat.max(Repeat::Once),
        (_, _) => failure.repeat,
    };
    failure.repeats(repeat)
}

/// When a provider that asks to wait so long may answer: the wait, and the time where nobody sits it out.
fn when(wait_ms: u64, now_ms: i64) -> Option<String> {
    let wait = i64::try_from(wait_ms).ok()?;
    if wait_ms <= 60_000 {
        return Some(format!("in {} s", wait_ms.div_ceil(1000)));
    }
    let at = now_ms.checked_add(wait)?;
    Some(format!("at {} (in {})", instant::utc(at), duration(wait)))
}

fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// What the user sees of an error's words: its first line; of HTML the title.
fn first_line(message: &str) -> String {
    if message.trim_start().starts_with('<') {
        return html_title(message).unwrap_or("an HTML page").to_owned();
    }
    message.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default().chars().take(500).collect()
}

fn reason(status: u16) -> String {
    StatusCode::from_u16(status)
        .ok()
        .and_then(|code| code.canonical_reason())
        .map(|text| format!(" {text}"))
        .unwrap_or_default()
}

/// What to do next, by class.
fn advice(class: ErrorClass, status: Option<u16>, caller: &Caller<'_>) -> Option<String> {
    let row = caller.row;
    let sent = caller.sent.map(|bytes| format!(" ({} were sent)", size(bytes))).unwrap_or_default();
    Some(match class {
        ErrorClass::Auth => match caller.key_origin {
            Some(origin) => format!("check the key in {origin}: {} did not accept it", row.name),
            None => match row.key.first() {
                Some(name) => format!("export {name}=… ({} wants a key)", row.name),
                None => format!("check the credentials for {}", row.name),
            },
        },
        ErrorClass::Permission => format!("ask for access to {} at {}, or use another key", caller.model, row.name),
        ErrorClass::NotFound => {
            let docs = row.docs.as_deref().unwrap_or(&row.name);
            let near = row.near(caller.model);
            if row.models.iter().any(|known| known == caller.model) {
                format!(
                    "the name is a known one: see whether this key may use it, and whether it still exists, at {docs}"
                )
            } else if near.is_empty() {
                format!("check the model's name at {docs}")
            } else {
                format!("did you mean {}?", near.join(", "))
            }
        }
        ErrorClass::Region => "use another region (--region) or provider".into(),
        ErrorClass::RateLimit => "wait a moment and call again".into(),
        ErrorClass::Quota => format!("add credit or raise the limit at {}: waiting does not help", row.name),
        ErrorClass::ContextLength => format!("send less{sent}, or choose a model with a larger context window"),
        ErrorClass::ContentFilter => "change the prompt: the provider's filter refused it".into(),
        ErrorClass::InvalidRequest if status == Some(413) => {
            format!("send less{sent}: the request is too large for this provider")
        }
        ErrorClass::InvalidRequest => {
            format!("see the provider's words with -v, and the request{sent} with --dry-run")
        }
        ErrorClass::Overloaded => "the provider's fault: call again in a while, or use another model".into(),
        ErrorClass::Timeout => "call again, ask for less, or raise --timeout".into(),
        ErrorClass::Network => format!("check the connection to {}", caller.host),
        ErrorClass::Protocol => format!("check the base URL ({}) and --api", caller.host),
        ErrorClass::Budget | ErrorClass::Ledger | ErrorClass::Config => return None,
    })
}

/// `310 bytes`, `12 KB`, `8.4 MB`.
fn size(bytes: usize) -> String {
    match bytes {
        0..10_000 => format!("{bytes} bytes"),
        10_000..1_000_000 => format!("{} KB", bytes / 1000),
        _ => format!("{}.{} MB", bytes / 1_000_000, bytes / 100_000 % 10),
    }
}

/// An answer that could not be read to its end. `began`: some of it had come.
#[must_use]
pub fn unreadable(error: DecodeError, began: bool, caller: &Caller<'_>) -> Failure {
    match error {
        DecodeError::Api(error) => {
            let refusal = matches!(
                error.class,
                ErrorClass::Auth
                    | ErrorClass::Permission
                    | ErrorClass::NotFound
                    | ErrorClass::Region
                    | ErrorClass::RateLimit
                    | ErrorClass::Quota
                    | ErrorClass::ContextLength
                    | ErrorClass::ContentFilter
                    | ErrorClass::InvalidRequest
            );
            let mut failure = refused(error, None, None, caller);
            if failure.class == ErrorClass::Protocol {
                failure.advice =
                    Some("the provider does not say what kind of error this is: see its words with -v".into());
            }
            inside(failure, refusal, began)
        }
        DecodeError::Malformed(reason) => {
            Failure::new(ErrorClass::Protocol, format!("{} sent what cannot be read: {reason}", caller.host))
                .advise(format!("check the base URL ({}) and --api", caller.host))
                .maybe_billed()
        }
        DecodeError::Cut(reason) => Failure::new(ErrorClass::Protocol, reason)
            .advise("what came is kept and may be billed; call again for a whole answer")
            .maybe_billed(),
    }
}

/// A provider's error inside an answer whose status said that all is well. `refusal`: it never began to work; `began`: a
/// part of the answer had come, which nothing else may then follow.
#[must_use]
pub fn inside(failure: Failure, refusal: bool, began: bool) -> Failure {
    if began {
        return failure.maybe_billed().replaces(Replace::Never);
    }
    let repeat = failure.repeat.min(Repeat::Once);
    Failure { may_be_billed: failure.may_be_billed || !refusal, ..failure }.repeats(repeat)
}

/// A fault of the connection before the head of an answer. `proxy`: see [`super::net::Net::proxy`].
#[must_use]
pub fn unanswered(error: &reqwest::Error, departure: &Departure, proxy: Option<&str>, caller: &Caller<'_>) -> Failure {
    let host = caller.host;
    if !departure.left() {
        return unconnected(error, proxy, caller);
    }
    if !departure.gone() {
        return Failure::new(
            ErrorClass::Network,
            format!("{host}: the connection was cut while sending: {}", last_cause(error)),
        )
        .repeats(Repeat::Often)
        .advise("call again; if it stays so, send less: the provider may refuse what is this large");
    }
    if chain(error).contains("parsed") || chain(error).contains("message head is too large") {
        return Failure::new(
            ErrorClass::Protocol,
            format!("{host} answers with no usable HTTP: {}", last_cause(error)),
        )
        .advise("check the scheme and the port of the base URL")
        .maybe_billed();
    }
    broken(error, caller)
}

/// A fault of the connection after the head of an answer: nothing else may take the place of what has begun.
#[must_use]
pub fn cut(error: &reqwest::Error, caller: &Caller<'_>) -> Failure {
    broken(error, caller).replaces(Replace::Never)
}

fn broken(error: &reqwest::Error, caller: &Caller<'_>) -> Failure {
    Failure::new(ErrorClass::Network, format!("{}: the connection was cut: {}", caller.host, last_cause(error)))
        .advise("the provider may have billed it; call again")
        .maybe_billed()
}

/// Nothing of the request had left: no connection, or not the right one.
fn unconnected(error: &reqwest::Error, proxy: Option<&str>, caller: &Caller<'_>) -> Failure {
    let host = caller.host;
    let network = |reason: String| Failure::new(ErrorClass::Network, format!("{host}: {reason}"));
    for cause in causes(error) {
        if let Some(stalled) = cause.downcast_ref::<Stalled>() {
            let setting = match stalled.step {
                Step::Name | Step::Tcp => "limits.connect_ms",
                Step::Tls => "limits.tls_ms",
            };
            let message = format!("{host}: {} within {} ({setting})", stalled.step, seconds(stalled.limit));
            return Failure::new(ErrorClass::Timeout, message).repeats(Repeat::Once).advise(match stalled.step {
                Step::Name => "check the network and its name server",
                Step::Tcp => "check the network, the firewall and the proxy (HTTPS_PROXY)",
                Step::Tls => "check that this port speaks TLS, and the firewall and the proxy (HTTPS_PROXY)",
            });
        }
        match cause.downcast_ref::<rustls::Error>() {
            Some(cause @ (rustls::Error::InvalidCertificate(_) | rustls::Error::NoCertificatesPresented)) => {
                let reason = certificate::reason(cause, host);
                return network(format!("its certificate is not trusted: {reason}")).replaces(Replace::Never).advise(
                    "if it is your company's own, give its root with --ca-file or ca_bundle in config.toml; there is no \
                     way to skip the check",
                );
            }
            Some(rustls::Error::InvalidMessage(_)) => {
                return network("this port does not speak TLS".into())
                    .advise("check the scheme and the port of the base URL");
            }
            Some(other) => {
                return network(format!("no TLS: {other}")).advise("check the scheme and the port of the base URL");
            }
            None => {}
        }
    }
    let chain = chain(error);
    let says = |text: &str| chain.contains(text);
    // A proxy's status is not handed on but for 407: a policy (403) looks like a proxy without room (502).
    if says("tunnel error") {
        let proxy = proxy.unwrap_or("the proxy");
        return match () {
            () if says("authorization required") => network(format!("{proxy} wants a user and a password"))
                .advise("give them in the variable: http://user:password@host:port"),
            () if says("unsuccessful") => network(format!("{proxy} refuses the connection"))
                .repeats(Repeat::Once)
                .advise("ask who runs the proxy to allow this host, or name the host in NO_PROXY"),
            () => network(format!("{proxy}: {}", last_cause(error)))
                .repeats(Repeat::Often)
                .advise("is the proxy running, and is its address right?"),
        };
    }
    if says("connecting to socks proxy") {
        return network(format!("{}: {}", proxy.unwrap_or("the proxy"), last_cause(error)))
            .repeats(Repeat::Often)
            .advise("is the proxy running, is its address right, and does it reach this host?");
    }
    if says("dns error") || says("resolving for socks proxy") {
        return network(format!("no such host ({})", last_cause(error)))
            .repeats(Repeat::Often)
            .advise(format!("check the name, the network and the base URL of {}", caller.row.id));
    }
    network(last_cause(error))
        .repeats(Repeat::Often)
        .advise("start the server there, or say where it is: --base-url URL")
}

/// No head of an answer within its limit.
#[must_use]
pub fn no_head(departure: &Departure, limit: Limit, lasted: Duration, caller: &Caller<'_>) -> Failure {
    if departure.gone() {
        return too_slow(limit, lasted, caller);
    }
    let (host, setting) = (caller.host, limit.setting());
    let message = format!("{host}: the request was not taken within {} ({setting})", seconds(lasted));
    Failure::new(ErrorClass::Timeout, message)
        .repeats(Repeat::Once)
        .advise("check the network; call again, or send less")
}

/// A time limit that ran out after the head of an answer: nothing else may take the place of what has begun.
#[must_use]
pub fn stalled(limit: Limit, lasted: Duration, caller: &Caller<'_>) -> Failure {
    too_slow(limit, lasted, caller).replaces(Replace::Never)
}

fn too_slow(limit: Limit, lasted: Duration, caller: &Caller<'_>) -> Failure {
    let (host, what, setting) = (caller.host, limit.what(), limit.setting());
    Failure::new(ErrorClass::Timeout, format!("{host}: {what} within {} ({setting})", seconds(lasted)))
        .advise("it may be billed; call again, stream the answer, or ask for less")
        .maybe_billed()
}

/// `120 s`, `0.3 s`.
fn seconds(limit: Duration) -> String {
    match limit.subsec_millis() {
        0 => format!("{} s", limit.as_secs()),
        millis => format!("{}.{} s", limit.as_secs(), format!("{millis:03}").trim_end_matches('0')),
    }
}

/// A redirect: never followed, since it would carry the key and the prompt to another host.
#[must_use]
pub fn redirected(status: u16, location: Option<&str>, caller: &Caller<'_>) -> Failure {
    let target = location.and_then(|location| reqwest::Url::parse(location).ok()).map_or_else(
        || "another place".to_owned(),
        |url| format!("{}{}", url.origin().ascii_serialization(), url.path()),
    );
    let mut failure = Failure::new(
        ErrorClass::Protocol,
        format!("{} redirects to {target} (HTTP {status}), which is never followed", caller.host),
    )
    .advise(format!("if that is right, set it: LLMX_{}_BASE_URL or --base-url", variable(&caller.row.id)));
    failure.status = Some(status);
    failure
}

/// A provider's id as a part of a variable's name.
#[must_use]
pub fn variable(id: &str) -> String {
    id.to_ascii_uppercase().replace(|character: char| !character.is_ascii_alphanumeric(), "_")
}

/// An error and what led to it; also what an I/O error wraps, which does not count itself among its sources.
fn causes(error: &reqwest::Error) -> impl Iterator<Item = &(dyn Error + 'static)> {
    std::iter::successors(Some(error as &(dyn Error + 'static)), |&error| {
        match error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref) {
            Some(wrapped) => Some(wrapped as &(dyn Error + 'static)),
            None => error.source(),
        }
    })
}

fn chain(error: &reqwest::Error) -> String {
    causes(error).map(|cause| cause.to_string().to_ascii_lowercase()).collect::<Vec<_>>().join(": ")
}

fn last_cause(error: &reqwest::Error) -> String {
    causes(error).last().map(ToString::to_string).unwrap_or_default()
}

/// The provider's id of the request.
#[must_use]
pub fn request_id(headers: &HeaderMap) -> Option<String> {
    [
        "x-request-id",
        "request-id",
        "x-amzn-requestid",
        "apim-request-id",
        "x-ms-request-id",
        "x-goog-request-id",
        "cf-ray",
    ]
    .into_iter()
    .find_map(|name| headers.get(name)?.to_str().ok().map(str::to_owned))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use reqwest::header::{HeaderMap, HeaderValue};

    use super::{Caller, Limit, Repeat, Replace, no_head, redirected, refused, size, stalled, unreadable, when};
    use crate::domain::failure::{ErrorClass, Failure};
    use crate::provider::catalog::{Catalog, Row};
    use crate::provider::departure::Departure;
    use crate::wire::contract::{ApiError, DecodeError};
    use crate::wire::errors;

    fn row() -> Row {
        Catalog::with(&toml::Table::new()).and_then(|catalog| catalog.row("openai")).expect("its row")
    }

    fn caller(row: &Row) -> Caller<'_> {
        Caller { row, model: "m", key_origin: None, host: "h", sent: None }
    }

    fn by_status(status: u16, words: &str, should_retry: Option<&'static str>) -> Failure {
        let headers: HeaderMap = should_retry
            .map(|word| ("x-should-retry".parse().expect("a name"), HeaderValue::from_static(word)))
            .into_iter()
            .collect();
        refused(errors::from_body(status, words), Some(status), Some(&headers), &caller(&row()))
    }

    fn rule(failure: &Failure) -> (Repeat, Replace, bool) {
        (failure.repeat, failure.replace, failure.may_be_billed)
    }

    #[test]
    fn a_status_says_whether_to_try_again_and_elsewhere() {
        use Repeat::{Never, Often, Once};
        for (status, words, expected) in [
            (400, "bad", (Never, Replace::Never, false)),
            (400, "prompt is too long", (Never, Replace::Larger, false)),
            (400, "content policy", (Never, Replace::IfAsked, false)),
            (401, "", (Never, Replace::Never, false)),
            (402, "", (Never, Replace::Always, false)),
            (402, "your in-flight budget", (Often, Replace::Always, false)),
            (403, "", (Never, Replace::Always, false)),
            (404, "", (Never, Replace::Always, false)),
            (408, "", (Often, Replace::Always, false)),
            (409, "", (Often, Replace::Always, false)),
            (429, "", (Often, Replace::Always, false)),
            (429, "requests per day", (Never, Replace::Always, false)),
            (498, "", (Often, Replace::Always, false)),
            (500, "", (Often, Replace::Always, false)),
            (502, "<html>", (Often, Replace::Always, false)),
            (504, "", (Never, Replace::Always, true)),
            (524, "", (Never, Replace::Always, true)),
            (529, "", (Often, Replace::Always, false)),
        ] {
            assert_eq!(rule(&by_status(status, words, None)), expected, "{status} {words}");
        }
        for (status, word, repeat) in [
            (500, "false", Never),
            (429, "false", Never),
            (400, "true", Once),
            (429, "true", Often),
            (504, "true", Never),
        ] {
            assert_eq!(by_status(status, "", Some(word)).repeat, repeat, "{status} {word}");
        }
        assert_eq!(rule(&redirected(302, None, &caller(&row()))), (Never, Replace::Never, false));
    }

    #[test]
    fn a_wait_is_told_with_its_end_where_nobody_sits_it_out() {
        // 1994-11-06 08:49:37 UTC, as in RFC 9110.
        let told = |wait| when(wait, 784_111_777_000);
        assert_eq!(told(1500).as_deref(), Some("in 2 s"));
        assert_eq!(told(3_600_000).as_deref(), Some("at 1994-11-06 09:49:37Z (in 1 h 0 min)"));
        assert_eq!(told(u64::MAX), None);
    }

    #[test]
    fn a_size_is_told_in_three_digits_or_so() {
        for (bytes, told) in [(9999, "9999 bytes"), (12_900, "12 KB"), (8_460_000, "8.4 MB")] {
            assert_eq!(size(bytes), told);
        }
    }

    #[test]
    fn an_error_body_may_be_an_event() {
        let told = |body: &str| errors::from_body(500, body).message;
        assert_eq!(told("data: {\"error\": {\"message\": \"no worker\"}}\n\n"), "no worker");
        assert_eq!(told("event: error\ndata: {\"error\": {\"message\": \"no worker\"}}\n\n"), "no worker");
        assert_eq!(told("the data: none"), "the data: none");
    }

    #[test]
    fn an_error_inside_an_answer_is_repeated_at_most_once_and_never_after_it_began() {
        let row = row();
        let late = |class, began| {
            let error = ApiError { class, message: "no".into(), kind: None, code: None, retry_after_ms: None };
            rule(&unreadable(DecodeError::Api(error), began, &caller(&row)))
        };
        assert_eq!(late(ErrorClass::RateLimit, false), (Repeat::Once, Replace::Always, false));
        assert_eq!(late(ErrorClass::Overloaded, false), (Repeat::Once, Replace::Always, true));
        assert_eq!(late(ErrorClass::Quota, false), (Repeat::Never, Replace::Always, false));
        assert_eq!(late(ErrorClass::ContextLength, false), (Repeat::Never, Replace::Larger, false));
        assert_eq!(late(ErrorClass::ContentFilter, false), (Repeat::Never, Replace::IfAsked, false));
        // Nobody can tell what it is.
        assert_eq!(late(ErrorClass::Protocol, false), (Repeat::Never, Replace::Never, true));
        for class in ErrorClass::ALL {
            assert_eq!(late(class, true), (Repeat::Never, Replace::Never, true), "{class}");
        }
        let malformed = unreadable(DecodeError::Malformed("x".into()), false, &caller(&row));
        assert_eq!(rule(&malformed), (Repeat::Never, Replace::Never, true));
    }

    #[test]
    fn a_time_limit_costs_by_what_had_left() {
        let row = row();
        let (here, gone) = (Departure::default(), Departure::default());
        gone.set_gone();
        let limit = Duration::from_secs(1);
        assert_eq!(rule(&no_head(&here, Limit::Head, limit, &caller(&row))), (Repeat::Once, Replace::Always, false));
        assert_eq!(rule(&no_head(&gone, Limit::Head, limit, &caller(&row))), (Repeat::Never, Replace::IfAsked, true));
        assert_eq!(rule(&stalled(Limit::Idle, limit, &caller(&row))), (Repeat::Never, Replace::Never, true));
    }
}
