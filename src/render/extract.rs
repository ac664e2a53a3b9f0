//! `-x`: the code of an answer without what stands around it.

use std::convert::Infallible;
use std::str::FromStr;

use super::highlight::same_language;

/// Which block of code is wanted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Which {
    #[default]
    First,
    Last,
    /// The first of this language; `py` finds `python`.
    Language(String),
}

impl FromStr for Which {
    type Err = Infallible;

    /// `last` is the last block, nothing the first, all else a language.
    fn from_str(text: &str) -> Result<Which, Infallible> {
        Ok(match text {
            "" => Which::First,
            "last" => Which::Last,
            language => Which::Language(language.to_owned()),
        })
    }
}

/// The fenced block of `answer` that is wanted: its bytes as they are, less the indent of its fence, the last line closed
/// by a newline. A block that the answer's end cut off counts. `None` if there is none.
#[must_use]
pub fn code_block(answer: &str, which: &Which) -> Option<String> {
    let mut blocks = Blocks { lines: answer };
    match which {
        Which::First => blocks.next(),
        Which::Last => blocks.last(),
        Which::Language(language) => blocks.find(|block| same_language(block.info, language)),
    }
    .map(|block| block.code)
}

struct FencedBlock<'a> {
    info: &'a str,
    code: String,
}

struct Blocks<'a> {
    lines: &'a str,
}

impl<'a> Iterator for Blocks<'a> {
    type Item = FencedBlock<'a>;

    fn next(&mut self) -> Option<FencedBlock<'a>> {
        let fence = loop {
            let line = self.line()?;
            if let Some(fence) = Fence::opened_by(line) {
                break fence;
            }
        };
        let mut code = String::new();
        while let Some(line) = self.line() {
            let line = fence.inside(line);
            if fence.closed_by(line) {
                break;
            }
            code.push_str(line);
        }
        if !code.is_empty() && !code.ends_with('\n') {
            code.push('\n');
        }
        Some(FencedBlock { info: fence.info, code })
    }
}

impl<'a> Blocks<'a> {
    /// The next line with its newline.
    fn line(&mut self) -> Option<&'a str> {
        if self.lines.is_empty() {
            return None;
        }
        let end = self.lines.find('\n').map_or(self.lines.len(), |newline| newline + 1);
        let (line, rest) = self.lines.split_at(end);
        self.lines = rest;
        Some(line)
    }
}

struct Fence<'a> {
    mark: char,
    count: usize,
    /// Quote marks before it, and columns of space or list marker after the last of them.
    quotes: usize,
    indent: usize,
    info: &'a str,
}

impl<'a> Fence<'a> {
    fn opened_by(line: &'a str) -> Option<Fence<'a>> {
        let (quotes, line) = unquoted(line, usize::MAX);
        let mut body = line.trim_start_matches([' ', '\t']);
        if let Some(after) = after_marker(body) {
            body = after;
        }
        let indent = line.len() - body.len();
        let mark = body.chars().next().filter(|mark| matches!(mark, '`' | '~'))?;
        let count = body.chars().take_while(|character| *character == mark).count();
        let info = body[count..].trim();
        (count >= 3 && !(mark == '`' && info.contains('`'))).then_some(Fence { mark, count, quotes, indent, info })
    }

    /// `line` less what the block is inside of.
    fn inside<'l>(&self, line: &'l str) -> &'l str {
        let (_, line) = unquoted(line, self.quotes);
        let spaces = line.bytes().take(self.indent).take_while(|byte| matches!(byte, b' ' | b'\t')).count();
        &line[spaces..]
    }

    fn closed_by(&self, line: &str) -> bool {
        let body = line.trim();
        body.len() >= self.count && body.chars().all(|character| character == self.mark)
    }
}

/// How many quote marks `line` starts with, at most `most`, and what follows them.
fn unquoted(line: &str, most: usize) -> (usize, &str) {
    let mut quotes = 0;
    let mut rest = line;
    while quotes < most
        && let Some(after) = rest.trim_start_matches(' ').strip_prefix('>')
    {
        rest = after.strip_prefix(' ').unwrap_or(after);
        quotes += 1;
    }
    (quotes, rest)
}

/// What follows a list marker on its line.
fn after_marker(body: &str) -> Option<&str> {
    let digits = body.bytes().take_while(u8::is_ascii_digit).count();
    let after = match digits {
        0 => body.strip_prefix(['-', '*', '+'])?,
        1..=9 => body[digits..].strip_prefix(['.', ')'])?,
        _ => return None,
    };
    after.starts_with(' ').then(|| after.trim_start_matches(' '))
}

#[cfg(test)]
mod tests {
    use super::{Which, code_block};

    const ANSWER: &str = "Use `x`:\n\n```python\nprint(1)\n\n\tdone\n```\n\nor\n\n~~~~ sh title\ncurl x\n~~~\nmore\n~~~~\n\n\
                          ```rs,ignore\nfn main() {}";

    #[test]
    fn the_block_that_is_wanted_comes_as_it_is() {
        let block = |which: &str| code_block(ANSWER, &which.parse().expect("never fails"));
        assert_eq!(block("").as_deref(), Some("print(1)\n\n\tdone\n"));
        assert_eq!(block("py").as_deref(), Some("print(1)\n\n\tdone\n"));
        assert_eq!(block("Bash").as_deref(), Some("curl x\n~~~\nmore\n"));
        assert_eq!(block("rust").as_deref(), Some("fn main() {}\n"), "cut off by the end of the answer");
        assert_eq!(block("last").as_deref(), Some("fn main() {}\n"));
        assert_eq!(block("go"), None);
    }

    #[test]
    fn a_block_in_a_list_or_a_quote_loses_what_it_stands_in() {
        let listed = "1. do\n\n   ```\n   a\n     b\n   ```\n";
        assert_eq!(code_block(listed, &Which::First).as_deref(), Some("a\n  b\n"));
        let quoted = "> ```\n> a\n>\n> > b\n> ```\n";
        assert_eq!(code_block(quoted, &Which::First).as_deref(), Some("a\n\n> b\n"));
        let marked = "- ```\n  a\n  ```\n";
        assert_eq!(code_block(marked, &Which::First).as_deref(), Some("a\n"));
    }

    #[test]
    fn bytes_are_not_improved() {
        assert_eq!(code_block("```\r\na \r\n```\r\n", &Which::First).as_deref(), Some("a \r\n"));
        assert_eq!(code_block("````\n```\n````\n", &Which::First).as_deref(), Some("```\n"));
        assert_eq!(code_block("```\n```\n", &Which::First).as_deref(), Some(""));
    }

    #[test]
    fn a_code_span_is_no_block() {
        assert_eq!(code_block("```not a fence``` here\n", &Which::First), None);
        assert_eq!(code_block("none at all", &Which::First), None);
    }
}
