//! Answers of each dialect: read alike however they are cut, with usage that can be billed.

use std::collections::BTreeMap;

use llmx::domain::answer::Answer;
use llmx::domain::chat::ChatEvent;
use llmx::domain::usage::{Meter, Usage};
use llmx::wire::body::Body;
use llmx::wire::contract::{DecodeError, Dialect};
use llmx::wire::quirks::Quirks;

use super::usage::assert_sound;

/// Longest message of a provider's error, in bytes, with what may stand beside it.
const MESSAGE_MAX: usize = 9 << 10;

/// How the note about bytes that are no UTF-8 begins: it comes after the fragment that holds them, wherever that ends.
const LOSSY: &str = "the answer held bytes that are no UTF-8";

/// How a warning says that the raw object is not all of what is counted.
const EARLIER: &str = "of an earlier one stands";

pub fn answer(dialect: Dialect, bytes: &[u8]) {
    for quirks in [Quirks::default(), reporting()] {
        let whole = read(dialect, &quirks, [bytes]);
        for size in [1, 5, 64] {
            assert_eq!(read(dialect, &quirks, bytes.chunks(size)), whole, "in pieces of {size}");
        }
        let Read { events, end, finished } = whole;
        let mut answer = Answer::default();
        for event in events {
            if let ChatEvent::Usage(usage) = &event {
                assert_sound(usage);
                let again = dialect.usage(&usage.raw, &quirks, "", true).expect("its raw object is usage");
                let left_out = usage.warnings.iter().any(|warning| warning.contains(EARLIER));
                if !usage.rejected && !left_out {
                    assert_eq!(
                        counted(dialect, &again),
                        counted(dialect, usage),
                        "its raw object counts the same again"
                    );
                    assert_eq!(again.charge, usage.charge);
                }
            }
            answer.add(event);
        }
        let room = bytes.len() as u64 * 3;
        assert!(answer.bytes() <= room, "{} bytes of an answer came out of {}", answer.bytes(), bytes.len());
        if end.is_ok() {
            let noted = answer.notes.iter().any(|note| note.contains("without a finish reason"));
            assert!(finished || noted || may_be_whole(bytes), "what stopped before its end is no success: {answer:?}");
        }
    }
}

/// Whether an answer that is not streamed may be in it: its end is the end of its JSON.
fn may_be_whole(bytes: &[u8]) -> bool {
    let body = super::text(bytes);
    body.contains("\"message\"") || body.contains("\\u00")
}

/// What was counted; searches may stand beside the usage object, in the answer. The last report of generateContent may leave
/// out how an earlier one splits a count by modality.
fn counted(dialect: Dialect, usage: &Usage) -> BTreeMap<Meter, u64> {
    let mut counts = BTreeMap::new();
    for (meter, count) in usage.quantities.iter().filter(|(_, count)| **count > 0) {
        let meter = match (dialect, meter) {
            (_, Meter::WebSearch) => continue,
            (Dialect::GenerateContent, meter) if meter.is_prompt() => Meter::Input,
            (Dialect::GenerateContent, Meter::AudioOut | Meter::ImageOut) => Meter::Output,
            (_, meter) => *meter,
        };
        *counts.entry(meter).or_default() += *count;
    }
    counts
}

/// The body of an error: a class and words, whatever it is.
pub fn error(bytes: &[u8]) {
    let body = super::text(bytes);
    let status = 400 + u16::from(bytes.first().copied().unwrap_or(0)) % 200;
    for dialect in Dialect::ALL {
        let error = dialect.error(status, &body);
        assert_eq!(error, dialect.error(status, &body));
        assert!(error.message.len() <= MESSAGE_MAX, "{} bytes", error.message.len());
    }
}

/// A row that books what responses state, and counts apart what can be.
pub fn reporting() -> Quirks {
    Quirks {
        reports_cost: true,
        reasoning_apart: true,
        search_usage: true,
        whole_input_streamed: Some(String::new()),
        ..Quirks::default()
    }
}

#[derive(Debug, PartialEq)]
struct Read {
    events: Vec<ChatEvent>,
    end: Result<(), DecodeError>,
    /// The dialect's own end was seen.
    finished: bool,
}

fn read<'a>(dialect: Dialect, quirks: &Quirks, pieces: impl IntoIterator<Item = &'a [u8]>) -> Read {
    let mut body = Body::new(dialect, quirks);
    let mut events = Vec::new();
    let fed = pieces.into_iter().try_for_each(|piece| body.push(piece, &mut events));
    let end = fed.and_then(|()| body.end(&mut events));
    events.retain(|event| !matches!(event, ChatEvent::Note(note) if note.starts_with(LOSSY)));
    Read { events, end, finished: body.is_finished() }
}
