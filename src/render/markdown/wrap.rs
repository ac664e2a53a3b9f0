//! Lines: styled text laid out word by word at a width, each line behind its prefix, nothing ever taken back.

use unicode_segmentation::UnicodeSegmentation;
use unicode_width::UnicodeWidthStr;

use crate::render::face::{self, Face};

/// No line is laid out narrower: a wide character needs two columns, and so does the prefix.
const NARROWEST: usize = 4;

/// A cluster of more bytes is ended, so that endless combining marks cost no more than text.
const CLUSTER_BYTES_MAX: usize = 128;

/// What was laid out and not yet taken, and the word that is still growing.
#[derive(Debug)]
pub(super) struct Wrap {
    out: String,
    width: Option<usize>,
    colour: bool,
    base: Face,
    prefix: String,
    prefix_columns: usize,
    column: usize,
    line_open: bool,
    anything_written: bool,
    /// A blank line owed before the next content: its prefix.
    gap: Option<String>,
    on_screen: Face,
    /// The space owed before the next word, dropped at a line break.
    space: Option<Face>,
    word: String,
    /// Where in `word` each face starts.
    word_faces: Vec<(usize, Face)>,
    word_columns: usize,
    /// The last cluster of the word.
    last: Cluster,
    /// The cluster that may still grow.
    growing: String,
    growing_face: Face,
}

/// What a line break beside a cluster depends on.
#[derive(Clone, Copy, Debug, Default)]
struct Cluster {
    wide: bool,
    first: char,
}

impl Wrap {
    pub(super) fn new(width: Option<usize>, colour: bool) -> Wrap {
        Wrap {
            out: String::new(),
            width: width.map(|columns| columns.max(NARROWEST)),
            colour,
            base: Face::PLAIN,
            prefix: String::new(),
            prefix_columns: 0,
            column: 0,
            line_open: false,
            anything_written: false,
            gap: None,
            on_screen: Face::PLAIN,
            space: None,
            word: String::new(),
            word_faces: Vec::new(),
            word_columns: 0,
            last: Cluster::default(),
            growing: String::new(),
            growing_face: Face::PLAIN,
        }
    }

    /// The inside of a cell: as narrow as the table says.
    pub(super) fn new_cell(width: Option<usize>, colour: bool) -> Wrap {
        Wrap { width: width.map(|columns| columns.max(1)), ..Wrap::new(None, colour) }
    }

    pub(super) fn colour(&self) -> bool {
        self.colour
    }

    /// Columns left for text beside the prefix.
    pub(super) fn room(&self) -> Option<usize> {
        self.width.map(|width| width.saturating_sub(self.prefix_columns))
    }

    /// What can be written now.
    pub(super) fn take(&mut self) -> String {
        std::mem::take(&mut self.out)
    }

    /// The prefix of the lines to come, at most half of the width.
    pub(super) fn set_prefix(&mut self, prefix: &str) {
        let most = self.width.map_or(usize::MAX, |width| width / 2);
        self.prefix = prefix.chars().take(most).collect();
        self.prefix_columns = columns(&self.prefix);
    }

    /// What all text has besides its own face.
    pub(super) fn set_base(&mut self, face: Face) {
        self.base = face;
    }

    /// Owes a blank line behind `prefix` before the next content.
    pub(super) fn owe_gap(&mut self, prefix: &str) {
        self.gap = Some(prefix.trim_end().to_owned());
    }

    /// Running text. A space may become a line break, `\n` is one.
    pub(super) fn text(&mut self, face: Face, text: &str) {
        for character in text.chars() {
            self.character(face, character);
        }
    }

    pub(super) fn character(&mut self, face: Face, character: char) {
        let face = face | self.base;
        match character {
            ' ' | '\t' => {
                self.place_word();
                if self.line_open {
                    self.space = Some(face);
                }
            }
            '\n' => self.end_line(),
            other => self.grow(face, other),
        }
    }

    /// A list marker: starts a line and is never wrapped; what follows stands one space after it.
    pub(super) fn marker(&mut self, marker: &str) {
        self.place_word();
        self.start_line();
        if self.space.take().is_some() {
            self.out.push(' ');
            self.column += 1;
        }
        self.out.push_str(marker);
        self.column += columns(marker);
        self.space = Some(Face::PLAIN);
    }

    /// One line exactly as it is, however wide.
    pub(super) fn verbatim(&mut self, runs: &[(Face, &str)]) {
        self.end_line();
        self.start_line();
        if runs.iter().all(|(_, text)| text.is_empty()) {
            let kept = self.out.trim_end_matches(' ').len();
            self.out.truncate(kept);
        }
        for (face, text) in runs {
            self.paint(*face);
            self.out.push_str(text);
        }
        self.end_line();
    }

    /// Ends the line, if one is open.
    pub(super) fn end_line(&mut self) {
        self.place_word();
        self.space = None;
        if self.line_open {
            self.paint(Face::PLAIN);
            self.out.push('\n');
            self.line_open = false;
            self.column = 0;
        }
    }

    fn start_line(&mut self) {
        if self.line_open {
            return;
        }
        if let Some(prefix) = self.gap.take()
            && self.anything_written
        {
            self.out.push_str(&prefix);
            self.out.push('\n');
        }
        self.out.push_str(&self.prefix);
        self.column = self.prefix_columns;
        self.line_open = true;
        self.anything_written = true;
    }

    fn grow(&mut self, face: Face, character: char) {
        super::spend(1 + self.growing.len());
        if !self.growing.is_empty() && face == self.growing_face && joins(&mut self.growing, character) {
            return;
        }
        self.end_cluster();
        self.growing_face = face;
        self.growing.push(character);
    }

    fn end_cluster(&mut self) {
        let Some(first) = self.growing.chars().next() else { return };
        let columns = if self.growing.len() == 1 { 1 } else { self.growing.width() };
        let cluster = Cluster { wide: columns > 1, first };
        let full = self.room().is_some_and(|room| self.word_columns + columns > room);
        if !self.word.is_empty() && (full || may_break(self.last, cluster)) {
            self.write_word();
        }
        if self.word_faces.last().is_none_or(|(_, face)| *face != self.growing_face) {
            self.word_faces.push((self.word.len(), self.growing_face));
        }
        self.word.push_str(&self.growing);
        self.word_columns += columns;
        self.last = cluster;
        self.growing.clear();
    }

    fn place_word(&mut self) {
        self.end_cluster();
        self.write_word();
    }

    /// Writes the word on this line if it fits, else on the next.
    fn write_word(&mut self) {
        let Some((_, first_face)) = self.word_faces.first().copied() else { return };
        let space = self.space.take();
        let columns = self.word_columns + usize::from(space.is_some());
        let fits = self.width.is_none_or(|width| self.column + columns <= width);
        if self.line_open && !fits && self.column > self.prefix_columns {
            self.paint(Face::PLAIN);
            self.out.push('\n');
            self.line_open = false;
            self.start_line();
        } else if let Some(face) = space {
            // Between two words of one face the space has it too, so that a strike goes through.
            self.paint(if face == first_face && face == self.on_screen { face } else { Face::PLAIN });
            self.out.push(' ');
            self.column += 1;
        }
        self.start_line();
        let word = std::mem::take(&mut self.word);
        let faces = std::mem::take(&mut self.word_faces);
        for (index, (start, face)) in faces.iter().enumerate() {
            let end = faces.get(index + 1).map_or(word.len(), |(next, _)| *next);
            self.paint(*face);
            self.out.push_str(&word[*start..end]);
        }
        self.column += self.word_columns;
        self.word_columns = 0;
        self.word = word;
        self.word.clear();
        self.word_faces = faces;
        self.word_faces.clear();
    }

    fn paint(&mut self, face: Face) {
        if self.colour {
            face::change(self.on_screen, face, &mut self.out);
            self.on_screen = face;
        }
    }
}

/// Columns of `text` on a terminal, cluster by cluster as it is laid out.
pub(super) fn columns(text: &str) -> usize {
    if text.is_ascii() { text.len() } else { text.graphemes(true).map(UnicodeWidthStr::width).sum() }
}

/// Adds `character` to `cluster` if both are one grapheme.
fn joins(cluster: &mut String, character: char) -> bool {
    if character.is_ascii() || cluster.len() > CLUSTER_BYTES_MAX {
        return false;
    }
    let before = cluster.len();
    cluster.push(character);
    let one = cluster.graphemes(true).nth(1).is_none();
    if !one {
        cluster.truncate(before);
    }
    one
}

/// Whether a line may end between two clusters of a word: beside wide ones, but not before what closes or after what
/// opens. Chinese and Japanese have no spaces to wait for.
fn may_break(left: Cluster, right: Cluster) -> bool {
    const OPENS: &str = "([{（［｛「『【〈《〔“‘$";
    const CLOSES: &str = "、。，．・：；？！）］｝」』】〉》〕”’ーぁぃぅぇぉっゃゅょァィゥェォッャュョ々…";
    let beside_wide = right.wide || (left.wide && right.first.is_alphanumeric());
    beside_wide && !OPENS.contains(left.first) && !CLOSES.contains(right.first)
}
