//! Parses the command line, runs the command, picks the exit code.
fn main() {}
