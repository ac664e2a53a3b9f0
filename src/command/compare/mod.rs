//! `llmx compare`: several models, the same prompts.

pub mod estimate;
pub mod judge;
pub mod prompts;
pub mod resume;
