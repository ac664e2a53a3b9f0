//! The classes of access as a table: word, exit code, how far up the ladder each came, and what is advised.

use super::Rung;

/// What stands between a model and its user.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum AccessClass {
    Ok,
    /// A credential is here; nothing was sent.
    Present,
    /// The provider lists the model; it was not asked.
    Listed,
    NoKey,
    BadKey,
    Expired,
    ClockSkew,
    /// No region is known.
    NoRegion,
    NotFound,
    /// Not in this region.
    WrongRegion,
    Retired,
    /// This account has not been given the model.
    NotEnabled,
    /// A policy forbids it.
    Denied,
    /// Only through an inference profile.
    NeedsProfile,
    /// No quota, or no credit.
    NoQuota,
    RateLimited,
    Unpriced,
    Budget,
    NetworkDns,
    NetworkTls,
    NetworkProxy,
    NetworkRefused,
    /// The connection was cut.
    Network,
    Timeout,
    Overloaded,
    Protocol,
    InvalidRequest,
    Config,
    /// The user stopped the test before.
    NotAsked,
}

/// All that the classes differ in.
struct Line {
    class: AccessClass,
    word: &'static str,
    exit: u8,
    fails_at: Option<Rung>,
    proves: &'static [Rung],
    /// For good or for ill; `None`: it may be otherwise in a minute, or nothing was learnt.
    works: Option<bool>,
    advice: &'static str,
}

use Rung::{Accepted, Answers, Credential, Enabled, Exists, Quota, Reachable, Region};

const NOTHING: &[Rung] = &[];
const HERE: &[Rung] = &[Credential, Region];
const ACCEPTED: &[Rung] = &[Credential, Accepted, Region];
const EXISTS: &[Rung] = &[Credential, Accepted, Region, Exists];
const ALL: &[Rung] = &[Credential, Accepted, Region, Exists, Enabled, Reachable, Quota, Answers];

const fn line(
    class: AccessClass,
    word: &'static str,
    exit: u8,
    fails_at: Option<Rung>,
    proves: &'static [Rung],
    works: Option<bool>,
    advice: &'static str,
) -> Line {
    Line { class, word, exit, fails_at, proves, works, advice }
}

const NO: Option<bool> = Some(false);
const YES: Option<bool> = Some(true);

/// In the order of the classes.
const LINES: [Line; 29] = [
    line(AccessClass::Ok, "ok", 0, None, ALL, YES, ""),
    line(AccessClass::Present, "present", 0, None, HERE, YES, ""),
    line(AccessClass::Listed, "listed", 0, None, EXISTS, YES, ""),
    line(AccessClass::NoKey, "no key", 3, Some(Credential), NOTHING, NO, "export {key}{page}"),
    line(
        AccessClass::BadKey,
        "bad key",
        3,
        Some(Accepted),
        HERE,
        NO,
        "check {credential}: {provider} did not accept it",
    ),
    line(AccessClass::Expired, "expired", 3, Some(Accepted), HERE, NO, "renew {credential}: {login}"),
    line(
        AccessClass::ClockSkew,
        "clock skew",
        3,
        Some(Accepted),
        HERE,
        NO,
        "set this machine's clock: {provider} refuses signatures of another time",
    ),
    line(AccessClass::NoRegion, "no region", 4, Some(Region), &[Credential], NO, "say where: --regions REGION"),
    line(
        AccessClass::NotFound,
        "not found",
        4,
        Some(Exists),
        ACCEPTED,
        NO,
        "check the model's name{near}: `llmx models --remote` lists what there is{page}",
    ),
    line(
        AccessClass::WrongRegion,
        "not in region",
        4,
        Some(Exists),
        ACCEPTED,
        NO,
        "{model} is not served in {region}: use another region",
    ),
    line(AccessClass::Retired, "retired", 4, Some(Exists), ACCEPTED, NO, "take a newer one of the family{near}{page}"),
    line(
        AccessClass::NotEnabled,
        "not enabled",
        4,
        Some(Enabled),
        EXISTS,
        NO,
        "ask {provider} for access to {model} with this account{page}",
    ),
    line(
        AccessClass::Denied,
        "denied",
        4,
        Some(Enabled),
        ACCEPTED,
        NO,
        "a policy forbids it: whoever gave out {credential} can allow {model}",
    ),
    line(AccessClass::NeedsProfile, "needs profile", 4, Some(Reachable), EXISTS, NO, "use an inference profile: {ids}"),
    line(
        AccessClass::NoQuota,
        "no quota",
        5,
        Some(Quota),
        ACCEPTED,
        NO,
        "add credit or raise the quota at {provider}: waiting does not help{page}",
    ),
    line(AccessClass::RateLimited, "rate limited", 5, Some(Quota), ACCEPTED, None, "wait a moment and test again"),
    line(
        AccessClass::Unpriced,
        "unpriced",
        8,
        Some(Rung::Price),
        HERE,
        None,
        "what it costs is not known, so it was not asked: add its price to pricing.toml, or give --unpriced",
    ),
    line(
        AccessClass::Budget,
        "over budget",
        8,
        None,
        HERE,
        None,
        "the test would have cost more than it may: raise --max-cost or the budget, or test less",
    ),
    line(
        AccessClass::NetworkDns,
        "no such host",
        6,
        Some(Answers),
        HERE,
        None,
        "check the region's name, the base URL and the network",
    ),
    line(
        AccessClass::NetworkTls,
        "TLS",
        6,
        Some(Answers),
        HERE,
        None,
        "if the certificate is your company's own, give its root with --ca-file or ca_bundle",
    ),
    line(AccessClass::NetworkProxy, "proxy", 6, Some(Answers), HERE, None, "check HTTPS_PROXY and NO_PROXY"),
    line(
        AccessClass::NetworkRefused,
        "refused",
        6,
        Some(Answers),
        HERE,
        None,
        "start the server there, or say where it is: --base-url URL",
    ),
    line(AccessClass::Network, "cut", 6, Some(Answers), HERE, None, "check the connection and test again"),
    line(AccessClass::Timeout, "timeout", 6, Some(Answers), HERE, None, "test again, or give it longer with --timeout"),
    line(
        AccessClass::Overloaded,
        "overloaded",
        6,
        Some(Answers),
        HERE,
        None,
        "the provider's fault: test again in a while",
    ),
    line(AccessClass::Protocol, "protocol", 6, Some(Answers), HERE, None, "check the base URL of {provider}"),
    line(
        AccessClass::InvalidRequest,
        "invalid request",
        1,
        Some(Answers),
        ACCEPTED,
        None,
        "the model refuses the probe itself: see why with -v",
    ),
    line(AccessClass::Config, "config", 2, None, NOTHING, None, "mend the configuration"),
    line(AccessClass::NotAsked, "not asked", 0, None, NOTHING, None, ""),
];

impl AccessClass {
    fn line(self) -> &'static Line {
        let at = self as usize;
        &LINES[at]
    }

    pub fn all() -> impl Iterator<Item = AccessClass> {
        LINES.iter().map(|line| line.class)
    }

    /// As a person reads it.
    #[must_use]
    pub fn label(self) -> &'static str {
        self.line().word
    }

    /// As it stands in JSON: `not-in-region`.
    #[must_use]
    pub fn key(self) -> String {
        self.label().to_ascii_lowercase().replace(' ', "-")
    }

    /// The class with this key.
    #[must_use]
    pub fn of_key(key: &str) -> Option<AccessClass> {
        AccessClass::all().find(|class| class.key() == key)
    }

    #[must_use]
    pub fn exit_code(self) -> u8 {
        self.line().exit
    }

    /// Whether a model of this class can be used; `None` where that may be otherwise in a minute, or nothing was learnt.
    #[must_use]
    pub fn works(self) -> Option<bool> {
        self.line().works
    }

    pub(super) fn fails_at(self) -> Option<Rung> {
        self.line().fails_at
    }

    pub(super) fn proves(self) -> &'static [Rung] {
        self.line().proves
    }

    pub(super) fn advice(self) -> &'static str {
        self.line().advice
    }

    /// Whether another region or another id may help.
    #[must_use]
    pub fn is_of_the_place(self) -> bool {
        matches!(
            self,
            AccessClass::NotFound | AccessClass::WrongRegion | AccessClass::NeedsProfile | AccessClass::NotEnabled
        )
    }
}
