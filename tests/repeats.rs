//! How often a request is sent again: the exact number of attempts, of rows in the books and of what the server saw.

mod common;

use common::binary::{Done, KEY, Llmx};
use common::bodies::{self, ONE, says};
use common::server::{Script, Server};

fn ask(url: &str) -> Llmx {
    Llmx::chat(&["-m", "openai/gpt-4o", "--base-url", url, "-j", "x"]).env("OPENAI_API_KEY", KEY)
}

/// So many attempts were made, and each has a row with this basis that points at the first.
#[track_caller]
fn tried(done: &Done, attempts: usize, basis: &str) {
    assert_eq!(done.json()["timing"]["attempts"], attempts, "{done:?}");
    let rows = done.rows();
    assert_eq!(rows.len(), attempts, "{rows:?}");
    for row in &rows {
        assert_eq!(row["cost"]["basis"], basis, "{row}");
        assert_eq!(row["retry_of"].as_str(), rows[0]["id"].as_str().filter(|first| row["id"] != **first), "{row}");
    }
}

#[test]
fn a_refused_connection_is_tried_three_times() {
    let closed = Server::new(Script::bare());
    let url = closed.url();
    drop(closed);
    let done = ask(&url).run().exits(6).says(&["refused"]);
    tried(&done, 3, "nothing");
    let done = ask(&url).args(&["--retries", "0"]).run().exits(6);
    tried(&done, 1, "nothing");
}

/// Linux answers no further caller once the queue of a listener is full.
#[cfg(target_os = "linux")]
#[test]
fn a_connection_that_is_never_made_is_tried_twice() {
    use std::time::Duration;

    use socket2::{Domain, Socket, Type};
    let listener = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    let here: std::net::SocketAddr = ([127, 0, 0, 1], 0).into();
    listener.bind(&here.into()).expect("a port");
    listener.listen(0).expect("listens");
    let address = listener.local_addr().ok().and_then(|address| address.as_socket()).expect("bound");
    let waiting: Vec<_> =
        (0..4).filter_map(|_| std::net::TcpStream::connect_timeout(&address, Duration::from_millis(50)).ok()).collect();
    assert!(waiting.len() < 4, "the queue is never full");
    let done = ask(&format!("http://{address}")).config("[limits]\nconnect_ms = 100\n").run().exits(6);
    tried(&done, 2, "nothing");
}

#[test]
fn a_tls_handshake_that_stalls_is_tried_twice() {
    let server = Server::new(Script::mute());
    let url = server.url().replace("http:", "https:");
    let done = ask(&url).config("[limits]\ntls_ms = 100\n").run().exits(6);
    tried(&done, 2, "nothing");
    assert_eq!(server.connections(), 2);
}

#[test]
fn an_error_inside_a_200_is_tried_twice_before_the_first_content_and_once_after_it() {
    for spoken in bodies::all() {
        for (error, exit, basis) in [(&spoken.refusal, 5, "nothing"), (&spoken.error, 6, "ceiling")] {
            let ask = |body: String| {
                // By its own name the model has a price.
                let body = body.replace("m-1", "gpt-4o");
                let server = Server::new(Script::chunked(200, spoken.content_type).piece(body).end());
                let done = ask(&server.url()).args(&["--api", spoken.api, "--max-tokens", "99"]).run().exits(exit);
                (done, server)
            };
            let (done, server) = ask(error.clone());
            tried(&done, 2, basis);
            assert_eq!(server.requests().len(), 2, "{}", spoken.api);
            let (done, server) = ask(format!("{}{error}", spoken.begun()));
            tried(&done, 1, "estimated");
            assert_eq!((server.requests().len(), &done.json()["text"]), (1, &ONE.into()), "{}", spoken.api);
        }
    }
}

#[test]
fn the_providers_word_that_a_refused_request_is_worth_repeating_is_worth_one_more() {
    for (status, word, attempts, exit) in
        [(400, "true", 2, 1), (400, "false", 1, 1), (429, "true", 3, 5), (429, "false", 1, 5), (500, "false", 1, 6)]
    {
        let server = Server::new(Script::head(status, &[("x-should-retry", word), ("content-length", "0")]));
        let done = ask(&server.url()).run().exits(exit);
        tried(&done, attempts, "nothing");
        assert_eq!(server.requests().len(), attempts, "{status} {word}");
    }
}

#[test]
fn what_may_have_been_answered_is_tried_once_unless_the_user_asks_for_more() {
    for (config, attempts) in [("", 1), ("[retry]\nambiguous = true\nbackoff_ms = 1\n", 2)] {
        let server = Server::new(Script::bare().reset());
        let done = ask(&server.url()).file("config/llmx/config.toml", config).run().exits(6);
        tried(&done, attempts, "ceiling");
        assert_eq!(server.requests().len(), attempts);
        let server = Server::new(Script::events().piece(says("half").replace("m-1", "gpt-4o")).reset());
        let done = ask(&server.url()).file("config/llmx/config.toml", config).run().exits(6);
        tried(&done, 1, "estimated");
        assert_eq!(server.requests().len(), 1);
    }
}
