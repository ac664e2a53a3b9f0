//! A call as a span, with the names of OpenTelemetry's GenAI conventions (github.com/open-telemetry/semantic-conventions-genai,
//! read 2026-11-22).

use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, ArrayValue, KeyValue};
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use opentelemetry_proto::tonic::trace::v1::{Span, Status};
use serde_json::json;

use super::{attribute, nanos, number, text, whole};
use crate::domain::chat::{ChatRequest, Part, Role};
use crate::domain::report::CallReport;
use crate::domain::usage::{Meter, Usage};

/// Ids of the catalog that the conventions have another name for.
const PROVIDERS: &[(&str, &str)] = &[
    ("bedrock", "aws.bedrock"),
    ("azure", "azure.ai.openai"),
    ("gemini", "gcp.gemini"),
    ("vertex", "gcp.vertex_ai"),
    ("mistral", "mistral_ai"),
    ("xai", "x_ai"),
    ("watsonx", "ibm.watsonx.ai"),
];

/// What the conventions call a provider.
pub fn provider(id: &str) -> &str {
    PROVIDERS.iter().find(|(known, _)| *known == id).map_or(id, |(_, name)| name)
}

/// What is told of a call without what was said in it.
pub fn of(request: &ChatRequest, report: &CallReport, retry_of: Option<&str>, opened_ms: i64) -> Span {
    let ended_ms = opened_ms.saturating_add(i64::try_from(report.timing.total_ms).unwrap_or(i64::MAX));
    let status = report
        .failure
        .as_ref()
        .map(|failure| Status { message: failure.class.as_str().to_owned(), code: StatusCode::Error.into() });
    Span {
        trace_id: bytes(report.group.as_deref().or(retry_of).unwrap_or(&report.id)).to_vec(),
        span_id: bytes(&report.id)[8..].to_vec(),
        name: format!("chat {}", report.name.model),
        kind: SpanKind::Client.into(),
        start_time_unix_nano: nanos(opened_ms),
        end_time_unix_nano: nanos(ended_ms),
        attributes: attributes(request, report, retry_of),
        status,
        ..Span::default()
    }
}

/// The bytes of one of our ids; of another text those of its hash.
fn bytes(id: &str) -> [u8; 16] {
    if let Ok(id) = uuid::Uuid::parse_str(id) {
        return id.into_bytes();
    }
    let digest = ring::digest::digest(&ring::digest::SHA256, id.as_bytes());
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&digest.as_ref()[..16]);
    bytes
}

fn attributes(request: &ChatRequest, report: &CallReport, retry_of: Option<&str>) -> Vec<KeyValue> {
    let (answer, bill) = (&report.answer, &report.bill);
    let mut told = vec![
        text("gen_ai.operation.name", "chat"),
        text("gen_ai.provider.name", provider(&report.name.provider)),
        text("gen_ai.request.model", &report.name.model),
        text("llmx.call.id", &report.id),
        text("llmx.cost.basis", bill.basis.as_str()),
    ];
    let settings = &request.settings;
    told.extend(settings.max_tokens.map(|most| whole("gen_ai.request.max_tokens", most.into())));
    told.extend(settings.temperature.map(|temperature| number("gen_ai.request.temperature", temperature)));
    told.extend(settings.seed.map(|seed| attribute("gen_ai.request.seed", Value::IntValue(seed))));
    told.extend(answer.id.as_ref().map(|id| text("gen_ai.response.id", id)));
    told.extend(answer.model_served.as_ref().map(|model| text("gen_ai.response.model", model)));
    told.extend(answer.finish.as_ref().map(|finish| {
        let reason = AnyValue { value: Some(Value::StringValue(finish.raw.clone())) };
        attribute("gen_ai.response.finish_reasons", Value::ArrayValue(ArrayValue { values: vec![reason] }))
    }));
    told.extend(report.timing.first_token_ms.map(|first| {
        number("gen_ai.response.time_to_first_chunk", std::time::Duration::from_millis(first).as_secs_f64())
    }));
    told.extend(report.outcome.usage().into_iter().flat_map(usage));
    told.extend(report.failure.as_ref().map(|failure| text("error.type", failure.class.as_str())));
    told.extend(
        report
            .failure
            .as_ref()
            .and_then(|failure| failure.status)
            .map(|status| whole("http.response.status_code", status.into())),
    );
    // Exact as a text; as a number for those who add up.
    told.extend(bill.total.map(|total| text("llmx.cost.usd", total.to_string())));
    told.extend(bill.total.and_then(|total| total.to_string().parse().ok()).map(|usd| number("llmx.cost", usd)));
    told.extend(bill.at_most.map(|most| text("llmx.cost.at_most_usd", most.to_string())));
    told.extend(report.group.as_ref().map(|group| text("llmx.group", group)));
    told.extend(report.session.as_ref().map(|session| text("session.id", session)));
    told.extend(retry_of.map(|first| text("llmx.retry_of", first)));
    told.extend(report.region.as_ref().map(|region| text("llmx.region", region)));
    told
}

/// Our meters are disjoint; the conventions count cached tokens among those of the input, and thinking among the output.
fn usage(usage: &Usage) -> Vec<KeyValue> {
    let Tokens { input, output } = tokens(usage);
    let of = |meters: &[Meter]| sum(usage, |meter| meters.contains(&meter));
    let reasoning = usage.reasoning.or(of(&[Meter::ReasoningOut]));
    [
        ("gen_ai.usage.input_tokens", input),
        ("gen_ai.usage.output_tokens", output),
        ("gen_ai.usage.cache_read.input_tokens", of(&[Meter::CacheRead, Meter::CacheReadAudio])),
        ("gen_ai.usage.cache_creation.input_tokens", of(&[Meter::CacheWrite5m, Meter::CacheWrite1h])),
        ("gen_ai.usage.reasoning.output_tokens", reasoning),
    ]
    .into_iter()
    .filter_map(|(key, count)| Some(whole(key, count?)))
    .collect()
}

/// Tokens as the conventions count them; unknown where nothing of the sort was reported.
pub struct Tokens {
    pub input: Option<u64>,
    pub output: Option<u64>,
}

pub fn tokens(usage: &Usage) -> Tokens {
    let is_output = |meter| matches!(meter, Meter::Output | Meter::AudioOut | Meter::ImageOut | Meter::ReasoningOut);
    Tokens { input: sum(usage, Meter::is_prompt), output: sum(usage, is_output) }
}

fn sum(usage: &Usage, counts: impl Fn(Meter) -> bool) -> Option<u64> {
    let counted = usage.quantities.iter().filter(|(meter, _)| counts(**meter)).map(|(_, count)| *count);
    counted.reduce(u64::saturating_add)
}

/// What was said, in the shape of the conventions: only where the user asks for it.
pub fn content(request: &ChatRequest, report: &CallReport) -> Vec<KeyValue> {
    let parts = |parts: &[Part]| parts.iter().map(part).collect::<Vec<_>>();
    let messages: Vec<_> = request
        .messages
        .iter()
        .map(|message| {
            let role = match message.role {
                Role::User => "user",
                Role::Assistant => "assistant",
            };
            json!({"role": role, "parts": parts(&message.parts)})
        })
        .collect();
    let reason = report.answer.finish.as_ref().map(|finish| finish.raw.clone());
    let answer = json!([{"role": "assistant", "parts": parts(&report.answer.parts), "finish_reason": reason}]);
    let system = request.system.as_ref().map(|system| json!([{"type": "text", "content": system}]).to_string());
    let mut told = vec![
        text("gen_ai.input.messages", json!(messages).to_string()),
        text("gen_ai.output.messages", answer.to_string()),
    ];
    told.extend(system.map(|system| text("gen_ai.system_instructions", system)));
    told
}

fn part(part: &Part) -> serde_json::Value {
    match part {
        Part::Text(text) => json!({"type": "text", "content": text}),
        Part::Reasoning(block) => json!({"type": "reasoning", "content": block.text}),
        Part::ToolCall(call) => {
            json!({"type": "tool_call", "id": call.id, "name": call.name, "arguments": call.arguments})
        }
        Part::ToolResult(result) => json!({"type": "tool_call_response", "id": result.id, "response": result.content}),
        Part::Image(media) => json!({"type": "blob", "modality": "image", "mime_type": media.mime}),
        Part::Document(media) => json!({"type": "blob", "modality": "document", "mime_type": media.mime}),
        Part::Audio(media) => json!({"type": "blob", "modality": "audio", "mime_type": media.mime}),
    }
}
