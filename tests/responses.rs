//! The Responses dialect: what is sent, and what its answers become, whole, streamed, cut and broken.

use llmx::domain::answer::Answer;
use llmx::domain::chat::{
    ChatRequest, Finish, FinishReason, MediaSource, Message, Part, Reasoning, Role, ToolCall, ToolChoice,
};
use llmx::domain::failure::ErrorClass;
use llmx::domain::model::{ModelFacts, Thinking};
use llmx::domain::usage::Meter;
use llmx::wire::body::Body;
use llmx::wire::contract::{ApiError, DecodeError, Dialect, Target};
use llmx::wire::quirks::{Quirks, SchemaForm};
use proptest::prelude::{any, prop_assert_eq, proptest};
use proptest::sample::select;
use serde_json::{Value, json};

#[path = "fixtures/responses/rich.rs"]
mod rich;

use rich::{media, rich, said};

macro_rules! fixtures {
    ($($constant:ident = $file:literal),* $(,)?) => {
        $(const $constant: &str = include_str!(concat!("fixtures/responses/", $file));)*
        /// Every fixture, for what must hold of all.
        const ALL: &[&str] = &[$($constant),*];
    };
}

fixtures! {
    PLAIN = "plain.sse",
    CUT = "cut.sse",
    REASONING = "reasoning.sse",
    OPEN_REASONING = "open_reasoning.sse",
    TOOL_CALLS = "tool_calls.sse",
    TOOL_CALLS_CUT = "tool_calls_cut.sse",
    TOOL_CALL_INCOMPLETE = "tool_call_incomplete.sse",
    SERVER_TOOLS = "server_tools.sse",
    REFUSAL = "refusal.sse",
    FILTERED = "filtered.sse",
    FAILED = "failed.sse",
    ERROR_EVENT = "error_event.sse",
    ERROR_FIRST = "error_first.sse",
    SPARSE = "sparse.sse",
    WHOLE = "whole.json",
    WHOLE_FAILED = "whole_failed.json",
}

/// The answer in a body that comes in pieces of `size` bytes, and how it ended.
fn read(body: &[u8], size: usize) -> (Answer, Result<(), DecodeError>) {
    let mut reader = Body::new(Dialect::Responses, &Quirks::default());
    let mut events = Vec::new();
    let mut result = Ok(());
    for piece in body.chunks(size) {
        result = reader.push(piece, &mut events);
        if result.is_err() {
            break;
        }
    }
    let result = result.and_then(|()| reader.end(&mut events));
    let mut answer = Answer::default();
    events.into_iter().for_each(|event| answer.add(event));
    (answer, result)
}

fn whole(body: &str) -> Answer {
    let (answer, result) = read(body.as_bytes(), usize::MAX);
    assert_eq!(result, Ok(()));
    answer
}

fn refused(body: &str) -> (Answer, ApiError) {
    match read(body.as_bytes(), usize::MAX) {
        (answer, Err(DecodeError::Api(error))) => (answer, error),
        (answer, other) => panic!("no error of the provider: {other:?} after {answer:?}"),
    }
}

fn finish(reason: FinishReason, raw: &str, detail: Option<&str>) -> Option<Finish> {
    Some(Finish { reason, raw: raw.into(), detail: detail.map(str::to_owned) })
}

fn meters(answer: &Answer) -> Vec<(&'static str, u64)> {
    let usage = answer.usage.as_ref().expect("usage came");
    usage.quantities.iter().map(|(meter, count)| (meter.key(), *count)).collect()
}

#[test]
fn a_plain_stream_is_said_once_although_its_last_event_repeats_it() {
    let answer = whole(PLAIN);
    assert_eq!(answer.text(), "Grüße aus \"Köln\"\n👋");
    assert_eq!((answer.id.as_deref(), answer.model_served.as_deref()), (Some("resp_01"), Some("gpt-test-2026-11-01")));
    assert_eq!(answer.finish, finish(FinishReason::Stop, "completed", None));
    assert_eq!(meters(&answer), [("input", 200), ("cache_read", 1800), ("output", 64)]);
    let usage = answer.usage.expect("usage came");
    assert_eq!((usage.service_tier.as_deref(), usage.reasoning, usage.warnings), (Some("default"), Some(0), vec![]));
}

#[test]
fn sealed_reasoning_is_shown_in_its_summary_and_kept_to_go_back() {
    let answer = whole(REASONING);
    let shown = "**Counting**\n\nThree times four.**Checking**\n\nTwelve.";
    assert_eq!((answer.reasoning().as_deref(), answer.text().as_str()), (Some(shown), "12"));
    assert_eq!(answer.usage.as_ref().and_then(|usage| usage.reasoning), Some(45));
    assert_eq!(answer.parts.len(), 2);
    let Part::Reasoning(block) = &answer.parts[0] else { panic!("thinking comes first") };
    assert_eq!((block.id.as_deref(), block.signature.as_deref()), (Some("rs_01"), Some("sealed==")));

    let sent = encode(&conversation(answer.into_message()), &Quirks::default(), &ModelFacts::default());
    assert_eq!(
        sent["input"],
        json!([
            {"type": "reasoning", "encrypted_content": "sealed==", "summary": [
                {"type": "summary_text", "text": "**Counting**\n\nThree times four."},
                {"type": "summary_text", "text": "**Checking**\n\nTwelve."},
            ]},
            {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "12"}]},
        ])
    );
}

#[test]
fn open_reasoning_goes_back_as_its_text() {
    let answer = whole(OPEN_REASONING);
    assert_eq!((answer.reasoning().as_deref(), answer.text().as_str()), (Some("Say four."), "4"));
    let sent = encode(&conversation(answer.into_message()), &Quirks::default(), &ModelFacts::default());
    assert_eq!(
        sent["input"][0],
        json!({"type": "reasoning", "id": "rs_02", "summary": [],
            "content": [{"type": "reasoning_text", "text": "Say four."}]})
    );
}

#[test]
fn reasoning_that_was_shown_is_neither_lost_nor_doubled_by_its_end() {
    let shown = "data: {\"type\":\"response.reasoning_text.delta\",\"output_index\":0,\"delta\":\"Hm.\"}\n\n";
    let text = "data: {\"type\":\"response.output_text.delta\",\"output_index\":1,\"delta\":\"4\"}\n\n";
    let sealed = "data: {\"type\":\"response.output_item.done\",\"output_index\":0,\"item\":{\"type\":\"reasoning\",\
        \"id\":\"rs\",\"encrypted_content\":\"sealed\",\"summary\":[]}}\n\n";
    let open = "data: {\"type\":\"response.output_item.done\",\"output_index\":0,\"item\":{\"type\":\"reasoning\",\
        \"id\":\"rs\",\"content\":[{\"type\":\"reasoning_text\",\"text\":\"Hm.\"}]}}\n\n";
    let end = "data: {\"type\":\"response.completed\",\"response\":{\"status\":\"completed\"}}\n\n";
    for order in [[shown, sealed, text], [shown, open, text], [shown, text, sealed], [shown, text, open]] {
        let answer = whole(&(order.concat() + end));
        assert_eq!((answer.reasoning().as_deref(), answer.text().as_str()), (Some("Hm."), "4"), "{order:?}");
        let kept = answer.parts.iter().any(|part| matches!(part, Part::Reasoning(block) if block.id.is_some()));
        assert!(kept, "{order:?}");
    }
}

#[test]
fn reasoning_that_the_server_could_not_read_again_is_not_sent_back() {
    let ours = Reasoning { text: "a summary".into(), id: Some("rs_1".into()), ..Reasoning::default() };
    let anothers = Reasoning { text: "thought".into(), signature: Some("sig".into()), ..Reasoning::default() };
    let sealed = Reasoning { signature: Some("sealed".into()), ..ours.clone() };
    let parts = [ours, anothers, sealed].map(Part::Reasoning).to_vec();
    let request = conversation(Message { role: Role::Assistant, parts });
    let item = json!({"type": "reasoning", "encrypted_content": "sealed",
        "summary": [{"type": "summary_text", "text": "a summary"}]});
    assert_eq!(encode(&request, &Quirks::default(), &ModelFacts::default())["input"], json!([item]));
    let simple = ModelFacts { thinking: Thinking::None, ..ModelFacts::default() };
    let sent = encode(&request, &Quirks::default(), &simple);
    assert_eq!((&sent["input"], &sent["include"]), (&json!([]), &Value::Null));
}

#[test]
fn interleaved_tool_calls_come_out_whole() {
    let answer = whole(TOOL_CALLS);
    let calls: Vec<_> =
        answer.tool_calls().map(|call| (call.id.as_str(), call.name.as_str(), call.arguments.as_str())).collect();
    assert_eq!(
        calls,
        [
            ("call_a", "weather", "{\"city\":\"Köln\"}"),
            ("call_b", "clock", "{\"zone\":\"CET\",\"hour\":9}"),
            ("call_c", "sum", "4 + 4"),
        ]
    );
    assert_eq!(answer.finish, finish(FinishReason::ToolCalls, "completed", None));
}

#[test]
fn a_call_that_the_output_cap_cut_is_shown_as_it_came_and_ends_as_a_length() {
    let answer = whole(TOOL_CALL_INCOMPLETE);
    assert_eq!(answer.finish, finish(FinishReason::Length, "incomplete", Some("max_output_tokens")));
    assert_eq!(answer.tool_calls().next().map(ToolCall::parsed), Some(None));
}

#[test]
fn tools_of_the_provider_are_named_and_only_real_searches_are_counted() {
    let answer = whole(SERVER_TOOLS);
    assert_eq!(answer.text(), "Dry.");
    let kinds = ["web_search_call", "web_search_call", "web_search_call", "code_interpreter_call"];
    assert_eq!(answer.server_tools, kinds);
    let usage = answer.usage.expect("usage came");
    // Two searches; the third call only opened a page.
    assert_eq!(usage.get(Meter::WebSearch), Some(2));
    assert_eq!((usage.warnings.len(), usage.remarks.len()), (0, 1), "{usage:?}");
    assert!(usage.remarks[0].starts_with("code_interpreter_call (1)"));
}

#[test]
fn the_providers_own_count_of_searches_wins_where_it_is_larger() {
    let body = |counted: Value| {
        json!({"object": "response", "status": "completed", "output": [{"type": "web_search_call", "id": "ws_1"}],
            "usage": {"input_tokens": 1, "output_tokens": 1, "total_tokens": 2}, "tool_usage": counted})
        .to_string()
    };
    let searches = |counted| whole(&body(counted)).usage.and_then(|usage| usage.get(Meter::WebSearch));
    assert_eq!(searches(json!({"web_search": {"num_requests": 4}})), Some(4));
    assert_eq!(searches(json!({"web_search": {"num_requests": 0}})), Some(1));
    assert_eq!(searches(Value::Null), Some(1));
    for none in [json!(-1), json!(2_147_483_649_u64)] {
        let usage = whole(&body(json!({"web_search": {"num_requests": none}}))).usage.expect("usage came");
        assert!(!usage.is_final() && usage.warnings[0].starts_with("usage: the searches are no count"), "{usage:?}");
    }
}

#[test]
fn a_refusal_is_said_in_the_models_words() {
    let answer = whole(REFUSAL);
    assert_eq!((answer.refusal.as_str(), answer.text().as_str()), ("I cannot help with that.", ""));
    assert_eq!(answer.finish, finish(FinishReason::Refusal, "completed", None));
}

#[test]
fn a_filter_that_stopped_the_answer_is_named() {
    let answer = whole(FILTERED);
    assert_eq!(answer.text(), "It begins");
    assert_eq!(answer.finish, finish(FinishReason::ContentFilter, "incomplete", Some("content_filter")));
}

#[test]
fn a_failure_keeps_what_came_and_its_usage() {
    let (answer, error) = refused(FAILED);
    assert_eq!((answer.text().as_str(), error.message.as_str()), ("The capital", "The model failed to finish."));
    assert_eq!((error.class, error.code.as_deref()), (ErrorClass::Overloaded, Some("server_error")));
    assert_eq!(answer.finish, finish(FinishReason::Other, "failed", None));
    assert_eq!(meters(&answer), [("input", 10), ("cache_read", 0), ("output", 2)]);
    assert_eq!(refused(WHOLE_FAILED).1.message, "The model failed to finish.");
    let silent = json!({"object": "response", "status": "failed", "error": null, "output": []}).to_string();
    assert_eq!(refused(&silent).1.message, "the response failed, and does not say why");
}

#[test]
fn an_error_event_is_an_error_wherever_it_comes_and_in_both_its_forms() {
    let (answer, error) = refused(ERROR_EVENT);
    assert_eq!((answer.text().as_str(), answer.finish), ("The capital", None));
    assert_eq!((error.class, error.message.as_str()), (ErrorClass::RateLimit, "Slow down a little."));
    let (answer, error) = refused(ERROR_FIRST);
    assert!(!answer.has_content());
    assert_eq!(error.class, ErrorClass::ContextLength);
    assert_eq!(error.message, "Your input exceeds the context window of this model.");
}

#[test]
fn errors_before_the_answer_are_found_in_every_shape() {
    for body in [
        "{\"error\":{\"message\":\"no\",\"type\":\"invalid_request_error\"}}",
        "{\"error\":\"no\",\"code\":\"invalid-argument\"}",
        "{\"object\":\"error\",\"message\":\"no\",\"type\":\"BadRequestError\",\"code\":400}",
        "{\"detail\":\"no\"}",
        "event: error\ndata: {\"message\":\"no\"}\n\n",
        "event: error\ndata: no\n\n",
    ] {
        assert_eq!(refused(body).1.message, "no", "{body}");
    }
    let body = "{\"error\":{\"code\":\"model_not_found\",\"message\":\"no such\",\"type\":\"invalid_request_error\"}}";
    assert_eq!(Dialect::Responses.error(400, body).class, ErrorClass::NotFound);
}

#[test]
fn a_stream_without_its_end_is_cut() {
    for (body, text) in [(CUT, "Grüße aus \"Köln\"\n"), ("data: {\"type\":\"response.created\"}\n\n", ""), ("{}", "")]
    {
        let (answer, result) = read(body.as_bytes(), usize::MAX);
        assert!(matches!(result, Err(DecodeError::Cut(_))), "{result:?}");
        assert_eq!((answer.text().as_str(), answer.finish), (text, None));
    }
}

#[test]
fn of_a_cut_stream_only_calls_with_whole_arguments_are_calls() {
    let (answer, result) = read(TOOL_CALLS_CUT.as_bytes(), usize::MAX);
    assert!(matches!(result, Err(DecodeError::Cut(_))));
    assert_eq!(answer.tool_calls().map(|call| call.name.as_str()).collect::<Vec<_>>(), ["weather"]);
}

#[test]
fn a_server_that_leaves_events_out_and_changes_ids_is_read_once() {
    let answer = whole(SPARSE);
    assert_eq!(answer.text(), "Half a word more");
    assert_eq!(answer.tool_calls().count(), 1);
    assert_eq!(answer.model_served.as_deref(), Some("gpt-other"));
    assert_eq!(answer.parts.len(), 3, "{:?}", answer.parts);
}

#[test]
fn a_whole_response_reads_as_its_stream_would() {
    let answer = whole(WHOLE);
    assert_eq!(answer.text(), "One, two.");
    assert_eq!(answer.parts[0], whole(REASONING).parts[0]);
    assert_eq!(answer.tool_calls().count(), 1);
    assert_eq!(answer.finish, finish(FinishReason::ToolCalls, "completed", None));
    assert_eq!(meters(&answer), [("input", 32), ("cache_read", 8), ("output", 60)]);
}

#[test]
fn a_queued_response_is_no_answer_yet_and_says_so() {
    let answer =
        whole("{\"object\":\"response\",\"id\":\"resp_1\",\"status\":\"queued\",\"output\":[],\"usage\":null}");
    assert_eq!(answer.finish, finish(FinishReason::Other, "queued", None));
    assert_eq!((answer.notes.len(), answer.usage), (1, None));
}

#[test]
fn events_that_are_not_ours_say_nothing() {
    let noise = ": hello\n\nevent: ping\ndata: pong\n\nevent: ping\ndata: {\"message\":\"alive\"}\n\n\
        data: {\"type\":\"keepalive\",\"sequence_number\":1}\n\ndata: {\"type\":\"response.future\",\"delta\":{\"a\":[1]}}\n\n";
    assert_eq!(whole(&format!("{noise}{PLAIN}{noise}data: [DONE]\n\n")), whole(PLAIN));
}

#[test]
fn another_apis_answer_is_refused_by_its_name() {
    let (_, result) = read(b"{\"object\":\"chat.completion\",\"choices\":[]}", 7);
    let Err(DecodeError::Malformed(reason)) = result else { panic!("{result:?}") };
    assert!(reason.contains("chat.completion"), "{reason}");
}

#[test]
fn usage_beyond_counting_is_rejected_and_the_answer_stands() {
    for bad in [json!(-5), json!(11.5), json!("7"), json!(1e30)] {
        let body = PLAIN.replace("\"input_tokens\":2000", &format!("\"input_tokens\":{bad}"));
        let answer = whole(&body);
        assert_eq!(answer.text(), whole(PLAIN).text());
        assert!(answer.usage.expect("usage came").rejected, "{bad}");
    }
    assert_eq!(whole(&PLAIN.replace("\"usage\":{", "\"usage\":null,\"used\":{")).usage, None);
}

fn conversation(message: Message) -> ChatRequest {
    ChatRequest { messages: vec![message], ..ChatRequest::default() }
}

fn encode(request: &ChatRequest, quirks: &Quirks, facts: &ModelFacts) -> Value {
    let target = Target { model: "gpt-test", quirks, facts, stream: true };
    Dialect::Responses.encode(request, &target).expect("it has a form").body
}

#[test]
fn a_rich_conversation_has_the_documented_form() {
    let (quirks, facts) = (Quirks { encrypted_reasoning: true, ..Quirks::default() }, ModelFacts::default());
    let target = Target { model: "gpt-test", quirks: &quirks, facts: &facts, stream: true };
    let encoded = Dialect::Responses.encode(&rich(), &target).expect("it has a form");
    assert_eq!(
        encoded.body,
        json!({
            "model": "gpt-test",
            "instructions": "Be brief.",
            "input": [
                {"role": "user", "content": "Hello"},
                {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "Good day."}]},
                {"role": "user", "content": [
                    {"type": "input_text", "text": "Compare"},
                    {"type": "input_image", "image_url": "data:image/png;base64,AQID"},
                    {"type": "input_image", "image_url": "https://example.org/cat.jpg"},
                    {"type": "input_file", "filename": "paper.pdf",
                        "file_data": "data:application/pdf;base64,JVBERg=="},
                    {"type": "input_file", "file_url": "https://example.org/paper.pdf"},
                ]},
                {"type": "reasoning", "encrypted_content": "sealed==",
                    "summary": [{"type": "summary_text", "text": "Weather first."}]},
                {"type": "message", "role": "assistant",
                    "content": [{"type": "output_text", "text": "One moment."}]},
                {"type": "function_call", "call_id": "call_1", "name": "weather",
                    "arguments": "{\"city\":\"Köln\"}"},
                {"type": "function_call_output", "call_id": "call_1", "output": "12 °C"},
                {"role": "user", "content": "And?"},
            ],
            "stream": true,
            "store": false,
            "include": ["reasoning.encrypted_content"],
            "temperature": 0.5,
            "top_p": 0.9,
            "max_output_tokens": 256,
            "reasoning": {"effort": "low", "summary": "auto"},
            "text": {"format": {"type": "json_schema", "name": "report", "strict": true,
                "schema": {"type": "object", "properties": {"degrees": {"type": "number"}},
                    "required": ["degrees"], "additionalProperties": false}}},
            "tools": [
                {"type": "function", "name": "weather", "description": "The weather in a city", "strict": true,
                    "parameters": {"type": "object", "properties": {"city": {"type": "string"}},
                        "required": ["city"], "additionalProperties": false}},
                {"type": "function", "name": "clock", "strict": false,
                    "parameters": {"type": "object", "properties": {}}},
            ],
            "tool_choice": {"type": "function", "name": "weather"},
            "service_tier": "flex",
        })
    );
    assert_eq!(
        encoded.ignored,
        [
            "gpt-test does not take a seed in the Responses API",
            "gpt-test does not take stop sequences in the Responses API",
            "gpt-test does not take cache points (it caches by itself, or not at all)",
        ]
    );
    assert!(encoded.headers.is_empty());
}

#[test]
fn only_what_was_asked_for_is_sent() {
    let request = conversation(said(Role::User, vec![Part::Text("Hi".into())]));
    let quirks = Quirks { store_false: false, encrypted_reasoning: false, ..Quirks::default() };
    let facts = ModelFacts::default();
    let target = Target { model: "gpt-test", quirks: &quirks, facts: &facts, stream: false };
    let body = Dialect::Responses.encode(&request, &target).expect("it has a form").body;
    assert_eq!(body, json!({"model": "gpt-test", "input": [{"role": "user", "content": "Hi"}]}));
}

#[test]
fn what_a_model_refuses_is_said_and_not_sent() {
    let facts = ModelFacts { temperature: false, schema: false, thinking: Thinking::None, ..ModelFacts::default() };
    let quirks = Quirks::default();
    let target = Target { model: "gpt-test", quirks: &quirks, facts: &facts, stream: true };
    let mut request = rich();
    request.settings.extra.clear();
    let encoded = Dialect::Responses.encode(&request, &target).expect("it has a form");
    for key in ["temperature", "top_p", "reasoning", "include", "text"] {
        assert_eq!(encoded.body.get(key), None, "{key}");
    }
    assert_eq!(encoded.ignored.len(), 6, "{:?}", encoded.ignored);
    let instructions = encoded.body["instructions"].as_str().expect("a text");
    assert!(instructions.starts_with("Be brief.\n\n") && instructions.contains("\"degrees\""), "{instructions}");
}

#[test]
fn a_row_that_knows_json_but_no_schema_gets_the_schema_in_words() {
    let quirks = Quirks { schema: SchemaForm::JsonObject, ..Quirks::default() };
    let body = encode(&rich(), &quirks, &ModelFacts::default());
    assert_eq!(body["text"], json!({"format": {"type": "json_object"}}));
    assert!(body["instructions"].as_str().is_some_and(|words| words.contains("\"degrees\"")));
}

#[test]
fn every_choice_of_tools_has_its_word() {
    for (choice, word) in [(ToolChoice::Auto, "auto"), (ToolChoice::None, "none"), (ToolChoice::Any, "required")] {
        let request = ChatRequest { tool_choice: Some(choice), ..rich() };
        assert_eq!(encode(&request, &Quirks::default(), &ModelFacts::default())["tool_choice"], word);
    }
}

#[test]
fn an_attachment_without_a_form_is_refused_before_anything_is_sent() {
    let bytes = |mime| media(mime, MediaSource::Bytes(vec![1]), None);
    let narrow = Quirks { images: false, documents: llmx::wire::quirks::DocumentForm::None, ..Quirks::default() };
    for (part, quirks) in [
        (Part::Audio(bytes("audio/wav")), Quirks::default()),
        (Part::Image(bytes("image/png")), narrow.clone()),
        (Part::Document(bytes("application/pdf")), narrow),
    ] {
        let request = conversation(said(Role::User, vec![part]));
        let facts = ModelFacts::default();
        let target = Target { model: "gpt-test", quirks: &quirks, facts: &facts, stream: true };
        Dialect::Responses.encode(&request, &target).expect_err("it has no form");
    }
}

proptest! {
    #[test]
    fn fragments_never_change_the_answer(body in select(ALL), size in 1_usize..40) {
        prop_assert_eq!(read(body.as_bytes(), size), read(body.as_bytes(), usize::MAX));
    }

    #[test]
    fn no_damage_makes_the_decoder_panic_or_depend_on_fragments(
        body in select(ALL), at in any::<proptest::sample::Index>(), byte in any::<u8>(), cut in any::<bool>(),
        size in 1_usize..40,
    ) {
        let mut bytes = body.as_bytes().to_vec();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        if cut {
            bytes.truncate(at + 1);
        }
        prop_assert_eq!(read(&bytes, size), read(&bytes, usize::MAX));
    }

    #[test]
    fn no_bytes_make_the_decoder_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        prop_assert_eq!(read(&bytes, 3), read(&bytes, usize::MAX));
    }

    #[test]
    fn events_with_any_values_in_any_order_make_no_panic(
        events in proptest::collection::vec((select(KINDS), select(VALUES), select(VALUES), 0_u8..3), 0..12),
    ) {
        let body: String = events.iter().map(|(kind, one, other, index)| format!(
            "data: {{\"type\":\"{kind}\",\"output_index\":{index},\"delta\":{one},\"item\":{other},\
             \"response\":{other},\"arguments\":{one},\"input\":{one}}}\n\n"
        )).collect();
        prop_assert_eq!(read(body.as_bytes(), 5), read(body.as_bytes(), usize::MAX));
    }
}

const KINDS: &[&str] = &[
    "response.created",
    "response.output_item.added",
    "response.output_item.done",
    "response.output_text.delta",
    "response.refusal.delta",
    "response.reasoning_summary_text.delta",
    "response.reasoning_text.delta",
    "response.function_call_arguments.delta",
    "response.function_call_arguments.done",
    "response.custom_tool_call_input.delta",
    "response.custom_tool_call_input.done",
    "response.completed",
    "response.incomplete",
    "response.failed",
    "error",
    "ping",
];

const VALUES: &[&str] = &[
    "null",
    "\"text\"",
    "\"\\ud83d\\udc4b \\n\"",
    "7",
    "[]",
    "{}",
    "{\"type\":\"message\",\"content\":[{\"text\":\"text and more\"},{\"refusal\":\"no\"}]}",
    "{\"type\":\"message\",\"content\":null}",
    "{\"type\":\"reasoning\",\"id\":\"rs\",\"summary\":[{\"text\":\"t\"}],\"encrypted_content\":\"s\"}",
    "{\"type\":\"function_call\",\"name\":\"f\",\"call_id\":\"c\",\"arguments\":{\"a\":1}}",
    "{\"type\":\"web_search_call\",\"action\":{\"type\":\"search\"}}",
    "{\"id\":\"r\",\"model\":\"m\",\"status\":\"completed\",\"output\":[{\"type\":\"message\"},7,null],\"usage\":{\"input_tokens\":1}}",
    "{\"status\":\"incomplete\",\"incomplete_details\":{\"reason\":\"steered\"},\"output\":7,\"usage\":[]}",
    "{\"error\":{\"message\":\"no\"}}",
];
