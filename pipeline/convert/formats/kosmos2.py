"""`kosmos2`: GRIT as it comes from img2dataset, a json beside each image, in tars or loose files.

    00000.tar    000373938.jpg  000373938.json  000373938.txt  ...

    {"key": "000373938", "clip_similarity_vitb32": 0.3533, "id": 1795296605919,
     "url": "https://www.thestrapsaver.com/wp-content/uploads/customerservice-1.jpg",
     "caption": "a wire hanger with a paper cover that reads we heart our customers",
     "width": 1024, "height": 693,
     "noun_chunks": [[19, 32, 0.0196, 0.3105, 0.9622, 0.9603, 0.7929], ...],
     "ref_exps": [[19, 66, 0.0196, 0.3105, 0.9622, 0.9603, 0.7929], ...]}

The card of zzliang/GRIT says what the fields are. Those that are none of a record's, such as `url` and the
similarities, are kept in its metadata.
"""

from collections.abc import Iterator

from pipeline.convert.sample import Losses, Sample
from pipeline.convert.shards import read_shards


def read(path: str, losses: Losses, images: str | None = None) -> Iterator[Sample]:
    """Tars or folders of img2dataset; any image-text pairs of it will do, boxes or not."""
    return read_shards(path, losses)
