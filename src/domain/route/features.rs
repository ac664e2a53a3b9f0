//! What is known of a request before it is sent, without asking any model.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::super::budget::Standing;
use super::super::chat::{ChatRequest, Part, Role};

/// Bytes of text that one token is taken to hold, and the tokens taken to stand around a message. Both are round figures:
/// an estimate for comparing models, never the bound of a reservation.
const BYTES_PER_TOKEN: u64 = 4;
const AROUND_MESSAGE: u64 = 8;

/// Everything that a rule can ask for.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Features {
    /// An estimate: bytes of text ÷ 4, and 8 for each message. Attachments are not in it.
    pub input_tokens: u64,
    /// The cap of the answer that is asked for.
    pub output_cap: Option<u64>,
    /// Images, documents and sounds.
    pub attachments: u64,
    /// Tools are offered to the model.
    pub tools: bool,
    /// The answer must fit a JSON Schema.
    pub schema: bool,
    /// The last user message looks like code.
    pub code: bool,
    pub language: Language,
    /// The text of the last user message.
    pub text: String,
    pub template: Option<String>,
    pub tags: BTreeMap<String, String>,
    /// UTC milliseconds since 1970.
    pub now_ms: i64,
    /// Percent of the tightest budget that is left; `None`: there is no budget here.
    pub budget_left: Option<u64>,
}

impl Features {
    /// What the request itself says; the rest is the caller's to fill in.
    #[must_use]
    pub fn of(request: &ChatRequest) -> Features {
        let text = last_said(request);
        Features {
            input_tokens: input_tokens(request),
            output_cap: request.settings.max_tokens.map(u64::from),
            attachments: attachments(request),
            tools: !request.tools.is_empty(),
            schema: request.settings.schema.is_some(),
            code: is_code(&text),
            language: Language::of(&text),
            text,
            ..Features::default()
        }
    }

    /// The least context window that the request needs: its input and the answer that is asked for.
    #[must_use]
    pub fn context_tokens(&self) -> u64 {
        self.input_tokens.saturating_add(self.output_cap.unwrap_or(0))
    }

    /// What the estimate leaves out.
    pub(super) fn notes(&self) -> Vec<String> {
        let left_out = match self.attachments {
            0 => return Vec::new(),
            1 => "an attachment are".to_owned(),
            many => format!("{many} attachments are"),
        };
        vec![format!("the tokens of {left_out} not known: the expected amounts are without them")]
    }
}

/// Percent of the limit that is left in the tightest of these budgets; `None`: there is none.
#[must_use]
pub fn budget_left(standings: &[Standing]) -> Option<u64> {
    standings.iter().map(|standing| 100_u64.saturating_sub(standing.percent().unwrap_or(100))).min()
}

fn input_tokens(request: &ChatRequest) -> u64 {
    let said = request.messages.iter().flat_map(|message| &message.parts).map(Part::text_bytes);
    let system = request.system.as_ref().map_or(0, |system| system.len() as u64);
    let tools = request.tools.iter().map(|tool| {
        let description = tool.description.as_ref().map_or(0, String::len);
        (tool.name.len() + description + tool.parameters.to_string().len()) as u64
    });
    let schema = request.settings.schema.as_ref().map_or(0, |schema| schema.schema.to_string().len() as u64);
    let bytes = said.chain(tools).chain([system, schema]).fold(0, u64::saturating_add);
    let messages = request.messages.len() as u64 + u64::from(request.system.is_some());
    bytes.div_ceil(BYTES_PER_TOKEN).saturating_add(messages.saturating_mul(AROUND_MESSAGE))
}

fn attachments(request: &ChatRequest) -> u64 {
    let parts = request.messages.iter().flat_map(|message| &message.parts);
    parts.filter(|part| matches!(part, Part::Image(_) | Part::Document(_) | Part::Audio(_))).count() as u64
}

/// The text of the last message that is the user's.
fn last_said(request: &ChatRequest) -> String {
    let last = request.messages.iter().rfind(|message| message.role == Role::User);
    let texts: Vec<&str> = last
        .iter()
        .flat_map(|message| &message.parts)
        .filter_map(|part| match part {
            Part::Text(text) => Some(text.as_str()),
            _ => None,
        })
        .collect();
    texts.join("\n")
}

/// Whether a text looks like code: a fence, or two lines that end or begin as lines of code, diffs and data do. JSON
/// counts; a single line of shell does not.
#[must_use]
pub fn is_code(text: &str) -> bool {
    const ENDS: [&str; 7] = ["{", "}", ";", "):", "},", "],", "=>"];
    const BEGINNINGS: [&str; 9] =
        ["#include", "#!/", "diff --git ", "@@ -", "def ", "import ", "return ", "fn ", "func "];
    let like_code = |line: &&str| {
        ENDS.iter().any(|end| line.ends_with(end)) || BEGINNINGS.iter().any(|beginning| line.starts_with(beginning))
    };
    let lines = || text.lines().map(str::trim);
    lines().any(is_fence) || lines().filter(like_code).nth(1).is_some()
}

fn is_fence(line: &str) -> bool {
    line.starts_with("```") || line.starts_with("~~~")
}

/// The language of a text, as far as its script tells it. Languages that share a script are not told apart: `ar` is any
/// in Arabic letters, `ru` any in Cyrillic, `hi` any in Devanagari, `he` any in Hebrew, `zh` Han without kana.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Language {
    Zh,
    Ja,
    Ko,
    Ar,
    Ru,
    El,
    He,
    Hi,
    Th,
    /// Latin letters, any other script, and no letters at all.
    #[default]
    Latin,
}

impl Language {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Language::Zh => "zh",
            Language::Ja => "ja",
            Language::Ko => "ko",
            Language::Ar => "ar",
            Language::Ru => "ru",
            Language::El => "el",
            Language::He => "he",
            Language::Hi => "hi",
            Language::Th => "th",
            Language::Latin => "latin",
        }
    }

    /// The script that most letters outside fenced blocks are of. Han with a tenth as many kana is Japanese.
    #[must_use]
    pub fn of(text: &str) -> Language {
        let mut letters: BTreeMap<&str, (u64, Language)> = BTreeMap::new();
        let mut fenced = false;
        for line in text.lines() {
            if is_fence(line.trim()) {
                fenced = !fenced;
            } else if !fenced {
                for letter in line.chars().filter(|letter| letter.is_alphabetic()) {
                    let language = script(letter);
                    letters.entry(language.as_str()).or_insert((0, language)).0 += 1;
                }
            }
        }
        let count = |language: Language| letters.get(language.as_str()).map_or(0, |(count, _)| *count);
        let (han, kana) = (count(Language::Zh), count(Language::Ja));
        let east = if kana > 0 && kana.saturating_mul(10) >= han { Language::Ja } else { Language::Zh };
        let others = letters.values().filter(|(_, language)| !matches!(language, Language::Zh | Language::Ja));
        let most = others.chain([&(han + kana, east)]).max_by_key(|(count, _)| *count).copied();
        most.filter(|(count, _)| *count > 0).map_or(Language::Latin, |(_, language)| language)
    }
}

/// The language whose script a letter is of; kana alone is [`Language::Ja`]. Blocks of the Unicode Standard 16.0
/// (unicode.org/Public/16.0.0/ucd/Blocks.txt).
fn script(letter: char) -> Language {
    match u32::from(letter) {
        0x0370..=0x03FF | 0x1F00..=0x1FFF => Language::El,
        0x0400..=0x052F | 0x1C80..=0x1C8F | 0x2DE0..=0x2DFF | 0xA640..=0xA69F => Language::Ru,
        0x0590..=0x05FF | 0xFB1D..=0xFB4F => Language::He,
        0x0600..=0x06FF | 0x0750..=0x077F | 0x0870..=0x08FF | 0xFB50..=0xFDFF | 0xFE70..=0xFEFF => Language::Ar,
        0x0900..=0x097F | 0xA8E0..=0xA8FF => Language::Hi,
        0x0E00..=0x0E7F => Language::Th,
        0x1100..=0x11FF | 0x3130..=0x318F | 0xA960..=0xA97F | 0xAC00..=0xD7FF => Language::Ko,
        0x3040..=0x30FF | 0x31F0..=0x31FF | 0xFF66..=0xFF9F => Language::Ja,
        0x2E80..=0x2FDF | 0x3005..=0x3007 | 0x3400..=0x4DBF | 0x4E00..=0x9FFF | 0xF900..=0xFAFF | 0x20000..=0x3FFFF => {
            Language::Zh
        }
        _ => Language::Latin,
    }
}

/// Whether words of this letter's script are set off from one another by spaces.
pub(super) fn is_spaced(letter: char) -> bool {
    !matches!(script(letter), Language::Zh | Language::Ja | Language::Ko | Language::Th)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{Features, Language, is_code};
    use crate::domain::chat::{ChatRequest, Media, MediaSource, Message, Part, Role, Schema, Settings};

    #[test]
    fn a_script_tells_a_language_and_latin_is_the_rest() {
        for (text, language) in [
            ("Why is the sky blue?", Language::Latin),
            ("", Language::Latin),
            ("42 + 17 = ?", Language::Latin),
            ("天空为什么是蓝色的？", Language::Zh),
            ("空はなぜ青いのですか", Language::Ja),
            ("カタカナ", Language::Ja),
            ("하늘은 왜 파란가요?", Language::Ko),
            ("لماذا السماء زرقاء؟", Language::Ar),
            ("Почему небо голубое?", Language::Ru),
            ("Γιατί είναι μπλε;", Language::El),
            ("למה השמיים כחולים?", Language::He),
            ("आसमान नीला क्यों है?", Language::Hi),
            ("ทำไมท้องฟ้าถึงเป็นสีฟ้า", Language::Th),
            ("Translate: 你好", Language::Latin),
            ("Что делает этот код?\n```\nfn main() { let answer = compute_everything_at_once(); }\n```", Language::Ru),
        ] {
            assert_eq!(Language::of(text), language, "{text}");
        }
    }

    #[test]
    fn code_is_a_fence_or_two_lines_of_it() {
        for (text, code) in [
            ("see\n```\nx\n```", true),
            ("int main() {\n  return 0;\n}", true),
            ("def f(x):\n    return x", true),
            ("diff --git a/x b/x\n@@ -1 +1 @@", true),
            ("{\n  \"a\": 1\n}", true),
            ("Why is the sky blue?", false),
            ("Buy milk;\nthen come home", false),
            ("What does `x = 1;` do?", false),
        ] {
            assert_eq!(is_code(text), code, "{text}");
        }
    }

    #[test]
    fn a_request_says_what_it_is_without_being_sent() {
        let media = Media { mime: "image/png".into(), source: MediaSource::Bytes(vec![0; 4000]), name: None };
        let parts = vec![Part::Text("Describe it for me.".into()), Part::Image(media)];
        let request = ChatRequest {
            system: Some("Be brief.".into()),
            messages: vec![Message { role: Role::User, parts }],
            settings: Settings {
                max_tokens: Some(100),
                schema: Some(Schema { name: "answer".into(), schema: json!({"type": "object"}) }),
                ..Settings::default()
            },
            ..ChatRequest::default()
        };
        let features = Features::of(&request);
        // 19 + 9 + 17 bytes ÷ 4, rounded up, and 8 around each of two messages; the picture is not in it.
        assert_eq!(features.input_tokens, 12 + 16);
        assert_eq!(features.context_tokens(), 128);
        assert_eq!((features.attachments, features.schema, features.tools, features.code), (1, true, false, false));
        assert_eq!(features.notes().len(), 1);
    }
}
