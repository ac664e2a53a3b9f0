//! Names of projects, users, teams and tags, as people and files write them.

use std::collections::BTreeMap;
use std::path::Path;

use crate::domain::failure::{ErrorClass, Failure};
use crate::domain::untrusted::one_line;

/// Longest name or value, in characters, and most tags.
const LABEL_MAX: usize = 128;
const KEY_MAX: usize = 64;
/// The most tags of a call.
pub const TAGS_MAX: usize = 32;

/// The name of the git root at or above a folder.
#[must_use]
pub fn git_root(folder: &Path) -> Option<String> {
    let root = folder.ancestors().find(|folder| folder.join(".git").exists())?;
    found(&root.file_name()?.to_string_lossy())
}

/// A name that nobody chose for this: what cannot be in one is left out.
#[must_use]
pub fn found(text: &str) -> Option<String> {
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
    use super::{key, label, tag};

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
