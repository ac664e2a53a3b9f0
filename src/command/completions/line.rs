//! Bash's line as words, and words as bash would read them. Bash itself takes words apart at `:`, `@` and `=`
//! (`COMP_WORDBREAKS`), which stand inside our names.

/// How the word at the end of a line is quoted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Quoted {
    Not,
    Single,
    Double,
}

/// The words of a line up to the cursor, and how the last one is quoted. After a space the last word is empty.
#[must_use]
pub fn words(line: &str) -> (Vec<String>, Quoted) {
    let mut words = vec![String::new()];
    let mut quoted = Quoted::Not;
    let mut letters = line.trim_start().chars();
    while let Some(letter) = letters.next() {
        let Some(word) = words.last_mut() else { break };
        match (quoted, letter) {
            (Quoted::Not, '\'') => quoted = Quoted::Single,
            (Quoted::Not, '"') => quoted = Quoted::Double,
            (Quoted::Single, '\'') | (Quoted::Double, '"') => quoted = Quoted::Not,
            (Quoted::Not, '\\') => word.extend(letters.next()),
            (Quoted::Double, '\\') => match letters.next() {
                Some(next @ ('"' | '\\' | '$' | '`')) => word.push(next),
                next => word.extend(['\\'].into_iter().chain(next)),
            },
            (Quoted::Not, space) if space.is_whitespace() => {
                words.push(String::new());
                letters = letters.as_str().trim_start().chars();
            }
            (_, letter) => word.push(letter),
        }
    }
    (words, quoted)
}

/// A text as it is written on bash's line, where it is quoted so. `None`: it cannot be.
#[must_use]
pub fn written(text: &str, quoted: Quoted) -> Option<String> {
    let plain = |letter: char| letter.is_alphanumeric() || "_-./:@=,+%".contains(letter);
    let escaped = |is_safe: &dyn Fn(char) -> bool| {
        text.chars().flat_map(|letter| (!is_safe(letter)).then_some('\\').into_iter().chain([letter])).collect()
    };
    match quoted {
        Quoted::Not => Some(escaped(&plain)),
        Quoted::Double => (!text.contains('!')).then(|| escaped(&|letter| !"\"\\$`".contains(letter))),
        Quoted::Single => (!text.contains('\'')).then(|| text.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::{Quoted, words, written};

    #[test]
    fn a_line_is_read_as_bash_reads_it() {
        let cases: [(&str, &[&str], Quoted); 5] = [
            ("llmx", &["llmx"], Quoted::Not),
            ("  llmx  -m ", &["llmx", "-m", ""], Quoted::Not),
            ("llmx -m bedrock@eu-west-1/a:0", &["llmx", "-m", "bedrock@eu-west-1/a:0"], Quoted::Not),
            ("llmx 'a b' c\\ d \"e \\\" \\x", &["llmx", "a b", "c d", "e \" \\x"], Quoted::Double),
            ("llmx --model='si", &["llmx", "--model=si"], Quoted::Single),
        ];
        for (line, read, quoted) in cases {
            let found = words(line);
            assert_eq!(found.0, read, "{line}");
            assert_eq!(found.1, quoted, "{line}");
        }
    }

    #[test]
    fn what_is_written_is_read_again_as_it_was_and_runs_nothing() {
        for text in ["sim/lorem?tokens=2&tps=3", "a b", "$(rm x)", "`x`", "a\\b", "it's", "\"", "x;y|z>q"] {
            for (quoted, open) in [(Quoted::Not, ""), (Quoted::Single, "'"), (Quoted::Double, "\"")] {
                if let Some(written) = written(text, quoted) {
                    assert_eq!(words(&format!("llmx {open}{written}")).0, ["llmx", text], "{written}");
                }
            }
        }
        assert_eq!(written("$(rm x)", Quoted::Not).as_deref(), Some("\\$\\(rm\\ x\\)"));
        assert_eq!(written("$(rm x)", Quoted::Double).as_deref(), Some("\\$(rm x)"));
        assert_eq!(written("it's", Quoted::Single), None);
        assert_eq!(written("bedrock@eu-west-1/a:0", Quoted::Not).as_deref(), Some("bedrock@eu-west-1/a:0"));
    }
}
