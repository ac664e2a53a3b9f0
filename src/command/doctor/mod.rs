//! `llmx doctor`: what stands in the way here, in a form that can be pasted into a report. Nothing is sent or changed.

mod around;
mod files;
mod settings;

use std::path::PathBuf;

use clap::Args;

use crate::command::config::Config;
use crate::command::logs::print;
use crate::command::outside::{self, env, now_ms, secrets};
use crate::command::{GlobalArgs, config};
use crate::domain::failure::Failure;
use crate::domain::untrusted::json_line;
use crate::render::doctor::{Finding, State, count, object, text};

#[derive(Debug, Clone, Args)]
pub struct DoctorArgs {
    /// Check every page and every sum of the ledger, as `llmx ledger check` does: seconds where there are many calls
    #[arg(long)]
    full: bool,
    /// Print JSON
    #[arg(short, long)]
    json: bool,
    #[command(flatten)]
    pub global: GlobalArgs,
}

/// Exits with 1 where there is a problem.
///
/// # Errors
/// Where standard output cannot be written.
pub fn run(args: &DoctorArgs) -> Result<u8, Failure> {
    let folder = outside::folder();
    let read = Config::read(args.global.config.as_deref(), &folder, &env);
    // What is wrong with the configuration is a finding, and everything else can be looked at without it.
    let config = read.as_ref().cloned().unwrap_or_default();
    let mut findings = vec![around::version()];
    findings.extend(files::configuration(&args.global, &folder, read.as_ref().err()));
    findings.extend(settings::in_force(&args.global, &folder));
    findings.extend(files::books(&args.global, args.full, now_ms()));
    findings.extend(settings::providers(&config));
    findings.push(around::prices(config::prices(&env), now_ms()));
    findings.extend(around::network(&config));
    findings.extend(around::here(&args.global));
    let hidden = Hidden::new();
    for Finding { said, advice, .. } in &mut findings {
        *said = hidden.within(said);
        *advice = advice.take().map(|advice| hidden.within(&advice));
    }
    let shown = if args.json { json_line(&object(&findings)) } else { text(&findings) };
    let written = print(&shown, &args.global)?;
    Ok(if written == 0 { u8::from(count(&findings, State::Problem) > 0) } else { written })
}

/// What a report must not tell of whoever wrote it: the home folder, the user's name, keys.
struct Hidden {
    home: Option<String>,
    user: Vec<String>,
    secrets: Vec<crate::domain::secret::Secret>,
}

impl Hidden {
    fn new() -> Hidden {
        // A shorter name, and `root`, stands in other words by accident.
        let told = |name: &String| name.len() > 2 && name != "root";
        let user = ["USER", "LOGNAME", "USERNAME", "LLMX_USER"].into_iter().filter_map(env).filter(told).collect();
        let home =
            env("HOME").or_else(|| env("USERPROFILE")).filter(|home| PathBuf::from(home).components().count() > 1);
        Hidden { home, user, secrets: secrets() }
    }

    fn within(&self, text: &str) -> String {
        let mut text = self.secrets.iter().fold(text.to_owned(), |text, secret| secret.redact(&text));
        if let Some(home) = &self.home {
            text = text.replace(home.trim_end_matches(['/', '\\']), "~");
        }
        for user in &self.user {
            text = replaced_as_word(&text, user, "USER");
        }
        text
    }
}

/// Replaces a word where no letter and no digit stands beside it.
fn replaced_as_word(text: &str, word: &str, by: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(word) {
        let (before, after) = (&rest[..at], &rest[at + word.len()..]);
        let beside = |character: Option<char>| character.is_some_and(char::is_alphanumeric);
        let whole = !beside(before.chars().last().or(out.chars().last())) && !beside(after.chars().next());
        out.push_str(before);
        out.push_str(if whole { by } else { word });
        rest = after;
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::{Hidden, replaced_as_word};
    use crate::domain::secret::Secret;

    #[test]
    fn a_name_is_hidden_where_it_is_a_word_of_its_own() {
        assert_eq!(
            replaced_as_word("/srv/ann/annex, ann-1 and joann", "ann", "USER"),
            "/srv/USER/annex, USER-1 and joann"
        );
    }

    #[test]
    fn a_report_tells_neither_home_nor_user_nor_key() {
        let hidden = Hidden {
            home: Some("/home/ann".into()),
            user: vec!["ann".into()],
            secrets: Secret::new("sk-CANARY").into_iter().collect(),
        };
        assert_eq!(hidden.within("/home/ann/x by ann with sk-CANARY"), "~/x by USER with [redacted]");
    }
}
