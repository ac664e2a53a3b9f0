//! Google's Application Default Credentials: where they are found, and the access token that they give.
//!
//! Order and places: <https://cloud.google.com/docs/authentication/application-default-credentials>. Before them stands
//! `CLOUDSDK_AUTH_ACCESS_TOKEN`, the one variable for a ready token that Google's own tools read (gcloud; named in
//! googleapis/google-cloud-python#15199); `GOOGLE_OAUTH_ACCESS_TOKEN` is Terraform's and is not read. All read
//! 2026-11-22.

use std::error::Error as _;
use std::fmt;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use reqwest::{Client, RequestBuilder, Url};
use ring::rand::SystemRandom;
use ring::signature::{RSA_PKCS1_SHA256, RsaKeyPair};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::domain::failure::{ErrorClass, Failure};
use crate::domain::secret::Secret;

const ACCESS_TOKEN: &str = "CLOUDSDK_AUTH_ACCESS_TOKEN";
const CREDENTIALS: &str = "GOOGLE_APPLICATION_CREDENTIALS";
const WELL_KNOWN: &str = "application_default_credentials.json";
/// What Vertex AI asks for.
const SCOPE: &str = "https://www.googleapis.com/auth/cloud-platform";
const TOKEN_URI: &str = "https://oauth2.googleapis.com/token";
/// The metadata server by its address: its name (`metadata.google.internal`) costs a look-up that may hang elsewhere.
const METADATA_HOST: &str = "169.254.169.254";
/// It stands in the same rack or nowhere.
const METADATA_LIMIT: Duration = Duration::from_secs(3);
const TOKEN_LIMIT: Duration = Duration::from_secs(20);
/// Most of a credential file or of a token endpoint's answer that is read, in bytes.
const SIZE_MAX: usize = 64 << 10;
/// Most of a token endpoint's words that is shown, in characters.
const WORDS_MAX: usize = 500;

const ADVICE: &str = "run `gcloud auth application-default login`, or set GOOGLE_APPLICATION_CREDENTIALS to a service \
                      account's key file";

/// What surrounds the process: the environment, and the user's home directory.
#[derive(Clone, Copy)]
pub struct Ambient<'a> {
    pub env: &'a dyn Fn(&str) -> Option<String>,
    pub home: Option<&'a Path>,
}

impl Ambient<'_> {
    /// A variable that is set to nothing counts as unset.
    fn var(&self, name: &str) -> Option<String> {
        (self.env)(name).filter(|value| !value.trim().is_empty())
    }
}

/// Where tokens come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// A ready token from the environment.
    Token(Secret),
    ServiceAccount(ServiceAccount),
    AuthorizedUser(AuthorizedUser),
    /// The metadata server of the machine, which nobody has asked yet.
    Metadata(Metadata),
}

/// A service account's key file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceAccount {
    file: PathBuf,
    email: String,
    key: Secret,
    key_id: Option<String>,
    token_uri: Url,
    project: Option<String>,
}

/// What `gcloud auth application-default login` leaves behind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuthorizedUser {
    file: PathBuf,
    client_id: String,
    client_secret: Secret,
    refresh_token: Secret,
    token_uri: Url,
    project: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Metadata {
    /// Host, perhaps with a port.
    host: String,
    /// The files that would have come first and are not there, for the message.
    missing: Vec<PathBuf>,
}

/// An access token for the header `Authorization: Bearer`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    pub secret: Secret,
    /// When it ends, as its issuer said; `None` for a ready token.
    pub until: Option<SystemTime>,
}

impl Source {
    /// Looks where Google's libraries look, reading the environment and files only. Where nothing is found, the
    /// metadata server is the source, unless `NO_GCE_CHECK=true` says that there is none.
    ///
    /// # Errors
    /// [`ErrorClass::Auth`]: nothing is found, or what is found cannot be used. A file that `GOOGLE_APPLICATION_CREDENTIALS`
    /// names must be there: nothing else is tried then.
    pub fn find(ambient: &Ambient<'_>) -> Result<Source, Failure> {
        if let Some(token) = ambient.var(ACCESS_TOKEN).as_deref().and_then(Secret::new) {
            return Ok(Source::Token(token));
        }
        if let Some(file) = ambient.var(CREDENTIALS).map(PathBuf::from) {
            return match read(&file)? {
                Some(text) => from_file(&text, file),
                None => {
                    let message = format!("{CREDENTIALS} names {}, which is not there", file.display());
                    Err(refused(message).advise(format!("correct or unset {CREDENTIALS}")))
                }
            };
        }
        let mut missing = Vec::new();
        if let Some(file) = well_known(ambient) {
            if let Some(text) = read(&file)? {
                return from_file(&text, file);
            }
            missing.push(file);
        }
        if ambient.var("NO_GCE_CHECK").is_some_and(|value| value.trim().eq_ignore_ascii_case("true")) {
            return Err(nothing(&missing, "NO_GCE_CHECK forbids to ask the metadata server"));
        }
        let host = ambient.var("GCE_METADATA_HOST").map_or_else(|| METADATA_HOST.to_owned(), |host| host.trim().into());
        if metadata_url(&host).is_none() {
            let message = format!("GCE_METADATA_HOST is no host: {host:?}");
            return Err(refused(message).advise("write it as host or host:port"));
        }
        Ok(Source::Metadata(Metadata { host, missing }))
    }

    /// The project that the credentials belong to, or that is charged for their quota.
    #[must_use]
    pub fn project(&self) -> Option<&str> {
        match self {
            Source::ServiceAccount(account) => account.project.as_deref(),
            Source::AuthorizedUser(user) => user.project.as_deref(),
            Source::Token(_) | Source::Metadata(_) => None,
        }
    }

    /// The project that a user's calls are charged to: Google wants it in a header beside user credentials.
    /// <https://cloud.google.com/docs/quotas/set-quota-project>, read 2026-11-22.
    #[must_use]
    pub fn quota_project(&self) -> Option<&str> {
        match self {
            Source::AuthorizedUser(user) => user.project.as_deref(),
            Source::ServiceAccount(_) | Source::Token(_) | Source::Metadata(_) => None,
        }
    }

    /// Whom [`Source::token`] asks through the client that it is given; `None` where it needs none.
    #[must_use]
    pub fn endpoint(&self) -> Option<&Url> {
        match self {
            Source::ServiceAccount(account) => Some(&account.token_uri),
            Source::AuthorizedUser(user) => Some(&user.token_uri),
            Source::Token(_) | Source::Metadata(_) => None,
        }
    }

    /// Which credentials these are and from where; never a secret.
    #[must_use]
    pub fn name(&self) -> String {
        match self {
            Source::Token(_) => format!("access token in {ACCESS_TOKEN}"),
            Source::ServiceAccount(account) => {
                format!("service account {} ({})", account.email, account.file.display())
            }
            Source::AuthorizedUser(user) => format!("gcloud user credentials ({})", user.file.display()),
            Source::Metadata(metadata) => format!("metadata server {}", metadata.host),
        }
    }

    /// Gets an access token. `client` must not follow redirects: they would carry the credential on. The metadata
    /// server is asked without it, since no proxy may stand between.
    ///
    /// # Errors
    /// [`ErrorClass::Auth`] where the credentials are refused or the metadata server is not there; `Network`, `Timeout`,
    /// `RateLimit`, `Overloaded` or `Protocol` where the token endpoint fails. Nothing was billed.
    pub async fn token(&self, client: &Client, now: SystemTime) -> Result<Token, Failure> {
        match self {
            Source::Token(secret) => Ok(Token { secret: secret.clone(), until: None }),
            Source::ServiceAccount(account) => account.token(client, now).await,
            Source::AuthorizedUser(user) => user.token(client, now).await,
            Source::Metadata(metadata) => metadata.token(now).await,
        }
    }
}

/// The path that gcloud writes to.
fn well_known(ambient: &Ambient<'_>) -> Option<PathBuf> {
    let folder = match ambient.var("CLOUDSDK_CONFIG") {
        Some(folder) => PathBuf::from(folder),
        None if cfg!(windows) => PathBuf::from(ambient.var("APPDATA")?).join("gcloud"),
        None => ambient.home?.join(".config").join("gcloud"),
    };
    Some(folder.join(WELL_KNOWN))
}

/// The file's text, or `None` where there is no such file.
fn read(file: &Path) -> Result<Option<String>, Failure> {
    let fail = |why: &dyn fmt::Display| refused(format!("the credentials in {} cannot be read: {why}", file.display()));
    let size = match std::fs::metadata(file) {
        Ok(metadata) => metadata.len(),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(fail(&error)),
    };
    if size > SIZE_MAX as u64 {
        return Err(fail(&"the file is too large to be one"));
    }
    std::fs::read_to_string(file).map(Some).map_err(|error| fail(&error))
}

/// The fields of all types of credential files that are understood.
#[derive(Deserialize)]
struct File {
    #[serde(rename = "type")]
    kind: Option<String>,
    client_email: Option<String>,
    private_key: Option<String>,
    private_key_id: Option<String>,
    project_id: Option<String>,
    quota_project_id: Option<String>,
    client_id: Option<String>,
    client_secret: Option<String>,
    refresh_token: Option<String>,
    token_uri: Option<String>,
}

fn from_file(text: &str, file: PathBuf) -> Result<Source, Failure> {
    let shown = file.display().to_string();
    // The parser's own words may quote what it met: only the place is said.
    let fields: File = serde_json::from_str(text).map_err(|error| {
        let (line, column) = (error.line(), error.column());
        refused(format!("{shown} is no credential file: it cannot be read at line {line}, column {column}"))
    })?;
    let lacks = |what: &str| refused(format!("the credentials in {shown} have no {what}"));
    let secret = |value: Option<String>, what: &str| {
        value
            .as_deref()
            .and_then(Secret::new)
            .ok_or_else(|| refused(format!("the credentials in {shown} have no {what}")))
    };
    let token_uri = token_uri(fields.token_uri.as_deref().unwrap_or(TOKEN_URI)).ok_or_else(|| {
        refused(format!(
            "token_uri in {shown} is neither https nor on this machine: the credentials are not sent there"
        ))
    })?;
    match fields.kind.as_deref() {
        Some("service_account") => Ok(Source::ServiceAccount(ServiceAccount {
            email: fields.client_email.ok_or_else(|| lacks("client_email"))?,
            key: secret(fields.private_key, "private_key")?,
            key_id: fields.private_key_id,
            token_uri,
            project: fields.project_id.or(fields.quota_project_id),
            file,
        })),
        Some("authorized_user") => Ok(Source::AuthorizedUser(AuthorizedUser {
            client_id: fields.client_id.ok_or_else(|| lacks("client_id"))?,
            client_secret: secret(fields.client_secret, "client_secret")?,
            refresh_token: secret(fields.refresh_token, "refresh_token")?,
            token_uri,
            project: fields.quota_project_id.or(fields.project_id),
            file,
        })),
        Some(kind) => Err(unsupported(kind, &shown)),
        None => Err(lacks("type")),
    }
}

fn unsupported(kind: &str, file: &str) -> Failure {
    let what = match kind {
        "external_account" => "external_account (workload identity federation)",
        "external_account_authorized_user" => "external_account_authorized_user (workforce identity federation)",
        "impersonated_service_account" => "impersonated_service_account",
        "gdch_service_account" => "gdch_service_account (Distributed Cloud)",
        // What the file says instead may be anything, also a secret in the wrong place.
        _ => "that is not known",
    };
    refused(format!("the credentials in {file} are of a type that llmx does not support: {what}"))
        .advise(format!("export {ACCESS_TOKEN}=\"$(gcloud auth application-default print-access-token)\""))
}

/// An endpoint that may see a credential: https, or on this machine.
fn token_uri(text: &str) -> Option<Url> {
    let url = Url::parse(text).ok()?;
    let host = url.host_str()?;
    let address = host.trim_matches(['[', ']']).parse::<IpAddr>();
    let here = host == "localhost" || address.is_ok_and(|address| address.is_loopback());
    (url.scheme() == "https" || url.scheme() == "http" && here).then_some(url)
}

/// <https://developers.google.com/identity/protocols/oauth2/service-account#authorizingrequests>
impl ServiceAccount {
    async fn token(&self, client: &Client, now: SystemTime) -> Result<Token, Failure> {
        let assertion = self.assertion(now)?;
        let form =
            form(&[("grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer"), ("assertion", assertion.expose())]);
        let answer = post(client, &self.token_uri, form).await.map_err(|failure| self.named(failure))?;
        answer.token(now, &[&assertion]).map_err(|failure| {
            let advice =
                "check that the key exists (`gcloud iam service-accounts keys list`) and that the clock is right";
            self.named(advised(failure, advice))
        })
    }

    /// A JWT, signed with the account's key and good for an hour.
    fn assertion(&self, now: SystemTime) -> Result<Secret, Failure> {
        let issued = now.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let mut header = json!({"alg": "RS256", "typ": "JWT"});
        if let Some(key_id) = &self.key_id {
            header["kid"] = key_id.clone().into();
        }
        let claims = json!({
            "iss": self.email,
            "scope": SCOPE,
            "aud": self.token_uri.as_str(),
            "iat": issued,
            "exp": issued.saturating_add(3600),
        });
        let encode = |part: &Value| URL_SAFE_NO_PAD.encode(part.to_string());
        let message = format!("{}.{}", encode(&header), encode(&claims));
        let unreadable = || {
            refused(format!("the private key in {} is no RSA key that can sign", self.file.display()))
                .advise("create a new key: `gcloud iam service-accounts keys create`")
        };
        let key = key_pair(self.key.expose()).ok_or_else(unreadable)?;
        let mut signature = vec![0; key.public().modulus_len()];
        key.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), message.as_bytes(), &mut signature)
            .map_err(|_| unreadable())?;
        Secret::new(&format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature))).ok_or_else(unreadable)
    }

    fn named(&self, failure: Failure) -> Failure {
        Failure { message: format!("service account {}: {}", self.email, failure.message), ..failure }
    }
}

/// The RSA key in a PEM text: PKCS#8, as Google writes it, or PKCS#1.
fn key_pair(pem: &str) -> Option<RsaKeyPair> {
    let (_, from) = pem.split_once("-----BEGIN ")?;
    let (label, from) = from.split_once("-----")?;
    let (body, _) = from.split_once("-----END ")?;
    let der = STANDARD.decode(body.split_ascii_whitespace().collect::<String>()).ok()?;
    match label {
        "PRIVATE KEY" => RsaKeyPair::from_pkcs8(&der).ok(),
        "RSA PRIVATE KEY" => RsaKeyPair::from_der(&der).ok(),
        _ => None,
    }
}

/// OAuth 2.0's refresh (RFC 6749, section 6).
impl AuthorizedUser {
    async fn token(&self, client: &Client, now: SystemTime) -> Result<Token, Failure> {
        let form = form(&[
            ("grant_type", "refresh_token"),
            ("client_id", &self.client_id),
            ("client_secret", self.client_secret.expose()),
            ("refresh_token", self.refresh_token.expose()),
        ]);
        let answer = post(client, &self.token_uri, form).await.map_err(named)?;
        answer
            .token(now, &[&self.client_secret, &self.refresh_token])
            .map_err(|failure| named(advised(failure, "run `gcloud auth application-default login`")))
    }
}

fn named(failure: Failure) -> Failure {
    Failure { message: format!("gcloud user credentials: {}", failure.message), ..failure }
}

/// `Metadata-Flavor` in the request keeps others from asking by accident; in the answer it says that Google answers.
impl Metadata {
    async fn token(&self, now: SystemTime) -> Result<Token, Failure> {
        let absent = |why: &str| nothing(&self.missing, &format!("the metadata server {} {why}", self.host));
        let url = metadata_url(&self.host).ok_or_else(|| absent("has no address"))?;
        let client = direct().map_err(|why| absent(&why))?;
        let request = client.get(url).header("Metadata-Flavor", "Google").timeout(METADATA_LIMIT);
        let answer = Answer::of(request).await.map_err(|_| absent("does not answer"))?;
        if !answer.from_google {
            // Other clouds have something else at this address.
            return Err(absent("is not Google's"));
        }
        if answer.status == 404 {
            return Err(absent("knows no service account")
                .advise("attach a service account to this machine, or run `gcloud auth application-default login`"));
        }
        answer.token(now, &[]).map_err(|failure| advised(failure, ADVICE))
    }
}

fn metadata_url(host: &str) -> Option<Url> {
    let url = Url::parse(&format!("http://{host}/")).ok()?;
    let bare = url.path() == "/" && url.query().is_none() && url.fragment().is_none() && url.username().is_empty();
    (bare && url.password().is_none() && !host.ends_with('/')).then_some(())?;
    url.join("computeMetadata/v1/instance/service-accounts/default/token").ok()
}

/// A client that knows no proxy, follows no redirect and trusts no certificate: it only speaks to the machine's host.
fn direct() -> Result<Client, String> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let tls = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .with_root_certificates(rustls::RootCertStore::empty())
        .with_no_client_auth();
    let client =
        Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none()).tls_backend_preconfigured(tls);
    client.build().map_err(|error| error.to_string())
}

async fn post(client: &Client, url: &Url, form: String) -> Result<Answer, Failure> {
    let request = client.post(url.clone()).header("content-type", "application/x-www-form-urlencoded").body(form);
    Answer::of(request.timeout(TOKEN_LIMIT)).await
}

/// `application/x-www-form-urlencoded`.
fn form(fields: &[(&str, &str)]) -> String {
    let pairs = fields.iter().map(|(name, value)| format!("{name}={}", percent(value)));
    pairs.collect::<Vec<_>>().join("&")
}

fn percent(text: &str) -> String {
    let byte = |byte: u8| match byte {
        b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => char::from(byte).to_string(),
        _ => format!("%{byte:02X}"),
    };
    text.bytes().map(byte).collect()
}

/// What an endpoint for tokens said.
struct Answer {
    host: String,
    status: u16,
    /// It carries `Metadata-Flavor: Google`.
    from_google: bool,
    body: Vec<u8>,
}

#[derive(Deserialize)]
struct Granted {
    access_token: String,
    expires_in: Option<u64>,
}

impl Answer {
    async fn of(request: RequestBuilder) -> Result<Answer, Failure> {
        let (client, request) = request.build_split();
        let request = request.map_err(|error| unreachable_at("the token endpoint", &error))?;
        let host = request.url().host_str().unwrap_or_default().to_owned();
        let mut response = client.execute(request).await.map_err(|error| unreachable_at(&host, &error))?;
        let flavor = response.headers().get("metadata-flavor");
        let from_google = flavor.is_some_and(|flavor| flavor.as_bytes() == b"Google");
        let status = response.status().as_u16();
        let mut body = Vec::new();
        while let Some(piece) = response.chunk().await.map_err(|error| unreachable_at(&host, &error))? {
            body.extend_from_slice(&piece);
            if body.len() > SIZE_MAX {
                return Err(Failure::new(ErrorClass::Protocol, format!("{host} answers without an end")));
            }
        }
        Ok(Answer { host, status, from_google, body })
    }

    /// The token, or why there is none: in the endpoint's own words, without the secrets that were sent to it.
    fn token(&self, now: SystemTime, sent: &[&Secret]) -> Result<Token, Failure> {
        let host = &self.host;
        if self.status != 200 {
            let class = match self.status {
                408 | 504 => ErrorClass::Timeout,
                429 => ErrorClass::RateLimit,
                500..=599 => ErrorClass::Overloaded,
                300..=399 => ErrorClass::Protocol,
                _ => ErrorClass::Auth,
            };
            let words = self.words(sent);
            let said = words.as_deref().map(|words| format!(": {words}")).unwrap_or_default();
            let mut failure = Failure::new(class, format!("{host} gave no token (HTTP {}){said}", self.status));
            failure.status = Some(self.status);
            failure.provider_message = words;
            return Err(failure);
        }
        let unreadable = || Failure::new(ErrorClass::Protocol, format!("{host} gave no token that can be read"));
        let granted: Granted = serde_json::from_slice(&self.body).map_err(|_| unreadable())?;
        let usable = granted.access_token.bytes().all(|byte| byte.is_ascii_graphic());
        let secret = Secret::new(&granted.access_token).filter(|_| usable).ok_or_else(unreadable)?;
        let until = granted.expires_in.and_then(|seconds| now.checked_add(Duration::from_secs(seconds)));
        Ok(Token { secret, until })
    }

    /// `error` and `error_description` of OAuth 2.0 (RFC 6749, section 5.2). An endpoint may echo what it was sent, as
    /// it is or percent-encoded; it is taken out before anything is cut off, so that no part of it stays.
    fn words(&self, sent: &[&Secret]) -> Option<String> {
        let body: Value = serde_json::from_slice(&self.body).ok()?;
        let words = [&body["error"], &body["error_description"]].into_iter().filter_map(Value::as_str);
        let mut words = words.collect::<Vec<_>>().join(", ");
        for secret in sent {
            words = secret.redact(&words);
            if let Some(encoded) = Secret::new(&percent(secret.expose())) {
                words = encoded.redact(&words);
            }
        }
        (!words.is_empty()).then(|| words.chars().take(WORDS_MAX).collect())
    }
}

/// No connection, or one that broke: the innermost cause says it best.
fn unreachable_at(host: &str, error: &reqwest::Error) -> Failure {
    let mut cause: &dyn std::error::Error = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    let class = if error.is_timeout() { ErrorClass::Timeout } else { ErrorClass::Network };
    let why = if error.source().is_some() { cause.to_string() } else { "the request failed".into() };
    Failure::new(class, format!("{host} cannot be reached for a token: {why}"))
}

/// What to do about credentials that were refused; a server that fails needs none of it.
fn advised(failure: Failure, advice: &str) -> Failure {
    if failure.class == ErrorClass::Auth { failure.advise(advice) } else { failure }
}

fn refused(message: impl Into<String>) -> Failure {
    Failure::new(ErrorClass::Auth, message).advise(ADVICE)
}

/// Nothing was found anywhere: where it was looked for, and what to do.
fn nothing(missing: &[PathBuf], metadata: &str) -> Failure {
    let files: String = missing.iter().map(|file| format!("{} is not there, ", file.display())).collect();
    refused(format!("no Google credentials: {ACCESS_TOKEN} and {CREDENTIALS} are not set, {files}{metadata}"))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::path::{Path, PathBuf};
    use std::time::{Duration, SystemTime, UNIX_EPOCH};

    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use reqwest::Url;
    use ring::signature::{RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey};
    use serde_json::{Value, json};
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::{Ambient, Source, Token, direct, key_pair, token_uri};
    use crate::domain::failure::{ErrorClass, Failure};

    const KEY: &str = include_str!("../../tests/fixtures/google/test_key_that_opens_nothing.pem");

    fn now() -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(1_795_000_000)
    }

    /// Where a test looks: its own folder as home, and its own variables.
    struct Place {
        home: tempfile::TempDir,
        vars: BTreeMap<String, String>,
    }

    impl Place {
        fn new() -> Place {
            Place { home: tempfile::tempdir().expect("a folder"), vars: BTreeMap::new() }
        }

        fn set(mut self, name: &str, value: &str) -> Place {
            self.vars.insert(name.into(), value.into());
            self
        }

        fn write(&self, path: &str, text: &str) -> PathBuf {
            let file = self.home.path().join(path);
            std::fs::create_dir_all(file.parent().expect("a parent")).expect("writable");
            std::fs::write(&file, text).expect("writable");
            file
        }

        fn find(&self) -> Result<Source, Failure> {
            Source::find(&Ambient { env: &|name| self.vars.get(name).cloned(), home: Some(self.home.path()) })
        }

        /// The credentials that `GOOGLE_APPLICATION_CREDENTIALS` names.
        fn with(credentials: &Value) -> Result<Source, Failure> {
            let place = Place::new();
            let file = place.write("key.json", &credentials.to_string());
            place.set("GOOGLE_APPLICATION_CREDENTIALS", &file.display().to_string()).find()
        }
    }

    fn service_account(token_uri: &str) -> Value {
        json!({"type": "service_account", "project_id": "proj", "private_key_id": "kid-1", "private_key": KEY,
            "client_email": "bot@proj.iam.gserviceaccount.com", "client_id": "1", "token_uri": token_uri})
    }

    fn user(token_uri: &str) -> Value {
        json!({"type": "authorized_user", "client_id": "id.apps", "client_secret": "CANARY-secret",
            "refresh_token": "1//CANARY+refresh", "quota_project_id": "quota", "token_uri": token_uri})
    }

    /// A server that answers one request; its address, and what it was asked.
    async fn server(status: &str, headers: &str, body: &str) -> (String, tokio::task::JoinHandle<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address").to_string();
        let answer =
            format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n{headers}\r\n{body}", body.len());
        let asked = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.expect("a caller");
            let mut request = Vec::new();
            let mut piece = [0; 4096];
            while !is_whole(&request) {
                let read = stream.read(&mut piece).await.expect("readable");
                assert_ne!(read, 0, "the request was cut");
                request.extend_from_slice(&piece[..read]);
            }
            stream.write_all(answer.as_bytes()).await.expect("writable");
            String::from_utf8(request).expect("text")
        });
        (address, asked)
    }

    fn is_whole(request: &[u8]) -> bool {
        let text = String::from_utf8_lossy(request);
        let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
        let length = head
            .lines()
            .filter_map(|line| line.split_once(':'))
            .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
            .map_or(0, |(_, length)| length.trim().parse().expect("a length"));
        body.len() >= length
    }

    async fn token(source: &Source) -> Result<Token, Failure> {
        source.token(&direct().expect("a client"), now()).await
    }

    fn fields(request: &str) -> BTreeMap<String, String> {
        let (_, body) = request.split_once("\r\n\r\n").expect("a body");
        let url = Url::parse(&format!("http://form/?{body}")).expect("a form");
        url.query_pairs().map(|(name, value)| (name.into_owned(), value.into_owned())).collect()
    }

    const GRANTED: &str = r#"{"access_token": "ya29.token", "expires_in": 3599, "token_type": "Bearer"}"#;

    #[tokio::test]
    async fn a_service_account_signs_what_google_documents() {
        let (address, asked) = server("200 OK", "", GRANTED).await;
        let uri = format!("http://{address}/token");
        let source = Place::with(&service_account(&uri)).expect("found");
        let token = token(&source).await.expect("granted");
        assert_eq!((token.secret.expose(), token.until), ("ya29.token", Some(now() + Duration::from_secs(3599))));

        let request = asked.await.expect("asked");
        assert!(request.starts_with("POST /token HTTP/1.1\r\n"), "{request}");
        assert!(request.contains("content-type: application/x-www-form-urlencoded\r\n"), "{request}");
        let fields = fields(&request);
        assert_eq!(fields["grant_type"], "urn:ietf:params:oauth:grant-type:jwt-bearer");
        let (message, signature) = fields["assertion"].rsplit_once('.').expect("three parts");
        let (header, claims) = message.split_once('.').expect("three parts");
        let decode = |part: &str| URL_SAFE_NO_PAD.decode(part).expect("base64");
        let parse = |part: &str| serde_json::from_slice::<Value>(&decode(part)).expect("JSON");
        assert_eq!(parse(header), json!({"alg": "RS256", "typ": "JWT", "kid": "kid-1"}));
        assert_eq!(
            parse(claims),
            json!({"iss": "bot@proj.iam.gserviceaccount.com", "aud": uri, "iat": 1_795_000_000,
                "exp": 1_795_003_600, "scope": "https://www.googleapis.com/auth/cloud-platform"})
        );
        let public = key_pair(KEY).expect("a key").public().clone();
        let public = UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, public);
        assert!(public.verify(message.as_bytes(), &decode(signature)).is_ok());
        assert!(public.verify(b"another message", &decode(signature)).is_err());
    }

    #[tokio::test]
    async fn a_user_exchanges_the_refresh_token() {
        let (address, asked) = server("200 OK", "", GRANTED).await;
        let source = Place::with(&user(&format!("http://{address}/token"))).expect("found");
        assert_eq!(token(&source).await.expect("granted").secret.expose(), "ya29.token");
        let sent = fields(&asked.await.expect("asked"));
        let sent: Vec<_> = sent.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        assert_eq!(
            sent,
            [
                ("client_id", "id.apps"),
                ("client_secret", "CANARY-secret"),
                ("grant_type", "refresh_token"),
                ("refresh_token", "1//CANARY+refresh"),
            ]
        );
    }

    #[tokio::test]
    async fn the_metadata_server_is_asked_in_its_own_way() {
        let (address, asked) = server("200 OK", "Metadata-Flavor: Google\r\n", GRANTED).await;
        let source = Place::new().set("GCE_METADATA_HOST", &address).find().expect("found");
        assert_eq!(source.name(), format!("metadata server {address}"));
        assert_eq!(token(&source).await.expect("granted").secret.expose(), "ya29.token");
        let request = asked.await.expect("asked").to_ascii_lowercase();
        let path = "get /computemetadata/v1/instance/service-accounts/default/token http/1.1\r\n";
        assert!(request.starts_with(path), "{request}");
        assert!(request.contains("metadata-flavor: google\r\n"), "{request}");
    }

    #[tokio::test]
    async fn no_metadata_server_means_no_credentials_and_says_what_to_do() {
        let failed = |status: &'static str, headers: &'static str| async move {
            let (address, _asked) = server(status, headers, GRANTED).await;
            let source = Place::new().set("GCE_METADATA_HOST", &address).find().expect("found");
            token(&source).await.expect_err("no token")
        };
        // Something else at that address, whose token must not be used.
        let stranger = failed("200 OK", "").await;
        assert!(stranger.message.contains("is not Google's"), "{stranger}");
        let bare = failed("404 Not Found", "Metadata-Flavor: Google\r\n").await;
        assert!(bare.message.contains("knows no service account"), "{bare}");

        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address").to_string();
        drop(listener);
        let place = Place::new().set("GCE_METADATA_HOST", &address).set("APPDATA", "/nowhere");
        let source = place.find().expect("found");
        let failure = token(&source).await.expect_err("nobody there");
        assert_eq!(failure.class, ErrorClass::Auth);
        assert!(failure.message.contains("application_default_credentials.json is not there"), "{failure}");
        assert!(failure.advice.expect("advice").contains("gcloud auth application-default login"));
    }

    #[tokio::test]
    async fn a_ready_token_comes_first_and_is_used_as_it_is() {
        let place = Place::new().set("CLOUDSDK_AUTH_ACCESS_TOKEN", " ya29.CANARY\n").set("NO_GCE_CHECK", "true");
        let source = place.set("GOOGLE_APPLICATION_CREDENTIALS", "/nowhere").find().expect("found");
        let token = token(&source).await.expect("ready");
        assert_eq!((token.secret.expose(), token.until), ("ya29.CANARY", None));
        assert_eq!(source.name(), "access token in CLOUDSDK_AUTH_ACCESS_TOKEN");
    }

    #[test]
    fn the_places_are_looked_at_in_googles_order() {
        let endpoint = "https://oauth2.googleapis.com/token";
        let place = Place::new();
        let named = place.write("key.json", &service_account(endpoint).to_string());
        place.write("elsewhere/application_default_credentials.json", &service_account(endpoint).to_string());
        let elsewhere = place.home.path().join("elsewhere").display().to_string();
        let mut gcloud = user(endpoint);
        gcloud.as_object_mut().expect("an object").remove("token_uri");
        let well_known = ".config/gcloud/application_default_credentials.json";
        place.write(well_known, &gcloud.to_string());
        let name = |path: &Path| path.display().to_string();

        if !cfg!(windows) {
            let found = place.find().expect("found");
            assert_eq!(
                found.name(),
                format!("gcloud user credentials ({})", name(&place.home.path().join(well_known)))
            );
            assert_eq!(found.project(), Some("quota"));
        }
        let place = place.set("CLOUDSDK_CONFIG", &elsewhere);
        assert!(place.find().expect("found").name().contains("elsewhere"));
        let place = place.set("GOOGLE_APPLICATION_CREDENTIALS", &name(&named));
        let found = place.find().expect("found");
        assert_eq!(found.name(), format!("service account bot@proj.iam.gserviceaccount.com ({})", name(&named)));
        assert_eq!(found.project(), Some("proj"));
        // Blank is unset; a name that leads nowhere is an error, not a step further.
        let place = place.set("GOOGLE_APPLICATION_CREDENTIALS", " ");
        assert!(place.find().expect("found").name().contains("elsewhere"));
        let place = place.set("GOOGLE_APPLICATION_CREDENTIALS", "/nowhere/key.json");
        let failure = place.find().expect_err("not there");
        assert_eq!(
            failure.to_string(),
            "auth: GOOGLE_APPLICATION_CREDENTIALS names /nowhere/key.json, which is not there"
        );
    }

    #[test]
    fn without_files_the_metadata_server_is_left_unless_it_is_forbidden() {
        assert_eq!(Place::new().find().expect("found").name(), "metadata server 169.254.169.254");
        let failure = Place::new().set("NO_GCE_CHECK", "True").find().expect_err("nothing is left");
        assert!(failure.message.contains("NO_GCE_CHECK forbids"), "{failure}");
        assert_eq!((failure.class, failure.may_be_billed), (ErrorClass::Auth, false));
        for bad in ["http://metadata", "a b", "host/path", "user@host", ""] {
            let found = Place::new().set("GCE_METADATA_HOST", bad).find();
            assert_eq!(found.is_err(), !bad.is_empty(), "{bad}");
        }
    }

    #[test]
    fn types_that_are_not_supported_are_named() {
        for kind in ["external_account", "impersonated_service_account", "external_account_authorized_user"] {
            let failure = Place::with(&json!({"type": kind, "audience": "x"})).expect_err("not supported");
            assert_eq!(failure.class, ErrorClass::Auth);
            assert!(failure.message.contains(kind), "{failure}");
            assert!(failure.advice.expect("advice").contains("CLOUDSDK_AUTH_ACCESS_TOKEN"));
        }
        assert!(Place::with(&json!({"a": 1})).expect_err("no type").message.ends_with("have no type"));
        let keyless = Place::with(&json!({"type": "service_account", "client_email": "x"})).expect_err("no key");
        assert!(keyless.message.ends_with("have no private_key"), "{keyless}");
    }

    #[test]
    fn credentials_go_to_https_or_to_this_machine_only() {
        for good in
            ["https://oauth2.googleapis.com/token", "http://127.0.0.1:9/t", "http://localhost/t", "http://[::1]:9/t"]
        {
            assert!(token_uri(good).is_some(), "{good}");
        }
        for bad in
            ["http://oauth2.googleapis.com/token", "http://127.0.0.1.example.com/", "ftp://localhost/", "token", ""]
        {
            assert!(token_uri(bad).is_none(), "{bad}");
        }
        let failure = Place::with(&user("http://example.com/token")).expect_err("in the clear");
        assert!(failure.message.contains("neither https nor on this machine"), "{failure}");
    }

    #[tokio::test]
    async fn no_secret_stands_in_any_error() {
        let mut failures = Vec::new();
        // Endpoints that echo what they were sent.
        let echo = json!({"error": "invalid_grant", "error_description":
            format!("Bad 1//CANARY+refresh or 1%2F%2FCANARY%2Brefresh of CANARY-secret{}CANARY-secret", " ".repeat(430))});
        let (address, _asked) = server("400 Bad Request", "", &echo.to_string()).await;
        let source = Place::with(&user(&format!("http://{address}/token"))).expect("found");
        assert!(!format!("{source:?} {}", source.name()).contains("CANARY"), "{source:?}");
        let failure = token(&source).await.expect_err("refused");
        assert_eq!((failure.class, failure.status), (ErrorClass::Auth, Some(400)));
        assert_eq!(
            failure.message.split("    ").next(),
            Some(
                "gcloud user credentials: 127.0.0.1 gave no token (HTTP 400): invalid_grant, \
                 Bad [redacted] or [redacted] of [redacted]"
            )
        );
        assert_eq!(failure.advice.as_deref(), Some("run `gcloud auth application-default login`"));
        failures.push(failure);
        // Files in which something is wrong beside the secret.
        for text in [
            r#"{"type": "authorized_user", "refresh_token": "CANARY" "#.to_owned(),
            r#"{"type": "authorized_user", "refresh_token": "CANARY", "client_id": {"a": "CANARY"}}"#.to_owned(),
            r#"{"type": "authorized_user", "refresh_token": "CANARY"}"#.to_owned(),
            r#"{"type": "CANARY"}"#.to_owned(),
            r#""CANARY""#.to_owned(),
        ] {
            let place = Place::new();
            let file = place.write("key.json", &text).display().to_string();
            failures.push(place.set("GOOGLE_APPLICATION_CREDENTIALS", &file).find().expect_err("not usable"));
        }
        for key in ["CANARY", "-----BEGIN PRIVATE KEY-----\nCANARY\n-----END PRIVATE KEY-----\n"] {
            let mut account = service_account("https://127.0.0.1:1/");
            account["private_key"] = key.into();
            let source = Place::with(&account).expect("found");
            failures.push(token(&source).await.expect_err("cannot sign"));
        }
        // A token that came and cannot be used.
        let (address, _asked) = server("200 OK", "", r#"{"access_token": "CANARY\r\nx: y"}"#).await;
        let source = Place::with(&user(&format!("http://{address}/token"))).expect("found");
        failures.push(token(&source).await.expect_err("not usable"));
        for failure in failures {
            assert!(!format!("{failure:?}").contains("CANARY"), "{failure:?}");
            assert!(!failure.may_be_billed);
        }
    }

    #[tokio::test]
    async fn a_token_endpoint_that_fails_is_no_refusal_of_the_credentials() {
        for (status, class) in [
            ("503 Service Unavailable", ErrorClass::Overloaded),
            ("429 Too Many Requests", ErrorClass::RateLimit),
            ("302 Found", ErrorClass::Protocol),
        ] {
            let (address, _asked) = server(status, "location: http://127.0.0.1:1/\r\n", "<html>").await;
            let source = Place::with(&user(&format!("http://{address}/token"))).expect("found");
            let failure = token(&source).await.expect_err("no token");
            assert_eq!((failure.class, failure.advice), (class, None), "{status}");
        }
        let source = Place::with(&service_account("http://127.0.0.1:1/")).expect("found");
        let failure = token(&source).await.expect_err("nobody there");
        assert_eq!(failure.class, ErrorClass::Network);
        let start = "service account bot@proj.iam.gserviceaccount.com: 127.0.0.1 cannot be reached for a token: ";
        assert!(failure.message.starts_with(start), "{failure}");
    }
}
