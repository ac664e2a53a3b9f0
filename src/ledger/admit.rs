//! Whether a call may be sent: every budget that covers it is asked in the transaction that books it.

use std::borrow::Cow;

use rusqlite::{Connection, Result, params};

use super::accounts::{self, Known, Met, Sums};
use super::error::LedgerError;
use super::owner::Owner;
use super::{Ledger, books, spill, terms};
use crate::domain::bill::Quote;
use crate::domain::budget::{
    Account, Alert, Budget, Claim, OnUnknownPrice, Origin, Purse, Refusal, Refused, Scope, Standing, Why,
};
use crate::domain::money::Usd;
use crate::domain::record::NewCall;
use crate::domain::window::{Span, Window, Zone};

/// Whether a call may be sent.
#[derive(Debug)]
pub enum Admission {
    Granted(Reservation),
    /// A budget refused it: nothing is booked as spend.
    Refused(Refusal),
}

/// A call that is booked at its ceiling and may now be sent.
///
/// Dropped unsettled, it stays set aside: the call may have been billed.
#[derive(Debug)]
#[must_use = "settle it, or the call stays open at its ceiling"]
pub struct Reservation {
    pub(super) seq: i64,
    pub(super) opened_ms: i64,
    /// For the lease's file, should the ledger be gone when the call is settled.
    pub(super) call: Box<NewCall>,
    pub(super) watched: Vec<Watched>,
    admitted: Vec<Standing>,
    passed: Vec<Refused>,
    warning: Option<String>,
    cap: Option<u64>,
}

/// A budget that covers a call, and its account.
#[derive(Debug)]
pub(super) struct Watched {
    met: Met,
    budget: Budget,
}

impl Reservation {
    /// The output cap that must be sent, in tokens, where a budget lowered it.
    #[must_use]
    pub fn cap(&self) -> Option<u64> {
        self.cap
    }

    /// The budgets that were asked and admitted it, as they stood before it.
    #[must_use]
    pub fn admitted(&self) -> &[Standing] {
        &self.admitted
    }

    /// The soft budgets that it does not fit, as they stood before it, each with what would have refused it.
    #[must_use]
    pub fn passed(&self) -> &[Refused] {
        &self.passed
    }

    /// What is booked as the most that the call can cost.
    #[must_use]
    pub fn ceiling(&self) -> Option<Usd> {
        self.call.ceiling
    }

    /// When the call counts as opened: not before the latest call in the books.
    #[must_use]
    pub fn opened_ms(&self) -> i64 {
        self.opened_ms
    }

    /// That the clock went backwards, where it did.
    #[must_use]
    pub fn warning(&self) -> Option<&str> {
        self.warning.as_deref()
    }
}

/// A clock that is behind by less is two processes that started together.
const CLOCK_SLACK_MS: i64 = 60_000;

impl Ledger {
    /// Books a call at the ceiling of its quote, if every budget that covers it admits it: those of the claim and those in
    /// the ledger. One transaction looks and books, so that no other call comes between. It may be sent only where this
    /// granted it. A refusal is written down, and is no spend.
    ///
    /// # Errors
    /// A [`LedgerError`]: nothing may be sent.
    pub fn admit(
        &mut self,
        call: &NewCall,
        claim: &Claim<'_>,
        now_ms: i64,
    ) -> std::result::Result<Admission, LedgerError> {
        if claim.quote.ceiling.is_some_and(|ceiling| ceiling.picos < 0) {
            return Err(LedgerError::Negative);
        }
        self.take_lease()?;
        let (owner, remote) = (self.owner.clone(), self.remote);
        let mut known = std::mem::take(&mut self.known);
        let admitted = self.write(|books| {
            known.refresh(books)?;
            admit(books, &known, call, claim, now_ms, &owner, remote)
        });
        self.known = known;
        admitted
    }
}

fn admit(
    books: &Connection,
    known: &Known,
    call: &NewCall,
    claim: &Claim<'_>,
    now_ms: i64,
    owner: &Owner,
    remote: bool,
) -> Result<Admission> {
    let opened_ms = accounts::last_opened(books)?.map_or(now_ms, |last| last.max(now_ms));
    let budgets: Vec<&Budget> =
        claim.budgets.iter().chain(known.budgets()).filter(|budget| budget.account.scope.covers(call)).collect();
    if let Some(hard) = budgets.iter().find(|budget| remote && budget.hard) {
        return Err(LedgerError::Unenforceable { budget: hard.name.clone() }.within_sqlite());
    }
    let mut accounts = Cow::Borrowed(known.accounts());
    let mut watched = Vec::with_capacity(budgets.len());
    let mut standings = Vec::with_capacity(budgets.len() + 1);
    for budget in budgets {
        let met = match accounts.iter().find(|met| met.account == budget.account) {
            Some(met) => met.clone(),
            None => {
                let met = accounts::meet(books, &budget.account)?;
                accounts.to_mut().push(met.clone());
                met
            }
        };
        standings.push(standing(books, std::slice::from_ref(&met), budget, opened_ms)?);
        watched.push(Watched { met, budget: budget.clone() });
    }
    standings.extend(claim.purse.map(purse));
    let (cap, ceiling) = match judged(&standings, claim) {
        Verdict::Fits => (None, claim.quote.ceiling),
        Verdict::Clipped { cap, ceiling } => (Some(cap), Some(ceiling)),
        Verdict::Refused(refusal) => {
            add_refusal(books, call, &refusal, opened_ms)?;
            return Ok(Admission::Refused(refusal));
        }
    };
    let mut booked = Cow::Borrowed(call);
    if ceiling != call.ceiling || cap.is_some() {
        let clipped_from = cap.and(claim.cap.or(claim.quote.output_cap)).or(call.clipped_from);
        booked = Cow::Owned(NewCall { ceiling, clipped_from, ..call.clone() });
    }
    let seq = books::add_call(books, &accounts, &booked, opened_ms, owner)?;
    let passed = passed(&standings, ceiling, claim.quote.priced);
    let behind = opened_ms.saturating_sub(now_ms);
    let warning = (behind > CLOCK_SLACK_MS).then(|| {
        format!("the clock is {} s behind the latest call in the ledger: that one's time is booked", behind / 1000)
    });
    let call = Box::new(spill::small(&booked));
    Ok(Admission::Granted(Reservation { seq, opened_ms, call, watched, admitted: standings, passed, warning, cap }))
}

/// What the books say of a budget in the period around `at_ms`.
pub(super) fn standing(db: &Connection, accounts: &[Met], budget: &Budget, at_ms: i64) -> Result<Standing> {
    let sums = accounts::sums(db, accounts, &budget.account, at_ms)?;
    Ok(sums.standing(budget, budget.account.window.span(at_ms, &budget.account.zone)))
}

/// The purse of a command as a hard budget.
fn purse(purse: Purse) -> Standing {
    let budget = Budget {
        name: "--max-cost".into(),
        limit: purse.limit,
        account: Account { scope: Scope::default(), window: Window::Total, zone: Zone::utc() },
        hard: true,
        warn: Vec::new(),
        on_unknown_price: OnUnknownPrice::Deny,
        allow_unbounded: false,
        clip: true,
        origin: Origin::Command,
    };
    let standing = Sums::default().standing(&budget, Span { from_ms: i64::MIN, to_ms: None });
    Standing { spent: purse.spent, held: purse.held, ..standing }
}

enum Verdict {
    Fits,
    Clipped { cap: u64, ceiling: Usd },
    Refused(Refusal),
}

/// The whole set at once: two calls that were asked budget by budget could each hold what the other needs.
fn judged(standings: &[Standing], claim: &Claim<'_>) -> Verdict {
    let hard = || standings.iter().filter(|standing| standing.budget.hard);
    let Quote { ceiling, priced, .. } = *claim.quote;
    let mut refusing: Vec<&Standing> = hard().filter(|standing| why(standing, ceiling, priced).is_some()).collect();
    if refusing.is_empty() {
        return Verdict::Fits;
    }
    let room = hard().map(left).min().unwrap_or_default();
    // A ceiling that is not known fits nowhere.
    let cap = claim.cap.or(claim.quote.output_cap);
    let fitting = cap.and_then(|cap| claim.quote.fitting(cap, clamped(room)));
    if let (Some((cap, ceiling)), Some(floor)) = (fitting, claim.floor)
        && cap >= floor.max(1)
        && refusing.iter().all(|standing| standing.budget.clip)
    {
        return Verdict::Clipped { cap, ceiling };
    }
    refusing.sort_by_key(|standing| left(standing));
    let by = refusing.into_iter().filter_map(|standing| {
        let why = why(standing, ceiling, priced)?;
        Some(Refused { standing: standing.clone(), why })
    });
    Verdict::Refused(Refusal {
        by: by.collect(),
        needed: claim.quote.ceiling,
        reasons: claim.quote.reasons.clone(),
        cap_that_fits: fitting.map(|(cap, _)| cap).filter(|cap| *cap >= 1),
    })
}

/// The soft budgets that a call of this ceiling does not fit. One that costs nothing passes none.
fn passed(standings: &[Standing], ceiling: Option<Usd>, priced: bool) -> Vec<Refused> {
    let soft = standings.iter().filter(|standing| !standing.budget.hard && ceiling != Some(Usd::default()));
    soft.filter_map(|standing| Some(Refused { why: why(standing, ceiling, priced)?, standing: standing.clone() }))
        .collect()
}

/// Why a budget does not admit a call of this ceiling; `None`: it does.
fn why(standing: &Standing, ceiling: Option<Usd>, priced: bool) -> Option<Why> {
    let budget = &standing.budget;
    let counts = match (ceiling, priced, budget.on_unknown_price) {
        (Some(ceiling), _, _) => ceiling,
        (None, true, _) if !budget.allow_unbounded => return Some(Why::Unbounded),
        (None, false, OnUnknownPrice::Deny) => return Some(Why::Unpriced),
        (None, _, OnUnknownPrice::Assume(amount)) => amount.max(Usd::default()),
        (None, _, OnUnknownPrice::Allow | OnUnknownPrice::Deny) => Usd::default(),
    };
    (i128::from(counts.picos) > left(standing)).then_some(Why::DoesNotFit)
}

/// What is left of a limit, below nothing where it is passed.
fn left(standing: &Standing) -> i128 {
    i128::from(standing.budget.limit.picos) - i128::from(standing.spent.picos) - i128::from(standing.held.picos)
}

fn clamped(picos: i128) -> Usd {
    Usd::from_picos(i64::try_from(picos).unwrap_or(if picos < 0 { i64::MIN } else { i64::MAX }))
}

fn add_refusal(books: &Connection, call: &NewCall, refusal: &Refusal, at_ms: i64) -> Result<()> {
    books
        .prepare_cached(
            "INSERT INTO refusal (id, at_ms, command, provider, model, region, project, user, team, session, tags,
                needed_picos, cap_that_fits, refused, reasons)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15)",
        )?
        .execute(params![
            call.id,
            at_ms,
            call.command,
            call.provider,
            call.model,
            call.region,
            call.project,
            call.user,
            call.team,
            call.session,
            books::json(&call.tags),
            refusal.needed.map(|needed| needed.picos),
            refusal.cap_that_fits.map(books::count),
            terms::refused(&refusal.by)?,
            books::json(&refusal.reasons),
        ])?;
    Ok(())
}

/// The budgets that reached a percent at which they warn, now that a call of theirs is settled: each percent once in a period.
pub(super) fn alerts(
    books: &Connection,
    watched: &[Watched],
    seq: i64,
    opened_ms: i64,
    finished_ms: i64,
) -> Result<Vec<Alert>> {
    let mut alerts = Vec::new();
    for Watched { met, budget } in watched.iter().filter(|watched| !watched.budget.warn.is_empty()) {
        // The call counts where it was opened; a rolling window has moved on since then.
        let at_ms = match budget.account.window {
            Window::Rolling { .. } => finished_ms,
            Window::Hour | Window::Day | Window::Week | Window::Month { .. } | Window::Total => opened_ms,
        };
        let standing = standing(books, std::slice::from_ref(met), budget, at_ms)?;
        // Of nothing everything is too much.
        let used = standing.percent().unwrap_or(if standing.used().picos > 0 { u64::MAX } else { 0 });
        let mut reached: Vec<u32> = budget.warn.iter().copied().filter(|percent| u64::from(*percent) <= used).collect();
        reached.sort_unstable();
        let Some(highest) = reached.last().copied() else {
            continue;
        };
        let (origin, account) = (budget.origin.to_string(), terms::key(&budget.account)?);
        let from_ms = accounts::period(budget.account.window, &budget.account.zone, at_ms);
        let told = books
            .prepare_cached(
                "SELECT 1 FROM alert WHERE origin = ?1 AND name = ?2 AND account = ?3 AND from_ms = ?4 AND percent >= ?5",
            )?
            .exists(params![origin, budget.name, account, from_ms, highest])?;
        if told {
            continue;
        }
        for percent in reached {
            books
                .prepare_cached(
                    "INSERT INTO alert (origin, name, account, from_ms, percent, at_ms, call)
                     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) ON CONFLICT DO NOTHING",
                )?
                .execute(params![origin, budget.name, account, from_ms, percent, finished_ms, seq])?;
        }
        alerts.push(Alert { percent: highest, standing });
    }
    Ok(alerts)
}

#[cfg(test)]
mod tests {
    use super::{Admission, Budget, Quote, purse};
    use crate::domain::budget::{Claim, Purse};
    use crate::domain::money::Usd;
    use crate::domain::record::NewCall;
    use crate::ledger::{Ledger, LedgerError, Patience};

    #[test]
    fn where_locks_cannot_be_trusted_no_hard_budget_is_enforced_and_it_is_said() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut ledger = Ledger::open(&folder.path().join("ledger.db"), Patience::default()).expect("opens");
        ledger.remote = true;
        let some = Usd::from_picos(10);
        let hard = purse(Purse { limit: some, spent: Usd::default(), held: Usd::default() }).budget;
        let quote = Quote { ceiling: Some(Usd::from_picos(1)), priced: true, ..Quote::default() };
        let mut admit = |id: &str, provider: &str, budget: Budget| {
            let call = NewCall { id: id.into(), provider: provider.into(), ..NewCall::default() };
            let claim = Claim { budgets: &[budget], quote: &quote, cap: None, floor: None, purse: None };
            ledger.admit(&call, &claim, 0)
        };
        let refused = admit("a", "openai", hard.clone());
        assert!(matches!(&refused, Err(LedgerError::Unenforceable { budget }) if *budget == hard.name), "{refused:?}");
        let soft = Budget { hard: false, ..hard.clone() };
        assert!(matches!(admit("b", "openai", soft), Ok(Admission::Granted(_))), "the ledger goes on");
        let mut other = hard;
        other.account.scope.provider = Some("bedrock".into());
        assert!(matches!(admit("c", "openai", other), Ok(Admission::Granted(_))), "it does not cover the call");
    }
}
