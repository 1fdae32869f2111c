"""Peak memory of `pipeline run` on Ray as a run gets longer, and as its parts get larger.

    python -m tests.bench.memory [--samples 5] [--parts 10,100,1000] [--sizes 20,200,1000]

The recipe is GRIT's on drawn scenes. More parts of the same size must not need more memory, neither in
the driver nor in the largest worker. Larger parts may, in the worker: the second table says how much.
"""

import argparse
import tempfile
from pathlib import Path

import yaml

from tests.bench.data import TEXT_STAGES
from tests.bench.processes import Usage, watched
from tests.bench.tables import print_table


def run(folder: Path, parts: int, samples: int) -> Usage:
    """A run over so many parts of so many samples, one caption an image."""
    stages = {"image_check": {"min_side": 16}, **TEXT_STAGES}
    recipe = {
        "name": "memory",
        "source": {
            "type": "scenes",
            "count": parts * samples,
            "part_size": samples,
            "captions_per_image": 1,
            "size": 32,
        },
        "stages": [{name: options} for name, options in stages.items()],
        "output": {"dir": str(folder / f"{parts}x{samples}"), "shard_size": "10MB"},
    }
    path = folder / "recipe.yaml"
    path.write_text(yaml.safe_dump(recipe))
    return watched(["-m", "gritmill.pipeline.cli", "run", str(path)])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--samples", type=int, default=5, help="of a part, in the first table")
    parser.add_argument("--parts", default="10,100,1000")
    parser.add_argument("--sizes", default="20,200,1000", help="of ten parts, in the second table")
    options = parser.parse_args()

    cases = {
        f"parts of {options.samples} samples": [
            (int(parts), options.samples) for parts in options.parts.split(",")
        ],
        "ten parts": [(10, int(size)) for size in options.sizes.split(",")],
    }
    with tempfile.TemporaryDirectory() as folder:
        for title, shapes in cases.items():
            usages = [run(Path(folder), parts, samples) for parts, samples in shapes]
            first = usages[0]
            print_table(
                f"peak memory, {title}",
                ["run", "driver", "largest worker", "driver: ratio", "worker: ratio"],
                [
                    (
                        f"{parts:,} parts of {samples:,}",
                        *(f"{usage.peak_of[role] / 1e6:.0f} MB" for role in ("driver", "worker")),
                        *(f"{usage.peak_of[r] / first.peak_of[r]:.2f}" for r in ("driver", "worker")),
                    )
                    for (parts, samples), usage in zip(shapes, usages, strict=True)
                ],
            )


if __name__ == "__main__":
    main()
