"""What `verify` can find, what it found, and how that is printed."""

from collections import Counter
from dataclasses import asdict, dataclass, field
from typing import Any, NamedTuple

from gritmill.pipeline.engine.terminal import one_line
from gritmill.pipeline.verify.leakage import ImagesSeen

KINDS: dict[str, tuple[str, str]] = {
    "unreadable": ("error", "the shard cannot be opened or read"),
    "crashed": ("error", "checking the shard killed the process that did it"),
    "broken_tar": ("error", "the tar is damaged or cut off; what follows is lost"),
    "after_end": ("warning", "data after the tar's end mark, which readers never see"),
    "no_samples": ("error", "the shard has no samples"),
    "checksum": ("error", "not the bytes that SHA256SUMS says"),
    "not_in_sums": ("warning", "SHA256SUMS does not list the shard"),
    "missing_file": ("error", "SHA256SUMS lists a file that is not there"),
    "missing_shard": ("error", "a shard of a numbered series is not there"),
    "mixed_series": ("error", "shards of different totals lie side by side"),
    "image_in_two_splits": ("error", "the same bytes in two splits of one dataset"),
    "image_id_in_two_splits": ("error", "the same image_id in two splits of one dataset"),
    "wrong_split": ("error", "the record's split is not the one that its shard is named after"),
    "unsafe_name": ("error", "a member's absolute name, or one with `..`"),
    "not_a_file": ("warning", "a link or device, which readers skip"),
    "no_extension": ("warning", "a member without key or extension, which readers skip"),
    "duplicate_member": ("error", "a sample has the same member twice"),
    "duplicate_key": ("error", "a key comes again: used twice, or its members are not adjacent"),
    "member_set": ("error", "a sample's members are not those that most samples have"),
    "too_large": ("warning", "a member too large to check"),
    "image_undecodable": ("error", "an image cannot be decoded"),
    "image_too_large": ("error", "an image has too many pixels to decode"),
    "wrong_size": ("error", "width and height are not those of the image"),
    "size_before_orientation": ("warning", "width and height are those before EXIF orientation"),
    "wrong_format": ("error", "image_format is not the format of the image"),
    "not_utf8": ("error", "a text is not UTF-8"),
    "not_json": ("error", "a .json cannot be parsed"),
    "json_constant": ("warning", "NaN or Infinity, which is not JSON"),
    "wrong_field": ("error", "a field of a record of ours lacks or has another type"),
    "empty_caption": ("warning", "an empty caption"),
    "captions_differ": ("warning", "two different captions; spans count in that of the .json"),
    "malformed_region": ("error", "not [start, end, x1, y1, x2, y2, score]"),
    "span_outside": ("error", "a span that is empty or outside the caption"),
    "box_not_finite": ("error", "a box with NaN or infinity"),
    "box_outside": ("error", "a box that is not within 0..1"),
    "box_without_area": ("error", "a box that is empty or inverted"),
    "score_not_finite": ("error", "a score that is NaN or infinite"),
    "malformed_conversation": ("error", "turns that do not alternate, phrases or boxes outside"),
    "placeholder_without_box": ("error", "a conversation mentions a region that has no box"),
    "box_without_placeholder": ("error", "a conversation has boxes that no text mentions"),
    "image_placeholder": ("error", "not exactly one <image>, in a conversation's first turn"),
    "malformed_mask": ("error", "a mask without size, counts or score, or not of the image's size"),
    "mask_elsewhere": ("error", "a mask that shares nothing with its box"),
    "not_parallel": ("error", "noun_chunks, ref_exps, boxes and masks are not parallel"),
}
"""Everything that can be found -> (severity, what it means), in the order of the report."""


class Finding(NamedTuple):
    """One thing that is wrong; `kind` is one of `KINDS`, `key` is empty if it concerns the whole shard."""

    kind: str
    shard: str
    key: str
    message: str

    @property
    def severity(self) -> str:
        """`error` or `warning`."""
        return KINDS[self.kind][0]


@dataclass
class Findings:
    """How often each kind was found, and the first `limit` of each."""

    limit: int
    counts: Counter[str] = field(default_factory=Counter)
    listed: list[Finding] = field(default_factory=list)

    def add(self, kind: str, shard: str, key: str, message: str, count: int = 1) -> None:
        if self.counts[kind] < self.limit:
            self.listed.append(Finding(kind, shard, key, message[:500]))
        self.counts[kind] += count

    def extend(self, other: "Findings") -> None:
        """Adds those of a shard."""
        room = {kind: self.limit - self.counts[kind] for kind in other.counts}
        for finding in other.listed:
            if room[finding.kind] > 0:
                room[finding.kind] -= 1
                self.listed.append(finding)
        self.counts += other.counts


class MemberSet(NamedTuple):
    """How many samples have exactly these members, and where the first of them is."""

    samples: int
    shard: str
    key: str


@dataclass
class ShardReport:
    """What was seen in one shard, or in another file that `SHA256SUMS` lists."""

    shard: str
    findings: Findings
    samples: int = 0
    images: int = 0
    regions: int = 0
    bytes: int = 0
    in_key_order: bool = True
    member_sets: dict[tuple[str, ...], MemberSet] = field(default_factory=dict)
    seen: ImagesSeen = field(default_factory=ImagesSeen)


@dataclass
class VerifyReport:
    """What was seen in all shards; `findings.listed` holds the first of each kind in shard order."""

    findings: Findings
    shards: int = 0
    samples: int = 0
    images: int = 0
    regions: int = 0
    bytes: int = 0
    shards_in_key_order: int = 0
    checksums: int = 0
    """Shards and other files whose SHA-256 was compared."""
    files: int = 0
    """Other files of the dataset, such as Parquet, of which nothing but that is checked."""

    @property
    def errors(self) -> int:
        return self._count("error")

    @property
    def warnings(self) -> int:
        return self._count("warning")

    @property
    def ok(self) -> bool:
        """No errors; there may be warnings."""
        return self.errors == 0

    def to_dict(self) -> dict[str, Any]:
        """Plain data: `ok`, `errors`, `warnings`, what was seen, `counts` of each kind, `findings`."""
        seen = asdict(self)
        del seen["findings"]
        return {
            "ok": self.ok,
            "errors": self.errors,
            "warnings": self.warnings,
            **seen,
            "counts": {kind: self.findings.counts[kind] for kind in KINDS if self.findings.counts[kind]},
            "findings": [{"severity": one.severity, **one._asdict()} for one in self.findings.listed],
        }

    def _count(self, severity: str) -> int:
        return sum(count for kind, count in self.findings.counts.items() if KINDS[kind][0] == severity)


def render(report: VerifyReport) -> str:
    """The report as plain text, safe to print whatever the shards held."""
    lines = []
    for kind, (severity, meaning) in KINDS.items():
        count = report.findings.counts[kind]
        if not count:
            continue
        lines.append(f"{severity}: {meaning} ({kind}): {count:,}")
        listed = [finding for finding in report.findings.listed if finding.kind == kind]
        for finding in listed:
            lines.append("    " + one_line("  ".join(filter(None, finding[1:]))))
        if count > len(listed):
            lines.append(f"    ... and {count - len(listed):,} more")
    lines.append(
        f"{report.shards:,} shards, {report.files:,} other files, {report.samples:,} samples, "
        f"{report.images:,} images, {report.regions:,} regions, {report.bytes / 1e6:,.1f} MB read; "
        f"{report.checksums:,} checksums compared; {report.shards_in_key_order:,} shards in key order"
    )
    lines.append(f"{report.errors:,} errors, {report.warnings:,} warnings")
    return "\n".join(lines)
