#!/usr/bin/env python3
"""The pipeline as one Python process does it: load the speech model, transcribe, drop it, load the summary model,
summarise, drop it. `unload` is what Python has for it: the last reference goes, and the garbage is collected; with `--keep`
nothing is dropped at all. Tells what its memory was at every step, as one JSON object on standard output.

    python_pipeline.py --stt ggml-small.bin --llm model.gguf --audio talk.wav

What is computed is fixed, so that models with random weights can be used: so many tokens in each window, a prompt and an
answer of so many tokens. The recording is a WAV file with 16 bits, one channel and 16 kHz.

pywhispercpp and llama-cpp-python come from PyPI, into a virtual environment of this script's own (`--venv`, made when it
is not there; a temporary one otherwise). llama-cpp-python may have to be built, on one core, which takes a quarter of an
hour; `--build-minutes` bounds it. Where Python's venv, the network or a compiler is missing it ends with 77 and says why.
"""

import argparse
import gc
import importlib.metadata
import json
import os
import subprocess
import sys
import tempfile
import threading
import time

PACKAGES = {"pywhispercpp": "pywhispercpp", "llama_cpp": "llama-cpp-python"}
SKIPPED = 77
SAMPLES_PER_SECOND = 20
RATE = 16_000
# In the environment of the second start, which has the packages.
PREPARED = "MEETCAP_COMPARE_PREPARED"


def options():
    parser = argparse.ArgumentParser(description="a whole pipeline in one Python process, and its memory")
    parser.add_argument("--stt", help="whisper model in ggml format")
    parser.add_argument("--llm", help="GGUF model")
    parser.add_argument("--audio", help="WAV file")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--window-tokens", type=int, default=32, help="decoded in each window of 30 s")
    parser.add_argument("--prompt-tokens", type=int, default=700)
    parser.add_argument("--answer-tokens", type=int, default=64)
    parser.add_argument("--n-ctx", type=int, default=2048)
    parser.add_argument("--keep", action="store_true", help="drop nothing: both models stay in memory to the end")
    parser.add_argument("--venv", help="folder of the virtual environment, kept for next time")
    parser.add_argument("--build-minutes", type=float, default=30.0)
    parser.add_argument("--prepare", action="store_true", help="only make the virtual environment")
    given = parser.parse_args()
    if not given.prepare and not (given.stt and given.llm and given.audio):
        parser.error("--stt, --llm and --audio are needed")
    return given


def skip(why):
    print(f"skipped: {why}", file=sys.stderr)
    sys.exit(SKIPPED)


def prepare(folder, minutes):
    """The Python of a virtual environment that has the packages."""
    python = os.path.join(folder, "bin", "python")
    imports = "; ".join(f"import {module}" for module in PACKAGES)
    if os.path.exists(python) and subprocess.run([python, "-c", imports], capture_output=True).returncode == 0:
        return python
    made = subprocess.run([sys.executable, "-m", "venv", folder], capture_output=True, text=True)
    if made.returncode != 0:
        last = (made.stderr or made.stdout).strip().splitlines()[-1:] or ["no word why"]
        skip(f"no virtual environment could be made ({last[0]}); install Python's venv module")
    print(f"installing {' and '.join(PACKAGES.values())} into {folder}", file=sys.stderr)
    # One compiler at a time: the machine has other work.
    environment = {**os.environ, "CMAKE_BUILD_PARALLEL_LEVEL": "1"}
    command = [python, "-m", "pip", "install", "--quiet", *PACKAGES.values()]
    try:
        installed = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=minutes * 60)
    except subprocess.TimeoutExpired:
        skip(f"the packages were not built within {minutes:g} minutes; allow more with --build-minutes")
    if installed.returncode != 0:
        last = installed.stderr.strip().splitlines()[-1:] or ["no word why"]
        skip(f"the packages could not be installed ({last[0]}); they need the network and a C++ compiler")
    return python


def anonymous():
    """Bytes of this process that no file backs."""
    with open("/proc/self/status", encoding="ascii") as status:
        for line in status:
            if line.startswith("RssAnon:"):
                return int(line.split()[1]) * 1024
    raise RuntimeError("the kernel does not tell RssAnon")


class Watch(threading.Thread):
    """Looks at the memory all the time; a binding that does not let go of Python's lock stops it meanwhile."""

    def __init__(self):
        super().__init__(daemon=True)
        self.peak, self.samples, self.longest_pause = 0, 0, 0.0
        self.done = threading.Event()

    def run(self):
        last = time.monotonic()
        while not self.done.wait(1 / SAMPLES_PER_SECOND):
            now = time.monotonic()
            self.longest_pause = max(self.longest_pause, now - last)
            last = now
            self.look()
            self.samples += 1

    def look(self):
        held = anonymous()
        self.peak = max(self.peak, held)
        return held


def samples_of(path):
    import wave

    import numpy

    with wave.open(path) as sound:
        if (sound.getframerate(), sound.getnchannels(), sound.getsampwidth()) != (RATE, 1, 2):
            sys.exit(f"{path} is no WAV file with 16 bits, one channel and {RATE} Hz")
        frames = sound.readframes(sound.getnframes())
    return numpy.frombuffer(frames, dtype=numpy.int16).astype(numpy.float32) / 32768.0


def pipeline(given):
    watch = Watch()
    watch.start()
    begun = time.monotonic()
    moments, seconds = {}, {}

    def note(name, since):
        moments[name] = watch.look()
        seconds[name] = time.monotonic() - since

    note("started", begun)
    since = time.monotonic()
    from llama_cpp import Llama
    from pywhispercpp.model import Model

    note("imported", since)

    since = time.monotonic()
    speech = Model(given.stt, n_threads=given.threads, redirect_whispercpp_logs_to=None, print_progress=False)
    note("stt_loaded", since)
    since = time.monotonic()
    # whisper.cpp counts the last token's place from 0.
    heard = speech.transcribe(
        samples_of(given.audio),
        language="en",
        single_segment=True,
        no_context=True,
        no_timestamps=True,
        max_tokens=given.window_tokens - 1,
        temperature_inc=0.0,
        no_speech_thold=2.0,
        greedy={"best_of": 1},
    )
    segments = len(heard)
    note("stt_worked", since)
    since = time.monotonic()
    if not given.keep:
        del speech, heard
        gc.collect()
    note("stt_unloaded", since)

    since = time.monotonic()
    summary = Llama(
        given.llm,
        n_ctx=given.n_ctx,
        n_threads=given.threads,
        n_threads_batch=given.threads,
        n_gpu_layers=0,
        verbose=False,
    )
    note("llm_loaded", since)
    since = time.monotonic()
    prompt = [place % summary.n_vocab() for place in range(given.prompt_tokens)]
    answer = summary.generate(prompt, temp=0.0)
    for _ in range(given.answer_tokens):
        next(answer)
    note("llm_worked", since)
    since = time.monotonic()
    if not given.keep:
        del answer, summary
        gc.collect()
    note("llm_unloaded", since)

    watch.done.set()
    watch.join()
    return {
        "peak_anonymous_bytes": watch.peak,
        "left_after_stt_bytes": moments["stt_unloaded"] - moments["imported"],
        "left_after_llm_bytes": moments["llm_unloaded"] - moments["imported"],
        "wall_seconds": time.monotonic() - begun,
        "anonymous_bytes": moments,
        "seconds": seconds,
        "segments": segments,
        "samples": watch.samples,
        "longest_pause_seconds": watch.longest_pause,
        "versions": {
            "python": ".".join(str(part) for part in sys.version_info[:3]),
            **{package: importlib.metadata.version(package) for package in PACKAGES.values()},
        },
    }


def main():
    given = options()
    if os.environ.get(PREPARED):
        print(json.dumps(pipeline(given)))
        return
    if not os.path.exists("/proc/self/status"):
        skip("memory is read from /proc, which only Linux has")
    if given.venv:
        python = prepare(given.venv, given.build_minutes)
        if given.prepare:
            return
        # The same process: whoever watches it sees the pipeline and nothing else.
        os.execve(python, [python, os.path.abspath(__file__), *sys.argv[1:]], {**os.environ, PREPARED: "1"})
    with tempfile.TemporaryDirectory(prefix="meetcap-compare-") as folder:
        python = prepare(folder, given.build_minutes)
        if not given.prepare:
            command = [python, os.path.abspath(__file__), *sys.argv[1:]]
            sys.exit(subprocess.run(command, env={**os.environ, PREPARED: "1"}).returncode)


if __name__ == "__main__":
    main()
