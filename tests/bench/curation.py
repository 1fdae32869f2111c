"""Text-only curation: three filters over 100,000 captions, ours against the field's engines.

    python -m tests.bench.curation [--rows 100000] [--repeats 3] [--datatrove PYTHON] [--data-juicer PYTHON]

Length, words and repeated runs of characters, each a step of its own. A plain loop, our engine with
both runners and datatrove call the same three functions; Data-Juicer has such filters of its own. All
read one table from disk and write what they keep, on two cores where they can use two. Every arm is a
process of its own, watched with its children. datatrove and Data-Juicer want other versions of what we
need: name an interpreter that has them, or they are left out.
"""

import argparse
import importlib.util
import json
import random
import statistics
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

WORKERS = 2
NOUNS = "dog cat man woman bicycle train table pizza bench kite horse boat".split()
PLACES = "a field of flowers|the side of the road|a busy city street|a wooden table|the beach".split("|")


def plain_loop(folder: Path) -> None:
    from tests.bench.filters import FILTERS

    with (folder / "rows.jsonl").open() as rows, (folder / "out.jsonl").open("w") as out:
        for line in rows:
            caption = json.loads(line)["text"]
            if all(keep(caption) for keep in FILTERS.values()):
                out.write(line)


def local(folder: Path) -> None:
    from gritmill.pipeline.engine.runners.local import LocalRunner
    from tests.bench.engine_share import with_engine

    source, stages = _source_and_stages(folder)
    with_engine(source, stages, LocalRunner())


def ray(folder: Path) -> None:
    from gritmill.pipeline.engine.runners.ray import RayRunner
    from tests.bench.engine_share import with_engine

    source, stages = _source_and_stages(folder)
    with_engine(source, stages, RayRunner())


def _source_and_stages(folder: Path) -> tuple[Any, Any]:
    from gritmill.pipeline.engine.wiring import NamedStage
    from gritmill.pipeline.sources.table import TableSource
    from tests.bench.caption_filters import Filtered
    from tests.bench.filters import FILTERS

    source = TableSource(type="table", path=str(folder / "rows.parquet"), part_size=5000)
    return source, [NamedStage(name, Filtered(filter=name, batch_size=5000)) for name in FILTERS]


def datatrove(folder: Path) -> None:
    from datatrove.executor import LocalPipelineExecutor
    from datatrove.pipeline.filters import LambdaFilter
    from datatrove.pipeline.readers import JsonlReader
    from datatrove.pipeline.writers import JsonlWriter

    from tests.bench.filters import long_enough, varied_enough, wordy_enough

    LocalPipelineExecutor(
        pipeline=[
            JsonlReader(str(folder / "halves")),
            LambdaFilter(lambda document: long_enough(document.text)),
            LambdaFilter(lambda document: wordy_enough(document.text)),
            LambdaFilter(lambda document: varied_enough(document.text)),
            JsonlWriter(str(folder / "out_datatrove"), compression=None),
        ],
        tasks=WORKERS,
        workers=WORKERS,
        logging_dir=tempfile.mkdtemp(dir=folder),  # where it notes what is done: a new one does it again
    ).run()


def data_juicer(folder: Path) -> None:
    from data_juicer.tools.process_data import main as process  # type: ignore[import-not-found]

    config = {
        "project_name": "bench",
        "dataset_path": str(folder / "rows.jsonl"),
        "export_path": str(Path(tempfile.mkdtemp(dir=folder)) / "out.jsonl"),
        "np": WORKERS,
        "use_cache": False,
        "process": [
            {"text_length_filter": {"min_len": 10, "max_len": 1000}},
            {"words_num_filter": {"min_num": 3, "max_num": 100}},
            {"character_repetition_filter": {"rep_len": 10, "max_ratio": 0.5}},
        ],
    }
    path = folder / "data_juicer.json"  # JSON is YAML, too
    path.write_text(json.dumps(config))
    sys.argv = ["dj-process", "--config", str(path)]
    process()


ARMS: dict[str, Callable[[Path], None]] = {
    "plain loop": plain_loop,
    "gritmill, local": local,
    "gritmill, ray": ray,
    "datatrove": datatrove,
    "Data-Juicer": data_juicer,
}


def write_rows(folder: Path, count: int) -> None:
    """The same captions, of which one in seven is no good, in the forms that the engines read."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    rng = random.Random(0)
    captions = []
    for row in range(count):
        noun, other, place = rng.choice(NOUNS), rng.choice(NOUNS), rng.choice(PLACES)
        good = f"A {noun} and {rng.randrange(2, 90)} small {other}s near {place}, seen from above."
        captions.append([good, "a dog", f"{noun} " * 30][0 if row % 7 else rng.randrange(1, 3)])
    lines = [json.dumps({"id": str(row), "text": caption}) + "\n" for row, caption in enumerate(captions)]
    (folder / "rows.jsonl").write_text("".join(lines))
    (folder / "halves").mkdir()
    for half in range(WORKERS):
        (folder / "halves" / f"{half}.jsonl").write_text("".join(lines[half::WORKERS]))
    table = pa.table({"image": pa.array([b"-"] * count, pa.binary()), "caption": captions})
    pq.write_table(table, folder / "rows.parquet", row_group_size=5000)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--datatrove", metavar="PYTHON", help="an interpreter that has datatrove")
    parser.add_argument("--data-juicer", metavar="PYTHON", help="an interpreter that has Data-Juicer")
    parser.add_argument("--arm", choices=ARMS, help=argparse.SUPPRESS)
    parser.add_argument("--data", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.arm:
        ARMS[options.arm](options.data)
        return

    from tests.bench.processes import Usage, watched
    from tests.bench.tables import print_table

    interpreters = dict.fromkeys(("plain loop", "gritmill, local", "gritmill, ray"), sys.executable)
    for arm, package, given in (
        ("datatrove", "datatrove", options.datatrove),
        ("Data-Juicer", "data_juicer", options.data_juicer),
    ):
        python = given or (sys.executable if importlib.util.find_spec(package) else None)
        if python:
            interpreters[arm] = python
        else:
            print(f"{arm} is left out: it is not installed; name an interpreter that has it")
    taken: dict[str, list[Usage]] = {arm: [] for arm in interpreters}
    started: dict[str, list[Usage]] = {arm: [] for arm in interpreters}
    with tempfile.TemporaryDirectory() as name:
        for count, usages in ((WORKERS, started), (options.rows, taken)):
            folder = Path(name) / str(count)
            folder.mkdir()
            write_rows(folder, count)
            for _ in range(options.repeats):
                for arm, python in interpreters.items():
                    command = ["-m", "tests.bench.curation", "--arm", arm, "--data", str(folder)]
                    usages[arm].append(watched(command, python))

    wall = {arm: statistics.median(usage.wall for usage in usages) for arm, usages in taken.items()}
    cpu = {arm: statistics.median(usage.cpu for usage in usages) for arm, usages in taken.items()}
    start = {arm: statistics.median(usage.wall for usage in usages) for arm, usages in started.items()}
    ours = wall["gritmill, ray"]
    print_table(
        f"{options.rows:,} captions, three filters, median of {options.repeats} turns",
        ["engine", "wall", "on two rows", "CPU", "rows/s", "rows/s to gritmill, ray"],
        [
            (
                arm,
                f"{wall[arm]:.1f} s",
                f"{start[arm]:.1f} s",
                f"{cpu[arm]:.1f} s",
                f"{options.rows / wall[arm]:,.0f}",
                f"{ours / wall[arm]:.2f}",
            )
            for arm in interpreters
        ],
    )


if __name__ == "__main__":
    main()
