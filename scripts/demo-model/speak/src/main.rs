//! Speaks many lines with the server's built-in voice and says where each word starts.
//!
//! Usage: `speak OUTPUT.pcm < lines.tsv > times.tsv`
//!
//! A line of input is `voice<TAB>rate<TAB>pitch<TAB>range<TAB>text`: an espeak-ng voice such as `en-us` or
//! `en-gb+f3`, words per minute, and the pitch and pitch range from 0 to 100 (the voice's defaults are 175, 50, 50).
//! All audio goes to `OUTPUT.pcm`, one line after the other, as 16-bit samples at 22,050 Hz.
//! A line of output is `samples<TAB>position:milliseconds,…`: how much audio the line became, and for every word its
//! character position in the text and its start in the audio. A line that cannot be spoken becomes `0` samples.

use std::error::Error;
use std::fs::File;
use std::io::{self, BufRead, BufWriter, Write};
use std::path::{Path, PathBuf};

use espeak_ng::{EspeakNg, EventKind};

/// How one line is to be spoken.
struct Request<'a> {
    voice: &'a str,
    rate: u32,
    pitch: u32,
    range: u32,
    text: &'a str,
}

fn main() -> Result<(), Box<dyn Error>> {
    let output = std::env::args().nth(1).ok_or("usage: speak OUTPUT.pcm < lines.tsv > times.tsv")?;
    let mut audio = BufWriter::new(File::create(output)?);
    let mut times = BufWriter::new(io::stdout().lock());
    let data = unpack_voice_data()?;
    for line in io::stdin().lock().lines() {
        let line = line?;
        let request = Request::parse(&line).ok_or_else(|| format!("not a request: {line:?}"))?;
        match request.speak(&data) {
            Ok((samples, words)) => {
                for sample in &samples {
                    audio.write_all(&sample.to_le_bytes())?;
                }
                writeln!(times, "{}\t{}", samples.len(), words.join(","))?;
            }
            Err(error) => {
                eprintln!("{}: {error}", request.voice);
                writeln!(times, "0\t")?;
            }
        }
    }
    audio.flush()?;
    times.flush()?;
    std::fs::remove_dir_all(data)?;
    Ok(())
}

/// Writes the voice data that is compiled into the crate to a folder of this process.
fn unpack_voice_data() -> io::Result<PathBuf> {
    let folder = std::env::temp_dir().join(format!("speak-{}", std::process::id()));
    std::fs::create_dir_all(&folder)?;
    espeak_ng::install_bundled_language(&folder, "en")?;
    Ok(folder)
}

impl<'a> Request<'a> {
    fn parse(line: &'a str) -> Option<Self> {
        let mut fields = line.splitn(5, '\t');
        Some(Self {
            voice: fields.next()?,
            rate: fields.next()?.parse().ok()?,
            pitch: fields.next()?.parse().ok()?,
            range: fields.next()?.parse().ok()?,
            text: fields.next()?,
        })
    }

    /// The audio at 22,050 Hz, and `position:milliseconds` for every word.
    fn speak(&self, data: &Path) -> espeak_ng::Result<(Vec<i16>, Vec<String>)> {
        let engine = EspeakNg::builder()
            .voice(self.voice)
            .rate(self.rate)
            .pitch(self.pitch)
            .range(self.range)
            .data_dir(data)
            .build()?;
        let (samples, _, events) = engine.synth_with_events(self.text)?;
        let words = events
            .iter()
            .filter(|event| matches!(event.kind, EventKind::Word(_)))
            .map(|event| format!("{}:{}", event.text_position, event.audio_position_ms))
            .collect();
        Ok((samples, words))
    }
}
