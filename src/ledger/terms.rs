//! Budgets and accounts as texts: what the tables keep of them, and back.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::error::LedgerError;
use crate::domain::budget::{Account, Budget, OnUnknownPrice, Origin, Refused, Scope, Standing, Why};
use crate::domain::money::Usd;
use crate::domain::window::{Span, Window, Zone};

/// An account. Its JSON is the same for every writer, so that it is a key: fields in this order, none that is not set.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Key {
    #[serde(skip_serializing_if = "Option::is_none")]
    project: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    team: Option<String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    tags: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    model: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    provider: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    session: Option<String>,
    window: String,
    zone: String,
}

/// A budget. Amounts are picodollars.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Terms {
    name: String,
    origin: Origins,
    limit: i64,
    account: Key,
    hard: bool,
    warn: Vec<u32>,
    on_unknown: Unknown,
    allow_unbounded: bool,
    clip: bool,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Origins {
    Ledger,
    File(String),
    Command,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Unknown {
    Deny,
    Allow,
    Assume(i64),
}

/// A budget that refused a call, with what the books said.
#[derive(Debug, Serialize, Deserialize)]
struct Refusing {
    budget: Terms,
    why: String,
    from_ms: i64,
    to_ms: Option<i64>,
    spent: i64,
    held: i64,
    calls: u64,
    open: u64,
    unknown: u64,
}

impl Key {
    fn of(account: &Account) -> Key {
        let Account { scope, window, zone } = account;
        Key {
            project: scope.project.clone(),
            user: scope.user.clone(),
            team: scope.team.clone(),
            tags: scope.tags.clone(),
            model: scope.model.clone(),
            provider: scope.provider.clone(),
            session: scope.session.clone(),
            window: window.to_string(),
            zone: zone.name().to_owned(),
        }
    }

    fn account(self) -> Option<Account> {
        let (window, zone) = (Window::parse(&self.window)?, Zone::named(&self.zone)?);
        let Key { project, user, team, tags, model, provider, session, .. } = self;
        Some(Account { scope: Scope { project, user, team, tags, model, provider, session }, window, zone })
    }
}

impl Terms {
    fn of(budget: &Budget) -> Terms {
        Terms {
            name: budget.name.clone(),
            origin: match &budget.origin {
                Origin::Ledger => Origins::Ledger,
                Origin::File(path) => Origins::File(path.clone()),
                Origin::Command => Origins::Command,
            },
            limit: budget.limit.picos,
            account: Key::of(&budget.account),
            hard: budget.hard,
            warn: budget.warn.clone(),
            on_unknown: match budget.on_unknown_price {
                OnUnknownPrice::Deny => Unknown::Deny,
                OnUnknownPrice::Allow => Unknown::Allow,
                OnUnknownPrice::Assume(amount) => Unknown::Assume(amount.picos),
            },
            allow_unbounded: budget.allow_unbounded,
            clip: budget.clip,
        }
    }

    fn budget(self) -> Option<Budget> {
        Some(Budget {
            name: self.name,
            limit: Usd::from_picos(self.limit),
            account: self.account.account()?,
            hard: self.hard,
            warn: self.warn,
            on_unknown_price: match self.on_unknown {
                Unknown::Deny => OnUnknownPrice::Deny,
                Unknown::Allow => OnUnknownPrice::Allow,
                Unknown::Assume(picos) => OnUnknownPrice::Assume(Usd::from_picos(picos)),
            },
            allow_unbounded: self.allow_unbounded,
            clip: self.clip,
            origin: match self.origin {
                Origins::Ledger => Origin::Ledger,
                Origins::File(path) => Origin::File(path),
                Origins::Command => Origin::Command,
            },
        })
    }
}

/// The account's key.
pub(super) fn key(account: &Account) -> rusqlite::Result<String> {
    written(&Key::of(account))
}

pub(super) fn account(key: &str) -> rusqlite::Result<Account> {
    serde_json::from_str::<Key>(key).ok().and_then(Key::account).ok_or_else(|| unreadable(key))
}

pub(super) fn terms(budget: &Budget) -> rusqlite::Result<String> {
    written(&Terms::of(budget))
}

pub(super) fn budget(terms: &str) -> rusqlite::Result<Budget> {
    serde_json::from_str::<Terms>(terms).ok().and_then(Terms::budget).ok_or_else(|| unreadable(terms))
}

pub(super) fn refused(by: &[Refused]) -> rusqlite::Result<String> {
    let by = by.iter().map(|Refused { standing, why }| Refusing {
        budget: Terms::of(&standing.budget),
        why: why.as_str().to_owned(),
        from_ms: standing.span.from_ms,
        to_ms: standing.span.to_ms,
        spent: standing.spent.picos,
        held: standing.held.picos,
        calls: standing.calls,
        open: standing.open,
        unknown: standing.unknown,
    });
    written(&by.collect::<Vec<_>>())
}

pub(super) fn refusing(text: &str) -> rusqlite::Result<Vec<Refused>> {
    let by: Vec<Refusing> = serde_json::from_str(text).map_err(|_| unreadable(text))?;
    let whys = [Why::DoesNotFit, Why::Unpriced, Why::Unbounded];
    let read = by.into_iter().map(|refusing| {
        let why = whys.into_iter().find(|why| why.as_str() == refusing.why)?;
        let standing = Standing {
            budget: refusing.budget.budget()?,
            span: Span { from_ms: refusing.from_ms, to_ms: refusing.to_ms },
            spent: Usd::from_picos(refusing.spent),
            held: Usd::from_picos(refusing.held),
            calls: refusing.calls,
            open: refusing.open,
            unknown: refusing.unknown,
        };
        Some(Refused { standing, why })
    });
    read.collect::<Option<_>>().ok_or_else(|| unreadable(text))
}

fn written(value: &impl Serialize) -> rusqlite::Result<String> {
    serde_json::to_string(value).map_err(|error| rusqlite::Error::ToSqlConversionFailure(Box::new(error)))
}

/// What this build cannot read may be a limit: no call is made past it.
fn unreadable(text: &str) -> rusqlite::Error {
    LedgerError::Unreadable { text: text.to_owned() }.within_sqlite()
}

#[cfg(test)]
mod tests {
    use super::{account, budget, key, terms};
    use crate::domain::budget::{Account, Budget, OnUnknownPrice, Origin, Scope};
    use crate::domain::money::Usd;
    use crate::domain::window::{Window, Zone};

    #[test]
    fn what_is_kept_of_a_budget_is_the_whole_of_it() {
        let kept = Budget {
            name: "eng".into(),
            limit: Usd::from_picos(7),
            account: Account {
                scope: Scope {
                    team: Some("eng".into()),
                    tags: [("env".to_owned(), "ci".to_owned())].into(),
                    model: Some("bedrock/*".into()),
                    ..Scope::default()
                },
                window: Window::Month { anchor: 31 },
                zone: Zone::named("Europe/Berlin").expect("a zone"),
            },
            hard: true,
            warn: vec![50, 80],
            on_unknown_price: OnUnknownPrice::Assume(Usd::from_picos(3)),
            allow_unbounded: true,
            clip: true,
            origin: Origin::File("llmx.toml".into()),
        };
        assert_eq!(budget(&terms(&kept).expect("written")).expect("read"), kept);
        let written = key(&kept.account).expect("written");
        assert_eq!(
            written,
            r#"{"team":"eng","tags":{"env":"ci"},"model":"bedrock/*","window":"month@31","zone":"Europe/Berlin"}"#
        );
        assert_eq!(account(&written).expect("read"), kept.account);
    }

    #[test]
    fn an_account_that_this_build_cannot_read_is_an_error() {
        for strange in [r#"{"window":"day","zone":"Mars/Olympus"}"#, r#"{"window":"day","zone":"UTC","moon":1}"#, "{}"]
        {
            assert!(account(strange).expect_err("strange").to_string().contains("newer llmx"), "{strange}");
        }
    }
}
