//! What `-vv` is told of a connection: where it goes, and the headers of the answer that say what became of it.

use hyper_util::client::proxy::matcher::Matcher;
use reqwest::Url;
use reqwest::header::{HeaderMap, HeaderValue};
use tracing::{Level, debug, enabled};

use super::error;
use super::net::Net;

/// Longest value of a header that is shown, in bytes.
const SHOWN_MAX: usize = 64;

/// A request is about to go to this address.
pub fn connecting(net: &Net, url: &Url) {
    if enabled!(Level::DEBUG) {
        debug!(base = address(url), proxy = proxy(net, url).as_deref().unwrap_or("none"), "connect");
    }
}

/// The head of the answer.
pub fn answered(status: u16, headers: &HeaderMap) {
    if !enabled!(Level::DEBUG) {
        return;
    }
    debug!(status, request_id = error::request_id(headers), "answer begins");
    for (name, value) in headers.iter().filter(|(name, _)| says_when(name.as_str())) {
        debug!(name = name.as_str(), value = shown(value), "header");
    }
}

/// Scheme, host, port and path: no user name, no password, no query.
fn address(url: &Url) -> String {
    let path = url.path().trim_end_matches('/');
    format!("{}{path}", url.origin().ascii_serialization())
}

/// Scheme, host and port of the proxy that the HTTP client takes for this URL, by the rules that it reads itself.
fn proxy(net: &Net, url: &Url) -> Option<String> {
    if net.is_direct(url) {
        return None;
    }
    let by = Matcher::from_system().intercept(&url.as_str().parse().ok()?)?;
    let uri = by.uri();
    let port = uri.port_u16().map(|port| format!(":{port}")).unwrap_or_default();
    Some(format!("{}://{}{port}", uri.scheme_str().unwrap_or("http"), uri.host()?))
}

/// What is left of a limit, and when to come again.
fn says_when(name: &str) -> bool {
    name.contains("ratelimit") || name.contains("rate-limit") || name.contains("retry")
}

fn shown(value: &HeaderValue) -> String {
    match value.to_str() {
        Ok(text) if text.len() <= SHOWN_MAX && !value.is_sensitive() => text.to_owned(),
        _ => format!("[{} bytes]", value.len()),
    }
}

#[cfg(test)]
mod tests {
    use reqwest::Url;
    use reqwest::header::HeaderValue;

    use super::{address, says_when, shown};

    #[test]
    fn an_address_holds_no_password_and_no_query() {
        let url = Url::parse("https://user:CANARY@gw.example:8443/openai/v1/?key=CANARY#CANARY").expect("a URL");
        assert_eq!(address(&url), "https://gw.example:8443/openai/v1");
    }

    #[test]
    fn only_headers_that_say_when_to_come_again_are_shown_and_only_short_ones() {
        for name in
            ["retry-after", "x-ratelimit-remaining-tokens", "anthropic-ratelimit-tokens-reset", "x-should-retry"]
        {
            assert!(says_when(name), "{name}");
        }
        assert!(!says_when("set-cookie") && !says_when("authorization"));
        assert_eq!(shown(&HeaderValue::from_static("6m0s")), "6m0s");
        assert_eq!(shown(&HeaderValue::from_str(&"x".repeat(65)).expect("a value")), "[65 bytes]");
    }
}
