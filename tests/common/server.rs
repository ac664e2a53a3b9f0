//! A small HTTP peer on loopback: plays a script to every request, and remembers each request and each disconnect.

use std::collections::BTreeSet;
use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread;
use std::time::{Duration, Instant};

/// Longest that the server or a test waits for the other side.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// What the server does after it has read a request, step by step. After the last step it closes the connection.
#[derive(Debug, Clone, Default)]
pub struct Script {
    steps: Vec<Step>,
    chunked: bool,
    /// Nothing of the request is read before the first step.
    deaf: bool,
    /// Nothing at all is read, so that the peer can write no more than fits in between.
    still: bool,
}

#[derive(Debug, Clone)]
enum Step {
    Write(Vec<u8>),
    /// Reads this many bytes of what the peer sends.
    Take(usize),
    /// Writes the same bytes until the peer refuses them.
    Forever(Vec<u8>),
    /// Writes the same bytes with a pause before each, until the peer refuses them.
    Drip(Vec<u8>, Duration),
    /// Waits until the test opens the gate, or the peer is gone.
    Gate(&'static str),
    /// Waits until the peer is gone.
    Silence,
    Reset,
}

impl Script {
    /// Reads nothing of the request before its first step.
    pub fn deaf() -> Script {
        Script { deaf: true, ..Script::default() }
    }

    /// Says nothing at all until the peer goes.
    pub fn mute() -> Script {
        Script::deaf().silence()
    }

    /// Neither reads nor says anything until the test is over.
    pub fn mute_and_deaf() -> Script {
        Script { still: true, ..Script::mute() }
    }

    /// No head: what follows is written as it is.
    pub fn bare() -> Script {
        Script::default()
    }

    /// A head without a length; the body is what follows until the connection closes.
    pub fn head(status: u16, headers: &[(&str, &str)]) -> Script {
        let mut head = format!("HTTP/1.1 {status} Spoken\r\n");
        for (name, value) in headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        Script::default().raw(format!("{head}\r\n"))
    }

    /// A head for a chunked body: each [`Script::piece`] is a chunk, [`Script::end`] the last one.
    pub fn chunked(status: u16, content_type: &str) -> Script {
        let mut script = Script::head(status, &[("content-type", content_type), ("transfer-encoding", "chunked")]);
        script.chunked = true;
        script
    }

    /// A chunked stream of server-sent events that stays open.
    pub fn events() -> Script {
        Script::chunked(200, "text/event-stream")
    }

    /// A whole answer with its length.
    pub fn whole(status: u16, content_type: &str, body: impl AsRef<[u8]>) -> Script {
        let body = body.as_ref();
        let length = body.len().to_string();
        Script::head(status, &[("content-type", content_type), ("content-length", &length)]).raw(body)
    }

    pub fn json(status: u16, body: impl AsRef<[u8]>) -> Script {
        Script::whole(status, "application/json", body)
    }

    /// A whole stream of server-sent events.
    pub fn stream(body: impl AsRef<[u8]>) -> Script {
        Script::events().piece(body).end()
    }

    /// Bytes as they are, outside any framing. Those that follow one another are written at once: between them no limit of
    /// the peer can end, however slow this machine is.
    pub fn raw(mut self, bytes: impl AsRef<[u8]>) -> Script {
        match self.steps.last_mut() {
            Some(Step::Write(before)) => before.extend_from_slice(bytes.as_ref()),
            _ => self.steps.push(Step::Write(bytes.as_ref().to_vec())),
        }
        self
    }

    /// Reads this many bytes of what the peer sends and no more, for a [`Script::deaf`] start.
    pub fn takes(mut self, bytes: usize) -> Script {
        self.still = true;
        self.steps.push(Step::Take(bytes));
        self
    }

    /// A piece of the body.
    pub fn piece(self, bytes: impl AsRef<[u8]>) -> Script {
        let framed = self.framed(bytes.as_ref());
        self.raw(framed)
    }

    /// Every byte of the body by itself.
    pub fn byte_by_byte(self, bytes: impl AsRef<[u8]>) -> Script {
        bytes.as_ref().iter().fold(self, |mut script, byte| {
            script.steps.push(Step::Write(script.framed(&[*byte])));
            script
        })
    }

    pub fn forever(mut self, bytes: impl AsRef<[u8]>) -> Script {
        self.steps.push(Step::Forever(self.framed(bytes.as_ref())));
        self
    }

    pub fn drip(mut self, bytes: impl AsRef<[u8]>, pause: Duration) -> Script {
        self.steps.push(Step::Drip(self.framed(bytes.as_ref()), pause));
        self
    }

    pub fn gate(mut self, name: &'static str) -> Script {
        self.steps.push(Step::Gate(name));
        self
    }

    pub fn silence(mut self) -> Script {
        self.steps.push(Step::Silence);
        self
    }

    pub fn reset(mut self) -> Script {
        self.steps.push(Step::Reset);
        self
    }

    /// The last chunk.
    pub fn end(self) -> Script {
        if self.chunked { self.raw("0\r\n\r\n") } else { self }
    }

    fn framed(&self, bytes: &[u8]) -> Vec<u8> {
        if !self.chunked {
            return bytes.to_vec();
        }
        let mut framed = format!("{:x}\r\n", bytes.len()).into_bytes();
        framed.extend_from_slice(bytes);
        framed.extend_from_slice(b"\r\n");
        framed
    }
}

/// One request as it came.
#[derive(Debug, Clone, Default)]
pub struct Request {
    pub method: String,
    pub path: String,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Request {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).expect("a body of JSON")
    }

    /// The text of the first message.
    pub fn prompt(&self) -> String {
        let content = &self.json()["messages"][0]["content"];
        content.as_str().or_else(|| content[0]["text"].as_str()).unwrap_or_default().to_owned()
    }
}

#[derive(Debug, Default)]
struct State {
    requests: Vec<Request>,
    connections: usize,
    open: BTreeSet<&'static str>,
    gone: BTreeSet<usize>,
    written: usize,
    closing: bool,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no test panics while it holds this")
    }

    fn change(&self, how: impl FnOnce(&mut State)) {
        how(&mut self.state());
        self.changed.notify_all();
    }

    /// Waits until something holds; false when patience ran out.
    fn until(&self, holds: impl Fn(&State) -> bool) -> bool {
        let state = self.state();
        let waited = self.changed.wait_timeout_while(state, PATIENCE, |state| !holds(state) && !state.closing);
        waited.is_ok_and(|(state, _)| holds(&state))
    }
}

/// A server that plays its scripts: the first to the first connection and so on, the last to all that follow.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    shared: Arc<Shared>,
}

impl Server {
    pub fn new(script: Script) -> Server {
        Server::of(vec![script])
    }

    pub fn of(scripts: Vec<Script>) -> Server {
        Server::on(TcpListener::bind("127.0.0.1:0").expect("a port on loopback"), scripts)
    }

    /// One that listens there.
    pub fn on(listener: TcpListener, scripts: Vec<Script>) -> Server {
        let address = listener.local_addr().expect("has an address");
        let shared = Arc::new(Shared::default());
        let for_all = Arc::clone(&shared);
        thread::spawn(move || {
            for (number, stream) in listener.incoming().enumerate() {
                let Ok(stream) = stream else { break };
                if for_all.state().closing {
                    break;
                }
                let script = scripts.get(number).or(scripts.last()).cloned().unwrap_or_default();
                let shared = Arc::clone(&for_all);
                shared.change(|state| state.connections += 1);
                thread::spawn(move || serve(stream, script, number, &shared));
            }
        });
        Server { address, shared }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Host and port.
    pub fn authority(&self) -> String {
        self.address.to_string()
    }

    pub fn requests(&self) -> Vec<Request> {
        self.shared.state().requests.clone()
    }

    /// The one request that must have come.
    pub fn request(&self) -> Request {
        let requests = self.requests();
        assert_eq!(requests.len(), 1, "{requests:?}");
        requests.into_iter().next().unwrap_or_default()
    }

    pub fn connections(&self) -> usize {
        self.shared.state().connections
    }

    /// Bytes that the peer has taken.
    pub fn written(&self) -> usize {
        self.shared.state().written
    }

    pub fn open(&self, gate: &'static str) {
        self.shared.change(|state| _ = state.open.insert(gate));
    }

    /// Waits until somebody is connected.
    pub fn await_connection(&self) {
        assert!(self.shared.until(|state| state.connections > 0), "nobody ever connected");
    }

    /// Waits until the request is here.
    pub fn await_request(&self) {
        self.await_requests(1);
    }

    /// Waits until so many requests are here.
    pub fn await_requests(&self, count: usize) {
        let came = self.shared.until(|state| state.requests.len() >= count);
        assert!(came, "of {count} requests {} came", self.shared.state().requests.len());
    }

    /// Waits until the peer of the first connection has gone.
    pub fn await_disconnect(&self) {
        assert!(self.shared.until(|state| !state.gone.is_empty()), "the peer never went away");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.shared.change(|state| state.closing = true);
        // Wakes the listener, so that it sees the end.
        let _ = TcpStream::connect(self.address);
    }
}

fn serve(stream: TcpStream, script: Script, number: usize, shared: &Arc<Shared>) {
    let _ = stream.set_nodelay(true);
    let Ok(mut reading) = stream.try_clone() else { return };
    if !script.deaf {
        match read_request(&mut reading) {
            Some(request) => shared.change(|state| state.requests.push(request)),
            // TLS, or nothing at all: a plain server says that it does not understand.
            None => {
                let _ = (&stream).write_all(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n");
                let _ = stream.shutdown(Shutdown::Both);
                return;
            }
        }
    }
    if !script.still {
        let watching = Arc::clone(shared);
        thread::spawn(move || {
            let mut rest = [0; 4096];
            while reading.read(&mut rest).is_ok_and(|count| count > 0) {}
            watching.change(|state| _ = state.gone.insert(number));
        });
    }
    for step in &script.steps {
        if !play(step, &stream, number, shared) {
            break;
        }
    }
    let _ = stream.shutdown(Shutdown::Both);
}

/// One step; false when the connection is over.
fn play(step: &Step, mut stream: &TcpStream, number: usize, shared: &Shared) -> bool {
    let mut write = |bytes: &[u8]| {
        let taken = stream.write_all(bytes).is_ok();
        if taken {
            shared.state().written += bytes.len();
        }
        taken && !shared.state().closing
    };
    match step {
        Step::Write(bytes) => write(bytes),
        Step::Take(bytes) => {
            let mut taken = vec![0; *bytes];
            stream.read_exact(&mut taken).is_ok()
        }
        Step::Forever(bytes) => {
            while write(bytes) {}
            false
        }
        Step::Drip(bytes, pause) => {
            let began = Instant::now();
            while began.elapsed() < PATIENCE && write(bytes) {
                thread::sleep(*pause);
            }
            false
        }
        Step::Gate(name) => shared.until(|state| state.open.contains(name) || state.gone.contains(&number)),
        Step::Silence => {
            shared.until(|state| state.gone.contains(&number));
            false
        }
        Step::Reset => {
            // Closed with nothing left to linger for, the connection is reset instead of ended.
            let _ = socket2::SockRef::from(stream).set_linger(Some(Duration::ZERO));
            false
        }
    }
}

fn read_request(stream: &mut TcpStream) -> Option<Request> {
    let mut bytes = Vec::new();
    let mut piece = [0; 64 << 10];
    let end = loop {
        let count = stream.read(&mut piece).ok().filter(|count| *count > 0)?;
        bytes.extend_from_slice(&piece[..count]);
        if !bytes[0].is_ascii_uppercase() {
            return None;
        }
        if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            break end;
        }
    };
    let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
    let mut lines = head.lines();
    let mut first = lines.next()?.split(' ');
    let headers: Vec<(String, String)> = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
        .collect();
    let mut request = Request {
        method: first.next()?.to_owned(),
        path: first.next()?.to_owned(),
        headers,
        body: bytes.split_off(end + 4),
    };
    let length: usize = request.header("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
    while request.body.len() < length {
        let count = stream.read(&mut piece).ok().filter(|count| *count > 0)?;
        request.body.extend_from_slice(&piece[..count]);
    }
    Some(request)
}

/// A date as HTTP writes it, so many seconds from now.
pub fn http_date(offset_s: i64) -> String {
    let at = jiff::Timestamp::now() + jiff::SignedDuration::from_secs(offset_s);
    let printer = jiff::fmt::rfc2822::DateTimePrinter::new();
    printer.timestamp_to_rfc9110_string(&at).expect("a year of four digits")
}
