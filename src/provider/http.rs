//! Any row that speaks HTTP: encode, send, cut into frames, decode.

use std::sync::Arc;
use std::time::Duration;

use reqwest::Url;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use tokio::time::{Instant, timeout};

use super::catalog::{Auth, Row};
use super::error::{self, Caller, Limit};
use super::google::{self, Ambient};
use super::key::{self, Key, Redactor};
use super::net::{Net, is_loopback};
use super::{Choice, Draft, Env, Errand, Limits, trace};
use crate::domain::chat::{ChatEvent, ChatRequest};
use crate::domain::failure::{ErrorClass, Failure};
use crate::domain::model::{ModelFacts, ModelName};
use crate::domain::money::Usd;
use crate::domain::usage::Charge;
use crate::wire::body::Body;
use crate::wire::contract::{DecodeError, Dialect, Encoded, Target};

/// Most of an error's body that is read, in bytes.
const ERROR_BODY_MAX: usize = 64 << 10;
/// How long late data is waited for after `[DONE]`.
const AFTER_DONE: Duration = Duration::from_secs(1);

/// A model behind HTTP.
#[derive(Debug)]
pub struct Http {
    row: Row,
    model: String,
    facts: ModelFacts,
    dialect: Dialect,
    stream: bool,
    base: Url,
    base_origin: String,
    /// The path with everything filled in but `{method}`.
    path: String,
    region: Option<String>,
    headers: Vec<(String, String)>,
    credential: Credential,
    net: Arc<Net>,
}

#[derive(Debug)]
enum Credential {
    None,
    Key(Key),
    Google(google::Source),
}

impl Http {
    /// # Errors
    /// See [`super::Provider::open`].
    pub fn open(
        row: &Row,
        name: &ModelName,
        facts: ModelFacts,
        api: Option<Dialect>,
        choice: &Choice,
        net: &Arc<Net>,
        env: Env<'_>,
    ) -> Result<Http, Failure> {
        let moved = moved_base(row, choice, env);
        let dialect = dialect(row, api, choice, moved.is_some())?;
        let given = choice.region.clone().or_else(|| name.region.clone());
        let here_instead =
            moved.as_ref().is_some_and(|(base, origin)| parse_base(base, origin).is_ok_and(|base| is_loopback(&base)));
        let credential = credential(row, here_instead, env)?;
        let project = match &credential {
            Credential::Google(source) => source.project().map(str::to_owned),
            Credential::None | Credential::Key(_) => None,
        };
        let vars = Vars { row, env, region: given, project, model: &name.model, stand_in: here_instead };
        let (base, base_origin) = match &moved {
            Some((base, origin)) => (base.clone(), origin.clone()),
            None => (vars.base()?, if row.own { "config.toml" } else { "the catalog" }.to_owned()),
        };
        let base = parse_base(&base, &base_origin)?;
        let path = vars.fill(row_path(row, dialect, &vars), "the path")?;
        let here = is_loopback(&base);
        let carries_secret = !matches!(credential, Credential::None);
        if base.scheme() == "http" && !here && carries_secret && !row.allow_http {
            return Err(Failure::new(
                ErrorClass::Config,
                format!("{} is plain http: the key would be readable on the way", base.origin().ascii_serialization()),
            )
            .advise(format!("use https://, or set allow_http = true in [provider.{}] of config.toml", row.id)));
        }
        // A stand-in on this machine rarely has a key, and a draft goes nowhere; else a missing one is an error.
        if row.auth == Auth::Key && !carries_secret && !here_instead && !choice.draft {
            return Err(key::missing(row));
        }
        let headers = row.headers.iter().map(|(name, value)| Ok((name.clone(), vars.fill(value.clone(), name)?)));
        Ok(Http {
            model: name.model.clone(),
            stream: !choice.whole && facts.streams,
            facts,
            dialect,
            region: vars.region(),
            headers: headers.collect::<Result<_, Failure>>()?,
            row: row.clone(),
            base,
            base_origin,
            path,
            credential,
            net: Arc::clone(net),
        })
    }

    #[must_use]
    pub fn region(&self) -> Option<&str> {
        self.region.as_deref()
    }

    #[must_use]
    pub fn dialect(&self) -> Dialect {
        self.dialect
    }

    /// See [`super::Provider::siblings`].
    #[must_use]
    pub fn siblings(&self) -> &[String] {
        &self.row.models
    }

    pub(super) fn base(&self) -> &Url {
        &self.base
    }

    /// The path of its calls, with `{method}` in it.
    pub(super) fn path(&self) -> &str {
        &self.path
    }

    pub(super) fn net(&self) -> &Net {
        &self.net
    }

    /// The headers of a request, and what of them must never be shown.
    ///
    /// # Errors
    /// `auth` where the credential cannot be had.
    pub(super) async fn headers_for(&self, request: &ChatRequest) -> Result<(HeaderMap, Redactor), Failure> {
        self.request_headers(&self.encode(request)?, &uuid::Uuid::now_v7().to_string()).await
    }

    #[must_use]
    pub fn credential_name(&self) -> Option<String> {
        match &self.credential {
            Credential::None => None,
            Credential::Key(key) => Some(key.origin.clone()),
            Credential::Google(source) => Some(source.name()),
        }
    }

    #[must_use]
    pub fn origins(&self) -> Vec<String> {
        let mut said = vec![format!("base URL {} from {}", self.base.as_str().trim_end_matches('/'), self.base_origin)];
        said.push(match &self.credential {
            Credential::None => "no credential".into(),
            Credential::Key(key) => format!("credential from {}", key.origin),
            Credential::Google(source) => format!("credential from {}", source.name()),
        });
        if let Some(region) = &self.region {
            said.push(format!("region {region}"));
        }
        said
    }

    #[must_use]
    pub fn warnings(&self) -> Vec<String> {
        let catalog =
            self.row.base_url.as_deref().filter(|base| !base.contains('{')).and_then(|base| Url::parse(base).ok());
        let strange = catalog.is_some_and(|catalog| catalog.host_str() != self.base.host_str());
        if strange && !is_loopback(&self.base) && !matches!(self.credential, Credential::None) {
            let host = self.base.host_str().unwrap_or_default();
            return vec![format!("{} is called at {host} (from {}), with its key", self.row.name, self.base_origin)];
        }
        Vec::new()
    }

    /// # Errors
    /// `config` where the API has no form for something in the request.
    pub fn draft(&self, request: &ChatRequest) -> Result<Draft, Failure> {
        let encoded = self.encode(request)?;
        let mut headers: Vec<(String, String)> = vec![("content-type".into(), "application/json".into())];
        headers.extend(encoded.headers.iter().map(|(name, value)| ((*name).to_owned(), value.clone())));
        headers.extend(self.headers.iter().cloned());
        match &self.credential {
            Credential::None => {}
            Credential::Key(key) => headers.push((key.header.clone(), format!("[hidden, from {}]", key.origin))),
            Credential::Google(source) => {
                headers.push(("authorization".into(), format!("[hidden, from {}]", source.name())))
            }
        }
        Ok(Draft {
            url: self.url(&encoded)?.to_string(),
            dialect: self.dialect,
            headers,
            output_max: super::output_max(&encoded.body),
            // Whether Google's cap holds thinking, too, is not confirmed, and its usage counts them apart.
            thinking_apart: self.row.quirks.reasoning_apart
                || self.row.quirks.thinking_outside_cap
                || self.dialect == Dialect::GenerateContent,
            attachment_tokens: self.facts.attached(request),
            simulated: None,
            body: encoded.body,
            ignored: encoded.ignored,
            region: self.region.clone(),
        })
    }

    fn encode(&self, request: &ChatRequest) -> Result<Encoded, Failure> {
        let target = Target { model: &self.model, quirks: &self.row.quirks, facts: &self.facts, stream: self.stream };
        self.dialect.encode(request, &target).map_err(|error| {
            Failure::new(ErrorClass::Config, error.0).advise("leave it out, convert it, or use a model that takes it")
        })
    }

    fn url(&self, encoded: &Encoded) -> Result<Url, Failure> {
        let method = match (&self.row.quirks.methods, encoded.method) {
            (Some([whole, streamed]), "") => if self.stream { streamed } else { whole }.clone(),
            (_, method) => method.to_owned(),
        };
        let path = self.path.replace("{method}", &method);
        let joined = joined(&self.base, &path);
        Url::parse(&joined).map_err(|error| Failure::new(ErrorClass::Config, format!("{joined} is no URL: {error}")))
    }

    pub(super) fn caller<'a>(&'a self, host: &'a str) -> Caller<'a> {
        let key_origin = match &self.credential {
            Credential::Key(key) => Some(key.told.as_str()),
            Credential::None | Credential::Google(_) => None,
        };
        Caller { row: &self.row, model: &self.model, key_origin, host, sent: None }
    }

    /// # Errors
    /// A [`Failure`] that says whether it may have cost money.
    pub async fn send(&self, request: &ChatRequest, limits: &Limits, errand: Errand<'_>) -> Result<Arriving, Failure> {
        let encoded = self.encode(request)?;
        let url = self.url(&encoded)?;
        let host = host_of(&url);
        let body = encoded.body.to_string();
        let caller = Caller { sent: Some(body.len()), ..self.caller(&host) };
        let client = self.net.client(&url)?;
        let (headers, redactor) = self.request_headers(&encoded, errand.id).await?;
        let departure = errand.departure;
        trace::connecting(&self.net, &self.base);
        let sending = client.post(url).headers(headers).body(departure.carry(body)).send();
        let (limit, head) = if self.stream { (Limit::Head, limits.head) } else { (Limit::Whole, limits.whole) };
        let sent = tokio::select! {
            sent = sending => sent,
            () = departure.overdue(limits.connect + limits.tls, head) => {
                return Err(error::no_head(departure, limit, head, &caller));
            }
        };
        let response =
            sent.map_err(|fault| redactor.failure(error::unanswered(&fault, departure, self.net.proxy(), &caller)))?;
        let status = response.status().as_u16();
        trace::answered(status, response.headers());
        let request_id = error::request_id(response.headers()).map(|id| redactor.text(&id));
        if (300..400).contains(&status) {
            let location = response.headers().get("location").and_then(|value| value.to_str().ok());
            return Err(redactor.failure(error::redirected(status, location, &caller)));
        }
        if let Some(encoding) = response.headers().get("content-encoding").filter(|encoding| *encoding != "identity") {
            let encoding = redactor.text(encoding.to_str().unwrap_or("unknown"));
            return Err(Failure::new(
                ErrorClass::Protocol,
                format!("{host} answers with content-encoding {encoding}, which nobody asked for"),
            )
            .maybe_billed());
        }
        if status >= 400 {
            let headers = response.headers().clone();
            let body = redactor.text(&error_body(response, limits).await);
            let words = redactor.api(self.dialect.error(status, &body));
            return Err(redactor.failure(error::refused(words, Some(status), Some(&headers), &caller)));
        }
        let stated = self.row.quirks.charge_header.as_ref().and_then(|name| response.headers().get(name));
        let charge = stated.map_or(Ok(None), charge);
        let (row, model) = (self.row.clone(), self.model.clone());
        let key_origin = caller.key_origin.map(str::to_owned);
        Ok(Arriving {
            response,
            body: Body::new(self.dialect, &self.row.quirks),
            ignored: encoded.ignored,
            request_id,
            charge,
            began: false,
            ended: false,
            limits: *limits,
            last_content: Instant::now(),
            whose: Whose { row, model, key_origin, sent: caller.sent, host },
            redactor,
        })
    }

    /// Every header of a request, and what of it must never be shown.
    async fn request_headers(&self, encoded: &Encoded, id: &str) -> Result<(HeaderMap, Redactor), Failure> {
        let mut headers = HeaderMap::new();
        // OpenAI and Azure log it; who does not know it has no use for it.
        headers.insert("x-client-request-id", header_value(id, "x-client-request-id")?);
        headers.insert("content-type", HeaderValue::from_static("application/json"));
        let accept = if self.stream { "text/event-stream, application/json" } else { "application/json" };
        headers.insert("accept", HeaderValue::from_static(accept));
        headers.insert("accept-encoding", HeaderValue::from_static("identity"));
        for (name, value) in encoded
            .headers
            .iter()
            .map(|(name, value)| (*name, value))
            .chain(self.headers.iter().map(|(name, value)| (name.as_str(), value)))
        {
            headers.insert(header_name(name)?, header_value(value, name)?);
        }
        let (name, value, secret) = match &self.credential {
            Credential::None => return Ok((headers, Redactor::default())),
            Credential::Key(key) => (key.header.as_str(), key.value(), key.secret.clone()),
            Credential::Google(source) => {
                let client = self.net.client(source.endpoint().unwrap_or(&self.base))?;
                let token = source.token(&client, std::time::SystemTime::now()).await?;
                if let Some(project) = source.quota_project() {
                    headers.insert("x-goog-user-project", header_value(project, "x-goog-user-project")?);
                }
                ("authorization", format!("Bearer {}", token.secret.expose()), token.secret)
            }
        };
        let mut value = header_value(&value, name)?;
        value.set_sensitive(true);
        headers.insert(header_name(name)?, value);
        key::remember(&secret);
        Ok((headers, Redactor(Some(secret))))
    }
}

fn header_name(name: &str) -> Result<HeaderName, Failure> {
    HeaderName::from_bytes(name.as_bytes())
        .map_err(|_| Failure::new(ErrorClass::Config, format!("\"{name}\" is no name of a header")))
}

fn header_value(value: &str, name: &str) -> Result<HeaderValue, Failure> {
    // The value may be a secret: only the header's name is said.
    HeaderValue::from_str(value).map_err(|_| {
        Failure::new(
            ErrorClass::Auth,
            format!("the value for the header {name} holds characters that no header can carry"),
        )
        .advise("check the key for quotes, line breaks or pasted text around it")
    })
}

/// The base URL where something moved it: the flag, our variable, the SDK's variable.
pub(super) fn moved_base(row: &Row, choice: &Choice, env: Env<'_>) -> Option<(String, String)> {
    if let Some(base) = &choice.base_url {
        return Some((base.clone(), "--base-url".into()));
    }
    let ours = format!("LLMX_{}_BASE_URL", error::variable(&row.id));
    std::iter::once(&ours).chain(&row.base_url_env).find_map(|name| Some((env(name)?, name.clone())))
}

/// A base URL as users write them: `localhost:8080` is plain http; `0.0.0.0` (a server's listening address) is this machine.
pub(super) fn parse_base(text: &str, origin: &str) -> Result<Url, Failure> {
    let text = text.trim();
    // Without a scheme: a host with a port is a server near by, a bare name one on the internet.
    let near = text.contains(':') || text.starts_with("localhost") || text.starts_with("127.");
    let scheme = if near { "http" } else { "https" };
    let with_scheme = if text.contains("://") { text.to_owned() } else { format!("{scheme}://{text}") };
    let wrong = |reason: String| {
        Failure::new(ErrorClass::Config, format!("the base URL from {origin} is not usable: {reason}"))
            .advise("give it as https://host/path, without a query")
    };
    let mut url = Url::parse(&with_scheme).map_err(|error| wrong(error.to_string()))?;
    if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
        return Err(wrong(format!("{}: is no http address", url.scheme())));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(wrong("it holds a user name or a password".into()));
    }
    // Paths are put behind it; and a query is where keys hide.
    if url.query().is_some() || url.fragment().is_some() {
        return Err(wrong("it holds a query".into()));
    }
    let path = url.path().trim_end_matches('/').to_owned();
    url.set_path(&path);
    if url.host_str() == Some("0.0.0.0") {
        url.set_host(Some("127.0.0.1")).map_err(|error| wrong(error.to_string()))?;
    }
    Ok(url)
}

fn dialect(row: &Row, by_model: Option<Dialect>, choice: &Choice, moved: bool) -> Result<Dialect, Failure> {
    let own = by_model.or_else(|| row.api.first().copied()).unwrap_or(Dialect::Chat);
    let Some(wanted) = choice.api else {
        return Ok(own);
    };
    // A server that the user names may speak anything.
    if row.api.contains(&wanted) || (moved && wanted != Dialect::Converse) {
        return Ok(wanted);
    }
    let spoken: Vec<&str> = row.api.iter().map(|api| api.as_str()).collect();
    Err(Failure::new(ErrorClass::Config, format!("{} does not speak {}", row.name, wanted.as_str()))
        .advise(format!("use --api {} or leave it out", spoken.join(" or --api "))))
}

/// The row's credential. `here_instead`: the base URL was moved to this machine, where a stand-in rarely has one.
fn credential(row: &Row, here_instead: bool, env: Env<'_>) -> Result<Credential, Failure> {
    if row.auth != Auth::Google {
        return Ok(key::find(row, env)?.map_or(Credential::None, Credential::Key));
    }
    let home = env("HOME").or_else(|| env("USERPROFILE")).map(std::path::PathBuf::from);
    match google::Source::find(&Ambient { env, home: home.as_deref() }) {
        Ok(google::Source::Metadata(_)) | Err(_) if here_instead => Ok(Credential::None),
        found => found.map(Credential::Google),
    }
}

/// What stands in braces in a row's base URL, paths and headers.
struct Vars<'a> {
    row: &'a Row,
    env: Env<'a>,
    region: Option<String>,
    project: Option<String>,
    model: &'a str,
    /// The call goes to a stand-in on this machine, which does not look at accounts and projects.
    stand_in: bool,
}

impl Vars<'_> {
    fn get(&self, name: &str) -> Option<String> {
        let from_env = || self.row.vars.get(name)?.iter().find_map(|variable| (self.env)(variable));
        match name {
            "model" => Some(escaped(self.model)),
            "region" => self.region.clone().or_else(from_env),
            "project" => from_env().or_else(|| self.project.clone()),
            _ => from_env(),
        }
    }

    fn region(&self) -> Option<String> {
        self.row.vars.contains_key("region").then(|| self.get("region")).flatten().or_else(|| self.region.clone())
    }

    fn base(&self) -> Result<String, Failure> {
        if let Some(base) = self.region().and_then(|region| self.row.hosts.get(&region)) {
            return self.fill(base.clone(), "the base URL");
        }
        let Some(base) = &self.row.base_url else {
            let variable = self
                .row
                .base_url_env
                .first()
                .cloned()
                .unwrap_or_else(|| format!("LLMX_{}_BASE_URL", error::variable(&self.row.id)));
            return Err(Failure::new(ErrorClass::Config, format!("{} has no address here", self.row.name))
                .advise(format!("export {variable}=https://…, or use --base-url")));
        };
        self.fill(base.clone(), "the base URL")
    }

    /// Fills every `{name}` but `{method}`.
    fn fill(&self, template: String, what: &str) -> Result<String, Failure> {
        let mut filled = String::with_capacity(template.len() + 32);
        let mut rest = template.as_str();
        while let Some((before, after)) = rest.split_once('{') {
            let Some((name, tail)) = after.split_once('}') else { break };
            filled.push_str(before);
            if name == "method" {
                filled.push_str("{method}");
            } else {
                let value = self.get(name).or_else(|| self.stand_in.then(|| "-".to_owned()));
                filled.push_str(&value.ok_or_else(|| self.unknown(name, what))?);
            }
            rest = tail;
        }
        filled.push_str(rest);
        Ok(filled)
    }

    fn unknown(&self, name: &str, what: &str) -> Failure {
        // The whole address by the variable that the provider's SDK knows is as good.
        let address =
            self.row.base_url_env.first().filter(|_| what == "the base URL").map(|name| format!("{name}=https://…"));
        let names = self.row.vars.get(name).into_iter().flatten().cloned().chain(address);
        let variables = names.collect::<Vec<_>>().join(" or ");
        let class = if name == "region" { ErrorClass::Region } else { ErrorClass::Config };
        let advice = match (name, variables.is_empty()) {
            ("region", true) => "use --region REGION".to_owned(),
            ("region", false) => format!("use --region REGION, or export {variables}"),
            (_, false) => format!("export {variables}"),
            (_, true) => format!("set it in [provider.{}] of config.toml", self.row.id),
        };
        Failure::new(
            class,
            format!("{} needs {what} with its {name}, and none is set; nothing was sent", self.row.name),
        )
        .advise(advice)
    }
}

fn row_path(row: &Row, dialect: Dialect, vars: &Vars<'_>) -> String {
    let when = row.when.as_ref().filter(|when| vars.get(&when.var).is_some());
    let special = when.and_then(|when| when.paths.get(&dialect)).or_else(|| row.paths.get(&dialect));
    special.cloned().unwrap_or_else(|| dialect.path().to_owned())
}

/// A model's id inside a path: a slash and a colon stay, since providers have them in their ids.
fn escaped(model: &str) -> String {
    let mut out = String::with_capacity(model.len());
    for byte in model.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' | b':' | b'@' => {
                out.push(char::from(byte))
            }
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

/// The path after the base, without what the base already ends with: users give `…/v1` and `…/v1/chat/completions`, too.
pub(super) fn joined(base: &Url, path: &str) -> String {
    let base = base.as_str().trim_end_matches('/');
    let after_host =
        base.find("://").and_then(|at| base[at + 3..].find('/').map(|slash| at + 3 + slash)).unwrap_or(base.len());
    let own = &base[after_host..];
    let overlap = path
        .char_indices()
        .filter(|(at, character)| *character == '/' && *at > 0)
        .map(|(at, _)| at)
        .chain(std::iter::once(path.len()))
        .filter(|end| own.ends_with(&path[..*end]))
        .max()
        .unwrap_or(0);
    format!("{base}{}", &path[overlap..])
}

pub(super) fn host_of(url: &Url) -> String {
    let host = url.host_str().unwrap_or("the host");
    url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

/// The body of an error, up to its limits of size and time; what came is enough where it is cut.
async fn error_body(mut response: reqwest::Response, limits: &Limits) -> String {
    let mut body = Vec::new();
    let whole = timeout(limits.idle, async {
        while body.len() < ERROR_BODY_MAX
            && let Ok(Some(piece)) = response.chunk().await
        {
            body.extend_from_slice(&piece[..piece.len().min(ERROR_BODY_MAX - body.len())]);
        }
    });
    let _ = whole.await;
    String::from_utf8_lossy(&body).into_owned()
}

/// What a header says that an answer costs, in USD; `None` where it holds no number (`None`).
///
/// # Errors
/// The note that says why it is not booked.
fn charge(stated: &HeaderValue) -> Result<Option<Charge>, String> {
    let text = stated.to_str().unwrap_or_default();
    if !text.contains(|character: char| character.is_ascii_digit()) {
        return Ok(None);
    }
    match Usd::parse(text).filter(|usd| usd.picos >= 0) {
        Some(usd) => Ok(Some(Charge { usd, upstream: None })),
        None => Err(format!("usage: the stated charge is no amount and is not booked: {text}")),
    }
}

/// An answer on its way over HTTP.
pub struct Arriving {
    response: reqwest::Response,
    body: Body,
    ignored: Vec<String>,
    request_id: Option<String>,
    /// What the head says that the answer costs, or why that is not booked.
    charge: Result<Option<Charge>, String>,
    /// Something of the answer has come.
    began: bool,
    ended: bool,
    limits: Limits,
    last_content: Instant,
    whose: Whose,
    redactor: Redactor,
}

/// [`Caller`], owned.
struct Whose {
    row: Row,
    model: String,
    key_origin: Option<String>,
    sent: Option<usize>,
    host: String,
}

impl Whose {
    fn caller(&self) -> Caller<'_> {
        Caller {
            row: &self.row,
            model: &self.model,
            key_origin: self.key_origin.as_deref(),
            host: &self.host,
            sent: self.sent,
        }
    }
}

impl Arriving {
    #[must_use]
    pub fn request_id(&self) -> Option<&str> {
        self.request_id.as_deref()
    }

    /// See [`super::Arriving::redactor`].
    #[must_use]
    pub fn redactor(&self) -> Redactor {
        self.redactor.clone()
    }

    /// See [`super::Arriving::next`].
    ///
    /// # Errors
    /// A [`Failure`] that says whether it may have cost money.
    pub async fn next(&mut self, out: &mut Vec<ChatEvent>) -> Result<bool, Failure> {
        if !self.ignored.is_empty() {
            out.extend(self.ignored.drain(..).map(ChatEvent::Ignored));
            return Ok(true);
        }
        let before = out.len();
        while !self.ended && out.len() == before {
            let read = self.read(out).await;
            if self.ended || read.is_err() {
                let skipped = self.body.skipped();
                out.extend((skipped > 0).then_some(ChatEvent::Skipped(skipped)));
            }
            read?;
        }
        Ok(out.len() > before || !self.ended)
    }

    async fn read(&mut self, out: &mut Vec<ChatEvent>) -> Result<(), Failure> {
        let silent = self.last_content.elapsed();
        let left = self.limits.content.saturating_sub(silent);
        // Asked first: where there is always something to read, no wait runs out.
        if left.is_zero() && !self.body.is_done() {
            return Err(error::stalled(Limit::Content, self.limits.content, &self.whose.caller()));
        }
        let wait = if self.body.is_done() { AFTER_DONE } else { self.limits.idle.min(left) };
        let piece = match timeout(wait, self.response.chunk()).await {
            Err(_) if self.body.is_done() => None,
            Err(_) if left < self.limits.idle => {
                return Err(error::stalled(Limit::Content, self.limits.content, &self.whose.caller()));
            }
            Err(_) => return Err(error::stalled(Limit::Idle, self.limits.idle, &self.whose.caller())),
            // The connection broke after the model had finished: only the usage can be missing.
            Ok(Err(_)) if self.body.is_finished() => None,
            Ok(Err(fault)) => return Err(self.redactor.failure(error::cut(&fault, &self.whose.caller()))),
            Ok(Ok(piece)) => piece,
        };
        let before = out.len();
        let read = match piece {
            Some(piece) => self.body.push(&piece, out),
            None => {
                self.ended = true;
                self.body.end(out)
            }
        };
        for event in &mut out[before..] {
            if let ChatEvent::Usage(usage) = event {
                match &self.charge {
                    Ok(charge) => usage.charge = usage.charge.take().or_else(|| charge.clone()),
                    Err(note) => usage.warnings.push(note.clone()),
                }
            }
        }
        if out.len() > before {
            // That it has ended is nothing of the answer: a response that failed at once says it, too.
            let is_answer = |event: &ChatEvent| {
                !matches!(event, ChatEvent::Started { .. } | ChatEvent::Note(_) | ChatEvent::Finished(_))
            };
            self.began |= out[before..].iter().any(is_answer);
            self.last_content = Instant::now();
        }
        read.map_err(|error| {
            self.ended = true;
            let error = match error {
                DecodeError::Api(error) => DecodeError::Api(self.redactor.api(error)),
                other => other,
            };
            self.redactor.failure(error::unreadable(error, self.began, &self.whose.caller()))
        })
    }
}

#[cfg(test)]
mod tests {
    use reqwest::Url;

    use super::{joined, parse_base};

    #[test]
    fn a_base_url_that_already_holds_a_part_of_the_path_does_not_double_it() {
        for (base, path, whole) in [
            ("https://api.openai.com/v1", "/chat/completions", "https://api.openai.com/v1/chat/completions"),
            ("https://gw.example/x", "/v1/messages", "https://gw.example/x/v1/messages"),
            ("https://gw.example/v1", "/v1/messages", "https://gw.example/v1/messages"),
            ("https://gw.example/v1/messages", "/v1/messages", "https://gw.example/v1/messages"),
            ("https://gw.example", "/v1/messages", "https://gw.example/v1/messages"),
            (
                "http://127.0.0.1:1/x/v1beta",
                "/v1beta/models/m:g?alt=sse",
                "http://127.0.0.1:1/x/v1beta/models/m:g?alt=sse",
            ),
        ] {
            assert_eq!(joined(&Url::parse(base).expect("a URL"), path), whole);
        }
    }

    #[test]
    fn a_base_url_is_read_as_people_write_them() {
        for (text, means) in [
            ("localhost:11434", "http://localhost:11434/"),
            ("dbc-1.cloud.databricks.com", "https://dbc-1.cloud.databricks.com/"),
            ("0.0.0.0:11434", "http://127.0.0.1:11434/"),
            (" https://x.example/v1/ ", "https://x.example/v1"),
        ] {
            assert_eq!(parse_base(text, "a test").expect(text).as_str(), means);
        }
        for text in ["ftp://x", "https://user:pw@x.example", "http://", "::", "https://x.example/v1?key=k"] {
            assert!(parse_base(text, "a test").is_err(), "{text}");
        }
    }
}
