//! What is attached, under a hard budget: bounded by what its maker says, by what the user says, or not sent.

mod common;

use common::binary::{Done, KEY, Llmx};
use common::bodies::{DONE, chunk, says};
use common::server::{Script, Server};
use serde_json::{Value, json};

/// A PNG of one pixel, as far as its kind is told by it.
const PNG: &[u8] = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\x00\x00\x01\x00\x00\x00\x01\x08\x06\x00\x00\x00";
const PDF: &[u8] = b"%PDF-1.7\n1 0 obj\n<<>>\nendobj\n";
const WAV: &[u8] = b"RIFF\x24\x00\x00\x00WAVEfmt \x10\x00\x00\x00\x01\x00\x01\x00";

/// An answer of a model with this name.
fn answer(model: &str, prompt: u64) -> Script {
    let usage = json!({"id": "c1", "model": model, "choices": [],
        "usage": {"prompt_tokens": prompt, "completion_tokens": 5, "total_tokens": prompt + 5}});
    let body = format!("{}{}data: {usage}\n\n{DONE}", says("a dot"), chunk(&json!({}), Some("stop")));
    Script::stream(body.replace("m-1", model))
}

/// A call to a model at this server with what is attached, of at most ten tokens of answer.
fn ask(server: &Server, model: &str, attached: &[(&str, &[u8])], args: &[&str]) -> Llmx {
    let llmx = Llmx::chat(&["-m", &format!("openai/{model}"), "--max-tokens", "10", "-j", "What is it?"]);
    let llmx = llmx.env("OPENAI_API_KEY", KEY).env("OPENAI_BASE_URL", format!("{}/v1", server.url())).args(args);
    attached.iter().fold(llmx, |llmx, (name, bytes)| llmx.file(name, bytes).args(&["-a", name]))
}

/// The one row of the run: what was set aside for it, in picodollars.
fn ceiling(done: &Done) -> i64 {
    let rows = done.rows();
    assert_eq!(rows.len(), 1, "{rows:?}");
    let usd = rows[0]["ceiling_usd"].as_str().and_then(llmx::domain::money::Usd::parse);
    usd.unwrap_or_else(|| panic!("no ceiling: {}", rows[0])).picos
}

fn error(done: &Done) -> Value {
    done.json()["error"].clone()
}

#[test]
fn an_image_whose_maximum_is_documented_is_sent_under_a_cap_and_its_reservation_holds() {
    let server = Server::new(answer("gpt-4o", 300));
    let done = ask(&server, "gpt-4o", &[("dot.png", PNG)], &["--max-cost", "5"]).run().exits(0);
    assert_eq!((done.json()["text"].as_str(), server.requests().len()), (Some("a dot"), 1));
    // $2.5 and $10 for a million tokens: the image is at most 1,445 tokens and 16 around it, the answer 10.
    let least = (1_445 + 16) * 2_500_000 + 10 * 10_000_000;
    assert!(ceiling(&done) > least && ceiling(&done) < 2 * least, "{}", ceiling(&done));
    // 300 × $0.0000025 + 5 × $0.00001
    assert_eq!(done.json()["cost"]["usd"], "0.0008");
    // Each image is counted, and a cap below them refuses.
    let two = [("one.png", PNG), ("two.png", PNG)];
    let both = ask(&server, "gpt-4o", &two, &["--max-cost", "5"]).run().exits(0);
    assert!(ceiling(&both) >= ceiling(&done) + (1_445 + 16) * 2_500_000, "{}", ceiling(&both));
    let refused = ask(&server, "gpt-4o", &two, &["--max-cost", "0.004"]).run().exits(8);
    assert_eq!((error(&refused)["why"].as_str(), server.requests().len()), (Some("does-not-fit"), 2));
}

#[test]
fn a_large_image_counts_by_its_tokens_and_a_budget_of_the_books_admits_it() {
    let photo = [PNG, &[7; 2 << 20]].concat();
    let server = Server::new(answer("gpt-4o", 1_500));
    let budget = "[budget.small]\nlimit = \"0.01/day\"\n";
    let done = ask(&server, "gpt-4o", &[("photo.png", &photo)], &[]).config(budget).run().exits(0);
    assert!(server.request().body.len() > 2 << 20, "the whole image went out");
    // Its 2.8 million characters of base64 would have been $7.
    assert!(ceiling(&done) < 10_000_000_000, "{}", ceiling(&done));
}

#[test]
fn what_nobody_can_bound_is_refused_and_the_setting_is_named() {
    let unknown_images: &[(&str, &[u8])] = &[("dot.png", PNG)];
    for (model, attached) in [
        ("gpt-4o", &[("page.pdf", PDF)][..]),
        ("gpt-4o", &[("tone.wav", WAV)]),
        ("gpt-4o", &[("dot.png", PNG), ("page.pdf", PDF)]),
        ("gpt-5.2", unknown_images),
    ] {
        let server = Server::new(answer(model, 300));
        let done = ask(&server, model, attached, &["--max-cost", "5"]).run().exits(8);
        let said = error(&done);
        assert_eq!((said["class"].as_str(), said["why"].as_str()), (Some("budget"), Some("unbounded")), "{said}");
        let done = done.says(&["limits.attachment_tokens does not say", "try: set limits.attachment_tokens"]);
        assert_eq!((server.connections(), done.booked()), (0, 0));

        // Set, it is set aside for each attachment, and the call is sent.
        let limits = "[limits]\nattachment_tokens = 20000\n";
        let done = ask(&server, model, attached, &["--max-cost", "5"]).config(limits).run().exits(0);
        assert_eq!(server.requests().len(), 1, "{model}");
        let rate = if model == "gpt-4o" { 2_500_000 } else { 1_750_000 };
        assert!(ceiling(&done) >= 20_016 * rate, "{model}: {}", ceiling(&done));
        // Without a cap it is sent in any case.
        ask(&server, model, attached, &[]).run().exits(0);
    }
}

#[test]
fn the_users_word_lowers_no_documented_maximum() {
    let server = Server::new(answer("gpt-4o", 300));
    let limits = "[limits]\nattachment_tokens = 1\n";
    let done = ask(&server, "gpt-4o", &[("dot.png", PNG)], &["--max-cost", "5"]).config(limits).run().exits(0);
    assert!(ceiling(&done) >= 1_461 * 2_500_000, "{}", ceiling(&done));
}

#[test]
fn an_image_whose_call_broke_off_is_guessed_below_its_ceiling() {
    let photo = [PNG, &[7; 200_000]].concat();
    let server = Server::new(Script::events().piece(says("a d").replace("m-1", "gpt-4o")).reset());
    let done = ask(&server, "gpt-4o", &[("photo.png", &photo)], &["--max-cost", "5"]).run().exits(6);
    let rows = done.rows();
    let picos =
        |key: &str| rows[0]["cost"][key].as_str().and_then(llmx::domain::money::Usd::parse).map(|usd| usd.picos);
    assert_eq!((rows[0]["cost"]["basis"].as_str(), picos("at_most_usd")), (Some("estimated"), Some(ceiling(&done))));
    assert!(picos("usd").is_some_and(|usd| usd >= 1_445 * 2_500_000 && usd < ceiling(&done)), "{}", rows[0]["cost"]);
}
