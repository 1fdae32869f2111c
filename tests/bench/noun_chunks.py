"""Noun chunks per second of our stage against bare `nlp.pipe`: `python -m tests.bench.noun_chunks`.

One core, the same model with the same components, the same captions; the two take turns, batch by
batch, and the median of their ratios is shown, so that a busy machine slows both. The stage gives
more than the bare loop (the parse of every caption, filtered chunks) in the same time.
"""

import os

for threads in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "BLIS_NUM_THREADS"):
    os.environ[threads] = "1"  # before numpy is imported

import argparse
import json
import random
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from gritmill.stages.common import spacy_models
from gritmill.stages.noun_chunks import NounChunks

COCO_MINI = Path(__file__).resolve().parents[3] / "shared" / "data" / "coco_mini" / "captions.json"

COLOURS = "red blue green yellow black white brown grey orange purple pink golden silver".split()
NOUNS = "dog cat man woman bicycle train table pizza bench kite horse boat".split()
PLACES = "a field of flowers|the side of the road|a busy city street|a wooden table|the beach".split("|")


def human_captions() -> list[str]:
    """COCO's captions if they are here, else plain ones of the same length."""
    if COCO_MINI.is_file():
        return [row["caption"] for row in json.loads(COCO_MINI.read_text())["annotations"]]
    return [
        f"A {noun} and a small {other} near {place}." for noun in NOUNS for other in NOUNS for place in PLACES
    ]


def distinct_captions(count: int) -> list[str]:
    """`count` different captions: human ones with a colour before a word, or a short clause more."""
    rng = random.Random(0)
    base = human_captions()
    seen = dict.fromkeys(base[:count])
    while len(seen) < count:
        words = rng.choice(base).split()
        articles = [i for i, word in enumerate(words) if word.lower() in ("a", "the")]
        if articles:
            words.insert(rng.choice(articles) + 1, rng.choice(COLOURS))
        if rng.random() < 0.3:
            words[-1] = words[-1].rstrip(".")
            words += ["next", "to", "a", rng.choice(COLOURS), rng.choice(NOUNS)]
        seen.setdefault(" ".join(words))
    return list(seen)


def bare(nlp: Any, captions: list[str]) -> list[list[tuple[int, int]]]:
    """What one would write in a notebook: every chunk with its offsets, in spaCy's own batch size."""
    return [[(chunk.start_char, chunk.end_char) for chunk in doc.noun_chunks] for doc in nlp.pipe(captions)]


def seconds(work: Callable[[], object]) -> float:
    """Processor time, which others on the machine disturb less than the clock on the wall."""
    start = time.process_time()
    work()
    return time.process_time() - start


def turns(stage: NounChunks, nlp: Any, captions: list[str], repeats: int) -> list[tuple[float, float]]:
    """Seconds of (bare, stage) on the same captions, a batch at a time, in turns."""
    size = stage.batch_size
    batches = [captions[start : start + size] for start in range(0, len(captions), size)]
    times = []
    for turn, batch in enumerate(batches * repeats):
        work = [lambda b=batch: bare(nlp, b), lambda b=batch: stage.process({"caption": b})]
        order = (0, 1) if turn % 2 else (1, 0)
        taken = {which: seconds(work[which]) for which in order}
        times.append((taken[0], taken[1]))
    return times


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--captions", type=int, default=4096)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--model", default="en_core_web_sm")
    options = parser.parse_args()

    stage = NounChunks(model=options.model)
    stage.setup()
    nlp = spacy_models.load(options.model)  # a pipeline of its own, with the same components
    distinct = distinct_captions(options.captions)
    twice = [caption for caption in distinct[: options.captions // 2] for _ in range(2)]
    turns(stage, nlp, distinct[: stage.batch_size], repeats=1)  # warms up

    print(f"{options.model}, one core, {options.captions} captions x {options.repeats}, chunks per second")
    print(
        f"{'captions':<12}{'bare nlp.pipe':>16}{'stage':>10}{'stage / bare':>15}   middle half of the turns"
    )
    for name, captions in (("distinct", distinct), ("each twice", twice)):
        chunks = sum(map(len, bare(nlp, captions))) * options.repeats
        times = turns(stage, nlp, captions, options.repeats)
        theirs, ours = (sum(column) for column in zip(*times))
        low, ratio, high = statistics.quantiles([bare_s / stage_s for bare_s, stage_s in times], n=4)
        print(
            f"{name:<12}{chunks / theirs:>16.0f}{chunks / ours:>10.0f}{ratio:>15.3f}"
            f"   {low:.3f} .. {high:.3f}"
        )


if __name__ == "__main__":
    main()
