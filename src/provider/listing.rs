//! What a provider itself lists: its models, by a request that costs nothing.

use std::time::Duration;

use reqwest::Url;
use reqwest::header::{HeaderMap, HeaderValue};
use serde_json::Value;
use tokio::time::timeout;

use super::departure::Departure;
use super::http::{Http, host_of, joined};
use super::{Limits, Provider, error};
use crate::domain::chat::{ChatRequest, Message, Part, Role};
use crate::domain::failure::{ErrorClass, Failure};
use crate::wire::contract::{DecodeError, Dialect};

/// Most of a listing that is read, in bytes: routers list hundreds of models with pages of text for each.
const LISTING_MAX: usize = 16 << 20;
/// The longest that a listing may take.
const LISTING_WAIT: Duration = Duration::from_secs(30);

/// A model as its provider lists it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Listed {
    pub id: String,
    /// The provider's name of it for people.
    pub name: Option<String>,
    /// Tokens of the context window.
    pub context: Option<u64>,
}

/// All that is listed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Listing {
    pub models: Vec<Listed>,
    /// The provider has more than it gave on one page.
    pub is_part: bool,
}

impl Listing {
    /// Whether the listing names the model: whole, or with the version or tag that the provider puts after it.
    #[must_use]
    pub fn has(&self, model: &str) -> bool {
        let fits = |id: &str| {
            id == model
                || id.strip_prefix(model).is_some_and(|rest| rest == ":latest")
                || id.rsplit('/').next() == Some(model)
        };
        self.models.iter().any(|listed| fits(&listed.id))
    }
}

/// Asks the provider for its listing.
///
/// # Errors
/// `config` where it has none that is known here; else why it could not be had. It never costs anything.
pub async fn list(provider: &Provider, limits: &Limits) -> Result<Listing, Failure> {
    match provider {
        Provider::Http(http) => of_http(http, limits).await,
        #[cfg(feature = "bedrock")]
        Provider::Bedrock(bedrock) => bedrock.list(limits).await,
        Provider::Sim(_) => Err(unlisted("the simulator lists nothing")),
    }
}

fn unlisted(why: &str) -> Failure {
    Failure::new(ErrorClass::Config, why).advise("leave out the listing: --depth invoke asks the models themselves")
}

async fn of_http(http: &Http, limits: &Limits) -> Result<Listing, Failure> {
    let path = path(http.dialect(), http.path()).ok_or_else(|| unlisted("no listing of its models is known here"))?;
    let text = joined(http.base(), &path);
    let url =
        Url::parse(&text).map_err(|error| Failure::new(ErrorClass::Config, format!("{text} is no URL: {error}")))?;
    let host = host_of(&url);
    let caller = http.caller(&host);
    let greeting = Message { role: Role::User, parts: vec![Part::Text("list".into())] };
    let (mut headers, redactor) =
        http.headers_for(&ChatRequest { messages: vec![greeting], ..ChatRequest::default() }).await?;
    headers.remove("content-type");
    headers.insert("accept", HeaderValue::from_static("application/json"));
    let free = |mut failure: Failure| {
        failure.may_be_billed = false;
        redactor.failure(failure)
    };
    let asked = fetch(http, url, headers);
    let most = LISTING_WAIT.min(limits.connect + limits.head);
    let (status, head, body) = match timeout(most, asked).await {
        Err(_) => {
            return Err(Failure::new(ErrorClass::Timeout, format!("{host}: no listing within {} s", most.as_secs()))
                .advise("check the network and test again"));
        }
        Ok(Err(Fault::Client(failure))) => return Err(failure),
        Ok(Err(Fault::Socket(fault))) => {
            return Err(free(error::unanswered(&fault, &Departure::default(), http.net().proxy(), &caller)));
        }
        Ok(Ok(answer)) => answer,
    };
    if (300..400).contains(&status) {
        let location = head.get("location").and_then(|value| value.to_str().ok());
        return Err(free(error::redirected(status, location, &caller)));
    }
    let body = redactor.text(&String::from_utf8_lossy(&body));
    if status >= 400 {
        let words = redactor.api(http.dialect().error(status, &body));
        let failure = error::refused(words, Some(status), Some(&head), &caller);
        // The address of the listing is a guess by the dialect: that it is not there says nothing of a model.
        if matches!(status, 404 | 405) {
            return Err(unlisted(&format!("{host} has no listing of its models (HTTP {status})")));
        }
        return Err(free(failure));
    }
    let value: Result<Value, _> = serde_json::from_str(&body);
    let listing = value.ok().as_ref().and_then(read);
    listing.ok_or_else(|| {
        free(error::unreadable(DecodeError::Malformed("a listing without models".into()), false, &caller))
    })
}

enum Fault {
    Client(Failure),
    Socket(reqwest::Error),
}

async fn fetch(http: &Http, url: Url, headers: HeaderMap) -> Result<(u16, HeaderMap, Vec<u8>), Fault> {
    let client = http.net().client(&url).map_err(Fault::Client)?;
    let mut response = client.get(url).headers(headers).send().await.map_err(Fault::Socket)?;
    let (status, head) = (response.status().as_u16(), response.headers().clone());
    let mut body = Vec::new();
    while let Some(piece) = response.chunk().await.map_err(Fault::Socket)? {
        body.extend_from_slice(&piece);
        if body.len() > LISTING_MAX {
            break;
        }
    }
    Ok((status, head, body))
}

/// Where a server that speaks a dialect lists its models, from the path of its calls: platform.openai.com/docs/api-reference/models,
/// docs.claude.com/en/api/models-list (at most 1000 a page), ai.google.dev/api/models (at most 1000 a page),
/// docs.cohere.com/reference/list-models, docs.ollama.com/api/tags; read 2026-11-22.
fn path(dialect: Dialect, calls: &str) -> Option<String> {
    let plain = calls.split('?').next().unwrap_or_default();
    let (end, listing) = match dialect {
        Dialect::Chat if plain.ends_with("/chat") => ("/chat", "/models"),
        Dialect::Chat => ("/chat/completions", "/models"),
        Dialect::Responses => ("/responses", "/models"),
        Dialect::Messages => ("/messages", "/models?limit=1000"),
        Dialect::GenerateContent => {
            // Google Cloud's publishers have no such listing under a project.
            let (before, _) = plain.split_once("/models/")?;
            return (!before.contains("/publishers/")).then(|| format!("{before}/models?pageSize=1000"));
        }
        Dialect::Cohere => ("/v2/chat", "/v1/models?page_size=1000"),
        Dialect::Ollama => ("/api/chat", "/api/tags"),
        Dialect::Converse => return None,
    };
    plain
        .strip_suffix(end)
        .filter(|before| !before.contains("/deployments/"))
        .map(|before| format!("{before}{listing}"))
}

/// The models in a listing, in any of the shapes that providers use: a list, or `data`, `models` or `results` with one.
fn read(value: &Value) -> Option<Listing> {
    let lists = [value, &value["data"], &value["models"], &value["results"]];
    let list = lists.into_iter().find_map(Value::as_array)?;
    let models = list.iter().filter_map(|model| {
        let text = |key: &str| model[key].as_str().filter(|text| !text.is_empty());
        let id = text("id").or_else(|| text("name")).or_else(|| text("model")).or_else(|| model.as_str())?;
        let name = ["display_name", "displayName"].into_iter().find_map(text);
        const WINDOWS: [&str; 6] = [
            "context_length",
            "context_window",
            "max_context_length",
            "max_model_len",
            "inputTokenLimit",
            "max_input_tokens",
        ];
        Some(Listed {
            id: id.strip_prefix("models/").unwrap_or(id).to_owned(),
            name: name.map(str::to_owned),
            context: WINDOWS.into_iter().find_map(|key| model[key].as_u64()),
        })
    });
    let more =
        value["has_more"] == true || ["nextPageToken", "next_page_token"].iter().any(|key| value[*key].is_string());
    Some(Listing { models: models.collect(), is_part: more })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{Listed, path, read};
    use crate::provider::catalog::Catalog;
    use crate::wire::contract::Dialect;

    #[test]
    fn a_listing_stands_beside_the_calls() {
        for (dialect, calls, listing) in [
            (Dialect::Chat, "/chat/completions", Some("/models")),
            (Dialect::Chat, "/v1/chat/completions", Some("/v1/models")),
            (Dialect::Chat, "/chat", Some("/models")),
            (Dialect::Chat, "/openai/deployments/x/chat/completions?api-version=1", None),
            (Dialect::Responses, "/responses", Some("/models")),
            (Dialect::Messages, "/v1/messages", Some("/v1/models?limit=1000")),
            (Dialect::GenerateContent, "/v1beta/models/gemini-x:{method}", Some("/v1beta/models?pageSize=1000")),
            (Dialect::GenerateContent, "/v1beta1/projects/p/locations/l/publishers/google/models/x:{method}", None),
            (Dialect::Cohere, "/v2/chat", Some("/v1/models?page_size=1000")),
            (Dialect::Ollama, "/api/chat", Some("/api/tags")),
            (Dialect::Converse, "/model/x/converse", None),
        ] {
            assert_eq!(path(dialect, calls).as_deref(), listing, "{calls}");
        }
        let catalog = Catalog::with(&toml::Table::new()).expect("reads");
        let listed = catalog.rows().filter(|row| {
            path(row.api[0], row.paths.get(&row.api[0]).map_or(row.api[0].path(), String::as_str)).is_some()
        });
        assert!(listed.count() > 50, "most rows have a listing");
    }

    #[test]
    fn every_shape_of_a_listing_is_read() {
        let one = |id: &str| vec![Listed { id: id.into(), ..Listed::default() }];
        for (listing, models) in [
            (json!({"object": "list", "data": [{"id": "gpt-5", "object": "model"}]}), one("gpt-5")),
            (json!([{"id": "gpt-5"}, {"object": "nameless"}]), one("gpt-5")),
            (json!({"models": [{"name": "qwen3:4b", "model": "qwen3:4b", "size": 1}]}), one("qwen3:4b")),
            (json!({"models": []}), Vec::new()),
            (
                json!({"models": [{"name": "models/gemini-x", "displayName": "Gemini X", "inputTokenLimit": 1048576}]}),
                vec![Listed { id: "gemini-x".into(), name: Some("Gemini X".into()), context: Some(1_048_576) }],
            ),
        ] {
            assert_eq!(read(&listing).expect("a listing").models, models);
        }
        assert_eq!(read(&json!({"error": "no"})), None);
        let part = read(&json!({"data": [{"id": "claude-x"}], "has_more": true})).expect("a listing");
        assert!(part.is_part && part.has("claude-x") && !part.has("claude"));
        assert!(read(&json!({"models": [{"name": "gpt-oss:latest"}]})).expect("a listing").has("gpt-oss"));
    }
}
