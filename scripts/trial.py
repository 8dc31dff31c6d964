"""What the scripts have in common that try a server hard: `scripts/fleet` and `scripts/endure`."""

import http.client
import os
import pathlib
import socket
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
START = time.monotonic()


def say(message):
    print(f"{time.monotonic() - START:7.1f} s  {message}", flush=True)


class Checks:
    """How many things are as they should be."""

    passed = failed = 0

    @classmethod
    def check(cls, what, good, detail=""):
        cls.passed, cls.failed = cls.passed + bool(good), cls.failed + (not good)
        say(f"{'ok  ' if good else 'FAIL'} {what} {detail}")

    @classmethod
    def finish(cls):
        """Ends the script with the counts."""
        print(f"{cls.passed} passed, {cls.failed} failed")
        sys.exit(0 if cls.failed == 0 and cls.passed else 1)


def binary():
    named = [os.environ.get("MYNAH"), ROOT / "target/release/mynah", ROOT / "target/debug/mynah"]
    found = [str(path) for path in named if path and os.path.exists(path)]
    return found[0] if found else sys.exit("there is no built binary: cargo build --release")


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def until(what, done, patience):
    """Waits for `done` to give something that is true."""
    end = time.monotonic() + patience
    while time.monotonic() < end:
        try:
            value = done()
            if value:
                return value
        except (OSError, http.client.HTTPException, ValueError):
            pass
        time.sleep(0.05)
    raise TimeoutError(what)


def form(fields):
    """What comes in front of a recording that is uploaded with these fields, and after it, and the type of both."""
    boundary = "trial"
    parts = [f'--{boundary}\r\nContent-Disposition: form-data; name="{k}"\r\n\r\n{v}\r\n' for k, v in fields.items()]
    head = f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\n'
    head, tail = "".join(parts) + head, f"\r\n--{boundary}--\r\n"
    return head.encode(), tail.encode(), f"multipart/form-data; boundary={boundary}"
