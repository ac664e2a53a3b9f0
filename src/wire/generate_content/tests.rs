//! What generateContent promises.

use proptest::prelude::{ProptestConfig, any, prop};
use proptest::{prop_assert_eq, proptest};
use serde_json::{Value, json};

use super::{SKIP_VALIDATION, encode, normalised};
use crate::domain::answer::Answer;
use crate::domain::chat::{
    CacheLifetime, ChatEvent, ChatRequest, Effort, FinishReason, Media, MediaSource, Message, Part, Reasoning, Role,
    Schema, Settings, Tool, ToolCall, ToolChoice, ToolResult,
};
use crate::domain::failure::ErrorClass;
use crate::domain::model::{ModelFacts, Thinking};
use crate::domain::usage::{Meter, Usage};
use crate::wire::body::Body;
use crate::wire::contract::{DecodeError, Dialect, Encoded, Target};
use crate::wire::quirks::Quirks;

const PLAIN: &str = include_str!("../../../tests/fixtures/generate_content/plain.sse");
const ARRAY: &str = include_str!("../../../tests/fixtures/generate_content/array.json");
const REASONING: &str = include_str!("../../../tests/fixtures/generate_content/reasoning.sse");
const TOOL_CALLS: &str = include_str!("../../../tests/fixtures/generate_content/tool_calls.json");
const SERVER_TOOLS: &str = include_str!("../../../tests/fixtures/generate_content/server_tools.sse");
const BLOCKED: &str = include_str!("../../../tests/fixtures/generate_content/blocked.json");
const ERROR_FIRST: &str = include_str!("../../../tests/fixtures/generate_content/error_first.sse");
const ERROR_MIDSTREAM: &str = include_str!("../../../tests/fixtures/generate_content/error_midstream.sse");
const ERROR_ARRAY: &str = include_str!("../../../tests/fixtures/generate_content/error_array.json");
const CUT: &str = include_str!("../../../tests/fixtures/generate_content/cut.sse");
const SHRINKING: &str = include_str!("../../../tests/fixtures/generate_content/shrinking.sse");
const ALL: [&str; 11] = [
    PLAIN,
    ARRAY,
    REASONING,
    TOOL_CALLS,
    SERVER_TOOLS,
    BLOCKED,
    ERROR_FIRST,
    ERROR_MIDSTREAM,
    ERROR_ARRAY,
    CUT,
    SHRINKING,
];

fn events(pieces: &[&[u8]]) -> (Vec<ChatEvent>, Result<(), DecodeError>) {
    let mut body = Body::new(Dialect::GenerateContent, &Quirks::default());
    let mut events = Vec::new();
    let result = pieces.iter().try_for_each(|piece| body.push(piece, &mut events));
    let result = result.and_then(|()| body.end(&mut events));
    (events, result)
}

fn decode(body: &str) -> (Answer, Result<(), DecodeError>) {
    let (events, result) = events(&[body.as_bytes()]);
    let mut answer = Answer::default();
    events.into_iter().for_each(|event| answer.add(event));
    (answer, result)
}

fn answer(body: &str) -> Answer {
    let (answer, result) = decode(body);
    assert_eq!(result, Ok(()));
    answer
}

fn finish(answer: &Answer) -> (FinishReason, &str) {
    let finish = answer.finish.as_ref().expect("finished");
    (finish.reason, finish.raw.as_str())
}

fn meters(usage: &Usage) -> Vec<(&'static str, u64)> {
    usage.quantities.iter().filter(|(_, count)| **count > 0).map(|(meter, count)| (meter.key(), *count)).collect()
}

fn usage(answer: &Answer) -> &Usage {
    answer.usage.as_ref().expect("reported")
}

#[test]
fn a_plain_stream_is_its_text_its_finish_and_its_last_usage() {
    let answer = answer(PLAIN);
    assert_eq!(answer.text(), "Grüße aus \"Köln\" 👋");
    assert_eq!((answer.id.as_deref(), answer.model_served.as_deref()), (Some("r-plain"), Some("gemini-2.5-flash")));
    assert_eq!(finish(&answer), (FinishReason::Stop, "STOP"));
    assert_eq!(meters(usage(&answer)), [("input", 6), ("output", 9)]);
    assert_eq!(usage(&answer).service_tier.as_deref(), Some("standard"));
    assert_eq!(usage(&answer).raw["totalTokenCount"], 15);
    assert_eq!(usage(&answer).warnings, [] as [String; 0]);
}

#[test]
fn a_stream_that_is_a_json_array_is_read_as_well() {
    let answer = answer(ARRAY);
    assert_eq!(answer.text(), "one, two");
    assert_eq!(finish(&answer), (FinishReason::Length, "MAX_TOKENS"));
    assert_eq!(usage(&answer).service_tier.as_deref(), Some("ON_DEMAND"));
}

#[test]
fn thinking_and_the_signatures_of_thought_and_text_are_kept_in_their_places() {
    let answer = answer(REASONING);
    let block = |text: &str, signature: &str| {
        Part::Reasoning(Reasoning { text: text.into(), signature: Some(signature.into()), ..Reasoning::default() })
    };
    assert_eq!(
        answer.parts,
        [block("**Adding**\nTwo and two.", "dGhvdWdodA=="), Part::Text("It is 4.".into()), block("", "YW5zd2Vy"),]
    );
    assert_eq!(answer.reasoning().as_deref(), Some("**Adding**\nTwo and two."));
    assert_eq!(meters(usage(&answer)), [("input", 8), ("output", 56)]);
    assert_eq!(usage(&answer).reasoning, Some(52));
}

#[test]
fn a_signature_that_comes_alone_after_thoughts_does_not_lose_them() {
    let answer = answer(
        r#"{"candidates": [{"content": {"parts": [{"text": "Hm.", "thought": true},
            {"text": "", "thoughtSignature": "cw=="}]}, "finishReason": "STOP"}], "responseId": "r"}"#,
    );
    assert_eq!(answer.reasoning().as_deref(), Some("Hm."));
}

#[test]
fn tool_calls_carry_their_arguments_as_they_came_and_their_signature() {
    let answer = answer(TOOL_CALLS);
    let calls: Vec<_> = answer.tool_calls().cloned().collect();
    assert_eq!(
        calls,
        [
            ToolCall {
                id: "c1".into(),
                name: "weather".into(),
                arguments: r#"{"city": "Köln", "days": 2.50}"#.into(),
                signature: Some("Y2FsbA==".into()),
            },
            ToolCall { name: "time".into(), arguments: "{}".into(), ..ToolCall::default() },
        ]
    );
    assert_eq!(finish(&answer), (FinishReason::ToolCalls, "STOP"));
    assert_eq!(answer.finish.as_ref().and_then(|finish| finish.detail.as_deref()), None);
}

#[test]
fn tools_of_the_provider_are_named_and_searches_are_counted() {
    let answer = answer(SERVER_TOOLS);
    assert_eq!(answer.server_tools, ["executableCode", "codeExecutionResult", "GOOGLE_SEARCH_WEB"]);
    assert_eq!(answer.text(), "42.");
    assert_eq!(answer.notes, ["the answer holds data (image/png) that is not shown"]);
    // Generation 3 pays by query: an empty one is none, and the same one is paid once.
    assert_eq!(meters(usage(&answer)), [("input", 344), ("output", 91), ("web_search", 2)]);
    // The signature of the code is not kept: the code does not go back either.
    assert_eq!(answer.parts, [Part::Text("42.".into())]);
    let older = SERVER_TOOLS.replace("gemini-3-flash-preview", "gemini-2.5-flash");
    assert_eq!(usage(&self::answer(&older)).get(Meter::WebSearch), Some(1));
}

#[test]
fn a_list_of_queries_that_chunks_repeat_is_counted_once() {
    let chunk = |finish: &str| {
        format!(
            "data: {{\"candidates\": [{{\"content\": {{\"parts\": [{{\"text\": \"x\"}}]}}{finish}, \
             \"groundingMetadata\": {{\"webSearchQueries\": [\"q\", \"r\"]}}}}], \
             \"usageMetadata\": {{\"promptTokenCount\": 1, \"totalTokenCount\": 1}}, \
             \"modelVersion\": \"gemini-3.5-flash\"}}\n\n"
        )
    };
    let answer = answer(&(chunk("") + &chunk(", \"finishReason\": \"STOP\"")));
    assert_eq!(usage(&answer).get(Meter::WebSearch), Some(2));
}

#[test]
fn a_blocked_prompt_is_filtered_and_says_why() {
    let answer = answer(BLOCKED);
    let finish = answer.finish.as_ref().expect("finished");
    assert_eq!((finish.reason, finish.raw.as_str()), (FinishReason::ContentFilter, ""));
    assert_eq!(finish.detail.as_deref(), Some("PROHIBITED_CONTENT"));
    assert_eq!(answer.notes, ["the prompt was blocked: This prompt may not be answered."]);
    assert_eq!(meters(usage(&answer)), [("input", 9)]);
}

#[test]
fn every_documented_finish_reason_has_its_class() {
    for (raw, class) in [
        ("STOP", FinishReason::Stop),
        ("MAX_TOKENS", FinishReason::Length),
        ("SAFETY", FinishReason::ContentFilter),
        ("RECITATION", FinishReason::ContentFilter),
        ("BLOCKLIST", FinishReason::ContentFilter),
        ("PROHIBITED_CONTENT", FinishReason::ContentFilter),
        ("SPII", FinishReason::ContentFilter),
        ("IMAGE_SAFETY", FinishReason::ContentFilter),
        ("MALFORMED_FUNCTION_CALL", FinishReason::Other),
        ("LANGUAGE", FinishReason::Other),
        ("A_NEW_ONE", FinishReason::Other),
    ] {
        let body = json!({"candidates": [{"finishReason": raw, "finishMessage": "because"}], "responseId": "r"});
        let answer = answer(&body.to_string());
        assert_eq!(finish(&answer), (class, raw));
        let noted = answer.notes == [format!("the model stopped with {raw}: because")];
        assert_eq!(noted, class == FinishReason::Other, "{raw}: {:?}", answer.notes);
    }
}

#[test]
fn an_error_is_the_providers_error_wherever_it_stands() {
    let (answer, result) = decode(ERROR_FIRST);
    let Err(DecodeError::Api(error)) = result else { panic!("{result:?}") };
    assert_eq!((error.class, error.retry_after_ms), (ErrorClass::RateLimit, Some(34_500)));
    assert_eq!(error.kind.as_deref(), Some("RESOURCE_EXHAUSTED"));
    assert!(!answer.has_content());

    let (answer, result) = decode(ERROR_MIDSTREAM);
    let Err(DecodeError::Api(error)) = result else { panic!("{result:?}") };
    assert_eq!(error.class, ErrorClass::Overloaded);
    assert_eq!(error.message, "The model is overloaded. Please try again later.");
    assert_eq!((answer.text().as_str(), meters(usage(&answer))), ("Half an", vec![("input", 5), ("output", 2)]));

    let (_, result) = decode(ERROR_ARRAY);
    let Err(DecodeError::Api(error)) = result else { panic!("{result:?}") };
    assert_eq!(error.class, ErrorClass::Permission);
    assert_eq!(Dialect::GenerateContent.error(403, ERROR_ARRAY), error);

    let (_, result) = decode("data: [{\"error\": {\"code\": 500, \"message\": \"oops\"}}]\n\n");
    assert!(matches!(result, Err(DecodeError::Api(error)) if error.message == "oops"));
    let (_, result) = decode(r#"{"message": "no route"}"#);
    assert!(matches!(result, Err(DecodeError::Api(error)) if error.message == "no route"));
}

#[test]
fn an_error_status_has_the_class_that_its_details_say() {
    let class = |status: u16, kind: &str, message: &str, details: Value| {
        let error = json!({"error": {"code": status, "message": message, "status": kind, "details": details}});
        Dialect::GenerateContent.error(status, &error.to_string()).class
    };
    let reason = json!([{"reason": "API_KEY_INVALID", "domain": "googleapis.com"}]);
    assert_eq!(class(400, "INVALID_ARGUMENT", "No.", reason), ErrorClass::Auth);
    let region = "User location is not supported for the API use.";
    assert_eq!(class(400, "FAILED_PRECONDITION", region, json!([])), ErrorClass::Region);
    let long = "The input token count (2000000) exceeds the maximum number of tokens allowed (1048576).";
    assert_eq!(class(400, "INVALID_ARGUMENT", long, json!([])), ErrorClass::ContextLength);
    let daily = json!([{"violations": [{"quotaId": "GenerateRequestsPerDayPerProjectPerModel-FreeTier"}]}]);
    assert_eq!(class(429, "RESOURCE_EXHAUSTED", "Slow down.", daily), ErrorClass::Quota);
    let minute = json!([{"violations": [{"quotaId": "GenerateRequestsPerMinutePerProjectPerModel"}]}]);
    assert_eq!(class(429, "RESOURCE_EXHAUSTED", "Slow down.", minute), ErrorClass::RateLimit);
    assert_eq!(class(401, "UNAUTHENTICATED", "No.", json!([])), ErrorClass::Auth);
    assert_eq!(class(504, "DEADLINE_EXCEEDED", "Late.", json!([])), ErrorClass::Timeout);
}

#[test]
fn a_stream_without_a_finish_reason_is_cut_and_keeps_what_came() {
    let (answer, result) = decode(CUT);
    assert_eq!(result, Err(DecodeError::Cut("the answer ended without a finish reason".into())));
    assert_eq!((answer.text().as_str(), answer.finish.as_ref()), ("To be, or", None));
    let (_, result) = decode(r#"{"candidates": [], "responseId": "r"}"#);
    assert_eq!(result, Err(DecodeError::Cut("the answer holds no candidate".into())));
}

#[test]
fn other_candidates_are_left_out_and_a_repeated_stop_is_one_finish() {
    let body = "data: {\"candidates\": [{\"content\": {\"parts\": [{\"text\": \"a\"}]}, \"finishReason\": \"STOP\"}, \
         {\"index\": 1, \"content\": {\"parts\": [{\"text\": \"x\"}]}, \"finishReason\": \"SAFETY\"}]}\n\n\
         data: {\"candidates\": [{\"content\": {\"parts\": [{\"text\": \"b\"}]}, \"finishReason\": \"STOP\"}]}\n\n";
    let (events, result) = events(&[body.as_bytes()]);
    assert_eq!(result, Ok(()));
    let finishes = events.iter().filter(|event| matches!(event, ChatEvent::Finished(_))).count();
    assert_eq!((finishes, answer(body).text().as_str()), (1, "ab"));
}

#[test]
fn arguments_in_pieces_are_refused_and_never_taken_for_none() {
    let body = r#"{"candidates": [{"content": {"parts": [{"functionCall": {"name": "f",
        "partialArgs": [{"jsonPath": "$.a", "stringValue": "x"}], "willContinue": true}}]}}]}"#;
    assert!(matches!(decode(body).1, Err(DecodeError::Malformed(why)) if why.contains("partialArgs")));
}

#[test]
fn cache_audio_and_tool_prompts_become_disjoint_meters() {
    let usage = normalised(&json!({"promptTokenCount": 1000, "cachedContentTokenCount": 600,
        "candidatesTokenCount": 80, "thoughtsTokenCount": 300, "toolUsePromptTokenCount": 150,
        "totalTokenCount": 1530,
        "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 700}, {"modality": "AUDIO", "tokenCount": 300}],
        "cacheTokensDetails": [{"modality": "TEXT", "tokenCount": 500}, {"modality": "AUDIO", "tokenCount": 100}]}));
    assert_eq!(
        meters(&usage),
        [("input", 350), ("cache_read", 500), ("output", 380), ("input_audio", 200), ("cache_read_audio", 100)]
    );
    assert_eq!((usage.reasoning, usage.prompt_total()), (Some(300), Some(1150)));
    assert_eq!(usage.warnings, [] as [String; 0]);
}

#[test]
fn the_count_wins_over_incomplete_details() {
    let usage = normalised(&json!({"promptTokenCount": 900, "candidatesTokenCount": 10, "totalTokenCount": 910,
        "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 640}]}));
    assert_eq!(meters(&usage), [("input", 900), ("output", 10)]);
    assert_eq!(usage.warnings, [] as [String; 0]);
}

#[test]
fn image_output_has_a_meter_of_its_own() {
    let usage = normalised(&json!({"promptTokenCount": 12, "candidatesTokenCount": 1300, "totalTokenCount": 1312,
        "candidatesTokensDetails": [{"modality": "IMAGE", "tokenCount": 1290}, {"modality": "TEXT", "tokenCount": 10}]}));
    assert_eq!(meters(&usage), [("input", 12), ("output", 10), ("output_image", 1290)]);
}

#[test]
fn the_last_report_wins_and_what_it_shrinks_or_leaves_out_is_said() {
    let answer = answer(SHRINKING);
    let usage = usage(&answer);
    // 15 tokens of candidates were reported once: they are not forgotten, and the raw object stays as it came.
    assert_eq!(meters(usage), [("input", 7), ("output", 93)]);
    assert_eq!(usage.raw, json!({"promptTokenCount": 7, "thoughtsTokenCount": 78, "totalTokenCount": 85}));
    assert_eq!(
        usage.warnings,
        [
            "usage: the last report leaves out candidatesTokenCount; 15 of an earlier one stands",
            "usage: promptTokenCount shrank from 8 to 7",
            "usage: totalTokenCount shrank from 101 to 85",
        ]
    );
}

#[test]
fn usage_that_contradicts_itself_is_said_and_never_guessed() {
    let of = |metadata: Value| {
        let body = json!({"candidates": [{"finishReason": "STOP"}], "usageMetadata": metadata});
        usage(&answer(&body.to_string())).clone()
    };
    let wrong_sum = of(json!({"promptTokenCount": 5, "candidatesTokenCount": 2, "totalTokenCount": 9}));
    assert_eq!(wrong_sum.warnings.len(), 1, "{:?}", wrong_sum.warnings);
    let larger = of(json!({"promptTokenCount": 5, "cachedContentTokenCount": 9, "totalTokenCount": 5}));
    assert_eq!((meters(&larger), larger.warnings.len()), (vec![("cache_read", 5)], 1));
    let new = of(json!({"promptTokenCount": 5, "totalTokenCount": 5, "dreamTokenCount": 3}));
    assert!(new.warnings[0].contains("/dreamTokenCount"));
    for bad in [json!(-5), json!(11.5), json!("7"), json!(2_147_483_649_u64), json!(1e30)] {
        assert!(of(json!({"promptTokenCount": bad})).rejected, "{bad}");
    }
}

#[test]
fn an_answer_whose_candidates_are_not_counted_has_no_final_usage() {
    let of = |parts: Value, metadata: Value| {
        let candidate = json!({"content": {"parts": parts}, "finishReason": "STOP"});
        usage(&answer(&json!({"candidates": [candidate], "usageMetadata": metadata}).to_string())).clone()
    };
    let (text, thought) = (json!([{"text": "425 m"}]), json!([{"text": "A lake?", "thought": true}]));
    let call = json!([{"functionCall": {"name": "depth", "args": {}}}]);
    let prompt_alone = json!({"promptTokenCount": 7, "totalTokenCount": 7});
    let thinking = json!({"promptTokenCount": 7, "thoughtsTokenCount": 5, "totalTokenCount": 12});
    let more = json!({"promptTokenCount": 7, "thoughtsTokenCount": 5, "totalTokenCount": 20});
    let no_total = json!({"promptTokenCount": 7, "thoughtsTokenCount": 5});
    for (parts, metadata) in
        [(&text, &prompt_alone), (&text, &more), (&text, &no_total), (&call, &prompt_alone), (&thought, &prompt_alone)]
    {
        let read = of(parts.clone(), metadata.clone());
        assert!(!read.is_final(), "{parts} {metadata}");
        assert_eq!(read.warnings[0], "usage: the count of the output is missing (candidatesTokenCount)");
    }
    let answered = json!({"candidatesTokenCount": 5, "totalTokenCount": 5});
    assert_eq!(of(text.clone(), answered).warnings[0], "usage: the count of the prompt is missing");
    // Nothing was said, or only thought, and that is counted; or the total is the sum of the other counts.
    for (parts, metadata) in
        [(json!([]), &prompt_alone), (json!([]), &thinking), (thought, &thinking), (call, &thinking)]
    {
        let read = of(parts.clone(), metadata.clone());
        assert_eq!((read.is_final(), read.warnings), (true, vec![]), "{parts} {metadata}");
    }
}

#[test]
fn text_that_follows_the_last_usage_is_not_counted_by_it() {
    let early = json!({"candidates": [{"content": {"parts": []}}], "usageMetadata": {"promptTokenCount": 7}});
    let last = json!({"candidates": [{"content": {"parts": [{"text": "425 m"}]}, "finishReason": "STOP"}]});
    assert!(!usage(&answer(&format!("data: {early}\n\ndata: {last}\n\n"))).is_final());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn fragments_never_change_the_events(
        which in 0..ALL.len(),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..12),
    ) {
        let body = ALL[which].as_bytes();
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(body.len())).collect();
        cuts.extend([0, body.len()]);
        cuts.sort_unstable();
        let pieces: Vec<&[u8]> = cuts.windows(2).map(|pair| &body[pair[0]..pair[1]]).collect();
        prop_assert_eq!(events(&pieces), events(&[body]));
    }

    #[test]
    fn no_bytes_make_the_decoder_panic(
        which in 0..ALL.len(),
        start in any::<prop::sample::Index>(),
        noise in prop::collection::vec(any::<u8>(), 0..40),
    ) {
        let mut body = ALL[which].as_bytes().to_vec();
        let start = start.index(body.len());
        let end = (start + noise.len()).min(body.len());
        body.splice(start..end, noise.iter().copied());
        let _ = events(&[&body]);
        let _ = events(&[&noise]);
    }

    #[test]
    fn no_value_in_a_known_place_makes_the_decoder_panic(place in 0..8_usize, number in any::<i64>(), text in ".*") {
        for value in [json!(number), json!(text), json!([text]), json!({"text": number}), Value::Null, json!([null])] {
            let key = ["candidates", "promptFeedback", "usageMetadata", "error", "modelVersion"].get(place);
            let body = match key {
                Some(key) => json!({*key: value, "responseId": "r"}),
                None if place == 5 => json!({"candidates": [{"content": {"parts": [value]}}]}),
                None if place == 6 => json!({"candidates": [{"content": {"parts": [{"functionCall": value}]}}]}),
                None => json!({"usageMetadata": {"promptTokenCount": value, "promptTokensDetails": value}}),
            };
            let _ = events(&[body.to_string().as_bytes()]);
        }
    }
}

fn said(role: Role, parts: Vec<Part>) -> Message {
    Message { role, parts }
}

fn file(mime: &str, source: MediaSource) -> Media {
    Media { mime: mime.into(), source, name: None }
}

fn encoded(request: &ChatRequest, facts: &ModelFacts, stream: bool) -> Encoded {
    let target = Target { model: "gemini-x", quirks: &Quirks::default(), facts, stream };
    encode(request, &target).expect("the API has a form for everything")
}

fn facts(thinking: Thinking) -> ModelFacts {
    ModelFacts { thinking, ..ModelFacts::default() }
}

#[test]
fn a_rich_conversation_has_the_documented_shape() {
    let schema = json!({"type": "object", "properties": {"city": {"$ref": "#/$defs/city"}}, "required": ["city"],
        "$defs": {"city": {"type": "string"}}, "additionalProperties": false});
    let call = |id: &str, signature: Option<&str>| {
        Part::ToolCall(ToolCall {
            id: id.into(),
            name: "weather".into(),
            arguments: r#"{"city":"Köln"}"#.into(),
            signature: signature.map(str::to_owned),
        })
    };
    let result = |id: &str, name: &str, content: &str, is_error| {
        Part::ToolResult(ToolResult { id: id.into(), name: name.into(), content: content.into(), is_error })
    };
    let request = ChatRequest {
        system: Some("Be brief.".into()),
        messages: vec![
            said(
                Role::User,
                vec![
                    Part::Text("Compare these.".into()),
                    Part::Image(file("image/png", MediaSource::Bytes(b"png".to_vec()))),
                    Part::Document(file("application/pdf", MediaSource::Url("gs://bucket/a.pdf".into()))),
                    Part::Audio(file("audio/mp3", MediaSource::Bytes(b"mp3".to_vec()))),
                ],
            ),
            said(
                Role::Assistant,
                vec![
                    Part::Reasoning(Reasoning {
                        text: "Hm.".into(),
                        signature: Some("dA==".into()),
                        ..Reasoning::default()
                    }),
                    Part::Text("I ask.".into()),
                    Part::Reasoning(Reasoning { signature: Some("YQ==".into()), ..Reasoning::default() }),
                    call("c1", Some("Yw==")),
                    call("c2", None),
                ],
            ),
            said(Role::User, vec![result("c1", "weather", "rain", false)]),
            said(Role::User, vec![Part::Text("And?".into()), result("c2", "", "no such city", true)]),
        ],
        tools: vec![Tool {
            name: "weather".into(),
            description: Some("The weather now.".into()),
            parameters: schema.clone(),
        }],
        tool_choice: Some(ToolChoice::Named("weather".into())),
        settings: Settings {
            temperature: Some(0.5),
            top_p: Some(0.9),
            max_tokens: Some(300),
            seed: Some(7),
            stop: vec!["END".into()],
            effort: Some(Effort::Low),
            show_reasoning: false,
            schema: Some(Schema { name: "place".into(), schema: schema.clone() }),
            cache: None,
            extra: vec![("generationConfig.topK".into(), json!(3))],
        },
    };
    let encoded = encoded(&request, &facts(Thinking::Level), true);
    assert_eq!(encoded.method, "streamGenerateContent?alt=sse");
    assert_eq!(encoded.ignored, [] as [String; 0]);
    assert_eq!(
        encoded.body,
        json!({
            "contents": [
                {"role": "user", "parts": [
                    {"text": "Compare these."},
                    {"inlineData": {"mimeType": "image/png", "data": "cG5n"}},
                    {"fileData": {"mimeType": "application/pdf", "fileUri": "gs://bucket/a.pdf"}},
                    {"inlineData": {"mimeType": "audio/mp3", "data": "bXAz"}},
                ]},
                {"role": "model", "parts": [
                    {"text": "Hm.", "thought": true, "thoughtSignature": "dA=="},
                    {"text": "I ask.", "thoughtSignature": "YQ=="},
                    {"functionCall": {"name": "weather", "args": {"city": "Köln"}, "id": "c1"},
                     "thoughtSignature": "Yw=="},
                    {"functionCall": {"name": "weather", "args": {"city": "Köln"}, "id": "c2"}},
                ]},
                {"role": "user", "parts": [
                    {"functionResponse": {"name": "weather", "response": {"output": "rain"}, "id": "c1"}},
                    {"functionResponse": {"name": "weather", "response": {"error": "no such city"}, "id": "c2"}},
                    {"text": "And?"},
                ]},
            ],
            "systemInstruction": {"parts": [{"text": "Be brief."}]},
            "tools": [{"functionDeclarations": [{
                "name": "weather", "description": "The weather now.", "parametersJsonSchema": schema,
            }]}],
            "toolConfig": {"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["weather"]}},
            "generationConfig": {
                "temperature": 0.5, "topP": 0.9, "maxOutputTokens": 300, "seed": 7, "stopSequences": ["END"],
                "responseMimeType": "application/json", "responseJsonSchema": schema,
                "thinkingConfig": {"thinkingLevel": "low", "includeThoughts": true}, "topK": 3,
            },
        })
    );
}

fn ask(settings: Settings) -> ChatRequest {
    let messages = vec![said(Role::User, vec![Part::Text("Hi".into())])];
    ChatRequest { system: Some("S".into()), messages, settings, ..ChatRequest::default() }
}

#[test]
fn a_bare_request_sends_nothing_that_was_not_asked_for() {
    let request = ChatRequest { system: None, ..ask(Settings::default()) };
    let encoded = encoded(&request, &ModelFacts::default(), false);
    assert_eq!(encoded.body, json!({"contents": [{"role": "user", "parts": [{"text": "Hi"}]}]}));
    assert_eq!((encoded.method, encoded.ignored.len()), ("generateContent", 0));
}

#[test]
fn an_effort_is_a_level_or_a_budget_and_what_cannot_be_sent_is_said() {
    let config = |effort, thinking| {
        let encoded = encoded(&ask(Settings { effort: Some(effort), ..Settings::default() }), &facts(thinking), false);
        (encoded.body["generationConfig"]["thinkingConfig"].clone(), encoded.ignored)
    };
    let on = |key: &str, value: Value| json!({key: value, "includeThoughts": true});
    let nothing: [String; 0] = [];
    for (effort, level, budget) in [
        (Effort::Minimal, "minimal", 1_024),
        (Effort::Low, "low", 1_024),
        (Effort::Medium, "medium", 8_192),
        (Effort::High, "high", 24_576),
    ] {
        assert_eq!(config(effort, Thinking::Level), (on("thinkingLevel", json!(level)), nothing.to_vec()));
        assert_eq!(config(effort, Thinking::Budget), (on("thinkingBudget", json!(budget)), nothing.to_vec()));
    }
    assert_eq!(config(Effort::None, Thinking::Budget), (json!({"thinkingBudget": 0}), nothing.to_vec()));
    let said = |words: &str| vec![format!("gemini-x does not take {words}")];
    assert_eq!(config(Effort::None, Thinking::Level), (Value::Null, said("the effort none")));
    assert_eq!(config(Effort::Low, Thinking::None), (Value::Null, said("the effort low")));
    assert_eq!(
        config(Effort::Max, Thinking::Level),
        (on("thinkingLevel", json!("high")), said("the effort max: high is sent"))
    );
}

#[test]
fn what_the_model_does_not_take_is_left_out_and_said() {
    let request = ask(Settings {
        temperature: Some(1.0),
        top_p: Some(1.0),
        seed: Some(1),
        stop: vec!["x".into()],
        cache: Some(CacheLifetime::OneHour),
        schema: Some(Schema { name: "n".into(), schema: json!({"type": "object"}) }),
        ..Settings::default()
    });
    let facts = ModelFacts {
        temperature: false,
        seed: false,
        stop: false,
        system: false,
        schema: false,
        ..ModelFacts::default()
    };
    let encoded = encoded(&request, &facts, false);
    assert_eq!((encoded.ignored.len(), encoded.body.get("generationConfig")), (5, None));
    // Neither a system prompt nor a schema has a field here: both stand at the head of the first turn.
    assert_eq!(encoded.body.get("systemInstruction"), None);
    let first = encoded.body["contents"][0]["parts"][0]["text"].as_str().expect("a text");
    assert!(first.starts_with("S\n\nAnswer only with JSON"), "{first}");
    assert_eq!(encoded.body["contents"][0]["parts"][1]["text"], "Hi");
}

#[test]
fn a_call_that_another_model_made_passes_where_signatures_are_wanted() {
    let call = |arguments: &str| {
        Part::ToolCall(ToolCall { name: "f".into(), arguments: arguments.into(), ..ToolCall::default() })
    };
    let foreign = Part::Reasoning(Reasoning { text: "mine".into(), id: Some("rs_1".into()), ..Reasoning::default() });
    let request = ChatRequest {
        messages: vec![said(Role::Assistant, vec![foreign, call(""), call("no json")])],
        ..ChatRequest::default()
    };
    let parts = |thinking| encoded(&request, &facts(thinking), false).body["contents"][0]["parts"].as_array().cloned();
    assert_eq!(
        parts(Thinking::Level).expect("parts"),
        [
            json!({"functionCall": {"name": "f", "args": {}}, "thoughtSignature": SKIP_VALIDATION}),
            json!({"functionCall": {"name": "f", "args": {"arguments": "no json"}}}),
        ]
    );
    assert_eq!(parts(Thinking::Budget).expect("parts")[0], json!({"functionCall": {"name": "f", "args": {}}}));
}
