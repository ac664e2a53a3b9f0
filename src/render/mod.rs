//! What is shown: values become text; only `terminal.rs` writes.

pub mod call;
pub mod draft;
pub mod extract;
mod face;
mod highlight;
pub mod markdown;
pub mod models;
pub mod providers;
pub mod terminal;
