"""whisper.cpp's log-mel spectrogram: 400-sample Hann windows every 160 samples, 80 Slaney mel bands."""
import numpy as np

SIZE, STEP = 400, 160
WINDOW = (0.5 * (1 - np.cos(2 * np.pi * np.arange(SIZE) / SIZE))).astype(np.float32)
FLOOR, RANGE = -10.0, 8  # both in powers of ten


def make_filters(bands=80, sample_rate=16000):
    """A filter bank that is linear below 1 kHz and logarithmic above; every filter has the same area."""
    def hertz(mel):
        return np.where(mel < 15, mel * 200 / 3, 1000 * np.exp((mel - 15) * np.log(6.4) / 27))
    top = 15 + np.log(sample_rate / 2 / 1000) / (np.log(6.4) / 27)
    edges = hertz(np.linspace(0, top, bands + 2))
    frequency = np.fft.rfftfreq(SIZE, 1 / sample_rate)
    low, middle, high = edges[:-2, None], edges[1:-1, None], edges[2:, None]
    weights = np.maximum(0, np.minimum((frequency - low) / (middle - low), (high - frequency) / (high - middle)))
    return (weights * (2 / (high - low))).astype(np.float32)


FILTERS = make_filters()


def log_mel(samples):
    """16 kHz samples to frames x 80 normalised log-mel values, and the value of the silence that whisper.cpp pads with."""
    mirrored = samples[1:SIZE // 2 + 1][::-1]
    start = np.zeros(SIZE // 2 - len(mirrored), np.float32)
    padded = np.concatenate([start, mirrored, samples, np.zeros(2 * SIZE, np.float32)])
    count = (len(samples) + SIZE // 2) // STEP + 1
    windows = np.lib.stride_tricks.sliding_window_view(padded, SIZE)[::STEP][:count]
    power = np.abs(np.fft.rfft(windows * WINDOW, axis=1).astype(np.complex64)) ** 2
    levels = np.log10(np.maximum(power @ FILTERS.T, 10.0 ** FLOOR))
    floor = max(float(levels.max()), FLOOR) - RANGE
    return ((np.maximum(levels, floor) + 4) / 4).astype(np.float32), (max(FLOOR, floor) + 4) / 4
