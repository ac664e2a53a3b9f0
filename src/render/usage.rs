//! What was spent, as it is shown: a table on a screen, and the same as files.

mod beside;
pub mod budgets;
pub mod causes;
pub mod csv;
pub mod forecast;
pub mod html;
pub mod json;
mod lay;
pub mod markdown;
#[cfg(feature = "parquet")]
pub mod parquet;
mod plot;
mod rounded;
pub mod rows;
pub mod savings;
mod sheet;
pub mod statusline;
pub mod sums;
pub mod table;
mod tell;
#[cfg(test)]
mod tests;
pub mod waste;
pub mod what_if;

use super::terminal::Screen;

/// Where a report is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct View {
    pub screen: Screen,
    /// `--format table`: rules and bars, though nobody may look.
    pub drawn: bool,
}
