//! Which models take part: groups resolved, each model once, and whether it can be asked from here.

use crate::command::compare::CompareArgs;
use crate::command::config::Config;
use crate::command::desk::Desk;
use crate::domain::failure::{ErrorClass, Failure};
use crate::domain::model::ModelName;
use crate::provider::{Choice, Provider};

/// A model that takes part.
#[derive(Debug)]
pub struct Contender {
    pub name: ModelName,
    /// Unlike that of any other.
    pub label: String,
    /// Why it cannot be asked from here is told in its row; the others are asked all the same.
    pub opened: Result<Provider, Failure>,
}

/// What every model of one command shares.
#[must_use]
pub fn choice(args: &CompareArgs) -> Choice {
    Choice { profile: args.call.profile.clone(), whole: args.call.no_stream, draft: args.estimate, ..Choice::default() }
}

/// The models in the order in which they are named, and sentences on those that are left out.
///
/// # Errors
/// `config` where none is named anywhere, or a group is not known.
pub fn contenders(args: &CompareArgs, desk: &Desk) -> Result<(Vec<Contender>, Vec<String>), Failure> {
    let mut wanted = named(&args.model, &desk.config)?;
    if wanted.is_empty() {
        wanted.push(desk.model(None)?.to_string());
    }
    let choice = choice(args);
    let mut contenders: Vec<Contender> = Vec::new();
    let mut notes = Vec::new();
    for wanted in wanted {
        let contender = open(&wanted, desk, &choice);
        if contenders.iter().any(|other| other.place() == contender.place()) {
            let label = &contender.label;
            notes.push(format!("{label} is named twice and asked once: give each a region of its own, or use --runs"));
        } else {
            contenders.push(contender);
        }
    }
    Ok((contenders, notes))
}

/// Names as `-m` has them, groups replaced by their models.
fn named(flags: &[String], config: &Config) -> Result<Vec<String>, Failure> {
    let mut names = Vec::new();
    for flag in flags.iter().map(|flag| flag.trim()).filter(|flag| !flag.is_empty()) {
        match flag.strip_prefix("group:") {
            None => names.push(flag.to_owned()),
            Some(group) => names.extend(config.group.get(group).ok_or_else(|| unknown(group, config))?.iter().cloned()),
        }
    }
    Ok(names)
}

fn unknown(group: &str, config: &Config) -> Failure {
    let known: Vec<&str> = config.group.keys().map(String::as_str).collect();
    let advice = match known.as_slice() {
        [] => format!("write it into config.toml: [group] {group} = [\"provider/model\", …]"),
        known => format!("the groups here are {}", known.join(", ")),
    };
    Failure::new(ErrorClass::Config, format!("there is no group \"{group}\"; nothing was sent")).advise(advice)
}

fn open(wanted: &str, desk: &Desk, choice: &Choice) -> Contender {
    match desk.model(Some(wanted)) {
        Ok(name) => {
            let opened = desk.provider(&name, choice);
            Contender { label: name.to_string(), name, opened }
        }
        Err(failure) => {
            let (provider, model) = wanted.split_once('/').unwrap_or(("", wanted));
            let name = ModelName { provider: provider.to_owned(), region: None, model: model.to_owned() };
            Contender { name, label: wanted.to_owned(), opened: Err(failure) }
        }
    }
}

impl Contender {
    /// The model and where it would be called.
    fn place(&self) -> (&str, Option<&str>, &str) {
        let found = self.opened.as_ref().ok().and_then(Provider::region);
        (&self.name.provider, found.or(self.name.region.as_deref()), &self.name.model)
    }
}

#[cfg(test)]
mod tests {
    use super::named;
    use crate::command::config::Config;

    #[test]
    fn a_group_stands_for_its_models() {
        let mut config = Config::default();
        config.group.insert("cheap".into(), vec!["sim/echo".into(), "sim/lorem".into()]);
        let flags = ["sim/error", " group:cheap", ""].map(str::to_owned);
        assert_eq!(named(&flags, &config).expect("known"), ["sim/error", "sim/echo", "sim/lorem"]);
        let failure = named(&["group:dear".to_owned()], &config).expect_err("unknown");
        assert_eq!((failure.class.exit_code(), failure.advice.as_deref()), (2, Some("the groups here are cheap")));
    }
}
