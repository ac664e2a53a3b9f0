//! A named route: ordered rules on what is known before a request is sent, and the cheapest model among those that qualify.

pub mod check;
pub mod features;
pub mod when;

use std::path::Path;

use serde::Deserialize;
use serde::de::Error as _;

use super::model::ModelName;
use super::money::Usd;
use check::Checks;
use features::Features;
use when::When;

/// How a model's name begins that is a route's.
const PREFIX: &str = "route/";

/// The name of the route that a model's name means, where it means one: `route/auto` is `auto`.
#[must_use]
pub fn named(model: &str) -> Option<&str> {
    model.trim().strip_prefix(PREFIX).filter(|name| !name.is_empty())
}

/// What stands behind a name that is used as a model's.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(try_from = "Table")]
pub enum Route {
    /// The first rule that holds and has a candidate decides.
    Rules(Vec<Rule>),
    Cascade(Cascade),
}

/// The first model is asked; the next one only where its answer does not stand a check.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cascade {
    pub models: Vec<String>,
    pub check: Checks,
}

/// One rule: which requests, which models, and what these must satisfy.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    pub name: Option<String>,
    /// Nothing in it: every request.
    #[serde(default)]
    pub when: When,
    pub models: Vec<String>,
    #[serde(default)]
    pub pick: Pick,
    /// The most that the request may be expected to cost, in USD. A model without a price does not qualify then.
    #[serde(default, deserialize_with = "amount")]
    pub price_max: Option<Usd>,
    /// The longest median time to the first token that the ledger has seen. A model that it has not seen qualifies.
    pub latency_max_ms: Option<u64>,
    /// Not a model without a credential here, and none that failed the last access test. One that was not tested
    /// qualifies.
    #[serde(default)]
    pub usable: bool,
}

/// Which of the models that qualify is asked first.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Pick {
    /// The one whose expected cost of this request is lowest.
    #[default]
    Cheapest,
    /// The order as it is written.
    First,
}

impl Pick {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Pick::Cheapest => "cheapest",
            Pick::First => "first",
        }
    }
}

/// A route as a configuration file has it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    #[serde(default)]
    rule: Vec<Rule>,
    cascade: Option<Cascade>,
}

impl TryFrom<Table> for Route {
    type Error = String;

    fn try_from(table: Table) -> Result<Route, String> {
        let models = |models: &[String]| match models {
            [] => Err("a rule or a cascade needs models".to_owned()),
            _ if models.iter().any(|model| named(model).is_some()) => {
                Err("a route leads to models, not to routes".into())
            }
            _ => Ok(()),
        };
        match table {
            Table { rule, cascade: None } if !rule.is_empty() => {
                rule.iter().try_for_each(|rule| models(&rule.models))?;
                Ok(Route::Rules(rule))
            }
            Table { rule, cascade: Some(cascade) } if rule.is_empty() => {
                models(&cascade.models)?;
                match cascade.check.is_empty() {
                    true => Err("a cascade needs a check: without one its second model is never asked".into()),
                    false => Ok(Route::Cascade(cascade)),
                }
            }
            _ => Err("a route has either rules or a cascade".into()),
        }
    }
}

/// A number or a text of TOML as an amount; the digits as they are written, never a sum of floats.
fn amount<'de, D: serde::Deserializer<'de>>(value: D) -> Result<Option<Usd>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Written {
        Whole(u32),
        Decimal(f64),
        Text(String),
    }
    let text = match Written::deserialize(value)? {
        Written::Whole(number) => number.to_string(),
        Written::Decimal(number) => number.to_string(),
        Written::Text(text) => text,
    };
    let usd = Usd::parse(&text).filter(|usd| usd.picos >= 0);
    usd.map(Some).ok_or_else(|| D::Error::custom("it must be an amount in USD, as 0.01"))
}

impl Route {
    /// Gives a cascade's program its place: a path that is not absolute is below `folder`. A bare name is looked for on the
    /// path, as a shell does.
    pub fn anchor(&mut self, folder: &Path) {
        if let Route::Cascade(cascade) = self
            && let Some(program) = cascade.check.command.first_mut()
            && program.contains(['/', '\\'])
        {
            *program = folder.join(&*program).to_string_lossy().into_owned();
        }
    }

    /// Every model that it names, as written, in its order.
    pub fn models(&self) -> impl Iterator<Item = &str> {
        let (rules, cascade) = match self {
            Route::Rules(rules) => (rules.as_slice(), None),
            Route::Cascade(cascade) => (&[][..], Some(cascade)),
        };
        let models = rules.iter().flat_map(|rule| &rule.models);
        models.chain(cascade.into_iter().flat_map(|cascade| &cascade.models)).map(String::as_str)
    }
}

/// A model that a rule names, with what is known of it for this request.
#[derive(Debug, Clone, PartialEq)]
pub struct Candidate {
    pub name: ModelName,
    pub expected: Expected,
    /// The tokens of the answer that the expectation was made with, and where their number comes from.
    pub output_tokens: u64,
    pub output_from: OutputFrom,
    /// The most that the request can cost; `None`: nobody can say.
    pub ceiling: Option<Usd>,
    /// Tokens of its context window; `None`: not known.
    pub context: Option<u64>,
    /// Median time to the first token, as the ledger has seen it; `None`: never seen.
    pub latency_ms: Option<u64>,
    /// Why it cannot be used here, as far as that is known: it has no credential, or failed the last access test.
    pub unusable: Option<String>,
    /// Why this request cannot be sent to it: its API has no form for an attachment, no region is known, …
    pub refused: Option<String>,
}

/// What this request is expected to cost: its estimated tokens at the model's own rates.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expected {
    /// Written down as free, or the simulator.
    Free,
    Usd(Usd),
    /// Why there is no amount. Unknown is not free.
    Unpriced(String),
}

impl Expected {
    /// The amount, where there is one.
    #[must_use]
    pub fn amount(&self) -> Option<Usd> {
        match self {
            Expected::Free => Some(Usd::default()),
            Expected::Usd(usd) => Some(*usd),
            Expected::Unpriced(_) => None,
        }
    }
}

/// The tokens of an answer of which nothing is known: a round figure, not a measurement.
pub const OUTPUT_DEFAULT: u64 = 500;

/// Where the expected length of an answer comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OutputFrom {
    /// The cap that is asked for is lower than what else is known.
    Cap,
    /// The median of so many answers of this model in this project.
    Median { calls: u64 },
    /// [`OUTPUT_DEFAULT`]
    Default,
}

/// The length of the answer that is expected: what the ledger has seen, else the default, never above the cap.
/// `seen`: the median and the number of answers that it was made from.
#[must_use]
pub fn expected_output(cap: Option<u64>, seen: Option<(u64, u64)>) -> (u64, OutputFrom) {
    let (tokens, from) =
        seen.map_or((OUTPUT_DEFAULT, OutputFrom::Default), |(median, calls)| (median, OutputFrom::Median { calls }));
    match cap {
        Some(cap) if cap < tokens => (cap, OutputFrom::Cap),
        _ => (tokens, from),
    }
}

/// Which models are asked, in which order, and why.
#[derive(Debug, Clone, PartialEq)]
pub struct Decision {
    /// The rule that decided; `None`: a cascade, or no rule held.
    pub rule: Option<Place>,
    /// Rules before it, and why each was passed over.
    pub passed: Vec<(Place, String)>,
    /// The first is asked, the others take its place where it fails, or with `check` where its answer does not stand.
    /// Empty: no model qualifies.
    pub order: Vec<Candidate>,
    pub rejected: Vec<Rejected>,
    pub check: Option<Checks>,
    /// What the user should know of the decision.
    pub notes: Vec<String>,
}

/// A model that does not qualify.
#[derive(Debug, Clone, PartialEq)]
pub struct Rejected {
    pub candidate: Candidate,
    /// The number of the rule that named it; `None`: a cascade.
    pub rule: Option<usize>,
    pub why: String,
}

/// A rule's place in its route, from 1, and its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    pub number: usize,
    pub name: Option<String>,
}

/// Decides a request. `candidate` says what is known of a model, by the name as the route writes it.
///
/// The first rule decides that holds and has a model that qualifies. A request that does not fit a model's context window
/// never goes there.
#[must_use]
pub fn decide(route: &Route, features: &Features, candidate: &mut dyn FnMut(&str) -> Candidate) -> Decision {
    let mut decision = Decision {
        rule: None,
        passed: Vec::new(),
        order: Vec::new(),
        rejected: Vec::new(),
        check: None,
        notes: features.notes(),
    };
    match route {
        Route::Cascade(cascade) => {
            let fits = Rule { models: cascade.models.clone(), pick: Pick::First, ..Rule::default() };
            decision.check = Some(cascade.check.clone());
            decision.take(&fits, None, features, candidate);
        }
        Route::Rules(rules) => {
            for (number, rule) in (1..).zip(rules) {
                let place = Place { number, name: rule.name.clone() };
                if let Err(why) = rule.when.holds(features) {
                    decision.passed.push((place, why));
                } else if decision.take(rule, Some(number), features, candidate) {
                    decision.rule = Some(place);
                    break;
                } else {
                    decision.passed.push((place, "none of its models qualifies".into()));
                }
            }
        }
    }
    decision
}

impl Decision {
    /// Sorts a rule's models into those that qualify, in their order, and those that do not; whether any does.
    fn take(
        &mut self,
        rule: &Rule,
        number: Option<usize>,
        features: &Features,
        candidate: &mut dyn FnMut(&str) -> Candidate,
    ) -> bool {
        let (mut fit, mut unfit) = (Vec::new(), Vec::new());
        for model in &rule.models {
            let one = candidate(model);
            match disqualified(rule, features, &one) {
                Some(why) => unfit.push((one, why)),
                None => fit.push(one),
            }
        }
        if rule.pick == Pick::Cheapest {
            let (priced, unpriced): (Vec<_>, Vec<_>) = fit.into_iter().partition(|one| one.expected.amount().is_some());
            fit = match priced.is_empty() {
                false => {
                    unfit.extend(unpriced.into_iter().map(incomparable));
                    priced
                }
                true => {
                    if let Some(first) = unpriced.first() {
                        self.notes.push(format!(
                            "{} is asked although its cost is not known: no model with a price qualifies",
                            first.name
                        ));
                    }
                    unpriced
                }
            };
            // Equal amounts stay in the order as written: the sort is stable.
            fit.sort_by_key(|one| one.expected.amount());
        }
        if rule.latency_max_ms.is_some() {
            let unseen = fit.iter().filter(|one| one.latency_ms.is_none());
            self.notes.extend(
                unseen.map(|one| format!("the ledger has no first-token time of {}: it may be slow", one.name)),
            );
        }
        self.rejected.extend(unfit.into_iter().map(|(candidate, why)| Rejected { candidate, rule: number, why }));
        self.order = fit;
        !self.order.is_empty()
    }

    /// The most that all calls of a cascade can cost together; `None`: nobody can say.
    #[must_use]
    pub fn ceiling_of_all(&self) -> Option<Usd> {
        let mut ceilings = self.order.iter().map(|one| one.ceiling);
        ceilings.try_fold(Usd::default(), |sum, ceiling| sum.checked_add(ceiling?))
    }
}

fn incomparable(one: Candidate) -> (Candidate, String) {
    let reason = match &one.expected {
        Expected::Unpriced(reason) => reason.as_str(),
        Expected::Free | Expected::Usd(_) => "",
    };
    let why = format!("it cannot be compared: {reason}");
    (one, why)
}

/// Why a model does not qualify for a request under a rule.
fn disqualified(rule: &Rule, features: &Features, one: &Candidate) -> Option<String> {
    if let Some(refused) = &one.refused {
        return Some(refused.clone());
    }
    let needed = features.context_tokens();
    if let Some(context) = one.context.filter(|context| *context < needed) {
        return Some(format!("its context window holds {context} tokens, about {needed} are needed"));
    }
    if let Some(limit) = rule.price_max {
        match &one.expected {
            Expected::Unpriced(reason) => return Some(format!("it cannot be held to ${limit}: {reason}")),
            Expected::Usd(usd) if *usd > limit => return Some(format!("${usd} is expected, ${limit} is allowed")),
            Expected::Usd(_) | Expected::Free => {}
        }
    }
    if let (Some(limit), Some(seen)) = (rule.latency_max_ms, one.latency_ms)
        && seen > limit
    {
        return Some(format!("its first token came after {seen} ms (median), {limit} ms is allowed"));
    }
    one.unusable.clone().filter(|_| rule.usable)
}

#[cfg(test)]
mod tests {
    use super::features::Features;
    use super::{Candidate, Decision, Expected, OutputFrom, Route, decide, expected_output, named};
    use crate::domain::model::ModelName;
    use crate::domain::money::Usd;

    fn route(text: &str) -> Route {
        toml::from_str(text).unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    fn usd(text: &str) -> Expected {
        Expected::Usd(Usd::parse(text).expect("an amount"))
    }

    /// What is known of the models of these tests.
    fn model(name: &str) -> Candidate {
        let mut one = Candidate {
            name: ModelName { provider: "a".into(), region: None, model: name.into() },
            expected: Expected::Free,
            output_tokens: 500,
            output_from: OutputFrom::Default,
            ceiling: None,
            context: None,
            latency_ms: None,
            unusable: None,
            refused: None,
        };
        match name {
            // 10,000 in and 10 out: at 1 and 10 USD per million 10,100 millionths, at 5 and 5 USD 50,050.
            "in-1-out-10" => one.expected = usd("0.0101"),
            "in-5-out-5" => one.expected = usd("0.05005"),
            "cheap" | "cheap-too" => one.expected = usd("0.001"),
            "dear" => (one.expected, one.latency_ms) = (usd("1"), Some(200)),
            "slow" => (one.expected, one.latency_ms) = (usd("0.002"), Some(2_000)),
            "small" => (one.expected, one.context) = (usd("0.0001"), Some(8_192)),
            "broken" => (one.expected, one.unusable) = (usd("0.0001"), Some("no credential".into())),
            "unknown" | "unknown-too" => one.expected = Expected::Unpriced("no price is known".into()),
            "mute" => one.refused = Some("the API has no form for a sound".into()),
            "local" => {}
            other => panic!("{other}"),
        }
        one
    }

    fn decided(route: &Route, features: &Features) -> Decision {
        decide(route, features, &mut model)
    }

    fn order(decision: &Decision) -> Vec<&str> {
        decision.order.iter().map(|one| one.name.model.as_str()).collect()
    }

    #[test]
    fn the_cheapest_expected_cost_of_the_request_wins_and_the_rest_follow_by_cost() {
        for (rule, wanted) in [
            ("models = [\"in-5-out-5\", \"in-1-out-10\"]", vec!["in-1-out-10", "in-5-out-5"]),
            ("models = [\"cheap\", \"local\"]", vec!["local", "cheap"]),
            ("models = [\"cheap-too\", \"cheap\"]", vec!["cheap-too", "cheap"]),
            ("models = [\"dear\", \"cheap\"]\npick = \"first\"", vec!["dear", "cheap"]),
            ("models = [\"unknown\", \"dear\"]", vec!["dear"]),
            ("models = [\"unknown\", \"dear\"]\npick = \"first\"", vec!["unknown", "dear"]),
            ("models = [\"unknown-too\", \"unknown\"]", vec!["unknown-too", "unknown"]),
            ("models = [\"dear\", \"cheap\"]\nprice_max = 0.01", vec!["cheap"]),
            ("models = [\"dear\", \"local\"]\nprice_max = \"0\"", vec!["local"]),
            ("models = [\"unknown\", \"local\"]\nprice_max = 1\npick = \"first\"", vec!["local"]),
            ("models = [\"slow\", \"dear\"]\nlatency_max_ms = 500", vec!["dear"]),
            ("models = [\"slow\", \"cheap\"]\nlatency_max_ms = 500", vec!["cheap"]),
            ("models = [\"broken\", \"cheap\"]\nusable = true", vec!["cheap"]),
            ("models = [\"broken\", \"cheap\"]", vec!["broken", "cheap"]),
            ("models = [\"mute\", \"cheap\"]", vec!["cheap"]),
        ] {
            let decision = decided(&route(&format!("[[rule]]\n{rule}")), &Features::default());
            assert_eq!(order(&decision), wanted, "{rule}");
            assert_eq!(decision.rule.map(|place| place.number), Some(1), "{rule}");
        }
    }

    #[test]
    fn what_is_not_known_is_said() {
        let alone = decided(&route("[[rule]]\nmodels = [\"unknown\"]"), &Features::default());
        assert!(alone.notes[0].contains("a/unknown is asked although its cost is not known"), "{:?}", alone.notes);
        let beside = decided(&route("[[rule]]\nmodels = [\"unknown\", \"dear\"]"), &Features::default());
        assert_eq!(beside.rejected[0].why, "it cannot be compared: no price is known");
        let unseen = decided(&route("[[rule]]\nmodels = [\"cheap\"]\nlatency_max_ms = 5"), &Features::default());
        assert!(unseen.notes[0].contains("no first-token time of a/cheap"), "{:?}", unseen.notes);
    }

    #[test]
    fn the_first_rule_that_holds_and_has_a_model_decides() {
        let route = route(
            "[[rule]]\nname = \"pictures\"\nwhen = { attachments = true }\nmodels = [\"dear\"]\n\
             [[rule]]\nname = \"short\"\nwhen = { input_tokens_max = 500, code = false }\nmodels = [\"small\", \"local\"]\n\
             [[rule]]\nname = \"sounds\"\nwhen = { tools = true }\nmodels = [\"mute\"]\n\
             [[rule]]\nmodels = [\"cheap\"]\n",
        );
        for (features, rule, first) in [
            (Features { attachments: 1, ..Features::default() }, 1, "dear"),
            (Features { input_tokens: 500, ..Features::default() }, 2, "local"),
            (Features { input_tokens: 500, code: true, ..Features::default() }, 4, "cheap"),
            (Features { input_tokens: 501, ..Features::default() }, 4, "cheap"),
            (Features { input_tokens: 501, tools: true, ..Features::default() }, 4, "cheap"),
        ] {
            let decision = decided(&route, &features);
            assert_eq!((decision.rule.as_ref().map(|place| place.number), order(&decision)[0]), (Some(rule), first));
            assert_eq!(decision.passed.len(), rule - 1, "each rule before it says why it was passed over");
        }
        let tools = decided(&route, &Features { input_tokens: 501, tools: true, ..Features::default() });
        assert_eq!(tools.passed[2].1, "none of its models qualifies");
        assert_eq!(
            (tools.rejected[0].rule, tools.rejected[0].why.as_str()),
            (Some(3), "the API has no form for a sound")
        );
    }

    #[test]
    fn a_request_never_goes_where_it_does_not_fit() {
        let route = route("[[rule]]\nmodels = [\"small\", \"cheap\"]");
        let asked = |input_tokens, cap| Features { input_tokens, output_cap: Some(cap), ..Features::default() };
        assert_eq!(order(&decided(&route, &asked(8_000, 192))), ["small", "cheap"]);
        let decision = decided(&route, &asked(8_000, 193));
        assert_eq!(order(&decision), ["cheap"]);
        assert_eq!(decision.rejected[0].why, "its context window holds 8192 tokens, about 8193 are needed");
    }

    #[test]
    fn a_cascade_keeps_its_order_and_its_checks() {
        let route = route("[cascade]\nmodels = [\"dear\", \"cheap\"]\ncheck = { refusal = true }");
        let decision = decided(&route, &Features::default());
        assert_eq!(order(&decision), ["dear", "cheap"]);
        assert!(decision.check.is_some_and(|check| check.refusal) && decision.rule.is_none());
    }

    #[test]
    fn an_answer_is_expected_to_be_as_long_as_others_were_and_never_above_its_cap() {
        for (cap, seen, wanted) in [
            (None, None, (500, OutputFrom::Default)),
            (Some(10), None, (10, OutputFrom::Cap)),
            (Some(10), Some((80, 7)), (10, OutputFrom::Cap)),
            (Some(1_000), Some((80, 7)), (80, OutputFrom::Median { calls: 7 })),
            (None, Some((900, 3)), (900, OutputFrom::Median { calls: 3 })),
        ] {
            assert_eq!(expected_output(cap, seen), wanted, "{cap:?} {seen:?}");
        }
    }

    #[test]
    fn what_is_no_route_is_refused() {
        for wrong in [
            "",
            "[[rule]]\nmodels = []",
            "[[rule]]\nmodels = [\"route/other\"]",
            "[[rule]]\nmodel = [\"a\"]",
            "[[rule]]\nmodels = [\"a\"]\npick = \"best\"",
            "[[rule]]\nmodels = [\"a\"]\nprice_max = -1",
            "[[rule]]\nmodels = [\"a\"]\n[cascade]\nmodels = [\"a\"]\ncheck = { schema = true }",
            "[cascade]\nmodels = [\"a\", \"b\"]\ncheck = {}",
            "[cascade]\nmodels = [\"a\", \"b\"]",
            "difficulty = \"hard\"",
        ] {
            assert!(toml::from_str::<Route>(wrong).is_err(), "{wrong}");
        }
        assert_eq!((named("route/auto"), named("openai/gpt-4o"), named("route/")), (Some("auto"), None, None));
    }
}
