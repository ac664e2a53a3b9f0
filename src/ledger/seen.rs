//! What the books have seen of a model: how soon it answers, and how much it says.

use rusqlite::{Connection, Params};

use super::Ledger;
use super::error::LedgerError;

/// How far back it is looked, in calls of any model, and how many of the model's own are enough.
const LOOK_BACK: i64 = 20_000;
const ENOUGH: u32 = 101;

/// Medians of a model's latest answers that came whole; the upper one of two.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Seen {
    /// Milliseconds to the first token; `None`: never seen.
    pub first_token_ms: Option<u64>,
    /// Output tokens, and the number of answers that they were counted for.
    pub output: Option<(u64, u64)>,
}

impl Ledger {
    /// What the latest calls say of a model: its first token anywhere, its output in `project` (`None`: in calls of no
    /// project).
    ///
    /// # Errors
    /// Where the ledger cannot be read.
    pub fn seen(&self, provider: &str, model: &str, project: Option<&str>) -> Result<Seen, LedgerError> {
        self.read(|db| {
            let mut firsts = numbers(db, FIRST_TOKENS, (LOOK_BACK, ENOUGH, provider, model))?;
            let mut outputs = numbers(db, OUTPUTS, (LOOK_BACK, ENOUGH, provider, model, project))?;
            Ok(Seen {
                first_token_ms: median(&mut firsts),
                output: median(&mut outputs).map(|tokens| (tokens, outputs.len() as u64)),
            })
        })
    }
}

const FIRST_TOKENS: &str = "SELECT s.first_token_ms - c.opened_ms FROM call c JOIN settlement s ON s.call = c.seq
    WHERE c.seq > (SELECT max(seq) FROM call) - ?1 AND c.provider = ?3 AND c.model = ?4
      AND s.first_token_ms IS NOT NULL
    ORDER BY c.seq DESC LIMIT ?2";

const OUTPUTS: &str = "SELECT (SELECT sum(quantity) FROM line l WHERE l.call = c.seq AND l.meter = 'output')
    FROM call c JOIN settlement s ON s.call = c.seq
    WHERE c.seq > (SELECT max(seq) FROM call) - ?1 AND c.provider = ?3 AND c.model = ?4 AND c.project IS ?5
      AND s.usage_source = 'reported' AND s.error_class IS NULL AND s.stopped IS NULL
    ORDER BY c.seq DESC LIMIT ?2";

fn numbers(db: &Connection, sql: &str, values: impl Params) -> rusqlite::Result<Vec<u64>> {
    let mut find = db.prepare_cached(sql)?;
    let rows = find.query_map(values, |row| row.get::<_, Option<i64>>(0))?;
    let numbers: Vec<Option<i64>> = rows.collect::<rusqlite::Result<_>>()?;
    Ok(numbers.into_iter().flatten().filter_map(|number| u64::try_from(number).ok()).collect())
}

fn median(numbers: &mut [u64]) -> Option<u64> {
    numbers.sort_unstable();
    numbers.get(numbers.len() / 2).copied()
}

#[cfg(test)]
mod tests {
    use super::Seen;
    use crate::domain::bill::Quote;
    use crate::domain::budget::Claim;
    use crate::domain::record::{NewCall, RecordLine, Settlement};
    use crate::ledger::{Admission, Ledger, Patience};

    /// Books a call to `a/one` that took `first_ms` to its first token and said `output` tokens.
    fn book(books: &mut Ledger, id: &str, project: Option<&str>, first_ms: u64, output: u64, failed: bool) {
        let call = NewCall {
            id: id.into(),
            command: "chat".into(),
            provider: "a".into(),
            model: "one".into(),
            project: project.map(str::to_owned),
            ..NewCall::default()
        };
        let quote = Quote::default();
        let claim = Claim { budgets: &[], quote: &quote, cap: None, floor: None, purse: None };
        let Ok(Admission::Granted(reserved)) = books.admit(&call, &claim, 1_000) else {
            panic!("no budget is in force")
        };
        let line = RecordLine { meter: "output".into(), quantity: output, per: 1_000_000, ..RecordLine::default() };
        let settlement = Settlement {
            first_token_ms: Some(first_ms),
            usage_source: Some("reported".into()),
            error_class: failed.then(|| "protocol".to_owned()),
            basis: "unpriced".into(),
            lines: vec![line],
            ..Settlement::default()
        };
        books.settle(reserved, &settlement, 2_000).expect("settled");
    }

    #[test]
    fn medians_are_of_whole_answers_of_the_model_in_the_project() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut books = Ledger::open(&folder.path().join("ledger.db"), Patience::default()).expect("opens");
        assert_eq!(books.seen("a", "one", None).expect("reads"), Seen::default());
        book(&mut books, "1", Some("api"), 100, 10, false);
        book(&mut books, "2", Some("api"), 300, 30, false);
        book(&mut books, "3", Some("api"), 200, 20, false);
        book(&mut books, "4", Some("api"), 200, 9_000, true);
        book(&mut books, "5", None, 900, 700, false);
        let seen = |model: &str, project| books.seen("a", model, project).expect("reads");
        assert_eq!(seen("one", Some("api")), Seen { first_token_ms: Some(200), output: Some((20, 3)) });
        assert_eq!(seen("one", None), Seen { first_token_ms: Some(200), output: Some((700, 1)) });
        assert_eq!(seen("two", Some("api")), Seen::default());
    }
}
