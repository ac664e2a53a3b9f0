//! The report before a person: through a pseudo-terminal, on a screen that shows what really stands there.

use crate::books::Books;
use crate::common::binary::Llmx;
use crate::common::sitting::{self, Sitting};

const ROWS: u16 = 50;
const WEEK: &str = "2025-10-13..2025-10-19";

fn sit(llmx: Llmx, columns: u16) -> Sitting {
    sitting::sit(llmx, ROWS, columns)
}

#[test]
fn the_report_fits_its_screen_at_each_width() {
    let books = Books::filled();
    for columns in [60, 80, 120, 200] {
        let screen = sit(books.usage(&[WEEK, "--compare", "prev"]), columns).exits(0).text();
        insta::assert_snapshot!(format!("usage_at_{columns}_columns"), screen);
    }
    for columns in [60, 120] {
        let screen = sit(books.usage(&[WEEK, "--by", "project,day"]), columns).exits(0).text();
        insta::assert_snapshot!(format!("usage_by_project_and_day_at_{columns}"), screen);
    }
}

#[test]
fn the_smallest_screen_has_every_amount_whole() {
    let books = Books::filled();
    let bytes = sit(books.usage(&[WEEK]), 24).exits(0).bytes;
    for amount in ["57.12+", "10.50", "20.25", "16.37+", "45.50~"] {
        assert!(bytes.contains(&format!(" {amount}\r\n")), "no {amount} in\n{bytes}");
    }
}

#[test]
fn colour_is_on_the_bars_alone() {
    let books = Books::filled();
    let bytes = sit(books.usage(&[WEEK]), 120).exits(0).bytes;
    let sequences: Vec<&str> =
        bytes.split('\u{1b}').skip(1).map(|rest| rest.split_once('m').map_or(rest, |(code, _)| code)).collect();
    assert!(!sequences.is_empty() && sequences.iter().all(|code| ["[36", "[0"].contains(code)), "{sequences:?}");
    let bytes = sit(books.usage(&[WEEK]).env("NO_COLOR", "1"), 120).exits(0).bytes;
    assert!(!bytes.contains('\u{1b}'), "{bytes}");
}

#[test]
fn what_is_watched_grows_with_the_books_and_q_ends_it() {
    let books = Books::filled();
    let mut sitting = sit(books.usage(&[WEEK, "--watch=1"]), 100);
    sitting.await_screen(|screen| screen.contains("Spend at least $57.12") && screen.contains("q ends"));
    assert!(sitting.parser.screen().alternate_screen());
    books.call("another", 1_760_702_400_000).cost("40").make();
    sitting.await_screen(|screen| screen.contains("Spend at least $97.12"));
    let bytes = String::from_utf8_lossy(&sitting.bytes).into_owned();
    // Only what changed was drawn again, and only the first drawing began with an empty screen.
    assert_eq!((bytes.matches("Mon 13 Oct").count(), bytes.matches("\u{1b}[2J").count()), (1, 1), "{bytes}");
    sitting.resize(ROWS, 60);
    sitting.await_screen(|screen| screen.lines().any(|line| line == "─".repeat(60)));
    sitting.type_in(b"q");
    let screen = sitting.exits(0).text();
    assert!(screen.contains("Spend at least $97.12"), "{screen}");
}

#[test]
fn ctrl_c_ends_what_is_watched_and_gives_the_terminal_back() {
    let books = Books::filled();
    let mut sitting = sit(books.usage(&[WEEK, "--watch"]), 100);
    sitting.await_screen(|screen| screen.contains("q ends"));
    sitting.type_in(b"\x03");
    let screen = sitting.exits(130).text();
    assert!(screen.contains("Spend at least $57.12"), "{screen}");
}
