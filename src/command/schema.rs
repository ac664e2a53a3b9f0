//! `--schema`: reading one, and holding an answer against it.

use serde_json::{Map, Value, json};

use crate::domain::chat::Schema;
use crate::domain::failure::{ErrorClass, Failure};

/// Reads a schema from a file, from its JSON, or from the short form `name, age int, note: what it is`.
///
/// # Errors
/// `config` where it is none of these, or no valid JSON Schema.
pub fn read(text: &str) -> Result<Schema, Failure> {
    let wrong = |reason: String| {
        Failure::new(ErrorClass::Config, format!("--schema: {reason}"))
            .advise("give a JSON Schema as a file or as JSON, or fields as \"name, age int, note: a hint\"")
    };
    let path = std::path::Path::new(text);
    let looks_like_file = text.ends_with(".json") || text.contains('/') && !text.contains([',', '{', ' ']);
    let (schema, name) = if text.trim_start().starts_with('{') {
        (serde_json::from_str(text).map_err(|error| wrong(error.to_string()))?, None)
    } else if looks_like_file || path.is_file() {
        let json = std::fs::read_to_string(path).map_err(|error| wrong(format!("{text}: {error}")))?;
        let schema: Value = serde_json::from_str(&json).map_err(|error| wrong(format!("{text}: {error}")))?;
        (schema, path.file_stem().map(|stem| stem.to_string_lossy().into_owned()))
    } else {
        (short_form(text).map_err(wrong)?, None)
    };
    if !schema.is_object() {
        return Err(wrong("a schema is a JSON object".into()));
    }
    jsonschema::validator_for(&schema).map_err(|error| wrong(error.to_string()))?;
    let title = schema["title"].as_str().map(str::to_owned);
    Ok(Schema { name: identifier(&title.or(name).unwrap_or_else(|| "answer".into())), schema })
}

/// APIs want a name of letters, digits, `_` and `-`, at most 64 of them.
fn identifier(name: &str) -> String {
    name.chars()
        .map(|character| if character.is_ascii_alphanumeric() || character == '-' { character } else { '_' })
        .take(64)
        .collect()
}

/// `name, age int, tags [str], note: a hint` on commas or lines: every field is required, nothing else is allowed.
fn short_form(text: &str) -> Result<Value, String> {
    let separator = if text.contains('\n') { '\n' } else { ',' };
    let (mut properties, mut required) = (Map::new(), Vec::new());
    for field in text.split(separator).map(str::trim).filter(|field| !field.is_empty()) {
        let (field, hint) =
            field.split_once(':').map_or((field, None), |(field, hint)| (field.trim(), Some(hint.trim())));
        let mut words = field.split_whitespace();
        let (Some(name), kind, None) = (words.next(), words.next().unwrap_or("str"), words.next()) else {
            return Err(format!("\"{field}\" is not NAME or NAME TYPE"));
        };
        if !name.chars().all(|character| character.is_alphanumeric() || character == '_' || character == '-') {
            return Err(format!("\"{name}\" is no name of a field"));
        }
        let mut property =
            kind_of(kind).ok_or_else(|| format!("\"{kind}\" is no type: str, int, float, bool, or [TYPE]"))?;
        if let Some(hint) = hint {
            property["description"] = hint.into();
        }
        properties.insert(name.to_owned(), property);
        required.push(name.to_owned());
    }
    if properties.is_empty() {
        return Err("it names no field".into());
    }
    Ok(json!({"type": "object", "properties": properties, "required": required, "additionalProperties": false}))
}

fn kind_of(kind: &str) -> Option<Value> {
    if let Some(inner) = kind.strip_prefix('[').and_then(|kind| kind.strip_suffix(']')) {
        return Some(json!({"type": "array", "items": kind_of(inner)?}));
    }
    let name = match kind {
        "str" | "string" => "string",
        "int" | "integer" => "integer",
        "float" | "number" => "number",
        "bool" | "boolean" => "boolean",
        _ => return None,
    };
    Some(json!({"type": name}))
}

/// Holds an answer against the schema; the error says where it does not fit.
///
/// # Errors
/// A sentence: it is no JSON, or the first place that does not fit.
pub fn check(schema: &Schema, answer: &str) -> Result<(), String> {
    let value: Value =
        serde_json::from_str(answer.trim()).map_err(|error| format!("the answer is no JSON: {error}"))?;
    let validator = jsonschema::validator_for(&schema.schema).map_err(|error| error.to_string())?;
    match validator.iter_errors(&value).next() {
        None => Ok(()),
        Some(error) => {
            let place = error.instance_path().to_string();
            Err(format!(
                "the answer does not fit the schema at {}: {error}",
                if place.is_empty() { "its top" } else { &place }
            ))
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{check, read};

    #[test]
    fn the_short_form_makes_a_closed_schema() {
        let schema = read("name, age int, tags [str], note: what it is about").expect("reads");
        assert_eq!(
            schema.schema,
            json!({"type": "object", "additionalProperties": false, "required": ["name", "age", "tags", "note"],
                "properties": {"name": {"type": "string"}, "age": {"type": "integer"},
                    "tags": {"type": "array", "items": {"type": "string"}},
                    "note": {"type": "string", "description": "what it is about"}}})
        );
    }

    #[test]
    fn an_answer_that_does_not_fit_says_where() {
        let schema = read("{\"type\":\"object\",\"properties\":{\"age\":{\"type\":\"integer\",\"minimum\":5}},\"required\":[\"age\"]}").expect("reads");
        assert_eq!(check(&schema, " {\"age\": 7} "), Ok(()));
        assert!(check(&schema, "{\"age\": 3}").expect_err("too small").contains("/age"));
        assert!(check(&schema, "{\"age\": 7.5}").expect_err("no integer").contains("/age"));
        assert!(check(&schema, "{}").is_err() && check(&schema, "seven").is_err());
    }

    #[test]
    fn what_is_no_schema_is_refused_before_anything_is_sent() {
        for wrong in ["{", "{\"type\": 7}", "a b c", "name strange", "", "/no/such.json"] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }
}
