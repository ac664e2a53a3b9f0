//! The SDK's requests over our HTTP client: one TLS stack, our roots, our proxy rules, our time limits, no redirects; and
//! an eye on what comes back, since the SDK's types drop fields that bills are made of.

use std::future::Future as _;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, SystemTime};

use aws_smithy_eventstream::frame::read_message_from;
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::DateTime;
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::date_time::Format;
use bytes::{Bytes, BytesMut};
use http_body::Frame;
use reqwest::header::HeaderMap;
use reqwest::{Method, Url};
use serde_json::Value;
use tokio::time::{Instant, Sleep, sleep, timeout};

use crate::domain::failure::{ErrorClass, Failure};
use crate::provider::Limits;
use crate::provider::catalog::Row;
use crate::provider::departure::Departure;
use crate::provider::error::{self, Caller, Limit};
use crate::provider::net::Net;
use crate::provider::trace;
use crate::wire::contract::DecodeError;
use crate::wire::errors;

/// Most of an error's body that is read, in bytes.
const ERROR_BODY_MAX: usize = 64 << 10;
/// Most of a whole answer's body, in bytes.
const BODY_MAX: usize = 64 << 20;
/// Most of one frame of a stream, in bytes.
const FRAME_MAX: usize = 16 << 20;

/// Whose call this is: what failures and advice name.
#[derive(Debug)]
pub struct Whose {
    pub row: Row,
    pub model: String,
    /// Host and port, as the user would recognise them.
    pub host: String,
    /// Where the credential was found.
    pub credential: String,
}

impl Whose {
    #[must_use]
    pub fn caller(&self) -> Caller<'_> {
        Caller { row: &self.row, model: &self.model, key_origin: Some(&self.credential), host: &self.host, sent: None }
    }
}

/// One request to Bedrock and what was seen of its answer.
#[derive(Debug)]
pub struct Call {
    pub whose: Arc<Whose>,
    pub limits: Limits,
    /// An event stream was asked for.
    pub streamed: bool,
    departure: Departure,
    seen: Mutex<Seen>,
}

/// What came back, as received.
#[derive(Debug, Default)]
pub struct Seen {
    pub head: Option<Head>,
    /// The body of an answer that is not streamed, or of an error.
    pub body: Bytes,
    /// The payload of the stream's `metadata` event.
    pub metadata: Option<Value>,
    /// Names of events that are not known here.
    pub unknown: Vec<String>,
}

/// The head of a response.
#[derive(Debug, Clone)]
pub struct Head {
    pub status: u16,
    pub headers: HeaderMap,
    /// When it came.
    at: SystemTime,
}

impl Head {
    /// One that has just come.
    #[must_use]
    pub fn now(status: u16, headers: HeaderMap) -> Head {
        Head { status, headers, at: SystemTime::now() }
    }

    #[must_use]
    pub fn text(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// By how many seconds the server's clock is ahead of ours (negative: behind), where it says what time it is.
    #[must_use]
    pub fn skew_s(&self) -> Option<i64> {
        let server = DateTime::from_str(self.text("date")?, Format::HttpDate).ok()?.secs();
        let here = self.at.duration_since(SystemTime::UNIX_EPOCH).ok()?.as_secs();
        Some(server - i64::try_from(here).ok()?)
    }
}

impl Call {
    #[must_use]
    pub fn new(whose: Arc<Whose>, limits: Limits, streamed: bool, departure: &Departure) -> Call {
        Call { whose, limits, streamed, departure: departure.clone(), seen: Mutex::default() }
    }

    /// What was seen so far.
    pub fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Our HTTP client in the SDK's shape.
#[derive(Debug, Clone)]
pub struct Wire {
    net: Arc<Net>,
    whose: Arc<Whose>,
    /// `None`: a request for credentials.
    call: Option<Arc<Call>>,
    limits: Limits,
}

impl Wire {
    /// For the requests by which credentials are found.
    #[must_use]
    pub fn for_credentials(net: &Arc<Net>, whose: &Arc<Whose>, limits: &Limits) -> Wire {
        Wire { net: Arc::clone(net), whose: Arc::clone(whose), call: None, limits: *limits }
    }

    /// For one call.
    #[must_use]
    pub fn for_call(net: &Arc<Net>, call: &Arc<Call>) -> Wire {
        Wire { net: Arc::clone(net), whose: Arc::clone(&call.whose), call: Some(Arc::clone(call)), limits: call.limits }
    }

    async fn exchange(self, request: HttpRequest, most: Option<Duration>) -> Result<HttpResponse, Failure> {
        let unusable = |what: &str| Failure::new(ErrorClass::Config, format!("the AWS SDK made {what}"));
        let url = Url::parse(request.uri()).map_err(|error| unusable(&format!("no URL: {error}")))?;
        let client = self.net.client(&url)?;
        let method = Method::from_bytes(request.method().as_bytes()).map_err(|_| unusable("a strange method"))?;
        let mut sending = client.request(method, url.clone());
        for (name, value) in request.headers() {
            sending = sending.header(name, value);
        }
        let body = request.body().bytes().ok_or_else(|| unusable("a body that is not in memory"))?.to_vec();
        let caller = Caller { host: url.host_str().unwrap_or(&self.whose.host), ..self.whose.caller() };
        // A request for credentials is nobody's departure but its own.
        let departure = self.call.as_ref().map(|call| call.departure.clone()).unwrap_or_default();
        trace::connecting(&self.net, &url);
        let (connecting, head) = match most {
            Some(most) => (Duration::ZERO, most),
            None => (self.limits.connect + self.limits.tls, self.limits.head),
        };
        let sent = tokio::select! {
            sent = sending.body(departure.carry(body)).send() => sent,
            () = departure.overdue(connecting, head) => return Err(error::no_head(&departure, Limit::Head, head, &caller)),
        };
        let mut response = sent.map_err(|fault| error::unanswered(&fault, &departure, self.net.proxy(), &caller))?;
        let head =
            Head { status: response.status().as_u16(), headers: response.headers().clone(), at: SystemTime::now() };
        trace::answered(head.status, &head.headers);
        if let Some(call) = &self.call {
            call.seen().head = Some(head.clone());
        }
        if (300..400).contains(&head.status) {
            return Err(error::redirected(head.status, head.text("location"), &caller));
        }
        if let Some(encoding) = head.text("content-encoding").filter(|encoding| *encoding != "identity") {
            let reason = format!("content-encoding {encoding}, which nobody asked for");
            return Err(error::unreadable(DecodeError::Malformed(reason), false, &caller));
        }
        let body = match &self.call {
            Some(call) if call.streamed && head.status == 200 => {
                if let Some(other) = head.text("content-type").filter(|kind| !kind.contains("eventstream")) {
                    let other = other.to_owned();
                    let body = read(&mut response, ERROR_BODY_MAX, &self.limits, &caller).await?.0;
                    return Err(no_stream(&other, &body, &caller));
                }
                SdkBody::from_body_1_x(Watched::new(response, Arc::clone(call)))
            }
            _ => {
                let most = if head.status >= 400 { ERROR_BODY_MAX } else { BODY_MAX };
                let (body, cut) = read(&mut response, most, &self.limits, &caller).await?;
                if cut && head.status < 400 {
                    let reason = format!("more than {} MiB", BODY_MAX >> 20);
                    return Err(error::unreadable(DecodeError::Malformed(reason), false, &caller));
                }
                if let Some(call) = &self.call {
                    call.seen().body = body.clone();
                }
                SdkBody::from(body)
            }
        };
        let status = head.status.try_into().map_err(|_| unusable("an answer without a status"))?;
        let mut answer = HttpResponse::new(status, body);
        for (name, value) in &head.headers {
            if let Ok(value) = value.to_str() {
                answer.headers_mut().append(name.as_str().to_owned(), value.to_owned());
            }
        }
        Ok(answer)
    }
}

/// A body up to `most` bytes, and whether it was cut there.
pub(super) async fn read(
    response: &mut reqwest::Response,
    most: usize,
    limits: &Limits,
    caller: &Caller<'_>,
) -> Result<(Bytes, bool), Failure> {
    let mut body = BytesMut::new();
    loop {
        match timeout(limits.idle, response.chunk()).await {
            Err(_) => return Err(error::stalled(Limit::Idle, limits.idle, caller)),
            Ok(Err(fault)) => return Err(error::cut(&fault, caller)),
            Ok(Ok(None)) => return Ok((body.freeze(), false)),
            Ok(Ok(Some(piece))) => {
                let room = most - body.len();
                body.extend_from_slice(&piece[..piece.len().min(room)]);
                if piece.len() > room {
                    return Ok((body.freeze(), true));
                }
            }
        }
    }
}

/// A 200 that is no event stream, although one was asked for: never read as frames, which would hide its words.
fn no_stream(kind: &str, body: &[u8], caller: &Caller<'_>) -> Failure {
    let value: Value = serde_json::from_slice(body).unwrap_or_default();
    match errors::from_value(None, &value) {
        Some(api) => error::unreadable(DecodeError::Api(api), false, caller),
        None => error::unreadable(
            DecodeError::Malformed(format!("{kind} in answer to a request for an event stream")),
            false,
            caller,
        ),
    }
}

impl HttpClient for Wire {
    fn http_connector(&self, settings: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
        // Only the SDK's own requests (EC2 metadata) come with limits: they are shorter than ours.
        let most = settings.read_timeout().map(|read| read + settings.connect_timeout().unwrap_or(self.limits.connect));
        SharedHttpConnector::new(Connector { wire: self.clone(), most: most.filter(|_| self.call.is_none()) })
    }
}

#[derive(Debug)]
struct Connector {
    wire: Wire,
    most: Option<Duration>,
}

impl HttpConnector for Connector {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let (wire, most) = (self.wire.clone(), self.most);
        HttpConnectorFuture::new(async move {
            let asks_for_credentials = wire.call.is_none();
            wire.exchange(request, most).await.map_err(|mut failure| {
                if asks_for_credentials {
                    failure.may_be_billed = false;
                }
                match failure.class {
                    ErrorClass::Timeout => ConnectorError::timeout(failure.into()),
                    ErrorClass::Config => ConnectorError::user(failure.into()),
                    _ => ConnectorError::io(failure.into()),
                }
            })
        })
    }
}

/// A streamed body on its way to the SDK: watched for silence, and for what the SDK will not hand on.
struct Watched {
    body: reqwest::Body,
    call: Arc<Call>,
    silence: Pin<Box<Sleep>>,
    frames: Frames,
}

impl Watched {
    fn new(response: reqwest::Response, call: Arc<Call>) -> Watched {
        let silence = Box::pin(sleep(call.limits.idle));
        Watched { body: response.into(), call, silence, frames: Frames::default() }
    }
}

impl http_body::Body for Watched {
    type Data = Bytes;
    type Error = Failure;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Failure>>> {
        let this = &mut *self;
        let polled = Pin::new(&mut this.body).poll_frame(context);
        let Poll::Ready(frame) = polled else {
            if this.silence.as_mut().poll(context).is_ready() {
                return Poll::Ready(Some(Err(error::stalled(
                    Limit::Idle,
                    this.call.limits.idle,
                    &this.call.whose.caller(),
                ))));
            }
            return Poll::Pending;
        };
        this.silence.as_mut().reset(Instant::now() + this.call.limits.idle);
        Poll::Ready(frame.map(|frame| match frame {
            Ok(frame) => {
                if let Some(data) = frame.data_ref() {
                    this.frames.watch(data, &this.call)?;
                }
                Ok(frame)
            }
            Err(fault) => Err(error::cut(&fault, &this.call.whose.caller())),
        }))
    }
}

/// Cuts a copy of the stream into frames and keeps what bills and notes are made of.
#[derive(Default)]
struct Frames {
    buffer: BytesMut,
}

impl Frames {
    fn watch(&mut self, data: &[u8], call: &Call) -> Result<(), Failure> {
        self.buffer.extend_from_slice(data);
        while let Some(length) = self.buffer.first_chunk::<4>() {
            let length = u32::from_be_bytes(*length) as usize;
            if length > FRAME_MAX {
                let reason = format!("a frame of {length} bytes");
                return Err(error::unreadable(DecodeError::Malformed(reason), true, &call.whose.caller()));
            }
            // Shorter than any frame: the SDK refuses it in its own words.
            if length < 16 || self.buffer.len() < length {
                return Ok(());
            }
            keep(self.buffer.split_to(length).freeze(), call);
        }
        Ok(())
    }
}

/// The events that the SDK knows; a test holds each of them against its decoder.
const EVENTS: &[&str] =
    &["messageStart", "contentBlockStart", "contentBlockDelta", "contentBlockStop", "messageStop", "metadata"];

fn keep(frame: Bytes, call: &Call) {
    // A frame that cannot be read stops the SDK as well, which says so.
    let Ok(message) = read_message_from(frame) else { return };
    let header = |name: &str| {
        let header = message.headers().iter().find(|header| header.name().as_str() == name)?;
        header.value().as_string().ok().map(|text| text.as_str().to_owned())
    };
    match header(":event-type").as_deref() {
        Some("metadata") => call.seen().metadata = serde_json::from_slice(message.payload()).ok(),
        Some(event) if !EVENTS.contains(&event) => call.seen().unknown.push(event.to_owned()),
        _ => {}
    }
}
