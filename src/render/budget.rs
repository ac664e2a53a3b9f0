//! Budgets and what the books say of them: lists, standings, alerts, the arithmetic of a refusal, and their JSON.

use serde_json::{Map, Value, json};
use unicode_width::UnicodeWidthStr as _;

use super::ledger;
use super::logs::{columns, short, usd};
use crate::domain::budget::{Alert, Budget, Excess, OnUnknownPrice, Refusal, Refused, Scope, Standing};
use crate::domain::instant::utc;
use crate::domain::money::Usd;
use crate::domain::record::{NewCall, OpenCall};
use crate::domain::scope::RefusalRecord;
use crate::domain::untrusted::one_line;
use crate::domain::window::Window;

/// One line per budget with its terms and where it is written down.
#[must_use]
pub fn list(budgets: &[Budget], width: Option<usize>) -> String {
    let head = ["budget", "limit", "kind", "counts", "zone", "warns at", "unknown price", "from"].map(str::to_owned);
    let rows = budgets.iter().map(|budget| {
        let account = &budget.account;
        let warn: Vec<String> = budget.warn.iter().map(|percent| format!("{percent}%")).collect();
        [
            budget.name.clone(),
            format!("${}/{}", budget.limit, account.window),
            kind(budget).to_owned(),
            one_line(&account.scope.words()),
            account.zone.name().to_owned(),
            if warn.is_empty() { "–".to_owned() } else { warn.join(" ") },
            on_unknown_price(budget.on_unknown_price),
            one_line(&budget.origin.to_string()),
        ]
    });
    fitted(&std::iter::once(head).chain(rows).collect::<Vec<_>>(), &[], width)
}

/// `$50/day, hard, over project=api, in UTC`.
#[must_use]
pub fn words(budget: &Budget) -> String {
    let account = &budget.account;
    let (window, scope, zone) = (account.window, one_line(&account.scope.words()), account.zone.name());
    format!("${}/{window}, {}, over {scope}, in {zone}", budget.limit, kind(budget))
}

fn kind(budget: &Budget) -> &'static str {
    if budget.hard { "hard" } else { "soft" }
}

fn on_unknown_price(policy: OnUnknownPrice) -> String {
    match policy {
        OnUnknownPrice::Deny => "deny".to_owned(),
        OnUnknownPrice::Allow => "allow".to_owned(),
        OnUnknownPrice::Assume(amount) => format!("assume:{amount}"),
    }
}

/// A table, or where it is wider than the screen a block for each row: no number is ever cut or wrapped.
fn fitted<const N: usize>(rows: &[[String; N]], right: &[usize], width: Option<usize>) -> String {
    let table = columns(rows, right);
    let widest = table.lines().map(|line| line.width()).max().unwrap_or(0);
    let (Some(width), Some((head, rows))) = (width, rows.split_first()) else {
        return table;
    };
    if widest <= width {
        return table;
    }
    let names = head.iter().map(|name| name.width()).max().unwrap_or(0);
    let mut text = String::new();
    for row in rows {
        for (name, cell) in head.iter().zip(row) {
            text.push_str(&format!("{name}{}  {cell}\n", " ".repeat(names - name.width())));
        }
        text.push('\n');
    }
    text
}

/// Where a budget stands in its period, and the calls that count more than was held for them, which are asked for where its
/// limit is passed.
#[derive(Debug, Clone)]
pub struct Account {
    pub standing: Standing,
    pub excesses: Vec<Excess>,
}

/// Where each budget stands in its period, why a limit is passed, the calls that are open, and the proof that the sums
/// agree.
#[must_use]
pub fn status(accounts: &[Account], open: &[OpenCall], now_ms: i64, width: Option<usize>) -> String {
    let standings = || accounts.iter().map(|account| &account.standing);
    let head = ["budget", "limit", "kind", "spent", "held", "free", "used", "resets", "counts"].map(str::to_owned);
    let rows: Vec<[String; 9]> = std::iter::once(head).chain(standings().map(row)).collect();
    let mut text = fitted(&rows, &[3, 4, 5, 6], width);
    let reached: Vec<String> = standings().filter_map(reached).collect();
    if !reached.is_empty() {
        text.push_str(&format!("\n{}\n", reached.join("\n")));
    }
    let passed: Vec<String> = accounts.iter().flat_map(passed).collect();
    if !passed.is_empty() {
        text.push_str(&format!("\n{}\n", passed.join("\n")));
    }
    if !open.is_empty() {
        text.push_str(
            "\nopen calls, each held at its ceiling; `llmx budget resolve` settles one whose process is dead\n",
        );
        text.push_str(&ledger::open_calls(open, now_ms));
    }
    if !accounts.is_empty() {
        text.push_str("\nlimit = spent + held + free (+ over)\n");
        text.extend(standings().map(|standing| format!("{}\n", identity(standing))));
    }
    text
}

/// Calls that are named where a limit is passed.
const EXCESSES_SHOWN: usize = 5;

/// How it came that a limit is passed: the calls that cost more than was held for them, and what no such call explains.
fn passed(account: &Account) -> Vec<String> {
    let Account { standing, excesses } = account;
    let budget = &standing.budget;
    let mut rest = standing.over().picos;
    if rest == 0 {
        return Vec::new();
    }
    let mut said = Vec::new();
    for excess in excesses {
        let (id, counts, ceiling) = (one_line(short(&excess.id)), excess.counts, excess.ceiling);
        let why = if excess.corrected { "corrected" } else { "bound violated" };
        said.push(format!("{}: call {id} counts ${counts} where ${ceiling} was held ({why})", budget.name));
        rest = rest.saturating_sub(counts.picos.saturating_sub(ceiling.picos));
    }
    let more = said.len().saturating_sub(EXCESSES_SHOWN);
    said.truncate(EXCESSES_SHOWN);
    if more > 0 {
        said.push(format!("{}: and {}", budget.name, calls_like_these(more)));
    }
    if rest > 0 {
        let lenient = budget.allow_unbounded || budget.on_unknown_price == OnUnknownPrice::Allow;
        let why = match (budget.hard, lenient) {
            (false, _) => "by calls that did not fit: it is soft, so they were sent",
            (true, false) => "before its limit was set or lowered",
            (true, true) => "before its limit was set or lowered, or by calls that had no bound",
        };
        said.push(format!("{}: ${} was spent {why}", budget.name, Usd::from_picos(rest)));
    }
    said
}

fn calls_like_these(number: usize) -> String {
    if number == 1 { "1 call more".to_owned() } else { format!("{number} calls more") }
}

fn row(standing: &Standing) -> [String; 9] {
    let budget = &standing.budget;
    let free = match standing.over().picos {
        0 => format!("${}", standing.free()),
        _ => format!("over by ${}", standing.over()),
    };
    let zone = &budget.account.zone;
    [
        budget.name.clone(),
        standing.limit(),
        kind(budget).to_owned(),
        spent(standing),
        format!("${}", standing.held),
        free,
        standing.percent().map_or("–".to_owned(), |percent| format!("{percent}%")),
        match (standing.span.to_ms, budget.account.window) {
            (Some(to_ms), _) => zone.told(to_ms),
            (None, Window::Rolling { .. }) => "as calls get older".to_owned(),
            (None, _) => "never".to_owned(),
        },
        one_line(&budget.account.scope.words()),
    ]
}

/// `$3.21+ (4 calls unpriced)`.
fn spent(standing: &Standing) -> String {
    let spent = standing.spent;
    match (standing.unknown, standing.budget.on_unknown_price) {
        (0, _) => format!("${spent}"),
        (unknown, OnUnknownPrice::Assume(each)) => format!("${spent} ({} unpriced, at ${each} each)", calls(unknown)),
        (unknown, OnUnknownPrice::Deny | OnUnknownPrice::Allow) => format!("${spent}+ ({} unpriced)", calls(unknown)),
    }
}

fn calls(number: u64) -> String {
    if number == 1 { "1 call".to_owned() } else { format!("{number} calls") }
}

/// The highest percent at which a budget warns that is reached.
fn reached(standing: &Standing) -> Option<String> {
    let used = standing.percent()?;
    let percent = *standing.budget.warn.iter().filter(|percent| u64::from(**percent) <= used).max()?;
    Some(alert(&Alert { percent, standing: standing.clone() }))
}

/// Exact to the picodollar, since the amounts are whole picodollars.
fn identity(standing: &Standing) -> String {
    let (limit, over) = (standing.budget.limit, standing.over());
    let sums = format!("${} + ${} + ${}", standing.spent, standing.held, standing.free());
    let name = &standing.budget.name;
    if over.picos == 0 { format!("{name}: ${limit} = {sums}") } else { format!("{name}: ${limit} + ${over} = {sums}") }
}

/// A budget that has reached a percent at which it warns, in a line.
#[must_use]
pub fn alert(alert: &Alert) -> String {
    let standing = &alert.standing;
    let held = match standing.held.picos {
        0 => String::new(),
        _ => format!(
            ", of which ${} is held by {} open call{}",
            standing.held,
            standing.open,
            if standing.open == 1 { "" } else { "s" }
        ),
    };
    let name = &standing.budget.name;
    format!("budget {name}: {} % of {} used (${}){held}", alert.percent, standing.limit(), standing.used())
}

/// `ok`, `used-up`, or `over`.
#[must_use]
pub fn state(standing: &Standing) -> &'static str {
    match (standing.over().picos, standing.free().picos) {
        (0, 0) => "used-up",
        (0, _) => "ok",
        (_, _) => "over",
    }
}

/// One line per budget: whether a call may still be made.
#[must_use]
pub fn checked(standings: &[Standing]) -> String {
    let lines = standings.iter().map(|standing| {
        let soft = if standing.budget.hard { "" } else { " (soft)" };
        let scope = one_line(&standing.budget.account.scope.words());
        format!("{}{soft}: {} ({scope}): {}\n", state(standing), standing.budget.name, standing.words())
    });
    lines.collect()
}

/// How the last refusal came about: what the call could have cost, and what stood in each budget that refused.
#[must_use]
pub fn explained(record: &RefusalRecord) -> String {
    let RefusalRecord { at_ms, call, refusal } = record;
    let needed = refusal.needed.map_or("unknown".to_owned(), |needed| format!("${needed}"));
    let mut text =
        format!("refused     {}\nmodel       {}\nneeded      {needed}\n", utc(*at_ms), one_line(&model(call)));
    text.extend(refusal.reasons.iter().map(|reason| format!("  {}\n", one_line(reason))));
    for refused in &refusal.by {
        text.push_str(&format!("\n{}\n", one_line(&refused.words(usd(refusal.needed)))));
        text.push_str(&format!("  from {}\n", one_line(&refused.standing.budget.origin.to_string())));
        text.extend(refusal.needed.map(|needed| format!("  {}\n", sum(&refused.standing, needed))));
    }
    text.extend(refusal.hint().map(|hint| format!("\n{hint}\n")));
    text.push_str("\nnothing was sent\n");
    text
}

/// Calls that were refused, a line each.
#[must_use]
pub fn refusals(records: &[RefusalRecord]) -> String {
    let head = ["refused (UTC)", "model", "needed", "by", "why"].map(str::to_owned);
    let rows = records.iter().map(|RefusalRecord { at_ms, call, refusal }| {
        let by: Vec<&str> = refusal.by.iter().map(|by| by.standing.budget.name.as_str()).collect();
        let why = refusal.by.first().map_or("", |by| by.why.as_str());
        [
            utc(*at_ms).trim_end_matches('Z').to_owned(),
            one_line(&model(call)),
            refusal.needed.map_or("unknown".to_owned(), |needed| format!("${needed}")),
            one_line(&by.join(", ")),
            why.to_owned(),
        ]
    });
    columns(&std::iter::once(head).chain(rows).collect::<Vec<_>>(), &[2])
}

fn model(call: &NewCall) -> String {
    let region = call.region.as_ref().map(|region| format!("@{region}")).unwrap_or_default();
    format!("{}{region}/{}", call.provider, call.model)
}

/// `$49.31 spent + $0.52 held + $0.4 needed = $50.23, $0.23 above $50`.
fn sum(standing: &Standing, needed: Usd) -> String {
    let all = standing.used().picos.saturating_add(needed.picos);
    let above = all.saturating_sub(standing.budget.limit.picos);
    let side = if above > 0 { "above" } else { "below" };
    format!(
        "${} spent + ${} held + ${needed} needed = ${}, ${} {side} ${}",
        standing.spent,
        standing.held,
        Usd::from_picos(all),
        Usd::from_picos(above.saturating_abs()),
        standing.budget.limit
    )
}

/// A budget's terms as JSON.
#[must_use]
pub fn terms(budget: &Budget) -> Value {
    let account = &budget.account;
    json!({
        "budget": budget.name,
        "limit": budget.limit.to_string(),
        "window": account.window.to_string(),
        "zone": account.zone.name(),
        "scope": scope(&account.scope),
        "hard": budget.hard,
        "warn": budget.warn,
        "on_unknown_price": on_unknown_price(budget.on_unknown_price),
        "allow_unbounded": budget.allow_unbounded,
        "clip": budget.clip,
        "from": budget.origin.to_string(),
    })
}

/// The parts that are set.
fn scope(scope: &Scope) -> Value {
    let parts = [
        ("project", &scope.project),
        ("user", &scope.user),
        ("team", &scope.team),
        ("provider", &scope.provider),
        ("model", &scope.model),
        ("session", &scope.session),
    ];
    let mut map: Map<String, Value> =
        parts.into_iter().filter_map(|(key, part)| Some((key.to_owned(), part.clone()?.into()))).collect();
    if !scope.tags.is_empty() {
        map.insert("tags".to_owned(), json!(scope.tags));
    }
    Value::Object(map)
}

/// A budget's terms and where it stands, as JSON.
#[must_use]
pub fn object(standing: &Standing) -> Value {
    let mut object = terms(&standing.budget);
    let percent = standing.percent();
    if let (Value::Object(map), Value::Object(stands)) = (
        &mut object,
        json!({
            "from_ms": Some(standing.span.from_ms).filter(|from_ms| *from_ms != i64::MIN),
            "to_ms": standing.span.to_ms,
            "resets_at": standing.resets_at(),
            "spent": standing.spent.to_string(),
            "held": standing.held.to_string(),
            "free": standing.free().to_string(),
            "over": standing.over().to_string(),
            "percent": percent,
            "calls": standing.calls,
            "open": standing.open,
            "unknown": standing.unknown,
            "state": state(standing),
        }),
    ) {
        map.extend(stands);
    }
    object
}

/// Where each budget stands, the calls that took it past its limit, and those that are open, as JSON.
#[must_use]
pub fn status_object(accounts: &[Account], open: &[OpenCall]) -> Value {
    let told = |account: &Account| {
        let mut object = self::object(&account.standing);
        let excess = |excess: &Excess| {
            json!({"call": excess.id, "held_usd": excess.ceiling.to_string(), "counts_usd": excess.counts.to_string(),
                "corrected": excess.corrected})
        };
        object["excesses"] = account.excesses.iter().map(excess).collect();
        object
    };
    let mut object = ledger::object(open);
    object["budgets"] = accounts.iter().map(told).collect();
    object
}

/// What the JSON of a failure says of the budgets that refused; the tightest is the error itself.
#[must_use]
pub fn refused(refusal: &Refusal) -> Map<String, Value> {
    let part = |refused: &Refused| {
        let standing = &refused.standing;
        json!({
            "budget": standing.budget.name,
            "scope": scope(&standing.budget.account.scope),
            "limit": standing.budget.limit.to_string(),
            "window": standing.budget.account.window.to_string(),
            "spent": standing.spent.to_string(),
            "held": standing.held.to_string(),
            "free": standing.free().to_string(),
            "over": standing.over().to_string(),
            "needed": usd(refusal.needed),
            "why": refused.why.as_str(),
            "resets_at": standing.resets_at(),
            "from": standing.budget.origin.to_string(),
        })
    };
    let mut map = Map::new();
    map.insert("type".into(), "budget".into());
    if let Some(Value::Object(tightest)) = refusal.by.first().map(part) {
        map.extend(tightest);
    }
    map.insert("request_sent".into(), false.into());
    map.insert("hint".into(), refusal.hint().into());
    map.insert("reasons".into(), json!(refusal.reasons));
    map.insert("others".into(), refusal.by.iter().skip(1).map(part).collect());
    map
}

/// A budget that reached a percent at which it warns, as JSON.
#[must_use]
pub fn alerted(alert: &Alert) -> Value {
    let mut object = object(&alert.standing);
    object["percent_reached"] = alert.percent.into();
    object
}

/// The arithmetic of a refusal as JSON.
#[must_use]
pub fn explained_object(record: &RefusalRecord) -> Value {
    let RefusalRecord { at_ms, call, refusal } = record;
    let mut object = json!({"schema": 1, "refused": utc(*at_ms), "refused_ms": at_ms, "command": call.command,
        "provider": call.provider, "region": call.region, "model": call.model, "project": call.project,
        "user": call.user, "team": call.team, "tags": call.tags});
    if let Value::Object(map) = &mut object {
        map.extend(refused(refusal));
    }
    object
}

#[cfg(test)]
mod tests {
    use super::{Account, alert, checked, explained, list, status, status_object};
    use crate::domain::budget::{Alert, Excess, OnUnknownPrice, Refused, Standing, Why};
    use crate::domain::money::Usd;
    use crate::domain::record::{NewCall, OpenCall, OwnerState};
    use crate::domain::refusal::tests::{NOW, refusal, standing};
    use crate::domain::scope::RefusalRecord;
    use crate::render::call::{error, failure};

    /// Soft, passed by $0.829999999999, with four calls that nobody can price.
    fn passed() -> Standing {
        let mut passed = standing();
        passed.budget.name = "soft".into();
        passed.budget.hard = false;
        passed.budget.limit = Usd::from_picos(49_000_000_000_001);
        (passed.unknown, passed.budget.on_unknown_price) = (4, OnUnknownPrice::Allow);
        passed
    }

    fn account(standing: Standing) -> Account {
        Account { standing, excesses: Vec::new() }
    }

    #[test]
    fn a_status_shows_every_sum_and_proves_it() {
        let open = OpenCall {
            id: "01935000-0000-7000-8000-00000000abcd".into(),
            opened_ms: NOW - 7_200_000,
            command: "chat".into(),
            provider: "openai".into(),
            model: "gpt-x".into(),
            ceiling: Usd::parse("0.52"),
            pid: 77,
            state: OwnerState::Dead,
        };
        insta::assert_snapshot!(status(&[account(standing()), account(passed())], std::slice::from_ref(&open), NOW, None), @"
        budget  limit                 kind                       spent   held                     free  used  resets                counts
        eng-a   $50/day               hard                      $49.31  $0.52                    $0.17   99%  2026-11-23 00:00 UTC  project=api
        soft    $49.000000000001/day  soft  $49.31+ (4 calls unpriced)  $0.52  over by $0.829999999999  101%  2026-11-23 00:00 UTC  project=api

        budget eng-a: 80 % of $50/day used ($49.83), of which $0.52 is held by 3 open calls
        budget soft: 100 % of $49.000000000001/day used ($49.83), of which $0.52 is held by 3 open calls

        soft: $0.829999999999 was spent by calls that did not fit: it is soft, so they were sent

        open calls, each held at its ceiling; `llmx budget resolve` settles one whose process is dead
        opened (UTC)         id        age  owner          command  model         held
        2026-11-22 18:48:00  0000abcd   2h  dead (pid 77)  chat     openai/gpt-x  $0.52

        limit = spent + held + free (+ over)
        eng-a: $50 = $49.31 + $0.52 + $0.17
        soft: $49.000000000001 + $0.829999999999 = $49.31 + $0.52 + $0
        ");
        let object = status_object(&[account(passed())], &[open]);
        assert_eq!(object["budgets"][0]["over"], "0.829999999999");
        assert_eq!((&object["budgets"][0]["state"], &object["open"][0]["owner"]), (&"over".into(), &"dead".into()));
    }

    #[test]
    fn a_limit_that_is_passed_says_how_that_came() {
        let usd = |text| Usd::parse(text).expect("an amount");
        let excess =
            |id: &str, counts, corrected| Excess { id: id.into(), ceiling: usd("0.5"), counts: usd(counts), corrected };
        let hard = Standing { budget: crate::domain::budget::Budget { hard: true, ..passed().budget }, ..passed() };
        let excesses = vec![excess("01935000-aaaa0001", "0.7", false), excess("01935000-aaaa0002", "0.9", true)];
        let told = status(&[Account { standing: hard.clone(), excesses: excesses.clone() }], &[], NOW, None);
        for line in [
            "soft: call aaaa0001 counts $0.7 where $0.5 was held (bound violated)\n",
            "soft: call aaaa0002 counts $0.9 where $0.5 was held (corrected)\n",
            "soft: $0.229999999999 was spent before its limit was set or lowered, or by calls that had no bound\n",
        ] {
            assert!(told.contains(line), "{told}");
        }
        let object = status_object(&[Account { standing: hard.clone(), excesses }], &[]);
        let first = &object["budgets"][0]["excesses"][0];
        assert_eq!((&first["held_usd"], &first["counts_usd"]), (&"0.5".into(), &"0.7".into()));
        let many = vec![excess("01935000-aaaa0001", "0.7", false); 7];
        let told = status(&[Account { standing: hard, excesses: many }], &[], NOW, None);
        assert!(told.contains("soft: and 2 calls more\n") && !told.contains("was spent before"), "{told}");
    }

    #[test]
    fn a_narrow_screen_gets_blocks_and_loses_no_number() {
        let narrow = status(&[account(passed())], &[], NOW, Some(40));
        assert!(narrow.starts_with("budget  soft\nlimit   $49.000000000001/day\n"), "{narrow}");
        assert!(narrow.contains("\nfree    over by $0.829999999999\n"), "{narrow}");
        assert_eq!(list(&[standing().budget], Some(200)).lines().count(), 2);
    }

    #[test]
    fn an_alert_says_what_of_it_is_held() {
        let told = alert(&Alert { percent: 80, standing: standing() });
        assert_eq!(told, "budget eng-a: 80 % of $50/day used ($49.83), of which $0.52 is held by 3 open calls");
        let settled = Standing { held: Usd::default(), open: 0, ..standing() };
        assert_eq!(alert(&Alert { percent: 80, standing: settled }), "budget eng-a: 80 % of $50/day used ($49.31)");
    }

    #[test]
    fn a_check_is_a_line_for_each() {
        let used = Standing { held: Usd::parse("0.69").expect("an amount"), ..standing() };
        insta::assert_snapshot!(checked(&[standing(), used, passed()]), @"
        ok: eng-a (project=api): $50/day, spent $49.31, held $0.52, free $0.17
        used-up: eng-a (project=api): $50/day, spent $49.31, held $0.69, free $0
        over (soft): soft (project=api): $49.000000000001/day, spent $49.31, held $0.52, over by $0.829999999999
        ");
    }

    #[test]
    fn a_refusal_names_every_budget_that_refused() {
        let mut refusal = refusal();
        let all = Standing {
            budget: crate::domain::budget::Budget { name: "all".into(), ..standing().budget },
            ..standing()
        };
        refusal.by.push(Refused { standing: all, why: Why::Unpriced });
        let call = NewCall { provider: "openai".into(), model: "gpt-x".into(), ..NewCall::default() };
        let record = RefusalRecord { at_ms: NOW, call, refusal: refusal.clone() };
        insta::assert_snapshot!(explained(&record), @"
        refused     2026-11-22 20:48:00Z
        model       openai/gpt-x
        needed      $0.4
          input at most 2,000 tokens at $5 / 1,000,000

        budget eng-a (project=api): $50/day, spent $49.31, held $0.52, free $0.17; this call could cost $0.4
          from the ledger
          $49.31 spent + $0.52 held + $0.4 needed = $50.23, $0.23 above $50

        budget all (project=api): $50/day, spent $49.31, held $0.52, free $0.17; nobody knows the price of this call
          from the ledger
          $49.31 spent + $0.52 held + $0.4 needed = $50.23, $0.23 above $50

        --max-tokens 600 would fit

        nothing was sent
        ");
        let refused = refusal.failure(NOW);
        insta::assert_snapshot!(failure(None, &refused), @"
        llmx: budget eng-a (project=api): $50/day, spent $49.31, held $0.52, free $0.17; this call could cost $0.4; nothing was sent
        llmx: budget all (project=api): $50/day, spent $49.31, held $0.52, free $0.17; nobody knows the price of this call
        try: --max-tokens 600 would fit; resets at 2026-11-23 00:00 UTC (in 3 h 12 min); price the model in your pricing.toml, or set all with --on-unknown-price assume:AMOUNT
        ");
        insta::assert_snapshot!(serde_json::to_string_pretty(&error(&refused)).expect("JSON"), @r#"
        {
          "class": "budget",
          "message": "budget eng-a (project=api): $50/day, spent $49.31, held $0.52, free $0.17; this call could cost $0.4; nothing was sent",
          "provider_message": null,
          "provider_type": null,
          "status": null,
          "request_id": null,
          "retryable": false,
          "retry_after_ms": null,
          "may_be_billed": false,
          "try": "--max-tokens 600 would fit; resets at 2026-11-23 00:00 UTC (in 3 h 12 min); price the model in your pricing.toml, or set all with --on-unknown-price assume:AMOUNT",
          "exit_code": 8,
          "type": "budget",
          "budget": "eng-a",
          "scope": {
            "project": "api"
          },
          "limit": "50",
          "window": "day",
          "spent": "49.31",
          "held": "0.52",
          "free": "0.17",
          "over": "0",
          "needed": "0.4",
          "why": "does-not-fit",
          "resets_at": "2026-11-23T00:00:00Z",
          "from": "the ledger",
          "request_sent": false,
          "hint": "--max-tokens 600 would fit",
          "reasons": [
            "input at most 2,000 tokens at $5 / 1,000,000"
          ],
          "others": [
            {
              "budget": "all",
              "scope": {
                "project": "api"
              },
              "limit": "50",
              "window": "day",
              "spent": "49.31",
              "held": "0.52",
              "free": "0.17",
              "over": "0",
              "needed": "0.4",
              "why": "unpriced",
              "resets_at": "2026-11-23T00:00:00Z",
              "from": "the ledger"
            }
          ]
        }
        "#);
    }
}
