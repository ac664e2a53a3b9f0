//! Cohere v2 answers, streamed and whole, through the same door as in the program.

mod common;

use common::{answer, calls, events, meters, read};
use llmx::domain::answer::Answer;
use llmx::domain::chat::{FinishReason, Part};
use llmx::domain::failure::ErrorClass;
use llmx::wire::contract::{DecodeError, Dialect};
use llmx::wire::quirks::Quirks;
use proptest::prelude::{any, proptest};
use proptest::{collection, prop_assert_eq, sample};
use serde_json::json;

const PLAIN: &str = include_str!("fixtures/cohere/plain.sse");
const REASONING: &str = include_str!("fixtures/cohere/reasoning.sse");
const TOOL_CALL: &str = include_str!("fixtures/cohere/tool_call.sse");
const FAILED: &str = include_str!("fixtures/cohere/failed.sse");
const ERROR_IN_STREAM: &str = include_str!("fixtures/cohere/error_in_stream.sse");
const WHOLE: &str = include_str!("fixtures/cohere/whole.json");

fn whole(body: &str) -> Answer {
    answer(Dialect::Cohere, &Quirks::default(), body)
}

fn ended(body: &str) -> (Answer, Result<(), DecodeError>) {
    read(Dialect::Cohere, &Quirks::default(), body)
}

fn finish(answer: &Answer) -> (FinishReason, &str) {
    let finish = answer.finish.as_ref().expect("it finished");
    (finish.reason, finish.raw.as_str())
}

#[test]
fn text_comes_with_its_id_and_with_what_is_billed() {
    let answer = whole(PLAIN);
    assert_eq!(answer.text(), "Lake Como is 425 m deep — très profond.");
    assert_eq!(answer.id.as_deref(), Some("c14c80c3-18eb-4519-9460-6c92edd8cfb4"));
    assert_eq!(finish(&answer), (FinishReason::Stop, "COMPLETE"));
    assert_eq!(meters(answer.usage.as_ref()), [("input", 9), ("output", 11)]);
    assert_eq!(answer.usage.expect("it came").warnings, [] as [String; 0]);
}

#[test]
fn thinking_stands_apart_from_the_text() {
    let answer = whole(REASONING);
    assert_eq!(answer.reasoning().as_deref(), Some("Como or Garda? Como."));
    assert_eq!(answer.text(), "Lake Como.");
    assert_eq!(finish(&answer), (FinishReason::Length, "MAX_TOKENS"));
    assert_eq!(answer.usage.expect("it came").reasoning, Some(25));
}

#[test]
fn tool_calls_come_whole_and_the_plan_is_said_and_kept_but_is_no_text() {
    let answer = whole(TOOL_CALL);
    assert_eq!(
        calls(&answer),
        [("depth_a1", "depth", "{\"lake\": \"Como\"}"), ("depth_b2", "depth", "{\"lake\": \"Garda\"}")]
    );
    assert_eq!(finish(&answer), (FinishReason::ToolCalls, "TOOL_CALL"));
    assert_eq!((answer.text().as_str(), answer.reasoning()), ("", None));
    assert_eq!(answer.notes, ["the model's plan: I will look up both lakes."]);
    let Part::Reasoning(kept) = &answer.parts[0] else { panic!("the plan is kept before the calls") };
    assert_eq!(kept.opaque, Some(json!({"tool_plan": "I will look up both lakes."})));
}

#[test]
fn an_answer_that_is_not_streamed_says_the_same() {
    let answer = whole(WHOLE);
    assert_eq!(answer.reasoning().as_deref(), Some("Which one?"));
    assert_eq!(answer.text(), "One moment.");
    assert_eq!(calls(&answer), [("depth_a1", "depth", "{\"lake\":\"Como\"}")]);
    assert_eq!(meters(answer.usage.as_ref()), [("input", 5), ("output", 7)]);
    assert_eq!(answer.id.as_deref(), Some("5a50480a-cf52-46f0-af01-53d18539bd31"));
}

#[test]
fn an_error_body_is_read_under_a_status_and_inside_a_200() {
    let body = r#"{"id":"9f","message":"invalid api token"}"#;
    let error = Dialect::Cohere.error(401, body);
    assert_eq!((error.class, error.message.as_str()), (ErrorClass::Auth, "invalid api token"));
    let (answer, end) = ended(body);
    assert!(!answer.has_content());
    let Err(DecodeError::Api(error)) = end else { panic!("{end:?}") };
    assert_eq!(error.message, "invalid api token");
    let long = r#"{"error_type":"TOO_MANY_TOKENS","message":"too many tokens: size limit exceeded by 5 tokens."}"#;
    assert_eq!(Dialect::Cohere.error(400, long).class, ErrorClass::ContextLength);
}

#[test]
fn an_error_in_the_stream_keeps_what_came_before_it() {
    let (answer, end) = ended(ERROR_IN_STREAM);
    assert_eq!(answer.text(), "Lake Co");
    let Err(DecodeError::Api(error)) = end else { panic!("{end:?}") };
    assert_eq!(error.class, ErrorClass::Overloaded);
}

#[test]
fn a_generation_that_failed_is_no_success_and_its_usage_is_kept() {
    let (answer, end) = ended(FAILED);
    assert_eq!(meters(answer.usage.as_ref()), [("input", 9), ("output", 2)]);
    let Err(DecodeError::Api(error)) = end else { panic!("{end:?}") };
    assert_eq!((error.class, error.message.as_str()), (ErrorClass::Overloaded, "the model stopped answering"));
    let (_, end) = ended(&FAILED.replace("\"ERROR\"", "\"TIMEOUT\""));
    let Err(DecodeError::Api(error)) = end else { panic!("{end:?}") };
    assert_eq!(error.class, ErrorClass::Timeout);
}

#[test]
fn a_stream_that_stops_before_its_end_is_cut_wherever_it_stops() {
    for fixture in [PLAIN, REASONING, TOOL_CALL] {
        let end_event = fixture.find("event: message-end").expect("it has an end");
        for (at, _) in fixture[..end_event].match_indices("\n\n") {
            let (_, end) = ended(&fixture[..at + 2]);
            assert!(matches!(end, Err(DecodeError::Cut(_))), "{end:?} at {at}");
        }
    }
    assert!(matches!(ended("").1, Err(DecodeError::Cut(_))));
    assert!(matches!(ended("{}").1, Err(DecodeError::Cut(_))));
}

#[test]
fn a_tool_call_that_was_cut_is_not_handed_over() {
    let middle = TOOL_CALL.find("ke\\\": \\\"Como").expect("the second piece of the first call");
    let before = TOOL_CALL[..middle].rfind("event:").expect("its event");
    let (answer, end) = ended(&TOOL_CALL[..before]);
    assert!(matches!(end, Err(DecodeError::Cut(_))));
    assert_eq!(calls(&answer), []);
}

#[test]
fn events_that_no_page_names_are_passed_over() {
    let odd = PLAIN.replacen(
        "event: content-start",
        "event: ping\ndata: {\"type\":\"ping\",\"message\":\"hello\"}\n\nevent: content-start",
        1,
    );
    assert_ne!(odd, PLAIN);
    assert_eq!(whole(&odd), whole(PLAIN));
}

proptest! {
    #[test]
    fn fragments_never_change_the_events(
        fixture in sample::select(vec![PLAIN, REASONING, TOOL_CALL, FAILED, ERROR_IN_STREAM, WHOLE]),
        size in 1_usize..64,
    ) {
        let quirks = Quirks::default();
        let at_once = events(Dialect::Cohere, &quirks, fixture.as_bytes(), usize::MAX);
        prop_assert_eq!(events(Dialect::Cohere, &quirks, fixture.as_bytes(), size), at_once);
    }

    #[test]
    fn no_bytes_make_it_panic(
        fixture in sample::select(vec![PLAIN, TOOL_CALL, WHOLE]),
        at in any::<sample::Index>(),
        noise in collection::vec(any::<u8>(), 0..40),
        replaced in 0_usize..40,
    ) {
        let mut body = fixture.as_bytes().to_vec();
        let start = at.index(body.len());
        let end = (start + replaced).min(body.len());
        body.splice(start..end, noise.iter().copied());
        let _ = events(Dialect::Cohere, &Quirks::default(), &body, 7);
        let _ = events(Dialect::Cohere, &Quirks::default(), &noise, 3);
    }
}
