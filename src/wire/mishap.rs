//! An error and a part of the answer in one object: what came beside the error stands.

use serde_json::value::RawValue;
use serde_json::{Map, Value};

use crate::domain::chat::{ChatEvent, Finish, FinishReason};
use crate::domain::usage::Usage;

/// An error that is one: not a null, an empty object or an empty text, which some servers send with every answer.
pub fn said(error: Option<&RawValue>) -> Option<&RawValue> {
    error.filter(|error| !matches!(error.get(), "null" | "{}" | "\"\""))
}

/// [`said`], of an object that is read whole.
pub fn is_said(error: &Value) -> bool {
    !(error.is_null() || error == "" || error.as_object().is_some_and(Map::is_empty))
}

/// Settles what an object said beside its error, `out` from `before` on. A count of nothing is no account. A count beside
/// the error is the last one, since nothing follows: it ends the answer. A reason to end without a count does not, since it
/// would make an earlier count the last.
pub fn settle(out: &mut Vec<ChatEvent>, before: usize) {
    let mut beside = out.split_off(before);
    beside.retain(|event| !matches!(event, ChatEvent::Usage(usage) if is_nothing(usage)));
    let counted = beside.iter().any(|event| matches!(event, ChatEvent::Usage(_)));
    if !counted {
        beside.retain(|event| !matches!(event, ChatEvent::Finished(_)));
    } else if !beside.iter().any(|event| matches!(event, ChatEvent::Finished(_))) {
        beside.push(ChatEvent::Finished(Finish { reason: FinishReason::Other, raw: String::new(), detail: None }));
    }
    out.append(&mut beside);
}

fn is_nothing(usage: &Usage) -> bool {
    usage.charge.is_none() && usage.quantities.values().all(|count| *count == 0)
}
