//! Random ledgers, one thing changed: the cause that is named is the one that was made.

use proptest::prelude::{Just, ProptestConfig, Strategy, TestCaseError, any, prop_assert_eq, prop_oneof, proptest};

use super::{Carrier, Cause, Change, Side, Split, split};
use crate::domain::money::Usd;
use crate::domain::record::{NewCall, Record, RecordLine, Settled, Settlement};

/// A call as a person would write it down.
#[derive(Debug, Clone)]
struct Made {
    model: usize,
    project: usize,
    fresh: u64,
    read: u64,
    written: u64,
    answer: u64,
    thinking: u64,
    searches: u64,
    /// The provider's charge beyond the table.
    beyond: i64,
    failed: bool,
    unpriced: bool,
    /// A failed call that was billed.
    billed: bool,
    retry_of: Option<usize>,
}

/// Cents per million tokens: fresh, read, written, answered; and per thousand searches.
type Rates = [[i64; 5]; 4];

const RATES: Rates =
    [[300, 30, 375, 1_500, 1_000], [1_500, 150, 1_875, 7_500, 1_000], [25, 3, 25, 200, 500], [110, 110, 110, 440, 700]];

fn record(id: usize, made: &Made, rates: &Rates) -> Record {
    let rate = rates[made.model];
    let counted = [
        ("input", made.fresh, 1_000_000, rate[0]),
        ("cache_read", made.read, 1_000_000, rate[1]),
        ("cache_write", made.written, 1_000_000, rate[2]),
        ("output", made.answer + made.thinking, 1_000_000, rate[3]),
        ("web_search", made.searches, 1_000, rate[4]),
    ];
    let lines: Vec<RecordLine> = counted
        .into_iter()
        .filter(|(_, quantity, ..)| *quantity > 0)
        .map(|(meter, quantity, per, cents)| {
            let picos = i64::try_from(quantity).expect("small") * cents * (10_000_000_000 / i64::from(per));
            let amount = (!made.unpriced).then(|| Usd::from_picos(picos));
            RecordLine { meter: meter.into(), quantity, per, amount, ..RecordLine::default() }
        })
        .collect();
    let free = made.failed && !made.billed;
    let sum: i64 = lines.iter().filter_map(|line| line.amount).map(|amount| amount.picos).sum();
    let total = (!made.unpriced || free).then(|| if free { 0 } else { sum + made.beyond });
    let settlement = Settlement {
        basis: if free { "nothing" } else { "table" }.into(),
        total: total.map(Usd::from_picos),
        reasoning: Some(made.thinking),
        error_class: made.failed.then(|| "overloaded".into()),
        lines: if free { Vec::new() } else { lines },
        ..Settlement::default()
    };
    let call = NewCall {
        id: id.to_string(),
        provider: "p".into(),
        model: ["one", "two", "three", "four"][made.model].into(),
        project: made.project.checked_sub(1).map(|project| format!("project {project}")),
        tags: [("env".to_owned(), format!("{}", id % 2))].into(),
        retry_of: made.retry_of.map(|id| id.to_string()),
        ..NewCall::default()
    };
    let settled = Some(Settled { finished_ms: 1, settlement });
    Record { opened_ms: 0, call, settled, corrections: Vec::new(), said: None, source: None, requests: 1 }
}

fn side(calls: &[Made], rates: &Rates) -> Side {
    let mut side = Side::default();
    for (id, made) in calls.iter().enumerate() {
        side.add(&record(id, made, rates));
    }
    side
}

/// The split, which must add up in every way in which it is told.
fn whole(before: &Side, now: &Side) -> Split {
    let split = split(before, now);
    let difference = now.sums.picos - before.sums.picos;
    assert_eq!(split.parts.values().sum::<i128>(), difference);
    assert_eq!(split.projects.iter().flat_map(|(_, parts)| parts.values()).sum::<i128>(), difference);
    for (carrier, changes) in &split.carriers {
        assert_eq!(changes.iter().map(Change::picos).sum::<i128>(), difference, "{carrier:?}");
        let calls = |of: fn(&Change) -> u64| changes.iter().map(of).sum::<u64>();
        assert_eq!(calls(|change| change.now.calls), now.sums.calls, "{carrier:?}");
        assert_eq!(calls(|change| change.before.calls), before.sums.calls, "{carrier:?}");
    }
    split
}

/// All of the difference has this cause; rounding may leave a few picodollars elsewhere.
fn is_alone(before: &[Made], now: &[Made], rates: &Rates, cause: Cause) -> Result<i128, TestCaseError> {
    let split = whole(&side(before, &RATES), &side(now, rates));
    let others: i128 = split.parts.iter().filter(|(one, _)| **one != cause).map(|(_, picos)| picos.abs()).sum();
    // Half a picodollar for each rounding: of each class, model and project on both sides, and of thinking in each call.
    let dust = 200 + before.len() as i128 + now.len() as i128;
    if others > dust {
        return Err(TestCaseError::fail(format!("{others} beside {cause:?}: {:?}", split.parts)));
    }
    Ok(split.parts[&cause])
}

fn made() -> impl Strategy<Value = Made> {
    let size = || prop_oneof![Just(0_u64), 1_u64..200, 1_u64..40_000, 1_u64..900_000];
    let tokens = (1_u64..40_000, size(), size(), 1_u64..9_000, size());
    let kind = (0_usize..3, 0_usize..3, prop_oneof![9 => Just(0_u64), 1 => 1_u64..4], 0_u8..20, any::<bool>());
    (tokens, kind).prop_map(|((fresh, read, written, answer, thinking), (model, project, searches, end, billed))| {
        let failed = end == 0;
        Made {
            model,
            project,
            fresh,
            read,
            written,
            answer,
            thinking,
            searches,
            beyond: if end == 1 { 7_000_003 } else { 0 },
            failed,
            unpriced: end == 2,
            billed,
            retry_of: None,
        }
    })
}

fn calls() -> impl Strategy<Value = Vec<Made>> {
    proptest::collection::vec(made(), 1..60)
}

fn ends_well(made: &Made) -> bool {
    !made.failed && !made.unpriced
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_parts_of_any_change_add_up(before in calls(), now in calls(), factor in 1_i64..5) {
        let rates = RATES.map(|rates| rates.map(|rate| rate * factor));
        whole(&side(&before, &RATES), &side(&now, &rates));
        whole(&side(&[], &RATES), &side(&now, &rates));
        whole(&side(&before, &RATES), &side(&[], &rates));
    }

    #[test]
    fn as_many_calls_again_are_more_calls(before in calls(), times in 2_usize..6) {
        let now: Vec<Made> = before.iter().cycle().take(before.len() * times).cloned().collect();
        is_alone(&before, &now, &RATES, Cause::Calls)?;
        is_alone(&now, &before, &RATES, Cause::Calls)?;
    }

    #[test]
    fn the_same_calls_by_other_models_are_another_mix(
        before in calls(), to in 0_usize..4, which in any::<proptest::sample::Selector>(),
    ) {
        let mut now = before.clone();
        let chosen = which.select(0..before.len());
        for made in now.iter_mut().enumerate().filter(|(n, made)| ends_well(made) && n % 3 == chosen % 3).map(|(_, made)| made) {
            made.model = to;
        }
        is_alone(&before, &now, &RATES, Cause::Mix)?;
    }

    #[test]
    fn longer_prompts_and_answers_and_more_thinking_are_told_apart(
        before in calls(), part in 1_usize..4, more in 1_u64..90_000,
    ) {
        let change = |of: fn(&mut Made, u64)| {
            let mut now = before.clone();
            now.iter_mut().enumerate().filter(|(n, made)| n % part == 0 && ends_well(made)).for_each(|(_, made)| of(made, more));
            now
        };
        is_alone(&before, &change(|made, more| made.fresh += more), &RATES, Cause::Input)?;
        is_alone(&before, &change(|made, more| made.answer += more), &RATES, Cause::Output)?;
        is_alone(&before, &change(|made, _| made.answer = 1), &RATES, Cause::Output)?;
        is_alone(&before, &change(|made, _| made.searches += 2), &RATES, Cause::Fees)?;
        is_alone(&before, &change(|made, _| made.beyond += 5_000_000), &RATES, Cause::Charges)?;
        let longer = change(|made, more| {
            (made.fresh, made.read, made.written) = (made.fresh * more, made.read * more, made.written * more);
        });
        is_alone(&before, &longer, &RATES, Cause::Input)?;
        is_alone(&longer, &before, &RATES, Cause::Input)?;
        is_alone(&before, &change(|made, more| made.thinking += more), &RATES, Cause::Reasoning)?;
        is_alone(&before, &change(|made, _| made.thinking = 0), &RATES, Cause::Reasoning)?;
    }

    #[test]
    fn a_cache_that_is_switched_off_or_on_is_the_cause(before in calls()) {
        let mut off = before.clone();
        for made in &mut off {
            (made.fresh, made.read, made.written) = (made.fresh + made.read + made.written, 0, 0);
        }
        let ends_well: Vec<Made> = off.iter().filter(|made| ends_well(made)).cloned().collect();
        let with_cache: Vec<Made> = before.iter().filter(|made| self::ends_well(made)).cloned().collect();
        is_alone(&with_cache, &ends_well, &RATES, Cause::Cache)?;
        is_alone(&ends_well, &with_cache, &RATES, Cause::Cache)?;
    }

    #[test]
    fn other_rates_are_a_price_change(before in calls(), factor in 2_i64..9) {
        let well: Vec<Made> = before.into_iter().filter(ends_well).collect();
        let rates = RATES.map(|rates| rates.map(|rate| rate * factor));
        let picos = is_alone(&well, &well, &rates, Cause::Price)?;
        let booked: i128 = side(&well, &RATES).sums.picos;
        let beyond: i128 = well.iter().map(|made| i128::from(made.beyond)).sum();
        prop_assert_eq!(picos, (booked - beyond) * (i128::from(factor) - 1));
    }

    #[test]
    fn failures_are_the_cause_of_what_they_cost_and_of_answers_that_did_not_come(
        before in calls(), every in 2_usize..5,
    ) {
        let fails = |n: usize| n.is_multiple_of(every);
        // They fail and nothing is owed; the reverse brings the answers back.
        let mut free = before.clone();
        for (_, made) in free.iter_mut().enumerate().filter(|(n, made)| fails(*n) && ends_well(made)) {
            (made.failed, made.billed) = (true, false);
        }
        is_alone(&before, &free, &RATES, Cause::Failures)?;
        is_alone(&free, &before, &RATES, Cause::Failures)?;
        // Attempts that fail and are billed before the one that succeeds.
        let mut now = Vec::new();
        for (n, made) in before.iter().enumerate() {
            if fails(n) && ends_well(made) {
                now.push(Made { failed: true, billed: true, ..made.clone() });
                now.push(Made { retry_of: Some(now.len() - 1), ..made.clone() });
            } else {
                now.push(made.clone());
            }
        }
        if before.iter().any(|made| !made.failed) {
            is_alone(&before, &now, &RATES, Cause::Failures)?;
            is_alone(&now, &before, &RATES, Cause::Failures)?;
        }
    }

    #[test]
    fn a_price_that_is_not_known_any_more_is_the_cause(before in calls(), every in 2_usize..5) {
        // One call of each model and project keeps its price.
        let first = |n: usize| !before[..n].iter().any(|one| {
            (one.model, one.project) == (before[n].model, before[n].project) && ends_well(one)
        });
        let priced: Vec<Made> = before.iter().map(|made| Made { beyond: 0, ..made.clone() }).collect();
        let mut now = priced.clone();
        for (n, made) in now.iter_mut().enumerate().filter(|(n, made)| n.is_multiple_of(every) && !made.failed && !first(*n)) {
            made.unpriced = n.is_multiple_of(every);
        }
        let kept = |made: &Made, meter: fn(&Made) -> u64| {
            now.iter().any(|one| ends_well(one) && one.model == made.model && one.project == made.project && meter(one) > 0)
        };
        let meters: [fn(&Made) -> u64; 4] = [|one| one.read, |one| one.written, |one| one.thinking, |one| one.searches];
        // A meter that no priced call of the model has has no rate to be counted at.
        if now.iter().all(|made| meters.iter().all(|meter| meter(made) == 0 || kept(made, *meter))) {
            is_alone(&priced, &now, &RATES, Cause::Unknown)?;
            is_alone(&now, &priced, &RATES, Cause::Unknown)?;
        }
    }

    #[test]
    fn a_model_that_stands_in_for_one_that_fails_is_no_other_mix(before in calls(), every in 2_usize..5) {
        let mut now = Vec::new();
        for (n, made) in before.iter().enumerate() {
            if n.is_multiple_of(every) && ends_well(made) {
                now.push(Made { failed: true, billed: false, ..made.clone() });
                now.push(Made { model: 3, retry_of: Some(now.len() - 1), ..made.clone() });
            } else {
                now.push(made.clone());
            }
        }
        is_alone(&before, &now, &RATES, Cause::Failures)?;
    }
}

#[test]
fn what_has_no_price_takes_the_place_of_what_has() {
    let made = Made {
        model: 0,
        project: 1,
        fresh: 1_000,
        read: 0,
        written: 0,
        answer: 100,
        thinking: 0,
        searches: 0,
        beyond: 0,
        failed: false,
        unpriced: false,
        billed: false,
        retry_of: None,
    };
    let before = vec![made.clone(); 10];
    let mut now = before.clone();
    now[..4].iter_mut().for_each(|made| made.unpriced = true);
    // 1,000 at $3 and 100 at $15 a million are $0.0045, four times.
    assert_eq!(is_alone(&before, &now, &RATES, Cause::Unknown).expect("alone"), -18_000_000_000);
    assert_eq!(is_alone(&now, &before, &RATES, Cause::Unknown).expect("alone"), 18_000_000_000);
}

#[test]
fn a_project_that_calls_more_is_more_calls_however_dear_its_calls_are() {
    let made = |project, answer| Made {
        model: 1,
        project,
        fresh: 10,
        read: 0,
        written: 0,
        answer,
        thinking: 0,
        searches: 0,
        beyond: 0,
        failed: false,
        unpriced: false,
        billed: false,
        retry_of: None,
    };
    let before: Vec<Made> = (0..20).map(|n| made(n % 2 + 1, if n % 2 == 0 { 10 } else { 90_000 })).collect();
    let more = before.iter().filter(|made| made.project == 2).cloned();
    let now: Vec<Made> = before.iter().cloned().chain(more).collect();
    is_alone(&before, &now, &RATES, Cause::Calls).expect("more calls alone");
    let split = whole(&side(&before, &RATES), &side(&now, &RATES));
    let (carrier, changes) = &split.carriers[0];
    assert_eq!((carrier, changes[0].value.as_str()), (&Carrier::Project, "project 1"));
    // A project under another name is the same calls, and one that is new is more of them.
    let renamed: Vec<Made> = before.iter().map(|made| Made { project: made.project + 2, ..made.clone() }).collect();
    is_alone(&before, &renamed, &RATES, Cause::Calls).expect("nothing changed");
    let grown: Vec<Made> = before.iter().cloned().chain(vec![made(9, 5)]).collect();
    is_alone(&before, &grown, &RATES, Cause::Calls).expect("a new project's calls");
}
