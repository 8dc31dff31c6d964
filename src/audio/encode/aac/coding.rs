//! Spectra as bits: quantization, the choice of codebooks, and Huffman codes, ISO 14496-3 section 4.4.2.

use oxideav_aac::scale_factor_data::hcod_sf_encode;
use oxideav_aac::spectrum_huffman as huffman;
use std::sync::LazyLock;

/// What is added before a level is cut to a whole number: levels near zero are more frequent.
const ROUNDING: f32 = 0.4054;

/// The largest level there is.
const LARGEST: i32 = 8_191;

/// The level from which a codebook with an escape writes it.
const ESCAPE: i32 = 16;

/// The most that a scale factor may differ from the one before it.
const LARGEST_STEP: i32 = 60;

/// Bits that a new section costs.
const SECTION: usize = 9;

/// How a codebook writes levels.
struct Book {
    /// Levels that one code stands for.
    together: usize,
    largest: i32,
    /// Whether the signs are in the code, and not behind it.
    is_signed: bool,
    /// Lengths and codes.
    codes: Vec<(u8, u16)>,
}

/// The codebooks 1 to 11.
static BOOKS: LazyLock<[Book; 11]> = LazyLock::new(|| {
    let book = |together: usize, largest: i32, is_signed: bool, encode: fn(u32) -> oxideav_aac::Result<(u8, u16)>| {
        let codes = (0..).map_while(|index| encode(index).ok()).collect();
        Book { together, largest, is_signed, codes }
    };
    [
        book(4, 1, true, huffman::hcod1_encode),
        book(4, 1, true, huffman::hcod2_encode),
        book(4, 2, false, huffman::hcod3_encode),
        book(4, 2, false, huffman::hcod4_encode),
        book(2, 4, true, huffman::hcod5_encode),
        book(2, 4, true, huffman::hcod6_encode),
        book(2, 7, false, huffman::hcod7_encode),
        book(2, 7, false, huffman::hcod8_encode),
        book(2, 12, false, huffman::hcod9_encode),
        book(2, 12, false, huffman::hcod10_encode),
        book(2, ESCAPE, false, huffman::hcod11_encode),
    ]
});

impl Book {
    /// Whether it has a code for a level.
    fn reaches(&self, level: i32) -> bool {
        level <= self.largest || self.largest == ESCAPE
    }

    /// The code for some levels that are written together.
    fn code(&self, levels: &[i32]) -> (u8, u16) {
        let index = levels.iter().fold(0, |index, level| match self.is_signed {
            true => index * (2 * self.largest + 1) + level + self.largest,
            false => index * (self.largest + 1) + level.abs().min(self.largest),
        });
        self.codes.get(index as usize).copied().unwrap_or((0, 0))
    }

    /// The bits that these levels take.
    fn length(&self, levels: &[i32]) -> usize {
        let codes: usize = levels.chunks_exact(self.together).map(|levels| usize::from(self.code(levels).0)).sum();
        let signs = if self.is_signed { 0 } else { levels.iter().filter(|level| **level != 0).count() };
        let escapes = levels.iter().filter(|level| self.escapes(**level));
        codes + signs + escapes.map(|level| 2 * escape_length(*level) as usize - 3).sum::<usize>()
    }

    fn write(&self, levels: &[i32], bits: &mut Bits) {
        for levels in levels.chunks_exact(self.together) {
            let (length, code) = self.code(levels);
            bits.put(u32::from(code), u32::from(length));
            if !self.is_signed {
                levels.iter().filter(|level| **level != 0).for_each(|level| bits.put(u32::from(*level < 0), 1));
            }
            for level in levels.iter().filter(|level| self.escapes(**level)) {
                // As many ones as the number has bits beyond five, a zero, and the number without its first bit.
                let length = escape_length(*level);
                bits.put((1 << (length - 4)) - 2, length - 4);
                bits.put(level.unsigned_abs() & ((1 << (length - 1)) - 1), length - 1);
            }
        }
    }

    fn escapes(&self, level: i32) -> bool {
        self.largest == ESCAPE && level.abs() >= ESCAPE
    }
}

/// The bits of a level that is written as an escape: at least five.
fn escape_length(level: i32) -> u32 {
    u32::BITS - level.unsigned_abs().leading_zeros()
}

/// A quantized spectrum, ready to be written.
pub(super) struct Spectrum<'a> {
    levels: Vec<i32>,
    bands: &'a [u16],
    /// The scale factor and the codebook of each band up to the last that is not silent; book 0 is silence.
    scales: Vec<i32>,
    books: Vec<usize>,
}

impl<'a> Spectrum<'a> {
    /// Quantizes the spectrum whose lines have these `powers` (of 3/4, with their signs), in `bands` with these
    /// `scales`, `coarser` by as many steps.
    pub(super) fn new(powers: &[f32], bands: &'a [u16], scales: &[i32], coarser: i32) -> Self {
        let mut spectrum = Self { levels: vec![0; powers.len()], bands, scales: Vec::new(), books: Vec::new() };
        let mut previous = None;
        for (band, scale) in scales.iter().enumerate() {
            let scale = (scale + coarser).clamp(0, 255);
            let scale = previous.map_or(scale, |last: i32| scale.clamp(last - LARGEST_STEP, last + LARGEST_STEP));
            let factor = (-0.1875 * (scale - super::UNITY) as f32).exp2();
            let range = spectrum.range(band);
            for (level, power) in spectrum.levels[range.clone()].iter_mut().zip(&powers[range.clone()]) {
                let size = (power.abs() * factor + ROUNDING) as i32;
                *level = size.min(LARGEST) * power.signum() as i32;
            }
            let is_silent = spectrum.levels[range].iter().all(|level| *level == 0);
            spectrum.scales.push(scale);
            previous = if is_silent { previous } else { Some(scale) };
        }
        spectrum.choose_books();
        spectrum
    }

    /// The bits that it takes, but for a few.
    pub(super) fn length(&self) -> usize {
        let mut bits = Bits::default();
        self.write_side(&mut bits);
        let lines: usize = self.coded().map(|(book, levels)| book.length(levels)).sum();
        bits.length() + lines
    }

    /// Writes a block with one channel, table 4.4.
    pub(super) fn write(&self, bits: &mut Bits) {
        self.write_side(bits);
        self.coded().for_each(|(book, levels)| book.write(levels, bits));
        bits.put(7, 3); // the end of the block
    }

    fn range(&self, band: usize) -> std::ops::Range<usize> {
        usize::from(self.bands[band])..usize::from(self.bands[band + 1])
    }

    /// The bands that are not silent, with their books.
    fn coded(&self) -> impl Iterator<Item = (&Book, &[i32])> {
        let coded = self.books.iter().enumerate().filter(|(_, book)| **book > 0);
        coded.map(|(band, book)| (&BOOKS[book - 1], &self.levels[self.range(band)]))
    }

    /// Chooses the codebooks that take the fewest bits, the cost of changing them included.
    fn choose_books(&mut self) {
        const NEVER: usize = usize::MAX / 2;
        // The cheapest way to each book of a band, and the book before it.
        let mut ways: Vec<[(usize, usize); 12]> = Vec::new();
        for band in 0..self.scales.len() {
            let levels = &self.levels[self.range(band)];
            let loudest = levels.iter().map(|level| level.abs()).max().unwrap_or(0);
            let last = ways.last();
            let cheapest = last.map_or(0, |last| (0..12).min_by_key(|book| last[*book].0).unwrap_or(0));
            let mut way = [(NEVER, 0); 12];
            for (book, way) in way.iter_mut().enumerate() {
                let cost = match book {
                    0 if loudest == 0 => 0,
                    1.. if loudest > 0 && BOOKS[book - 1].reaches(loudest) => BOOKS[book - 1].length(levels),
                    _ => continue,
                };
                let change = last.map_or(SECTION, |last| last[cheapest].0 + SECTION);
                let stay = last.map_or(NEVER, |last| last[book].0);
                *way = if stay <= change { (stay + cost, book) } else { (change + cost, cheapest) };
            }
            ways.push(way);
        }
        let mut book = ways.last().map_or(0, |last| (0..12).min_by_key(|book| last[*book].0).unwrap_or(0));
        self.books = vec![0; ways.len()];
        for (band, way) in ways.iter().enumerate().rev() {
            self.books[band] = book;
            book = way[book].1;
        }
        let used = self.books.iter().rposition(|book| *book > 0).map_or(0, |last| last + 1);
        self.books.truncate(used);
        self.scales.truncate(used);
    }

    /// Writes everything before the lines of the spectrum, tables 4.44 and 4.6.
    fn write_side(&self, bits: &mut Bits) {
        bits.put(0, 3 + 4); // a single channel, the first one
        let scales = self.scales.iter().zip(&self.books).filter(|(_, book)| **book > 0).map(|(scale, _)| *scale);
        let mut previous = scales.clone().next().unwrap_or(super::UNITY);
        bits.put(previous as u32, 8);
        bits.put(0, 1 + 2 + 1); // one long window, a sine
        bits.put(self.books.len() as u32, 6);
        bits.put(0, 1); // no prediction
        for section in self.books.chunk_by(|one, other| one == other) {
            bits.put(section[0] as u32, 4);
            let mut length = section.len() as u32;
            while length >= 31 {
                bits.put(31, 5);
                length -= 31;
            }
            bits.put(length, 5);
        }
        for scale in scales {
            let (length, code) = hcod_sf_encode((scale - previous) as i8).unwrap_or((0, 0));
            bits.put(code, u32::from(length));
            previous = scale;
        }
        bits.put(0, 3); // no pulses, no noise shaping, no gain control
    }
}

/// Bits, the first one in the highest bit of the first byte.
#[derive(Default)]
pub(super) struct Bits {
    bytes: Vec<u8>,
    /// Bits that do not fill a byte yet, and how many.
    waiting: u64,
    count: u32,
}

impl Bits {
    /// Appends the lowest `length` bits of `value`, at most 32.
    pub(super) fn put(&mut self, value: u32, length: u32) {
        self.waiting = self.waiting << length | u64::from(value);
        self.count += length;
        while self.count >= 8 {
            self.count -= 8;
            self.bytes.push((self.waiting >> self.count) as u8);
        }
    }

    fn length(&self) -> usize {
        self.bytes.len() * 8 + self.count as usize
    }

    /// All of them, filled up with zeros to a whole byte.
    pub(super) fn into_bytes(mut self) -> Vec<u8> {
        let missing = (8 - self.count) % 8;
        self.put(0, missing);
        self.bytes
    }
}
