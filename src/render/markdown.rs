//! Markdown as it streams: each word is written once, when it is known how it looks, and never taken back.
//!
//! Own code, because of "as it streams": pulldown-cmark 0.13 parses a whole document, and what it says of the last
//! block changes with each further character; a paragraph would wait for its end. It could serve the cells of tables
//! alone, and would make a second notion of emphasis there. Departures from CommonMark, all because a terminal shows
//! lines and a model means them: a line break in a paragraph stays one, `===` and `---` under a text are no headings,
//! a table needs its leading `|`, a mark still open after 500 characters is literal.

mod inline;
mod table;
#[cfg(test)]
mod tests;
mod wrap;

use self::inline::Inline;
use self::table::Table;
use self::wrap::Wrap;
use super::face::Face;
use super::highlight::Highlighter;
use crate::domain::untrusted::visible;

/// Work done, in steps, which a test counts.
#[cfg(test)]
use self::tests::spend;
#[cfg(not(test))]
const fn spend(_steps: usize) {}

/// How a text is to be shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Style {
    /// Columns of the screen; `None` wraps nothing.
    pub width: Option<usize>,
    /// Whether escape sequences (SGR only, of a fixed set) may be used. Without, headings keep their `#`, code its
    /// backticks and struck text its tildes.
    pub colour: bool,
}

/// One text on its way to the screen.
///
/// The pieces given to [`push`](Markdown::push) are text from outside; what comes back has no control characters but
/// `\n`, `\t` and our own colours, and does not depend on how the text was cut into pieces.
#[derive(Debug)]
pub struct Markdown {
    out: Wrap,
    inline: Inline,
    /// Quotes and list items around what is being read, outermost first.
    around: Vec<Container>,
    block: Block,
    line: Line,
    /// A `\r` at the end of a piece: alone it is shown, before `\n` it is nothing.
    carriage: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Container {
    Quote,
    /// `at`: columns before its marker; `content`: columns before its text; `shown`: those its text has on the screen.
    Item {
        at: usize,
        content: usize,
        shown: usize,
    },
}

/// The block that is open.
#[derive(Debug, Default)]
enum Block {
    #[default]
    None,
    Paragraph,
    Fenced {
        mark: char,
        count: usize,
        indent: usize,
        code: Code,
    },
    Indented(Code),
    /// A line with `|` that may turn out to be a table's head.
    Head(String),
    Table(Table),
}

/// How much of the current line is understood.
#[derive(Debug)]
enum Line {
    /// Its start, until it is clear what it is.
    Start(String),
    /// All of it is needed: code, headings, rules, rows.
    Whole(String),
    /// Its text goes straight on.
    Text,
}

/// What a line was found to be.
#[derive(Debug)]
struct Found {
    /// How many of the containers around go on.
    goes_on: usize,
    /// The containers it opens, with the marker each shows.
    opens: Vec<(Container, Option<String>)>,
    kind: Kind,
    /// Where its content starts, in bytes and columns, and the columns of space that a cut tab leaves before it.
    content: usize,
    column: usize,
    spare: usize,
}

#[derive(Debug, PartialEq, Eq)]
enum Kind {
    Blank,
    Text,
    Heading(usize),
    Rule,
    Fence { mark: char, count: usize, indent: usize },
    Indented,
    Row,
}

enum Sight {
    Unsure,
    NeedsAll,
    Found(Found),
}

/// A start of more bytes is read as a whole line: looking again at each character stays cheap.
const START_BYTES_MAX: usize = 100;

const CONTAINERS_MAX: usize = 16;

/// Code stands in by as much, so that it is seen to be code without colour.
const CODE_INDENT: &str = "  ";

const RULE_COLUMNS: usize = 40;

impl Markdown {
    #[must_use]
    pub fn new(style: Style) -> Markdown {
        Markdown {
            out: Wrap::new(style.width, style.colour),
            inline: Inline::default(),
            around: Vec::new(),
            block: Block::None,
            line: Line::Start(String::new()),
            carriage: false,
        }
    }

    /// Takes the next piece of the text; returns what to write now.
    #[must_use = "what was laid out must be written"]
    pub fn push(&mut self, piece: &str) -> String {
        let whole;
        let mut piece = piece;
        if self.carriage && !piece.is_empty() {
            whole = format!("\r{piece}");
            piece = &whole;
            self.carriage = false;
        }
        if let Some(before) = piece.strip_suffix('\r') {
            self.carriage = true;
            piece = before;
        }
        self.read(&visible(piece));
        self.out.take()
    }

    /// The text has ended: returns the rest, closed by one newline, the colours as they were before.
    #[must_use = "what was laid out must be written"]
    pub fn finish(&mut self) -> String {
        if std::mem::take(&mut self.carriage) {
            self.read(&visible("\r"));
        }
        match std::mem::replace(&mut self.line, Line::Start(String::new())) {
            Line::Start(line) | Line::Whole(line) if !line.is_empty() => self.whole_line(&line),
            Line::Start(_) | Line::Whole(_) | Line::Text => {}
        }
        self.close_block();
        self.around.clear();
        self.out.end_line();
        self.out.take()
    }

    fn read(&mut self, text: &str) {
        for character in text.chars() {
            self.character(character);
        }
    }

    fn character(&mut self, character: char) {
        match (&mut self.line, character) {
            (Line::Text, '\n') => {
                self.inline.feed('\n', &mut self.out);
                self.next_line();
            }
            (Line::Text, _) => self.inline.feed(character, &mut self.out),
            (Line::Start(line) | Line::Whole(line), '\n') => {
                let line = std::mem::take(line);
                self.whole_line(&line);
                self.next_line();
            }
            (Line::Whole(line), _) => line.push(character),
            (Line::Start(line), _) => {
                line.push(character);
                let line = std::mem::take(line);
                self.line_start(line);
            }
        }
    }

    fn next_line(&mut self) {
        self.line = match self.block {
            Block::None | Block::Paragraph => Line::Start(String::new()),
            Block::Fenced { .. } | Block::Indented(_) | Block::Head(_) | Block::Table(_) => Line::Whole(String::new()),
        };
    }

    fn line_start(&mut self, line: String) {
        match self.look(&line, false) {
            Sight::Unsure if line.len() < START_BYTES_MAX => self.line = Line::Start(line),
            Sight::Unsure | Sight::NeedsAll => self.line = Line::Whole(line),
            Sight::Found(found) => {
                self.line = Line::Text;
                self.show(&found, &line);
            }
        }
    }

    fn whole_line(&mut self, line: &str) {
        if self.in_code(line) {
            return;
        }
        let Sight::Found(found) = self.look(line, true) else { return };
        match std::mem::take(&mut self.block) {
            Block::Head(head) => {
                let opened = if found.goes_on == self.around.len() && found.opens.is_empty() {
                    Table::open(&head, rest(line, found.content))
                } else {
                    None
                };
                if let Some(table) = opened {
                    self.block = Block::Table(table);
                    return;
                }
                self.show_head(&head);
            }
            Block::Table(mut table) => {
                let same = found.goes_on == self.around.len() && found.opens.is_empty();
                if same && matches!(found.kind, Kind::Row | Kind::Text) && line.contains('|') {
                    table.push(rest(line, found.content));
                    self.block = Block::Table(table);
                    return;
                }
                table.show(&mut self.out);
            }
            other => self.block = other,
        }
        // The block may have been closed: a line means other things after a paragraph than after none.
        let Sight::Found(found) = self.look(line, true) else { return };
        self.show(&found, line);
        if found.kind == Kind::Text {
            self.inline.feed('\n', &mut self.out);
        }
    }

    fn block_is_text(&self) -> bool {
        matches!(self.block, Block::Paragraph)
    }

    /// A line inside code; false if the code has ended before it.
    fn in_code(&mut self, line: &str) -> bool {
        let mut cursor = Cursor::new(line);
        match &mut self.block {
            Block::Fenced { mark, count, indent, code } => {
                // Models forget the indent of an item; only its fence ends code there.
                let in_item = |container: &Container| matches!(container, Container::Item { .. });
                if !self.around.iter().all(|container| cursor.enter(container) || in_item(container)) {
                    self.block = Block::None;
                    return false;
                }
                let body = cursor.body().trim_end();
                if cursor.indent() < 4 && body.len() >= *count && body.chars().all(|character| character == *mark) {
                    self.block = Block::None;
                } else {
                    cursor.skip(*indent);
                    code.line(&cursor.text(), &mut self.out);
                }
                true
            }
            Block::Indented(code) => {
                let inside = self.around.iter().all(|container| cursor.enter(container));
                if inside && (cursor.indent() >= 4 || cursor.is_blank()) {
                    cursor.skip(4);
                    code.line(&cursor.text(), &mut self.out);
                    return true;
                }
                if code.blank_lines > 0 {
                    self.out.owe_gap(&prefix(&self.around));
                }
                self.block = Block::None;
                false
            }
            Block::None | Block::Paragraph | Block::Head(_) | Block::Table(_) => false,
        }
    }

    /// What `line` is, as far as it can be said; all of it is there if `complete`.
    fn look(&self, line: &str, complete: bool) -> Sight {
        spend(line.len());
        let mut cursor = Cursor::new(line);
        let mut goes_on = 0;
        for container in &self.around {
            if cursor.is_blank() && !complete {
                return Sight::Unsure;
            }
            if !cursor.clone().enter(container) {
                break;
            }
            cursor.enter(container);
            goes_on += 1;
        }
        let paragraph = matches!(self.block, Block::Paragraph);
        let mut opens: Vec<(Container, Option<String>)> = Vec::new();
        loop {
            let indent = cursor.indent();
            let body = cursor.body();
            let found = |kind, goes_on, opens, cursor: &Cursor<'_>| {
                Sight::Found(Found {
                    goes_on,
                    opens,
                    kind,
                    content: cursor.at,
                    column: cursor.column,
                    spare: cursor.spare,
                })
            };
            if body.is_empty() {
                return if complete { found(Kind::Blank, goes_on, opens, &cursor) } else { Sight::Unsure };
            }
            let continues = paragraph && opens.is_empty();
            let nests = continues && goes_on > 0 && starts_item(body);
            if indent >= 4 && !nests && !continues {
                return if complete { found(Kind::Indented, goes_on, opens, &cursor) } else { Sight::NeedsAll };
            }
            let kind = if indent >= 4 && !nests { Some(Kind::Text) } else { leaf(body, indent, complete) };
            match kind {
                None if complete => {}
                None => match undecided(body) {
                    Undecided::Unsure => return Sight::Unsure,
                    Undecided::All => return Sight::NeedsAll,
                    Undecided::No => {}
                },
                Some(Kind::Text) => {
                    // A lazy line: the paragraph goes on although its containers' marks are missing.
                    let goes_on = if continues { self.around.len() } else { goes_on };
                    return found(Kind::Text, goes_on, opens, &cursor);
                }
                Some(kind) => return found(kind, goes_on, opens, &cursor),
            }
            if self.around.len().min(goes_on) + opens.len() >= CONTAINERS_MAX {
                return found(Kind::Text, goes_on, opens, &cursor);
            }
            if body.starts_with('>') {
                cursor.enter(&Container::Quote);
                opens.push((Container::Quote, None));
                continue;
            }
            match item(body, complete) {
                Item::Unsure => return Sight::Unsure,
                Item::No => {
                    let goes_on = if continues { self.around.len() } else { goes_on };
                    return found(Kind::Text, goes_on, opens, &cursor);
                }
                Item::Yes { marker, shown, empty, one } => {
                    let sibling = goes_on < self.around.len();
                    if continues && !sibling && (empty || !one) {
                        return found(Kind::Text, goes_on, opens, &cursor);
                    }
                    cursor.skip(indent);
                    cursor.take(marker);
                    let after = cursor.indent();
                    if cursor.body().is_empty() && !complete {
                        return Sight::Unsure;
                    }
                    let spaces = if cursor.body().is_empty() || after > 4 { 1 } else { after };
                    cursor.skip(spaces);
                    let mut shown = shown;
                    match task(cursor.body(), complete) {
                        Task::Unsure => return Sight::Unsure,
                        Task::No => {}
                        Task::Yes(box_shown) => {
                            cursor.take(3);
                            cursor.skip(1);
                            shown = if marker == 1 { box_shown.to_owned() } else { format!("{shown} {box_shown}") };
                        }
                    }
                    let item = Container::Item {
                        at: indent,
                        content: indent + marker + spaces,
                        shown: shown.chars().count() + 1,
                    };
                    opens.push((item, Some(shown)));
                }
            }
        }
    }

    fn show(&mut self, found: &Found, line: &str) {
        if found.kind == Kind::Blank && found.opens.is_empty() {
            self.close_block();
            self.around.truncate(found.goes_on);
            self.out.owe_gap(&prefix(&self.around));
            return;
        }
        let same = found.goes_on == self.around.len() && found.opens.is_empty() && found.kind == Kind::Text;
        if !(same && self.block_is_text()) {
            self.close_block();
        }
        self.around.truncate(found.goes_on);
        self.out.set_prefix(&prefix(&self.around));
        for (container, shown) in &found.opens {
            if let Some(marker) = shown {
                self.out.marker(marker);
            }
            self.around.push(container.clone());
            self.out.set_prefix(&prefix(&self.around));
        }
        let content = rest(line, found.content);
        match found.kind {
            Kind::Blank => self.out.end_line(),
            Kind::Text => {
                self.block = Block::Paragraph;
                for character in content.chars() {
                    self.inline.feed(character, &mut self.out);
                }
            }
            Kind::Heading(level) => {
                if found.opens.is_empty() {
                    self.out.owe_gap(&prefix(&self.around));
                }
                self.heading(level, content);
            }
            Kind::Rule => {
                let rule = "─".repeat(self.out.room().unwrap_or(RULE_COLUMNS));
                self.out.verbatim(&[(Face::DIM, &rule)]);
            }
            Kind::Fence { mark, count, indent } => {
                let colour = self.out.colour();
                let code = if colour { Highlighter::of(&content[count..]) } else { Highlighter::none() };
                self.block = Block::Fenced { mark, count, indent, code: Code::new(code) };
            }
            Kind::Indented => {
                let mut cursor = Cursor { line, at: found.content, column: found.column, spare: found.spare };
                cursor.skip(4);
                let mut code = Code::new(Highlighter::none());
                code.line(&cursor.text(), &mut self.out);
                self.block = Block::Indented(code);
            }
            Kind::Row => self.block = Block::Head(content.to_owned()),
        }
    }

    fn heading(&mut self, level: usize, content: &str) {
        let text = content[level..].trim();
        let opened = text.trim_end_matches('#');
        let text = if opened.is_empty() || opened.ends_with(' ') { opened.trim_end() } else { text };
        let marks = "#".repeat(level);
        if self.out.colour() {
            self.out.set_base(if level == 1 { Face::BOLD | Face::UNDERLINE } else { Face::BOLD });
        } else {
            self.out.text(Face::PLAIN, &marks);
            self.out.text(Face::PLAIN, " ");
        }
        for character in text.chars() {
            self.inline.feed(character, &mut self.out);
        }
        self.inline.end(&mut self.out);
        self.out.end_line();
        self.out.set_base(Face::PLAIN);
    }

    /// What looked like a table's head is text.
    fn show_head(&mut self, head: &str) {
        for character in head.chars().chain(['\n']) {
            self.inline.feed(character, &mut self.out);
        }
        self.block = Block::Paragraph;
    }

    fn close_block(&mut self) {
        match std::mem::take(&mut self.block) {
            Block::Paragraph => {
                self.inline.end(&mut self.out);
                self.out.end_line();
            }
            Block::Head(head) => {
                self.show_head(&head);
                self.close_block();
            }
            Block::Table(table) => table.show(&mut self.out),
            Block::None | Block::Fenced { .. } | Block::Indented(_) => {}
        }
    }
}

fn rest(line: &str, content: usize) -> &str {
    line[content..].trim_start_matches([' ', '\t'])
}

/// Lines of code. Blank ones wait for the next that is not: those at the end are not shown.
#[derive(Debug)]
struct Code {
    highlighter: Highlighter,
    blank_lines: usize,
}

impl Code {
    fn new(highlighter: Highlighter) -> Code {
        Code { highlighter, blank_lines: 0 }
    }

    fn line(&mut self, line: &str, out: &mut Wrap) {
        if line.trim().is_empty() {
            self.highlighter.line(line);
            self.blank_lines += 1;
            return;
        }
        for _ in 0..std::mem::take(&mut self.blank_lines) {
            out.verbatim(&[]);
        }
        let mut runs = vec![(Face::PLAIN, CODE_INDENT)];
        runs.extend(self.highlighter.line(line));
        out.verbatim(&runs);
    }
}

/// What stands before each line inside these containers.
fn prefix(around: &[Container]) -> String {
    let mut prefix = String::new();
    for container in around {
        match container {
            Container::Quote => prefix.push_str("│ "),
            Container::Item { shown, .. } => prefix.extend(std::iter::repeat_n(' ', *shown)),
        }
    }
    prefix
}

/// What `body` is, if it opens no container; `None` if it may open one, or more of it is needed.
fn leaf(body: &str, indent: usize, complete: bool) -> Option<Kind> {
    let first = body.chars().next()?;
    let count = body.chars().take_while(|character| *character == first).count();
    match first {
        '#' if count <= 6 => {
            let after = body[count..].chars().next();
            match after {
                None if !complete => None,
                Some(character) if !matches!(character, ' ' | '\t') => Some(Kind::Text),
                _ if complete => Some(Kind::Heading(count)),
                _ => None,
            }
        }
        '`' | '~' if count >= 3 => {
            if !complete {
                return None;
            }
            let inline = first == '`' && body[count..].contains('`');
            Some(if inline { Kind::Text } else { Kind::Fence { mark: first, count, indent } })
        }
        '`' | '~' => {
            if count == body.len() && !complete {
                None
            } else {
                Some(Kind::Text)
            }
        }
        '|' => complete.then_some(Kind::Row),
        '-' | '*' | '_' if is_rule(body) && complete => Some(Kind::Rule),
        '_' => {
            if only_marks(body) && !complete {
                None
            } else {
                Some(Kind::Text)
            }
        }
        '-' | '*' | '+' | '>' | '0'..='9' => None,
        _ => Some(Kind::Text),
    }
}

enum Undecided {
    Unsure,
    All,
    No,
}

/// What an unfinished line waits for, once [`leaf`] cannot say.
fn undecided(body: &str) -> Undecided {
    match body.chars().next() {
        Some('#') if body.contains([' ', '\t']) => Undecided::All,
        Some('|') => Undecided::All,
        Some('`' | '~') if body.len() >= 3 => Undecided::All,
        Some('#' | '`' | '~' | '_') => Undecided::Unsure,
        Some('-' | '*') if only_marks(body) => Undecided::Unsure,
        _ => Undecided::No,
    }
}

fn only_marks(body: &str) -> bool {
    let first = body.chars().next();
    body.chars().all(|character| Some(character) == first || matches!(character, ' ' | '\t'))
}

fn is_rule(body: &str) -> bool {
    only_marks(body) && body.chars().filter(|character| !matches!(character, ' ' | '\t')).count() >= 3
}

enum Item {
    Unsure,
    No,
    /// `marker` in bytes; `one` if it may interrupt a paragraph.
    Yes {
        marker: usize,
        shown: String,
        empty: bool,
        one: bool,
    },
}

fn item(body: &str, complete: bool) -> Item {
    let digits = body.bytes().take_while(u8::is_ascii_digit).count();
    let marker = match body.as_bytes().get(digits) {
        Some(b'-' | b'*' | b'+') if digits == 0 => 1,
        Some(b'.' | b')') if (1..=9).contains(&digits) => digits + 1,
        None if digits <= 9 && !complete => return Item::Unsure,
        _ => return Item::No,
    };
    match body.as_bytes().get(marker) {
        None if !complete => Item::Unsure,
        None | Some(b' ' | b'\t') => Item::Yes {
            marker,
            shown: if digits == 0 { "•".to_owned() } else { body[..marker].to_owned() },
            empty: body[marker..].trim().is_empty(),
            one: digits == 0 || &body[..digits] == "1",
        },
        Some(_) => Item::No,
    }
}

fn starts_item(body: &str) -> bool {
    matches!(item(body, false), Item::Yes { .. } | Item::Unsure)
}

enum Task {
    Unsure,
    No,
    Yes(&'static str),
}

fn task(body: &str, complete: bool) -> Task {
    let mut characters = body.chars();
    match (characters.next(), characters.next(), characters.next(), characters.next()) {
        (Some('['), Some(' '), Some(']'), Some(' ')) => Task::Yes("☐"),
        (Some('['), Some('x' | 'X'), Some(']'), Some(' ')) => Task::Yes("☑"),
        (Some('['), None, ..) | (Some('['), Some(' ' | 'x' | 'X'), None | Some(']'), None) if !complete => Task::Unsure,
        _ => Task::No,
    }
}

/// A place in a line, in bytes and columns; a tab goes to the next multiple of four.
#[derive(Clone, Debug)]
struct Cursor<'a> {
    line: &'a str,
    at: usize,
    column: usize,
    /// Columns left of a tab that was cut.
    spare: usize,
}

impl<'a> Cursor<'a> {
    fn new(line: &'a str) -> Cursor<'a> {
        Cursor { line, at: 0, column: 0, spare: 0 }
    }

    /// Columns of white space ahead.
    fn indent(&self) -> usize {
        let mut column = self.column + self.spare;
        for byte in self.line[self.at..].bytes() {
            match byte {
                b' ' => column += 1,
                b'\t' => column += 4 - column % 4,
                _ => break,
            }
        }
        column - self.column
    }

    /// What follows the white space.
    fn body(&self) -> &'a str {
        rest(self.line, self.at)
    }

    fn is_blank(&self) -> bool {
        self.body().is_empty()
    }

    /// What follows, with what a cut tab leaves.
    fn text(&self) -> String {
        format!("{}{}", " ".repeat(self.spare), &self.line[self.at..])
    }

    /// Passes up to `columns` of white space.
    fn skip(&mut self, columns: usize) {
        let target = self.column + columns.min(self.indent());
        while self.column < target {
            if self.spare > 0 {
                self.spare -= 1;
                self.column += 1;
                continue;
            }
            self.spare = match self.line.as_bytes().get(self.at) {
                Some(b'\t') => 4 - self.column % 4,
                _ => 1,
            };
            self.at += 1;
        }
    }

    /// Passes `bytes` of ASCII after the white space.
    fn take(&mut self, bytes: usize) {
        self.skip(usize::MAX);
        self.at += bytes;
        self.column += bytes;
    }

    /// Passes the start of a line inside `container`; false if the line is not inside.
    fn enter(&mut self, container: &Container) -> bool {
        let indent = self.indent();
        match container {
            Container::Quote if indent < 4 && self.body().starts_with('>') => {
                self.take(1);
                if self.indent() > 0 {
                    self.skip(1);
                }
                true
            }
            Container::Quote => false,
            Container::Item { .. } if self.is_blank() => true,
            Container::Item { content, .. } if indent >= *content => {
                self.skip(*content);
                true
            }
            // Models nest by two columns whatever the marker's width.
            Container::Item { at, .. } if indent >= at + 2 && starts_item(self.body()) => {
                self.skip(indent);
                true
            }
            Container::Item { .. } => false,
        }
    }
}
