//! Ctrl-C.

use super::console::CLEAR_LINE;
use super::exit;
use std::io::{IsTerminal, Write, stderr};

/// What an interrupted process ends with: 128 and the number of SIGINT.
const INTERRUPTED: exit::Code = 130;

/// From now on an interrupt takes the progress bar off the terminal and ends the process, also while a device computes:
/// nothing is written in place but whole files and whole lines.
pub fn catch() {
    // Without a handler the process ends too, only with the bar left on the terminal.
    let _ = ctrlc::set_handler(|| {
        if stderr().is_terminal() {
            let _ = stderr().write_all(CLEAR_LINE.as_bytes());
        }
        exit::at_once(INTERRUPTED);
    });
}
