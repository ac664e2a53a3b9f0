//! Chat Completions answers in the forms of OpenAI and of those who imitate it, through the same door as in the program.

mod common;

use common::{answer, calls, events, meters, read};
use llmx::domain::answer::Answer;
use llmx::domain::chat::{FinishReason, Part};
use llmx::domain::failure::ErrorClass;
use llmx::wire::contract::{ApiError, DecodeError, Dialect};
use llmx::wire::quirks::Quirks;
use proptest::prelude::{any, proptest};
use proptest::{collection, prop_assert_eq, sample};

const PLAIN: &str = include_str!("fixtures/chat_completions/plain.sse");
const REASONING_CONTENT: &str = include_str!("fixtures/chat_completions/reasoning_content.sse");
const REASONING: &str = include_str!("fixtures/chat_completions/reasoning.sse");
const THINKING_PARTS: &str = include_str!("fixtures/chat_completions/thinking_parts.sse");
const REASONING_DETAILS: &str = include_str!("fixtures/chat_completions/reasoning_details.sse");
const TOOL_CALLS: &str = include_str!("fixtures/chat_completions/tool_calls.sse");
const TOOL_CALLS_WITHOUT_INDEX: &str = include_str!("fixtures/chat_completions/tool_calls_without_index.sse");
const TOOL_CALLS_SAME_INDEX: &str = include_str!("fixtures/chat_completions/tool_calls_same_index.sse");
const USAGE_GROQ: &str = include_str!("fixtures/chat_completions/usage_groq.sse");
const USAGE_IN_EVERY_CHUNK: &str = include_str!("fixtures/chat_completions/usage_in_every_chunk.sse");
const REFUSAL: &str = include_str!("fixtures/chat_completions/refusal.sse");
const CONTENT_FILTER: &str = include_str!("fixtures/chat_completions/content_filter.sse");
const ERROR_EVENT: &str = include_str!("fixtures/chat_completions/error_event.sse");
const ERROR_FINISH: &str = include_str!("fixtures/chat_completions/error_finish.sse");
const CHOICE_ERROR: &str = include_str!("fixtures/chat_completions/choice_error.sse");
const WHOLE: &str = include_str!("fixtures/chat_completions/whole.json");

const ALL: [&str; 16] = [
    PLAIN,
    REASONING_CONTENT,
    REASONING,
    THINKING_PARTS,
    REASONING_DETAILS,
    TOOL_CALLS,
    TOOL_CALLS_WITHOUT_INDEX,
    TOOL_CALLS_SAME_INDEX,
    USAGE_GROQ,
    USAGE_IN_EVERY_CHUNK,
    REFUSAL,
    CONTENT_FILTER,
    ERROR_EVENT,
    ERROR_FINISH,
    CHOICE_ERROR,
    WHOLE,
];

fn whole(body: &str) -> Answer {
    answer(Dialect::Chat, &Quirks::default(), body)
}

fn failed(body: &str) -> (Answer, ApiError) {
    match read(Dialect::Chat, &Quirks::default(), body) {
        (answer, Err(DecodeError::Api(error))) => (answer, error),
        (_, end) => panic!("{end:?}"),
    }
}

fn finish(answer: &Answer) -> (FinishReason, &str) {
    let finish = answer.finish.as_ref().expect("it finished");
    (finish.reason, finish.raw.as_str())
}

#[test]
fn text_comes_with_its_id_its_model_and_the_usage_of_the_last_chunk() {
    let answer = whole(PLAIN);
    assert_eq!(answer.text(), "Lake Como is 425 m deep — très profond.");
    assert_eq!(
        (answer.id.as_deref(), answer.model_served.as_deref()),
        (Some("chatcmpl-7Lk2"), Some("gpt-5.2-2026-08-07"))
    );
    assert_eq!(finish(&answer), (FinishReason::Stop, "stop"));
    assert_eq!(meters(answer.usage.as_ref()), [("input", 12), ("cache_read", 8), ("output", 9)]);
}

#[test]
fn thinking_is_the_same_under_each_name_that_it_goes_by() {
    for body in [REASONING_CONTENT, REASONING, THINKING_PARTS, REASONING_DETAILS] {
        let answer = whole(body);
        assert_eq!(answer.reasoning().as_deref(), Some("Como or Garda?"), "{body}");
        assert_eq!(answer.text(), "Como.", "{body}");
        assert_eq!(finish(&answer).0, FinishReason::Stop);
        assert_eq!(answer.usage.expect("it came").reasoning, Some(4));
    }
}

#[test]
fn reasoning_details_become_whole_blocks_that_can_go_back() {
    let answer = whole(REASONING_DETAILS);
    let Part::Reasoning(block) = &answer.parts[0] else { panic!("thinking comes first") };
    let details = block.opaque.as_ref().and_then(|details| details.as_array()).expect("a list");
    assert_eq!(details.len(), 1);
    assert_eq!((&details[0]["text"], &details[0]["signature"]), (&"Como or Garda?".into(), &"c2ln".into()));
}

#[test]
fn tool_calls_are_put_together_with_an_index_without_one_and_with_the_same_one_twice() {
    let wanted = [("call_a", "depth", "{\"lake\":\"Como\"}"), ("call_b", "depth", "{\"lake\":\"Garda\"}")];
    for body in [TOOL_CALLS, TOOL_CALLS_WITHOUT_INDEX, TOOL_CALLS_SAME_INDEX] {
        let answer = whole(body);
        let made: Vec<_> = calls(&answer).into_iter().map(|(id, name, text)| (id, name, text.trim_end())).collect();
        assert_eq!(made, wanted, "{body}");
        assert_eq!(finish(&answer), (FinishReason::ToolCalls, "tool_calls"));
    }
}

#[test]
fn usage_counts_wherever_it_stands_and_the_last_one_holds() {
    let groq = whole(USAGE_GROQ).usage;
    assert_eq!(meters(groq.as_ref()), [("input", 70), ("output", 12)]);
    assert_eq!(groq.expect("it came").warnings, [] as [String; 0]);
    assert_eq!(meters(whole(USAGE_IN_EVERY_CHUNK).usage.as_ref()), [("input", 20), ("output", 3)]);
}

#[test]
fn a_refusal_is_the_models_own_words_and_no_text() {
    let answer = whole(REFUSAL);
    assert_eq!((answer.refusal.as_str(), answer.text().as_str()), ("I cannot help with that.", ""));
}

#[test]
fn a_filter_cuts_the_answer_and_what_came_stays() {
    let answer = whole(CONTENT_FILTER);
    assert_eq!(answer.text(), "The lake ");
    assert_eq!(finish(&answer), (FinishReason::ContentFilter, "content_filter"));
}

#[test]
fn an_error_before_the_answer_is_read_under_a_status_and_inside_a_200() {
    let body =
        r#"{"error":{"message":"Incorrect API key provided","type":"invalid_request_error","code":"invalid_api_key"}}"#;
    assert_eq!(Dialect::Chat.error(401, body).class, ErrorClass::Auth);
    for form in [body.to_owned(), format!("data: {body}\n\n"), format!("data: {body}\n\ndata: [DONE]\n\n")] {
        let (answer, error) = failed(&form);
        assert!(!answer.has_content());
        assert_eq!((error.class, error.message.as_str()), (ErrorClass::Auth, "Incorrect API key provided"));
        assert_eq!(error.code.as_deref(), Some("invalid_api_key"));
    }
}

#[test]
fn an_error_in_the_stream_keeps_what_came_before_it() {
    for (body, class, words) in [
        (ERROR_EVENT, ErrorClass::InvalidRequest, "Failed to call a function."),
        (ERROR_FINISH, ErrorClass::Overloaded, "Provider disconnected unexpectedly"),
        (CHOICE_ERROR, ErrorClass::RateLimit, "Rate limit exceeded upstream"),
    ] {
        let (answer, error) = failed(body);
        assert_eq!(answer.text(), "Lake Co", "{body}");
        assert_eq!((error.class, error.message.as_str()), (class, words));
    }
}

#[test]
fn a_stream_that_stops_before_its_finish_reason_is_cut_wherever_it_stops() {
    for fixture in [PLAIN, REASONING_DETAILS, THINKING_PARTS, TOOL_CALLS, USAGE_IN_EVERY_CHUNK] {
        let last = fixture.find("\"finish_reason\":\"").expect("it finishes");
        let last = fixture[..last].rfind("data: ").expect("in an event");
        for (at, _) in fixture[..last].match_indices("\n\n") {
            let (_, end) = read(Dialect::Chat, &Quirks::default(), &fixture[..at + 2]);
            assert!(matches!(end, Err(DecodeError::Cut(_))), "{end:?} at {at}");
        }
    }
    assert!(matches!(read(Dialect::Chat, &Quirks::default(), "").1, Err(DecodeError::Cut(_))));
}

#[test]
fn a_stream_without_done_is_whole_once_it_has_a_finish_reason() {
    let without = PLAIN.replace("data: [DONE]\n\n", "");
    assert_eq!(whole(&without), whole(PLAIN));
    // The last event may even lack its empty line: usage is often in just that one.
    assert_eq!(whole(without.trim_end()), whole(PLAIN));
}

#[test]
fn one_json_body_answers_a_request_for_a_stream_as_well() {
    let answer = whole(WHOLE);
    assert_eq!(answer.text(), "One moment.");
    assert_eq!(calls(&answer), [("call_a", "depth", "{\"lake\":\"Como\"}")]);
    assert_eq!(finish(&answer), (FinishReason::ToolCalls, "tool_calls"));
    assert_eq!(answer.usage.expect("it came").service_tier.as_deref(), Some("flex"));
}

proptest! {
    #[test]
    fn fragments_never_change_the_events(fixture in sample::select(ALL.to_vec()), size in 1_usize..64) {
        let quirks = Quirks::default();
        let at_once = events(Dialect::Chat, &quirks, fixture.as_bytes(), usize::MAX);
        prop_assert_eq!(events(Dialect::Chat, &quirks, fixture.as_bytes(), size), at_once);
    }

    #[test]
    fn no_bytes_make_it_panic(
        fixture in sample::select(ALL.to_vec()),
        at in any::<sample::Index>(),
        noise in collection::vec(any::<u8>(), 0..40),
        replaced in 0_usize..40,
    ) {
        let mut body = fixture.as_bytes().to_vec();
        let start = at.index(body.len());
        let end = (start + replaced).min(body.len());
        body.splice(start..end, noise.iter().copied());
        let _ = events(Dialect::Chat, &Quirks::default(), &body, 7);
        let _ = events(Dialect::Chat, &Quirks::default(), &noise, 3);
    }
}
