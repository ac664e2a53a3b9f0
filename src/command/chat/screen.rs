//! The answer of one call on the screen: as it comes, and what is to be said of it at the end.

use crate::call::News;
use crate::command::chat::ChatArgs;
use crate::command::schema;
use crate::domain::answer::Answer;
use crate::domain::bill::Outcome;
use crate::domain::chat::{ChatEvent, ChatRequest, FinishReason};
use crate::domain::failure::ErrorClass;
use crate::domain::report::{CallReport, Stop};
use crate::domain::untrusted::json_line;
use crate::domain::usage::Usage;
use crate::render::extract::{self, Which};
use crate::render::markdown::{Markdown, Style};
use crate::render::terminal::{Terminal, WriteError, Written};
use crate::render::{budget, call};

/// How the answer is shown.
enum Face {
    /// As it comes: into a pipe, or with `--raw`.
    Raw,
    /// As Markdown on a terminal.
    Rendered(Box<Markdown>),
    /// Events as JSON lines.
    Lines,
    /// Only at the end: one object, or one code block.
    Kept,
}

/// Shows an answer as it comes, and what is to be said of it at the end.
pub struct Screen<'a> {
    args: &'a ChatArgs,
    terminal: &'a mut Terminal,
    face: Face,
    /// The last byte of the answer on standard output was a line break, or there was none.
    at_line_start: bool,
    /// Thinking was shown and its line is still open.
    thinking: bool,
    /// What cannot be said in the middle of a line.
    later: Vec<String>,
    /// What was said of soft budgets: a retry says the same again.
    passed: Vec<String>,
    began: bool,
    fault: Option<WriteError>,
}

impl<'a> Screen<'a> {
    pub fn new(args: &'a ChatArgs, terminal: &'a mut Terminal) -> Screen<'a> {
        let pretty = terminal.out.terminal || terminal.out.colour;
        let face = if args.jsonl {
            Face::Lines
        } else if args.json || args.extract.is_some() {
            Face::Kept
        } else if args.raw || args.input.schema.is_some() || !pretty {
            Face::Raw
        } else {
            Face::Rendered(Box::new(Markdown::new(Style { width: terminal.out.width, colour: terminal.out.colour })))
        };
        Screen {
            args,
            terminal,
            face,
            at_line_start: true,
            thinking: false,
            later: Vec::new(),
            passed: Vec::new(),
            began: false,
            fault: None,
        }
    }

    /// Shows what has happened; false when nobody reads any more.
    pub fn show(&mut self, news: News<'_>) -> bool {
        if let News::Events(events) = news {
            return self.events(events);
        }
        if let News::Passed { said, .. } = news {
            let said = said.to_owned();
            if self.passed.contains(&said) {
                return true;
            }
            self.passed.push(said.clone());
            return self.events(&[ChatEvent::Note(said)]);
        }
        if let Some(sentence) = told(&news) {
            self.say(&sentence);
        }
        if let News::Again { .. } | News::Instead { .. } = news {
            self.terminal.status("waiting for another try");
        }
        true
    }

    /// Shows what has arrived in one write; false when nobody reads any more.
    fn events(&mut self, events: &[ChatEvent]) -> bool {
        let mut text = String::new();
        for event in events {
            if let Face::Lines = self.face {
                if let Some(line) = call::event(event) {
                    text.push_str(&json_line(&line));
                }
                continue;
            }
            match event {
                ChatEvent::Text(piece) => {
                    self.end_thinking();
                    text.push_str(piece);
                }
                ChatEvent::Reasoning(piece) if self.args.input.show_reasoning => {
                    self.thinking = true;
                    let _ = self.terminal.note(piece);
                }
                ChatEvent::Ignored(what) => self.say(what),
                ChatEvent::Note(note) => self.say(note),
                ChatEvent::ToolCall(tool) => {
                    self.later.push(format!("the model asks for the tool {}({})", tool.name, tool.arguments))
                }
                ChatEvent::Reasoning(_)
                | ChatEvent::Growing(_)
                | ChatEvent::Skipped(_)
                | ChatEvent::Started { .. }
                | ChatEvent::ReasoningDone(_)
                | ChatEvent::Refusal(_)
                | ChatEvent::ServerTool(_)
                | ChatEvent::Usage(_)
                | ChatEvent::Finished(_) => {}
            }
        }
        self.write(&text)
    }

    /// A piece of the answer, in the form of its face.
    fn write(&mut self, text: &str) -> bool {
        if text.is_empty() {
            return true;
        }
        let written = match &mut self.face {
            Face::Kept => return true,
            Face::Lines => self.terminal.show(text),
            Face::Raw => {
                self.began = true;
                self.at_line_start = text.ends_with('\n');
                self.terminal.answer(text)
            }
            Face::Rendered(markdown) => {
                self.began = true;
                self.terminal.show(&markdown.push(text))
            }
        };
        self.is_read(written)
    }

    fn is_read(&mut self, written: Result<Written, WriteError>) -> bool {
        match written {
            Ok(Written::All) => true,
            Ok(Written::Closed) => false,
            Err(error) => {
                self.fault = Some(error);
                false
            }
        }
    }

    /// A sentence for standard error: now, or after the answer where that has begun.
    fn say(&mut self, sentence: &str) {
        if self.args.global.quiet {
            return;
        }
        if self.began { self.later.push(sentence.to_owned()) } else { self.tell(sentence) }
    }

    fn tell(&mut self, sentence: &str) {
        let _ = self.terminal.note(&format!("llmx: {sentence}\n"));
    }

    fn end_thinking(&mut self) {
        if std::mem::take(&mut self.thinking) {
            let _ = self.terminal.note("\n\n");
        }
    }

    /// Ends the answer and says what became of the call; gives the exit code.
    pub fn finish(mut self, report: &CallReport, request: &ChatRequest) -> u8 {
        self.end_thinking();
        let mut code = self.verdict(report, request);
        if report.failure.is_none() && report.stopped.is_none() {
            self.later.extend(call::usage_note(report, self.args.global.is_verbose()));
        }
        if let Some(problem) = self.close(report)
            && code == 0
        {
            code = problem;
        }
        if !self.args.global.quiet {
            for sentence in std::mem::take(&mut self.later) {
                self.tell(&sentence);
            }
        }
        if let Some(fault) = self.fault.take() {
            return unwritten(&fault, self.terminal);
        }
        self.epilogue(report);
        if report.unbooked.is_some() && code == 0 { 1 } else { code }
    }

    /// The exit code that the call itself has earned.
    fn verdict(&mut self, report: &CallReport, request: &ChatRequest) -> u8 {
        if let Some(stop) = report.stopped {
            return stop.exit_code();
        }
        if let Some(failure) = &report.failure {
            return failure.class.exit_code();
        }
        let answer = &report.answer;
        if !answer.refusal.is_empty() {
            self.later.push(format!("the model refused: {}", answer.refusal));
            return ErrorClass::ContentFilter.exit_code();
        }
        let finish = answer.finish.as_ref();
        let words =
            finish.map(|finish| finish.detail.clone().unwrap_or_else(|| finish.raw.clone())).unwrap_or_default();
        match finish.map(|finish| finish.reason) {
            Some(FinishReason::ContentFilter) => {
                self.later.push(format!("the provider's filter stopped the answer ({words}); change the prompt"));
                return ErrorClass::ContentFilter.exit_code();
            }
            Some(FinishReason::Refusal) => {
                self.later.push(format!("the model declined to answer ({words}); change the prompt"));
                return ErrorClass::ContentFilter.exit_code();
            }
            Some(FinishReason::Length) if report.clipped_from.is_some() => {
                self.later.push("the answer was cut where the budget ends: raise the budget for more".into())
            }
            Some(FinishReason::Length) => {
                self.later.push(format!("the answer was cut at its limit ({words}); raise --max-tokens for more"))
            }
            Some(FinishReason::Stop | FinishReason::ToolCalls | FinishReason::StopSequence | FinishReason::Other)
            | None => {}
        }
        self.check_schema(answer, request)
    }

    fn check_schema(&mut self, answer: &Answer, request: &ChatRequest) -> u8 {
        let Some(wanted) = &request.settings.schema else {
            return 0;
        };
        let text = answer.text();
        // A model that was asked in words often fences its JSON.
        let fenced = extract::code_block(&text, &Which::First);
        match schema::check(wanted, &text).or_else(|misfit| match &fenced {
            Some(block) => schema::check(wanted, block),
            None => Err(misfit),
        }) {
            Ok(()) => 0,
            Err(misfit) => {
                self.later.push(misfit);
                10
            }
        }
    }

    /// The last of standard output: a line break, a code block, or the JSON object.
    fn close(&mut self, report: &CallReport) -> Option<u8> {
        let closed = report.stopped == Some(Stop::ClosedPipe);
        if closed || self.fault.is_some() {
            return None;
        }
        if self.args.json || self.args.jsonl {
            let written = self.terminal.show(&json_line(&call::object(report)));
            return (!self.is_read(written)).then_some(Stop::ClosedPipe.exit_code());
        }
        let read = match (&mut self.face, &self.args.extract) {
            (_, Some(which)) => {
                let which = match which.as_str() {
                    "" => Which::First,
                    "last" => Which::Last,
                    language => Which::Language(language.to_owned()),
                };
                let Some(block) = extract::code_block(&report.answer.text(), &which) else {
                    if report.failure.is_none() && report.stopped.is_none() {
                        self.later.push("the answer holds no such code block".into());
                        return Some(10);
                    }
                    return None;
                };
                let written = self.terminal.answer(&block);
                self.is_read(written)
            }
            (Face::Rendered(markdown), None) => {
                let rest = markdown.finish();
                let written = self.terminal.show(&rest);
                self.is_read(written)
            }
            (Face::Raw, None) if !self.at_line_start => {
                let written = self.terminal.answer("\n");
                self.is_read(written)
            }
            (Face::Raw | Face::Lines | Face::Kept, None) => true,
        };
        (!read).then_some(Stop::ClosedPipe.exit_code())
    }

    /// Why it failed or was stopped, and with `-v` what it consumed.
    fn epilogue(&mut self, report: &CallReport) {
        let name = &report.name;
        let subject = match &report.region {
            Some(region) if name.region.is_none() => format!("{name} ({region})"),
            _ => name.to_string(),
        };
        match report.stopped {
            Some(Stop::ClosedPipe) => return,
            Some(_) if !self.args.global.quiet => self.tell(stopped(report)),
            Some(_) | None => {}
        }
        if let Some(failure) = &report.failure {
            let _ = self.terminal.note(&format!("{}\n", call::failure(Some(&subject), failure)));
            if self.args.global.is_verbose()
                && let Some(details) = call::failure_details(failure)
            {
                self.tell(&details);
            }
        }
        if let Some(failure) = &report.unbooked {
            let _ = self.terminal.note(&format!("{}\n", call::failure(None, failure)));
        }
        if !self.args.global.quiet {
            for alert in report.all_alerts() {
                self.tell(&budget::alert(alert));
            }
        }
        let wanted = self.args.usage || (self.terminal.err.terminal && !self.args.json && !self.args.jsonl);
        if wanted && !report.refused && !self.args.global.is_verbose() && !self.args.global.quiet {
            let _ = self.terminal.note(&format!("{}\n", call::usage_line(report)));
        }
        if self.args.global.is_verbose() {
            self.tell(&call::summary(report, &subject));
            for note in report.answer.usage.iter().flat_map(Usage::notes) {
                self.tell(note);
            }
            if report.answer.skipped > 0 {
                let skipped = report.answer.skipped;
                self.tell(&format!("passed over: {skipped} (pings, comments, unknown events)"));
            }
        }
    }
}

/// What a call that the user stopped leaves behind.
fn stopped(report: &CallReport) -> &'static str {
    match (&report.outcome, &report.failure) {
        // It waited for another try.
        (_, Some(failure)) if !failure.may_be_billed => "stopped before another try; what failed cost nothing",
        (_, Some(_)) => "stopped before another try; what failed may be billed",
        (Outcome::NeverSent, None) if report.earlier.is_empty() => "stopped; nothing was sent",
        (Outcome::NeverSent, None) => "stopped; nothing more was sent",
        (Outcome::Reported(_) | Outcome::Unconfirmed { .. }, None) => "stopped; what came stands and may be billed",
    }
}

/// What is said of a call that goes on.
fn told(news: &News<'_>) -> Option<String> {
    Some(match news {
        News::Events(_) | News::Passed { .. } => return None,
        News::Clipped { from, to } => {
            format!("a budget leaves room for an answer of {to} tokens: the cap was lowered from {from}")
        }
        News::Again { failure, wait, attempt } => {
            format!("{}; again in {}: attempt {attempt}", call::short(failure), call::seconds(*wait))
        }
        News::NoMoreRetries => call::NO_MORE_RETRIES.to_owned(),
        News::Instead { failure, from, to } => format!("{from}: {}; asking {to} instead", call::short(failure)),
    })
}

/// Standard output could not be written: that is said, and the process fails.
pub fn unwritten(error: &WriteError, terminal: &mut Terminal) -> u8 {
    let _ = terminal.note(&format!("llmx: {error}\n"));
    1
}
