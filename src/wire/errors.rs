//! Error bodies of every dialect: their many shapes, and the class that status, type, code and words lead to.

use serde_json::Value;

use super::contract::ApiError;
use crate::domain::failure::ErrorClass;

/// Most of an error's words that is kept, in bytes.
const MESSAGE_MAX: usize = 8 << 10;

/// Reads the body under an error status. HTML gives its title, anything else that is no JSON stands as it is.
#[must_use]
pub fn from_body(status: u16, body: &str) -> ApiError {
    let body = body.trim_start_matches('\u{FEFF}');
    match serde_json::from_str::<Value>(event_data(body).unwrap_or(body)) {
        Ok(value) => match from_value(Some(status), &value) {
            Some(error) => error,
            None => bare(status, clip(body.trim())),
        },
        Err(_) => bare(status, clip(body.trim())),
    }
}

/// The data of an event in place of a JSON body: some gateways answer so where a stream was asked for.
fn event_data(body: &str) -> Option<&str> {
    let is_event = body.starts_with("data:") || body.starts_with("event:");
    body.lines().find_map(|line| line.strip_prefix("data:")).filter(|_| is_event)
}

/// An error whose body is no JSON that we know: its text is the message.
fn bare(status: u16, message: String) -> ApiError {
    let class = classify(Some(status), "", "", &message);
    ApiError { class, message, kind: None, code: None, retry_after_ms: None }
}

/// The title of an HTML page, for a line that a person reads.
#[must_use]
pub fn html_title(body: &str) -> Option<&str> {
    let lower = body.to_ascii_lowercase();
    let start = lower.find("<title>")? + "<title>".len();
    let length = lower[start..].find("</title>")?;
    Some(body[start..start + length].trim())
}

/// Finds the error in a JSON body or in an event of a stream, in any of the shapes that providers use:
/// `{"error": {…}}`, `{"error": "…"}`, `[{"error": {…}}]`, `{"message": …}`, `{"Message": …}`, `{"detail": …}`,
/// `{"errors": [{…}]}`. `None` where there is none.
#[must_use]
pub fn from_value(status: Option<u16>, value: &Value) -> Option<ApiError> {
    let value = match value {
        Value::Array(items) => items.first()?,
        other => other,
    };
    let inner = match &value["error"] {
        Value::Null => match &value["errors"] {
            Value::Array(errors) => errors.first().unwrap_or(value),
            _ => value,
        },
        inner => inner,
    };
    let message = message_of(inner).or_else(|| message_of(value))?;
    let kind = word(&inner["type"])
        .filter(|kind| kind != "error")
        .or_else(|| word(&inner["status"]))
        .or_else(|| word(&inner["error_type"]))
        .or_else(|| word(&value["error_type"]))
        .or_else(|| word(&value["type"]).filter(|kind| kind != "error"))
        .or_else(|| word(&inner["__type"]));
    let code = word(&inner["code"]).or_else(|| word(&value["code"])).or_else(|| word(&value["error_code"]));
    // A number in the body stands for the status where there was none (an error inside a 200).
    let status = status.or_else(|| {
        [&inner["code"], &inner["status"], &value["status_code"]]
            .into_iter()
            .find_map(|number| number.as_u64().or_else(|| number.as_str()?.parse().ok()))
            .and_then(|number| u16::try_from(number).ok())
            .filter(|number| (400..600).contains(number))
    });
    let details = &inner["details"];
    let words = match reasons(details) {
        Some(reasons) => format!("{message} {reasons}"),
        // The router's own words are "Provider returned error"; the upstream's say why.
        None => match word(&inner["metadata"]["raw"]) {
            Some(raw) => format!("{message} {raw}"),
            None => message.clone(),
        },
    };
    let class = classify(status, kind.as_deref().unwrap_or(""), code.as_deref().unwrap_or(""), &words);
    Some(ApiError { class, message: clip(&message), kind, code, retry_after_ms: retry_delay(details) })
}

fn message_of(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => return Some(text.clone()),
        Value::Object(_) => {}
        _ => return None,
    }
    ["message", "Message", "error_message", "detail", "error", "msg"].into_iter().find_map(|key| match &value[key] {
        Value::String(text) => Some(text.clone()),
        // FastAPI's list of what does not fit; Mistral puts the same under `message.detail`.
        Value::Array(items) if !items.is_empty() => Some(Value::Array(items.clone()).to_string()),
        Value::Object(map) if !map.is_empty() => Some(Value::Object(map.clone()).to_string()),
        _ => None,
    })
}

fn word(value: &Value) -> Option<String> {
    match value {
        Value::String(text) if !text.is_empty() => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// The reasons in Google's error details (`API_KEY_INVALID`, a quota's id).
fn reasons(details: &Value) -> Option<String> {
    let reasons: Vec<&str> = details
        .as_array()?
        .iter()
        .flat_map(|detail| {
            let quotas = detail["violations"].as_array().map(Vec::as_slice).unwrap_or_default();
            detail["reason"].as_str().into_iter().chain(quotas.iter().filter_map(|quota| quota["quotaId"].as_str()))
        })
        .collect();
    (!reasons.is_empty()).then(|| reasons.join(" "))
}

/// Google's `RetryInfo.retryDelay` (`"34.5s"`), in milliseconds.
fn retry_delay(details: &Value) -> Option<u64> {
    millis(details.as_array()?.iter().find_map(|detail| detail["retryDelay"].as_str())?.strip_suffix('s')?)
}

/// Seconds with or without a fraction (`34.5`) in milliseconds, rounded up: a wait may be longer, never shorter.
#[must_use]
pub fn millis(seconds: &str) -> Option<u64> {
    let (whole, fraction) = seconds.split_once('.').unwrap_or((seconds, ""));
    if whole.is_empty() || !whole.bytes().chain(fraction.bytes()).all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let (exact, beyond) = fraction.split_at(fraction.len().min(3));
    let rest = u64::from(beyond.bytes().any(|byte| byte != b'0'));
    let millis = format!("{exact:0<3}").parse::<u64>().ok()?;
    whole.parse::<u64>().ok()?.checked_mul(1000)?.checked_add(millis)?.checked_add(rest)
}

fn clip(text: &str) -> String {
    let mut end = text.len().min(MESSAGE_MAX);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text[..end].to_owned()
}

/// The class of an error. The provider's type and code are asked first, then its words where a status means several
/// things, then the status; never words alone against a status that is plain. [`ErrorClass::Protocol`] where none of them
/// says what it is.
#[must_use]
pub fn classify(status: Option<u16>, kind: &str, code: &str, message: &str) -> ErrorClass {
    if let Some(class) = by_code(code).or_else(|| by_code(kind)) {
        return class;
    }
    let words = message.to_ascii_lowercase();
    let says = |phrases: &[&str]| phrases.iter().any(|phrase| words.contains(phrase));
    match status.or_else(|| status_of_kind(kind)).or_else(|| status_of_kind(code)) {
        Some(400 | 413 | 422) if says(TOO_LONG) => ErrorClass::ContextLength,
        Some(400 | 403 | 422) if says(FILTERED) => ErrorClass::ContentFilter,
        Some(400 | 401) if says(BAD_KEY) => ErrorClass::Auth,
        Some(400) if says(&["user location is not supported"]) => ErrorClass::Region,
        Some(400 | 422) if says(NO_MODEL) => ErrorClass::NotFound,
        Some(400 | 403) if says(NO_CREDIT) => ErrorClass::Quota,
        Some(401) => ErrorClass::Auth,
        Some(402) if says(&["in-flight"]) => ErrorClass::RateLimit,
        Some(402) => ErrorClass::Quota,
        Some(403) if says(&["country, region, or territory", "not supported in your region"]) => ErrorClass::Region,
        Some(403) => ErrorClass::Permission,
        Some(404 | 410) => ErrorClass::NotFound,
        Some(408 | 504 | 524) => ErrorClass::Timeout,
        Some(409) => ErrorClass::Overloaded,
        Some(429) if says(NO_CREDIT) || says(DAILY) => ErrorClass::Quota,
        Some(429 | 498) => ErrorClass::RateLimit,
        Some(500..=599) => ErrorClass::Overloaded,
        Some(300..=399) => ErrorClass::Protocol,
        Some(_) => ErrorClass::InvalidRequest,
        // An error inside a 200 without any code that is known: its words are all there is.
        None if says(TOO_LONG) => ErrorClass::ContextLength,
        None if says(FILTERED) => ErrorClass::ContentFilter,
        None if says(BAD_KEY) => ErrorClass::Auth,
        None if says(NO_MODEL) => ErrorClass::NotFound,
        None if says(NO_CREDIT) => ErrorClass::Quota,
        None if says(&["rate limit", "too many requests"]) => ErrorClass::RateLimit,
        None if says(&["overloaded", "internal server error", "try again later", "unavailable", "timed out"]) => {
            ErrorClass::Overloaded
        }
        None if says(INVALID) => ErrorClass::InvalidRequest,
        // Nobody can tell whether the model was at work: an answer that cannot be read, not a refusal.
        None => ErrorClass::Protocol,
    }
}

/// Phrases of a prompt that does not fit, as recorded from OpenAI, Anthropic, Gemini, Cohere, DeepSeek and llama.cpp.
const TOO_LONG: &[&str] = &[
    "maximum context length",
    "context length",
    "context window",
    "context size",
    "prompt is too long",
    "input is too long",
    "input token count",
    "input length and `max_tokens` exceed",
    "exceeds the maximum number of tokens",
    "too many tokens: size limit",
    "too large for model with",
    "input tokens exceeded",
    "exceed context limit",
];
/// How a request that does not fit is called in words alone.
const INVALID: &[&str] = &["invalid request", "bad request", "validation error"];
const FILTERED: &[&str] = &["content management policy", "content policy", "content filter", "safety system"];
const BAD_KEY: &[&str] = &[
    "api key not valid",
    "incorrect api key",
    "invalid api key",
    "api_key_invalid",
    "api key expired",
    "api key not found",
];
const NO_MODEL: &[&str] = &[
    "model names are",
    "model not found",
    "model does not exist",
    "invalid model",
    "unknown model",
    "not a valid model",
    "is not a valid model id",
    "no such model",
    "model_not_found",
];
const NO_CREDIT: &[&str] = &[
    "credit balance",
    "have any credits",
    "insufficient balance",
    "insufficient credits",
    "exceeded your current quota",
    "insufficient_quota",
    "spend limit",
    "billing hard limit",
    "usage limits. you will regain access",
    "out of credits",
];
const DAILY: &[&str] = &["per day", "perday", "(tpd)", "(rpd)", "daily", "retry after 86400"];

/// Codes and types that mean one thing wherever they are seen.
fn by_code(code: &str) -> Option<ErrorClass> {
    Some(match code {
        "context_length_exceeded" | "exceed_context_size_error" | "string_above_max_length" | "TOO_MANY_TOKENS" => {
            ErrorClass::ContextLength
        }
        "content_filter" | "content_policy_violation" | "ResponsibleAIPolicyViolation" | "moderation_blocked" => {
            ErrorClass::ContentFilter
        }
        "invalid_api_key" | "authentication_error" | "UNAUTHENTICATED" | "API_KEY_INVALID" | "token_expired" => {
            ErrorClass::Auth
        }
        "permission_error" | "PERMISSION_DENIED" | "permission_denied" => ErrorClass::Permission,
        "model_not_found" | "not_found_error" | "NOT_FOUND" | "DeploymentNotFound" | "invalid_model"
        | "ModelNotFound" => ErrorClass::NotFound,
        "unsupported_country_region_territory" => ErrorClass::Region,
        "insufficient_quota"
        | "credit_balance_exhausted"
        | "billing_error"
        | "billing_hard_limit_reached"
        | "enforced_spend_limit_reached"
        | "organization_spend_limit_exceeded"
        | "project_spend_limit_exceeded"
        | "organization_usage_limit_exceeded" => ErrorClass::Quota,
        "overloaded_error"
        | "UNAVAILABLE"
        | "server_error"
        | "api_error"
        | "INTERNAL"
        | "server_overloaded"
        | "slow_down"
        | "engine_overloaded_error" => ErrorClass::Overloaded,
        "timeout_error" | "DEADLINE_EXCEEDED" => ErrorClass::Timeout,
        "request_too_large" => ErrorClass::InvalidRequest,
        _ => return None,
    })
}

/// Types that stand for a status where there is none, so that the words still decide between its meanings.
fn status_of_kind(kind: &str) -> Option<u16> {
    Some(match kind {
        "invalid_request_error"
        | "INVALID_ARGUMENT"
        | "FAILED_PRECONDITION"
        | "invalid_prompt"
        | "validation_error"
        | "ValidationException"
        | "invalid_request"
        | "bad_request"
        | "bad_request_error"
        | "BadRequestError"
        | "OUT_OF_RANGE" => 400,
        "unauthorized" | "AuthenticationError" => 401,
        "PermissionDeniedError" | "forbidden" => 403,
        "NotFoundError" => 404,
        "rate_limit_error"
        | "rate_limit_exceeded"
        | "RESOURCE_EXHAUSTED"
        | "too_many_requests"
        | "RateLimitError"
        | "ThrottlingException"
        | "tokens"
        | "requests" => 429,
        _ => return None,
    })
}
