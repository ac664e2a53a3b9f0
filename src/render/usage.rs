//! What `llmx usage` shows.

pub mod causes;
mod lay;
pub mod sums;
