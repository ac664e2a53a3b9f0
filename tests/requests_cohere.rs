//! Every field of a request that llmx sends in this dialect is one that the API is known to take.

#![expect(clippy::print_stderr, reason = "the figures are for whoever runs the test with --nocapture")]

mod common;

use std::collections::BTreeSet;

use common::{beside, exchanges, fields, rich_conversation};
use llmx::domain::model::ModelFacts;
use llmx::wire::contract::{Dialect, Target};
use llmx::wire::quirks::Quirks;

/// Below these stands what the user names.
const OPAQUE: &[&str] = &[".parameters", ".schema"];

/// Documented at docs.cohere.com/reference/chat (read 2026-11-22) and in no recorded request.
const DOCUMENTED: [&str; 3] = [".p", ".seed", ".thinking.token_budget"];

#[test]
fn every_field_that_is_sent_was_recorded_or_is_documented() {
    let Some(exchanges) = exchanges(beside(), &["cohere-v2"]) else { return };
    let recorded: BTreeSet<String> =
        exchanges.iter().flat_map(|exchange| fields(&exchange["request"]["body"], OPAQUE)).collect();
    let (quirks, facts) = (Quirks::default(), ModelFacts::default());
    let target = Target { model: "command-a-03-2025", quirks: &quirks, facts: &facts, stream: true };
    let said = Dialect::Cohere.encode(&rich_conversation(), &target).expect("can be said");
    let sent = fields(&said.body, OPAQUE);
    let unknown: Vec<_> =
        sent.iter().filter(|path| !recorded.contains(*path) && !DOCUMENTED.contains(&path.as_str())).collect();
    assert!(unknown.is_empty(), "sent, but neither recorded nor documented: {unknown:?}");
    eprintln!("{} fields sent, {} of them recorded", sent.len(), sent.intersection(&recorded).count());
    let stale: Vec<_> = DOCUMENTED.iter().filter(|path| !sent.contains(**path)).collect();
    assert!(stale.is_empty(), "allowed, but no longer sent: {stale:?}");
}
