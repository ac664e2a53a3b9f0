//! Which words only one of several answers has.
//!
//! By the word and not by its place: two models say one thing in different order, and an alignment would mark half of both.

use std::collections::HashMap;
use std::ops::Range;

use unicode_segmentation::UnicodeSegmentation as _;

/// For each text the byte ranges of its words that stand in no other, in order. Upper and lower case are one, and each
/// Chinese or Japanese character that is no part of a longer word is a word.
#[must_use]
pub fn only_here(texts: &[&str]) -> Vec<Vec<Range<usize>>> {
    // A word's only text, or `None` once a second one has it.
    let mut homes: HashMap<String, Option<usize>> = HashMap::new();
    for (index, text) in texts.iter().enumerate() {
        for word in text.unicode_words() {
            let home = homes.entry(word.to_lowercase()).or_insert(Some(index));
            if *home != Some(index) {
                *home = None;
            }
        }
    }
    let own = |index: usize, word: &str| homes.get(&word.to_lowercase()).is_some_and(|home| *home == Some(index));
    let marked = |(index, text): (usize, &&str)| {
        let words = text.unicode_word_indices().filter(|(_, word)| own(index, word));
        words.map(|(start, word)| start..start + word.len()).collect()
    };
    texts.iter().enumerate().map(marked).collect()
}

#[cfg(test)]
mod tests {
    use super::only_here;

    fn words<'a>(texts: &[&'a str]) -> Vec<Vec<&'a str>> {
        let ranges = only_here(texts);
        texts.iter().zip(ranges).map(|(text, ranges)| ranges.into_iter().map(|range| &text[range]).collect()).collect()
    }

    #[test]
    fn a_word_that_two_answers_have_is_nobodys_own() {
        let own = words(&["Use a B-tree, it sorts.", "A hash sorts nothing; use it.", "Use it"]);
        assert_eq!(own, [vec!["B", "tree"], vec!["hash", "nothing"], vec![]]);
    }

    #[test]
    fn repeated_words_are_marked_each_time_and_case_is_none() {
        assert_eq!(words(&["Fast fast FAST", "slow"]), [vec!["Fast", "fast", "FAST"], vec!["slow"]]);
    }

    #[test]
    fn characters_of_a_language_without_spaces_are_words() {
        assert_eq!(words(&["日本語", "日本人"]), [vec!["語"], vec!["人"]]);
        assert_eq!(words(&["👋 …", ""]), [Vec::<&str>::new(), vec![]]);
    }
}
