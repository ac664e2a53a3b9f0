//! A ledger with calls at fixed instants, made through the library, and the binary run over it.

use std::path::Path;

use llmx::domain::bill::Quote;
use llmx::domain::budget::Claim;
use llmx::domain::money::Usd;
use llmx::domain::record::{NewCall, Price, RecordLine, Settlement};
use llmx::ledger::{Admission, Ledger, Patience};

use crate::common::binary::{Done, Llmx};

/// 2025-10-13T12:00:00Z, a Monday.
const NOON: i64 = 1_760_356_800_000;
const DAY: i64 = 86_400_000;
/// 2025-10-14T22:30:00Z.
pub const NIGHT: i64 = NOON + DAY + 10 * 3_600_000 + 1_800_000;

#[derive(Debug)]
pub struct Books {
    folder: tempfile::TempDir,
}

impl Books {
    pub fn new() -> Books {
        Books { folder: tempfile::tempdir().expect("a folder") }
    }

    /// A week of calls, and one in the week before. The open one is 14 October's.
    pub fn filled() -> Books {
        let books = Books::new();
        let mut at = 0;
        let mut call = |day: i64| {
            at += 1;
            books.call(&format!("call-{at:02}"), NOON + day * DAY + at * 60_000)
        };
        call(-7).project("pay").cost("23.5").make();
        for _ in 0..3 {
            call(1).project("search").tag("env", "ci").cost("3").make();
        }
        call(1).project("pay").model("openai", "gpt-5.2").cost("1.5").make();
        call(1).model("openai", "gpt-5.2").fails("rate-limit").cost_nothing().make();
        call(3).project("pay").tag("env", "prod").cost("20.25").make();
        call(3).project("search").cost("0.000000001").make();
        call(4).project("pay").cost("15").at_most("15.5").make();
        call(4).project("pay").model("groq", "llama-4").unpriced().make();
        call(4).project("search").fails("network").cost("1.25").make();
        call(4).project("search").model("sim", "lorem").simulated("0.123").make();
        call(5).project("pay").model("openai", "gpt-5.2").cost("8").make();
        call(5).project("search").model("openai", "日本語のモデル").cost("2").make();
        call(1).project("search").make_open();
        books
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub fn call(&self, id: &str, opened_ms: i64) -> Making<'_> {
        let call = NewCall {
            id: id.to_owned(),
            command: "chat".to_owned(),
            provider: "anthropic".to_owned(),
            model: "claude-opus-4-5".to_owned(),
            ceiling: Usd::parse("30"),
            ..NewCall::default()
        };
        Making { books: self, call, opened_ms, settlement: Settlement::default() }
    }

    fn ledger(&self) -> Ledger {
        Ledger::open(&self.folder.path().join("ledger.db"), Patience::default()).expect("opens")
    }

    pub fn usage(&self, args: &[&str]) -> Llmx {
        let llmx = Llmx::new(&["usage"]).args(args);
        llmx.env("LLMX_DB", self.folder.path().join("ledger.db")).env("LLMX_ZONE", "UTC")
    }

    /// The report of the filled week.
    #[track_caller]
    pub fn report(&self, args: &[&str]) -> Done {
        self.usage(&["2025-10-13..2025-10-19", "-z", "UTC"]).args(args).run().exits(0)
    }
}

/// A call on its way into the ledger.
#[derive(Debug)]
pub struct Making<'a> {
    books: &'a Books,
    call: NewCall,
    opened_ms: i64,
    settlement: Settlement,
}

impl Making<'_> {
    pub fn project(mut self, project: &str) -> Self {
        self.call.project = Some(project.to_owned());
        self
    }

    pub fn tag(mut self, key: &str, value: &str) -> Self {
        self.call.tags.insert(key.to_owned(), value.to_owned());
        self
    }

    pub fn model(mut self, provider: &str, model: &str) -> Self {
        self.call.provider = provider.to_owned();
        self.call.model = model.to_owned();
        self
    }

    pub fn fails(mut self, class: &str) -> Self {
        self.settlement.error_class = Some(class.to_owned());
        self
    }

    /// From a table: a fifth of it for a thousand tokens of the prompt, the rest for two hundred of the answer.
    pub fn cost(mut self, usd: &str) -> Self {
        let total = Usd::parse(usd).expect("an amount");
        let input = Usd::from_picos(total.picos / 5);
        let line = |meter: &str, quantity, amount| RecordLine {
            meter: meter.to_owned(),
            quantity,
            per: 1_000_000,
            rate: Some("1".to_owned()),
            amount: Some(amount),
            model: None,
        };
        self.settlement.basis = "table".to_owned();
        self.settlement.total = Some(total);
        self.settlement.lines = vec![
            line("input", 1_000, input),
            line("cache_read", 9_000, Usd::default()),
            line("output", 200, Usd::from_picos(total.picos - input.picos)),
        ];
        self.settlement.price = Some(Price {
            table: "bundled".to_owned(),
            version: "2025-10-01".to_owned(),
            sha256: "00ff".to_owned(),
            entry: format!("{}/{}", self.call.provider, self.call.model),
            row_from: None,
            checked: Some("2025-10-01".to_owned()),
        });
        self
    }

    pub fn at_most(mut self, usd: &str) -> Self {
        self.settlement.basis = "estimated".to_owned();
        self.settlement.at_most = Usd::parse(usd);
        self
    }

    pub fn cost_nothing(mut self) -> Self {
        self.settlement.basis = "nothing".to_owned();
        self.settlement.total = Some(Usd::default());
        self
    }

    pub fn unpriced(mut self) -> Self {
        self.settlement.basis = "unpriced".to_owned();
        self
    }

    pub fn simulated(mut self, usd: &str) -> Self {
        self.settlement.basis = "simulated".to_owned();
        self.settlement.total = Usd::parse(usd);
        self
    }

    pub fn make(self) {
        let mut ledger = self.books.ledger();
        let quote = Quote { ceiling: self.call.ceiling, priced: true, ..Quote::default() };
        let claim = Claim { budgets: &[], quote: &quote, cap: None, floor: None, purse: None };
        match ledger.admit(&self.call, &claim, self.opened_ms).expect("the ledger answers") {
            Admission::Granted(reservation) => {
                ledger.settle(reservation, &self.settlement, self.opened_ms + 2_000).expect("settled");
            }
            Admission::Refused(refusal) => panic!("refused: {refusal:?}"),
        }
    }

    /// Its process ends before it does.
    pub fn make_open(self) {
        let mut ledger = self.books.ledger();
        let quote = Quote { ceiling: self.call.ceiling, priced: true, ..Quote::default() };
        let claim = Claim { budgets: &[], quote: &quote, cap: None, floor: None, purse: None };
        let admitted = ledger.admit(&self.call, &claim, self.opened_ms).expect("the ledger answers");
        assert!(matches!(admitted, Admission::Granted(_)), "{admitted:?}");
    }
}
