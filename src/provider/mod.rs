//! Who answers: credentials, addresses and sockets. Knows nothing of money.

pub mod access;
pub mod catalog;
mod certificate;
mod connect;
pub mod departure;
pub mod error;
pub mod google;
pub mod http;
pub mod key;
pub mod listing;
pub mod models;
pub mod net;
pub mod sim;
pub mod tokenizers;
mod trace;
mod wait;

#[cfg(feature = "bedrock")]
pub mod bedrock;

use std::sync::Arc;
use std::time::Duration;

use crate::domain::bill::Quote;
use crate::domain::chat::{ChatEvent, ChatRequest};
use crate::domain::failure::Failure;
use crate::domain::model::{ModelFacts, ModelName};
use crate::wire::contract::Dialect;
use catalog::{Row, Transport};
use departure::Departure;
use net::Net;

/// Reads an environment variable; blank counts as unset. Handed in, so that a test sets what it needs.
pub type Env<'a> = &'a (dyn Fn(&str) -> Option<String> + Send + Sync);

/// One model at one provider, ready to be asked. Opening it sends nothing.
#[derive(Debug)]
pub enum Provider {
    Http(Box<http::Http>),
    #[cfg(feature = "bedrock")]
    Bedrock(Box<bedrock::Bedrock>),
    Sim(sim::Sim),
}

/// What the caller chose, beside the model.
#[derive(Debug, Clone, Default)]
pub struct Choice {
    /// `--base-url`
    pub base_url: Option<String>,
    /// `--api`
    pub api: Option<Dialect>,
    /// `--region`, or the region in the model's name.
    pub region: Option<String>,
    /// `--profile`
    pub profile: Option<String>,
    /// `--no-stream`: ask for the whole answer at once.
    pub whole: bool,
    /// `--dry-run`: nothing will be sent, so that a credential that is not there is no error.
    pub draft: bool,
}

/// How long each step may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Name look-up and TCP.
    pub connect: Duration,
    /// The TLS handshake.
    pub tls: Duration,
    /// The whole response head of a streamed answer.
    pub head: Duration,
    /// The whole response head of an answer that is asked for at once: it comes when the model has finished.
    pub whole: Duration,
    /// No byte at all in the body.
    pub idle: Duration,
    /// Bytes, but nothing that means anything.
    pub content: Duration,
    /// From the request to the first text, thinking or tool call; `None`: only the limits above hold.
    pub first_token: Option<Duration>,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            connect: Duration::from_secs(5),
            tls: Duration::from_secs(10),
            head: Duration::from_secs(120),
            whole: Duration::from_secs(600),
            idle: Duration::from_secs(60),
            content: Duration::from_secs(300),
            first_token: None,
        }
    }
}

/// What goes along with a request beside what it asks.
#[derive(Debug, Clone, Copy)]
pub struct Errand<'a> {
    /// Our id of the call. It travels with the request, so that a provider's records can settle a doubtful one.
    pub id: &'a str,
    /// Tells whoever gives up meanwhile whether anything had left.
    pub departure: &'a Departure,
}

/// A request as it would go out, for `--dry-run`: never with a credential in it.
#[derive(Debug, Clone, PartialEq)]
pub struct Draft {
    pub url: String,
    pub dialect: Dialect,
    /// Names and values; a credential's value is hidden.
    pub headers: Vec<(String, String)>,
    pub body: serde_json::Value,
    pub ignored: Vec<String>,
    pub region: Option<String>,
    /// The output cap that the body sends, in tokens.
    pub output_max: Option<u64>,
    /// Thinking may come beside the capped output, up to the cap again.
    pub thinking_apart: bool,
    /// The most tokens that everything attached can be; `None`: of something in it nobody knows.
    pub attachment_tokens: Option<u64>,
    /// The most that the simulator would charge.
    pub simulated: Option<Quote>,
}

/// The output cap in a request's body, wherever the dialects have it. `None` where there is none, or one that a server may
/// read in another way than we do: no whole number above zero.
#[must_use]
pub fn output_max(body: &serde_json::Value) -> Option<u64> {
    const PLACES: [&str; 11] = [
        "/max_tokens",
        "/max_completion_tokens",
        "/max_output_tokens",
        "/generationConfig/maxOutputTokens",
        "/generationConfig/max_output_tokens",
        "/generation_config/maxOutputTokens",
        "/generation_config/max_output_tokens",
        "/inferenceConfig/maxTokens",
        "/additionalModelRequestFields/max_tokens",
        "/additionalModelRequestFields/inferenceConfig/maxTokens",
        "/options/num_predict",
    ];
    let caps = PLACES.iter().filter_map(|place| body.pointer(place)).filter(|cap| !cap.is_null());
    let caps: Option<Vec<u64>> = caps.map(|cap| cap.as_u64().filter(|cap| *cap > 0)).collect();
    caps?.into_iter().max()
}

impl Provider {
    /// Finds address and credential of `name` in its row, the environment and the choice.
    ///
    /// # Errors
    /// `auth` without a credential, `region` without a region, `config` for a base URL that is none or is not safe.
    pub fn open(
        row: &Row,
        name: &ModelName,
        facts: ModelFacts,
        api: Option<Dialect>,
        choice: &Choice,
        net: &Arc<Net>,
        env: Env<'_>,
    ) -> Result<Provider, Failure> {
        match row.transport {
            Transport::Http => Ok(Provider::Http(Box::new(http::Http::open(row, name, facts, api, choice, net, env)?))),
            Transport::Sim => Ok(Provider::Sim(sim::Sim::open(&name.model)?)),
            #[cfg(feature = "bedrock")]
            Transport::Bedrock => {
                Ok(Provider::Bedrock(Box::new(bedrock::Bedrock::open(row, name, facts, choice, net, env)?)))
            }
            #[cfg(not(feature = "bedrock"))]
            Transport::Bedrock => Err(Failure::new(
                crate::domain::failure::ErrorClass::Config,
                "this build of llmx is without Amazon Bedrock",
            )
            .advise("build it with the feature `bedrock`, which is on by default")),
        }
    }

    /// The region that was found, for the one who asks.
    #[must_use]
    pub fn region(&self) -> Option<&str> {
        match self {
            Provider::Http(http) => http.region(),
            #[cfg(feature = "bedrock")]
            Provider::Bedrock(bedrock) => bedrock.region(),
            Provider::Sim(_) => None,
        }
    }

    /// What was found and from where, in sentences for `-v`; never a secret.
    #[must_use]
    pub fn origins(&self) -> Vec<String> {
        match self {
            Provider::Http(http) => http.origins(),
            #[cfg(feature = "bedrock")]
            Provider::Bedrock(bedrock) => bedrock.origins(),
            Provider::Sim(_) => vec!["sim is a simulator inside llmx: nothing is sent".into()],
        }
    }

    /// Where the credential comes from: a name for the books, never its text.
    #[must_use]
    pub fn credential(&self) -> Option<String> {
        match self {
            Provider::Http(http) => http.credential_name(),
            #[cfg(feature = "bedrock")]
            Provider::Bedrock(bedrock) => bedrock.credential_name(),
            Provider::Sim(_) => None,
        }
    }

    /// A few models of the same provider, for suggestions.
    #[must_use]
    pub fn siblings(&self) -> &[String] {
        match self {
            Provider::Http(http) => http.siblings(),
            #[cfg(feature = "bedrock")]
            Provider::Bedrock(bedrock) => bedrock.siblings(),
            Provider::Sim(_) => &[],
        }
    }

    /// What the user must be told before anything is sent (a host that is not the catalog's).
    #[must_use]
    pub fn warnings(&self) -> Vec<String> {
        match self {
            Provider::Http(http) => http.warnings(),
            #[cfg(feature = "bedrock")]
            Provider::Bedrock(bedrock) => bedrock.warnings(),
            Provider::Sim(_) => Vec::new(),
        }
    }

    /// The request as it would go out.
    ///
    /// # Errors
    /// `config` where the API has no form for something in it.
    pub fn draft(&self, request: &ChatRequest) -> Result<Draft, Failure> {
        match self {
            Provider::Http(http) => http.draft(request),
            #[cfg(feature = "bedrock")]
            Provider::Bedrock(bedrock) => bedrock.draft(request),
            Provider::Sim(sim) => Ok(sim.draft(request)),
        }
    }

    /// Sends the request and waits for the head of the answer.
    ///
    /// # Errors
    /// A [`Failure`] that says whether it may have cost money all the same.
    pub async fn send(&self, request: &ChatRequest, limits: &Limits, errand: Errand<'_>) -> Result<Arriving, Failure> {
        match self {
            Provider::Http(http) => Ok(Arriving::Http(Box::new(http.send(request, limits, errand).await?))),
            #[cfg(feature = "bedrock")]
            Provider::Bedrock(bedrock) => Ok(Arriving::Bedrock(Box::new(bedrock.send(request, limits, errand).await?))),
            Provider::Sim(sim) => Ok(Arriving::Sim(Box::new(sim.send(request, errand.departure).await?))),
        }
    }
}

/// An answer on its way.
pub enum Arriving {
    Http(Box<http::Arriving>),
    #[cfg(feature = "bedrock")]
    Bedrock(Box<bedrock::Arriving>),
    Sim(Box<sim::Arriving>),
}

impl Arriving {
    /// Waits for what comes next and appends its events; false when the answer has ended well.
    ///
    /// # Errors
    /// A [`Failure`]; events appended before it stay good.
    pub async fn next(&mut self, out: &mut Vec<ChatEvent>) -> Result<bool, Failure> {
        match self {
            Arriving::Http(http) => http.next(out).await,
            #[cfg(feature = "bedrock")]
            Arriving::Bedrock(bedrock) => bedrock.next(out).await,
            Arriving::Sim(sim) => sim.next(out).await,
        }
    }

    /// Takes out of the server's words the key that it was sent; of keys that only sign it knows nothing.
    #[must_use]
    pub fn redactor(&self) -> key::Redactor {
        match self {
            Arriving::Http(http) => http.redactor(),
            #[cfg(feature = "bedrock")]
            Arriving::Bedrock(bedrock) => bedrock.redactor(),
            Arriving::Sim(_) => key::Redactor::default(),
        }
    }

    /// The provider's id of the request, where its headers gave one.
    #[must_use]
    pub fn request_id(&self) -> Option<&str> {
        match self {
            Arriving::Http(http) => http.request_id(),
            #[cfg(feature = "bedrock")]
            Arriving::Bedrock(bedrock) => bedrock.request_id(),
            Arriving::Sim(_) => None,
        }
    }
}
