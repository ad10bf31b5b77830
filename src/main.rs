//! The program: parses, dispatches, sets the exit code.

use std::panic;

use clap::Parser;
use clap::error::ErrorKind;
use mlpgrid::blas;
use mlpgrid::cli::terminal::{log_error, log_error_line};
use mlpgrid::cli::{self, CommandLine};

fn main() {
    panic::set_hook(Box::new(|panic| {
        let place =
            panic.location().map_or(String::new(), |location| format!(" at {}:{}", location.file(), location.line()));
        let payload = panic.payload();
        let words = payload.downcast_ref::<String>().map(String::as_str).or(payload.downcast_ref::<&str>().copied());
        log_error_line(&format!(
            "a bug in mlpgrid{place}: {}; please report it with the command",
            words.unwrap_or("no words")
        ));
    }));
    blas::exit(run());
}

/// Returns the exit code.
fn run() -> u8 {
    let command_line = match CommandLine::try_parse() {
        Ok(command_line) => command_line,
        Err(error) => return usage(&error),
    };
    match panic::catch_unwind(|| cli::run(&command_line)) {
        Ok(Ok(code)) => code,
        Ok(Err(error)) => {
            log_error(&error);
            error.exit_code()
        }
        Err(_) => 1,
    }
}

/// Help goes to stdout and is no error; a mistake is one line.
fn usage(error: &clap::Error) -> u8 {
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
            drop(error.print()); // a closed pipe is no error
            0
        }
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            drop(error.print());
            2
        }
        _ => {
            let text = error.render().to_string();
            let end = text.find("\n\nUsage:").or(text.find("\n\nFor more")).unwrap_or(text.len());
            let line: Vec<&str> = text[..end].split_whitespace().collect();
            let line = line.join(" ").replace(" tip: ", "; ");
            log_error_line(&format!("{}; see --help", line.strip_prefix("error: ").unwrap_or(&line)));
            2
        }
    }
}
