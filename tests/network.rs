//! The way to a provider: through a proxy or past it, over IPv6, and to a host that has several addresses.

#![expect(clippy::print_stderr, reason = "a skipped test must say so")]

mod common;

use std::io::{Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, TcpListener, TcpStream, ToSocketAddrs as _};
use std::sync::mpsc::{Receiver, channel};
use std::thread;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use common::binary::{KEY, Llmx};
use common::bodies::{self, chat_stream};
use common::server::{PATIENCE, Script, Server};

fn fine() -> Script {
    Script::stream(chat_stream("fine"))
}

/// A call to a host that no name server knows: only a proxy can answer it.
fn beyond(url: &str) -> Llmx {
    Llmx::chat(&["-m", "openai/gpt-4o", "--retries", "0", "x"])
        .env("OPENAI_API_KEY", KEY)
        .env("OPENAI_BASE_URL", format!("{url}/v1"))
        .config("[provider.openai]\nallow_http = true\n[limits]\nconnect_ms = 300\n")
}

#[test]
fn a_proxy_is_taken_from_every_variable_in_both_cases() {
    for name in ["HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"] {
        let proxy = Server::new(fine());
        beyond("http://models.invalid").env(name, proxy.url()).run().exits(0).prints("fine\n");
        assert_eq!(proxy.request().path, "http://models.invalid/v1/chat/completions", "{name}");
    }
    for name in ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"] {
        let proxy = Server::new(Script::head(403, &[("content-length", "0")]));
        beyond("https://models.invalid").env(name, proxy.url()).run().exits(6).says(&["refuses", name]);
        let request = proxy.request();
        assert_eq!((request.method.as_str(), request.path.as_str()), ("CONNECT", "models.invalid:443"), "{name}");
    }
}

#[test]
fn a_proxys_password_goes_to_the_proxy_and_nowhere_else() {
    let proxy = Server::of(vec![fine(), Script::head(407, &[("content-length", "0")])]);
    let address = proxy.url().replace("http://", "http://me:pw-CANARY%21@");
    let known = format!("Basic {}", STANDARD.encode("me:pw-CANARY!"));
    beyond("http://models.invalid").args(&["-vv"]).env("HTTP_PROXY", &address).run().exits(0);
    beyond("https://models.invalid").args(&["-vv"]).env("HTTPS_PROXY", &address).run().exits(6);
    let requests = proxy.requests();
    assert_eq!(requests.len(), 2);
    for request in &requests {
        assert_eq!(request.header("proxy-authorization"), Some(known.as_str()), "{request:?}");
    }
    assert_eq!(requests[1].header("authorization"), None, "{:?}", requests[1]);
}

#[test]
fn no_proxy_excepts_names_addresses_networks_and_ports() {
    let cases = [
        ("models.invalid", "http://models.invalid", false),
        (".invalid", "http://models.invalid", false),
        ("invalid", "http://models.invalid", false),
        ("a.example, *.invalid", "http://models.invalid", false),
        ("*", "http://models.invalid", false),
        ("models.invalid:8080", "http://models.invalid:8080", false),
        ("models.invalid:8080", "http://models.invalid:8081", true),
        ("dels.invalid,localhost", "http://models.invalid", true),
        // Broadcast and multicast: no connection can be made there, and nothing is sent.
        ("255.0.0.0/8", "http://255.255.255.255", false),
        ("255.255.255.255:80", "http://255.255.255.255", false),
        ("10.0.0.0/8", "http://255.255.255.255", true),
        ("ff00::/8", "http://[ff0e::1]:8080", false),
        ("[ff0e::1]:8080", "http://[ff0e::1]:8080", false),
        ("[ff0e::1]:8080", "http://[ff0e::1]", true),
        ("2001:db8::/32", "http://[ff0e::1]", true),
    ];
    for (list, url, through) in cases {
        for name in ["NO_PROXY", "no_proxy"] {
            let proxy = Server::new(fine());
            let done = beyond(url).env("HTTP_PROXY", proxy.url()).env(name, list).run();
            assert_eq!((proxy.connections(), done.code), if through { (1, 0) } else { (0, 6) }, "{name}={list} {url}");
        }
    }
}

#[test]
fn a_proxy_of_an_unknown_kind_is_not_passed_by_in_silence() {
    let done = beyond("https://models.invalid").env("HTTPS_PROXY", "quic://me:CANARY@127.0.0.1:1").run();
    done.exits(2).prints("").says(&["HTTPS_PROXY is no address of a proxy", "socks5h://"]);
}

/// A SOCKS proxy (RFC 1928) that gives every connection to the server, and tells what it was asked for.
fn socks(server: &Server) -> (String, Receiver<Vec<u8>>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port on loopback");
    let address = listener.local_addr().expect("has an address").to_string();
    let (asked, heard) = channel();
    let to = server.authority();
    thread::spawn(move || {
        let Ok((mut from, _)) = listener.accept() else { return };
        let mut head = [0; 2];
        from.read_exact(&mut head).expect("a greeting");
        let mut methods = vec![0; usize::from(head[1])];
        from.read_exact(&mut methods).expect("methods");
        from.write_all(&[5, 0]).expect("taken");
        let mut request = vec![0; 5];
        from.read_exact(&mut request).expect("a request");
        let rest = if request[3] == 3 { usize::from(request[4]) + 2 } else { 5 };
        let at = request.len();
        request.resize(at + rest, 0);
        from.read_exact(&mut request[at..]).expect("an address");
        let _ = asked.send(request);
        from.write_all(&[5, 0, 0, 1, 0, 0, 0, 0, 0, 0]).expect("taken");
        let mut to = TcpStream::connect(to).expect("the server");
        let (mut there, mut back) = (from.try_clone().expect("a copy"), to.try_clone().expect("a copy"));
        thread::spawn(move || std::io::copy(&mut there, &mut to));
        let _ = std::io::copy(&mut back, &mut from);
    });
    (address, heard)
}

#[test]
fn a_socks_proxy_is_given_the_name_and_the_answer_comes_through_it() {
    let server = Server::new(fine());
    let (address, heard) = socks(&server);
    let done = beyond("http://models.invalid:8080").env("ALL_PROXY", format!("socks5h://{address}")).run();
    done.exits(0).prints("fine\n");
    let asked = heard.recv_timeout(PATIENCE).expect("it was asked");
    assert_eq!(asked, [&[5, 1, 0, 3, 14][..], b"models.invalid", &8080_u16.to_be_bytes()].concat());
    assert_eq!(server.request().header("host"), Some("models.invalid:8080"));
}

#[test]
fn a_socks_proxy_that_is_not_there_is_named_without_its_password() {
    let closed = Server::new(Script::bare());
    let authority = closed.authority();
    drop(closed);
    let llmx = beyond("https://models.invalid").env("HTTPS_PROXY", format!("socks5h://me:CANARY@{authority}"));
    llmx.run().exits(6).prints("").says(&[&format!("the proxy {authority} (HTTPS_PROXY)"), "try: is the proxy"]);
}

/// A server on this machine's other loopback; `None` (and a message) where there is none.
fn over_six(scripts: Vec<Script>) -> Option<(Server, u16)> {
    let listener = TcpListener::bind((Ipv6Addr::LOCALHOST, 0));
    if listener.is_err() {
        eprintln!("skipped: this machine has no IPv6");
    }
    let listener = listener.ok()?;
    let port = listener.local_addr().expect("has an address").port();
    Some((Server::on(listener, scripts), port))
}

#[test]
fn every_dialect_is_spoken_over_ipv6_without_a_proxy_and_with_a_key() {
    for spoken in bodies::all() {
        let Some((server, port)) = over_six(vec![Script::whole(200, spoken.content_type, spoken.stream())]) else {
            return;
        };
        let url = format!("http://[::1]:{port}/v1");
        let done = Llmx::chat(&["-m", "openai/gpt-4o", "--api", spoken.api, "--base-url", &url, "x"])
            .env("OPENAI_API_KEY", KEY)
            .env("ALL_PROXY", "http://127.0.0.1:1")
            .run();
        done.exits(0).prints(&format!("{}\n", bodies::TEXT));
        let request = server.request();
        assert_eq!(request.header("host"), Some(format!("[::1]:{port}").as_str()), "{}", spoken.api);
        assert!(request.headers.iter().any(|(_, value)| value.contains(KEY)), "{}: {request:?}", spoken.api);
    }
}

#[cfg(feature = "bedrock")]
#[test]
fn bedrock_is_called_over_ipv6_and_through_a_proxy() {
    let answer = serde_json::json!({"output": {"message": {"role": "assistant", "content": [{"text": "fine"}]}},
        "stopReason": "end_turn", "usage": {"inputTokens": 7, "outputTokens": 5, "totalTokens": 12},
        "metrics": {"latencyMs": 1}});
    let ask = |endpoint: &str| {
        Llmx::chat(&["-m", "bedrock@us-east-1/amazon.nova-lite-v1:0", "--no-stream", "--retries", "0", "x"])
            .env("AWS_ACCESS_KEY_ID", "AKIDTEST")
            .env("AWS_SECRET_ACCESS_KEY", KEY)
            .env("AWS_ENDPOINT_URL_BEDROCK_RUNTIME", endpoint)
    };
    let script = Script::json(200, answer.to_string());
    if let Some((server, port)) = over_six(vec![script]) {
        let done = ask(&format!("http://[::1]:{port}")).env("ALL_PROXY", "http://127.0.0.1:1").run();
        done.exits(0).prints("fine\n");
        let request = server.request();
        let signed = request.header("authorization").unwrap_or_default();
        assert!(
            signed.contains("AKIDTEST") && signed.contains("SignedHeaders=") && signed.contains("host"),
            "{signed}"
        );
        assert_eq!(request.header("host"), Some(format!("[::1]:{port}").as_str()));
    }
    let proxy = Server::new(Script::head(407, &[("content-length", "0")]));
    let address = proxy.url().replace("http://", "http://me:CANARY@");
    let done = ask("https://bedrock.invalid").env("HTTPS_PROXY", address).run();
    done.exits(6).says(&[&format!("the proxy {}", proxy.authority()), "wants a user and a password"]);
    assert_eq!(proxy.request().path, "bedrock.invalid:443");
}

#[test]
fn of_a_host_with_two_addresses_the_one_that_listens_is_called() {
    let addresses: Vec<IpAddr> =
        ("localhost", 0).to_socket_addrs().expect("is known").map(|address| address.ip()).collect();
    for (listens, refuses) in [
        (IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)),
        (IpAddr::V6(Ipv6Addr::LOCALHOST), IpAddr::V4(Ipv4Addr::LOCALHOST)),
    ] {
        if !(addresses.contains(&listens) && addresses.contains(&refuses)) {
            eprintln!("skipped: localhost has not both addresses here: {addresses:?}");
            return;
        }
        let listener = TcpListener::bind((listens, 0)).expect("a port on loopback");
        let port = listener.local_addr().expect("has an address").port();
        let server = Server::on(listener, vec![fine()]);
        Llmx::openai(&server, &["--base-url", &format!("http://localhost:{port}/v1"), "x"])
            .run()
            .exits(0)
            .prints("fine\n");
        assert_eq!((server.connections(), server.requests().len()), (1, 1), "{listens}");
    }
}
