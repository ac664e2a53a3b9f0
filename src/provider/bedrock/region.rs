//! In which region Bedrock is called, who said so, and which model ids can be called from there.

use std::path::PathBuf;

use crate::domain::failure::{ErrorClass, Failure};
use crate::provider::Env;

/// A region with the place that named it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Region {
    pub name: String,
    pub origin: String,
}

/// What was found without asking anyone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// `None`: only the instance itself (EC2 metadata) may still know.
    pub region: Option<Region>,
    /// Where two places disagree: which one was taken.
    pub remark: Option<String>,
}

/// Looks at the user's wish, the ARN given as model, the environment and the profile's file, in this order.
///
/// # Errors
/// `region` where an ARN and the wish disagree, and where a region is none by its form: it becomes part of a host name.
pub fn find(wanted: Option<&str>, model: &str, profile: &str, env: Env<'_>) -> Result<Found, Failure> {
    let wanted = filled(wanted.map(str::to_owned));
    let of_arn = filled(arn_region(model).map(str::to_owned));
    if let (Some(wanted), Some(of_arn)) = (&wanted, &of_arn)
        && wanted != of_arn
    {
        return Err(Failure::new(
            ErrorClass::Region,
            format!("the ARN is of {of_arn}, and {wanted} was asked for; nothing was sent"),
        )
        .advise(format!("leave out the region, or give the ARN of {wanted}")));
    }
    let mut remark = None;
    let by_user = wanted.map(|name| (name, "--region or the model's name".to_owned()));
    let by_arn = of_arn.map(|name| (name, "the model's ARN".to_owned()));
    let by_env = || {
        let set: Vec<(String, String)> = ["AWS_REGION_NAME", "AWS_REGION", "AWS_DEFAULT_REGION"]
            .into_iter()
            .filter_map(|name| Some((filled(env(name))?, name.to_owned())))
            .collect();
        if let [(taken, by), (other, also), ..] = set.as_slice()
            && by == "AWS_REGION_NAME"
            && taken != other
        {
            remark = Some(format!("region {taken} was taken from {by}; {also} says {other}"));
        }
        set.into_iter().next()
    };
    let by_file = || Some((profile_region(profile, env)?, format!("the profile {profile}")));
    let found = by_user.or(by_arn).or_else(by_env).or_else(by_file);
    let region = found.map(|(name, origin)| checked(name, origin)).transpose()?;
    Ok(Found { region, remark })
}

/// A region by its form.
///
/// # Errors
/// `region` for anything else.
pub fn checked(name: String, origin: String) -> Result<Region, Failure> {
    let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    if name.len() <= 63 && name.bytes().all(fits) && name.bytes().any(|byte| byte.is_ascii_lowercase()) {
        return Ok(Region { name, origin });
    }
    Err(Failure::new(ErrorClass::Region, format!("\"{name}\" (from {origin}) is no region; nothing was sent"))
        .advise("write it as AWS does, for example eu-west-1"))
}

/// What is said where nobody knows a region. There is no default: it would choose a price and a law.
#[must_use]
pub fn missing(profile: &str) -> Failure {
    Failure::new(ErrorClass::Region, "Amazon Bedrock needs a region, and none is set; nothing was sent").advise(
        format!("use --region REGION, export AWS_REGION=…, or `aws configure set region REGION --profile {profile}`"),
    )
}

fn filled(text: Option<String>) -> Option<String> {
    text.map(|text| text.trim().to_owned()).filter(|text| !text.is_empty())
}

/// The region inside an ARN that was given as model.
fn arn_region(model: &str) -> Option<&str> {
    model.strip_prefix("arn:")?.split(':').nth(2)
}

/// `region` of a profile in the shared files; what stands in the credentials file wins, as in the SDK.
fn profile_region(profile: &str, env: Env<'_>) -> Option<String> {
    let (config, credentials) = files(env);
    let read = |path: Option<PathBuf>| std::fs::read_to_string(path?).ok();
    let from_credentials = read(credentials).and_then(|text| section_region(&text, &[profile.to_owned()]));
    from_credentials.or_else(|| {
        let mut names = vec![format!("profile {profile}")];
        if profile == "default" {
            names.push(profile.to_owned());
        }
        section_region(&read(config)?, &names)
    })
}

/// The shared files: `config` and `credentials`, moved by their variables.
pub fn files(env: Env<'_>) -> (Option<PathBuf>, Option<PathBuf>) {
    let home = env("HOME").or_else(|| env("USERPROFILE")).map(PathBuf::from);
    let expand = |text: String| match (text.strip_prefix("~/"), &home) {
        (Some(rest), Some(home)) => home.join(rest),
        _ => PathBuf::from(text),
    };
    let at = |variable: &str, name: &str| {
        filled(env(variable)).map(expand).or_else(|| Some(home.as_ref()?.join(".aws").join(name)))
    };
    (at("AWS_CONFIG_FILE", "config"), at("AWS_SHARED_CREDENTIALS_FILE", "credentials"))
}

fn section_region(text: &str, names: &[String]) -> Option<String> {
    let mut here = false;
    let mut region = None;
    for line in text.lines() {
        if let Some(name) = line.trim().strip_prefix('[').and_then(|rest| rest.split_once(']')).map(|(name, _)| name) {
            let name = name.split_whitespace().collect::<Vec<_>>().join(" ");
            here = names.contains(&name);
        } else if here
            && !line.starts_with([' ', '\t', '#', ';'])
            && let Some((key, value)) = line.split_once('=')
            && key.trim() == "region"
        {
            let value = value.split(" #").next().unwrap_or_default().split(" ;").next().unwrap_or_default();
            region = filled(Some(value.to_owned())).or(region);
        }
    }
    region
}

/// A prefix of cross-region inference and the regions from which it is called.
struct Geography {
    prefix: &'static str,
    /// Empty: any commercial region.
    from: &'static [&'static str],
}

/// docs.aws.amazon.com/bedrock/latest/userguide/inference-profiles-support.html and
/// geographic-cross-region-inference.html, read 2026-11-22. Which of them a model has differs by model: this table only
/// catches what cannot work, and proposes. A prefix that is not here (`sa.`, `me.`) is left to the service.
const GEOGRAPHIES: &[Geography] = &[
    Geography { prefix: "us-gov.", from: &["us-gov-east-1", "us-gov-west-1"] },
    Geography { prefix: "us.", from: &["us-east-1", "us-east-2", "us-west-1", "us-west-2", "ca-central-1"] },
    Geography {
        prefix: "eu.",
        from: &["eu-central-1", "eu-north-1", "eu-south-1", "eu-south-2", "eu-west-1", "eu-west-3"],
    },
    Geography { prefix: "jp.", from: &["ap-northeast-1", "ap-northeast-3"] },
    Geography { prefix: "au.", from: &["ap-southeast-2", "ap-southeast-4", "ap-southeast-6"] },
    Geography { prefix: "in.", from: &["ap-south-1", "ap-south-2"] },
    Geography { prefix: "ca.", from: &["ca-central-1"] },
    Geography {
        prefix: "apac.",
        from: &[
            "ap-northeast-1",
            "ap-northeast-2",
            "ap-northeast-3",
            "ap-south-1",
            "ap-south-2",
            "ap-southeast-1",
            "ap-southeast-2",
        ],
    },
    Geography { prefix: "global.", from: &[] },
];

impl Geography {
    fn serves(&self, region: &str) -> bool {
        if self.from.is_empty() {
            return !region.starts_with("us-gov-") && !region.starts_with("cn-");
        }
        self.from.contains(&region)
    }
}

/// Whether the prefix of a model's id can be called from a region.
///
/// # Errors
/// `region` with the ids that may work from there.
pub fn check(model: &str, region: &str) -> Result<(), Failure> {
    let Some(geography) = GEOGRAPHIES.iter().find(|geography| model.starts_with(geography.prefix)) else {
        return Ok(());
    };
    if geography.serves(region) {
        return Ok(());
    }
    let from = if geography.from.is_empty() { "commercial regions".to_owned() } else { geography.from.join(", ") };
    Err(Failure::new(
        ErrorClass::Region,
        format!("{}… cannot be called from {region}, only from {from}; nothing was sent", geography.prefix),
    )
    .advise(format!("use {}, or another region", profiles(model, region))))
}

/// The ids under which a model may be reached from a region, for a sentence: its inference profiles there.
#[must_use]
pub fn profiles(model: &str, region: &str) -> String {
    // Never a prefix before a prefix.
    let bare = GEOGRAPHIES.iter().find_map(|geography| model.strip_prefix(geography.prefix)).unwrap_or(model);
    let ids: Vec<String> = GEOGRAPHIES
        .iter()
        .filter(|geography| geography.serves(region))
        .map(|geography| format!("{}{bare}", geography.prefix))
        .collect();
    if ids.is_empty() { bare.to_owned() } else { ids.join(" or ") }
}

#[cfg(test)]
mod tests {
    use super::{check, find, profiles, section_region};
    use crate::domain::failure::ErrorClass;

    fn env(set: &[(&'static str, &'static str)]) -> impl Fn(&str) -> Option<String> + Send + Sync {
        let set = set.to_vec();
        move |name| set.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
    }

    #[test]
    fn a_region_is_taken_from_the_most_specific_place() {
        let all = [("AWS_REGION_NAME", "eu-north-1"), ("AWS_REGION", "eu-west-1"), ("AWS_DEFAULT_REGION", "us-east-1")];
        for (wanted, model, set, name) in [
            (Some("us-west-2"), "m", &all[..], "us-west-2"),
            (None, "arn:aws:bedrock:ap-south-1:123456789012:inference-profile/x", &all[..], "ap-south-1"),
            (None, "m", &all[..], "eu-north-1"),
            (None, "m", &all[1..], "eu-west-1"),
            (None, "m", &all[2..], "us-east-1"),
            (Some("  "), "m", &all[2..], "us-east-1"),
        ] {
            let found = find(wanted, model, "default", &env(set)).expect("fits").region.expect("found");
            assert_eq!(found.name, name, "{wanted:?} {model}");
        }
        let found = find(None, "m", "default", &env(&all)).expect("fits");
        assert!(found.remark.expect("said").contains("AWS_REGION says eu-west-1"));
    }

    #[test]
    fn a_blank_region_is_no_region_and_a_strange_one_is_refused() {
        assert_eq!(find(None, "m", "default", &env(&[("AWS_REGION", " ")])).expect("fits").region, None);
        for strange in ["EU-WEST-1", "eu west", "evil.example/", "eu-west-1@x"] {
            let failure = find(Some(strange), "m", "default", &env(&[])).expect_err(strange);
            assert_eq!(failure.class, ErrorClass::Region, "{strange}");
        }
        let arn = "arn:aws:bedrock:us-east-1::foundation-model/amazon.nova-lite-v1:0";
        let failure = find(Some("eu-west-1"), arn, "default", &env(&[])).expect_err("they disagree");
        assert_eq!(failure.class, ErrorClass::Region);
    }

    #[test]
    fn a_prefix_is_compared_with_the_region_and_never_doubled() {
        let failure = check("eu.anthropic.claude-sonnet-4-6", "us-east-1").expect_err("eu. is not called from there");
        assert_eq!(failure.class, ErrorClass::Region);
        let advice = failure.advice.expect("advice");
        assert!(advice.contains("us.anthropic.claude-sonnet-4-6 or global.anthropic.claude-sonnet-4-6"), "{advice}");
        for (model, region) in [
            ("eu.amazon.nova-lite-v1:0", "eu-west-1"),
            ("global.anthropic.claude-sonnet-4-6", "sa-east-1"),
            ("amazon.nova-lite-v1:0", "sa-east-1"),
            ("sa.whatever", "sa-east-1"),
        ] {
            assert!(check(model, region).is_ok(), "{model} {region}");
        }
        assert!(check("global.anthropic.claude-sonnet-4-6", "us-gov-west-1").is_err());
        assert_eq!(profiles("apac.x.y", "ap-northeast-1"), "jp.x.y or apac.x.y or global.x.y");
    }

    #[test]
    fn a_profiles_region_is_read_from_its_section() {
        let text = "[default]\nregion = us-east-1\n\n[profile  work]\nsso_session = s\nregion=eu-west-3 # Paris\n s3 =\n  region = no\n[sso-session s]\nregion = xx\n";
        assert_eq!(section_region(text, &["profile work".into()]).as_deref(), Some("eu-west-3"));
        assert_eq!(section_region(text, &["default".into()]).as_deref(), Some("us-east-1"));
        assert_eq!(section_region(text, &["profile other".into()]), None);
    }
}
