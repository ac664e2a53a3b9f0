//! Why there is no answer, in words that are the same for every provider.

use std::fmt;

use super::budget::Refusal;

/// The taxonomy of everything that can stop a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ErrorClass {
    /// No credential, or one that was rejected.
    Auth,
    /// The credential is good and may not do this.
    Permission,
    /// No such model, deployment or endpoint.
    NotFound,
    /// The model is not served in or from this region, or no region is known.
    Region,
    RateLimit,
    /// A limit that waiting a moment does not lift: credit, spend limit, daily quota.
    Quota,
    ContextLength,
    /// A filter or guardrail refused the prompt or the answer.
    ContentFilter,
    InvalidRequest,
    /// The provider failed or has no room.
    Overloaded,
    Timeout,
    Network,
    /// What came is not what the API promises, or stopped before its end.
    Protocol,
    Budget,
    /// The books cannot be opened, read or written.
    Ledger,
    /// The user's own settings or input; nothing was sent.
    Config,
}

impl ErrorClass {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            ErrorClass::Auth => "auth",
            ErrorClass::Permission => "permission",
            ErrorClass::NotFound => "not-found",
            ErrorClass::Region => "region",
            ErrorClass::RateLimit => "rate-limit",
            ErrorClass::Quota => "quota",
            ErrorClass::ContextLength => "context-length",
            ErrorClass::ContentFilter => "content-filter",
            ErrorClass::InvalidRequest => "invalid-request",
            ErrorClass::Overloaded => "overloaded",
            ErrorClass::Timeout => "timeout",
            ErrorClass::Network => "network",
            ErrorClass::Protocol => "protocol",
            ErrorClass::Budget => "budget",
            ErrorClass::Ledger => "ledger",
            ErrorClass::Config => "config",
        }
    }

    pub const ALL: [ErrorClass; 16] = [
        ErrorClass::Auth,
        ErrorClass::Permission,
        ErrorClass::NotFound,
        ErrorClass::Region,
        ErrorClass::RateLimit,
        ErrorClass::Quota,
        ErrorClass::ContextLength,
        ErrorClass::ContentFilter,
        ErrorClass::InvalidRequest,
        ErrorClass::Overloaded,
        ErrorClass::Timeout,
        ErrorClass::Network,
        ErrorClass::Protocol,
        ErrorClass::Budget,
        ErrorClass::Ledger,
        ErrorClass::Config,
    ];

    /// The documented exit code of the process.
    #[must_use]
    pub fn exit_code(self) -> u8 {
        match self {
            ErrorClass::InvalidRequest | ErrorClass::ContextLength | ErrorClass::Ledger => 1,
            ErrorClass::Config => 2,
            ErrorClass::Auth => 3,
            ErrorClass::Permission | ErrorClass::NotFound | ErrorClass::Region => 4,
            ErrorClass::RateLimit | ErrorClass::Quota => 5,
            ErrorClass::Overloaded | ErrorClass::Timeout | ErrorClass::Network | ErrorClass::Protocol => 6,
            ErrorClass::ContentFilter => 7,
            ErrorClass::Budget => 8,
        }
    }

    /// How often a request that failed so may be sent again, where nothing more is known.
    #[must_use]
    pub fn repeat(self) -> Repeat {
        match self {
            ErrorClass::RateLimit | ErrorClass::Overloaded => Repeat::Often,
            ErrorClass::Auth
            | ErrorClass::Permission
            | ErrorClass::NotFound
            | ErrorClass::Region
            | ErrorClass::Quota
            | ErrorClass::ContextLength
            | ErrorClass::ContentFilter
            | ErrorClass::InvalidRequest
            | ErrorClass::Timeout
            | ErrorClass::Network
            | ErrorClass::Protocol
            | ErrorClass::Budget
            | ErrorClass::Ledger
            | ErrorClass::Config => Repeat::Never,
        }
    }

    /// Whether another model may be asked after a failure of this class, where nothing more is known.
    #[must_use]
    pub fn replace(self) -> Replace {
        match self {
            ErrorClass::Permission
            | ErrorClass::NotFound
            | ErrorClass::Region
            | ErrorClass::RateLimit
            | ErrorClass::Quota
            | ErrorClass::Overloaded
            | ErrorClass::Timeout
            | ErrorClass::Network => Replace::Always,
            ErrorClass::ContextLength => Replace::Larger,
            ErrorClass::ContentFilter => Replace::IfAsked,
            ErrorClass::Auth
            | ErrorClass::InvalidRequest
            | ErrorClass::Protocol
            | ErrorClass::Budget
            | ErrorClass::Ledger
            | ErrorClass::Config => Replace::Never,
        }
    }
}

impl fmt::Display for ErrorClass {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.as_str())
    }
}

/// One failed call, with all that is known of why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    pub class: ErrorClass,
    /// What happened, in a line without the model's name; may quote text from outside, so it is cleaned when shown.
    pub message: String,
    /// The provider's own words, whole.
    pub provider_message: Option<String>,
    /// The provider's error type or code, as it came.
    pub provider_type: Option<String>,
    /// HTTP status, where there was one.
    pub status: Option<u16>,
    pub request_id: Option<String>,
    /// How often the same request may be sent again.
    pub repeat: Repeat,
    /// Whether another model may be asked in this one's place.
    pub replace: Replace,
    /// How long the provider asks to wait, in milliseconds.
    pub retry_after_ms: Option<u64>,
    /// The request may have reached the model: it can cost money although there is no answer.
    pub may_be_billed: bool,
    /// One line that says what to do next.
    pub advice: Option<String>,
    /// What the budgets said, where they refused the call.
    pub refusal: Option<Box<Refusal>>,
    /// Attempts before the one that failed so were sent.
    pub sent_before: bool,
}

/// How often the same request may be sent again after it failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Repeat {
    Never,
    Once,
    /// Once whatever the caller allows: only the form of the request was refused, and it will have another.
    Otherwise,
    /// As often as the caller allows.
    Often,
}

/// Whether another model may be asked after one failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Replace {
    /// It would fail there as well, or what it did may have been charged.
    Never,
    /// Only where the user asked for it: a filter refused, or nobody knows whether the first model was at work.
    IfAsked,
    /// By one that takes a longer prompt.
    Larger,
    Always,
}

impl Failure {
    /// A failure of this class that cost nothing and is not worth repeating unless its class says so.
    #[must_use]
    pub fn new(class: ErrorClass, message: impl Into<String>) -> Failure {
        Failure {
            class,
            message: message.into(),
            provider_message: None,
            provider_type: None,
            status: None,
            request_id: None,
            repeat: class.repeat(),
            replace: class.replace(),
            retry_after_ms: None,
            may_be_billed: false,
            advice: None,
            refusal: None,
            sent_before: false,
        }
    }

    #[must_use]
    pub fn advise(mut self, advice: impl Into<String>) -> Failure {
        self.advice = Some(advice.into());
        self
    }

    /// The model may have been at work: sending it again could be charged twice, and that is the user's to decide.
    #[must_use]
    pub fn maybe_billed(mut self) -> Failure {
        self.may_be_billed = true;
        self.repeat = Repeat::Never;
        if self.replace != Replace::Never {
            self.replace = Replace::IfAsked;
        }
        self
    }

    #[must_use]
    pub fn repeats(mut self, repeat: Repeat) -> Failure {
        self.repeat = repeat;
        self
    }

    #[must_use]
    pub fn replaces(mut self, replace: Replace) -> Failure {
        self.replace = replace;
        self
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}: {}", self.class, self.message)
    }
}

impl std::error::Error for Failure {}
