//! `llmx compare` through the built binary: every answer shown, every call booked, one exit code for all.

mod common;
#[cfg(unix)]
#[path = "compare/screens.rs"]
mod screens;

use std::time::Duration;

use common::binary::{Done, KEY, Llmx};
use common::bodies::{CHAT_USAGE, DONE, chat_stream, chunk, says};
use common::server::{Script, Server};
use serde_json::{Value, json};

/// Providers of one dialect, each with an address and a key of its own, so that each can have a server of its own.
const PROVIDERS: [&str; 5] = ["groq", "mistral", "deepseek", "together", "openai"];

/// `compare` of one model at each of these servers.
fn at(servers: &[&Server], args: &[&str]) -> Llmx {
    let mut config = String::new();
    let mut models = Vec::new();
    for (at, server) in servers.iter().enumerate() {
        config.push_str(&format!(
            "[provider.p{at}]\nbase_url = \"{}/v1\"\ntransport = \"http\"\ndialect = \"chat\"\nauth = \"key\"\nkey_env = [\"P_KEY\"]\ndocs = \"https://example.com\"\n",
            server.url()
        ));
        models.push(format!("p{at}/model"));
    }
    let llmx = Llmx::new(&["compare", "-m", &models.join(",")]).env("P_KEY", KEY).config(&config);
    llmx.args(args)
}
