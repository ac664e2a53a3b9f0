//! Who answers: credentials, addresses and sockets. Knows nothing of money.

pub mod catalog;
pub mod models;
