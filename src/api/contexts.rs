//! Several texts that are spoken over one connection at a time, each under a name that the client gives it.

use crate::error::{Error, Result};
use crate::speech::live::{Live, LiveVoice, LiveWriter, live};
use futures::stream::{AbortHandle, BoxStream, SelectAll, abortable};
use futures::{StreamExt, stream};
use std::collections::HashMap;

/// The most texts at a time on one connection.
pub const MOST_CONTEXTS: usize = 32;

/// How much text may wait on one connection, in bytes, before no more is read.
pub const MOST_WAITING: usize = 64 << 10;

/// What comes of a text.
pub enum Event<M> {
    /// Sound, or something about it.
    Live(Live<M>),
    /// It failed, and is over.
    Failed(Error),
    /// All of it is said.
    Done,
}

/// The texts of a connection.
pub struct Contexts<M> {
    open: HashMap<String, Context<M>>,
    said: SelectAll<BoxStream<'static, (String, Event<M>)>>,
}

struct Context<M> {
    /// `None` once no more text comes.
    writer: Option<LiveWriter<M>>,
    speech: AbortHandle,
}

impl<M: Send + 'static> Contexts<M> {
    /// No texts.
    pub fn new() -> Self {
        Self { open: HashMap::new(), said: SelectAll::new() }
    }

    /// Begins the text `id`, to be spoken by `voice`; one of that name that is still being said is not said any further.
    pub fn begin(&mut self, id: &str, voice: impl Future<Output = Result<LiveVoice>> + Send + 'static) {
        self.cancel(id);
        let (writer, said) = live(voice);
        let events = said.map(|live| live.map_or_else(Event::Failed, Event::Live));
        let events = events.chain(stream::once(async { Event::Done }));
        let events = events.scan(false, |failed, event| {
            let ended = std::mem::replace(failed, matches!(event, Event::Failed(_)));
            std::future::ready((!ended).then_some(event))
        });
        let (events, speech) = abortable(events);
        let name = id.to_owned();
        self.said.push(events.map(move |event| (name.clone(), event)).boxed());
        self.open.insert(id.to_owned(), Context { writer: Some(writer), speech });
    }

    /// Whether the text `id` is still being written or said.
    pub fn is_open(&self, id: &str) -> bool {
        self.open.contains_key(id)
    }

    /// How many texts are.
    pub fn len(&self) -> usize {
        self.open.len()
    }

    /// Where the text `id` goes on, as long as it may.
    pub fn writer(&self, id: &str) -> Option<&LiveWriter<M>> {
        self.open.get(id)?.writer.as_ref()
    }

    /// No more text comes for `id`: what there is, is said.
    pub fn finish(&mut self, id: &str) {
        if let Some(context) = self.open.get_mut(id) {
            context.writer = None;
        }
    }

    /// As [`Contexts::finish`], for every text.
    pub fn finish_all(&mut self) {
        self.open.values_mut().for_each(|context| context.writer = None);
    }

    /// Nothing more of the text `id` is said.
    pub fn cancel(&mut self, id: &str) {
        if let Some(context) = self.open.remove(id) {
            context.speech.abort();
        }
    }

    /// Whether there is room for more text.
    pub fn has_room(&self) -> bool {
        let waiting = self.open.values().filter_map(|context| context.writer.as_ref()).map(LiveWriter::waiting);
        waiting.sum::<usize>() < MOST_WAITING
    }

    /// What comes next, and of which text; pending as long as nothing does.
    ///
    /// # Cancel safety
    /// Dropping the future loses nothing.
    pub async fn next(&mut self) -> (String, Event<M>) {
        while !self.said.is_empty() {
            if let Some((id, event)) = self.said.next().await {
                if !matches!(event, Event::Live(_)) {
                    self.open.remove(&id);
                }
                return (id, event);
            }
        }
        std::future::pending().await
    }
}
