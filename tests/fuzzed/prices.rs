//! A user's price table: read strictly, read alike wherever it stands, and no bill above the quote.

use llmx::domain::bill::Outcome;
use llmx::domain::model::ModelName;
use llmx::domain::usage::{Meter, Usage};
use llmx::pricing::table::Table;
use llmx::pricing::{Ask, Called, Context, Moment, Prices};

use super::usage::assert_sum;

/// 2026-11-22 00:00 UTC.
const NOW: Moment = Moment { ms: 1_795_305_600_000 };

pub fn table(bytes: &[u8]) {
    let text = super::text(bytes);
    let prices = match Prices::with("own.toml", text.clone()) {
        Ok(prices) => prices,
        Err(error) => {
            assert!(error.to_string().starts_with("own.toml:"), "{error}");
            return;
        }
    };
    // A comment and an empty line before it change nothing but its lines.
    let lower = Prices::with("own.toml", format!("# prices\n\n{text}")).expect("what is read is read lower down");
    let (Some(own), Some(own_lower)) = (prices.tables().next(), lower.tables().next()) else { return };
    let models: Vec<&str> = own.models().collect();
    assert_eq!(models, own_lower.models().collect::<Vec<_>>());
    assert_eq!(own.version(), own_lower.version());
    let told = |prices: &Prices, table: &Table| prices.check(table, NOW).len();
    assert_eq!(told(&prices, own), told(&lower, own_lower));
    for key in models.into_iter().take(20) {
        let Some((provider, model)) = key.split_once('/') else { continue };
        let name = ModelName { provider: provider.into(), region: None, model: model.into() };
        assert!(own.model(key).is_ok_and(|entry| entry.is_some()), "{key}: a table that is read has all its entries");
        bill(&prices, &lower, &name);
    }
}

/// Panics where a call costs more than was said before it, or something else by the same table lower down.
fn bill(prices: &Prices, lower: &Prices, name: &ModelName) {
    let ask = Ask { request_bytes: 250_000, messages: 3, output_max: Some(4_000), answers: 1, ..Ask::default() };
    let context = Context::new();
    let quote = prices.quote(name, NOW, &context, &ask);
    assert_eq!(quote.ceiling, lower.quote(name, NOW, &context, &ask).ceiling);
    assert!(quote.ceiling.is_none_or(|ceiling| ceiling.picos >= 0), "{quote:?}");
    for (input, output) in [(0, 0), (1, 1), (128_000, 4_000), (200_001, 7), (quote.input_bound, 4_000)] {
        let mut usage = Usage::default();
        usage.set(Meter::Input, input);
        usage.set(Meter::Output, output);
        let called = Called {
            name,
            served: None,
            at: NOW,
            context: &context,
            quote: Some(&quote),
            request_bytes: Some(ask.request_bytes),
            answer_bytes: output,
            simulated: false,
        };
        let outcome = Outcome::Reported(usage);
        let bill = prices.bill(&called, &outcome);
        assert_sum(&bill);
        let again = lower.bill(&called, &outcome);
        assert_eq!((again.basis, again.total, again.lines), (bill.basis, bill.total, bill.lines.clone()));
        if let (Some(ceiling), Some(total)) = (quote.ceiling, bill.total) {
            assert!(total <= ceiling, "{name}: {total} is above the ceiling {ceiling}: {bill:?}");
        }
    }
}
