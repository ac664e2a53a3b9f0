//! The body of one answer: fragments go in, events come out, whatever the dialect and the framing.

use super::contract::{DecodeError, Decoder, Dialect};
use super::frames::{EVENT_MAX, Frames, VALUE_MAX};
use super::quirks::Quirks;
use crate::domain::chat::{ChatEvent, FinishReason};

/// Most of one answer (text, thinking and tool calls together), in bytes.
pub const TEXT_MAX: usize = 64 << 20;

/// Most that is read before something of it is handed over, in bytes: what a decoder holds back (the arguments of a tool
/// call) has an end, too. A whole JSON body is one value and fits.
const HELD_MAX: usize = VALUE_MAX + EVENT_MAX;

/// What a part of an answer takes beside its bytes, roughly.
const KEPT_EACH: usize = 128;

/// Cuts, decodes and counts one answer's body.
pub struct Body {
    frames: Frames,
    decoder: Box<dyn Decoder>,
    /// Bytes of text handed over so far.
    text: usize,
    /// Bytes of everything that an answer keeps, text and all.
    kept: usize,
    /// Bytes read since something was handed over.
    held: usize,
    /// Usage has come.
    counted: bool,
    /// Something that the model made has come.
    said: bool,
    /// The model stopped of itself: an answer is due.
    stopped: bool,
    lossy_said: bool,
    frame: u64,
}

impl Body {
    #[must_use]
    pub fn new(dialect: Dialect, quirks: &Quirks) -> Body {
        Body {
            frames: Frames::new(),
            decoder: dialect.decoder(quirks),
            text: 0,
            kept: 0,
            held: 0,
            counted: false,
            said: false,
            stopped: false,
            lossy_said: false,
            frame: 0,
        }
    }

    /// Takes the next fragment and appends the events that it completes.
    ///
    /// # Errors
    /// [`DecodeError`]; events appended before it stay good.
    pub fn push(&mut self, bytes: &[u8], out: &mut Vec<ChatEvent>) -> Result<(), DecodeError> {
        let before = out.len();
        let (decoder, count) = (&mut self.decoder, &mut self.frame);
        let read = self.frames.feed(bytes, &mut |event, data| {
            *count += 1;
            decoder.frame(event, data, out).map_err(|error| numbered(error, *count))
        });
        let handed_over = out[before..].iter().any(|event| !matches!(event, ChatEvent::Growing(_)));
        self.held = if handed_over { 0 } else { self.held + bytes.len() };
        self.measure(&out[before..])?;
        self.say_lossy(out);
        read
    }

    /// The body has ended cleanly.
    ///
    /// # Errors
    /// [`DecodeError`]: nothing came, or not to its end.
    pub fn end(&mut self, out: &mut Vec<ChatEvent>) -> Result<(), DecodeError> {
        let before = out.len();
        let (decoder, count) = (&mut self.decoder, &mut self.frame);
        self.frames.end(&mut |event, data| {
            *count += 1;
            decoder.frame(event, data, out).map_err(|error| numbered(error, *count))
        })?;
        self.measure(&out[before..])?;
        self.say_lossy(out);
        if self.frames.is_empty() {
            return Err(DecodeError::Cut("the answer is empty".into()));
        }
        let before = out.len();
        let ended = self.decoder.end(out);
        self.measure(&out[before..])?;
        match ended {
            // The server gave its last account and said itself that this was all, only not why.
            Err(DecodeError::Cut(_)) if self.frames.is_done() && self.counted && self.text > 0 => {
                out.push(ChatEvent::Note("the answer ended without a finish reason".into()));
                Ok(())
            }
            Ok(()) if self.stopped && !self.said => {
                out.push(ChatEvent::Note("the answer is empty: the model finished and said nothing".into()));
                Ok(())
            }
            ended => ended,
        }
    }

    /// Frames so far that said nothing: pings, comments, empty events, events of a kind that is not known.
    #[must_use]
    pub fn skipped(&self) -> u64 {
        self.frames.skipped() + self.decoder.skipped()
    }

    /// The model has finished; only late usage can follow.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.decoder.is_finished()
    }

    /// The stream said that nothing follows.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.frames.is_done()
    }

    fn measure(&mut self, events: &[ChatEvent]) -> Result<(), DecodeError> {
        for event in events {
            self.kept += kept(event);
            self.said |= is_made(event);
            match event {
                ChatEvent::Text(text) | ChatEvent::Reasoning(text) | ChatEvent::Refusal(text) => {
                    self.text += text.len()
                }
                ChatEvent::Usage(_) => self.counted = true,
                ChatEvent::Finished(finish) => self.stopped = finish.reason == FinishReason::Stop,
                _ => {}
            }
        }
        if self.kept > TEXT_MAX || self.held > HELD_MAX {
            return Err(DecodeError::Malformed(format!("the answer is longer than {} MiB", TEXT_MAX >> 20)));
        }
        Ok(())
    }

    fn say_lossy(&mut self, out: &mut Vec<ChatEvent>) {
        if self.frames.is_lossy() && !self.lossy_said {
            self.lossy_said = true;
            out.push(ChatEvent::Note("the answer held bytes that are no UTF-8: they stand as U+FFFD".into()));
        }
    }
}

/// Whether an event is a part of what the model was asked for.
fn is_made(event: &ChatEvent) -> bool {
    match event {
        ChatEvent::Text(_)
        | ChatEvent::Reasoning(_)
        | ChatEvent::ReasoningDone(_)
        | ChatEvent::Refusal(_)
        | ChatEvent::ToolCall(_)
        | ChatEvent::Growing(_)
        | ChatEvent::ServerTool(_)
        | ChatEvent::Note(_) => true,
        ChatEvent::Started { .. }
        | ChatEvent::Usage(_)
        | ChatEvent::Ignored(_)
        | ChatEvent::Skipped(_)
        | ChatEvent::Finished(_) => false,
    }
}

/// How many bytes of an event stay in the answer; an event that lays itself over an earlier one counts nothing.
fn kept(event: &ChatEvent) -> usize {
    match event {
        ChatEvent::Text(text) | ChatEvent::Reasoning(text) | ChatEvent::Refusal(text) => text.len(),
        ChatEvent::ToolCall(call) => KEPT_EACH + call.id.len() + call.name.len() + call.arguments.len(),
        ChatEvent::ServerTool(text) | ChatEvent::Note(text) | ChatEvent::Ignored(text) => KEPT_EACH + text.len(),
        // The text of its block was counted as it came.
        ChatEvent::ReasoningDone(block) => {
            KEPT_EACH + [&block.signature, &block.redacted].into_iter().flatten().map(String::len).sum::<usize>()
        }
        ChatEvent::Started { .. }
        | ChatEvent::Growing(_)
        | ChatEvent::Usage(_)
        | ChatEvent::Skipped(_)
        | ChatEvent::Finished(_) => 0,
    }
}

/// Says which frame could not be read.
fn numbered(error: DecodeError, frame: u64) -> DecodeError {
    match error {
        DecodeError::Malformed(reason) => DecodeError::Malformed(format!("{reason}, in frame {frame}")),
        other => other,
    }
}
