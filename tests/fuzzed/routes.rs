//! Routes and their conditions: every model of a rule is asked or has a reason, and the first rule that holds decides.

use llmx::domain::chat::{ChatRequest, Message, Part, Role};
use llmx::domain::model::ModelName;
use llmx::domain::money::Usd;
use llmx::domain::route::features::Features;
use llmx::domain::route::{Candidate, Expected, OutputFrom, Pick, Route, decide};

/// Between a route and what is asked of it.
const PROMPT: &str = "\n---\n";

/// A route as a configuration file has it, and after a line of three dashes a prompt.
pub fn route(bytes: &[u8]) {
    let text = super::text(bytes);
    let (route, prompt) = text.split_once(PROMPT).unwrap_or((&text, ""));
    let Ok(route) = toml::from_str::<Route>(route) else { return };
    let said = Message { role: Role::User, parts: vec![Part::Text(prompt.to_owned())] };
    let features = Features::of(&ChatRequest { messages: vec![said], ..ChatRequest::default() });
    // 2026-11-22 00:00 UTC.
    let features = Features { now_ms: 1_795_305_600_000, budget_left: Some(50), ..features };

    let decision = decide(&route, &features, &mut candidate);
    assert_eq!(decision, decide(&route, &features, &mut candidate));
    match &route {
        Route::Cascade(cascade) => {
            assert_eq!(decision.check.as_ref(), Some(&cascade.check));
            assert_eq!(decision.order.len() + decision.rejected.len(), cascade.models.len());
            assert!(!cascade.check.words().is_empty());
        }
        Route::Rules(rules) => {
            let decided = decision.rule.as_ref().map_or(rules.len() + 1, |place| place.number);
            for (number, rule) in (1..).zip(rules) {
                let passed = decision.passed.iter().find(|(place, _)| place.number == number);
                assert_eq!(passed.is_some(), number < decided, "rules before the one that decides say why not");
                let held = rule.when.holds(&features);
                assert!(number != decided || held.is_ok());
                if let (Err(why), Some((_, said))) = (held, passed) {
                    assert_eq!(&why, said);
                }
                let rejected = decision.rejected.iter().filter(|one| one.rule == Some(number)).count();
                if number == decided {
                    assert_eq!(decision.order.len() + rejected, rule.models.len());
                    let rising = decision.order.is_sorted_by_key(|one| one.expected.amount());
                    assert!(rule.pick == Pick::First || rising, "the cheapest first: {:?}", decision.order);
                    let unpriced = |one: &Candidate| one.expected.amount().is_none();
                    assert!(rule.price_max.is_none() || !decision.order.iter().any(unpriced));
                }
                let _ = rule.when.words();
            }
            assert_eq!(decision.rule.is_none(), decision.order.is_empty());
        }
    }
}

/// A model whose price is the length of its name, and some that have none, are slow, small or not usable.
fn candidate(name: &str) -> Candidate {
    let cost = i64::try_from(name.len()).unwrap_or(i64::MAX).saturating_mul(1_000_000_000);
    let expected = match name.len() % 5 {
        0 => Expected::Unpriced("no price is known".into()),
        1 => Expected::Free,
        _ => Expected::Usd(Usd::from_picos(cost)),
    };
    Candidate {
        name: ModelName { provider: "a".into(), region: None, model: name.to_owned() },
        ceiling: expected.amount(),
        expected,
        output_tokens: 500,
        output_from: OutputFrom::Default,
        context: name.contains("small").then_some(100),
        latency_ms: name.contains("slow").then_some(9_000),
        unusable: name.contains("broken").then(|| "no credential".to_owned()),
        refused: name.contains("mute").then(|| "the API has no form for a sound".to_owned()),
    }
}
