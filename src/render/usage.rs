//! What `llmx usage` shows.

pub mod budgets;
pub mod forecast;
mod rounded;
pub mod statusline;
