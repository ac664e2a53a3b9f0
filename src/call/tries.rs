//! What is done after an attempt that failed: again, another model, or no more. One layer, the same for every provider.

use std::time::Duration;

use crate::domain::failure::{ErrorClass, Failure, Repeat, Replace};

/// How much is tried before a failure is final.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Persistence {
    /// Further requests to the same model after the first.
    pub retries: u32,
    /// The longest first wait; each further one may be twice as long.
    pub backoff: Duration,
    /// The longest wait that a server's `Retry-After` is obeyed for.
    pub wait_max: Duration,
    /// So long after the first attempt began no further one does.
    pub deadline: Duration,
    /// A request of which nobody knows whether it was answered is sent once more, and may be charged twice.
    pub ambiguous: bool,
    /// An answer that broke off after its first token is asked for again.
    pub after_content: bool,
    /// Another model is asked where a filter refused.
    pub replaces_filtered: bool,
}

impl Default for Persistence {
    fn default() -> Persistence {
        Persistence {
            retries: 2,
            backoff: Duration::from_millis(500),
            wait_max: Duration::from_secs(60),
            deadline: Duration::from_secs(120),
            ambiguous: false,
            after_content: false,
            replaces_filtered: false,
        }
    }
}

/// The longest backoff.
const BACKOFF_MAX: Duration = Duration::from_secs(8);
/// Most attempts of one call over all its models, unless more retries of one model are asked for.
const ATTEMPTS_MAX: u32 = 4;

/// What comes next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// The failure stands.
    Stop,
    /// The same model, after this long.
    Again { wait: Duration },
    /// The next model of the list.
    Instead,
}

/// What has been tried so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tries {
    /// Attempts at the present model, and at all.
    here: u32,
    all: u32,
}

/// An attempt that failed, as far as it decides what comes next.
#[derive(Debug, Clone, Copy)]
pub struct Failed<'a> {
    pub failure: &'a Failure,
    /// Something of the answer has been shown.
    pub shown: bool,
    /// The calls that are made together have retries left.
    pub may_repeat: bool,
    /// There is another model to ask, and whether it takes a longer prompt than this one.
    pub other: Option<Other>,
    /// Since the first attempt began.
    pub elapsed: Duration,
    /// What is left until the whole call must be over.
    pub left: Option<Duration>,
    /// Uneven on purpose, so that many callers do not come back at once: from 0 to 65,535.
    pub chance: u16,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Other {
    pub is_larger: bool,
}

impl Tries {
    /// Decides what follows an attempt, and counts it.
    pub fn after(&mut self, failed: &Failed<'_>, policy: &Persistence) -> Next {
        self.here += 1;
        self.all += 1;
        let most = ATTEMPTS_MAX.max(policy.retries.saturating_add(1));
        if self.all >= most || (failed.shown && !policy.after_content) {
            return Next::Stop;
        }
        if failed.may_repeat
            && self.here <= retries(failed, policy)
            && let Some(wait) = self.wait(failed, policy)
        {
            return Next::Again { wait };
        }
        if !failed.shown && replaces(failed, policy) {
            self.here = 0;
            return Next::Instead;
        }
        Next::Stop
    }

    /// How long to wait; `None` where that is longer than anyone may wait.
    fn wait(&self, failed: &Failed<'_>, policy: &Persistence) -> Option<Duration> {
        let chance = u32::from(failed.chance);
        let wait = match failed.failure.retry_after_ms {
            // The server's word is the least; a little more, so that its other callers do not all come with this one.
            Some(asked) => {
                let asked = Duration::from_millis(asked);
                if asked > policy.wait_max {
                    return None;
                }
                asked + asked * chance / (10 * 65_536)
            }
            None => {
                let doublings = 1_u32.checked_shl(self.here.saturating_sub(1)).unwrap_or(u32::MAX);
                policy.backoff.saturating_mul(doublings).min(BACKOFF_MAX) * chance / 65_536
            }
        };
        let in_time = failed.elapsed.saturating_add(wait) < policy.deadline;
        let fits = in_time && failed.left.is_none_or(|left| wait < left);
        fits.then_some(wait)
    }
}

/// How many further requests to the same model a failure is worth.
fn retries(failed: &Failed<'_>, policy: &Persistence) -> u32 {
    let failure = failed.failure;
    match failure.repeat {
        Repeat::Often => policy.retries,
        Repeat::Once => policy.retries.min(1),
        Repeat::Otherwise => 1,
        Repeat::Never if failed.shown && policy.after_content && broke_off(failure) => policy.retries,
        Repeat::Never if policy.ambiguous && is_ambiguous(failure) => policy.retries.min(1),
        Repeat::Never => 0,
    }
}

fn replaces(failed: &Failed<'_>, policy: &Persistence) -> bool {
    let Some(other) = failed.other else { return false };
    match failed.failure.replace {
        Replace::Always => true,
        Replace::Larger => other.is_larger,
        Replace::IfAsked if failed.failure.class == ErrorClass::ContentFilter => policy.replaces_filtered,
        Replace::IfAsked => policy.ambiguous,
        Replace::Never => false,
    }
}

/// The request was written, and nobody knows whether the model was at work. A gateway that gave up waiting (504) says that
/// it was.
fn is_ambiguous(failure: &Failure) -> bool {
    let is_unheard = matches!(failure.class, ErrorClass::Network | ErrorClass::Timeout) && failure.status.is_none();
    failure.may_be_billed && is_unheard
}

fn broke_off(failure: &Failure) -> bool {
    matches!(failure.class, ErrorClass::Network | ErrorClass::Timeout | ErrorClass::Protocol | ErrorClass::Overloaded)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Failed, Next, Other, Persistence, Tries};
    use crate::domain::failure::{ErrorClass, Failure, Repeat, Replace};

    const MS: Duration = Duration::from_millis(1);

    fn failed(failure: &Failure) -> Failed<'_> {
        let elapsed = Duration::ZERO;
        Failed { failure, shown: false, may_repeat: true, other: None, elapsed, left: None, chance: u16::MAX }
    }

    /// Everything that follows until it stops.
    fn story(failed: &Failed<'_>, policy: &Persistence) -> Vec<Next> {
        let mut tries = Tries::default();
        let mut story = Vec::new();
        loop {
            let next = tries.after(failed, policy);
            story.push(next);
            if next == Next::Stop {
                return story;
            }
        }
    }

    #[test]
    fn waits_grow_up_to_eight_seconds_and_there_is_none_after_the_last_attempt() {
        let overloaded = Failure::new(ErrorClass::Overloaded, "busy");
        let policy = Persistence { retries: 6, ..Persistence::default() };
        let waits: Vec<u128> = story(&failed(&overloaded), &policy)
            .iter()
            .filter_map(|next| match next {
                Next::Again { wait } => Some(wait.as_millis()),
                Next::Stop | Next::Instead => None,
            })
            .collect();
        // The longest that chance gives is a hair below 500 ms × 2^n.
        assert_eq!(waits, [499, 999, 1999, 3999, 7999, 7999]);
        let lucky = Failed { chance: 0, ..failed(&overloaded) };
        assert_eq!(
            story(&lucky, &Persistence::default())[..],
            [Next::Again { wait: Duration::ZERO }, Next::Again { wait: Duration::ZERO }, Next::Stop]
        );
    }

    #[test]
    fn every_class_has_its_number_of_attempts() {
        use ErrorClass as Class;
        for (class, attempts) in [
            (Class::RateLimit, 3),
            (Class::Overloaded, 3),
            (Class::Auth, 1),
            (Class::Permission, 1),
            (Class::NotFound, 1),
            (Class::Region, 1),
            (Class::Quota, 1),
            (Class::ContextLength, 1),
            (Class::ContentFilter, 1),
            (Class::InvalidRequest, 1),
            (Class::Protocol, 1),
            (Class::Timeout, 1),
            (Class::Network, 1),
            (Class::Budget, 1),
            (Class::Config, 1),
        ] {
            assert_eq!(story(&failed(&Failure::new(class, "x")), &Persistence::default()).len(), attempts, "{class}");
        }
        let once = Failure::new(Class::Timeout, "no connection").repeats(Repeat::Once);
        assert_eq!(story(&failed(&once), &Persistence::default()).len(), 2);
        let never = Persistence { retries: 0, ..Persistence::default() };
        assert_eq!(story(&failed(&once), &never).len(), 1);
        let otherwise = Failure::new(Class::Auth, "by another clock").repeats(Repeat::Otherwise);
        for policy in [Persistence::default(), never] {
            assert_eq!(story(&failed(&otherwise), &policy).len(), 2, "another request, not the same one again");
        }
    }

    #[test]
    fn a_servers_wait_is_the_least_and_one_that_is_too_long_is_not_waited_for() {
        let mut limited = Failure::new(ErrorClass::RateLimit, "slow down");
        for (asked, wait) in
            [(Some(1500), Some((1500, 1650))), (Some(60_000), Some((60_000, 66_000))), (Some(60_001), None)]
        {
            limited.retry_after_ms = asked;
            for chance in [0, u16::MAX] {
                let next = Tries::default().after(&Failed { chance, ..failed(&limited) }, &Persistence::default());
                match (next, wait) {
                    (Next::Again { wait }, Some((least, most))) => {
                        assert!((least..=most).contains(&wait.as_millis()), "{asked:?}: {wait:?}")
                    }
                    (Next::Stop, None) => {}
                    other => panic!("{asked:?}: {other:?}"),
                }
            }
        }
        let other = Failed { other: Some(Other { is_larger: false }), ..failed(&limited) };
        assert_eq!(Tries::default().after(&other, &Persistence::default()), Next::Instead, "at once");
    }

    #[test]
    fn no_attempt_begins_after_the_deadline_of_the_call_or_of_all_attempts() {
        let mut limited = Failure::new(ErrorClass::RateLimit, "slow down");
        limited.retry_after_ms = Some(50_000);
        let soon = Failed { left: Some(Duration::from_secs(50)), ..failed(&limited) };
        assert_eq!(Tries::default().after(&soon, &Persistence::default()), Next::Stop);
        for (elapsed, next) in [(69, Next::Again { wait: 50_000 * MS }), (70, Next::Stop), (500, Next::Stop)] {
            let late = Failed { chance: 0, elapsed: Duration::from_secs(elapsed), ..failed(&limited) };
            assert_eq!(Tries::default().after(&late, &Persistence::default()), next, "{elapsed} s after the first");
        }
    }

    #[test]
    fn nothing_is_repeated_once_a_token_was_shown_unless_the_user_asks() {
        let cut = Failure::new(ErrorClass::Network, "cut").maybe_billed();
        let shown = Failed { shown: true, other: Some(Other { is_larger: true }), ..failed(&cut) };
        assert_eq!(Tries::default().after(&shown, &Persistence::default()), Next::Stop);
        let asked = Persistence { after_content: true, ..Persistence::default() };
        assert!(matches!(Tries::default().after(&shown, &asked), Next::Again { .. }));
    }

    #[test]
    fn what_may_have_been_charged_is_sent_again_only_where_the_user_asks() {
        let cut = Failure::new(ErrorClass::Network, "no head").maybe_billed();
        let with_other = Failed { other: Some(Other { is_larger: true }), ..failed(&cut) };
        assert_eq!(Tries::default().after(&with_other, &Persistence::default()), Next::Stop);
        let asked = Persistence { ambiguous: true, ..Persistence::default() };
        assert!(matches!(story(&with_other, &asked)[..], [Next::Again { .. }, Next::Instead, ..]));
        for status in [504, 524, 408] {
            let mut gave_up = Failure::new(ErrorClass::Timeout, "no answer in time").maybe_billed();
            gave_up.status = Some(status);
            assert_eq!(story(&failed(&gave_up), &asked), [Next::Stop], "{status}");
        }
    }

    #[test]
    fn another_model_is_asked_only_where_it_can_help() {
        use ErrorClass as Class;
        let larger = Some(Other { is_larger: true });
        let smaller = Some(Other { is_larger: false });
        for (class, other, helps) in [
            (Class::Permission, smaller, true),
            (Class::NotFound, smaller, true),
            (Class::Quota, smaller, true),
            (Class::ContextLength, smaller, false),
            (Class::ContextLength, larger, true),
            (Class::ContentFilter, larger, false),
            (Class::Auth, larger, false),
            (Class::InvalidRequest, larger, false),
            (Class::Protocol, larger, false),
        ] {
            let failure = Failure::new(class, "x");
            let next = Tries::default().after(&Failed { other, ..failed(&failure) }, &Persistence::default());
            assert_eq!(next == Next::Instead, helps, "{class}");
        }
        let filtered = Failure::new(Class::ContentFilter, "x");
        let asked = Persistence { replaces_filtered: true, ..Persistence::default() };
        assert_eq!(Tries::default().after(&Failed { other: larger, ..failed(&filtered) }, &asked), Next::Instead);
        let certificate = Failure::new(Class::Network, "x").replaces(Replace::Never);
        assert_eq!(
            Tries::default().after(&Failed { other: larger, ..failed(&certificate) }, &Persistence::default()),
            Next::Stop
        );
    }

    #[test]
    fn without_a_retry_left_another_model_is_asked_at_once() {
        let overloaded = Failure::new(ErrorClass::Overloaded, "busy");
        let alone = Failed { may_repeat: false, ..failed(&overloaded) };
        assert_eq!(Tries::default().after(&alone, &Persistence::default()), Next::Stop);
        let other = Failed { other: Some(Other { is_larger: false }), ..alone };
        assert_eq!(Tries::default().after(&other, &Persistence::default()), Next::Instead);
    }

    #[test]
    fn a_call_makes_at_most_four_attempts_over_all_its_models() {
        let overloaded = Failure::new(ErrorClass::Overloaded, "busy");
        let with_other = Failed { other: Some(Other { is_larger: false }), chance: 0, ..failed(&overloaded) };
        let again = Next::Again { wait: Duration::ZERO };
        assert_eq!(story(&with_other, &Persistence::default()), [again, again, Next::Instead, Next::Stop]);
    }
}
