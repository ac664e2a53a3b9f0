//! A budget is a promise: a call that could break it is not sent, whatever happens around it.

use std::path::Path;

use llmx::domain::bill::Quote;
use llmx::domain::budget::{
    Account, Alert, Budget, Claim, Excess, OnUnknownPrice, Origin, Purse, Refusal, Scope, Standing, Why,
};
use llmx::domain::money::Usd;
use llmx::domain::record::{NewCall, Resolution, Settlement};
use llmx::domain::window::{Window, Zone};
use llmx::ledger::{Admission, Ledger, LedgerError, Reservation};
use proptest::prelude::{Just, ProptestConfig, Strategy, any, prop_assert, prop_assert_eq, prop_oneof, proptest};

use crate::child::{NOON, call, open};

const HOUR: i64 = 3_600_000;

pub fn usd(picos: i64) -> Usd {
    Usd::from_picos(picos)
}

/// A hard budget over every call.
pub fn budget(name: &str, limit: i64) -> Budget {
    Budget {
        name: name.into(),
        limit: usd(limit),
        account: Account { scope: Scope::default(), window: Window::Day, zone: Zone::utc() },
        hard: true,
        warn: Vec::new(),
        on_unknown_price: OnUnknownPrice::Deny,
        allow_unbounded: false,
        clip: false,
        origin: Origin::Ledger,
    }
}

fn over(window: &str, zone: &str, limit: i64) -> Budget {
    let mut budget = budget(&format!("{window} {zone}"), limit);
    budget.account.window = Window::parse(window).expect("a window");
    budget.account.zone = Zone::named(zone).expect("a zone");
    budget
}

fn quote(ceiling: i64) -> Quote {
    Quote { ceiling: Some(usd(ceiling)), priced: true, ..Quote::default() }
}

fn unpriced() -> Quote {
    Quote { reasons: vec!["no price is known".into()], ..Quote::default() }
}

fn unbounded() -> Quote {
    Quote { priced: true, ..Quote::default() }
}

fn claim<'a>(budgets: &'a [Budget], quote: &'a Quote) -> Claim<'a> {
    Claim { budgets, quote, cap: None, floor: None, purse: None }
}

/// A call that would cost at most so much.
pub fn ask(ledger: &mut Ledger, id: &str, budgets: &[Budget], ceiling: i64, now_ms: i64) -> Admission {
    ledger.admit(&call(id), &claim(budgets, &quote(ceiling)), now_ms).expect("the ledger answers")
}

fn granted(admission: Admission) -> Reservation {
    match admission {
        Admission::Granted(reservation) => reservation,
        Admission::Refused(refusal) => panic!("refused: {refusal:?}"),
    }
}

fn refused(admission: Admission) -> Refusal {
    match admission {
        Admission::Granted(reservation) => panic!("granted: {reservation:?}"),
        Admission::Refused(refusal) => refusal,
    }
}

pub fn cost(total: i64) -> Settlement {
    Settlement { basis: "reported".into(), total: Some(usd(total)), ..Settlement::default() }
}

/// A call that is made and settled.
fn spend(ledger: &mut Ledger, id: &str, budgets: &[Budget], picos: i64, now_ms: i64) -> Vec<Alert> {
    let reservation = granted(ask(ledger, id, budgets, picos, now_ms));
    ledger.settle(reservation, &cost(picos), now_ms).expect("settled")
}

fn standing(ledger: &mut Ledger, budget: &Budget, now_ms: i64) -> Standing {
    let [standing] = <[_; 1]>::try_from(ledger.standings(std::slice::from_ref(budget), now_ms).expect("read"))
        .expect("one for each budget");
    let sum = standing.spent.picos + standing.held.picos + standing.free().picos - standing.over().picos;
    assert_eq!(sum, budget.limit.picos, "limit = spent + held + free (- over): {standing:?}");
    standing
}

/// Spent and held.
fn used(ledger: &mut Ledger, budget: &Budget, now_ms: i64) -> (i64, i64) {
    let standing = standing(ledger, budget, now_ms);
    (standing.spent.picos, standing.held.picos)
}

pub fn well(ledger: &Ledger) {
    assert_eq!(ledger.check().expect("reads"), Vec::<String>::new());
}

fn at(text: &str) -> i64 {
    text.parse::<jiff::Timestamp>().expect("an instant").as_millisecond()
}

fn raw(path: &Path) -> rusqlite::Connection {
    rusqlite::Connection::open(path).expect("a connection of our own")
}

struct Books {
    folder: tempfile::TempDir,
    ledger: Ledger,
}

fn books() -> Books {
    let folder = tempfile::tempdir().expect("a folder");
    let ledger = open(&folder.path().join("ledger.db"));
    Books { folder, ledger }
}

impl Books {
    fn path(&self) -> std::path::PathBuf {
        self.folder.path().join("ledger.db")
    }
}

#[test]
fn a_call_that_fits_to_the_picodollar_is_sent_and_one_more_is_not() {
    let Books { mut ledger, folder: _kept } = books();
    let day = [budget("day", 10)];
    let first = granted(ask(&mut ledger, "a", &day, 6, NOON));
    assert_eq!((first.ceiling(), first.cap()), (Some(usd(6)), None));
    let refusal = refused(ask(&mut ledger, "b", &day, 5, NOON));
    assert_eq!((refusal.needed, refusal.by.len(), refusal.by[0].why), (Some(usd(5)), 1, Why::DoesNotFit));
    let told = &refusal.by[0].standing;
    assert_eq!((told.spent, told.held, told.free(), told.open), (usd(0), usd(6), usd(4), 1));
    let _open = granted(ask(&mut ledger, "c", &day, 4, NOON + 1));
    ledger.settle(first, &cost(1), NOON + 2).expect("settled");
    assert_eq!(used(&mut ledger, &day[0], NOON + 3), (1, 4));
    assert!(matches!(ledger.record("b"), Err(LedgerError::NoCall { .. })), "a refused call is no call");
    well(&ledger);
}

#[test]
fn a_refusal_is_written_down_whole_and_is_no_spend() {
    let Books { mut ledger, folder: _kept } = books();
    let mut both = [over("month@15", "Europe/Berlin", 7), over("7d", "UTC", 3)];
    both[0].origin = Origin::File("llmx.toml".into());
    let asked = NewCall { team: Some("eng".into()), prompt: None, ..call("b") };
    let needed = Quote { reasons: vec!["4,000 bytes at $3".into()], ..quote(9) };
    let refusal = match ledger.admit(&asked, &claim(&both, &needed), NOON).expect("answered") {
        Admission::Refused(refusal) => refusal,
        Admission::Granted(_) => panic!("neither has room"),
    };
    let names: Vec<&str> = refusal.by.iter().map(|by| by.standing.budget.name.as_str()).collect();
    assert_eq!(names, ["7d UTC", "month@15 Europe/Berlin"], "the tightest comes first");
    spend(&mut ledger, "a", &[], 5, NOON + 1);
    refused(ask(&mut ledger, "c", &both, 4, NOON + 2));
    let kept = ledger.last_refusals(5).expect("read");
    assert_eq!(kept.len(), 2);
    assert_eq!((kept[1].at_ms, &kept[1].refusal), (NOON, &refusal));
    let told = &kept[1].call;
    assert_eq!((told.id.as_str(), told.team.as_deref(), &told.tags), ("b", Some("eng"), &asked.tags));
    assert_eq!(kept[0].refusal.by[0].standing.over(), usd(2));
    assert_eq!(ledger.last_refusals(1).expect("read").len(), 1);
    assert_eq!(ledger.logs(&llmx::ledger::LogFilter { limit: 9, ..Default::default() }).expect("read").len(), 1);
    well(&ledger);
}

#[test]
fn a_budget_in_the_ledger_binds_every_process_until_it_is_removed() {
    let mut first = books();
    let mut second = open(&first.path());
    spend(&mut second, "a", &[], 4, NOON);
    first.ledger.set_budget(&Budget { origin: Origin::Command, ..budget("all", 5) }, NOON).expect("set");
    refused(ask(&mut second, "b", &[], 2, NOON));
    first.ledger.set_budget(&budget("all", 6), NOON).expect("raised");
    let _open = granted(ask(&mut second, "c", &[], 2, NOON));
    assert_eq!(second.budgets().expect("read"), [budget("all", 6)]);
    assert_eq!(used(&mut second, &budget("all", 6), NOON), (4, 2));
    assert!(second.remove_budget("all", NOON).expect("removed"));
    assert!(!second.remove_budget("all", NOON).expect("asked"), "it is gone");
    assert_eq!(first.ledger.budgets().expect("read"), []);
    spend(&mut first.ledger, "d", &[], 1_000, NOON);
    first.ledger.set_budget(&budget("all", 6), NOON).expect("set again");
    assert_eq!(used(&mut first.ledger, &budget("all", 6), NOON), (1_004, 2));
    assert!(matches!(second.set_budget(&budget("less", -1), NOON), Err(LedgerError::Negative)));
    well(&second);
}

#[test]
fn every_scope_counts_only_the_calls_that_it_covers_even_those_of_a_process_that_does_not_know_it() {
    let mut one = books();
    let mut other = open(&one.path());
    let mut scoped = budget("team", 10);
    scoped.account.scope = Scope { team: Some("eng".into()), model: Some("openai/*".into()), ..Scope::default() };
    let of = |id: &str, team: &str, provider: &str| NewCall {
        team: Some(team.into()),
        provider: provider.into(),
        ..call(id)
    };
    let make = |ledger: &mut Ledger, call: NewCall, budgets: &[Budget]| {
        let reservation = granted(ledger.admit(&call, &claim(budgets, &quote(3)), NOON).expect("answered"));
        ledger.settle(reservation, &cost(3), NOON).expect("settled");
    };
    make(&mut one.ledger, of("a", "eng", "openai"), std::slice::from_ref(&scoped));
    make(&mut other, of("b", "eng", "openai"), &[]);
    make(&mut other, of("c", "ops", "openai"), &[]);
    make(&mut other, of("d", "eng", "bedrock"), &[]);
    make(&mut one.ledger, of("e", "ops", "openai"), std::slice::from_ref(&scoped));
    let told = standing(&mut one.ledger, &scoped, NOON);
    assert_eq!((told.spent, told.calls), (usd(6), 2));
    let full = of("f", "eng", "openai");
    refused(one.ledger.admit(&full, &claim(std::slice::from_ref(&scoped), &quote(5)), NOON).expect("answered"));
    well(&one.ledger);
}

#[test]
fn a_call_belongs_to_the_day_in_which_it_was_opened() {
    let Books { mut ledger, folder: _kept } = books();
    let day = [budget("day", 10)];
    let midnight = at("2026-11-23T00:00:00Z");
    let reservation = granted(ask(&mut ledger, "late", &day, 9, midnight - 1));
    refused(ask(&mut ledger, "too much", &day, 2, midnight - 1));
    spend(&mut ledger, "next", &day, 10, midnight);
    ledger.settle(reservation, &cost(8), midnight + HOUR).expect("settled");
    assert_eq!(used(&mut ledger, &day[0], midnight + HOUR), (10, 0));
    let yesterday =
        raw(ledger.path())
            .query_row("SELECT at_most_picos FROM account_slot WHERE from_ms < ?1", [midnight], |row| row.get(0));
    assert_eq!(yesterday, Ok(8));
    well(&ledger);
}

#[test]
fn days_of_23_and_of_25_hours_end_when_the_zones_clock_says_midnight() {
    for (first, last, next) in [
        // Berlin, 2026: summer time begins on 29 March and ends on 25 October.
        ("2026-03-28T23:00:00Z", "2026-03-29T21:59:59.999Z", "2026-03-29T22:00:00Z"),
        ("2026-10-24T22:00:00Z", "2026-10-25T22:59:59.999Z", "2026-10-25T23:00:00Z"),
    ] {
        let Books { mut ledger, folder: _kept } = books();
        let day = [over("day", "Europe/Berlin", 10)];
        spend(&mut ledger, "eve", &day, 10, at(first) - 1);
        spend(&mut ledger, "first", &day, 6, at(first));
        spend(&mut ledger, "last", &day, 4, at(last));
        let refusal = refused(ask(&mut ledger, "more", &day, 1, at(last)));
        assert_eq!(refusal.by[0].standing.span.to_ms, Some(at(next)));
        spend(&mut ledger, "next", &day, 10, at(next));
        well(&ledger);
    }
}

#[test]
fn a_month_from_the_31st_begins_on_the_last_day_of_a_short_month() {
    let Books { mut ledger, folder: _kept } = books();
    let month = [over("month@31", "UTC", 10)];
    spend(&mut ledger, "a", &month, 10, at("2024-01-31T00:00:00Z"));
    refused(ask(&mut ledger, "b", &month, 1, at("2024-02-28T23:59:59Z")));
    spend(&mut ledger, "c", &month, 10, at("2024-02-29T00:00:00Z"));
    refused(ask(&mut ledger, "d", &month, 1, at("2024-03-30T23:59:59Z")));
    spend(&mut ledger, "e", &month, 10, at("2024-03-31T00:00:00Z"));
    well(&ledger);
}

#[test]
fn a_clock_that_goes_back_opens_no_earlier_period() {
    let Books { mut ledger, folder: _kept } = books();
    let hour = [over("hour", "UTC", 10)];
    spend(&mut ledger, "a", &hour, 10, NOON);
    let refusal = refused(ask(&mut ledger, "b", &hour, 1, NOON - 2 * HOUR));
    assert_eq!(refusal.by[0].standing.span.from_ms, NOON);
    // A budget that is met by a clock that is ahead, and refuses there, still knows everything when the clock is right again.
    let day = [budget("day", 15)];
    refused(ask(&mut ledger, "c", &day, 16, NOON + 48 * HOUR));
    let refusal = refused(ask(&mut ledger, "d", &day, 6, NOON));
    assert_eq!(refusal.by[0].standing.spent, usd(10));
    well(&ledger);
}

#[test]
fn a_rolling_window_is_exact_at_its_edge() {
    for window in ["90m", "12h", "30d"] {
        let Books { mut ledger, folder: _kept } = books();
        let budgets = [over(window, "UTC", 100)];
        let Window::Rolling { ms } = budgets[0].account.window else { panic!("{window} rolls") };
        // Calls all over the window, in no step with its parts.
        let opened: Vec<i64> = (0..40).map(|n| NOON + n * ms / 40 + n * 37).collect();
        for (n, opened_ms) in (0..).zip(&opened) {
            spend(&mut ledger, &format!("c{n}"), &budgets, 1, *opened_ms);
        }
        let latest = *opened.last().expect("forty");
        for edge in opened.iter().map(|opened_ms| opened_ms + ms).filter(|edge| *edge > latest) {
            for at_ms in [edge, edge + 1] {
                let within = opened.iter().filter(|opened_ms| **opened_ms >= at_ms - ms).count();
                let told = standing(&mut ledger, &budgets[0], at_ms);
                assert_eq!(told.calls, within as u64, "{window} at {at_ms}");
            }
        }
        // The first call leaves by the next millisecond, and takes its picodollar with it.
        let edge = opened[0] + ms;
        spend(&mut ledger, "fill", &budgets, 60, edge);
        refused(ask(&mut ledger, "one more", &budgets, 1, edge));
        let _open = granted(ask(&mut ledger, "then", &budgets, 1, edge + 1));
        well(&ledger);
    }
}

#[test]
fn one_that_costs_more_than_its_ceiling_is_booked_as_it_is_and_shown_as_over() {
    let Books { mut ledger, folder: _kept } = books();
    let day = [budget("day", 10)];
    let reservation = granted(ask(&mut ledger, "a", &day, 4, NOON));
    ledger.settle(reservation, &cost(13), NOON).expect("settled");
    let told = standing(&mut ledger, &day[0], NOON);
    assert_eq!((told.spent, told.free(), told.over(), told.percent()), (usd(13), usd(0), usd(3), Some(130)));
    let excess = Excess { id: "a".into(), ceiling: usd(4), counts: usd(13), corrected: false };
    assert_eq!(ledger.excesses_of(&told).expect("read"), [excess]);
    refused(ask(&mut ledger, "b", &day, 0, NOON));
    assert_eq!(ledger.record("a").expect("found").total(), Some(usd(13)));
    well(&ledger);
}

#[test]
fn a_limit_that_is_lowered_below_what_was_spent_is_over_and_refuses() {
    let Books { mut ledger, folder: _kept } = books();
    ledger.set_budget(&budget("day", 10), NOON).expect("set");
    spend(&mut ledger, "a", &[], 7, NOON);
    ledger.set_budget(&budget("day", 5), NOON).expect("lowered");
    assert_eq!(standing(&mut ledger, &budget("day", 5), NOON).over(), usd(2));
    let asked = Quote { output_cap: Some(100), output_token: Some(usd(1)), ..quote(100) };
    let admission = ledger.admit(&call("b"), &claim(&[], &asked), NOON).expect("answered");
    assert_eq!(refused(admission).cap_that_fits, None, "nothing fits below nothing");
    let _open = granted(ask(&mut ledger, "tomorrow", &[], 5, NOON + 24 * HOUR));
    well(&ledger);
}

#[test]
fn a_limit_of_nothing_admits_only_what_costs_nothing() {
    let Books { mut ledger, folder: _kept } = books();
    let nothing = [Budget { warn: vec![80], ..budget("none", 0) }];
    refused(ask(&mut ledger, "a", &nothing, 1, NOON));
    assert_eq!(spend(&mut ledger, "free", &nothing, 0, NOON), []);
    assert_eq!(standing(&mut ledger, &nothing[0], NOON).percent(), None);
    let soft = [Budget { hard: false, ..nothing[0].clone() }];
    assert_eq!(spend(&mut ledger, "b", &soft, 1, NOON)[0].percent, 80);
}

#[test]
fn a_call_without_a_price_is_refused_let_through_or_counted_as_the_budget_says() {
    let Books { mut ledger, folder: _kept } = books();
    let with = |on_unknown_price| [Budget { on_unknown_price, ..budget("day", 10) }];
    let unknown = unpriced();
    let ask = |ledger: &mut Ledger, id: &str, budgets: &[Budget]| {
        ledger.admit(&call(id), &claim(budgets, &unknown), NOON).expect("answered")
    };
    let refusal = refused(ask(&mut ledger, "a", &with(OnUnknownPrice::Deny)));
    assert_eq!((refusal.by[0].why, refusal.needed, refusal.reasons.len()), (Why::Unpriced, None, 1));
    let allowed = granted(ask(&mut ledger, "b", &with(OnUnknownPrice::Allow)));
    assert_eq!(allowed.ceiling(), None);
    let nothing = Settlement { basis: "unpriced".into(), ..Settlement::default() };
    ledger.settle(allowed, &nothing, NOON).expect("settled");
    let told = standing(&mut ledger, &with(OnUnknownPrice::Allow)[0], NOON);
    assert_eq!((told.spent, told.held, told.unknown), (usd(0), usd(0), 1));
    // The one above counts four as well.
    let assumed = with(OnUnknownPrice::Assume(usd(4)));
    let open = granted(ask(&mut ledger, "c", &assumed));
    assert_eq!(used(&mut ledger, &assumed[0], NOON), (4, 4));
    assert_eq!(refused(ask(&mut ledger, "d", &assumed)).by[0].why, Why::DoesNotFit);
    // An estimate without a bound counts what is known, and is unknown still.
    let estimate = Settlement { basis: "estimated".into(), total: Some(usd(1)), ..Settlement::default() };
    ledger.settle(open, &estimate, NOON).expect("settled");
    assert_eq!(used(&mut ledger, &assumed[0], NOON), (9, 0));
    assert_eq!(standing(&mut ledger, &assumed[0], NOON).unknown, 2);
    // Proof makes both known.
    ledger.resolve("b", Resolution::Nothing, "the bill", NOON).expect("corrected");
    ledger.resolve("c", Resolution::Amount(usd(2)), "the bill", NOON).expect("corrected");
    assert_eq!(used(&mut ledger, &assumed[0], NOON), (2, 0));
    // A soft budget sends it in any case.
    let _open = granted(ask(&mut ledger, "e", &[Budget { hard: false, ..budget("soft", 0) }]));
    well(&ledger);
}

#[test]
fn a_settlement_that_does_not_say_its_amount_leaves_the_call_at_its_ceiling() {
    let Books { mut ledger, folder: _kept } = books();
    let day = [budget("day", 10)];
    let reservation = granted(ask(&mut ledger, "a", &day, 6, NOON));
    ledger
        .settle(reservation, &Settlement { basis: "unpriced".into(), ..Settlement::default() }, NOON)
        .expect("settled");
    assert_eq!(used(&mut ledger, &day[0], NOON), (6, 0));
    refused(ask(&mut ledger, "b", &day, 5, NOON));
    well(&ledger);
}

#[test]
fn a_call_that_nobody_can_bound_is_refused_unless_the_budget_allows_it() {
    let Books { mut ledger, folder: _kept } = books();
    let endless = unbounded();
    let day = [budget("day", 10)];
    let refusal = refused(ledger.admit(&call("a"), &claim(&day, &endless), NOON).expect("answered"));
    assert_eq!(refusal.by[0].why, Why::Unbounded);
    let allowing = [Budget { allow_unbounded: true, ..budget("day", 10) }];
    let reservation = granted(ledger.admit(&call("b"), &claim(&allowing, &endless), NOON).expect("answered"));
    let told = standing(&mut ledger, &allowing[0], NOON);
    assert_eq!((told.used(), told.open, told.unknown), (usd(0), 1, 1));
    ledger.settle(reservation, &cost(12), NOON).expect("settled");
    assert_eq!(standing(&mut ledger, &allowing[0], NOON).over(), usd(2));
    well(&ledger);
}

#[test]
fn hard_budgets_count_the_most_and_soft_ones_the_estimate() {
    let Books { mut ledger, folder: _kept } = books();
    let (hard, soft) = (budget("hard", 20), Budget { hard: false, ..budget("soft", 20) });
    let reservation = granted(ask(&mut ledger, "cut", &[hard.clone(), soft.clone()], 9, NOON));
    let estimate =
        Settlement { basis: "estimated".into(), total: Some(usd(3)), at_most: Some(usd(9)), ..Settlement::default() };
    ledger.settle(reservation, &estimate, NOON).expect("settled");
    assert_eq!((used(&mut ledger, &hard, NOON), used(&mut ledger, &soft, NOON)), ((9, 0), (3, 0)));
    ledger.resolve("cut", Resolution::Amount(usd(4)), "the bill", NOON).expect("corrected");
    assert_eq!((used(&mut ledger, &hard, NOON), used(&mut ledger, &soft, NOON)), ((4, 0), (4, 0)));
    well(&ledger);
}

#[test]
fn a_soft_budget_that_is_not_kept_says_what_would_have_refused_the_call() {
    let Books { mut ledger, folder: _kept } = books();
    let soft = Budget { hard: false, ..budget("soft", 10) };
    let lenient = Budget {
        allow_unbounded: true,
        on_unknown_price: OnUnknownPrice::Allow,
        ..Budget { hard: false, ..budget("lenient", 10) }
    };
    let both = [soft, lenient, budget("hard", 1_000)];
    let passed = |ledger: &mut Ledger, id: &str, quote: &Quote| -> Vec<(String, Why, i64)> {
        let budgets = if quote.ceiling.is_some() { &both[..] } else { &both[..2] };
        let reservation = granted(ledger.admit(&call(id), &claim(budgets, quote), NOON).expect("answered"));
        let of = |refused: &llmx::domain::budget::Refused| {
            (refused.standing.budget.name.clone(), refused.why, refused.standing.used().picos)
        };
        reservation.passed().iter().map(of).collect()
    };
    assert_eq!(passed(&mut ledger, "a", &quote(10)), []);
    let not_again = [("soft".to_owned(), Why::DoesNotFit, 10), ("lenient".to_owned(), Why::DoesNotFit, 10)];
    assert_eq!(passed(&mut ledger, "b", &quote(1)), not_again);
    assert_eq!(passed(&mut ledger, "c", &quote(0)), []);
    let unknown = |why: Why| [("soft".to_owned(), why, 11), ("lenient".to_owned(), Why::DoesNotFit, 11)];
    assert_eq!(passed(&mut ledger, "d", &unpriced()), unknown(Why::Unpriced));
    assert_eq!(passed(&mut ledger, "e", &unbounded()), unknown(Why::Unbounded));
}

#[test]
fn a_soft_budget_refuses_nothing() {
    let Books { mut ledger, folder: _kept } = books();
    let soft = [Budget { hard: false, ..budget("soft", 5) }];
    spend(&mut ledger, "a", &soft, 50, NOON);
    assert_eq!(standing(&mut ledger, &soft[0], NOON).over(), usd(45));
}

/// Ten for the prompt, and one for each token of the answer.
fn long(cap: u64) -> Quote {
    let ceiling = 10 + i64::try_from(cap).expect("small");
    Quote { output_cap: Some(cap), output_token: Some(usd(1)), ..quote(ceiling) }
}

#[test]
fn an_answer_is_cut_to_what_is_left_down_to_the_floor_and_no_further() {
    let Books { mut ledger, folder: _kept } = books();
    let clips = |name: &str, limit| Budget { clip: true, ..budget(name, limit) };
    let both = [clips("wide", 80), clips("tight", 60)];
    let asked = long(100);
    let wants = |floor| Claim { cap: Some(100), floor: Some(floor), ..claim(&both, &asked) };
    let refusal = refused(ledger.admit(&call("a"), &wants(60), NOON).expect("answered"));
    let most = refusal.cap_that_fits.expect("a shorter one fits");
    assert!((49..=50).contains(&most), "{most}");
    assert_eq!(refusal.by.iter().map(|by| by.standing.budget.name.as_str()).collect::<Vec<_>>(), ["tight", "wide"]);
    // Without a floor it may not be cut.
    refused(ledger.admit(&call("b"), &Claim { floor: None, ..wants(1) }, NOON).expect("answered"));
    let reservation = granted(ledger.admit(&call("c"), &wants(most), NOON).expect("answered"));
    assert_eq!(reservation.cap(), Some(most));
    let booked = reservation.ceiling().expect("it has one");
    assert!(booked <= usd(60) && booked >= usd(10 + i64::try_from(most).expect("small")), "{booked:?}");
    let told = ledger.record("c").expect("found").call;
    assert_eq!((told.ceiling, told.clipped_from), (Some(booked), Some(100)));
    ledger.settle(reservation, &cost(50), NOON).expect("settled");
    // A request without a cap of its own is cut from the model's own.
    let open = Claim { cap: None, ..wants(1) };
    let near = [clips("wide", 80)];
    let reservation = granted(ledger.admit(&call("d"), &Claim { budgets: &near, ..open }, NOON).expect("answered"));
    assert!(reservation.cap().is_some_and(|cap| (19..=20).contains(&cap)), "{reservation:?}");
    // Every budget that it does not fit must allow it.
    let strict = [clips("wide", 200), Budget { clip: false, ..budget("strict", 150) }];
    let refusal = refused(ledger.admit(&call("e"), &Claim { budgets: &strict, ..wants(1) }, NOON).expect("answered"));
    assert_eq!(refusal.by[0].standing.budget.name, "strict");
    assert!(refusal.cap_that_fits.is_some());
    well(&ledger);
}

#[test]
fn the_purse_of_a_command_is_a_budget_like_any_other() {
    let Books { mut ledger, folder: _kept } = books();
    let asked = long(100);
    let purse = Purse { limit: usd(100), spent: usd(30), held: usd(20) };
    let within =
        |claim: Claim<'_>, ledger: &mut Ledger, id: &str| ledger.admit(&call(id), &claim, NOON).expect("answered");
    let wants = Claim { purse: Some(purse), ..claim(&[], &asked) };
    let refusal = refused(within(wants, &mut ledger, "a"));
    let told = &refusal.by[0].standing;
    assert_eq!((told.budget.name.as_str(), &told.budget.origin), ("--max-cost", &Origin::Command));
    assert_eq!((told.free(), refusal.by.len()), (usd(50), 1));
    let reservation = granted(within(Claim { floor: Some(8), ..wants }, &mut ledger, "b"));
    assert!(reservation.ceiling().is_some_and(|ceiling| ceiling <= usd(50)));
    let unknown = unpriced();
    assert_eq!(refused(within(Claim { quote: &unknown, ..wants }, &mut ledger, "c")).by[0].why, Why::Unpriced);
    drop(reservation);
}

#[test]
fn amounts_too_large_to_be_added_up_are_refused_and_never_fall_below_zero() {
    let Books { mut ledger, folder: _kept } = books();
    let huge = [budget("huge", i64::MAX)];
    let _open = granted(ask(&mut ledger, "a", &huge, i64::MAX - 1, NOON));
    let refusal = refused(ask(&mut ledger, "b", &huge, i64::MAX, NOON));
    assert_eq!(refusal.by[0].standing.free(), usd(1));
    // Where no budget stands in the way, the sums of the account do.
    let result = ledger.admit(&call("c"), &claim(&[], &quote(i64::MAX)), NOON);
    assert!(matches!(result, Err(LedgerError::TooLarge)), "{result:?}");
    let result = ledger.admit(&call("d"), &claim(&[], &quote(-1)), NOON);
    assert!(matches!(result, Err(LedgerError::Negative)), "{result:?}");
    let _last = granted(ask(&mut ledger, "e", &huge, 1, NOON));
    assert_eq!(standing(&mut ledger, &huge[0], NOON).free(), usd(0));
    assert_eq!(ledger.open_calls().expect("read").len(), 2);
    well(&ledger);
}

#[test]
fn sums_beyond_the_largest_number_stay_there_and_find_the_truth_again() {
    let Books { mut ledger, folder: _kept } = books();
    let soft = Budget { hard: false, ..budget("soft", 10) };
    let rolling = Budget { hard: false, ..over("7d", "UTC", 10) };
    let both = [soft.clone(), rolling.clone()];
    for id in ["a", "b", "c"] {
        let reservation = granted(ask(&mut ledger, id, &both, 1, NOON));
        ledger.settle(reservation, &cost(i64::MAX - 5), NOON).expect("booked, and not kept beside the ledger");
        well(&ledger);
    }
    let spent = |ledger: &mut Ledger, budget: &Budget| {
        let [standing] = <[_; 1]>::try_from(ledger.standings(std::slice::from_ref(budget), NOON).expect("read"))
            .expect("one for each budget");
        standing.spent.picos
    };
    for budget in &both {
        assert_eq!(spent(&mut ledger, budget), i64::MAX);
    }
    assert_eq!(refused(ask(&mut ledger, "d", &[budget("day", i64::MAX)], 1, NOON)).by[0].standing.free(), usd(0));
    for (id, left) in [("a", i64::MAX), ("b", i64::MAX - 5 + 4), ("c", 6)] {
        ledger.resolve(id, Resolution::Amount(usd(2)), "the bill", NOON).expect("corrected");
        well(&ledger);
        for budget in &both {
            assert_eq!(spent(&mut ledger, budget), left, "{id}");
        }
    }
    let before = ledger.standings(&both, NOON).expect("read");
    ledger.rebuild().expect("made anew");
    assert_eq!(ledger.standings(&both, NOON).expect("read"), before);
}

#[test]
fn each_percent_is_said_once_in_a_period_and_only_the_highest() {
    let Books { mut ledger, folder: _kept } = books();
    let day = [Budget { warn: vec![100, 50, 80], ..budget("day", 100) }];
    const NONE: [u32; 0] = [];
    let percents = |alerts: &[Alert]| alerts.iter().map(|alert| alert.percent).collect::<Vec<_>>();
    // A large ceiling is no alarm: only what it became.
    let reservation = granted(ask(&mut ledger, "a", &day, 90, NOON));
    assert_eq!(percents(&ledger.settle(reservation, &cost(10), NOON).expect("settled")), NONE);
    let alerts = spend(&mut ledger, "b", &day, 75, NOON);
    assert_eq!((percents(&alerts), alerts[0].standing.spent), (vec![80], usd(85)));
    assert_eq!(percents(&spend(&mut ledger, "c", &day, 1, NOON)), NONE, "50 % is not said afterwards");
    ledger.resolve("b", Resolution::Nothing, "a refund", NOON).expect("corrected");
    assert_eq!(percents(&spend(&mut ledger, "d", &day, 75, NOON)), NONE, "nor 80 % again");
    assert_eq!(percents(&spend(&mut ledger, "e", &day, 14, NOON)), [100]);
    assert_eq!(percents(&spend(&mut ledger, "f", &day, 55, NOON + 24 * HOUR)), [50], "a new day");
    let other = [Budget { origin: Origin::File("x".into()), ..day[0].clone() }];
    assert_eq!(percents(&spend(&mut ledger, "g", &other, 1, NOON + 24 * HOUR)), [50], "another budget");
    well(&ledger);
}

#[test]
fn two_budgets_asked_in_both_orders_never_wait_for_each_other() {
    let first = books();
    let path = first.path();
    let pair = [budget("a", 1_000_000), over("month", "Europe/Berlin", 1_000_000)];
    std::thread::scope(|scope| {
        for n in 0..4_usize {
            let (path, mut order) = (&path, pair.clone());
            if n % 2 == 1 {
                order.reverse();
            }
            scope.spawn(move || {
                let mut ledger = open(path);
                for call in 0..25 {
                    spend(&mut ledger, &format!("{n}.{call}"), &order, 7, NOON);
                }
            });
        }
    });
    let mut ledger = open(&path);
    assert_eq!((used(&mut ledger, &pair[0], NOON), used(&mut ledger, &pair[1], NOON)), ((700, 0), (700, 0)));
    well(&ledger);
}

#[test]
fn sixty_four_threads_with_a_ledger_each_stay_within_the_limit() {
    let first = books();
    let path = first.path();
    let limit = [budget("day", 1_000)];
    let sent: usize = std::thread::scope(|scope| {
        let callers: Vec<_> = (0..64)
            .map(|n| {
                let (path, limit) = (&path, &limit);
                scope.spawn(move || {
                    let mut ledger = open(path);
                    let mut sent = 0;
                    for round in 0..2 {
                        if let Admission::Granted(reservation) =
                            ask(&mut ledger, &format!("{n}.{round}"), limit, 100, NOON)
                        {
                            sent += 1;
                            ledger.settle(reservation, &cost(100), NOON).expect("settled");
                        }
                    }
                    sent
                })
            })
            .collect();
        callers.into_iter().map(|caller| caller.join().expect("it ends")).sum()
    });
    assert_eq!(sent, 10, "as many as fit, and all of them");
    let mut ledger = open(&path);
    assert_eq!(used(&mut ledger, &limit[0], NOON), (1_000, 0));
    well(&ledger);
}

#[test]
fn the_open_calls_that_are_held_in_a_budget_are_told() {
    let Books { mut ledger, folder: _kept } = books();
    let mut mine = over("hour", "UTC", 10);
    mine.account.scope.user = Some("ann".into());
    let of = |id: &str, user: &str| NewCall { user: Some(user.into()), ..call(id) };
    let asked = quote(1);
    for (id, user, at_ms) in [("old", "ann", NOON - 1), ("a", "ann", NOON), ("b", "bob", NOON), ("c", "ann", NOON + 1)]
    {
        let _open = granted(ledger.admit(&of(id, user), &claim(&[], &asked), at_ms).expect("answered"));
    }
    let told = standing(&mut ledger, &mine, NOON + 1);
    let held: Vec<String> = ledger.open_of(&told).expect("read").into_iter().map(|call| call.id).collect();
    assert_eq!((held, told.held), (vec!["a".to_owned(), "c".to_owned()], usd(2)));
}

/// A ledger as schema 1 left it, with a settled, a corrected and an open call.
fn of_schema_1(path: &Path) {
    let old = raw(path);
    old.execute_batch(include_str!("../../src/ledger/schema.sql")).expect("made");
    old.execute_batch(&format!(
        "PRAGMA application_id = 1819045240; PRAGMA user_version = 1;
         INSERT INTO call (id, opened_ms, command, provider, model, project, tags, parameters, ceiling_picos, host, boot,
            pid_space, pid, process_start)
         VALUES ('settled', {NOON}, 'chat', 'openai', 'm', 'pay', '{{}}', '{{}}', 50, 'h', 'b', 's', 1, 'x'),
                ('corrected', {NOON}, 'chat', 'openai', 'm', 'pay', '{{}}', '{{}}', 50, 'h', 'b', 's', 1, 'x'),
                ('open', {NOON}, 'chat', 'openai', 'm', 'pay', '{{}}', '{{}}', 50, 'h', 'b', 's', 1, 'x');
         INSERT INTO settlement (call, finished_ms, cost_basis, total_picos, notes)
         VALUES (1, {NOON}, 'reported', 7, '[]'), (2, {NOON}, 'reported', 9, '[]');
         INSERT INTO correction VALUES (2, 1, {NOON}, 'reported', 4, 'the bill');"
    ))
    .expect("filled");
}

#[test]
fn a_ledger_of_schema_1_keeps_everything_and_its_calls_count() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("ledger.db");
    of_schema_1(&path);
    let mut ledger = open(&path);
    ledger.rebuild().expect("the days are made");
    well(&ledger);
    let told = ledger.record("settled").expect("found");
    assert_eq!((told.total(), told.call.team, told.call.clipped_from), (Some(usd(7)), None, None));
    let mut pay = budget("pay", 100);
    pay.account.scope.project = Some("pay".into());
    assert_eq!(used(&mut ledger, &pay, NOON), (11, 50), "before any call has met it");
    refused(ask(&mut ledger, "a", std::slice::from_ref(&pay), 40, NOON));
    let _open = granted(ask(&mut ledger, "b", std::slice::from_ref(&pay), 39, NOON));
    assert_eq!(used(&mut ledger, &pay, NOON), (11, 89));
    well(&ledger);
    assert!(path.with_extension("v1.bak").exists());
    let mut new = call("new");
    (new.team, new.clipped_from) = (Some("eng".into()), Some(4_096));
    let reservation = granted(ledger.admit(&new, &claim(&[], &quote(5_000_000)), NOON).expect("answered"));
    assert_eq!(ledger.record("new").expect("found").call, new);
    drop(reservation);
}

#[test]
fn sums_that_were_spoilt_are_found_and_made_anew() {
    let Books { mut ledger, folder: _kept } = books();
    let day = [budget("day", 10)];
    spend(&mut ledger, "a", &day, 4, NOON);
    raw(ledger.path()).execute_batch("UPDATE account_slot SET at_most_picos = 0").expect("spoilt");
    assert!(ledger.check().expect("reads").join("\n").contains("budgets are judged by"));
    ledger.rebuild().expect("made anew");
    well(&ledger);
    assert_eq!(used(&mut ledger, &day[0], NOON), (4, 0));
    for change in ["UPDATE budget SET removed = 1", "DELETE FROM refusal", "UPDATE alert SET percent = 1"] {
        ledger.set_budget(&Budget { warn: vec![10], ..budget("all", 5) }, NOON).expect("set");
        refused(ask(&mut ledger, "no", &[], 50, NOON));
        let soft = [Budget { hard: false, warn: vec![10], ..budget("soft", 1) }];
        ledger.remove_budget("all", NOON).expect("removed");
        spend(&mut ledger, change, &soft, 1, NOON);
        raw(ledger.path()).execute_batch(change).expect_err(change);
    }
}

#[derive(Debug, Clone)]
enum Step {
    Admit { project: bool, ceiling: i64, later_ms: i64, which: usize },
    Settle { which: usize, part: i64 },
    Estimate { which: usize, part: i64 },
    Correct { which: usize, part: i64 },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => (any::<bool>(), 0..60_i64, prop_oneof![Just(0), 0..20 * HOUR], 0..2_usize).prop_map(
            |(project, ceiling, later_ms, which)| Step::Admit { project, ceiling, later_ms, which }
        ),
        2 => (0..50_usize, 0..=100_i64).prop_map(|(which, part)| Step::Settle { which, part }),
        1 => (0..50_usize, 0..=100_i64).prop_map(|(which, part)| Step::Estimate { which, part }),
        1 => (0..50_usize, 0..=100_i64).prop_map(|(which, part)| Step::Correct { which, part }),
    ];
    proptest::collection::vec(step, 1..40)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, failure_persistence: None, ..ProptestConfig::default() })]

    /// Two writers, budgets of every kind: the truth of every period that a budget covers stays within it, sums are those of
    /// the sources, and nothing falls below zero.
    #[test]
    fn in_any_order_of_events_the_truth_stays_within_every_hard_limit(
        steps in steps(), limits in proptest::array::uniform3(0..200_i64),
    ) {
        let first = books();
        let mut ledgers = [open(&first.path()), first.ledger];
        let mut budgets = vec![
            budget("day", limits[0]), over("month@31", "Europe/Berlin", limits[1]), over("7d", "UTC", limits[2]),
        ];
        budgets[1].account.scope.project = Some("a".into());
        // (id, opened, in project a, ceiling, truth)
        let mut made: Vec<(String, i64, bool, i64, i64)> = Vec::new();
        let mut open: Vec<(usize, Reservation)> = Vec::new();
        let mut now_ms = NOON;
        for (n, step) in steps.into_iter().enumerate() {
            match step {
                Step::Admit { project, ceiling, later_ms, which } => {
                    now_ms += later_ms;
                    let mut asked = call(&format!("c{n}"));
                    asked.project = project.then(|| "a".into());
                    let asked_for = quote(ceiling);
                    let admission = ledgers[which].admit(&asked, &claim(&budgets, &asked_for), now_ms).expect("answered");
                    if let Admission::Granted(reservation) = admission {
                        open.push((made.len(), reservation));
                        made.push((asked.id, now_ms, project, ceiling, ceiling));
                    }
                }
                Step::Settle { which, part } if !open.is_empty() => {
                    let (at, reservation) = open.swap_remove(which % open.len());
                    made[at].4 = made[at].3 * part / 100;
                    ledgers[which % 2].settle(reservation, &cost(made[at].4), now_ms).expect("settled");
                }
                Step::Estimate { which, part } if !open.is_empty() => {
                    let (at, reservation) = open.swap_remove(which % open.len());
                    let settlement = Settlement {
                        basis: "estimated".into(), total: Some(usd(made[at].3 * part / 100)), at_most: Some(usd(made[at].3)),
                        ..Settlement::default()
                    };
                    ledgers[which % 2].settle(reservation, &settlement, now_ms).expect("settled");
                }
                Step::Correct { which, part } => {
                    let closed: Vec<usize> =
                        (0..made.len()).filter(|at| open.iter().all(|(other, _)| other != at)).collect();
                    if let Some(&at) = closed.get(which % closed.len().max(1)) {
                        made[at].4 = made[at].4 * part / 100;
                        ledgers[which % 2]
                            .resolve(&made[at].0, Resolution::Amount(usd(made[at].4)), "the bill", now_ms)
                            .expect("corrected");
                    }
                }
                Step::Settle { .. } | Step::Estimate { .. } => {}
            }
            for budget in &budgets {
                let told = standing(&mut ledgers[n % 2], budget, now_ms);
                let truth: i64 = made
                    .iter()
                    .filter(|(_, opened_ms, project, ..)| {
                        *opened_ms >= told.span.from_ms && (budget.account.scope.project.is_none() || *project)
                    })
                    .map(|(.., truth)| truth)
                    .sum();
                prop_assert!(truth <= told.used().picos && told.used() <= budget.limit, "{truth} {told:?}");
            }
        }
        prop_assert_eq!(ledgers[0].check().expect("reads"), Vec::<String>::new());
        let before: Vec<Standing> = ledgers[0].standings(&budgets, now_ms).expect("read");
        ledgers[1].rebuild().expect("made anew");
        prop_assert_eq!(ledgers[0].standings(&budgets, now_ms).expect("read"), before);
    }
}
