//! What can happen to a text on its way: cuts, splices, flipped bits, repeats, depth, numbers and bytes that are no text.

use std::fmt;
use std::ops::Range;

use proptest::prelude::{Arbitrary, BoxedStrategy, Just, Strategy, any};
use proptest::prop_oneof;
use proptest::sample::{Index, select};

/// Bytes that are told as a text, so that a failure can be read and copied.
#[derive(Clone)]
pub struct Input(pub Vec<u8>);

impl fmt::Debug for Input {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "b\"{}\"", self.0.escape_ascii())
    }
}

/// Numbers at the edges of what counts and amounts can hold.
const NUMBERS: &[&str] = &[
    "0",
    "-0",
    "-1",
    "0.5",
    "12.0",
    "007",
    "1e2",
    "1e400",
    "1e-400",
    "9007199254740992",
    "9007199254740993",
    "9223372036854775807",
    "9223372036854775808",
    "18446744073709551615",
    "99999999999999999999999999999999999999999",
    "0.0000000000005",
    "1_000",
    "+5",
    "NaN",
];

/// Pieces that mean something somewhere.
const WORDS: &[&str] = &[
    "null",
    "true",
    "{}",
    "[]",
    "\"\"",
    "\n",
    "\r",
    "\r\n",
    "\n\n",
    ":",
    ",",
    "\"",
    "'",
    "\\",
    "\\u0000",
    "\\ud800",
    "[DONE]",
    "data: ",
    "event: ",
    "data: [DONE]\n\n",
    "<",
    "\u{feff}",
    "\u{1e}",
    "é",
    "\u{202e}",
    "#",
    "=",
    "/",
    "@",
    "%",
    "*",
    "\"\"\"",
];

/// Bytes that no UTF-8 has, or has only in places: a lone half, an overlong form, a surrogate, a mark of order.
const NO_TEXT: &[&[u8]] =
    &[b"\xff", b"\x80", b"\xc3", b"\xc0\xaf", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xef\xbb\xbf", b"\0"];

/// Pairs that open and close.
const BRACKETS: &[(&str, &str)] = &[("[", "]"), ("{\"a\":", "}"), ("(", ")"), ("{", "}")];

/// One thing that happens, at a place that fits any length.
#[derive(Debug, Clone)]
pub enum Damage {
    /// What comes after is lost.
    End(Index),
    Lose(Index, Index),
    /// Another seed goes on from here.
    Splice(Index, Index, Index),
    Flip(Index, u8),
    Repeat(Index, Index, usize),
    /// A piece is put into so many brackets.
    Nest(Index, Index, (&'static str, &'static str), usize),
    /// The next number becomes another.
    Number(Index, &'static str),
    Insert(Index, &'static [u8]),
}

impl Arbitrary for Damage {
    type Parameters = ();
    type Strategy = BoxedStrategy<Damage>;

    fn arbitrary_with((): ()) -> BoxedStrategy<Damage> {
        let at = any::<Index>;
        let words = select(WORDS).prop_map(str::as_bytes);
        let inserted = prop_oneof![words, select(NO_TEXT)];
        let depth = prop_oneof![4 => 1_usize..4, 1 => Just(200_usize), 1 => Just(1_500_usize)];
        prop_oneof![
            1 => at().prop_map(Damage::End),
            2 => (at(), at()).prop_map(|(from, to)| Damage::Lose(from, to)),
            2 => (at(), at(), at()).prop_map(|(at, seed, from)| Damage::Splice(at, seed, from)),
            2 => (at(), 0_u8..8).prop_map(|(at, bit)| Damage::Flip(at, bit)),
            2 => (at(), at(), 1_usize..9).prop_map(|(from, to, times)| Damage::Repeat(from, to, times)),
            1 => (at(), at(), select(BRACKETS), depth).prop_map(|(from, to, pair, depth)| Damage::Nest(from, to, pair, depth)),
            4 => (at(), select(NUMBERS)).prop_map(|(at, number)| Damage::Number(at, number)),
            2 => (at(), inserted).prop_map(|(at, bytes)| Damage::Insert(at, bytes)),
        ]
        .boxed()
    }
}

impl Damage {
    /// Does it to `bytes`; `seeds` are what else could have come.
    pub fn inflict(&self, bytes: &mut Vec<u8>, seeds: &[Vec<u8>]) {
        match self {
            Damage::End(at) => bytes.truncate(place(bytes, at)),
            Damage::Lose(from, to) => drop(bytes.drain(between(bytes, from, to))),
            Damage::Splice(at, seed, from) => {
                let other = seed.get(seeds);
                bytes.truncate(place(bytes, at));
                bytes.extend_from_slice(&other[place(other, from)..]);
            }
            Damage::Flip(at, bit) if !bytes.is_empty() => {
                let at = at.index(bytes.len());
                bytes[at] ^= 1 << bit;
            }
            Damage::Flip(..) => {}
            Damage::Repeat(from, to, times) => {
                let piece = between(bytes, from, to);
                let again = bytes[piece.clone()].repeat(*times);
                insert(bytes, piece.end, &again);
            }
            Damage::Nest(from, to, (open, close), depth) => {
                let piece = between(bytes, from, to);
                insert(bytes, piece.end, close.repeat(*depth).as_bytes());
                insert(bytes, piece.start, open.repeat(*depth).as_bytes());
            }
            Damage::Number(at, number) => {
                let from = place(bytes, at);
                let digit = |byte: &u8| byte.is_ascii_digit() || *byte == b'.';
                let Some(start) = bytes[from..].iter().position(digit).map(|start| from + start) else { return };
                let end = bytes[start..].iter().position(|byte| !digit(byte)).map_or(bytes.len(), |end| start + end);
                bytes.splice(start..end, number.bytes());
            }
            Damage::Insert(at, piece) => insert(bytes, place(bytes, at), piece),
        }
    }
}

/// From the beginning to the end, both included.
fn place(bytes: &[u8], at: &Index) -> usize {
    at.index(bytes.len() + 1)
}

fn between(bytes: &[u8], one: &Index, two: &Index) -> Range<usize> {
    let (one, two) = (place(bytes, one), place(bytes, two));
    one.min(two)..one.max(two)
}

fn insert(bytes: &mut Vec<u8>, at: usize, piece: &[u8]) {
    bytes.splice(at..at, piece.iter().copied());
}
