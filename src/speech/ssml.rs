//! The Speech Synthesis Markup Language, as much of it as voices here can do. What is not known is refused with its
//! place, never left out in silence. Only this file knows XML.
//!
//! | element | attributes |
//! |---|---|
//! | `speak` | `xml:lang` |
//! | `p`, `s` | `xml:lang` |
//! | `break` | `time` up to 10 s, `strength`; `none` and `x-weak` add no pause |
//! | `prosody` | `rate`, `pitch`, `volume` |
//! | `emphasis` | `level` |
//! | `say-as` | `interpret-as`, `format` |
//! | `phoneme` | `ph`, `alphabet` (`ipa` or `x-sampa`) |
//! | `sub` | `alias` |
//! | `lang` | `xml:lang` |
//! | `voice` | `name`, `xml:lang` |
//! | `mark` | `name`; says nothing |

mod values;
mod xsampa;

use super::script::{Builder, Override, Script, Style};
use crate::error::{Error, Result};
use roxmltree::{Document, Node, ParsingOptions};

/// Elements are nested at most so deep.
const DEEPEST: usize = 32;

/// A document has at most so many elements and texts.
const MOST_NODES: u32 = 50_000;

/// No element has more attributes.
const MOST_ATTRIBUTES: usize = 16;

/// The namespace of `xml:lang`.
const XML: &str = "http://www.w3.org/XML/1998/namespace";

/// Whether `input` is meant as SSML: it begins with `<speak`, or as XML documents do.
pub(super) fn is_ssml(input: &str) -> bool {
    let trimmed = input.trim_start_matches(|c: char| c.is_whitespace() || c == '\u{FEFF}');
    let begins = ["<speak", "<?xml", "<!DOCTYPE"].iter().find_map(|start| trimmed.strip_prefix(start));
    let next = begins.map(|rest| rest.chars().next());
    next.is_some_and(|next| next.is_none_or(|c| c.is_whitespace() || matches!(c, '>' | '/')))
}

/// Reads a document whose root is `speak`.
///
/// # Errors
/// `InvalidRequest` (param `input`) with line and column.
pub(super) fn parse(input: &str) -> Result<Script> {
    refuse_crowds(input)?;
    let options = ParsingOptions { allow_dtd: false, nodes_limit: MOST_NODES, ..ParsingOptions::default() };
    let document = Document::parse_with_options(input, options).map_err(malformed)?;
    let mut reader = Reader { document: &document, script: Builder::default() };
    let root = document.root_element();
    if root.tag_name().name() != "speak" {
        return Err(reader.wrong(root, "the outermost element must be `speak`"));
    }
    reader.check_attributes(root, &[])?;
    reader.with_language(root, |reader| reader.children(root, 1))?;
    Ok(reader.script.finish())
}

/// Refuses tags with very many attributes before they are parsed: the parser compares each with all others.
fn refuse_crowds(input: &str) -> Result<()> {
    let (mut tag, mut quote, mut attributes) = (None, None, 0);
    for (at, byte) in input.bytes().enumerate() {
        match (tag, quote, byte) {
            // Comments and quoted blocks have no attributes.
            (None, _, b'<') if !input[at..].starts_with("<!") => (tag, attributes) = (Some(at), 0),
            (None, ..) => {}
            (Some(_), Some(open), byte) if byte == open => quote = None,
            (Some(_), Some(_), _) => {}
            (Some(_), None, b'>') => tag = None,
            (Some(_), None, b'"' | b'\'') => quote = Some(byte),
            (Some(_), None, b'=') => attributes += 1,
            _ => {}
        }
        if let (Some(start), true) = (tag, attributes > MOST_ATTRIBUTES) {
            let (line, column) = super::script::position(input, start);
            return Err(invalid("an element has too many attributes", line, column));
        }
    }
    Ok(())
}

fn malformed(error: roxmltree::Error) -> Error {
    let (place, said) = (error.pos(), error.to_string());
    let reason = said.strip_suffix(&format!(" at {place}")).unwrap_or(&said).to_owned();
    let reason = match error {
        roxmltree::Error::NodesLimitReached => format!("more than {MOST_NODES} elements and texts"),
        _ => reason,
    };
    invalid(&format!("it is malformed, {reason}"), place.row as usize, place.col as usize)
}

fn invalid(reason: &str, line: usize, column: usize) -> Error {
    Error::invalid("input", format!("the SSML cannot be read: {reason} (line {line}, column {column})"))
}

struct Reader<'a> {
    document: &'a Document<'a>,
    script: Builder,
}

impl Reader<'_> {
    fn children(&mut self, parent: Node<'_, '_>, depth: usize) -> Result<()> {
        for node in parent.children() {
            if node.is_element() {
                self.element(node, depth)?;
            } else if let (true, Some(text)) = (node.is_text(), node.text()) {
                self.script.push_collapsed(text);
            }
        }
        Ok(())
    }

    fn element(&mut self, node: Node<'_, '_>, depth: usize) -> Result<()> {
        if depth >= DEEPEST {
            return Err(self.wrong(node, &format!("elements are nested more than {DEEPEST} deep")));
        }
        match node.tag_name().name() {
            "p" | "paragraph" => self.block(node, depth, 2),
            "s" | "sentence" => self.block(node, depth, 1),
            "break" => self.pause(node),
            "prosody" => self.prosody(node, depth),
            "emphasis" => self.emphasis(node, depth),
            "say-as" => self.say_as(node),
            "phoneme" => self.phoneme(node),
            "sub" => self.sub(node),
            "lang" => self.lang(node, depth),
            "voice" => self.voice(node, depth),
            "mark" => {
                self.check_attributes(node, &["name"])?;
                self.empty(node)
            }
            "audio" => Err(self.wrong(node, "`audio` is not supported: only speech can be made")),
            other => Err(self.wrong(node, &format!("the element `{other}` is not supported"))),
        }
    }

    fn block(&mut self, node: Node<'_, '_>, depth: usize, lines: usize) -> Result<()> {
        self.check_attributes(node, &[])?;
        self.script.break_line(lines);
        self.with_language(node, |reader| reader.children(node, depth + 1))?;
        self.script.break_line(lines);
        Ok(())
    }

    fn pause(&mut self, node: Node<'_, '_>) -> Result<()> {
        self.check_attributes(node, &["time", "strength"])?;
        self.empty(node)?;
        let (time, strength) = (node.attribute("time"), node.attribute("strength"));
        let strength = values::strength(strength.unwrap_or("medium")).map_err(|reason| self.wrong(node, &reason))?;
        let pause = time.map_or(Ok(strength), values::time).map_err(|reason| self.wrong(node, &reason))?;
        self.script.pause(pause)
    }

    fn prosody(&mut self, node: Node<'_, '_>, depth: usize) -> Result<()> {
        self.check_attributes(node, &["rate", "pitch", "volume"])?;
        let factor = |name: &str, read: fn(&str) -> Result<f32, String>| {
            node.attribute(name).map_or(Ok(1.0), |value| read(value.trim())).map_err(|reason| self.wrong(node, &reason))
        };
        let rate = factor("rate", values::rate)?;
        let pitch = factor("pitch", values::pitch)?;
        let volume = factor("volume", values::volume)?;
        let style = changed(self.script.style(), rate, pitch, volume);
        self.with_style(style, |reader| reader.children(node, depth + 1))
    }

    /// Engines cannot stress, so what is stressed is slower and louder.
    fn emphasis(&mut self, node: Node<'_, '_>, depth: usize) -> Result<()> {
        self.check_attributes(node, &["level"])?;
        let (rate, volume) = match node.attribute("level").unwrap_or("moderate") {
            "strong" => (0.85, 1.4),
            "moderate" => (0.92, 1.2),
            "none" => (1.0, 1.0),
            "reduced" => (1.08, 0.8),
            other => return Err(self.wrong(node, &format!("`{other}` is no level of emphasis"))),
        };
        let style = changed(self.script.style(), rate, 1.0, volume);
        self.with_style(style, |reader| reader.children(node, depth + 1))
    }

    fn say_as(&mut self, node: Node<'_, '_>) -> Result<()> {
        self.check_attributes(node, &["interpret-as", "format"])?;
        let Some(kind) = node.attribute("interpret-as") else {
            return Err(self.wrong(node, "`say-as` needs `interpret-as`"));
        };
        let kind = values::say_as(kind, node.attribute("format")).map_err(|reason| self.wrong(node, &reason))?;
        self.overridden(node, Override::SayAs(kind))
    }

    fn phoneme(&mut self, node: Node<'_, '_>) -> Result<()> {
        self.check_attributes(node, &["ph", "alphabet"])?;
        let Some(written) = node.attribute("ph").map(str::trim).filter(|ph| !ph.is_empty()) else {
            return Err(self.wrong(node, "`phoneme` needs `ph`"));
        };
        let phonemes = match node.attribute("alphabet").unwrap_or("ipa") {
            "ipa" => values::ipa(written),
            "x-sampa" => xsampa::to_ipa(written),
            other => Err(format!("the alphabet `{other}` is not supported: use `ipa` or `x-sampa`")),
        };
        let phonemes = phonemes.map_err(|reason| self.wrong(node, &reason))?;
        self.overridden(node, Override::Phonemes(phonemes))
    }

    fn sub(&mut self, node: Node<'_, '_>) -> Result<()> {
        self.check_attributes(node, &["alias"])?;
        let Some(alias) = node.attribute("alias") else { return Err(self.wrong(node, "`sub` needs `alias`")) };
        self.overridden(node, Override::Sub(alias.trim().to_owned()))
    }

    fn lang(&mut self, node: Node<'_, '_>, depth: usize) -> Result<()> {
        self.check_attributes(node, &[])?;
        if !node.has_attribute((XML, "lang")) {
            return Err(self.wrong(node, "`lang` needs `xml:lang`"));
        }
        self.with_language(node, |reader| reader.children(node, depth + 1))
    }

    fn voice(&mut self, node: Node<'_, '_>, depth: usize) -> Result<()> {
        self.check_attributes(node, &["name"])?;
        let Some(name) = node.attribute("name").map(str::trim).filter(|name| !name.is_empty()) else {
            return Err(self.wrong(node, "`voice` needs `name`"));
        };
        // Another voice speaks its own language unless the element says which.
        let style = Style { voice: Some(name.to_owned()), language: None, ..self.script.style().clone() };
        self.with_style(style, |reader| reader.with_language(node, |reader| reader.children(node, depth + 1)))
    }

    /// The text of `node`, which has no elements in it, read in a way of its own.
    fn overridden(&mut self, node: Node<'_, '_>, how: Override) -> Result<()> {
        let name = node.tag_name().name();
        if let Some(child) = node.children().find(Node::is_element) {
            return Err(self.wrong(child, &format!("`{name}` may hold nothing but text")));
        }
        let start = self.script.len();
        self.children(node, 0)?;
        if self.script.override_since(start, how) {
            return Ok(());
        }
        Err(self.wrong(node, &format!("`{name}` needs text")))
    }

    fn with_language(&mut self, node: Node<'_, '_>, then: impl FnOnce(&mut Self) -> Result<()>) -> Result<()> {
        let Some(language) = node.attribute((XML, "lang")) else { return then(self) };
        let language = values::language(language).map_err(|reason| self.wrong(node, &reason))?;
        let style = Style { language: Some(language), ..self.script.style().clone() };
        self.with_style(style, then)
    }

    fn with_style(&mut self, style: Style, then: impl FnOnce(&mut Self) -> Result<()>) -> Result<()> {
        let outer = self.script.style().clone();
        self.script.set_style(style);
        then(self)?;
        self.script.set_style(outer);
        Ok(())
    }

    fn empty(&self, node: Node<'_, '_>) -> Result<()> {
        match node.has_children() {
            true => Err(self.wrong(node, &format!("`{}` must be empty", node.tag_name().name()))),
            false => Ok(()),
        }
    }

    /// Refuses attributes that nothing would come of. Those of namespaces, and `version` and the like on the root, say
    /// nothing about the sound.
    fn check_attributes(&self, node: Node<'_, '_>, known: &[&str]) -> Result<()> {
        let name = node.tag_name().name();
        for attribute in node.attributes() {
            let is_root = name == "speak" && ["version", "onlangfailure"].contains(&attribute.name());
            let takes_language = matches!(name, "speak" | "p" | "paragraph" | "s" | "sentence" | "lang" | "voice");
            let is_known = match attribute.namespace() {
                Some(XML) if attribute.name() == "lang" => takes_language,
                Some(_) => true,
                None => is_root || known.contains(&attribute.name()),
            };
            if !is_known {
                let attribute = attribute.name();
                return Err(self.wrong(node, &format!("`{name}` with `{attribute}` is not supported")));
            }
        }
        Ok(())
    }

    fn wrong(&self, node: Node<'_, '_>, reason: &str) -> Error {
        let place = self.document.text_pos_at(node.range().start);
        invalid(reason, place.row as usize, place.col as usize)
    }
}

/// `style` with its factors changed, within what makes sense.
fn changed(style: &Style, rate: f32, pitch: f32, volume: f32) -> Style {
    Style {
        rate: (style.rate * rate).clamp(0.25, 4.0),
        pitch: (style.pitch * pitch).clamp(0.5, 2.0),
        volume: (style.volume * volume).clamp(0.0, 4.0),
        ..style.clone()
    }
}

#[cfg(test)]
mod tests;
