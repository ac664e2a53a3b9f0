//! Framing: the same frames however the bytes are cut, and the same as a plain reading of the standards gives.

use llmx::wire::contract::DecodeError;
use llmx::wire::frames::{Each, Frames, LINE_MAX};
use serde_json::value::RawValue;

#[derive(Debug, PartialEq)]
struct Framed {
    /// Names and data.
    frames: Vec<(String, String)>,
    end: Result<(), DecodeError>,
    is_done: bool,
    is_lossy: bool,
    is_empty: bool,
}

pub fn frames(bytes: &[u8]) {
    let whole = framed([bytes]);
    for size in [1, 2, 3, 7, 61] {
        assert_eq!(framed(bytes.chunks(size)), whole, "in pieces of {size}");
    }
    // Cut after every line, where servers flush.
    assert_eq!(framed(bytes.split_inclusive(|byte| *byte == b'\n')), whole, "line by line");
    if let Some(wanted) = objects(bytes) {
        assert_eq!(whole.end, Ok(()));
        assert_eq!(whole.frames, wanted, "JSON is cut where a parser cuts it");
    }
    if let Some(wanted) = events(bytes) {
        assert_eq!(whole.end, Ok(()));
        assert_eq!(whole.frames, wanted, "events are those of the standard");
    }
    assert_eq!(whole.is_empty, trimmed(bytes).is_empty());
}

fn framed<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Framed {
    let mut seen = Vec::new();
    let mut frames = Frames::new();
    let each: &mut Each<'_> = &mut |event, data| {
        seen.push((event.to_owned(), data.to_owned()));
        Ok(())
    };
    let fed = pieces.into_iter().try_for_each(|piece| frames.feed(piece, each));
    let end = fed.and_then(|()| frames.end(each));
    let (is_done, is_lossy, is_empty) = (frames.is_done(), frames.is_lossy(), frames.is_empty());
    Framed { frames: seen, end, is_done, is_lossy, is_empty }
}

/// Without its mark and the white space before what means something.
fn trimmed(bytes: &[u8]) -> &[u8] {
    let bytes = match bytes {
        // A mark that is not complete is one that is still to come.
        [] | [0xEF] | [0xEF, 0xBB] => &[],
        _ => bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes),
    };
    bytes.trim_ascii_start()
}

/// The objects of a body that a JSON parser reads to its end: one after the other, or in one array.
fn objects(bytes: &[u8]) -> Option<Vec<(String, String)>> {
    let text = std::str::from_utf8(trimmed(bytes)).ok().filter(|text| text.starts_with(['{', '[']))?;
    let values: Vec<Box<RawValue>> = match text.starts_with('[') {
        true => serde_json::from_str(text).ok()?,
        false => serde_json::Deserializer::from_str(text).into_iter().collect::<Result<_, _>>().ok()?,
    };
    let objects = values.iter().all(|value| value.get().starts_with('{'));
    objects.then(|| values.iter().map(|value| (String::new(), value.get().to_owned())).collect())
}

/// The events of a stream as the WHATWG's standard reads them (html.spec.whatwg.org/multipage/server-sent-events.html, read
/// 2026-11-22), line by line, but that the last one needs no empty line and one without data is none.
fn events(bytes: &[u8]) -> Option<Vec<(String, String)>> {
    let stream = trimmed(bytes);
    if stream.first().is_none_or(|first| b"{[<".contains(first)) || stream.len() > LINE_MAX {
        return None;
    }
    let stream = String::from_utf8_lossy(stream).replace("\r\n", "\n").replace('\r', "\n");
    let (mut events, mut name, mut data) = (Vec::new(), String::new(), Vec::<String>::new());
    for line in stream.split('\n').chain(["", ""]) {
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "" if line.is_empty() => {
                let (name, data) = (std::mem::take(&mut name), std::mem::take(&mut data).join("\n"));
                if !data.is_empty() && data.trim_ascii() != "[DONE]" {
                    events.push((name, data));
                }
            }
            "data" => data.push(value.to_owned()),
            "event" => value.clone_into(&mut name),
            _ => {}
        }
    }
    Some(events)
}
