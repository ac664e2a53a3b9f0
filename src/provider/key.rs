//! Which credential a row's calls carry, and where it was found.

use std::sync::{Mutex, PoisonError};

use ring::digest::{SHA256, digest};
use tracing::level_filters::LevelFilter;

use super::Env;
use super::catalog::{Auth, Row};
use crate::domain::failure::{ErrorClass, Failure};
use crate::domain::secret::Secret;
use crate::wire::contract::ApiError;

/// A credential with the header that carries it.
#[derive(Debug, Clone)]
pub struct Key {
    pub secret: Secret,
    pub header: String,
    /// It goes out as `Bearer …`.
    pub bearer: bool,
    /// The name of the place where it was found, never its value.
    pub origin: String,
    /// The same with the key's fingerprint, for the one who wonders which key that is.
    pub told: String,
}

impl Key {
    fn new(secret: Secret, header: String, bearer: bool, origin: String) -> Key {
        let told = format!("{origin} (fingerprint {})", fingerprint(&secret));
        Key { secret, header, bearer, origin, told }
    }

    /// The header's value.
    #[must_use]
    pub fn value(&self) -> String {
        if self.bearer { format!("Bearer {}", self.secret.expose()) } else { self.secret.expose().to_owned() }
    }
}

/// The first 8 hex digits of a hash by which two keys can be told apart and none can be found again.
fn fingerprint(secret: &Secret) -> String {
    let text = format!("llmx-key-fp{}", secret.expose());
    let hash = digest(&SHA256, text.as_bytes());
    hash.as_ref().iter().take(4).map(|byte| format!("{byte:02x}")).collect()
}

/// No provider's key is shorter, in bytes.
const KEY_MIN: usize = 16;

/// Takes a call's credential out of what a server says: it may echo what it was sent.
#[derive(Debug, Clone, Default)]
pub struct Redactor(pub Option<Secret>);

impl Redactor {
    #[must_use]
    pub fn text(&self, text: &str) -> String {
        self.0.as_ref().map_or_else(|| text.to_owned(), |secret| secret.redact(text))
    }

    /// Whether there is a credential that stands in a text by no accident. Local servers are given words for keys: `EMPTY`.
    #[must_use]
    pub fn knows_a_key(&self) -> bool {
        self.0.as_ref().is_some_and(|secret| secret.expose().len() >= KEY_MIN)
    }

    /// To be done before the words are cut to a length: half a key is not found again.
    #[must_use]
    pub fn api(&self, error: ApiError) -> ApiError {
        let part = |text: Option<String>| text.map(|text| self.text(&text));
        ApiError { message: self.text(&error.message), kind: part(error.kind), code: part(error.code), ..error }
    }

    #[must_use]
    pub fn failure(&self, failure: Failure) -> Failure {
        let part = |text: Option<String>| text.map(|text| self.text(&text));
        Failure {
            message: self.text(&failure.message),
            provider_message: part(failure.provider_message),
            provider_type: part(failure.provider_type),
            request_id: part(failure.request_id),
            advice: part(failure.advice),
            ..failure
        }
    }
}

/// What no line for `-vv` may hold. Kept only while somebody listens.
static KNOWN: Mutex<Vec<Secret>> = Mutex::new(Vec::new());

/// From now on [`unsaid`] takes this out, too.
pub fn remember(secret: &Secret) {
    if LevelFilter::current() == LevelFilter::OFF {
        return;
    }
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    if !known.contains(secret) {
        known.push(secret.clone());
    }
}

/// A text without any credential that this process has used.
#[must_use]
pub fn unsaid(text: &str) -> String {
    let known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    known.iter().fold(text.to_owned(), |text, secret| secret.redact(&text))
}

/// Looks for the row's credential: its file, its key variables, its token variables, in this order.
///
/// # Errors
/// `auth` where the row needs one and there is none, or where a named file cannot be read.
pub fn find(row: &Row, env: Env<'_>) -> Result<Option<Key>, Failure> {
    if matches!(row.auth, Auth::None | Auth::Google | Auth::Aws) {
        return Ok(None);
    }
    let header = row.key_header.clone().unwrap_or_else(|| "authorization".into());
    let bearer = row.key_header.is_none();
    if let Some(path) = &row.key_file {
        let unreadable = |reason: String| Failure::new(ErrorClass::Auth, format!("key file {path}: {reason}"));
        let text = std::fs::read_to_string(path).map_err(|error| unreadable(error.to_string()))?;
        // Named but empty is an error: falling through would use another key than the one that was meant.
        let secret = Secret::new(&text).ok_or_else(|| unreadable("it is empty".into()))?;
        return Ok(Some(Key::new(secret, header, bearer, path.clone())));
    }
    let read = |name: &String| Some((Secret::new(&env(name)?)?, name.clone()));
    if let Some((secret, origin)) = row.key.iter().find_map(read) {
        return Ok(Some(Key::new(secret, header, bearer, origin)));
    }
    if let Some((secret, origin)) = row.token.iter().find_map(read) {
        return Ok(Some(Key::new(secret, "authorization".into(), true, origin)));
    }
    Ok(None)
}

/// What is said where the row needs a credential and none was found.
#[must_use]
pub fn missing(row: &Row) -> Failure {
    let names: Vec<&str> = row.key.iter().chain(&row.token).map(String::as_str).collect();
    let Some(first) = names.first() else {
        return Failure::new(ErrorClass::Auth, format!("{} needs a key and its row names no variable", row.name))
            .advise(format!("add key = [\"NAME\"] to [provider.{}] in config.toml", row.id));
    };
    let message = format!("no key for {}: {} not set", row.name, listed(&names));
    let page = match (&row.key_page, &row.docs) {
        (Some(page), _) => format!("   (made at {page})"),
        (None, Some(docs)) => format!("   (see {docs})"),
        (None, None) => String::new(),
    };
    Failure::new(ErrorClass::Auth, message).advise(format!("export {first}=…{page}"))
}

fn listed(names: &[&str]) -> String {
    match names {
        [only] => format!("{only} is"),
        [one, two] => format!("{one} and {two} are"),
        [first, rest @ ..] => format!("{first} ({}) are", rest.join(", ")),
        [] => String::new(),
    }
}
