//! A container that is read while it is sent.
//!
//! [`Stream`] reads: it asks for bytes where it stands, deep within a container, and waits for them. So it has a thread of
//! its own, and whoever has bytes waits until that thread has used them up and asks for more: then all that can be decoded
//! of them has been. Only one of the two computes at a time.

use super::Sound;
use crate::audio::decode::gaps::Gaps;
use crate::audio::decode::mp4;
use crate::audio::decode::stream::{Channel, Stream};
use crate::error::{Error, Kind, Result};
use std::io::{self, Cursor, Read, Seek, SeekFrom};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

/// The most bytes at the start that may go by before it is known what they are.
const LONGEST_START: usize = 1 << 20;

/// How many samples may wait before the thread stops.
const MOST_WAITING: usize = 1 << 16;

/// More than any codec has been seen to need, and only what is used takes memory.
const STACK: usize = 1 << 20;

/// Where the bytes of a file go in and sound comes out.
pub(super) struct Pipe {
    shared: Arc<Shared>,
    /// Nobody waits for it to end: it does so as soon as it asks for bytes or has sound.
    #[cfg_attr(not(test), expect(dead_code, reason = "the tests see that it ends"))]
    pub(super) thread: JoinHandle<()>,
}

/// What both sides see.
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    /// Bytes that have not been read; those before `read` have been.
    bytes: Vec<u8>,
    read: usize,
    /// The first bytes of the file, until its format is known.
    start: Option<Vec<u8>>,
    /// The thread waits for bytes.
    is_hungry: bool,
    /// There are no more bytes.
    is_closed: bool,
    /// Nobody wants the sound.
    is_dropped: bool,
    sounds: Vec<Sound>,
    /// How many samples are in them.
    samples: usize,
    /// How the thread ended.
    end: Option<Result<()>>,
    is_over: bool,
}

impl Pipe {
    /// Begins to read a file, of which `channel` is wanted.
    ///
    /// # Errors
    /// `Unavailable` if there cannot be another thread.
    pub(super) fn new(channel: Channel) -> Result<Self> {
        let state = State { start: Some(Vec::new()), ..State::default() };
        let shared = Arc::new(Shared { state: Mutex::new(state), changed: Condvar::new() });
        let reader = Reader(Arc::clone(&shared));
        let thread = std::thread::Builder::new()
            .name("live-decoder".to_owned())
            .stack_size(STACK)
            .spawn(move || reader.run(channel))
            .map_err(|error| Error::new(Kind::Unavailable, "cannot start a decoder thread").with_source(error))?;
        Ok(Self { shared, thread })
    }

    /// Gives `bytes` to the thread, and all sound that they make to `take`. Bytes behind the end of the file are nothing.
    ///
    /// # Errors
    /// `InvalidAudio` for what cannot be decoded, and what `take` says.
    pub(super) fn push(&mut self, bytes: &[u8], take: impl FnMut(Sound) -> Result<()>) -> Result<()> {
        self.shared.lock().bytes.extend_from_slice(bytes);
        self.wait(take)
    }

    /// Ends the file, and gives the rest of its sound to `take`.
    ///
    /// # Errors
    /// As [`Pipe::push`].
    pub(super) fn finish(self, take: impl FnMut(Sound) -> Result<()>) -> Result<()> {
        self.shared.lock().is_closed = true;
        self.wait(take)
    }

    /// Takes sound until the thread has nothing more to do.
    fn wait(&self, mut take: impl FnMut(Sound) -> Result<()>) -> Result<()> {
        loop {
            self.shared.changed.notify_all();
            let works = |state: &mut State| state.sounds.is_empty() && !state.is_idle();
            let mut state =
                self.shared.changed.wait_while(self.shared.lock(), works).unwrap_or_else(PoisonError::into_inner);
            let (sounds, is_idle) = (std::mem::take(&mut state.sounds), state.is_idle());
            state.samples = 0;
            let end = if is_idle { state.end.take() } else { None };
            drop(state);
            sounds.into_iter().try_for_each(&mut take)?;
            if is_idle {
                return end.unwrap_or(Ok(()));
            }
        }
    }
}

impl Drop for Pipe {
    fn drop(&mut self) {
        self.shared.lock().is_dropped = true;
        self.shared.changed.notify_all();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Whether the thread can do nothing until something is done for it.
    fn is_idle(&self) -> bool {
        self.is_over || (self.is_hungry && self.bytes.is_empty() && !self.is_closed)
    }
}

/// The side of the thread.
struct Reader(Arc<Shared>);

impl Reader {
    fn run(self, channel: Channel) {
        let end = self.decode(channel);
        self.0.lock().end = Some(end);
    }

    fn decode(&self, channel: Channel) -> Result<()> {
        let source = Source { shared: Arc::clone(&self.0) };
        let stream = Stream::open_pipe(Box::new(source), channel);
        let start = self.0.lock().start.take().unwrap_or_default();
        let mut stream = stream.map_err(|error| explain(&start, error))?;
        let length = start.len() as u64;
        let head = start[..start.len().min(1_024)].to_vec();
        stream.set_gaps(Gaps::read(&mut Cursor::new(start), &head, length));
        loop {
            let mut samples = Vec::new();
            let Some(shape) = stream.decode(&mut samples)? else { break };
            let channels = if channel == Channel::Each { shape.channels as usize } else { 1 };
            self.give(Sound { sample_rate: shape.sample_rate, channels, samples })?;
        }
        match stream.is_given_up() {
            true => Err(Error::new(Kind::InvalidAudio, "The sound is damaged: too much of it in a row is unreadable.")),
            false => Ok(()),
        }
    }

    /// Hands out `sound` as soon as there is room for it.
    fn give(&self, sound: Sound) -> Result<()> {
        let is_full = |state: &mut State| state.samples >= MOST_WAITING && !state.is_dropped;
        let mut state = self.0.changed.wait_while(self.0.lock(), is_full).unwrap_or_else(PoisonError::into_inner);
        if state.is_dropped {
            return Err(Error::new(Kind::Cancelled, "Nobody listens any more."));
        }
        state.samples += sound.samples.len();
        state.sounds.push(sound);
        drop(state);
        self.0.changed.notify_all();
        Ok(())
    }
}

impl Drop for Reader {
    /// However the thread ends, nobody waits for it.
    fn drop(&mut self) {
        self.0.lock().is_over = true;
        self.0.changed.notify_all();
    }
}

/// What the file is read from.
struct Source {
    shared: Arc<Shared>,
}

impl Read for Source {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut state = self.shared.lock();
        state.is_hungry = true;
        if state.bytes.is_empty() {
            self.shared.changed.notify_all();
        }
        let is_waiting = |state: &mut State| state.bytes.is_empty() && !state.is_closed && !state.is_dropped;
        let mut state = self.shared.changed.wait_while(state, is_waiting).unwrap_or_else(PoisonError::into_inner);
        state.is_hungry = false;
        if state.is_dropped {
            return Err(io::Error::other("nobody listens any more"));
        }
        let State { bytes, read, start, .. } = &mut *state;
        let count = (bytes.len() - *read).min(buffer.len());
        buffer[..count].copy_from_slice(&bytes[*read..*read + count]);
        *read += count;
        if let Some(start) = start {
            if start.len() + count > LONGEST_START {
                return Err(io::Error::other("the format is not known yet"));
            }
            start.extend_from_slice(&buffer[..count]);
        }
        if *read == bytes.len() {
            bytes.clear();
            *read = 0;
        }
        Ok(count)
    }
}

impl Seek for Source {
    fn seek(&mut self, _position: SeekFrom) -> io::Result<u64> {
        Err(io::Error::from(io::ErrorKind::Unsupported))
    }
}

/// Why a file that begins with `start` cannot be read.
fn explain(start: &[u8], error: Error) -> Error {
    let message = if start.get(4..8) == Some(b"ftyp") && mp4::is_index_behind(start) {
        "This MP4 file has its index behind the sound, so it cannot be decoded while it is sent: send it as a file, or \
         write it in fragments."
    } else if error.kind() == Kind::Internal {
        "What the sound is could not be told from its first megabyte. Send WAV, FLAC, MP3, AAC, Ogg or WebM."
    } else {
        return error;
    };
    Error::new(Kind::InvalidAudio, message).with_source(error)
}
