//! `sim/…`: a provider inside llmx that sends nothing, for trying things out, for tests of scripts, for demonstrations.
//!
//! `sim/echo`, `sim/lorem?tokens=200&tps=80&ttft=300`, `sim/error?class=rate-limit&after=5`. The same request gives the
//! same answer. Options: `tokens` (length of lorem), `tps` (tokens a second; unset: at once), `ttft` (milliseconds to
//! the first token), `reasoning` (tokens of thinking), `class` and `after` (the error, and after how many tokens), `times`
//! (how often it fails, before it answers like lorem; unset: always), `retry_after` (milliseconds that the error asks to
//! wait), `usd_in`, `usd_out` (prices per million tokens, booked as simulated).

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use serde_json::json;
use tokio::time::{Instant, sleep_until};

use super::Draft;
use super::departure::Departure;
use crate::domain::bill::Quote;
use crate::domain::chat::{ChatEvent, ChatRequest, Finish, FinishReason, Part, Role};
use crate::domain::failure::{ErrorClass, Failure, Replace};
use crate::domain::money::Usd;
use crate::domain::usage::{Charge, Meter, Usage};
use crate::wire::contract::Dialect;

/// One simulated model.
#[derive(Debug)]
pub struct Sim {
    model: String,
    kind: Kind,
    tokens: u32,
    tokens_per_second: u32,
    first_token_ms: u32,
    reasoning: u32,
    class: Option<ErrorClass>,
    after: u32,
    /// How often it still fails.
    failures_left: AtomicU32,
    retry_after_ms: Option<u64>,
    usd_in: Option<Usd>,
    usd_out: Option<Usd>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Says the user's last message again.
    Echo,
    Lorem,
    Error,
}

const OPTIONS: &str = "tokens, tps, ttft, reasoning, class, after, times, retry_after, usd_in, usd_out";

impl Sim {
    /// Reads the model's name with its options.
    ///
    /// # Errors
    /// `not-found` for another name, `config` for an option that is none.
    pub fn open(model: &str) -> Result<Sim, Failure> {
        let (name, options) = model.split_once('?').unwrap_or((model, ""));
        let kind = match name {
            "echo" => Kind::Echo,
            "lorem" => Kind::Lorem,
            "error" => Kind::Error,
            _ => {
                return Err(Failure::new(ErrorClass::NotFound, format!("the simulator has no model \"{name}\""))
                    .advise("use sim/echo, sim/lorem?tokens=200&tps=80 or sim/error?class=rate-limit"));
            }
        };
        let mut sim = Sim {
            model: model.to_owned(),
            kind,
            tokens: 100,
            tokens_per_second: 0,
            first_token_ms: 0,
            reasoning: 0,
            class: (kind == Kind::Error).then_some(ErrorClass::Overloaded),
            after: 0,
            failures_left: AtomicU32::new(u32::MAX),
            retry_after_ms: None,
            usd_in: None,
            usd_out: None,
        };
        for option in options.split('&').filter(|option| !option.is_empty()) {
            let (key, value) = option.split_once('=').unwrap_or((option, ""));
            sim.option(key, value).ok_or_else(|| {
                Failure::new(ErrorClass::Config, format!("the simulator does not understand \"{option}\""))
                    .advise(format!("its options are {OPTIONS}"))
            })?;
        }
        Ok(sim)
    }

    fn option(&mut self, key: &str, value: &str) -> Option<()> {
        match key {
            "tokens" => self.tokens = value.parse().ok().filter(|tokens| *tokens <= 1_000_000)?,
            "tps" => self.tokens_per_second = value.parse().ok()?,
            "ttft" => self.first_token_ms = value.parse().ok()?,
            "reasoning" => self.reasoning = value.parse().ok().filter(|tokens| *tokens <= 1_000_000)?,
            "after" => self.after = value.parse().ok()?,
            "times" => self.failures_left = AtomicU32::new(value.parse().ok()?),
            "retry_after" => self.retry_after_ms = Some(value.parse().ok()?),
            "class" => self.class = Some(*ErrorClass::ALL.iter().find(|class| class.as_str() == value)?),
            "usd_in" => self.usd_in = Some(price(value)?),
            "usd_out" => self.usd_out = Some(price(value)?),
            _ => return None,
        }
        Some(())
    }

    #[must_use]
    pub fn draft(&self, request: &ChatRequest) -> Draft {
        Draft {
            url: format!("sim/{} (a simulator: nothing is sent)", self.model),
            dialect: Dialect::Chat,
            headers: Vec::new(),
            body: json!({"prompt": prompt(request)}),
            ignored: Vec::new(),
            region: None,
            output_max: request.settings.max_tokens.map(u64::from),
            thinking_apart: false,
            attachment_tokens: None,
            simulated: Some(self.quote(request)),
        }
    }

    /// The most that the answer can be said to cost: nothing, unless it was given prices.
    fn quote(&self, request: &ChatRequest) -> Quote {
        let (input, pieces) = (words_of(request), self.pieces(request).len() as u64);
        let output = request.settings.max_tokens.map_or(pieces, u64::from);
        let picos = |tokens| self.usage(tokens, 0).charge.map_or(0, |charge| charge.usd.picos);
        let token = self.usage(0, 1).charge.map_or(0, |charge| charge.usd.picos);
        let ceiling = picos(input).saturating_add(token.saturating_mul(i64::try_from(output).unwrap_or(i64::MAX)));
        Quote {
            ceiling: Some(Usd::from_picos(ceiling)),
            input_bound: input,
            output_bound: Some(output),
            output_cap: Some(output),
            output_token: Some(Usd::from_picos(token)),
            priced: true,
            reasons: Vec::new(),
        }
    }

    /// Everything that would be said without a cap.
    fn pieces(&self, request: &ChatRequest) -> Vec<ChatEvent> {
        let mut pieces: Vec<ChatEvent> = words(self.reasoning).map(ChatEvent::Reasoning).collect();
        match self.kind {
            Kind::Echo => pieces.extend(
                prompt(request).split_inclusive(char::is_whitespace).map(|word| ChatEvent::Text(word.to_owned())),
            ),
            Kind::Lorem | Kind::Error => pieces.extend(words(self.tokens).map(ChatEvent::Text)),
        }
        pieces
    }

    /// Begins the answer, after the time to the first token.
    ///
    /// # Errors
    /// The error that was asked for, where it comes before any token.
    pub async fn send(&self, request: &ChatRequest, departure: &Departure) -> Result<Arriving, Failure> {
        let first = Instant::now() + Duration::from_millis(u64::from(self.first_token_ms));
        departure.set_gone();
        let failure = self.fails().map(|class| simulated(class, self.retry_after_ms));
        let failure = match failure {
            Some(failure) if self.after == 0 => {
                sleep_until(first).await;
                return Err(failure);
            }
            later => later.map(|failure| failure.maybe_billed().replaces(Replace::Never)),
        };
        let mut pieces = self.pieces(request);
        let cap = request.settings.max_tokens.map(|cap| usize::try_from(cap).unwrap_or(usize::MAX));
        let clipped = cap.is_some_and(|cap| cap < pieces.len());
        pieces.truncate(cap.unwrap_or(usize::MAX));
        let usage = self.usage(words_of(request), pieces.len() as u64);
        let (model, tokens_per_second) = (self.model.clone(), self.tokens_per_second);
        let failure = failure.map(|failure| (self.after as usize, failure));
        Ok(Arriving { model, tokens_per_second, usage, clipped, failure, pieces, next: 0, first, ended: false })
    }

    /// The error of this call, where it is still to fail.
    fn fails(&self) -> Option<ErrorClass> {
        let class = self.class?;
        let left = |left: u32| if left == u32::MAX { Some(left) } else { left.checked_sub(1) };
        self.failures_left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, left).ok().map(|_| class)
    }

    fn usage(&self, input: u64, output: u64) -> Usage {
        let thought = u64::from(self.reasoning).min(output);
        let mut usage = Usage {
            raw: json!({"input_tokens": input, "output_tokens": output, "simulated": true}),
            reasoning: (self.reasoning > 0).then_some(thought),
            ..Usage::default()
        };
        usage.set(Meter::Input, input);
        usage.set(Meter::Output, output);
        if self.usd_in.is_some() || self.usd_out.is_some() {
            // USD per million tokens: a millionth of it is the price of one, and picodollars divide by a million exactly
            // for prices with at most six decimals.
            let part = |rate: Option<Usd>, tokens: u64| {
                let picos = i128::from(rate.unwrap_or_default().picos) * i128::from(tokens) / 1_000_000;
                i64::try_from(picos).unwrap_or(i64::MAX)
            };
            let picos = part(self.usd_in, input).saturating_add(part(self.usd_out, output));
            usage.charge = Some(Charge { usd: Usd::from_picos(picos), upstream: None });
        }
        usage
    }
}

fn price(text: &str) -> Option<Usd> {
    Usd::parse(text).filter(|usd| (0..=10_000_000_000_000_000).contains(&usd.picos))
}

fn simulated(class: ErrorClass, retry_after_ms: Option<u64>) -> Failure {
    let mut failure = Failure::new(class, format!("a simulated {class} error"))
        .advise("this is the simulator: take the error out of the model's name, or use a real model");
    failure.provider_message = Some("simulated".into());
    failure.retry_after_ms = retry_after_ms;
    failure
}

/// The user's last words.
fn prompt(request: &ChatRequest) -> String {
    let last = request.messages.iter().rev().find(|message| message.role == Role::User);
    let texts = last.into_iter().flat_map(|message| &message.parts).filter_map(|part| match part {
        Part::Text(text) => Some(text.as_str()),
        _ => None,
    });
    texts.collect::<Vec<_>>().join("\n")
}

/// What the simulator counts as the tokens of a prompt.
fn words_of(request: &ChatRequest) -> u64 {
    let words: usize = request.system.iter().map(|system| count(system)).sum::<usize>()
        + request.messages.iter().flat_map(|message| &message.parts).map(size).sum::<usize>();
    words as u64
}

fn count(text: &str) -> usize {
    text.split_whitespace().count()
}

/// Words of a text; an attachment counts as one.
fn size(part: &Part) -> usize {
    match part {
        Part::Text(text) => count(text),
        Part::Reasoning(block) => count(&block.text),
        Part::ToolResult(result) => count(&result.content),
        Part::ToolCall(_) | Part::Image(_) | Part::Document(_) | Part::Audio(_) => 1,
    }
}

/// The first words of a text that never ends.
fn words(number: u32) -> impl Iterator<Item = String> {
    const LOREM: &str = "Lorem ipsum dolor sit amet, consectetur adipiscing elit, sed do eiusmod tempor incididunt ut \
        labore et dolore magna aliqua. Ut enim ad minim veniam, quis nostrud exercitation ullamco laboris nisi ut aliquip \
        ex ea commodo consequat. Duis aute irure dolor in reprehenderit in voluptate velit esse cillum dolore eu fugiat \
        nulla pariatur. Excepteur sint occaecat cupidatat non proident, sunt in culpa qui officia deserunt mollit anim id \
        est laborum.";
    let total = number as usize;
    LOREM
        .split_whitespace()
        .cycle()
        .take(total)
        .enumerate()
        .map(move |(at, word)| if at + 1 == total { word.to_owned() } else { format!("{word} ") })
}

/// A simulated answer on its way.
pub struct Arriving {
    model: String,
    tokens_per_second: u32,
    usage: Usage,
    clipped: bool,
    /// After how many tokens it fails, and how.
    failure: Option<(usize, Failure)>,
    pieces: Vec<ChatEvent>,
    next: usize,
    first: Instant,
    ended: bool,
}

impl Arriving {
    /// See [`super::Arriving::next`].
    ///
    /// # Errors
    /// The error that was asked for.
    pub async fn next(&mut self, out: &mut Vec<ChatEvent>) -> Result<bool, Failure> {
        if self.ended {
            return Ok(false);
        }
        if self.next == 0 {
            let model = Some(self.model.clone());
            out.push(ChatEvent::Started { id: None, model });
        }
        sleep_until(self.due(self.next)).await;
        let now = Instant::now();
        loop {
            if let Some((_, failure)) = self.failure.take_if(|(after, _)| self.next >= *after) {
                self.ended = true;
                return Err(failure);
            }
            let Some(piece) = self.pieces.get(self.next) else { break };
            if self.due(self.next) > now {
                return Ok(true);
            }
            out.push(piece.clone());
            self.next += 1;
        }
        self.ended = true;
        let (reason, raw) = if self.clipped { (FinishReason::Length, "length") } else { (FinishReason::Stop, "stop") };
        out.push(ChatEvent::Usage(std::mem::take(&mut self.usage)));
        out.push(ChatEvent::Finished(Finish { reason, raw: raw.into(), detail: None }));
        Ok(true)
    }

    /// When a piece is due.
    fn due(&self, piece: usize) -> Instant {
        let wait = (piece as u64 * 1_000_000).checked_div(u64::from(self.tokens_per_second));
        self.first + Duration::from_micros(wait.unwrap_or(0))
    }
}

#[cfg(test)]
mod tests {
    use super::{Departure, Kind, Sim};
    use crate::domain::chat::{ChatEvent, ChatRequest};
    use crate::domain::failure::{ErrorClass, Repeat, Replace};
    use crate::domain::money::Usd;

    #[test]
    fn a_simulated_model_is_named_with_its_options() {
        let sim = Sim::open("lorem?tokens=200&tps=80&ttft=300&usd_in=3&usd_out=15").expect("known");
        assert_eq!((sim.kind, sim.tokens, sim.tokens_per_second, sim.first_token_ms), (Kind::Lorem, 200, 80, 300));
        // 1,000 in at $3 and 10 out at $15 per million: 0.003 + 0.00015.
        assert_eq!(sim.usage(1000, 10).charge.map(|charge| charge.usd), Usd::parse("0.00315"));
        assert_eq!(Sim::open("echo").expect("known").usage(7, 7).charge, None);
    }

    #[tokio::test]
    async fn an_error_with_a_number_of_times_is_over_after_them() {
        let (request, departure) = (ChatRequest::default(), Departure::default());
        let sim = Sim::open("error?class=rate-limit&times=2&retry_after=50&tokens=3").expect("known");
        for _ in 0..2 {
            let failure = sim.send(&request, &departure).await.err().expect("fails");
            assert_eq!((failure.class, failure.retry_after_ms), (ErrorClass::RateLimit, Some(50)));
        }
        assert!(sim.send(&request, &departure).await.is_ok());
        let for_ever = Sim::open("error").expect("known");
        for _ in 0..5 {
            assert!(for_ever.send(&request, &departure).await.is_err());
        }
    }

    #[tokio::test]
    async fn an_error_after_some_tokens_is_the_end_of_the_call() {
        let sim = Sim::open("error?class=rate-limit&after=2&tokens=5").expect("known");
        let mut arriving = sim.send(&ChatRequest::default(), &Departure::default()).await.expect("begins");
        let mut events = Vec::new();
        let failure = arriving.next(&mut events).await.expect_err("fails");
        assert_eq!((failure.repeat, failure.replace, failure.may_be_billed), (Repeat::Never, Replace::Never, true));
        assert_eq!(events.iter().filter(|event| matches!(event, ChatEvent::Text(_))).count(), 2);
    }

    #[test]
    fn what_the_simulator_does_not_know_is_said() {
        assert_eq!(Sim::open("gpt-5").expect_err("no such model").class, ErrorClass::NotFound);
        for wrong in ["echo?speed=9", "lorem?tokens=many", "error?class=nothing", "echo?usd_in=-1"] {
            assert_eq!(Sim::open(wrong).expect_err(wrong).class, ErrorClass::Config);
        }
    }
}
