//! placeholder
#![allow(missing_docs)]
use crate::error::Result;
use std::ops::Range;
use std::time::Duration;
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Script {
    pub text: String,
    pub parts: Vec<Part>,
}
#[derive(Debug, Clone, PartialEq)]
pub enum Part {
    Say(Run),
    Pause(Duration),
}
#[derive(Debug, Clone, PartialEq)]
pub struct Run {
    pub text: Range<usize>,
    pub style: Style,
    pub overrides: Vec<(Range<usize>, Override)>,
}
#[derive(Debug, Clone, PartialEq)]
pub struct Style {
    pub voice: Option<String>,
    pub language: Option<String>,
    pub rate: f32,
    pub pitch: f32,
    pub volume: f32,
}
impl Default for Style {
    fn default() -> Self {
        Self { voice: None, language: None, rate: 1.0, pitch: 1.0, volume: 1.0 }
    }
}
#[derive(Debug, Clone, PartialEq)]
pub enum Override {
    Phonemes(String),
    Sub(String),
}
impl Script {
    pub fn plain(text: String) -> Self {
        let parts = vec![Part::Say(Run { text: 0..text.len(), style: Style::default(), overrides: Vec::new() })];
        Self { text, parts }
    }
}
pub fn parse(input: String) -> Result<Script> {
    let parts = vec![Part::Say(Run { text: 0..input.len(), style: Style::default(), overrides: Vec::new() })];
    Ok(Script { text: input, parts })
}
