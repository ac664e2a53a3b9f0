//! The same work through other tools, where `.ci/peers` has installed them: the same request, to the same server.
//!
//! Each has a home of its own. llm books the call into its SQLite log, as llmx does; aichat and LiteLLM's SDK book nothing.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::common::{folder, peer};

pub const LLM: &str = "llm";
pub const AICHAT: &str = "aichat";
pub const LITELLM: &str = "LiteLLM SDK";

/// Prints an answer as it comes. With the price table that it ships, since it would load the newest one at every start.
const SDK: &str = "import sys, litellm
for chunk in litellm.completion(model='openai/gpt-4o-mini', api_base=sys.argv[1], api_key='bench', stream=True,
        messages=[{'role': 'user', 'content': 'Hi'}], stream_options={'include_usage': True}):
    if chunk.choices: print(chunk.choices[0].delta.content or '', end='', flush=True)";

/// The peers' configuration: the models `short` and `long` of the server at this port.
pub fn configure(port: u16) -> io::Result<()> {
    let home = home();
    fs::create_dir_all(home.join("llm"))?;
    fs::create_dir_all(home.join("aichat"))?;
    let url = |name: &str| format!("http://127.0.0.1:{port}/{name}");
    let llm = |name: &str| format!("- model_id: {name}\n  model_name: gpt-4o-mini\n  api_base: {}\n", url(name));
    fs::write(home.join("llm/extra-openai-models.yaml"), ["short", "long"].map(llm).concat())?;
    let client = |name: &str| {
        let models = "  models:\n  - name: gpt-4o-mini\n";
        format!("- type: openai-compatible\n  name: {name}\n  api_base: {}\n  api_key: bench\n{models}", url(name))
    };
    let clients = ["short", "long"].map(client).concat();
    fs::write(home.join("aichat/config.yaml"), format!("model: short:gpt-4o-mini\nclients:\n{clients}"))
}

pub fn version(name: &str) -> Result<Command, String> {
    // The SDK has no version of its own to print: that is its command's.
    let file = if name == LITELLM { "litellm/bin/litellm" } else { program(name) };
    Ok(told(&peer(file)?, &["--version"]))
}

/// Asks the server's model `short` or `long`.
pub fn chat(name: &str, model: &str, port: u16) -> Result<Command, String> {
    let program = peer(program(name))?;
    let named = format!("{model}:gpt-4o-mini");
    let url = format!("http://127.0.0.1:{port}/{model}");
    Ok(match name {
        LLM => told(&program, &["-m", model, "Hi"]),
        AICHAT => told(&program, &["-m", &named, "Hi"]),
        _ => told(&program, &["-c", SDK, &url]),
    })
}

fn program(name: &str) -> &'static str {
    match name {
        LLM => "llm/bin/llm",
        AICHAT => "aichat/bin/aichat",
        _ => "litellm/bin/python",
    }
}

fn told(program: &Path, words: &[&str]) -> Command {
    let mut command = Command::new(program);
    command.args(words).env_clear().env("HOME", home()).current_dir(home());
    command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
    command.env("LLM_USER_PATH", home().join("llm")).env("AICHAT_CONFIG_DIR", home().join("aichat"));
    command.env("OPENAI_API_KEY", "bench").env("LITELLM_LOCAL_MODEL_COST_MAP", "True");
    command
}

fn home() -> PathBuf {
    folder().join("peers-home")
}
