//! `--prompts FILE`: many prompts, or the variables of one template, from JSON lines, CSV or YAML.
//!
//! A case is a text, which is the prompt, or an object. Of its fields these have a meaning, all of them optional:
//!
//! | field | meaning |
//! |---|---|
//! | `prompt` | what is asked; where the command line has a prompt, too, that one must say `{{prompt}}` |
//! | `system` | the system prompt in place of the command's |
//! | `vars` | an object of variables |
//! | `name`, `id` | what the case is called |
//! | `assert` | an assertion, or a list of them, held against this case's answers |
//! | `max_tokens` | the output cap in place of the command's |
//!
//! Every other field is a variable, and so are `prompt`, `name` and `id`. `{{city}}` in a prompt or system prompt stands
//! for the variable `city`; `\{{city}}` stands for `{{city}}` itself. In CSV the first row names the fields, an empty cell
//! of a field above counts as absent, and several assertions stand on lines of their own in one cell.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read as _;

use saphyr_parser::{Event, Parser, ScalarStyle, ScanError, Span, StrInput};
use serde_json::{Map, Value};

use crate::command::input::INPUT_MAX;
use crate::domain::chat::{ChatRequest, Message, Part, Role};
use crate::domain::failure::{ErrorClass, Failure};

/// Most cases of one file.
pub const CASES_MAX: usize = 100_000;

/// Deepest nesting of a YAML file.
const DEPTH_MAX: usize = 64;

/// One prompt of a matrix.
#[derive(Debug, Clone, PartialEq)]
pub struct Case {
    /// Where it begins in the file.
    pub line: usize,
    pub name: String,
    pub request: ChatRequest,
    /// Assertions on this case's answers, as they are written.
    pub asserts: Vec<String>,
}

impl Case {
    /// The failure with the place in the file.
    #[must_use]
    pub fn at_fault(&self, file: &str, mut failure: Failure) -> Failure {
        failure.message = format!("{file}:{}: {}; nothing was sent", self.line, failure.message);
        failure
    }
}

/// The text of a file of prompts.
///
/// # Errors
/// `config` where it cannot be read, is no UTF-8 or is too large.
pub fn load(file: &str) -> Result<String, Failure> {
    let wrong = |reason: String| {
        Failure::new(ErrorClass::Config, format!("--prompts {file}: {reason}; nothing was sent"))
            .advise("give a file of JSON lines, CSV or YAML")
    };
    let mut bytes = Vec::new();
    let open = std::fs::File::open(file).map_err(|error| wrong(error.to_string()))?;
    open.take(INPUT_MAX as u64 + 1).read_to_end(&mut bytes).map_err(|error| wrong(error.to_string()))?;
    String::from_utf8(bytes).map_err(|_| wrong("no UTF-8 text".into()))
}

/// A request without the text of its prompt, and that text: the template of a matrix.
#[must_use]
pub fn template(mut request: ChatRequest) -> (ChatRequest, Option<String>) {
    let Some(message) = request.messages.last_mut() else { return (request, None) };
    let Some(at) = message.parts.iter().position(|part| matches!(part, Part::Text(_))) else { return (request, None) };
    match message.parts.remove(at) {
        Part::Text(text) => (request, Some(text)),
        _ => (request, None),
    }
}

/// The cases of a file. `base`: settings, system prompt and attachments of the command line; `template`: its prompt;
/// see [`template`].
///
/// # Errors
/// `config` with file and line: something that cannot be read, a variable that the case does not have, nothing to ask.
pub fn read(file: &str, text: &str, base: &ChatRequest, template: Option<&str>) -> Result<Vec<Case>, Failure> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    if text.len() > INPUT_MAX {
        return Err(wrong(file, 1, format!("larger than {} MiB", INPUT_MAX >> 20)));
    }
    let rows = match form(file, text) {
        Form::JsonLines => json_lines(file, text),
        Form::Csv => csv(file, text),
        Form::Yaml => yaml(file, text),
    }?;
    if rows.is_empty() {
        return Err(wrong(file, 1, "there is no prompt in it".into()));
    }
    rows.into_iter().enumerate().map(|(at, row)| case(file, at, row, base, template)).collect()
}

fn wrong(file: &str, line: usize, reason: String) -> Failure {
    Failure::new(ErrorClass::Config, format!("{file}:{line}: {reason}; nothing was sent"))
}

/// A case as it is written, and the line on which it begins.
struct Row {
    line: usize,
    fields: Map<String, Value>,
}

#[derive(Debug, PartialEq, Eq)]
enum Form {
    JsonLines,
    Csv,
    Yaml,
}

/// By the file's ending, else by how it begins.
fn form(file: &str, text: &str) -> Form {
    match file.rsplit('.').next().unwrap_or_default().to_ascii_lowercase().as_str() {
        "jsonl" | "ndjson" => Form::JsonLines,
        "csv" => Form::Csv,
        "yaml" | "yml" => Form::Yaml,
        _ => match text.trim_start() {
            begun if begun.starts_with(['{', '"']) && !begun.starts_with("{{") => Form::JsonLines,
            begun if begun.starts_with(['-', '[', '#', '%']) => Form::Yaml,
            _ => Form::Csv,
        },
    }
}

fn case(file: &str, at: usize, row: Row, base: &ChatRequest, template: Option<&str>) -> Result<Case, Failure> {
    let Row { line, mut fields } = row;
    let fail = |reason: String| wrong(file, line, reason);
    let vars = match fields.remove("vars") {
        None | Some(Value::Null) => Map::new(),
        Some(Value::Object(vars)) => vars,
        Some(_) => return Err(fail("vars is no object".into())),
    };
    let system = text_of(fields.remove("system")).map_err(|()| fail("system is no text".into()))?;
    let asserts =
        asserts(fields.remove("assert")).ok_or_else(|| fail("assert is no text and no list of texts".into()))?;
    let cap = cap(fields.remove("max_tokens")).ok_or_else(|| fail("max_tokens is no whole number above 0".into()))?;
    let own = match fields.get("prompt") {
        None | Some(Value::Null) => None,
        Some(Value::String(prompt)) => Some(prompt.clone()),
        Some(_) => return Err(fail("prompt is no text".into())),
    };
    let name = ["name", "id"].iter().find_map(|field| fields.get(*field)).and_then(word);
    let mut variables: BTreeMap<String, String> = BTreeMap::new();
    for (field, value) in fields.into_iter().chain(vars) {
        if let Some(word) = word(&value)
            && variables.insert(field.clone(), word).is_some()
        {
            return Err(fail(format!("\"{field}\" stands both beside vars and in it")));
        }
    }
    let prompt = match (own, template) {
        (Some(_), Some(template)) if placeholders(template).all(|name| name != "prompt") => {
            return Err(fail("there is a prompt here and on the command line: say {{prompt}} in that one".into()));
        }
        (Some(own), Some(template)) => {
            let own = fill(&own, &variables).map_err(|name| fail(unknown(&name, &variables)))?;
            variables.insert("prompt".into(), own);
            fill(template, &variables).map_err(|name| fail(unknown(&name, &variables)))?
        }
        (Some(text), None) => fill(&text, &variables).map_err(|name| fail(unknown(&name, &variables)))?,
        (None, Some(text)) => fill(text, &variables).map_err(|name| fail(unknown(&name, &variables)))?,
        (None, None) => return Err(fail("no prompt: give one here, or a template on the command line".into())),
    };
    if prompt.trim().is_empty() {
        return Err(fail("the prompt is empty".into()));
    }
    let mut request = base.clone();
    request.system = match system.or(request.system) {
        Some(system) => Some(fill(&system, &variables).map_err(|name| fail(unknown(&name, &variables)))?),
        None => None,
    };
    request.settings.max_tokens = cap.or(request.settings.max_tokens);
    match request.messages.last_mut() {
        Some(message) => message.parts.insert(0, Part::Text(prompt)),
        None => request.messages.push(Message { role: Role::User, parts: vec![Part::Text(prompt)] }),
    }
    Ok(Case { line, name: name.unwrap_or_else(|| format!("#{}", at + 1)), request, asserts })
}

/// `Err` where it is no text.
fn text_of(value: Option<Value>) -> Result<Option<String>, ()> {
    match value {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(()),
    }
}

fn asserts(value: Option<Value>) -> Option<Vec<String>> {
    match value {
        None | Some(Value::Null) => Some(Vec::new()),
        Some(Value::String(one)) => Some(vec![one]),
        Some(Value::Array(all)) => all.into_iter().map(|one| text_of(Some(one)).ok().flatten()).collect(),
        Some(_) => None,
    }
}

/// `None` where it is no cap; `Some(None)` where there is none.
fn cap(value: Option<Value>) -> Option<Option<u32>> {
    let cap = match value {
        None | Some(Value::Null) => return Some(None),
        Some(Value::String(text)) => text.trim().parse().ok(),
        Some(Value::Number(number)) => number.to_string().parse().ok(),
        Some(_) => None,
    };
    cap.filter(|cap| *cap > 0).map(Some)
}

/// A variable as it is written into a text; `null` is none.
fn word(value: &Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => Some(value.to_string()),
    }
}

fn unknown(name: &str, variables: &BTreeMap<String, String>) -> String {
    let near = variables.keys().min_by_key(|known| strsim::damerau_levenshtein(known, name));
    let near = near.filter(|known| strsim::damerau_levenshtein(known, name) <= 2);
    let hint = near.map(|near| format!("; there is {{{{{near}}}}}")).unwrap_or_default();
    format!("no variable {{{{{name}}}}}{hint} (\\{{{{ writes the braces themselves)")
}

/// A piece of a template.
enum Piece<'a> {
    Text(&'a str),
    Variable(&'a str),
}

/// A template cut into its pieces. Double braces around anything but a name are text.
fn pieces(template: &str) -> Vec<Piece<'_>> {
    let mut pieces = Vec::new();
    let (mut from, mut at) = (0, 0);
    while let Some(found) = template[at..].find("{{") {
        let open = at + found;
        if template[..open].ends_with('\\') {
            pieces.push(Piece::Text(&template[from..open - 1]));
            (from, at) = (open, open + 2);
            continue;
        }
        match template[open + 2..].find("}}").map(|length| template[open + 2..open + 2 + length].trim()) {
            Some(name) if is_name(name) => {
                let end = template[open + 2..].find("}}").map_or(template.len(), |length| open + 4 + length);
                pieces.push(Piece::Text(&template[from..open]));
                pieces.push(Piece::Variable(name));
                (from, at) = (end, end);
            }
            _ => at = open + 1,
        }
    }
    pieces.push(Piece::Text(&template[from..]));
    pieces
}

fn is_name(name: &str) -> bool {
    let rest = |character: char| character.is_alphanumeric() || matches!(character, '_' | '-' | '.' | ' ');
    name.chars().next().is_some_and(|first| first.is_alphabetic() || first == '_') && name.chars().all(rest)
}

fn placeholders(template: &str) -> impl Iterator<Item = &str> {
    pieces(template).into_iter().filter_map(|piece| match piece {
        Piece::Variable(name) => Some(name),
        Piece::Text(_) => None,
    })
}

/// The template with its variables filled in, each once: what stands in a variable is never read as a template. The name
/// of one that there is not is the error.
fn fill(template: &str, variables: &BTreeMap<String, String>) -> Result<String, String> {
    let filled = pieces(template).into_iter().map(|piece| match piece {
        Piece::Text(text) => Ok(text),
        Piece::Variable(name) => variables.get(name).map(String::as_str).ok_or_else(|| name.to_owned()),
    });
    filled.collect()
}

/// The fields of a case that is written as one value.
fn fields(file: &str, line: usize, value: Value) -> Result<Row, Failure> {
    let fields = match value {
        Value::Object(fields) => fields,
        Value::String(prompt) => [("prompt".to_owned(), Value::String(prompt))].into_iter().collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) => {
            return Err(wrong(file, line, "a case is a text or an object".into()));
        }
    };
    Ok(Row { line, fields })
}

/// Adds a row where there is room.
fn add(file: &str, rows: &mut Vec<Row>, row: Row) -> Result<(), Failure> {
    if rows.len() == CASES_MAX {
        return Err(wrong(file, row.line, format!("more than {CASES_MAX} prompts")));
    }
    rows.push(row);
    Ok(())
}

fn json_lines(file: &str, text: &str) -> Result<Vec<Row>, Failure> {
    let mut rows = Vec::new();
    for (at, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let value = serde_json::from_str(line).map_err(|error| {
            // Its own line is always the first.
            let reason = error.to_string().replace(" at line 1 column ", " at column ");
            wrong(file, at + 1, format!("no JSON: {reason}"))
        })?;
        add(file, &mut rows, fields(file, at + 1, value)?)?;
    }
    Ok(rows)
}

/// RFC 4180. A field that means something to us is absent where its cell is empty.
fn csv(file: &str, text: &str) -> Result<Vec<Row>, Failure> {
    const KNOWN: [&str; 7] = ["prompt", "system", "vars", "name", "id", "assert", "max_tokens"];
    // The reader takes the end of the file for the end of a quoted cell, and a mark that is missing would swallow the rest.
    if text.bytes().filter(|byte| *byte == b'"').count() % 2 == 1 {
        return Err(wrong(file, text.lines().count().max(1), "a quotation mark is not closed".into()));
    }
    let unreadable = |error: csv::Error| {
        let line = error.position().map_or(1, |position| line_of(text, position, &mut (0, 1)));
        let reason = match error.kind() {
            csv::ErrorKind::UnequalLengths { expected_len, len, .. } => {
                format!("{len} cells where the first row has {expected_len}")
            }
            _ => error.to_string(),
        };
        wrong(file, line, reason)
    };
    let mut reader = csv::ReaderBuilder::new().from_reader(text.as_bytes());
    let head = reader.headers().map_err(unreadable)?.clone();
    let mut seen = BTreeSet::new();
    if let Some(name) = head.iter().find(|name| name.trim().is_empty() || !seen.insert(name.trim())) {
        return Err(wrong(
            file,
            1,
            format!("the first row names the variables: \"{}\" is no name or there twice", name.trim()),
        ));
    }
    let mut rows = Vec::new();
    let mut counted = (0, 1);
    for record in reader.records() {
        let record = record.map_err(unreadable)?;
        let line = record.position().map_or(1, |position| line_of(text, position, &mut counted));
        let cells =
            head.iter().map(str::trim).zip(&record).filter(|(name, cell)| !(cell.is_empty() && KNOWN.contains(name)));
        let fields = cells
            .map(|(name, cell)| {
                let value = match name {
                    "assert" => cell.lines().filter(|line| !line.trim().is_empty()).collect(),
                    "vars" => serde_json::from_str(cell).unwrap_or_else(|_| cell.into()),
                    _ => cell.into(),
                };
                (name.to_owned(), value)
            })
            .collect();
        add(file, &mut rows, Row { line, fields })?;
    }
    Ok(rows)
}

/// The line on which a row begins. The reader's own count is one too few behind a CR LF, whose LF it takes for the next
/// row's. `counted`: the byte up to which lines were counted, and the line there.
fn line_of(text: &str, position: &csv::Position, counted: &mut (usize, usize)) -> usize {
    let bytes = text.as_bytes();
    let mut at = usize::try_from(position.byte()).unwrap_or(0).clamp(counted.0, bytes.len());
    at += bytes[at..].iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
    let lines = bytes[counted.0..at].iter().filter(|byte| **byte == b'\n').count();
    *counted = (at, counted.1 + lines);
    counted.1
}

/// A YAML file, event by event.
struct Yaml<'a> {
    file: &'a str,
    events: Parser<'a, StrInput<'a>>,
}

fn yaml(file: &str, text: &str) -> Result<Vec<Row>, Failure> {
    let mut yaml = Yaml { file, events: Parser::new_from_str(text) };
    let mut rows = Vec::new();
    let mut lists = 0;
    loop {
        match yaml.next()? {
            (Event::StreamEnd, _) => return Ok(rows),
            (Event::Nothing | Event::StreamStart | Event::DocumentStart(_) | Event::DocumentEnd, _) => {}
            (Event::SequenceStart(..), line) if lists > 0 => {
                return Err(wrong(file, line, "a second document: one list holds all cases".into()));
            }
            (Event::SequenceStart(..), _) => loop {
                let (event, line) = yaml.next()?;
                if matches!(event, Event::SequenceEnd) {
                    lists += 1;
                    break;
                }
                let value = yaml.value(event, line, 0)?;
                add(file, &mut rows, fields(file, line, value)?)?;
            },
            (_, line) => return Err(wrong(file, line, "no list of cases".into())),
        }
    }
}

impl<'a> Yaml<'a> {
    /// The next event, and its line.
    fn next(&mut self) -> Result<(Event<'a>, usize), Failure> {
        let unreadable =
            |error: ScanError| wrong(self.file, error.marker().line(), format!("no YAML: {}", error.info()));
        match self.events.next_event() {
            None => Ok((Event::StreamEnd, 1)),
            Some(next) => {
                let (event, Span { start, .. }) = next.map_err(unreadable)?;
                Ok((event, start.line()))
            }
        }
    }

    fn value(&mut self, event: Event<'a>, line: usize, depth: usize) -> Result<Value, Failure> {
        if depth > DEPTH_MAX {
            return Err(wrong(self.file, line, format!("nested deeper than {DEPTH_MAX}")));
        }
        match event {
            Event::Scalar(text, ScalarStyle::Plain, _, None) => Ok(plain(&text)),
            Event::Scalar(text, _, _, None) => Ok(Value::String(text.into_owned())),
            Event::SequenceStart(_, None) => {
                let mut items = Vec::new();
                loop {
                    let (event, line) = self.next()?;
                    if matches!(event, Event::SequenceEnd) {
                        return Ok(Value::Array(items));
                    }
                    items.push(self.value(event, line, depth + 1)?);
                }
            }
            Event::MappingStart(_, None) => {
                let mut map = Map::new();
                loop {
                    let (event, line) = self.next()?;
                    let name = match event {
                        Event::MappingEnd => return Ok(Value::Object(map)),
                        Event::Scalar(name, ..) => name.into_owned(),
                        _ => return Err(wrong(self.file, line, "the name of a field is no text".into())),
                    };
                    let (event, value_line) = self.next()?;
                    let value = self.value(event, value_line, depth + 1)?;
                    if map.insert(name.clone(), value).is_some() {
                        return Err(wrong(self.file, line, format!("\"{name}\" is there twice")));
                    }
                }
            }
            // A few of them can make a small file huge.
            Event::Alias(_) => Err(wrong(self.file, line, "aliases (*name) are not read: write it out".into())),
            Event::Scalar(..) | Event::SequenceStart(..) | Event::MappingStart(..) => {
                Err(wrong(self.file, line, "tags (!name) are not read".into()))
            }
            Event::Nothing
            | Event::StreamStart
            | Event::StreamEnd
            | Event::DocumentStart(_)
            | Event::DocumentEnd
            | Event::SequenceEnd
            | Event::MappingEnd => Err(wrong(self.file, line, "it ends in the middle of a case".into())),
        }
    }
}

/// A scalar without quotation marks: null, true, false or a number as JSON writes them, else its text. A number in
/// another notation stays the text that it is, since variables are texts in the end.
fn plain(text: &str) -> Value {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => Value::Null,
        "true" | "True" | "TRUE" => Value::Bool(true),
        "false" | "False" | "FALSE" => Value::Bool(false),
        _ => match serde_json::from_str(text) {
            Ok(Value::Number(number)) => Value::Number(number),
            _ => Value::String(text.to_owned()),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::{CASES_MAX, Case, read, template};
    use crate::domain::chat::{ChatRequest, Media, MediaSource, Message, Part, Role};
    use crate::domain::failure::ErrorClass;

    fn cases(file: &str, text: &str, template: Option<&str>) -> Vec<Case> {
        read(file, text, &ChatRequest::default(), template).expect("reads")
    }

    fn prompt(case: &Case) -> &str {
        match &case.request.messages[0].parts[0] {
            Part::Text(text) => text,
            other => panic!("{other:?} is no text"),
        }
    }

    fn refused(file: &str, text: &str, template: Option<&str>) -> String {
        let failure = read(file, text, &ChatRequest::default(), template).expect_err(text);
        assert_eq!(failure.class, ErrorClass::Config);
        failure.message
    }

    #[test]
    fn the_same_cases_can_be_written_in_each_form() {
        let lines = "{\"name\": \"it\", \"city\": \"Rome\", \"assert\": [\"contains:a\", \"json\"], \"max_tokens\": 20}\n\n\
            {\"id\": 7, \"vars\": {\"city\": \"Paris, \\\"France\\\"\"}, \"system\": \"In {{city}}\"}\n";
        let table = "name,id,city,assert,max_tokens,system\r\nit,,Rome,\"contains:a\njson\",20,\r\n\
            ,7,\"Paris, \"\"France\"\"\",,,In {{city}}\r\n";
        let list = "# two cases\n- name: it\n  city: Rome\n  assert: [contains:a, json]\n  max_tokens: 20\n\
            - id: 7\n  vars:\n    city: 'Paris, \"France\"'\n  system: In {{city}}\n";
        let read = [("a.jsonl", lines), ("a.csv", table), ("a.yaml", list)].map(|(file, text)| {
            let by_name = cases(file, text, Some("Where is {{ city }}?"));
            assert_eq!(by_name, cases("prompts", text, Some("Where is {{ city }}?")), "{file}");
            by_name
        });
        // Each form has lines of its own: JSON's second case follows an empty one, CSV's a cell of two.
        assert_eq!(read.each_ref().map(|cases| [cases[0].line, cases[1].line]), [[1, 3], [2, 4], [2, 6]]);
        let elsewhere = |cases: &[Case]| cases.iter().map(|case| Case { line: 0, ..case.clone() }).collect::<Vec<_>>();
        assert_eq!(elsewhere(&read[0]), elsewhere(&read[1]));
        assert_eq!(elsewhere(&read[0]), elsewhere(&read[2]));
        let [one, two] = &read[0][..] else { panic!("{read:?}") };
        assert_eq!((one.name.as_str(), prompt(one)), ("it", "Where is Rome?"));
        assert_eq!(
            (&one.asserts[..], one.request.settings.max_tokens),
            (&["contains:a".into(), "json".into()][..], Some(20))
        );
        assert_eq!((two.name.as_str(), prompt(two)), ("7", "Where is Paris, \"France\"?"));
        assert_eq!(two.request.system.as_deref(), Some("In Paris, \"France\""));
    }

    #[test]
    fn a_text_is_a_prompt_and_may_stand_in_the_commands() {
        let both = [
            ("a.jsonl", "\"one\"\n{\"prompt\":\"two\"}"),
            ("a.yml", "- one\n- prompt: |-\n    two\n"),
            ("a.csv", "prompt\none\ntwo\n"),
        ];
        for (file, text) in both {
            let plain = cases(file, text, None);
            assert_eq!((prompt(&plain[0]), prompt(&plain[1]), plain[1].name.as_str()), ("one", "two", "#2"), "{file}");
            assert_eq!(prompt(&cases(file, text, Some("Say {{prompt}}!"))[1]), "Say two!");
            assert!(refused(file, text, Some("Say it")).contains("{{prompt}}"));
        }
    }

    #[test]
    fn a_variable_that_is_not_there_is_named_with_its_line_and_what_is_filled_in_is_no_template() {
        let lines = "{\"city\":\"Rome\"}\n{\"town\":\"Bonn\"}\n";
        let said = refused("p.jsonl", lines, Some("{{city}}"));
        assert!(said.starts_with("p.jsonl:2:") && said.contains("{{city}}"), "{said}");
        assert!(refused("p.jsonl", "{\"citi\":1}", Some("{{city}}")).contains("there is {{citi}}"));
        let braces = cases("p.jsonl", "{\"a\":\"{{b}}\",\"b\":\"x\"}", Some("{{a}} \\{{a}} {{ 1 + 1 }} {{ {{b}}"));
        assert_eq!(prompt(&braces[0]), "{{b}} {{a}} {{ 1 + 1 }} {{ x");
    }

    #[test]
    fn variables_are_written_as_they_stand() {
        let list = "- {n: 1.50, yes: yes, on: true, list: [1, a], hex: 0x1F, big: 12345678901234567890123}\n";
        let filled = cases("p.yaml", list, Some("{{n}} {{yes}} {{on}} {{list}} {{hex}} {{big}}"));
        assert_eq!(prompt(&filled[0]), "1.50 yes true [1,\"a\"] 0x1F 12345678901234567890123");
    }

    #[test]
    fn what_cannot_be_read_is_told_with_file_and_line() {
        for (file, text, template, told) in [
            ("p.jsonl", "{\"prompt\":\"x\"}\n{\"prompt\":", None, "p.jsonl:2: no JSON"),
            ("p.jsonl", "{\"prompt\":\"x\"}\n\n17\n", None, "p.jsonl:3: a case is"),
            ("p.jsonl", "{\"prompt\":3}", None, "p.jsonl:1: prompt is no text"),
            ("p.jsonl", "{\"prompt\":\"x\",\"max_tokens\":-1}", None, "p.jsonl:1: max_tokens"),
            ("p.jsonl", "{\"prompt\":\"x\",\"assert\":[1]}", None, "p.jsonl:1: assert"),
            ("p.jsonl", "{\"a\":1,\"vars\":{\"a\":2}}", Some("x"), "p.jsonl:1: \"a\" stands both"),
            ("p.jsonl", "{\"a\":1}", None, "p.jsonl:1: no prompt"),
            ("p.jsonl", "\n", None, "p.jsonl:1: there is no prompt"),
            ("p.csv", "a,b\n1,2\n1\n", Some("x"), "p.csv:3: 1 cells where the first row has 2"),
            ("p.csv", "a,a\n1,2\n", Some("x"), "p.csv:1: the first row"),
            ("p.csv", "a\n\"open\n2\n", Some("x"), "p.csv:3: a quotation mark"),
            ("p.yaml", "- a: 1\n- a: [1\n", Some("x"), "p.yaml:"),
            ("p.yaml", "a: 1\n", Some("x"), "p.yaml:1: no list"),
            ("p.yaml", "- a: 1\n  a: 2\n", Some("x"), "p.yaml:2: \"a\" is there twice"),
            ("p.yaml", "- &a x\n- *a\n", Some("x"), "p.yaml:2: aliases"),
            ("p.yaml", "- !run x\n", Some("x"), "p.yaml:1: tags"),
            ("p.yaml", "- a\n---\n- b\n", None, "p.yaml:3: a second document"),
        ] {
            let said = refused(file, text, template);
            assert!(said.starts_with(told), "{text:?} gave {said}");
        }
        assert!(refused("p.yaml", &format!("- {}", "[".repeat(5_000)), Some("x")).starts_with("p.yaml:1:"));
    }

    #[test]
    fn no_more_cases_are_read_than_can_be_sent() {
        assert_eq!(cases("p.jsonl", &"\"x\"\n".repeat(CASES_MAX), None).len(), CASES_MAX);
        let said = refused("p.jsonl", &"\"x\"\n".repeat(CASES_MAX + 1), None);
        assert!(said.starts_with("p.jsonl:100001: more than"), "{said}");
    }

    #[test]
    fn attachments_and_settings_of_the_command_stay() {
        let image = Media { mime: "image/png".into(), source: MediaSource::Bytes(vec![1]), name: None };
        let parts = vec![Part::Text("See {{what}}".into()), Part::Image(image.clone())];
        let mut asked = ChatRequest { messages: vec![Message { role: Role::User, parts }], ..ChatRequest::default() };
        asked.settings.max_tokens = Some(9);
        let (base, text) = template(asked);
        let read = read("p.jsonl", "{\"what\":\"it\"}", &base, text.as_deref()).expect("reads");
        assert_eq!(read[0].request.messages[0].parts, [Part::Text("See it".into()), Part::Image(image)]);
        assert_eq!(read[0].request.settings.max_tokens, Some(9));
    }
}
