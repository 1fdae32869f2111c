"""A finished dataset goes to the Hugging Face hub, and only what has changed of it.

    push(find_run_files("out/grit"), "me/grit")

Shards are uploaded first and then committed together, as far as one commit goes, so that whoever loads the
dataset meanwhile sees the old one or the new one. A push that was cut begins by looking at what is there:
what was committed is not compared again, what was only uploaded is not sent again. What names the machine
that it was made on is shortened (`schemas/public.py`) or keeps the dataset at home.
"""

from gritmill.pipeline.push.attempts import push
from gritmill.pipeline.push.upload import Pushed

__all__ = ["Pushed", "push"]
