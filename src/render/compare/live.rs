//! The screen while the answers come: what stands on it now, and the fewest bytes that bring it there.
//!
//! It stands on the terminal's second screen: nothing of it stays, a resize cannot smear it, and what was there before is
//! there afterwards. The answers are printed once, when all have come.

use super::{BESIDE_MIN, columns, lay, tell};
use crate::domain::money::Usd;
use crate::domain::untrusted::{one_line, visible};
use crate::render::face::Face;

/// To the second screen, without a cursor, and no line goes on behind the last column (xterm, ctlseqs: DECSET 1049, 25, 7).
pub const OPEN: &str = "\u{1b}[?1049h\u{1b}[?25l\u{1b}[?7l";
/// Back to how it was; harmless where nothing was opened.
pub const CLOSE: &str = "\u{1b}[0m\u{1b}[?7h\u{1b}[?25h\u{1b}[?1049l";

/// A terminal that knows this shows what lies between as one (Contour's synchronized output, mode 2026).
const BEGIN: &str = "\u{1b}[?2026h";
const END: &str = "\u{1b}[?2026l";

/// Bytes of a line without end that are looked at for each column that it may fill.
const BYTES_PER_COLUMN: usize = 16;

/// All models while they answer. Times are milliseconds of one clock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LiveState {
    pub lanes: Vec<LiveLane>,
    pub colour: bool,
}

/// One model while it answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LiveLane {
    pub label: String,
    pub phase: Phase,
    /// What has come of the answer, as it came.
    pub text: String,
    pub begun_ms: u64,
    /// Tokens of the answer so far, counted or estimated.
    pub tokens: Option<u64>,
    /// The amount so far.
    pub spent: Option<Usd>,
}

/// Where a model stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Phase {
    /// It waits for its turn.
    Queued,
    /// Sent, and nothing has come.
    Waiting,
    Thinking,
    Answering,
    /// It failed so (`429`) and is sent again at this time.
    Retrying {
        why: String,
        again_ms: u64,
    },
    Done {
        ended_ms: u64,
    },
    /// The class of the failure, or that it was stopped.
    Failed {
        ended_ms: u64,
        why: String,
    },
}

/// What stands on a screen of this size.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// At most `height`, none wider than `width`.
    pub lines: Vec<String>,
    pub width: usize,
    pub height: usize,
}

/// The screen as it is now: heads with the state, and as much of the answers' ends as has room.
#[must_use]
pub fn frame(state: &LiveState, width: usize, height: usize, now_ms: u64) -> Frame {
    let (width, height) = (width.max(1), height.max(1));
    let beside = if width < BESIDE_MIN { 1 } else { columns::beside(width) };
    let bands = state.lanes.len().div_ceil(beside).max(1);
    // Two lines of head, a rule, and a blank line between two bands.
    let body = (height.saturating_sub(bands - 1) / bands).saturating_sub(3);
    let mut lines = Vec::new();
    if body == 0 {
        lines = heads(state, width, height, now_ms);
    } else {
        for (at, lanes) in state.lanes.chunks(beside).enumerate() {
            if at > 0 {
                lines.push(String::new());
            }
            lines.extend(band(lanes, width, body, now_ms, state.colour));
        }
    }
    Frame { lines, width, height }
}

fn band(lanes: &[LiveLane], width: usize, body: usize, now_ms: u64, colour: bool) -> Vec<String> {
    let column = columns::column(width, lanes.len());
    let heads: Vec<Vec<String>> = lanes
        .iter()
        .map(|lane| {
            let label = lay::painted(&ending(&one_line(&lane.label), column), Face::BOLD, colour);
            vec![label, lay::painted(&joined(&said(lane, now_ms), column), Face::DIM, colour)]
        })
        .collect();
    let bodies: Vec<Vec<String>> = lanes.iter().map(|lane| tail(&lane.text, column, body)).collect();
    let rule = columns::rule(column, lanes.len(), width);
    let text = format!("{}{rule}\n{}", columns::rows(&heads, column), columns::rows(&bodies, column));
    text.lines().map(str::to_owned).collect()
}

/// Where there is no room for answers: a line for each model.
fn heads(state: &LiveState, width: usize, height: usize, now_ms: u64) -> Vec<String> {
    let line = |lane: &LiveLane| {
        let mut said = vec![one_line(&lane.label)];
        said.extend(self::said(lane, now_ms));
        if lay::columns(&said[0]) > width { ending(&said[0], width) } else { joined(&said, width) }
    };
    let shown = if state.lanes.len() > height { height - 1 } else { state.lanes.len() };
    let mut lines: Vec<String> = state.lanes[..shown].iter().map(line).collect();
    if shown < state.lanes.len() {
        lines.push(joined(&[format!("{} more", state.lanes.len() - shown)], width));
    }
    lines
}

/// `0.6s`, `34 tok`, `$0.0004`, and what else there is to know.
fn said(lane: &LiveLane, now_ms: u64) -> Vec<String> {
    let tenths = |until: u64| {
        let millis = until.saturating_sub(lane.begun_ms);
        format!("{}.{}s", millis / 1000, millis % 1000 / 100)
    };
    let mut said = match &lane.phase {
        Phase::Queued => vec!["waits for its turn".to_owned()],
        Phase::Waiting => vec![tenths(now_ms)],
        Phase::Thinking => vec![tenths(now_ms), "thinks".to_owned()],
        Phase::Answering => vec![tenths(now_ms)],
        Phase::Retrying { why, again_ms } => {
            let wait = again_ms.saturating_sub(now_ms).div_ceil(1000);
            vec![tenths(now_ms), format!("{}, again in {wait} s", one_line(why))]
        }
        Phase::Done { ended_ms } => vec!["done".to_owned(), tell::seconds(ended_ms.saturating_sub(lane.begun_ms))],
        Phase::Failed { ended_ms, why } => vec![one_line(why), tenths(*ended_ms)],
    };
    said.extend(lane.tokens.map(|tokens| format!("{tokens} tok")));
    let done = matches!(lane.phase, Phase::Done { .. });
    said.extend(lane.spent.map(|spent| format!("${}", if done { spent } else { rounded(spent) })));
    said
}

/// An amount that still grows, to four decimals, or to two digits where it is smaller.
fn rounded(amount: Usd) -> Usd {
    const TEN_THOUSANDTH: i64 = 100_000_000;
    let digits = amount.picos.unsigned_abs().checked_ilog10().unwrap_or(0);
    let small = amount.picos.unsigned_abs() < TEN_THOUSANDTH.unsigned_abs();
    let step = if small { 10i64.pow(digits.saturating_sub(1)) } else { TEN_THOUSANDTH };
    Usd::from_picos(amount.picos.saturating_add(step / 2) / step * step)
}

/// As many items as have room; none is cut.
fn joined(items: &[String], width: usize) -> String {
    let mut text = String::new();
    for item in items {
        let between = if text.is_empty() { "" } else { " · " };
        if lay::columns(&text) + lay::columns(between) + lay::columns(item) > width {
            break;
        }
        text.push_str(between);
        text.push_str(item);
    }
    text
}

/// A name, or its end where it has no room: models of one provider begin alike.
fn ending(name: &str, width: usize) -> String {
    if lay::columns(name) <= width {
        return name.to_owned();
    }
    let mut end = name;
    while lay::columns(end) + 1 > width
        && let Some(first) = end.chars().next()
    {
        end = &end[first.len_utf8()..];
    }
    format!("…{end}")
}

/// The last lines of a text at a width. What lies before them is not looked at, however long it is.
fn tail(text: &str, width: usize, rows: usize) -> Vec<String> {
    let mut lines: Vec<Vec<String>> = Vec::new();
    let mut count = 0;
    for line in text.strip_suffix('\n').unwrap_or(text).rsplit('\n') {
        let line = line.strip_suffix('\r').unwrap_or(line);
        let mut from = line.len().saturating_sub(rows.saturating_mul(width).saturating_mul(BYTES_PER_COLUMN));
        while !line.is_char_boundary(from) {
            from += 1;
        }
        let folded = lay::folded(&visible(&line[from..]), Some(width));
        count += folded.len();
        lines.push(folded);
        if count >= rows {
            break;
        }
    }
    lines.into_iter().rev().flatten().skip(count.saturating_sub(rows)).collect()
}

/// What turns one frame on the screen into the next: only lines that differ, each written over the old one without
/// clearing it first. Nothing where both are alike; everything where there was none, or the size is another.
#[must_use]
pub fn repaint(before: Option<&Frame>, now: &Frame) -> String {
    let kept = before.filter(|before| (before.width, before.height) == (now.width, now.height));
    let old = |row: usize| kept.and_then(|frame| frame.lines.get(row)).map_or("", String::as_str);
    let mut changes = String::new();
    for row in 0..now.lines.len().max(kept.map_or(0, |frame| frame.lines.len())) {
        let line = now.lines.get(row).map_or("", String::as_str);
        if line == old(row) {
            continue;
        }
        changes.push_str(&format!("\u{1b}[{};1H{line}", row + 1));
        // In the last column the cursor stands on what was just written.
        if lay::columns(line) < now.width {
            changes.push_str("\u{1b}[K");
        }
    }
    match (kept.is_some(), changes.is_empty()) {
        (true, true) => String::new(),
        (true, false) => format!("{BEGIN}{changes}{END}"),
        (false, _) => format!("{BEGIN}\u{1b}[0m\u{1b}[2J{changes}{END}"),
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU16;

    use proptest::prelude::{ProptestConfig, any, prop};
    use proptest::{prop_assert, prop_assert_eq, proptest};
    use vt100::Parser;

    use super::super::lay::columns;
    use super::{Frame, LiveLane, LiveState, OPEN, Phase, frame, repaint, rounded, said};
    use crate::domain::money::Usd;

    fn lane(label: &str, phase: Phase, text: &str) -> LiveLane {
        let usd = Usd::parse("0.00041");
        LiveLane { label: label.into(), phase, text: text.into(), begun_ms: 1000, tokens: Some(34), spent: usd }
    }

    fn state() -> LiveState {
        let long: String = (1..200).map(|at| format!("line {at} 日本語 👩‍👩‍👧\n")).collect();
        LiveState {
            colour: false,
            lanes: vec![
                lane("bedrock/claude-sonnet-4-5", Phase::Answering, &long),
                lane("openai/gpt-4.1", Phase::Retrying { why: "429".into(), again_ms: 3200 }, ""),
                lane("vertex/gemini-2.5-flash", Phase::Done { ended_ms: 1710 }, "A\u{1b}[2Jb\ttab\r\nend\n"),
                lane("bedrock/llama-4-scout", Phase::Failed { ended_ms: 1180, why: "permission".into() }, ""),
            ],
        }
    }

    #[test]
    fn each_head_says_how_its_model_stands() {
        let heads: Vec<String> = state().lanes.iter().map(|lane| said(lane, 1600).join(" · ")).collect();
        assert_eq!(
            heads,
            [
                "0.6s · 34 tok · $0.0004",
                "0.6s · 429, again in 2 s · 34 tok · $0.0004",
                "done · 0.71s · 34 tok · $0.00041",
                "permission · 0.1s · 34 tok · $0.0004"
            ]
        );
        assert_eq!(rounded(Usd::from_picos(1_234_567)).to_string(), "0.0000012");
    }

    #[test]
    fn the_ends_of_long_answers_are_shown_at_each_size() {
        for (width, height) in [(80, 24), (120, 12), (200, 10), (60, 30), (40, 8)] {
            let frame = frame(&state(), width, height, 1600);
            insta::assert_snapshot!(format!("live_{width}x{height}"), frame.lines.join("\n"));
        }
    }

    fn size(columns: usize) -> NonZeroU16 {
        u16::try_from(columns).ok().and_then(NonZeroU16::new).expect("a size of a screen")
    }

    /// The screen after these frames, written one over the other.
    fn drawn(frames: &[Frame]) -> (String, usize) {
        let (width, height) = (frames[0].width, frames[0].height);
        let mut parser = Parser::new(size(height), size(width), 0);
        parser.process(OPEN.as_bytes());
        let (mut bytes, mut before) = (0, None);
        for frame in frames {
            let change = repaint(before, frame);
            bytes += change.len();
            parser.screen_mut().set_size(size(frame.height), size(frame.width));
            parser.process(change.as_bytes());
            before = Some(frame);
        }
        let contents = parser.screen().contents();
        (contents.lines().map(str::trim_end).collect::<Vec<_>>().join("\n").trim_end().to_owned(), bytes)
    }

    fn plain(frame: &Frame) -> String {
        let lines: Vec<&str> = frame.lines.iter().map(|line| line.trim_end()).collect();
        lines.join("\n").trim_end().to_owned()
    }

    #[test]
    fn what_does_not_change_is_not_written_again() {
        let first = frame(&state(), 120, 30, 1600);
        assert_eq!(repaint(Some(&first), &first), "");
        let mut next = state();
        next.lanes[1].tokens = Some(35);
        let change = repaint(Some(&first), &frame(&next, 120, 30, 1600));
        assert_eq!(change.matches("1H").count(), 1, "{change:?}");
        assert!(change.starts_with("\u{1b}[?2026h") && change.ends_with("\u{1b}[?2026l") && !change.contains("[2J"));
    }

    #[test]
    fn another_size_is_drawn_anew() {
        let frames = [frame(&state(), 120, 30, 1600), frame(&state(), 79, 20, 1650), frame(&state(), 200, 40, 1700)];
        assert!(repaint(Some(&frames[0]), &frames[1]).contains("\u{1b}[2J"));
        assert_eq!(drawn(&frames).0, plain(&frames[2]));
    }

    #[test]
    fn an_endless_line_is_looked_at_only_near_its_end() {
        let mut endless = state();
        endless.lanes[0].text = "日".repeat(3_000_000);
        let frame = frame(&endless, 80, 24, 1600);
        assert!(frame.lines.iter().all(|line| columns(line) <= 80));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        // Families and flags are left out: vt100 takes each part of one for a character of its own.
        #[test]
        fn any_answers_fit_any_screen_and_any_frame_can_follow_any_other(
            texts in prop::collection::vec("([a-z]{1,9}|[ \t\n]|日本|👋|é|\u{1b}\\[2J|\u{202e}){0,60}", 1..7),
            more in "([a-z ]|\n|語){0,40}",
            sizes in prop::collection::vec((1usize..140, 1usize..40), 1..3),
            colour in any::<bool>(),
            now in 1000u64..90_000,
        ) {
            let lanes = texts.iter().map(|text| lane("provider/model-日本-1", Phase::Answering, text)).collect();
            let mut state = LiveState { lanes, colour };
            for (width, height) in sizes {
                let first = frame(&state, width, height, now);
                state.lanes[0].text.push_str(&more);
                let second = frame(&state, width, height, now + 100);
                for one in [&first, &second] {
                    prop_assert!(one.lines.len() <= height);
                    prop_assert!(one.lines.iter().all(|line| columns(line) <= width.max(2)));
                    let controls = |line: &String| line.replace("\u{1b}[1m", "").replace("\u{1b}[2m", "")
                        .replace("\u{1b}[0m", "").contains(|character: char| character.is_control());
                    prop_assert!(!one.lines.iter().any(controls));
                }
                // One column cannot hold a wide character: no terminal agrees with another there.
                if !colour && width > 1 {
                    let ascii = |frame: &Frame| plain(frame).replace(|c: char| !c.is_ascii(), "?");
                    prop_assert_eq!(drawn(&[first, second.clone()]).0.replace(|c: char| !c.is_ascii(), "?"), ascii(&second));
                }
            }
        }
    }
}
