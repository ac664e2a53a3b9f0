//! Code in colour: comments, strings, numbers and keywords, by a table of languages.
//!
//! Own table, because no library earned its weight (measured 2026-11-22, release build with fat LTO): syntect 5.3.0 with
//! `regex-fancy` adds 2.3 MB, 12 crates (one of them bincode 1, which is no longer maintained; one a second
//! fancy-regex) and 42 ms before its first line of Rust; giallo 0.5.2 is under the EUPL; hl-lite 0.11.0 reads whole
//! texts, and code is shown line by line. What is lost: anything that needs a grammar. Nothing is wrong without it.

use super::face::Face;

/// One language, as far as colours go. Names are what stands behind the fence.
#[derive(Debug)]
struct Language {
    names: &'static [&'static str],
    line_comments: &'static [&'static str],
    block_comment: Option<(&'static str, &'static str)>,
    strings: &'static [Quote],
    keywords: &'static str,
    /// Keywords in any case (SQL).
    any_case: bool,
}

/// A string's marks; `lines`: it may go over several.
#[derive(Clone, Copy, Debug)]
struct Quote {
    open: &'static str,
    close: &'static str,
    escapes: bool,
    lines: bool,
}

const fn quote(mark: &'static str) -> Quote {
    Quote { open: mark, close: mark, escapes: true, lines: false }
}

const fn long(mark: &'static str) -> Quote {
    Quote { open: mark, close: mark, escapes: true, lines: true }
}

const fn raw(open: &'static str, close: &'static str) -> Quote {
    Quote { open, close, escapes: false, lines: true }
}

const DOUBLE: Quote = quote("\"");
const SINGLE: Quote = quote("'");
const C_COMMENT: Option<(&str, &str)> = Some(("/*", "*/"));

const fn c_like(names: &'static [&'static str], strings: &'static [Quote], keywords: &'static str) -> Language {
    Language { names, line_comments: &["//"], block_comment: C_COMMENT, strings, keywords, any_case: false }
}

const fn hash_like(names: &'static [&'static str], strings: &'static [Quote], keywords: &'static str) -> Language {
    Language { names, line_comments: &["#"], block_comment: None, strings, keywords, any_case: false }
}

static LANGUAGES: &[Language] = &[
    c_like(
        &["rust", "rs"],
        &[raw("r#\"", "\"#"), long("\"")],
        "as async await break const continue crate dyn else enum extern false fn for if impl in let loop match mod move \
         mut pub ref return self Self static struct super trait true type unsafe use where while",
    ),
    hash_like(
        &["python", "py", "python3", "pycon", "ipython"],
        &[long("\"\"\""), long("'''"), DOUBLE, SINGLE],
        "False None True and as assert async await break case class continue def del elif else except finally for from \
         global if import in is lambda match nonlocal not or pass raise return self try while with yield",
    ),
    c_like(
        &["javascript", "js", "jsx", "mjs", "node", "typescript", "ts", "tsx"],
        &[DOUBLE, SINGLE, long("`")],
        "abstract any as async await boolean break case catch class const continue default delete do else enum export \
         extends false finally for from function get if implements import in instanceof interface keyof let new null \
         number of private protected public readonly return set static string super switch this throw true try type \
         typeof undefined var void while yield",
    ),
    c_like(
        &["go", "golang"],
        &[DOUBLE, SINGLE, raw("`", "`")],
        "any bool break byte case chan const continue default defer else error fallthrough false float64 for func go goto \
         if import int int64 interface map nil package range return rune select string struct switch true type var",
    ),
    c_like(
        &["java", "scala", "groovy"],
        &[long("\"\"\""), DOUBLE, SINGLE],
        "abstract assert boolean break byte case catch char class const continue def default do double else enum extends \
         false final finally float for if implements import instanceof int interface long match native new null object \
         override package private protected public record return sealed short static super switch synchronized this \
         throw throws trait true try val var void volatile while with yield",
    ),
    c_like(
        &["kotlin", "kt", "kts"],
        &[long("\"\"\""), DOUBLE, SINGLE],
        "abstract as break by class companion const constructor continue data do else enum false final for fun if import \
         in init inner interface internal is lateinit null object open operator override package private protected \
         public return sealed super suspend this throw true try typealias val var when where while",
    ),
    c_like(
        &["c", "h", "cpp", "c++", "cc", "cxx", "hpp", "objc", "cuda", "arduino"],
        &[DOUBLE, SINGLE],
        "#define #elif #else #endif #if #ifdef #ifndef #include #pragma auto bool break case catch char class const \
         constexpr continue default delete do double else enum explicit extern false final float for friend goto if \
         inline int long namespace new noexcept nullptr operator override private protected public register return \
         short signed sizeof static struct switch template this throw true try typedef typename union unsigned using \
         virtual void volatile while NULL",
    ),
    c_like(
        &["csharp", "cs", "c#", "fsharp"],
        &[long("\"\"\""), raw("@\"", "\""), DOUBLE, SINGLE],
        "abstract as async await base bool break byte case catch char class const continue decimal default delegate do \
         double else enum event false finally fixed float for foreach get if in int interface internal is lock long \
         namespace new null object out override params partial private protected public readonly record ref return \
         sealed set short static string struct switch this throw true try typeof uint using var virtual void when where \
         while yield",
    ),
    c_like(
        &["swift"],
        &[long("\"\"\""), DOUBLE],
        "actor as async await break case catch class continue default defer do else enum extension false fileprivate for \
         func guard if import in init inout internal is let nil open override private protocol public repeat return \
         self Self some static struct super switch throw throws true try typealias var where while",
    ),
    Language {
        names: &["php"],
        line_comments: &["//", "#"],
        block_comment: C_COMMENT,
        strings: &[DOUBLE, SINGLE],
        keywords: "abstract and array as break case catch class const continue declare default do echo else elseif empty \
                   enum extends false final finally fn for foreach function global if implements include instanceof \
                   interface isset match namespace new null or print private protected public readonly require return \
                   static switch this throw trait true try unset use var while yield",
        any_case: false,
    },
    hash_like(
        &["ruby", "rb", "elixir", "ex", "crystal"],
        &[DOUBLE, SINGLE],
        "alias and begin break case class def defmodule defp do else elsif end ensure false fn for if in module next nil \
         not or redo rescue retry return self super then true undef unless until when while yield",
    ),
    hash_like(
        &["bash", "sh", "shell", "zsh", "console", "shellscript", "fish", "powershell", "ps1"],
        &[long("\""), raw("'", "'")],
        "alias break case cd continue do done echo elif else esac exec exit export fi for function if in local read \
         readonly return select set shift source sudo then trap unset until while",
    ),
    Language {
        names: &["sql", "postgresql", "postgres", "psql", "mysql", "sqlite", "plsql", "tsql", "bigquery"],
        line_comments: &["--"],
        block_comment: C_COMMENT,
        strings: &[raw("'", "'"), raw("\"", "\"")],
        keywords: "add all alter and as asc begin between by case check column commit constraint create cross default \
                   delete desc distinct drop else end exists explain foreign from full function group having if in index \
                   inner insert into is join key left like limit not null offset on or order outer over partition primary \
                   references returning right rollback select set table then trigger union unique update using values \
                   view when where with",
        any_case: true,
    },
    Language {
        names: &["json", "jsonc", "json5", "jsonl"],
        line_comments: &["//"],
        block_comment: C_COMMENT,
        strings: &[DOUBLE],
        keywords: "true false null",
        any_case: false,
    },
    hash_like(
        &["yaml", "yml", "toml", "ini", "conf", "properties", "dotenv"],
        &[long("\"\"\""), raw("'''", "'''"), DOUBLE, SINGLE],
        "true false null yes no on off",
    ),
    hash_like(
        &["dockerfile", "docker", "containerfile", "makefile", "make", "cmake", "nginx"],
        &[DOUBLE, SINGLE],
        "ADD ARG AS CMD COPY ENTRYPOINT ENV EXPOSE FROM HEALTHCHECK LABEL RUN SHELL USER VOLUME WORKDIR define else endef \
         endif export if ifdef ifeq ifndef ifneq include",
    ),
    hash_like(
        &["terraform", "hcl", "tf", "r", "julia", "jl", "perl", "nix"],
        &[DOUBLE, SINGLE],
        "begin data do else end false for foreach function if import in inherit let library local locals module my next \
         null our output package provider repeat resource return rec sub terraform true use using variable while with \
         TRUE FALSE NULL NA",
    ),
    Language {
        names: &["html", "xml", "svg", "vue", "svelte", "xhtml"],
        line_comments: &[],
        block_comment: Some(("<!--", "-->")),
        strings: &[long("\""), long("'")],
        keywords: "a article body br button code div doctype em footer form h1 h2 h3 head header html img input label li \
                   link main meta nav ol option p pre script section select span strong style svg table tbody td \
                   template textarea th thead title tr ul",
        any_case: true,
    },
    Language {
        names: &["css", "scss", "less"],
        line_comments: &[],
        block_comment: C_COMMENT,
        strings: &[DOUBLE, SINGLE],
        keywords: "@charset @font-face @import @include @keyframes @layer @media @mixin @supports @use important",
        any_case: false,
    },
    Language {
        names: &["lua", "haskell", "hs", "elm"],
        line_comments: &["--"],
        block_comment: None,
        strings: &[DOUBLE],
        keywords: "and break case class data deriving do else elseif end false for function goto if import in infix \
                   instance let local module newtype nil not of or repeat return then true type until where while",
        any_case: false,
    },
];

/// A longer line is data, not code: a look to its end from each quote would cost more than colour is worth.
const LINE_BYTES_MAX: usize = 2_000;

const DIFF: &[&str] = &["diff", "patch", "udiff"];

/// Colours the lines of one block of code, in their order.
#[derive(Debug)]
pub(super) struct Highlighter {
    reads: Reads,
    /// The string or comment that the last line left open.
    within: Option<(Quote, Face)>,
}

#[derive(Clone, Copy, Debug)]
enum Reads {
    Nothing,
    Diff,
    Language(&'static Language),
}

impl Highlighter {
    /// For the language named behind a fence; an unknown one is left alone.
    pub(super) fn of(info: &str) -> Highlighter {
        let name = language_name(info);
        let reads = match language(&name) {
            Some(language) => Reads::Language(language),
            None if DIFF.contains(&name.as_str()) => Reads::Diff,
            None => Reads::Nothing,
        };
        Highlighter { reads, within: None }
    }

    /// Colours nothing.
    pub(super) fn none() -> Highlighter {
        Highlighter { reads: Reads::Nothing, within: None }
    }

    /// The pieces of `line`, which together are the line.
    pub(super) fn line<'a>(&mut self, line: &'a str) -> Vec<(Face, &'a str)> {
        match self.reads {
            Reads::Nothing => vec![(Face::PLAIN, line)],
            Reads::Diff => vec![(diff_face(line), line)],
            Reads::Language(_) if line.len() > LINE_BYTES_MAX => vec![(Face::PLAIN, line)],
            Reads::Language(language) => self.lex(language, line),
        }
    }

    fn lex<'a>(&mut self, language: &Language, line: &'a str) -> Vec<(Face, &'a str)> {
        let mut runs: Vec<(Face, &'a str)> = Vec::new();
        let mut at = 0;
        let mut plain = 0;
        if let Some((quote, face)) = self.within {
            at = self.close_of(line, 0, quote, face);
            runs.push((face, &line[..at]));
            plain = at;
        }
        while at < line.len() {
            let rest = &line[at..];
            let (face, end) = self.token(language, line, at);
            if face != Face::PLAIN {
                if plain < at {
                    runs.push((Face::PLAIN, &line[plain..at]));
                }
                runs.push((face, &rest[..end - at]));
                plain = end;
            }
            at = end;
        }
        if plain < line.len() {
            runs.push((Face::PLAIN, &line[plain..]));
        }
        runs
    }

    /// The face and the end of the token at `at`.
    fn token(&mut self, language: &Language, line: &str, at: usize) -> (Face, usize) {
        let rest = &line[at..];
        let starts_word = !line[..at].ends_with(|before: char| is_word(before));
        if let Some(mark) = language.line_comments.iter().find(|mark| rest.starts_with(**mark))
            && (*mark != "#" || line[..at].is_empty() || line[..at].ends_with([' ', '\t', ';']))
        {
            return (Face::COMMENT, line.len());
        }
        if let Some((open, close)) = language.block_comment
            && rest.starts_with(open)
        {
            let comment = Quote { open, close, escapes: false, lines: true };
            return (Face::COMMENT, self.close_of(line, at + open.len(), comment, Face::COMMENT));
        }
        if let Some(quote) = language.strings.iter().find(|quote| rest.starts_with(quote.open))
            && (starts_word || !quote.open.starts_with(char::is_alphabetic))
        {
            return (Face::STRING, self.close_of(line, at + quote.open.len(), *quote, Face::STRING));
        }
        let Some(first) = rest.chars().next() else { return (Face::PLAIN, line.len()) };
        if !is_word(first) && !matches!(first, '#' | '@') {
            return (Face::PLAIN, at + first.len_utf8());
        }
        let tail = &rest[first.len_utf8()..];
        let number = first.is_ascii_digit();
        let word = first.len_utf8()
            + tail.find(|next: char| !(is_word(next) || (number && next == '.'))).unwrap_or(tail.len());
        let end = at + word;
        let face = match &line[at..end] {
            _ if number => Face::NUMBER,
            word if is_keyword(language, word) => Face::KEYWORD,
            _ => Face::PLAIN,
        };
        (face, end)
    }

    /// The end of what `quote` closes, from `from` on; what may go over lines and does not end here is remembered.
    fn close_of(&mut self, line: &str, from: usize, quote: Quote, face: Face) -> usize {
        self.within = None;
        let mut escaped = false;
        for (offset, character) in line[from..].char_indices() {
            let at = from + offset;
            if escaped {
                escaped = false;
            } else if quote.escapes && character == '\\' {
                escaped = true;
            } else if line[at..].starts_with(quote.close) {
                return at + quote.close.len();
            }
        }
        if quote.lines {
            self.within = Some((quote, face));
            return line.len();
        }
        // A lone quote is an apostrophe or a lifetime, not a string to the end of the line.
        from
    }
}

/// Whether two names behind a fence mean one language.
pub(super) fn same_language(one: &str, other: &str) -> bool {
    let (one, other) = (language_name(one), language_name(other));
    one == other || SYNONYMS.iter().any(|names| names.contains(&one.as_str()) && names.contains(&other.as_str()))
}

/// Names that the table groups for their colours are not all one language; these are.
const SYNONYMS: &[&[&str]] = &[
    &["rust", "rs"],
    &["python", "py", "python3"],
    &["javascript", "js", "mjs", "node"],
    &["typescript", "ts"],
    &["go", "golang"],
    &["kotlin", "kt"],
    &["c++", "cpp", "cc", "cxx"],
    &["csharp", "cs", "c#"],
    &["ruby", "rb"],
    &["bash", "sh", "shell", "zsh", "shellscript"],
    &["powershell", "ps1"],
    &["postgresql", "postgres", "psql"],
    &["yaml", "yml"],
    &["dockerfile", "docker", "containerfile"],
    &["makefile", "make"],
    &["terraform", "tf", "hcl"],
    &["diff", "patch", "udiff"],
    &["markdown", "md"],
];

/// The language in an info string: `rust,ignore`, `{.python}` and `js title="x"` are rust, python and js.
fn language_name(info: &str) -> String {
    let info = info.trim().trim_start_matches(['{', '.']);
    let end = info.find([' ', '\t', ',', '{', '}', ':', ';']).unwrap_or(info.len());
    info[..end].to_lowercase()
}

fn language(name: &str) -> Option<&'static Language> {
    LANGUAGES.iter().find(|language| language.names.contains(&name))
}

fn is_word(character: char) -> bool {
    character.is_alphanumeric() || character == '_'
}

fn is_keyword(language: &Language, word: &str) -> bool {
    let mut keywords = language.keywords.split(' ');
    if language.any_case {
        keywords.any(|keyword| keyword.eq_ignore_ascii_case(word))
    } else {
        keywords.any(|keyword| keyword == word)
    }
}

fn diff_face(line: &str) -> Face {
    match line.as_bytes().first() {
        _ if line.starts_with("+++") || line.starts_with("---") => Face::BOLD,
        Some(b'+') => Face::ADDED,
        Some(b'-') => Face::REMOVED,
        Some(b'@') => Face::COMMENT,
        _ => Face::PLAIN,
    }
}

#[cfg(test)]
mod tests {
    use super::{Highlighter, LANGUAGES, LINE_BYTES_MAX, same_language};
    use crate::render::face::Face;

    /// Each line's pieces that are not plain, with a letter for what they are.
    fn coloured(info: &str, code: &str) -> Vec<String> {
        let mut highlighter = Highlighter::of(info);
        code.lines()
            .map(|line| {
                let runs = highlighter.line(line);
                assert_eq!(runs.iter().map(|(_, text)| *text).collect::<String>(), line);
                let named = runs.iter().filter_map(|(face, text)| Some(format!("{}:{text}", letter(*face)?)));
                named.collect::<Vec<String>>().join(" ")
            })
            .collect()
    }

    fn letter(face: Face) -> Option<char> {
        let letters = [
            (Face::COMMENT, 'c'),
            (Face::KEYWORD, 'k'),
            (Face::STRING, 's'),
            (Face::NUMBER, 'n'),
            (Face::ADDED, '+'),
            (Face::REMOVED, '-'),
        ];
        letters.into_iter().find(|(known, _)| face == *known).map(|(_, letter)| letter)
    }

    #[test]
    fn comments_strings_numbers_and_keywords_are_told_apart() {
        assert_eq!(coloured("rust", "let x = \"a\\\"b\"; // 1"), ["k:let s:\"a\\\"b\" c:// 1"]);
        assert_eq!(coloured("py", "if x1 == 0x1F: # why"), ["k:if n:0x1F c:# why"]);
        assert_eq!(coloured("sh", "echo $#a '#no' # yes"), ["k:echo s:'#no' c:# yes"]);
        assert_eq!(coloured("SQL", "select 1.5 -- n"), ["k:select n:1.5 c:-- n"]);
        assert_eq!(coloured("json", "{\"a\": true}"), ["s:\"a\" k:true"]);
        assert_eq!(coloured("diff", "+a\n-b\n c"), ["+:+a", "-:-b", ""]);
    }

    #[test]
    fn what_goes_over_lines_is_remembered() {
        assert_eq!(coloured("c", "/* a\nint\n*/ int"), ["c:/* a", "c:int", "c:*/ k:int"]);
        assert_eq!(coloured("python", "\"\"\"a\ndef\n\"\"\" def"), ["s:\"\"\"a", "s:def", "s:\"\"\" k:def"]);
    }

    #[test]
    fn an_apostrophe_does_not_swallow_the_line() {
        assert_eq!(coloured("rust", "fn f<'a>(x: &'a str) {}"), ["k:fn"]);
        assert_eq!(coloured("java", "it's new"), ["s:' k:new"]);
    }

    #[test]
    fn what_is_not_known_is_left_alone() {
        assert_eq!(coloured("brainfuck", "if 1 'x'"), [""]);
        assert_eq!(coloured("rust", &format!("let {}", "x".repeat(LINE_BYTES_MAX))), [""]);
    }

    #[test]
    fn names_mean_one_language_only() {
        let mut names: Vec<&str> = LANGUAGES.iter().flat_map(|language| language.names.iter().copied()).collect();
        names.sort_unstable();
        let all = names.len();
        names.dedup();
        assert_eq!(names.len(), all);
        assert!(same_language("Py", "python") && same_language("{.rust}", "rs") && !same_language("js", "ts"));
    }
}
