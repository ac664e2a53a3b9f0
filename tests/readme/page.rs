//! The README as its reader sees it: commands, blocks, tables, headings and links.

use regex::Regex;

/// A fenced block.
#[derive(Debug)]
pub struct Block {
    /// What stands behind the fence: `console`, `toml`, nothing.
    pub kind: String,
    /// The first line inside, from 1.
    pub line: usize,
    pub lines: Vec<String>,
}

/// A command as it is shown, its lines joined as a shell would.
#[derive(Debug)]
pub struct Shown {
    pub line: usize,
    pub text: String,
    /// What it ends with: 0, or what a comment `# exit 8` says.
    pub code: i32,
}

/// What a reader meets, in order.
#[derive(Debug)]
pub enum Step {
    Run(Shown),
    /// A file whose name is the first line of a block: `# ~/.config/llmx/config.toml`.
    Write {
        file: String,
        text: String,
    },
}

pub fn readme() -> String {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
    std::fs::read_to_string(path).expect("README.md")
}

pub fn blocks(page: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut open: Option<Block> = None;
    for (at, line) in page.lines().enumerate() {
        match (line.strip_prefix("```"), &mut open) {
            (Some(_), Some(_)) => blocks.extend(open.take()),
            (Some(kind), None) => open = Some(Block { kind: kind.to_owned(), line: at + 2, lines: Vec::new() }),
            (None, Some(block)) => block.lines.push(line.to_owned()),
            (None, None) => {}
        }
    }
    assert!(open.is_none(), "a block has no end");
    blocks
}

/// What stands outside of blocks.
pub fn prose(page: &str) -> String {
    let mut inside = false;
    let lines = page.lines().filter(|line| {
        let fence = line.starts_with("```");
        inside ^= fence;
        !inside && !fence
    });
    lines.collect::<Vec<_>>().join("\n")
}

pub fn commands(block: &Block) -> Vec<Shown> {
    let says = Regex::new(r"# exit (\d+)$").expect("a pattern");
    let mut commands: Vec<Shown> = Vec::new();
    let mut goes_on = false;
    for (at, line) in block.lines.iter().enumerate() {
        if goes_on && let Some(last) = commands.last_mut() {
            last.text.push('\n');
            last.text.push_str(line);
        } else if let Some(text) = line.strip_prefix("$ ") {
            commands.push(Shown { line: block.line + at, text: text.to_owned(), code: 0 });
        } else {
            continue;
        }
        goes_on = line.ends_with('\\');
    }
    for shown in &mut commands {
        shown.code = says.captures(&shown.text).map_or(0, |found| found[1].parse().expect("digits are a number"));
    }
    commands
}

pub fn steps(page: &str) -> Vec<Step> {
    let mut steps = Vec::new();
    for block in blocks(page) {
        let named = block.lines.first().and_then(|line| line.strip_prefix("# ")).filter(|name| name.starts_with("~/"));
        if block.kind == "toml"
            && let Some(file) = named
        {
            steps.push(Step::Write { file: file.to_owned(), text: block.lines.join("\n") + "\n" });
        } else if block.kind == "console" {
            steps.extend(commands(&block).into_iter().map(Step::Run));
        }
    }
    steps
}

/// The rows of the first table below a heading that has so many columns or more, cells trimmed, without the head.
pub fn table(page: &str, heading: &str) -> Vec<Vec<String>> {
    let below = page.lines().skip_while(|line| *line != heading).skip_while(|line| !line.starts_with('|'));
    let rows = below.take_while(|line| line.starts_with('|')).skip(2);
    rows.map(|row| row.trim_matches('|').split(" | ").map(|cell| cell.trim().to_owned()).collect()).collect()
}

/// The anchors that a reader can jump to: docs.github.com/en/get-started/writing-on-github, "Section links" (lower case,
/// spaces to hyphens, punctuation gone), read 2026-11-22.
pub fn anchors(page: &str) -> Vec<String> {
    let headings = prose(page);
    let titles =
        headings.lines().filter_map(|line| line.strip_prefix('#').map(|rest| rest.trim_start_matches('#').trim()));
    let slug = |title: &str| {
        let kept = title.to_lowercase();
        let kept = kept.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
        kept.map(|c| if c == ' ' { '-' } else { c }).collect::<String>()
    };
    titles.map(slug).collect()
}

/// Where the links of a page lead.
pub fn links(page: &str) -> Vec<String> {
    let link = Regex::new(r"\]\(([^)\s]+)\)").expect("a pattern");
    link.captures_iter(&prose(page)).map(|found| found[1].to_owned()).collect()
}

/// Every flag that is named, with the line: `--max-cost`, wherever it stands.
pub fn flags(page: &str) -> Vec<(usize, String)> {
    let flag = Regex::new(r"(?:^|[\s`(\[|/])(--[a-z][a-z0-9-]+)").expect("a pattern");
    let lines = page.lines().enumerate();
    lines
        .flat_map(|(at, line)| {
            flag.captures_iter(line).map(move |found| (at + 1, found[1].to_owned())).collect::<Vec<_>>()
        })
        .collect()
}
