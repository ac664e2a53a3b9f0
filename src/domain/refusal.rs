//! A refusal in words: which budget, what stands in it, what the call could have cost, and when to come again.

use super::budget::{Origin, Refusal, Refused, Standing, Why};
use super::failure::{ErrorClass, Failure};
use super::instant::utc;
use super::money::Usd;
use super::window::Window;

impl Refusal {
    /// The failure of the call that was not sent, as it stood at `now_ms`.
    #[must_use]
    pub fn failure(self, now_ms: i64) -> Failure {
        let message = self.by.first().map_or_else(
            || "a budget refused".to_owned(),
            |tightest| tightest.words(self.needed.map(|usd| usd.to_string())),
        );
        let unbounded = self.by.first().is_some_and(|tightest| tightest.why == Why::Unbounded);
        let reason =
            self.reasons.first().filter(|_| unbounded).map_or_else(String::new, |reason| format!(" ({reason})"));
        let mut failure = Failure::new(ErrorClass::Budget, format!("{message}{reason}; nothing was sent"));
        failure.advice = Some(self.advice(now_ms));
        failure.refusal = Some(Box::new(self));
        failure
    }

    /// The lower cap with which the call would fit; `None`: none would, or nobody knows.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        self.cap_that_fits.map(|cap| format!("--max-tokens {cap} would fit"))
    }

    /// What helps each budget that refused, and the lower cap that would help all of them.
    fn advice(&self, now_ms: i64) -> String {
        let mut said: Vec<String> = self.hint().into_iter().collect();
        for refused in &self.by {
            let help = refused.help(self, now_ms);
            if !said.contains(&help) {
                said.push(help);
            }
        }
        said.join("; ")
    }
}

impl Refused {
    /// `budget eng-a (project=api): $50/day, spent $49.31, held $0.52, free $0.17; this call could cost $0.4`.
    /// `needed`: the amount, where it is known.
    #[must_use]
    pub fn words(&self, needed: Option<String>) -> String {
        let why = match (self.why, needed) {
            (Why::DoesNotFit, Some(needed)) => format!("this call could cost ${needed}"),
            (Why::DoesNotFit, None) => "this call does not fit".to_owned(),
            (Why::Unpriced, _) => "nobody knows the price of this call".to_owned(),
            (Why::Unbounded, _) => "nobody can say how much this call may cost".to_owned(),
        };
        let budget = &self.standing.budget;
        let subject = match budget.origin {
            Origin::Command => budget.name.clone(),
            Origin::Ledger | Origin::File(_) => format!("budget {} ({})", budget.name, budget.account.scope.words()),
        };
        format!("{subject}: {}; {why}", self.standing.words())
    }

    /// The same of a soft budget, which refuses nothing.
    #[must_use]
    pub fn passed_by(&self, needed: Option<Usd>) -> String {
        format!("{}; sent all the same: the budget is soft", self.words(needed.map(|needed| needed.to_string())))
    }

    fn help(&self, refusal: &Refusal, now_ms: i64) -> String {
        let needed = refusal.needed;
        let bounding = bounding(&refusal.reasons);
        let budget = &self.standing.budget;
        let (name, is_ours) = (&budget.name, budget.origin == Origin::Command);
        match self.why {
            Why::DoesNotFit if is_ours => format!("a higher {name}, or a lower --max-tokens"),
            Why::DoesNotFit if needed.is_some_and(|needed| needed > budget.limit) => {
                format!("a lower --max-tokens: not even the whole of {name} pays for this call")
            }
            Why::DoesNotFit => self.standing.resets(now_ms),
            Why::Unpriced if is_ours => "price the model in your pricing.toml".to_owned(),
            Why::Unpriced => {
                format!("price the model in your pricing.toml, or set {name} with --on-unknown-price assume:AMOUNT")
            }
            Why::Unbounded if is_ours => bounding,
            Why::Unbounded => format!("{bounding}, or set {name} with --allow-unbounded"),
        }
    }
}

/// What would bound a call of which nobody can say how much it may cost.
fn bounding(reasons: &[String]) -> String {
    let names = |word: &str| reasons.iter().any(|reason| reason.contains(word));
    let ways = [
        (reasons.is_empty() || names("--max-tokens"), "give --max-tokens"),
        (names("--effort"), "give a lower --effort"),
        (names("limits.attachment_tokens"), "set limits.attachment_tokens in config.toml"),
    ];
    let ways: Vec<&str> = ways.iter().filter(|(helps, _)| *helps).map(|(_, way)| *way).collect();
    if ways.is_empty() { "leave that out".to_owned() } else { ways.join(" and ") }
}

impl Standing {
    /// `$50/day`.
    #[must_use]
    pub fn limit(&self) -> String {
        format!("${}/{}", self.budget.limit, self.budget.account.window)
    }

    /// `$50/day, spent $49.31, held $0.52, free $0.17`.
    #[must_use]
    pub fn words(&self) -> String {
        let rest = match self.over().picos {
            0 => format!("free ${}", self.free()),
            _ => format!("over by ${}", self.over()),
        };
        let limit =
            if self.budget.origin == Origin::Command { format!("${}", self.budget.limit) } else { self.limit() };
        format!("{limit}, spent ${}, held ${}, {rest}", self.spent, self.held)
    }

    /// When room comes again, in the budget's zone, and how long that is from `now_ms`.
    #[must_use]
    pub fn resets(&self, now_ms: i64) -> String {
        let account = &self.budget.account;
        match (self.span.to_ms, account.window) {
            (Some(to_ms), _) => {
                format!("resets at {} (in {})", account.zone.told(to_ms), duration(to_ms.saturating_sub(now_ms)))
            }
            (None, Window::Rolling { .. }) => format!("room comes as its calls become older than {}", account.window),
            (None, Window::Hour | Window::Day | Window::Week | Window::Month { .. } | Window::Total) => {
                format!("it never resets; raise it with `llmx budget set {}`", self.budget.name)
            }
        }
    }

    /// RFC 3339 in UTC, where the period has an end.
    #[must_use]
    pub fn resets_at(&self) -> Option<String> {
        self.span.to_ms.map(|to_ms| utc(to_ms).replace(' ', "T"))
    }
}

/// `3 h 12 min`, rounded up to a minute; the two largest units.
#[must_use]
pub fn duration(millis: i64) -> String {
    let minutes = millis.max(0).saturating_add(59_999) / 60_000;
    let (days, hours, rest) = (minutes / 1_440, minutes / 60 % 24, minutes % 60);
    match (days, hours) {
        (0, 0) => format!("{rest} min"),
        (0, _) => format!("{hours} h {rest} min"),
        (1, _) => format!("1 day {hours} h"),
        (..) => format!("{days} days {hours} h"),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::{bounding, duration};
    use crate::domain::budget::{Account, Budget, OnUnknownPrice, Origin, Refusal, Refused, Scope, Standing, Why};
    use crate::domain::failure::ErrorClass;
    use crate::domain::money::Usd;
    use crate::domain::window::{Span, Window, Zone};

    /// 2026-11-22 20:48 UTC.
    pub(crate) const NOW: i64 = 1_795_305_600_000 + (20 * 60 + 48) * 60_000;

    fn usd(text: &str) -> Usd {
        Usd::parse(text).expect("an amount")
    }

    /// `eng-a`, $50 a day for the project api, of which $49.31 is spent and $0.52 held by three calls.
    pub(crate) fn standing() -> Standing {
        let zone = Zone::utc();
        let scope = Scope { project: Some("api".into()), ..Scope::default() };
        Standing {
            span: Window::Day.span(NOW, &zone),
            budget: Budget {
                name: "eng-a".into(),
                limit: usd("50"),
                account: Account { scope, window: Window::Day, zone },
                hard: true,
                warn: vec![50, 80, 100],
                on_unknown_price: OnUnknownPrice::Deny,
                allow_unbounded: false,
                clip: true,
                origin: Origin::Ledger,
            },
            spent: usd("49.31"),
            held: usd("0.52"),
            calls: 212,
            open: 3,
            unknown: 0,
        }
    }

    pub(crate) fn refusal() -> Refusal {
        Refusal {
            by: vec![Refused { standing: standing(), why: Why::DoesNotFit }],
            needed: Some(usd("0.4")),
            reasons: vec!["input at most 2,000 tokens at $5 / 1,000,000".into()],
            cap_that_fits: Some(600),
        }
    }

    #[test]
    fn a_refusal_says_which_budget_what_is_left_and_when_to_come_again() {
        let failure = refusal().failure(NOW);
        assert_eq!((failure.class, failure.may_be_billed), (ErrorClass::Budget, false));
        assert_eq!(
            failure.message,
            "budget eng-a (project=api): $50/day, spent $49.31, held $0.52, free $0.17; this call could cost $0.4; nothing was sent"
        );
        assert_eq!(
            failure.advice.as_deref(),
            Some("--max-tokens 600 would fit; resets at 2026-11-23 00:00 UTC (in 3 h 12 min)")
        );
    }

    #[test]
    fn each_reason_has_its_own_help() {
        let advice = |why, change: fn(&mut Standing)| {
            let mut standing = standing();
            change(&mut standing);
            let refusal = Refusal { by: vec![Refused { standing, why }], cap_that_fits: None, ..refusal() };
            refusal.failure(NOW).advice.expect("advice")
        };
        assert!(advice(Why::Unpriced, |_| ()).contains("pricing.toml"));
        assert!(advice(Why::Unbounded, |_| ()).contains("--allow-unbounded"));
        let unending = |standing: &mut Standing| standing.span = Span { from_ms: 0, to_ms: None };
        assert!(advice(Why::DoesNotFit, unending).contains("never resets"));
        let berlin = |standing: &mut Standing| {
            standing.budget.account.zone = Zone::named("Europe/Berlin").expect("a zone");
        };
        assert_eq!(advice(Why::DoesNotFit, berlin), "resets at 2026-11-23 01:00 Europe/Berlin (in 3 h 12 min)");
        let small = |standing: &mut Standing| standing.budget.limit = usd("0.3");
        assert!(advice(Why::DoesNotFit, small).starts_with("a lower --max-tokens: not even the whole of eng-a"));
        let ours = |standing: &mut Standing| {
            standing.budget.origin = Origin::Command;
            standing.budget.name = "--max-cost".into();
        };
        assert_eq!(advice(Why::DoesNotFit, ours), "a higher --max-cost, or a lower --max-tokens");
        let mut passed = standing();
        passed.budget.limit = usd("49");
        assert_eq!(passed.words(), "$49/day, spent $49.31, held $0.52, over by $0.83");
    }

    #[test]
    fn what_would_bound_a_call_is_named() {
        for (reasons, told) in [
            (&[][..], "give --max-tokens"),
            (&["no cap is sent: give --max-tokens"], "give --max-tokens"),
            (&["limits.attachment_tokens does not say it"], "set limits.attachment_tokens in config.toml"),
            (&["give a lower --effort", "--max-tokens"], "give --max-tokens and give a lower --effort"),
            (&["it searches"], "leave that out"),
        ] {
            let reasons: Vec<String> = reasons.iter().map(|reason| (*reason).to_owned()).collect();
            assert_eq!(bounding(&reasons), told);
        }
    }

    #[test]
    fn a_wait_is_told_in_two_units() {
        for (millis, told) in [
            (-1, "0 min"),
            (1, "1 min"),
            (59 * 60_000, "59 min"),
            (3_600_000, "1 h 0 min"),
            (86_400_000, "1 day 0 h"),
            (30 * 86_400_000 + 3_600_000, "30 days 1 h"),
        ] {
            assert_eq!(duration(millis), told, "{millis}");
        }
    }
}
