//! A key or token that never prints itself.

use std::fmt;

/// A credential. It has no `Display`, its `Debug` shows nothing, and [`Secret::expose`] is the one way to its text.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// `None` for a blank text: a variable that is set to nothing counts as unset. Surrounding white space is cut off
    /// (a trailing newline is the commonest fault of a key that was pasted).
    #[must_use]
    pub fn new(text: &str) -> Option<Secret> {
        let text = text.trim();
        (!text.is_empty()).then(|| Secret(text.to_owned()))
    }

    /// The text itself, for the header that carries it.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// `text` with every occurrence of the secret taken out, as it is and percent-encoded: a server may echo a key.
    #[must_use]
    pub fn redact(&self, text: &str) -> String {
        if self.0.len() < 4 {
            return text.to_owned();
        }
        let mut redacted = text.replace(&self.0, "[redacted]");
        for encoded in [percent_encoded(&self.0, false), percent_encoded(&self.0, true)] {
            if encoded != self.0 {
                redacted = redacted.replace(&encoded, "[redacted]");
            }
        }
        redacted
    }
}

/// As a URL carries it, in upper or lower hexadecimal digits.
fn percent_encoded(text: &str, lower: bool) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => char::from(byte).to_string(),
            other if lower => format!("%{other:02x}"),
            other => format!("%{other:02X}"),
        })
        .collect()
}

impl Drop for Secret {
    fn drop(&mut self) {
        // Best effort without `unsafe`: the buffer is overwritten before it is freed.
        let length = self.0.len();
        self.0.clear();
        self.0.extend(std::iter::repeat_n('\0', length));
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Secret([redacted])")
    }
}

#[cfg(test)]
mod tests {
    use super::Secret;

    #[test]
    fn a_secret_never_prints_itself() {
        let secret = Secret::new(" sk-CANARY \n").expect("not blank");
        assert_eq!(secret.expose(), "sk-CANARY");
        assert!(!format!("{secret:?}").contains("CANARY"));
        assert_eq!(secret.redact("your key sk-CANARY is wrong"), "your key [redacted] is wrong");
        assert!(Secret::new("  ").is_none());
        let secret = Secret::new("sk+CANARY/=").expect("not blank");
        assert_eq!(secret.redact("?key=sk%2BCANARY%2F%3D or sk%2bCANARY%2f%3d"), "?key=[redacted] or [redacted]");
    }
}
