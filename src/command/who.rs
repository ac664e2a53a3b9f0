//! On whose behalf a call is made: who is spending, without anybody having to say so each time.

use std::collections::BTreeMap;
use std::path::Path;

use clap::Args;

use crate::command::config::Config;
use crate::domain::failure::{ErrorClass, Failure};
use crate::domain::untrusted::one_line;
use crate::provider::Env;

/// Longest name or value, in characters, and most tags.
const LABEL_MAX: usize = 128;
const KEY_MAX: usize = 64;
const TAGS_MAX: usize = 32;

#[derive(Debug, Clone, Default, Args)]
pub struct WhoArgs {
    /// The project that the call is booked to (else LLMX_PROJECT, the configuration, the name of the git root)
    #[arg(long, value_name = "NAME")]
    pub project: Option<String>,
    /// The user that the call is booked to (else LLMX_USER, the configuration, the login)
    #[arg(long, value_name = "NAME")]
    pub user: Option<String>,
    /// The team that the call is booked to (else LLMX_TEAM, the configuration)
    #[arg(long, value_name = "NAME")]
    pub team: Option<String>,
    /// A tag that the call is booked with; repeat for more (beside LLMX_TAGS=k=v,k2=v2 and the configuration)
    #[arg(long, value_name = "KEY=VALUE")]
    pub tag: Vec<String>,
}

/// Who is spending.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Who {
    pub project: Option<String>,
    pub user: Option<String>,
    pub team: Option<String>,
    pub tags: BTreeMap<String, String>,
}

/// The flags over the environment over the configuration; last the git root above `folder` and the login. Tags of all of
/// them count, each key once.
///
/// # Errors
/// `config` for a name or tag that cannot be one.
pub fn who(args: &WhoArgs, config: &Config, folder: &Path, env: Env<'_>) -> Result<Who, Failure> {
    let said = |flag: &Option<String>, name: &str, variable: &str| {
        if let Some(text) = flag {
            return label(&format!("--{name}"), text).map(Some);
        }
        env(variable).map(|text| label(variable, &text)).transpose()
    };
    let login = || ["USER", "LOGNAME", "USERNAME"].iter().find_map(|name| env(name)).and_then(|login| found(&login));
    let mut tags = config.tags.clone();
    for pair in env("LLMX_TAGS").iter().flat_map(|pairs| pairs.split(',')).filter(|pair| !pair.trim().is_empty()) {
        tags.extend([tag("LLMX_TAGS", pair)?]);
    }
    for pair in &args.tag {
        tags.extend([tag("--tag", pair)?]);
    }
    Ok(Who {
        project: said(&args.project, "project", "LLMX_PROJECT")?
            .or_else(|| config.project.clone())
            .or_else(|| git_root(folder)),
        user: said(&args.user, "user", "LLMX_USER")?.or_else(|| config.user.clone()).or_else(login),
        team: said(&args.team, "team", "LLMX_TEAM")?.or_else(|| config.team.clone()),
        tags: bounded(tags)?,
    })
}

/// The name of the git root at or above a folder.
#[must_use]
pub fn git_root(folder: &Path) -> Option<String> {
    let root = folder.ancestors().find(|folder| folder.join(".git").exists())?;
    found(&root.file_name()?.to_string_lossy())
}

/// A name that nobody chose for this: what cannot be in one is left out.
pub(super) fn found(text: &str) -> Option<String> {
    let clean: String = one_line(text).trim().chars().take(LABEL_MAX).collect();
    (!clean.is_empty()).then_some(clean)
}

/// A name or a tag's value: one line of at most 128 characters that steers nothing. `place`: where it was said.
///
/// # Errors
/// `config`; the text itself is not repeated, it may be a secret that was put there by mistake.
pub fn label(place: &str, text: &str) -> Result<String, Failure> {
    let text = text.trim();
    if !text.is_empty() && text.chars().count() <= LABEL_MAX && one_line(text) == text {
        return Ok(text.to_owned());
    }
    Err(Failure::new(ErrorClass::Config, format!("{place}: no name"))
        .advise(format!("one line of 1 to {LABEL_MAX} characters")))
}

/// `key=value`.
///
/// # Errors
/// `config` where it is none.
pub fn tag(place: &str, pair: &str) -> Result<(String, String), Failure> {
    let Some((name, value)) = pair.split_once('=') else {
        return Err(Failure::new(ErrorClass::Config, format!("{place}: a tag has a key and a value"))
            .advise("write KEY=VALUE, for example env=ci"));
    };
    Ok((key(place, name)?, label(place, value)?))
}

/// A tag's key.
///
/// # Errors
/// `config` where it is none.
pub fn key(place: &str, text: &str) -> Result<String, Failure> {
    let text = text.trim();
    let plain = |character: char| character.is_ascii_alphanumeric() || "._-/:".contains(character);
    if !text.is_empty() && text.len() <= KEY_MAX && text.chars().all(plain) {
        return Ok(text.to_owned());
    }
    Err(Failure::new(ErrorClass::Config, format!("{place}: no key of a tag"))
        .advise(format!("1 to {KEY_MAX} letters from A to Z, digits and . _ - / :")))
}

/// # Errors
/// `config` for more tags than a call may have.
pub fn bounded(tags: BTreeMap<String, String>) -> Result<BTreeMap<String, String>, Failure> {
    if tags.len() <= TAGS_MAX {
        return Ok(tags);
    }
    Err(Failure::new(ErrorClass::Config, format!("{} tags are too many", tags.len()))
        .advise(format!("at most {TAGS_MAX} tags")))
}

#[cfg(test)]
mod tests {
    use super::{Who, WhoArgs, key, label, tag, who};
    use crate::command::config::Config;

    #[test]
    fn a_flag_beats_the_environment_which_beats_the_files() {
        let folder = tempfile::tempdir().expect("a folder");
        let inner = folder.path().join("shop/src");
        std::fs::create_dir_all(&inner).expect("made");
        std::fs::create_dir(folder.path().join("shop/.git")).expect("made");
        let told = |args: &WhoArgs, config: &Config, variables: &[(&str, &str)]| {
            let variable =
                |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
            who(args, config, &inner, &variable).expect("known")
        };
        let nobody = (WhoArgs::default(), Config::default());
        let found = told(&nobody.0, &nobody.1, &[("USER", "ann")]);
        assert_eq!((found.project.as_deref(), found.user.as_deref()), (Some("shop"), Some("ann")));
        let config = Config {
            project: Some("till".into()),
            team: Some("pay".into()),
            tags: [("env".to_owned(), "dev".to_owned()), ("area".to_owned(), "eu".to_owned())].into(),
            ..Config::default()
        };
        let found = told(&nobody.0, &config, &[("LLMX_TEAM", "core"), ("LLMX_TAGS", "env=ci, run=7,")]);
        assert_eq!((found.project.as_deref(), found.team.as_deref()), (Some("till"), Some("core")));
        assert_eq!(
            found.tags.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>(),
            ["area=eu", "env=ci", "run=7"]
        );
        let args = WhoArgs { project: Some("a".into()), tag: vec!["env=prod".into()], ..WhoArgs::default() };
        let found = told(&args, &config, &[("LLMX_PROJECT", "b"), ("LLMX_TAGS", "env=ci")]);
        assert_eq!((found.project.as_deref(), found.tags["env"].as_str()), (Some("a"), "prod"));
        let lonely = who(&WhoArgs::default(), &Config::default(), folder.path(), &|_| None).expect("known");
        assert_eq!(lonely, Who::default());
    }

    #[test]
    fn a_name_is_short_and_steers_nothing() {
        assert_eq!(label("--team", " pay ").expect("a name"), "pay");
        assert_eq!(tag("--tag", "cost-centre=42=b").expect("a tag"), ("cost-centre".into(), "42=b".into()));
        for wrong in ["", " ", "a\nb", "a\u{1b}[2Jb", "\u{202e}x", &"x".repeat(129)] {
            assert!(label("--team", wrong).is_err(), "{wrong:?}");
        }
        for wrong in ["", "a b", "é", &"x".repeat(65)] {
            assert!(key("--tag", wrong).is_err(), "{wrong:?}");
        }
        for wrong in ["x", "=x", "x=", "a b=c"] {
            assert!(tag("--tag", wrong).is_err(), "{wrong:?}");
        }
    }
}
