//! What providers' words mean for access, as a table: the first row that fits decides.

use super::super::failure::{ErrorClass, Failure};
use super::AccessClass;

struct Rule {
    /// Only failures of these classes; empty: any.
    of: &'static [ErrorClass],
    /// Any of these parts of the words, in lower case.
    words: &'static [&'static str],
    means: AccessClass,
}

const fn rule(of: &'static [ErrorClass], words: &'static [&'static str], means: AccessClass) -> Rule {
    Rule { of, words, means }
}

const REFUSALS: &[ErrorClass] =
    &[ErrorClass::Permission, ErrorClass::NotFound, ErrorClass::InvalidRequest, ErrorClass::Region];
const ABSENCE: &[ErrorClass] = &[ErrorClass::Permission, ErrorClass::NotFound];

/// The words as the providers' pages give them and as seen in public issues (the pages and issues of the Bedrock rules in
/// `provider/bedrock/errors.rs`; docs.cohere.com/docs/models, console.groq.com/docs/deprecations,
/// platform.openai.com/docs/guides/error-codes, ai.google.dev/gemini-api/docs/troubleshooting, read 2026-11-22).
const RULES: &[Rule] = &[
    rule(REFUSALS, &["on-demand throughput", "id or arn of an inference profile"], AccessClass::NeedsProfile),
    rule(
        ABSENCE,
        &[
            "end of its life",
            "marked by provider as legacy",
            "deprecated",
            "decommissioned",
            "was removed on",
            "been removed",
            "retired",
            "shut down",
            "no longer available",
            "no longer supported",
            "discontinued",
            "sunset",
        ],
        AccessClass::Retired,
    ),
    rule(
        &[ErrorClass::InvalidRequest],
        &[
            "decommissioned",
            "model has been deprecated",
            "model is deprecated",
            "model has been retired",
            "end of its life",
        ],
        AccessClass::Retired,
    ),
    // ---- the credential ----
    rule(
        &[ErrorClass::Auth],
        &[
            "signature expired",
            "not yet current",
            "requesttimetooskewed",
            "time too skewed",
            "clock",
            "reasonable timeframe",
            "used too early",
            "used before issued",
            "issued in the future",
        ],
        AccessClass::ClockSkew,
    ),
    rule(
        &[ErrorClass::Auth],
        &[
            "expired",
            "expiredtoken",
            "sso session",
            "sso token",
            "token for sso",
            "invalid_grant",
            "reauthenticat",
            "re-authenticat",
            "refresh token",
        ],
        AccessClass::Expired,
    ),
    rule(
        &[ErrorClass::Auth],
        &[
            "no key for",
            "needs a key",
            "no aws credential",
            "no google credential",
            "no credential",
            "missing authentication",
            "missing api key",
            "no api key",
            "no auth credentials",
            "didn't provide an api key",
            "did not provide an api key",
            "key file",
        ],
        AccessClass::NoKey,
    ),
    // ---- the region ----
    rule(&[ErrorClass::Region], &["needs a region", "missing region", "no region is set"], AccessClass::NoRegion),
    rule(
        REFUSALS,
        &[
            "not supported in this region",
            "not available in this region",
            "not supported in your region",
            "not available in your region",
            "not available in region",
            "not supported in region",
            "is not available in location",
            "not supported in location",
            "isn't available in",
            "isn't supported in region",
            "unsupported region",
            "location is not supported",
            "region is not supported",
        ],
        AccessClass::WrongRegion,
    ),
    // ---- the account ----
    rule(
        REFUSALS,
        &[
            "use case details",
            "use-case form",
            "ftuformnotfilled",
            "marketplace",
            "invalid_payment_instrument",
            "mpagreementbeingcreated",
            "subscription for this model",
            "have access to the model with the specified",
            "not have access to model",
            "not have access to the model `",
            "not have access to this model",
            "must be verified",
            "has not activated",
            "not been enabled",
            "is not enabled",
            "not enabled for",
            "has not been used in project",
            "service_disabled",
            "it is disabled",
            "request access",
            "requires access",
            "access to this model is restricted",
            "gated model",
            "gated repo",
            "accept the terms",
            "agree to the",
            "not subscribed",
            "operation not allowed",
            "account is not authorized to invoke",
            "not authorized to invoke this api operation",
        ],
        AccessClass::NotEnabled,
    ),
    rule(
        REFUSALS,
        &[
            "explicit deny",
            "service control policy",
            "is not authorized to perform",
            "permission '",
            "permission_denied",
        ],
        AccessClass::Denied,
    ),
    rule(
        &[ErrorClass::InvalidRequest],
        &["model identifier is invalid", "could not resolve the foundation model"],
        AccessClass::NotFound,
    ),
    // A reasoning model that had no room for an answer was reached all the same.
    rule(
        &[ErrorClass::InvalidRequest],
        &["max_tokens or model output limit was reached", "output limit was reached"],
        AccessClass::Ok,
    ),
    // ---- the way ----
    rule(
        &[ErrorClass::Network],
        &["proxy", "tunnel", "wants a user and a password", "refuses the connection"],
        AccessClass::NetworkProxy,
    ),
    rule(&[ErrorClass::Network], &["certificate", "tls", "handshake"], AccessClass::NetworkTls),
    rule(&[ErrorClass::Network], &["no such host", "dns error", "failed to lookup"], AccessClass::NetworkDns),
    rule(
        &[ErrorClass::Network],
        &["connection refused", "refused (os", "no route", "unreachable", "tcp connect"],
        AccessClass::NetworkRefused,
    ),
];

/// What the words mean, where they decide. `words`: all that was said, in lower case, with plain apostrophes.
pub(super) fn by_words(failure: &Failure, words: &str) -> Option<AccessClass> {
    // What was found out here says nothing of the provider: its own sentences are not searched for a provider's words.
    if matches!(failure.class, ErrorClass::RateLimit | ErrorClass::Quota) {
        return is_limited_to_nothing(words).then_some(AccessClass::NoQuota);
    }
    // A gateway's status without the provider's own code is told as a fault of the way.
    if failure.class == ErrorClass::Network && failure.status.is_some_and(|status| status >= 500) {
        return Some(AccessClass::NetworkProxy);
    }
    let fits = |rule: &&Rule| {
        (rule.of.is_empty() || rule.of.contains(&failure.class)) && rule.words.iter().any(|part| words.contains(part))
    };
    RULES.iter().find(fits).map(|rule| rule.means)
}

/// Whether a limit of 0 is named: no wait helps then.
fn is_limited_to_nothing(words: &str) -> bool {
    const NAMES: [&str; 7] = [
        "limit: ",
        "limit is ",
        "limit of ",
        "quota of ",
        "quota is ",
        "quota_limit_value\": \"",
        "quota_limit_value\":\"",
    ];
    NAMES.iter().any(|name| {
        words.match_indices(name).any(|(at, _)| {
            let rest = words[at + name.len()..].strip_prefix('0');
            rest.is_some_and(|rest| !rest.starts_with(|next: char| next.is_ascii_digit() || next == '.' || next == ','))
                || words[at + name.len()..].starts_with("0, ")
        })
    })
}
