//! Small readings and writings of JSON that every dialect needs.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use super::contract::DecodeError;
use crate::domain::chat::{ChatRequest, Media, MediaSource, Schema, Tool};

/// Parses one frame.
///
/// # Errors
/// [`DecodeError::Malformed`] with the place, never with the text: it may be long or secret.
pub fn parse<'a, T: serde::Deserialize<'a>>(data: &'a str) -> Result<T, DecodeError> {
    serde_json::from_str(data).map_err(|error| DecodeError::Malformed(format!("{error} (of {} bytes)", data.len())))
}

/// Lays `value` into `body` at the dotted path `key`; objects on the way are made, a number picks an array's element.
pub fn lay(body: &mut Value, key: &str, value: Value) {
    let mut place = body;
    for step in key.split('.') {
        if let (Value::Array(items), Ok(index)) = (&mut *place, step.parse::<usize>())
            && index < items.len()
        {
            // Borrowed anew: the checker does not see that the first borrow ends here.
            let Value::Array(items) = place else { return };
            place = &mut items[index];
            continue;
        }
        if !place.is_object() {
            *place = Value::Object(Map::new());
        }
        let Value::Object(map) = place else { return };
        place = map.entry(step).or_insert(Value::Null);
    }
    *place = value;
}

/// `later` laid over `base`, object by object; a null in `later` leaves what is there.
pub fn overlay(base: &mut Value, later: &Value) {
    match (base, later) {
        (_, Value::Null) => {}
        (Value::Object(base), Value::Object(later)) => {
            for (key, value) in later {
                overlay(base.entry(key.clone()).or_insert(Value::Null), value);
            }
        }
        (base, later) => *base = later.clone(),
    }
}

/// The bytes of an attachment as base64, or `None` where it is a URL.
#[must_use]
pub fn base64_of(media: &Media) -> Option<String> {
    match &media.source {
        MediaSource::Bytes(bytes) => Some(STANDARD.encode(bytes)),
        MediaSource::Url(_) => None,
    }
}

/// An attachment as a URL: its own, or a `data:` URL of its bytes.
#[must_use]
pub fn url_of(media: &Media) -> String {
    match &media.source {
        MediaSource::Url(url) => url.clone(),
        MediaSource::Bytes(bytes) => format!("data:{};base64,{}", media.mime, STANDARD.encode(bytes)),
    }
}

/// The system prompt; with the schema in words where an API or a model has no field for it. Empty text is none.
#[must_use]
pub fn system(request: &ChatRequest, in_words: bool) -> Option<String> {
    let schema = request.settings.schema.as_ref().filter(|_| in_words);
    let texts: Vec<String> =
        request.system.clone().into_iter().chain(schema.map(schema_in_words)).filter(|text| !text.is_empty()).collect();
    (!texts.is_empty()).then(|| texts.join("\n\n"))
}

/// The words that ask for a schema where there is no field for it.
#[must_use]
pub fn schema_in_words(schema: &Schema) -> String {
    format!("Answer only with JSON that fits this JSON Schema, without a code fence:\n{}", schema.schema)
}

/// A tool's name, description and schema, the schema under the name that the API has for it.
#[must_use]
pub fn tool(tool: &Tool, schema_key: &str) -> Value {
    let mut form = json!({"name": tool.name});
    if let Some(description) = &tool.description {
        form["description"] = description.clone().into();
    }
    form[schema_key] = tool.parameters.clone();
    form
}

/// A tool as Chat Completions has it, and all who follow it.
#[must_use]
pub fn function(form: &Tool) -> Value {
    json!({"type": "function", "function": tool(form, "parameters")})
}

/// A message's content: one text alone as a plain text, anything else as its parts. `None` where there is nothing.
#[must_use]
pub fn content(parts: Vec<Value>) -> Option<Value> {
    match parts.as_slice() {
        [] => None,
        [only] if only["type"] == "text" => Some(only["text"].clone()),
        _ => Some(parts.into()),
    }
}

/// Whether a schema has the form that "strict" structured output demands: every object closed, every property required.
#[must_use]
pub fn is_strict(schema: &Value) -> bool {
    match schema {
        Value::Object(map) => {
            let closed = match map.get("properties") {
                Some(Value::Object(properties)) => {
                    let required = map.get("required").and_then(Value::as_array);
                    map.get("additionalProperties") == Some(&Value::Bool(false))
                        && properties
                            .keys()
                            .all(|key| required.is_some_and(|names| names.iter().any(|name| name == key.as_str())))
                }
                _ => map.get("type").and_then(Value::as_str) != Some("object"),
            };
            closed && map.values().all(is_strict)
        }
        Value::Array(items) => items.iter().all(is_strict),
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{lay, overlay};

    #[test]
    fn a_dotted_path_reaches_into_the_body() {
        let mut body = json!({"a": {"b": 1}, "list": [{"x": 1}]});
        lay(&mut body, "a.c", json!(2));
        lay(&mut body, "new.deep", json!([true]));
        lay(&mut body, "list.0.x", json!(9));
        assert_eq!(body, json!({"a": {"b": 1, "c": 2}, "list": [{"x": 9}], "new": {"deep": [true]}}));
    }

    #[test]
    fn a_later_object_overlays_field_by_field_and_null_changes_nothing() {
        let mut base = json!({"input": 1, "cache": {"a": 1, "b": 2}});
        overlay(&mut base, &json!({"input": null, "cache": {"b": 3}, "output": 4}));
        assert_eq!(base, json!({"input": 1, "cache": {"a": 1, "b": 3}, "output": 4}));
    }
}
