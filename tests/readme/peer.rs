//! Every provider of the README at once, on loopback: it answers in the dialect in which it was asked, with the model that was
//! asked for.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;

use serde_json::{Value, json};

use crate::common::bodies::{self, ONE, Spoken, TWO};

#[derive(Debug)]
pub struct Peer {
    address: SocketAddr,
}

impl Peer {
    pub fn new() -> Peer {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("bound");
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                thread::spawn(move || serve(stream));
            }
        });
        Peer { address }
    }

    /// Where each provider of the README is asked, and as whom.
    pub fn environment(&self) -> Vec<(&'static str, String)> {
        let url = format!("http://{}", self.address);
        let key = || crate::common::binary::KEY.to_owned();
        let mut environment = vec![
            ("LLMX_OPENAI_BASE_URL", format!("{url}/v1")),
            ("OPENAI_API_KEY", key()),
            ("LLMX_ANTHROPIC_BASE_URL", url.clone()),
            ("ANTHROPIC_API_KEY", key()),
            ("LLMX_GEMINI_BASE_URL", url.clone()),
            ("GEMINI_API_KEY", key()),
            ("LLMX_GROQ_BASE_URL", format!("{url}/openai/v1")),
            ("GROQ_API_KEY", key()),
            ("LLMX_OLLAMA_BASE_URL", url.clone()),
        ];
        if cfg!(feature = "bedrock") {
            environment.extend([
                ("AWS_ENDPOINT_URL_BEDROCK_RUNTIME", url),
                ("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE".to_owned()),
                ("AWS_SECRET_ACCESS_KEY", key()),
                ("AWS_REGION", "eu-west-1".to_owned()),
                ("AWS_EC2_METADATA_DISABLED", "true".to_owned()),
            ]);
        }
        environment
    }
}

fn serve(mut stream: TcpStream) {
    let Some((path, body)) = read(&mut stream) else { return };
    let (kind, answer) = answer(&path, &body);
    let head = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
        answer.len()
    );
    // A peer that has enough closes the connection: no fault of the test.
    let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(&answer));
}

/// The path and the body of a request; without a body it is one for a listing.
fn read(stream: &mut TcpStream) -> Option<(String, Value)> {
    let mut bytes = Vec::new();
    let mut piece = [0; 16 << 10];
    let end = loop {
        let count = stream.read(&mut piece).ok().filter(|count| *count > 0)?;
        bytes.extend_from_slice(&piece[..count]);
        if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            break end;
        }
    };
    let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
    let lines = head.lines().filter_map(|line| line.split_once(':'));
    let mut length = lines.filter(|(name, _)| name.eq_ignore_ascii_case("content-length"));
    let length: usize = length.next().and_then(|(_, value)| value.trim().parse().ok()).unwrap_or(0);
    let mut body = bytes.split_off(end + 4);
    while body.len() < length {
        let count = stream.read(&mut piece).ok().filter(|count| *count > 0)?;
        body.extend_from_slice(&piece[..count]);
    }
    let path = head.split(' ').nth(1)?.to_owned();
    Some((path, serde_json::from_slice(&body).unwrap_or_default()))
}

fn answer(path: &str, body: &Value) -> (&'static str, Vec<u8>) {
    if body.is_null() {
        let models = json!({"object": "list", "data": [{"id": "gpt-4o-mini", "object": "model"}]});
        return ("application/json", models.to_string().into_bytes());
    }
    let api = [
        ("/chat/completions", "chat"),
        ("/responses", "responses"),
        ("/v1/messages", "messages"),
        ("enerateContent", "generate-content"),
        ("/api/chat", "ollama"),
    ];
    let Some((_, api)) = api.iter().find(|(part, _)| path.contains(part)) else {
        return ("application/vnd.amazon.eventstream", converse());
    };
    let spoken = bodies::all().into_iter().find(|spoken| spoken.api == *api).expect("a dialect");
    let asked = path.split("/models/").nth(1).and_then(|rest| rest.split(':').next()).or(body["model"].as_str());
    let streamed = body["stream"] == true || path.contains("stream");
    let text = if streamed { spoken.stream() } else { spoken.whole.clone() };
    let text = text.replace("\"m-1\"", &format!("\"{}\"", asked.unwrap_or("m-1")));
    (kind(&spoken, streamed), shaped(text, body).into_bytes())
}

fn kind(spoken: &Spoken, streamed: bool) -> &'static str {
    if streamed { spoken.content_type } else { "application/json" }
}

/// Where a schema was sent along, an object that fits the README's.
fn shaped(text: String, body: &Value) -> String {
    if !body.to_string().contains("\"age\"") {
        return text;
    }
    let inside = |text: &str| Value::from(text).to_string().trim_matches('"').to_owned();
    text.replace(ONE, &inside("{\"name\": \"Ada\", ")).replace(TWO, &inside("\"age\": 36}"))
}

fn converse() -> Vec<u8> {
    [
        event("messageStart", &json!({"role": "assistant"})),
        event("contentBlockDelta", &json!({"contentBlockIndex": 0, "delta": {"text": "Hi"}})),
        event("contentBlockStop", &json!({"contentBlockIndex": 0})),
        event("messageStop", &json!({"stopReason": "end_turn"})),
        event(
            "metadata",
            &json!({"usage": {"inputTokens": 8, "outputTokens": 1, "totalTokens": 9}, "metrics": {"latencyMs": 5}}),
        ),
    ]
    .concat()
}

/// docs.aws.amazon.com/AmazonS3/latest/API/RESTSelectObjectAppendix.html (prelude, headers, payload, checksums), read
/// 2026-11-22.
fn event(kind: &str, payload: &Value) -> Vec<u8> {
    let mut headers = Vec::new();
    for (name, value) in [(":event-type", kind), (":content-type", "application/json"), (":message-type", "event")] {
        headers.push(u8::try_from(name.len()).expect("short"));
        headers.extend_from_slice(name.as_bytes());
        headers.push(7);
        headers.extend_from_slice(&u16::try_from(value.len()).expect("short").to_be_bytes());
        headers.extend_from_slice(value.as_bytes());
    }
    let payload = payload.to_string().into_bytes();
    let number = |number: usize| u32::try_from(number).expect("small").to_be_bytes();
    let mut out = [number(16 + headers.len() + payload.len()), number(headers.len())].concat();
    out.extend_from_slice(&crc32(&out).to_be_bytes());
    out.extend_from_slice(&headers);
    out.extend_from_slice(&payload);
    out.extend_from_slice(&crc32(&out).to_be_bytes());
    out
}

fn crc32(bytes: &[u8]) -> u32 {
    let step = |crc: u32| if crc & 1 == 1 { crc >> 1 ^ 0xEDB8_8320 } else { crc >> 1 };
    !bytes.iter().fold(!0_u32, |crc, byte| (0..8).fold(crc ^ u32::from(*byte), |crc, _| step(crc)))
}
