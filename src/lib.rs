//! llmx: one command for every model, and books that a finance department can trust.
//!
//! The map. A floor imports only from floors below it; `tests/architecture.rs` holds them.
//!
//! | floor | rooms | what happens there |
//! |---|---|---|
//! | 6 | [`cli`] | the command line as types |
//! | 5 | [`command`] | one file per subcommand: arguments in, report out |
//! | 4 | [`call`] | the life of one call: quote, reserve, send, meter, bill, settle |
//! | 3 | [`provider`] | who answers: addresses, credentials, sockets |
//! | 2 | [`wire`] [`pricing`] [`ledger`] [`render`] | four wings that never meet: language, tariff, memory, face |
//! | 1 | [`domain`] | the nouns that all share |

pub mod cli;

pub mod command;

pub mod call;

pub mod provider;

pub mod ledger;
pub mod pricing;
pub mod render;
pub mod wire;

pub mod domain;
