//! What a request can consume at the most, and what decides its price beside that.

use serde_json::Value;

use super::Target;
use crate::domain::bill::Quote;
use crate::domain::chat::{ChatRequest, Part};
use crate::domain::failure::Failure;
use crate::domain::model::ModelName;
use crate::pricing::{Ask, Context, Moment, Prices};
use crate::provider::Draft;

/// A request as it would be sent to a model, how it is priced and the most that it can cost.
#[derive(Debug)]
pub struct Plan {
    pub draft: Draft,
    /// The model at the place where it runs.
    pub place: ModelName,
    pub context: Context,
    /// UTF-8 bytes of the rendered request.
    pub request_bytes: u64,
    pub quote: Quote,
}

/// Plans a request; nothing is sent. `at_ms`: UTC milliseconds since 1970.
///
/// # Errors
/// A [`Failure`] where the request has no form in the API.
pub fn plan(target: &Target<'_>, request: &ChatRequest, prices: &Prices, at_ms: i64) -> Result<Plan, Failure> {
    let draft = target.provider.draft(request)?;
    let tier = requested_tier(&draft);
    let (place, context) = priced_as(target.name, draft.region.as_deref(), tier.as_deref(), &draft.body);
    let ask = ask(request, &draft);
    let quote = match &draft.simulated {
        Some(quote) => quote.clone(),
        None => prices.quote(&place, Moment::from_ms(at_ms), &context, &ask),
    };
    Ok(Plan { draft, place, context, request_bytes: ask.request_bytes, quote })
}

/// What of a call decides its price beside what it consumes: the model at the place where it runs, and the tier and the
/// speed that are asked for. `settings`: the body of the request, or the parameters that the books keep of it.
#[must_use]
pub fn priced_as(name: &ModelName, region: Option<&str>, tier: Option<&str>, settings: &Value) -> (ModelName, Context) {
    let region = region.or(name.region.as_deref());
    let said = [
        ("location", region),
        ("service_tier", tier),
        ("speed", settings["speed"].as_str()),
        ("inference_geo", settings["inference_geo"].as_str()),
    ];
    let context = said.into_iter().filter_map(|(key, word)| Some((key.to_owned(), word?.to_owned()))).collect();
    (ModelName { region: region.map(str::to_owned), ..name.clone() }, context)
}

/// The service tier that the request asks for.
#[must_use]
pub fn requested_tier(draft: &Draft) -> Option<String> {
    let tier = &draft.body["service_tier"];
    let tier = tier.as_str().or_else(|| draft.body["serviceTier"]["type"].as_str());
    tier.map(str::to_owned)
}

/// What the request can consume at the most.
#[must_use]
pub fn ask(request: &ChatRequest, draft: &Draft) -> Ask {
    let parts = || request.messages.iter().flat_map(|message| &message.parts);
    let attachments =
        parts().filter(|part| matches!(part, Part::Image(_) | Part::Document(_) | Part::Audio(_))).count();
    Ask {
        request_bytes: draft.body.to_string().len() as u64,
        messages: request.messages.len() as u64,
        tools: request.tools.len() as u64,
        output_max: draft.output_max,
        answers: answers(&draft.body),
        cache: request.settings.cache,
        thinking_apart: draft.thinking_apart,
        attachments: attachments as u64,
        server_tools: has_server_tools(&draft.body),
        ..Ask::default()
    }
}

/// How many answers are asked for, wherever the dialects have it (`-P n=3`).
fn answers(body: &Value) -> u64 {
    const PLACES: [&str; 4] = ["/n", "/best_of", "/generationConfig/candidateCount", "/num_generations"];
    PLACES.iter().filter_map(|place| body.pointer(place)?.as_u64()).max().unwrap_or(1)
}

/// Whether the provider is asked to run tools itself: each pass reads its prompt again, with what was found in it.
fn has_server_tools(body: &Value) -> bool {
    const FIELDS: [&str; 5] = ["web_search_options", "plugins", "search_parameters", "mcp_servers", "container"];
    let tools = [&body["tools"], &body["toolConfig"]["tools"]].into_iter().filter_map(Value::as_array).flatten();
    FIELDS.iter().any(|field| !body[*field].is_null()) || tools.into_iter().any(|tool| !is_function(tool))
}

/// A tool that the caller runs: `{type: function}` (OpenAI, Cohere, Ollama), `{name, input_schema}` (Anthropic, where the
/// type is absent or `custom`), `{functionDeclarations}` (Gemini), `{toolSpec}` (Converse).
fn is_function(tool: &Value) -> bool {
    match tool["type"].as_str() {
        Some(kind) => matches!(kind, "function" | "custom"),
        None => ["input_schema", "functionDeclarations", "function_declarations", "toolSpec", "cachePoint", "function"]
            .iter()
            .any(|field| !tool[*field].is_null()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{answers, has_server_tools};

    #[test]
    fn a_tool_that_the_provider_runs_is_told_from_the_callers_own() {
        for (body, runs) in [
            (json!({"tools": [{"type": "function", "function": {"name": "f"}}]}), false),
            (json!({"tools": [{"name": "f", "input_schema": {}}]}), false),
            (json!({"tools": [{"functionDeclarations": []}]}), false),
            (json!({"toolConfig": {"tools": [{"toolSpec": {}}, {"cachePoint": {}}]}}), false),
            (json!({"tools": [{"type": "web_search_20250305", "name": "web_search", "max_uses": 5}]}), true),
            (json!({"tools": [{"googleSearch": {}}]}), true),
            (json!({"tools": [{"type": "file_search"}]}), true),
            (json!({"web_search_options": {}}), true),
            (json!({"plugins": [{"id": "web"}]}), true),
            (json!({}), false),
        ] {
            assert_eq!(has_server_tools(&body), runs, "{body}");
        }
    }

    #[test]
    fn every_answer_that_is_asked_for_counts() {
        for (body, wanted) in
            [(json!({}), 1), (json!({"n": 3}), 3), (json!({"generationConfig": {"candidateCount": 2}}), 2)]
        {
            assert_eq!(answers(&body), wanted, "{body}");
        }
    }
}
