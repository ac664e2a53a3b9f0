//! Which calls a budget counts, and a call that one refused.

use super::budget::{Refusal, Scope};
use super::record::NewCall;

impl Scope {
    /// Whether a call counts.
    #[must_use]
    pub fn covers(&self, call: &NewCall) -> bool {
        let is =
            |wanted: &Option<String>, has: Option<&str>| wanted.as_deref().is_none_or(|wanted| has == Some(wanted));
        is(&self.project, call.project.as_deref())
            && is(&self.user, call.user.as_deref())
            && is(&self.team, call.team.as_deref())
            && is(&self.session, call.session.as_deref())
            && self.provider.as_deref().is_none_or(|wanted| wanted.eq_ignore_ascii_case(&call.provider))
            && self.tags.iter().all(|(key, value)| call.tags.get(key) == Some(value))
            && self.model.as_deref().is_none_or(|pattern| names(pattern, call))
    }
}

/// Whether a pattern means the model of a call: by its name, as `provider/model`, or as `provider@region/model`. Some
/// providers read names without regard to case, so none gets around a budget by its letters.
fn names(pattern: &str, call: &NewCall) -> bool {
    let pattern = pattern.to_ascii_lowercase();
    let fits = |name: String| matches(&pattern, &name.to_ascii_lowercase());
    if !pattern.contains('/') {
        return fits(call.model.clone());
    }
    let by_region = |region| fits(format!("{}@{region}/{}", call.provider, call.model));
    fits(format!("{}/{}", call.provider, call.model)) || call.region.as_deref().is_some_and(by_region)
}

/// Whether a text fits a pattern in which `*` stands for any characters.
fn matches(pattern: &str, text: &str) -> bool {
    let mut pieces = pattern.split('*');
    let Some(mut rest) = pieces.next().and_then(|first| text.strip_prefix(first)) else {
        return false;
    };
    let Some(last) = pattern.contains('*').then(|| pieces.next_back()).flatten() else {
        return rest.is_empty();
    };
    for piece in pieces {
        match rest.find(piece) {
            Some(at) => rest = &rest[at + piece.len()..],
            None => return false,
        }
    }
    rest.ends_with(last)
}

/// A refusal as the books keep it.
#[derive(Debug, Clone, PartialEq)]
pub struct RefusalRecord {
    pub at_ms: i64,
    /// What was to be called, for whom, and at most for how much. Parameters and conversation are not kept.
    pub call: NewCall,
    pub refusal: Refusal,
}

#[cfg(test)]
mod tests {
    use super::matches;
    use crate::domain::budget::Scope;
    use crate::domain::record::NewCall;

    #[test]
    fn a_scope_covers_the_calls_for_which_every_part_fits() {
        let call = NewCall {
            provider: "bedrock".into(),
            model: "eu.anthropic.claude-sonnet-4-6".into(),
            project: Some("api".into()),
            team: Some("pay".into()),
            tags: [("env".to_owned(), "ci".to_owned())].into(),
            ..NewCall::default()
        };
        let scope = |change: fn(&mut Scope)| {
            let mut scope = Scope::default();
            change(&mut scope);
            scope
        };
        assert!(Scope::default().covers(&call));
        assert!(scope(|scope| scope.project = Some("api".into())).covers(&call));
        assert!(!scope(|scope| scope.project = Some("app".into())).covers(&call));
        assert!(!scope(|scope| scope.user = Some("ann".into())).covers(&call), "a call without a user is nobody's");
        assert!(scope(|scope| scope.tags = [("env".to_owned(), "ci".to_owned())].into()).covers(&call));
        assert!(!scope(|scope| scope.tags = [("env".to_owned(), "dev".to_owned())].into()).covers(&call));
        assert!(scope(|scope| scope.model = Some("bedrock/*".into())).covers(&call));
        assert!(scope(|scope| scope.model = Some("*claude*".into())).covers(&call));
        assert!(!scope(|scope| scope.model = Some("openai/*".into())).covers(&call));
        assert!(scope(|scope| scope.model = Some("Bedrock/EU.*".into())).covers(&call), "letters of any case");
        assert!(scope(|scope| scope.provider = Some("Bedrock".into())).covers(&call));
        let of_region = scope(|scope| scope.model = Some("bedrock@eu-central-1/*".into()));
        assert!(!of_region.covers(&call), "its region is not known");
        assert!(of_region.covers(&NewCall { region: Some("eu-central-1".into()), ..call.clone() }));
        assert!(!of_region.covers(&NewCall { region: Some("us-east-1".into()), ..call }));
    }

    #[test]
    fn a_star_stands_for_any_characters() {
        for (pattern, text, fits) in [
            ("a*b*c", "a-b-b-c", true),
            ("*", "", true),
            ("a", "ab", false),
            ("a*a", "a", false),
            ("*sonnet", "claude-sonnet-4", false),
            ("claude-*-4", "claude-sonnet-4", true),
            ("*b*b", "xb", false),
        ] {
            assert_eq!(matches(pattern, text), fits, "{pattern} {text}");
        }
    }
}
