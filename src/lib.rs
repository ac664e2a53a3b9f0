//! llmx: one command for every model, and books that a finance department can trust.
//!
//! The map. Imports go down only; `tests/architecture.rs` holds the floors.

pub mod render;
pub mod wire;

pub mod domain;
