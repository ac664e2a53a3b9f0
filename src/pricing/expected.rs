//! Before the call: what it will probably cost, for comparing models with one another. Never what is reserved.

use super::Prices;
use super::bill::Called;
use super::moment::Moment;
use super::price::Context;
use crate::domain::bill::{Basis, Outcome};
use crate::domain::model::ModelName;
use crate::domain::route::Expected;
use crate::domain::usage::{Meter, Usage};

impl Prices {
    /// What so many tokens are billed at: the bill of a usage that has not happened, so that tiers, windows, modes and
    /// regions count as they will. Nothing is taken to come from a cache.
    #[must_use]
    pub fn expected(
        &self,
        name: &ModelName,
        at: Moment,
        context: &Context,
        input_tokens: u64,
        output_tokens: u64,
    ) -> Expected {
        let mut usage = Usage::default();
        usage.set(Meter::Input, input_tokens);
        usage.set(Meter::Output, output_tokens);
        let called = Called {
            name,
            served: None,
            at,
            context,
            quote: None,
            request_bytes: None,
            answer_bytes: 0,
            simulated: false,
        };
        let bill = self.bill(&called, &Outcome::Reported(usage));
        match (bill.basis, bill.total) {
            (Basis::Free, _) => Expected::Free,
            (_, Some(total)) => Expected::Usd(total),
            (_, None) => Expected::Unpriced(bill.notes.last().cloned().unwrap_or_default()),
        }
    }

    /// Tokens of a model's context window, where the table knows it.
    #[must_use]
    pub fn context_window(&self, name: &ModelName) -> Option<u64> {
        self.find(name).ok()?.entry.context
    }
}

#[cfg(test)]
mod tests {
    use super::{Context, Expected, Moment, Prices};
    use crate::domain::model::ModelName;
    use crate::domain::money::Usd;

    const TABLE: &str = "[model.\"a/one\"]\nprice = { input = 1, output = 10 }\ncontext = 8192\n\
        [model.\"a/five\"]\nprice = { input = 5, output = 5 }\n\
        [model.\"a/long\"]\nprice = { input = 1, output = 2, tier = [{ above = 1000, input = 4, output = 8 }] }\n\
        [model.\"a/mode\"]\nprice = { input = 2, output = 2 }\n[model.\"a/mode\".mode]\nflex = 0.5\n\
        [model.\"a/free\"]\nfree = true\n";

    fn expected(model: &str, context: &[(&str, &str)], input: u64, output: u64) -> Expected {
        let name = ModelName { provider: "a".into(), region: None, model: model.into() };
        let context: Context = context.iter().map(|(name, word)| ((*name).to_owned(), (*word).to_owned())).collect();
        Prices::of(TABLE, None).expected(&name, Moment::from_ms(0), &context, input, output)
    }

    #[test]
    fn an_expected_amount_is_the_bill_of_its_tokens() {
        for (model, context, input, output, usd) in [
            // 10,000 × 1 + 10 × 10 against 10,000 × 5 + 10 × 5, in millionths; the sums of the rates say the opposite.
            ("one", &[][..], 10_000, 10, "0.0101"),
            ("five", &[], 10_000, 10, "0.05005"),
            ("one", &[], 10, 10_000, "0.10001"),
            ("five", &[], 10, 10_000, "0.05005"),
            // Up to 1,000 tokens of prompt × 1 + 10 × 2; above, all of them × 4 + 10 × 8.
            ("long", &[], 1_000, 10, "0.00102"),
            ("long", &[], 1_001, 10, "0.004084"),
            ("mode", &[("service_tier", "flex")], 1_000, 1_000, "0.002"),
        ] {
            let wanted = Expected::Usd(Usd::parse(usd).expect("an amount"));
            assert_eq!(expected(model, context, input, output), wanted, "{model} {input} {output}");
        }
        assert_eq!(expected("free", &[], 10, 10), Expected::Free);
        assert!(matches!(expected("none", &[], 10, 10), Expected::Unpriced(why) if why.contains("no price is known")));
    }

    #[test]
    fn a_context_window_is_known_where_the_table_says_it() {
        let window = |model: &str| {
            let name = ModelName { provider: "a".into(), region: None, model: model.into() };
            Prices::of(TABLE, None).context_window(&name)
        };
        assert_eq!((window("one"), window("five"), window("none")), (Some(8192), None, None));
    }
}
