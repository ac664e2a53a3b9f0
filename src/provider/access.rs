//! Where else a model may be asked for, how a log-in is renewed, and what a policy must allow: the table `places.toml`.

use std::collections::BTreeSet;

use serde::Deserialize;
use serde_json::{Value, json};

use super::catalog::{Auth, Row};
use super::models::matches;

const BUNDLED: &str = include_str!("places.toml");

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Places {
    cloud: Vec<Cloud>,
    profile: Vec<Profile>,
}

/// A cloud with regions.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Cloud {
    /// Ids of the catalog.
    providers: Vec<String>,
    /// The most useful first.
    regions: Vec<String>,
    /// Regions of another partition: never proposed from the others, nor the others from them.
    #[serde(default)]
    apart: Vec<String>,
    /// The page on which models are enabled.
    console: String,
    #[serde(rename = "source")]
    _source: String,
    #[serde(rename = "read")]
    _read: toml::value::Datetime,
}

/// A prefix of cross-region inference.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Profile {
    prefix: String,
    /// Empty: any region of the cloud's `regions`.
    from: Vec<String>,
    /// Where it routes to, if not to where it is called from.
    #[serde(default)]
    to: Vec<String>,
    /// Patterns of the models that have it; empty: any.
    #[serde(default)]
    only: Vec<String>,
}

/// A model's id in a region.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Place {
    pub model: String,
    pub region: String,
}

/// Read when it is asked for: only a test of access does.
fn places() -> Places {
    toml::from_str(BUNDLED).unwrap_or(Places { cloud: Vec::new(), profile: Vec::new() })
}

impl Profile {
    fn serves(&self, cloud: &Cloud, region: &str) -> bool {
        if self.from.is_empty() {
            !cloud.apart.iter().any(|apart| apart == region)
        } else {
            self.from.iter().any(|from| from == region)
        }
    }

    fn fits(&self, bare: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|pattern| matches(pattern, bare))
    }
}

impl Places {
    fn cloud(&self, row: &Row) -> Option<&Cloud> {
        self.cloud.iter().find(|cloud| cloud.providers.contains(&row.id))
    }

    /// The profiles that this row's models may have.
    fn profiles(&self, row: &Row) -> &[Profile] {
        let is_theirs = self.cloud.first().is_some_and(|first| first.providers.contains(&row.id));
        if is_theirs { &self.profile } else { &[] }
    }

    /// A model's id without its prefix. Nothing is known of an ARN.
    fn bare<'a>(&self, row: &Row, model: &'a str) -> &'a str {
        self.profiles(row).iter().find_map(|profile| model.strip_prefix(&profile.prefix)).unwrap_or(model)
    }
}

/// Every region of the row's cloud that is known here; for a row of the user's own, those that its `hosts` name.
#[must_use]
pub fn regions(row: &Row) -> Vec<String> {
    match places().cloud(row) {
        Some(cloud) => cloud.regions.clone(),
        None => row.hosts.keys().cloned().collect(),
    }
}

/// Every region that is known here of any cloud, each once.
#[must_use]
pub fn all_regions() -> Vec<String> {
    let mut regions: Vec<String> = places().cloud.into_iter().flat_map(|cloud| cloud.regions).collect();
    let mut seen = BTreeSet::new();
    regions.retain(|region| seen.insert(region.clone()));
    regions
}

/// The ids by which a model may be reached from a region: its profiles there, most specific first.
#[must_use]
pub fn ids(row: &Row, model: &str, region: &str) -> Vec<String> {
    let places = places();
    let Some(cloud) = places.cloud(row).filter(|_| !model.starts_with("arn:")) else { return Vec::new() };
    let bare = places.bare(row, model);
    let here = places.profiles(row).iter().filter(|profile| profile.serves(cloud, region) && profile.fits(bare));
    here.map(|profile| format!("{}{bare}", profile.prefix)).collect()
}

/// The model's own id, without the prefix of a profile.
#[must_use]
pub fn bare(row: &Row, model: &str) -> String {
    places().bare(row, model).to_owned()
}

/// Where else the model may be asked for: under other ids in the same region.
#[must_use]
pub fn here(row: &Row, model: &str, region: &str) -> Vec<Place> {
    if model.starts_with("arn:") {
        return Vec::new();
    }
    let bare = bare(row, model);
    let ids = ids(row, model, region).into_iter().chain([bare]).filter(|id| id != model);
    ids.map(|model| Place { model, region: region.to_owned() }).collect()
}

/// Where else the model may be asked for: in other regions, those near by first, at most `most` places.
#[must_use]
pub fn elsewhere(row: &Row, model: &str, region: &str, most: usize) -> Vec<Place> {
    let places = places();
    let empty = Vec::new();
    let (regions, apart) = match places.cloud(row) {
        Some(cloud) => (cloud.regions.clone(), &cloud.apart),
        None => (regions(row), &empty),
    };
    if model.starts_with("arn:") {
        return Vec::new();
    }
    let regions = if apart.iter().any(|apart| apart == region) { apart.clone() } else { regions };
    let head = |region: &str| region.split('-').next().unwrap_or_default().to_owned();
    let mut others: Vec<&String> = regions.iter().filter(|other| *other != region).collect();
    others.sort_by_key(|other| head(other) != head(region));
    let bare = places.bare(row, model);
    let mut found: Vec<Place> = Vec::new();
    for other in others {
        // A geography's profile answers alike from each of its regions: asked for once.
        let profiles = ids(row, model, other).into_iter().filter(|id| !id.starts_with("global."));
        for id in profiles.chain([bare.to_owned()]) {
            if id == bare || !found.iter().any(|place| place.model == id) {
                found.push(Place { model: id, region: other.clone() });
            }
        }
    }
    found.truncate(most);
    found
}

/// The page on which the row's models are enabled.
#[must_use]
pub fn console(row: &Row, region: Option<&str>) -> Option<String> {
    let places = places();
    let console = &places.cloud(row)?.console;
    (region.is_some() || !console.contains("{region}")).then(|| console.replace("{region}", region.unwrap_or_default()))
}

/// The command that renews a log-in, where there is one.
#[must_use]
pub fn login(row: &Row, profile: Option<&str>) -> Option<String> {
    match row.auth {
        Auth::Aws => Some(
            profile
                .filter(|profile| *profile != "default")
                .map_or_else(|| "aws sso login".to_owned(), |profile| format!("aws sso login --profile {profile}")),
        ),
        Auth::Google => Some("gcloud auth application-default login".into()),
        Auth::Key | Auth::Optional | Auth::None => None,
    }
}

/// The IAM statement that allows a model of Bedrock: its inference profile, and the foundation model in every region to
/// which that routes. `account`: twelve digits where they are known. `None` for a row without such policies.
#[must_use]
pub fn statement(row: &Row, model: &str, region: &str, account: Option<&str>) -> Option<Value> {
    if row.auth != Auth::Aws {
        return None;
    }
    let places = places();
    let partition = match region {
        gov if gov.starts_with("us-gov-") => "aws-us-gov",
        china if china.starts_with("cn-") => "aws-cn",
        _ => "aws",
    };
    let mut resources = Vec::new();
    if model.starts_with("arn:") {
        resources.push(model.to_owned());
    } else {
        let profile = places.profiles(row).iter().find(|profile| model.starts_with(&profile.prefix));
        let bare = places.bare(row, model);
        let of = |region: &str| format!("arn:{partition}:bedrock:{region}::foundation-model/{bare}");
        match profile {
            None => resources.push(of(region)),
            Some(profile) => {
                let account = account.unwrap_or("*");
                resources.push(format!("arn:{partition}:bedrock:{region}:{account}:inference-profile/{model}"));
                // A global profile is checked against the model without a region as well.
                let to = if profile.to.is_empty() { &profile.from } else { &profile.to };
                let mut regions: Vec<&str> = to.iter().map(String::as_str).collect();
                if profile.from.is_empty() {
                    regions = vec![region, ""];
                } else if !regions.contains(&region) {
                    regions.insert(0, region);
                }
                resources.extend(regions.into_iter().map(of));
            }
        }
    }
    Some(json!({
        "Effect": "Allow",
        "Action": ["bedrock:InvokeModel", "bedrock:InvokeModelWithResponseStream"],
        "Resource": resources,
    }))
}

/// The account in an ARN of what a provider said.
#[must_use]
pub fn account(words: &str) -> Option<&str> {
    words.split("arn:aws").skip(1).find_map(|rest| {
        let account = rest.split(':').nth(3)?;
        (account.len() == 12 && account.bytes().all(|byte| byte.is_ascii_digit())).then_some(account)
    })
}

#[cfg(test)]
mod tests {
    use super::{BUNDLED, Place, Places, account, console, elsewhere, here, ids, login, regions, statement};
    use crate::provider::catalog::{Catalog, Row};

    fn row(id: &str) -> Row {
        Catalog::with(&toml::Table::new()).and_then(|catalog| catalog.row(id)).expect("its row")
    }

    #[test]
    fn the_table_reads_and_its_providers_are_rows() {
        let places: Places = toml::from_str(BUNDLED).expect("places.toml reads");
        for cloud in &places.cloud {
            for id in &cloud.providers {
                assert_eq!(&row(id).id, id);
            }
            assert!(cloud.console.starts_with("https://"));
        }
        // A prefix that begins another stands after it: `us.` is not the beginning of `us-gov.`, but of nothing else.
        for profile in &places.profile {
            assert!(profile.prefix.ends_with('.'), "{}", profile.prefix);
        }
    }

    #[test]
    fn profiles_are_proposed_where_they_are_served_and_never_before_a_prefix() {
        let bedrock = row("bedrock");
        let sonnet = "anthropic.claude-sonnet-4-6";
        for (model, region, proposed) in [
            (sonnet, "eu-west-1", &["eu.anthropic.claude-sonnet-4-6", "global.anthropic.claude-sonnet-4-6"][..]),
            (
                "eu.anthropic.claude-sonnet-4-6",
                "us-east-1",
                &["us.anthropic.claude-sonnet-4-6", "global.anthropic.claude-sonnet-4-6"],
            ),
            (sonnet, "ap-northeast-1", &["jp.anthropic.claude-sonnet-4-6", "global.anthropic.claude-sonnet-4-6"]),
            ("amazon.nova-lite-v1:0", "ap-south-1", &["apac.amazon.nova-lite-v1:0", "global.amazon.nova-lite-v1:0"]),
            (sonnet, "us-gov-west-1", &["us-gov.anthropic.claude-sonnet-4-6"]),
            (sonnet, "sa-east-1", &["global.anthropic.claude-sonnet-4-6"]),
            ("arn:aws:bedrock:us-east-1:1:inference-profile/us.x", "us-east-1", &[]),
        ] {
            assert_eq!(ids(&bedrock, model, region), proposed, "{model} {region}");
        }
        let place = |model: &str| Place { model: model.into(), region: "eu-west-1".into() };
        assert_eq!(
            here(&bedrock, "eu.anthropic.claude-sonnet-4-6", "eu-west-1"),
            [place("global.anthropic.claude-sonnet-4-6"), place(sonnet)]
        );
        assert!(ids(&row("openai"), "gpt-5", "us").is_empty());
    }

    #[test]
    fn other_regions_are_proposed_near_by_first_and_in_the_same_partition() {
        let bedrock = row("bedrock");
        let found = elsewhere(&bedrock, "amazon.nova-lite-v1:0", "eu-west-1", 5);
        assert!(found[..5].iter().all(|place| place.region.starts_with("eu-")), "{found:?}");
        assert_eq!(found.iter().filter(|place| place.model.starts_with("eu.")).count(), 1, "{found:?}");
        let gov = elsewhere(&bedrock, "anthropic.claude-x", "us-gov-west-1", 99);
        assert!(!gov.is_empty() && gov.iter().all(|place| place.region == "us-gov-east-1"), "{gov:?}");
        let vertex = elsewhere(&row("vertex"), "gemini-2.5-pro", "europe-west4", 99);
        assert_eq!(vertex[0].region, "europe-west1");
        assert!(vertex.iter().any(|place| place.region == "global"));
        assert!(vertex.iter().all(|place| place.model == "gemini-2.5-pro"));
        assert!(elsewhere(&row("openai"), "gpt-5", "x", 9).is_empty());
        assert!(regions(&bedrock).contains(&"sa-east-1".to_owned()));
    }

    #[test]
    fn a_statement_names_the_profile_and_the_model_wherever_it_routes() {
        let bedrock = row("bedrock");
        let statement = |model, region, account| {
            let statement = statement(&bedrock, model, region, account).expect("AWS");
            statement["Resource"]
                .as_array()
                .expect("a list")
                .iter()
                .map(|arn| arn.as_str().unwrap_or_default().to_owned())
                .collect::<Vec<_>>()
        };
        assert_eq!(
            statement("us.amazon.nova-lite-v1:0", "ca-central-1", Some("123456789012")),
            [
                "arn:aws:bedrock:ca-central-1:123456789012:inference-profile/us.amazon.nova-lite-v1:0",
                "arn:aws:bedrock:ca-central-1::foundation-model/amazon.nova-lite-v1:0",
                "arn:aws:bedrock:us-east-1::foundation-model/amazon.nova-lite-v1:0",
                "arn:aws:bedrock:us-east-2::foundation-model/amazon.nova-lite-v1:0",
                "arn:aws:bedrock:us-west-2::foundation-model/amazon.nova-lite-v1:0",
            ]
        );
        assert_eq!(
            statement("global.x.y", "sa-east-1", None),
            [
                "arn:aws:bedrock:sa-east-1:*:inference-profile/global.x.y",
                "arn:aws:bedrock:sa-east-1::foundation-model/x.y",
                "arn:aws:bedrock:::foundation-model/x.y",
            ]
        );
        assert_eq!(
            statement("x.y", "us-gov-west-1", None),
            ["arn:aws-us-gov:bedrock:us-gov-west-1::foundation-model/x.y"]
        );
        assert_eq!(super::statement(&row("openai"), "gpt-5", "", None), None);
        assert_eq!(account("User: arn:aws:sts::123456789012:assumed-role/x is not"), Some("123456789012"));
        assert_eq!(account("on resource arn:aws:bedrock:us-east-1::foundation-model/x"), None);
    }

    #[test]
    fn the_page_and_the_command_are_of_the_cloud() {
        let bedrock = row("bedrock");
        assert!(console(&bedrock, Some("eu-west-1")).expect("a page").contains("region=eu-west-1"));
        assert_eq!(console(&bedrock, None), None);
        assert_eq!(login(&bedrock, Some("work")).as_deref(), Some("aws sso login --profile work"));
        assert_eq!(login(&row("openai"), None), None);
    }

    /// Bedrock refuses before sending what its own table says cannot work: both say the same.
    #[cfg(feature = "bedrock")]
    #[test]
    fn what_is_proposed_here_is_not_refused_there() {
        let bedrock = row("bedrock");
        for region in regions(&bedrock).iter().map(String::as_str).chain(["us-gov-west-1", "us-gov-east-1"]) {
            for id in ids(&bedrock, "amazon.nova-lite-v1:0", region) {
                assert_eq!(crate::provider::bedrock::region::check(&id, region), Ok(()), "{id} {region}");
            }
        }
    }
}
