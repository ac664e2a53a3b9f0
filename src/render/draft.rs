//! A request that is not sent, as text.

use serde_json::Value;

/// Longest text inside a body that a person is shown whole, in characters.
const TEXT_MAX: usize = 2000;

/// Address, headers and body as a person reads them; long texts (attachments) only by their length.
#[must_use]
pub fn text(url: &str, headers: &[(String, String)], body: &Value) -> String {
    let mut text = format!("POST {url}\n");
    for (name, value) in headers {
        text.push_str(&format!("{name}: {value}\n"));
    }
    let mut body = body.clone();
    shorten(&mut body);
    text.push_str(&format!("\n{body:#}\n"));
    text
}

fn shorten(value: &mut Value) {
    match value {
        Value::String(text) if text.chars().count() > TEXT_MAX => {
            let start: String = text.chars().take(60).collect();
            *text = format!("{start}… ({} bytes)", text.len());
        }
        Value::Array(items) => items.iter_mut().for_each(shorten),
        Value::Object(map) => map.values_mut().for_each(shorten),
        _ => {}
    }
}
