//! What was spent and what comes of it, as text.

pub mod savings;
pub mod waste;
pub mod what_if;

mod beside;
