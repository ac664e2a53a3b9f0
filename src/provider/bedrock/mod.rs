//! Amazon Bedrock: Converse and ConverseStream through the AWS SDK.

mod answer;
mod connector;
mod credentials;
mod errors;
mod listing;
pub(super) mod region;
mod request;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use aws_sdk_bedrockruntime::config::http::HttpRequest;
use aws_sdk_bedrockruntime::config::retry::RetryConfig;
use aws_sdk_bedrockruntime::config::timeout::TimeoutConfig;
use aws_sdk_bedrockruntime::config::{
    AppName, BehaviorVersion, Builder, Config, Region as SdkRegion, StalledStreamProtectionConfig, Token,
};
use aws_sdk_bedrockruntime::primitives::event_stream::EventReceiver;
use aws_sdk_bedrockruntime::types::ConverseStreamOutput;
use aws_sdk_bedrockruntime::types::error::ConverseStreamOutputError;
use aws_sdk_bedrockruntime::{Client, operation::RequestId as _};
use aws_smithy_runtime_api::client::auth::AuthSchemePreference;
use aws_smithy_runtime_api::client::auth::http::HTTP_BEARER_AUTH_SCHEME_ID;
use aws_smithy_types::body::SdkBody;
use reqwest::Url;
use tokio::sync::OnceCell;
use tokio::time::{Instant, timeout};

use super::catalog::Row;
use super::http::{host_of, moved_base, parse_base};
use super::key::Redactor;
use super::net::{Net, is_loopback};
use super::{Choice, Draft, Env, Errand, Limits, error};
use crate::domain::chat::{ChatEvent, ChatRequest};
use crate::domain::failure::{ErrorClass, Failure, Repeat};
use crate::domain::model::{ModelFacts, ModelName};
use crate::wire::body::TEXT_MAX;
use crate::wire::contract::{DecodeError, Dialect, Encoded};
use answer::Reader;
use connector::{Call, Whose, Wire};
use credentials::Source;
use errors::Place;
use region::Region;

/// A unary Converse sends no byte until it is done: its head comes as late as the whole generation, and may take so many
/// times the limit of a stream's (120 s, so 600 s).
const HEAD_WHOLE_TIMES: u32 = 5;

/// A model at Amazon Bedrock.
#[derive(Debug)]
pub struct Bedrock {
    row: Row,
    model: String,
    facts: ModelFacts,
    /// The whole answer is asked for at once.
    whole: bool,
    /// `None`: the instance is asked at the first call.
    region: Option<Region>,
    remark: Option<String>,
    /// Another address than AWS's own, and who named it.
    moved: Option<(Url, String)>,
    credentials: Arc<credentials::Found>,
    fips: bool,
    dual_stack: bool,
    /// The user wants signatures by this machine's clock, whatever AWS's says.
    own_clock: bool,
    net: Arc<Net>,
    /// Made by the first call and kept: it remembers by how much the clock is wrong.
    client: OnceCell<(Client, String)>,
    /// The service refused to stream this model.
    refuses_streams: AtomicBool,
    /// By how many minutes the clock is wrong, as far as a refusal told; 0: it is right.
    clock_off_min: AtomicU64,
}

impl Bedrock {
    /// # Errors
    /// See [`super::Provider::open`].
    pub fn open(
        row: &Row,
        name: &ModelName,
        facts: ModelFacts,
        choice: &Choice,
        net: &Arc<Net>,
        env: Env<'_>,
    ) -> Result<Bedrock, Failure> {
        let credentials = credentials::find(choice, env);
        let wanted = choice.region.as_deref().or(name.region.as_deref());
        let region::Found { region, remark } = region::find(wanted, &name.model, &credentials.profile, env)?;
        match &region {
            Some(region) => region::check(&name.model, &region.name)?,
            None if credentials.may_ask_the_instance() => {}
            None => return Err(region::missing(&credentials.profile)),
        }
        let moved = moved_base(row, choice, env).or_else(|| Some((row.base_url.clone()?, "config.toml".to_owned())));
        let moved = moved.map(|(base, origin)| Ok::<_, Failure>((parse_base(&base, &origin)?, origin))).transpose()?;
        if let Some((base, _)) = &moved
            && base.scheme() == "http"
            && !is_loopback(base)
            && !row.allow_http
        {
            return Err(Failure::new(
                ErrorClass::Config,
                format!(
                    "{} is plain http: the prompt would be readable on the way",
                    base.origin().ascii_serialization()
                ),
            )
            .advise(format!("use https://, or set allow_http = true in [provider.{}] of config.toml", row.id)));
        }
        let on = |name: &str| env(name).is_some_and(|text| text.trim().eq_ignore_ascii_case("true"));
        Ok(Bedrock {
            row: row.clone(),
            model: name.model.clone(),
            whole: choice.whole,
            facts,
            region,
            remark,
            moved,
            credentials: Arc::new(credentials),
            fips: on("AWS_USE_FIPS_ENDPOINT"),
            dual_stack: on("AWS_USE_DUALSTACK_ENDPOINT"),
            own_clock: on("AWS_DISABLE_CLOCK_SKEW_CORRECTION"),
            net: Arc::clone(net),
            client: OnceCell::new(),
            refuses_streams: AtomicBool::new(false),
            clock_off_min: AtomicU64::new(0),
        })
    }

    #[must_use]
    pub fn region(&self) -> Option<&str> {
        let asked = self.client.get().map(|(_, region)| region.as_str());
        self.region.as_ref().map(|region| region.name.as_str()).or(asked)
    }

    #[must_use]
    pub fn credential_name(&self) -> Option<String> {
        Some(self.credentials.origin())
    }

    #[must_use]
    pub fn origins(&self) -> Vec<String> {
        let mut said = vec![match &self.region {
            Some(region) => format!("region {} from {}", region.name, region.origin),
            None => "region: EC2 instance metadata is asked".into(),
        }];
        said.push(format!("credential from {}", self.credentials.origin()));
        if let Some((base, origin)) = &self.moved {
            said.push(format!("base URL {} from {origin}", base.as_str().trim_end_matches('/')));
        }
        said
    }

    /// See [`super::Provider::siblings`].
    #[must_use]
    pub fn siblings(&self) -> &[String] {
        &self.row.models
    }

    #[must_use]
    pub fn warnings(&self) -> Vec<String> {
        let mut said: Vec<String> = self.remark.iter().cloned().collect();
        said.extend(self.credentials.warnings());
        if let Some((base, origin)) = &self.moved
            && !is_loopback(base)
            && !base.host_str().is_some_and(|host| host.contains(".amazonaws.com") || host.contains(".api.aws"))
        {
            said.push(format!("{} is called at {} (from {origin})", self.row.name, host_of(base)));
        }
        said
    }

    /// The request as it would go out: the body is what is sent, byte for byte.
    ///
    /// # Errors
    /// `config` where the API has no form for something in the request.
    pub fn draft(&self, request: &ChatRequest) -> Result<Draft, Failure> {
        let encoded = self.encode(request, self.streams())?;
        let region = self.region().unwrap_or("REGION");
        let base = self.moved.as_ref().map_or_else(
            || format!("https://{}", self.host(region)),
            |(base, _)| base.as_str().trim_end_matches('/').to_owned(),
        );
        let origin = self.credentials.origin();
        Ok(Draft {
            thinking_apart: false,
            attachment_tokens: self.facts.attached(request),
            simulated: None,
            url: format!("{base}/model/{}/{}", escaped(&self.model), encoded.method),
            dialect: Dialect::Converse,
            headers: vec![
                ("content-type".into(), "application/json".into()),
                ("authorization".into(), format!("[hidden, from {origin}]")),
            ],
            output_max: super::output_max(&encoded.body),
            body: encoded.body,
            ignored: encoded.ignored,
            region: self.region().map(str::to_owned),
        })
    }

    fn encode(&self, request: &ChatRequest, stream: bool) -> Result<Encoded, Failure> {
        request::encode(request, &self.facts, stream).map_err(|error| {
            Failure::new(ErrorClass::Config, error.0).advise("leave it out, convert it, or use a model that takes it")
        })
    }

    /// Sends the request once and waits for the head of the answer. Where the model is refused only because it was to be
    /// streamed, or the clock is wrong, the next request is in the form that can work.
    ///
    /// # Errors
    /// A [`Failure`] that says whether it may have cost money.
    pub async fn send(&self, request: &ChatRequest, limits: &Limits, errand: Errand<'_>) -> Result<Arriving, Failure> {
        let stream = self.streams();
        let clock_off = self.clock_off_min.load(Ordering::Relaxed);
        let mut notes = Vec::new();
        if !stream && !self.whole {
            notes.push("this model cannot be streamed: the answer comes at once".to_owned());
        }
        if clock_off > 0 {
            notes.push(format!("this machine's clock is off by {clock_off} min; AWS's time was taken"));
        }
        let (client, region) = self.client(limits).await?;
        let call = Arc::new(Call::new(self.whose(region), limits_of(limits, stream), stream, errand.departure));
        match self.attempt(request, client, region, &call, errand.id).await {
            Ok(arriving) => Ok(arriving.noting(notes)),
            Err(failure) => Err(self.learn(failure, &call, clock_off)),
        }
    }

    /// Whether the next answer is asked for as a stream.
    fn streams(&self) -> bool {
        !self.whole && self.facts.streams && !self.refuses_streams.load(Ordering::Relaxed)
    }

    /// Keeps what a refusal teaches about the next request, which is then worth making at once. `clock_off`: by how many
    /// minutes the clock was known to be wrong when this one was signed.
    fn learn(&self, failure: Failure, call: &Call, clock_off: u64) -> Failure {
        if call.streamed && errors::refuses_streams(&failure) {
            self.refuses_streams.store(true, Ordering::Relaxed);
            return at_once(failure).advise("ask for the whole answer at once: --no-stream");
        }
        let head = call.seen().head.clone();
        let Some(minutes) = errors::clock_fault(&failure, head.as_ref()) else { return failure };
        let advice = failure.advice.as_deref().unwrap_or("set the clock");
        let advice = format!("{advice} (this machine's clock is off by {minutes} min)");
        let failure = failure.advise(advice);
        if clock_off > 0 || self.own_clock || matches!(self.credentials.source, Source::Bearer(_)) {
            return failure;
        }
        // The client has learnt the difference from the answer and signs with it from now on.
        self.clock_off_min.store(minutes, Ordering::Relaxed);
        at_once(failure)
    }

    async fn attempt(
        &self,
        request: &ChatRequest,
        client: &Client,
        region: &str,
        call: &Arc<Call>,
        id: &str,
    ) -> Result<Arriving, Failure> {
        let mut encoded = self.encode(request, call.streamed)?;
        name_the_call(&mut encoded.body, id);
        let body = encoded.body.to_string();
        // The SDK wrote a body without messages: ours takes its place before it is signed.
        let fill = move |request: &mut HttpRequest| {
            request.headers_mut().insert("content-length", body.len().to_string());
            *request.body_mut() = SdkBody::from(body.as_str());
        };
        let wired = Builder::new().http_client(Wire::for_call(&self.net, call));
        let place = Place { call, region, found: &self.credentials };
        let mark = self.row.quirks.whole_input_streamed.as_deref();
        let whole_input = call.streamed && mark.is_some_and(|part| self.model.contains(part));
        let reader = Reader::new(request.settings.cache, whole_input);
        let arriving = Arriving::new(encoded.ignored, reader, call, region, &self.credentials);
        if call.streamed {
            let sending = client.converse_stream().model_id(&self.model).customize();
            let sent = sending.mutate_request(fill).config_override(wired).send().await;
            let output = sent.map_err(|error| errors::failed(&error, &place))?;
            let request_id = output.request_id().map(str::to_owned);
            return Ok(arriving.streamed(request_id, output.stream));
        }
        let sending = client.converse().model_id(&self.model).customize();
        let sent = sending.mutate_request(fill).config_override(wired).send().await;
        let output = sent.map_err(|error| errors::failed(&error, &place))?;
        let request_id = output.request_id().map(str::to_owned);
        Ok(arriving.whole(request_id, output))
    }

    fn whose(&self, region: &str) -> Arc<Whose> {
        let host = self.moved.as_ref().map_or_else(|| self.host(region), |(base, _)| host_of(base));
        let credential = self.credentials.origin();
        Arc::new(Whose { row: self.row.clone(), model: self.model.clone(), host, credential })
    }

    /// AWS's own host, as the SDK makes it.
    fn host(&self, region: &str) -> String {
        let fips = if self.fips { "-fips" } else { "" };
        let suffix = match (region.starts_with("cn-"), self.dual_stack) {
            (true, true) => "api.amazonwebservices.com.cn",
            (true, false) => "amazonaws.com.cn",
            (false, true) => "api.aws",
            (false, false) => "amazonaws.com",
        };
        format!("bedrock-runtime{fips}.{region}.{suffix}")
    }

    async fn client(&self, limits: &Limits) -> Result<(&Client, &str), Failure> {
        let made = self.client.get_or_try_init(|| async {
            let whose = self.whose(self.region.as_ref().map_or("", |region| &region.name));
            let wire = Wire::for_credentials(&self.net, &whose, limits);
            let region = match &self.region {
                Some(region) => region.name.clone(),
                None => {
                    let asked = self.credentials.instance_region(&wire).await;
                    let name = asked.ok_or_else(|| region::missing(&self.credentials.profile))?;
                    let region = region::checked(name, "EC2 instance metadata".into())?;
                    region::check(&self.model, &region.name)?;
                    region.name
                }
            };
            Ok((Client::from_conf(self.config(wire, &region).await), region))
        });
        made.await.map(|(client, region)| (client, region.as_str()))
    }

    async fn config(&self, wire: Wire, region: &str) -> Config {
        let mut config = Config::builder()
            .behavior_version(BehaviorVersion::v2026_01_12())
            .region(SdkRegion::new(region.to_owned()))
            // One attempt is one row in the books: only our own loop tries again.
            .retry_config(RetryConfig::disabled())
            // It kills answers that think for long (awslabs/aws-sdk-rust#1287); the limits here are ours.
            .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
            .timeout_config(TimeoutConfig::disabled())
            .disable_clock_skew_correction(self.own_clock)
            .use_fips(self.fips)
            .use_dual_stack(self.dual_stack);
        config.set_app_name(AppName::new("llmx").ok());
        config.set_endpoint_url(self.moved.as_ref().map(|(base, _)| base.as_str().trim_end_matches('/').to_owned()));
        config.set_credentials_provider(self.credentials.provider(&wire, region).await);
        if let Source::Bearer(key) = &self.credentials.source {
            let preference = AuthSchemePreference::from([HTTP_BEARER_AUTH_SCHEME_ID]);
            config = config.bearer_token(Token::new(key.expose(), None)).auth_scheme_preference(preference);
        }
        config.http_client(wire).build()
    }
}

/// Puts our id of the call where invocation logs keep it: `requestMetadata`, a field of both operations
/// (aws-sdk-bedrockruntime 1.153), beside what the user put there. It takes 16 pairs.
fn name_the_call(body: &mut serde_json::Value, id: &str) {
    const PAIRS_MAX: usize = 16;
    let Some(body) = body.as_object_mut() else { return };
    let metadata = body.entry("requestMetadata").or_insert_with(|| serde_json::json!({}));
    if let Some(pairs) = metadata.as_object_mut().filter(|pairs| pairs.len() < PAIRS_MAX) {
        pairs.insert("llmx-call".into(), id.into());
    }
}

/// Worth another request, and no wait before it.
fn at_once(failure: Failure) -> Failure {
    Failure { retry_after_ms: Some(0), ..failure }.repeats(Repeat::Otherwise)
}

fn limits_of(limits: &Limits, stream: bool) -> Limits {
    Limits { head: if stream { limits.head } else { limits.head * HEAD_WHOLE_TIMES }, ..*limits }
}

/// A model's id or ARN as the SDK writes it into the path.
fn escaped(model: &str) -> String {
    let mut out = String::with_capacity(model.len());
    for byte in model.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => out.push(char::from(byte)),
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

/// An answer on its way.
pub struct Arriving {
    queued: Vec<ChatEvent>,
    reader: Reader,
    /// `None`: the answer came at once.
    stream: Option<EventReceiver<ConverseStreamOutput, ConverseStreamOutputError>>,
    request_id: Option<String>,
    call: Arc<Call>,
    region: String,
    credentials: Arc<credentials::Found>,
    /// Any event has come: what breaks now may be billed.
    began: bool,
    ended: bool,
    last_content: Instant,
}

impl Arriving {
    fn new(
        ignored: Vec<String>,
        reader: Reader,
        call: &Arc<Call>,
        region: &str,
        credentials: &Arc<credentials::Found>,
    ) -> Arriving {
        Arriving {
            queued: ignored.into_iter().map(ChatEvent::Ignored).collect(),
            reader,
            stream: None,
            request_id: None,
            call: Arc::clone(call),
            region: region.to_owned(),
            credentials: Arc::clone(credentials),
            began: false,
            ended: true,
            last_content: Instant::now(),
        }
    }

    fn noting(mut self, notes: Vec<String>) -> Arriving {
        self.queued.splice(0..0, notes.into_iter().map(ChatEvent::Note));
        self
    }

    fn streamed(
        mut self,
        request_id: Option<String>,
        stream: EventReceiver<ConverseStreamOutput, ConverseStreamOutputError>,
    ) -> Arriving {
        (self.request_id, self.stream, self.ended) = (request_id, Some(stream), false);
        self
    }

    fn whole(
        mut self,
        request_id: Option<String>,
        output: aws_sdk_bedrockruntime::operation::converse::ConverseOutput,
    ) -> Arriving {
        let body = self.call.seen().body.clone();
        self.reader.whole(output, &body, &mut self.queued);
        self.request_id = request_id;
        self
    }

    #[must_use]
    pub fn request_id(&self) -> Option<&str> {
        self.request_id.as_deref()
    }

    /// See [`super::Arriving::redactor`].
    #[must_use]
    pub fn redactor(&self) -> Redactor {
        Redactor(self.credentials.bearer())
    }

    /// See [`super::Arriving::next`].
    ///
    /// # Errors
    /// A [`Failure`] that says whether it may have cost money.
    pub async fn next(&mut self, out: &mut Vec<ChatEvent>) -> Result<bool, Failure> {
        if !self.queued.is_empty() {
            out.append(&mut self.queued);
            return Ok(true);
        }
        let before = out.len();
        while !self.ended && out.len() == before {
            self.read(out).await.inspect_err(|_| self.ended = true)?;
        }
        Ok(out.len() > before || !self.ended)
    }

    async fn read(&mut self, out: &mut Vec<ChatEvent>) -> Result<(), Failure> {
        let Some(stream) = &mut self.stream else {
            self.ended = true;
            return Ok(());
        };
        let limit = self.call.limits.content;
        let left = limit.saturating_sub(self.last_content.elapsed());
        let received = match timeout(left, stream.recv()).await {
            Err(_) => return Err(error::stalled(error::Limit::Content, limit, &self.call.whose.caller())),
            Ok(received) => received,
        };
        let unknown = std::mem::take(&mut self.call.seen().unknown);
        out.extend(unknown.into_iter().map(|name| answer::newer(&format!("the event {name}"))));
        match received {
            Ok(Some(event)) => {
                self.began = true;
                let before = out.len();
                let metadata = match &event {
                    ConverseStreamOutput::Metadata(_) => self.call.seen().metadata.take(),
                    _ => None,
                };
                self.reader.event(event, metadata, out);
                if out.len() > before {
                    self.last_content = Instant::now();
                }
                if self.reader.text > TEXT_MAX {
                    let reason = format!("the answer is longer than {} MiB", TEXT_MAX >> 20);
                    return Err(error::unreadable(DecodeError::Malformed(reason), true, &self.call.whose.caller()));
                }
                Ok(())
            }
            Ok(None) if self.reader.is_stopped() => self.end(out),
            Ok(None) => {
                let reason = "the stream ended before the model had stopped".to_owned();
                Err(error::unreadable(DecodeError::Cut(reason), self.began, &self.call.whose.caller()))
            }
            Err(fault) => {
                let place = Place { call: &self.call, region: &self.region, found: &self.credentials };
                let failure = errors::broken(&fault, self.began, &place);
                let only_usage_is_missing =
                    self.reader.is_stopped() && matches!(failure.class, ErrorClass::Network | ErrorClass::Timeout);
                if only_usage_is_missing { self.end(out) } else { Err(failure) }
            }
        }
    }

    fn end(&mut self, out: &mut Vec<ChatEvent>) -> Result<(), Failure> {
        self.ended = true;
        self.reader.end(out);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::name_the_call;

    #[test]
    fn the_calls_id_goes_beside_what_the_user_put_there() {
        let named = |mut body: Value| {
            name_the_call(&mut body, "id-7");
            body["requestMetadata"].clone()
        };
        assert_eq!(named(json!({})), json!({"llmx-call": "id-7"}));
        assert_eq!(named(json!({"requestMetadata": {"team": "a"}})), json!({"team": "a", "llmx-call": "id-7"}));
        // What is no map is the service's to refuse, and seventeen pairs would be refused as well.
        assert_eq!(named(json!({"requestMetadata": "a"})), json!("a"));
        let full: Value =
            (0..16).map(|pair| (format!("k{pair}"), json!("v"))).collect::<serde_json::Map<_, _>>().into();
        assert_eq!(named(json!({"requestMetadata": full})), full);
    }
}
