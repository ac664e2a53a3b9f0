//! Bytes become frames: server-sent events, JSON lines, the elements of a JSON array, or one JSON body.

use memchr::memchr2;

use super::contract::DecodeError;

/// Longest line of an event stream, in bytes (faults: a line without end must not fill the memory).
pub const LINE_MAX: usize = 1 << 20;
/// Most data of one event, in bytes.
pub const EVENT_MAX: usize = 4 << 20;
/// Longest JSON value that is one frame, in bytes.
pub const VALUE_MAX: usize = 64 << 20;

/// Takes one frame: the event's name (empty where there is none) and its data.
pub type Each<'a> = dyn FnMut(&str, &str) -> Result<(), DecodeError> + 'a;

/// Takes the bytes of one event: its name and its data.
type EachEvent<'a> = dyn FnMut(&str, &[u8]) -> Result<(), DecodeError> + 'a;

/// Cuts a body into frames as it arrives, whatever the fragments. What it is (events or JSON) is read off the first
/// byte that is no white space, since servers label bodies wrongly.
#[derive(Debug, Default)]
pub struct Frames {
    kind: Kind,
    /// Bytes seen before the kind was known: a byte order mark that may still be incomplete.
    head: Vec<u8>,
    done: bool,
    lossy: bool,
    any: bool,
}

#[derive(Debug, Default)]
enum Kind {
    #[default]
    Unknown,
    Events(Events),
    Json(Json),
}

const BOM: [u8; 3] = [0xEF, 0xBB, 0xBF];

impl Frames {
    #[must_use]
    pub fn new() -> Frames {
        Frames::default()
    }

    /// The stream said `[DONE]`.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.done
    }

    /// Some bytes were no UTF-8 and stand as U+FFFD.
    #[must_use]
    pub fn is_lossy(&self) -> bool {
        self.lossy
    }

    /// Comments and events without data so far.
    #[must_use]
    pub fn skipped(&self) -> u64 {
        match &self.kind {
            Kind::Events(events) => events.skipped,
            Kind::Unknown | Kind::Json(_) => 0,
        }
    }

    /// Not one byte that means anything has come.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        !self.any
    }

    /// Takes the next bytes of the body and hands over every frame that they complete.
    ///
    /// # Errors
    /// What `each` gives, or [`DecodeError::Malformed`] for HTML, a value that is no JSON, or a size over its limit.
    pub fn feed(&mut self, mut bytes: &[u8], each: &mut Each<'_>) -> Result<(), DecodeError> {
        if matches!(self.kind, Kind::Unknown) {
            self.head.extend_from_slice(bytes);
            let head = std::mem::take(&mut self.head);
            let Some(start) = self.sniff(&head)? else {
                self.head = head;
                return Ok(());
            };
            return self.feed_known(&head[start..], each);
        }
        if bytes.is_empty() {
            bytes = &[];
        }
        self.feed_known(bytes, each)
    }

    /// The body has ended: hands over a last frame that had no line end.
    ///
    /// # Errors
    /// As [`Frames::feed`]; [`DecodeError::Cut`] where a JSON value was not closed.
    pub fn end(&mut self, each: &mut Each<'_>) -> Result<(), DecodeError> {
        let (done, lossy) = (&mut self.done, &mut self.lossy);
        match &mut self.kind {
            Kind::Unknown => Ok(()),
            Kind::Events(events) => events.end(&mut |event, data| deliver(event, data, done, lossy, each)),
            Kind::Json(json) => json.end(),
        }
    }

    /// Decides what the body is, once that can be told; gives where it starts.
    fn sniff(&mut self, head: &[u8]) -> Result<Option<usize>, DecodeError> {
        if head.len() < BOM.len() && BOM.starts_with(head) {
            return Ok(None);
        }
        let after_mark = if head.starts_with(&BOM) { BOM.len() } else { 0 };
        let Some(blank) = head[after_mark..].iter().position(|byte| !byte.is_ascii_whitespace()) else {
            return Ok(None);
        };
        let start = after_mark + blank;
        self.any = true;
        self.kind = match head[start] {
            b'{' | b'[' => Kind::Json(Json::default()),
            b'<' => {
                return Err(DecodeError::Malformed("it is HTML: a portal or proxy, or a wrong base URL".into()));
            }
            _ => Kind::Events(Events::default()),
        };
        Ok(Some(start))
    }

    fn feed_known(&mut self, bytes: &[u8], each: &mut Each<'_>) -> Result<(), DecodeError> {
        let (done, lossy) = (&mut self.done, &mut self.lossy);
        match &mut self.kind {
            Kind::Unknown => Ok(()),
            Kind::Events(events) => events.feed(bytes, &mut |event, data| deliver(event, data, done, lossy, each)),
            Kind::Json(json) => json.feed(bytes, &mut |value| deliver("", value, done, lossy, each)),
        }
    }
}

fn deliver(
    event: &str,
    data: &[u8],
    done: &mut bool,
    lossy: &mut bool,
    each: &mut Each<'_>,
) -> Result<(), DecodeError> {
    let text = match std::str::from_utf8(data) {
        Ok(text) => std::borrow::Cow::Borrowed(text),
        Err(_) => {
            *lossy = true;
            String::from_utf8_lossy(data)
        }
    };
    if text.trim_ascii() == "[DONE]" {
        *done = true;
        return Ok(());
    }
    each(event, &text)
}

/// Server-sent events, by the WHATWG's rules for parsing an event stream.
#[derive(Debug, Default)]
struct Events {
    /// A line that has not ended yet.
    line: Vec<u8>,
    /// The last byte was a CR: an LF that follows belongs to it.
    after_cr: bool,
    name: String,
    data: Vec<u8>,
    has_data: bool,
    /// Comments, and events without data.
    skipped: u64,
}

impl Events {
    fn feed(&mut self, mut bytes: &[u8], each: &mut EachEvent<'_>) -> Result<(), DecodeError> {
        while !bytes.is_empty() {
            if std::mem::take(&mut self.after_cr) && bytes[0] == b'\n' {
                bytes = &bytes[1..];
                continue;
            }
            let Some(end) = memchr2(b'\n', b'\r', bytes) else {
                return self.keep(bytes);
            };
            self.after_cr = bytes[end] == b'\r';
            if self.line.is_empty() {
                too_long(end, LINE_MAX, "a line")?;
                self.line(&bytes[..end], each)?;
            } else {
                self.keep(&bytes[..end])?;
                let line = std::mem::take(&mut self.line);
                self.line(&line, each)?;
                self.line = line;
                self.line.clear();
            }
            bytes = &bytes[end + 1..];
        }
        Ok(())
    }

    fn keep(&mut self, bytes: &[u8]) -> Result<(), DecodeError> {
        self.line.extend_from_slice(bytes);
        too_long(self.line.len(), LINE_MAX, "a line")
    }

    fn line(&mut self, line: &[u8], each: &mut EachEvent<'_>) -> Result<(), DecodeError> {
        if line.is_empty() {
            return self.dispatch(each);
        }
        let (field, value) = match memchr::memchr(b':', line) {
            Some(colon) => (&line[..colon], line[colon + 1..].strip_prefix(b" ").unwrap_or(&line[colon + 1..])),
            None => (line, &[][..]),
        };
        match field {
            b"data" => {
                if self.has_data {
                    self.data.push(b'\n');
                }
                self.has_data = true;
                self.data.extend_from_slice(value);
                too_long(self.data.len(), EVENT_MAX, "an event")
            }
            b"event" => {
                self.name = String::from_utf8_lossy(value).into_owned();
                Ok(())
            }
            b"" => {
                self.skipped += 1;
                Ok(())
            }
            // `id`, `retry` and unknown fields say nothing here.
            _ => Ok(()),
        }
    }

    /// An empty line: hands the event over, unless it has no data.
    fn dispatch(&mut self, each: &mut EachEvent<'_>) -> Result<(), DecodeError> {
        if self.data.is_empty() && (self.has_data || !self.name.is_empty()) {
            self.skipped += 1;
        }
        let told = if self.data.is_empty() { Ok(()) } else { each(&self.name, &self.data) };
        self.name.clear();
        self.data.clear();
        self.has_data = false;
        told
    }

    /// The WHATWG drops an event without its empty line; usage is often in just that one, so it is read.
    fn end(&mut self, each: &mut EachEvent<'_>) -> Result<(), DecodeError> {
        if !self.line.is_empty() {
            let line = std::mem::take(&mut self.line);
            self.line(&line, each)?;
        }
        self.dispatch(each)
    }
}

/// JSON values one after the other, on lines or not, or as the elements of one array.
#[derive(Debug, Default)]
struct Json {
    value: Vec<u8>,
    /// Open brackets inside the value.
    depth: u32,
    in_string: bool,
    escaped: bool,
    in_array: bool,
    array_closed: bool,
}

impl Json {
    fn feed(
        &mut self,
        bytes: &[u8],
        each: &mut dyn FnMut(&[u8]) -> Result<(), DecodeError>,
    ) -> Result<(), DecodeError> {
        let mut start = 0;
        for (at, &byte) in bytes.iter().enumerate() {
            if self.depth == 0 {
                match byte {
                    b'{' => {
                        self.depth = 1;
                        start = at;
                    }
                    b'[' if !self.in_array && !self.array_closed => self.in_array = true,
                    b']' if self.in_array => (self.in_array, self.array_closed) = (false, true),
                    b',' if self.in_array => {}
                    byte if byte.is_ascii_whitespace() => {}
                    // The mark of a record in RFC 7464 text sequences.
                    0x1E => {}
                    _ => return Err(DecodeError::Malformed("text stands between its JSON values".into())),
                }
                continue;
            }
            if self.in_string {
                match byte {
                    _ if self.escaped => self.escaped = false,
                    b'\\' => self.escaped = true,
                    b'"' => self.in_string = false,
                    _ => {}
                }
                continue;
            }
            match byte {
                b'"' => self.in_string = true,
                b'{' | b'[' => self.depth += 1,
                b'}' | b']' => {
                    self.depth -= 1;
                    if self.depth == 0 {
                        if self.value.is_empty() {
                            each(&bytes[start..=at])?;
                        } else {
                            self.value.extend_from_slice(&bytes[start..=at]);
                            let value = std::mem::take(&mut self.value);
                            each(&value)?;
                        }
                    }
                }
                _ => {}
            }
        }
        if self.depth > 0 {
            self.value.extend_from_slice(&bytes[start..]);
            too_long(self.value.len(), VALUE_MAX, "a JSON value")?;
        }
        Ok(())
    }

    fn end(&mut self) -> Result<(), DecodeError> {
        if self.depth > 0 || self.in_array {
            return Err(DecodeError::Cut(format!("the JSON stops after {} bytes, before its end", self.value.len())));
        }
        Ok(())
    }
}

fn too_long(length: usize, most: usize, what: &str) -> Result<(), DecodeError> {
    if length > most {
        return Err(DecodeError::Malformed(format!("{what} is longer than {} MiB", most >> 20)));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, proptest};
    use proptest::{collection, prop_assert_eq};

    use super::{Each, Frames, LINE_MAX};
    use crate::wire::contract::DecodeError;

    /// The frames of `body` when it comes in pieces of `size` bytes.
    fn cut(body: &[u8], size: usize) -> Result<Vec<(String, String)>, DecodeError> {
        let mut seen = Vec::new();
        let mut frames = Frames::new();
        let each: &mut Each<'_> = &mut |event, data| {
            seen.push((event.to_owned(), data.to_owned()));
            Ok(())
        };
        for piece in body.chunks(size) {
            frames.feed(piece, each)?;
        }
        frames.end(each)?;
        Ok(seen)
    }

    fn data(body: &[u8], size: usize) -> Vec<String> {
        cut(body, size).expect("well formed").into_iter().map(|(_, data)| data).collect()
    }

    #[test]
    fn every_form_of_an_event_stream_gives_the_same_events() {
        let forms: [&[u8]; 7] = [
            b"data: {\"a\":1}\n\ndata: \xc3\xa9\n\n",
            b"\xEF\xBB\xBFdata: {\"a\":1}\n\ndata: \xc3\xa9\n\n",
            b"data: {\"a\":1}\r\n\r\ndata: \xc3\xa9\r\n\r\n",
            b"data: {\"a\":1}\r\rdata: \xc3\xa9\r\r",
            b": comment\n\ndata:{\"a\":1}\n\nid: 7\nretry: 5\ndata: \xc3\xa9\n\n",
            b"data: {\"a\":1}\n\ndata\n\ndata: \xc3\xa9",
            b"event:\nunknown: x\ndata: {\"a\":1}\n\ndata: \xc3\xa9\n\ndata: [DONE]\n\n",
        ];
        for form in forms {
            for size in [1, 2, 3, 7, 1000] {
                assert_eq!(data(form, size), ["{\"a\":1}", "é"], "{form:?} in pieces of {size}");
            }
        }
    }

    #[test]
    fn an_event_keeps_its_name_and_joins_its_data_lines() {
        let events = cut(b"event: message_stop\ndata: one\ndata: two\n\ndata: three\n\n", 1).expect("well formed");
        assert_eq!(
            events,
            [("message_stop".into(), "one\ntwo".into()), (String::new(), "three".into())] as [(String, String); 2]
        );
    }

    #[test]
    fn json_is_cut_into_its_values_however_it_is_laid_out() {
        let forms: [&[u8]; 4] = [
            b"{\"a\":\"}\\\"{\"}\n{\"b\":[1,{}]}",
            b"{\"a\":\"}\\\"{\"}\r\n\r\n{\"b\":[1,{}]}\r\n",
            b"[{\"a\":\"}\\\"{\"}\n,\n{\"b\":[1,{}]}]\n",
            b"\xEF\xBB\xBF \n{\"a\":\"}\\\"{\"}{\"b\":[1,{}]}",
        ];
        for form in forms {
            for size in [1, 2, 3, 7, 1000] {
                assert_eq!(data(form, size), ["{\"a\":\"}\\\"{\"}", "{\"b\":[1,{}]}"], "{form:?} by {size}");
            }
        }
    }

    #[test]
    fn what_is_no_answer_is_an_error() {
        assert!(matches!(cut(b"<!doctype html>", 3), Err(DecodeError::Malformed(_))));
        assert!(matches!(cut(b"{\"a\":1", 2), Err(DecodeError::Cut(_))));
        assert!(matches!(cut(b"[{\"a\":1},", 2), Err(DecodeError::Cut(_))));
        assert!(matches!(cut(b"{} oops", 2), Err(DecodeError::Malformed(_))));
    }

    #[test]
    fn a_line_without_end_is_refused_before_it_fills_the_memory() {
        let mut frames = Frames::new();
        let piece = vec![b'x'; 64 << 10];
        let mut fed = 0;
        let refused = loop {
            if let Err(error) = frames.feed(&piece, &mut |_, _| Ok(())) {
                break error;
            }
            fed += piece.len();
            assert!(fed <= LINE_MAX + piece.len());
        };
        assert!(matches!(refused, DecodeError::Malformed(_)));
    }

    #[test]
    fn bytes_that_are_no_utf8_are_replaced_and_said() {
        let mut frames = Frames::new();
        let mut seen = String::new();
        frames
            .feed(b"data: a\xFFb\n\n", &mut |_, data| {
                seen.push_str(data);
                Ok(())
            })
            .expect("read all the same");
        assert_eq!(seen, "a\u{FFFD}b");
        assert!(frames.is_lossy());
    }

    proptest! {
        #[test]
        fn fragments_never_change_the_frames(body in collection::vec(any::<u8>(), 0..200), size in 1_usize..9) {
            prop_assert_eq!(cut(&body, size), cut(&body, usize::MAX));
        }

        #[test]
        fn fragments_of_almost_events_never_change_the_frames(
            body in "(data: ?|event: |[{}\"\\\\a:,\r\n]|\u{e9}){0,60}", size in 1_usize..9,
        ) {
            prop_assert_eq!(cut(body.as_bytes(), size), cut(body.as_bytes(), usize::MAX));
        }
    }
}
