//! The arguments of `llmx chat`.

use clap::{Args, ValueEnum};

use crate::command::GlobalArgs;
use crate::command::args::{CallArgs, InputArgs};
use crate::provider::Choice;
use crate::wire::contract::Dialect;

#[derive(Debug, Clone, Args)]
pub struct ChatArgs {
    #[command(flatten)]
    pub input: InputArgs,

    /// provider/model, provider@region/model, route/NAME, an alias, or a part of a name that only one model has
    #[arg(short, long, value_name = "MODEL")]
    pub model: Option<String>,
    /// Models to ask, in this order, where the wanted one is overloaded, limited, out of reach or not allowed
    #[arg(long, value_name = "MODEL[,…]", value_delimiter = ',')]
    pub fallback: Vec<String>,
    /// Print only a code block of the answer: the first, the last, or the first in a language
    #[arg(short = 'x', long, value_name = "last|LANG", num_args = 0..=1, require_equals = true, default_missing_value = "")]
    pub extract: Option<String>,
    /// Print the answer as it came, without rendering its Markdown
    #[arg(short, long)]
    pub raw: bool,
    /// Print one JSON object
    #[arg(short, long)]
    pub json: bool,
    /// Print the events as JSON lines, then the object of --json
    #[arg(long, conflicts_with = "json")]
    pub jsonl: bool,
    /// Say on stderr what the call consumed and cost (on a terminal that is always so)
    #[arg(short, long)]
    pub usage: bool,
    /// Another base URL for the provider: a gateway, a proxy, a server of your own
    #[arg(long, value_name = "URL", env = "LLMX_BASE_URL", hide_env_values = true)]
    pub base_url: Option<String>,
    /// The API to speak where a provider has several
    #[arg(long, value_name = "API", value_enum)]
    pub api: Option<ApiArg>,
    /// The cloud region
    #[arg(long, value_name = "REGION")]
    pub region: Option<String>,
    /// Show what would be sent, and send nothing
    #[arg(long)]
    pub dry_run: bool,

    #[command(flatten)]
    pub call: CallArgs,
    #[command(flatten)]
    pub global: GlobalArgs,
}

impl ChatArgs {
    /// Where and how the model is asked.
    #[must_use]
    pub fn choice(&self) -> Choice {
        Choice {
            base_url: self.base_url.clone().filter(|url| !url.trim().is_empty()),
            api: self.api.and_then(dialect),
            region: self.region.clone().filter(|region| !region.trim().is_empty()),
            profile: self.call.profile.clone(),
            whole: self.call.no_stream,
            draft: self.dry_run,
        }
    }
}

fn dialect(api: ApiArg) -> Option<Dialect> {
    Some(match api {
        ApiArg::Auto => return None,
        ApiArg::Chat => Dialect::Chat,
        ApiArg::Responses => Dialect::Responses,
        ApiArg::Messages => Dialect::Messages,
        ApiArg::GenerateContent => Dialect::GenerateContent,
        ApiArg::Converse => Dialect::Converse,
        ApiArg::Cohere => Dialect::Cohere,
        ApiArg::Ollama => Dialect::Ollama,
    })
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ApiArg {
    Auto,
    Chat,
    Responses,
    Messages,
    GenerateContent,
    Converse,
    Cohere,
    Ollama,
}
