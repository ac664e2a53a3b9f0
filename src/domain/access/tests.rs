//! The classes, the words that lead to them, the ladder and the lines that mend: held against what providers say.

use super::{Access, AccessClass, Facts, FailOn, Rung, Verdict, exit_code, judge, unasked};
use crate::domain::failure::{ErrorClass, Failure};

/// A provider's refusal with these words.
fn refused(class: ErrorClass, status: u16, words: &str) -> Failure {
    Failure { status: Some(status), provider_message: Some(words.into()), ..Failure::new(class, words) }
}

fn of(failure: &Failure) -> Access {
    judge(Some(failure), &facts())
}

fn facts() -> Facts {
    Facts {
        provider: "Amazon Bedrock".into(),
        model: "anthropic.claude-sonnet-4-6".into(),
        credential: Some("AWS_ACCESS_KEY_ID".into()),
        login: Some("aws sso login --profile work".into()),
        region: Some("eu-west-1".into()),
        ids: vec!["eu.anthropic.claude-sonnet-4-6".into()],
        near: vec!["bedrock/eu.anthropic.claude-sonnet-5".into()],
        priced: Some(true),
        ..Facts::default()
    }
}

#[test]
fn the_table_stands_in_the_order_of_the_classes() {
    for (at, class) in AccessClass::all().enumerate() {
        assert_eq!(class as usize, at, "{}", class.label());
        assert_eq!(AccessClass::of_key(&class.key()), Some(class));
        let is_fault = class.works() != Some(true) && class != AccessClass::NotAsked;
        assert_eq!(class.exit_code() != 0, is_fault, "{}", class.label());
        assert_eq!(!class.advice().is_empty(), is_fault, "{} advises nothing", class.label());
    }
}

/// The texts of docs.aws.amazon.com/bedrock/latest/userguide/troubleshooting-api-error-codes.html and of the public issues
/// that quote them, with the class that Bedrock's rules give each.
#[test]
fn bedrocks_words_lead_to_their_class() {
    use AccessClass as Is;
    use ErrorClass as Class;
    for (class, status, words, is) in [
        (
            Class::Region,
            400,
            "Invocation of model ID x with on-demand throughput isn\u{2019}t supported. Retry your request with the ID or ARN of an inference profile that contains this model.",
            Is::NeedsProfile,
        ),
        (Class::Region, 400, "The provided model doesn't support on-demand throughput.", Is::NeedsProfile),
        (Class::NotFound, 400, "The provided model identifier is invalid.", Is::NotFound),
        (
            Class::NotFound,
            404,
            "Could not resolve the foundation model from the provided model identifier.",
            Is::NotFound,
        ),
        (Class::NotFound, 404, "This model version has reached the end of its life.", Is::Retired),
        (
            Class::NotFound,
            404,
            "Access denied. This Model is marked by provider as Legacy and you have not been actively using the model in the last 30 days.",
            Is::Retired,
        ),
        (Class::Permission, 404, "Model use case details have not been submitted for this account.", Is::NotEnabled),
        (Class::Permission, 400, "You have not filled out the required use-case form", Is::NotEnabled),
        (Class::Permission, 403, "You don't have access to the model with the specified model ID.", Is::NotEnabled),
        (
            Class::Permission,
            403,
            "User: arn:aws:iam::123456789012:user/a is not authorized to perform: bedrock:InvokeModel on resource: arn:aws:bedrock:eu-west-1::foundation-model/x",
            Is::Denied,
        ),
        (
            Class::Permission,
            403,
            "User: u is not authorized to perform: bedrock:InvokeModel on resource: r with an explicit deny in a service control policy",
            Is::Denied,
        ),
        (
            Class::Permission,
            403,
            "Model access is denied due to IAM user or service role is not authorized to perform the required AWS Marketplace actions",
            Is::NotEnabled,
        ),
        (Class::Permission, 403, "… INVALID_PAYMENT_INSTRUMENT …", Is::NotEnabled),
        (Class::Permission, 403, "Your subscription for this model is still being processed", Is::NotEnabled),
        (Class::Permission, 400, "Operation not allowed", Is::NotEnabled),
        (Class::Permission, 403, "Your account is not authorized to invoke this API operation.", Is::NotEnabled),
        (Class::RateLimit, 429, "Too many requests, please wait before trying again.", Is::RateLimited),
        (Class::RateLimit, 429, "Too many tokens, please wait before trying again.", Is::RateLimited),
        (Class::Quota, 429, "Too many tokens per day, please wait before trying again.", Is::NoQuota),
        (Class::Overloaded, 429, "Model is not ready for inference.", Is::Overloaded),
        (Class::Overloaded, 503, "Bedrock is unable to process your request.", Is::Overloaded),
        (Class::Timeout, 408, "The request took too long to process.", Is::Timeout),
        (Class::Auth, 403, "The security token included in the request is expired", Is::Expired),
        (Class::Auth, 403, "The security token included in the request is invalid.", Is::BadKey),
        (
            Class::Auth,
            403,
            "The request signature we calculated does not match the signature you provided.",
            Is::BadKey,
        ),
        (Class::Auth, 403, "Signature expired: 20261122T100000Z is now earlier than 20261122T105500Z", Is::ClockSkew),
        (
            Class::Auth,
            403,
            "Signature not yet current: 20261122T120000Z is still later than 20261122T110500Z",
            Is::ClockSkew,
        ),
        (Class::Auth, 403, "Authentication failed: Please make sure your API Key is valid.", Is::BadKey),
        (Class::Network, 502, "502 Bad Gateway", Is::NetworkProxy),
        (Class::ContentFilter, 400, "blocked", Is::Ok),
    ] {
        let access = of(&refused(class, status, words));
        assert_eq!(access.class, is, "{words}");
        assert_eq!(access.advice.is_some(), is != Is::Ok, "{words}");
    }
}

#[test]
fn other_providers_words_lead_to_their_class() {
    use AccessClass as Is;
    use ErrorClass as Class;
    for (class, status, words, is) in [
        (Class::NotFound, 404, "The model `gpt-9` does not exist or you do not have access to it.", Is::NotFound),
        (
            Class::NotFound,
            404,
            "model 'x' not found, make sure the correct model ID was used and that you have access to the model.",
            Is::NotFound,
        ),
        (Class::NotFound, 403, "Project `proj_1` does not have access to model `gpt-5`", Is::NotEnabled),
        (Class::NotFound, 404, "Your organization must be verified to use the model `o3`.", Is::NotEnabled),
        (Class::NotFound, 404, "model 'command-r' was removed on September 15, 2025.", Is::Retired),
        (Class::NotFound, 404, "The model `x` has been deprecated, learn more here: https://example.com", Is::Retired),
        (Class::InvalidRequest, 400, "The model `x` has been decommissioned and is no longer supported.", Is::Retired),
        (
            Class::InvalidRequest,
            400,
            "'max_tokens' is no longer supported with this model: use 'max_completion_tokens'.",
            Is::InvalidRequest,
        ),
        (
            Class::InvalidRequest,
            400,
            "Could not finish the message because max_tokens or model output limit was reached.",
            Is::Ok,
        ),
        (Class::RateLimit, 429, "You exceeded it. Quota exceeded for metric: m, limit: 0, model: x", Is::NoQuota),
        (Class::RateLimit, 429, "tokens per min (TPM): Limit 30000, Used 28039", Is::RateLimited),
        (Class::RateLimit, 429, "Limit: 0.5 requests", Is::RateLimited),
        (Class::Region, 400, "User location is not supported for the API use.", Is::WrongRegion),
        (Class::Region, 403, "Country, region, or territory not supported", Is::WrongRegion),
        (
            Class::Permission,
            403,
            "Permission 'aiplatform.endpoints.predict' denied on resource '//aiplatform.googleapis.com/x' (or it may not exist).",
            Is::Denied,
        ),
        (
            Class::Permission,
            403,
            "Vertex AI API has not been used in project 1 before or it is disabled.",
            Is::NotEnabled,
        ),
        (
            Class::NotFound,
            404,
            "Publisher Model `projects/p/locations/us-central1/publishers/google/models/x` not found.",
            Is::NotFound,
        ),
        (Class::Auth, 401, "Missing Authentication header", Is::NoKey),
        (Class::Auth, 401, "jwt expired", Is::Expired),
        (Class::Auth, 400, "API key not valid. Please pass a valid API key.", Is::BadKey),
        (
            Class::Auth,
            400,
            "invalid_grant: Token must be a short-lived token (60 minutes) and in a reasonable timeframe. Check your iat and exp values",
            Is::ClockSkew,
        ),
    ] {
        assert_eq!(of(&refused(class, status, words)).class, is, "{words}");
    }
}

#[test]
fn what_is_found_out_here_has_its_class_as_well() {
    use AccessClass as Is;
    for (class, message, is) in [
        (ErrorClass::Auth, "no key for OpenAI: OPENAI_API_KEY is not set", Is::NoKey),
        (ErrorClass::Auth, "no AWS credential was found", Is::NoKey),
        (ErrorClass::Auth, "no AWS credential from the profile work: the SSO token has expired", Is::Expired),
        (ErrorClass::Region, "Amazon Bedrock needs a region, and none is set; nothing was sent", Is::NoRegion),
        (
            ErrorClass::Region,
            "eu.… cannot be called from us-east-1, only from eu-west-1; nothing was sent",
            Is::WrongRegion,
        ),
        (ErrorClass::Network, "x.example: no such host (dns error)", Is::NetworkDns),
        (ErrorClass::Network, "x.example: its certificate is not trusted: UnknownIssuer", Is::NetworkTls),
        (ErrorClass::Network, "x.example: this port does not speak TLS", Is::NetworkTls),
        (ErrorClass::Network, "x.example: Connection refused (os error 111)", Is::NetworkRefused),
        (ErrorClass::Network, "x.example: the connection was cut: broken pipe", Is::Network),
        (ErrorClass::Network, "x.example: tunnel error: unsuccessful", Is::NetworkProxy),
        (ErrorClass::Timeout, "x.example: no answer within 2 s", Is::Timeout),
        (ErrorClass::Protocol, "x.example sent what cannot be read", Is::Protocol),
    ] {
        assert_eq!(of(&Failure::new(class, message)).class, is, "{message}");
    }
}

#[test]
fn the_ladder_shows_how_far_a_probe_came() {
    let ladder = |access: &Access| access.rungs.iter().map(|(_, verdict)| *verdict).collect::<Vec<_>>();
    use Verdict::{Failed, Passed, Unknown};
    assert_eq!(ladder(&judge(None, &facts())), [Passed; 9]);
    let profile = of(&refused(ErrorClass::Region, 400, "with on-demand throughput isn't supported"));
    assert_eq!(ladder(&profile), [Passed, Passed, Passed, Passed, Unknown, Failed, Unknown, Passed, Unknown]);
    // Nothing was sent: whether the credential is accepted is not known.
    let local = of(&Failure::new(ErrorClass::Region, "eu.… cannot be called from us-east-1"));
    assert_eq!(local.rungs[1], (Rung::Accepted, Unknown));
    let dear = judge(None, &Facts { priced: Some(false), region: None, ..facts() });
    assert_eq!((dear.rungs[7].1, dear.rungs[2].1, dear.class), (Failed, Unknown, AccessClass::Ok));
}

#[test]
fn the_line_that_mends_it_names_what_is_known() {
    let line = |failure: &Failure| of(failure).advice.unwrap_or_default();
    let expired = refused(ErrorClass::Auth, 403, "The security token included in the request is expired");
    assert_eq!(line(&expired), "renew AWS_ACCESS_KEY_ID: `aws sso login --profile work`");
    let gone = refused(ErrorClass::NotFound, 404, "has reached the end of its life");
    assert!(line(&gone).contains("bedrock/eu.anthropic.claude-sonnet-5"), "{}", line(&gone));
    let profile = refused(ErrorClass::Region, 400, "on-demand throughput isn't supported");
    assert_eq!(line(&profile), "use an inference profile: eu.anthropic.claude-sonnet-4-6");
    let advised =
        refused(ErrorClass::Permission, 403, "You don't have access to the model with the specified model ID.")
            .advise("open the form");
    assert_eq!(line(&advised), "open the form");
    let none = unasked(AccessClass::NoKey, &Facts { key: Some("OPENAI_API_KEY".into()), ..Facts::default() });
    assert_eq!(none.advice.as_deref(), Some("export OPENAI_API_KEY=…"));
}

#[test]
fn the_exit_code_is_nine_where_some_fail_and_the_failures_own_where_all_do() {
    use AccessClass::{Denied, Expired, NoKey, NotFound, Ok, RateLimited};
    for (classes, any, all) in [
        (&[Ok, Ok][..], 0, 0),
        (&[Ok, Expired], 9, 0),
        (&[Expired, NoKey], 3, 3),
        (&[Denied, NotFound], 4, 4),
        (&[Expired, RateLimited], 9, 9),
        (&[], 0, 0),
    ] {
        assert_eq!(exit_code(classes, FailOn::Any), any, "{classes:?}");
        assert_eq!(exit_code(classes, FailOn::All), all, "{classes:?}");
        assert_eq!(exit_code(classes, FailOn::None), 0);
    }
}
