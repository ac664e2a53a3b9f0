//! The nouns that every floor shares: plain values, no input or output, no clock.

pub mod access;
pub mod answer;
pub mod bill;
pub mod budget;
pub mod chat;
pub mod comparison;
pub mod failure;
pub mod instant;
pub mod model;
pub mod money;
pub mod recalled;
pub mod record;
pub mod refusal;
pub mod report;
pub mod repricing;
pub mod route;
pub mod scope;
pub mod secret;
pub mod spend;
pub mod untrusted;
pub mod usage;
pub mod window;
