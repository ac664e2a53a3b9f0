//! The frames of an AWS event stream, written from the format's description, and the events of ConverseStream in them.

use serde_json::{Value, json};

/// docs.aws.amazon.com/AmazonS3/latest/API/RESTSelectObjectAppendix.html (prelude, headers, payload, checksums), read
/// 2026-11-22.
pub fn frame(headers: &[(&str, &str)], payload: &[u8]) -> Vec<u8> {
    let mut packed = Vec::new();
    for (name, value) in headers {
        packed.push(u8::try_from(name.len()).expect("short"));
        packed.extend_from_slice(name.as_bytes());
        packed.push(7);
        packed.extend_from_slice(&u16::try_from(value.len()).expect("short").to_be_bytes());
        packed.extend_from_slice(value.as_bytes());
    }
    let total = u32::try_from(16 + packed.len() + payload.len()).expect("small");
    let mut out = total.to_be_bytes().to_vec();
    out.extend_from_slice(&u32::try_from(packed.len()).expect("small").to_be_bytes());
    out.extend_from_slice(&crc32(&out).to_be_bytes());
    out.extend_from_slice(&packed);
    out.extend_from_slice(payload);
    out.extend_from_slice(&crc32(&out).to_be_bytes());
    out
}

pub fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0_u32, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| if crc & 1 == 1 { crc >> 1 ^ 0xEDB8_8320 } else { crc >> 1 })
    })
}

pub fn event(kind: &str, payload: &Value) -> Vec<u8> {
    let headers = [(":event-type", kind), (":content-type", "application/json"), (":message-type", "event")];
    frame(&headers, payload.to_string().as_bytes())
}

pub fn exception(kind: &str, payload: &Value) -> Vec<u8> {
    let headers = [(":exception-type", kind), (":content-type", "application/json"), (":message-type", "exception")];
    frame(&headers, payload.to_string().as_bytes())
}

pub fn text(index: u32, piece: &str) -> Vec<u8> {
    event("contentBlockDelta", &json!({"contentBlockIndex": index, "delta": {"text": piece}}))
}

pub fn stop(reason: &str) -> Vec<u8> {
    event("messageStop", &json!({"stopReason": reason}))
}

pub fn metadata(usage: &Value) -> Vec<u8> {
    event("metadata", &json!({"usage": usage, "metrics": {"latencyMs": 5}}))
}

pub fn start() -> Vec<u8> {
    event("messageStart", &json!({"role": "assistant"}))
}

/// A whole answer, frame by frame: `Hello`, and its usage.
pub fn hello() -> Vec<Vec<u8>> {
    vec![
        start(),
        text(0, "Hel"),
        text(0, "lo"),
        event("contentBlockStop", &json!({"contentBlockIndex": 0})),
        stop("end_turn"),
        metadata(&json!({"inputTokens": 3, "outputTokens": 2, "totalTokens": 5})),
    ]
}

/// The same as an answer that was asked for at once.
pub fn whole_hello() -> Value {
    json!({"output": {"message": {"role": "assistant", "content": [{"text": "Hello"}]}}, "stopReason": "end_turn",
        "usage": {"inputTokens": 3, "outputTokens": 2, "totalTokens": 5}, "metrics": {"latencyMs": 5}})
}
