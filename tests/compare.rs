//! `llmx compare` through the built binary: every answer shown, every call booked, one exit code for all.

mod common;
#[cfg(unix)]
#[path = "compare/screens.rs"]
mod screens;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use common::binary::{KEY, Llmx};
use common::bodies::{DONE, event};
use common::server::{Script, Server};
use serde_json::{Value, json};

/// Books and price table in a folder that outlives the runs.
struct Books {
    folder: tempfile::TempDir,
}

/// 1,000,000 picodollars for a token of input and 2,000,000 for one of output.
fn price(provider: usize) -> String {
    format!(
        "[model.\"p{provider}/m\"]\nprice = {{ input = 1, output = 2 }}\nmax_output = 1000\nchecked = 2026-11-22\n\
         source = \"https://example.org/prices\"\n"
    )
}

impl Books {
    fn new() -> Books {
        Books { folder: tempfile::tempdir().expect("a folder") }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn llmx(&self, args: &[&str]) -> Llmx {
        Llmx::new(args).env("LLMX_DB", self.path("ledger.db"))
    }

    /// `compare` with a model `pN/m` at each of these servers.
    fn compare(&self, servers: &[&Server], args: &[&str]) -> Llmx {
        self.configured(servers, "", args)
    }

    fn configured(&self, servers: &[&Server], more: &str, args: &[&str]) -> Llmx {
        let (mut config, mut prices) = (more.to_owned(), "version = \"own\"\n".to_owned());
        for (at, server) in servers.iter().enumerate() {
            config.push_str(&format!(
                "[provider.p{at}]\nname = \"P\"\nbase_url = \"{}/v1\"\napi = [\"chat\"]\nkey = [\"P_KEY\"]\n",
                server.url()
            ));
            prices.push_str(&price(at));
        }
        let models: Vec<String> = (0..servers.len()).map(|at| format!("p{at}/m")).collect();
        let llmx = self.llmx(&["compare"]).args(if servers.is_empty() { &[] } else { &["-m"] });
        let llmx = if servers.is_empty() { llmx } else { llmx.args(&[&models.join(",")]) };
        llmx.args(args).env("P_KEY", KEY).config(&config).file("config/llmx/pricing.toml", prices)
    }

    fn rows(&self) -> Vec<Value> {
        let listed = self.llmx(&["logs", "-j", "-n", "100000"]).run().exits(0).json();
        listed["calls"].as_array().expect("a list").clone()
    }

    #[track_caller]
    fn are_whole(&self) {
        self.llmx(&["ledger", "check"]).run().exits(0);
    }
}

fn chunk(delta: &Value, finish: Option<&str>) -> String {
    event(&json!({"id": "c1", "object": "chat.completion.chunk", "model": "m",
        "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}))
}

fn says(text: &str) -> String {
    chunk(&json!({"content": text}), None)
}

/// The end of a stream with a usage of 7 and 5 tokens: 7 × 1,000,000 + 5 × 2,000,000 picodollars.
fn stops() -> String {
    let usage = event(&json!({"id": "c1", "model": "m", "choices": [],
        "usage": {"prompt_tokens": 7, "completion_tokens": 5, "total_tokens": 12}}));
    format!("{}{usage}{DONE}", chunk(&json!({}), Some("stop")))
}

const WHOLE_USD: &str = "0.000017";

fn whole(text: &str) -> Script {
    Script::stream(format!("{}{}", says(text), stops()))
}

fn unauthorized() -> Script {
    Script::json(
        401,
        json!({"error": {"message": "this key is not good", "type": "invalid_request_error"}}).to_string(),
    )
}

fn limited() -> Script {
    let body = json!({"error": {"message": "slow down", "type": "rate_limit_exceeded"}}).to_string();
    let length = body.len().to_string();
    Script::head(429, &[("content-type", "application/json"), ("retry-after", "0"), ("content-length", &length)])
        .raw(body)
}

fn calls(object: &Value) -> &Vec<Value> {
    object["calls"].as_array().expect("a list")
}

#[test]
fn a_model_that_fails_never_sinks_the_rest() {
    let no = Server::new(unauthorized());
    let busy = Server::of(vec![limited(), whole("after a while")]);
    let hangs = Server::new(Script::events().piece(says("so far ")).silence());
    let cut = Server::new(Script::events().piece(says("half of")));
    let good = Server::new(whole("all of it"));
    let servers = [&no, &busy, &hangs, &cut, &good];
    let patience = "[limits]\nidle_ms = 400\n";

    let books = Books::new();
    let told = books.configured(&servers, patience, &["-j", "hello"]).run().exits(9).json();
    let calls = calls(&told);
    assert_eq!(calls.len(), 5);
    let told_of = |at: usize| (calls[at]["text"].as_str(), calls[at]["error"]["class"].as_str());
    assert_eq!(told_of(0), (Some(""), Some("auth")));
    assert_eq!(told_of(1), (Some("after a while"), None));
    assert_eq!(told_of(2), (Some("so far "), Some("timeout")));
    assert_eq!((told_of(3).0, calls[3]["error"]["may_be_billed"].as_bool()), (Some("half of"), Some(true)));
    assert_eq!(told_of(4), (Some("all of it"), None));
    assert!(calls[0]["error"]["try"].is_string());
    assert_eq!((&calls[1]["timing"]["attempts"], calls[1]["earlier"].as_array().map(Vec::len)), (&json!(2), Some(1)));

    // What came of an answer without its usage is a quarter of its bytes; so is the request.
    let estimate = |server: &Server, text: &str| {
        let sent = server.request().body.len();
        (sent.div_ceil(4) * 1_000_000 + text.len().div_ceil(4) * 2_000_000) as u64
    };
    let usd = |picos: u64| format!("0.{picos:012}").trim_end_matches('0').to_owned();
    let amounts = [
        ("nothing", "0".to_owned()),
        ("table", WHOLE_USD.to_owned()),
        ("estimated", usd(estimate(&hangs, "so far "))),
        ("estimated", usd(estimate(&cut, "half of"))),
        ("table", WHOLE_USD.to_owned()),
    ];
    let rows = books.rows();
    assert_eq!(rows.len(), 6, "five calls, one of them in two attempts");
    for (call, (basis, amount)) in calls.iter().zip(amounts) {
        assert_eq!((&call["cost"]["basis"], &call["cost"]["usd"]), (&json!(basis), &json!(amount)), "{call}");
        assert_eq!(call["cost"]["at_most_usd"].is_null(), basis != "estimated", "{call}");
        let row = rows.iter().find(|row| row["id"] == call["id"]).expect("it is booked");
        assert_eq!((&row["cost"]["usd"], &row["group"]), (&call["cost"]["usd"], &told["group"]), "{row}");
    }
    assert!(rows.iter().all(|row| row["group"] == told["group"] && row["command"] == "compare"));
    books.are_whole();
    let seen: usize = servers.iter().map(|server| server.requests().len()).sum();
    assert_eq!(seen, rows.len());

    let busy = Server::of(vec![limited(), whole("after a while")]);
    let page = Books::new().configured(&[&no, &busy, &hangs, &cut, &good], patience, &["hello"]).run().exits(9);
    for word in
        ["after a while", "so far ", "half of", "all of it", "p0/m: auth: ", "try: ", "2 of 5 answered", "exit 9"]
    {
        assert!(page.text().contains(word), "no \"{word}\" in {}", page.text());
    }
    assert!(!page.text().contains('\u{1b}'));
}

#[test]
fn the_exit_code_says_what_became_of_all() {
    let exits = |code: i32, args: &[&str]| drop(Books::new().llmx(&["compare", "hello"]).args(args).run().exits(code));
    exits(0, &["-m", "sim/echo", "-m", "sim/lorem?tokens=3"]);
    exits(3, &["-m", "sim/error?class=auth,sim/error?class=auth&ttft=1"]);
    exits(5, &["-m", "sim/error?class=quota,sim/error?class=rate-limit", "--retries", "0"]);
    exits(9, &["-m", "sim/error?class=auth,sim/error?class=timeout"]);
    exits(9, &["-m", "sim/echo,sim/error?class=auth"]);
    exits(0, &["-m", "sim/echo,sim/error?class=auth", "--require", "any"]);
    exits(0, &["-m", "sim/echo,sim/error?class=auth", "--require", "1"]);
    exits(9, &["-m", "sim/echo,sim/error?class=auth", "--require", "2"]);
    exits(3, &["-m", "sim/error?class=auth", "--require", "any"]);
    exits(10, &["-m", "sim/echo,sim/lorem", "--assert", "contains:hello"]);
    exits(0, &["-m", "sim/echo,sim/lorem?tokens=3", "--assert", "first<60s", "--assert", "regex:(?i)hello|lorem"]);
    exits(10, &["-m", "sim/echo", "--schema", "age int"]);
    exits(4, &["-m", "nowhere/x,sim/none"]);
    exits(3, &["-m", "openai/gpt-4o"]);
    exits(9, &["-m", "openai/gpt-4o,sim/echo"]);
    for wrong in [
        &["-m", "sim/echo", "--require", "0"][..],
        &["-m", "sim/echo", "--assert", "nonsense"],
        &["-m", "group:none"],
        &["-m", "sim/echo", "--runs", "0"],
        &["-m", "sim/echo", "--table", "--json"],
        &["-m", "sim/echo", "-o", "page.doc"],
        &["-m", "sim/echo", "-o", "no/such/page.md"],
        &["-m", "sim/echo", "--require", "2"],
        &["-m", "sim/echo", "--judge", "sim/lorem", "--criteria", " "],
        &["-m", "sim/echo,route/auto"],
        &["-m", "sim/echo", "--judge", "route/auto", "--criteria", "short"],
        &[],
    ] {
        exits(2, wrong);
    }
}

#[test]
fn a_comparison_is_written_in_every_format_for_its_owner_alone() {
    let books = Books::new();
    let files = ["c.md", "c.html", "c.json", "c.csv", "c.junit", "c.xml"];
    let mut llmx =
        books.llmx(&["compare", "-m", "sim/echo,sim/error?class=auth", "--assert", "contains:x", "a <b> & \"c\""]);
    for file in files {
        llmx = llmx.args(&["-o", &books.path(file).display().to_string()]);
    }
    std::fs::write(books.path("c.md"), "an older one").expect("written");
    let done = llmx.run().exits(9);
    let read = |name: &str| std::fs::read_to_string(books.path(name)).expect("written");
    let object: Value = serde_json::from_str(&read("c.json")).expect("JSON");
    assert_eq!((calls(&object).len(), &object["summary"]["exit_code"]), (2, &json!(9)));
    assert_eq!(object["calls"][0]["checks"][0]["passed"], json!(false));
    assert!(read("c.md").starts_with("# ") && read("c.html").starts_with("<!doctype html>"));
    assert_eq!(read("c.csv").matches("\r\n").count(), 3);
    assert_eq!(read("c.junit"), read("c.xml"));
    assert!(
        read("c.xml").contains("<testsuites name=\"llmx compare\" tests=\"3\" failures=\"1\" errors=\"1\""),
        "{}",
        read("c.xml")
    );
    assert!(done.text().contains("sim/echo"));
    let names: Vec<_> =
        std::fs::read_dir(&books.folder).expect("a folder").map(|entry| entry.expect("one").file_name()).collect();
    assert!(names.iter().all(|name| !name.to_string_lossy().starts_with('.')), "{names:?}");
    #[cfg(unix)]
    for file in files {
        use std::os::unix::fs::PermissionsExt as _;
        assert_eq!(std::fs::metadata(books.path(file)).expect("there").permissions().mode() & 0o777, 0o600, "{file}");
    }
}

#[test]
fn a_group_of_the_configuration_stands_for_its_models() {
    let told = Books::new()
        .llmx(&["compare", "-m", "group:ours,group:theirs", "-j", "hi"])
        .config("[group]\nours = [\"sim/echo\"]\ntheirs = [\"sim/lorem?tokens=1\"]\n")
        .file(".llmx.toml", "[group]\nours = [\"sim/echo\", \"sim/lorem?tokens=2\"]\n")
        .run()
        .exits(0)
        .json();
    let models: Vec<&str> = calls(&told).iter().filter_map(|call| call["model"].as_str()).collect();
    assert_eq!(models, ["echo", "lorem?tokens=2", "lorem?tokens=1"], "the project's file goes first");
    Llmx::new(&["compare", "-m", "group:x", "hi"])
        .config("[group]\ny = []\n")
        .run()
        .exits(2)
        .says(&["the groups here are y"]);
}

#[test]
fn a_route_is_no_model_that_could_be_compared() {
    let server = Server::new(whole("hi"));
    let config =
        "model = \"route/auto\"\n[alias]\nours = \"route/auto\"\n[group]\nours = [\"sim/echo\", \"route/auto\"]\n";
    for named in [&["-m", "sim/echo,route/auto"][..], &["-m", "ours"], &["-m", "group:ours"]] {
        let told = Books::new().configured(&[&server], config, named).args(&["-j", "hi"]).run().exits(2);
        assert_eq!(told.json()["error"]["class"], "config");
        told.says(&["route/auto is a route", "try: name one of its models"]);
    }
    Books::new().configured(&[], config, &["hi"]).run().exits(2).says(&["route/auto is a route"]);
    assert_eq!(server.connections(), 0);
}

#[test]
fn nothing_is_sent_where_the_file_could_not_be_written() {
    let server = Server::new(whole("hi"));
    let too_long = format!("{}.md", "x".repeat(300));
    let done = Books::new().compare(&[&server], &["-o", &too_long, "hi"]).run().exits(2);
    done.says(&["nothing can be written there", "try: "]);
    assert_eq!(server.connections(), 0);
}

#[test]
fn a_fault_in_a_file_of_prompts_is_told_with_its_line() {
    let says = |name: &str, text: &str, words: &[&str]| {
        let llmx = Books::new().llmx(&["compare", "-m", "sim/echo", "--prompts", name]).file(name, text);
        llmx.run().exits(2).says(words).says(&["nothing was sent"]);
    };
    says("a.jsonl", "{\"prompt\": \"a\"}\n{\"prompt\":\n", &["a.jsonl:2: no JSON: ", " at column 10"]);
    says("a.csv", "prompt,n\na,1\nb\n", &["a.csv:3: "]);
    says("d.csv", "prompt,n\r\na,1\r\nb\r\n", &["d.csv:3: "]);
    says("e.csv", "prompt,assert\r\na,json\r\nb,nonsense\r\n", &["e.csv:3: "]);
    says("a.yaml", "- prompt: a\n- prompt: [b\n", &["a.yaml:"]);
    says(
        "b.yaml",
        "- prompt: a\n- prompt: b\n  assert: nonsense\n",
        &["b.yaml:2: ", "nonsense", "try: write contains:"],
    );
    says("c.csv", "", &["c.csv:1: there is no prompt in it"]);
    let none = Books::new().llmx(&["compare", "-m", "sim/echo", "--prompts", "no.csv"]).run().exits(2);
    none.says(&["no.csv: ", "nothing was sent", "try: give a file of JSON lines, CSV or YAML"]);
}

#[test]
fn a_template_without_a_field_of_its_file_is_pointed_out() {
    let ask = |prompt: &str| {
        let llmx = Books::new().llmx(&["compare", "-m", "sim/echo", "--prompts", "c.csv", prompt]);
        llmx.file("c.csv", "city\nParis\nRome\n").run().exits(0)
    };
    ask("Where is it?").says(&["all 2 prompts are the same: {{field}} stands for a field of the file"]);
    ask("Where is {{city}}?").stays_quiet();
}

#[test]
fn an_estimate_says_what_it_leaves_out() {
    let books = Books::new();
    let file = books.path("c.md");
    let args =
        ["compare", "-m", "sim/echo,sim/echo", "--estimate", "--judge", "sim/lorem", "--criteria", "short", "hi"];
    let done = books.llmx(&args).args(&["-o", &file.display().to_string()]).run().exits(0);
    done.says(&["named twice", "what --judge costs is not part of the estimate", "not written with -o"]);
    assert!(!file.exists());
}

#[test]
fn a_model_that_is_named_twice_is_asked_once_and_that_is_said() {
    let done = Books::new().llmx(&["compare", "-m", "sim/echo,sim/lorem", "-m", "sim/echo", "-j", "hi"]).run().exits(0);
    assert_eq!(calls(&done.json()).len(), 2);
    done.says(&["sim/echo is named twice and asked once"]);
}

#[test]
fn one_model_in_two_regions_is_two() {
    let server = Server::new(whole("hi"));
    let config = format!(
        "[provider.r]\nname = \"R\"\nbase_url = \"{}/{{region}}\"\napi = [\"chat\"]\nauth = \"none\"\nvars = {{ region = [\"R_REGION\"] }}\n",
        server.url()
    );
    let told = Books::new()
        .llmx(&["compare", "-m", "r@eu-west-1/m,r@us-east-1/m,r@eu-west-1/m", "-j", "hi"])
        .config(&config)
        .run()
        .exits(0)
        .json();
    let regions: Vec<&str> = calls(&told).iter().filter_map(|call| call["region"].as_str()).collect();
    assert_eq!(regions, ["eu-west-1", "us-east-1"]);
}

#[test]
fn the_last_chat_is_asked_again_of_other_models() {
    let books = Books::new();
    let last =
        |args: &[&str]| books.llmx(&["compare", "--last", "-m", "sim/echo,sim/lorem?tokens=2", "-j"]).args(args).run();
    last(&[]).exits(2).says(&["holds no chat"]);
    books.llmx(&["chat", "-m", "sim/echo", "-s", "be brief", "what was", "it?"]).run().exits(0);
    let told = last(&[]).exits(0).json();
    assert_eq!((&told["prompt"], &told["calls"][0]["text"]), (&json!("what was it?"), &json!("what was it?")));
    assert_eq!(told["calls"][0]["usage"]["input"], 5, "with its system prompt");
    assert_eq!(last(&[]).exits(0).json()["prompt"], "what was it?", "a comparison is no chat");
    last(&["another prompt"]).exits(2);
    books.llmx(&["chat", "-m", "sim/echo", "secret", "--no-store"]).run().exits(0);
    last(&[]).exits(2).says(&["was not kept"]);
    let png: &[u8] = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR";
    books.llmx(&["chat", "-m", "sim/echo", "see", "-a", "a.png"]).file("a.png", png).run().exits(0);
    last(&[]).exits(2).says(&["no attachments"]);
}

#[test]
fn a_group_is_opened_again() {
    let books = Books::new();
    let busy = Server::of(vec![limited(), whole("second try")]);
    let good = Server::new(whole("at once"));
    let no = Server::new(unauthorized());
    let told = books.compare(&[&busy, &good, &no], &["-j", "hello"]).run().exits(9).json();
    let group = told["group"].as_str().expect("an id");
    for id in [group, &group[group.len() - 8..]] {
        let page = books.llmx(&["logs", "show", id]).run().exits(0);
        for word in
            ["second try", "at once", "p0/m", "p1/m", "p2/m", "no or rejected key", "2 of 3 answered", "$0.000017"]
        {
            assert!(page.text().contains(word), "no \"{word}\" in {}", page.text());
        }
    }
    let again = books.llmx(&["logs", "show", group, "-j"]).run().exits(0).json();
    assert_eq!((&again["group"], &again["prompt"]), (&told["group"], &told["prompt"]));
    for call in calls(&told) {
        let same = calls(&again).iter().find(|same| same["id"] == call["id"]).expect("it is there");
        for field in
            ["text", "model", "cost/usd", "cost/basis", "usage/input", "usage/output", "timing/attempts", "error/class"]
        {
            let field = format!("/{field}");
            assert_eq!(same.pointer(&field), call.pointer(&field), "{field}");
        }
    }
    let id = told["calls"][1]["id"].as_str().expect("an id");
    assert_eq!(books.llmx(&["logs", "show", id, "-j"]).run().exits(0).json()["id"], id, "one call is still one call");
}

#[test]
fn what_the_command_may_cost_holds_for_all_calls_together() {
    // Each can cost 1,000 × $0.000015 = $0.015.
    let models = "sim/lorem?tokens=1000&usd_out=15,sim/lorem?tokens=1000&usd_out=15&ttft=1";
    let args = ["compare", "-m", models, "--max-cost", "0.02", "--no-clip", "-j", "hi"];
    let books = Books::new();
    let told = books.llmx(&args).run().exits(9).json();
    assert_eq!((&told["calls"][0]["error"], &told["calls"][1]["error"]["class"]), (&Value::Null, &json!("budget")));
    assert_eq!(books.rows().len(), 1);

    let books = Books::new();
    let servers = [Server::new(whole("one")), Server::new(whole("two"))];
    // Each can cost 1,000 × $0.000002 and its prompt.
    let all = ["--max-cost", "0.003", "--no-clip", "--all-or-nothing", "-j", "hi"];
    let told = books.compare(&[&servers[0], &servers[1]], &all).run().exits(8).json();
    assert!(calls(&told).iter().all(|call| call["error"]["class"] == "budget"), "{told}");
    assert_eq!(servers.iter().map(Server::connections).sum::<usize>(), 0);
    assert!(books.rows().iter().all(|row| row["cost"]["usd"] == "0"), "{:?}", books.rows());
    books.are_whole();
    let open = ["--all-or-nothing", "-m", "nowhere/x", "-j", "hi"];
    Books::new().compare(&[&servers[0], &servers[1]], &open).run().exits(4);
    assert_eq!(servers.iter().map(Server::connections).sum::<usize>(), 0);
    Books::new().compare(&[&servers[0], &servers[1]], &["--all-or-nothing", "hi"]).run().exits(0);
}

#[test]
fn the_models_that_a_budget_leaves_out_are_named_before_any_is_asked() {
    for args in [&["hi"][..], &["-j", "hi"][..]] {
        let books = Books::new();
        // Each can cost 1,000 × $0.000002 and its prompt: there is room for one.
        books.llmx(&["budget", "set", "b", "0.003/day", "--no-clip", "--warn", "none"]).run().exits(0);
        let held = Server::new(Script::events().piece(says("the ")).gate("go").piece(says("one")).piece(stops()).end());
        let never = Server::new(whole("never"));
        let mut running = books.compare(&[&held, &never], args).spawn();
        // The answer of the other one waits for this.
        running.await_err("llmx: p1/m is not asked: budget b (every call): $0.003/day, spent $0, held $0.00");
        held.open("go");
        let done = running.done().exits(9);
        assert_eq!(done.err.matches("p1/m is not asked").count(), 1, "{}", done.err);
        assert!(String::from_utf8_lossy(&done.out).contains("the one"), "{done:?}");
        assert_eq!((never.connections(), books.rows().len()), (0, 1));
    }
    let books = Books::new();
    books.llmx(&["budget", "set", "b", "0/day"]).run().exits(0);
    let never = Server::new(whole("never"));
    let done = books.compare(&[&never], &["--runs", "5", "hi"]).run().exits(8);
    assert_eq!(done.err.matches("p0/m is not asked").count(), 1, "once for a model, however often it was to be asked");
    books.compare(&[&never], &["-q", "-j", "hi"]).run().exits(8).stays_quiet();
}

mod storm {
    use super::{Books, Script, Server, Value, json, whole};

    fn busy() -> Script {
        Script::json(503, r#"{"error": {"message": "no room"}}"#)
    }

    #[test]
    fn a_provider_that_is_down_gets_twenty_retries_of_a_command_and_no_more() {
        for (lanes, runs) in [(1, 30), (2, 15)] {
            let (servers, books) = ((0..lanes).map(|_| Server::new(busy())).collect::<Vec<_>>(), Books::new());
            let all: Vec<&Server> = servers.iter().collect();
            let done = books.compare(&all, &["--runs", &runs.to_string(), "-j", "hi"]).run().exits(6);
            let asked: usize = servers.iter().map(|server| server.requests().len()).sum();
            // A hundred tokens, five a retry.
            assert_eq!((asked, books.rows().len()), (30 + 20, 30 + 20), "{lanes} lanes");
            assert_eq!(done.err.matches("what fails now is not asked again").count(), 1, "{}", done.err);
            let ones = done.json()["calls"]
                .as_array()
                .expect("a list")
                .iter()
                .filter(|call| call["timing"]["attempts"] == 1)
                .count();
            assert!(ones >= 19, "three attempts for ten calls, and one for most of the others: {ones}");
        }
    }

    #[test]
    fn what_answers_gives_retries_back() {
        // Ten calls with two retries each spend all; five good ones give back enough for one more.
        let mut scripts = vec![busy(); 30];
        scripts.extend((0..5).map(|_| whole("fine")));
        scripts.push(busy());
        let (server, books) = (Server::of(scripts), Books::new());
        books.compare(&[&server], &["--runs", "17", "-j", "hi"]).run().exits(9);
        // 30, 5, then two with one retry between them.
        assert_eq!(server.requests().len(), 30 + 5 + 2 + 1);
    }

    #[test]
    fn a_model_without_quota_is_asked_once_and_every_other_goes_on() {
        for (status, body) in [
            (402, r#"{"error": {"message": "no credit"}}"#),
            (429, r#"{"error": {"message": "no", "code": "insufficient_quota"}}"#),
        ] {
            let (empty, good, books) =
                (Server::new(Script::json(status, body)), Server::new(whole("fine")), Books::new());
            let told = books.compare(&[&empty, &good], &["--runs", "30", "-j", "hi"]).run().exits(9).json();
            assert_eq!((empty.requests().len(), good.requests().len(), books.rows().len()), (1, 30, 31), "{status}");
            let failed: Vec<&Value> =
                told["calls"].as_array().expect("a list").iter().filter(|call| !call["error"].is_null()).collect();
            assert!(failed.len() == 30 && failed.iter().all(|call| call["error"]["class"] == "quota"), "{told}");
            let again = |call: &&&Value| {
                call["error"]["message"].as_str().is_some_and(|said| said.ends_with("it was not asked again"))
            };
            assert_eq!(failed.iter().filter(again).count(), 29);
            assert!(
                failed
                    .iter()
                    .filter(again)
                    .all(|call| call["cost"].is_null() && call["error"]["may_be_billed"] == json!(false))
            );
            books.are_whole();
        }
    }
}

#[test]
fn all_are_asked_at_once_unless_a_limit_says_otherwise() {
    let gated = || {
        Server::new(Script::bare().gate("go").raw("HTTP/1.1 200 OK\r\n\r\n").raw(format!(
            "{}{}",
            says("fine"),
            stops()
        )))
    };
    let servers = [gated(), gated(), gated()];
    let all: Vec<&Server> = servers.iter().collect();
    let running = Books::new().compare(&all, &["hi"]).spawn();
    servers.iter().for_each(Server::await_request);
    servers.iter().for_each(|server| server.open("go"));
    running.done().exits(0);

    let servers = [gated(), gated(), gated()];
    let all: Vec<&Server> = servers.iter().collect();
    let running = Books::new().compare(&all, &["--concurrency", "1", "hi"]).spawn();
    for (at, server) in servers.iter().enumerate() {
        server.await_request();
        assert!(servers[at + 1..].iter().all(|later| later.connections() == 0));
        server.open("go");
    }
    running.done().exits(0);

    // One provider with two models, and another: the second model of the first waits.
    let servers = [gated(), gated()];
    let all: Vec<&Server> = servers.iter().collect();
    let running = Books::new().compare(&all, &["-m", "p0/other", "--per-provider", "1", "hi"]).spawn();
    servers.iter().for_each(Server::await_request);
    assert_eq!(servers[0].connections(), 1);
    servers.iter().for_each(|server| server.open("go"));
    running.done().exits(0);
    assert_eq!(servers[0].requests().len(), 2);
}

#[test]
fn runs_of_a_model_follow_each_other_and_their_middle_is_told() {
    let server = Server::new(whole("fine"));
    let books = Books::new();
    let told = books.compare(&[&server], &["-m", "sim/echo", "--runs", "5", "-j", "hi"]).run().exits(0).json();
    assert_eq!((calls(&told).len(), server.requests().len(), books.rows().len()), (10, 5, 10));
    let total = &told["summary"]["by_model"][0]["total_ms"];
    assert!(total["count"] == 5 && total["median"].is_u64() && total["p90"].is_u64(), "{total}");
    let few = Books::new().compare(&[&server], &["--runs", "2", "-j", "hi"]).run().exits(0).json();
    assert!(few["summary"]["by_model"][0]["total_ms"]["p90"].is_null());
}

#[test]
fn no_escape_of_a_model_reaches_a_pipe_as_one() {
    let hostile = "a\u{1b}[2Jb\u{1b}]0;x\u{7}c\u{9b}31md\u{202e}e";
    let server = Server::new(whole(hostile));
    let no = Server::new(Script::json(400, json!({"error": {"message": hostile, "type": hostile}}).to_string()));
    for args in [&["hi"][..], &["-j", "hi"], &["--cols", "hi"], &["--diff", "hi"], &["-v", "hi"]] {
        let done = Books::new().compare(&[&server, &no], args).run().exits(9);
        let controls = |character: char| character.is_control() && character != '\n' || character == '\u{202e}';
        assert!(!done.text().contains(controls) && !done.err.contains(controls), "{args:?}: {done:?}");
        assert!(done.text().contains('a') && done.text().contains('e'));
    }
}

#[test]
fn long_and_wide_answers_go_into_a_pipe_as_they_came() {
    let lines: String = (1..=10_000).map(|at| format!("line {at}\t日本語 👩‍👩‍👧 é\n")).collect();
    let server = Server::new(whole(&lines));
    let done = Books::new().compare(&[&server], &["-m", "sim/echo", "hi"]).run().exits(0);
    assert!(done.text().contains(&lines));
    let table = Books::new().compare(&[&server], &["-m", "sim/echo", "--table", "hi"]).run().exits(0);
    assert!(!table.text().contains("line 1") && table.text().contains("p0/m"));
}

#[cfg(unix)]
#[test]
fn ctrl_c_keeps_and_books_what_came() {
    let good = Server::new(whole("all of it"));
    let slow = Server::new(Script::events().piece(says("the beginning ")).silence());
    let books = Books::new();
    let running = books.compare(&[&good, &slow], &["--runs", "3", "hi"]).spawn();
    good.await_request();
    slow.await_request();
    running.signal(rustix::process::Signal::INT);
    let done = running.done().exits(130);
    assert!(done.text().contains("answered in") && done.text().contains("exit 130"), "{}", done.text());
    assert!(books.rows().iter().all(|row| row["open"] == false), "{:?}", books.rows());
    assert_eq!(slow.requests().len(), 1, "nothing is begun after the stop");
    books.are_whole();
}

#[test]
fn what_differs_is_marked() {
    let one = Server::new(whole("Use a tree here"));
    let two = Server::new(whole("Use a hash here"));
    let done = Books::new().compare(&[&one, &two], &["--diff=words", "hi"]).run().exits(0);
    let plain = Books::new().compare(&[&one, &two], &["hi"]).run().exits(0);
    assert!(plain.text().contains("Use a tree here") && !done.text().contains("Use a tree here"), "{}", done.text());
}

#[test]
fn nothing_of_a_comparison_is_kept_where_nothing_may_be() {
    let books = Books::new();
    books.llmx(&["compare", "-m", "sim/echo,sim/lorem", "--no-store", "very secret"]).run().exits(0);
    let rows = books.rows();
    assert_eq!(rows.len(), 2);
    let holds = |path: &Path| std::fs::read(path).is_ok_and(|bytes| bytes.windows(6).any(|part| part == b"secret"));
    assert!(!holds(&books.path("ledger.db")) && !holds(&books.path("ledger.db-wal")));
}

#[test]
fn a_matrix_sends_only_what_the_ledger_lacks() {
    let lines: String =
        (1..=20).map(|at| format!("{{\"city\":\"Town {at}\",\"assert\":\"contains:fine\"}}\n")).collect();
    let books = Books::new();
    std::fs::write(books.path("cities.jsonl"), lines).expect("written");
    let file = books.path("cities.jsonl").display().to_string();
    let (one, two) = (Server::new(whole("fine")), Server::new(whole("fine")));
    let ask = |more: &[&str]| {
        let args = [&["--prompts", &file, "-j", "Where is {{city}}?"][..], more].concat();
        books.compare(&[&one, &two], &args).run()
    };
    let estimate = ask(&["--estimate"]).exits(0).json();
    assert_eq!((one.connections(), two.connections()), (0, 0));
    assert!(estimate.to_string().contains("p0/m"), "{estimate}");

    // So much that about half of the forty calls fit.
    let first = ask(&["--max-cost", "0.0006", "--no-clip", "--max-tokens", "5"]).json();
    let sent = one.requests().len() + two.requests().len();
    assert!((2..40).contains(&sent), "{sent}");
    assert_eq!(calls(&first).len(), 40);
    let again = ask(&["--max-tokens", "5"]).exits(0);
    assert_eq!(one.requests().len() + two.requests().len(), 40, "each is sent once");
    let again = (again.json(), again.says(&["stand in the ledger already"])).0;
    assert_eq!((calls(&again).len(), again["cases"].as_array().map(Vec::len)), (40, Some(20)));
    assert!(calls(&again).iter().all(|call| call["text"] == "fine" && call["checks"][0]["passed"] == true), "{again}");
    assert_eq!((&again["group"], &again["cases"][4]), (&first["group"], &json!("Where is Town 5?")));
    ask(&["--max-tokens", "5"]).exits(0);
    assert_eq!(books.rows().iter().filter(|row| row["cost"]["usd"] == WHOLE_USD).count(), 40);
    let group = again["group"].as_str().expect("an id");
    let page = books.llmx(&["logs", "show", group]).run().exits(0);
    assert!(page.text().contains("Town 20") && page.text().contains("2 of 2 answered"), "{}", page.text());
    books.are_whole();
}

#[test]
fn a_matrix_that_was_killed_half_way_sends_only_what_is_missing() {
    const PROMPTS: usize = 200;
    const MODELS: usize = 5;
    let half = PROMPTS / 2;
    let books = Books::new();
    let lines: String = (1..=PROMPTS).map(|at| format!("{{\"number\": {at}}}\n")).collect();
    std::fs::write(books.path("numbers.jsonl"), lines).expect("written");
    let file = books.path("numbers.jsonl").display().to_string();
    // The first half is answered at once, the next request of each model waits: it is open when the command is killed.
    let servers: Vec<Server> = (0..MODELS)
        .map(|_| {
            let waits = Script::bare().gate("go").raw("HTTP/1.1 200 OK\r\n\r\n");
            let mut scripts = vec![whole("fine"); half];
            scripts.push(waits.raw(format!("{}{}", says("fine"), stops())));
            Server::of(scripts)
        })
        .collect();
    let all: Vec<&Server> = servers.iter().collect();
    let matrix = || books.compare(&all, &["--prompts", &file, "-j", "Is {{number}} prime?"]);

    // In stages: no single wait is long.
    let await_requests =
        |counts: [usize; 2]| counts.map(|count| servers.iter().for_each(|server| server.await_requests(count)));
    let running = matrix().spawn();
    await_requests([half / 2, half + 1]);
    running.kill();
    let rows = books.rows();
    let open = rows.iter().filter(|row| row["open"] == true).count();
    assert_eq!((rows.len(), open), (MODELS * (half + 1), MODELS), "one call of each model was in flight");

    servers.iter().for_each(|server| server.open("go"));
    let running = matrix().spawn();
    await_requests([half + half / 2, PROMPTS + 1]);
    let done = running.done().exits(0).says(&["500 of 1000 calls stand in the ledger already"]);
    let told = done.json();
    assert_eq!((calls(&told).len(), told["cases"].as_array().map(Vec::len)), (MODELS * PROMPTS, Some(PROMPTS)));
    assert!(calls(&told).iter().all(|call| call["text"] == "fine" && call["error"].is_null()));
    // How often each cell was sent and how often it was answered.
    let mut cells: BTreeMap<String, (usize, usize)> = BTreeMap::new();
    for row in books.rows() {
        let (sent, answered) = cells.entry(row["tags"]["cell"].to_string()).or_default();
        *sent += 1;
        *answered += usize::from(row["cost"]["usd"] == WHOLE_USD);
    }
    assert_eq!(cells.len(), MODELS * PROMPTS);
    assert!(cells.values().all(|(_, answered)| *answered == 1), "{cells:?}");
    assert_eq!(cells.values().filter(|(sent, _)| *sent == 2).count(), MODELS, "only what was in flight is sent twice");
    assert!(cells.values().all(|(sent, _)| *sent <= 2), "{cells:?}");
    assert!(servers.iter().all(|server| server.requests().len() == PROMPTS + 1));

    matrix().run().exits(0).says(&["1000 of 1000 calls stand in the ledger already"]);
    assert!(servers.iter().all(|server| server.requests().len() == PROMPTS + 1), "nothing is left to be sent");
    books.are_whole();
}

#[test]
fn a_judge_sees_no_names_and_its_cost_stands_apart() {
    let (one, two) = (Server::new(whole("the good answer")), Server::new(whole("the other")));
    let judge = Server::new(whole("{\"winner\": 0, \"because\": \"alike\"}"));
    let books = Books::new();
    let args = ["--judge", "p2/m", "--criteria", "short", "-j", "hi"];
    let llmx = books.configured(&[&one, &two, &judge], "", &args);
    // The judge is no contender here: the same model would be asked twice.
    let told = llmx.args(&["--require", "any"]).run().exits(0).json();
    let judged = &told["summary"]["judge"];
    assert_eq!((&judged["model"], &judged["criteria"]), (&json!("p2/m"), &json!("short")));
    assert_eq!(judged["scores"][0]["ties"], 4, "two pairs, each in both orders: {judged}");
    // Three answers, and six verdicts that cost as much each.
    assert_eq!((&told["summary"]["cost"]["usd"], &judged["usd"]), (&json!("0.000051"), &json!("0.000102")));
    let asked: Vec<String> =
        judge.requests().iter().map(|request| String::from_utf8_lossy(&request.body).into_owned()).collect();
    assert_eq!(asked.len(), 7);
    assert!(asked.iter().all(|body| !body.contains("p0") && !body.contains("p1/")), "{asked:?}");
    let rows = books.rows();
    assert!(rows.len() == 9 && rows.iter().all(|row| row["group"] == told["group"]), "{}", rows.len());
    let group = told["group"].as_str().expect("an id");
    let again = books.llmx(&["logs", "show", group, "-j"]).run().exits(0).json();
    assert_eq!(calls(&again).len(), 3, "verdicts are no answers");
    Books::new().llmx(&["compare", "-m", "sim/echo", "--judge", "nowhere/x", "--criteria", "c", "hi"]).run().exits(4);
    Books::new().llmx(&["compare", "-m", "sim/echo", "--judge", "sim/echo", "hi"]).run().exits(2);
}
