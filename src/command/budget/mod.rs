//! `llmx budget`: limits on what may be spent.

pub mod terms;
