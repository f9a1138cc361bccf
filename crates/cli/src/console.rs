//! Where text goes. A reader that goes away (`reluctor ... | head`) must not make anything panic, so nothing here uses
//! `println!`.

use reluctor::error::{Error, Result, escape};
use reluctor::graph::Reading;
use serde::Serialize;
use std::fmt::Display;
use std::io::{IsTerminal, Write, stderr, stdout};

/// What brings the cursor back to an empty line.
pub const CLEAR_LINE: &str = "\r\u{1b}[K";

/// Characters of a progress bar.
const BAR: usize = 24;

/// Stdout for results, stderr for the rest.
pub struct Console {
    verbose: bool,
    quiet: bool,
    terminal: bool,
    colour: bool,
}

impl Console {
    pub fn new(verbose: bool, quiet: bool, no_color: bool) -> Self {
        let terminal = stdout().is_terminal();
        // https://no-color.org: any value but the empty one.
        let refused = no_color || std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Console { verbose, quiet, terminal, colour: terminal && !refused }
    }

    /// Whether more than the usual is wanted.
    pub fn is_verbose(&self) -> bool {
        self.verbose
    }

    /// Whether results are looked at as they come.
    pub fn is_terminal(&self) -> bool {
        self.terminal
    }

    /// Whether results may contain ANSI colours.
    pub fn has_colour(&self) -> bool {
        self.colour
    }

    /// Writes a result.
    pub fn print(&self, text: impl Display) -> Result<()> {
        let mut out = stdout().lock();
        write!(out, "{text}").and_then(|()| out.flush()).map_err(|error| Error::io("standard output", error))
    }

    /// Writes a line of results.
    pub fn line(&self, text: impl Display) -> Result<()> {
        self.print(format_args!("{text}\n"))
    }

    /// Writes a result as one JSON document.
    pub fn json(&self, document: &impl Serialize) -> Result<()> {
        let text = serde_json::to_string_pretty(document).map_err(|error| Error::Internal(error.to_string()))?;
        self.line(text)
    }

    /// Says on stderr what is good to know.
    pub fn note(&self, text: impl Display) {
        if !self.quiet {
            warn(format_args!("note: {text}"));
        }
    }

    /// Says where the file may be read otherwise.
    pub fn readings(&self, readings: &[Reading]) {
        readings.iter().for_each(|reading| self.note(reading));
    }

    /// Shows on stderr how far a long command is, where somebody looks: a bar that the next call overwrites.
    pub fn progress(&self, done: usize, of: usize, what: &str) {
        if self.shows_progress() {
            let full = "#".repeat(done * BAR / of.max(1));
            let what: String = escape(what).chars().take(48).collect();
            // Where that fails there is nobody left to tell.
            let _ = write!(stderr().lock(), "{CLEAR_LINE}[{full:-<BAR$}] {done}/{of} {what}");
        }
    }

    /// Takes the bar away.
    pub fn progress_done(&self) {
        if self.shows_progress() {
            let _ = write!(stderr().lock(), "{CLEAR_LINE}");
        }
    }

    fn shows_progress(&self) -> bool {
        !self.quiet && stderr().is_terminal()
    }

    /// Says on stderr what only some want to know.
    pub fn detail(&self, text: impl Display) {
        if self.verbose {
            warn(text);
        }
    }
}

/// Writes a line to stderr. Where that fails there is nobody left to tell.
pub fn warn(text: impl Display) {
    let _ = writeln!(stderr().lock(), "{text}");
}
