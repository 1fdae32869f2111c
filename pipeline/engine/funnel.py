"""The funnel: for each step how many rows came in, how many stayed, and why the others went."""

from rich.table import Table

from gritmill.pipeline.engine.receipts import Total


def funnel_table(totals: dict[str, Total]) -> Table:
    """The funnel for a terminal."""
    table = Table(title="Funnel", title_justify="left", box=None, pad_edge=False)
    table.add_column("step")
    for name in ("in", "kept", "rejected", "failed"):
        table.add_column(name, justify="right")
    table.add_column("why")
    for name, total in totals.items():
        table.add_row(
            name,
            f"{total.rows_in:,}",
            f"{total.rows_out:,}",
            f"{total.rejected.total():,}" if total.rejected else "",
            f"{total.failures:,}" if total.failures else "",
            reasons_text(total),
        )
    return table


def reasons_text(total: Total, most: int = 4) -> str:
    """`too_small 12, undecodable 3, passed: truncated 4`, the most frequent first, what passed last."""
    passed = sorted(total.passed.items(), key=lambda item: (-item[1], item[0]))
    reasons = [*total.reasons(), *((f"passed: {reason}", count) for reason, count in passed)]
    text = ", ".join(f"{reason} {count:,}" for reason, count in reasons[:most])
    return text + (f", {len(reasons) - most} more" if len(reasons) > most else "")


def funnel_markdown(name: str, totals: dict[str, Total], stats: dict[str, object]) -> str:
    """The report beside the dataset. No times: equal runs give equal reports."""
    lines = [f"# {name}", ""]
    if "limit" in stats:
        lines += [f"Only the first {stats['limit']:,} samples of the source were taken (`--limit`).", ""]
    lines += ["| split | shards | samples | bytes |", "|---|---:|---:|---:|"]
    splits = stats["splits"]
    assert isinstance(splits, dict)
    for split, s in splits.items():
        lines.append(f"| {split} | {s['shards']:,} | {s['samples']:,} | {s['bytes']:,} |")
    lines += ["", "| step | in | kept | rejected | failed | why |", "|---|---:|---:|---:|---:|---|"]
    for step, total in totals.items():
        why = reasons_text(total, most=100).replace("|", "\\|")
        lines.append(
            f"| {step} | {total.rows_in:,} | {total.rows_out:,} | {total.rejected.total():,} "
            f"| {total.failures:,} | {why} |"
        )
    versions = stats["versions"]
    assert isinstance(versions, dict)
    if versions:
        lines += ["", "Made with:", ""]
        for step, found in versions.items():
            lines.append(f"- {step}: {', '.join(f'{name} {version}' for name, version in found.items())}")
    return "\n".join(lines) + "\n"
