"""Everything in a recording that is not speech: noise, tones, clicks, the room, the microphone and the level."""
import numpy as np

from voices import SAMPLE_RATE


def power_of_two(count):
    return 1 << int(np.ceil(np.log2(max(count, 64))))


def unit(samples):
    return samples / (samples.std() + 1e-9)


def coloured(rng, count):
    """Noise whose spectrum falls with a random slope, from white to deep rumble."""
    size = power_of_two(count)
    frequency = np.arange(size // 2 + 1, dtype=np.float32)
    frequency[0] = 1
    spectrum = rng.standard_normal(len(frequency)) + 1j * rng.standard_normal(len(frequency))
    spectrum *= frequency ** (-rng.uniform(0, 2.2) / 2)
    spectrum[:4] = 0
    return unit(np.fft.irfft(spectrum.astype(np.complex64))[:count].astype(np.float32))


def hum(rng, seconds):
    base = rng.choice([50.0, 60.0, rng.uniform(60, 400)])
    return sum(np.sin(2 * np.pi * base * k * seconds + rng.uniform(0, 6)) * rng.uniform(0, 1) / k for k in range(1, 8))


def beeps(rng, seconds):
    period = rng.uniform(0.2, 2)
    on = (seconds % period) < period * rng.uniform(0.1, 0.6)
    return np.sin(2 * np.pi * rng.uniform(300, 3000) * seconds) * on


def melody(rng, seconds):
    """One to three voices of decaying notes from one scale."""
    step, root = rng.uniform(0.12, 0.8), rng.uniform(80, 400)
    sound = np.zeros(len(seconds), np.float32)
    for _ in range(rng.integers(1, 4)):
        position = 0
        while position < len(sound):
            length = max(int(step * SAMPLE_RATE * rng.choice([1, 1, 2, 0.5])), 200)
            length = min(length, len(sound) - position)
            pitch = root * 2 ** (rng.choice([0, 2, 4, 5, 7, 9, 11, 12, 14, 16]) / 12)
            decay = np.exp(-seconds[:length] * rng.uniform(0.5, 8))
            for harmonic in range(1, rng.integers(2, 6)):
                sound[position:position + length] += np.sin(2 * np.pi * pitch * harmonic * seconds[:length]) * decay / harmonic
            position += length
    return sound


def tonal(rng, count):
    seconds = np.arange(count, dtype=np.float32) / SAMPLE_RATE
    return unit(rng.choice([hum, beeps, melody, melody])(rng, seconds).astype(np.float32))


def clicks(rng, count):
    sound = np.zeros(count, np.float32)
    for _ in range(max(1, int(count / SAMPLE_RATE * rng.uniform(0.3, 5)))):
        length = rng.integers(40, 2500)
        position = rng.integers(0, max(1, count - length))
        length = min(length, count - position)
        fade = np.exp(-np.arange(length) / rng.uniform(20, 600))
        sound[position:position + length] += coloured(rng, length) * fade * rng.uniform(0.2, 1)
    return unit(sound)


def background(rng, count):
    kind = rng.random()
    if kind < 0.75:
        return coloured(rng, count)
    if kind < 0.9:
        return tonal(rng, count) + 0.1 * coloured(rng, count)
    return clicks(rng, count) + 0.1 * coloured(rng, count)


def channel(rng, samples):
    """The room and the microphone: a random equaliser, a band limit and reverberation, in one Fourier transform."""
    size = power_of_two(len(samples) + 8000)
    spectrum = np.fft.rfft(samples, size)
    frequency = np.fft.rfftfreq(size, 1 / SAMPLE_RATE).astype(np.float32)
    gain = np.ones_like(frequency)
    if rng.random() < 0.7:
        points = np.array([0, 150, 400, 900, 1800, 3200, 5500, 8000])
        gain *= 10 ** (np.interp(frequency, points, rng.normal(0, 3.5, len(points))) / 20).astype(np.float32)
    band = rng.random()
    if band < 0.16:  # recorded at 8 kHz
        gain *= 1 / (1 + (frequency / rng.uniform(3000, 3950)) ** 24)
    elif band < 0.24:  # a telephone
        gain *= 1 / (1 + (frequency / 3400) ** 16) / (1 + (rng.uniform(200, 350) / (frequency + 1)) ** 8)
    elif band < 0.3:
        gain *= 1 / (1 + (frequency / rng.uniform(4500, 7000)) ** 16)
    if rng.random() < 0.35:
        spectrum = spectrum * np.fft.rfft(room(rng), size)
    return np.fft.irfft(spectrum * gain, size)[:len(samples)].astype(np.float32)


def room(rng):
    """An impulse response: the direct sound and a decaying tail."""
    seconds = np.arange(int(SAMPLE_RATE * rng.uniform(0.08, 0.45))) / SAMPLE_RATE
    tail = rng.standard_normal(len(seconds)) * np.exp(-seconds / rng.uniform(0.03, 0.13))
    tail[:int(SAMPLE_RATE * 0.002)] = 0
    tail *= rng.uniform(0.1, 0.7) / (np.sqrt((tail ** 2).sum()) + 1e-9)
    tail[0] = 1
    return tail


def level(rng, samples):
    """A random loudness, now and then clipped, rounded to 16 bits."""
    samples = samples / (np.abs(samples).max() + 1e-9) * 10 ** rng.uniform(-1.6, -0.02)
    if rng.random() < 0.05:
        samples = samples * rng.uniform(1.2, 3)
    return np.round(np.clip(samples, -1, 1) * 32767).astype(np.float32) / 32768


def without_speech(rng):
    """A whole recording in which nobody speaks."""
    seconds = rng.choice([rng.uniform(0.3, 3), rng.uniform(1, 12), rng.uniform(10, 30)], p=[0.5, 0.42, 0.08])
    count = int(SAMPLE_RATE * seconds)
    kind = rng.random()
    if kind < 0.15:
        return np.zeros(count, np.float32)
    if kind < 0.25:  # hardly more than rounding noise
        return (np.round(coloured(rng, count) * rng.uniform(0.3, 8)) / 32768).astype(np.float32)
    if kind < 0.58:
        sound = coloured(rng, count)
    elif kind < 0.86:
        sound = tonal(rng, count) + coloured(rng, count) * rng.choice([0, rng.uniform(0, 0.3)])
    else:
        sound = clicks(rng, count) + coloured(rng, count) * rng.uniform(0, 0.3)
    if rng.random() < 0.3:
        sound = sound * np.abs(np.sin(np.arange(count) / SAMPLE_RATE * rng.uniform(0.5, 20)))
    if rng.random() < 0.3:  # only a part of the recording sounds
        begin, stop = sorted(rng.integers(0, count + 1, 2))
        sound[:begin] = 0
        sound[stop:] = 0
    return level(rng, sound.astype(np.float32))
