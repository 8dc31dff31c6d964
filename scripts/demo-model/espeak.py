"""The C library espeak-ng through ctypes, so that word start times come back with the audio."""
import ctypes

import numpy as np

SYNCHRONOUS_RETRIEVAL = 2
UTF_8 = 1
RATE, PITCH, RANGE = 1, 3, 4
LIST_END, WORD_EVENT = 0, 1


class Event(ctypes.Structure):
    class Identifier(ctypes.Union):
        _fields_ = [("number", ctypes.c_int), ("name", ctypes.c_char_p), ("string", ctypes.c_char * 8)]

    _fields_ = [
        ("type", ctypes.c_int), ("unique_identifier", ctypes.c_uint), ("text_position", ctypes.c_int),
        ("length", ctypes.c_int), ("audio_position", ctypes.c_int), ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p), ("id", Identifier),
    ]


class Espeak:
    """One synthesizer. The library has global state, so a process holds only one of these."""

    def __init__(self):
        self.library = ctypes.CDLL("libespeak-ng.so.1")
        self.sample_rate = self.library.espeak_Initialize(SYNCHRONOUS_RETRIEVAL, 0, None, 0)
        self.audio, self.words = [], {}
        callback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(Event))
        self.callback = callback(self._receive)
        self.library.espeak_SetSynthCallback(self.callback)

    def _receive(self, samples, count, events):
        if count > 0 and samples:
            self.audio.append(np.ctypeslib.as_array(samples, (count,)).copy())
        index = 0
        while events[index].type != LIST_END:
            if events[index].type == WORD_EVENT:
                self.words.setdefault(events[index].text_position - 1, events[index].audio_position / 1000)
            index += 1
        return 0

    def say(self, text, voice, rate, pitch, pitch_range):
        """The samples, and the start in seconds of the word at each character position."""
        if self.library.espeak_SetVoiceByName(voice.encode()) != 0:
            raise ValueError(f"espeak-ng has no voice {voice}")
        for parameter, value in ((RATE, rate), (PITCH, pitch), (RANGE, pitch_range)):
            self.library.espeak_SetParameter(parameter, value, 0)
        self.audio, self.words = [], {}
        data = text.encode() + b"\0"
        self.library.espeak_Synth(data, ctypes.c_size_t(len(data)), 0, 1, 0, UTF_8, None, None)
        self.library.espeak_Synchronize()
        return np.concatenate(self.audio or [np.zeros(0, np.int16)]), self.words
