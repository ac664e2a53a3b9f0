//! An answer put together from its events.

use super::chat::{ChatEvent, Finish, Message, Part, Reasoning, Role, ToolCall};
use super::usage::Usage;

/// Everything that came, in order; also what came before a failure.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Answer {
    /// The provider's id of the response.
    pub id: Option<String>,
    /// The model that really served the call, as the response names it.
    pub model_served: Option<String>,
    /// Text, reasoning and tool calls in the order in which they came.
    pub parts: Vec<Part>,
    pub refusal: String,
    pub server_tools: Vec<String>,
    pub usage: Option<Usage>,
    pub finish: Option<Finish>,
    /// Settings that were not honoured.
    pub ignored: Vec<String>,
    pub notes: Vec<String>,
    /// Frames that were passed over.
    pub skipped: u64,
    /// The last part is reasoning that has not been closed yet.
    reasoning_open: bool,
    /// Bytes that came of what has not been handed over yet; `None`: nothing of the kind ever came.
    growing: Option<u64>,
}

impl Answer {
    /// Takes the next event in.
    pub fn add(&mut self, event: ChatEvent) {
        match event {
            ChatEvent::Started { id, model } => {
                self.id = id.or(self.id.take());
                self.model_served = model.or(self.model_served.take());
            }
            ChatEvent::Text(piece) => {
                self.reasoning_open = false;
                match self.parts.last_mut() {
                    Some(Part::Text(text)) => text.push_str(&piece),
                    _ => self.parts.push(Part::Text(piece)),
                }
            }
            ChatEvent::Reasoning(piece) => match self.parts.last_mut() {
                Some(Part::Reasoning(block)) if self.reasoning_open => block.text.push_str(&piece),
                _ => {
                    self.reasoning_open = true;
                    self.parts.push(Part::Reasoning(Reasoning { text: piece, ..Reasoning::default() }));
                }
            },
            ChatEvent::ReasoningDone(block) => {
                match self.parts.last_mut() {
                    Some(Part::Reasoning(open)) if self.reasoning_open => *open = block,
                    _ => self.parts.push(Part::Reasoning(block)),
                }
                self.reasoning_open = false;
            }
            ChatEvent::Refusal(piece) => self.refusal.push_str(&piece),
            ChatEvent::ToolCall(call) => {
                self.reasoning_open = false;
                let part = Part::ToolCall(call);
                self.growing = self.growing.map(|bytes| bytes.saturating_sub(part.text_bytes()));
                self.parts.push(part);
            }
            ChatEvent::Growing(bytes) => self.growing = Some(self.growing.unwrap_or(0) + bytes as u64),
            ChatEvent::ServerTool(kind) => self.server_tools.push(kind),
            ChatEvent::Usage(usage) => self.usage = Some(usage),
            ChatEvent::Ignored(what) => self.ignored.push(what),
            ChatEvent::Note(note) => self.notes.push(note),
            ChatEvent::Skipped(frames) => self.skipped = frames,
            ChatEvent::Finished(finish) => self.finish = Some(finish),
        }
    }

    /// All text, blocks joined without a separator.
    #[must_use]
    pub fn text(&self) -> String {
        self.parts
            .iter()
            .filter_map(|part| match part {
                Part::Text(text) => Some(text.as_str()),
                _ => None,
            })
            .collect()
    }

    /// All thinking that was shown, or `None` where there was none.
    #[must_use]
    pub fn reasoning(&self) -> Option<String> {
        let text: String = self
            .parts
            .iter()
            .filter_map(|part| match part {
                Part::Reasoning(block) => Some(block.text.as_str()),
                _ => None,
            })
            .collect();
        (!text.is_empty()).then_some(text)
    }

    pub fn tool_calls(&self) -> impl Iterator<Item = &ToolCall> {
        self.parts.iter().filter_map(|part| match part {
            Part::ToolCall(call) => Some(call),
            _ => None,
        })
    }

    /// Bytes of text, thinking and tool calls that came, whole or not: the measure of an answer whose usage never did.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        let whole = self.parts.iter().map(Part::text_bytes).sum::<u64>() + self.refusal.len() as u64;
        whole + self.growing.unwrap_or(0)
    }

    /// Whether anything has come that the model made, if only a piece of a tool call.
    #[must_use]
    pub fn has_content(&self) -> bool {
        !self.parts.is_empty() || !self.refusal.is_empty() || self.growing.is_some()
    }

    /// The message that goes back as the assistant's turn when the conversation continues.
    #[must_use]
    pub fn into_message(self) -> Message {
        Message { role: Role::Assistant, parts: self.parts }
    }
}
