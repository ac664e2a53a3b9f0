//! The languages that providers speak: pure encoding and decoding. Names no provider, opens nothing.

pub mod body;
pub mod chat_completions;
pub mod cohere;
pub mod contract;
pub mod converse_usage;
pub mod dialect;
pub mod errors;
pub mod frames;
pub mod generate_content;
pub mod json;
pub mod messages;
mod mishap;
pub mod ollama;
pub mod quirks;
pub mod responses;
pub mod thinking;
pub mod usage;
