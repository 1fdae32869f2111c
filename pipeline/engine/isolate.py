"""One bad row costs one row: a batch that raises is split until the rows at fault stand alone."""

import logging
from collections.abc import Callable

from gritmill.pipeline.engine.results import Failure
from gritmill.schemas.columns import Columns
from gritmill.schemas.errors import UserError

log = logging.getLogger(__name__)


class ContractError(Exception):
    """A stage gave back something that its declaration does not allow: a bug of the stage."""


def process_isolated(
    process: Callable[[Columns], Columns], batch: Columns, writes: tuple[str, ...]
) -> Columns:
    """Calls `process` on a batch; rows that make it raise come back as `Failure` in every column.

    A batch of n rows with k bad ones costs about k * log2(n) more calls, and out-of-memory errors
    settle at the largest batch that fits. `UserError` and a broken contract go through.
    """
    rows = len(next(iter(batch.values())))
    try:
        return _checked(process(batch), writes, rows)
    except (UserError, ContractError):
        raise
    except Exception as error:
        if rows == 1:
            log.debug("row failed", exc_info=error)
            failure = Failure(type(error).__name__, value=str(error)[:500])
            return {name: [failure] for name in writes}
    middle = rows // 2
    halves = (
        {name: values[:middle] for name, values in batch.items()},
        {name: values[middle:] for name, values in batch.items()},
    )
    first, second = (process_isolated(process, half, writes) for half in halves)
    return {name: first[name] + second[name] for name in writes}


def _checked(columns: Columns, writes: tuple[str, ...], rows: int) -> Columns:
    if set(columns) != set(writes):
        raise ContractError(f"the stage declares {sorted(writes)} and returned {sorted(columns)}")
    for name, values in columns.items():
        if len(values) != rows:
            raise ContractError(f"the stage was given {rows} rows and returned {len(values)} of {name}")
    return columns
