//! On whose behalf a call is made: who is spending, without anybody having to say so each time.

use std::collections::BTreeMap;
use std::path::Path;

use clap::Args;

use crate::command::config::Config;
use crate::command::labels::{bounded, found, git_root, label, tag};
use crate::domain::failure::Failure;
use crate::provider::Env;

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
    /// The session that the call is booked to, a run of work such as a script's or an agent's (else LLMX_SESSION, the
    /// configuration)
    #[arg(long, value_name = "NAME")]
    pub session: Option<String>,
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
    pub session: Option<String>,
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
        session: said(&args.session, "session", "LLMX_SESSION")?.or_else(|| config.session.clone()),
        tags: bounded(tags)?,
    })
}

#[cfg(test)]
mod tests {
    use super::{Who, WhoArgs, who};
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
            session: Some("file".into()),
            tags: [("env".to_owned(), "dev".to_owned()), ("area".to_owned(), "eu".to_owned())].into(),
            ..Config::default()
        };
        let found = told(&nobody.0, &config, &[("LLMX_TEAM", "core"), ("LLMX_TAGS", "env=ci, run=7,")]);
        assert_eq!((found.project.as_deref(), found.team.as_deref()), (Some("till"), Some("core")));
        assert_eq!(found.session.as_deref(), Some("file"));
        assert_eq!(
            found.tags.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>(),
            ["area=eu", "env=ci", "run=7"]
        );
        let args = WhoArgs { project: Some("a".into()), tag: vec!["env=prod".into()], ..WhoArgs::default() };
        let found = told(&args, &config, &[("LLMX_PROJECT", "b"), ("LLMX_SESSION", "s1"), ("LLMX_TAGS", "env=ci")]);
        assert_eq!(found.session.as_deref(), Some("s1"));
        assert_eq!((found.project.as_deref(), found.tags["env"].as_str()), (Some("a"), "prod"));
        let lonely = who(&WhoArgs::default(), &Config::default(), folder.path(), &|_| None).expect("known");
        assert_eq!(lonely, Who::default());
    }
}
