//! A comparison before a person: through a pseudo-terminal, with a screen that shows what really stands there.

use regex::Regex;

use super::common::binary::Llmx;
use super::common::server::{Script, Server};
use super::common::sitting::{self, Seen, Sitting};
use super::{Books, says, stops, unauthorized, whole};

fn sit(llmx: Llmx, columns: u16) -> Sitting {
    sitting::sit(llmx, 40, columns)
}

/// The screen without what differs from run to run: times, speeds, who was fastest, and the group's id.
fn settled(seen: &Seen) -> String {
    let mut text = seen.text();
    for (pattern, instead) in [
        (r"\d+\.\d\ds +(\d+|–) ", "#s # "),
        (r"\d+\.\d\ds", "#s"),
        (r"logs show [0-9a-f]{8}", "logs show #"),
        (r" +(fastest|fast)\b,?", " "),
        (r"(?m) +(first|total|tok/s|in|out|cost|status|ok|–|#)", " $1"),
        (r"(?m) +$", ""),
    ] {
        text = Regex::new(pattern).expect("a pattern").replace_all(&text, instead).into_owned();
    }
    text
}

const TREE: &str = "Use a B-tree index when you need range scans or ORDER BY on the indexed column.\n\n  CREATE INDEX ON orders (created_at);\n";
const WIDE: &str = "日本語のテキスト、とても長い行です。これは折り返されます。\n\ttab 👩‍👩‍👧 é\nend\n";

#[test]
fn answers_stand_side_by_side_at_each_width() {
    let servers =
        [Server::new(whole(TREE)), Server::new(whole(WIDE)), Server::new(whole("=")), Server::new(unauthorized())];
    let all: Vec<&Server> = servers.iter().collect();
    for columns in [80, 120, 200] {
        let seen = sit(Books::new().compare(&all, &["Which index?"]), columns).exits(9);
        insta::assert_snapshot!(format!("at_{columns}_columns"), settled(&seen));
    }
}

#[test]
fn answers_grow_together_and_another_size_is_drawn_anew() {
    let gated = |first: &str, rest: &str| {
        Server::new(Script::events().piece(says(first)).gate("go").piece(says(rest)).piece(stops()).end())
    };
    let servers = [gated("left one ", "left two"), gated("right one ", "right two")];
    let books = Books::new();
    let mut sitting = sit(books.compare(&[&servers[0], &servers[1]], &["hi"]), 120);
    sitting.await_screen(|screen| {
        screen.lines().any(|line| line.contains("left one") && line.contains("right one"))
            && screen.lines().any(|line| line.contains("p0/m") && line.contains("p1/m"))
    });
    assert!(sitting.parser.screen().alternate_screen());
    sitting.resize(20, 60);
    // Below 76 columns one stands under the other.
    sitting.await_screen(|screen| {
        let at = |word: &str| screen.lines().position(|line| line.contains(word));
        at("left one").zip(at("right one")).is_some_and(|(left, right)| left < right)
    });
    sitting.resize(50, 100);
    sitting.await_screen(|screen| screen.lines().any(|line| line.contains("left one") && line.contains("right one")));
    servers.iter().for_each(|server| server.open("go"));
    let seen = sitting.exits(0);
    assert!(seen.text().contains("left one left two"), "{}", seen.text());
    assert_eq!(seen.text().matches("right two").count(), 1, "answers are printed once");
    assert!(seen.text().contains("2 of 2 answered"));
    assert!(seen.lines.iter().all(|line| line.chars().count() <= 100));
}

#[test]
fn a_retry_and_a_failure_stand_in_the_heads() {
    let busy =
        Server::of(vec![Script::head(429, &[("retry-after", "9"), ("content-length", "0")]), whole("never asked")]);
    let no = Server::new(unauthorized());
    // The wait must last until it has been seen.
    let books = Books::new();
    let llmx = books.compare(&[&busy, &no], &["hi"]);
    let path = llmx.path().join("config/llmx/config.toml");
    let config = std::fs::read_to_string(path).expect("written").replace("wait_max_ms = 20", "wait_max_ms = 60000");
    let mut sitting = sit(llmx.file("config/llmx/config.toml", config), 120);
    sitting.await_screen(|screen| screen.contains("429, again in") && screen.contains("auth"));
    sitting.type_in(b"\x03");
    let seen = sitting.exits(130);
    assert!(seen.text().contains("0 of 2 answered"), "{}", seen.text());
    assert_eq!(busy.requests().len(), 1);
}

#[test]
fn ctrl_c_shows_the_answers_so_far_and_gives_the_terminal_back() {
    let good = Server::new(whole("all of it"));
    let slow = Server::new(Script::events().piece(says("the beginning")).silence());
    let books = Books::new();
    let mut sitting = sit(books.compare(&[&good, &slow], &["hi"]), 120);
    sitting.await_screen(|screen| {
        screen.contains("all of it") && screen.contains("the beginning") && screen.contains("done")
    });
    sitting.type_in(b"\x03");
    let seen = sitting.exits(130);
    for word in ["all of it", "the beginning", "stopped", "1 of 2 answered", "exit 130"] {
        assert!(seen.text().contains(word), "no \"{word}\" in {}", seen.text());
    }
    let rows = books.rows();
    assert!(rows.len() == 2 && rows.iter().any(|row| row["cost"]["basis"] == "estimated"), "{rows:?}");
}

#[test]
fn no_escape_of_a_model_steers_the_terminal() {
    let hostile = "a\u{1b}[2Jb\u{1b}]0;title\u{7}c\u{9b}31md\u{1b}c\u{1b}[6n\u{202e}e";
    let gated = Server::new(Script::events().piece(says(hostile)).gate("go").piece(stops()).end());
    let books = Books::new();
    let mut sitting = sit(books.compare(&[&gated], &["-m", "sim/echo", hostile]), 100);
    sitting.await_screen(|screen| screen.contains("U+"));
    gated.open("go");
    let seen = sitting.exits(0);
    for sequence in ["\u{1b}]", "\u{7}", "\u{9b}", "\u{1b}c", "\u{1b}[6n", "\u{202e}"] {
        assert!(!seen.bytes.contains(sequence), "{sequence:?}");
    }
}

#[test]
fn an_endless_answer_shows_its_end_while_it_comes_and_all_of_it_afterwards() {
    let lines: String = (1..=10_000).map(|at| format!("line {at} 日本語\n")).collect();
    let gated = Server::new(Script::events().piece(says(&lines)).gate("go").piece(stops()).end());
    let books = Books::new();
    let mut sitting = sit(books.compare(&[&gated], &["-m", "sim/echo", "hi"]), 100);
    sitting.await_screen(|screen| screen.contains("line 10000") && !screen.contains("line 1 "));
    gated.open("go");
    let seen = sitting.exits(0);
    assert!(seen.bytes.contains("line 1 ") && seen.bytes.contains("line 5000 "));
}

#[test]
fn nothing_moves_where_it_must_not() {
    let server = Server::new(whole("fine"));
    for llmx in [
        Books::new().compare(&[&server], &["-m", "sim/lorem?tokens=2&ttft=300", "hi"]).env("TERM", "dumb"),
        Books::new().compare(&[&server], &["-m", "sim/lorem?tokens=2&ttft=300", "-q", "hi"]),
        Books::new().compare(&[&server], &["-m", "sim/lorem?tokens=2&ttft=300", "-j", "-q", "hi"]),
    ] {
        let seen = sit(llmx, 100).exits(0);
        assert!(!seen.bytes.contains("\u{1b}[?1049h"), "{:?}", seen.bytes);
        assert!(seen.text().contains("fine"), "{}", seen.text());
    }
}
