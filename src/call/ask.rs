//! What a request can consume at the most, and what decides its price beside that.

use serde_json::Value;

use super::Target;
use crate::domain::bill::Quote;
use crate::domain::chat::{CacheLifetime, ChatRequest, Part, Settings};
use crate::domain::failure::Failure;
use crate::domain::model::ModelName;
use crate::pricing::{Ask, Context, Moment, Prices};
use crate::provider::Draft;
use crate::wire::json::base64_of;

/// A request as it would be sent to a model, how it is priced and the most that it can cost.
#[derive(Debug)]
pub struct Plan {
    pub draft: Draft,
    /// The model at the place where it runs.
    pub place: ModelName,
    pub context: Context,
    /// The measure of an estimate of the prompt: UTF-8 bytes of the rendered request, with four bytes for each token that an
    /// attachment can be in place of its own.
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
    Ok(Plan { draft, place, context, request_bytes: ask.prompt_bytes(), quote })
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

/// The service tier that the request asks for; a word that no tier has where it is no word, so that nothing prices it.
#[must_use]
pub fn requested_tier(draft: &Draft) -> Option<String> {
    let own = &draft.body["serviceTier"];
    let tier = [&draft.body["service_tier"], &own["type"], own].into_iter().find(|tier| !tier.is_null())?;
    Some(tier.as_str().map_or_else(|| tier.to_string(), str::to_owned))
}

/// What the request can consume at the most.
#[must_use]
pub fn ask(request: &ChatRequest, draft: &Draft) -> Ask {
    let attachments = request.attachments().count() as u64;
    let attachment_tokens = draft.attachment_tokens.filter(|_| attachments > 0);
    Ask {
        request_bytes: draft.body.to_string().len() as u64,
        messages: request.messages.len() as u64,
        tools: request.tools.len().max(tools(&draft.body).count()) as u64,
        output_max: draft.output_max,
        answers: answers(&draft.body).unwrap_or(1),
        cache: cache(&request.settings),
        thinking_apart: draft.thinking_apart,
        attachments,
        attachment_tokens,
        attached_bytes: attachment_tokens.map_or(0, |_| attached_bytes(request, &draft.body)),
        unbounded: unbounded(&request.settings, &draft.body),
    }
}

/// Bytes of the body that are an attachment's own, in base64. What an API wants in another form counts as text.
fn attached_bytes(request: &ChatRequest, body: &Value) -> u64 {
    let media = request.attachments().filter_map(|part| match part {
        Part::Image(media) | Part::Document(media) | Part::Audio(media) => base64_of(media),
        _ => None,
    });
    let media: Vec<String> = media.filter(|coded| !coded.is_empty()).collect();
    let most = media.iter().map(|coded| coded.len() as u64).sum();
    // A prompt may end with the same text: each attachment counts once.
    if media.is_empty() { 0 } else { ending(body, &media).min(most) }
}

/// Bytes of those texts in a body that stand at the end of a string, as in `data:image/png;base64,…`.
fn ending(body: &Value, texts: &[String]) -> u64 {
    match body {
        Value::String(text) => {
            let longest = texts.iter().filter(|end| text.ends_with(end.as_str())).map(String::len).max();
            longest.unwrap_or(0) as u64
        }
        Value::Array(items) => items.iter().map(|item| ending(item, texts)).sum(),
        Value::Object(fields) => fields.values().map(|field| ending(field, texts)).sum(),
        Value::Null | Value::Bool(_) | Value::Number(_) => 0,
    }
}

/// The lowest output cap, in tokens, at or above `floor` that a budget can lower a request to. `None` where the request
/// has another cap whatever the settings say: one that `-P` forces, or a model that takes none.
#[must_use]
pub fn lowest_cap(target: &Target<'_>, request: &ChatRequest, floor: u64) -> Option<u64> {
    const THINKING: [&str; 2] = ["/thinking/budget_tokens", "/additionalModelRequestFields/thinking/budget_tokens"];
    let floor = floor.max(1);
    // The conversation has no part in it and may be long.
    let mut probe = ChatRequest {
        tools: request.tools.clone(),
        tool_choice: request.tool_choice.clone(),
        settings: request.settings.clone(),
        ..ChatRequest::default()
    };
    probe.settings.max_tokens = Some(u32::try_from(floor).ok()?);
    let draft = target.provider.draft(&probe).ok()?;
    let thinking = THINKING.iter().filter_map(|place| draft.body.pointer(place)?.as_u64()).max();
    // A thinking budget of the user's own must stay below the cap.
    (draft.output_max == Some(floor)).then(|| floor.max(thinking.map_or(0, |budget| budget.saturating_add(1))))
}

/// A field of the body, or one that Converse hands on to the model.
fn field<'b>(body: &'b Value, name: &str) -> Option<&'b Value> {
    [&body[name], &body["additionalModelRequestFields"][name]].into_iter().find(|value| !value.is_null())
}

/// How many answers are asked for, wherever the dialects have it (`-P n=3`); `None`: a number that nobody can read.
fn answers(body: &Value) -> Option<u64> {
    const PLACES: [&str; 9] = [
        "/n",
        "/best_of",
        "/num_generations",
        "/generationConfig/candidateCount",
        "/generationConfig/candidate_count",
        "/generation_config/candidateCount",
        "/generation_config/candidate_count",
        "/additionalModelRequestFields/n",
        "/additionalModelRequestFields/num_generations",
    ];
    let asked = PLACES.iter().filter_map(|place| body.pointer(place)).filter(|answers| !answers.is_null());
    asked.map(Value::as_u64).try_fold(1, |most, answers| Some(answers?.max(most)))
}

/// The longest cache that is asked for, also by `-P`.
fn cache(settings: &Settings) -> Option<CacheLifetime> {
    let asks = |(path, value): &(String, Value)| {
        let said = format!("{path} {value}");
        said.contains("cache_control") || said.contains("cachePoint")
    };
    if settings.extra.iter().any(asks) { Some(CacheLifetime::OneHour) } else { settings.cache }
}

/// Why the bytes and the cap of a request do not bound what it can consume.
fn unbounded(settings: &Settings, body: &Value) -> Vec<String> {
    const CONVERSATION: [&str; 3] = ["messages", "input", "contents"];
    // What the provider keeps: earlier turns, prompts and caches of its own.
    const STORED: [&str; 5] = ["previous_response_id", "conversation", "prompt", "cachedContent", "cached_content"];
    // Priced by the model that answers (openrouter.ai/docs/guides/routing/model-fallbacks, read 2026-11-22).
    const OTHERS: [&str; 2] = ["models", "fallbacks"];
    let mut reasons = Vec::new();
    // It takes no cap then, and thinks for as long as it wants (docs.aws.amazon.com/nova/latest/nova2-userguide/
    // extended-thinking.html, UKGovernmentBEIS/inspect_ai#3767, read 2026-11-23).
    if field(body, "reasoningConfig").is_some_and(|config| config["maxReasoningEffort"] == "high") {
        reasons.push("reasoningConfig: at the effort high no output cap is taken, so give a lower --effort".into());
    }
    if has_server_tools(body) {
        reasons.push("tools of the provider feed what they find back into the prompt: its bytes are no bound".into());
    }
    if answers(body).is_none() {
        reasons.push("how many answers are asked for is no whole number".into());
    }
    let first = |path: &str| path.split('.').next().unwrap_or_default().to_owned();
    let over = settings.extra.iter().map(|(path, _)| first(path)).find(|path| CONVERSATION.contains(&path.as_str()));
    reasons.extend(over.map(|path| format!("-P {path} is laid over the conversation: what it attaches is not known")));
    let named = |names: &[&'static str]| names.iter().copied().find(|name| field(body, name).is_some());
    reasons.extend(named(&STORED).map(|name| format!("{name} stands for a prompt that only the provider knows")));
    reasons.extend(named(&OTHERS).map(|name| format!("{name}: another model may answer, at its own price")));
    // Predicted tokens that are not used are charged as output (`CompletionUsage` in OpenAI's API description, read
    // 2026-11-22); whether the cap holds them is not confirmed.
    reasons.extend(
        named(&["prediction"]).map(|name| format!("{name}: what is rejected of it may be charged beside the cap")),
    );
    reasons
}

/// The tools of a request; one alone may stand without its list.
fn tools(body: &Value) -> impl Iterator<Item = &Value> {
    [field(body, "tools"), body.pointer("/toolConfig/tools")]
        .into_iter()
        .flatten()
        .flat_map(|tools| tools.as_array().map_or(std::slice::from_ref(tools), Vec::as_slice))
}

/// Whether the provider is asked to run tools itself: each pass reads its prompt again, with what was found in it.
fn has_server_tools(body: &Value) -> bool {
    const FIELDS: [&str; 7] = [
        "web_search_options",
        "plugins",
        "search_parameters",
        "search_options",
        "enable_search",
        "mcp_servers",
        "container",
    ];
    FIELDS.iter().any(|name| field(body, name).is_some_and(|value| *value != false))
        || tools(body).any(|tool| !is_function(tool))
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
            (json!({"tools": {"google_search": {}}}), true),
            (json!({"additionalModelRequestFields": {"tools": [{"type": "web_search_20250305"}]}}), true),
            (json!({"enable_search": false}), false),
            (json!({}), false),
        ] {
            assert_eq!(has_server_tools(&body), runs, "{body}");
        }
    }

    #[test]
    fn every_answer_that_is_asked_for_counts() {
        for (body, wanted) in [
            (json!({}), Some(1)),
            (json!({"n": 3}), Some(3)),
            (json!({"n": null}), Some(1)),
            (json!({"generationConfig": {"candidateCount": 2}}), Some(2)),
            (json!({"generation_config": {"candidate_count": 2}}), Some(2)),
            (json!({"n": "5"}), None),
            (json!({"n": 50.0}), None),
        ] {
            assert_eq!(answers(&body), wanted, "{body}");
        }
    }
}
