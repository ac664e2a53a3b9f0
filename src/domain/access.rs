//! Whether a model can be used with a credential from a place: how far a probe came, what stopped it, and what mends that.

mod classes;
mod rules;
#[cfg(test)]
mod tests;

use super::budget::Why;
use super::failure::{ErrorClass, Failure};
use super::money::Usd;

pub use classes::AccessClass;

/// The steps of the ladder, from the bottom.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rung {
    /// There is a credential here.
    Credential,
    /// The provider accepts it.
    Accepted,
    /// It is known in which region the call is made.
    Region,
    /// The model exists there.
    Exists,
    /// This account may use it.
    Enabled,
    /// By this id, and not only through an inference profile.
    Reachable,
    /// Something is left of the quota.
    Quota,
    /// What it costs is known.
    Price,
    Answers,
}

impl Rung {
    pub const ALL: [Rung; 9] = [
        Rung::Credential,
        Rung::Accepted,
        Rung::Region,
        Rung::Exists,
        Rung::Enabled,
        Rung::Reachable,
        Rung::Quota,
        Rung::Price,
        Rung::Answers,
    ];

    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Rung::Credential => "credential",
            Rung::Accepted => "accepted",
            Rung::Region => "region",
            Rung::Exists => "exists",
            Rung::Enabled => "enabled",
            Rung::Reachable => "reachable",
            Rung::Quota => "quota",
            Rung::Price => "price",
            Rung::Answers => "answers",
        }
    }
}

/// What is known of one rung.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    Passed,
    Failed,
    /// Nothing was learnt of it.
    Unknown,
}

impl Verdict {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Verdict::Passed => "passed",
            Verdict::Failed => "failed",
            Verdict::Unknown => "unknown",
        }
    }
}

/// What is known beside the provider's answer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Facts {
    /// The provider's name for people.
    pub provider: String,
    /// The model as the provider calls it.
    pub model: String,
    /// Where the credential was found: a name, never its text.
    pub credential: Option<String>,
    /// The variable that would hold a key.
    pub key: Option<String>,
    /// The command that renews a log-in.
    pub login: Option<String>,
    pub region: Option<String>,
    /// The ids by which the model may be reached from the region, most specific first.
    pub ids: Vec<String>,
    /// Known models with names like it, as `-m` takes them.
    pub near: Vec<String>,
    /// Where the provider says how to get access.
    pub page: Option<String>,
    /// Whether the price is known; `None`: nobody has looked.
    pub priced: Option<bool>,
}

/// What a probe has shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Access {
    pub class: AccessClass,
    /// From the bottom of the ladder.
    pub rungs: Vec<(Rung, Verdict)>,
    /// One line that says what to do next; nothing where it works.
    pub advice: Option<String>,
}

/// What a call shows: `None` for one that was answered.
#[must_use]
pub fn judge(failure: Option<&Failure>, facts: &Facts) -> Access {
    let class = failure.map_or(AccessClass::Ok, class_of);
    let sent = failure.is_none_or(|failure| failure.status.is_some());
    Access {
        class,
        rungs: rungs(class, sent, facts),
        advice: failure.and_then(|failure| advice(class, failure, facts)),
    }
}

/// What is known where nothing was asked of the model itself.
#[must_use]
pub fn unasked(class: AccessClass, facts: &Facts) -> Access {
    let advice = Some(filled(class.advice(), facts)).filter(|advice| !advice.is_empty());
    Access { class, rungs: rungs(class, true, facts), advice }
}

/// The class that a failure means.
#[must_use]
pub fn class_of(failure: &Failure) -> AccessClass {
    if let Some(refusal) = &failure.refusal {
        let unknown = refusal.by.iter().any(|by| matches!(by.why, Why::Unpriced | Why::Unbounded));
        return if unknown { AccessClass::Unpriced } else { AccessClass::Budget };
    }
    let said = [Some(&failure.message), failure.provider_message.as_ref(), failure.provider_type.as_ref()];
    let words = said.into_iter().flatten().fold(String::new(), |all, said| all + said + "\n");
    let words = words.to_lowercase().replace('\u{2019}', "'");
    rules::by_words(failure, &words).unwrap_or(match failure.class {
        ErrorClass::Auth => AccessClass::BadKey,
        ErrorClass::Permission => AccessClass::Denied,
        ErrorClass::NotFound => AccessClass::NotFound,
        ErrorClass::Region => AccessClass::WrongRegion,
        ErrorClass::RateLimit => AccessClass::RateLimited,
        ErrorClass::Quota => AccessClass::NoQuota,
        // The model was reached, and what it makes of a greeting is not the question.
        ErrorClass::ContextLength | ErrorClass::ContentFilter => AccessClass::Ok,
        ErrorClass::InvalidRequest => AccessClass::InvalidRequest,
        ErrorClass::Overloaded => AccessClass::Overloaded,
        ErrorClass::Timeout => AccessClass::Timeout,
        ErrorClass::Network => AccessClass::Network,
        ErrorClass::Protocol => AccessClass::Protocol,
        ErrorClass::Budget => AccessClass::Budget,
        ErrorClass::Ledger | ErrorClass::Config => AccessClass::Config,
    })
}

fn rungs(class: AccessClass, sent: bool, facts: &Facts) -> Vec<(Rung, Verdict)> {
    let verdict = |rung: Rung| match rung {
        _ if class.fails_at() == Some(rung) => Verdict::Failed,
        Rung::Price => match facts.priced {
            Some(true) => Verdict::Passed,
            Some(false) => Verdict::Failed,
            None => Verdict::Unknown,
        },
        Rung::Region if facts.region.is_none() => Verdict::Unknown,
        // Found out here, before anything was sent: the provider has said nothing yet.
        Rung::Accepted if !sent => Verdict::Unknown,
        _ if class.proves().contains(&rung) => Verdict::Passed,
        _ => Verdict::Unknown,
    };
    Rung::ALL.into_iter().map(|rung| (rung, verdict(rung))).collect()
}

/// What to do next. What the provider's own rules advise is nearest to its words; the class's own line stands where that
/// says nothing of access.
fn advice(class: AccessClass, failure: &Failure, facts: &Facts) -> Option<String> {
    if class == AccessClass::Ok {
        return None;
    }
    let own = filled(class.advice(), facts);
    let theirs = failure.advice.clone().filter(|advice| {
        let says = |word: &str| advice.contains(word);
        match class {
            AccessClass::Expired => facts.login.as_ref().map_or(says("login"), |login| says(login)),
            AccessClass::ClockSkew => says("clock"),
            AccessClass::NeedsProfile => says("profile"),
            AccessClass::Retired => says("take a newer"),
            AccessClass::NotEnabled => !says("or use another key"),
            AccessClass::Unpriced | AccessClass::Budget | AccessClass::NoQuota => !own.is_empty() && says("quota"),
            _ => true,
        }
    });
    theirs.or(Some(own)).filter(|line| !line.is_empty())
}

/// A line with what is known in its braces.
fn filled(line: &str, facts: &Facts) -> String {
    let or = |text: &Option<String>, other: &str| text.clone().unwrap_or_else(|| other.to_owned());
    let near = if facts.near.is_empty() { String::new() } else { format!(", such as {}", facts.near.join(" or ")) };
    let ids = if facts.ids.is_empty() { "its profiles".to_owned() } else { facts.ids.join(" or ") };
    line.replace("{provider}", &facts.provider)
        .replace("{model}", &facts.model)
        .replace("{credential}", &or(&facts.credential, "its credential"))
        .replace("{key}", &facts.key.as_ref().map_or("a credential for it".to_owned(), |key| format!("{key}=…")))
        .replace("{login}", &facts.login.as_ref().map_or("make a new key".to_owned(), |login| format!("`{login}`")))
        .replace("{region}", &or(&facts.region, "the region"))
        .replace("{ids}", &ids)
        .replace("{near}", &near)
        .replace("{page}", &facts.page.as_ref().map_or(String::new(), |page| format!(" ({page})")))
}

/// How far a test goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Depth {
    /// What is here: nothing is sent.
    Keys,
    /// What the provider lists: free, and proves little.
    List,
    /// One token of each model.
    Invoke,
}

impl Depth {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Depth::Keys => "keys",
            Depth::List => "list",
            Depth::Invoke => "invoke",
        }
    }
}

/// One model with one credential in one place, and what became of its probe.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Probed {
    /// The provider's id, and its name for people.
    pub provider: String,
    pub provider_name: String,
    pub model: String,
    /// As `-m` takes it.
    pub name: String,
    pub region: Option<String>,
    /// The credential profile that was asked for.
    pub profile: Option<String>,
    /// Where the credential was found.
    pub credential: Option<String>,
    pub access: Access,
    pub failure: Option<Failure>,
    /// Milliseconds until the first token.
    pub first_token_ms: Option<u64>,
    /// The call in the books, where one was made.
    pub call: Option<String>,
    /// What it cost; `None`: nothing is known.
    pub cost: Option<Usd>,
    /// Names that were asked instead and work, as `-m` takes them.
    pub works: Vec<String>,
    /// What to do, line by line, where that was asked for.
    pub fix: Vec<String>,
}

impl Probed {
    /// The one line that mends it: a name that is proven to work goes before advice.
    #[must_use]
    pub fn next(&self) -> Option<String> {
        match (self.works.first(), &self.access.advice) {
            (Some(works), _) => Some(format!("-m {works}   (asked: it answers)")),
            (None, advice) => advice.clone(),
        }
    }
}

/// A whole test.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessReport {
    /// UTC milliseconds since 1970.
    pub at_ms: i64,
    pub depth: Depth,
    /// The most that the probes could cost.
    pub most: Usd,
    /// What they did cost, and how many were charged what nobody knows.
    pub spent: Usd,
    pub unknown: usize,
    /// In the order in which they were asked for.
    pub probes: Vec<Probed>,
    /// What was asked beside them, to find where a model works.
    pub search: Vec<Probed>,
}

/// When a test fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailOn {
    Any,
    /// Only where nothing works.
    All,
    None,
}

/// The exit code: 0, 9 where some fail, that of the failure where all fail with the same.
#[must_use]
pub fn exit_code(classes: &[AccessClass], fail_on: FailOn) -> u8 {
    let failed: Vec<AccessClass> = classes.iter().copied().filter(|class| class.works() != Some(true)).collect();
    let all = failed.len() == classes.len();
    match (fail_on, failed.first()) {
        (FailOn::None, _) | (_, None) => 0,
        (FailOn::All, Some(_)) if !all => 0,
        (_, Some(first)) if all && failed.iter().all(|class| class.exit_code() == first.exit_code()) => {
            first.exit_code()
        }
        (_, Some(_)) => 9,
    }
}
