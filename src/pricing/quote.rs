//! Before the call: the most that it can cost, or why nobody can say.

use super::Prices;
use super::decimal::Decimal;
use super::entry::{Rates, TOKENS};
use super::moment::Moment;
use super::price::{Context, Price, Priced};
use crate::domain::bill::Quote;
use crate::domain::chat::CacheLifetime;
use crate::domain::model::ModelName;
use crate::domain::money::Usd;
use crate::domain::usage::Meter;

/// Tokens that a provider may add around a request, around each message, and for tools (its own instructions, and around
/// each tool). Anthropic's instructions for tools are the largest that is documented, 313 to 346 tokens
/// (platform.claude.com/docs/en/agents-and-tools/tool-use/overview, read 2026-11-22); the bound takes three times that.
const AROUND_REQUEST: u64 = 64;
const AROUND_MESSAGE: u64 = 16;
const AROUND_TOOLS: u64 = 1024;
const AROUND_TOOL: u64 = 64;
/// Around each attachment, beside what it is itself.
const AROUND_ATTACHMENT: u64 = 16;
/// Bytes of text that one token holds, for estimates alone.
pub(super) const BYTES_PER_TOKEN: u64 = 4;

/// What a request can consume, as far as it is known before it is sent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ask {
    /// UTF-8 bytes of the rendered request. A byte-level token is at least one byte.
    pub request_bytes: u64,
    pub messages: u64,
    pub tools: u64,
    /// The cap that is sent; `None`: none, and the model's own is taken where the table knows it.
    pub output_max: Option<u64>,
    /// Answers asked for; 0 counts as 1.
    pub answers: u64,
    /// A cache write is asked for.
    pub cache: Option<CacheLifetime>,
    /// Thinking may come beside the capped output, up to the cap again.
    pub thinking_apart: bool,
    /// Attachments, and the most tokens that they can be together; `None`: not known.
    pub attachments: u64,
    pub attachment_tokens: Option<u64>,
    /// Of the request's bytes, those that are attachments and bounded by their tokens.
    pub attached_bytes: u64,
    /// Why neither bytes nor cap bound the request, where something in it says so.
    pub unbounded: Vec<String>,
}

impl Ask {
    /// Bytes from which the prompt is estimated: those of its text, and what as many tokens of text would have as the
    /// attachments can be.
    #[must_use]
    pub fn prompt_bytes(&self) -> u64 {
        let attached = self.attachment_tokens.unwrap_or(0).saturating_mul(BYTES_PER_TOKEN);
        self.text_bytes().saturating_add(attached)
    }

    fn text_bytes(&self) -> u64 {
        self.request_bytes.saturating_sub(self.attached_bytes)
    }

    /// The most tokens of what is attached.
    fn attached(&self) -> u64 {
        let around = self.attachments.saturating_mul(AROUND_ATTACHMENT);
        self.attachment_tokens.map_or(0, |tokens| tokens.saturating_add(around))
    }

    /// The most prompt tokens.
    fn input(&self) -> u64 {
        let tools =
            if self.tools > 0 { AROUND_TOOLS.saturating_add(self.tools.saturating_mul(AROUND_TOOL)) } else { 0 };
        [self.text_bytes(), AROUND_REQUEST, self.messages.saturating_mul(AROUND_MESSAGE), tools, self.attached()]
            .into_iter()
            .fold(0, u64::saturating_add)
    }
}

impl Prices {
    /// The ceiling of a request: it holds whatever the provider does with it, or there is none and `reasons` says why.
    #[must_use]
    pub fn quote(&self, name: &ModelName, at: Moment, context: &Context, ask: &Ask) -> Quote {
        let mut quote = Quote { input_bound: ask.input(), ..Quote::default() };
        let price = match self.price(name, at, context) {
            Priced::Sheet(price) => price,
            Priced::Free(_) => {
                (quote.ceiling, quote.priced) = (Some(Usd::default()), true);
                return quote;
            }
            Priced::Unpriced(reason) => {
                quote.reasons.push(reason);
                return quote;
            }
        };
        quote.priced = true;
        let times = ask.answers.max(1).saturating_mul(if ask.thinking_apart { 2 } else { 1 });
        quote.output_cap = ask.output_max.or(price.max_output);
        quote.output_bound = quote.output_cap.map(|cap| cap.saturating_mul(times));
        quote.reasons = unboundable(&price, ask);
        match dearest(&price, ask, quote.input_bound) {
            Err(reason) => quote.reasons.push(reason),
            Ok((input, output)) => {
                quote.output_token = output.at_least(times, 6);
                if quote.reasons.is_empty() {
                    let amounts = quote
                        .output_bound
                        .and_then(|bound| Some((input.amount(quote.input_bound, 6)?, output.amount(bound, 6)?)));
                    quote.ceiling = amounts.and_then(|(one, two)| one.checked_add(two));
                    quote.reasons = match (amounts, quote.ceiling) {
                        (Some(amounts), Some(_)) => parts(&quote, ask, &price, (input, output), amounts),
                        (_, _) => vec!["the most that it can cost is too large to be counted".into()],
                    };
                }
            }
        }
        quote
    }
}

/// The two parts of a ceiling in words.
fn parts(quote: &Quote, ask: &Ask, price: &Price, rates: (Decimal, Decimal), amounts: (Usd, Usd)) -> Vec<String> {
    let (bytes, attached) = (ask.text_bytes(), ask.attached());
    let around = quote.input_bound.saturating_sub(bytes).saturating_sub(attached);
    let attachments = match ask.attachments {
        0 => String::new(),
        1 => format!(", {attached} for what is attached"),
        many => format!(", {attached} for {many} attachments"),
    };
    let source = &price.source;
    let checked = source.checked.as_deref().map_or_else(String::new, |day| format!(", checked {day}"));
    vec![
        format!(
            "the prompt is at most {} tokens ({bytes} bytes{attachments} and {around} around them) at ${} / 1,000,000: ${}",
            quote.input_bound, rates.0, amounts.0
        ),
        format!(
            "the answer is at most {} tokens at ${} / 1,000,000: ${}",
            quote.output_bound.unwrap_or_default(),
            rates.1,
            amounts.1
        ),
        format!("the dearest rates that it can reach in {} of {}{checked}", source.entry, source.table),
    ]
}

/// Whether a meter counts tokens; the others count uses.
#[must_use]
pub(super) fn counts_tokens(meter: Meter) -> bool {
    TOKENS.contains(&meter)
}

fn unboundable(price: &Price, ask: &Ask) -> Vec<String> {
    let mut reasons: Vec<String> = price.unbounded.iter().cloned().collect();
    let apart = [Meter::ReasoningOut, Meter::Citation].into_iter().find(|meter| price.rates.contains_key(meter));
    if let Some(meter) = apart {
        reasons.push(format!("{} tokens stand outside the output cap", meter.key()));
    }
    if price.fees.keys().any(|fee| fee.starts_with("web_search:")) {
        reasons.push("its searches are counted only afterwards".into());
    }
    reasons.extend(ask.unbounded.iter().cloned());
    if ask.attachments > 0 && ask.attachment_tokens.is_none() {
        reasons.push("limits.attachment_tokens does not say how many tokens an attachment can be".into());
    }
    if ask.output_max.or(price.max_output).is_none() {
        reasons.push("no output cap is sent, and the model's own is not known: give --max-tokens".into());
    }
    reasons
}

/// The dearest input and output rate that the request can reach, over every tier that its bytes can reach.
fn dearest(price: &Price, ask: &Ask, input_bound: u64) -> Result<(Decimal, Decimal), String> {
    let tiers = price.tiers.iter().map(|tier| tier.from.least()).filter(|least| *least <= input_bound);
    let sheets: Vec<Rates> = std::iter::once(0).chain(tiers).map(|total| price.tier(total)).collect();
    let (mut input, mut output) = (Decimal::ZERO, Decimal::ZERO);
    for rates in &sheets {
        for meter in inputs(rates, ask) {
            input = input.max(price.rate(rates, meter)?.usd);
        }
        for meter in [Meter::Output, Meter::ReasoningOut, Meter::AudioOut, Meter::ImageOut] {
            if meter == Meter::Output || rates.contains_key(&meter) {
                output = output.max(price.rate(rates, meter)?.usd);
            }
        }
    }
    Ok((input, output))
}

/// The meters that the prompt can fall into. A write rate that the sheet itself names may be charged unasked (OpenAI
/// from GPT-5.6 on); one by ratio is charged only where a write is asked for (Anthropic).
fn inputs(rates: &Rates, ask: &Ask) -> Vec<Meter> {
    let mut meters = vec![Meter::Input];
    if ask.cache.is_some() || rates.contains_key(&Meter::CacheWrite5m) {
        meters.push(Meter::CacheWrite5m);
    }
    if ask.cache == Some(CacheLifetime::OneHour) {
        meters.push(Meter::CacheWrite1h);
    }
    if ask.attachments > 0 {
        meters.extend([Meter::AudioIn, Meter::ImageIn]);
    }
    meters
}
