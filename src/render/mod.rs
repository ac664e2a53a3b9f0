//! What is shown: values become text; only terminal.rs writes.

pub mod extract;
mod face;
mod highlight;
pub mod markdown;
pub mod terminal;
