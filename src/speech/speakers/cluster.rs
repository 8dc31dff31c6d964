//! Which voice prints are of one voice: agglomerative clustering, with the number of voices estimated or given.
//!
//! Two clusters are as alike as their prints are on average, which sums of prints tell without the prints themselves.
//! Many prints are first clustered in blocks, so that neither time nor memory grows with their square.

use crate::engine::VoicePrint;
use std::time::Duration;

/// The most clusters that are compared with each other.
const BLOCK: usize = 600;

/// Clusters within a block are this much more alike than one voice has to be: what is joined there stays joined.
const BLOCK_CAUTION: f32 = 0.1;

/// A voice that speaks less is not told apart when the number of voices is not known...
const LEAST_SPEECH: Duration = Duration::from_secs(2);

/// ...unless the recording is so short that this is more than a part of all speech.
const LEAST_PART: u32 = 10;

/// Prints that sound alike.
#[derive(Debug, Clone, PartialEq)]
pub struct Cluster {
    /// The sum of the prints.
    sum: Vec<f32>,
    /// How many prints.
    count: f32,
    /// How long they are together.
    speech: Duration,
}

impl Cluster {
    /// The cluster of one print.
    pub fn of(print: &VoicePrint) -> Self {
        let speech = print.end.saturating_sub(print.start);
        Self { sum: print.embedding.clone(), count: 1.0, speech }
    }

    /// The mean cosine similarity between the prints of both.
    pub fn likeness(&self, other: &Self) -> f32 {
        dot(&self.sum, &other.sum) / (self.count * other.count)
    }

    /// The mean cosine similarity between the prints in here and `embedding`.
    pub fn likeness_to(&self, embedding: &[f32]) -> f32 {
        dot(&self.sum, embedding) / self.count
    }

    /// How long they are together.
    pub fn speech(&self) -> Duration {
        self.speech
    }

    /// Takes over the prints of `other`.
    pub fn absorb(&mut self, other: &Self) {
        self.sum.iter_mut().zip(&other.sum).for_each(|(sum, value)| *sum += value);
        self.count += other.count;
        self.speech += other.speech;
    }
}

/// The voices in `prints`, those that speak most first: `count` of them if that is given (fewer only when there are
/// fewer prints), else as many as are told apart by mean similarities below `same_voice`.
pub fn voices(prints: &[VoicePrint], same_voice: f32, count: Option<usize>) -> Vec<Cluster> {
    let mut clusters: Vec<Cluster> = prints.iter().map(Cluster::of).collect();
    while clusters.len() > BLOCK {
        let most = BLOCK / 4;
        let blocks = clusters.chunks(BLOCK).map(|block| {
            let mut tree = Tree::new(block.to_vec());
            tree.join(|tree, likeness| likeness >= same_voice + BLOCK_CAUTION || tree.clusters.len() > most);
            tree.clusters
        });
        clusters = blocks.flatten().collect();
    }
    let total: Duration = clusters.iter().map(|cluster| cluster.speech).sum();
    let least = LEAST_SPEECH.min(total / LEAST_PART);
    let mut clusters = match count {
        Some(count) => cut_at(clusters, count.max(1), least),
        None => {
            let mut tree = Tree::new(clusters);
            tree.join(|_, likeness| likeness >= same_voice);
            tree.clusters
        }
    };
    clusters.sort_by_key(|cluster| std::cmp::Reverse(cluster.speech));
    let kept = clusters.iter().filter(|cluster| cluster.speech >= least).count();
    let kept = count.map_or(kept.max(1), |count| count.max(1)).min(clusters.len());
    for small in clusters.split_off(kept) {
        if let Some(nearest) = nearest(&clusters, &small) {
            clusters[nearest].absorb(&small);
        }
    }
    clusters
}

/// Joins `clusters` as far as `count` of them speak for `least`, or, if there is no such point, as far as `count` are
/// left.
fn cut_at(clusters: Vec<Cluster>, count: usize, least: Duration) -> Vec<Cluster> {
    let (mut tree, mut cut) = (Tree::new(clusters.clone()), count);
    while tree.clusters.len() > 1 {
        if tree.voices(least) == count {
            cut = tree.clusters.len();
        }
        tree.join_two();
    }
    let mut tree = Tree::new(clusters);
    while tree.clusters.len() > cut {
        tree.join_two();
    }
    tree.clusters
}

/// The index of the cluster most like `cluster`.
pub fn nearest(clusters: &[Cluster], cluster: &Cluster) -> Option<usize> {
    let likeness = |index: &usize| clusters[*index].likeness(cluster);
    (0..clusters.len()).max_by(|a, b| likeness(a).total_cmp(&likeness(b)))
}

/// Clusters on their way to become fewer.
struct Tree {
    clusters: Vec<Cluster>,
    /// How alike each two are, `likeness[a][b]` for `a > b`.
    likeness: Vec<Vec<f32>>,
    /// For each cluster but the first the most alike before it.
    best: Vec<usize>,
}

impl Tree {
    fn new(clusters: Vec<Cluster>) -> Self {
        let row = |index: usize| clusters[..index].iter().map(|other| other.likeness(&clusters[index])).collect();
        let likeness: Vec<Vec<f32>> = (0..clusters.len()).map(row).collect();
        let best = likeness.iter().map(|row| best_in(row)).collect();
        Self { clusters, likeness, best }
    }

    /// Joins the two most alike as long as `wanted` says so of them.
    fn join(&mut self, wanted: impl Fn(&Self, f32) -> bool) {
        while self.most_alike().is_some_and(|a| wanted(self, self.likeness[a][self.best[a]])) {
            self.join_two();
        }
    }

    /// Joins the two most alike.
    fn join_two(&mut self) {
        if let Some(a) = self.most_alike() {
            self.merge(a, self.best[a]);
        }
    }

    /// The second of the two most alike; the first is its best. `None` when there is only one cluster.
    fn most_alike(&self) -> Option<usize> {
        let score = |index: &usize| self.likeness[*index][self.best[*index]];
        (1..self.clusters.len()).max_by(|a, b| score(a).total_cmp(&score(b)))
    }

    /// Joins `a` into `b`, which comes before it; the last takes the place of `a`.
    fn merge(&mut self, a: usize, b: usize) {
        let mut likeness = self.joined_likeness(a, b);
        likeness.swap_remove(a);
        let joined = self.clusters.swap_remove(a);
        self.clusters[b].absorb(&joined);
        let last = self.likeness.pop().unwrap_or_default();
        self.best.pop();
        if a < self.likeness.len() {
            for (index, likeness) in last.iter().enumerate().filter(|(index, _)| *index != a) {
                self.set(a, index, *likeness);
            }
        }
        for (index, likeness) in likeness.iter().enumerate().filter(|(index, _)| *index != b) {
            self.set(index, b, *likeness);
        }
        for index in 1..self.clusters.len() {
            if [a, b].contains(&index) || [a, b, self.clusters.len()].contains(&self.best[index]) {
                self.best[index] = best_in(&self.likeness[index]);
                continue;
            }
            // What was the best still is, unless one of the two that have changed is better.
            for changed in [a, b].into_iter().filter(|changed| *changed < index) {
                if self.likeness[index][changed] > self.likeness[index][self.best[index]] {
                    self.best[index] = changed;
                }
            }
        }
    }

    /// How alike `a` and `b` together are to each other cluster.
    fn joined_likeness(&self, a: usize, b: usize) -> Vec<f32> {
        let (a_count, b_count) = (self.clusters[a].count, self.clusters[b].count);
        let joined = |index: usize| match index == a || index == b {
            true => 0.0,
            false => (self.get(a, index) * a_count + self.get(b, index) * b_count) / (a_count + b_count),
        };
        (0..self.clusters.len()).map(joined).collect()
    }

    fn get(&self, a: usize, b: usize) -> f32 {
        self.likeness[a.max(b)][a.min(b)]
    }

    fn set(&mut self, a: usize, b: usize, likeness: f32) {
        self.likeness[a.max(b)][a.min(b)] = likeness;
    }

    /// How many clusters speak long enough to be a voice.
    fn voices(&self, least: Duration) -> usize {
        self.clusters.iter().filter(|cluster| cluster.speech >= least).count()
    }
}

/// The index of the largest number; 0 when there is none.
fn best_in(row: &[f32]) -> usize {
    (0..row.len()).max_by(|a, b| row[*a].total_cmp(&row[*b])).unwrap_or(0)
}

fn dot(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A print of three quarters of a second at `index` that points to `angle` in degrees.
    fn print(index: usize, angle: f32) -> VoicePrint {
        let start = Duration::from_millis(750) * index as u32;
        let (sin, cos) = angle.to_radians().sin_cos();
        VoicePrint { start, end: start + Duration::from_millis(750), embedding: vec![cos, sin] }
    }

    /// Prints of voices at `angles` that take turns of four prints and waver by some degrees.
    fn meeting(angles: &[f32], count: usize) -> Vec<VoicePrint> {
        let waver = |index: usize| (index * 7919 % 13) as f32 - 6.0;
        (0..count).map(|index| print(index, angles[index / 4 % angles.len()] + waver(index))).collect()
    }

    fn speech(clusters: &[Cluster]) -> Vec<f64> {
        clusters.iter().map(|cluster| cluster.speech.as_secs_f64()).collect()
    }

    #[test]
    fn the_number_of_voices_is_found() {
        for angles in [&[0.0][..], &[0.0, 90.0], &[0.0, 60.0, 120.0], &[0.0, 45.0, 90.0, 135.0]] {
            assert_eq!(voices(&meeting(angles, 80), 0.9, None).len(), angles.len(), "{angles:?}");
        }
    }

    #[test]
    fn a_given_number_is_kept_to() {
        let prints = meeting(&[0.0, 40.0, 120.0], 60);
        assert_eq!(speech(&voices(&prints, 0.9, Some(2))), [30.0, 15.0]);
        assert_eq!(voices(&prints, 0.9, Some(1)).len(), 1);
        assert_eq!(voices(&meeting(&[0.0], 40), 0.9, Some(3)).len(), 3);
        assert_eq!(voices(&prints[..2], 0.9, Some(5)).len(), 2);
    }

    #[test]
    fn a_cough_is_no_voice_of_its_own_in_a_long_recording() {
        let mut prints = meeting(&[0.0, 90.0], 40);
        prints.push(print(40, 200.0));
        assert_eq!(voices(&prints, 0.9, None).len(), 2);
        assert_eq!(voices(&prints, 0.9, Some(2)).len(), 2);
    }

    #[test]
    fn a_short_exchange_has_two_voices() {
        assert_eq!(voices(&[print(0, 0.0), print(1, 90.0)], 0.9, None).len(), 2);
    }

    #[test]
    fn nothing_heard_is_no_voice() {
        assert!(voices(&[], 0.9, None).is_empty() && voices(&[], 0.9, Some(2)).is_empty());
    }

    #[test]
    fn three_hours_are_clustered_in_blocks() {
        let prints = meeting(&[0.0, 60.0, 120.0], 14_400);
        assert_eq!(speech(&voices(&prints, 0.9, None)), [3600.0; 3]);
        assert_eq!(speech(&voices(&prints, 0.9, Some(3))), [3600.0; 3]);
    }
}
