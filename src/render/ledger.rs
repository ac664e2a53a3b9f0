//! Calls that nobody settled, as a table and as JSON.

use serde_json::{Value, json};

use super::logs::{columns, short};
use crate::domain::instant::utc;
use crate::domain::record::OpenCall;
use crate::domain::untrusted::one_line;

/// One line per open call, oldest first, with its age at `now_ms`.
#[must_use]
pub fn open_calls(calls: &[OpenCall], now_ms: i64) -> String {
    let head = ["opened (UTC)", "id", "age", "owner", "command", "model", "held"].map(str::to_owned);
    let rows: Vec<[String; 7]> = std::iter::once(head)
        .chain(calls.iter().map(|call| {
            [
                utc(call.opened_ms).trim_end_matches('Z').to_owned(),
                short(&call.id).to_owned(),
                age(now_ms - call.opened_ms),
                format!("{} (pid {})", call.state.as_str(), call.pid),
                one_line(&call.command),
                one_line(&format!("{}/{}", call.provider, call.model)),
                call.ceiling.map_or("unknown".to_owned(), |ceiling| format!("${ceiling}")),
            ]
        }))
        .collect();
    columns(&rows, &[2])
}

fn age(millis: i64) -> String {
    let minutes = millis.max(0) / 60_000;
    match minutes {
        0..60 => format!("{minutes}m"),
        60..2_880 => format!("{}h", minutes / 60),
        _ => format!("{}d", minutes / 1_440),
    }
}

/// The same as JSON.
#[must_use]
pub fn object(calls: &[OpenCall]) -> Value {
    let calls: Vec<Value> = calls
        .iter()
        .map(|call| {
            json!({"id": call.id, "opened": utc(call.opened_ms), "opened_ms": call.opened_ms, "command": call.command,
                "provider": call.provider, "model": call.model, "owner": call.state.as_str(), "pid": call.pid,
                "ceiling_usd": call.ceiling.map(|ceiling| ceiling.to_string())})
        })
        .collect();
    json!({"schema": 1, "open": calls})
}
