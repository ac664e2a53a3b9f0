//! Who answers; knows nothing of money.

pub mod google;
