//! Cohere: to be written.

use super::contract::{DecodeError, Decoder, EncodeError, Encoded, Target};
use super::quirks::Quirks;
use crate::domain::chat::{ChatEvent, ChatRequest};

/// # Errors
/// Never yet.
pub fn encode(_request: &ChatRequest, _target: &Target<'_>) -> Result<Encoded, EncodeError> {
    Ok(Encoded::default())
}

#[derive(Debug)]
pub struct Cohere;

impl Cohere {
    #[must_use]
    pub fn new(_quirks: &Quirks) -> Cohere {
        Cohere
    }
}

impl Decoder for Cohere {
    fn frame(&mut self, _event: &str, _data: &str, _out: &mut Vec<ChatEvent>) -> Result<(), DecodeError> {
        Ok(())
    }

    fn end(&mut self, _out: &mut Vec<ChatEvent>) -> Result<(), DecodeError> {
        Ok(())
    }

    fn is_finished(&self) -> bool {
        false
    }
}
