//! A provider on this machine that answers at once, so that all the time that passes is the caller's.

use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::thread;

/// Chunks of the short answer and of the long one.
pub const SHORT: usize = 4;
pub const LONG: usize = 2000;

/// Answers on a port of its own until the process ends. `/short/…` and `/long/…` stream Chat Completions; every other
/// path is answered as Bedrock's Converse.
///
/// # Errors
/// Where no port can be had.
pub fn start() -> io::Result<u16> {
    let listener = TcpListener::bind(("127.0.0.1", 0))?;
    let port = listener.local_addr()?.port();
    thread::spawn(move || {
        for connection in listener.incoming().flatten() {
            // A caller that leaves early is its own affair.
            thread::spawn(move || serve(&connection));
        }
    });
    Ok(port)
}

fn serve(connection: &TcpStream) -> io::Result<()> {
    // Without it the last chunks wait for the acknowledgement of those before them, up to 40 ms.
    connection.set_nodelay(true)?;
    let mut requests = BufReader::new(connection);
    while let Some(path) = request(&mut requests)? {
        match path.split('/').nth(1) {
            Some("short") => stream(connection, SHORT)?,
            Some("long") => stream(connection, LONG)?,
            _ => converse(connection)?,
        }
    }
    Ok(())
}

/// Reads one request to its end; its path, or `None` where the caller has hung up.
fn request(requests: &mut BufReader<&TcpStream>) -> io::Result<Option<String>> {
    let mut line = String::new();
    if requests.read_line(&mut line)? == 0 {
        return Ok(None);
    }
    let path = line.split(' ').nth(1).unwrap_or_default().to_owned();
    let mut length = 0;
    loop {
        line.clear();
        requests.read_line(&mut line)?;
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        if name.eq_ignore_ascii_case("content-length") {
            length = value.trim().parse().unwrap_or(0);
        }
    }
    io::copy(&mut requests.take(length), &mut io::sink())?;
    Ok(Some(path))
}

/// A stream in the shape of OpenAI's: one write for each chunk, as a model would send them, but without a pause.
fn stream(mut connection: &TcpStream, chunks: usize) -> io::Result<()> {
    connection.write_all(
        b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nx-request-id: req_1\r\ntransfer-encoding: chunked\r\n\r\n",
    )?;
    let common = r#""id":"chatcmpl-B9MBs8CjcvOU2jLn4n570S5qMJKcT","object":"chat.completion.chunk","created":1741569952,"model":"gpt-4o-mini-2024-07-18","service_tier":"default","system_fingerprint":"fp_06737a9306""#;
    for at in 0..chunks {
        let delta = format!(
            r#"{{{common},"choices":[{{"index":0,"delta":{{"content":" word{at}"}},"logprobs":null,"finish_reason":null}}],"usage":null}}"#
        );
        event(connection, &delta)?;
    }
    let stop = r#""choices":[{"index":0,"delta":{},"logprobs":null,"finish_reason":"stop"}],"usage":null"#;
    event(connection, &format!("{{{common},{stop}}}"))?;
    let usage = format!(r#""usage":{{"prompt_tokens":9,"completion_tokens":{chunks},"total_tokens":{}}}"#, chunks + 9);
    event(connection, &format!(r#"{{{common},"choices":[],{usage}}}"#))?;
    event(connection, "[DONE]")?;
    connection.write_all(b"0\r\n\r\n")
}

/// One server-sent event as one HTTP chunk.
fn event(mut connection: &TcpStream, data: &str) -> io::Result<()> {
    let length = data.len() + "data: \n\n".len();
    connection.write_all(format!("{length:x}\r\ndata: {data}\n\n\r\n").as_bytes())
}

/// A whole answer of Bedrock's Converse
/// (<https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html>, read 2026-11-22).
fn converse(mut connection: &TcpStream) -> io::Result<()> {
    let body = r#"{"output":{"message":{"role":"assistant","content":[{"text":"Hello there."}]}},"stopReason":"end_turn","usage":{"inputTokens":9,"outputTokens":3,"totalTokens":12},"metrics":{"latencyMs":1}}"#;
    let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nx-amzn-requestid: 1\r\n";
    connection.write_all(format!("{head}content-length: {}\r\n\r\n{body}", body.len()).as_bytes())
}
