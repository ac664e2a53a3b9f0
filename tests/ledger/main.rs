//! The promises of the ledger, kept by real processes: nothing lost, nothing booked twice, nothing left half made.

mod child;
mod processes;
mod promises;
