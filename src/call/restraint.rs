//! What calls that are made together hold back: retries of a provider that is down, and models that have no quota left.

use crate::domain::failure::{ErrorClass, Failure};
use crate::domain::model::ModelName;

/// Tokens that calls made together have for their retries: where all fail, each retry only adds to the load.
const FULL: u32 = 100;
/// What a retry costs, and one after a timeout, whose request may still be at work.
const RETRY: u32 = 5;
const RETRY_AFTER_TIMEOUT: u32 = 10;

/// Shared by the calls of one command.
#[derive(Debug, Default)]
pub struct Restraint {
    /// What is left of the tokens; `None`: retries are not counted.
    tokens: Option<u32>,
    /// Models that have no quota left, each with the credential that it was asked with and what was said.
    off: Vec<(ModelName, Option<String>, Failure)>,
}

impl Restraint {
    /// For many calls at once: their retries are counted together.
    #[must_use]
    pub fn counting() -> Restraint {
        Restraint { tokens: Some(FULL), off: Vec::new() }
    }

    /// Takes the tokens of a retry after this failure; false where there are not enough.
    pub fn may_repeat(&mut self, failure: &Failure) -> bool {
        let Some(tokens) = &mut self.tokens else { return true };
        let price = if failure.class == ErrorClass::Timeout { RETRY_AFTER_TIMEOUT } else { RETRY };
        let left = tokens.checked_sub(price);
        *tokens = left.unwrap_or(*tokens);
        left.is_some()
    }

    /// An attempt ended: well, which gives a token back, or in a failure. Waiting does not bring quota back.
    pub fn ended(&mut self, name: &ModelName, credential: Option<&str>, failure: Option<&Failure>) {
        match failure {
            None => self.tokens = self.tokens.map(|tokens| FULL.min(tokens + 1)),
            Some(failure) if failure.class == ErrorClass::Quota && self.is_off(name, credential).is_none() => {
                self.off.push((name.clone(), credential.map(str::to_owned), failure.clone()));
            }
            Some(_) => {}
        }
    }

    /// Why the model is not to be asked again with this credential; nothing of that was sent.
    #[must_use]
    pub fn is_off(&self, name: &ModelName, credential: Option<&str>) -> Option<Failure> {
        let known = self.off.iter().find(|(off, with, _)| off == name && with.as_deref() == credential);
        known.map(|(.., failure)| Failure {
            message: format!("{}; it was not asked again", failure.message),
            status: None,
            request_id: None,
            may_be_billed: false,
            ..failure.clone()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::Restraint;
    use crate::domain::failure::{ErrorClass, Failure};
    use crate::domain::model::ModelName;

    fn name(model: &str) -> ModelName {
        ModelName { provider: "p".into(), region: None, model: model.into() }
    }

    #[test]
    fn a_retry_costs_five_tokens_of_a_hundred_ten_after_a_timeout_and_a_success_gives_one_back() {
        let [busy, late] = [ErrorClass::Overloaded, ErrorClass::Timeout].map(|class| Failure::new(class, "x"));
        let mut restraint = Restraint::counting();
        let taken = |restraint: &mut Restraint, failure: &Failure| {
            (0..1000).take_while(|_| restraint.may_repeat(failure)).count()
        };
        assert_eq!(taken(&mut restraint, &busy), 20);
        (0..14).for_each(|_| restraint.ended(&name("m"), None, None));
        assert_eq!((taken(&mut restraint, &late), taken(&mut restraint, &busy)), (1, 0));
        restraint.ended(&name("m"), None, None);
        assert_eq!(taken(&mut restraint, &busy), 1, "four were left, and one came back");
        (0..500).for_each(|_| restraint.ended(&name("m"), None, None));
        assert_eq!(taken(&mut restraint, &late), 10, "never more than a hundred");
        assert_eq!(taken(&mut Restraint::default(), &busy), 1000, "one call alone counts none");
    }

    #[test]
    fn a_model_without_quota_is_off_for_the_credential_that_has_none() {
        let mut restraint = Restraint::default();
        let mut empty = Failure::new(ErrorClass::Quota, "no credit");
        (empty.status, empty.request_id) = (Some(402), Some("r".into()));
        restraint.ended(&name("a"), Some("key"), Some(&Failure::new(ErrorClass::RateLimit, "slow down")));
        assert_eq!(restraint.is_off(&name("a"), Some("key")), None);
        restraint.ended(&name("a"), Some("key"), Some(&empty));
        let off = restraint.is_off(&name("a"), Some("key")).expect("off");
        assert_eq!((off.class, off.status, off.request_id), (ErrorClass::Quota, None, None));
        assert_eq!(off.message, "no credit; it was not asked again");
        assert_eq!(restraint.is_off(&name("a"), Some("another")), None);
        assert_eq!(restraint.is_off(&name("b"), Some("key")), None);
    }
}
