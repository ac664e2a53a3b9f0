//! `--last`: what the last chat asked, out of the ledger.

use serde_json::Value;

use crate::domain::chat::{ChatRequest, Message, Part, Role, Settings};
use crate::domain::failure::{ErrorClass, Failure};
use crate::ledger::Ledger;

/// The conversation of the newest chat, with the settings of this command.
///
/// # Errors
/// `config` where there was no chat, its text was not kept, or it had attachments, of which the ledger keeps no bytes.
pub fn request(ledger: &Ledger, settings: Settings) -> Result<ChatRequest, Failure> {
    let wrong = |reason: &str, advice: &str| {
        Failure::new(ErrorClass::Config, format!("--last: {reason}; nothing was sent")).advise(advice)
    };
    let record = ledger.last("chat")?.ok_or_else(|| wrong("the ledger holds no chat", "give the prompt itself"))?;
    let kept = record.call.prompt.filter(|prompt| prompt.get("left_out_bytes").is_none());
    let kept = kept.ok_or_else(|| {
        wrong(
            "the text of the last chat was not kept (--no-store, store = \"metadata\", or too long)",
            "give the prompt itself",
        )
    })?;
    let messages = kept["messages"].as_array().into_iter().flatten().map(message).collect::<Option<Vec<Message>>>();
    let messages = messages.filter(|messages| !messages.is_empty()).ok_or_else(|| {
        wrong(
            "the last chat held more than text, and the ledger keeps no attachments",
            "give the prompt and -a FILE again",
        )
    })?;
    Ok(ChatRequest { system: kept["system"].as_str().map(str::to_owned), messages, settings, ..ChatRequest::default() })
}

/// A message of nothing but text.
fn message(kept: &Value) -> Option<Message> {
    let role = match kept["role"].as_str()? {
        "assistant" => Role::Assistant,
        _ => Role::User,
    };
    let parts = kept["parts"].as_array()?.iter().map(|part| Some(Part::Text(part["text"].as_str()?.to_owned())));
    Some(Message { role, parts: parts.collect::<Option<Vec<Part>>>()? })
}
