//! From logits to the next token: the rules that Whisper was trained with, those of its reference decoder
//! (<https://github.com/openai/whisper>, `decoding.py`), and a choice.

use super::bias::Bias;
use super::coverage::Guide;
use super::vocabulary::Vocabulary;

/// The first time in a piece is not later: 1 s in steps of 20 ms.
const LATEST_FIRST_TIME: usize = 50;

/// Above this probability a point in time counts as heard.
const HEARD: f32 = 0.01;

/// What decides about the next token.
pub(super) struct Rules<'a> {
    pub(super) vocabulary: &'a Vocabulary,
    /// Keeps the text from ending where sound goes on.
    pub(super) guide: Option<&'a Guide>,
    /// Prefers some words.
    pub(super) bias: &'a Bias,
    /// 0 takes the most likely token.
    pub(super) temperature: f32,
    /// Whether the model names times.
    pub(super) times: bool,
}

/// A token with what the model says about it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Choice {
    pub(super) token: i32,
    /// Natural logarithm of its probability.
    pub(super) logprob: f32,
    /// The time token that the model would have chosen, if it is sure enough of it.
    pub(super) heard: Option<i32>,
}

impl Rules<'_> {
    /// The token after `so_far`; `logits` are the model's for it and are used up.
    pub(super) fn choose(&self, so_far: &[i32], logits: &mut [f32], random: &mut Random) -> Choice {
        self.rule_out(so_far, logits);
        to_log_probabilities(logits);
        self.prefer_times(logits);
        let heard = self.heard(logits);
        let token = match self.temperature > 0.0 {
            true => random.draw(logits, self.temperature),
            false => most_likely(logits),
        };
        Choice { token: token as i32, logprob: logits[token], heard }
    }

    fn rule_out(&self, so_far: &[i32], logits: &mut [f32]) {
        let vocabulary = self.vocabulary;
        let mut never = |token: i32| logits[token as usize] = f32::NEG_INFINITY;
        if so_far.is_empty() {
            never(vocabulary.end_of_text);
            vocabulary.blank.into_iter().for_each(&mut never);
        }
        vocabulary.not_spoken.iter().copied().for_each(never);
        logits[vocabulary.special()].fill(f32::NEG_INFINITY);
        self.bias.apply(so_far, logits);
        if let Some(guide) = self.guide {
            guide.filter(so_far, logits);
        }
        self.rule_out_times(so_far, logits);
    }

    /// Times come in pairs, do not go back, and the first is near the beginning.
    fn rule_out_times(&self, so_far: &[i32], logits: &mut [f32]) {
        let first = self.vocabulary.first_time as usize;
        let (words, times) = logits.split_at_mut(first);
        if !self.times {
            return times.fill(f32::NEG_INFINITY);
        }
        let is_time = |from_end: usize| {
            let index = so_far.len().checked_sub(from_end)?;
            Some(self.vocabulary.is_time(so_far[index]))
        };
        match (is_time(1), is_time(2)) {
            (Some(true), Some(false)) => words[..self.vocabulary.end_of_text as usize].fill(f32::NEG_INFINITY),
            (Some(true), _) => times.fill(f32::NEG_INFINITY),
            (None, _) => times.iter_mut().skip(LATEST_FIRST_TIME + 1).for_each(|logit| *logit = f32::NEG_INFINITY),
            (Some(false), _) => {}
        }
        if let Some(last) = so_far.iter().rev().find(|token| self.vocabulary.is_time(**token)) {
            times[..(last - self.vocabulary.first_time) as usize].fill(f32::NEG_INFINITY);
        }
    }

    /// When all times together are likelier than every word, it is a time.
    fn prefer_times(&self, log_probabilities: &mut [f32]) {
        let (words, times) = log_probabilities.split_at_mut(self.vocabulary.first_time as usize);
        if log_sum(times) > maximum(words) {
            words.fill(f32::NEG_INFINITY);
        }
    }

    fn heard(&self, log_probabilities: &[f32]) -> Option<i32> {
        let times = &log_probabilities[self.vocabulary.first_time as usize..];
        let sum = log_sum(times).exp();
        let best = most_likely(times);
        let share = times[best].exp() / (sum + 1e-10);
        (share > HEARD && sum > HEARD).then_some(best as i32 + self.vocabulary.first_time)
    }
}

/// The softmax of `logits` over `tokens` alone, in their order.
pub(super) fn probabilities_among(logits: &[f32], tokens: impl Iterator<Item = i32>) -> Vec<f32> {
    let chosen: Vec<f32> = tokens.map(|token| logits[token as usize]).collect();
    let sum = log_sum(&chosen);
    chosen.into_iter().map(|logit| (logit - sum).exp()).collect()
}

/// The probability of `token` among all.
pub(super) fn probability_of(token: i32, logits: &[f32]) -> f32 {
    (logits[token as usize] - log_sum(logits)).exp()
}

fn to_log_probabilities(logits: &mut [f32]) {
    let sum = log_sum(logits);
    logits.iter_mut().for_each(|logit| *logit -= sum);
}

fn maximum(values: &[f32]) -> f32 {
    values.iter().copied().fold(f32::NEG_INFINITY, f32::max)
}

/// Logarithm of the sum of the exponentials; minus infinity when all are.
fn log_sum(values: &[f32]) -> f32 {
    let maximum = maximum(values);
    if maximum == f32::NEG_INFINITY {
        return maximum;
    }
    let likely = values.iter().filter(|value| **value > maximum - 30.0);
    maximum + likely.map(|value| (value - maximum).exp()).sum::<f32>().ln()
}

/// The index of the largest value; the first of equals.
fn most_likely(values: &[f32]) -> usize {
    let maximum = maximum(values);
    values.iter().position(|value| *value == maximum).unwrap_or(0)
}

/// Chance that is the same every time, so that the same audio has the same text.
pub(super) struct Random(u64);

impl Random {
    /// Begins anew.
    pub(super) fn new() -> Self {
        Self(0x9e37_79b9_7f4a_7c15)
    }

    /// In `0..1`, by xorshift64*.
    fn next(&mut self) -> f64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 11) as f64 / (1u64 << 53) as f64
    }

    /// An index by its probability, sharpened by a `temperature` below 1. The figures of the text stay those of the
    /// model itself: sharpened ones would make a guess look sure.
    fn draw(&mut self, log_probabilities: &[f32], temperature: f32) -> usize {
        let best = maximum(log_probabilities);
        let weight = |value: &f32| f64::from(((value - best) / temperature).exp());
        let total: f64 = log_probabilities.iter().map(weight).sum();
        let mut left = self.next() * total;
        for (index, value) in log_probabilities.iter().enumerate() {
            left -= weight(value);
            if left < 0.0 && *value > f32::NEG_INFINITY {
                return index;
            }
        }
        most_likely(log_probabilities)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Text is 0..10 (0 is the blank, 9 is not spoken), 10 ends it, 11..20 are special, times begin at 20.
    pub(in super::super) fn vocabulary() -> Vocabulary {
        Vocabulary {
            size: 120,
            end_of_text: 10,
            start: 11,
            previous: 12,
            no_times: 13,
            no_speech: 14,
            first_time: 20,
            transcribe: 15,
            translate: 16,
            blank: Some(0),
            not_spoken: vec![9],
            languages: Vec::new(),
        }
    }

    fn choose(so_far: &[i32], likely: &[(usize, f32)], temperature: f32) -> Choice {
        let (vocabulary, bias) = (vocabulary(), Bias::none());
        let rules = Rules { vocabulary: &vocabulary, guide: None, bias: &bias, temperature, times: true };
        let mut logits = vec![0.0; vocabulary.size];
        likely.iter().for_each(|(token, logit)| logits[*token] = *logit);
        rules.choose(so_far, &mut logits, &mut Random::new())
    }

    #[test]
    fn nothing_that_is_not_text_is_written() {
        for token in [0, 9, 10, 11, 14, 19] {
            assert_ne!(choose(&[], &[(token, 50.0), (5, 20.0)], 0.0).token, token as i32);
        }
        assert_eq!(choose(&[20, 5], &[(0, 50.0)], 0.0).token, 0, "a blank is only ruled out at the beginning");
        assert_eq!(choose(&[20, 5], &[(10, 50.0)], 0.0).token, 10);
    }

    #[test]
    fn times_come_in_pairs_and_do_not_go_back() {
        assert_eq!(choose(&[], &[(95, 50.0), (60, 40.0)], 0.0).token, 60, "the first time is within a second");
        assert_eq!(choose(&[20], &[(30, 50.0), (5, 10.0)], 0.0).token, 5, "text follows the first time");
        assert_eq!(choose(&[20, 5, 40], &[(5, 50.0), (41, 10.0)], 0.0).token, 41, "a second time follows the end");
        assert_eq!(choose(&[20, 5, 40, 40, 6], &[(30, 50.0), (45, 40.0)], 0.0).token, 45);
    }

    #[test]
    fn many_unlikely_times_together_beat_a_word() {
        let times: Vec<(usize, f32)> = (30..60).map(|token| (token, 8.0)).collect();
        let both = [&[(5, 9.0)], &times[..]].concat();
        let choice = choose(&[20, 4], &both, 0.0);
        assert!(choice.token >= 30 && choice.heard == Some(30), "{choice:?}");
        assert_eq!(choose(&[20, 4], &[(5, 9.0), (30, 8.0)], 0.0).token, 5);
    }

    #[test]
    fn chance_is_the_same_every_time_and_follows_the_odds() {
        let draws = |seed_steps: usize| {
            let mut random = Random::new();
            (0..seed_steps)
                .map(|_| random.draw(&[0.75f32.ln(), 0.25f32.ln(), f32::NEG_INFINITY], 1.0))
                .collect::<Vec<_>>()
        };
        let (first, second) = (draws(1000), draws(1000));
        assert_eq!(first, second);
        let share = first.iter().filter(|index| **index == 0).count();
        assert!((700..800).contains(&share) && !first.contains(&2), "{share}");
        let cold = choose(&[20, 4], &[(5, 9.0), (6, 8.0)], 0.1);
        assert_eq!(cold, choose(&[20, 4], &[(5, 9.0), (6, 8.0)], 0.0), "its figures are not sharpened");
    }

    #[test]
    fn probabilities_are_those_of_the_tokens_asked_for() {
        let mut logits = vec![0.0; 10];
        (logits[3], logits[4]) = (2.0, 1.0);
        let among = probabilities_among(&logits, [3, 4].into_iter());
        assert!((among[0] - 0.731).abs() < 0.001 && (among[0] + among[1] - 1.0).abs() < 1e-5);
        assert!(probability_of(3, &logits) < among[0]);
    }
}
