//! The same answer said in each dialect, in the parts between which a connection can break.

use serde_json::{Value, json};

/// An answer's parts in one dialect, each whole frames of its stream.
#[derive(Debug, Clone)]
pub struct Spoken {
    /// What `--api` calls it.
    pub api: &'static str,
    /// What comes before the first text.
    pub opening: String,
    /// Two pieces of text.
    pub one: String,
    pub two: String,
    /// The start of a tool call, in place of text, and a further piece of its arguments; empty where calls come whole.
    pub calling: String,
    pub argument: String,
    /// The reason why the model stopped, and what the dialect needs for its end.
    pub finish: String,
    /// An error of the provider (overloaded) as an event.
    pub error: String,
    /// A refusal of the request (rate limit) as an event.
    pub refusal: String,
    /// A frame that means nothing, where the dialect has one.
    pub idle: String,
    /// The whole answer where no stream was asked for.
    pub whole: String,
    pub content_type: &'static str,
}

pub const ONE: &str = "Lake Como is ";
pub const TWO: &str = "425 m deep.";
pub const TEXT: &str = "Lake Como is 425 m deep.";

impl Spoken {
    /// The whole stream.
    pub fn stream(&self) -> String {
        [&self.opening, &self.one, &self.two, &self.finish].map(String::as_str).concat()
    }

    /// The stream up to the first piece of text.
    pub fn begun(&self) -> String {
        format!("{}{}", self.opening, self.one)
    }
}

/// Every dialect that goes over HTTP here.
pub fn all() -> Vec<Spoken> {
    vec![chat(), responses(), messages(), generate_content(), cohere(), ollama()]
}

pub fn event(value: &Value) -> String {
    format!("data: {value}\n\n")
}

/// An event with its type as its name, as those dialects send it that name their events.
pub fn named(value: &Value) -> String {
    format!("event: {}\ndata: {value}\n\n", value["type"].as_str().unwrap_or_default())
}

/// A chunk of Chat Completions.
pub fn chunk(delta: &Value, finish: Option<&str>) -> String {
    event(&json!({"id": "c1", "object": "chat.completion.chunk", "model": "m-1",
        "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}))
}

/// A chunk of Chat Completions with text.
pub fn says(text: &str) -> String {
    chunk(&json!({"content": text}), None)
}

pub const CHAT_USAGE: &str = "data: {\"id\":\"c1\",\"model\":\"m-1\",\"choices\":[],\"usage\":{\"prompt_tokens\":7,\
    \"completion_tokens\":5,\"total_tokens\":12}}\n\n";
pub const DONE: &str = "data: [DONE]\n\n";

/// A whole stream of Chat Completions.
pub fn chat_stream(text: &str) -> String {
    format!("{}{}{CHAT_USAGE}{DONE}", says(text), chunk(&json!({}), Some("stop")))
}

pub fn chat() -> Spoken {
    Spoken {
        api: "chat",
        opening: chunk(&json!({"role": "assistant", "content": ""}), None),
        one: says(ONE),
        two: says(TWO),
        calling: chunk(
            &json!({"tool_calls": [{"index": 0, "id": "t1", "type": "function",
                "function": {"name": "depth", "arguments": ""}}]}),
            None,
        ),
        argument: chunk(&json!({"tool_calls": [{"index": 0, "function": {"arguments": "{\"lake"}}]}), None),
        finish: format!("{}{CHAT_USAGE}{DONE}", chunk(&json!({}), Some("stop"))),
        error: event(&json!({"error": {"message": "no room", "type": "server_error", "code": "server_overloaded"}})),
        refusal: event(&json!({"error": {"message": "slow down", "type": "rate_limit_exceeded"}})),
        idle: ": ping\n\n".into(),
        whole: json!({"id": "c1", "object": "chat.completion", "model": "m-1",
            "choices": [{"index": 0, "message": {"role": "assistant", "content": TEXT}, "finish_reason": "stop"}],
            "usage": {"prompt_tokens": 7, "completion_tokens": 5, "total_tokens": 12}})
        .to_string(),
        content_type: "text/event-stream",
    }
}

fn responses() -> Spoken {
    let response = |status: &str, output: Value, usage: Value| {
        json!({"id": "r1", "object": "response", "status": status, "error": null, "incomplete_details": null,
            "model": "m-1", "output": output, "usage": usage})
    };
    let message = json!({"id": "i1", "type": "message", "status": "completed", "role": "assistant",
        "content": [{"type": "output_text", "text": TEXT, "annotations": []}]});
    let usage = json!({"input_tokens": 7, "output_tokens": 5, "total_tokens": 12});
    let done = response("completed", json!([message]), usage);
    let delta = |text: &str| {
        named(&json!({"type": "response.output_text.delta", "item_id": "i1", "output_index": 0, "content_index": 0,
            "delta": text}))
    };
    let begun = response("in_progress", json!([]), Value::Null);
    Spoken {
        api: "responses",
        opening: [
            json!({"type": "response.created", "response": begun}),
            json!({"type": "response.output_item.added", "output_index": 0,
                "item": {"id": "i1", "type": "message", "status": "in_progress", "role": "assistant", "content": []}}),
            json!({"type": "response.content_part.added", "item_id": "i1", "output_index": 0, "content_index": 0,
                "part": {"type": "output_text", "text": "", "annotations": []}}),
        ]
        .iter()
        .map(named)
        .collect(),
        one: delta(ONE),
        two: delta(TWO),
        calling: named(&json!({"type": "response.output_item.added", "output_index": 1, "item": {"id": "f1",
            "type": "function_call", "status": "in_progress", "call_id": "t1", "name": "depth", "arguments": ""}})),
        argument: named(&json!({"type": "response.function_call_arguments.delta", "item_id": "f1", "output_index": 1,
            "delta": "{\"lake"})),
        finish: [
            json!({"type": "response.output_text.done", "item_id": "i1", "output_index": 0, "content_index": 0,
                "text": TEXT}),
            json!({"type": "response.output_item.done", "output_index": 0, "item": message}),
            json!({"type": "response.completed", "response": done}),
        ]
        .iter()
        .map(named)
        .collect(),
        error: named(&json!({"type": "error", "code": "server_error", "message": "no room", "param": null})),
        refusal: named(&json!({"type": "error", "code": "rate_limit_exceeded", "message": "slow down", "param": null})),
        idle: named(&json!({"type": "keepalive", "sequence_number": 1})),
        whole: done.to_string(),
        content_type: "text/event-stream",
    }
}

fn messages() -> Spoken {
    let delta = |text: &str| {
        named(&json!({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": text}}))
    };
    Spoken {
        api: "messages",
        opening: [
            json!({"type": "message_start", "message": {"id": "m1", "type": "message", "role": "assistant",
                "model": "m-1", "content": [], "stop_reason": null, "stop_sequence": null,
                "usage": {"input_tokens": 7, "output_tokens": 1}}}),
            json!({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}),
        ]
        .iter()
        .map(named)
        .collect(),
        one: delta(ONE),
        two: delta(TWO),
        calling: named(&json!({"type": "content_block_start", "index": 1,
            "content_block": {"type": "tool_use", "id": "t1", "name": "depth", "input": {}}})),
        argument: named(&json!({"type": "content_block_delta", "index": 1,
            "delta": {"type": "input_json_delta", "partial_json": "{\"lake"}})),
        finish: [
            json!({"type": "content_block_stop", "index": 0}),
            json!({"type": "message_delta", "delta": {"stop_reason": "end_turn", "stop_sequence": null},
                "usage": {"output_tokens": 5}}),
            json!({"type": "message_stop"}),
        ]
        .iter()
        .map(named)
        .collect(),
        error: named(&json!({"type": "error", "error": {"type": "overloaded_error", "message": "no room"}})),
        refusal: named(&json!({"type": "error", "error": {"type": "rate_limit_error", "message": "slow down"}})),
        idle: named(&json!({"type": "ping"})),
        whole: json!({"id": "m1", "type": "message", "role": "assistant", "model": "m-1",
            "content": [{"type": "text", "text": TEXT}], "stop_reason": "end_turn", "stop_sequence": null,
            "usage": {"input_tokens": 7, "output_tokens": 5}})
        .to_string(),
        content_type: "text/event-stream",
    }
}

fn generate_content() -> Spoken {
    let part = |text: &str, finish: Value| {
        json!({"candidates": [{"content": {"parts": [{"text": text}], "role": "model"}, "index": 0,
            "finishReason": finish}], "modelVersion": "m-1", "responseId": "g1",
            "usageMetadata": {"promptTokenCount": 7, "candidatesTokenCount": 5, "totalTokenCount": 12}})
    };
    Spoken {
        api: "generate-content",
        opening: String::new(),
        one: event(&part(ONE, Value::Null)),
        two: event(&part(TWO, Value::Null)),
        calling: event(&json!({"candidates": [{"content": {"parts": [{"functionCall": {"name": "depth",
            "args": {"lake": "Como"}}}], "role": "model"}, "index": 0}], "modelVersion": "m-1", "responseId": "g1"})),
        argument: String::new(),
        finish: event(&part("", json!("STOP"))),
        error: event(&json!({"error": {"code": 503, "message": "no room", "status": "UNAVAILABLE"}})),
        refusal: event(&json!({"error": {"code": 429, "message": "slow down", "status": "RESOURCE_EXHAUSTED"}})),
        idle: ": ping\n\n".into(),
        whole: part(TEXT, json!("STOP")).to_string(),
        content_type: "text/event-stream",
    }
}

fn cohere() -> Spoken {
    let delta = |text: &str| {
        named(&json!({"type": "content-delta", "index": 0, "delta": {"message": {"content": {"text": text}}}}))
    };
    let usage = json!({"billed_units": {"input_tokens": 7, "output_tokens": 5},
        "tokens": {"input_tokens": 7, "output_tokens": 5}});
    Spoken {
        api: "cohere",
        opening: [
            json!({"id": "c1", "type": "message-start", "delta": {"message": {"role": "assistant", "content": []}}}),
            json!({"type": "content-start", "index": 0, "delta": {"message": {"content": {"type": "text", "text": ""}}}}),
        ]
        .iter()
        .map(named)
        .collect(),
        one: delta(ONE),
        two: delta(TWO),
        calling: named(&json!({"type": "tool-call-start", "index": 0, "delta": {"message": {"tool_calls": {"id": "t1",
            "type": "function", "function": {"name": "depth", "arguments": ""}}}}})),
        argument: named(&json!({"type": "tool-call-delta", "index": 0,
            "delta": {"message": {"tool_calls": {"function": {"arguments": "{\"lake"}}}}})),
        finish: [
            json!({"type": "content-end", "index": 0}),
            json!({"type": "message-end", "delta": {"finish_reason": "COMPLETE", "usage": usage}}),
        ]
        .iter()
        .map(named)
        .collect(),
        error: named(&json!({"type": "error", "message": "internal server error: no room"})),
        refusal: named(&json!({"type": "error", "message": "too many requests: slow down"})),
        idle: named(&json!({"type": "debug"})),
        whole: json!({"id": "c1", "finish_reason": "COMPLETE", "usage": usage,
            "message": {"role": "assistant", "content": [{"type": "text", "text": TEXT}]}})
        .to_string(),
        content_type: "text/event-stream",
    }
}

fn ollama() -> Spoken {
    let line = |value: Value| format!("{value}\n");
    let said = |text: &str| {
        line(json!({"model": "m-1", "created_at": "2026-11-22T09:00:00Z",
            "message": {"role": "assistant", "content": text}, "done": false}))
    };
    let last = |text: &str| {
        line(json!({"model": "m-1", "created_at": "2026-11-22T09:00:00Z",
            "message": {"role": "assistant", "content": text}, "done": true, "done_reason": "stop",
            "prompt_eval_count": 7, "eval_count": 5}))
    };
    Spoken {
        api: "ollama",
        opening: String::new(),
        one: said(ONE),
        two: said(TWO),
        calling: line(json!({"model": "m-1", "created_at": "2026-11-22T09:00:00Z", "done": false,
            "message": {"role": "assistant", "content": "", "tool_calls": [
                {"function": {"name": "depth", "arguments": {"lake": "Como"}}}]}})),
        argument: String::new(),
        finish: last(""),
        error: line(json!({"error": "internal server error: no room"})),
        refusal: line(json!({"error": "too many requests: slow down"})),
        idle: "\n".into(),
        whole: last(TEXT),
        content_type: "application/x-ndjson",
    }
}
