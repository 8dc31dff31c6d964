//! Faster or slower sound at the same pitch, as a stream. No models, no formats.
//!
//! Overlapping pieces of the input are laid down at another distance from each other, each moved a little so that its
//! waves continue those of the piece before it (WSOLA).

/// How much of a piece overlaps with the next, in seconds: one period of the lowest voice.
const OVERLAP: f64 = 0.0125;
/// How far a piece may be moved to fit, in seconds: half a period of the lowest voice.
const SEARCH: f64 = 0.007;

/// Changes the speed of a stream of mono samples.
pub struct Stretch {
    speed: f64,
    overlap: usize,
    search: usize,
    /// Input that is still needed; its first sample is number `dropped` of the stream.
    input: Vec<f32>,
    dropped: usize,
    taken: usize,
    given: usize,
    /// How many pieces were laid down.
    pieces: usize,
    /// The end of the last piece, which fades out into the next one.
    tail: Vec<f32>,
}

impl Stretch {
    /// Plays `speed` times as fast; `speed` is above 0.
    pub fn new(sample_rate: u32, speed: f32) -> Self {
        let samples = |seconds: f64| (seconds * f64::from(sample_rate)) as usize;
        Self {
            speed: f64::from(speed),
            overlap: samples(OVERLAP).max(1),
            search: samples(SEARCH),
            input: Vec::new(),
            dropped: 0,
            taken: 0,
            given: 0,
            pieces: 0,
            tail: Vec::new(),
        }
    }

    /// Takes the next `samples` and appends what is ready to `out`.
    pub fn push(&mut self, samples: &[f32], out: &mut Vec<f32>) {
        self.input.extend_from_slice(samples);
        self.taken += samples.len();
        while self.dropped + self.input.len() >= self.place() + self.search + 2 * self.overlap {
            self.lay_down(out);
        }
    }

    /// Appends the rest to `out`: all calls together have given the length of the input divided by the speed.
    pub fn finish(&mut self, out: &mut Vec<f32>) {
        let length = (self.taken as f64 / self.speed).round() as usize;
        while self.given < length {
            let needed = self.place() + self.search + 2 * self.overlap;
            let missing = needed.saturating_sub(self.dropped + self.input.len());
            self.input.resize(self.input.len() + missing, 0.0);
            self.lay_down(out);
        }
        out.truncate(out.len() - (self.given - length));
        self.given = length;
    }

    /// Where in the input the next piece stands, before it is moved.
    fn place(&self) -> usize {
        (self.pieces as f64 * self.overlap as f64 * self.speed) as usize
    }

    fn lay_down(&mut self, out: &mut Vec<f32>) {
        let place = self.place();
        let start = if self.tail.is_empty() { place } else { self.best_fit(place) };
        let piece = &self.input[start - self.dropped..][..2 * self.overlap];
        let (head, rest) = piece.split_at(self.overlap);
        if self.tail.is_empty() {
            out.extend_from_slice(head);
        } else {
            let step = 1.0 / self.overlap as f32;
            let faded = head.iter().zip(&self.tail).enumerate().map(|(i, (new, old))| {
                let share = (i as f32 + 0.5) * step;
                old + (new - old) * share
            });
            out.extend(faded);
        }
        self.tail = rest.to_vec();
        self.given += self.overlap;
        self.pieces += 1;
        let unneeded = self.place().saturating_sub(self.search + self.dropped).min(self.input.len());
        self.input.drain(..unneeded);
        self.dropped += unneeded;
    }

    /// The start, near `place`, of the piece whose waves are most like those that the last piece ended with.
    fn best_fit(&self, place: usize) -> usize {
        let first = place.saturating_sub(self.search).max(self.dropped);
        let candidates = first..=place + self.search;
        let likeness = |start: &usize| {
            let head = &self.input[start - self.dropped..][..self.overlap];
            let (product, energy) = head
                .iter()
                .zip(&self.tail)
                .fold((0.0, 1e-6), |(product, energy), (new, old)| (product + new * old, energy + new * new));
            product / f32::sqrt(energy)
        };
        // Of equal ones, such as in silence, the nearest to the place; `max_by` would take the last.
        let better = |best: (usize, f32), next: (usize, f32)| {
            let nearer = next.0.abs_diff(place) < best.0.abs_diff(place);
            if next.1 > best.1 || (next.1 == best.1 && nearer) { next } else { best }
        };
        candidates.map(|start| (start, likeness(&start))).reduce(better).map_or(place, |(start, _)| start)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: u32 = 22_050;

    /// A voice-like tone at `hertz` with some overtones.
    fn tone(hertz: f32, samples: usize) -> Vec<f32> {
        let wave = |i: usize| {
            let phase = i as f32 * hertz / RATE as f32 * std::f32::consts::TAU;
            0.3 * phase.sin() + 0.2 * (2.0 * phase).sin() + 0.1 * (3.0 * phase).sin()
        };
        (0..samples).map(wave).collect()
    }

    fn stretched(input: &[f32], speed: f32, block: usize) -> Vec<f32> {
        let mut stretch = Stretch::new(RATE, speed);
        let mut out = Vec::new();
        input.chunks(block).for_each(|block| stretch.push(block, &mut out));
        stretch.finish(&mut out);
        out
    }

    /// Upward zero crossings of the fundamental in a second.
    fn pitch(samples: &[f32]) -> f32 {
        let crossings = samples.windows(2).filter(|pair| pair[0] < 0.0 && pair[1] >= 0.0).count();
        crossings as f32 * RATE as f32 / samples.len() as f32
    }

    #[test]
    fn the_length_changes_exactly_and_the_pitch_does_not() {
        for hertz in [90.0, 140.0, 220.0] {
            let input = tone(hertz, RATE as usize * 2);
            for speed in [0.5, 0.8, 1.3, 2.0, 2.7] {
                let out = stretched(&input, speed, 1000);
                assert_eq!(out.len(), (input.len() as f64 / f64::from(speed)).round() as usize);
                assert!((pitch(&out) / pitch(&input) - 1.0).abs() < 0.03, "{hertz} Hz at {speed}: {}", pitch(&out));
                let jump = out.windows(2).map(|pair| (pair[1] - pair[0]).abs()).fold(0.0, f32::max);
                assert!(jump < 0.1, "{hertz} Hz at {speed} clicks: {jump}");
            }
        }
    }

    #[test]
    fn the_result_does_not_depend_on_the_blocks() {
        let input = tone(110.0, 30_000);
        assert!(stretched(&input, 1.7, 37) == stretched(&input, 1.7, 30_000));
        assert!(stretched(&[], 2.0, 1).is_empty());
        assert_eq!(stretched(&[0.5; 10], 2.0, 3).len(), 5);
    }
}
