//! Budgets as a user meets them: set, asked, refused by, explained; and who is spending, by flag, variable and file.

mod common;

use common::binary::{Done, KEY, Llmx};
use common::bodies::{CHAT_USAGE, DONE, event};
use common::server::{Script, Server};
use llmx::domain::money::Usd;
use serde_json::{Value, json};

/// A ledger, a home and a working directory that outlive the runs.
struct Home {
    folder: tempfile::TempDir,
}

impl Home {
    fn new() -> Home {
        Home { folder: tempfile::tempdir().expect("a folder") }
    }

    /// A file below the working directory, `shop/`, or beside it.
    fn file(self, name: &str, text: &str) -> Home {
        let path = self.folder.path().join(name);
        std::fs::create_dir_all(path.parent().expect("below the folder")).expect("made");
        std::fs::write(path, text).expect("written");
        self
    }

    fn llmx(&self, args: &[&str]) -> Llmx {
        let shop = self.folder.path().join("shop");
        std::fs::create_dir_all(&shop).expect("made");
        Llmx::new(args)
            .within(&shop)
            .env("LLMX_DB", self.folder.path().join("data/ledger.db"))
            .env("LLMX_CONFIG", self.config())
    }

    fn config(&self) -> String {
        let path = self.folder.path().join("config.toml");
        if !path.exists() {
            std::fs::write(&path, "").expect("written");
        }
        path.display().to_string()
    }

    #[track_caller]
    fn does(&self, args: &[&str]) -> Done {
        self.llmx(args).run().exits(0)
    }

    #[track_caller]
    fn json(&self, args: &[&str]) -> Value {
        self.does(args).json()
    }

    /// A call to gpt-4o-mini at this server. 2026-11-22: $0.15 for input and $0.6 for output, each for a million tokens
    /// (openai.com/api/pricing).
    fn ask(&self, server: &Server, args: &[&str]) -> Llmx {
        self.llmx(&["chat", "-m", "openai/gpt-4o-mini", "Why?"])
            .env("OPENAI_API_KEY", KEY)
            .env("OPENAI_BASE_URL", format!("{}/v1", server.url()))
            .args(args)
    }
}

/// An answer with a usage of 7 and 5 tokens: 7 × 150,000 + 5 × 600,000 = 4,050,000 picodollars.
fn answer() -> Script {
    let chunk = |delta: &Value, finish: Option<&str>| {
        event(&json!({"id": "c1", "object": "chat.completion.chunk", "model": "gpt-4o-mini-2024-07-18",
            "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}))
    };
    let (says, stops) = (chunk(&json!({"content": "Because."}), None), chunk(&json!({}), Some("stop")));
    Script::stream(format!("{says}{stops}{CHAT_USAGE}{DONE}"))
}

const ANSWER_USD: &str = "0.00000405";

/// A budget that refuses nothing says what it would have refused.
mod soft {
    use super::{Home, KEY, Script, Server, answer, json};

    const SAID: &str = "; sent all the same: the budget is soft";

    #[test]
    fn each_call_that_does_not_fit_is_told_and_sent() {
        let (home, server) = (Home::new(), Server::new(answer()));
        home.does(&["budget", "set", "s", "0.000005/day", "--soft", "--warn", "none"]);
        let first = home.ask(&server, &["--max-tokens", "10"]).run().exits(0).prints("Because.\n");
        assert_eq!(first.err.matches(SAID).count(), 1, "{}", first.err);
        first.says(&["llmx: budget s (every call): $0.000005/day, spent $0, held $0, free $0.000005; this call could cost $0.0000"]);
        let second = home.ask(&server, &["--max-tokens", "10", "-j"]).run().exits(0);
        let second = second.says(&["spent $0.00000405, held $0, free $0.00000095; this call could cost", SAID]);
        let notes = second.json()["notes"].to_string();
        assert_eq!(notes.matches(SAID).count(), 1, "{notes}");
        let over = home.ask(&server, &["--max-tokens", "10", "-q"]).run().exits(0);
        assert_eq!(over.err, "");
        home.ask(&server, &["--max-tokens", "10"]).run().exits(0).says(&["over by $0.00000715", SAID]);
        // What costs nothing takes no room from anything.
        home.does(&["chat", "-m", "sim/echo", "hi"]).stays_quiet();
        home.does(&["budget", "set", "s", "5/day", "--soft", "--warn", "none"]);
        home.ask(&server, &["--max-tokens", "10"]).run().exits(0).stays_quiet();
        assert_eq!(server.requests().len(), 5);
    }

    #[test]
    fn a_retry_does_not_say_it_again() {
        let busy = Script::json(503, r#"{"error": {"message": "no"}}"#);
        let (home, server) = (Home::new(), Server::of(vec![busy.clone(), busy, answer()]));
        home.does(&["budget", "set", "s", "0/day", "--soft", "--warn", "none"]);
        let done = home.ask(&server, &[]).run().exits(0);
        assert_eq!((server.requests().len(), done.err.matches(SAID).count()), (3, 1), "{}", done.err);
    }

    #[test]
    fn a_call_that_nobody_can_price_or_bound_is_told_unless_the_budget_allows_it() {
        let (home, server) = (Home::new(), Server::new(answer()));
        let ask = |model: &str, args: &[&str]| {
            let llmx = home.llmx(&["chat", "-m", model, "Why?"]).env("OPENAI_API_KEY", KEY);
            llmx.env("OPENAI_BASE_URL", format!("{}/v1", server.url())).args(args).run().exits(0)
        };
        for (terms, unpriced, unbounded) in [
            (&[][..], "nobody knows the price of this call; sent", "nobody can say how much this call may cost; sent"),
            (&["--on-unknown-price", "allow", "--allow-unbounded"][..], "", ""),
        ] {
            home.llmx(&["budget", "set", "s", "5/day", "--soft"]).args(terms).run().exits(0);
            for (done, said) in [
                (ask("openai/gpt-99-never", &[]), unpriced),
                (ask("openai/gpt-4o-mini", &["-P", "web_search_options={}"]), unbounded),
            ] {
                assert_eq!(done.err.contains(SAID), !said.is_empty(), "{}", done.err);
                done.says(&[said]);
            }
        }
    }

    #[test]
    fn a_comparison_says_it_once_for_each_budget_and_before_the_answers() {
        let (home, server) = (Home::new(), Server::new(answer()));
        home.does(&["budget", "set", "s", "0/day", "--soft", "--warn", "none"]);
        home.does(&["budget", "set", "t", "0/total", "--soft", "--warn", "none"]);
        let models = "openai/gpt-4o-mini,openai/gpt-4o,openai/gpt-4.1-mini";
        let llmx = home.llmx(&["compare", "-m", models, "--runs", "2", "-j", "Why?"]).env("OPENAI_API_KEY", KEY);
        let done = llmx.env("OPENAI_BASE_URL", format!("{}/v1", server.url())).run().exits(0);
        assert_eq!((server.requests().len(), done.err.matches(SAID).count()), (6, 2), "{}", done.err);
        for call in done.json()["calls"].as_array().expect("a list") {
            assert_eq!(call["notes"].to_string().matches(SAID).count(), 2, "each call has its own: {call}");
        }
        assert_eq!(done.json()["summary"]["cost"]["calls"], json!(6));
    }
}

/// What becomes of sums that no number holds.
mod beyond {
    use super::{DONE, Home, KEY, Script, Server, event, json};

    #[test]
    fn sums_beyond_the_largest_number_are_booked_and_close_nothing() {
        let said = event(&json!({"model": "x/y", "choices": [{"delta": {"content": "so"}, "finish_reason": "stop"}]}));
        let usage = json!({"prompt_tokens": 7, "completion_tokens": 5, "total_tokens": 12, "cost": 5_000_000});
        let server =
            Server::new(Script::stream(format!("{said}{}{DONE}", event(&json!({"choices": [], "usage": usage})))));
        let home = Home::new();
        home.does(&["budget", "set", "s", "5/day", "--soft"]);
        for _ in 0..3 {
            let url = format!("{}/api/v1", server.url());
            let asked = ["chat", "-m", "openrouter/openai/gpt-4o-mini", "--base-url", &url, "-j", "Why?"];
            let done = home.llmx(&asked).env("OPENROUTER_API_KEY", KEY).run().exits(0);
            assert_eq!(done.json()["cost"]["usd"], "5000000");
            assert!(!done.err.contains("ledger") && !done.err.contains("spill"), "{}", done.err);
        }
        home.does(&["chat", "-m", "sim/echo", "still at work"]);
        home.does(&["ledger", "check"]);
        let status = home.json(&["budget", "status", "-j"]);
        assert_eq!(status["budgets"][0]["spent"], "9223372.036854775807", "a sum says no more: {status}");
        let usage = home.json(&["usage", "-j"]);
        assert_eq!(usage["total"]["usd"], "15000000", "{usage}");
        home.does(&["budget", "rm", "s"]);
    }
}

mod setting {
    use super::Home;

    #[test]
    fn a_budget_is_set_replaced_listed_and_removed() {
        let home = Home::new();
        home.does(&["budget", "set", "eng-a", "$40/month@15", "--project", "api", "--zone", "Europe/Berlin"])
            .prints("eng-a is $40/month@15, hard, over project=api, in Europe/Berlin\n");
        let args = [
            "budget",
            "set",
            "eng-a",
            "50/day",
            "--user",
            "ann",
            "--team",
            "pay",
            "--tag",
            "env=ci",
            "--model",
            "bedrock/*",
            "--provider",
            "bedrock",
            "--session",
            "s1",
            "--soft",
            "--warn",
            "80,50",
            "--on-unknown-price",
            "assume:0.50",
            "--allow-unbounded",
            "--no-clip",
            "-j",
        ];
        let object = home.json(&args);
        assert_eq!((&object["was"]["limit"], &object["was"]["window"]), (&"40".into(), &"month@15".into()));
        let set = &object["set"];
        let scope = serde_json::json!({"user": "ann", "team": "pay", "provider": "bedrock", "model": "bedrock/*",
            "session": "s1", "tags": {"env": "ci"}});
        assert_eq!(set["scope"], scope);
        assert_eq!((&set["hard"], &set["clip"], &set["allow_unbounded"]), (&false.into(), &false.into(), &true.into()));
        assert_eq!((&set["warn"], &set["on_unknown_price"]), (&serde_json::json!([50, 80]), &"assume:0.5".into()));
        let listed = home.json(&["budget", "list", "-j"]);
        assert_eq!(listed["budgets"], serde_json::json!([set]));
        home.does(&["budget", "rm", "eng-a"]).prints("eng-a is out of force\n");
        home.does(&["budget", "list"]).prints("").says(&["no budget is set"]);
        home.llmx(&["budget", "rm", "eng-a"]).run().exits(2).says(&["no budget in force here is named eng-a"]);
    }

    #[test]
    fn what_cannot_be_a_budget_is_refused_and_nothing_is_set() {
        let home = Home::new();
        for (wrong, told) in [
            (&["eng", "-5/day"][..], "such as 50/day"),
            (&["eng", "fifty/day"], "such as 50/day"),
            (&["eng", "50/fortnight"], "hour, day, week"),
            (&["eng", "50/month@32"], "month@15"),
            (&["eng", "9999999999/day"], "such as 50/day"),
            (&["../eng", "50/day"], "letters, digits"),
            (&["eng", "50/day", "--tag", "x"], "KEY=VALUE"),
            (&["eng", "50/day", "--zone", "Mars/Olympus"], "Europe/Berlin"),
            (&["eng", "50/day", "--warn", "half"], "50,80,100"),
            (&["eng", "50/day", "--on-unknown-price", "maybe"], "assume:0.50"),
            (&["eng", "50/day", "--project", "a\u{1b}[2Jb"], "one line"),
        ] {
            let done = home.llmx(&["budget", "set"]).args(wrong).run().exits(2).says(&["llmx: ", "\ntry: ", told]);
            assert!(done.out.is_empty() && !done.err.contains('\u{1b}'), "{done:?}");
        }
        home.llmx(&["budget", "set", "eng", "5/day", "--provider", "opnai"]).run().exits(4).says(&["openai"]);
        assert_eq!(home.json(&["budget", "list", "-j"])["budgets"], serde_json::json!([]));
    }
}

mod refusing {
    use super::{ANSWER_USD, Home, Script, Server, Usd, answer, json};

    #[test]
    fn a_call_that_does_not_fit_is_not_sent_and_the_refusal_says_all() {
        let (home, server) = (Home::new(), Server::new(answer()));
        home.does(&["budget", "set", "eng-a", "0.000001/day", "--project", "api", "--no-clip"]);
        home.does(&["budget", "set", "all", "0.000002"]);
        // Another project's calls count only in the budget of all.
        let refused = home.ask(&server, &["--project", "web", "--max-tokens", "100"]).run().exits(8);
        assert!(!refused.err.contains("eng-a"), "{}", refused.err);
        let refused = home.ask(&server, &["--project", "api", "--max-tokens", "100"]).run().exits(8).prints("");
        let refused =
            refused.says(&["llmx: budget eng-a (project=api): $0.000001/day, spent $0, held $0, free $0.000001"]);
        refused.says(&["; nothing was sent\nllmx: budget all (every call): $0.000002/total", "\ntry: "]);
        let object = home.ask(&server, &["--project", "api", "--max-tokens", "100", "-j"]).run().exits(8).json();
        let error = &object["error"];
        assert_eq!(
            (&error["type"], &error["class"], &error["exit_code"]),
            (&"budget".into(), &"budget".into(), &8.into())
        );
        assert_eq!((&error["budget"], &error["scope"]), (&"eng-a".into(), &json!({"project": "api"})));
        assert_eq!((&error["limit"], &error["request_sent"]), (&"0.000001".into(), &false.into()));
        assert_eq!(
            (&error["spent"], &error["held"], &error["others"][0]["budget"]),
            (&"0".into(), &"0".into(), &"all".into())
        );
        let needed = error["needed"].as_str().and_then(Usd::parse).expect("an amount");
        assert!(needed.picos >= 100 * 600_000, "{needed}");
        assert!(error["resets_at"].as_str().expect("a time").ends_with("T00:00:00Z"));
        assert_eq!(error["others"][0]["resets_at"], serde_json::Value::Null);
        assert!(server.requests().is_empty());
        // It is written down, and is no spend.
        assert_eq!(home.json(&["logs", "-j"])["calls"], json!([]));
        assert_eq!(home.json(&["budget", "status", "-j"])["budgets"][0]["calls"], 0);
        let text = home.does(&["budget", "explain"]).text().to_owned();
        for told in
            ["openai/gpt-4o-mini", &format!("needed      ${needed}"), "$0 spent + $0 held + $", "nothing was sent"]
        {
            assert!(text.contains(told), "{told}: {text}");
        }
        let explained = home.json(&["budget", "explain", "-j"]);
        assert_eq!((&explained["project"], &explained["needed"]), (&"api".into(), &error["needed"]));
    }

    #[test]
    fn nothing_to_explain_is_said() {
        let home = Home::new();
        home.does(&["budget", "explain"]).prints("").says(&["no budget has refused a call"]);
        assert_eq!(home.json(&["budget", "explain", "-j"])["budget"], serde_json::Value::Null);
    }

    #[test]
    fn a_status_adds_up_and_a_check_is_for_scripts() {
        let (home, server) = (Home::new(), Server::of(vec![answer(), answer()]));
        home.does(&["budget", "set", "eng", "0.02/total", "--warn", "none"]);
        home.ask(&server, &[]).run().exits(0).prints("Because.\n");
        let status = home.json(&["budget", "status", "eng", "-j"]);
        let stands = &status["budgets"][0];
        let usd = |key: &str| stands[key].as_str().and_then(Usd::parse).expect("an amount").picos;
        assert_eq!(usd("limit"), usd("spent") + usd("held") + usd("free") - usd("over"));
        assert_eq!((&stands["spent"], &stands["calls"]), (&ANSWER_USD.into(), &1.into()));
        let text = home.does(&["budget", "status"]).text().to_owned();
        assert!(text.ends_with("\neng: $0.02 = $0.00000405 + $0 + $0.01999595\n"), "{text}");
        home.does(&["budget", "check"])
            .prints("ok: eng (every call): $0.02/total, spent $0.00000405, held $0, free $0.01999595\n");
        // What was spent is more than the limit is now.
        home.does(&["budget", "set", "eng", "0.000004/total"]);
        home.llmx(&["budget", "check"])
            .run()
            .exits(8)
            .prints("over: eng (every call): $0.000004/total, spent $0.00000405, held $0, over by $0.00000005\n");
        home.llmx(&["budget", "check", "-q"]).run().exits(8).prints("").stays_quiet();
        let checked = home.llmx(&["budget", "check", "eng", "-j"]).run().exits(8).json();
        assert_eq!((&checked["ok"], &checked["budgets"][0]["state"]), (&false.into(), &"over".into()));
        let text = home.does(&["budget", "status"]).text().to_owned();
        assert!(text.ends_with("\neng: $0.000004 + $0.00000005 = $0.00000405 + $0 + $0\n"), "{text}");
        home.llmx(&["budget", "check", "other"]).run().exits(2).says(&["is named other", "one of eng"]);
        // A soft one only warns, unless it is asked strictly.
        home.does(&["budget", "set", "eng", "0.000004/total", "--soft"]);
        home.does(&["budget", "check"]);
        home.llmx(&["budget", "check", "--strict"]).run().exits(8);
        home.ask(&server, &[]).run().exits(0).prints("Because.\n");
    }

    #[test]
    fn a_warning_is_told_once_in_a_period() {
        let (home, server) = (Home::new(), Server::of(vec![answer(), answer()]));
        home.does(&["budget", "set", "eng", "0.000008/total", "--soft", "--warn", "50"]);
        let told = "llmx: budget eng: 50 % of $0.000008/total used ($0.00000405)";
        home.ask(&server, &[]).run().exits(0).says(&[told]);
        let second = home.ask(&server, &[]).run().exits(0);
        assert!(!second.err.contains("50 %"), "{}", second.err);
        assert!(
            home.does(&["budget", "status"]).text().contains("budget eng: 50 % of $0.000008/total used ($0.0000081)")
        );
    }

    #[test]
    fn an_open_call_is_shown_with_its_owner_and_settled_by_the_second_name() {
        let (home, server) = (Home::new(), Server::new(Script::default().silence()));
        home.does(&["budget", "set", "eng", "1/total"]);
        let asked = home.ask(&server, &[]).spawn();
        server.await_request();
        let status = home.json(&["budget", "status", "-j"]);
        assert_eq!((&status["open"][0]["owner"], &status["budgets"][0]["open"]), (&"running".into(), &1.into()));
        assert_eq!(status["open"][0]["ceiling_usd"], status["budgets"][0]["held"]);
        let id = status["open"][0]["id"].as_str().expect("an id").to_owned();
        asked.kill();
        assert!(home.does(&["budget", "status"]).text().contains("dead (pid "));
        let resolve = ["budget", "resolve", &id, "--as", "0.001", "--because", "invoice 7"];
        home.does(&resolve);
        assert_eq!(home.json(&["budget", "status", "-j"])["budgets"][0]["spent"], "0.001");
    }
}

mod files {
    use super::{Home, Server, answer, json};

    #[test]
    fn budgets_of_the_files_hold_beside_those_that_are_set() {
        let server = Server::new(answer());
        let home = Home::new().file("config.toml", "[budget.mine]\nlimit = \"100/month\"\n").file(
            "shop/.llmx.toml",
            "project = \"till\"\nteam = \"pay\"\n[budget.ours]\nlimit = \"0.000001/day\"\nclip = false\n",
        );
        home.does(&["budget", "set", "ours", "5/day"])
            .says(&["a budget of the same name in ", ".llmx.toml holds as well"]);
        let listed = home.json(&["budget", "list", "-j"]);
        let told: Vec<_> = listed["budgets"]
            .as_array()
            .expect("a list")
            .iter()
            .map(|budget| (&budget["budget"], &budget["scope"]))
            .collect();
        assert_eq!(json!(told), json!([["ours", {}], ["mine", {}], ["ours", {"project": "till"}]]));
        assert!(listed["budgets"][2]["from"].as_str().expect("a path").ends_with("shop/.llmx.toml"));
        home.ask(&server, &[]).run().exits(8).says(&["budget ours (project=till): $0.000001/day"]);
        assert!(server.requests().is_empty());
        // The books know only their own.
        home.does(&["budget", "rm", "ours"]).says(&[".llmx.toml still holds"]);
        home.llmx(&["budget", "rm", "ours"]).run().exits(2).says(&[
            "ours is written down in ",
            ".llmx.toml",
            "[budget.ours]",
        ]);
    }

    #[test]
    fn a_hostile_project_loosens_nothing() {
        for (hostile, told) in [
            (
                "[budget.a]\nlimit = \"5/day\"\nallow_unbounded = true\n",
                ".llmx.toml:3:1: a project may not set \"budget.a.allow_unbounded\"",
            ),
            ("[budget.a]\nlimit = \"5/day\"\non_unknown_price = \"allow\"\n", ".llmx.toml:3:1: a project may not set"),
            ("user = \"eve\"\n", ".llmx.toml:1:1: a project may not set \"user\""),
            ("[retry]\nambiguous = true\n", ".llmx.toml:2:1: a project may not set \"retry.ambiguous\""),
            ("[budget.a]\nlimit = \"5/fortnight\"\n", ".llmx.toml:2:9: wrong value, expected hour"),
            ("project = \"a\\u001b]0;x\\u0007\"\n", ".llmx.toml:1:11: wrong value, expected one line"),
        ] {
            let home = Home::new().file("shop/.llmx.toml", hostile);
            home.llmx(&["chat", "-m", "sim/echo", "hi"]).run().exits(2).prints("").says(&[told, "\ntry: "]);
            home.llmx(&["budget", "check"]).run().exits(2);
        }
    }

    #[test]
    fn a_project_replaces_no_budget_of_the_user() {
        let home = Home::new()
            .file("config.toml", "[budget.eng]\nlimit = \"0.000001/day\"\nclip = false\n")
            .file("shop/.llmx.toml", "[budget.eng]\nlimit = \"1000/day\"\n");
        let server = Server::new(answer());
        home.ask(&server, &[]).run().exits(8).says(&["budget eng (every call): $0.000001/day"]);
    }
}

mod chargeback {
    use super::{Home, json};

    #[test]
    fn every_call_says_who_is_spending() {
        let home = Home::new()
            .file("config.toml", "user = \"ann\"\ntags = {area = \"eu\"}\n")
            .file("shop/.llmx.toml", "team = \"pay\"\nsession = \"night\"\ntags = {env = \"dev\"}\n")
            .file("shop/.git/HEAD", "");
        home.does(&["chat", "-m", "sim/echo", "hi"]);
        let env = home.llmx(&["chat", "-m", "sim/echo", "hi"]);
        let env = env.env("LLMX_PROJECT", "api").env("LLMX_USER", "bob").env("LLMX_TEAM", "core");
        let env = env.env("LLMX_SESSION", "run 7");
        env.env("LLMX_TAGS", "env=ci,run=7").run().exits(0);
        let flags =
            ["--project", "p", "--user", "u", "--team", "t", "--session", "s", "--tag", "env=prod", "--tag", "n=1"];
        home.llmx(&["chat", "-m", "sim/echo", "hi"]).args(&flags).env("LLMX_TEAM", "core").run().exits(0);
        let logs = home.json(&["logs", "-j"]);
        let who: Vec<_> = logs["calls"]
            .as_array()
            .expect("a list")
            .iter()
            .map(|call| json!([call["project"], call["user"], call["team"], call["session"], call["tags"]]))
            .collect();
        assert_eq!(
            json!(who),
            json!([
                ["p", "u", "t", "s", {"area": "eu", "env": "prod", "n": "1"}],
                ["api", "bob", "core", "run 7", {"area": "eu", "env": "ci", "run": "7"}],
                ["shop", "ann", "pay", "night", {"area": "eu", "env": "dev"}],
            ])
        );
        let id = logs["calls"][0]["id"].as_str().expect("an id");
        let page = home.does(&["logs", "show", id]).text().to_owned();
        assert!(page.contains("team        t\n") && page.contains("tags        area=eu env=prod n=1\n"), "{page}");
    }

    #[test]
    fn chat_and_compare_book_the_session_that_is_named_and_reports_and_budgets_go_by_it() {
        let home = Home::new();
        let dear = "sim/lorem?tokens=100&usd_out=10000";
        let said = home.json(&["chat", "-m", dear, "--session", "night 7", "hi", "-j"]);
        assert_eq!(said["session"], "night 7");
        let compared = home.json(&["compare", "-m", "sim/echo,sim/lorem?tokens=3", "--session", "night 7", "hi", "-j"]);
        assert_eq!(compared["calls"][1]["session"], "night 7");
        home.does(&["chat", "-m", dear, "hi"]);
        let usage = home.json(&["usage", "today", "--by", "session", "-j"]);
        let groups: Vec<_> = usage["groups"]
            .as_array()
            .expect("groups")
            .iter()
            .map(|group| json!([group["keys"]["session"], group["calls"], group["usd"]]))
            .collect();
        assert_eq!(json!(groups), json!([[null, 1, "1"], ["night 7", 3, "1"]]));
        home.does(&["budget", "set", "night", "1.5/total", "--session", "night 7"]);
        home.does(&["chat", "-m", dear, "hi"]);
        let again = home.llmx(&["chat", "-m", dear, "hi"]).env("LLMX_SESSION", "night 7").run();
        again.exits(8).prints("").says(&["budget night (session=night 7)"]);
    }

    #[test]
    fn a_wrong_tag_stops_the_call() {
        let home = Home::new();
        for args in [["--tag", "x"], ["--tag", "a b=c"], ["--team", " "], ["--session", ""], ["--project", "a\nb"]] {
            let done = home.llmx(&["chat", "-m", "sim/echo", "hi"]).args(&args).run();
            done.exits(2).prints("").says(&["llmx: --", "\ntry: "]);
        }
        home.llmx(&["chat", "-m", "sim/echo", "hi"]).env("LLMX_TAGS", "x").run().exits(2).says(&["LLMX_TAGS"]);
        assert_eq!(home.json(&["logs", "-j"])["calls"], json!([]));
    }
}
