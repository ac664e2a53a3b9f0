//! Session logs in the shape that Claude Code writes, for what reads them: ours are made up.
//!
//! The shape: JSON lines below `projects/FOLDER/SESSION.jsonl`, one of type `assistant` for each answer
//! (<https://ccusage.com/guide/library-usage>, read 2026-11-22).

use std::fs::{self, File};
use std::io::{self, BufWriter, Write as _};
use std::path::Path;

use jiff::Timestamp;

/// 2025-01-01T00:00:00Z, and the length of that year: in the past wherever the clock stands.
const BEGINS: i64 = 1_735_689_600_000;
const YEAR_MS: i64 = 365 * 86_400_000;
const MODELS: [&str; 3] = ["claude-sonnet-4-20250514", "claude-opus-4-20250514", "claude-3-5-haiku-20241022"];
const FILES: i64 = 100;

/// The tokens of all answers: input, output, written to the cache and read from it.
pub type Tokens = [i64; 4];

/// Writes so many answers over a year into files of a hundred sessions, and says what they add up to.
pub fn write(folder: &Path, answers: i64) -> io::Result<Tokens> {
    let mut sums = [0; 4];
    for session in 0..FILES {
        let project = folder.join(format!("projects/-home-ann-work-project-{}", session % 8));
        fs::create_dir_all(&project)?;
        let id = format!("5f0c1d2e-0000-4000-8000-{session:012x}");
        let mut file = BufWriter::new(File::create(project.join(format!("{id}.jsonl")))?);
        for n in (session..answers).step_by(FILES as usize) {
            let at = BEGINS + n * (YEAR_MS / answers.max(1));
            let at = Timestamp::from_millisecond(at).map_err(io::Error::other)?.strftime("%Y-%m-%dT%H:%M:%S.%3fZ");
            let model = MODELS[(n % 7 % 3) as usize];
            let [input, output, written, read] = [3 + n % 40, 20 + n * 7 % 900, n * 13 % 2_000, n * 31 % 60_000];
            sums = [sums[0] + input, sums[1] + output, sums[2] + written, sums[3] + read];
            let head = format!(
                r#"{{"parentUuid":"u{}","isSidechain":false,"userType":"external","cwd":"/home/ann/src/project-{}","sessionId":"{id}","version":"1.0.40","gitBranch":"main","type":"assistant""#,
                n - 1,
                session % 8
            );
            let text = "What it said, and what it read before it said so. ".repeat((n % 9) as usize);
            let usage = format!(
                r#""usage":{{"input_tokens":{input},"cache_creation_input_tokens":{written},"cache_read_input_tokens":{read},"cache_creation":{{"ephemeral_5m_input_tokens":{written},"ephemeral_1h_input_tokens":0}},"output_tokens":{output},"service_tier":"standard"}}"#
            );
            writeln!(
                file,
                r#"{head},"message":{{"id":"msg_{n:024}","type":"message","role":"assistant","model":"{model}","content":[{{"type":"text","text":"{text}"}}],"stop_reason":"end_turn","stop_sequence":null,{usage}}},"requestId":"req_{n:022}","uuid":"u{n}","timestamp":"{at}"}}"#
            )?;
        }
        file.flush()?;
    }
    Ok(sums)
}
