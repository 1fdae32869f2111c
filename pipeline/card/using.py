"""How a card says that its dataset is loaded, and what is in a sample."""

from gritmill.pipeline.card.facts import Facts
from gritmill.pipeline.card.markdown import block


def using(facts: Facts) -> str:
    """A few lines of Python, and what they give."""
    split = facts.splits[0]
    parts = []
    load = f'from datasets import load_dataset\n\ndata = load_dataset("PATH", split="{split}")'
    if facts.has(".tar"):
        load += '\ndata[0]["json"]["caption"]'
        parts.append(
            "`PATH` is this repository's name or a folder with its files. Each sample of the webdataset "
            "shards in `data/` is the untouched image, its record (`json`) and its caption (`txt`)."
        )
    else:
        parts.append("`PATH` is this repository's name or a folder with its files. Images are not included.")
    parts.append(block(load, "python"))
    if facts.has(".tar") and facts.has(".parquet"):
        parts.append(
            "The records without the images also lie in `parquet/`, for "
            '`pandas.read_parquet("PATH/parquet")`.'
        )
    if facts.stats.boxes:
        parts.append(
            "`noun_chunks` and `ref_exps` of a record are parallel lists of "
            "`[start, end, x1, y1, x2, y2, score]`: characters of the caption (the end not included), then "
            "the corners of the box in 0..1 of the whole image as a viewer shows it, the origin at the top "
            "left, then the raw score of the model that found it. `boxes` says which model that was."
        )
    if facts.stats.conversations:
        parts.append("`conversations` of a record is a string of JSON: turns, with their boxes as numbers.")
    others = sorted({name.split("/")[0] for name in facts.files} - {"data", "parquet"})
    if others:
        folders = " and ".join(f"`{name}/`" for name in others)
        parts.append(f"{folders}: the same dataset in the format that goes by this name.")
    return "\n\n".join(parts)
