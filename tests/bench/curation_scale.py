"""Text-only curation of many captions: filters, deduplication, concept balance, from one table to another.

    python -m tests.bench.curation_scale [--rows 1000000] [--peer-rows 100000] [--repeats 1]
        [--operations filters exact minhash] [--datatrove PYTHON] [--data-juicer PYTHON] [--daft PYTHON]

`chain` is a whole run of ours, on Ray and two cores: caption_check, language, exact and MinHash
deduplication, concept balance, shards. The other operations are done by whoever has them, on `--peer-rows`:
`filters` (length and words), `exact` deduplication after normalisation, `minhash` at a Jaccard similarity
of 0.8. All read one table from disk and write what they keep. Every arm is a process of its own, watched
with its children. The peers want other versions of what we need: name interpreters that have them.
"""

import argparse
import json
import statistics
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

WORKERS = 2
FILTERS: dict[str, dict[str, Any]] = {
    "caption_check": {"min_words": 3, "max_words": 100, "max_characters": 1000}
}
EXACT: dict[str, dict[str, Any]] = {"deduplicate_captions": {"by": "exact"}}
MINHASH: dict[str, dict[str, Any]] = {"deduplicate_captions": {"by": "minhash", "min_jaccard": 0.8}}
TEXT_ONLY: dict[str, dict[str, Any]] = {"tests.bench.text_only:TextOnly": {}}
OPERATIONS: dict[str, list[dict[str, dict[str, Any]]]] = {
    "chain": [
        FILTERS,
        {"language": {}},
        EXACT,
        {"deduplicate_captions": {"as": "near", "by": "minhash"}},
        {"tests.bench.text_only:KnownPhrases": {}},
        {"concept_balance": {}},
        TEXT_ONLY,
    ],
    "filters": [FILTERS, TEXT_ONLY],
    "exact": [EXACT, TEXT_ONLY],
    "minhash": [MINHASH, TEXT_ONLY],
}


def gritmill(folder: Path, operation: str, runner: str = "ray") -> None:
    import yaml

    from gritmill.pipeline.cli import app

    out = Path(tempfile.mkdtemp(dir=folder))
    recipe = {
        "name": operation,
        "source": {
            "type": "table",
            "path": str(folder / "rows.parquet"),
            "image": "image",
            "caption": "caption",
            "part_size": 20_000,
        },
        "stages": OPERATIONS[operation],
        "output": {"dir": str(out / "out"), "formats": ["parquet"], "shard_size": "1GB"},
    }
    (out / "recipe.yaml").write_text(yaml.safe_dump(recipe, sort_keys=False))
    app(["run", str(out / "recipe.yaml"), "--runner", runner])


def in_process(folder: Path, operation: str) -> None:
    gritmill(folder, operation, "local")


def data_juicer(folder: Path, operation: str) -> None:
    from data_juicer.tools.process_data import main as process  # type: ignore[import-not-found]

    operators: dict[str, list[dict[str, Any]]] = {
        "filters": [
            {"text_length_filter": {"min_len": 1, "max_len": 1000}},
            {"words_num_filter": {"min_num": 3, "max_num": 100}},
        ],
        "exact": [{"document_deduplicator": {"lowercase": True, "ignore_non_character": False}}],
        "minhash": [
            {
                "document_minhash_deduplicator": {
                    "tokenization": "character",
                    "window_size": 4,
                    "num_permutations": 128,
                    "jaccard_threshold": 0.8,
                }
            }
        ],
    }
    config = {
        "project_name": "bench",
        "dataset_path": str(folder / "rows.jsonl"),
        "export_path": str(Path(tempfile.mkdtemp(dir=folder)) / "out.jsonl"),
        "np": WORKERS,
        "use_cache": False,
        "process": operators[operation],
    }
    path = folder / "data_juicer.json"  # JSON is YAML, too
    path.write_text(json.dumps(config))
    sys.argv = ["dj-process", "--config", str(path)]
    process()


def datatrove(folder: Path, operation: str) -> None:
    from datatrove.executor import LocalPipelineExecutor
    from datatrove.pipeline.filters import LambdaFilter
    from datatrove.pipeline.readers import JsonlReader
    from datatrove.pipeline.writers import JsonlWriter

    out = tempfile.mkdtemp(dir=folder)
    reader = JsonlReader(str(folder / "halves"))

    def run(steps: list[Any], tasks: int = WORKERS) -> None:
        logs = tempfile.mkdtemp(dir=folder)  # where it notes what is done: a new one does it again
        LocalPipelineExecutor(pipeline=steps, tasks=tasks, workers=tasks, logging_dir=logs).run()

    if operation == "filters":
        run(
            [
                reader,
                LambdaFilter(lambda document: len(document.text) <= 1000),
                LambdaFilter(lambda document: 3 <= len(document.text.split()) <= 100),
                JsonlWriter(out, compression=None),
            ]
        )
        return
    from datatrove.pipeline.dedup import (
        MinhashDedupBuckets,
        MinhashDedupCluster,
        MinhashDedupFilter,
        MinhashDedupSignature,
    )
    from datatrove.pipeline.dedup.minhash import MinhashConfig

    # It knows words only, and takes for near what shares a bucket: of 11 by 11 hashes, from (1/11)**(1/11),
    # a similarity of 0.80, up.
    settings = MinhashConfig(n_grams=3, num_buckets=11, hashes_per_bucket=11)
    run([reader, MinhashDedupSignature(output_folder=f"{out}/signatures", config=settings)])
    buckets = MinhashDedupBuckets(f"{out}/signatures", f"{out}/buckets", config=settings)
    run([buckets], tasks=settings.num_buckets)
    run([MinhashDedupCluster(f"{out}/buckets", f"{out}/remove", config=settings)], tasks=1)
    run([reader, MinhashDedupFilter(f"{out}/remove"), JsonlWriter(f"{out}/kept", compression=None)])


def daft(folder: Path, operation: str) -> None:
    import daft as df  # type: ignore[import-not-found]
    from daft import col

    rows = df.read_parquet(str(folder / "rows.parquet")).select("id", "caption")
    if operation == "filters":
        words = col("caption").split(" ").list_count()
        rows = rows.where((col("caption").length() <= 1000) & (words >= 3) & (words <= 100))
    else:
        plain = col("caption").normalize(remove_punct=True, lowercase=True, white_space=True)
        rows = rows.with_column("plain", plain).distinct("plain")
    rows.write_parquet(tempfile.mkdtemp(dir=folder))


ARMS: dict[str, tuple[Callable[[Path, str], None], tuple[str, ...]]] = {
    "gritmill": (gritmill, ("filters", "exact", "minhash")),
    "gritmill, local": (in_process, ("filters", "exact", "minhash")),
    "Data-Juicer": (data_juicer, ("filters", "exact", "minhash")),
    "datatrove": (datatrove, ("filters", "minhash")),
    "Daft": (daft, ("filters", "exact")),
}


def write_rows(folder: Path, count: int, for_peers: bool) -> None:
    """One set of captions, in the forms that the engines read."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    from tests.bench.text_only import captions

    folder.mkdir()
    made = list(captions(count))
    table = pa.table(
        {
            "image": pa.array([b"-"] * count, pa.binary()),
            "caption": made,
            "id": pa.array(range(count), pa.int64()),
        }
    )
    pq.write_table(table, folder / "rows.parquet", row_group_size=20_000)
    if for_peers:
        lines = [json.dumps({"id": str(row), "text": caption}) + "\n" for row, caption in enumerate(made)]
        (folder / "rows.jsonl").write_text("".join(lines))
        (folder / "halves").mkdir()
        for half in range(WORKERS):
            (folder / "halves" / f"{half}.jsonl").write_text("".join(lines[half::WORKERS]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000, help="of the chain; 0 leaves it out")
    parser.add_argument("--peer-rows", type=int, default=100_000, help="0 leaves the comparison out")
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--operations", nargs="+", default=["filters", "exact", "minhash"])
    for peer in ("datatrove", "data-juicer", "daft"):
        parser.add_argument(f"--{peer}", metavar="PYTHON", help=f"an interpreter that has {peer}")
    parser.add_argument("--arm", choices=ARMS, help=argparse.SUPPRESS)
    parser.add_argument("--operation", choices=OPERATIONS, help=argparse.SUPPRESS)
    parser.add_argument("--data", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.arm:
        ARMS[options.arm][0](options.data, options.operation)
        return
    pythons = {
        "gritmill": sys.executable,
        "gritmill, local": sys.executable,
        "Data-Juicer": options.data_juicer,
        "datatrove": options.datatrove,
        "Daft": options.daft,
    }
    with tempfile.TemporaryDirectory() as name:
        if options.peer_rows:
            compare(Path(name) / "peers", options.peer_rows, options.repeats, pythons, options.operations)
        if options.rows:
            chain(Path(name) / "rows", options.rows)


def chain(folder: Path, rows: int) -> None:
    """All of it at a tenth of the rows and at all: what does not grow is bounded."""
    from tests.bench.processes import watched
    from tests.bench.tables import print_table

    lines = []
    for count in (rows // 10, rows):
        place = folder.with_name(f"{folder.name}{count}")
        write_rows(place, count, for_peers=False)
        usage = watched(arguments("gritmill", "chain", place))
        print(f"chain of {count:,}: {usage.wall:.1f} s, CPU {usage.cpu:.1f} s", flush=True)
        peaks = [f"{usage.peak_of[role] / 2**20:,.0f} MB" for role in ("driver", "worker")]
        lines.append(
            (f"{count:,}", f"{usage.wall:.0f} s", f"{usage.cpu:.0f} s", f"{count / usage.wall:,.0f}", *peaks)
        )
    print_table(
        "the chain: two filters, exact and MinHash deduplication, concept balance, to Parquet",
        ["captions", "wall", "CPU", "rows/s", "driver's memory", "largest worker's"],
        lines,
    )


def compare(
    folder: Path, rows: int, repeats: int, pythons: dict[str, str | None], operations: list[str]
) -> None:
    from tests.bench.processes import Usage, watched
    from tests.bench.tables import print_table

    write_rows(folder, rows, for_peers=True)
    for operation in operations:
        arms = [arm for arm, (_, can) in ARMS.items() if operation in can and pythons[arm]]
        taken: dict[str, list[Usage]] = {arm: [] for arm in arms}
        for _ in range(repeats):
            for arm in arms:
                usage = watched(arguments(arm, operation, folder), str(pythons[arm]))
                taken[arm].append(usage)
                print(f"{operation}, {arm}: {usage.wall:.1f} s, CPU {usage.cpu:.1f} s", flush=True)
        wall = {arm: statistics.median(usage.wall for usage in taken[arm]) for arm in arms}
        cpu = {arm: statistics.median(usage.cpu for usage in taken[arm]) for arm in arms}
        print_table(
            f"{operation}: {rows:,} captions, median of {repeats} turns",
            ["engine", "wall", "CPU", "rows/s", "gritmill to it", "by CPU"],
            [
                (
                    arm,
                    f"{wall[arm]:.1f} s",
                    f"{cpu[arm]:.1f} s",
                    f"{rows / wall[arm]:,.0f}",
                    f"{wall[arm] / wall['gritmill']:.2f}",
                    f"{cpu[arm] / cpu['gritmill']:.2f}",
                )
                for arm in arms
            ],
        )


def arguments(arm: str, operation: str, folder: Path) -> list[str]:
    return ["-m", "tests.bench.curation_scale", "--arm", arm, "--operation", operation, "--data", str(folder)]


if __name__ == "__main__":
    main()
