//! Emphasis, code, links: text is held from an opening mark until its closing one, and no longer than that.

use std::collections::VecDeque;

use super::wrap::Wrap;
use crate::render::face::Face;

/// A mark still open after so many characters is taken as literal, so that text never stalls behind it.
const HELD_MAX: usize = 500;

/// The destination of a link may be longer than a phrase.
const DESTINATION_MAX: usize = 2_000;

/// Brackets inside an address; more are no address, and what is no address is read again.
const DESTINATION_DEPTH_MAX: usize = 8;

/// The inline state of one paragraph, heading or cell.
#[derive(Debug, Default)]
pub(super) struct Inline {
    reading: Reading,
    /// What stands behind the first open mark.
    held: VecDeque<Piece>,
    /// How many pieces have left `held`: an index that stays good while the front is released.
    released: usize,
    /// The open marks, as indices into `released + held`.
    open: Vec<usize>,
    /// Characters read, and the last of them.
    read: usize,
    previous: Option<char>,
    /// Inside a bare address marks are letters.
    address: Address,
}

/// What the next character is read as.
#[derive(Debug, Default)]
enum Reading {
    #[default]
    Text,
    Escape,
    /// `!`, perhaps of an image.
    Bang,
    Run {
        mark: char,
        count: usize,
        before: Option<char>,
    },
    Ticks(usize),
    Code {
        ticks: usize,
        closing: usize,
        text: String,
        since: usize,
    },
    /// After the `]` of a link's text.
    Bracket,
    Destination {
        text: String,
        depth: usize,
        title: bool,
    },
    /// After `<`.
    Angle(String),
}

#[derive(Debug)]
enum Piece {
    Text(String),
    Code(String),
    Open(Mark),
    Close(Face),
    Destination(String),
}

#[derive(Debug)]
struct Mark {
    literal: char,
    image: bool,
    count: usize,
    can_close: bool,
    /// The spans it opens, innermost first.
    spans: Vec<Face>,
    since: usize,
}

/// How much of `://` was just read, and whether it was read in this word.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Address {
    #[default]
    No,
    Colon,
    Slash,
    Yes,
}

impl Inline {
    /// The next character of the text, `\n` included.
    pub(super) fn feed(&mut self, character: char, out: &mut Wrap) {
        super::spend(1);
        // Most text is letters, which mean nothing here.
        if matches!(self.reading, Reading::Text) && (character.is_ascii_alphanumeric() || character == ' ') {
            self.literal(character, out);
            return self.settle(character, out);
        }
        match std::mem::take(&mut self.reading) {
            Reading::Text => self.plain(character, out),
            Reading::Escape => self.escaped(character, out),
            Reading::Bang if character == '[' => self.open_link(true),
            Reading::Bang => {
                self.literal('!', out);
                self.plain(character, out);
            }
            Reading::Run { mark, count, before } if character == mark => {
                self.reading = Reading::Run { mark, count: count + 1, before };
            }
            Reading::Run { mark, count, before } => {
                self.end_run(mark, count, before, Some(character), out);
                self.plain(character, out);
            }
            Reading::Ticks(ticks) if character == '`' => self.reading = Reading::Ticks(ticks + 1),
            Reading::Ticks(ticks) => {
                self.reading = Reading::Code { ticks, closing: 0, text: String::new(), since: self.read };
                self.feed_code(character, out);
                return;
            }
            code @ Reading::Code { .. } => {
                self.reading = code;
                self.feed_code(character, out);
                return;
            }
            Reading::Bracket if character == '(' && self.open_bracket().is_some() => {
                self.reading = Reading::Destination { text: String::new(), depth: 0, title: false };
            }
            Reading::Bracket => {
                self.fail_link();
                self.literal(']', out);
                self.plain(character, out);
            }
            Reading::Destination { text, depth, title } => self.destination(text, depth, title, character, out),
            Reading::Angle(text) => self.angle(text, character, out),
        }
        self.settle(character, out);
    }

    /// The end of the paragraph: what is still open was meant literally.
    pub(super) fn end(&mut self, out: &mut Wrap) {
        loop {
            match std::mem::take(&mut self.reading) {
                Reading::Text => break,
                Reading::Escape => self.literal('\\', out),
                Reading::Bang => self.literal('!', out),
                Reading::Run { mark, count, before } => self.end_run(mark, count, before, None, out),
                Reading::Ticks(ticks) => self.repeat('`', ticks, out),
                Reading::Code { ticks, closing, text, .. } if closing == ticks => self.close_code(&text, out),
                Reading::Code { ticks, closing, mut text, .. } => {
                    text.extend(std::iter::repeat_n('`', closing));
                    self.fail_code(ticks, &text, out);
                }
                Reading::Bracket => {
                    self.fail_link();
                    self.literal(']', out);
                }
                Reading::Destination { text, .. } => self.fail_destination(&text, out),
                Reading::Angle(text) => self.fail_angle(&text, out),
            }
        }
        self.open.clear();
        self.release(out);
        self.read = 0;
        self.previous = None;
        self.address = Address::No;
    }

    fn settle(&mut self, character: char, out: &mut Wrap) {
        self.read += 1;
        self.previous = Some(character);
        self.address = match (self.address, character) {
            (_, character) if character.is_whitespace() => Address::No,
            (Address::Yes, _) => Address::Yes,
            (_, ':') => Address::Colon,
            (Address::Colon, '/') => Address::Slash,
            (Address::Slash, '/') => Address::Yes,
            _ => Address::No,
        };
        let read = self.read;
        while let Some(first) = self.open.first().copied()
            && self.mark(first).is_some_and(|mark| read.saturating_sub(mark.since) > HELD_MAX)
            && !matches!(self.reading, Reading::Destination { .. })
        {
            self.open.remove(0);
            self.release(out);
        }
    }

    fn plain(&mut self, character: char, out: &mut Wrap) {
        match character {
            '\\' => self.reading = Reading::Escape,
            '!' => self.reading = Reading::Bang,
            '*' | '_' | '~' => {
                self.reading = Reading::Run { mark: character, count: 1, before: self.before() };
            }
            '`' => self.reading = Reading::Ticks(1),
            '[' => self.open_link(false),
            ']' if self.open_bracket().is_some() => self.reading = Reading::Bracket,
            '<' => self.reading = Reading::Angle(String::new()),
            other => self.literal(other, out),
        }
    }

    fn escaped(&mut self, character: char, out: &mut Wrap) {
        if !character.is_ascii_punctuation() && character != '\n' {
            self.literal('\\', out);
        }
        self.literal(character, out);
    }

    fn before(&self) -> Option<char> {
        if self.address == Address::Yes { Some('a') } else { self.previous }
    }

    /// `character` as text.
    fn literal(&mut self, character: char, out: &mut Wrap) {
        if self.held.is_empty() {
            out.character(Face::PLAIN, character);
        } else if let Some(Piece::Text(text)) = self.held.back_mut() {
            text.push(character);
        } else {
            self.held.push_back(Piece::Text(character.to_string()));
        }
    }

    fn repeat(&mut self, character: char, count: usize, out: &mut Wrap) {
        for _ in 0..count {
            self.literal(character, out);
        }
    }

    /// Reads `text` again, as what it is now that the mark before it means nothing.
    fn again(&mut self, text: &str, out: &mut Wrap) {
        for character in text.chars() {
            self.feed(character, out);
        }
    }

    // Emphasis: the flanking rules of CommonMark 0.31 section 6.2, `~~` like `**`.

    fn end_run(&mut self, mark: char, count: usize, before: Option<char>, after: Option<char>, out: &mut Wrap) {
        let space = |side: Option<char>| side.is_none_or(char::is_whitespace);
        let point = |side: Option<char>| side.is_some_and(is_punctuation);
        let left = !space(after) && (!point(after) || space(before) || point(before));
        let right = !space(before) && (!point(before) || space(after) || point(after));
        let (can_open, can_close) = match mark {
            '_' => (left && (!right || point(before)), right && (!left || point(after))),
            '~' => (left && count == 2, right && count == 2),
            _ => (left, right),
        };
        let mut rest = count;
        while can_close && rest > 0 {
            let Some(index) = self.opener(mark, rest, can_open) else { break };
            let width = if rest >= 2 && self.mark(index).is_some_and(|opener| opener.count >= 2) { 2 } else { 1 };
            self.close_at(index, mark, width);
            rest -= width;
        }
        if rest > 0 && can_open {
            self.push_mark(Mark {
                literal: mark,
                image: false,
                count: rest,
                can_close,
                spans: Vec::new(),
                since: self.read,
            });
        } else {
            self.repeat(mark, rest, out);
        }
        if self.open.is_empty() {
            self.release(out);
        }
    }

    /// The nearest open mark that `count` of `mark` can close.
    fn opener(&self, mark: char, count: usize, can_open: bool) -> Option<usize> {
        for index in self.open.iter().rev() {
            let opener = self.mark(*index)?;
            let thirds = (opener.count + count).is_multiple_of(3)
                && !(opener.count.is_multiple_of(3) && count.is_multiple_of(3));
            if opener.literal == mark && !((opener.can_close || can_open) && thirds) {
                return Some(*index);
            }
        }
        None
    }

    fn close_at(&mut self, index: usize, mark: char, width: usize) {
        let face = match (mark, width) {
            ('~', _) => Face::STRIKE,
            (_, 2) => Face::BOLD,
            _ => Face::ITALIC,
        };
        self.open.retain(|other| *other <= index);
        if let Some(opener) = self.mark_mut(index) {
            opener.count -= width;
            opener.spans.push(face);
            if opener.count == 0 {
                self.open.pop();
            }
        }
        self.held.push_back(Piece::Close(face));
    }

    // Code: nothing inside is a mark; a run of as many backticks ends it.

    fn feed_code(&mut self, character: char, out: &mut Wrap) {
        let Reading::Code { ticks, mut closing, mut text, since } = std::mem::take(&mut self.reading) else { return };
        if character == '`' {
            closing += 1;
        } else if closing == ticks {
            self.close_code(&text, out);
            self.previous = Some('`');
            self.plain(character, out);
            self.settle(character, out);
            return;
        } else {
            text.extend(std::iter::repeat_n('`', closing));
            text.push(character);
            closing = 0;
        }
        if self.read - since > HELD_MAX && closing != ticks {
            text.extend(std::iter::repeat_n('`', closing));
            self.fail_code(ticks, &text, out);
        } else {
            self.reading = Reading::Code { ticks, closing, text, since };
            self.settle(character, out);
        }
    }

    fn close_code(&mut self, text: &str, out: &mut Wrap) {
        let inner = text.strip_prefix(' ').and_then(|rest| rest.strip_suffix(' '));
        let shown = inner.filter(|inner| !inner.trim().is_empty()).unwrap_or(text);
        self.held.push_back(Piece::Code(shown.to_owned()));
        if self.open.is_empty() {
            self.release(out);
        }
    }

    fn fail_code(&mut self, ticks: usize, text: &str, out: &mut Wrap) {
        self.repeat('`', ticks, out);
        self.previous = Some('`');
        self.again(text, out);
    }

    // Links: `[text](destination "title")`, shown as `text (destination)`.

    fn open_link(&mut self, image: bool) {
        let since = self.read;
        self.push_mark(Mark { literal: '[', image, count: 1, can_close: false, spans: Vec::new(), since });
    }

    fn open_bracket(&self) -> Option<usize> {
        self.open.iter().rev().copied().find(|index| self.mark(*index).is_some_and(|mark| mark.literal == '['))
    }

    fn fail_link(&mut self) {
        if let Some(index) = self.open_bracket() {
            self.open.retain(|other| *other != index);
        }
    }

    fn destination(&mut self, mut text: String, mut depth: usize, mut title: bool, character: char, out: &mut Wrap) {
        match character {
            ')' if depth == 0 => {
                match address_of(&text) {
                    Some(address) => self.close_link(address.to_owned(), out),
                    None => {
                        self.fail_destination(&text, out);
                        self.feed(character, out);
                    }
                }
                return;
            }
            '(' => depth += 1,
            ')' => depth -= 1,
            _ => {}
        }
        let starts_title = !title && text.ends_with(' ') && !text.trim().is_empty() && character != ' ';
        title |= starts_title;
        let wrong = starts_title && !matches!(character, '"' | '\'' | '(');
        text.push(character);
        if wrong || character == '\n' || depth > DESTINATION_DEPTH_MAX || text.len() > DESTINATION_MAX {
            self.fail_destination(&text, out);
        } else {
            self.reading = Reading::Destination { text, depth, title };
        }
    }

    fn close_link(&mut self, address: String, out: &mut Wrap) {
        let Some(index) = self.open_bracket() else { return };
        self.open.retain(|other| *other < index);
        let start = index - self.released;
        let text: String = self.held.range(start..).filter_map(Piece::shown).collect();
        if let Some(mark) = self.mark_mut(index) {
            mark.count = 0;
            mark.spans.push(Face::UNDERLINE);
        }
        self.held.push_back(Piece::Close(Face::UNDERLINE));
        if text.is_empty() || text.trim() != address.strip_prefix("mailto:").unwrap_or(&address) {
            self.held.push_back(Piece::Destination(address));
        }
        if self.open.is_empty() {
            self.release(out);
        }
    }

    fn fail_destination(&mut self, text: &str, out: &mut Wrap) {
        self.fail_link();
        self.literal(']', out);
        self.literal('(', out);
        self.release(out);
        self.previous = Some('(');
        self.again(text, out);
    }

    // Autolinks: `<https://…>`, `<name@host>`. Any other `<` is text.

    fn angle(&mut self, mut text: String, character: char, out: &mut Wrap) {
        if character == '>' && is_autolink(&text) {
            self.held.push_back(Piece::Open(Mark {
                literal: '<',
                image: false,
                count: 0,
                can_close: false,
                spans: vec![Face::UNDERLINE],
                since: self.read,
            }));
            self.held.push_back(Piece::Text(text));
            self.held.push_back(Piece::Close(Face::UNDERLINE));
            if self.open.is_empty() {
                self.release(out);
            }
        } else if character.is_whitespace() || "<>`*[]\\".contains(character) || text.len() > DESTINATION_MAX {
            self.fail_angle(&text, out);
            // What was read again may have ended inside a mark.
            self.feed(character, out);
        } else {
            text.push(character);
            self.reading = Reading::Angle(text);
        }
    }

    fn fail_angle(&mut self, text: &str, out: &mut Wrap) {
        self.literal('<', out);
        self.previous = Some('<');
        self.again(text, out);
    }

    fn push_mark(&mut self, mark: Mark) {
        self.open.push(self.released + self.held.len());
        self.held.push_back(Piece::Open(mark));
    }

    fn mark(&self, index: usize) -> Option<&Mark> {
        match self.held.get(index.checked_sub(self.released)?) {
            Some(Piece::Open(mark)) => Some(mark),
            _ => None,
        }
    }

    fn mark_mut(&mut self, index: usize) -> Option<&mut Mark> {
        match self.held.get_mut(index.checked_sub(self.released)?) {
            Some(Piece::Open(mark)) => Some(mark),
            _ => None,
        }
    }

    /// Lays out what stands before the first open mark.
    fn release(&mut self, out: &mut Wrap) {
        let until = self.open.first().map_or(self.held.len(), |first| first - self.released);
        let mut spans: Vec<Face> = Vec::new();
        for piece in self.held.drain(..until) {
            let face = spans.iter().fold(Face::PLAIN, |face, span| face | *span);
            match piece {
                Piece::Text(text) => out.text(face, &text),
                Piece::Code(text) if out.colour() => out.text(face | Face::CODE, &text),
                // Without colour the ticks say that it is code.
                Piece::Code(text) => {
                    out.text(face, "`");
                    out.text(face, &text);
                    out.text(face, "`");
                }
                Piece::Open(mark) => {
                    if mark.image && mark.count > 0 {
                        out.character(face, '!');
                    }
                    for _ in 0..mark.count {
                        out.character(face, mark.literal);
                    }
                    for span in mark.spans.into_iter().rev() {
                        strike_marks(span, out);
                        spans.push(span);
                    }
                }
                Piece::Close(span) => {
                    strike_marks(span, out);
                    spans.pop();
                }
                Piece::Destination(address) => {
                    out.text(face | Face::DIM, " (");
                    out.text(face | Face::DIM, &address);
                    out.text(face | Face::DIM, ")");
                }
            }
        }
        self.released += until;
    }
}

impl Piece {
    fn shown(&self) -> Option<&str> {
        match self {
            Piece::Text(text) | Piece::Code(text) => Some(text),
            Piece::Open(_) | Piece::Close(_) | Piece::Destination(_) => None,
        }
    }
}

/// What is struck out means the opposite: without colour the tildes stay.
fn strike_marks(span: Face, out: &mut Wrap) {
    if span == Face::STRIKE && !out.colour() {
        out.text(Face::PLAIN, "~~");
    }
}

fn is_punctuation(character: char) -> bool {
    if character.is_ascii() {
        return character.is_ascii_punctuation();
    }
    // General punctuation, CJK punctuation and full-width forms: enough for quotes, dashes and brackets.
    matches!(u32::from(character), 0xA1..=0xBF | 0x2010..=0x205E | 0x3001..=0x3020 | 0xFF01..=0xFF0F | 0xFF1A..=0xFF20)
}

/// The address in `(address "title")`, or none if this is no link.
fn address_of(destination: &str) -> Option<&str> {
    let trimmed = destination.trim();
    if let Some(inner) = trimmed.strip_prefix('<') {
        return inner.split_once('>').map(|(address, _)| address);
    }
    match trimmed.split_once(char::is_whitespace) {
        None => Some(trimmed),
        Some((address, title)) => title.trim_start().starts_with(['"', '\'', '(']).then_some(address),
    }
}

fn is_autolink(text: &str) -> bool {
    let scheme = text.split_once(':').is_some_and(|(scheme, rest)| {
        scheme.len() >= 2
            && !rest.is_empty()
            && scheme.starts_with(|first: char| first.is_ascii_alphabetic())
            && scheme.chars().all(|letter| letter.is_ascii_alphanumeric() || "+.-".contains(letter))
    });
    scheme || text.split_once('@').is_some_and(|(name, host)| !name.is_empty() && host.contains('.'))
}
