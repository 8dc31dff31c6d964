//! Engines that do as they are told: they hear and speak at once, wait until they are released, fail, or panic.

use mynah::audio::Pcm;
use mynah::engine::{Cancel, Engines, SpeakOptions, Spoken, Synthesizer, TranscribeOptions, Transcriber, Utterance};
use mynah::error::{Error, Kind, Result};
use mynah::transcript::{Segment, Token, Transcript, Word};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

/// What the tests can see and change of all fake engines of one server.
#[derive(Clone, Default)]
pub struct Fakes {
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    held: Mutex<bool>,
    released: Condvar,
    /// How many calls may pass although they are told to hold.
    admitted: AtomicUsize,
    /// How many pieces of audio have been heard for requests with a prompt.
    heard: AtomicUsize,
    /// How many calls are inside a held engine right now.
    inside: AtomicUsize,
    /// How many calls saw that their caller had left.
    cancelled: AtomicUsize,
    /// How many calls have failed as they were told to.
    failed: AtomicUsize,
    /// How many sentences have been spoken.
    spoken: AtomicUsize,
}

impl Fakes {
    /// The built-in engines and the fake ones, called `fake-ears` and `fake-mouth`.
    pub fn engines(&self) -> Engines {
        let (ears, mouth) = (self.clone(), self.clone());
        Engines::built_in()
            .with_transcriber(
                "fake-ears",
                Arc::new(move |_| {
                    let fakes = ears.clone();
                    Ok(Box::new(move || Ok(Box::new(Ears(fakes.clone())) as Box<dyn Transcriber>)))
                }),
            )
            .with_synthesizer(
                "fake-mouth",
                Arc::new(move |_| {
                    let fakes = mouth.clone();
                    Ok(Box::new(move || Ok(Box::new(Mouth(fakes.clone())) as Box<dyn Synthesizer>)))
                }),
            )
    }

    /// From now on every call told to `hold` waits inside the engine until [`Fakes::release`].
    pub fn hold(&self) {
        *self.shared.held.lock().expect("no test panics here") = true;
    }

    pub fn release(&self) {
        *self.shared.held.lock().expect("no test panics here") = false;
        self.shared.released.notify_all();
    }

    /// Lets so many calls pass that are told to hold.
    pub fn admit(&self, count: usize) {
        self.shared.admitted.fetch_add(count, Ordering::SeqCst);
        self.shared.released.notify_all();
    }

    pub fn heard(&self) -> usize {
        self.shared.heard.load(Ordering::SeqCst)
    }

    pub fn inside(&self) -> usize {
        self.shared.inside.load(Ordering::SeqCst)
    }

    pub fn cancelled(&self) -> usize {
        self.shared.cancelled.load(Ordering::SeqCst)
    }

    pub fn failed(&self) -> usize {
        self.shared.failed.load(Ordering::SeqCst)
    }

    pub fn spoken(&self) -> usize {
        self.shared.spoken.load(Ordering::SeqCst)
    }

    /// Does what `order` says.
    fn obey(&self, order: &str, cancel: &Cancel<'_>) -> Result<()> {
        match order {
            "panic" => panic!("a fake engine was told to panic"),
            "fail" => {
                self.shared.failed.fetch_add(1, Ordering::SeqCst);
                Err(Error::new(Kind::Internal, "a fake engine was told to fail"))
            }
            "hold" => self.wait(cancel),
            _ => Ok(()),
        }
    }

    fn wait(&self, cancel: &Cancel<'_>) -> Result<()> {
        self.shared.inside.fetch_add(1, Ordering::SeqCst);
        let mut held = self.shared.held.lock().expect("no test panics here");
        let result = loop {
            if cancel.is_cancelled() {
                self.shared.cancelled.fetch_add(1, Ordering::SeqCst);
                break Err(Error::new(Kind::Cancelled, "the caller left"));
            }
            let one_less = |count: usize| count.checked_sub(1);
            if !*held || self.shared.admitted.fetch_update(Ordering::SeqCst, Ordering::SeqCst, one_less).is_ok() {
                break Ok(());
            }
            let (next, _) = self.shared.released.wait_timeout(held, Duration::from_millis(5)).expect("no test panics");
            held = next;
        };
        self.shared.inside.fetch_sub(1, Ordering::SeqCst);
        result
    }
}

/// Hears one word in every piece of audio. The prompt is its order; `options` makes it say what it was asked for,
/// `nothing` makes it deaf.
struct Ears(Fakes);

impl Transcriber for Ears {
    fn transcribe(&mut self, audio: &Pcm, options: &TranscribeOptions, cancel: &Cancel<'_>) -> Result<Transcript> {
        self.0.obey(options.prompt.as_deref().unwrap_or_default(), cancel)?;
        // A model that is loaded is tried out without a prompt.
        self.0.shared.heard.fetch_add(usize::from(options.prompt.is_some()), Ordering::SeqCst);
        if options.prompt.as_deref() == Some("nothing") {
            return Ok(Transcript::default());
        }
        let (start, end) = (Duration::ZERO, audio.duration());
        let text = match options.prompt.as_deref() {
            Some("options") => format!(
                "keywords={:?} languages={:?} language={:?} temperature={} guard={} short_context={}",
                options.keywords,
                options.languages,
                options.language,
                options.temperature,
                options.guard,
                options.short_context
            ),
            _ => "Heard.".to_owned(),
        };
        let words = vec![Word { text: text.clone(), start, end, confidence: 1.0, speaker: None }];
        let token = |id, text: &str, logprob| Token { id, bytes: text.into(), logprob };
        let tokens = vec![token(1, " Hea", -0.25), token(2, "rd.", -0.5)];
        let segment = Segment { text, start, end, words, tokens, ..Segment::default() };
        Ok(Transcript { segments: vec![segment], language: Some("en".into()), ..Transcript::default() })
    }
}

/// Speaks a tone of a tenth of a second for every character. A sentence `panic`, `fail` or `hold` is its order.
struct Mouth(Fakes);

impl Synthesizer for Mouth {
    fn synthesize(
        &mut self,
        utterance: &Utterance,
        _options: &SpeakOptions,
        cancel: &Cancel<'_>,
        out: &mut dyn FnMut(Spoken) -> Result<()>,
    ) -> Result<()> {
        let order = utterance.text.trim().trim_end_matches('.').to_lowercase();
        self.0.obey(&order, cancel)?;
        self.0.shared.spoken.fetch_add(1, Ordering::SeqCst);
        for _ in utterance.text.chars() {
            let tone = (0..1600).map(|n| 0.3 * (n as f32 * 0.2).sin()).collect();
            out(Spoken::Sound(Pcm::new(tone, 16_000)))?;
        }
        Ok(())
    }
}
