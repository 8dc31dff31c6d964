//! The sound of one live connection on its way in: how much of it waits, its digest, and when the client has been silent
//! for too long. What is heard in it is told elsewhere.

use crate::config::RealtimeConfig;
use crate::error::Result;
use crate::speech::realtime::{Event, Listener, Request, Settings, listen};
use bytes::Bytes;
use futures::StreamExt as _;
use futures::stream::{self, BoxStream};
use sha2::{Digest as _, Sha256};
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// How much sound may wait, in bytes, before no more is read.
const MOST_WAITING: usize = 256 << 10;

/// How much sound is hashed at once, in bytes: a fraction of a millisecond's work.
const HASHED_AT_ONCE: usize = 64 << 10;

/// How soon to look again whether there is room for more sound.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// How long each of the last results may take when the sound has ended.
const PATIENCE: Duration = Duration::from_secs(60);

/// Why nothing has happened for as long as [`Hearing::idle`] has said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Overdue {
    /// There is still much to listen to.
    Busy,
    /// The client has been silent for too long.
    Silent,
    /// The session has lasted as long as it may.
    Lasted,
    /// The last results do not come.
    Stuck,
}

/// Where the sound of a connection goes.
pub struct Hearing {
    /// Taken when the sound begins.
    request: Option<Request>,
    /// `None` before the sound begins and after it has ended.
    listener: Option<Listener>,
    events: BoxStream<'static, Result<Event>>,
    digest: Sha256,
    unhashed: VecDeque<Bytes>,
    idle: Duration,
    /// Nothing has been heard since the client asked for a result of everything so far.
    is_flushed: bool,
    /// When the session must end.
    end: Instant,
    /// When the client last said something that counts, or after the end of the sound was told something.
    active: Instant,
    /// The sound has ended.
    is_closed: bool,
}

impl Hearing {
    /// Before the first sound.
    pub fn new(request: Request, limits: &RealtimeConfig) -> Self {
        let now = Instant::now();
        Self {
            request: Some(request),
            listener: None,
            events: stream::pending().boxed(),
            digest: Sha256::new(),
            unhashed: VecDeque::new(),
            is_flushed: true,
            idle: Duration::from_secs(limits.idle_seconds),
            end: now + Duration::from_secs(limits.session_seconds),
            active: now,
            is_closed: false,
        }
    }

    /// Adds sound, unless it has ended.
    pub fn hear(&mut self, sound: &[u8]) {
        if self.is_closed || sound.is_empty() {
            return;
        }
        (self.active, self.is_flushed) = (Instant::now(), false);
        if let Some(request) = self.request.take() {
            let (listener, events) = listen(request);
            (self.listener, self.events) = (Some(listener), events.boxed());
        }
        let sound = Bytes::copy_from_slice(sound);
        self.listener.iter().for_each(|listener| listener.hear(sound.clone()));
        self.unhashed.push_back(sound);
    }

    /// The client has said something that is no sound, which shows that it is there once it has sent some.
    pub fn touch(&mut self) {
        if self.listener.is_some() {
            self.active = Instant::now();
        }
    }

    /// Has everything so far recognised, if there is anything new.
    pub fn finalize(&mut self) {
        if !self.is_flushed {
            self.listener.iter().for_each(Listener::finalize);
            self.is_flushed = true;
        }
    }

    /// Listens as `settings` say from here on.
    pub fn change(&mut self, settings: Settings) {
        if let Some(request) = &mut self.request {
            request.settings = settings.clone();
        }
        self.listener.iter().for_each(|listener| listener.change(settings.clone()));
    }

    /// Ends the sound. Its last events come, and [`Event::Over`] after them.
    pub fn close(&mut self) {
        if self.is_closed {
            return;
        }
        (self.is_closed, self.active) = (true, Instant::now());
        if self.listener.take().is_none() {
            let over = Event::Over { duration: Duration::ZERO, channels: 1 };
            self.events = stream::iter([Ok(over)]).chain(stream::pending()).boxed();
        }
    }

    /// What is heard next; pending after [`Event::Over`] and after an error.
    ///
    /// # Cancel safety
    /// Dropping the future loses nothing.
    pub async fn next(&mut self) -> Result<Event> {
        while let Some(mut sound) = self.unhashed.pop_front() {
            self.digest.update(sound.split_to(sound.len().min(HASHED_AT_ONCE)));
            if !sound.is_empty() {
                self.unhashed.push_front(sound);
                tokio::task::yield_now().await;
            }
        }
        let Some(event) = self.events.next().await else { return std::future::pending().await };
        if self.is_closed {
            self.active = Instant::now();
        }
        event
    }

    /// SHA-256 of all sound, in hexadecimal.
    pub fn sha256(&self) -> String {
        format!("{:x}", self.digest.clone().finalize())
    }

    /// Whether there is room for more sound.
    pub fn has_room(&self) -> bool {
        self.waiting() + self.unhashed.iter().map(Bytes::len).sum::<usize>() < MOST_WAITING
    }

    fn waiting(&self) -> usize {
        self.listener.as_ref().map_or(0, Listener::waiting)
    }

    /// How long nothing need happen from now on.
    pub fn idle(&self) -> Duration {
        let until = match self.is_closed {
            true => self.active + PATIENCE,
            false if !self.has_room() => return LOOK_AGAIN,
            false => self.end.min(self.active + self.idle),
        };
        until.saturating_duration_since(Instant::now())
    }

    /// Nothing has happened for so long.
    pub fn overdue(&mut self) -> Overdue {
        let now = Instant::now();
        if self.is_closed {
            return Overdue::Stuck;
        }
        if now >= self.end {
            return Overdue::Lasted;
        }
        if self.waiting() > 0 {
            self.active = now;
        }
        if now >= self.active + self.idle { Overdue::Silent } else { Overdue::Busy }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audio::Pcm;
    use crate::audio::decode::live::LiveFormat;
    use crate::audio::decode::raw::{RawEncoding, RawFormat};
    use crate::engine::pool::{Pool, PoolOptions};
    use crate::engine::{Cancel, TranscribeOptions, Transcriber};
    use crate::transcript::Transcript;
    use std::sync::Arc;

    /// Hears nothing.
    struct Deaf;

    impl Transcriber for Deaf {
        fn transcribe(&mut self, _: &Pcm, _: &TranscribeOptions, _: &Cancel<'_>) -> Result<Transcript> {
            Ok(Transcript::default())
        }
    }

    /// A connection on which nothing has happened for a minute, of the ten seconds that are allowed.
    fn quiet() -> Hearing {
        let options = PoolOptions { name: "deaf".into(), slots: 1, queue: 8, cores: None, threads: 1 };
        let pool = Pool::start(options, || Ok(Box::new(Deaf) as Box<dyn Transcriber>));
        let settings = Settings::new(Arc::new(pool.expect("it starts")), TranscribeOptions::default());
        let format = RawFormat { encoding: RawEncoding::Linear16, sample_rate: 16_000, channels: 1 };
        let request = Request::new(settings, LiveFormat::Raw(format));
        let mut hearing = Hearing::new(request, &RealtimeConfig::default());
        let minute = Duration::from_secs(60);
        hearing.active = hearing.active.checked_sub(minute).expect("the machine has run for a minute");
        hearing
    }

    #[test]
    fn words_do_not_keep_a_connection_alive_that_never_had_sound() {
        let mut hearing = quiet();
        hearing.touch();
        assert_eq!((hearing.idle(), hearing.overdue()), (Duration::ZERO, Overdue::Silent));
        hearing.hear(&[]);
        assert_eq!(hearing.overdue(), Overdue::Silent, "no sound is in an empty message");
    }

    #[tokio::test]
    async fn sound_keeps_a_connection_alive_and_so_do_words_after_it() {
        let mut hearing = quiet();
        hearing.hear(&[0; 320]);
        assert!(hearing.idle() > Duration::from_secs(9));
        while hearing.waiting() > 0 {
            let _ = futures::FutureExt::now_or_never(hearing.next());
            tokio::task::yield_now().await;
        }
        let begun = hearing.active;
        hearing.touch();
        assert!(hearing.active > begun && hearing.overdue() == Overdue::Busy);
    }

    #[test]
    fn a_client_is_not_silent_while_its_sound_waits() {
        let mut hearing = quiet();
        let then = hearing.active;
        hearing.hear(&vec![0; MOST_WAITING]);
        assert!(!hearing.has_room());
        assert_eq!(hearing.idle(), LOOK_AGAIN);
        hearing.active = then;
        assert_eq!(hearing.overdue(), Overdue::Busy);
    }

    #[test]
    fn a_session_ends_at_last_and_its_last_results_are_not_waited_for_without_end() {
        let mut hearing = quiet();
        hearing.end = Instant::now();
        assert_eq!(hearing.overdue(), Overdue::Lasted);
        hearing.close();
        assert!(hearing.idle() > PATIENCE / 2);
        assert_eq!(hearing.overdue(), Overdue::Stuck);
    }

    #[tokio::test]
    async fn the_digest_is_that_of_all_sound() {
        let mut hearing = quiet();
        let sound: Vec<u8> = (0..3 * HASHED_AT_ONCE).map(|byte| byte as u8).collect();
        sound.chunks(50_000).for_each(|part| hearing.hear(part));
        hearing.close();
        while !matches!(hearing.next().await.expect("it is heard"), Event::Over { .. }) {}
        assert_eq!(hearing.sha256(), format!("{:x}", Sha256::digest(&sound)));
    }
}
