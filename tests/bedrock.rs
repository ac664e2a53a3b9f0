//! Amazon Bedrock through the AWS SDK, against a server on this machine: what is sent, what is read, what is refused.

#![cfg(feature = "bedrock")]
#![expect(clippy::print_stderr, reason = "the figures and the differences are what this test is run for")]

mod common;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use llmx::domain::answer::Answer;
use llmx::domain::chat::{
    CacheLifetime, ChatEvent, ChatRequest, FinishReason, Media, MediaSource, Message, Part, Role, Settings, Tool,
};
use llmx::domain::failure::{ErrorClass, Failure, Repeat};
use llmx::domain::usage::Meter;
use llmx::provider::catalog::Catalog;
use llmx::provider::departure::Departure;
use llmx::provider::net::Net;
use llmx::provider::{Choice, Errand, Limits, Provider, models};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use common::event_stream::{crc32, event, exception, frame, hello, metadata, start, stop, whole_hello};
use common::server::http_date;
use common::{answer_differences, exchanges, meters, named};

const NOVA: &str = "amazon.nova-lite-v1:0";
const REGION: &[(&str, &str)] = &[
    ("AWS_REGION", "us-east-1"),
    ("AWS_ACCESS_KEY_ID", "AKIDTEST"),
    ("AWS_SECRET_ACCESS_KEY", "not-a-secret"),
    ("AWS_EC2_METADATA_DISABLED", "true"),
];

// ---- a server on this machine ----

#[derive(Debug, Clone)]
struct Seen {
    path: String,
    headers: BTreeMap<String, String>,
    body: Vec<u8>,
}

#[derive(Debug, Clone, Default)]
struct Reply {
    status: u16,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
    /// The sizes of the pieces in which the body comes; the last one repeats.
    pieces: Vec<usize>,
    /// The connection breaks after so many bytes of the body.
    cut: Option<usize>,
    /// Nothing more comes after so many bytes, and the connection stays open.
    stall: Option<usize>,
}

impl Reply {
    fn stream(body: Vec<u8>) -> Reply {
        let kind = ("content-type".to_owned(), "application/vnd.amazon.eventstream".to_owned());
        let id = ("x-amzn-requestid".to_owned(), "req-1".to_owned());
        Reply { status: 200, headers: vec![kind, id], body, ..Reply::default() }
    }

    fn json(status: u16, body: &Value) -> Reply {
        let headers = vec![
            ("content-type".to_owned(), "application/json".to_owned()),
            ("x-amzn-requestid".to_owned(), "req-1".to_owned()),
        ];
        Reply { status, headers, body: body.to_string().into_bytes(), ..Reply::default() }
    }

    fn error(status: u16, code: &str, message: &str) -> Reply {
        let mut reply = Reply::json(status, &json!({"message": message}));
        let namespaced = format!("{code}:http://internal.amazon.com/coral/com.amazon.bedrock/");
        reply.headers.push(("x-amzn-errortype".into(), namespaced));
        reply
    }

    fn with(mut self, name: &str, value: &str) -> Reply {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// The reply in chunks: each piece reaches the reader on its own.
    fn bytes(&self) -> Vec<u8> {
        let mut out = format!("HTTP/1.1 {} X\r\nconnection: close\r\n", self.status).into_bytes();
        for (name, value) in &self.headers {
            out.extend_from_slice(format!("{name}: {value}\r\n").as_bytes());
        }
        out.extend_from_slice(b"transfer-encoding: chunked\r\n\r\n");
        let mut rest = &self.body[..self.cut.or(self.stall).unwrap_or(self.body.len()).min(self.body.len())];
        let mut sizes = self.pieces.iter().copied();
        let mut size = usize::MAX;
        while !rest.is_empty() {
            size = sizes.next().unwrap_or(size);
            let (piece, after) = rest.split_at(size.clamp(1, rest.len()));
            out.extend_from_slice(format!("{:x}\r\n", piece.len()).as_bytes());
            out.extend_from_slice(piece);
            out.extend_from_slice(b"\r\n");
            rest = after;
        }
        if self.cut.is_none() && self.stall.is_none() {
            out.extend_from_slice(b"0\r\n\r\n");
        }
        out
    }
}

struct Server {
    url: String,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl Server {
    /// Answers the n-th request with what `reply` makes of it.
    async fn new(reply: impl Fn(usize, &Seen) -> Reply + Send + Sync + 'static) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let seen: Arc<Mutex<Vec<Seen>>> = Arc::default();
        let (reply, log) = (Arc::new(reply), Arc::clone(&seen));
        tokio::spawn(async move {
            while let Ok((mut socket, _)) = listener.accept().await {
                let (reply, log) = (Arc::clone(&reply), Arc::clone(&log));
                tokio::spawn(async move {
                    let Some(request) = read(&mut socket).await else { return };
                    let number = {
                        let mut log = log.lock().expect("no panic");
                        log.push(request.clone());
                        log.len()
                    };
                    let reply = reply(number, &request);
                    let _ = socket.write_all(&reply.bytes()).await;
                    if reply.stall.is_some() {
                        tokio::time::sleep(Duration::from_secs(60)).await;
                    }
                });
            }
        });
        Server { url, seen }
    }

    async fn always(reply: Reply) -> Server {
        Server::new(move |_, _| reply.clone()).await
    }

    fn requests(&self) -> Vec<Seen> {
        self.seen.lock().expect("no panic").clone()
    }
}

async fn read(socket: &mut TcpStream) -> Option<Seen> {
    let mut bytes = Vec::new();
    let head_end = loop {
        if let Some(at) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            break at;
        }
        if socket.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    };
    let head = String::from_utf8_lossy(&bytes[..head_end]).into_owned();
    let mut lines = head.lines();
    let path = lines.next()?.split(' ').nth(1)?.to_owned();
    let headers: BTreeMap<String, String> = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.trim().to_ascii_lowercase(), value.trim().to_owned()))
        .collect();
    let length: usize = headers.get("content-length").and_then(|text| text.parse().ok()).unwrap_or(0);
    let mut body = bytes.split_off(head_end + 4);
    while body.len() < length {
        if socket.read_buf(&mut body).await.ok()? == 0 {
            return None;
        }
    }
    Some(Seen { path, headers, body })
}

// ---- a call ----

fn ask(prompt: &str) -> ChatRequest {
    let messages = vec![Message { role: Role::User, parts: vec![Part::Text(prompt.into())] }];
    let settings = Settings { max_tokens: Some(64), ..Settings::default() };
    ChatRequest { messages, settings, ..ChatRequest::default() }
}

fn open(model: &str, choice: &Choice, env: &[(&str, &str)]) -> Result<Provider, Failure> {
    let catalog = Catalog::with(&toml::Table::new())?;
    let name = catalog.model(&format!("bedrock/{model}"))?;
    let row = catalog.row(&name.provider)?;
    let (facts, api) = models::facts(&row, &name);
    let net = Arc::new(Net::new(None, &Limits::default(), &|_| None));
    let set: BTreeMap<String, String> = env.iter().map(|(key, value)| ((*key).into(), (*value).into())).collect();
    let read = move |name: &str| set.get(name).cloned();
    Provider::open(&row, &name, facts, api, choice, &net, &read)
}

fn at(server: &Server) -> Choice {
    Choice { base_url: Some(server.url.clone()), ..Choice::default() }
}

#[derive(Debug)]
struct Got {
    answer: Answer,
    failure: Option<Failure>,
    request_id: Option<String>,
}

/// Our own id of a call.
const CALL: &str = "01a20448-c20d-7549-9f79-d6ab253721b4";

async fn call(provider: &Provider, request: &ChatRequest, limits: &Limits) -> Got {
    let mut answer = Answer::default();
    let departure = Departure::default();
    let errand = Errand { id: CALL, departure: &departure };
    let sent = provider.send(request, limits, errand).await;
    assert!(sent.is_err() || departure.gone());
    let mut arriving = match sent {
        Ok(arriving) => arriving,
        Err(failure) => return Got { answer, request_id: failure.request_id.clone(), failure: Some(failure) },
    };
    let request_id = arriving.request_id().map(str::to_owned);
    loop {
        let mut events: Vec<ChatEvent> = Vec::new();
        let next = arriving.next(&mut events).await;
        events.into_iter().for_each(|event| answer.add(event));
        match next {
            Ok(true) => {}
            Ok(false) => return Got { answer, failure: None, request_id },
            Err(failure) => return Got { answer, failure: Some(failure), request_id },
        }
    }
}

async fn chat(server: &Server, model: &str) -> Got {
    let provider = open(model, &at(server), REGION).expect("opens");
    call(&provider, &ask("hi"), &Limits::default()).await
}

async fn chat_whole(server: &Server, model: &str) -> Got {
    let choice = Choice { whole: true, ..at(server) };
    let provider = open(model, &choice, REGION).expect("opens");
    call(&provider, &ask("hi"), &Limits::default()).await
}

fn refusal(got: Got) -> Failure {
    got.failure.expect("a failure")
}

fn advice(failure: &Failure) -> &str {
    failure.advice.as_deref().unwrap_or_default()
}

// ---- recorded exchanges ----

/// What of the exchanges may differ, in hundredths of a percent: at least 99.5 % are equal.
const ALLOWED_PER_10_000: usize = 50;

/// A region from which the exchange's model can be called.
fn region_for(model: &str) -> &'static str {
    let known =
        [("eu.", "eu-west-1"), ("apac.", "ap-northeast-1"), ("jp.", "ap-northeast-1"), ("au.", "ap-southeast-2")];
    known.iter().find(|(prefix, _)| model.starts_with(prefix)).map_or("us-east-1", |(_, region)| region)
}

#[test]
fn recorded_exchanges_are_read_to_what_they_must_be_however_they_are_cut() {
    let Some(exchanges) = exchanges(named(), &["bedrock-converse", "bedrock-converse-stream"]) else { return };
    let threads = std::thread::available_parallelism().map_or(2, usize::from);
    let wrong: Vec<(String, Vec<String>)> = std::thread::scope(|scope| {
        let worker = |worker: usize| {
            let exchanges = exchanges.iter().skip(worker).step_by(threads);
            scope.spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
                exchanges.filter_map(|exchange| runtime.block_on(check(exchange))).collect::<Vec<_>>()
            })
        };
        let workers: Vec<_> = (0..threads).map(worker).collect();
        workers.into_iter().flat_map(|worker| worker.join().expect("no panic")).collect()
    });
    let excepted: BTreeMap<String, String> =
        toml::from_str(include_str!("recorded_exceptions.toml")).expect("a table of id to reason");
    let unexplained: Vec<_> = wrong.iter().filter(|(id, _)| !excepted.contains_key(id)).collect();
    for (id, differences) in &unexplained {
        eprintln!("{id}\n    {}", differences.join("\n    "));
    }
    eprintln!("{} of {} exchanges equal", exchanges.len() - wrong.len(), exchanges.len());
    assert!(unexplained.is_empty(), "{} exchanges differ", unexplained.len());
    assert!(wrong.len() * 10_000 <= exchanges.len() * ALLOWED_PER_10_000, "too many exceptions");
}

/// The differences of one exchange, whole and in pieces, or `None` where it is read to what it must be.
async fn check(exchange: &Value) -> Option<(String, Vec<String>)> {
    let cuts = [vec![usize::MAX], vec![1], vec![7], random_sizes(exchange)];
    let reply = recorded(exchange);
    let replies = cuts.clone().map(|pieces| Reply { pieces, ..reply.clone() });
    let server = Server::new(move |number, _| replies[number - 1].clone()).await;
    let model = exchange["model"].as_str().unwrap_or(NOVA);
    let choice = Choice { whole: exchange["api"] != "bedrock-converse-stream", ..at(&server) };
    let mut env = REGION[1..].to_vec();
    if !model.starts_with("arn:") {
        env.push(("AWS_REGION", region_for(model)));
    }
    let provider = open(model, &choice, &env).expect("opens");
    let whole = call(&provider, &ask("hi"), &Limits::default()).await;
    let mut differences = differing(exchange, &whole);
    for pieces in &cuts[1..] {
        let got = call(&provider, &ask("hi"), &Limits::default()).await;
        if (&got.answer, &got.failure) != (&whole.answer, &whole.failure) {
            differences.push(format!("differs in pieces of {}: {got:?}", pieces[0]));
        }
    }
    let id = exchange["id"].as_str().unwrap_or_default().to_owned();
    (!differences.is_empty()).then_some((id, differences))
}

fn random_sizes(exchange: &Value) -> Vec<usize> {
    let mut seed = exchange["id"].as_str().map_or(1, str::len) as u64 | 1;
    let mut next = move || {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        1 + (seed % 97) as usize
    };
    (0..4096).map(|_| next()).collect()
}

fn recorded(exchange: &Value) -> Reply {
    let response = &exchange["response"];
    let body = match (response["body_text"].as_str(), response["body_base64"].as_str()) {
        (Some(text), _) => text.as_bytes().to_vec(),
        (None, Some(coded)) => STANDARD.decode(coded).expect("base64"),
        (None, None) => Vec::new(),
    };
    let headers = response["headers"].as_object().into_iter().flatten();
    let headers = headers.filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned()))).collect();
    let status = response["status"].as_u64().and_then(|status| u16::try_from(status).ok()).expect("a status");
    Reply { status, headers, body, ..Reply::default() }
}

fn differing(exchange: &Value, got: &Got) -> Vec<String> {
    let want = &exchange["expect"];
    let mut differences = Vec::new();
    match (&got.failure, want["error"].as_object()) {
        (None, None) => {}
        (Some(failure), None) => differences.push(format!("failure: want none got {failure:?}")),
        (None, Some(error)) => differences.push(format!("failure: want {error:?} got none")),
        (Some(failure), Some(error)) => {
            let kind = error["type"].as_str().unwrap_or_default();
            let words = error["message"].as_str().unwrap_or_default();
            let class = class_of(kind, words);
            if failure.class != class {
                differences.push(format!("class: want {class} got {failure:?}"));
            }
            // The words for a broken frame are ours.
            let says =
                failure.provider_message.as_deref() == Some(words) && failure.provider_type.as_deref() == Some(kind);
            if kind != "protocol" && !says {
                differences.push(format!("words: want {kind} {words} got {failure:?}"));
            }
        }
    }
    if exchange["response"]["status"].as_u64() < Some(400) {
        differences.extend(answer_differences(want, &got.answer));
    }
    differences
}

/// The class of an error by its documented meaning, independent of the table in the program.
fn class_of(kind: &str, words: &str) -> ErrorClass {
    let kind = kind.to_ascii_lowercase();
    match kind.trim_end_matches("exception") {
        "protocol" => ErrorClass::Protocol,
        "throttling" if words.contains("per day") => ErrorClass::Quota,
        "throttling" => ErrorClass::RateLimit,
        "unrecognizedclient" | "expiredtoken" => ErrorClass::Auth,
        "accessdenied" => ErrorClass::Permission,
        "resourcenotfound" => ErrorClass::NotFound,
        "validation" if words.contains("too long") || words.contains("Exceeded") => ErrorClass::ContextLength,
        "validation" if words.contains("identifier is invalid") => ErrorClass::NotFound,
        "validation" if words.contains("on-demand") => ErrorClass::Region,
        "validation" => ErrorClass::InvalidRequest,
        _ => ErrorClass::Overloaded,
    }
}

// ---- what is sent ----

#[tokio::test]
async fn what_goes_out_is_the_draft_with_the_calls_id_and_signed() {
    let server = Server::always(Reply::stream(hello().concat())).await;
    let provider = open(NOVA, &at(&server), REGION).expect("opens");
    let request = ask("hi");
    let draft = provider.draft(&request).expect("a draft");
    let got = call(&provider, &request, &Limits::default()).await;
    assert_eq!((got.failure, got.answer.text()), (None, "Hello".to_owned()));
    assert_eq!(got.request_id.as_deref(), Some("req-1"));
    let seen = server.requests();
    assert_eq!(seen.len(), 1, "one attempt is one request");
    let mut sent = draft.body.clone();
    sent["requestMetadata"] = json!({"llmx-call": CALL});
    assert_eq!(String::from_utf8_lossy(&seen[0].body), sent.to_string());
    assert_eq!(format!("{}{}", server.url, seen[0].path), draft.url);
    assert_eq!(seen[0].path, "/model/amazon.nova-lite-v1%3A0/converse-stream");
    let signature = &seen[0].headers["authorization"];
    assert!(signature.contains("Credential=AKIDTEST/") && signature.contains("/us-east-1/bedrock/"), "{signature}");
    assert!(!format!("{draft:?}").contains("AKIDTEST"));
}

#[tokio::test]
async fn the_body_has_the_fields_that_the_sdk_would_have_written() {
    use aws_sdk_bedrockruntime::config::{BehaviorVersion, Config, Credentials, Region};
    use aws_sdk_bedrockruntime::primitives::Blob;
    use aws_sdk_bedrockruntime::types as sdk;
    use aws_smithy_types::Document;

    let server = Server::always(Reply::json(200, &whole_hello())).await;
    let pdf = Media { mime: "application/pdf".into(), source: MediaSource::Bytes(vec![1]), name: Some("a.pdf".into()) };
    let png = Media { mime: "image/png".into(), source: MediaSource::Bytes(vec![2]), name: None };
    let request = ChatRequest {
        system: Some("brief".into()),
        messages: vec![Message {
            role: Role::User,
            parts: vec![Part::Text("hi".into()), Part::Document(pdf), Part::Image(png)],
        }],
        tools: vec![Tool { name: "now".into(), description: Some("time".into()), parameters: json!({}) }],
        settings: Settings {
            max_tokens: Some(9),
            temperature: Some(0.5),
            top_p: Some(0.25),
            stop: vec!["END".into()],
            cache: Some(CacheLifetime::OneHour),
            extra: vec![
                ("service_tier".into(), json!("flex")),
                ("performanceConfig.latency".into(), json!("standard")),
                ("guardrail".into(), json!("abc:1")),
                ("requestMetadata.team".into(), json!("blue")),
                ("top_k".into(), json!(5)),
            ],
            ..Settings::default()
        },
        ..ChatRequest::default()
    };
    let choice = Choice { whole: true, ..at(&server) };
    let ours = open(NOVA, &choice, REGION).expect("opens").draft(&request).expect("a draft").body;

    let point = || {
        let ttl = sdk::CachePointBlock::builder().r#type(sdk::CachePointType::Default).ttl(sdk::CacheTtl::OneHour);
        ttl.build().expect("complete")
    };
    let document = sdk::DocumentBlock::builder()
        .format(sdk::DocumentFormat::Pdf)
        .name("a")
        .source(sdk::DocumentSource::Bytes(Blob::new([1])))
        .build()
        .expect("complete");
    let image = sdk::ImageBlock::builder()
        .format(sdk::ImageFormat::Png)
        .source(sdk::ImageSource::Bytes(Blob::new([2])))
        .build()
        .expect("complete");
    let message = sdk::Message::builder()
        .role(sdk::ConversationRole::User)
        .content(sdk::ContentBlock::Text("hi".into()))
        .content(sdk::ContentBlock::Document(document))
        .content(sdk::ContentBlock::Image(image))
        .content(sdk::ContentBlock::CachePoint(point()))
        .build()
        .expect("complete");
    let tool = sdk::ToolSpecification::builder()
        .name("now")
        .description("time")
        .input_schema(sdk::ToolInputSchema::Json(Document::Object(Default::default())))
        .build()
        .expect("complete");
    let config = Config::builder()
        .behavior_version(BehaviorVersion::v2026_01_12())
        .region(Region::new("us-east-1"))
        .credentials_provider(Credentials::new("a", "b", None, None, "test"))
        .endpoint_url(&server.url)
        .http_client(plain_client::Plain)
        .build();
    let sent = aws_sdk_bedrockruntime::Client::from_conf(config)
        .converse()
        .model_id(NOVA)
        .system(sdk::SystemContentBlock::Text("brief".into()))
        .system(sdk::SystemContentBlock::CachePoint(point()))
        .messages(message)
        .tool_config(sdk::ToolConfiguration::builder().tools(sdk::Tool::ToolSpec(tool)).build().expect("complete"))
        .inference_config(
            sdk::InferenceConfiguration::builder()
                .max_tokens(9)
                .temperature(0.5)
                .top_p(0.25)
                .stop_sequences("END")
                .build(),
        )
        .service_tier(sdk::ServiceTier::builder().r#type(sdk::ServiceTierType::Flex).build().expect("complete"))
        .performance_config(
            sdk::PerformanceConfiguration::builder().latency(sdk::PerformanceConfigLatency::Standard).build(),
        )
        .guardrail_config(
            sdk::GuardrailConfiguration::builder().guardrail_identifier("abc").guardrail_version("1").build(),
        )
        .request_metadata("team", "blue")
        .additional_model_request_fields(Document::Object([("top_k".to_owned(), Document::from(5_i64))].into()))
        .send()
        .await;
    assert!(sent.is_ok(), "{sent:?}");
    let theirs: Value = serde_json::from_slice(&server.requests()[0].body).expect("JSON");
    let mut theirs = theirs;
    if let Some(guardrail) = theirs["guardrailConfig"].as_object_mut() {
        // The SDK writes its default for a field that is optional.
        guardrail.remove("trace");
    }
    assert!(common::same(&ours, &theirs), "{ours}\n{theirs}");
}

/// The least HTTP client that the SDK takes, so that its own body can be seen.
mod plain_client {
    use aws_smithy_runtime_api::client::http::{
        HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
    };
    use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
    use aws_smithy_runtime_api::client::result::ConnectorError;
    use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
    use aws_smithy_types::body::SdkBody;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    #[derive(Debug)]
    pub struct Plain;

    impl HttpClient for Plain {
        fn http_connector(&self, _: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
            SharedHttpConnector::new(Plain)
        }
    }

    impl HttpConnector for Plain {
        fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
            HttpConnectorFuture::new(async move {
                let body = request.body().bytes().unwrap_or_default().to_vec();
                let (host, path) = request
                    .uri()
                    .trim_start_matches("http://")
                    .split_once('/')
                    .map(|(host, path)| (host.to_owned(), path.to_owned()))
                    .expect("a path");
                let broken = |error: std::io::Error| ConnectorError::io(error.into());
                let mut socket = tokio::net::TcpStream::connect(&host).await.map_err(broken)?;
                let head = format!("POST /{path} HTTP/1.1\r\nhost: {host}\r\ncontent-length: {}\r\n\r\n", body.len());
                socket.write_all(head.as_bytes()).await.map_err(broken)?;
                socket.write_all(&body).await.map_err(broken)?;
                let mut answer = Vec::new();
                socket.read_to_end(&mut answer).await.map_err(broken)?;
                Ok(HttpResponse::new(
                    200.try_into().expect("a status"),
                    SdkBody::from(super::whole_hello().to_string()),
                ))
            })
        }
    }
}

#[tokio::test]
async fn whole_and_streamed_answers_say_the_same() {
    let streamed = Server::always(Reply::stream(hello().concat())).await;
    let whole = Server::always(Reply::json(200, &whole_hello())).await;
    for got in [chat(&streamed, NOVA).await, chat_whole(&whole, NOVA).await] {
        assert_eq!(got.failure, None);
        assert_eq!(got.answer.text(), "Hello");
        assert_eq!(meters(got.answer.usage.as_ref()), [("input", 3), ("output", 2)]);
        assert_eq!(got.answer.finish.expect("finished").reason, FinishReason::Stop);
        assert_eq!(got.answer.notes, [] as [String; 0]);
    }
    assert_eq!(whole.requests()[0].path, "/model/amazon.nova-lite-v1%3A0/converse");
}

#[tokio::test]
async fn thinking_tools_and_what_the_service_ran_come_apart() {
    let body = [
        start(),
        event("contentBlockDelta", &json!({"contentBlockIndex": 0, "delta": {"reasoningContent": {"text": "hm"}}})),
        event(
            "contentBlockDelta",
            &json!({"contentBlockIndex": 0, "delta": {"reasoningContent": {"signature": "si"}}}),
        ),
        event("contentBlockDelta", &json!({"contentBlockIndex": 0, "delta": {"reasoningContent": {"signature": "g"}}})),
        event("contentBlockStop", &json!({"contentBlockIndex": 0})),
        event(
            "contentBlockDelta",
            &json!({"contentBlockIndex": 1, "delta": {"reasoningContent": {"redactedContent": "AAEC"}}}),
        ),
        event("contentBlockStop", &json!({"contentBlockIndex": 1})),
        event(
            "contentBlockStart",
            &json!({"contentBlockIndex": 2, "start": {"toolUse": {"toolUseId": "t1", "name": "now"}}}),
        ),
        event("contentBlockDelta", &json!({"contentBlockIndex": 2, "delta": {"toolUse": {"input": "{\"zone\":"}}})),
        event("contentBlockDelta", &json!({"contentBlockIndex": 2, "delta": {"toolUse": {"input": "\"UTC\"}"}}})),
        event("contentBlockStop", &json!({"contentBlockIndex": 2})),
        event(
            "contentBlockStart",
            &json!({"contentBlockIndex": 3, "start": {"toolUse": {"toolUseId": "t2", "name": "search", "type": "server_tool_use"}}}),
        ),
        event("contentBlockDelta", &json!({"contentBlockIndex": 3, "delta": {"toolUse": {"input": "{\"q\":1}"}}})),
        event("contentBlockStop", &json!({"contentBlockIndex": 3})),
        stop("tool_use"),
        metadata(&json!({"inputTokens": 3, "outputTokens": 2, "totalTokens": 5})),
    ];
    let server = Server::always(Reply::stream(body.concat())).await;
    let got = chat(&server, NOVA).await;
    assert_eq!(got.failure, None);
    let thoughts: Vec<_> = got
        .answer
        .parts
        .iter()
        .filter_map(|part| match part {
            Part::Reasoning(thought) => {
                Some((thought.text.as_str(), thought.signature.as_deref(), thought.redacted.as_deref()))
            }
            _ => None,
        })
        .collect();
    assert_eq!(thoughts, [("hm", Some("sig"), None), ("", None, Some("AAEC"))]);
    assert_eq!(common::calls(&got.answer), [("t1", "now", "{\"zone\":\"UTC\"}")]);
    assert_eq!(got.answer.server_tools, ["search"]);

    // The same turn goes back as it came.
    let mut request = ask("hi");
    request.messages.push(got.answer.into_message());
    let provider = open(NOVA, &at(&server), REGION).expect("opens");
    let back = provider.draft(&request).expect("a draft").body["messages"][1]["content"].clone();
    assert_eq!(back[0], json!({"reasoningContent": {"reasoningText": {"text": "hm", "signature": "sig"}}}));
    assert_eq!(back[1], json!({"reasoningContent": {"redactedContent": "AAEC"}}));
    assert_eq!(back[2], json!({"toolUse": {"toolUseId": "t1", "name": "now", "input": {"zone": "UTC"}}}));
}

#[tokio::test]
async fn a_whole_answers_arguments_keep_their_order_and_their_numbers() {
    let body = r#"{"output":{"message":{"role":"assistant","content":[{"text":""},{"toolUse":{"toolUseId":"t","name":"f",
        "input":{"z":1.10,"a":12345678901234567890123}}}]}},"stopReason":"tool_use",
        "usage":{"inputTokens":1,"outputTokens":1,"totalTokens":2}}"#;
    let reply = Reply { body: body.into(), ..Reply::json(200, &json!({})) };
    let server = Server::always(reply).await;
    let got = chat_whole(&server, NOVA).await;
    assert_eq!(common::calls(&got.answer), [("t", "f", r#"{"z":1.10,"a":12345678901234567890123}"#)]);
}

// ---- usage ----

async fn usage_of(usage: Value) -> llmx::domain::usage::Usage {
    let mut frames = hello();
    frames.pop();
    frames.push(metadata(&usage));
    let server = Server::always(Reply::stream(frames.concat())).await;
    let got = chat(&server, NOVA).await;
    assert_eq!(got.failure, None);
    got.answer.usage.expect("usage")
}

#[tokio::test]
async fn cache_writes_are_told_apart_by_their_lifetime_and_the_raw_object_is_kept() {
    let raw = json!({"inputTokens": 100, "outputTokens": 50, "totalTokens": 1450, "cacheReadInputTokens": 1000,
        "cacheReadInputTokenCount": 1000, "cacheWriteInputTokens": 300, "serverToolUsage": {},
        "cacheDetails": [{"ttl": "1h", "inputTokens": 200}, {"ttl": "5m", "inputTokens": 100}]});
    let usage = usage_of(raw.clone()).await;
    let wanted = [("input", 100), ("cache_read", 1000), ("cache_write", 100), ("cache_write_1h", 200), ("output", 50)];
    assert_eq!(meters(Some(&usage)), wanted);
    assert_eq!(usage.raw, raw);
}

#[tokio::test]
async fn an_openai_stream_that_counts_the_cache_inside_the_input_is_not_counted_twice() {
    let usage = usage_of(json!({"inputTokens": 1400, "outputTokens": 50, "totalTokens": 1450,
        "cacheReadInputTokens": 1000, "cacheWriteInputTokens": 300}))
    .await;
    assert_eq!(meters(Some(&usage)), [("input", 100), ("cache_read", 1000), ("cache_write", 300), ("output", 50)]);
    assert_eq!(usage.prompt_total(), Some(1400));
}

#[tokio::test]
async fn the_tier_that_served_and_what_is_charged_beside_tokens_are_said() {
    let mut frames = hello();
    frames.pop();
    frames.push(event(
        "metadata",
        &json!({"usage": {"inputTokens": 1, "outputTokens": 1, "totalTokens": 2}, "metrics": {"latencyMs": 1},
            "serviceTier": {"type": "flex"}, "performanceConfig": {"latency": "optimized"},
            "trace": {"guardrail": {"modelOutput": ["x"]}}}),
    ));
    let server = Server::always(Reply::stream(frames.concat())).await;
    let got = chat(&server, NOVA).await;
    assert_eq!(got.answer.usage.expect("usage").service_tier.as_deref(), Some("flex"));
    assert_eq!(got.answer.notes.len(), 2, "{:?}", got.answer.notes);
}

#[tokio::test]
async fn a_wished_cache_that_did_not_happen_is_said() {
    let server = Server::always(Reply::stream(hello().concat())).await;
    let provider = open(NOVA, &at(&server), REGION).expect("opens");
    let mut request = ask("short");
    request.settings.cache = Some(CacheLifetime::FiveMinutes);
    let got = call(&provider, &request, &Limits::default()).await;
    assert!(got.answer.notes.iter().any(|note| note.contains("nothing was cached")), "{:?}", got.answer.notes);
}

// ---- how streams end ----

#[tokio::test]
async fn a_stream_without_metadata_is_complete_and_its_missing_usage_is_said() {
    let mut frames = hello();
    frames.pop();
    let server = Server::always(Reply::stream(frames.concat())).await;
    let got = chat(&server, NOVA).await;
    assert_eq!((got.failure, got.answer.text(), got.answer.usage), (None, "Hello".to_owned(), None));
    assert!(got.answer.notes.iter().any(|note| note.contains("usage never came")), "{:?}", got.answer.notes);
}

#[tokio::test]
async fn a_connection_that_breaks_after_the_stop_leaves_the_answer_whole() {
    let mut frames = hello();
    let last = frames.pop().expect("metadata").len();
    let body = hello().concat();
    let reply = Reply { cut: Some(body.len() - last + 20), ..Reply::stream(body) };
    let got = chat(&Server::always(reply).await, NOVA).await;
    assert_eq!((got.failure, got.answer.text(), got.answer.usage), (None, "Hello".to_owned(), None));
}

#[tokio::test]
async fn a_stream_that_ends_before_its_stop_is_never_a_success() {
    let frames = hello();
    let ended = Server::always(Reply::stream(frames[..3].concat())).await;
    let inside_a_frame =
        Server::always(Reply::stream(frames[..4].concat()[..frames[..3].concat().len() + 20].to_vec())).await;
    let broken =
        Server::always(Reply { cut: Some(frames[..3].concat().len()), ..Reply::stream(frames.concat()) }).await;
    for (server, class) in
        [(&ended, ErrorClass::Protocol), (&inside_a_frame, ErrorClass::Protocol), (&broken, ErrorClass::Network)]
    {
        let got = chat(server, NOVA).await;
        assert_eq!(got.answer.text(), "Hello", "what came is kept");
        let failure = refusal(got);
        assert_eq!(failure.class, class, "{failure:?}");
        assert!(failure.may_be_billed && failure.repeat == Repeat::Never, "{failure:?}");
    }
    let empty = refusal(chat(&Server::always(Reply::stream(Vec::new())).await, NOVA).await);
    assert!(empty.class == ErrorClass::Protocol && empty.may_be_billed, "{empty:?}");
}

#[tokio::test]
async fn a_flipped_bit_anywhere_in_a_frame_is_found() {
    let body = hello().concat();
    let second = hello()[0].len();
    // The prelude, its checksum, a header, the payload, the last checksum of the second frame.
    for at in [second + 2, second + 9, second + 20, second + hello()[1].len() - 12, second + hello()[1].len() - 2] {
        let mut bad = body.clone();
        bad[at] ^= 0x10;
        let failure = refusal(chat(&Server::always(Reply::stream(bad)).await, NOVA).await);
        assert_eq!(failure.class, ErrorClass::Protocol, "byte {at}: {failure:?}");
        assert!(failure.may_be_billed, "byte {at}");
    }
}

#[tokio::test]
async fn a_frame_that_claims_to_be_huge_is_not_waited_for() {
    let mut huge = (1_u32 << 30).to_be_bytes().to_vec();
    huge.extend_from_slice(&16_u32.to_be_bytes());
    huge.extend_from_slice(&crc32(&huge).to_be_bytes());
    huge.resize(4096, 0);
    let failure = refusal(chat(&Server::always(Reply::stream(huge)).await, NOVA).await);
    assert_eq!(failure.class, ErrorClass::Protocol, "{failure:?}");
    assert!(failure.message.contains("1073741824 bytes"), "{failure:?}");
}

#[tokio::test]
async fn pieces_of_a_tool_call_are_content_of_an_answer_that_breaks_off() {
    let frames = [
        start(),
        event(
            "contentBlockStart",
            &json!({"contentBlockIndex": 0, "start": {"toolUse": {"toolUseId": "t1", "name": "now"}}}),
        ),
        event("contentBlockDelta", &json!({"contentBlockIndex": 0, "delta": {"toolUse": {"input": "{\"zone\":"}}})),
        exception("throttlingException", &json!({"message": "Too many tokens, please wait"})),
    ];
    let server = Server::always(Reply::stream(frames.concat())).await;
    let got = chat(&server, NOVA).await;
    // `now` and `{"zone":`.
    assert_eq!((got.answer.has_content(), got.answer.bytes(), got.answer.tool_calls().count()), (true, 11, 0));
    assert!(got.failure.is_some_and(|failure| failure.may_be_billed));
}

#[tokio::test]
async fn each_exception_has_its_class_and_costs_only_where_it_may() {
    let cases = [
        ("throttlingException", json!({"message": "Too many tokens, please wait"}), ErrorClass::RateLimit, false),
        (
            "validationException",
            json!({"message": "Input is too long for requested model."}),
            ErrorClass::ContextLength,
            false,
        ),
        ("validationException", json!({"message": "something else"}), ErrorClass::InvalidRequest, false),
        ("serviceUnavailableException", json!({"message": "Bedrock is unable"}), ErrorClass::Overloaded, true),
        ("internalServerException", json!({"message": "unexpected"}), ErrorClass::Overloaded, true),
        (
            "modelStreamErrorException",
            json!({"message": "m", "originalStatusCode": 500, "originalMessage": "out of memory"}),
            ErrorClass::Overloaded,
            true,
        ),
        (
            "modelStreamErrorException",
            json!({"message": "m", "originalStatusCode": 400, "originalMessage": "invalid sequence as part of ToolUse"}),
            ErrorClass::InvalidRequest,
            true,
        ),
        ("brandNewException", json!({"message": "who knows"}), ErrorClass::Protocol, true),
    ];
    for (kind, payload, class, billed_alone) in cases {
        for before in [0, 1, 3] {
            let mut frames = hello();
            frames.truncate(before);
            frames.push(exception(kind, &payload));
            let server = Server::always(Reply::stream(frames.concat())).await;
            let got = chat(&server, NOVA).await;
            assert_eq!(got.answer.text(), if before == 3 { "Hello" } else { "" });
            assert_eq!(server.requests().len(), 1, "never repeated by the SDK");
            let failure = refusal(got);
            assert_eq!(failure.class, class, "{kind} after {before}: {failure:?}");
            assert_eq!(failure.provider_type.as_deref(), Some(kind));
            assert_eq!(failure.may_be_billed, billed_alone || before > 0, "{kind} after {before}");
            assert_eq!(failure.request_id.as_deref(), Some("req-1"));
            let words = payload["originalMessage"].as_str().or(payload["message"].as_str());
            assert_eq!(failure.provider_message.as_deref(), words);
        }
    }
}

#[tokio::test]
async fn an_error_frame_gives_the_code_and_the_words_of_its_headers() {
    let error =
        frame(&[(":message-type", "error"), (":error-code", "InternalError"), (":error-message", "it fell over")], b"");
    let failure = refusal(chat(&Server::always(Reply::stream([start(), error].concat())).await, NOVA).await);
    assert_eq!(failure.provider_message.as_deref(), Some("it fell over"));
    assert_eq!((failure.class, failure.may_be_billed), (ErrorClass::Protocol, true));
}

#[tokio::test]
async fn an_event_that_is_newer_than_we_are_is_skipped_and_said() {
    let mut frames = hello();
    frames.insert(2, event("futureEvent", &json!({"x": 1})));
    let got = chat(&Server::always(Reply::stream(frames.concat())).await, NOVA).await;
    assert_eq!((got.failure, got.answer.text()), (None, "Hello".to_owned()));
    assert!(got.answer.notes.iter().any(|note| note.contains("futureEvent")), "{:?}", got.answer.notes);
}

#[tokio::test]
async fn silence_and_emptiness_have_limits_of_their_own() {
    let body = hello().concat();
    let at_most = Duration::from_millis(300);
    let limits = Limits { idle: at_most, ..Limits::default() };
    let stalled = Server::always(Reply { stall: Some(hello()[..2].concat().len()), ..Reply::stream(body) }).await;
    let provider = open(NOVA, &at(&stalled), REGION).expect("opens");
    let got = call(&provider, &ask("hi"), &limits).await;
    assert_eq!(got.answer.text(), "Hel");
    let failure = refusal(got);
    assert_eq!((failure.class, failure.may_be_billed), (ErrorClass::Timeout, true), "{failure:?}");

    // No head at all: the server answers nothing.
    let silent = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}", silent.local_addr().expect("an address"));
    let choice = Choice { base_url: Some(url), ..Choice::default() };
    let limits = Limits { connect: at_most, head: at_most, ..Limits::default() };
    let failure = refusal(call(&open(NOVA, &choice, REGION).expect("opens"), &ask("hi"), &limits).await);
    assert_eq!((failure.class, failure.may_be_billed), (ErrorClass::Timeout, true), "{failure:?}");
}

#[tokio::test]
async fn an_error_in_json_on_a_request_for_a_stream_keeps_its_words() {
    let server =
        Server::always(Reply::error(400, "ValidationException", "The provided model identifier is invalid.")).await;
    let failure = refusal(chat(&server, NOVA).await);
    assert_eq!(failure.class, ErrorClass::NotFound);
    assert_eq!(failure.provider_message.as_deref(), Some("The provided model identifier is invalid."));

    let inside_a_200 =
        Server::always(Reply::json(200, &json!({"message": "Input is too long for requested model."}))).await;
    let failure = refusal(chat(&inside_a_200, NOVA).await);
    assert_eq!(failure.provider_message.as_deref(), Some("Input is too long for requested model."));
    assert!(!failure.message.contains("checksum"), "{failure:?}");

    let html = Reply { body: b"<html><title>Sign in</title></html>".to_vec(), ..Reply::json(200, &json!({})) };
    let html = Server::new(move |_, _| {
        let mut reply = html.clone();
        reply.headers[0].1 = "text/html".into();
        reply
    })
    .await;
    let failure = refusal(chat(&html, NOVA).await);
    assert_eq!(failure.class, ErrorClass::Protocol, "{failure:?}");
}

// ---- errors ----

#[tokio::test]
async fn a_bare_id_that_needs_a_profile_gets_the_profiles_that_would_work() {
    let model = "anthropic.claude-sonnet-4-6";
    let words = format!(
        "Invocation of model ID {model} with on-demand throughput isn\u{2019}t supported. Retry your request with the \
         ID or ARN of an inference profile that contains this model."
    );
    let server = Server::always(Reply::error(400, "ValidationException", &words)).await;
    let env = [&[("AWS_REGION", "eu-west-1")], &REGION[1..]].concat();
    let provider = open(model, &at(&server), &env).expect("opens");
    let failure = refusal(call(&provider, &ask("hi"), &Limits::default()).await);
    assert_eq!(failure.class, ErrorClass::Region);
    let wanted = "in eu-west-1: eu.anthropic.claude-sonnet-4-6 or global.anthropic.claude-sonnet-4-6";
    assert!(advice(&failure).contains(wanted), "{failure:?}");
}

#[tokio::test]
async fn every_refusal_is_one_request_with_its_class_and_a_line_that_mends_it() {
    let cases = [
        (
            400,
            "ValidationException",
            "The provided model identifier is invalid.",
            ErrorClass::NotFound,
            false,
            "misspelt",
        ),
        (
            404,
            "ResourceNotFoundException",
            "This model version has reached the end of its life.",
            ErrorClass::NotFound,
            false,
            "retired",
        ),
        (
            404,
            "ResourceNotFoundException",
            "Model use case details have not been submitted for this account.",
            ErrorClass::Permission,
            false,
            "use-case form",
        ),
        (
            403,
            "AccessDeniedException",
            "You don't have access to the model with the specified model ID.",
            ErrorClass::Permission,
            false,
            "model access",
        ),
        (
            403,
            "AccessDeniedException",
            "Model access is denied due to IAM user … AWS Marketplace actions (aws-marketplace:Subscribe)",
            ErrorClass::Permission,
            false,
            "administrator",
        ),
        (
            403,
            "AccessDeniedException",
            "User: x is not authorized to perform: bedrock:InvokeModel on resource: arn:aws:bedrock:::foundation-model/y",
            ErrorClass::Permission,
            false,
            "global.",
        ),
        (
            403,
            "AccessDeniedException",
            "User: x is not authorized to perform: bedrock:InvokeModel on resource: arn:aws:bedrock:us-east-2::foundation-model/y",
            ErrorClass::Permission,
            false,
            "us-east-2",
        ),
        (
            429,
            "ThrottlingException",
            "Too many requests, please wait before trying again.",
            ErrorClass::RateLimit,
            true,
            "wait",
        ),
        (
            429,
            "ThrottlingException",
            "Too many tokens, please wait before trying again.",
            ErrorClass::RateLimit,
            true,
            "--max-tokens",
        ),
        (
            429,
            "ThrottlingException",
            "Too many tokens per day, please wait before trying again.",
            ErrorClass::Quota,
            false,
            "daily",
        ),
        (400, "ServiceQuotaExceededException", "no", ErrorClass::Quota, false, "Service Quotas"),
        (429, "ModelNotReadyException", "Model is not ready for inference.", ErrorClass::Overloaded, true, "loaded"),
        (
            503,
            "ServiceUnavailableException",
            "Bedrock is unable to process your request.",
            ErrorClass::Overloaded,
            true,
            "again",
        ),
        (
            500,
            "InternalServerException",
            "The system encountered an unexpected error.",
            ErrorClass::Overloaded,
            true,
            "again",
        ),
        (
            400,
            "ValidationException",
            "The maximum tokens you requested exceed the model limit of 4096.",
            ErrorClass::InvalidRequest,
            false,
            "--max-tokens",
        ),
        (
            400,
            "ValidationException",
            "Input is too long for requested model.",
            ErrorClass::ContextLength,
            false,
            "send less",
        ),
        (
            403,
            "ExpiredTokenException",
            "The security token included in the request is expired",
            ErrorClass::Auth,
            false,
            "aws sso login",
        ),
        (
            403,
            "UnrecognizedClientException",
            "The security token included in the request is invalid.",
            ErrorClass::Auth,
            false,
            "AWS_ACCESS_KEY_ID",
        ),
        (
            403,
            "AccessDeniedException",
            "Authentication failed: Please make sure your API Key is valid.",
            ErrorClass::Auth,
            false,
            "another region",
        ),
    ];
    for (status, code, words, class, again, mends) in cases {
        let server = Server::always(Reply::error(status, code, words)).await;
        let failure = refusal(chat(&server, NOVA).await);
        assert_eq!(failure.class, class, "{words}: {failure:?}");
        assert_eq!((failure.repeat != Repeat::Never, failure.may_be_billed), (again, false), "{words}");
        assert!(advice(&failure).contains(mends), "{words}: {failure:?}");
        assert_eq!((failure.status, failure.request_id.as_deref()), (Some(status), Some("req-1")));
        assert_eq!(failure.provider_type.as_deref(), Some(code));
        assert_eq!(server.requests().len(), 1, "{words}");
    }
}

#[tokio::test]
async fn a_model_that_took_too_long_or_failed_by_itself_is_told_by_its_own_status() {
    let slow = refusal(
        chat(&Server::always(Reply::error(408, "ModelTimeoutException", "The request took too long")).await, NOVA)
            .await,
    );
    assert_eq!((slow.class, slow.may_be_billed, slow.repeat), (ErrorClass::Timeout, true, Repeat::Never));
    for (original, class) in [(500, ErrorClass::Overloaded), (400, ErrorClass::InvalidRequest)] {
        let mut reply = Reply::error(424, "ModelErrorException", "m");
        reply.body = json!({"message": "m", "originalStatusCode": original}).to_string().into_bytes();
        let failure = refusal(chat(&Server::always(reply).await, NOVA).await);
        assert_eq!(failure.class, class, "{failure:?}");
    }
}

#[tokio::test]
async fn a_wait_that_the_server_asks_for_is_handed_on() {
    for (name, value, wanted) in [("x-amz-retry-after", "1500", 1500), ("retry-after", "2.5", 2500)] {
        let reply = Reply::error(429, "ThrottlingException", "Too many requests").with(name, value);
        let failure = refusal(chat(&Server::always(reply).await, NOVA).await);
        assert_eq!(failure.retry_after_ms, Some(wanted));
    }
}

#[tokio::test]
async fn a_page_from_a_proxy_is_told_from_the_service() {
    for (status, again, billed) in [(502, true, false), (504, false, true)] {
        let mut reply = Reply::json(status, &json!({}));
        reply.headers[0].1 = "text/html".into();
        reply.body = b"<html><title>Bad Gateway</title></html>".to_vec();
        let failure = refusal(chat(&Server::always(reply).await, NOVA).await);
        assert_eq!(
            (failure.class, failure.repeat != Repeat::Never, failure.may_be_billed),
            (ErrorClass::Network, again, billed),
            "{failure:?}"
        );
        assert_eq!(failure.message, "Bad Gateway");
    }
}

#[tokio::test]
async fn a_redirect_is_never_followed() {
    let server = Server::always(Reply::json(307, &json!({})).with("location", "http://127.0.0.1:1/elsewhere")).await;
    let failure = refusal(chat(&server, NOVA).await);
    assert_eq!((failure.class, server.requests().len()), (ErrorClass::Protocol, 1), "{failure:?}");
}

#[tokio::test]
async fn a_model_that_refuses_streams_is_worth_one_more_request_for_the_whole_answer_and_that_is_said() {
    for words in ["The model is unsupported for streaming.", "This model doesn't support tool use in streaming mode."] {
        let server = Server::new(move |_, seen| match seen.path.ends_with("/converse-stream") {
            true => Reply::error(400, "ValidationException", words),
            false => Reply::json(200, &whole_hello()),
        })
        .await;
        let provider = open(NOVA, &at(&server), REGION).expect("opens");
        let failure = refusal(call(&provider, &ask("hi"), &Limits::default()).await);
        assert_eq!((failure.repeat, failure.retry_after_ms, server.requests().len()), (Repeat::Otherwise, Some(0), 1));
        assert!(advice(&failure).contains("--no-stream"), "{failure:?}");
        let got = call(&provider, &ask("hi"), &Limits::default()).await;
        assert_eq!((got.failure, got.answer.text()), (None, "Hello".to_owned()));
        assert!(got.answer.notes.iter().any(|note| note.contains("cannot be streamed")), "{:?}", got.answer.notes);
        assert_eq!(server.requests().len(), 2);
    }
    // Known beforehand: not even tried.
    let server = Server::always(Reply::json(200, &whole_hello())).await;
    let got = chat(&server, "ai21.j2-mid-v1").await;
    assert_eq!((got.failure, server.requests().len()), (None, 1));
    assert!(got.answer.notes.iter().any(|note| note.contains("cannot be streamed")), "{:?}", got.answer.notes);
}

// ---- the clock ----

#[tokio::test]
async fn a_clock_one_hour_off_is_said_and_mended_once_on_the_same_client() {
    let words = "Signature expired: 20261122T100000Z is now earlier than 20261122T105500Z";
    let refuse = Reply::error(403, "InvalidSignatureException", words);
    let server = Server::new(move |number, _| {
        let reply = if number == 1 { refuse.clone() } else { Reply::stream(hello().concat()) };
        reply.with("date", &http_date(3600))
    })
    .await;
    let provider = open(NOVA, &at(&server), REGION).expect("opens");
    let failure = refusal(call(&provider, &ask("hi"), &Limits::default()).await);
    assert_eq!((failure.repeat, failure.retry_after_ms, server.requests().len()), (Repeat::Otherwise, Some(0), 1));
    let got = call(&provider, &ask("hi"), &Limits::default()).await;
    assert_eq!((got.failure, got.answer.text()), (None, "Hello".to_owned()));
    assert!(got.answer.notes.iter().any(|note| note.contains("off by 60 min")), "{:?}", got.answer.notes);
    let seen = server.requests();
    assert_eq!(seen.len(), 2);
    let hours: Vec<&str> = seen.iter().map(|request| &request.headers["x-amz-date"][..11]).collect();
    assert_ne!(hours[0], hours[1], "signed by the server's time");

    let refuse = Reply::error(403, "InvalidSignatureException", words);
    let server = Server::new(move |_, _| refuse.clone().with("date", &http_date(3600))).await;
    let provider = open(NOVA, &at(&server), REGION).expect("opens");
    for repeat in [Repeat::Otherwise, Repeat::Never] {
        let failure = refusal(call(&provider, &ask("hi"), &Limits::default()).await);
        assert_eq!((failure.class, failure.repeat), (ErrorClass::Auth, repeat), "once more, not for ever");
        assert!(advice(&failure).contains("off by 60 min"), "{failure:?}");
    }

    let right = Reply::error(403, "InvalidSignatureException", "The request signature we calculated does not match");
    let server = Server::new(move |_, _| right.clone().with("date", &http_date(0))).await;
    let failure = refusal(chat(&server, NOVA).await);
    assert_eq!(server.requests().len(), 1, "the clock is right: the key is wrong");
    assert!(advice(&failure).contains("secret key in AWS_ACCESS_KEY_ID"), "{failure:?}");
}

// ---- region ----

#[tokio::test]
async fn a_prefix_that_cannot_be_called_from_the_region_is_caught_before_anything_is_sent() {
    let server = Server::always(Reply::stream(hello().concat())).await;
    let failure = open("eu.anthropic.claude-sonnet-4-6", &at(&server), REGION).expect_err("not from us-east-1");
    assert_eq!(failure.class, ErrorClass::Region);
    assert!(advice(&failure).contains("us.anthropic.claude-sonnet-4-6"), "{failure:?}");
    assert_eq!(server.requests().len(), 0);
}

#[tokio::test]
async fn without_a_region_nothing_is_sent() {
    let server = Server::always(Reply::stream(hello().concat())).await;
    let keys = &REGION[1..];
    let blank = [&[("AWS_REGION", "  "), ("AWS_DEFAULT_REGION", "")], keys].concat();
    for env in [keys, blank.as_slice()] {
        let failure = open(NOVA, &at(&server), env).expect_err("no region");
        assert_eq!(failure.class, ErrorClass::Region);
        assert!(advice(&failure).contains("AWS_REGION"), "{failure:?}");
    }
    assert_eq!(server.requests().len(), 0);
}

#[tokio::test]
async fn the_more_specific_region_wins_and_a_disagreement_is_said() {
    let env = [&[("AWS_REGION_NAME", "eu-west-1")], REGION].concat();
    let provider = open(NOVA, &Choice::default(), &env).expect("opens");
    assert_eq!(provider.region(), Some("eu-west-1"));
    assert!(provider.origins()[0].contains("AWS_REGION_NAME"), "{:?}", provider.origins());
    assert!(
        provider.warnings().iter().any(|said| said.contains("AWS_REGION says us-east-1")),
        "{:?}",
        provider.warnings()
    );
    let arn = "arn:aws:bedrock:us-west-2:123456789012:application-inference-profile/abcd1234";
    let provider = open(arn, &Choice::default(), REGION).expect("opens");
    assert_eq!(provider.region(), Some("us-west-2"), "the ARN's own region");
    let choice = Choice { region: Some("eu-west-1".into()), ..Choice::default() };
    assert_eq!(open(arn, &choice, REGION).expect_err("they disagree").class, ErrorClass::Region);
}

#[tokio::test]
async fn the_profiles_region_is_the_last_that_is_asked() {
    let files = Files::new("[default]\nregion = eu-north-1\n[profile work]\nregion = ap-south-1\n", "");
    let env = files.env(&[("AWS_EC2_METADATA_DISABLED", "true")]);
    let env: Vec<(&str, &str)> = env.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
    assert_eq!(open(NOVA, &Choice::default(), &env).expect("opens").region(), Some("eu-north-1"));
    let choice = Choice { profile: Some("work".into()), ..Choice::default() };
    assert_eq!(open(NOVA, &choice, &env).expect("opens").region(), Some("ap-south-1"));
    let env = [env.as_slice(), &[("AWS_DEFAULT_REGION", "us-west-2")]].concat();
    assert_eq!(open(NOVA, &choice, &env).expect("opens").region(), Some("us-west-2"));
}

// ---- credentials ----

/// The shared files of AWS in a folder of their own.
struct Files {
    folder: tempfile::TempDir,
}

impl Files {
    fn new(config: &str, credentials: &str) -> Files {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("config"), config).expect("written");
        std::fs::write(folder.path().join("credentials"), credentials).expect("written");
        Files { folder }
    }

    fn env(&self, more: &[(&str, &str)]) -> Vec<(String, String)> {
        let at = |name: &str| self.folder.path().join(name).to_string_lossy().into_owned();
        let mut env: Vec<(String, String)> = more.iter().map(|(key, value)| ((*key).into(), (*value).into())).collect();
        env.push(("AWS_CONFIG_FILE".into(), at("config")));
        env.push(("AWS_SHARED_CREDENTIALS_FILE".into(), at("credentials")));
        env
    }
}

async fn asked_with(choice: Choice, env: &[(String, String)]) -> (Provider, Got) {
    let env: Vec<(&str, &str)> = env.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
    let provider = open(NOVA, &choice, &env).expect("opens");
    let got = call(&provider, &ask("hi"), &Limits::default()).await;
    (provider, got)
}

#[tokio::test]
async fn a_bearer_key_is_sent_as_it_is_and_what_it_shadows_is_said() {
    let server = Server::always(Reply::error(
        403,
        "AccessDeniedException",
        "Authentication failed: Please make sure your API Key is valid. (stale-CANARY)",
    ))
    .await;
    let env: Vec<(&str, &str)> = [&[("AWS_BEARER_TOKEN_BEDROCK", "stale-CANARY")], REGION].concat();
    let provider = open(NOVA, &at(&server), &env).expect("opens");
    let warnings = provider.warnings();
    assert!(
        warnings.iter().any(|said| said.contains("AWS_BEARER_TOKEN_BEDROCK is used; it shadows AWS_ACCESS_KEY_ID")),
        "{warnings:?}"
    );
    let failure = refusal(call(&provider, &ask("hi"), &Limits::default()).await);
    assert_eq!(server.requests()[0].headers["authorization"], "Bearer stale-CANARY");
    assert_eq!(failure.class, ErrorClass::Auth);
    assert!(advice(&failure).contains("AWS_BEARER_TOKEN_BEDROCK"), "{failure:?}");
    assert!(!format!("{failure:?}{provider:?}{:?}", provider.draft(&ask("hi"))).contains("CANARY"));
}

#[tokio::test]
async fn a_named_profile_beats_the_environments_keys_and_its_bearer() {
    let server = Server::always(Reply::stream(hello().concat())).await;
    let files = Files::new(
        "[profile work]\nregion = us-east-1\n",
        "[work]\naws_access_key_id = AKIDWORK\naws_secret_access_key = s\n",
    );
    let env = files.env(&[REGION, &[("AWS_BEARER_TOKEN_BEDROCK", "bearer")]].concat());
    let choice = Choice { profile: Some("work".into()), ..at(&server) };
    let (provider, got) = asked_with(choice, &env).await;
    assert_eq!(got.failure, None);
    assert!(server.requests()[0].headers["authorization"].contains("Credential=AKIDWORK/"));
    assert!(provider.origins().iter().any(|said| said.contains("the profile work")), "{:?}", provider.origins());

    // Without --profile the environment's keys are first, and the named profile is said to be shadowed.
    let env = files.env(&[REGION, &[("AWS_PROFILE", "work")]].concat());
    let (provider, _) = asked_with(at(&server), &env).await;
    assert!(server.requests()[1].headers["authorization"].contains("Credential=AKIDTEST/"));
    assert!(provider.warnings().iter().any(|said| said.contains("shadows AWS_PROFILE")), "{:?}", provider.warnings());

    // LiteLLM's spelling names the profile where nothing else does.
    let env = files.env(&[("AWS_PROFILE_NAME", "work"), ("AWS_EC2_METADATA_DISABLED", "true")]);
    let (_, got) = asked_with(at(&server), &env).await;
    assert_eq!(got.failure, None);
    assert!(server.requests()[2].headers["authorization"].contains("Credential=AKIDWORK/"));
}

#[tokio::test]
async fn a_credential_that_is_not_to_be_had_says_where_it_was_looked_for_and_how_to_log_in() {
    let server = Server::always(Reply::stream(hello().concat())).await;
    let quiet = [("AWS_REGION", "us-east-1"), ("AWS_EC2_METADATA_DISABLED", "true")];
    let sso = "[profile sso]\nsso_start_url = https://x.awsapps.com/start\nsso_region = us-east-1\n\
               sso_account_id = 123456789012\nsso_role_name = r\n";
    let cases = [
        (Files::new("", ""), None, "aws configure"),
        (Files::new("[profile other]\nregion = us-east-1\n", ""), Some("work"), "aws configure list-profiles"),
        (Files::new(sso, ""), Some("sso"), "aws sso login --profile sso"),
    ];
    for (files, profile, mends) in cases {
        let choice = Choice { profile: profile.map(str::to_owned), ..at(&server) };
        let (_, got) = asked_with(choice, &files.env(&quiet)).await;
        let failure = refusal(got);
        assert_eq!((failure.class, failure.may_be_billed), (ErrorClass::Auth, false), "{failure:?}");
        assert!(advice(&failure).contains(mends), "{failure:?}");
        assert!(!failure.message.contains('{') && !failure.message.contains('\n'), "one line of words: {failure:?}");
    }
    assert_eq!(server.requests().len(), 0);
}

#[tokio::test]
async fn the_instance_is_asked_last_and_only_where_that_is_not_turned_off() {
    let credentials = json!({"Code": "Success", "Type": "AWS-HMAC", "AccessKeyId": "AKIDIMDS", "SecretAccessKey": "s",
        "Token": "t", "Expiration": "2099-01-01T00:00:00Z", "LastUpdated": "2026-11-22T00:00:00Z"});
    let server = Server::new(move |_, seen| match seen.path.as_str() {
        "/latest/api/token" => Reply { body: b"token".to_vec(), ..Reply::json(200, &json!({})) }
            .with("x-aws-ec2-metadata-token-ttl-seconds", "21600"),
        "/latest/meta-data/placement/region" => Reply { body: b"eu-west-3".to_vec(), ..Reply::json(200, &json!({})) },
        path if path.ends_with("/role") => Reply::json(200, &credentials),
        path if path.starts_with("/latest/") => Reply { body: b"role".to_vec(), ..Reply::json(200, &json!({})) },
        _ => Reply::stream(hello().concat()),
    })
    .await;
    let files = tempfile::tempdir().expect("a folder");
    let none = files.path().join("none").to_string_lossy().into_owned();
    let env: Vec<(String, String)> = [
        ("AWS_EC2_METADATA_SERVICE_ENDPOINT", server.url.as_str()),
        ("AWS_CONFIG_FILE", &none),
        ("AWS_SHARED_CREDENTIALS_FILE", &none),
    ]
    .into_iter()
    .map(|(key, value)| (key.to_owned(), value.to_owned()))
    .collect();
    let (provider, got) = asked_with(at(&server), &env).await;
    assert_eq!(got.failure, None);
    assert_eq!(provider.region(), Some("eu-west-3"), "asked at the first call");
    assert!(provider.warnings().iter().any(|said| said.contains("looking for EC2 credentials")));
    let signed = server.requests().pop().expect("the call");
    let signature = &signed.headers["authorization"];
    assert!(signature.contains("Credential=AKIDIMDS/") && signature.contains("/eu-west-3/"), "{signature}");
}

#[tokio::test]
async fn a_role_in_litellms_spelling_is_assumed_with_the_keys_that_were_found() {
    let assumed = "<AssumeRoleResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><AssumeRoleResult>\
        <AssumedRoleUser><AssumedRoleId>A:llmx</AssumedRoleId><Arn>arn:aws:sts::123456789012:assumed-role/x/me</Arn>\
        </AssumedRoleUser><Credentials><AccessKeyId>ASIAROLE</AccessKeyId><SecretAccessKey>s</SecretAccessKey>\
        <SessionToken>t</SessionToken><Expiration>2099-01-01T00:00:00Z</Expiration></Credentials>\
        </AssumeRoleResult></AssumeRoleResponse>";
    let server = Server::new(move |_, seen| match seen.path.as_str() {
        "/" => {
            let kind = ("content-type".to_owned(), "text/xml".to_owned());
            Reply { status: 200, headers: vec![kind], body: assumed.into(), ..Reply::default() }
        }
        _ => Reply::stream(hello().concat()),
    })
    .await;
    let role = "arn:aws:iam::123456789012:role/x";
    let more = [("AWS_ROLE_NAME", role), ("AWS_SESSION_NAME", "me"), ("AWS_ENDPOINT_URL_STS", server.url.as_str())];
    let provider = open(NOVA, &at(&server), &[REGION, &more].concat()).expect("opens");
    let wanted = format!("AWS_ACCESS_KEY_ID, for the role {role}");
    assert!(provider.origins().iter().any(|said| said.contains(&wanted)), "{:?}", provider.origins());
    let got = call(&provider, &ask("hi"), &Limits::default()).await;
    assert_eq!(got.failure, None);
    let seen = server.requests();
    assert!(seen[0].headers["authorization"].contains("Credential=AKIDTEST/"));
    assert!(String::from_utf8_lossy(&seen[0].body).contains("RoleSessionName=me"));
    assert!(seen[1].headers["authorization"].contains("Credential=ASIAROLE/"));
}

#[tokio::test]
async fn the_base_url_comes_from_the_most_specific_place() {
    let server = Server::always(Reply::stream(hello().concat())).await;
    for name in [
        "AWS_ENDPOINT_URL_BEDROCK_RUNTIME",
        "AWS_ENDPOINT_URL",
        "AWS_BEDROCK_RUNTIME_ENDPOINT",
        "LLMX_BEDROCK_BASE_URL",
    ] {
        let env = [REGION, &[(name, server.url.as_str())]].concat();
        let provider = open(NOVA, &Choice::default(), &env).expect("opens");
        assert!(provider.draft(&ask("hi")).expect("a draft").url.starts_with(&server.url), "{name}");
        assert_eq!(call(&provider, &ask("hi"), &Limits::default()).await.failure, None, "{name}");
    }
    let draft = open(NOVA, &Choice::default(), REGION).expect("opens").draft(&ask("hi")).expect("a draft");
    let wanted = "https://bedrock-runtime.us-east-1.amazonaws.com/model/amazon.nova-lite-v1%3A0/converse-stream";
    assert_eq!(draft.url, wanted);
    let plain = Choice { base_url: Some("http://gateway.example".into()), ..Choice::default() };
    assert_eq!(open(NOVA, &plain, REGION).expect_err("the prompt would be readable").class, ErrorClass::Config);
}

#[tokio::test]
async fn a_guardrail_that_stepped_in_is_a_filter_and_is_billed() {
    let mut frames = hello();
    frames[4] = stop("guardrail_intervened");
    let got = chat(&Server::always(Reply::stream(frames.concat())).await, NOVA).await;
    assert_eq!(got.answer.finish.expect("finished").reason, FinishReason::ContentFilter);
    assert_eq!(got.answer.usage.expect("billed").get(Meter::Input), Some(3));
    for (raw, reason) in [
        ("max_tokens", FinishReason::Length),
        ("model_context_window_exceeded", FinishReason::Length),
        ("stop_sequence", FinishReason::StopSequence),
        ("content_filtered", FinishReason::ContentFilter),
        ("malformed_tool_use", FinishReason::Other),
        ("a_new_reason", FinishReason::Other),
    ] {
        let mut frames = hello();
        frames[4] = stop(raw);
        let finish = chat(&Server::always(Reply::stream(frames.concat())).await, NOVA).await.answer.finish;
        let finish = finish.expect("finished");
        assert_eq!((finish.reason, finish.raw.as_str()), (reason, raw));
    }
}
