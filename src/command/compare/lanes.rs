//! Which models take part: groups resolved, each model once, and whether it can be asked from here.

use crate::command::compare::CompareArgs;
use crate::command::desk::Desk;
use crate::domain::failure::Failure;
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
/// `config` where none is named anywhere, a group is not known, or a route is named.
pub fn contenders(args: &CompareArgs, desk: &Desk) -> Result<(Vec<Contender>, Vec<String>), Failure> {
    let mut wanted = desk.config.named(&args.model)?;
    if wanted.is_empty() {
        wanted.push(desk.model(None)?.to_string());
    }
    if let Some(route) = wanted.iter().find(|wanted| desk.route(Some(wanted)).is_some()) {
        desk.model(Some(route))?;
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
