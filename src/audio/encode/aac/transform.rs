//! The modified discrete cosine transform of AAC: overlapping frames of samples to spectra.

use std::f64::consts::PI;

/// Samples that a frame adds, and lines of a spectrum.
pub(super) const FRAME: usize = 1_024;

/// The transform is done with complex numbers, half as many.
const HALF: usize = FRAME / 2;

/// Turns frames of samples into spectra. A spectrum spans two frames.
pub(super) struct Transform {
    previous: Vec<f32>,
    /// The rising half of the sine window.
    window: Vec<f32>,
    /// Rotations before and after the Fourier transform.
    twist: Vec<Complex>,
    /// The roots of unity for the Fourier transform.
    roots: Vec<Complex>,
}

#[derive(Clone, Copy, Default)]
struct Complex {
    real: f32,
    imaginary: f32,
}

impl Complex {
    fn at(angle: f64) -> Self {
        Self { real: angle.cos() as f32, imaginary: angle.sin() as f32 }
    }

    fn times(self, other: Self) -> Self {
        Self {
            real: self.real * other.real - self.imaginary * other.imaginary,
            imaginary: self.real * other.imaginary + self.imaginary * other.real,
        }
    }
}

impl Transform {
    pub(super) fn new() -> Self {
        let frame = FRAME as f64;
        Self {
            previous: vec![0.0; FRAME],
            window: (0..FRAME).map(|n| (PI / (2.0 * frame) * (n as f64 + 0.5)).sin() as f32).collect(),
            twist: (0..HALF).map(|n| Complex::at(-PI * (4 * n + 1) as f64 / (4.0 * frame))).collect(),
            roots: (0..HALF / 2).map(|n| Complex::at(-2.0 * PI * n as f64 / HALF as f64)).collect(),
        }
    }

    /// The spectrum of the frame before `frame` and of `frame`, which is [`FRAME`] samples long.
    pub(super) fn next(&mut self, frame: &[f32]) -> Vec<f32> {
        let folded = self.fold(frame);
        self.previous.copy_from_slice(frame);
        let mut values: Vec<Complex> = (0..HALF)
            .map(|n| {
                let pair = Complex { real: folded[2 * n], imaginary: folded[FRAME - 1 - 2 * n] };
                pair.times(self.twist[n])
            })
            .collect();
        self.fourier(&mut values);
        let mut spectrum = vec![0.0; FRAME];
        for (k, value) in values.iter().enumerate() {
            let value = value.times(self.twist[k]);
            spectrum[2 * k] = 2.0 * value.real;
            spectrum[FRAME - 1 - 2 * k] = -2.0 * value.imaginary;
        }
        spectrum
    }

    /// Windows two frames, and folds them into one whose cosine transform is the spectrum.
    fn fold(&self, frame: &[f32]) -> Vec<f32> {
        let rising = |n: usize| self.previous[n] * self.window[n];
        let falling = |n: usize| frame[n] * self.window[FRAME - 1 - n];
        let first = (0..HALF).map(|n| -falling(HALF - 1 - n) - falling(HALF + n));
        let second = (0..HALF).map(|n| rising(n) - rising(FRAME - 1 - n));
        first.chain(second).collect()
    }

    /// The discrete Fourier transform of [`HALF`] values, in place.
    fn fourier(&self, values: &mut [Complex]) {
        let bits = HALF.trailing_zeros();
        for index in 0..HALF {
            let mirrored = index.reverse_bits() >> (usize::BITS - bits);
            if index < mirrored {
                values.swap(index, mirrored);
            }
        }
        let mut length = 2;
        while length <= HALF {
            for block in values.chunks_exact_mut(length) {
                let (low, high) = block.split_at_mut(length / 2);
                for (n, (low, high)) in low.iter_mut().zip(high).enumerate() {
                    let turned = high.times(self.roots[n * (HALF / length)]);
                    let sum = Complex { real: low.real + turned.real, imaginary: low.imaginary + turned.imaginary };
                    *high = Complex { real: low.real - turned.real, imaginary: low.imaginary - turned.imaginary };
                    *low = sum;
                }
            }
            length *= 2;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_the_transform_of_the_standard() {
        let sound = |n: usize| (n as f32 * 0.37).sin() + (n as f32 * n as f32 * 1e-4).cos();
        let (first, second): (Vec<f32>, Vec<f32>) =
            ((0..FRAME).map(sound).collect(), (FRAME..2 * FRAME).map(sound).collect());
        let mut transform = Transform::new();
        transform.next(&first);
        let spectrum = transform.next(&second);
        for k in [0, 1, 2, 97, 500, 511, 512, 1_022, 1_023] {
            let step = PI / FRAME as f64;
            let expected: f64 = first
                .iter()
                .chain(&second)
                .enumerate()
                .map(|(n, sample)| {
                    let window = (step / 2.0 * (n as f64 + 0.5)).sin();
                    let wave = (step * (n as f64 + 0.5 + FRAME as f64 / 2.0) * (k as f64 + 0.5)).cos();
                    2.0 * f64::from(*sample) * window * wave
                })
                .sum();
            assert!((expected - f64::from(spectrum[k])).abs() < 0.02, "line {k}: {expected} is {}", spectrum[k]);
        }
    }
}
