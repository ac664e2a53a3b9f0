//! What a call costs: the tables of prices, the most that a request can cost, and the bill afterwards. Pure: knows only
//! `domain`, is told the time and is handed the user's file.
//!
//! | file | subject |
//! |---|---|
//! | `decimal` | exact numbers and the one rounding |
//! | `moment` | instants, weekdays and dates in UTC |
//! | `place` | where a number of a file stands |
//! | `table` | one price file: its index, and its sections, each parsed when it is asked for |
//! | `entry` | what stands in a section |
//! | `resolve` | from a name to its entry |
//! | `price` | from an entry to the rates that hold at an instant in a context |
//! | `bill`, `quote` | from rates to amounts, after a call and before it |
//! | `expected` | what a request will probably cost, for choosing a model |
//! | `check` | what a person should mend in a table |

pub mod bill;
pub mod check;
pub mod decimal;
pub mod entry;
pub mod expected;
pub mod moment;
pub mod place;
pub mod price;
pub mod quote;
pub mod resolve;
pub mod table;

pub use bill::{Called, bill};
pub use moment::Moment;
pub use price::{Context, Price, Priced, mode_word};
pub use quote::Ask;

use place::{Place, TableError, Which};
use table::Table;

/// The table that ships with the program.
const BUNDLED: &str = include_str!("../../pricing.toml");

/// Its SHA-256, which every call books. Stated, since working it out takes a millisecond of every start; a test says what
/// to write here when the table has changed.
const BUNDLED_SHA256: &str = "4592ac6721c3e142615f361dc4d80b9726abe23fecfd7118c875321b33a3c442";

/// The tables that prices come from: the bundled one, and the user's laid over it entry by entry.
#[derive(Debug)]
pub struct Prices {
    bundled: Table,
    user: Option<Table>,
}

impl Prices {
    /// The bundled table alone.
    #[must_use]
    pub fn bundled() -> Prices {
        Prices { bundled: Table::hashed(Which::Bundled, "bundled", BUNDLED, BUNDLED_SHA256), user: None }
    }

    /// The bundled table with the user's over it. `name`: the file, as it is to be called in messages.
    ///
    /// # Errors
    /// The first thing that keeps the user's file from being read.
    pub fn with(name: &str, text: String) -> Result<Prices, TableError> {
        let user = Table::new(Which::User, name, text);
        match user.problems().into_iter().next() {
            Some(problem) => Err(problem),
            None => Ok(Prices { user: Some(user), ..Prices::bundled() }),
        }
    }

    /// Tables of one's own in place of the bundled one.
    #[cfg(test)]
    fn of(bundled: &'static str, user: Option<&'static str>) -> Prices {
        let user = user.map(|text| Table::new(Which::User, "own.toml", text));
        Prices { bundled: Table::new(Which::Bundled, "bundled", bundled), user }
    }

    /// The user's table before the bundled one.
    pub fn tables(&self) -> impl Iterator<Item = &Table> {
        self.user.iter().chain([&self.bundled])
    }

    /// The table in which a number stands.
    #[must_use]
    pub fn table(&self, which: Which) -> &Table {
        self.tables().find(|table| table.which() == which).unwrap_or(&self.bundled)
    }

    /// A place as `file:line`.
    #[must_use]
    pub fn at(&self, place: Place) -> String {
        let table = self.table(place.table);
        format!("{}:{}", table.name(), table.line(place.at).0)
    }
}

#[cfg(test)]
mod tests;
