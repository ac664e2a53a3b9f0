//! A report as JSON: counts as numbers, amounts as exact decimals in US dollars, what is unknown as null.

use serde_json::{Map, Value, json};

use crate::domain::record::Price;
use crate::domain::spend::currency::Currency;
use crate::domain::spend::period::Period;
use crate::domain::spend::report::{Before, Month, Report, Row, What};
use crate::domain::spend::{Dimension, Group, Key, Tally};

use super::tell;

/// The whole report. Its shape is documented in the README; a change of meaning raises `schema`.
#[must_use]
pub fn object(report: &Report) -> Value {
    let metered = report.by.contains(&Dimension::Meter);
    let groups = report.rows.iter().flat_map(|row| match row.inner.as_slice() {
        [] => vec![group(report, &[row], metered)],
        inner => inner.iter().map(|inner| group(report, &[row, inner], metered)).collect(),
    });
    let models = report.models.iter().map(|row| {
        let mut object = tally(&row.tally);
        put(&mut object, "model", model(row));
        put(&mut object, "others", others(row));
        put(&mut object, "price", price(row.price.as_deref()));
        object
    });
    json!({
        "schema": 1,
        "made_ms": report.made_ms,
        "period": period(&report.period),
        "where": if report.filter.is_empty() { Value::Null } else { report.filter.as_str().into() },
        "by": report.by.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "total": tally(&report.total),
        "groups": groups.collect::<Vec<_>>(),
        "models": models.collect::<Vec<_>>(),
        "days": report.days.iter().map(day).collect::<Vec<_>>(),
        "imported": tally(&report.imported),
        "left_out": report.left_out,
        "before": report.before.as_ref().map(|before| self::before(report, before)),
        "month": report.month.as_ref().map(month),
        "currency": currency(&report.currency),
    })
}

fn put(object: &mut Value, key: &str, value: Value) {
    if let Value::Object(map) = object {
        map.insert(key.to_owned(), value);
    }
}

fn period(period: &Period) -> Value {
    let span = period.span();
    json!({
        "first": period.first.to_string(),
        "last": period.after.yesterday().unwrap_or(period.after).to_string(),
        "zone": period.zone.name(),
        "from_ms": span.from_ms,
        "to_ms": span.to_ms,
        "days": period.count(),
    })
}

/// A group by its keys, with its sums. A call is in as many groups of a meter as it has meters, so these count units only.
fn group(report: &Report, path: &[&Row], metered: bool) -> Value {
    let mut keys = Map::new();
    for (at, dimension) in report.by.iter().enumerate() {
        let key = path.get(at).and_then(|row| row.key());
        let written = key.map(|key| key.written(dimension, &report.period.zone)).filter(|text| !text.is_empty());
        keys.insert(dimension.to_string(), written.into());
    }
    let Some(row) = path.last() else { return Value::Null };
    let mut object = json!({"keys": keys, "others": others(row)});
    let sums = if metered {
        let known = row.tally.unpriced == 0 || row.tally.picos != 0;
        json!({"units": row.tally.units, "usd": known.then(|| usd(row.tally.picos))})
    } else {
        tally(&row.tally)
    };
    if let (Value::Object(object), Value::Object(sums)) = (&mut object, sums) {
        object.extend(sums);
        object.insert("price".to_owned(), price(row.price.as_deref()));
        if report.before.as_ref().is_some_and(|before| before.asked) {
            object.insert("before_usd".to_owned(), row.before.map(usd).into());
        }
    }
    object
}

/// How many groups a row stands for that have none of their own; null for a group.
fn others(row: &Row) -> Value {
    match row.what {
        What::Others(count) => count.into(),
        What::Group(_) => Value::Null,
    }
}

fn model(row: &Row) -> Value {
    match row.key() {
        Some(Key::Text(model)) => model.as_str().into(),
        _ => Value::Null,
    }
}

/// The day's sums of one model.
fn day(group: &Group) -> Value {
    let mut object = tally(&group.tally);
    if let [Key::Date(day), Key::Text(model)] = group.keys.as_slice() {
        put(&mut object, "day", day.to_string().into());
        put(&mut object, "model", model.as_str().into());
    }
    object
}

/// Sums over calls.
#[must_use]
pub fn tally(tally: &Tally) -> Value {
    json!({
        "calls": tally.calls,
        "failed": tally.failed,
        "failed_not_billed": tally.failed_free,
        "unpriced": tally.unpriced,
        "estimated": tally.uncertain,
        "usd": (!tell::is_unknown(tally)).then(|| usd(tally.picos)),
        "at_most_usd": (tally.unpriced == 0).then(|| usd(tally.at_most)),
        "simulated": tally.simulated,
        "simulated_usd": usd(tally.simulated_picos),
        "open": tally.open,
        "held_usd": (tally.open_unknown == 0).then(|| usd(tally.held)),
        "input": tally.input,
        "cache_read": tally.cache_read,
        "cache_write": tally.cache_write,
        "output": tally.output,
        "reasoning": tally.reasoning,
        "cached_percent": tally.cached_percent(),
    })
}

fn usd(picos: i128) -> String {
    Currency::default().exact(picos)
}

fn price(price: Option<&Price>) -> Value {
    price.map_or(
        Value::Null,
        |price| json!({"table": price.table, "version": price.version, "entry": price.entry, "checked": price.checked}),
    )
}

fn before(report: &Report, before: &Before) -> Value {
    json!({
        "period": period(&before.period),
        "total": tally(&before.total),
        "change": tell::change(report.total.picos, before.total.picos),
    })
}

fn month(month: &Month) -> Value {
    json!({
        "period": period(&month.period),
        "to_date": tally(&month.tally),
        "pace_usd": month.pace.map(usd),
        "budget": month.budget.as_ref().map(|budget| json!({
            "budget": budget.name, "limit_usd": usd(budget.limit.picos.into()), "zone": budget.zone.name()})),
    })
}

fn currency(currency: &Currency) -> Value {
    match &currency.foreign {
        None => json!({"code": "USD", "rate": "1"}),
        Some(foreign) => json!({"code": foreign.code, "rate": foreign.rate}),
    }
}
