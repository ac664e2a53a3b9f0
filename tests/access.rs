//! `llmx test-access` against a cloud on this machine: regions, models that are enabled here and not there, ids that need a
//! profile, a credential that has expired, a model that never answers.

mod common;

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::Duration;

use common::binary::{CANARY, Done, Llmx};
use common::bodies::{DONE, chunk, says};
use llmx::domain::access::{AccessClass, Facts, class_of, judge};
use llmx::domain::failure::ErrorClass;
use llmx::provider::catalog::Catalog;
use llmx::provider::error::{Caller, refused};
use llmx::wire::contract::Dialect;
use serde_json::{Value, json};

/// Longest that the cloud waits for other requests.
const PATIENCE: Duration = Duration::from_secs(60);

/// One request as the cloud sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Asked {
    method: String,
    path: String,
    /// The first step of the path, or the scope of an AWS signature.
    region: String,
    model: String,
    /// What stands in `authorization`.
    key: String,
    body: Value,
}

#[derive(Debug, Default)]
struct Seen {
    asked: Vec<Asked>,
    under_way: usize,
    most_under_way: usize,
}

/// A cloud: what it makes of a request, and what it has seen.
struct Cloud {
    address: SocketAddr,
    seen: Arc<(Mutex<Seen>, Condvar)>,
}

/// What the cloud says to a request: a status, headers and a body; nothing: it never answers.
type Says = Option<(u16, String, Vec<u8>)>;

impl Cloud {
    /// No request is answered before `crowd` of them are under way.
    fn new(crowd: usize, says: impl Fn(&Asked) -> Says + Send + Sync + 'static) -> Cloud {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("bound");
        let seen: Arc<(Mutex<Seen>, Condvar)> = Arc::default();
        let (says, shared) = (Arc::new(says), Arc::clone(&seen));
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (says, shared) = (Arc::clone(&says), Arc::clone(&shared));
                thread::spawn(move || serve(stream, crowd, &*says, &shared));
            }
        });
        Cloud { address, seen }
    }

    fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    fn asked(&self) -> Vec<Asked> {
        self.seen.0.lock().expect("whole").asked.clone()
    }

    /// Requests for an answer: those that cost money.
    fn paid(&self) -> usize {
        self.asked().iter().filter(|asked| asked.method == "POST").count()
    }

    fn most_under_way(&self) -> usize {
        self.seen.0.lock().expect("whole").most_under_way
    }
}

fn serve(mut stream: TcpStream, crowd: usize, says: &dyn Fn(&Asked) -> Says, (seen, changed): &(Mutex<Seen>, Condvar)) {
    let Some(asked) = read(&mut stream) else { return };
    {
        let mut seen = seen.lock().expect("whole");
        seen.asked.push(asked.clone());
        seen.under_way += 1;
        seen.most_under_way = seen.most_under_way.max(seen.under_way);
        changed.notify_all();
        let enough = |seen: &mut Seen| seen.most_under_way < crowd;
        drop(changed.wait_timeout_while(seen, PATIENCE, enough).expect("whole"));
    }
    match says(&asked) {
        Some((status, kind, body)) => {
            let head =
                format!("HTTP/1.1 {status} X\r\n{kind}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", body.len());
            let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(&body));
        }
        None => while stream.read(&mut [0; 64]).is_ok_and(|count| count > 0) {},
    }
    seen.lock().expect("whole").under_way -= 1;
}

fn read(stream: &mut TcpStream) -> Option<Asked> {
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
    let header = |name: &str| {
        let mut lines = head.lines().skip(1).filter_map(|line| line.split_once(':'));
        lines.find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim().to_owned())
    };
    let length: usize = header("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
    let mut body = bytes.split_off(end + 4);
    while body.len() < length {
        let count = stream.read(&mut piece).ok().filter(|count| *count > 0)?;
        body.extend_from_slice(&piece[..count]);
    }
    let mut first = head.split(' ');
    let (method, path) = (first.next()?.to_owned(), first.next()?.to_owned());
    let body: Value = serde_json::from_slice(&body).unwrap_or_default();
    let key = header("authorization").or_else(|| header("x-api-key")).unwrap_or_default();
    let steps: Vec<&str> = path.split('/').collect();
    let of_path = steps.get(2).map(|model| model.replace("%3A", ":")).unwrap_or_default();
    let region = match key.split_once("Credential=") {
        Some((_, scope)) => scope.split('/').nth(2).unwrap_or_default().to_owned(),
        None => steps.get(1).copied().unwrap_or_default().to_owned(),
    };
    let model = body["model"].as_str().map_or(of_path, str::to_owned);
    Some(Asked { method, path, region, model, key, body })
}

const JSON: &str = "content-type: application/json";
const SSE: &str = "content-type: text/event-stream";

/// One token of Chat Completions, with its usage.
fn token(asked: &Asked) -> Says {
    let usage = "data: {\"id\":\"c1\",\"model\":\"m-1\",\"choices\":[],\"usage\":{\"prompt_tokens\":8,\"completion_tokens\":1,\
        \"total_tokens\":9}}\n\n";
    let body = format!("{}{}{usage}{DONE}", says("Hi"), chunk(&json!({}), Some("length")));
    Some((200, SSE.into(), body.replace("m-1", &asked.model).into_bytes()))
}

fn error(status: u16, message: &str) -> Says {
    let body = json!({"error": {"message": message, "type": "invalid_request_error", "code": null}});
    Some((status, JSON.into(), body.to_string().into_bytes()))
}

const NOVA: &str = "amazon.nova-lite-v1:0";
const SONNET: &str = "anthropic.claude-sonnet-4-6";
const MISTRAL: &str = "mistral.mistral-large-2402-v1:0";
const HANG: &str = "amazon.nova-pro-v1:0";
const ON_DEMAND: &str = "Invocation of model ID anthropic.claude-sonnet-4-6 with on-demand throughput isn\u{2019}t supported. Retry \
    your request with the ID or ARN of an inference profile that contains this model.";

/// Why a model cannot be had in a region, with the status and the code; `None`: it can.
fn fault(region: &str, model: &str) -> Option<(u16, &'static str, &'static str)> {
    let invalid = Some((400, "ValidationException", "The provided model identifier is invalid."));
    match (model, region) {
        (NOVA, "us-east-1" | "eu-west-1") => None,
        (NOVA, _) => {
            Some((403, "AccessDeniedException", "You don't have access to the model with the specified model ID."))
        }
        (SONNET, _) => Some((400, "ValidationException", ON_DEMAND)),
        ("eu.anthropic.claude-sonnet-4-6", "eu-west-1" | "eu-central-1") => None,
        (MISTRAL, "us-west-2") => None,
        _ => invalid,
    }
}

/// The cloud over plain HTTP: its regions are the first step of the path.
fn cloud(asked: &Asked) -> Says {
    if asked.key.contains("EXPIRED") {
        return error(401, "The security token included in the request is expired");
    }
    if asked.method == "GET" {
        let models =
            json!({"object": "list", "data": [{"id": NOVA, "object": "model"}, {"id": SONNET, "object": "model"}]});
        return Some((200, JSON.into(), models.to_string().into_bytes()));
    }
    if asked.model == HANG {
        return None;
    }
    match fault(&asked.region, &asked.model) {
        None => token(asked),
        Some((status, _, message)) => error(status, message),
    }
}

/// `test-access` with the cloud as the row `bedrock-openai`, its prices those of Bedrock.
fn test(cloud: &Cloud, args: &[&str]) -> Llmx {
    Llmx::new(&["test-access"])
        .args(args)
        .env("AWS_BEARER_TOKEN_BEDROCK", format!("ABSK-{CANARY}-0123456789"))
        .env("AWS_REGION", "eu-west-1")
        .config(&config(cloud))
        .file("config/llmx/pricing.toml", PRICES)
}

fn config(cloud: &Cloud) -> String {
    format!("[provider.bedrock-openai]\nbase_url = \"{}/{{region}}/v1\"\n", cloud.url())
}

const PRICES: &str = "schema = 1\n[provider.bedrock-openai]\nlike = \"bedrock\"\n";

fn model(name: &str) -> String {
    format!("bedrock-openai/{name}")
}

/// The class of each probe, by the name that it was asked by.
fn classes(json: &Value) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    json["probes"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|probe| (text(&probe["name"]), text(&probe["class"])))
        .collect()
}

fn probe<'a>(json: &'a Value, name: &str) -> &'a Value {
    let probes = json["probes"].as_array().expect("a list");
    probes.iter().find(|probe| probe["name"] == name).unwrap_or_else(|| panic!("no {name} in {json}"))
}

#[test]
fn the_matrix_shows_what_works_where_and_the_id_to_use_instead() {
    let cloud = Cloud::new(0, cloud);
    let models = [NOVA, SONNET, MISTRAL].map(model).join(",");
    let done = test(&cloud, &["-m", &models, "--regions", "eu-west-1,eu-north-1", "--json"]).run().exits(9);
    let json = done.json();
    let class =
        |name: &str| probe(&json, &format!("bedrock-openai@{name}"))["class"].as_str().expect("a word").to_owned();
    assert_eq!(class(&format!("eu-west-1/{NOVA}")), "ok");
    assert_eq!(class(&format!("eu-north-1/{NOVA}")), "not-enabled");
    assert_eq!(class(&format!("eu-west-1/{SONNET}")), "needs-profile");
    assert_eq!(class(&format!("eu-west-1/{MISTRAL}")), "not-found");
    let works = |name: &str| probe(&json, &format!("bedrock-openai@{name}"))["works_as"].clone();
    assert_eq!(
        works(&format!("eu-west-1/{SONNET}")),
        json!([format!("bedrock-openai@eu-west-1/eu.{SONNET}")]),
        "only what answered is proposed"
    );
    assert_eq!(works(&format!("eu-west-1/{MISTRAL}")), json!([format!("bedrock-openai@us-west-2/{MISTRAL}")]));
    let tried = probe(&json, &format!("bedrock-openai@eu-west-1/{SONNET}"))["try"].as_str().expect("a line").to_owned();
    assert!(tried.starts_with(&format!("-m bedrock-openai@eu-west-1/eu.{SONNET}")), "{tried}");
    // Every suggestion was asked, and each place once.
    let mut asked: Vec<(String, String)> = cloud.asked().into_iter().map(|asked| (asked.region, asked.model)).collect();
    let all = asked.len();
    asked.sort();
    asked.dedup();
    assert_eq!(asked.len(), all, "no place is asked twice");
}

#[test]
fn the_table_is_plain_text_and_names_the_next_command() {
    let cloud = Cloud::new(0, cloud);
    let models = [NOVA, SONNET].map(model).join(",");
    let done =
        test(&cloud, &["-m", &models]).run().exits(9).says(&["2 probes, at most $0.00", "to find where they work: "]);
    let text = done.text();
    assert!(!text.contains('\u{1b}') && !done.err.contains('\u{1b}'), "{text}");
    for line in [
        "bedrock-openai  Amazon Bedrock, OpenAI-compatible · AWS_BEARER_TOKEN_BEDROCK · eu-west-1",
        "  amazon.nova-lite-v1:0        ok 0.",
        "  anthropic.claude-sonnet-4-6  needs profile",
        "try: -m bedrock-openai/eu.anthropic.claude-sonnet-4-6   (asked: it answers)",
        "1 of 2 work · 1 needs profile · cost $0.0",
    ] {
        assert!(text.contains(line), "no \"{line}\" in:\n{text}");
    }
}

#[test]
fn without_a_search_only_what_was_asked_for_is_asked() {
    let cloud = Cloud::new(0, cloud);
    let done = test(&cloud, &["-m", &model(SONNET), "--no-search"]).run().exits(4);
    assert_eq!(cloud.paid(), 1);
    assert!(
        done.text().contains("eu.anthropic.claude-sonnet-4-6 or global.anthropic.claude-sonnet-4-6"),
        "{}",
        done.text()
    );
}

#[test]
fn the_exit_code_is_the_failures_own_where_all_fail_alike() {
    let cloud = Cloud::new(0, cloud);
    let expired = format!("EXPIRED-{CANARY}-0123456789");
    let models = [NOVA, SONNET].map(model).join(",");
    let done = test(&cloud, &["-m", &models, "--json"]).env("AWS_BEARER_TOKEN_BEDROCK", &expired).run().exits(3);
    assert!(classes(&done.json()).iter().all(|(_, class)| class == "expired"));
    assert_eq!(cloud.paid(), 2, "an expired key is not carried to other regions");
    test(&cloud, &["-m", &models, "--fail-on", "none"]).env("AWS_BEARER_TOKEN_BEDROCK", &expired).run().exits(0);
    test(&cloud, &["-m", &models, "--fail-on", "all"]).run().exits(0);
    test(&cloud, &["-m", &model(NOVA)]).run().exits(0);
}

#[test]
fn a_model_that_never_answers_does_not_hold_up_the_others() {
    let cloud = Cloud::new(0, cloud);
    let models = [NOVA, HANG].map(model).join(",");
    let config = format!("{}[limits]\nhead_ms = 2000\n", config(&cloud));
    let done = test(&cloud, &["-m", &models, "--json"]).config(&config).run().exits(9);
    assert_eq!(classes(&done.json()), [(model(NOVA), "ok".into()), (model(HANG), "timeout".into())]);
}

#[test]
fn forty_probes_are_under_way_at_once() {
    let cloud = Cloud::new(40, token);
    let regions: Vec<String> = (1..=40).map(|number| format!("eu-test-{number}")).collect();
    let done = test(&cloud, &["-m", &model(NOVA), "--regions", &regions.join(","), "--json"]).run().exits(0);
    assert_eq!((cloud.paid(), cloud.most_under_way()), (40, 40));
    assert!(done.json()["probes"].as_array().expect("a list").iter().all(|probe| probe["first_token_ms"].is_u64()));
    let few = Cloud::new(0, |asked| {
        thread::sleep(Duration::from_millis(5));
        token(asked)
    });
    test(&few, &["-m", &model(NOVA), "--regions", &regions.join(","), "--concurrency", "3"]).run().exits(0);
    assert!(few.paid() == 40 && few.most_under_way() <= 3, "{}", few.most_under_way());
}

#[test]
fn what_the_test_may_cost_is_never_passed() {
    let cloud = Cloud::new(0, token);
    let regions: Vec<String> = (1..=40).map(|number| format!("eu-test-{number}")).collect();
    // Nova Lite: $0.06 in and $0.24 out per million; 8 tokens in and 1 out are charged 0.00000072, while a probe holds
    // about 300 times 0.00000006.
    let limit = "0.00003";
    let all = ["-m", &model(NOVA), "--regions", &regions.join(","), "--json", "--max-cost", limit];
    let json = test(&cloud, &all).run().json();
    let usd =
        |value: &Value| llmx::domain::money::Usd::parse(value.as_str().expect("an amount")).expect("an amount").picos;
    let limit = llmx::domain::money::Usd::parse(limit).expect("an amount").picos;
    assert!(usd(&json["cost"]["most_usd"]) > limit, "the test is of something");
    assert!(usd(&json["cost"]["usd"]) <= limit && cloud.paid() > 1, "{json}");
    let over = classes(&json).iter().filter(|(_, class)| class == "over-budget").count();
    assert!(over > 0 && cloud.paid() + over == 40, "{over}");
    let none = Cloud::new(0, token);
    let done = test(&none, &["-m", &model(NOVA), "--max-cost", "0"]).run().exits(8);
    assert_eq!(none.paid(), 0);
    assert!(done.text().contains("over budget"), "{}", done.text());
}

#[test]
fn a_budget_of_the_configuration_holds_for_probes_as_for_every_call() {
    let cloud = Cloud::new(0, token);
    let budget = format!("{}[budget.all]\nlimit = \"0/month\"\n", config(&cloud));
    let done = test(&cloud, &["-m", &model(NOVA), "--json"]).config(&budget).run().exits(8);
    assert_eq!((cloud.paid(), probe(&done.json(), &model(NOVA))["class"].as_str()), (0, Some("over-budget")));
}

#[test]
fn a_budget_that_probes_pass_or_fill_is_told_once() {
    let cloud = Cloud::new(0, token);
    let budget = format!("{}[budget.all]\nlimit = \"0.0000001/month\"\nsoft = true\nwarn = [50]\n", config(&cloud));
    let args = ["-m", &model(NOVA), "--regions", "eu-test-1,eu-test-2,eu-test-3", "--json"];
    let done = test(&cloud, &args).config(&budget).run().exits(0);
    assert_eq!(cloud.paid(), 3);
    assert_eq!(done.err.matches("sent all the same: the budget is soft").count(), 1, "{}", done.err);
    assert_eq!(done.err.matches("budget all: 50 % of $0.0000001/month used").count(), 1, "{}", done.err);
}

#[test]
fn a_model_without_a_price_is_asked_only_where_the_user_says_so() {
    let cloud = Cloud::new(0, token);
    let unknown = "bedrock-openai/acme.unheard-of-v1:0";
    let done = test(&cloud, &["-m", unknown]).run().exits(8).says(&["which are not asked (--unpriced asks them)"]);
    assert!(cloud.paid() == 0 && done.text().contains("unpriced"), "{}", done.text());
    assert!(done.text().contains("try: what it costs is not known"), "{}", done.text());
    let done = test(&cloud, &["-m", unknown, "--unpriced", "--json"]).run().exits(0);
    let json = done.json();
    assert_eq!((cloud.paid(), probe(&json, unknown)["rungs"]["price"].as_str()), (1, Some("failed")));
    assert_eq!((json["cost"]["unknown"].as_u64(), probe(&json, unknown)["cost_usd"].is_null()), (Some(1), true));
}

#[test]
fn keys_and_lists_send_no_call_that_costs() {
    let cloud = Cloud::new(0, cloud);
    let models = [NOVA, SONNET, MISTRAL].map(model).join(",");
    let done = test(&cloud, &["-m", &models, "--depth", "keys", "--json"]).run().exits(0);
    assert_eq!(cloud.asked(), []);
    assert!(classes(&done.json()).iter().all(|(_, class)| class == "present"));
    let done = test(&cloud, &["-m", &models, "--depth", "list", "--json"]).run().exits(9);
    let listed: Vec<String> = classes(&done.json()).into_iter().map(|(_, class)| class).collect();
    assert_eq!(listed, ["listed", "listed", "not-found"]);
    assert_eq!((cloud.paid(), cloud.asked().len()), (0, 1), "one listing serves all models");
    let expired = format!("EXPIRED-{CANARY}-0123456789");
    test(&cloud, &["-m", &models, "--depth", "list"]).env("AWS_BEARER_TOKEN_BEDROCK", expired).run().exits(3);
    let none = Llmx::new(&["test-access", "--provider", "openai", "--depth", "keys"]).run().exits(3);
    assert!(none.text().contains("export OPENAI_API_KEY=…"), "{}", none.text());
}

#[test]
fn a_probe_is_an_ordinary_call_of_one_token_in_the_books() {
    let cloud = Cloud::new(0, cloud);
    let (mut command, folder) = test(&cloud, &["-m", &model(NOVA), "--json", "--tag", "env=ci"]).into_parts();
    let out = command.output().expect("runs").stdout;
    let report: Value = serde_json::from_slice(&out).expect("JSON");
    let id = probe(&report, &model(NOVA))["call"].as_str().expect("booked").to_owned();
    let show = Llmx::new(&["logs", "show", &id, "--json"]).env("HOME", folder.path()).run().exits(0).json().to_string();
    for held in ["\"test-access\"", "\"probe\":\"1\"", "\"env\":\"ci\""] {
        assert!(show.contains(held), "no {held} in {show}");
    }
    let asked = cloud.asked();
    assert_eq!(asked[0].body["max_tokens"], 1, "{asked:?}");
}

/// One test whose folder stays, so that what it kept can be read by others.
struct Home {
    folder: tempfile::TempDir,
    out: Vec<u8>,
    err: Vec<u8>,
}

impl Home {
    fn after(test: Llmx) -> Home {
        let (mut command, folder) = test.into_parts();
        let output = command.output().expect("runs");
        Home { folder, out: output.stdout, err: output.stderr }
    }

    fn kept(&self) -> std::path::PathBuf {
        self.folder.path().join(".local/share/llmx/access.json")
    }

    fn run(&self, args: &[&str]) -> Done {
        Llmx::new(args).env("HOME", self.folder.path()).env("XDG_CONFIG_HOME", self.folder.path().join("config")).run()
    }

    fn keep(&self, change: impl Fn(&mut Value)) {
        let mut kept: Value = serde_json::from_slice(&std::fs::read(self.kept()).expect("kept")).expect("JSON");
        change(&mut kept);
        std::fs::write(self.kept(), kept.to_string()).expect("written");
    }
}

#[test]
fn the_result_is_kept_for_its_owner_and_used_with_its_age() {
    let cloud = Cloud::new(0, cloud);
    let models = [NOVA, SONNET].map(model).join(",");
    let home = Home::after(test(&cloud, &["-m", &models]));
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = std::fs::metadata(home.kept()).expect("kept").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
    let usable = home.run(&["models", "--usable"]).exits(0).says(&["as of just now"]);
    assert!(usable.text().contains(&model(NOVA)) && usable.text().contains("eu.anthropic"), "{}", usable.text());
    assert!(!usable.text().contains(&format!("{}\n", model(SONNET))), "{}", usable.text());
    let hours = |ago: i64| {
        move |kept: &mut Value| {
            for entry in kept["entries"].as_array_mut().expect("a list") {
                let at = entry["at_ms"].as_i64().expect("an instant");
                entry["at_ms"] = json!(at - ago * 3_600_000);
            }
        }
    };
    home.keep(hours(3));
    let json = home.run(&["models", "--usable", "nova", "--json"]).exits(0).json();
    assert_eq!((json["models"].as_array().map(Vec::len), json["stale"].as_bool()), (Some(1), Some(false)));
    home.run(&["models", "--usable"]).exits(0).says(&["as of 3 h ago"]);
    // A missing model is told with those like it that worked.
    home.run(&["chat", "-m", "sonnet-9", "hello"]).exits(4).says(&["eu.anthropic.claude-sonnet-4-6 worked 3 h ago"]);
    home.keep(hours(8 * 24));
    home.run(&["models", "--usable"]).exits(0).says(&["stale", "llmx test-access"]);
}

#[test]
fn no_secret_is_shown_kept_or_written() {
    // A server that says the key again, wherever it can.
    let cloud = Cloud::new(0, |asked| match asked.region.as_str() {
        "eu-west-1" => error(403, &format!("you sent {}", asked.key)),
        _ => error(401, &asked.key),
    });
    let args = ["-m", &model(NOVA), "--regions", "eu-west-1,us-east-1", "-v", "--fix", "-o", "report.junit", "--json"];
    let home = Home::after(test(&cloud, &args));
    let file = |path: &std::path::Path| std::fs::read(path).expect("written");
    for text in [&home.out, &home.err, &file(&home.kept()), &file(&home.folder.path().join("report.junit"))] {
        let text = String::from_utf8_lossy(text);
        assert!(!text.is_empty() && !text.contains(CANARY), "{text}");
    }
    assert!(String::from_utf8_lossy(&home.out).contains("denied"), "{}", String::from_utf8_lossy(&home.out));
}

#[test]
fn what_mends_it_is_printed_and_nothing_is_changed() {
    let cloud = Cloud::new(0, cloud);
    let done = test(&cloud, &["-m", &model(SONNET), "--fix"]).run().exits(4);
    assert!(
        done.text().contains(&format!("| add to config.toml:\n    |   model = \"bedrock-openai/eu.{SONNET}\"")),
        "{}",
        done.text()
    );
    let done = Llmx::new(&["test-access", "--provider", "openai", "--fix"]).run().exits(3);
    assert!(done.text().contains("| export OPENAI_API_KEY=…"), "{}", done.text());
}

#[test]
fn what_is_configured_and_what_was_used_is_tested_by_default() {
    let cloud = Cloud::new(0, cloud);
    let config = format!(
        "model = \"{}\"\n[alias]\nfast = \"sim/echo\"\n[group]\nall = [\"sim/lorem\"]\n{}",
        model(NOVA),
        config(&cloud)
    );
    let done = test(&cloud, &["--json", "--no-search", "--provider", "bedrock-openai,sim"]).config(&config).run();
    let names: Vec<String> = classes(&done.json()).into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, [model(NOVA), "sim/echo".to_owned(), "sim/lorem".to_owned()]);
    let done = test(&cloud, &["nova", "--json", "--provider", "bedrock-openai"]).config(&config).run().exits(0);
    assert_eq!(classes(&done.json()).len(), 1);
    let none = Llmx::new(&["test-access"]).run().exits(2).says(&["no provider has a credential here"]);
    assert_eq!(none.text(), "");
    Llmx::new(&["test-access", "-m", "sim/echo", "-o", "report.txt"]).run().exits(2).says(&["name it .json"]);
}

#[test]
fn flags_that_fit_nothing_or_change_nothing_are_told() {
    let test = |args: &[&str]| Llmx::new(&["test-access"]).args(args).run();
    test(&["-m", "sim/echo", "--provider", "openai"]).exits(2).says(&["--models and --provider leave no model"]);
    test(&["-m", "sim/echo", "--regions", "eu-west-1", "--profile", "dev"]).exits(0).says(&[
        "--regions changes nothing for sim: no regions are known there",
        "--profile changes nothing for sim: profiles are those of AWS",
    ]);
    test(&["-m", "route/auto"]).exits(2).says(&["route/auto is a route", "try: name one of its models"]);
    test(&["-m", "group:none"]).exits(2).says(&["there is no group \"none\""]);
    test(&["-m", "sim/echo", "--watch", "1x"]).exits(2).says(&["30s, 5m or 1h"]);
    test(&[""]).exits(2);
    let group = "[group]\nours = [\"sim/echo\", \"sim/lorem\"]\n";
    let done = Llmx::new(&["test-access", "-m", "group:ours", "--json"]).config(group).run().exits(0);
    assert_eq!(classes(&done.json()).len(), 2);
}

#[test]
fn nothing_is_asked_where_the_file_could_not_be_written() {
    let cloud = Cloud::new(0, cloud);
    for path in [format!("{}.json", "x".repeat(300)), "no/such/report.json".to_owned()] {
        let done = test(&cloud, &["-m", &model(NOVA), "-o", &path]).run().exits(2);
        done.says(&["nothing was sent", "try: "]);
    }
    assert_eq!(cloud.asked(), []);
}

#[test]
fn the_regions_of_a_row_of_ones_own_are_searched_as_well() {
    let cloud = Cloud::new(0, cloud);
    let host = |region: &str| format!("{region} = \"{}/{region}/v1\"", cloud.url());
    let row = format!(
        "[provider.acme]\nname = \"Acme\"\napi = [\"chat\"]\nauth = \"none\"\nvars = {{ region = [\"ACME_REGION\"] }}\n\
        hosts = {{ {}, {} }}\n",
        host("eu-north-1"),
        host("eu-west-1")
    );
    let args = ["-m", &format!("acme/{NOVA}"), "--unpriced", "--json"];
    let run = Llmx::new(&["test-access"]).args(&args).config(&row).env("ACME_REGION", "eu-north-1").run().exits(4);
    assert_eq!(run.json()["probes"][0]["works_as"], json!([format!("acme@eu-west-1/{NOVA}")]));
    let all = Llmx::new(&["test-access"]).args(&args).args(&["--regions", "all"]).config(&row).run().exits(9);
    let words: Vec<String> = classes(&all.json()).into_iter().map(|(_, class)| class).collect();
    assert_eq!(words, ["not-enabled", "ok"]);
}

#[cfg(unix)]
#[test]
fn an_interrupt_shows_what_is_known_and_ends_a_watch() {
    use rustix::process::Signal;
    let mut watch = Llmx::new(&["test-access", "-m", "sim/echo", "--watch", "1h", "--json"]).spawn();
    watch.await_out("\"probes\"");
    watch.signal(Signal::INT);
    watch.done().exits(130);
    let cloud = Cloud::new(2, cloud);
    let models = [NOVA, HANG].map(model).join(",");
    let running = test(&cloud, &["-m", &models]).spawn();
    let (seen, changed) = &*cloud.seen;
    let none = |seen: &mut Seen| seen.asked.len() < 2;
    drop(changed.wait_timeout_while(seen.lock().expect("whole"), PATIENCE, none).expect("whole"));
    running.signal(Signal::INT);
    let done = running.done().exits(130);
    assert!(done.text().contains("amazon.nova-pro-v1:0   not asked"), "{}", done.text());
}

#[test]
fn a_listing_is_shown_as_its_provider_gives_it() {
    let listing = |body: Value| {
        Cloud::new(0, move |asked| match asked.method.as_str() {
            "GET" => Some((200, JSON.into(), body.to_string().into_bytes())),
            _ => error(400, "a listing is asked for, nothing else"),
        })
    };
    let openai = listing(json!({"data": [{"id": "gpt-b"}, {"id": "gpt-a", "context_window": 8192}]}));
    let ask = |cloud: &Cloud, args: &[&str], variable: &str, path: &str| {
        Llmx::new(&["models", "--remote"])
            .args(args)
            .env("OPENAI_API_KEY", common::binary::KEY)
            .env("ANTHROPIC_API_KEY", common::binary::KEY)
            .env("GEMINI_API_KEY", common::binary::KEY)
            .env(variable, format!("{}{path}", cloud.url()))
            .run()
    };
    ask(&openai, &["openai"], "OPENAI_BASE_URL", "/v1")
        .exits(0)
        .stays_quiet()
        .prints("model         context  name\nopenai/gpt-a     8192\nopenai/gpt-b\n");
    assert!(openai.asked()[0].key.starts_with("Bearer "));
    let claude = listing(json!({"data": [{"id": "claude-x", "display_name": "Claude X"}], "has_more": true}));
    let done = ask(&claude, &["anthropic", "--json"], "ANTHROPIC_BASE_URL", "").exits(0).says(&["more than it gave"]);
    assert_eq!(done.json()["models"][0], json!({"model": "anthropic/claude-x", "name": "Claude X", "context": null}));
    let gemini = listing(json!({"models": [{"name": "models/gemini-x", "inputTokenLimit": 4}]}));
    assert!(ask(&gemini, &["gemini"], "GOOGLE_GEMINI_BASE_URL", "").exits(0).text().contains("gemini/gemini-x"));
    let ollama = listing(json!({"models": [{"name": "qwen3:4b", "size": 1}]}));
    assert!(ask(&ollama, &["ollama"], "OLLAMA_HOST", "").exits(0).text().contains("ollama/qwen3:4b"));
    let none = Cloud::new(0, |_| error(404, "no such path"));
    ask(&none, &["openai"], "OPENAI_BASE_URL", "/v1").exits(2).says(&["has no listing of its models"]);
    let refused = Cloud::new(0, |_| error(401, "Incorrect API key provided"));
    ask(&refused, &["openai"], "OPENAI_BASE_URL", "/v1").exits(3).says(&["OPENAI_API_KEY"]);
}

/// Every recorded or documented error has a class that fits its status, and a line that mends it.
#[test]
fn every_recorded_error_has_a_class_and_a_line_that_mends_it() {
    let apis = [
        ("openai-chat", Dialect::Chat),
        ("azure-chat", Dialect::Chat),
        ("mistral", Dialect::Chat),
        ("openai-responses", Dialect::Responses),
        ("azure-responses", Dialect::Responses),
        ("anthropic-messages", Dialect::Messages),
        ("gemini-generate", Dialect::GenerateContent),
        ("gemini-stream", Dialect::GenerateContent),
        ("vertex-generate", Dialect::GenerateContent),
        ("vertex-stream", Dialect::GenerateContent),
        ("cohere-v2", Dialect::Cohere),
        ("ollama-chat", Dialect::Ollama),
    ];
    let names: Vec<&str> = apis.iter().map(|(api, _)| *api).collect();
    let Some(exchanges) = common::exchanges(common::named(), &names) else { return };
    let catalog = Catalog::with(&toml::Table::new()).expect("reads");
    for exchange in exchanges {
        let status =
            exchange["response"]["status"].as_u64().and_then(|status| u16::try_from(status).ok()).unwrap_or(200);
        let Ok(row) = catalog.row(exchange["provider"].as_str().unwrap_or_default()) else { continue };
        if status < 400 {
            continue;
        }
        let (_, dialect) = apis.iter().find(|(api, _)| exchange["api"] == *api).expect("one of them");
        let body = exchange["response"]["body_text"].as_str().unwrap_or_default();
        let caller = Caller { row: &row, model: "m", key_origin: Some("KEY"), host: "host", sent: None };
        let failure = refused(dialect.error(status, body), Some(status), None, &caller);
        let access = judge(Some(&failure), &Facts::default());
        let fits = match failure.class {
            ErrorClass::Auth => access.class.exit_code() == 3,
            ErrorClass::Permission | ErrorClass::NotFound | ErrorClass::Region => access.class.exit_code() == 4,
            ErrorClass::RateLimit | ErrorClass::Quota => access.class.exit_code() == 5,
            ErrorClass::Overloaded | ErrorClass::Timeout | ErrorClass::Network | ErrorClass::Protocol => {
                access.class.exit_code() == 6
            }
            ErrorClass::ContextLength | ErrorClass::ContentFilter => access.class == AccessClass::Ok,
            _ => true,
        };
        assert!(fits, "{}: {:?} for {failure:?}", exchange["id"], class_of(&failure));
        assert_eq!(access.advice.is_some(), access.class != AccessClass::Ok, "{}", exchange["id"]);
    }
}

/// Amazon Bedrock itself, through the AWS SDK: the region is in the scope of the signature.
#[cfg(feature = "bedrock")]
mod bedrock {
    use super::{Asked, Cloud, Llmx, NOVA, SONNET, Says, classes, fault, json, probe};

    const STREAM: &str = "content-type: application/vnd.amazon.eventstream";

    /// docs.aws.amazon.com/AmazonS3/latest/API/RESTSelectObjectAppendix.html (prelude, headers, payload, checksums), read
    /// 2026-11-22.
    fn event(kind: &str, payload: &serde_json::Value) -> Vec<u8> {
        let mut headers = Vec::new();
        for (name, value) in [(":event-type", kind), (":content-type", "application/json"), (":message-type", "event")]
        {
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

    fn token() -> Vec<u8> {
        [
            event("messageStart", &json!({"role": "assistant"})),
            event("contentBlockDelta", &json!({"contentBlockIndex": 0, "delta": {"text": "Hi"}})),
            event("contentBlockStop", &json!({"contentBlockIndex": 0})),
            event("messageStop", &json!({"stopReason": "max_tokens"})),
            event(
                "metadata",
                &json!({"usage": {"inputTokens": 8, "outputTokens": 1, "totalTokens": 9}, "metrics": {"latencyMs": 5}}),
            ),
        ]
        .concat()
    }

    fn cloud(asked: &Asked) -> Says {
        let wrong = match asked.key.contains("AKIDOLD") {
            true => Some((403, "ExpiredTokenException", "The security token included in the request is expired")),
            false => fault(&asked.region, &asked.model),
        };
        Some(match wrong {
            None => (200, STREAM.into(), token()),
            Some((status, code, message)) => {
                let head = format!("content-type: application/json\r\nx-amzn-errortype: {code}");
                (status, head, json!({"message": message}).to_string().into_bytes())
            }
        })
    }

    const PROFILES: &str = "[good]\naws_access_key_id = AKIDGOOD\naws_secret_access_key = CANARY-of-good\n\
        [old]\naws_access_key_id = AKIDOLD\naws_secret_access_key = CANARY-of-old\n";

    fn test(cloud: &Cloud, args: &[&str]) -> Llmx {
        Llmx::new(&["test-access"])
            .args(args)
            .env("AWS_ENDPOINT_URL_BEDROCK_RUNTIME", cloud.url())
            .env("AWS_EC2_METADATA_DISABLED", "true")
            .env("AWS_REGION", "eu-west-1")
            .file(".aws/credentials", PROFILES)
    }

    #[test]
    fn model_region_and_credential_make_the_matrix() {
        let cloud = Cloud::new(0, cloud);
        let models = [NOVA, SONNET].map(|model| format!("bedrock/{model}")).join(",");
        let args = ["-m", &models, "--profile", "good,old", "--regions", "eu-west-1,us-west-2", "--json"];
        let json = test(&cloud, &args).run().exits(9).json();
        let with = |profile: &str| {
            let probes = json["probes"].as_array().expect("a list").iter().filter(|probe| probe["profile"] == profile);
            probes.map(|probe| probe["class"].as_str().unwrap_or_default().to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(with("good"), ["ok", "not-enabled", "needs-profile", "needs-profile"]);
        assert_eq!(with("old"), ["expired"; 4]);
        let first = &json["probes"][1];
        assert_eq!((first["profile"].as_str(), first["try"].as_str()), (Some("old"), first["try"].as_str()));
        assert!(first["try"].as_str().expect("a line").contains("aws sso login --profile old"), "{first}");
        // Good credentials find the profile that answers; expired ones are not carried around.
        let sonnet = probe(&json, &format!("bedrock@eu-west-1/{SONNET}"));
        assert_eq!(sonnet["works_as"], json!([format!("bedrock@eu-west-1/eu.{SONNET}")]));
        assert_eq!(cloud.asked().iter().filter(|asked| asked.key.contains("AKIDOLD")).count(), 4);
    }

    #[test]
    fn the_exact_name_to_use_next_is_one_that_answered() {
        let cloud = Cloud::new(0, cloud);
        let env = |test: Llmx| test.env("AWS_ACCESS_KEY_ID", "AKIDGOOD").env("AWS_SECRET_ACCESS_KEY", "CANARY-of-good");
        let done = env(test(&cloud, &["-m", &format!("bedrock/{SONNET}")])).run().exits(4);
        assert!(done.text().contains(&format!("try: -m bedrock/eu.{SONNET}   (asked: it answers)")), "{}", done.text());
        let fixed =
            env(test(&cloud, &["-m", &format!("bedrock@us-west-2/{NOVA}"), "--no-search", "--fix"])).run().exits(4);
        for line in
            ["us-west-2.console.aws.amazon.com", "arn:aws:bedrock:us-west-2::foundation-model/amazon.nova-lite-v1:0"]
        {
            assert!(fixed.text().contains(line), "no {line} in {}", fixed.text());
        }
        // Refused here, before anything is sent; what works is found all the same.
        let far = env(test(&cloud, &["-m", &format!("bedrock/us.{NOVA}"), "--json"])).run().exits(4).json();
        let far = &far["probes"][0];
        assert_eq!((far["class"].as_str(), far["region"].as_str()), (Some("not-in-region"), Some("eu-west-1")));
        assert!(far["works_as"].as_array().expect("a list").contains(&json!(format!("bedrock/{NOVA}"))), "{far}");
        let none = Cloud::new(0, cloud_without_answers);
        let keys = env(test(&none, &["--depth", "keys", "--json", "nova-micro"])).run().exits(0);
        assert!(!classes(&keys.json()).is_empty() && none.asked().is_empty());
    }

    /// Status, code and words as docs.aws.amazon.com/bedrock/latest/userguide/troubleshooting-api-error-codes.html and public
    /// issues give them (read 2026-11-22), with the class and a part of the line that mends it.
    const ERRORS: &[(u16, &str, &str, &str, &str)] = &[
        (
            400,
            "ValidationException",
            "The provided model doesn't support on-demand throughput.",
            "needs-profile",
            "inference profile",
        ),
        (400, "ValidationException", "The provided model identifier is invalid.", "not-found", "misspelt"),
        (
            404,
            "ResourceNotFoundException",
            "Could not resolve the foundation model from the provided model identifier.",
            "not-found",
            "misspelt",
        ),
        (404, "ResourceNotFoundException", "This model version has reached the end of its life.", "retired", "newer"),
        (
            404,
            "ResourceNotFoundException",
            "Access denied. This Model is marked by provider as Legacy and you have not been actively using the model in the last 15 days.",
            "retired",
            "newer",
        ),
        (
            404,
            "ResourceNotFoundException",
            "Model use case details have not been submitted for this account.",
            "not-enabled",
            "use-case form",
        ),
        (404, "FTUFormNotFilled", "Fill it in.", "not-enabled", "use-case form"),
        (
            400,
            "ValidationException",
            "You have not filled out the required use-case form",
            "not-enabled",
            "use-case form",
        ),
        (
            403,
            "AccessDeniedException",
            "You don't have access to the model with the specified model ID.",
            "not-enabled",
            "access",
        ),
        (
            403,
            "AccessDeniedException",
            "User: arn:aws:iam::123456789012:user/a is not authorized to perform: bedrock:InvokeModelWithResponseStream on resource: arn:aws:bedrock:us-east-2::foundation-model/x",
            "denied",
            "us-east-2",
        ),
        (
            403,
            "AccessDeniedException",
            "User: u is not authorized to perform: bedrock:InvokeModel on resource: arn:aws:bedrock:::foundation-model/x with an explicit deny in a service control policy",
            "denied",
            "unspecified",
        ),
        (
            403,
            "AccessDeniedException",
            "Model access is denied due to IAM user or service role is not authorized to perform the required AWS Marketplace actions (aws-marketplace:Subscribe)",
            "not-enabled",
            "administrator",
        ),
        (
            403,
            "AccessDeniedException",
            "Model access is denied due to INVALID_PAYMENT_INSTRUMENT",
            "not-enabled",
            "payment",
        ),
        (
            403,
            "MPAgreementBeingCreated",
            "The subscription for this model is still being processed",
            "not-enabled",
            "15 minutes",
        ),
        (400, "ValidationException", "Operation not allowed", "not-enabled", "AWS Support"),
        (
            403,
            "AccessDeniedException",
            "Your account is not authorized to invoke this API operation.",
            "not-enabled",
            "region",
        ),
        (429, "ThrottlingException", "Too many requests, please wait before trying again.", "rate-limited", "wait"),
        (
            429,
            "ThrottlingException",
            "Too many tokens, please wait before trying again.",
            "rate-limited",
            "tokens per minute",
        ),
        (429, "ThrottlingException", "Too many tokens per day, please wait before trying again.", "no-quota", "quota"),
        (400, "ServiceQuotaExceededException", "Over it.", "no-quota", "Service Quotas"),
        (429, "ModelNotReadyException", "Model is not ready for inference.", "overloaded", "moment"),
        (503, "ServiceUnavailableException", "Bedrock is unable to process your request.", "overloaded", "while"),
        (
            500,
            "InternalServerException",
            "The system encountered an unexpected error during processing.",
            "overloaded",
            "while",
        ),
        (408, "ModelTimeoutException", "The request took too long to process.", "timeout", "billed"),
        (
            400,
            "ValidationException",
            "The maximum tokens you requested exceed the model limit of 4096.",
            "invalid-request",
            "--max-tokens",
        ),
        (
            403,
            "ExpiredTokenException",
            "The security token included in the request is expired",
            "expired",
            "aws sso login",
        ),
        (
            403,
            "UnrecognizedClientException",
            "The security token included in the request is invalid.",
            "bad-key",
            "AWS_SESSION_TOKEN",
        ),
        (
            403,
            "InvalidSignatureException",
            "The request signature we calculated does not match the signature you provided.",
            "bad-key",
            "secret",
        ),
        (
            403,
            "InvalidSignatureException",
            "Signature expired: 20261122T100000Z is now earlier than 20261122T105500Z",
            "clock-skew",
            "clock",
        ),
        (
            403,
            "AccessDeniedException",
            "Authentication failed: Please make sure your API Key is valid.",
            "bad-key",
            "expired, revoked or of another region",
        ),
        (502, "", "<html><title>502 Bad Gateway</title></html>", "proxy", "proxy"),
    ];

    #[test]
    fn every_error_of_bedrock_leads_to_its_class_and_its_line() {
        let cloud = Cloud::new(0, |asked| {
            let number = asked.model.split("case-").nth(1)?.split('-').next()?.parse::<usize>().ok()?;
            let (status, code, message, ..) = ERRORS.get(number)?;
            let named = if code.is_empty() { String::new() } else { format!("\r\nx-amzn-errortype: {code}:http://x/") };
            let body = if code.is_empty() { (*message).to_owned() } else { json!({"message": message}).to_string() };
            Some((*status, format!("content-type: application/json{named}"), body.into_bytes()))
        });
        let models: Vec<String> = (0..ERRORS.len()).map(|number| format!("bedrock/acme.case-{number}-v1:0")).collect();
        let run = test(&cloud, &["-m", &models.join(","), "--unpriced", "--no-search", "--json"])
            .env("AWS_ACCESS_KEY_ID", "AKIDGOOD")
            .env("AWS_SECRET_ACCESS_KEY", "CANARY-of-good");
        let json = run.run().exits(9).json();
        for (name, (_, _, message, class, line)) in models.iter().zip(ERRORS) {
            let probe = probe(&json, name);
            assert_eq!(probe["class"], *class, "{message}");
            let told = probe["try"].as_str().unwrap_or_default();
            assert!(told.contains(line), "{message}: {told}");
        }
    }

    /// docs.aws.amazon.com/bedrock/latest/APIReference/API_ListFoundationModels.html and API_ListInferenceProfiles.html, read
    /// 2026-11-22.
    fn listing(asked: &Asked) -> Says {
        if asked.key.contains("AKIDOLD") || asked.method != "GET" {
            return cloud(asked);
        }
        let models = json!({"modelSummaries": [
            {"modelId": NOVA, "modelName": "Nova Lite", "inferenceTypesSupported": ["ON_DEMAND"]},
            {"modelId": SONNET, "modelName": "Sonnet", "inferenceTypesSupported": ["INFERENCE_PROFILE"]}]});
        let profiles = json!({"inferenceProfileSummaries": [
            {"inferenceProfileId": format!("eu.{SONNET}"), "inferenceProfileName": "EU Sonnet", "type": "SYSTEM_DEFINED"}]});
        let body = if asked.path.starts_with("/foundation-models") { models } else { profiles };
        Some((200, "content-type: application/json".into(), body.to_string().into_bytes()))
    }

    #[test]
    fn what_bedrock_lists_is_what_can_be_called_and_a_listing_is_signed() {
        let cloud = Cloud::new(0, listing);
        let models = [NOVA, SONNET].map(|model| format!("bedrock/{model}")).join(",");
        let json =
            test(&cloud, &["-m", &models, "--depth", "list", "--profile", "good", "--json"]).run().exits(9).json();
        let words: Vec<String> = classes(&json).into_iter().map(|(_, class)| class).collect();
        assert_eq!(words, ["listed", "not-found"]);
        assert!(cloud.asked().iter().all(|asked| asked.method == "GET" && asked.key.contains("AKIDGOOD")));
        let expired = test(&cloud, &["-m", &models, "--depth", "list", "--profile", "old"]).run().exits(3);
        assert!(expired.text().contains("aws sso login --profile old"), "{}", expired.text());
        let remote = Llmx::new(&["models", "--remote", "bedrock@eu-west-1"])
            .env("AWS_ENDPOINT_URL_BEDROCK_RUNTIME", cloud.url())
            .env("AWS_BEARER_TOKEN_BEDROCK", "ABSK-CANARY-0123456789");
        let table = "model                                   context  name\n\
            bedrock/amazon.nova-lite-v1:0                    Nova Lite\n\
            bedrock/eu.anthropic.claude-sonnet-4-6           EU Sonnet\n";
        remote.run().exits(0).prints(table);
        assert!(cloud.asked().last().expect("asked").key.starts_with("Bearer ABSK-"));
    }

    fn cloud_without_answers(_: &Asked) -> Says {
        None
    }
}
