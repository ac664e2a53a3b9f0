//! The least that a client of a stream must do: connect, send, cut into events, parse what is used, print what came.

use std::error::Error;
use std::io::Write as _;

use http_body_util::{BodyExt as _, Full};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::{Request, Uri};
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use tokio::net::TcpStream;

/// The request of all clients, as llmx would send it.
pub const BODY: &str = r#"{"model":"x","messages":[{"role":"user","content":"Hi"}],"stream":true,"stream_options":{"include_usage":true}}"#;

#[derive(Deserialize)]
struct Chunk<'a> {
    #[serde(borrow)]
    choices: Vec<Choice<'a>>,
}

#[derive(Deserialize)]
struct Choice<'a> {
    #[serde(borrow)]
    delta: Delta<'a>,
}

#[derive(Deserialize)]
struct Delta<'a> {
    #[serde(borrow)]
    content: Option<std::borrow::Cow<'a, str>>,
}

/// Prints the answer of a plain `http://` URL.
///
/// # Errors
/// Whatever went wrong.
pub fn ask(url: &str) -> Result<(), Box<dyn Error>> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(stream(&url.parse()?))
}

async fn stream(url: &Uri) -> Result<(), Box<dyn Error>> {
    let host = url.authority().ok_or("a URL without a host")?.as_str();
    let socket = TcpStream::connect(host).await?;
    socket.set_nodelay(true)?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(socket)).await?;
    tokio::spawn(connection);
    let request = Request::post(url.path())
        .header("host", host)
        .header("content-type", "application/json")
        .body(Full::new(Bytes::from_static(BODY.as_bytes())))?;
    let mut body = sender.send_request(request).await?.into_body();
    let mut stdout = std::io::stdout();
    let mut pending = Vec::new();
    while let Some(frame) = body.frame().await {
        let Ok(bytes) = frame?.into_data() else { continue };
        pending.extend_from_slice(&bytes);
        let mut text = String::new();
        let mut read = 0;
        while let Some(end) = memchr::memchr(b'\n', &pending[read..]) {
            if let Some(data) = pending[read..read + end].strip_prefix(b"data: ")
                && data != b"[DONE]"
            {
                let chunk: Chunk<'_> = serde_json::from_slice(data)?;
                for choice in &chunk.choices {
                    text.push_str(choice.delta.content.as_deref().unwrap_or_default());
                }
            }
            read += end + 1;
        }
        pending.drain(..read);
        stdout.write_all(text.as_bytes())?;
        stdout.flush()?;
    }
    Ok(())
}
