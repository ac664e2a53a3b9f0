//! Whether a cascade goes on to its next model: the checks on an answer, those of other programs included.

use std::process::Stdio;
use std::time::Duration;

use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;
use tokio::time::timeout;

use crate::command::schema;
use crate::domain::chat::Schema;
use crate::domain::report::CallReport;
use crate::domain::route::check::Checks;
use crate::render::extract::{self, Which};

/// How long a program may take over an answer.
const COMMAND_TIME: Duration = Duration::from_secs(10);

/// Why the answer of a cascade's model is not taken; `None`: it stands, or the call has none to check. `wanted`: the schema
/// of the request.
///
/// The next model is then a call of its own: quoted, reserved and booked beside this one, with `retry_of` set to it.
pub async fn escalates(report: &CallReport, wanted: Option<&Schema>, checks: &Checks) -> Option<String> {
    if report.failure.is_some() || report.stopped.is_some() {
        return None;
    }
    if let Some(why) = checks.fails(report) {
        return Some(why);
    }
    let text = report.answer.text();
    if let Some(wanted) = wanted.filter(|_| checks.schema)
        && let Err(misfit) = fits(wanted, &text)
    {
        return Some(misfit);
    }
    match checks.command.split_first() {
        Some((program, arguments)) => passes(program, arguments, &text, COMMAND_TIME).await.err(),
        None => None,
    }
}

/// As `--schema` takes an answer: a model that was asked in words often fences its JSON.
fn fits(wanted: &Schema, text: &str) -> Result<(), String> {
    schema::check(wanted, text).or_else(|misfit| match extract::code_block(text, &Which::First) {
        Some(block) => schema::check(wanted, &block),
        None => Err(misfit),
    })
}

/// Whether a program that is given the answer on its standard input ends well. No shell reads the command, and what the
/// program says is not shown.
///
/// # Errors
/// Why the answer does not pass. A program that cannot be run, or takes too long, has not passed it.
async fn passes(program: &str, arguments: &[String], answer: &str, limit: Duration) -> Result<(), String> {
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| format!("{program} cannot be run: {error}"))?;
    let ended = timeout(limit, async {
        if let Some(mut stdin) = child.stdin.take() {
            // A program that has read enough closes its end: its status says what it thinks.
            let _ = stdin.write_all(answer.as_bytes()).await;
        }
        child.wait().await
    });
    match ended.await {
        Err(_) => Err(format!("{program} took longer than {} s", limit.as_secs())),
        Ok(Err(error)) => Err(format!("{program} cannot be waited for: {error}")),
        Ok(Ok(status)) if status.success() => Ok(()),
        Ok(Ok(status)) => Err(format!("{program} ended with {status}")),
    }
}

#[cfg(all(test, unix))]
mod tests {
    use std::time::Duration;

    use serde_json::json;

    use super::{escalates, passes};
    use crate::domain::answer::Answer;
    use crate::domain::bill::{Basis, Bill, Outcome};
    use crate::domain::chat::{ChatEvent, Schema};
    use crate::domain::model::ModelName;
    use crate::domain::report::{CallReport, Stop};
    use crate::domain::route::check::Checks;

    fn report(text: &str) -> CallReport {
        let mut answer = Answer::default();
        answer.add(ChatEvent::Text(text.into()));
        let name = ModelName { provider: "sim".into(), region: None, model: "echo".into() };
        CallReport { answer, ..CallReport::of(name, Outcome::NeverSent, Bill::of(Basis::Free, None)) }
    }

    fn wait<T>(future: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime").block_on(future)
    }

    fn checks(text: &str) -> Checks {
        toml::from_str(text).expect("reads")
    }

    #[test]
    fn a_programs_exit_status_decides_over_the_answer_that_it_reads() {
        let grep = checks("command = [\"grep\", \"-q\", \"forty-two\"]");
        assert_eq!(wait(escalates(&report("It is forty-two.\n"), None, &grep)), None);
        assert!(
            wait(escalates(&report("It is 42.\n"), None, &grep)).is_some_and(|why| why.contains("grep ended with"))
        );
        // No shell: what looks like one is an argument.
        let literal = checks("command = [\"grep\", \"-q\", \"$(echo a); true\"]");
        assert!(wait(escalates(&report("a"), None, &literal)).is_some());
        let missing = checks("command = [\"/no/such/program\"]");
        assert!(wait(escalates(&report("a"), None, &missing)).is_some_and(|why| why.contains("cannot be run")));
    }

    #[test]
    fn a_program_that_closes_its_input_early_is_heard_and_one_that_takes_too_long_is_not() {
        let long = "x".repeat(1 << 20);
        assert_eq!(wait(passes("true", &[], &long, Duration::from_secs(10))), Ok(()));
        let slow = wait(passes("sleep", &["600".to_owned()], "a", Duration::ZERO));
        assert!(slow.is_err_and(|why| why.contains("took longer")));
    }

    #[test]
    fn an_answer_is_held_against_the_schema_of_its_request() {
        let wanted = Schema { name: "answer".into(), schema: json!({"type": "object", "required": ["age"]}) };
        let schema = checks("schema = true");
        for (text, escalating) in
            [("{\"age\": 7}", false), ("```json\n{\"age\": 7}\n```", false), ("{}", true), ("seven", true)]
        {
            assert_eq!(wait(escalates(&report(text), Some(&wanted), &schema)).is_some(), escalating, "{text}");
        }
        assert_eq!(
            wait(escalates(&report("seven"), None, &schema)),
            None,
            "without a schema there is nothing to check"
        );
        let stopped = CallReport { stopped: Some(Stop::Interrupt), ..report("{}") };
        assert_eq!(wait(escalates(&stopped, Some(&wanted), &schema)), None);
    }
}
