//! What goes into a request: the prompt, standard input, files, attachments and settings.

use std::io::{IsTerminal as _, Read as _};
use std::path::Path;

use serde_json::Value;

use crate::command::args::{EffortArg, InputArgs};
use crate::command::desk::Desk;
use crate::command::schema;
use crate::domain::chat::{CacheLifetime, ChatRequest, Effort, Media, MediaSource, Message, Part, Role, Settings};
use crate::domain::failure::{ErrorClass, Failure};

/// Most bytes of standard input and files in one prompt.
pub const INPUT_MAX: usize = 32 << 20;

/// Reads everything that the request is made of.
///
/// # Errors
/// `config`: nothing to ask, something that cannot be read, or too much of it. Nothing has been sent then.
pub async fn request(args: &InputArgs, desk: &Desk) -> Result<ChatRequest, Failure> {
    let request = template(args, desk).await?;
    if request.messages.iter().all(|message| message.parts.is_empty()) {
        return Err(input("there is nothing to ask: no prompt, and nothing on standard input")
            .advise("write it behind the options, or pipe text in; nothing was sent"));
    }
    Ok(request)
}

/// The same, where the prompt may be missing: something else will give it.
///
/// # Errors
/// `config`: something that cannot be read, or too much of it.
pub async fn template(args: &InputArgs, desk: &Desk) -> Result<ChatRequest, Failure> {
    let mut stdin = Stdin::default();
    let mut left = INPUT_MAX;
    let mut files = Vec::new();
    for name in &args.file {
        let bytes = source(name, &mut stdin, desk, left).await?;
        left = left.saturating_sub(bytes.len());
        files.push((name, utf8(bytes, name, "attach it with -a instead")?));
    }
    let mut attached = Vec::new();
    for name in &args.attach {
        let bytes = source(name, &mut stdin, desk, left).await?;
        left = left.saturating_sub(bytes.len());
        attached.push(attachment(name, bytes)?);
    }
    let piped = stdin.piped_text(left)?;
    let mut parts = vec![Part::Text(prompt(&args.prompt, &files, piped.as_deref()))];
    parts.extend(attached);
    parts.retain(|part| !matches!(part, Part::Text(text) if text.trim().is_empty()));
    Ok(ChatRequest {
        system: args.system.as_deref().map(system).transpose()?,
        messages: vec![Message { role: Role::User, parts }],
        settings: settings(args)?,
        ..ChatRequest::default()
    })
}

fn input(message: impl Into<String>) -> Failure {
    Failure::new(ErrorClass::Config, message)
}

/// Standard input, which can be read once.
#[derive(Debug, Default)]
struct Stdin {
    taken: bool,
}

impl Stdin {
    /// All of it.
    fn bytes(&mut self, left: usize) -> Result<Vec<u8>, Failure> {
        if std::mem::replace(&mut self.taken, true) {
            return Err(input("standard input is asked for twice").advise("use - only once"));
        }
        let mut bytes = Vec::new();
        std::io::stdin()
            .take(left as u64 + 1)
            .read_to_end(&mut bytes)
            .map_err(|error| input(format!("standard input: {error}")))?;
        fits(&bytes, left, "standard input")?;
        Ok(bytes)
    }

    /// What was piped in for the prompt, where nothing else took it and there is anything.
    fn piped_text(&mut self, left: usize) -> Result<Option<String>, Failure> {
        if self.taken || std::io::stdin().is_terminal() {
            return Ok(None);
        }
        let text = utf8(self.bytes(left)?, "standard input", "send it with -a - instead")?;
        Ok((!text.trim().is_empty()).then_some(text))
    }
}

fn fits(bytes: &[u8], left: usize, name: &str) -> Result<(), Failure> {
    if bytes.len() > left {
        return Err(input(format!(
            "{name}: the prompt would be larger than {} MiB; nothing was sent",
            INPUT_MAX >> 20
        ))
        .advise("send less: nothing is ever cut off in silence"));
    }
    Ok(())
}

fn utf8(bytes: Vec<u8>, name: &str, advice: &str) -> Result<String, Failure> {
    String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        input(format!("{name} is no UTF-8 text (byte {at}); nothing was sent")).advise(advice)
    })
}

/// The bytes of a file, of a URL, or of standard input (`-`).
async fn source(name: &str, stdin: &mut Stdin, desk: &Desk, left: usize) -> Result<Vec<u8>, Failure> {
    if name == "-" {
        return stdin.bytes(left);
    }
    if name.starts_with("https://") || name.starts_with("http://") {
        let bytes = desk.net.fetch(name, left, desk.limits.head).await?;
        fits(&bytes, left, name)?;
        return Ok(bytes);
    }
    let path = Path::new(name);
    if path.is_dir() {
        return Err(input(format!("{name} is a folder")).advise("name its files, each with a flag of its own"));
    }
    let unreadable = |error: std::io::Error| input(format!("{name}: {error}"));
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).map_err(unreadable)?;
    file.take(left as u64 + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    fits(&bytes, left, name)?;
    Ok(bytes)
}

/// An attachment by what its bytes are, not by its name.
fn attachment(name: &str, bytes: Vec<u8>) -> Result<Part, Failure> {
    if bytes.is_empty() {
        return Err(input(format!("{name} is empty")));
    }
    let base = name.rsplit(['/', '\\']).next().filter(|base| *base != "-").map(str::to_owned);
    let Some(kind) = infer::get(&bytes) else {
        let text = utf8(bytes, name, "its type is not known: convert it to an image, a PDF or text")?;
        return Ok(Part::Text(fenced("file", base.as_deref(), &text)));
    };
    let mime = match kind.mime_type() {
        "audio/x-wav" => "audio/wav",
        other => other,
    };
    let media = Media { mime: mime.to_owned(), source: MediaSource::Bytes(bytes), name: base };
    Ok(match mime.split_once('/') {
        Some(("image", _)) => Part::Image(media),
        Some(("audio", _)) => Part::Audio(media),
        Some(("video", _)) => {
            return Err(input(format!("{name} is a video ({mime}), which is not sent"))
                .advise("send single pictures or the sound"));
        }
        _ => Part::Document(media),
    })
}

/// The prompt first, then the files, then what was piped in, unless a `-` says where that goes.
fn prompt(words: &[String], files: &[(&String, String)], piped: Option<&str>) -> String {
    let marked = words.iter().any(|word| word == "-");
    let mut text = String::new();
    for word in words {
        match word.as_str() {
            "-" => text.push_str(&format!("\n\n{}\n\n", fenced("stdin", None, piped.unwrap_or_default()))),
            word => {
                if !text.is_empty() && !text.ends_with('\n') {
                    text.push(' ');
                }
                text.push_str(word);
            }
        }
    }
    let mut blocks: Vec<String> = vec![text.trim().to_owned()];
    blocks.extend(files.iter().map(|(name, content)| fenced("file", Some(name), content)));
    if let Some(piped) = piped.filter(|_| !marked) {
        // Alone it is the prompt; beside one it is marked off as what the prompt speaks of.
        let alone = blocks.iter().all(String::is_empty);
        blocks.push(if alone { piped.trim_end().to_owned() } else { fenced("stdin", None, piped) });
    }
    blocks.retain(|block| !block.is_empty());
    blocks.join("\n\n")
}

fn fenced(tag: &str, name: Option<&str>, content: &str) -> String {
    let name = name.map(|name| format!(" name=\"{}\"", name.replace('"', "'"))).unwrap_or_default();
    format!("<{tag}{name}>\n{}\n</{tag}>", content.trim_end_matches('\n'))
}

fn system(text: &str) -> Result<String, Failure> {
    match text.strip_prefix('@') {
        Some(path) => std::fs::read_to_string(path).map_err(|error| input(format!("--system @{path}: {error}"))),
        None => Ok(text.to_owned()),
    }
}

/// What is to be sent beside the prompt.
///
/// # Errors
/// `config` for a parameter or a schema that is none.
pub fn settings(args: &InputArgs) -> Result<Settings, Failure> {
    let mut settings = Settings {
        temperature: args.temperature,
        max_tokens: args.max_tokens,
        seed: args.seed,
        effort: args.effort.map(effort),
        show_reasoning: args.show_reasoning,
        schema: args.schema.as_deref().map(schema::read).transpose()?,
        ..Settings::default()
    };
    for param in &args.param {
        let Some((key, value)) = param.split_once('=').filter(|(key, _)| !key.is_empty()) else {
            return Err(input(format!("-P {param}: not KEY=VALUE")).advise("for example -P top_k=40"));
        };
        if key == "cache" {
            settings.cache = Some(match value {
                "5m" => CacheLifetime::FiveMinutes,
                "1h" => CacheLifetime::OneHour,
                _ => return Err(input(format!("-P cache={value}: a cache lives 5m or 1h"))),
            });
            continue;
        }
        // The books, the price and the access would be of another model than the one that answers.
        if key == "model" {
            return Err(
                input(format!("-P {param}: another model than the one that is booked")).advise("name it with -m")
            );
        }
        let value = serde_json::from_str(value).unwrap_or_else(|_| Value::String(value.to_owned()));
        settings.extra.push((key.to_owned(), value));
    }
    Ok(settings)
}

fn effort(level: EffortArg) -> Effort {
    match level {
        EffortArg::None => Effort::None,
        EffortArg::Minimal => Effort::Minimal,
        EffortArg::Low => Effort::Low,
        EffortArg::Medium => Effort::Medium,
        EffortArg::High => Effort::High,
        EffortArg::Xhigh => Effort::Xhigh,
        EffortArg::Max => Effort::Max,
    }
}

#[cfg(test)]
mod tests {
    use super::{attachment, prompt};
    use crate::domain::chat::Part;

    fn words(words: &[&str]) -> Vec<String> {
        words.iter().map(|word| (*word).to_owned()).collect()
    }

    #[test]
    fn the_prompt_comes_first_and_what_was_piped_is_marked_off() {
        assert_eq!(prompt(&words(&["sum", "it", "up"]), &[], None), "sum it up");
        assert_eq!(prompt(&[], &[], Some("data\n")), "data");
        assert_eq!(prompt(&words(&["sum up"]), &[], Some("data\n")), "sum up\n\n<stdin>\ndata\n</stdin>");
        assert_eq!(
            prompt(&words(&["first", "-", "then this"]), &[], Some("data")),
            "first\n\n<stdin>\ndata\n</stdin>\n\nthen this"
        );
        let name = "a.rs".to_owned();
        let files = [(&name, "code\n".to_owned())];
        assert_eq!(prompt(&words(&["review"]), &files, None), "review\n\n<file name=\"a.rs\">\ncode\n</file>");
    }

    #[test]
    fn an_attachment_is_known_by_its_bytes() {
        let png = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR".to_vec();
        assert!(matches!(attachment("x.txt", png), Ok(Part::Image(media)) if media.mime == "image/png"));
        assert!(
            matches!(attachment("x", b"%PDF-1.7\n".to_vec()), Ok(Part::Document(media)) if media.mime == "application/pdf")
        );
        assert!(
            matches!(attachment("dir/x.txt", b"words".to_vec()), Ok(Part::Text(text)) if text.contains("name=\"x.txt\""))
        );
        assert!(attachment("x", vec![0, 159, 146, 150]).is_err() && attachment("x", Vec::new()).is_err());
    }
}
