//! Lines on a screen: how wide a text is, where it may break, how it is filled up.

use std::borrow::Cow;
use std::ops::Range;

/// Spaces between two columns.
pub(super) const GAP: usize = 2;

use unicode_segmentation::UnicodeSegmentation as _;
use unicode_width::UnicodeWidthStr as _;

use crate::render::face::{Face, RESET, change};
use crate::render::markdown::{Markdown, Style};

/// Columns from one tab stop to the next; a terminal's eight would empty a narrow column.
const TAB: usize = 4;

/// Columns of a text, our own colours not counted.
pub(in crate::render) fn columns(text: &str) -> usize {
    if text.is_ascii() && !text.contains('\u{1b}') {
        return text.len();
    }
    pieces(text).filter(|piece| !is_colour(piece)).map(str::width).sum()
}

/// `text` and as many spaces as it needs to be this wide.
pub(in crate::render) fn filled(text: &str, width: usize) -> String {
    format!("{text}{}", " ".repeat(width.saturating_sub(columns(text))))
}

/// The same with the spaces before it.
pub(in crate::render) fn to_the_right(text: &str, width: usize) -> String {
    format!("{}{text}", " ".repeat(width.saturating_sub(columns(text))))
}

/// `text` in a face, where there is colour.
pub(in crate::render) fn painted(text: &str, face: Face, colour: bool) -> String {
    let mut painted = String::new();
    if colour {
        change(Face::PLAIN, face, &mut painted);
        change(face, Face::PLAIN, &mut painted);
        let end = painted.len() - RESET.len();
        painted.insert_str(end, text);
        painted
    } else {
        text.to_owned()
    }
}

/// Lines of a text that holds no controls but line breaks and tabs: as Markdown, or with words marked as it is.
pub(super) fn lines(text: &str, marks: Option<&[Range<usize>]>, width: Option<usize>, colour: bool) -> Vec<String> {
    let laid = match marks {
        Some(marks) => marked(text, marks, colour),
        None => {
            let mut markdown = Markdown::new(Style { width, colour });
            let mut laid = markdown.push(text);
            laid.push_str(&markdown.finish());
            laid
        }
    };
    laid.lines().flat_map(|line| folded(line, width)).collect()
}

/// A text with marks around the words in these ranges: colour, or `{+word+}` as `git diff --word-diff` has it.
pub(super) fn marked(text: &str, marks: &[Range<usize>], colour: bool) -> String {
    let mut joined: Vec<Range<usize>> = Vec::new();
    for mark in marks {
        match joined.last_mut() {
            Some(last) if text[last.end..mark.start].chars().all(|between| between == ' ') => last.end = mark.end,
            _ => joined.push(mark.clone()),
        }
    }
    let mut out = String::with_capacity(text.len() + 8 * joined.len());
    let mut at = 0;
    for mark in joined {
        out.push_str(&text[at..mark.start]);
        let words = &text[mark.clone()];
        out.push_str(&if colour { painted(words, Face::ADDED, true) } else { format!("{{+{words}+}}") });
        at = mark.end;
    }
    out.push_str(&text[at..]);
    out
}

/// One line broken so that each part fits: at spaces, beside wide characters, and within a word that is wider than all.
/// Colours go on behind a break. At least one line, perhaps empty.
pub(in crate::render) fn folded(line: &str, width: Option<usize>) -> Vec<String> {
    let line = without_tabs(line);
    let Some(width) = width.map(|width| width.max(1)).filter(|width| columns(&line) > *width) else {
        return vec![line.into_owned()];
    };
    let mut fold = Fold::default();
    for piece in pieces(&line) {
        fold.take(piece, width);
    }
    fold.end()
}

fn without_tabs(line: &str) -> Cow<'_, str> {
    if !line.contains('\t') {
        return Cow::Borrowed(line);
    }
    let mut out = String::with_capacity(line.len() + TAB);
    for (at, part) in line.split('\t').enumerate() {
        if at > 0 {
            out.push_str(&" ".repeat(TAB - columns(&out) % TAB));
        }
        out.push_str(part);
    }
    Cow::Owned(out)
}

/// A line on its way to several.
#[derive(Default)]
struct Fold {
    done: Vec<String>,
    line: String,
    columns: usize,
    /// Something but spaces stands on the line.
    content: bool,
    colour: String,
    /// The last place where the line may end: bytes and columns before it, and the colour there.
    place: Option<(usize, usize, String)>,
    last_wide: bool,
    /// The line began behind a space.
    broken: bool,
}

impl Fold {
    fn take(&mut self, piece: &str, width: usize) {
        if is_colour(piece) {
            self.line.push_str(piece);
            self.colour = if piece == RESET { String::new() } else { format!("{}{piece}", self.colour) };
            return;
        }
        let wide = piece.width();
        let space = piece == " ";
        if space && self.broken {
            return;
        }
        self.broken = false;
        if self.content && !space && (wide > 1 || self.last_wide) {
            self.mark();
        }
        while self.columns + wide > width && self.columns > 0 {
            if space {
                // It is the break, and so are those that follow it.
                self.mark();
                self.split();
                self.broken = true;
                return;
            }
            if self.place.is_none() {
                self.mark();
            }
            self.split();
        }
        self.line.push_str(piece);
        self.columns += wide;
        self.content |= !space;
        self.last_wide = wide > 1;
        if space && self.content {
            self.mark();
        }
    }

    fn mark(&mut self) {
        self.place = Some((self.line.len(), self.columns, self.colour.clone()));
    }

    fn split(&mut self) {
        let Some((bytes, columns, colour)) = self.place.take() else { return };
        let rest = self.line.split_off(bytes);
        let ended = std::mem::replace(&mut self.line, format!("{colour}{rest}"));
        let close = if colour.is_empty() { "" } else { RESET };
        self.done.push(format!("{}{close}", ended.trim_end_matches(' ')));
        self.columns -= columns;
        self.content = self.columns > 0;
        self.last_wide = false;
    }

    fn end(mut self) -> Vec<String> {
        if self.columns > 0 || self.done.is_empty() {
            self.done.push(self.line);
        }
        self.done
    }
}

/// Graphemes, and our own colour sequences as a piece each.
fn pieces(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let length = if rest.starts_with("\u{1b}[") { rest.find('m')? + 1 } else { rest.graphemes(true).next()?.len() };
        let (piece, after) = rest.split_at(length);
        rest = after;
        Some(piece)
    })
}

fn is_colour(piece: &str) -> bool {
    piece.starts_with('\u{1b}')
}

/// Items two spaces apart, as many on a line as have room; one that is wider than a line breaks at its spaces only.
pub(super) fn packed(items: &[String], width: usize) -> String {
    let words = items.iter().flat_map(|item| {
        if columns(item) + GAP > width { item.split(' ').map(str::to_owned).collect() } else { vec![item.clone()] }
    });
    let mut text = String::new();
    let mut used = 0;
    for item in words {
        let wide = columns(&item) + GAP;
        if used > 0 && used + wide > width {
            text.push('\n');
            used = 0;
        }
        // What has no room indented stands at the edge.
        let indent = if wide > width { "" } else { "  " };
        text.push_str(&format!("{indent}{item}"));
        used += wide;
    }
    text.push('\n');
    text
}

#[cfg(test)]
mod tests {
    use super::{columns, folded, lines, marked};

    fn fold(text: &str, width: usize) -> Vec<String> {
        folded(text, Some(width))
    }

    #[test]
    fn a_line_breaks_at_spaces_and_a_long_word_where_it_must() {
        assert_eq!(fold("use a hash index", 7), ["use a", "hash", "index"]);
        assert_eq!(fold("abcdefghij", 4), ["abcd", "efgh", "ij"]);
        assert_eq!(fold("ab cdefghij", 5), ["ab", "cdefg", "hij"]);
        assert_eq!(fold("  if x then", 6), ["  if x", "then"]);
        assert_eq!(fold("", 4), [""]);
        assert_eq!(fold("abcd  ef", 4), ["abcd", "ef"]);
    }

    #[test]
    fn wide_characters_and_emoji_take_two_columns_and_are_never_cut() {
        assert_eq!(fold("日本語テキスト", 5), ["日本", "語テ", "キス", "ト"]);
        assert_eq!(columns("👩‍👩‍👧"), 2);
        assert_eq!(fold("ab👩‍👩‍👧cd", 3), ["ab", "👩‍👩‍👧", "cd"]);
        assert_eq!(fold("日", 1), ["日"]);
    }

    #[test]
    fn a_tab_goes_to_the_next_stop() {
        assert_eq!(fold("a\tb\t日\tc", 40), ["a   b   日  c"]);
    }

    #[test]
    fn a_colour_ends_with_the_line_and_goes_on_with_the_next() {
        assert_eq!(fold("\u{1b}[92mone two\u{1b}[0m", 4), ["\u{1b}[92mone\u{1b}[0m", "\u{1b}[92mtwo\u{1b}[0m"]);
        assert_eq!(columns("\u{1b}[92mone\u{1b}[0m"), 3);
    }

    #[test]
    fn marked_words_that_follow_one_another_are_one_mark() {
        assert_eq!(marked("a big tree, here", &[2..5, 6..10, 12..16], false), "a {+big tree+}, {+here+}");
        assert_eq!(
            lines("one two", Some(std::slice::from_ref(&(4..7))), Some(4), true),
            ["one", "\u{1b}[92mtwo\u{1b}[0m"]
        );
    }
}
