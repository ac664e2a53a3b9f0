//! What every web page that llmx writes has in common: it can be mailed, loads nothing, and runs nothing but our own script.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::digest::{SHA256, digest};

/// Paper, ink and tables, light and dark.
const STYLE: &str = include_str!("page.css");
/// A heading of a `table.sortable` sorts its rows, by `data-value` where the cells have one.
const SCRIPT: &str = include_str!("page.js");

/// A page to be.
#[derive(Debug, Clone, Copy)]
pub struct Page<'a> {
    pub title: &'a str,
    /// What it adds to the style and the script of every page.
    pub style: &'static str,
    pub script: &'static str,
    /// HTML, with everything from outside [`escaped`].
    pub body: &'a str,
}

impl Page<'_> {
    /// The whole of it. Only the two texts in it may style and run, by their hashes.
    #[must_use]
    pub fn html(&self) -> String {
        let (style, script) = ([STYLE, self.style].concat(), [SCRIPT, self.script].concat());
        let policy = format!(
            "default-src 'none'; style-src '{}'; script-src '{}'; base-uri 'none'; form-action 'none'",
            source(&style),
            source(&script)
        );
        format!(
            "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta http-equiv=\"Content-Security-Policy\" content=\"{policy}\">\n<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<meta name=\"referrer\" content=\"no-referrer\">\n<title>{}</title>\n<style>{style}</style>\n</head>\n<body>\n{}<script>{script}</script>\n</body>\n</html>\n",
            escaped(self.title),
            self.body
        )
    }
}

/// What a content security policy calls this text.
fn source(text: &str) -> String {
    format!("sha256-{}", STANDARD.encode(digest(&SHA256, text.as_bytes())))
}

/// A heading of a column that sorts by it. `number`: the cells below end at their right.
#[must_use]
pub fn heading(name: &str, number: bool) -> String {
    let class = if number { " class=\"number\"" } else { "" };
    format!("<th scope=\"col\"{class}><button type=\"button\">{}</button></th>", escaped(name))
}

/// As text or in an attribute.
#[must_use]
pub fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            other => out.push(other),
        }
    }
    out
}
