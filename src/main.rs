//! The program: parses, dispatches, sets the exit code.

use std::panic;
use std::process::ExitCode;

use clap::Parser;
use clap::error::ErrorKind;
use mlpgrid::cli::{self, CommandLine, say};

fn main() -> ExitCode {
    panic::set_hook(Box::new(|panic| {
        let place =
            panic.location().map_or(String::new(), |location| format!(" at {}:{}", location.file(), location.line()));
        let payload = panic.payload();
        let words = payload.downcast_ref::<String>().map(String::as_str).or(payload.downcast_ref::<&str>().copied());
        say(&format!(
            "error: a bug in mlpgrid{place}: {}; please report it with the command",
            words.unwrap_or("no words")
        ));
    }));
    let command_line = match CommandLine::try_parse() {
        Ok(command_line) => command_line,
        Err(error) => return usage(&error),
    };
    match panic::catch_unwind(|| cli::run(&command_line)) {
        Ok(Ok(code)) => ExitCode::from(code),
        Ok(Err(error)) => {
            say(&format!("error: {error}"));
            ExitCode::from(error.exit_code())
        }
        Err(_) => ExitCode::from(1),
    }
}

/// Help goes to stdout and is no error; a mistake is one line.
fn usage(error: &clap::Error) -> ExitCode {
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
            drop(error.print()); // a closed pipe is no error
            ExitCode::SUCCESS
        }
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            drop(error.print());
            ExitCode::from(2)
        }
        _ => {
            let text = error.render().to_string();
            let end = text.find("\n\nUsage:").or(text.find("\n\nFor more")).unwrap_or(text.len());
            let line: Vec<&str> = text[..end].split_whitespace().collect();
            say(&format!("{}; see --help", line.join(" ")));
            ExitCode::from(2)
        }
    }
}
