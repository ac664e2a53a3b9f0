//! Names that stand in the books, for a shell to complete. The books are only read: none are made or brought to a new
//! schema, and nobody is waited for.

use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, Row};

use super::accounts;
use super::connect::{Access, Patience, newest};
use super::look::look;

/// How far back it is looked, in calls, and the most names that are given.
const LOOK_BACK: i64 = 5_000;
const NAMES_MAX: u32 = 100;

/// What is named.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Named {
    Call,
    Group,
    Session,
    Project,
    User,
    Team,
    /// As `key=value`.
    Tag,
    /// Only those that were set; a budget of a file is not in the books.
    Budget,
}

/// A name, and what is known of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Name {
    pub text: String,
    /// What it stands for, in few words; may be empty.
    pub about: String,
    /// When it was last seen: UTC milliseconds since 1970.
    pub at_ms: Option<i64>,
}

/// The names of the latest calls, the latest first; budgets by their names. Empty where there are no books at `path`, or
/// none of this schema.
#[must_use]
pub fn names(path: &Path, named: Named) -> Vec<Name> {
    open(path).and_then(|db| read(&db, named).ok()).unwrap_or_default()
}

fn open(path: &Path) -> Option<Connection> {
    let nobody = Patience { limit: Duration::ZERO, ..Patience::default() };
    let found = look(path, Access::Read, nobody).ok()??;
    (found.schema == newest()).then_some(found.db)
}

fn read(db: &Connection, named: Named) -> rusqlite::Result<Vec<Name>> {
    let columns = match named {
        Named::Budget => {
            let budgets = accounts::live_budgets(db)?.into_iter();
            let about = |limit: String, window: String| format!("${limit}/{window}");
            return Ok(budgets
                .map(|budget| Name {
                    about: about(budget.limit.to_string(), budget.account.window.to_string()),
                    text: budget.name,
                    at_ms: None,
                })
                .collect());
        }
        Named::Call => "id AS name, command || ' ' || provider || '/' || model AS about, opened_ms FROM call c",
        Named::Group => "group_id AS name, command AS about, opened_ms FROM call c",
        Named::Session => "session AS name, '' AS about, opened_ms FROM call c",
        Named::Project => "project AS name, '' AS about, opened_ms FROM call c",
        Named::User => "user AS name, '' AS about, opened_ms FROM call c",
        Named::Team => "team AS name, '' AS about, opened_ms FROM call c",
        Named::Tag => "tag.key || '=' || tag.value AS name, '' AS about, opened_ms FROM call c, json_each(c.tags) tag",
    };
    let sql = format!(
        "SELECT name, about, max(opened_ms) AS last FROM
           (SELECT {columns} WHERE c.seq > (SELECT max(seq) FROM call) - {LOOK_BACK})
         WHERE name IS NOT NULL GROUP BY name ORDER BY last DESC, name LIMIT {NAMES_MAX}"
    );
    let mut find = db.prepare(&sql)?;
    let name = |row: &Row<'_>| Ok(Name { text: row.get(0)?, about: row.get(1)?, at_ms: row.get(2)? });
    find.query_map([], name)?.collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::{Named, names};
    use crate::domain::bill::Quote;
    use crate::domain::budget::Claim;
    use crate::domain::record::NewCall;
    use crate::ledger::{Admission, Ledger, Patience};

    #[test]
    fn the_latest_names_come_first_and_each_once() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("ledger.db");
        let mut books = Ledger::open(&path, Patience::default()).expect("made");
        for (id, project, at_ms) in
            [("c1", Some("pay"), 1_000), ("c2", Some("shop"), 2_000), ("c3", Some("pay"), 3_000), ("c4", None, 4_000)]
        {
            let call = NewCall {
                id: id.into(),
                command: "chat".into(),
                provider: "sim".into(),
                model: "echo".into(),
                project: project.map(str::to_owned),
                group: (id != "c4").then(|| "g1".to_owned()),
                tags: BTreeMap::from([("env".to_owned(), "ci".to_owned())]),
                ..NewCall::default()
            };
            admit(&mut books, &call, at_ms);
        }
        let texts = |named| names(&path, named).into_iter().map(|name| name.text).collect::<Vec<_>>();
        assert_eq!(texts(Named::Project), ["pay", "shop"]);
        assert_eq!(texts(Named::Call), ["c4", "c3", "c2", "c1"]);
        assert_eq!(texts(Named::Group), ["g1"]);
        assert_eq!(texts(Named::Tag), ["env=ci"]);
        assert_eq!(texts(Named::Session), [""; 0]);
        let call = names(&path, Named::Call).remove(0);
        assert_eq!((call.about.as_str(), call.at_ms), ("chat sim/echo", Some(4_000)));
    }

    #[test]
    fn books_are_neither_made_nor_migrated_nor_taken_for_ours() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("llmx/ledger.db");
        assert_eq!(names(&path, Named::Call), []);
        assert!(!folder.path().join("llmx").exists());
        let path = folder.path().join("other.db");
        for script in ["CREATE TABLE call (id TEXT)", "PRAGMA application_id = 1819045240; PRAGMA user_version = 1"] {
            rusqlite::Connection::open(&path).and_then(|db| db.execute_batch(script)).expect("written");
            let before = std::fs::read(&path).expect("readable");
            assert_eq!(names(&path, Named::Call), []);
            assert_eq!(std::fs::read(&path).expect("readable"), before);
        }
    }

    fn admit(books: &mut Ledger, call: &NewCall, at_ms: i64) {
        let quote = Quote::default();
        let claim = Claim { budgets: &[], quote: &quote, cap: None, floor: None, purse: None };
        assert!(matches!(books.admit(call, &claim, at_ms), Ok(Admission::Granted(_))));
    }
}
