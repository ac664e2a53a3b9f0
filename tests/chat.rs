//! `llmx chat` as a user runs it: what is promised of prompts, output, exit codes, signals and settings.

mod common;

use common::binary::{KEY, Llmx};
use common::bodies::{self, DONE, chat_stream, chunk, says};
use common::server::{Script, Server};
use llmx::domain::failure::ErrorClass;
use serde_json::{Value, json};

/// A server that gives one good answer in Chat Completions.
fn good() -> Server {
    Server::new(Script::stream(chat_stream("fine")))
}

#[test]
fn hello_is_echoed_and_nothing_else_is_said() {
    Llmx::chat(&["-m", "sim/echo", "hello"]).run().exits(0).prints("hello\n").stays_quiet();
    Llmx::new(&["-m", "sim/echo", "hello"]).run().exits(0).prints("hello\n").stays_quiet();
}

#[test]
fn what_is_piped_in_stands_below_the_prompt() {
    Llmx::shell("echo data | \"$LLMX\" chat -m sim/echo \"summarise\" | cat")
        .run()
        .exits(0)
        .prints("summarise\n\n<stdin>\ndata\n</stdin>\n")
        .stays_quiet();
    Llmx::chat(&["-m", "sim/echo"]).stdin("data\n").run().exits(0).prints("data\n");
}

#[test]
fn a_dash_marks_where_standard_input_goes() {
    Llmx::chat(&["-m", "sim/echo", "before", "-", "after"])
        .stdin("data\n")
        .run()
        .exits(0)
        .prints("before\n\n<stdin>\ndata\n</stdin>\n\nafter\n");
    Llmx::chat(&["-m", "sim/echo", "-"]).stdin("data\n").run().exits(0).prints("<stdin>\ndata\n</stdin>\n");
}

#[test]
fn the_json_object_has_the_documented_keys_and_unknown_is_null() {
    let done = Llmx::chat(&["-m", "sim/lorem?tokens=5", "-j", "x"]).run().exits(0).stays_quiet();
    let object = done.json();
    for key in [
        "schema",
        "id",
        "group",
        "session",
        "provider",
        "region",
        "model",
        "model_served",
        "text",
        "reasoning",
        "tool_calls",
        "stop_reason",
        "stop_reason_raw",
        "usage",
        "cost",
        "timing",
        "error",
    ] {
        assert!(object.get(key).is_some(), "no {key} in {object}");
    }
    assert_eq!(object["schema"], 1);
    assert_eq!((&object["provider"], &object["model"]), (&json!("sim"), &json!("lorem?tokens=5")));
    assert_eq!(object["text"], "Lorem ipsum dolor sit amet,");
    assert_eq!((&object["stop_reason"], &object["tool_calls"]), (&json!("stop"), &json!([])));
    assert_eq!((&object["usage"]["input"], &object["usage"]["output"]), (&json!(1), &json!(5)));
    assert_eq!(object["usage"]["source"], "reported");
    assert!(object["usage"]["raw"].is_object());
    for unknown in ["cache_read", "cache_write_5m", "cache_write_1h", "reasoning"] {
        assert_eq!(object["usage"].get(unknown), Some(&Value::Null), "{unknown}");
    }
    for unknown in ["group", "session", "region", "reasoning", "error"] {
        assert_eq!(object.get(unknown), Some(&Value::Null), "{unknown}");
    }
    assert!(object["timing"]["first_token_ms"].is_u64() && object["timing"]["total_ms"].is_u64());
    assert_eq!(object["timing"]["attempts"], 1);
    assert!(object["cost"].get("usd").is_some() && object["cost"]["basis"].is_string());
    assert_eq!(object["cost"].get("at_most_usd"), Some(&Value::Null));
}

#[test]
fn money_is_a_decimal_text() {
    // 1 word in at $3 and 1,000 out at $15 per million tokens: 0.000003 + 0.015.
    let object = Llmx::chat(&["-m", "sim/lorem?tokens=1000&usd_in=3&usd_out=15", "-j", "x"]).run().exits(0).json();
    assert_eq!(object["cost"]["usd"], "0.015003");
}

#[test]
fn a_reader_that_has_enough_ends_the_call_quietly() {
    let done = Llmx::shell("\"$LLMX\" chat -m 'sim/lorem?tokens=100000' x | head -c 5; echo; true").run().exits(0);
    done.prints("Lorem\n").stays_quiet();
    let done = Llmx::shell("seq 100000 | { \"$LLMX\" chat -m sim/echo; echo $? >&2; } | head -1").run().exits(0);
    assert_eq!((done.text(), done.err.as_str()), ("1\n", "141\n"));
}

#[test]
fn every_class_of_error_has_its_documented_exit_code() {
    for class in ErrorClass::ALL {
        let model = format!("sim/error?class={class}");
        let done = Llmx::chat(&["-m", &model, "x"]).run().exits(i32::from(class.exit_code())).prints("");
        done.says(&["llmx: sim/error?class=", "a simulated", "\ntry: "]);
        let object = Llmx::chat(&["-m", &model, "-j", "x"]).run().exits(i32::from(class.exit_code())).json();
        assert_eq!(object["error"]["class"], class.as_str());
        assert_eq!(object["error"]["exit_code"], class.exit_code());
        assert_eq!(object["error"]["may_be_billed"], false, "{class}");
    }
}

#[test]
fn an_error_after_some_text_leaves_the_text() {
    let model = "sim/error?class=overloaded&after=3";
    Llmx::chat(&["-m", model, "x"]).run().exits(6).prints("Lorem ipsum dolor \n").says(&["overloaded"]);
    let object = Llmx::chat(&["-m", model, "-j", "x"]).run().exits(6).json();
    assert_eq!(object["text"], "Lorem ipsum dolor ");
    assert_eq!((&object["error"]["class"], &object["error"]["may_be_billed"]), (&json!("overloaded"), &json!(true)));
}

#[test]
fn the_help_lists_the_exit_codes() {
    let help = Llmx::chat(&["--help"]).run().exits(0);
    for code in ["0 ok", "3 no or rejected credential", "141 the reader went away"] {
        assert!(help.text().contains(code), "{code}");
    }
    Llmx::chat(&["--no-such-flag"]).run().exits(2).prints("");
}

#[test]
fn an_unknown_provider_is_answered_with_the_nearest_names() {
    Llmx::chat(&["-m", "opnai/gpt-4o", "x"]).run().exits(4).prints("").says(&["opnai", "try:", "openai"]);
    Llmx::chat(&["-m", "zzzzzz/x", "x"]).run().exits(4).says(&["try:", "the nearest names are"]);
}

#[test]
fn a_missing_key_names_its_variable() {
    Llmx::chat(&["-m", "openai/gpt-4o", "x"]).run().exits(3).prints("").says(&["OPENAI_API_KEY", "try: export"]);
    Llmx::chat(&["-m", "openai/gpt-4o", "x"]).env("OPENAI_API_KEY", " ").run().exits(3).says(&["OPENAI_API_KEY"]);
    let object = Llmx::chat(&["-m", "openai/gpt-4o", "-j", "x"]).run().exits(3).json();
    assert_eq!((&object["schema"], &object["error"]["class"]), (&json!(1), &json!("auth")));
}

#[test]
fn without_a_prompt_nothing_is_sent() {
    let server = good();
    Llmx::openai(&server, &[]).run().exits(2).prints("").says(&["nothing to ask"]);
    Llmx::openai(&server, &["  "]).stdin(" \n").run().exits(2).says(&["nothing to ask"]);
    Llmx::shell("\"$LLMX\" chat -m sim/echo <&-").run().exits(2).says(&["nothing to ask"]);
    assert_eq!(server.connections(), 0);
}

#[test]
fn without_a_model_the_providers_with_a_credential_are_listed() {
    let done = Llmx::chat(&["x"]).env("OPENAI_API_KEY", KEY).env("GEMINI_API_KEY", KEY).run().exits(2).prints("");
    done.says(&["no model is named", "openai", "gemini"]);
    Llmx::chat(&["x"]).run().exits(2).says(&["sim/echo"]);
}

#[test]
fn a_command_that_is_misspelt_or_stands_behind_a_flag_is_no_prompt() {
    let server = good();
    let asks = |words: &[&str]| {
        Llmx::new(words).env("OPENAI_API_KEY", KEY).env("OPENAI_BASE_URL", format!("{}/v1", server.url())).run()
    };
    for (words, advice) in [
        (&["usgae", "today", "-m", "openai/gpt-4o"][..], "try: llmx usage …; as a prompt: llmx chat … usgae"),
        (&["-m", "openai/gpt-4o", "compre", "this"], "try: llmx compare …; as a prompt"),
        (&["-m", "openai/gpt-4o", "models"], "try: llmx models …, the command first"),
    ] {
        asks(words).exits(2).prints("").says(&["nothing was sent", advice]);
    }
    assert_eq!(server.connections(), 0);
    let echo = |words: &[&str]| Llmx::new(&["-m", "sim/echo"]).args(words).run().exits(0).text().to_owned();
    assert_eq!(echo(&["compre these two"]), "compre these two\n");
    assert_eq!(echo(&["what", "is", "that"]), "what is that\n");
    assert_eq!(Llmx::chat(&["-m", "sim/echo", "models"]).run().exits(0).text(), "models\n");
}

#[test]
fn help_is_a_word_too() {
    let text = |words: &[&str]| Llmx::new(words).env("LLMX_MODEL", "sim/echo").run().exits(0).text().to_owned();
    assert_eq!(text(&["help"]), text(&["--help"]));
    assert_eq!(text(&["help", "budget", "set"]), text(&["budget", "set", "--help"]));
    assert_eq!(text(&["help", "me", "write"]), "help me write\n");
}

#[test]
fn a_provider_without_a_model_and_a_name_with_a_colon_are_mended() {
    let says = |name: &str, words: &[&str]| {
        Llmx::chat(&["-m", name, "x"]).run().exits(4).prints("").says(words);
    };
    says("anthropic", &["\"anthropic\" is a provider", "try: say which, such as anthropic/claude-"]);
    says("lmstudio", &["\"lmstudio\" is a provider", "try: say which, such as lmstudio/MODEL"]);
    says("openai:gpt-4o", &["names no model", "try: write it as openai/gpt-4o"]);
}

#[test]
fn the_name_of_a_maker_s_model_alone_is_the_maker_s() {
    let done = Llmx::chat(&["-m", "claude-sonnet-4-5", "--dry-run", "x"]).env("ANTHROPIC_API_KEY", KEY).run();
    assert!(done.exits(0).text().contains("api.anthropic.com"));
}

#[test]
fn a_key_that_no_header_can_carry_is_told_without_it() {
    let server = good();
    let done = Llmx::openai(&server, &["x"]).env("OPENAI_API_KEY", "sk-CANARY\nsk-CANARY").run();
    done.exits(3).says(&["authorization", "line breaks"]);
    assert_eq!(server.connections(), 0);
}

#[test]
fn a_file_that_holds_the_key_is_read_and_named_where_it_cannot_be() {
    let server = good();
    let asks = |path: &str| {
        Llmx::openai(&server, &["x"])
            .env("OPENAI_API_KEY", "other")
            .config(&format!("[provider.openai]\nkey_file = \"{path}\"\n"))
            .file("key", format!("{KEY}\n"))
            .file("empty", " \n")
    };
    asks("key").run().exits(0);
    assert_eq!(server.request().header("authorization"), Some(format!("Bearer {KEY}").as_str()));
    asks("none").run().exits(3).says(&["none"]);
    asks("empty").run().exits(3).says(&["empty"]);
    assert_eq!(server.requests().len(), 1);
}

#[test]
fn the_list_of_providers_names_variables_and_never_keys() {
    let done = Llmx::new(&["providers"]).env("OPENAI_API_KEY", KEY).run().exits(0).stays_quiet();
    assert!(done.text().contains("openai") && done.text().contains("OPENAI_API_KEY"));
    let object = Llmx::new(&["providers", "-j"]).env("OPENAI_API_KEY", KEY).run().exits(0).json();
    let openai = object["providers"].as_array().and_then(|rows| rows.iter().find(|row| row["id"] == "openai"));
    assert_eq!(openai.map(|row| &row["credential"]), Some(&json!("OPENAI_API_KEY")));
    Llmx::shell("\"$LLMX\" providers | head -1 >/dev/null").run().exits(0).stays_quiet();
}

#[test]
fn text_is_utf8_in_every_locale() {
    for locale in ["C", "POSIX", "de_DE.ISO-8859-1", "nonsense"] {
        Llmx::chat(&["-m", "sim/echo", "naïve 日本語"]).env("LC_ALL", locale).run().exits(0).prints("naïve 日本語\n");
    }
}

#[test]
fn more_than_32_mib_of_standard_input_is_not_sent() {
    let server = good();
    let done = Llmx::openai(&server, &["sum up"]).stdin(vec![b'x'; (32 << 20) + 1]).run();
    done.exits(2).prints("").says(&["32 MiB", "nothing was sent"]);
    assert_eq!(server.connections(), 0);
}

#[test]
fn standard_input_that_is_no_text_is_told_with_the_byte() {
    let done = Llmx::chat(&["-m", "sim/echo", "x"]).stdin(b"four\xFFmore".to_vec()).run();
    done.exits(2).prints("").says(&["standard input", "byte 4", "-a"]);
}

#[test]
fn a_dry_run_sends_nothing_and_shows_no_key() {
    let server = good();
    let done = Llmx::openai(&server, &["--dry-run", "--temperature", "0.5", "hello"]).run().exits(0).stays_quiet();
    for shown in [
        "POST ",
        "/v1/chat/completions",
        "\"temperature\": 0.5",
        "hello",
        "authorization: [hidden, from OPENAI_API_KEY]",
    ] {
        assert!(done.text().contains(shown), "no {shown} in {}", done.text());
    }
    let object = Llmx::openai(&server, &["--dry-run", "-j", "hello"]).run().exits(0).json();
    assert_eq!((&object["dry_run"], &object["body"]["model"]), (&json!(true), &json!("gpt-4o")));
    assert_eq!(server.connections(), 0);
}

#[test]
fn a_wrong_setting_is_told_before_anything_is_sent() {
    let server = good();
    for (args, word) in [
        (&["-P", "novalue", "x"][..], "KEY=VALUE"),
        (&["-P", "cache=2h", "x"], "5m or 1h"),
        (&["--schema", "{", "x"], "--schema"),
        (&["--schema", "/no/such.json", "x"], "/no/such.json"),
        (&["-s", "@/no/such.txt", "x"], "/no/such.txt"),
        (&["-f", "/no/such.txt", "x"], "/no/such.txt"),
        (&["-f", ".", "x"], "is a folder"),
        (&["-a", "-", "-f", "-", "x"], "asked for twice"),
        (&["--base-url", "ftp://x", "x"], "--base-url"),
        (&["--base-url", "https://u:p@x.example", "x"], "password"),
        (&["--base-url", "https://x.example/v1?key=k", "x"], "query"),
        (&["--api", "cohere", "--base-url", "", "x"], "--api"),
    ] {
        let llmx = if args.contains(&"--api") {
            Llmx::chat(&["-m", "openai/gpt-4o"]).env("OPENAI_API_KEY", KEY).args(args)
        } else {
            Llmx::openai(&server, args)
        };
        llmx.stdin("data").run().exits(2).prints("").says(&[word]);
    }
    assert_eq!(server.connections(), 0);
}

#[test]
fn the_prompt_the_system_text_and_the_settings_are_sent_and_nothing_else() {
    let server = good();
    Llmx::openai(&server, &["-s", "be brief", "--max-tokens", "9", "-P", "top_p=0.5", "-P", "metadata.a=b", "hello"])
        .run()
        .exits(0)
        .prints("fine\n")
        .stays_quiet();
    let request = server.request();
    assert_eq!((request.method.as_str(), request.path.as_str()), ("POST", "/v1/chat/completions"));
    assert_eq!(request.header("authorization"), Some(format!("Bearer {KEY}").as_str()));
    assert_eq!(request.header("accept-encoding"), Some("identity"));
    assert_eq!((request.header("referer"), request.header("cookie")), (None, None));
    let body = request.json();
    assert_eq!(
        body["messages"],
        json!([{"role": "system", "content": "be brief"}, {"role": "user", "content": "hello"}])
    );
    assert_eq!((&body["top_p"], &body["metadata"]), (&json!(0.5), &json!({"a": "b"})));
    let keys: Vec<&str> = body.as_object().into_iter().flatten().map(|(key, _)| key.as_str()).collect();
    for key in &keys {
        let known = [
            "model",
            "messages",
            "stream",
            "stream_options",
            "max_tokens",
            "max_completion_tokens",
            "top_p",
            "metadata",
        ];
        assert!(known.contains(key), "{key} was never asked for: {body}");
    }
}

#[test]
fn files_and_the_system_text_are_read_from_where_they_stand() {
    let server = good();
    Llmx::openai(&server, &["-s", "@role.txt", "-f", "a.rs", "-f", "b.rs", "review"])
        .file("role.txt", "be brief")
        .file("a.rs", "fn a() {}\n")
        .file("b.rs", "fn b() {}\n")
        .run()
        .exits(0);
    let body = server.request().json();
    assert_eq!(body["messages"][0]["content"], "be brief");
    let text = body["messages"][1]["content"].as_str().unwrap_or_default();
    assert_eq!(text, "review\n\n<file name=\"a.rs\">\nfn a() {}\n</file>\n\n<file name=\"b.rs\">\nfn b() {}\n</file>");
}

const PNG: &[u8] = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x01\0\0\0\x01\x08\x06\0\0\0";
const PDF: &[u8] = b"%PDF-1.7\n1 0 obj\n<<>>\nendobj\n";

#[test]
fn a_picture_and_a_document_are_sent_as_what_they_are() {
    let server = good();
    Llmx::openai(&server, &["-a", "picture", "-a", "paper", "what is it?"])
        .file("picture", PNG)
        .file("paper", PDF)
        .run()
        .exits(0);
    let content = server.request().json()["messages"][0]["content"].to_string();
    assert!(
        content.contains("data:image/png;base64,iVBOR") && content.contains("data:application/pdf;base64,JVBER"),
        "{content}"
    );
    let server = good();
    Llmx::openai(&server, &["-a", "-", "what is it?"]).stdin(PNG).run().exits(0);
    assert!(server.request().json().to_string().contains("image/png"));
}

#[test]
fn an_unknown_kind_of_file_is_not_sent() {
    let server = good();
    for (content, word) in [
        (&b"\0\x01\x02\xFF\xFE"[..], "type is not known"),
        (b"", "is empty"),
        (b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom", "video"),
    ] {
        Llmx::openai(&server, &["-a", "thing.bin", "x"])
            .file("thing.bin", content)
            .run()
            .exits(2)
            .says(&["thing.bin", word]);
    }
    assert_eq!(server.connections(), 0);
}

#[test]
fn a_page_from_the_web_is_read_without_any_credential() {
    let pages = Server::new(Script::whole(200, "text/plain", "the page"));
    let server = good();
    let url = format!("{}/page", pages.url());
    Llmx::openai(&server, &["-f", &url, "sum up"]).run().exits(0);
    assert!(server.request().prompt().contains("the page"));
    let asked = pages.request();
    assert_eq!((asked.method.as_str(), asked.path.as_str()), ("GET", "/page"));
    assert_eq!((asked.header("authorization"), asked.header("referer")), (None, None));
    let moved = Server::new(Script::head(302, &[("location", &pages.url()), ("content-length", "0")]));
    Llmx::openai(&server, &["-f", &moved.url(), "sum up"]).run().exits(2).says(&["redirects"]);
    assert_eq!((server.requests().len(), pages.requests().len()), (1, 1));
}

#[test]
fn an_answer_that_fits_its_schema_is_good_and_another_exits_10() {
    let server = Server::new(Script::stream(chat_stream("{\"age\": 7}")));
    Llmx::openai(&server, &["--schema", "age int", "x"]).run().exits(0).prints("{\"age\": 7}\n").stays_quiet();
    assert!(server.request().json()["response_format"].is_object());
    let server = Server::new(Script::stream(chat_stream("{\"age\": \"seven\"}")));
    Llmx::openai(&server, &["--schema", "age int", "x"]).run().exits(10).says(&["does not fit the schema at /age"]);
    let server = Server::new(Script::stream(chat_stream("seven")));
    Llmx::openai(&server, &["--schema", "age int", "x"]).run().exits(10).prints("seven\n").says(&["no JSON"]);
}

const BLOCKS: &str = "Two:\n\n```sh\nls\n```\n\nand\n\n```python\nprint(1)\n```\n";

#[test]
fn a_code_block_is_all_that_extract_prints() {
    let server = Server::new(Script::stream(chat_stream(BLOCKS)));
    Llmx::openai(&server, &["-x", "code"]).run().exits(0).prints("ls\n").stays_quiet();
    Llmx::openai(&server, &["-x=last", "code"]).run().exits(0).prints("print(1)\n");
    Llmx::openai(&server, &["-x=py", "code"]).run().exits(0).prints("print(1)\n");
    Llmx::openai(&server, &["-x=go", "code"]).run().exits(10).prints("").says(&["no such code block"]);
}

#[test]
fn json_lines_give_the_events_and_then_the_object() {
    let lines = Llmx::openai(&good(), &["--jsonl", "x"]).run().exits(0).stays_quiet().lines();
    let kinds: Vec<&str> = lines.iter().filter_map(|line| line["event"].as_str()).collect();
    assert!(kinds.contains(&"text") && kinds.contains(&"usage") && kinds.contains(&"finished"), "{kinds:?}");
    let last = lines.last().expect("lines");
    assert_eq!((&last["schema"], &last["text"], &last["error"]), (&json!(1), &json!("fine"), &Value::Null));
    Llmx::openai(&good(), &["-j", "--jsonl", "x"]).run().exits(2);
}

#[test]
fn quiet_says_only_the_answer_and_errors_and_verbose_says_where_things_come_from() {
    let cut = || Server::new(Script::stream(format!("{}{DONE}", says("fine") + &chunk(&json!({}), Some("length")))));
    Llmx::openai(&cut(), &["x"]).run().exits(0).prints("fine\n").says(&["--max-tokens", "no usage"]);
    Llmx::openai(&cut(), &["-q", "x"]).run().exits(0).prints("fine\n").stays_quiet();
    let server = good();
    let done = Llmx::openai(&server, &["-v", "x"]).run().exits(0).prints("fine\n");
    done.says(&[&server.authority(), "OPENAI_BASE_URL", "OPENAI_API_KEY", "7 in", "5 out"]);
    Llmx::chat(&["-q", "-m", "openai/gpt-4o", "x"]).run().exits(3).says(&["OPENAI_API_KEY"]);
}

#[test]
fn a_whole_answer_is_asked_for_with_no_stream() {
    for spoken in bodies::all() {
        let server = Server::new(Script::json(200, &spoken.whole));
        let url = server.url();
        let done = Llmx::chat(&["-m", "openai/m-1", "--api", spoken.api, "--base-url", &url, "-S", "-j", "x"])
            .run()
            .exits(0)
            .json();
        assert_eq!(done["text"], bodies::TEXT, "{}", spoken.api);
        assert_eq!((&done["usage"]["input"], &done["usage"]["output"]), (&json!(7), &json!(5)), "{}", spoken.api);
        let body = server.request().json();
        assert!(body.get("stream").is_none_or(|stream| stream == false), "{}: {body}", spoken.api);
    }
}

#[test]
fn every_dialect_streams_its_answer_with_usage() {
    for spoken in bodies::all() {
        let server = Server::new(Script::chunked(200, spoken.content_type).piece(spoken.stream()).end());
        let url = server.url();
        let args = ["-m", "openai/m-1", "--api", spoken.api, "--base-url", &url, "--max-tokens", "99", "x"];
        Llmx::chat(&args).run().exits(0).prints("Lake Como is 425 m deep.\n").stays_quiet();
        let object = Llmx::chat(&args).args(&["-j"]).run().exits(0).json();
        assert_eq!((&object["usage"]["input"], &object["usage"]["output"]), (&json!(7), &json!(5)), "{}", spoken.api);
        assert_eq!(object["stop_reason"], "stop", "{}", spoken.api);
        assert_eq!(object["usage"]["source"], "reported");
    }
}

#[test]
fn thinking_is_shown_only_where_it_is_asked_for_and_never_on_standard_output() {
    let model = "sim/lorem?tokens=2&reasoning=3";
    Llmx::chat(&["-m", model, "x"]).run().exits(0).prints("Lorem ipsum\n").stays_quiet();
    let done = Llmx::chat(&["-m", model, "--show-reasoning", "x"]).run().exits(0).prints("Lorem ipsum\n");
    assert_eq!(done.err, "Lorem ipsum dolor\n\n");
}

#[test]
fn the_base_url_comes_from_the_flag_then_from_our_variable_then_from_that_of_the_sdk() {
    let (flag, ours, theirs) = (good(), good(), good());
    let llmx = |args: &[&str]| {
        Llmx::chat(&["-m", "openai/gpt-4o"]).env("OPENAI_API_KEY", KEY).env("OPENAI_BASE_URL", theirs.url()).args(args)
    };
    llmx(&["x"]).run().exits(0);
    assert_eq!(theirs.requests().len(), 1);
    llmx(&["x"]).env("LLMX_OPENAI_BASE_URL", ours.url()).run().exits(0);
    assert_eq!((theirs.requests().len(), ours.requests().len()), (1, 1));
    llmx(&["--base-url", &flag.url(), "x"]).env("LLMX_OPENAI_BASE_URL", ours.url()).run().exits(0);
    assert_eq!((theirs.requests().len(), ours.requests().len(), flag.requests().len()), (1, 1, 1));
}

#[test]
fn the_model_comes_from_the_flag_then_the_variable_then_the_project_then_the_user() {
    let llmx = |args: &[&str]| {
        Llmx::chat(args)
            .config("model = \"sim/error?class=auth\"\n[alias]\nfast = \"sim/error?class=quota\"\n")
            .file(".llmx.toml", "model = \"sim/error?class=region\"\n")
    };
    llmx(&["-m", "sim/echo", "x"]).env("LLMX_MODEL", "sim/lorem").run().exits(0).prints("x\n");
    llmx(&["-m", "fast", "x"]).run().exits(5);
    llmx(&["x"]).env("LLMX_MODEL", "fast").run().exits(5);
    llmx(&["x"]).run().exits(4);
    Llmx::chat(&["x"]).config("model = \"sim/error?class=auth\"\n").run().exits(3);
}

#[test]
fn a_broken_configuration_is_told_with_its_line_and_without_its_values() {
    for (text, word) in [
        ("model = \"a/b\"\nkeey = \"sk-CANARY\"\n", "config.toml:2:1"),
        ("model = \n", "config.toml:1"),
        ("[limits]\nidle_ms = 0\n", "config.toml:2"),
        ("[limits]\nidle = 5\n", "config.toml:2"),
    ] {
        Llmx::chat(&["-m", "sim/echo", "x"]).config(text).run().exits(2).prints("").says(&[word, "nothing was sent"]);
    }
    Llmx::chat(&["-m", "sim/echo", "--config", "none.toml", "x"]).run().exits(2).says(&["none.toml", "no such file"]);
    let broken = Llmx::chat(&["-m", "openai/x", "x"]).config("[provider.openai]\nauth = \"sk-CANARY\"\n");
    broken.run().exits(2).says(&["openai"]);
}

#[test]
fn a_hostile_project_moves_neither_hosts_nor_keys() {
    let server = good();
    let url = server.url();
    for (hostile, line) in [
        (format!("[provider.openai]\nbase_url = \"{url}\"\n"), 1),
        (format!("model = \"openai/x\"\n\n[provider.mine]\nbase_url = \"{url}\"\n"), 3),
        ("ca_bundle = \"evil.pem\"\n".into(), 1),
        ("[limits]\nhead_ms = 1\n".into(), 1),
        ("base_url = \"http://x\"\n".into(), 1),
        ("key_file = \"/etc/passwd\"\n".into(), 1),
    ] {
        let done =
            Llmx::chat(&["-m", "openai/gpt-4o", "x"]).env("OPENAI_API_KEY", KEY).file(".llmx.toml", &hostile).run();
        done.exits(2).prints("").says(&[&format!(".llmx.toml:{line}")]);
    }
    // A file of variables that lies in a repository is not read.
    let done = Llmx::chat(&["-m", "openai/gpt-4o", "x"])
        .file(".env", format!("OPENAI_API_KEY={KEY}\nOPENAI_BASE_URL={url}\n"));
    done.run().exits(3);
    assert_eq!(server.connections(), 0);
}

#[test]
fn a_provider_of_the_users_own_is_a_table_in_the_configuration() {
    let server = good();
    Llmx::chat(&["-m", "mine/some-model", "x"])
        .config(&format!(
            "[provider.mine]\nname = \"Mine\"\nbase_url = \"{}\"\napi = [\"chat\"]\nkey = [\"MINE_KEY\"]\n",
            server.url()
        ))
        .env("MINE_KEY", KEY)
        .run()
        .exits(0)
        .prints("fine\n");
    let request = server.request();
    assert_eq!(request.header("authorization"), Some(format!("Bearer {KEY}").as_str()));
    assert_eq!(request.json()["model"], "some-model");
}

#[test]
fn a_server_that_never_answers_is_left_after_the_timeout() {
    let server = Server::new(Script::bare().silence());
    let object = Llmx::openai(&server, &["--timeout", "1", "-j", "x"]).run().exits(6).says(&["--timeout"]).json();
    assert_eq!((&object["error"]["class"], &object["error"]["may_be_billed"]), (&json!("timeout"), &json!(true)));
    assert_eq!(server.requests().len(), 1);
    server.await_disconnect();
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_an_error_and_a_closed_output_is_none() {
    let full = Llmx::shell("\"$LLMX\" chat -m sim/echo hello >/dev/full").run().exits(1);
    full.says(&["cannot write to standard output"]);
    Llmx::shell("\"$LLMX\" chat -m sim/echo -j hello >/dev/full").run().exits(1).says(&["cannot write"]);
    Llmx::shell("\"$LLMX\" chat -m sim/echo hello >&-").run().exits(0).stays_quiet();
    Llmx::shell("\"$LLMX\" chat -m sim/error hello 2>&-").run().exits(6).prints("");
}

#[cfg(unix)]
mod signals {
    use super::{DONE, KEY, Llmx, Script, Server, Value, bodies, chunk, json, says};
    use rustix::process::Signal;

    fn speaking() -> Server {
        Server::new(Script::events().piece(says("one ")).piece(says("two ")).piece(says("three")).silence())
    }

    #[test]
    fn a_signal_ends_the_call_and_what_came_stays() {
        for (signal, code) in [(Signal::INT, 130), (Signal::TERM, 143), (Signal::HUP, 129)] {
            let server = speaking();
            let mut running = Llmx::openai(&server, &["x"]).spawn();
            running.await_out("three");
            running.signal(signal);
            running.done().exits(code).prints("one two three\n").says(&["stopped"]);
            server.await_disconnect();
            assert_eq!(server.requests().len(), 1);
        }
    }

    #[test]
    fn a_stopped_call_still_gives_its_object() {
        let server = speaking();
        let mut running = Llmx::openai(&server, &["--jsonl", "x"]).spawn();
        running.await_out("three");
        running.signal(Signal::INT);
        let lines = running.done().exits(130).lines();
        let last = lines.last().expect("an object");
        assert_eq!((&last["text"], &last["stopped"]), (&json!("one two three"), &json!("interrupt")));
        assert_eq!(last["usage"], Value::Null);
    }

    #[test]
    fn usage_that_comes_just_after_the_signal_is_still_counted() {
        let rest = format!("{}{}{DONE}", chunk(&json!({}), Some("stop")), bodies::CHAT_USAGE);
        let counted = || {
            let server = Server::new(Script::events().piece(says("three")).gate("stopped").piece(&rest).end());
            let mut running = Llmx::openai(&server, &["--jsonl", "x"]).spawn();
            running.await_out("three");
            running.signal(Signal::INT);
            // Nothing is seen from outside between the signal and the end of the 200 ms in which usage is waited for: a
            // machine that is busy just then misses them.
            std::thread::sleep(std::time::Duration::from_millis(80));
            server.open("stopped");
            let lines = running.done().lines();
            let last = lines.last().expect("an object").clone();
            (&last["stopped"], &last["text"], &last["usage"]["output"])
                == (&json!("interrupt"), &json!("three"), &json!(5))
        };
        assert!((0..20).any(|_| counted()), "never in twenty times");
    }

    #[test]
    fn a_signal_that_was_ignored_at_the_start_stays_ignored() {
        let rest = format!("{}{}{DONE}", chunk(&json!({}), Some("stop")), bodies::CHAT_USAGE);
        for (signal, name) in [(Signal::HUP, "HUP"), (Signal::INT, "INT")] {
            let server = Server::new(Script::events().piece(says("three")).gate("sent").piece(&rest).end());
            let mut running = Llmx::shell(&format!("trap '' {name}; exec \"$LLMX\" chat -m openai/gpt-4o x"))
                .env("OPENAI_BASE_URL", server.url())
                .spawn();
            running.await_out("three");
            running.signal(signal);
            server.open("sent");
            running.done().exits(0).prints("three\n").stays_quiet();
        }
    }

    #[test]
    fn a_signal_before_the_first_byte_ends_the_call() {
        let server = Server::new(Script::bare().silence());
        let running = Llmx::openai(&server, &["x"]).spawn();
        server.await_request();
        running.signal(Signal::INT);
        running.done().exits(130).prints("");
    }

    #[test]
    fn a_second_signal_ends_the_process_at_once() {
        let server = speaking();
        let mut running = Llmx::openai(&server, &["x"]).spawn();
        running.await_out("three");
        running.signal(Signal::INT);
        running.signal(Signal::TERM);
        let done = running.done();
        // The second may overtake the end of the drain or not; it never makes the process stay.
        assert!(matches!(done.code, 130 | 143), "{done:?}");
    }

    #[test]
    fn a_signal_is_obeyed_even_while_nobody_reads_the_output() {
        let server = Server::new(Script::events().forever(says(&"x".repeat(60_000))));
        let running = Llmx::shell("exec \"$LLMX\" chat -m openai/gpt-4o x >\"$FIFO\"");
        let fifo = running.path().join("fifo");
        let running = running.env("FIFO", &fifo).env("OPENAI_API_KEY", KEY).env("OPENAI_BASE_URL", server.url());
        assert!(std::process::Command::new("mkfifo").arg(&fifo).status().is_ok_and(|status| status.success()));
        let running = running.spawn();
        // Opened and never read: the pipe fills up and the write blocks.
        let _reader = std::fs::File::open(&fifo).expect("the other end opens it");
        let mut before = 0;
        loop {
            std::thread::sleep(std::time::Duration::from_millis(50));
            let now = server.written();
            if now > 0 && now == before {
                break;
            }
            before = now;
        }
        running.signal(Signal::TERM);
        running.done().exits(143);
    }
}
