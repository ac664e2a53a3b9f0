//! Promises of the Markdown screen: it streams, it wraps, it obeys nothing that the text says to a terminal.

use std::cell::Cell;

use proptest::prelude::{Strategy, any, prop, prop_assert, prop_assert_eq, prop_oneof, proptest};

use super::wrap::columns;
use super::{Markdown, Style};
use crate::domain::untrusted::visible;
use crate::render::face::{RESET, SGR};

thread_local! {
    static WORK: Cell<usize> = const { Cell::new(0) };
}

pub(super) fn spend(steps: usize) {
    WORK.with(|work| work.set(work.get() + steps));
}

fn work_of(task: impl FnOnce()) -> usize {
    WORK.with(|work| work.set(0));
    task();
    WORK.with(Cell::get)
}

fn plain(width: usize, text: &str) -> String {
    shown(Style { width: Some(width), colour: false }, text)
}

fn shown(style: Style, text: &str) -> String {
    in_pieces(style, [text])
}

fn in_pieces<'a>(style: Style, pieces: impl IntoIterator<Item = &'a str>) -> String {
    let mut markdown = Markdown::new(style);
    let mut shown: String = pieces.into_iter().map(|piece| markdown.push(piece)).collect();
    shown.push_str(&markdown.finish());
    shown
}

const COLOUR: Style = Style { width: Some(40), colour: true };

// Inline.

#[test]
fn marks_become_looks_and_without_colour_what_matters_stays() {
    let cases = [
        ("**b** *i* _i_ ***bi***", "b i i bi\n"),
        ("`code` ``a`b`` ~~gone~~", "`code` `a`b` ~~gone~~\n"),
        ("[text](https://x.y) ![alt](i.png)", "text (https://x.y) alt (i.png)\n"),
        ("[https://x.y](https://x.y) [t](u \"title\")", "https://x.y t (u)\n"),
        ("<https://x.y> <a@b.c> <b>html</b>", "https://x.y a@b.c <b>html</b>\n"),
        (r"\*not\* \_ \` \d C:\dir", "*not* _ ` \\d C:\\dir\n"),
        ("snake_case_name, 2 * 3 * 4, a*b*c", "snake_case_name, 2 * 3 * 4, abc\n"),
        ("https://x.y/__init__/a_b_c", "https://x.y/__init__/a_b_c\n"),
        ("**a *b* c** *a **b** c*", "a b c a b c\n"),
        ("[**b** `c`](u) **[t](u)**", "b `c` (u) t (u)\n"),
        ("**Range [0, 1)** and [1] and f(x)[0](", "Range [0, 1) and [1] and f(x)[0](\n"),
        ("two  \nlines\\\nand three", "two\nlines\nand three\n"),
    ];
    for (text, expected) in cases {
        assert_eq!(plain(80, text), expected, "{text}");
    }
}

#[test]
fn an_unclosed_mark_is_literal() {
    for text in ["**bold", "*it", "`code *x", "[text](http", "[text", "~~gone", "<https://x", "a ``` b", "![alt"] {
        assert_eq!(plain(80, text), format!("{text}\n"), "{text}");
        assert_eq!(plain(80, &format!("{text}\n\nnext")), format!("{text}\n\nnext\n"), "{text}");
    }
    assert_eq!(plain(80, "a\\"), "a\\\n");
    assert_eq!(plain(80, "**bold `c` *i* and"), "**bold `c` i and\n", "what is closed inside it is kept");
}

#[test]
fn colours_are_set_and_taken_back() {
    assert_eq!(shown(COLOUR, "a **b c** d"), "a \u{1b}[1mb c\u{1b}[0m d\n");
    assert_eq!(shown(COLOUR, "`x` *y*"), "\u{1b}[36mx\u{1b}[0m \u{1b}[3my\u{1b}[0m\n");
    assert_eq!(shown(COLOUR, "~~a b~~"), "\u{1b}[9ma b\u{1b}[0m\n");
    assert_eq!(shown(COLOUR, "## H `c` ##"), "\u{1b}[1mH\u{1b}[0m \u{1b}[1m\u{1b}[36mc\u{1b}[0m\n");
    assert_eq!(shown(COLOUR, "[t](u)"), "\u{1b}[4mt\u{1b}[0m \u{1b}[2m(u)\u{1b}[0m\n");
    assert_eq!(shown(COLOUR, "```rs\nlet x;\n```"), "  \u{1b}[35mlet\u{1b}[0m x;\n");
}

// Blocks.

#[test]
fn lists_hang_and_nest() {
    let text = "- one two three four\n  - nested and long as well\n10. ten eleven twelve\n    1) deep\n- [x] did\n- [ ] to do\n-\n";
    assert_eq!(
        plain(16, text),
        "• one two three\n  four\n  • nested and\n    long as well\n10. ten eleven\n    twelve\n    1) deep\n☑ did\n☐ to do\n•\n"
    );
    assert_eq!(plain(80, "1. a\n  - b\n2. c"), "1. a\n   • b\n2. c\n", "models nest by two");
    assert_eq!(plain(80, "- a\nlazy\n\n  more\n\nout"), "• a\n  lazy\n\n  more\n\nout\n");
    assert_eq!(plain(80, "The year\n1986. was"), "The year\n1986. was\n");
    assert_eq!(plain(80, "-1 is *not* an item"), "-1 is not an item\n");
}

#[test]
fn quotes_carry_their_bar() {
    assert_eq!(
        plain(14, "> one two three\n> > deep\n> - item\n\nout"),
        "│ one two\n│ three\n│ │ deep\n│ • item\n\nout\n"
    );
    assert_eq!(plain(80, "> a\n>\n> b"), "│ a\n│\n│ b\n");
    assert_eq!(plain(80, "> ```\n> x > y\n> ```\nout"), "│   x > y\nout\n");
}

#[test]
fn headings_and_rules_are_seen_without_colour() {
    assert_eq!(
        plain(10, "text\n## Head ##\nmore\n\n---\n\n* * *"),
        "text\n\n## Head\nmore\n\n──────────\n\n──────────\n"
    );
    assert_eq!(plain(80, "#hash and #1"), "#hash and #1\n");
    assert_eq!(plain(80, "\n\n\ntext\n\n\n\nmore\n\n"), "text\n\nmore\n");
}

#[test]
fn code_is_never_wrapped() {
    let line = "let long = \"a line that is wider than the screen by far\";";
    assert_eq!(plain(20, &format!("```rust\n{line}\n\n\tx\n```\nend")), format!("  {line}\n\n  \tx\nend\n"));
    assert_eq!(plain(20, "~~~\n```\n~~~"), "  ```\n");
    assert_eq!(plain(20, "````\n```\n````"), "  ```\n");
    assert_eq!(plain(20, "- a\n\n  ```\n  x\n    y\n  ```\n- b"), "• a\n\n    x\n      y\n• b\n");
    assert_eq!(plain(20, "a\n\n    code  *x*\n\n    more\n\nend"), "a\n\n  code  *x*\n\n  more\n\nend\n");
    assert_eq!(plain(20, "1. a\n   ```\n   x\ny\n```\nend"), "1. a\n     x\n     y\nend\n", "models forget the indent");
    assert_eq!(plain(80, "```not``` a fence"), "`not` a fence\n");
    assert_eq!(plain(20, "```\ncut off"), "  cut off\n");
}

#[test]
fn tables_are_aligned_by_what_is_seen() {
    let text = "| Model | Price |Ok|\n|:--|--:|:-:|\n| `a` | 1.5 | ✓ |\n| 日本語 | 12345.67 | 👩‍👩‍👧 |\n| a\\|b |\nend";
    assert_eq!(
        plain(80, text),
        "Model  │    Price │ Ok\n───────┼──────────┼───\n`a`    │      1.5 │ ✓\n日本語 │ 12345.67 │ 👩‍👩‍👧\na|b    │          │\nend\n"
    );
    assert_eq!(plain(80, "| a |\n| b |\n"), "| a |\n| b |\n", "no delimiter row, no table");
    assert_eq!(plain(80, "|a|b|\n|-|-|\n|1|2|3|"), "a │ b\n──┼──────\n1 │ 2 | 3\n", "nothing is dropped");
}

#[test]
fn a_wide_cell_is_wrapped_and_a_number_is_not() {
    let text = "| n | note |\n|--:|---|\n| 1234567.89 | one two three four |\n";
    assert_eq!(
        plain(24, text),
        "         n │ note\n───────────┼────────────\n1234567.89 │ one two\n           │ three four\n"
    );
    assert_eq!(plain(12, text), "n:\n1234567.89\nnote: one\ntwo three\nfour\n", "no room for columns");
}

#[test]
fn three_widths_of_one_answer() {
    const ANSWER: &str = include_str!("answer.md");
    for width in [8, 40, 80, 120] {
        insta::assert_snapshot!(format!("answer_at_{width}"), plain(width, ANSWER));
    }
    insta::assert_snapshot!("answer_in_colour", visible(&shown(Style { width: Some(80), colour: true }, ANSWER)));
    insta::assert_snapshot!("answer_unwrapped", shown(Style { width: None, colour: false }, ANSWER));
}

// Width.

#[test]
fn wide_characters_are_counted_by_cluster() {
    assert_eq!(plain(10, "日本語の文章です。"), "日本語の文\n章です。\n");
    assert_eq!(plain(6, "👩‍👩‍👧👩‍👩‍👧👩‍👩‍👧👩‍👩‍👧"), "👩‍👩‍👧👩‍👩‍👧👩‍👩‍👧\n👩‍👩‍👧\n");
    assert_eq!(
        plain(5, "e\u{301}e\u{301}e\u{301} e\u{301}e\u{301}e\u{301}"),
        "e\u{301}e\u{301}e\u{301}\ne\u{301}e\u{301}e\u{301}\n"
    );
    assert_eq!(plain(8, "abcdefghijkl"), "abcdefgh\nijkl\n");
    assert_eq!(
        shown(Style { width: None, colour: false }, &"word ".repeat(100)),
        format!("{}\n", "word ".repeat(100).trim_end())
    );
}

// Streaming.

#[test]
fn each_word_is_shown_when_the_next_begins() {
    let mut markdown = Markdown::new(Style { width: Some(80), colour: false });
    let mut seen = Vec::new();
    for piece in ["A long", " para", "graph that", " never", " ends", "\n- it", "em one"] {
        seen.push(markdown.push(piece));
    }
    assert_eq!(seen, ["A", " long", " paragraph", " that", " never", " ends\n•", " item"]);
    assert_eq!(markdown.finish(), " one\n");
}

#[test]
fn a_mark_that_never_closes_does_not_stop_the_stream() {
    for opening in ["*", "**", "`", "[", "~~", "[a](", "<"] {
        let mut markdown = Markdown::new(Style { width: Some(80), colour: false });
        let pushed = markdown.push(&format!("{opening}x {}", "word ".repeat(600)));
        assert!(pushed.len() > 1_500, "{opening}: {} bytes of 3,000 shown", pushed.len());
    }
}

#[test]
fn code_is_shown_line_by_line() {
    let mut markdown = Markdown::new(Style { width: Some(80), colour: false });
    assert_eq!(markdown.push("```\none\ntw"), "  one\n");
    assert_eq!(markdown.push("o\n"), "  two\n");
    assert_eq!(markdown.finish(), "");
}

#[test]
fn the_work_grows_with_the_text() {
    let texts = [
        "A line of **plain** text with `code` and a [link](https://x.y).\n",
        "- item\n  - nested item with *emphasis*\n",
        "> quote\n> > deep\n\n",
        "| a | b |\n|---|---|\n| 1 | 2 |\n\n",
        "```rust\nfn main() {}\n```\n",
        "*a _b **c `d [e](f ~~g <h ",
        "` `` ``` ```` ````` [a](b[c](d[e](f[g](h",
        "* * * * - - - > > > > ",
        "\\![[[[***___~~~```",
        "e\u{301}\u{301}\u{301}\u{301}\u{301}\u{301}",
    ];
    for text in texts {
        let many = work_of(|| drop(plain(80, &text.repeat(1_000))));
        let more = work_of(|| drop(plain(80, &text.repeat(10_000))));
        assert!(more < many * 11, "{text:?}: {many} steps, then {more}");
        assert!(more < text.len() * 10_000 * 120, "{text:?}: {more} steps for {} bytes", text.len() * 10_000);
    }
}

// Safety.

/// More than two hundred sequences that would steer a terminal.
fn attacks() -> Vec<String> {
    let mut attacks: Vec<String> = Vec::new();
    let csi = ["\u{1b}[", "\u{9b}"];
    let ends = ["\u{7}", "\u{1b}\\", "\u{9c}", ""];
    for start in csi {
        for body in [
            "31m",
            "0m",
            "1;5m",
            "2J",
            "3J",
            "H",
            "1;1H",
            "10A",
            "5D",
            "K",
            "2K",
            "s",
            "u",
            "6n",
            "5n",
            "c",
            ">c",
            "=c",
            "0x",
            "21t",
            "14t",
            "8;1;1t",
            "?1049h",
            "?25l",
            "?1000h",
            "?1003h",
            "?2004h",
            "?2004l",
            "?7l",
            "?47h",
            "4h",
            "20h",
            "!p",
            "201~",
            "200~",
            "10b",
            "100S",
            "5L",
            "5M",
            "1;2r",
            "$p",
            ">4;2m",
            "?u",
            ">1u",
            "38;5;1m",
            "6 q",
            "38;2;1;2;3m",
        ] {
            attacks.push(format!("{start}{body}"));
        }
    }
    for start in ["\u{1b}]", "\u{9d}"] {
        for body in [
            "0;title",
            "2;title",
            "52;c;aGk=",
            "8;;https://evil",
            "10;?",
            "11;?",
            "4;1;?",
            "7;file:///",
            "1337;File=:",
            "9;hi",
            "777;notify;a;b",
            "133;A",
            "50;font",
        ] {
            for end in ends {
                attacks.push(format!("{start}{body}{end}"));
            }
        }
    }
    for start in ["\u{1b}P", "\u{90}", "\u{1b}_", "\u{9f}", "\u{1b}^", "\u{9e}", "\u{1b}X", "\u{98}"] {
        for body in ["+q544e", "$qm", "Ga=T;AAAA"] {
            for end in ends {
                attacks.push(format!("{start}{body}{end}"));
            }
        }
    }
    for one in ["c", "7", "8", "D", "E", "M", "=", ">", "(0", ")0", "#8", "N", "O", "n", "Z", "%G", " F", "l"] {
        attacks.push(format!("\u{1b}{one}"));
    }
    attacks.extend(
        (0..0x20_u8).chain(0x7F..0xA0).filter(|byte| !b"\n\t".contains(byte)).map(|byte| char::from(byte).to_string()),
    );
    attacks.extend(["\u{202e}", "\u{2066}", "\u{e0041}", "\r", "\u{8}\u{8}"].map(str::to_owned));
    attacks
}

/// What is left of `shown` without our own sequences has nothing that a terminal acts on.
fn assert_safe(shown: &str) {
    let mut left = shown.to_owned();
    for sequence in SGR.iter().map(|(_, sequence)| *sequence).chain([RESET]) {
        left = left.replace(sequence, "");
    }
    assert_eq!(visible(&left), left, "{shown:?}");
}

#[test]
fn no_attack_reaches_the_terminal_whatever_the_pieces() {
    let attacks = attacks();
    assert!(attacks.len() >= 200, "{}", attacks.len());
    let around = [
        ("", ""),
        ("**", "**"),
        ("`", "`"),
        ("[a](", ")"),
        ("# ", ""),
        ("- ", ""),
        ("```sh", "\nx\n```"),
        ("| a |\n|---|\n|", "|"),
    ];
    for attack in &attacks {
        for (before, after) in around {
            let text = format!("{before}x{attack}y{after}\nz");
            for colour in [false, true] {
                let style = Style { width: Some(20), colour };
                let whole = shown(style, &text);
                assert_safe(&whole);
                assert!(colour || !whole.contains('\u{1b}'));
                assert_eq!(in_pieces(style, single_characters(&text)), whole, "{text:?}");
                for (cut, _) in text.char_indices() {
                    assert_eq!(in_pieces(style, [&text[..cut], &text[cut..]]), whole, "{text:?} cut at {cut}");
                }
            }
        }
    }
}

fn single_characters(text: &str) -> impl Iterator<Item = &str> {
    text.char_indices().map(|(at, character)| &text[at..at + character.len_utf8()])
}

/// Text made of what Markdown means something by.
fn marked_text() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        prop::sample::select(vec![
            "*",
            "**",
            "***",
            "_",
            "__",
            "~~",
            "`",
            "``",
            "```",
            "```rust\n",
            "~~~\n",
            "[",
            "](",
            ")",
            "![",
            "<",
            ">",
            "> ",
            "- ",
            "1. ",
            "10) ",
            "# ",
            "### ",
            "---",
            "|",
            " | ",
            "|---|:-:|\n",
            "| a | b |\n",
            "\n",
            "\n",
            "\n\n",
            " ",
            "  ",
            "    ",
            "\t",
            "\\",
            "\r",
            "\r\n",
            "\u{1b}[31m",
            "\u{9b}",
            "word",
            "日本",
            "👩‍👩‍👧",
            "é",
            "\u{301}",
            "https://x.y/a_b",
            "[x] ",
            "\"",
            "/*",
            "fn ",
            "1.5",
            "\u{200d}",
            "🇩🇪",
        ])
        .prop_map(str::to_owned),
        any::<char>().prop_map(String::from),
        "[ -~]{0,12}",
    ];
    prop::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat())
}

fn a_style() -> impl Strategy<Value = Style> {
    (prop::option::of(0_usize..60), any::<bool>()).prop_map(|(width, colour)| Style { width, colour })
}

proptest! {
    #[test]
    fn pieces_never_matter_and_only_our_escapes_are_written(
        text in marked_text(),
        style in a_style(),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..8),
    ) {
        let whole = shown(style, &text);
        assert_safe(&whole);
        prop_assert!(style.colour || !whole.contains('\x1b'));
        prop_assert!(whole.is_empty() || (whole.ends_with('\n') && !whole.ends_with("\n\n")));
        prop_assert_eq!(&in_pieces(style, single_characters(&text)), &whole);
        let ends: Vec<usize> = text.char_indices().map(|(at, _)| at).chain([text.len()]).collect();
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| *cut.get(&ends)).chain([0, text.len()]).collect();
        cuts.sort_unstable();
        prop_assert_eq!(&in_pieces(style, cuts.windows(2).map(|cut| &text[cut[0]..cut[1]])), &whole);
    }

    #[test]
    fn no_word_is_lost_and_no_line_is_too_wide(words in prop::collection::vec("[a-z日本語é]{1,14}", 1..40), width in 4_usize..50) {
        let text = words.join(" ");
        let whole = plain(width, &text);
        prop_assert_eq!(whole.replace(['\n', ' '], ""), text.replace(' ', ""));
        for line in whole.lines() {
            prop_assert!(columns(line) <= width, "{line:?}");
        }
    }
}
