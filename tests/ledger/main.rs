//! The promises of the ledger, kept by real processes: nothing lost, nothing booked twice, nothing left half made.

mod budgets;
mod child;
mod commands;
mod processes;
mod promises;
mod spend;
