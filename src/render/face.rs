//! How a piece of text looks: a set of attributes, and the only escape sequences this program ever makes.

use std::ops::BitOr;

/// A set of attributes; the empty set is plain text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Face(u16);

impl Face {
    pub(super) const PLAIN: Face = Face(0);
    pub(super) const BOLD: Face = Face(1);
    pub(super) const ITALIC: Face = Face(1 << 1);
    pub(super) const UNDERLINE: Face = Face(1 << 2);
    pub(super) const STRIKE: Face = Face(1 << 3);
    pub(super) const DIM: Face = Face(1 << 4);
    pub(super) const CODE: Face = Face(1 << 5);
    pub(super) const COMMENT: Face = Face(1 << 6);
    pub(super) const KEYWORD: Face = Face(1 << 7);
    pub(super) const STRING: Face = Face(1 << 8);
    pub(super) const NUMBER: Face = Face(1 << 9);
    pub(super) const ADDED: Face = Face(1 << 10);
    pub(super) const REMOVED: Face = Face(1 << 11);

    pub(super) fn has(self, other: Face) -> bool {
        self.0 & other.0 == other.0
    }
}

impl BitOr for Face {
    type Output = Face;

    fn bitor(self, other: Face) -> Face {
        Face(self.0 | other.0)
    }
}

pub(super) const RESET: &str = "\u{1b}[0m";

/// The sixteen colours only: they follow the user's theme, light or dark.
pub(super) const SGR: [(Face, &str); 12] = [
    (Face::BOLD, "\u{1b}[1m"),
    (Face::DIM, "\u{1b}[2m"),
    (Face::ITALIC, "\u{1b}[3m"),
    (Face::UNDERLINE, "\u{1b}[4m"),
    (Face::STRIKE, "\u{1b}[9m"),
    (Face::CODE, "\u{1b}[36m"),
    (Face::COMMENT, "\u{1b}[90m"),
    (Face::KEYWORD, "\u{1b}[35m"),
    (Face::STRING, "\u{1b}[32m"),
    (Face::NUMBER, "\u{1b}[33m"),
    (Face::ADDED, "\u{1b}[92m"),
    (Face::REMOVED, "\u{1b}[91m"),
];

/// What turns `from` into `to` on the screen, appended to `out`.
pub(super) fn change(from: Face, to: Face, out: &mut String) {
    if from == to {
        return;
    }
    if from != Face::PLAIN {
        out.push_str(RESET);
    }
    for (face, sequence) in SGR {
        if to.has(face) {
            out.push_str(sequence);
        }
    }
}
