//! Bedrock's errors: what each of them is, whether it is tried again, whether it may have cost money, what mends it.

use std::error::Error;

use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_bedrockruntime::error::SdkError;
use aws_sdk_bedrockruntime::primitives::event_stream::Message;
use aws_sdk_bedrockruntime::types::error::ConverseStreamOutputError;
use aws_smithy_types::event_stream::RawMessage;
use serde_json::Value;

use super::connector::{Call, Head};
use super::{credentials, region};
use crate::domain::failure::{ErrorClass, Failure, Repeat, Replace};
use crate::provider::error;
use crate::wire::contract::{ApiError, DecodeError};
use crate::wire::errors;

/// What an error means. The first row that fits decides.
struct Rule {
    /// The code without its namespace; empty: any.
    code: &'static str,
    /// A part of the words in lower case; empty: any.
    words: &'static str,
    class: ErrorClass,
    /// Where it departs from its class: worth repeating, or not.
    again: Option<bool>,
    billed: bool,
    /// `{model}`, `{region}`, `{profiles}`, `{credential}`, `{login}` and `{near}` are filled in.
    advice: &'static str,
}

const fn rule(code: &'static str, words: &'static str, class: ErrorClass, advice: &'static str) -> Rule {
    Rule { code, words, class, again: None, billed: false, advice }
}

/// docs.aws.amazon.com/bedrock/latest/userguide/troubleshooting-api-error-codes.html, model-access.html and quotas.html,
/// read 2026-11-22; the words as seen in public issues (anthropics/claude-code#1466, cline/cline#689, boto/boto3#4341,
/// minorun365/agent-book#29 and others).
const RULES: &[Rule] = &[
    rule(
        "",
        "on-demand throughput",
        ErrorClass::Region,
        "this model is only reachable through an inference profile; in {region}: {profiles}",
    ),
    rule(
        "",
        "model identifier is invalid",
        ErrorClass::NotFound,
        "the id is misspelt, or not served from {region}; try {profiles}{near}",
    ),
    rule(
        "",
        "could not resolve the foundation model",
        ErrorClass::NotFound,
        "the id is misspelt, or not served from {region}; try {profiles}{near}",
    ),
    rule("", "end of its life", ErrorClass::NotFound, "this version is retired: take a newer one of the family{near}"),
    rule(
        "",
        "marked by provider as legacy",
        ErrorClass::NotFound,
        "this version is closed to accounts that did not use it lately: take a newer one{near}",
    ),
    rule("FTUFormNotFilled", "", ErrorClass::Permission, USE_CASE),
    rule("", "use case details have not been submitted", ErrorClass::Permission, USE_CASE),
    rule("", "use-case form", ErrorClass::Permission, USE_CASE),
    rule(
        "",
        "aws marketplace actions",
        ErrorClass::Permission,
        "let an administrator invoke {model} once or subscribe to it; it works 2 to 5 minutes later",
    ),
    rule("", "invalid_payment_instrument", ErrorClass::Permission, "mend the payment method of the AWS account"),
    rule(
        "MPAgreementBeingCreated",
        "",
        ErrorClass::Permission,
        "wait up to 15 minutes: the subscription is being made",
    ),
    rule("", "still being processed", ErrorClass::Permission, "wait up to 15 minutes: the subscription is being made"),
    rule(
        "",
        "have access to the model with the specified model id",
        ErrorClass::Permission,
        "ask for access to {model} in {region} (Bedrock console, model access); `llmx test-access` says what is missing",
    ),
    rule(
        "",
        "is not authorized to perform",
        ErrorClass::Permission,
        "allow that action on that resource for the caller (profile and model, in every region it routes to)",
    ),
    rule(
        "",
        "operation not allowed",
        ErrorClass::Permission,
        "the account is not cleared for Bedrock: ask AWS Support",
    ),
    rule(
        "",
        "not authorized to invoke this api operation",
        ErrorClass::Permission,
        "try a region in which the account has Bedrock, or ask AWS Support: the account may be blocked",
    ),
    rule("ExpiredToken", "", ErrorClass::Auth, "renew the session in {credential}: `{login}`, or new session keys"),
    rule(
        "UnrecognizedClient",
        "",
        ErrorClass::Auth,
        "check {credential}: a wrong key or partition, quotes in the value, or a left-over AWS_SESSION_TOKEN",
    ),
    rule("", "signature expired", ErrorClass::Auth, "set this machine's clock: AWS refuses signatures of another time"),
    rule("", "not yet current", ErrorClass::Auth, "set this machine's clock: AWS refuses signatures of another time"),
    rule("InvalidSignature", "", ErrorClass::Auth, "check the secret key in {credential}"),
    rule("SignatureDoesNotMatch", "", ErrorClass::Auth, "check the secret key in {credential}"),
    rule(
        "",
        "make sure your api key is valid",
        ErrorClass::Auth,
        "the key in {credential} is expired, revoked or of another region than {region}: make a new one, or unset it",
    ),
    Rule {
        code: "",
        words: "tokens per day",
        class: ErrorClass::Quota,
        again: Some(false),
        billed: false,
        advice: "the daily quota is used up: raise it in Service Quotas, or take another region or {profiles}",
    },
    rule(
        "Throttling",
        "too many tokens",
        ErrorClass::RateLimit,
        "tokens per minute: lower --max-tokens (the cap counts from the start), or wait",
    ),
    rule("Throttling", "", ErrorClass::RateLimit, "requests per minute: wait a moment and call again"),
    rule("TooManyRequests", "", ErrorClass::RateLimit, "requests per minute: wait a moment and call again"),
    rule("ServiceQuotaExceeded", "", ErrorClass::Quota, "raise the quota in the Service Quotas console"),
    rule("ModelNotReady", "", ErrorClass::Overloaded, "the model is being loaded: call again in a moment"),
    rule("ServiceUnavailable", "", ErrorClass::Overloaded, "call again in a while, or use another region or model"),
    rule("InternalServer", "", ErrorClass::Overloaded, "the service's fault: call again in a while"),
    Rule {
        code: "ModelTimeout",
        words: "",
        class: ErrorClass::Timeout,
        again: Some(false),
        billed: true,
        advice: "stream the answer and lower --max-tokens; this attempt may be billed",
    },
    rule("", "input is too long", ErrorClass::ContextLength, TOO_LONG),
    rule("", "prompt is too long", ErrorClass::ContextLength, TOO_LONG),
    rule("", "input tokens exceeded", ErrorClass::ContextLength, TOO_LONG),
    rule(
        "",
        "maximum tokens you requested exceed",
        ErrorClass::InvalidRequest,
        "lower --max-tokens to the limit named",
    ),
    rule(
        "",
        "the model returned the following errors",
        ErrorClass::InvalidRequest,
        "the model's own words say what it refuses; see the request with --dry-run",
    ),
    rule("Validation", "", ErrorClass::InvalidRequest, "see the request with --dry-run"),
    rule("AccessDenied", "", ErrorClass::Permission, "check the policies of the caller; `llmx test-access` says more"),
    rule("ResourceNotFound", "", ErrorClass::NotFound, "check the id; in {region}: {profiles}{near}"),
];

const USE_CASE: &str =
    "fill in Anthropic's use-case form once per account (Bedrock console, model catalog); it takes up to 15 minutes";
const TOO_LONG: &str = "send less, or choose a model with a larger context window";

/// What the advice names.
#[derive(Debug, Clone, Copy)]
pub struct Place<'a> {
    pub call: &'a Call,
    pub region: &'a str,
    pub found: &'a credentials::Found,
}

impl Place<'_> {
    fn fill(&self, advice: &str) -> String {
        let whose = &self.call.whose;
        let near = whose.row.near(&whose.model);
        let near = if near.is_empty() { String::new() } else { format!(" ({})", near.join(", ")) };
        advice
            .replace("{model}", &whose.model)
            .replace("{region}", self.region)
            .replace("{profiles}", &region::profiles(&whose.model, self.region))
            .replace("{credential}", &whose.credential)
            .replace("{login}", &self.found.login())
            .replace("{near}", &near)
    }
}

/// An error under an HTTP status.
#[must_use]
pub fn refused(head: &Head, body: &[u8], place: &Place<'_>) -> Failure {
    let body = String::from_utf8_lossy(body);
    let mut api = errors::from_body(head.status, &body);
    let value: Value = serde_json::from_str(&body).unwrap_or_default();
    let header = head.text("x-amzn-errortype").map(|text| text.split(':').next().unwrap_or_default());
    let in_body = ["__type", "code"].into_iter().find_map(|key| value[key].as_str());
    let code = header.or_else(|| in_body.map(|text| text.rsplit('#').next().unwrap_or(text))).map(str::to_owned);
    let from_a_proxy = head.status >= 500 && code.is_none();
    api.kind = code.or(api.kind);
    let original = value["originalStatusCode"].as_u64();
    let mut failure = told(api, Some(head), original, place);
    if from_a_proxy {
        failure.class = ErrorClass::Network;
        let again = matches!(head.status, 502 | 503) && !failure.may_be_billed;
        failure.repeat = if again { Repeat::Often } else { Repeat::Never };
        failure.advice = Some(format!("HTTP {} comes from something between here and AWS: a proxy?", head.status));
    }
    failure
}

/// An exception inside a stream. `began`: a part of the answer had come.
fn exception(name: &str, payload: &[u8], began: bool, place: &Place<'_>) -> Failure {
    let value: Value = serde_json::from_slice(payload).unwrap_or_default();
    let said = ["originalMessage", "message", "Message"].into_iter().find_map(|key| value[key].as_str());
    let message = said.unwrap_or(name).to_owned();
    let api = ApiError {
        class: ErrorClass::Protocol,
        message,
        kind: Some(name.to_owned()),
        code: None,
        retry_after_ms: None,
    };
    let failure = told(api, None, value["originalStatusCode"].as_u64(), place);
    // As the only thing that came, these refuse as their HTTP twins do.
    let refusal = matches!(name, "throttlingException" | "validationException");
    error::inside(failure, refusal, began)
}

fn told(mut api: ApiError, head: Option<&Head>, original: Option<u64>, place: &Place<'_>) -> Failure {
    let code = api.kind.clone().unwrap_or_default().to_ascii_lowercase();
    let words = api.message.to_ascii_lowercase().replace('\u{2019}', "'");
    let rule =
        RULES.iter().find(|rule| code.starts_with(&rule.code.to_ascii_lowercase()) && words.contains(rule.words));
    if let Some(rule) = rule {
        api.class = rule.class;
    } else if code.starts_with("modelerror") || code.starts_with("modelstreamerror") {
        let ours = original.is_some_and(|status| status < 500);
        api.class = if ours { ErrorClass::InvalidRequest } else { ErrorClass::Overloaded };
    }
    let caller = place.call.whose.caller();
    // A server may echo what it was sent.
    api.message = place.found.redact(&api.message);
    let mut failure = error::refused(api, head.map(|head| head.status), head.map(|head| &head.headers), &caller);
    failure.request_id = failure.request_id.or_else(|| {
        let seen = place.call.seen();
        error::request_id(&seen.head.as_ref()?.headers)
    });
    if let Some(rule) = rule {
        failure.advice = Some(place.fill(&routing(&words, place).unwrap_or_else(|| rule.advice.to_owned())));
        failure.repeat = rule.again.map_or(failure.repeat, |again| if again { Repeat::Often } else { Repeat::Never });
        if rule.billed {
            failure = failure.maybe_billed().replaces(Replace::Always);
        }
    }
    failure
}

/// A denial in a place to which only routing leads: a service control policy, not the caller's rights.
fn routing(words: &str, place: &Place<'_>) -> Option<String> {
    let (_, resource) = words.split_once("on resource: arn:")?;
    let region = resource.split(':').nth(2)?;
    if region.is_empty() {
        return Some(
            "`global.` routes everywhere and a policy denies it: allow aws:RequestedRegion \"unspecified\", or use a \
             profile of a geography"
                .into(),
        );
    }
    (region != place.region).then(|| {
        format!(
            "the profile routes to {region}, and a service control policy or the caller's policy denies it there: \
             allow {region}, or use another profile"
        )
    })
}

/// Why there is no answer at all, where the SDK says so.
#[must_use]
pub fn failed<E, R>(error: &SdkError<E, R>, place: &Place<'_>) -> Failure
where
    E: Error + 'static,
    R: std::fmt::Debug + 'static,
{
    // Before the connection's own faults: the places that were asked for credentials may have failed in any way.
    if inside::<CredentialsError>(error).is_some() {
        return credentials::unusable(place.found, &last_words(error));
    }
    if let Some(failure) = inside::<Failure>(error) {
        return elsewhere(failure.clone(), place);
    }
    let (head, body) = {
        let seen = place.call.seen();
        (seen.head.clone(), seen.body.clone())
    };
    if let Some(head) = head {
        if head.status >= 400 {
            return refused(&head, &body, place);
        }
        return error::unreadable(DecodeError::Malformed(last_words(error)), false, &place.call.whose.caller());
    }
    let words = last_words(error);
    if words.contains("identity") || words.contains("credential") {
        return credentials::unusable(place.found, &words);
    }
    Failure::new(ErrorClass::Config, format!("the request could not be made: {words}")).advise("see it with --dry-run")
}

/// A host that does not exist is a region that does not exist, where its name is none.
fn elsewhere(failure: Failure, place: &Place<'_>) -> Failure {
    let unknown = failure.class == ErrorClass::Network && failure.message.contains("no such host");
    let ours = place.call.whose.host.starts_with("bedrock-runtime");
    if !unknown || !ours || crate::provider::catalog::is_aws_region(place.region) {
        return failure;
    }
    Failure::new(ErrorClass::Region, format!("{} is no region: {}", place.region, failure.message))
        .advise("use a region that has Bedrock, for example us-east-1 or eu-west-1")
}

/// Why a stream broke. `began`: a part of the answer had come.
#[must_use]
pub fn broken(error: &SdkError<ConverseStreamOutputError, RawMessage>, began: bool, place: &Place<'_>) -> Failure {
    if let Some(failure) = inside::<Failure>(error) {
        return failure.clone();
    }
    let raw = match error {
        SdkError::ServiceError(context) => Some(context.raw()),
        SdkError::ResponseError(context) => Some(context.raw()),
        _ => None,
    };
    if let Some(RawMessage::Decoded(message)) = raw {
        let header = |name: &str| header(message, name);
        if let Some(name) = header(":exception-type") {
            return exception(&name, message.payload(), began, place);
        }
        if let Some(code) = header(":error-code") {
            let words = header(":error-message").unwrap_or_else(|| code.clone());
            let api = ApiError {
                class: ErrorClass::Protocol,
                message: words,
                kind: Some(code),
                code: None,
                retry_after_ms: None,
            };
            return told(api, None, None, place).maybe_billed();
        }
    }
    error::unreadable(DecodeError::Malformed(last_words(error)), began, &place.call.whose.caller())
}

fn header(message: &Message, name: &str) -> Option<String> {
    let header = message.headers().iter().find(|header| header.name().as_str() == name)?;
    header.value().as_string().ok().map(|text| text.as_str().to_owned())
}

/// The first error of a type in a chain of causes.
fn inside<'a, T: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a T> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref::<T>() {
            return Some(found);
        }
        next = error.source();
    }
    None
}

/// The innermost cause, which is the one that says something; the outer ones are "service error", "unhandled error".
fn last_words(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(error) = next {
        text = error.to_string();
        next = error.source();
    }
    text
}

/// The codes under which a wrong clock may hide.
const CLOCK_CODES: &[&str] = &[
    "InvalidSignatureException",
    "SignatureDoesNotMatch",
    "AuthFailure",
    "RequestTimeTooSkewed",
    "AccessDeniedException",
];
/// From here on the clock is the likelier fault than the key.
const SKEW_S: u64 = 4 * 60;

/// By how many minutes this machine's clock is wrong, where that is likely why the call was refused.
#[must_use]
pub fn clock_fault(failure: &Failure, head: Option<&Head>) -> Option<u64> {
    let code = failure.provider_type.as_deref()?;
    let skew = head?.skew_s()?.unsigned_abs();
    (CLOCK_CODES.contains(&code) && skew > SKEW_S).then_some((skew + 30) / 60)
}

/// Whether the model is refused only because a stream was asked for (aws-samples/amazon-bedrock-client-for-mac#112,
/// earendil-works/pi#3739).
#[must_use]
pub fn refuses_streams(failure: &Failure) -> bool {
    let words = failure.provider_message.as_deref().unwrap_or_default().to_ascii_lowercase();
    failure.status == Some(400)
        && failure.provider_type.as_deref().is_none_or(|code| code.starts_with("Validation"))
        && [
            "unsupported for streaming",
            "in streaming mode",
            "streaming is not supported",
            "does not support streaming",
        ]
        .iter()
        .any(|phrase| words.contains(phrase))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::connector::{Call, Whose};
    use super::{Place, elsewhere};
    use crate::domain::failure::{ErrorClass, Failure};
    use crate::provider::catalog::Catalog;
    use crate::provider::departure::Departure;
    use crate::provider::{Choice, Limits};

    #[test]
    fn a_host_that_does_not_exist_is_a_region_that_does_not_exist() {
        let row = Catalog::with(&toml::Table::new()).and_then(|catalog| catalog.row("bedrock")).expect("a row");
        for (region, class) in [("nowhere", ErrorClass::Region), ("eu-west-1", ErrorClass::Network)] {
            let host = format!("bedrock-runtime.{region}.amazonaws.com");
            let failure = Failure::new(ErrorClass::Network, format!("{host}: no such host (name not known)"));
            let whose = Whose { row: row.clone(), model: "m".into(), host, credential: "AWS_ACCESS_KEY_ID".into() };
            let call = Call::new(Arc::new(whose), Limits::default(), true, &Departure::default());
            let found = super::credentials::find(&Choice::default(), &|_| None);
            let place = Place { call: &call, region, found: &found };
            assert_eq!(elsewhere(failure, &place).class, class);
        }
    }
}
