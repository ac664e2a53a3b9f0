//! Text from outside (a model, a server): safe to show only after its controls have been made visible.

use std::borrow::Cow;
use std::fmt::Write as _;

use serde_json::Value;

/// `text` with every character that could steer a terminal shown in its place: controls but `\n` and `\t`, C1 controls,
/// bidirectional overrides and isolates, tag characters. `\r\n` becomes `\n`. Per character and stateless, so that an
/// open escape sequence cannot hide what follows it.
#[must_use]
pub fn visible(text: &str) -> Cow<'_, str> {
    if !text.contains(steers) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 16);
    let mut rest = text.chars().peekable();
    while let Some(character) = rest.next() {
        if character == '\r' && rest.peek() == Some(&'\n') {
            continue;
        }
        if !steers(character) {
            shown.push(character);
        } else if let Some(picture) = picture(character) {
            shown.push(picture);
        } else {
            // Writing to a String cannot fail.
            let _ = write!(shown, "<U+{:04X}>", u32::from(character));
        }
    }
    Cow::Owned(shown)
}

/// [`visible`] on one line: line breaks and tabs become spaces.
#[must_use]
pub fn one_line(text: &str) -> String {
    visible(text).replace(['\n', '\t'], " ")
}

/// A JSON value on a line of its own. What could steer a terminal stands escaped in it, which changes nothing for whoever
/// reads the JSON: its grammar allows such characters in strings only.
#[must_use]
pub fn json_line(value: &Value) -> String {
    let json = value.to_string();
    let mut line = String::with_capacity(json.len() + 1);
    for character in json.chars() {
        if steers(character) {
            for unit in character.encode_utf16(&mut [0; 2]) {
                let _ = write!(line, "\\u{unit:04x}");
            }
        } else {
            line.push(character);
        }
    }
    line.push('\n');
    line
}

/// Whether a terminal may act on it. A flag's tag sequence is not told from a hidden message: both are shown.
fn steers(character: char) -> bool {
    match character {
        '\n' | '\t' => false,
        '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}' | '\u{E0000}'..='\u{E007F}' => true,
        other => other.is_control(),
    }
}

/// Unicode's picture of a C0 control (`␛` for escape).
fn picture(character: char) -> Option<char> {
    match u32::from(character) {
        code @ 0..=0x1F => char::from_u32(0x2400 + code),
        0x7F => Some('\u{2421}'),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{json_line, one_line, steers, visible};

    #[test]
    fn a_control_is_shown_and_never_obeyed() {
        assert_eq!(visible("a\u{1b}]0;title\u{7}b"), "a␛]0;title␇b");
        assert_eq!(visible("\u{9b}31m"), "<U+009B>31m");
        assert_eq!(visible("one\r\ntwo\rthree\tfour"), "one\ntwo␍three\tfour");
        assert_eq!(visible("x\u{202e}y\u{e0041}"), "x<U+202E>y<U+E0041>");
        assert_eq!(one_line("a\nb\tc"), "a b c");
    }

    #[test]
    fn json_steers_nothing_and_says_the_same() {
        let value = json!({"a\u{9b}": "\u{1b}[31m\u{9b}\u{7f}\u{202e}\u{e0041}\t\n é 👋"});
        let line = json_line(&value);
        assert!(!line.trim_end().contains(steers), "{line}");
        assert_eq!(serde_json::from_str::<Value>(&line).expect("JSON"), value);
        assert_eq!(json_line(&json!({"a": "é 👋"})), "{\"a\":\"é 👋\"}\n");
    }

    #[test]
    fn honest_text_is_left_alone() {
        for text in ["naïve 日本語 👩‍👩‍👧 שלום", "tab\tand\nnewline", "❤\u{fe0f}"] {
            assert_eq!(visible(text), text);
        }
    }
}
