//! `--estimate`: what every model would consume and cost; nothing is sent.

use serde_json::Value;

use crate::call::{Plan, Target, plan};
use crate::domain::bill::{Outcome, Quote};
use crate::domain::chat::{ChatRequest, Part};
use crate::domain::comparison::estimate::{CallEstimate, Estimate, LaneEstimate};
use crate::domain::failure::Failure;
use crate::domain::money::Usd;
use crate::domain::usage::{Meter, Usage};
use crate::pricing::{Called, Moment, Prices};

/// Bytes of text that a token is taken to hold.
const BYTES_PER_TOKEN: u64 = 4;

/// Tokens of an answer where no cap is asked for.
const ANSWER_TOKENS: u64 = 500;

/// What the models, each with its name on the screen, would be asked. `now_ms`: UTC milliseconds since 1970.
#[must_use]
pub fn estimate(
    targets: &[(String, Target<'_>)],
    requests: &[&ChatRequest],
    runs: usize,
    prices: &Prices,
    now_ms: i64,
) -> Estimate {
    let lanes = targets.iter().map(|(label, target)| LaneEstimate {
        label: label.clone(),
        calls: requests.iter().map(|request| call(target, request, prices, now_ms)).collect(),
    });
    Estimate { lanes: lanes.collect(), prompts: requests.len(), runs }
}

fn call(target: &Target<'_>, request: &ChatRequest, prices: &Prices, now_ms: i64) -> Result<CallEstimate, Failure> {
    let plan = plan(target, request, prices, now_ms)?;
    let Quote { ceiling, input_bound, output_bound, ref reasons, .. } = plan.quote;
    let asked = plan.draft.output_max.or(request.settings.max_tokens.map(u64::from)).unwrap_or(ANSWER_TOKENS);
    let output_tokens = output_bound.map_or(asked, |bound| bound.min(asked));
    let input_tokens = text_bytes(request).div_ceil(BYTES_PER_TOKEN);
    let mut reasons = reasons.clone();
    let expected = match &plan.draft.simulated {
        Some(quote) => quote.ceiling,
        None => match likely(prices, target, &plan, now_ms, [input_tokens, output_tokens]) {
            Ok(amount) => Some(amount),
            Err(why) => {
                reasons.extend(why.filter(|why| !plan.quote.reasons.contains(why)));
                None
            }
        },
    };
    Ok(CallEstimate {
        input_tokens,
        input_bound,
        output_tokens,
        output_bound,
        expected,
        ceiling,
        window: prices.context_window(&plan.place),
        reasons,
    })
}

/// Bytes of all text that the model reads, tools and schema among them.
fn text_bytes(request: &ChatRequest) -> u64 {
    let said = request.messages.iter().flat_map(|message| &message.parts).map(Part::text_bytes).sum::<u64>();
    let tools = request.tools.iter().map(|tool| {
        let described = tool.description.as_deref().map_or(0, str::len);
        tool.name.len() + described + json_bytes(&tool.parameters)
    });
    let schema = request.settings.schema.as_ref().map_or(0, |schema| json_bytes(&schema.schema));
    let rest = request.system.as_deref().map_or(0, str::len) + tools.sum::<usize>() + schema;
    said.saturating_add(rest as u64)
}

fn json_bytes(value: &Value) -> usize {
    value.to_string().len()
}

/// The bill of a usage that has not happened, so that tiers, modes and regions count as they will. The error is why there
/// is no amount.
fn likely(
    prices: &Prices,
    target: &Target<'_>,
    plan: &Plan,
    now_ms: i64,
    [input, output]: [u64; 2],
) -> Result<Usd, Option<String>> {
    let mut usage = Usage::default();
    usage.set(Meter::Input, input);
    usage.set(Meter::Output, output);
    let called = Called {
        name: &plan.place,
        served: Some(&target.name.model),
        at: Moment::from_ms(now_ms),
        context: &plan.context,
        quote: Some(&plan.quote),
        request_bytes: Some(plan.request_bytes),
        answer_bytes: 0,
        simulated: false,
    };
    let mut bill = prices.bill(&called, &Outcome::Reported(usage));
    bill.total.ok_or_else(|| bill.notes.pop())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::estimate;
    use crate::call::Target;
    use crate::domain::chat::{ChatRequest, Message, Part, Role, Settings};
    use crate::domain::model::{ModelFacts, ModelName};
    use crate::domain::money::Usd;
    use crate::pricing::Prices;
    use crate::provider::catalog::Catalog;
    use crate::provider::net::Net;
    use crate::provider::{Choice, Provider};

    const TABLE: &str = "[model.\"openai/own\"]\nprice = { input = 1, output = 10 }\ncontext = 1000\n";

    /// A provider that listens nowhere: a request would fail.
    fn provider(name: &ModelName) -> Provider {
        let catalog = Catalog::with(&toml::Table::new()).expect("the catalog");
        let row = catalog.row(&name.provider).expect("its row");
        let choice = Choice { base_url: Some("http://127.0.0.1:9".into()), ..Choice::default() };
        let net = Arc::new(Net::default());
        Provider::open(&row, name, ModelFacts::default(), None, &choice, &net, &|_| None).expect("opens")
    }

    #[test]
    fn tokens_and_amounts_are_worked_out_for_every_model_and_prompt_and_nothing_is_sent() {
        let prices = Prices::with("own.toml", TABLE.to_owned()).expect("reads");
        let names = ["own", "nobody-knows-it"].map(|model| ModelName {
            provider: "openai".into(),
            region: None,
            model: model.into(),
        });
        let providers = names.each_ref().map(provider);
        let targets: Vec<_> = names
            .iter()
            .zip(&providers)
            .map(|(name, provider)| (name.to_string(), Target { name, provider }))
            .collect();
        let asking = |text: String, max_tokens| ChatRequest {
            messages: vec![Message { role: Role::User, parts: vec![Part::Text(text)] }],
            settings: Settings { max_tokens, ..Settings::default() },
            ..ChatRequest::default()
        };
        let (short, long) = (asking("x".repeat(400), Some(200)), asking("x".repeat(4_001), None));
        let estimate = estimate(&targets, &[&short, &long], 1, &prices, 1_795_000_000_000);
        let [known, unknown] = &estimate.lanes[..] else { panic!("two lanes") };
        let first = known.calls[0].as_ref().expect("it can be asked");
        // 100 tokens × $1 + 200 × $10, per million.
        assert_eq!((first.input_tokens, first.output_tokens, first.expected), (100, 200, Usd::parse("0.0021")));
        assert!(first.input_bound >= 400 && first.output_bound == Some(200) && first.ceiling > first.expected);
        assert_eq!(first.fits(), Some(true));
        let second = known.calls[1].as_ref().expect("it can be asked");
        assert_eq!((second.input_tokens, second.output_tokens, second.fits()), (1_001, 500, Some(false)));
        assert_eq!((second.output_bound, second.ceiling), (None, None));
        assert!(second.reasons.iter().any(|reason| reason.contains("--max-tokens")), "{:?}", second.reasons);
        let unpriced = unknown.calls[0].as_ref().expect("it can be asked");
        assert_eq!((unpriced.expected, unpriced.ceiling, unpriced.fits()), (None, None, None));
        assert!(!unpriced.reasons.is_empty());
    }
}
