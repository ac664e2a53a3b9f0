//! Which models cut text into tokens alike, and by how much two ways differ, where a page says it.

use super::models::matches;

/// A tokenizer and patterns of the ids of the models that have it; a later row holds against an earlier one. Of the
/// tokenizers of other models nothing is said.
const TOKENIZERS: [(&str, &[&str]); 3] = [
    // The newest, and so those that are not known yet.
    (CLAUDE_NEW, &["*claude*"]),
    (
        CLAUDE_OLD,
        &[
            "*claude-instant*",
            "*claude-v2*",
            "*claude-2*",
            "*claude-3*",
            "*claude-4.*",
            "*claude-opus-4*",
            "*claude-sonnet-4*",
            "*claude-haiku-4*",
        ],
    ),
    (CLAUDE_NEW, &["*claude-opus-4-7*", "*claude-opus-4.7*", "*claude-opus-4-8*", "*claude-opus-4.8*"]),
];

const CLAUDE_OLD: &str = "claude to 4.6";
const CLAUDE_NEW: &str = "claude from opus 4.7";

/// "Opus 4.7 and later use a new tokenizer", at most 35 % more tokens for the same text; read 2026-11-22.
const CLAUDE_PAGE: &str = "https://platform.claude.com/docs/en/about-claude/pricing";
const CLAUDE_HUNDREDTHS: u64 = 135;

/// What the same text becomes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Growth {
    /// At most so many tokens in the place of a hundred.
    pub hundredths: u64,
    /// The page that says it.
    pub source: &'static str,
}

/// By how much a text has more tokens on one model than on another; `None`: no page says it.
#[must_use]
pub fn growth(from: &str, to: &str) -> Option<Growth> {
    let pair = (tokenizer(from)?, tokenizer(to)?);
    (pair == (CLAUDE_OLD, CLAUDE_NEW)).then_some(Growth { hundredths: CLAUDE_HUNDREDTHS, source: CLAUDE_PAGE })
}

fn tokenizer(model: &str) -> Option<&'static str> {
    let model = model.to_ascii_lowercase();
    let has = |patterns: &[&str]| patterns.iter().any(|pattern| matches(pattern, &model));
    TOKENIZERS.iter().rev().find(|(_, patterns)| has(patterns)).map(|(name, _)| *name)
}

#[cfg(test)]
mod tests {
    use super::growth;

    #[test]
    fn only_a_difference_that_a_page_states_is_known() {
        for (from, to, hundredths) in [
            ("claude-sonnet-4-5-20250929", "claude-opus-4-7", Some(135)),
            ("us.anthropic.claude-opus-4-6-v1", "claude-opus-5-5", Some(135)),
            ("anthropic/claude-3.7-sonnet", "anthropic/claude-opus-4.8", Some(135)),
            ("claude-opus-4-8", "claude-sonnet-5", None),
            ("claude-opus-5-5", "claude-sonnet-4-6", None),
            ("claude-sonnet-4-5", "claude-opus-4-20250514", None),
            ("gpt-4o", "claude-opus-5-5", None),
            ("claude-sonnet-4-5", "gpt-5.4", None),
        ] {
            assert_eq!(growth(from, to).map(|growth| growth.hundredths), hundredths, "{from} {to}");
        }
    }
}
