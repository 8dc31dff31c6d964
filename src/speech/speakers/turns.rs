//! Who speaks when: voice prints given to the voices they are most like, without jumping between voices.

use super::cluster::Cluster;
use crate::engine::VoicePrint;
use std::time::Duration;

/// By so much more a print must be like another voice for the voice to change within a stretch of speech.
const CHANGE_IN_SPEECH: f32 = 0.15;

/// The same after a pause, where turns begin.
const CHANGE_AFTER_PAUSE: f32 = 0.05;

/// From this on a gap is a pause.
const PAUSE: Duration = Duration::from_millis(150);

/// What it costs when two prints that overlap are of one voice: they overlap because two speak.
const TWICE_AT_ONCE: f32 = 0.5;

/// A stretch in which one voice speaks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Turn {
    /// When it begins.
    pub start: Duration,
    /// When it ends.
    pub end: Duration,
    /// The index of the voice.
    pub voice: usize,
}

impl Turn {
    /// How long both are.
    pub fn overlap(&self, start: Duration, end: Duration) -> Duration {
        self.end.min(end).saturating_sub(self.start.max(start))
    }
}

/// The turns behind `prints`, which are in order of their start; neighbours of one voice are one turn.
pub fn turns(prints: &[VoicePrint], voices: &[Cluster]) -> Vec<Turn> {
    let mut turns: Vec<Turn> = Vec::new();
    for (print, voice) in prints.iter().zip(best_path(prints, voices)) {
        match turns.last_mut() {
            Some(last) if last.voice == voice && print.start <= last.end => last.end = last.end.max(print.end),
            _ => turns.push(Turn { start: print.start, end: print.end, voice }),
        }
    }
    turns
}

/// The voice of each print: those that are together most alike at the least cost of changes.
fn best_path(prints: &[VoicePrint], voices: &[Cluster]) -> Vec<usize> {
    let Some(first) = prints.first().filter(|_| !voices.is_empty()) else { return Vec::new() };
    let likeness =
        |print: &VoicePrint| -> Vec<f32> { voices.iter().map(|voice| voice.likeness_to(&print.embedding)).collect() };
    let mut scores = likeness(first);
    // For each later print and voice, the voice of the print before.
    let mut origins: Vec<Vec<usize>> = Vec::with_capacity(prints.len());
    for pair in prints.windows(2) {
        let arrive = |voice: usize| {
            let from = |before: &usize| scores[*before] - cost(&pair[0], &pair[1], *before == voice);
            (0..scores.len()).max_by(|a, b| from(a).total_cmp(&from(b))).map_or((0, 0.0), |at| (at, from(&at)))
        };
        let arrivals: Vec<(usize, f32)> = (0..voices.len()).map(arrive).collect();
        scores = likeness(&pair[1]).iter().zip(&arrivals).map(|(likeness, (_, score))| likeness + score).collect();
        origins.push(arrivals.into_iter().map(|(origin, _)| origin).collect());
    }
    let mut voice = (0..scores.len()).max_by(|a, b| scores[*a].total_cmp(&scores[*b])).unwrap_or(0);
    let mut path = vec![voice];
    for origin in origins.iter().rev() {
        voice = origin[voice];
        path.push(voice);
    }
    path.reverse();
    path
}

/// What it costs that the voices of `before` and `after` are the same or not.
fn cost(before: &VoicePrint, after: &VoicePrint, same: bool) -> f32 {
    let overlap = before.end.min(after.end).saturating_sub(after.start);
    match (overlap > Duration::ZERO, same) {
        (true, true) => TWICE_AT_ONCE,
        (true, false) | (false, true) => 0.0,
        (false, false) if after.start.saturating_sub(before.end) >= PAUSE => CHANGE_AFTER_PAUSE,
        (false, false) => CHANGE_IN_SPEECH,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A print at these tenths of a second that points to `angle` in degrees.
    fn print(start: u64, end: u64, angle: f32) -> VoicePrint {
        let (sin, cos) = angle.to_radians().sin_cos();
        let time = |tenths| Duration::from_millis(tenths * 100);
        VoicePrint { start: time(start), end: time(end), embedding: vec![cos, sin] }
    }

    fn two_voices() -> Vec<Cluster> {
        vec![Cluster::of(&print(0, 1, 0.0)), Cluster::of(&print(0, 1, 90.0))]
    }

    fn told(prints: &[VoicePrint]) -> Vec<(u128, u128, usize)> {
        let turns = turns(prints, &two_voices());
        turns.iter().map(|turn| (turn.start.as_millis(), turn.end.as_millis(), turn.voice)).collect()
    }

    #[test]
    fn neighbours_of_one_voice_are_one_turn() {
        let prints = [print(0, 8, 5.0), print(8, 16, 10.0), print(20, 28, 80.0), print(28, 36, 95.0)];
        assert_eq!(told(&prints), [(0, 1600, 0), (2000, 3600, 1)]);
    }

    #[test]
    fn a_print_that_wavers_within_speech_follows_its_neighbours() {
        assert_eq!(told(&[print(0, 8, 5.0), print(8, 16, 50.0), print(16, 24, 5.0)]), [(0, 2400, 0)]);
        let changes = told(&[print(0, 8, 5.0), print(8, 16, 85.0), print(16, 24, 5.0)]);
        assert_eq!(changes.iter().map(|turn| turn.2).collect::<Vec<_>>(), [0, 1, 0]);
    }

    #[test]
    fn prints_at_the_same_time_are_of_different_voices() {
        assert_eq!(told(&[print(0, 20, 40.0), print(10, 20, 44.0)]), [(0, 2000, 0), (1000, 2000, 1)]);
    }

    #[test]
    fn without_prints_or_voices_there_are_no_turns() {
        assert!(turns(&[], &two_voices()).is_empty());
        assert!(turns(&[print(0, 8, 5.0)], &[]).is_empty());
    }
}
