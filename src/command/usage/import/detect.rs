//! Which format a file has: by what stands in it, whatever its name; and where each tool keeps its log.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::stream;
use crate::domain::failure::{ErrorClass, Failure};
use crate::provider::Env;

/// What can be imported.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Format {
    LlmxJson,
    LlmxCsv,
    ClaudeCode,
    Codex,
    Llm,
    LiteLlmJson,
    LiteLlmCsv,
    OpenAiUsageJson,
    OpenAiUsageCsv,
    AnthropicUsageJson,
    AnthropicUsageCsv,
    // Money after counts: of two views of the same calls the one that knows models and tokens is booked.
    OpenAiCostJson,
    OpenAiCostCsv,
    AnthropicCostJson,
    AnthropicCostCsv,
}

/// What may be asked for in front of the files.
pub const NAMES: [&str; 7] = ["claude-code", "codex", "llm", "litellm", "openai", "anthropic", "llmx"];

impl Format {
    pub const ALL: [Format; 15] = [
        Format::LlmxJson,
        Format::LlmxCsv,
        Format::ClaudeCode,
        Format::Codex,
        Format::Llm,
        Format::LiteLlmJson,
        Format::LiteLlmCsv,
        Format::OpenAiUsageJson,
        Format::OpenAiUsageCsv,
        Format::AnthropicUsageJson,
        Format::AnthropicUsageCsv,
        Format::OpenAiCostJson,
        Format::OpenAiCostCsv,
        Format::AnthropicCostJson,
        Format::AnthropicCostCsv,
    ];

    /// The name by which it is asked for.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Format::LlmxJson | Format::LlmxCsv => "llmx",
            Format::ClaudeCode => "claude-code",
            Format::Codex => "codex",
            Format::Llm => "llm",
            Format::LiteLlmJson | Format::LiteLlmCsv => "litellm",
            Format::OpenAiUsageJson | Format::OpenAiUsageCsv | Format::OpenAiCostJson | Format::OpenAiCostCsv => {
                "openai"
            }
            Format::AnthropicUsageJson
            | Format::AnthropicUsageCsv
            | Format::AnthropicCostJson
            | Format::AnthropicCostCsv => "anthropic",
        }
    }

    /// What only a text of this format has; of a table, columns of its header.
    fn marks(self) -> &'static [&'static str] {
        match self {
            Format::LlmxJson => &["\"retry_of\"", "\"cost_picos\"", "\"corrected\""],
            Format::LlmxCsv => &["retry_of", "cost_picos", "corrected"],
            Format::ClaudeCode => &["\"sessionId\"", "\"parentUuid\""],
            Format::Codex => &["\"payload\"", "\"session_meta\""],
            Format::Llm => &[],
            Format::LiteLlmJson => &["\"request_id\"", "\"spend\"", "\"call_type\""],
            Format::LiteLlmCsv => &["request_id", "spend", "model"],
            Format::OpenAiUsageJson => &["\"organization.usage.completions.result\""],
            Format::OpenAiUsageCsv => &["start_time", "num_model_requests", "input_tokens", "output_tokens"],
            Format::AnthropicUsageJson => &["\"starting_at\"", "\"uncached_input_tokens\":", "\"cache_creation\""],
            Format::AnthropicUsageCsv => &["usage_date_utc", "usage_output_tokens"],
            Format::OpenAiCostJson => &["\"organization.costs.result\""],
            Format::OpenAiCostCsv => &["start_time", "amount_value"],
            Format::AnthropicCostJson => &["\"starting_at\"", "\"amount\"", "\"currency\""],
            Format::AnthropicCostCsv => &["usage_date_utc", "cost_usd"],
        }
    }

    /// Rows below a header, not JSON.
    #[must_use]
    pub fn is_table(self) -> bool {
        matches!(
            self,
            Format::LlmxCsv
                | Format::LiteLlmCsv
                | Format::OpenAiUsageCsv
                | Format::AnthropicUsageCsv
                | Format::OpenAiCostCsv
                | Format::AnthropicCostCsv
        )
    }

    /// Where the tool keeps its log on this machine, where it is a tool that does.
    ///
    /// Claude Code: `$CLAUDE_CONFIG_DIR` (several, with commas, as ccusage has it), else `~/.claude` and
    /// `~/.config/claude`, in each `projects`. Codex: `$CODEX_HOME`, else `~/.codex`, in it `sessions` and
    /// `archived_sessions`. llm: `$LLM_USER_PATH`, else the folder `io.datasette.llm` where click puts an application's:
    /// what `llm logs path` prints. All read 2026-11-22.
    #[must_use]
    pub fn places(name: &str, env: Env<'_>) -> Vec<PathBuf> {
        let home = || env("HOME").or_else(|| env("USERPROFILE")).map(PathBuf::from);
        let below = |folder: &str| home().map(|home| home.join(folder)).into_iter();
        match name {
            "claude-code" => {
                let own: Vec<PathBuf> = env("CLAUDE_CONFIG_DIR")
                    .map(|all| all.split(',').map(|one| PathBuf::from(one.trim())).collect())
                    .unwrap_or_else(|| below(".claude").chain(below(".config/claude")).collect());
                own.into_iter().map(|folder| folder.join("projects")).collect()
            }
            "codex" => {
                let folder = env("CODEX_HOME").map(PathBuf::from).or_else(|| below(".codex").next());
                folder.map(|folder| vec![folder.join("sessions"), folder.join("archived_sessions")]).unwrap_or_default()
            }
            "llm" => {
                let folder = env("LLM_USER_PATH").map(PathBuf::from).or_else(|| {
                    if cfg!(target_os = "macos") {
                        below("Library/Application Support/io.datasette.llm").next()
                    } else if cfg!(windows) {
                        env("APPDATA").map(|data| PathBuf::from(data).join("io.datasette.llm"))
                    } else {
                        let config = env("XDG_CONFIG_HOME").map(PathBuf::from).or_else(|| below(".config").next());
                        config.map(|config| config.join("io.datasette.llm"))
                    }
                });
                folder.map(|folder| folder.join("logs.db")).into_iter().collect()
            }
            _ => Vec::new(),
        }
    }
}

/// So much of a file tells its format, and so many of its lines.
const HEAD_BYTES: u64 = 256 << 10;
const HEAD_LINES: usize = 64;

/// The format of a file.
///
/// # Errors
/// `config`: it cannot be opened, or its format is none of these, or not the one that was asked for; says what was seen.
pub fn format(path: &Path, asked: Option<&str>) -> Result<Format, Failure> {
    let mut head = Vec::new();
    let opened = File::open(path).and_then(|file| file.take(HEAD_BYTES).read_to_end(&mut head));
    opened.map_err(|error| stream::unreadable(path, &error))?;
    let found = seen(&head);
    match found.filter(|format| asked.is_none_or(|asked| asked == format.name())) {
        Some(format) => Ok(format),
        None => Err(unknown(path, asked, found, &head)),
    }
}

fn seen(head: &[u8]) -> Option<Format> {
    if head.starts_with(b"SQLite format 3\0") {
        return Some(Format::Llm);
    }
    let text = String::from_utf8_lossy(head);
    let text = text.trim_start_matches('\u{feff}').trim_start();
    if !text.starts_with(['{', '[']) {
        let (columns, _) = stream::header(text.lines().next().unwrap_or_default());
        let has = |mark: &&str| columns.iter().any(|column| column == *mark);
        return Format::ALL.into_iter().find(|format| format.is_table() && format.marks().iter().all(has));
    }
    let first = text.lines().take(HEAD_LINES).find_map(|line| log(&serde_json::from_str(line).ok()?));
    first.or_else(|| {
        let marked = |format: &Format| format.marks().iter().all(|mark| text.contains(mark));
        // The marks of logs stand in the words of others, too: their first line must be too long to be read.
        let logs = [Format::ClaudeCode, Format::Codex];
        let others = || Format::ALL.into_iter().filter(|format| !logs.contains(format) && !format.is_table());
        let is_log = !text.contains('\n');
        let log = || logs.into_iter().filter(|_| is_log).find(|format| marked(format));
        others().filter(|format| !format.marks().is_empty()).find(marked).or_else(log)
    })
}

/// The log in which such a line stands.
fn log(line: &Value) -> Option<Format> {
    let kind = line["type"].as_str()?;
    let codex = ["session_meta", "turn_context", "event_msg", "response_item", "compacted"];
    if codex.contains(&kind) && line["payload"].is_object() {
        return Some(Format::Codex);
    }
    // Many lines tell of the session alone (`queue-operation`, `mode`, `last-prompt`): a log may begin with them.
    let claude = line["sessionId"].is_string();
    let other = [("summary", "leafUuid"), ("file-history-snapshot", "messageId")];
    let claude = claude || other.iter().any(|(name, field)| kind == *name && line[*field].is_string());
    claude.then_some(Format::ClaudeCode)
}

fn unknown(path: &Path, asked: Option<&str>, found: Option<Format>, head: &[u8]) -> Failure {
    let looks = match found {
        Some(found) => format!("it looks like {}", found.name()),
        None if head.trim_ascii().is_empty() => "it is empty".to_owned(),
        None if head.starts_with(b"PAR1") => {
            "it is Parquet; llmx exports .jsonl and .csv too, and reads them".to_owned()
        }
        None if String::from_utf8_lossy(head).lines().next().is_some_and(is_of_lines) => {
            "it has the lines of bills; `llmx usage export` without --lines writes the calls".to_owned()
        }
        None => {
            let text = String::from_utf8_lossy(head);
            let line: String = text.trim_start().lines().next().unwrap_or_default().chars().take(80).collect();
            format!("it begins with {line:?}")
        }
    };
    let name = path.display();
    let said = match asked {
        Some(asked) => format!("{name} is no {asked} file: {looks}"),
        None => format!("{name} has no format that is known here: {looks}"),
    };
    Failure::new(ErrorClass::Config, said).advise(format!(
        "formats: {} (session logs, llm's logs.db, LiteLLM's spend logs as CSV or JSON, usage and cost exports of OpenAI and \
         Anthropic as CSV or JSON, what `llmx usage export` wrote of calls)",
        NAMES.join(", ")
    ))
}

/// Whether llmx exported lines of bills, as this first line says.
fn is_of_lines(first: &str) -> bool {
    ["cost_picos", "quantity", "rate"].iter().all(|column| first.contains(column))
}

/// What the files in a folder end in that may be of use.
const ENDINGS: [&str; 6] = ["jsonl", "json", "csv", "tsv", "db", "sqlite"];

/// The files at a path: itself, or those below a folder, in the order of their names. Links are not followed.
///
/// # Errors
/// `config` where it is not there or a folder cannot be read.
pub fn files(path: &Path) -> Result<Vec<PathBuf>, Failure> {
    let about = path.metadata().map_err(|error| stream::unreadable(path, &error))?;
    if !about.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let mut found = Vec::new();
    let mut folders = vec![path.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).map_err(|error| stream::unreadable(&folder, &error))? {
            let entry = entry.map_err(|error| stream::unreadable(&folder, &error))?;
            let kind = entry.file_type().map_err(|error| stream::unreadable(&folder, &error))?;
            let path = entry.path();
            let ending = path.extension().map(|ending| ending.to_string_lossy().to_ascii_lowercase());
            if kind.is_dir() {
                folders.push(path);
            } else if kind.is_file() && ending.is_some_and(|ending| ENDINGS.contains(&ending.as_str())) {
                found.push(path);
            }
        }
    }
    // A parent's log comes before its fork's: the names of Codex's begin with their time.
    found.sort();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::{Format, seen};

    #[test]
    fn a_file_is_known_by_what_stands_in_it() {
        for (head, format) in [
            (
                r#"{"parentUuid":null,"sessionId":"s","type":"user","message":{"role":"user"}}"#,
                Some(Format::ClaudeCode),
            ),
            ("{\"type\":\"summary\",\"summary\":\"x\",\"leafUuid\":\"u\"}\n", Some(Format::ClaudeCode)),
            (
                "{\"type\":\"queue-operation\",\"operation\":\"enqueue\",\"timestamp\":\"t\",\"sessionId\":\"s\"}\n{\"parentUuid\"",
                Some(Format::ClaudeCode),
            ),
            (r#"{"timestamp":"t","type":"session_meta","payload":{"id":"x"}}"#, Some(Format::Codex)),
            (r#"[{"request_id":"a","call_type":"acompletion","spend":0.1}]"#, Some(Format::LiteLlmJson)),
            ("request_id,call_type,spend,model\n", Some(Format::LiteLlmCsv)),
            ("schema,id,group,retry_of,cost_usd,cost_picos,corrected,notes\r\n", Some(Format::LlmxCsv)),
            (r#"{"schema":1,"id":"x","retry_of":null,"cost_picos":1,"corrected":false}"#, Some(Format::LlmxJson)),
            ("schema,call,line,opened,quantity,per,rate,cost_usd,cost_picos\r\n", None),
            ("usage_date_utc,model,token_type,cost_usd\n", Some(Format::AnthropicCostCsv)),
            ("\u{feff}start_time\tend_time\tamount_value\n", Some(Format::OpenAiCostCsv)),
            ("date,amount\n", None),
            ("{}", None),
            ("", None),
        ] {
            assert_eq!(seen(head.as_bytes()), format, "{head}");
        }
        assert_eq!(seen(b"SQLite format 3\0rest"), Some(Format::Llm));
    }
}
