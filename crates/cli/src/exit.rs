//! How the process ends: an error becomes one `error:` line, one `hint:` line and its exit code; so does a panic.

use super::console::warn;
use reluctor::error::{Error, Result, escape};
use std::io::ErrorKind;
use std::panic::{AssertUnwindSafe, PanicHookInfo, catch_unwind};
use std::sync::{Mutex, PoisonError};

/// What a process ends with; [`code`] has those of errors.
pub type Code = u8;

/// Of a command that did what it was asked for.
pub const FINE: Code = 0;

/// Of one that found a difference, or a threshold that does not hold.
const DIFFERS: Code = 1;

/// Of a command that judges.
pub fn verdict(holds: bool) -> Code {
    if holds { FINE } else { DIFFERS }
}

/// Ends the process while other threads are at work, those of a driver among them. An orderly exit would first run the
/// destructors of every library, under the feet of these threads: Mesa's software driver crashes where one compiles.
pub fn at_once(code: Code) -> ! {
    // SAFETY: it takes a number and touches nothing of the process.
    #[allow(unsafe_code)]
    unsafe {
        libc::_exit(code.into())
    }
}

/// Of an error that are shown.
const MOST_CHARACTERS: usize = 4_000;

/// What the last panic of any thread said.
static LAST_PANIC: Mutex<String> = Mutex::new(String::new());

/// The exit code of an error: 1 mismatch, 2 usage, 3 unsupported, 4 invalid input, 5 device, 6 budget, 70 internal.
pub fn code(error: &Error) -> Code {
    match error {
        Error::Mismatch(_) => 1,
        Error::Usage(_) => 2,
        Error::Unsupported { .. } => 3,
        Error::Invalid { .. } | Error::Io { .. } => 4,
        Error::Device(_) | Error::DeviceLimit { .. } => 5,
        Error::Budget { .. } => 6,
        // An internal one, or a kind that this command line does not know.
        _ => 70,
    }
}

/// What the user can do about it, in one line.
fn hint(error: &Error) -> &'static str {
    match error {
        Error::Usage(_) => "see `reluctor help`",
        Error::Unsupported { .. } => "`reluctor inspect MODEL` lists every node and what is supported",
        Error::Invalid { .. } => "check the file with the tool that wrote it, or with `onnx.checker`",
        Error::Io { .. } => "check the path and its permissions",
        Error::Device(_) => "`reluctor devices` lists the adapters; `--device cpu` needs none",
        Error::DeviceLimit { .. } => "a smaller batch or image, or `--device cpu`, avoids this limit",
        Error::Mismatch(_) => "`reluctor compare` says which part of the layer it is",
        Error::Budget { .. } => "raise the budget, or use a smaller batch or image",
        _ => "please report it with the command and the model",
    }
}

/// Runs a command and reports what went wrong in it.
pub fn code_of(command: impl FnOnce() -> Result<Code>) -> Code {
    record_panics();
    code_for(catch_unwind(AssertUnwindSafe(command)))
}

fn code_for(outcome: std::thread::Result<Result<Code>>) -> Code {
    match outcome {
        Ok(Ok(code)) => code,
        Ok(Err(error)) if reader_is_gone(&error) => FINE,
        Ok(Err(error)) => report(&error),
        Err(_) => report(&Error::Internal(LAST_PANIC.lock().unwrap_or_else(PoisonError::into_inner).clone())),
    }
}

fn report(error: &Error) -> Code {
    warn(format_args!("error: {}", line(&error.to_string())));
    warn(format_args!("hint: {}", hint(error)));
    code(error)
}

/// One line of it, however it was put together: what strangers chose may hold anything and be as long as their file.
fn line(message: &str) -> String {
    let shown: String = message.chars().take(MOST_CHARACTERS).collect();
    let left = message[shown.len()..].chars().count();
    if left == 0 { escape(&shown) } else { format!("{} ... and {left} characters more", escape(&shown)) }
}

/// `reluctor ... | head` is no failure.
fn reader_is_gone(error: &Error) -> bool {
    matches!(error, Error::Io { source, .. } if source.kind() == ErrorKind::BrokenPipe)
}

/// Keeps a panic's message instead of printing it: some panics of drivers are caught and become errors of their own.
fn record_panics() {
    let print = std::panic::take_hook();
    let backtrace = std::env::var_os("RUST_BACKTRACE").is_some_and(|value| value != "0");
    std::panic::set_hook(Box::new(move |panic| {
        *LAST_PANIC.lock().unwrap_or_else(PoisonError::into_inner) = describe(panic);
        if backtrace {
            print(panic);
        }
    }));
}

fn describe(panic: &PanicHookInfo<'_>) -> String {
    let message = panic.payload_as_str().unwrap_or("panic").replace('\n', " ");
    panic.location().map_or(message.clone(), |at| format!("{message} at {}:{}", at.file(), at.line()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outcome_ends_in_its_documented_code() {
        assert_eq!(code_for(Ok(Ok(DIFFERS))), 1);
        assert_eq!(code_for(Ok(Err(Error::Usage(String::new())))), 2);
        assert_eq!(code_for(Ok(Err(Error::io("standard output", ErrorKind::BrokenPipe.into())))), 0);
        assert_eq!(code_for(Err(Box::new("a panic"))), 70);
    }

    #[test]
    fn exit_codes_are_the_documented_ones() {
        assert_eq!(code(&Error::Usage(String::new())), 2);
        assert_eq!(code(&Error::Unsupported { file: String::new(), nodes: vec![] }), 3);
        assert_eq!(code(&Error::invalid("x", "y")), 4);
        assert_eq!(code(&Error::Device(String::new())), 5);
        assert_eq!(code(&Error::Internal(String::new())), 70);
    }

    #[test]
    fn an_error_is_one_line_of_a_bounded_length() {
        assert_eq!(line("a\u{1b}[31m\nb"), "a\\u{1b}[31m\\nb");
        let long = line(&"é".repeat(MOST_CHARACTERS + 7));
        assert!(long.ends_with("é ... and 7 characters more"), "{long}");
    }

    #[test]
    fn a_reader_that_went_away_is_told_apart_from_other_failures() {
        assert!(reader_is_gone(&Error::io("standard output", ErrorKind::BrokenPipe.into())));
        assert!(!reader_is_gone(&Error::io("standard output", ErrorKind::StorageFull.into())));
        assert!(!reader_is_gone(&Error::Usage("BrokenPipe".to_string())));
    }
}
