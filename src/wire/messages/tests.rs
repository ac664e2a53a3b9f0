//! The Messages dialect against its documented shapes.

use proptest::prelude::{Just, Strategy, any, prop_oneof, proptest};
use proptest::{collection, prop_assert, prop_assert_eq};
use serde_json::{Value, json};

use super::{encode, usage_of};
use crate::domain::answer::Answer;
use crate::domain::chat::{
    CacheLifetime, ChatEvent, ChatRequest, Effort, FinishReason, Media, MediaSource, Message, Part, Reasoning, Role,
    Schema, Settings, Tool, ToolCall, ToolChoice, ToolResult,
};
use crate::domain::failure::ErrorClass;
use crate::domain::model::{ModelFacts, Thinking};
use crate::domain::money::Usd;
use crate::domain::usage::{Meter, Usage};
use crate::wire::body::Body;
use crate::wire::contract::{DecodeError, Dialect, Encoded, Target};
use crate::wire::quirks::Quirks;

const PLAIN: &str = include_str!("../../../tests/fixtures/messages/plain.sse");
const THINKING: &str = include_str!("../../../tests/fixtures/messages/thinking.sse");
const TOOLS: &str = include_str!("../../../tests/fixtures/messages/tools.sse");
const SERVER_TOOLS: &str = include_str!("../../../tests/fixtures/messages/server_tools.sse");
const ERROR_MIDWAY: &str = include_str!("../../../tests/fixtures/messages/error_midway.sse");
const WHOLE: &str = include_str!("../../../tests/fixtures/messages/whole.json");

/// The events of a body that comes in pieces of `size` bytes, and how it ended.
fn cut(body: &[u8], size: usize) -> (Vec<ChatEvent>, Result<(), DecodeError>) {
    let mut reader = Body::new(Dialect::Messages, &Quirks::default());
    let mut events = Vec::new();
    let read = body.chunks(size).try_for_each(|piece| reader.push(piece, &mut events));
    let end = read.and_then(|()| reader.end(&mut events));
    (events, end)
}

fn read(body: &str) -> (Answer, Result<(), DecodeError>) {
    let (events, end) = cut(body.as_bytes(), usize::MAX);
    let mut answer = Answer::default();
    events.into_iter().for_each(|event| answer.add(event));
    (answer, end)
}

fn answer(body: &str) -> Answer {
    let (answer, end) = read(body);
    assert_eq!(end, Ok(()));
    answer
}

fn meters(usage: &Usage) -> Vec<(&'static str, u64)> {
    usage.quantities.iter().filter(|(_, count)| **count > 0).map(|(meter, count)| (meter.key(), *count)).collect()
}

fn usage(raw: &Value) -> Usage {
    usage_of(raw, &Quirks::default())
}

#[test]
fn a_plain_stream_gives_its_text_and_its_last_usage() {
    let answer = answer(PLAIN);
    assert_eq!(answer.text(), "Rivers carve \"valleys\" — über Äonen.");
    assert_eq!(answer.id.as_deref(), Some("msg_plain"));
    assert_eq!(answer.model_served.as_deref(), Some("claude-sonnet-4-6"));
    let finish = answer.finish.expect("finished");
    assert_eq!((finish.reason, finish.raw.as_str()), (FinishReason::Stop, "end_turn"));
    let usage = answer.usage.expect("reported");
    // The reference's example: 1 + 250 would be the classic error.
    assert_eq!(
        meters(&usage),
        [("input", 100), ("cache_read", 1000), ("cache_write", 200), ("cache_write_1h", 300), ("output", 250)]
    );
    assert_eq!(usage.prompt_total(), Some(1600));
    assert_eq!((usage.service_tier.as_deref(), usage.rejected), (Some("standard"), false));
    assert_eq!(usage.warnings, [] as [String; 0]);
}

#[test]
fn thinking_comes_in_blocks_that_go_back_as_they_came() {
    let answer = answer(THINKING);
    assert_eq!(answer.reasoning().as_deref(), Some("Seven times six, so 42."));
    assert_eq!(answer.usage.as_ref().expect("reported").reasoning, Some(70));
    let request = ChatRequest { messages: vec![answer.into_message()], ..ChatRequest::default() };
    assert_eq!(
        body(&request, &ModelFacts::default())["messages"][0]["content"],
        json!([
            {"type": "thinking", "thinking": "Seven times six, so 42.", "signature": "c2lnbmVk"},
            {"type": "redacted_thinking", "data": "ZW5jcnlwdGVk"},
            {"type": "thinking", "thinking": "", "signature": "b21pdHRlZA=="},
            {"type": "text", "text": "42"},
        ])
    );
}

#[test]
fn tool_calls_are_put_together_from_their_pieces() {
    let answer = answer(TOOLS);
    let calls: Vec<_> =
        answer.tool_calls().map(|call| (call.id.as_str(), call.name.as_str(), call.arguments.as_str())).collect();
    assert_eq!(
        calls,
        [("toolu_A", "tide_table", "{\"port\": \"Saint-Malo\", \"days\": 2}"), ("toolu_B", "clock", "{}")]
    );
    assert_eq!(answer.finish.expect("finished").reason, FinishReason::ToolCalls);
}

#[test]
fn a_servers_own_tools_are_named_and_repeated_usage_is_not_added() {
    let answer = answer(SERVER_TOOLS);
    assert_eq!(answer.server_tools, ["web_search", "web_search_tool_result"]);
    assert_eq!(answer.text(), "At new and full moon.");
    assert_eq!(answer.tool_calls().count(), 0);
    let finish = answer.finish.expect("finished");
    assert_eq!((finish.reason, finish.raw.as_str()), (FinishReason::Other, "pause_turn"));
    assert_eq!(answer.notes.len(), 1);
    let usage = answer.usage.expect("reported");
    assert_eq!(meters(&usage), [("input", 4900), ("output", 163), ("web_search", 2)]);
    assert_eq!(usage.iterations[1].model.as_deref(), Some("claude-opus-4-8"));
    assert_eq!(usage.iterations[1].quantities.get(&Meter::Input), Some(&2500));
    for (meter, total) in &usage.quantities {
        let sum: u64 = usage.iterations.iter().filter_map(|one| one.quantities.get(meter)).sum();
        assert_eq!(sum, *total, "{meter:?}");
    }
}

#[test]
fn a_whole_body_is_read_by_the_same_decoder() {
    let answer = answer(WHOLE);
    assert_eq!(answer.text(), "One moment.");
    assert_eq!(answer.reasoning().as_deref(), Some("Ask the table."));
    let call = answer.tool_calls().next().expect("a call");
    assert_eq!(call.parsed(), Some(json!({"port": "Saint-Malo", "days": 2})));
    let usage = answer.usage.as_ref().expect("reported");
    assert_eq!(meters(usage), [("input", 300), ("cache_read", 20), ("output", 61)]);
    assert_eq!((usage.reasoning, usage.rejected), (Some(12), false));
    assert_eq!(answer.finish.expect("finished").reason, FinishReason::ToolCalls);
}

#[test]
fn stop_reasons_keep_their_words_and_their_details() {
    let stopped = |stop: Value| {
        let mut message: Value = serde_json::from_str(WHOLE).expect("JSON");
        for (key, value) in stop.as_object().expect("an object") {
            message[key] = value.clone();
        }
        let finish = answer(&message.to_string()).finish.expect("finished");
        (finish.reason, finish.detail)
    };
    assert_eq!(
        stopped(json!({"stop_reason": "stop_sequence", "stop_sequence": "###"})),
        (FinishReason::StopSequence, Some("###".into()))
    );
    assert_eq!(stopped(json!({"stop_reason": "max_tokens"})), (FinishReason::Length, None));
    assert_eq!(stopped(json!({"stop_reason": "model_context_window_exceeded"})), (FinishReason::Length, None));
    let refusal = json!({"type": "refusal", "category": "cyber", "explanation": "It asks for malware."});
    assert_eq!(
        stopped(json!({"stop_reason": "refusal", "stop_details": refusal})),
        (FinishReason::Refusal, Some("It asks for malware.".into()))
    );
    assert_eq!(stopped(json!({"stop_reason": "brand_new"})), (FinishReason::Other, None));
}

#[test]
fn an_error_in_the_stream_keeps_what_came_before_it() {
    let (answer, end) = read(ERROR_MIDWAY);
    assert_eq!(answer.text(), "So far");
    let Err(DecodeError::Api(error)) = end else { unreachable!("an error, not {end:?}") };
    assert_eq!((error.class, error.message.as_str()), (ErrorClass::Overloaded, "Overloaded"));
    assert_eq!(error.kind.as_deref(), Some("overloaded_error"));
}

#[test]
fn an_error_instead_of_an_answer_is_an_error_in_any_shape() {
    for (body, class) in [
        (r#"{"type":"error","error":{"type":"rate_limit_error","message":"Slow"}}"#, ErrorClass::RateLimit),
        (r#"{"error":{"type":"invalid_request_error","message":"prompt is too long"}}"#, ErrorClass::ContextLength),
        (r#"{"message":"upstream is unavailable"}"#, ErrorClass::Overloaded),
        ("event: error\ndata: {\"error\":{\"type\":\"api_error\",\"message\":\"x\"}}\n\n", ErrorClass::Overloaded),
    ] {
        let Err(DecodeError::Api(error)) = read(body).1 else { unreachable!("{body} is an error") };
        assert_eq!(error.class, class, "{body}");
    }
    let error =
        Dialect::Messages.error(401, r#"{"type":"error","error":{"type":"authentication_error","message":"no"}}"#);
    assert_eq!((error.class, error.message.as_str()), (ErrorClass::Auth, "no"));
}

#[test]
fn a_stream_cut_before_its_stop_reason_is_cut_and_after_it_is_whole() {
    let before = &TOOLS[..TOOLS.find("event: message_delta").expect("there")];
    let (answer, end) = read(before);
    assert!(matches!(end, Err(DecodeError::Cut(_))), "{end:?}");
    assert_eq!(answer.tool_calls().count(), 2);

    let inside = &TOOLS[..TOOLS.find("alo\\\"").expect("there")];
    let (answer, end) = read(&inside[..inside.rfind("event:").expect("there")]);
    assert!(matches!(end, Err(DecodeError::Cut(_))), "{end:?}");
    assert_eq!(answer.tool_calls().count(), 0, "half a call is no call");

    let (answer, end) = read(&TOOLS[..TOOLS.find("event: message_stop").expect("there")]);
    assert_eq!(end, Ok(()));
    assert!(!answer.usage.expect("reported").rejected);

    for nothing in ["", "event: ping\ndata: {\"type\":\"ping\"}\n\n", "{}"] {
        assert!(matches!(read(nothing).1, Err(DecodeError::Cut(_))), "{nothing:?}");
    }
}

#[test]
fn a_usage_that_never_came_is_no_basis_for_a_bill() {
    let without = TOOLS.replace(r#","usage":{"output_tokens":61}"#, "");
    assert_ne!(without, TOOLS);
    let usage = answer(&without).usage.expect("that of the start");
    assert!(usage.rejected);
    assert_eq!(usage.get(Meter::Input), Some(300));
}

#[test]
fn a_count_that_is_missing_is_said_and_no_final_usage() {
    for (raw, missing) in [
        (json!({"output_tokens": 5}), vec!["prompt"]),
        (json!({"input_tokens": 7, "output_tokens": null}), vec!["output"]),
        (json!({"cache_read_input_tokens": 900, "output_tokens": 5}), vec!["prompt"]),
        (json!({"input_tokens": null}), vec!["prompt", "output"]),
    ] {
        let read = usage(&raw);
        let said: Vec<String> =
            missing.iter().map(|count| format!("usage: the count of the {count} is missing")).collect();
        assert_eq!((read.is_final(), &read.warnings), (false, &said), "{raw}");
    }
    let half = usage(&json!({"input_tokens": 210, "output_tokens": 9, "iterations": [
        {"type": "compaction", "input_tokens": 50000}, {"type": "message", "input_tokens": 210, "output_tokens": 9}]}));
    assert!(!half.is_final());
    assert_eq!(half.warnings[0], "iteration 1: usage: the count of the output is missing");
    // Of several calls inside it, each is counted: the top level need not repeat them.
    let inside = usage(&json!({"iterations": [{"input_tokens": 210, "output_tokens": 9}]}));
    assert!(inside.is_final());
}

#[test]
fn a_stream_that_shrinks_its_counts_is_billed_by_the_last_ones_and_that_is_said() {
    let start = json!({"type": "message_start", "message": {"id": "m", "model": "c", "usage":
        {"input_tokens": 100, "cache_read_input_tokens": 2000, "output_tokens": 1}}});
    let stop = |counts: Value| {
        let last = json!({"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": counts});
        answer(&format!("data: {start}\n\ndata: {last}\n\ndata: {{\"type\":\"message_stop\"}}\n\n")).usage
    };
    let shrunk = stop(json!({"input_tokens": 3, "cache_read_input_tokens": 0, "output_tokens": 5})).expect("reported");
    assert_eq!(meters(&shrunk), [("input", 3), ("output", 5)]);
    assert_eq!(
        shrunk.warnings,
        ["usage: cache_read_input_tokens shrank from 2000 to 0", "usage: input_tokens shrank from 100 to 3"]
    );
    let kept = stop(json!({"input_tokens": null, "output_tokens": 5})).expect("reported");
    assert_eq!(meters(&kept), [("input", 100), ("cache_read", 2000), ("output", 5)]);
    assert_eq!(kept.warnings, [] as [String; 0]);
}

#[test]
fn events_and_parts_that_nobody_knows_do_no_harm() {
    let strange = "event: future\ndata: not json\n\nevent: ping\ndata:\ndata: x\n\n\
        data: {\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":\"hologram\",\"text\":7}}\n\n\
        data: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"light_delta\"}}\n\n\
        data: {\"type\":5,\"message\":[]}\n\n";
    let (start, rest) = PLAIN.split_once("\n\n").expect("events");
    let answer = answer(&format!("{start}\n\n{strange}{rest}"));
    assert_eq!(answer.text(), "Rivers carve \"valleys\" — über Äonen.");
    assert_eq!(answer.notes.len(), 1);
    let fallback = json!({"type": "content_block_start", "index": 0, "content_block": {"type": "fallback",
        "from": {"model": "claude-fable-5"}, "to": {"model": "claude-opus-4-8"}}});
    let answer = self::answer(&format!("{start}\n\ndata: {fallback}\n\n{rest}"));
    assert_eq!(answer.model_served.as_deref(), Some("claude-opus-4-8"));
}

#[test]
fn what_this_api_does_not_promise_is_refused() {
    for bad in [
        "data: {\"type\":\n\n",
        "event: message_start\ndata: {\"type\":\"message_start\"}\n\n",
        "data: {\"type\":\"content_block_delta\",\"index\":3,\"delta\":{\"type\":\"input_json_delta\",\"partial_json\":\"{\"}}\n\n",
        "event: error\ndata: {}\n\n",
    ] {
        assert!(matches!(read(bad).1, Err(DecodeError::Malformed(_))), "{bad}");
    }
}

#[test]
fn iterations_are_summed_since_the_top_level_repeats_only_some_of_them() {
    let usage = usage(&json!({"input_tokens": 210, "output_tokens": 9, "iterations": [
        {"type": "compaction", "input_tokens": 50000, "output_tokens": 120},
        {"type": "message", "input_tokens": 210, "output_tokens": 9}]}));
    assert_eq!(meters(&usage), [("input", 50210), ("output", 129)]);
    let prompts: Vec<_> = usage.iterations.iter().map(|one| one.quantities.get(&Meter::Input).copied()).collect();
    assert_eq!(prompts, [Some(50000), Some(210)]);
    assert_eq!(usage.warnings, [] as [String; 0]);

    let short = self::usage(&json!({"input_tokens": 210, "output_tokens": 9, "iterations": [
        {"type": "message", "input_tokens": 200, "output_tokens": 9}]}));
    assert_eq!(short.warnings.len(), 1, "{:?}", short.warnings);
}

#[test]
fn cache_writes_are_split_by_their_lifetime_and_a_missing_split_is_said() {
    let split = usage(&json!({"input_tokens": 1, "cache_creation_input_tokens": 500, "output_tokens": 1,
        "cache_creation": {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 500}}));
    assert_eq!(meters(&split), [("input", 1), ("cache_write_1h", 500), ("output", 1)]);
    assert_eq!(split.warnings, [] as [String; 0]);

    let unsplit = usage(&json!({"input_tokens": 1, "cache_creation_input_tokens": 500, "output_tokens": 1}));
    assert_eq!(unsplit.get(Meter::CacheWrite5m), Some(500));
    assert!(unsplit.remarks[0].contains("lifetime"), "{:?}", unsplit.remarks);

    // A tool loop wrote more than the start knew of: only the sum is cumulative.
    let grown = usage(&json!({"input_tokens": 1, "cache_creation_input_tokens": 800, "output_tokens": 1,
        "cache_creation": {"ephemeral_5m_input_tokens": 200, "ephemeral_1h_input_tokens": 300}}));
    assert_eq!(meters(&grown), [("input", 1), ("cache_write", 500), ("cache_write_1h", 300), ("output", 1)]);
    assert_eq!(grown.warnings.len(), 1);
}

#[test]
fn counts_that_are_none_make_the_usage_unusable_and_a_new_field_is_named() {
    for bad in [json!(-5), json!(11.5), json!("7"), json!(2_147_483_649_u64), json!(1e30)] {
        assert!(usage(&json!({"input_tokens": bad, "output_tokens": 3})).rejected, "{bad}");
        assert!(
            usage(&json!({"input_tokens": 1, "output_tokens": 3, "iterations": [{"output_tokens": bad}]})).rejected
        );
    }
    let strange = usage(&json!({"input_tokens": 1, "output_tokens": 3, "hologram_tokens": 4,
        "output_tokens_details": {"thinking_tokens": 9}}));
    assert_eq!(strange.reasoning, Some(3));
    assert_eq!(strange.warnings.len(), 2, "{:?}", strange.warnings);
}

#[test]
fn a_stated_charge_is_booked_only_where_the_row_says_so() {
    let raw = json!({"input_tokens": 32, "output_tokens": 16, "cost": 0.000112, "is_byok": false,
        "cost_details": {"upstream_inference_cost": 0.000112}});
    assert_eq!(usage(&raw).charge, None);
    let charge = usage_of(&raw, &Quirks { reports_cost: true, ..Quirks::default() }).charge.expect("stated");
    assert_eq!((Some(charge.usd), charge.upstream), (Usd::parse("0.000112"), None));
}

/// A part of a stream, whole or spoilt, or noise.
fn piece() -> impl Strategy<Value = String> {
    let streams = [PLAIN, THINKING, TOOLS, SERVER_TOOLS, ERROR_MIDWAY];
    let events: Vec<String> =
        streams.iter().flat_map(|stream| stream.split_inclusive("\n\n")).map(str::to_owned).collect();
    prop_oneof![
        6 => proptest::sample::select(events.clone()),
        2 => (proptest::sample::select(events), any::<proptest::sample::Index>()).prop_map(|(event, at)| {
            let mut end = at.index(event.len());
            while !event.is_char_boundary(end) {
                end -= 1;
            }
            event[..end].to_owned()
        }),
        1 => Just(WHOLE.to_owned()),
        1 => "[\\PC\r\n]{0,20}",
    ]
}

proptest! {
    #[test]
    fn fragments_never_change_the_events(pieces in collection::vec(piece(), 0..12), size in 1_usize..40) {
        let body = pieces.concat();
        prop_assert_eq!(cut(body.as_bytes(), size), cut(body.as_bytes(), usize::MAX));
    }

    #[test]
    fn no_bytes_make_the_decoder_panic(body in collection::vec(any::<u8>(), 0..300)) {
        let _ = cut(&body, 7);
        let _ = cut(&[b"data: ", body.as_slice(), b"\n\n"].concat(), 7);
    }

    #[test]
    fn normalising_never_invents_tokens(input in 0_u64..=1 << 31, read in 0_u64..=1 << 31, written in 0_u64..=1 << 31,
        long in 0_u64..=1 << 31, output in 0_u64..=1 << 31) {
        let usage = usage(&json!({"input_tokens": input, "cache_read_input_tokens": read, "output_tokens": output,
            "cache_creation_input_tokens": written, "cache_creation": {"ephemeral_1h_input_tokens": long}}));
        prop_assert_eq!(usage.prompt_total(), Some(input + read + written));
        prop_assert_eq!(usage.get(Meter::Output), Some(output));
        prop_assert!(!usage.rejected);
    }
}

fn encoded(request: &ChatRequest, facts: &ModelFacts, quirks: &Quirks) -> Encoded {
    encode(request, &Target { model: "claude-test", quirks, facts, stream: true }).expect("encodable")
}

fn body(request: &ChatRequest, facts: &ModelFacts) -> Value {
    encoded(request, facts, &Quirks::default()).body
}

fn says(role: Role, text: &str) -> Message {
    Message { role, parts: vec![Part::Text(text.into())] }
}

fn asks(settings: Settings) -> ChatRequest {
    ChatRequest { messages: vec![says(Role::User, "Hi")], settings, ..ChatRequest::default() }
}

fn media(mime: &str, bytes: &[u8]) -> Media {
    Media { mime: mime.into(), source: MediaSource::Bytes(bytes.to_vec()), name: None }
}

fn url(mime: &str, url: &str) -> Media {
    Media { mime: mime.into(), source: MediaSource::Url(url.into()), name: None }
}

#[test]
fn a_rich_conversation_has_the_documented_shape() {
    let request = ChatRequest {
        system: Some("Be brief.".into()),
        messages: vec![
            Message {
                role: Role::User,
                parts: vec![
                    Part::Text("Compare these.".into()),
                    Part::Image(media("image/png", b"png")),
                    Part::Image(url("image/jpeg", "https://pictures.example/a.jpg")),
                    Part::Document(Media { name: Some("Report".into()), ..media("application/pdf", b"%PDF") }),
                    Part::Document(url("application/pdf", "https://papers.example/b.pdf")),
                    Part::Document(media("text/markdown", "# Ä".as_bytes())),
                ],
            },
            Message {
                role: Role::Assistant,
                parts: vec![
                    Part::Reasoning(Reasoning {
                        text: "Hm.".into(),
                        signature: Some("c2ln".into()),
                        ..Reasoning::default()
                    }),
                    Part::Reasoning(Reasoning { redacted: Some("ZGF0YQ==".into()), ..Reasoning::default() }),
                    Part::Reasoning(Reasoning { text: "of another provider".into(), ..Reasoning::default() }),
                    Part::Text("I ask.".into()),
                    Part::ToolCall(ToolCall {
                        id: "toolu_1".into(),
                        name: "lookup".into(),
                        arguments: "{\"word\":\"tide\"}".into(),
                        signature: None,
                    }),
                ],
            },
            Message {
                role: Role::User,
                parts: vec![
                    Part::Text("Go on.".into()),
                    Part::ToolResult(ToolResult {
                        id: "toolu_1".into(),
                        name: "lookup".into(),
                        content: "no such word".into(),
                        is_error: true,
                    }),
                ],
            },
        ],
        tools: vec![
            Tool {
                name: "lookup".into(),
                description: Some("A dictionary.".into()),
                parameters: json!({"type": "object", "properties": {"word": {"type": "string"}}}),
            },
            Tool { name: "clock".into(), description: None, parameters: json!({}) },
        ],
        tool_choice: Some(ToolChoice::Auto),
        settings: Settings {
            temperature: Some(0.5),
            top_p: Some(0.9),
            max_tokens: Some(300),
            stop: vec!["###".into()],
            schema: Some(Schema { name: "pair".into(), schema: json!({"type": "array", "items": {"type": "string"}}) }),
            cache: Some(CacheLifetime::OneHour),
            extra: vec![("metadata.user_id".into(), json!("u-1"))],
            ..Settings::default()
        },
    };
    let encoded = encoded(&request, &ModelFacts::default(), &Quirks::default());
    assert_eq!(
        encoded.body,
        json!({
            "model": "claude-test",
            "max_tokens": 300,
            "system": [{"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral", "ttl": "1h"}}],
            "messages": [
                {"role": "user", "content": [
                    {"type": "text", "text": "Compare these."},
                    {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "cG5n"}},
                    {"type": "image", "source": {"type": "url", "url": "https://pictures.example/a.jpg"}},
                    {"type": "document", "title": "Report",
                     "source": {"type": "base64", "media_type": "application/pdf", "data": "JVBERg=="}},
                    {"type": "document", "source": {"type": "url", "url": "https://papers.example/b.pdf"}},
                    {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "# Ä"}},
                ]},
                {"role": "assistant", "content": [
                    {"type": "thinking", "thinking": "Hm.", "signature": "c2ln"},
                    {"type": "redacted_thinking", "data": "ZGF0YQ=="},
                    {"type": "text", "text": "I ask."},
                    {"type": "tool_use", "id": "toolu_1", "name": "lookup", "input": {"word": "tide"}},
                ]},
                {"role": "user", "content": [
                    {"type": "tool_result", "tool_use_id": "toolu_1", "content": "no such word", "is_error": true},
                    {"type": "text", "text": "Go on.", "cache_control": {"type": "ephemeral", "ttl": "1h"}},
                ]},
            ],
            "stream": true,
            "tools": [
                {"name": "lookup", "description": "A dictionary.",
                 "input_schema": {"type": "object", "properties": {"word": {"type": "string"}}}},
                {"name": "clock", "input_schema": {"type": "object"}},
            ],
            "tool_choice": {"type": "auto"},
            "temperature": 0.5,
            "top_p": 0.9,
            "stop_sequences": ["###"],
            "output_config": {"format": {"type": "json_schema",
                "schema": {"type": "array", "items": {"type": "string"}}}},
            "metadata": {"user_id": "u-1"},
        })
    );
    assert_eq!(encoded.headers, [("anthropic-version", "2023-06-01".to_owned())]);
    assert_eq!((encoded.method, encoded.ignored.as_slice()), ("", [].as_slice()));
}

#[test]
fn a_plain_question_is_sent_plainly_and_a_cap_that_was_made_up_is_said() {
    let encoded = encoded(
        &ChatRequest { system: Some("Be brief.".into()), ..asks(Settings::default()) },
        &ModelFacts::default(),
        &Quirks::default(),
    );
    assert_eq!(
        encoded.body,
        json!({"model": "claude-test", "max_tokens": 4096, "system": "Be brief.",
            "messages": [{"role": "user", "content": [{"type": "text", "text": "Hi"}]}], "stream": true})
    );
    assert!(matches!(encoded.ignored.as_slice(), [said] if said.contains("4096")), "{:?}", encoded.ignored);
    let facts = ModelFacts { max_output: Some(64_000), ..ModelFacts::default() };
    let known = self::encoded(&asks(Settings::default()), &facts, &Quirks::default());
    assert_eq!((&known.body["max_tokens"], known.ignored.len()), (&json!(64_000), 0));
}

#[test]
fn a_row_may_keep_the_model_in_the_path_and_the_version_in_the_body() {
    let quirks = Quirks {
        model_in_body: false,
        version_in_body: Some("vertex-2023-10-16".into()),
        methods: Some(["rawPredict".into(), "streamRawPredict".into()]),
        ..Quirks::default()
    };
    let settings = Settings { max_tokens: Some(64), ..Settings::default() };
    let encoded = encoded(&asks(settings), &ModelFacts::default(), &quirks);
    assert_eq!(encoded.body["anthropic_version"], "vertex-2023-10-16");
    assert_eq!((encoded.body.get("model"), &encoded.body["stream"]), (None, &json!(true)));
    assert_eq!((encoded.headers.len(), encoded.method), (0, ""));
}

#[test]
fn thinking_is_asked_for_in_the_models_own_way() {
    let think = |thinking: Thinking, effort: Effort, cap: u32| {
        let settings = Settings { effort: Some(effort), max_tokens: Some(cap), ..Settings::default() };
        let facts = ModelFacts { thinking, ..ModelFacts::default() };
        let encoded = encoded(&asks(settings), &facts, &Quirks::default());
        (encoded.body["thinking"].clone(), encoded.body["output_config"]["effort"].clone(), encoded.ignored.len())
    };
    let enabled = |tokens: u32| json!({"type": "enabled", "budget_tokens": tokens});
    let adaptive = json!({"type": "adaptive"});
    for (thinking, effort, cap, wanted) in [
        (Thinking::Budget, Effort::Medium, 64_000, (enabled(8192), Value::Null, 0)),
        (Thinking::Budget, Effort::Max, 64_000, (enabled(48_000), Value::Null, 1)),
        (Thinking::Budget, Effort::High, 1200, (enabled(1024), Value::Null, 1)),
        (Thinking::Budget, Effort::Minimal, 1024, (Value::Null, Value::Null, 1)),
        (Thinking::Budget, Effort::None, 64_000, (Value::Null, Value::Null, 0)),
        (Thinking::Adaptive, Effort::Xhigh, 10, (adaptive.clone(), json!("xhigh"), 0)),
        (Thinking::Adaptive, Effort::Minimal, 10, (adaptive, json!("low"), 1)),
        (Thinking::Adaptive, Effort::None, 10, (Value::Null, Value::Null, 1)),
        (Thinking::Effort, Effort::High, 10, (Value::Null, json!("high"), 0)),
        (Thinking::Effort, Effort::None, 10, (Value::Null, Value::Null, 1)),
        (Thinking::None, Effort::High, 10, (Value::Null, Value::Null, 1)),
    ] {
        assert_eq!(think(thinking, effort, cap), wanted, "{thinking:?} {effort:?} {cap}");
    }
}

#[test]
fn settings_that_thinking_or_the_model_forbids_are_left_out_and_said() {
    let settings = Settings {
        temperature: Some(0.2),
        top_p: Some(0.5),
        seed: Some(7),
        max_tokens: Some(8000),
        stop: vec!["x".into()],
        effort: Some(Effort::Low),
        ..Settings::default()
    };
    let facts = ModelFacts { thinking: Thinking::Budget, stop: false, ..ModelFacts::default() };
    let thinking = encoded(&asks(settings.clone()), &facts, &Quirks::default());
    for key in ["temperature", "top_p", "seed", "stop_sequences"] {
        assert_eq!(thinking.body.get(key), None);
    }
    assert_eq!(thinking.ignored.len(), 4, "{:?}", thinking.ignored);
    assert_eq!(body(&asks(Settings { top_p: Some(0.95), ..settings.clone() }), &facts)["top_p"], json!(0.95));

    let tools = vec![Tool { name: "clock".into(), description: None, parameters: Value::Null }];
    let forced = ChatRequest { tools, tool_choice: Some(ToolChoice::Named("clock".into())), ..asks(settings.clone()) };
    let forced = encoded(&forced, &facts, &Quirks::default());
    assert_eq!(forced.body["tool_choice"], json!({"type": "tool", "name": "clock"}));
    assert_eq!((forced.body.get("thinking"), &forced.body["temperature"]), (None, &json!(0.2)));
    assert!(forced.ignored.iter().any(|said| said.contains("forced")), "{:?}", forced.ignored);

    let cold = ModelFacts { temperature: false, thinking: Thinking::None, ..ModelFacts::default() };
    let cold = encoded(&asks(settings), &cold, &Quirks::default());
    assert_eq!((cold.body.get("temperature"), cold.body.get("top_p")), (None, None));
}

#[test]
fn a_schema_is_closed_for_the_api_and_in_words_for_a_model_without_the_field() {
    let schema = json!({"type": "object", "properties": {
            "properties": {"type": "array", "items": {"type": "object", "properties": {}}},
            "open": {"type": ["object", "null"], "additionalProperties": true},
            "either": {"anyOf": [{"type": "object"}, {"type": "string", "enum": [{"type": "object"}]}]}},
        "$defs": {"inner": {"type": "object"}}, "default": {"type": "object"}});
    let settings = Settings { schema: Some(Schema { name: "s".into(), schema }), ..Settings::default() };
    let request = ChatRequest { system: Some("Be brief.".into()), ..asks(settings) };
    assert_eq!(
        body(&request, &ModelFacts::default())["output_config"]["format"]["schema"],
        json!({"type": "object", "additionalProperties": false, "properties": {
                "properties": {"type": "array",
                    "items": {"type": "object", "properties": {}, "additionalProperties": false}},
                "open": {"type": ["object", "null"], "additionalProperties": true},
                "either": {"anyOf": [{"type": "object", "additionalProperties": false},
                    {"type": "string", "enum": [{"type": "object"}]}]}},
            "$defs": {"inner": {"type": "object", "additionalProperties": false}}, "default": {"type": "object"}})
    );
    let in_words = body(&request, &ModelFacts { schema: false, ..ModelFacts::default() });
    assert_eq!(in_words.get("output_config"), None);
    let system = in_words["system"].as_str().expect("text");
    assert!(system.starts_with("Be brief.\n\n") && system.contains("JSON Schema"), "{system}");
}

#[test]
fn what_other_providers_made_is_sent_in_a_form_that_this_api_takes() {
    let call = |id: &str, arguments: &str| {
        Part::ToolCall(ToolCall { id: id.into(), name: "t".into(), arguments: arguments.into(), signature: None })
    };
    let result = |id: &str| Part::ToolResult(ToolResult { id: id.into(), ..ToolResult::default() });
    let of_responses =
        Reasoning { signature: Some("encrypted".into()), id: Some("rs_1".into()), ..Reasoning::default() };
    let request = ChatRequest {
        messages: vec![
            says(Role::User, "Hi"),
            says(Role::Assistant, ""),
            Message {
                role: Role::Assistant,
                parts: vec![
                    Part::Reasoning(of_responses),
                    call("functions.t:0", "{\"a\": "),
                    call("", ""),
                    call("", "[1]"),
                ],
            },
            Message { role: Role::User, parts: vec![result("functions.t:0"), result(""), result("")] },
        ],
        ..ChatRequest::default()
    };
    assert_eq!(
        body(&request, &ModelFacts::default())["messages"],
        json!([
            {"role": "user", "content": [{"type": "text", "text": "Hi"}]},
            {"role": "assistant", "content": [
                {"type": "tool_use", "id": "functions_t_0", "name": "t", "input": {"INVALID_JSON": "{\"a\": "}},
                {"type": "tool_use", "id": "call_1", "name": "t", "input": {}},
                {"type": "tool_use", "id": "call_2", "name": "t", "input": {"INVALID_JSON": "[1]"}},
            ]},
            {"role": "user", "content": [
                {"type": "tool_result", "tool_use_id": "functions_t_0"},
                {"type": "tool_result", "tool_use_id": "call_1"},
                {"type": "tool_result", "tool_use_id": "call_2"},
            ]},
        ])
    );
}

#[test]
fn an_attachment_without_a_form_is_refused_before_anything_is_sent() {
    for (part, word) in [
        (Part::Audio(media("audio/wav", b"RIFF")), "audio"),
        (Part::Image(media("image/bmp", b"BM")), "image/bmp"),
        (Part::Document(media("application/zip", b"PK")), "application/zip"),
        (Part::Document(media("text/plain", b"\xFF")), "UTF-8"),
        (Part::Document(url("text/plain", "https://papers.example/a.txt")), "URL"),
    ] {
        let request =
            ChatRequest { messages: vec![Message { role: Role::User, parts: vec![part] }], ..ChatRequest::default() };
        let (quirks, facts) = (Quirks::default(), ModelFacts::default());
        let refused = encode(&request, &Target { model: "claude-test", quirks: &quirks, facts: &facts, stream: false })
            .expect_err("no form");
        assert!(refused.0.contains(word), "{refused}");
    }
}
