//! Whom `llmx` trusts over TLS: the built-in roots and those that the user gives, and there is no way around that.

mod common;

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use common::binary::{Done, KEY, Llmx};
use common::bodies;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, date_time_ymd};
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

/// A root of one's own and a certificate under it.
struct Chain {
    root_pem: String,
    leaf: CertificateDer<'static>,
    key: Vec<u8>,
}

/// A certificate for these names, changed by `change`, under a root that nobody knows.
fn chain(names: &[&str], change: impl Fn(&mut CertificateParams)) -> Chain {
    let root_key = KeyPair::generate().expect("a key");
    let mut root = CertificateParams::new(Vec::new()).expect("no names");
    root.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let root_pem = root.self_signed(&root_key).expect("signed").pem();
    let key = KeyPair::generate().expect("a key");
    let mut leaf =
        CertificateParams::new(names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>()).expect("names");
    change(&mut leaf);
    let leaf = leaf.signed_by(&key, &Issuer::from_params(&root, &root_key)).expect("signed");
    Chain { root_pem, leaf: leaf.der().clone(), key: key.serialize_der() }
}

fn good() -> Chain {
    chain(&["localhost", "127.0.0.1"], |_| {})
}

/// A server that speaks TLS and gives one good answer to every request.
struct Server {
    authority: String,
    connections: Arc<AtomicUsize>,
    heads: Arc<Mutex<Vec<String>>>,
}

impl Server {
    fn new(chain: &Chain) -> Server {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_no_client_auth()
            .with_single_cert(vec![chain.leaf.clone()], PrivatePkcs8KeyDer::from(chain.key.clone()).into())
            .expect("fits its key");
        let config = Arc::new(config);
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port on loopback");
        let authority = listener.local_addr().expect("has an address").to_string();
        let (connections, heads) = (Arc::new(AtomicUsize::new(0)), Arc::new(Mutex::new(Vec::new())));
        let (counted, seen) = (Arc::clone(&connections), Arc::clone(&heads));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                counted.fetch_add(1, Ordering::SeqCst);
                let connection = ServerConnection::new(Arc::clone(&config)).expect("a connection");
                serve(StreamOwned::new(connection, stream), &seen);
            }
        });
        Server { authority, connections, heads }
    }

    fn ask(&self, host: &str, change: impl Fn(Llmx) -> Llmx) -> Done {
        let port = self.authority.rsplit(':').next().unwrap_or_default();
        let url = format!("https://{host}:{port}/v1");
        change(Llmx::chat(&["-m", "openai/gpt-4o", "--base-url", &url, "-j", "x"]).env("OPENAI_API_KEY", KEY)).run()
    }

    /// The handshake failed, once, and nothing of the request was sent.
    #[track_caller]
    fn was_told_nothing(&self, done: Done) -> Done {
        let error = done.json()["error"].clone();
        assert_eq!((&error["class"], &error["may_be_billed"]), (&"network".into(), &false.into()), "{error}");
        assert_eq!(error["retryable"], false, "{error}");
        assert!(self.heads.lock().expect("not poisoned").is_empty());
        assert_eq!(self.connections.load(Ordering::SeqCst), 1);
        done.exits(6).says(&["certificate", "--ca-file"])
    }
}

fn serve(mut stream: StreamOwned<ServerConnection, std::net::TcpStream>, seen: &Mutex<Vec<String>>) {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read(&mut byte) {
            Ok(1) => head.push(byte[0]),
            _ => return,
        }
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok()).unwrap_or(0);
    let mut body = vec![0; length];
    let _ = stream.read_exact(&mut body);
    seen.lock().expect("not poisoned").push(head);
    let answer = bodies::chat().whole;
    let _ = write!(stream, "HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{answer}", answer.len());
    stream.conn.send_close_notify();
    let _ = stream.flush();
}

#[test]
fn a_root_that_the_user_gives_is_trusted_wherever_it_is_given() {
    let chain = good();
    let server = Server::new(&chain);
    for host in ["localhost", "127.0.0.1"] {
        for give in [
            |llmx: Llmx| llmx.args(&["--ca-file", "root.pem"]),
            |llmx: Llmx| llmx.config("ca_bundle = \"root.pem\"\n"),
            |llmx: Llmx| llmx.env("SSL_CERT_FILE", "root.pem"),
        ] {
            let done = server.ask(host, |llmx| give(llmx.file("root.pem", &chain.root_pem))).exits(0);
            assert_eq!(done.json()["text"], bodies::TEXT);
        }
    }
    let heads = server.heads.lock().expect("not poisoned");
    assert_eq!(heads.len(), 6);
    assert!(heads.iter().all(|head| head.contains(&format!("authorization: Bearer {KEY}"))));
}

#[test]
fn a_certificate_of_nobody_gets_neither_key_nor_prompt() {
    let server = Server::new(&good());
    let done = server.ask("127.0.0.1", |llmx| llmx);
    server.was_told_nothing(done).says(&["it is self-signed, or under a root of a company or a proxy", "ca_bundle"]);
    // Another root than the one above it.
    let (server, other) = (Server::new(&good()), good());
    let done = server.ask("127.0.0.1", |llmx| llmx.file("root.pem", &other.root_pem).args(&["--ca-file", "root.pem"]));
    server.was_told_nothing(done);
}

#[test]
fn a_certificate_for_another_name_or_another_time_is_refused() {
    let expired = |leaf: &mut CertificateParams| {
        leaf.not_before = date_time_ymd(2020, 1, 1);
        leaf.not_after = date_time_ymd(2021, 1, 1);
    };
    let to_come = |leaf: &mut CertificateParams| {
        leaf.not_before = date_time_ymd(2990, 1, 1);
        leaf.not_after = date_time_ymd(2999, 1, 1);
    };
    let authority = |leaf: &mut CertificateParams| leaf.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    for (chain, reason) in [
        (chain(&["api.openai.com"], |_| {}), "it is for api.openai.com, not for 127.0.0.1:"),
        (chain(&["127.0.0.1"], expired), "it expired on 2021-01-01 00:00:00Z"),
        (chain(&["127.0.0.1"], to_come), "it is not valid before 2990-01-01 00:00:00Z"),
        (chain(&["127.0.0.1"], authority), "it is an authority's own certificate"),
    ] {
        let server = Server::new(&chain);
        let done =
            server.ask("127.0.0.1", |llmx| llmx.file("root.pem", &chain.root_pem).args(&["--ca-file", "root.pem"]));
        server.was_told_nothing(done).says(&[reason]);
    }
}

#[test]
fn a_file_of_roots_that_cannot_be_read_is_told_before_anything_is_sent() {
    let server = Server::new(&good());
    for (name, content) in [
        ("none.pem", None),
        ("empty.pem", Some("")),
        ("broken.pem", Some("-----BEGIN CERTIFICATE-----\n!!\n-----END CERTIFICATE-----\n")),
    ] {
        let done = server.ask("127.0.0.1", |llmx| {
            let llmx = content.into_iter().fold(llmx, |llmx, content| llmx.file(name, content));
            llmx.args(&["--ca-file", name])
        });
        done.exits(2).says(&[name, "root certificates"]);
    }
    assert_eq!(server.connections.load(Ordering::SeqCst), 0);
}

#[test]
fn plain_http_to_a_port_of_tls_is_no_answer() {
    let server = Server::new(&good());
    let url = format!("http://{}", server.authority);
    let done = Llmx::chat(&["-m", "openai/gpt-4o", "--base-url", &url, "-j", "x"]).env("OPENAI_API_KEY", KEY).run();
    let error = done.json()["error"].clone();
    assert_eq!((&error["class"], &error["retryable"]), (&"protocol".into(), &false.into()), "{error}");
    assert!(server.heads.lock().expect("not poisoned").is_empty());
    done.exits(6).says(&["no usable HTTP", "scheme"]);
}
