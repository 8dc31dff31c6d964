//! Words that the decoder prefers: their tokens get a head start over others that sound alike.

/// What the first token of a keyword gets on top of its logit. Little: it is weighed at every word.
const BEGIN: f32 = 1.0;

/// What each further token gets once the keyword has begun.
const GO_ON: f32 = 2.5;

/// The most tokens of all spellings together.
const MOST_TOKENS: usize = 2_000;

/// Token sequences that are preferred.
#[derive(Debug, Default)]
pub(super) struct Bias {
    sequences: Vec<Vec<i32>>,
}

impl Bias {
    /// Prefers nothing.
    #[cfg(test)]
    pub(super) fn none() -> Self {
        Self::default()
    }

    /// Prefers each of `keywords`, as `tokenize` spells it within a sentence and at its beginning. What is beyond
    /// a bound on their number is left out.
    pub(super) fn new(keywords: &[String], tokenize: impl Fn(&str) -> Vec<i32>) -> Self {
        let mut sequences: Vec<Vec<i32>> = Vec::new();
        let mut room = MOST_TOKENS;
        for keyword in keywords.iter().map(|keyword| keyword.trim()).filter(|keyword| !keyword.is_empty()) {
            let sequence = tokenize(&format!(" {keyword}"));
            if sequence.is_empty() || sequence.len() > room || sequences.contains(&sequence) {
                continue;
            }
            room -= sequence.len();
            sequences.push(sequence);
        }
        Self { sequences }
    }

    /// Raises the logits of the tokens that begin a keyword or go on with the one that `so_far` ends in.
    pub(super) fn apply(&self, so_far: &[i32], logits: &mut [f32]) {
        let mut gains: Vec<(i32, f32)> = Vec::new();
        for sequence in &self.sequences {
            gains.push((sequence[0], BEGIN));
            let begun = (1..sequence.len()).rev().find(|length| so_far.ends_with(&sequence[..*length]));
            gains.extend(begun.map(|length| (sequence[length], GO_ON)));
        }
        // Keywords that share a token do not add up.
        gains.sort_by(|one, other| one.0.cmp(&other.0).then(other.1.total_cmp(&one.1)));
        gains.dedup_by_key(|gain| gain.0);
        for (token, gain) in gains {
            logits[token as usize] += gain;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bias(keywords: &[&str]) -> Bias {
        let keywords: Vec<String> = keywords.iter().map(|keyword| keyword.to_string()).collect();
        // A letter is a token.
        Bias::new(&keywords, |text| text.trim().bytes().map(|byte| i32::from(byte - b'a')).collect())
    }

    fn raised(bias: &Bias, so_far: &[i32]) -> Vec<(usize, f32)> {
        let mut logits = [0.0; 26];
        bias.apply(so_far, &mut logits);
        logits.into_iter().enumerate().filter(|(_, logit)| *logit != 0.0).collect()
    }

    #[test]
    fn a_keyword_is_easier_to_begin_and_easier_still_to_end() {
        let bias = bias(&["bad", " ", "bed", "bad"]);
        assert_eq!(raised(&bias, &[]), [(1, BEGIN)]);
        assert_eq!(raised(&bias, &[7, 1]), [(0, GO_ON), (1, BEGIN), (4, GO_ON)]);
        assert_eq!(raised(&bias, &[1, 0]), [(1, BEGIN), (3, GO_ON)]);
        assert_eq!(raised(&bias, &[1, 0, 3]), [(1, BEGIN)]);
        assert!(raised(&Bias::none(), &[1]).is_empty());
    }

    #[test]
    fn endless_lists_are_cut() {
        let many: Vec<String> = (0..5_000).map(|number| format!("{number}")).collect();
        let bias = Bias::new(&many, |text| text.trim().bytes().map(i32::from).collect());
        assert!(bias.sequences.iter().map(Vec::len).sum::<usize>() <= MOST_TOKENS);
    }
}
