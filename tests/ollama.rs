//! Answers of Ollama's native chat, streamed and whole, through the same door as in the program.

mod common;

use common::{answer, calls, events, meters, read};
use llmx::domain::answer::Answer;
use llmx::domain::chat::FinishReason;
use llmx::domain::failure::ErrorClass;
use llmx::wire::contract::{DecodeError, Dialect};
use llmx::wire::quirks::Quirks;
use proptest::prelude::{any, proptest};
use proptest::{collection, prop_assert_eq, sample};

const PLAIN: &str = include_str!("fixtures/ollama/plain.ndjson");
const REASONING: &str = include_str!("fixtures/ollama/reasoning.ndjson");
const TOOL_CALL: &str = include_str!("fixtures/ollama/tool_call.ndjson");
const ERROR_IN_STREAM: &str = include_str!("fixtures/ollama/error_in_stream.ndjson");
const WHOLE: &str = include_str!("fixtures/ollama/whole.json");

fn whole(body: &str) -> Answer {
    answer(Dialect::Ollama, &Quirks::default(), body)
}

fn ended(body: &str) -> (Answer, Result<(), DecodeError>) {
    read(Dialect::Ollama, &Quirks::default(), body)
}

fn finish(answer: &Answer) -> (FinishReason, &str) {
    let finish = answer.finish.as_ref().expect("it finished");
    (finish.reason, finish.raw.as_str())
}

#[test]
fn text_comes_with_its_model_and_its_counts() {
    let answer = whole(PLAIN);
    assert_eq!(answer.text(), "Lake Como is 425 m deep — très profond.");
    assert_eq!(answer.model_served.as_deref(), Some("qwen3:4b"));
    assert_eq!(finish(&answer), (FinishReason::Stop, "stop"));
    assert_eq!(meters(answer.usage.as_ref()), [("input", 21), ("output", 14)]);
    assert_eq!(answer.usage.expect("it came").warnings, [] as [String; 0]);
}

#[test]
fn thinking_stands_apart_from_the_text() {
    let answer = whole(REASONING);
    assert_eq!(answer.reasoning().as_deref(), Some("Como or Garda? Como."));
    assert_eq!(answer.text(), "Lake Como.");
    assert_eq!(finish(&answer), (FinishReason::Length, "length"));
}

#[test]
fn tool_calls_keep_their_arguments_to_the_digit_and_have_an_id_only_where_one_came() {
    let answer = whole(TOOL_CALL);
    assert_eq!(
        calls(&answer),
        [("", "depth", "{\"lake\":\"Como\",\"precision\":0.10}"), ("call_b2", "depth", "{\"lake\":\"Garda\"}")]
    );
    assert_eq!(finish(&answer), (FinishReason::ToolCalls, "stop"));
}

#[test]
fn an_answer_that_is_not_streamed_is_one_line_and_a_missing_count_stays_unknown() {
    let answer = whole(WHOLE);
    assert_eq!(answer.text(), "425 m.");
    assert_eq!(meters(answer.usage.as_ref()), [("output", 14)]);
}

#[test]
fn lines_may_be_blank_end_in_crlf_or_not_end_at_all() {
    for form in [PLAIN.replace('\n', "\r\n"), PLAIN.replace('\n', "\n\n"), PLAIN.trim_end().to_owned()] {
        assert_eq!(whole(&form), whole(PLAIN), "{form:?}");
    }
}

#[test]
fn a_model_that_was_only_loaded_answers_nothing_and_counts_nothing() {
    let body = r#"{"model":"m","message":{"role":"assistant","content":""},"done_reason":"load","done":true}"#;
    let answer = whole(body);
    assert_eq!(finish(&answer), (FinishReason::Other, "load"));
    assert_eq!((answer.usage.is_none(), answer.has_content()), (true, false));
}

#[test]
fn an_error_body_is_read_under_a_status_and_inside_a_200() {
    let body = r#"{"error":"model 'nope' not found"}"#;
    let error = Dialect::Ollama.error(404, body);
    assert_eq!((error.class, error.message.as_str()), (ErrorClass::NotFound, "model 'nope' not found"));
    let (_, end) = ended(body);
    let Err(DecodeError::Api(error)) = end else { panic!("{end:?}") };
    assert_eq!(error.message, "model 'nope' not found");
}

#[test]
fn an_error_in_the_stream_keeps_what_came_before_it() {
    let (answer, end) = ended(ERROR_IN_STREAM);
    assert_eq!(answer.text(), "Lake Co");
    let Err(DecodeError::Api(error)) = end else { panic!("{end:?}") };
    assert!(error.message.contains("unexpected EOF"));
}

#[test]
fn a_stream_that_stops_before_its_last_line_is_cut_wherever_it_stops() {
    for fixture in [PLAIN, REASONING, TOOL_CALL] {
        let last = fixture.trim_end().rfind('\n').expect("several lines");
        for (at, _) in fixture[..=last].match_indices('\n') {
            let (_, end) = ended(&fixture[..=at]);
            assert!(matches!(end, Err(DecodeError::Cut(_))), "{end:?} at {at}");
        }
        assert!(matches!(ended(&fixture[..last + 9]).1, Err(DecodeError::Cut(_))));
    }
}

proptest! {
    #[test]
    fn fragments_never_change_the_events(
        fixture in sample::select(vec![PLAIN, REASONING, TOOL_CALL, ERROR_IN_STREAM, WHOLE]),
        size in 1_usize..64,
    ) {
        let quirks = Quirks::default();
        let at_once = events(Dialect::Ollama, &quirks, fixture.as_bytes(), usize::MAX);
        prop_assert_eq!(events(Dialect::Ollama, &quirks, fixture.as_bytes(), size), at_once);
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
        let _ = events(Dialect::Ollama, &Quirks::default(), &body, 7);
        let _ = events(Dialect::Ollama, &Quirks::default(), &noise, 3);
    }
}
