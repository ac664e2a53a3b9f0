//! `llmx usage export`.

use clap::Args;

use super::asked::AskedArgs;
use crate::command::GlobalArgs;
use crate::domain::failure::{ErrorClass, Failure};

#[derive(Debug, Clone, Args)]
pub struct ExportArgs {
    #[command(flatten)]
    asked: AskedArgs,
    #[command(flatten)]
    global: GlobalArgs,
}

pub fn run(_args: &ExportArgs) -> Result<u8, Failure> {
    Err(Failure::new(ErrorClass::Config, "not built yet"))
}
