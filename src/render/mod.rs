//! What is shown: values become text; only `terminal.rs` writes.

pub mod access;
pub mod budget;
pub mod call;
pub mod compare;
pub mod doctor;
pub mod draft;
pub mod extract;
mod face;
mod highlight;
pub mod ledger;
pub mod logs;
pub mod markdown;
pub mod models;
pub mod page;
pub mod providers;
pub mod repricing;
pub mod route;
pub mod terminal;
pub mod usage;
