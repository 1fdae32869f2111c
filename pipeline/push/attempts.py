"""A push from its checks to its end, with as many attempts as it takes."""

import re
import time

from gritmill.pipeline.engine.run_files import RunFiles
from gritmill.pipeline.push.checks import Say, check
from gritmill.pipeline.push.files import files_of
from gritmill.pipeline.push.trouble import trouble_with, without_token
from gritmill.pipeline.push.upload import Pushed, Upload
from gritmill.pipeline.storage.store import Store
from gritmill.schemas.errors import UserError

_WAITS = (1, 4, 15, 60)
"""Seconds before the next attempts. The library tries most requests six times itself."""
_LONGEST_WAIT = 900


def push(
    job: RunFiles,
    repo: str,
    private: bool = False,
    dry_run: bool = False,
    force: bool = False,
    say: Say = print,
) -> Pushed:
    """Makes the dataset repository `user/name` equal to the run's output, and tags it.

    `dry_run` only compares and says what would be done. `force` goes on where `verify` finds errors, the
    licence forbids sharing, the card is of another state, a file names a place on this machine, or the
    repository holds another dataset. The token is the one of `hf auth login` or HF_TOKEN. Raises
    `UserError` for what the user can mend; the same call goes on after a cut.
    """
    try:
        from huggingface_hub import HfApi, get_token
    except ImportError as error:
        raise UserError("push needs huggingface_hub: pip install 'gritmill[hub]'") from error
    if not re.fullmatch(r"[\w.-]+/[\w.-]+", repo, re.ASCII):
        raise UserError(f"{repo!r} is no name of a repository; write --repo user/name")
    if not dry_run and not get_token():
        raise UserError("there is no token for the hub; log in with `hf auth login`, or set HF_TOKEN")
    output = Store(job.output.dir)
    files = files_of(output, job)
    check(output, job, files, private, force, say)
    upload = Upload(HfApi(), repo, output, files, job.name, private, dry_run, force, say)
    for wait in (*_WAITS, None):
        try:
            return upload.attempt()
        except UserError:
            raise
        except Exception as error:  # the library lets through those of its HTTP client, whichever that is
            trouble = trouble_with(error, repo)
            if trouble is None:
                raise
            if wait is None or not trouble.passes:
                raise UserError(without_token(trouble.sentence)) from error
            wait = min(max(wait, trouble.wait), _LONGEST_WAIT)
            say(without_token(f"{trouble.sentence} (trying again in {wait} s)"))
            time.sleep(wait)
    raise AssertionError("the last attempt returns or raises")
