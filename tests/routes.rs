//! `llmx route` as a user meets it: which rule decides, which model is cheapest for the request, and why.

mod common;

use common::binary::{Done, Llmx};
use llmx::domain::money::Usd;
use serde_json::{Value, json};

const PRICES: &str = "[model.\"vllm/in-1-out-10\"]\nprice = { input = 1, output = 10 }\ncontext = 20000\n\
    [model.\"vllm/in-5-out-5\"]\nprice = { input = 5, output = 5 }\n\
    [model.\"vllm/tiered\"]\nprice = { input = 0.5, output = 1, tier = [{ above = 5000, input = 50, output = 100 }] }\n\
    [model.\"vllm/seen\"]\nprice = { input = 1, output = 10 }\n\
    [model.\"ollama/mine\"]\nfree = true\n";

fn llmx(config: &str, args: &[&str]) -> Llmx {
    Llmx::new(args).config(config).file("config/llmx/pricing.toml", PRICES)
}

/// What `llmx route explain -j` says of a request.
fn explained(config: &str, args: &[&str]) -> Value {
    llmx(config, &["route", "explain", "-j"]).args(args).run().exits(0).json()
}

fn models(list: &Value) -> Vec<&str> {
    list.as_array().expect("a list").iter().map(|one| one["model"].as_str().expect("a name")).collect()
}

fn one_rule(models: &[&str]) -> String {
    format!("[[route.auto.rule]]\nmodels = {}\n", json!(models))
}

#[test]
fn the_cheapest_expected_cost_of_this_request_wins_not_the_lowest_rates() {
    // 39,968 bytes are 9,992 tokens, and 8 stand around the message.
    let long = "word ".repeat(7_994)[..39_968].to_owned();
    let short = "w".repeat(8);
    for (models_of_rule, prompt, cap, order, usd) in [
        // 10,000 × 1 + 10 × 10 = 10,100; 10,000 × 5 + 10 × 5 = 50,050. The sums of the rates, 11 and 10, say the opposite.
        (
            ["vllm/in-5-out-5", "vllm/in-1-out-10"],
            &long,
            "10",
            ["vllm/in-1-out-10", "vllm/in-5-out-5"],
            ["0.0101", "0.05005"],
        ),
        // An answer of 500 tokens is expected, whatever the cap: 10 × 5 + 500 × 5 = 2,550; 10 × 1 + 500 × 10 = 5,010.
        (
            ["vllm/in-1-out-10", "vllm/in-5-out-5"],
            &short,
            "2000",
            ["vllm/in-5-out-5", "vllm/in-1-out-10"],
            ["0.00255", "0.00501"],
        ),
        // Above 5,000 tokens of prompt: 10,000 × 50 + 10 × 100 = 501,000.
        (["vllm/tiered", "vllm/in-5-out-5"], &long, "10", ["vllm/in-5-out-5", "vllm/tiered"], ["0.05005", "0.501"]),
        (["vllm/in-5-out-5", "ollama/mine"], &long, "10", ["ollama/mine", "vllm/in-5-out-5"], ["0", "0.05005"]),
    ] {
        let config = one_rule(&models_of_rule);
        let said = llmx(&config, &["route", "explain", "-j", "--max-tokens", cap])
            .stdin(prompt.as_str())
            .run()
            .exits(0)
            .json();
        assert_eq!(models(&said["order"]), order, "{said:#}");
        assert_eq!([&said["order"][0]["expected_usd"], &said["order"][1]["expected_usd"]], usd, "{said:#}");
    }
}

#[test]
fn a_model_without_a_price_is_left_out_unless_it_is_alone() {
    let said = explained(&one_rule(&["ollama/unknown", "vllm/in-5-out-5"]), &["hi"]);
    assert_eq!(models(&said["order"]), ["vllm/in-5-out-5"]);
    let why = said["rejected"][0]["why"].as_str().expect("a reason");
    assert!(
        why.contains("it cannot be compared") && why.contains("[model.\"ollama/unknown\"] and free = true"),
        "{why}"
    );
    assert_eq!(said["rejected"][0]["expected_usd"], Value::Null);

    let alone = explained(&one_rule(&["ollama/unknown"]), &["hi"]);
    assert_eq!(models(&alone["order"]), ["ollama/unknown"]);
    assert!(alone["notes"][0].as_str().expect("a note").contains("its cost is not known"), "{alone:#}");
}

#[test]
fn each_rule_takes_the_requests_that_it_is_for() {
    let config = "[[route.auto.rule]]\nname = \"pictures\"\nwhen = { attachments = true }\nmodels = [\"openai/gpt-4o\"]\n\
        [[route.auto.rule]]\nname = \"ci\"\nwhen = { tag = { env = \"ci\" } }\nmodels = [\"sim/lorem\"]\n\
        [[route.auto.rule]]\nname = \"short\"\nwhen = { input_tokens_max = 500, code = false, schema = false }\nmodels = [\"ollama/mine\"]\n\
        [[route.auto.rule]]\nwhen = { language = [\"ja\", \"zh\"] }\nmodels = [\"vllm/in-5-out-5\"]\n\
        [[route.auto.rule]]\nmodels = [\"sim/echo\"]\n";
    let picture = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR".as_slice();
    for (args, stdin, rule, first) in [
        (&["-a", "a.png", "Describe it"][..], "", 1, "openai/gpt-4o"),
        (&["--tag", "env=ci", "hi"], "", 2, "sim/lorem"),
        (&["hi"], "", 3, "ollama/mine"),
        (&["--schema", "name", "hi"], "", 5, "sim/echo"),
        (&["fix it"], "fn main() {\n    todo;\n}\n", 5, "sim/echo"),
        (&["--schema", "name", "空はなぜ青いのですか"], "", 4, "vllm/in-5-out-5"),
    ] {
        let run = llmx(config, &["route", "explain", "-j"]).file("a.png", picture).args(args).stdin(stdin).run();
        let said = run.exits(0).json();
        assert_eq!((&said["rule"]["number"], models(&said["order"])[0]), (&json!(rule), first), "{said:#}");
        assert_eq!(said["passed"].as_array().map(Vec::len), Some(rule - 1));
    }
}

#[test]
fn a_model_whose_window_or_api_cannot_hold_the_request_is_left_out() {
    let long = "x".repeat(79_968);
    let config = one_rule(&["vllm/in-1-out-10", "vllm/in-5-out-5"]);
    let run = |cap: &str| {
        llmx(&config, &["route", "explain", "-j", "--max-tokens", cap]).stdin(long.as_str()).run().exits(0).json()
    };
    // 79,968 ÷ 4 + 8 = 20,000: with one token of answer it is one too many.
    let said = run("1");
    assert_eq!(models(&said["order"]), ["vllm/in-5-out-5"]);
    assert_eq!(said["rejected"][0]["why"], "its context window holds 20000 tokens, about 20001 are needed");

    let sound = b"RIFF\x24\0\0\0WAVEfmt ".as_slice();
    let run = llmx(
        &one_rule(&["cohere/command-a-03-2025", "sim/echo"]),
        &["route", "explain", "-j", "-a", "a.wav", "what is it"],
    );
    let said = run.file("a.wav", sound).run().exits(0).json();
    assert_eq!(models(&said["order"]), ["sim/echo"], "{said:#}");
    assert_eq!(models(&said["rejected"]), ["cohere/command-a-03-2025"]);
}

#[test]
fn what_the_ledger_has_seen_replaces_the_default_length() {
    let model = "sim/lorem?tokens=40&usd_in=1&usd_out=1";
    let config = one_rule(&[model]);
    let script = format!("\"$LLMX\" chat -m '{model}' hi > /dev/null && \"$LLMX\" route explain -j hi");
    let said = Llmx::shell(&script).config(&config).run().exits(0).json();
    let one = &said["order"][0];
    assert_eq!(one["output_tokens_from"], json!({"from": "ledger", "answers": 1}), "{said:#}");
    assert_eq!(one["output_tokens"], 40);
    assert!(one["first_token_ms"].is_u64());
}

#[test]
fn a_model_without_a_credential_is_left_out_where_the_rule_asks_for_usable_ones() {
    let config =
        "[[route.auto.rule]]\nmodels = [\"openai/gpt-4o-mini\", \"sim/echo\"]\npick = \"first\"\nusable = true\n";
    let said = explained(config, &["hi"]);
    assert_eq!(models(&said["order"]), ["sim/echo"]);
    assert!(said["rejected"][0]["why"].as_str().expect("a reason").contains("OPENAI_API_KEY"), "{said:#}");
    let said = explained(&config.replace("usable = true\n", ""), &["hi"]);
    assert_eq!(models(&said["order"]), ["openai/gpt-4o-mini", "sim/echo"]);
    assert!(said["order"][0]["unusable"].is_string());
}

#[test]
fn a_cascade_shows_its_order_its_checks_and_the_most_of_all_calls() {
    let config = "[route.careful.cascade]\nmodels = [\"vllm/in-1-out-10\", \"vllm/in-5-out-5\"]\n\
        check = { schema = true, regex = \"^[{]\", refusal = true, length = true, command = [\"./check.sh\"] }\n";
    let said = explained(config, &["-m", "route/careful", "--max-tokens", "100", "hi"]);
    assert_eq!(models(&said["order"]), ["vllm/in-1-out-10", "vllm/in-5-out-5"]);
    assert_eq!(said["check"].as_array().map(Vec::len), Some(5));
    let picos = |amount: &Value| Usd::parse(amount.as_str().expect("an amount")).expect("an amount").picos;
    let [first, second] = [0, 1].map(|at| picos(&said["order"][at]["at_most_usd"]));
    assert_eq!(first + second, picos(&said["at_most_all_usd"]));
}

#[test]
fn a_person_reads_the_rule_the_models_and_the_reasons() {
    let config = "[[route.auto.rule]]\nname = \"pictures\"\nwhen = { attachments = true }\nmodels = [\"openai/gpt-4o\"]\n\
        [[route.auto.rule]]\nname = \"short\"\nwhen = { input_tokens_max = 500, code = false }\n\
        models = [\"vllm/in-5-out-5\", \"ollama/mine\", \"ollama/unknown\"]\nprice_max = 0.01\nlatency_max_ms = 800\n";
    let text = |done: Done| done.exits(0).text().to_owned();
    insta::assert_snapshot!("explained", text(llmx(config, &["route", "explain", "Why is the sky blue?"]).run()));
    let cascade = "[route.careful.cascade]\nmodels = [\"vllm/in-1-out-10\", \"vllm/in-5-out-5\"]\ncheck = { schema = true, length = true }\n";
    insta::assert_snapshot!("listed", text(llmx(&format!("{config}{cascade}"), &["route", "list"]).run()));
    let said = llmx(&format!("{config}{cascade}"), &["route", "list", "-j"]).run().exits(0).json();
    assert_eq!(
        (&said["routes"][0]["name"], &said["routes"][1]["cascade"]["check"]),
        (&json!("auto"), &json!(["schema", "length"]))
    );
}

#[test]
fn what_cannot_be_decided_is_an_error_that_says_what_to_do() {
    let two = format!("{}{}", one_rule(&["sim/echo"]), one_rule(&["sim/echo"]).replace("auto", "other"));
    llmx("", &["route", "list"]).run().exits(0).says(&["there is no route", "[[route.NAME.rule]]"]);
    llmx("", &["route", "explain", "hi"]).run().exits(2).says(&["there is no route", "[[route.NAME.rule]]"]);
    llmx(&two, &["route", "explain", "hi"]).run().exits(2).says(&["-m route/auto, route/other"]);
    llmx(&two, &["route", "explain", "-m", "sim/echo", "hi"]).run().exits(2).says(&["\"sim/echo\" is no route"]);
    llmx(&two, &["route", "explain", "-m", "route/third", "hi"]).run().exits(4).says(&["no route is called \"third\""]);
    llmx(&two, &["route", "explain", "-m", "route/auto", "--tag", "x", "hi"])
        .run()
        .exits(2)
        .says(&["--tag: a tag has a key and a value"]);
    let misspelt = "[[route.auto.rule]]\nwhen = { attachments = true }\nmodels = [\"opnai/gpt-4o\"]\n[[route.auto.rule]]\nmodels = [\"sim/echo\"]\n";
    llmx(misspelt, &["route", "explain", "hi"])
        .run()
        .exits(4)
        .says(&["route/auto: no provider is called \"opnai\"", "openai"]);
    let none = "[[route.auto.rule]]\nwhen = { tools = true }\nmodels = [\"sim/echo\"]\n";
    let done = llmx(none, &["route", "explain", "hi"]).run().exits(4);
    assert!(
        done.text().contains("no model qualifies") && done.text().contains("no tools are offered"),
        "{}",
        done.text()
    );
}

#[test]
fn a_project_may_route_and_may_not_run_a_program() {
    let project = "[[route.mine.rule]]\nmodels = [\"sim/echo\"]\n";
    let done = llmx("", &["route", "explain", "-j", "hi"]).file(".llmx.toml", project).run().exits(0);
    assert_eq!(done.json()["route"], "mine");
    let hostile = "[route.mine.cascade]\nmodels = [\"sim/echo\"]\n[route.mine.cascade.check]\ncommand = [\"./evil\"]\n";
    llmx("", &["route", "list"])
        .file(".llmx.toml", hostile)
        .run()
        .exits(2)
        .says(&[".llmx.toml:4:1: ", "check.command"]);
}

#[test]
fn chat_asks_the_model_that_the_route_chose_and_says_why() {
    let done = llmx(&one_rule(&["sim/echo"]), &["chat", "-m", "route/auto", "hi"]).run().exits(0).prints("hi\n");
    done.says(&["route/auto, rule 1: sim/echo (free)"]);
    llmx(&one_rule(&["sim/echo"]), &["chat", "-q", "-m", "route/auto", "hi"])
        .run()
        .exits(0)
        .prints("hi\n")
        .stays_quiet();
    let none = "[[route.auto.rule]]\nwhen = { tools = true }\nmodels = [\"sim/echo\"]\n";
    llmx(none, &["chat", "-m", "route/auto", "hi"]).run().exits(4).prints("").says(&["leads to no model", "try:"]);
}

#[test]
fn the_models_behind_the_first_stand_in_for_it() {
    let rule = "[[route.auto.rule]]\nmodels = [\"sim/error?class=quota\", \"sim/echo\"]\npick = \"first\"\n";
    let done = llmx(rule, &["chat", "-m", "route/auto", "-j", "hi"]).run().exits(0);
    let object = done.json();
    assert_eq!((&object["model"], &object["text"]), (&json!("echo"), &json!("hi")));
    assert_eq!(object["earlier"][0]["error"]["class"], "quota");
}

#[test]
fn a_cascade_asks_the_next_model_where_an_answer_does_not_stand_its_check() {
    let cascade = |check: &str| {
        format!("[route.auto.cascade]\nmodels = [\"sim/lorem?tokens=4\", \"sim/echo\"]\ncheck = {{ {check} }}\n")
    };
    let asked =
        |check: &str| llmx(&cascade(check), &["chat", "-m", "route/auto", "-j", "hi there"]).run().exits(0).json();
    let escalated = asked("regex = \"there\"");
    assert_eq!((&escalated["text"], &escalated["timing"]["attempts"]), (&json!("hi there"), &json!(2)));
    let kept = asked("regex = \"Lorem\"");
    assert_eq!((&kept["model"], &kept["timing"]["attempts"]), (&json!("lorem?tokens=4"), &json!(1)));
    // What does not stand is not shown, and what stands is shown once.
    for (check, text) in [("regex = \"there\"", "hi there\n"), ("regex = \"Lorem\"", "Lorem ipsum dolor sit\n")] {
        llmx(&cascade(check), &["chat", "-m", "route/auto", "hi there"]).run().exits(0).prints(text);
    }
}

#[test]
fn both_calls_of_a_cascade_stand_in_the_books_and_the_second_points_at_the_first() {
    let config = "[route.auto.cascade]\nmodels = [\"sim/lorem?tokens=4\", \"sim/echo\"]\ncheck = { regex = \"hi\" }\n";
    let folder = tempfile::tempdir().expect("a folder");
    let books = folder.path().join("ledger.db");
    llmx(config, &["chat", "-m", "route/auto", "hi"]).env("LLMX_DB", &books).run().exits(0);
    let calls = llmx("", &["logs", "-j"]).env("LLMX_DB", &books).run().exits(0).json()["calls"].clone();
    assert_eq!(calls.as_array().map(Vec::len), Some(2), "{calls}");
    assert_eq!(calls[0]["retry_of"], calls[1]["id"]);
}

#[test]
fn a_call_says_in_the_books_which_route_chose_its_model() {
    let folder = tempfile::tempdir().expect("a folder");
    let books = folder.path().join("ledger.db");
    let run = |args: &[&str]| llmx(&one_rule(&["sim/echo"]), args).env("LLMX_DB", &books).run().exits(0);
    run(&["chat", "-m", "route/auto", "hi"]);
    run(&["chat", "-m", "sim/echo", "hi"]);
    let calls = run(&["logs", "-j"]).json();
    assert_eq!((&calls["calls"][1]["route"], &calls["calls"][0]["route"]), (&json!("auto"), &Value::Null));
    let id = calls["calls"][1]["id"].as_str().expect("an id");
    let page = run(&["logs", "show", id]);
    assert!(page.text().lines().any(|line| line.split_whitespace().eq(["route", "auto"])), "{}", page.text());
}

#[test]
fn the_retries_of_a_cascades_model_stand_before_the_next_one() {
    let models = "[\"sim/error?class=overloaded\", \"sim/echo\"]";
    let config = format!("[route.auto.cascade]\nmodels = {models}\ncheck = {{ regex = \"there\" }}\n");
    let object = llmx(&config, &["chat", "-m", "route/auto", "-j", "hi there"]).run().exits(0).json();
    assert_eq!((&object["text"], &object["timing"]["attempts"]), (&json!("hi there"), &json!(4)));
    let earlier = object["earlier"].as_array().expect("a list");
    assert!(earlier.len() == 3 && earlier.iter().all(|attempt| attempt["error"]["class"] == "overloaded"), "{object}");
}
