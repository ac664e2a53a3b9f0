//! `llmx providers`: who can be asked, and where a credential was found.

use clap::Args;
use serde_json::json;

use crate::command::desk::{Desk, has_credential};
use crate::command::outside::env;
use crate::command::{GlobalArgs, colour};
use crate::domain::failure::{ErrorClass, Failure};
use crate::domain::report::Stop;
use crate::provider::catalog::{Auth, Row};
use crate::provider::key;
use crate::render::providers::{Line, summary, table};
use crate::render::terminal::{Terminal, Written};

#[derive(Debug, Clone, Args)]
pub struct ProvidersArgs {
    #[command(flatten)]
    pub global: GlobalArgs,
    /// Print JSON
    #[arg(short, long)]
    pub json: bool,
}

/// # Errors
/// `config` for a configuration that cannot be read.
pub fn run(args: &ProvidersArgs) -> Result<u8, Failure> {
    let desk = Desk::open(&args.global, None)?;
    let lines: Vec<Line> = desk.catalog.rows().map(|row| line(&row)).collect();
    let mut terminal = Terminal::new(colour(args.global.color), args.global.quiet, env);
    let text = if args.json {
        let rows: Vec<_> = lines
            .iter()
            .map(|line| {
                json!({"id": line.id, "name": line.name, "api": line.api, "credential": line.credential,
                    "wants": line.wants, "docs": line.docs})
            })
            .collect();
        format!("{}\n", json!({"schema": 1, "providers": rows}))
    } else {
        let below = if terminal.out.terminal { summary(&lines) } else { String::new() };
        table(&lines, terminal.out.width) + &below
    };
    match terminal.answer(&text) {
        Ok(Written::All) => Ok(0),
        Ok(Written::Closed) => Ok(Stop::ClosedPipe.exit_code()),
        Err(error) => Err(Failure::new(ErrorClass::InvalidRequest, error.to_string())),
    }
}

fn line(row: &Row) -> Line {
    let found = key::find(row, &env).ok().flatten().map(|key| key.origin);
    let credential = found.or_else(|| has_credential(row).then(|| "its own chain".to_owned()));
    Line {
        id: row.id.clone(),
        name: row.name.clone(),
        api: row.api.iter().map(|api| api.as_str()).collect(),
        credential,
        wants: match row.auth {
            Auth::Key | Auth::Optional => row.key.first().or(row.token.first()).cloned(),
            Auth::Google => Some("GOOGLE_APPLICATION_CREDENTIALS or gcloud".into()),
            Auth::Aws => Some("AWS credentials".into()),
            Auth::None => None,
        },
        docs: row.docs.clone(),
    }
}
