//! Why there is no answer, what to do about it, and whether it may have cost money all the same.

use std::error::Error as _;
use std::time::Duration;

use reqwest::StatusCode;
use reqwest::header::HeaderMap;

use super::catalog::Row;
use crate::domain::failure::{ErrorClass, Failure, Repeat, Replace};
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
    failure.retry_after_ms = headers.and_then(retry_after_ms).or(error.retry_after_ms);
    // The provider (504) or a proxy before it (524) gave up waiting: the model may have gone on.
    if matches!(status, Some(504 | 524)) { failure.maybe_billed().replaces(Replace::Always) } else { failure }
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
            let near = row.near(caller.model);
            if near.is_empty() {
                format!("check the model's name at {}", row.docs.as_deref().unwrap_or(&row.name))
            } else {
                format!("did you mean {}?", near.join(", "))
            }
        }
        ErrorClass::Region => "use another region (--region) or provider".into(),
        ErrorClass::RateLimit => "wait a moment and call again".into(),
        ErrorClass::Quota => format!("add credit or raise the limit at {}: waiting does not help", row.name),
        ErrorClass::ContextLength => "send less, or choose a model with a larger context window".into(),
        ErrorClass::ContentFilter => "change the prompt: the provider's filter refused it".into(),
        ErrorClass::InvalidRequest if status == Some(413) => {
            "send less: the request is too large for this provider".into()
        }
        ErrorClass::InvalidRequest => "see the provider's words with -v, and the request with --dry-run".into(),
        ErrorClass::Overloaded => "the provider's fault: call again in a while, or use another model".into(),
        ErrorClass::Timeout => "call again, ask for less, or raise --timeout".into(),
        ErrorClass::Network => format!("check the connection to {}", caller.host),
        ErrorClass::Protocol => format!("check the base URL ({}) and --api", caller.host),
        ErrorClass::Budget | ErrorClass::Ledger | ErrorClass::Config => return None,
    })
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
                    | ErrorClass::InvalidRequest
            );
            let failure = refused(error, None, None, caller);
            if began || !refusal { failure.maybe_billed() } else { failure }
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

/// A fault of the connection. `written`: the request may have reached the provider.
#[must_use]
pub fn transport(error: &reqwest::Error, caller: &Caller<'_>, connect: Duration) -> Failure {
    let chain = causes(error);
    let says = |text: &str| chain.to_ascii_lowercase().contains(text);
    let host = caller.host;
    if error.is_connect() || says("dns error") || says("tcp connect") {
        if says("certificate") {
            return Failure::new(ErrorClass::Network, format!("{host}: its certificate is not trusted: {}", last_cause(error)))
                .advise("if it is your company's own, give its root with --ca-file or ca_bundle; there is no way to skip the check");
        }
        if says("corrupt message") || says("invalidcontenttype") || says("wrong version") {
            return Failure::new(ErrorClass::Network, format!("{host}: this port does not speak TLS"))
                .advise("check the scheme and the port of the base URL");
        }
        if says("dns error") || says("failed to lookup") {
            return Failure::new(ErrorClass::Network, format!("{host}: no such host ({})", last_cause(error)))
                .advise(format!("check the name, the network and the base URL of {}", caller.row.id));
        }
        if error.is_timeout() {
            let failure =
                Failure::new(ErrorClass::Timeout, format!("{host}: no connection within {}", seconds(connect)));
            return failure.advise("check the network, the firewall and the proxy (HTTPS_PROXY)");
        }
        let failure =
            Failure::new(ErrorClass::Network, format!("{host}: {}", last_cause(error))).repeats(Repeat::Often);
        return failure.advise("is the server running, and is the base URL right?");
    }
    if says("parsed") || says("message head is too large") {
        return Failure::new(
            ErrorClass::Protocol,
            format!("{host} answers with no usable HTTP: {}", last_cause(error)),
        )
        .advise("check the scheme and the port of the base URL")
        .maybe_billed();
    }
    Failure::new(ErrorClass::Network, format!("{host}: the connection was cut: {}", last_cause(error)))
        .advise("the provider may have billed it; call again")
        .maybe_billed()
}

/// A time limit that ran out after the request was written.
#[must_use]
pub fn too_slow(what: &str, limit: Duration, caller: &Caller<'_>) -> Failure {
    Failure::new(ErrorClass::Timeout, format!("{}: {what} within {}", caller.host, seconds(limit)))
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

fn causes(error: &reqwest::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text.push_str(": ");
        text.push_str(&inner.to_string());
        cause = inner.source();
    }
    text
}

fn last_cause(error: &reqwest::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text = inner.to_string();
        cause = inner.source();
    }
    text
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

/// How long the headers ask to wait, in milliseconds. A date is read by the one who waits, since only that one has a clock.
#[must_use]
pub fn retry_after_ms(headers: &HeaderMap) -> Option<u64> {
    let text = |name: &str| headers.get(name)?.to_str().ok().map(str::trim).map(str::to_owned);
    let millis = text("retry-after-ms").or_else(|| text("x-amz-retry-after"));
    if let Some(millis) = millis.and_then(|text| text.parse::<u64>().ok()) {
        return Some(millis);
    }
    let seconds = text("retry-after")?;
    let (whole, fraction) = seconds.split_once('.').unwrap_or((&seconds, ""));
    let thousandths: String = fraction.chars().chain("000".chars()).take(3).collect();
    whole.parse::<u64>().ok()?.checked_mul(1000)?.checked_add(thousandths.parse().ok()?)
}
