//! From a route's name to the models that a request goes to: what the tables, the books and the catalog know of each.

use std::collections::BTreeMap;

use crate::call::{ask, priced_as, requested_tier};
use crate::command::desk::Desk;
use crate::domain::budget::Standing;
use crate::domain::chat::ChatRequest;
use crate::domain::failure::{ErrorClass, Failure};
use crate::domain::model::ModelName;
use crate::domain::route::features::{Features, budget_left};
use crate::domain::route::{Candidate, Decision, Expected, decide, expected_output};
use crate::ledger::{Ledger, Seen};
use crate::pricing::{Context, Moment, Prices};
use crate::provider::catalog::Auth;
use crate::provider::{Choice, Draft, Provider};

/// Whether the last access test could use a model; `None`: it was not tested.
pub type Tested = dyn Fn(&ModelName) -> Option<bool>;

/// What is known beside the request itself.
#[derive(Clone, Copy)]
pub struct Known<'a> {
    pub prices: &'a Prices,
    pub ledger: &'a Ledger,
    /// The project that the call is booked for: answers are expected to be as long as its others were.
    pub project: Option<&'a str>,
    pub tags: &'a BTreeMap<String, String>,
    pub template: Option<&'a str>,
    /// The budgets that cover the call whatever its model is.
    pub standings: &'a [Standing],
    /// `None`: there was no access test.
    pub tested: Option<&'a Tested>,
    pub now_ms: i64,
}

/// Decides where a request goes. Nothing is sent, and no credential is needed.
///
/// `choice` is that of the call: base URL, API, region. The models of [`Decision::order`] are to be asked with it, too.
///
/// # Errors
/// `not-found` for a route or a model in it that nobody knows, `ledger` where the books cannot be read. That no model
/// qualifies is no error here: see [`first`].
pub fn choose(
    desk: &Desk,
    route: &str,
    request: &ChatRequest,
    choice: &Choice,
    known: &Known<'_>,
) -> Result<(Features, Decision), Failure> {
    let rules = desk.config.route.get(route).ok_or_else(|| unknown(desk, route))?;
    // A misspelt model is told at once, not on the day on which its rule first decides.
    let mut names = BTreeMap::new();
    for model in rules.models() {
        let meant = desk.config.alias.get(model).map_or(model, String::as_str);
        let name = desk.catalog.model(meant).map_err(|mut failure| {
            failure.message = format!("route/{route}: {}", failure.message);
            failure
        })?;
        names.insert(model, name);
    }
    let features = Features {
        template: known.template.map(str::to_owned),
        tags: known.tags.clone(),
        now_ms: known.now_ms,
        budget_left: budget_left(known.standings),
        ..Features::of(request)
    };
    let mut unread = None;
    let decision = decide(rules, &features, &mut |model| {
        let name = names[model].clone();
        let seen = known.ledger.seen(&name.provider, &name.model, known.project).unwrap_or_else(|error| {
            unread = Some(Failure::from(error));
            Seen::default()
        });
        candidate(desk, name, request, choice, &features, seen, known)
    });
    unread.map_or(Ok((features, decision)), Err)
}

/// The model that is asked first.
///
/// # Errors
/// `not-found` where none qualifies, with the reasons.
pub fn first<'a>(route: &str, decision: &'a Decision) -> Result<&'a Candidate, Failure> {
    decision.order.first().ok_or_else(|| {
        let rules = decision.passed.iter().map(|(place, why)| format!("rule {}: {why}", place.number));
        let models = decision.rejected.iter().map(|one| format!("{}: {}", one.candidate.name, one.why));
        let reasons: Vec<String> = rules.chain(models).collect();
        Failure::new(ErrorClass::NotFound, format!("route/{route} leads to no model ({})", reasons.join("; ")))
            .advise("end the route with a rule that has no `when`; `llmx route explain` shows each step")
    })
}

fn unknown(desk: &Desk, route: &str) -> Failure {
    let names: Vec<String> = desk.config.route.keys().map(|name| format!("route/{name}")).collect();
    let failure = Failure::new(ErrorClass::NotFound, format!("no route is called \"{route}\""));
    match names.is_empty() {
        true => failure.advise("a route is written into config.toml as [[route.NAME.rule]]"),
        false => failure.advise(format!("there are {}", names.join(", "))),
    }
}

fn candidate(
    desk: &Desk,
    name: ModelName,
    request: &ChatRequest,
    choice: &Choice,
    features: &Features,
    seen: Seen,
    known: &Known<'_>,
) -> Candidate {
    let mut unusable = None;
    let opened = desk.provider(&name, &Choice { draft: false, ..choice.clone() }).or_else(|failure| {
        if failure.class == ErrorClass::Auth {
            unusable = Some(failure.message);
        }
        desk.provider(&name, &Choice { draft: true, ..choice.clone() })
    });
    if let Some(tested) = known.tested
        && tested(&name) == Some(false)
    {
        unusable = Some("the last access test could not use it".into());
    }
    let drafted = opened.and_then(|provider| provider.draft(request).map(|draft| (provider, draft)));
    let cap = drafted.as_ref().ok().and_then(|(_, draft)| draft.output_max).or(features.output_cap);
    let (output_tokens, output_from) = expected_output(cap, seen.output);
    let at = Moment::from_ms(known.now_ms);
    let (place, context) = placed(&name, drafted.as_ref().ok().map(|(_, draft)| draft));
    let expected = match &drafted {
        Ok((Provider::Sim(_), _)) => Expected::Free,
        _ => known.prices.expected(&place, at, &context, features.input_tokens, output_tokens),
    };
    let ceiling = drafted
        .as_ref()
        .ok()
        .and_then(|(_, draft)| known.prices.quote(&place, at, &context, &ask(request, draft)).ceiling);
    Candidate {
        expected: advised(desk, &name, expected),
        output_tokens,
        output_from,
        ceiling,
        context: known.prices.context_window(&place),
        latency_ms: seen.first_token_ms,
        unusable,
        refused: drafted.err().map(|failure| failure.message),
        name,
    }
}

/// The model where it runs, and what else decides its price.
fn placed(name: &ModelName, draft: Option<&Draft>) -> (ModelName, Context) {
    match draft {
        Some(draft) => priced_as(name, draft.region.as_deref(), requested_tier(draft).as_deref(), &draft.body),
        None => priced_as(name, None, None, &serde_json::Value::Null),
    }
}

/// A model that needs no key may run on the user's own machine: unknown is not free, but can be said to be.
fn advised(desk: &Desk, name: &ModelName, expected: Expected) -> Expected {
    let own = || desk.catalog.row(&name.provider).is_ok_and(|row| matches!(row.auth, Auth::Optional | Auth::None));
    match expected {
        Expected::Unpriced(reason) if own() => Expected::Unpriced(format!(
            "{reason}; if it runs on your own machine, write [model.\"{}/{}\"] and free = true into pricing.toml",
            name.provider, name.model
        )),
        other => other,
    }
}
